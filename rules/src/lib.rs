//! The Falco rule language, whole: rule text in, evaluated rules out.
//!
//! Stages: *reader* (YAML to items with positions) → *collector* (appends, overrides, order) → *resolver* (macros,
//! lists, exceptions) → *compiler* (typed, fields to indices, sets to hash sets) → *ruleset* (by event type) →
//! evaluation and output formatting. This crate knows a field schema and an event trait, and no files of captures.

pub mod ast;
pub mod condition;
pub mod default_rules;
pub mod event;
pub mod print;
pub mod render;
pub mod schema;
pub mod suggest;
pub mod value;
