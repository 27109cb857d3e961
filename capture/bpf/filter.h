/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* What belongs into the recording: processes, cgroups, users, names. Containers are known by their cgroup's name the
 * moment the first of their threads does something; nobody has to notice them before. */
#ifndef CASEBOOK_FILTER_H
#define CASEBOOK_FILTER_H

#include "gather_task.h"

#define SCOPE 6 /* ".scope" */
#define CONMON 7 /* "conmon-" */

/* Length of a name in the kernel. `room`: for pieces of it. */
__inline u32 length_of(const char *name, char *room)
{
	u32 len = 0;

	for (u32 i = 0; i < 4; i++) {
		long n = bpf_probe_read_kernel_str(room, ID, name + len);

		if (n <= 0)
			return 0;
		len += n - 1;
		if (n < ID)
			break;
	}
	return len;
}

__inline bool is_hex(u8 c)
{
	return (u8)(c - '0') <= 9 || (u8)((c | 32) - 'a') <= 5;
}

/* What the filter says of a cgroup by its name: that of a container ends with an id of 64 hexadecimal digits, perhaps with
 * ".scope" behind it and with something before it that ends with '-' or ':'; a container's monitor belongs to the host. */
__global int named(u64 node)
{
	const char *name = GET((struct kernfs_node *)node, name), *at;
	struct id_start key = {};
	u32 len = length_of(name, key.text), bad = 0;
	char before[8] = {};

	if (len > ID + SCOPE - 1) {
		bpf_probe_read_kernel(before, SCOPE, name + len - SCOPE);
		if (before[0] == '.' && before[1] == 's' && before[2] == 'c' && before[3] == 'o' && before[4] == 'p' && before[5] == 'e')
			len -= SCOPE;
	}
	if (len < ID)
		return 0;
	at = name + len - ID;
	if (len > ID) {
		bpf_probe_read_kernel(before, 1, at - 1);
		if (before[0] != '-' && before[0] != ':')
			return 0;
	}
	if (len >= ID + CONMON) {
		bpf_probe_read_kernel(before, CONMON, at - CONMON);
		if (before[0] == 'c' && before[1] == 'o' && before[2] == 'n' && before[3] == 'm' && before[4] == 'o' && before[5] == 'n')
			return 0;
	}
	if (bpf_probe_read_kernel(key.text, ID, at))
		return 0;
	for (u32 i = 0; i < ID; i++)
		bad |= !is_hex(key.text[i]);
	if (bad)
		return 0;
	for (u32 i = 0; i < 16; i++) {
		u32 part = config.id_lengths[i];
		u8 *mode;

		if (!part || part > ID)
			break;
		__builtin_memset(&key, 0, sizeof(key));
		key.len = part;
		bpf_probe_read_kernel(key.text, part, at);
		mode = bpf_map_lookup_elem(&ids, &key);
		if (mode)
			return *mode;
	}
	return config.by_name ? FILTER_UNDECIDED : 0;
}

/* Looks at the current thread's cgroup `id` and those above it: the nearest that the filter names decides. Where that may
 * be a container whose name is not known here, what holds otherwise is noted too. */
__global int judge(u64 id, u32 turn)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct kernfs_node *node = GET(GET(GET(task, cgroups), dfl_cgrp), kn);
	struct verdict verdict = {};

	verdict.turn = turn;
	for (u32 i = 0; i < 32; i++) {
		u64 at = GET(node, id);
		u8 *entry = bpf_map_lookup_elem(&cgroups, &at);
		u32 mode = 0;

		if (entry)
			mode = *entry == FILTER_NEITHER ? 0 : *entry;
		else if (config.by_name || config.id_lengths[0])
			mode = named((u64)node);
		if (mode == FILTER_UNDECIDED) {
			if (!verdict.undecided)
				verdict.container = at;
			verdict.undecided = 1;
			mode = 0;
		}
		verdict.mode = mode;
		node = parent_of(node);
		if (mode || !node)
			break;
	}
	bpf_map_update_elem(&verdicts, &id, &verdict, 0);
	return 0;
}

/* Does what a filter says of something (0: nothing) let it pass? `modes`: of all that the filter says. */
__inline bool mode_passes(u32 modes, u32 mode)
{
	return mode ? mode == FILTER_ONLY : !(modes & FILTER_ONLY);
}

__inline bool entry_passes(u32 modes, const u8 *entry)
{
	return mode_passes(modes, entry ? *entry : 0);
}

/* Does the current thread belong into the recording, and if that is not decided, on which cgroup does it hang?
 * Flags for the head in the lower half, the cgroup in the upper; 0: no. */
#define WANTED 0x10000
#define FLAGS_OF(wanted) ((u32)(wanted) & 0xffff)
#define CGROUP_OF(wanted) ((u32)((wanted) >> 32))

__inline u64 cgroup_wanted(void)
{
	u64 id = bpf_get_current_cgroup_id();
	struct verdict *verdict;
	struct live *live;
	u32 zero = 0;
	bool passes;

	live = bpf_map_lookup_elem(&lives, &zero);
	if (!live)
		return 0;
	verdict = bpf_map_lookup_elem(&verdicts, &id);
	if (!verdict || verdict->turn != live->turn) {
		judge(id, live->turn);
		verdict = bpf_map_lookup_elem(&verdicts, &id);
		if (!verdict)
			return 0;
	}
	passes = mode_passes(config.cgroups, verdict->mode);
	if (verdict->undecided)
		return (u64)verdict->container << 32 | WANTED | HEAD_UNDECIDED | (passes ? HEAD_OTHERWISE : 0);
	return passes ? WANTED : 0;
}

__inline u64 wanted_thread(u32 tgid)
{
	u64 wanted = WANTED;

	if (tgid == config.self)
		return 0;
	if (config.pids && !mode_passes(config.pids, pid_mode(tgid)))
		return 0;
	if (config.cgroups) {
		wanted = cgroup_wanted();
		if (!wanted)
			return 0;
	}
	if (config.uids) {
		u32 uid = bpf_get_current_uid_gid();
		if (!entry_passes(config.uids, bpf_map_lookup_elem(&uids, &uid)))
			return 0;
	}
	if (config.comms) {
		struct comm comm = {};
		bpf_get_current_comm(&comm, sizeof(comm));
		if (!entry_passes(config.comms, bpf_map_lookup_elem(&comms, &comm)))
			return 0;
	}
	return wanted;
}

/* The capture tells of this thread. */
__inline void has_met(u32 tid)
{
	u8 one = 1;

	if (config.meet)
		bpf_map_update_elem(&met, &tid, &one, 0);
}

/* Is this thread one that the capture tells nothing of, because it was born elsewhere? It is told of from now on. */
__inline bool is_stranger(u32 tid)
{
	u32 zero = 0;
	struct live *live;
	u8 one = 1;

	if (bpf_map_lookup_elem(&met, &tid))
		return 0;
	live = bpf_map_lookup_elem(&lives, &zero);
	/* Where there is no room it stays unknown, rather than being told of with each call. */
	return live && live->meet && !bpf_map_update_elem(&met, &tid, &one, 0);
}

#endif
