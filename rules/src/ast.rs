//! The tree of a condition: what the parser makes, the resolver rewrites (macros become subtrees) and the compiler
//! reads.
//!
//! Nothing is looked up here: names are names. Every node knows the bytes it came from, and which text these bytes
//! belong to, so that a message can point into a macro, a list or an exception as well as into the rule.

use std::fmt;

mod walk;

/// Bytes of a condition text.
///
/// `text` says which text: the parser gives 0, and who joins trees of several texts numbers them with
/// [`Expr::set_text`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub struct Span {
    /// Number of the text, given by the caller.
    pub text: u32,
    /// First byte.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
}

impl Span {
    /// Bytes `start..end` of text 0.
    pub fn new(start: usize, end: usize) -> Self {
        Self { text: 0, start: start as u32, end: end as u32 }
    }

    /// The part of `text` meant, if the span fits it.
    pub fn slice(self, text: &str) -> Option<&str> {
        text.get(self.start as usize..self.end as usize)
    }
}

/// A condition or a part of one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Expr {
    /// The bytes of the whole part; of a group without its parentheses.
    pub span: Span,
    /// What it is.
    pub node: Node,
}

/// Kinds of conditions.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Node {
    /// Two or more operands on one level, as written.
    And(Vec<Expr>),
    /// Two or more operands on one level, as written.
    Or(Vec<Expr>),
    /// Negation; pairs of `not` written in a row are gone already.
    Not(Box<Expr>),
    /// A comparison.
    Check(Box<Check>),
    /// A word that is no field: the name of a macro.
    Identifier(String),
}

/// A comparison: `left op [modifier] right`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Check {
    /// A field or a call on fields.
    pub left: Operand,
    /// The operator.
    pub op: Operator,
    /// `oneof`, `anyof` or `allof` after it.
    pub modifier: Option<Modifier>,
    /// The bytes of operator and modifier.
    pub op_span: Span,
    /// The right side; [`Right::Nothing`] after `exists` only.
    pub right: Right,
}

/// A side of a comparison that gives values.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Operand {
    /// A field.
    Field(Field),
    /// A transformer call.
    Call(Call),
}

impl Operand {
    /// Where it stands.
    pub fn span(&self) -> Span {
        match self {
            Self::Field(field) => field.span,
            Self::Call(call) => call.span,
        }
    }
}

/// What a field is compared with.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Right {
    /// After `exists`.
    Nothing,
    /// One constant; also the bare word after `in` or a modifier.
    Constant(Constant),
    /// A list in parentheses.
    List(Span, Vec<Constant>),
    /// `val(field)`; the span is that of the whole call.
    Field(Span, Field),
    /// A transformer call.
    Call(Call),
}

/// A field name with its argument, as written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Field {
    /// Name and argument.
    pub span: Span,
    /// The dotted name without brackets; of `evt.arg.flags` all of it.
    pub name: String,
    /// What stands between the brackets, without quotes and escapes.
    pub arg: Option<Constant>,
}

/// A transformer call.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Call {
    /// The whole call with its option.
    pub span: Span,
    /// Which one.
    pub function: Function,
    /// Arguments, at least one.
    pub args: Vec<CallArg>,
    /// What stands in brackets after the call (`getopt(...)[c]`).
    pub option: Option<Constant>,
}

/// An argument of a call.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum CallArg {
    /// A field.
    Field(Field),
    /// A call inside the call.
    Call(Call),
    /// A quoted text or a number, which is a text too.
    Constant(Constant),
    /// `( ... )`; its members are no lists.
    List(Span, Vec<CallArg>),
}

/// A literal. Constants are bytes: `\xHH` can write what is not UTF-8.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Constant {
    /// The bytes with quotes.
    pub span: Span,
    /// The value.
    pub bytes: Vec<u8>,
    /// Written in quotes.
    pub quoted: bool,
}

impl Constant {
    /// The value for messages and for field arguments.
    pub fn text(&self) -> std::borrow::Cow<'_, str> {
        String::from_utf8_lossy(&self.bytes)
    }
}

/// Declares an enum of fixed words with `text`, `from_text` and `ALL`.
macro_rules! words {
    ($(#[$meta:meta])* $name:ident { $($variant:ident = $text:literal,)* }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        #[allow(missing_docs)] // the words are the documentation
        pub enum $name { $($variant,)* }

        impl $name {
            /// All of them, in the order in which the parser tries them.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The word as written in conditions.
            pub const fn text(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }

            /// The one written so, exactly.
            pub fn from_text(text: &str) -> Option<Self> {
                match text { $($text => Some(Self::$variant),)* _ => None }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.text())
            }
        }
    };
}

words! {
    /// Comparison operators. `=` and `==` mean the same and stay as written.
    Operator {
        Exists = "exists",
        LessEqual = "<=",
        Less = "<",
        GreaterEqual = ">=",
        Greater = ">",
        DoubleEqual = "==",
        Equal = "=",
        NotEqual = "!=",
        Glob = "glob",
        IGlob = "iglob",
        Contains = "contains",
        IContains = "icontains",
        BContains = "bcontains",
        StartsWith = "startswith",
        BStartsWith = "bstartswith",
        EndsWith = "endswith",
        Regex = "regex",
        Intersects = "intersects",
        In = "in",
        PMatch = "pmatch",
    }
}

words! {
    /// Words after a text operator that make it look at a list.
    Modifier {
        OneOf = "oneof",
        AnyOf = "anyof",
        AllOf = "allof",
    }
}

words! {
    /// Transformers.
    Function {
        ToLower = "tolower",
        ToUpper = "toupper",
        Base64 = "b64",
        BaseName = "basename",
        Len = "len",
        Join = "join",
        Concat = "concat",
        GetOpt = "getopt",
    }
}

impl Operator {
    /// Takes numbers only: `<`, `<=`, `>`, `>=`.
    pub fn is_order(self) -> bool {
        matches!(self, Self::LessEqual | Self::Less | Self::GreaterEqual | Self::Greater)
    }

    /// Takes a list: `in`, `intersects`, `pmatch`.
    pub fn takes_list(self) -> bool {
        matches!(self, Self::In | Self::Intersects | Self::PMatch)
    }

    /// Can be followed by a modifier: `=`, `==`, `!=` and the word operators on texts.
    pub fn takes_modifier(self) -> bool {
        !self.is_order() && !self.takes_list() && self != Self::Exists
    }

    /// Needs a blank after it when written in a condition.
    pub(crate) fn needs_blank(self) -> bool {
        self.takes_modifier() && !matches!(self, Self::Equal | Self::DoubleEqual | Self::NotEqual)
    }

    /// An operator as exceptions name it in `comps`: alone, or a text operator, one blank and a modifier.
    pub fn with_modifier(text: &str) -> Option<(Self, Option<Modifier>)> {
        match text.split_once(' ') {
            None => Some((Self::from_text(text)?, None)),
            Some((op, modifier)) => {
                let op = Self::from_text(op)?;
                op.takes_modifier().then_some((op, Some(Modifier::from_text(modifier)?)))
            }
        }
    }
}

/// Nesting beyond which the compiler refuses a tree. The parser stays far below; joined macros may not.
pub const MAX_TREE_DEPTH: usize = 1000;
