//! Ruleset: rules in load order, with an index by source and event type.
//!
//! What the engine asks for every event: which rules are true on it. Rules that are off or weaker than the threshold
//! are not in the index; everything about them can still be asked.

use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};

use crate::ast::{Expr, Span};
use crate::build::Built;
use crate::compile::Condition;
use crate::diagnostics::{Code, Diagnostic};
use crate::event::EventFields;
use crate::evttypes::EventTypeSet;
use crate::leaf::{EvalError, Leaves, Memo};
use crate::output::Format;
use crate::priority::Priority;
use crate::program::Program;
use crate::resolver::Places;
use crate::schema::Schema;
use crate::select::{Selector, Switch};
use crate::source::{FileSpan, Sources};

/// A rule.
#[derive(Debug)]
pub struct Rule {
    /// Its name.
    pub name: String,
    /// What it is for.
    pub desc: String,
    /// The source of its events.
    pub source: String,
    /// How urgent its alerts are.
    pub priority: Priority,
    /// Its tags.
    pub tags: BTreeSet<String>,
    /// Its output as written, with the configured additions.
    pub output_text: String,
    /// Its output, compiled; absent values print as `<NA>`.
    pub output: Format,
    /// Fields that the configuration adds to its JSON alerts.
    pub extra_outputs: Vec<ExtraOutput>,
    /// Its condition after all expansion.
    pub expr: Expr,
    /// Number of its condition's text, for [`RuleSet::diagnostic`].
    pub(crate) text: u32,
    /// Its condition, compiled, over the leaves of the ruleset.
    pub condition: Condition,
    /// Event types it can be true on; absent for sources without event types. Asynchronous events come on top.
    pub event_types: Option<EventTypeSet>,
    /// Whether it is switched on. It runs when it is also strong enough: see [`RuleSet::is_active`].
    pub enabled: bool,
    /// Fields of its exceptions that have values.
    pub exception_fields: BTreeSet<String>,
    /// Asks for a capture around its alerts.
    pub capture: bool,
    /// Length of that capture in milliseconds; 0 when the rule does not say.
    pub capture_duration_ms: u32,
    /// Where its name is defined.
    pub span: FileSpan,
}

impl Rule {
    /// A place at the start of its condition's own text.
    pub fn text_span(&self) -> Span {
        Span { text: self.text, start: 0, end: 0 }
    }
}

/// A field that the configuration adds to JSON alerts of a rule.
#[derive(Debug)]
pub struct ExtraOutput {
    /// Its key.
    pub name: String,
    /// Its value.
    pub format: Format,
    /// The value is that of the field called `name` in the format, not the format's text.
    pub raw: bool,
}

/// A macro, for listings.
#[derive(Debug)]
pub struct MacroInfo {
    /// Its name.
    pub name: String,
    /// Its condition with all macros and lists put in.
    pub expr: Arc<Expr>,
    /// Whether anything uses it.
    pub used: bool,
    /// Where its name is defined.
    pub span: FileSpan,
}

/// A list, for listings.
#[derive(Debug)]
pub struct ListInfo {
    /// Its name.
    pub name: String,
    /// Its items, those of inner lists put in.
    pub items: Vec<String>,
    /// Whether anything uses it.
    pub used: bool,
    /// Where its name is defined.
    pub span: FileSpan,
}

/// Whether the first rule that is true on an event is reported, or all.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Matching {
    /// The first in load order.
    #[default]
    First,
    /// All, in load order.
    All,
}

/// Number of a source within a ruleset.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct SourceId(u16);

/// Rules by event type for one source. Rule numbers are in load order everywhere.
#[derive(Debug)]
struct Index {
    source: String,
    /// Rules for each event type; event types beyond the end have the rules of `rest`.
    by_type: Vec<Vec<u32>>,
    /// Rules for events without a type in the table.
    rest: Vec<u32>,
    /// What `by_type` and, as its last element, `rest` come to; each made when the first event of its kind comes.
    programs: Vec<OnceLock<Program>>,
}

/// Rules that can be asked about events.
#[derive(Debug)]
pub struct RuleSet {
    rules: Vec<Rule>,
    macros: Vec<MacroInfo>,
    lists: Vec<ListInfo>,
    leaves: Leaves,
    places: Places,
    min_priority: Priority,
    event_type_count: usize,
    asynchronous: Vec<u16>,
    indexes: Vec<Index>,
}

impl RuleSet {
    pub(crate) fn new(built: Built, min_priority: Priority, schema: &dyn Schema) -> Self {
        let sources: BTreeSet<&str> = built.rules.iter().map(|rule| &*rule.source).collect();
        let index = |source: &str| Index {
            source: source.to_owned(),
            by_type: Vec::new(),
            rest: Vec::new(),
            programs: Vec::new(),
        };
        let mut this = Self {
            indexes: sources.into_iter().map(index).collect(),
            rules: built.rules,
            macros: built.macros,
            lists: built.lists,
            leaves: built.leaves,
            places: built.places,
            min_priority,
            event_type_count: schema.event_type_count(),
            asynchronous: schema.async_event_types(),
        };
        this.rebuild_index();
        this
    }

    /// The rules in load order; their positions are their numbers.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// The macros in the order of first definition.
    pub fn macros(&self) -> &[MacroInfo] {
        &self.macros
    }

    /// The lists in the order of first definition.
    pub fn lists(&self) -> &[ListInfo] {
        &self.lists
    }

    /// The comparisons that the rules' conditions consist of.
    pub fn leaves(&self) -> &Leaves {
        &self.leaves
    }

    /// A diagnostic about a part of a rule's condition, with the places of the macros, lists and exceptions through
    /// which it came. `sources` are those of the load.
    pub fn diagnostic(
        &self,
        code: Code,
        message: impl Into<String>,
        rule: &Rule,
        part: Span,
        sources: &Sources,
    ) -> Diagnostic {
        self.places.diagnostic(code, message, part, rule.text, sources)
    }

    pub(crate) fn places(&self) -> &Places {
        &self.places
    }

    /// Whether a rule runs: it is switched on and strong enough.
    pub fn is_active(&self, rule: usize) -> bool {
        self.rules.get(rule).is_some_and(|rule| self.runs(rule))
    }

    fn runs(&self, rule: &Rule) -> bool {
        rule.enabled && rule.priority <= self.min_priority
    }

    /// Number of rules that run.
    pub fn active_count(&self) -> usize {
        self.rules.iter().filter(|rule| self.runs(rule)).count()
    }

    /// Switches rules and gives the number of rules that were meant, whether or not that changed them.
    pub fn select(&mut self, switch: Switch, selector: &Selector) -> usize {
        let mut count = 0;
        for rule in self.rules.iter_mut().filter(|rule| selector.selects(&rule.name, &rule.tags)) {
            rule.enabled = switch == Switch::Enable;
            count += 1;
        }
        self.rebuild_index();
        count
    }

    fn rebuild_index(&mut self) {
        let mut indexes = std::mem::take(&mut self.indexes);
        for index in &mut indexes {
            index.by_type = vec![Vec::new(); self.event_type_count];
            index.rest.clear();
            index.programs = vec![OnceLock::new(); self.event_type_count + 1];
            for (n, rule) in (0_u32..).zip(&self.rules) {
                if rule.source != index.source || !self.runs(rule) {
                    continue;
                }
                match &rule.event_types {
                    None => {
                        index.by_type.iter_mut().for_each(|rules| rules.push(n));
                        index.rest.push(n);
                    }
                    Some(types) => {
                        for etype in types.iter().chain(self.asynchronous.iter().copied()) {
                            if let Some(rules) = index.by_type.get_mut(usize::from(etype))
                                && rules.last() != Some(&n)
                            {
                                rules.push(n);
                            }
                        }
                    }
                }
            }
        }
        self.indexes = indexes;
    }

    /// The number of a source; absent when no rule is for it.
    pub fn source_id(&self, name: &str) -> Option<SourceId> {
        self.indexes.iter().position(|index| index.source == name).map(|at| SourceId(at as u16))
    }

    /// The rules that have to be evaluated on events of a type, in load order.
    pub fn candidates(&self, source: SourceId, etype: u16) -> &[u32] {
        let Some(index) = self.indexes.get(usize::from(source.0)) else { return &[] };
        index.by_type.get(usize::from(etype)).unwrap_or(&index.rest)
    }

    /// A memory for verdicts; one per thread.
    pub fn memo(&self) -> Memo {
        Memo::new(&self.leaves)
    }

    /// Adds the numbers of the rules that are true on an event to `out`, in load order; only the first of them with
    /// [`Matching::First`].
    ///
    /// # Errors
    /// The first evaluation that Falco would abort. The rules found until then are in `out`; later ones are not asked.
    pub fn matching<E: EventFields + ?Sized>(
        &self,
        event: &E,
        etype: u16,
        source: SourceId,
        mode: Matching,
        memo: &mut Memo,
        out: &mut Vec<u32>,
    ) -> Result<(), EvalError> {
        let Some(index) = self.indexes.get(usize::from(source.0)) else { return Ok(()) };
        let at = usize::from(etype);
        let (rules, of_one_type) = match index.by_type.get(at) {
            Some(rules) => (rules, Some(event)),
            None => (&index.rest, None),
        };
        if rules.is_empty() {
            return Ok(());
        }
        memo.start_event();
        let Some(program) = index.programs.get(at).or(index.programs.last()) else { return Ok(()) };
        let program = program.get_or_init(|| self.program(rules, of_one_type));
        let place = usize::from(source.0) * index.programs.len() + at.min(index.by_type.len());
        program.run(&self.leaves, event, memo, place, mode == Matching::First, out)
    }

    /// Whether events of a type have been met, and none of its rules can be true on any of them.
    #[inline]
    pub fn is_silent(&self, source: SourceId, etype: u16) -> bool {
        let program =
            self.indexes.get(usize::from(source.0)).and_then(|index| index.programs.get(usize::from(etype))?.get());
        program.is_some_and(Program::is_empty)
    }

    #[cold]
    fn program<E: EventFields + ?Sized>(&self, rules: &[u32], event: Option<&E>) -> Program {
        let conditions = rules.iter().filter_map(|&n| {
            let rule = self.rules.get(n as usize)?;
            Some((n, &rule.expr, &rule.condition))
        });
        Program::new(conditions, &self.leaves, event)
    }
}
