//! One value against constants: what a comparison compiles to.
//!
//! Lists become hash sets, path lists a tree, several words to look for one automaton; patterns are compiled. A
//! matcher looks at one value; which of several values count is the leaf's business.

use std::borrow::Cow;
use std::cmp::Ordering;
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
use crate::value::Value;

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
    Contains(Finder<'static>),
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
    Contains(Finder<'static>),
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

impl<T: PartialOrd> OrderTest<T> {
    fn matches(&self, left: &T) -> bool {
        // Values that cannot be ordered are unequal.
        left.partial_cmp(&self.right).map_or(self.op == Operator::NotEqual, |order| order_holds(self.op, order))
    }
}

/// Whether an order between two values satisfies an operator.
pub(crate) fn order_holds(op: Operator, order: Ordering) -> bool {
    match op {
        Operator::Equal | Operator::DoubleEqual | Operator::In | Operator::Intersects => order.is_eq(),
        Operator::NotEqual => order.is_ne(),
        Operator::Less => order.is_lt(),
        Operator::LessEqual => order.is_le(),
        Operator::Greater => order.is_gt(),
        Operator::GreaterEqual => order.is_ge(),
        _ => false,
    }
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
        Operator::Contains => TextTest::Contains(Finder::new(one).into_owned()),
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
        Operator::Contains => BytesTest::Contains(Finder::new(one).into_owned()),
        Operator::BContains => BytesTest::Contains(Finder::new(&constant::hexadecimal(one)?).into_owned()),
        Operator::StartsWith => BytesTest::StartsWith(one.into()),
        Operator::BStartsWith => BytesTest::StartsWith(constant::hexadecimal(one)?.into()),
        Operator::EndsWith => BytesTest::EndsWith(one.into()),
        _ => BytesTest::Equal(one.into()),
    })
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

impl Matcher {
    /// Whether a value satisfies the comparison. Values of another type than the field's never do.
    pub(crate) fn matches(&self, value: &Value<'_>) -> bool {
        match self {
            Self::Always => true,
            Self::Never => false,
            Self::Text(test) => matches!(value, Value::Text(text) if test.matches(text)),
            Self::Bytes(test) => matches!(value, Value::Bytes(bytes) | Value::Text(bytes) if test.matches(bytes)),
            Self::Int { signed, bits, test } => int(value, *signed, *bits).is_some_and(|left| test.matches(&left)),
            Self::IntSet { signed, bits, set } => int(value, *signed, *bits).is_some_and(|left| set.contains(&left)),
            Self::Double(test) => double(value).is_some_and(|left| test.matches(&left)),
            // Numbers of a list are compared exactly: they are whole.
            Self::DoubleSet(set) => {
                double(value).is_some_and(|left| set.iter().any(|one| one.total_cmp(&left).is_eq()))
            }
            Self::Bool { equal, to } => matches!(value, Value::Bool(left) if (left == to) == *equal),
            Self::BoolSet(set) => matches!(value, Value::Bool(left) if set.contains(left)),
            Self::Ip { equal, to } => matches!(value, Value::Ip(left) if (left == to) == *equal),
            Self::IpSet(set) => matches!(value, Value::Ip(left) if set.contains(left)),
            Self::Net(nets) => matches!(value, Value::Ip(left) if nets.iter().any(|net| net.contains(left))),
            Self::Not(inner) => !inner.matches(value),
            Self::Any(each) => each.iter().any(|one| one.matches(value)),
            Self::All(each) => each.iter().all(|one| one.matches(value)),
            Self::One(each) => each.iter().filter(|one| one.matches(value)).take(2).count() == 1,
        }
    }
}

impl TextTest {
    fn matches(&self, value: &[u8]) -> bool {
        match self {
            Self::In(set) => return set.contains(without_end(value)),
            Self::Elements(set) => return set.contains(value),
            Self::Paths(paths) => return paths.matches(without_end(value)),
            Self::Regex(regex) => return regex.is_match(&String::from_utf8_lossy(without_end(value))),
            _ => {}
        }
        let value = c_text(value);
        match self {
            Self::Order(op, right) => order_holds(*op, value.cmp(right)),
            Self::Contains(finder) => finder.find(value).is_some(),
            Self::ContainsAny(words) => words.is_match(value),
            Self::StartsWith(right) => value.starts_with(right),
            Self::EndsWith(right) => value.ends_with(right),
            Self::Glob(glob) => glob.matches(value),
            Self::In(_) | Self::Elements(_) | Self::Paths(_) | Self::Regex(_) => false,
        }
    }
}

impl BytesTest {
    fn matches(&self, value: &[u8]) -> bool {
        match self {
            Self::Equal(right) => value == &**right,
            Self::Contains(finder) => finder.find(value).is_some(),
            Self::StartsWith(right) => value.starts_with(right),
            Self::EndsWith(right) => value.ends_with(right),
            Self::In(set) => set.contains(value),
        }
    }
}

/// Text up to a zero byte.
pub(crate) fn c_text(text: &[u8]) -> &[u8] {
    memchr::memchr(0, text).map_or(text, |end| &text[..end])
}

/// Text without zero bytes at its end.
pub(crate) fn without_end(text: &[u8]) -> &[u8] {
    let len = text.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    &text[..len]
}

/// A number as one of its field's type.
pub(crate) fn int(value: &Value<'_>, signed: bool, bits: u32) -> Option<i128> {
    let number = match value {
        Value::I64(number) => *number,
        Value::U64(number) => *number as i64,
        _ => return None,
    };
    Some(if signed {
        i128::from(constant::wrap_signed(number, bits))
    } else {
        i128::from(number as u64 & constant::mask(bits))
    })
}

pub(crate) fn double(value: &Value<'_>) -> Option<f64> {
    match value {
        Value::Double(number) => Some(*number),
        Value::I64(number) => Some(*number as f64),
        Value::U64(number) => Some(*number as f64),
        _ => None,
    }
}

/// A comparison of two values of one type: for fields on the right side.
pub(crate) fn compare(ty: FieldType, op: Operator, left: &Value<'_>, right: &Value<'_>) -> bool {
    match (constant::kind(ty), left, right) {
        (Kind::Text, Value::Text(left), Value::Text(right)) => compare_text(op, left, right),
        (Kind::Bytes, Value::Bytes(left) | Value::Text(left), Value::Bytes(right) | Value::Text(right)) => match op {
            Operator::Contains | Operator::BContains => memchr::memmem::find(left, right).is_some(),
            Operator::StartsWith | Operator::BStartsWith => left.starts_with(right),
            Operator::EndsWith => left.ends_with(right),
            _ => order_holds(op, left.cmp(right)),
        },
        (Kind::Int { signed, bits }, left, right) => match (int(left, signed, bits), int(right, signed, bits)) {
            (Some(left), Some(right)) => order_holds(op, left.cmp(&right)),
            _ => false,
        },
        (Kind::Double, left, right) => match (double(left), double(right)) {
            (Some(left), Some(right)) => OrderTest { op, right }.matches(&left),
            _ => false,
        },
        (Kind::Bool, Value::Bool(left), Value::Bool(right)) => order_holds(op, left.cmp(right)),
        (Kind::Ip, Value::Ip(left), Value::Ip(right)) => order_holds(op, left.cmp(right)),
        _ => false,
    }
}

fn compare_text(op: Operator, left: &Cow<'_, [u8]>, right: &Cow<'_, [u8]>) -> bool {
    if matches!(op, Operator::In | Operator::Intersects) {
        // The right side is taken with its end mark, which texts made by a call have: such a one is never found.
        return without_end(left) == &**right;
    }
    let (left, right) = (c_text(left), c_text(right));
    match op {
        Operator::Contains => memchr::memmem::find(left, right).is_some(),
        Operator::IContains => {
            let folded = |text: &[u8]| text.to_ascii_lowercase();
            memchr::memmem::find(&folded(left), &folded(right)).is_some()
        }
        Operator::StartsWith => left.starts_with(right),
        Operator::EndsWith => left.ends_with(right),
        Operator::Glob => Glob::new(right, false).matches(left),
        Operator::IGlob => Glob::new(right, true).matches(left),
        _ => order_holds(op, left.cmp(right)),
    }
}
