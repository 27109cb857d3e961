//! Completions and man pages: every tool and subcommand has its page, every script is one for its shell.

use std::io::Write as _;
use std::process::{Command, Stdio};

use casebook_formats::command_line::{Kind, generate};
use casebook_tests::pages::commands;
use clap::ValueEnum as _;

/// Names of the man pages that a tool has to have.
fn names(command: &clap::Command, prefix: &str, names: &mut Vec<String>) {
    let name = format!("{prefix}{}", command.get_name());
    for subcommand in command.get_subcommands().filter(|subcommand| subcommand.get_name() != "help") {
        self::names(subcommand, &format!("{name}-"), names);
    }
    names.push(format!("{name}.1"));
}

#[test]
fn every_subcommand_has_a_man_page() {
    let folder = tempfile::tempdir().expect("a folder");
    for command in commands() {
        let mut out = Vec::new();
        generate(command.clone(), Kind::Man, Some(folder.path()), &mut out).expect("pages are written");
        let mut wanted = Vec::new();
        names(&command, "", &mut wanted);
        assert_eq!(String::from_utf8_lossy(&out).lines().count(), wanted.len(), "each is printed once");
        for name in wanted {
            let page = std::fs::read_to_string(folder.path().join(&name)).unwrap_or_default();
            assert!(page.contains(".SH NAME\n") && page.contains(".SH SYNOPSIS\n"), "{name}: {page}");
            assert!(!page.contains("\n.EXIT"), "{name}: text is no command to the typesetter");
        }
    }
    let convert = std::fs::read_to_string(folder.path().join("casebook-convert.1")).expect("the page is there");
    assert!(convert.contains(".SH \"EXIT STATUS\""), "{convert}");
}

#[test]
fn man_pages_are_set_without_complaint() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut out = Vec::new();
    for command in commands() {
        generate(command, Kind::Man, Some(folder.path()), &mut out).expect("pages are written");
    }
    for page in String::from_utf8_lossy(&out).lines() {
        let set = Command::new("groff").args(["-man", "-Tutf8", "-ww", "-z", page]).output();
        let Ok(set) = set else {
            writeln!(std::io::stderr(), "skipped: no groff on the path").ok();
            return;
        };
        let complaints = String::from_utf8_lossy(&set.stderr).into_owned();
        // Long words of help texts stretch lines; that is no fault of a page.
        let complaints: Vec<&str> = complaints
            .lines()
            .filter(|line| !line.contains("can't break line") && !line.contains("cannot adjust"))
            .collect();
        assert_eq!(complaints, [""; 0], "{page}");
    }
}

#[test]
fn every_script_parses_where_its_shell_is() {
    let shells = [(Kind::Bash, "bash", "-n"), (Kind::Zsh, "zsh", "-n"), (Kind::Fish, "fish", "-n")];
    for command in commands() {
        for kind in Kind::value_variants() {
            let mut script = Vec::new();
            generate(command.clone(), *kind, None, &mut script).expect("scripts are written");
            assert!(!script.is_empty(), "{kind:?} of {}", command.get_name());
            let Some((_, shell, check)) = shells.iter().find(|(shell, ..)| shell == kind) else { continue };
            let child = Command::new(shell).arg(check).stdin(Stdio::piped()).stderr(Stdio::piped()).spawn();
            let Ok(mut child) = child else {
                writeln!(std::io::stderr(), "skipped: no {shell} on the path").ok();
                continue;
            };
            child.stdin.take().expect("piped").write_all(&script).expect("the shell reads");
            let output = child.wait_with_output().expect("the shell ends");
            assert!(output.status.success(), "{shell}: {}", String::from_utf8_lossy(&output.stderr));
        }
    }
}

#[test]
fn a_tool_generates_whatever_else_it_asks_for() {
    let run = |args: &[&str]| {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let exit = casebook_formats::cli::run_to(args, &mut out, &mut err);
        (exit, String::from_utf8_lossy(&out).into_owned(), String::from_utf8_lossy(&err).into_owned())
    };
    let (exit, out, err) = run(&["casebook", "--generate", "bash"]);
    assert_eq!((exit, err.as_str()), (casebook_formats::cli::Exit::Complete, ""));
    assert!(out.contains("_casebook()"));
    let (exit, out, err) = run(&["casebook", "--generate=cobol"]);
    assert_eq!((exit, out.as_str()), (casebook_formats::cli::Exit::Usage, ""));
    assert!(err.contains("expected one of bash"), "{err}");
}
