//! Exceptions of rules: their checks, and the text they add to a condition.
//!
//! The expansion works on text like that of lists, because lists are expanded in it afterwards: a value can be the name
//! of a list, a `val(...)`, or anything else that parses.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::ast::{Node, Operator, Right};
use crate::compile;
use crate::condition;
use crate::diagnostics::{Code, Diagnostic, did_you_mean};
use crate::items::{Entry, EntryKind, ExceptionItem};
use crate::leaf::Leaves;
use crate::reader::Outcome;
use crate::schema::Schema;
use crate::source::FileSpan;
use crate::text::{LoadedText, Origin, Scalar, Via};

/// An exception as a rule holds it.
#[derive(Clone, Debug)]
pub(crate) struct Exception {
    pub(crate) name: Arc<Scalar>,
    /// One field, or one for each position of a tuple.
    fields: Entry,
    /// The operators, blanks around them removed; fewer than fields only in unchecked exceptions.
    comps: Vec<String>,
    pub(crate) values: Vec<Entry>,
}

fn refuse(message: impl Into<String>, span: FileSpan) -> Box<Diagnostic> {
    Box::new(Diagnostic::new(Code::Validate, message).at(span))
}

/// Takes an exception with new fields, after the checks; default operators are filled in.
///
/// `schema` is absent when the source of the rule is unknown: then fields are not looked up.
pub(crate) fn checked(item: &ExceptionItem, schema: Option<(&dyn Schema, &str)>) -> Outcome<Exception> {
    let mut exception = unchecked(item.clone());
    let fields = if let Some(fields) = item.fields.list() {
        check_tuple(item, fields, &mut exception)?;
        fields
    } else {
        check_single(item, &mut exception)?;
        std::slice::from_ref(&item.fields)
    };
    if let Some((schema, source)) = schema {
        for field in fields {
            let text = field.text().map_or("", |text| &text.value);
            if !is_field(text, schema, source) {
                let names = schema.fields(source).map(|(_, field)| field.name);
                let message = format!("`{text}` is no field of source `{source}`");
                return Err(Box::new(refuse(message, field.span).hint(did_you_mean(text, names))));
            }
        }
    }
    Ok(exception)
}

/// Checks the operators of an exception with several fields.
fn check_tuple(item: &ExceptionItem, fields: &[Entry], exception: &mut Exception) -> Outcome<()> {
    if !item.comps.is_given() {
        exception.comps = vec!["=".to_owned(); fields.len()];
    } else if item.comps.list().map(<[_]>::len) != Some(fields.len()) {
        let message = "fields and comps must be sequences of the same length";
        return Err(Box::new(refuse(message, item.comps.span).and_at(item.fields.span, "fields")));
    }
    item.comps.list().unwrap_or_default().iter().try_for_each(known_operator)
}

/// Checks the operator of an exception with a single field.
fn check_single(item: &ExceptionItem, exception: &mut Exception) -> Outcome<()> {
    if item.comps.list().is_some_and(|comps| !comps.is_empty()) {
        let message = "comps is a sequence but fields is a single field";
        return Err(Box::new(refuse(message, item.comps.span).and_at(item.fields.span, "fields")));
    }
    if !item.comps.is_given() {
        exception.comps = vec!["in".to_owned()];
    }
    let comp = exception.comps.first().map_or("", String::as_str);
    if takes_values(comp) {
        return Ok(());
    }
    let message = format!("`{comp}` cannot compare a single field with a list of values");
    let hint = "use in, pmatch, intersects, an operator with a modifier like `startswith anyof`, or write fields and \
                comps as sequences";
    Err(Box::new(refuse(message, item.comps.span).hint(hint.to_owned())))
}

/// Takes an exception as it is.
pub(crate) fn unchecked(item: ExceptionItem) -> Exception {
    let comps = match &item.comps.kind {
        EntryKind::Nothing => Vec::new(),
        EntryKind::Text(text) => vec![text.value.trim().to_owned()],
        EntryKind::List(comps) => {
            comps.iter().map(|comp| comp.text().map_or("", |text| text.value.trim()).to_owned()).collect()
        }
    };
    Exception { name: item.name, fields: item.fields, comps, values: item.values }
}

/// Appends to the exceptions of a rule: values to a known exception, or a new one.
pub(crate) fn append(
    exceptions: &mut Vec<Exception>,
    item: ExceptionItem,
    schema: Option<(&dyn Schema, &str)>,
) -> Outcome<()> {
    let Some(earlier) = exceptions.iter_mut().find(|earlier| earlier.name.value == item.name.value) else {
        if !item.fields.is_given() {
            let message = format!("exception `{}` is new to this rule and needs fields", item.name.value);
            let names = exceptions.iter().map(|earlier| &*earlier.name.value);
            return Err(Box::new(refuse(message, item.span).hint(did_you_mean(&item.name.value, names))));
        }
        if item.values.is_empty() {
            let message = format!("exception `{}` is new to this rule and needs values", item.name.value);
            return Err(refuse(message, item.span));
        }
        exceptions.push(checked(&item, schema)?);
        return Ok(());
    };
    for (what, entry) in [("fields", &item.fields), ("comps", &item.comps)] {
        if entry.is_given() {
            let message =
                format!("exception `{}` exists already: only values can be appended to it, no {what}", item.name.value);
            return Err(Box::new(refuse(message, entry.span).and_at(earlier.name.span, "defined here")));
        }
    }
    earlier.values.extend(item.values);
    Ok(())
}

fn known_operator(comp: &Entry) -> Outcome<()> {
    let text = comp.text().map_or("", |text| text.value.trim());
    if Operator::with_modifier(text).is_some() {
        return Ok(());
    }
    let names = Operator::ALL.iter().map(|operator| operator.text());
    Err(Box::new(refuse(format!("`{text}` is no comparison operator"), comp.span).hint(did_you_mean(text, names))))
}

/// Whether an operator compares with a list: `in`, `pmatch`, `intersects`, or one with a modifier.
fn takes_values(comp: &str) -> bool {
    Operator::with_modifier(comp).is_some_and(|(operator, modifier)| operator.takes_list() || modifier.is_some())
}

/// Whether `text` is a field of the source, or a call on fields, and nothing more.
fn is_field(text: &str, schema: &dyn Schema, source: &str) -> bool {
    let Ok(expr) = condition::parse(&format!("{text} exists")) else { return false };
    let Node::Check(check) = &expr.node else { return false };
    check.op == Operator::Exists
        && check.right == Right::Nothing
        && check.left.span().end as usize == text.len()
        && compile::compile(&expr, source, schema, &mut Leaves::default()).is_ok()
}

/// Puts the exceptions of a rule around its condition. Also gives the fields they use.
pub(crate) fn expand(condition: &LoadedText, exceptions: &[Exception]) -> Outcome<(LoadedText, BTreeSet<String>)> {
    let mut fields = BTreeSet::new();
    if exceptions.is_empty() {
        return Ok((condition.clone(), fields));
    }
    let mut text = LoadedText::default();
    if let Some(origin) = condition.origin(0) {
        text.push("(", Origin { offset: origin.offset - 1, ..origin });
    }
    text.append(condition);
    text.push_glue(")");
    for exception in exceptions {
        if exception.values.is_empty() {
            continue;
        }
        let mut part = Part { text: &mut text, via: Via::Exception(Arc::from(&*exception.name.value)), exception };
        match exception.fields.list() {
            None => part.single(&mut fields)?,
            Some(list) => part.tuples(list, &mut fields)?,
        }
    }
    Ok((text, fields))
}

/// The text of one exception in the making.
struct Part<'e> {
    text: &'e mut LoadedText,
    via: Via,
    exception: &'e Exception,
}

impl Part<'_> {
    /// Text that the loader puts in.
    fn glue(&mut self, glue: &str) {
        let scalar = Arc::clone(&self.exception.name);
        self.text.push(glue, Origin { scalar, offset: 0, via: self.via.clone() });
    }

    /// Text of the rule file, with something before and after it.
    fn put(&mut self, before: &str, scalar: &Arc<Scalar>, after: &str) {
        let offset = -(before.len() as i64);
        let text = format!("{before}{}{after}", scalar.value);
        self.text.push(&text, Origin { scalar: Arc::clone(scalar), offset, via: self.via.clone() });
    }

    /// A value; quoted when it has blanks and does not begin with a quote.
    fn value(&mut self, entry: &Entry) {
        if let Some(text) = entry.text() {
            let quote = if needs_quotes(&text.value) { "\"" } else { "" };
            self.put(quote, text, quote);
        }
    }

    /// An operator; a missing one leaves a gap that the parser will find.
    fn comp(&mut self, n: usize) {
        let comp = self.exception.comps.get(n).cloned().unwrap_or_default();
        self.glue(&format!(" {comp} "));
    }

    /// `FIELD COMP (v1, v2)`.
    fn single(&mut self, fields: &mut BTreeSet<String>) -> Outcome<()> {
        let exception = self.exception;
        self.glue(" and not (");
        if let Some(field) = exception.fields.text() {
            fields.insert(field.value.clone());
            self.put("", field, "");
        } else {
            fields.insert(String::new());
        }
        self.comp(0);
        for (n, value) in exception.values.iter().enumerate() {
            if value.list().is_some() {
                let message = "a single field takes values that are texts, but this is a sequence";
                return Err(Box::new(refuse(message, value.span).and_at(exception.fields.span, "the field")));
            }
            self.glue(if n == 0 { "(" } else { ", " });
            self.value(value);
        }
        self.glue("))");
        Ok(())
    }

    /// `((F1 C1 V1 and F2 C2 V2) or (...))`.
    fn tuples(&mut self, list: &[Entry], fields: &mut BTreeSet<String>) -> Outcome<()> {
        let exception = self.exception;
        self.glue(" and not (");
        for (n, tuple) in exception.values.iter().enumerate() {
            let values = tuple.list().unwrap_or_default();
            if values.len() != list.len() {
                let message = format!(
                    "{} for {}: each element of values is a sequence with one value for each field",
                    counted(if tuple.list().is_some() { values.len() } else { 1 }, "value"),
                    counted(list.len(), "field")
                );
                return Err(Box::new(refuse(message, tuple.span).and_at(exception.fields.span, "the fields")));
            }
            self.glue(if n == 0 { "(" } else { " or (" });
            for (k, (field, value)) in list.iter().zip(values).enumerate() {
                self.glue(if k == 0 { " " } else { " and  " });
                match field.text() {
                    Some(field) => {
                        fields.insert(field.value.clone());
                        self.put("", field, "");
                    }
                    None => {
                        fields.insert(String::new());
                    }
                }
                self.comp(k);
                self.tuple_value(k, value);
            }
            self.glue(")");
        }
        self.glue(")");
        Ok(())
    }

    /// A value of a tuple: a sequence becomes a list, a text under a list operator gets parentheses.
    fn tuple_value(&mut self, k: usize, value: &Entry) {
        match (&value.kind, self.exception.comps.get(k)) {
            (EntryKind::List(items), _) => {
                self.glue("(");
                for (n, item) in items.iter().enumerate() {
                    if n > 0 {
                        self.glue(", ");
                    }
                    self.value(item);
                }
                self.glue(")");
            }
            (EntryKind::Text(text), Some(comp)) if takes_values(comp) => {
                if text.value.starts_with('(') {
                    self.put("", text, "");
                } else {
                    self.put("(", text, ")");
                }
            }
            (EntryKind::Nothing, Some(comp)) if takes_values(comp) => self.glue("()"),
            _ => self.value(value),
        }
    }
}

fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

/// Whether an item or value is quoted when it is put into a condition.
pub(crate) fn needs_quotes(text: &str) -> bool {
    text.contains(' ') && !text.starts_with(['"', '\''])
}
