//! Diagnostics as text and as JSON.
//!
//! Text is made by annotate-snippets: title, file with line and column, the lines concerned with carets, the other
//! places, the hint. Long lines and control characters are handled there; names and messages from rule files pass
//! through [`printable`] first, so that no escape sequence reaches a terminal.

use std::borrow::Cow;
use std::fmt::Write as _;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use serde_json::{Value, json};

use crate::diagnostics::{Diagnostic, Label, Severity};
use crate::source::{FileSpan, Located, Sources, floor_char_boundary};

/// Lines of source shown for one place; a longer one is cut.
const MAX_LINES: usize = 6;
/// Bytes of a line up to which it is shown as it is; longer lines are cut around the place.
const MAX_LINE: usize = 512;

/// Text with control characters made visible.
pub fn printable(text: &str) -> Cow<'_, str> {
    if !text.chars().any(|c| c.is_control() || is_format_character(c)) {
        return Cow::Borrowed(text);
    }
    let mut out = String::new();
    for c in text.chars() {
        if c.is_control() || is_format_character(c) {
            let _ = write!(out, "\\u{{{:x}}}", c as u32);
        } else {
            out.push(c);
        }
    }
    Cow::Owned(out)
}

/// Characters that reorder, hide or break text on a terminal, control characters apart. The same ones that other
/// tools escape in texts of captures (`casebook_formats::terminal`).
fn is_format_character(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// Lines of a file with what [`printable`] would escape replaced by as many bytes, so that marks keep their places.
/// Control characters of ASCII, the line breaks among them, are left to the renderer.
fn replaced(lines: &str) -> Cow<'_, str> {
    let acts = |c: char| !c.is_ascii() && (c.is_control() || is_format_character(c));
    if !lines.chars().any(acts) {
        return Cow::Borrowed(lines);
    }
    let mut out = String::with_capacity(lines.len());
    for c in lines.chars() {
        match c.len_utf8() {
            _ if !acts(c) => out.push(c),
            2 => out.push('\u{a4}'),
            3 => out.push('\u{fffd}'),
            _ => out.push_str("\u{fffd}?"),
        }
    }
    Cow::Owned(out)
}

/// Renders a diagnostic as text, with a line break at the end.
pub fn text(diagnostic: &Diagnostic, sources: &Sources, colour: bool) -> String {
    let level = match diagnostic.code.severity() {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
        Severity::Note => Level::NOTE,
    };
    let title = title(diagnostic);
    let mut group = Group::with_title(level.primary_title(title).id(diagnostic.code.name()));
    let excerpts = excerpts(diagnostic, sources);
    for excerpt in &excerpts {
        let lines = replaced(&excerpt.file[excerpt.start..excerpt.end]);
        let mut snippet = Snippet::source(lines).line_start(excerpt.line).path(printable(excerpt.name));
        for mark in &excerpt.marks {
            let kind = if mark.primary { AnnotationKind::Primary } else { AnnotationKind::Context };
            let mut annotation = kind.span(mark.start - excerpt.start..mark.end - excerpt.start);
            if !mark.label.is_empty() {
                annotation = annotation.label(mark.label.as_str());
            }
            snippet = snippet.annotation(annotation);
        }
        group = group.element(snippet);
    }
    if let Some(hint) = &diagnostic.hint {
        group = group.element(Level::HELP.message(printable(hint).into_owned()));
    }
    let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
    let mut out = renderer.render(&[group]);
    out.push('\n');
    out
}

/// The message with the item it belongs to.
fn title(diagnostic: &Diagnostic) -> String {
    let message = printable(&diagnostic.message);
    match &diagnostic.item {
        Some(item) if !item.name.is_empty() => {
            format!("{} `{}`: {message}", item.kind.name(), printable(&item.name))
        }
        _ => message.into_owned(),
    }
}

/// Bytes of a file shown as one excerpt with the lines between its places folded away; farther places stand apart.
const MAX_EXCERPT: usize = 64 << 10;

struct Mark {
    start: usize,
    end: usize,
    primary: bool,
    label: String,
}

/// Some lines of a file, with marks that count bytes of the file.
struct Excerpt<'s> {
    name: &'s str,
    file: &'s str,
    start: usize,
    end: usize,
    line: usize,
    marks: Vec<Mark>,
}

/// The places of a diagnostic, those of one file that are not far apart in one excerpt.
fn excerpts<'s>(diagnostic: &Diagnostic, sources: &'s Sources) -> Vec<Excerpt<'s>> {
    let mut out: Vec<Excerpt<'s>> = Vec::new();
    let labels = diagnostic.primary.iter().map(|label| (true, label));
    for (primary, label) in labels.chain(diagnostic.secondary.iter().map(|label| (false, label))) {
        let Some(place) = sources.locate(label.span) else { continue };
        let excerpt = cut(&place, primary, label);
        let near = out.iter_mut().find(|other| {
            other.name == excerpt.name
                && other.end.max(excerpt.end) - other.start.min(excerpt.start) <= MAX_EXCERPT
                && other.whole_lines()
                && excerpt.whole_lines()
        });
        match near {
            Some(other) => {
                other.start = other.start.min(excerpt.start);
                other.end = other.end.max(excerpt.end);
                other.line = other.line.min(excerpt.line);
                other.marks.extend(excerpt.marks);
            }
            None => out.push(excerpt),
        }
    }
    out
}

impl Excerpt<'_> {
    fn whole_lines(&self) -> bool {
        self.start == 0 || self.file.as_bytes().get(self.start - 1) == Some(&b'\n')
    }
}

/// The lines around a place. Of a very long line only the part around the place is taken.
fn cut<'s>(place: &Located<'s>, primary: bool, label: &Label) -> Excerpt<'s> {
    let bytes = place.text.as_bytes();
    let line_end = |from: usize| memchr::memchr(b'\n', &bytes[from..]).map_or(bytes.len(), |at| from + at);
    let mut start = memchr::memrchr(b'\n', &bytes[..place.start]).map_or(0, |at| at + 1);
    let mut end = line_end(place.start);
    for _ in 1..MAX_LINES {
        if end >= place.end || end >= bytes.len() {
            break;
        }
        end = line_end(end + 1);
    }
    if place.start - start > MAX_LINE {
        start = floor_char_boundary(place.text, place.start - MAX_LINE / 2);
    }
    if end - place.start > MAX_LINE * MAX_LINES {
        end = floor_char_boundary(place.text, place.start + MAX_LINE).max(place.start);
    }
    Excerpt {
        name: place.name,
        file: place.text,
        start,
        end,
        line: place.position.line,
        marks: vec![Mark {
            start: place.start,
            end: place.end.clamp(place.start, end),
            primary,
            label: printable(&label.text).into_owned(),
        }],
    }
}

/// A diagnostic as JSON: `code`, `severity`, `message`, `item`, `place`, `related`, `hint`.
pub fn json(diagnostic: &Diagnostic, sources: &Sources) -> Value {
    let mut out = json!({
        "code": diagnostic.code.name(),
        "severity": diagnostic.code.severity().name(),
        "title": diagnostic.code.title(),
        "message": diagnostic.message,
    });
    let mut set = |key: &str, value: Value| {
        if let Some(object) = out.as_object_mut() {
            object.insert(key.to_owned(), value);
        }
    };
    if let Some(item) = &diagnostic.item {
        set("item", json!({ "kind": item.kind.name(), "name": item.name }));
    }
    if let Some(label) = &diagnostic.primary {
        set("place", place(label.span, &label.text, sources));
    }
    if !diagnostic.secondary.is_empty() {
        set("related", diagnostic.secondary.iter().map(|l| place(l.span, &l.text, sources)).collect());
    }
    if let Some(hint) = &diagnostic.hint {
        set("hint", json!(hint));
    }
    out
}

fn place(span: FileSpan, label: &str, sources: &Sources) -> Value {
    let Some(place) = sources.locate(span) else { return Value::Null };
    let mut out = json!({
        "file": place.name,
        "line": place.position.line,
        "column": place.position.column,
        "start": place.start,
        "end": place.end,
    });
    if !label.is_empty()
        && let Some(object) = out.as_object_mut()
    {
        object.insert("label".to_owned(), json!(label));
    }
    out
}
