//! `.scap.zst`: what goes in comes out, frame records tell the truth, and no damage goes unnoticed.

#![allow(clippy::unwrap_used)] // a failed step fails the test

mod bytes;

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::process::{Command, Stdio};

use bytes::read;
use casebook_formats::capture::{CaptureReader, Item};
use casebook_formats::event::EventType;
use casebook_formats::ledger::Counter;
use casebook_formats::record::{self, FrameRecord, Kind, Seal};
use casebook_formats::seekable::pieces::{Piece, Pieces, What};
use casebook_formats::seekable::verify::{Report, Wrong, verify};
use casebook_formats::seekable::{Options, SeekableWriter, filter};
use casebook_formats::tables::ppme;
use casebook_formats::write::CaptureWriter;
use proptest::prelude::*;

const SMALL: Options = Options { frame_bytes: 2000, level: 1 };

/// A capture of events on several threads.
fn plain(events: u64) -> Vec<u8> {
    let mut writer = CaptureWriter::new(Vec::new());
    writer.section().unwrap();
    for n in 0..events {
        let (res, fd) = ((n * 977).to_le_bytes(), (n % 50).to_le_bytes());
        let etype = if n % 3 == 0 { ppme::PPME_SYSCALL_CLOSE_X } else { ppme::PPME_SYSCALL_FCHDIR_X };
        writer.event(1_000_000 + n, 100 + (n / 40) as i64, 0, etype, &[&res, &fd]).unwrap();
    }
    writer.into_inner().unwrap()
}

fn pack(plain: &[u8], options: Options, step: usize) -> (Vec<u8>, Seal) {
    let mut writer = SeekableWriter::new(Vec::new(), options).unwrap();
    for part in plain.chunks(step) {
        writer.write_all(part).unwrap();
    }
    writer.finish().unwrap()
}

fn unpack(packed: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    zstd::stream::read::Decoder::new(packed).unwrap().read_to_end(&mut out).unwrap();
    out
}

fn take_apart(file: &[u8]) -> Vec<Piece> {
    let mut pieces = Pieces::new(file);
    std::iter::from_fn(|| pieces.next_piece().unwrap()).collect()
}

fn part(file: &[u8], piece: &Piece) -> Vec<u8> {
    file[piece.offset as usize..(piece.offset + piece.len) as usize].to_vec()
}

fn records(file: &[u8]) -> Vec<FrameRecord> {
    let mut pieces = Pieces::new(file);
    let mut records = Vec::new();
    while let Some(piece) = pieces.next_piece().unwrap() {
        if matches!(piece.what, What::Own(Some(Kind::Record), _)) {
            records.push(record::decode(pieces.body()).unwrap());
        }
    }
    records
}

/// Data frames with their records, and all that comes after them.
fn frames_and_tail(file: &[u8]) -> (Vec<Vec<u8>>, Vec<u8>) {
    let pieces = take_apart(file);
    let count = pieces.iter().filter(|piece| piece.what == What::Data).count();
    let frames =
        pieces.chunks(2).take(count).map(|pair| [part(file, &pair[0]), part(file, &pair[1])].concat()).collect();
    (frames, pieces[2 * count..].iter().flat_map(|piece| part(file, piece)).collect())
}

fn words(report: &Report) -> Vec<(Wrong, Option<u64>)> {
    report.faults.iter().map(|fault| (fault.wrong, fault.frame)).collect()
}

fn assert_sound(file: &[u8]) -> Report {
    let report = verify(file).unwrap();
    assert!(report.faults.is_empty(), "{:?}", report.faults);
    assert_eq!(report.intact, report.expected);
    assert_eq!(report.len, file.len() as u64);
    report
}

/// Numbers without a library: the sequence must be the same on every machine.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) as usize) % limit
    }
}

#[test]
fn the_stream_survives_whatever_the_pieces() {
    let plain = plain(2000);
    let (whole, seal) = pack(&plain, SMALL, plain.len());
    assert_eq!(unpack(&whole), plain);
    assert_eq!(seal.raw_len, plain.len() as u64);
    assert_eq!((seal.events, seal.earliest, seal.latest), (2000, 1_000_000, 1_001_999));
    assert!(seal.frames >= 50, "{}", seal.frames);
    assert_eq!(assert_sound(&whole).seal, Some(seal));
    for threads in 2..6 {
        let mut writer = SeekableWriter::with_threads(Vec::new(), SMALL, threads).unwrap();
        writer.write_all(&plain).unwrap();
        assert_eq!(writer.finish().unwrap().0, whole, "{threads} threads");
    }
    for step in [1, 7, 1999] {
        assert_eq!(pack(&plain, SMALL, step).0, whole, "pieces of {step} bytes");
    }
    assert_eq!(read(&whole).events().len(), 2000);
}

#[test]
fn frames_are_cut_at_block_boundaries() {
    let (file, _) = pack(&plain(500), SMALL, 4096);
    for piece in take_apart(&file).iter().filter(|piece| piece.what == What::Data) {
        let content = unpack(&part(&file, piece));
        let mut at = 0;
        while at < content.len() {
            let len = u32::from_le_bytes(content[at + 4..at + 8].try_into().unwrap()) as usize;
            assert_eq!(content[at + len - 4..at + len], (len as u32).to_le_bytes());
            at += len;
        }
        assert_eq!(at, content.len());
    }
}

#[test]
fn the_zstd_command_unpacks_it() {
    let plain = plain(300);
    let (file, _) = pack(&plain, SMALL, 4096);
    let spawned = Command::new("zstd").args(["-dc", "-"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let Ok(mut child) = spawned else {
        writeln!(std::io::stderr(), "skipped: no zstd command").ok(); // past the capture of passing tests
        return;
    };
    let mut input = child.stdin.take().unwrap();
    std::thread::spawn(move || input.write_all(&file).unwrap());
    assert_eq!(child.wait_with_output().unwrap().stdout, plain);
}

#[test]
fn records_hold_what_the_frames_hold() {
    let (file, _) = pack(&plain(1000), SMALL, 4096);
    let data: Vec<Piece> = take_apart(&file).into_iter().filter(|piece| piece.what == What::Data).collect();
    let mut raw_offset = 0;
    for (piece, record) in data.iter().zip(records(&file)) {
        let content = unpack(&part(&file, piece));
        assert_eq!((record.raw_offset, record.raw_len), (raw_offset, content.len() as u64));
        raw_offset += record.raw_len;
        let mut reader = CaptureReader::from_reader(Box::new(std::io::Cursor::new(content)), "frame").unwrap();
        let (mut count, mut times, mut types, mut threads) = (0, BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        while let Some(item) = reader.next_item().unwrap() {
            if let Item::Event(event) = item {
                count += 1;
                times.insert(event.ts);
                types.insert(event.etype);
                threads.insert(event.tid);
            }
        }
        assert_eq!((record.events, record.delivered), (count, count));
        assert_eq!(Some(&record.earliest), times.first());
        assert_eq!(Some(&record.latest), times.last());
        assert!(record.types.iter().eq(types));
        assert!(threads.iter().all(|&tid| record.threads.may_contain(tid as u64)));
        assert!(!record.irregular && record.losses.is_empty() && record.containers.is_none());
        assert_eq!(record.snapshots, record.sequence == 0);
    }
    let denied = records(&file).iter().filter(|record| !record.threads.may_contain(100)).count();
    assert!(denied > 20, "the filter lets {denied} frames be skipped");
}

#[test]
fn losses_and_containers_stand_in_the_interval_where_they_happened() {
    let plain = plain(100);
    let mut writer = SeekableWriter::new(Vec::new(), Options::default()).unwrap();
    writer.container(b"");
    writer.write_all(&plain[..1000]).unwrap();
    writer.cut().unwrap();
    writer.lost(Counter::KernelDrops, 7);
    writer.container(b"0123456789ab");
    writer.write_all(&plain[1000..]).unwrap();
    let (file, seal) = writer.finish().unwrap();
    assert_eq!(unpack(&file), plain);
    let records = records(&file);
    assert_eq!(records.len(), 2);
    assert!(records[0].losses.is_empty());
    let loss = |losses: &[casebook_formats::record::Loss]| {
        losses.iter().map(|l| (l.cause.clone(), l.count)).collect::<Vec<_>>()
    };
    assert_eq!(loss(&records[1].losses), [("kernel_drops".to_owned(), 7)]);
    assert_eq!(loss(&seal.losses), loss(&records[1].losses));
    let has = |record: &FrameRecord, id| record.containers.as_ref().unwrap().may_contain(filter::text_member(id));
    assert!(has(&records[0], b"") && !has(&records[0], b"0123456789ab"));
    assert!(has(&records[1], b"0123456789ab"));
}

#[test]
fn damaged_streams_are_kept_as_they_are() {
    let mut damaged = plain(600);
    damaged[5000..5100].fill(0xEE);
    damaged.truncate(20_007);
    let (file, seal) = pack(&damaged, SMALL, 512);
    assert_eq!(unpack(&file), damaged);
    assert_sound(&file);
    assert!(records(&file).iter().any(|record| record.irregular));
    let causes: Vec<&str> = seal.losses.iter().map(|loss| loss.cause.as_str()).collect();
    assert_eq!(causes, ["truncated_input", "damaged_bytes", "damaged_blocks"]);
}

#[test]
fn an_empty_stream_makes_a_sound_file() {
    let (file, seal) = pack(&[], SMALL, 1);
    assert_eq!(seal.frames, 0);
    assert_sound(&file);
    assert!(unpack(&file).is_empty());
}

/// The seek table as its specification describes it, read without our code.
#[test]
fn the_seek_table_leads_to_every_frame() {
    let plain = plain(700);
    let (file, _) = pack(&plain, SMALL, 4096);
    let u32_at = |at: usize| u32::from_le_bytes(file[at..at + 4].try_into().unwrap()) as usize;
    let end = file.len();
    assert_eq!(u32_at(end - 4), 0x8F92_EAB1);
    assert_eq!(file[end - 5], 0);
    let count = u32_at(end - 9);
    let table = end - 9 - 8 * count;
    assert_eq!((u32_at(table - 8), u32_at(table - 4)), (0x184D_2A5E, 9 + 8 * count));
    let (mut at, mut out) = (0, Vec::new());
    for entry in 0..count {
        let (packed, raw) = (u32_at(table + 8 * entry), u32_at(table + 8 * entry + 4));
        if raw > 0 {
            let frame = zstd::bulk::decompress(&file[at..at + packed], raw).unwrap();
            assert_eq!(frame.len(), raw);
            out.extend(frame);
        }
        at += packed;
    }
    assert_eq!(at, table - 8, "the entries cover the file up to the table");
    assert_eq!(out, plain);
}

/// The same by somebody else's implementation of the seekable format, which reads nothing but the table and the frames
/// that a range needs.
#[test]
fn another_implementation_reads_any_range() {
    let plain = plain(3000);
    let (file, seal) = pack(&plain, SMALL, 4096);
    let mut decoder = zeekstd::Decoder::new(std::io::Cursor::new(&file)).unwrap();
    let table = decoder.seek_table();
    assert_eq!(table.size_decomp(), plain.len() as u64);
    assert_eq!(u64::from(table.num_frames()), 2 * seal.frames + 2);
    for (at, piece) in take_apart(&file).iter().enumerate().take(table.num_frames() as usize) {
        let at = at as u32;
        assert_eq!(
            (table.frame_start_comp(at).unwrap(), table.frame_size_comp(at).unwrap()),
            (piece.offset, piece.len)
        );
    }
    let mut random = Random(5);
    let mut ends = vec![(0, plain.len()), (plain.len() - 1, plain.len()), (2000, 2000)];
    ends.extend((0..200).map(|_| {
        let start = random.below(plain.len());
        (start, start + random.below(plain.len() - start))
    }));
    for (start, end) in ends {
        decoder.set_offset(start as u64).unwrap();
        decoder.set_offset_limit(end as u64).unwrap();
        let mut range = vec![0; end - start];
        let mut at = 0;
        while at < range.len() {
            let count = decoder.decompress(&mut range[at..]).unwrap();
            assert!(count > 0, "{start} to {end}");
            at += count;
        }
        assert!(range == plain[start..end], "{start} to {end}");
    }
    // From a range in the last frame to one in the middle: only the middle is read.
    decoder.set_offset(plain.len() as u64 / 2).unwrap();
    decoder.set_offset_limit(plain.len() as u64 / 2 + 10).unwrap();
    assert_eq!(decoder.decompress(&mut [0; 10]).unwrap(), 10);
    assert!(decoder.read_compressed() < file.len() as u64 / 20, "{} of {}", decoder.read_compressed(), file.len());
}

#[test]
fn every_cut_is_a_truncation() {
    let plain = plain(1500);
    let (file, _) = pack(&plain, SMALL, 4096);
    let pieces = take_apart(&file);
    let mut random = Random(1);
    let boundaries = pieces.iter().skip(1).map(|piece| piece.offset as usize);
    let anywhere = (0..1000).map(|_| 1 + random.below(file.len() - 1));
    for cut in boundaries.chain(anywhere.collect::<Vec<_>>()) {
        let report = verify(&file[..cut]).unwrap();
        let truncated = words(&report).iter().filter(|(wrong, _)| *wrong == Wrong::Truncated).count();
        assert_eq!((truncated, report.faults.len()), (1, 1), "cut at {cut}: {:?}", report.faults);
        // Every event of every whole frame is read.
        let whole =
            pieces.iter().filter(|piece| piece.what == What::Data && (piece.offset + piece.len) as usize <= cut);
        let content: u64 = whole.map(|piece| unpack(&part(&file, piece)).len() as u64).sum();
        if content > 0 && cut % 10 == 0 {
            let expected = (content - 28) / 60;
            assert!(read(&file[..cut]).events().len() as u64 >= expected, "cut at {cut}");
        }
    }
}

#[test]
fn every_flipped_bit_is_damage() {
    let (file, _) = pack(&plain(1500), SMALL, 4096);
    let frames = take_apart(&file).iter().filter(|piece| piece.what == What::Data).count() as u64;
    let mut random = Random(2);
    for _ in 0..1000 {
        let (at, bit) = (random.below(file.len()), random.below(8));
        let mut flipped = file.clone();
        flipped[at] ^= 1 << bit;
        let report = verify(&flipped[..]).unwrap();
        assert!(!report.faults.is_empty(), "bit {bit} of byte {at}");
        let wrong = words(&report);
        assert!(wrong.iter().any(|(wrong, _)| *wrong == Wrong::Damaged), "bit {bit} of byte {at}: {:?}", report.faults);
        assert!(wrong.len() == 1, "bit {bit} of byte {at}: {:?}", report.faults);
        assert!(report.intact + 1 >= frames, "bit {bit} of byte {at}: {} of {frames} intact", report.intact);
    }
}

#[test]
fn removed_swapped_and_repeated_frames_are_told_apart() {
    let (file, _) = pack(&plain(1500), SMALL, 4096);
    let (frames, tail) = frames_and_tail(&file);
    let build = |frames: &[Vec<u8>]| verify(&[frames.concat(), tail.clone()].concat()[..]).unwrap();
    let last = frames.len() - 1;
    for at in 0..=last {
        let mut fewer = frames.clone();
        fewer.remove(at);
        assert_eq!(words(&build(&fewer)), [(Wrong::Removed, Some(at as u64))]);
        let mut more = frames.clone();
        more.insert(at, frames[at].clone());
        assert_eq!(words(&build(&more)), [(Wrong::Repeated, Some(at as u64))]);
        let other = (at + 5) % frames.len();
        let mut swapped = frames.clone();
        swapped.swap(at, other);
        let (low, high) = (at.min(other) as u64, at.max(other) as u64);
        assert_eq!(words(&build(&swapped)), [(Wrong::Swapped, Some(high)), (Wrong::Swapped, Some(low))]);
    }
}

#[test]
fn data_and_records_apart_from_each_other_are_noticed() {
    let (file, _) = pack(&plain(600), SMALL, 4096);
    let pieces: Vec<Vec<u8>> = take_apart(&file).iter().map(|piece| part(&file, piece)).collect();
    let build = |pieces: &[Vec<u8>]| words(&verify(&pieces.concat()[..]).unwrap());
    let without = |at: usize| [&pieces[..at], &pieces[at + 1..]].concat();
    assert_eq!(build(&without(8)), [(Wrong::Removed, Some(4))]);
    assert_eq!(build(&without(9)), [(Wrong::Removed, Some(4))]);
    let mut swapped = pieces.clone();
    swapped.swap(4, 8);
    assert_eq!(build(&swapped), [(Wrong::Swapped, Some(2)), (Wrong::Swapped, Some(4))]);
    // Index, seal and seek table.
    let count = pieces.len();
    assert_eq!(build(&without(count - 3)), [(Wrong::Removed, None)]);
    assert_eq!(build(&without(count - 2)), [(Wrong::Removed, None)]);
    assert_eq!(build(&without(count - 1)), [(Wrong::Truncated, None)]);
}

#[test]
fn a_frame_of_another_file_is_foreign() {
    let (file, _) = pack(&plain(600), SMALL, 4096);
    let (other, _) = pack(&plain(600).into_iter().rev().collect::<Vec<u8>>(), SMALL, 4096);
    let ((mut frames, tail), (others, _)) = (frames_and_tail(&file), frames_and_tail(&other));
    frames[3] = others[3].clone();
    let report = verify(&[frames.concat(), tail].concat()[..]).unwrap();
    assert!(words(&report).iter().any(|(wrong, _)| *wrong == Wrong::Foreign), "{:?}", report.faults);
}

#[test]
fn other_files_are_not_ours() {
    for file in [plain(50), bytes::zstd(&plain(50)), bytes::gzip(&plain(50)), Vec::new(), vec![0; 5000]] {
        assert!(!verify(&file[..]).unwrap().is_ours);
    }
}

#[test]
fn the_example_script_agrees() {
    let (file, seal) = pack(&plain(400), SMALL, 4096);
    let path = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(path.path(), &file).unwrap();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/read_index.py");
    let Ok(output) = Command::new("python3").arg(script).arg(path.path()).output() else {
        writeln!(std::io::stderr(), "skipped: no python3").ok(); // past the capture of passing tests
        return;
    };
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let lines: Vec<&str> = text.lines().collect();
    for record in records(&file) {
        let expected = format!(
            "frame {}: {} bytes at {}, {} compressed, {} events, numbered {} to {}, {} to {}, types {}",
            record.sequence,
            record.raw_len,
            record.raw_offset,
            record.packed_len,
            record.events,
            record.delivered_before + 1,
            record.delivered_before + record.delivered,
            record.earliest,
            record.latest,
            record.types.iter().map(|etype: EventType| etype.0.to_string()).collect::<Vec<_>>().join(","),
        );
        assert!(lines.contains(&expected.as_str()), "{expected} not in {text}");
    }
    let expected = format!(
        "index: {} frames; seek table: {} entries; seal: {} events",
        seal.frames,
        2 * seal.frames + 2,
        seal.events
    );
    assert_eq!(lines.last(), Some(&expected.as_str()));
}

#[test]
fn captures_of_the_corpora_survive() {
    let Some(root) = std::env::var_os("CASEBOOK_CORPORA") else {
        writeln!(std::io::stderr(), "skipped: CASEBOOK_CORPORA is not set").ok(); // past the capture of passing tests
        return;
    };
    let mut count = 0;
    for folder in std::fs::read_dir(std::path::Path::new(&root).join("captures")).unwrap() {
        for file in std::fs::read_dir(folder.unwrap().path()).unwrap() {
            let path = file.unwrap().path();
            if path.extension().is_none_or(|extension| extension != "scap") {
                continue;
            }
            let stored = std::fs::read(&path).unwrap();
            let plain = match stored[..4] {
                [0x1F, 0x8B, ..] => {
                    let mut out = Vec::new();
                    flate2::read::MultiGzDecoder::new(&stored[..]).read_to_end(&mut out).unwrap();
                    out
                }
                [0x28, 0xB5, 0x2F, 0xFD] => unpack(&stored),
                _ => stored,
            };
            let (file, seal) = pack(&plain, Options { frame_bytes: 100_000, level: 1 }, 1 << 16);
            assert!(unpack(&file) == plain, "{}", path.display());
            assert_sound(&file);
            assert!(
                seal.frames > 0 && seal.losses.iter().all(|loss| loss.cause == "kernel_drops"),
                "{}: {:?}",
                path.display(),
                seal.losses
            );
            count += 1;
        }
    }
    println!("{count} captures");
    assert!(count > 0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn garbage_never_panics(file in prop::collection::vec(any::<u8>(), 0..400), head in 0..4_usize, at in any::<prop::sample::Index>()) {
        let heads: [&[u8]; 4] = [&[], &[0x28, 0xB5, 0x2F, 0xFD], &[0x5C, 0x2A, 0x4D, 0x18], &[0x5E, 0x2A, 0x4D, 0x18]];
        let _ = verify(&[heads[head], &file].concat()[..]).unwrap();
        // And in the middle of a good file.
        let (mut good, _) = pack(&plain(100), SMALL, 4096);
        let at = at.index(good.len());
        good.splice(at..at, heads[head].iter().copied().chain(file));
        let report = verify(&good[..]).unwrap();
        prop_assert!(at == 0 || report.is_ours);
    }
}

#[test]
fn kinds_have_their_letters() {
    assert_eq!([Kind::Record as u8, Kind::Index as u8, Kind::Seal as u8], *b"RIS");
}
