//! Records to events: normal-form scap events with portable values, in the writer's blocks.
//!
//! Calls follow the table ([`crate::calls`]); what a process became (exec, clone, exit) is written here from the facts
//! about its thread ([`process`]).

mod process;

use casebook_formats::event::EventType;
use casebook_formats::tables::ppme::{
    PPME_GENERIC_X, PPME_PROCEXIT_1_E, PPME_SYSCALL_EXECVE_19_X, PPME_SYSCALL_EXECVEAT_X,
};
use casebook_formats::tables::{self, ParamDef};
use casebook_formats::write::{CaptureWriter, WriteError};

use crate::calls::{Call, Calls, Class, Known};
use crate::record::{Kind, Record};

pub(crate) use process::{cgroups, exe_writable, memfd, split_program};

/// Portable code of execveat.
pub(crate) const EXECVEAT: u16 = 325;

/// Turns records into events.
pub(crate) struct Encoder {
    calls: Calls,
    /// Add to a time since boot to get one since the epoch, ns.
    boot: u64,
    params: Params,
    /// Arguments that were changed while their calls were under way.
    pub changed: u64,
}

/// Values of one event's parameters, one after the other.
#[derive(Default)]
pub(crate) struct Params {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

/// Parameters of an event, at most.
const MAX_PARAMS: usize = 32;

impl Params {
    fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }

    /// The next parameter; what `write` leaves out is unknown.
    pub(crate) fn push(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        write(&mut self.bytes);
        self.ends.push(self.bytes.len());
    }

    fn write<W: std::io::Write>(&self, writer: &mut CaptureWriter<W>, head: EventHead) -> Result<(), WriteError> {
        let mut slices: [&[u8]; MAX_PARAMS] = [&[]; MAX_PARAMS];
        let mut start = 0;
        for (slice, &end) in slices.iter_mut().zip(&self.ends) {
            *slice = self.bytes.get(start..end).unwrap_or_default();
            start = end;
        }
        let count = self.ends.len().min(MAX_PARAMS);
        writer.event(head.ts, head.tid, head.cpu, head.etype, &slices[..count])
    }
}

/// Head of an event in a capture.
#[derive(Clone, Copy)]
struct EventHead {
    ts: u64,
    tid: i64,
    cpu: u16,
    etype: EventType,
}

impl Encoder {
    /// An encoder for a machine that was booted at this time, ns since the epoch.
    pub(crate) fn new(boot: u64, calls: Calls) -> Self {
        Self { calls, boot, params: Params::default(), changed: 0 }
    }

    /// The table it goes by.
    pub(crate) fn calls(&self) -> &Calls {
        &self.calls
    }

    /// Writes one event. Snapshot records are no events: `false`.
    pub(crate) fn encode<W: std::io::Write>(
        &mut self,
        record: &Record<'_>,
        writer: &mut CaptureWriter<W>,
    ) -> Result<bool, WriteError> {
        let mut params = std::mem::take(&mut self.params);
        params.clear();
        let etype = match record.head.kind {
            Kind::Call => Some(self.call(record, &mut params)),
            Kind::Exec => Some(exec(record, &mut params)),
            Kind::Exit => Some(exit(record, &mut params)),
            Kind::Task | Kind::File => None,
        };
        let result = match etype {
            Some(etype) => {
                let head = &record.head;
                let ts = self.boot.wrapping_add(head.ts);
                params.write(writer, EventHead { ts, tid: i64::from(head.tid), cpu: head.cpu, etype }).map(|()| true)
            }
            None => Ok(false),
        };
        self.params = params;
        result
    }

    fn call(&mut self, record: &Record<'_>, params: &mut Params) -> EventType {
        let Some(known) = self.calls.get(record.head.code) else { return generic(record, params) };
        let call = Call::new(record);
        match known.class {
            Class::Clone => process::cloned(&call, known, self.boot, params),
            Class::Exec => process::failed_exec(&call, known, params),
            Class::Plain | Class::Fetch | Class::Messages | Class::Data => plain(&call, known, params),
        }
        self.changed += call.changed.get();
        known.etype
    }
}

fn exec(record: &Record<'_>, params: &mut Params) -> EventType {
    let etype = if record.head.code == EXECVEAT { PPME_SYSCALL_EXECVEAT_X } else { PPME_SYSCALL_EXECVE_19_X };
    let count = tables::event(etype).map_or(0, |def| def.params.len());
    process::executed(record, count, params);
    etype
}

fn plain(call: &Call<'_>, known: &Known, params: &mut Params) {
    for (source, param) in known.params.iter().zip(known.def.params) {
        params.push(|out| call.value(*source, param, out));
    }
}

/// A call without a type of its own: its code, and the number it had.
fn generic(record: &Record<'_>, params: &mut Params) -> EventType {
    let code = record.head.code;
    // The kernel side leaves the number in the last argument when it has no code for it.
    let native = match tables::syscall(code).and_then(|call| call.x86_64) {
        Some(number) if code > 0 => number,
        _ => record.head.args[5] as u16,
    };
    params.push(|out| out.extend_from_slice(&code.to_le_bytes()));
    params.push(|out| out.extend_from_slice(&native.to_le_bytes()));
    PPME_GENERIC_X
}

/// A thread ended: the kernel's exit code and its parts, and who takes over its children.
fn exit(record: &Record<'_>, params: &mut Params) -> EventType {
    let code = record.head.ret as u64;
    let types: &[ParamDef] = tables::event(PPME_PROCEXIT_1_E).map_or(&[], |def| def.params);
    let values = [code, code >> 8 & 0xff, code & 0x7f, u64::from(code & 0x80 != 0), record.head.args[0]];
    for (param, value) in types.iter().zip(values) {
        params.push(|out| crate::calls::number(out, param.ty, value));
    }
    PPME_PROCEXIT_1_E
}
