//! A schema made of tables: a few fields and events for tests that run everywhere, or those of the reference beside the
//! conformance cases. The cases themselves run in `tests/`, with the real catalogue of fields.
#![allow(clippy::unwrap_used)] // a table that cannot be read is a failure of the test
#![allow(dead_code)] // not every test file uses all of it

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use casebook_rules::schema::{
    ArgSpec, ArgText, BindError, Display, FieldArg, FieldDef, FieldRef, FieldType, Multiplicity, Schema,
};

/// Directories of conformance cases. Says so and gives none when `CASEBOOK_CONFORMANCE` is not set.
pub(crate) fn case_directories() -> Vec<PathBuf> {
    let Ok(dirs) = std::env::var("CASEBOOK_CONFORMANCE") else {
        writeln!(std::io::stderr(), "skipped: CASEBOOK_CONFORMANCE is not set").ok(); // past the capture of passing tests
        return Vec::new();
    };
    dirs.split(':').filter(|dir| !dir.is_empty()).map(PathBuf::from).collect()
}

/// The schema from the tables beside the first directory of cases; absent when there is none.
pub(crate) fn from_environment() -> Option<TableSchema> {
    case_directories().iter().find_map(|dir| {
        let tables = dir.parent()?;
        tables.join("fields.tsv").exists().then(|| TableSchema::read(tables))
    })
}

/// Two-ended fields and fields that walk up the process tree; the tables say so in words only.
const TWO_ENDS: &[&str] = &["fd.ip", "fd.port", "fd.net", "fd.proto"];
const ANCESTORS: &[&str] = &["proc.aname", "proc.aexe", "proc.aexepath", "proc.acmdline", "proc.apid", "proc.aenv"];

/// A schema made of tables.
pub(crate) struct TableSchema {
    fields: Vec<(FieldDef, Vec<&'static str>)>,
    by_name: HashMap<(&'static str, &'static str), u16>,
    /// Event types by name, generic calls included.
    event_names: HashMap<String, Vec<u16>>,
    syscall_names: HashMap<String, Vec<u16>>,
    event_count: usize,
    asynchronous: Vec<u16>,
    /// Parameter names of all events with their type.
    parameters: BTreeMap<String, FieldType>,
}

impl TableSchema {
    fn read(tables: &Path) -> Self {
        let read = |name: &str| std::fs::read_to_string(tables.join(name)).unwrap();
        Self::new(&read("fields.tsv"), &read("scap-events.tsv"), &read("scap-syscalls.tsv"))
    }

    /// A few fields and events, for tests that run everywhere.
    pub(crate) fn small() -> Self {
        Self::new(include_str!("fields.tsv"), include_str!("events.tsv"), "")
    }

    fn new(fields: &str, events: &str, syscalls: &str) -> Self {
        let mut this = Self {
            fields: Vec::new(),
            by_name: HashMap::new(),
            event_names: HashMap::new(),
            syscall_names: HashMap::new(),
            event_count: 0,
            asynchronous: Vec::new(),
            parameters: BTreeMap::new(),
        };
        fields.lines().skip(1).for_each(|row| this.add_field(&row.split('\t').collect::<Vec<_>>()));
        events.lines().skip(1).for_each(|row| this.add_event(&row.split('\t').collect::<Vec<_>>()));
        for row in syscalls.lines().skip(1) {
            let row: Vec<_> = row.split('\t').collect();
            if row[4].starts_with("PPME_GENERIC") {
                this.event_names.entry(row[1].to_owned()).or_default().extend([0, 1]);
                this.syscall_names.entry(row[1].to_owned()).or_default().extend([0, 1]);
            }
        }
        this
    }

    fn add_field(&mut self, row: &[&str]) {
        let name: &'static str = row[3].to_owned().leak();
        let notes: BTreeSet<&str> = row[6].split(',').collect();
        let sources = match row[1] {
            "any" => vec!["syscall", "k8s_audit"],
            "any plugin source" => vec!["k8s_audit"],
            "syscall" => vec!["syscall"],
            _ => vec!["k8s_audit"],
        };
        let multiplicity = if notes.contains("list") {
            Multiplicity::List
        } else if TWO_ENDS.contains(&name) {
            Multiplicity::TwoEnds
        } else if ANCESTORS.contains(&name) {
            Multiplicity::Ancestors
        } else {
            Multiplicity::One
        };
        let field = FieldDef {
            name,
            ty: field_type(row[4]),
            arg: argument(row[5]),
            multiplicity,
            display: match () {
                () if notes.contains("hex") => Display::Hex,
                () if notes.contains("pad9") => Display::Pad9,
                () => Display::Plain,
            },
            filter_only: notes.contains("filter_only"),
            no_rhs: notes.contains("no_rhs"),
            no_transformer: notes.contains("no_transformer"),
            deprecated: notes.contains("deprecated"),
            plugin: row[2].ends_with("plugin"),
        };
        let id = self.fields.len() as u16;
        for source in &sources {
            self.by_name.insert((source, name), id);
        }
        self.fields.push((field, sources));
    }

    fn add_event(&mut self, row: &[&str]) {
        let id: u16 = row[0].parse().unwrap();
        self.event_count = self.event_count.max(usize::from(id) + 1);
        self.event_names.entry(row[2].to_owned()).or_default().push(id);
        if row[4].contains("EC_SYSCALL") {
            self.syscall_names.entry(row[2].to_owned()).or_default().push(id);
        }
        if row[1] == "PPME_ASYNCEVENT_E" {
            self.asynchronous.push(id);
        }
        for parameter in row[7].split(';').filter(|parameter| parameter.contains(':')) {
            let mut parts = parameter.split(':');
            let (name, ty) = (parts.next().unwrap(), parts.next().unwrap());
            // The type of a name is that of its first event with an exit; good enough for the cases.
            self.parameters.entry(name.to_owned()).or_insert_with(|| parameter_type(ty));
        }
    }

    fn def(&self, id: u16) -> Option<&FieldDef> {
        self.fields.get(usize::from(id)).map(|(field, _)| field)
    }
}

fn field_type(name: &str) -> FieldType {
    match name {
        "string" => FieldType::Text,
        "bytes" => FieldType::Bytes,
        "bool" => FieldType::Bool,
        "int16" => FieldType::Int16,
        "int32" => FieldType::Int32,
        "int64" => FieldType::Int64,
        "uint32" => FieldType::Uint32,
        "uint64" => FieldType::Uint64,
        "double" => FieldType::Double,
        "reltime" => FieldType::Reltime,
        "abstime" => FieldType::Abstime,
        "port" => FieldType::Port,
        "ipaddr" => FieldType::IpAddr,
        "ipnet" => FieldType::IpNet,
        "dyn" => FieldType::Dyn,
        other => panic!("unknown type {other} in fields.tsv"),
    }
}

fn parameter_type(name: &str) -> FieldType {
    match name {
        "PT_INT8" => FieldType::Int8,
        "PT_INT16" => FieldType::Int16,
        "PT_INT32" => FieldType::Int32,
        "PT_INT64" => FieldType::Int64,
        "PT_UINT8" => FieldType::Uint8,
        "PT_UINT16" => FieldType::Uint16,
        "PT_UINT32" => FieldType::Uint32,
        "PT_UINT64" => FieldType::Uint64,
        "PT_ERRNO" => FieldType::Errno,
        "PT_FD" => FieldType::Fd,
        "PT_PID" => FieldType::Pid,
        "PT_FLAGS8" | "PT_ENUMFLAGS8" => FieldType::Flags8,
        "PT_FLAGS16" | "PT_ENUMFLAGS16" => FieldType::Flags16,
        "PT_FLAGS32" | "PT_ENUMFLAGS32" => FieldType::Flags32,
        "PT_MODE" => FieldType::Mode,
        "PT_UID" => FieldType::Uid,
        "PT_GID" => FieldType::Gid,
        "PT_BOOL" => FieldType::Bool,
        "PT_DOUBLE" => FieldType::Double,
        "PT_RELTIME" => FieldType::Reltime,
        "PT_ABSTIME" => FieldType::Abstime,
        "PT_PORT" => FieldType::Port,
        "PT_SYSCALLID" => FieldType::SyscallId,
        "PT_SIGTYPE" => FieldType::Sigtype,
        "PT_L4PROTO" => FieldType::L4Proto,
        "PT_SOCKFAMILY" => FieldType::SockFamily,
        "PT_BYTEBUF" => FieldType::Bytes,
        _ => FieldType::Text,
    }
}

/// The argument column: `none`, or `required:` or `optional:` and the forms.
fn argument(text: &str) -> ArgSpec {
    let Some((need, forms)) = text.split_once(':') else { return ArgSpec::NONE };
    let index = ["[index]", "[level]", "[n]", "[fd]", "[timestamp_ns]"];
    let key = ["[key]", "[NAME]", "[pointer]"];
    ArgSpec {
        required: need == "required",
        index: index.iter().any(|form| forms.contains(form)),
        key: key.iter().any(|form| forms.contains(form)),
        dotted: forms.split(" or ").any(|form| form.starts_with('.')),
    }
}

impl Schema for TableSchema {
    fn sources(&self) -> Vec<&str> {
        vec!["syscall", "k8s_audit"]
    }

    fn fields(&self, source: &str) -> Box<dyn Iterator<Item = (u16, &FieldDef)> + '_> {
        let source = source.to_owned();
        let all = self.fields.iter().enumerate();
        Box::new(
            all.filter(move |(_, (_, sources))| sources.contains(&&*source)).map(|(id, (field, _))| (id as u16, field)),
        )
    }

    fn field(&self, source: &str, name: &str) -> Option<(u16, &FieldDef)> {
        let id = *self.by_name.get(&(source, name))?;
        Some((id, self.def(id)?))
    }

    fn bind(&self, _source: &str, id: u16, arg: ArgText<'_>) -> Result<FieldRef, BindError> {
        let field = self.def(id).ok_or(BindError::Unknown)?;
        let wrong = |message: &str| {
            if field.plugin { Err(BindError::Argument(message.to_owned())) } else { Err(BindError::Unknown) }
        };
        let bound = |ty, arg| Ok(FieldRef { id, ty, arg });
        match arg {
            ArgText::None if field.arg.required => Err(BindError::Argument("an argument is required".to_owned())),
            ArgText::None => bound(field.ty, FieldArg::None),
            ArgText::Bracketed(text) => {
                let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
                let leading_zero = field.plugin && text.len() > 1 && text.starts_with('0');
                if field.arg.index && digits && !leading_zero {
                    bound(field.ty, FieldArg::Index(text.parse().unwrap_or(u64::MAX)))
                } else if field.arg.key {
                    bound(field.ty, FieldArg::Key(text.into(), 0))
                } else if field.arg.index {
                    Err(BindError::Argument("the argument has to be an index".to_owned()))
                } else {
                    wrong("the field takes no argument")
                }
            }
            ArgText::Dotted(text) => {
                if !field.arg.dotted {
                    return Err(BindError::Unknown);
                }
                let parameter = self.parameters.get(text);
                match field.name {
                    "evt.arg" | "evt.rawarg" if parameter.is_none() => return Err(BindError::Unknown),
                    "evt.abspath" if !matches!(text, "src" | "dst") => return Err(BindError::Unknown),
                    _ => {}
                }
                let ty = match (field.ty, text) {
                    // Fixed by the cases' README.
                    (FieldType::Dyn, "res") => FieldType::Int64,
                    (FieldType::Dyn, "flags") => FieldType::Flags32,
                    (FieldType::Dyn, _) => parameter.copied().unwrap_or(FieldType::Text),
                    (ty, _) => ty,
                };
                bound(ty, FieldArg::Key(text.into(), 0))
            }
        }
    }

    fn display(&self, field: &FieldRef) -> Display {
        self.def(field.id).map_or(Display::Plain, |def| def.display)
    }

    fn event_type_count(&self) -> usize {
        self.event_count
    }

    fn event_types_named(&self, name: &str) -> Vec<u16> {
        self.event_names.get(name).cloned().unwrap_or_default()
    }

    fn syscall_types_named(&self, name: &str) -> Vec<u16> {
        self.syscall_names.get(name).cloned().unwrap_or_default()
    }

    fn async_event_types(&self) -> Vec<u16> {
        self.asynchronous.clone()
    }

    fn all_event_types(&self) -> Vec<u16> {
        (0..self.event_count as u16).collect()
    }
}
