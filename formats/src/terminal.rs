//! Text from captures on its way to a terminal.
//!
//! Captures come from compromised hosts: file names and arguments may hold escape sequences that move the cursor,
//! set the title or answer on the user's behalf, and direction marks that reorder what is read. Everything that
//! could is shown as an escape; what can be seen passes unchanged, in whatever script.

use std::fmt::{self, Display, Formatter, Write as _};
use std::io::{self, Write};

/// Displays bytes so that a terminal, or a line-based file, takes them as text and nothing else.
///
/// Control characters (also the C1 ones and DEL) come out as `\n`, `\t`, `\r` or `\xNN`, invalid UTF-8 as `\xNN` byte
/// by byte, direction, joining and other invisible marks and line separators as `\u{NNNN}`. The backslash itself is
/// left alone: output that users compare with Falco's must not change where nothing is harmful.
#[derive(Clone, Copy, Debug)]
pub struct Safe<'a>(
    /// The bytes to show.
    pub &'a [u8],
);

impl Display for Safe<'_> {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        for chunk in self.0.utf8_chunks() {
            let text = chunk.valid();
            let mut plain = 0;
            for (at, character) in text.char_indices().filter(|(_, character)| is_harmful(*character)) {
                out.write_str(&text[plain..at])?;
                plain = at + character.len_utf8();
                write_escape(out, character)?;
            }
            out.write_str(&text[plain..])?;
            for byte in chunk.invalid() {
                write!(out, "\\x{byte:02x}")?;
            }
        }
        Ok(())
    }
}

fn write_escape(out: &mut Formatter<'_>, character: char) -> fmt::Result {
    match character {
        '\n' => out.write_str("\\n"),
        '\r' => out.write_str("\\r"),
        '\t' => out.write_str("\\t"),
        control if (control as u32) < 0x100 => write!(out, "\\x{:02x}", control as u32),
        mark => write!(out, "\\u{{{:x}}}", mark as u32),
    }
}

/// Whether a character does something instead of being shown.
pub const fn is_harmful(character: char) -> bool {
    matches!(character,
        '\0'..='\x1F' | '\x7F'..='\u{9F}'      // C0, DEL, C1
        | '\u{AD}' | '\u{61C}' | '\u{180E}'    // soft hyphen, direction mark, vowel separator
        | '\u{200B}'..='\u{200F}'              // zero width, direction marks
        | '\u{2028}'..='\u{202E}'              // line separators, direction overrides
        | '\u{2060}'..='\u{206F}'              // invisible operators, isolates
        | '\u{FEFF}' | '\u{FFF9}'..='\u{FFFB}' // byte order mark, annotations
        | '\u{E0000}'..='\u{E007F}') // tags
}

/// Writes bytes as [`Safe`] shows them.
pub fn write_safe(out: &mut dyn Write, bytes: &[u8]) -> io::Result<()> {
    if bytes.iter().all(|byte| (0x20..0x7F).contains(byte)) {
        return out.write_all(bytes);
    }
    write!(out, "{}", Safe(bytes))
}

/// Text that has been formatted already, line by line: keeps the line ends and makes everything between them safe.
pub fn safe_lines(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        let (content, end) = line.strip_suffix('\n').map_or((line, ""), |content| (content, "\n"));
        // Writing to a string cannot fail.
        let _ = write!(safe, "{}{end}", Safe(content.as_bytes()));
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::{Safe, safe_lines, write_safe};

    fn shown(bytes: &[u8]) -> String {
        let mut out = Vec::new();
        write_safe(&mut out, bytes).expect("writing to memory");
        let out = String::from_utf8(out).expect("utf-8");
        assert_eq!(out, Safe(bytes).to_string());
        out
    }

    #[test]
    fn ordinary_text_passes() {
        assert_eq!(shown(b"/bin/ls -la \\d"), "/bin/ls -la \\d");
        assert_eq!(shown("naïve – 日本 Ж".as_bytes()), "naïve – 日本 Ж");
    }

    #[test]
    fn escape_sequences_are_shown() {
        assert_eq!(shown(b"a\x1b]0;title\x07b"), "a\\x1b]0;title\\x07b");
        assert_eq!(shown("x\u{9b}31m".as_bytes()), "x\\x9b31m");
        assert_eq!(shown(b"a\r\n\tb\x7f\0"), "a\\r\\n\\tb\\x7f\\x00");
    }

    #[test]
    fn direction_marks_are_shown() {
        assert_eq!(shown("cod\u{202e}exe.txt".as_bytes()), "cod\\u{202e}exe.txt");
    }

    #[test]
    fn invalid_utf8_is_shown_byte_by_byte() {
        assert_eq!(shown(b"a\xff\xc3(b\xe2\x80"), "a\\xff\\xc3(b\\xe2\\x80");
    }

    #[test]
    fn lines_keep_their_ends() {
        assert_eq!(safe_lines("one\x1b[2J\ntwo\n"), "one\\x1b[2J\ntwo\n");
    }
}
