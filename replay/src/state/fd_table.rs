//! The descriptors of one process by number.
//!
//! They stand in pages of 16 numbers, which copies of a table share until one of them changes something there: a fork
//! copies nothing, the first call of the child that opens or closes copies one page, and that of a process with 100,000
//! descriptors no more. Low numbers, which nearly all are, find their page without a search.
//!
//! Of the other pages it is known which have records that an exec closes, and which have others: neither an exec nor a
//! `close_range` that marks looks at pages that have nothing for it, however often they come.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::rc::Rc;

use super::Fd;

/// Numbers of one page.
const PLACES: usize = 16;
/// Pages that are found without a search.
const NEAR: usize = 16;
/// The numbers on them.
const NEAR_END: i64 = (NEAR * PLACES) as i64;

/// Neighbouring numbers.
#[derive(Clone, Debug, Default)]
struct Page {
    fds: [Option<Rc<Fd>>; PLACES],
    /// Numbers that have a record, as bits.
    used: u16,
    /// Numbers whose record is one that an exec closes.
    cloexec: u16,
}

/// Whether a page has records of a sort.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Sorts {
    closing: bool,
    staying: bool,
}

impl Page {
    /// Numbers of the page, which is that of `index`, with their records.
    fn iter(&self, index: i64) -> impl Iterator<Item = (i64, &Rc<Fd>)> {
        let first = index * PLACES as i64;
        self.fds.iter().enumerate().filter_map(move |(place, fd)| Some((first + place as i64, fd.as_ref()?)))
    }

    /// Places of records that outlive an exec, as bits.
    fn staying(&self) -> u16 {
        self.used & !self.cloexec
    }

    fn sorts(&self) -> Sorts {
        Sorts { closing: self.cloexec != 0, staying: self.staying() != 0 }
    }

    fn mark(&mut self, place: usize, cloexec: bool) {
        let bit = 1 << place;
        self.cloexec = if cloexec { self.cloexec | bit } else { self.cloexec & !bit };
    }
}

/// What is shared, for changing it: copied first if it is shared. As [`Rc::make_mut`], which brings the copying along to every
/// place that asks; there is always something.
#[allow(clippy::inline_always)] // a few instructions, twice for each descriptor that is opened or closed
#[inline(always)]
pub(crate) fn own<T: Clone>(shared: &mut Rc<T>) -> Option<&mut T> {
    if Rc::get_mut(shared).is_none() {
        part(shared);
    }
    Rc::get_mut(shared)
}

#[cold]
fn part<T: Clone>(shared: &mut Rc<T>) {
    *shared = Rc::new(T::clone(shared));
}

/// Numbers of the page of `index` whose places are `bits`.
fn numbers(index: i64, bits: u16) -> impl Iterator<Item = i64> {
    (0..PLACES).filter(move |place| bits & 1 << place != 0).map(move |place| index * PLACES as i64 + place as i64)
}

/// Where a number stands: its page and the place there.
fn place_of(number: i64) -> (i64, usize) {
    (number >> PLACES.ilog2(), number as usize % PLACES)
}

/// Whether a page is one of those that are looked for.
fn is_far(index: i64) -> bool {
    index as usize >= NEAR
}

/// The pages of numbers from `first` (or 0) to `last`, both included.
fn pages_of(first: i64, last: i64) -> Option<RangeInclusive<i64>> {
    let first = first.max(0);
    (first <= last).then(|| place_of(first).0..=place_of(last).0)
}

/// Descriptors of one process (shared by its threads, and by `CLONE_FILES` relatives). Records are shared between
/// copies of the table until one of them changes.
#[derive(Clone, Debug, Default)]
pub struct FdTable {
    /// Pages of the lowest numbers.
    near: [Option<Rc<Page>>; NEAR],
    /// All other pages, none of them empty.
    far: BTreeMap<i64, Rc<Page>>,
    /// Far pages with records that an exec closes.
    closing: BTreeSet<i64>,
    /// Far pages with records that outlive one.
    staying: BTreeSet<i64>,
    len: usize,
    /// How many of the far numbers were looked at for free ones, and those that are free among them.
    looked_at: i64,
    free: BTreeSet<i64>,
}

impl FdTable {
    #[inline]
    fn page(&self, index: i64) -> Option<&Rc<Page>> {
        match self.near.get(index as usize) {
            Some(page) => page.as_ref(),
            None => self.far.get(&index),
        }
    }

    /// The page for changing it; copied first when other tables share it.
    #[inline]
    fn page_mut(&mut self, index: i64) -> Option<&mut Page> {
        let page = match self.near.get_mut(index as usize) {
            Some(page) => page.as_mut()?,
            None => self.far.get_mut(&index)?,
        };
        own(page)
    }

    /// Numbers of the pages and the pages, ascending.
    fn pages(&self) -> impl Iterator<Item = (i64, &Rc<Page>)> {
        let near = self.near.iter().enumerate().filter_map(|(index, page)| Some((index as i64, page.as_ref()?)));
        let negative = self.far.range(..0).map(|(index, page)| (*index, page));
        let far = self.far.range(0..).map(|(index, page)| (*index, page));
        negative.chain(near).chain(far)
    }

    /// Record of a number, as it is shared.
    #[inline]
    fn slot(&self, number: i64) -> Option<&Rc<Fd>> {
        let (index, place) = place_of(number);
        self.page(index)?.fds[place].as_ref()
    }

    /// Record of a number.
    #[inline]
    pub fn get(&self, number: i64) -> Option<&Fd> {
        self.slot(number).map(AsRef::as_ref)
    }

    /// Open descriptors (`proc.fdopencount`).
    pub fn len(&self) -> usize {
        self.len
    }

    /// No descriptor is open.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// All descriptors by number.
    pub fn iter(&self) -> impl Iterator<Item = (i64, &Fd)> {
        self.shares().map(|(number, fd)| (number, fd.as_ref()))
    }

    /// All records by number, as they are shared.
    pub(crate) fn shares(&self) -> impl Iterator<Item = (i64, &Rc<Fd>)> {
        self.pages().flat_map(|(index, page)| page.iter(index))
    }

    /// Shared handle of a record, for a dup or for passing it on.
    pub(crate) fn share(&self, number: i64) -> Option<Rc<Fd>> {
        self.slot(number).map(Rc::clone)
    }

    /// Record of a number for changing it, but for what an exec does to it ([`FdTable::set_cloexec`]); copied first when other
    /// tables share it.
    pub(crate) fn get_mut(&mut self, number: i64) -> Option<&mut Fd> {
        let (index, place) = place_of(number);
        self.page_mut(index)?.fds[place].as_mut().map(Rc::make_mut)
    }

    /// Same, and an exec closes it from now on, or does not.
    pub(crate) fn set_cloexec(&mut self, number: i64, cloexec: bool) -> Option<&mut Fd> {
        let (index, place) = place_of(number);
        self.slot(number)?;
        let page = self.page_mut(index)?;
        let before = page.sorts();
        page.mark(place, cloexec);
        let after = page.sorts();
        if is_far(index) && after != before {
            self.sort_far(index, after);
        }
        let fd = self.get_mut(number)?;
        fd.cloexec = cloexec;
        Some(fd)
    }

    /// Notes what sorts of records a far page has now.
    #[cold]
    fn sort_far(&mut self, index: i64, now: Sorts) {
        for (pages, has) in [(&mut self.closing, now.closing), (&mut self.staying, now.staying)] {
            if has {
                pages.insert(index);
            } else {
                pages.remove(&index);
            }
        }
    }

    /// Puts a record under a number and tells whether there was none; whatever was there is gone.
    #[inline]
    pub(crate) fn insert(&mut self, number: i64, fd: Rc<Fd>) -> bool {
        let (index, place) = place_of(number);
        let page = match self.near.get_mut(index as usize) {
            Some(page) => page.get_or_insert_default(),
            None => self.far.entry(index).or_default(),
        };
        let Some(page) = own(page) else { return false };
        let before = is_far(index).then(|| page.sorts());
        page.mark(place, fd.cloexec);
        page.used |= 1 << place;
        let is_new = page.fds[place].replace(fd).is_none();
        if let Some(before) = before
            && let after = page.sorts()
            && after != before
        {
            self.sort_far(index, after);
        }
        if is_new {
            self.len += 1;
            if self.was_looked_at(number) {
                self.free.remove(&number);
            }
        }
        is_new
    }

    /// Takes a record out.
    pub(crate) fn remove(&mut self, number: i64) -> Option<Rc<Fd>> {
        let (index, place) = place_of(number);
        let page = self.page_mut(index)?;
        let gone = page.fds[place].take()?;
        let before = is_far(index).then(|| page.sorts());
        page.used &= !(1 << place);
        page.mark(place, false);
        let is_empty = page.used == 0;
        if let Some(before) = before
            && let after = page.sorts()
            && after != before
        {
            self.sort_far(index, after);
        }
        if is_empty {
            self.drop_page(index);
        }
        self.len -= 1;
        if self.was_looked_at(number) {
            self.free.insert(number);
        }
        Some(gone)
    }

    fn drop_page(&mut self, index: i64) {
        match self.near.get_mut(index as usize) {
            Some(page) => *page = None,
            None => {
                self.far.remove(&index);
            }
        }
    }

    /// Whether there are records that an exec closes.
    pub(crate) fn has_closed_on_exec(&self) -> bool {
        self.near.iter().flatten().any(|page| page.cloexec != 0) || !self.closing.is_empty()
    }

    /// Takes out what an exec closes, and tells how much that was.
    pub(crate) fn close_on_exec(&mut self) -> usize {
        let pages = self.near_pages(0..=i64::MAX).chain(self.far_pages(self.closing.iter()));
        let closing: Vec<i64> = pages.flat_map(|(index, page)| numbers(index, page.cloexec)).collect();
        for &number in &closing {
            self.remove(number);
        }
        closing.len()
    }

    fn was_looked_at(&self, number: i64) -> bool {
        (NEAR_END..NEAR_END + self.looked_at).contains(&number)
    }

    /// Free numbers of a near page that are below `end`, as bits.
    fn free_on(&self, index: usize, end: i64) -> u16 {
        let below = (end - (index * PLACES) as i64).clamp(0, PLACES as i64);
        let bits = ((1_u32 << below) - 1) as u16;
        self.near[index].as_ref().map_or(bits, |page| bits & !page.used)
    }

    /// Whether all numbers below `end` certainly have a record.
    #[inline]
    pub(crate) fn is_full_below(&self, end: i64) -> bool {
        (0..NEAR_END).contains(&end)
            && (0..=end as usize / PLACES).all(|index| index == NEAR || self.free_on(index, end) == 0)
    }

    /// The lowest numbers below `end` without a record, `at_most` so many. What was found is remembered, so that asking
    /// often costs no more than once, whatever was opened and closed in between.
    pub(crate) fn lowest_free(&mut self, end: i64, at_most: usize) -> Vec<i64> {
        let on_page = |index: usize| {
            let free = self.free_on(index, end);
            (0..PLACES).filter(move |place| free & 1 << place != 0).map(move |place| (index * PLACES + place) as i64)
        };
        let mut found: Vec<i64> = (0..NEAR).flat_map(on_page).take(at_most).collect();
        if end > NEAR_END {
            let before = found.len();
            found.extend(self.free.range(..end).take(at_most - before));
            while found.len() < at_most && NEAR_END + self.looked_at < end {
                let number = NEAR_END + self.looked_at;
                if self.get(number).is_none() {
                    self.free.insert(number);
                    found.push(number);
                }
                self.looked_at += 1;
            }
        }
        found
    }

    /// Near pages among these, ascending.
    fn near_pages(&self, among: RangeInclusive<i64>) -> impl Iterator<Item = (i64, &Rc<Page>)> {
        let near = self.near.iter().enumerate().filter_map(|(index, page)| Some((index as i64, page.as_ref()?)));
        near.filter(move |(index, _)| among.contains(index))
    }

    /// Far pages with these indexes.
    fn far_pages<'t>(&'t self, indexes: impl Iterator<Item = &'t i64>) -> impl Iterator<Item = (i64, &'t Rc<Page>)> {
        indexes.filter_map(|index| Some((*index, self.far.get(index)?)))
    }

    /// Numbers from `first` (or 0) to `last`, both included, that have a record, ascending. Only their pages are looked at.
    pub(crate) fn numbers_within(&self, first: i64, last: i64) -> Vec<i64> {
        let Some(range) = pages_of(first, last) else { return Vec::new() };
        let far = self.far.range(range.clone()).map(|(index, page)| (*index, page));
        let used = self.near_pages(range).chain(far).flat_map(|(index, page)| numbers(index, page.used));
        used.filter(|number| (first..=last).contains(number)).collect()
    }

    /// Same, of the records that outlive an exec; only pages that have some are looked at.
    pub(crate) fn staying_within(&self, first: i64, last: i64) -> Vec<i64> {
        let Some(range) = pages_of(first, last) else { return Vec::new() };
        let staying = self.staying_pages(range).flat_map(|(index, page)| numbers(index, page.staying()));
        staying.filter(|number| (first..=last).contains(number)).collect()
    }

    fn staying_pages(&self, range: RangeInclusive<i64>) -> impl Iterator<Item = (i64, &Rc<Page>)> {
        self.near_pages(range.clone()).chain(self.far_pages(self.staying.range(range)))
    }

    /// Numbers for which `test` holds, ascending.
    pub(crate) fn numbers_where(&self, test: impl Fn(i64, &Fd) -> bool) -> Vec<i64> {
        self.iter().filter(|(number, fd)| test(*number, fd)).map(|(number, _)| number).collect()
    }
}

#[cfg(test)]
mod tests;
