//! `casebook-capture check`: findings as text or JSON.

use std::io::Write;
use std::path::Path;

use super::{EXIT_GOOD, EXIT_NOT_READY, printable};
use crate::check::{self, Finding, Verdict};
use crate::host::Host;

pub(super) fn run(root: &Path, json: bool, out: &mut dyn Write) -> std::io::Result<u8> {
    let findings = check::findings(&Host::read(root));
    let ready = check::overall(&findings) <= Verdict::Note;
    if json {
        writeln!(out, "{}", as_json(&findings, ready))?;
    } else {
        for finding in &findings {
            writeln!(out, "{:<8}{:<18}{}", finding.verdict.word(), finding.name, printable(&finding.found))?;
        }
        writeln!(out)?;
        let verdict = if ready { "This machine can be recorded." } else { "This machine cannot be recorded." };
        writeln!(out, "{verdict}")?;
    }
    out.flush()?;
    Ok(if ready { EXIT_GOOD } else { EXIT_NOT_READY })
}

fn as_json(findings: &[Finding], ready: bool) -> serde_json::Value {
    let findings: Vec<_> = findings
        .iter()
        .map(|finding| {
            serde_json::json!({ "name": finding.name, "verdict": finding.verdict.word(), "found": finding.found })
        })
        .collect();
    serde_json::json!({ "ready": ready, "findings": findings })
}
