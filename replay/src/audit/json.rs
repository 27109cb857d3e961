//! A JSON document as audit fields look at it: members in the order of the document, values as texts.
//!
//! `serde_json` parses (and bounds the nesting); its own tree sorts the members of objects, which would show in the
//! texts that rules print, so the tree is this one.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

/// A JSON value. Numbers are kept as text.
#[derive(Clone, PartialEq, Debug)]
pub enum Json {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number as JSON writes it.
    Number(Box<str>),
    /// A string.
    Text(Box<str>),
    /// An array.
    List(Vec<Self>),
    /// An object, its members in the order of the document.
    Object(Vec<(Box<str>, Self)>),
}

impl Json {
    /// Parses one document.
    ///
    /// # Errors
    /// What is wrong with it, and where. Nesting deeper than 128 is an error.
    pub fn parse(text: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(text)
    }

    /// The member of an object; the first when there are several of this name.
    pub fn get(&self, name: &str) -> Option<&Self> {
        let Self::Object(members) = self else { return None };
        members.iter().find(|(known, _)| **known == *name).map(|(_, value)| value)
    }

    /// The value below several members, one inside the other.
    pub fn at(&self, path: &[&str]) -> Option<&Self> {
        path.iter().try_fold(self, |value, name| value.get(name))
    }

    /// The value at a JSON pointer (RFC 6901), whose leading slash may be missing. The empty pointer is the document.
    pub fn pointer(&self, pointer: &str) -> Option<&Self> {
        let steps = pointer.strip_prefix('/').unwrap_or(pointer);
        if steps.is_empty() {
            return Some(self);
        }
        steps.split('/').try_fold(self, |value, step| match value {
            Self::List(items) => items.get(step.parse::<usize>().ok()?),
            _ if step.contains('~') => value.get(&step.replace("~1", "/").replace("~0", "~")),
            _ => value.get(step),
        })
    }

    /// Elements of an array.
    pub fn list(&self) -> Option<&[Self]> {
        if let Self::List(items) = self { Some(items) } else { None }
    }

    /// Content of a string.
    pub fn str(&self) -> Option<&str> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }

    /// The value as rules see it: content of a string, the JSON text of everything else.
    pub fn text(&self) -> String {
        match self {
            Self::Text(text) => text.to_string(),
            other => other.to_string(),
        }
    }

    /// The document with two blanks of indentation a level.
    pub fn indented(&self) -> String {
        let mut out = String::new();
        self.indent(0, &mut out);
        out
    }

    fn indent(&self, depth: usize, out: &mut String) {
        let line = |depth: usize, out: &mut String| {
            out.push('\n');
            out.extend(std::iter::repeat_n("  ", depth));
        };
        match self {
            Self::List(items) if !items.is_empty() => {
                out.push('[');
                for (n, item) in items.iter().enumerate() {
                    out.push_str(if n > 0 { "," } else { "" });
                    line(depth + 1, out);
                    item.indent(depth + 1, out);
                }
                line(depth, out);
                out.push(']');
            }
            Self::Object(members) if !members.is_empty() => {
                out.push('{');
                for (n, (name, value)) in members.iter().enumerate() {
                    out.push_str(if n > 0 { "," } else { "" });
                    line(depth + 1, out);
                    out.push_str(&quoted(name));
                    out.push_str(": ");
                    value.indent(depth + 1, out);
                }
                line(depth, out);
                out.push('}');
            }
            other => out.push_str(&other.to_string()),
        }
    }
}

/// A string between quotes, escaped.
fn quoted(text: &str) -> String {
    // Writing a string to memory does not fail.
    serde_json::to_string(text).unwrap_or_default()
}

/// Compact JSON.
impl fmt::Display for Json {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => out.write_str("null"),
            Self::Bool(value) => write!(out, "{value}"),
            Self::Number(number) => out.write_str(number),
            Self::Text(text) => out.write_str(&quoted(text)),
            Self::List(items) => {
                out.write_str("[")?;
                for (n, item) in items.iter().enumerate() {
                    write!(out, "{}{item}", if n > 0 { "," } else { "" })?;
                }
                out.write_str("]")
            }
            Self::Object(members) => {
                out.write_str("{")?;
                for (n, (name, value)) in members.iter().enumerate() {
                    write!(out, "{}{}:{value}", if n > 0 { "," } else { "" }, quoted(name))?;
                }
                out.write_str("}")
            }
        }
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(Tree)
    }
}

struct Tree;

impl<'de> Visitor<'de> for Tree {
    type Value = Json;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Json, E> {
        Ok(Json::Number(value.to_string().into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Json, E> {
        Ok(Json::Number(value.to_string().into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Json, E> {
        Ok(Json::Number(serde_json::to_string(&value).unwrap_or_default().into()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Json, E> {
        Ok(Json::Text(value.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Json, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Json::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Json, A::Error> {
        let mut object = Vec::new();
        while let Some(member) = members.next_entry::<String, Json>()? {
            object.push((member.0.into(), member.1));
        }
        Ok(Json::Object(object))
    }
}

#[cfg(test)]
mod tests {
    // Documents of the tests are valid.
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn texts_are_those_of_the_document_in_its_order() {
        let text = r#"{"z":[1,-2,1.5,true,null,"a\"b"],"a":{"x":"é\n"},"e":[],"o":{}}"#;
        let json = Json::parse(text.as_bytes()).unwrap();
        assert_eq!(json.to_string(), text);
        assert_eq!(json.get("z").and_then(|list| list.list()).unwrap()[5].text(), "a\"b");
        let indented = Json::parse(br#"{"b":[1,{}],"a":"x"}"#).unwrap().indented();
        assert_eq!(indented, "{\n  \"b\": [\n    1,\n    {}\n  ],\n  \"a\": \"x\"\n}");
    }

    #[test]
    fn pointers() {
        let json = Json::parse(br#"{"a":{"b/c":[10,{"~":1}]},"":2}"#).unwrap();
        let at = |pointer| json.pointer(pointer).map(Json::text);
        assert_eq!(at("/a/b~1c/0").as_deref(), Some("10"));
        assert_eq!(at("a/b~1c/1/~0").as_deref(), Some("1"), "the leading slash may be missing");
        assert_eq!(at("/a/b~1c/2"), None);
        assert_eq!(at("/a/b~1c/x"), None, "a step that is no number in an array");
        assert_eq!(at(""), Some(json.to_string()));
    }

    #[test]
    fn deep_nesting_is_refused() {
        let deep = "[".repeat(100_000);
        assert!(Json::parse(deep.as_bytes()).is_err());
    }
}
