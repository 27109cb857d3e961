//! Numbers of calls: what a program's registers hold, of four kinds, and the portable codes of the format.
//!
//! The kernel side looks codes up in one table made of [`natives`], and asks [`NumberBits`] before anything else.
//! Which calls are wanted is said elsewhere ([`crate::select`]).

use std::collections::BTreeSet;

use casebook_formats::tables;

/// Portable code of the call with this name.
pub(crate) fn code_of(name: &str) -> Option<u16> {
    tables::syscalls().iter().position(|call| call.name == name).map(|code| code as u16)
}

/// Portable codes of the calls of these names that this machine has.
pub(crate) fn named(names: &[&str]) -> BTreeSet<u16> {
    let here = natives().into_iter().map(|(_, code)| code).filter(|&code| code > 0);
    here.filter(|&code| tables::syscall(code).is_some_and(|call| names.contains(&call.name))).collect()
}

/// Native numbers: 64-bit calls from 0, 32-bit calls from 512, members of the 32-bit socketcall from 1024, x32 calls with
/// numbers of their own from 1056 on, as `bpf/maps.h` has them; with their portable codes.
pub(crate) fn natives() -> Vec<(u32, u16)> {
    let mut all: Vec<(u32, u16)> = Vec::new();
    for (code, call) in tables::syscalls().iter().enumerate() {
        if let Some(number) = call.x86_64.filter(|&number| number < 512) {
            all.push((u32::from(number), code as u16));
        }
    }
    for line in include_str!("../../tables/i386.tsv").lines().filter(|line| !line.starts_with('#')) {
        let Some((number, name)) = line.split_once('\t') else { continue };
        if let (Ok(number), Some(code)) = (number.parse::<u32>(), code_of(name)) {
            all.push((512 + number, code));
        }
    }
    for (number, name) in SOCKETCALLS.iter().enumerate() {
        if let Some(code) = code_of(name) {
            all.push((SOCKETCALL_MEMBERS + number as u32 + 1, code));
        }
    }
    for (number, name) in X32.iter().enumerate() {
        if let Some(code) = code_of(name) {
            all.push((X32_CALLS + number as u32, code));
        }
    }
    all
}

/// Number of the 32-bit socketcall, and where its members begin in the kernel side's table.
const SOCKETCALL: u32 = 102;
const SOCKETCALL_MEMBERS: u32 = 1024;
/// Where x32 calls with numbers of their own (from 512 on) begin there.
const X32_CALLS: u32 = 1056;

/// Bit n for the native number n, whichever kind of number that is: what the kernel side looks at before anything else.
pub(crate) type NumberBits = [u32; 16];

/// Which native numbers may be those of calls to record. Where calls that are in no table are wanted, any may.
pub(crate) fn wanted_numbers(wanted: &BTreeSet<u16>) -> NumberBits {
    if wanted.contains(&0) { [u32::MAX; 16] } else { number_bits(|code| wanted.contains(&code)) }
}

/// The numbers of the calls whose codes are chosen.
pub(super) fn number_bits(chosen: impl Fn(u16) -> bool) -> NumberBits {
    let mut bits = [0; 16];
    for (number, code) in natives() {
        // The 32-bit call that may be any socket call, by its argument.
        let number = match number {
            0..SOCKETCALL_MEMBERS => number % 512,
            SOCKETCALL_MEMBERS..X32_CALLS => SOCKETCALL,
            _ => number - X32_CALLS,
        };
        if chosen(code) {
            bits[(number / 32) as usize] |= 1 << (number % 32);
        }
    }
    bits
}

/// x32 calls that are others than the 64-bit calls, from 512 on (`asm/unistd_x32.h`): their structures hold pointers.
const X32: [&str; 36] = [
    "rt_sigaction",
    "rt_sigreturn",
    "ioctl",
    "readv",
    "writev",
    "recvfrom",
    "sendmsg",
    "recvmsg",
    "execve",
    "ptrace",
    "rt_sigpending",
    "rt_sigtimedwait",
    "rt_sigqueueinfo",
    "sigaltstack",
    "timer_create",
    "mq_notify",
    "kexec_load",
    "waitid",
    "set_robust_list",
    "get_robust_list",
    "vmsplice",
    "move_pages",
    "preadv",
    "pwritev",
    "rt_tgsigqueueinfo",
    "recvmmsg",
    "sendmmsg",
    "process_vm_readv",
    "process_vm_writev",
    "setsockopt",
    "getsockopt",
    "io_setup",
    "io_submit",
    "execveat",
    "preadv2",
    "pwritev2",
];

/// Members of the 32-bit socketcall, from 1 on (`linux/net.h`).
const SOCKETCALLS: [&str; 20] = [
    "socket",
    "bind",
    "connect",
    "listen",
    "accept",
    "getsockname",
    "getpeername",
    "socketpair",
    "send",
    "recv",
    "sendto",
    "recvfrom",
    "shutdown",
    "setsockopt",
    "getsockopt",
    "sendmsg",
    "recvmsg",
    "accept4",
    "recvmmsg",
    "sendmmsg",
];

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a failing test may panic

    use super::*;

    #[test]
    fn names_of_32_bit_calls_are_known() {
        let lines = include_str!("../../tables/i386.tsv").lines().filter(|line| !line.starts_with('#')).count();
        let compat = natives().iter().filter(|(number, _)| (512..1024).contains(number)).count();
        assert_eq!(lines, compat);
        let members = SOCKETCALL_MEMBERS..X32_CALLS;
        assert_eq!(natives().iter().filter(|(number, _)| members.contains(number)).count(), SOCKETCALLS.len());
    }

    #[test]
    fn x32_calls_with_numbers_of_their_own_are_known() {
        let all = natives();
        assert_eq!(all.iter().filter(|(number, _)| *number >= X32_CALLS).count(), X32.len());
        let name = |number: u32| {
            let found = all.iter().find(|(native, _)| *native == number - 512 + X32_CALLS).unwrap();
            tables::syscalls()[usize::from(found.1)].name
        };
        // By the kernel's header: execve 520, sendmmsg 538, pwritev2 547.
        assert_eq!([name(512), name(520), name(538), name(547)], ["rt_sigaction", "execve", "sendmmsg", "pwritev2"]);
        let header = include_str!("../../bpf/maps.h");
        assert!(header.contains(&format!("#define NATIVE_X32 {X32_CALLS}\n#define NATIVES {}\n", X32_CALLS + 36)));
    }

    #[test]
    fn only_numbers_of_wanted_calls_get_past_the_first_look() {
        let bits = |names: &[&str]| wanted_numbers(&names.iter().map(|name| code_of(name).unwrap()).collect());
        let set = |bits: NumberBits, number: usize| bits[number / 32] & 1 << (number % 32) != 0;
        // write: 1 of 64 bits, 4 of 32.
        let writes = bits(&["write"]);
        assert!(set(bits(&["writev"]), 516 % 512), "x32");
        assert!(set(writes, 1) && set(writes, 4));
        assert_eq!(writes.iter().map(|word| word.count_ones()).sum::<u32>(), 2);
        // connect: 42, 362 and the socketcall of 32 bits.
        let connects = bits(&["connect"]);
        assert!(set(connects, 42) && set(connects, 362) && set(connects, 102));
        assert_eq!(wanted_numbers(&[0].into()), [u32::MAX; 16], "numbers of no table can be any");
    }
}
