//! What an excerpt shows of its events, compared with what the whole shows of them: every field of every event.
//!
//! Two replays at the same time, event by event. Fields that say where in a capture an event stands are others by their
//! nature and left out: its number, and the distance to the first event and to the one before.

use std::collections::BTreeMap;
use std::hash::Hasher as _;
use std::ops::ControlFlow;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;

use casebook_rules::event::EventFields as _;
use casebook_rules::render;
use casebook_rules::schema::{Display, FieldRef, Schema as _};
use foldhash::fast::FixedState;
use std::hash::BuildHasher as _;

use super::ExcerptError;
use crate::context::EventContext;
use crate::engine::Replay;
use crate::fields::Catalogue;
use crate::fields::catalogue::{K8S_AUDIT_SOURCE, SYSCALL_SOURCE};
use crate::run::Source;

/// Fields that tell the place of an event in its capture.
const OF_PLACE: &[&str] = &["evt.num", "evt.reltime", "evt.deltatime", "evt.count"];

/// Arguments for fields that need one.
const ARGUMENTS: &[&str] =
    &["[0]", "[1]", "[2]", "[3]", "[4]", ".fd", ".res", "[PATH]", "[cpu]", "[/user/username]", "[/objectRef]"];

/// Events under way between the two replays.
const AHEAD: usize = 256;

/// How an excerpt compares.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proof {
    /// Events compared.
    pub events: u64,
    /// Events of one side that the other does not have.
    pub unpaired: u64,
    /// Fields compared of each event.
    pub fields: usize,
    /// Fields that differ: on how many events, and on which one first (its number in the whole).
    pub differing: BTreeMap<String, (u64, u64)>,
}

/// All fields that can be asked, of system calls and of audit events: a slice may have both.
struct Questions(Vec<(String, FieldRef, Display)>);

impl Questions {
    fn all() -> Self {
        let catalogue = Catalogue::new();
        let mut questions = Vec::new();
        for row in catalogue.rows().iter().filter(|row| row.offline().is_none()) {
            let name: &str = row.def.name;
            if OF_PLACE.iter().any(|place| name.starts_with(place)) {
                continue;
            }
            let names = std::iter::once(name.to_owned());
            for name in names.chain(ARGUMENTS.iter().map(|argument| format!("{name}{argument}"))) {
                let parsed = catalogue.parse(SYSCALL_SOURCE, &name).ok();
                // Lists of an audit event are compared whole.
                let of_element = name.ends_with(']') && !name.contains("[/");
                let of_audit = || catalogue.parse(K8S_AUDIT_SOURCE, &name).ok().filter(|_| !of_element);
                if let Some(field) = parsed.or_else(of_audit) {
                    let display = catalogue.display(&field);
                    questions.push((name, field, display));
                }
            }
        }
        Self(questions)
    }

    /// A hash of each answer.
    fn ask(&self, context: &EventContext<'_>) -> Vec<u64> {
        let mut text = Vec::new();
        let answer = |(_, field, display): &(String, FieldRef, Display)| {
            text.clear();
            let told = render::extracted(&context.extract(field), context.display(field, *display), &mut text);
            let mut hasher = FixedState::default().build_hasher();
            hasher.write(&text);
            hasher.write_u8(u8::from(told));
            hasher.finish()
        };
        self.0.iter().map(answer).collect()
    }
}

/// Number in the whole, and answers.
type Answers = (u64, Vec<u64>);

/// Compares an excerpt with the events of the whole whose numbers are `selected` (ascending).
///
/// # Errors
///
/// When one of them cannot be read.
pub fn compare(whole: &Source, selected: &[u64], excerpt: &Source) -> Result<Proof, ExcerptError> {
    let questions = Questions::all();
    let mut reader = whole.open().map_err(ExcerptError::Capture)?;
    let mut own = excerpt.open().map_err(ExcerptError::Capture)?;
    let mut proof = Proof { fields: questions.0.len(), ..Proof::default() };
    let (sender, receiver) = sync_channel::<Answers>(AHEAD);
    thread::scope(|scope| {
        let asked = &questions;
        let told = scope.spawn(move || {
            let mut wanted = selected.iter().peekable();
            let end = Replay::new().run(&mut reader, |context| {
                if wanted.next_if(|num| **num == context.event.num).is_none() {
                    return ControlFlow::Continue(());
                }
                let gone = sender.send((context.event.num, asked.ask(context))).is_err() || wanted.peek().is_none();
                if gone { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            });
            end.map(|_| ())
        });
        let own_end = Replay::new().run(&mut own, |context| {
            match receiver.recv() {
                Ok(answers) => proof.add(&questions, &answers, &questions.ask(context)),
                Err(_) => proof.unpaired += 1,
            }
            ControlFlow::Continue(())
        });
        proof.unpaired += left(&receiver);
        let whole_end = told.join().unwrap_or(Ok(()));
        own_end.map(|_| ()).and(whole_end).map_err(|error| ExcerptError::Capture(error.to_string()))
    })?;
    Ok(proof)
}

fn left(receiver: &Receiver<Answers>) -> u64 {
    receiver.iter().count() as u64
}

impl Proof {
    fn add(&mut self, questions: &Questions, (num, whole): &Answers, own: &[u64]) {
        self.events += 1;
        for (((name, ..), whole), own) in questions.0.iter().zip(whole).zip(own) {
            if whole != own {
                self.differing.entry(name.clone()).or_insert((0, *num)).0 += 1;
            }
        }
    }

    /// The first event of the whole on which a field differs.
    pub fn first(&self) -> Option<u64> {
        self.differing.values().map(|(_, first)| *first).min()
    }

    /// Nothing differs.
    pub fn is_equal(&self) -> bool {
        self.unpaired == 0 && self.differing.is_empty()
    }
}
