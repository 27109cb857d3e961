//! The descriptors of one process by number.
//!
//! They stand in pages of 16 numbers, which copies of a table share until one of them changes something there: a fork
//! copies nothing, the first call of the child that opens or closes copies one page, and that of a process with 100,000
//! descriptors no more. Low numbers, which nearly all are, find their page without a search.

use std::collections::{BTreeMap, BTreeSet};
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
    /// Numbers whose record may be one that an exec closes; of the others it is certainly none.
    cloexec: u16,
}

impl Page {
    /// Numbers of the page, which is that of `index`, with their records.
    fn iter(&self, index: i64) -> impl Iterator<Item = (i64, &Rc<Fd>)> {
        let first = index * PLACES as i64;
        self.fds.iter().enumerate().filter_map(move |(place, fd)| Some((first + place as i64, fd.as_ref()?)))
    }

    /// Places of records that an exec closes, as bits.
    fn closed_on_exec(&self) -> u16 {
        let is_one = |place: &usize| self.fds[*place].as_ref().is_some_and(|fd| fd.cloexec);
        let marked = (0..PLACES).filter(|place| self.cloexec & 1 << place != 0);
        marked.filter(is_one).fold(0, |bits, place| bits | 1 << place)
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

/// Where a number stands: its page and the place there.
fn place_of(number: i64) -> (i64, usize) {
    (number >> PLACES.ilog2(), number as usize % PLACES)
}

/// Descriptors of one process (shared by its threads, and by `CLONE_FILES` relatives). Records are shared between
/// copies of the table until one of them changes.
#[derive(Clone, Debug, Default)]
pub struct FdTable {
    /// Pages of the lowest numbers.
    near: [Option<Rc<Page>>; NEAR],
    /// All other pages, none of them empty.
    far: BTreeMap<i64, Rc<Page>>,
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

    /// Record of a number for changing it; copied first when other tables share it.
    pub(crate) fn get_mut(&mut self, number: i64) -> Option<&mut Fd> {
        let (index, place) = place_of(number);
        let page = self.page_mut(index)?;
        let fd = page.fds[place].as_mut()?;
        // Whatever is about to become of it.
        page.cloexec |= 1 << place;
        Some(Rc::make_mut(fd))
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
        let bit = 1 << place;
        page.cloexec = if fd.cloexec { page.cloexec | bit } else { page.cloexec & !bit };
        page.used |= bit;
        let is_new = page.fds[place].replace(fd).is_none();
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
        let before = page.fds[place].take()?;
        page.used &= !(1 << place);
        page.cloexec &= !(1 << place);
        if page.used == 0 {
            self.drop_page(index);
        }
        self.len -= 1;
        if self.was_looked_at(number) {
            self.free.insert(number);
        }
        Some(before)
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
        let closes = |page: &Rc<Page>| page.cloexec != 0 && page.closed_on_exec() != 0;
        self.near.iter().flatten().any(closes) || self.far.values().any(closes)
    }

    /// Takes out what an exec closes, and tells how much that was.
    pub(crate) fn close_on_exec(&mut self) -> usize {
        let marked = self.pages().filter(|(_, page)| page.cloexec != 0);
        let closing = marked.map(|(index, page)| (index, page.closed_on_exec())).filter(|(_, closed)| *closed != 0);
        let pages: Vec<(i64, u16)> = closing.collect();
        let before = self.len;
        for (index, closed) in pages {
            for place in (0..PLACES).filter(|place| closed & 1 << place != 0) {
                self.remove(index * PLACES as i64 + place as i64);
            }
            if let Some(page) = self.page_mut(index) {
                page.cloexec = 0;
            }
        }
        before - self.len
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

    /// Numbers from `first` (or 0) to `last`, both included, for which `test` holds, ascending. Only their pages are
    /// looked at.
    pub(crate) fn numbers_within(&self, first: i64, last: i64, test: impl Fn(&Fd) -> bool) -> Vec<i64> {
        let first = first.max(0);
        if first > last {
            return Vec::new();
        }
        let ((from, _), (to, _)) = (place_of(first), place_of(last));
        let near = self.near.iter().enumerate().filter_map(|(index, page)| Some((index as i64, page.as_ref()?)));
        let near = near.filter(|(index, _)| (from..=to).contains(index));
        let far = self.far.range(from..=to).map(|(index, page)| (*index, page));
        let records = near.chain(far).flat_map(|(index, page)| page.iter(index));
        let within = records.filter(|(number, fd)| (first..=last).contains(number) && test(fd));
        within.map(|(number, _)| number).collect()
    }

    /// Numbers for which `test` holds, ascending.
    pub(crate) fn numbers_where(&self, test: impl Fn(i64, &Fd) -> bool) -> Vec<i64> {
        self.iter().filter(|(number, fd)| test(*number, fd)).map(|(number, _)| number).collect()
    }
}
