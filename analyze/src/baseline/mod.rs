//! Baselines: what is new in captures against benign ones.
//!
//! ```text
//! benign captures → frames → Profile (facts and how many captures have them) ─┐
//! captures in question → frames → Profile ────────────────────────────────────┴→ [`news`] → text, JSON
//! ```
//!
//! A [`Profile`] can be kept in a file, so that the benign captures need not be read again. Facts are generalised
//! ([`general_path`]): numbers, random names and versions in paths would make everything new.

pub mod cli;
mod facts;
mod general;
mod profile;

pub use facts::{Example, Fact, Sort, facts, wanted};
pub use general::general_path;
pub use profile::{MAX_FACTS, News, Profile, news};
