//! An audit event as rules see it.

use casebook_rules::event::{EventFields, Extracted};
use casebook_rules::schema::FieldRef;

use super::AuditEvent;
use crate::context::Clock;
use crate::fields::audit;

/// An audit event and its place in time.
#[derive(Clone, Copy, Debug)]
pub struct AuditContext<'a> {
    /// The event.
    pub event: &'a AuditEvent,
    /// Its place in the time of its input.
    pub clock: Clock,
}

impl EventFields for AuditContext<'_> {
    fn extract<'e>(&'e self, field: &FieldRef) -> Extracted<'e> {
        audit::extract(self, field)
    }
}
