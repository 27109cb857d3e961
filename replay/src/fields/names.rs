//! Names of errors, signals and capabilities as Linux has them, for printing.

/// Error names by number, from 1; empty where Linux has none.
const ERRNO: [&str; 133] = [
    "EPERM",
    "ENOENT",
    "ESRCH",
    "EINTR",
    "EIO",
    "ENXIO",
    "E2BIG",
    "ENOEXEC",
    "EBADF",
    "ECHILD",
    "EAGAIN",
    "ENOMEM",
    "EACCES",
    "EFAULT",
    "ENOTBLK",
    "EBUSY",
    "EEXIST",
    "EXDEV",
    "ENODEV",
    "ENOTDIR",
    "EISDIR",
    "EINVAL",
    "ENFILE",
    "EMFILE",
    "ENOTTY",
    "ETXTBSY",
    "EFBIG",
    "ENOSPC",
    "ESPIPE",
    "EROFS",
    "EMLINK",
    "EPIPE",
    "EDOM",
    "ERANGE",
    "EDEADLK",
    "ENAMETOOLONG",
    "ENOLCK",
    "ENOSYS",
    "ENOTEMPTY",
    "ELOOP",
    "",
    "ENOMSG",
    "EIDRM",
    "ECHRNG",
    "EL2NSYNC",
    "EL3HLT",
    "EL3RST",
    "ELNRNG",
    "EUNATCH",
    "ENOCSI",
    "EL2HLT",
    "EBADE",
    "EBADR",
    "EXFULL",
    "ENOANO",
    "EBADRQC",
    "EBADSLT",
    "",
    "EBFONT",
    "ENOSTR",
    "ENODATA",
    "ETIME",
    "ENOSR",
    "ENONET",
    "ENOPKG",
    "EREMOTE",
    "ENOLINK",
    "EADV",
    "ESRMNT",
    "ECOMM",
    "EPROTO",
    "EMULTIHOP",
    "EDOTDOT",
    "EBADMSG",
    "EOVERFLOW",
    "ENOTUNIQ",
    "EBADFD",
    "EREMCHG",
    "ELIBACC",
    "ELIBBAD",
    "ELIBSCN",
    "ELIBMAX",
    "ELIBEXEC",
    "EILSEQ",
    "ERESTART",
    "ESTRPIPE",
    "EUSERS",
    "ENOTSOCK",
    "EDESTADDRREQ",
    "EMSGSIZE",
    "EPROTOTYPE",
    "ENOPROTOOPT",
    "EPROTONOSUPPORT",
    "ESOCKTNOSUPPORT",
    "EOPNOTSUPP",
    "EPFNOSUPPORT",
    "EAFNOSUPPORT",
    "EADDRINUSE",
    "EADDRNOTAVAIL",
    "ENETDOWN",
    "ENETUNREACH",
    "ENETRESET",
    "ECONNABORTED",
    "ECONNRESET",
    "ENOBUFS",
    "EISCONN",
    "ENOTCONN",
    "ESHUTDOWN",
    "ETOOMANYREFS",
    "ETIMEDOUT",
    "ECONNREFUSED",
    "EHOSTDOWN",
    "EHOSTUNREACH",
    "EALREADY",
    "EINPROGRESS",
    "ESTALE",
    "EUCLEAN",
    "ENOTNAM",
    "ENAVAIL",
    "EISNAM",
    "EREMOTEIO",
    "EDQUOT",
    "ENOMEDIUM",
    "EMEDIUMTYPE",
    "ECANCELED",
    "ENOKEY",
    "EKEYEXPIRED",
    "EKEYREVOKED",
    "EKEYREJECTED",
    "EOWNERDEAD",
    "ENOTRECOVERABLE",
    "ERFKILL",
    "EHWPOISON",
];

/// Errors that stay inside the kernel but show in exit events.
const KERNEL_ERRNO: [(i64, &str); 15] = [
    (512, "ERESTARTSYS"),
    (513, "ERESTARTNOINTR"),
    (514, "ERESTARTNOHAND"),
    (515, "ENOIOCTLCMD"),
    (516, "ERESTART_RESTARTBLOCK"),
    (521, "EBADHANDLE"),
    (522, "ENOTSYNC"),
    (523, "EBADCOOKIE"),
    (524, "ENOTSUPP"),
    (525, "ETOOSMALL"),
    (526, "ESERVERFAULT"),
    (527, "EBADTYPE"),
    (528, "EJUKEBOX"),
    (529, "EIOCBQUEUED"),
    (530, "EIOCBRETRY"),
];

/// Name of a negative result; `None` when there is none.
pub(crate) fn errno(result: i64) -> Option<&'static str> {
    // Results are compared as 32-bit numbers, the width of the kernel's own.
    let code = -i64::from(result as i32);
    if let Some(name) = usize::try_from(code - 1).ok().and_then(|at| ERRNO.get(at)) {
        return Some(*name).filter(|name| !name.is_empty());
    }
    KERNEL_ERRNO.iter().find(|(known, _)| *known == code).map(|(_, name)| *name)
}

/// Signal names by number, from 1.
const SIGNALS: [&str; 31] = [
    "SIGHUP",
    "SIGINT",
    "SIGQUIT",
    "SIGILL",
    "SIGTRAP",
    "SIGABRT",
    "SIGBUS",
    "SIGFPE",
    "SIGKILL",
    "SIGUSR1",
    "SIGSEGV",
    "SIGUSR2",
    "SIGPIPE",
    "SIGALRM",
    "SIGTERM",
    "SIGSTKFLT",
    "SIGCHLD",
    "SIGCONT",
    "SIGSTOP",
    "SIGTSTP",
    "SIGTTIN",
    "SIGTTOU",
    "SIGURG",
    "SIGXCPU",
    "SIGXFSZ",
    "SIGVTALRM",
    "SIGPROF",
    "SIGWINCH",
    "SIGIO",
    "SIGPWR",
    "SIGSYS",
];

/// Name of a signal; `None` for 0 and for real-time signals.
pub(crate) fn signal(number: u8) -> Option<&'static str> {
    SIGNALS.get(usize::from(number).checked_sub(1)?).copied()
}

/// Capability names without their prefix, by bit.
const CAPABILITIES: [&str; 41] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];

/// A capability set as text: `CAP_` names in the order of their bits, joined by blanks.
pub(crate) fn capabilities(set: u64) -> String {
    let mut text = String::new();
    for (bit, name) in CAPABILITIES.iter().enumerate().filter(|(bit, _)| set & (1 << bit) != 0) {
        let _ = bit;
        if !text.is_empty() {
            text.push(' ');
        }
        text.push_str("CAP_");
        text.push_str(name);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gaps_of_the_error_numbers_are_in_place() {
        // Numbers around the two that Linux skips, the last of the classic ones, and one past the table.
        assert_eq!(errno(-40), Some("ELOOP"));
        assert_eq!(errno(-41), None);
        assert_eq!(errno(-42), Some("ENOMSG"));
        assert_eq!(errno(-58), None);
        assert_eq!(errno(-59), Some("EBFONT"));
        assert_eq!(errno(-98), Some("EADDRINUSE"));
        assert_eq!(errno(-111), Some("ECONNREFUSED"));
        assert_eq!(errno(-115), Some("EINPROGRESS"));
        assert_eq!(errno(-125), Some("ECANCELED"));
        assert_eq!(errno(-133), Some("EHWPOISON"));
        assert_eq!(errno(-134), None);
        assert_eq!(errno(-512), Some("ERESTARTSYS"));
        assert_eq!(errno(0), None);
        assert_eq!(errno(i64::MIN), None);
    }

    #[test]
    fn signals_and_capabilities_by_number() {
        assert_eq!(signal(0), None);
        assert_eq!(signal(17), Some("SIGCHLD"));
        assert_eq!(signal(31), Some("SIGSYS"));
        assert_eq!(signal(34), None);
        assert_eq!(capabilities(0), "");
        assert_eq!(capabilities(1 << 21 | 1 << 12), "CAP_NET_ADMIN CAP_SYS_ADMIN");
        assert_eq!(capabilities(1 << 40 | 1 << 63), "CAP_CHECKPOINT_RESTORE");
    }
}
