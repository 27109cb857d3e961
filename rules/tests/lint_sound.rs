//! What lint claims is true: whenever it says that a rule can never be true, or is shadowed, no event of a small world
//! says otherwise. Conditions are made up at random over few fields, so that contradictions are common.
#![allow(clippy::unwrap_used)] // a test ends at the first surprise

#[path = "../fuzz/bodies.rs"]
mod bodies;
mod schema;

use std::collections::BTreeMap;

use casebook_rules::diagnostics::Code;
use casebook_rules::event::{EventFields, Extracted};
use casebook_rules::lint;
use casebook_rules::load::{LoadOptions, load};
use casebook_rules::ruleset::RuleSet;
use casebook_rules::schema::{FieldRef, Schema};
use casebook_rules::source::RuleFile;
use casebook_rules::value::Value;
use proptest::prelude::*;
use schema::TableSchema;

const SYSCALL: &str = "syscall";

/// An event of the small world: values by field number. What is not there is absent.
#[derive(Clone, Default)]
struct World(BTreeMap<u16, Vec<Value<'static>>>);

impl EventFields for World {
    fn extract<'e>(&'e self, field: &FieldRef) -> Extracted<'e> {
        match self.0.get(&field.id).map(Vec::as_slice) {
            None => Extracted::Absent,
            Some([one]) => Extracted::One(one.clone()),
            Some(many) => Extracted::Many(many.iter().cloned().collect()),
        }
    }
}

/// All events: every combination of the values of each field.
fn worlds(schema: &TableSchema) -> Vec<World> {
    let text = |text: &'static str| vec![Value::text(text.as_bytes())];
    let number = |number: i64| vec![Value::I64(number)];
    let two = |a: &'static str, b: &'static str| vec![Value::text(a.as_bytes()), Value::text(b.as_bytes())];
    let fields: [(&str, Vec<Vec<Value<'static>>>); 5] = [
        ("evt.type", vec![text("open"), text("close")]),
        ("proc.name", vec![vec![], text(""), text("a"), text("ab"), text("b")]),
        ("proc.pname", vec![vec![], text("a"), text("b")]),
        ("proc.aname", vec![vec![], two("a", "b"), two("ab", "ab")]),
        ("fd.num", vec![vec![], number(-1), number(0), number(1), number(2), number(5)]),
    ];
    let mut worlds = vec![World::default()];
    for (name, values) in fields {
        let (id, _) = schema.field(SYSCALL, name).unwrap();
        let with = |world: &World, values: &[Value<'static>]| {
            let mut world = world.clone();
            if !values.is_empty() {
                world.0.insert(id, values.to_vec());
            }
            world
        };
        worlds = worlds.iter().flat_map(|world| values.iter().map(|v| with(world, v)).collect::<Vec<_>>()).collect();
    }
    let (number, _) = schema.field(SYSCALL, "evt.num").unwrap();
    for world in &mut worlds {
        world.0.insert(number, vec![Value::U64(7)]);
    }
    worlds
}

fn comparison() -> impl Strategy<Value = String> {
    let texts = ["a", "ab", "b", "c", "\"\""].as_slice();
    let list = || proptest::collection::vec(proptest::sample::select(texts), 0..4).prop_map(|items| items.join(", "));
    let text_field =
        || proptest::sample::select(["proc.name", "proc.pname", "proc.aname", "tolower(proc.name)"].as_slice());
    let text_op = proptest::sample::select(
        ["=", "!=", "contains", "startswith", "endswith", "glob", "icontains", "=="].as_slice(),
    );
    let list_op = proptest::sample::select(["in", "intersects", "= anyof", "!= allof", "startswith oneof"].as_slice());
    let number = proptest::sample::select(["-1", "0", "1", "2", "5"].as_slice());
    let number_op = proptest::sample::select(["=", "!=", "<", "<=", ">", ">="].as_slice());
    prop_oneof![
        4 => (text_field(), text_op, proptest::sample::select(texts)).prop_map(|(f, op, c)| format!("{f} {op} {c}")),
        3 => (text_field(), list_op, list()).prop_map(|(f, op, items)| format!("{f} {op} ({items})")),
        3 => (number_op, number.clone()).prop_map(|(op, n)| format!("fd.num {op} {n}")),
        1 => proptest::collection::vec(number, 1..3).prop_map(|n| format!("fd.num in ({})", n.join(","))),
        1 => text_field().prop_map(|f| format!("{f} exists")),
        1 => Just("fd.num exists".to_owned()),
        2 => proptest::sample::select(["evt.type = open", "evt.type != open", "evt.type in (open, close)"].as_slice())
            .prop_map(str::to_owned),
        1 => proptest::sample::select(["evt.num = 0", "evt.num >= 0", "proc.name = val(proc.pname)"].as_slice())
            .prop_map(str::to_owned),
    ]
}

fn condition() -> impl Strategy<Value = String> {
    comparison().prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            3 => proptest::collection::vec(inner.clone(), 2..5).prop_map(|parts| format!("({})", parts.join(" and "))),
            2 => proptest::collection::vec(inner.clone(), 2..4).prop_map(|parts| format!("({})", parts.join(" or "))),
            1 => inner.prop_map(|part| format!("not ({part})")),
        ]
    })
}

/// On which worlds each rule is true.
fn verdicts(set: &RuleSet, worlds: &[World]) -> BTreeMap<String, Vec<bool>> {
    let mut all = BTreeMap::new();
    for rule in set.rules() {
        let verdicts = worlds.iter().map(|world| {
            let mut memo = set.memo();
            memo.start_event();
            rule.condition.eval(set.leaves(), world, &mut memo).unwrap_or(false)
        });
        all.insert(rule.name.clone(), verdicts.collect());
    }
    all
}

/// Loads two rules with these conditions, the second with an exception, and holds lint's claims against all worlds.
/// Says how many claims there were.
fn claims_hold(first: &str, second: &str, exception: &str, schema: &TableSchema, worlds: &[World]) -> usize {
    let rules = format!(
        "- rule: first\n  desc: d\n  condition: {first:?}\n  output: o\n  priority: INFO\n\
         - rule: second\n  desc: d\n  condition: {second:?}\n  output: o\n  priority: INFO\n  \
           exceptions:\n    - name: e\n      fields: proc.name\n      values: [{exception}]\n"
    );
    let outcome = load(&[RuleFile::new("r.yaml", rules)], schema, &LoadOptions::default());
    let Some(set) = &outcome.ruleset else { return 0 };
    let truth = verdicts(set, worlds);
    let mut claims = 0;
    for finding in lint::lint(&outcome, schema) {
        let Some(item) = &finding.item else { continue };
        let Some(verdicts) = truth.get(&item.name) else { continue };
        match finding.code {
            Code::NeverTrue | Code::SwitchedOff | Code::ExceptionSilences => {
                assert!(!verdicts.contains(&true), "{}: {}\n{first}\n{second}", item.name, finding.message);
                claims += 1;
            }
            Code::ShadowedRule => {
                let both = verdicts.iter().zip(&truth["first"]);
                let hidden = both.filter(|(later, _)| **later).all(|(_, earlier)| *earlier);
                assert!(hidden, "{}\n{first}\n{second}", finding.message);
                claims += 1;
            }
            _ => {}
        }
    }
    claims
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn no_event_says_otherwise(
        first in condition(),
        second in condition(),
        common in comparison(),
        exception in proptest::sample::select(["a", "a, b", "a, ab, b, '\"\"'"].as_slice()),
    ) {
        let schema = TableSchema::small();
        let worlds = worlds(&schema);
        claims_hold(&first, &second, exception, &schema, &worlds);
        // Shadowing is rare between strangers.
        claims_hold(&first, &format!("{second} and {first}"), exception, &schema, &worlds);
        claims_hold(&format!("{first} or {common}"), &format!("{common} and {second}"), exception, &schema, &worlds);
    }
}

#[test]
fn the_claims_of_the_small_world_are_made_at_all() {
    let schema = TableSchema::small();
    let worlds = worlds(&schema);
    for (first, second, exception, wanted) in [
        ("proc.name = a and proc.name = b", "fd.num = 1", "a", 1),
        ("fd.num > 1 and fd.num <= 1", "evt.num = 0", "a", 2),
        ("proc.name in (a, ab)", "proc.name = a and fd.num = 1", "b", 1),
        ("proc.pname = a", "proc.name in (a, b)", "a, b", 1),
        ("proc.aname = a and proc.aname = b", "not proc.name = a and not proc.name = b", "a", 0),
        ("proc.name startswith a and proc.name startswith ab", "proc.name in (a, b) and proc.name != a", "a", 0),
        ("not proc.name exists and proc.name != a", "proc.name = a or proc.pname = a", "b", 1),
    ] {
        assert_eq!(claims_hold(first, second, exception, &schema, &worlds), wanted, "{first}; {second}");
    }
}
