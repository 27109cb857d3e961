//! `dump`: bytes with their meaning, and the pieces of the file itself.

use std::fs;

use casebook_formats::cli::Exit;
use casebook_formats::snapshot::{MachineInfo, ThreadEntry};
use casebook_formats::tables::ppme;
use casebook_formats::write::CaptureWriter;

use crate::tool::{casebook, path};

/// Compares a page with its golden file; `CASEBOOK_BLESS=1` writes it anew: read it before it is committed.
fn assert_golden(name: &str, page: &str) {
    let golden = format!("{}/tests/{name}.golden", env!("CARGO_MANIFEST_DIR"));
    if std::env::var_os("CASEBOOK_BLESS").is_some() {
        fs::write(&golden, page).unwrap();
    }
    assert_eq!(page, fs::read_to_string(golden).unwrap());
    assert!(!page.contains('\u{1b}'));
}

/// All bytes that a page shows, in its order.
fn bytes_shown(page: &str) -> Vec<u8> {
    let hex = |line: &str| {
        line[10..].char_indices().nth(24).map_or(line[10..].to_owned(), |(end, _)| line[10..10 + end].to_owned())
    };
    let lines = page.lines().filter(|line| line.len() > 10).map(hex);
    lines
        .flat_map(|hex| hex.split_whitespace().filter_map(|byte| u8::from_str_radix(byte, 16).ok()).collect::<Vec<_>>())
        .collect()
}

/// One block of each kind, with entries of every shape.
fn everything() -> Vec<u8> {
    use casebook_formats::snapshot::{FdEntry, FdInfo, FdList, Interface, UserEntry};
    let mut writer = CaptureWriter::new(Vec::new());
    writer.section().unwrap();
    let hostname = b"web\x1b[31m-1".to_vec();
    writer.machine(&MachineInfo { num_cpus: 8, memory: 1 << 34, max_pid: 9, hostname, boot_ts: 1 }).unwrap();
    let (name, v4) = (b"eth0".to_vec(), [10, 0, 0, 1].into());
    let [addr, netmask, broadcast] = [[0xFE; 16], [0xFF; 16], [0; 16]].map(Into::into);
    let v6 = Interface::V6 { name: b"lo".to_vec(), addr, netmask, broadcast, link_speed: 0 };
    writer.interfaces(&[Interface::V4 { name, addr: v4, netmask: v4, broadcast: v4, link_speed: 1000 }, v6]).unwrap();
    let user = UserEntry::User {
        uid: 33,
        gid: 33,
        name: b"www".to_vec(),
        home: b"/var/www".to_vec(),
        shell: b"/bin/sh".to_vec(),
    };
    writer.users(&[user, UserEntry::Group { gid: 33, name: b"www".to_vec() }]).unwrap();
    let (args, cgroups) = (b"-c\0id\0".to_vec(), b"cpu=/a\0memory=/b\0".to_vec());
    writer
        .threads(&[ThreadEntry { tid: 7, pid: 7, comm: b"sh".to_vec(), args, cgroups, ..ThreadEntry::default() }])
        .unwrap();
    let named = |name: &[u8]| FdInfo::Named { name: name.to_vec(), open_flags: 0, dev: 0 };
    let infos = [
        (16, FdInfo::Named { name: b"/etc/passwd".to_vec(), open_flags: 1, dev: 0xFE00 }),
        (3, FdInfo::V4 { sip: v4, dip: v4, sport: 40000, dport: 443, l4: 2 }),
        (4, FdInfo::V6 { sip: addr, dip: addr, sport: 1, dport: 53, l4: 3 }),
        (5, FdInfo::V4Server { ip: v4, port: 80, l4: 2 }),
        (6, FdInfo::V6Server { ip: addr, port: 80, l4: 2 }),
        (8, FdInfo::Unix { source: 0xFFFF_8880_0000_0000, destination: 0, path: b"/run/x".to_vec() }),
        (12, named(b"")),
        (2, named(b"/tmp")),
    ];
    let fds = infos.into_iter().zip(0..).map(|((fd_type, info), fd)| FdEntry { fd, ino: 5, fd_type, info }).collect();
    writer.fds(&FdList { tid: 7, fds }).unwrap();
    let (fd, flags) = ((-2_i64).to_le_bytes(), 4097_u32.to_le_bytes());
    let params: [&[u8]; 4] = [&fd, b"/etc/\x1bpasswd\0", &flags, &[]];
    writer.event(951_782_400_000_000_001, 7, 3, ppme::PPME_SYSCALL_OPEN_X, &params).unwrap();
    writer.into_inner().unwrap()
}

#[test]
fn dump_shows_bytes_and_meaning() {
    let folder = tempfile::tempdir().unwrap();
    let file = path(folder.path(), "a.scap");
    fs::write(&file, everything()).unwrap();
    let ran = casebook(&["dump", &file]);
    assert_eq!((ran.exit, ran.err.as_str()), (Exit::Complete, ""));
    assert_golden("dump", ran.text());
    assert!(!ran.text().contains("does not fit") && !ran.text().contains("damaged"), "layouts and writer agree");
    let first = casebook(&["dump", "-n", "1", &file]);
    assert!(ran.text().starts_with(first.text()) && first.text().lines().count() == 8, "{}", first.text());
    let raw = casebook(&["dump", "--raw", &file]);
    assert!(raw.out.len() > ran.out.len() && !raw.text().contains("more bytes"));
    assert_eq!(bytes_shown(raw.text()), fs::read(&file).unwrap(), "every byte, in order");
    // Lists that do not fit are shown all the same.
    for at in (28..1100).step_by(3) {
        let mut damaged = everything();
        let Some(byte) = damaged.get_mut(at) else { break };
        *byte ^= 0xFF;
        fs::write(&file, &damaged).unwrap();
        let raw = casebook(&["dump", "--raw", &file]);
        assert!(matches!(raw.exit, Exit::Complete | Exit::Incomplete), "byte {at}");
        let shown = bytes_shown(raw.text());
        assert!(
            raw.exit == Exit::Incomplete || raw.text().contains("passed over") || shown == damaged,
            "byte {at}: {} {}",
            raw.err,
            raw.text()
        );
    }
}

#[test]
fn dump_shows_the_pieces_of_the_file_itself() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name| path(folder.path(), name);
    fs::write(at("a.scap"), everything()).unwrap();
    casebook(&["convert", &at("a.scap"), "-o", &at("a.zst"), "--by", "J. D\x1boe", "--at", "2026-11-22T09:30:00Z"]);
    let ran = casebook(&["dump", "--pieces", &at("a.zst")]);
    assert_eq!((ran.exit, ran.err.as_str()), (Exit::Complete, ""));
    // Compressed bytes, and all that depends on them, may change with the version of zstd; the rest of the page may not.
    let meanings: Vec<&str> = ran.text().lines().filter_map(|line| line.get(36..)).collect();
    for meaning in [
        "data frame 0: zstd, ",
        "frame record: skippable frame",
        "events: 1",
        "types: 3",
        "custody entry: skippable frame",
        "operation: \"convert\"",
        "by: \"J. D\\x1boe\"",
        "at: 1795339800000000000 = 2026-11-22 09:30:00.000000000 UTC",
        "entry 0, stands alone: 1",
        "frames: 1",
        "entries: 5",
    ] {
        assert!(meanings.iter().any(|line| line.starts_with(meaning)), "{meaning} not in {}", ran.text());
    }
    assert!(!ran.text().contains("not in the layout") && !ran.text().contains('\u{1b}'), "{}", ran.text());
    let raw = casebook(&["dump", "--pieces", "--raw", &at("a.zst")]);
    assert_eq!(bytes_shown(raw.text()), fs::read(at("a.zst")).unwrap(), "every byte, in order");
    assert_eq!(casebook(&["dump", "--pieces", "-n", "2", &at("a.zst")]).text().matches("\n\n").count(), 2);
    // Damage in any place is shown and survived.
    let file = fs::read(at("a.zst")).unwrap();
    for place in (0..file.len()).step_by(7) {
        let mut damaged = file.clone();
        damaged[place] ^= 0xFF;
        fs::write(at("b.zst"), &damaged).unwrap();
        let raw = casebook(&["dump", "--pieces", "--raw", &at("b.zst")]);
        assert_eq!(bytes_shown(raw.text()), damaged, "byte {place}");
    }
    assert_eq!(casebook(&["dump", "--pieces", &at("a.scap")]).exit, Exit::Unreadable);
}
