//! The rules of a report: files, what fired of each, warnings.

use std::collections::BTreeSet;

use super::super::asked::Asked;
use super::super::model::{RuleFile, Rules, Warning};
use super::super::text::Text;
use super::alerts::Fires;

/// Silent rules that are named.
const SILENT: usize = 2_000;

/// Rules and files, with what fired of them.
pub(super) fn rules(asked: &Asked, alerts: &Fires) -> Rules {
    let of_alerts: BTreeSet<&str> = alerts.rules.iter().map(|rule| rule.name.raw()).collect();
    let mut files: Vec<RuleFile> = asked
        .files
        .iter()
        .map(|file| RuleFile {
            name: Text::new(&file.name),
            sha256: Text::new(&file.sha256),
            bytes: file.bytes,
            rules: 0,
            fired: 0,
            warnings: file.warnings,
        })
        .collect();
    let (mut silent, mut active) = (Vec::new(), 0);
    for rule in asked.active() {
        active += 1;
        let name = Text::new(&rule.name);
        let has_fired = of_alerts.contains(name.raw());
        if let Some(file) = files.get_mut(rule.file) {
            file.rules += 1;
            file.fired += u64::from(has_fired);
        }
        if !has_fired && silent.len() < SILENT {
            silent.push(name);
        }
    }
    silent.sort();
    let warnings = asked.warnings.iter().map(|warning| Warning {
        code: warning.code,
        place: Text::new(&warning.place),
        message: Text::new(&warning.message),
    });
    Rules {
        files,
        active,
        inactive: asked.rules.len() as u64 - active,
        silent,
        warnings: warnings.collect(),
        warnings_total: asked.warnings_total,
    }
}
