/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* What the kernel side hands to the user side: one record an event, a head and items. Mirrored by src/record.rs,
 * whose tests compare the sizes. All numbers in the machine's byte order. */
#ifndef CASEBOOK_RECORD_H
#define CASEBOOK_RECORD_H

#include "helpers.h"

enum record_kind {
	KIND_CALL = 1, /* a system call returned */
	KIND_EXEC = 2, /* a program was started (successful execve, execveat) */
	KIND_EXIT = 3, /* a thread ended; ret: its exit code */
	KIND_TASK = 4, /* snapshot: a thread */
	KIND_FILE = 5, /* snapshot: a descriptor; args[0]: its number */
};

/* Bits of head.flags. */
#define HEAD_COMPAT 1 /* 32-bit call on a 64-bit kernel */
#define HEAD_LAST 2 /* exit: the last thread of its process */
#define HEAD_CUT 4 /* some item found no room */
#define HEAD_RING 8 /* asked for through io_uring; args are those of the call that does the same */
#define HEAD_UNDECIDED 16 /* of a container that may be one that the filter names: cgroup */
#define HEAD_OTHERWISE 64 /* with it: belongs into the recording also if that container is not named */
#define HEAD_JOINED 32 /* no call: a thread that came into the recording tells who it is, in the form of a child's clone */

#define HEAD_X32 128 /* x32 call with a number of its own: its structures are those of 32 bits, its registers are not */
#define HEAD_REGISTERED 256 /* of io_uring, on a file that is registered with the ring */
#define HEAD_DIRECT 512 /* of io_uring: what it opens gets a place of the ring's table and no descriptor */

/* Numbers for places in a ring's table of files, in place of a descriptor's: from here on. */
#define DIRECT (1 << 30)

struct head {
	u32 len; /* of the record, head included */
	u16 kind;
	u16 code; /* portable number of the call (formats/tables/syscalls.tsv) */
	u64 ts; /* since boot, ns, suspended time included */
	u64 seq; /* of this CPU, counted also where the record is lost */
	u16 cpu;
	u16 flags;
	u32 tgid;
	u32 tid;
	u32 cgroup; /* with HEAD_UNDECIDED: lower half of the number of the container's cgroup */
	s64 ret;
	u64 args[6];
};

/* An item: kind, place (argument number, and the bits below), length of the bytes that follow. */
struct item {
	u8 kind;
	u8 place;
	u16 len;
};

#define ITEM_PLACE 0x07
#define ITEM_CUT 0x40 /* there was more */
#define ITEM_FAULT 0x80 /* memory could not be read */

enum item_kind {
	ITEM_STR = 1, /* text of an argument, without NUL */
	ITEM_DATA = 2, /* bytes of a buffer, up to the snapshot length */
	ITEM_BYTES = 3, /* a structure the argument points to */
	ITEM_ADDR = 4, /* socket address given by or to the program */
	ITEM_FILE = 5, /* struct file_item */
	ITEM_SOCK = 6, /* struct sock_item */
	ITEM_UNIX_SELF = 7, /* name of a unix socket */
	ITEM_UNIX_PEER = 8,
	ITEM_TASK = 9, /* struct task_item */
	ITEM_ARGS = 10, /* arguments, each ends with NUL */
	ITEM_ENV = 11,
	ITEM_CWD = 12, /* path: components, leaf first, each ends with NUL */
	ITEM_EXE = 13,
	ITEM_CGROUP = 14, /* version 2 */
	ITEM_CGROUP_V1 = 15, /* of the memory controller */
	ITEM_FILENAME = 16,
	ITEM_PATH = 17, /* of a descriptor */
	ITEM_CONTROL = 18, /* control messages */
	ITEM_ROOT = 19,
	ITEM_SOCK_PEER = 20, /* struct sock_item of the second of a pair */
	ITEM_ENTER_STR = 21, /* text of an argument as it was when the call began, its first GUARD_TEXT - 1 bytes */
	ITEM_ENTER_ADDR = 22,
	ITEM_SIZE = 23, /* length of a vector of buffers, eight bytes */
};

struct file_item {
	u64 ino;
	u64 ctime, mtime; /* ns since the epoch */
	u32 dev; /* kernel's form: major << 20 | minor */
	u32 uid, gid;
	u32 nlink;
	u32 f_flags;
	u16 mode;
	u8 layer; /* 0 not an overlay, 1 lower, 2 upper */
	u8 bits;
	u32 magic; /* of the file system */
	u32 spare;
};

#define FILE_CREATED 1 /* by this open */
#define FILE_READONLY 2 /* file system or inode cannot be written */

struct sock_item {
	u64 sk, peer; /* kernel addresses; peer: unix only */
	u16 family, type, protocol;
	u8 state;
	u8 spare;
	u16 lport, rport; /* host order, network order */
	u32 queue, queue_max;
	u8 laddr[16], raddr[16];
	u32 spare2;
};

struct task_item {
	u64 start; /* since boot, ns */
	u64 pidns_start; /* start of the namespace's first process */
	u64 cap_inheritable, cap_permitted, cap_effective;
	u64 fdlimit, maj_flt, min_flt;
	u64 cgroup_id; /* not in snapshots */
	u32 tid, tgid, ptid, sid, pgid, vpgid, vtid, vpid;
	u32 uid, gid, euid, egid, fsuid, fsgid, loginuid;
	u32 tty;
	u32 vm_size, vm_rss, vm_swap; /* KiB */
	u32 level; /* of the pid namespace, 0 the host's */
	u32 flags; /* PF_* */
	u32 children_level; /* of the pid namespace its children are born into */
	char comm[16];
};

#endif
