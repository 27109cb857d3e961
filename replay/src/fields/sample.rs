//! Hand-made events and states for the tests of this module's classes. Test code only.
#![allow(clippy::unwrap_used)] // a test that cannot set itself up should fail loudly

use casebook_formats::event::{Event, EventType, ParamRange, RawEvent};
use casebook_formats::ledger::Ledger;
use casebook_formats::snapshot::{FdEntry, FdInfo, FdList, Interface, MachineInfo, ThreadEntry, UserEntry};

use super::Catalogue;
use crate::audit::AuditEvent;
use crate::context::{Clock, EventContext};
use crate::state::{Effects, State};

/// Timestamp of every event made here: 2020-04-30T16:00:09.999999999 UTC.
pub(super) const TS: u64 = 1_588_262_409_999_999_999;

/// An event that owns its parameters.
pub(super) struct Sample {
    pub(super) etype: EventType,
    pub(super) tid: i64,
    pub(super) enter_ts: Option<u64>,
    data: Vec<u8>,
    ranges: Vec<ParamRange>,
}

impl Sample {
    /// An event of thread 100 without parameters.
    pub(super) fn new(etype: EventType) -> Self {
        Self { etype, tid: 100, enter_ts: None, data: Vec::new(), ranges: Vec::new() }
    }

    /// Adds a parameter.
    pub(super) fn with(mut self, value: impl AsRef<[u8]>) -> Self {
        let value = value.as_ref();
        self.ranges.push(ParamRange { start: self.data.len() as u32, len: value.len() as u32 });
        self.data.extend_from_slice(value);
        self
    }

    /// Adds parameters that are not known.
    pub(super) fn unknown(mut self, count: usize) -> Self {
        for _ in 0..count {
            self = self.with(b"");
        }
        self
    }

    fn event(&self) -> Event<'_> {
        Event {
            num: 7,
            ts: TS,
            tid: self.tid,
            cpu: 3,
            etype: self.etype,
            state_only: false,
            enter_ts: self.enter_ts,
            data: &self.data,
            ranges: &self.ranges,
            raw: RawEvent {
                offset: 0,
                enter: None,
                etype: self.etype.0,
                nparams: self.ranges.len() as u32,
                payload: &[],
            },
        }
    }

    /// Text of a field of this event with nothing known of the system; `None` when absent.
    pub(super) fn alone(&self, field: &str) -> Option<String> {
        let (event, state, effects) = (self.event(), State::new(), Effects::default());
        let document = AuditEvent::from_plugin(&event);
        shown(&EventContext::new(&event, &state, &effects).saying(document.as_ref()), field)
    }

    /// Texts of fields after the event was applied to a state.
    pub(super) fn on(&self, state: &mut State, fields: &[&str]) -> Vec<Option<String>> {
        let event = self.event();
        let mut effects = Effects::default();
        state.apply(&event, &mut Ledger::default(), &mut effects);
        let clock = Clock { first_ts: TS - 5_000_000_001, previous_ts: TS - 17 };
        let context = EventContext::new(&event, state, &effects).at(clock);
        fields.iter().map(|field| shown(&context, field)).collect()
    }

    /// Same for one field.
    pub(super) fn one_on(&self, state: &mut State, field: &str) -> Option<String> {
        self.on(state, &[field]).remove(0)
    }
}

/// Text of a field as written in a rule.
fn shown(context: &EventContext<'_>, field: &str) -> Option<String> {
    let catalogue = Catalogue::new();
    let source = context.source().unwrap_or_default();
    let bound = catalogue.parse(source, field).unwrap_or_else(|error| panic!("{field}: {error}"));
    super::text(&catalogue, context, &bound).map(|text| String::from_utf8(text).unwrap())
}

/// A thread of the process list: root's, in `/in`, without arguments.
pub(super) fn thread(tid: i64, ptid: i64, comm: &str) -> ThreadEntry {
    ThreadEntry {
        tid,
        pid: tid,
        ptid,
        sid: 1,
        vpgid: tid,
        pgid: tid,
        vtid: tid,
        vpid: tid,
        comm: comm.into(),
        exe: format!("./{comm}").into(),
        exepath: format!("/bin/{comm}").into(),
        args: Vec::new(),
        env: b"PATH=/bin\0HOME=/root\0".to_vec(),
        cwd: b"/in/".to_vec(),
        root: b"/".to_vec(),
        cgroups: b"cpu=/init\0memory=/\0".to_vec(),
        fdlimit: 1024,
        flags: 0,
        uid: 0,
        gid: 0,
        loginuid: u32::MAX,
        vm_size: 100,
        vm_rss: 50,
        vm_swap: 1,
        pf_major: 2,
        pf_minor: 3,
        pidns_init_start_ts: 0,
        tty: 34816,
        exe_writable: false,
        exe_upper_layer: false,
        exe_lower_layer: false,
        exe_from_memfd: false,
        cap_inheritable: 0,
        cap_permitted: 1 << 21,
        cap_effective: 0b11,
        exe_ino: 77,
        exe_ino_ctime: 0,
        exe_ino_mtime: 5,
    }
}

/// init (1) → sshd (50) → bash (100) with its descriptors, a user, a group, one interface.
pub(super) fn state() -> State {
    let mut ledger = Ledger::default();
    let mut state = State::new();
    state.seed_machine(MachineInfo { hostname: b"box".to_vec(), num_cpus: 1, ..MachineInfo::default() });
    state.seed_interfaces(vec![Interface::V4 {
        name: b"eth0".to_vec(),
        addr: [10, 0, 0, 1].into(),
        netmask: [255, 0, 0, 0].into(),
        broadcast: [10, 255, 255, 255].into(),
        link_speed: 0,
    }]);
    let text = |text: &str| text.as_bytes().to_vec();
    let alice = UserEntry::User {
        uid: 1000,
        gid: 1000,
        name: text("alice"),
        home: text("/home/alice"),
        shell: text("/bin/sh"),
    };
    state.seed_users(vec![alice, UserEntry::Group { gid: 1000, name: text("staff") }], &mut ledger);
    let mut bash = thread(100, 50, "bash");
    bash.args = b"-c\0echo hi\0".to_vec();
    let mut nobody = thread(200, 50, "nobody");
    (nobody.uid, nobody.gid, nobody.loginuid, nobody.pgid) = (1000, 1000, 1001, -1);
    state.seed_threads(&[thread(1, 0, "init"), thread(50, 1, "sshd"), bash, nobody], &mut ledger);
    let named = |name: &str| FdInfo::Named { name: text(name), open_flags: 1, dev: 0xca02 };
    let tuple = FdInfo::V4 { sip: [10, 0, 0, 1].into(), dip: [192, 168, 0, 9].into(), sport: 40000, dport: 443, l4: 2 };
    let fds = vec![
        FdEntry { fd: 0, ino: 9, fd_type: 16, info: named("/dev/pts/0") },
        FdEntry { fd: 3, ino: 11, fd_type: 2, info: named("/srv") },
        FdEntry { fd: 4, ino: 12, fd_type: 3, info: tuple },
    ];
    state.seed_fds(&FdList { tid: 100, fds }, &mut ledger);
    state
}
