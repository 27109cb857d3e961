//! Reading a `.scap.zst` by frame, time, type and thread: no event that matches is missed, none is changed.

#![allow(clippy::unwrap_used)] // a failed step fails the test

mod bytes;

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::{Owned, OwnedEvent, block, ev, ev_v1, own, shb};
use casebook_formats::capture::{CaptureReader, Item};
use casebook_formats::event::EventType;
use casebook_formats::ledger::{Counter, Ledger};
use casebook_formats::seekable::{Options, SeekableFile, SeekableWriter, Selection, Storage};
use casebook_formats::tables::ppme;
use proptest::prelude::*;

fn pack(plain: &[u8], frame_bytes: usize) -> Vec<u8> {
    let mut writer = SeekableWriter::new(Vec::new(), Options { frame_bytes, level: 1 }).unwrap();
    writer.write_all(plain).unwrap();
    writer.finish().unwrap().0
}

fn open(file: &[u8]) -> SeekableFile {
    SeekableFile::of(file.to_vec(), "test").unwrap().unwrap()
}

/// An event, and where its block stands in the uncompressed stream.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Placed(u64, OwnedEvent);

impl std::ops::Deref for Placed {
    type Target = OwnedEvent;
    fn deref(&self) -> &OwnedEvent {
        &self.1
    }
}

/// Everything that a reader gives.
struct Outcome {
    events: Vec<Placed>,
    others: Vec<Owned>,
    ledger: Ledger,
}

fn drain(reader: &mut CaptureReader) -> Outcome {
    let (mut events, mut others) = (Vec::new(), Vec::new());
    while let Some(item) = reader.next_item().unwrap() {
        let offset = if let Item::Event(event) = &item { event.raw.offset } else { 0 };
        match own(&item) {
            Owned::Event(event) => events.push(Placed(offset, event)),
            other => others.push(other),
        }
    }
    assert!(reader.next_item().unwrap().is_none(), "the end stays the end");
    Outcome { events, others, ledger: reader.ledger().clone() }
}

fn read(plain: &[u8]) -> Outcome {
    drain(&mut CaptureReader::from_reader(Box::new(std::io::Cursor::new(plain.to_vec())), "test").unwrap())
}

fn select(file: &SeekableFile, selection: &Selection, threads: usize) -> Vec<Placed> {
    let mut reader = file.select(selection, threads).unwrap();
    drain(&mut reader).events
}

/// What a filter asks for, to be applied event by event.
#[derive(Clone, Debug)]
struct Query {
    from: Option<u64>,
    to: Option<u64>,
    types: Option<Vec<EventType>>,
    threads: Option<Vec<i64>>,
}

impl Query {
    fn selection(&self) -> Selection {
        let mut selection = Selection::all();
        if let Some(ts) = self.from {
            selection = selection.from(ts);
        }
        if let Some(ts) = self.to {
            selection = selection.to(ts);
        }
        if let Some(types) = &self.types {
            selection = selection.types(types.iter().copied());
        }
        if let Some(threads) = &self.threads {
            selection = selection.threads(threads.iter().copied());
        }
        selection
    }

    fn matches(&self, event: &Placed) -> bool {
        let timed = event.ts != 0 && event.ts != u64::MAX;
        self.from.is_none_or(|from| timed && event.ts >= from)
            && self.to.is_none_or(|to| timed && event.ts <= to)
            && self.types.as_ref().is_none_or(|types| types.contains(&event.etype))
            && self.threads.as_ref().is_none_or(|threads| threads.contains(&event.tid))
    }
}

/// Types with all kinds of histories: current, converted alone, converted with their enter half.
const TYPES: &[(EventType, usize)] = &[
    (ppme::PPME_SYSCALL_CLOSE_E, 1),
    (ppme::PPME_SYSCALL_CLOSE_X, 1),
    (ppme::PPME_SYSCALL_CLOSE_X, 2),
    (ppme::PPME_SYSCALL_READ_E, 2),
    (ppme::PPME_SYSCALL_READ_X, 2),
    (ppme::PPME_SYSCALL_READ_X, 4),
    (ppme::PPME_SYSCALL_BRK_1_E, 1),
    (ppme::PPME_SYSCALL_BRK_1_X, 1),
    (ppme::PPME_SYSCALL_BRK_4_X, 5),
    (ppme::PPME_SOCKET_CONNECT_E, 2),
    (ppme::PPME_SOCKET_CONNECT_X, 2),
    (ppme::PPME_SYSCALL_NANOSLEEP_E, 1),
    (ppme::PPME_SYSCALL_NANOSLEEP_X, 1),
    (ppme::PPME_SYSCALL_EXECVE_8_E, 0),
    (ppme::PPME_SYSCALL_EXECVE_8_X, 8),
    (ppme::PPME_SYSCALL_FCHDIR_X, 2),
    (ppme::PPME_PROCEXIT_E, 0),
    (ppme::PPME_PROCEXIT_1_E, 4),
    (ppme::PPME_CONTAINER_E, 4),
    (ppme::PPME_DROP_E, 1),
];

/// A block of a capture, or what stands in its place.
fn part() -> impl Strategy<Value = Vec<u8>> {
    let event = (0..TYPES.len(), 1..8_i64, 1_000..1_400_u64, any::<bool>(), prop::collection::vec(any::<u8>(), 8));
    let event = event.prop_map(|(at, tid, ts, counted, value)| {
        let (etype, nparams) = TYPES[at];
        let params = vec![&value[..]; nparams];
        if counted { ev(ts, tid, etype, &params) } else { ev_v1(ts, tid, etype, &params) }
    });
    let timeless = (1..8_i64, any::<bool>()).prop_map(|(tid, zero)| {
        ev(if zero { 0 } else { u64::MAX }, tid, ppme::PPME_SYSCALL_FCHDIR_X, &[&[1; 8], &[2; 8]])
    });
    let unknown = (1..8_i64, 1_000..1_400_u64).prop_map(|(tid, ts)| ev(ts, tid, EventType(900), &[&[1; 8]]));
    let strange = Just(block(0x999, &[7; 20]));
    let snapshot = Just(block(0x201, &[0; 180]));
    let garbage = prop::collection::vec(any::<u8>(), 1..90);
    let wrong_trailer = (1..8_i64, 1_000..1_400_u64).prop_map(|(tid, ts)| {
        let mut block = ev(ts, tid, ppme::PPME_SYSCALL_FCHDIR_X, &[&[1; 8], &[2; 8]]);
        let at = block.len() - 4;
        block[at] ^= 0x40;
        block
    });
    prop_oneof![
        200 => event,
        3 => timeless,
        2 => unknown,
        1 => strange,
        1 => snapshot,
        1 => Just(shb()),
        1 => garbage,
        1 => wrong_trailer,
    ]
}

fn query() -> impl Strategy<Value = Query> {
    let types = prop::collection::vec((0..TYPES.len()).prop_map(|at| TYPES[at].0), 0..3);
    let threads = prop::collection::vec(1..9_i64, 0..3);
    (
        prop::option::of(900..1_500_u64),
        prop::option::of(900..1_500_u64),
        prop::option::of(types),
        prop::option::of(threads),
    )
        .prop_map(|(from, to, types, threads)| Query { from, to, types, threads })
}

/// Times that mostly go forward, so that frames differ in them.
fn capture() -> impl Strategy<Value = Vec<Vec<u8>>> {
    prop::collection::vec(part(), 0..160)
}

/// With a block that shows what it is, whatever comes.
fn capture_of(parts: &[Vec<u8>]) -> Vec<u8> {
    [shb(), block(0x201, &[0; 180]), parts.concat()].concat()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn no_event_that_matches_is_missed_or_changed(
        parts in capture(), frame_bytes in 1..700_usize, query in query(), threads in 0..4_usize,
    ) {
        let plain = capture_of(&parts);
        let file = open(&pack(&plain, frame_bytes));
        let whole = read(&plain);
        let found = drain(&mut file.select(&query.selection(), threads).unwrap());
        let matching = |events: Vec<Placed>| events.into_iter().filter(|event| query.matches(event)).collect::<Vec<_>>();
        prop_assert_eq!(matching(found.events), matching(whole.events));
        prop_assert_eq!(found.others, whole.others);
    }

    #[test]
    fn everything_is_what_a_plain_reader_gives(parts in capture(), frame_bytes in 1..700_usize, threads in 0..4_usize) {
        let plain = capture_of(&parts);
        let mut reader = open(&pack(&plain, frame_bytes)).select(&Selection::all(), threads).unwrap();
        let (found, expected) = (drain(&mut reader), read(&plain));
        prop_assert_eq!(found.events, expected.events);
        prop_assert_eq!(found.others, expected.others);
        prop_assert_eq!(found.ledger, expected.ledger);
    }

    #[test]
    fn resuming_at_any_sound_frame_continues_the_stream(parts in capture(), frame_bytes in 1..700_usize, at in any::<prop::sample::Index>()) {
        let plain = capture_of(&parts);
        let file = open(&pack(&plain, frame_bytes));
        let at = at.index(file.frames().len());
        // Damage reaches into the frame after it: the place where somebody resumes is a checkpoint's to choose.
        if at > 0 && file.frames()[at - 1].irregular {
            return Ok(());
        }
        let start = file.frames()[at].raw_offset;
        let rest = |events: Vec<Placed>| events.into_iter().filter(|event| event.0 >= start).collect::<Vec<_>>();
        let expected = rest(read(&plain).events);
        let mut reader = file.resume(at..usize::MAX, None, 0).unwrap();
        let found = drain(&mut reader).events;
        prop_assert_eq!(&found, &expected);
        let mut renumbered = file.resume(at..usize::MAX, Some(5000), 2).unwrap();
        let numbers: Vec<u64> = drain(&mut renumbered).events.iter().map(|event| event.num).collect();
        prop_assert_eq!(numbers, (5001..5001 + found.len() as u64).collect::<Vec<_>>());
    }

    #[test]
    fn hostile_files_are_no_danger(parts in capture(), at in any::<prop::sample::Index>(), junk in prop::collection::vec(any::<u8>(), 1..40), from_end in any::<bool>()) {
        let plain = capture_of(&parts);
        let mut file = pack(&plain, 300);
        let range = if from_end { file.len() - file.len() / 4..file.len() } else { 0..file.len() };
        let at = range.start + at.index(range.len());
        let end = file.len().min(at + junk.len());
        file[at..end].copy_from_slice(&junk[..end - at]);
        if let Some(file) = SeekableFile::of(file, "test").unwrap() {
            for threads in [0, 3] {
                if let Ok(mut reader) = file.select(&Selection::all(), threads) {
                    while let Ok(Some(_)) = reader.next_item() {}
                }
            }
            if let Ok(mut reader) = file.resume(1..usize::MAX, None, 0) {
                while let Ok(Some(_)) = reader.next_item() {}
            }
        }
    }
}

/// Memory that counts what is read of it.
struct Watched(Vec<u8>, Arc<AtomicU64>);

impl Storage for Watched {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> std::io::Result<usize> {
        let len = self.0.read_at(buf, offset)?;
        self.1.fetch_add(len as u64, Ordering::Relaxed);
        Ok(len)
    }

    fn size(&self) -> std::io::Result<u64> {
        self.0.size()
    }
}

/// Threads and types in blocks, so that most frames lack most of them.
fn striped(events: u64) -> Vec<u8> {
    let mut plain = shb();
    for n in 0..events {
        let etype = if n / 100 % 2 == 0 { ppme::PPME_SYSCALL_FCHDIR_X } else { ppme::PPME_SYSCALL_CHDIR_X };
        let noise = (n.wrapping_mul(0x9E37_79B9_7F4A_7C15)).to_le_bytes();
        plain.extend(ev(1_000_000 + n, 100 + (n / 500) as i64, etype, &[&noise, b"/\0"]));
    }
    plain
}

#[test]
fn frames_that_cannot_match_are_not_read() {
    let plain = striped(20_000);
    let packed = pack(&plain, 5_000);
    let (size, count) = (packed.len() as u64, Arc::new(AtomicU64::new(0)));
    let file = SeekableFile::of(Watched(packed, Arc::clone(&count)), "test").unwrap().unwrap();
    let opened = count.swap(0, Ordering::Relaxed);
    let frames = file.frames().len() as u64;
    assert!(frames > 200 && opened < size / 3, "{frames} frames, {opened} of {size} bytes read");
    let queries = [
        (Selection::all().from(1_019_900), 20, 100),
        (Selection::all().to(1_000_099), 20, 100),
        (Selection::all().until(1_000_099), 20, 101),
        (Selection::all().from(1_010_000).to(1_010_199), 20, 200),
        // Records have to be read to know.
        (Selection::all().threads([110]), 2, 500),
    ];
    for (selection, part, least) in queries {
        let found = select(&file, &selection, 0).len();
        let bytes = count.swap(0, Ordering::Relaxed);
        assert!(bytes < size / part, "{selection:?}: {bytes} of {size} bytes");
        assert!(found >= least && found < 2000, "{selection:?}: {found} events");
    }
}

#[test]
fn enter_halves_are_found_far_back() {
    // One thread sleeps in a call through hundreds of frames; another reads and reads.
    let mut plain = shb();
    plain.extend(ev(1, 1, ppme::PPME_SYSCALL_READ_E, &[&77_i64.to_le_bytes(), &4096_u32.to_le_bytes()]));
    for n in 0..4000_u64 {
        plain.extend(ev(10 + n, 2, ppme::PPME_SYSCALL_READ_E, &[&(n as i64).to_le_bytes(), &1_u32.to_le_bytes()]));
        plain.extend(ev(10 + n, 2, ppme::PPME_SYSCALL_READ_X, &[&n.to_le_bytes(), b"x"]));
    }
    plain.extend(ev(9000, 1, ppme::PPME_SYSCALL_READ_X, &[&5_i64.to_le_bytes(), b"hello"]));
    let file = open(&pack(&plain, 500));
    assert!(file.frames().len() > 200 && file.frames().iter().all(|frame| frame.stands_alone));
    let found = select(&file, &Selection::all().from(9000), 0);
    let last = found.last().unwrap();
    assert_eq!((last.num, last.tid, last.enter_ts), (4001, 1, Some(1)));
    assert_eq!(last.params[2], 77_i64.to_le_bytes());
    assert!(found.len() < 20, "{}", found.len());
    // Nothing of them is lost on the way.
    let mut reader = file.select(&Selection::all().from(9000), 2).unwrap();
    assert!(drain(&mut reader).ledger == Ledger::default());
}

#[test]
fn a_frame_that_needs_too_many_enter_halves_is_read_from_the_start() {
    let threads = 1..=17_000_i64;
    let mut writer = SeekableWriter::new(Vec::new(), Options { frame_bytes: 8 << 20, level: 1 }).unwrap();
    let enters = threads.clone().map(|tid| ev(1, tid, ppme::PPME_SYSCALL_READ_E, &[&tid.to_le_bytes(), &[9; 4]]));
    let between = (0..100).map(|_| ev(2, 0, ppme::PPME_SYSCALL_FCHDIR_X, &[&[0; 8], &[3; 8]]));
    let exits = threads.map(|tid| ev(3, tid, ppme::PPME_SYSCALL_READ_X, &[&tid.to_le_bytes(), b"data"]));
    let parts = [
        [shb(), enters.collect::<Vec<_>>().concat()].concat(),
        between.collect::<Vec<_>>().concat(),
        exits.collect::<Vec<_>>().concat(),
    ];
    for part in &parts {
        writer.write_all(part).unwrap();
        writer.cut().unwrap();
    }
    let file = open(&writer.finish().unwrap().0);
    assert_eq!(file.frames().iter().map(|frame| frame.stands_alone).collect::<Vec<_>>(), [true, true, false]);
    let whole = read(&parts.concat());
    let found = drain(&mut file.select(&Selection::all().from(3), 0).unwrap());
    assert_eq!((found.events, found.ledger), (whole.events, whole.ledger));
    // Who insists is told what is missing.
    let alone = drain(&mut file.resume(2..3, None, 0).unwrap());
    assert_eq!(alone.ledger.get(Counter::LostEnterHalves), 17_000);
    assert_eq!(alone.events.first().map(|event| event.num), Some(101));
}

#[test]
fn a_file_without_index_is_scanned() {
    let plain = striped(2000);
    let packed = pack(&plain, 5_000);
    let whole = read(&plain).events;
    let frames = open(&packed).frames().to_vec();
    let end = frames.last().map(|frame| frame.offset + frame.packed_len + frame.record_len).unwrap() as usize;
    // Cut before the index, in the last record, and in the data of the last frame.
    let last = frames.last().unwrap();
    for (cut, whole_frames) in [
        (end, frames.len()),
        (end - 20, frames.len() - 1),
        ((last.offset + last.packed_len) as usize, frames.len() - 1),
        ((last.offset + last.packed_len / 2) as usize, frames.len() - 1),
    ] {
        let file = open(&packed[..cut]);
        let mut reader = file.select(&Selection::all(), 2).unwrap();
        let outcome = drain(&mut reader);
        assert_eq!(outcome.ledger.get(Counter::RebuiltIndexes), 1);
        let found = outcome.events;
        assert_eq!(found[..], whole[..found.len()]);
        let known = frames.get(whole_frames).map_or(2000, |frame| frame.delivered_before);
        assert!(found.len() as u64 >= known, "cut at {cut}: {} of {known}", found.len());
        let later: Vec<Placed> = select(&file, &Selection::all().from(1_001_500), 0);
        assert!(later.iter().all(|event| whole[event.num as usize - 1] == *event));
        assert!(later.iter().any(|event| event.ts == 1_001_500));
    }
}

#[test]
fn damaged_frames_are_passed_over_with_the_right_numbers() {
    let plain = striped(2000);
    let mut packed = pack(&plain, 5_000);
    let whole = read(&plain).events;
    let frames = open(&packed).frames().to_vec();
    let broken = &frames[7];
    packed[(broken.offset + broken.packed_len / 2) as usize] ^= 0x10;
    let file = open(&packed);
    for threads in [0, 2] {
        let outcome = drain(&mut file.select(&Selection::all(), threads).unwrap());
        assert_eq!(outcome.ledger.get(Counter::DamagedFrames), 1);
        let found = outcome.events;
        let (gone, end) = (broken.delivered_before, broken.delivered_before + broken.delivered);
        let expected: Vec<Placed> =
            whole.iter().filter(|event| event.num <= gone || event.num > end).cloned().collect();
        assert_eq!(found, expected);
    }
}

#[test]
fn other_files_are_not_seekable() {
    for file in [Vec::new(), striped(10), bytes::zstd(&striped(10)), bytes::gzip(&striped(10)), vec![0; 5000]] {
        assert!(SeekableFile::of(file, "test").unwrap().is_none());
    }
    let empty = SeekableFile::of(pack(&[], 100), "test").unwrap().unwrap();
    assert!(empty.frames().is_empty() && empty.select(&Selection::all(), 0).is_err());
}

#[test]
fn an_index_that_leads_elsewhere_is_not_followed() {
    use casebook_formats::record;
    let packed = pack(&striped(500), 5_000);
    let frames = open(&packed).frames().to_vec();
    let end = frames.last().map(|frame| (frame.offset + frame.packed_len + frame.record_len) as usize).unwrap();
    let index_len = u32::from_le_bytes(packed[end + 4..end + 8].try_into().unwrap()) as usize + 8;
    let entries = record::decode_index(record::open(&packed[end + 8..end + index_len]).unwrap().body).unwrap();
    let lies: [fn(&mut Vec<record::IndexEntry>); 6] = [
        |entries| entries[1].offset = 0,
        |entries| entries[1].packed_len = u64::MAX,
        |entries| entries[2].raw_len = u64::MAX - 1,
        |entries| entries[0].record_len = 1 << 40,
        |entries| entries[1].delivered = u64::MAX,
        |entries| entries.swap(1, 2),
    ];
    for lie in lies {
        let mut entries = entries.clone();
        lie(&mut entries);
        let (index, _) = record::frame(record::Kind::Index, &record::encode_index(&entries));
        // The same length for most, so that the seek table still leads to it; else it does not, which is as bad.
        let file = [&packed[..end], &index, &packed[end + index_len..]].concat();
        let file = open(&file);
        assert_eq!(file.ledger().get(Counter::RebuiltIndexes), 1);
        assert_eq!(select(&file, &Selection::all(), 0).len(), 500);
    }
}
