//! The recorder's home. Today it answers one question: could this machine be recorded?
//!
//! Data flow: [`host`] reads the kernel's own statements (`/proc`, `/sys`) → [`check`] judges them against what a
//! recorder of the planned kind needs → [`cli`] prints the findings as text or JSON.
//!
//! Recording itself is not built yet. This crate will run as root on somebody's production machine, so it stays small
//! enough to audit: no rule engine, no data frames, no network, and no `unsafe` until the loader needs it.

pub mod check;
pub mod cli;
pub mod host;
