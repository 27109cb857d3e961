//! Builder: the collection to rules that run.
//!
//! Goes through lists, macros and rules in Falco's order and reports in that order: per rule first its exceptions,
//! then its output, then its condition. A rule with an error is left out and the next one is built.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::ast::Expr;
use crate::collector::{Broken, Collector, DEFAULT_SOURCE, RuleDef};
use crate::compile::{self, CompileError, CompileErrorKind, Hint, HintKind};
use crate::diagnostics::{Code, Diagnostic, ItemKind, ItemRef};
use crate::evttypes::{self, EventTypeSet, MAX_TYPES_WITHOUT_WARNING};
use crate::exceptions;
use crate::hints;
use crate::leaf::Leaves;
use crate::load::{AppendOutput, LoadOptions};
use crate::output::{self, Format};
use crate::resolver::{Places, Resolution, Resolver};
use crate::ruleset::{ExtraOutput, ListInfo, MacroInfo, Rule};
use crate::schema::Schema;
use crate::source::{FileSpan, Sources};
use crate::text::{LoadedText, Origin};

/// Removed from outputs; the fields it stood for are added by the container plugin.
const CONTAINER_INFO: &str = "%container.info";

/// What a collection comes to.
#[derive(Debug, Default)]
pub(crate) struct Built {
    pub(crate) rules: Vec<Rule>,
    pub(crate) macros: Vec<MacroInfo>,
    pub(crate) lists: Vec<ListInfo>,
    pub(crate) leaves: Leaves,
    pub(crate) places: Places,
}

/// Builds everything. Errors and warnings go to `out`.
pub(crate) fn build(
    collector: &Collector,
    schema: &dyn Schema,
    options: &LoadOptions,
    sources: &Sources,
    broken: &Broken,
    out: &mut Vec<Diagnostic>,
) -> Built {
    let first = out.len();
    let is_broken = |kind: ItemKind, name: &str| broken.has(kind, name);
    let resolver = Resolver::new(collector, sources, &is_broken, out);
    let mut builder =
        Builder { schema, options, sources, is_broken: &is_broken, resolver, leaves: Leaves::default(), out };
    let rules: Vec<Rule> =
        collector.rules.iter().filter(|rule| rule.known_source).filter_map(|rule| builder.rule(rule)).collect();
    let failed = builder.out.iter().skip(first).any(Diagnostic::is_error);
    if !failed && broken.is_empty() {
        builder.unused();
    }
    let Builder { resolver, leaves, .. } = builder;
    let text = |scalar: &Arc<crate::text::Scalar>| scalar.value.clone();
    let macros = resolver.macros.iter().filter_map(|found| {
        let expr = Arc::clone(found.expr.as_ref()?);
        Some(MacroInfo { name: text(&found.def.head.name), expr, used: found.used, span: found.def.head.span })
    });
    let lists = resolver.lists.lists.iter().map(|list| ListInfo {
        name: text(&list.def.head.name),
        items: list.items.iter().map(text).collect(),
        used: list.used,
        span: list.def.head.span,
    });
    Built { rules, macros: macros.collect(), lists: lists.collect(), leaves, places: resolver.places }
}

/// What an output comes to.
enum Output {
    /// Its text, compiled, and the fields added by configuration.
    Done((String, Format, Vec<ExtraOutput>)),
    /// It has an error.
    Failed,
    /// The rule is left out because of it.
    LeftOut,
}

struct Builder<'b, 'c> {
    schema: &'b dyn Schema,
    options: &'b LoadOptions,
    sources: &'b Sources,
    is_broken: &'b dyn Fn(ItemKind, &str) -> bool,
    resolver: Resolver<'c>,
    leaves: Leaves,
    out: &'b mut Vec<Diagnostic>,
}

impl Builder<'_, '_> {
    fn rule(&mut self, def: &RuleDef) -> Option<Rule> {
        let item = ItemRef { kind: ItemKind::Rule, name: def.head.name.value.clone() };
        let (text, exception_fields) = match exceptions::expand(&def.condition, &def.exceptions) {
            Ok(expanded) => expanded,
            Err(error) => {
                self.out.push(error.of(item.kind, item.name));
                return None;
            }
        };
        // Falco stops at an error in the output; the condition may have more to say.
        let output = match self.output(def, &item) {
            Output::LeftOut => return None,
            Output::Failed => None,
            Output::Done(output) => Some(output),
        };
        let (expr, number) = match self.resolver.condition(text, item.clone(), self.is_broken) {
            Resolution::Tree(expr, number) => (expr, number),
            Resolution::Errors(errors, tree) => {
                self.out.extend(errors);
                if let Some((expr, number)) = tree {
                    self.further_errors(&expr, def, number);
                }
                return None;
            }
            Resolution::Broken => return None,
        };
        let compiled = match compile::compile(&expr, &def.source, self.schema, &mut self.leaves) {
            Ok(compiled) => compiled,
            Err(errors) => {
                // Warnings about names come before the rule is found to be wrong.
                let mut hints = Vec::new();
                expr.for_each_check(&mut |check| hints.extend(hints::names(check)));
                self.hints(hints, number);
                self.compile_errors(def, errors, number);
                return None;
            }
        };
        self.hints(compiled.hints, number);
        let event_types = if def.source == DEFAULT_SOURCE { Some(self.event_types(def, &expr, number)?) } else { None };
        let (output_text, output, extra_outputs) = output?;
        Some(Rule {
            name: item.name,
            desc: def.desc.clone(),
            source: def.source.clone(),
            priority: def.priority,
            tags: def.tags.iter().map(|tag| tag.value.clone()).collect(),
            output_text,
            output,
            extra_outputs,
            expr,
            text: number,
            condition: compiled.condition,
            event_types,
            enabled: def.enabled,
            exception_fields,
            capture: def.capture,
            capture_duration_ms: def.capture_duration,
            span: def.head.span,
        })
    }

    /// Warns about a condition: once about each deprecated field and once about `<NA>`.
    fn hints(&mut self, hints: Vec<Hint>, number: u32) {
        let mut said = BTreeSet::new();
        for hint in hints {
            let (code, what) = match hint.kind {
                HintKind::NeedlessRegex | HintKind::FieldAsConstant | HintKind::CallAsConstant => {
                    (Code::ConditionHint, None)
                }
                HintKind::UnsafeNa => (Code::UnsafeNaCheck, Some(String::new())),
                HintKind::DeprecatedField => (Code::DeprecatedItem, Some(hint.message.clone())),
            };
            if what.is_none_or(|what| said.insert((code, what))) {
                self.out.push(self.resolver.diagnostic(code, hint.message, hint.span, number));
            }
        }
    }

    /// Whether an unknown field leaves the rule out, in place of an error.
    fn may_skip(&self, def: &RuleDef) -> bool {
        def.skip_if_unknown_filter || self.schema.is_partial(&def.source)
    }

    /// Reports errors of a condition; when the first is about an unknown field or event type and the rule says so, only
    /// that the rule is left out.
    fn compile_errors(&mut self, def: &RuleDef, errors: Vec<CompileError>, number: u32) {
        let unknown = errors.first().is_some_and(|error| {
            matches!(error.kind, CompileErrorKind::UnknownField | CompileErrorKind::UnknownEventType)
        });
        let skip = unknown && self.may_skip(def);
        let code = if skip { Code::UnknownFilter } else { Code::CompileCondition };
        for error in errors.into_iter().take(if skip { 1 } else { usize::MAX }) {
            let message = if skip { left_out(&error.message) } else { error.message };
            let diagnostic = self.resolver.diagnostic(code, message, error.span, number).hint(error.hint);
            self.out.push(diagnostic);
        }
    }

    /// Reports what else is wrong with a condition in which some names are nobody's; those were reported already.
    fn further_errors(&mut self, expr: &Expr, def: &RuleDef, number: u32) {
        let Err(errors) = compile::compile(expr, &def.source, self.schema, &mut self.leaves) else { return };
        for error in errors.into_iter().filter(|error| error.kind != CompileErrorKind::UnknownIdentifier) {
            let diagnostic = self.resolver.diagnostic(Code::CompileCondition, error.message, error.span, number);
            self.out.push(diagnostic.hint(error.hint));
        }
    }

    /// The event types of a rule for system calls, with the warning about too many. Without event types the rule has
    /// an error.
    fn event_types(&mut self, def: &RuleDef, expr: &Expr, number: u32) -> Option<EventTypeSet> {
        let types = match evttypes::event_types(expr, self.schema) {
            Ok(types) => types,
            Err(errors) => {
                self.compile_errors(def, errors, number);
                return None;
            }
        };
        if types.len() > MAX_TYPES_WITHOUT_WARNING && def.warn_evttypes {
            self.out.push(
                Diagnostic::new(Code::NoEvttype, format!("the condition can be true on {} event types", types.len()))
                    .at(def.head.span)
                    .of(ItemKind::Rule, def.head.name.value.clone())
                    .hint("add an evt.type term, or `warn_evttypes: false` if this is meant".to_owned()),
            );
        }
        Some(types)
    }

    /// The output of a rule with the configured additions.
    fn output(&mut self, def: &RuleDef, item: &ItemRef) -> Output {
        let mut text = def.output.clone();
        let additions = self.options.append_output.iter().filter(|addition| applies(addition, def));
        let mut fields = Vec::new();
        for addition in additions {
            if let Some(format) = &addition.format {
                let origin = Origin { offset: i64::from(i32::MAX), ..Origin::whole(&def.head.name) };
                text.push_glue(" ");
                text.push(format, origin);
            }
            fields.extend(&addition.fields);
        }
        self.remove_container_info(&mut text, item);
        let format = match self.format(&text, def, item, self.may_skip(def)) {
            Ok(format) => format,
            Err(output) => return output,
        };
        self.deprecated_in_output(&text, item);
        let mut extra = Vec::new();
        for field in fields {
            // A later field of the same name replaces the earlier one.
            let text = addition_text(&field.format, def);
            let format = match self.format(&text, def, item, false) {
                Ok(format) => format,
                Err(output) => return output,
            };
            self.deprecated_in_output(&text, item);
            extra.retain(|other: &ExtraOutput| other.name != field.name);
            extra.push(ExtraOutput { name: field.name.clone(), format, raw: field.raw });
        }
        Output::Done((text.text().to_owned(), format, extra))
    }

    fn place(&self, text: &LoadedText, start: usize, end: usize) -> Option<FileSpan> {
        text.place(start, end, self.sources).map(|place| place.span)
    }

    /// Compiles an output. With `may_skip` an unknown field leaves the rule out.
    fn format(&mut self, text: &LoadedText, def: &RuleDef, item: &ItemRef, may_skip: bool) -> Result<Format, Output> {
        if text.text().is_empty() {
            self.out.push(
                Diagnostic::new(Code::CompileOutput, "the output is empty")
                    .at(def.head.span)
                    .of(item.kind, item.name.clone()),
            );
            return Err(Output::Failed);
        }
        let errors = match Format::parse(text.text(), &def.source, self.schema) {
            // Alerts always print absent values as <NA>.
            Ok(format) => return Ok(format.lenient()),
            Err(errors) => errors,
        };
        let unknown = errors.first().is_some_and(|error| error.kind == CompileErrorKind::UnknownField);
        let skip = unknown && may_skip;
        let code = if skip { Code::UnknownFilter } else { Code::CompileOutput };
        for error in errors.into_iter().take(if skip { 1 } else { usize::MAX }) {
            let (start, end) = (error.span.start as usize, error.span.end as usize);
            let span = self.place(text, start, end).unwrap_or(def.head.span);
            let message = if skip { left_out(&error.message) } else { error.message };
            let error = Diagnostic::new(code, message).at(span).hint(error.hint);
            self.out.push(error.of(item.kind, item.name.clone()));
        }
        Err(if skip { Output::LeftOut } else { Output::Failed })
    }

    fn remove_container_info(&mut self, text: &mut LoadedText, item: &ItemRef) {
        let Some(first) = text.text().find(CONTAINER_INFO) else { return };
        let mut warning =
            Diagnostic::new(Code::DeprecatedItem, format!("{CONTAINER_INFO} is deprecated and printed as nothing"))
                .of(item.kind, item.name.clone())
                .hint("name the fields, for example %container.id and %container.name".to_owned());
        if let Some(span) = self.place(text, first, first + CONTAINER_INFO.len()) {
            warning = warning.at(span);
        }
        self.out.push(warning);
        let mut from = 0;
        while let Some(at) = text.text().get(from..).and_then(|rest| rest.find(CONTAINER_INFO)) {
            text.replace(from + at, from + at + CONTAINER_INFO.len(), "", &[]);
            from += at;
        }
    }

    fn deprecated_in_output(&mut self, text: &LoadedText, item: &ItemRef) {
        for name in output::deprecated_fields(text.text()) {
            let Some(at) = text.text().find(name) else { continue };
            let mut warning =
                Diagnostic::new(Code::DeprecatedItem, format!("the output names deprecated field {name}"))
                    .of(item.kind, item.name.clone());
            if let Some(span) = self.place(text, at, at + name.len()) {
                warning = warning.at(span);
            }
            self.out.push(warning);
        }
    }

    /// Warns about macros and lists that nothing refers to.
    fn unused(&mut self) {
        for found in self.resolver.macros.iter().filter(|found| !found.used) {
            self.out.push(
                Diagnostic::new(Code::UnusedMacro, "no rule and no macro uses this macro")
                    .at(found.def.head.span)
                    .of(ItemKind::Macro, found.def.head.name.value.clone()),
            );
        }
        for list in self.resolver.lists.lists.iter().filter(|list| !list.used) {
            self.out.push(
                Diagnostic::new(Code::UnusedList, "no rule, macro or list uses this list")
                    .at(list.def.head.span)
                    .of(ItemKind::List, list.def.head.name.value.clone()),
            );
        }
    }
}

/// The message that an error which a rule asked for keeps the rule out.
fn left_out(message: &str) -> String {
    format!("{message}, the rule is left out")
}

/// Text from the configuration; errors in it are shown at the rule's name.
fn addition_text(format: &str, def: &RuleDef) -> LoadedText {
    let mut text = LoadedText::default();
    text.push(format, Origin { offset: i64::from(i32::MAX), ..Origin::whole(&def.head.name) });
    text
}

/// Whether an addition to outputs is for this rule.
fn applies(addition: &AppendOutput, rule: &RuleDef) -> bool {
    addition.source.as_ref().is_none_or(|source| source.is_empty() || *source == rule.source)
        && addition.rule.as_ref().is_none_or(|name| name.is_empty() || *name == rule.head.name.value)
        && addition.tags.iter().all(|wanted| rule.tags.iter().any(|tag| tag.value == *wanted))
}
