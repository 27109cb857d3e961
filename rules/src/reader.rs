//! Reader: YAML to items with positions.
//!
//! Checks the structure of each item (keys, kinds of values, override bookkeeping) in the order in which Falco does,
//! so that the first error is Falco's, and goes on with the next item after an error, which Falco does not.

mod overrides;

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::diagnostics::{Code, Diagnostic, ItemKind, did_you_mean};
use crate::items::{Head, ListItem, MacroItem, PluginRequirement, RuleChange, RuleItem, Spanned, Step};
use crate::read_exceptions::exceptions;
use crate::read_values::{
    boolean, is_list_name, is_macro_name, number, optional, optional_text, priority, required, sequence, tags, texts,
    unknown_inner_keys, unsigned,
};
use crate::source::{FileId, FileSpan};
use crate::text::Scalar;
use crate::version::Version;
use crate::yaml::{self, Kind, Node};
use overrides::Overrides;

/// What a stage gives when it finds an error in an item.
pub(crate) type Outcome<T> = Result<T, Box<Diagnostic>>;

/// Keys of a rule that appending changes, and keys that replacing changes, in the order of Falco's checks.
const APPENDABLE: &[&str] = &["condition", "exceptions", "output", "desc", "tags"];
const REPLACEABLE: &[&str] = &[
    "condition",
    "exceptions",
    "output",
    "desc",
    "tags",
    "priority",
    "enabled",
    "warn_evttypes",
    "skip-if-unknown-filter",
    "capture",
    "capture_duration",
];

/// The kinds of items in the order in which their keys decide, with all keys they may have.
const ITEMS: &[(ItemKind, &[&str])] = &[
    (ItemKind::RequiredEngineVersion, &["required_engine_version"]),
    (ItemKind::RequiredPluginVersions, &["required_plugin_versions"]),
    (ItemKind::List, &["list", "items", "append", "override"]),
    (ItemKind::Macro, &["macro", "condition", "append", "override"]),
    (
        ItemKind::Rule,
        &[
            "rule",
            "desc",
            "condition",
            "output",
            "priority",
            "source",
            "enabled",
            "tags",
            "exceptions",
            "warn_evttypes",
            "skip-if-unknown-filter",
            "capture",
            "capture_duration",
            "append",
            "override",
        ],
    ),
];

/// An item as read: what it does, and the error that ended the reading of it. Steps before the error count.
#[derive(Debug)]
pub(crate) struct ReadItem {
    pub(crate) kind: Option<ItemKind>,
    /// The name, when that much could be read.
    pub(crate) name: Option<String>,
    pub(crate) steps: Vec<Step>,
    pub(crate) warnings: Vec<Diagnostic>,
    pub(crate) error: Option<Box<Diagnostic>>,
}

/// What a file holds.
#[derive(Debug)]
pub(crate) enum ReadFile {
    /// It is no YAML.
    Unreadable(Box<Diagnostic>),
    /// Its items, and warnings about its YAML.
    Items(Vec<ReadItem>, Vec<Diagnostic>),
}

/// Reads a file.
pub(crate) fn read(file: FileId, bytes: &[u8]) -> ReadFile {
    let documents = match yaml::parse(file, bytes) {
        Ok(documents) => documents,
        Err(error) => return ReadFile::Unreadable(error),
    };
    let mut items = Vec::new();
    for document in &documents.documents {
        match &document.kind {
            Kind::Null => {}
            Kind::Sequence(elements) => items.extend(elements.iter().filter(|node| !node.is_null()).map(|n| item(n))),
            Kind::Scalar(_) | Kind::Mapping(_) => {
                let message = format!("a rule file is a sequence of items, but this is {}", document.kind_name());
                let first = FileSpan { end: document.span.start + 1, ..document.span };
                items.push(ReadItem {
                    kind: None,
                    name: None,
                    steps: Vec::new(),
                    warnings: Vec::new(),
                    error: Some(Box::new(invalid(message, first))),
                });
            }
        }
    }
    ReadFile::Items(items, documents.warnings)
}

/// An error in the structure of a file.
pub(crate) fn invalid(message: impl Into<String>, span: FileSpan) -> Diagnostic {
    Diagnostic::new(Code::YamlValidate, message).at(span)
}

fn item(node: &Node) -> ReadItem {
    let mut read = ReadItem { kind: None, name: None, steps: Vec::new(), warnings: Vec::new(), error: None };
    let Some(entries) = node.mapping() else {
        let message = format!("an item is a mapping, but this is {}", node.kind_name());
        read.error = Some(Box::new(invalid(message, node.span)));
        return read;
    };
    let Some(&(kind, keys)) = ITEMS.iter().find(|(_, keys)| node.get(keys[0]).is_some()) else {
        let first = entries.first().map_or(node.span, |(key, _)| key.span);
        let word = entries.first().and_then(|(key, _)| key.scalar()).map_or("", |key| &key.value);
        read.warnings.push(
            Diagnostic::new(Code::UnknownItem, "unknown kind of item, ignored")
                .at(first)
                .hint(did_you_mean(word, ITEMS.iter().map(|(_, keys)| keys[0]))),
        );
        return read;
    };
    read.kind = Some(kind);
    let mut reader = ItemReader { node, kind, keys, warnings: Vec::new(), steps: Vec::new() };
    let result = match kind {
        ItemKind::RequiredEngineVersion => reader.engine_version(),
        ItemKind::RequiredPluginVersions => reader.plugin_versions(),
        ItemKind::List => reader.list(),
        ItemKind::Macro => reader.macro_(),
        ItemKind::Rule => reader.rule(),
    };
    reader.unknown_keys(entries);
    read.steps = reader.steps;
    read.warnings = reader.warnings;
    read.error = result.err();
    if matches!(kind, ItemKind::List | ItemKind::Macro | ItemKind::Rule) {
        read.name = node.get(keys[0]).and_then(|name| name.scalar()).map(|name| name.value.clone());
    }
    let name = read.name.clone().unwrap_or_default();
    for diagnostic in read.warnings.iter_mut().chain(read.error.as_deref_mut()) {
        diagnostic.item.get_or_insert_with(|| crate::diagnostics::ItemRef { kind, name: name.clone() });
    }
    read
}

/// Reads one item.
struct ItemReader<'n> {
    node: &'n Node,
    kind: ItemKind,
    keys: &'static [&'static str],
    warnings: Vec<Diagnostic>,
    steps: Vec<Step>,
}

impl ItemReader<'_> {
    fn unknown_keys(&mut self, entries: &[(Arc<Node>, Arc<Node>)]) {
        let mut seen = BTreeSet::new();
        for (key, _) in entries {
            let name = key.scalar().map_or("", |key| &*key.value);
            if self.keys.contains(&name) || !seen.insert(name) {
                continue;
            }
            let message = format!("key `{name}` does not belong to a {} and is ignored", self.kind.name());
            self.warnings.push(
                Diagnostic::new(Code::UnknownKey, message)
                    .at(key.span)
                    .hint(did_you_mean(name, self.keys.iter().copied())),
            );
        }
    }

    fn head(&self) -> Outcome<Head> {
        let key = self.keys[0];
        let name = required(self.node, key)?;
        let start = self.node.entry(key).map_or(name.span, |(key, _)| key.span);
        let span = FileSpan { start: start.start, ..name.span };
        // Of an alias, name and key are far apart.
        let span = if span.start <= name.span.start { span } else { start };
        Ok(Head { name, span })
    }

    fn warn_deprecated(&mut self, message: &str, key: &str, hint: &str) {
        let span = self.node.entry(key).map_or(self.node.span, |(key, _)| key.span);
        self.warnings.push(Diagnostic::new(Code::DeprecatedItem, message).at(span).hint(hint.to_owned()));
    }

    fn engine_version(&mut self) -> Outcome<()> {
        let text = required(self.node, self.keys[0])?;
        let version = match unsigned(&text.value) {
            Some(minor) => Version::new(0, minor, 0),
            None => Version::parse(&text.value).ok_or_else(|| {
                invalid(
                    format!("`{}` is no engine version: x.y.z or a whole number is expected", text.value),
                    text.span,
                )
            })?,
        };
        self.steps.push(Step::EngineVersion(Spanned { value: version, span: text.span }));
        Ok(())
    }

    fn plugin_versions(&mut self) -> Outcome<()> {
        let Some(node) = self.node.get(self.keys[0]) else { return Ok(()) };
        let entries = sequence(node, "required_plugin_versions")?;
        for entry in entries {
            if entry.mapping().is_none() {
                let message = format!("an entry has a name and a version, but this is {}", entry.kind_name());
                return Err(Box::new(invalid(message, entry.span)));
            }
            let mut wanted = vec![plugin(entry)?];
            self.inner_keys(entry, &["name", "version", "alternatives"]);
            if let Some(node) = entry.get("alternatives") {
                for alternative in sequence(node, "alternatives")? {
                    if alternative.mapping().is_none() {
                        let message =
                            format!("an alternative has a name and a version, but this is {}", alternative.kind_name());
                        return Err(Box::new(invalid(message, alternative.span)));
                    }
                    wanted.push(plugin(alternative)?);
                    self.inner_keys(alternative, &["name", "version"]);
                }
            }
            self.steps.push(Step::PluginVersions(wanted));
        }
        Ok(())
    }

    fn inner_keys(&mut self, node: &Node, keys: &[&'static str]) {
        self.warnings.extend(unknown_inner_keys(node, keys));
    }

    fn list(&mut self) -> Outcome<()> {
        let head = self.head()?;
        if !is_list_name(&head.name.value) {
            let message = "lists should have names without blanks, parentheses, quotes, commas and `=`";
            self.warnings.push(Diagnostic::new(Code::InvalidListName, message).at(head.name.span));
        }
        let Some(node) = self.node.get("items") else { return Err(missing("items", &head)) };
        let items = texts(node, "items")?;
        let append = self.appends("items")?;
        let item = ListItem { head, items };
        self.steps.push(if append { Step::AppendList(item) } else { Step::DefineList(item) });
        Ok(())
    }

    fn macro_(&mut self) -> Outcome<()> {
        let head = self.head()?;
        if !is_macro_name(&head.name.value) {
            let message =
                "no condition can refer to this name: letters, digits and underscores are allowed, a letter first";
            self.warnings.push(Diagnostic::new(Code::InvalidMacroName, message).at(head.name.span));
        }
        if self.node.get("condition").is_none() {
            return Err(missing("condition", &head));
        }
        let condition = required(self.node, "condition")?;
        let append = self.appends("condition")?;
        let item = MacroItem { head, condition };
        self.steps.push(if append { Step::AppendMacro(item) } else { Step::DefineMacro(item) });
        Ok(())
    }

    /// Reads `append` and `override` of a list or macro, whose only changeable key is `key`.
    fn appends(&mut self, key: &'static str) -> Outcome<bool> {
        let append = self.append_flag(key)?;
        let overrides = self.overrides(&[key], &[key])?;
        self.not_both(append, &overrides)?;
        Ok(append || overrides.append.contains(key))
    }

    fn append_flag(&mut self, key: &str) -> Outcome<bool> {
        let append = optional(self.node, "append", boolean)?.unwrap_or(false);
        if append {
            let hint = format!("write `override: {{{key}: append}}` instead");
            self.warn_deprecated("`append: true` is deprecated", "append", &hint);
        }
        Ok(append)
    }

    fn not_both(&self, append: bool, overrides: &Overrides) -> Outcome<()> {
        if append && overrides.any() {
            let span = self.node.entry("append").map_or(self.node.span, |(key, _)| key.span);
            return Err(Box::new(invalid("`append` and `override` cannot be used together", span)));
        }
        Ok(())
    }

    fn rule(&mut self) -> Outcome<()> {
        let head = self.head()?;
        let append = self.append_flag("condition")?;
        let overrides = self.overrides(APPENDABLE, REPLACEABLE)?;
        self.not_both(append, &overrides)?;
        if overrides.any() {
            return self.override_rule(&head, &overrides);
        }
        if append {
            let mut change = RuleChange::new(head, self.change_source()?);
            if self.node.get("condition").is_some() {
                change.condition = Some(required(self.node, "condition")?);
            }
            if self.node.get("exceptions").is_some() {
                change.exceptions = Some(exceptions(self.node, true, &mut self.warnings)?);
            }
            self.steps.push(Step::AppendRule(Box::new(change)));
            return Ok(());
        }
        if ["condition", "output", "desc", "priority"].iter().all(|key| self.node.get(key).is_none()) {
            if self.node.get("enabled").is_none() {
                return Err(missing("condition", &head));
            }
            let enabled = boolean(&required(self.node, "enabled")?)?;
            self.warn_deprecated(
                "a rule with `enabled` alone is deprecated",
                "enabled",
                "write `override: {enabled: replace}` beside it",
            );
            self.steps.push(Step::EnableRule(head, enabled));
            return Ok(());
        }
        self.whole_rule(head)
    }

    fn whole_rule(&mut self, head: Head) -> Outcome<()> {
        let node = self.node;
        for key in ["condition", "output", "desc", "priority"] {
            if node.get(key).is_none() {
                return Err(missing(key, &head));
            }
            required(node, key)?;
        }
        let rule = RuleItem {
            condition: required(node, "condition")?,
            output: required(node, "output")?,
            desc: required(node, "desc")?.value.clone(),
            priority: priority(&required(node, "priority")?)?,
            source: optional_text(node, "source")?,
            enabled: optional(node, "enabled", boolean)?.unwrap_or(true),
            warn_evttypes: optional(node, "warn_evttypes", boolean)?.unwrap_or(true),
            skip_if_unknown_filter: optional(node, "skip-if-unknown-filter", boolean)?.unwrap_or(false),
            capture: optional(node, "capture", boolean)?.unwrap_or(false),
            capture_duration: optional(node, "capture_duration", number)?.unwrap_or(0),
            tags: tags(node)?.unwrap_or_default(),
            exceptions: exceptions(node, false, &mut self.warnings)?,
            head,
        };
        self.steps.push(Step::DefineRule(Box::new(rule)));
        Ok(())
    }

    /// The source an append or override names; an empty one fits any rule.
    fn change_source(&self) -> Outcome<Option<Arc<Scalar>>> {
        match self.node.get("source").and_then(|node| node.scalar()) {
            Some(text) if text.value.is_empty() => Ok(None),
            _ => optional_text(self.node, "source"),
        }
    }
}

fn missing(key: &str, head: &Head) -> Box<Diagnostic> {
    Box::new(invalid(format!("key `{key}` is missing"), head.span))
}

fn plugin(node: &Node) -> Outcome<PluginRequirement> {
    Ok(PluginRequirement { name: required(node, "name")?, version: required(node, "version")? })
}
