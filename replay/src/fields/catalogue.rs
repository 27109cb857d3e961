//! The catalogue: which fields exist, for which source, of which type, with which arguments, and what extracts them.
//!
//! Made from `tables/fields.tsv` by `build.rs`; the rule compiler, outputs, `--help` texts and documentation all read
//! this one table. Extraction itself is the business of the class modules beside this one.

use std::sync::LazyLock;

use casebook_formats::tables::{self, EventFlags, ParamDef, ParamType, PrintFormat};
use casebook_rules::schema::{
    ArgSpec, ArgText, BindError, Display, FieldArg, FieldDef, FieldRef, FieldType, Multiplicity, Schema,
};

use super::params::{self, ParamNames};
use crate::audit::event::PLUGINS;

/// Sources whose rules may use a field.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Scope {
    /// All.
    Any,
    /// System calls.
    Syscall,
    /// Kubernetes audit events.
    K8sAudit,
    /// All but system calls.
    Plugin,
}

/// Name of the system call source.
pub const SYSCALL_SOURCE: &str = "syscall";
/// Name of the Kubernetes audit source.
pub const K8S_AUDIT_SOURCE: &str = "k8s_audit";

/// Whether a source is one of plugins whose events are JSON, all but Kubernetes audit events.
fn is_json(source: &str) -> bool {
    source != K8S_AUDIT_SOURCE && PLUGINS.iter().any(|(_, known)| *known == source)
}

impl Scope {
    pub(crate) fn has(self, source: &str) -> bool {
        match source {
            SYSCALL_SOURCE => matches!(self, Self::Any | Self::Syscall),
            K8S_AUDIT_SOURCE => !matches!(self, Self::Syscall),
            other if is_json(other) => matches!(self, Self::Any | Self::Plugin),
            _ => false,
        }
    }
}

/// What may follow a field's name after a dot.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum DottedForm {
    /// Name of a parameter of some event.
    Param,
    /// Name or number of an event type.
    EventType,
    /// `src` or `dst`.
    End,
    /// Anything.
    Any,
}

/// Argument forms of a field.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Forms {
    required: bool,
    index: bool,
    key: bool,
    dotted: Option<DottedForm>,
}

/// What extracts a field.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Extractor {
    Event(EventField),
    Process(ProcessField),
    User(UserField),
    Fd(FdField),
    Fspath(FspathField),
    Fdlist(FdlistField),
    Container(ContainerField),
    Audit(AuditField),
    K8sUser(K8sUserField),
    /// No capture can answer, for this reason.
    Offline(&'static str),
}

/// One row of the catalogue.
#[derive(Debug)]
pub struct FieldRow {
    /// As the rule language sees it.
    pub def: FieldDef,
    /// Class: fields of one class are extracted by one module.
    pub class: &'static str,
    /// Sources whose rules may use it.
    pub scope: Scope,
    /// Who provides it in Falco: `core` or a plugin.
    pub provider: &'static str,
    /// One sentence.
    pub meaning: &'static str,
    /// Added to the output of every rule when suggested outputs are on.
    pub suggested_output: bool,
    pub(crate) forms: Forms,
    pub(crate) extractor: Extractor,
}

impl FieldRow {
    /// Why the field never has a value on a capture; `None` when it can have one.
    pub fn offline(&self) -> Option<&'static str> {
        match self.extractor {
            Extractor::Offline(reason) => Some(reason),
            _ => None,
        }
    }
}

// Variants carry the whole names of their fields, prefix and all, so that a search for a field finds its extractor.
#[rustfmt::skip]
#[allow(clippy::enum_variant_names)]
mod generated {
    use super::{DottedForm, Extractor, FieldRow, FieldType, Forms, Scope, row};
    include!(concat!(env!("OUT_DIR"), "/fields.rs"));
}
pub(crate) use generated::{
    AuditField, ContainerField, EventField, FdField, FdlistField, FspathField, K8sUserField, ProcessField, UserField,
};

const fn has(notes: &[&str], wanted: &str) -> bool {
    let mut at = 0;
    while at < notes.len() {
        if equal(notes[at].as_bytes(), wanted.as_bytes()) {
            return true;
        }
        at += 1;
    }
    false
}

const fn equal(a: &[u8], b: &[u8]) -> bool {
    if a.len() != b.len() {
        return false;
    }
    let mut at = 0;
    while at < a.len() {
        if a[at] != b[at] {
            return false;
        }
        at += 1;
    }
    true
}

#[allow(clippy::too_many_arguments)] // one per cell of the table, called by generated code only
const fn row(
    class: &'static str,
    scope: Scope,
    provider: &'static str,
    name: &'static str,
    ty: FieldType,
    forms: Forms,
    notes: &[&str],
    extractor: Extractor,
    meaning: &'static str,
) -> FieldRow {
    FieldRow {
        def: FieldDef {
            name,
            ty,
            arg: ArgSpec {
                required: forms.required,
                index: forms.index,
                key: forms.key,
                dotted: forms.dotted.is_some(),
            },
            multiplicity: if has(notes, "list") {
                Multiplicity::List
            } else if has(notes, "ancestors") {
                Multiplicity::Ancestors
            } else if has(notes, "two_ends") {
                Multiplicity::TwoEnds
            } else {
                Multiplicity::One
            },
            display: if has(notes, "hex") {
                Display::Hex
            } else if has(notes, "pad9") {
                Display::Pad9
            } else {
                Display::Plain
            },
            filter_only: has(notes, "filter_only"),
            no_rhs: has(notes, "no_rhs"),
            no_transformer: has(notes, "no_transformer"),
            deprecated: has(notes, "warn"),
            plugin: !equal(provider.as_bytes(), b"core"),
        },
        class,
        scope,
        provider,
        meaning,
        suggested_output: has(notes, "suggested_output"),
        forms,
        extractor,
    }
}

/// Field numbers by name, sorted.
static BY_NAME: LazyLock<Vec<(&'static str, u16)>> = LazyLock::new(|| {
    let mut names: Vec<(&'static str, u16)> =
        generated::ROWS.iter().enumerate().map(|(id, row)| (row.def.name, id as u16)).collect();
    names.sort_unstable();
    names
});

/// Row of a field number.
#[inline]
pub(crate) fn row_of(id: u16) -> Option<&'static FieldRow> {
    generated::ROWS.get(id as usize)
}

/// Names that asynchronous events carry in captures of today: `evt.type` shows them.
const ASYNC_NAMES: &[&str] = &["container", "container_removed"];

/// The field catalogue; the schema that rules are compiled against.
#[derive(Clone, Copy, Debug, Default)]
pub struct Catalogue;

impl Catalogue {
    /// The catalogue; there is only one.
    pub fn new() -> Self {
        Self
    }

    /// All rows, in the order of their numbers.
    pub fn rows(&self) -> &'static [FieldRow] {
        &generated::ROWS
    }

    /// Row of a bound field.
    pub fn row(&self, field: &FieldRef) -> Option<&'static FieldRow> {
        row_of(field.id)
    }

    /// A field as written, for example `proc.aname[2]`, `evt.arg.flags` or `fd.name`.
    pub fn parse(&self, source: &str, text: &str) -> Result<FieldRef, BindError> {
        let (name, bracketed) = match text.split_once('[') {
            Some((name, rest)) => (name, Some(rest.strip_suffix(']').ok_or(BindError::Unknown)?)),
            None => (text, None),
        };
        if let Some((id, _)) = self.field(source, name) {
            return self.bind(source, id, bracketed.map_or(ArgText::None, ArgText::Bracketed));
        }
        if bracketed.is_some() {
            return Err(BindError::Unknown);
        }
        // The longest known name before a dot takes the rest as its argument.
        for (at, _) in name.rmatch_indices('.') {
            if let Some((id, _)) = self.field(source, &name[..at]) {
                return self.bind(source, id, ArgText::Dotted(&name[at + 1..]));
            }
        }
        Err(BindError::Unknown)
    }
}

impl Catalogue {
    /// A bound field as one writes it, argument and all.
    pub fn written(&self, field: &FieldRef) -> String {
        let Some(row) = row_of(field.id) else { return String::new() };
        match &field.arg {
            FieldArg::None => row.def.name.to_owned(),
            FieldArg::Index(index) => format!("{}[{index}]", row.def.name),
            FieldArg::Key(key, _) if row.def.arg.key => format!("{}[{key}]", row.def.name),
            FieldArg::Key(key, _) => format!("{}.{key}", row.def.name),
        }
    }
}

impl Schema for Catalogue {
    fn sources(&self) -> Vec<&str> {
        let mut sources = vec![SYSCALL_SOURCE, K8S_AUDIT_SOURCE];
        sources.extend(PLUGINS.iter().map(|(_, source)| *source).filter(|source| is_json(source)));
        sources
    }

    fn is_partial(&self, source: &str) -> bool {
        is_json(source)
    }

    fn fields(&self, source: &str) -> Box<dyn Iterator<Item = (u16, &FieldDef)> + '_> {
        let source = source.to_owned();
        let rows = generated::ROWS.iter().enumerate();
        Box::new(rows.filter(move |(_, row)| row.scope.has(&source)).map(|(id, row)| (id as u16, &row.def)))
    }

    fn field(&self, source: &str, name: &str) -> Option<(u16, &FieldDef)> {
        let at = BY_NAME.binary_search_by_key(&name, |&(known, _)| known).ok()?;
        let id = BY_NAME[at].1;
        row_of(id).filter(|row| row.scope.has(source)).map(|row| (id, &row.def))
    }

    fn bind(&self, source: &str, id: u16, arg: ArgText<'_>) -> Result<FieldRef, BindError> {
        let row = row_of(id).filter(|row| row.scope.has(source)).ok_or(BindError::Unknown)?;
        let mut ty = row.def.ty;
        let arg = match arg {
            ArgText::None if row.forms.required => {
                return Err(BindError::Argument(format!("{} needs an argument: {}", row.def.name, wanted(row.forms))));
            }
            ArgText::None => FieldArg::None,
            ArgText::Bracketed(text) => bracketed(row, text)?,
            ArgText::Dotted(name) => {
                let (arg, param) = dotted(row, name)?;
                if ty == FieldType::Dyn {
                    ty = param.map_or(FieldType::Bytes, |param| field_type(param.ty));
                }
                arg
            }
        };
        Ok(FieldRef { id, ty, arg })
    }

    /// `evt.rawarg.X` prints as the parameter `X` does.
    fn display(&self, field: &FieldRef) -> Display {
        let Some(row) = row_of(field.id) else { return Display::Plain };
        match (&row.extractor, &field.arg) {
            (Extractor::Event(EventField::EvtRawarg), FieldArg::Key(name, _)) => {
                params::first_named(name).map_or(Display::Plain, |param| display_of(param.format))
            }
            _ => row.def.display,
        }
    }

    fn event_type_count(&self) -> usize {
        tables::EVENT_TYPES
    }

    fn event_types_named(&self, name: &str) -> Vec<u16> {
        let mut types: Vec<u16> = tables::event_types_named(name).map(|etype| etype.0).collect();
        if types.is_empty() && tables::syscalls().iter().any(|call| call.name == name) {
            types.extend(GENERIC);
        }
        if ASYNC_NAMES.contains(&name) {
            types.push(tables::ppme::PPME_ASYNCEVENT_E.0);
        }
        types
    }

    fn syscall_types_named(&self, name: &str) -> Vec<u16> {
        let mut types = self.event_types_named(name);
        types.retain(|&etype| params::is_syscall(etype));
        types
    }

    fn async_event_types(&self) -> Vec<u16> {
        vec![tables::ppme::PPME_ASYNCEVENT_E.0]
    }

    fn all_event_types(&self) -> Vec<u16> {
        tables::events().filter(|(_, def)| !def.flags.has(EventFlags::UNUSED)).map(|(etype, _)| etype.0).collect()
    }
}

/// Both halves of calls without a type of their own.
const GENERIC: [u16; 2] = [tables::ppme::PPME_GENERIC_E.0, tables::ppme::PPME_GENERIC_X.0];

fn wanted(forms: Forms) -> String {
    let mut names = Vec::new();
    if forms.index {
        names.push("[number]");
    }
    if forms.key {
        names.push("[key]");
    }
    if forms.dotted.is_some() {
        names.push(".name");
    }
    names.join(" or ")
}

/// Binds `[text]`. Core fields refuse a wrong argument as an unknown field, plugin fields by an error of their own.
fn bracketed(row: &FieldRow, text: &str) -> Result<FieldArg, BindError> {
    let refuse = |what: String| Err(if row.def.plugin { BindError::Argument(what) } else { BindError::Unknown });
    let name = row.def.name;
    if !row.forms.index && !row.forms.key {
        return refuse(format!("{name} takes no argument in brackets"));
    }
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let leading_zero = row.def.plugin && text.len() > 1 && text.starts_with('0');
    if row.forms.index
        && digits
        && !leading_zero
        && let Ok(index) = text.parse()
    {
        return Ok(FieldArg::Index(index));
    }
    if row.forms.key && !text.is_empty() {
        return Ok(FieldArg::Key(text.into(), 0));
    }
    let what = format!("{name}[{text}]: {} wanted", wanted(Forms { dotted: None, ..row.forms }));
    Err(BindError::Argument(what))
}

/// Binds `.name`; for parameters also says which parameter of which event defines the type.
fn dotted(row: &FieldRow, name: &str) -> Result<(FieldArg, Option<&'static ParamDef>), BindError> {
    let key = |number: u32| FieldArg::Key(name.into(), number);
    match row.forms.dotted {
        None => Err(BindError::Unknown),
        Some(DottedForm::Param) => {
            let param = params::first_named(name).ok_or(BindError::Unknown)?;
            Ok((key(ParamNames::get().number(name).unwrap_or(0)), Some(param)))
        }
        Some(DottedForm::EventType) => {
            let by_name = tables::events().find(|(_, def)| def.name == name).map(|(etype, _)| u32::from(etype.0));
            let number = name.parse().ok().or(by_name).ok_or(BindError::Unknown)?;
            Ok((key(number), None))
        }
        Some(DottedForm::End) if matches!(name, "src" | "dst") => Ok((key(0), None)),
        Some(DottedForm::Any) if !name.is_empty() => Ok((key(0), None)),
        Some(DottedForm::End | DottedForm::Any) => Err(BindError::Unknown),
    }
}

/// How `evt.rawarg.X` prints for a parameter's print format.
pub(crate) fn display_of(format: PrintFormat) -> Display {
    match format {
        PrintFormat::Hex => Display::Hex,
        PrintFormat::Oct => Display::Octal,
        PrintFormat::Na | PrintFormat::Dec | PrintFormat::PaddedDec | PrintFormat::Id | PrintFormat::Dir => {
            Display::Plain
        }
    }
}

/// Type of `evt.rawarg.X` for a parameter's encoding.
pub(crate) fn field_type(param: ParamType) -> FieldType {
    match param {
        ParamType::Int8 => FieldType::Int8,
        ParamType::Int16 => FieldType::Int16,
        ParamType::Int32 => FieldType::Int32,
        ParamType::Int64 => FieldType::Int64,
        ParamType::Uint8 => FieldType::Uint8,
        ParamType::Uint16 => FieldType::Uint16,
        ParamType::Uint32 | ParamType::Sigset => FieldType::Uint32,
        ParamType::Uint64 => FieldType::Uint64,
        ParamType::Double => FieldType::Double,
        ParamType::Charbuf | ParamType::Fspath | ParamType::Fsrelpath => FieldType::Text,
        ParamType::Errno => FieldType::Errno,
        ParamType::Fd | ParamType::Fd32 => FieldType::Fd,
        ParamType::Pid | ParamType::Pid32 => FieldType::Pid,
        ParamType::SyscallId => FieldType::SyscallId,
        ParamType::Sigtype => FieldType::Sigtype,
        ParamType::Reltime => FieldType::Reltime,
        ParamType::Abstime => FieldType::Abstime,
        ParamType::Port => FieldType::Port,
        ParamType::L4Proto => FieldType::L4Proto,
        ParamType::SockFamily => FieldType::SockFamily,
        ParamType::Bool => FieldType::Bool,
        ParamType::Ipv4Addr | ParamType::Ipv6Addr | ParamType::IpAddr => FieldType::IpAddr,
        ParamType::Flags8 | ParamType::Enumflags8 => FieldType::Flags8,
        ParamType::Flags16 | ParamType::Enumflags16 => FieldType::Flags16,
        ParamType::Flags32 | ParamType::Enumflags32 => FieldType::Flags32,
        ParamType::Mode => FieldType::Mode,
        ParamType::Uid => FieldType::Uid,
        ParamType::Gid => FieldType::Gid,
        ParamType::Bytebuf
        | ParamType::Sockaddr
        | ParamType::Socktuple
        | ParamType::Fdlist
        | ParamType::Dyn
        | ParamType::CharbufArray
        | ParamType::CharbufPairArray
        | ParamType::Ipv4Net
        | ParamType::Ipv6Net
        | ParamType::IpNet => FieldType::Bytes,
    }
}

#[cfg(test)]
mod tests;
