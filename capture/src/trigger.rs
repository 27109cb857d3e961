//! What makes the flight recorder write: `--trigger KIND:WHAT`, matched against records as they arrive.
//!
//! | word | is true of |
//! |---|---|
//! | `exec:FILE` | a program that was started; FILE is the file that runs, symbolic links resolved |
//! | `open:FILE` | a file that was opened, by the name it really has |
//! | `write:FILE` | the same, opened for writing |
//! | `connect:ADDRESS` | an attempt to connect a socket; `10.0.0.0/8:443`, `*:4444`, `[::1]`, `/run/docker.sock` |
//! | `bind:ADDRESS` | an attempt to bind one |
//! | `call:NAME` | a call of that name that succeeded, such as `ptrace` |
//! | `crash` | a process that a fault ended (`SIGSEGV`, `SIGABRT`, `SIGILL`, `SIGBUS`, `SIGFPE`, `SIGSYS`) |
//!
//! FILE may hold `*` (any number of any characters) and `?` (one); without a `/` it is compared with the last part of
//! the path. What the recording does not hold, by its filters, triggers nothing.

use std::collections::BTreeSet;
use std::net::IpAddr;

use crate::calls::named;
use crate::record::{Item, Kind, LAST, Record};

/// Why a trigger cannot be used.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum TriggerError {
    #[error(
        "--trigger {0}: not one of exec:FILE, open:FILE, write:FILE, connect:ADDRESS, bind:ADDRESS, call:NAME, crash"
    )]
    Kind(String),
    #[error("--trigger {0}: no such call")]
    Call(String),
    #[error(
        "--trigger {0}: no address: expected IP, IP/BITS or *, each with :PORT or without, or the path of a socket"
    )]
    Address(String),
}

const OPENS: [&str; 5] = ["open", "openat", "openat2", "open_by_handle_at", "creat"];

#[derive(Debug, Clone)]
enum What {
    Exec(Glob),
    Open(Glob, bool),
    Address(u16, Address),
    Call(BTreeSet<u16>),
    Crash,
}

/// One `--trigger`.
#[derive(Debug, Clone)]
pub(crate) struct Trigger {
    text: String,
    what: What,
}

/// All of them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Triggers {
    all: Vec<Trigger>,
    opens: BTreeSet<u16>,
}

impl Triggers {
    pub(crate) fn parse(texts: &[String]) -> Result<Self, TriggerError> {
        let all = texts.iter().map(|text| Trigger::parse(text)).collect::<Result<_, _>>()?;
        Ok(Self { all, opens: named(&OPENS) })
    }

    /// Portable codes of the calls that have to be recorded for them.
    pub(crate) fn calls(&self) -> BTreeSet<u16> {
        self.all.iter().flat_map(|trigger| trigger.calls(&self.opens)).collect()
    }

    /// Codes of calls of which the path of the file that was opened has to be fetched.
    pub(crate) fn paths(&self) -> BTreeSet<u16> {
        let wants = self.all.iter().any(|trigger| matches!(trigger.what, What::Open(..)));
        if wants { self.opens.clone() } else { BTreeSet::new() }
    }

    /// What of it is true of a record, in words.
    pub(crate) fn fires(&self, record: &Record<'_>) -> Option<String> {
        // Nearly always nothing is asked for.
        self.all.iter().find_map(|trigger| {
            let what = trigger.matches(record, &self.opens)?;
            let what: String = String::from_utf8_lossy(&what).escape_debug().take(256).collect();
            Some(format!("{}: {what} by process {}", trigger.text, record.head.tgid))
        })
    }
}

impl Trigger {
    fn parse(text: &str) -> Result<Self, TriggerError> {
        let unknown = || TriggerError::Kind(text.to_owned());
        let (kind, rest) = text.split_once(':').unwrap_or((text, ""));
        let what = match (kind, rest) {
            ("crash", "") => What::Crash,
            (_, "") => return Err(unknown()),
            ("exec", _) => What::Exec(Glob::new(rest)),
            ("open", _) => What::Open(Glob::new(rest), false),
            ("write", _) => What::Open(Glob::new(rest), true),
            ("connect" | "bind", _) => {
                let code = named(&[kind]).first().copied().unwrap_or_default();
                What::Address(code, Address::parse(rest).ok_or_else(|| TriggerError::Address(text.to_owned()))?)
            }
            ("call", _) => {
                let codes = named(&[rest]);
                if codes.is_empty() {
                    return Err(TriggerError::Call(text.to_owned()));
                }
                What::Call(codes)
            }
            _ => return Err(unknown()),
        };
        Ok(Self { text: text.to_owned(), what })
    }

    fn calls(&self, opens: &BTreeSet<u16>) -> BTreeSet<u16> {
        match &self.what {
            What::Exec(_) => named(&["execve", "execveat"]),
            What::Open(..) => opens.clone(),
            What::Address(code, _) => BTreeSet::from([*code]),
            What::Call(codes) => codes.clone(),
            What::Crash => BTreeSet::new(),
        }
    }

    /// What it is about, where it is true.
    fn matches(&self, record: &Record<'_>, opens: &BTreeSet<u16>) -> Option<Vec<u8>> {
        let head = &record.head;
        let call = head.kind == Kind::Call;
        match &self.what {
            What::Exec(glob) => {
                let path = (head.kind == Kind::Exec).then(|| record.path(Item::Exe))??;
                glob.matches(&path).then_some(path)
            }
            What::Open(glob, writing) => {
                if !call || head.ret < 0 || !opens.contains(&head.code) {
                    return None;
                }
                let writes = || record.file().is_some_and(|file| file.f_flags & ACCESS_MODE != 0);
                let path = record.path(Item::Path)?;
                (glob.matches(&path) && (!writing || writes())).then_some(path)
            }
            What::Address(code, address) => {
                if !call || head.code != *code {
                    return None;
                }
                let given = record.item_at(Item::Addr, 1)?.bytes;
                address.matches(given).then(|| shown(given))
            }
            What::Call(codes) => (call && head.ret >= 0 && codes.contains(&head.code)).then(|| b"succeeded".to_vec()),
            What::Crash => {
                let signal = head.ret & 0x7f;
                let crashed = head.kind == Kind::Exit && head.flags & LAST != 0 && FAULTS.contains(&signal);
                crashed.then(|| format!("signal {signal}").into_bytes())
            }
        }
    }
}

/// `O_WRONLY`, `O_RDWR`.
const ACCESS_MODE: u32 = 3;
/// `SIGILL`, `SIGABRT`, `SIGBUS`, `SIGFPE`, `SIGSEGV`, `SIGSYS`.
const FAULTS: [i64; 6] = [4, 6, 7, 8, 11, 31];

/// A pattern of paths.
#[derive(Debug, Clone)]
struct Glob {
    pattern: Vec<u8>,
    /// The last part of the path is compared only.
    last: bool,
}

impl Glob {
    fn new(text: &str) -> Self {
        Self { pattern: text.as_bytes().to_vec(), last: !text.contains('/') && text != "*" }
    }

    fn matches(&self, path: &[u8]) -> bool {
        let path = if self.last { path.rsplit(|&byte| byte == b'/').next().unwrap_or(path) } else { path };
        // The last star is the only one that has to be tried anew: linear in what it is compared with, times the pattern.
        let (mut p, mut t, mut star) = (0, 0, None);
        while t < path.len() {
            match self.pattern.get(p) {
                Some(b'*') => {
                    star = Some((p, t));
                    p += 1;
                }
                Some(&byte) if byte == b'?' || byte == path[t] => {
                    p += 1;
                    t += 1;
                }
                _ => {
                    let Some((at, from)) = star else { return false };
                    star = Some((at, from + 1));
                    p = at + 1;
                    t = from + 1;
                }
            }
        }
        self.pattern[p..].iter().all(|&byte| byte == b'*')
    }
}

/// Addresses of sockets.
#[derive(Debug, Clone)]
enum Address {
    Path(Glob),
    Net { net: Option<(IpAddr, u8)>, port: Option<u16> },
}

impl Address {
    fn parse(text: &str) -> Option<Self> {
        if text.starts_with(['/', '@']) {
            return Some(Self::Path(Glob::new(text)));
        }
        let port = |text: &str| if text == "*" { Some(None) } else { text.parse().ok().map(Some) };
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (host, after) = rest.split_once(']')?;
                (host, if after.is_empty() { None } else { port(after.strip_prefix(':')?)? })
            }
            None if text.matches(':').count() > 1 => (text, None),
            None => text.split_once(':').map_or(Some((text, None)), |(host, after)| Some((host, port(after)?)))?,
        };
        if host == "*" || host.is_empty() {
            return Some(Self::Net { net: None, port });
        }
        let (ip, bits) = match host.split_once('/') {
            Some((ip, bits)) => (ip, Some(bits.parse::<u8>().ok()?)),
            None => (host, None),
        };
        let ip: IpAddr = ip.parse().ok()?;
        let width = if ip.is_ipv4() { 32 } else { 128 };
        let bits = bits.unwrap_or(width);
        (bits <= width).then_some(Self::Net { net: Some((ip, bits)), port })
    }

    /// `raw`: a `struct sockaddr`.
    fn matches(&self, raw: &[u8]) -> bool {
        match self {
            Self::Path(glob) => unix_path(raw).is_some_and(|path| glob.matches(&path)),
            Self::Net { net, port } => internet(raw).is_some_and(|(ip, there)| {
                port.is_none_or(|port| port == there) && net.is_none_or(|(net, bits)| within(ip, net, bits))
            }),
        }
    }
}

fn within(ip: IpAddr, net: IpAddr, bits: u8) -> bool {
    // What reaches an IPv4 host through an IPv6 socket reaches that host.
    let (ip, net) = match (ip.to_canonical(), net) {
        (IpAddr::V4(ip), IpAddr::V4(net)) => (u128::from(u32::from(ip)) << 96, u128::from(u32::from(net)) << 96),
        (_, IpAddr::V6(net)) => (u128::from(v6(ip)), u128::from(net)),
        _ => return false,
    };
    bits == 0 || (ip ^ net) >> (128 - u32::from(bits)) == 0
}

fn v6(ip: IpAddr) -> std::net::Ipv6Addr {
    match ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped(),
        IpAddr::V6(ip) => ip,
    }
}

fn internet(raw: &[u8]) -> Option<(IpAddr, u16)> {
    const AF_INET: u16 = 2;
    const AF_INET6: u16 = 10;
    let port = u16::from_be_bytes(*raw.get(2..)?.first_chunk()?);
    match u16::from_le_bytes(*raw.first_chunk()?) {
        AF_INET => Some((IpAddr::from(*raw.get(4..)?.first_chunk::<4>()?), port)),
        AF_INET6 => Some((IpAddr::from(*raw.get(8..)?.first_chunk::<16>()?), port)),
        _ => None,
    }
}

/// An abstract name is shown with `@`.
fn unix_path(raw: &[u8]) -> Option<Vec<u8>> {
    const AF_UNIX: u16 = 1;
    if u16::from_le_bytes(*raw.first_chunk()?) != AF_UNIX {
        return None;
    }
    let (mark, rest): (&[u8], &[u8]) = match raw[2..].split_first() {
        Some((0, rest)) => (b"@", rest),
        _ => (b"", &raw[2..]),
    };
    Some([mark, rest.split(|&byte| byte == 0).next().unwrap_or_default()].concat())
}

fn shown(raw: &[u8]) -> Vec<u8> {
    let net = internet(raw).map(|(ip, port)| std::net::SocketAddr::from((ip, port)).to_string().into_bytes());
    net.or_else(|| unix_path(raw)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a failing test may panic

    use super::*;
    use crate::record::tests::record;

    fn fires(text: &str, bytes: &[u8]) -> Option<String> {
        Triggers::parse(&[text.to_owned()]).unwrap().fires(&Record::parse(bytes).unwrap())
    }

    #[test]
    fn patterns_are_compared_whole_or_with_the_last_part() {
        for (pattern, path, expected) in [
            ("/usr/bin/nc", "/usr/bin/nc", true),
            ("/usr/bin/nc", "/usr/bin/ncat", false),
            ("nc", "/usr/bin/nc", true),
            ("n?", "/usr/bin/nc", true),
            ("/usr/*/nc", "/usr/local/bin/nc", true),
            ("*/bin/*c*", "/usr/bin/ncat", true),
            ("*ab*ab", "/ab/ab/abb", false),
            ("*", "/", true),
            ("/etc/*", "/etc", false),
        ] {
            assert_eq!(Glob::new(pattern).matches(path.as_bytes()), expected, "{pattern} {path}");
        }
        let hard = "*a".repeat(40) + "b";
        assert!(!Glob::new(&("/".to_owned() + &hard)).matches("/".to_owned().as_bytes()));
        assert!(!Glob::new(&("/".to_owned() + &hard)).matches(("/".to_owned() + &"a".repeat(4000)).as_bytes()));
    }

    #[test]
    fn execs_are_known_by_the_file_that_runs() {
        let exec = record(2, 0, 0, [0; 6], &[(Item::Exe as u8, 0, b"nc\0bin\0usr\0")]);
        assert_eq!(fires("exec:/usr/bin/nc", &exec).unwrap(), "exec:/usr/bin/nc: /usr/bin/nc by process 7");
        assert_eq!(fires("exec:/bin/nc", &exec), None);
        assert_eq!(fires("open:/usr/bin/nc", &exec), None);
    }

    #[test]
    fn opens_are_known_by_the_path_they_led_to() {
        let openat = named(&["openat"]).first().copied().unwrap();
        let mut file = [0; 56];
        let path: (u8, u8, &[u8]) = (Item::Path as u8, 7, b"shadow\0etc\0");
        let reads = record(1, openat, 3, [0; 6], &[path, (Item::File as u8, 7, &file)]);
        assert!(fires("open:/etc/shadow", &reads).is_some());
        assert!(fires("write:/etc/shadow", &reads).is_none());
        file[40] = 1;
        let writes = record(1, openat, 3, [0; 6], &[path, (Item::File as u8, 7, &file)]);
        assert!(fires("write:shadow", &writes).is_some());
        let refused = record(1, openat, -13, [0; 6], &[path]);
        assert!(fires("open:*", &refused).is_none());
    }

    #[test]
    fn addresses_may_be_networks_ports_and_paths() {
        let connect = named(&["connect"]).first().copied().unwrap();
        let v4 = [2, 0, 0x11, 0x5c, 10, 1, 2, 3, 0, 0, 0, 0, 0, 0, 0, 0];
        let mapped = [&[10, 0, 0x11, 0x5c, 0, 0, 0, 0][..], &[0; 10], &[255, 255, 10, 1, 2, 3], &[0; 4]].concat();
        let call = |raw: &[u8]| record(1, connect, -111, [0; 6], &[(Item::Addr as u8, 1, raw)]);
        for (text, expected) in [
            ("connect:10.0.0.0/8", true),
            ("connect:10.1.2.3:4444", true),
            ("connect:10.1.2.3:443", false),
            ("connect:*:4444", true),
            ("connect::4444", true),
            ("connect:10.1.2.4/32", false),
            ("connect:[::1]:4444", false),
            ("connect:[::ffff:10.1.2.3]:4444", true),
            ("connect:0.0.0.0/0", true),
            ("bind:*:4444", false),
            ("connect:/run/x", false),
        ] {
            assert_eq!(fires(text, &call(&v4)).is_some(), expected, "{text}");
            assert_eq!(fires(text, &call(&mapped)).is_some(), expected, "{text} mapped");
        }
        let said = fires("connect:*:4444", &call(&v4)).unwrap();
        assert_eq!(said, "connect:*:4444: 10.1.2.3:4444 by process 7");
        assert!(fires("connect:/run/*.sock", &call(b"\x01\0/run/docker.sock\0")).is_some());
        assert!(fires("connect:@abstract", &call(b"\x01\0\0abstract")).is_some());
        assert!(fires("connect:*:1", &call(b"\x02")).is_none());
    }

    #[test]
    fn calls_and_crashes() {
        let ptrace = named(&["ptrace"]).first().copied().unwrap();
        assert!(fires("call:ptrace", &record(1, ptrace, 0, [0; 6], &[])).is_some());
        assert!(fires("call:ptrace", &record(1, ptrace, -1, [0; 6], &[])).is_none());
        let mut crash = record(3, 0, 0x8b, [0; 6], &[]);
        assert!(fires("crash", &crash).is_none(), "not the last thread");
        crash[26] = LAST as u8;
        assert!(fires("crash", &crash).is_some());
        assert!(Triggers::parse(&["call:ptrace".to_owned()]).unwrap().calls().contains(&ptrace));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let parse = |text: &str| Trigger::parse(text).map(drop);
        for text in ["", "exec", "exec:", "crash:x", "nosuch:x", ":"] {
            assert_eq!(parse(text), Err(TriggerError::Kind(text.to_owned())), "{text}");
        }
        for text in ["connect:x", "connect:10.0.0.0/33", "connect:[::1", "connect:1.2.3.4:x", "bind:1.2.3"] {
            assert_eq!(parse(text), Err(TriggerError::Address(text.to_owned())), "{text}");
        }
        assert_eq!(parse("call:nosuch"), Err(TriggerError::Call("call:nosuch".to_owned())));
    }
}
