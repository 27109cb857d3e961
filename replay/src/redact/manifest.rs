//! What was masked, as JSON beside the redacted capture: counts, the policy, the id of the key, how the alerts compare.
//!
//! It holds nothing that the redacted capture does not: no value that was masked, no name of a file, never the key.

use std::collections::BTreeMap;

use casebook_formats::custody::Parent;
use casebook_formats::rewrite::Rewritten;
use serde_json::{Map, Value, json};

use super::mask::{Count, Kind};
use super::proof::{Alert, Proof};

/// Alerts that changed and are listed, each way.
const MAX_ALERTS: usize = 1000;
/// Version of the layout.
const VERSION: u32 = 1;

/// What became of the values of a capture.
#[derive(Clone, Debug, Default)]
pub struct Masked {
    /// By kind.
    pub by_kind: BTreeMap<Kind, Count>,
    /// By field.
    pub by_field: BTreeMap<String, Count>,
    /// Words of texts for which something else stands.
    pub words_masked: u64,
    /// Words of texts that stayed.
    pub words_kept: u64,
    /// Those that stayed, and how often.
    pub kept: BTreeMap<Vec<u8>, u64>,
    /// There are more than these.
    pub kept_are_more: bool,
}

/// Everything that a manifest says.
pub struct Manifest<'m> {
    /// Program and version.
    pub tool: &'m str,
    /// [`super::key::Key::id`].
    pub key: &'m str,
    /// [`super::policy::Policy::digest`].
    pub policy: &'m str,
    /// The original, by length and digest.
    pub original: &'m Parent,
    /// The redacted capture likewise.
    pub redacted: &'m Parent,
    /// What became of its values.
    pub masked: &'m Masked,
    /// What became of its blocks.
    pub rewritten: &'m Rewritten,
    /// How alerts compare; nothing when nobody asked.
    pub proof: Option<&'m Proof>,
    /// Names of the rules by number.
    pub rules: &'m [String],
}

fn counts<'c>(rows: impl Iterator<Item = (String, &'c Count)>) -> Value {
    let row = |(name, count): (String, &Count)| {
        (name, json!({ "values": count.values, "masked": count.changed, "as_they_were": count.values - count.changed }))
    };
    Value::Object(rows.map(row).collect::<Map<_, _>>())
}

fn file(file: &Parent) -> Value {
    let digits = blake3::Hash::from_bytes(file.sha256).to_hex();
    json!({ "bytes": file.bytes, "sha256": digits.as_str() })
}

impl Manifest<'_> {
    /// The document, indented, with a line end.
    pub fn text(&self) -> String {
        let Self { masked, rewritten, .. } = self;
        let mut kept: Vec<(&Vec<u8>, &u64)> = masked.kept.iter().collect();
        kept.sort_by(|a, b| b.1.cmp(a.1).then(a.0.cmp(b.0)));
        let kept: Vec<Value> =
            kept.into_iter().map(|(word, count)| json!([String::from_utf8_lossy(word), count])).collect();
        let value = json!({
            "manifest_version": VERSION,
            "tool": self.tool,
            "key_id": self.key,
            "policy_digest": self.policy,
            "original": file(self.original),
            "redacted": file(self.redacted),
            "kinds": counts(masked.by_kind.iter().map(|(kind, count)| (kind.name().to_owned(), count))),
            "fields": counts(masked.by_field.iter().map(|(field, count)| (field.clone(), count))),
            "words": {
                "masked": masked.words_masked,
                "kept": masked.words_kept,
                "kept_list_is_complete": !masked.kept_are_more,
                "kept_by_count": kept,
            },
            "events": rewritten.events,
            "left_out": {
                "events": rewritten.events_left_out,
                "values": rewritten.values_left_out,
                "comments": rewritten.comments_left_out,
                "snapshot_entries": rewritten.entries_left_out,
            },
            "texts_cut": rewritten.cut,
            "alerts": self.proof.map(|proof| self.alerts(proof)),
        });
        // Maps of texts always become JSON.
        serde_json::to_string_pretty(&value).unwrap_or_default() + "\n"
    }

    fn alerts(&self, proof: &Proof) -> Value {
        let list = |alerts: &[Alert]| -> Vec<Value> {
            let name = |alert: &Alert| self.rules.get(alert.rule as usize).map_or("", String::as_str);
            alerts.iter().take(MAX_ALERTS).map(|alert| json!({ "event": alert.event, "rule": name(alert) })).collect()
        };
        json!({
            "unchanged": proof.is_equal(),
            "original": proof.before,
            "redacted": proof.after,
            "lost": list(&proof.lost),
            "gained": list(&proof.gained),
            "lost_total": proof.lost.len(),
            "gained_total": proof.gained.len(),
        })
    }
}
