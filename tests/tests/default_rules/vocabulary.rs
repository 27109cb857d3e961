//! Rules that people bring along load on top of ours and mean what they meant.

use casebook_rules::ruleset::Matching;

use crate::scene::Scene;
use crate::{alerts, load_with};

/// Written against Falco's names, as tuning files are.
const CUSTOM: &str = r#"
- list: package_mgmt_binaries
  items: [brew]
  override:
    items: append
- macro: user_known_package_manager_in_container
  condition: (proc.cmdline startswith "apk update")
- macro: never_mind
  condition: (user_trusted_containers or never_true)
- rule: My write below etc
  desc: configuration of our service
  condition: open_write and etc_dir and container and not package_mgmt_procs and not never_mind
  output: write (file=%fd.name user=%user.name %container.name)
  priority: ERROR
- rule: My talk
  desc: anything that talks
  condition: (outbound or inbound or inbound_outbound) and not network_local_subnet
  output: talk (%fd.name)
  priority: NOTICE
- rule: My shell
  desc: shells and the like
  condition: >
    spawned_process and container and proc_name_exists
    and (shell_procs or proc.name in (shell_binaries, network_tool_binaries))
    and not proc.pname in (cron_binaries, docker_binaries)
    and not interactive
    and not container_started
  output: shell (%proc.cmdline)
  priority: NOTICE
- rule: My changes
  desc: removals and renames
  condition: (modify or rename or remove or mkdir) and (bin_dir_rename or bin_dir_mkdir or always_true)
  output: change (%evt.type)
  priority: NOTICE
- rule: My reads
  desc: reads
  condition: (open_read or open_directory or open_file_failed) and (sensitive_files or root_dir or bin_dir)
  output: read (%fd.name)
  priority: NOTICE
"#;

#[test]
fn custom_rules_load_on_top_and_fire() {
    let rules = load_with(&[("custom.yaml", CUSTOM)]);
    let mut s = Scene::new();
    s.write(s.app, "/etc/app.conf");
    let sh = s.boxed("/bin/sh", &["sh", "-c", "true"]);
    s.call(sh, "203.0.113.9", 443);
    s.t.rename(sh, "/tmp/a", "/tmp/b");
    s.read(sh, "/etc/shadow");
    let found = alerts(&rules, &s.t.finish().unwrap(), Matching::All);
    for rule in ["My write below etc", "My talk", "My shell", "My changes", "My reads"] {
        assert!(found.iter().any(|alert| alert.rule == rule), "{rule} is silent");
    }
}

#[test]
fn hooks_and_lists_tune_our_rules() {
    let rules = load_with(&[("custom.yaml", CUSTOM)]);
    let mut s = Scene::new();
    s.boxed("/sbin/apk", &["apk", "update"]);
    let quiet = alerts(&rules, &s.t.finish().unwrap(), Matching::All);
    assert!(!quiet.iter().any(|alert| alert.rule == "Package manager run in a container"), "{quiet:?}");
    s.boxed("/sbin/apk", &["apk", "add", "nmap"]);
    s.boxed("/opt/brew", &["brew", "install", "nmap"]);
    let loud = alerts(&rules, &s.t.finish().unwrap(), Matching::All);
    assert_eq!(loud.iter().filter(|alert| alert.rule == "Package manager run in a container").count(), 2);
}

/// Macros that name fields of audit events.
const ABOUT_AUDIT: [&str; 6] =
    ["k8s_answered", "k8s_started", "k8s_refused", "k8s_done", "k8s_written", "k8s_by_control_plane"];

/// A rule for every name that the vocabulary offers. Macros nobody uses are only resolved when somebody does.
#[test]
fn every_macro_and_list_can_be_used() {
    let rules = load_with(&[]);
    assert!(rules.macros().len() > 150 && rules.lists().len() > 90);
    let rule = |name: &str, condition: &str, source: &str| {
        let texts = format!("  desc: x\n  output: x\n  priority: DEBUG\n  source: {source}\n");
        format!("- rule: uses {name}\n  condition: {condition}\n{texts}")
    };
    let macros = rules.macros().iter().map(|item| match item.name.as_str() {
        name if ABOUT_AUDIT.contains(&name) => rule(name, name, "k8s_audit"),
        name => rule(name, &format!("evt.type=execve and {name}"), "syscall"),
    });
    let lists = rules
        .lists()
        .iter()
        .map(|item| rule(&item.name, &format!("evt.type=execve and proc.name in ({})", item.name), "syscall"));
    let text: String = macros.chain(lists).collect();
    let with = load_with(&[("everything.yaml", &text)]);
    assert_eq!(with.rules().len(), rules.rules().len() + rules.macros().len() + rules.lists().len());
}
