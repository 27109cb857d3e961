//! `coverage`, `diff` and `tune` on a small machine: what the numbers say, and that what is printed works.
#![allow(clippy::unwrap_used)] // a test ends at the first surprise

mod program;

use std::fs;
use std::path::PathBuf;

use casebook_fixtures::{Proc, Trace, flags};
use casebook_replay::cli::Exit;
use program::{Answer, within};
use serde_json::Value;
use tempfile::TempDir;

const RULES: &str = r"
- list: shells
  items: [bash, zsh]
- macro: started
  condition: evt.type in (execve, execveat) and evt.rawres >= 0
- macro: known
  condition: (proc.pname = cron)
- rule: Shell
  desc: a shell
  condition: started and proc.name in (shells) and not known
  output: shell (line=%proc.cmdline parent=%proc.pname)
  priority: WARNING
- rule: Shadow read
  desc: the file
  condition: evt.type = openat and fd.name = /etc/shadow
  output: read (%proc.name)
  priority: NOTICE
";

struct Lab {
    root: TempDir,
}

impl Lab {
    fn new() -> Self {
        let lab = Self { root: tempfile::tempdir().unwrap() };
        lab.write("rules.yaml", RULES);
        // A person's shell, one of cron, a tool.
        lab.capture("work.scap", &[("cron", "bash"), ("backup", "bash"), ("backup", "bash"), ("sshd", "id")]);
        lab.capture("attack.scap", &[("nginx", "bash"), ("nginx", "id")]);
        lab
    }

    /// A capture on which programs are started by others, each of which then reads a file.
    fn capture(&self, name: &str, starts: &[(&str, &str)]) {
        let mut trace = Trace::new("host");
        for (n, (parent, program)) in starts.iter().enumerate() {
            let parent = trace.process(Proc::new(1000 + n as i64, &format!("/usr/bin/{parent}")));
            let child = trace.spawn(parent, &format!("/usr/bin/{program}"), &[program]);
            trace.open(child, "/etc/hosts", flags::READ);
        }
        fs::write(self.root.path().join(name), trace.finish().unwrap()).unwrap();
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.root.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    /// Runs the tool; arguments with a dot or a slash are files of the lab.
    fn run(&self, args: &[&str]) -> Answer {
        let place = |arg: &&str| match *arg {
            file if file.contains(".scap")
                || file.contains(".yaml")
                || file.contains(".html")
                || file.ends_with('/') =>
            {
                self.path(file).display().to_string()
            }
            other => other.to_owned(),
        };
        let folder = format!("{}/", self.root.path().display());
        within(&args.iter().map(place).collect::<Vec<_>>()).without(&folder)
    }

    fn json(&self, args: &[&str]) -> Value {
        let found = self.run(&[args, &["--output", "json"]].concat());
        assert_eq!(found.exit, Exit::Complete, "{}", found.err);
        serde_json::from_str(&found.out).unwrap()
    }
}

fn piece<'v>(coverage: &'v Value, kind: &str, text: &str) -> &'v Value {
    let pieces = coverage["coverage"]["pieces"].as_array().unwrap();
    pieces.iter().find(|piece| piece["kind"] == kind && piece["text"] == text).unwrap()
}

#[test]
fn coverage_counts_what_the_evaluation_came_to() {
    let lab = Lab::new();
    let found = lab.json(&["coverage", "-r", "rules.yaml", "work.scap"]);
    let shell = piece(&found, "comparison", "proc.name in (bash, zsh)");
    assert_eq!((&shell["yes"], &shell["no"], &shell["covered"]), (&3.into(), &1.into(), &true.into()));
    assert_eq!(shell["place"]["line"], 10);
    // Only shells were asked for their parent.
    let known = piece(&found, "comparison", "proc.pname = cron");
    assert_eq!((&known["yes"], &known["no"]), (&1.into(), &2.into()));
    assert_eq!(piece(&found, "macro", "known")["place"]["line"], 10);
    // The rule is not asked about other events, so its event type was never anything else.
    assert_eq!(piece(&found, "comparison", "evt.type in (execve, execveat)")["covered"], false);
    assert_eq!(piece(&found, "element", "bash")["covered"], true);
    assert_eq!(piece(&found, "element", "zsh")["covered"], false);
    assert_eq!(piece(&found, "element", "zsh")["place"]["line"], 3);
    let rules = found["coverage"]["rules"].as_array().unwrap();
    assert_eq!((&rules[0]["matched"], &rules[0]["reported"]), (&2.into(), &2.into()));
    assert_eq!(rules[1]["reported"], 0);
    let text = lab.run(&["coverage", "-r", "rules.yaml", "work.scap"]).out;
    assert!(text.contains("rules.yaml:3  never the one that matched: zsh"), "{text}");
    assert!(text.contains("never true: fd.name = /etc/shadow"), "{text}");
}

#[test]
fn the_page_is_one_harmless_file() {
    let lab = Lab::new();
    lab.write("rules.yaml", &RULES.replace("- rule: Shadow read", "- rule: \"<script>alert(1)</script>\""));
    let found = lab.run(&["coverage", "-m", "-r", "rules.yaml", "--html", "page.html", "work.scap"]);
    assert_eq!(found.exit, Exit::Complete, "{}", found.err);
    let page = fs::read_to_string(lab.path("page.html")).unwrap();
    assert!(page.contains("default-src 'none'") && !page.contains("<script") && !page.contains("http://"));
    assert!(page.contains("&lt;script&gt;alert(1)"));
    assert!(
        page.contains("<span class=\"never\" title=\"list element in 1 rule: never the one that matched\">zsh</span>")
    );
    assert!(page.contains("title=\"macro in 1 rule: 1 times true, 2 times false\">known</span>"));
    // Every line of the file is there once, and opens and closes what it opens.
    assert_eq!(page.matches("<div class=\"line\"").count(), RULES.lines().count() + 1);
    assert_eq!(page.matches("<span").count(), page.matches("</span>").count());
    assert_eq!(page.matches("<div").count(), page.matches("</div>").count());
}

fn survivors(found: &Value) -> Vec<String> {
    let survivors = found["mutation"]["survivors"].as_array().unwrap();
    let name = |mutant: &Value| format!("{} {}", mutant["kind"].as_str().unwrap(), mutant["what"].as_str().unwrap());
    survivors.iter().map(name).collect()
}

#[test]
fn mutants_that_no_capture_tells_apart_survive() {
    let lab = Lab::new();
    let found = lab.json(&["coverage", "-m", "-r", "rules.yaml", "work.scap", "attack.scap"]);
    let survivors = survivors(&found);
    let survives = |name: &str| survivors.iter().any(|survivor| survivor == name);
    // No zsh and no execveat were started, and nothing failed.
    assert!(survives("element_removed zsh of list shells"), "{survivors:?}");
    assert!(survives("element_removed execveat"), "{survivors:?}");
    assert!(survives("comparison_dropped evt.rawres >= 0"), "{survivors:?}");
    // bash was, cron started one, other programs and other events were there.
    assert!(!survives("element_removed bash of list shells"), "{survivors:?}");
    assert!(!survives("comparison_dropped proc.pname = cron"), "{survivors:?}");
    assert!(!survives("comparison_dropped evt.type in (execve, execveat)"), "{survivors:?}");
    assert!(!survives("comparison_negated proc.name in (bash, zsh)"), "{survivors:?}");
    // evt.rawres is 0: the neighbour of `>=` is told from it.
    assert!(!survives("operator_changed evt.rawres >= 0 (> for >=)"), "{survivors:?}");
    let zsh = found["mutation"]["survivors"].as_array().unwrap();
    let zsh = zsh.iter().find(|mutant| mutant["what"] == "zsh of list shells").unwrap();
    assert_eq!((&zsh["place"]["line"], &zsh["fate"]), (&3.into(), &"unseen".into()));
}

/// The score found with recorded verdicts is that of really loading every mutant: for lists, where that is easy.
#[test]
fn recorded_verdicts_agree_with_rules_that_are_really_changed() {
    let lab = Lab::new();
    for (element, other) in [("bash", "zsh"), ("zsh", "bash")] {
        lab.write("mutant.yaml", &RULES.replace("[bash, zsh]", &format!("[{other}]")));
        let diff = lab.json(&["diff", "--old", "rules.yaml", "--new", "mutant.yaml", "work.scap", "attack.scap"]);
        let noticed = diff["totals"]["lost"] != 0;
        let found = lab.json(&["coverage", "-m", "-r", "rules.yaml", "work.scap", "attack.scap"]);
        let survives = survivors(&found).contains(&format!("element_removed {element} of list shells"));
        assert_eq!(noticed, !survives, "{element}");
    }
}

const CASE: &str = r"
purpose: A shell started by a program that is not cron is reported.
rules: ../rules.yaml
capture: ../attack.scap
expect:
  - rule: Shell
";

#[test]
fn a_case_notices_what_its_expectations_forbid() {
    let lab = Lab::new();
    lab.write("cases/case.yaml", CASE);
    let loose = lab.json(&["coverage", "-m", "cases/"]);
    let fates = |found: &Value, name: &str| {
        let survivors = found["mutation"]["survivors"].as_array().unwrap().clone();
        survivors
            .into_iter()
            .find(|mutant| mutant["what"] == name && mutant["kind"] == "comparison_dropped")
            .map(|m| m["fate"].clone())
    };
    // Without `evt.type` the rule fires more often, which "at least once" allows; "exactly" does not.
    let dropped = "evt.type in (execve, execveat)";
    assert_eq!(fates(&loose, dropped), Some("allowed".into()), "{:?}", survivors(&loose));
    lab.write("cases/case.yaml", &format!("{CASE}    exactly: 1\n"));
    let strict = lab.json(&["coverage", "-m", "cases/"]);
    assert_eq!(fates(&strict, dropped), None, "{:?}", survivors(&strict));
    let percent = |found: &Value| found["mutation"]["total"]["percent"].as_f64().unwrap();
    assert!(percent(&strict) > percent(&loose));
    // Below what is asked for the tool says so.
    assert_eq!(lab.run(&["coverage", "-m", "--min-score", "99", "cases/"]).exit, Exit::Alerts);
    assert_eq!(lab.run(&["coverage", "-m", "--min-score", "1", "cases/"]).exit, Exit::Complete);
}

#[test]
fn one_rule_of_several_is_looked_at() {
    let lab = Lab::new();
    let args = ["coverage", "-m", "-r", "rules.yaml", "--rule", "Shadow read", "work.scap"];
    let found = lab.json(&args);
    let names = |list: &Value| -> Vec<String> {
        list.as_array().unwrap().iter().map(|rule| rule.as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(found["coverage"]["rules"].as_array().unwrap().len(), 1);
    assert_eq!(found["coverage"]["rules"][0]["name"], "Shadow read");
    for piece in found["coverage"]["pieces"].as_array().unwrap() {
        assert_eq!(names(&piece["rules"]), ["Shadow read"]);
    }
    let left = found["mutation"]["survivors"].as_array().unwrap();
    assert!(!left.is_empty() && left.iter().all(|mutant| names(&mutant["rules"]) == ["Shadow read"]), "{left:?}");
    let unknown = lab.run(&["coverage", "-r", "rules.yaml", "--rule", "Shado read", "work.scap"]);
    assert_eq!(unknown.exit, Exit::Usage);
    assert!(unknown.err.contains("did you mean 'Shadow read'?"), "{}", unknown.err);
}

#[test]
fn cases_of_several_folders_have_the_same_rules() {
    let lab = Lab::new();
    lab.write("cases/a/case.yaml", &CASE.replace("../", "../../"));
    lab.write("cases/b/deep/case.yaml", &CASE.replace("../", "../../../"));
    let found = lab.json(&["coverage", "-m", "cases/"]);
    assert_eq!(found["coverage"]["captures"], 2);
    assert_eq!(found["coverage"]["ruleset"], "rules.yaml");
    assert!(!found.to_string().contains(".."), "{found}");
}

#[test]
fn what_cannot_be_read_is_said_once_and_not_counted() {
    let lab = Lab::new();
    let found = lab.run(&["coverage", "-r", "rules.yaml", "gone.scap"]);
    assert_eq!((found.exit, found.err.matches("gone.scap").count()), (Exit::Unreadable, 1), "{}", found.err);
    assert!(found.out.contains("0 captures, 0 events"), "{}", found.out);
}

#[test]
fn threads_make_no_difference() {
    let lab = Lab::new();
    let with = |jobs| lab.run(&["coverage", "-m", "-j", jobs, "-r", "rules.yaml", "work.scap", "attack.scap"]).out;
    assert_eq!(with("1"), with("4"));
}

#[test]
fn a_diff_is_by_meaning() {
    let lab = Lab::new();
    let same = RULES
        .replace("[bash, zsh]", "[zsh, bash, bash]")
        .replace("- list: shells", "- list: my_shells")
        .replace("(shells)", "(my_shells)")
        .replace("started and proc.name", "proc.name")
        .replace("and not known", "and (started and not (proc.pname == \"cron\"))")
        .replace("- macro: known\n  condition: (proc.pname = cron)\n", "");
    lab.write("same.yaml", &same);
    let found = lab.run(&["diff", "--old", "rules.yaml", "--new", "same.yaml", "--exit-code", "work.scap"]);
    assert_eq!(found.exit, Exit::Complete, "{}{}", found.out, found.err);
    assert!(found.out.starts_with("Rules: all mean the same\n"), "{}", found.out);

    let other = RULES
        .replace("[bash, zsh]", "[bash, zsh, id]")
        .replace("NOTICE", "ERROR")
        .replace("shell (line=", "SHELL (line=");
    lab.write("other.yaml", &other.replace("- rule: Shadow read", "- rule: Shadow opened"));
    let found = lab.run(&["diff", "--old", "rules.yaml", "--new", "other.yaml", "--exit-code", "work.scap"]);
    assert_eq!(found.exit, Exit::Alerts);
    for line in [
        "Rules: 1 added, 1 removed, 1 changed in meaning",
        "  ~ Shell  rules",
        "      condition: proc.name in: +id",
        "  + Shadow opened",
        "  - Shadow read",
        "Alerts on 1 capture (",
        ": 1 gained, 0 lost, 2 changed",
        "+ Warning SHELL (line=id parent=sshd)",
        "- Warning shell (line=bash parent=backup)",
    ] {
        let line = line.replace("  ~ Shell  rules", "  ~ Shell  other.yaml");
        assert!(found.out.contains(&line), "{line}\n{}", found.out);
    }
}

#[test]
fn what_an_earlier_rule_takes_is_lost_and_gained() {
    let lab = Lab::new();
    let earlier = "- rule: Anything\n  desc: x\n  condition: evt.type = execve and proc.name = bash\n  output: any\n  priority: NOTICE\n";
    lab.write("first.yaml", earlier);
    let args = ["diff", "--old", "rules.yaml", "--new", "first.yaml", "--new", "rules.yaml", "attack.scap"];
    let found = lab.json(&args);
    assert_eq!((&found["totals"]["gained"], &found["totals"]["lost"]), (&1.into(), &1.into()));
    assert_eq!(found["alerts"][0]["instead"][0], "Shell");
    let all = lab.json(&[&args[..], &["--rule-matching", "all"]].concat());
    assert_eq!((&all["totals"]["gained"], &all["totals"]["lost"]), (&1.into(), &0.into()));
}

#[test]
fn a_tuned_rule_is_quiet_on_work_and_loud_on_the_attack() {
    let lab = Lab::new();
    let args = ["tune", "Shell", "-r", "rules.yaml", "--benign", "work.scap", "--must-fire", "attack.scap"];
    let found = lab.run(&args);
    assert_eq!((found.exit, found.err.as_str()), (Exit::Complete, ""), "{}", found.err);
    assert!(found.out.contains("2 of 2 benign alerts gone, all 1 attack alerts stay"), "{}", found.out);
    assert!(!found.out.lines().any(|line| line.trim_start_matches('#').contains("[bash]")), "{}", found.out);
    // The output is a rule file that does what it says.
    lab.write("tuned.yaml", &found.out);
    let alerts = |capture: &str| {
        let run = lab.run(&["run", "-q", "--output", "json", "-r", "rules.yaml", "-r", "tuned.yaml", capture]);
        assert_eq!(run.exit, Exit::Complete, "{}", run.err);
        let alert = |line: &&str| !line.starts_with("{\"summary") && line.contains("\"rule\":\"Shell\"");
        run.out.lines().filter(alert).count()
    };
    assert_eq!((alerts("work.scap"), alerts("attack.scap")), (0, 1));
}

/// Values that two grammars could take for something else.
#[test]
fn tuned_values_survive_quotes_blanks_and_names_of_lists() {
    for parent in ["back up", "it's", "a\"b", "shells", "x(y),z", "null", "- a", "a: b #c", "=v", "\\x41"] {
        let lab = Lab::new();
        lab.capture("odd.scap", &[(parent, "bash")]);
        let found = lab.run(&[
            "tune",
            "Shell",
            "-r",
            "rules.yaml",
            "--benign",
            "odd.scap",
            "--must-fire",
            "attack.scap",
            "-n",
            "1",
        ]);
        assert_eq!(found.exit, Exit::Complete, "{parent}: {}{}", found.out, found.err);
        assert!(found.out.contains("1 of 1 benign alerts gone"), "{parent}: {}", found.out);
    }
}

#[test]
fn a_rule_that_cannot_be_tuned_is_told() {
    let lab = Lab::new();
    lab.capture("same.scap", &[("nginx", "bash"), ("nginx", "id")]);
    let found = lab.run(&["tune", "Shell", "-r", "rules.yaml", "--benign", "same.scap", "--must-fire", "attack.scap"]);
    assert_eq!(found.exit, Exit::Alerts);
    assert!(
        found.err.contains("no exception of two fields tells the 1 benign hits from the 1 attacks"),
        "{}",
        found.err
    );
    let unproved = lab.run(&["tune", "Shell", "-r", "rules.yaml", "--benign", "work.scap"]);
    assert!(unproved.err.contains("nothing proves that a proposal silences no attack"), "{}", unproved.err);
}
