//! What the parser says about mistakes, and how it goes on after one.

use super::tokens::{is_bare_text, is_blank};
use super::{MAX_ERRORS, Parse, ParseError, Parser, Stop, TOO_DEEP};
use crate::ast::{Expr, Node, Operator, Span};
use crate::suggest;

/// Errors and recovery.
impl Parser<'_> {
    pub(super) fn error(&self, message: &str) -> ParseError {
        Self::error_at(self.pos, self.end_of_word(), message)
    }

    pub(super) fn error_at(start: usize, end: usize, message: &str) -> ParseError {
        ParseError { span: Span::new(start, end), message: message.to_owned(), hint: None }
    }

    pub(super) fn bad_escape(&self, start: usize, len: usize, hint: &str) -> ParseError {
        let mut end = (start + len).min(self.bytes.len());
        while !self.text.is_char_boundary(end) {
            end += 1;
        }
        ParseError { hint: Some(hint.to_owned()), ..Self::error_at(start, end, "unknown escape in a quoted text") }
    }

    /// End of what stands here, for messages: a run of anything that is no blank and no punctuation.
    pub(super) fn end_of_word(&self) -> usize {
        let rest = &self.bytes[self.pos..];
        let len = rest.iter().position(|b| !is_bare_text(*b)).unwrap_or(rest.len());
        let one = usize::from(!rest.is_empty());
        self.pos + len.max(one)
    }

    pub(super) fn here(&self) -> &str {
        self.text.get(self.pos..self.end_of_word()).unwrap_or_default()
    }

    /// Something follows a complete condition.
    pub(super) fn surplus(&self) -> ParseError {
        let here = self.here();
        let hint = match here {
            "&&" | "AND" | "And" => Some("write `and`"),
            "||" | "OR" | "Or" => Some("write `or`"),
            ")" => Some("this parenthesis was never opened"),
            "and" if self.text.get(..self.pos).is_some_and(|before| before.contains("or(")) => {
                Some("`or(` without a blank takes the group alone: write `or (`")
            }
            _ if here.starts_with("and") || here.starts_with("or") => Some("a blank is missing"),
            _ if here.starts_with(['"', '\'']) => Some("a constant ends at the quote; only one constant can follow"),
            _ => Some("checks are joined by `and` or `or`; a constant with blanks needs quotes"),
        };
        let message = if here.is_empty() {
            "the condition ends too early".to_owned()
        } else {
            format!("unexpected `{}`", shorten(here))
        };
        ParseError { hint: hint.map(str::to_owned), ..self.error(&message) }
    }

    pub(super) fn no_operand(&self) -> ParseError {
        let here = self.here();
        let hint = match here {
            "" | ")" => None,
            _ if here.starts_with('!') => Some("negation is written `not`"),
            _ if here.starts_with('#') => Some("conditions have no comments"),
            _ => Some("names begin with a letter"),
        };
        ParseError { hint: hint.map(str::to_owned), ..self.error("expected a field, a call, a macro or `(`") }
    }

    pub(super) fn no_operator(&self) -> ParseError {
        let here = self.here();
        let word = here.trim_end_matches(|c: char| c.is_ascii_digit());
        let hint = match word {
            "" => Some("a field alone is no condition; `exists` asks whether it has a value".to_owned()),
            "not" => Some("write `not` before the field".to_owned()),
            "is" => Some("write `=`".to_owned()),
            "like" | "matches" => Some("write `glob` or `regex`".to_owned()),
            "~" | "=~" => Some("write `regex`".to_owned()),
            "!" | "<>" => Some("write `!=`".to_owned()),
            _ => suggest::closest(word, Operator::ALL.iter().map(|op| op.text())).map(|op| {
                if op == word { format!("`{op}` needs a blank after it") } else { format!("did you mean `{op}`?") }
            }),
        };
        ParseError { hint, ..self.error("expected a comparison operator") }
    }

    pub(super) fn no_constant(&self) -> ParseError {
        let hint = match self.at(0) {
            Some(b'"' | b'\'') => Some("the quote is never closed; a backslash before a quote always escapes it"),
            Some(b'(') => Some("this operator takes one value; `in`, `anyof` and their like take lists"),
            _ => None,
        };
        ParseError { hint: hint.map(str::to_owned), ..self.error("expected a value") }
    }

    pub(super) fn no_call_arg(&self, expected: &str) -> ParseError {
        let hint = self.at(0).filter(u8::is_ascii_alphabetic).map(|_| "texts need quotes here".to_owned());
        ParseError { hint, ..self.error(&format!("expected {expected}")) }
    }

    pub(super) fn list_not_closed(&self, start: usize) -> ParseError {
        if self.pos == self.bytes.len() {
            return Self::error_at(start, start + 1, "this list is never closed");
        }
        let hint = match self.at(0) {
            Some(b'=') => "a value with `=` needs quotes",
            Some(b'(') => "lists and calls cannot stand inside a list",
            _ => "values are separated by commas; a value with blanks needs quotes",
        };
        ParseError { hint: Some(hint.to_owned()), ..self.error("expected `,` or `)` in the list") }
    }

    /// Notes an error in the operand that begins at `start`, goes behind that operand and gives a stand-in for it.
    pub(super) fn recover(&mut self, error: ParseError, start: usize) -> Parse<Expr> {
        if error.message == TOO_DEEP || self.errors.len() + 1 >= MAX_ERRORS {
            return Err(Stop(error));
        }
        let span = error.span;
        self.pos = start;
        self.errors.push(error);
        self.skip(true);
        Ok(Expr { span, node: Node::Identifier(String::new()) })
    }

    /// Moves to the next unmatched `)` or to the end; `to_operand` also stops at `and` and `or` outside of
    /// parentheses. Quoted texts are skipped whole.
    pub(super) fn skip(&mut self, to_operand: bool) {
        let mut open = 0_u32;
        let mut boundary = false;
        while let Some(byte) = self.at(0) {
            match byte {
                b')' if open == 0 => return,
                b')' => open -= 1,
                b'(' => open += 1,
                b'"' | b'\'' => {
                    let rest = &self.bytes[self.pos + 1..];
                    self.pos += rest.iter().position(|b| *b == byte).map_or(0, |len| len + 1);
                }
                b'a' | b'o' if to_operand && open == 0 && boundary => {
                    let word = if byte == b'a' { &b"and"[..] } else { b"or" };
                    if self.looking_at(word) && self.at(word.len()).is_some_and(|b| is_blank(b) || b == b'(') {
                        return;
                    }
                }
                _ => {}
            }
            boundary = is_blank(byte) || byte == b')';
            self.pos += 1;
        }
    }
}

fn shorten(text: &str) -> String {
    if text.chars().count() <= 40 { text.to_owned() } else { text.chars().take(37).chain("...".chars()).collect() }
}
