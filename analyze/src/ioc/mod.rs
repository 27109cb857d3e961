//! Indicators of compromise: what a list of bad addresses, names, paths and hashes says about captures.
//!
//! ```text
//! lists, CSV, STIX 2.1 → [`read`] → Indicators ─┐
//! captures → frames ────────────────────────────┴→ [`hits`] → Hits → text, JSON, the report
//! ```
//!
//! A hit says what was found, in which table and column, when first and how often, and by which process. Nothing is
//! looked up anywhere: what is not in the list is not found.

pub mod cli;
mod hits;
mod read;
mod stix;

pub use hits::{Hit, Hits, hits, wanted};
pub use read::{Indicator, Indicators, Kind, ReadError};
