//! A stream of bytes cut into JSON documents, without trusting any of them.
//!
//! Unpacked bytes → [`Splitter`] → texts of single documents with the line on which each begins. Lines, arrays and the
//! `items` of lists are taken apart here, so that memory is bounded by one element, however long the list. Whether a
//! text is JSON is the parser's business: here only strings and brackets are told apart.
//!
//! After something broken, reading resumes at a line that begins a document: JSON has no raw line breaks in strings,
//! and no writer of audit logs puts the `{` of an inner object into the first column.

use std::io::{self, BufRead};

/// Longest document that is kept. Lists are taken apart, so this is about single events: ten times what one may have
/// ([`super::event::MAX_EVENT`]), for those who indent them. A tree takes up to ten times the bytes of its text.
pub(crate) const MAX_DOCUMENT: usize = 4 << 20;

/// What comes next in a stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Found {
    /// A document; its text is in the buffer. `item`: it was an element of the `items` of a list.
    Document {
        /// Line on which it begins, from 1.
        line: u64,
        /// See above.
        item: bool,
    },
    /// Something that is no document, or one that does not end.
    Broken {
        /// Line on which it begins, from 1.
        line: u64,
    },
    /// A value in an array that is no object.
    Foreign {
        /// Line on which it begins, from 1.
        line: u64,
    },
    /// A document longer than [`MAX_DOCUMENT`].
    Oversized {
        /// Line on which it begins, from 1.
        line: u64,
    },
}

/// Where in the stream the next byte stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Place {
    /// Between documents, also between elements of arrays.
    Between,
    /// Inside a document.
    Document,
    /// Inside a number, a word or a string between the elements of an array.
    Scalar,
    /// In what follows the `items` of a list, up to the end of the list's object.
    Envelope,
    /// In the rest of a line that holds something broken.
    Skipping,
}

/// What a byte came to.
enum Outcome {
    /// Nothing yet.
    More,
    /// This ends with the byte.
    Done(Found),
    /// This ended before the byte, which is looked at again.
    Before(Found),
}

/// Cuts a stream into documents.
pub(crate) struct Splitter<R> {
    input: R,
    machine: Machine,
    text: Vec<u8>,
}

impl<R: BufRead> Splitter<R> {
    pub(crate) fn new(input: R) -> Self {
        Self { input, machine: Machine::new(), text: Vec::new() }
    }

    /// The input.
    pub(crate) fn input(&self) -> &R {
        &self.input
    }

    /// The text of the document found last.
    pub(crate) fn text(&self) -> &[u8] {
        &self.text
    }

    /// Finds what comes next; `None` at the end.
    pub(crate) fn next(&mut self) -> io::Result<Option<Found>> {
        if self.machine.place != Place::Document {
            self.text.clear();
        }
        loop {
            let bytes = match self.input.fill_buf() {
                Ok(bytes) => bytes,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            if bytes.is_empty() {
                return Ok(self.machine.end());
            }
            let mut used = 0;
            let mut found = None;
            while let (Some(&byte), None) = (bytes.get(used), found) {
                match self.machine.step(byte, &mut self.text) {
                    Outcome::More => used += 1,
                    Outcome::Done(what) => (used, found) = (used + 1, Some(what)),
                    Outcome::Before(what) => found = Some(what),
                }
            }
            self.input.consume(used);
            if found.is_some() {
                return Ok(found);
            }
        }
    }
}

/// The state between two bytes.
#[allow(clippy::struct_excessive_bools)] // a state machine over bytes: each is a state of its own
struct Machine {
    place: Place,
    /// Elements of `items` come.
    in_items: bool,
    /// Arrays that are open around what comes next.
    arrays: usize,
    line: u64,
    /// The last byte was a line break.
    line_start: bool,
    /// Line on which the document begins.
    begun: u64,
    depth: usize,
    in_string: bool,
    escaped: bool,
    oversized: bool,
    /// Where in the text the last string of the outermost object begins and ends, quotes included.
    key: (usize, usize),
}

impl Machine {
    fn new() -> Self {
        Self {
            place: Place::Between,
            in_items: false,
            arrays: 0,
            line: 1,
            line_start: true,
            begun: 1,
            depth: 0,
            in_string: false,
            escaped: false,
            oversized: false,
            key: (0, 0),
        }
    }

    /// The input is over.
    fn end(&mut self) -> Option<Found> {
        let open = matches!(self.place, Place::Document | Place::Scalar | Place::Envelope) || self.arrays > 0;
        (self.place, self.in_items, self.arrays) = (Place::Between, false, 0);
        open.then_some(Found::Broken { line: self.begun })
    }

    fn step(&mut self, byte: u8, text: &mut Vec<u8>) -> Outcome {
        let first_column = std::mem::replace(&mut self.line_start, byte == b'\n');
        let outcome = match self.place {
            Place::Between => self.between(byte, text),
            Place::Document => self.document(byte, first_column, text),
            Place::Scalar => self.scalar(byte),
            Place::Envelope => self.envelope(byte, first_column),
            Place::Skipping => {
                if byte == b'\n' {
                    self.place = Place::Between;
                }
                Outcome::More
            }
        };
        if let Outcome::Before(_) = outcome {
            // The byte comes once more.
            self.line_start = first_column;
        } else {
            self.line += u64::from(byte == b'\n');
        }
        outcome
    }

    fn between(&mut self, byte: u8, text: &mut Vec<u8>) -> Outcome {
        match byte {
            b'{' => {
                text.clear();
                text.push(byte);
                (self.place, self.begun) = (Place::Document, self.line);
                (self.depth, self.in_string, self.escaped, self.oversized, self.key) = (1, false, false, false, (0, 0));
                Outcome::More
            }
            // Arrays are taken apart wherever they begin and end.
            b'[' => {
                if self.arrays == 0 {
                    self.begun = self.line;
                }
                self.arrays += 1;
                Outcome::More
            }
            b']' => {
                self.arrays = self.arrays.saturating_sub(1);
                if self.in_items && self.arrays == 0 {
                    (self.place, self.in_items, self.depth) = (Place::Envelope, false, 1);
                }
                Outcome::More
            }
            // Zeros are where a log was cut off at its front while somebody went on writing it.
            b',' | b' ' | b'\t' | b'\r' | b'\n' | 0 => Outcome::More,
            // Byte order mark of UTF-8.
            0xEF | 0xBB | 0xBF if self.line == 1 => Outcome::More,
            // Between elements, anything that can begin a value is one, and the next element comes after it.
            b'"' | b'-' | b'0'..=b'9' | b'a'..=b'z' if self.arrays > 0 => {
                (self.place, self.begun, self.in_string, self.escaped) =
                    (Place::Scalar, self.line, byte == b'"', false);
                Outcome::More
            }
            _ => {
                (self.place, self.in_items, self.arrays) = (Place::Skipping, false, 0);
                Outcome::Done(Found::Broken { line: self.line })
            }
        }
    }

    fn scalar(&mut self, byte: u8) -> Outcome {
        let found = Found::Foreign { line: self.begun };
        if byte == b'\n' || (!self.in_string && matches!(byte, b',' | b']' | b' ' | b'\t' | b'\r')) {
            if self.in_string {
                self.recover();
                return Outcome::Before(Found::Broken { line: self.begun });
            }
            self.place = Place::Between;
            return Outcome::Before(found);
        }
        if self.in_string {
            self.nest(byte);
            if !self.in_string {
                self.place = Place::Between;
                return Outcome::Done(found);
            }
        }
        Outcome::More
    }

    fn document(&mut self, byte: u8, first_column: bool, text: &mut Vec<u8>) -> Outcome {
        let torn = self.in_string && byte == b'\n';
        if torn || (first_column && byte == b'{') {
            self.recover();
            let found = Found::Broken { line: self.begun };
            return if torn { Outcome::Done(found) } else { Outcome::Before(found) };
        }
        if self.depth == 1 && byte == b'[' && !self.in_string && !self.in_items && self.is_items(text) {
            text.clear();
            (self.place, self.in_items, self.arrays) = (Place::Between, true, 1);
            return Outcome::More;
        }
        let (was_string, at) = (self.in_string, text.len());
        if text.len() < MAX_DOCUMENT {
            text.push(byte);
        } else {
            self.oversized = true;
        }
        self.nest(byte);
        if self.depth == 1 && byte == b'"' {
            match (was_string, self.in_string) {
                (false, true) => self.key.0 = at,
                (true, false) => self.key.1 = at + 1,
                _ => {}
            }
        }
        if self.depth > 0 {
            return Outcome::More;
        }
        self.place = Place::Between;
        Outcome::Done(if self.oversized {
            Found::Oversized { line: self.begun }
        } else {
            Found::Document { line: self.begun, item: self.in_items }
        })
    }

    /// What follows something broken: how many arrays its end would have closed is not known.
    fn recover(&mut self) {
        (self.place, self.arrays) = (Place::Between, usize::from(self.in_items));
    }

    fn envelope(&mut self, byte: u8, first_column: bool) -> Outcome {
        let torn = self.in_string && byte == b'\n';
        if torn || (first_column && byte == b'{') {
            self.place = Place::Between;
            let found = Found::Broken { line: self.line };
            return if torn { Outcome::Done(found) } else { Outcome::Before(found) };
        }
        self.nest(byte);
        if self.depth == 0 {
            self.place = Place::Between;
        }
        Outcome::More
    }

    /// Follows strings and brackets.
    fn nest(&mut self, byte: u8) {
        if self.in_string {
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' => self.escaped = true,
                b'"' => self.in_string = false,
                _ => {}
            }
            return;
        }
        match byte {
            b'"' => self.in_string = true,
            b'{' | b'[' => self.depth += 1,
            b'}' | b']' => self.depth = self.depth.saturating_sub(1),
            _ => {}
        }
    }

    /// Whether the text ends with the name `items` and its colon.
    fn is_items(&self, text: &[u8]) -> bool {
        let (begin, end) = self.key;
        text.get(begin..end) == Some(b"\"items\"") && text.get(end..).is_some_and(|rest| rest.trim_ascii() == b":")
    }
}

#[cfg(test)]
mod tests {
    // Streams in memory do not fail.
    #![allow(clippy::unwrap_used)]

    use super::*;

    /// What is found in a text, documents with `*` when they are items; through a buffer of three bytes, so that
    /// everything is cut somewhere.
    fn split(text: &str) -> Vec<String> {
        let mut splitter = Splitter::new(io::BufReader::with_capacity(3, text.as_bytes()));
        let mut all = Vec::new();
        while let Some(found) = splitter.next().unwrap() {
            all.push(match found {
                Found::Document { line, item } => {
                    let mark = if item { "*" } else { "" };
                    format!("{line}{mark} {}", String::from_utf8_lossy(splitter.text()))
                }
                Found::Broken { line } => format!("{line} broken"),
                Found::Foreign { line } => format!("{line} foreign"),
                Found::Oversized { line } => format!("{line} oversized"),
            });
        }
        all
    }

    #[test]
    fn lines_arrays_and_lists() {
        assert_eq!(split("{\"a\":1}\n\n{\"b\":\"}\"}\r\n"), ["1 {\"a\":1}", "3 {\"b\":\"}\"}"]);
        assert_eq!(split("[{},\n{\"c\":[{}]}]"), ["1 {}", "2 {\"c\":[{}]}"]);
        assert_eq!(split("[[{}],[]] {}"), ["1 {}", "1 {}"], "arrays of arrays, documents on one line");
        let list = "{\"kind\":\"EventList\", \"items\" : [\n{\"x\":[1]},\n{}\n],\"meta\":{\"a\":\"]}\"}}\n{}";
        assert_eq!(split(list), ["2* {\"x\":[1]}", "3* {}", "5 {}"]);
        assert_eq!(split("\u{feff}{}"), ["1 {}"]);
        assert_eq!(split("\0\0\0{}\n\0{}"), ["1 {}", "2 {}"]);
        assert_eq!(split(""), [""; 0]);
    }

    #[test]
    fn items_deeper_down_and_strings_called_items_are_part_of_a_document() {
        for text in [r#"{"a":{"items":[{}]}}"#, r#"{"a":"items","b":[{}]}"#, r#"{"items":{"a":[1]}}"#] {
            assert_eq!(split(text), [format!("1 {text}")]);
        }
    }

    #[test]
    fn pretty_printed_documents() {
        let text = "{\n  \"a\": {\n    \"b\": 1\n  }\n}\n{}\n";
        assert_eq!(split(text), ["1 {\n  \"a\": {\n    \"b\": 1\n  }\n}", "6 {}"]);
    }

    #[test]
    fn what_is_broken_ends_with_its_line() {
        assert_eq!(split("{\"a\":\n{\"b\":1}\n"), ["1 broken", "2 {\"b\":1}"], "a line that was cut");
        assert_eq!(split("{\"a\":\"x\n{\"b\":1}\n"), ["1 broken", "2 {\"b\":1}"], "cut inside a string");
        assert_eq!(split("garbage {}\n{}\n"), ["1 broken", "2 {}"]);
        assert_eq!(split("{}\n{\"a\""), ["1 {}", "2 broken"], "the end is missing");
        assert_eq!(
            split("{\"items\":[{\"a\":1},\n{\"b\":\n{\"c\":2}]}\n"),
            ["1* {\"a\":1}", "2 broken", "3* {\"c\":2}"]
        );
        assert_eq!(split("{\"items\":[{}"), ["1* {}", "1 broken"], "a list that is cut");
    }

    #[test]
    fn wrong_elements_of_arrays_cost_no_right_ones() {
        assert_eq!(
            split("[{}, 42,\n\"x]\\\"\", null, -1.5e3,{\"a\":[1]} ,true]\n{}"),
            ["1 {}", "1 foreign", "2 foreign", "2 foreign", "2 foreign", "2 {\"a\":[1]}", "2 foreign", "3 {}"]
        );
        let list = "{\"items\":[{},7,[{\"a\":1},[]],\"x\",{}],\"kind\":\"EventList\"}\n{}";
        assert_eq!(split(list), ["1* {}", "1 foreign", "1* {\"a\":1}", "1 foreign", "1* {}", "2 {}"]);
        assert_eq!(split("[\"x\n{}]"), ["1 broken", "2 {}"], "a string that does not end on its line");
        assert_eq!(split("[{},\n{}"), ["1 {}", "2 {}", "2 broken"], "an array that is cut");
        assert_eq!(split("[{}, ?,{}]\n{}"), ["1 {}", "1 broken", "2 {}"], "what can be no value");
        assert_eq!(
            split("[{\"a\":\n{}]\n[{}]"),
            ["1 broken", "2 {}", "3 {}"],
            "a line that was cut, of lines of arrays"
        );
    }

    #[test]
    fn what_is_too_long_is_passed_over() {
        let text = format!("{{\"a\":\"{}\"}}\n{{}}\n", "x".repeat(MAX_DOCUMENT));
        let mut splitter = Splitter::new(text.as_bytes());
        assert_eq!(splitter.next().unwrap(), Some(Found::Oversized { line: 1 }));
        assert_eq!(splitter.next().unwrap(), Some(Found::Document { line: 2, item: false }));
        assert_eq!(splitter.next().unwrap(), None);
        assert!(splitter.text.capacity() <= 2 * MAX_DOCUMENT);
    }
}
