//! `export` end to end, over the built-in example incident: every form is what its readers expect.
#![allow(clippy::unwrap_used)] // a failing test may panic

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, ExitCode};

use casebook_analyze::{cli, export};
use serde_json::Value as Json;

fn run(args: &[&str]) -> (ExitCode, String, String) {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let code = cli::run(std::iter::once(&"casebook-analyze").chain(args), &mut out, &mut err);
    (code, String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap())
}

fn records(form: &str) -> Vec<Json> {
    let (code, out, err) = run(&["export", "--example", form, "-"]);
    assert_eq!(code, ExitCode::SUCCESS, "{err}");
    out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn the_page_of_exports_is_current() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/EXPORTS.md");
    let text = export::documentation();
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(path, &text).unwrap();
    }
    assert!(
        std::fs::read_to_string(path).unwrap_or_default() == text,
        "BLESS=1 cargo test -p casebook-analyze --test export"
    );
}

#[test]
fn ocsf_records_have_what_their_classes_require() {
    let records = records("--ocsf");
    for record in &records {
        for attribute in ["activity_id", "category_uid", "class_uid", "severity_id", "time", "type_uid"] {
            assert!(record[attribute].is_i64(), "{attribute}: {record}");
        }
        assert_eq!(record["metadata"]["version"], "1.3.0");
        assert!(record["metadata"]["product"]["vendor_name"].is_string());
        let (class, activity) = (record["class_uid"].as_i64().unwrap(), record["activity_id"].as_i64().unwrap());
        assert_eq!(record["type_uid"].as_i64().unwrap(), class * 100 + activity);
        assert_eq!(record["category_uid"].as_i64().unwrap(), class / 1000);
        let required: &[&str] = match class {
            2004 => &["finding_info"],
            1007 => &["actor", "device", "process"],
            1001 => &["actor", "device", "file"],
            4001 => &["device", "src_endpoint", "dst_endpoint"],
            other => panic!("class {other}"),
        };
        for attribute in required {
            assert!(record[*attribute].is_object(), "{attribute}: {record}");
        }
    }
    let classes: BTreeSet<i64> = records.iter().map(|record| record["class_uid"].as_i64().unwrap()).collect();
    assert_eq!(classes, [1001, 1007, 2004, 4001].into());
    let finding = records.iter().find(|r| r["finding_info"]["title"] == "Crypto miner started").unwrap();
    assert_eq!((&finding["severity_id"], &finding["time"]), (&Json::from(5), &Json::from(1_772_442_065_245_i64)));
}

#[test]
fn ecs_records_have_categories_and_types_that_belong_together() {
    let records = records("--ecs");
    for record in &records {
        assert!(record["@timestamp"].as_str().is_some_and(|time| time.ends_with('Z')), "{record}");
        assert_eq!(record["ecs"]["version"], "8.11.0");
        let kind = record["event"]["kind"].as_str().unwrap();
        assert!(["event", "alert"].contains(&kind));
        assert!(record["event"]["category"].is_array() && record["event"]["type"].is_array());
        for id in [&record["user"]["id"], &record["process"]["entity_id"], &record["process"]["parent"]["entity_id"]] {
            assert!(id.is_null() || id.is_string(), "ids are keywords: {record}");
        }
    }
    let miner = records.iter().find(|r| r["event"]["action"] == "exec" && r["process"]["name"] == "xmrig").unwrap();
    assert_eq!(miner["process"]["executable"], "/opt/.cache/xmrig");
    assert_eq!((&miner["user"]["id"], &miner["process"]["parent"]["name"]), (&Json::from("0"), &Json::from("bash")));
    let alert = records.iter().find(|r| r["rule"]["name"] == "Crypto miner started").unwrap();
    assert_eq!(alert["threat"]["technique"]["id"], serde_json::json!(["T1496"]));
}

#[test]
fn timesketch_lines_have_their_three_attributes() {
    let records = records("--timesketch");
    for record in &records {
        assert!(record["message"].is_string() && record["timestamp_desc"].is_string(), "{record}");
        assert!(record["datetime"].as_str().unwrap().ends_with("+00:00"), "{record}");
    }
    let times: Vec<i64> = records.iter().map(|record| record["timestamp"].as_i64().unwrap()).collect();
    assert!(times.is_sorted() && records.len() > 100);
}

#[test]
fn perfetto_traces_are_one_object_with_tracks_and_slices() {
    let (_, out, _) = run(&["export", "--example", "--perfetto", "-"]);
    let trace: Json = serde_json::from_str(&out).unwrap();
    let events = trace["traceEvents"].as_array().unwrap();
    let named: BTreeSet<i64> =
        events.iter().filter(|event| event["ph"] == "M").map(|event| event["pid"].as_i64().unwrap()).collect();
    for event in events {
        assert!(named.contains(&event["pid"].as_i64().unwrap()), "{event}");
        match event["ph"].as_str().unwrap() {
            "X" => assert!(event["dur"].as_f64().unwrap() >= 0.0 && event["ts"].as_f64().unwrap() >= 0.0, "{event}"),
            "i" => assert_eq!(event["s"], "p"),
            "M" => assert_eq!(event["name"], "process_name"),
            other => panic!("{other}"),
        }
    }
    assert!(events.iter().any(|event| event["ph"] == "i" && event["name"] == "Crypto miner started"));
}

#[test]
fn data_sets_are_partitioned_and_replaced_when_written_again() {
    let folder = tempfile::tempdir().unwrap();
    let capture = folder.path().join("web.scap");
    std::fs::write(&capture, casebook_fixtures::EXAMPLE).unwrap();
    let data = folder.path().join("data");
    let args = ["export", capture.to_str().unwrap(), "--parquet", data.to_str().unwrap()];
    let (code, _, err) = run(&args);
    assert_eq!(code, ExitCode::SUCCESS, "{err}");
    let files = files(&data);
    assert!(
        files.iter().any(|file| file.starts_with("table=execs/date=2026-03-02/host=") && file.contains("/web.scap-")),
        "{files:?}"
    );
    let before: Vec<Vec<u8>> = files.iter().map(|file| std::fs::read(data.join(file)).unwrap()).collect();
    run(&args);
    assert_eq!(self::files(&data), files);
    let after: Vec<Vec<u8>> = files.iter().map(|file| std::fs::read(data.join(file)).unwrap()).collect();
    assert!(before == after, "the same capture gives the same bytes");
}

/// Paths of all files below a folder, in their order.
fn files(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { open.push(path) } else { found.push(path) }
        }
    }
    let mut names: Vec<String> =
        found.iter().map(|path| path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned()).collect();
    names.sort();
    names
}

#[test]
fn keys_of_lives_differ_between_captures() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["a.scap", "b.scap"] {
        std::fs::write(folder.path().join(name), casebook_fixtures::EXAMPLE).unwrap();
    }
    let csv = folder.path().join("csv");
    let (code, _, err) = run(&["export", folder.path().to_str().unwrap(), "--csv", csv.to_str().unwrap()]);
    assert_eq!(code, ExitCode::SUCCESS, "{err}");
    let processes = std::fs::read_to_string(csv.join("processes.csv")).unwrap();
    let mut lines = processes.lines();
    let at = lines.next().unwrap().split(',').position(|name| name == "upid").unwrap();
    let keys: Vec<&str> = lines.map(|line| line.split(',').nth(at).unwrap()).collect();
    let distinct: BTreeSet<&&str> = keys.iter().collect();
    assert!(keys.len() > 40 && distinct.len() == keys.len(), "{} of {}", distinct.len(), keys.len());
}

/// A Python with the package `duckdb`: the one that `CASEBOOK_DUCKDB` names, the one that `.ci/install` makes, or any.
fn python_with_duckdb() -> Option<String> {
    let made = std::env::var("HOME").ok().map(|home| format!("{home}/.cache/casebook/duckdb/bin/python"));
    let candidates = [std::env::var("CASEBOOK_DUCKDB").ok(), made, Some("python3".to_owned())];
    let has_it = |python: &String| {
        Command::new(python).args(["-c", "import duckdb"]).output().is_ok_and(|output| output.status.success())
    };
    candidates.into_iter().flatten().find(has_it)
}

#[test]
fn duckdb_reads_the_data_set_and_agrees() {
    let Some(python) = python_with_duckdb() else {
        // Past the capture of the test harness: a skipped comparison must be seen.
        let _ = writeln!(
            std::io::stderr(),
            "skipped: no Python with DuckDB (.ci/install makes one; CASEBOOK_DUCKDB names one)"
        );
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    run(&["export", "--example", "--parquet", data.to_str().unwrap()]);
    let questions = [
        "SELECT name, count(*) AS n FROM execs GROUP BY name ORDER BY n DESC, name",
        "SELECT proc_name, server_ip, server_port FROM network WHERE role = 'client' ORDER BY proc_name, server_ip, server_port",
        "SELECT rule, priority, count(*) AS n FROM alerts GROUP BY rule, priority ORDER BY n DESC, rule",
    ];
    for question in questions {
        let script = format!(
            "import duckdb, json\nc = duckdb.connect()\nfor t in ('execs', 'network', 'alerts'):\n    c.execute(f\"CREATE VIEW {{t}} AS SELECT * FROM read_parquet('{}/table={{t}}/**/*.parquet', hive_partitioning=false)\")\nfor row in c.execute(\"\"\"{question}\"\"\").fetchall():\n    print(json.dumps(list(row)))\n",
            data.display()
        );
        let theirs = Command::new(&python).args(["-c", &script]).output().unwrap();
        assert!(theirs.status.success(), "{}", String::from_utf8_lossy(&theirs.stderr));
        let (_, ours, err) = run(&["sql", "--example", "--default-rules", question, "--format", "jsonl"]);
        let ours: Vec<Vec<Json>> = ours
            .lines()
            .map(|line| {
                serde_json::from_str::<serde_json::Map<String, Json>>(line)
                    .unwrap()
                    .into_iter()
                    .map(|(_, value)| value)
                    .collect()
            })
            .collect();
        let theirs: Vec<Vec<Json>> =
            String::from_utf8(theirs.stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert!(!ours.is_empty(), "{question}: {err}");
        // Objects of JSON have no order here: rows are compared as sets of values.
        let sorted = |rows: Vec<Vec<Json>>| -> Vec<Vec<String>> {
            rows.into_iter()
                .map(|row| {
                    let mut row: Vec<String> = row.iter().map(Json::to_string).collect();
                    row.sort();
                    row
                })
                .collect()
        };
        assert_eq!(sorted(ours), sorted(theirs), "{question}");
    }
}
