// Tests may stop at the first surprise.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::{CompileErrorKind as Kind, Compiled, HintKind, compile, condition_from_text};
use crate::ast::{Expr, MAX_TREE_DEPTH, Node, Span};
use crate::condition;
use crate::evttypes;
use crate::leaf::{EvalError, Leaves, Memo};
use crate::sample::{Event, SOURCE, Sample};
use crate::value::Value;

fn compiled(text: &str, leaves: &mut Leaves) -> Compiled {
    condition_from_text(text, SOURCE, &Sample::new(), leaves).unwrap_or_else(|errors| panic!("{text}: {errors:?}"))
}

fn verdict(text: &str, event: &Event) -> Result<bool, EvalError> {
    let mut leaves = Leaves::new();
    let compiled = compiled(text, &mut leaves);
    compiled.condition.eval(&leaves, event, &mut Memo::new(&leaves))
}

/// Spot and kind of every error.
fn errors(text: &str) -> Vec<(&str, Kind)> {
    let errors = condition_from_text(text, SOURCE, &Sample::new(), &mut Leaves::new()).unwrap_err();
    errors.iter().map(|error| (error.span.slice(text).unwrap(), error.kind)).collect()
}

fn hints(text: &str) -> Vec<(&str, HintKind)> {
    let hints = compiled(text, &mut Leaves::new()).hints;
    hints.iter().map(|hint| (hint.span.slice(text).unwrap(), hint.kind)).collect()
}

#[test]
fn all_mistakes_are_reported_in_order_and_in_place() {
    assert_eq!(
        errors("proc.nmae = x and (proc.pid = (0) or evt.type in (open, opne)) "),
        [("(", Kind::Syntax)],
        "what does not parse is not compiled"
    );
    assert_eq!(
        errors("proc.nmae = x and not (proc.pid = 0x1 or evt.type in (open, opne)) and proc.pid contains 1 and m1"),
        [
            ("proc.nmae", Kind::UnknownField),
            ("0x1", Kind::BadConstant),
            ("opne", Kind::UnknownEventType),
            ("contains", Kind::BadOperator),
            ("m1", Kind::UnknownIdentifier),
        ]
    );
    assert_eq!(errors("proc.pid in (1, b, c)"), [("b", Kind::BadConstant), ("c", Kind::BadConstant)]);
    assert_eq!(errors("no.such = val(no.other)"), [("no.such", Kind::UnknownField), ("no.other", Kind::UnknownField)]);
    assert_eq!(errors("proc.name = val(proc.pid)"), [("val(proc.pid)", Kind::BadRightSide)]);
    assert_eq!(errors("concat(proc.name, fd.types) = x"), [("fd.types", Kind::BadCall)]);
    assert_eq!(errors("tolower(proc.aname) = x"), [("proc.aname", Kind::BadCall)]);
    assert_eq!(errors("evt.arg.nosuch = x"), [("evt.arg.nosuch", Kind::UnknownField)]);
    assert_eq!(errors("evt.arg = x"), [("evt.arg", Kind::BadArgument)]);
}

#[test]
fn unknown_fields_get_a_suggestion() {
    let hint = |text: &str| {
        condition_from_text(text, SOURCE, &Sample::new(), &mut Leaves::new()).unwrap_err()[0].hint.clone().unwrap()
    };
    assert_eq!(hint("proc.nmae = x"), "did you mean `proc.name`?");
    assert_eq!(hint("proc.name[1] = x"), "`proc.name` takes no argument");
    assert_eq!(hint("evt.arg = x"), "`evt.arg` needs an argument: `[number]` or `.NAME`");
    assert_eq!(hint("evt.is_io contains t"), "these do: `exists`, `==`, `=`, `!=`, `intersects`, `in`");
}

#[test]
fn constants_that_look_like_something_else_get_a_hint() {
    assert_eq!(hints("proc.name = proc.pname"), [("proc.pname", HintKind::FieldAsConstant)]);
    assert_eq!(hints("proc.name = \" proc.aname[1] \""), [("\" proc.aname[1] \"", HintKind::FieldAsConstant)]);
    assert_eq!(hints("proc.name = \"tolower(x)\""), [("\"tolower(x)\"", HintKind::CallAsConstant)]);
    assert_eq!(hints("proc.name regex \"^abc$\""), [("\"^abc$\"", HintKind::NeedlessRegex)]);
    assert_eq!(hints("ka.verb in (get, <NA>)"), [("<NA>", HintKind::UnsafeNa)]);
    assert_eq!(hints("ka.verb != <NA> and proc.name = <NA>"), [("<NA>", HintKind::UnsafeNa)]);
    assert_eq!(hints("evt.dir = < and evt.dir != >"), [("evt.dir", HintKind::DeprecatedField)]);
    assert_eq!(hints("proc.name = no.field or proc.name regex \"a.b\""), []);
}

#[test]
fn equal_checks_are_one_leaf_and_are_asked_once() {
    let mut leaves = Leaves::new();
    let one = compiled("proc.name = a and (fd.name in (x, y) or proc.name == \"a\")", &mut leaves);
    let other = compiled("not proc.name = a or fd.name in (x, z)", &mut leaves);
    assert_eq!(leaves.len(), 3);
    let event = Event::new().text("proc.name", "a").text("fd.name", "y");
    let mut memo = Memo::new(&leaves);
    memo.start_event();
    assert_eq!(one.condition.eval(&leaves, &event, &mut memo), Ok(true));
    assert_eq!(other.condition.eval(&leaves, &event, &mut memo), Ok(false));
    assert_eq!(event.asked.get(), 3);
    memo.start_event();
    let event = Event::new().text("proc.name", "b");
    assert_eq!(other.condition.eval(&leaves, &event, &mut memo), Ok(true), "verdicts of the last event are forgotten");
}

#[test]
fn short_circuit_leaves_the_rest_unasked() {
    let event = Event::new().text("proc.name", "a");
    assert_eq!(verdict("proc.name = a or fd.name = b", &event), Ok(true));
    assert_eq!(event.asked.get(), 1);
    assert_eq!(verdict("not proc.name = a and fd.ip intersects (1.1.1.1)", &event), Ok(false));
}

#[test]
fn absent_values_make_every_check_false() {
    let event = Event::new();
    for check in ["fd.name != x", "fd.name exists", "proc.pid != 1", "fd.name != allof (x)", "fd.name glob *"] {
        assert_eq!(verdict(check, &event), Ok(false), "{check}");
        assert_eq!(verdict(&format!("not {check}"), &event), Ok(true), "{check}");
    }
    assert_eq!(verdict("concat(proc.name, \"x\") exists", &event), Ok(false));
    assert_eq!(verdict("proc.name = val(fd.name)", &event.text("proc.name", "x")), Ok(false));
}

#[test]
fn both_ends_and_their_gaps() {
    let ip = |text: &str| Value::Ip(text.parse().unwrap());
    let connection = || {
        let ends = || [ip("10.0.0.1"), ip("93.184.216.34")];
        Event::new().many("fd.ip", ends()).many("fd.net", ends()).many("fd.port", [Value::U64(4000), Value::U64(443)])
    };
    for (check, expected) in [
        ("fd.ip = 10.0.0.1", true),
        ("fd.ip != 10.0.0.1", false),
        ("fd.ip != 8.8.8.8", true),
        ("fd.ip in (10.0.0.1)", false),
        ("fd.net in (10.0.0.0/8)", true),
        ("fd.net in (1.0.0.0/8, 10.0.0.0/8)", false),
        ("fd.net intersects (10.0.0.0/8)", false),
        ("fd.net != 10.0.0.0/8", false),
        ("fd.port in (https, 1)", true),
        ("fd.port > 1000", true),
        ("fd.port = anyof (1, 443)", false),
        ("fd.ip exists", true),
    ] {
        assert_eq!(verdict(check, &connection()), Ok(expected), "{check}");
    }
    assert_eq!(verdict("fd.ip intersects (10.0.0.1)", &connection()), Err(EvalError::TwoEndsIntersects));
    assert_eq!(verdict("fd.ip intersects (10.0.0.1)", &Event::new()), Ok(false));
    let listening = Event::new().many("fd.net", [ip("10.0.0.1")]);
    assert_eq!(verdict("fd.net intersects (10.0.0.0/8)", &listening), Ok(true));
}

#[test]
fn networks_and_modifiers() {
    let event = || Event::new().with("fd.snet", Value::Ip("10.1.2.3".parse().unwrap()));
    for (check, expected) in [
        ("fd.snet = anyof (10.0.0.0/8)", false),
        ("fd.snet != allof (10.0.0.0/8)", true),
        ("fd.snet != allof ()", false),
        ("fd.snet = allof (10.0.0.0/8, 10.1.0.0/16)", true),
        ("fd.snet = oneof (10.0.0.0/8, 11.0.0.0/8)", true),
        ("fd.snet = oneof (10.0.0.0/8, 10.1.0.0/16)", false),
        ("fd.snet != 2001:db8::/32", true),
    ] {
        assert_eq!(verdict(check, &event()), Ok(expected), "{check}");
    }
}

#[test]
fn texts_made_by_calls_end_like_in_c() {
    let event =
        || Event::new().text("proc.name", "NgInX").text("proc.pname", "nginx").many("fd.types", [Value::text(b"File")]);
    for (check, expected) in [
        ("tolower(proc.name) = nginx", true),
        ("tolower(proc.name) in (nginx)", true),
        ("tolower(proc.name) regex nginx", true),
        ("proc.pname = tolower(proc.name)", true),
        ("proc.pname in tolower(proc.name)", false),
        ("tolower(fd.types) in (file)", false),
        ("fd.types in (File)", true),
        ("len(fd.types) = 1", true),
        ("len(tolower(proc.name)) = 5", true),
        ("join(\"-\", tolower(fd.types)) = file", true),
        ("concat(tolower(proc.name), proc.name) = nginxNgInX", true),
        ("join(\"\", ()) = \"\"", true),
        ("len(getopt((\"-a\"), \"a\")) = 1", true),
        ("b64(\"bmdpbng=\") = val(proc.pname)", true),
    ] {
        assert_eq!(verdict(check, &event()), Ok(expected), "{check}");
    }
    assert_eq!(verdict("len(getopt((\"-a\", \"-b\"), \"ab\")) = 1", &event()), Err(EvalError::SeveralValues));
}

#[test]
fn ancestors_are_looked_at_from_the_parent_up() {
    let event = || {
        Event::new()
            .many("proc.aname", [Value::text(b"bash"), Value::text(b"sshd")])
            .text("proc.aname[2]", "sshd")
            .many("proc.apid", [Value::I64(7)])
    };
    for (check, expected) in [
        ("proc.aname = sshd", true),
        ("proc.aname != sshd", true),
        ("proc.aname in (x, sshd)", true),
        ("proc.aname = anyof (x, sshd)", false),
        ("proc.aname[2] != sshd", false),
        ("proc.aname[2] = anyof (x, sshd)", true),
        ("proc.apid = 7", true),
        ("proc.apid in (7)", false),
        ("proc.apid exists", true),
    ] {
        assert_eq!(verdict(check, &event()), Ok(expected), "{check}");
    }
}

#[test]
fn around_is_a_span_of_time() {
    let event = || Event::new().with("evt.around[1000000000]", Value::U64(1_005_000_000));
    assert_eq!(verdict("evt.around[1000000000] = 5", &event()), Ok(true));
    assert_eq!(verdict("evt.around[1000000000] = 4", &event()), Ok(false));
    assert_eq!(errors("evt.around[1] > 5"), [("evt.around[1] > 5", Kind::BadConstant)]);
}

#[test]
fn joined_macros_have_a_limit() {
    let check = condition::parse("proc.name = a").unwrap();
    let nest = move |levels: usize| {
        (0..levels).fold(check.clone(), |child, _| Expr { span: Span::default(), node: Node::Not(Box::new(child)) })
    };
    let run = move || {
        assert!(compile(&nest(MAX_TREE_DEPTH - 1), SOURCE, &Sample::new(), &mut Leaves::new()).is_ok());
        assert!(evttypes::event_types(&nest(MAX_TREE_DEPTH - 1), &Sample::new()).is_ok());
        let errors = compile(&nest(MAX_TREE_DEPTH), SOURCE, &Sample::new(), &mut Leaves::new()).unwrap_err();
        assert_eq!(errors[0].kind, Kind::TooDeep);
        assert!(evttypes::event_types(&nest(MAX_TREE_DEPTH), &Sample::new()).is_err());
    };
    std::thread::Builder::new().stack_size(2 << 20).spawn(run).unwrap().join().unwrap();
}

#[test]
fn the_listing_can_be_read() {
    let mut leaves = Leaves::new();
    let condition = compiled("proc.name = a and not (fd.name = b or proc.pid > 1)", &mut leaves).condition;
    let expected = "   0  leaf 0     yes → 1      no → false  proc.name = a
   1  leaf 1     yes → false  no → 2      fd.name = b
   2  leaf 2     yes → false  no → true   proc.pid > 1\n";
    assert_eq!(condition.listing(&leaves), expected);
}

/// The plain meaning of a tree, without steps and memory.
fn meaning(expr: &Expr, event: &Event) -> bool {
    match &expr.node {
        Node::And(children) => children.iter().all(|child| meaning(child, event)),
        Node::Or(children) => children.iter().any(|child| meaning(child, event)),
        Node::Not(child) => !meaning(child, event),
        Node::Check(_) => verdict(&crate::print::source(expr), event).unwrap(),
        Node::Identifier(_) => false,
    }
}

/// Conditions out of checks, some of which are true on [`event`].
fn conditions() -> impl Strategy<Value = String> {
    let check =
        prop::sample::select(vec!["proc.name = a", "proc.name = b", "proc.pid > 3", "fd.name = x", "proc.pid = 9"]);
    check.prop_map(str::to_owned).prop_recursive(5, 24, 4, |inner| {
        let children = prop::collection::vec(inner.clone(), 2..4);
        prop_oneof![
            children.clone().prop_map(|parts| format!("({})", parts.join(" and "))),
            children.prop_map(|parts| format!("({})", parts.join(" or "))),
            inner.prop_map(|part| format!("not ({part})")),
        ]
    })
}

proptest! {
    #[test]
    fn steps_mean_what_the_tree_means(text in conditions()) {
        let event = Event::new().text("proc.name", "a").with("proc.pid", Value::I64(4));
        let expr = condition::parse(&text).unwrap();
        prop_assert_eq!(verdict(&text, &event).unwrap(), meaning(&expr, &event));
    }

    #[test]
    fn any_check_compiles_or_is_refused(
        field in prop::sample::select(vec![
            "evt.num", "evt.type", "evt.buffer", "evt.is_io", "proc.name", "proc.pid", "proc.aname", "proc.apid", "thread.cpu",
            "user.uid", "fd.types", "fd.sip", "fd.snet", "fd.sport", "fd.ip", "fd.net", "fd.port", "tolower(proc.name)",
            "len(fd.types)", "b64(evt.buffer)", "getopt((proc.name, \"-a\"), \"a\")", "join(proc.pid, fd.types)",
        ]),
        op in prop::sample::select(vec![
            "= ", "!= ", "< ", ">= ", "contains ", "icontains ", "bcontains ", "startswith ", "endswith ", "glob ", "regex ",
            "in ", "intersects ", "pmatch ", "= anyof ", "!= allof ", "contains oneof ", "glob anyof ",
        ]),
        right in prop::sample::select(vec![
            "1", "x", "\"\"", "0a", "(1, 2)", "(a, \"b\")", "()", "10.0.0.0/8", "::1", "true", "val(proc.name)", "val(proc.pid)",
            "len(proc.name)", "\"[a\"", "*a", "(10.0.0.1)",
        ]),
    ) {
        let event = Event::new()
            .text("proc.name", "a")
            .with("proc.pid", Value::I64(-4))
            .with("evt.buffer", Value::Bytes(b"\0a"[..].into()))
            .with("fd.sip", Value::Ip("10.0.0.1".parse().unwrap()))
            .many("fd.types", [Value::text(b"a"), Value::text(b"")]);
        let mut leaves = Leaves::new();
        let text = format!("{field} {op}{right}");
        if let Ok(compiled) = condition_from_text(&text, SOURCE, &Sample::new(), &mut leaves) {
            let _ = compiled.condition.eval(&leaves, &event, &mut Memo::default());
        }
    }
}

#[test]
fn the_result_rests_on_what_could_turn_it() {
    // `a` to `c` by process name; what is not told is unknown.
    let undecided = |text: &str, known: &[(&str, bool)]| -> Vec<String> {
        let mut leaves = Leaves::new();
        let condition = compiled(text, &mut leaves).condition;
        let name = |leaf| leaves.text(leaf).rsplit(' ').next().unwrap_or_default().to_owned();
        let ids = condition.undecided(&mut |leaf| known.iter().find(|(text, _)| *text == name(leaf)).map(|(_, v)| *v));
        ids.into_iter().map(name).collect()
    };
    let (a, b, c) = ("proc.name = a", "proc.name = b", "proc.name = c");
    let none: [&str; 0] = [];
    assert_eq!(undecided(&format!("{a} and not {b}"), &[("a", true)]), ["b"]);
    assert_eq!(undecided(&format!("{a} or {b}"), &[("b", true)]), none, "true whatever a is");
    assert_eq!(undecided(&format!("{a} and {b}"), &[("b", false)]), none, "false whatever a is");
    assert_eq!(undecided(&format!("{a} and {b}"), &[("a", false)]), none, "b is not asked");
    assert_eq!(undecided(&format!("not {a} or not {b}"), &[]), ["a", "b"], "both together could make it false");
    assert_eq!(undecided(&format!("({a} or {b}) and not {c}"), &[("b", true)]), ["c"]);
    assert_eq!(undecided(&format!("({a} and {b}) or {c}"), &[("c", false)]), ["a", "b"]);
    assert_eq!(undecided(&format!("{a} and {b}"), &[("a", true), ("b", true)]), none);
}
