//! Walks over condition trees.

use super::{Call, CallArg, Check, Constant, Expr, Field, Node, Operand, Right, Span};

impl Expr {
    /// Numbers the text that all spans of this tree point into.
    pub fn set_text(&mut self, text: u32) {
        self.visit_spans(&mut |span| span.text = text);
    }

    /// The same tree without spans and quoting marks: two conditions mean the same text exactly when these are equal.
    #[must_use]
    pub fn without_spans(mut self) -> Self {
        self.visit_spans(&mut |span| *span = Span::default());
        self.visit_constants(&mut |constant| constant.quoted = false);
        self
    }

    /// Levels of `and`, `or` and `not` above the deepest check. Walks with a stack of its own.
    pub fn depth(&self) -> usize {
        let mut deepest = 0;
        let mut todo = vec![(self, 1)];
        while let Some((expr, depth)) = todo.pop() {
            deepest = deepest.max(depth);
            match &expr.node {
                Node::And(children) | Node::Or(children) => todo.extend(children.iter().map(|c| (c, depth + 1))),
                Node::Not(child) => todo.push((child, depth + 1)),
                Node::Check(_) | Node::Identifier(_) => {}
            }
        }
        deepest
    }

    /// Calls `f` on every check, from left to right.
    pub fn for_each_check<'t>(&'t self, f: &mut dyn FnMut(&'t Check)) {
        match &self.node {
            Node::And(children) | Node::Or(children) => children.iter().for_each(|c| c.for_each_check(f)),
            Node::Not(child) => child.for_each_check(f),
            Node::Check(check) => f(check),
            Node::Identifier(_) => {}
        }
    }

    fn visit_spans(&mut self, f: &mut dyn FnMut(&mut Span)) {
        f(&mut self.span);
        match &mut self.node {
            Node::And(children) | Node::Or(children) => children.iter_mut().for_each(|c| c.visit_spans(f)),
            Node::Not(child) => child.visit_spans(f),
            Node::Identifier(_) => {}
            Node::Check(check) => {
                f(&mut check.op_span);
                match &mut check.left {
                    Operand::Field(field) => field.visit_spans(f),
                    Operand::Call(call) => call.visit_spans(f),
                }
                match &mut check.right {
                    Right::Nothing => {}
                    Right::Constant(constant) => f(&mut constant.span),
                    Right::List(span, items) => {
                        f(span);
                        for item in items {
                            f(&mut item.span);
                        }
                    }
                    Right::Field(span, field) => {
                        f(span);
                        field.visit_spans(f);
                    }
                    Right::Call(call) => call.visit_spans(f),
                }
            }
        }
    }

    fn visit_constants(&mut self, f: &mut dyn FnMut(&mut Constant)) {
        match &mut self.node {
            Node::And(children) | Node::Or(children) => children.iter_mut().for_each(|c| c.visit_constants(f)),
            Node::Not(child) => child.visit_constants(f),
            Node::Identifier(_) => {}
            Node::Check(check) => {
                match &mut check.left {
                    Operand::Field(field) => field.arg.iter_mut().for_each(&mut *f),
                    Operand::Call(call) => call.visit_constants(f),
                }
                match &mut check.right {
                    Right::Nothing => {}
                    Right::Constant(constant) => f(constant),
                    Right::List(_, items) => items.iter_mut().for_each(f),
                    Right::Field(_, field) => field.arg.iter_mut().for_each(f),
                    Right::Call(call) => call.visit_constants(f),
                }
            }
        }
    }
}

impl Field {
    fn visit_spans(&mut self, f: &mut dyn FnMut(&mut Span)) {
        f(&mut self.span);
        if let Some(arg) = &mut self.arg {
            f(&mut arg.span);
        }
    }
}

impl Call {
    fn visit_spans(&mut self, f: &mut dyn FnMut(&mut Span)) {
        f(&mut self.span);
        self.option.iter_mut().for_each(|option| f(&mut option.span));
        self.args.iter_mut().for_each(|arg| arg.visit_spans(f));
    }

    fn visit_constants(&mut self, f: &mut dyn FnMut(&mut Constant)) {
        self.option.iter_mut().for_each(&mut *f);
        self.args.iter_mut().for_each(|arg| arg.visit_constants(f));
    }
}

impl CallArg {
    /// Where it stands.
    pub fn span(&self) -> Span {
        match self {
            Self::Field(field) => field.span,
            Self::Call(call) => call.span,
            Self::Constant(constant) => constant.span,
            Self::List(span, _) => *span,
        }
    }

    fn visit_spans(&mut self, f: &mut dyn FnMut(&mut Span)) {
        match self {
            Self::Field(field) => field.visit_spans(f),
            Self::Call(call) => call.visit_spans(f),
            Self::Constant(constant) => f(&mut constant.span),
            Self::List(span, items) => {
                f(span);
                for item in items {
                    item.visit_spans(f);
                }
            }
        }
    }

    fn visit_constants(&mut self, f: &mut dyn FnMut(&mut Constant)) {
        match self {
            Self::Field(field) => field.arg.iter_mut().for_each(f),
            Self::Call(call) => call.visit_constants(f),
            Self::Constant(constant) => f(constant),
            Self::List(_, items) => items.iter_mut().for_each(|item| item.visit_constants(f)),
        }
    }
}
