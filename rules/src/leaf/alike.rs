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
/// Events with longer texts are not kept: they seldom come again.
const MAX_TEXT: usize = 256;
/// New sets after which one looks back: where most were new, keeping them costs more than it saves.
const TRIAL: u32 = 4096;
/// Comparisons of one program whose verdicts are kept.
pub(crate) const MAX_OWN: usize = 128;

/// What is kept for one program.
#[derive(Clone, Debug, Default)]
pub(crate) struct Alike {
    /// Made when the first event comes.
    kept: Vec<Kept>,
    verdicts: Vec<Verdicts>,
    new: u32,
    again: u32,
    given_up: bool,
}

/// Facts in their place.
#[derive(Clone, Debug, Default)]
struct Kept {
    /// Never 0, which is that of an empty place.
    hash: u64,
    shape: u64,
    numbers: [u64; Facts::NUMBERS],
    texts: [Vec<u8>; Facts::TEXTS],
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

    /// The place of an event's facts; `None` where they are not kept.
    #[inline]
    pub(crate) fn enter(&mut self, facts: &Facts<'_>) -> Option<usize> {
        let hash = hash_of(facts);
        let first = hash as usize % (PLACES / WAYS) * WAYS;
        if let Some(places) = self.kept.get(first..first + WAYS) {
            for (at, kept) in (first..).zip(places) {
                if kept.hash == hash && kept.is(facts) {
                    self.again = self.again.saturating_add(1);
                    return Some(at);
                }
            }
        }
        self.keep(first, hash, facts)
    }

    #[cold]
    fn keep(&mut self, first: usize, hash: u64, facts: &Facts<'_>) -> Option<usize> {
        if self.given_up || !facts.is_whole() || facts.texts.iter().any(|text| text.len() > MAX_TEXT) {
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
        if self.kept.is_empty() {
            self.kept.resize_with(PLACES, Kept::default);
            self.verdicts.resize(PLACES, Verdicts::default());
        }
        // Taking turns will do: nobody needs to remember which was of use last.
        let at = first + self.new as usize % WAYS;
        self.kept.get_mut(at)?.take(hash, facts);
        *self.verdicts.get_mut(at)? = Verdicts::default();
        Some(at)
    }

    /// The verdicts in a place.
    #[inline]
    pub(crate) fn verdicts(&self, at: usize) -> Verdicts {
        self.verdicts.get(at).copied().unwrap_or_default()
    }

    /// Puts verdicts into a place.
    #[inline]
    pub(crate) fn learn(&mut self, at: usize, verdicts: Verdicts) {
        if let Some(place) = self.verdicts.get_mut(at) {
            *place = verdicts;
        }
    }
}

impl Kept {
    #[inline]
    fn is(&self, facts: &Facts<'_>) -> bool {
        // The shape tells how many numbers and texts count.
        let numbers = facts.numbers();
        self.shape == facts.shape
            && self.numbers.get(..numbers.len()) == Some(numbers)
            && self.texts.iter().zip(&facts.texts).all(|(kept, text)| kept[..] == text[..])
    }

    fn take(&mut self, hash: u64, facts: &Facts<'_>) {
        (self.hash, self.shape) = (hash, facts.shape);
        for (kept, number) in self.numbers.iter_mut().zip(facts.numbers()) {
            *kept = *number;
        }
        for (kept, text) in self.texts.iter_mut().zip(&facts.texts) {
            kept.clear();
            kept.extend_from_slice(text);
        }
    }
}

#[inline]
fn hash_of(facts: &Facts<'_>) -> u64 {
    let mut hasher = FixedState::with_seed(0).build_hasher();
    hasher.write_u64(facts.shape);
    for &number in facts.numbers() {
        hasher.write_u64(number);
    }
    let [first, others @ ..] = &facts.texts;
    // Of further texts length and end will do: they are other forms of the first.
    hasher.write(first);
    for text in others {
        hasher.write_u64(text.len() as u64);
        hasher.write(text.get(text.len().saturating_sub(8)..).unwrap_or_default());
    }
    hasher.finish() | 1 << 63
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
        assert_eq!(alike.enter(&facts(3, &"x".repeat(MAX_TEXT + 1))), None);
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
        assert!(!alike.is_in_use() && alike.kept.is_empty());
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
