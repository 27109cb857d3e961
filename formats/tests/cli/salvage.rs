//! `salvage`: every event of every intact frame, wherever it stands, and what is missing.

use std::fs;
use std::path::Path;

use casebook_formats::cli::Exit;
use casebook_formats::seekable::verify::verify;
use serde_json::Value;
use sha2::Digest as _;

use crate::bytes;
use crate::tool::{Ran, capture, casebook, path};

/// Events of a salvaged capture, which has to be sound.
fn salvaged(folder: &Path, file: &[u8]) -> (Ran, Vec<u64>) {
    let (from, to) = (path(folder, "broken"), path(folder, "saved.scap"));
    fs::write(&from, file).unwrap();
    let ran = casebook(&["salvage", &from, "-o", &to, "--force"]);
    let outcome = bytes::read(&fs::read(&to).unwrap());
    assert!(outcome.clean(), "{:?}", outcome.ledger);
    let times = outcome.events().iter().map(|event| event.ts).collect();
    (ran, times)
}

#[test]
fn salvage_gets_every_event_of_every_intact_frame() {
    use casebook_formats::seekable::pieces::{Pieces, What};
    let folder = tempfile::tempdir().unwrap();
    let at = |name| path(folder.path(), name);
    let plain = capture(3000);
    fs::write(at("a.scap"), &plain).unwrap();
    casebook(&["convert", &at("a.scap"), "-o", &at("a.scap.zst"), "--frame-kib", "4"]);
    let file = fs::read(at("a.scap.zst")).unwrap();
    let mut pieces = Pieces::new(&file[..]);
    let pieces: Vec<_> = std::iter::from_fn(|| pieces.next_piece().unwrap()).collect();
    let all: Vec<u64> = bytes::read(&plain).events().iter().map(|event| event.ts).collect();
    let (ran, times) = salvaged(folder.path(), &file);
    assert_eq!((ran.exit, times.len()), (Exit::Complete, 3000), "{}", ran.err);
    for data in pieces.iter().filter(|piece| piece.what == What::Data) {
        let (start, end) = (data.offset as usize, (data.offset + data.len) as usize);
        let content = zstd::stream::decode_all(&file[start..end]).unwrap();
        let section = bytes::shb();
        let section: &[u8] = if content.starts_with(&section) { &[] } else { &section };
        let inside: Vec<u64> =
            bytes::read(&[section, &content].concat()).events().iter().map(|event| event.ts).collect();
        let outside: Vec<u64> = all.iter().copied().filter(|ts| !inside.contains(ts)).collect();
        // Damaged in the magic number, in its structure, in its content; taken out; cut off there.
        for place in [start, start + 9, usize::midpoint(start, end), end - 1] {
            let mut damaged = file.clone();
            damaged[place] ^= 0x10;
            let (ran, times) = salvaged(folder.path(), &damaged);
            assert_eq!(ran.exit, Exit::Incomplete);
            assert_eq!(times, outside, "byte {place}: {}", ran.err);
            assert!(ran.err.contains("casebook: at byte"), "{}", ran.err);
        }
        let removed = [&file[..start], &file[end..]].concat();
        assert!(salvaged(folder.path(), &removed).1 == outside);
        if start > 0 {
            let (ran, times) = salvaged(folder.path(), &file[..start + 20]);
            assert_eq!(ran.exit, Exit::Incomplete);
            assert_eq!(times[..], all[..times.len()]);
            assert!(times.len() >= all.len() - outside.len() || all.starts_with(&times));
            assert!(ran.err.contains("at the end of the file"), "{}", ran.err);
        }
    }
}

#[test]
fn salvage_reports_what_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name| path(folder.path(), name);
    fs::write(at("a.scap"), capture(3000)).unwrap();
    casebook(&["convert", &at("a.scap"), "-o", &at("a.zst"), "--frame-kib", "16", "--by", "J. Doe"]);
    let mut file = fs::read(at("a.zst")).unwrap();
    let sha256 = casebook_formats::record::hex(&sha2::Sha256::digest(&file));
    file[100] ^= 1;
    fs::write(at("b.zst"), &file).unwrap();
    let ran = casebook(&["salvage", "--json", &at("b.zst"), "-o", &at("c.zst")]);
    assert_eq!((ran.exit, ran.err.as_str()), (Exit::Incomplete, ""));
    let json = ran.json();
    let gap = &json["gaps"][0];
    assert_eq!((&gap["offset"], &gap["frames"]), (&Value::from(0), &Value::from(1)));
    let lost = gap["events"].as_u64().unwrap();
    assert_eq!((&json["missing_frames"], &json["ledger"]["missing_events"]), (&Value::from(1), &Value::from(lost)));
    assert_eq!(json["events"].as_u64(), Some(3000 - lost));
    assert_eq!((&gap["earliest_ns"], &json["whole"]), (&Value::from(951_782_400_000_000_000_u64), &Value::from(false)));
    assert_ne!(json["sha256"], sha256);
    // The new file is sound, says the same in the record of the frame at that place, and has a history.
    let report = verify(&fs::read(at("c.zst")).unwrap()[..]).unwrap();
    assert!(report.faults.is_empty());
    assert_eq!(json["root"], casebook_formats::record::hex(&report.seal.as_ref().unwrap().root));
    let losses: Vec<_> = report.records[0].losses.iter().map(|loss| (loss.cause.as_str(), loss.count)).collect();
    assert_eq!(losses[..2], [("missing_frames", 1), ("missing_events", lost)]);
    let steps: Vec<_> = report.custody.iter().map(|(custody, _)| custody.entry.operation.as_str()).collect();
    assert_eq!(
        (steps.as_slice(), report.custody[0].0.entry.by.as_deref()),
        (&["convert", "salvage"][..], Some("J. Doe"))
    );
    // Where the capture goes to standard output the report goes to standard error.
    let ran = casebook(&["salvage", "--json", &at("b.zst")]);
    assert_eq!(serde_json::from_str::<Value>(&ran.err).unwrap()["events"], json["events"]);
    assert!(verify(&ran.out[..]).unwrap().faults.is_empty());
}

#[test]
fn salvage_takes_other_zstd_files_frame_by_frame() {
    let folder = tempfile::tempdir().unwrap();
    let plain = capture(3000);
    // With checksums, as the zstd program writes: without them nothing notices a changed value.
    let frame = |part: &[u8]| {
        let mut compressor = zstd::bulk::Compressor::new(3).unwrap();
        compressor.set_parameter(zstd::zstd_safe::CParameter::ChecksumFlag(true)).unwrap();
        compressor.compress(part).unwrap()
    };
    let frames: Vec<Vec<u8>> = plain.chunks(40_000).map(frame).collect();
    let (ran, times) = salvaged(folder.path(), &frames.concat());
    assert_eq!((ran.exit, times.len()), (Exit::Complete, 3000), "{}", ran.err);
    // A damaged frame in the middle costs its own events, and those whose blocks reach into it.
    let mut damaged = frames.clone();
    let middle = damaged[2].len() / 2;
    damaged[2][middle] ^= 0x40;
    fs::write(path(folder.path(), "damaged"), damaged.concat()).unwrap();
    let ran = casebook(&["salvage", &path(folder.path(), "damaged")]);
    assert_eq!(ran.exit, Exit::Incomplete);
    let whole = |frames: &[Vec<u8>]| {
        frames.iter().map(|frame| zstd::bulk::decompress(frame, 40_000).unwrap()).collect::<Vec<_>>().concat()
    };
    let (before, after) = (whole(&frames[..2]), whole(&frames[3..]));
    let saved = zstd::stream::decode_all(&ran.out[..]).unwrap();
    assert!(saved.starts_with(&before[..before.len() - 60]) && saved.ends_with(&after[60..]));
    assert!(ran.err.contains("doubtful_bytes: "), "what was unpacked of the damaged frame may be wrong: {}", ran.err);
    // One long frame: everything before the damage, as far as it can be unpacked.
    let mut long = frame(&plain);
    let end = long.len() * 9 / 10;
    long[end..].fill(0xFF);
    let (ran, times) = salvaged(folder.path(), &long);
    assert_eq!(ran.exit, Exit::Incomplete);
    assert!(times.len() > 1000, "{} of 3000: {}", times.len(), ran.err);
}

#[test]
fn salvage_repairs_other_captures_too() {
    let folder = tempfile::tempdir().unwrap();
    let plain = capture(500);
    let mut damaged = plain.clone();
    damaged[10_000..10_100].fill(0xEE);
    damaged.truncate(20_010);
    let (ran, times) = salvaged(folder.path(), &damaged);
    assert_eq!(ran.exit, Exit::Incomplete);
    assert!(ran.err.contains("damaged_blocks: 1") && ran.err.contains("truncated_input: 1"), "{}", ran.err);
    let known: Vec<u64> = bytes::read(&damaged).events().iter().map(|event| event.ts).collect();
    assert_eq!(times, known);
    // Without its section header.
    let (ran, times) = salvaged(folder.path(), &plain[28..]);
    assert_eq!((ran.exit, times.len()), (Exit::Incomplete, 500), "{}", ran.err);
    let packed = bytes::gzip(&plain);
    assert!(!salvaged(folder.path(), &packed[..packed.len() * 3 / 4]).1.is_empty());
    let text = path(folder.path(), "text");
    fs::write(&text, "no capture at all").unwrap();
    let ran = casebook(&["salvage", &text]);
    assert_eq!((ran.exit, ran.out.len()), (Exit::Unreadable, 0));
}

#[test]
fn salvage_takes_whole_frames_wherever_they_stand() {
    use casebook_formats::seekable::pieces::{Pieces, What};
    let folder = tempfile::tempdir().unwrap();
    let at = |name| path(folder.path(), name);
    let pack = |events| {
        fs::write(at("a.scap"), capture(events)).unwrap();
        casebook(&["convert", &at("a.scap"), "-o", &at("a.zst"), "--frame-kib", "4", "--force"]);
        let file = fs::read(at("a.zst")).unwrap();
        let mut pieces = Pieces::new(&file[..]);
        let pieces: Vec<_> = std::iter::from_fn(|| pieces.next_piece().unwrap()).collect();
        let part = |piece: &casebook_formats::seekable::pieces::Piece| {
            file[piece.offset as usize..(piece.offset + piece.len) as usize].to_vec()
        };
        let data = pieces.iter().filter(|piece| piece.what == What::Data).count();
        (pieces.iter().map(part).collect::<Vec<_>>(), data)
    };
    let all: Vec<u64> = bytes::read(&capture(1000)).events().iter().map(|event| event.ts).collect();
    let (pieces, data) = pack(1000);
    let check = |pieces: &[Vec<u8>], exit: Exit| {
        let (ran, mut times) = salvaged(folder.path(), &pieces.concat());
        times.sort_unstable();
        assert!(times == all, "{}", ran.err);
        assert_eq!(ran.exit, exit, "{}", ran.err);
    };
    let without = |at: usize| [&pieces[..at], &pieces[at + 1..]].concat();
    // A frame repeated with its record; frames and bare data swapped; a record, index, seal, seek table taken out.
    check(&[&pieces[..6], &pieces[4..]].concat(), Exit::Incomplete);
    let mut swapped = pieces.clone();
    swapped.swap(4, 8);
    check(&swapped, Exit::Incomplete);
    swapped.swap(5, 9);
    check(&swapped, Exit::Incomplete);
    check(&without(5), Exit::Complete);
    // Custody entry, index, seal, seek table.
    check(&without(2 * data), Exit::Complete);
    check(&without(2 * data + 1), Exit::Complete);
    check(&without(2 * data + 2), Exit::Incomplete);
    check(&without(2 * data + 3), Exit::Complete);
    // A frame of another capture.
    let (others, _) = pack(900);
    let mut foreign = pieces.clone();
    foreign[4..6].clone_from_slice(&others[4..6]);
    check(&foreign, Exit::Complete);
}
