//! What the fuzz target does with its input. The plain test `fuzz_regressions` does the same with the inputs kept in
//! `regressions/`.

use std::io::Cursor;

use casebook_formats::capture::{CaptureReader, Item};

/// Items of one input that are looked at; a small compressed file can hold very many.
const MAX_ITEMS: usize = 200_000;

/// Bytes as a capture: every item read, every parameter of every event asked for in every way.
pub(crate) fn capture(data: &[u8]) {
    let Ok(mut reader) = CaptureReader::from_reader(Box::new(Cursor::new(data.to_vec())), "fuzz") else { return };
    for _ in 0..MAX_ITEMS {
        match reader.next_item() {
            Ok(Some(Item::Event(event))) => {
                for index in 0..=event.ranges.len() {
                    let _ = (event.param(index), event.text(index), event.u64(index), event.i64(index));
                }
            }
            Ok(Some(_)) => {}
            Ok(None) | Err(_) => break,
        }
    }
    assert!(reader.bytes_read() <= data.len() as u64, "more was read than there is");
}
