//! Replay: captures through system state and rules to alerts.
//!
//! Data flow: `formats::CaptureReader` items → [`state::State`] (threads, descriptors, users, containers) →
//! [`context::EventContext`] (fields of one event) → `casebook-rules` → alerts and summary.

pub mod cli;
pub mod context;
pub mod detect;
pub mod engine;
pub mod fields;
pub mod inputs;
pub mod output;
pub mod run;
pub mod state;
pub mod summary;
