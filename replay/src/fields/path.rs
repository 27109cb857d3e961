//! Paths made absolute the way libs prints them: joined, then normalised as text, without asking any file system.

use std::borrow::Cow;

use crate::state::path::is_normal;

/// Longest path that is shown; longer ones show [`TOO_LONG`], as in libs.
const MAX_PATH: usize = 1024;

/// What is shown in place of a path that is too long.
const TOO_LONG: &[u8] = b"/PATH_TOO_LONG";

/// `base` and `path` joined and normalised: no empty, `.` and (as far as possible) `..` components, no slash at the
/// end. An absolute `path` ignores the base.
pub(crate) fn join(base: &[u8], path: &[u8]) -> Vec<u8> {
    let base = if path.first() == Some(&b'/') { &[][..] } else { base };
    let absolute = base.first().or(path.first()) == Some(&b'/');
    let mut parts: Vec<&[u8]> = Vec::new();
    for part in base.split(|&byte| byte == b'/').chain(path.split(|&byte| byte == b'/')) {
        match part {
            b"" | b"." => {}
            b".." => match parts.last() {
                Some(&last) if last != b".." => drop(parts.pop()),
                None if absolute => {}
                _ => parts.push(part),
            },
            _ => parts.push(part),
        }
    }
    let mut joined = Vec::with_capacity(base.len() + path.len() + 1);
    for (at, part) in parts.iter().enumerate() {
        if absolute || at > 0 {
            joined.push(b'/');
        }
        joined.extend_from_slice(part);
    }
    if joined.is_empty() && !(base.is_empty() && path.is_empty()) {
        joined.push(if absolute { b'/' } else { b'.' });
    }
    if joined.len() > MAX_PATH { TOO_LONG.to_vec() } else { joined }
}

/// The same as [`join`], without a copy where the path stands for itself.
pub(crate) fn resolve<'p>(base: &[u8], path: &'p [u8]) -> Cow<'p, [u8]> {
    if path.len() <= MAX_PATH && is_normal(path) { Cow::Borrowed(path) } else { Cow::Owned(join(base, path)) }
}

/// Runs of slashes as one slash (`fd.nameraw`).
pub(crate) fn squeeze(path: &[u8]) -> Cow<'_, [u8]> {
    if !path.windows(2).any(|pair| pair == b"//") {
        return Cow::Borrowed(path);
    }
    let mut squeezed = path.to_vec();
    squeezed.dedup_by(|a, b| *a == b'/' && *b == b'/');
    Cow::Owned(squeezed)
}

/// Directory part as `fd.directory` shows it: `/` for files in the root and for names without a slash; a name that
/// ends in a slash is its own directory.
pub(crate) fn directory(path: &[u8]) -> &[u8] {
    match path.iter().rposition(|&byte| byte == b'/') {
        Some(at) if at > 0 => {
            if at + 1 < path.len() {
                &path[..at]
            } else {
                path
            }
        }
        _ => b"/",
    }
}

/// Last component as `fd.filename` shows it: `/` for names without a slash; a name that ends in a slash is kept.
pub(crate) fn filename(path: &[u8]) -> &[u8] {
    match path.iter().rposition(|&byte| byte == b'/') {
        Some(at) if at + 1 < path.len() => &path[at + 1..],
        Some(_) => path,
        None => b"/",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn joins_and_normalises() {
        for (base, path, wanted) in [
            ("/in/", "a", "/in/a"),
            ("/in", "a/./b//c/", "/in/a/b/c"),
            ("/in", "../../../x", "/x"),
            ("/in", "/abs/../y", "/y"),
            ("", "a/../../b", "../b"),
            ("", "a/..", "."),
            ("/", "..", "/"),
            ("", "", ""),
            ("//", "x", "/x"),
        ] {
            assert_eq!(join(base.as_bytes(), path.as_bytes()), wanted.as_bytes(), "{base} + {path}");
            assert_eq!(*resolve(base.as_bytes(), path.as_bytes()), *wanted.as_bytes(), "{base} + {path}");
        }
        assert_eq!(join(b"/", &[b'a'; 2000]), TOO_LONG);
        assert_eq!(*resolve(b"", &[&b"/"[..], &[b'a'; 2000]].concat()), *TOO_LONG);
        for normal in ["/", "/a", "/a.b/..c/.d", "/..."] {
            assert!(matches!(resolve(b"", normal.as_bytes()), Cow::Borrowed(_)), "{normal}");
            assert_eq!(join(b"", normal.as_bytes()), normal.as_bytes());
        }
    }

    #[test]
    fn directory_and_file_name() {
        assert_eq!(directory(b"/etc/passwd"), b"/etc");
        assert_eq!(directory(b"/a"), b"/");
        assert_eq!(directory(b"plain"), b"/");
        assert_eq!(directory(b"/etc/"), b"/etc/");
        assert_eq!(filename(b"/etc/passwd"), b"passwd");
        assert_eq!(filename(b"plain"), b"/");
        assert_eq!(&*squeeze(b"/a//b///c"), b"/a/b/c");
    }
}
