//! Verbs about other processes, namespaces, modules and containers.

use super::{Call, Told};
use crate::lab::script::Teller;

pub(super) fn ptrace(t: &mut Teller<'_>, call: &mut Call<'_>) -> Told {
    let request = t.text(call.value)?;
    t.flags(call.value, "ptrace_requests")?;
    let of = call.entries.need("of", "`ptrace`", t.notes)?;
    let target = t.actor(of)?;
    let result = t.result(call).ok()?.unwrap_or(0);
    t.trace.ptrace(call.task, &request, target, result);
    Some(())
}

pub(super) fn write_memory(t: &mut Teller<'_>, call: &mut Call<'_>) -> Told {
    let target = t.actor(call.value)?;
    let data = t.option(call, "data").ok()?.unwrap_or_default();
    t.trace.write_memory(call.task, target, data.as_bytes());
    Some(())
}

pub(super) fn setns(t: &mut Teller<'_>, call: &mut Call<'_>) -> Told {
    let fd = t.descriptor(call.value)?;
    let kind = match call.entries.take("type") {
        Some(kind) => t.flags(kind, "clone_flags")?,
        None => 0,
    };
    let result = t.result(call).ok()?.unwrap_or(0);
    t.trace.setns(call.task, fd, kind, result);
    Some(())
}

pub(super) fn unshare(t: &mut Teller<'_>, call: &mut Call<'_>) -> Told {
    let kinds = t.flags(call.value, "clone_flags")?;
    let result = t.result(call).ok()?.unwrap_or(0);
    t.trace.unshare(call.task, kinds, result);
    Some(())
}

pub(super) fn init_module(t: &mut Teller<'_>, call: &mut Call<'_>) -> Told {
    let arguments = if call.value.is_null() { String::new() } else { t.text(call.value)? };
    let result = t.result(call).ok()?.unwrap_or(0);
    t.trace.init_module(call.task, &arguments, result);
    Some(())
}

pub(super) fn finit_module(t: &mut Teller<'_>, call: &mut Call<'_>) -> Told {
    let fd = t.descriptor(call.value)?;
    let result = t.result(call).ok()?.unwrap_or(0);
    t.trace.finit_module(call.task, fd, result);
    Some(())
}

pub(super) fn bpf(t: &mut Teller<'_>, call: &mut Call<'_>) -> Told {
    let command = t.text(call.value)?;
    t.flags(call.value, "bpf_commands")?;
    let fd = t.trace.bpf(call.task, &command);
    t.name_descriptor(call, fd)
}

pub(super) fn memfd(t: &mut Teller<'_>, call: &mut Call<'_>) -> Told {
    let name = if call.value.is_null() { String::new() } else { t.text(call.value)? };
    let fd = t.trace.memfd(call.task, &name);
    t.name_descriptor(call, fd)
}

pub(super) fn userfaultfd(t: &mut Teller<'_>, call: &mut Call<'_>) -> Told {
    let fd = t.trace.userfaultfd(call.task);
    t.name_descriptor(call, fd)
}

pub(super) fn container(t: &mut Teller<'_>, call: &mut Call<'_>) -> Told {
    let container = t.container_named(call.value)?;
    let later = match call.entries.take("async") {
        Some(node) => t.notes.yes(node)?,
        None => false,
    };
    if later {
        t.trace.container_async(&container);
    } else {
        t.trace.container(&container);
    }
    Some(())
}
