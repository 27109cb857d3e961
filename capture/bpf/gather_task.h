/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Items about threads, files and sockets: what the kernel knows of them, read from its own structures. */
#ifndef CASEBOOK_GATHER_TASK_H
#define CASEBOOK_GATHER_TASK_H

#include "gather.h"

#define PIDTYPE_PGID 2
#define PIDTYPE_SID 3
#define RLIMIT_NOFILE 7
#define PAGE_KIB 4
#define OVERLAY_MAGIC 0x794c7630
#define FMODE_CREATED_BIT 0x100000
#define SB_RDONLY 1
#define S_IMMUTABLE 8
#define AF_UNIX 1
#define AF_INET 2
#define AF_INET6 10

/* Number of a struct pid at a level of namespaces. */
__inline u32 number_at(struct pid *pid, u32 level)
{
	u64 at = (u64)pid + FIELD_OFFSET(struct pid, numbers) + level * sizeof(struct upid);
	u32 number = 0;

	if (pid)
		bpf_probe_read_kernel(&number, sizeof(number), (void *)at);
	return number;
}

__inline struct pid_namespace *namespace_of(struct pid *pid, u32 level)
{
	u64 at = (u64)pid + FIELD_OFFSET(struct pid, numbers) + level * sizeof(struct upid);
	struct upid upid = {};

	bpf_probe_read_kernel(&upid, sizeof(upid), (void *)at);
	return upid.ns;
}

__inline void put_numbers(struct task_item *t, struct task_struct *task)
{
	struct signal_struct *signal = GET(task, signal);
	struct task_struct *leader = GET(task, group_leader);
	struct pid *pid = GET(task, thread_pid);
	struct pid *group = GET(signal, pids[PIDTYPE_PGID]);
	struct pid *session = GET(signal, pids[PIDTYPE_SID]);
	u32 level = GET(pid, level) & 31;
	struct pid_namespace *ns = namespace_of(pid, level);
	struct tty_struct *tty = GET(signal, tty);

	t->tid = GET(task, pid);
	t->tgid = GET(task, tgid);
	t->ptid = GET(GET(task, real_parent), pid);
	t->pgid = number_at(group, 0);
	t->sid = number_at(session, 0);
	t->vpgid = number_at(group, level);
	t->vtid = number_at(pid, level);
	t->vpid = number_at(GET(leader, thread_pid), level);
	t->level = level;
	t->children_level = GET(GET(GET(task, nsproxy), pid_ns_for_children), level);
	t->pidns_start = GET(GET(ns, child_reaper), start_boottime);
	t->fdlimit = GET(signal, rlim[RLIMIT_NOFILE]).rlim_cur;
	t->tty = 0;
	if (tty) {
		struct tty_driver *driver = GET(tty, driver);
		t->tty = GET(driver, major) << 20 | (GET(driver, minor_start) + GET(tty, index));
	}
}

__inline void put_credentials(struct task_item *t, struct task_struct *task)
{
	struct cred *cred = GET(task, cred);

	t->uid = GET(cred, uid).val;
	t->gid = GET(cred, gid).val;
	t->euid = GET(cred, euid).val;
	t->egid = GET(cred, egid).val;
	t->fsuid = GET(cred, fsuid).val;
	t->fsgid = GET(cred, fsgid).val;
	t->cap_inheritable = GET(cred, cap_inheritable).bits;
	t->cap_permitted = GET(cred, cap_permitted).bits;
	t->cap_effective = GET(cred, cap_effective).bits;
	t->loginuid = 0xffffffff;
	if (FIELD_EXISTS(struct task_struct, loginuid))
		t->loginuid = GET(task, loginuid).val;
}

__inline s64 pages(struct mm_struct *mm, u32 which)
{
	s64 n = 0;

	if (FIELD_EXISTS(struct mm_struct___plain, rss_stat)) {
		u64 at = (u64)mm + FIELD_OFFSET(struct mm_struct___plain, rss_stat) + which * 8;
		bpf_probe_read_kernel(&n, sizeof(n), (void *)at);
	} else if (which == 0) {
		n = GET(mm, rss_stat[0].count);
	} else if (which == 1) {
		n = GET(mm, rss_stat[1].count);
	} else if (which == 2) {
		n = GET(mm, rss_stat[2].count);
	} else {
		n = GET(mm, rss_stat[3].count);
	}
	return n > 0 ? n : 0;
}

__inline void put_memory(struct task_item *t, struct task_struct *task)
{
	struct mm_struct *mm = GET(task, mm);

	t->maj_flt = GET(task, maj_flt);
	t->min_flt = GET(task, min_flt);
	t->vm_size = t->vm_rss = t->vm_swap = 0;
	if (!mm)
		return;
	t->vm_size = GET(mm, total_vm) * PAGE_KIB;
	/* File, anonymous and shared memory pages. */
	t->vm_rss = (pages(mm, 0) + pages(mm, 1) + pages(mm, 3)) * PAGE_KIB;
	t->vm_swap = pages(mm, 2) * PAGE_KIB;
}

__global int put_task(u64 from, u32 to)
{
	ITEM_BEGIN_STRUCT(struct task_item, t, s, pos, from, to);
	struct task_struct *task = (void *)from;

	t->start = GET(task, start_boottime);
	t->flags = GET(task, flags);
	put_numbers(t, task);
	put_credentials(t, task);
	put_memory(t, task);
	if (!(to >> 16))
		t->cgroup_id = bpf_get_current_cgroup_id();
	bpf_probe_read_kernel(&t->comm, sizeof(t->comm), &task->comm);
	item_end(s, pos, to, sizeof(*t), 0);
	return 0;
}

/* Cgroup paths: of version 2, and of the memory controller where that is mounted as version 1. */
__global int put_cgroups(u64 from, u32 to)
{
	struct task_struct *task = (void *)from;
	struct css_set *set = GET(task, cgroups);
	struct cgroup *unified = GET(set, dfl_cgrp), *memory = 0;

	put_cgroup((u64)GET(unified, kn), (to & ~0xffff) | TO(ITEM_CGROUP, 0));
	if (ENUM_EXISTS(enum cgroup_subsys_id, memory_cgrp_id)) {
		u64 at = (u64)set + FIELD_OFFSET(struct css_set, subsys) + ENUM_VALUE(enum cgroup_subsys_id, memory_cgrp_id) * 8;
		struct cgroup_subsys_state *state = 0;
		bpf_probe_read_kernel(&state, sizeof(state), (void *)at);
		memory = GET(state, cgroup);
	}
	if (memory && memory != unified)
		put_cgroup((u64)GET(memory, kn), (to & ~0xffff) | TO(ITEM_CGROUP_V1, 0));
	return 0;
}

__inline u64 nanoseconds(s64 seconds, u64 ns)
{
	return seconds * 1000000000ULL + ns;
}

__inline void put_times(struct file_item *f, struct inode *inode)
{
	if (FIELD_EXISTS(struct inode, i_mtime_sec)) {
		f->mtime = nanoseconds(GET(inode, i_mtime_sec), GET(inode, i_mtime_nsec));
		/* Since 6.13 the highest bit says that somebody has asked for it (multigrain timestamps). */
		f->ctime = nanoseconds(GET(inode, i_ctime_sec), GET(inode, i_ctime_nsec) & 0x7fffffff);
		return;
	}
	struct timespec64 m = {}, c = {};
	if (FIELD_EXISTS(struct inode___plain, i_mtime))
		m = GET((struct inode___plain *)inode, i_mtime);
	else if (FIELD_EXISTS(struct inode___hidden, __i_mtime))
		m = GET((struct inode___hidden *)inode, __i_mtime);
	if (FIELD_EXISTS(struct inode___plain, i_ctime))
		c = GET((struct inode___plain *)inode, i_ctime);
	else if (FIELD_EXISTS(struct inode___hidden, __i_ctime))
		c = GET((struct inode___hidden *)inode, __i_ctime);
	f->mtime = nanoseconds(m.tv_sec, m.tv_nsec);
	f->ctime = nanoseconds(c.tv_sec, c.tv_nsec);
}

__global int put_file(u64 from, u32 to)
{
	ITEM_BEGIN_STRUCT(struct file_item, f, s, pos, from, to);
	struct file *file = (void *)from;
	struct inode *inode;
	struct super_block *sb;

	inode = GET(file, f_inode);
	sb = GET(inode, i_sb);
	f->ino = GET(inode, i_ino);
	f->dev = GET(sb, s_dev);
	f->magic = GET(sb, s_magic);
	f->mode = GET(inode, i_mode);
	f->uid = GET(inode, i_uid).val;
	f->gid = GET(inode, i_gid).val;
	f->nlink = GET(inode, i_nlink);
	f->f_flags = GET(file, f_flags);
	put_times(f, inode);
	if (GET(file, f_mode) & FMODE_CREATED_BIT)
		f->bits |= FILE_CREATED;
	if ((GET(sb, s_flags) & SB_RDONLY) || (GET(inode, i_flags) & S_IMMUTABLE))
		f->bits |= FILE_READONLY;
	if (f->magic == OVERLAY_MAGIC) {
		/* The overlay's own inode goes on with the upper layer's directory entry. */
		u64 upper = 0;
		bpf_probe_read_kernel(&upper, sizeof(upper), (void *)((u64)inode + TYPE_SIZE(struct inode)));
		f->layer = upper ? 2 : 1;
	}
	item_end(s, pos, to, sizeof(*f), 0);
	return 0;
}

/* Name of a unix socket. An abstract one begins with NUL. */
__global int put_unix_name(u64 from, u32 to)
{
	struct unix_sock *sk = (void *)from;
	struct unix_address *address = from ? GET(sk, addr) : 0;
	ITEM_BEGIN(s, pos, address, to);
	u32 n;

	n = GET(address, len);
	if (n < 2)
		return 0;
	n -= 2;
	if (n > 108)
		n = 108;
	if (bpf_probe_read_kernel(&s->buf[pos + sizeof(struct item)], n, &address->name[0].sun_path))
		n = 0;
	item_end(s, pos, to, n, 0);
	return 0;
}

/* A socket's ends. */
__global int put_sock(u64 from, u32 to)
{
	ITEM_BEGIN_STRUCT(struct sock_item, i, s, pos, from, to);
	struct sock *sk = (void *)from;
	u16 family;
	u64 peer = 0;

	family = GET(sk, __sk_common.skc_family);
	i->sk = from;
	i->family = family;
	i->type = GET(sk, sk_type);
	i->protocol = GET(sk, sk_protocol);
	i->state = GET(sk, __sk_common.skc_state);
	i->queue = GET(sk, sk_ack_backlog);
	i->queue_max = GET(sk, sk_max_ack_backlog);
	if (family == AF_INET || family == AF_INET6) {
		i->lport = GET(sk, __sk_common.skc_num);
		i->rport = GET(sk, __sk_common.skc_dport);
	}
	if (family == AF_INET) {
		bpf_probe_read_kernel(&i->laddr, 4, &sk->__sk_common.skc_rcv_saddr);
		bpf_probe_read_kernel(&i->raddr, 4, &sk->__sk_common.skc_daddr);
	} else if (family == AF_INET6) {
		bpf_probe_read_kernel(&i->laddr, 16, &sk->__sk_common.skc_v6_rcv_saddr);
		bpf_probe_read_kernel(&i->raddr, 16, &sk->__sk_common.skc_v6_daddr);
	} else if (family == AF_UNIX) {
		peer = (u64)GET((struct unix_sock *)sk, peer);
		i->peer = peer;
	}
	item_end(s, pos, to, sizeof(*i), 0);
	if (family == AF_UNIX) {
		put_unix_name(from, (to & ~0xffff) | TO(ITEM_UNIX_SELF, to & ITEM_PLACE));
		put_unix_name(peer, (to & ~0xffff) | TO(ITEM_UNIX_PEER, to & ITEM_PLACE));
	}
	return 0;
}

/* What a descriptor refers to: of the current process, or of the one on whose behalf the kernel acts. */
__inline struct file *file_of(u32 fd)
{
	struct scratch *s = scratch_of(FOR_EVENT);
	struct task_struct *task = (void *)(s && s->task ? s->task : bpf_get_current_task());
	struct fdtable *table = GET(GET(task, files), fdt);
	struct file *file = 0;

	if (s && fd >= DIRECT)
		return (void *)s->file;
	if (fd < GET(table, max_fds))
		bpf_probe_read_kernel(&file, sizeof(file), GET(table, fd) + fd);
	return file;
}

#define SEARCHED 512 /* descriptors */

/* A descriptor of this thread that refers to the file; negative where there is none among the first. */
__global int descriptor_of(u64 of, u64 file)
{
	struct task_struct *task = (void *)of;
	struct fdtable *table = GET(GET(task, files), fdt);
	u32 count = GET(table, max_fds);
	u64 at = (u64)GET(table, fd);

	if (!file)
		return -1;
	for (u32 i = 0; i < SEARCHED; i += 4) {
		u64 files[4] = {};

		/* Tables have room for multiples of 64. */
		if (i >= count || bpf_probe_read_kernel(files, sizeof(files), (void *)(at + i * 8)))
			break;
		if (files[0] == file)
			return i;
		if (files[1] == file)
			return i + 1;
		if (files[2] == file)
			return i + 2;
		if (files[3] == file)
			return i + 3;
	}
	return -1;
}

__inline struct sock *sock_of(struct file *file)
{
	struct inode *inode = GET(file, f_inode);

	if ((GET(inode, i_mode) & S_IFMT) != S_IFSOCK)
		return 0;
	return GET((struct socket *)GET(file, private_data), sk);
}

__global int put_fd(u32 fd, u32 to)
{
	return put_file((u64)file_of(fd), to);
}

__global int put_fd_path(u32 fd, u32 to)
{
	struct file *file = file_of(fd);
	struct path path = GET(file, f_path);

	return put_path((u64)path.dentry, (u64)path.mnt, to);
}

__global int put_fd_sock(u32 fd, u32 to)
{
	return put_sock((u64)sock_of(file_of(fd)), to);
}

/* Program, arguments and directories of a thread; its memory is the current one. */
__global int put_program(u64 from, u32 with_env)
{
	struct task_struct *task = (void *)from;
	struct mm_struct *mm = GET(task, mm);
	struct fs_struct *fs = GET(task, fs);
	struct path cwd = GET(fs, pwd);
	u64 begin, end;

	if (mm) {
		begin = GET(mm, arg_start);
		end = GET(mm, arg_end);
		put_bytes(begin, end - begin, STR_MAX, TO(ITEM_ARGS, 0));
		if (with_env) {
			begin = GET(mm, env_start);
			end = GET(mm, env_end);
			put_bytes(begin, end - begin, STR_MAX, TO(ITEM_ENV, 0));
		}
	}
	put_path((u64)cwd.dentry, (u64)cwd.mnt, TO(ITEM_CWD, 0));
	return 0;
}

#endif
