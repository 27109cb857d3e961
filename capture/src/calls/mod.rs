//! The table of calls: for each system call, where the parameters of its event come from.
//!
//! One row a call ([`table`]): its name, and one [`Source`] for each parameter of the call's exit event, in the event
//! table's order, in the words of [`source`]. From a row follow both halves of the recorder: what the kernel side
//! fetches ([`Calls::plan`]), and what the encoder writes ([`values`]). Event types and widths come from the format's own
//! tables; native numbers are told apart in [`numbers`], calls that are read at both ends stand in [`guarded`], and
//! operations of `io_uring` in [`rings`].

mod guarded;
mod numbers;
mod rings;
mod source;
mod table;
mod values;

use casebook_formats::event::EventType;
use casebook_formats::tables::{self, EventDef};

pub(crate) use guarded::{guarded_numbers, guards_any};
pub(crate) use numbers::{code_of, named, natives, wanted_numbers};
pub(crate) use rings::{OPERATION, operations};
pub(crate) use source::{Class, Fetch, Get, RET, Source, When};
pub(crate) use values::{Call, device, number, text};

/// Portable codes are below this, in the kernel side's tables too.
pub(crate) const CODES: usize = 512;
/// Things fetched for one call, at most.
const FETCHES: usize = 6;

/// One row of the table.
pub(crate) struct Row {
    /// Name in the format's table of calls.
    pub name: &'static str,
    pub class: Class,
    pub params: &'static [Source],
    /// What is fetched beyond what `params` ask for by themselves.
    pub fetch: &'static [Fetch],
}

/// A call as the recorder uses it.
pub(crate) struct Known {
    pub name: &'static str,
    pub class: Class,
    pub etype: EventType,
    pub def: &'static EventDef,
    pub params: &'static [Source],
    pub fetch: Vec<Fetch>,
}

/// All calls of the table, indexed by portable code.
pub(crate) struct Calls {
    by_code: Vec<Option<Known>>,
}

impl Calls {
    /// Joins the table with the format's.
    pub(crate) fn new() -> Self {
        let mut by_code: Vec<Option<Known>> = std::iter::repeat_with(|| None).take(CODES).collect();
        for row in table::ROWS {
            for (code, call) in tables::syscalls().iter().enumerate().filter(|(_, call)| call.name == row.name) {
                let Some((etype, def)) = call.exit.and_then(|etype| Some((etype, tables::event(etype)?))) else {
                    continue;
                };
                let Some(slot) = by_code.get_mut(code) else { continue };
                let fetch = fetches(row);
                let class = match fetch[..] {
                    [] => row.class,
                    [Fetch { get: Get::DataRet | Get::DataArg, when: When::Always, .. }] => Class::Data,
                    _ => row.class.max_fetch(),
                };
                *slot = Some(Known { name: row.name, class, etype, def, params: row.params, fetch });
            }
        }
        Self { by_code }
    }

    /// Fetches the path of what these calls open, too.
    pub(crate) fn fetch_paths(&mut self, codes: &std::collections::BTreeSet<u16>) {
        let path = Fetch { get: Get::Path, arg: RET, when: When::Done, size: 0 };
        for &code in codes {
            if let Some(Some(known)) = self.by_code.get_mut(usize::from(code))
                && known.fetch.len() < FETCHES
                && !known.fetch.iter().any(|fetch| fetch.get == path.get && fetch.arg == path.arg)
            {
                known.fetch.push(path);
                known.class = known.class.max_fetch();
            }
        }
    }

    /// The row of a portable code.
    pub(crate) fn get(&self, code: u16) -> Option<&Known> {
        self.by_code.get(usize::from(code))?.as_ref()
    }

    /// What the kernel side has to know of a call: `struct plan` of `bpf/maps.h`. Calls without a row are recorded
    /// with their number.
    pub(crate) fn plan(&self, code: u16, want: bool) -> [u8; PLAN] {
        let mut plan = [0; PLAN];
        plan[0] = u8::from(want);
        if let Some(known) = self.get(code) {
            plan[1] = known.class as u8;
            plan[2] = known.fetch.len().min(FETCHES) as u8;
            plan[3] = u8::from(guarded::guarded(known.name));
            for (n, fetch) in known.fetch.iter().take(FETCHES).enumerate() {
                plan[4 + n * 4..8 + n * 4].copy_from_slice(&[fetch.get as u8, fetch.arg, fetch.when as u8, fetch.size]);
            }
        }
        plan
    }
}

/// Bytes of a plan.
pub(crate) const PLAN: usize = 4 + FETCHES * 4;

/// What a row's parameters ask for by themselves, then what it names.
fn fetches(row: &Row) -> Vec<Fetch> {
    let mut all: Vec<Fetch> = Vec::new();
    let mut add = |fetch: Fetch| match all.iter_mut().find(|known| known.get == fetch.get && known.arg == fetch.arg) {
        Some(known) => known.size = known.size.max(fetch.size),
        None => all.push(fetch),
    };
    for source in row.params {
        match *source {
            Source::Str(arg) => add(Fetch { get: Get::Str, arg, when: When::Always, size: 0 }),
            Source::Field(arg, offset, width) | Source::FieldFlags(arg, offset, width, _) => {
                add(Fetch { get: Get::Bytes, arg, when: When::Always, size: offset + width });
            }
            Source::Dev | Source::Ino => add(Fetch { get: Get::File, arg: RET, when: When::Done, size: 0 }),
            Source::Task(_) => add(Fetch { get: Get::Task, arg: 0, when: When::Always, size: 0 }),
            _ => {}
        }
    }
    row.fetch.iter().for_each(|&fetch| add(fetch));
    all
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a failing test may panic

    use super::*;

    #[test]
    fn every_row_fits_its_event() {
        let calls = Calls::new();
        for row in table::ROWS {
            let known = calls.by_code.iter().flatten().find(|known| known.name == row.name);
            let known = known.unwrap_or_else(|| panic!("{} is not in the format's table of calls", row.name));
            assert_eq!(known.params.len(), known.def.params.len(), "{}: parameters of {}", row.name, known.def.symbol);
            assert!(known.fetch.len() <= FETCHES, "{}: {} things to fetch", row.name, known.fetch.len());
        }
    }

    #[test]
    fn every_type_of_its_own_has_a_row() {
        let calls = Calls::new();
        let generic = tables::event_types_named("syscall").collect::<Vec<_>>();
        for (code, call) in tables::syscalls().iter().enumerate() {
            let own = call.exit.is_some_and(|exit| !generic.contains(&exit));
            // Numbers of other machines have no row.
            let here = natives().iter().any(|&(_, known)| usize::from(known) == code);
            assert!(!own || !here || calls.get(code as u16).is_some(), "{} has no row", call.name);
        }
    }

    #[test]
    fn codes_of_exec_are_those_of_the_kernel_side() {
        let source = include_str!("../../bpf/recorder.bpf.c");
        let code = |name: &str| code_of(name).unwrap();
        let declared = format!("u32 execve = {}, execveat = {}, code,", code("execve"), code("execveat"));
        assert!(source.contains(&declared), "{declared}");
        assert_eq!(code("execveat"), crate::encode::EXECVEAT);
        assert!(source.contains(&format!("#define CODE_CLONE {}\n", code("clone"))));
    }

    #[test]
    fn reads_and_writes_take_the_short_way() {
        let calls = Calls::new();
        let class = |name: &str| calls.by_code.iter().flatten().find(|known| known.name == name).unwrap().class;
        assert!(["read", "write", "pread64", "pwrite64"].iter().all(|name| class(name) == Class::Data));
        assert_eq!((class("readv"), class("sendto"), class("close")), (Class::Fetch, Class::Fetch, Class::Plain));
    }

    #[test]
    fn numbers_of_both_sides_agree() {
        let header = include_str!("../../bpf/maps.h");
        for text in [
            "FETCH_LISTENER = 16".to_owned(),
            "FETCH_TASK = 15".to_owned(),
            format!("#define CODES {CODES}"),
            format!("#define FETCHES {FETCHES}"),
            format!("#define ARG_RET {RET}"),
            format!("CLASS_EXEC = {}", Class::Exec as u8),
            format!("CLASS_MESSAGES = {}", Class::Messages as u8),
            format!("CLASS_DATA = {}", Class::Data as u8),
        ] {
            assert!(header.contains(&text), "{text}");
        }
    }
}
