//! Texts that know where each byte was written: YAML scalars, and the condition and output texts made of them.
//!
//! YAML folds lines, removes indentation and decodes escapes; the loader then joins scalars, puts exceptions around
//! them and replaces list names. A [`LoadedText`] remembers for each piece which scalar it came from and by which way
//! ([`Via`]). Nothing is computed for that while all goes well: the map from a scalar's value to the bytes of the file
//! is made when a message needs it.

use std::sync::Arc;

use crate::source::{FileSpan, Sources, TextMap};

/// How a scalar is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Style {
    /// Without quotes.
    Plain,
    /// `'...'`.
    Single,
    /// `"..."`.
    Double,
    /// `|` or `>`.
    Block,
}

/// A scalar of a rule file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Scalar {
    /// Its decoded value.
    pub value: String,
    /// Its bytes in the file, with quotes.
    pub span: FileSpan,
    /// How it is written.
    pub style: Style,
}

impl Scalar {
    /// Where the bytes of the value stand in `raw`, the bytes of the scalar in the file.
    ///
    /// Walks both texts in step. If they do not fit (which they should), the rest maps to where they parted.
    pub fn map(&self, raw: &str) -> TextMap {
        let mut walk = Walk { raw: raw.as_bytes(), at: 0, map: TextMap::default() };
        let value = self.value.as_bytes();
        let mut done = 0;
        match self.style {
            Style::Plain => walk.folded(value, &mut done, None),
            Style::Single => walk.folded(value, &mut done, Some(b'\'')),
            Style::Double => walk.folded(value, &mut done, Some(b'"')),
            Style::Block => walk.block(value, &mut done),
        }
        if done < value.len() {
            walk.map.push(done, walk.at.min(raw.len().saturating_sub(1)));
        }
        walk.map
    }
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

/// A position in the raw bytes of a scalar while its value is followed along.
struct Walk<'r> {
    raw: &'r [u8],
    at: usize,
    map: TextMap,
}

impl Walk<'_> {
    fn peek(&self) -> Option<u8> {
        self.raw.get(self.at).copied()
    }

    /// Number of blanks in the raw text from here on.
    fn blanks(&self) -> usize {
        self.raw.get(self.at..).map_or(0, |rest| rest.iter().take_while(|&&b| is_blank(b)).count())
    }

    /// Plain and quoted scalars: a run of blanks with one line break is one blank, with more it is that many breaks
    /// less one; `''` and escapes are one character.
    fn folded(&mut self, value: &[u8], done: &mut usize, quote: Option<u8>) {
        if quote.is_some() {
            self.at += 1;
        }
        while *done < value.len() {
            let Some(byte) = self.peek() else { return };
            self.map.push(*done, self.at);
            if is_blank(byte) {
                let run = self.blanks();
                let breaks = memchr::memchr_iter(b'\n', &self.raw[self.at..self.at + run]).count();
                *done += match breaks {
                    0 => run,
                    1 => 1,
                    more => more - 1,
                };
                self.at += run;
            } else if quote == Some(b'"') && byte == b'\\' {
                let (length, makes_text) = escape(&self.raw[self.at + 1..]);
                self.at += 1 + length;
                if makes_text {
                    *done += char_length(value[*done]);
                } else {
                    // A backslash at the end of a line swallows the break and the indentation after it.
                    self.at += self.blanks();
                }
            } else {
                if value[*done] != byte {
                    return;
                }
                *done += 1;
                self.at += if quote == Some(b'\'') && byte == b'\'' { 2 } else { 1 };
            }
        }
    }

    /// Block scalars: text is as written, runs of blanks with line breaks differ by indentation and folding.
    fn block(&mut self, value: &[u8], done: &mut usize) {
        while *done < value.len() {
            let Some(byte) = self.peek() else { return };
            if !is_blank(value[*done]) {
                if is_blank(byte) {
                    self.at += self.blanks();
                    continue;
                }
                if byte != value[*done] {
                    return;
                }
                self.map.push(*done, self.at);
                *done += 1;
                self.at += 1;
                continue;
            }
            let run = self.blanks();
            let length = value[*done..].iter().take_while(|&&b| is_blank(b)).count();
            // What stands before the next word on its line is indentation: it fits from the right.
            let tail = value[*done..*done + length].iter().rev().take_while(|&&b| b == b' ' || b == b'\t').count();
            self.map.push(*done, self.at);
            if tail < length && run >= tail {
                self.map.push(*done + length - tail, self.at + run - tail);
            }
            *done += length;
            self.at += run.max(usize::from(run == 0));
        }
    }
}

/// Bytes of an escape after its backslash, and whether it stands for a character.
fn escape(rest: &[u8]) -> (usize, bool) {
    match rest.first() {
        Some(b'x') => (3, true),
        Some(b'u') => (5, true),
        Some(b'U') => (9, true),
        Some(b'\n') => (1, false),
        Some(b'\r') => (if rest.get(1) == Some(&b'\n') { 2 } else { 1 }, false),
        Some(_) => (1, true),
        None => (0, true),
    }
}

/// Length of a UTF-8 character by its first byte.
fn char_length(first: u8) -> usize {
    match first {
        0..0xc0 => 1,
        0xc0..0xe0 => 2,
        0xe0..0xf0 => 3,
        _ => 4,
    }
}

/// The way a piece of text came into a condition.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Via {
    /// It is written there.
    Own,
    /// A list name was replaced by the list's items.
    List(Arc<ListUse>),
    /// It belongs to the exception of this name.
    Exception(Arc<str>),
}

/// A list name in a text.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ListUse {
    /// The list.
    pub name: Arc<str>,
    /// What the name was written as; itself perhaps the item of another list.
    pub place: Origin,
}

/// Where a piece of text comes from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Origin {
    /// The scalar it was written in, or next to.
    pub scalar: Arc<Scalar>,
    /// Byte of the scalar's value that the first byte of the piece is. Bytes outside of the value were put in by
    /// the loader (quotes, commas, parentheses).
    pub offset: i64,
    /// The way it took.
    pub via: Via,
}

impl Origin {
    /// A whole scalar.
    pub fn whole(scalar: &Arc<Scalar>) -> Self {
        Self { scalar: Arc::clone(scalar), offset: 0, via: Via::Own }
    }

    fn advanced(&self, by: usize) -> Self {
        Self { offset: self.offset + by as i64, ..self.clone() }
    }

    /// The bytes of the file that `length` bytes of this piece were written as.
    pub fn span(&self, length: usize, sources: &Sources) -> FileSpan {
        let scalar = &*self.scalar;
        let size = scalar.value.len() as i64;
        let start = self.offset.clamp(0, size) as usize;
        let end = (self.offset + length as i64).clamp(start as i64, size) as usize;
        let text = sources.text(scalar.span.file);
        let Some(raw) = text.get(scalar.span.start as usize..scalar.span.end as usize) else { return scalar.span };
        if start == 0 && end == scalar.value.len() {
            return FileSpan { end: scalar.span.start + raw.trim_end().len() as u32, ..scalar.span };
        }
        let (start, end) = if start == end && start == scalar.value.len() {
            let end = raw.trim_end().len();
            (end, end)
        } else {
            scalar.map(raw).original_range(start, end)
        };
        let base = scalar.span.start as usize;
        FileSpan::new(scalar.span.file, base + start, base + end)
    }
}

/// A text put together from scalars, with the origin of each piece.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct LoadedText {
    text: String,
    /// First byte of each piece, and its origin; sorted, the first at 0.
    pieces: Vec<(usize, Origin)>,
}

/// A place in a rule file that a piece of text came from, and the list or exception it came through.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Place {
    /// The bytes it was written as.
    pub span: FileSpan,
    /// The way it took.
    pub via: Via,
}

impl LoadedText {
    /// The text of one scalar.
    pub fn from_scalar(scalar: &Arc<Scalar>) -> Self {
        let mut text = Self::default();
        text.push(&scalar.value, Origin::whole(scalar));
        text
    }

    /// The text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Adds text with its origin.
    pub fn push(&mut self, text: &str, origin: Origin) {
        if !text.is_empty() {
            self.pieces.push((self.text.len(), origin));
            self.text.push_str(text);
        }
    }

    /// Adds text that belongs to what stands before it.
    pub fn push_glue(&mut self, text: &str) {
        self.text.push_str(text);
    }

    /// Adds another text.
    pub fn append(&mut self, other: &Self) {
        let base = self.text.len();
        self.text.push_str(&other.text);
        self.pieces.extend(other.pieces.iter().map(|(at, origin)| (base + at, origin.clone())));
    }

    /// Adds bytes `start..end` of another text.
    pub fn push_part(&mut self, other: &Self, start: usize, end: usize) {
        let Some(part) = other.text.get(start..end).filter(|part| !part.is_empty()) else { return };
        let base = self.text.len();
        self.pieces.extend(other.origin(start).map(|origin| (base, origin)));
        let within = other.pieces.partition_point(|(at, _)| *at <= start);
        let rest = other.pieces.iter().skip(within).take_while(|(at, _)| *at < end);
        self.pieces.extend(rest.map(|(at, origin)| (base + at - start, origin.clone())));
        self.text.push_str(part);
    }

    /// Drops everything from byte `length` on.
    pub fn truncate(&mut self, length: usize) {
        let keep = self.pieces.partition_point(|(at, _)| *at < length);
        self.pieces.truncate(keep);
        self.text.truncate(length);
    }

    /// Without white space at both ends.
    #[must_use]
    pub fn trimmed(mut self) -> Self {
        let blank = |c: char| matches!(c, ' ' | '\t' | '\n' | '\r' | '\x0b' | '\x0c');
        let end = self.text.trim_end_matches(blank).len();
        self.replace(end, self.text.len(), "", &[]);
        let start = self.text.len() - self.text.trim_start_matches(blank).len();
        self.replace(0, start, "", &[]);
        self
    }

    /// The origin of a byte.
    pub fn origin(&self, byte: usize) -> Option<Origin> {
        let after = self.pieces.partition_point(|(at, _)| *at <= byte);
        let (at, origin) = self.pieces.get(after.checked_sub(1)?)?;
        Some(origin.advanced(byte - at))
    }

    /// Replaces bytes `start..end` by `text`, whose pieces count from its own start.
    pub fn replace(&mut self, start: usize, end: usize, text: &str, pieces: &[(usize, Origin)]) {
        let rest = (end < self.text.len()).then(|| self.origin(end)).flatten();
        let keep = self.pieces.partition_point(|(at, _)| *at < start);
        let follow = self.pieces.partition_point(|(at, _)| *at <= end);
        let grown = start + text.len();
        let tail = self.pieces.split_off(follow);
        self.pieces.truncate(keep);
        self.pieces.extend(pieces.iter().map(|(at, origin)| (start + at, origin.clone())));
        self.pieces.extend(rest.map(|origin| (grown, origin)));
        self.pieces.extend(tail.into_iter().map(|(at, origin)| (at - end + grown, origin)));
        self.text.replace_range(start..end, text);
    }

    /// Where bytes `start..end` were written. A range over several pieces gives the span from the first to the last
    /// of its first scalar.
    pub fn place(&self, start: usize, end: usize, sources: &Sources) -> Option<Place> {
        let start = start.min(self.text.len());
        let end = end.clamp(start, self.text.len());
        let origin = self.origin(start)?;
        let after = self.pieces.partition_point(|(at, _)| *at <= start);
        let until = self.pieces.get(after).map_or(self.text.len(), |(at, _)| *at);
        let mut span = origin.span(end.min(until) - start, sources);
        if end > until
            && let Some(last) = self.origin(end - 1)
            && last.scalar.span.file == span.file
            && last.via == origin.via
        {
            span.end = span.end.max(last.span(1, sources).end);
        }
        Some(Place { span, via: origin.via })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a test ends at the first surprise
    use super::*;
    use crate::source::{FileId, RuleFile};

    /// The raw text of the word `needle` of a scalar with this value and raw form.
    fn found<'r>(raw: &'r str, value: &str, style: Style, needle: &str) -> &'r str {
        let scalar = Scalar { value: value.to_owned(), span: FileSpan::new(FileId(0), 0, raw.len()), style };
        let at = value.find(needle).unwrap();
        let (start, end) = scalar.map(raw).original_range(at, at + needle.len());
        &raw[start..end]
    }

    #[test]
    fn words_are_found_in_every_style() {
        assert_eq!(found("aa bb\n    cc\n\n  dd", "aa bb cc\ndd", Style::Plain, "dd"), "dd");
        assert_eq!(found("'it''s a\n  long way'", "it's a long way", Style::Single, "way"), "way");
        assert_eq!(found(r#""a \x41\n \"q\" b""#, "a A\n \"q\" b", Style::Double, "b"), "b");
        assert_eq!(found("\"a\\\n   b c\"", "ab c", Style::Double, "c"), "c");
        assert_eq!(found("aa\n      bb cc\n    dd\n  ", "aa\n  bb cc\ndd\n", Style::Block, "cc"), "cc");
        assert_eq!(found("aa\r\n    bb\r\n\r\n    cc\r\n", "aa bb\ncc\n", Style::Block, "cc"), "cc");
        assert_eq!(found("a \u{e9} b\n   \u{e9}c", "a \u{e9} b \u{e9}c", Style::Plain, "\u{e9}c"), "\u{e9}c");
    }

    #[test]
    fn texts_that_do_not_fit_still_give_a_place() {
        let scalar =
            Scalar { value: "something else".to_owned(), span: FileSpan::new(FileId(0), 0, 5), style: Style::Block };
        let (start, end) = scalar.map("hello").original_range(3, 9);
        assert!(start <= 10 && end >= start);
    }

    #[test]
    fn replacing_keeps_the_places_of_the_rest() {
        let raw = "x in (l) and y";
        let mut sources = Sources::default();
        let file = sources.add(&RuleFile::new("r", format!("{raw}|item")));
        let scalar = |value: &str, start: usize| {
            Arc::new(Scalar {
                value: value.to_owned(),
                span: FileSpan::new(file, start, start + value.len()),
                style: Style::Plain,
            })
        };
        let mut text = LoadedText::from_scalar(&scalar(raw, 0));
        let item = scalar("item", raw.len() + 1);
        text.replace(6, 7, "item", &[(0, Origin::whole(&item))]);
        assert_eq!(text.text(), "x in (item) and y");
        assert_eq!(text.place(6, 10, &sources).unwrap().span, item.span);
        assert_eq!(text.place(16, 17, &sources).unwrap().span, FileSpan::new(file, 13, 14));
        assert_eq!(text.place(10, 11, &sources).unwrap().span, FileSpan::new(file, 7, 8));
        assert_eq!(text.clone().trimmed(), text);
    }
}
