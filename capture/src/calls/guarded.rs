//! Calls whose memory is looked at twice: when they begin, and when they return.
//!
//! Which of the two counts is said where values are made ([`super::values`]); what the kernel side keeps between them
//! stands in `bpf/guard.h`.

use casebook_formats::tables;

use super::numbers::{NumberBits, number_bits};

/// Calls whose paths and addresses are read when they begin, too: between that and their return another thread may
/// change the memory. Of an exec only which call it was, which nothing tells after it.
const GUARDED: [&str; 12] = [
    "open",
    "openat",
    "openat2",
    "creat",
    "connect",
    "unlink",
    "unlinkat",
    "rename",
    "renameat",
    "renameat2",
    "execve",
    "execveat",
];

/// Whether the call of this name is one of them.
pub(super) fn guarded(name: &str) -> bool {
    GUARDED.contains(&name)
}

/// Is any of these calls one whose paths or addresses are guarded? Only then has every call to pass a program when it
/// begins, too. Execs alone are not worth that: without it, one by descriptor is known by its path.
pub(crate) fn guards_any(wanted: &std::collections::BTreeSet<u16>) -> bool {
    let names = wanted.iter().filter_map(|&code| Some(tables::syscalls().get(usize::from(code))?.name));
    names.filter(|name| !name.starts_with("exec")).any(guarded)
}

/// Which native numbers may be those of guarded calls, as the kernel side has it.
pub(crate) fn guarded_numbers() -> NumberBits {
    number_bits(|code| tables::syscalls().get(usize::from(code)).is_some_and(|call| guarded(call.name)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a failing test may panic

    use super::super::{Calls, Get, code_of};
    use super::*;

    #[test]
    fn guarded_calls_are_in_the_table_and_their_numbers_known() {
        let calls = Calls::new();
        for name in GUARDED {
            let known = calls.by_code.iter().flatten().find(|known| known.name == name).unwrap();
            let texts = known.fetch.iter().filter(|fetch| matches!(fetch.get, Get::Str | Get::Addr)).count();
            assert!((1..=2).contains(&texts), "{name}: the kernel side has two slots");
        }
        let bits = guarded_numbers();
        let set = |number: usize| bits[number / 32] & 1 << (number % 32) != 0;
        // openat, connect, execveat of 64 bits; openat of 32.
        assert!(set(257) && set(42) && set(322) && set(295));
        assert!(!set(0) && !set(1), "reads and writes end at once");
    }

    #[test]
    fn the_beginning_of_calls_is_looked_at_only_for_guarded_ones() {
        let guards = |names: &[&str]| guards_any(&names.iter().map(|name| code_of(name).unwrap()).collect());
        assert!(guards(&["read", "unlinkat"]) && guards(&["connect"]));
        assert!(!guards(&["execve", "execveat", "read", "close"]));
    }
}
