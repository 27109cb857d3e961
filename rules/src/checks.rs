//! Compiling one check: fields, types, operators and constants to a leaf.

use crate::ast::{Check, Constant, Expr, Node, Operator, Right, Span};
use crate::compile::{self, CompileError, CompileErrorKind as Kind, Hint};
use crate::constant;
use crate::hints;
use crate::leaf::{EvalError, Leaf, LeafId, LeafKey, Leaves, RightKey, Test, Which};
use crate::matcher::{self, Matcher};
use crate::operand::Source;
use crate::print;
use crate::schema::{FieldArg, FieldType, Multiplicity, Schema};
use crate::typing::{self, Typed, error, shape};

/// Compiles checks one by one and collects what is to be said about each.
pub(crate) struct CheckCompiler<'c> {
    source: &'c str,
    schema: &'c dyn Schema,
    leaves: &'c mut Leaves,
    errors: Vec<CompileError>,
    hints: Vec<Hint>,
}

type Errors = Vec<CompileError>;

impl<'c> CheckCompiler<'c> {
    pub(crate) fn new(source: &'c str, schema: &'c dyn Schema, leaves: &'c mut Leaves) -> Self {
        Self { source, schema, leaves, errors: Vec::new(), hints: Vec::new() }
    }

    /// All errors and hints.
    pub(crate) fn finish(self) -> (Errors, Vec<Hint>) {
        (self.errors, self.hints)
    }

    pub(crate) fn unknown_identifier(&mut self, name: &str, span: Span) {
        self.errors.push(error(span, Kind::UnknownIdentifier, format!("there is no macro `{name}`")));
    }

    /// The leaf of a check, or `None` when it has errors.
    pub(crate) fn compile(&mut self, check: &Check, span: Span) -> Option<LeafId> {
        match self.leaf(check, span) {
            Ok(id) => {
                self.hints.extend(self.hints_on(check));
                Some(id)
            }
            Err(errors) => {
                self.errors.extend(errors);
                None
            }
        }
    }

    fn leaf(&mut self, check: &Check, span: Span) -> Result<LeafId, Errors> {
        // An error on the left leaves nothing to check on the right but whether its fields exist.
        let left = typing::typed(self.schema, self.source, &check.left).map_err(|mut errors| {
            errors.extend(self.right_fields(check));
            errors
        })?;
        let op = compile::plain(check.op);
        if !matcher::allows(left.ty, left.list, op) {
            return Err(vec![Self::bad_operator(check, &left)]);
        }
        let right = match &check.right {
            Right::Field(_, field) => {
                Some(Self::right(check, &left, typing::typed_field(self.schema, self.source, field))?)
            }
            Right::Call(call) => Some(Self::right(check, &left, typing::typed_call(self.schema, self.source, call))?),
            Right::Nothing | Right::Constant(_) | Right::List(..) => None,
        };
        let constants = compile::constants(check);
        let key = LeafKey {
            left: left.source.clone(),
            op,
            modifier: check.modifier,
            right: match (&right, op) {
                (Some(right), _) => RightKey::Source(right.source.clone()),
                (None, Operator::Exists) => RightKey::Nothing,
                (None, _) => RightKey::Constants(constants.iter().map(|c| c.bytes.clone().into()).collect()),
            },
        };
        // Constants of a comparison that is there were checked when it came.
        if let Some(id) = self.leaves.find(&key) {
            return Ok(id);
        }
        self.check_constants(check, &left, constants)?;
        let test = match right {
            Some(right) => Test::Right { op, list: left.list, ty: left.ty, right: right.source },
            None => test(check, &left, constants).map_err(|why| vec![error(span, Kind::BadConstant, why)])?,
        };
        let expr = Expr { span, node: Node::Check(Box::new(check.clone())) };
        let display = print::canonical(&expr).into_boxed_str();
        Ok(self.leaves.insert(key, Leaf::new(left.source, test, display, span)))
    }

    fn right_fields(&self, check: &Check) -> Errors {
        let right = match &check.right {
            Right::Field(_, field) => typing::typed_field(self.schema, self.source, field),
            Right::Call(call) => typing::typed_call(self.schema, self.source, call),
            Right::Nothing | Right::Constant(_) | Right::List(..) => return Vec::new(),
        };
        right.err().unwrap_or_default()
    }

    fn bad_operator(check: &Check, left: &Typed) -> CompileError {
        let shape = shape(left.ty, left.list);
        let message = format!("`{}` does not work on {shape}", check.op);
        let hint = Some(match matcher::allowed(left.ty, left.list) {
            works if works == "`exists`" => "only `exists` works here".to_owned(),
            works => format!("these do: {works}"),
        });
        CompileError { span: check.op_span, kind: Kind::BadOperator, message, hint }
    }

    /// Checks whether the right side can be compared with the left.
    fn right(check: &Check, left: &Typed, right: Result<Typed, Errors>) -> Result<Typed, Errors> {
        let right = right?;
        let span = match &check.right {
            Right::Field(span, _) => *span,
            Right::Call(call) => call.span,
            Right::Nothing | Right::Constant(_) | Right::List(..) => check.op_span,
        };
        let why = if matches!(check.op, Operator::Regex | Operator::PMatch) {
            format!("`{}` compares with constants only", check.op)
        } else if left.ty == FieldType::IpNet {
            "networks are compared with constants only".to_owned()
        } else if left.no_rhs {
            format!("`{}` is compared with constants only", left.name.unwrap_or_default())
        } else if right.no_rhs {
            format!("`{}` cannot stand on the right side", right.name.unwrap_or_default())
        } else if (left.ty, left.list) != (right.ty, right.list) {
            format!("{} cannot be compared with {}", shape(left.ty, left.list), shape(right.ty, right.list))
        } else {
            return Ok(right);
        };
        Err(vec![error(span, Kind::BadRightSide, why)])
    }

    /// Every constant on its own, so that each mistake is reported where it stands.
    fn check_constants(&self, check: &Check, left: &Typed, constants: &[Constant]) -> Result<(), Errors> {
        let op = if check.op.takes_list() && check.op != Operator::PMatch { Operator::Equal } else { check.op };
        let mut errors = Vec::new();
        for constant in constants {
            let bytes = &constant.bytes;
            let hex = matches!(op, Operator::BContains | Operator::BStartsWith);
            let length = if hex { bytes.len() / 2 } else { bytes.len() };
            let mut fail = |kind, why: String| errors.push(error(constant.span, kind, why));
            if length > constant::MAX_LENGTH {
                fail(Kind::BadConstant, format!("a constant has at most {} bytes", constant::MAX_LENGTH));
            } else if left.ty == FieldType::Text && bytes.contains(&0) {
                fail(Kind::BadConstant, "a constant cannot contain a zero byte".to_owned());
            } else if let Err(why) = matcher::build(left.ty, op, None, &[bytes]) {
                fail(Kind::BadConstant, why);
            } else if left.name == Some("evt.type") && self.schema.event_types_named(&constant.text()).is_empty() {
                fail(Kind::UnknownEventType, format!("there is no event type `{}`", constant.text()));
            }
        }
        if errors.is_empty() { Ok(()) } else { Err(errors) }
    }

    fn hints_on(&self, check: &Check) -> Vec<Hint> {
        let mut found = hints::names(check);
        for constant in compile::constants(check) {
            found.extend(hints::constant(self.schema, self.source, check.op, constant));
        }
        found
    }
}

/// What a check against constants compiles to.
fn test(check: &Check, left: &Typed, constants: &[Constant]) -> Result<Test, String> {
    let op = compile::plain(check.op);
    if op == Operator::Exists {
        return Ok(Test::Exists);
    }
    let bytes: Vec<&[u8]> = constants.iter().map(|constant| constant.bytes.as_slice()).collect();
    if left.name == Some("evt.around") && left.multiplicity == Multiplicity::One {
        return around(op, left, &bytes);
    }
    let first = bytes.get(..1).unwrap_or_default();
    let constants = |which, matcher| Test::Constants { which, matcher };
    Ok(match left.multiplicity {
        Multiplicity::One => constants(Which::Only, matcher::build(left.ty, op, check.modifier, &bytes)?),
        Multiplicity::List => {
            let which = if op == Operator::In { Which::Each } else { Which::Some };
            constants(which, matcher::elements(left.ty, &bytes)?)
        }
        // Falco looks the process ids of ancestors up with a length of 0, and finds nothing.
        Multiplicity::Ancestors if left.ty != FieldType::Text && matches!(op, Operator::In | Operator::Intersects) => {
            constants(Which::Some, Matcher::Never)
        }
        Multiplicity::Ancestors if check.modifier.is_some() => {
            constants(Which::Some, matcher::build(left.ty, op, None, first)?)
        }
        Multiplicity::Ancestors => constants(Which::Some, matcher::build(left.ty, op, None, &bytes)?),
        Multiplicity::TwoEnds => two_ends(op, check.modifier.is_some(), left.ty, &bytes)?,
    })
}

/// Fields that look at both ends of a connection have comparisons of their own in Falco, with gaps that rules see:
/// modifiers are overlooked, `in` is never true for addresses and takes one network only, `intersects` aborts.
fn two_ends(op: Operator, modified: bool, ty: FieldType, bytes: &[&[u8]]) -> Result<Test, String> {
    let first = bytes.get(..1).unwrap_or_default();
    let net = ty == FieldType::IpNet;
    let (which, matcher) = match op {
        Operator::Intersects if net => (Which::Listening, matcher::build(ty, Operator::In, None, first)?),
        Operator::Intersects => return Ok(Test::Abort(EvalError::TwoEndsIntersects)),
        Operator::In if ty == FieldType::IpAddr => (Which::Some, Matcher::Never),
        Operator::In if net => (Which::Some, matcher::build(ty, Operator::In, None, first)?),
        Operator::NotEqual => (Which::Each, matcher::build(ty, op, None, first)?),
        _ if modified => (Which::Some, matcher::build(ty, op, None, first)?),
        _ => (Which::Some, matcher::build(ty, op, None, bytes)?),
    };
    Ok(Test::Constants { which, matcher })
}

/// `evt.around[time] = milliseconds`.
fn around(op: Operator, left: &Typed, bytes: &[&[u8]]) -> Result<Test, String> {
    let time = match &left.source {
        Source::Field(field) => match &field.arg {
            FieldArg::Index(time) => Some(*time),
            FieldArg::Key(time, _) => time.parse().ok(),
            FieldArg::None => None,
        },
        _ => None,
    };
    match (op, time, bytes) {
        (Operator::Equal, Some(time), [distance]) => {
            let distance = constant::uint64(distance).unwrap_or(0).saturating_mul(1_000_000);
            Ok(Test::Around { time, distance })
        }
        _ => Err("`evt.around[time]` is compared with `=` and a number of milliseconds".to_owned()),
    }
}
