//! `fs.path.*`: the paths of calls that act on the file system by name.

use std::borrow::Cow;

use casebook_formats::event::EventType;
use casebook_formats::tables::ppme;
use casebook_rules::event::Extracted;

use super::catalogue::FspathField;
use super::{cow, event, params, path, when};
use crate::context::EventContext;
use crate::state::flags::AT_FDCWD;

/// Where a path stands.
#[derive(Clone, Copy)]
enum At {
    /// A parameter, relative to the working directory or to its directory descriptor.
    Param(&'static str),
    /// The target of a symbolic link: relative to the directory of the link, which is the other parameter.
    LinkTarget(&'static str, &'static str),
    /// The event's descriptor.
    Descriptor,
    /// The call has no such path.
    None,
}

/// Paths of a call: the one it acts on, or source and target of two.
struct Paths {
    one: At,
    source: At,
    target: At,
}

const fn one(at: At) -> Paths {
    Paths { one: at, source: At::None, target: At::None }
}

const fn two(source: At, target: At) -> Paths {
    Paths { one: At::None, source, target }
}

/// Which parameters of a call are its paths. For links the source is the new name and the target what it points to.
fn paths(etype: EventType) -> Option<Paths> {
    Some(match etype {
        ppme::PPME_SYSCALL_MKDIR_2_X
        | ppme::PPME_SYSCALL_MKDIRAT_X
        | ppme::PPME_SYSCALL_RMDIR_2_X
        | ppme::PPME_SYSCALL_UNLINK_2_X
        | ppme::PPME_SYSCALL_CHOWN_X
        | ppme::PPME_SYSCALL_LCHOWN_X => one(At::Param("path")),
        ppme::PPME_SYSCALL_UNLINKAT_2_X
        | ppme::PPME_SYSCALL_OPEN_X
        | ppme::PPME_SYSCALL_OPENAT_2_X
        | ppme::PPME_SYSCALL_OPENAT2_X
        | ppme::PPME_SYSCALL_UMOUNT_X
        | ppme::PPME_SYSCALL_UMOUNT_1_X
        | ppme::PPME_SYSCALL_UMOUNT2_X => one(At::Param("name")),
        ppme::PPME_SYSCALL_CHMOD_X | ppme::PPME_SYSCALL_FCHMODAT_X => one(At::Param("filename")),
        ppme::PPME_SYSCALL_FCHOWNAT_X => one(At::Param("pathname")),
        ppme::PPME_SYSCALL_QUOTACTL_X => one(At::Param("special")),
        ppme::PPME_SYSCALL_FCHMOD_X | ppme::PPME_SYSCALL_FCHOWN_X => one(At::Descriptor),
        ppme::PPME_SYSCALL_RENAME_X | ppme::PPME_SYSCALL_RENAMEAT_X | ppme::PPME_SYSCALL_RENAMEAT2_X => {
            two(At::Param("oldpath"), At::Param("newpath"))
        }
        ppme::PPME_SYSCALL_LINK_2_X | ppme::PPME_SYSCALL_LINKAT_2_X => two(At::Param("newpath"), At::Param("oldpath")),
        ppme::PPME_SYSCALL_SYMLINK_X | ppme::PPME_SYSCALL_SYMLINKAT_X => {
            two(At::Param("linkpath"), At::LinkTarget("target", "linkpath"))
        }
        ppme::PPME_SYSCALL_MOUNT_X => two(At::Param("dev"), At::Param("dir")),
        _ => return None,
    })
}

/// The call did what it was asked to. libs takes any result but -1 of an open for success, so that paths of failed
/// opens show; other calls have to return 0.
fn succeeded(context: &EventContext<'_>) -> bool {
    let event = context.event;
    match event.etype {
        ppme::PPME_SYSCALL_OPEN_X | ppme::PPME_SYSCALL_OPENAT_2_X | ppme::PPME_SYSCALL_OPENAT2_X => {
            params::result(event).is_some_and(|fd| fd != -1)
        }
        _ => params::result(event) == Some(0),
    }
}

pub(super) fn extract<'e>(context: &'e EventContext<'_>, field: FspathField) -> Extracted<'e> {
    let Some(paths) = paths(context.event.etype).filter(|_| succeeded(context)) else { return Extracted::Absent };
    match field {
        FspathField::FsPathName => when(absolute(context, paths.one), cow),
        FspathField::FsPathNameraw => when(given(context, paths.one).map(Cow::Borrowed), cow),
        FspathField::FsPathSource => when(absolute(context, paths.source), cow),
        FspathField::FsPathSourceraw => when(given(context, paths.source).map(Cow::Borrowed), cow),
        FspathField::FsPathTarget => when(absolute(context, paths.target), cow),
        FspathField::FsPathTargetraw => when(given(context, paths.target).map(Cow::Borrowed), cow),
    }
}

/// The path as the caller gave it.
fn given<'e>(context: &'e EventContext<'_>, at: At) -> Option<&'e [u8]> {
    match at {
        At::Param(name) | At::LinkTarget(name, _) => context.event.text(params::position(context.event, name)?),
        At::Descriptor => context.fd.map(|fd| fd.name.as_ref()),
        At::None => None,
    }
}

/// The path made absolute.
fn absolute<'e>(context: &'e EventContext<'_>, at: At) -> Option<Cow<'e, [u8]>> {
    let given = given(context, at)?;
    let thread = context.thread?;
    if given.starts_with(b"/") || given.is_empty() {
        return Some(path::resolve(b"", given));
    }
    let cwd = || context.state.cwd(thread).unwrap_or(event::UNKNOWN_DIRECTORY);
    let base: Cow<'_, [u8]> = match at {
        At::Param(name) => match directory_argument(context, name) {
            None | Some(AT_FDCWD) => Cow::Borrowed(cwd()),
            Some(dirfd) => {
                let record = context.state.fd(thread, dirfd);
                Cow::Borrowed(record.map_or(event::UNKNOWN_DIRECTORY, |record| record.name.as_ref()))
            }
        },
        At::LinkTarget(_, link) => {
            let link = absolute(context, At::Param(link))?;
            Cow::Owned(path::directory(&link).to_vec())
        }
        At::Descriptor | At::None => Cow::Borrowed(cwd()),
    };
    Some(path::resolve(&base, given))
}

/// Directory descriptor that a path parameter is relative to, where it has one.
fn directory_argument(context: &EventContext<'_>, name: &str) -> Option<i64> {
    let index = params::position(context.event, name)?;
    let dirfd = params::param(context.event, index)?.dirfd?;
    context.event.i64(usize::from(dirfd))
}

#[cfg(test)]
mod tests {
    use super::super::sample::{Sample, state};
    use super::*;

    const OK: [u8; 8] = 0i64.to_le_bytes();

    #[test]
    fn one_path_and_two() {
        let unlink = Sample::new(ppme::PPME_SYSCALL_UNLINKAT_2_X).with(OK).with(3i64.to_le_bytes()).with(b"x\0");
        let texts = unlink.on(&mut state(), &["fs.path.name", "fs.path.nameraw", "fs.path.source"]);
        assert_eq!(texts, [Some("/srv/x".to_owned()), Some("x".to_owned()), None]);
        let link = Sample::new(ppme::PPME_SYSCALL_SYMLINK_X).with(OK).with(b"t\0").with(b"/srv/a/link\0");
        let texts = link.on(&mut state(), &["fs.path.source", "fs.path.target", "fs.path.targetraw"]);
        let wanted = ["/srv/a/link", "/srv/a/t", "t"];
        assert_eq!(texts.into_iter().flatten().collect::<Vec<_>>(), wanted, "a link's target is relative to the link");
        let mount = Sample::new(ppme::PPME_SYSCALL_MOUNT_X).with(OK).with(b"\0").with(b"/mnt\0");
        let texts = mount.on(&mut state(), &["fs.path.source", "fs.path.target"]);
        assert_eq!(texts, [Some(String::new()), Some("/mnt".to_owned())], "an empty path is not the working directory");
    }

    #[test]
    fn only_what_succeeded() {
        let unlink = Sample::new(ppme::PPME_SYSCALL_UNLINK_2_X).with((-2i64).to_le_bytes()).with(b"/x\0");
        assert_eq!(unlink.one_on(&mut state(), "fs.path.name"), None);
        // Opens that failed show their path, by the quirk named above.
        let open = Sample::new(ppme::PPME_SYSCALL_OPEN_X).with((-2i64).to_le_bytes()).with(b"/x\0");
        assert_eq!(open.one_on(&mut state(), "fs.path.name").as_deref(), Some("/x"));
    }
}
