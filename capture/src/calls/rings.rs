//! Operations of `io_uring`: which call does the same, and which member of a queue entry is which argument of it.
//!
//! Operations that no rule can look at (timeouts, polls, advice) and those of no call with an event are left out.

use super::code_of;

/// Where an argument comes from; the numbers are those of `bpf/maps.h`.
#[derive(Clone, Copy)]
#[repr(u8)]
enum Member {
    Nothing = 0,
    Fd = 1,
    Addr = 2,
    Off = 3,
    Len = 4,
    Flags = 5,
}

/// Where the kernel keeps its own copy of the paths; the numbers are those of `bpf/maps.h`.
#[derive(Clone, Copy)]
#[repr(u8)]
enum Names {
    None = 0,
    Open = 1,
    Unlink = 2,
    Rename = 3,
    Mkdir = 4,
}

use Member::{Addr, Fd, Flags, Len, Nothing, Off};

/// Opcode (`linux/io_uring.h`), call, paths, arguments.
const OPERATIONS: &[(u32, &str, Names, [Member; 5])] = &[
    (1, "readv", Names::None, [Fd, Addr, Len, Nothing, Nothing]),
    (2, "writev", Names::None, [Fd, Addr, Len, Nothing, Nothing]),
    // READ_FIXED, WRITE_FIXED: the buffer was registered before, its address is the same.
    (4, "read", Names::None, [Fd, Addr, Len, Nothing, Nothing]),
    (5, "write", Names::None, [Fd, Addr, Len, Nothing, Nothing]),
    (9, "sendmsg", Names::None, [Fd, Addr, Flags, Nothing, Nothing]),
    (10, "recvmsg", Names::None, [Fd, Addr, Flags, Nothing, Nothing]),
    (13, "accept4", Names::None, [Fd, Addr, Off, Flags, Nothing]),
    (16, "connect", Names::None, [Fd, Addr, Off, Nothing, Nothing]),
    (18, "openat", Names::Open, [Fd, Addr, Flags, Len, Nothing]),
    (19, "close", Names::None, [Fd, Nothing, Nothing, Nothing, Nothing]),
    (22, "read", Names::None, [Fd, Addr, Len, Nothing, Nothing]),
    (23, "write", Names::None, [Fd, Addr, Len, Nothing, Nothing]),
    // SEND, RECV: without an address of the other side.
    (26, "sendto", Names::None, [Fd, Addr, Len, Flags, Nothing]),
    (27, "recvfrom", Names::None, [Fd, Addr, Len, Flags, Nothing]),
    (28, "openat2", Names::Open, [Fd, Addr, Off, Len, Nothing]),
    (34, "shutdown", Names::None, [Fd, Len, Nothing, Nothing, Nothing]),
    (35, "renameat2", Names::Rename, [Fd, Addr, Len, Off, Flags]),
    (36, "unlinkat", Names::Unlink, [Fd, Addr, Flags, Nothing, Nothing]),
    (37, "mkdirat", Names::Mkdir, [Fd, Addr, Len, Nothing, Nothing]),
    (38, "symlinkat", Names::None, [Addr, Fd, Off, Nothing, Nothing]),
    (39, "linkat", Names::None, [Fd, Addr, Len, Off, Flags]),
    (45, "socket", Names::None, [Fd, Off, Len, Nothing, Nothing]),
    // SEND_ZC, SENDMSG_ZC, READ_MULTISHOT.
    (47, "sendto", Names::None, [Fd, Addr, Len, Flags, Nothing]),
    (48, "sendmsg", Names::None, [Fd, Addr, Flags, Nothing, Nothing]),
    (49, "read", Names::None, [Fd, Addr, Len, Nothing, Nothing]),
    (56, "bind", Names::None, [Fd, Addr, Off, Nothing, Nothing]),
    (57, "listen", Names::None, [Fd, Len, Nothing, Nothing, Nothing]),
];

/// Bytes of `struct operation`.
pub(crate) const OPERATION: usize = 12;

/// Opcodes and what the kernel side has to know of them: `struct operation` of `bpf/maps.h`.
pub(crate) fn operations() -> impl Iterator<Item = (u32, [u8; OPERATION])> {
    OPERATIONS.iter().filter_map(|(opcode, name, names, args)| {
        let code = code_of(name)?;
        let mut bytes = [0; OPERATION];
        bytes[..2].copy_from_slice(&code.to_le_bytes());
        bytes[2] = *names as u8;
        for (byte, arg) in bytes[4..].iter_mut().zip(args) {
            *byte = *arg as u8;
        }
        Some((*opcode, bytes))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_is_a_call_with_an_event() {
        assert_eq!(operations().count(), OPERATIONS.len());
        let calls = crate::calls::Calls::new();
        for (_, bytes) in operations() {
            assert!(calls.get(u16::from_le_bytes([bytes[0], bytes[1]])).is_some());
        }
        assert!(OPERATIONS.iter().all(|(opcode, ..)| *opcode < 64), "room of the kernel side's table");
    }
}
