//! Reading case files: typed access to the nodes of a YAML document, and the mistakes found on the way.
//!
//! Below [`super::case`], [`super::script`], and policies of `redact`. A mistake is a diagnostic with its place, as in rule files; reading goes
//! on after it, so that one run shows all of them. A key nobody asks for is a mistake, too.

use std::sync::Arc;

use casebook_rules::ast::Span;
use casebook_rules::diagnostics::{Code, Diagnostic, did_you_mean};
use casebook_rules::source::{FileSpan, Sources};
use casebook_rules::yaml::Node;

/// Mistakes of one load beyond which the rest is not told; a hostile file could have millions.
const MAX_MISTAKES: usize = 1000;

/// The mistakes of a load.
#[derive(Default, Debug)]
pub(crate) struct Notes {
    pub(crate) mistakes: Vec<Diagnostic>,
}

impl Notes {
    /// Notes a mistake and gives nothing, for the end of a function that has nothing to give.
    pub(crate) fn wrong<T>(&mut self, span: FileSpan, message: impl Into<String>) -> Option<T> {
        self.wrong_with(span, message, None)
    }

    /// Same, with advice.
    pub(crate) fn wrong_with<T>(
        &mut self,
        span: FileSpan,
        message: impl Into<String>,
        hint: Option<String>,
    ) -> Option<T> {
        self.note(Diagnostic::new(Code::TestCase, message).at(span).hint(hint));
        None
    }

    pub(crate) fn note(&mut self, mistake: Diagnostic) {
        if self.mistakes.len() < MAX_MISTAKES {
            self.mistakes.push(mistake);
        }
    }

    /// A text.
    pub(crate) fn text<'n>(&mut self, node: &'n Node) -> Option<&'n str> {
        match node.scalar() {
            Some(scalar) => Some(&scalar.value),
            None => self.wrong(node.span, format!("a text is expected here, not {}", node.kind_name())),
        }
    }

    /// A text that says something.
    pub(crate) fn words<'n>(&mut self, node: &'n Node) -> Option<&'n str> {
        let text = self.text(node)?.trim();
        if text.is_empty() { self.wrong(node.span, "this is empty") } else { Some(text) }
    }

    /// A number.
    pub(crate) fn number<N: std::str::FromStr>(&mut self, node: &Node) -> Option<N> {
        let text = self.text(node)?;
        match text.parse() {
            Ok(number) => Some(number),
            Err(_) => self.wrong(node.span, format!("`{text}` is no number that fits here")),
        }
    }

    /// `true` or `false`.
    pub(crate) fn yes(&mut self, node: &Node) -> Option<bool> {
        match self.text(node)? {
            "true" | "yes" => Some(true),
            "false" | "no" => Some(false),
            other => self.wrong(node.span, format!("`{other}` is neither true nor false")),
        }
    }

    /// One of a few words.
    pub(crate) fn one_of<T: Copy>(&mut self, node: &Node, words: &[(&str, T)]) -> Option<T> {
        let text = self.text(node)?;
        if let Some((_, value)) = words.iter().find(|(word, _)| *word == text) {
            return Some(*value);
        }
        let names: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        self.wrong(node.span, format!("`{text}` is none of {}", names.join(", ")))
    }

    /// A length of time, ns: `1.5s`, `200ms`, `2m`, `1h`.
    pub(crate) fn span(&mut self, node: &Node) -> Option<u64> {
        let text = self.text(node)?;
        match time_span(text.trim().trim_start_matches('+')) {
            Some(ns) => Some(ns),
            None => self.wrong(node.span, format!("`{text}` is no length of time like 1.5s, 200ms or 2m")),
        }
    }
}

/// The elements of a sequence, or one element in its place.
pub(crate) fn several(node: &Arc<Node>) -> &[Arc<Node>] {
    node.sequence().unwrap_or_else(|| if node.is_null() { &[] } else { std::slice::from_ref(node) })
}

/// `1.5s` and its like in ns.
fn time_span(text: &str) -> Option<u64> {
    let units = [("ms", 1_000_000), ("us", 1_000), ("ns", 1), ("s", 1_000_000_000), ("m", 60_000_000_000)];
    let hour = ("h", 3_600_000_000_000);
    units
        .iter()
        .chain([&hour])
        .find_map(|(unit, scale)| text.strip_suffix(unit).map(|number| crate::moment::scaled(number.trim(), *scale)))?
}

/// The entries of a mapping, taken one by one; what is left over is a mistake.
#[derive(Debug)]
pub(crate) struct Entries<'n> {
    node: &'n Node,
    pairs: &'n [(Arc<Node>, Arc<Node>)],
    asked: Vec<&'static str>,
}

impl<'n> Entries<'n> {
    pub(crate) fn of(node: &'n Node, what: &str, notes: &mut Notes) -> Option<Self> {
        match node.mapping() {
            Some(pairs) => Some(Self { node, pairs, asked: Vec::new() }),
            None => notes.wrong(node.span, format!("{what} is a mapping of keys to values, not {}", node.kind_name())),
        }
    }

    /// The value of a key; nothing when the key is not there.
    pub(crate) fn take(&mut self, key: &'static str) -> Option<&'n Arc<Node>> {
        self.asked.push(key);
        self.node.get(key)
    }

    /// The value of a key that has to be there.
    pub(crate) fn need(&mut self, key: &'static str, what: &str, notes: &mut Notes) -> Option<&'n Arc<Node>> {
        match self.take(key) {
            Some(value) if !value.is_null() => Some(value),
            _ => notes.wrong(self.start(), format!("{what} needs `{key}`")),
        }
    }

    /// Where the mapping begins: a place for what is missing in it.
    pub(crate) fn start(&self) -> FileSpan {
        self.pairs.first().map_or(self.node.span, |(key, _)| key.span)
    }

    /// Keys and values that nobody asked for so far.
    pub(crate) fn others(&self) -> impl Iterator<Item = &'n (Arc<Node>, Arc<Node>)> + '_ {
        self.pairs.iter().filter(|(key, _)| !key.scalar().is_some_and(|key| self.asked.contains(&key.value.as_str())))
    }

    /// Ends the reading: what nobody asked for does not exist.
    pub(crate) fn end(self, what: &str, notes: &mut Notes) {
        for (key, _) in self.others() {
            let Some(name) = key.scalar() else {
                notes.wrong::<()>(key.span, "a key is a text");
                continue;
            };
            let hint = did_you_mean(&name.value, self.asked.iter().copied())
                .unwrap_or_else(|| format!("keys here: {}", self.asked.join(", ")));
            notes.wrong_with::<()>(key.span, format!("{what} has no key `{}`", name.value), Some(hint));
        }
    }
}

/// The place in the file of a part of a scalar's value.
pub(crate) fn place_in(node: &Node, part: Span, sources: &Sources) -> FileSpan {
    let Some(scalar) = node.scalar() else { return node.span };
    let text = sources.text(node.span.file);
    let Some(raw) = text.get(scalar.span.start as usize..scalar.span.end as usize) else { return node.span };
    let map = scalar.map(raw);
    let (start, end) = map.original_range(part.start as usize, part.end as usize);
    let base = scalar.span.start as usize;
    FileSpan::new(node.span.file, base + start, base + end)
}

#[cfg(test)]
mod tests {
    use super::time_span;

    #[test]
    fn lengths_of_time_have_units() {
        assert_eq!(time_span("1.5s"), Some(1_500_000_000));
        assert_eq!(time_span("200ms"), Some(200_000_000));
        assert_eq!(time_span("2m"), Some(120_000_000_000));
        assert_eq!(time_span("1h"), Some(3_600_000_000_000));
        for bad in ["", "s", "1", "1.5", "-1s", "1x", "1e9s", "99999999999h"] {
            assert_eq!(time_span(bad), None, "{bad}");
        }
    }
}
