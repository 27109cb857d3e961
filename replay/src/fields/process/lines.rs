//! Arguments, environment and control groups: lists of texts, and what is made of them.

use std::borrow::Cow;

use crate::state::Thread;

/// Elements of a NUL-terminated list; the last NUL may be missing.
pub(crate) fn words(list: &[u8]) -> impl Iterator<Item = &[u8]> {
    let list = list.strip_suffix(b"\0").unwrap_or(list);
    let count = if list.is_empty() { 0 } else { usize::MAX };
    list.split(|&byte| byte == 0).take(count)
}

/// Elements of a list joined by blanks. One element needs no copy.
pub(super) fn joined(list: &[u8]) -> Cow<'_, [u8]> {
    let list = list.strip_suffix(b"\0").unwrap_or(list);
    if !list.contains(&0) {
        return Cow::Borrowed(list);
    }
    Cow::Owned(list.iter().map(|&byte| if byte == 0 { b' ' } else { byte }).collect())
}

/// A name, a blank, and the arguments joined by blanks.
pub(super) fn joined_after(name: &[u8], args: &[u8]) -> Vec<u8> {
    let args = joined(args);
    let mut line = Vec::with_capacity(name.len() + 1 + args.len());
    line.extend_from_slice(name);
    line.push(b' ');
    line.extend_from_slice(&args);
    line
}

/// `proc.cmdline`: the comm, then the arguments.
pub(super) fn command_line(thread: &Thread) -> Cow<'_, [u8]> {
    if thread.args.is_empty() {
        Cow::Borrowed(&thread.comm)
    } else {
        Cow::Owned(joined_after(&thread.comm, &thread.args))
    }
}

/// Value of an environment variable without blanks around it; empty where it is not set.
pub(super) fn variable<'e>(env: &'e [u8], name: &str) -> &'e [u8] {
    let value = words(env).find_map(|entry| entry.strip_prefix(name.as_bytes())?.strip_prefix(b"="));
    let value = value.unwrap_or_default();
    let start = value.iter().position(|&byte| byte != b' ').unwrap_or(value.len());
    let end = value.iter().rposition(|&byte| byte != b' ').map_or(start, |last| last + 1);
    &value[start..end]
}

/// Path of one cgroup subsystem.
pub(super) fn cgroup<'e>(cgroups: &'e [u8], name: &str) -> Option<&'e [u8]> {
    words(cgroups).find_map(|entry| entry.strip_prefix(name.as_bytes())?.strip_prefix(b"="))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_with_and_without_their_last_nul() {
        let list = |text: &'static [u8]| words(text).collect::<Vec<_>>();
        assert!(list(b"").is_empty());
        assert_eq!(list(b"a\0b\0"), [b"a", b"b"]);
        assert_eq!(list(b"a\0b"), [b"a", b"b"]);
        assert_eq!(list(b"a\0\0b\0"), [&b"a"[..], b"", b"b"], "an empty argument is an argument");
        assert_eq!(&*joined(b"a\0\0b\0"), b"a  b");
        assert_eq!(&*joined(b"one\0"), b"one");
    }

    #[test]
    fn variables_and_cgroups_by_exact_name() {
        let env = b"PATHX=/x\0PATH= /bin \0EMPTY=\0";
        assert_eq!(variable(env, "PATH"), b"/bin", "blanks around the value go");
        assert_eq!(variable(env, "EMPTY"), b"");
        assert_eq!(variable(env, "PA"), b"");
        assert_eq!(cgroup(b"cpu=/a\0cpuset=/b\0", "cpuset"), Some(&b"/b"[..]));
        assert_eq!(cgroup(b"cpu=/a\0cpuset=/b\0", "memory"), None);
    }
}
