//! Which rules are asked: files, errors and warnings, selections, filters, time.

use super::{Bench, RULES};

#[test]
fn rule_directories_give_their_files_in_order() {
    let bench = Bench::new();
    bench.write("rules.d/10-base.yaml", RULES);
    bench.write("rules.d/20-local.yml", "- rule: Program ended\n  enabled: false\n  override:\n    enabled: replace\n");
    bench.write("rules.d/README.md", "not: [rules");
    let outcome = bench.run(["-r", "rules.d", "--output", "json", "example.scap"]);
    assert_eq!(outcome.code, 0, "{}", outcome.err);
    let rules = outcome.summary()["triggered_rules"].clone();
    assert_eq!(rules.as_array().unwrap().len(), 1, "{rules}");
}

#[test]
fn rules_that_do_not_load() {
    let bench = Bench::new();
    let rule = |condition: &str, output: &str| {
        format!("- rule: r\n  desc: d\n  condition: {condition}\n  output: {output}\n  priority: INFO\n")
    };
    for (name, text, code, place) in [
        ("yaml", "- rule: [\n".to_owned(), "LOAD_ERR_YAML_PARSE", ""),
        ("field", rule("proc.nmae = x", "x"), "LOAD_ERR_COMPILE_CONDITION", ":3:14"),
        ("macro", rule("evt.type = open and no_such_macro", "x"), "LOAD_ERR_VALIDATE", ":3:"),
        ("output", rule("evt.type = open", "\"%no.such\""), "LOAD_ERR_COMPILE_OUTPUT", ":4:"),
        ("shape", "- rule: r\n  desc: d\n".to_owned(), "LOAD_ERR_YAML_VALIDATE", ":1:"),
    ] {
        let file = format!("{name}.yaml");
        bench.write(&file, text);
        let outcome = bench.run(["-r", &file, "example.scap"]);
        assert_eq!(outcome.code, 3, "{name}: {}", outcome.err);
        assert_eq!(outcome.out, "", "{name}");
        assert!(outcome.err.contains(code), "{name}: {}", outcome.err);
        assert!(outcome.err.contains(&format!("{file}{place}")), "{name}: {}", outcome.err);
        assert_eq!(outcome.err.matches("error").count(), 1, "{name}: {}", outcome.err);
    }
    let missing = bench.run(["-r", "gone.yaml", "example.scap"]);
    assert_eq!(missing.code, 3);
    assert!(missing.err.contains("gone.yaml") && missing.err.contains("LOAD_ERR_FILE_READ"), "{}", missing.err);
}

#[test]
fn warnings_about_rules_are_told_unless_quiet() {
    let bench = Bench::new();
    bench.write("more.yaml", "- macro: nobody_uses_this\n  condition: (evt.type = open)\n");
    let loud = bench.run(["-r", "rules.yaml", "-r", "more.yaml", "example.scap"]);
    assert_eq!(loud.code, 0);
    assert!(loud.err.contains("LOAD_UNUSED_MACRO"), "{}", loud.err);
    assert_eq!(bench.run(["-q", "-r", "rules.yaml", "-r", "more.yaml", "example.scap"]).err, "");
}

#[test]
fn rule_matching_all_reports_every_rule() {
    let bench = Bench::new();
    let first = bench.with_rules("example.scap").alerts().len();
    let all = bench.with_rules("--rule-matching all example.scap");
    let again = all.alerts().iter().filter(|line| line.contains(": Critical again ")).count();
    assert!(again > 0);
    assert_eq!(all.alerts().len(), first + again);
}

#[test]
fn rules_are_selected_by_priority_tag_and_name() {
    let bench = Bench::new();
    let triggered = |options: &str| -> Vec<String> {
        let outcome = bench.with_rules(&format!("--rule-matching all --output json {options} example.scap"));
        assert_eq!(outcome.code, 0, "{options}: {}", outcome.err);
        let rules = outcome.summary()["triggered_rules"].clone();
        rules.as_array().unwrap().iter().map(|rule| rule["rule"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(triggered(""), ["Program started", "Program started again", "Program ended"]);
    assert_eq!(triggered("--priority notice"), ["Program started", "Program started again"]);
    assert_eq!(triggered("--priority INFO"), ["Program started", "Program started again", "Program ended"]);
    assert_eq!(triggered("-t end -t start"), ["Program started", "Program ended"]);
    assert_eq!(triggered("-t sleeping"), ["Sleeping"]);
    assert_eq!(triggered("-t sleeping -t end -T end"), ["Sleeping"]);
    assert_eq!(triggered("-T end"), ["Program started", "Program started again"]);
    assert_eq!(triggered("-D started"), ["Program ended"]);
    assert_eq!(triggered("-D *started"), ["Program started again", "Program ended"]);
    assert_eq!(triggered("-D again -D ended"), ["Program started"]);
}

#[test]
fn a_selection_that_leaves_nothing_is_an_error_and_a_typo_a_warning() {
    let bench = Bench::new();
    let nothing = bench.with_rules("-t no-such-tag example.scap");
    assert_eq!(nothing.code, 3);
    assert_eq!(nothing.out, "");
    assert!(nothing.err.contains("no-such-tag"), "{}", nothing.err);
    let typo = bench.with_rules("-D no-such-rule example.scap");
    assert_eq!(typo.code, 0);
    assert!(typo.err.contains("no-such-rule"), "{}", typo.err);
}

#[test]
fn a_filter_decides_which_events_rules_see() {
    let bench = Bench::new();
    let all = bench.with_rules("example.scap");
    let filtered = bench.run(["-r", "rules.yaml", "--filter", "evt.type = procexit", "example.scap"]);
    assert_eq!(filtered.code, 0, "{}", filtered.err);
    let ended: Vec<_> = all.alerts().into_iter().filter(|line| line.contains(" ended ")).collect();
    assert!(!ended.is_empty());
    assert_eq!(filtered.alerts(), ended);
    for bad in ["evt.tipe = execve", "evt.type =", "some_macro"] {
        let outcome = bench.run(["-r", "rules.yaml", "--filter", bad, "example.scap"]);
        assert_eq!(outcome.code, 3, "{bad}");
        assert_eq!(outcome.out, "", "{bad}");
        assert!(outcome.err.contains("filter"), "{bad}: {}", outcome.err);
    }
}

/// The end of the example, in seconds of its own clock after its beginning, rounded up.
fn example_seconds(bench: &Bench) -> f64 {
    let summary = bench.with_rules("--output json example.scap").summary();
    let time = |key: &str| {
        let text = summary["captures"][0][key].as_str().unwrap().to_owned();
        let (hours, rest) = text[11..29].split_once(':').unwrap();
        let (minutes, seconds) = rest.split_once(':').unwrap();
        hours.parse::<f64>().unwrap() * 3600.0
            + minutes.parse::<f64>().unwrap() * 60.0
            + seconds.parse::<f64>().unwrap()
    };
    time("last_event") - time("first_event")
}

#[test]
fn seconds_are_those_of_the_capture() {
    let bench = Bench::new();
    let seconds = example_seconds(&bench);
    assert!(seconds > 0.0);
    let all = bench.with_rules("example.scap");
    let half = bench.with_rules(&format!("-M {:.9} example.scap", seconds / 2.0));
    assert_eq!(half.code, 0);
    assert!(half.alerts().len() < all.alerts().len());
    assert!(all.out.starts_with(&half.alerts().join("\n")));
    let more = bench.with_rules(&format!("-M {:.3} example.scap", seconds + 1.0));
    assert_eq!(more.out, all.out);
    let json = bench.with_rules(&format!("-M {:.9} --output json example.scap", seconds / 2.0));
    assert_eq!(json.summary()["captures"][0]["completeness"], "stopped");
}
