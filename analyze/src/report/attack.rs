//! The ATT&CK matrix: which techniques the loaded rules look for, and which of these fired.
//!
//! Rules name tactics and techniques in their tags, as Falco's do: `mitre_persistence`, `T1543.002`. A technique belongs
//! to several tactics, and a rule means those of them that it names. Names stand in `tables/attack.tsv`; a number that is
//! missing there is shown without a name.

use std::collections::{BTreeMap, BTreeSet};

use super::model::{Severity, Tactic, Technique};
use super::text::Text;

/// Rules that are named at one technique.
const RULES_A_TECHNIQUE: usize = 6;

/// Tactics in the order of the matrix: tag without `mitre_`, name.
const TACTICS: [(&str, &str); 14] = [
    ("reconnaissance", "Reconnaissance"),
    ("resource_development", "Resource development"),
    ("initial_access", "Initial access"),
    ("execution", "Execution"),
    ("persistence", "Persistence"),
    ("privilege_escalation", "Privilege escalation"),
    ("defense_evasion", "Defense evasion"),
    ("credential_access", "Credential access"),
    ("discovery", "Discovery"),
    ("lateral_movement", "Lateral movement"),
    ("collection", "Collection"),
    ("command_and_control", "Command and control"),
    ("exfiltration", "Exfiltration"),
    ("impact", "Impact"),
];

/// A loaded rule as the matrix sees it.
pub struct Tagged<'r> {
    /// Its name.
    pub rule: &'r str,
    /// Its priority.
    pub severity: Severity,
    /// Its tags.
    pub tags: Vec<&'r str>,
    /// Its alerts.
    pub count: u64,
}

/// Whether a tag is the number of a technique: `T1059`, `T1059.004`.
pub fn is_technique(tag: &str) -> bool {
    let Some(number) = tag.strip_prefix('T') else { return false };
    let (main, sub) = number.split_once('.').unwrap_or((number, "000"));
    main.len() == 4 && sub.len() == 3 && main.bytes().chain(sub.bytes()).all(|byte| byte.is_ascii_digit())
}

/// The matrix: tactics in their order, those that some rule names; techniques that fired first, by number.
pub fn matrix(rules: &[Tagged<'_>]) -> Vec<Tactic> {
    let known = known();
    let mut cells: BTreeMap<(usize, &str), Technique> = BTreeMap::new();
    let mut totals: BTreeMap<usize, u64> = BTreeMap::new();
    for rule in rules {
        let places = places(rule, &known);
        let tactics: BTreeSet<usize> = places.iter().map(|(tactic, _)| *tactic).collect();
        for tactic in tactics {
            *totals.entry(tactic).or_default() += rule.count;
        }
        for (tactic, id) in places {
            let name = known.get(id).map_or("", |(name, _)| name);
            let cell = cells.entry((tactic, id)).or_insert_with(|| Technique {
                id: Text::new(id),
                name: Text::new(name),
                count: 0,
                severity: None,
                rules: Vec::new(),
                loaded: 0,
            });
            cell.loaded += 1;
            if rule.count > 0 {
                cell.count += rule.count;
                cell.severity = Some(cell.severity.map_or(rule.severity, |severity| severity.min(rule.severity)));
                if cell.rules.len() < RULES_A_TECHNIQUE {
                    cell.rules.push(Text::new(rule.rule));
                }
            }
        }
    }
    let mut matrix: Vec<Tactic> = Vec::new();
    let mut current = None;
    for ((tactic, _), technique) in cells {
        if current != Some(tactic) {
            let count = totals.get(&tactic).copied().unwrap_or(0);
            matrix.push(Tactic { name: TACTICS[tactic].1, count, techniques: Vec::new() });
            current = Some(tactic);
        }
        if let Some(last) = matrix.last_mut() {
            last.techniques.push(technique);
        }
    }
    for tactic in &mut matrix {
        // Stable: by number within those that fired and those that did not.
        tactic.techniques.sort_by_key(|technique| technique.count == 0);
    }
    matrix
}

/// Where a rule belongs: (index of the tactic, number of the technique or nothing).
fn places<'r>(rule: &Tagged<'r>, known: &BTreeMap<&'static str, Known>) -> Vec<(usize, &'r str)> {
    let named: Vec<usize> = TACTICS
        .iter()
        .enumerate()
        .filter(|(_, (tag, _))| rule.tags.iter().any(|given| given.strip_prefix("mitre_") == Some(*tag)))
        .map(|(at, _)| at)
        .collect();
    let mut places: Vec<(usize, &str)> = Vec::new();
    for id in rule.tags.iter().copied().filter(|tag| is_technique(tag)) {
        let belongs: &[usize] = known.get(id).map_or(&[], |(_, tactics)| tactics);
        let meant: Vec<usize> =
            named.iter().copied().filter(|tactic| belongs.is_empty() || belongs.contains(tactic)).collect();
        // A rule that names no fitting tactic: where the technique stands first in the matrix.
        let fitting = if meant.is_empty() { belongs.iter().copied().take(1).collect() } else { meant };
        places.extend(fitting.into_iter().map(|tactic| (tactic, id)));
    }
    for tactic in named {
        if !places.iter().any(|(placed, _)| *placed == tactic) {
            places.push((tactic, ""));
        }
    }
    places
}

/// Name and tactics of a technique.
type Known = (&'static str, Vec<usize>);

/// The table of techniques by number.
fn known() -> BTreeMap<&'static str, Known> {
    let table = include_str!("../../tables/attack.tsv");
    let rows = table.lines().filter(|line| !line.starts_with('#')).filter_map(|line| {
        let mut cells = line.split('\t');
        let (id, name, tactics) = (cells.next()?, cells.next()?, cells.next()?);
        let mut tactics: Vec<usize> =
            tactics.split(' ').filter_map(|tag| TACTICS.iter().position(|(known, _)| *known == tag)).collect();
        tactics.sort_unstable();
        Some((id, (name, tactics)))
    });
    rows.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule<'r>(rule: &'r str, severity: u8, tags: &[&'r str], count: u64) -> Tagged<'r> {
        Tagged { rule, severity: Severity(severity), tags: tags.to_vec(), count }
    }

    #[test]
    fn the_table_is_sound() {
        let table = include_str!("../../tables/attack.tsv");
        let rows = table.lines().filter(|line| !line.starts_with('#')).count();
        let known = known();
        assert_eq!(known.len(), rows, "a number stands there twice, or a row lacks a cell");
        for (id, (name, tactics)) in known {
            assert!(is_technique(id) && !name.is_empty() && !tactics.is_empty(), "{id}");
        }
    }

    #[test]
    fn every_technique_of_the_built_in_rules_has_a_name() {
        let known = known();
        for file in casebook_rules::default_rules::default_rules() {
            let text = String::from_utf8(file.bytes).expect("UTF-8");
            for line in text.lines().filter_map(|line| line.trim().strip_prefix("tags: [")) {
                for tag in line.trim_end_matches(']').split(", ").filter(|tag| is_technique(tag)) {
                    assert!(known.contains_key(tag), "{tag}");
                }
            }
        }
    }

    #[test]
    fn fired_techniques_come_first_in_the_tactics_that_their_rules_name() {
        let rules = [
            rule("cron", 4, &["mitre_persistence", "T1053.003"], 0),
            rule("unit", 5, &["mitre_persistence", "T1543.002"], 2),
            rule("unit too", 2, &["mitre_persistence", "T1543.002"], 1),
            rule("broad", 4, &["host", "mitre_execution"], 7),
            rule("untagged", 4, &["host"], 7),
            rule("new", 4, &["mitre_impact", "T9999"], 1),
            rule("no tactic", 4, &["T1053.003"], 1),
        ];
        let matrix = matrix(&rules);
        let names: Vec<_> = matrix.iter().map(|tactic| tactic.name).collect();
        assert_eq!(names, ["Execution", "Persistence", "Impact"]);
        let persistence = &matrix[1];
        assert_eq!(persistence.count, 3);
        let first = &persistence.techniques[0];
        assert_eq!((first.id.raw(), first.count, first.severity), ("T1543.002", 3, Some(Severity(2))));
        assert_eq!((first.name.raw(), first.loaded), ("Systemd Service", 2));
        assert_eq!(persistence.techniques[1].count, 0);
        // Execution: a rule without a technique, and the technique of a rule without a tactic.
        assert_eq!(matrix[0].techniques.len(), 2);
        assert_eq!(matrix[2].techniques[0].name.raw(), "");
    }

    #[test]
    fn numbers_of_techniques() {
        assert!(is_technique("T1059") && is_technique("T1059.004"));
        for no in ["T105", "T1059.4", "t1059", "T10590", "TXXXX", "host"] {
            assert!(!is_technique(no), "{no}");
        }
    }
}
