//! What `convert --for sysdig` makes of events and lists, without sysdig: types, order and values of what is written.
//! That sysdig reads it is tested in `tests/tests/sysdig_reads.rs`.

#![allow(clippy::unwrap_used)] // a failing test may panic

use casebook_formats::capture::{CaptureReader, Item};
use casebook_formats::cli::{Exit, run_to};
use casebook_formats::event::EventType;
use casebook_formats::snapshot::{FdEntry, FdInfo, FdList, ThreadEntry};
use casebook_formats::tables::ppme::*;
use casebook_formats::tables::{self, Direction, SysdigForm};
use casebook_formats::write::CaptureWriter;

type Writer = CaptureWriter<Vec<u8>>;

/// Writes a capture, converts it, and gives the result's bytes and what the command said.
fn convert(write: impl FnOnce(&mut Writer)) -> (Vec<u8>, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.scap");
    let mut writer = CaptureWriter::new(Vec::new());
    writer.section().unwrap();
    write(&mut writer);
    std::fs::write(&path, writer.into_inner().unwrap()).unwrap();
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let args = ["casebook", "convert", "--for", "sysdig", path.to_str().unwrap()];
    assert_eq!(run_to(args, &mut out, &mut err), Exit::Complete, "{}", String::from_utf8_lossy(&err));
    (out, String::from_utf8(err).unwrap())
}

/// Stored events of a capture: type, time, payload (lengths and values). No reader of ours merges halves here.
fn stored(capture: &[u8]) -> Vec<(EventType, u64, Vec<u8>)> {
    let (mut at, mut events) = (0, Vec::new());
    while at < capture.len() {
        let word = |at: usize| u32::from_le_bytes(*capture[at..].first_chunk().unwrap());
        let (number, len) = (word(at), word(at + 4) as usize);
        if matches!(number, 0x216 | 0x221) {
            let event = &capture[at + 10..at + len - 4];
            let size = u32::from_le_bytes(*event[16..].first_chunk().unwrap()) as usize;
            let etype = EventType(u16::from_le_bytes(*event[20..].first_chunk().unwrap()));
            events.push((etype, u64::from_le_bytes(*event.first_chunk().unwrap()), event[26..size].to_vec()));
        }
        at += len;
    }
    events
}

fn types(capture: &[u8]) -> Vec<EventType> {
    stored(capture).into_iter().map(|(etype, ..)| etype).collect()
}

/// Length array and values, as an event holds them.
fn payload(values: &[&[u8]]) -> Vec<u8> {
    let lengths = values.iter().flat_map(|value| (value.len() as u16).to_le_bytes());
    lengths.chain(values.concat()).collect()
}

fn events_of(writer: &mut Writer, events: &[(u64, EventType, &[&[u8]])]) {
    for (ts, etype, params) in events {
        writer.event(*ts, 7, 0, *etype, params).unwrap();
    }
}

const RES: &[u8] = &5_i64.to_le_bytes();
const FD: &[u8] = &3_i64.to_le_bytes();
const SIZE: &[u8] = &512_u32.to_le_bytes();

#[test]
fn an_exit_that_says_everything_gets_its_enter_half_back() {
    let read: &[&[u8]] = &[RES, b"hello", FD, SIZE];
    let (capture, said) = convert(|writer| events_of(writer, &[(9, PPME_SYSCALL_READ_X, read)]));
    let events = stored(&capture);
    assert_eq!(types(&capture), [PPME_SYSCALL_READ_E, PPME_SYSCALL_READ_X]);
    assert_eq!(events[0].2, payload(&[FD, SIZE]));
    assert_eq!(events[1].2, payload(read), "today's readers find all of it in the exit");
    assert!(said.contains("1 calls with an enter half"), "{said}");
}

#[test]
fn pairs_of_old_captures_stay_as_they_are() {
    let old: &[(u64, EventType, &[&[u8]])] = &[
        (1, PPME_SYSCALL_READ_E, &[FD, SIZE]),
        (2, PPME_SYSCALL_READ_X, &[RES, b"hello"]),
        (3, PPME_SYSCALL_CHDIR_X, &[RES, b"/\0"]),
    ];
    let (capture, said) = convert(|writer| events_of(writer, old));
    let written: Vec<_> = old.iter().map(|(ts, etype, params)| (*etype, *ts, payload(params))).collect();
    assert_eq!(stored(&capture), written);
    assert!(said.contains("3 events copied"), "{said}");
}

#[test]
fn newer_types_become_older_ones_of_the_same_call_or_its_name() {
    let flags = &0_u32.to_le_bytes()[..];
    let (capture, _) = convert(|writer| {
        events_of(
            writer,
            &[
                (1, PPME_SYSCALL_DUP2_X, &[RES, FD, RES]),
                (2, PPME_SYSCALL_PRCTL_X, &[RES, flags, b"name\0", RES]),
                (3, PPME_SYSCALL_MEMFD_CREATE_X, &[FD, b"x\0", flags]),
            ],
        );
    });
    let events = stored(&capture);
    let expected =
        [PPME_SYSCALL_DUP_E, PPME_SYSCALL_DUP_X, PPME_GENERIC_E, PPME_GENERIC_X, PPME_GENERIC_E, PPME_GENERIC_X];
    assert_eq!(types(&capture), expected);
    assert_eq!((&events[0].2, &events[1].2), (&payload(&[FD]), &payload(&[RES])));
    let code = |event: usize| u16::from_le_bytes([events[event].2[4], events[event].2[5]]);
    assert_eq!(tables::syscall(code(3)).unwrap().name, "prctl");
    assert_eq!(code(5), 0, "sysdig has no name for memfd_create and looks behind its table");
}

#[test]
fn what_is_not_known_is_never_empty_where_sysdig_reads_a_number() {
    let (capture, _) = convert(|writer| {
        events_of(
            writer,
            &[
                (1, PPME_SYSCALL_OPENAT_2_X, &[&[], &[], &[], &[], &[], &[], &[]]),
                (2, PPME_SYSCALL_READ_X, &[RES, b"", &[], SIZE]),
            ],
        );
    });
    let events = stored(&capture);
    let nobody = &(-1_i64).to_le_bytes()[..];
    let open = events.iter().find(|(etype, ..)| *etype == PPME_SYSCALL_OPENAT_2_X).unwrap();
    assert_eq!(open.2[..2], [8, 0], "also before the capture has said of what style it is");
    assert_eq!(
        events.last().unwrap().2,
        payload(&[RES, b"", &[], SIZE]),
        "beyond what sysdig reads, unknown stays unknown"
    );
    let read_enter = events.iter().find(|(etype, ..)| *etype == PPME_SYSCALL_READ_E).unwrap();
    assert_eq!(read_enter.2, payload(&[nobody, SIZE]));
}

#[test]
fn the_child_of_a_clone_comes_out_alone() {
    let mut params: Vec<&[u8]> = vec![&[]; tables::event(PPME_SYSCALL_CLONE_20_X).unwrap().params.len()];
    let child = 0_i64.to_le_bytes();
    let (capture, _) = convert(|writer| {
        events_of(writer, &[(1, PPME_SYSCALL_READ_X, &[RES, b"", FD, SIZE])]);
        params[0] = RES;
        events_of(writer, &[(2, PPME_SYSCALL_CLONE_20_X, &params)]);
        params[0] = &child;
        events_of(writer, &[(3, PPME_SYSCALL_CLONE_20_X, &params)]);
    });
    let clones = [PPME_SYSCALL_CLONE_20_E, PPME_SYSCALL_CLONE_20_X, PPME_SYSCALL_CLONE_20_X];
    assert_eq!(types(&capture)[2..], clones);
}

#[test]
fn containers_keep_their_event_and_users_are_left_out() {
    let (capture, said) = convert(|writer| {
        let plugin = &0_u32.to_le_bytes()[..];
        let user: &[&[u8]] = &[plugin, plugin, b"u\0", b"/\0", b"/bin/sh\0", b"\0"];
        events_of(writer, &[(1, PPME_ASYNCEVENT_E, &[plugin, b"container\0", b"{}"]), (2, PPME_USER_ADDED_E, user)]);
    });
    let [(etype, _, payload)] = &stored(&capture)[..] else { panic!("one event") };
    assert_eq!((*etype, &payload[..]), (PPME_CONTAINER_JSON_2_E, &b"\x03\0\0\0{}\0"[..]));
    assert!(said.contains("1 left out: PPME_USER_ADDED_E"), "{said}");
}

#[test]
fn lists_hold_nothing_that_makes_sysdig_refuse_or_misread_the_file() {
    let thread = ThreadEntry { tid: 7, pid: 7, loginuid: 1000, tty: 34816, exe_ino: 9, ..ThreadEntry::default() };
    let memfd = FdInfo::Named { name: b"memfd:x".to_vec(), open_flags: 0, dev: 0 };
    let list = FdList { tid: 7, fds: vec![FdEntry { fd: 3, ino: 1, fd_type: 20, info: memfd.clone() }] };
    let (capture, _) = convert(|writer| {
        writer.threads(std::slice::from_ref(&thread)).unwrap();
        writer.fds(&list).unwrap();
        events_of(writer, &[(1, PPME_SYSCALL_READ_X, &[RES, b"", FD, SIZE])]);
    });
    let mut reader = CaptureReader::from_reader(Box::new(std::io::Cursor::new(capture)), "x").unwrap();
    let mut seen = 0;
    while let Some(item) = reader.next_item().unwrap() {
        match item {
            Item::Threads(threads) => {
                seen += 1;
                let [entry] = &threads[..] else { panic!("one thread") };
                assert_eq!((entry.loginuid, entry.tty, entry.exe_ino), (1000, 0, 0));
            }
            Item::Fds(list) => {
                seen += 1;
                assert_eq!((list.fds[0].fd_type, &list.fds[0].info), (10, &memfd));
            }
            _ => {}
        }
    }
    assert_eq!(seen, 2);
}

#[test]
fn every_call_of_today_that_sysdig_can_be_told_of_is_told() {
    for (etype, def) in tables::events().filter(|(_, def)| def.dir == Direction::Exit && !def.params.is_empty()) {
        let is_call = def.origin == tables::EventOrigin::Syscall;
        let unused = def.flags.has(tables::EventFlags::UNUSED);
        assert!(unused || !is_call || tables::sysdig(etype) != SysdigForm::None, "{} is lost", def.symbol);
    }
}
