//! What strace says: its log taken apart, by process and call.

use std::collections::BTreeMap;

/// One line of strace.
pub(super) struct Traced {
    pub(super) result: i64,
    pub(super) texts: Vec<String>,
    pub(super) args: Vec<String>,
}

/// What strace wrote, by process and call, in order.
pub(super) fn traced(log: &str) -> BTreeMap<(i64, String), Vec<Traced>> {
    let mut all: BTreeMap<_, Vec<Traced>> = BTreeMap::new();
    let mut unfinished: BTreeMap<i64, String> = BTreeMap::new();
    for line in log.lines() {
        let Some((pid, rest)) = line.split_once(' ') else { continue };
        let pid: i64 = pid.parse().unwrap();
        let mut rest = rest.trim_start().to_owned();
        if let Some(begin) = rest.strip_suffix("<unfinished ...>") {
            unfinished.insert(pid, begin.to_owned());
            continue;
        }
        if let Some(resumed) = rest.strip_prefix("<... ") {
            let end = resumed.split_once(" resumed>").unwrap().1.to_owned();
            rest = unfinished.remove(&pid).unwrap_or_default() + &end;
        }
        let (Some((name, _)), Some((args, end))) = (rest.split_once('('), rest.rsplit_once(" = ")) else { continue };
        let mut words = end.split_whitespace();
        let result = match (words.next(), words.next()) {
            (Some("-1"), Some(errno)) => -error_number(errno),
            (Some(hex), _) if hex.starts_with("0x") => i64::from_str_radix(&hex[2..], 16).unwrap(),
            (Some(number), _) => match number.parse() {
                Ok(number) => number,
                Err(_) => continue,
            },
            _ => continue,
        };
        // Texts with escapes are buffers.
        let texts = args.split('"').skip(1).step_by(2).filter(|text| !text.contains('\\')).map(str::to_owned).collect();
        let args = args.split_once('(').map_or(args, |(_, args)| args);
        let args = split_args(args.rsplit_once(')').map_or(args, |(args, _)| args));
        all.entry((pid, event_name(name).to_owned())).or_default().push(Traced { result, texts, args });
    }
    all
}

fn event_name(call: &str) -> &str {
    match call {
        "pread64" => "pread",
        "pwrite64" => "pwrite",
        "prlimit64" => "prlimit",
        other => other,
    }
}

/// Arguments as strace prints them: commas part them, but not inside texts, lists and structures.
fn split_args(args: &str) -> Vec<String> {
    let (mut all, mut depth, mut quoted, mut escaped) = (vec![String::new()], 0, false, false);
    for c in args.chars() {
        match c {
            '"' if !escaped => quoted = !quoted,
            '[' | '{' | '(' if !quoted => depth += 1,
            ']' | '}' | ')' if !quoted => depth -= 1,
            ',' if !quoted && depth == 0 => {
                all.push(String::new());
                continue;
            }
            _ => {}
        }
        escaped = c == '\\' && !escaped;
        all.last_mut().unwrap().push(c);
    }
    all.iter().map(|arg| arg.trim().to_owned()).collect()
}

/// A number as strace prints it: decimal, octal, hexadecimal, or the word for the working directory.
pub(super) fn argument(text: &str) -> Option<i64> {
    match text {
        "AT_FDCWD" => Some(-100),
        _ if text.starts_with("0x") => u64::from_str_radix(&text[2..], 16).ok().map(|value| value as i64),
        _ if text.len() > 1 && text.starts_with('0') => i64::from_str_radix(text, 8).ok(),
        _ => text.parse().ok(),
    }
}

/// Numbers of `asm-generic/errno.h`.
fn error_number(name: &str) -> i64 {
    const NAMES: &[(&str, i64)] = &[
        ("EPERM", 1),
        ("ENOENT", 2),
        ("ESRCH", 3),
        ("EINTR", 4),
        ("EIO", 5),
        ("ENXIO", 6),
        ("E2BIG", 7),
        ("ENOEXEC", 8),
        ("EBADF", 9),
        ("ECHILD", 10),
        ("EAGAIN", 11),
        ("ENOMEM", 12),
        ("EACCES", 13),
        ("EFAULT", 14),
        ("ENOTBLK", 15),
        ("EBUSY", 16),
        ("EEXIST", 17),
        ("EXDEV", 18),
        ("ENODEV", 19),
        ("ENOTDIR", 20),
        ("EISDIR", 21),
        ("EINVAL", 22),
        ("ENFILE", 23),
        ("EMFILE", 24),
        ("ENOTTY", 25),
        ("ETXTBSY", 26),
        ("EFBIG", 27),
        ("ENOSPC", 28),
        ("ESPIPE", 29),
        ("EROFS", 30),
        ("EPIPE", 32),
        ("ERANGE", 34),
        ("ENAMETOOLONG", 36),
        ("ENOSYS", 38),
        ("ENOTEMPTY", 39),
        ("ELOOP", 40),
        ("ENODATA", 61),
        ("EOVERFLOW", 75),
        ("ENOTSOCK", 88),
        ("ENOPROTOOPT", 92),
        ("EOPNOTSUPP", 95),
        ("EAFNOSUPPORT", 97),
        ("EADDRINUSE", 98),
        ("EADDRNOTAVAIL", 99),
        ("ENETUNREACH", 101),
        ("ECONNRESET", 104),
        ("EISCONN", 106),
        ("ENOTCONN", 107),
        ("ETIMEDOUT", 110),
        ("ECONNREFUSED", 111),
        ("EHOSTUNREACH", 113),
        ("EALREADY", 114),
        ("EINPROGRESS", 115),
    ];
    NAMES.iter().find(|(known, _)| *known == name).unwrap_or_else(|| panic!("which number is {name}?")).1
}
