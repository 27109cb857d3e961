//! Reading from a checkpoint gives what reading from the start gives: on every capture of the corpora, at every frame
//! boundary, all fields of all events of the frame that follows, and everything known at the next boundary.
//!
//! Why the next frame is enough: what a replay knows at a boundary is compared as a hash of all members of all its parts
//! (`checkpoint::fingerprint`). Where the one that came from a checkpoint and the one that came from the start know the same
//! at the end of the frame, they are the same replay from there on, and the next boundary takes over.
//!
//! Needs `CASEBOOK_CORPORA`; without it the built-in example is all there is.

// A failing test may stop at the first surprise.
#![allow(clippy::unwrap_used)]

use std::fs::{self, File};
use std::hash::Hasher as _;
use std::io::{Cursor, Read, Write as _};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use casebook_formats::capture::CaptureReader;
use casebook_formats::seekable::ends::Ends;
use casebook_formats::seekable::{Options, SeekableWriter};
use casebook_replay::checkpoint::fingerprint;
use casebook_replay::checkpoint::make::{Made, Spacing, make};
use casebook_replay::checkpoint::sidecar::{Sidecar, path_of};
use casebook_replay::context::EventContext;
use casebook_replay::engine::{End, Replay};
use casebook_replay::fields::Catalogue;
use casebook_tests::corpora::{CORPORA_VARIABLE, Corpora};
use casebook_tests::ours::OurFields;
use rayon::prelude::*;

/// Arguments for fields that need one.
const ARGUMENTS: &[&str] = &["[0]", "[1]", ".fd", ".res", "[PATH]", "[cpu]"];

/// Frames that a capture is cut into, about; frames are no shorter than `LEAST`.
const FRAMES: usize = 24;
const LEAST: usize = 2048;

/// Every field of the catalogue that binds, with arguments where it needs some.
fn all_fields() -> OurFields {
    let names = Catalogue::new().rows().iter().filter(|row| row.offline().is_none()).flat_map(|row| {
        let with = ARGUMENTS.iter().map(|argument| format!("{}{argument}", row.def.name));
        std::iter::once(row.def.name.to_string()).chain(with).collect::<Vec<_>>()
    });
    let ours = OurFields::bind(names).0;
    assert!(ours.names().len() > 300, "{}", ours.names().len());
    ours
}

/// What can be asked of one event, as a hash.
fn ask(fields: &OurFields, context: &EventContext<'_>, text: &mut Vec<u8>) -> u64 {
    text.clear();
    for column in 0..fields.names().len() {
        let told = fields.text(column, context, text);
        text.push(u8::from(told));
    }
    let mut hasher = std::hash::DefaultHasher::new();
    hasher.write(text);
    hasher.finish()
}

/// Replays up to the reader's pause; a hash for each event.
fn events(fields: &OurFields, replay: &mut Replay, reader: &mut CaptureReader) -> Vec<(u64, u64)> {
    let (mut seen, mut text) = (Vec::new(), Vec::new());
    let end = replay.run(reader, |context| {
        seen.push((context.event.num, ask(fields, context, &mut text)));
        ControlFlow::Continue(())
    });
    assert_eq!(end.unwrap(), End::Finished);
    seen
}

/// A capture as `.scap.zst` with its checkpoints at all boundaries.
fn indexed(bytes: &mut dyn Read, folder: &Path, name: &str) -> (PathBuf, Made) {
    let path = folder.join(format!("{name}.scap.zst"));
    let mut raw = Vec::new();
    bytes.read_to_end(&mut raw).unwrap();
    let options = Options { frame_bytes: (raw.len() / FRAMES).max(LEAST), level: 1 };
    let mut writer = SeekableWriter::new(File::create(&path).unwrap(), options).unwrap();
    writer.write_all(&raw).unwrap();
    writer.finish().unwrap();
    let out = File::create(path_of(&path)).unwrap();
    let (_, made) = make(&path, Spacing::Every, out, &mut |_, _| {}).unwrap();
    (path, made)
}

/// Compares at every boundary; how many there were, and events compared.
fn check(path: &Path, fields: &OurFields) -> (u64, u64) {
    let sidecar = Sidecar::beside(path).unwrap().unwrap();
    let ends = Ends::read(&mut File::open(path).unwrap()).unwrap();
    let boundaries: Vec<u64> = ends.raw_offsets().skip(1).collect();
    let entries = &sidecar.table().entries;
    assert_eq!(entries.iter().map(|entry| entry.raw_offset).collect::<Vec<_>>(), boundaries, "{}", path.display());
    let mut reader = CaptureReader::open(path).unwrap();
    let mut replay = Replay::new();
    reader.pause_at(boundaries.first().copied());
    let mut compared = events(fields, &mut replay, &mut reader).len() as u64;
    for (number, entry) in entries.iter().enumerate() {
        let here = || format!("{} at frame {}", path.display(), entry.frame);
        assert_eq!(fingerprint(&reader, &replay), entry.digest, "{}", here());
        let next = boundaries.get(number + 1).copied();
        let (mut own_reader, mut own) = sidecar.enter(number, Replay::new()).unwrap();
        own_reader.pause_at(next);
        let from_checkpoint = events(fields, &mut own, &mut own_reader);
        reader.pause_at(next);
        let from_start = events(fields, &mut replay, &mut reader);
        assert_eq!(from_checkpoint, from_start, "{}", here());
        assert_eq!(fingerprint(&own_reader, &own), fingerprint(&reader, &replay), "{}", here());
        assert_eq!(own.ledger(&own_reader), replay.ledger(&reader), "{}", here());
        compared += from_start.len() as u64;
    }
    (entries.len() as u64, compared)
}

fn unpacked(path: &Path) -> Vec<u8> {
    let bytes = fs::read(path).unwrap();
    let mut raw = Vec::new();
    match bytes.get(..4) {
        Some([0x1f, 0x8b, ..]) => {
            flate2::read::MultiGzDecoder::new(Cursor::new(&bytes)).read_to_end(&mut raw).unwrap();
            raw
        }
        Some([0x28, 0xb5, 0x2f, 0xfd]) => zstd::decode_all(Cursor::new(&bytes)).unwrap(),
        _ => bytes,
    }
}

#[test]
fn the_example_goes_on_from_every_frame() {
    let folder = tempfile::tempdir().unwrap();
    let raw = zstd::decode_all(casebook_fixtures::EXAMPLE).unwrap_or_else(|_| casebook_fixtures::EXAMPLE.to_vec());
    let (path, made) = indexed(&mut Cursor::new(raw), folder.path(), "example");
    assert!(made.missed == 0 && made.table.entries.len() > 5, "{made:?}");
    let (boundaries, events) = check(&path, &all_fields());
    assert!(boundaries > 5 && events > 100, "{boundaries} {events}");
}

#[test]
fn every_capture_goes_on_from_every_frame() {
    let Some(corpora) = Corpora::from_environment().unwrap() else {
        writeln!(std::io::stderr(), "skipped: {CORPORA_VARIABLE} is not set").ok(); // past the capture of passing tests
        return;
    };
    let fields = all_fields();
    let folder = tempfile::tempdir().unwrap();
    let totals = corpora
        .select(&[])
        .par_iter()
        .map(|capture| {
            let mut raw = Cursor::new(unpacked(&capture.path));
            let (path, made) = indexed(&mut raw, folder.path(), &capture.name);
            assert_eq!((made.missed, made.too_large), (0, 0), "{}", capture.name);
            let totals = check(&path, &fields);
            fs::remove_file(path).unwrap();
            (1, totals.0, totals.1)
        })
        .reduce(|| (0, 0, 0), |a, b| (a.0 + b.0, a.1 + b.1, a.2 + b.2));
    let (captures, boundaries, events) = totals;
    let line = format!("{captures} captures, {boundaries} boundaries, {events} events compared from checkpoints");
    writeln!(std::io::stderr(), "{line}").ok(); // past the capture of passing tests
    assert!(boundaries > captures, "{line}");
}
