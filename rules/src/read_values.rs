//! Reader, the part for single values: texts, truth values, numbers, priorities, names, decoded as Falco decodes them.

use std::sync::Arc;

use crate::diagnostics::{Code, Diagnostic, did_you_mean};
use crate::priority::Priority;
use crate::reader::{Outcome, invalid};
use crate::text::Scalar;
use crate::yaml::{Kind, Node};

/// Warnings about keys that a mapping inside an item cannot have.
pub(crate) fn unknown_inner_keys(node: &Node, keys: &[&'static str]) -> Vec<Diagnostic> {
    let entries = node.mapping().unwrap_or_default();
    let unknown = entries.iter().filter(|(key, _)| !key.scalar().is_some_and(|key| keys.contains(&&*key.value)));
    unknown
        .map(|(key, _)| {
            let name = key.scalar().map_or("", |key| &*key.value);
            Diagnostic::new(Code::UnknownInnerKey, format!("key `{name}` means nothing here and is ignored"))
                .at(key.span)
                .hint(did_you_mean(name, keys.iter().copied()))
        })
        .collect()
}

/// A text that has to be there and not empty.
pub(crate) fn required(node: &Node, key: &str) -> Outcome<Arc<Scalar>> {
    let Some((name, value)) = node.entry(key) else {
        return Err(Box::new(invalid(format!("key `{key}` is missing"), node.span)));
    };
    let Kind::Scalar(text) = &value.kind else {
        let (message, span) = if value.is_null() {
            (format!("key `{key}` has no value"), name.span)
        } else {
            (format!("the value of `{key}` is a text, but this is {}", value.kind_name()), value.span)
        };
        return Err(Box::new(invalid(message, span)));
    };
    if text.value.is_empty() {
        return Err(Box::new(invalid(format!("the value of `{key}` is empty"), value.span)));
    }
    Ok(Arc::clone(text))
}

pub(crate) fn optional_text(node: &Node, key: &str) -> Outcome<Option<Arc<Scalar>>> {
    if node.get(key).is_none() { Ok(None) } else { required(node, key).map(Some) }
}

pub(crate) fn optional<T>(node: &Node, key: &str, decode: fn(&Arc<Scalar>) -> Outcome<T>) -> Outcome<Option<T>> {
    optional_text(node, key)?.as_ref().map(decode).transpose()
}

pub(crate) fn sequence<'n>(node: &'n Node, key: &str) -> Outcome<&'n [Arc<Node>]> {
    node.sequence().ok_or_else(|| {
        Box::new(invalid(format!("the value of `{key}` is a sequence, but this is {}", node.kind_name()), node.span))
    })
}

/// The texts of a sequence.
pub(crate) fn texts(node: &Node, key: &str) -> Outcome<Vec<Arc<Scalar>>> {
    let element = |element: &Arc<Node>| {
        let text = element.scalar().map(Arc::clone);
        text.ok_or_else(|| {
            let message = format!("an element of `{key}` is a text, but this is {}", element.kind_name());
            Box::new(invalid(message, element.span))
        })
    };
    sequence(node, key)?.iter().map(element).collect()
}

pub(crate) fn tags(node: &Node) -> Outcome<Option<Vec<Arc<Scalar>>>> {
    let Some(node) = node.get("tags") else { return Ok(None) };
    Ok(Some(texts(node, "tags")?))
}

pub(crate) fn priority(text: &Arc<Scalar>) -> Outcome<Priority> {
    Priority::parse(&text.value).ok_or_else(|| {
        let names = Priority::ALL.map(Priority::name);
        let lower = text.value.trim().to_ascii_lowercase();
        let near = names.into_iter().find(|name| lower.len() >= 3 && name.to_ascii_lowercase().starts_with(&lower));
        let hint = match near {
            Some(name) => format!("did you mean `{}`?", name.to_ascii_uppercase()),
            None => format!("priorities are {}", names.join(", ")),
        };
        Box::new(invalid(format!("`{}` is no priority", text.value), text.span).hint(hint))
    })
}

/// `y`, `yes`, `true`, `on` and their opposites in lower case, upper case or with a capital.
pub(crate) fn boolean(text: &Arc<Scalar>) -> Outcome<bool> {
    let value = &*text.value;
    let lower = value.to_ascii_lowercase();
    let cased = value == lower || value[1..] == lower[1..] || value == value.to_ascii_uppercase();
    match &*lower {
        "y" | "yes" | "true" | "on" if cased => Ok(true),
        "n" | "no" | "false" | "off" if cased => Ok(false),
        _ => Err(Box::new(invalid(format!("`{value}` is neither true nor false"), text.span))),
    }
}

pub(crate) fn number(text: &Arc<Scalar>) -> Outcome<u32> {
    unsigned(&text.value)
        .ok_or_else(|| Box::new(invalid(format!("`{}` is no number from 0 to {}", text.value, u32::MAX), text.span)))
}

/// A whole number as C++ streams read it: decimal, `0x` hexadecimal, leading 0 octal; blanks may follow.
pub(crate) fn unsigned(text: &str) -> Option<u32> {
    let digits = text.trim_end_matches([' ', '\t', '\n', '\r', '\x0b', '\x0c']);
    let digits = digits.strip_prefix('+').unwrap_or(digits);
    let (digits, radix) = if let Some(hex) = digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
        (hex, 16)
    } else if digits.len() > 1 && digits.starts_with('0') {
        (digits, 8)
    } else {
        (digits, 10)
    };
    if digits.starts_with('+') {
        return None;
    }
    u32::from_str_radix(digits, radix).ok()
}

pub(crate) fn is_list_name(name: &str) -> bool {
    !name.contains(|c: char| "()\"'=, \t\n\r\x0b\x0c".contains(c))
}

pub(crate) fn is_macro_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic()) && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_of_streams() {
        for (text, value) in
            [("7", 7), ("+7", 7), ("010", 8), ("0x1F", 31), ("0", 0), ("4294967295", u32::MAX), ("5 ", 5)]
        {
            assert_eq!(unsigned(text), Some(value), "{text:?}");
        }
        for bad in ["", " 5", "-1", "08", "1.5", "4294967296", "++1", "0x", "abc", "5x"] {
            assert_eq!(unsigned(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn names_that_conditions_can_use() {
        assert!(is_macro_name("a_1") && !is_macro_name("1a") && !is_macro_name("a-b") && !is_macro_name("_a"));
        assert!(is_list_name("a-b.c") && !is_list_name("a b") && !is_list_name("a,b") && !is_list_name("a(b"));
    }
}
