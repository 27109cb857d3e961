//! One value against constants: what a comparison compiles to.
//!
//! Lists become hash sets, path lists a tree, several words to look for one automaton; patterns are compiled. A
//! matcher looks at one value; which of several values count is the leaf's business.

use std::collections::HashSet;
use std::net::IpAddr;

use aho_corasick::AhoCorasick;
use ipnet::IpNet;
use memchr::memmem::Finder;
use regex::Regex;

use crate::ast::{Modifier, Operator};
use crate::constant::{self, Kind};
use crate::glob::Glob;
use crate::paths::Paths;
use crate::posix;
use crate::schema::FieldType;

mod compare;

pub(crate) use compare::{c_text, compare};

/// A set that is looked up once per event.
pub(crate) type Set<T> = HashSet<T, foldhash::fast::RandomState>;

/// A compiled comparison of one value with constants.
#[derive(Debug)]
pub(crate) enum Matcher {
    /// Whatever the value.
    Always,
    /// Whatever the value.
    Never,
    Text(TextTest),
    Bytes(BytesTest),
    /// A number of the given type, by sign and width.
    Int {
        signed: bool,
        bits: u32,
        test: OrderTest<i128>,
    },
    /// Numbers from a list.
    IntSet {
        signed: bool,
        bits: u32,
        set: Set<i128>,
    },
    Double(OrderTest<f64>),
    DoubleSet(Vec<f64>),
    Bool {
        equal: bool,
        to: bool,
    },
    BoolSet(Vec<bool>),
    Ip {
        equal: bool,
        to: IpAddr,
    },
    IpSet(Set<IpAddr>),
    /// Contained in one of them.
    Net(Vec<IpNet>),
    Not(Box<Matcher>),
    Any(Vec<Matcher>),
    All(Vec<Matcher>),
    /// Exactly one; equal ones count each.
    One(Vec<Matcher>),
}

/// Text against constants. All but sets, paths and expressions stop at a zero byte in the value, as C does.
#[derive(Debug)]
pub(crate) enum TextTest {
    Order(Operator, Box<[u8]>),
    Contains(Box<Finder<'static>>),
    /// Several words, or one without regard to case.
    ContainsAny(AhoCorasick),
    StartsWith(Box<[u8]>),
    EndsWith(Box<[u8]>),
    Glob(Glob),
    Regex(Box<Regex>),
    In(Set<Box<[u8]>>),
    /// For elements of lists, which are compared with their end mark.
    Elements(Set<Box<[u8]>>),
    Paths(Paths),
}

/// Bytes against constants.
#[derive(Debug)]
pub(crate) enum BytesTest {
    Equal(Box<[u8]>),
    Contains(Box<Finder<'static>>),
    StartsWith(Box<[u8]>),
    EndsWith(Box<[u8]>),
    In(Set<Box<[u8]>>),
}

/// An order operator and its right side.
#[derive(Debug)]
pub(crate) struct OrderTest<T> {
    pub(crate) op: Operator,
    pub(crate) right: T,
}

/// Whether an operator works on a type.
pub(crate) fn allows(ty: FieldType, list: bool, op: Operator) -> bool {
    use Operator as O;
    if op == O::Exists {
        return true;
    }
    if list {
        let comparable = matches!(
            ty,
            FieldType::Text
                | FieldType::Uint64
                | FieldType::Reltime
                | FieldType::Abstime
                | FieldType::Bool
                | FieldType::IpAddr
                | FieldType::IpNet
        );
        return comparable && matches!(op, O::In | O::Intersects);
    }
    let equality = matches!(op, O::Equal | O::DoubleEqual | O::NotEqual | O::In | O::Intersects);
    match constant::kind(ty) {
        Kind::Text => !matches!(op, O::BContains | O::BStartsWith),
        Kind::Bytes => {
            equality || matches!(op, O::Contains | O::StartsWith | O::EndsWith | O::BContains | O::BStartsWith)
        }
        Kind::Int { .. } | Kind::Double => equality || op.is_order(),
        Kind::Bool | Kind::Ip | Kind::Net => equality,
        Kind::Opaque => false,
    }
}

/// Operators that work on a type, for messages.
pub(crate) fn allowed(ty: FieldType, list: bool) -> String {
    let ops = Operator::ALL.iter().filter(|op| allows(ty, list, **op)).map(|op| format!("`{op}`"));
    ops.collect::<Vec<_>>().join(", ")
}

/// Compiles a comparison. The operator must be one that the type allows.
///
/// # Errors
/// The index of the first constant that does not fit, and why. All constants are looked at by the caller one by one,
/// so that each is reported.
pub(crate) fn build(
    ty: FieldType,
    op: Operator,
    modifier: Option<Modifier>,
    constants: &[&[u8]],
) -> Result<Matcher, String> {
    let Some(modifier) = modifier else { return one_or_list(ty, op, constants) };
    if constants.is_empty() {
        return Ok(Matcher::Never);
    }
    let equal = matches!(op, Operator::Equal | Operator::DoubleEqual);
    match (modifier, constant::kind(ty)) {
        // These two look the value itself up in the list, and an address is no network.
        (Modifier::AnyOf, Kind::Net) if equal => return checked(ty, op, constants, Matcher::Never),
        (Modifier::AllOf, Kind::Net) if op == Operator::NotEqual => return checked(ty, op, constants, Matcher::Always),
        (Modifier::AnyOf, _) if equal => return one_or_list(ty, Operator::In, constants),
        (Modifier::AllOf, _) if op == Operator::NotEqual => {
            return Ok(Matcher::Not(Box::new(one_or_list(ty, Operator::In, constants)?)));
        }
        (Modifier::AnyOf, Kind::Text) if matches!(op, Operator::Contains | Operator::IContains) => {
            return contains_any(constants, op == Operator::IContains);
        }
        _ => {}
    }
    let each = constants.iter().map(|one| one_or_list(ty, op, &[one])).collect::<Result<Vec<_>, _>>()?;
    Ok(match modifier {
        Modifier::AnyOf => Matcher::Any(each),
        Modifier::AllOf => Matcher::All(each),
        Modifier::OneOf => Matcher::One(each),
    })
}

/// Compiles the constants that elements of a list are looked up in.
pub(crate) fn elements(ty: FieldType, constants: &[&[u8]]) -> Result<Matcher, String> {
    match constant::kind(ty) {
        Kind::Text => Ok(Matcher::Text(TextTest::Elements(constants.iter().map(|one| Box::from(*one)).collect()))),
        _ => list(ty, Operator::In, constants),
    }
}

/// `result`, if every constant fits the type.
fn checked(ty: FieldType, op: Operator, constants: &[&[u8]], result: Matcher) -> Result<Matcher, String> {
    for one in constants {
        one_or_list(ty, op, &[one])?;
    }
    Ok(result)
}

fn one_or_list(ty: FieldType, op: Operator, constants: &[&[u8]]) -> Result<Matcher, String> {
    if op.takes_list() {
        return list(ty, op, constants);
    }
    let Some(&one) = constants.first() else { return Ok(Matcher::Never) };
    let equal = op != Operator::NotEqual;
    Ok(match constant::kind(ty) {
        Kind::Text => Matcher::Text(text(op, one)?),
        Kind::Bytes => {
            let test = bytes(op, one)?;
            if equal { Matcher::Bytes(test) } else { Matcher::Not(Box::new(Matcher::Bytes(test))) }
        }
        Kind::Int { signed, bits } => {
            Matcher::Int { signed, bits, test: OrderTest { op, right: constant::int(one, ty)? } }
        }
        Kind::Double => Matcher::Double(OrderTest { op, right: constant::double(one)? }),
        Kind::Bool => Matcher::Bool { equal, to: constant::boolean(one)? },
        Kind::Ip => Matcher::Ip { equal, to: constant::address(one)? },
        Kind::Net => {
            let inside = Matcher::Net(vec![constant::network(one)?]);
            if equal { inside } else { Matcher::Not(Box::new(inside)) }
        }
        Kind::Opaque => Matcher::Never,
    })
}

fn list(ty: FieldType, op: Operator, constants: &[&[u8]]) -> Result<Matcher, String> {
    let owned = || constants.iter().map(|one| Box::<[u8]>::from(*one)).collect();
    Ok(match constant::kind(ty) {
        Kind::Text if op == Operator::PMatch => Matcher::Text(TextTest::Paths(Paths::new(constants.iter().copied()))),
        Kind::Text => Matcher::Text(TextTest::In(owned())),
        Kind::Bytes => Matcher::Bytes(BytesTest::In(owned())),
        Kind::Int { signed, bits } => {
            let set = constants.iter().map(|one| constant::int(one, ty)).collect::<Result<_, _>>()?;
            Matcher::IntSet { signed, bits, set }
        }
        Kind::Double => {
            Matcher::DoubleSet(constants.iter().map(|one| constant::double(one)).collect::<Result<_, _>>()?)
        }
        Kind::Bool => Matcher::BoolSet(constants.iter().map(|one| constant::boolean(one)).collect::<Result<_, _>>()?),
        Kind::Ip => Matcher::IpSet(constants.iter().map(|one| constant::address(one)).collect::<Result<_, _>>()?),
        Kind::Net => Matcher::Net(constants.iter().map(|one| constant::network(one)).collect::<Result<_, _>>()?),
        Kind::Opaque => Matcher::Never,
    })
}

fn text(op: Operator, one: &[u8]) -> Result<TextTest, String> {
    Ok(match op {
        Operator::Contains => TextTest::Contains(finder(one)),
        Operator::IContains => TextTest::ContainsAny(words(&[one], true)?),
        Operator::StartsWith => TextTest::StartsWith(one.into()),
        Operator::EndsWith => TextTest::EndsWith(one.into()),
        Operator::Glob => TextTest::Glob(Glob::new(one, false)),
        Operator::IGlob => TextTest::Glob(Glob::new(one, true)),
        Operator::Regex => {
            let regex = posix::compile(one)
                .map_err(|why| format!("`{}` is not a regular expression: {why}", String::from_utf8_lossy(one)))?;
            TextTest::Regex(Box::new(regex))
        }
        _ => TextTest::Order(op, one.into()),
    })
}

fn bytes(op: Operator, one: &[u8]) -> Result<BytesTest, String> {
    Ok(match op {
        Operator::Contains => BytesTest::Contains(finder(one)),
        Operator::BContains => BytesTest::Contains(finder(&constant::hexadecimal(one)?)),
        Operator::StartsWith => BytesTest::StartsWith(one.into()),
        Operator::BStartsWith => BytesTest::StartsWith(constant::hexadecimal(one)?.into()),
        Operator::EndsWith => BytesTest::EndsWith(one.into()),
        _ => BytesTest::Equal(one.into()),
    })
}

fn finder(word: &[u8]) -> Box<Finder<'static>> {
    Box::new(Finder::new(word).into_owned())
}

fn contains_any(constants: &[&[u8]], fold: bool) -> Result<Matcher, String> {
    Ok(Matcher::Text(TextTest::ContainsAny(words(constants, fold)?)))
}

fn words(words: &[&[u8]], fold: bool) -> Result<AhoCorasick, String> {
    AhoCorasick::builder()
        .ascii_case_insensitive(fold)
        .build(words)
        .map_err(|_| "these words are too many for one comparison".to_owned())
}
