//! What opens ask for, and paths made absolute by a directory descriptor.

use std::borrow::Cow;

use casebook_formats::event::{Event, EventType};
use casebook_formats::tables::ppme;

use super::super::{params, path};
use crate::context::EventContext;
use crate::state::flags::{AT_FDCWD, O_F_CREATED};

/// `O_RDONLY` of the portable open flags. Read-write is both bits.
pub(super) const O_RDONLY: u64 = 1;
/// `O_WRONLY` of the portable open flags.
pub(super) const O_WRONLY: u64 = 2;
/// `O_CREAT` of the portable open flags.
const O_CREAT: u64 = 4;
/// `O_TMPFILE` of the portable open flags.
const O_TMPFILE: u64 = 1 << 13;
/// Execute permission for anybody, `0111` (the portable mode bits are those of Linux).
const ANY_EXEC: u64 = 0o111;

/// Position of the open flags among the parameters of the calls that have them.
pub(in crate::fields) fn flags_position(etype: EventType) -> Option<usize> {
    match etype {
        ppme::PPME_SYSCALL_OPEN_X | ppme::PPME_SYSCALL_OPEN_BY_HANDLE_AT_X => Some(2),
        ppme::PPME_SYSCALL_OPENAT_2_X | ppme::PPME_SYSCALL_OPENAT2_X => Some(3),
        _ => None,
    }
}

/// Open flags of the calls that have them; 0 where they are not known.
pub(super) fn open_flags(event: &Event<'_>) -> Option<u64> {
    Some(event.u64(flags_position(event.etype)?).unwrap_or(0))
}

/// The call made the file.
pub(super) fn creates_file(event: &Event<'_>) -> bool {
    let Some(flags) = open_flags(event) else { return false };
    flags & u64::from(O_F_CREATED) != 0
        || (flags & O_TMPFILE != 0 && params::result(event).is_some_and(|result| result >= 0))
}

/// The call asks for a new file that somebody may execute.
pub(super) fn creates_executable(event: &Event<'_>) -> bool {
    let mode = match event.etype {
        ppme::PPME_SYSCALL_CREAT_X => 2,
        ppme::PPME_SYSCALL_OPEN_X => 3,
        ppme::PPME_SYSCALL_OPENAT_2_X | ppme::PPME_SYSCALL_OPENAT2_X => 4,
        _ => return false,
    };
    let may_create = open_flags(event).is_none_or(|flags| flags & (O_TMPFILE | O_CREAT) != 0);
    may_create && event.u64(mode).is_some_and(|mode| mode & ANY_EXEC != 0)
}

/// Names of directory descriptor and path of the `*at` calls: source and destination, equal where there is one path.
fn path_pairs(etype: EventType) -> Option<[(&'static str, &'static str); 2]> {
    match etype {
        ppme::PPME_SYSCALL_RENAMEAT_X | ppme::PPME_SYSCALL_RENAMEAT2_X => {
            Some([("olddirfd", "oldpath"), ("newdirfd", "newpath")])
        }
        ppme::PPME_SYSCALL_LINKAT_2_X => Some([("olddir", "oldpath"), ("newdir", "newpath")]),
        ppme::PPME_SYSCALL_SYMLINKAT_X => Some([("linkdirfd", "linkpath"); 2]),
        ppme::PPME_SYSCALL_OPENAT_2_X | ppme::PPME_SYSCALL_OPENAT2_X | ppme::PPME_SYSCALL_UNLINKAT_2_X => {
            Some([("dirfd", "name"); 2])
        }
        ppme::PPME_SYSCALL_MKDIRAT_X => Some([("dirfd", "path"); 2]),
        ppme::PPME_SYSCALL_FCHMODAT_X => Some([("dirfd", "filename"); 2]),
        ppme::PPME_SYSCALL_FCHOWNAT_X => Some([("dirfd", "pathname"); 2]),
        _ => None,
    }
}

/// `evt.abspath`: path of an `*at` call made absolute by its directory descriptor; `dst` means the second of two.
pub(super) fn absolute_path(context: &EventContext<'_>, end: Option<&str>) -> Option<Vec<u8>> {
    let event = context.event;
    let thread = context.thread?;
    if event.etype == ppme::PPME_SYSCALL_OPEN_BY_HANDLE_AT_X {
        params::result(event).filter(|&fd| fd > 0)?;
        return Some(path::join(b"", event.text(3)?));
    }
    let (dirfd, given) = path_pairs(event.etype)?[usize::from(end == Some("dst"))];
    let dirfd = event.i64(params::position(event, dirfd)?)?;
    let given = event.text(params::position(event, given)?)?;
    let base: Cow<'_, [u8]> = if given.starts_with(b"/") {
        Cow::Borrowed(b"")
    } else if dirfd == AT_FDCWD {
        Cow::Borrowed(context.state.cwd(thread)?)
    } else {
        Cow::Borrowed(context.state.fd(thread, dirfd).map_or(UNKNOWN_DIRECTORY, |fd| fd.name.as_ref()))
    };
    Some(path::join(&base, given))
}

/// Stands for a directory that the capture does not tell, in front of a relative path.
pub(in crate::fields) const UNKNOWN_DIRECTORY: &[u8] = b"<UNKNOWN>";

#[cfg(test)]
mod tests {
    use super::super::super::sample::{Sample, state};
    use super::*;

    fn open(flags: u32, mode: u32, result: i64) -> Sample {
        Sample::new(ppme::PPME_SYSCALL_OPEN_X)
            .with(result.to_le_bytes())
            .with(b"f\0")
            .with(flags.to_le_bytes())
            .with(mode.to_le_bytes())
    }

    fn yes(sample: &Sample, field: &str) -> bool {
        sample.alone(field).as_deref() == Some("true")
    }

    #[test]
    fn open_modes_by_flags_and_by_creation() {
        let read_write = open(3, 0, 5);
        assert!(yes(&read_write, "evt.is_open_read") && yes(&read_write, "evt.is_open_write"));
        assert!(yes(&open(1, 0, 5), "evt.is_open_read") && !yes(&open(1, 0, 5), "evt.is_open_write"));
        assert!(yes(&open(O_CREAT as u32, 0o755, 5), "evt.is_open_exec"));
        assert!(!yes(&open(O_CREAT as u32, 0o644, 5), "evt.is_open_exec"), "no execute bit");
        assert!(!yes(&open(1, 0o755, 5), "evt.is_open_exec"), "nothing is created");
        assert!(yes(&open(O_F_CREATED, 0, 5), "evt.is_open_create"));
        assert!(yes(&open(O_TMPFILE as u32, 0, 5), "evt.is_open_create"));
        assert!(!yes(&open(O_TMPFILE as u32, 0, -2), "evt.is_open_create"), "failed");
        let creat = Sample::new(ppme::PPME_SYSCALL_CREAT_X).unknown(2).with(0o100u32.to_le_bytes());
        assert!(yes(&creat, "evt.is_open_exec"), "creat answers this question only");
        assert!(!yes(&creat, "evt.is_open_write"));
        let close = Sample::new(ppme::PPME_SYSCALL_CLOSE_X);
        assert_eq!(close.alone("evt.is_open_read").as_deref(), Some("false"), "false, not absent, on other events");
    }

    #[test]
    fn absolute_paths_of_at_calls() {
        let rename = Sample::new(ppme::PPME_SYSCALL_RENAMEAT2_X)
            .with(0i64.to_le_bytes())
            .with(3i64.to_le_bytes())
            .with(b"a\0")
            .with((-100i64).to_le_bytes())
            .with(b"../b\0");
        let texts = rename.on(&mut state(), &["evt.abspath", "evt.abspath.src", "evt.abspath.dst"]);
        assert_eq!(texts.iter().flatten().collect::<Vec<_>>(), ["/srv/a", "/srv/a", "/b"]);
        let texts = rename.on(&mut state(), &["fs.path.source", "fs.path.sourceraw", "fs.path.target", "fs.path.name"]);
        assert_eq!(texts[..3].iter().flatten().collect::<Vec<_>>(), ["/srv/a", "a", "/b"]);
        assert_eq!(texts[3], None);
    }
}
