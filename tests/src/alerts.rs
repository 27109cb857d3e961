//! Alert agreement: the alerts and the summary of a rule set on a capture, ours against the golden.
//!
//! Ours come from the tool itself (`casebook-replay run --output json`, called in process), so the comparison covers
//! everything from the rule file to the printed line. Alerts are paired by time and rule, in order; then text,
//! priority, source, tags and output fields are compared. A difference that a class of [`crate::known`] covers is
//! counted apart; for that the capture is replayed once more up to the events in question.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::ops::ControlFlow;

use casebook_formats::capture::CaptureReader;
use casebook_replay::cli;
use casebook_replay::context::EventContext;
use casebook_replay::engine::Replay;
use casebook_replay::summary::iso_time;
use rayon::prelude::*;
use serde::Serialize;
use serde_json::Value as Json;

use crate::corpora::{Capture, Corpora, RuleSet};
use crate::glob::any;
use crate::golden::alerts::{Alert, Run};
use crate::golden::fields::ABSENT;
use crate::history::History;
use crate::known::{self, Against, AlertSide, FieldClass, KnownDifferences};
use crate::ours::Conditions;

/// How the alerts of one capture and rule set agree.
#[derive(Clone, Default, Debug, Serialize)]
pub struct AlertAgreement {
    /// Capture name.
    pub capture: String,
    /// Rule set name.
    pub rules: String,
    /// What stopped the comparison, if something did.
    pub error: Option<String>,
    /// Alerts of the golden.
    pub golden: u64,
    /// Alerts of ours.
    pub ours: u64,
    /// Alerts equal in everything that is compared.
    pub equal: u64,
    /// Paired alerts of different content: covered by a class, and not.
    pub different: Split,
    /// Alerts of the golden that we lack.
    pub missing: Split,
    /// Alerts of ours that the golden lacks.
    pub extra: Split,
    /// The summary's counts differ: what differs, where no alert differs.
    pub summary: Option<String>,
    /// Differences without a reason, in full.
    pub details: Vec<String>,
    /// Differences explained, by class.
    pub classes: BTreeMap<String, u64>,
}

/// Differences, by whether a class of known differences covers them.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize)]
pub struct Split {
    /// Covered.
    pub explained: u64,
    /// Not covered.
    pub unexplained: u64,
}

impl AlertAgreement {
    /// Nothing unexplained.
    pub fn agrees(&self) -> bool {
        self.error.is_none()
            && self.summary.is_none()
            && [self.different, self.missing, self.extra].iter().all(|split| split.unexplained == 0)
    }
}

/// Compares the chosen captures under the chosen rule sets, where there is a golden.
pub fn compare(
    corpora: &Corpora,
    known: &KnownDifferences,
    captures: &[String],
    rule_sets: &[RuleSet],
) -> Result<Vec<AlertAgreement>, String> {
    let comparison =
        Comparison { corpora, known, fields: Conditions::of_fields(known)?, alerts: Conditions::of_alerts(known)? };
    let jobs: Vec<(Capture, RuleSet)> = corpora
        .select(captures)
        .into_iter()
        .flat_map(|capture| rule_sets.iter().map(move |rules| (capture.clone(), *rules)))
        .filter(|(capture, rules)| corpora.alert_golden(capture, *rules).is_some())
        .collect();
    Ok(jobs.par_iter().map(|(capture, rules)| comparison.capture(capture, *rules)).collect())
}

/// Runs the tool on one capture; `form` is that of `--output`. Returns what it wrote to standard output.
pub fn run_tool(corpora: &Corpora, capture: &Capture, rules: RuleSet, form: &str) -> Result<String, String> {
    let mut args: Vec<std::ffi::OsString> =
        ["casebook-replay", "run", "-q", "-j", "1", "--priority", "debug", "--output", form].map(Into::into).to_vec();
    if rules.matches_all() {
        args.extend(["--rule-matching", "all"].map(Into::into));
    }
    for file in corpora.rule_files(rules) {
        args.extend(["-r".into(), file.into_os_string()]);
    }
    args.push(capture.path.clone().into_os_string());
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let exit = cli::run_on(args, &mut out, &mut err, cli::Terminals::default());
    if exit != cli::Exit::Complete {
        return Err(format!("ended with {exit:?}: {}", String::from_utf8_lossy(&err)));
    }
    String::from_utf8(out).map_err(|error| error.to_string())
}

struct Comparison<'r> {
    corpora: &'r Corpora,
    known: &'r KnownDifferences,
    fields: Conditions,
    alerts: Conditions,
}

/// A difference that waits for its event, to be judged by the conditions of the classes.
enum Difference<'a> {
    /// Alerts of different content.
    Content(&'a Alert, &'a Alert),
    /// An alert that one side lacks.
    Alone(AlertSide, &'a Alert),
}

impl Difference<'_> {
    fn time(&self) -> &str {
        match self {
            Self::Content(golden, _) => &golden.time,
            Self::Alone(_, alert) => &alert.time,
        }
    }
}

impl Comparison<'_> {
    fn capture(&self, capture: &Capture, rules: RuleSet) -> AlertAgreement {
        let mut result = AlertAgreement {
            capture: capture.name.clone(),
            rules: rules.name().to_owned(),
            ..AlertAgreement::default()
        };
        if let Err(error) = self.compare(capture, rules, &mut result) {
            result.error = Some(error);
        }
        result
    }

    fn compare(&self, capture: &Capture, rules: RuleSet, result: &mut AlertAgreement) -> Result<(), String> {
        let golden = self.corpora.alert_golden(capture, rules).ok_or("no golden")?;
        let text = std::fs::read_to_string(&golden).map_err(|error| format!("{}: {error}", golden.display()))?;
        let golden = Run::parse(&text).map_err(|error| format!("{}: {error}", golden.display()))?;
        let ours = Run::parse(&run_tool(self.corpora, capture, rules, "json")?)?;
        result.golden = golden.alerts.len() as u64;
        result.ours = ours.alerts.len() as u64;
        let differences = pair(&golden.alerts, &ours.alerts, &mut result.equal);
        if differences.is_empty() && golden.summary != ours.summary {
            result.summary = Some(format!("golden {:?}, ours {:?}", golden.summary, ours.summary));
        }
        if !differences.is_empty() {
            self.judge(capture, &differences, result)?;
        }
        if let Some(path) = self.corpora.text_golden(capture, rules) {
            let text = std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
            let golden = Run::parse(&text)?;
            let ours = Run::parse(&run_tool(self.corpora, capture, rules, "text")?)?;
            // Alerts that differ are judged above; here only the form is.
            if result.equal == result.golden && (&golden.lines, &golden.summary) != (&ours.lines, &ours.summary) {
                let line = golden.lines.iter().zip(&ours.lines).find(|(golden, ours)| golden != ours);
                result.summary = Some(match line {
                    Some((golden, ours)) => format!("text form: golden {golden:?}, ours {ours:?}"),
                    None => format!("text form: golden {:?}, ours {:?}", golden.summary, ours.summary),
                });
            }
        }
        Ok(())
    }

    /// Replays the capture up to the events of the differences, and asks the classes.
    fn judge(
        &self,
        capture: &Capture,
        differences: &[Difference<'_>],
        result: &mut AlertAgreement,
    ) -> Result<(), String> {
        let mut by_time: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for (index, difference) in differences.iter().enumerate() {
            by_time.entry(difference.time()).or_default().push(index);
        }
        let mut explained: Vec<Option<Vec<&str>>> = vec![None; differences.len()];
        let mut reader = CaptureReader::open(&capture.path).map_err(|error| error.to_string())?;
        let mut history = History::default();
        let end = Replay::new().run(&mut reader, |context| {
            history.note(&self.fields, context);
            for &index in by_time.get(iso_time(context.event.ts).as_str()).into_iter().flatten() {
                if explained[index].is_none() {
                    explained[index] = self.explain(&capture.name, &differences[index], context, &history);
                }
            }
            ControlFlow::Continue(())
        });
        end.map_err(|error| error.to_string())?;
        for (difference, explained) in differences.iter().zip(explained) {
            let (split, detail) = match difference {
                Difference::Content(golden, ours) => (&mut result.different, content(golden, ours)),
                Difference::Alone(AlertSide::Missing, alert) => (&mut result.missing, alone("missing", alert)),
                Difference::Alone(AlertSide::Extra, alert) => (&mut result.extra, alone("extra", alert)),
            };
            if let Some(classes) = explained {
                split.explained += 1;
                for class in classes {
                    *result.classes.entry(class.to_owned()).or_default() += 1;
                }
            } else {
                split.unexplained += 1;
                result.details.push(detail);
            }
        }
        Ok(())
    }

    /// The classes that cover a difference on this event, if they cover all of it.
    fn explain(
        &self,
        capture: &str,
        difference: &Difference<'_>,
        context: &EventContext<'_>,
        history: &History,
    ) -> Option<Vec<&str>> {
        match difference {
            Difference::Alone(side, alert) => {
                let (index, class) = self.known.alerts.iter().enumerate().find(|(index, class)| {
                    class.side == *side
                        && any(&class.rules, &alert.rule)
                        && any(&class.captures, capture)
                        && self.alerts.hold(*index, context, history)
                })?;
                let _ = index;
                Some(vec![class.id.as_str()])
            }
            Difference::Content(golden, ours) => {
                if (&golden.priority, &golden.tags, &golden.source) != (&ours.priority, &ours.tags, &ours.source) {
                    return None;
                }
                let fields = different_fields(golden, ours);
                // A text that differs although its fields don't is a difference of the form.
                if fields.is_empty() {
                    return None;
                }
                let beside = |field: &str| Some(text_of(Some(golden.output_fields.get(field)?)));
                let class = |(field, golden, ours): &(&str, String, String)| {
                    let difference =
                        known::Difference { against: Against::Falco, capture, field, golden, ours, beside: &beside };
                    self.field_class(&difference, context, history)
                };
                fields.iter().map(class).collect()
            }
        }
    }

    fn field_class(
        &self,
        difference: &known::Difference<'_>,
        context: &EventContext<'_>,
        history: &History,
    ) -> Option<&str> {
        let covers = |index, class: &FieldClass| class.covers(difference) && self.fields.hold(index, context, history);
        let class = self.known.fields.iter().enumerate().find(|(index, class)| covers(*index, class));
        class.map(|(_, class)| class.id.as_str())
    }
}

/// Pairs alerts by time and rule, in order; counts the equal pairs and returns the rest.
fn pair<'a>(golden: &'a [Alert], ours: &'a [Alert], equal: &mut u64) -> Vec<Difference<'a>> {
    let mut waiting: BTreeMap<(&str, &str), Vec<&Alert>> = BTreeMap::new();
    for alert in ours.iter().rev() {
        waiting.entry((&alert.time, &alert.rule)).or_default().push(alert);
    }
    let mut differences = Vec::new();
    for alert in golden {
        match waiting.get_mut(&(alert.time.as_str(), alert.rule.as_str())).and_then(Vec::pop) {
            Some(other) if alert == other => *equal += 1,
            Some(other) => differences.push(Difference::Content(alert, other)),
            None => differences.push(Difference::Alone(AlertSide::Missing, alert)),
        }
    }
    let extra = waiting.into_values().flat_map(|alerts| alerts.into_iter().rev());
    differences.extend(extra.map(|alert| Difference::Alone(AlertSide::Extra, alert)));
    differences
}

/// Output fields whose values differ, with both texts.
fn different_fields<'a>(golden: &'a Alert, ours: &'a Alert) -> Vec<(&'a str, String, String)> {
    let names: BTreeSet<&String> = golden.output_fields.keys().chain(ours.output_fields.keys()).collect();
    names
        .into_iter()
        .map(|name| (name.as_str(), golden.output_fields.get(name), ours.output_fields.get(name)))
        .filter(|(_, golden, ours)| golden != ours)
        .map(|(name, golden, ours)| (name, text_of(golden), text_of(ours)))
        .collect()
}

fn text_of(value: Option<&Json>) -> String {
    match value {
        None => "(not printed)".to_owned(),
        Some(Json::Null) => ABSENT.to_owned(),
        Some(Json::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

fn alone(what: &str, alert: &Alert) -> String {
    format!("{what}: {}: {}", alert.rule, alert.output)
}

fn content(golden: &Alert, ours: &Alert) -> String {
    let mut text = format!("different: {}\n  golden {}\n  ours   {}", golden.rule, golden.output, ours.output);
    let properties = [
        ("priority", golden.priority.clone(), ours.priority.clone()),
        ("source", golden.source.clone(), ours.source.clone()),
        ("tags", golden.tags.join(","), ours.tags.join(",")),
    ];
    let fields = different_fields(golden, ours).into_iter();
    for (name, golden, ours) in properties.into_iter().filter(|(_, golden, ours)| golden != ours).chain(fields) {
        // Writing to a string cannot fail.
        let _ = write!(text, "\n  {name}: golden {golden}, ours {ours}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alert(time: &str, rule: &str, name: Json) -> Alert {
        Alert {
            rule: rule.to_owned(),
            output: format!("{name}"),
            priority: "Notice".to_owned(),
            source: "syscall".to_owned(),
            tags: Vec::new(),
            time: time.to_owned(),
            output_fields: BTreeMap::from([("user.name".to_owned(), name)]),
        }
    }

    #[test]
    fn alerts_are_paired_by_time_and_rule() {
        let golden = [alert("1", "a", "x".into()), alert("1", "a", "y".into()), alert("2", "b", Json::Null)];
        let ours = [alert("1", "a", "x".into()), alert("1", "a", "z".into()), alert("2", "c", Json::Null)];
        let mut equal = 0;
        let differences = pair(&golden, &ours, &mut equal);
        assert_eq!(equal, 1);
        let [Difference::Content(..), Difference::Alone(AlertSide::Missing, b), Difference::Alone(AlertSide::Extra, c)] =
            &differences[..]
        else {
            panic!("one different, one missing, one extra")
        };
        assert_eq!((b.rule.as_str(), c.rule.as_str()), ("b", "c"));
    }

    #[test]
    fn differences_of_fields_are_told_as_texts() {
        let differences = different_fields(&alert("1", "a", Json::Null), &alert("1", "a", 4_294_967_295_u32.into()))
            .into_iter()
            .map(|(name, golden, ours)| format!("{name} {golden} {ours}"))
            .collect::<Vec<_>>();
        assert_eq!(differences, ["user.name <NA> 4294967295"]);
    }
}
