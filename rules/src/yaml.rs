//! YAML documents as trees in which every key, scalar and element knows its bytes in the file.
//!
//! Built on the event stream of saphyr-parser, so that size, nesting and aliases are bounded while the tree grows:
//! an alias shares the node it names, and counts with its full size. Scalars are texts; only an untagged plain `~`,
//! `null` or nothing is null, as in the YAML library Falco uses. Of keys that occur twice the first counts.

use std::collections::HashMap;
use std::sync::Arc;

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError};

use crate::diagnostics::{Code, Diagnostic};
use crate::source::{FileId, FileSpan, MAX_FILE_SIZE, TextMap};
use crate::text::{Scalar, Style};
use crate::yaml_lenient::Repair;

/// Deepest nesting of sequences and mappings, aliases followed. Rule files need 6.
const MAX_DEPTH: u32 = 64;
/// Most nodes of a document, aliases followed.
const MAX_NODES: u64 = 2_000_000;

/// A node of a document.
#[derive(Debug)]
pub struct Node {
    /// Its bytes. A mapping or sequence in block style reaches to the end of its last element.
    pub span: FileSpan,
    /// What it is.
    pub kind: Kind,
    depth: u32,
    size: u64,
}

/// What a node is.
#[derive(Debug)]
pub enum Kind {
    /// Nothing: `~`, `null`, or no text at all.
    Null,
    /// A text.
    Scalar(Arc<Scalar>),
    /// Elements in their order.
    Sequence(Vec<Arc<Node>>),
    /// Keys and values in their order.
    Mapping(Vec<(Arc<Node>, Arc<Node>)>),
}

impl Node {
    fn leaf(span: FileSpan, kind: Kind) -> Self {
        Self { span, kind, depth: 1, size: 1 }
    }

    /// Whether it is nothing.
    pub fn is_null(&self) -> bool {
        matches!(self.kind, Kind::Null)
    }

    /// Its text, if it is one.
    pub fn scalar(&self) -> Option<&Arc<Scalar>> {
        match &self.kind {
            Kind::Scalar(scalar) => Some(scalar),
            _ => None,
        }
    }

    /// Its elements, if it is a sequence.
    pub fn sequence(&self) -> Option<&[Arc<Self>]> {
        match &self.kind {
            Kind::Sequence(items) => Some(items),
            _ => None,
        }
    }

    /// Its entries, if it is a mapping.
    pub fn mapping(&self) -> Option<&[(Arc<Self>, Arc<Self>)]> {
        match &self.kind {
            Kind::Mapping(entries) => Some(entries),
            _ => None,
        }
    }

    /// The first entry of a mapping with this key.
    pub fn entry(&self, key: &str) -> Option<&(Arc<Self>, Arc<Self>)> {
        self.mapping()?.iter().find(|(name, _)| name.scalar().is_some_and(|name| name.value == key))
    }

    /// The value of a key of a mapping.
    pub fn get(&self, key: &str) -> Option<&Arc<Self>> {
        self.entry(key).map(|(_, value)| value)
    }

    /// A word for its kind in messages.
    pub fn kind_name(&self) -> &'static str {
        match self.kind {
            Kind::Null => "nothing",
            Kind::Scalar(_) => "a scalar",
            Kind::Sequence(_) => "a sequence",
            Kind::Mapping(_) => "a mapping",
        }
    }
}

/// What a file holds.
#[derive(Debug, Default)]
pub struct Documents {
    /// Its documents; an empty one is null.
    pub documents: Vec<Arc<Node>>,
    /// Warnings about duplicate keys.
    pub warnings: Vec<Diagnostic>,
}

/// Parses the bytes of a file.
///
/// # Errors
/// What keeps the file from being YAML within the limits, with its place.
pub fn parse(file: FileId, bytes: &[u8]) -> Result<Documents, Box<Diagnostic>> {
    let error = |message: String, at: usize| {
        Box::new(Diagnostic::new(Code::YamlParse, message).at(FileSpan::new(file, at, at + 1)))
    };
    if bytes.len() > MAX_FILE_SIZE {
        return Err(error(format!("the file is larger than {} MiB", MAX_FILE_SIZE >> 20), 0));
    }
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(bad) => {
            let at = bad.valid_up_to();
            // The text shown has replacement characters, but up to here both are the same.
            return Err(error(format!("byte {:#04x} is not UTF-8", bytes.get(at).copied().unwrap_or(0)), at));
        }
    };
    if let Some(at) = memchr::memchr(0, bytes) {
        return Err(error("the file contains a zero byte".to_owned(), at));
    }
    let mut repair = Repair::new(text);
    loop {
        let mut builder = Builder::new(file, repair.text(), repair.map());
        match builder.run() {
            Ok(()) => {
                return Ok(Documents { documents: builder.documents, warnings: builder.warnings });
            }
            Err(Trouble::Scan(bad)) => {
                let at = builder.index.byte(bad.marker().index());
                let opened = builder.open_bracket();
                if !repair.fix(bad.info(), at) {
                    let at = repair.map().original(at).min(text.len());
                    let opened = opened.map(|open| repair.map().original(open));
                    return Err(syntax(file, text, bad.info(), at, opened));
                }
            }
            Err(Trouble::Limit(message, at)) => return Err(error(message, repair.map().original(at))),
        }
    }
}

/// An error of the parser, with what is probably behind it.
fn syntax(file: FileId, text: &str, message: &str, at: usize, opened: Option<usize>) -> Box<Diagnostic> {
    let bytes = text.as_bytes();
    // The parser points at what stands before a tab.
    if message.contains("tab") {
        let line = memchr::memrchr(b'\n', &bytes[..at]).map_or(0, |end| end + 1);
        let indents = memchr::memchr_iter(b'\n', &bytes[line..]).map(|end| line + end + 1);
        let tab = std::iter::once(line).chain(indents).take(3).find_map(|start| {
            let blanks = bytes[start..].iter().take_while(|&&byte| byte == b' ').count();
            (bytes.get(start + blanks) == Some(&b'\t')).then_some(start + blanks)
        });
        if let Some(tab) = tab {
            let span = FileSpan::new(file, tab, tab + 1);
            let message = "a tab cannot indent YAML";
            return Box::new(Diagnostic::new(Code::YamlParse, message).at(span).hint("use blanks".to_owned()));
        }
    }
    let error = Diagnostic::new(Code::YamlParse, message).at(FileSpan::new(file, at, at + 1));
    Box::new(match opened {
        Some(open) => error.and_at(FileSpan::new(file, open, open + 1), "this bracket is still open"),
        None => error,
    })
}

enum Trouble {
    Scan(ScanError),
    Limit(String, usize),
}

/// Byte offsets of characters: the parser counts characters.
struct CharIndex<'t> {
    /// Byte of every 64th character; empty when characters are bytes.
    marks: Vec<u32>,
    text: &'t str,
}

impl<'t> CharIndex<'t> {
    fn new(text: &'t str) -> Self {
        let marks = if text.is_ascii() {
            Vec::new()
        } else {
            text.char_indices().step_by(64).map(|(at, _)| at as u32).collect()
        };
        Self { marks, text }
    }

    fn byte(&self, index: usize) -> usize {
        if self.marks.is_empty() {
            return index.min(self.text.len());
        }
        let Some(&mark) = self.marks.get(index / 64) else { return self.text.len() };
        let rest = &self.text[mark as usize..];
        rest.char_indices().nth(index % 64).map_or(self.text.len(), |(at, _)| mark as usize + at)
    }
}

/// A collection that is being read.
struct Open {
    start: usize,
    end: usize,
    anchor: usize,
    kind: OpenKind,
    depth: u32,
    size: u64,
}

enum OpenKind {
    Sequence(Vec<Arc<Node>>),
    Mapping(Vec<(Arc<Node>, Arc<Node>)>, Option<Arc<Node>>),
}

struct Builder<'t> {
    file: FileId,
    text: &'t str,
    map: &'t TextMap,
    index: CharIndex<'t>,
    stack: Vec<Open>,
    anchors: HashMap<usize, Arc<Node>, foldhash::fast::FixedState>,
    root: Option<Arc<Node>>,
    documents: Vec<Arc<Node>>,
    warnings: Vec<Diagnostic>,
    nodes: u64,
}

impl<'t> Builder<'t> {
    fn new(file: FileId, text: &'t str, map: &'t TextMap) -> Self {
        Self {
            file,
            text,
            map,
            index: CharIndex::new(text),
            stack: Vec::new(),
            anchors: HashMap::default(),
            root: None,
            documents: Vec::new(),
            warnings: Vec::new(),
            nodes: 0,
        }
    }

    fn span(&self, start: usize, end: usize) -> FileSpan {
        let (start, end) = self.map.original_range(start, end);
        FileSpan::new(self.file, start, end)
    }

    /// The innermost bracket that is not closed yet.
    fn open_bracket(&self) -> Option<usize> {
        let start = self.stack.last()?.start;
        matches!(self.text.as_bytes().get(start), Some(b'[' | b'{')).then_some(start)
    }

    fn run(&mut self) -> Result<(), Trouble> {
        let mut parser = Parser::new_from_str(self.text);
        while let Some(event) = parser.next_event() {
            let (event, span) = event.map_err(Trouble::Scan)?;
            let (start, end) = (self.index.byte(span.start.index()), self.index.byte(span.end.index()));
            match event {
                Event::Scalar(value, style, anchor, tag) => {
                    let bytes = self.text.get(start..end).unwrap_or("");
                    let start = start + properties(bytes, anchor != 0 || tag.is_some());
                    let null = style == ScalarStyle::Plain
                        && tag.is_none()
                        && matches!(&*value, "" | "~" | "null" | "Null" | "NULL");
                    let span = self.span(start, end);
                    let kind = if null {
                        Kind::Null
                    } else {
                        Kind::Scalar(Arc::new(Scalar { value: value.into_owned(), span, style: style_of(style) }))
                    };
                    self.nodes += 1;
                    self.add(Arc::new(Node::leaf(span, kind)), anchor, start, end)?;
                }
                Event::Alias(anchor) => {
                    let Some(node) = self.anchors.get(&anchor).map(Arc::clone) else {
                        return Err(Trouble::Limit("an alias refers to the node it is part of".to_owned(), start));
                    };
                    // An alias repeats everything below it; what is written out was counted node by node.
                    self.nodes = self.nodes.saturating_add(node.size);
                    self.add(node, 0, start, end)?;
                }
                Event::SequenceStart(anchor, _) => self.open(OpenKind::Sequence(Vec::new()), anchor, start)?,
                Event::MappingStart(anchor, _) => self.open(OpenKind::Mapping(Vec::new(), None), anchor, start)?,
                Event::SequenceEnd | Event::MappingEnd => self.close(end)?,
                Event::DocumentStart(_) => {
                    self.root = None;
                    self.anchors.clear();
                }
                Event::DocumentEnd => {
                    let at = self.span(start, start);
                    let root = self.root.take().unwrap_or_else(|| Arc::new(Node::leaf(at, Kind::Null)));
                    self.documents.push(root);
                }
                Event::StreamStart | Event::StreamEnd | Event::Nothing => {}
            }
        }
        Ok(())
    }

    fn open(&mut self, kind: OpenKind, anchor: usize, start: usize) -> Result<(), Trouble> {
        if self.stack.len() as u32 >= MAX_DEPTH {
            return Err(Trouble::Limit(format!("nested deeper than {MAX_DEPTH} levels"), start));
        }
        let bytes = self.text.get(start..).unwrap_or("");
        let start = start + properties(bytes, anchor != 0);
        self.stack.push(Open { start, end: start, anchor, kind, depth: 1, size: 1 });
        Ok(())
    }

    fn close(&mut self, end: usize) -> Result<(), Trouble> {
        let Some(open) = self.stack.pop() else { return Ok(()) };
        // Block collections end where the next token begins; what matters is the end of their last element.
        let flow = matches!(self.text.as_bytes().get(open.start), Some(b'[' | b'{'));
        let end = if flow { end } else { open.end };
        let span = self.span(open.start, end);
        let kind = match open.kind {
            OpenKind::Sequence(items) => Kind::Sequence(items),
            OpenKind::Mapping(entries, _) => {
                self.check_keys(&entries);
                Kind::Mapping(entries)
            }
        };
        let node = Arc::new(Node { span, kind, depth: open.depth, size: open.size });
        self.nodes += 1;
        self.add(node, open.anchor, open.start, end)
    }

    /// Puts a finished node where it belongs.
    fn add(&mut self, node: Arc<Node>, anchor: usize, start: usize, end: usize) -> Result<(), Trouble> {
        let depth = node.depth + self.stack.len() as u32;
        if depth > MAX_DEPTH {
            return Err(Trouble::Limit(format!("nested deeper than {MAX_DEPTH} levels"), start));
        }
        if node.size > MAX_NODES || self.nodes > MAX_NODES {
            return Err(Trouble::Limit(format!("more than {MAX_NODES} elements, aliases followed"), start));
        }
        if anchor != 0 {
            self.anchors.insert(anchor, Arc::clone(&node));
        }
        let Some(parent) = self.stack.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        parent.depth = parent.depth.max(node.depth + 1);
        parent.size = parent.size.saturating_add(node.size);
        parent.end = parent.end.max(end);
        match &mut parent.kind {
            OpenKind::Sequence(items) => items.push(node),
            OpenKind::Mapping(entries, key) => match key.take() {
                None => *key = Some(node),
                Some(key) => entries.push((key, node)),
            },
        }
        Ok(())
    }

    fn check_keys(&mut self, entries: &[(Arc<Node>, Arc<Node>)]) {
        let mut seen: HashMap<&str, FileSpan, foldhash::fast::FixedState> = HashMap::default();
        for (key, _) in entries {
            let Some(name) = key.scalar() else { continue };
            if let Some(&first) = seen.get(&*name.value) {
                let message = format!("key `{}` occurs twice; the first one counts", name.value);
                self.warnings.push(
                    Diagnostic::new(Code::DuplicateKey, message).at_with(key.span, "ignored").and_at(first, "counts"),
                );
            } else {
                seen.insert(&name.value, key.span);
            }
        }
    }
}

fn style_of(style: ScalarStyle) -> Style {
    match style {
        ScalarStyle::Plain => Style::Plain,
        ScalarStyle::SingleQuoted => Style::Single,
        ScalarStyle::DoubleQuoted => Style::Double,
        ScalarStyle::Literal | ScalarStyle::Folded => Style::Block,
    }
}

/// Length of the anchor and tag at the beginning of a node's bytes, with the blanks after them.
fn properties(bytes: &str, any: bool) -> usize {
    let mut rest = bytes;
    while any && rest.starts_with(['&', '!']) {
        let word = rest.find(char::is_whitespace).unwrap_or(rest.len());
        rest = rest[word..].trim_start();
    }
    bytes.len() - rest.len()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a test ends at the first surprise
    use super::*;

    fn documents(text: &str) -> Documents {
        parse(FileId(0), text.as_bytes()).unwrap()
    }

    fn error(bytes: &[u8]) -> String {
        let diagnostic = *parse(FileId(0), bytes).unwrap_err();
        assert_eq!(diagnostic.code, Code::YamlParse);
        assert!(diagnostic.primary.is_some());
        diagnostic.message
    }

    #[test]
    fn nodes_know_their_bytes() {
        let text = "- a: \u{e9}\n  b: &x 'q'\n  c: *x\n  d: [1,\n   ~]\n";
        let found = documents(text);
        let item = &found.documents[0].sequence().unwrap()[0];
        let at = |node: &Node| &text[node.span.start as usize..node.span.end as usize];
        assert_eq!(at(item.get("a").unwrap()), "\u{e9}");
        assert_eq!(at(item.get("b").unwrap()), "'q'");
        assert_eq!(at(item.get("c").unwrap()), "'q'", "an alias leads to what it names");
        assert_eq!(at(item.get("d").unwrap()), "[1,\n   ~]");
        assert_eq!(at(item), text[2..].trim_end());
        assert!(item.get("d").unwrap().sequence().unwrap()[1].is_null());
    }

    #[test]
    fn several_documents_and_empty_ones() {
        assert_eq!(documents("").documents.len(), 0);
        assert_eq!(documents("---\n---\n- a\n").documents.len(), 2);
        assert!(documents("---\n---\n- a\n").documents[0].is_null());
    }

    #[test]
    fn duplicate_keys_warn_and_the_first_counts() {
        let found = documents("- a: 1\n  a: 2\n");
        assert_eq!(found.warnings[0].code, Code::DuplicateKey);
        let item = &found.documents[0].sequence().unwrap()[0];
        assert_eq!(item.get("a").unwrap().scalar().unwrap().value, "1");
    }

    #[test]
    fn each_node_counts_once() {
        // A list of indicators with a million entries is no attack, however deep it stands.
        let text = format!("- list: addresses\n  items: [{}]\n", vec!["a"; 1_000_000].join(","));
        let found = documents(&text);
        let items = found.documents[0].sequence().unwrap()[0].get("items").unwrap();
        assert_eq!(items.sequence().unwrap().len(), 1_000_000);
    }

    #[test]
    fn hostile_input_gives_clean_errors() {
        assert!(!error("[".repeat(100_000).as_bytes()).is_empty());
        assert!(error(format!("- {}x", "- ".repeat(500)).as_bytes()).contains("nested"));
        assert!(error(b"- a: \xff\n").contains("0xff"));
        assert!(error(b"- a\n- \0b\n").contains("zero byte"));
        assert!(error(&vec![b'x'; MAX_FILE_SIZE + 1]).contains("larger"));
        let mut bomb = String::from("- &a0 [x,x,x,x,x,x,x,x,x,x]\n");
        for n in 1..30 {
            let alias = format!("*a{}", n - 1);
            bomb += &["- &a", &n.to_string(), " [", &vec![alias; 10].join(","), "]\n"].concat();
        }
        assert!(error(bomb.as_bytes()).contains("elements") || error(bomb.as_bytes()).contains("nested"));
        let mut chain = String::from("- &a0 [x]\n");
        for n in 1..5000 {
            chain += &["- &a", &n.to_string(), " [*a", &(n - 1).to_string(), "]\n"].concat();
        }
        assert!(error(chain.as_bytes()).contains("nested"));
        assert!(!error(b"- a: [*x]\n").is_empty());
        assert!(!error(b"- &x [*x]\n").is_empty());
        assert!(!error(b"- a: b\n\tc: d\n").is_empty());
    }

    #[test]
    fn a_large_scalar_is_just_large() {
        let text = format!("- a: \"{}\"\n", "x".repeat(10 << 20));
        assert_eq!(documents(&text).documents.len(), 1);
    }
}
