//! Our side of a comparison: fields of a replayed event as text, and conditions on it.

use std::collections::{BTreeMap, BTreeSet};

use casebook_replay::context::EventContext;
use casebook_replay::fields::Catalogue;
use casebook_rules::compile::{Condition, condition_from_text};
use casebook_rules::event::EventFields as _;
use casebook_rules::leaf::{Leaves, Memo};
use casebook_rules::render;
use casebook_rules::schema::{Display, FieldRef, Schema};

use crate::history::History;
use crate::known::KnownDifferences;

/// Event source of system calls.
const SYSCALL: &str = "syscall";

/// Fields by column, bound through the catalogue.
pub struct OurFields {
    names: Vec<String>,
    fields: Vec<(FieldRef, Display)>,
    event_type: Option<FieldRef>,
}

impl OurFields {
    /// Binds names as goldens write them, arguments and all. Names that do not bind come back with the reason.
    pub fn bind(names: impl Iterator<Item = String>) -> (Self, BTreeMap<String, String>) {
        let catalogue = Catalogue::new();
        let mut ours =
            Self { names: Vec::new(), fields: Vec::new(), event_type: catalogue.parse(SYSCALL, "evt.type").ok() };
        let mut unknown = BTreeMap::new();
        for name in names {
            match catalogue.parse(SYSCALL, &name) {
                Ok(field) => {
                    ours.fields.push((field.clone(), catalogue.display(&field)));
                    ours.names.push(name);
                }
                Err(error) => {
                    unknown.insert(name, error.to_string());
                }
            }
        }
        (ours, unknown)
    }

    /// Names by column.
    pub fn names(&self) -> impl ExactSizeIterator<Item = &str> {
        self.names.iter().map(String::as_str)
    }

    /// Appends the text of a column to `into`; false when the field is absent.
    pub fn text(&self, column: usize, context: &EventContext<'_>, into: &mut Vec<u8>) -> bool {
        let Some((field, display)) = self.fields.get(column) else { return false };
        render::extracted(&context.extract(field), context.display(field, *display), into)
    }

    /// `evt.type` of an event.
    pub fn event_type(&self, context: &EventContext<'_>) -> String {
        let mut text = Vec::new();
        if let Some(field) = &self.event_type {
            render::extracted(&context.extract(field), Display::Plain, &mut text);
        }
        String::from_utf8_lossy(&text).into_owned()
    }
}

/// The conditions of a list of classes, compiled; by position in that list.
pub struct Conditions {
    when: Vec<Option<Condition>>,
    after: Vec<After>,
    leaves: Leaves,
}

/// What a class asks of the time before an event.
enum After {
    /// Nothing.
    Anything,
    /// That events are certainly missing (the cell says `losses`).
    Losses,
    /// That this held on an earlier event, or holds on this one.
    Event(Box<Condition>),
}

impl Conditions {
    /// Those of the field classes.
    pub fn of_fields(known: &KnownDifferences) -> Result<Self, String> {
        let classes = known.fields.iter();
        Self::compile(classes.map(|class| (class.id.as_str(), class.when.as_str(), class.after.as_str())))
    }

    /// Those of the alert classes.
    pub fn of_alerts(known: &KnownDifferences) -> Result<Self, String> {
        Self::compile(known.alerts.iter().map(|class| (class.id.as_str(), class.when.as_str(), "")))
    }

    fn compile<'k>(classes: impl Iterator<Item = (&'k str, &'k str, &'k str)>) -> Result<Self, String> {
        let mut compiled = Self { when: Vec::new(), after: Vec::new(), leaves: Leaves::new() };
        for (id, when, after) in classes {
            let when = if when.is_empty() { None } else { Some(compiled.condition(id, when)?) };
            let after = match after {
                "" => After::Anything,
                "losses" => After::Losses,
                after => After::Event(Box::new(compiled.condition(id, after)?)),
            };
            compiled.when.push(when);
            compiled.after.push(after);
        }
        Ok(compiled)
    }

    fn condition(&mut self, id: &str, text: &str) -> Result<Condition, String> {
        let compiled = condition_from_text(text, SYSCALL, &Catalogue::new(), &mut self.leaves).map_err(|errors| {
            let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
            format!("known-differences.md: condition of {id}: {}", errors.join("; "))
        })?;
        Ok(compiled.condition)
    }

    /// Whether the conditions of class `index` hold on this event; a class without one always does.
    pub fn hold(&self, index: usize, context: &EventContext<'_>, history: &History) -> bool {
        let before = match self.after.get(index) {
            Some(After::Anything) => true,
            Some(After::Losses) => context.state.has_losses(),
            Some(After::Event(_)) => history.knows(context, index),
            None => false,
        };
        before
            && match self.when.get(index) {
                Some(Some(condition)) => self.holds(condition, context, &mut Memo::new(&self.leaves)),
                Some(None) => true,
                None => false,
            }
    }

    /// An evaluation that Falco would abort explains nothing.
    fn holds(&self, condition: &Condition, context: &EventContext<'_>, memo: &mut Memo) -> bool {
        condition.eval(&self.leaves, context, memo).unwrap_or(false)
    }

    /// The classes whose `after` holds on this event.
    pub fn happening(&self, context: &EventContext<'_>) -> BTreeSet<usize> {
        let mut memo = Memo::new(&self.leaves);
        let holds = |after: &After| match after {
            After::Event(condition) => self.holds(condition, context, &mut memo),
            After::Anything | After::Losses => false,
        };
        self.after.iter().map(holds).enumerate().filter(|(_, holds)| *holds).map(|(index, _)| index).collect()
    }
}
