//! Every version of every block since 2014, built by hand.

#![allow(clippy::unwrap_used)] // a failed step fails the test

mod bytes;

use std::net::Ipv4Addr;

use bytes::{Outcome, Owned, block, ev, ev_v1, event_body, read, shb, shb_with};
use casebook_formats::ledger::Counter;
use casebook_formats::snapshot::{FdEntry, FdInfo, FdList, Interface, ThreadEntry, UserEntry};
use casebook_formats::tables::ppme;

/// Reads one block after a section header.
fn one(number: u32, body: &[u8]) -> Outcome {
    read(&[shb(), block(number, body)].concat())
}

fn text(text: &[u8]) -> Vec<u8> {
    [&(text.len() as u16).to_le_bytes(), text].concat()
}

/// What the hand-built process list entries mean, as far as a version tells.
fn thread(version: u8, tail: usize) -> ThreadEntry {
    let from = |since: u8, value: Vec<u8>| if version >= since { value } else { Vec::new() };
    let id = |since: u8, value: i64| if version >= since { value } else { -1 };
    let number = |since: u8, value: u64| if version >= since { value } else { 0 };
    let old = if tail <= 29 { 0 } else { 12 }; // pidns start and tty come first in long tails
    ThreadEntry {
        tid: 11,
        pid: 12,
        ptid: 13,
        sid: id(6, 14),
        vpgid: id(8, 15),
        comm: b"comm".to_vec(),
        exe: b"exe".to_vec(),
        exepath: from(7, b"/bin/exe".to_vec()),
        args: b"a\0b\0".to_vec(),
        cwd: b"/cwd".to_vec(),
        fdlimit: 1024,
        flags: 0x4000_0000,
        uid: 1000,
        gid: 1001,
        vm_size: number(2, 21) as u32,
        vm_rss: number(2, 22) as u32,
        vm_swap: number(2, 23) as u32,
        pf_major: number(2, 24),
        pf_minor: number(2, 25),
        env: from(3, b"E=1\0".to_vec()),
        vtid: id(4, 31),
        vpid: id(4, 32),
        cgroups: from(4, b"cpu=/x\0".to_vec()),
        root: from(5, b"/root".to_vec()),
        pidns_init_start_ts: if old > 0 { 41 } else { 0 },
        tty: if old > 0 { 42 } else { 0 },
        loginuid: if tail >= old + 4 { 43 } else { u32::MAX },
        exe_writable: tail >= old + 5,
        cap_inheritable: if tail >= old + 13 { 44 } else { 0 },
        cap_permitted: if tail >= old + 21 { 45 } else { 0 },
        cap_effective: if tail >= old + 29 { 46 } else { 0 },
        exe_upper_layer: tail >= 42,
        exe_ino: if tail >= 50 { 47 } else { 0 },
        exe_ino_ctime: if tail >= 58 { 48 } else { 0 },
        exe_ino_mtime: if tail >= 66 { 49 } else { 0 },
        exe_from_memfd: tail >= 67,
        exe_lower_layer: tail >= 68,
        pgid: if tail >= 76 { 50 } else { -1 },
    }
}

/// One process list entry of a version, byte by byte; version 9 with a tail of this many bytes.
fn thread_bytes(version: u8, tail: usize) -> Vec<u8> {
    let mut out = Vec::new();
    out.extend(11_u64.to_le_bytes()); // tid
    out.extend(12_u64.to_le_bytes()); // pid
    out.extend(13_u64.to_le_bytes()); // ptid
    if version >= 6 {
        out.extend(14_u64.to_le_bytes()); // sid
    }
    if version >= 8 {
        out.extend(15_u64.to_le_bytes()); // vpgid
    }
    out.extend(text(b"comm")); // comm
    out.extend(text(b"exe")); // exe
    if version >= 7 {
        out.extend(text(b"/bin/exe")); // exepath
    }
    out.extend(text(b"a\0b\0")); // args
    out.extend(text(b"/cwd")); // cwd
    out.extend(1024_i64.to_le_bytes()); // fdlimit
    out.extend(0x4000_0000_u32.to_le_bytes()); // flags: main thread
    out.extend(1000_u32.to_le_bytes()); // uid
    out.extend(1001_u32.to_le_bytes()); // gid
    if version >= 2 {
        out.extend([21_u32, 22, 23].iter().flat_map(|kib| kib.to_le_bytes())); // vmsize, vmrss, vmswap
        out.extend(24_u64.to_le_bytes()); // major faults
        out.extend(25_u64.to_le_bytes()); // minor faults
    }
    if version >= 3 {
        out.extend(text(b"E=1\0")); // env
    }
    if version >= 4 {
        out.extend(31_i64.to_le_bytes()); // vtid
        out.extend(32_i64.to_le_bytes()); // vpid
        out.extend(text(b"cpu=/x\0")); // cgroups
    }
    if version >= 5 {
        out.extend(text(b"/root")); // root
    }
    if version < 9 {
        return out;
    }
    let mut rest = Vec::new();
    if tail > 29 {
        rest.extend(41_u64.to_le_bytes()); // pidns init start time, inserted by libs 0.10
        rest.extend(42_u32.to_le_bytes()); // tty, likewise
    }
    rest.extend(43_u32.to_le_bytes()); // loginuid
    rest.push(1); // exe writable
    rest.extend([44_u64, 45, 46].iter().flat_map(|set| set.to_le_bytes())); // capabilities
    rest.push(1); // exe on the upper layer
    rest.extend([47_u64, 48, 49].iter().flat_map(|value| value.to_le_bytes())); // inode, ctime, mtime
    rest.push(1); // exe from memfd
    rest.push(1); // exe on the lower layer
    rest.extend(50_i64.to_le_bytes()); // pgid
    rest.extend([0xEE; 16]); // fields of the future
    out.extend(&rest[..tail]);
    let length = out.len() as u32 + 4; // the entry's length counts itself
    [length.to_le_bytes().to_vec(), out].concat()
}

#[test]
fn process_lists_of_all_versions() {
    let numbers: [(u32, u8); 12] = [
        (0x202, 1),
        (0x207, 2),
        (0x209, 3),
        (0x210, 4),
        (0x211, 5),
        (0x212, 6),
        (0x213, 7),
        (0x214, 8),
        (0x215, 9),
        (0x8000_ABCD, 1),
        (0x8013_ABCD, 2),
        (0x8014_ABCD, 3),
    ];
    for (number, version) in numbers {
        let tail = if version == 9 { 76 } else { 0 };
        let entry = thread_bytes(version, tail);
        let outcome = one(number, &[entry.clone(), entry].concat());
        assert!(outcome.clean(), "version {version}: {:?}", outcome.ledger);
        assert_eq!(outcome.items[1], Owned::Threads(vec![thread(version, tail); 2]), "version {version}");
    }
}

#[test]
fn process_list_tails_of_all_lengths() {
    // 0, 4, 5, 29: before libs 0.10. 66 to 76: after it. 92: fields that do not exist yet.
    for tail in [0, 4, 5, 29, 66, 67, 68, 76, 92] {
        let outcome = one(0x215, &thread_bytes(9, tail));
        assert!(outcome.clean());
        assert_eq!(outcome.items[1], Owned::Threads(vec![thread(9, tail)]), "tail {tail}");
    }
}

#[test]
fn a_damaged_process_entry_costs_only_itself() {
    let good = thread_bytes(9, 76);
    let mut bad = good.clone();
    bad[4 + 5 * 8] = 0xFF; // length of comm: beyond the entry
    bad[4 + 5 * 8 + 1] = 0xFF;
    let outcome = one(0x215, &[good.clone(), bad, good].concat());
    assert_eq!(outcome.count(Counter::DamagedSnapshotEntries), 1);
    assert_eq!(outcome.items[1], Owned::Threads(vec![thread(9, 76); 2]));
    // Without lengths, nothing behind a damaged entry can be found.
    let good = thread_bytes(5, 0);
    let mut bad = good.clone();
    bad[3 * 8 + 1] = 0xFF;
    let outcome = one(0x211, &[good.clone(), bad, good].concat());
    assert_eq!(outcome.count(Counter::DamagedSnapshotEntries), 1);
    assert_eq!(outcome.items[1], Owned::Threads(vec![thread(5, 0)]));
}

/// Descriptor, inode, type, payload.
fn fd_bytes(fd: i64, fd_type: u8, payload: &[u8]) -> Vec<u8> {
    [&fd.to_le_bytes(), &(fd as u64 + 100).to_le_bytes(), &[fd_type][..], payload].concat()
}

fn named(fd: i64, fd_type: u8, name: &[u8], open_flags: u32, dev: u32) -> FdEntry {
    FdEntry { fd, ino: fd as u64 + 100, fd_type, info: FdInfo::Named { name: name.to_vec(), open_flags, dev } }
}

#[test]
fn descriptor_lists_of_both_versions() {
    let flags = 0x41_u32.to_le_bytes();
    let tuple = [[10, 0, 0, 1], [10, 0, 0, 2], [0x90, 0x1F, 0xBB, 0x01]].concat(); // ports 8080 and 443, host order
    let entries = [
        fd_bytes(3, 1, &text(b"/old/file")),
        fd_bytes(4, 16, &[&flags[..], &text(b"/new/file")].concat()),
        fd_bytes(5, 3, &[&tuple[..], &[2]].concat()),
        fd_bytes(6, 8, &[&7_u64.to_le_bytes()[..], &8_u64.to_le_bytes(), &text(b"/run/s")].concat()),
    ];
    let mut expected = vec![
        named(3, 1, b"/old/file", 0, 0),
        named(4, 16, b"/new/file", 0x41, 0),
        FdEntry {
            fd: 5,
            ino: 105,
            fd_type: 3,
            info: FdInfo::V4 {
                sip: Ipv4Addr::new(10, 0, 0, 1),
                dip: Ipv4Addr::new(10, 0, 0, 2),
                sport: 8080,
                dport: 443,
                l4: 2,
            },
        },
        FdEntry {
            fd: 6,
            ino: 106,
            fd_type: 8,
            info: FdInfo::Unix { source: 7, destination: 8, path: b"/run/s".to_vec() },
        },
    ];
    let tid = 42_u64.to_le_bytes().to_vec();
    for number in [0x203, 0x8001_ABCD] {
        let outcome = one(number, &[tid.clone(), entries.concat()].concat());
        assert!(outcome.clean());
        assert_eq!(outcome.items[1], Owned::Fds(FdList { tid: 42, fds: expected.clone() }));
    }
    // Version 2: a length before each entry, a device in type 16, types of the future skipped by length.
    let with_length = |entry: &[u8]| [&(entry.len() as u32 + 4).to_le_bytes(), entry].concat();
    let mut body = tid;
    body.extend(entries.iter().flat_map(|entry| with_length(entry)));
    body.extend(with_length(&fd_bytes(7, 16, &[&flags[..], &text(b"/d"), &0x801_u32.to_le_bytes()].concat())));
    body.extend(with_length(&fd_bytes(8, 30, &[0xEE; 40])));
    body.extend(with_length(&fd_bytes(9, 20, &text(b"memfd:x"))));
    expected.push(named(7, 16, b"/d", 0x41, 0x801));
    expected.push(FdEntry { fd: 8, ino: 108, fd_type: 30, info: FdInfo::None });
    expected.push(named(9, 20, b"memfd:x", 0, 0));
    let outcome = one(0x218, &body);
    assert!(outcome.clean());
    assert_eq!(outcome.items[1], Owned::Fds(FdList { tid: 42, fds: expected }));
}

/// Interface entry: type code, name, whether the layout has a link speed.
fn interface_bytes(code: u16, name: &[u8], speed: Option<u64>) -> Vec<u8> {
    let width = if code % 2 == 1 { 4 } else { 16 };
    let mut out = code.to_le_bytes().to_vec();
    out.extend((name.len() as u16).to_le_bytes());
    out.extend([[1; 16], [2; 16], [3; 16]].iter().flat_map(|address| &address[..width]));
    out.extend(speed.iter().flat_map(|speed| speed.to_le_bytes()));
    out.extend(name);
    out
}

fn interface(code: u16, name: &[u8], link_speed: u64) -> Interface {
    let name = name.to_vec();
    if code % 2 == 1 {
        let [addr, netmask, broadcast] = [[1; 4], [2; 4], [3; 4]].map(Ipv4Addr::from);
        Interface::V4 { name, addr, netmask, broadcast, link_speed }
    } else {
        let [addr, netmask, broadcast] = [[1_u8; 16], [2; 16], [3; 16]].map(Into::into);
        Interface::V6 { name, addr, netmask, broadcast, link_speed }
    }
}

#[test]
fn interface_lists_of_both_versions_and_all_types() {
    let entries = [
        interface_bytes(1, b"eth0", Some(100)),
        interface_bytes(2, b"eth0", Some(100)),
        interface_bytes(3, b"lo", None),
        interface_bytes(4, b"lo", None),
    ];
    let expected =
        vec![interface(1, b"eth0", 100), interface(2, b"eth0", 100), interface(3, b"lo", 0), interface(4, b"lo", 0)];
    for number in [0x205, 0x8011_ABCD] {
        let outcome = one(number, &entries.concat());
        assert!(outcome.clean());
        assert_eq!(outcome.items[1], Owned::Interfaces(expected.clone()));
    }
    // Version 2: the length counts the bytes after itself.
    let counted: Vec<u8> =
        entries.iter().flat_map(|entry| [&(entry.len() as u32).to_le_bytes(), &entry[..]].concat()).collect();
    let outcome = one(0x219, &counted);
    assert!(outcome.clean());
    assert_eq!(outcome.items[1], Owned::Interfaces(expected));
}

#[test]
fn wrongly_sized_interface_lists_are_repaired() {
    // What libs writes when it turns a v1 list into v2: both block lengths four bytes per interface too small.
    for count in [1, 2, 5] {
        let entry = interface_bytes(1, b"eth0", Some(0));
        let entry = [&(entry.len() as u32).to_le_bytes(), &entry[..]].concat();
        let mut list = block(0x219, &entry.repeat(count));
        let claimed = ((list.len() - 4 * count) as u32).to_le_bytes();
        list[4..8].copy_from_slice(&claimed);
        let end = list.len();
        list[end - 4..].copy_from_slice(&claimed);
        let res = 0_i64.to_le_bytes();
        let event = ev(5, 1, ppme::PPME_SYSCALL_CLOSE_X, &[&res, &res]);
        let outcome = read(&[shb(), list, event].concat());
        assert!(outcome.clean(), "{count}: {:?}", outcome.ledger);
        assert_eq!(outcome.items[1], Owned::Interfaces(vec![interface(1, b"eth0", 0); count]));
        assert_eq!(outcome.events().len(), 1);
    }
}

#[test]
fn user_lists_of_both_versions() {
    let user =
        [&[0_u8][..], &7_u32.to_le_bytes(), &8_u32.to_le_bytes(), &text(b"u"), &text(b"/h"), &text(b"")].concat();
    let group = [&[1_u8][..], &9_u32.to_le_bytes(), &text(b"")].concat();
    let expected = vec![
        UserEntry::User { uid: 7, gid: 8, name: b"u".to_vec(), home: b"/h".to_vec(), shell: Vec::new() },
        UserEntry::Group { gid: 9, name: Vec::new() },
    ];
    for number in [0x206, 0x8012_ABCD] {
        let outcome = one(number, &[user.clone(), group.clone()].concat());
        assert!(outcome.clean());
        assert_eq!(outcome.items[1], Owned::Users(expected.clone()));
    }
    let with_length = |entry: &[u8]| [&(entry.len() as u32 + 4).to_le_bytes(), entry].concat();
    let outcome = one(0x220, &[with_length(&user), with_length(&group)].concat());
    assert!(outcome.clean());
    assert_eq!(outcome.items[1], Owned::Users(expected));
}

#[test]
fn machine_info_of_both_numbers() {
    let mut body = 4_u32.to_le_bytes().to_vec(); // cpus
    body.extend((1_u64 << 33).to_le_bytes()); // memory
    body.extend(0_u64.to_le_bytes()); // highest pid
    body.extend(b"host");
    body.resize(20 + 128, 0); // rest of the host name
    body.extend(77_u64.to_le_bytes()); // boot time
    body.extend([0; 24]); // flags, reserved
    for number in [0x201, 0x8002_ABCD] {
        let outcome = one(number, &body);
        assert!(matches!(&outcome.items[1], Owned::Machine(info)
            if info.hostname == b"host" && info.num_cpus == 4 && info.boot_ts == 77));
    }
    assert_eq!(one(0x201, &body[..100]).count(Counter::DamagedSnapshotEntries), 1);
}

#[test]
fn section_headers_with_options() {
    let mut options = vec![1, 0, 3, 0]; // comment of three bytes
    options.extend(b"abc\0");
    options.extend([2, 0, 1, 0, b'h', 0, 0, 0]); // hardware
    options.extend([0, 0, 0, 0]); // end
    for minor in [0, 1, 2, 3] {
        let outcome = read(&shb_with(1, minor, &options));
        let Owned::Section(section) = &outcome.items[0] else { panic!("{:?}", outcome.items) };
        assert_eq!((section.major, section.minor), (1, minor));
        assert_eq!(section.comments, [b"abc".to_vec()]);
    }
}

#[test]
fn concatenated_captures_run_on() {
    let close = |ts| ev(ts, 1, ppme::PPME_SYSCALL_CLOSE_X, &[&[0; 8], &[0; 8]]);
    let threads = block(0x215, &thread_bytes(9, 76));
    let part = |ts| [shb(), threads.clone(), close(ts)].concat();
    let outcome = read(&[part(10), part(5_000_000_000), part(20)].concat());
    assert_eq!(outcome.count(Counter::Sections), 2);
    assert_eq!(outcome.count(Counter::ClockSteps), 0, "another section is another recording");
    assert_eq!(outcome.events().iter().map(|event| event.num).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(outcome.items.iter().filter(|item| matches!(item, Owned::Threads(_))).count(), 3);
}

#[test]
fn unknown_blocks_are_skipped_anywhere() {
    let close = ev(1, 1, ppme::PPME_SYSCALL_CLOSE_X, &[&[0; 8], &[0; 8]]);
    let private = block(0x8000_0042, b"whatever this is");
    let outcome = read(&[shb(), private.clone(), close.clone(), private, close].concat());
    assert_eq!(outcome.count(Counter::UnknownBlocks), 2);
    assert_eq!(outcome.events().len(), 2);
}

#[test]
fn event_blocks_of_all_layouts() {
    let params: [&[u8]; 2] = [&[0; 8], &7_i64.to_le_bytes()];
    let id = ppme::PPME_SYSCALL_CLOSE_X.0;
    let layouts = [(0x204, false, None), (0x8010_ABCD, false, None), (0x216, true, None), (0x221, true, None)];
    let flagged = [(0x208, false, Some(1)), (0x217, true, Some(1)), (0x222, true, Some(1)), (0x217, true, Some(0))];
    for (number, counted, flags) in layouts.into_iter().chain(flagged) {
        let outcome = one(number, &event_body(9, 3, id, &params, counted, flags));
        assert!(outcome.clean(), "{number:x}");
        let event = outcome.events()[0].clone();
        assert_eq!(event.params, params.map(<[u8]>::to_vec), "{number:x}");
        assert_eq!((event.ts, event.tid, event.state_only), (9, 3, flags == Some(1)));
    }
}

#[test]
fn options_after_an_event_are_ignored() {
    let mut body = event_body(9, 3, ppme::PPME_SYSCALL_CLOSE_X.0, &[&[0; 8], &[1; 8]], true, None);
    body.resize(body.len().next_multiple_of(4), 0);
    body.extend([1, 0, 2, 0, b'h', b'i', 0, 0, 0, 0, 0, 0]);
    let outcome = one(0x216, &body);
    assert!(outcome.clean());
    assert_eq!(outcome.events()[0].params[1], [1; 8]);
}

#[test]
fn the_parameter_count_of_old_events_is_found() {
    let res = 0_i64.to_le_bytes();
    // read exit had two parameters, has four; open exit four, then five; generic exit one.
    let events = [
        (ev_v1(1, 1, ppme::PPME_SYSCALL_READ_X, &[&res, b"data"]), 2),
        (ev_v1(1, 1, ppme::PPME_SYSCALL_OPEN_X, &[&res, b"/x\0", &[0; 4], &[0; 4]]), 4),
        (ev_v1(1, 1, ppme::PPME_SYSCALL_OPEN_X, &[&res, b"/x\0", &[0; 4], &[0; 4], &[0; 4]]), 5),
        (ev_v1(1, 1, ppme::PPME_GENERIC_X, &[&[2, 0]]), 1),
        (ev_v1(1, 1, ppme::PPME_SYSCALL_CLOSE_X, &[&res, &res, b"future"]), 3),
        (ev_v1(1, -1, ppme::PPME_PROCINFO_E, &[&res, &res]), 2),
    ];
    for (block, count) in events {
        let outcome = read(&[shb(), block].concat());
        assert_eq!(outcome.count(Counter::DamagedEvents), 0);
        assert_eq!(outcome.events()[0].raw_nparams, count);
    }
}

#[test]
fn two_old_types_count_three_bytes_too_many() {
    let mut body = event_body(1, -1, ppme::PPME_NOTIFICATION_E.0, &[b"id\0", b"text\0"], false, None);
    let len = u32::from_le_bytes(body[18..22].try_into().unwrap()) + 3;
    body[18..22].copy_from_slice(&len.to_le_bytes());
    body.extend([0; 3]);
    let outcome = one(0x204, &body);
    assert_eq!(outcome.events()[0].params, [b"id\0".to_vec(), b"text\0".to_vec()]);
}
