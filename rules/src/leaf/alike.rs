//! Verdicts on events that come alike.
//!
//! A program opens the same libraries as the one before it, with the same flags and the same number, and dozens of
//! comparisons have been answered then. Where the values of a program's fields follow from a few facts
//! ([`EventFields::facts`](crate::event::EventFields::facts)), these are looked up once per event, and what was answered on
//! an event with the same facts needs not be asked again. What depends on the process is asked on every event.
//!
//! Nothing here changes what is true: facts are compared, not only their hashes, and what is not kept is asked as ever.

use crate::event::Facts;

/// Sets of facts that are kept at a time for one program; a new one takes the place of another.
const PLACES: usize = 8192;
/// Places in the index that one set can stand in, next to each other.
const WAYS: usize = 2;
/// Most words of facts. Events with longer texts are not kept: they seldom come again.
const MAX_FACTS: usize = 34;
/// Sets that get their memory at a time.
const CHUNK: usize = 64;
/// New sets after which one looks back: where most were new, keeping them costs more than it saves.
const TRIAL: u32 = 4096;
/// Comparisons of one program whose verdicts are kept.
pub(crate) const MAX_OWN: usize = 128;

/// Factors that spread the bits of what they multiply.
const SEED: u64 = 0x9e37_79b9_7f4a_7c15;
const SPREAD: u64 = 0xd6e8_feb8_6659_fd93;

/// Programs for which verdicts are kept at a time: 2.7 MB each, when full. Those of the event types that come first; a ruleset
/// whose rules ask about descriptors has a program for each of hundreds of types.
const MAX_PROGRAMS: usize = 24;

/// What is kept for one program.
#[derive(Clone, Debug, Default)]
pub(crate) struct Alike {
    /// [`PLACES`], made when the first event comes: the upper half of a set's hash and, below it, its number; 0 for none. It is
    /// small enough to stay in a near cache, so that one waits for memory once: for the set itself, which comes again after
    /// thousands of other events.
    index: Vec<u64>,
    /// The sets by number, [`CHUNK`] in each piece.
    sets: Vec<Box<[Set]>>,
    /// How many there are.
    count: u32,
    new: u32,
    again: u32,
    given_up: bool,
}

/// Facts and verdicts of events that are alike. They begin with a cache line, and mostly take three.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
struct Set {
    verdicts: Verdicts,
    facts: [u64; MAX_FACTS],
}

/// Facts of one event as words: what they are, the numbers, and each text after its length. None is the beginning of
/// another.
struct Packed {
    words: [u64; MAX_FACTS],
    len: usize,
}

/// What a program's own comparisons say.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Verdicts {
    known: [u64; MAX_OWN / 64],
    yes: [u64; MAX_OWN / 64],
    /// The step up to which these verdicts alone lead.
    pub(crate) start: u32,
}

impl Verdicts {
    /// What comparison `number` says, if it was asked.
    #[inline]
    pub(crate) fn get(&self, number: u32) -> Option<bool> {
        let (word, bit) = (number as usize / 64, number % 64);
        let known = self.known.get(word)? >> bit & 1 == 1;
        known.then(|| self.yes.get(word).is_some_and(|yes| yes >> bit & 1 == 1))
    }

    pub(crate) fn set(&mut self, number: u32, verdict: bool) {
        let (word, bit) = (number as usize / 64, number % 64);
        if let (Some(known), Some(yes)) = (self.known.get_mut(word), self.yes.get_mut(word)) {
            *known |= 1 << bit;
            *yes = *yes & !(1 << bit) | u64::from(verdict) << bit;
        }
    }
}

impl Alike {
    /// Whether facts are of use.
    #[inline]
    pub(crate) fn is_in_use(&self) -> bool {
        !self.given_up
    }

    /// Whether no event of the program has come yet.
    #[inline]
    pub(crate) fn is_fresh(&self) -> bool {
        self.index.is_empty() && !self.given_up
    }

    /// The first event of the program at `place` has come: it gets room, or none where [`MAX_PROGRAMS`] have it.
    #[cold]
    pub(crate) fn begin(all: &mut [Self], place: usize) {
        let has_room = all.iter().filter(|alike| !alike.index.is_empty()).count() < MAX_PROGRAMS;
        if let Some(alike) = all.get_mut(place) {
            if has_room { alike.make_room() } else { alike.given_up = true }
        }
    }

    fn make_room(&mut self) {
        self.index = vec![0; PLACES];
    }

    /// The number of an event's facts; `None` where they are not kept.
    #[inline]
    pub(crate) fn enter(&mut self, facts: &Facts<'_>) -> Option<u32> {
        let facts = Packed::of(facts)?;
        let hash = facts.hash();
        let first = hash as usize % (PLACES / WAYS) * WAYS;
        for entry in self.index.get(first..first + WAYS)? {
            let number = *entry as u32;
            if entry >> 32 == hash >> 32 && self.set(number).is_some_and(|set| set.is_of(&facts)) {
                self.again = self.again.saturating_add(1);
                return Some(number);
            }
        }
        self.keep(first, hash, &facts)
    }

    #[inline]
    fn set(&self, number: u32) -> Option<&Set> {
        self.sets.get(number as usize / CHUNK)?.get(number as usize % CHUNK)
    }

    #[inline]
    fn set_mut(&mut self, number: u32) -> Option<&mut Set> {
        self.sets.get_mut(number as usize / CHUNK)?.get_mut(number as usize % CHUNK)
    }

    #[cold]
    fn keep(&mut self, first: usize, hash: u64, facts: &Packed) -> Option<u32> {
        if self.given_up {
            return None;
        }
        self.new += 1;
        if self.new >= TRIAL {
            if self.new > self.again {
                *self = Self { given_up: true, ..Self::default() };
                return None;
            }
            (self.new, self.again) = (0, 0);
        }
        // Taking turns will do: nobody needs to remember which was of use last.
        let at = first + self.new as usize % WAYS;
        let number = match *self.index.get(at)? {
            0 => {
                self.count += 1;
                self.count - 1
            }
            taken => taken as u32,
        };
        if self.sets.len() * CHUNK <= number as usize {
            let none = Set { verdicts: Verdicts::default(), facts: [0; MAX_FACTS] };
            self.sets.push(vec![none; CHUNK].into());
        }
        *self.set_mut(number)? = Set { verdicts: Verdicts::default(), facts: facts.words };
        *self.index.get_mut(at)? = hash & !u64::from(u32::MAX) | u64::from(number);
        Some(number)
    }

    /// The verdicts of a set.
    #[inline]
    pub(crate) fn verdicts(&self, number: u32) -> Verdicts {
        self.set(number).map_or_else(Verdicts::default, |set| set.verdicts)
    }

    /// Keeps verdicts with a set.
    #[inline]
    pub(crate) fn learn(&mut self, number: u32, verdicts: Verdicts) {
        if let Some(set) = self.set_mut(number) {
            set.verdicts = verdicts;
        }
    }
}

impl Set {
    /// Word by word: the facts were put together just now, and reading them in larger pieces would wait until they are
    /// written.
    #[inline]
    fn is_of(&self, facts: &Packed) -> bool {
        let words = facts.words.iter().take(facts.len);
        self.facts.iter().zip(words).all(|(kept, word)| kept == word)
    }
}

impl Packed {
    /// `None` where there are more than there is room for.
    #[inline]
    fn of(facts: &Facts<'_>) -> Option<Self> {
        let mut packed = Self { words: [0; MAX_FACTS], len: 0 };
        if !facts.is_whole() {
            return None;
        }
        // It tells how many numbers there are, and which of the texts.
        packed.put(facts.shape)?;
        for &number in facts.numbers() {
            packed.put(number)?;
        }
        for text in &facts.texts {
            packed.put(text.len() as u64)?;
            let (chunks, rest) = text.as_chunks();
            let places = packed.words.get_mut(packed.len..packed.len + text.len().div_ceil(8))?;
            for (place, chunk) in places.iter_mut().zip(chunks) {
                *place = u64::from_le_bytes(*chunk);
            }
            if let Some(last) = places.get_mut(chunks.len()) {
                *last = rest.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte));
            }
            packed.len += text.len().div_ceil(8);
        }
        Some(packed)
    }

    #[inline]
    fn put(&mut self, word: u64) -> Option<()> {
        *self.words.get_mut(self.len)? = word;
        self.len += 1;
        Some(())
    }

    /// Two words at a time; the upper half is never 0, as that of an empty place. Who knows the factors can make sets
    /// that take each other's places, which costs time and nothing else.
    #[inline]
    fn hash(&self) -> u64 {
        let (pairs, _) = self.words.as_chunks();
        let mixed = pairs.iter().take(self.len.div_ceil(2)).fold(SEED, |mixed, [one, other]| {
            let product = u128::from(one ^ mixed) * u128::from(other ^ SPREAD);
            product as u64 ^ (product >> 64) as u64
        });
        mixed | 1 << 63
    }
}

#[cfg(test)]
mod tests {
    // A place that is not found is a failure.
    #![allow(clippy::unwrap_used)]

    use std::borrow::Cow;

    use super::*;

    fn facts(number: u64, text: &str) -> Facts<'_> {
        let mut facts = Facts::default();
        facts.number(number);
        facts.text(Some(Cow::Borrowed(text.as_bytes())));
        facts
    }

    #[test]
    fn verdicts_stay_with_their_facts() {
        let mut alike = Alike::default();
        alike.make_room();
        let at = alike.enter(&facts(3, "/etc/passwd")).unwrap();
        let mut verdicts = alike.verdicts(at);
        assert_eq!((verdicts.get(127), verdicts.start), (None, 0));
        verdicts.set(127, true);
        verdicts.set(64, false);
        verdicts.start = 5;
        alike.learn(at, verdicts);
        for other in [facts(4, "/etc/passwd"), facts(3, "/etc/passwe"), facts(3, "")] {
            let at = alike.enter(&other).unwrap();
            assert_eq!(alike.verdicts(at).get(127), None);
        }
        let mut absent = Facts::default();
        absent.number(3);
        absent.absent();
        let at = alike.enter(&absent).unwrap();
        assert_eq!(alike.verdicts(at).get(127), None, "no text is not an empty one");
        let at = alike.enter(&facts(3, "/etc/passwd")).unwrap();
        let verdicts = alike.verdicts(at);
        assert_eq!((verdicts.get(127), verdicts.get(64), verdicts.get(63)), (Some(true), Some(false), None));
        assert_eq!(verdicts.start, 5);
        for (len, is_kept) in [(8 * MAX_FACTS - 32, true), (8 * MAX_FACTS - 31, false), (1 << 16, false)] {
            assert_eq!(alike.enter(&facts(3, &"x".repeat(len))).is_some(), is_kept, "{len} bytes");
        }
        let at = alike.enter(&facts(3, "/etc/pass")).unwrap();
        assert_eq!(alike.verdicts(at).get(127), None, "a beginning is another text");
    }

    #[test]
    fn a_place_that_is_taken_over_forgets() {
        let mut alike = Alike::default();
        alike.make_room();
        // More than there are places, some over and over.
        for number in (0..9000_u64).flat_map(|number| [number, number % 7, number]) {
            let Some(at) = alike.enter(&facts(number, "x")) else { continue };
            let mut verdicts = alike.verdicts(at);
            if let Some(known) = verdicts.get(0) {
                assert_eq!(known, number % 3 == 0);
            }
            verdicts.set(0, number % 3 == 0);
            alike.learn(at, verdicts);
        }
    }

    #[test]
    fn what_is_nearly_always_new_is_given_up() {
        let mut alike = Alike::default();
        alike.make_room();
        for number in 0..=u64::from(TRIAL) {
            let _ = alike.enter(&facts(number, "x"));
        }
        assert!(!alike.is_in_use() && alike.index.is_empty() && alike.sets.is_empty());
    }

    #[test]
    fn so_many_programs_keep_verdicts_and_no_more() {
        let mut all = vec![Alike::default(); MAX_PROGRAMS + 2];
        for place in 0..all.len() {
            assert!(all[place].is_fresh());
            Alike::begin(&mut all, place);
            assert_eq!(all[place].is_in_use(), place < MAX_PROGRAMS, "{place}");
            assert!(!all[place].is_fresh());
        }
        assert_eq!(all[MAX_PROGRAMS].enter(&facts(3, "x")), None);
    }

    #[test]
    fn sets_take_no_more_memory_than_there_are_places() {
        let mut alike = Alike::default();
        alike.make_room();
        for number in (0..40_000_u64).flat_map(|number| [number; 3]) {
            let _ = alike.enter(&facts(number, "x"));
        }
        assert!(alike.is_in_use() && alike.count as usize <= PLACES, "{}", alike.count);
        assert!(alike.sets.len() <= PLACES / CHUNK && size_of::<Set>() == 320);
    }

    #[test]
    fn more_facts_than_there_is_room_for_are_not_kept() {
        let mut many = Facts::default();
        for number in 0..=Facts::NUMBERS as u64 {
            many.number(number);
        }
        let mut alike = Alike::default();
        alike.make_room();
        assert_eq!(alike.enter(&many), None);
        assert!(!Facts::default().bytes(Some(&[0; 16])) && !Facts::default().bytes(Some(&[0; 3])));
    }
}
