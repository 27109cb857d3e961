//! Casebook against the real Falco: the harnesses that replay a corpus and compare every field, alert and container
//! with recorded goldens, and the runner of the conformance cases.
//!
//! Data flow: [`corpora`] finds captures, goldens and rule files → [`golden`] reads what the real tools printed →
//! [`agreement`] (fields, containers) and [`alerts`] replay the same captures through Casebook and compare →
//! [`known`] tells chosen differences (`tests/known-differences.md`) from unexplained ones, [`history`] what lies back →
//! [`table`] prints.
//! [`sysdig`] lets Debian's sysdig read what `casebook convert --for sysdig` wrote (`tests/sysdig-differences.md`).
//! [`lossy`] needs no golden: it compares a replay with one of the same capture with events removed.
//! The command `casebook-compare` ([`cli`]) and the tests under `tests/tests/` are two doors to the same functions.
//!
//! [`pages`] writes completions and man pages of all tools at once (`casebook-pages`).
//!
//! [`prometheus`] runs a Prometheus on the metrics that a replay wrote.
//!
//! What the tools themselves must do stands in their own crates; nothing here is needed to use Casebook.

pub mod agreement;
pub mod alerts;
pub mod audit;
pub mod cli;
pub mod corpora;
pub mod glob;
pub mod golden;
pub mod history;
pub mod known;
pub mod lossy;
pub mod ours;
pub mod pages;
pub mod prometheus;
pub mod replicate;
pub mod sysdig;
pub mod table;
