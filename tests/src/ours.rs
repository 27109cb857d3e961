//! Our side of a comparison: fields of a replayed event as text, and conditions on it.

use std::collections::BTreeMap;

use casebook_replay::context::EventContext;
use casebook_replay::fields::Catalogue;
use casebook_rules::ast;
use casebook_rules::event::EventFields as _;
use casebook_rules::render;
use casebook_rules::schema::{Display, FieldRef};

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
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(String::as_str)
    }

    /// Appends the text of a column to `into`; false when the field is absent.
    pub fn text(&self, column: usize, context: &EventContext<'_>, into: &mut Vec<u8>) -> bool {
        let Some((field, display)) = self.fields.get(column) else { return false };
        render::extracted(&context.extract(field), *display, into)
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
}

impl Conditions {
    fn compile<'k>(classes: impl Iterator<Item = (&'k str, &'k str)>) -> Result<Self, String> {
        let compile = |(id, when): (&str, &str)| match when {
            "" => Ok(None),
            when => Condition::compile(when).map(Some).map_err(|error| format!("class {id}: {error}")),
        };
        Ok(Self { compiled: classes.map(compile).collect::<Result<_, _>>()? })
    }

    /// Whether the condition of class `index` holds on this event; a class without one always does.
    pub fn holds(&self, index: usize, context: &EventContext<'_>) -> bool {
        match self.compiled.get(index) {
            Some(Some(condition)) => condition.holds(context),
            Some(None) => true,
            None => false,
        }
    }
}

enum Condition {
    And(Vec<Condition>),
    Or(Vec<Condition>),
    Not(Box<Condition>),
    Check(FieldRef, Display, ast::Operator, Vec<Vec<u8>>),
}

impl Condition {
    fn compile(text: &str) -> Result<Self, String> {
        let expr = casebook_rules::condition::parse(text)
            .map_err(|errors| errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))?;
        Self::of(&expr)
    }

    fn of(expr: &ast::Expr) -> Result<Self, String> {
        Ok(match &expr.node {
            ast::Node::And(all) => Self::And(all.iter().map(Self::of).collect::<Result<_, _>>()?),
            ast::Node::Or(all) => Self::Or(all.iter().map(Self::of).collect::<Result<_, _>>()?),
            ast::Node::Not(one) => Self::Not(Box::new(Self::of(one)?)),
            ast::Node::Check(check) => {
                let ast::Operand::Field(field) = &check.left else { return Err("no calls".into()) };
                let name = casebook_rules::print::field(field);
                let catalogue = Catalogue::new();
                let bound = catalogue.parse(SYSCALL, &name).map_err(|e| format!("{name}: {e}"))?;
                let display = catalogue.display(&bound);
                let right = match &check.right {
                    ast::Right::Nothing => Vec::new(),
                    ast::Right::Constant(one) => vec![one.bytes.clone()],
                    ast::Right::List(_, all) => all.iter().map(|one| one.bytes.clone()).collect(),
                    _ => return Err("constants only".into()),
                };
                Self::Check(bound, display, check.op, right)
            }
            ast::Node::Identifier(name) => return Err(format!("no macro {name}")),
        })
    }

    fn holds(&self, context: &EventContext<'_>) -> bool {
        match self {
            Self::And(all) => all.iter().all(|one| one.holds(context)),
            Self::Or(all) => all.iter().any(|one| one.holds(context)),
            Self::Not(one) => !one.holds(context),
            Self::Check(field, display, op, right) => {
                let mut text = Vec::new();
                if !render::extracted(&context.extract(field), *display, &mut text) {
                    return false;
                }
                match op {
                    ast::Operator::Exists => true,
                    ast::Operator::NotEqual => !right.contains(&text),
                    ast::Operator::StartsWith => right.iter().any(|one| text.starts_with(one)),
                    _ => right.contains(&text),
                }
            }
        }
    }
}
