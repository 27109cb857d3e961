//! Detection: which rules are true on an event, and what their alerts say.
//!
//! [`EventContext`] → filter → ruleset → rule numbers → alert lines. A [`Detector`] is shared by all captures of a
//! run; a [`Session`] is one capture's memory for verdicts. Loading and selecting rules happens elsewhere, counting and
//! ordering alerts too.

use std::collections::BTreeMap;

use casebook_formats::event::EventType;
use casebook_formats::ledger::{Counter, Ledger};
use casebook_formats::tables::{self, ppme};
use casebook_rules::alert::{Alert, AlertOptions};
use casebook_rules::compile::{CompileError, Condition, condition_from_text};
use casebook_rules::default_rules::default_rules;
use casebook_rules::leaf::{Leaves, Memo};
use casebook_rules::load::{LoadOptions, load};
use casebook_rules::ruleset::{Matching, Rule, RuleSet, SourceId};

use crate::absent::Untold;
use crate::audit::join::Binding;
use crate::context::EventContext;
use crate::fields::Catalogue;
use crate::fields::catalogue::{K8S_AUDIT_SOURCE, SYSCALL_SOURCE};
use crate::metrics::RuleFacts;
use crate::summary::RuleLabel;

/// Bytes that most alerts' messages need no more than.
const USUAL_MESSAGE: usize = 512;

/// Form of an alert.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Form {
    /// The line that Falco prints.
    Text,
    /// The JSON object that Falco prints.
    Json,
}

/// A condition in front of all rules.
#[derive(Debug)]
pub struct Filter {
    /// For system calls; none when it names fields that they do not have.
    calls: Option<Test>,
    /// For audit events; none when it names fields that they do not have.
    documents: Option<Test>,
}

/// A condition with its leaves.
#[derive(Debug)]
struct Test {
    condition: Condition,
    leaves: Leaves,
}

impl Test {
    fn parse(text: &str, source: &str) -> Result<Self, Vec<CompileError>> {
        let mut leaves = Leaves::new();
        let compiled = condition_from_text(text, source, &Catalogue::new(), &mut leaves)?;
        Ok(Self { condition: compiled.condition, leaves })
    }
}

impl Filter {
    /// Compiles a condition for system call events. It can name fields, but no macros and lists.
    ///
    /// # Errors
    /// All mistakes in it; their spans are places in `text`.
    pub fn parse(text: &str) -> Result<Self, Vec<CompileError>> {
        Ok(Self { calls: Some(Test::parse(text, SYSCALL_SOURCE)?), documents: None })
    }

    /// Compiles a condition for the events of all sources. On events of a source that lacks one of its fields it is
    /// false.
    ///
    /// # Errors
    /// All mistakes in it as a condition on system calls, when it fits no source; their spans are places in `text`.
    pub fn parse_for_all(text: &str) -> Result<Self, Vec<CompileError>> {
        let documents = Test::parse(text, K8S_AUDIT_SOURCE).ok();
        match Test::parse(text, SYSCALL_SOURCE) {
            Ok(calls) => Ok(Self { calls: Some(calls), documents }),
            Err(_) if documents.is_some() => Ok(Self { calls: None, documents }),
            Err(errors) => Err(errors),
        }
    }

    /// Begins a capture.
    pub fn gate(&self) -> Gate<'_> {
        let lane = |test: &'_ Option<Test>| test.as_ref().map(|test| Memo::new(&test.leaves));
        Gate { filter: self, calls: lane(&self.calls), documents: lane(&self.documents) }
    }
}

/// A [`Filter`] at work on one capture.
pub struct Gate<'f> {
    filter: &'f Filter,
    calls: Option<Memo>,
    documents: Option<Memo>,
}

impl Gate<'_> {
    /// Whether the filter lets an event through. An evaluation that Falco would abort is counted and does not.
    pub fn passes(&mut self, context: &EventContext<'_>, ledger: &mut Ledger) -> bool {
        let (test, memo) = match context.source() {
            Some(SYSCALL_SOURCE) => (&self.filter.calls, &mut self.calls),
            _ => (&self.filter.documents, &mut self.documents),
        };
        let (Some(test), Some(memo)) = (test, memo) else { return false };
        memo.start_event();
        test.condition.eval(&test.leaves, context, memo).unwrap_or_else(|_| {
            ledger.count(Counter::EvaluationErrors);
            false
        })
    }
}

/// Rules ready to be asked about events.
#[derive(Debug)]
pub struct Detector {
    rules: RuleSet,
    /// The source whose events captures hold; none when no rule is for it.
    source: Option<SourceId>,
    matching: Matching,
    filter: Option<Filter>,
    untold: Untold,
}

impl Detector {
    /// Asks `rules`, reports what `matching` says, on events that pass `filter`.
    pub fn new(rules: RuleSet, matching: Matching, filter: Option<Filter>) -> Self {
        Self { source: rules.source_id(SYSCALL_SOURCE), untold: Untold::new(&rules), rules, matching, filter }
    }

    /// The ruleset that is built into the program; `None` when it does not load, which its tests exclude.
    pub fn built_in() -> Option<Self> {
        let outcome = load(&default_rules(), &Catalogue::new(), &LoadOptions::default());
        outcome.ruleset.map(|rules| Self::new(rules, Matching::First, None))
    }

    /// Whether there are rules for events of a type.
    fn asks(&self, etype: EventType) -> bool {
        etype == ppme::PPME_PLUGINEVENT_E
            || self.source.is_some_and(|source| !self.rules.candidates(source, etype.0).is_empty())
    }

    /// All rules as a summary names them; the position is the rule's number.
    pub fn labels(&self) -> Vec<RuleLabel> {
        let label = |rule: &Rule| RuleLabel { name: rule.name.clone(), severity: rule.priority as usize };
        self.rules.rules().iter().map(label).collect()
    }

    /// All rules as metrics name them, in the same order.
    pub fn facts(&self) -> Vec<RuleFacts> {
        let facts = |rule: &Rule| RuleFacts {
            name: rule.name.clone(),
            priority: rule.priority,
            source: rule.source.clone(),
            tags: rule.tags.iter().cloned().collect(),
        };
        self.rules.rules().iter().map(facts).collect()
    }

    /// Begins a capture.
    pub fn session(&self, form: Form) -> Session<'_> {
        let gate = self.filter.as_ref().map(Filter::gate);
        let interest = |asks| if asks { Interest::Untried } else { Interest::None };
        let interest = (0..tables::EVENT_TYPES as u16).map(|etype| interest(self.asks(EventType(etype)))).collect();
        Session { detector: self, form, memo: self.rules.memo(), gate, interest }
    }
}

/// Whether rules can be true on events of a type.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Interest {
    /// There are none, or the type alone decides that all are false.
    None,
    /// There are some; no event of the type has come yet.
    Untried,
    /// Some can be.
    Some,
}

/// One capture's evaluation.
pub struct Session<'d> {
    detector: &'d Detector,
    form: Form,
    memo: Memo,
    gate: Option<Gate<'d>>,
    /// By the number of the event type.
    interest: Box<[Interest]>,
}

impl Session<'_> {
    /// Whether [`Session::matching`] can come to anything on events of a type.
    #[inline]
    pub fn asks(&self, etype: EventType) -> bool {
        self.interest.get(usize::from(etype.0)) != Some(&Interest::None)
    }

    /// Whether there are rules for system calls at all.
    pub fn asks_anything(&self) -> bool {
        let asked = |(etype, interest): (usize, &Interest)| {
            *interest != Interest::None && etype != usize::from(ppme::PPME_PLUGINEVENT_E.0)
        };
        self.interest.iter().enumerate().any(asked)
    }

    /// Puts the numbers of the rules to report into `matched`, in load order. An evaluation that Falco would abort
    /// is counted, and what was true before it is reported.
    #[inline]
    pub fn matching(&mut self, context: &EventContext<'_>, ledger: &mut Ledger, matched: &mut Vec<u32>) {
        matched.clear();
        let etype = context.event.etype;
        let Detector { rules, source, matching, .. } = self.detector;
        if !self.asks(etype) {
            return;
        }
        let source = if etype == ppme::PPME_PLUGINEVENT_E { source_of(rules, context) } else { *source };
        let Some(source) = source else { return };
        if etype == ppme::PPME_PLUGINEVENT_E && rules.candidates(source, etype.0).is_empty() {
            return;
        }
        if !self.passes(context, ledger) {
            return;
        }
        if rules.matching(context, etype.0, source, *matching, &mut self.memo, matched).is_err() {
            ledger.count(Counter::EvaluationErrors);
        }
        if self.interest.get(usize::from(etype.0)) == Some(&Interest::Untried) {
            self.tried(etype, source);
        }
    }

    /// An event of a type has come for the first time: the type alone may decide that all of its rules are false. A filter
    /// may still have to count its errors.
    #[cold]
    fn tried(&mut self, etype: EventType, source: SourceId) {
        let silent =
            self.gate.is_none() && etype != ppme::PPME_PLUGINEVENT_E && self.detector.rules.is_silent(source, etype.0);
        if let Some(interest) = self.interest.get_mut(usize::from(etype.0)) {
            *interest = if silent { Interest::None } else { Interest::Some };
        }
    }

    /// Whether the filter lets an event through.
    fn passes(&mut self, context: &EventContext<'_>, ledger: &mut Ledger) -> bool {
        self.gate.as_mut().is_none_or(|gate| gate.passes(context, ledger))
    }

    /// The fields without a value on which the verdict of a rule rests that is true on the event that
    /// [`Session::matching`] was asked about last: by name, sorted, mostly none.
    pub fn untold(&self, rule: u32, context: &EventContext<'_>) -> Vec<String> {
        self.detector.untold.fields(&self.detector.rules, rule, &self.memo, context)
    }

    /// Appends the alert of a rule on an event to `line`, without a line end. `absent` is what [`Session::untold`] says.
    pub fn render(&self, rule: u32, context: &EventContext<'_>, absent: Vec<String>, line: &mut Vec<u8>) {
        self.render_with(rule, context, absent, line, None);
    }

    /// The same, and in JSON to `json`.
    pub fn render_with(
        &self,
        rule: u32,
        context: &EventContext<'_>,
        absent: Vec<String>,
        line: &mut Vec<u8>,
        json: Option<&mut Vec<u8>>,
    ) {
        let Some(rule) = self.detector.rules.rules().get(rule as usize) else { return };
        let wants_json = self.form == Form::Json || json.is_some();
        // An audit log does not say on which host it was written.
        let hostname = String::from_utf8_lossy(&context.state.machine.hostname);
        let mut message = Vec::with_capacity(USUAL_MESSAGE);
        rule.output.render_text(context, &mut message);
        let mut alert = Alert {
            time_ns: context.event.ts,
            rule: &rule.name,
            source: &rule.source,
            priority: rule.priority,
            // Lines do not name them.
            tags: if wants_json { rule.tags.iter().map(String::as_str).collect() } else { Vec::new() },
            hostname: &hostname,
            message,
            fields: BTreeMap::new(),
            extra_fields: BTreeMap::new(),
            absent,
        };
        if let Some(binding) = context.k8s_user() {
            add_user(&mut alert, binding);
        }
        if self.form == Form::Text {
            line.extend_from_slice(alert.text(AlertOptions::default()).as_bytes());
        }
        if wants_json {
            alert.fields = rule.output.render_fields(context).into_iter().collect();
            let text = alert.json(AlertOptions::default());
            if self.form == Form::Json {
                line.extend_from_slice(text.as_bytes());
            }
            if let Some(json) = json {
                json.extend_from_slice(text.as_bytes());
            }
        }
    }
}

/// The Kubernetes user behind the alert's process: fields of its JSON, words at the end of its line.
fn add_user(alert: &mut Alert<'_>, Binding { request, confidence, others }: Binding<'_>) {
    let words = [
        ("k8s.user.name", request.user.as_str()),
        ("k8s.user.via", request.via.word()),
        ("k8s.user.confidence", confidence.word()),
        ("k8s.user.audit_id", &request.audit_id),
    ];
    for (name, value) in words {
        alert.extra_fields.insert(name.to_owned(), value.into());
        let name = name.replace('.', "_");
        alert.message.extend_from_slice(format!(" {name}={value}").as_bytes());
    }
    if !others.is_empty() {
        alert.message.extend_from_slice(format!(" k8s_user_others={}", others.join(",")).as_bytes());
        alert.extra_fields.insert("k8s.user.others".to_owned(), others.into());
    }
    alert.extra_fields.insert("k8s.user.groups".to_owned(), request.groups.clone().into());
    alert.extra_fields.insert("k8s.user.source_ips".to_owned(), request.source_ips.clone().into());
}

/// The number of the source whose rules are asked about an event; `None` when there are no such rules.
pub fn source_of(rules: &RuleSet, context: &EventContext<'_>) -> Option<SourceId> {
    context.source().and_then(|source| rules.source_id(source))
}
