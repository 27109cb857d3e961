//! What goes in and how it ends: inputs, outputs, exit codes, messages.

use std::fs;
use std::io::{Read, Write};
use std::path::Path;
use std::process::Stdio;

use casebook_fixtures::EXAMPLE;
use flate2::Compression;
use flate2::write::GzEncoder;

use super::{Bench, RULES};

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
