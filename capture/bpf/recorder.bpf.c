// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/* The kernel side of the recorder.
 *
 * Every system call that returns passes `on_exit`: number → portable code → wanted? → filters → record. A record
 * with numbers only goes out at once; others go on to the program of their class by a tail call. Three scheduler
 * tracepoints complete the picture: new processes (for the process filter), successful execs, ends of threads. Two
 * iterators describe what was there before. Nothing here changes anything, waits, or allocates. */

#include "filter.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#define TS_COMPAT 2
#define X32_BIT 0x40000000
#define EINPROGRESS 115

/* Programs of one source for two kinds of tracepoint: with types known to the verifier, and without. */
#ifdef CASEBOOK_RAW
#define TRACEPOINT(name) SEC("raw_tp/" name)
#define REG(regs, field) GET(regs, field)
#else
#define TRACEPOINT(name) SEC("tp_btf/" name)
#define REG(regs, field) ((regs)->field)
#endif

/* A pointer of a context as a plain number, which global functions take. */
__inline u64 plain(const void *field)
{
	u64 pointer = 0;

	bpf_probe_read_kernel(&pointer, sizeof(pointer), field);
	return pointer;
}

/* Takes this CPU's scratch and fills the head, but for the number. */
__inline struct scratch *take(u32 kind, u32 code, u32 flags, u64 id, u64 wanted)
{
	struct scratch *s = scratch_of(FOR_EVENT);
	struct head *head;

	if (!s || s->busy)
		return 0;
	s->busy = 1;
	s->task = 0;
	s->file = 0;
	head = (void *)s->buf;
	head->kind = kind;
	head->code = code;
	head->ts = bpf_ktime_get_boot_ns();
	head->cpu = bpf_get_smp_processor_id();
	head->flags = flags | FLAGS_OF(wanted);
	head->tgid = id >> 32;
	head->tid = id;
	head->cgroup = CGROUP_OF(wanted);
	s->pos = sizeof(*head);
	return s;
}

/* Begins a record; its number is used up whatever becomes of it. */
__inline struct scratch *begin(u32 kind, u32 code, u32 flags, u64 id, u64 wanted)
{
	struct counters *c = counters();
	struct scratch *s;
	u64 seq;

	if (!c)
		return 0;
	seq = c->seq++;
	s = take(kind, code, flags, id, wanted);
	if (s)
		((struct head *)s->buf)->seq = seq;
	else
		c->n[COUNT_SCRATCH]++;
	return s;
}

__inline void send(struct scratch *s)
{
	struct head *head = (void *)s->buf;
	u32 len = s->pos;

	if (len > ROOM + ITEM_MAX)
		len = ROOM + ITEM_MAX;
	head->len = len;
	/* The reader looks by itself: waking it for each record would cost the recorded program several times its own
	 * work. */
	if (bpf_ringbuf_output(&events, s->buf, len, RB_NO_WAKEUP))
		count(COUNT_RING_FULL);
	s->busy = 0;
}

/* Structures that hold pointers and lengths of 32 bits. */
#define SMALL (HEAD_COMPAT | HEAD_X32)

/* Which call a thread makes, by the registers it made it with. */
struct call {
	u32 native; /* key of `natives` */
	u32 flags; /* HEAD_COMPAT, HEAD_X32 */
	u32 code;
};

/* Is the call under way one of 32 bits? Where the verifier knows the current task, a load answers. */
__inline bool is_compat(void)
{
	struct task_struct *task;

#ifndef CASEBOOK_RAW
	if (ENUM_EXISTS(enum bpf_func_id, BPF_FUNC_get_current_task_btf))
		return bpf_get_current_task_btf()->thread_info.status & TS_COMPAT;
#endif
	task = (void *)bpf_get_current_task();
	return GET(task, thread_info.status) & TS_COMPAT;
}

/* Is the bit of this number set, whatever kind of number it is? */
__inline bool may_be(const volatile u32 *bits, u64 nr)
{
	return bits[(nr >> 5) & 15] & (1u << (nr & 31));
}

/* False where it is none that can be recorded. */
__inline bool call_of(struct pt_regs *regs, u64 nr, struct call *call)
{
	u32 member;
	u16 *entry;

	call->flags = 0;
	if (is_compat()) {
		if (nr >= NATIVE_SOCKETCALL - NATIVE_COMPAT)
			return 0;
		call->native = NATIVE_COMPAT + nr;
		call->flags = HEAD_COMPAT;
	} else {
		call->native = nr & ~X32_BIT;
		if (call->native >= NATIVE_COMPAT) {
			bool own = nr & X32_BIT && call->native < NATIVE_COMPAT + NATIVES - NATIVE_X32;

			call->native = own ? call->native - NATIVE_COMPAT + NATIVE_X32 : 0xffff;
			call->flags = own ? HEAD_X32 : 0;
		}
	}
	/* The 32-bit call that stands for all socket calls says by an argument which it is. */
	member = call->native;
	if (call->native == NATIVE_COMPAT + COMPAT_SOCKETCALL)
		member = NATIVE_SOCKETCALL + (REG(regs, bx) & 31);
	entry = bpf_map_lookup_elem(&natives, &member);
	call->code = entry ? *entry : 0;
	return 1;
}

/* The arguments, in the order of the call's declaration. `args` is memory of a map. */
__inline void read_args(struct pt_regs *regs, struct call *call, u64 *args)
{
	if (!(call->flags & HEAD_COMPAT)) {
		args[0] = REG(regs, di);
		args[1] = REG(regs, si);
		args[2] = REG(regs, dx);
		args[3] = REG(regs, r10);
		args[4] = REG(regs, r8);
		args[5] = REG(regs, r9);
		return;
	}
	args[0] = (u32)REG(regs, bx);
	args[1] = (u32)REG(regs, cx);
	args[2] = (u32)REG(regs, dx);
	args[3] = (u32)REG(regs, si);
	args[4] = (u32)REG(regs, di);
	args[5] = (u32)REG(regs, bp);
	if (call->native == NATIVE_COMPAT + COMPAT_SOCKETCALL) {
		/* Its second argument is the array of the member's arguments. */
		u32 own[6] = {};
		bpf_probe_read_user(own, sizeof(own), (void *)args[1]);
		for (int i = 0; i < 6; i++)
			args[i] = own[i];
	}
}

__inline u64 nth(u64 *args, u32 n)
{
	return n < 6 ? args[n] : 0;
}

/* The bytes of a call's one buffer, at their place behind the head. What cannot be read as a whole goes the long way. */
__inline void put_data(struct scratch *s, struct plan *plan, s64 ret)
{
	struct head *head = (void *)s->buf;
	struct item *item = (void *)&s->buf[sizeof(*head)];
	u32 n = plan->fetch[0].arg, len;
	u64 from = nth(head->args, n), size = ret;

	if (plan->fetch[0].kind == FETCH_DATA_ARG && ret <= 0)
		size = nth(head->args, n + 1);
	else if (ret <= 0)
		return;
	if (!size || !from || !config.snaplen)
		return;
	len = BOUNDED(size > config.snaplen ? config.snaplen : size, ITEM_MAX - 1);
	if (bpf_probe_read_user(item + 1, len, (void *)from)) {
		put_bytes(from, size, config.snaplen, TO(ITEM_DATA, n));
		return;
	}
	item->kind = ITEM_DATA;
	item->place = n;
	item->len = len;
	s->pos = sizeof(*head) + sizeof(*item) + len;
}

#define CLONE_THREAD_FLAGS 0x10f00 /* CLONE_VM, FS, FILES, SIGHAND, THREAD */
#define CODE_CLONE 327

/* The current thread came into the recording from outside (into a cgroup, under another user or name): it tells who it
 * is before it does anything else, in the form in which a child does when it is born. */
__global int introduce(u64 id, u64 wanted)
{
	struct scratch *s = begin(KIND_CALL, CODE_CLONE, HEAD_JOINED, id, wanted);
	u64 task = bpf_get_current_task();
	struct head *head;

	if (!s)
		return 0;
	head = (void *)s->buf;
	head->ret = 0;
	__builtin_memset(head->args, 0, sizeof(head->args));
	if (id >> 32 != (u32)id)
		head->args[0] = CLONE_THREAD_FLAGS;
	put_task(task, TO(ITEM_TASK, 0));
	put_program(task, 0);
	put_cgroups(task, 0);
	send(s);
	return 0;
}

TRACEPOINT("sys_exit")
int on_exit(u64 *ctx)
{
	struct pt_regs *regs = (void *)ctx[0];
	s64 ret = ctx[1];
	u64 nr = REG(regs, orig_ax), id, wanted;
	struct scratch *s;
	struct head *head;
	struct plan *plan;
	struct call call;
	u32 code;

	/* Most calls that are not recorded end here. */
	if (!may_be(config.wanted, nr))
		return 0;
	/* Registers that a signal handler's return has put back belong to no call. */
	if ((s64)nr < 0)
		return 0;
	if (!call_of(regs, nr, &call))
		return 0;
	code = call.code;
	plan = bpf_map_lookup_elem(&plans, &code);
	if (!plan || !plan->want)
		return 0;
	id = bpf_get_current_pid_tgid();
	wanted = wanted_thread(id >> 32);
	if (!wanted) {
		count(COUNT_FILTERED);
		return 0;
	}
	if (config.meet) {
		/* A child tells of itself by the call that made it. */
		if (plan->class == CLASS_CLONE && ret == 0)
			has_met(id);
		else if (is_stranger(id))
			introduce(id, wanted);
	}
	/* A successful exec was recorded when the program started; its registers are gone. */
	if (plan->class == CLASS_EXEC && ret == 0)
		return 0;
	if (!code)
		count(COUNT_UNKNOWN);
	s = begin(KIND_CALL, code, call.flags, id, wanted);
	if (!s)
		return 0;
	head = (void *)s->buf;
	head->ret = ret;
	read_args(regs, &call, head->args);
	if (!code)
		head->args[5] = nr;
	if (plan->class == CLASS_PLAIN) {
		send(s);
		return 0;
	}
	/* The most frequent calls of all: without another program, or a function that begins by looking everything up. */
	if (plan->class == CLASS_DATA) {
		put_data(s, plan, ret);
		send(s);
		return 0;
	}
	bpf_tail_call(ctx, &classes, plan->class);
	s->busy = 0;
	count(COUNT_TAIL_CALL);
	return 0;
}

#include "guard.h"

/* Two descriptors that a call made: their numbers, and what they refer to. */
__global int put_pair(u64 at, u32 place)
{
	u32 fds[2] = {};

	put_bytes(at, sizeof(fds), sizeof(fds), TO(ITEM_BYTES, place));
	if (bpf_probe_read_user(fds, sizeof(fds), (void *)at))
		return 0;
	put_fd(fds[0], TO(ITEM_FILE, place));
	put_fd_sock(fds[0], TO(ITEM_SOCK, place));
	put_fd_sock(fds[1], TO(ITEM_SOCK_PEER, place));
	return 0;
}

/* One thing that the plan of a call asks for. */
__global int put_fetch(u32 kind, u32 n, u32 size)
{
	UNDER_WAY(s, head);
	u64 arg, next;
	u32 compat, fd;
	s64 ret;

	compat = head->flags & SMALL;
	ret = head->ret;
	arg = nth(head->args, n);
	next = nth(head->args, n + 1);
	fd = n == ARG_RET ? ret : arg;
	switch (kind) {
	case FETCH_STR:
		return put_str(arg, TO(ITEM_STR, n));
	case FETCH_DATA_RET:
		return ret > 0 && config.snaplen ? put_bytes(arg, ret, config.snaplen, TO(ITEM_DATA, n)) : 0;
	case FETCH_DATA_ARG:
		if (ret > 0)
			next = ret;
		return next && config.snaplen ? put_bytes(arg, next, config.snaplen, TO(ITEM_DATA, n)) : 0;
	case FETCH_IOV:
		return put_iov(arg, next, ret > 0 ? ret : ITEM_MAX, compat, TO(ITEM_DATA, n));
	case FETCH_MSG:
	case FETCH_MSGS:
		return put_msg(arg, ret > 0 ? ret : ITEM_MAX, compat, TO(0, n));
	case FETCH_ADDR:
		return next ? put_bytes(arg, next, ADDR_MAX, TO(ITEM_ADDR, n)) : 0;
	case FETCH_ADDR_BACK: {
		u32 len = 0;
		bpf_probe_read_user(&len, sizeof(len), (void *)next);
		return len ? put_bytes(arg, len, ADDR_MAX, TO(ITEM_ADDR, n)) : 0;
	}
	case FETCH_BYTES:
		return put_bytes(arg, size, size, TO(ITEM_BYTES, n));
	case FETCH_FILE:
		return put_fd(fd, TO(ITEM_FILE, 0));
	case FETCH_SOCK:
		return put_fd_sock(fd, TO(ITEM_SOCK, 0));
	case FETCH_PAIR:
		return put_pair(arg, n);
	case FETCH_POLL:
		/* Eight bytes a descriptor. */
		return put_bytes(arg, (next & 0xff) * 8, 16 * 8, TO(ITEM_BYTES, n));
	case FETCH_TASK:
		return put_task(bpf_get_current_task(), TO(ITEM_TASK, 0));
	case FETCH_PATH:
		return put_fd_path(fd, TO(ITEM_PATH, 0));
	case FETCH_LISTENER:
		return put_fd_sock(fd, TO(ITEM_SOCK_PEER, 0));
	}
	return 0;
}

/* When things are fetched: at once, or in two parts of an operation whose end comes later. */
enum part {
	PART_WHOLE = 0,
	PART_SUBMITTED, /* what the program gives */
	PART_COMPLETED, /* what it gets */
	PART_ELSEWHERE, /* the same, while another program's memory is the current one */
};

/* Everything that the plan of a call asks for. */
__global int put_plan(u32 code, u32 part)
{
	struct scratch *s = scratch_of(FOR_EVENT);
	struct plan *plan = bpf_map_lookup_elem(&plans, &code);
	struct head *head;
	bool done;

	if (!s || !plan)
		return 0;
	head = (void *)s->buf;
	done = head->ret >= 0 || head->ret == -EINPROGRESS;
	for (u32 i = 0; i < FETCHES; i++) {
		struct fetch fetch;
		bool late;

		if (i >= plan->fetches)
			break;
		fetch = plan->fetch[i];
		late = fetch.when != WHEN_ALWAYS || fetch.kind == FETCH_DATA_RET;
		if (part == PART_SUBMITTED ? late : part != PART_WHOLE && !late)
			continue;
		if (part == PART_ELSEWHERE && fetch.kind != FETCH_FILE && fetch.kind != FETCH_SOCK && fetch.kind != FETCH_LISTENER)
			continue;
		if ((fetch.when == WHEN_DONE && !done) || (fetch.when == WHEN_FAILED && done))
			continue;
		put_fetch(fetch.kind, fetch.arg, fetch.size);
	}
	return plan->guard;
}

TRACEPOINT("sys_exit")
int call_fetch(u64 *ctx)
{
	UNDER_WAY(s, head);

	if (put_plan(head->code, PART_WHOLE))
		put_guard(head->tid, head->code);
	send(s);
	return 0;
}

/* Messages of one call that are recorded, at most. */
#define MESSAGES 32

/* sendmmsg and recvmmsg: a record of each message, its result the bytes of that. */
TRACEPOINT("sys_exit")
int call_messages(u64 *ctx)
{
	UNDER_WAY(s, head);
	u32 code, flags, size;
	u64 id, wanted, args[6];
	s64 messages;

	code = head->code;
	flags = head->flags;
	wanted = (u64)head->cgroup << 32;
	id = (u64)head->tgid << 32 | head->tid;
	messages = head->ret;
	size = flags & SMALL ? sizeof(struct msghdr32) + 4 : sizeof(struct msghdr64) + 8;
	for (int i = 0; i < 6; i++)
		args[i] = head->args[i];
	for (u32 i = 0; i < MESSAGES; i++) {
		if (i > 0) {
			if (i >= messages)
				break;
			s = begin(KIND_CALL, code, flags, id, wanted);
			if (!s)
				continue;
			head = (void *)s->buf;
			for (int n = 0; n < 6; n++)
				head->args[n] = args[n];
		}
		head->ret = messages;
		if (messages > 0) {
			u64 at = args[1] + (u64)i * size;
			u32 bytes = 0;

			bpf_probe_read_user(&bytes, sizeof(bytes), (void *)(at + size - (flags & SMALL ? 4 : 8)));
			head->args[1] = at;
			head->ret = bytes;
		}
		put_plan(code, PART_WHOLE);
		send(s);
	}
	if (messages > MESSAGES)
		count(COUNT_CUT);
	return 0;
}

#include "uring.h"

/* clone and relatives, in the parent and in the child: both are the current thread then. */
TRACEPOINT("sys_exit")
int call_clone(u64 *ctx)
{
	UNDER_WAY(s, head);
	u64 task = bpf_get_current_task();
	u32 code;
	struct plan *plan;

	code = head->code;
	plan = bpf_map_lookup_elem(&plans, &code);
	/* clone3 takes its flags from a structure. */
	if (plan && plan->fetches)
		put_fetch(plan->fetch[0].kind, plan->fetch[0].arg, plan->fetch[0].size);
	put_task(task, TO(ITEM_TASK, 0));
	put_program(task, 0);
	put_cgroups(task, 0);
	send(s);
	return 0;
}

/* An exec that failed: what was asked for still stands in the caller's memory. */
TRACEPOINT("sys_exit")
int call_exec(u64 *ctx)
{
	UNDER_WAY(s, head);
	u64 task = bpf_get_current_task();
	struct plan *plan;
	u32 code, compat, at;

	code = head->code;
	compat = head->flags & SMALL;
	plan = bpf_map_lookup_elem(&plans, &code);
	/* The path's place tells execve from execveat; argv follows it. */
	at = plan ? plan->fetch[0].arg : 0;
	put_str(nth(head->args, at), TO(ITEM_FILENAME, 0));
	put_argv(nth(head->args, at + 1), compat, TO(ITEM_ARGS, 0));
	put_argv(nth(head->args, at + 2), compat, TO(ITEM_ENV, 0));
	put_task(task, TO(ITEM_TASK, 0));
	put_cgroups(task, 0);
	end_guard(head->tid);
	send(s);
	return 0;
}

TRACEPOINT("sched_process_fork")
int on_fork(u64 *ctx)
{
	struct task_struct *parent = (void *)ctx[0], *child = (void *)ctx[1];
	u32 from, to;

	if (!config.pids)
		return 0;
	from = GET(parent, tgid);
	to = GET(child, tgid);
	if (from != to)
		set_pid_mode(to, pid_mode(from));
	return 0;
}

TRACEPOINT("sched_process_exec")
int on_exec(u64 *ctx)
{
	/* The current task, as a plain number: global functions take no typed pointers. */
	struct task_struct *task = (void *)bpf_get_current_task();
	struct linux_binprm *bprm = (void *)ctx[2];
	u64 id = bpf_get_current_pid_tgid(), wanted;
	u32 execve = 324, execveat = 325, code, old_tid = ctx[1], given;
	struct plan *plan = bpf_map_lookup_elem(&plans, &execve);
	struct scratch *s;
	struct head *head;
	struct file *file;
	struct path path;

	if (!plan || !plan->want)
		return 0;
	wanted = wanted_thread(id >> 32);
	if (!wanted)
		return 0;
	has_met(id);
	/* The number it was called by is gone; it was noted at the beginning, by the thread that is its process' only one
	 * now. Without that note: only execveat with a descriptor leaves a path of that. */
	given = end_guard(old_tid);
	code = given ? given : FIELD_EXISTS(struct linux_binprm, fdpath) && GET(bprm, fdpath) ? execveat : execve;
	if (code != execveat)
		code = execve;
	s = begin(KIND_EXEC, code, 0, id, wanted);
	if (!s)
		return 0;
	head = (void *)s->buf;
	head->ret = 0;
	head->args[0] = ctx[1];
	file = GET(bprm, file);
	path = GET(file, f_path);
	put_task((u64)task, TO(ITEM_TASK, 0));
	put_program((u64)task, 1);
	put_path((u64)path.dentry, (u64)path.mnt, TO(ITEM_EXE, 0));
	put_file((u64)file, TO(ITEM_FILE, 0));
	put_kernel_str((u64)GET(bprm, filename), TO(ITEM_FILENAME, 0));
	put_cgroups((u64)task, 0);
	send(s);
	return 0;
}

/* Bits of a bit field: the kernel's offsets, computed when loaded. */
__inline bool subreaper(struct signal_struct *signal)
{
	u64 bits = 0;

	bpf_probe_read_kernel(&bits, FIELD_SIZE(struct signal_struct, is_child_subreaper) & 15,
			      (void *)((u64)signal + FIELD_OFFSET(struct signal_struct, is_child_subreaper)));
	bits <<= FIELD_LSHIFT(struct signal_struct, is_child_subreaper);
	bits >>= FIELD_RSHIFT(struct signal_struct, is_child_subreaper);
	return bits & 1;
}

/* Who takes over the children of a thread that ends: another thread of its process, else the nearest ancestor that
 * asked for it, else the first process of the namespace. Zero when there are no children. */
__global int reaper_of(u64 from, u32 last)
{
	struct task_struct *task = (void *)from, *above;
	struct list_head *children = &task->children;
	struct pid *pid = GET(task, thread_pid);
	u32 level = GET(pid, level) & 31;
	struct task_struct *init = GET(namespace_of(pid, level), child_reaper);

	if (GET(task, children).next == children)
		return 0;
	if (!last) {
		/* The leader, unless it is the one that ends: then whichever thread comes next. */
		struct task_struct *leader = GET(task, group_leader);
		struct list_head *next;
		if (leader != task)
			return GET(leader, pid);
		next = GET(task, thread_node).next;
		above = (void *)((u64)next - FIELD_OFFSET(struct task_struct, thread_node));
		return GET(above, pid);
	}
	above = GET(task, real_parent);
	for (int i = 0; i < 32; i++) {
		if (above == init || !above)
			break;
		if (subreaper(GET(above, signal)))
			return GET(above, pid);
		above = GET(above, real_parent);
	}
	return GET(init, pid);
}

TRACEPOINT("sched_process_exit")
int on_end(u64 *ctx)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	u64 id = bpf_get_current_pid_tgid(), wanted;
	u32 tgid = id >> 32, tid = id;
	bool last = GET(GET(task, signal), live).counter == 0;
	struct scratch *s;
	struct head *head;

	wanted = wanted_thread(tgid);
	if (wanted) {
		s = begin(KIND_EXIT, 0, last ? HEAD_LAST : 0, id, wanted);
		if (s) {
			head = (void *)s->buf;
			head->ret = GET(task, exit_code);
			head->args[0] = reaper_of((u64)task, last);
			send(s);
		}
	}
	if (last && config.pids)
		set_pid_mode(tgid, 0);
	if (config.meet)
		bpf_map_delete_elem(&met, &tid);
	end_guard(id);
	return 0;
}

__inline struct scratch *snapshot_begin(u32 kind, struct task_struct *task)
{
	struct scratch *s = scratch_of(FOR_SNAPSHOT);
	struct head *head;

	if (!s)
		return 0;
	head = (void *)s->buf;
	__builtin_memset(head, 0, sizeof(*head));
	head->kind = kind;
	head->ts = bpf_ktime_get_boot_ns();
	head->tgid = GET(task, tgid);
	head->tid = GET(task, pid);
	s->pos = sizeof(*head);
	return s;
}

__inline void snapshot_write(struct scratch *s, void *seq)
{
	struct head *head = (void *)s->buf;
	u32 len = s->pos;

	if (len > ROOM + ITEM_MAX)
		len = ROOM + ITEM_MAX;
	head->len = len;
	bpf_seq_write(seq, s->buf, len);
}

SEC("iter/task")
int each_task(struct bpf_iter__task *ctx)
{
	struct task_struct *task = (void *)plain(&ctx->task);
	void *seq = ctx->meta->seq;
	struct scratch *s;
	struct mm_struct *mm;
	struct fs_struct *fs;

	if (!task)
		return 0;
	s = snapshot_begin(KIND_TASK, task);
	if (!s)
		return 0;
	put_task((u64)task, FOR_SNAPSHOT | TO(ITEM_TASK, 0));
	mm = GET(task, mm);
	if (mm) {
		struct file *exe = GET(mm, exe_file);
		if (exe) {
			struct path path = GET(exe, f_path);
			put_path((u64)path.dentry, (u64)path.mnt, FOR_SNAPSHOT | TO(ITEM_EXE, 0));
			put_file((u64)exe, FOR_SNAPSHOT | TO(ITEM_FILE, 0));
		}
	}
	fs = GET(task, fs);
	if (fs) {
		struct path cwd = GET(fs, pwd), root = GET(fs, root);
		put_path((u64)cwd.dentry, (u64)cwd.mnt, FOR_SNAPSHOT | TO(ITEM_CWD, 0));
		put_path((u64)root.dentry, (u64)root.mnt, FOR_SNAPSHOT | TO(ITEM_ROOT, 0));
	}
	put_cgroups((u64)task, FOR_SNAPSHOT);
	snapshot_write(s, seq);
	return 0;
}

SEC("iter/task_file")
int each_file(struct bpf_iter__task_file *ctx)
{
	struct task_struct *task = (void *)plain(&ctx->task);
	struct file *file = (void *)plain(&ctx->file);
	void *seq = ctx->meta->seq;
	struct scratch *s;
	struct head *head;
	struct sock *sk;
	struct path path;

	if (!task || !file)
		return 0;
	s = snapshot_begin(KIND_FILE, task);
	if (!s)
		return 0;
	head = (void *)s->buf;
	head->args[0] = ctx->fd;
	put_file((u64)file, FOR_SNAPSHOT | TO(ITEM_FILE, 0));
	sk = sock_of(file);
	if (sk) {
		put_sock((u64)sk, FOR_SNAPSHOT | TO(ITEM_SOCK, 0));
	} else {
		path = GET(file, f_path);
		put_path((u64)path.dentry, (u64)path.mnt, FOR_SNAPSHOT | TO(ITEM_PATH, 0));
	}
	snapshot_write(s, seq);
	return 0;
}
