//! Warnings about conditions that compile, with Falco's own heuristics: what they flag decides whether a load has
//! warnings, so they are kept as they are.

use crate::ast::{Call, Check, Constant, Function, Operand, Operator};
use crate::bind;
use crate::compile::{self, DEPRECATED_FIELDS, Hint, HintKind};
use crate::condition;
use crate::schema::Schema;
use crate::typing;

/// Hints about a constant.
pub(crate) fn constant(schema: &dyn Schema, source: &str, op: Operator, constant: &Constant) -> Vec<Hint> {
    let mut hints = Vec::new();
    let mut add = |kind, message: String| hints.push(Hint { span: constant.span, kind, message });
    let shown = constant.text();
    if op == Operator::Regex && needless_regex(&constant.bytes) {
        add(
            HintKind::NeedlessRegex,
            format!("`{shown}` needs no `regex`; `=`, `contains`, `startswith` or `endswith` are faster"),
        );
    }
    // White space is left out of the comparison wherever it stands.
    let stripped: String = shown.chars().filter(|c| !(c.is_ascii_whitespace() || *c == '\x0b')).collect();
    // Names of fields have a dot and begin with no slash: most constants need not be parsed.
    let may_be_field = stripped.contains('.') && !stripped.starts_with('/');
    match may_be_field.then(|| condition::parse_operand(&stripped)) {
        Some(Ok((Operand::Field(field), len))) if len == stripped.len() && bind::is_known(schema, source, &field) => {
            add(HintKind::FieldAsConstant, format!("`{shown}` is a text here; a field is written `val({stripped})`"));
        }
        _ if spells_call(&stripped) => {
            add(HintKind::CallAsConstant, format!("`{shown}` is a text here; a call stands without quotes"));
        }
        _ => {}
    }
    hints
}

/// Hints about the names in a check, which need no schema: deprecated fields and unsafe comparisons with `<NA>`.
pub(crate) fn names(check: &Check) -> Vec<Hint> {
    let mut found = Vec::new();
    typing::for_each_field(check, &mut |field| {
        if DEPRECATED_FIELDS.contains(&field.name.as_str()) {
            let message = format!("the field `{}` is deprecated", field.name);
            found.push(Hint { span: field.span, kind: HintKind::DeprecatedField, message });
        }
    });
    if unsafe_na(check) {
        for constant in compile::constants(check).iter().filter(|constant| constant.bytes == b"<NA>") {
            found.push(Hint {
                span: constant.span,
                kind: HintKind::UnsafeNa,
                message: "this compares with the text `<NA>`; absent fields are tested with `exists`".to_owned(),
            });
        }
    }
    found
}

/// Whether `<NA>` on the right is a mistake: Kubernetes audit fields are absent instead.
fn unsafe_na(check: &Check) -> bool {
    let compares = matches!(
        check.op,
        Operator::Equal
            | Operator::DoubleEqual
            | Operator::NotEqual
            | Operator::In
            | Operator::Intersects
            | Operator::PMatch
    );
    let audit = |name: &str| name.starts_with("ka.") || name.starts_with("jevt.");
    compares
        && check.modifier.is_none()
        && match &check.left {
            Operand::Field(field) => audit(&field.name),
            Operand::Call(call) => call_reads(call, &audit),
        }
}

fn call_reads(call: &Call, wanted: &dyn Fn(&str) -> bool) -> bool {
    let mut found = false;
    typing::call_fields(call, &mut |field| found |= wanted(&field.name));
    found
}

/// `tolower(...)` and its like, also `val(...)`, from the first byte to the last.
fn spells_call(text: &str) -> bool {
    let names = Function::ALL.iter().map(|function| function.text()).chain(["val"]);
    let mut calls = names.filter_map(|name| text.strip_prefix(name)?.strip_prefix('('));
    calls.any(|rest| rest.ends_with(')'))
}

/// Whether an expression has no special character besides anchors and `.*` at its ends.
fn needless_regex(pattern: &[u8]) -> bool {
    let len = pattern.len();
    let mut i = 0;
    while i < len {
        let byte = pattern[i];
        let anchor = (i == 0 && byte == b'^') || (i + 1 == len && byte == b'$');
        let edge = (i == 0 && len > 1) || i + 2 == len;
        if anchor {
            i += 1;
        } else if edge && byte == b'.' && matches!(pattern[i + 1], b'+' | b'*' | b'?') {
            i += 2;
        } else if b".+*?^$()[]{}|\\".contains(&byte) {
            return false;
        } else {
            i += 1;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::{needless_regex, spells_call};

    #[test]
    fn expressions_that_need_no_regex() {
        for plain in ["abc", "^abc$", ".*abc", "abc.*", ".+abc.?", ""] {
            assert!(needless_regex(plain.as_bytes()), "{plain}");
        }
        for real in ["a.c", "a.*c", "[ab]", "abc.{2}", "a|b", "^^a", "."] {
            assert!(!needless_regex(real.as_bytes()), "{real}");
        }
    }

    #[test]
    fn texts_that_spell_calls() {
        assert!(spells_call("tolower(proc.name)"));
        assert!(spells_call("val()"));
        assert!(!spells_call("tolower(x"));
        assert!(!spells_call("xtolower(x)"));
    }
}
