// Tests may stop at the first surprise.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::compile;

fn matches(pattern: &str, text: &str) -> bool {
    compile(pattern.as_bytes()).unwrap_or_else(|e| panic!("{pattern}: {e}")).is_match(text)
}

#[test]
fn the_whole_text_must_match() {
    assert!(matches("n[a-z]{4}", "nginx"));
    assert!(matches("^nginx$", "nginx"));
    assert!(!matches("gin", "nginx"));
    assert!(!matches("a|b", "ab"));
    assert!(matches("", ""));
}

#[test]
fn posix_meanings() {
    assert!(!matches("x.y", "x\ny"));
    assert!(matches("x[^a]y", "x\ny"));
    assert!(matches("x$[^a]^y", "x\ny"), "anchors work at line breaks");
    assert!(matches("a*?b", "aab"), "a second repetition repeats the first");
    assert!(matches("(a**)+b", "aab"));
    assert!(matches("a{,2}", "a{,2}"), "a brace without a number is itself");
    assert!(matches("a{x", "a{x"));
    assert!(matches("^*a", "a"));
    assert!(matches("[[:alpha:]][[:^digit:]]", "ab"));
    assert!(matches("[]a]+", "]a"));
    assert!(matches("[a\\-z]", "-"));
    assert!(matches("[&&~~]+", "&~"), "no set operations");
    assert!(matches("\\101\\x42\\x{43}\\_\\.", "ABC_."));
    assert!(matches("a||b", ""));
    assert!(matches("caf.", "café"));
    assert!(!matches("[[:alpha:]]+", "é"));
}

#[test]
fn perl_is_refused() {
    for pattern in [
        "\\d",
        "\\w",
        "\\s",
        "\\bx",
        "\\B",
        "\\A",
        "\\z",
        "\\Q",
        "\\pL",
        "(?i)a",
        "(?:a)",
        "(?P<n>a)",
        "(a)\\1",
        "*a",
        "+a",
        "?",
        "a|*",
        "(*a)",
        "(a",
        "a)",
        ")",
        "[",
        "[a",
        "[]",
        "[z-a]",
        "[[:nosuch:]]",
        "[a-c-e]",
        "a{1001}",
        "a{3,2}",
        "(a{100}){11}",
        "\\",
        "\\x1",
        "\\xzz",
        "\\x{}",
        "\\q",
        "\\8",
        "{2}",
    ] {
        assert!(compile(pattern.as_bytes()).is_err(), "{pattern}");
    }
    assert!(compile(b"\xff").is_err());
    assert!(compile(b"(((((a{10}){10}){10}){10}){10})").is_err());
    assert!(compile(b"(a{100}){10}").is_ok());
}

proptest! {
    #[test]
    fn nothing_makes_it_panic(pattern in "[a-c*+?{}(),|.^$\\[\\]\\\\0-9x:-]{0,40}") {
        let _ = compile(pattern.as_bytes()).map(|regex| regex.is_match("abc"));
    }
}
