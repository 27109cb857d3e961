//! Lists: their items, and the replacement of their names in conditions.
//!
//! The replacement works on text and knows nothing of the grammar: a name between delimiters is replaced wherever it
//! stands. What the reference says about it in section 3 is observable, so the order of steps is Falco's.

use std::collections::HashSet;
use std::sync::Arc;

use memchr::memmem::Finder;

use crate::collector::{Collector, ListDef};
use crate::exceptions::needs_quotes;
use crate::text::{ListUse, LoadedText, Origin, Scalar, Via};

/// Longest condition after the replacement of lists. Lists of lists can multiply.
pub(crate) const MAX_CONDITION: usize = 4 << 20;

const BLANKS: &[u8] = b" \t\n\r";
const DELIMITERS: &[u8] = b" \t\n\r(),=";

/// A list, ready to be put into conditions.
pub(crate) struct ResolvedList<'c> {
    pub(crate) def: &'c ListDef,
    /// Its items; one that names an earlier list is replaced by that list's items as written.
    pub(crate) items: Vec<Arc<Scalar>>,
    pub(crate) used: bool,
    name: Arc<str>,
    finder: Finder<'c>,
    /// The items joined, as text to put in.
    joined: String,
    /// Where each item begins in it: first byte, item, byte of the item.
    starts: Vec<(usize, usize, i64)>,
}

/// All lists in the order of first definition.
pub(crate) struct Lists<'c> {
    pub(crate) lists: Vec<ResolvedList<'c>>,
}

/// A condition has become too long.
pub(crate) struct TooLong;

impl<'c> Lists<'c> {
    pub(crate) fn new(collector: &'c Collector) -> Self {
        let mut used: HashSet<&str, foldhash::fast::FixedState> = HashSet::default();
        let mut lists = Vec::new();
        for def in collector.lists.iter() {
            let mut items = Vec::new();
            for item in &def.items {
                match collector.lists.get(&item.value) {
                    Some(inner) if inner.order.first < def.order.changed => {
                        used.insert(&inner.head.name.value);
                        items.extend(inner.items.iter().cloned());
                    }
                    _ => items.push(Arc::clone(item)),
                }
            }
            lists.push(ResolvedList::new(def, items));
        }
        for list in &mut lists {
            list.used = used.contains(&*list.def.head.name.value);
        }
        Self { lists }
    }

    /// Replaces the names of all lists in a condition.
    pub(crate) fn expand(&mut self, text: &mut LoadedText) -> Result<(), TooLong> {
        for list in &mut self.lists {
            list.expand(text)?;
        }
        Ok(())
    }
}

impl<'c> ResolvedList<'c> {
    fn new(def: &'c ListDef, items: Vec<Arc<Scalar>>) -> Self {
        let mut joined = String::new();
        let mut starts = Vec::new();
        for (n, item) in items.iter().enumerate() {
            if !joined.is_empty() {
                joined.push_str(", ");
            }
            let quote = if needs_quotes(&item.value) { "\"" } else { "" };
            starts.push((joined.len(), n, -(quote.len() as i64)));
            joined.push_str(quote);
            joined.push_str(&item.value);
            joined.push_str(quote);
        }
        let name = &*def.head.name.value;
        Self { def, items, used: false, name: Arc::from(name), finder: Finder::new(name), joined, starts }
    }

    fn find(&self, text: &LoadedText, from: usize) -> Option<usize> {
        self.finder.find(text.text().as_bytes().get(from..)?).map(|at| from + at)
    }

    fn expand(&mut self, text: &mut LoadedText) -> Result<(), TooLong> {
        let mut from = 0;
        while let Some(at) = self.find(text, from) {
            let bytes = text.text().as_bytes();
            let (mut start, mut end) = (at, at + self.name.len());
            let delimited = |byte: Option<&u8>| byte.is_none_or(|byte| DELIMITERS.contains(byte));
            if !delimited(start.checked_sub(1).and_then(|i| bytes.get(i))) || !delimited(bytes.get(end)) {
                from = at + 1;
                continue;
            }
            let blank = |byte: Option<&u8>| byte.is_some_and(|byte| BLANKS.contains(byte));
            while start > 0 && blank(bytes.get(start - 1)) {
                start -= 1;
            }
            while blank(bytes.get(end)) {
                end += 1;
            }
            if self.joined.is_empty() {
                if start > 0 && bytes.get(start - 1) == Some(&b',') {
                    start -= 1;
                } else if bytes.get(end) == Some(&b',') {
                    end += 1;
                }
            }
            self.replace(text, at, start, end);
            self.used = true;
            if text.text().len() > MAX_CONDITION {
                return Err(TooLong);
            }
            // Falco counts one blank before the items, which is not there at the start of a condition.
            from = start + self.joined.len() + 2;
        }
        Ok(())
    }

    /// Puts the items, with a blank on both sides, in the place of the name at `at` and the blanks around it.
    fn replace(&self, text: &mut LoadedText, at: usize, start: usize, end: usize) {
        let before = if start > 0 { " " } else { "" };
        let Some(place) = text.origin(at) else { return };
        let mut pieces = Vec::with_capacity(self.starts.len() + 1);
        if !before.is_empty() || self.starts.is_empty() {
            pieces.push((0, place.clone()));
        }
        let via = Via::List(Arc::new(ListUse { name: Arc::clone(&self.name), place }));
        for &(at, item, offset) in &self.starts {
            let Some(scalar) = self.items.get(item) else { continue };
            pieces.push((before.len() + at, Origin { scalar: Arc::clone(scalar), offset, via: via.clone() }));
        }
        let new = format!("{before}{} ", self.joined);
        text.replace(start, end, &new, &pieces);
    }
}
