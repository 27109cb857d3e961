//! The condition parser: text in, [`Expr`] out.
//!
//! A recursive descent over bytes, without a separate lexer, because what a word means depends on where it stands:
//! keywords and operators are not reserved. Names are not looked up here; that is the resolver's and the compiler's.
//!
//! The grammar stands in pieces above the functions (`B` is a mandatory blank, `_` an optional one). Alternatives
//! are tried in the order written and tokens take the longest match, which is why `proc.name inshells` is a list
//! test and `existsand m` is two words.
//!
//! After an error the parser goes on behind the next `and`, `or` or `)`, so that one run shows every mistake. The
//! first error is the one that Falco reports too.

use crate::ast::{Expr, Node, Operand, Span};

mod check;
mod recovery;
#[cfg(test)]
mod tests;
mod tokens;

use tokens::is_space;

/// Levels of the descent that are allowed: Falco's limit for rules. One pair of parentheses costs five.
pub const MAX_DEPTH: u32 = 1000;

/// Errors after which the parser gives up on a text.
const MAX_ERRORS: usize = 10;

/// What is wrong with a condition.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{message}")]
pub struct ParseError {
    /// Where, in the text given.
    pub span: Span,
    /// One line without a full stop.
    pub message: String,
    /// What to write instead, where that can be guessed.
    pub hint: Option<String>,
}

/// Parses a condition.
///
/// # Errors
/// All errors found, at least one, in the order of the text; the first is the one that decides.
pub fn parse(text: &str) -> Result<Expr, Vec<ParseError>> {
    let mut parser = Parser { text, bytes: text.as_bytes(), pos: 0, depth: 0, errors: Vec::new() };
    let expr = parser.whole();
    match expr {
        Some(expr) if parser.errors.is_empty() => Ok(expr),
        _ => Err(parser.errors),
    }
}

/// Parses the field or call at the beginning of `text`, as outputs have them, and says how many bytes it took.
///
/// # Errors
/// The first error. Nothing is said about what follows the field.
pub fn parse_operand(text: &str) -> Result<(Operand, usize), ParseError> {
    let mut parser = Parser { text, bytes: text.as_bytes(), pos: 0, depth: 0, errors: Vec::new() };
    let operand = match parser.left() {
        Ok(Some(operand)) => operand,
        Ok(None) => return Err(parser.error("expected a field or a call")),
        Err(Stop(error)) => return Err(error),
    };
    Ok((operand, parser.pos))
}

/// Ends the current operand with an error. Boxed errors would cost a line per use and save nothing here.
struct Stop(ParseError);

type Parse<T> = Result<T, Stop>;

struct Parser<'t> {
    text: &'t str,
    bytes: &'t [u8],
    pos: usize,
    depth: u32,
    errors: Vec<ParseError>,
}

const TOO_DEEP: &str = "the condition is nested too deeply";

impl Parser<'_> {
    /// Runs a step of the grammar one level deeper. Nothing behind a text that is too deep is worth reading: that
    /// error ends the whole parse.
    fn deeper<T>(&mut self, step: impl FnOnce(&mut Self) -> Parse<T>) -> Parse<T> {
        if self.depth + 1 >= MAX_DEPTH {
            return Err(Stop(ParseError {
                hint: Some("split the condition into macros".to_owned()),
                ..self.error(TOO_DEEP)
            }));
        }
        self.depth += 1;
        let result = step(self);
        self.depth -= 1;
        result
    }
}

/// Grammar: operators between checks.
impl Parser<'_> {
    /// `condition = _ or _`, and whatever follows it by mistake.
    fn whole(&mut self) -> Option<Expr> {
        if self.bytes.is_empty() {
            self.errors.push(self.error("the condition is empty"));
            return None;
        }
        let mut first = None;
        loop {
            match self.or() {
                Ok(expr) => first = first.or(Some(expr)),
                Err(Stop(error)) => {
                    self.errors.push(error);
                    return None;
                }
            }
            if self.pos == self.bytes.len() || self.errors.len() >= MAX_ERRORS {
                return first;
            }
            let error = self.surplus();
            self.errors.push(error);
            self.skip(true);
            if self.eat(b")") {
                self.skip(true);
            }
            if !(self.eat(b"and") || self.eat(b"or")) {
                return None;
            }
        }
    }

    /// `or = and { _ "or" ( B and | "(" or ")" ) }`: a parenthesis right after `or` is a complete operand.
    fn or(&mut self) -> Parse<Expr> {
        self.deeper(|p| {
            p.blank();
            let start = p.pos;
            let mut children = vec![p.and()?];
            let mut end = p.pos;
            p.blank();
            while p.eat(b"or") {
                children.push(p.operand_after("or", Self::and)?);
                end = p.pos;
                p.blank();
            }
            Ok(joined(children, Node::Or, start, end))
        })
    }

    /// `and = not { _ "and" ( B not | "(" or ")" ) }`.
    fn and(&mut self) -> Parse<Expr> {
        self.deeper(|p| {
            p.blank();
            let start = p.pos;
            let mut children = vec![p.not()?];
            let mut end = p.pos;
            p.blank();
            while p.eat(b"and") {
                children.push(p.operand_after("and", Self::not)?);
                end = p.pos;
                p.blank();
            }
            Ok(joined(children, Node::And, start, end))
        })
    }

    fn operand_after(&mut self, word: &str, next: fn(&mut Self) -> Parse<Expr>) -> Parse<Expr> {
        if self.blank() {
            next(self)
        } else if self.eat(b"(") {
            self.group()
        } else {
            let error = self.error(&format!("expected a blank or `(` after `{word}`"));
            self.recover(error, self.pos)
        }
    }

    /// `not = { "not" B } ( "not(" or ")" | check )`.
    fn not(&mut self) -> Parse<Expr> {
        self.deeper(|p| {
            p.blank();
            let start = p.pos;
            let mut negated = false;
            while p.looking_at(b"not") && p.at(3).is_some_and(is_space) {
                p.pos += 3;
                while p.at(0).is_some_and(is_space) {
                    p.pos += 1;
                }
                negated = !negated;
            }
            let child = if p.eat(b"not(") {
                negated = !negated;
                p.group()?
            } else {
                let check = p.pos;
                match p.check() {
                    Ok(expr) => expr,
                    Err(Stop(error)) => p.recover(error, check)?,
                }
            };
            if negated {
                Ok(Expr { span: Span::new(start, p.pos), node: Node::Not(Box::new(child)) })
            } else {
                Ok(child)
            }
        })
    }

    /// The rest of a group after its `(`: `_ or _ ")"`.
    fn group(&mut self) -> Parse<Expr> {
        self.deeper(|p| {
            let open = p.pos - 1;
            p.blank();
            let child = p.or()?;
            p.blank();
            if !p.eat(b")") {
                let error = if p.pos == p.bytes.len() {
                    Self::error_at(open, open + 1, "this parenthesis is never closed")
                } else {
                    let mut error = p.surplus();
                    error.message = format!("expected `)`, `and` or `or`; {}", error.message);
                    error
                };
                p.recover(error, p.pos)?;
                p.skip(false);
                p.eat(b")");
            }
            Ok(child)
        })
    }
}

fn joined(mut children: Vec<Expr>, node: fn(Vec<Expr>) -> Node, start: usize, end: usize) -> Expr {
    match (children.len(), children.pop()) {
        (1, Some(only)) => only,
        (_, last) => {
            children.extend(last);
            Expr { span: Span::new(start, end), node: node(children) }
        }
    }
}
