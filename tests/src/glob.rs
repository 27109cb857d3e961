//! Shell patterns for names and texts of goldens. The rule engine has globs of its own, with Falco's semantics; these
//! are for people who name captures, fields and differences.

/// A pattern for a whole text: `*` any run of characters, `?` one character, `\` takes the next literally.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Glob {
    parts: Vec<Part>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Part {
    Char(char),
    One,
    Run,
}

impl Glob {
    /// Reads a pattern; every text is one.
    pub fn new(pattern: &str) -> Self {
        let mut parts = Vec::new();
        let mut chars = pattern.chars();
        while let Some(char) = chars.next() {
            parts.push(match char {
                '*' => Part::Run,
                '?' => Part::One,
                '\\' => Part::Char(chars.next().unwrap_or('\\')),
                char => Part::Char(char),
            });
        }
        Self { parts }
    }

    /// Whether the whole text matches.
    pub fn matches(&self, text: &str) -> bool {
        // Backtracks to the last `*` only, which is enough for globs and linear in practice.
        let (mut part, mut rest) = (0, text);
        let mut retry: Option<(usize, &str)> = None;
        loop {
            let mut chars = rest.chars();
            match (self.parts.get(part), chars.next()) {
                (Some(Part::Run), _) => {
                    part += 1;
                    retry = Some((part, rest));
                }
                (Some(Part::One), Some(_)) => (part, rest) = (part + 1, chars.as_str()),
                (Some(Part::Char(want)), Some(have)) if *want == have => (part, rest) = (part + 1, chars.as_str()),
                (None, None) => return true,
                _ => {
                    let Some((after, from)) = retry else { return false };
                    let mut chars = from.chars();
                    if chars.next().is_none() {
                        return false;
                    }
                    (part, rest) = (after, chars.as_str());
                    retry = Some((after, rest));
                }
            }
        }
    }
}

/// Whether one of the patterns matches.
pub fn any(globs: &[Glob], text: &str) -> bool {
    globs.iter().any(|glob| glob.matches(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs_match_whole_texts() {
        let matches = |pattern: &str, text: &str| Glob::new(pattern).matches(text);
        assert!(matches("a*b?d", "axxbcd"));
        assert!(matches("*", ""));
        assert!(matches("*ab", "aab"));
        assert!(matches("a*a*b", "acaab"));
        assert!(!matches("a*b", "abc"));
        assert!(matches(r"\*", "*"));
        assert!(!matches(r"\*", "x"));
        assert!(!matches("?", ""));
        assert!(matches("<NA>", "<NA>"));
    }
}
