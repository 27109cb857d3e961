//! Tokens: words, names, numbers, quoted and bare texts.

use super::{Parse, Parser, Stop};
use crate::ast::{Constant, Span};

/// Tokens.
impl Parser<'_> {
    pub(super) fn at(&self, ahead: usize) -> Option<u8> {
        self.bytes.get(self.pos + ahead).copied()
    }

    pub(super) fn looking_at(&self, token: &[u8]) -> bool {
        self.bytes[self.pos..].starts_with(token)
    }

    pub(super) fn eat(&mut self, token: &[u8]) -> bool {
        let here = self.looking_at(token);
        if here {
            self.pos += token.len();
        }
        here
    }

    pub(super) fn blank(&mut self) -> bool {
        let start = self.pos;
        while self.at(0).is_some_and(is_blank) {
            self.pos += 1;
        }
        self.pos > start
    }

    /// End of the word (`letter { letter | digit | "_" }`) that begins at `from`.
    pub(super) fn word_end(&self, from: usize) -> Option<usize> {
        if !self.bytes.get(from)?.is_ascii_alphabetic() {
            return None;
        }
        let rest = &self.bytes[from..];
        Some(from + rest.iter().position(|b| !b.is_ascii_alphanumeric() && *b != b'_').unwrap_or(rest.len()))
    }

    pub(super) fn word(&mut self) -> Option<String> {
        let end = self.word_end(self.pos)?;
        Some(self.take(end).to_owned())
    }

    /// `name = word "." word { "." word }`.
    pub(super) fn dotted_name(&mut self) -> Option<String> {
        let mut end = self.word_end(self.pos)?;
        let mut parts = 1;
        while self.bytes.get(end) == Some(&b'.')
            && let Some(next) = self.word_end(end + 1)
        {
            end = next;
            parts += 1;
        }
        (parts > 1).then(|| self.take(end).to_owned())
    }

    /// The text up to `end`, which is moved over. Ends are only ever set at ASCII bytes, so they cut no character.
    pub(super) fn take(&mut self, end: usize) -> &str {
        let start = std::mem::replace(&mut self.pos, end);
        self.text.get(start..end).unwrap_or_default()
    }

    /// `number`: `0x` and hex digits, or a decimal with optional sign, fraction and signed exponent.
    pub(super) fn number(&mut self) -> Option<Constant> {
        let rest = &self.bytes[self.pos..];
        let digits = |from: usize| rest[from..].iter().take_while(|b| b.is_ascii_digit()).count();
        let mut end = 0;
        if rest.first() == Some(&b'0') && matches!(rest.get(1), Some(b'x' | b'X')) {
            let hex = rest[2..].iter().take_while(|b| b.is_ascii_hexdigit()).count();
            if hex > 0 {
                end = 2 + hex;
            }
        }
        if end == 0 {
            let sign = usize::from(matches!(rest.first(), Some(b'+' | b'-')));
            let whole = digits(sign);
            if whole == 0 {
                return None;
            }
            end = sign + whole;
            if rest.get(end) == Some(&b'.') {
                end += 1 + digits(end + 1);
            }
            if matches!(rest.get(end), Some(b'e' | b'E')) && matches!(rest.get(end + 1), Some(b'+' | b'-')) {
                let exponent = digits(end + 2);
                if exponent > 0 {
                    end += 2 + exponent;
                }
            }
        }
        let span = Span::new(self.pos, self.pos + end);
        let bytes = self.take(self.pos + end).as_bytes().to_vec();
        Some(Constant { span, bytes, quoted: false })
    }

    /// `quoted | baretext`.
    pub(super) fn constant(&mut self) -> Parse<Option<Constant>> {
        Ok(match self.quoted()? {
            Some(constant) => Some(constant),
            None => self.bare(is_bare_text),
        })
    }

    pub(super) fn bare(&mut self, allowed: fn(u8) -> bool) -> Option<Constant> {
        let rest = &self.bytes[self.pos..];
        let len = rest.iter().position(|b| !allowed(*b)).unwrap_or(rest.len());
        if len == 0 {
            return None;
        }
        let bytes = rest[..len].to_vec();
        let span = Span::new(self.pos, self.pos + len);
        self.pos += len;
        Some(Constant { span, bytes, quoted: false })
    }

    /// `quoted`: up to the next quote of the same kind without a backslash before it. The backslash counts even
    /// when it is escaped itself, so a text cannot end in one.
    pub(super) fn quoted(&mut self) -> Parse<Option<Constant>> {
        let start = self.pos;
        let Some(quote @ (b'"' | b'\'')) = self.at(0) else { return Ok(None) };
        let body = &self.bytes[start + 1..];
        let Some(len) = (0..body.len()).find(|&i| body[i] == quote && (i == 0 || body[i - 1] != b'\\')) else {
            return Ok(None);
        };
        self.pos = start + len + 2;
        let bytes = self.unescape(&body[..len], start + 1, quote)?;
        Ok(Some(Constant { span: Span::new(start, self.pos), bytes, quoted: true }))
    }

    pub(super) fn unescape(&self, body: &[u8], offset: usize, quote: u8) -> Parse<Vec<u8>> {
        let mut bytes = Vec::with_capacity(body.len());
        let mut i = 0;
        while i < body.len() {
            if body[i] != b'\\' {
                bytes.push(body[i]);
                i += 1;
                continue;
            }
            let (byte, len) = match body.get(i + 1) {
                // A backslash before a blank gives a backslash and takes the blank with it: old rules rely on it.
                Some(b'\\' | b' ') => (b'\\', 2),
                Some(&other) if other == quote => (quote, 2),
                Some(b'/') => (b'/', 2),
                Some(b'b') => (0x08, 2),
                Some(b'f') => (0x0c, 2),
                Some(b'n') => (b'\n', 2),
                Some(b'r') => (b'\r', 2),
                Some(b't') => (b'\t', 2),
                Some(b'x') => match (hex_digit(body.get(i + 2)), hex_digit(body.get(i + 3))) {
                    (Some(high), Some(low)) => (high << 4 | low, 4),
                    _ => return Err(Stop(self.bad_escape(offset + i, 2, "`\\x` needs two hexadecimal digits"))),
                },
                Some(b'"' | b'\'') => {
                    return Err(Stop(self.bad_escape(offset + i, 2, "only the quote in use can be escaped")));
                }
                _ => return Err(Stop(self.bad_escape(offset + i, 2, "write `\\\\` for a backslash"))),
            };
            bytes.push(byte);
            i += len;
        }
        Ok(bytes)
    }
}

/// The blanks between tokens. Backspace is one of them, form feed is not.
pub(super) fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | 0x08 | b'\r' | b'\n')
}

/// White space inside tokens: what ends a bare text and what may follow `not`. Form feed is, backspace is not.
pub(super) fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | 0x0b | 0x0c | b'\r')
}

pub(super) fn is_bare_text(byte: u8) -> bool {
    !is_space(byte) && !matches!(byte, b'(' | b')' | b'"' | b'\'' | b'=' | b',')
}

pub(super) fn is_argument_text(byte: u8) -> bool {
    !is_space(byte) && !matches!(byte, b'[' | b']' | b'"' | b'\'')
}

pub(super) fn hex_digit(byte: Option<&u8>) -> Option<u8> {
    char::from(*byte?).to_digit(16).map(|digit| digit as u8)
}
