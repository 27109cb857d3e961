//! DNS messages in the bytes of a capture: questions, and what was answered.
//!
//! Payloads are cut at the snap length of the recorder and come from anybody: whatever does not parse ends the message,
//! and what was found before it stays.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Records of one message that are looked at.
const MAX_RECORDS: usize = 64;
/// Longest name, as the protocol has it.
const MAX_NAME: usize = 255;
/// Jumps within one name; more make a loop.
const MAX_JUMPS: usize = 16;
const HEADER: usize = 12;

/// A question or an answer record.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Record {
    /// Name, without the final dot; bytes that are no letters are as they came, dots within labels as `\.`.
    pub(super) name: Vec<u8>,
    /// Type as people write it.
    pub(super) kind: String,
    /// What was answered; `None` in a question.
    pub(super) answer: Option<String>,
    /// The address answered.
    pub(super) address: Option<IpAddr>,
}

/// What a message says: its questions, when it is a question or an error, else its answers.
pub(super) fn records(message: &[u8]) -> Vec<Record> {
    read(message).unwrap_or_default()
}

fn read(message: &[u8]) -> Option<Vec<Record>> {
    let word = |at: usize| Some(u16::from_be_bytes(*message.get(at..)?.first_chunk()?));
    let flags = word(2)?;
    let (questions, answers) = (usize::from(word(4)?), usize::from(word(6)?));
    let is_answer = flags & 0x8000 != 0;
    let opcode = flags >> 11 & 0xf;
    // Something else that goes through port 53.
    if opcode != 0 || questions == 0 || questions > MAX_RECORDS {
        return None;
    }
    let error = match flags & 0xf {
        0 => None,
        3 => Some("NXDOMAIN".to_owned()),
        2 => Some("SERVFAIL".to_owned()),
        5 => Some("REFUSED".to_owned()),
        code => Some(format!("RCODE{code}")),
    };
    let mut found = Vec::new();
    let mut at = HEADER;
    for _ in 0..questions {
        let Some((name, next)) = name(message, at) else { return Some(found) };
        let Some(kind) = word(next) else { return Some(found) };
        at = next + 4;
        if !is_answer || error.is_some() {
            found.push(Record {
                name,
                kind: kind_name(kind),
                answer: error.clone().filter(|_| is_answer),
                address: None,
            });
        }
    }
    if !is_answer || error.is_some() {
        return Some(found);
    }
    for _ in 0..answers.min(MAX_RECORDS) {
        let Some((record, next)) = answer(message, at) else { break };
        found.push(record);
        at = next;
    }
    Some(found)
}

/// One answer record, and where the next one begins.
fn answer(message: &[u8], at: usize) -> Option<(Record, usize)> {
    let (owner, at) = name(message, at)?;
    let fixed: &[u8; 10] = message.get(at..)?.first_chunk()?;
    let kind = u16::from_be_bytes([fixed[0], fixed[1]]);
    let length = usize::from(u16::from_be_bytes([fixed[8], fixed[9]]));
    let start = at + 10;
    let data = message.get(start..start + length)?;
    let address = match (kind, data.len()) {
        (1, 4) => data.first_chunk::<4>().map(|bytes| IpAddr::V4(Ipv4Addr::from(*bytes))),
        (28, 16) => data.first_chunk::<16>().map(|bytes| IpAddr::V6(Ipv6Addr::from(*bytes))),
        _ => None,
    };
    let text = match kind {
        _ if address.is_some() => address.map(|address| address.to_string()).unwrap_or_default(),
        // NS, CNAME, PTR: a name, which may point back into the message.
        2 | 5 | 12 => String::from_utf8_lossy(&name(message, start)?.0).into_owned(),
        16 => texts(data),
        _ => hex(data),
    };
    let record = Record { name: owner, kind: kind_name(kind), answer: Some(text), address };
    Some((record, start + length))
}

/// A name at a place of the message, and where what follows it begins.
fn name(message: &[u8], start: usize) -> Option<(Vec<u8>, usize)> {
    let mut name = Vec::new();
    let (mut at, mut end, mut jumps) = (start, None, 0);
    loop {
        let length = usize::from(*message.get(at)?);
        match length {
            0 => return Some((name, end.unwrap_or(at + 1))),
            1..=63 => {
                let label = message.get(at + 1..=at + length)?;
                if name.len() + label.len() > MAX_NAME {
                    return None;
                }
                if !name.is_empty() {
                    name.push(b'.');
                }
                for &byte in label {
                    if byte == b'.' {
                        name.push(b'\\');
                    }
                    name.push(byte.to_ascii_lowercase());
                }
                at += 1 + length;
            }
            192.. => {
                let low = usize::from(*message.get(at + 1)?);
                end = end.or(Some(at + 2));
                jumps += 1;
                if jumps > MAX_JUMPS {
                    return None;
                }
                at = (length & 0x3f) << 8 | low;
            }
            _ => return None,
        }
    }
}

/// The strings of a TXT record, one after the other.
fn texts(mut data: &[u8]) -> String {
    let mut text = Vec::new();
    while let Some((&length, rest)) = data.split_first() {
        let part = rest.get(..usize::from(length)).unwrap_or(rest);
        text.extend_from_slice(part);
        data = rest.get(usize::from(length)..).unwrap_or_default();
    }
    super::words::utf8(&text).into_owned()
}

fn hex(data: &[u8]) -> String {
    let mut text = String::with_capacity(2 * data.len());
    for byte in data {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

fn kind_name(kind: u16) -> String {
    match kind {
        1 => "A",
        2 => "NS",
        5 => "CNAME",
        6 => "SOA",
        12 => "PTR",
        15 => "MX",
        16 => "TXT",
        28 => "AAAA",
        33 => "SRV",
        35 => "NAPTR",
        41 => "OPT",
        64 => "SVCB",
        65 => "HTTPS",
        252 => "AXFR",
        255 => "ANY",
        _ => return format!("TYPE{kind}"),
    }
    .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An answer: `web.example` has an alias and an address.
    fn message() -> Vec<u8> {
        let mut bytes = vec![0x12, 0x34, 0x81, 0x80, 0, 1, 0, 2, 0, 0, 0, 0];
        bytes.extend(b"\x03Web\x07example\0\0\x01\0\x01");
        bytes.extend(b"\xc0\x0c\0\x05\0\x01\0\0\0\x3c\0\x06\x03cdn\xc0\x10");
        bytes.extend(b"\xc0\x29\0\x01\0\x01\0\0\0\x3c\0\x04\x5d\xb8\xd8\x22");
        bytes
    }

    #[test]
    fn answers_are_read_through_pointers() {
        let found = records(&message());
        let told: Vec<(&[u8], &str, Option<&str>)> =
            found.iter().map(|record| (&record.name[..], &*record.kind, record.answer.as_deref())).collect();
        let expected: [(&[u8], &str, Option<&str>); 2] =
            [(b"web.example", "CNAME", Some("cdn.example")), (b"cdn.example", "A", Some("93.184.216.34"))];
        assert_eq!(told, expected);
    }

    #[test]
    fn cut_and_broken_messages_give_what_they_hold() {
        let whole = message();
        for end in 0..whole.len() {
            assert!(records(&whole[..end]).len() <= 2);
        }
        // A name that points at itself.
        let mut loops = vec![0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        loops.extend(b"\xc0\x0c\0\x01\0\x01");
        assert_eq!(records(&loops), []);
    }

    #[test]
    fn questions_and_errors_tell_what_was_asked() {
        let mut asked = message();
        asked[2] = 1;
        assert_eq!(records(&asked)[0].answer, None);
        asked[2] = 0x81;
        asked[3] = 0x83;
        assert_eq!(records(&asked)[0].answer.as_deref(), Some("NXDOMAIN"));
    }
}
