//! What lint knows about fields: which events have them, what captures cannot tell, how long they get.
//!
//! The catalogue says what a field is; these few lists say how rules go wrong with it. Each line is a claim that
//! findings rest on, so what is not certain is not here.

use casebook_formats::event::EventType;
use casebook_formats::tables::{self, EventFlags};
use casebook_rules::lint::{Absence, FieldFacts};
use casebook_rules::schema::{FieldArg, FieldRef};

use super::catalogue::{Catalogue, EventField, Extractor, K8S_AUDIT_SOURCE, row_of};
use super::params::ParamNames;

/// Bytes of a task's name that the kernel keeps, without the zero byte at its end.
const COMM_BYTES: usize = 15;

/// Fields that show the name of a task as the kernel keeps it.
const COMM: &[&str] = &["proc.name", "proc.pname", "proc.aname", "proc.sname", "proc.vpgid.name", "proc.pgid.name"];

/// Fields that rules like to compare with `!=`, and when they are absent: beginning of the name, when, family.
const ABSENT: &[(&str, &str, &str)] = &[
    ("k8s.", "outside of pods", "k8s."),
    ("container.image", "outside of containers, and where a container's metadata are unknown", "container."),
    ("proc.aname", "where a process has fewer ancestors", "proc.aname"),
    ("proc.aexepath", "where a process has fewer ancestors", "proc.aexepath"),
    ("proc.aexe", "where a process has fewer ancestors", "proc.aexe"),
    ("proc.acmdline", "where a process has fewer ancestors", "proc.acmdline"),
];

/// Fields that are absent, never the text `<NA>`, when there is nothing to show: beginnings of names.
const NEVER_NA: &[&str] = &["container.image", "container.name", "k8s.", "proc.pname", "proc.aname"];

/// Fields that only a container runtime can tell: beginnings of names.
const METADATA: &[&str] = &["container.image", "container.name", "container.privileged", "container.mount", "k8s."];

fn begins(name: &str, beginnings: &[&str]) -> bool {
    beginnings.iter().any(|beginning| name.starts_with(beginning))
}

impl FieldFacts for Catalogue {
    fn never_on(&self, field: &FieldRef, etype: u16) -> bool {
        let Some((row, event)) = row_of(field.id).zip(tables::event(EventType(etype))) else { return false };
        match (row.extractor, &field.arg) {
            // A generic event has the parameters of no call in particular.
            (Extractor::Event(EventField::EvtArg | EventField::EvtRawarg), FieldArg::Key(name, _)) => {
                let names = ParamNames::get();
                names.number(name).is_some_and(|number| names.position(EventType(etype), number).is_none())
            }
            (Extractor::Event(EventField::EvtArg), FieldArg::Index(index)) => *index >= event.params.len() as u64,
            // As libs: fields of the descriptor exist on events that make, use or close one.
            (Extractor::Fd(_), _) => {
                let about = [EventFlags::CREATES_FD, EventFlags::USES_FD, EventFlags::DESTROYS_FD];
                !about.into_iter().any(|flag| event.flags.has(flag))
            }
            _ => false,
        }
    }

    fn offline(&self, field: &FieldRef) -> Option<&str> {
        // Audit fields have values on audit logs, which are inputs of their own.
        row_of(field.id).filter(|row| !row.scope.has(K8S_AUDIT_SOURCE) || row.def.name.starts_with("evt."))?.offline()
    }

    fn absence(&self, name: &str) -> Option<Absence> {
        let (_, when, family) = ABSENT.iter().find(|(beginning, ..)| name.starts_with(beginning))?;
        Some(Absence { when, family })
    }

    fn never_na_text(&self, name: &str) -> bool {
        begins(name, NEVER_NA)
    }

    fn longest(&self, name: &str) -> Option<usize> {
        COMM.contains(&name).then_some(COMM_BYTES)
    }

    fn needs_metadata(&self, name: &str) -> bool {
        begins(name, METADATA)
    }

    fn event_type_name(&self, etype: u16) -> Option<&str> {
        tables::event(EventType(etype)).filter(|event| !event.flags.has(EventFlags::UNUSED)).map(|event| event.name)
    }
}
