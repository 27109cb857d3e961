//! Broken input: nothing panics, nothing hangs, what is whole is used, what is lost is counted.

#![allow(clippy::unwrap_used)] // a failed step fails the test

mod bytes;

use bytes::{Outcome, Trickle, drain, ev, gzip, read, shb, try_read, zstd};
use casebook_formats::capture::{CaptureReader, FormatError};
use casebook_formats::ledger::Counter;
use casebook_formats::snapshot::{FdEntry, FdInfo, FdList, MachineInfo, ThreadEntry, UserEntry};
use casebook_formats::tables::ppme;
use casebook_formats::write::CaptureWriter;
use proptest::prelude::*;

fn close(ts: u64) -> Vec<u8> {
    ev(ts, 7, ppme::PPME_SYSCALL_CLOSE_X, &[&0_i64.to_le_bytes(), &(ts as i64).to_le_bytes()])
}

/// Blocks of a small capture of everything, each by itself.
fn blocks() -> Vec<Vec<u8>> {
    let written = |write: &dyn Fn(&mut CaptureWriter<Vec<u8>>)| {
        let mut writer = CaptureWriter::new(Vec::new());
        write(&mut writer);
        writer.into_inner().unwrap()
    };
    let name = b"/etc/passwd".to_vec();
    let fd = FdEntry { fd: 3, ino: 9, fd_type: 16, info: FdInfo::Named { name, open_flags: 1, dev: 2 } };
    let mut blocks = vec![
        written(&|writer| writer.section().unwrap()),
        written(&|writer| writer.machine(&MachineInfo::default()).unwrap()),
        written(&|writer| writer.users(&[UserEntry::Group { gid: 5, name: b"tty".to_vec() }]).unwrap()),
        written(&|writer| writer.threads(&[ThreadEntry { tid: 7, pid: 7, ..ThreadEntry::default() }]).unwrap()),
        written(&|writer| writer.fds(&FdList { tid: 7, fds: vec![fd.clone()] }).unwrap()),
    ];
    blocks.extend((1..=20).map(close));
    blocks.push(ev(30, 7, ppme::PPME_SYSCALL_READ_E, &[&[5; 8], &[0; 4]]));
    blocks.push(ev(31, 7, ppme::PPME_SYSCALL_READ_X, &[&[5; 8], b"some data"]));
    blocks
}

fn times(outcome: &Outcome) -> Vec<u64> {
    outcome.events().iter().map(|event| event.ts).collect()
}

#[test]
fn cut_at_every_offset() {
    let whole = blocks().concat();
    let mut ends = vec![0];
    for block in blocks() {
        ends.push(ends.last().unwrap() + block.len());
    }
    for len in 0..whole.len() {
        let result = try_read(&whole[..len]);
        if len < 28 {
            // Not even a section header.
            match (len, result) {
                (0, Err(FormatError::Empty { .. })) | (1..4, Err(FormatError::NotScap { .. })) => {}
                (4.., Ok(outcome)) => assert_eq!(outcome.count(Counter::TruncatedInput), 1, "{len}"),
                (_, other) => panic!("{len}: {other:?}"),
            }
            continue;
        }
        let outcome = result.unwrap();
        let complete = ends.iter().filter(|&&end| end <= len).count() - 1;
        let merged = usize::from(complete > 25); // the read enter gives no item
        assert_eq!(outcome.items.len(), complete - merged, "cut at {len}");
        assert_eq!(outcome.count(Counter::TruncatedInput), u64::from(!ends.contains(&len)), "cut at {len}");
        assert_eq!(outcome.count(Counter::DamagedBlocks) + outcome.count(Counter::DamagedBytes), 0, "cut at {len}");
    }
}

#[test]
fn garbage_between_any_two_blocks_costs_no_block() {
    let clean = read(&blocks().concat());
    for at in 1..blocks().len() {
        for garbage in [&b"\xFF"[..], b"garbage, nothing more", &[0; 64], &[0x16, 2, 0, 0, 0x40, 0, 0, 0]] {
            let mut parts = blocks();
            parts.insert(at, garbage.to_vec());
            let outcome = read(&parts.concat());
            assert_eq!(outcome.items, clean.items, "before block {at}");
            assert_eq!(outcome.count(Counter::DamagedBlocks), 1);
            assert_eq!(outcome.count(Counter::DamagedBytes), garbage.len() as u64);
            assert_eq!(outcome.count(Counter::TruncatedInput), 0);
        }
    }
}

#[test]
fn a_broken_block_costs_only_itself() {
    let parts = blocks();
    for victim in 5..25 {
        for (at, value) in [(0, 0x77), (4, 0xF0), (5, 1), (7, 1)] {
            // type, length beyond the block, length of another size, length beyond every bound
            let mut damaged = parts.clone();
            damaged[victim][at] ^= value;
            let outcome = read(&damaged.concat());
            let expected: Vec<u64> = (1..=20).filter(|&ts| ts != victim as u64 - 4).chain([31]).collect();
            assert_eq!(times(&outcome), expected, "block {victim}, byte {at}");
            let counted = [Counter::UnknownBlocks, Counter::DamagedBlocks, Counter::DamagedBytes];
            let counted = counted.map(|counter| outcome.count(counter));
            // An intact block of another type is taken at its word.
            let expected = if at == 0 { [1, 0, 0] } else { [0, 1, parts[victim].len() as u64] };
            assert_eq!(counted, expected, "block {victim}, byte {at}");
        }
    }
}

#[test]
fn an_event_whose_trailer_alone_is_wrong_is_used() {
    let mut parts = blocks();
    let end = parts[10].len();
    parts[10][end - 1] = 0x55;
    let outcome = read(&parts.concat());
    assert_eq!(times(&outcome).len(), 21);
    assert_eq!((outcome.count(Counter::DamagedBlocks), outcome.count(Counter::DamagedBytes)), (1, 0));
}

#[test]
fn an_event_that_does_not_fit_its_block_is_skipped() {
    let mut parts = blocks();
    parts[10][8 + 2 + 16] = 0xFF; // its own length
    parts[12][8 + 2 + 26] = 0xFF; // length of a parameter
    parts[14][8 + 2 + 22] = 0xFF; // number of parameters
    let outcome = read(&parts.concat());
    assert_eq!(times(&outcome).len(), 21 - 3);
    assert_eq!(outcome.count(Counter::DamagedEvents), 3);
    assert_eq!(outcome.count(Counter::DamagedBlocks), 0);
}

#[test]
fn a_capture_without_its_head_is_found() {
    let parts = blocks();
    let whole = parts.concat();
    let outcome = read(&whole[40..]); // in the middle of the machine info
    assert_eq!(times(&outcome).len(), 21);
    assert_eq!(outcome.count(Counter::DamagedBlocks), 1);
    let outcome = read(&parts[3..].concat()); // exactly at a block
    assert_eq!(times(&outcome).len(), 21);
    assert_eq!(outcome.count(Counter::DamagedBlocks), 1);
}

#[test]
fn a_huge_length_costs_no_memory_and_no_events() {
    // A process list that claims 200 MiB, then ordinary events.
    let mut liar = 0x215_u32.to_le_bytes().to_vec();
    liar.extend(200_u32.checked_mul(1 << 20).unwrap().to_le_bytes());
    let mut parts = blocks();
    parts.insert(5, liar);
    let outcome = read(&parts.concat());
    assert_eq!(times(&outcome).len(), 21);
    assert_eq!((outcome.count(Counter::DamagedBlocks), outcome.count(Counter::DamagedBytes)), (1, 8));
    let mut liar = 0x215_u32.to_le_bytes().to_vec();
    liar.extend(u32::MAX.to_le_bytes());
    let mut parts = blocks();
    parts.insert(5, liar);
    assert_eq!(times(&read(&parts.concat())).len(), 21);
}

#[test]
fn gzip_members_and_zstd_frames_are_one_stream() {
    let parts = blocks();
    let clean = read(&parts.concat());
    let (one, two) = (parts[..9].concat(), parts[9..].concat());
    // A member may end in the middle of a block.
    let (early, late) = (parts.concat()[..700].to_vec(), parts.concat()[700..].to_vec());
    for (a, b) in [(&one, &two), (&early, &late)] {
        let outcome = read(&[gzip(a), gzip(b)].concat());
        assert!(outcome.clean());
        assert_eq!(outcome.items, clean.items);
        let skippable = [&[0x5A, 0x2A, 0x4D, 0x18, 5, 0, 0, 0][..], b"index"].concat();
        for stream in [
            [zstd(a), zstd(b)].concat(),
            [zstd(a), skippable.clone(), zstd(b), skippable.clone()].concat(),
            [skippable.clone(), zstd(a), zstd(b)].concat(),
        ] {
            let outcome = read(&stream);
            assert!(outcome.clean());
            assert_eq!(outcome.items, clean.items);
        }
    }
}

#[test]
fn cut_and_broken_compression_keeps_what_came_out() {
    // Enough events, different enough, that something comes out before the cut.
    let mut whole = shb();
    (1..5000).for_each(|ts: u64| whole.extend(close(ts.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 8)));
    for packed in [gzip(&whole), zstd(&whole)] {
        let outcome = read(&packed[..packed.len() * 3 / 4]);
        assert!(outcome.events().len() > 1000, "{}", outcome.events().len());
        assert_eq!(outcome.count(Counter::TruncatedInput), 1, "{:?}", outcome.ledger);
        assert_eq!(outcome.count(Counter::DamagedBlocks), 0);
        let mut broken = packed.clone();
        let middle = packed.len() * 3 / 4;
        broken[middle..middle + 64].fill(0xFF);
        let outcome = read(&broken);
        assert!(outcome.events().len() > 1000);
        let counters = [Counter::BrokenCompression, Counter::TruncatedInput, Counter::DamagedBlocks];
        assert!(counters.iter().any(|&counter| outcome.count(counter) > 0), "{:?}", outcome.ledger);
    }
}

#[test]
fn bytes_may_come_one_at_a_time() {
    let clean = read(&blocks().concat());
    for stream in [blocks().concat(), gzip(&blocks().concat()), zstd(&blocks().concat())] {
        let len = stream.len() as u64;
        let source = Trickle(std::io::Cursor::new(stream));
        let mut reader = CaptureReader::from_reader(Box::new(source), "pipe").unwrap();
        assert_eq!(drain(&mut reader).unwrap().items, clean.items);
        assert_eq!((reader.bytes_read(), reader.bytes_total()), (len, None));
    }
}

/// Offsets of the event types: an event of another type may be one that is dropped without a word.
fn type_bytes() -> Vec<usize> {
    let mut start = 0;
    let mut offsets = Vec::new();
    for block in blocks() {
        if block[..4] == 0x216_u32.to_le_bytes() {
            offsets.extend([start + 8 + 2 + 20, start + 8 + 2 + 21]);
        }
        start += block.len();
    }
    offsets
}

/// Every counter of damage.
fn damage(outcome: &Outcome) -> u64 {
    outcome.ledger.findings().map(|(_, count)| count).sum()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn random_bytes_end(data in proptest::collection::vec(any::<u8>(), 0..4000), head in any::<bool>()) {
        let file = if head { [shb(), data].concat() } else { data };
        let _ = try_read(&file); // an error or an end, never a panic
    }

    #[test]
    fn mutated_captures_end_and_say_so(
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        packed in 0..3_u8,
    ) {
        let mut file = blocks().concat();
        for (at, value) in &changes {
            let at = at.index(file.len());
            if !type_bytes().contains(&at) {
                file[at] = *value;
            }
        }
        let clean = read(&blocks().concat());
        let file = match packed { 0 => file, 1 => gzip(&file), _ => zstd(&file) };
        if let Ok(outcome) = try_read(&file) {
            // Fewer items than written never come without an entry in the ledger.
            prop_assert!(outcome.items.len() >= clean.items.len() || damage(&outcome) > 0);
        }
    }

    #[test]
    fn mutated_compression_ends(at in any::<prop::sample::Index>(), value in any::<u8>(), gz in any::<bool>()) {
        let mut file = if gz { gzip(&blocks().concat()) } else { zstd(&blocks().concat()) };
        let at = at.index(file.len());
        file[at] = value;
        let _ = try_read(&file);
    }

    #[test]
    fn blocks_removed_from_the_middle_are_missed_by_nobody_else(cut in 6..20_usize, bytes in 1..30_usize) {
        // Bytes deleted inside a block: that block is gone, all others are there.
        // Eight are the exception: the next block's length then stands where this one's trailer was, and agrees.
        prop_assume!(bytes != 8);
        let mut damaged = blocks();
        let from = damaged[cut].len() - bytes;
        damaged[cut].truncate(from);
        let outcome = read(&damaged.concat());
        let lost = cut as u64 - 4;
        let expected: Vec<u64> = (1..=20).filter(|&ts| ts != lost).chain([31]).collect();
        prop_assert_eq!(times(&outcome), expected);
        prop_assert_eq!(outcome.count(Counter::DamagedBlocks), 1);
    }
}
