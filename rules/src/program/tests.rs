//! Programs say what the rules say one by one, and ask no more than they do.

// A condition of a test that does not compile is a mistake of the test.
#![allow(clippy::unwrap_used)]

use std::cell::RefCell;

use super::*;
use crate::compile::condition_from_text;
use crate::event::Facts;
use crate::sample::{Event, SOURCE, Sample};
use crate::schema::Schema;

/// An event whose type is known beforehand, and who was asked for what.
struct Typed {
    event: Event,
    asked: RefCell<Vec<u16>>,
}

impl Typed {
    fn new(event: Event) -> Self {
        Self { event, asked: RefCell::default() }
    }
}

impl EventFields for Typed {
    fn extract<'e>(&'e self, field: &FieldRef) -> Extracted<'e> {
        self.asked.borrow_mut().push(field.id);
        self.event.extract(field)
    }

    fn of_type<'e>(&'e self, field: &FieldRef) -> Option<Extracted<'e>> {
        let etype = Sample::new().field(SOURCE, "evt.type").map(|(id, _)| id);
        (Some(field.id) == etype).then(|| self.event.extract(field))
    }

    /// Names of descriptors and parents are facts; the process is not.
    fn follows_from(&self, field: &FieldRef) -> Option<u32> {
        let is = |name| Sample::new().field(SOURCE, name).is_some_and(|(id, _)| id == field.id);
        [("fd.name", 1), ("proc.pname", 2)].into_iter().find(|(name, _)| is(name)).map(|(_, fact)| fact)
    }

    fn facts(&self, wanted: u32) -> Option<Facts<'_>> {
        let mut facts = Facts::default();
        for (fact, name) in [(1, "fd.name"), (2, "proc.pname")] {
            if wanted & fact == 0 {
                continue;
            }
            let schema = Sample::new();
            let (id, _) = schema.field(SOURCE, name)?;
            match self.event.extract(&schema.bind(SOURCE, id, crate::schema::ArgText::None).ok()?) {
                Extracted::One(crate::value::Value::Text(text)) => facts.text(Some(text)),
                _ => facts.absent(),
            }
        }
        Some(facts)
    }
}

fn compiled(texts: &[&str]) -> (Leaves, Vec<(Expr, Condition)>) {
    let mut leaves = Leaves::new();
    let schema = Sample::new();
    let condition = |text: &&str| {
        let expr = crate::condition::parse(text).unwrap();
        (expr, condition_from_text(text, SOURCE, &schema, &mut leaves).unwrap().condition)
    };
    let conditions = texts.iter().map(condition).collect();
    (leaves, conditions)
}

fn program(leaves: &Leaves, conditions: &[(Expr, Condition)], event: Option<&Typed>) -> Program {
    Program::new((0..).zip(conditions).map(|(n, (expr, condition))| (n, expr, condition)), leaves, event)
}

/// What a program gives, and which fields it asked for.
fn run(program: &Program, leaves: &Leaves, event: &Typed, first: bool) -> (Vec<u32>, Vec<u16>) {
    let (mut memo, mut out) = (Memo::new(leaves), Vec::new());
    memo.start_event();
    event.asked.take();
    program.run(leaves, event, &mut memo, 0, first, &mut out).unwrap();
    (out, event.asked.take())
}

/// What the conditions say one after the other, with a memory.
fn one_by_one(leaves: &Leaves, conditions: &[(Expr, Condition)], event: &Typed) -> (Vec<u32>, Vec<u16>) {
    let mut memo = Memo::new(leaves);
    memo.start_event();
    event.asked.take();
    let is_true = |(_, (_, condition)): &(u32, &(Expr, Condition))| condition.eval(leaves, event, &mut memo).unwrap();
    let out = (0..).zip(conditions).filter(is_true).map(|(number, _)| number).collect();
    (out, event.asked.take())
}

const TEXTS: [&str; 9] = [
    "evt.type = open and proc.name = a and fd.name = x",
    "evt.type in (open, close) and proc.name = a and not fd.name = x",
    "evt.type = close and proc.name = a",
    "(proc.name = a or fd.name = x) and proc.pname = p",
    "not (proc.name = a and proc.pname = p) and (evt.type = close or fd.name = x)",
    "evt.type = open",
    "evt.type = execve or proc.pname exists",
    "proc.pname = p and not evt.type = open",
    "not proc.name = a",
];

#[test]
fn programs_agree_with_the_rules_one_by_one() {
    let (leaves, conditions) = compiled(&TEXTS);
    for etype in ["open", "close", "execve"] {
        for bits in 0..8_u32 {
            let mut event = Event::new().text("evt.type", etype);
            for (at, (field, value)) in
                [("proc.name", "a"), ("fd.name", "x"), ("proc.pname", "p")].into_iter().enumerate()
            {
                if bits >> at & 1 == 1 {
                    event = event.text(field, value);
                }
            }
            let event = Typed::new(event);
            let (wanted, asked) = one_by_one(&leaves, &conditions, &event);
            for of_type in [Some(&event), None] {
                let program = program(&leaves, &conditions, of_type);
                let (found, by_program) = run(&program, &leaves, &event, false);
                assert_eq!(found, wanted, "{etype} {bits:03b}");
                assert!(by_program.len() <= asked.len(), "{etype} {bits:03b}: {by_program:?} {asked:?}");
                assert_eq!(run(&program, &leaves, &event, true).0, wanted[..wanted.len().min(1)]);
            }
        }
    }
}

#[test]
fn what_the_type_decides_is_not_asked() {
    let (leaves, conditions) = compiled(&TEXTS[..3]);
    let event = Typed::new(Event::new().text("evt.type", "execve"));
    let program = program(&leaves, &conditions, Some(&event));
    assert!(program.is_empty());
    assert_eq!(run(&program, &leaves, &event, false), (vec![], vec![]));
}

#[test]
fn a_false_beginning_leads_past_all_rules_that_have_it() {
    let texts: Vec<String> = (0..100).map(|n| format!("proc.name = a and fd.name = x{n}")).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let (leaves, conditions) = compiled(&texts);
    let event = Typed::new(Event::new().text("proc.name", "b"));
    let program = program(&leaves, &conditions, None);
    // The first line says no, and nothing comes after it.
    assert_eq!(program.lines[0].no, END);
    assert_eq!(run(&program, &leaves, &event, false).1.len(), 1);
}

#[test]
fn an_abort_comes_where_it_came() {
    let texts = ["proc.name = a", "fd.ip intersects (10.0.0.1)", "proc.pname = p"];
    let (leaves, conditions) = compiled(&texts);
    let ends = [crate::value::Value::Ip([10, 0, 0, 1].into()), crate::value::Value::Ip([10, 0, 0, 2].into())];
    let event = Typed::new(Event::new().text("proc.name", "a").text("proc.pname", "p").many("fd.ip", ends));
    let (mut memo, mut out) = (Memo::new(&leaves), Vec::new());
    let program = program(&leaves, &conditions, None);
    assert_eq!(program.run(&leaves, &event, &mut memo, 0, false, &mut out), Err(EvalError::TwoEndsIntersects));
    assert_eq!(out, [0]);
}

#[test]
fn many_comparisons_of_a_field_are_one_lookup() {
    let mut texts: Vec<String> = (0..50).map(|n| format!("proc.name = n{n} and fd.name = x")).collect();
    texts.extend(["proc.name in (n7, n8, n9)", "proc.name startswith n1 and not fd.name = x"].map(str::to_owned));
    texts.extend((0..50).map(|n| format!("proc.name startswith n{n}")));
    texts.extend((0..20).map(|n| format!("proc.name contains {n}")));
    texts.push("proc.name = other or fd.name = x".to_owned());
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let (leaves, conditions) = compiled(&texts);
    let program = program(&leaves, &conditions, None);
    assert_eq!(program.switches.len(), 1);
    for name in ["n1", "n7", "n12", "n49", "n", "other", "", "n7\0", "n1\0x"] {
        for file in ["x", "y"] {
            let event = Typed::new(Event::new().text("proc.name", name).text("fd.name", file));
            let wanted = one_by_one(&leaves, &conditions, &event).0;
            assert_eq!(run(&program, &leaves, &event, false).0, wanted, "{name:?} {file}");
        }
    }
    let nobody = Typed::new(Event::new().text("fd.name", "y"));
    assert_eq!(run(&program, &leaves, &nobody, false).0, one_by_one(&leaves, &conditions, &nobody).0);
    let one = Typed::new(Event::new().text("proc.name", "m").text("fd.name", "y"));
    assert!(run(&program, &leaves, &one, false).1.len() < 5);
}

#[test]
fn events_that_are_alike_are_asked_once() {
    let mut texts: Vec<String> = (0..5).map(|n| format!("fd.name endswith {n} and proc.name = a")).collect();
    texts.extend(TEXTS.map(str::to_owned));
    texts.push("fd.name endswith .so and proc.pname exists".to_owned());
    texts.push("proc.name = b and (fd.name endswith 2 or proc.pname = p)".to_owned());
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let (leaves, conditions) = compiled(&texts);
    let first = Typed::new(Event::new().text("evt.type", "open"));
    let program = program(&leaves, &conditions, Some(&first));
    assert_eq!(program.facts, 3);
    let mut memo = Memo::new(&leaves);
    let own: Vec<u16> =
        ["fd.name", "proc.pname"].into_iter().filter_map(|name| Some(Sample::new().field(SOURCE, name)?.0)).collect();
    for round in 0..3 {
        for file in ["x", "f1", "f2", "libc.so"] {
            for process in ["a", "b"] {
                for parent in [None, Some("p"), Some("q")] {
                    let mut event = Event::new().text("evt.type", "open").text("fd.name", file);
                    event = event.text("proc.name", process);
                    event = parent.into_iter().fold(event, |event, parent| event.text("proc.pname", parent));
                    let event = Typed::new(event);
                    let wanted = one_by_one(&leaves, &conditions, &event).0;
                    for first in [false, true] {
                        let mut out = Vec::new();
                        memo.start_event();
                        event.asked.take();
                        program.run(&leaves, &event, &mut memo, 7, first, &mut out).unwrap();
                        let asked = event.asked.take();
                        let wanted = if first { &wanted[..wanted.len().min(1)] } else { &wanted[..] };
                        assert_eq!(out, wanted, "{round} {file} {process} {parent:?}");
                        let again = round > 0 && asked.iter().any(|field| own.contains(field));
                        assert!(!again, "{file} {process} {parent:?} was asked about {asked:?}");
                    }
                }
            }
        }
    }
}

#[test]
fn few_comparisons_are_not_worth_their_facts() {
    let event = Typed::new(Event::new().text("fd.name", "x"));
    for (texts, facts) in [
        (&["fd.name = x"][..], 0),
        (&["fd.name = x and proc.pname = y"], 0),
        (&["fd.name = x", "fd.name = y", "proc.pname = y"], 3),
        (&["proc.name = x", "proc.name = y"], 0),
    ] {
        let (leaves, conditions) = compiled(texts);
        assert_eq!(program(&leaves, &conditions, Some(&event)).facts, facts, "{texts:?}");
    }
}

#[test]
fn what_facts_say_comes_before_the_process() {
    let texts = [
        "proc.name = a and fd.name = x",
        "evt.type = open and (proc.name = b or not proc.name = c) and (not fd.name != y or proc.pname = q)",
        "not (proc.name exists or fd.name = x or fd.name != y)",
        "proc.name = a or (fd.name = x and proc.name = d)",
    ];
    let (leaves, conditions) = compiled(&texts[..3]);
    let event = |name: &'static str, file: &'static str| {
        let event = Event::new().text("evt.type", "open").text("proc.name", name).text("fd.name", file);
        Typed::new(event.text("proc.pname", "p"))
    };
    let program_of = |conditions: &[_], leaves: &_| program(leaves, conditions, Some(&event("a", "z")));
    let program = program_of(&conditions, &leaves);
    let mut memo = Memo::new(&leaves);
    for (round, process) in ["a", "b", "c"].into_iter().enumerate() {
        let event = event(process, "z");
        let mut out = Vec::new();
        memo.start_event();
        event.asked.take();
        program.run(&leaves, &event, &mut memo, 0, false, &mut out).unwrap();
        assert_eq!(out, one_by_one(&leaves, &conditions, &event).0);
        event.asked.take();
        memo.start_event();
        program.run(&leaves, &event, &mut memo, 0, false, &mut out).unwrap();
        assert_eq!(event.asked.take(), [0_u16; 0], "{round}: facts say that no rule is true");
    }
    // Where the process alone can make it true, it is asked.
    let (leaves, conditions) = compiled(&texts[3..]);
    let program = program_of(&conditions, &leaves);
    assert_eq!(run(&program, &leaves, &event("a", "z"), false).0, [0]);
}

#[test]
fn a_rule_that_can_abort_is_asked_as_written() {
    let ends = || [1, 2].map(|last| crate::value::Value::Ip([10, 0, 0, last].into()));
    let abort = "fd.ip intersects (10.0.0.1)";
    let others = ["fd.name = y", "fd.name = z", "fd.name = w and proc.name = a"];
    for (text, file, aborts) in [
        (format!("proc.name = a and {abort} and fd.name = x"), "y", true),
        (format!("fd.name = x and {abort}"), "y", false),
        (format!("fd.name = x and {abort}"), "x", true),
        (format!("proc.name = b and fd.name = y and {abort}"), "y", false),
        (format!("proc.name = a or {abort} or fd.name = x"), "x", false),
    ] {
        let texts: Vec<&str> = [&*text].into_iter().chain(others).collect();
        let (leaves, conditions) = compiled(&texts);
        let event = Event::new().text("proc.name", "a").text("fd.name", file).many("fd.ip", ends());
        let event = Typed::new(event);
        let program = program(&leaves, &conditions, Some(&event));
        assert_ne!(program.facts, 0);
        let mut memo = Memo::new(&leaves);
        for _ in 0..2 {
            memo.start_event();
            let result = program.run(&leaves, &event, &mut memo, 0, false, &mut Vec::new());
            assert_eq!(result.is_err(), aborts, "{text} on {file}");
        }
    }
}

/// A condition of some depth, made of numbers.
fn some_condition(numbers: &mut impl FnMut(u32) -> u32, depth: u32) -> String {
    if depth == 0 || numbers(4) == 0 {
        let (op, value) = (["=", "!=", "startswith"][numbers(3) as usize], ["a", "b"][numbers(2) as usize]);
        return match numbers(4) {
            0 => format!("evt.type = {}", ["open", "close"][numbers(2) as usize]),
            field => format!("{} {op} {value}", ["proc.name", "fd.name", "proc.pname"][field as usize - 1]),
        };
    }
    let parts: Vec<String> = (0..2 + numbers(2)).map(|_| some_condition(numbers, depth - 1)).collect();
    let not = ["", "not "][numbers(2) as usize];
    format!("{not}({})", parts.join([" and ", " or "][numbers(2) as usize]))
}

#[test]
fn another_order_says_the_same() {
    let mut seed = 9_u64;
    let mut numbers = |below: u32| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) as u32 % below
    };
    for _ in 0..200 {
        let texts: Vec<String> = (0..4).map(|_| some_condition(&mut numbers, 4)).collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let (leaves, conditions) = compiled(&texts);
        let mut memo = Memo::new(&leaves);
        let program = program(&leaves, &conditions, Some(&Typed::new(Event::new().text("evt.type", "open"))));
        for values in 0..27_u32 {
            let mut event = Event::new().text("evt.type", "open");
            for (at, field) in ["proc.name", "fd.name", "proc.pname"].into_iter().enumerate() {
                match values / 3_u32.pow(at as u32) % 3 {
                    0 => {}
                    value => event = event.text(field, ["a", "b"][value as usize - 1]),
                }
            }
            let event = Typed::new(event);
            let mut out = Vec::new();
            memo.start_event();
            program.run(&leaves, &event, &mut memo, 0, false, &mut out).unwrap();
            assert_eq!(out, one_by_one(&leaves, &conditions, &event).0, "{texts:?} {values}");
        }
    }
}
