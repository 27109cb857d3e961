//! A reader that goes on from a place in the middle gives what a reader from the start gives there, at every frame.

// A test may stop at the first surprise.
#![allow(clippy::unwrap_used)]

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use casebook_formats::capture::{CaptureReader, Item};
use casebook_formats::resume::ReaderState;
use casebook_formats::seekable::ends::{Ends, NoEnds};
use casebook_formats::seekable::{Options, SeekableWriter};
use casebook_formats::tables::ppme;
use casebook_formats::write::CaptureWriter;

/// A capture of old halves: enters and exits of several threads, interleaved, in frames of some hundred bytes.
fn write(path: &Path) -> u64 {
    let file = File::create(path).unwrap();
    let sink = SeekableWriter::new(file, Options { frame_bytes: 512, level: 1 }).unwrap();
    let mut writer = CaptureWriter::new(sink);
    writer.section().unwrap();
    let mut ts = 1_600_000_000_000_000_000_u64;
    for round in 0..60_i64 {
        for tid in 1..=4_i64 {
            ts += 1000;
            let fd = (round * 4 + tid).to_le_bytes();
            writer.event(ts, tid, 0, ppme::PPME_SYSCALL_READ_E, &[&fd, &7_u32.to_le_bytes()]).unwrap();
        }
        for tid in 1..=4_i64 {
            ts += 1000;
            if (round + tid) % 5 != 0 {
                let exit: [&[u8]; 2] = [&3_i64.to_le_bytes(), b"abc"];
                writer.event(ts, tid, 0, ppme::PPME_SYSCALL_READ_X, &exit).unwrap();
            }
        }
    }
    writer.into_inner().unwrap().finish().unwrap().1.frames
}

/// What an item is, in full.
fn show(item: &Item<'_>) -> String {
    match item {
        Item::Event(event) => {
            let params: Vec<_> = (0..event.ranges.len()).map(|index| event.param_raw(index)).collect();
            format!("{} {} {} {:?} {:?} {}", event.num, event.ts, event.tid, event.enter_ts, params, event.raw.offset)
        }
        other => format!("{other:?}"),
    }
}

fn rest(reader: &mut CaptureReader) -> Vec<String> {
    let mut shown = Vec::new();
    while let Some(item) = reader.next_item().unwrap() {
        shown.push(show(&item));
    }
    shown.push(format!("{:?} {:?}", reader.ledger(), reader.state()));
    shown
}

fn temporary(name: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    (folder, path)
}

#[test]
fn every_frame_is_a_place_to_go_on_from() {
    let (_folder, path) = temporary("halves.scap.zst");
    let frames = write(&path);
    assert!(frames > 20, "{frames}");
    let ends = Ends::read(&mut File::open(&path).unwrap()).unwrap();
    assert_eq!(ends.index.len() as u64, frames);
    let boundaries: Vec<u64> = ends.raw_offsets().collect();
    let mut reader = CaptureReader::open(&path).unwrap();
    let mut waiting = 0;
    for (entry, &boundary) in ends.index.iter().zip(&boundaries).skip(1) {
        reader.pause_at(Some(boundary));
        while reader.next_item().unwrap().is_some() {}
        let state = reader.state();
        assert_eq!(state.offset, boundary);
        waiting += state.halves.len();
        let again = ReaderState::decode(&state.encode()).unwrap();
        assert_eq!(again, state);
        let mut resumed = CaptureReader::resume(&path, entry.offset, &again).unwrap();
        assert_eq!(resumed.state(), state);
        let mut whole = CaptureReader::open(&path).unwrap();
        whole.pause_at(Some(boundary));
        while whole.next_item().unwrap().is_some() {}
        whole.pause_at(None);
        assert_eq!(rest(&mut resumed), rest(&mut whole));
    }
    // The boundaries have to fall between halves for this test to say anything.
    assert!(waiting > 20, "{waiting}");
}

#[test]
fn damaged_memories_are_refused() {
    let (_folder, path) = temporary("halves.scap.zst");
    write(&path);
    let mut reader = CaptureReader::open(&path).unwrap();
    for _ in 0..30 {
        reader.next_item().unwrap();
    }
    let bytes = reader.state().encode();
    for len in 0..bytes.len() {
        assert!(ReaderState::decode(&bytes[..len]).is_err());
    }
    // Counts of billions of halves.
    assert!(ReaderState::decode(&[0, 0, 0, 0, 0, 0, 253, 255, 255, 255, 255, 255, 255, 255, 0]).is_err());
    let mut state = reader.state();
    state.losses.push(casebook_formats::record::Loss { cause: "no_such_counter".to_owned(), count: 1 });
    assert!(CaptureReader::resume(&path, 0, &state).is_err());
}

#[test]
fn ends_are_found_or_told_missing() {
    let (_folder, path) = temporary("halves.scap.zst");
    write(&path);
    let bytes = std::fs::read(&path).unwrap();
    let read = |bytes: &[u8]| Ends::read(&mut std::io::Cursor::new(bytes));
    assert!(read(&bytes).is_ok());
    for len in [0, 1, 8, 9, 17, bytes.len() / 2, bytes.len() - 1] {
        assert!(matches!(read(&bytes[..len]), Err(NoEnds::Unsealed)), "{len}");
    }
    // One bit in each byte of index, seal and seek table.
    let ends = read(&bytes).unwrap();
    let last = ends.index.last().unwrap();
    for at in (last.offset + last.packed_len + last.record_len) as usize..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[at] ^= 4;
        assert!(read(&damaged).is_err(), "byte {at}");
    }
    let mut plain = tempfile::tempfile().unwrap();
    plain.write_all(&[0x0a; 100]).unwrap();
    assert!(matches!(Ends::read(&mut plain), Err(NoEnds::Unsealed)));
}
