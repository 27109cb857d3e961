//! Evaluation of comparisons: a value against compiled constants, or against another value.

use std::cmp::Ordering;

use super::{BytesTest, Matcher, OrderTest, TextTest};
use crate::ast::Operator;
use crate::constant::{self, Kind};
use crate::glob::Glob;
use crate::schema::FieldType;
use crate::value::Value;

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

impl Matcher {
    /// Whether a value satisfies the comparison. Values of another type than the field's never do.
    pub(crate) fn matches(&self, value: &Value<'_>) -> bool {
        match self {
            Self::Always => true,
            Self::Never => false,
            Self::Text(test) => matches!(value, Value::Text(bytes) if test.matches(bytes)),
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
        // What counts ends at a zero byte. Where that is, is looked for as late as possible: mostly never.
        match self {
            Self::Order(Operator::Equal | Operator::DoubleEqual, right) => is_c_text(value, right),
            Self::Order(Operator::NotEqual, right) => !is_c_text(value, right),
            Self::Order(op, right) => order_holds(*op, c_text(value).cmp(right)),
            Self::Contains(finder) => {
                finder.find(value).is_some_and(|at| at + finder.needle().len() <= c_text(value).len())
            }
            Self::ContainsAny(words) => words.is_match(value) && words.is_match(c_text(value)),
            Self::StartsWith(right) => value.starts_with(right) && !right.contains(&0),
            Self::EndsWith(right) => c_text(value).ends_with(right),
            Self::Glob(glob) => glob.matches(c_text(value)),
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

/// Whether a text, up to its zero byte, is this one.
fn is_c_text(text: &[u8], right: &[u8]) -> bool {
    text.starts_with(right) && text.get(right.len()).is_none_or(|after| *after == 0) && !right.contains(&0)
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

fn compare_text(op: Operator, left: &[u8], right: &[u8]) -> bool {
    if matches!(op, Operator::In | Operator::Intersects) {
        // The right side is taken with its end mark, which texts made by a call have: such a one is never found.
        return without_end(left) == right;
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

#[cfg(test)]
mod tests {
    use super::super::{build, one_or_list};
    use super::*;

    /// Values and constants with zero bytes in all places: the comparison is one of the text before the first.
    #[test]
    fn what_counts_ends_at_a_zero_byte() {
        let texts: [&[u8]; 12] =
            [b"", b"a", b"ab", b"b", b"a\0", b"ab\0", b"a\0b", b"\0a", b"ab\0ab", b"xab", b"ba\0b", b"bab"];
        let operators = [
            Operator::Equal,
            Operator::NotEqual,
            Operator::Less,
            Operator::Contains,
            Operator::StartsWith,
            Operator::EndsWith,
        ];
        for op in operators {
            for right in texts {
                let Ok(matcher) = one_or_list(FieldType::Text, op, &[right]) else { panic!("{op} {right:?}") };
                for left in texts {
                    let wanted = {
                        let left = c_text(left);
                        match op {
                            Operator::Contains => memchr::memmem::find(left, right).is_some(),
                            Operator::StartsWith => left.starts_with(right),
                            Operator::EndsWith => left.ends_with(right),
                            _ => order_holds(op, left.cmp(right)),
                        }
                    };
                    assert_eq!(matcher.matches(&Value::text(left)), wanted, "{left:?} {op} {right:?}");
                }
            }
        }
        let Ok(words) = build(FieldType::Text, Operator::IContains, None, &[b"AB"]) else { panic!("icontains") };
        assert!(words.matches(&Value::text(b"xab")) && !words.matches(&Value::text(b"x\0ab")));
    }
}
