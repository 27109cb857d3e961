//! The attacker's tests: captures that were tampered with, and texts that want to reach a terminal.
//!
//! [`mutation`] tampers with captures block by block and parameter by parameter, from a seed; [`captures`] replays them
//! with the built-in rules and reads every field of every event; [`terminal`] puts escapes everywhere a text can come
//! from and looks at what the command line prints. The dev profile checks for overflows, so a sum of two numbers from a
//! capture that nobody thought about fails here.
#![allow(clippy::unwrap_used)] // a test ends at the first surprise

mod captures;
mod mutation;
mod terminal;
