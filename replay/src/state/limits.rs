//! How much state a capture may make us keep. Captures come from compromised hosts: every table has an end.

/// Threads at one moment.
pub const MAX_THREADS: usize = 1 << 18;
/// Descriptors of one table. Proxies and databases hold a hundred thousand.
pub const MAX_FDS: usize = 1 << 17;
/// Descriptors of a table that are looked through for the other end of a pipe: those who put their streams together are
/// shells, and have a handful.
pub const MAX_FDS_SEARCHED: usize = 1 << 10;
/// Numbers that one open of a capture with losses leaves behind as open and unknown: the usual limit of descriptors of a
/// process, so that what passes over more is no program. What lies beyond has no record and is as unknown, because
/// counts of descriptors are unknown after a loss anyway.
pub const MAX_FDS_PASSED_OVER: usize = 1 << 10;
/// Records looked at for each event when the ends of sockets in lists of descriptors are sorted out: all are looked at,
/// and then not again before so many events that this holds.
pub const SETTLED_PER_EVENT: usize = 64;
/// Descriptors of all tables together, those that a fork copied included: a full table, forked by everybody, must not
/// become a full table for everybody. Large hosts have some hundred thousand.
pub const MAX_FDS_TOGETHER: usize = 1 << 21;
/// Length of a path put together from a directory and a name; longer ones are cut. The kernel's own bound is the same
/// (`PATH_MAX`); without it every descriptor could have a name as long as the working directory.
pub const MAX_PATH: usize = 4096;
/// Children of a process looked at for one that is meant by an id of another namespace.
pub const MAX_CHILDREN_SEARCHED: usize = 4096;
/// How often a thread may be handed over to another parent, as its own exits; after that its parent is unknown. Programs of
/// many threads hand their children from thread to thread; no other process sees it more than a few times.
pub const MAX_PARENTS: u16 = 1 << 10;
/// Threads of a process looked at for a living one: who is dead and still there is its leader, or comes from a list.
pub const MAX_THREADS_SEARCHED: usize = 1 << 10;
/// Containers at one moment.
pub const MAX_CONTAINERS: usize = 1 << 14;
/// Users or groups of one container (or of the host).
pub const MAX_USERS: usize = 1 << 16;
/// Containers that have a user list of their own.
pub const MAX_USER_LISTS: usize = 1 << 12;
/// Length of a text; longer ones are cut. Parameters of events cannot be longer, snapshots' texts neither.
pub const MAX_TEXT: usize = 1 << 16;
/// Bytes of all texts of threads and descriptors together: a hundred times what busy hosts have.
pub const TEXT_BUDGET: usize = 256 << 20;
/// Bytes of new texts after which all are weighed.
pub const TEXT_CHECK: usize = 64 << 20;
/// Length of a text while there are more than [`TEXT_BUDGET`].
pub const SHORT_TEXT: usize = 256;
/// Length of a container's metadata.
pub const MAX_CONTAINER_JSON: usize = 4 << 20;
/// Mounts, labels, variables or arguments of one container, each.
pub const MAX_CONTAINER_ITEMS: usize = 4096;
/// Exits remembered for clone events that come after the exit of the child they made.
pub const RECENT_EXITS: usize = 256;
/// Time in ns after which an exit or a clone no longer explains an event of the same tid: the number was used again.
pub const STALE_AFTER: u64 = 2_000_000_000;
