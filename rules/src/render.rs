//! Values as text: the one form in which outputs, command lines and comparisons with Falco show a field.
//!
//! Numbers are decimal unless the field says otherwise, lists stand in parentheses, bytes that do not print become
//! dots. Text is passed through as it is up to a zero byte, control characters included: whoever writes to a
//! terminal escapes.

use std::io::Write as _;
use std::net::IpAddr;

use serde_json::Value as Json;

use crate::event::Extracted;
use crate::matcher::c_text;
use crate::schema::Display;
use crate::value::Value;

/// What outputs print for an absent field.
pub const ABSENT: &str = "<NA>";

/// Appends the text of a field to `into`; false, and nothing appended, when the field is absent.
pub fn extracted(value: &Extracted<'_>, display: Display, into: &mut Vec<u8>) -> bool {
    match value {
        Extracted::Absent => false,
        Extracted::One(one) => {
            self::value(one, display, into);
            true
        }
        Extracted::Many(many) if many.is_empty() => false,
        Extracted::Many(many) => {
            list(many, display, into);
            true
        }
    }
}

/// Appends the text of a list to `into`.
pub fn list(values: &[Value<'_>], display: Display, into: &mut Vec<u8>) {
    into.push(b'(');
    for (index, one) in values.iter().enumerate() {
        if index > 0 {
            into.push(b',');
        }
        value(one, display, into);
    }
    into.push(b')');
}

/// One value in JSON: numbers and truth values as such unless the field prints in a form of its own, everything else
/// as its text. Bytes that are not UTF-8 become U+FFFD.
pub fn json(value: &Value<'_>, display: Display) -> Json {
    match (value, display) {
        (Value::I64(number), Display::Plain) => Json::from(*number),
        (Value::U64(number), Display::Plain) => Json::from(*number),
        (Value::Double(number), _) => Json::from(*number),
        (Value::Bool(truth), _) => Json::from(*truth),
        _ => {
            let mut text = Vec::new();
            self::value(value, display, &mut text);
            Json::from(String::from_utf8_lossy(&text))
        }
    }
}

/// Appends the text of one value to `into`.
pub fn value(value: &Value<'_>, display: Display, into: &mut Vec<u8>) {
    // Writing to a vector cannot fail.
    let _ = match value {
        Value::Text(text) => {
            into.extend_from_slice(c_text(text));
            Ok(())
        }
        Value::Bytes(bytes) => {
            into.extend(bytes.iter().map(|&byte| if matches!(byte, b' '..=b'~') { byte } else { b'.' }));
            Ok(())
        }
        Value::I64(number) => match display {
            Display::Plain => {
                if *number < 0 {
                    into.push(b'-');
                }
                decimal(number.unsigned_abs(), into);
                Ok(())
            }
            Display::Hex => write!(into, "{number:X}"),
            Display::Pad9 => write!(into, "{number:09}"),
            Display::Octal => write!(into, "{number:o}"),
        },
        Value::U64(number) => match display {
            Display::Plain => {
                decimal(*number, into);
                Ok(())
            }
            Display::Hex => write!(into, "{number:X}"),
            Display::Pad9 => write!(into, "{number:09}"),
            Display::Octal => write!(into, "{number:o}"),
        },
        Value::Double(number) => write!(into, "{number:.1}"),
        Value::Bool(truth) => write!(into, "{truth}"),
        Value::Ip(IpAddr::V4(address)) => write!(into, "{address}"),
        Value::Ip(IpAddr::V6(address)) => write!(into, "{address}"),
    };
}

/// Appends a number. Alerts are full of them, and formatting costs several times as much.
fn decimal(mut number: u64, into: &mut Vec<u8>) {
    let mut digits = [0; 20];
    let mut from = digits.len();
    for (at, digit) in digits.iter_mut().enumerate().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
        from = at;
        if number == 0 {
            break;
        }
    }
    into.extend_from_slice(digits.get(from..).unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(one: Value<'_>, display: Display) -> String {
        let mut text = Vec::new();
        assert!(extracted(&Extracted::One(one), display, &mut text));
        String::from_utf8_lossy(&text).into_owned()
    }

    #[test]
    fn values_print_as_falco_prints_them() {
        assert_eq!(text(Value::U64(255), Display::Hex), "FF");
        assert_eq!(text(Value::U64(42), Display::Pad9), "000000042");
        assert_eq!(text(Value::I64(-13), Display::Plain), "-13");
        assert_eq!(text(Value::I64(i64::MIN), Display::Plain), i64::MIN.to_string());
        for number in [0, 9, 10, 1_000_000, u64::MAX] {
            assert_eq!(text(Value::U64(number), Display::Plain), number.to_string());
        }
        assert_eq!(text(Value::Double(2.25), Display::Plain), "2.2");
        assert_eq!(text(Value::Bytes(b"AB\x00C\n"[..].into()), Display::Plain), "AB.C.");
        assert_eq!(
            text(Value::Ip("2001:db8::1".parse::<IpAddr>().expect("an address")), Display::Plain),
            "2001:db8::1"
        );
    }

    #[test]
    fn lists_stand_in_parentheses_and_empty_ones_are_absent() {
        let mut text = Vec::new();
        let list = Extracted::Many([Value::U64(1), Value::text(b"a")].into_iter().collect());
        assert!(extracted(&list, Display::Plain, &mut text));
        assert_eq!(text, b"(1,a)");
        assert!(!extracted(&Extracted::Many(smallvec::SmallVec::new()), Display::Plain, &mut text));
        assert!(!extracted(&Extracted::Absent, Display::Plain, &mut text));
        assert_eq!(text, b"(1,a)");
    }
}
