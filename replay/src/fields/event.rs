//! `evt.*`: the event itself.

use std::borrow::Cow;

use casebook_formats::event::{Event, EventType};
use casebook_formats::tables::{Category, Direction, EventFlags, EventOrigin, ParamType, ppme};
use casebook_rules::event::Extracted;
use casebook_rules::schema::FieldArg;
use casebook_rules::value::Value;

use super::catalogue::EventField;
use super::{args, cow, fixed, key, names, owned, params, path, print, signed, truth, unsigned, when};
use crate::context::EventContext;
use crate::state::flags::{AT_FDCWD, O_F_CREATED};
use crate::state::{Fd, FdKind};

const NS: u64 = 1_000_000_000;

/// `O_RDONLY` of the portable open flags. Read-write is both bits.
const O_RDONLY: u64 = 1;
/// `O_WRONLY` of the portable open flags.
const O_WRONLY: u64 = 2;
/// `O_CREAT` of the portable open flags.
const O_CREAT: u64 = 4;
/// `O_TMPFILE` of the portable open flags.
const O_TMPFILE: u64 = 1 << 13;
/// Execute permission for anybody, `0111` (the portable mode bits are those of Linux).
const ANY_EXEC: u64 = 0o111;

pub(super) fn extract<'e>(context: &'e EventContext<'_>, field: EventField, arg: &FieldArg) -> Extracted<'e> {
    let event = context.event;
    match field {
        EventField::EvtNum => unsigned(event.num),
        EventField::EvtTime | EventField::EvtOutputtime => owned(print::time_of_day(event.ts, true)),
        EventField::EvtTimeS => owned(print::time_of_day(event.ts, false)),
        EventField::EvtTimeIso8601 => owned(print::iso8601(event.ts)),
        EventField::EvtDatetime => owned(print::datetime(event.ts, true)),
        EventField::EvtDatetimeS => owned(print::datetime(event.ts, false)),
        EventField::EvtRawtime => unsigned(event.ts),
        EventField::EvtRawtimeS => unsigned(event.ts / NS),
        EventField::EvtRawtimeNs => unsigned(event.ts % NS),
        EventField::EvtReltime => unsigned(since_first(context)),
        EventField::EvtReltimeS => unsigned(since_first(context) / NS),
        EventField::EvtReltimeNs => unsigned(since_first(context) % NS),
        EventField::EvtDeltatime => unsigned(since_previous(context)),
        EventField::EvtDeltatimeS => unsigned(since_previous(context) / NS),
        EventField::EvtDeltatimeNs => unsigned(since_previous(context) % NS),
        EventField::EvtLatency => when(latency(event), unsigned),
        EventField::EvtLatencyS => when(latency(event), |ns| unsigned(ns / NS)),
        EventField::EvtLatencyNs => when(latency(event), |ns| unsigned(ns % NS)),
        EventField::EvtLatencyHuman => when(latency(event), |ns| owned(print::duration(ns))),
        EventField::EvtWaitLatency => when(latency(event).filter(|_| has(event, EventFlags::WAITS)), unsigned),
        EventField::EvtSource => fixed(super::catalogue::SYSCALL_SOURCE),
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

fn since_first(context: &EventContext<'_>) -> u64 {
    context.event.ts.saturating_sub(context.clock.first_ts)
}

fn since_previous(context: &EventContext<'_>) -> u64 {
    context.event.ts.saturating_sub(context.clock.previous_ts)
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

/// Bytes moved by an I/O event. libs prints memory of an earlier event where the capture holds none; here the field
/// is absent then.
fn buffer<'e>(event: &'e Event<'_>) -> Option<&'e [u8]> {
    let at = params::position(event, "data")?;
    // `data` of ptrace is a number.
    params::param(event, at).filter(|param| param.ty == ParamType::Bytebuf)?;
    event.param(at)
}

/// `SUCCESS`, or the error's name.
fn outcome<'e>(result: i64) -> Extracted<'e> {
    if result >= 0 {
        return fixed("SUCCESS");
    }
    names::errno(result).map_or_else(|| owned(result.to_string()), fixed)
}

fn io_direction(event: &Event<'_>) -> Option<&'static str> {
    if has(event, EventFlags::WRITES_TO_FD) {
        Some("write")
    } else if has(event, EventFlags::READS_FROM_FD) {
        Some("read")
    } else {
        None
    }
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    memchr::memmem::find(text, part).is_some()
}

fn error_count(event: &Event<'_>) -> Option<u64> {
    params::result(event).map(|result| u64::from(result < 0))
}

/// What an error is about, as `evt.count.error.*` tell apart.
#[derive(Clone, Copy, PartialEq, Eq)]
enum ErrorKind {
    File,
    Net,
    Memory,
    Other,
}

/// 1 or 0 when an error of this event would be of this kind.
fn error_of(context: &EventContext<'_>, kind: ErrorKind) -> Option<u64> {
    let memory = params::def(context.event).is_some_and(|def| def.category == Category::Memory);
    let actual = match context.fd {
        Some(fd) if is_file(fd) || fd.kind == FdKind::Directory => ErrorKind::File,
        Some(fd) if is_internet(fd) || fd.kind == FdKind::Unix => ErrorKind::Net,
        Some(_) => ErrorKind::Other,
        None if is_open(context.event.etype) => ErrorKind::File,
        None if is_connection(context.event.etype) => ErrorKind::Net,
        None if memory => ErrorKind::Memory,
        None => ErrorKind::Other,
    };
    // Errors of memory calls also count where the call has a file descriptor.
    if actual == kind || (kind == ErrorKind::Memory && memory) { error_count(context.event) } else { None }
}

fn is_open(etype: EventType) -> bool {
    matches!(
        etype,
        ppme::PPME_SYSCALL_OPEN_X
            | ppme::PPME_SYSCALL_CREAT_X
            | ppme::PPME_SYSCALL_OPENAT_2_X
            | ppme::PPME_SYSCALL_OPENAT2_X
            | ppme::PPME_SYSCALL_OPEN_BY_HANDLE_AT_X
    )
}

fn is_connection(etype: EventType) -> bool {
    matches!(etype, ppme::PPME_SOCKET_ACCEPT_5_X | ppme::PPME_SOCKET_ACCEPT4_6_X | ppme::PPME_SOCKET_CONNECT_X)
}

fn is_file(fd: &Fd) -> bool {
    fd.kind == FdKind::File
}

fn is_internet(fd: &Fd) -> bool {
    matches!(fd.kind, FdKind::Ipv4 | FdKind::Ipv6 | FdKind::Ipv4Server | FdKind::Ipv6Server)
}

/// Bytes moved: the result of an I/O event on a known descriptor.
fn io_length(context: &EventContext<'_>, wanted: Option<Category>, test: fn(&Fd) -> bool) -> Option<u64> {
    let category = params::def(context.event)?.category;
    let fits = match wanted {
        Some(wanted) => category == wanted,
        None => matches!(category, Category::IoRead | Category::IoWrite | Category::IoOther),
    };
    context.fd.filter(|fd| fits && test(fd))?;
    u64::try_from(params::result(context.event)?).ok()
}

/// Open flags of the calls that have them; 0 where they are not known.
fn open_flags(event: &Event<'_>) -> Option<u64> {
    Some(match event.etype {
        ppme::PPME_SYSCALL_OPEN_X | ppme::PPME_SYSCALL_OPEN_BY_HANDLE_AT_X => event.u64(2).unwrap_or(0),
        ppme::PPME_SYSCALL_OPENAT_2_X | ppme::PPME_SYSCALL_OPENAT2_X => event.u64(3).unwrap_or(0),
        _ => return None,
    })
}

/// The call made the file.
fn creates_file(event: &Event<'_>) -> bool {
    let Some(flags) = open_flags(event) else { return false };
    flags & u64::from(O_F_CREATED) != 0
        || (flags & O_TMPFILE != 0 && params::result(event).is_some_and(|result| result >= 0))
}

/// The call asks for a new file that somebody may execute.
fn creates_executable(event: &Event<'_>) -> bool {
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
fn absolute_path(context: &EventContext<'_>, end: Option<&str>) -> Option<Vec<u8>> {
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
pub(super) const UNKNOWN_DIRECTORY: &[u8] = b"<UNKNOWN>";

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

    fn yes(sample: &Sample, field: &str) -> bool {
        sample.alone(field).as_deref() == Some("true")
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
    fn buffers_and_raw_arguments() {
        let read = |data: &[u8]| {
            Sample::new(ppme::PPME_SYSCALL_READ_X).with(3i64.to_le_bytes()).with(data).with(0i64.to_le_bytes())
        };
        assert_eq!(read(b"a\0b").alone("evt.buffer").as_deref(), Some("a.b"));
        assert_eq!(read(b"").alone("evt.buffer"), None, "libs shows old memory here");
        assert_eq!(read(b"abc").alone("evt.rawarg.res").as_deref(), Some("3"));
        assert_eq!(read(b"abc").alone("evt.rawarg.flags"), None, "no such parameter in this event");
        assert_eq!(open(0x106, 0, 3).alone("evt.rawarg.flags").as_deref(), Some("106"));
        assert_eq!(read(b"abc").one_on(&mut state(), "evt.buflen").as_deref(), Some("3"));
        assert_eq!(read(b"abc").one_on(&mut state(), "evt.buflen.net"), None, "a file");
        assert_eq!(read(b"abc").one_on(&mut state(), "evt.category").as_deref(), Some("file"));
        assert_eq!(read(b"abc").alone("evt.category").as_deref(), Some("unknown"), "descriptor not known");
        assert_eq!(read(b"abc").alone("evt.io_dir").as_deref(), Some("read"));
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
