// Tests may stop at the first surprise.
#![allow(clippy::unwrap_used)]

use super::{canonical, source};
use crate::condition::parse;

#[test]
fn the_two_forms() {
    for (text, display, parses_back) in [
        ("a.b = \"x(y)\"", "a.b = x(y)", "a.b = \"x(y)\""),
        ("a.b = ''", "a.b = ", "a.b = \"\""),
        ("a.b in (\"\", c)", "a.b in (, c)", "a.b in (\"\", c)"),
        ("not(not(m))", "not not m", "not (not m)"),
        ("a.b = \"x\\x5c\"", "a.b = \"x\\x5c\"", "a.b = \"x\\x5c\""),
        ("a.b = \"\\xff\\x01\"", "a.b = \"\\xff\\x01\"", "a.b = \"\\xff\\x01\""),
        ("concat(\"a\", 1) = x", "concat(a,1) = x", "concat(\"a\",\"1\") = x"),
        ("a.b[\"x]\"] = c", "a.b[x]] = c", "a.b[\"x]\"] = c"),
        ("m and not", "(m and not)", "(m and (not))"),
        ("a.b = \"anyof\" or m", "(a.b = anyof or m)", "(a.b = \"anyof\" or m)"),
    ] {
        let expr = parse(text).unwrap();
        assert_eq!(canonical(&expr), display);
        assert_eq!(source(&expr), parses_back);
        assert_eq!(parse(&source(&expr)).unwrap().without_spans(), expr.without_spans());
    }
}
