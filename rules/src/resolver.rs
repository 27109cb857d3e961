//! Resolver: condition texts to whole trees. Lists are replaced in the text, the text is parsed, macros become
//! subtrees.
//!
//! Every text that is parsed gets a number, and the spans of its tree carry it; a list of macro uses leads back from a
//! macro's text to the rule. So an error anywhere in a tree is shown where it was written, together with the places
//! through which it came.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use crate::ast::{self, Expr, MAX_TREE_DEPTH, Node, Right};
use crate::collector::{Collector, MacroDef, Order};
use crate::condition;
use crate::diagnostics::{Code, Diagnostic, ItemKind, ItemRef, did_you_mean};
use crate::lists::{Lists, MAX_ADDED, MAX_CONDITION, TooLong};
use crate::source::Sources;
use crate::text::{LoadedText, Place, Via};

/// Most parts of a condition (terms, groups, constants) after macros are put in.
const MAX_PARTS: usize = 500_000;
/// Longest text that can be another name of a macro.
const MAX_ALIAS: usize = 1024;
/// Places shown for one chain of macros or lists.
const MAX_CHAIN: usize = 8;

/// A text that was parsed, with the item it belongs to.
#[derive(Debug)]
struct Parsed {
    text: LoadedText,
    item: ItemRef,
}

/// A macro name in a text.
#[derive(Debug)]
struct MacroUse {
    place: ast::Span,
    /// The text of the macro.
    to: u32,
}

/// The texts of everything parsed and how they are used by each other: leads from a part of a tree to where it was
/// written.
#[derive(Default, Debug)]
pub(crate) struct Places {
    texts: Vec<Parsed>,
    uses: Vec<MacroUse>,
}

/// A macro with its tree.
pub(crate) struct ResolvedMacro<'c> {
    pub(crate) def: &'c MacroDef,
    /// Absent when it has an error.
    pub(crate) expr: Option<Arc<Expr>>,
    pub(crate) used: bool,
    text: u32,
    parts: usize,
}

/// Lists and macros of a collection, and the texts of everything parsed.
pub(crate) struct Resolver<'c> {
    sources: &'c Sources,
    collector: &'c Collector,
    pub(crate) lists: Lists<'c>,
    pub(crate) macros: Vec<ResolvedMacro<'c>>,
    pub(crate) places: Places,
}

/// What an item comes to.
pub(crate) enum Resolution {
    /// Its tree, and the number of its text.
    Tree(Expr, u32),
    /// Errors of its own, at least one; with the tree, where only some names in it are nobody's, so that the rest of it
    /// can be checked too.
    Errors(Vec<Diagnostic>, Option<(Expr, u32)>),
    /// It refers to something whose error was reported already.
    Broken,
}

impl<'c> Resolver<'c> {
    /// Resolves all lists and macros. Errors go to `out`: first those of parsing, then those of references.
    pub(crate) fn new(
        collector: &'c Collector,
        sources: &'c Sources,
        is_broken: &dyn Fn(ItemKind, &str) -> bool,
        out: &mut Vec<Diagnostic>,
    ) -> Self {
        let lists = Lists::new(collector);
        let mut this = Self { sources, collector, lists, macros: Vec::new(), places: Places::default() };
        for def in collector.macros.iter() {
            let item = ItemRef { kind: ItemKind::Macro, name: def.head.name.value.clone() };
            let text = this.places.texts.len() as u32;
            let expr = match this.parse(def.condition.clone(), item) {
                Ok(expr) => Some(expr),
                Err(errors) => {
                    out.extend(errors);
                    None
                }
            };
            let parts = expr.as_ref().map_or(0, parts);
            this.macros.push(ResolvedMacro { def, expr: expr.map(Arc::new), used: false, text, parts });
        }
        for n in 0..this.macros.len() {
            this.resolve_macro(n, is_broken, out);
        }
        this
    }

    fn resolve_macro(&mut self, n: usize, is_broken: &dyn Fn(ItemKind, &str) -> bool, out: &mut Vec<Diagnostic>) {
        let Some((text, order, expr)) =
            self.macros.get(n).and_then(|m| Some((m.text, m.def.order, Expr::clone(m.expr.as_ref()?))))
        else {
            return;
        };
        let resolution = self.put_macros(expr, text, order.changed, is_broken);
        let Some(resolved) = self.macros.get_mut(n) else { return };
        resolved.expr = None;
        match resolution {
            Resolution::Tree(expr, _) => {
                resolved.parts = parts(&expr);
                resolved.expr = Some(Arc::new(expr));
            }
            Resolution::Errors(errors, _) => out.extend(errors),
            Resolution::Broken => {}
        }
    }

    /// The tree of a rule's condition.
    pub(crate) fn condition(
        &mut self,
        text: LoadedText,
        item: ItemRef,
        is_broken: &dyn Fn(ItemKind, &str) -> bool,
    ) -> Resolution {
        let number = self.places.texts.len() as u32;
        match self.parse(text, item) {
            Ok(expr) => self.put_macros(expr, number, u32::MAX, is_broken),
            Err(errors) => Resolution::Errors(errors, None),
        }
    }

    /// Expands lists, parses, and numbers the text.
    fn parse(&mut self, mut text: LoadedText, item: ItemRef) -> Result<Expr, Vec<Diagnostic>> {
        let number = self.places.texts.len() as u32;
        let long = self.lists.expand(&mut text).is_err_and(|TooLong| true);
        let parsed = if long { Err(Vec::new()) } else { condition::parse(text.text()) };
        let whole = ast::Span { text: number, start: 0, end: 1 };
        self.places.texts.push(Parsed { text, item });
        if long {
            let message = format!(
                "the condition is longer than {} MiB when lists are put in, or all conditions together than {} MiB",
                MAX_CONDITION >> 20,
                MAX_ADDED >> 20
            );
            return Err(vec![self.diagnostic(Code::CompileCondition, message, whole, number)]);
        }
        match parsed {
            Ok(mut expr) => {
                expr.set_text(number);
                Ok(expr)
            }
            Err(errors) => Err(errors
                .into_iter()
                .map(|error| {
                    let span = ast::Span { text: number, ..error.span };
                    self.diagnostic(Code::CompileCondition, error.message, span, number).hint(error.hint)
                })
                .collect()),
        }
    }

    /// Replaces macro names by trees. Macros first defined at or after step `visible` do not exist for this text.
    fn put_macros(
        &mut self,
        mut expr: Expr,
        text: u32,
        visible: u32,
        is_broken: &dyn Fn(ItemKind, &str) -> bool,
    ) -> Resolution {
        let mut walk = Substitution {
            collector: self.collector,
            macros: &self.macros,
            visible,
            path: Vec::new(),
            found: BTreeSet::new(),
            uses: Vec::new(),
            loops: Vec::new(),
            unknown: Vec::new(),
            broken: false,
            parts: parts(&expr),
            too_large: None,
        };
        walk.visit(&mut expr, 0);
        let Substitution { found, uses, loops, unknown, mut broken, too_large, .. } = walk;
        self.places.uses.extend(uses);
        let mut errors = Vec::new();
        for (name, span) in loops {
            let message = format!("macro `{name}` refers to itself");
            errors.push(self.diagnostic(Code::Validate, message, span, text));
        }
        for (name, span) in unknown {
            if is_broken(ItemKind::Macro, &name) {
                broken = true;
            } else {
                errors.push(self.unknown_macro(&name, span, text));
            }
        }
        let whole = too_large.is_none();
        if let Some((message, span)) = too_large {
            errors.push(self.diagnostic(Code::CompileCondition, message, span, text));
        }
        if !errors.is_empty() {
            return Resolution::Errors(errors, whole.then_some((expr, text)));
        }
        for n in found {
            if let Some(found) = self.macros.get_mut(n) {
                found.used = true;
            }
        }
        if broken { Resolution::Broken } else { Resolution::Tree(expr, text) }
    }

    fn unknown_macro(&self, name: &str, span: ast::Span, text: u32) -> Diagnostic {
        let message = format!("undefined macro `{name}`");
        let error = self.diagnostic(Code::Validate, message, span, text);
        match self.collector.macros.get(name) {
            Some(later) => error
                .and_at(later.head.span, "defined only here")
                .hint("a macro can use only macros that were defined before it".to_owned()),
            None => error.hint(did_you_mean(name, self.collector.macros.names())),
        }
    }

    /// A diagnostic about a part of a tree, for the item with text number `root`.
    pub(crate) fn diagnostic(&self, code: Code, message: impl Into<String>, span: ast::Span, root: u32) -> Diagnostic {
        self.places.diagnostic(code, message, span, root, self.sources)
    }
}

impl Places {
    /// Where a part of a tree was written, and by which way it came into its text.
    pub(crate) fn place(&self, span: ast::Span, sources: &Sources) -> Option<Place> {
        let parsed = self.texts.get(span.text as usize)?;
        parsed.text.place(span.start as usize, span.end as usize, sources)
    }

    /// A diagnostic about a part of a tree, for the item with text number `root`.
    pub(crate) fn diagnostic(
        &self,
        code: Code,
        message: impl Into<String>,
        span: ast::Span,
        root: u32,
        sources: &Sources,
    ) -> Diagnostic {
        let mut diagnostic = Diagnostic::new(code, message);
        diagnostic.item = self.texts.get(root as usize).map(|parsed| parsed.item.clone());
        let Some(parsed) = self.texts.get(span.text as usize) else { return diagnostic };
        if let Some(place) = parsed.text.place(span.start as usize, span.end as usize, sources) {
            let words = match &place.via {
                Via::Exception(name) => format!("in exception `{name}`"),
                Via::List(list) => format!("in list `{}`", list.name),
                Via::Own if span.text != root => format!("in {} `{}`", parsed.item.kind.name(), parsed.item.name),
                Via::Own => String::new(),
            };
            diagnostic = diagnostic.at_with(place.span, words);
            diagnostic = through_lists(diagnostic, &place.via, sources);
        }
        for used in self.chain(root, span.text) {
            let Some(outer) = self.texts.get(used.place.text as usize) else { continue };
            let (start, end) = (used.place.start as usize, used.place.end as usize);
            let Some(place) = outer.text.place(start, end, sources) else { continue };
            let name = self.texts.get(used.to as usize).map_or("", |inner| &inner.item.name);
            diagnostic = diagnostic.and_at(place.span, format!("macro `{name}` is used here"));
            diagnostic = through_lists(diagnostic, &place.via, sources);
        }
        diagnostic
    }

    /// A text that was parsed.
    pub(crate) fn text(&self, number: u32) -> Option<&LoadedText> {
        self.texts.get(number as usize).map(|parsed| &parsed.text)
    }

    /// The item that a text belongs to.
    pub(crate) fn item(&self, number: u32) -> Option<&ItemRef> {
        self.texts.get(number as usize).map(|parsed| &parsed.item)
    }

    /// Where text `outer` uses the macro of text `inner`, by its own name or by that of a macro that is nothing but
    /// another name for it: the name that stands there, and its place, in the order of the text.
    pub(crate) fn macro_uses(&self, outer: u32, inner: u32) -> Vec<(&str, ast::Span)> {
        let aliases = self.aliases();
        let means = |mut text: u32| {
            for _ in 0..MAX_CHAIN {
                if text == inner {
                    return true;
                }
                let Some(&other) = aliases.get(&text) else { return false };
                text = other;
            }
            false
        };
        let mut uses: Vec<_> = self
            .uses
            .iter()
            .filter(|used| used.place.text == outer && means(used.to))
            .map(|used| (self.item(used.to).map_or("", |item| &*item.name), used.place))
            .collect();
        uses.sort_by_key(|(_, place)| place.start);
        uses
    }

    /// Texts that are nothing but the name of a macro, with that macro's text.
    fn aliases(&self) -> HashMap<u32, u32, foldhash::fast::FixedState> {
        let is_all = |used: &&MacroUse| {
            let whole = self.text(used.place.text).map_or("", LoadedText::text);
            // Cheap for long texts, which are no names: most uses are in one.
            if whole.len() > MAX_ALIAS {
                return false;
            }
            let bare = whole.trim_matches(|c: char| c.is_whitespace() || c == '(' || c == ')');
            used.place.slice(whole) == Some(bare)
        };
        self.uses.iter().filter(is_all).map(|used| (used.place.text, used.to)).collect()
    }

    /// The uses that lead from text `to` back to text `root`, the innermost first.
    fn chain(&self, root: u32, to: u32) -> Vec<&MacroUse> {
        if root == to {
            return Vec::new();
        }
        // Breadth first from the root, so that the shortest way is shown.
        let mut reached: HashMap<u32, &MacroUse, foldhash::fast::FixedState> = HashMap::default();
        let mut front = vec![root];
        while !front.is_empty() && !reached.contains_key(&to) {
            let mut next = Vec::new();
            for used in self.uses.iter().filter(|used| front.contains(&used.place.text)) {
                if used.to != root && !reached.contains_key(&used.to) {
                    reached.insert(used.to, used);
                    next.push(used.to);
                }
            }
            front = next;
        }
        let mut chain = Vec::new();
        let mut at = to;
        while at != root && chain.len() < MAX_CHAIN {
            let Some(&used) = reached.get(&at) else { break };
            chain.push(used);
            at = used.place.text;
        }
        chain
    }
}

/// Adds the places where list names stood.
fn through_lists(mut diagnostic: Diagnostic, via: &Via, sources: &Sources) -> Diagnostic {
    let mut via = via;
    for _ in 0..MAX_CHAIN {
        let Via::List(list) = via else { break };
        let span = list.place.span(list.name.len(), sources);
        diagnostic = diagnostic.and_at(span, format!("list `{}` is put in here", list.name));
        via = &list.place.via;
    }
    diagnostic
}

/// One walk over a tree that puts macros in.
struct Substitution<'w, 'c> {
    collector: &'c Collector,
    macros: &'w [ResolvedMacro<'c>],
    visible: u32,
    /// Macros that the walk is inside of.
    path: Vec<usize>,
    found: BTreeSet<usize>,
    uses: Vec<MacroUse>,
    loops: Vec<(String, ast::Span)>,
    unknown: Vec<(String, ast::Span)>,
    broken: bool,
    parts: usize,
    too_large: Option<(String, ast::Span)>,
}

impl Substitution<'_, '_> {
    fn visit(&mut self, expr: &mut Expr, depth: usize) {
        if depth > MAX_TREE_DEPTH {
            self.too_large.get_or_insert_with(|| ("the macros make the condition too deep".to_owned(), expr.span));
            return;
        }
        match &mut expr.node {
            Node::And(children) | Node::Or(children) => {
                for child in children {
                    self.visit(child, depth + 1);
                }
            }
            Node::Not(child) => self.visit(child, depth + 1),
            Node::Check(_) => {}
            Node::Identifier(name) => {
                let name = std::mem::take(name);
                if let Some(tree) = self.tree(&name, expr.span) {
                    *expr = tree;
                    self.visit(expr, depth);
                    self.path.pop();
                } else {
                    expr.node = Node::Identifier(name);
                }
            }
        }
    }

    /// A copy of a macro's tree, entered into the path.
    fn tree(&mut self, name: &str, span: ast::Span) -> Option<Expr> {
        let visible = |order: Order| order.first < self.visible;
        let known = self.collector.macros.position(name);
        let Some((n, found)) = known.and_then(|n| Some((n, self.macros.get(n)?))).filter(|(_, m)| visible(m.def.order))
        else {
            self.unknown.push((name.to_owned(), span));
            return None;
        };
        if self.path.contains(&n) {
            self.loops.push((name.to_owned(), span));
            return None;
        }
        let Some(tree) = &found.expr else {
            self.broken = true;
            return None;
        };
        self.parts += found.parts;
        if self.parts > MAX_PARTS {
            let message = format!("the macros make the condition larger than {MAX_PARTS} parts");
            self.too_large.get_or_insert((message, span));
            return None;
        }
        self.path.push(n);
        self.found.insert(n);
        self.uses.push(MacroUse { place: span, to: found.text });
        Some(Expr::clone(tree))
    }
}

/// Number of terms, groups and constants of a tree.
fn parts(expr: &Expr) -> usize {
    let mut count = 0;
    let mut todo = vec![expr];
    while let Some(expr) = todo.pop() {
        count += 1;
        match &expr.node {
            Node::And(children) | Node::Or(children) => todo.extend(children),
            Node::Not(child) => todo.push(child),
            Node::Check(check) => {
                if let Right::List(_, items) = &check.right {
                    count += items.len();
                }
            }
            Node::Identifier(_) => {}
        }
    }
    count
}
