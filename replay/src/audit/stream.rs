//! An audit log as a capture of plugin events.
//!
//! [`AuditReader`] → event blocks → [`CaptureReader`]. What the log's reader finds goes along beside the stream.

use std::io::{self, Read};
use std::sync::{Arc, Mutex, PoisonError};

use casebook_formats::capture::{CaptureReader, FormatError, Upstream};
use casebook_formats::tables::ppme;
use casebook_formats::write::CaptureWriter;

use super::event::{AuditEvent, PLUGIN};
use super::reader::AuditReader;

/// Bytes of a capture, made event by event.
struct Stream {
    log: AuditReader,
    found: Arc<Mutex<Upstream>>,
    begun: bool,
    bytes: Vec<u8>,
    read: usize,
}

/// Reads a log as a capture. `name` appears in errors.
///
/// # Errors
/// When the log cannot be read at all.
pub fn capture(log: AuditReader, name: &str) -> Result<CaptureReader, FormatError> {
    let stream = Stream::new(log);
    let found = Arc::clone(&stream.found);
    let mut reader = CaptureReader::from_reader(Box::new(stream), name)?;
    reader.made_from(found);
    Ok(reader)
}

/// The bytes of that capture.
pub(crate) fn bytes(log: AuditReader) -> impl Read + Send {
    Stream::new(log)
}

impl Stream {
    fn new(log: AuditReader) -> Self {
        Self { log, found: Arc::default(), begun: false, bytes: Vec::new(), read: 0 }
    }

    /// Makes the next block; false at the end.
    fn next(&mut self) -> io::Result<bool> {
        self.bytes.clear();
        self.read = 0;
        let mut writer = CaptureWriter::new(&mut self.bytes);
        if !self.begun {
            self.begun = true;
            return writer.section().map(|()| true).map_err(io::Error::other);
        }
        let event = self.log.next_event();
        self.found.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&self.log.found());
        let Some(AuditEvent { ts, json, .. }) = event? else { return Ok(false) };
        let payload = json.to_string();
        let params: &[&[u8]] = &[&PLUGIN.to_le_bytes(), payload.as_bytes()];
        writer.event(ts, -1, 0, ppme::PPME_PLUGINEVENT_E, params).map_err(io::Error::other)?;
        Ok(true)
    }
}

impl Read for Stream {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        while self.read == self.bytes.len() {
            if !self.next()? {
                return Ok(0);
            }
        }
        let rest = self.bytes.get(self.read..).unwrap_or_default();
        let n = rest.len().min(buf.len());
        if let (Some(to), Some(from)) = (buf.get_mut(..n), rest.get(..n)) {
            to.copy_from_slice(from);
        }
        self.read += n;
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    // Logs in memory: what cannot be read is the failure that this test looks for.
    #![allow(clippy::unwrap_used)]

    use std::io::Cursor;

    use casebook_formats::capture::Item;

    use super::*;

    #[test]
    fn events_of_every_permitted_length_arrive_in_their_order() {
        let event = |length: usize| {
            let long = "y".repeat(length);
            format!(r#"{{"kind":"Event","auditID":"{length}","stageTimestamp":"2025-03-01T10:00:00.5Z","x":"{long}"}}"#)
        };
        // Across the lengths at which blocks and their lengths become larger, and one that is too long.
        let lengths = [0, 65_000, 65_600, 250_000, super::super::event::MAX_EVENT];
        let log = lengths.map(event).join("\n");
        let log = AuditReader::from_reader(Box::new(Cursor::new(log.into_bytes())), "log").unwrap();
        let mut reader = capture(log, "log").unwrap();
        let mut ids = Vec::new();
        while let Some(item) = reader.next_item().unwrap() {
            if let Item::Event(event) = item {
                let event = AuditEvent::from_plugin(&event).unwrap();
                ids.push(event.json.get("auditID").unwrap().text());
            }
        }
        assert_eq!(ids, ["0", "65000", "65600", "250000"]);
        assert_eq!(reader.upstream().notes, ["note: log: oversized_audit_events 1 (line 5)"]);
    }
}
