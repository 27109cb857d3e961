//! `casebook-replay run` as a user meets it: options, inputs, outputs, exit codes, on the built-in example capture.

// What fails in the set-up of a test is a failure of the test.
#![allow(clippy::unwrap_used)]

use std::ffi::OsStr;
use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use casebook_fixtures::EXAMPLE;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::Value;
use tempfile::TempDir;

/// Every program start is one alert, every program end another.
const RULES: &str = "\
- macro: started
  condition: (evt.type in (execve, execveat))
- rule: Program started
  desc: every program start
  condition: started
  output: started %proc.name (tid=%thread.tid)
  priority: NOTICE
  tags: [process, start]
- rule: Program started again
  desc: hidden behind the rule before, unless all matches count
  condition: started
  output: again %proc.name
  priority: CRITICAL
  tags: [process]
- rule: Program ended
  desc: every end of a process
  condition: evt.type = procexit
  output: ended %proc.name
  priority: INFO
  tags: [process, end]
- rule: Sleeping
  desc: disabled in the file
  condition: evt.type = procexit
  output: sleeping %proc.name
  priority: DEBUG
  enabled: false
  tags: [sleeping]
";

struct Outcome {
    code: i32,
    out: String,
    err: String,
}

impl Outcome {
    /// Alert lines in text form: everything before the summary.
    fn alerts(&self) -> Vec<&str> {
        self.out.lines().take_while(|line| !line.starts_with("Events detected: ")).collect()
    }

    fn json(&self) -> Vec<Value> {
        self.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    fn summary(&self) -> Value {
        self.json().pop().unwrap()["summary"].clone()
    }
}

/// A folder with the rules above and the example capture.
struct Bench {
    root: TempDir,
}

impl Bench {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("rules.yaml"), RULES).unwrap();
        fs::write(root.path().join("example.scap"), EXAMPLE).unwrap();
        Self { root }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        path
    }

    fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_casebook-replay"));
        command.current_dir(self.root.path());
        command
    }

    fn run<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Outcome {
        let output = self.command().args(args).stdin(Stdio::null()).output().unwrap();
        Outcome {
            code: output.status.code().unwrap(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// With the rules above and the given words.
    fn with_rules(&self, words: &str) -> Outcome {
        self.run(["-r", "rules.yaml"].into_iter().chain(words.split_whitespace()))
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

#[test]
fn inputs_are_files_directories_globs_and_standard_input() {
    let bench = Bench::new();
    bench.write("dir/a.scap", EXAMPLE);
    bench.write("dir/deeper/b.scap", EXAMPLE);
    bench.write("dir/notes.txt", "notes");
    let one = bench.with_rules("example.scap").alerts().len();
    for (arguments, captures) in
        [("dir", 2), ("dir/*.scap", 1), ("example.scap dir", 3), ("d*", 2), ("example.scap example.scap", 2)]
    {
        let outcome = bench.with_rules(arguments);
        assert_eq!(outcome.code, 0, "{arguments}: {}", outcome.err);
        assert_eq!(outcome.alerts().len(), one * captures, "{arguments}");
    }
    let headed = bench.with_rules("dir");
    assert!(headed.err.contains("== dir/a.scap") && headed.err.contains("== dir/deeper/b.scap"), "{}", headed.err);
    assert!(headed.err.contains("1 file"), "{}", headed.err);
    assert_eq!(bench.with_rules("-q dir").err, "");

    let mut child =
        bench.command().args(["-r", "rules.yaml", "-"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(EXAMPLE).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(String::from_utf8(output.stdout).unwrap(), bench.with_rules("example.scap").out);
}

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
fn output_goes_to_a_file_and_never_over_an_input() {
    let bench = Bench::new();
    let direct = bench.with_rules("example.scap");
    let outcome = bench.with_rules("-o alerts.txt example.scap");
    assert_eq!((outcome.code, outcome.out.as_str()), (0, ""));
    assert_eq!(fs::read_to_string(bench.path("alerts.txt")).unwrap(), direct.out);
    for target in ["example.scap", "./example.scap", "rules.yaml"] {
        let outcome = bench.with_rules(&format!("-o {target} example.scap"));
        assert_eq!(outcome.code, 2, "{target}");
        assert_eq!(fs::read(bench.path("example.scap")).unwrap(), EXAMPLE);
        assert_eq!(fs::read_to_string(bench.path("rules.yaml")).unwrap(), RULES);
    }
    assert_eq!(bench.with_rules("-o no/such/folder/x example.scap").code, 6);
}

#[test]
fn alerts_can_decide_the_exit_code() {
    let bench = Bench::new();
    assert_eq!(bench.with_rules("--fail-on-alert example.scap").code, 1);
    assert_eq!(bench.with_rules("--fail-on-alert=notice example.scap").code, 1);
    assert_eq!(bench.with_rules("--fail-on-alert=error example.scap").code, 0);
    assert_eq!(bench.with_rules("--fail-on-alert example.scap gone.scap").code, 4);
}

/// A bad input between two good ones: one message, the others replayed, the documented code.
fn bad_input(bench: &Bench, bad: &Path, code: i32, message: &str) {
    let good = bench.with_rules("example.scap").alerts().len();
    let name = bad.display().to_string();
    let outcome = bench.run(["-r", "rules.yaml", "example.scap", &name, "example.scap"]);
    assert_eq!(outcome.code, code, "{name}: {}", outcome.err);
    let about_the_run = |line: &&str| line.starts_with("==") || line.starts_with("3 captures, ");
    let told: Vec<_> = outcome.err.lines().filter(|line| !about_the_run(line)).collect();
    assert_eq!(told.len(), 1, "{name}: {}", outcome.err);
    assert!(told[0].contains(&name) && told[0].contains(message), "{name}: {}", told[0]);
    assert!(outcome.alerts().len() >= 2 * good, "{name}");
    let json = bench.run(["-r", "rules.yaml", "--output", "json", "-q", "example.scap", &name, "example.scap"]);
    assert_eq!(json.code, code);
    let captures = json.summary()["captures"].clone();
    assert_eq!(captures[0]["completeness"], "complete");
    assert_ne!(captures[1]["completeness"], "complete");
    assert_eq!(captures[2]["completeness"], "complete");
}

#[test]
fn inputs_that_cannot_be_read() {
    let bench = Bench::new();
    bad_input(&bench, Path::new("gone.scap"), 4, "No such file");
    bad_input(&bench, &bench.write("empty.scap", ""), 4, "empty");
    bad_input(&bench, &bench.write("text.scap", "just some text\n"), 4, "not a scap capture");
    fs::create_dir(bench.path("void")).unwrap();
    bad_input(&bench, Path::new("void"), 4, "no captures");
}

#[test]
fn inputs_that_end_too_early() {
    let bench = Bench::new();
    let cut = bench.write("cut.scap", &EXAMPLE[..EXAMPLE.len() - 7]);
    bad_input(&bench, &cut, 5, "offset");
    let mut packed = GzEncoder::new(Vec::new(), Compression::default());
    packed.write_all(EXAMPLE).unwrap();
    let packed = packed.finish().unwrap();
    bad_input(&bench, &bench.write("cut.scap.gz", &packed[..packed.len() - 20]), 5, "offset");
    assert_eq!(bench.with_rules(bench.write("whole.scap.gz", &packed).to_str().unwrap()).code, 0);
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
fn command_lines_that_make_no_sense() {
    let bench = Bench::new();
    for words in [
        "",
        "--no-such-option",
        "-j 0 example.scap",
        "-M 0 example.scap",
        "-M x example.scap",
        "--output xml example.scap",
        "--priority loud example.scap",
        "--rule-matching some example.scap",
        "--example example.scap",
    ] {
        let outcome = bench.run(words.split_whitespace());
        assert_eq!(outcome.code, 2, "{words}: {}", outcome.err);
        assert_eq!(outcome.out, "", "{words}");
        assert!(!outcome.err.is_empty(), "{words}");
    }
    for words in ["--help", "-h", "run --help", "fields --help", "--version"] {
        let outcome = bench.run(words.split_whitespace());
        assert_eq!((outcome.code, outcome.err.as_str()), (0, ""), "{words}");
        assert!(outcome.out.contains("casebook-replay"), "{words}");
    }
    assert!(bench.run(["--help"]).out.contains("Exit codes:\n    0  "));
}

#[test]
fn a_reader_that_goes_away_ends_the_run_quietly() {
    let bench = Bench::new();
    for copy in 0..200 {
        bench.write(&format!("many/{copy:03}.scap"), EXAMPLE);
    }
    let mut child = bench
        .command()
        .args(["-r", "rules.yaml", "-q", "--rule-matching", "all", "many"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut first = [0; 10];
    let mut out = child.stdout.take().unwrap();
    out.read_exact(&mut first).unwrap();
    drop(out);
    let output = child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
    assert_eq!(output.status.code(), Some(141));
}

#[test]
fn names_cannot_play_tricks_on_a_terminal() {
    let bench = Bench::new();
    let outcome = bench.run(["-r", "rules.yaml", "evil\u{1b}[31m.scap"]);
    assert_eq!(outcome.code, 4);
    assert!(!outcome.err.contains('\u{1b}') && outcome.err.contains("evil\\x1b"), "{}", outcome.err);
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
