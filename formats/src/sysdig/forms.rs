//! How an event of today is told to an old reader: as an enter half and an exit half, or as one older event.
//!
//! Nothing here knows a single call. Which older type stands for which of today's, and how many parameters it had, is
//! said by `tables/sysdig.tsv`; which of today's parameters come from which half is the conversion table
//! (`tables/conversions.tsv`) followed forwards with names for values, and then read backwards.

use std::sync::LazyLock;

use super::{CALLS, code};
use crate::event::EventType;
use crate::limits::MAX_CONVERSION_STEPS;
use crate::tables::{self, Action, Direction, EventFlags, EventOrigin, ParamDef, ParamType, Step, SysdigForm, ppme};

/// Where a written parameter comes from.
#[derive(Clone, Copy, Debug)]
pub(super) enum Origin {
    /// A parameter of today's event.
    Param(u8),
    /// The portable code of the call, and its native number on x86-64: the generic event's two parameters.
    Code(u16),
    Native(Option<u16>),
    /// Nothing in today's event says it.
    Unknown,
}

/// One event to write.
#[derive(Debug)]
pub(super) struct Half {
    pub etype: EventType,
    pub params: Vec<(Origin, &'static ParamDef)>,
    /// Parameters that the old reader looks at; it reads them without asking whether they are there.
    pub needed: usize,
}

/// How a type of today is written.
#[derive(Debug)]
pub(super) struct Form {
    /// The call's first half, for exits of calls.
    pub enter: Option<Half>,
    pub main: Half,
    /// The exit carries what the old reader takes from the enter half alone.
    pub merged: bool,
}

/// The form of a type; `None` for types that an old reader has nothing for.
pub(super) fn form(etype: EventType) -> Option<&'static Form> {
    static FORMS: LazyLock<Vec<Option<Form>>> =
        LazyLock::new(|| tables::events().map(|(etype, _)| build(etype)).collect());
    FORMS.get(etype.0 as usize)?.as_ref()
}

fn build(etype: EventType) -> Option<Form> {
    let def = tables::event(etype)?;
    match tables::sysdig(etype) {
        SysdigForm::None => None,
        SysdigForm::Call(code) => Some(generic(code)),
        SysdigForm::Known(count) => Some(pair(etype, etype, count as usize)),
        SysdigForm::As(target) => {
            let SysdigForm::Known(count) = tables::sysdig(target) else { return None };
            Some(pair(etype, target, count as usize))
        }
    }
    .filter(|_| !def.flags.has(EventFlags::UNUSED))
}

/// A call without an event type of its own.
fn generic(code: u16) -> Form {
    let origins = [Origin::Code(code), Origin::Native(tables::syscall(code).and_then(|row| row.x86_64))];
    let half = |etype: EventType| {
        let params = tables::event(etype).map_or(&[][..], |def| def.params);
        Half { etype, params: origins.into_iter().zip(params).collect(), needed: params.len() }
    };
    Form { enter: Some(half(ppme::PPME_GENERIC_E)), main: half(ppme::PPME_GENERIC_X), merged: false }
}

/// `etype` as `target` with so many parameters, and the enter half that belongs to it.
fn pair(etype: EventType, target: EventType, count: usize) -> Form {
    let today = tables::event(etype).map_or(&[][..], |def| def.params);
    let (last, values) = follow(target, count);
    let last_params = tables::event(last).map_or(&[][..], |def| def.params);
    // Parameter `place` of the conversion's result, as one of today's: dup2 has what dup becomes, under the same names.
    let place_today = |place: usize| {
        if last == etype { Some(place) } else { by_name(today, last_params.get(place)?.name) }
    };
    let origin = |wanted: Symbol, name: &str| {
        let place = values.iter().position(|value| *value == wanted).and_then(place_today);
        place.or_else(|| by_name(today, name)).map_or(Origin::Unknown, |place| Origin::Param(place as u8))
    };
    let params = tables::event(target).map_or(&[][..], |def| def.params);
    // Today's exit in full keeps what new readers know; an old one ignores the surplus.
    let main: Vec<_> = if target == etype {
        today.iter().enumerate().map(|(place, param)| (Origin::Param(place as u8), param)).collect()
    } else {
        params.iter().take(count).enumerate().map(|(k, def)| (origin(Symbol::Own(k as u8), def.name), def)).collect()
    };
    let enter = enter_of(target).map(|(etype, count)| {
        let params = tables::event(etype).map_or(&[][..], |def| def.params);
        let params = params.iter().take(count).enumerate();
        Half {
            etype,
            params: params.map(|(k, def)| (origin(Symbol::Enter(k as u8), def.name), def)).collect(),
            needed: count,
        }
    });
    let is_current = tables::event(etype).is_some_and(|def| !def.flags.has(EventFlags::OLD_VERSION));
    let merged = is_current && enter.is_some() && values.iter().any(|value| matches!(value, Symbol::Enter(_)));
    Form { enter, main: Half { etype: target, params: main, needed: count }, merged }
}

fn by_name(params: &[ParamDef], name: &str) -> Option<usize> {
    params.iter().position(|param| param.name == name)
}

/// The enter half of a call's exit, and how many parameters it had.
fn enter_of(exit: EventType) -> Option<(EventType, usize)> {
    let def = tables::event(exit)?;
    let enter = EventType(exit.0.checked_sub(1)?);
    match tables::sysdig(enter) {
        SysdigForm::Known(count) if def.dir == Direction::Exit && def.origin == EventOrigin::Syscall => {
            Some((enter, count as usize))
        }
        _ => None,
    }
}

/// A value on its way through the conversion table.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Symbol {
    /// Parameter of the old exit.
    Own(u8),
    /// Parameter of its enter half.
    Enter(u8),
    Other,
}

/// What an old exit becomes today: its type, and where each of its parameters comes from.
fn follow(mut etype: EventType, count: usize) -> (EventType, Vec<Symbol>) {
    let mut values: Vec<Symbol> = (0..count as u8).map(Symbol::Own).collect();
    for _ in 0..MAX_CONVERSION_STEPS {
        let Some(row) = tables::conversion(etype, values.len()) else { break };
        let symbol = |step: &Step, own: &[Symbol]| match *step {
            Step::Old(k) => own.get(k as usize).copied().unwrap_or(Symbol::Other),
            Step::Enter(k) => Symbol::Enter(k),
            Step::Empty | Step::Default | Step::Callback => Symbol::Other,
        };
        match &row.action {
            Action::AddParams(steps) => values.extend(steps.iter().map(|step| symbol(step, &[]))),
            Action::ChangeType(target, steps) => {
                values = steps.iter().map(|step| symbol(step, &values)).collect();
                etype = *target;
            }
            Action::Store | Action::StoreAndPass | Action::Pass => break,
        }
    }
    (etype, values)
}

/// Whether a value can be written as it is.
pub(super) fn fits(value: &[u8], from: Option<&ParamDef>, to: &ParamDef) -> bool {
    let same =
        from.is_some_and(|from| from.ty == to.ty || (from.ty.width().is_some() && from.ty.width() == to.ty.width()));
    same && !value.is_empty() && to.ty != ParamType::SyscallId && to.ty.width().is_none_or(|width| width == value.len())
}

/// Writes a value of one encoding in another of the same family; an unknown one as the old recorders did, because an
/// old reader takes its width from the type and would read what follows.
pub(super) fn fit(value: &[u8], from: Option<&ParamDef>, to: &ParamDef, out: &mut Vec<u8>) {
    if value.is_empty() {
        return unknown(to, out);
    }
    match (from.map_or(to.ty, |from| from.ty), to.ty) {
        (from, ParamType::Dyn) if from != ParamType::Dyn => {
            let variant = to.variants.iter().position(|variant| variant.ty == from).unwrap_or(0);
            out.push(variant as u8);
            out.extend_from_slice(value);
        }
        (_, ParamType::SyscallId) if code(value) >= CALLS => out.extend_from_slice(&[0; 2]),
        _ => {
            let width = to.ty.width().unwrap_or(value.len());
            let start = out.len();
            out.extend_from_slice(&value[..value.len().min(width)]);
            out.resize(start + width, 0);
        }
    }
}

fn unknown(to: &ParamDef, out: &mut Vec<u8>) {
    match (to.ty, to.ty.width()) {
        (ParamType::Fd | ParamType::Pid | ParamType::Uid | ParamType::Gid, Some(width)) => {
            out.resize(out.len() + width, 0xFF);
        }
        (_, Some(width)) => out.resize(out.len() + width, 0),
        (ParamType::Charbuf | ParamType::Fspath | ParamType::Fsrelpath, None) => out.extend_from_slice(b"(NULL)\0"),
        (ParamType::Fdlist, None) => out.extend_from_slice(&[0; 2]),
        (ParamType::Dyn, None) => {
            let width = to.variants.first().and_then(|variant| variant.ty.width()).unwrap_or(0);
            out.resize(out.len() + 1 + width, 0);
        }
        // Empty is a value of its own here: no bytes, no address.
        (_, None) => {}
    }
}
