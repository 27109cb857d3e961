//! A capture that is read on another thread gives what it gives here: the same items, and at each of them the same ledger;
//! the thread ends with whoever reads, and nobody waits for what does not come.

#![allow(clippy::unwrap_used)] // a failed step fails the test

mod bytes;

use std::io::{self, Cursor, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use std::{env, fs, thread};

use bytes::{Trickle, ev, ev_v1, gzip, shb, shb_with, zstd};
use casebook_formats::capture::{CaptureReader, Item, Items, ReadAhead, Upstream};
use casebook_formats::ledger::Counter;
use casebook_formats::snapshot::{ThreadEntry, UserEntry};
use casebook_formats::tables::ppme;
use casebook_formats::write::CaptureWriter;

/// Longer than anything here takes, on a machine busy with other things.
const PATIENCE: Duration = Duration::from_mins(1);

/// What an item is, in full.
fn show(item: &Item<'_>) -> String {
    let Item::Event(event) = item else { return format!("{item:?}") };
    let params: Vec<_> = (0..event.ranges.len()).map(|index| event.param_raw(index).unwrap()).collect();
    let same = std::ptr::eq(event.data, event.raw.payload);
    format!(
        "{} {} {} {} {:?} {} {:?} {params:?} {same} {:?}",
        event.num, event.ts, event.tid, event.cpu, event.etype, event.state_only, event.enter_ts, event.raw
    )
}

/// All that somebody learns who reads as a replay does: of each item what it is, and what the ledger says by then.
fn lesson(reader: &mut impl Items) -> Vec<String> {
    let mut learnt = Vec::new();
    loop {
        let before = doubts(reader);
        let (shown, plain) = match reader.plain_event() {
            Some(event) => (show(&Item::Event(event)), true),
            None => match reader.next_item() {
                Ok(Some(item)) => (show(&item), false),
                Ok(None) => break,
                Err(error) => {
                    learnt.push(error.to_string());
                    break;
                }
            },
        };
        assert!(!plain || doubts(reader) == before, "something was left out before a plain event");
        learnt.push(format!("{shown} {:?} {:?}", found(reader), told(reader)));
    }
    learnt.push(format!("{:?} {:?}", found(reader), told(reader)));
    learnt
}

fn found(reader: &impl Items) -> Vec<(&'static str, u64)> {
    reader.ledger().findings().map(|(counter, n)| (counter.name, n)).collect()
}

fn told(reader: &impl Items) -> (u64, Vec<String>) {
    let Upstream { ledger, notes } = reader.upstream();
    (ledger.get(Counter::ForeignDocuments), notes)
}

/// What the state doubts for.
fn doubts(reader: &impl Items) -> u64 {
    let counters = [Counter::DamagedBlocks, Counter::DamagedEvents, Counter::UnknownEventTypes];
    counters.into_iter().map(|counter| reader.ledger().get(counter)).sum()
}

fn here(bytes: &[u8]) -> CaptureReader {
    CaptureReader::from_reader(Box::new(Cursor::new(bytes.to_vec())), "test").unwrap()
}

fn elsewhere(reader: CaptureReader) -> ReadAhead {
    ReadAhead::new(reader).map_err(drop).unwrap()
}

/// The same lesson, or where it begins to be another.
#[track_caller]
fn equal(got: &[String], expected: &[String]) {
    let differs = |at: &usize| got.get(*at) != expected.get(*at);
    if let Some(at) = (0..expected.len().max(got.len())).find(differs) {
        let short = |of: &[String]| of.get(at).map(|shown| shown.chars().take(500).collect::<String>());
        panic!("item {at}: {:?} instead of {:?}", short(got), short(expected));
    }
}

#[track_caller]
fn same(bytes: &[u8]) -> Vec<String> {
    let expected = lesson(&mut here(bytes));
    equal(&lesson(&mut elsewhere(here(bytes))), &expected);
    expected
}

fn close(ts: u64) -> Vec<u8> {
    ev(ts, 7, ppme::PPME_SYSCALL_CLOSE_X, &[&0_i64.to_le_bytes(), &(ts as i64).to_le_bytes()])
}

fn read_halves(ts: u64) -> Vec<u8> {
    let enter = ev_v1(ts, 7, ppme::PPME_SYSCALL_READ_E, &[&5_i64.to_le_bytes(), &4_u32.to_le_bytes()]);
    let exit = ev_v1(ts + 1, 7, ppme::PPME_SYSCALL_READ_X, &[&4_i64.to_le_bytes(), b"data"]);
    [enter, exit].concat()
}

/// Everything that changes the course of reading, many batches of it.
fn story() -> Vec<u8> {
    let list = |n: usize| {
        let mut writer = CaptureWriter::new(Vec::new());
        let thread = |tid| ThreadEntry { tid, pid: tid, ..ThreadEntry::default() };
        writer.threads(&(0..n as i64).map(thread).collect::<Vec<_>>()).unwrap();
        writer.users(&[UserEntry::Group { gid: 5, name: b"tty".to_vec() }]).unwrap();
        writer.into_inner().unwrap()
    };
    let mut blocks = vec![shb(), list(3)];
    let mut ts = 10_000_000_000;
    for n in 0..4000_u64 {
        ts += 10;
        blocks.push(match n {
            // A section, and a list that is too large to be there twice.
            1500 => [shb_with(1, 2, &[]), list(20_000)].concat(),
            // The clock steps back, on an event that needs nothing else.
            1600 => close(ts - 5_000_000_000),
            _ => match n % 97 {
                0..=4 => read_halves(ts),
                5 => ev(ts, 7, ppme::PPME_SYSCALL_READ_X, &[&4_i64.to_le_bytes(), b"lost"]),
                6 => ev(ts, -1, ppme::PPME_DROP_E, &[&2_u32.to_le_bytes()]),
                7 => vec![0xFF; 30],
                8 => ev(ts, 7, casebook_formats::event::EventType(1200), &[]),
                9 => ev(ts, 8, ppme::PPME_SYSCALL_CLOSE_X, &[&[0; 8], &[1; 8], b"surplus"]),
                10 => bytes::block(0x7777, b"unknown"),
                11 => ev(ts, 7, ppme::PPME_SYSCALL_WRITE_X, &[&[1; 8], &vec![b'x'; 60_000], &[0; 8], &[0; 4]]),
                _ => close(ts),
            },
        });
    }
    blocks.concat()
}

#[test]
fn every_item_comes_with_what_was_known_by_then() {
    let bytes = story();
    let learnt = same(&bytes);
    assert!(learnt.len() > 3500, "{}", learnt.len());
    let all = learnt.last().unwrap();
    for counter in ["clock_steps", "lost_enter_halves", "kernel_drops", "damaged_blocks", "unknown_event_types"] {
        assert!(all.contains(counter), "{counter} {all}");
    }
    equal(&same(&gzip(&bytes)), &learnt);
    equal(&same(&zstd(&bytes)), &learnt);
    let mut packed = here(&zstd(&bytes));
    packed.unpack_ahead();
    equal(&lesson(&mut elsewhere(packed)), &learnt);
    // Ten times over are ten sections.
    assert!(same(&bytes.repeat(10)).len() > 35_000);
}

#[test]
fn wherever_it_is_cut_or_damaged() {
    let mut bytes = story();
    bytes.truncate(40_000);
    for len in (100..bytes.len()).step_by(613) {
        same(&bytes[..len]);
    }
    for at in (40..bytes.len()).step_by(397) {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x55;
        same(&damaged);
    }
    let packed = zstd(&story());
    for len in (packed.len() / 2..packed.len()).step_by(packed.len() / 20) {
        same(&packed[..len]);
    }
    // Of the other byte order from the second section on: an error there.
    let foreign = bytes::block(0x0A0D_0D0A, &[0x1A, 0x2B, 0x3C, 0x4D, 0, 1, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0]);
    let learnt = same(&[story(), foreign].concat());
    assert!(learnt[learnt.len() - 2].contains("big-endian"), "{:?}", learnt[learnt.len() - 2]);
}

#[test]
fn a_byte_at_a_time_and_from_a_pause_on() {
    let bytes = &story()[..200_000];
    let slow =
        |bytes: &[u8]| CaptureReader::from_reader(Box::new(Trickle(Cursor::new(bytes.to_vec()))), "test").unwrap();
    equal(&lesson(&mut elsewhere(slow(bytes))), &lesson(&mut slow(bytes)));
    let paused = || {
        let mut reader = here(bytes);
        reader.pause_at(Some(100_000));
        reader
    };
    let learnt = lesson(&mut paused());
    assert!(learnt.len() < lesson(&mut here(bytes)).len());
    equal(&lesson(&mut elsewhere(paused())), &learnt);
    // A reader that has read already goes on from there.
    let begun = || {
        let mut reader = here(bytes);
        for _ in 0..150 {
            assert!(reader.next_item().unwrap().is_some());
        }
        reader
    };
    equal(&lesson(&mut elsewhere(begun())), &lesson(&mut begun()));
}

/// Tells of what is in front of it when it has been read so far.
struct Telling(Cursor<Vec<u8>>, Arc<Mutex<Upstream>>);

impl Read for Telling {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let some = buf.len().min(1000);
        let n = self.0.read(&mut buf[..some])?;
        let mut upstream = self.1.lock().unwrap_or_else(PoisonError::into_inner);
        upstream.ledger.count(Counter::ForeignDocuments);
        if n == 0 {
            upstream.notes.push("that was all".to_owned());
        }
        Ok(n)
    }
}

#[test]
fn what_is_found_in_front_of_it_comes_as_it_is_found() {
    let telling = || {
        let upstream = Arc::new(Mutex::new(Upstream::default()));
        let source = Telling(Cursor::new(story()[..300_000].to_vec()), Arc::clone(&upstream));
        let mut reader = CaptureReader::from_reader(Box::new(source), "test").unwrap();
        reader.made_from(upstream);
        reader
    };
    let learnt = lesson(&mut telling());
    assert!(learnt.last().unwrap().contains("that was all") && !learnt[0].contains("that was all"));
    equal(&lesson(&mut elsewhere(telling())), &learnt);
}

/// What one of several learns who read along, and how many events each turn had.
fn along(mut reader: ReadAhead) -> (Vec<String>, Vec<usize>) {
    let (mut learnt, mut turns) = (Vec::new(), Vec::new());
    loop {
        assert_eq!(reader.turn(), turns.len());
        let mut more = lesson(&mut reader);
        turns.push(more.iter().filter(|shown| !shown.contains("Threads(") && !shown.contains("Section(")).count() - 1);
        if !reader.is_between_turns() {
            learnt.append(&mut more);
            return (learnt, turns);
        }
        // The last line is what was known between two items.
        more.pop();
        learnt.append(&mut more);
        assert!(reader.next_item().unwrap().is_none() && reader.is_between_turns());
        reader.begin_turn();
    }
}

#[test]
fn several_read_along_from_turn_to_turn() {
    let bytes = story();
    let expected = lesson(&mut here(&bytes));
    for (others, turn) in [(0, 1000), (1, 1), (1, 600), (2, 7), (3, 1024), (4, 100_000)] {
        let (first, others) = ReadAhead::shared(here(&bytes), others, turn).map_err(drop).unwrap();
        let threads: Vec<_> = others.into_iter().map(|other| thread::spawn(|| along(other))).collect();
        let (learnt, turns) = along(first);
        equal(&learnt, &expected);
        // No turn but the last is shorter, and none is much longer.
        let (last, full) = turns.split_last().unwrap();
        assert!(full.iter().chain([last]).all(|events| *events < turn + 600), "{turns:?}");
        assert!(full.iter().all(|events| *events >= turn), "{turns:?}");
        assert_eq!(full.is_empty(), turn == 100_000);
        for thread in threads {
            let other = thread.join().unwrap();
            equal(&other.0, &learnt);
            assert_eq!(other.1, turns);
        }
    }
}

#[test]
fn the_slowest_who_reads_along_holds_the_thread() {
    let (give, end, pipe) = pipe();
    give.send(shb()).unwrap();
    give.send((1..100_000).flat_map(close).collect()).unwrap();
    drop(give);
    let reader = CaptureReader::from_reader(pipe, "test").unwrap();
    let (slow, mut others) = ReadAhead::shared(reader, 1, 1000).map_err(drop).unwrap();
    let quick = others.pop().unwrap();
    let thread = thread::spawn(|| along(quick).1.iter().sum::<usize>());
    assert!(end.recv_timeout(Duration::from_millis(50)).is_err() && !thread.is_finished());
    // One who stops holds nobody any more.
    drop(slow);
    assert!(thread.join().unwrap() >= 99_999);
    end.recv_timeout(PATIENCE).expect("the thread ends with its input");
}

#[test]
fn who_reads_along_is_told_of_the_end() {
    let (give, _end, pipe) = pipe();
    give.send(beginning()).unwrap();
    let reader = CaptureReader::from_reader(pipe, "test").unwrap();
    let (first, mut others) = ReadAhead::shared(reader, 1, 1000).map_err(drop).unwrap();
    let other = others.pop().unwrap();
    // It waits for a pipe that says nothing more.
    let thread = thread::spawn(|| along(other).0);
    first.end_all();
    let learnt = thread.join().unwrap();
    assert!(learnt.len() <= 1 + BEGINNING as usize, "{learnt:?}");
}

/// Bytes that come when somebody gives them, and word of its end.
struct Pipe(Receiver<Vec<u8>>, Cursor<Vec<u8>>, Sender<()>);

impl Read for Pipe {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        loop {
            let n = self.1.read(buf)?;
            if n > 0 {
                return Ok(n);
            }
            let Ok(more) = self.0.recv() else { return Ok(0) };
            self.1 = Cursor::new(more);
        }
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        let _ = self.2.send(());
    }
}

fn pipe() -> (Sender<Vec<u8>>, Receiver<()>, Box<Pipe>) {
    let (give, take) = channel();
    let (ended, end) = channel();
    (give, end, Box::new(Pipe(take, Cursor::default(), ended)))
}

/// Items of a capture's beginning: enough to see that it is one.
const BEGINNING: u64 = 100;

fn beginning() -> Vec<u8> {
    [shb(), (1..BEGINNING).flat_map(close).collect()].concat()
}

#[test]
fn what_a_pipe_has_given_is_there_before_the_next_comes() {
    let (give, _end, pipe) = pipe();
    give.send(beginning()).unwrap();
    let mut ahead = elsewhere(CaptureReader::from_reader(pipe, "test").unwrap());
    for _ in 0..BEGINNING {
        assert!(ahead.next_item().unwrap().is_some());
    }
    for n in BEGINNING..BEGINNING + 50 {
        give.send(close(n)).unwrap();
        let item = ahead.next_item().unwrap();
        assert!(matches!(&item, Some(Item::Event(event)) if event.num == n), "{item:?}");
    }
    drop(give);
    assert!(ahead.next_item().unwrap().is_none() && ahead.next_item().unwrap().is_none());
}

#[test]
fn the_thread_ends_with_its_reader() {
    for events_read in [0, 1, 5000] {
        let (give, end, pipe) = pipe();
        give.send(shb()).unwrap();
        give.send((1..20_000).flat_map(close).collect()).unwrap();
        let mut ahead = elsewhere(CaptureReader::from_reader(pipe, "test").unwrap());
        for _ in 0..events_read {
            assert!(ahead.next_item().unwrap().is_some());
        }
        // It waits until somebody wants more, with a bounded number of events in hand.
        assert!(end.recv_timeout(Duration::from_millis(20)).is_err());
        drop(ahead);
        end.recv_timeout(PATIENCE).expect("the thread lets go of its input");
    }
}

#[test]
fn nobody_waits_for_a_thread_that_waits_for_its_input() {
    let (give, end, pipe) = pipe();
    give.send(beginning()).unwrap();
    let mut ahead = elsewhere(CaptureReader::from_reader(pipe, "test").unwrap());
    assert!(ahead.next_item().unwrap().is_some());
    // Comes back although the thread cannot.
    drop(ahead);
    assert!(end.try_recv().is_err());
    drop(give);
    end.recv_timeout(PATIENCE).expect("the thread ends with its input");
}

/// Some bytes, and then a failure.
struct Failing(Cursor<Vec<u8>>, fn() -> io::Result<usize>);

impl Read for Failing {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.0.read(buf)?;
        if n == 0 { (self.1)() } else { Ok(n) }
    }
}

#[test]
fn failures_come_in_their_place() {
    let failing = |fail| {
        let bytes = [shb(), (1..3000).flat_map(close).collect()].concat();
        CaptureReader::from_reader(Box::new(Failing(Cursor::new(bytes), fail)), "test").unwrap()
    };
    let refused: fn() -> io::Result<usize> = || Err(io::Error::other("the disk is on fire"));
    let learnt = lesson(&mut failing(refused));
    assert_eq!(learnt.len(), 1 + 2999 + 2);
    assert!(learnt[3000].contains("the disk is on fire"));
    equal(&lesson(&mut elsewhere(failing(refused))), &learnt);
    let (first, others) = ReadAhead::shared(failing(refused), 2, 64).map_err(drop).unwrap();
    let threads: Vec<_> = others.into_iter().map(|other| thread::spawn(|| along(other).0)).collect();
    equal(&along(first).0, &learnt);
    for thread in threads {
        equal(&thread.join().unwrap(), &learnt);
    }
    // What takes the thread down is an error, once, and no end that looks like one of the capture.
    let mut ahead = elsewhere(failing(|| panic!("a mistake")));
    let learnt = lesson(&mut ahead);
    assert!(learnt[learnt.len() - 2].contains("has died"), "{:?}", learnt[learnt.len() - 2]);
    assert!(ahead.next_item().unwrap().is_none());
}

fn captures(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(folder.join("captures"))
        .unwrap()
        .flat_map(|folder| fs::read_dir(folder.unwrap().path()).unwrap())
        .map(|file| file.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "scap"))
        .collect();
    files.sort();
    files
}

#[test]
fn all_corpora() {
    let Some(folder) = env::var_os("CASEBOOK_CORPORA") else {
        writeln!(io::stderr(), "skipped: CASEBOOK_CORPORA is not set").ok(); // past the capture of passing tests
        return;
    };
    let files = captures(Path::new(&folder));
    assert!(!files.is_empty());
    for path in files {
        let expected = lesson(&mut CaptureReader::open(&path).unwrap());
        let got = lesson(&mut elsewhere(CaptureReader::open(&path).unwrap()));
        assert!(got == expected, "{}", path.display());
    }
}
