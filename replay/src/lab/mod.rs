//! The rule test lab: rules tested as code is tested.
//!
//! [`suite`] finds cases ([`case`]: a `case.yaml` with captures or an event script, rules, expectations), [`runner`] runs
//! them, [`expect`] judges what fired.
//!
//! Everything that looks *into* rules rests on [`verdicts`]: what each comparison of a condition says about each event,
//! recorded once while a capture is replayed. [`explain`] tells why a rule was or was not true.

pub mod case;
pub mod expect;
pub mod explain;
pub mod results;
pub mod runner;
mod script;
pub mod suite;
mod tree;
pub mod verdicts;
