//! Audit events: the second kind of input, JSON documents instead of system calls.
//!
//! Kubernetes audit logs (JSON lines, arrays, `EventList`s; plain, gzip, zstd, pipes) → [`split`] → [`AuditReader`] →
//! [`AuditEvent`] → [`AuditContext`], which rules ask as they ask [`crate::context::EventContext`]. The payload of
//! plugin events inside captures takes the same way from [`AuditEvent::from_plugin`] on.
//!
//! There is no state behind these events: each says all there is. What the fields mean is the business of
//! `fields::audit`.

pub mod context;
pub mod event;
pub mod json;
pub(crate) mod log;
pub mod reader;
mod split;

pub use context::AuditContext;
pub use event::AuditEvent;
pub use reader::AuditReader;
