//! Where the parts of a resolved condition were written, and through which macros, lists and exceptions they came.
//!
//! A resolved condition is one tree made of many texts. Diagnostics point into them; here the same knowledge is data,
//! for whoever shows a condition as people wrote it: explanations of verdicts, coverage, mutants.

use crate::ast::Span;
use crate::resolver::Places;
use crate::ruleset::RuleSet;
use crate::source::{FileSpan, Sources};
use crate::text::{Origin, Via};

/// Lists of lists that one way is followed through.
const MAX_LISTS: usize = 8;

/// What a part came through.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Way {
    /// A macro of this name was used.
    Macro,
    /// A list of this name was put in.
    List,
    /// An exception of this name was put around the condition.
    Exception,
}

impl Way {
    /// `macro`, `list` or `exception`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Macro => "macro",
            Self::List => "list",
            Self::Exception => "exception",
        }
    }
}

/// One step of the way from a rule to a part of its condition.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Through {
    /// What it is.
    pub way: Way,
    /// Its name.
    pub name: String,
    /// Where its name is used; of an exception where it is named. `None` where nothing is known of it.
    pub used: Option<FileSpan>,
}

/// Where a part of a condition was written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Written {
    /// The bytes.
    pub span: FileSpan,
    /// The way into the text it is part of, from the outside to the inside; empty when it stands there itself.
    pub through: Vec<Through>,
}

/// What makes two parts the same piece of a rule file, whatever conditions they came into: the scalar they begin in and
/// the byte of its value. Cheap, unlike [`RuleSet::written`], which walks the scalar.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Piece {
    scalar: FileSpan,
    offset: i64,
}

impl RuleSet {
    /// Where a part of a condition was written, with the exception and the lists it came through. The macros on the way
    /// are known to who walks the tree: see [`RuleSet::macro_uses`]. `sources` are those of
    /// the load.
    pub fn written(&self, part: Span, sources: &Sources) -> Option<Written> {
        let place = self.places().place(part, sources)?;
        Some(Written { span: place.span, through: lists(&place.via, sources) })
    }

    /// Where the macro in whose text `inner` stands is used in the text of `outer`, by its own name or by that of a
    /// macro that is nothing but another name for it: the name that stands there, and its place, in the order of the
    /// text.
    pub fn macro_uses(&self, outer: Span, inner: Span) -> Vec<(String, Span)> {
        let uses = self.places().macro_uses(outer.text, inner.text);
        uses.into_iter().map(|(name, place)| (name.to_owned(), place)).collect()
    }

    /// The piece of a rule file that a part begins in.
    pub fn piece(&self, part: Span) -> Option<Piece> {
        let origin = self.places().origin(part)?;
        Some(Piece { scalar: origin.scalar.span, offset: origin.offset })
    }

    /// The exception that a part begins in, lists on the way or not.
    pub fn exception_around(&self, part: Span) -> Option<String> {
        let mut via = self.places().origin(part)?.via;
        for _ in 0..MAX_LISTS {
            match via {
                Via::Own => return None,
                Via::Exception(name) => return Some(name.to_string()),
                Via::List(list) => via = list.place.via.clone(),
            }
        }
        None
    }

    /// The list whose item a part begins in; of lists in lists the innermost.
    pub fn list_around(&self, part: Span) -> Option<String> {
        match self.places().origin(part)?.via {
            Via::List(list) => Some(list.name.to_string()),
            Via::Own | Via::Exception(_) => None,
        }
    }
}

impl Places {
    fn origin(&self, part: Span) -> Option<Origin> {
        self.text(part.text)?.origin(part.start as usize)
    }
}

/// The lists and the exception that a piece of text came through, from the outside to the inside.
fn lists(via: &Via, sources: &Sources) -> Vec<Through> {
    let mut through = Vec::new();
    let mut via = via;
    for _ in 0..MAX_LISTS {
        match via {
            Via::Own => break,
            Via::Exception(name) => {
                through.push(Through { way: Way::Exception, name: name.to_string(), used: None });
                break;
            }
            Via::List(list) => {
                let used = Some(list.place.span(list.name.len(), sources));
                through.push(Through { way: Way::List, name: list.name.to_string(), used });
                via = &list.place.via;
            }
        }
    }
    through.reverse();
    through
}
