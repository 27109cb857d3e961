//! Explain: why a rule was true on an event, or was not.
//!
//! An [`Explainer`] asks every comparison of one rule about an event, also those that the short circuit would leave out,
//! and tells each with its place in the rule files, the way it came through macros, lists and exceptions, and the values
//! of its fields. What is reported besides is part of the answer: of all rules that are true on an event, the first in
//! load order is. [`near`] finds the events on which a rule failed by the least; [`text`] is the form for people.

pub mod near;
pub mod text;

use casebook_rules::ast::Right;
use casebook_rules::leaf::{LeafId, Leaves, Memo};
use casebook_rules::print;
use casebook_rules::ruleset::{Matching, Rule, RuleSet};
use casebook_rules::schema::{FieldRef, Schema};
use casebook_rules::source::Sources;
use serde::Serialize;

use super::verdicts::{Bits, Entries, Kind, Place, Step, Tree, value};
use crate::context::EventContext;
use crate::detect::source_of;
use crate::fields::Catalogue;
use crate::fields::print::datetime;

/// Elements of a list that are told as matching; more are counted.
const MAX_MATCHES: usize = 8;

/// A rule, ready to be explained.
#[derive(Debug)]
pub struct Explainer<'o> {
    rules: &'o RuleSet,
    sources: &'o Sources,
    /// The rule's number.
    number: u32,
    /// Its condition.
    pub tree: Tree<'o>,
    /// The fields of each comparison, in the order of the text.
    fields: Vec<Vec<(String, FieldRef)>>,
    entries: Vec<Option<Entries>>,
    /// Those of the entries.
    leaves: Leaves,
    about: Vec<(&'static str, FieldRef)>,
}

/// The fields by which an event is told.
const ABOUT: &[&str] =
    &["evt.type", "proc.name", "proc.pid", "proc.cmdline", "container.name", "ka.verb", "ka.uri", "ka.user.name"];

/// An event as it is told.
#[derive(Clone, Serialize, Debug)]
pub struct EventNote {
    /// `evt.num`.
    pub num: u64,
    /// ns since the epoch.
    pub ts: u64,
    /// The same as text, UTC.
    pub time: String,
    /// What is known of it: call, process and container, or request and user.
    pub fields: Vec<FieldNote>,
}

impl EventNote {
    /// The value of a field that is told of every event.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|field| field.field == name)?.value.as_deref()
    }
}

/// A field and its value.
#[derive(Clone, PartialEq, Eq, Serialize, Debug)]
pub struct FieldNote {
    /// Its name, with argument.
    pub field: String,
    /// Its text; `None` when it has no value.
    pub value: Option<String>,
}

/// A rule as others name it.
#[derive(Clone, PartialEq, Eq, Serialize, Debug)]
pub struct RuleNote {
    /// Its name.
    pub name: String,
    /// Where it is defined.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub place: Option<Place>,
}

/// What became of a rule on an event.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Debug)]
#[serde(rename_all = "snake_case")]
pub enum Fate {
    /// True, and the first rule that is: it is reported.
    Reported,
    /// True, but an earlier rule is, too, and that one is reported.
    Shadowed,
    /// The condition would be true, but the rule is switched off or too weak to run.
    Off,
    /// The condition would be true, but the rule is never asked about events of this type.
    NotAsked,
    /// The condition is not true.
    NotTrue,
    /// An evaluation that Falco aborts.
    Aborted,
}

/// Why a rule was true on an event, or was not.
#[derive(Clone, Serialize, Debug)]
pub struct Explanation {
    /// The rule.
    pub rule: RuleNote,
    /// The event.
    pub event: EventNote,
    /// What became of the rule.
    pub fate: Fate,
    /// Whether the rule runs at all.
    pub active: bool,
    /// Whether the rule is asked about events of this type.
    pub asked: bool,
    /// The earlier rules that are true on the event; the first of them is reported.
    pub earlier: Vec<RuleNote>,
    /// Comparisons that have to turn out otherwise for the condition to be true; 0 when it is.
    pub distance: usize,
    /// The condition.
    pub condition: PartNote,
}

/// A part of a condition and its verdict.
#[derive(Clone, Serialize, Debug)]
pub struct PartNote {
    /// `and`, `or`, `not` or `comparison`.
    pub kind: &'static str,
    /// The verdict.
    pub verdict: bool,
    /// The text of a comparison.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// The part is this macro.
    #[serde(rename = "macro", skip_serializing_if = "Option::is_none")]
    pub macro_name: Option<String>,
    /// The part is this exception.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exception: Option<String>,
    /// Where it was written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub place: Option<Place>,
    /// Of a comparison: what it came through, from the rule inwards.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub through: Vec<Step>,
    /// Of a comparison: its fields.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<FieldNote>,
    /// Of a comparison with a list: how the list fared.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub list: Option<ListNote>,
    /// Of a comparison: whether the evaluation comes to it, or has its verdict before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reached: Option<bool>,
    /// Of a comparison: alone, it would turn the verdict of the whole condition.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub decisive: bool,
    /// Of a comparison: one of the fewest that have to turn for the condition to be true.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub to_turn: bool,
    /// Of a comparison: why Falco aborts here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The parts in it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<PartNote>,
}

/// The list of a comparison.
#[derive(Clone, Serialize, Debug)]
pub struct ListNote {
    /// How many elements it has.
    pub elements: usize,
    /// Elements that match by themselves; the first few.
    pub matching: Vec<ElementNote>,
    /// How many match.
    pub matches: usize,
}

/// An element of a list.
#[derive(Clone, Serialize, Debug)]
pub struct ElementNote {
    /// It as text.
    pub text: String,
    /// Where it was written.
    pub place: Option<Place>,
    /// The lists it came through, from the outside to the inside.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub through: Vec<Step>,
}

/// The verdicts of a rule's comparisons on one event, in the order of the text.
pub(super) struct Verdicts {
    pub(super) leaves: Bits,
    /// Comparisons that Falco aborts on.
    errors: Vec<(usize, String)>,
}

impl<'o> Explainer<'o> {
    /// Prepares rule `number` of a ruleset; `None` when there is no such rule. `sources` are those of the load.
    pub fn new(rules: &'o RuleSet, sources: &'o Sources, number: usize) -> Option<Self> {
        let rule = rules.rules().get(number)?;
        let (tree, catalogue) = (Tree::new(rule, rules), Catalogue::new());
        let mut leaves = Leaves::new();
        let mut fields = Vec::new();
        let mut entries = Vec::new();
        for &at in &tree.leaves {
            let part = &tree.parts[at];
            let refs = part.leaf.map(|leaf| rules.leaves().fields(leaf)).unwrap_or_default();
            let mut named: Vec<(String, FieldRef)> = Vec::new();
            for field in refs {
                let name = catalogue.written(&field);
                if !named.iter().any(|(other, _)| *other == name) {
                    named.push((name, field));
                }
            }
            fields.push(named);
            entries.push(part.check.and_then(|check| Entries::of(check, &rule.source, &catalogue, &mut leaves)));
        }
        let about = ABOUT.iter().filter_map(|&name| Some((name, catalogue.parse(&rule.source, name).ok()?)));
        Some(Self { about: about.collect(), rules, sources, number: number as u32, tree, fields, entries, leaves })
    }

    /// The rule.
    pub fn rule(&self) -> &'o Rule {
        self.tree.rule
    }

    /// A memory for [`Explainer::explain`].
    pub fn memo(&self) -> Memo {
        self.rules.memo()
    }

    /// Asks every comparison about an event. `memo` is that of the ruleset, and is started anew.
    pub(super) fn ask(&self, context: &EventContext<'_>, memo: &mut Memo) -> Verdicts {
        memo.start_event();
        let mut verdicts = Verdicts { leaves: Bits::none(self.tree.leaves.len()), errors: Vec::new() };
        for (n, &at) in self.tree.leaves.iter().enumerate() {
            match self.tree.parts[at].leaf.map(|leaf| self.rules.leaves().ask(leaf, context, memo)) {
                Some(Ok(true)) => verdicts.leaves.set(n),
                Some(Err(error)) => verdicts.errors.push((n, error.to_string())),
                Some(Ok(false)) | None => {}
            }
        }
        verdicts
    }

    /// Whether the condition is true on an event. `memo` is one of the ruleset.
    pub fn is_true(&self, context: &EventContext<'_>, memo: &mut Memo) -> bool {
        memo.start_event();
        self.rule().condition.eval(self.rules.leaves(), context, memo).unwrap_or(false)
    }

    /// The verdict of each part, by those of the comparisons.
    pub(super) fn parts(&self, leaves: &Bits) -> Vec<bool> {
        self.tree.verdicts(&|n| leaves.get(n))
    }

    /// Whether an event is of the source that the rule is for.
    pub fn concerns(&self, context: &EventContext<'_>) -> bool {
        context.source() == Some(self.rule().source.as_str())
    }

    /// Whether the rule is asked about an event, when it runs.
    pub fn asks(&self, context: &EventContext<'_>) -> bool {
        let etype = context.event.etype.0;
        if !self.concerns(context) {
            return false;
        }
        let types = self.rule().event_types.as_ref();
        types.is_none_or(|types| types.contains(etype)) || Catalogue::new().async_event_types().contains(&etype)
    }

    /// The other rules that are true on an event, before this one in load order.
    pub(super) fn earlier(&self, context: &EventContext<'_>, memo: &mut Memo) -> Vec<RuleNote> {
        let Some(source) = source_of(self.rules, context) else { return Vec::new() };
        let mut found = Vec::new();
        // What was true before an abort is reported.
        let _ = self.rules.matching(context, context.event.etype.0, source, Matching::All, memo, &mut found);
        let earlier = found.into_iter().filter(|&other| other < self.number);
        earlier.filter_map(|other| self.rules.rules().get(other as usize)).map(|rule| self.note(rule)).collect()
    }

    /// A rule as it is named.
    pub fn note(&self, rule: &Rule) -> RuleNote {
        RuleNote { name: rule.name.clone(), place: Place::of(rule.span, self.sources) }
    }

    /// What is told of an event.
    pub fn event(&self, context: &EventContext<'_>) -> EventNote {
        let note = |(name, field): &(&str, FieldRef)| FieldNote {
            field: (*name).to_owned(),
            value: value(context, field).filter(|value| !value.is_empty()),
        };
        EventNote {
            num: context.event.num,
            ts: context.event.ts,
            time: datetime(context.event.ts, true),
            fields: self.about.iter().map(note).collect(),
        }
    }

    /// Explains the rule on an event. `memo` is one of the ruleset.
    pub fn explain(&self, context: &EventContext<'_>, memo: &mut Memo) -> Explanation {
        let asked = self.ask(context, memo);
        let verdicts = self.parts(&asked.leaves);
        let condition = verdicts.first() == Some(&true);
        let (distance, to_turn) = self.tree.distance(&verdicts);
        let marks = Marks {
            reached: self.reached(&asked.leaves),
            decisive: self.tree.decisive(&verdicts),
            to_turn,
            errors: asked.errors,
        };
        let aborted = marks.errors.iter().any(|(n, _)| marks.reached.get(*n));
        let active = self.rules.is_active(self.number as usize);
        let asks = self.asks(context);
        let earlier = self.earlier(context, memo);
        let fate = match () {
            () if aborted => Fate::Aborted,
            () if !condition => Fate::NotTrue,
            () if !asks => Fate::NotAsked,
            () if !active => Fate::Off,
            () if !earlier.is_empty() => Fate::Shadowed,
            () => Fate::Reported,
        };
        Explanation {
            rule: self.note(self.rule()),
            event: self.event(context),
            fate,
            active,
            asked: asks,
            earlier,
            distance,
            condition: self.part(0, &verdicts, &marks, context),
        }
    }

    /// Which comparisons the evaluation comes to, in the order of the text.
    fn reached(&self, leaves: &Bits) -> Bits {
        let mut reached = Bits::none(self.tree.leaves.len());
        let mut ask = |n: usize, _: LeafId| {
            reached.set(n);
            Ok::<_, ()>(leaves.get(n))
        };
        let _ = self.rule().condition.walk(&mut ask);
        reached
    }

    fn part(&self, at: usize, verdicts: &[bool], marks: &Marks, context: &EventContext<'_>) -> PartNote {
        let part = &self.tree.parts[at];
        let mut note = PartNote {
            kind: match part.kind {
                Kind::All => "and",
                Kind::Any => "or",
                Kind::Not => "not",
                Kind::Leaf => "comparison",
            },
            verdict: verdicts[at],
            text: None,
            macro_name: part.begins_macro.as_ref().map(|(name, _)| name.clone()),
            exception: part.begins_exception.clone(),
            place: self.tree.place(at, self.rules, self.sources),
            through: Vec::new(),
            values: Vec::new(),
            list: None,
            reached: None,
            decisive: marks.decisive.binary_search(&at).is_ok(),
            to_turn: marks.to_turn.binary_search(&at).is_ok(),
            error: None,
            parts: part.children.iter().map(|&child| self.part(child, verdicts, marks, context)).collect(),
        };
        if let Ok(n) = self.tree.leaves.binary_search(&at) {
            note.text = part.check.map(print::check);
            note.through = self.tree.way(at, self.rules, self.sources);
            if self.rules.exception_around(part.span).is_some() {
                note.place = self.entry_place(part).or(note.place);
            }
            note.values = self.values(n, context);
            note.list = self.entries[n].as_ref().map(|entries| self.list(entries, context));
            note.reached = Some(marks.reached.get(n));
            note.error = marks.errors.iter().find(|(other, _)| *other == n).map(|(_, error)| error.clone());
        }
        note
    }

    /// Where the value of an exception's comparison stands: its field is written once for all entries.
    fn entry_place(&self, part: &super::verdicts::Part<'_>) -> Option<Place> {
        let span = match &part.check?.right {
            Right::Constant(constant) => constant.span,
            Right::List(_, items) => items.first()?.span,
            _ => return None,
        };
        Place::of(self.rules.written(span, self.sources)?.span, self.sources)
    }

    /// The fields of comparison `n` and their values on an event.
    pub(super) fn values(&self, n: usize, context: &EventContext<'_>) -> Vec<FieldNote> {
        let note = |(name, field): &(String, FieldRef)| FieldNote { field: name.clone(), value: value(context, field) };
        self.fields.get(n).into_iter().flatten().map(note).collect()
    }

    fn list(&self, entries: &Entries, context: &EventContext<'_>) -> ListNote {
        let matching = entries.matching(&self.leaves, context);
        let element = |n: &usize| {
            let entry = entries.all.get(*n)?;
            let written = self.rules.written(entry.span, self.sources);
            let through = written.as_ref().map(|written| written.through.clone()).unwrap_or_default();
            let step = |through: casebook_rules::written::Through| Step {
                way: through.way.name(),
                name: through.name,
                used: through.used.and_then(|used| Place::of(used, self.sources)),
            };
            Some(ElementNote {
                text: entry.text.clone(),
                place: written.and_then(|written| Place::of(written.span, self.sources)),
                through: through.into_iter().map(step).collect(),
            })
        };
        ListNote {
            elements: entries.all.len(),
            matching: matching.iter().take(MAX_MATCHES).filter_map(element).collect(),
            matches: matching.len(),
        }
    }
}

/// What is marked in a condition.
struct Marks {
    /// By comparison.
    reached: Bits,
    /// Positions of parts, sorted; so are those to turn.
    decisive: Vec<usize>,
    to_turn: Vec<usize>,
    /// By comparison.
    errors: Vec<(usize, String)>,
}
