//! Our side of a comparison: fields of a replayed event as text, and conditions on it.

use std::collections::BTreeMap;

use casebook_replay::context::EventContext;
use casebook_replay::fields::Catalogue;
use casebook_rules::compile::{Condition, condition_from_text};
use casebook_rules::event::EventFields as _;
use casebook_rules::leaf::{Leaves, Memo};
use casebook_rules::render;
use casebook_rules::schema::{Display, FieldRef, Schema};

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

/// The `when` conditions of a list of classes, compiled; by position in that list.
pub struct Conditions {
    compiled: Vec<Option<Condition>>,
    leaves: Leaves,
}

impl Conditions {
    /// Those of the field classes.
    pub fn of_fields(known: &KnownDifferences) -> Result<Self, String> {
        Self::compile(known.fields.iter().map(|class| (class.id.as_str(), class.when.as_str())))
    }

    /// Those of the alert classes.
    pub fn of_alerts(known: &KnownDifferences) -> Result<Self, String> {
        Self::compile(known.alerts.iter().map(|class| (class.id.as_str(), class.when.as_str())))
    }

    fn compile<'k>(classes: impl Iterator<Item = (&'k str, &'k str)>) -> Result<Self, String> {
        let mut leaves = Leaves::new();
        let mut compiled = Vec::new();
        for (id, when) in classes {
            compiled.push(match when {
                "" => None,
                when => Some(
                    condition_from_text(when, SYSCALL, &Catalogue::new(), &mut leaves)
                        .map_err(|errors| {
                            let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
                            format!("known-differences.md: condition of {id}: {}", errors.join("; "))
                        })?
                        .condition,
                ),
            });
        }
        Ok(Self { compiled, leaves })
    }

    /// Whether the condition of class `index` holds on this event; a class without one always does.
    pub fn holds(&self, index: usize, context: &EventContext<'_>) -> bool {
        match self.compiled.get(index) {
            // An evaluation that Falco would abort explains nothing.
            Some(Some(condition)) => {
                condition.eval(&self.leaves, context, &mut Memo::new(&self.leaves)).unwrap_or(false)
            }
            Some(None) => true,
            None => false,
        }
    }
}
