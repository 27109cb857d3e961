//! What README.md shows is what the tools do: its first command's output, its demo rule, its exit codes.

use casebook_replay::cli::{self, Exit, Terminals};

const README: &str = include_str!("../../README.md");
const CI: &str = include_str!("../../.ci/run");

/// Runs `casebook-replay` with these arguments.
fn replay(args: &[&str]) -> (Exit, String) {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let exit = cli::run_on([&["casebook-replay"], args].concat(), &mut out, &mut err, Terminals::default());
    (exit, String::from_utf8(out).expect("output is UTF-8"))
}

/// The fenced blocks of a language.
fn blocks(language: &str) -> Vec<&'static str> {
    let fence = format!("```{language}\n");
    README.split(&fence).skip(1).filter_map(|rest| rest.split("```").next()).collect()
}

#[test]
fn the_first_command_prints_what_stands_below_it() {
    assert!(blocks("sh")[0].contains("cargo run --release -p casebook-replay -- --example"));
    let (exit, out) = replay(&["--example"]);
    assert_eq!(exit, Exit::Complete);
    let mut lines = out.lines();
    for shown in blocks("text")[0].lines() {
        // An ellipsis stands for the rest of a line, or for lines.
        let (begin, cut) = shown.split_once('…').map_or((shown, false), |(begin, _)| (begin, true));
        let fits = |line: &str| if cut { line.starts_with(begin) } else { line == begin };
        assert!(begin.trim().is_empty() || lines.any(fits), "not in this order in the output: {shown}\n{out}");
    }
}

#[test]
fn the_second_command_is_the_one_that_ci_runs() {
    assert!(blocks("sh")[0].contains("cargo test --workspace"));
    assert!(CI.lines().any(|line| line.trim_end() == "step tests cargo test --workspace"));
}

#[test]
fn the_demo_rule_fires_on_the_example() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("demo.yaml");
    std::fs::write(&file, blocks("yaml")[0]).expect("the rule can be written");
    let (exit, out) = replay(&["--example", "-r", file.to_str().expect("a UTF-8 path")]);
    assert_eq!(exit, Exit::Complete);
    let begin = "Warning shell in a container (user=";
    assert!(out.lines().any(|line| line.contains(begin) && line.contains("shell=bash parent=")), "{out}");
    assert!(out.lines().any(|line| line.starts_with("   shell_in_container: ")), "{out}");
}

#[test]
fn the_exit_codes_are_those_of_the_help() {
    let (_, help) = replay(&["run", "--help"]);
    let (_, help) = help.split_once("Exit codes:\n").expect("the help lists exit codes");
    let help: Vec<(&str, &str)> = help.lines().map_while(|line| line.trim_start().split_once("  ")).collect();
    let rows: Vec<(String, String)> = README
        .lines()
        .skip_while(|line| !line.starts_with("| code |"))
        .skip(2)
        .map_while(|line| line.strip_prefix("| ")?.strip_suffix(" |")?.split_once(" | "))
        .map(|(code, meaning)| (code.to_owned(), meaning.replace('`', "").replace("\\|", "|")))
        .collect();
    assert!(!rows.is_empty());
    let help: Vec<(String, String)> =
        help.into_iter().map(|(code, meaning)| (code.to_owned(), meaning.replace('`', ""))).collect();
    assert_eq!(rows, help);
}

#[test]
fn every_command_that_is_shown_exists() {
    let commands = blocks("sh").concat();
    for line in commands.lines() {
        let Some((_, command)) = line.split_once("casebook-replay ") else { continue };
        let Some(word) = command.split_whitespace().next().filter(|word| word.chars().all(char::is_alphabetic)) else {
            continue;
        };
        let (exit, help) = replay(&[word, "--help"]);
        assert_eq!(exit, Exit::Complete, "{line}");
        assert!(help.contains(&format!("Usage: casebook-replay {word}")), "{line}\n{help}");
    }
}
