//! The embedded example: what a newcomer sees first.

use std::collections::BTreeMap;

use casebook_fixtures::EXAMPLE;
use casebook_rules::priority::Priority;
use casebook_rules::ruleset::Matching;

use crate::{alerts, load_with};

/// The demo rule of the field, unchanged.
const DEMO: &str = r"
- rule: shell_in_container
  desc: notice shell activity within a container
  condition: >
    evt.type = execve and
    evt.dir = < and
    container.id != host and
    (proc.name = bash or
     proc.name = ksh)
  output: >
    shell in a container
    (user=%user.name container_id=%container.id container_name=%container.name
    shell=%proc.name parent=%proc.pname cmdline=%proc.cmdline)
  priority: WARNING
";

#[test]
fn the_demo_rule_of_the_field_works_unchanged() {
    let rules = load_with(&[("demo.yaml", DEMO)]);
    let found = alerts(&rules, EXAMPLE, Matching::All);
    let shells: Vec<_> = found.iter().filter(|alert| alert.rule == "shell_in_container").collect();
    assert_eq!(shells.len(), 3);
    assert_eq!(
        shells[0].output,
        "shell in a container (user=www-data container_id=7f3a90c41be2 container_name=web shell=bash parent=python3 \
         cmdline=bash)"
    );
}

/// Alerts of the example by rule, each event reported by the first rule that fits it.
const EXPECTED: &[(&str, u32)] = &[
    ("API server contacted from a container by a tool", 1),
    ("Cgroup release agent changed", 1),
    ("Connection to a mining pool port", 1),
    ("Cron job added or changed", 1),
    ("Crypto miner started", 1),
    ("Download tool run in a container", 3),
    ("File system mounted inside a container", 1),
    ("Instance metadata contacted from a container", 1),
    ("Log cleared", 1),
    ("Monitored file read through directory traversal", 1),
    ("New program executed in a container", 1),
    ("Package manager run in a container", 1),
    ("Program executed from memory", 1),
    ("Program executed from shared memory", 1),
    ("SSH key added to authorized keys", 1),
    ("Search for private keys", 1),
    ("Sensitive file read by an unexpected program", 1),
    ("Service account token read by a tool", 1),
    ("Shell started by a web server", 3),
    ("Shell started without history", 1),
    ("Shell with a terminal started in a container", 1),
    ("Standard streams redirected to a network connection", 3),
    ("Tool started by a web server", 2),
    ("Write below root", 1),
];

/// The whole incident, rule by rule.
#[test]
fn the_example_tells_its_story_in_alerts() {
    let rules = load_with(&[]);
    let mut counts: BTreeMap<&str, u32> = BTreeMap::new();
    let found = alerts(&rules, EXAMPLE, Matching::First);
    for alert in &found {
        *counts.entry(&alert.rule).or_default() += 1;
    }
    let counts: Vec<(&str, u32)> = counts.into_iter().collect();
    assert_eq!(counts, EXPECTED);
}

/// Before the break-in and after it, ordinary work raises nothing.
#[test]
fn ordinary_work_in_the_example_is_silent() {
    let rules = load_with(&[]);
    let found = alerts(&rules, EXAMPLE, Matching::All);
    let first = found.iter().map(|alert| alert.num).min().unwrap();
    assert!(first > 60, "the first alert is event {first}: {:?}", found[0]);
    let urgent = |name: &str| rules.rules().iter().any(|rule| rule.name == name && rule.priority <= Priority::Warning);
    assert!(found.iter().filter(|alert| urgent(&alert.rule)).count() >= 8);
}
