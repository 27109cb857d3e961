//! What an input looks like that is no capture: so that an error can say what was given by mistake.

/// Bytes that [`describe`] wants to see.
pub(crate) const ENOUGH: usize = 512;

/// Signatures of things that people mistake for captures.
const SIGNATURES: &[(&[u8], &str)] = &[
    (b"\x7FELF", "an ELF executable"),
    (b"\xD4\xC3\xB2\xA1", "a pcap file of network packets"),
    (b"\xA1\xB2\xC3\xD4", "a pcap file of network packets"),
    (b"\x4D\x3C\xB2\xA1", "a pcap file of network packets"),
    (b"\xA1\xB2\x3C\x4D", "a pcap file of network packets"),
    (b"\xFD7zXZ\0", "an xz archive"),
    (b"BZh", "a bzip2 archive"),
    (b"\x04\x22\x4D\x18", "an lz4 archive"),
    (b"PK\x03\x04", "a zip archive"),
    (b"7z\xBC\xAF\x27\x1C", "a 7z archive"),
    (b"\x1F\x8B", "a gzip stream inside a compressed one"),
    (b"\x28\xB5\x2F\xFD", "a zstd stream inside a compressed one"),
    (b"SQLite format 3", "an SQLite database"),
    (b"PAR1", "a Parquet file"),
    (b"LPKSHHRH", "a systemd journal"),
    (b"%PDF", "a PDF document"),
];

/// Names what `head`, the first bytes of an input, looks like.
pub(crate) fn describe(head: &[u8]) -> String {
    if head.is_empty() {
        return "a compressed stream that ends before its first byte".to_owned();
    }
    if let Some((_, what)) = SIGNATURES.iter().find(|(signature, _)| head.starts_with(signature)) {
        return (*what).to_owned();
    }
    if head.get(257..262) == Some(b"ustar") {
        return "a tar archive".to_owned();
    }
    if head.iter().all(|&byte| byte == 0) {
        return "zero bytes".to_owned();
    }
    let text = match std::str::from_utf8(head) {
        Ok(text) => text,
        // A character may be cut at the end of what we see.
        Err(error) if error.error_len().is_none() => std::str::from_utf8(&head[..error.valid_up_to()]).unwrap_or(""),
        Err(_) => "",
    };
    let is_text = !text.is_empty() && text.chars().all(|c| !c.is_control() || matches!(c, '\n' | '\r' | '\t'));
    if is_text {
        let start = text.trim_start_matches('\u{FEFF}').trim_start();
        return if start.starts_with(['{', '[']) {
            "JSON".to_owned()
        } else if start.starts_with("#!") {
            "a script".to_owned()
        } else if start.starts_with('<') {
            "XML or HTML".to_owned()
        } else {
            "text".to_owned()
        };
    }
    let bytes: Vec<String> = head.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    format!("unknown data ({})", bytes.join(" "))
}
