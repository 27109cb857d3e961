//! Fields: the catalogue of what can be asked of an event, and the extractors that answer.
//!
//! [`EventContext`] (an event and the state after it) → a value per field, for conditions, outputs and tables. One
//! module per class of fields; [`catalogue`] says which field belongs to which. What a value looks like when printed
//! is the rule engine's business, except for the texts of parameters (`args`).
//!
//! Principle: a value the capture does not hold is absent, not made up. Where libs has a quirk that rules rely on,
//! the extractor does the same and says so.

use std::borrow::Cow;

use casebook_rules::event::{EventFields, Extracted, Facts, Holder};
use casebook_rules::render;
use casebook_rules::schema::{Display, FieldArg, FieldRef, Schema};
use casebook_rules::value::Value;
use smallvec::SmallVec;

use crate::context::EventContext;

mod address;
mod alike;
pub(crate) mod args;
pub(crate) mod audit;
pub mod catalogue;
pub(crate) mod container;
mod event;
mod facts;
pub(crate) mod fd;
mod fdlist;
mod fspath;
mod k8s_user;
pub(crate) mod names;
pub mod page;
mod params;
mod path;
pub(crate) mod print;
pub(crate) mod process;
#[cfg(test)]
mod sample;
mod user;

pub use catalogue::Catalogue;
use catalogue::{EventField, Extractor};

impl EventFields for EventContext<'_> {
    fn extract<'e>(&'e self, field: &FieldRef) -> Extracted<'e> {
        let Some(row) = catalogue::row_of(field.id) else { return Extracted::Absent };
        match row.extractor {
            Extractor::Event(which) => event::extract(self, which, &field.arg),
            Extractor::Process(which) => process::extract(self, which, &field.arg),
            Extractor::User(which) => user::extract(self, which),
            Extractor::Fd(which) => fd::extract(self, which, &field.arg),
            Extractor::Fspath(which) => fspath::extract(self, which),
            Extractor::Fdlist(which) => fdlist::extract(self, which),
            Extractor::Container(which) => container::extract(self, which, &field.arg),
            Extractor::Audit(which) => audit::extract(self, which, &field.arg),
            Extractor::K8sUser(which) => k8s_user::extract(self, which),
            Extractor::Offline(_) => Extracted::Absent,
        }
    }

    fn of_type<'e>(&'e self, field: &FieldRef) -> Option<Extracted<'e>> {
        match catalogue::row_of(field.id)?.extractor {
            Extractor::Event(which) => event::of_type(self, which, &field.arg),
            Extractor::Fd(_) if !fd::is_about_one(self.event) => Some(Extracted::Absent),
            Extractor::Offline(_) => Some(Extracted::Absent),
            _ => None,
        }
    }

    fn outlasts(&self, field: &FieldRef) -> bool {
        match catalogue::row_of(field.id).map(|row| row.extractor) {
            Some(Extractor::Process(which)) => process::outlasts(which),
            Some(Extractor::User(_)) => true,
            Some(Extractor::Container(which)) => container::outlasts(which),
            _ => false,
        }
    }

    fn number_behind(&self, field: &FieldRef) -> Option<u64> {
        match catalogue::row_of(field.id)?.extractor {
            Extractor::Event(EventField::EvtArg) => {
                args::number_behind(self.event, event::argument(self.event, &field.arg)?)
            }
            _ => None,
        }
    }

    fn follows_from(&self, field: &FieldRef) -> Option<u32> {
        alike::follows_from(self.event, field)
    }

    fn facts(&self, wanted: u32) -> Option<Facts<'_>> {
        alike::facts(self, wanted)
    }

    fn holder(&self) -> Option<Holder> {
        // An event that describes a container is about that one, whoever sent it.
        let thread = self.effects.thread.filter(|_| !self.effects.is_about_container())?;
        Some(Holder { place: thread.0, version: self.state.people() })
    }

    fn display(&self, field: &FieldRef, usual: Display) -> Display {
        let rawarg = Extractor::Event(EventField::EvtRawarg);
        if catalogue::row_of(field.id).is_none_or(|row| row.extractor != rawarg) {
            return usual;
        }
        let param = event::argument(self.event, &field.arg).and_then(|at| params::param(self.event, at));
        param.map_or(usual, |param| catalogue::display_of(param.format))
    }
}

/// Text of one field on one event, as outputs print it; `None` when the field is absent.
///
/// Fields that exist for comparisons only (`fd.net`) have no text.
pub fn text(catalogue: &Catalogue, context: &EventContext<'_>, field: &FieldRef) -> Option<Vec<u8>> {
    if catalogue.row(field)?.def.filter_only {
        return None;
    }
    let mut out = Vec::new();
    render::extracted(&context.extract(field), context.display(field, catalogue.display(field)), &mut out)
        .then_some(out)
}

// Short ways to make an [`Extracted`], so that extractors read as tables.

fn borrowed(text: &[u8]) -> Extracted<'_> {
    Extracted::One(Value::text(text))
}

fn fixed<'e>(text: &'static str) -> Extracted<'e> {
    Extracted::One(Value::text(text.as_bytes()))
}

fn owned<'e>(text: impl Into<Vec<u8>>) -> Extracted<'e> {
    Extracted::One(Value::owned(text))
}

fn cow(text: Cow<'_, [u8]>) -> Extracted<'_> {
    Extracted::One(Value::Text(text))
}

fn signed<'e>(number: i64) -> Extracted<'e> {
    Extracted::One(Value::I64(number))
}

fn unsigned<'e>(number: u64) -> Extracted<'e> {
    Extracted::One(Value::U64(number))
}

fn truth<'e>(value: bool) -> Extracted<'e> {
    Extracted::One(Value::Bool(value))
}

fn many<'e>(values: impl IntoIterator<Item = Value<'e>>) -> Extracted<'e> {
    let values: SmallVec<[Value<'e>; 4]> = values.into_iter().collect();
    if values.is_empty() { Extracted::Absent } else { Extracted::Many(values) }
}

/// The value there is, made into what is extracted; absent where there is none.
fn when<'e, T>(value: Option<T>, make: impl FnOnce(T) -> Extracted<'e>) -> Extracted<'e> {
    value.map_or(Extracted::Absent, make)
}

/// Index argument; 0 where none was given.
fn index(arg: &FieldArg) -> Option<u64> {
    match arg {
        FieldArg::Index(index) => Some(*index),
        _ => None,
    }
}

/// Key argument.
fn key(arg: &FieldArg) -> Option<&str> {
    match arg {
        FieldArg::Key(key, _) => Some(key),
        _ => None,
    }
}
