//! Lists: their items, and the replacement of their names in conditions.
//!
//! The replacement works on text and knows nothing of the grammar: a name between delimiters is replaced wherever it
//! stands. What the reference says about it in section 3 is observable, so the order of steps is Falco's.

use std::collections::HashSet;
use std::sync::Arc;

use memchr::memmem::Finder;

use crate::collector::{Collector, ListDef};
use crate::exceptions::needs_quotes;
use crate::source::MAX_FILE_SIZE;
use crate::text::{ListUse, LoadedText, Origin, Scalar, Via};

/// Longest condition after the replacement of lists, which can multiply where lists name lists. As long as a file may be, so
/// that whatever list can be written can be asked for.
pub(crate) const MAX_CONDITION: usize = MAX_FILE_SIZE;

/// Bytes that lists may add to all conditions together: a large list that a thousand rules name would otherwise be
/// there a thousand times.
pub(crate) const MAX_ADDED: usize = 256 << 20;
/// Items of all lists together, after lists of lists were put in.
const MAX_ITEMS: usize = 4_000_000;

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
    /// Bytes added to conditions so far; beyond [`MAX_ADDED`] also when the lists themselves are too long.
    added: usize,
}

/// A condition has become too long.
pub(crate) struct TooLong;

impl<'c> Lists<'c> {
    pub(crate) fn new(collector: &'c Collector) -> Self {
        let mut used: HashSet<&str, foldhash::fast::FixedState> = HashSet::default();
        let mut lists = Vec::new();
        let (mut total, mut added) = (0, 0);
        for def in collector.lists.iter() {
            let mut items = Vec::new();
            for item in &def.items {
                if total + items.len() > MAX_ITEMS {
                    added = usize::MAX;
                    break;
                }
                match collector.lists.get(&item.value) {
                    Some(inner) if inner.order.first < def.order.changed => {
                        used.insert(&inner.head.name.value);
                        items.extend(inner.items.iter().cloned());
                    }
                    _ => items.push(Arc::clone(item)),
                }
            }
            total += items.len();
            lists.push(ResolvedList::new(def, items));
        }
        for list in &mut lists {
            list.used = used.contains(&*list.def.head.name.value);
        }
        Self { lists, added }
    }

    /// Replaces the names of all lists in a condition.
    pub(crate) fn expand(&mut self, text: &mut LoadedText) -> Result<(), TooLong> {
        if self.added > MAX_ADDED {
            return Err(TooLong);
        }
        let before = text.text().len();
        for list in &mut self.lists {
            list.expand(text)?;
        }
        self.added = self.added.saturating_add(text.text().len().saturating_sub(before));
        if self.added > MAX_ADDED { Err(TooLong) } else { Ok(()) }
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

    /// Replaces this list's name everywhere, in one pass: `done` is the new text up to byte `from` of the old one.
    fn expand(&mut self, text: &mut LoadedText) -> Result<(), TooLong> {
        let bytes = text.text().as_bytes();
        let mut done = LoadedText::default();
        let (mut from, mut search) = (0, 0);
        while let Some(at) = bytes.get(search..).and_then(|rest| self.finder.find(rest)).map(|at| search + at) {
            let mut end = at + self.name.len();
            let before = if at > from { bytes.get(at - 1) } else { done.text().as_bytes().last() };
            let delimited = |byte: Option<&u8>| byte.is_none_or(|byte| DELIMITERS.contains(byte));
            if !delimited(before) || !delimited(bytes.get(end)) {
                search = at + 1;
                continue;
            }
            done.push_part(text, from, at);
            let blank = |byte: Option<&u8>| byte.is_some_and(|byte| BLANKS.contains(byte));
            let kept = done.text().trim_end_matches(|c: char| c.is_ascii() && BLANKS.contains(&(c as u8))).len();
            done.truncate(kept);
            while blank(bytes.get(end)) {
                end += 1;
            }
            if self.joined.is_empty() {
                if done.text().ends_with(',') {
                    done.truncate(kept - 1);
                } else if bytes.get(end) == Some(&b',') {
                    end += 1;
                }
            }
            // At the start of a condition Falco puts no blank before the items, but counts one.
            let at_start = done.text().is_empty();
            self.put(&mut done, text.origin(at));
            self.used = true;
            if done.text().len() > MAX_CONDITION {
                return Err(TooLong);
            }
            from = end;
            search = end + usize::from(at_start);
        }
        if from > 0 {
            done.push_part(text, from, text.text().len());
            *text = done;
        }
        Ok(())
    }

    /// Adds the items, with a blank on both sides.
    fn put(&self, done: &mut LoadedText, place: Option<Origin>) {
        let Some(place) = place else { return };
        if !done.text().is_empty() {
            done.push_glue(" ");
        }
        if self.starts.is_empty() {
            done.push(" ", place);
            return;
        }
        let via = Via::List(Arc::new(ListUse { name: Arc::clone(&self.name), place }));
        let ends = self.starts.iter().skip(1).map(|&(at, ..)| at).chain([self.joined.len()]);
        for (&(at, item, offset), end) in self.starts.iter().zip(ends) {
            if let (Some(scalar), Some(text)) = (self.items.get(item), self.joined.get(at..end)) {
                done.push(text, Origin { scalar: Arc::clone(scalar), offset, via: via.clone() });
            }
        }
        if self.joined.is_empty()
            && let Some(scalar) = self.items.first()
        {
            // Items that are all empty: the blank behind them needs some origin.
            done.push(" ", Origin { scalar: Arc::clone(scalar), offset: 0, via });
            return;
        }
        done.push_glue(" ");
    }
}
