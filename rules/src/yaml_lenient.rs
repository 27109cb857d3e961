//! Accepts the YAML that Falco's library accepts although the standard does not.
//!
//! Rule files in the field (one of Falco's own among them) continue quoted texts and flow sequences at the indentation
//! of their key or less, and put tabs after colons, and escape single quotes inside double ones. saphyr refuses that, rightly. A [`Repair`] changes a copy of the text in ways that mean
//! nothing in YAML (more indentation inside quotes and brackets, a blank for a tab, another spelling of an escape) and keeps the map back.

use std::borrow::Cow;

use crate::source::TextMap;

/// Most repairs of one file; each means reading it again.
const MAX_REPAIRS: usize = 64;
/// Indentation given to continuation lines: deeper than any key.
const INDENTATION: usize = 80;

/// A text under repair.
pub(crate) struct Repair<'t> {
    text: Cow<'t, str>,
    map: TextMap,
    repairs: usize,
}

impl<'t> Repair<'t> {
    pub(crate) fn new(text: &'t str) -> Self {
        Self { text: Cow::Borrowed(text), map: TextMap::default(), repairs: 0 }
    }

    /// The text as it is now.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Leads from the present text to the original one.
    pub(crate) fn map(&self) -> &TextMap {
        &self.map
    }

    /// Repairs what the parser complains about at byte `at`; false when that is beyond repair.
    pub(crate) fn fix(&mut self, complaint: &str, at: usize) -> bool {
        if self.repairs >= MAX_REPAIRS {
            return false;
        }
        self.repairs += 1;
        let bytes = self.text.as_bytes();
        if complaint.contains("indentation in quoted scalar") {
            let end = quoted_end(bytes, at);
            self.indent(at, end)
        } else if complaint.contains("invalid indentation") {
            let end = brackets_end(bytes, at);
            let line = memchr::memrchr(b'\n', &bytes[..at.min(bytes.len())]).unwrap_or(0);
            self.indent(line, end)
        } else if complaint.contains("unknown escape") {
            let end = quoted_end(bytes, at);
            self.respell_quotes(at, end)
        } else if complaint.contains("must be followed by a valid YAML whitespace") {
            // The complaint is about the first character after the tab.
            let tab = (at.saturating_sub(2)..=at).rev().find(|&i| bytes.get(i) == Some(&b'\t'));
            tab.is_some_and(|tab| {
                self.text.to_mut().replace_range(tab..=tab, " ");
                true
            })
        } else {
            false
        }
    }

    /// Writes `\'` as `\x27` within `start..end`.
    fn respell_quotes(&mut self, start: usize, end: usize) -> bool {
        let old = std::mem::take(&mut self.text);
        let mut text = String::with_capacity(old.len() + 64);
        let mut map = TextMap::default();
        let mut copied = 0;
        let mut at = start;
        while at + 1 < end.min(old.len()) {
            match &old.as_bytes()[at..at + 2] {
                [b'\\', b'\''] => {
                    copy(&mut text, &mut map, &self.map, &old, copied, at);
                    map.push(text.len(), self.map.original(at));
                    text.push_str("\\x27");
                    copied = at + 2;
                    at += 2;
                }
                [b'\\', _] => at += 2,
                _ => at += 1,
            }
        }
        let any = copied > 0;
        if any {
            copy(&mut text, &mut map, &self.map, &old, copied, old.len());
            self.text = Cow::Owned(text);
            self.map = map;
        } else {
            self.text = old;
        }
        any
    }

    /// Indents all lines that begin within `start..end`. False when there are none, or none needs it any more.
    fn indent(&mut self, start: usize, end: usize) -> bool {
        let old = std::mem::take(&mut self.text);
        let mut text = String::with_capacity(old.len() + 4096);
        let mut map = TextMap::default();
        let mut copied = 0;
        let mut any = false;
        let blanks = " ".repeat(INDENTATION);
        for at in memchr::memchr_iter(b'\n', &old.as_bytes()[start.min(old.len())..end.min(old.len())]) {
            let line = start + at + 1;
            let rest = &old.as_bytes()[line..];
            let indented = rest.iter().take_while(|&&b| b == b' ').count();
            if indented >= INDENTATION || matches!(rest.get(indented), None | Some(b'\n' | b'\r')) {
                continue;
            }
            copy(&mut text, &mut map, &self.map, &old, copied, line);
            map.push(text.len(), self.map.original(line));
            text.push_str(&blanks);
            copied = line;
            any = true;
        }
        if any {
            copy(&mut text, &mut map, &self.map, &old, copied, old.len());
            self.text = Cow::Owned(text);
            self.map = map;
        } else {
            self.text = old;
        }
        any
    }
}

/// Copies `from..to` with its map.
fn copy(text: &mut String, map: &mut TextMap, old_map: &TextMap, old: &str, from: usize, to: usize) {
    let base = text.len();
    text.push_str(&old[from..to]);
    for (at, original) in old_map.within(from, to) {
        map.push(base + at - from, original);
    }
}

/// The end of the quoted scalar that begins at `at`.
fn quoted_end(bytes: &[u8], at: usize) -> usize {
    let Some(&quote) = bytes.get(at) else { return at };
    let mut i = at + 1;
    while let Some(&byte) = bytes.get(i) {
        match byte {
            b'\\' if quote == b'"' => i += 1,
            b'\'' if quote == b'\'' && bytes.get(i + 1) == Some(&b'\'') => i += 1,
            _ if byte == quote => return i,
            _ => {}
        }
        i += 1;
    }
    bytes.len()
}

/// From inside brackets, the place where they are closed.
fn brackets_end(bytes: &[u8], at: usize) -> usize {
    let mut depth = 0_usize;
    let mut i = at;
    while let Some(&byte) = bytes.get(i) {
        match byte {
            b'[' | b'{' => depth += 1,
            b']' | b'}' if depth == 0 => return i,
            b']' | b'}' => depth -= 1,
            b'"' | b'\'' if i == 0 || matches!(bytes[i - 1], b' ' | b'\n' | b',' | b'[' | b'{' | b':') => {
                i = quoted_end(bytes, i);
            }
            b'#' if i > 0 && matches!(bytes[i - 1], b' ' | b'\n' | b'\t') => {
                i = memchr::memchr(b'\n', &bytes[i..]).map_or(bytes.len(), |end| i + end);
                continue;
            }
            _ => {}
        }
        i += 1;
    }
    bytes.len()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a test ends at the first surprise
    use crate::source::FileId;
    use crate::yaml::parse;

    #[test]
    fn what_falco_accepts_is_accepted_with_places() {
        let text = "- list: l\n  items: [\n  a,\n  'b\n c', d\n]\n- rule: \"r\n1\"\n  x:\ty\n  e: f\n  g: \"it\\'s\"\n  h: i\n";
        let found = parse(FileId(0), text.as_bytes()).unwrap();
        let items = found.documents[0].sequence().unwrap();
        let list = items[0].get("items").unwrap().sequence().unwrap();
        let values: Vec<_> = list.iter().map(|node| &*node.scalar().unwrap().value).collect();
        assert_eq!(values, ["a", "b c", "d"]);
        let at = |node: &crate::yaml::Node| &text[node.span.start as usize..node.span.end as usize];
        assert_eq!(at(&list[0]), "a");
        assert_eq!(at(&list[2]), "d");
        assert_eq!(items[1].get("rule").unwrap().scalar().unwrap().value, "r 1");
        assert_eq!(at(items[1].get("rule").unwrap()), "\"r\n1\"");
        assert_eq!(at(items[1].get("x").unwrap()), "y");
        assert_eq!(at(items[1].get("e").unwrap()), "f");
        assert_eq!(items[1].get("g").unwrap().scalar().unwrap().value, "it's");
        assert_eq!(at(items[1].get("h").unwrap()), "i");
        assert!(found.warnings.is_empty());
    }

    #[test]
    fn what_nobody_accepts_is_refused() {
        assert!(parse(FileId(0), b"- list: l\n  items: [a\n- rule: r\n").is_err());
        assert!(parse(FileId(0), b"- a: \"x\n").is_err());
    }
}
