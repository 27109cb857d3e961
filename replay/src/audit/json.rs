//! A JSON document as audit fields look at it: members in the order of the document, values as texts.
//!
//! The tree and its parser are our own: rules see the text of a value as the document writes it, so members keep their order
//! and numbers their digits, `1.50` and 30 of them alike. `serde_json` keeps neither unless every crate of a build agrees to it;
//! it undoes the escapes of strings.

use std::fmt;

/// Nesting that is followed; as deep as the parser of Falco's plugins goes.
const MAX_DEPTH: usize = 300;

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
    /// Parses one document; `None` where it is none, or nested deeper than 300 levels.
    pub fn parse(text: &[u8]) -> Option<Self> {
        Parser { text, at: 0, depth: 0 }.document()
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

    /// The value at a JSON pointer (RFC 6901), whose leading slash may be missing. The empty pointer is the document, and `/` its
    /// member without a name.
    pub fn pointer(&self, pointer: &str) -> Option<&Self> {
        if pointer.is_empty() {
            return Some(self);
        }
        let steps = pointer.strip_prefix('/').unwrap_or(pointer);
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

/// A document being parsed: recursive descent, bounded by [`MAX_DEPTH`].
struct Parser<'t> {
    text: &'t [u8],
    at: usize,
    depth: usize,
}

impl Parser<'_> {
    /// A whole document, with nothing but blanks around it.
    fn document(mut self) -> Option<Json> {
        let json = self.value()?;
        self.blanks();
        (self.at == self.text.len()).then_some(json)
    }

    fn blanks(&mut self) {
        let rest = self.text.get(self.at..).unwrap_or_default();
        self.at += rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n')).count();
    }

    /// The next byte that is no blank.
    fn peek(&mut self) -> Option<u8> {
        self.blanks();
        self.text.get(self.at).copied()
    }

    /// Passes over a byte, which must be next.
    fn expect(&mut self, byte: u8) -> Option<()> {
        (self.peek()? == byte).then(|| self.at += 1)
    }

    /// Passes over a byte if it is next.
    fn skip(&mut self, byte: u8) -> bool {
        self.expect(byte).is_some()
    }

    fn value(&mut self) -> Option<Json> {
        match self.peek()? {
            b'{' => self.nested(Self::object),
            b'[' => self.nested(Self::list),
            b'"' => self.string().map(Json::Text),
            b't' => self.word("true", Json::Bool(true)),
            b'f' => self.word("false", Json::Bool(false)),
            b'n' => self.word("null", Json::Null),
            _ => self.number(),
        }
    }

    fn nested(&mut self, content: fn(&mut Self) -> Option<Json>) -> Option<Json> {
        self.at += 1;
        self.depth += 1;
        let json = if self.depth > MAX_DEPTH { None } else { content(self) };
        self.depth -= 1;
        json
    }

    /// Members up to the closing brace.
    fn object(&mut self) -> Option<Json> {
        let mut members = Vec::new();
        while !self.skip(b'}') {
            if !members.is_empty() {
                self.expect(b',')?;
            }
            self.blanks();
            let name = self.string()?;
            self.expect(b':')?;
            members.push((name, self.value()?));
        }
        Some(Json::Object(members))
    }

    /// Elements up to the closing bracket.
    fn list(&mut self) -> Option<Json> {
        let mut items = Vec::new();
        while !self.skip(b']') {
            if !items.is_empty() {
                self.expect(b',')?;
            }
            items.push(self.value()?);
        }
        Some(Json::List(items))
    }

    fn word(&mut self, word: &str, json: Json) -> Option<Json> {
        let is_it = self.text.get(self.at..)?.starts_with(word.as_bytes());
        self.at += word.len();
        is_it.then_some(json)
    }

    /// The token of a number, as it is written.
    fn number(&mut self) -> Option<Json> {
        let rest = self.text.get(self.at..)?;
        let token = &rest
            [..rest.iter().take_while(|byte| matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E')).count()];
        let token = std::str::from_utf8(token).ok().filter(|token| is_number(token))?;
        self.at += token.len();
        Some(Json::Number(token.into()))
    }

    /// A string with its escapes undone. Where they make no sense (half a surrogate pair, an unknown letter) it stays as it
    /// is written, as Falco's plugins leave it; bytes that are no UTF-8 become U+FFFD: nothing is lost for a letter.
    fn string(&mut self) -> Option<Box<str>> {
        let quoted = self.text.get(self.at..).filter(|rest| rest.first() == Some(&b'"'))?;
        let mut end = 1;
        let mut escapes = false;
        loop {
            match quoted.get(end)? {
                b'"' => break,
                b'\\' => (end, escapes) = (end + 2, true),
                _ => end += 1,
            }
        }
        self.at += end + 1;
        let raw = String::from_utf8_lossy(quoted.get(1..end)?);
        if escapes {
            let whole = String::from_utf8_lossy(quoted.get(..=end)?);
            if let Ok(text) = serde_json::from_str::<String>(&whole) {
                return Some(text.into());
            }
        }
        Some(raw.into())
    }
}

/// Whether a text is a number by JSON's grammar.
fn is_number(token: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let (mantissa, exponent) = token.split_once(['e', 'E']).map_or((token, None), |(front, back)| (front, Some(back)));
    let (whole, fraction) = mantissa.split_once('.').map_or((mantissa, None), |(front, back)| (front, Some(back)));
    let whole = whole.strip_prefix('-').unwrap_or(whole);
    digits(whole)
        && (whole == "0" || !whole.starts_with('0'))
        && fraction.is_none_or(digits)
        && exponent.is_none_or(|power| digits(power.strip_prefix(['+', '-']).unwrap_or(power)))
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
        assert_eq!(at("/").as_deref(), Some("2"), "the member without a name");
    }

    #[test]
    fn numbers_keep_their_digits() {
        for number in
            ["0", "-0", "1.50", "1e3", "1E+03", "-2.5e-7", "123456789012345678901234567890", "0.10000000000000000001"]
        {
            let json = Json::parse(number.as_bytes()).unwrap();
            assert_eq!((&json, json.text().as_str()), (&Json::Number(number.into()), number));
        }
        for bad in ["01", "+1", "1.", ".5", "1e", "--1", "1.2.3", "-", "0x1", "NaN", "1 2"] {
            assert_eq!(Json::parse(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn strings_that_make_no_sense_stay_as_they_are_written() {
        let text = |json: &[u8]| Json::parse(json).unwrap().text();
        assert_eq!(text(br#""\u00e9\ud83d\ude00\/""#), "é😀/");
        assert_eq!(text(br#""half \ud83d""#), r"half \ud83d");
        assert_eq!(text(br#""\q""#), r"\q");
        assert_eq!(text(b"\"a\xff\tb\""), "a\u{fffd}\tb");
    }

    #[test]
    fn what_is_no_document() {
        for bad in [
            "", " ", "{", "[1", "[1,]", "{\"a\"}", "{\"a\":}", "{a:1}", "\"a", "\"a\\", "tru", "nulll", "{} {}",
            "[,1]", "{,}",
        ] {
            assert_eq!(Json::parse(bad.as_bytes()), None, "{bad}");
        }
        assert_eq!(Json::parse(b" [ ] "), Some(Json::List(Vec::new())));
    }

    #[test]
    fn deep_nesting_is_refused() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(Json::parse(nested(MAX_DEPTH).as_bytes()).is_some());
        assert!(Json::parse(nested(MAX_DEPTH + 1).as_bytes()).is_none());
        assert!(Json::parse("[".repeat(100_000).as_bytes()).is_none());
    }
}
