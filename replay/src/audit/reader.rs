//! Reading an audit log: documents to events, and everything that is none to the ledger.
//!
//! [`Unpacked`] bytes → `Narrow` → `Splitter` → [`AuditEvent`]s in the order of the log. Nothing in a log stops the reading; what
//! is passed over is counted, and the first lines concerned are remembered for the notes of the run.

use std::collections::VecDeque;
use std::hash::BuildHasher as _;
use std::io::{self, BufReader, Read};
use std::path::Path;

use casebook_formats::capture::Upstream;
use casebook_formats::ledger::{Counter, Ledger};
use casebook_formats::unpack::Unpacked;
use foldhash::HashSet;
use foldhash::quality::FixedState;

use super::event::{AuditEvent, NoEvent};
use super::json::Json;
use super::narrow::Narrow;
use super::split::{Found, Splitter};

/// Bytes read at a time.
const BUFFER: usize = 64 << 10;
/// Lines remembered of each kind of trouble.
const LINES: usize = 10;
/// Events within which a repeated one is noticed.
const REMEMBERED: usize = 1 << 16;
/// Bytes of an input that are looked at to see what it is; more than the longest block of a zstd frame.
const HEAD: usize = 256 << 10;
/// Blanks in front of a document that are passed over to see what an input is: a few packed bytes can be gigabytes of them.
const BLANKS: u64 = 4096;

/// Lines on which something was wrong.
struct Trouble {
    /// What.
    counter: Counter,
    /// The first lines on which it happened, from 1.
    lines: Vec<u64>,
    /// How often it happened.
    count: u64,
}

/// An audit log being read.
pub struct AuditReader {
    name: String,
    documents: Splitter<BufReader<Narrow>>,
    ledger: Ledger,
    troubles: Vec<Trouble>,
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
            documents: Splitter::new(BufReader::with_capacity(BUFFER, Narrow::new(input))),
            ledger: Ledger::default(),
            troubles: Vec::new(),
            seen: Seen::default(),
        }
    }

    /// The next event; `None` at the end.
    ///
    /// # Errors
    /// When the operating system refuses to read on.
    pub fn next_event(&mut self) -> io::Result<Option<AuditEvent>> {
        loop {
            let found = self.documents.next()?;
            let (line, item) = match found {
                None => return Ok(None),
                Some(Found::Document { line, item }) => (line, item),
                Some(Found::Broken { line }) => {
                    self.trouble(Counter::BrokenAuditDocuments, line);
                    continue;
                }
                Some(Found::Foreign { line }) => {
                    self.trouble(Counter::ForeignDocuments, line);
                    continue;
                }
                Some(Found::Oversized { line }) => {
                    self.trouble(Counter::OversizedAuditEvents, line);
                    continue;
                }
            };
            let Some(json) = Json::parse(self.documents.text()) else {
                self.trouble(Counter::BrokenAuditDocuments, line);
                continue;
            };
            match AuditEvent::from_log(json, item) {
                Ok(event) => {
                    if event.is_mistyped() {
                        self.trouble(Counter::MistypedAuditEvents, line);
                    }
                    if event.json.get("auditID").is_none() {
                        self.trouble(Counter::UnidentifiedAuditEvents, line);
                    }
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

    /// What was passed over or repeated so far, and where.
    pub fn found(&self) -> Upstream {
        let mut ledger = self.ledger.clone();
        ledger.merge(self.documents.input().get_ref().input().ledger());
        let note = |trouble: &Trouble| {
            let lines: Vec<String> = trouble.lines.iter().map(u64::to_string).collect();
            let more = if trouble.count > lines.len() as u64 { ", …" } else { "" };
            let what = trouble.counter.def().name;
            format!("note: {}: {what} {} (line {}{more})", self.name, trouble.count, lines.join(", "))
        };
        Upstream { ledger, notes: self.troubles.iter().map(note).collect() }
    }
}

/// Events seen lately. Each stage of a request is an event with the same id; the same stage twice is a repetition.
/// Hashes stand for ids, which can be as long as whoever wrote the log likes; what two that agree would spoil is a count.
#[derive(Default)]
struct Seen {
    known: HashSet<u64>,
    order: VecDeque<u64>,
}

impl Seen {
    fn again(&mut self, event: &AuditEvent) -> bool {
        let member = |name| event.json.get(name).and_then(Json::str);
        let Some(id) = member("auditID") else { return false };
        let key = FixedState::default().hash_one((id, member("stage")));
        if self.known.contains(&key) {
            return true;
        }
        if self.order.len() == REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
        self.order.push_back(key);
        self.known.insert(key);
        false
    }
}

/// Whether an input that begins with these bytes, packed as they are, is JSON: captures begin with a binary block.
/// `None` when more of them are needed.
pub fn is_json(head: &[u8]) -> Option<bool> {
    let mut unpacked = Unpacked::from_reader(Box::new(io::Cursor::new(head.to_vec()))).ok()?.take(BLANKS);
    let mut byte = [0];
    loop {
        if unpacked.read(&mut byte).ok()? == 0 {
            return if unpacked.limit() == 0 { Some(false) } else { None };
        }
        match byte[0] {
            // Blanks, marks of UTF-8 and UTF-16, and the zeros that the latter and cut logs have.
            b' ' | b'\t' | b'\r' | b'\n' | 0xEF | 0xBB | 0xBF | 0xFE | 0xFF | 0 => {}
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
    // Nearly always the first byte tells, and unpacking much to get at it costs more than a small capture's replay.
    let mut wanted = 512;
    while head.len() < HEAD {
        match input.read(&mut chunk[..wanted]) {
            Ok(0) => break,
            Ok(n) => head.extend_from_slice(&chunk[..n]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        }
        if let Some(answer) = is_json(&head) {
            return Ok((head, answer));
        }
        wanted = chunk.len();
    }
    Ok((head, false))
}

#[cfg(test)]
mod tests {
    // Logs in memory: what cannot be read is the failure that these tests look for.
    #![allow(clippy::unwrap_used)]

    use super::*;

    const TIME: &str = r#""stageTimestamp":"2025-03-01T10:00:00.5Z""#;

    fn read(text: &str) -> (u64, Upstream) {
        let mut reader = AuditReader::from_reader(Box::new(io::Cursor::new(text.as_bytes().to_vec())), "log").unwrap();
        let mut events = 0;
        while reader.next_event().unwrap().is_some() {
            events += 1;
        }
        (events, reader.found())
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
        let (events, found) = read(&lines.join("\n"));
        assert_eq!(events, 4);
        for (counter, n) in [
            (Counter::BrokenAuditDocuments, 3),
            (Counter::OversizedAuditEvents, 1),
            (Counter::ForeignDocuments, 1),
            (Counter::UntimedAuditEvents, 1),
            (Counter::RepeatedAuditEvents, 1),
        ] {
            assert_eq!(found.ledger.get(counter), n, "{counter:?}");
        }
        let wanted = [
            "note: log: broken_audit_documents 3 (line 2, 4, 5)",
            "note: log: oversized_audit_events 1 (line 6)",
            "note: log: foreign_documents 1 (line 7)",
            "note: log: untimed_audit_events 1 (line 8)",
            "note: log: repeated_audit_events 1 (line 9)",
        ];
        assert_eq!(found.notes, wanted);
        let (_, many) = read(&"x\n".repeat(100));
        assert_eq!(many.notes, ["note: log: broken_audit_documents 100 (line 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, …)"]);
    }

    #[test]
    fn logs_are_told_from_captures() {
        for (head, answer) in [
            (&b"{\"kind\""[..], Some(true)),
            (b" \n[{", Some(true)),
            (b"\x0a\x0d\x0d\x0a\x1c\x00\x00\x00", Some(false)),
            (b"kind: Event", Some(false)),
            (b"\xFF\xFE{\0", Some(true)),
            (b"\xFE\xFF\0[", Some(true)),
            (b"\0\0\0{", Some(true)),
            (b"\n \n", None),
            (&[b' '; 5000], Some(false)),
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
