//! Priorities of rules: eight words from Emergency down to Debug.
//!
//! The order of the variants is the order of strength, so `a <= b` means "at least as strong as b".

use std::fmt;

/// How urgent an alert of a rule is. Smaller is stronger.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[allow(missing_docs)] // the words are the documentation
pub enum Priority {
    Emergency,
    Alert,
    Critical,
    Error,
    Warning,
    Notice,
    Informational,
    Debug,
}

impl Priority {
    /// All of them, strongest first.
    pub const ALL: [Self; 8] = [
        Self::Emergency,
        Self::Alert,
        Self::Critical,
        Self::Error,
        Self::Warning,
        Self::Notice,
        Self::Informational,
        Self::Debug,
    ];

    /// The name in alerts and summaries.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Emergency => "Emergency",
            Self::Alert => "Alert",
            Self::Critical => "Critical",
            Self::Error => "Error",
            Self::Warning => "Warning",
            Self::Notice => "Notice",
            Self::Informational => "Informational",
            Self::Debug => "Debug",
        }
    }

    /// Reads a priority: any case, `info` for Informational, nothing else (no abbreviations, no blanks).
    pub fn parse(text: &str) -> Option<Self> {
        if text.eq_ignore_ascii_case("info") {
            return Some(Self::Informational);
        }
        Self::ALL.into_iter().find(|priority| priority.name().eq_ignore_ascii_case(text))
    }
}

impl fmt::Display for Priority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_any_case_and_nothing_else() {
        assert_eq!(Priority::parse("dEbUg"), Some(Priority::Debug));
        assert_eq!(Priority::parse("INFO"), Some(Priority::Informational));
        for bad in ["WARN", "err", "crit", "3", " warning", "warning ", "", "none"] {
            assert_eq!(Priority::parse(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn stronger_sorts_first() {
        assert!(Priority::Emergency < Priority::Debug);
        assert!(Priority::ALL.is_sorted());
    }
}
