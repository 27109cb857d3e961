//! Which rules run: switching by name pattern and tag, in the order given.

use std::collections::BTreeSet;

/// Turns rules on or off.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Switch {
    /// On.
    Enable,
    /// Off.
    Disable,
}

/// The rules that a switch is for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Selector {
    /// Rules whose whole name fits a pattern; see [`name_fits`].
    Name(String),
    /// Rules whose name contains a text (the old `-D`).
    NamePart(String),
    /// Rules with this tag, exactly.
    Tag(String),
}

impl Selector {
    /// Whether a rule with this name and these tags is meant.
    pub fn selects(&self, name: &str, tags: &BTreeSet<String>) -> bool {
        match self {
            Self::Name(pattern) => name_fits(pattern, name),
            Self::NamePart(part) => name.contains(&**part),
            Self::Tag(tag) => tags.contains(tag),
        }
    }
}

/// Falco's old command line switches: `-t` (only these tags), `-T` (not these tags), `-D` (no rule whose name contains
/// this text).
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct OldSwitches {
    /// `-t TAG`: all other rules are off.
    pub only_tags: Vec<String>,
    /// `-T TAG`.
    pub not_tags: Vec<String>,
    /// `-D PART`.
    pub not_names: Vec<String>,
}

impl OldSwitches {
    /// The same as a sequence of switches: `-D`, then `-T`, then `-t`, which begins with turning all rules off.
    pub fn switches(&self) -> Vec<(Switch, Selector)> {
        let off = |selector: Selector| (Switch::Disable, selector);
        let mut out: Vec<_> = self.not_names.iter().map(|part| off(Selector::NamePart(part.clone()))).collect();
        out.extend(self.not_tags.iter().map(|tag| off(Selector::Tag(tag.clone()))));
        if !self.only_tags.is_empty() {
            out.push(off(Selector::NamePart(String::new())));
            out.extend(self.only_tags.iter().map(|tag| (Switch::Enable, Selector::Tag(tag.clone()))));
        }
        out
    }
}

/// Whether a name fits a pattern in which `*` stands for any text.
///
/// Each piece between stars is taken at its first occurrence and never later, so `*ab` does not fit `abab`. That is
/// Falco's rule.
pub fn name_fits(pattern: &str, name: &str) -> bool {
    let mut pieces = pattern.split('*');
    let Some(mut rest) = pieces.next().and_then(|first| name.strip_prefix(first)) else { return false };
    if !pattern.contains('*') {
        return rest.is_empty();
    }
    for piece in pieces {
        match rest.find(piece) {
            Some(at) => rest = &rest[at + piece.len()..],
            None => return false,
        }
    }
    rest.is_empty() || pattern.ends_with('*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_take_the_first_occurrence() {
        for (pattern, name) in
            [("*", ""), ("a*b*c", "aXbYc"), ("*a*a", "aa"), ("", ""), ("a*", "a"), ("Read*", "Read x")]
        {
            assert!(name_fits(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in [("*ab", "abab"), ("*a", "aa"), ("a?c", "abc"), ("abc", "ABC"), ("a", "ab"), ("", "a")] {
            assert!(!name_fits(pattern, name), "{pattern} {name}");
        }
    }

    #[test]
    fn old_switches_in_their_order() {
        let old = OldSwitches { only_tags: vec!["t".into()], not_tags: vec!["u".into()], not_names: vec!["n".into()] };
        let switches = old.switches();
        assert_eq!(switches.len(), 4);
        assert_eq!(switches[2], (Switch::Disable, Selector::NamePart(String::new())));
        assert_eq!(switches[3], (Switch::Enable, Selector::Tag("t".into())));
    }
}
