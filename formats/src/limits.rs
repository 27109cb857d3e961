//! Bounds that hold for every input, however hostile. A length read from a file is compared with one of these, or
//! with the bytes that are really there, before anything is allocated or skipped.

/// Largest block the reader accepts. Process lists of large hosts reach some 100 MiB; nothing else comes near.
pub const MAX_BLOCK: usize = 256 << 20;

/// Largest normal event block, whole: libs accepts 65,536 bytes after the first eight.
pub const MAX_EVENT_BLOCK: usize = 65_536 + 8;

/// Bytes of uncompressed input held at a time while blocks are small.
pub const READ_BUFFER: usize = 256 << 10;

/// Compressed input read at a time.
pub const INPUT_BUFFER: usize = 128 << 10;

/// How far into an input without a section header the reader looks for a block before it says *not scap*.
pub const HEAD_SEARCH: usize = 64 << 10;

/// Entries kept of one process, fd, user or interface list; twice the largest `threads-max` seen in practice.
pub const MAX_LIST_ENTRIES: usize = 1 << 20;

/// Enter halves waiting for their exit. Beyond it the older half is given up, and its exits count as lost halves.
pub const MAX_ENTER_HALVES: usize = 1 << 16;

/// Bytes of parameters that waiting enter halves may hold together.
pub const MAX_ENTER_BYTES: usize = 64 << 20;

/// Most parameters of an event that is looked for rather than read: where reading resumes after damage, and in v1
/// blocks, which do not store the count. The table's longest row has 32.
pub const MAX_PARAMS: usize = 64;

/// Steps of one event's conversion chain; the longest real one has 16.
pub const MAX_CONVERSION_STEPS: usize = 50;

/// Comments kept of one section header.
pub const MAX_COMMENTS: usize = 64;

/// Names, paths and host names in process and fd lists: libs refuses longer ones.
pub const MAX_PATH: usize = 1024;

/// `args`, `env` and `cgroups` in process lists.
pub const MAX_ARGS: usize = 4096;

/// User and group names, homes and shells: libs refuses 256 and more.
pub const MAX_USER_TEXT: usize = 255;
