//! Compiling one check: fields, types, operators and constants to a leaf.

use crate::ast::{Call, CallArg, Check, Constant, Expr, Field, Function, Node, Operand, Operator, Right, Span};
use crate::bind::{self, Bound};
use crate::compile::{self, CompileError, CompileErrorKind as Kind, DEPRECATED_FIELDS, Hint, HintKind};
use crate::constant;
use crate::hints;
use crate::leaf::{EvalError, Leaf, LeafId, LeafKey, Leaves, RightKey, Test, Which};
use crate::matcher::{self, Matcher};
use crate::operand::Source;
use crate::print;
use crate::schema::{Display, FieldArg, FieldType, Multiplicity, Schema};

/// Compiles checks one by one and collects what is to be said about each.
pub(crate) struct CheckCompiler<'c> {
    source: &'c str,
    schema: &'c dyn Schema,
    leaves: &'c mut Leaves,
    errors: Vec<CompileError>,
    hints: Vec<Hint>,
}

/// An operand with its type.
#[derive(Clone, Debug)]
pub(crate) struct Typed {
    pub(crate) source: Source,
    pub(crate) ty: FieldType,
    pub(crate) list: bool,
    /// Type and list-ness below all calls with one argument. That is what calls with several arguments look at.
    base: (FieldType, bool),
    pub(crate) multiplicity: Multiplicity,
    no_rhs: bool,
    /// The field's name, when the operand is nothing but a field or one-argument calls on it.
    name: Option<&'static str>,
    pub(crate) display: Display,
    no_transformer: bool,
    pub(crate) filter_only: bool,
    pub(crate) plugin: bool,
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
        let left = typed(self.schema, self.source, &check.left).map_err(|mut errors| {
            errors.extend(self.right_fields(check));
            errors
        })?;
        let op = compile::plain(check.op);
        if !matcher::allows(left.ty, left.list, op) {
            return Err(vec![self.bad_operator(check, &left)]);
        }
        let right = match &check.right {
            Right::Field(_, field) => Some(self.right(check, &left, typed_field(self.schema, self.source, field))?),
            Right::Call(call) => Some(self.right(check, &left, typed_call(self.schema, self.source, call))?),
            Right::Nothing | Right::Constant(_) | Right::List(..) => None,
        };
        let constants = compile::constants(check);
        self.check_constants(check, &left, constants)?;
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
        if let Some(id) = self.leaves.find(&key) {
            return Ok(id);
        }
        let test = match right {
            Some(right) => Test::Right { op, list: left.list, ty: left.ty, right: right.source },
            None => test(check, &left, constants).map_err(|why| vec![error(span, Kind::BadConstant, why)])?,
        };
        let expr = Expr { span, node: Node::Check(Box::new(check.clone())) };
        let text = print::canonical(&expr).into_boxed_str();
        Ok(self.leaves.insert(key, Leaf { left: left.source, test, text, span }))
    }

    fn right_fields(&self, check: &Check) -> Errors {
        let right = match &check.right {
            Right::Field(_, field) => typed_field(self.schema, self.source, field),
            Right::Call(call) => typed_call(self.schema, self.source, call),
            Right::Nothing | Right::Constant(_) | Right::List(..) => return Vec::new(),
        };
        right.err().unwrap_or_default()
    }

    fn bad_operator(&self, check: &Check, left: &Typed) -> CompileError {
        let shape = shape(left.ty, left.list);
        let message = format!("`{}` does not work on {shape}", check.op);
        let hint = Some(match matcher::allowed(left.ty, left.list) {
            works if works == "`exists`" => "only `exists` works here".to_owned(),
            works => format!("these do: {works}"),
        });
        CompileError { span: check.op_span, kind: Kind::BadOperator, message, hint }
    }

    /// Checks whether the right side can be compared with the left.
    fn right(&self, check: &Check, left: &Typed, right: Result<Typed, Errors>) -> Result<Typed, Errors> {
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
            } else if left.ty != FieldType::Bytes && bytes.contains(&0) {
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
        let mut found = Vec::new();
        for_each_field(check, &mut |field| {
            if DEPRECATED_FIELDS.contains(&field.name.as_str()) {
                let message = format!("the field `{}` is deprecated", field.name);
                found.push(Hint { span: field.span, kind: HintKind::DeprecatedField, message });
            }
        });
        let constants = compile::constants(check);
        if hints::unsafe_na(check) {
            for constant in constants.iter().filter(|constant| constant.bytes == b"<NA>") {
                found.push(Hint {
                    span: constant.span,
                    kind: HintKind::UnsafeNa,
                    message: "this compares with the text `<NA>`; absent fields are tested with `exists`".to_owned(),
                });
            }
        }
        for constant in constants {
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

/// Types an operand.
pub(crate) fn typed(schema: &dyn Schema, source: &str, operand: &Operand) -> Result<Typed, Errors> {
    match operand {
        Operand::Field(field) => typed_field(schema, source, field),
        Operand::Call(call) => typed_call(schema, source, call),
    }
}

pub(crate) fn typed_field(schema: &dyn Schema, source: &str, field: &Field) -> Result<Typed, Errors> {
    let bound: Bound<'_> = bind::bind(schema, source, field).map_err(|error| vec![error])?;
    let list = bound.def.multiplicity == Multiplicity::List;
    Ok(Typed {
        ty: bound.field.ty,
        list,
        base: (bound.field.ty, list),
        multiplicity: bound.multiplicity(),
        no_rhs: bound.def.no_rhs,
        no_transformer: bound.def.no_transformer,
        name: Some(bound.def.name),
        display: schema.display(&bound.field),
        filter_only: bound.def.filter_only,
        plugin: bound.def.plugin,
        source: Source::Field(bound.field),
    })
}

fn text_operand(source: Source, list: bool, base_list: bool) -> Typed {
    Typed {
        source,
        ty: FieldType::Text,
        list,
        base: (FieldType::Text, base_list),
        multiplicity: if list { Multiplicity::List } else { Multiplicity::One },
        no_rhs: false,
        no_transformer: false,
        name: None,
        display: Display::Plain,
        filter_only: false,
        plugin: false,
    }
}

fn typed_arg(schema: &dyn Schema, source: &str, arg: &CallArg) -> Result<Typed, Errors> {
    match arg {
        CallArg::Field(field) => typed_field(schema, source, field),
        CallArg::Call(call) => typed_call(schema, source, call),
        CallArg::Constant(constant) => {
            Ok(text_operand(Source::Constant(constant.bytes.clone().into_boxed_slice()), false, false))
        }
        CallArg::List(_, members) => {
            let members = all(members.iter().map(|member| typed_arg(schema, source, member)))?;
            let members = members.into_iter().map(|member| (member.source, member.display)).collect();
            Ok(text_operand(Source::List(members), true, true))
        }
    }
}

/// Types a call: its arguments first, then what it makes of them.
pub(crate) fn typed_call(schema: &dyn Schema, source: &str, call: &Call) -> Result<Typed, Errors> {
    let args = all(call.args.iter().map(|arg| typed_arg(schema, source, arg)))?;
    let fail = |span: Span, why: String| vec![error(span, Kind::BadCall, why)];
    let function = call.function;
    let wanted = match function {
        Function::Join | Function::GetOpt => 2..=2,
        Function::Concat => 2..=usize::MAX,
        _ => 1..=1,
    };
    if !wanted.contains(&args.len()) {
        let count = match function {
            Function::Concat => "at least two arguments",
            Function::Join | Function::GetOpt => "two arguments",
            _ => "one argument",
        };
        return Err(fail(call.span, format!("`{function}(` takes {count}, not {}", args.len())));
    }
    let option = match &call.option {
        None => None,
        Some(option) if function == Function::GetOpt => match option.bytes[..] {
            [letter] => Some(letter),
            _ => return Err(fail(option.span, "between the brackets stands the letter of one option".to_owned())),
        },
        Some(option) => return Err(fail(option.span, format!("`{function}(` takes nothing in brackets"))),
    };
    // The number of arguments is right: taking them one by one cannot come out short.
    let mut args = args.into_iter().zip(&call.args);
    let mut next = || args.next().ok_or_else(|| fail(call.span, format!("`{function}(` misses an argument")));
    let needs = |at: &(Typed, &CallArg), list: bool, typed: bool, what: &str| {
        let (ty, is_list) = at.0.base;
        if is_list == list && (!typed || ty == FieldType::Text) {
            Ok(())
        } else {
            Err(fail(at.1.span(), format!("`{function}(` needs {what} here, not {}", shape(at.0.ty, at.0.list))))
        }
    };
    match function {
        Function::Join => {
            let (separator, list) = (next()?, next()?);
            needs(&separator, false, false, "one text")?;
            needs(&list, true, false, "a list")?;
            let ty = separator.0.base.0;
            let source = Source::Join { separator: Box::new(separator.0.source), ty, list: Box::new(list.0.source) };
            Ok(text_operand(source, false, false))
        }
        Function::GetOpt => {
            let (list, spec) = (next()?, next()?);
            needs(&list, true, true, "a list of texts")?;
            needs(&spec, false, true, "one text")?;
            let source =
                Source::GetOpt { list: Box::new(list.0.source), spec: Box::new(spec.0.source), letter: option };
            Ok(text_operand(source, option.is_none(), false))
        }
        Function::Concat => {
            let mut parts = Vec::new();
            while let Ok(part) = next() {
                needs(&part, false, true, "one text")?;
                parts.push(part.0.source);
            }
            Ok(text_operand(Source::Concat(parts.into()), false, false))
        }
        _ => {
            let (of, arg) = next()?;
            apply(function, of).map_err(|why| fail(arg.span(), why))
        }
    }
}

/// A call with one argument.
fn apply(function: Function, of: Typed) -> Result<Typed, String> {
    if of.no_transformer {
        return Err(format!("`{}` cannot stand in a call", of.name.unwrap_or_default()));
    }
    let fits = match function {
        Function::Len => of.list || matches!(of.ty, FieldType::Text | FieldType::Bytes),
        Function::Base64 => matches!(of.ty, FieldType::Text | FieldType::Bytes),
        _ => of.ty == FieldType::Text,
    };
    if !fits {
        return Err(format!("`{function}(` does not work on {}", shape(of.ty, of.list)));
    }
    // What a call sees as a list at run time is what its innermost operand says it is: `getopt` says it is none.
    let list = of.base.1 && of.list;
    let source = Source::Apply { function, list, of: Box::new(of.source) };
    Ok(if function == Function::Len {
        Typed { source, ty: FieldType::Uint64, list: false, multiplicity: Multiplicity::One, ..of }
    } else {
        Typed { source, ..of }
    })
}

/// All results, or all errors.
fn all(results: impl Iterator<Item = Result<Typed, Errors>>) -> Result<Vec<Typed>, Errors> {
    let mut good = Vec::new();
    let mut errors = Vec::new();
    for result in results {
        match result {
            Ok(typed) => good.push(typed),
            Err(more) => errors.extend(more),
        }
    }
    if errors.is_empty() { Ok(good) } else { Err(errors) }
}

/// A type for messages.
pub(crate) fn shape(ty: FieldType, list: bool) -> String {
    use FieldType as T;
    let name = match ty {
        T::Text => "text",
        T::Bytes => "bytes",
        T::Double => "a fraction",
        T::Reltime | T::Abstime => "a time",
        T::Bool => "a truth value",
        T::Port => "a port",
        T::IpAddr => "an address",
        T::IpNet => "a network",
        T::Flags8 | T::Flags16 | T::Flags32 | T::Mode => "flags",
        T::L4Proto | T::SockFamily | T::Dyn => "a value of this kind",
        _ => "a number",
    };
    if list { format!("a list ({name})") } else { name.to_owned() }
}

fn error(span: Span, kind: Kind, message: String) -> CompileError {
    CompileError { span, kind, message, hint: None }
}

/// Calls `f` on every field of a check, from left to right.
pub(crate) fn for_each_field<'t>(check: &'t Check, f: &mut dyn FnMut(&'t Field)) {
    match &check.left {
        Operand::Field(field) => f(field),
        Operand::Call(call) => call_fields(call, f),
    }
    match &check.right {
        Right::Field(_, field) => f(field),
        Right::Call(call) => call_fields(call, f),
        Right::Nothing | Right::Constant(_) | Right::List(..) => {}
    }
}

/// Calls `f` on every field of a call, from left to right.
pub(crate) fn call_fields<'t>(call: &'t Call, f: &mut dyn FnMut(&'t Field)) {
    fn arg_fields<'t>(arg: &'t CallArg, f: &mut dyn FnMut(&'t Field)) {
        match arg {
            CallArg::Field(field) => f(field),
            CallArg::Call(call) => call_fields(call, f),
            CallArg::Constant(_) => {}
            CallArg::List(_, members) => members.iter().for_each(|member| arg_fields(member, f)),
        }
    }
    call.args.iter().for_each(|arg| arg_fields(arg, f));
}
