//! The elements of a comparison with a list, each asked on its own: which of them made the comparison true?

use casebook_rules::ast::{Check, Expr, Node, Operator, Right, Span};
use casebook_rules::compile;
use casebook_rules::leaf::{LeafId, Leaves};
use casebook_rules::schema::Schema;

use crate::context::EventContext;

/// Most elements of one list that are asked one by one.
const MAX_ENTRIES: usize = 4096;

/// An element of a list.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Its bytes in the condition.
    pub span: Span,
    /// It as text.
    pub text: String,
    /// The same comparison with this element alone; in several forms where one does not serve all fields: some is true.
    pub alone: Vec<LeafId>,
}

/// The elements of one comparison.
#[derive(Clone, Default, Debug)]
pub struct Entries {
    /// In the order of the list.
    pub all: Vec<Entry>,
}

impl Entries {
    /// The elements of a comparison, with a leaf of its own for each in `leaves`. `None` where there is no list, or one
    /// that is too long for it.
    pub fn of(check: &Check, source: &str, schema: &dyn Schema, leaves: &mut Leaves) -> Option<Self> {
        let Right::List(list, items) = &check.right else { return None };
        if items.len() > MAX_ENTRIES {
            return None;
        }
        let mut all = Vec::with_capacity(items.len());
        for item in items {
            let alone = Right::List(*list, vec![item.clone()]);
            // `in` on a field with several values asks whether all of them are in the list. Of one element it is also
            // asked whether some value is it; that, on both ends of a connection, is a question Falco aborts on.
            let ops: &[Operator] =
                if check.op == Operator::In { &[Operator::In, Operator::Intersects] } else { &[check.op] };
            let leaf = |op: &Operator| {
                let check = Check { op: *op, right: alone.clone(), ..check.clone() };
                let expr = Expr { span: item.span, node: Node::Check(Box::new(check)) };
                compile::compile(&expr, source, schema, leaves).ok()?.condition.leaves().next()
            };
            let asked: Vec<LeafId> = ops.iter().filter_map(leaf).collect();
            all.push(Entry { span: item.span, text: item.text().into_owned(), alone: asked });
        }
        Some(Self { all })
    }

    /// Positions of the elements that match on an event by themselves.
    pub fn matching(&self, leaves: &Leaves, context: &EventContext<'_>) -> Vec<usize> {
        let is = |entry: &Entry| entry.alone.iter().any(|&leaf| leaves.evaluate(leaf, context).unwrap_or(false));
        self.all.iter().enumerate().filter(|(_, entry)| is(entry)).map(|(n, _)| n).collect()
    }
}
