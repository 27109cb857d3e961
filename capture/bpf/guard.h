/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* What calls are given when they begin. Paths and addresses lie in the program's memory: another thread may change them
 * while the call is under way, and what is read when it returns is then not what the kernel used. For the calls where
 * that matters both are recorded; the user side compares. The number of an exec is noted too: it is gone afterwards. */
#ifndef CASEBOOK_GUARD_H
#define CASEBOOK_GUARD_H

#include "gather_task.h"

/* The entry of a thread, made where there is none. */
__inline struct guard *guard_of(u32 tid)
{
	struct guard *guard = bpf_map_lookup_elem(&guards, &tid);
	struct blank *blank;
	u32 zero = 0;

	if (guard)
		return guard;
	blank = bpf_map_lookup_elem(&blanks, &zero);
	if (!blank)
		return 0;
	bpf_map_update_elem(&guards, &tid, &blank->guard, 0);
	return bpf_map_lookup_elem(&guards, &tid);
}

__inline void keep_text(struct guard_slot *slot, u64 from, u32 place)
{
	long n = bpf_probe_read_user_str(slot->text, GUARD_TEXT, (void *)from);

	/* Memory that was never touched cannot be read here; it can when the call returns. */
	slot->kind = n > 0 ? ITEM_ENTER_STR : 0;
	slot->place = place;
	slot->len = n > 0 ? n - 1 : 0;
}

__inline void keep_address(struct guard_slot *slot, u64 from, u64 len, u32 place)
{
	u32 n = BOUNDED(len > ADDR_MAX - 1 ? ADDR_MAX - 1 : len, ADDR_MAX - 1);

	slot->kind = n && !bpf_probe_read_user(slot->text, n, (void *)from) ? ITEM_ENTER_ADDR : 0;
	slot->place = place;
	slot->len = n;
}

TRACEPOINT("sys_enter")
int on_enter(u64 *ctx)
{
	struct pt_regs *regs = (void *)ctx[0];
	u64 nr = ctx[1], id;
	struct guard *guard;
	struct plan *plan;
	struct call call;
	u32 slot = 0;

	/* Nearly all calls end here. */
	if (!may_be(config.guarded, nr))
		return 0;
	if (!call_of(regs, nr, &call))
		return 0;
	plan = bpf_map_lookup_elem(&plans, &call.code);
	if (!plan || !plan->want || !plan->guard)
		return 0;
	id = bpf_get_current_pid_tgid();
	if (!wanted_thread(id >> 32))
		return 0;
	guard = guard_of(id);
	if (!guard)
		return 0;
	guard->code = call.code;
	guard->slots[0].kind = guard->slots[1].kind = 0;
	if (plan->class == CLASS_EXEC)
		return 0;
	read_args(regs, &call, guard->args);
	for (u32 i = 0; i < FETCHES; i++) {
		struct fetch fetch;

		if (i >= plan->fetches)
			break;
		fetch = plan->fetch[i];
		if (fetch.kind == FETCH_ADDR) {
			keep_address(&guard->slots[0], nth(guard->args, fetch.arg), nth(guard->args, fetch.arg + 1), fetch.arg);
		} else if (fetch.kind == FETCH_STR) {
			if (slot == 0)
				keep_text(&guard->slots[0], nth(guard->args, fetch.arg), fetch.arg);
			else
				keep_text(&guard->slots[1], nth(guard->args, fetch.arg), fetch.arg);
			slot++;
		}
	}
	return 0;
}

/* What the call was given, into its record. */
__global int put_guard(u32 tid, u32 code)
{
	struct scratch *s = scratch_of(FOR_EVENT);
	struct guard *guard = bpf_map_lookup_elem(&guards, &tid);

	if (!s || !guard || guard->code != code)
		return 0;
	guard->code = 0;
	for (u32 i = 0; i < GUARD_SLOTS; i++) {
		struct guard_slot *slot = &guard->slots[i];
		u32 len;
		s32 pos;

		if (!slot->kind)
			continue;
		pos = item_begin(s);
		if (pos < 0)
			break;
		pos &= ROOM - 1;
		len = BOUNDED(slot->len, GUARD_TEXT - 1);
		if (bpf_probe_read_kernel(&s->buf[pos + sizeof(struct item)], len, slot->text))
			len = 0;
		item_end(s, pos, TO(slot->kind, slot->place), len, 0);
	}
	return 0;
}

/* Forgets what a thread was given; the code of the call it made, 0 where that is not known. */
__global int end_guard(u32 tid)
{
	struct guard *guard = bpf_map_lookup_elem(&guards, &tid);
	u32 code = 0;

	if (guard) {
		code = guard->code;
		guard->code = 0;
	}
	return code;
}

#endif
