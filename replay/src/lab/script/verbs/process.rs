//! Verbs about processes: how they begin, what they become, who they are.

use casebook_fixtures::Task;

use super::{Call, Told};
use crate::lab::script::Teller;

pub(super) fn spawn(t: &mut Teller<'_>, call: &mut Call<'_>) -> Told {
    let child = t.trace.fork(call.task);
    let path = t.execute(call, child, call.value)?;
    t.introduced(call, child, &path)
}

pub(super) fn exec(t: &mut Teller<'_>, call: &mut Call<'_>) -> Told {
    t.execute(call, call.task, call.value).map(|_| ())
}

fn born(t: &mut Teller<'_>, call: &mut Call<'_>, child: Task) -> Told {
    let name = t.text(call.value)?;
    t.introduce(child, Some((&name, call.value.span)), &name)
}

pub(super) fn fork(t: &mut Teller<'_>, call: &mut Call<'_>) -> Told {
    let child = t.trace.fork(call.task);
    born(t, call, child)
}

pub(super) fn vfork(t: &mut Teller<'_>, call: &mut Call<'_>) -> Told {
    let child = t.trace.vfork(call.task);
    born(t, call, child)
}

pub(super) fn thread(t: &mut Teller<'_>, call: &mut Call<'_>) -> Told {
    let child = t.trace.thread(call.task);
    born(t, call, child)
}

pub(super) fn enter(t: &mut Teller<'_>, call: &mut Call<'_>) -> Told {
    let container = t.container_named(call.value)?;
    let child = t.trace.enter(call.task, &container);
    // The runtime's helper leads a session of its own before it becomes the program.
    t.trace.setsid(child);
    let program = match call.entries.take("run") {
        Some(line) => t.execute(call, child, line)?,
        None => "runc".to_owned(),
    };
    t.introduced(call, child, &program)
}

pub(super) fn exit(t: &mut Teller<'_>, call: &mut Call<'_>) -> Told {
    let status = t.number(call.value)?;
    t.trace.exit(call.task, status);
    Some(())
}

pub(super) fn setuid(t: &mut Teller<'_>, call: &mut Call<'_>) -> Told {
    let uid = t.number(call.value)?;
    let result = t.result(call).ok()?.unwrap_or(0);
    t.trace.setuid(call.task, uid, result);
    Some(())
}

pub(super) fn setresuid(t: &mut Teller<'_>, call: &mut Call<'_>) -> Told {
    let uid = t.number(call.value)?;
    let result = t.result(call).ok()?.unwrap_or(0);
    t.trace.setresuid(call.task, uid, result);
    Some(())
}

/// A call without arguments takes no value.
fn nothing(t: &mut Teller<'_>, call: &Call<'_>) -> Told {
    if call.value.is_null() { Some(()) } else { t.notes.wrong(call.value.span, "this takes no value: `~`") }
}

pub(super) fn setsid(t: &mut Teller<'_>, call: &mut Call<'_>) -> Told {
    nothing(t, call)?;
    t.trace.setsid(call.task);
    Some(())
}

pub(super) fn setpgid(t: &mut Teller<'_>, call: &mut Call<'_>) -> Told {
    nothing(t, call)?;
    t.trace.setpgid(call.task);
    Some(())
}

pub(super) fn login(t: &mut Teller<'_>, call: &mut Call<'_>) -> Told {
    let uid = t.number(call.value)?;
    t.trace.audit_login(call.task, uid);
    Some(())
}
