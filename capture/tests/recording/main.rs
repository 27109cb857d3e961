//! The recorder against the truth: what strace says about the same run of the same program, call by call ([`strace`]); exact
//! counts, and exact accounting for losses ([`counts`]); what is left when it ends otherwise than planned ([`ends`]); what
//! programs do to pass unseen ([`hidden`]); who may record ([`rights`]).
//!
//! Needs permission to use eBPF, and python3, strace and gcc where a test says so. Where one is missing a plain line says so.
//! Everything is recorded below a temporary folder and limited to the processes of the test.
#![allow(clippy::unwrap_used)] // a failing test may panic

mod counts;
mod ends;
mod hidden;
#[path = "../recorder/mod.rs"]
mod recorder;
mod rights;
mod strace;

use std::collections::BTreeMap;
use std::path::Path;

use casebook_formats::capture::{CaptureReader, Item};
use casebook_formats::tables::{self, ParamType};

/// An event as the tests look at it.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) name: &'static str,
    pub(crate) tid: i64,
    pub(crate) ts: u64,
    /// First parameter as a number.
    pub(crate) result: Option<i64>,
    /// All parameters that are text.
    pub(crate) texts: Vec<Vec<u8>>,
    /// All parameters that are numbers, with their width in bytes.
    pub(crate) numbers: BTreeMap<&'static str, (i64, usize)>,
}

pub(crate) fn events(file: &Path) -> Vec<Seen> {
    let mut reader = CaptureReader::open(file).unwrap();
    let mut seen = Vec::new();
    while let Some(item) = reader.next_item().unwrap() {
        let Item::Event(event) = item else { continue };
        let def = tables::event(event.etype).unwrap();
        let is_text = |ty| matches!(ty, ParamType::Fspath | ParamType::Fsrelpath | ParamType::Charbuf);
        let texts = def.params.iter().enumerate().filter(|(_, param)| is_text(param.ty));
        let numbers = def
            .params
            .iter()
            .enumerate()
            .filter_map(|(at, param)| Some((param.name, (event.i64(at)?, param.ty.width()?))));
        seen.push(Seen {
            name: event.name(),
            tid: event.tid,
            ts: event.ts,
            result: event.i64(0),
            numbers: numbers.collect(),
            texts: texts.filter_map(|(at, _)| event.text(at)).map(<[u8]>::to_vec).collect(),
        });
    }
    assert_eq!(reader.ledger().findings().count(), 0, "the reader finds nothing to complain about");
    seen
}
