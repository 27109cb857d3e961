//! Inputs of which nothing can be read: one clear message each, with name, place and expectation.

#![allow(clippy::unwrap_used)] // a failed step fails the test

mod bytes;

use std::io::{self, Read};
use std::path::Path;

use bytes::{block, gzip, shb, shb_with, try_read};
use casebook_formats::capture::{CaptureReader, FormatError};

fn message(input: &[u8]) -> String {
    try_read(input).unwrap_err().to_string()
}

#[test]
fn empty_input() {
    assert_eq!(message(b""), "test: empty input, expected a scap capture");
}

#[test]
fn other_files_are_named() {
    let tar = [vec![b'x'; 257], b"ustar".to_vec(), vec![0; 250]].concat();
    let inputs: [(&[u8], &str); 12] = [
        (b"just some notes\n", "text"),
        ("naïve text \u{e9}".as_bytes(), "text"),
        (b"  {\"kind\":\"Event\"}", "JSON"),
        (b"#!/bin/sh\n", "a script"),
        (b"<html>", "XML or HTML"),
        (b"\x7FELF\x02\x01\x01\0\0\0", "an ELF executable"),
        (b"\xD4\xC3\xB2\xA1\x02\0\x04\0", "a pcap file of network packets"),
        (b"\xFD7zXZ\0\0", "an xz archive"),
        (&tar, "a tar archive"),
        (&[0; 100], "zero bytes"),
        (b"\x01\x02\x03\x04\x05", "unknown data (01 02 03 04)"),
        (&gzip(b"notes\n"), "text"),
    ];
    for (input, what) in inputs {
        let expected =
            format!("test: not a scap capture: {what} at offset 0, expected a section header block (0a 0d 0d 0a)");
        assert_eq!(message(input), expected);
    }
    assert!(message(&gzip(b"x")[..10]).contains("a compressed stream that ends before its first byte"));
}

#[test]
fn network_captures_are_no_scap() {
    let interface = block(1, &[1, 0, 0, 0, 0, 0, 4, 0]);
    let packet = block(6, &[0; 40]);
    assert!(message(&[shb(), interface, packet].concat()).contains("a pcapng file without a single scap block"));
}

#[test]
fn other_byte_order_and_other_versions() {
    let mut foreign = shb();
    foreign[4..8].reverse();
    foreign[8..12].reverse();
    foreign[24..28].reverse();
    assert!(message(&foreign).contains("big-endian"), "{}", message(&foreign));
    let future = shb_with(2, 0, &[]);
    let expected = "test: scap version 2.0 in the section header at offset 0, expected 1.x";
    assert_eq!(message(&future), expected);
    // Also in a later section, with its place.
    assert!(message(&[shb(), future].concat()).contains("offset 28"));
}

#[test]
fn a_capture_without_events_is_fine() {
    assert_eq!(try_read(&shb()).unwrap().items.len(), 1);
}

#[test]
fn files_that_cannot_be_opened() {
    let missing = CaptureReader::open(Path::new("/nonexistent/x.scap")).err().unwrap();
    assert!(missing.to_string().starts_with("/nonexistent/x.scap: "), "{missing}");
    let folder = tempfile::tempdir().unwrap();
    assert!(matches!(CaptureReader::open(folder.path()), Err(FormatError::Io { .. })));
}

#[test]
fn a_failing_disk_is_an_error_and_not_an_end() {
    struct Failing(Vec<u8>);
    impl Read for Failing {
        fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
            if self.0.is_empty() {
                return Err(io::Error::other("the disk is on fire"));
            }
            let len = buf.len().min(self.0.len()).min(10);
            buf[..len].copy_from_slice(&self.0[..len]);
            self.0.drain(..len);
            Ok(len)
        }
    }
    for stream in [shb(), gzip(&shb())[..20].to_vec()] {
        let error = CaptureReader::from_reader(Box::new(Failing(stream)), "disk")
            .and_then(|mut reader| bytes::drain(&mut reader).map(|_| ()))
            .err()
            .unwrap();
        assert!(error.to_string().contains("the disk is on fire"), "{error}");
    }
}

#[test]
fn files_are_read_with_their_size() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    io::Write::write_all(&mut file, &gzip(&shb())).unwrap();
    let mut reader = CaptureReader::open(file.path()).unwrap();
    bytes::drain(&mut reader).unwrap();
    assert_eq!(reader.bytes_total(), Some(reader.bytes_read()));
}
