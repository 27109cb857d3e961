//! The rule test lab: rules tested as code is tested.
//!
//! [`suite`] finds cases ([`case`]: a `case.yaml` with captures or an event script, rules, expectations), [`runner`] runs
//! them, [`expect`] judges what fired; [`results`], [`junit`] and [`bless`] say so, to people, CI systems and the cases
//! themselves. [`baseline`] counts what fires on ordinary work.
//!
//! Everything that looks *into* rules rests on [`verdicts`]: what each comparison of a condition says about each event,
//! recorded once while a capture is replayed. [`explain`] tells why a rule was or was not true, [`coverage`] what of the
//! rules captures exercise, [`mutation`] which changes to the rules no case would notice, [`diff`]
//! what other rules would say, and [`tune`] finds exceptions that silence noise and no attack.

pub mod baseline;
pub mod bless;
pub mod case;
pub mod changes;
pub mod coverage;
pub mod diff;
pub mod expect;
pub mod explain;
pub mod junit;
pub mod mutation;
pub mod page;
pub mod provenance;
pub mod repeat;
mod requests;
pub mod results;
pub mod runner;
mod script;
pub mod suite;
pub(crate) mod tree;
pub mod tune;
pub mod verdicts;
mod why;
