//! What the values of an event's own fields follow from: a few parameters, and what its descriptor is.
//!
//! Rules ask dozens of comparisons about each open. On events that are alike in these facts they need not be asked again
//! (`casebook_rules::event::EventFields::facts`). Facts are told as they stand in event and state, without making any text.
//! Fields that are not named here follow from too much, or are asked too seldom.

use std::borrow::Cow;
use std::rc::Rc;

use casebook_formats::event::Event;
use casebook_rules::event::Facts;
use casebook_rules::schema::FieldRef;

use super::catalogue::{self, EventField, Extractor, FdField};
use super::{args, event, fd};
use crate::context::EventContext;

/// Parameters have the first bits, by position.
const PARAMETERS: u32 = u16::MAX as u32;
/// `fd.num`.
pub(super) const NUMBER: u32 = 1 << 16;
/// What the descriptor is; that nothing is known of it counts as one.
pub(super) const KIND: u32 = 1 << 17;
/// `fd.name`.
pub(super) const NAME: u32 = 1 << 18;
/// The name as given to the call.
pub(super) const RAW_NAME: u32 = 1 << 19;

/// The facts that the value of a field follows from on all events of this one's type.
pub(super) fn follows_from(of: &Event<'_>, field: &FieldRef) -> Option<u32> {
    match catalogue::row_of(field.id)?.extractor {
        Extractor::Event(which) => match which {
            EventField::EvtIsOpenRead | EventField::EvtIsOpenWrite => parameter(event::flags_position(of.etype)?),
            EventField::EvtIsOpenCreate => Some(parameter(event::flags_position(of.etype)?)? | parameter(0)?),
            EventField::EvtRes | EventField::EvtRawres | EventField::EvtFailed => parameter(0),
            EventField::EvtArg => {
                let at = event::argument(of, &field.arg)?;
                if args::is_named_number(of, at) { parameter(at) } else { None }
            }
            _ => None,
        },
        Extractor::Fd(which) if fd::is_about_one(of) => match which {
            FdField::FdNum => Some(NUMBER),
            FdField::FdType | FdField::FdTypechar => Some(KIND),
            FdField::FdName => Some(NAME),
            FdField::FdDirectory | FdField::FdFilename => Some(KIND | NAME),
            FdField::FdNameraw => Some(RAW_NAME),
            _ => None,
        },
        _ => None,
    }
}

fn parameter(at: usize) -> Option<u32> {
    (at < 16).then(|| 1 << at)
}

/// These facts of an event; `None` where a parameter is no number.
pub(super) fn facts<'e>(context: &'e EventContext<'_>, wanted: u32) -> Option<Facts<'e>> {
    let mut facts = Facts::default();
    let mut parameters = wanted & PARAMETERS;
    while parameters != 0 {
        let at = parameters.trailing_zeros() as usize;
        parameters &= parameters - 1;
        if !facts.bytes(context.event.param_raw(at)) {
            return None;
        }
    }
    if wanted & !PARAMETERS != 0 {
        about_descriptor(context, wanted, &mut facts);
    }
    Some(facts)
}

fn about_descriptor<'e>(context: &'e EventContext<'_>, wanted: u32, facts: &mut Facts<'e>) {
    let Some(subject) = fd::subject(context) else { return facts.absent() };
    let record = subject.record;
    if wanted & NUMBER != 0 {
        facts.number(subject.number as u64);
    }
    if wanted & KIND != 0 {
        facts.number(record.map_or(0, |fd| 1 + fd.kind as u64));
    }
    if wanted & NAME != 0 {
        facts.text(fd::name(context, record));
    }
    if wanted & RAW_NAME != 0 {
        match record {
            // As good as always a name that was given in full is one text with the name.
            Some(fd) if wanted & NAME != 0 && Rc::ptr_eq(&fd.name, &fd.name_raw) => facts.same_text(),
            Some(fd) => facts.text(Some(Cow::Borrowed(&fd.name_raw))),
            None => facts.text(fd::name_from_call(context, true)),
        }
    }
}
