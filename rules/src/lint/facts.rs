//! What lint must know about fields beyond the schema; implemented beside the field catalogue.
//!
//! Every answer is a claim that a finding rests on, so "not known" is always possible and means that nothing is said.

use crate::schema::{FieldRef, Schema};

/// When a field that looks as if it always had a value has none.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Absence {
    /// Completes "absent ...": `outside of pods`.
    pub when: &'static str,
    /// A field begins so that shows by having a value that this one has one, too: `k8s.`.
    pub family: &'static str,
}

/// Knowledge about fields.
pub trait FieldFacts: Schema {
    /// Whether a field certainly has no value on events of this type.
    fn never_on(&self, field: &FieldRef, etype: u16) -> bool;

    /// Why a field has no value on any capture; `None` when it can have one.
    fn offline(&self, field: &FieldRef) -> Option<&str>;

    /// When a field is absent that rules like to compare with `!=`.
    fn absence(&self, name: &str) -> Option<Absence>;

    /// Whether a field is absent where others would be the text `<NA>`. False when it can be that text.
    fn never_na_text(&self, name: &str) -> bool;

    /// Longest text, in bytes, that a field can have.
    fn longest(&self, name: &str) -> Option<usize>;

    /// Whether a field is known only through a container runtime.
    fn needs_metadata(&self, name: &str) -> bool;

    /// Name of an event type as `evt.type` shows it; `None` for a type that no capture of today has.
    fn event_type_name(&self, etype: u16) -> Option<&str>;
}
