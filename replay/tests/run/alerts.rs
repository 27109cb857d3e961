//! What a run prints: alerts and summary, as text and as JSON, whatever the number of workers.

use casebook_fixtures::EXAMPLE;

use super::Bench;

#[test]
fn the_first_command_of_a_newcomer_shows_alerts() {
    let bench = Bench::new();
    let outcome = bench.run(["--example"]);
    assert_eq!(outcome.code, 0, "{}", outcome.err);
    assert!(outcome.alerts().len() >= 5, "{}", outcome.out);
    assert_eq!(outcome.err, "");
    let same = bench.run(["run", "example.scap"]);
    assert_eq!(same.out, outcome.out);
}

#[test]
fn text_is_alerts_then_falcos_headings_then_the_ledger() {
    let bench = Bench::new();
    let outcome = bench.with_rules("example.scap");
    assert_eq!(outcome.code, 0, "{}", outcome.err);
    let alerts = outcome.alerts();
    let started = alerts.iter().filter(|line| line.contains(": Notice started ")).count();
    let ended = alerts.iter().filter(|line| line.contains(": Informational ended ")).count();
    assert!(started > 0 && ended > 0, "{}", outcome.out);
    assert_eq!(started + ended, alerts.len());
    let time = &alerts[0][..20];
    assert!(
        time.bytes().enumerate().all(|(at, byte)| match at {
            2 | 5 | 18 => byte == b':',
            8 => byte == b'.',
            19 => byte == b' ',
            _ => byte.is_ascii_digit(),
        }),
        "{time}"
    );
    let rest: Vec<&str> = outcome.out.lines().skip(alerts.len()).collect();
    assert_eq!(
        rest[..7],
        [
            &*format!("Events detected: {}", alerts.len()),
            "Rule counts by severity:",
            &*format!("   NOTICE: {started}"),
            &*format!("   INFO: {ended}"),
            "Triggered rules by rule name:",
            &*format!("   Program started: {started}"),
            &*format!("   Program ended: {ended}"),
        ]
    );
    assert!(rest[7].starts_with("Ledger of anomalies:"), "{}", rest[7]);
}

#[test]
fn json_is_one_object_a_line_and_the_summary_last() {
    let bench = Bench::new();
    let text = bench.with_rules("example.scap");
    let outcome = bench.with_rules("--output json example.scap");
    assert_eq!(outcome.code, 0);
    let mut lines = outcome.json();
    let summary = lines.pop().unwrap();
    assert_eq!(lines.len(), text.alerts().len());
    for (line, text) in lines.iter().zip(text.alerts()) {
        assert_eq!(line["output"], text);
        assert_eq!(line["source"], "syscall");
        let time = line["time"].as_str().unwrap();
        assert!(time.len() == 30 && time.ends_with('Z'), "{time}");
        assert!(line["hostname"].is_string() && line["tags"].is_array() && line["output_fields"].is_object());
    }
    assert_eq!(summary["summary"]["events_detected"], lines.len());
    assert_eq!(summary["summary"]["captures"][0]["completeness"], "complete");
}

#[test]
fn any_number_of_jobs_gives_the_same_bytes() {
    let bench = Bench::new();
    for copy in 0..12 {
        bench.write(&format!("many/{copy:02}.scap"), EXAMPLE);
    }
    bench.write("many/05b.scap", "not a capture");
    for form in ["text", "json"] {
        let run = |jobs: u32| bench.with_rules(&format!("--rule-matching all --output {form} -j {jobs} many"));
        let one = run(1);
        assert_eq!(one.code, 4);
        assert!(one.out.len() > 1000);
        for jobs in [2, 8] {
            let many = run(jobs);
            assert_eq!((many.code, &many.out, &many.err), (one.code, &one.out, &one.err), "-j {jobs}");
        }
    }
}

/// The rule that everybody writes first.
#[test]
fn the_demo_rule_of_the_field_works_unchanged() {
    let bench = Bench::new();
    let rule = "\
- rule: shell_in_container
  desc: notice shell activity within a container
  condition: evt.type = execve and evt.dir = < and container.id != host and (proc.name = bash or proc.name = ksh)
  output: shell in a container (user=%user.name container_id=%container.id container_name=%container.name \
      shell=%proc.name parent=%proc.pname cmdline=%proc.cmdline)
  priority: WARNING
";
    bench.write("demo.yaml", rule);
    let outcome = bench.run(["-r", "demo.yaml", "example.scap"]);
    assert_eq!(outcome.code, 0, "{}", outcome.err);
    let alerts = outcome.alerts();
    let plain: Vec<_> = alerts.iter().filter(|line| line.ends_with(" cmdline=bash)")).collect();
    assert!(!plain.is_empty(), "{}", outcome.out);
    for line in plain {
        let parts = [
            ": Warning shell in a container (user=",
            " container_id=7f3a90c41be2 container_name=web",
            " shell=bash parent=",
        ];
        assert!(parts.iter().all(|part| line.contains(part)), "{line}");
    }
    let count = format!("   shell_in_container: {}\n", alerts.len());
    assert!(outcome.out.contains(&count), "{}", outcome.out);
}

#[test]
fn the_library_entry_runs_in_process() {
    let bench = Bench::new();
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let rules = bench.path("rules.yaml").display().to_string();
    let capture = bench.path("example.scap").display().to_string();
    let code = casebook_replay::cli::run(["casebook-replay", "-r", &rules, &capture], &mut out, &mut err);
    assert_eq!(format!("{code:?}"), format!("{:?}", std::process::ExitCode::SUCCESS));
    assert_eq!(String::from_utf8(out).unwrap(), bench.with_rules("example.scap").out);
}
