//! Conditions as text.
//!
//! [`canonical`] is Falco's display form, which other tools compare and which loses a little: some constants come
//! out bare that would need quotes. [`source`] is the same with all quotes that the parser needs, so that its text
//! always parses back to the same tree.

use std::fmt::Write;

use crate::ast::{Call, CallArg, Check, Constant, Expr, Field, Node, Operand, Right};

/// The display form: groups in parentheses with all operands on one level, lists joined by comma and blank, constants
/// in double quotes when they contain a blank, `=`, a quote, a backslash or a control character.
pub fn canonical(expr: &Expr) -> String {
    let mut printer = Printer { out: String::new(), parses_back: false };
    printer.expr(expr);
    printer.out
}

/// A text that [`crate::condition::parse`] turns into the same tree, spans aside.
pub fn source(expr: &Expr) -> String {
    let mut printer = Printer { out: String::new(), parses_back: true };
    printer.expr(expr);
    printer.out
}

/// A comparison in display form.
pub fn check(check: &Check) -> String {
    let mut printer = Printer { out: String::new(), parses_back: false };
    printer.check(check);
    printer.out
}

/// A field with its argument in display form: also its name in alerts.
pub fn field(field: &Field) -> String {
    let mut printer = Printer { out: String::new(), parses_back: false };
    printer.field(field);
    printer.out
}

struct Printer {
    out: String,
    parses_back: bool,
}

/// Where a constant stands, which decides the quotes it needs to parse back.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// After an operator that takes one text.
    Value,
    /// A member of a list, or the bare word of a list operator.
    Item,
    /// Between brackets.
    Argument,
    /// An argument of a call.
    CallArg,
}

impl Printer {
    fn expr(&mut self, expr: &Expr) {
        match &expr.node {
            Node::And(children) => self.group(" and ", children),
            Node::Or(children) => self.group(" or ", children),
            Node::Not(child) => {
                // Two `not` in a row would cancel; the display form does not mind.
                let wrap = self.parses_back && matches!(child.node, Node::Not(_));
                self.out.push_str(if wrap { "not (" } else { "not " });
                self.expr(child);
                if wrap {
                    self.out.push(')');
                }
            }
            Node::Check(check) => self.check(check),
            Node::Identifier(name) => self.identifier(name),
        }
    }

    fn group(&mut self, op: &str, children: &[Expr]) {
        self.out.push('(');
        for (i, child) in children.iter().enumerate() {
            if i > 0 {
                self.out.push_str(op);
            }
            self.expr(child);
        }
        self.out.push(')');
    }

    /// A macro may be called `not`, and then needs a group to keep it from negating what follows.
    fn identifier(&mut self, name: &str) {
        if self.parses_back && name == "not" {
            self.out.push_str("(not)");
        } else {
            self.out.push_str(name);
        }
    }

    fn check(&mut self, check: &Check) {
        match &check.left {
            Operand::Field(field) => self.field(field),
            Operand::Call(call) => self.call(call),
        }
        let _ = write!(self.out, " {}", check.op);
        if let Some(modifier) = check.modifier {
            let _ = write!(self.out, " {modifier}");
        }
        match &check.right {
            Right::Nothing => return,
            _ => self.out.push(' '),
        }
        let list = check.op.takes_list() || check.modifier.is_some();
        match &check.right {
            Right::Nothing => {}
            // A bare word or a number: nothing to quote.
            Right::Constant(constant) if list || check.op.is_order() => self.out.push_str(&constant.text()),
            Right::Constant(constant) => self.constant(constant, Place::Value),
            Right::List(_, items) => {
                self.joined(items, ", ", |printer, item| printer.constant(item, Place::Item));
            }
            Right::Field(_, field) => {
                self.out.push_str("val(");
                self.field(field);
                self.out.push(')');
            }
            Right::Call(call) => self.call(call),
        }
    }

    fn field(&mut self, field: &Field) {
        self.out.push_str(&field.name);
        self.bracketed(field.arg.as_ref());
    }

    fn bracketed(&mut self, arg: Option<&Constant>) {
        if let Some(arg) = arg {
            self.out.push('[');
            self.constant(arg, Place::Argument);
            self.out.push(']');
        }
    }

    fn call(&mut self, call: &Call) {
        let _ = write!(self.out, "{}", call.function);
        self.joined(&call.args, ",", Self::call_arg);
        self.bracketed(call.option.as_ref());
    }

    fn call_arg(&mut self, arg: &CallArg) {
        match arg {
            CallArg::Field(field) => self.field(field),
            CallArg::Call(call) => self.call(call),
            CallArg::Constant(constant) => self.constant(constant, Place::CallArg),
            CallArg::List(_, items) => self.joined(items, ",", Self::call_arg),
        }
    }

    fn joined<T>(&mut self, items: &[T], separator: &str, print: impl Fn(&mut Self, &T)) {
        self.out.push('(');
        for (i, item) in items.iter().enumerate() {
            if i > 0 {
                self.out.push_str(separator);
            }
            print(self, item);
        }
        self.out.push(')');
    }

    fn constant(&mut self, constant: &Constant, place: Place) {
        let text = std::str::from_utf8(&constant.bytes);
        let quotes = match text {
            Err(_) => true,
            Ok(text) => {
                constant.bytes.iter().any(|b| is_quoted_byte(*b))
                    || (place == Place::Argument && text.is_empty())
                    || (self.parses_back && needs_quotes(text, place))
            }
        };
        match text {
            Ok(text) if !quotes => self.out.push_str(text),
            _ => self.quoted(&constant.bytes),
        }
    }

    fn quoted(&mut self, bytes: &[u8]) {
        self.out.push('"');
        for chunk in bytes.utf8_chunks() {
            for c in chunk.valid().chars() {
                match c {
                    '\x08' => self.out.push_str("\\b"),
                    '\x0c' => self.out.push_str("\\f"),
                    '\n' => self.out.push_str("\\n"),
                    '\r' => self.out.push_str("\\r"),
                    '\t' => self.out.push_str("\\t"),
                    '\\' => self.out.push_str("\\\\"),
                    '"' => self.out.push_str("\\\""),
                    '\0'..='\x1f' | '\x7f' => {
                        let _ = write!(self.out, "\\x{:02x}", u32::from(c));
                    }
                    _ => self.out.push(c),
                }
            }
            for byte in chunk.invalid() {
                let _ = write!(self.out, "\\x{byte:02x}");
            }
        }
        // `\\` before the closing quote would escape the quote: a text cannot end so, but this means the same.
        if self.out.ends_with('\\') {
            self.out.truncate(self.out.len() - 2);
            self.out.push_str("\\x5c");
        }
        self.out.push('"');
    }
}

/// Bytes that put a constant in quotes in every form.
fn is_quoted_byte(byte: u8) -> bool {
    matches!(byte, b' ' | b'=' | b'"' | b'\'' | b'\\' | 0x7f) || byte < 0x20
}

/// Whether bare text would be read as something else.
fn needs_quotes(text: &str, place: Place) -> bool {
    match place {
        // A word operator's `anyof` could be taken for a modifier, and `tolower(` for a call.
        Place::Value => {
            text.is_empty() || text.contains(['(', ')', ',']) || matches!(text, "oneof" | "anyof" | "allof")
        }
        Place::Item => text.is_empty() || text.contains(['(', ')', ',']),
        Place::Argument => text.contains(['[', ']']),
        Place::CallArg => true,
    }
}

#[cfg(test)]
mod tests;
