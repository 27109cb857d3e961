//! The words that stay: those of every Linux system, those that rules compare with, those of the policy.

use std::collections::{BTreeSet, HashSet};

use casebook_rules::ast::{Call, CallArg, Check, Constant, Expr, Field, Node, Operand, Operator, Right};
use casebook_rules::ruleset::RuleSet;
use foldhash::fast::FixedState;

use super::address::Networks;

/// Words of every system, one or more a line; `#` begins a comment, a line with `.` in front has endings of file names.
pub(super) const BUILT_IN: &str = include_str!("../../tables/redact-words.txt");

/// What rules look for inside of words is respected from this length on: shorter pieces are everywhere. At an end of
/// words (`/dev/vd`) shorter ones say little.
const MIN_INSIDE: usize = 3;
const MIN_AT_END: usize = 2;
/// Bytes of a command name.
const COMM: usize = 15;
/// Depth of conditions; the compiler refuses deeper ones.
const MAX_DEPTH: usize = casebook_rules::ast::MAX_TREE_DEPTH;

/// Words that stay, and words that never do.
#[derive(Clone, Debug, Default)]
pub struct Vocabulary {
    words: HashSet<Box<[u8]>, FixedState>,
    endings: HashSet<Box<[u8]>, FixedState>,
    /// In lower case, longest first.
    fragments: Vec<(Box<[u8]>, Place)>,
    /// Short options that rules look for at the start of words: `-e`.
    openers: BTreeSet<Vec<u8>>,
    forced: HashSet<Box<[u8]>, FixedState>,
    paths: BTreeSet<Vec<u8>>,
}

/// Where in a word a piece stays.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Place {
    Start,
    End,
    Anywhere,
}

impl Place {
    /// By which sides of the piece other characters may stand.
    fn of(open_start: bool, open_end: bool) -> Option<Self> {
        match (open_start, open_end) {
            (true, true) => Some(Self::Anywhere),
            (false, true) => Some(Self::Start),
            (true, false) => Some(Self::End),
            (false, false) => None,
        }
    }
}

fn is_word_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"_-.+".contains(&byte) || byte >= 0x80
}

fn trimmed(word: &[u8]) -> &[u8] {
    let affix = |byte: &u8| b"_-.+".contains(byte);
    let start = word.iter().position(|byte| !affix(byte)).unwrap_or(word.len());
    let end = word.iter().rposition(|byte| !affix(byte)).map_or(start, |last| last + 1);
    &word[start..end]
}

impl Vocabulary {
    /// The words of every system.
    pub fn built_in() -> Self {
        let mut vocabulary = Self::default();
        for line in BUILT_IN.lines().filter(|line| !line.starts_with('#')) {
            for word in line.split_whitespace() {
                match word.strip_prefix('.') {
                    Some(ending) => {
                        vocabulary.endings.insert(Box::from(ending.as_bytes()));
                    }
                    None => vocabulary.add_word(word.as_bytes()),
                }
            }
        }
        vocabulary
    }

    /// A word that stays, and the command name that the kernel makes of it.
    pub(super) fn add_word(&mut self, word: &[u8]) {
        let word = trimmed(word);
        if word.is_empty() {
            return;
        }
        self.words.insert(Box::from(word));
        if word.len() > COMM {
            self.words.insert(Box::from(trimmed(&word[..COMM])));
        }
    }

    /// The words of a text.
    pub(super) fn add_text(&mut self, text: &[u8]) {
        text.split(|byte| !is_word_byte(*byte)).for_each(|word| self.add_word(word));
    }

    /// A piece of words that stays.
    pub(super) fn add_fragment(&mut self, piece: &[u8], place: Place) {
        let fragment = (Box::from(piece.to_ascii_lowercase()), place);
        let enough = if place == Place::Anywhere { MIN_INSIDE } else { MIN_AT_END };
        if piece.len() < enough || self.fragments.contains(&fragment) {
            return;
        }
        let order = |(a, place_a): &(Box<[u8]>, Place), (b, place_b): &(Box<[u8]>, Place)| {
            b.len().cmp(&a.len()).then_with(|| a.cmp(b)).then_with(|| place_a.cmp(place_b))
        };
        let at = self.fragments.partition_point(|known| order(known, &fragment).is_lt());
        self.fragments.insert(at, fragment);
    }

    /// A word that is masked whatever else says that it stays.
    pub(super) fn force(&mut self, word: &[u8]) {
        self.forced.insert(Box::from(trimmed(word)));
    }

    /// The beginning of paths that stays.
    pub(super) fn add_path(&mut self, path: &[u8]) {
        let path = path.strip_suffix(b"/").unwrap_or(path);
        if path.starts_with(b"/") && path.len() > 1 {
            self.paths.insert(path.to_vec());
        }
    }

    /// Length of the short option that a word begins with.
    pub(super) fn opener(&self, word: &[u8]) -> Option<usize> {
        self.openers.iter().find(|opener| word.starts_with(opener)).map(Vec::len)
    }

    pub(super) fn has(&self, word: &[u8]) -> bool {
        self.words.contains(word)
    }

    pub(super) fn is_forced(&self, word: &[u8]) -> bool {
        self.forced.contains(word)
    }

    pub(super) fn is_ending(&self, ending: &[u8]) -> bool {
        self.endings.contains(ending)
    }

    /// Length of the longest kept beginning of a path.
    pub(super) fn kept_path(&self, path: &[u8]) -> Option<usize> {
        let ends = |kept: &&Vec<u8>| {
            path.starts_with(kept) && path.get(kept.len()).is_none_or(|next| *next == b'/' || !is_word_byte(*next))
        };
        self.paths.iter().filter(ends).map(Vec::len).max()
    }

    /// Where the longest piece that stays is in a word.
    pub(super) fn fragment(&self, word: &[u8]) -> Option<(usize, usize)> {
        if self.fragments.is_empty() || word.len() < MIN_AT_END {
            return None;
        }
        let lower = word.to_ascii_lowercase();
        self.fragments.iter().find_map(|(piece, place)| {
            let start = match place {
                Place::Start => lower.starts_with(piece).then_some(0)?,
                Place::End => lower.ends_with(piece).then(|| lower.len() - piece.len())?,
                Place::Anywhere => memchr::memmem::find(&lower, piece)?,
            };
            Some((start, start + piece.len()))
        })
    }

    /// Takes what the rules compare texts with, and the networks that they ask about.
    pub fn add_rules(&mut self, rules: &RuleSet, networks: &mut Networks) {
        for rule in rules.rules() {
            self.expr(&rule.expr, networks, 0);
        }
    }

    fn expr(&mut self, expr: &Expr, networks: &mut Networks, depth: usize) {
        if depth > MAX_DEPTH {
            return;
        }
        match &expr.node {
            Node::And(parts) | Node::Or(parts) => parts.iter().for_each(|part| self.expr(part, networks, depth + 1)),
            Node::Not(inner) => self.expr(inner, networks, depth + 1),
            Node::Check(check) => self.check(check, networks),
            Node::Identifier(_) => {}
        }
    }

    fn check(&mut self, check: &Check, networks: &mut Networks) {
        if !self.operand(&check.left) {
            return;
        }
        let constants = match &check.right {
            Right::Constant(constant) => std::slice::from_ref(constant),
            Right::List(_, constants) => constants,
            Right::Call(call) => {
                self.call(call);
                return;
            }
            Right::Nothing | Right::Field(..) => return,
        };
        for Constant { bytes, .. } in constants {
            let is_net = std::str::from_utf8(bytes).is_ok_and(|text| networks.respect(text));
            if !is_net {
                self.constant(bytes, check.op);
            }
        }
    }

    /// Whether texts of captures stand on this side.
    fn operand(&mut self, operand: &Operand) -> bool {
        match operand {
            Operand::Field(field) => self.field(field),
            Operand::Call(call) => self.call(call),
        }
    }

    fn field(&mut self, field: &Field) -> bool {
        if let Some(arg) = &field.arg {
            self.constant(&arg.bytes, Operator::Equal);
        }
        let name = field.name.as_str();
        !name.starts_with("evt.")
            || ["evt.arg", "evt.rawarg", "evt.buffer", "evt.abspath", "evt.raw", "evt.info"]
                .iter()
                .any(|of_texts| name.starts_with(of_texts))
    }

    fn call(&mut self, call: &Call) -> bool {
        let mut of_texts = false;
        let mut stack: Vec<&CallArg> = call.args.iter().collect();
        while let Some(arg) = stack.pop() {
            match arg {
                CallArg::Field(field) => of_texts |= self.field(field),
                CallArg::Call(inner) => stack.extend(&inner.args),
                CallArg::Constant(constant) => self.constant(&constant.bytes, Operator::Equal),
                CallArg::List(_, members) => stack.extend(members),
            }
        }
        of_texts || call.args.iter().any(|arg| matches!(arg, CallArg::Call(_)))
    }

    /// The words of a constant. What can stand in the middle of a word stays there, too.
    fn constant(&mut self, bytes: &[u8], op: Operator) {
        let (open_start, open_end) = match op {
            Operator::Contains | Operator::IContains => (true, true),
            Operator::StartsWith => (false, true),
            Operator::EndsWith => (true, false),
            Operator::Regex => return self.pattern(bytes, true),
            Operator::Glob | Operator::IGlob => return self.pattern(bytes, false),
            _ => (false, false),
        };
        let mut start = 0;
        for piece in bytes.split(|byte| !is_word_byte(*byte)) {
            let end = start + piece.len();
            let word = trimmed(piece);
            if !word.is_empty() {
                self.add_word(word);
                if let Some(place) = Place::of(start == 0 && open_start, end == bytes.len() && open_end) {
                    self.add_fragment(word, place);
                    let is_option = piece.len() == 2 && piece.starts_with(b"-") && piece[1].is_ascii_alphabetic();
                    if is_option && place == Place::Start {
                        self.openers.insert(piece.to_vec());
                    }
                }
            }
            start = end + 1;
        }
    }

    /// The words of a glob or a regular expression: between its special characters, whatever these mean.
    fn pattern(&mut self, bytes: &[u8], is_regex: bool) {
        let special = |byte: u8| b"*?[]".contains(&byte) || (is_regex && b"\\^$()|{}+.".contains(&byte));
        let mut start = 0;
        while start < bytes.len() {
            let rest = &bytes[start..];
            let len = rest.iter().position(|byte| !is_word_byte(*byte) || special(*byte)).unwrap_or(rest.len());
            let open = |at: Option<&u8>| at.is_some_and(|byte| special(*byte)) || (is_regex && at.is_none());
            let before = start.checked_sub(1).and_then(|at| bytes.get(at));
            let word = trimmed(&rest[..len]);
            if !word.is_empty() {
                self.add_word(word);
                if let Some(place) = Place::of(open(before), open(bytes.get(start + len))) {
                    self.add_fragment(word, place);
                }
            }
            start += len + 1;
        }
    }
}
