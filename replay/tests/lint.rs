//! `casebook-replay lint` and `fields` as a user meets them: formats, options, exit codes; and rules embedded in Helm
//! values, from the values file to the alert.
#![allow(clippy::unwrap_used)] // what fails in the set-up of a test is a failure of the test

mod program;

use std::path::{Path, PathBuf};

use casebook_replay::cli::Exit;
use program::within;
use serde_json::Value;
use tempfile::TempDir;

const VALUES: &str = "\
falcosidekick:
  enabled: false
customRules:
  rules-curl.yaml: |-
    - rule: DetectCurlCommandExecution
      desc: curl was started
      condition: spawned_process and proc.name == curl
      output: \"Curl command executed: %proc.cmdline\"
      priority: WARNING
      tags: [T1105]
";

const RULES: &str = "\
- rule: Never
  desc: Two names at once
  condition: evt.type = execve and proc.name = a and proc.name = b
  output: \"%proc.name\"
  priority: INFO
  tags: [T1059]
- rule: Repeats
  desc: One item twice
  condition: evt.type = execve and proc.name in (c, d, c)
  output: \"%proc.name\"
  priority: INFO
  tags: [T1059]
";

fn file(folder: &TempDir, name: &str, text: &str) -> String {
    let path: PathBuf = folder.path().join(name);
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn rules_in_helm_values_load_on_top_of_the_default_ones_and_fire() {
    let folder = tempfile::tempdir().unwrap();
    let values = file(&folder, "values.yaml", VALUES);
    let checked = within(&["lint", "--default-rules", &values]);
    assert_eq!((checked.exit, &*checked.err), (Exit::Complete, ""), "{}", checked.out);
    let all = within(&["run", "--default-rules", "-r", &values, "--rule-matching", "all", "--example", "-q"]);
    assert_eq!(all.exit, Exit::Complete, "{}", all.err);
    let alerts: Vec<&str> = all.out.lines().filter(|line| line.contains("Curl command executed: curl ")).collect();
    assert!(!alerts.is_empty() && alerts.iter().all(|line| line.contains(" Warning ")), "{}", all.out);
    assert!(all.out.contains("DetectCurlCommandExecution: "), "{}", all.out);
}

#[test]
fn exit_codes_are_those_of_the_help() {
    let folder = tempfile::tempdir().unwrap();
    let rules = file(&folder, "rules.yaml", RULES);
    let broken = file(&folder, "broken.yaml", "- rule: x\n  desc: d\n");
    let exit = |args: &[&str]| within(args).exit;
    assert_eq!(exit(&["lint", &rules]), Exit::Complete);
    assert_eq!(exit(&["lint", "--deny", "warnings", &rules]), Exit::Alerts);
    assert_eq!(exit(&["lint", "--deny", "warnings", "--allow", "CB_NEVER_TRUE", &rules]), Exit::Complete);
    assert_eq!(exit(&["lint", "--deny", "findings", "--allow", "CB_NEVER_TRUE", &rules]), Exit::Alerts);
    assert_eq!(exit(&["lint", "--deny", "CB_REPEATED_ITEM", "-A", "CB_NEVER_TRUE", &rules]), Exit::Alerts);
    assert_eq!(exit(&["lint", "--deny", "CB_SHADOWED_RULE", &rules]), Exit::Complete);
    assert_eq!(exit(&["lint", &broken]), Exit::Rules);
    assert_eq!(exit(&["lint", "--show", "compiled", &broken]), Exit::Rules);
    assert_eq!(exit(&["lint", "/nonexistent/rules.yaml"]), Exit::Rules);
    let misspelt = within(&["lint", "--deny", "CB_NEVER_TRU", &rules]);
    assert_eq!(misspelt.exit, Exit::Usage);
    assert!(misspelt.err.contains("did you mean CB_NEVER_TRUE?"), "{}", misspelt.err);
}

#[test]
fn the_default_ruleset_is_clean() {
    let found = within(&["lint", "--deny", "warnings"]);
    assert_eq!(found.exit, Exit::Complete, "{}", found.out);
}

#[test]
fn json_counts_and_points() {
    let folder = tempfile::tempdir().unwrap();
    let rules = file(&folder, "rules.yaml", RULES);
    let json: Value = serde_json::from_str(&within(&["lint", "--format", "json", &rules]).out).unwrap();
    assert_eq!(json["summary"], serde_json::json!({ "errors": 0, "warnings": 1, "notes": 1 }));
    let finding = &json["diagnostics"][0];
    assert_eq!(finding["code"], "CB_NEVER_TRUE");
    assert_eq!(finding["place"]["line"], 3);
    let (start, end) = (finding["place"]["start"].as_u64().unwrap(), finding["place"]["end"].as_u64().unwrap());
    assert_eq!(&RULES[start as usize..end as usize], "proc.name = b");
    let sarif: Value = serde_json::from_str(&within(&["lint", "--format", "sarif", &rules]).out).unwrap();
    assert_eq!(sarif["runs"][0]["results"].as_array().unwrap().len(), 2);
    assert_eq!(sarif["runs"][0]["results"][1]["level"], "note");
}

#[test]
fn what_rules_come_to_can_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let values = file(&folder, "values.yaml", VALUES);
    let show = |what: &str| {
        let shown = within(&["lint", "--default-rules", &values, "--show", what, "--rule", "DetectCurl*"]);
        assert_eq!(shown.exit, Exit::Complete, "{}", shown.err);
        shown.out
    };
    let resolved = show("resolved");
    assert!(resolved.starts_with("rule: DetectCurlCommandExecution (syscall, Warning)\n"), "{resolved}");
    assert!(
        resolved.contains("evt.type in (execve, execveat)") && resolved.contains("proc.name == curl"),
        "{resolved}"
    );
    assert!(show("compiled").contains("proc.name == curl"));
    assert_eq!(show("evttypes").lines().nth(1), Some("  execve, execveat"));
    let unknown = within(&["lint", "--show", "compiled", "--rule", "No such rule"]);
    assert_eq!(unknown.exit, Exit::Usage);
}

#[test]
fn codes_are_explained() {
    let explained = within(&["lint", "--explain", "load_err_validate"]);
    assert!(explained.out.starts_with("LOAD_ERR_VALIDATE (error): "), "{}", explained.out);
    assert_eq!(within(&["lint", "--explain", "nonsense"]).exit, Exit::Usage);
}

#[test]
fn fields_are_listed_in_every_form() {
    let docs = within(&["fields", "--docs"]).out;
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("FIELDS.md");
    assert_eq!(docs, std::fs::read_to_string(page).unwrap());
    let json: Value = serde_json::from_str(&within(&["fields", "--format", "json", "--class", "fd"]).out).unwrap();
    let names: Vec<&str> = json.as_array().unwrap().iter().map(|field| field["name"].as_str().unwrap()).collect();
    assert!(names.contains(&"fd.name") && names.iter().all(|name| name.starts_with("fd.")), "{names:?}");
    let audit = within(&["fields", "--source", "k8s_audit", "--format", "markdown"]).out;
    assert!(audit.contains("| `ka.verb` |") && !audit.contains("| `proc.name` |"));
    assert_eq!(within(&["fields", "--class", "nonsense"]).exit, Exit::Usage);
    assert_eq!(within(&["fields", "nosuchfieldatall"]).exit, Exit::Usage);
}
