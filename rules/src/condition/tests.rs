// Tests may stop at the first surprise.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::{MAX_DEPTH, parse, parse_operand};
use crate::ast::{Modifier, Node, Operator, Right};
use crate::print;

fn messages(text: &str) -> Vec<(String, String)> {
    let errors = parse(text).unwrap_err();
    errors.iter().map(|e| (e.span.slice(text).unwrap().to_owned(), e.message.clone())).collect()
}

fn check(text: &str) -> crate::ast::Check {
    match parse(text).unwrap().node {
        Node::Check(check) => *check,
        other => panic!("no check: {other:?}"),
    }
}

#[test]
fn spans_point_at_what_was_written() {
    let text = " proc.name startswith  anyof (a, \"b c\") and (m1)";
    let expr = parse(text).unwrap();
    assert_eq!(expr.span.slice(text).unwrap(), "proc.name startswith  anyof (a, \"b c\") and (m1)");
    let Node::And(children) = &expr.node else { panic!() };
    let Node::Check(check) = &children[0].node else { panic!() };
    assert_eq!(children[0].span.slice(text).unwrap(), "proc.name startswith  anyof (a, \"b c\")");
    assert_eq!(check.op_span.slice(text).unwrap(), "startswith  anyof");
    assert_eq!((check.op, check.modifier), (Operator::StartsWith, Some(Modifier::AnyOf)));
    let Right::List(span, items) = &check.right else { panic!() };
    assert_eq!(span.slice(text).unwrap(), "(a, \"b c\")");
    assert_eq!(items[1].span.slice(text).unwrap(), "\"b c\"");
    assert_eq!(items[1].bytes, b"b c");
    assert_eq!(children[1].span.slice(text).unwrap(), "m1");
}

#[test]
fn every_mistake_is_reported_once() {
    let found = messages("proc.name = and_x m2 and fd.name startwith /x or (proc.pid > one and ok) or fd.num is 3");
    let spots: Vec<&str> = found.iter().map(|(spot, _)| spot.as_str()).collect();
    assert_eq!(spots, ["m2", "startwith", "one", "is"]);
    assert_eq!(messages("proc.name in (a b) and m1").len(), 1);
    assert_eq!(messages("tolower(concat(proc.name, x)) = y and m1").len(), 1);
    assert_eq!(messages("(m1 m2) and m3").len(), 1);
    assert_eq!(messages("(m1 and (m2 or m3)"), [("(".to_owned(), "this parenthesis is never closed".to_owned())]);
}

#[test]
fn slips_get_a_hint() {
    let hint = |text: &str| parse(text).unwrap_err()[0].hint.clone().unwrap_or_default();
    assert_eq!(hint("fd.name startwith /x"), "did you mean `startswith`?");
    assert_eq!(hint("fd.name contains"), "`contains` needs a blank after it");
    assert_eq!(hint("m1 && m2"), "write `and`");
    assert_eq!(hint("proc.name not in (a)"), "write `not` before the field");
    assert_eq!(hint("proc.name in [a]"), "write the values between parentheses: `(a, b)`");
}

#[test]
fn first_item_with_a_bad_escape_makes_the_list_empty() {
    let Right::List(_, items) = check("proc.name in (\"\\q\")").right else { panic!() };
    assert!(items.is_empty());
    assert!(parse("proc.name in (a, \"\\q\")").is_err());
    assert!(parse("proc.name in (\"\\q\", a)").is_err());
}

#[test]
fn white_space_differs_by_place() {
    assert!(parse("a.b = x\u{8}and m1").is_err(), "a backspace is part of a bare text");
    assert!(parse("m1\u{8}and\u{8}m2").is_ok());
    assert!(parse("m1\u{c}and m2").is_err());
    assert!(matches!(parse("not\u{c}m2").unwrap().node, Node::Not(_)));
}

#[test]
fn depth_is_counted_like_falco_does() {
    let nested = |n: usize, inner: &str| format!("{}{inner}{}", "(".repeat(n), ")".repeat(n));
    assert!(parse(&nested(199, "m1")).is_ok());
    assert!(parse(&nested(200, "m1")).is_err());
    assert!(parse(&nested(198, "a.b = c")).is_ok());
    assert!(parse(&nested(199, "a.b = c")).is_err());
    assert_eq!(parse(&nested(5000, "m1")).unwrap_err().len(), 1);
}

#[test]
fn deep_texts_fit_a_small_stack() {
    let run = |text: String| {
        std::thread::Builder::new()
            .stack_size(2 << 20)
            .spawn(move || {
                let _ = parse(&text).map(|e| print::source(&e).len());
            })
            .unwrap()
            .join()
            .unwrap();
    };
    let n = MAX_DEPTH as usize;
    run("(".repeat(n * 100));
    run("not(".repeat(n * 100));
    run(format!("{}m1{}", "not(".repeat(199), ")".repeat(199)));
    run(format!("{}a.b{} = c", "tolower(".repeat(n / 2), ")".repeat(n / 2)));
    run(format!("{}m1", "m1 or(".repeat(n)));
    run(format!("{}m1", "not ".repeat(n * 100)));
    run(format!("m1{}", " and m1".repeat(n * 100)));
}

#[test]
fn operands_of_outputs_stop_where_the_field_ends() {
    let (_, len) = parse_operand("proc.aname[2] and more").unwrap();
    assert_eq!(len, "proc.aname[2]".len());
    let (_, len) = parse_operand("join(\"+\", (proc.name, proc.pid))]").unwrap();
    assert_eq!(len, "join(\"+\", (proc.name, proc.pid))".len());
    assert!(parse_operand("proc").is_err());
}

/// Pieces that make conditions, valid and not.
fn pieces() -> impl Strategy<Value = String> {
    let word = prop::sample::select(vec![
        "proc.name",
        "fd.name",
        "proc.aname[2]",
        "proc.env[\"A B\"]",
        "m1",
        "not",
        "and",
        "or",
        "not ",
        " and ",
        " or ",
        "(",
        ")",
        " ",
        "\n",
        "\t",
        "=",
        "==",
        "!=",
        "<=",
        ">",
        " in ",
        "in",
        " intersects ",
        " pmatch ",
        " exists",
        " contains ",
        " startswith ",
        " glob ",
        " regex ",
        " bcontains ",
        "anyof ",
        " oneof ",
        "allof ",
        ",",
        "a",
        "/x",
        "\"b c\"",
        "'d'",
        "\"\\n\"",
        "\"\\x00\\xff\"",
        "\"\\",
        "12",
        "-1.5e+3",
        "0x1F",
        "tolower(",
        "join(",
        "getopt(",
        "val(",
        "len(",
        "[",
        "]",
        "[c]",
        "é",
        "\u{8}",
        "\u{c}",
        "\\",
        ".",
        "_",
        "%",
    ]);
    prop::collection::vec(word, 0..24).prop_map(|words| words.concat())
}

proptest! {
    #[test]
    fn what_is_accepted_prints_and_parses_back(text in pieces()) {
        if let Ok(expr) = parse(&text) {
            let printed = print::source(&expr);
            let again = parse(&printed).map_err(|e| TestCaseError::fail(format!("{printed:?}: {e:?}")))?;
            prop_assert_eq!(again.without_spans(), expr.without_spans(), "{}", printed);
        }
    }

    #[test]
    fn errors_lie_within_the_text(text in pieces()) {
        if let Err(errors) = parse(&text) {
            prop_assert!(!errors.is_empty());
            for error in errors {
                prop_assert!(error.span.slice(&text).is_some(), "{error:?}");
            }
        }
    }

    #[test]
    fn any_text_is_survived(text in any::<String>()) {
        let _ = parse(&text);
        let _ = parse_operand(&text);
    }
}
