//! The rule test lab: rules tested as code is tested.
//!
//! Everything that looks *into* rules rests on [`verdicts`]: what each comparison of a condition says about each event,
//! recorded once while a capture is replayed.

pub mod verdicts;
