//! Tags with ATT&CK ids.

use std::collections::BTreeMap;

use crate::diagnostics::{Code, Diagnostic, ItemKind};
use crate::source::FileId;

use super::{Lint, Subject};

/// Rules named in a message.
const MAX_NAMES: usize = 3;

pub(super) fn check(lint: &Lint<'_>, out: &mut Vec<Diagnostic>) {
    let mut without: BTreeMap<FileId, Vec<&Subject<'_>>> = BTreeMap::new();
    let mut totals: BTreeMap<FileId, usize> = BTreeMap::new();
    for subject in &lint.subjects {
        let mut has_id = false;
        for tag in &subject.def.tags {
            match judge(&tag.value) {
                Judgement::Id => has_id = true,
                Judgement::Other => {}
                Judgement::Malformed(better) => {
                    // One message about it is enough.
                    has_id = true;
                    out.push(
                        Diagnostic::new(Code::BadAttackId, format!("tag `{}` is no ATT&CK id", tag.value))
                            .at(tag.span)
                            .of(ItemKind::Rule, subject.rule.name.clone())
                            .hint(better.map(|better| format!("did you mean `{better}`?"))),
                    );
                }
            }
        }
        let file = subject.rule.span.file;
        *totals.entry(file).or_default() += 1;
        if !has_id {
            without.entry(file).or_default().push(subject);
        }
    }
    for (file, rules) in without {
        let total = totals.get(&file).copied().unwrap_or_default();
        let Some(first) = rules.first() else { continue };
        let message = match (rules.len(), total) {
            (_, 1) => "the rule has no tag with an ATT&CK id".to_owned(),
            (n, _) if n == total => format!("none of the {total} rules in this file has a tag with an ATT&CK id"),
            (n, _) => {
                let names: Vec<String> =
                    rules.iter().take(MAX_NAMES).map(|rule| format!("`{}`", rule.rule.name)).collect();
                let more = if n > MAX_NAMES { ", ..." } else { "" };
                let have = if n == 1 { "has" } else { "have" };
                format!("{n} of {total} rules in this file {have} no tag with an ATT&CK id: {}{more}", names.join(", "))
            }
        };
        out.push(
            Diagnostic::new(Code::NoAttackId, message)
                .at(first.rule.span)
                .hint("add the technique to tags, for example T1059".to_owned()),
        );
    }
}

enum Judgement {
    /// Of a technique or a tactic.
    Id,
    Other,
    /// Meant as an id, with a guess what was meant.
    Malformed(Option<String>),
}

/// `T1234`, `T1234.001`, `TA0001`; what begins like these and is not is malformed.
fn judge(tag: &str) -> Judgement {
    let Some(rest) = tag.strip_prefix(['T', 't']) else { return Judgement::Other };
    let (rest, digits_before) = match rest.strip_prefix(['A', 'a']) {
        Some(rest) => (rest, "TA"),
        None => (rest, "T"),
    };
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    // A word like `t2linux` or `ta` was not meant as an id.
    let (number, sub) = rest.split_at(digits);
    let separated = sub.is_empty() || sub.starts_with(['.', '_', '-', '/', ':']);
    if digits < 3 || !separated {
        return Judgement::Other;
    }
    let sub_digits = sub.get(1..).unwrap_or_default();
    let whole = digits == 4 && tag.starts_with(digits_before);
    let sub_good = sub.is_empty()
        || (digits_before == "T" && sub.starts_with('.') && sub_digits.len() == 3 && is_number(sub_digits));
    if whole && sub_good {
        return Judgement::Id;
    }
    let better = (digits == 4 && (sub.is_empty() || (is_number(sub_digits) && sub_digits.len() <= 3))).then(|| {
        if sub.is_empty() {
            format!("{digits_before}{number}")
        } else {
            format!("{digits_before}{number}.{sub_digits:0>3}")
        }
    });
    Judgement::Malformed(better)
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::{Judgement, judge};

    #[test]
    fn ids_are_told_from_words() {
        let text = |tag: &str| match judge(tag) {
            Judgement::Id => "id".to_owned(),
            Judgement::Other => "other".to_owned(),
            Judgement::Malformed(better) => better.unwrap_or_else(|| "malformed".to_owned()),
        };
        for tag in ["T1059", "T1059.004", "TA0002"] {
            assert_eq!(text(tag), "id", "{tag}");
        }
        for tag in ["container", "t2", "time", "T", "TLS", "mitre_execution", "T1000x", ""] {
            assert_eq!(text(tag), "other", "{tag}");
        }
        assert_eq!(text("t1059"), "T1059");
        assert_eq!(text("T1059.4"), "T1059.004");
        assert_eq!(text("T1059_001"), "T1059.001");
        assert_eq!(text("T105"), "malformed");
        assert_eq!(text("T10590"), "malformed");
    }
}
