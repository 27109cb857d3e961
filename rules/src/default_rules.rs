//! Casebook's own ruleset, embedded: what runs when no rule file is named.
//!
//! The texts stand in `rules/default/`, one file a topic, and are loaded in the order below. The order is the order of
//! evaluation: where only the first matching rule of an event is reported, sharper rules come before broad ones. The
//! vocabulary comes first, because macros have to be defined before macros that use them.

use crate::diagnostics::{Code, Diagnostic};
use crate::load::LoadOutcome;
use crate::source::RuleFile;

/// The file that defines names for people's own rules, many of which our rules do not use. Warnings about unused
/// macros and lists in it (`LOAD_UNUSED_MACRO`, `LOAD_UNUSED_LIST`) tell nobody anything and are not to be shown.
pub const VOCABULARY: &str = "default/00-vocabulary.yaml";

/// File names (for diagnostics) and texts, in load order.
const FILES: &[(&str, &str)] = &[
    (VOCABULARY, include_str!("../default/00-vocabulary.yaml")),
    ("default/10-container-escape.yaml", include_str!("../default/10-container-escape.yaml")),
    ("default/20-privilege-escalation.yaml", include_str!("../default/20-privilege-escalation.yaml")),
    ("default/30-credential-access.yaml", include_str!("../default/30-credential-access.yaml")),
    ("default/40-defense-evasion.yaml", include_str!("../default/40-defense-evasion.yaml")),
    ("default/50-persistence.yaml", include_str!("../default/50-persistence.yaml")),
    ("default/60-impact.yaml", include_str!("../default/60-impact.yaml")),
    ("default/70-network.yaml", include_str!("../default/70-network.yaml")),
    ("default/80-execution.yaml", include_str!("../default/80-execution.yaml")),
    ("default/90-kubernetes.yaml", include_str!("../default/90-kubernetes.yaml")),
];

/// The rule files of the default ruleset, in load order. They are one thing to load: building the rules anew after each
/// file, as is done with people's files, would take five times as long.
pub fn default_rules() -> Vec<RuleFile> {
    let last = FILES.len() - 1;
    let file = |(n, &(name, text)): (usize, &(&str, &str))| RuleFile { goes_on: n < last, ..RuleFile::new(name, text) };
    FILES.iter().enumerate().map(file).collect()
}

/// Whether a diagnostic says that a name of the vocabulary is unused: names for people's own rules, which is their
/// purpose.
pub fn is_about_vocabulary(diagnostic: &Diagnostic, outcome: &LoadOutcome) -> bool {
    matches!(diagnostic.code, Code::UnusedMacro | Code::UnusedList)
        && diagnostic.primary.as_ref().is_some_and(|label| outcome.sources.name(label.span.file) == VOCABULARY)
}
