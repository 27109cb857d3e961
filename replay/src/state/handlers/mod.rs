//! What each event does to the state: one file per family of calls, one row per group of event types.
//!
//! Events without a row change nothing. Handlers follow Falco libs' parsers; where they do more, or keep something
//! unknown that libs makes up, their comments say so.

// Half of the event table by name, here and in the families' files.
#![allow(clippy::wildcard_imports)]

mod clone;
mod containers;
mod creds;
mod exec;
mod exit;
mod fds;
mod iter;
pub(crate) mod lost;
mod open;
mod process;
mod socket;
pub(crate) mod streams;
mod transfer;

use casebook_formats::event::EventType;
use casebook_formats::tables::ppme::*;

use super::State;
use super::step::Step;

/// What one event does.
pub(crate) type Handler = fn(&mut State, &mut Step<'_, '_>);

/// Event types about descriptors and memory, and other frequent ones: what they tell of processes goes through
/// [`State::change`], and lists of users count their changes themselves. A type that is missing here costs time and nothing else.
pub(crate) static QUIET: &[&[EventType]] = &[
    &[PPME_SYSCALL_BRK_4_X, PPME_SYSCALL_MMAP_X, PPME_SYSCALL_MMAP2_X, PPME_SYSCALL_MUNMAP_X],
    &[PPME_SYSCALL_ACCESS_X, PPME_GENERIC_X, PPME_SYSCALL_LSEEK_X, PPME_SYSCALL_IOCTL_3_X],
    &[PPME_SYSCALL_OPEN_X, PPME_SYSCALL_CREAT_X, PPME_SYSCALL_OPENAT_2_X, PPME_SYSCALL_OPENAT2_X],
    &[PPME_SYSCALL_CLOSE_X, PPME_SYSCALL_DUP_1_X, PPME_SYSCALL_DUP2_X, PPME_SYSCALL_DUP3_X, PPME_SYSCALL_FCNTL_X],
    &[PPME_SYSCALL_PIPE_X, PPME_SYSCALL_PIPE2_X, PPME_SYSCALL_BPF_2_X],
    &[PPME_SOCKET_SOCKET_X, PPME_SOCKET_CONNECT_X, PPME_SOCKET_ACCEPT_5_X, PPME_SOCKET_ACCEPT4_6_X],
    &[PPME_SYSCALL_READ_X, PPME_SYSCALL_READV_X, PPME_SYSCALL_PREAD_X, PPME_SYSCALL_PREADV_X],
    &[PPME_SOCKET_RECV_X, PPME_SOCKET_RECVFROM_X, PPME_SOCKET_RECVMSG_X, PPME_SOCKET_RECVMMSG_X],
    &[PPME_SYSCALL_WRITE_X, PPME_SYSCALL_WRITEV_X, PPME_SYSCALL_PWRITE_X, PPME_SYSCALL_PWRITEV_X],
    &[PPME_USER_ADDED_E, PPME_USER_DELETED_E, PPME_GROUP_ADDED_E, PPME_GROUP_DELETED_E],
    &[PPME_SYSCALL_PRCTL_X, PPME_SYSCALL_PRLIMIT_X, PPME_SYSCALL_GETRLIMIT_X, PPME_SYSCALL_SETRLIMIT_X],
    &[PPME_SYSCALL_GETEUID_X, PPME_SYSCALL_GETEGID_X, PPME_SYSCALL_GETRESUID_X, PPME_SYSCALL_GETRESGID_X],
    &[PPME_SOCKET_SEND_X, PPME_SOCKET_SENDTO_X, PPME_SOCKET_SENDMSG_X, PPME_SOCKET_SENDMMSG_X],
];

/// Event types and their handlers.
pub(crate) static HANDLERS: &[(&[EventType], Handler)] = &[
    // Enter halves that their exits may need.
    (
        &[
            PPME_SYSCALL_OPEN_E,
            PPME_SYSCALL_CREAT_E,
            PPME_SYSCALL_OPENAT_2_E,
            PPME_SYSCALL_OPENAT2_E,
            PPME_SYSCALL_EXECVE_19_E,
            PPME_SYSCALL_EXECVEAT_E,
            PPME_SOCKET_CONNECT_E,
        ],
        open::enter,
    ),
    // Threads.
    (&[PPME_SYSCALL_CLONE_20_X, PPME_SYSCALL_FORK_20_X, PPME_SYSCALL_VFORK_20_X, PPME_SYSCALL_CLONE3_X], clone::cloned),
    (&[PPME_SYSCALL_EXECVE_19_X, PPME_SYSCALL_EXECVEAT_X], exec::executed),
    (&[PPME_PROCEXIT_1_E], exit::exited),
    (&[PPME_SYSCALL_PRCTL_X], process::prctl),
    (&[PPME_SYSCALL_SETSID_X], process::setsid),
    (&[PPME_SYSCALL_SETPGID_X], process::setpgid),
    (&[PPME_SYSCALL_CHDIR_X, PPME_SYSCALL_GETCWD_X], process::chdir),
    (&[PPME_SYSCALL_FCHDIR_X], process::fchdir),
    (&[PPME_SYSCALL_CHROOT_X], process::chroot),
    (&[PPME_SYSCALL_GETRLIMIT_X, PPME_SYSCALL_SETRLIMIT_X], process::rlimit),
    (&[PPME_SYSCALL_PRLIMIT_X], process::prlimit),
    (&[PPME_SCHEDSWITCH_6_E], process::switched),
    (&[PPME_PROCINFO_E], process::ticks_told),
    (
        &[PPME_SYSCALL_BRK_4_X, PPME_SYSCALL_MMAP_X, PPME_SYSCALL_MMAP2_X, PPME_SYSCALL_MUNMAP_X],
        process::memory_changed,
    ),
    (&[PPME_DROP_E], process::dropped),
    // What only tells of others that are missing.
    (&[PPME_SYSCALL_ACCESS_X], lost::file_asked_for),
    (&[PPME_GENERIC_X], lost::other_call),
    (&[PPME_SYSCALL_LSEEK_X, PPME_SYSCALL_IOCTL_3_X], lost::nature_told),
    (
        &[PPME_SYSCALL_GETEUID_X, PPME_SYSCALL_GETEGID_X, PPME_SYSCALL_GETRESUID_X, PPME_SYSCALL_GETRESGID_X],
        lost::ids_asked,
    ),
    // Credentials.
    (&[PPME_SYSCALL_SETUID_X], creds::setuid),
    (&[PPME_SYSCALL_SETGID_X], creds::setgid),
    (&[PPME_SYSCALL_SETREUID_X, PPME_SYSCALL_SETRESUID_X], creds::setreuid),
    (&[PPME_SYSCALL_SETREGID_X, PPME_SYSCALL_SETRESGID_X], creds::setregid),
    (&[PPME_SYSCALL_CAPSET_X], creds::capset),
    (&[PPME_SYSCALL_UNSHARE_X, PPME_SYSCALL_SETNS_X], creds::namespaces_changed),
    (&[PPME_USER_ADDED_E, PPME_USER_DELETED_E, PPME_GROUP_ADDED_E, PPME_GROUP_DELETED_E], creds::user_list_changed),
    // Files.
    (
        &[
            PPME_SYSCALL_OPEN_X,
            PPME_SYSCALL_CREAT_X,
            PPME_SYSCALL_OPENAT_2_X,
            PPME_SYSCALL_OPENAT2_X,
            PPME_SYSCALL_OPEN_BY_HANDLE_AT_X,
        ],
        open::opened,
    ),
    // Descriptors.
    (&[PPME_SYSCALL_CLOSE_X], fds::closed),
    (&[PPME_SYSCALL_CLOSE_RANGE_X], fds::close_range),
    (&[PPME_SYSCALL_DUP_1_X, PPME_SYSCALL_DUP2_X, PPME_SYSCALL_DUP3_X], fds::duplicated),
    (&[PPME_SYSCALL_FCNTL_X], fds::fcntl),
    (&[PPME_SYSCALL_PIPE_X, PPME_SYSCALL_PIPE2_X], fds::pipe),
    (
        &[
            PPME_SYSCALL_EVENTFD_X,
            PPME_SYSCALL_EVENTFD2_X,
            PPME_SYSCALL_SIGNALFD_X,
            PPME_SYSCALL_SIGNALFD4_X,
            PPME_SYSCALL_TIMERFD_CREATE_X,
            PPME_SYSCALL_INOTIFY_INIT_X,
            PPME_SYSCALL_INOTIFY_INIT1_X,
            PPME_SYSCALL_USERFAULTFD_X,
            PPME_SYSCALL_IO_URING_SETUP_X,
            PPME_SYSCALL_EPOLL_CREATE_X,
            PPME_SYSCALL_EPOLL_CREATE1_X,
        ],
        fds::special,
    ),
    (&[PPME_SYSCALL_BPF_2_X], fds::bpf),
    (&[PPME_SYSCALL_MEMFD_CREATE_X], fds::memfd),
    (&[PPME_SYSCALL_PIDFD_OPEN_X], fds::pidfd_open),
    (&[PPME_SYSCALL_PIDFD_GETFD_X], fds::pidfd_getfd),
    // Sockets.
    (&[PPME_SOCKET_SOCKET_X], socket::made),
    (&[PPME_SOCKET_SOCKETPAIR_X], socket::pair_made),
    (&[PPME_SOCKET_BIND_X], socket::bound),
    (&[PPME_SOCKET_CONNECT_X], socket::connected),
    (&[PPME_SOCKET_ACCEPT_5_X, PPME_SOCKET_ACCEPT4_6_X], socket::accepted),
    (&[PPME_SOCKET_GETSOCKOPT_X], socket::getsockopt),
    (
        &[
            PPME_SYSCALL_READ_X,
            PPME_SYSCALL_READV_X,
            PPME_SYSCALL_PREAD_X,
            PPME_SYSCALL_PREADV_X,
            PPME_SOCKET_RECV_X,
            PPME_SOCKET_RECVFROM_X,
            PPME_SOCKET_RECVMSG_X,
            PPME_SOCKET_RECVMMSG_X,
        ],
        transfer::received,
    ),
    (
        &[
            PPME_SYSCALL_WRITE_X,
            PPME_SYSCALL_WRITEV_X,
            PPME_SYSCALL_PWRITE_X,
            PPME_SYSCALL_PWRITEV_X,
            PPME_SOCKET_SEND_X,
            PPME_SOCKET_SENDTO_X,
            PPME_SOCKET_SENDMSG_X,
            PPME_SOCKET_SENDMMSG_X,
        ],
        transfer::sent,
    ),
    // Containers.
    (&[PPME_CONTAINER_E, PPME_CONTAINER_JSON_E, PPME_CONTAINER_JSON_2_E, PPME_ASYNCEVENT_E], containers::described),
    // Initial state read by kernel iterators.
    (&[PPME_ITER_TASK_E], iter::task),
    (
        &[
            PPME_ITER_TASK_FILE_PIPE_E,
            PPME_ITER_TASK_FILE_MEMFD_E,
            PPME_ITER_TASK_FILE_REGULAR_E,
            PPME_ITER_TASK_FILE_DIRECTORY_E,
            PPME_ITER_TASK_FILE_SOCKET_INET_E,
            PPME_ITER_TASK_FILE_SOCKET_INET6_E,
            PPME_ITER_TASK_FILE_SOCKET_UNIX_E,
            PPME_ITER_TASK_FILE_SOCKET_NETLINK_E,
            PPME_ITER_TASK_FILE_ANON_INODE_E,
        ],
        iter::file,
    ),
];
