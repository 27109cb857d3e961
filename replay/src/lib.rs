//! Replay: captures through system state and rules to alerts.
//!
//! Data flow: `formats::CaptureReader` items → [`state::State`] (threads, descriptors, users, containers) →
//! [`context::EventContext`] (fields of one event) → `casebook-rules` → alerts and summary.
//!
//! [`engine`] drives one capture and shows its events to whoever asks; [`detect`] asks rules about an event; [`run`]
//! puts many captures through both, [`output`] keeps their alerts in order, [`summary`] counts them; [`inputs`] finds
//! the captures, [`checkpoint`] starts in their middle, [`lab`] tests rules on them, and [`cli`] is the command line over all of it.

mod absent;
pub mod audit;
pub mod checkpoint;
pub mod cli;
pub mod context;
pub mod deliver;
pub mod detect;
pub mod engine;
pub mod events;
pub mod excerpt;
pub mod fields;
pub mod inputs;
pub mod lab;
pub mod metrics;
pub mod moment;
pub mod output;
mod parts;
pub mod redact;
pub mod run;
pub mod state;
pub mod still;
pub mod summary;
pub mod window;
