//! Both ways to a snapshot, of the same processes at the same time: they have to tell the same.
#![allow(clippy::unwrap_used)] // a failing test may panic

use std::io::Write;
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsRawFd;
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::process::{Command, Stdio};

use casebook_formats::snapshot::{FdEntry, FdInfo};

use super::*;
use crate::calls::Calls;
use crate::probe::Settings;

/// A loaded kernel side, or `None` after saying why there is none.
fn probe() -> Option<Probe> {
    let calls = Calls::new();
    let mut filters = Filters::default();
    // Nothing has to be recorded.
    filters.comm("casebook-nobody").unwrap();
    let settings = Settings { snaplen: 0, ring_bytes: 1 << 20, wanted: BTreeSet::new(), filters };
    match Probe::start(&calls, &settings) {
        Ok((probe, _)) => Some(probe),
        Err(error) if error.to_string().contains("not permitted") || error.to_string().contains("/sys/kernel/btf") => {
            writeln!(std::io::stderr().lock(), "SKIPPED: eBPF is not permitted here: {error}").unwrap();
            None
        }
        Err(error) => panic!("{error}"),
    }
}

/// What both ways can know of a thread: memory and faults change between them, layers of overlays, the clock's
/// fractions, and which thread of the parent it was are not in `/proc`.
fn comparable(mut thread: ThreadEntry) -> ThreadEntry {
    if Path::new(&format!("/proc/self/task/{}", thread.ptid)).exists() {
        thread.ptid = i64::from(std::process::id());
    }
    thread.vm_size = 0;
    thread.vm_rss = 0;
    thread.vm_swap = 0;
    thread.pf_major = 0;
    thread.pf_minor = 0;
    thread.exe_upper_layer = false;
    thread.exe_lower_layer = false;
    // A boot that is a few seconds ago has its first ticks in it.
    thread.pidns_init_start_ts /= 1_000_000_000;
    thread
}

/// Kernel addresses are not in `/proc`; `O_CLOEXEC` (of the descriptor, not of the file) is only there.
fn without_addresses(mut entry: FdEntry) -> FdEntry {
    match &mut entry.info {
        FdInfo::Unix { source, destination, .. } => (*source, *destination) = (0, 0),
        FdInfo::Named { open_flags, .. } => *open_flags &= !4096,
        _ => {}
    }
    entry
}

#[test]
fn proc_and_the_iterators_tell_the_same() {
    let Some(mut probe) = probe() else { return };
    let folder = tempfile::tempdir().unwrap();
    let file = std::fs::File::create(folder.path().join("a file")).unwrap();
    let gone = std::fs::File::create(folder.path().join("gone")).unwrap();
    std::fs::remove_file(folder.path().join("gone")).unwrap();
    let directory = std::fs::File::open(folder.path()).unwrap();
    let (reader, writer) = std::io::pipe().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (server, _) = listener.accept().unwrap();
    let six = TcpListener::bind("[::1]:0").ok();
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    let unix = UnixListener::bind(folder.path().join("so cket")).unwrap();
    let unnamed = UnixDatagram::unbound().unwrap();
    let mut held = vec![
        file.as_raw_fd(),
        gone.as_raw_fd(),
        directory.as_raw_fd(),
        reader.as_raw_fd(),
        writer.as_raw_fd(),
        listener.as_raw_fd(),
        client.as_raw_fd(),
        server.as_raw_fd(),
        udp.as_raw_fd(),
        unix.as_raw_fd(),
        unnamed.as_raw_fd(),
    ];
    held.extend(six.iter().map(AsRawFd::as_raw_fd));
    let mut child = Command::new("/bin/sleep")
        .args(["1000", "0"])
        .env_clear()
        .env("MARK", "casebook")
        .current_dir(folder.path())
        .stdin(std::fs::File::open("/dev/null").unwrap())
        .stdout(file.try_clone().unwrap())
        .stderr(Stdio::from(writer.try_clone().unwrap()))
        .spawn()
        .unwrap();
    // Once the program runs, nothing of it changes any more.
    let mut looks = 0;
    while std::fs::read(format!("/proc/{}/cmdline", child.id())).unwrap() != b"/bin/sleep\x001000\x000\0"
        || !std::fs::read_to_string(format!("/proc/{}/stat", child.id())).unwrap().contains(" S ")
    {
        assert!(child.try_wait().unwrap().is_none() && looks < 60_000, "it sleeps");
        looks += 1;
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    let filters = Filters::default();
    let told = BTreeSet::new();
    let mut take = |from_proc| {
        let boot = crate::sys::boot_time();
        let scope = Scope { filters: &filters, at: crate::sys::since_boot(), boot, told: &told, from_proc };
        Snapshot::take(&mut probe, &scope)
    };
    let (kernel, proc) = (take(false), take(true));
    let tid = i64::from(child.id());
    child.kill().unwrap();
    child.wait().unwrap();
    if let Listed::Refused(why) = &kernel.listed {
        writeln!(std::io::stderr().lock(), "SKIPPED: this kernel has no iterators: {why}").unwrap();
        return;
    }
    assert_eq!((&kernel.listed, &proc.listed), (&Listed::Kernel, &Listed::Proc));

    let thread = |snapshot: &Snapshot| {
        let mut found = snapshot.threads.iter().filter(|thread| thread.tid == tid);
        let thread = comparable(found.next().unwrap().clone());
        assert!(found.next().is_none(), "once");
        thread
    };
    let of_child = thread(&proc);
    assert_eq!(of_child, thread(&kernel));
    assert_eq!((&*of_child.comm, &*of_child.args), (&b"sleep"[..], &b"1000\x000\0"[..]));
    assert_eq!(of_child.cwd, folder.path().as_os_str().as_encoded_bytes());

    let table = |snapshot: &Snapshot, tid: i64| -> BTreeMap<i64, FdEntry> {
        let list = snapshot.fds.iter().find(|list| list.tid == tid).unwrap();
        list.fds.iter().map(|entry| (entry.fd, without_addresses(entry.clone()))).collect()
    };
    assert_eq!(table(&proc, tid), table(&kernel, tid));
    assert!(table(&proc, tid).len() >= 3);
    // Other tests of this process open and close descriptors: ours stay.
    let (mut by_kernel, mut by_proc) =
        (table(&kernel, i64::from(std::process::id())), table(&proc, i64::from(std::process::id())));
    for fd in held {
        let fd = i64::from(fd);
        let (by_kernel, by_proc) = (by_kernel.remove(&fd).unwrap(), by_proc.remove(&fd).unwrap());
        assert_eq!(by_proc, by_kernel);
    }

    // Whoever is in one and lives on is in the other.
    let alive = |tid: &i64| Path::new(&format!("/proc/{tid}/task/{tid}")).exists();
    let mains = |snapshot: &Snapshot| -> BTreeMap<i64, Vec<u8>> {
        let mains = snapshot.threads.iter().filter(|thread| thread.tid == thread.pid);
        mains.map(|thread| (thread.tid, thread.comm.clone())).collect()
    };
    let (of_kernel, of_proc) = (mains(&kernel), mains(&proc));
    let only_kernel: Vec<_> =
        of_kernel.keys().filter(|tid| !of_proc.contains_key(tid)).filter(|tid| alive(tid)).collect();
    assert_eq!(only_kernel, [&0; 0]);
    let me = i64::from(std::process::id());
    assert_eq!(of_proc.get(&me), of_kernel.get(&me));
}
