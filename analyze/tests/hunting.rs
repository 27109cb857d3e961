//! `ioc` and `baseline` end to end, over the built-in example incident.
#![allow(clippy::unwrap_used)] // a failing test may panic

use std::process::ExitCode;

use casebook_analyze::cli;
use serde_json::Value as Json;

fn run(args: &[&str]) -> (ExitCode, String, String) {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let code = cli::run(std::iter::once(&"casebook-analyze").chain(args), &mut out, &mut err);
    (code, String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap())
}

fn rows(out: &str) -> Vec<Json> {
    out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn indicators_are_found_with_who_and_when() {
    let folder = tempfile::tempdir().unwrap();
    let list = folder.path().join("list.txt");
    std::fs::write(&list, "# campaign\n203[.]0[.]113[.]66\n198.51.100.0/24\n/dev/shm/.d\nnever.example\n").unwrap();
    let stix = folder.path().join("bundle.json");
    let bundle = r#"{"type": "bundle", "id": "bundle--1", "objects": [
        {"type": "indicator", "id": "indicator--7", "name": "miner", "pattern_type": "stix", "pattern": "[process:name = 'xmrig']"},
        {"type": "malware", "id": "malware--1"}]}"#;
    std::fs::write(&stix, bundle).unwrap();
    let (list, stix) = (list.to_str().unwrap(), stix.to_str().unwrap());
    let (code, out, err) = run(&["ioc", "--example", "--ioc", list, "--ioc", stix, "--json", "--fail-on-hit"]);
    assert_eq!(code, ExitCode::from(1), "{err}");
    assert!(err.contains("4 of 5 indicators occur"), "{err}");
    let rows = rows(&out);
    let found = |indicator: &str, table: &str, column: &str, process: &str| {
        rows.iter().any(|row| {
            row["indicator"] == indicator
                && row["table"] == table
                && row["column"] == column
                && row["process"] == process
        })
    };
    assert!(found("203.0.113.66", "network", "server_ip", "python3"), "{out}");
    assert!(found("203.0.113.66", "execs", "cmdline", "curl"), "{out}");
    assert!(found("198.51.100.0/24", "network", "server_ip", "xmrig"), "{out}");
    assert!(found("/dev/shm/.d", "files", "path", "wget"), "{out}");
    let miner = rows.iter().find(|row| row["indicator"] == "xmrig").unwrap();
    assert_eq!((&miner["about"], &miner["kind"]), (&Json::from("miner"), &Json::from("name")));
    assert!(miner["source"].as_str().unwrap().ends_with("bundle.json:indicator--7"));
    let times: Vec<_> = rows.iter().filter_map(|row| row["first"].as_str()).collect();
    assert!(times.is_sorted(), "{out}");
}

#[test]
fn lists_that_cannot_be_read_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let list = folder.path().join("x.json");
    std::fs::write(&list, "{\"objects\": 7}").unwrap();
    let (code, _, err) = run(&["ioc", "--example", "--ioc", list.to_str().unwrap()]);
    assert_eq!(code, ExitCode::from(2));
    assert!(err.contains("no STIX bundle"), "{err}");
    let (code, _, err) = run(&["ioc", "--example", "--ioc", "/nowhere"]);
    assert_eq!(code, ExitCode::from(2), "{err}");
}

#[test]
fn an_incident_is_new_against_other_days_and_nothing_is_new_against_itself() {
    let folder = tempfile::tempdir().unwrap();
    let day = folder.path().join("day.scap");
    std::fs::write(&day, casebook_fixtures::EXAMPLE).unwrap();
    let day = day.to_str().unwrap();
    let saved = folder.path().join("profile.jsonl");
    let saved = saved.to_str().unwrap();
    let (code, out, err) = run(&["baseline", "--example", "--benign", day, "--save", saved]);
    assert_eq!((code, out.as_str()), (ExitCode::SUCCESS, ""), "{err}");
    assert!(err.contains("0 facts are new"), "{err}");
    let (_, out, err) = run(&["baseline", "--example", "--profile", saved]);
    assert_eq!(out, "", "{err}");

    // A profile that has never seen the attack.
    let quiet: Vec<String> = std::fs::read_to_string(saved)
        .unwrap()
        .lines()
        .filter(|line| !line.contains("xmrig") && !line.contains("/dev/shm") && !line.contains("authorized_keys"))
        .map(str::to_owned)
        .collect();
    let mut quiet = quiet;
    quiet[0] = format!(r#"{{"format":"casebook-baseline/1","captures":1,"facts":{}}}"#, quiet.len() - 1);
    std::fs::write(saved, quiet.join("\n")).unwrap();
    let (code, out, err) = run(&["baseline", "--example", "--profile", saved, "--json"]);
    assert_eq!(code, ExitCode::SUCCESS, "{err}");
    let news: Vec<(String, String)> = rows(&out)
        .iter()
        .map(|row| (row["sort"].as_str().unwrap().to_owned(), row["value"].as_str().unwrap().to_owned()))
        .collect();
    let has = |sort: &str, value: &str| news.contains(&(sort.to_owned(), value.to_owned()));
    assert!(has("binary", "/opt/.cache/xmrig") && has("binary", "/dev/shm/.d"), "{out}");
    assert!(has("parent", "bash → xmrig") && has("destination", "xmrig → 198.51.100.23 tcp/3333"), "{out}");
    assert!(has("write", "cmd → /root/.ssh/authorized_keys"), "{out}");
    let (code, _, err) = run(&["baseline", "--example"]);
    assert_eq!(code, ExitCode::from(2), "{err}");
}
