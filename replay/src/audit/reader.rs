//! Reading an audit log: documents to events, and everything that is none to the ledger.
//!
//! [`Unpacked`] bytes → [`Splitter`] → [`AuditEvent`]s in the order of the log. Nothing in a log stops the reading; what
//! is passed over is counted, and the first lines concerned are remembered for the notes of the run.

use std::collections::VecDeque;
use std::io::{self, BufReader, Read};
use std::path::Path;

use casebook_formats::ledger::{Counter, Ledger};
use casebook_formats::unpack::Unpacked;
use foldhash::HashSet;

use super::event::{AuditEvent, NoEvent};
use super::json::Json;
use super::split::{Found, Splitter};

/// Bytes read at a time.
const BUFFER: usize = 64 << 10;
/// Lines remembered of each kind of trouble.
const LINES: usize = 10;
/// Events within which a repeated one is noticed.
const REMEMBERED: usize = 1 << 16;
/// Bytes of an input that are looked at to see what it is; more than the longest block of a zstd frame.
const HEAD: usize = 256 << 10;

/// Lines on which something was wrong.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Trouble {
    /// What.
    pub counter: Counter,
    /// The first lines on which it happened, from 1.
    pub lines: Vec<u64>,
    /// How often it happened.
    pub count: u64,
}

/// An audit log being read.
pub struct AuditReader {
    name: String,
    documents: Splitter<BufReader<Unpacked>>,
    ledger: Ledger,
    troubles: Vec<Trouble>,
    events: u64,
    seen: Seen,
}

impl AuditReader {
    /// Opens a log; `-` is standard input. Messages call it by its path.
    ///
    /// # Errors
    /// What the operating system says, with the name in front.
    pub fn open(path: &Path) -> Result<Self, String> {
        let name = path.display().to_string();
        Unpacked::open(path).map(|input| Self::new(input, &name)).map_err(|error| format!("{name}: {error}"))
    }

    /// Wraps any reader.
    ///
    /// # Errors
    /// What the reader says, with the name in front.
    pub fn from_reader(inner: Box<dyn Read + Send>, name: &str) -> Result<Self, String> {
        Unpacked::from_reader(inner).map(|input| Self::new(input, name)).map_err(|error| format!("{name}: {error}"))
    }

    fn new(input: Unpacked, name: &str) -> Self {
        Self {
            name: name.to_owned(),
            documents: Splitter::new(BufReader::with_capacity(BUFFER, input)),
            ledger: Ledger::default(),
            troubles: Vec::new(),
            events: 0,
            seen: Seen::default(),
        }
    }

    /// The next event; `None` at the end.
    ///
    /// # Errors
    /// When the operating system refuses to read on, with the name and the place.
    pub fn next_event(&mut self) -> Result<Option<AuditEvent>, String> {
        loop {
            let found = self.documents.next().map_err(|error| self.failure(&error))?;
            let (line, item) = match found {
                None => return Ok(None),
                Some(Found::Document { line, item }) => (line, item),
                Some(Found::Broken { line }) => {
                    self.trouble(Counter::BrokenAuditDocuments, line);
                    continue;
                }
                Some(Found::Oversized { line }) => {
                    self.trouble(Counter::OversizedAuditEvents, line);
                    continue;
                }
            };
            let Ok(json) = Json::parse(self.documents.text()) else {
                self.trouble(Counter::BrokenAuditDocuments, line);
                continue;
            };
            match AuditEvent::from_log(json, item, self.events + 1) {
                Ok(event) => {
                    self.events += 1;
                    if self.seen.again(&event) {
                        self.trouble(Counter::RepeatedAuditEvents, line);
                    }
                    return Ok(Some(event));
                }
                Err(NoEvent::Foreign) => self.trouble(Counter::ForeignDocuments, line),
                Err(NoEvent::Untimed) => self.trouble(Counter::UntimedAuditEvents, line),
                Err(NoEvent::Oversized) => self.trouble(Counter::OversizedAuditEvents, line),
            }
        }
    }

    fn failure(&self, error: &io::Error) -> String {
        format!("{}: {error} (at byte {} of the input)", self.name, self.bytes_read())
    }

    fn trouble(&mut self, counter: Counter, line: u64) {
        self.ledger.count(counter);
        let at = self.troubles.iter().position(|trouble| trouble.counter == counter).unwrap_or_else(|| {
            self.troubles.push(Trouble { counter, lines: Vec::new(), count: 0 });
            self.troubles.len() - 1
        });
        let trouble = &mut self.troubles[at];
        trouble.count += 1;
        if trouble.lines.len() < LINES {
            trouble.lines.push(line);
        }
    }

    /// Bytes of the input taken so far, compressed as they are.
    pub fn bytes_read(&self) -> u64 {
        self.documents.input().get_ref().bytes_read()
    }

    /// Anomalies so far.
    pub fn ledger(&self) -> Ledger {
        let mut ledger = self.ledger.clone();
        ledger.merge(self.documents.input().get_ref().ledger());
        ledger
    }

    /// What was passed over or repeated, and where.
    pub fn troubles(&self) -> &[Trouble] {
        &self.troubles
    }
}

/// Events seen lately. Each stage of a request is an event with the same id; the same stage twice is a repetition.
#[derive(Default)]
struct Seen {
    known: HashSet<Box<str>>,
    order: VecDeque<Box<str>>,
}

impl Seen {
    fn again(&mut self, event: &AuditEvent) -> bool {
        let member = |name| event.json.get(name).and_then(Json::str);
        let Some(id) = member("auditID") else { return false };
        let key: Box<str> = format!("{id} {}", member("stage").unwrap_or_default()).into();
        if self.known.contains(&key) {
            return true;
        }
        if self.order.len() == REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
        self.order.push_back(key.clone());
        self.known.insert(key);
        false
    }
}

/// Whether an input that begins with these bytes, packed as they are, is JSON: captures begin with a binary block.
/// `None` when more of them are needed.
pub fn is_json(head: &[u8]) -> Option<bool> {
    let mut unpacked = Unpacked::from_reader(Box::new(io::Cursor::new(head.to_vec()))).ok()?;
    let mut byte = [0];
    loop {
        if unpacked.read(&mut byte).ok()? == 0 {
            return None;
        }
        match byte[0] {
            b' ' | b'\t' | b'\r' | b'\n' | 0xEF | 0xBB | 0xBF => {}
            b'{' | b'[' => return Some(true),
            // `\n\r\r\n` begins a capture, which the blanks above have passed over: nothing else does.
            _ => return Some(false),
        }
    }
}

/// Reads the beginning of an input, as far as it takes to see whether it is JSON. Gives the bytes read and the answer.
///
/// # Errors
/// What the reader says.
pub fn look_into(input: &mut dyn Read) -> io::Result<(Vec<u8>, bool)> {
    let mut head = Vec::new();
    let mut chunk = vec![0; 8 << 10];
    while head.len() < HEAD {
        match input.read(&mut chunk) {
            Ok(0) => break,
            Ok(n) => head.extend_from_slice(&chunk[..n]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        }
        if let Some(answer) = is_json(&head) {
            return Ok((head, answer));
        }
    }
    Ok((head, false))
}

#[cfg(test)]
mod tests {
    // Logs in memory: what cannot be read is the failure that these tests look for.
    #![allow(clippy::unwrap_used)]

    use super::*;

    const TIME: &str = r#""stageTimestamp":"2025-03-01T10:00:00.5Z""#;

    fn read(text: &str) -> (Vec<u64>, Ledger, Vec<Trouble>) {
        let mut reader = AuditReader::from_reader(Box::new(io::Cursor::new(text.as_bytes().to_vec())), "log").unwrap();
        let mut nums = Vec::new();
        while let Some(event) = reader.next_event().unwrap() {
            nums.push(event.num);
        }
        (nums, reader.ledger(), reader.troubles().to_vec())
    }

    #[test]
    fn trouble_is_counted_with_its_lines_and_stops_nothing() {
        let good = |id: u32| format!(r#"{{"kind":"Event","auditID":"{id}","stage":"ResponseComplete",{TIME}}}"#);
        let deep = format!(r#"{{"kind":"Event","x":{}1{}}}"#, "[".repeat(500), "]".repeat(500));
        let long = format!(r#"{{"kind":"Event",{TIME},"x":"{}"}}"#, "y".repeat(10 << 20));
        let lines = [
            good(1),
            "{\"kind\":\"Event\",".to_owned(),
            good(2),
            "not json".to_owned(),
            deep,
            long,
            "{\"kind\":\"Pod\"}".to_owned(),
            "{\"kind\":\"Event\"}".to_owned(),
            good(2),
            good(3),
        ];
        let (nums, ledger, troubles) = read(&lines.join("\n"));
        assert_eq!(nums, [1, 2, 3, 4], "numbers are those of events, not of lines");
        for (counter, wanted) in [
            (Counter::BrokenAuditDocuments, &[2, 4, 5][..]),
            (Counter::OversizedAuditEvents, &[6]),
            (Counter::ForeignDocuments, &[7]),
            (Counter::UntimedAuditEvents, &[8]),
            (Counter::RepeatedAuditEvents, &[9]),
        ] {
            let trouble = troubles.iter().find(|trouble| trouble.counter == counter).unwrap();
            assert_eq!(trouble.lines, wanted, "{counter:?}");
            assert_eq!(ledger.get(counter), wanted.len() as u64);
        }
    }

    #[test]
    fn logs_are_told_from_captures() {
        for (head, answer) in [
            (&b"{\"kind\""[..], Some(true)),
            (b" \n[{", Some(true)),
            (b"\x0a\x0d\x0d\x0a\x1c\x00\x00\x00", Some(false)),
            (b"kind: Event", Some(false)),
            (b"\n \n", None),
            (b"", None),
        ] {
            assert_eq!(is_json(head), answer, "{head:?}");
        }
        let packed = zstd_of(b"{\"kind\":\"Event\"}");
        assert_eq!(is_json(&packed), Some(true));
        assert_eq!(look_into(&mut &packed[..]).unwrap(), (packed.clone(), true));
    }

    /// A zstd frame with one raw block.
    fn zstd_of(text: &[u8]) -> Vec<u8> {
        let mut frame = vec![0x28, 0xB5, 0x2F, 0xFD, 0x20, text.len() as u8];
        frame.extend_from_slice(&(((text.len() as u32) << 3) | 1).to_le_bytes()[..3]);
        frame.extend_from_slice(text);
        frame
    }
}
