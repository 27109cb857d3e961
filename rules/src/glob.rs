//! Shell patterns, as `fnmatch` in the C locale reads them: `*` and `?` match any byte, also `/` and a leading dot;
//! `[...]` is a set with ranges and classes, `[!...]` and `[^...]` its complement; a backslash takes the next byte as
//! it is.

/// A compiled pattern.
#[derive(Clone, Debug)]
pub(crate) struct Glob {
    tokens: Vec<Token>,
    /// Both sides are compared in lower case (ASCII).
    fold: bool,
}

#[derive(Clone, Debug)]
enum Token {
    Byte(u8),
    Any,
    Many,
    Set(Box<[bool; 256]>),
    /// A backslash at the end of the pattern: nothing matches it.
    Nothing,
}

impl Glob {
    /// Compiles a pattern; every text is one. `fold` ignores the case of ASCII letters.
    pub(crate) fn new(pattern: &[u8], fold: bool) -> Self {
        let mut tokens = Vec::with_capacity(pattern.len());
        let mut rest = pattern;
        while let Some((&byte, tail)) = rest.split_first() {
            rest = tail;
            tokens.push(match byte {
                b'*' => {
                    if matches!(tokens.last(), Some(Token::Many)) {
                        continue;
                    }
                    Token::Many
                }
                b'?' => Token::Any,
                b'\\' => match tail.split_first() {
                    Some((&escaped, tail)) => {
                        rest = tail;
                        Token::Byte(if fold { escaped.to_ascii_lowercase() } else { escaped })
                    }
                    None => Token::Nothing,
                },
                b'[' => match set(tail, fold) {
                    Some((set, tail)) => {
                        rest = tail;
                        Token::Set(set)
                    }
                    // Never closed: the bracket stands for itself.
                    None => Token::Byte(b'['),
                },
                other => Token::Byte(if fold { other.to_ascii_lowercase() } else { other }),
            });
        }
        Self { tokens, fold }
    }

    /// Whether the whole text matches. Linear in pattern times text: only the last `*` is ever gone back to.
    pub(crate) fn matches(&self, text: &[u8]) -> bool {
        let (mut token, mut at) = (0, 0);
        let mut retry: Option<(usize, usize)> = None;
        loop {
            let step = match self.tokens.get(token) {
                Some(Token::Many) => {
                    retry = Some((token, at));
                    token += 1;
                    continue;
                }
                Some(one) => at < text.len() && self.one(one, text[at]),
                None if at == text.len() => return true,
                None => false,
            };
            if step {
                token += 1;
                at += 1;
                continue;
            }
            match retry {
                Some((star, from)) if from < text.len() => {
                    retry = Some((star, from + 1));
                    token = star + 1;
                    at = from + 1;
                }
                _ => return false,
            }
        }
    }

    fn one(&self, token: &Token, byte: u8) -> bool {
        let byte = if self.fold { byte.to_ascii_lowercase() } else { byte };
        match token {
            Token::Byte(wanted) => *wanted == byte,
            Token::Any => true,
            Token::Set(set) => set[byte as usize],
            Token::Many | Token::Nothing => false,
        }
    }
}

/// The set after a `[`, and what follows its `]`.
fn set(pattern: &[u8], fold: bool) -> Option<(Box<[bool; 256]>, &[u8])> {
    let (negated, mut rest) = match pattern.first() {
        Some(b'!' | b'^') => (true, &pattern[1..]),
        _ => (false, pattern),
    };
    let mut members = Box::new([false; 256]);
    let mut add = |byte: u8| {
        members[byte as usize] = true;
        if fold {
            members[byte.to_ascii_lowercase() as usize] = true;
        }
    };
    let mut first = true;
    loop {
        if !first && rest.first() == Some(&b']') {
            rest = &rest[1..];
            break;
        }
        first = false;
        if let Some((class, tail)) = class(rest) {
            (0..=255).filter(|byte| class(*byte)).for_each(&mut add);
            rest = tail;
            continue;
        }
        let (low, tail) = member(rest)?;
        rest = tail;
        if rest.first() == Some(&b'-') && rest.get(1).is_some_and(|b| *b != b']') {
            let (high, tail) = member(&rest[1..])?;
            rest = tail;
            (low..=high).for_each(&mut add);
        } else {
            add(low);
        }
    }
    if negated {
        members.iter_mut().for_each(|member| *member = !*member);
    }
    Some((members, rest))
}

/// One byte of a set, without its backslash.
fn member(rest: &[u8]) -> Option<(u8, &[u8])> {
    match rest {
        [b'\\', byte, tail @ ..] => Some((*byte, tail)),
        [byte, tail @ ..] => Some((*byte, tail)),
        [] => None,
    }
}

type Class = fn(u8) -> bool;

/// `[:name:]` inside a set.
fn class(rest: &[u8]) -> Option<(Class, &[u8])> {
    let body = rest.strip_prefix(b"[:")?;
    let len = body.windows(2).position(|pair| pair == b":]")?;
    let class: Class = match &body[..len] {
        b"alnum" => |b| b.is_ascii_alphanumeric(),
        b"alpha" => |b| b.is_ascii_alphabetic(),
        b"blank" => |b| matches!(b, b' ' | b'\t'),
        b"cntrl" => |b| b.is_ascii_control(),
        b"digit" => |b| b.is_ascii_digit(),
        b"graph" => |b| b.is_ascii_graphic(),
        b"lower" => |b| b.is_ascii_lowercase(),
        b"print" => |b| matches!(b, b' '..=b'~'),
        b"punct" => |b| b.is_ascii_punctuation(),
        b"space" => |b| matches!(b, b' ' | b'\t'..=b'\r'),
        b"upper" => |b| b.is_ascii_uppercase(),
        b"xdigit" => |b| b.is_ascii_hexdigit(),
        _ => return None,
    };
    Some((class, &body[len + 2..]))
}

#[cfg(test)]
mod tests {
    use super::Glob;

    fn matches(pattern: &str, text: &str) -> bool {
        Glob::new(pattern.as_bytes(), false).matches(text.as_bytes())
    }

    #[test]
    fn patterns() {
        for (pattern, yes, no) in [
            ("*", &["", "a", ".a/b"][..], &[][..]),
            ("a*b*c", &["abc", "aXbYc", "abbcc"], &["ab", "abcd"]),
            ("?", &["a", "/"], &["", "ab"]),
            ("[a-c]x", &["ax", "cx"], &["dx", "x"]),
            ("[!a-c]x", &["dx"], &["ax"]),
            ("[^a]", &["b"], &["a"]),
            ("[]a]", &["]", "a"], &["b"]),
            ("[a-]", &["a", "-"], &["b"]),
            ("[\\]x]", &["]", "x"], &["\\"]),
            ("[[:digit:]-]", &["4", "-"], &["a"]),
            ("[abc", &["[abc"], &["a"]),
            ("[z-a]", &[], &["z", "a", "m"]),
            ("a\\*", &["a*"], &["ab"]),
            ("a\\", &[], &["a", "a\\"]),
            ("**a", &["a", "ba"], &["b"]),
        ] {
            for text in yes {
                assert!(matches(pattern, text), "{pattern} should match {text}");
            }
            for text in no {
                assert!(!matches(pattern, text), "{pattern} should not match {text}");
            }
        }
    }

    #[test]
    fn case_folds_for_ascii_only() {
        assert!(Glob::new(b"ABC[X-Z]\\Q", true).matches(b"abcyq"));
        assert!(!Glob::new("É".as_bytes(), true).matches("é".as_bytes()));
    }

    #[test]
    fn many_stars_stay_cheap() {
        let pattern = "a*".repeat(100) + "b";
        assert!(!matches(&pattern, &"a".repeat(10_000)));
    }
}
