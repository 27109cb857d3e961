//! The few things that the standard library has no word for: clocks, signals, capabilities, network
//! interfaces, and a command that waits at its start. All `unsafe` of this crate is here, block by block.
#![allow(unsafe_code)] // see above: each block says why it is sound
#![allow(clippy::cast_ptr_alignment)] // addresses are read unaligned

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use casebook_formats::snapshot::Interface;

/// SIGINT or SIGTERM arrived.
static STOP: AtomicBool = AtomicBool::new(false);
/// SIGUSR1 arrived.
static DUMP: AtomicBool = AtomicBool::new(false);

extern "C" fn on_signal(signal: libc::c_int) {
    let flag = if signal == libc::SIGUSR1 { &DUMP } else { &STOP };
    flag.store(true, Ordering::Relaxed);
}

fn handle(signal: libc::c_int, handler: usize, flags: libc::c_int) {
    // SAFETY: a zeroed sigaction is a valid one (empty mask, no flags); the handlers given below are the system's own or
    // only store to an atomic, which is safe in a signal handler.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = handler;
        action.sa_flags = flags;
        libc::sigaction(signal, &raw const action, std::ptr::null_mut());
    }
}

/// From now on SIGINT and SIGTERM ask for a proper end instead of ending the process; the second one ends it, for the
/// case that a pipe takes nothing any more. A file that must not grow gives an error instead of ending the process.
/// `dumps`: SIGUSR1 asks for a file of what is in memory.
pub(crate) fn catch_signals(dumps: bool) {
    let handler = on_signal as *const () as usize;
    for signal in [libc::SIGINT, libc::SIGTERM] {
        handle(signal, handler, libc::SA_RESETHAND);
    }
    handle(libc::SIGXFSZ, libc::SIG_IGN, 0);
    if dumps {
        handle(libc::SIGUSR1, handler, libc::SA_RESTART);
    }
}

/// Was a file of what is in memory asked for, since the last call?
pub(crate) fn dump_wanted() -> bool {
    DUMP.swap(false, Ordering::Relaxed)
}

/// A format of strftime, filled with a time in seconds since the epoch, as it is called here.
pub(crate) fn local_time(format: &[u8], at: i64) -> io::Result<Vec<u8>> {
    const LONGEST: usize = 4096;
    let format = std::ffi::CString::new(format)?;
    let mut text = vec![0u8; LONGEST];
    // SAFETY: `parts` is valid for writing and zeroed, which is a valid tm; strftime writes at most `text.len()` bytes
    // and reads format up to its NUL.
    let written = unsafe {
        let mut parts: libc::tm = std::mem::zeroed();
        if libc::localtime_r(&raw const at, &raw mut parts).is_null() {
            return Err(io::Error::last_os_error());
        }
        libc::strftime(text.as_mut_ptr().cast(), text.len(), format.as_ptr(), &raw const parts)
    };
    if written == 0 {
        return Err(io::Error::other("the name that the time gives is empty or too long"));
    }
    text.truncate(written);
    Ok(text)
}

/// Was the process asked to end?
pub(crate) fn stopped() -> bool {
    STOP.load(Ordering::Relaxed)
}

fn clock(id: libc::clockid_t) -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is valid for writing, and the clocks asked for exist on every kernel that can record.
    unsafe { libc::clock_gettime(id, &raw mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// ns since boot, suspended time included: the kernel side's clock.
pub(crate) fn since_boot() -> u64 {
    clock(libc::CLOCK_BOOTTIME)
}

/// When the machine was booted, ns since the epoch, by today's clock: what turns the kernel side's times into dates.
/// Taken once, so that a clock that is set while recording does not tear the recording.
pub(crate) fn boot_time() -> u64 {
    // The narrower the interval between the readings, the better: the best of a few.
    let reading = || {
        let before = since_boot();
        let now = clock(libc::CLOCK_REALTIME);
        let after = since_boot();
        (after - before, now - before.midpoint(after))
    };
    (0..8).map(|_| reading()).min().map_or(0, |(_, boot)| boot)
}

/// CPU time that this process has used, ns.
pub(crate) fn cpu_used() -> u64 {
    clock(libc::CLOCK_PROCESS_CPUTIME_ID)
}

/// Lets the process lock as much memory as it likes; kernels before 5.11 charge eBPF maps to that limit.
pub(crate) fn raise_memlock() {
    let limit = libc::rlimit { rlim_cur: libc::RLIM_INFINITY, rlim_max: libc::RLIM_INFINITY };
    // SAFETY: `limit` is valid for reading. A refusal shows when maps are made.
    unsafe { libc::setrlimit(libc::RLIMIT_MEMLOCK, &raw const limit) };
}

const CAP_DAC_OVERRIDE: u64 = 1 << 1;
const CAP_DAC_READ_SEARCH: u64 = 1 << 2;
const CAP_SYS_PTRACE: u64 = 1 << 19;
const CAP_SYS_ADMIN: u64 = 1 << 21;
const CAP_PERFMON: u64 = 1 << 38;
const CAP_BPF: u64 = 1 << 39;

#[repr(C)]
struct CapHeader {
    version: u32,
    pid: i32,
}

#[repr(C)]
#[derive(Clone, Copy, Default)]
struct CapData {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

/// Version 3 of the interface: 64 bits in two structures.
const CAP_VERSION: u32 = 0x2008_0522;

/// Keeps what reading the ring and the counters, and the files of containers, needs, and gives up every other
/// capability of the calling thread, and of those it starts later. Where the kernel knows no finer ones,
/// `CAP_SYS_ADMIN` stays.
pub(crate) fn drop_capabilities() -> io::Result<()> {
    keep_capabilities(|have| {
        let fine = CAP_BPF | CAP_PERFMON;
        let needed = if have & fine == fine { fine } else { CAP_SYS_ADMIN };
        needed | CAP_DAC_READ_SEARCH | CAP_SYS_PTRACE
    })
}

/// Keeps what making further files in somebody's folder needs. A refusal leaves the thread as it was.
pub(crate) fn drop_for_writing() {
    let _ = keep_capabilities(|_| CAP_DAC_OVERRIDE);
}

/// Gives up all capabilities of the calling thread that `needed` does not name of those it has.
fn keep_capabilities(needed: impl Fn(u64) -> u64) -> io::Result<()> {
    let mut header = CapHeader { version: CAP_VERSION, pid: 0 };
    let mut data = [CapData::default(); 2];
    // SAFETY: header and two data structures as version 3 demands, valid for reading and writing.
    if unsafe { libc::syscall(libc::SYS_capget, &raw mut header, data.as_mut_ptr()) } != 0 {
        return Err(io::Error::last_os_error());
    }
    let have = u64::from(data[0].permitted) | u64::from(data[1].permitted) << 32;
    let keep = have & needed(have);
    for (word, data) in data.iter_mut().enumerate() {
        let bits = (keep >> (word * 32)) as u32;
        *data = CapData { effective: bits, permitted: bits, inheritable: 0 };
    }
    // SAFETY: as above; the kernel only reads.
    if unsafe { libc::syscall(libc::SYS_capset, &raw mut header, data.as_ptr()) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// A command that was started and waits before its exec.
pub(crate) struct Waiting {
    /// Its process id.
    pub pid: u32,
    gate: io::PipeWriter,
    child: JoinHandle<io::Result<Child>>,
}

/// Starts a command up to the point before its exec: it is to be recorded from its first instruction on.
pub(crate) fn start_waiting(mut command: Command) -> io::Result<Waiting> {
    let (mut told, mut tell) = io::pipe()?;
    let (mut wait, gate) = io::pipe()?;
    // SAFETY: between fork and exec the closure makes two system calls on descriptors of its own and asks for its
    // number; it allocates nothing and takes no lock.
    unsafe {
        command.pre_exec(move || {
            tell.write_all(&std::process::id().to_le_bytes())?;
            wait.read_exact(&mut [0])
        });
    }
    // `spawn` comes back after the exec, hence the thread.
    let child = std::thread::Builder::new().name("casebook".to_owned()).spawn(move || command.spawn())?;
    let mut pid = [0; 4];
    told.read_exact(&mut pid)?;
    Ok(Waiting { pid: u32::from_le_bytes(pid), gate, child })
}

impl Waiting {
    /// Lets it run.
    pub(crate) fn release(mut self) -> io::Result<Child> {
        self.gate.write_all(&[1])?;
        drop(self.gate);
        self.child.join().map_err(|_| io::Error::other("the thread that started the command panicked"))?
    }
}

/// Tells of folders that appear in others.
pub(crate) struct Watcher(std::fs::File);

impl Watcher {
    pub(crate) fn new() -> io::Result<Self> {
        use std::os::fd::FromRawFd;
        // SAFETY: a call without pointers; a descriptor that it returns belongs to nobody else.
        unsafe {
            let fd = libc::inotify_init1(libc::IN_NONBLOCK | libc::IN_CLOEXEC);
            if fd < 0 { Err(io::Error::last_os_error()) } else { Ok(Self(std::fs::File::from_raw_fd(fd))) }
        }
    }

    /// Watches a folder from here on; its number.
    pub(crate) fn add(&self, folder: &std::path::Path) -> io::Result<i32> {
        use std::os::fd::AsRawFd;
        use std::os::unix::ffi::OsStrExt;
        let path = std::ffi::CString::new(folder.as_os_str().as_bytes())?;
        let mask = libc::IN_CREATE | libc::IN_MOVED_TO | libc::IN_ONLYDIR;
        // SAFETY: the path ends with NUL and lives through the call.
        let watch = unsafe { libc::inotify_add_watch(self.0.as_raw_fd(), path.as_ptr(), mask) };
        if watch < 0 { Err(io::Error::last_os_error()) } else { Ok(watch) }
    }

    /// Folders that appeared: the number of the one they are in, and their names.
    pub(crate) fn events(&mut self) -> Vec<(i32, std::ffi::OsString)> {
        use std::os::unix::ffi::OsStrExt;
        /// watch, mask, cookie, length of the name
        const HEAD: usize = 16;
        let (mut found, mut buffer) = (Vec::new(), [0; 1 << 13]);
        while let Ok(len @ 1..) = self.0.read(&mut buffer) {
            let mut rest = &buffer[..len];
            while let Some((head, after)) = rest.split_first_chunk::<HEAD>() {
                let word = |at: usize| u32::from_ne_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
                let Some((name, next)) = after.split_at_checked(word(12) as usize) else { break };
                let name = name.split(|&byte| byte == 0).next().unwrap_or_default();
                if word(4) & libc::IN_ISDIR != 0 && !name.is_empty() {
                    found.push((word(0) as i32, std::ffi::OsStr::from_bytes(name).to_owned()));
                }
                rest = next;
            }
        }
        found
    }
}

/// Name of the protocol of the socket that a path in `/proc/PID/fd` leads to, as the kernel tells it.
pub(crate) fn socket_protocol(path: &std::path::Path) -> Option<String> {
    let path = std::ffi::CString::new(path.as_os_str().as_encoded_bytes()).ok()?;
    let mut name = [0u8; 64];
    // SAFETY: path and attribute name end with NUL; `name` is valid for writing its length.
    let len = unsafe {
        libc::getxattr(path.as_ptr(), c"system.sockprotoname".as_ptr(), name.as_mut_ptr().cast(), name.len())
    };
    let name = name.get(..usize::try_from(len).ok()?)?;
    Some(String::from_utf8_lossy(name).trim_end_matches('\0').to_owned())
}

/// Addresses of the machine's network interfaces.
pub(crate) fn interfaces() -> Vec<Interface> {
    let mut first: *mut libc::ifaddrs = std::ptr::null_mut();
    // SAFETY: `first` is valid for writing; on success it owns a list that is freed below.
    if unsafe { libc::getifaddrs(&raw mut first) } != 0 {
        return Vec::new();
    }
    let mut found = Vec::new();
    let mut at = first;
    // SAFETY: the list's entries, names and addresses live until freeifaddrs; each is read before the next is asked
    // for, addresses only in the form that their family says.
    unsafe {
        while let Some(entry) = at.as_ref() {
            let name = std::ffi::CStr::from_ptr(entry.ifa_name).to_bytes().to_vec();
            found.extend(interface(entry, name));
            at = entry.ifa_next;
        }
        libc::freeifaddrs(first);
    }
    found
}

/// One address.
///
/// # Safety
/// The pointers of `entry` are null or point to addresses as getifaddrs makes them.
unsafe fn interface(entry: &libc::ifaddrs, name: Vec<u8>) -> Option<Interface> {
    let v4 = |address: *const libc::sockaddr| {
        // SAFETY: an address of the family AF_INET is a sockaddr_in; netmask and broadcast are of the same family.
        // Read without asking for its alignment, which a sockaddr does not promise.
        let address = (!address.is_null()).then(|| unsafe { address.cast::<libc::sockaddr_in>().read_unaligned() });
        address.map_or(Ipv4Addr::UNSPECIFIED, |address| Ipv4Addr::from(u32::from_be(address.sin_addr.s_addr)))
    };
    let v6 = |address: *const libc::sockaddr| {
        // SAFETY: as above, with sockaddr_in6.
        let address = (!address.is_null()).then(|| unsafe { address.cast::<libc::sockaddr_in6>().read_unaligned() });
        address.map_or(Ipv6Addr::UNSPECIFIED, |address| Ipv6Addr::from(address.sin6_addr.s6_addr))
    };
    // SAFETY: null or valid, by the contract; every address begins with its family.
    let family = i32::from(unsafe { entry.ifa_addr.as_ref() }?.sa_family);
    match family {
        libc::AF_INET => Some(Interface::V4 {
            name,
            addr: v4(entry.ifa_addr),
            netmask: v4(entry.ifa_netmask),
            broadcast: v4(entry.ifa_ifu),
            link_speed: 0,
        }),
        libc::AF_INET6 => Some(Interface::V6 {
            name,
            addr: v6(entry.ifa_addr),
            netmask: v6(entry.ifa_netmask),
            broadcast: Ipv6Addr::UNSPECIFIED,
            link_speed: 0,
        }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a failing test may panic

    use super::*;

    #[test]
    fn clocks_go_on_and_agree() {
        let first = since_boot();
        assert!(since_boot() >= first);
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos() as u64;
        let ours = boot_time() + since_boot();
        assert!(now.abs_diff(ours) < 1_000_000_000, "{now} {ours}");
    }

    #[test]
    fn a_command_waits_until_it_is_released() {
        let folder = tempfile::tempdir().unwrap();
        let mark = folder.path().join("mark");
        let mut command = Command::new("/usr/bin/touch");
        command.arg(&mark);
        let waiting = start_waiting(command).unwrap();
        assert!(std::path::Path::new(&format!("/proc/{}", waiting.pid)).exists());
        std::thread::sleep(std::time::Duration::from_millis(20));
        assert!(!mark.exists());
        let mut child = waiting.release().unwrap();
        assert!(child.wait().unwrap().success());
        assert!(mark.exists());
    }

    #[test]
    fn the_loopback_interface_is_there() {
        let local = interfaces()
            .into_iter()
            .any(|interface| matches!(interface, Interface::V4 { addr, .. } if addr.is_loopback()));
        assert!(local);
    }
}
