//! What is masked: a YAML file, or the built-in one (`replay/tables/redact.yaml`, which explains itself).
//!
//! What a file leaves out is as in the built-in one. A key, kind or field that does not exist is a mistake with its place:
//! a policy that does not say what it seems to say would let something through.

use std::collections::BTreeMap;
use std::sync::Arc;

use casebook_formats::event::EventType;
use casebook_formats::tables::{self, EVENT_TYPES};
use casebook_rules::diagnostics::Diagnostic;
use casebook_rules::ruleset::RuleSet;
use casebook_rules::source::{RuleFile, Sources};
use casebook_rules::yaml::{self, Node};

use super::address::{self, Networks};
use super::blocks::SNAPSHOT_FIELDS;
use super::mask::Kind;
use super::vocabulary::Vocabulary;
use crate::lab::tree::{Entries, Notes, several};

/// The built-in policy.
pub const BUILT_IN: &str = include_str!("../../tables/redact.yaml");

/// Entries of one list of a policy.
const MAX_ENTRIES: usize = 100_000;

/// What happens to a value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Action {
    /// A token stands for it.
    Mask,
    /// It stays.
    Keep,
    /// Nothing stands for it.
    Remove,
}

const ACTIONS: &[(&str, Action)] = &[("mask", Action::Mask), ("keep", Action::Keep), ("remove", Action::Remove)];

/// A policy.
#[derive(Clone, Debug)]
pub struct Policy {
    kinds: BTreeMap<Kind, Action>,
    /// Patterns of fields, the first that counts first.
    fields: Vec<(String, Action)>,
    keep_system: bool,
    keep_rules: bool,
    words: Vec<String>,
    paths: Vec<String>,
    networks: Vec<String>,
    forced: Vec<String>,
    digest: String,
}

impl Policy {
    /// The built-in policy.
    pub fn built_in() -> Self {
        // Its text is part of the program, and a test reads it; whatever it were, everything is masked.
        Self::read("the built-in policy", BUILT_IN.as_bytes()).unwrap_or_else(|_| Self::strict())
    }

    /// Everything is masked, nothing stays.
    fn strict() -> Self {
        Self {
            kinds: BTreeMap::new(),
            fields: Vec::new(),
            keep_system: false,
            keep_rules: false,
            words: Vec::new(),
            paths: Vec::new(),
            networks: Vec::new(),
            forced: Vec::new(),
            digest: String::new(),
        }
    }

    /// Reads a policy; `name` appears in messages.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with it, a line each, with its place.
    pub fn read(name: &str, bytes: &[u8]) -> Result<Self, Vec<String>> {
        let mut sources = Sources::default();
        let id = sources.add(&RuleFile::new(name, bytes));
        let (mut notes, mut policy) =
            (Notes::default(), Self { keep_system: true, keep_rules: true, ..Self::strict() });
        match yaml::parse(id, bytes) {
            Err(error) => notes.note(*error),
            Ok(parsed) => {
                parsed.warnings.into_iter().for_each(|warning| notes.note(warning));
                let mut documents = parsed.documents.iter().filter(|document| !document.is_null());
                if let Some(document) = documents.next() {
                    policy.document(document, &mut notes);
                }
                if let Some(extra) = documents.next() {
                    notes.wrong::<()>(extra.span, "a policy is one document");
                }
            }
        }
        if !notes.mistakes.is_empty() {
            return Err(notes.mistakes.iter().map(|mistake| line(mistake, name, &sources)).collect());
        }
        let mut hasher = blake3::Hasher::new();
        hasher.update(bytes).update(&[0]).update(super::vocabulary::BUILT_IN.as_bytes());
        policy.digest = hasher.finalize().to_hex().to_string();
        Ok(policy)
    }

    fn document(&mut self, document: &Node, notes: &mut Notes) {
        let Some(mut entries) = Entries::of(document, "a policy", notes) else { return };
        if let Some(kinds) = entries.take("kinds").and_then(|node| Entries::of(node, "`kinds`", notes)) {
            self.kinds(kinds, notes);
        }
        if let Some(fields) = entries.take("fields").filter(|node| !node.is_null()) {
            self.fields(fields, notes);
        }
        if let Some(mut keep) = entries.take("keep").and_then(|node| Entries::of(node, "`keep`", notes)) {
            for (key, flag) in [("system", &mut self.keep_system), ("rules", &mut self.keep_rules)] {
                if let Some(yes) = keep.take(key).and_then(|node| notes.yes(node)) {
                    *flag = yes;
                }
            }
            self.words = texts(keep.take("words"), notes, |_| None);
            let path = |text: &str| (!text.starts_with('/')).then(|| format!("`{text}` is no path from the root"));
            self.paths = texts(keep.take("paths"), notes, path);
            let net =
                |text: &str| address::parse(text).is_none().then(|| format!("`{text}` is no network like 10.0.0.0/8"));
            self.networks = texts(keep.take("networks"), notes, net);
            keep.end("`keep`", notes);
        }
        if let Some(mut mask) = entries.take("mask").and_then(|node| Entries::of(node, "`mask`", notes)) {
            self.forced = texts(mask.take("words"), notes, |_| None);
            mask.end("`mask`", notes);
        }
        entries.end("a policy", notes);
    }

    fn kinds(&mut self, mut entries: Entries<'_>, notes: &mut Notes) {
        for &kind in Kind::ALL {
            if let Some(action) = entries.take(kind.name()).and_then(|node| notes.one_of(node, ACTIONS)) {
                self.kinds.insert(kind, action);
            }
        }
        entries.end("`kinds`", notes);
    }

    fn fields(&mut self, node: &Node, notes: &mut Notes) {
        let Some(pairs) = node.mapping() else {
            notes.wrong::<()>(node.span, "`fields` is a mapping of fields to mask, keep or remove");
            return;
        };
        for (key, value) in pairs {
            let Some(pattern) = notes.text(key) else { continue };
            let Some(action) = notes.one_of(value, ACTIONS) else { continue };
            if fields().any(|field| fits(pattern, &field)) {
                self.fields.insert(0, (pattern.to_owned(), action));
            } else {
                notes.wrong::<()>(key.span, format!("there is no field `{pattern}` that could be masked"));
            }
        }
    }

    /// What happens to a field of this kind.
    pub fn action(&self, kind: Kind, field: &str) -> Action {
        let own = self.fields.iter().find(|(pattern, _)| fits(pattern, field));
        own.map(|(_, action)| *action).or_else(|| self.kinds.get(&kind).copied()).unwrap_or(Action::Mask)
    }

    /// What tells this policy from others, in hexadecimal digits.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// What stays, with these rules.
    pub fn words(&self, rules: &RuleSet) -> (Vocabulary, Networks) {
        let mut vocabulary = if self.keep_system { Vocabulary::built_in() } else { Vocabulary::default() };
        let mut networks = Networks::known();
        if self.keep_rules {
            vocabulary.add_rules(rules, &mut networks);
        }
        self.words.iter().for_each(|word| vocabulary.add_text(word.as_bytes()));
        self.paths.iter().for_each(|path| vocabulary.add_path(path.as_bytes()));
        self.forced.iter().for_each(|word| vocabulary.force(word.as_bytes()));
        for network in &self.networks {
            networks.keep(network);
        }
        (vocabulary, networks)
    }
}

fn line(mistake: &Diagnostic, name: &str, sources: &Sources) -> String {
    let place = mistake
        .primary
        .as_ref()
        .and_then(|label| sources.locate(label.span))
        .map_or_else(|| name.to_owned(), |place| format!("{name}:{}:{}", place.position.line, place.position.column));
    let hint = mistake.hint.as_ref().map_or_else(String::new, |hint| format!(" ({hint})"));
    format!("{place}: {}{hint}", mistake.message)
}

fn texts(node: Option<&Arc<Node>>, notes: &mut Notes, wrong: impl Fn(&str) -> Option<String>) -> Vec<String> {
    let Some(node) = node else { return Vec::new() };
    let mut texts = Vec::new();
    for item in several(node).iter().take(MAX_ENTRIES) {
        let Some(text) = notes.words(item) else { continue };
        match wrong(text) {
            Some(message) => {
                notes.wrong::<()>(item.span, message);
            }
            None => texts.push(text.to_owned()),
        }
    }
    texts
}

/// All fields that there are.
fn fields() -> impl Iterator<Item = String> {
    let events = (0..EVENT_TYPES as u16).filter_map(|number| tables::event(EventType(number)));
    let of_events = events.flat_map(|def| def.params.iter().map(|param| format!("{}.{}", def.name, param.name)));
    SNAPSHOT_FIELDS.iter().map(|field| (*field).to_owned()).chain(of_events)
}

/// Whether a pattern with `*` fits a field.
fn fits(pattern: &str, field: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = field.strip_prefix(parts.next().unwrap_or_default()) else { return false };
    let mut parts = parts.peekable();
    if parts.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_policy_masks_everything() {
        let policy = Policy::read("policy", BUILT_IN.as_bytes());
        assert!(policy.is_ok(), "{policy:?}");
        for &kind in Kind::ALL {
            assert_eq!(Policy::built_in().action(kind, "execve.args"), Action::Mask);
        }
        assert_eq!(Policy::built_in().digest().len(), 64);
    }

    #[test]
    fn the_last_field_that_fits_counts() {
        let text = "kinds: {buffers: keep}\nfields: {'*.env': remove, execve.env: keep, 'process.*': remove}";
        let policy = Policy::read("policy", text.as_bytes());
        let Ok(policy) = policy else { panic!("{policy:?}") };
        assert_eq!(policy.action(Kind::Environment, "execve.env"), Action::Keep);
        assert_eq!(policy.action(Kind::Environment, "clone.env"), Action::Remove);
        assert_eq!(policy.action(Kind::Arguments, "clone.args"), Action::Mask);
        assert_eq!(policy.action(Kind::Environment, "process.env"), Action::Remove);
        assert_eq!(policy.action(Kind::Buffers, "read.data"), Action::Keep);
    }

    #[test]
    fn what_does_not_exist_is_a_mistake() {
        for (text, place) in [
            ("kind: {}", "p:1:1: "),
            ("kinds:\n  argument: keep", "p:2:3: "),
            ("kinds: {names: hide}", "p:1:16: "),
            ("fields: {execve.nothing: keep}", "p:1:10: "),
            ("keep: {networks: [10.0.0.0/40]}", "p:1:19: "),
            ("keep: {paths: [opt]}", "p:1:16: "),
            ("keep: {system: perhaps}", "p:1:16: "),
            ("[]", "p:1:1: "),
            ("a: b: c", "p:1:"),
        ] {
            let got = Policy::read("p", text.as_bytes());
            assert!(got.as_ref().is_err_and(|lines| lines[0].starts_with(place)), "{text} {got:?}");
        }
    }

    #[test]
    fn patterns_of_fields() {
        assert!(fits("execve.args", "execve.args") && fits("*", "a.b") && fits("*.env", "clone.env"));
        assert!(fits("open*.name", "openat.name") && !fits("execve.arg", "execve.args") && !fits("*.env", "x.envy"));
    }
}
