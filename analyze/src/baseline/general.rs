//! Paths without what changes from run to run.
//!
//! `/proc/4711/maps` → `/proc/<n>/maps`; `/tmp/tmp.X8s2kQ1z` → `/tmp/<random>`. Used for written paths and for paths of
//! executables alike: two runs of one benign thing give one fact.

/// The path with numbers, hexadecimal ids and random names replaced.
pub fn general_path(path: &str) -> String {
    path.split('/').map(general_part).collect::<Vec<_>>().join("/")
}

/// One part of a path.
fn general_part(part: &str) -> String {
    if part.is_empty() {
        return String::new();
    }
    if part.bytes().all(|byte| byte.is_ascii_digit()) {
        return "<n>".to_owned();
    }
    let hexadecimal = part.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    if hexadecimal && part.len() >= 12 {
        return "<id>".to_owned();
    }
    // `tmp.X8s2kQ1z`, `dpkg-deb.abc123`: an ending that nobody types.
    if let Some((stem, ending)) = part.rsplit_once(['.', '-', '_'])
        && is_random(ending)
    {
        let mark = &part[stem.len()..=stem.len()];
        return format!("{}{mark}<random>", general_digits(stem));
    }
    if is_random(part) {
        return "<random>".to_owned();
    }
    general_digits(part)
}

/// Six characters or more that mix small letters, capitals and digits.
fn is_random(text: &str) -> bool {
    let has = |test: fn(&u8) -> bool| text.as_bytes().iter().any(test);
    let kinds = [has(u8::is_ascii_lowercase), has(u8::is_ascii_uppercase), has(u8::is_ascii_digit)];
    let mixed =
        kinds.iter().filter(|kind| **kind).count() == 3 || (kinds[1] && kinds[0] && changes(text) > text.len() / 3);
    text.len() >= 6 && text.bytes().all(|byte| byte.is_ascii_alphanumeric()) && mixed
}

/// How often capitals and small letters alternate: `CamelCase` does so seldom.
fn changes(text: &str) -> usize {
    text.as_bytes().windows(2).filter(|pair| pair[0].is_ascii_uppercase() != pair[1].is_ascii_uppercase()).count()
}

/// Runs of four digits or more are dates, pids and counters; shorter ones are versions and belong to a name.
fn general_digits(text: &str) -> String {
    let mut general = String::with_capacity(text.len());
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        if digits >= 4 {
            general.push_str("<n>");
        } else {
            general.push_str(&rest[..digits]);
        }
        rest = &rest[digits..];
        let others = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        general.push_str(&rest[..others]);
        rest = &rest[others..];
    }
    general
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changes_from_run_to_run_goes() {
        for (path, general) in [
            ("/proc/4711/maps", "/proc/<n>/maps"),
            ("/tmp/tmp.X8s2kQ1z", "/tmp/tmp.<random>"),
            ("/var/lib/docker/overlay2/0123456789abcdef0123/diff", "/var/lib/docker/overlay2/<id>/diff"),
            ("/var/log/app-20261122.log", "/var/log/app-<n>.log"),
            ("/usr/lib/python3.11/site.py", "/usr/lib/python3.11/site.py"),
            ("/home/alice/NetworkManager", "/home/alice/NetworkManager"),
            ("/dev/shm/.d", "/dev/shm/.d"),
            ("relative", "relative"),
            ("", ""),
        ] {
            assert_eq!(general_path(path), general);
        }
    }
}
