//! The tool `casebook` run within a test, and captures for it.

#![allow(dead_code)] // each test takes what it needs
#![allow(unreachable_pub)] // a module of several tests

use std::path::Path;

use casebook_formats::cli::{Exit, run_to};
use casebook_formats::snapshot::{MachineInfo, ThreadEntry, UserEntry};
use casebook_formats::tables::ppme;
use casebook_formats::write::CaptureWriter;
use serde_json::Value;

/// What a run came to.
#[derive(Debug)]
pub struct Ran {
    pub exit: Exit,
    pub out: Vec<u8>,
    pub err: String,
}

impl Ran {
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.out).unwrap()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.out).unwrap()
    }
}

pub fn casebook(args: &[&str]) -> Ran {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let exit = run_to(["casebook"].iter().chain(args), &mut out, &mut err);
    Ran { exit, out, err: String::from_utf8(err).unwrap() }
}

/// A capture with a hostile host name.
pub fn capture(events: u64) -> Vec<u8> {
    let mut writer = CaptureWriter::new(Vec::new());
    writer.section().unwrap();
    let hostname = b"web\x1b[31m-1".to_vec();
    writer.machine(&MachineInfo { num_cpus: 8, memory: 1 << 34, max_pid: 0, hostname, boot_ts: 0 }).unwrap();
    let user = |uid| UserEntry::User { uid, gid: 0, name: b"u".to_vec(), home: Vec::new(), shell: Vec::new() };
    writer.users(&[user(0), user(1), UserEntry::Group { gid: 0, name: b"g".to_vec() }]).unwrap();
    let thread = |tid, pid| ThreadEntry { tid, pid, ..ThreadEntry::default() };
    writer.threads(&[thread(1, 1), thread(7, 7), thread(8, 7)]).unwrap();
    for n in 0..events {
        let (res, fd) = (0_i64.to_le_bytes(), n.to_le_bytes());
        let etype = if n % 4 == 0 { ppme::PPME_SYSCALL_CLOSE_X } else { ppme::PPME_SYSCALL_FCHDIR_X };
        writer.event(951_782_400_000_000_000 + n * 1_000_000, 7 + (n % 2) as i64, 0, etype, &[&res, &fd]).unwrap();
    }
    writer.into_inner().unwrap()
}

pub fn path(folder: &Path, name: &str) -> String {
    folder.join(name).to_str().unwrap().to_owned()
}
