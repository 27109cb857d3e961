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

use crate::ast::{
    Call, CallArg, Check, Constant, Expr, Field, Function, Modifier, Node, Operand, Operator, Right, Span,
};
use crate::suggest;

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
                    p.error_at(open, open + 1, "this parenthesis is never closed")
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

/// Grammar: checks.
impl Parser<'_> {
    /// `check = "(" _ or _ ")" | left _ comparison | identifier`.
    fn check(&mut self) -> Parse<Expr> {
        self.deeper(|p| {
            p.blank();
            let start = p.pos;
            if p.eat(b"(") {
                p.group()
            } else if let Some(left) = p.left()? {
                p.comparison(left, start)
            } else if let Some(name) = p.word() {
                Ok(Expr { span: Span::new(start, p.pos), node: Node::Identifier(name) })
            } else {
                Err(Stop(p.no_operand()))
            }
        })
    }

    /// `left = field | call`.
    fn left(&mut self) -> Parse<Option<Operand>> {
        let start = self.pos;
        if let Some(name) = self.dotted_name() {
            return Ok(Some(Operand::Field(self.field(name, start)?)));
        }
        Ok(self.call()?.map(Operand::Call))
    }

    /// `field = name [ argument ]`, after the name.
    fn field(&mut self, name: String, start: usize) -> Parse<Field> {
        self.deeper(|p| {
            let arg = p.argument()?;
            Ok(Field { span: Span::new(start, p.pos), name, arg })
        })
    }

    /// `argument = "[" ( quoted | argtext ) "]"`, without blanks.
    fn argument(&mut self) -> Parse<Option<Constant>> {
        if !self.eat(b"[") {
            return Ok(None);
        }
        let Some(constant) = self.quoted()?.or_else(|| self.bare(is_argument_text)) else {
            return Err(Stop(ParseError {
                hint: Some("no blanks are allowed between the brackets; quote the argument".to_owned()),
                ..self.error("expected an argument between the brackets")
            }));
        };
        if self.eat(b"]") { Ok(Some(constant)) } else { Err(Stop(self.error("expected `]` after the argument"))) }
    }

    /// `comparison = "exists" | numop _ ( number | right ) | textop ... | listop _ ( list | right | identifier )`.
    fn comparison(&mut self, left: Operand, start: usize) -> Parse<Expr> {
        self.deeper(|p| {
            p.blank();
            let op_start = p.pos;
            let Some(op) = p.operator() else {
                return Err(Stop(p.no_operator()));
            };
            let mut op_end = p.pos;
            let mut modifier = None;
            let right = if op == Operator::Exists {
                Right::Nothing
            } else if op.is_order() {
                p.number_or_right()?
            } else if op.takes_list() {
                p.list_value(true)?
            } else {
                modifier = p.modifier(&mut op_end);
                if modifier.is_some() { p.list_value(false)? } else { p.text_or_right()? }
            };
            let check = Check { left, op, modifier, op_span: Span::new(op_start, op_end), right };
            Ok(Expr { span: Span::new(start, p.pos), node: Node::Check(Box::new(check)) })
        })
    }

    /// The operator here. Word operators on texts need a blank after them, the others do not.
    fn operator(&mut self) -> Option<Operator> {
        let op = Operator::ALL.iter().copied().find(|op| {
            let word = op.text().as_bytes();
            self.looking_at(word) && (!op.needs_blank() || self.at(word.len()).is_some_and(is_blank))
        })?;
        self.pos += op.text().len();
        Some(op)
    }

    /// `modifier = ( "oneof" | "anyof" | "allof" ) B`, with a blank before it, and a list or a word behind it that
    /// is not the next `and`, `or` or `not`. Anything else is a text that happens to look like one.
    fn modifier(&mut self, op_end: &mut usize) -> Option<Modifier> {
        let start = self.pos;
        if self.blank()
            && let Some(modifier) = Modifier::ALL.iter().copied().find(|m| self.looking_at(m.text().as_bytes()))
        {
            let end = self.pos + modifier.text().len();
            self.pos = end;
            if self.blank() && (self.looking_at(b"(") || self.list_name_follows()) {
                *op_end = end;
                return Some(modifier);
            }
        }
        self.pos = start;
        None
    }

    fn list_name_follows(&self) -> bool {
        let keyword = [&b"and"[..], b"or", b"not"]
            .iter()
            .any(|word| self.looking_at(word) && !self.at(word.len()).is_some_and(|byte| byte.is_ascii_alphanumeric()));
        !keyword && self.at(0).is_some_and(|byte| byte.is_ascii_alphabetic())
    }

    /// `_ ( right | number )`.
    fn number_or_right(&mut self) -> Parse<Right> {
        self.deeper(|p| {
            p.blank();
            if let Some(right) = p.right()? {
                return Ok(right);
            }
            match p.number() {
                Some(number) => Ok(Right::Constant(number)),
                None => Err(Stop(ParseError {
                    hint: Some("texts cannot be ordered; a field goes into `val(...)`".to_owned()),
                    ..p.error("expected a number")
                })),
            }
        })
    }

    /// `_ ( right | quoted | baretext )`.
    fn text_or_right(&mut self) -> Parse<Right> {
        self.deeper(|p| {
            p.blank();
            if let Some(right) = p.right()? {
                return Ok(right);
            }
            match p.constant()? {
                Some(constant) => Ok(Right::Constant(constant)),
                None => Err(Stop(p.no_constant())),
            }
        })
    }

    /// `_ ( list | right | identifier )`; after a modifier without `right`.
    fn list_value(&mut self, right_allowed: bool) -> Parse<Right> {
        self.deeper(|p| {
            p.blank();
            let start = p.pos;
            if p.eat(b"(") {
                let items = p.items()?;
                let closed = p.eat(b")");
                return if closed {
                    Ok(Right::List(Span::new(start, p.pos), items))
                } else {
                    Err(Stop(p.list_not_closed(start)))
                };
            }
            if right_allowed && let Some(right) = p.right()? {
                return Ok(right);
            }
            match p.word() {
                Some(word) => {
                    let span = Span::new(start, p.pos);
                    Ok(Right::Constant(Constant { span, bytes: word.into_bytes(), quoted: false }))
                }
                None => Err(Stop(ParseError {
                    hint: Some("write the values between parentheses: `(a, b)`".to_owned()),
                    ..p.error("expected a list in parentheses or the name of a list")
                })),
            }
        })
    }

    /// `list = "(" _ [ item { _ "," _ item } ] _ ")"`, between the parentheses.
    fn items(&mut self) -> Parse<Vec<Constant>> {
        self.blank();
        let mut items = Vec::new();
        match self.deeper(Self::constant) {
            Ok(Some(item)) => items.push(item),
            // Falco drops the error of a first item with a bad escape together with the item: `("\q")` is `()`.
            Ok(None) | Err(_) => return Ok(items),
        }
        self.blank();
        while self.eat(b",") {
            self.blank();
            match self.deeper(Self::constant)? {
                Some(item) => items.push(item),
                None => return Err(Stop(self.error("expected a value after the comma"))),
            }
            self.blank();
        }
        Ok(items)
    }

    /// `right = "val(" _ field _ ")" | call`.
    fn right(&mut self) -> Parse<Option<Right>> {
        self.deeper(|p| {
            let start = p.pos;
            if p.eat(b"val(") {
                p.blank();
                let field_start = p.pos;
                let Some(name) = p.dotted_name() else {
                    return Err(Stop(p.error("`val(` takes the name of a field and nothing else")));
                };
                let field = p.field(name, field_start)?;
                p.blank();
                if !p.eat(b")") {
                    return Err(Stop(p.error("expected `)` after the field of `val(`")));
                }
                return Ok(Some(Right::Field(Span::new(start, p.pos), field)));
            }
            Ok(p.call()?.map(Right::Call))
        })
    }
}

/// Grammar: transformer calls.
impl Parser<'_> {
    /// `call = function _ callarg { _ "," _ callarg } _ ")" [ argument ]`; the parenthesis belongs to the name.
    fn call(&mut self) -> Parse<Option<Call>> {
        let start = self.pos;
        let Some(function) = Function::ALL.iter().copied().find(|f| {
            let name = f.text().as_bytes();
            self.looking_at(name) && self.at(name.len()) == Some(b'(')
        }) else {
            return Ok(None);
        };
        self.pos += function.text().len() + 1;
        self.deeper(|p| {
            let mut args = Vec::new();
            loop {
                p.blank();
                args.push(p.call_arg()?);
                p.blank();
                if !p.eat(b",") {
                    break;
                }
            }
            if !p.eat(b")") {
                return Err(Stop(p.error(&format!("expected `,` or `)` in the arguments of `{function}(`"))));
            }
            let option = p.argument()?;
            Ok(Some(Call { span: Span::new(start, p.pos), function, args, option }))
        })
    }

    /// `callarg = number | quoted | "(" [ listarg { _ "," _ listarg } ] ")" | call | field`.
    fn call_arg(&mut self) -> Parse<CallArg> {
        self.deeper(|p| {
            let start = p.pos;
            let constant = match p.number() {
                Some(number) => Some(number),
                None => p.quoted()?,
            };
            let arg = if let Some(constant) = constant {
                CallArg::Constant(constant)
            } else if p.eat(b"(") {
                p.call_list(start)?
            } else if let Some(call) = p.call()? {
                CallArg::Call(call)
            } else if let Some(name) = p.dotted_name() {
                CallArg::Field(p.field(name, start)?)
            } else {
                return Err(Stop(p.no_call_arg("a field, a call, a quoted text, a number or a list")));
            };
            Ok(arg)
        })
    }

    fn call_list(&mut self, start: usize) -> Parse<CallArg> {
        self.blank();
        let mut items = Vec::new();
        if !self.looking_at(b")") {
            items.push(self.call_list_arg()?);
            self.blank();
            while self.eat(b",") {
                self.blank();
                items.push(self.call_list_arg()?);
                self.blank();
            }
        }
        if self.eat(b")") {
            Ok(CallArg::List(Span::new(start, self.pos), items))
        } else {
            Err(Stop(self.list_not_closed(start)))
        }
    }

    /// `listarg = field | call | quoted | number`.
    fn call_list_arg(&mut self) -> Parse<CallArg> {
        let start = self.pos;
        if let Some(name) = self.dotted_name() {
            return Ok(CallArg::Field(self.field(name, start)?));
        }
        if let Some(call) = self.call()? {
            return Ok(CallArg::Call(call));
        }
        if let Some(constant) = self.quoted()? {
            return Ok(CallArg::Constant(constant));
        }
        match self.number() {
            Some(number) => Ok(CallArg::Constant(number)),
            None => Err(Stop(self.no_call_arg("a field, a call, a quoted text or a number"))),
        }
    }
}

/// Tokens.
impl Parser<'_> {
    fn at(&self, ahead: usize) -> Option<u8> {
        self.bytes.get(self.pos + ahead).copied()
    }

    fn looking_at(&self, token: &[u8]) -> bool {
        self.bytes[self.pos..].starts_with(token)
    }

    fn eat(&mut self, token: &[u8]) -> bool {
        let here = self.looking_at(token);
        if here {
            self.pos += token.len();
        }
        here
    }

    fn blank(&mut self) -> bool {
        let start = self.pos;
        while self.at(0).is_some_and(is_blank) {
            self.pos += 1;
        }
        self.pos > start
    }

    /// End of the word (`letter { letter | digit | "_" }`) that begins at `from`.
    fn word_end(&self, from: usize) -> Option<usize> {
        if !self.bytes.get(from)?.is_ascii_alphabetic() {
            return None;
        }
        let rest = &self.bytes[from..];
        Some(from + rest.iter().position(|b| !b.is_ascii_alphanumeric() && *b != b'_').unwrap_or(rest.len()))
    }

    fn word(&mut self) -> Option<String> {
        let end = self.word_end(self.pos)?;
        Some(self.take(end).to_owned())
    }

    /// `name = word "." word { "." word }`.
    fn dotted_name(&mut self) -> Option<String> {
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
    fn take(&mut self, end: usize) -> &str {
        let start = std::mem::replace(&mut self.pos, end);
        self.text.get(start..end).unwrap_or_default()
    }

    /// `number`: `0x` and hex digits, or a decimal with optional sign, fraction and signed exponent.
    fn number(&mut self) -> Option<Constant> {
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
    fn constant(&mut self) -> Parse<Option<Constant>> {
        Ok(match self.quoted()? {
            Some(constant) => Some(constant),
            None => self.bare(is_bare_text),
        })
    }

    fn bare(&mut self, allowed: fn(u8) -> bool) -> Option<Constant> {
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
    fn quoted(&mut self) -> Parse<Option<Constant>> {
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

    fn unescape(&self, body: &[u8], offset: usize, quote: u8) -> Parse<Vec<u8>> {
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

/// Errors and recovery.
impl Parser<'_> {
    fn error(&self, message: &str) -> ParseError {
        self.error_at(self.pos, self.end_of_word(), message)
    }

    fn error_at(&self, start: usize, end: usize, message: &str) -> ParseError {
        ParseError { span: Span::new(start, end), message: message.to_owned(), hint: None }
    }

    fn bad_escape(&self, start: usize, len: usize, hint: &str) -> ParseError {
        let mut end = (start + len).min(self.bytes.len());
        while !self.text.is_char_boundary(end) {
            end += 1;
        }
        ParseError { hint: Some(hint.to_owned()), ..self.error_at(start, end, "unknown escape in a quoted text") }
    }

    /// End of what stands here, for messages: a run of anything that is no blank and no punctuation.
    fn end_of_word(&self) -> usize {
        let rest = &self.bytes[self.pos..];
        let len = rest.iter().position(|b| !is_bare_text(*b)).unwrap_or(rest.len());
        let one = usize::from(!rest.is_empty());
        self.pos + len.max(one)
    }

    fn here(&self) -> &str {
        self.text.get(self.pos..self.end_of_word()).unwrap_or_default()
    }

    /// Something follows a complete condition.
    fn surplus(&self) -> ParseError {
        let here = self.here();
        let hint = match here {
            "&&" | "AND" | "And" => Some("write `and`"),
            "||" | "OR" | "Or" => Some("write `or`"),
            ")" => Some("this parenthesis was never opened"),
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

    fn no_operand(&self) -> ParseError {
        let here = self.here();
        let hint = match here {
            "" | ")" => None,
            _ if here.starts_with('!') => Some("negation is written `not`"),
            _ if here.starts_with('#') => Some("conditions have no comments"),
            _ => Some("names begin with a letter"),
        };
        ParseError { hint: hint.map(str::to_owned), ..self.error("expected a field, a call, a macro or `(`") }
    }

    fn no_operator(&self) -> ParseError {
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

    fn no_constant(&self) -> ParseError {
        let hint = match self.at(0) {
            Some(b'"' | b'\'') => Some("the quote is never closed; a backslash before a quote always escapes it"),
            Some(b'(') => Some("this operator takes one value; `in`, `anyof` and their like take lists"),
            _ => None,
        };
        ParseError { hint: hint.map(str::to_owned), ..self.error("expected a value") }
    }

    fn no_call_arg(&self, expected: &str) -> ParseError {
        let hint = self.at(0).filter(u8::is_ascii_alphabetic).map(|_| "texts need quotes here".to_owned());
        ParseError { hint, ..self.error(&format!("expected {expected}")) }
    }

    fn list_not_closed(&self, start: usize) -> ParseError {
        if self.pos == self.bytes.len() {
            return self.error_at(start, start + 1, "this list is never closed");
        }
        let hint = match self.at(0) {
            Some(b'=') => "a value with `=` needs quotes",
            Some(b'(') => "lists and calls cannot stand inside a list",
            _ => "values are separated by commas; a value with blanks needs quotes",
        };
        ParseError { hint: Some(hint.to_owned()), ..self.error("expected `,` or `)` in the list") }
    }

    /// Notes an error in the operand that begins at `start`, goes behind that operand and gives a stand-in for it.
    fn recover(&mut self, error: ParseError, start: usize) -> Parse<Expr> {
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
    fn skip(&mut self, to_operand: bool) {
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

fn joined(mut children: Vec<Expr>, node: fn(Vec<Expr>) -> Node, start: usize, end: usize) -> Expr {
    match (children.len(), children.pop()) {
        (1, Some(only)) => only,
        (_, last) => {
            children.extend(last);
            Expr { span: Span::new(start, end), node: node(children) }
        }
    }
}

fn shorten(text: &str) -> String {
    if text.chars().count() <= 40 { text.to_owned() } else { text.chars().take(37).chain("...".chars()).collect() }
}

/// The blanks between tokens. Backspace is one of them, form feed is not.
fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | 0x08 | b'\r' | b'\n')
}

/// White space inside tokens: what ends a bare text and what may follow `not`. Form feed is, backspace is not.
fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | 0x0b | 0x0c | b'\r')
}

fn is_bare_text(byte: u8) -> bool {
    !is_space(byte) && !matches!(byte, b'(' | b')' | b'"' | b'\'' | b'=' | b',')
}

fn is_argument_text(byte: u8) -> bool {
    !is_space(byte) && !matches!(byte, b'[' | b']' | b'"' | b'\'')
}

fn hex_digit(byte: Option<&u8>) -> Option<u8> {
    char::from(*byte?).to_digit(16).map(|digit| digit as u8)
}

#[cfg(test)]
mod tests;
