//! The Falco rule language, whole: rule text in, evaluated rules out.
//!
//! Stages: *reader* (YAML to items with positions) → *collector* (appends, overrides, order) → *resolver* (macros,
//! lists, exceptions) → *compiler* (typed, fields to indices, sets to hash sets) → *ruleset* (by event type) →
//! evaluation and output formatting. This crate knows a field schema and an event trait, and no files of captures.

pub mod alert;
pub mod ast;
mod bind;
mod build;
mod checks;
mod collector;
pub mod compile;
pub mod condition;
mod constant;
pub mod default_rules;
pub mod diagnostics;
pub mod event;
pub mod evttypes;
mod exceptions;
mod glob;
mod hints;
pub mod inputs;
mod items;
pub mod leaf;
pub mod lint;
mod lists;
pub mod load;
mod matcher;
pub mod needs;
mod operand;
pub mod output;
pub mod page;
mod paths;
mod posix;
pub mod print;
pub mod priority;
mod program;
mod read_exceptions;
mod read_values;
mod reader;
pub mod render;
pub mod report;
mod resolver;
pub mod ruleset;
#[cfg(test)]
mod sample;
pub mod sarif;
pub mod schema;
pub mod select;
mod services;
pub mod source;
pub mod suggest;
pub mod text;
mod typing;
pub mod value;
pub mod version;
pub mod written;
pub mod yaml;
mod yaml_lenient;
