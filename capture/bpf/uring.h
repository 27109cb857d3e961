/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Operations asked for through io_uring never pass the tracepoints of calls. What is submitted becomes the beginning of
 * a record of the call that does the same, and waits; when it completes, the result and what came with it are added.
 * The tracepoints have had three forms each; the user side attaches the first that the kernel takes. */
#ifndef CASEBOOK_URING_H
#define CASEBOOK_URING_H

#include "guard.h"

#define PF_IO_WORKER 0x10
#define SQE_FIXED_FILE 1
#define SQE_SKIP_SUCCESS 64
#define RING_LARGE_ENTRIES 1024
#define CQE_MORE 2

/* The entry that was taken from the queue last. */
__inline bool entry_of(struct io_ring_ctx *ring, struct queue_entry *entry)
{
	u32 at = (GET(ring, cached_sq_head) - 1) & (GET(ring, sq_entries) - 1);
	u32 *array = GET(ring, sq_array);
	u64 entries = (u64)GET(ring, sq_sqes);

	if (array && bpf_probe_read_kernel(&at, sizeof(at), array + at))
		return 0;
	if (GET(ring, flags) & RING_LARGE_ENTRIES)
		at <<= 1;
	return entries && !bpf_probe_read_kernel(entry, sizeof(*entry), (void *)(entries + (u64)at * sizeof(*entry)));
}

__inline u64 member_of(struct queue_entry *entry, u8 from)
{
	switch (from) {
	case FROM_FD:
		/* A number in the table of the ring is no descriptor. */
		return entry->flags & SQE_FIXED_FILE ? DIRECT + (entry->fd & (DIRECT - 1)) : (u64)entry->fd;
	case FROM_ADDR:
		return entry->addr;
	case FROM_OFF:
		return entry->off;
	case FROM_LEN:
		return entry->len;
	case FROM_FLAGS:
		return entry->op_flags;
	}
	return 0;
}

/* Opens and relatives may put what they open into a place of the ring's table, closes may close one: its number from 1 on,
 * 0: a descriptor is meant. */
#define OP_ACCEPT 13
#define OP_OPENAT 18
#define OP_CLOSE 19
#define OP_OPENAT2 28
#define OP_SOCKET 45
#define ANY_PLACE 0xffffffff

__inline u32 place_of(struct queue_entry *entry)
{
	/* Before 5.15 the kernel did not look there. */
	if (!FIELD_EXISTS(struct io_open, file_slot))
		return 0;
	switch (entry->opcode) {
	case OP_ACCEPT:
	case OP_OPENAT:
	case OP_CLOSE:
	case OP_OPENAT2:
	case OP_SOCKET:
		return entry->rest[0] >> 32;
	}
	return 0;
}

/* Paths as the kernel copied them when it took the entry: nobody can change those. */
__inline bool put_names(u64 request, u32 names)
{
	switch (names) {
	case NAMES_OPEN:
		put_kernel_str((u64)GET(GET((struct io_open *)request, filename), name), TO(ITEM_STR, 1));
		return 1;
	case NAMES_UNLINK:
		put_kernel_str((u64)GET(GET((struct io_unlink *)request, filename), name), TO(ITEM_STR, 1));
		return 1;
	case NAMES_RENAME:
		put_kernel_str((u64)GET(GET((struct io_rename *)request, oldpath), name), TO(ITEM_STR, 1));
		put_kernel_str((u64)GET(GET((struct io_rename *)request, newpath), name), TO(ITEM_STR, 3));
		return 1;
	case NAMES_MKDIR:
		put_kernel_str((u64)GET(GET((struct io_mkdir *)request, filename), name), TO(ITEM_STR, 1));
		return 1;
	}
	return 0;
}

/* A record that was taken without a number gets one and goes out. */
__inline void number_and_send(struct scratch *s, s64 ret)
{
	struct head *head = (void *)s->buf;
	struct counters *c = counters();

	head->ret = ret;
	if (c)
		head->seq = c->seq++;
	send(s);
}

/* Keeps the record that is in the scratch until the operation ends. */
__inline void keep_pending(struct scratch *s, u64 ring, u64 name, u64 request)
{
	struct pending_key key = { ring, name };
	struct head *head = (void *)s->buf;
	struct blank *blank;
	u32 zero = 0, len = s->pos;

	blank = bpf_map_lookup_elem(&blanks, &zero);
	if (!blank)
		return;
	if (len >= PENDING_ROOM) {
		len = sizeof(*head);
		head->flags |= HEAD_CUT;
		count(COUNT_CUT);
	}
	len = BOUNDED(len, PENDING_ROOM - 1);
	if (bpf_probe_read_kernel(blank->pending.buf, len, s->buf))
		return;
	blank->pending.len = len;
	blank->pending.task = bpf_get_current_task();
	blank->pending.request = request;
	bpf_map_update_elem(&pendings, &key, &blank->pending, 0);
}

__global int submitted(u64 request, u64 name)
{
	struct io_kiocb *req = (void *)request;
	struct task_struct *task = (void *)bpf_get_current_task();
	struct io_ring_ctx *ring = GET(req, ctx);
	u64 id = bpf_get_current_pid_tgid(), wanted;
	struct queue_entry *entry;
	struct blank *blank;
	struct operation *operation;
	u32 opcode = GET(req, opcode), code, zero = 0;
	struct scratch *s;
	struct head *head;
	struct plan *plan;

	operation = bpf_map_lookup_elem(&operations, &opcode);
	if (!operation || !operation->code)
		return 0;
	code = operation->code;
	plan = bpf_map_lookup_elem(&plans, &code);
	if (!plan || !plan->want)
		return 0;
	wanted = wanted_thread(id >> 32);
	if (!wanted) {
		count(COUNT_FILTERED);
		return 0;
	}
	blank = bpf_map_lookup_elem(&blanks, &zero);
	if (!blank)
		return 0;
	entry = &blank->entry;
	if (!entry_of(ring, entry)) {
		count(COUNT_FAULT);
		return 0;
	}
	if (config.meet && is_stranger(id))
		introduce(id, wanted);
	/* A thread that the kernel made to serve the queue acts for its process. */
	if (GET(task, flags) & PF_IO_WORKER)
		id = (id >> 32) << 32 | id >> 32;
	s = take(KIND_CALL, code, HEAD_RING, id, wanted);
	if (!s) {
		/* Counted as one that was begun: it is lost. */
		struct counters *c = counters();
		if (c) {
			c->seq++;
			c->n[COUNT_SCRATCH]++;
		}
		return 0;
	}
	head = (void *)s->buf;
	head->ret = -EINPROGRESS;
	head->args[0] = member_of(entry, operation->args[0]);
	head->args[1] = member_of(entry, operation->args[1]);
	head->args[2] = member_of(entry, operation->args[2]);
	head->args[3] = member_of(entry, operation->args[3]);
	head->args[4] = member_of(entry, operation->args[4]);
	head->args[5] = place_of(entry);
	if (head->args[5] && entry->opcode == OP_CLOSE)
		head->args[0] = DIRECT + ((head->args[5] - 1) & (DIRECT - 1));
	else if (head->args[5])
		head->flags |= HEAD_DIRECT;
	if (entry->flags & SQE_FIXED_FILE)
		head->flags |= HEAD_REGISTERED;
	put_names(request, operation->names);
	put_plan(code, PART_SUBMITTED);
	if (entry->flags & SQE_SKIP_SUCCESS) {
		/* Its success will be told to nobody. */
		number_and_send(s, -EINPROGRESS);
		return 0;
	}
	keep_pending(s, (u64)ring, name ? name : entry->user_data, name);
	s->busy = 0;
	return 0;
}

/* What an operation did with the ring's table of files, when it ends: a registered file is told by a descriptor of the
 * process that refers to it, where there is one; what was opened into a place, by that place. */
__inline void of_table(struct scratch *s, struct pending *pending)
{
	struct head *head = (void *)s->buf;

	if (head->flags & HEAD_REGISTERED && pending->request) {
		int fd;

		s->file = (u64)GET((struct io_kiocb *)pending->request, file);
		fd = descriptor_of(pending->task, s->file);
		if (fd >= 0)
			head->args[0] = fd;
	}
	if (head->flags & HEAD_DIRECT && head->ret >= 0) {
		u64 place = head->args[5] == ANY_PLACE ? head->ret : head->args[5] - 1;

		head->ret = DIRECT + (place & (DIRECT - 1));
	}
}

/* Not zero: the operation is known. */
__global int completed(u64 ring, u64 name, s64 result, u32 flags)
{
	struct pending_key key = { ring, name };
	struct pending *pending = bpf_map_lookup_elem(&pendings, &key);
	u64 id = bpf_get_current_pid_tgid();
	struct counters *c = counters();
	struct scratch *s;
	struct head *head;
	u64 seq;
	u32 len;

	if (!pending || !c)
		return 0;
	s = take(KIND_CALL, 0, 0, id, WANTED);
	seq = c->seq++;
	if (!s) {
		c->n[COUNT_SCRATCH]++;
		return 0;
	}
	head = (void *)s->buf;
	len = BOUNDED(pending->len, PENDING_ROOM - 1);
	if (bpf_probe_read_kernel(s->buf, len, pending->buf))
		len = sizeof(*head);
	head->ts = bpf_ktime_get_boot_ns();
	head->cpu = bpf_get_smp_processor_id();
	head->seq = seq;
	head->ret = result;
	s->pos = len;
	s->task = pending->task;
	of_table(s, pending);
	/* Memory of the program can be read only where it is the current one. */
	put_plan(head->code, id >> 32 == head->tgid ? PART_COMPLETED : PART_ELSEWHERE);
	send(s);
	if (!(flags & CQE_MORE))
		bpf_map_delete_elem(&pendings, &key);
	return 1;
}

/* Makes sure that the tracepoint has this many arguments: the kernel refuses the program where it has not. */
#define ARGUMENT(ctx, n)                                                                                               \
	({                                                                                                                 \
		u64 argument_ = (ctx)[n];                                                                                      \
		asm volatile("" : : "r"(argument_));                                                                           \
		plain(&(ctx)[n]);                                                                                              \
	})

TRACEPOINT("io_uring_submit_req")
int uring_submit(u64 *ctx)
{
	u64 request = ARGUMENT(ctx, 0);

	return submitted(request, request);
}

/* Up to 5.18: ring, request and five more. There, the end of an operation may not tell the request. */
TRACEPOINT("io_uring_submit_sqe")
int uring_submit_seven(u64 *ctx)
{
	ARGUMENT(ctx, 6);
	return submitted(ARGUMENT(ctx, 1), 0);
}

/* Up to 6.3. */
TRACEPOINT("io_uring_submit_sqe")
int uring_submit_two(u64 *ctx)
{
	u64 request = ARGUMENT(ctx, 0);

	ARGUMENT(ctx, 1);
	return submitted(request, request);
}

/* Ring, request, the program's name for it, result, flags, and perhaps more. */
TRACEPOINT("io_uring_complete")
int uring_complete_five(u64 *ctx)
{
	u64 ring = ARGUMENT(ctx, 0), flags = ARGUMENT(ctx, 4);
	s32 result = ctx[3];

	if (!completed(ring, ARGUMENT(ctx, 1), result, flags))
		completed(ring, ctx[2], result, flags);
	return 0;
}

/* Up to 5.17: ring, the program's name, result, flags. */
TRACEPOINT("io_uring_complete")
int uring_complete_four(u64 *ctx)
{
	s32 result = ctx[2];

	completed(ARGUMENT(ctx, 0), ctx[1], result, ARGUMENT(ctx, 3));
	return 0;
}

/* Newest: ring, request, entry of the other queue. */
TRACEPOINT("io_uring_complete")
int uring_complete_three(u64 *ctx)
{
	struct queue_result cqe = {};

	bpf_probe_read_kernel(&cqe, sizeof(cqe), (void *)ARGUMENT(ctx, 2));
	completed(ARGUMENT(ctx, 0), ARGUMENT(ctx, 1), cqe.res, cqe.flags);
	return 0;
}

#endif
