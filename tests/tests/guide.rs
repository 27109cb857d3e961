//! Every command of `fixtures/GUIDE.md` is run as it stands there, in order, in a folder of its own; the files it says to
//! save are saved. Blocks marked `run=no` name files that the reader has and we do not: their commands only have to exist.

use std::fs;
use std::path::Path;

use casebook_replay::cli::{self, Exit, Terminals};

const GUIDE: &str = include_str!("../../fixtures/GUIDE.md");

/// A fenced block: what stands behind the fence, and its lines.
fn blocks() -> Vec<(&'static str, &'static str)> {
    let mut blocks = Vec::new();
    let mut rest = GUIDE;
    while let Some((_, after)) = rest.split_once("\n```") {
        let (info, after) = after.split_once('\n').expect("a fence ends its line");
        let (body, after) = after.split_once("\n```").expect("a block is closed");
        blocks.push((info.trim(), body));
        rest = after;
    }
    blocks
}

/// A command line as a shell splits it.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    for c in line.chars() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (None, '\'' | '"') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, ' ') => words.extend(word.take()),
            (_, c) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

/// Runs `casebook-replay` in this process; paths that begin in the scratch folder are put there.
fn run(line: &str, folder: &Path) -> (Exit, String, String) {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures");
    let place = |word: String| -> String {
        let scratch = ["rules/", "cases/", "results.xml"].iter().any(|begin| word.starts_with(begin));
        if scratch {
            folder.join(&word).to_str().expect("UTF-8").to_owned()
        } else if let Some(below) = word.strip_prefix("fixtures/") {
            fixtures.join(below).to_str().expect("UTF-8").to_owned()
        } else {
            word
        }
    };
    let args: Vec<String> = words(line).into_iter().map(place).collect();
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let exit = cli::run_on(args, &mut out, &mut err, Terminals::default());
    (exit, String::from_utf8_lossy(&out).into_owned(), String::from_utf8_lossy(&err).into_owned())
}

#[test]
fn every_command_of_the_guide_does_what_it_says() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut told = Vec::new();
    for (info, body) in blocks() {
        if let Some((_, name)) = info.split_once("file=") {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
            fs::write(path, format!("{body}\n")).expect("a file");
        } else if info == "sh" {
            for line in body.lines() {
                assert!(line.starts_with("casebook-replay "), "not run: {line}");
                let (exit, out, err) = run(line, folder.path());
                assert_eq!(exit, Exit::Complete, "{line}\n{out}\n{err}");
                assert!(!out.is_empty() || line.contains(" lint "), "{line} says nothing");
                told.push((line, out));
            }
        }
    }
    // What the text around the commands says of them.
    let said = |begin: &str| &told.iter().find(|(line, _)| line.starts_with(begin)).expect(begin).1;
    assert!(said("casebook-replay events").contains("wget -qO /dev/shm/.d"));
    assert!(said("casebook-replay --example").contains("Hidden program in a container: 2"));
    assert!(said("casebook-replay explain").contains("stands earlier"));
    assert!(said("casebook-replay explain").contains("missed by one comparison"));
    assert!(said("casebook-replay test cases/").contains("2 cases: 2 passed"));
    assert!(said("casebook-replay coverage --mutants --rule").contains("1 of 1      rules reported"));
    assert!(said("casebook-replay test --junit").contains("digest: blake3:"));
    let xml = fs::read_to_string(folder.path().join("results.xml")).expect("the JUnit file");
    assert!(xml.contains(r#"tests="2" failures="0""#), "{xml}");
    // Nothing was to be blessed, so nothing changed.
    let case = fs::read_to_string(folder.path().join("cases/hidden-program/case.yaml")).expect("the case");
    assert!(GUIDE.contains(case.trim_end()));
}

#[test]
fn commands_that_are_not_run_exist() {
    for (_, body) in blocks().into_iter().filter(|(info, _)| *info == "sh run=no") {
        for line in body.lines().filter(|line| line.starts_with("casebook-replay ")) {
            let word = line.split_whitespace().nth(1).expect("a word");
            if !word.contains('.') {
                let (exit, help, _) = run(&format!("casebook-replay {word} --help"), Path::new("."));
                assert_eq!(exit, Exit::Complete, "{line}");
                for option in line.split_whitespace().filter(|word| word.starts_with("--")) {
                    assert!(help.contains(option), "{line}: {option}");
                }
            }
        }
    }
}
