//! A rule's condition as a tree whose parts know where they were written and what they came through.

use std::collections::HashMap;

use casebook_rules::ast::{Check, Expr, Node, Span};
use casebook_rules::leaf::LeafId;
use casebook_rules::ruleset::{Rule, RuleSet};
use casebook_rules::source::{FileSpan, Sources};
use casebook_rules::written::Way;
use serde::Serialize;

/// A place in a rule file as people name it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Debug)]
pub struct Place {
    /// The file; of an embedded rule file the outer one.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
}

impl Place {
    /// The place of a span.
    pub fn of(span: FileSpan, sources: &Sources) -> Option<Self> {
        let found = sources.locate(span)?;
        Some(Self { file: found.name.to_owned(), line: found.position.line, column: found.position.column })
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

/// Something that parts came through.
#[derive(Clone, PartialEq, Eq, Serialize, Debug)]
pub struct Step {
    /// `macro`, `list` or `exception`.
    pub way: &'static str,
    /// Its name.
    pub name: String,
    /// Where the name is used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub used: Option<Place>,
}

/// What a part is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// True when all children are.
    All,
    /// True when some child is.
    Any,
    /// True when its child is not.
    Not,
    /// A comparison.
    Leaf,
}

/// A part of a condition.
#[derive(Debug)]
pub struct Part<'r> {
    /// What it is.
    pub kind: Kind,
    /// Positions of the parts in it; larger than its own.
    pub children: Vec<usize>,
    /// Position of the part around it; of the root its own.
    pub parent: usize,
    /// Its bytes.
    pub span: Span,
    /// The comparison.
    pub check: Option<&'r Check>,
    /// Number of the comparison in the ruleset.
    pub leaf: Option<LeafId>,
    /// The whole text of a macro begins here: the name it is used by, and where that stands.
    pub begins_macro: Option<(String, Span)>,
    /// This exception begins here.
    pub begins_exception: Option<String>,
}

/// A condition.
#[derive(Debug)]
pub struct Tree<'r> {
    /// The rule.
    pub rule: &'r Rule,
    /// Its parts, each before its children; the first is the root. Comparisons stand in the order of the text.
    pub parts: Vec<Part<'r>>,
    /// The positions of the comparisons, in the order of the text.
    pub leaves: Vec<usize>,
}

/// The uses of a macro in a text, by name and place, and how many a walk came to.
type Uses = (Vec<(String, Span)>, usize);

/// What a walk over a condition carries along.
struct Walk<'w> {
    rules: &'w RuleSet,
    /// The comparisons that were not come to yet.
    ids: &'w mut dyn Iterator<Item = LeafId>,
    /// By texts of user and macro: the uses, and how many were come to.
    uses: HashMap<(u32, u32), Uses, foldhash::fast::FixedState>,
}

impl Walk<'_> {
    /// The next use of the macro of `inner` in the text of `outer`.
    fn macro_use(&mut self, outer: Span, inner: Span) -> Option<(String, Span)> {
        let key = (outer.text, inner.text);
        let (known, next) = self.uses.entry(key).or_insert_with(|| (self.rules.macro_uses(outer, inner), 0));
        let found = known.get(*next).or(known.last()).cloned();
        *next += 1;
        found
    }
}

impl<'r> Tree<'r> {
    /// The condition of a rule.
    pub fn new(rule: &'r Rule, rules: &RuleSet) -> Self {
        let mut tree = Self { rule, parts: Vec::new(), leaves: Vec::new() };
        let mut way = Walk { rules, ids: &mut rule.condition.leaves(), uses: HashMap::default() };
        tree.add(&rule.expr, 0, &mut way);
        tree
    }

    fn add(&mut self, expr: &'r Expr, parent: usize, walk: &mut Walk<'_>) -> usize {
        let at = self.parts.len();
        let outer = self.parts.get(parent).map_or(self.rule.text_span(), |part| part.span);
        let begins_macro = if outer.text == expr.span.text { None } else { walk.macro_use(outer, expr.span) };
        let begins_exception = match (&expr.node, parent) {
            // Exceptions are what the loader puts behind the condition: `(condition) and not (...) and not (...)`.
            (Node::Not(_), 0) => walk.rules.exception_around(expr.span),
            _ => None,
        };
        let (kind, check) = match &expr.node {
            Node::And(_) => (Kind::All, None),
            Node::Or(_) => (Kind::Any, None),
            Node::Not(_) => (Kind::Not, None),
            Node::Check(check) => (Kind::Leaf, Some(&**check)),
            Node::Identifier(_) => (Kind::Leaf, None),
        };
        let leaf = if check.is_some() { walk.ids.next() } else { None };
        self.parts.push(Part {
            kind,
            children: Vec::new(),
            parent,
            span: expr.span,
            check,
            leaf,
            begins_macro,
            begins_exception,
        });
        match &expr.node {
            Node::And(children) | Node::Or(children) => {
                for child in children {
                    let child = self.add(child, at, walk);
                    self.parts[at].children.push(child);
                }
            }
            Node::Not(child) => {
                let child = self.add(child, at, walk);
                self.parts[at].children.push(child);
            }
            Node::Check(_) | Node::Identifier(_) => self.leaves.push(at),
        }
        at
    }

    /// The verdict of each part, by those of the comparisons in the order of the text.
    pub fn verdicts(&self, leaf: &dyn Fn(usize) -> bool) -> Vec<bool> {
        let mut verdicts = vec![false; self.parts.len()];
        for (n, &at) in self.leaves.iter().enumerate() {
            verdicts[at] = leaf(n);
        }
        for (at, part) in self.parts.iter().enumerate().rev() {
            verdicts[at] = match part.kind {
                Kind::All => part.children.iter().all(|&child| verdicts[child]),
                Kind::Any => part.children.iter().any(|&child| verdicts[child]),
                Kind::Not => !part.children.first().is_some_and(|&child| verdicts[child]),
                Kind::Leaf => verdicts[at],
            };
        }
        verdicts
    }

    /// How many comparisons have to turn out otherwise to make the condition true, at the least; one that is written
    /// twice counts as two. Also gives such comparisons, as positions of parts.
    pub fn distance(&self, verdicts: &[bool]) -> (usize, Vec<usize>) {
        // For each part: the comparisons to turn for the other verdict. Parts come before their children.
        let mut turns: Vec<usize> = vec![0; self.parts.len()];
        for (at, part) in self.parts.iter().enumerate().rev() {
            let of = |child: &usize| turns[*child];
            let like = part.children.iter().filter(|&&child| verdicts[child] == verdicts[at]);
            turns[at] = match (part.kind, verdicts[at]) {
                (Kind::Leaf, _) => 1,
                (Kind::Not, _) => part.children.first().map_or(1, of),
                // All that are false, or one of those that are true.
                (Kind::All, false) | (Kind::Any, true) => like.map(of).sum(),
                (Kind::All, true) | (Kind::Any, false) => like.map(of).min().unwrap_or(usize::MAX / 2),
            };
        }
        if verdicts.first() == Some(&true) {
            return (0, Vec::new());
        }
        let mut chosen = Vec::new();
        let mut todo = vec![0];
        while let Some(at) = todo.pop() {
            let part = &self.parts[at];
            let like = part.children.iter().copied().filter(|&child| verdicts[child] == verdicts[at]);
            match (part.kind, verdicts[at]) {
                (Kind::Leaf, _) => chosen.push(at),
                (Kind::Not, _) => todo.extend(&part.children),
                (Kind::All, false) | (Kind::Any, true) => todo.extend(like),
                (Kind::All, true) | (Kind::Any, false) => todo.extend(like.min_by_key(|&child| turns[child])),
            }
        }
        chosen.sort_unstable();
        (turns.first().copied().unwrap_or(0), chosen)
    }

    /// The comparisons that alone keep the verdict as it is: each of them turned would turn the whole.
    pub fn decisive(&self, verdicts: &[bool]) -> Vec<usize> {
        let mut decisive = Vec::new();
        let mut todo: Vec<usize> = vec![0];
        while let Some(at) = todo.pop() {
            let part = &self.parts[at];
            match part.kind {
                Kind::Leaf => decisive.push(at),
                Kind::Not => todo.extend(&part.children),
                Kind::All | Kind::Any => {
                    // The verdict that decides a group by itself: *no* of all, *yes* of some.
                    let decides = part.kind == Kind::Any;
                    let mut deciding = part.children.iter().filter(|&&child| verdicts[child] == decides);
                    match (deciding.next(), deciding.next()) {
                        (None, _) => todo.extend(&part.children),
                        (Some(&only), None) => todo.push(only),
                        (Some(_), Some(_)) => {}
                    }
                }
            }
        }
        decisive.sort_unstable();
        decisive
    }

    /// The way from the rule to a part: macros, then the exception and lists in the text it stands in.
    pub fn way(&self, at: usize, rules: &RuleSet, sources: &Sources) -> Vec<Step> {
        let mut steps = Vec::new();
        let mut up = at;
        while let Some(part) = self.parts.get(up) {
            if let Some((name, used)) = &part.begins_macro {
                let used = rules.written(*used, sources).and_then(|used| Place::of(used.span, sources));
                steps.push(Step { way: Way::Macro.name(), name: name.clone(), used });
            }
            if up == 0 {
                break;
            }
            up = part.parent;
        }
        steps.reverse();
        let written = self.parts.get(at).and_then(|part| rules.written(part.span, sources));
        let through = written.map(|written| written.through).unwrap_or_default();
        steps.extend(through.into_iter().map(|through| Step {
            way: through.way.name(),
            name: through.name,
            used: through.used.and_then(|used| Place::of(used, sources)),
        }));
        steps
    }

    /// Where a part was written.
    pub fn place(&self, at: usize, rules: &RuleSet, sources: &Sources) -> Option<Place> {
        let part = self.parts.get(at)?;
        Place::of(rules.written(part.span, sources)?.span, sources)
    }
}
