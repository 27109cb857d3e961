//! `k8s_audit.jsonl`: the rules of Falco's audit rule file that are true on an event, in load order.
//!
//! The rule file is part of the corpora; without them these cases do not run.

use std::path::PathBuf;

use casebook_tests::audit::{self, Form};
use casebook_tests::corpora::CORPORA_VARIABLE;
use serde_json::Value as Json;

/// The rule file, where there is one.
pub(crate) fn rules() -> Option<PathBuf> {
    let root = std::env::var_os(CORPORA_VARIABLE).filter(|root| !root.is_empty())?;
    Some(PathBuf::from(root).join(audit::RULES)).filter(|file| file.is_file())
}

pub(crate) fn test(case: &Json) -> Result<(), String> {
    let rules = [rules().ok_or("no rule file")?];
    let folder = tempfile::tempdir().unwrap();
    let input = folder.path().join("event");
    let wanted: Vec<&str> = case["expect"]["rules"].as_array().unwrap().iter().filter_map(Json::as_str).collect();
    let first: Vec<&str> = case["expect"]["first"].as_str().into_iter().collect();
    for form in Form::EVERY {
        std::fs::write(&input, form.wrap(std::slice::from_ref(&case["event"]))?).unwrap();
        for (matching, wanted) in [("all", &wanted), ("first", &first)] {
            let outcome = audit::replay(&rules, &[&input], &["--rule-matching", matching]);
            if outcome.order != *wanted {
                return Err(format!(
                    "{form:?}, {matching}: got {:?}, expected {wanted:?} {}",
                    outcome.order, outcome.talk
                ));
            }
        }
    }
    Ok(())
}
