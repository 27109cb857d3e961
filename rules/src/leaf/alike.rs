//! Verdicts on events that come alike.
//!
//! A program opens the same libraries as the one before it, with the same flags and the same number, and dozens of
//! comparisons have been answered then. Where the values of a program's fields follow from a few facts
//! ([`EventFields::facts`](crate::event::EventFields::facts)), these are looked up once per event, and what was answered on
//! an event with the same facts needs not be asked again. What depends on the process is asked on every event.
//!
//! Nothing here changes what is true: facts are compared, not only their hashes, and what is not kept is asked as ever.

use std::hash::{BuildHasher, Hasher};

use foldhash::fast::FixedState;

use crate::event::Facts;

/// Sets of facts that are kept at a time for one program; a new one takes the place of another.
const PLACES: usize = 8192;
/// Places that one set can stand in, next to each other.
const WAYS: usize = 2;
/// Words of a place: the hash, the verdicts, and the facts themselves. Numbers and texts of a set stand in one piece, so that
/// looking it up waits for memory once: sets come again after thousands of other events, when no cache has them any more.
const PLACE: usize = 40;
/// Where the verdicts stand in a place; the hash is before them.
const VERDICTS: usize = 1;
/// Where the facts stand.
const FACTS: usize = VERDICTS + Verdicts::WORDS;
/// Most words of facts. Events with longer texts are not kept: they seldom come again.
const MAX_FACTS: usize = PLACE - FACTS;
/// New sets after which one looks back: where most were new, keeping them costs more than it saves.
const TRIAL: u32 = 4096;
/// Comparisons of one program whose verdicts are kept.
pub(crate) const MAX_OWN: usize = 128;

/// Programs for which verdicts are kept at a time: 2.6 MB each, when full. Those of the event types that come first; a ruleset
/// whose rules ask about descriptors has a program for each of hundreds of types.
const MAX_PROGRAMS: usize = 24;

/// What is kept for one program.
#[derive(Clone, Debug, Default)]
pub(crate) struct Alike {
    /// [`PLACES`] of [`PLACE`] words, made when the first event comes. Zeros of a vector cost no memory before they are
    /// written to.
    places: Vec<u64>,
    new: u32,
    again: u32,
    given_up: bool,
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
    /// Words that they take in a place.
    const WORDS: usize = 2 * (MAX_OWN / 64) + 1;

    fn from_words(words: &[u64]) -> Option<Self> {
        let (known, rest) = words.split_first_chunk()?;
        let (yes, rest) = rest.split_first_chunk()?;
        Some(Self { known: *known, yes: *yes, start: *rest.first()? as u32 })
    }

    fn words(&self) -> impl Iterator<Item = u64> {
        self.known.into_iter().chain(self.yes).chain([u64::from(self.start)])
    }

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
        self.places.is_empty() && !self.given_up
    }

    /// The first event of the program at `place` has come: it gets room, or none where [`MAX_PROGRAMS`] have it.
    #[cold]
    pub(crate) fn begin(all: &mut [Self], place: usize) {
        let has_room = all.iter().filter(|alike| !alike.places.is_empty()).count() < MAX_PROGRAMS;
        if let Some(alike) = all.get_mut(place) {
            if has_room { alike.make_room() } else { alike.given_up = true }
        }
    }

    fn make_room(&mut self) {
        self.places = vec![0; PLACES * PLACE];
    }

    /// The place of an event's facts; `None` where they are not kept.
    #[inline]
    pub(crate) fn enter(&mut self, facts: &Facts<'_>) -> Option<usize> {
        let facts = Packed::of(facts)?;
        let hash = facts.hash();
        let first = hash as usize % (PLACES / WAYS) * WAYS;
        for at in first..first + WAYS {
            if let Some([kept, rest @ ..]) = self.places.get(at * PLACE..(at + 1) * PLACE)
                && *kept == hash
                && rest.get(FACTS - 1..FACTS - 1 + facts.len) == facts.words.get(..facts.len)
            {
                self.again = self.again.saturating_add(1);
                return Some(at);
            }
        }
        self.keep(first, hash, &facts)
    }

    #[cold]
    fn keep(&mut self, first: usize, hash: u64, facts: &Packed) -> Option<usize> {
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
        if self.places.is_empty() {
            self.make_room();
        }
        // Taking turns will do: nobody needs to remember which was of use last.
        let at = first + self.new as usize % WAYS;
        let place = self.places.get_mut(at * PLACE..(at + 1) * PLACE)?;
        place.fill(0);
        *place.first_mut()? = hash;
        place.get_mut(FACTS..)?.copy_from_slice(&facts.words);
        Some(at)
    }

    /// The verdicts in a place.
    #[inline]
    pub(crate) fn verdicts(&self, at: usize) -> Verdicts {
        self.places.get(at * PLACE + VERDICTS..at * PLACE + FACTS).and_then(Verdicts::from_words).unwrap_or_default()
    }

    /// Puts verdicts into a place.
    #[inline]
    pub(crate) fn learn(&mut self, at: usize, verdicts: Verdicts) {
        if let Some(place) = self.places.get_mut(at * PLACE + VERDICTS..at * PLACE + FACTS) {
            place.iter_mut().zip(verdicts.words()).for_each(|(word, verdict)| *word = verdict);
        }
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

    /// Never 0, which is that of an empty place.
    #[inline]
    fn hash(&self) -> u64 {
        let mut hasher = FixedState::with_seed(0).build_hasher();
        for word in self.words.iter().take(self.len) {
            hasher.write_u64(*word);
        }
        hasher.finish() | 1 << 63
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
        for number in 0..=u64::from(TRIAL) {
            let _ = alike.enter(&facts(number, "x"));
        }
        assert!(!alike.is_in_use() && alike.places.is_empty());
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
    fn more_facts_than_there_is_room_for_are_not_kept() {
        let mut many = Facts::default();
        for number in 0..=Facts::NUMBERS as u64 {
            many.number(number);
        }
        assert_eq!(Alike::default().enter(&many), None);
        assert!(!Facts::default().bytes(Some(&[0; 16])) && !Facts::default().bytes(Some(&[0; 3])));
    }
}
