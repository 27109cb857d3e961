//! Every saved query has the expected answer on the incident.

use std::path::Path;
use std::process::ExitCode;

use casebook_analyze::sql::saved::QUERIES;

use super::{analyze, file, incident};

/// What `sql --saved NAME` answers, as CSV.
fn answer(name: &str, inputs: &[String]) -> String {
    let mut args: Vec<String> = ["sql", "--no-cache", "--format", "csv", "--saved", name].map(str::to_owned).to_vec();
    args.extend_from_slice(inputs);
    let (code, out, err) = analyze(&args);
    assert_eq!((code, err.as_str()), (ExitCode::SUCCESS, ""), "{name}");
    String::from_utf8(out).unwrap().replace("\r\n", "\n")
}

#[test]
fn saved_queries_answer_as_expected() {
    let folder = tempfile::tempdir().unwrap();
    // Names of captures stand in the tables: the folder must not.
    let inputs = [
        file(folder.path(), "web1.scap", &incident::capture()),
        file(folder.path(), "audit.json", incident::AUDIT.as_bytes()),
    ];
    let expected = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tables/answers");
    let mut wrong = Vec::new();
    for query in QUERIES {
        let found = answer(query.name, &inputs).replace(folder.path().to_str().unwrap(), "FOLDER");
        let path = expected.join(format!("{}.csv", query.name));
        if std::env::var_os("BLESS").is_some() {
            std::fs::create_dir_all(&expected).unwrap();
            std::fs::write(&path, &found).unwrap();
        }
        let golden = std::fs::read_to_string(&path).unwrap_or_default();
        if found != golden {
            wrong.push(format!("{}:\nexpected\n{golden}found\n{found}", query.name));
        }
        // A query that finds nothing here says nothing about itself.
        if found.lines().count() < 2 && query.name != "losses" {
            wrong.push(format!("{} finds nothing", query.name));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn losses_are_told_where_there_are_some() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = incident::capture();
    let cut = file(folder.path(), "cut.scap", &bytes[..bytes.len() - 3]);
    let (_, out, _) = analyze(&["sql", "--no-cache", "--format", "csv", "--saved", "losses", &cut]);
    let told = String::from_utf8(out).unwrap();
    assert!(told.contains(",truncated_input,data loss,file,1,"), "{told}");
}

#[test]
fn the_same_question_has_the_same_answer_every_time() {
    let folder = tempfile::tempdir().unwrap();
    let first = file(folder.path(), "a.scap", &incident::capture());
    let second = file(folder.path(), "b.scap", casebook_fixtures::EXAMPLE);
    let ask = |jobs: &str| {
        let query = "SELECT e.proc_name, e.type, COUNT(*) AS n, MIN(p.cmdline) FROM events e JOIN processes p ON e.upid = p.upid \
                     GROUP BY e.proc_name, e.type LIMIT 40";
        analyze(&["sql", "--no-cache", "-j", jobs, "--format", "jsonl", &first, &second, query]).1
    };
    let once = ask("1");
    assert!(once.len() > 1000);
    for jobs in ["2", "4", "1"] {
        assert_eq!(String::from_utf8(ask(jobs)).unwrap(), String::from_utf8(once.clone()).unwrap());
    }
}
