//! What rule files have to see: calls by event type, for `--syscalls rules:FILE`.
//!
//! The rule language is read as a replay reads it ([`casebook_rules::needs`]): macros, lists, appends and overrides
//! of all files, rules that are switched off left out. Nothing is evaluated here, and no field is known; what an
//! `evt.type` can be is told in numbers of calls, so that the answer needs no translation.

use std::collections::BTreeSet;
use std::path::PathBuf;

use casebook_formats::tables;
use casebook_rules::default_rules::default_rules;
use casebook_rules::inputs;
use casebook_rules::needs::{Needs, needs};
use casebook_rules::schema::{ArgText, BindError, Display, FieldDef, FieldRef, Schema};
use casebook_rules::source::RuleFile;

use super::{Found, SelectError};
use crate::calls::{CODES, Calls, named, natives};

/// Stands for events that are recorded whatever is selected.
const ALWAYS: u16 = CODES as u16;
/// Stands for events that the recorder never makes.
const NEVER: u16 = ALWAYS + 1;
/// A rule that looks at more calls than this hardly meant it.
const MANY: usize = 100;

/// Events that are no calls and always there.
const ALWAYS_THERE: [&str; 3] = ["procexit", "container", "container_removed"];

/// What a rule file is to be read from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Origin {
    /// The rules that a replay uses where none are named.
    Default,
    /// A rule file, a folder of them, Helm values, or a manifest.
    Path(PathBuf),
}

/// Calls that rules look at; `from` is loaded together, in this order.
pub(super) fn of_rules(from: &[Origin], calls: &Calls) -> Result<Found, SelectError> {
    let (mut files, mut codes) = (Vec::new(), BTreeSet::new());
    for from in from {
        let read = match from {
            Origin::Default => default_rules(),
            Origin::Path(path) => inputs::read(&[path]),
        };
        match plain_list(&read) {
            Some(listed) => codes.extend(listed),
            None => files.extend(read),
        }
    }
    let mut notes = Vec::new();
    if !files.is_empty() {
        let needs = needs(&files, &Names { calls });
        if let Some(error) = needs.error() {
            return Err(SelectError::Rules(error));
        }
        if needs.rules.is_empty() && codes.is_empty() {
            let names: Vec<&str> = files.iter().map(|file| &*file.name).collect();
            return Err(SelectError::Rules(format!(
                "{}: no rule for system calls that is switched on",
                names.join(", ")
            )));
        }
        codes.extend(looked_at(&needs, &mut notes));
    }
    Ok(Found { codes, notes })
}

/// A file of nothing but names of calls, one or more a line, `#` before remarks.
fn plain_list(files: &[RuleFile]) -> Option<BTreeSet<u16>> {
    let [file] = files else { return None };
    let text = std::str::from_utf8(&file.bytes).ok()?;
    let lines = text.lines().map(|line| line.split('#').next().unwrap_or_default());
    let words: Vec<&str> =
        lines.flat_map(|line| line.split([' ', '\t', ','])).filter(|word| !word.is_empty()).collect();
    let all_calls = words.iter().all(|word| tables::syscalls().iter().any(|call| call.name == *word));
    (!words.is_empty() && all_calls).then(|| named(&words))
}

/// Codes of the calls; what is worth saying of a rule goes to `notes`.
fn looked_at(needs: &Needs, notes: &mut Vec<String>) -> BTreeSet<u16> {
    let here: BTreeSet<u16> = natives().into_iter().map(|(_, code)| code).chain([0]).collect();
    let mut codes = BTreeSet::new();
    for rule in &needs.rules {
        let of_rule: BTreeSet<u16> = rule.event_types.iter().filter(|code| here.contains(code)).collect();
        if of_rule.len() > MANY {
            notes.push(format!(
                "the rule `{}` can be true on {} calls: all of them are recorded, which costs much (add an evt.type to it)",
                rule.rule,
                of_rule.len()
            ));
        } else if of_rule.is_empty() && !rule.event_types.contains(ALWAYS) {
            notes.push(format!("the rule `{}` looks at events that are never recorded", rule.rule));
        }
        codes.extend(of_rule);
    }
    codes
}

/// The names that `evt.type` has in our captures, as numbers of calls.
struct Names<'c> {
    calls: &'c Calls,
}

impl Names<'_> {
    /// What `evt.type` says of a call: the name of its event, or its own where it has no event of its own.
    fn name(&self, code: u16) -> Option<&'static str> {
        match self.calls.get(code) {
            Some(known) => Some(known.def.name),
            None => tables::syscall(code).map(|call| call.name),
        }
    }
}

impl Schema for Names<'_> {
    fn sources(&self) -> Vec<&str> {
        vec!["syscall"]
    }

    fn is_partial(&self, _: &str) -> bool {
        true
    }

    fn fields(&self, _: &str) -> Box<dyn Iterator<Item = (u16, &FieldDef)> + '_> {
        Box::new(std::iter::empty())
    }

    fn field(&self, _: &str, _: &str) -> Option<(u16, &FieldDef)> {
        None
    }

    fn bind(&self, _: &str, _: u16, _: ArgText<'_>) -> Result<FieldRef, BindError> {
        Err(BindError::Unknown)
    }

    fn display(&self, _: &FieldRef) -> Display {
        Display::Plain
    }

    fn event_type_count(&self) -> usize {
        usize::from(NEVER) + 1
    }

    fn event_types_named(&self, name: &str) -> Vec<u16> {
        let codes: Vec<u16> = (0..ALWAYS).filter(|&code| self.name(code) == Some(name)).collect();
        match codes.is_empty() {
            false => codes,
            true if ALWAYS_THERE.contains(&name) => vec![ALWAYS],
            true => vec![NEVER],
        }
    }

    fn syscall_types_named(&self, name: &str) -> Vec<u16> {
        self.event_types_named(name)
    }

    fn async_event_types(&self) -> Vec<u16> {
        vec![ALWAYS]
    }

    fn all_event_types(&self) -> Vec<u16> {
        (0..=NEVER).collect()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a failing test may panic

    use std::io::Write;

    use super::*;

    /// Names of the calls beyond those that are always there, and notes.
    fn of(files: &[&str]) -> (BTreeSet<&'static str>, Vec<String>) {
        let folder = tempfile::tempdir().unwrap();
        let mut words = Vec::new();
        for (n, text) in files.iter().enumerate() {
            let path = folder.path().join(format!("{n}.yaml"));
            std::fs::write(&path, text).unwrap();
            words.push(format!("rules:{}", path.display()));
        }
        let found = super::super::select(&words.join(","), &Calls::new()).unwrap();
        (beyond_state(&found.codes), found.notes)
    }

    fn beyond_state(codes: &BTreeSet<u16>) -> BTreeSet<&'static str> {
        let names = codes.iter().map(|&code| tables::syscall(code).unwrap().name);
        names.filter(|name| !super::super::STATE.contains(name)).collect()
    }

    fn rule(name: &str, condition: &str) -> String {
        format!("- rule: {name}\n  desc: d\n  condition: {condition}\n  output: o\n  priority: INFO\n")
    }

    fn set<const N: usize>(names: [&'static str; N]) -> BTreeSet<&'static str> {
        names.into()
    }

    #[test]
    fn a_rule_asks_for_its_event_types_and_prose_for_nothing() {
        let text = "# read and write\n- rule: r\n  desc: read, write and unlink files\n  condition: evt.type in (kill, renameat2) and \
                    fd.name = read\n  output: a write of %fd.name\n  priority: INFO\n";
        assert_eq!(of(&[text]), (set(["kill", "renameat2"]), vec![]));
    }

    #[test]
    fn macros_lists_appends_and_overrides_of_all_files_count() {
        let first = format!(
            "- list: calls\n  items: [kill]\n- macro: asked\n  condition: evt.type in (calls)\n{}{}{}",
            rule("one", "asked and proc.name = x"),
            rule("two", "evt.type = ptrace and proc.name = x"),
            rule("three", "evt.type = mount")
        );
        let second = "- list: calls\n  items: [tkill]\n  override:\n    items: append\n\
                      - rule: two\n  enabled: false\n  override:\n    enabled: replace\n\
                      - rule: three\n  condition: or evt.type = umount2\n  override:\n    condition: append\n";
        assert_eq!(of(&[&first]).0, set(["kill", "mount", "ptrace"]));
        // `umount2` is called by its name; its event too.
        assert_eq!(of(&[&first, second]).0, set(["kill", "mount", "tkill", "umount2"]));
    }

    #[test]
    fn without_an_event_type_all_are_meant_and_that_is_said() {
        let (names, notes) = of(&[&rule("any", "proc.name = nc")]);
        assert!(["read", "futex", "getppid", "mmap"].iter().all(|name| names.contains(name)));
        assert!(notes.len() == 1 && notes[0].contains("`any`"), "{notes:?}");
        let all = super::super::select("all", &Calls::new()).unwrap().codes;
        let here: BTreeSet<u16> = natives().into_iter().map(|(_, code)| code).collect();
        let meant = super::super::STATE.iter().copied().chain(names).collect::<BTreeSet<_>>();
        for code in all.intersection(&here) {
            assert!(meant.contains(tables::syscall(*code).unwrap().name), "{code}");
        }
    }

    #[test]
    fn negations_leave_out_what_they_name() {
        let (names, notes) = of(&[&rule("not", "not evt.type in (read, write, futex)")]);
        assert!(!names.contains("read") && !names.contains("futex") && names.contains("readv"));
        assert_eq!(notes.len(), 1);
        let (names, _) = of(&[&rule("narrow", "evt.type in (read, kill) and not evt.type = read")]);
        assert_eq!(names, set(["kill"]));
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("r.yaml");
        std::fs::write(&path, rule("x", "evt.type in (read, kill)")).unwrap();
        let found = super::super::select(&format!("rules:{},!read", path.display()), &Calls::new()).unwrap();
        assert_eq!(beyond_state(&found.codes), set(["kill"]));
    }

    #[test]
    fn calls_without_an_event_of_their_own_are_told_by_name_and_pread_by_its_event() {
        assert_eq!(of(&[&rule("x", "evt.type = sysinfo")]).0, set(["sysinfo"]));
        assert_eq!(of(&[&rule("x", "evt.type = pread")]).0, set(["pread64"]));
        assert_eq!(of(&[&rule("x", "syscall.type = kill")]).0, set(["kill"]));
    }

    #[test]
    fn ends_of_processes_are_always_there_and_what_is_never_recorded_is_said() {
        assert_eq!(of(&[&rule("x", "evt.type in (procexit, container)")]), (set([]), vec![]));
        let (names, notes) = of(&[&rule("x", "evt.type = pagefault")]);
        assert_eq!(names, set([]));
        assert!(notes[0].contains("never recorded"), "{notes:?}");
    }

    #[test]
    fn a_plain_list_is_a_file_too() {
        assert_eq!(of(&["# ours\nkill, tkill\nunlinkat # and this\n"]).0, set(["kill", "tkill", "unlinkat"]));
        assert_eq!(of(&["mount\n", &rule("x", "evt.type = kill")]).0, set(["kill", "mount"]));
    }

    #[test]
    fn what_cannot_be_read_is_refused_with_its_place() {
        let refused = |text: &str| {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("r.yaml");
            std::fs::write(&path, text).unwrap();
            super::super::select(&format!("rules:{}", path.display()), &Calls::new()).unwrap_err().to_string()
        };
        assert!(refused("nothing of use").contains("r.yaml"));
        assert!(refused(&rule("x", "nobodys_macro and evt.type = kill")).contains("r.yaml:3:14: "));
        assert!(refused("- macro: m\n  condition: evt.type = kill\n").contains("no rule"));
        assert!(refused("").contains("no rule"));
        let missing = super::super::select("rules:/nonexistent", &Calls::new()).unwrap_err().to_string();
        assert!(missing.contains("/nonexistent"), "{missing}");
    }

    #[test]
    fn our_rules_do_without_reads_and_writes() {
        let found = super::super::select("rules", &Calls::new()).unwrap();
        let names = beyond_state(&found.codes);
        assert!(names.contains("ptrace") && !names.contains("futex"), "{names:?}");
        let folder = concat!("rules:", env!("CARGO_MANIFEST_DIR"), "/../rules/default");
        assert_eq!(super::super::select(folder, &Calls::new()).unwrap().codes, found.codes);
    }

    #[test]
    fn the_rules_of_falco_ask_for_what_they_are_known_to_look_at() {
        let Some(corpora) = std::env::var_os("CASEBOOK_CORPORA") else {
            writeln!(std::io::stderr().lock(), "SKIPPED: CASEBOOK_CORPORA names no folder with Falco's rules").unwrap();
            return;
        };
        let path = PathBuf::from(corpora).join("falco-rules/falco_rules.yaml");
        let found = super::super::select(&format!("rules:{}", path.display()), &Calls::new()).unwrap();
        // Beyond what is there anyway: exec, open, connect, dup, socket.
        let known =
            ["finit_module", "init_module", "link", "linkat", "ptrace", "sendmsg", "sendto", "symlink", "symlinkat"];
        assert_eq!(beyond_state(&found.codes), known.into());
        assert_eq!(found.notes, [""; 0]);
    }
}
