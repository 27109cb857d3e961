//! Texts of a capture come out harmless in every form.
//!
//! A table of texts times a table of outputs: [`OUTPUTS`] are those of `sql`, checked cell by cell, with how each is made from
//! a capture and what has to hold of its bytes; `commands` has every command in every form.

mod commands;
mod world;

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use arrow_array::cast::AsArray as _;
use arrow_array::{Array as _, RecordBatch};
use casebook_analyze::frames::utf8;
use casebook_fixtures::{Exec, Proc, Trace, Value, flags};
use casebook_formats::tables::ppme;
use casebook_formats::terminal::is_harmful;

use super::{analyze, file};

/// What attackers call files.
fn texts() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("plain", b"plain".to_vec()),
        ("colours and a title", b"\x1b[31mred\x1b[0m\x1b]0;owned\x07".to_vec()),
        ("a C1 control", "\u{9b}2J".as_bytes().to_vec()),
        ("a line end", b"first\nsecond\r\nthird".to_vec()),
        ("HTML", b"<script>alert(1)</script><img src=x onerror=alert(1)>&amp;\"'".to_vec()),
        ("a formula", b"=HYPERLINK(\"evil.example\",\"click\")".to_vec()),
        ("a formula with a sign", b"+1+cmd|' /C calc'!A0".to_vec()),
        ("a formula at", b"@SUM(1+1)".to_vec()),
        ("an option", b"-rf".to_vec()),
        ("right to left", "exe.\u{202e}gpj".as_bytes().to_vec()),
        ("invisible", "a\u{200b}b\u{2066}c\u{feff}".as_bytes().to_vec()),
        ("no UTF-8", b"caf\xe9 \xff\xfe \xc3".to_vec()),
        ("quotes and separators", b"a,b;c\td\"e\"|f".to_vec()),
        ("a backslash", b"C:\\x41\\u0041".to_vec()),
        ("Markdown", b"| `code` [x](javascript:1) ![i](evil.example/x) **b** ~~s~~ # h".to_vec()),
        ("a null", b"before\0after".to_vec()),
        // As long as a parameter can be, with the folder in front.
        ("64 KiB", vec![b'A'; (64 << 10) - 16]),
    ]
}

/// A capture with each text as path of a file, as argument and as a name of a process.
fn capture() -> Vec<u8> {
    let mut trace = Trace::new("host\u{1b}[1m");
    let shell = trace.process(Proc::new(10, "/bin/sh"));
    for (at, (_, text)) in texts().into_iter().enumerate() {
        let shown = utf8(&text).replace('\0', " ");
        // The kernel cuts at 4096; recorders and captures need not.
        let short: String = shown.chars().take(4000).collect();
        let child = trace.fork(shell);
        let name: String = short.chars().take(15).collect();
        let long: String = shown.chars().take(60_000).collect();
        trace.exec(child, &Exec::new(&format!("/bin/{short}")).argv(&[&short, &long]).comm(&name));
        let path: Vec<u8> = [b"/tmp/".as_slice(), text.split(|byte| *byte == 0).next().unwrap(), b"\0"].concat();
        trace.emit(
            child.0,
            ppme::PPME_SYSCALL_OPENAT_2_X,
            &[
                ("fd", (3 + at as i64).into()),
                ("dirfd", (-100_i64).into()),
                ("name", Value::Bytes(&path)),
                ("flags", flags::READ.into()),
            ],
        );
    }
    trace.finish().unwrap()
}

/// One form.
struct Output {
    name: &'static str,
    /// What is asked for, a table at a time.
    make: fn(capture: &str, folder: &Path, query: &str) -> Vec<u8>,
    /// What has to hold of its bytes; `expected`: the texts of all cells, valid UTF-8.
    judge: fn(bytes: &[u8], expected: &BTreeSet<String>),
}

const OUTPUTS: &[Output] = &[
    Output { name: "table", make: |capture, _, query| ask(capture, "table", query), judge: harmless_text },
    Output {
        name: "CSV",
        make: |capture, _, query| ask(capture, "csv", query),
        judge: |bytes, _| csv_is_harmless(bytes),
    },
    Output {
        name: "JSON Lines",
        make: |capture, _, query| ask(capture, "jsonl", query),
        judge: |bytes, expected| {
            harmless_text(bytes, expected);
            let mut found = BTreeSet::new();
            for line in std::str::from_utf8(bytes).unwrap().lines() {
                let row: serde_json::Map<String, serde_json::Value> = serde_json::from_str(line).unwrap();
                found.extend(row.values().filter_map(|value| value.as_str()).map(str::to_owned));
            }
            all_there(expected, &found);
        },
    },
    Output {
        name: "Parquet",
        make: |capture, folder, query| save(capture, &folder.join("rows.parquet"), query),
        judge: |bytes, expected| {
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(bytes).unwrap();
            let reader = parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
            same_texts(reader.build().unwrap().map(Result::unwrap), expected);
        },
    },
    Output {
        name: "Arrow",
        make: |capture, folder, query| save(capture, &folder.join("rows.arrow"), query),
        judge: |bytes, expected| {
            let reader = arrow_ipc::reader::FileReader::try_new(std::io::Cursor::new(bytes), None).unwrap();
            same_texts(reader.map(Result::unwrap), expected);
        },
    },
];

fn ask(capture: &str, form: &str, query: &str) -> Vec<u8> {
    let (code, out, err) = analyze(&["sql", "--no-cache", "--format", form, capture, query]);
    assert_eq!(code, ExitCode::SUCCESS, "{err}");
    harmless_text(err.as_bytes(), &BTreeSet::new());
    out
}

fn save(capture: &str, path: &Path, query: &str) -> Vec<u8> {
    let (code, _, err) = analyze(&["sql", "--no-cache", "-o", path.to_str().unwrap(), capture, query]);
    assert_eq!(code, ExitCode::SUCCESS, "{err}");
    std::fs::read(path).unwrap()
}

/// UTF-8 in which nothing acts on a terminal but the ends of lines.
fn harmless_text(bytes: &[u8], _: &BTreeSet<String>) {
    let text = std::str::from_utf8(bytes).unwrap();
    let found = text.replace("\r\n", "\n").chars().find(|&c| c != '\n' && is_harmful(c));
    assert_eq!(found.map(|c| c.escape_unicode().to_string()), None);
}

/// CSV without formulas and without what acts on a terminal.
fn csv_is_harmless(bytes: &[u8]) {
    harmless_text(bytes, &BTreeSet::new());
    for cell in csv_cells(std::str::from_utf8(bytes).unwrap()) {
        let number = cell.parse::<f64>().is_ok();
        assert!(number || !cell.starts_with(['=', '+', '-', '@', '\t', '\r']), "a formula: {cell}");
    }
}

/// The cells of RFC 4180.
fn csv_cells(text: &str) -> Vec<String> {
    let (mut cells, mut cell, mut quoted) = (Vec::new(), String::new(), false);
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '"' if quoted && rest.peek() == Some(&'"') => cell.extend(rest.next()),
            '"' => quoted = !quoted,
            ',' | '\n' if !quoted => cells.push(std::mem::take(&mut cell)),
            '\r' if !quoted => {}
            c => cell.push(c),
        }
    }
    assert!(!quoted && cell.is_empty(), "a cell is not closed");
    cells
}

fn same_texts(batches: impl Iterator<Item = RecordBatch>, expected: &BTreeSet<String>) {
    let mut found = BTreeSet::new();
    for batch in batches {
        for column in batch.columns() {
            if let Some(texts) = column.as_string_opt::<i64>() {
                found
                    .extend((0..texts.len()).filter(|row| texts.is_valid(*row)).map(|row| texts.value(row).to_owned()));
            }
        }
    }
    all_there(expected, &found);
}

fn all_there(expected: &BTreeSet<String>, found: &BTreeSet<String>) {
    let lost = expected.difference(found).map(|text| text.chars().take(80).collect::<String>());
    let lost: Vec<String> = lost.collect();
    assert!(lost.is_empty(), "texts are lost: {lost:?}");
}

#[test]
fn texts_of_captures_are_harmless_in_every_form() {
    let folder = tempfile::tempdir().unwrap();
    let capture = file(folder.path(), "hostile.scap", &capture());
    let queries = [
        ("SELECT path FROM files", "/tmp/"),
        ("SELECT name, exepath, cmdline, host FROM processes", ""),
        ("SELECT fd_name, proc_name, args FROM events", ""),
    ];
    for (query, prefix) in queries {
        let mut expected = BTreeSet::new();
        if !prefix.is_empty() {
            // What is longer than a path can be (PATH_MAX) is none, and has no row of that name.
            let paths = texts().into_iter().filter(|(_, text)| text.len() < 4096 - prefix.len());
            // A path ends where the kernel's does.
            let end = |text: &[u8]| utf8(text.split(|byte| *byte == 0).next().unwrap()).into_owned();
            expected.extend(paths.map(|(_, text)| format!("{prefix}{}", end(&text))));
        }
        for output in OUTPUTS {
            let bytes = (output.make)(&capture, folder.path(), query);
            let judged = std::panic::catch_unwind(|| (output.judge)(&bytes, &expected));
            assert!(judged.is_ok(), "{} of {query}", output.name);
        }
    }
}

#[test]
fn columns_named_by_a_query_are_harmless_too() {
    let query = "SELECT 1 AS \"\u{1b}[31m=evil\u{202e}\" FROM captures";
    for form in ["table", "csv", "jsonl"] {
        let (code, out, _) = analyze(&["sql", "--no-cache", "--example", "--format", form, query]);
        assert_eq!(code, ExitCode::SUCCESS);
        harmless_text(&out, &BTreeSet::new());
    }
}
