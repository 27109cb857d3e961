//! What was built once is not built again, and nothing foreign, stale or broken is ever used.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::{analyze, file, incident};

const QUERY: &str =
    "select proc_name, count(*) as n, max(args) as a from events group by proc_name order by n, proc_name";

fn ask(cache: &Path, capture: &str, query: &str) -> (String, String) {
    let (code, out, err) = analyze(&["sql", "--format", "csv", "--cache", cache.to_str().unwrap(), capture, query]);
    assert_eq!(code, ExitCode::SUCCESS, "{err}");
    (String::from_utf8(out).unwrap(), err)
}

/// The folders of a cache.
fn folders(cache: &Path) -> Vec<PathBuf> {
    let mut all: Vec<PathBuf> = fs::read_dir(cache).unwrap().map(|entry| entry.unwrap().path()).collect();
    all.sort();
    all
}

#[test]
fn the_second_question_is_answered_from_the_cache_with_the_same_rows() {
    let folder = tempfile::tempdir().unwrap();
    let (capture, cache) = (file(folder.path(), "a.scap", &incident::capture()), folder.path().join("cache"));
    let first = ask(&cache, &capture, QUERY);
    let place = folders(&cache);
    assert_eq!(place.len(), 1, "{place:?}");
    let made = fs::metadata(place[0].join("events.arrow")).unwrap().modified().unwrap();
    assert_eq!(ask(&cache, &capture, QUERY), first);
    assert_eq!(first.1, "");
    let again = fs::metadata(place[0].join("events.arrow")).unwrap().modified().unwrap();
    assert_eq!(made, again, "the table was made again");
    // Every table says the same, cached or not.
    for table in casebook_analyze::schema::TABLES.iter().filter(|table| table.name != "packets") {
        let query = format!("select * from {}", table.name);
        let (_, direct, _) = analyze(&["sql", "--no-cache", "--format", "csv", &capture, &query]);
        assert_eq!(ask(&cache, &capture, &query).0, String::from_utf8(direct).unwrap(), "{}", table.name);
    }
}

#[test]
fn a_broken_cache_is_said_and_made_anew() {
    let folder = tempfile::tempdir().unwrap();
    let (capture, cache) = (file(folder.path(), "a.scap", &incident::capture()), folder.path().join("cache"));
    let (expected, _) = ask(&cache, &capture, QUERY);
    let place = folders(&cache).remove(0);
    let events = place.join("events.arrow");
    let flip = |path: &Path| {
        let mut bytes = fs::read(path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(path, bytes).unwrap();
    };
    let damages: [(&str, &dyn Fn()); 5] = [
        ("a changed byte", &|| flip(&events)),
        ("a cut file", &|| fs::write(&events, b"ARROW1").unwrap()),
        ("a missing file", &|| fs::remove_file(&events).unwrap()),
        ("a record of something else", &|| {
            let record = fs::read_to_string(place.join("complete")).unwrap();
            fs::write(place.join("complete"), record.replace("\"program\":\"", "\"program\":\"9")).unwrap();
        }),
        ("a record that is none", &|| fs::write(place.join("complete"), b"{").unwrap()),
    ];
    for (what, damage) in damages {
        damage();
        let (found, said) = ask(&cache, &capture, QUERY);
        assert_eq!(found, expected, "{what}");
        assert!(said.contains("made anew"), "{what}: {said}");
        assert_eq!(ask(&cache, &capture, QUERY), (expected.clone(), String::new()), "{what}");
    }
}

#[test]
fn another_capture_and_other_rules_have_other_tables() {
    let folder = tempfile::tempdir().unwrap();
    let (capture, cache) = (file(folder.path(), "a.scap", &incident::capture()), folder.path().join("cache"));
    let query = "select count(*) as n from processes";
    let (one, _) = ask(&cache, &capture, query);
    fs::write(&capture, casebook_fixtures::EXAMPLE).unwrap();
    let (other, _) = ask(&cache, &capture, query);
    assert_ne!(one, other, "a capture of the same name is not the same capture");
    assert_eq!(folders(&cache).len(), 2);
    let alerts = "select count(*) > 0 as any from alerts";
    let (none, _) = ask(&cache, &capture, alerts);
    assert_eq!(none, "any\r\nfalse\r\n");
    let args = ["sql", "--format", "csv", "--default-rules", "--cache", cache.to_str().unwrap(), &capture, alerts];
    let (_, out, _) = analyze(&args);
    assert_eq!(String::from_utf8(out).unwrap(), "any\r\ntrue\r\n");
    assert_eq!(folders(&cache).len(), 3);
}

#[test]
fn a_cache_that_cannot_be_written_only_costs_time() {
    let folder = tempfile::tempdir().unwrap();
    let capture = file(folder.path(), "a.scap", &incident::capture());
    let blocked = file(folder.path(), "cache", b"a file");
    let (found, said) = ask(Path::new(&blocked), &capture, "select count(*) as n from captures");
    assert_eq!(found, "n\r\n1\r\n");
    assert!(said.contains("not kept"), "{said}");
}
