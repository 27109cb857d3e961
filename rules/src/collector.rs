//! Collector: one growing collection of lists, macros and rules out of the steps of all files.
//!
//! Keeps the order of first definition, and for every item a number of its last change: what a macro or list may refer
//! to is decided by these two numbers ([`Order`]). Appends join texts, overrides replace parts, exceptions are checked.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use crate::diagnostics::{Code, Diagnostic, ItemKind, did_you_mean};
use crate::exceptions::{self, Exception};
use crate::items::{Head, ListItem, MacroItem, PluginRequirement, RuleChange, RuleItem, Step};
use crate::priority::Priority;
use crate::reader::Outcome;
use crate::schema::Schema;
use crate::source::FileSpan;
use crate::text::{LoadedText, Origin, Scalar};
use crate::version::Version;

/// The source of rules that name none.
pub(crate) const DEFAULT_SOURCE: &str = "syscall";

/// When an item was first defined and last changed, in steps of the whole load.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Order {
    pub(crate) first: u32,
    pub(crate) changed: u32,
}

#[derive(Clone, Debug)]
pub(crate) struct ListDef {
    pub(crate) head: Head,
    pub(crate) items: Vec<Arc<Scalar>>,
    pub(crate) order: Order,
}

#[derive(Clone, Debug)]
pub(crate) struct MacroDef {
    pub(crate) head: Head,
    pub(crate) condition: LoadedText,
    pub(crate) order: Order,
}

#[derive(Clone, Debug)]
#[allow(clippy::struct_excessive_bools)] // keys of a rule
pub(crate) struct RuleDef {
    pub(crate) head: Head,
    pub(crate) desc: String,
    pub(crate) condition: LoadedText,
    pub(crate) output: LoadedText,
    pub(crate) priority: Priority,
    pub(crate) source: String,
    /// The schema has the source.
    pub(crate) known_source: bool,
    pub(crate) enabled: bool,
    /// As written, with repetitions.
    pub(crate) tags: Vec<Arc<Scalar>>,
    pub(crate) exceptions: Vec<Exception>,
    pub(crate) warn_evttypes: bool,
    pub(crate) skip_if_unknown_filter: bool,
    pub(crate) capture: bool,
    pub(crate) capture_duration: u32,
}

/// Items by name, in the order of first definition.
#[derive(Clone, Debug)]
pub(crate) struct Named<T> {
    items: Vec<T>,
    by_name: HashMap<String, usize, foldhash::fast::FixedState>,
}

impl<T> Default for Named<T> {
    fn default() -> Self {
        Self { items: Vec::new(), by_name: HashMap::default() }
    }
}

impl<T> Named<T> {
    pub(crate) fn get(&self, name: &str) -> Option<&T> {
        self.items.get(self.position(name)?)
    }

    fn get_mut(&mut self, name: &str) -> Option<&mut T> {
        let at = self.position(name)?;
        self.items.get_mut(at)
    }

    pub(crate) fn position(&self, name: &str) -> Option<usize> {
        self.by_name.get(name).copied()
    }

    /// Puts an item in the place of the one of the same name, or at the end.
    fn set(&mut self, name: &str, item: T) {
        if let Some(earlier) = self.get_mut(name) {
            *earlier = item;
        } else {
            self.by_name.insert(name.to_owned(), self.items.len());
            self.items.push(item);
        }
    }

    pub(crate) fn iter(&self) -> std::slice::Iter<'_, T> {
        self.items.iter()
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.by_name.keys().map(String::as_str)
    }
}

/// Items that could not be read or collected. What refers to them is not reported as an error of its own.
#[derive(Clone, Default, Debug)]
pub(crate) struct Broken {
    names: BTreeSet<(ItemKind, String)>,
    /// A whole file could not be read: anything may be missing.
    pub(crate) everything: bool,
}

impl Broken {
    pub(crate) fn add(&mut self, kind: ItemKind, name: &str) {
        self.names.insert((kind, name.to_owned()));
    }

    /// Whether everything could be read.
    pub(crate) fn is_empty(&self) -> bool {
        self.names.is_empty() && !self.everything
    }

    pub(crate) fn has(&self, kind: ItemKind, name: &str) -> bool {
        self.everything || self.names.contains(&(kind, name.to_owned()))
    }
}

/// All items of the files read so far.
#[derive(Clone, Default, Debug)]
pub(crate) struct Collector {
    pub(crate) lists: Named<ListDef>,
    pub(crate) macros: Named<MacroDef>,
    pub(crate) rules: Named<RuleDef>,
    pub(crate) plugins: Vec<Vec<PluginRequirement>>,
    steps: u32,
}

/// What the collector asks about.
pub(crate) struct Surroundings<'s> {
    pub(crate) schema: &'s dyn Schema,
    pub(crate) engine: Version,
    pub(crate) broken: &'s Broken,
}

fn refuse(message: impl Into<String>, span: FileSpan) -> Box<Diagnostic> {
    Box::new(Diagnostic::new(Code::Validate, message).at(span))
}

impl Collector {
    /// Takes a step into the collection. Warnings go to `out`.
    pub(crate) fn apply(&mut self, step: Step, around: &Surroundings<'_>, out: &mut Vec<Diagnostic>) -> Outcome<()> {
        match step {
            Step::EngineVersion(wanted) => {
                if !around.engine.serves(wanted.value) {
                    let message = format!("the rules need engine version {}, this is {}", wanted.value, around.engine);
                    return Err(refuse(message, wanted.span));
                }
            }
            Step::PluginVersions(wanted) => self.plugin_versions(wanted)?,
            Step::DefineList(item) => {
                let order = self.define_order(self.lists.get(&item.head.name.value).map(|list| list.order));
                let name = Arc::clone(&item.head.name);
                self.lists.set(&name.value, ListDef { head: item.head, items: item.items, order });
            }
            Step::AppendList(item) => self.append_list(item, around)?,
            Step::DefineMacro(item) => {
                let order = self.define_order(self.macros.get(&item.head.name.value).map(|found| found.order));
                let name = Arc::clone(&item.head.name);
                let condition = LoadedText::from_scalar(&item.condition);
                self.macros.set(&name.value, MacroDef { head: item.head, condition, order });
            }
            Step::AppendMacro(item) => self.append_macro(&item, around)?,
            Step::DefineRule(rule) => self.define_rule(*rule, around, out)?,
            Step::AppendRule(change) => self.append_rule(*change, around)?,
            Step::ReplaceRule(change) => self.replace_rule(*change, around)?,
            Step::EnableRule(head, enabled) => match self.rules.get_mut(&head.name.value) {
                Some(rule) => rule.enabled = enabled,
                None => return self.no_rule(&head, "there is no earlier rule of this name to switch", around),
            },
        }
        Ok(())
    }

    fn next(&mut self) -> u32 {
        self.steps += 1;
        self.steps - 1
    }

    fn define_order(&mut self, earlier: Option<Order>) -> Order {
        let now = self.next();
        Order { first: earlier.map_or(now, |earlier| earlier.first), changed: now }
    }

    fn plugin_versions(&mut self, wanted: Vec<PluginRequirement>) -> Outcome<()> {
        let mut names = BTreeSet::new();
        for plugin in &wanted {
            if Version::parse(&plugin.version.value).is_none() {
                let message = format!(
                    "`{}` is no version of plugin `{}`: x.y.z is expected",
                    plugin.version.value, plugin.name.value
                );
                return Err(refuse(message, plugin.version.span));
            }
            if !names.insert(plugin.name.value.clone()) {
                let message = format!("plugin `{}` occurs twice among the alternatives", plugin.name.value);
                return Err(refuse(message, plugin.name.span));
            }
        }
        self.plugins.push(wanted);
        Ok(())
    }

    fn append_list(&mut self, item: ListItem, around: &Surroundings<'_>) -> Outcome<()> {
        let now = self.next();
        if let Some(list) = self.lists.get_mut(&item.head.name.value) {
            list.items.extend(item.items);
            list.order.changed = now;
            return Ok(());
        }
        if around.broken.has(ItemKind::List, &item.head.name.value) {
            return Ok(());
        }
        let error = refuse("there is no earlier list of this name to append to", item.head.span);
        Err(Box::new(error.hint(did_you_mean(&item.head.name.value, self.lists.names()))))
    }

    fn append_macro(&mut self, item: &MacroItem, around: &Surroundings<'_>) -> Outcome<()> {
        let now = self.next();
        if let Some(found) = self.macros.get_mut(&item.head.name.value) {
            append_text(&mut found.condition, &item.condition);
            found.order.changed = now;
            return Ok(());
        }
        if around.broken.has(ItemKind::Macro, &item.head.name.value) {
            return Ok(());
        }
        let error = refuse("there is no earlier macro of this name to append to", item.head.span);
        Err(Box::new(error.hint(did_you_mean(&item.head.name.value, self.macros.names()))))
    }

    /// The error that an earlier rule is missing, unless that was reported at the rule itself.
    fn no_rule(&self, head: &Head, message: &str, around: &Surroundings<'_>) -> Outcome<()> {
        if around.broken.has(ItemKind::Rule, &head.name.value) {
            return Ok(());
        }
        Err(Box::new(refuse(message, head.span).hint(did_you_mean(&head.name.value, self.rules.names()))))
    }

    fn define_rule(&mut self, item: RuleItem, around: &Surroundings<'_>, out: &mut Vec<Diagnostic>) -> Outcome<()> {
        let source = item.source.as_ref().map_or(DEFAULT_SOURCE, |source| &source.value).to_owned();
        let place = item.source.as_ref().map_or(item.head.span, |source| source.span);
        if let Some(earlier) = self.rules.get(&item.head.name.value)
            && earlier.source != source
        {
            return Err(other_source(earlier, &source, place));
        }
        let known_source = around.schema.sources().contains(&&*source);
        if !known_source {
            out.push(
                Diagnostic::new(Code::UnknownSource, format!("unknown source `{source}`, the rule is left out"))
                    .at(place)
                    .of(ItemKind::Rule, item.head.name.value.clone())
                    .hint(did_you_mean(&source, around.schema.sources())),
            );
        }
        // Fields of a source that is known in part are nobody's mistake.
        let check = (known_source && !around.schema.is_partial(&source)).then_some((around.schema, &*source));
        let mut checked = Vec::new();
        for exception in item.exceptions {
            if !exception.fields.is_given() {
                let message = format!("exception `{}` has no fields", exception.name.value);
                return Err(refuse(message, exception.fields.span));
            }
            checked.push(exceptions::checked(&exception, check)?);
        }
        self.next();
        let name = Arc::clone(&item.head.name);
        self.rules.set(
            &name.value,
            RuleDef {
                head: item.head,
                desc: item.desc,
                condition: LoadedText::from_scalar(&item.condition),
                output: LoadedText::from_scalar(&item.output).trimmed(),
                priority: item.priority,
                source,
                known_source,
                enabled: item.enabled,
                tags: item.tags,
                exceptions: checked,
                warn_evttypes: item.warn_evttypes,
                skip_if_unknown_filter: item.skip_if_unknown_filter,
                capture: item.capture,
                capture_duration: item.capture_duration,
            },
        );
        Ok(())
    }

    fn append_rule(&mut self, change: RuleChange, around: &Surroundings<'_>) -> Outcome<()> {
        self.next();
        let Some(rule) = self.rules.get_mut(&change.head.name.value) else {
            return self.no_rule(&change.head, "there is no earlier rule of this name to append to", around);
        };
        same_source(rule, &change)?;
        if change.is_empty() {
            let message = "nothing to append: the item has neither condition nor exceptions";
            return Err(refuse(message, change.head.span));
        }
        if let Some(condition) = &change.condition {
            append_text(&mut rule.condition, condition);
        }
        if let Some(output) = &change.output {
            append_text(&mut rule.output, output);
        }
        if let Some(desc) = &change.desc {
            rule.desc = format!("{} {desc}", rule.desc);
        }
        rule.tags.extend(change.tags.unwrap_or_default());
        let source = rule.source.clone();
        let look_up = rule.known_source && !around.schema.is_partial(&source);
        let check = look_up.then_some((around.schema, &*source));
        for exception in change.exceptions.unwrap_or_default() {
            exceptions::append(&mut rule.exceptions, exception, check)?;
        }
        Ok(())
    }

    fn replace_rule(&mut self, change: RuleChange, around: &Surroundings<'_>) -> Outcome<()> {
        self.next();
        let Some(rule) = self.rules.get_mut(&change.head.name.value) else {
            return self.no_rule(&change.head, "there is no earlier rule of this name to override", around);
        };
        same_source(rule, &change)?;
        if let Some(condition) = &change.condition {
            rule.condition = LoadedText::from_scalar(condition);
        }
        if let Some(output) = &change.output {
            rule.output = LoadedText::from_scalar(output);
        }
        if let Some(exceptions) = change.exceptions {
            // Falco neither checks replaced exceptions nor fills in their operators.
            rule.exceptions = exceptions.into_iter().map(exceptions::unchecked).collect();
        }
        set(&mut rule.desc, change.desc);
        set(&mut rule.tags, change.tags);
        set(&mut rule.priority, change.priority);
        set(&mut rule.enabled, change.enabled);
        set(&mut rule.warn_evttypes, change.warn_evttypes);
        set(&mut rule.skip_if_unknown_filter, change.skip_if_unknown_filter);
        set(&mut rule.capture, change.capture);
        set(&mut rule.capture_duration, change.capture_duration);
        Ok(())
    }
}

fn set<T>(place: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *place = value;
    }
}

/// Joins a text and an appended one with a blank.
fn append_text(text: &mut LoadedText, more: &Arc<Scalar>) {
    text.push_glue(" ");
    text.push(&more.value, Origin::whole(more));
}

fn same_source(rule: &RuleDef, change: &RuleChange) -> Outcome<()> {
    match &change.source {
        Some(source) if source.value != rule.source => Err(other_source(rule, &source.value, source.span)),
        _ => Ok(()),
    }
}

fn other_source(rule: &RuleDef, source: &str, span: FileSpan) -> Box<Diagnostic> {
    let message = format!("the rule is for source `{}` and cannot be changed to `{source}`", rule.source);
    Box::new(refuse(message, span).and_at(rule.head.span, "first defined here"))
}
