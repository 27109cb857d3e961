//! What the compiler must know about fields and event types; implemented by `casebook-replay`'s catalogue and by
//! the conformance harness.

/// Type of a field's value; decides operators and constants (`reference/rule-language.md` section 10).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[allow(missing_docs)] // one name per row of the reference's table
pub enum FieldType {
    Text,
    Bytes,
    Int8,
    Int16,
    Int32,
    Int64,
    Uint8,
    Uint16,
    Uint32,
    Uint64,
    Double,
    Reltime,
    Abstime,
    Bool,
    Port,
    IpAddr,
    IpNet,
    Flags8,
    Flags16,
    Flags32,
    Mode,
    Fd,
    Pid,
    Errno,
    Uid,
    Gid,
    SyscallId,
    Sigtype,
    L4Proto,
    SockFamily,
    /// `evt.rawarg.X`: the type of the parameter `X`, fixed when the field is bound.
    Dyn,
}

/// Whether a field takes an argument.
#[allow(clippy::struct_excessive_bools)] // columns of a table, each for itself
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ArgSpec {
    /// Without it the field is an error.
    pub required: bool,
    /// `[digits]` is accepted.
    pub index: bool,
    /// `[any text]` is accepted.
    pub key: bool,
    /// `.NAME` is accepted (`evt.arg.flags`).
    pub dotted: bool,
}

impl ArgSpec {
    /// No argument.
    pub const NONE: Self = Self { required: false, index: false, key: false, dotted: false };
}

/// How many values a comparison looks at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Multiplicity {
    /// One value.
    One,
    /// A list-typed field.
    List,
    /// Ancestors without index: true when the comparison holds for some of them.
    Ancestors,
    /// `fd.ip`, `fd.port`, `fd.net`, `fd.proto`: both ends of a connection.
    TwoEnds,
}

/// How a value is printed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Display {
    /// By its type.
    Plain,
    /// Upper-case hexadecimal without prefix.
    Hex,
    /// Padded with zeros to nine digits.
    Pad9,
    /// Octal without prefix (`evt.rawarg.mode`).
    Octal,
}

/// One row of the field catalogue as the rule language sees it.
#[allow(clippy::struct_excessive_bools)] // columns of a table, each for itself
#[derive(Clone, Debug)]
pub struct FieldDef {
    /// Name without argument, for example `proc.aname`.
    pub name: &'static str,
    /// Type of one value.
    pub ty: FieldType,
    /// Argument forms.
    pub arg: ArgSpec,
    /// Values per event when no index is given. With an index, `Ancestors` fields have one value.
    pub multiplicity: Multiplicity,
    /// Printing.
    pub display: Display,
    /// No value of its own: comparisons only.
    pub filter_only: bool,
    /// Not usable on the right side.
    pub no_rhs: bool,
    /// Not usable under a transformer.
    pub no_transformer: bool,
    /// Mentioning it gives `LOAD_DEPRECATED_ITEM` (`evt.dir`, `evt.latency` family).
    pub deprecated: bool,
    /// Fields of a plugin refuse leading zeros in an index and report a surplus argument as an error of its own.
    pub plugin: bool,
}

/// A field with its argument, ready to be extracted: what compiled conditions and outputs hold.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct FieldRef {
    /// The schema's number of the field.
    pub id: u16,
    /// Type of one value; never [`FieldType::Dyn`] after binding.
    pub ty: FieldType,
    /// The argument.
    pub arg: FieldArg,
}

/// A field's argument after binding.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum FieldArg {
    /// None given.
    None,
    /// `[n]`.
    Index(u64),
    /// `[key]` or `.NAME`, as written, with a number of the schema's own for fast lookup (0 when it has none).
    Key(Box<str>, u32),
}

/// The argument as parsed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ArgText<'t> {
    /// None given.
    None,
    /// Between brackets.
    Bracketed(&'t str),
    /// The name parts after a field that takes dotted arguments.
    Dotted(&'t str),
}

/// Why a field cannot be used with this argument.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum BindError {
    /// No such field for this source.
    #[error("unknown field")]
    Unknown,
    /// Argument given to a field without, or missing, or of the wrong form.
    #[error("{0}")]
    Argument(String),
}

/// Fields and event types known for rule sources.
pub trait Schema {
    /// The sources rules may name (`syscall`, `k8s_audit`, …).
    fn sources(&self) -> Vec<&str>;

    /// Whether a source has fields of its own that are not known here. A rule for it that names an unknown field is
    /// left out with a warning, as if it said `skip-if-unknown-filter: true`.
    fn is_partial(&self, source: &str) -> bool {
        let _ = source;
        false
    }

    /// All fields of a source with their schema numbers: for lookup, "did you mean" and longest-name matching.
    fn fields(&self, source: &str) -> Box<dyn Iterator<Item = (u16, &FieldDef)> + '_>;

    /// The field of exactly this name (no argument), if the source has it.
    fn field(&self, source: &str, name: &str) -> Option<(u16, &FieldDef)>;

    /// Binds an argument. Dotted names are split by the caller: longest known field name first.
    fn bind(&self, source: &str, id: u16, arg: ArgText<'_>) -> Result<FieldRef, BindError>;

    /// How a bound field prints its numbers: as its row says, but for fields whose type binding decides.
    fn display(&self, field: &FieldRef) -> Display;

    /// Number of event types of the syscall source; types are `0..count`.
    fn event_type_count(&self) -> usize;

    /// Event types whose `evt.type` is `name`: both halves, all versions, and the generic event when `name` is a
    /// syscall without a type of its own. Empty when no event can have that name.
    fn event_types_named(&self, name: &str) -> Vec<u16>;

    /// Same for `syscall.type`: only events that are syscalls.
    fn syscall_types_named(&self, name: &str) -> Vec<u16>;

    /// Asynchronous and meta event types, which every syscall rule sees.
    fn async_event_types(&self) -> Vec<u16>;

    /// Event types that a rule without any event type term is counted over for `LOAD_NO_EVTTYPE`.
    fn all_event_types(&self) -> Vec<u16>;
}
