//! The compiler: a condition tree to steps over leaves.
//!
//! Every check is typed: its fields are found in the schema, its operator must fit their type, its constants are
//! converted. Equal checks of a ruleset become one leaf ([`Leaves`]). The logic around them becomes a list of
//! [`Condition`] steps with jumps for both verdicts, so that evaluation is a loop with short circuit and no recursion.
//!
//! Macros and lists are the resolver's: an identifier that is still there is an error.

use std::fmt;

use crate::ast::{Check, Constant, Expr, MAX_TREE_DEPTH, Node, Operator, Right, Span};
use crate::checks::CheckCompiler;
use crate::condition;
use crate::event::EventFields;
use crate::leaf::{EvalError, LeafId, Leaves, Memo};
use crate::schema::Schema;

/// What kind of mistake a condition has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CompileErrorKind {
    /// The text does not parse.
    Syntax,
    /// No such field for the source. `skip-if-unknown-filter` covers this.
    UnknownField,
    /// A constant of `evt.type` that names no event. `skip-if-unknown-filter` covers this.
    UnknownEventType,
    /// An argument that the field does not take.
    BadArgument,
    /// A macro that nobody resolved.
    UnknownIdentifier,
    /// An operator that does not fit the type of the left side.
    BadOperator,
    /// A constant that does not fit the type.
    BadConstant,
    /// A call with wrong arguments.
    BadCall,
    /// A right side that cannot be compared with the left.
    BadRightSide,
    /// `evt.type` in a form that the event type index cannot read.
    EventTypeForm,
    /// Nested beyond [`MAX_TREE_DEPTH`].
    TooDeep,
}

/// A mistake in a condition.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{message}")]
pub struct CompileError {
    /// Where, in the text that the span names.
    pub span: Span,
    /// What kind.
    pub kind: CompileErrorKind,
    /// One line without a full stop.
    pub message: String,
    /// What to write instead, where that can be guessed.
    pub hint: Option<String>,
}

impl From<condition::ParseError> for CompileError {
    fn from(error: condition::ParseError) -> Self {
        Self { span: error.span, kind: CompileErrorKind::Syntax, message: error.message, hint: error.hint }
    }
}

/// What Falco warns about in a condition that compiles.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HintKind {
    /// A regular expression that a simpler operator could replace (`LOAD_COMPILE_CONDITION`).
    NeedlessRegex,
    /// A constant that spells a field (`LOAD_COMPILE_CONDITION`).
    FieldAsConstant,
    /// A constant that spells a transformer call (`LOAD_COMPILE_CONDITION`).
    CallAsConstant,
    /// A field of Kubernetes audit events compared with the text `<NA>` (`LOAD_UNSAFE_NA_CHECK`).
    UnsafeNa,
    /// A deprecated field (`LOAD_DEPRECATED_ITEM`); once per name.
    DeprecatedField,
}

/// A warning about a condition.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Hint {
    /// Where, in the text that the span names.
    pub span: Span,
    /// What kind.
    pub kind: HintKind,
    /// One line without a full stop.
    pub message: String,
}

/// Fields whose mention in a condition or an output gives `LOAD_DEPRECATED_ITEM`.
pub const DEPRECATED_FIELDS: [&str; 7] = [
    "evt.dir",
    "evt.latency",
    "evt.latency.human",
    "evt.latency.ns",
    "evt.latency.quantized",
    "evt.latency.s",
    "evt.wait_latency",
];

/// A compiled condition and what there is to say about it.
#[derive(Clone, Debug)]
pub struct Compiled {
    /// The condition.
    pub condition: Condition,
    /// Warnings, in the order of the text.
    pub hints: Vec<Hint>,
}

/// A compiled condition: steps over the leaves of the table it was compiled with.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Condition {
    steps: Box<[Step]>,
}

/// Asks a leaf and goes on with the step for its verdict.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Step {
    pub(crate) leaf: LeafId,
    pub(crate) yes: u32,
    pub(crate) no: u32,
}

/// Instead of a step: the condition is true.
pub(crate) const TRUE: u32 = u32::MAX;
/// Instead of a step: the condition is false.
pub(crate) const FALSE: u32 = u32::MAX - 1;

/// Results that a condition can still come to from some step.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
struct Possible {
    yes: bool,
    no: bool,
}

impl Possible {
    /// Those of a jump's target.
    fn of(target: u32, steps: &[Self]) -> Self {
        match target {
            TRUE => Self { yes: true, no: false },
            FALSE => Self { yes: false, no: true },
            step => steps.get(step as usize).copied().unwrap_or_default(),
        }
    }
}

/// Compiles a condition for a source. All macros must be resolved.
///
/// # Errors
/// All mistakes, in the order in which Falco would meet them; the first decides the result of a load.
pub fn compile(
    expr: &Expr,
    source: &str,
    schema: &dyn Schema,
    leaves: &mut Leaves,
) -> Result<Compiled, Vec<CompileError>> {
    check_depth(expr)?;
    let mut checks = CheckCompiler::new(source, schema, leaves);
    let mut ids = Vec::new();
    compile_checks(expr, &mut checks, &mut ids);
    let (errors, mut hints) = checks.finish();
    if !errors.is_empty() {
        return Err(errors);
    }
    let mut deprecated = Vec::new();
    hints.retain(|hint| {
        let again = hint.kind == HintKind::DeprecatedField && deprecated.contains(&hint.message);
        deprecated.push(hint.message.clone());
        !again
    });
    let mut layout = Layout { ids, steps: Vec::new() };
    layout.lay(expr, TRUE, FALSE);
    Ok(Compiled { condition: Condition::new(layout.steps), hints })
}

/// Refuses trees too deep for functions that call themselves. Joined macros can make them; a text cannot.
pub(crate) fn check_depth(expr: &Expr) -> Result<(), Vec<CompileError>> {
    if expr.depth() > MAX_TREE_DEPTH {
        return Err(vec![CompileError {
            span: expr.span,
            kind: CompileErrorKind::TooDeep,
            message: format!("the condition nests more than {MAX_TREE_DEPTH} levels"),
            hint: None,
        }]);
    }
    Ok(())
}

/// Compiles all checks from left to right.
fn compile_checks(expr: &Expr, checks: &mut CheckCompiler<'_>, ids: &mut Vec<LeafId>) {
    match &expr.node {
        Node::And(children) | Node::Or(children) => {
            for child in children {
                compile_checks(child, checks, ids);
            }
        }
        Node::Not(child) => compile_checks(child, checks, ids),
        Node::Check(check) => ids.extend(checks.compile(check, expr.span)),
        Node::Identifier(name) => checks.unknown_identifier(name, expr.span),
    }
}

/// Parses and compiles a condition of its own, such as a filter on the command line. Identifiers are errors.
///
/// # Errors
/// All mistakes of the first stage that has some.
pub fn condition_from_text(
    text: &str,
    source: &str,
    schema: &dyn Schema,
    leaves: &mut Leaves,
) -> Result<Compiled, Vec<CompileError>> {
    let expr =
        condition::parse(text).map_err(|errors| errors.into_iter().map(CompileError::from).collect::<Vec<_>>())?;
    compile(&expr, source, schema, leaves)
}

/// Steps in the making, from the last check to the first, so that the targets of each exist when it is laid.
struct Layout {
    /// The leaves of the checks that are not laid yet.
    ids: Vec<LeafId>,
    steps: Vec<Step>,
}

impl Layout {
    /// Lays the steps of a condition that goes on with `yes` or `no`, and gives where it begins.
    fn lay(&mut self, expr: &Expr, yes: u32, no: u32) -> u32 {
        match &expr.node {
            Node::And(children) => children.iter().rev().fold(yes, |next, child| self.lay(child, next, no)),
            Node::Or(children) => children.iter().rev().fold(no, |next, child| self.lay(child, yes, next)),
            Node::Not(child) => self.lay(child, no, yes),
            Node::Check(_) | Node::Identifier(_) => {
                self.steps.extend(self.ids.pop().map(|leaf| Step { leaf, yes, no }));
                self.steps.len() as u32 - 1
            }
        }
    }
}

impl Condition {
    /// Of steps from the last check to the first. Turns the list round: the first check of the text becomes step 0 and all jumps go forward.
    pub(crate) fn new(mut steps: Vec<Step>) -> Self {
        let last = steps.len() as u32 - 1;
        let turned = |target: u32| if target >= FALSE { target } else { last - target };
        for step in &mut steps {
            step.yes = turned(step.yes);
            step.no = turned(step.no);
        }
        steps.reverse();
        Self { steps: steps.into() }
    }

    /// The steps; jumps go forward.
    pub(crate) fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// Whether the condition is true on an event. From left to right with short circuit; leaves that were asked for
    /// this event are not asked again.
    ///
    /// # Errors
    /// Where Falco aborts the evaluation. Nothing is remembered of the leaf that did.
    pub fn eval<E: EventFields + ?Sized>(
        &self,
        leaves: &Leaves,
        event: &E,
        memo: &mut Memo,
    ) -> Result<bool, EvalError> {
        let mut at = 0;
        while let Some(step) = self.steps.get(at as usize) {
            at = if leaves.ask(step.leaf, event, memo)? { step.yes } else { step.no };
        }
        Ok(at == TRUE)
    }

    /// The verdict that follows from verdicts of leaves, however these were had: for coverage and mutation.
    pub fn decide(&self, verdict: &mut dyn FnMut(LeafId) -> bool) -> bool {
        let mut at = 0;
        while let Some(step) = self.steps.get(at as usize) {
            at = if verdict(step.leaf) { step.yes } else { step.no };
        }
        at == TRUE
    }

    /// The same, for verdicts that may fail and callers who want to know which of the comparisons is asked: `verdict`
    /// also gets its position in the text. Those that the short circuit leaves out are not asked.
    ///
    /// # Errors
    /// What `verdict` fails with.
    pub fn walk<E>(&self, verdict: &mut dyn FnMut(usize, LeafId) -> Result<bool, E>) -> Result<bool, E> {
        let mut at = 0;
        while let Some(step) = self.steps.get(at as usize) {
            at = if verdict(at as usize, step.leaf)? { step.yes } else { step.no };
        }
        Ok(at == TRUE)
    }

    /// The leaves without a verdict on which the result rests: those where *yes* and *no* leave different results
    /// possible, given the verdicts that there are. In the order of the text; none when the result is certain.
    ///
    /// Only leaves that the evaluation may come to are asked for their verdict. A leaf that is written twice counts as
    /// two unknowns.
    pub fn undecided(&self, verdict: &mut dyn FnMut(LeafId) -> Option<bool>) -> Vec<LeafId> {
        // Jumps go forward: from the front it is known which steps are reached, from the back what they can give.
        let mut steps: Vec<(Step, Option<bool>, bool)> = self.steps.iter().map(|step| (*step, None, false)).collect();
        if let Some((_, _, reached)) = steps.first_mut() {
            *reached = true;
        }
        for at in 0..steps.len() {
            let (step, _, reached) = steps[at];
            if !reached {
                continue;
            }
            let known = verdict(step.leaf);
            steps[at].1 = known;
            for (target, open) in [(step.yes, known != Some(false)), (step.no, known != Some(true))] {
                if let Some((_, _, reached)) = steps.get_mut(target as usize).filter(|_| open) {
                    *reached = true;
                }
            }
        }
        let mut possible = vec![Possible::default(); steps.len()];
        let mut leaves = Vec::new();
        for (at, (step, known, reached)) in steps.iter().enumerate().rev() {
            let (yes, no) = (Possible::of(step.yes, &possible), Possible::of(step.no, &possible));
            possible[at] = match known {
                Some(true) => yes,
                Some(false) => no,
                None => Possible { yes: yes.yes || no.yes, no: yes.no || no.no },
            };
            if *reached && known.is_none() && yes != no {
                leaves.push(step.leaf);
            }
        }
        leaves.reverse();
        leaves
    }

    /// The leaves in the order of the text, each as often as it is written.
    pub fn leaves(&self) -> impl Iterator<Item = LeafId> {
        self.steps.iter().map(|step| step.leaf)
    }

    /// The steps for people to read: number, leaf, and where each verdict leads.
    pub fn listing(&self, leaves: &Leaves) -> String {
        use fmt::Write;
        let target = |target: u32| match target {
            TRUE => "true".to_owned(),
            FALSE => "false".to_owned(),
            step => step.to_string(),
        };
        let mut text = String::new();
        for (i, step) in self.steps.iter().enumerate() {
            let (yes, no) = (target(step.yes), target(step.no));
            let _ =
                writeln!(text, "{i:4}  leaf {:<5} yes → {yes:<6} no → {no:<6} {}", step.leaf.0, leaves.text(step.leaf));
        }
        text
    }
}

/// The constants of a check: those of its list, or the single one.
pub(crate) fn constants(check: &Check) -> &[Constant] {
    match &check.right {
        Right::Constant(constant) => std::slice::from_ref(constant),
        Right::List(_, items) => items,
        Right::Nothing | Right::Field(..) | Right::Call(_) => &[],
    }
}

/// `==` is `=`.
pub(crate) fn plain(op: Operator) -> Operator {
    if op == Operator::DoubleEqual { Operator::Equal } else { op }
}

#[cfg(test)]
mod tests;
