//! Types of operands: what a field is, and what calls make of it.

use crate::ast::{Call, CallArg, Check, Field, Function, Operand, Right, Span};
use crate::bind::{self, Bound};
use crate::compile::{CompileError, CompileErrorKind as Kind};
use crate::operand::Source;
use crate::schema::{Display, FieldType, Multiplicity, Schema};

/// An operand with its type.
#[allow(clippy::struct_excessive_bools)] // marks of a field, each for itself
#[derive(Clone, Debug)]
pub(crate) struct Typed {
    pub(crate) source: Source,
    pub(crate) ty: FieldType,
    pub(crate) list: bool,
    /// Type and list-ness below all calls with one argument. That is what calls with several arguments look at.
    base: (FieldType, bool),
    pub(crate) multiplicity: Multiplicity,
    pub(crate) no_rhs: bool,
    /// The field's name, when the operand is nothing but a field or one-argument calls on it.
    pub(crate) name: Option<&'static str>,
    pub(crate) display: Display,
    no_transformer: bool,
    pub(crate) filter_only: bool,
    pub(crate) plugin: bool,
}

type Errors = Vec<CompileError>;

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

pub(crate) fn error(span: Span, kind: Kind, message: String) -> CompileError {
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
