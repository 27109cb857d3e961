//! Outcomes as `JUnit` XML, the form that CI systems show.
//!
//! One suite a folder of cases, one test case a case. No times and no machine: the file is a function of the cases.

use std::collections::BTreeMap;
use std::io::{self, Write};

use quick_xml::Writer;
use quick_xml::events::{BytesDecl, BytesEnd, BytesStart, BytesText, Event};

use super::case::Case;
use super::runner::{Outcome, Verdict};
use super::suite::Suite;

/// Writes the outcomes of a suite.
///
/// # Errors
/// Those of the output.
pub fn write(suite: &Suite, outcomes: &[Outcome], out: &mut dyn Write) -> io::Result<()> {
    let mut groups: BTreeMap<&str, Vec<(&Case, &Outcome)>> = BTreeMap::new();
    for (case, outcome) in suite.cases.iter().zip(outcomes) {
        let folder = case.name.rsplit_once('/').map_or("", |(folder, _)| folder);
        groups.entry(folder).or_default().push((case, outcome));
    }
    let all: Vec<&Outcome> = outcomes.iter().collect();
    let mut xml = Writer::new_with_indent(out, b' ', 2);
    xml.write_event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))?;
    xml.write_event(Event::Start(counted("testsuites", "casebook-replay test", &all)))?;
    for (folder, members) in groups {
        let outcomes: Vec<&Outcome> = members.iter().map(|(_, outcome)| *outcome).collect();
        let name = if folder.is_empty() { "cases" } else { folder };
        xml.write_event(Event::Start(counted("testsuite", name, &outcomes)))?;
        for (case, outcome) in members {
            testcase(suite, case, outcome, folder, &mut xml)?;
        }
        xml.write_event(Event::End(BytesEnd::new("testsuite")))?;
    }
    xml.write_event(Event::End(BytesEnd::new("testsuites")))?;
    xml.into_inner().write_all(b"\n")
}

/// The start of an element with the counts of outcomes.
fn counted<'x>(element: &'x str, name: &str, outcomes: &[&Outcome]) -> BytesStart<'x> {
    let count =
        |wanted: fn(&Verdict) -> bool| outcomes.iter().filter(|outcome| wanted(&outcome.verdict)).count().to_string();
    let mut start = BytesStart::new(element);
    start.push_attribute(("name", legal(name).as_str()));
    start.push_attribute(("tests", outcomes.len().to_string().as_str()));
    start.push_attribute(("failures", count(|verdict| matches!(verdict, Verdict::Failed)).as_str()));
    start.push_attribute(("errors", count(|verdict| matches!(verdict, Verdict::Broken(_))).as_str()));
    start.push_attribute(("skipped", count(|verdict| matches!(verdict, Verdict::Skipped(_))).as_str()));
    start
}

fn testcase<W: Write>(
    suite: &Suite,
    case: &Case,
    outcome: &Outcome,
    folder: &str,
    xml: &mut Writer<W>,
) -> io::Result<()> {
    let name = case.name.rsplit_once('/').map_or(case.name.as_str(), |(_, name)| name);
    let mut start = BytesStart::new("testcase");
    start.push_attribute(("name", legal(name).as_str()));
    start.push_attribute(("classname", legal(&folder.replace('/', ".")).as_str()));
    start.push_attribute(("file", legal(&case.file.display().to_string()).as_str()));
    let inner = match &outcome.verdict {
        Verdict::Passed => None,
        Verdict::Failed => {
            let first = outcome.failures.first().map(|failure| {
                let rule = suite.rule_name(case, failure.rule);
                format!("{rule}: expected {}, got {}", failure.expected, failure.got)
            });
            let message = first.or_else(|| outcome.warnings.first().cloned()).unwrap_or_default();
            Some(("failure", message, suite.text(case, outcome, false)))
        }
        Verdict::Broken(why) => Some(("error", why.clone(), String::new())),
        Verdict::Skipped(why) => Some(("skipped", why.clone(), String::new())),
    };
    let Some((element, message, text)) = inner else { return xml.write_event(Event::Empty(start)) };
    xml.write_event(Event::Start(start))?;
    let mut start = BytesStart::new(element);
    start.push_attribute(("message", legal(&message).as_str()));
    if text.is_empty() {
        xml.write_event(Event::Empty(start))?;
    } else {
        xml.write_event(Event::Start(start))?;
        xml.write_event(Event::Text(BytesText::new(&legal(&text))))?;
        xml.write_event(Event::End(BytesEnd::new(element)))?;
    }
    xml.write_event(Event::End(BytesEnd::new("testcase")))
}

/// The text without characters that XML cannot hold, not even escaped.
fn legal(text: &str) -> String {
    let allowed = |c: char| matches!(c, '\t' | '\n' | '\r' | '\u{20}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..='\u{10ffff}');
    text.chars().map(|c| if allowed(c) { c } else { '\u{fffd}' }).collect()
}
