//! `evt.*`: the event itself.

mod io;
mod open;
pub(super) mod time;

use std::borrow::Cow;

use casebook_formats::event::{Event, EventType};
use casebook_formats::tables::{Category, Direction, EventFlags, EventOrigin, ppme};
use casebook_rules::event::Extracted;
use casebook_rules::schema::FieldArg;
use casebook_rules::value::Value;

use super::catalogue::EventField;
use super::{args, cow, fixed, key, names, owned, params, print, signed, truth, unsigned, when};
use crate::context::EventContext;
use crate::state::FdKind;
use io::{ErrorKind, buffer, error_count, error_of, io_direction, io_length, is_file, is_internet};
use open::{O_RDONLY, O_WRONLY, absolute_path, creates_executable, creates_file, open_flags};
pub(super) use open::{UNKNOWN_DIRECTORY, flags_position};

use time::NS;

pub(super) fn extract<'e>(context: &'e EventContext<'_>, field: EventField, arg: &FieldArg) -> Extracted<'e> {
    let event = context.event;
    match field {
        EventField::EvtNum => unsigned(event.num),
        EventField::EvtTime
        | EventField::EvtOutputtime
        | EventField::EvtTimeS
        | EventField::EvtTimeIso8601
        | EventField::EvtDatetime
        | EventField::EvtDatetimeS
        | EventField::EvtRawtime
        | EventField::EvtRawtimeS
        | EventField::EvtRawtimeNs
        | EventField::EvtReltime
        | EventField::EvtReltimeS
        | EventField::EvtReltimeNs
        | EventField::EvtDeltatime
        | EventField::EvtDeltatimeS
        | EventField::EvtDeltatimeNs => time::extract(event.ts, context.clock, field),
        EventField::EvtLatency => when(latency(event), unsigned),
        EventField::EvtLatencyS => when(latency(event), |ns| unsigned(ns / NS)),
        EventField::EvtLatencyNs => when(latency(event), |ns| unsigned(ns % NS)),
        EventField::EvtLatencyHuman => when(latency(event), |ns| owned(print::duration(ns))),
        EventField::EvtWaitLatency => when(latency(event).filter(|_| has(event, EventFlags::WAITS)), unsigned),
        EventField::EvtSource => when(context.source(), fixed),
        EventField::EvtIsAsync => truth(is_meta(event)),
        EventField::EvtAsynctype => when(Some(event).filter(|event| is_meta(event)), |event| cow(name(event))),
        EventField::EvtHostname => {
            when(Some(&context.state.machine().hostname).filter(|name| !name.is_empty()), |name| super::borrowed(name))
        }
        EventField::EvtDir => fixed(if is_exit(event) { "<" } else { ">" }),
        EventField::EvtType => cow(name(event)),
        EventField::EvtTypeIs => unsigned(u64::from(is_type(event.etype, arg))),
        EventField::SyscallType => {
            when(Some(event).filter(|event| params::is_syscall(event.etype.0)), |event| cow(name(event)))
        }
        EventField::EvtCategory => fixed(category(context)),
        EventField::EvtCpu => signed(i64::from(event.cpu as i16)),
        EventField::EvtArgs | EventField::EvtInfo => cow(args::all(context)),
        EventField::EvtArg => when(argument(event, arg).and_then(|at| args::one(context, at)), cow),
        EventField::EvtRawarg => when(argument(event, arg).and_then(|at| params::raw(event, at)), Extracted::One),
        EventField::EvtBuffer => when(buffer(event), |bytes| Extracted::One(Value::Bytes(Cow::Borrowed(bytes)))),
        EventField::EvtRes => when(params::result(event), outcome),
        EventField::EvtRawres => when(params::result(event), signed),
        EventField::EvtFailed => when(params::result(event), |result| truth(result < 0)),
        EventField::EvtIsIo => truth(has(event, EventFlags::READS_FROM_FD) || has(event, EventFlags::WRITES_TO_FD)),
        EventField::EvtIsIoRead => truth(has(event, EventFlags::READS_FROM_FD)),
        EventField::EvtIsIoWrite => truth(has(event, EventFlags::WRITES_TO_FD)),
        EventField::EvtIoDir => when(io_direction(event), fixed),
        EventField::EvtIsWait => truth(has(event, EventFlags::WAITS)),
        EventField::EvtIsSyslog => {
            truth(has(event, EventFlags::WRITES_TO_FD) && context.fd.is_some_and(|fd| contains(&fd.name, b"/dev/log")))
        }
        EventField::EvtCount => unsigned(1),
        EventField::EvtCountExit => when(is_exit(event).then_some(1), unsigned),
        EventField::EvtCountProcinfo => unsigned(u64::from(
            event.etype == ppme::PPME_PROCINFO_E && context.thread.is_some_and(crate::state::Thread::is_main),
        )),
        EventField::EvtCountThreadinfo => unsigned(u64::from(event.etype == ppme::PPME_PROCINFO_E)),
        EventField::EvtCountError => when(error_count(event), unsigned),
        EventField::EvtCountErrorFile => when(error_of(context, ErrorKind::File), unsigned),
        EventField::EvtCountErrorNet => when(error_of(context, ErrorKind::Net), unsigned),
        EventField::EvtCountErrorMemory => when(error_of(context, ErrorKind::Memory), unsigned),
        EventField::EvtCountErrorOther => when(error_of(context, ErrorKind::Other), unsigned),
        // The condition `evt.around[T] = D` asks whether this is within D ms of T.
        EventField::EvtAround => unsigned(event.ts),
        EventField::EvtAbspath => when(absolute_path(context, key(arg)), owned),
        EventField::EvtBuflen => when(io_length(context, None, |_| true), unsigned),
        EventField::EvtBuflenIn => when(io_length(context, Some(Category::IoRead), |_| true), unsigned),
        EventField::EvtBuflenOut => when(io_length(context, Some(Category::IoWrite), |_| true), unsigned),
        EventField::EvtBuflenFile => when(io_length(context, None, is_file), unsigned),
        EventField::EvtBuflenFileIn => when(io_length(context, Some(Category::IoRead), is_file), unsigned),
        EventField::EvtBuflenFileOut => when(io_length(context, Some(Category::IoWrite), is_file), unsigned),
        EventField::EvtBuflenNet => when(io_length(context, None, is_internet), unsigned),
        EventField::EvtBuflenNetIn => when(io_length(context, Some(Category::IoRead), is_internet), unsigned),
        EventField::EvtBuflenNetOut => when(io_length(context, Some(Category::IoWrite), is_internet), unsigned),
        EventField::EvtIsOpenRead => truth(open_flags(event).is_some_and(|flags| flags & O_RDONLY != 0)),
        EventField::EvtIsOpenWrite => truth(open_flags(event).is_some_and(|flags| flags & O_WRONLY != 0)),
        EventField::EvtIsOpenExec => truth(creates_executable(event)),
        EventField::EvtIsOpenCreate => truth(creates_file(event)),
        EventField::EvtInfraDockerName => when(infrastructure(event, b"Event"), super::borrowed),
        EventField::EvtInfraDockerContainerId => {
            when(infrastructure(event, b"ID"), |id| super::borrowed(&id[..id.len().min(12)]))
        }
        EventField::EvtInfraDockerContainerName => when(infrastructure(event, b"name"), super::borrowed),
        EventField::EvtInfraDockerContainerImage => when(infrastructure(event, b"Image"), |image| {
            super::borrowed(image.split(|&byte| byte == b'@').next().unwrap_or(image))
        }),
    }
}

/// The value of a field on all events of this one's type; `None` where it is not the same on all of them.
pub(super) fn of_type<'e>(context: &'e EventContext<'_>, field: EventField, arg: &FieldArg) -> Option<Extracted<'e>> {
    let event = context.event;
    let has_own_name = matches!(event.etype, ppme::PPME_ASYNCEVENT_E | ppme::PPME_GENERIC_E | ppme::PPME_GENERIC_X);
    let decided = match field {
        EventField::EvtDir
        | EventField::EvtTypeIs
        | EventField::EvtIsAsync
        | EventField::EvtIsIo
        | EventField::EvtIsIoRead
        | EventField::EvtIsIoWrite
        | EventField::EvtIsWait
        | EventField::EvtCount => true,
        EventField::EvtType | EventField::SyscallType => !has_own_name,
        // Where the call opens nothing, it does so on all events.
        EventField::EvtIsOpenRead | EventField::EvtIsOpenWrite | EventField::EvtIsOpenCreate => {
            open_flags(event).is_none()
        }
        EventField::EvtArg | EventField::EvtRawarg => argument(event, arg).is_none(),
        _ => false,
    };
    decided.then(|| extract(context, field, arg))
}

/// Time between the halves of the call, where the capture holds both.
fn latency(event: &Event<'_>) -> Option<u64> {
    event.ts.checked_sub(event.enter_ts?)
}

fn has(event: &Event<'_>, flag: EventFlags) -> bool {
    params::def(event).is_some_and(|def| def.flags.has(flag))
}

fn is_exit(event: &Event<'_>) -> bool {
    params::def(event).is_some_and(|def| def.dir == Direction::Exit)
}

fn is_meta(event: &Event<'_>) -> bool {
    params::def(event).is_some_and(|def| def.origin == EventOrigin::Metaevent)
}

/// `evt.type`: name of the call or event; asynchronous events carry their own name.
fn name<'e>(event: &'e Event<'_>) -> Cow<'e, [u8]> {
    let carried = if event.etype == ppme::PPME_ASYNCEVENT_E { event.text(1) } else { None };
    Cow::Borrowed(carried.unwrap_or(event.name().as_bytes()))
}

/// `evt.type.is.NAME` means the first type of that name and its other half, `evt.type.is.N` type N only.
fn is_type(etype: EventType, arg: &FieldArg) -> bool {
    let FieldArg::Key(text, number) = arg else { return false };
    let etype = u32::from(etype.0);
    etype == *number || (etype == number.wrapping_add(1) && !text.starts_with(|first: char| first.is_ascii_digit()))
}

fn category(context: &EventContext<'_>) -> &'static str {
    let Some(def) = params::def(context.event) else { return "unknown" };
    match def.category {
        Category::Unknown => "unknown",
        Category::Other => "other",
        Category::File => "file",
        Category::Net => "net",
        Category::Ipc => "IPC",
        Category::Memory => "memory",
        Category::Process => "process",
        Category::Sleep => "sleep",
        Category::System => "system",
        Category::Signal => "signal",
        Category::User => "user",
        Category::Time => "time",
        Category::Processing => "processing",
        Category::Wait => "wait",
        Category::Scheduler => "scheduler",
        Category::Internal => "internal",
        Category::IoRead | Category::IoWrite | Category::IoOther => match context.fd.map(|fd| fd.kind) {
            Some(FdKind::File | FdKind::Directory) => "file",
            Some(FdKind::Ipv4 | FdKind::Ipv6 | FdKind::Ipv4Server | FdKind::Ipv6Server) => "net",
            Some(
                FdKind::Fifo | FdKind::Unix | FdKind::Event | FdKind::Signalfd | FdKind::Inotify | FdKind::Userfaultfd,
            ) => "ipc",
            _ => "unknown",
        },
    }
}

/// Position of the parameter that `evt.arg` or `evt.rawarg` names.
pub(super) fn argument(event: &Event<'_>, arg: &FieldArg) -> Option<usize> {
    match arg {
        FieldArg::Index(index) => usize::try_from(*index).ok(),
        FieldArg::Key(_, number) => params::ParamNames::get().position(event.etype, *number),
        FieldArg::None => None,
    }
}

/// `SUCCESS`, or the error's name.
fn outcome<'e>(result: i64) -> Extracted<'e> {
    if result >= 0 {
        return fixed("SUCCESS");
    }
    names::errno(result).map_or_else(|| owned(result.to_string()), fixed)
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    memchr::memmem::find(text, part).is_some()
}

/// Value of `key:` in the description of an infrastructure event (`Event:start;ID:…;name:…;Image:…`).
fn infrastructure<'e>(event: &'e Event<'_>, key: &[u8]) -> Option<&'e [u8]> {
    if event.etype != ppme::PPME_INFRASTRUCTURE_EVENT_E {
        return None;
    }
    let description = event.text(2)?;
    let elements = description.split(|&byte| byte == b';').map(<[u8]>::trim_ascii);
    let element = elements.into_iter().find(|element| element.starts_with(key))?;
    let colon = memchr::memchr(b':', element)?;
    Some(element[colon + 1..].trim_ascii())
}

#[cfg(test)]
mod tests {
    use super::super::sample::{Sample, state};
    use super::*;

    fn open(flags: u32, mode: u32, result: i64) -> Sample {
        Sample::new(ppme::PPME_SYSCALL_OPEN_X)
            .with(result.to_le_bytes())
            .with(b"f\0")
            .with(flags.to_le_bytes())
            .with(mode.to_le_bytes())
    }

    #[test]
    fn times_and_places() {
        let mut sample = Sample::new(ppme::PPME_SYSCALL_CLOSE_X).with(0i64.to_le_bytes()).with(4i64.to_le_bytes());
        let fields = [
            "evt.time",
            "evt.rawtime.ns",
            "evt.reltime",
            "evt.reltime.s",
            "evt.deltatime.ns",
            "evt.hostname",
            "evt.cpu",
            "evt.num",
            "evt.source",
            "evt.dir",
            "evt.type",
            "evt.latency",
        ];
        let texts = sample.on(&mut state(), &fields);
        let wanted = [
            "16:00:09.999999999",
            "999999999",
            "5000000001",
            "5",
            "000000017",
            "box",
            "3",
            "7",
            "syscall",
            "<",
            "close",
        ];
        assert_eq!(texts[..11].iter().flatten().collect::<Vec<_>>(), wanted);
        assert_eq!(texts[11], None, "no enter half, no latency");
        sample.enter_ts = Some(super::super::sample::TS - 10_300_000);
        assert_eq!(sample.alone("evt.latency").as_deref(), Some("10300000"));
        assert_eq!(sample.alone("evt.latency.human").as_deref(), Some("10.3ms"));
        assert_eq!(sample.alone("evt.wait_latency"), None, "close does not wait");
    }

    #[test]
    fn results() {
        let failed = open(1, 0, -2);
        assert_eq!(failed.alone("evt.res").as_deref(), Some("ENOENT"));
        assert_eq!(failed.alone("evt.rawres").as_deref(), Some("-2"));
        assert_eq!(failed.alone("evt.failed").as_deref(), Some("true"));
        assert_eq!(failed.alone("evt.count.error.file").as_deref(), Some("1"));
        assert_eq!(failed.alone("evt.count.error.net"), None);
        assert_eq!(open(1, 0, 3).alone("evt.res").as_deref(), Some("SUCCESS"));
        // Generic events, enter events and unknown results have none.
        let generic = Sample::new(ppme::PPME_GENERIC_X).with(61u16.to_le_bytes()).with(0u16.to_le_bytes());
        assert_eq!(generic.alone("evt.rawres"), None);
        assert_eq!(Sample::new(ppme::PPME_PROCEXIT_1_E).with(1i64.to_le_bytes()).alone("evt.res"), None);
        assert_eq!(Sample::new(ppme::PPME_SYSCALL_CLOSE_X).unknown(2).alone("evt.res"), None);
        // A number without a name stands for itself.
        assert_eq!(open(1, 0, -4000).alone("evt.res").as_deref(), Some("-4000"));
    }

    #[test]
    fn names_of_events() {
        let generic = Sample::new(ppme::PPME_GENERIC_X).with(1u16.to_le_bytes()).with(219u16.to_le_bytes());
        assert_eq!(generic.alone("evt.type").as_deref(), Some("restart_syscall"));
        assert_eq!(generic.alone("syscall.type").as_deref(), Some("restart_syscall"));
        let removed = Sample::new(ppme::PPME_ASYNCEVENT_E).with([0; 4]).with(b"container_removed\0");
        assert_eq!(removed.alone("evt.type").as_deref(), Some("container_removed"));
        assert_eq!(removed.alone("evt.asynctype").as_deref(), Some("container_removed"));
        assert_eq!(removed.alone("evt.is_async").as_deref(), Some("true"));
        assert_eq!(removed.alone("syscall.type"), None);
        let open = open(1, 0, 3);
        assert_eq!(open.alone("evt.type.is.open").as_deref(), Some("1"));
        assert_eq!(open.alone("evt.type.is.close").as_deref(), Some("0"));
        assert_eq!(open.alone("evt.type.is.3").as_deref(), Some("1"));
        assert_eq!(open.alone("evt.type.is.2").as_deref(), Some("0"), "a number means one half only");
    }

    #[test]
    fn infrastructure_events_are_read_by_key() {
        let event = Sample::new(ppme::PPME_INFRASTRUCTURE_EVENT_E)
            .unknown(2)
            .with(b"Event:start; ID:0123456789abcdef;name:web;Image:nginx@sha256:00\0");
        assert_eq!(event.alone("evt.infra.docker.name").as_deref(), Some("start"));
        assert_eq!(event.alone("evt.infra.docker.container.id").as_deref(), Some("0123456789ab"));
        assert_eq!(event.alone("evt.infra.docker.container.name").as_deref(), Some("web"));
        assert_eq!(event.alone("evt.infra.docker.container.image").as_deref(), Some("nginx"));
    }
}
