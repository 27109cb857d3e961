//! Every command in every form over the [`World`]: a new command or form is a row of [`COMMANDS`].

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use casebook_analyze::frames::utf8;
use casebook_formats::terminal::is_harmful;

use super::world::World;
use super::{analyze, csv_is_harmless, harmless_text, texts};

/// What the bytes of an output are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Form {
    /// Lines for people.
    Text,
    /// JSON objects a line.
    Lines,
    /// The same, and all paths are there as they were.
    AllLines,
    /// One JSON object.
    Json,
    Csv,
    Html,
    Markdown,
    /// Nothing on standard output; files in OUT.
    Folder,
}
use Form::{AllLines, Csv, Folder, Html, Json, Lines, Markdown, Text};

const COMMANDS: &[(Form, &[&str])] = &[
    (Text, &["tree", "-r", "RULES", "--full", "CAPTURE"]),
    (Lines, &["tree", "-r", "RULES", "--json", "CAPTURE"]),
    (
        Text,
        &["timeline", "-r", "RULES", "--kinds", "alert,exec,exit,file,network,dns,container,audit", "CAPTURE", "AUDIT"],
    ),
    (
        Lines,
        &[
            "timeline",
            "-r",
            "RULES",
            "--kinds",
            "alert,exec,exit,file,network,dns,container,audit",
            "--json",
            "CAPTURE",
            "AUDIT",
        ],
    ),
    (Text, &["follow", "CAPTURE"]),
    (Text, &["follow", "--form", "hex", "--color", "never", "CAPTURE"]),
    (Text, &["spectrogram", "CAPTURE"]),
    (Json, &["spectrogram", "--json", "CAPTURE"]),
    (Text, &["stats", "--by", "proc.name", "--by", "proc.cmdline", "--by", "fd.name", "--by", "evt.args", "CAPTURE"]),
    (Lines, &["stats", "--by", "proc.name", "--by", "proc.cmdline", "--by", "fd.name", "--json", "CAPTURE"]),
    (Text, &["files", "-n", "0", "--by", "use", "CAPTURE"]),
    (AllLines, &["files", "-n", "0", "--format", "jsonl", "CAPTURE"]),
    (Csv, &["files", "-n", "0", "--format", "csv", "CAPTURE"]),
    (Text, &["net", "--unix", "-n", "0", "CAPTURE"]),
    (Lines, &["net", "--unix", "-n", "0", "--by", "connection", "--format", "jsonl", "CAPTURE"]),
    (Csv, &["net", "--unix", "-n", "0", "--by", "process", "--format", "csv", "CAPTURE"]),
    (Text, &["baseline", "CAPTURE", "--benign", "BENIGN"]),
    (Lines, &["baseline", "--json", "CAPTURE", "--benign", "BENIGN"]),
    (Text, &["ioc", "--ioc", "IOC", "CAPTURE", "AUDIT"]),
    (Lines, &["ioc", "--ioc", "IOC", "--json", "CAPTURE", "AUDIT"]),
    (Text, &["packets", "--packets", "PCAP", "CAPTURE"]),
    (Lines, &["packets", "--packets", "PCAP", "--query", "SELECT * FROM packets", "--format", "jsonl", "CAPTURE"]),
    (Csv, &["packets", "--packets", "PCAP", "--query", "SELECT * FROM packets", "--format", "csv", "CAPTURE"]),
    (
        Html,
        &[
            "report",
            "-r",
            "RULES",
            "--ioc",
            "IOC",
            "--title",
            "<script>alert(1)</script>",
            "--case",
            "\u{1b}[2J|`",
            "CAPTURE",
            "AUDIT",
        ],
    ),
    (Json, &["report", "-r", "RULES", "--ioc", "IOC", "--json", "CAPTURE", "AUDIT"]),
    (Markdown, &["report", "-r", "RULES", "--ioc", "IOC", "--title", "|`", "--md", "CAPTURE", "AUDIT"]),
    (AllLines, &["export", "-r", "RULES", "--ecs", "-", "CAPTURE", "AUDIT"]),
    (AllLines, &["export", "-r", "RULES", "--ocsf", "-", "CAPTURE", "AUDIT"]),
    (Lines, &["export", "-r", "RULES", "--timesketch", "-", "CAPTURE", "AUDIT"]),
    (Json, &["export", "-r", "RULES", "--perfetto", "-", "CAPTURE", "AUDIT"]),
    (Folder, &["export", "-r", "RULES", "--events", "--csv", "OUT", "CAPTURE", "AUDIT"]),
    (Folder, &["export", "-r", "RULES", "--events", "--parquet", "OUT", "CAPTURE", "AUDIT"]),
];

#[test]
fn texts_are_harmless_in_every_command_and_form() {
    let world = World::new();
    let mut wrong = Vec::new();
    for (form, words) in COMMANDS {
        let out = world.folder.path().join("out");
        let _ = std::fs::remove_dir_all(&out);
        let mut args = world.args(words);
        if !["follow", "spectrogram", "stats"].contains(&words[0]) {
            args.insert(1, "--no-cache".to_owned());
        }
        let (code, bytes, err) = analyze(&args);
        // Data is shown with its tabs, which move nothing but the next word.
        let bytes =
            if words[0] == "follow" { bytes.into_iter().filter(|byte| *byte != b'\t').collect() } else { bytes };
        let judged = std::panic::catch_unwind(|| {
            assert_eq!(code, ExitCode::SUCCESS, "{err}");
            harmless_text(err.as_bytes(), &BTreeSet::new());
            judge(*form, &bytes, &out);
        });
        if judged.is_err() {
            wrong.push(words);
        }
    }
    assert!(wrong.is_empty(), "{wrong:?}");
}

fn judge(form: Form, bytes: &[u8], folder: &Path) {
    if form == Folder {
        let mut files = 0;
        each_file(folder, &mut |path| {
            files += 1;
            let inside = path.strip_prefix(folder).unwrap().to_str().unwrap();
            assert!(!inside.chars().any(is_harmful) && inside.len() < 400, "{inside:?}");
            let bytes = std::fs::read(path).unwrap();
            match path.extension().and_then(|ending| ending.to_str()) {
                Some("csv") => csv_is_harmless(&bytes),
                Some("parquet") => assert!(bytes.ends_with(b"PAR1")),
                other => panic!("{other:?}"),
            }
        });
        assert!(files > 5);
        return;
    }
    harmless_text(bytes, &BTreeSet::new());
    let text = std::str::from_utf8(bytes).unwrap();
    assert!(text.len() > 100, "{text}");
    // What a capture calls a line end begins no line.
    let forged = text.lines().find(|line| line.starts_with("second") || line.starts_with("third"));
    assert_eq!(forged, None);
    match form {
        Lines => drop(strings_of_lines(text)),
        AllLines => {
            let found = strings_of_lines(text);
            for (about, path) in texts() {
                let path = format!("/tmp/{}", utf8(path.split(|byte| *byte == 0).next().unwrap()));
                assert!(path.len() >= 4096 || found.contains(&path), "{about} is lost: {path:?}");
            }
        }
        Json => drop(serde_json::from_str::<serde_json::Value>(text).unwrap()),
        Csv => csv_is_harmless(bytes),
        Html => {
            // A script, the data of the chart and a style are the page's own.
            assert_eq!((text.matches("<script").count(), text.matches("<style").count()), (2, 1));
            for tag in ["<img", "<iframe", "<svg onload", "javascript:1)\""] {
                assert!(!text.contains(tag), "{tag}");
            }
        }
        Markdown => markdown(text),
        Text | Folder => {}
    }
}

/// No HTML, no links, and every row of a table has the cells of its head.
fn markdown(text: &str) {
    let mut cells = None;
    // The queries that give all rows are ours, and stand in code.
    for line in text.lines().filter(|line| !line.starts_with("`casebook-analyze ")) {
        let plain: String = {
            let mut escaped = false;
            line.chars()
                .filter(|c| {
                    let shown = !escaped;
                    escaped = shown && *c == '\\';
                    shown && *c != '\\'
                })
                .collect()
        };
        for acts in ["<script", "<img", "<b>", "](", "~~"] {
            assert!(!plain.contains(acts), "{acts}: {line}");
        }
        assert_eq!(plain.matches('`').count(), 0, "{line}");
        let bars = plain.matches('|').count();
        match cells {
            Some(expected) if bars > 0 => assert_eq!(bars, expected, "{line}"),
            _ => cells = (bars > 0).then_some(bars),
        }
    }
}

/// All texts in the JSON objects of lines.
fn strings_of_lines(text: &str) -> BTreeSet<String> {
    fn collect(value: &serde_json::Value, into: &mut BTreeSet<String>) {
        match value {
            serde_json::Value::String(text) => drop(into.insert(text.clone())),
            serde_json::Value::Array(values) => values.iter().for_each(|value| collect(value, into)),
            serde_json::Value::Object(values) => values.values().for_each(|value| collect(value, into)),
            _ => {}
        }
    }
    let mut found = BTreeSet::new();
    for line in text.lines() {
        collect(&serde_json::from_str(line).unwrap(), &mut found);
    }
    found
}

fn each_file(folder: &Path, look: &mut dyn FnMut(&Path)) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { each_file(&path, look) } else { look(&path) }
    }
}

#[test]
fn the_shell_is_harmless_too() {
    let world = World::new();
    let mut shell = Command::new(env!("CARGO_BIN_EXE_casebook-analyze"))
        .args(world.args(&["sql", "--no-cache", "--packets", "PCAP", "-r", "RULES", "CAPTURE", "AUDIT"]))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = "SELECT * FROM processes;\n.saved rare-processes\nSELECT * FROM packets;\nSELECT * FROM alerts;\n\
                 .format jsonl\nSELECT * FROM k8s_audit;\n.format csv\nSELECT * FROM containers;\n\
                 .schema \u{1b}[31m\u{202e}\n.nonsense\u{9b}2J\nSELECT \u{1b}[31m nonsense;\nSELECT \"\u{202e}\" FROM users;\n";
    shell.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
    let done = shell.wait_with_output().unwrap();
    assert_eq!(done.status.code(), Some(2), "some of these were no questions");
    harmless_text(&done.stdout, &BTreeSet::new());
    harmless_text(&done.stderr, &BTreeSet::new());
    assert!(done.stdout.len() > 10_000);
}
