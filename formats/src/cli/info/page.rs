//! The page that `info` shows people.

use std::collections::BTreeSet;
use std::fmt::{self, Write as _};

use super::super::{custody, time};
use super::facts::Facts;
use crate::record::hex;
use crate::snapshot::Interface;
use crate::terminal::Safe;

/// Rows shown of a table; JSON has all.
const TYPES_SHOWN: usize = 20;
const ROWS_SHOWN: usize = 12;

/// Everything about one capture.
pub(super) fn page(facts: &Facts, name: &str) -> Result<String, fmt::Error> {
    let mut page = String::new();
    writeln!(page, "{}", Safe(name.as_bytes()))?;
    file(&mut page, facts)?;
    host(&mut page, facts)?;
    events(&mut page, facts)?;
    programs(&mut page, facts)?;
    containers(&mut page, facts)?;
    losses(&mut page, facts)?;
    Ok(page)
}

fn more(page: &mut String, shown: usize, all: usize, what: &str) -> fmt::Result {
    if all > shown {
        writeln!(page, "    {:>12}  … and {} more {what} (--json has all)", "", all - shown)
    } else {
        Ok(())
    }
}

fn file(page: &mut String, facts: &Facts) -> fmt::Result {
    let versions: BTreeSet<String> =
        facts.sections.iter().map(|section| format!("{}.{}", section.major, section.minor)).collect();
    let versions: Vec<String> = versions.into_iter().collect();
    if versions.is_empty() {
        writeln!(page, "  format       scap, no section header in this part")?;
    } else {
        writeln!(page, "  format       scap {}, sections: {}", versions.join(", "), facts.sections.len())?;
    }
    let comments = facts.sections.iter().flat_map(|section| &section.comments);
    for comment in comments.take(ROWS_SHOWN) {
        writeln!(page, "  comment      {}", Safe(comment))?;
    }
    let (file, stream) = (facts.file_bytes, facts.stream_bytes);
    let ratio = stream as f64 / file.max(1) as f64;
    match facts.packing {
        "none" => writeln!(page, "  size         {file} bytes, not compressed")?,
        packing => writeln!(page, "  size         {file} bytes, {packing}; {stream} unpacked, {ratio:.1} to 1")?,
    }
    if let Some((read, all)) = facts.part {
        writeln!(page, "  frames       {read} of {all} read, those that can hold the part asked for")?;
    }
    let Some(origin) = &facts.origin else { return Ok(()) };
    writeln!(page, "  sha256       {}", hex(&origin.parent.sha256))?;
    let passed = &facts.passed;
    if passed.records > 0 {
        let (intact, expected) = (passed.intact, facts.expected_frames());
        let hint = if intact < expected { "; casebook verify says more" } else { "" };
        writeln!(page, "  frames       {intact} of {expected} intact{hint}")?;
        match &passed.seal {
            Some(seal) => writeln!(page, "  seal         root {}", hex(&seal.root))?,
            None => writeln!(page, "  seal         none: cut off, or still being written")?,
        }
    }
    page.push_str(&custody::lines(origin.entries.iter(), "  custody      "));
    Ok(())
}

fn host(page: &mut String, facts: &Facts) -> fmt::Result {
    for machine in facts.machines.iter().take(ROWS_SHOWN) {
        let boot = if machine.boot_ts > 0 { format!(", booted {}", time::utc(machine.boot_ts)) } else { String::new() };
        let (name, mib) = (Safe(&machine.hostname), machine.memory >> 20);
        writeln!(page, "  host         {name}, {} CPUs, {mib} MiB{boot}", machine.num_cpus)?;
    }
    for interface in facts.interfaces.iter().take(ROWS_SHOWN) {
        match interface {
            Interface::V4 { name, addr, netmask, .. } => {
                writeln!(page, "  interface    {} {addr}/{netmask}", Safe(name))?;
            }
            Interface::V6 { name, addr, .. } => writeln!(page, "  interface    {} {addr}", Safe(name))?,
        }
    }
    more(page, ROWS_SHOWN, facts.interfaces.len(), "interfaces")?;
    writeln!(
        page,
        "  at start     {} processes, {} threads, {} descriptors, {} users, {} groups",
        facts.listed_processes.len(),
        facts.listed_threads,
        facts.listed_fds,
        facts.users,
        facts.groups
    )
}

fn events(page: &mut String, facts: &Facts) -> fmt::Result {
    writeln!(page, "  events       {} on {} threads", facts.tally.events, facts.tally.threads())?;
    if let Some((earliest, latest)) = facts.tally.span() {
        writeln!(page, "  from         {}", time::utc(earliest))?;
        writeln!(page, "  to           {}  ({})", time::utc(latest), time::span(latest - earliest))?;
    }
    for (at, (pause, from)) in facts.tally.pauses().iter().enumerate() {
        let head = if at == 0 { "quiet" } else { "" };
        writeln!(page, "  {head:<11}  {} from {}", time::span(*pause), time::utc(*from))?;
    }
    let ranking = facts.ranking();
    if !ranking.is_empty() {
        writeln!(page, "\n    {:>12}  {:>7}  EVENT", "COUNT", "SHARE")?;
    }
    for (name, count) in ranking.iter().take(TYPES_SHOWN) {
        let percent = *count as f64 * 100.0 / facts.tally.events.max(1) as f64;
        writeln!(page, "    {count:>12}  {percent:>5.1} %  {name}")?;
    }
    more(page, TYPES_SHOWN, ranking.len(), "types")
}

fn programs(page: &mut String, facts: &Facts) -> fmt::Result {
    let ranking = facts.program_ranking();
    if ranking.is_empty() {
        return Ok(());
    }
    writeln!(page, "\n    {:>12}  {:>8}  PROGRAM", "STARTED", "AT START")?;
    for (name, program) in ranking.iter().take(ROWS_SHOWN) {
        writeln!(page, "    {:>12}  {:>8}  {}", program.started, program.listed, Safe(name))?;
    }
    more(page, ROWS_SHOWN, ranking.len(), "programs")
}

fn containers(page: &mut String, facts: &Facts) -> fmt::Result {
    if facts.containers.is_empty() {
        return Ok(());
    }
    let shown = |text: &Option<String>| {
        text.as_ref().map_or_else(|| "unknown".to_owned(), |text| Safe(text.as_bytes()).to_string())
    };
    let rows = || facts.containers.iter().take(ROWS_SHOWN);
    let wide = rows().map(|(_, container)| shown(&container.name).chars().count()).max().unwrap_or(0).clamp(4, 40);
    writeln!(page, "\n    {:>12}  {:>8}  {:<12}  {:<wide$}  IMAGE", "STARTED", "AT START", "CONTAINER", "NAME")?;
    for (id, container) in rows() {
        let (id, name, image) = (Safe(id.as_bytes()).to_string(), shown(&container.name), shown(&container.image));
        writeln!(page, "    {:>12}  {:>8}  {id:<12}  {name:<wide$}  {image}", container.started, container.listed)?;
    }
    more(page, ROWS_SHOWN, facts.containers.len(), "containers")
}

fn losses(page: &mut String, facts: &Facts) -> fmt::Result {
    let intervals = &facts.passed.intervals;
    if !intervals.is_empty() {
        writeln!(page, "\n    {:>12}  {:<26}  FRAME  FROM, TO", "LOST", "CAUSE")?;
    }
    let lines = || intervals.iter().flat_map(|interval| interval.losses.iter().map(move |loss| (interval, loss)));
    for (interval, loss) in lines().take(ROWS_SHOWN) {
        let times = match (interval.earliest, interval.latest) {
            (0, 0) => "no times".to_owned(),
            (earliest, latest) => format!("{}, {}", time::utc(earliest), time::utc(latest)),
        };
        let cause = Safe(loss.cause.as_bytes()).to_string();
        writeln!(page, "    {:>12}  {cause:<26}  {:>5}  {times}", loss.count, interval.frame)?;
    }
    more(page, ROWS_SHOWN, lines().count(), "losses")?;
    let findings: Vec<_> = facts.ledger.findings().collect();
    writeln!(page)?;
    if findings.is_empty() {
        return writeln!(page, "  ledger       empty");
    }
    writeln!(page, "    {:>12}  {:<26}  {:<9}  SOURCE", "COUNT", "LEDGER", "SEVERITY")?;
    for (def, count) in findings {
        writeln!(page, "    {count:>12}  {:<26}  {:<9}  {}", def.name, def.severity.word(), def.origin.word())?;
        writeln!(page, "    {:>12}  {}", "", def.advice)?;
    }
    Ok(())
}
