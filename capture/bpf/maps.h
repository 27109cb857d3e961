/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Settings, tables and counters that the kernel side shares with the user side, and the place where a record is put
 * together. src/probe.rs fills and reads them. */
#ifndef CASEBOOK_MAPS_H
#define CASEBOOK_MAPS_H

#include "kernel.h"
#include "record.h"

/* Settings, put in before loading. */
struct config {
	u32 self; /* process id of the recorder: never recorded */
	u32 snaplen; /* bytes of a buffer that are kept */
	u32 pids, cgroups, comms, uids; /* kinds of entries in a filter: FILTER_* */
	u32 by_name; /* the filter names containers by what only their runtimes know */
	u32 meet; /* threads can come into the recording otherwise than by being born there */
	u32 id_lengths[16]; /* lengths of the ids that the filter names containers by, then 0 */
	u32 guarded[16]; /* bit n: native number n, of 64 or of 32 bits, may be that of a guarded call */
	u32 wanted[16]; /* the same of the calls to record */
};

#define FILTER_ONLY 1
#define FILTER_EXCEPT 2
#define FILTER_NEITHER 3 /* of a cgroup: looked at, and not named */
#define FILTER_UNDECIDED 4 /* of a container's cgroup: perhaps */

const volatile struct config config = {};

#define CODES 512
#define FETCHES 6

/* What is fetched for a call; the user side derives it from its table of calls. */
struct fetch {
	u8 kind;
	u8 arg;
	u8 when;
	u8 size;
};

struct plan {
	u8 want;
	u8 class;
	u8 fetches;
	u8 guard; /* what it is given is read when it begins, too */
	struct fetch fetch[FETCHES];
};

enum class {
	CLASS_PLAIN = 0, /* numbers only */
	CLASS_FETCH = 1,
	CLASS_CLONE = 2,
	CLASS_EXEC = 3,
	CLASS_MESSAGES = 4,
	CLASS_DATA = 5, /* numbers, and the bytes of one buffer */
	CLASSES = 6,
};

enum fetch_kind {
	FETCH_STR = 1, /* text at arg */
	FETCH_DATA_RET = 2, /* buffer at arg; its length is the result */
	FETCH_DATA_ARG = 3, /* buffer at arg; its length is the next argument */
	FETCH_IOV = 4, /* vector at arg, count in the next; bytes: the result */
	FETCH_MSG = 5, /* struct msghdr at arg */
	FETCH_MSGS = 6, /* array of struct mmsghdr at arg: class CLASS_MESSAGES makes a record of each */
	FETCH_ADDR = 7, /* socket address at arg, its length in the next argument */
	FETCH_ADDR_BACK = 8, /* socket address at arg, a pointer to its length in the next argument */
	FETCH_BYTES = 9, /* size bytes at arg */
	FETCH_FILE = 10, /* what the descriptor in arg refers to; arg 7: the result */
	FETCH_SOCK = 11,
	FETCH_PAIR = 12, /* two descriptors at arg: numbers, and sockets or inode */
	FETCH_POLL = 13, /* array of struct pollfd at arg, count in the next */
	FETCH_PATH = 14, /* path of the descriptor in arg */
	FETCH_TASK = 15, /* the calling thread */
	FETCH_LISTENER = 16, /* the socket in arg, beside that of FETCH_SOCK */
};

enum when {
	WHEN_ALWAYS = 0,
	WHEN_DONE = 1, /* the call succeeded, or is under way (EINPROGRESS) */
	WHEN_FAILED = 2,
};

#define ARG_RET 7

struct {
	__uint(type, MAP_ARRAY);
	__uint(max_entries, CODES);
	__type(key, u32);
	__type(value, struct plan);
} plans SEC(".maps");

/* Portable code of a native number; 64-bit calls first, 32-bit calls from 512 on, members of the 32-bit socketcall
 * from 1024 on, x32 calls with numbers of their own (512 to 547) from 1056 on. 0: unknown. */
#define NATIVE_COMPAT 512
#define NATIVE_SOCKETCALL 1024
#define NATIVE_X32 1056
#define NATIVES 1092
#define COMPAT_SOCKETCALL 102

struct {
	__uint(type, MAP_ARRAY);
	__uint(max_entries, NATIVES);
	__type(key, u32);
	__type(value, u16);
} natives SEC(".maps");

struct {
	__uint(type, MAP_RINGBUF);
	__uint(max_entries, 32 << 20);
} events SEC(".maps");

struct {
	__uint(type, MAP_PROG_ARRAY);
	__uint(max_entries, CLASSES);
	__type(key, u32);
	__type(value, u32);
} classes SEC(".maps");

enum counter {
	COUNT_NOTHING = 0,
	COUNT_RING_FULL, /* lost */
	COUNT_SCRATCH, /* lost: another program was at work on this CPU */
	COUNT_TAIL_CALL, /* lost: no program for its class */
	COUNT_CUT, /* items that found no room or were longer than their limit */
	COUNT_FAULT, /* items whose memory could not be read */
	COUNT_FILTERED, /* calls that a filter left out */
	COUNT_UNKNOWN, /* calls whose number the table does not have */
	COUNTERS,
};

struct counters {
	u64 n[16];
	u64 seq;
};

struct {
	__uint(type, MAP_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct counters);
} counts SEC(".maps");

/* FILTER_* of each process, two bits a number, 32 numbers a word; children inherit their parent's. A table of all there
 * can be (PID_MAX_LIMIT): looking into it is far cheaper than into a hash, and it cannot be full. */
#define PIDS_SHIFT 5
#define PIDS_WORDS ((1 << 22) >> PIDS_SHIFT)

struct {
	__uint(type, MAP_ARRAY);
	__uint(max_entries, PIDS_WORDS);
	__type(key, u32);
	__type(value, u64);
} pids SEC(".maps");

struct {
	__uint(type, MAP_HASH);
	__uint(max_entries, 1024);
	__type(key, u64);
	__type(value, u8);
} cgroups SEC(".maps");

/* Containers that the filter names by an id or its beginning, their value FILTER_*. */
#define ID 64

struct id_start {
	u32 len;
	char text[ID];
};

struct {
	__uint(type, MAP_HASH);
	__uint(max_entries, 256);
	__type(key, struct id_start);
	__type(value, u8);
} ids SEC(".maps");

/* What came of looking at a cgroup and those above it, by its number. */
struct verdict {
	u32 turn; /* of the filter, when that was */
	u16 mode; /* FILTER_ONLY, FILTER_EXCEPT, 0: not named */
	u16 undecided; /* it may be one that is named: only its runtime knows. Otherwise `mode` holds */
	u32 container; /* then: lower half of the number of the cgroup in question */
};

struct {
	__uint(type, MAP_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, u64);
	__type(value, struct verdict);
} verdicts SEC(".maps");

/* What the user side changes while recording. */
struct live {
	u32 turn; /* one more for each change of `cgroups` */
	u32 meet; /* the snapshot is taken: who is not in it has to be told */
};

struct {
	__uint(type, MAP_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct live);
} lives SEC(".maps");

/* Threads of which the capture tells who they are. */
struct {
	__uint(type, MAP_HASH);
	__uint(max_entries, 65536);
	__type(key, u32);
	__type(value, u8);
} met SEC(".maps");

struct comm {
	char text[16];
};

struct {
	__uint(type, MAP_HASH);
	__uint(max_entries, 256);
	__type(key, struct comm);
	__type(value, u8);
} comms SEC(".maps");

struct {
	__uint(type, MAP_HASH);
	__uint(max_entries, 1024);
	__type(key, u32);
	__type(value, u8);
} uids SEC(".maps");

/* Records are built here: position below ROOM at the start of an item, so that one of ITEM_MAX always fits. */
#define ROOM 16384
#define ITEM_MAX 8192

struct scratch {
	u32 pos;
	u32 busy;
	u64 task; /* whose descriptors are meant; 0: the current thread's */
	u64 file; /* what numbers from DIRECT on refer to, 0: not known */
	u8 buf[ROOM + ITEM_MAX + 64];
};

/* Entry 0 for events, 1 for snapshots, which events may interrupt. */
#define FOR_EVENT 0
#define FOR_SNAPSHOT (1 << 16)

struct {
	__uint(type, MAP_PERCPU_ARRAY);
	__uint(max_entries, 2);
	__type(key, u32);
	__type(value, struct scratch);
} scratches SEC(".maps");

/* What calls were given when they began, by thread: a program may change the memory before the call returns. */
#define GUARD_TEXT 512
#define GUARD_SLOTS 2

struct guard_slot {
	u8 kind; /* of the item; 0: nothing, or it could not be read */
	u8 place;
	u16 len;
	u8 text[GUARD_TEXT];
};

struct guard {
	u32 code; /* of the call under way, 0: none */
	u32 spare;
	u64 args[6];
	struct guard_slot slots[GUARD_SLOTS];
};

struct {
	__uint(type, MAP_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, u32);
	__type(value, struct guard);
} guards SEC(".maps");

/* Operations of io_uring, by opcode: the call that does the same, and which member of the entry is which argument. */
#define OPERATIONS 64

enum operation_source {
	FROM_NOTHING = 0,
	FROM_FD,
	FROM_ADDR,
	FROM_OFF,
	FROM_LEN,
	FROM_FLAGS,
};

struct operation {
	u16 code; /* 0: not recorded */
	u8 names; /* NAMES_*: where the kernel keeps its own copy of the paths */
	u8 spare;
	u8 args[8]; /* FROM_*; six are used */
};

enum operation_names {
	NAMES_NONE = 0,
	NAMES_OPEN,
	NAMES_UNLINK,
	NAMES_RENAME,
	NAMES_MKDIR,
};

struct {
	__uint(type, MAP_ARRAY);
	__uint(max_entries, OPERATIONS);
	__type(key, u32);
	__type(value, struct operation);
} operations SEC(".maps");

/* Operations that were submitted and have not ended: their records as far as they were known then. */
#define PENDING_ROOM 8192

struct pending_key {
	u64 ring; /* kernel address */
	u64 request; /* kernel address, or what the program calls it where the kernel tells no more */
};

struct pending {
	u64 task; /* who submitted it */
	u64 request; /* kernel address, 0: not known */
	u32 len;
	u32 spare;
	u8 buf[PENDING_ROOM];
};

struct {
	__uint(type, MAP_LRU_HASH);
	__uint(max_entries, 512);
	__type(key, struct pending_key);
	__type(value, struct pending);
} pendings SEC(".maps");

/* What is too large for the stack, which a chain of functions shares. */
struct blank {
	struct guard guard;
	struct pending pending;
	struct queue_entry entry;
};

struct {
	__uint(type, MAP_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct blank);
} blanks SEC(".maps");

/* The place of a process in its word of `pids`. */
__inline u32 pid_shift(u32 pid)
{
	return (pid & ((1 << PIDS_SHIFT) - 1)) * 2;
}

__inline u64 *pid_word(u32 pid)
{
	u32 word = pid >> PIDS_SHIFT;
	return bpf_map_lookup_elem(&pids, &word);
}

__inline u8 pid_mode(u32 pid)
{
	u64 *word = pid_word(pid);
	return word ? *word >> pid_shift(pid) & 3 : 0;
}

/* Nobody else changes the bits of this process meanwhile, but perhaps those beside them. */
__inline void set_pid_mode(u32 pid, u8 mode)
{
	u64 *word = pid_word(pid);

	if (word)
		__sync_fetch_and_add(word, ((u64)mode << pid_shift(pid)) - (*word & (u64)3 << pid_shift(pid)));
}

__inline struct scratch *scratch_of(u32 to)
{
	u32 index = to >> 16;
	return bpf_map_lookup_elem(&scratches, &index);
}

/* The record that `take` began on this CPU; leaves the function where there is none. */
#define UNDER_WAY(s, head)                                                                                             \
	struct scratch *s = scratch_of(FOR_EVENT);                                                                         \
	struct head *head;                                                                                                 \
                                                                                                                       \
	if (!s)                                                                                                            \
		return 0;                                                                                                      \
	head = (void *)s->buf

__inline struct counters *counters(void)
{
	u32 zero = 0;
	return bpf_map_lookup_elem(&counts, &zero);
}

__inline void count(u32 which)
{
	struct counters *c = counters();
	if (c && which < 16)
		c->n[which]++;
}

#endif
