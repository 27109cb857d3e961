//! `casebook-analyze report` end to end: the three forms, hostile names, many captures, and the page in a browser.
//!
//! Browser tests need chromedriver and chromium (`.ci/install`), the largest one a folder of captures
//! (`CASEBOOK_CORPORA`); without them they say that they skip. `CASEBOOK_SCREENSHOTS=DIR` keeps pictures.
#![allow(clippy::unwrap_used)] // a failing test may panic

mod browser;
mod hostile;
mod webdriver;

use std::path::Path;
use std::process::ExitCode;

use casebook_analyze::cli;
use casebook_formats::terminal::is_harmful;
use serde_json::Value as Json;

/// Runs `report` with these arguments.
fn report(args: &[&str]) -> (ExitCode, String, String) {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let code = cli::run(["casebook-analyze", "report"].iter().chain(args), &mut out, &mut err);
    (code, String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap())
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Characters that do something, apart from line ends.
fn harmful(text: &str) -> Vec<char> {
    text.chars().filter(|character| *character != '\n' && is_harmful(*character)).collect()
}

#[test]
fn the_three_forms_tell_the_same_of_the_example() {
    let (code, json, err) = report(&["--example", "--json"]);
    assert_eq!((code, err.as_str()), (ExitCode::SUCCESS, ""));
    let model: Json = serde_json::from_str(&json).unwrap();
    assert_eq!(model["schema"], "casebook-report/1");
    let summary = &model["summary"];
    assert_eq!(summary["events_detected"], 31);
    assert_eq!(summary["rule_counts_by_severity"][0]["severity"], "Critical");
    assert_eq!(summary["rule_counts_by_severity"][0]["count"], 10);
    assert_eq!(model["alerts"]["rows"].as_array().unwrap().len(), 31);
    assert_eq!(model["trees"]["alerting"], 23);
    let fired: Vec<&str> = model["attack"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|tactic| tactic["count"].as_u64().unwrap() > 0)
        .map(|tactic| tactic["name"].as_str().unwrap())
        .collect();
    assert!(fired.contains(&"Privilege escalation") && fired.contains(&"Impact"), "{fired:?}");
    let digest = model["rules"]["files"][0]["sha256"].as_str().unwrap();
    assert_eq!(digest.len(), 64);

    let (_, page, _) = report(&["--example"]);
    let (_, markdown, _) = report(&["--example", "--md"]);
    for rule in summary["triggered_rules"].as_array().unwrap() {
        let name = rule["rule"].as_str().unwrap();
        assert!(page.contains(name), "{name}");
        assert!(markdown.contains(&name.replace('-', "\\-")), "{name}");
    }
    assert!(page.contains(digest) && markdown.contains(digest));
    assert!(markdown.contains("**Events detected: 31**"), "{markdown}");
    // What the lists of the model hold, the page shows: every process of a tree has its place there.
    for alert in model["alerts"]["rows"].as_array().unwrap() {
        if let Some(upid) = alert["upid"].as_u64() {
            assert!(page.contains(&format!("id=\"p{upid}\"")), "{alert}");
        }
    }
}

/// All names of fields, however deep.
fn fields(json: &Json, into: &mut std::collections::BTreeSet<String>) {
    match json {
        Json::Array(all) => all.iter().for_each(|one| fields(one, into)),
        Json::Object(all) => {
            for (name, value) in all {
                into.insert(name.clone());
                fields(value, into);
            }
        }
        _ => {}
    }
}

#[test]
fn every_field_of_the_json_is_documented() {
    let (_, json, _) = report(&["--example", "--json"]);
    let mut names = std::collections::BTreeSet::new();
    fields(&serde_json::from_str(&json).unwrap(), &mut names);
    let page = include_str!("../../REPORT.md");
    let missing: Vec<_> = names.iter().filter(|name| !page.contains(&format!("`{name}`"))).collect();
    assert!(missing.is_empty() && names.len() > 60, "{missing:?}");
}

#[test]
fn indicators_have_a_section_of_their_own_when_they_are_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let list = folder.path().join("feed.txt");
    std::fs::write(&list, "203.0.113.66\n192.0.2.250\n").unwrap();
    let (code, json, err) = report(&["--example", "--json", "--ioc", path(&list)]);
    assert_eq!(code, ExitCode::SUCCESS, "{err}");
    let model: Json = serde_json::from_str(&json).unwrap();
    let hits = model["indicators"]["rows"].as_array().unwrap();
    assert!(!hits.is_empty() && hits.iter().all(|hit| hit["indicator"] == "203.0.113.66"), "{hits:?}");
    let (_, page, _) = report(&["--example", "--ioc", path(&list)]);
    assert!(page.contains("<h2>Indicators of compromise</h2>") && page.contains("feed.txt"));
    let (_, page, _) = report(&["--example"]);
    assert!(!page.contains("Indicators of compromise"));
    let (code, _, err) = report(&["--example", "--ioc", path(&folder.path().join("none.txt"))]);
    assert_eq!(code, ExitCode::from(2), "{err}");
}

#[test]
fn the_same_input_gives_the_same_bytes() {
    for form in [&["--example"][..], &["--example", "--json"], &["--example", "--md"]] {
        assert_eq!(report(form), report(form));
    }
}

#[test]
fn the_page_names_what_may_run_and_loads_nothing() {
    let (_, page, _) = report(&["--example"]);
    let policy = page.split("Content-Security-Policy\" content=\"").nth(1).unwrap().split('"').next().unwrap();
    let policy = policy.replace("&#39;", "'");
    assert!(policy.starts_with("default-src 'none'; script-src 'sha256-"), "{policy}");
    assert!(!policy.contains("unsafe"), "{policy}");
    // Captures name addresses; what the page is made of does not.
    for made_of in [include_str!("../../templates/report/page.html"), include_str!("../../templates/report/page.css")] {
        for address in ["http:", "https:", " src=", "@import", "url(h", "url(/"] {
            assert!(!made_of.contains(address), "{address}");
        }
    }
    // Inline styles and handlers would be refused by the policy.
    assert!(!page.contains(" style=\"") && !page.contains(" onclick="));
}

#[test]
fn hostile_names_are_text_in_every_form() {
    let folder = tempfile::tempdir().unwrap();
    let (capture, rules) = hostile::files(folder.path());
    let title = format!("{}{}", hostile::SCRIPTS[1], hostile::ESCAPES);
    let args = ["-q", "--title", &title, "--case", hostile::SCRIPTS[4], "-r", path(&rules), path(&capture)];
    let (code, page, _) = report(&args);
    assert_eq!(code, ExitCode::SUCCESS);
    assert_eq!(harmful(&page), []);
    // Two elements of ours: the data of the timeline, and the script.
    assert_eq!(page.matches("<script").count(), 2);
    assert_eq!(page.matches("</script").count(), 2);
    for element in ["<img", "<iframe", "<b onmouseover", "<svg onload", "</title></style>"] {
        assert!(!page.contains(element), "{element}");
    }
    // Not lost, but shown.
    assert!(page.contains("&#60;script&#62;window.pwned=1&#60;/script&#62;"));
    assert!(page.contains("<i class=\"esc\">\\x1b</i>[31mred") && page.contains("<i class=\"esc\">\\u{202e}</i>"));
    assert!(page.contains("characters)"), "the long name says that it was cut");
    assert!(page.len() < 1_000_000, "{}", page.len());

    let (_, json, _) = report(&[&["--json"], &args[..]].concat());
    assert_eq!(harmful(&json), []);
    let model: Json = serde_json::from_str(&json).unwrap();
    assert_eq!(model["title"], title);

    let (_, markdown, _) = report(&[&["--md"], &args[..]].concat());
    assert_eq!(harmful(&markdown), []);
    assert!(!markdown.contains('<') && !markdown.contains("](") && !markdown.contains("javascript:"), "{markdown}");
    let table_rows = markdown.lines().filter(|line| line.starts_with("| "));
    for row in table_rows.filter(|row| row.contains("started")) {
        // No name has made a cell of its own.
        let bars = row.matches('|').count() - row.matches("\\|").count();
        assert!((3..=10).contains(&bars), "{row}");
    }
}

#[test]
fn many_captures_have_a_row_each_and_what_cannot_be_read_is_told() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["web1.scap", "web2.scap"] {
        std::fs::write(folder.path().join(name), casebook_fixtures::EXAMPLE).unwrap();
    }
    let half = &casebook_fixtures::EXAMPLE[..casebook_fixtures::EXAMPLE.len() / 2];
    std::fs::write(folder.path().join("web3.scap"), half).unwrap();
    let missing = folder.path().join("web4.scap");
    let (code, json, err) = report(&["--json", path(folder.path()), path(&missing)]);
    assert_eq!(code, ExitCode::from(4), "{err}");
    let model: Json = serde_json::from_str(&json).unwrap();
    let captures = model["captures"]["rows"].as_array().unwrap();
    assert_eq!(captures.len(), 4, "{captures:?}");
    assert_eq!(captures[0]["alerts"], 31);
    assert_eq!(captures[0]["label"], "web1.scap");
    assert_eq!(captures[2]["complete"], false);
    assert!(captures[3]["state"].as_str().unwrap().contains("web4.scap"), "{captures:?}");
    assert_eq!(model["summary"]["captures"], 4);
    let said = model["ledger"]["sentences"].to_string();
    assert!(said.contains("2 of 4 captures could not be read whole"), "{said}");
    // Where several captures are told of, alerts and trees name theirs.
    assert_eq!(model["alerts"]["rows"][0]["capture"], "web1.scap");
    assert!(model["trees"]["roots"].as_array().unwrap().iter().any(|root| root["capture"] == "web2.scap"));
}

#[test]
fn connections_of_a_process_are_one_row_and_its_alerts_count_once() {
    let folder = tempfile::tempdir().unwrap();
    let mut trace = casebook_fixtures::Trace::new("web-1");
    let server = trace.process(casebook_fixtures::Proc::new(800, "/usr/sbin/nginx"));
    let curl = trace.spawn(server, "/usr/bin/curl", &["curl", "http://203.0.113.9/"]);
    for port in 40_000..40_050 {
        let remote = casebook_fixtures::Endpoint::new("203.0.113.9", 80);
        trace.connect(curl, casebook_fixtures::Endpoint::new("10.0.0.5", port), remote);
    }
    let (capture, rules) = (folder.path().join("x.scap"), folder.path().join("r.yaml"));
    std::fs::write(&capture, trace.finish().unwrap()).unwrap();
    let rule = "- rule: started\n  desc: d\n  condition: evt.type=execve\n  output: o\n  priority: NOTICE\n";
    std::fs::write(&rules, rule).unwrap();
    let (_, json, _) = report(&["-q", "--json", "-r", path(&rules), path(&capture)]);
    let model: Json = serde_json::from_str(&json).unwrap();
    let rows = model["network"]["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 1, "{rows:?}");
    let row = &rows[0];
    assert_eq!((&row["client"], &row["server"]), (&"10.0.0.5".into(), &"203.0.113.9:80".into()));
    assert_eq!((&row["connects"], &row["alerts"], &row["public"]), (&50.into(), &1.into(), &true.into()));
}

#[test]
fn a_flood_of_alerts_stays_a_page_that_opens() {
    let folder = tempfile::tempdir().unwrap();
    let rules = folder.path().join("all.yaml");
    let text = "- rule: everything\n  desc: d\n  condition: evt.num>0\n  output: o\n  priority: DEBUG\n  warn_evttypes: false\n\
                - rule: never\n  desc: d\n  condition: evt.num<0\n  output: o\n  priority: DEBUG\n  warn_evttypes: false\n";
    std::fs::write(&rules, text).unwrap();
    let mut trace = casebook_fixtures::Trace::new("busy");
    let task = trace.process(casebook_fixtures::Proc::new(800, "/usr/sbin/nginx"));
    let fd = trace.open(task, "/var/log/x", casebook_fixtures::flags::READ);
    for _ in 0..20_000 {
        trace.read(task, fd, b"x");
    }
    let capture = folder.path().join("busy.scap");
    std::fs::write(&capture, trace.finish().unwrap()).unwrap();
    let (code, page, err) = report(&["-q", "-r", path(&rules), path(&capture)]);
    assert_eq!((code, err.as_str()), (ExitCode::SUCCESS, ""));
    assert!(page.contains("1,000 of 20,001 alerts are listed"), "the sentence that says what is left out");
    assert!(page.contains("casebook-analyze sql CAPTURES"));
    assert!(page.len() < 1_500_000, "{}", page.len());
    let (_, json, _) = report(&["-q", "--json", "-r", path(&rules), path(&capture)]);
    let model: Json = serde_json::from_str(&json).unwrap();
    assert_eq!(model["timeline"]["exact"], false);
    let counted: u64 = model["timeline"]["lanes"][0]["points"]
        .as_array()
        .unwrap()
        .iter()
        .map(|point| point["count"].as_u64().unwrap())
        .sum();
    assert_eq!(counted, 20_001);
    assert_eq!(model["rules"]["silent"][0], "never");
}

#[test]
fn output_goes_where_it_is_asked_for_and_never_over_an_input() {
    let folder = tempfile::tempdir().unwrap();
    let capture = folder.path().join("x.scap");
    std::fs::write(&capture, casebook_fixtures::EXAMPLE).unwrap();
    let page = folder.path().join("report.html");
    let (code, out, _) = report(&[path(&capture), "-o", path(&page)]);
    assert_eq!((code, out.as_str()), (ExitCode::SUCCESS, ""));
    assert!(std::fs::read_to_string(&page).unwrap().starts_with("<!doctype html>"));
    for (ending, begin) in [("json", "{\n"), ("md", "# ")] {
        let file = folder.path().join("report").with_extension(ending);
        report(&[path(&capture), "-o", path(&file)]);
        assert!(std::fs::read_to_string(&file).unwrap().starts_with(begin));
    }
    let (code, _, err) = report(&[path(&capture), "-o", path(&capture)]);
    assert_eq!(code, ExitCode::from(2));
    assert!(err.contains("would overwrite an input"), "{err}");
    assert_eq!(std::fs::read(&capture).unwrap(), casebook_fixtures::EXAMPLE);
    let nowhere = folder.path().join("no/such/folder/report.html");
    let (code, _, err) = report(&[path(&capture), "-o", path(&nowhere)]);
    assert_eq!(code, ExitCode::from(6), "{err}");
}
