//! What counts as *not known*: markers, and texts that are put together from parts of which some are unknown.
//!
//! Some fields print a rest when their part is missing, as in Falco: `fd.directory` is `/` for a descriptor without a
//! name, `fd.typechar` is `o` for one of no known kind. That says nothing about the system, so it is no wrong value.

use crate::golden::fields::ABSENT;

/// Texts that stand for *not known*, besides an absent field.
const MARKERS: [&[u8]; 4] = [b"", ABSENT.as_bytes(), b"-1", b"<UNKNOWN>"];

/// The text stands for *not known*.
pub(super) fn is_marker(text: &[u8]) -> bool {
    MARKERS.contains(&text)
}

/// `reduced` differs from `whole` only by saying less. `has_name`: the descriptor of the event has a name.
pub(super) fn says_less(field: &str, whole: Option<&[u8]>, reduced: &[u8], has_name: bool) -> bool {
    // Names below directories that are not known.
    if let Some(whole) = whole.filter(|whole| fills_in(whole, reduced)) {
        return !whole.is_empty();
    }
    match field {
        "fd.typechar" => reduced == b"o",
        "evt.category" => reduced == b"unknown",
        "fd.directory" | "fd.containerdirectory" | "fd.containername" => !has_name,
        "fd.uid" => reduced.ends_with(ABSENT.as_bytes()) || reduced.ends_with(b"-1"),
        // Counters of a kind of event: none where the kind is not known.
        _ if field.starts_with("evt.count.error.") => whole.is_none(),
        // A name, and the id that it is short for.
        "thread.nametid" => reduced.starts_with(ABSENT.as_bytes()),
        "proc.exeline" | "proc.cmdline" | "proc.pcmdline" => reduced.starts_with(ABSENT.as_bytes()),
        "evt.args" | "evt.info" => whole.is_some_and(|whole| tokens_say_less(whole, reduced)),
        // A descriptor by its number, for want of its name.
        _ if field.starts_with("evt.arg.") => {
            reduced.iter().all(u8::is_ascii_digit) && whole.is_some_and(names_a_descriptor)
        }
        // Ancestors and sessions: a line of names, some of them unknown.
        _ => whole.is_some_and(|whole| list_says_less(whole, reduced)),
    }
}

/// `/usr/share` for `<UNKNOWN>share`: the mark stands for whatever directory it was.
fn fills_in(whole: &[u8], reduced: &[u8]) -> bool {
    let mut parts = Vec::new();
    let mut rest = reduced;
    while let Some(at) = place_of(UNKNOWN_DIRECTORY, rest) {
        parts.push(&rest[..at]);
        rest = &rest[at + UNKNOWN_DIRECTORY.len()..];
    }
    let Some((first, others)) = parts.split_first() else { return false };
    let Some(mut left) = whole.strip_prefix(*first) else { return false };
    for part in others {
        let Some(at) = place_of(part, left) else { return false };
        left = &left[at + part.len()..];
    }
    left.ends_with(rest)
}

/// Where `needle` begins in `text`.
fn place_of(needle: &[u8], text: &[u8]) -> Option<usize> {
    if needle.is_empty() { Some(0) } else { text.windows(needle.len()).position(|window| window == needle) }
}

const UNKNOWN_DIRECTORY: &[u8] = b"<UNKNOWN>";

/// `<f>/etc/passwd`.
fn names_a_descriptor(text: &[u8]) -> bool {
    text.first() == Some(&b'<')
}

/// `fd=3` for `fd=3(<f>/etc/passwd)`, `timeout=<NA>` for `timeout=-1`, token by token.
fn tokens_say_less(whole: &[u8], reduced: &[u8]) -> bool {
    let (mut left, mut right) = (whole.split(|&byte| byte == b' '), reduced.split(|&byte| byte == b' '));
    loop {
        match (left.next(), right.next()) {
            (None, None) => return true,
            (Some(whole), Some(reduced)) if whole == reduced => {}
            (Some(_), Some(reduced)) if reduced.ends_with(b"=<NA>") => {}
            // A number whose name is not known.
            (Some(whole), Some(reduced))
                if reduced
                    .strip_suffix(b"(<NA>)")
                    .is_some_and(|number| whole.strip_prefix(number).is_some_and(|name| name.starts_with(b"("))) => {}
            (Some(whole), Some(reduced))
                if whole.strip_prefix(reduced).is_some_and(|rest| rest.starts_with(b"(") || rest.starts_with(b"<")) =>
            {
                // The name that is missing may have blanks in it.
                if !whole.ends_with(b")") && left.by_ref().find(|more| more.ends_with(b")")).is_none() {
                    return false;
                }
            }
            _ => return false,
        }
    }
}

/// `(a,<NA>,c)` for `(a,b,c)`.
fn list_says_less(whole: &[u8], reduced: &[u8]) -> bool {
    let inner = |text: &[u8]| -> Option<Vec<Vec<u8>>> {
        let inner = text.strip_prefix(b"(")?.strip_suffix(b")")?;
        Some(inner.split(|&byte| byte == b',').map(<[u8]>::to_vec).collect())
    };
    let (Some(whole), Some(reduced)) = (inner(whole), inner(reduced)) else { return false };
    whole.len() == reduced.len()
        && whole.iter().zip(&reduced).all(|(whole, reduced)| whole == reduced || is_marker(reduced))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(field: &str, whole: &str, reduced: &str, less: bool) {
        assert_eq!(says_less(field, Some(whole.as_bytes()), reduced.as_bytes(), true), less, "{field}: {reduced}");
    }

    #[test]
    fn less_is_not_wrong() {
        check("evt.args", "res=1 fd=3(<f>/etc/passwd) n=4", "res=1 fd=3 n=<NA>", true);
        check("evt.args", "res=1 fd=3(<f>/etc/passwd)", "res=1 fd=3(<f>/etc/shadow)", false);
        check("evt.args", "res=1 fd=3(<f>/etc/passwd)", "res=1 fd=4", false);
        check("evt.arg.fd", "<f>/etc/passwd", "3", true);
        check("evt.arg.fd", "4", "3", false);
        check("evt.args", "fd=3(<u>a->b /run/x) n=4", "fd=3 n=4", true);
        check("evt.args", "fd=3(<u>a->b /run/x) n=4", "fd=3 n=5", false);
        check("fd.containername", ":/usr/share", ":<UNKNOWN>share", true);
        check("fd.containername", ":/usr/share", ":<UNKNOWN>lib", false);
        check("evt.args", "res=0 fd=4(<d>/usr/share)", "res=0 fd=4(<d><UNKNOWN>share)", true);
        check("proc.aname", "(a,b,c)", "(a,<NA>,c)", true);
        check("proc.aname", "(a,b,c)", "(a,x,c)", false);
        check("thread.nametid", "ls12", "<NA>12", true);
        check("proc.name", "ls", "cat", false);
    }
}
