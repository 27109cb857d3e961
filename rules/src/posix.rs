//! Regular expressions in the POSIX mode of RE2, translated for the `regex` crate.
//!
//! The two syntaxes differ in what they refuse and in small meanings, so the pattern is parsed here and written anew:
//! no classes like `\d`, no `(?...)`, no back references, repetitions may be stacked, `{` that begins no repetition is
//! a plain character, `^` and `$` also match at line breaks, `.` matches no line break while a negated bracket does.
//! A match covers the whole text.

use std::fmt::Write;

use regex::{Regex, RegexBuilder};

/// Largest number in `{n,m}`, and the largest product of nested ones.
const MAX_REPEAT: u32 = 1000;

/// Memory that a compiled pattern may take, RE2's own default.
const MAX_SIZE: usize = 8 << 20;

/// Compiles a pattern.
///
/// # Errors
/// What is wrong with it, one line.
pub(crate) fn compile(pattern: &[u8]) -> Result<Regex, String> {
    let pattern = std::str::from_utf8(pattern).map_err(|_| "the pattern is not UTF-8".to_owned())?;
    let mut translation = Translation { rest: pattern, out: String::from("\\A(?:") };
    translation.alternatives()?;
    if !translation.rest.is_empty() {
        return Err("unmatched `)`".to_owned());
    }
    translation.out.push_str(")\\z");
    RegexBuilder::new(&translation.out).size_limit(MAX_SIZE).build().map_err(|_| "the pattern is too large".to_owned())
}

struct Translation<'p> {
    rest: &'p str,
    out: String,
}

type Step<T> = Result<T, String>;

/// One piece of a pattern in the output: where it begins and the largest product of repetitions in it.
#[derive(Clone, Copy)]
struct Piece {
    start: usize,
    repeats: u32,
}

impl Translation<'_> {
    fn next(&mut self) -> Option<char> {
        let c = self.rest.chars().next()?;
        self.rest = &self.rest[c.len_utf8()..];
        Some(c)
    }

    fn literal(&mut self, c: char) {
        let _ = write!(self.out, "\\x{{{:x}}}", u32::from(c));
    }

    /// Pieces and bars up to a `)` or the end; gives the largest product of repetitions. Groups cannot nest deeper
    /// than a constant is long, which keeps the recursion short.
    fn alternatives(&mut self) -> Step<u32> {
        let mut most = 1;
        let mut last: Option<Piece> = None;
        while let Some(c) = self.rest.chars().next() {
            if c == ')' {
                break;
            }
            let start = self.out.len();
            if c == '{' {
                if let Some((low, high, rest)) = repetition(self.rest) {
                    self.rest = rest;
                    self.repeat(&mut last, low, high)?;
                    most = most.max(last.map_or(1, |piece| piece.repeats));
                    continue;
                }
            } else if matches!(c, '*' | '+' | '?') {
                let Some(piece) = last else { return Err(format!("`{c}` has nothing to repeat")) };
                self.next();
                self.wrap(piece.start);
                self.out.push(c);
                continue;
            }
            self.next();
            let mut repeats = 1;
            match c {
                '|' => {
                    self.out.push('|');
                    last = None;
                    continue;
                }
                '(' => {
                    self.out.push_str("(?:");
                    repeats = self.alternatives()?;
                    if self.next() != Some(')') {
                        return Err("a `(` is never closed".to_owned());
                    }
                    self.out.push(')');
                }
                '.' => self.out.push_str("[^\\n]"),
                '^' => self.out.push_str("(?m:^)"),
                '$' => self.out.push_str("(?m:$)"),
                '[' => self.bracket()?,
                '\\' => {
                    let c = self.escape()?;
                    self.literal(c);
                }
                _ => self.literal(c),
            }
            most = most.max(repeats);
            last = Some(Piece { start, repeats });
        }
        Ok(most)
    }

    /// Puts the output since `start` into a group, so that repetitions can be stacked.
    fn wrap(&mut self, start: usize) {
        self.out.insert_str(start, "(?:");
        self.out.push(')');
    }

    fn repeat(&mut self, last: &mut Option<Piece>, low: u32, high: Option<u32>) -> Step<()> {
        if low > MAX_REPEAT || high.is_some_and(|high| high > MAX_REPEAT || high < low) {
            return Err(format!("a repetition must go upwards and not beyond {MAX_REPEAT}"));
        }
        let Some(piece) = last else { return Err("`{` has nothing to repeat".to_owned()) };
        let times = high.unwrap_or(low).max(1);
        let repeats = piece.repeats.saturating_mul(times);
        if repeats > MAX_REPEAT && times >= 2 {
            return Err(format!("nested repetitions go beyond {MAX_REPEAT}"));
        }
        piece.repeats = repeats;
        let start = piece.start;
        self.wrap(start);
        let _ = match high {
            Some(high) => write!(self.out, "{{{low},{high}}}"),
            None => write!(self.out, "{{{low},}}"),
        };
        Ok(())
    }

    /// A bracket expression after its `[`.
    fn bracket(&mut self) -> Step<()> {
        self.out.push('[');
        if let Some(rest) = self.rest.strip_prefix('^') {
            self.rest = rest;
            self.out.push('^');
        }
        let mut first = true;
        loop {
            match self.rest.chars().next() {
                None => return Err("a `[` is never closed".to_owned()),
                Some(']') if !first => {
                    self.next();
                    self.out.push(']');
                    return Ok(());
                }
                // A hyphen stands for itself only at the edges.
                Some('-') if !first && !self.rest.starts_with("-]") => {
                    return Err("a `-` between ranges needs a backslash".to_owned());
                }
                Some(_) => {}
            }
            first = false;
            if self.class()? {
                continue;
            }
            let low = self.bracket_char()?;
            let high = if self.rest.starts_with('-') && !self.rest.starts_with("-]") && self.rest.len() > 1 {
                self.next();
                self.bracket_char()?
            } else {
                low
            };
            if high < low {
                return Err("a range in brackets runs backwards".to_owned());
            }
            self.literal(low);
            self.out.push('-');
            self.literal(high);
        }
    }

    /// `[:name:]` or `[:^name:]`, if one is here.
    fn class(&mut self) -> Step<bool> {
        let Some(body) = self.rest.strip_prefix("[:") else { return Ok(false) };
        let Some(len) = body.find(":]") else { return Ok(false) };
        let name = &body[..len];
        let plain = name.strip_prefix('^').unwrap_or(name);
        if !CLASSES.contains(&plain) {
            return Err(format!("no character class is called `[:{name}:]`"));
        }
        let _ = write!(self.out, "[:{name}:]");
        self.rest = &body[len + 2..];
        Ok(true)
    }

    fn bracket_char(&mut self) -> Step<char> {
        match self.next() {
            None => Err("a `[` is never closed".to_owned()),
            Some('\\') => self.escape(),
            Some(c) => Ok(c),
        }
    }

    /// What a backslash and the following stand for.
    fn escape(&mut self) -> Step<char> {
        let Some(c) = self.next() else { return Err("a backslash ends the pattern".to_owned()) };
        let octal = |c: char| c.to_digit(8);
        match c {
            'a' => Ok('\x07'),
            'f' => Ok('\x0c'),
            'n' => Ok('\n'),
            'r' => Ok('\r'),
            't' => Ok('\t'),
            'v' => Ok('\x0b'),
            'x' => self.hexadecimal(),
            '1'..='7' if self.rest.chars().next().and_then(octal).is_none() => {
                Err(format!("`\\{c}` is a back reference, which POSIX mode does not know"))
            }
            '0'..='7' => {
                let mut code = c.to_digit(8).unwrap_or(0);
                for _ in 0..2 {
                    let Some(digit) = self.rest.chars().next().and_then(octal) else { break };
                    self.next();
                    code = code * 8 + digit;
                }
                Ok(char::from_u32(code).unwrap_or('\0'))
            }
            _ if c.is_ascii() && !c.is_ascii_alphanumeric() => Ok(c),
            _ => Err(format!("`\\{c}` is not known in POSIX mode; use a bracket class like `[[:digit:]]`")),
        }
    }

    /// `\xHH` or `\x{H...}` after the `x`.
    fn hexadecimal(&mut self) -> Step<char> {
        let wrong = || "`\\x` needs two hexadecimal digits, or some between braces".to_owned();
        let digits = if let Some(body) = self.rest.strip_prefix('{') {
            let len = body.find('}').ok_or_else(wrong)?;
            self.rest = &body[len + 1..];
            &body[..len]
        } else {
            let digits = self.rest.get(..2).ok_or_else(wrong)?;
            self.rest = &self.rest[2..];
            digits
        };
        if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(wrong());
        }
        u32::from_str_radix(digits, 16).ok().and_then(char::from_u32).ok_or_else(wrong)
    }
}

const CLASSES: [&str; 14] = [
    "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct", "space", "upper", "word",
    "xdigit",
];

/// `{n}`, `{n,}` or `{n,m}` at the beginning of `text`, and what follows it. Numbers too large for the type are
/// clipped, which is still too large.
fn repetition(text: &str) -> Option<(u32, Option<u32>, &str)> {
    let (low, rest) = number(text.strip_prefix('{')?)?;
    if let Some(rest) = rest.strip_prefix('}') {
        return Some((low, Some(low), rest));
    }
    let rest = rest.strip_prefix(',')?;
    if let Some(rest) = rest.strip_prefix('}') {
        return Some((low, None, rest));
    }
    let (high, rest) = number(rest)?;
    Some((low, Some(high), rest.strip_prefix('}')?))
}

/// A number without leading zeros.
fn number(text: &str) -> Option<(u32, &str)> {
    let len = text.bytes().take_while(u8::is_ascii_digit).count();
    let digits = &text[..len];
    if len == 0 || (len > 1 && digits.starts_with('0')) {
        return None;
    }
    Some((digits.parse().unwrap_or(u32::MAX), &text[len..]))
}

#[cfg(test)]
mod tests;
