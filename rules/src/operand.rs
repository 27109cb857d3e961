//! What a comparison takes its values from: a field, or transformer calls on fields and literals.
//!
//! Texts that a call makes end in a zero byte, as they do in Falco. One value is compared without it; an element of
//! a list is compared with it and is therefore never found among constants. Rules can see that (`tolower` on a list
//! field makes `in` false), so it is kept rather than explained away.

use std::borrow::Cow;
use std::net::IpAddr;

use smallvec::{SmallVec, smallvec};

use crate::ast::Function;
use crate::constant::{self, Kind};
use crate::event::{EventFields, Extracted};
use crate::leaf::EvalError;
use crate::matcher::c_text;
use crate::render;
use crate::schema::{Display, FieldRef, FieldType};
use crate::value::Value;

/// Values of an operand; `None` when it is absent. A call can give a list without elements that is not absent.
pub(crate) type Values<'e> = Option<SmallVec<[Value<'e>; 4]>>;

/// A compiled operand. Equal operands give equal values on every event.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Source {
    /// A field.
    Field(FieldRef),
    /// A literal inside a call.
    Constant(Box<[u8]>),
    /// A call with one argument; `list` when it works on a list as one thing (`len`).
    Apply { function: Function, list: bool, of: Box<Source> },
    /// `join(separator, list)`; the separator's type says what its bytes are when it is no text.
    Join { separator: Box<Source>, ty: FieldType, list: Box<Source> },
    /// `concat(...)`.
    Concat(Box<[Source]>),
    /// `getopt(list, spec)`, with the letter between brackets.
    GetOpt { list: Box<Source>, spec: Box<Source>, letter: Option<u8> },
    /// `( ... )`: every member printed.
    List(Box<[(Source, Display)]>),
}

impl Source {
    /// The values on an event.
    ///
    /// # Errors
    /// Where Falco aborts the evaluation.
    pub(crate) fn values<'e, E: EventFields + ?Sized>(&'e self, event: &'e E) -> Result<Values<'e>, EvalError> {
        match self {
            Self::Field(field) => Ok(match event.extract(field) {
                Extracted::Absent => None,
                Extracted::One(value) => Some(smallvec![value]),
                Extracted::Many(values) if values.is_empty() => None,
                Extracted::Many(values) => Some(values),
            }),
            Self::Constant(bytes) => Ok(Some(smallvec![Value::text(bytes)])),
            Self::Apply { function, list, of } => {
                Ok(of.values(event)?.and_then(|values| apply(*function, *list, values)))
            }
            Self::Join { separator, ty, list } => {
                let Some(separator) = separator.first(event)? else { return Ok(None) };
                let separator = raw_bytes(&separator, *ty).into_owned();
                let Some(values) = list.values(event)? else { return Ok(None) };
                let mut joined = Vec::new();
                for (i, value) in values.iter().enumerate() {
                    if i > 0 {
                        joined.extend_from_slice(&separator);
                    }
                    joined.extend_from_slice(c_text(&raw_bytes(value, FieldType::Uint64)));
                }
                Ok(Some(smallvec![Value::owned(joined)]))
            }
            Self::Concat(parts) => {
                let mut joined = Vec::new();
                for part in parts {
                    let Some(value) = part.first(event)? else { return Ok(None) };
                    joined.extend_from_slice(c_text(&raw_bytes(&value, FieldType::Uint64)));
                }
                Ok(Some(smallvec![Value::owned(joined)]))
            }
            Self::GetOpt { list, spec, letter } => {
                let Some(spec) = spec.first(event)? else { return Ok(None) };
                let Some(args) = list.values(event)? else { return Ok(None) };
                let args: Vec<Cow<'_, [u8]>> = args.iter().map(|arg| raw_bytes(arg, FieldType::Uint64)).collect();
                let found = getopt(&args, &raw_bytes(&spec, FieldType::Uint64), *letter);
                Ok(found.map(|found| found.into_iter().map(Value::owned).collect()))
            }
            Self::List(members) => {
                let mut values = SmallVec::with_capacity(members.len());
                for (member, display) in members {
                    let Some(value) = member.printed(*display, event)? else { return Ok(None) };
                    values.push(value);
                }
                Ok(Some(values))
            }
        }
    }

    /// The first value; `None` when there is none.
    fn first<'e, E: EventFields + ?Sized>(&'e self, event: &'e E) -> Result<Option<Value<'e>>, EvalError> {
        Ok(self.values(event)?.and_then(|values| values.into_iter().next()))
    }

    /// The operand as one text: a member of a list literal.
    fn printed<'e, E: EventFields + ?Sized>(
        &'e self,
        display: Display,
        event: &'e E,
    ) -> Result<Option<Value<'e>>, EvalError> {
        let Some(mut values) = self.values(event)? else { return Ok(None) };
        if values.len() == 1
            && let Some(value @ Value::Text(_)) = values.pop()
        {
            return Ok(Some(value));
        }
        let Some(values) = self.values(event)? else { return Ok(None) };
        let mut text = Vec::new();
        match &values[..] {
            [one] => render::value(one, display, &mut text),
            many => render::list(many, display, &mut text),
        }
        Ok(Some(Value::owned(text)))
    }

    /// Calls `f` on every field in this operand, from left to right.
    pub(crate) fn for_each_field(&self, f: &mut dyn FnMut(&FieldRef)) {
        match self {
            Self::Field(field) => f(field),
            Self::Constant(_) => {}
            Self::Apply { of, .. } => of.for_each_field(f),
            Self::Join { separator, list, .. } => {
                separator.for_each_field(f);
                list.for_each_field(f);
            }
            Self::Concat(parts) => parts.iter().for_each(|part| part.for_each_field(f)),
            Self::GetOpt { list, spec, .. } => {
                list.for_each_field(f);
                spec.for_each_field(f);
            }
            Self::List(members) => members.iter().for_each(|(member, _)| member.for_each_field(f)),
        }
    }
}

/// A call with one argument; `None` when its result is absent.
fn apply(function: Function, list: bool, mut values: SmallVec<[Value<'_>; 4]>) -> Values<'_> {
    match function {
        Function::Len if list => Some(smallvec![Value::U64(values.len() as u64)]),
        Function::Len => {
            // Only the first value is measured. Should there be more, they stay, and the comparison aborts.
            let first = values.first_mut()?;
            *first = Value::U64(match &*first {
                Value::Text(text) => c_text(text).len() as u64,
                Value::Bytes(bytes) => bytes.len() as u64,
                _ => 0,
            });
            Some(values)
        }
        _ => {
            for value in &mut values {
                let (Value::Text(bytes) | Value::Bytes(bytes)) = &*value else { return None };
                let mut made = match function {
                    Function::ToLower => bytes.to_ascii_lowercase(),
                    Function::ToUpper => bytes.to_ascii_uppercase(),
                    Function::BaseName => {
                        let start = memchr::memrchr(b'/', bytes).map_or(0, |slash| slash + 1);
                        bytes[start..].to_vec()
                    }
                    _ => base64(bytes)?,
                };
                if made.last() != Some(&0) {
                    made.push(0);
                }
                *value = match value {
                    Value::Bytes(_) => Value::Bytes(Cow::Owned(made)),
                    _ => Value::Text(Cow::Owned(made)),
                };
            }
            Some(values)
        }
    }
}

/// Decodes Base64 with or without padding; `None` when it is none. Unused bits must be zero.
fn base64(text: &[u8]) -> Option<Vec<u8>> {
    let padding = text.iter().rev().take(2).take_while(|byte| **byte == b'=').count();
    let digits = &text[..text.len() - padding];
    if digits.len() % 4 == 1 {
        return None;
    }
    let mut bytes = Vec::with_capacity(digits.len() / 4 * 3 + 2);
    for chunk in digits.chunks(4) {
        let mut bits = 0_u32;
        for digit in chunk {
            let value = match digit {
                b'A'..=b'Z' => digit - b'A',
                b'a'..=b'z' => digit - b'a' + 26,
                b'0'..=b'9' => digit - b'0' + 52,
                b'+' => 62,
                b'/' => 63,
                _ => return None,
            };
            bits = bits << 6 | u32::from(value);
        }
        bits <<= 6 * (4 - chunk.len());
        let [_, made @ ..] = bits.to_be_bytes();
        let (used, unused) = made.split_at(chunk.len() - 1);
        if unused.iter().any(|byte| *byte != 0) {
            return None;
        }
        bytes.extend_from_slice(used);
    }
    Some(bytes)
}

/// Options of an argument list, as `getopt(3)` with `spec` finds them: each letter, then its value. With `letter`,
/// the last value of that option, or the letter itself for a flag; `None` when it does not occur.
fn getopt(args: &[Cow<'_, [u8]>], spec: &[u8], letter: Option<u8>) -> Option<Vec<Vec<u8>>> {
    let spec = spec.strip_prefix(b":").unwrap_or(spec);
    let takes = |option: u8| {
        let at = spec.iter().rposition(|known| *known == option && option != b':')?;
        Some(spec.get(at + 1) == Some(&b':'))
    };
    let mut found = Vec::new();
    let mut selected = None;
    let mut note = |option: u8, name: &[u8], value: Option<&[u8]>| match letter {
        None => {
            found.push(name.to_vec());
            found.extend(value.map(<[u8]>::to_vec));
        }
        Some(letter) if letter == option => selected = Some(value.unwrap_or(name).to_vec()),
        Some(_) => {}
    };
    let mut rest = args.iter();
    while let Some(arg) = rest.next() {
        match &**arg {
            [b'-', b'-', _, ..] => continue,
            [b'-', b'-'] | [b'-'] => break,
            [b'-', ..] => {}
            _ => break,
        }
        for (i, option) in arg.iter().enumerate().skip(1) {
            match takes(*option) {
                // With a letter to look for, an unknown option is of no interest, not even if it is that letter.
                None if letter.is_none() => note(*option, b"?", None),
                None => {}
                Some(false) => note(*option, &[*option], None),
                Some(true) => {
                    let value = if i + 1 < arg.len() { Some(&arg[i + 1..]) } else { rest.next().map(|next| &**next) };
                    match value {
                        Some(value) => note(*option, &[*option], Some(value)),
                        // Without its value the option gives one empty text instead of two.
                        None => note(*option, b"", None),
                    }
                    break;
                }
            }
        }
    }
    match letter {
        None => Some(found),
        Some(_) => selected.map(|value| vec![value]),
    }
}

/// The bytes that C would see at the address of a value. Only texts are meant to get here, but Falco's type check
/// looks at the field below a call, so that numbers do, too.
fn raw_bytes<'v>(value: &'v Value<'_>, ty: FieldType) -> Cow<'v, [u8]> {
    let width = |ty| match constant::kind(ty) {
        Kind::Int { bits, .. } => bits as usize / 8,
        _ => 8,
    };
    match value {
        Value::Text(bytes) | Value::Bytes(bytes) => Cow::Borrowed(bytes),
        Value::I64(number) => Cow::Owned(number.to_le_bytes()[..width(ty)].to_vec()),
        Value::U64(number) => Cow::Owned(number.to_le_bytes()[..width(ty)].to_vec()),
        Value::Double(number) => Cow::Owned(number.to_le_bytes().to_vec()),
        Value::Bool(truth) => Cow::Owned(u32::from(*truth).to_le_bytes().to_vec()),
        Value::Ip(IpAddr::V4(address)) => Cow::Owned(address.octets().to_vec()),
        Value::Ip(IpAddr::V6(address)) => Cow::Owned(address.octets().to_vec()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(args: &[&str], spec: &str, letter: Option<u8>) -> Option<Vec<String>> {
        let args: Vec<Cow<'_, [u8]>> = args.iter().map(|arg| Cow::Borrowed(arg.as_bytes())).collect();
        let found = getopt(&args, spec.as_bytes(), letter)?;
        Some(found.into_iter().map(|text| String::from_utf8_lossy(&text).into_owned()).collect())
    }

    #[test]
    fn options_are_found_like_getopt_does() {
        let all = |args: &[&str], spec: &str| options(args, spec, None).unwrap_or_default();
        assert_eq!(all(&["-lp", "99", "-xq", "file", "-l"], "lp:"), ["l", "p", "99", "?", "?"]);
        assert_eq!(all(&["-p99", "--long", "-l", "--", "-l"], ":lp:"), ["p", "99", "l"]);
        assert_eq!(all(&["-p"], "p:"), [""]);
        assert_eq!(all(&["-", "-l"], "l"), [""; 0]);
        assert_eq!(all(&["-a:b"], "a:b"), ["a", ":b"]);
        assert_eq!(options(&["-p", "1", "-p", "2"], "p:", Some(b'p')), Some(vec!["2".to_owned()]));
        assert_eq!(options(&["-l"], "l", Some(b'l')), Some(vec!["l".to_owned()]));
        assert_eq!(options(&["-z"], "l", Some(b'z')), None);
        assert_eq!(options(&["-l"], "lp:", Some(b'p')), None);
    }

    #[test]
    fn base64_is_strict() {
        assert_eq!(base64(b"aGVsbG8=").as_deref(), Some(&b"hello"[..]));
        assert_eq!(base64(b"aGVsbG8").as_deref(), Some(&b"hello"[..]));
        assert_eq!(base64(b"").as_deref(), Some(&b""[..]));
        assert_eq!(base64(b"YQ==").as_deref(), Some(&b"a"[..]));
        for wrong in ["a", "aGVsbG9", "YR==", "a GV", "YQ=x", "===="] {
            assert_eq!(base64(wrong.as_bytes()), None, "{wrong}");
        }
    }
}
