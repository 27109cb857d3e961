//! What the reader makes of a rule file: definitions and changes, in the order in which they stand.
//!
//! Texts stay scalars with their places. Nothing is looked up here; the collector joins these steps into one
//! collection.

use std::sync::Arc;

use crate::priority::Priority;
use crate::source::FileSpan;
use crate::text::Scalar;
use crate::version::Version;

/// A decoded value with its place.
#[derive(Clone, Debug)]
pub(crate) struct Spanned<T> {
    pub(crate) value: T,
    pub(crate) span: FileSpan,
}

/// What an item is called, and the places a message about the whole item points at.
#[derive(Clone, Debug)]
pub(crate) struct Head {
    pub(crate) name: Arc<Scalar>,
    /// The key (`rule`) and the name: one line, not the whole item.
    pub(crate) span: FileSpan,
}

/// One thing to do to the collection.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    EngineVersion(Spanned<Version>),
    PluginVersions(Vec<PluginRequirement>),
    DefineList(ListItem),
    AppendList(ListItem),
    DefineMacro(MacroItem),
    AppendMacro(MacroItem),
    DefineRule(Box<RuleItem>),
    AppendRule(Box<RuleChange>),
    ReplaceRule(Box<RuleChange>),
    EnableRule(Head, bool),
}

/// A plugin with the version a file asks for.
#[derive(Clone, Debug)]
pub(crate) struct PluginRequirement {
    pub(crate) name: Arc<Scalar>,
    pub(crate) version: Arc<Scalar>,
}

#[derive(Clone, Debug)]
pub(crate) struct ListItem {
    pub(crate) head: Head,
    pub(crate) items: Vec<Arc<Scalar>>,
}

#[derive(Clone, Debug)]
pub(crate) struct MacroItem {
    pub(crate) head: Head,
    pub(crate) condition: Arc<Scalar>,
}

/// A complete rule.
#[derive(Clone, Debug)]
#[allow(clippy::struct_excessive_bools)] // keys of a rule
pub(crate) struct RuleItem {
    pub(crate) head: Head,
    pub(crate) desc: String,
    pub(crate) condition: Arc<Scalar>,
    pub(crate) output: Arc<Scalar>,
    pub(crate) priority: Priority,
    pub(crate) source: Option<Arc<Scalar>>,
    pub(crate) enabled: bool,
    pub(crate) tags: Vec<Arc<Scalar>>,
    pub(crate) exceptions: Vec<ExceptionItem>,
    pub(crate) warn_evttypes: bool,
    pub(crate) skip_if_unknown_filter: bool,
    pub(crate) capture: bool,
    pub(crate) capture_duration: u32,
}

/// Changes to an earlier rule, all of them appended or all of them replaced.
#[derive(Clone, Debug)]
pub(crate) struct RuleChange {
    pub(crate) head: Head,
    pub(crate) source: Option<Arc<Scalar>>,
    pub(crate) condition: Option<Arc<Scalar>>,
    pub(crate) output: Option<Arc<Scalar>>,
    pub(crate) desc: Option<String>,
    pub(crate) tags: Option<Vec<Arc<Scalar>>>,
    pub(crate) exceptions: Option<Vec<ExceptionItem>>,
    pub(crate) priority: Option<Priority>,
    pub(crate) enabled: Option<bool>,
    pub(crate) warn_evttypes: Option<bool>,
    pub(crate) skip_if_unknown_filter: Option<bool>,
    pub(crate) capture: Option<bool>,
    pub(crate) capture_duration: Option<u32>,
}

impl RuleChange {
    pub(crate) fn new(head: Head, source: Option<Arc<Scalar>>) -> Self {
        Self {
            head,
            source,
            condition: None,
            output: None,
            desc: None,
            tags: None,
            exceptions: None,
            priority: None,
            enabled: None,
            warn_evttypes: None,
            skip_if_unknown_filter: None,
            capture: None,
            capture_duration: None,
        }
    }

    /// Whether it changes nothing at all.
    pub(crate) fn is_empty(&self) -> bool {
        self.condition.is_none()
            && self.output.is_none()
            && self.desc.is_none()
            && self.tags.is_none()
            && self.exceptions.is_none()
            && self.priority.is_none()
            && self.enabled.is_none()
            && self.warn_evttypes.is_none()
            && self.skip_if_unknown_filter.is_none()
            && self.capture.is_none()
            && self.capture_duration.is_none()
    }
}

/// An entry under `exceptions`.
#[derive(Clone, Debug)]
pub(crate) struct ExceptionItem {
    pub(crate) name: Arc<Scalar>,
    pub(crate) fields: Entry,
    pub(crate) comps: Entry,
    pub(crate) values: Vec<Entry>,
    /// The `name` key and its value.
    pub(crate) span: FileSpan,
}

/// A text, a sequence of entries, or nothing.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) kind: EntryKind,
    /// Where it stands; of a missing one, the exception's name.
    pub(crate) span: FileSpan,
}

#[derive(Clone, Debug)]
pub(crate) enum EntryKind {
    /// Not given, or null, or a mapping.
    Nothing,
    Text(Arc<Scalar>),
    List(Vec<Entry>),
}

impl Entry {
    /// Given, and no empty sequence.
    pub(crate) fn is_given(&self) -> bool {
        match &self.kind {
            EntryKind::Nothing => false,
            EntryKind::Text(text) => !text.value.is_empty(),
            EntryKind::List(items) => !items.is_empty(),
        }
    }

    pub(crate) fn list(&self) -> Option<&[Self]> {
        match &self.kind {
            EntryKind::List(items) => Some(items),
            _ => None,
        }
    }

    pub(crate) fn text(&self) -> Option<&Arc<Scalar>> {
        match &self.kind {
            EntryKind::Text(text) => Some(text),
            _ => None,
        }
    }
}
