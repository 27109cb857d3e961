//! Questions asked of captures. Today there is one: how many events, by which fields.
//!
//! Data flow: captures → `casebook-replay`'s engine (state, fields) → [`stats`] counts values of fields → [`cli`]
//! prints tables or JSON lines. Frames, SQL, timelines and reports come with an issue of their own; until then this
//! crate has no data frame library among its dependencies.

pub mod cli;
pub mod stats;
pub mod views;
