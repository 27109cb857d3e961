//! Audit events: the second kind of input, JSON documents instead of system calls.
//!
//! Kubernetes audit logs (JSON lines, arrays, `EventList`s; plain, gzip, zstd, pipes) → `split` → [`AuditReader`] →
//! [`AuditEvent`]s → [`stream`]: a capture of plugin events, as Falco's own plugin writes it. From there on a log *is* a
//! capture: the engine parses the payload of plugin events ([`AuditEvent::from_plugin`]) and hands it to fields with the
//! event; rules, filters, cases and every command see one kind of input.
//!
//! There is no state behind these events: each says all there is. Some of them started what a capture shows: [`join`] tells
//! which, for the processes of captures. What the fields mean is the business of
//! `fields::audit`.

pub mod event;
pub mod join;
pub mod json;
mod narrow;
pub mod reader;
mod split;
pub mod stream;

pub use event::AuditEvent;
pub use reader::AuditReader;
