//! Kubernetes audit events against rules, in every form in which they reach us.
//!
//! One or more documents → [`Form`] → a file → `casebook-replay` → alerts by rule. The forms have to agree: which
//! rules are true on an event does not depend on how it was wrapped.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use casebook_fixtures::{Trace, Value};
use casebook_formats::tables::ppme;
use casebook_replay::cli::{self, Exit, Terminals};
use serde_json::Value as Json;

/// The rule file that Falco ships for audit events, below the corpus folder.
pub const RULES: &str = "falco-rules/k8s_audit_rules.yaml";

/// How audit events are wrapped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Form {
    /// A document a line.
    Lines,
    /// One array over several lines.
    Array,
    /// An `EventList` whose items have no kind, as the API server's webhook sends it; indented.
    List,
    /// Lines, zstd.
    Packed,
    /// Plugin events in a capture.
    Plugin,
}

impl Form {
    /// Every form.
    pub const EVERY: [Self; 5] = [Self::Lines, Self::Array, Self::List, Self::Packed, Self::Plugin];

    /// Bytes of an input with these events.
    ///
    /// # Errors
    /// What cannot be built.
    pub fn wrap(self, events: &[Json]) -> Result<Vec<u8>, String> {
        let lines = || events.iter().fold(String::new(), |text, event| text + &event.to_string() + "\n");
        Ok(match self {
            Self::Lines => lines().into_bytes(),
            Self::Array => format!("{:#}\n", Json::from(events.to_vec())).into_bytes(),
            Self::List => {
                let mut items = events.to_vec();
                for item in &mut items {
                    let members = item.as_object_mut().ok_or("an event is no object")?;
                    members.remove("kind");
                    members.remove("apiVersion");
                }
                let list = serde_json::json!({"kind": "EventList", "apiVersion": "audit.k8s.io/v1", "items": items});
                format!("{list:#}\n").into_bytes()
            }
            Self::Packed => zstd::encode_all(lines().as_bytes(), 1).map_err(|error| error.to_string())?,
            Self::Plugin => {
                let mut trace = Trace::new("node");
                for event in events {
                    let text = event.to_string();
                    let data = [("plugin_id", Value::Int(1)), ("event_data", Value::Bytes(text.as_bytes()))];
                    trace.emit(-1, ppme::PPME_PLUGINEVENT_E, &data);
                }
                trace.finish().map_err(|error| format!("{error:?}"))?
            }
        })
    }
}

/// What a run printed.
#[derive(Debug)]
pub struct Outcome {
    /// Alerts by rule.
    pub alerts: BTreeMap<String, u64>,
    /// Names of the rules in the order of the alerts.
    pub order: Vec<String>,
    /// The exit code.
    pub exit: Exit,
    /// Standard error.
    pub talk: String,
}

/// Runs `casebook-replay` with rule files on inputs.
pub fn replay(rules: &[PathBuf], inputs: &[&Path], options: &[&str]) -> Outcome {
    let mut args: Vec<String> = ["casebook-replay", "-q", "--output", "json"].map(str::to_owned).into();
    args.extend(options.iter().map(|&option| option.to_owned()));
    for file in rules {
        args.extend(["-r".to_owned(), file.display().to_string()]);
    }
    args.extend(inputs.iter().map(|input| input.display().to_string()));
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let exit = cli::run_on(args, &mut out, &mut err, Terminals::default());
    let order: Vec<String> = String::from_utf8_lossy(&out)
        .lines()
        .filter_map(|line| Some(serde_json::from_str::<Json>(line).ok()?["rule"].as_str()?.to_owned()))
        .collect();
    let mut alerts = BTreeMap::new();
    for rule in &order {
        *alerts.entry(rule.clone()).or_default() += 1;
    }
    Outcome { alerts, order, exit, talk: String::from_utf8_lossy(&err).into_owned() }
}
