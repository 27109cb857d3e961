//! Verdicts about texts that come again.
//!
//! Captures are full of the same few paths and programs, and a ruleset asks many comparisons about each: is it below
//! `/etc`, is it in this list, does it end so. What a comparison with constants says about a text depends on the text
//! alone, so it is kept with the text. On an event that brings a known one, the field's value is looked up once, and each
//! comparison is a bit.
//!
//! Nothing here changes what is true: what is not kept is compared as ever.

use std::hash::{BuildHasher, Hash};

use foldhash::fast::FixedState;

use crate::event::Extracted;
use crate::value::Value;

/// Texts of one field that are kept at a time; a new one takes the place of another.
const PLACES: usize = 1024;
/// Fewer are not worth their room.
const MIN_PLACES: usize = 64;
/// Longer texts are not kept: they are command lines and the like, which seldom come again.
const MAX_TEXT: usize = 256;
/// Fields about which fewer comparisons ask are not looked up: comparing costs no more.
const MIN_ASKED: usize = 3;
/// Words of verdicts for one field, so that many comparisons of it leave less room for texts.
const MAX_WORDS: usize = 1 << 18;
/// New texts after which one looks back: where most were new, keeping them costs more than it saves.
const TRIAL: u32 = 4096;

/// Which comparison of which field: numbers both.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    pub(super) field: u32,
    pub(super) comparison: u32,
}

/// What is kept, field by field.
#[derive(Clone, Debug, Default)]
pub(super) struct Texts {
    fields: Vec<Field>,
}

/// The texts of one field.
#[derive(Clone, Debug, Default)]
pub(super) struct Field {
    /// Event that `now` is about.
    epoch: u32,
    now: Now,
    /// Words of *known* in each place; 0: nothing is kept.
    words: usize,
    /// How many of them there are, a power of two; made when the first text comes.
    places: usize,
    kept: Vec<Kept>,
    /// For each place words of *known*, then words of *yes*.
    bits: Vec<u64>,
    /// Texts that were new, and that were kept already.
    new: u32,
    again: u32,
}

/// A text in its place.
#[derive(Clone, Debug, Default)]
struct Kept {
    /// Of the number, or of the text itself.
    hash: u64,
    /// The number that it was made of, if it was.
    number: Option<u64>,
    text: Vec<u8>,
}

/// The value of a field on the event at hand.
#[derive(Clone, Copy, Debug, Default)]
enum Now {
    /// There is none.
    Absent,
    /// The text in this place.
    Text(u32),
    /// It has to be asked for.
    #[default]
    Unkept,
}

/// What is known of a comparison on the event at hand.
pub(super) enum Known<'t> {
    /// Its verdict.
    Verdict(bool),
    /// The text to compare, to be told of with [`Field::learn`].
    Text(&'t [u8]),
    /// Nothing.
    Nothing,
}

impl Texts {
    /// For fields about which so many comparisons ask.
    pub(super) fn new(asked: &[u32]) -> Self {
        Self { fields: asked.iter().map(|&asked| Field::new(asked as usize)).collect() }
    }

    /// The field of a comparison, if texts of it are kept.
    #[inline]
    pub(super) fn field(&mut self, asked: Asked) -> Option<&mut Field> {
        self.fields.get_mut(asked.field as usize).filter(|field| field.words > 0)
    }

    /// Numbers of events begin anew.
    pub(super) fn forget_events(&mut self) {
        self.fields.iter_mut().for_each(|field| field.epoch = 0);
    }
}

impl Field {
    fn new(asked: usize) -> Self {
        let words = asked.div_ceil(64);
        let places = (MAX_WORDS / (2 * words).max(1)).clamp(1, PLACES);
        let places = 1 << places.ilog2();
        let is_worth_it = asked >= MIN_ASKED && places >= MIN_PLACES;
        Self { words: if is_worth_it { words } else { 0 }, places, ..Self::default() }
    }

    /// Whether the value on this event has been looked up.
    #[inline]
    pub(super) fn is_at(&self, epoch: u32) -> bool {
        self.epoch == epoch
    }

    /// Looks the value on an event up: by the number that it follows from, where there is one.
    #[inline]
    pub(super) fn enter<'e>(&mut self, epoch: u32, number: Option<u64>, value: impl FnOnce() -> Extracted<'e>) {
        self.epoch = epoch;
        if let Some(number) = number {
            let hash = hash_of(number);
            let at = self.place(hash);
            if self.kept.get(at).is_some_and(|kept| kept.hash == hash && kept.number == Some(number)) {
                self.again = self.again.saturating_add(1);
                self.now = Now::Text(at as u32);
                return;
            }
        }
        self.now = match value() {
            Extracted::Absent => Now::Absent,
            Extracted::One(Value::Text(text)) if text.len() <= MAX_TEXT => self.keep(&text, number),
            _ => Now::Unkept,
        };
    }

    #[inline]
    fn place(&self, hash: u64) -> usize {
        hash as usize & self.places.wrapping_sub(1)
    }

    fn keep(&mut self, text: &[u8], number: Option<u64>) -> Now {
        if self.kept.is_empty() {
            self.kept.resize_with(self.places, Kept::default);
            self.bits = vec![0; 2 * self.words * self.places];
        }
        let hash = number.map_or_else(|| hash_of(text), hash_of);
        let at = self.place(hash);
        let Some(kept) = self.kept.get_mut(at) else { return Now::Unkept };
        if kept.hash == hash && kept.number == number && kept.text == text {
            self.again = self.again.saturating_add(1);
            return Now::Text(at as u32);
        }
        self.new += 1;
        if self.new >= TRIAL {
            if self.new > self.again {
                *self = Self { epoch: self.epoch, ..Self::default() };
                return Now::Unkept;
            }
            (self.new, self.again) = (0, 0);
        }
        (kept.hash, kept.number) = (hash, number);
        kept.text.clear();
        kept.text.extend_from_slice(text);
        let begin = 2 * self.words * at;
        if let Some(known) = self.bits.get_mut(begin..begin + self.words) {
            // Bits of *yes* count only where there is one of *known*.
            known.fill(0);
        }
        Now::Text(at as u32)
    }

    /// What is known of a comparison on the event that was entered.
    #[inline]
    pub(super) fn get(&self, comparison: u32) -> Known<'_> {
        let at = match self.now {
            Now::Absent => return Known::Verdict(false),
            Now::Text(at) => at as usize,
            Now::Unkept => return Known::Nothing,
        };
        let (word, bit) = (2 * self.words * at + comparison as usize / 64, comparison % 64);
        match (self.bits.get(word), self.bits.get(word + self.words)) {
            // A comparison that came to the table later has no bit.
            _ if comparison as usize / 64 >= self.words => Known::Nothing,
            (Some(known), Some(yes)) if known >> bit & 1 == 1 => Known::Verdict(yes >> bit & 1 == 1),
            _ => self.kept.get(at).map_or(Known::Nothing, |kept| Known::Text(&kept.text)),
        }
    }

    /// Keeps the verdict of a comparison about the text that [`Field::get`] gave.
    pub(super) fn learn(&mut self, comparison: u32, verdict: bool) {
        let Now::Text(at) = self.now else { return };
        let (word, bit) = (2 * self.words * at as usize + comparison as usize / 64, comparison % 64);
        if let Some(known) = self.bits.get_mut(word) {
            *known |= 1 << bit;
        }
        if let Some(yes) = self.bits.get_mut(word + self.words) {
            *yes = *yes & !(1 << bit) | u64::from(verdict) << bit;
        }
    }
}

/// A hash that is never 0, which is that of an empty place.
#[inline]
fn hash_of<T: Hash>(of: T) -> u64 {
    FixedState::with_seed(0).hash_one(of) | 1 << 63
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Extracted<'_> {
        Extracted::One(Value::text(text.as_bytes()))
    }

    #[test]
    fn a_verdict_stays_with_its_text() {
        let mut texts = Texts::new(&[70]);
        let asked = Asked { field: 0, comparison: 69 };
        let Some(field) = texts.field(asked) else { panic!("70 comparisons are worth it") };
        field.enter(1, None, || text("/etc/passwd"));
        assert!(field.is_at(1) && matches!(field.get(69), Known::Text(b"/etc/passwd")));
        field.learn(69, true);
        field.enter(2, None, || text("/etc/shadow"));
        assert!(matches!(field.get(69), Known::Text(b"/etc/shadow")));
        field.learn(69, false);
        field.enter(3, None, || text("/etc/passwd"));
        assert!(matches!(field.get(69), Known::Verdict(true)) && matches!(field.get(1), Known::Text(_)));
        field.enter(4, None, || Extracted::Absent);
        assert!(matches!(field.get(69), Known::Verdict(false)));
        let long = "x".repeat(MAX_TEXT + 1);
        field.enter(5, None, || text(&long));
        assert!(matches!(field.get(69), Known::Nothing));
    }

    #[test]
    fn a_number_stands_for_its_text() {
        let mut texts = Texts::new(&[3]);
        let Some(field) = texts.field(Asked { field: 0, comparison: 0 }) else { panic!("3 are worth it") };
        field.enter(1, Some(7), || text("O_RDONLY"));
        field.learn(0, true);
        field.enter(2, Some(7), || panic!("it is known what 7 means"));
        assert!(matches!(field.get(0), Known::Verdict(true)));
        // The same text without a number, or of another one, is another matter.
        for number in [None, Some(8)] {
            field.enter(3, number, || text("O_RDONLY"));
            assert!(matches!(field.get(0), Known::Text(b"O_RDONLY")));
        }
        field.enter(4, Some(9), || Extracted::Absent);
        assert!(matches!(field.get(0), Known::Verdict(false)));
    }

    #[test]
    fn a_place_that_is_taken_over_forgets() {
        let mut texts = Texts::new(&[3]);
        let Some(field) = texts.field(Asked { field: 0, comparison: 0 }) else { panic!("3 are worth it") };
        // More texts than places, over and over: each answer is that of its text.
        for (epoch, n) in (1..).zip((0..3000_u32).chain(0..3000)) {
            let number = n.to_string();
            field.enter(epoch, None, || text(&number));
            match field.get(0) {
                Known::Verdict(verdict) => assert_eq!(verdict, n % 3 == 0),
                Known::Text(_) => field.learn(0, n % 3 == 0),
                Known::Nothing => assert!(field.words == 0, "given up"),
            }
        }
        assert!(field.words == 0, "nearly all were new");
    }

    #[test]
    fn few_comparisons_are_not_worth_it_and_very_many_leave_no_room() {
        let mut texts = Texts::new(&[2, 3, 4000, 10_000_000]);
        let worth: Vec<bool> = (0..5).map(|field| texts.field(Asked { field, comparison: 0 }).is_some()).collect();
        assert_eq!(worth, [false, true, true, false, false]);
        assert!(texts.fields.iter().all(|field| field.words * field.places * 2 <= MAX_WORDS || field.words == 0));
    }
}
