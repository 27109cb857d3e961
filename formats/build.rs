//! Turns `tables/*.tsv` into the static arrays that `src/tables.rs` includes.
//!
//! Every row is checked here, once, so that the library can index without asking: ids without gaps, known type and
//! flag names, tables that exist, conversion steps that refer to parameters that exist. A bad row fails the build
//! with file, line and reason.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

/// Spelling in the tables and the variant of `ParamType` it stands for.
const TYPES: &[(&str, &str)] = &[
    ("INT8", "Int8"),
    ("INT16", "Int16"),
    ("INT32", "Int32"),
    ("INT64", "Int64"),
    ("UINT8", "Uint8"),
    ("UINT16", "Uint16"),
    ("UINT32", "Uint32"),
    ("UINT64", "Uint64"),
    ("CHARBUF", "Charbuf"),
    ("BYTEBUF", "Bytebuf"),
    ("ERRNO", "Errno"),
    ("SOCKADDR", "Sockaddr"),
    ("SOCKTUPLE", "Socktuple"),
    ("FD", "Fd"),
    ("PID", "Pid"),
    ("FDLIST", "Fdlist"),
    ("FSPATH", "Fspath"),
    ("SYSCALLID", "SyscallId"),
    ("SIGTYPE", "Sigtype"),
    ("RELTIME", "Reltime"),
    ("ABSTIME", "Abstime"),
    ("PORT", "Port"),
    ("L4PROTO", "L4Proto"),
    ("SOCKFAMILY", "SockFamily"),
    ("BOOL", "Bool"),
    ("IPV4ADDR", "Ipv4Addr"),
    ("DYN", "Dyn"),
    ("FLAGS8", "Flags8"),
    ("FLAGS16", "Flags16"),
    ("FLAGS32", "Flags32"),
    ("UID", "Uid"),
    ("GID", "Gid"),
    ("DOUBLE", "Double"),
    ("SIGSET", "Sigset"),
    ("CHARBUFARRAY", "CharbufArray"),
    ("CHARBUF_PAIR_ARRAY", "CharbufPairArray"),
    ("IPV4NET", "Ipv4Net"),
    ("IPV6ADDR", "Ipv6Addr"),
    ("IPV6NET", "Ipv6Net"),
    ("IPADDR", "IpAddr"),
    ("IPNET", "IpNet"),
    ("MODE", "Mode"),
    ("FSRELPATH", "Fsrelpath"),
    ("ENUMFLAGS8", "Enumflags8"),
    ("ENUMFLAGS16", "Enumflags16"),
    ("ENUMFLAGS32", "Enumflags32"),
    ("FD32", "Fd32"),
    ("PID32", "Pid32"),
];

/// Spelling and variant of `PrintFormat`.
const FORMATS: &[(&str, &str)] = &[
    ("NA", "Na"),
    ("DEC", "Dec"),
    ("HEX", "Hex"),
    ("10_PADDED_DEC", "PaddedDec"),
    ("ID", "Id"),
    ("DIR", "Dir"),
    ("OCT", "Oct"),
];

/// Spelling and variant of `Category`.
const CATEGORIES: &[(&str, &str)] = &[
    ("EC_UNKNOWN", "Unknown"),
    ("EC_OTHER", "Other"),
    ("EC_FILE", "File"),
    ("EC_NET", "Net"),
    ("EC_IPC", "Ipc"),
    ("EC_MEMORY", "Memory"),
    ("EC_PROCESS", "Process"),
    ("EC_SLEEP", "Sleep"),
    ("EC_SYSTEM", "System"),
    ("EC_SIGNAL", "Signal"),
    ("EC_USER", "User"),
    ("EC_TIME", "Time"),
    ("EC_PROCESSING", "Processing"),
    ("EC_IO_READ", "IoRead"),
    ("EC_IO_WRITE", "IoWrite"),
    ("EC_IO_OTHER", "IoOther"),
    ("EC_WAIT", "Wait"),
    ("EC_SCHEDULER", "Scheduler"),
    ("EC_INTERNAL", "Internal"),
];

/// Spelling and variant of `EventOrigin`.
const ORIGINS: &[(&str, &str)] = &[
    ("EC_SYSCALL", "Syscall"),
    ("EC_TRACEPOINT", "Tracepoint"),
    ("EC_PLUGIN", "Plugin"),
    ("EC_METAEVENT", "Metaevent"),
    ("EC_ITER", "Iter"),
];

/// `EF_*` names whose constants exist in `EventFlags`.
const EVENT_FLAGS: &[&str] = &[
    "CREATES_FD",
    "DESTROYS_FD",
    "USES_FD",
    "READS_FROM_FD",
    "WRITES_TO_FD",
    "MODIFIES_STATE",
    "UNUSED",
    "WAITS",
    "SKIPPARSERESET",
    "OLD_VERSION",
    "LARGE_PAYLOAD",
    "CONVERTER_MANAGED",
];

/// One line of a table, split into its columns.
struct Row {
    place: String,
    columns: Vec<String>,
}

impl Row {
    fn fail(&self, reason: &str) -> ! {
        panic!("{}: {reason}", self.place)
    }

    fn number(&self, column: usize) -> u32 {
        let text = &self.columns[column];
        text.parse().unwrap_or_else(|_| self.fail(&format!("column {}: \"{text}\" is no number", column + 1)))
    }

    fn variant(&self, names: &[(&'static str, &'static str)], text: &str, what: &str) -> &'static str {
        names
            .iter()
            .find(|(name, _)| *name == text)
            .map_or_else(|| self.fail(&format!("unknown {what} \"{text}\"")), |(_, variant)| *variant)
    }
}

fn rows(file: &str, width: usize) -> Vec<Row> {
    let path = Path::new("tables").join(file);
    println!("cargo:rerun-if-changed={}", path.display());
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut rows = Vec::new();
    for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.is_empty() && !line.starts_with('#')) {
        let columns: Vec<String> = line.split('\t').map(str::to_owned).collect();
        let row = Row { place: format!("formats/{}:{}", path.display(), number + 1), columns };
        if row.columns.len() != width {
            row.fail(&format!("{} columns, expected {width}", row.columns.len()));
        }
        rows.push(row);
    }
    rows
}

/// Flag tables: returns the code and the index of each table by name.
fn flag_tables(out: &mut String) -> BTreeMap<String, usize> {
    let (mut index, mut tables) = (BTreeMap::new(), Vec::<(String, Vec<String>)>::new());
    for row in rows("flags.tsv", 3) {
        let name = row.columns[0].clone();
        if tables.last().is_none_or(|(last, _)| *last != name) {
            if index.insert(name.clone(), tables.len()).is_some() {
                row.fail("the rows of one table must stand together");
            }
            tables.push((name, Vec::new()));
        }
        let value = row.number(2);
        let entry = format!("({:?}, 0x{:04x}_{:04x})", row.columns[1], value >> 16, value & 0xFFFF);
        tables.last_mut().expect("pushed above").1.push(entry);
    }
    let _ = writeln!(out, "pub(super) static FLAG_TABLES: [FlagTable; {}] = [", tables.len());
    for (name, entries) in &tables {
        let _ = writeln!(out, "FlagTable {{ name: {name:?}, entries: &[{}] }},", entries.join(", "));
    }
    out.push_str("];\n");
    index
}

/// Variants of DYN parameters, by table name: the code of each array.
fn variants() -> BTreeMap<String, Vec<String>> {
    let mut tables = BTreeMap::<String, Vec<String>>::new();
    for row in rows("variants.tsv", 4) {
        let table = tables.entry(row.columns[0].clone()).or_default();
        if row.number(1) as usize != table.len() {
            row.fail("variant indices must count up from 0");
        }
        let (ty, format) = (
            row.variant(TYPES, &row.columns[2], "parameter type"),
            row.variant(FORMATS, &row.columns[3], "print format"),
        );
        table.push(format!("DynVariant {{ ty: ParamType::{ty}, format: PrintFormat::{format} }}"));
    }
    tables
}

/// What the other tables need to know about the event table.
struct Events {
    by_symbol: HashMap<String, u32>,
    param_counts: Vec<usize>,
    names: Vec<String>,
}

fn events(out: &mut String, flags: &BTreeMap<String, usize>) -> Events {
    let variants = variants();
    let rows = rows("events.tsv", 7);
    let mut events = Events { by_symbol: HashMap::new(), param_counts: Vec::new(), names: Vec::new() };
    let mut constants = String::new();
    let _ = writeln!(out, "pub(super) static EVENTS: [EventDef; {}] = [", rows.len());
    for (id, row) in rows.iter().enumerate() {
        if row.number(0) as usize != id {
            row.fail(&format!("event id {}, expected {id}: ids count up without gaps", row.columns[0]));
        }
        let symbol = &row.columns[1];
        if events.by_symbol.insert(symbol.clone(), id as u32).is_some() {
            row.fail(&format!("second row for {symbol}"));
        }
        let _ = writeln!(
            constants,
            "/// `{} {}`\npub const {symbol}: EventType = EventType({id});",
            row.columns[3], row.columns[2]
        );
        let dir = row.variant(&[(">", "Enter"), ("<", "Exit")], &row.columns[3], "direction");
        let params: Vec<String> = match row.columns[6].as_str() {
            "-" => Vec::new(),
            list => list.split(';').map(|param| parameter(row, param, list, flags, &variants)).collect(),
        };
        events.param_counts.push(params.len());
        events.names.push(row.columns[2].clone());
        let _ = writeln!(
            out,
            "EventDef {{ symbol: {symbol:?}, name: {:?}, dir: Direction::{dir}, {}, flags: {}, params: &[{}] }},",
            row.columns[2],
            category(row),
            event_flags(row),
            params.join(", ")
        );
    }
    let _ = writeln!(out, "];\npub(super) mod symbols {{ use crate::event::EventType;\n{constants}}}");
    events
}

fn category(row: &Row) -> String {
    let (kind, origin) = match row.columns[4].split_once('|') {
        Some((kind, origin)) => (kind, row.variant(ORIGINS, origin, "origin")),
        None => (row.columns[4].as_str(), "None"),
    };
    format!("category: Category::{}, origin: EventOrigin::{origin}", row.variant(CATEGORIES, kind, "category"))
}

fn event_flags(row: &Row) -> String {
    let mut bits = Vec::new();
    for flag in row.columns[5].split('|').filter(|flag| *flag != "-") {
        match flag.strip_prefix("EF_").filter(|name| EVENT_FLAGS.contains(name)) {
            Some(name) => bits.push(format!("EventFlags::{name}.0")),
            None => row.fail(&format!("unknown event flag \"{flag}\"")),
        }
    }
    if bits.is_empty() { "EventFlags::NONE".to_owned() } else { format!("EventFlags({})", bits.join(" | ")) }
}

fn parameter(
    row: &Row,
    text: &str,
    list: &str,
    flags: &BTreeMap<String, usize>,
    variants: &BTreeMap<String, Vec<String>>,
) -> String {
    let parts: Vec<&str> = text.split(':').collect();
    let [name, ty, format, rest @ ..] = parts.as_slice() else {
        row.fail(&format!("parameter \"{text}\" is not name:type:format"))
    };
    let (mut table, mut dynamic, mut dirfd) = ("None".to_owned(), String::new(), "None".to_owned());
    match rest {
        [] => {}
        [extra] if extra.starts_with("dirfd=") => {
            let index = &extra["dirfd=".len()..];
            if index.parse().is_ok_and(|index: usize| index < list.split(';').count()) {
                dirfd = format!("Some({index})");
            } else {
                row.fail(&format!("parameter \"{name}\": no parameter {index} to be relative to"));
            }
        }
        [extra] if *ty == "DYN" => match variants.get(*extra) {
            Some(list) => dynamic = list.join(", "),
            None => row.fail(&format!("parameter \"{name}\": no variants \"{extra}\" in variants.tsv")),
        },
        [extra] => match flags.get(*extra) {
            Some(index) => table = format!("Some(&FLAG_TABLES[{index}])"),
            None => row.fail(&format!("parameter \"{name}\": no table \"{extra}\" in flags.tsv")),
        },
        _ => row.fail(&format!("parameter \"{text}\" has too many parts")),
    }
    format!(
        "ParamDef {{ name: {name:?}, ty: ParamType::{}, format: PrintFormat::{}, table: {table}, variants: &[{dynamic}], dirfd: {dirfd} }}",
        row.variant(TYPES, ty, "parameter type"),
        row.variant(FORMATS, format, "print format"),
    )
}

fn syscalls(out: &mut String, events: &Events) {
    let mut entries = Vec::new();
    for row in &rows("syscalls.tsv", 6) {
        let code = row.number(0) as usize;
        if code < entries.len() || code > entries.len() + 16 {
            row.fail(&format!("syscall code {code} after {}: codes ascend with few gaps", entries.len()));
        }
        // A code that was given up keeps its place, under the name that code 0 has.
        while entries.len() < code {
            let unused = r#"name: "unknown", x86_64: None, aarch64: None, enter: None, exit: None"#;
            entries.push(format!("SyscallDef {{ {unused} }},"));
        }
        let native = |column: usize| match row.columns[column].as_str() {
            "-" => "None".to_owned(),
            _ => format!("Some({})", row.number(column)),
        };
        let event = |column: usize| match row.columns[column].as_str() {
            "-" => "None".to_owned(),
            symbol => match events.by_symbol.get(symbol) {
                Some(id) => format!("Some(EventType({id}))"),
                None => row.fail(&format!("no event {symbol} in events.tsv")),
            },
        };
        entries.push(format!(
            "SyscallDef {{ name: {:?}, x86_64: {}, aarch64: {}, enter: {}, exit: {} }},",
            row.columns[1],
            native(2),
            native(3),
            event(4),
            event(5)
        ));
    }
    let _ =
        writeln!(out, "pub(super) static SYSCALLS: [SyscallDef; {}] = [\n{}\n];", entries.len(), entries.join("\n"));
}

fn conversions(out: &mut String, events: &Events) {
    let rows = rows("conversions.tsv", 6);
    let mut starts = vec![0_usize];
    let mut previous = None;
    let _ = writeln!(out, "pub(super) static CONVERSIONS: [Conversion; {}] = [", rows.len());
    for (at, row) in rows.iter().enumerate() {
        let (id, nparams) = (row.number(0) as usize, row.number(2));
        if events.by_symbol.get(&row.columns[1]) != Some(&(id as u32)) {
            row.fail(&format!("event {id} is not called {}", row.columns[1]));
        }
        if previous.is_some_and(|previous| previous >= (id, nparams)) {
            row.fail("rows must ascend by id and parameter count");
        }
        previous = Some((id, nparams));
        while starts.len() <= id {
            starts.push(at);
        }
        let _ = writeln!(out, "Conversion {{ nparams: {nparams}, action: {} }},", action(row, nparams, events));
    }
    while starts.len() <= events.param_counts.len() {
        starts.push(rows.len());
    }
    let _ = writeln!(out, "];\npub(super) static CONVERSION_STARTS: [u16; {}] = {starts:?};", starts.len());
}

fn action(row: &Row, nparams: u32, events: &Events) -> String {
    let (kind, target) = (row.columns[3].as_str(), row.columns[4].as_str());
    match kind {
        "STORE" => return "Action::Store".to_owned(),
        "STORE_AND_PASS" => return "Action::StoreAndPass".to_owned(),
        "PASS" => return "Action::Pass".to_owned(),
        "ADD_PARAMS" | "CHANGE_TYPE" => {}
        _ => row.fail(&format!("unknown action \"{kind}\"")),
    }
    let Some(&target_id) = events.by_symbol.get(target) else { row.fail(&format!("no event {target} in events.tsv")) };
    let steps: Vec<String> =
        row.columns[5].split(';').filter(|step| *step != "-").map(|text| step(row, text, nparams)).collect();
    if kind == "ADD_PARAMS" && steps.iter().any(|step| step.starts_with("Step::Old") || step == "Step::Callback") {
        row.fail("added parameters cannot come from the event's own");
    }
    let total = steps.len() + if kind == "ADD_PARAMS" { nparams as usize } else { 0 };
    if total > events.param_counts[target_id as usize] {
        row.fail(&format!("makes {total} parameters, {target} has fewer"));
    }
    if kind == "ADD_PARAMS" {
        format!("Action::AddParams(&[{}])", steps.join(", "))
    } else {
        format!("Action::ChangeType(EventType({target_id}), &[{}])", steps.join(", "))
    }
}

fn step(row: &Row, text: &str, nparams: u32) -> String {
    let index = |text: &str| -> u32 { text.parse().unwrap_or_else(|_| row.fail(&format!("bad step \"{text}\""))) };
    match text.split_once(':') {
        None if text == "empty" => "Step::Empty".to_owned(),
        None if text == "default" => "Step::Default".to_owned(),
        None if text == "callback" => "Step::Callback".to_owned(),
        Some(("old", k)) if index(k) < nparams => format!("Step::Old({})", index(k)),
        Some(("enter", rest)) => match rest.split_once('?') {
            Some((k, "empty" | "default")) => format!("Step::Enter({})", index(k)),
            _ => row.fail(&format!("bad step \"{text}\"")),
        },
        _ => row.fail(&format!("bad step \"{text}\"")),
    }
}

/// What sysdig 0.29.3 takes of each event type, in the order of the event table.
fn sysdig(out: &mut String, events: &Events) {
    let calls: HashMap<String, String> =
        rows("syscalls.tsv", 6).iter().map(|row| (row.columns[1].clone(), row.columns[0].clone())).collect();
    let rows = rows("sysdig.tsv", 3);
    let _ = writeln!(out, "pub(super) static SYSDIG: [SysdigForm; {}] = [", events.names.len());
    for (id, row) in rows.iter().enumerate() {
        let (symbol, params, written_as) = (&row.columns[0], row.columns[1].as_str(), row.columns[2].as_str());
        if events.by_symbol.get(symbol) != Some(&(id as u32)) {
            row.fail(&format!("{symbol} is not event {id}: rows follow the event table"));
        }
        let known = |symbol: &str| {
            let target = *events.by_symbol.get(symbol)?;
            (rows.get(target as usize)?.columns[1] != "-").then_some(target)
        };
        let form = match (params, written_as) {
            ("-", "-") => "None".to_owned(),
            ("-", "syscall") => match calls.get(&events.names[id]) {
                Some(code) => format!("Call({code})"),
                None => row.fail("no call of this name in syscalls.tsv"),
            },
            ("-", target) => match known(target) {
                Some(target) => format!("As(EventType({target}))"),
                None => row.fail(&format!("it does not know {target} either")),
            },
            (_, "-") if row.number(1) as usize <= events.param_counts[id] => format!("Known({params})"),
            (_, "-") => row.fail("more parameters than today's form has"),
            _ => row.fail("a type that it knows is written as it is"),
        };
        let _ = writeln!(out, "SysdigForm::{form},");
    }
    assert_eq!(rows.len(), events.names.len(), "tables/sysdig.tsv: one row for each event type");
    out.push_str("];\n");
}

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let mut out = String::from("// Generated by build.rs from tables/*.tsv.\n");
    let flags = flag_tables(&mut out);
    let events = events(&mut out, &flags);
    syscalls(&mut out, &events);
    conversions(&mut out, &events);
    sysdig(&mut out, &events);
    let folder = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    fs::write(folder.join("tables.rs"), out).expect("cannot write the generated tables");
}
