//! Verbs about files, descriptors and directories.

use casebook_fixtures::flags;
use casebook_fixtures::flags::APPEND;
use casebook_fixtures::flags::O_RDWR;
use casebook_fixtures::flags::O_WRONLY;
use casebook_fixtures::flags::READ;
use casebook_fixtures::flags::WRITE;

use super::{Call, Told};
use crate::lab::script::Teller;

pub(super) fn open(t: &mut Teller<'_>, call: &mut Call<'_>) -> Told {
    let path = t.text(call.value)?;
    let ways = [
        ("read", READ),
        ("write", WRITE),
        ("append", APPEND),
        ("edit", O_WRONLY),
        ("update", O_RDWR),
        ("create", WRITE | flags::O_F_CREATED),
    ];
    let flags = match (call.entries.take("for"), call.entries.take("flags")) {
        (Some(_), Some(flags)) => return t.notes.wrong(flags.span, "`for` says it already"),
        (Some(way), None) => t.notes.one_of(way, &ways)?,
        (None, Some(flags)) => t.flags(flags, "file_flags")?,
        (None, None) => READ,
    };
    if let Some(error) = t.result(call).ok()?.filter(|result| *result < 0) {
        t.trace.open_failed(call.task, &path, flags, error);
        return Some(());
    }
    let fd = t.trace.open(call.task, &path, flags);
    t.name_descriptor(call, fd)
}

pub(super) fn read(t: &mut Teller<'_>, call: &mut Call<'_>) -> Told {
    let fd = t.descriptor(call.value)?;
    let data = t.option(call, "data").ok()?.unwrap_or_default();
    t.trace.read(call.task, fd, data.as_bytes());
    Some(())
}

pub(super) fn write(t: &mut Teller<'_>, call: &mut Call<'_>) -> Told {
    let fd = t.descriptor(call.value)?;
    let data = t.option(call, "data").ok()?.unwrap_or_default();
    t.trace.write(call.task, fd, data.as_bytes());
    Some(())
}

pub(super) fn close(t: &mut Teller<'_>, call: &mut Call<'_>) -> Told {
    let fd = t.descriptor(call.value)?;
    t.trace.close(call.task, fd);
    Some(())
}

pub(super) fn dup2(t: &mut Teller<'_>, call: &mut Call<'_>) -> Told {
    let fd = t.descriptor(call.value)?;
    let to = call.entries.need("to", "`dup2`", t.notes)?;
    let to = t.descriptor(to)?;
    t.trace.dup2(call.task, fd, to);
    Some(())
}

pub(super) fn unlink(t: &mut Teller<'_>, call: &mut Call<'_>) -> Told {
    let path = t.text(call.value)?;
    t.trace.unlink(call.task, &path);
    Some(())
}

pub(super) fn remove(t: &mut Teller<'_>, call: &mut Call<'_>) -> Told {
    let path = t.text(call.value)?;
    t.trace.unlinkat(call.task, &path);
    Some(())
}

pub(super) fn rename(t: &mut Teller<'_>, call: &mut Call<'_>) -> Told {
    let (from, to) = (t.text(call.value)?, t.needed(call, "to")?);
    t.trace.rename(call.task, &from, &to);
    Some(())
}

pub(super) fn mkdir(t: &mut Teller<'_>, call: &mut Call<'_>) -> Told {
    let path = t.text(call.value)?;
    t.trace.mkdir(call.task, &path);
    Some(())
}

pub(super) fn symlink(t: &mut Teller<'_>, call: &mut Call<'_>) -> Told {
    let (target, link) = (t.text(call.value)?, t.needed(call, "link")?);
    t.trace.symlink(call.task, &target, &link);
    Some(())
}

pub(super) fn link(t: &mut Teller<'_>, call: &mut Call<'_>) -> Told {
    let (old, new) = (t.text(call.value)?, t.needed(call, "to")?);
    t.trace.link(call.task, &old, &new);
    Some(())
}

pub(super) fn chmod(t: &mut Teller<'_>, call: &mut Call<'_>) -> Told {
    let path = t.text(call.value)?;
    let node = call.entries.need("mode", "`chmod`", t.notes)?;
    let text = t.text(node)?;
    let octal = text.bytes().all(|byte| (b'0'..=b'7').contains(&byte));
    let mode = match u32::from_str_radix(&text, 8) {
        // The format's bits are those of the kernel here.
        Ok(mode) if octal => mode,
        _ => t.flags(node, "chmod_mode")?,
    };
    t.trace.chmod(call.task, &path, mode);
    Some(())
}

pub(super) fn mount(t: &mut Teller<'_>, call: &mut Call<'_>) -> Told {
    let device = t.text(call.value)?;
    let (dir, kind) = (t.needed(call, "on")?, t.option(call, "type").ok()?.unwrap_or_else(|| "ext4".to_owned()));
    let result = t.result(call).ok()?.unwrap_or(0);
    t.trace.mount(call.task, &device, &dir, &kind, result);
    Some(())
}

pub(super) fn chdir(t: &mut Teller<'_>, call: &mut Call<'_>) -> Told {
    let path = t.text(call.value)?;
    t.trace.chdir(call.task, &path);
    Some(())
}
