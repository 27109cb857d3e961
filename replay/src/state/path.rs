//! Joining and cleaning paths as libs does: textually, without knowledge of symbolic links.

use std::borrow::Cow;

use super::limits::MAX_PATH;

/// Path named by `path` relative to the directory `base`, which ends in a slash. An absolute `path` stands for itself;
/// an empty one gives an empty result. `.` and empty components vanish, `..` takes a component away but never the
/// root, and there is no trailing slash. A base without a trailing slash is put in front as it is. Cut at
/// [`MAX_PATH`] bytes.
pub(crate) fn join(base: &[u8], path: &[u8]) -> Vec<u8> {
    if path.is_empty() {
        return Vec::new();
    }
    let absolute = path[0] == b'/';
    let mut out = Vec::with_capacity(base.len() + path.len() + 1);
    if absolute {
        out.push(b'/');
    } else {
        out.extend_from_slice(base);
    }
    let mut rest = path;
    loop {
        let (component, after) = match memchr::memchr(b'/', rest) {
            Some(at) => (&rest[..at], Some(&rest[at + 1..])),
            None => (rest, None),
        };
        let at_boundary = out.last().is_none_or(|&byte| byte == b'/');
        match component {
            b"" => {}
            b"." if at_boundary => {}
            b".." if at_boundary => rewind(&mut out),
            _ => {
                out.extend_from_slice(component);
                out.push(b'/');
            }
        }
        match after {
            Some(after) => rest = after,
            None => break,
        }
    }
    if out.len() > 1 && out.last() == Some(&b'/') {
        out.pop();
    }
    out.truncate(MAX_PATH);
    out
}

/// Whether a path is absolute and as short as it can be written, so that [`join`] and its like give it back as it is.
pub(crate) fn is_normal(path: &[u8]) -> bool {
    let Some((b'/', after)) = path.split_first() else { return false };
    // A slash, and a slash or dot after it: without a way out, so that it is done many bytes at a time.
    let pairs = path.iter().zip(after);
    let is_odd = |byte: u8, next: u8| byte == b'/' && matches!(next, b'/' | b'.');
    if !pairs.fold(false, |found, (&byte, &next)| found | is_odd(byte, next)) {
        return after.last() != Some(&b'/');
    }
    memchr::memchr_iter(b'/', path).all(|slash| {
        let nothing = matches!(
            path[slash + 1..],
            [] | [b'/', ..] | [b'.'] | [b'.', b'/', ..] | [b'.', b'.'] | [b'.', b'.', b'/', ..]
        );
        !nothing
    })
}

/// The same as [`join`], without a copy where the path stands for itself.
pub(crate) fn resolve<'p>(base: &[u8], path: &'p [u8]) -> Cow<'p, [u8]> {
    if path.len() <= MAX_PATH && is_normal(path) { Cow::Borrowed(path) } else { Cow::Owned(join(base, path)) }
}

/// Takes the last component away; the text ends in a slash or is empty.
fn rewind(out: &mut Vec<u8>) {
    if out.len() <= 1 {
        return;
    }
    out.pop();
    while out.last().is_some_and(|&byte| byte != b'/') {
        out.pop();
    }
}

/// A directory's name with its trailing slash.
pub(crate) fn as_directory(mut name: Vec<u8>) -> Vec<u8> {
    if name.last() != Some(&b'/') {
        name.push(b'/');
    }
    name
}

/// Executable path without the mark that the kernel puts on removed files.
pub(crate) fn without_deleted_mark(path: &[u8]) -> &[u8] {
    const MARK: &[u8] = b" (deleted)";
    match path.strip_suffix(MARK) {
        Some(rest) if !rest.is_empty() => rest,
        _ => path,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(base: &str, path: &str, expected: &str) {
        assert_eq!(String::from_utf8_lossy(&join(base.as_bytes(), path.as_bytes())), expected, "{base} + {path}");
        assert_eq!(
            *resolve(base.as_bytes(), path.as_bytes()),
            join(base.as_bytes(), path.as_bytes()),
            "{base} + {path}"
        );
    }

    #[test]
    fn cleans_components() {
        check("/root/", "a//b/./c", "/root/a/b/c");
        check("/root/", "../etc/passwd", "/etc/passwd");
        check("/", "../../../x", "/x");
        check("/root/", "/app/custom/dir/././././../../term/", "/app/term");
        check("/", "////app", "/app");
        check("/root/", "..", "/");
        check("/root/", ".", "/root");
        check("/root/", ".hidden/..x/...", "/root/.hidden/..x/...");
    }

    #[test]
    fn keeps_odd_bases_as_they_are() {
        check("", "dir/term", "dir/term");
        check("", "foo/../a", "a");
        check("<UNKNOWN>", "foo", "<UNKNOWN>foo");
        check("<UNKNOWN>", "../foo", "<UNKNOWN>../foo");
        check("/etc/", "", "");
    }

    #[test]
    fn strips_the_mark_of_removed_executables() {
        assert_eq!(without_deleted_mark(b"/tmp/x (deleted)"), b"/tmp/x");
        assert_eq!(without_deleted_mark(b" (deleted)"), b" (deleted)");
    }
}
