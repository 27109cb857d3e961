//! `parser.jsonl`: is a condition accepted, and as which tree.

use std::fmt::Write as _;

use casebook_rules::ast::{Call, CallArg, Check, Constant, Expr, Field, Node, Operand, Right};
use casebook_rules::{condition, print};
use serde_json::Value as Json;

pub(crate) fn test(case: &Json) -> Result<(), String> {
    let text = case["condition"].as_str().unwrap();
    let accept = case["accept"].as_bool().unwrap();
    let expr = match (condition::parse(text), accept) {
        (Err(_), false) => return Ok(()),
        (Ok(expr), true) => expr,
        (Ok(expr), false) => return Err(format!("accepted as {}", sexpr(&expr))),
        (Err(errors), true) => return Err(format!("refused: {errors:?}")),
    };
    if let Some(ast) = case.get("ast").and_then(Json::as_str)
        && sexpr(&expr) != ast
    {
        return Err(format!("tree is {}", sexpr(&expr)));
    }
    if let Some(display) = case.get("text").and_then(Json::as_str)
        && print::canonical(&expr) != display
    {
        return Err(format!("text is {}", print::canonical(&expr)));
    }
    let again = condition::parse(&print::source(&expr)).map_err(|e| format!("source text does not parse: {e:?}"))?;
    if again.without_spans() != expr.without_spans() {
        return Err(format!("source text means something else: {}", sexpr(&condition::parse(text).unwrap())));
    }
    Ok(())
}

/// The notation of the cases.
fn sexpr(expr: &Expr) -> String {
    match &expr.node {
        Node::And(children) => format!("(and {})", all(children, sexpr)),
        Node::Or(children) => format!("(or {})", all(children, sexpr)),
        Node::Not(child) => format!("(not {})", sexpr(child)),
        Node::Identifier(name) => format!("(id {})", quoted(name.as_bytes())),
        Node::Check(check) => sexpr_check(check),
    }
}

fn sexpr_check(check: &Check) -> String {
    let left = match &check.left {
        Operand::Field(field) => sexpr_field(field),
        Operand::Call(call) => sexpr_call(call),
    };
    let op = check.modifier.map_or(check.op.to_string(), |modifier| format!("{} {modifier}", check.op));
    let right = match &check.right {
        Right::Nothing => return format!("(check \"{op}\" {left})"),
        Right::Constant(constant) => val(constant),
        Right::List(_, items) if items.is_empty() => "(list)".to_owned(),
        Right::List(_, items) => format!("(list {})", all(items, |item| quoted(&item.bytes))),
        Right::Field(_, field) => format!("(xform \"val\" {})", sexpr_field(field)),
        Right::Call(call) => sexpr_call(call),
    };
    format!("(check \"{op}\" {left} {right})")
}

fn sexpr_field(field: &Field) -> String {
    match &field.arg {
        Some(arg) => format!("(field \"{}\" {})", field.name, quoted(&arg.bytes)),
        None => format!("(field \"{}\")", field.name),
    }
}

fn sexpr_call(call: &Call) -> String {
    let option = call.option.as_ref().map_or(String::new(), |option| format!("[{}] ", quoted(&option.bytes)));
    format!("(xform \"{}\" {option}{})", call.function, all(&call.args, sexpr_arg))
}

fn sexpr_arg(arg: &CallArg) -> String {
    match arg {
        CallArg::Field(field) => sexpr_field(field),
        CallArg::Call(call) => sexpr_call(call),
        CallArg::Constant(constant) => val(constant),
        CallArg::List(_, items) if items.is_empty() => "(tlist)".to_owned(),
        CallArg::List(_, items) => format!("(tlist {})", all(items, sexpr_arg)),
    }
}

fn val(constant: &Constant) -> String {
    format!("(val {})", quoted(&constant.bytes))
}

fn all<T>(items: &[T], print: impl Fn(&T) -> String) -> String {
    items.iter().map(print).collect::<Vec<_>>().join(" ")
}

/// A JSON string, with bytes that are not UTF-8 as `\xHH`.
fn quoted(bytes: &[u8]) -> String {
    let mut out = String::from("\"");
    for chunk in bytes.utf8_chunks() {
        let text = serde_json::to_string(chunk.valid()).unwrap();
        out.push_str(&text[1..text.len() - 1]);
        for byte in chunk.invalid() {
            // Writing to a string cannot fail.
            let _ = write!(out, "\\x{byte:02x}");
        }
    }
    out.push('"');
    out
}
