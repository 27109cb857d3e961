//! Grammar of checks: fields, calls, operators, values.

use super::tokens::{is_argument_text, is_blank};
use super::{Parse, ParseError, Parser, Stop};
use crate::ast::{
    Call, CallArg, Check, Constant, Expr, Field, Function, Modifier, Node, Operand, Operator, Right, Span,
};

/// Grammar: checks.
impl Parser<'_> {
    /// `check = "(" _ or _ ")" | left _ comparison | identifier`.
    pub(super) fn check(&mut self) -> Parse<Expr> {
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
    pub(super) fn left(&mut self) -> Parse<Option<Operand>> {
        let start = self.pos;
        if let Some(name) = self.dotted_name() {
            return Ok(Some(Operand::Field(self.field(name, start)?)));
        }
        Ok(self.call()?.map(Operand::Call))
    }

    /// `field = name [ argument ]`, after the name.
    pub(super) fn field(&mut self, name: String, start: usize) -> Parse<Field> {
        self.deeper(|p| {
            let arg = p.argument()?;
            Ok(Field { span: Span::new(start, p.pos), name, arg })
        })
    }

    /// `argument = "[" ( quoted | argtext ) "]"`, without blanks.
    pub(super) fn argument(&mut self) -> Parse<Option<Constant>> {
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
    pub(super) fn comparison(&mut self, left: Operand, start: usize) -> Parse<Expr> {
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
    pub(super) fn operator(&mut self) -> Option<Operator> {
        let op = Operator::ALL.iter().copied().find(|op| {
            let word = op.text().as_bytes();
            self.looking_at(word) && (!op.needs_blank() || self.at(word.len()).is_some_and(is_blank))
        })?;
        self.pos += op.text().len();
        Some(op)
    }

    /// `modifier = ( "oneof" | "anyof" | "allof" ) B`, with a blank before it, and a list or a word behind it that
    /// is not the next `and`, `or` or `not`. Anything else is a text that happens to look like one.
    pub(super) fn modifier(&mut self, op_end: &mut usize) -> Option<Modifier> {
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

    pub(super) fn list_name_follows(&self) -> bool {
        let keyword = [&b"and"[..], b"or", b"not"]
            .iter()
            .any(|word| self.looking_at(word) && !self.at(word.len()).is_some_and(|byte| byte.is_ascii_alphanumeric()));
        !keyword && self.at(0).is_some_and(|byte| byte.is_ascii_alphabetic())
    }

    /// `_ ( right | number )`.
    pub(super) fn number_or_right(&mut self) -> Parse<Right> {
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
    pub(super) fn text_or_right(&mut self) -> Parse<Right> {
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
    pub(super) fn list_value(&mut self, right_allowed: bool) -> Parse<Right> {
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
    pub(super) fn items(&mut self) -> Parse<Vec<Constant>> {
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
    pub(super) fn right(&mut self) -> Parse<Option<Right>> {
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
    pub(super) fn call(&mut self) -> Parse<Option<Call>> {
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
    pub(super) fn call_arg(&mut self) -> Parse<CallArg> {
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

    pub(super) fn call_list(&mut self, start: usize) -> Parse<CallArg> {
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
    pub(super) fn call_list_arg(&mut self) -> Parse<CallArg> {
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
