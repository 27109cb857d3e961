/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Items of a record: each function appends one (or a few) at the record's position. They are global functions with
 * scalar arguments, verified once each. `to`: scratch << 16 | kind << 8 | place. */
#ifndef CASEBOOK_GATHER_H
#define CASEBOOK_GATHER_H

#include "maps.h"

#define TO(kind, place) ((u32)(kind) << 8 | (u32)(place))
#define S_IFMT 0170000
#define S_IFSOCK 0140000

/* Begins an item: where it begins, or a negative number when there is no room. */
__inline s32 item_begin(struct scratch *s)
{
	u32 pos = s->pos;
	if (pos >= ROOM) {
		struct head *head = (void *)s->buf;
		head->flags |= HEAD_CUT;
		count(COUNT_CUT);
		return -1;
	}
	return pos;
}

/* Begins an item in the scratch of `to`; leaves the function where there is nothing to read from, or no room. */
#define ITEM_BEGIN(s, pos, from, to)                                                                                   \
	struct scratch *s = scratch_of(to);                                                                                \
	s32 pos;                                                                                                           \
                                                                                                                       \
	if (!s || !(from))                                                                                                 \
		return 0;                                                                                                      \
	pos = item_begin(s);                                                                                               \
	if (pos < 0)                                                                                                       \
		return 0;                                                                                                      \
	pos &= ROOM - 1

/* The same for an item that is a structure: `body` points to it, empty. */
#define ITEM_BEGIN_STRUCT(type, body, s, pos, from, to)                                                                \
	ITEM_BEGIN(s, pos, from, to);                                                                                      \
	type *body = (void *)&s->buf[pos + sizeof(struct item)];                                                           \
                                                                                                                       \
	__builtin_memset(body, 0, sizeof(*body))

__inline void item_end(struct scratch *s, u32 pos, u32 to, u32 len, u32 bits)
{
	struct item *item;

	pos &= ROOM - 1;
	item = (void *)&s->buf[pos];
	item->kind = to >> 8;
	item->place = (to & ITEM_PLACE) | bits;
	item->len = len;
	s->pos = pos + sizeof(*item) + len;
	if (bits & ITEM_CUT)
		count(COUNT_CUT);
	if (bits & ITEM_FAULT)
		count(COUNT_FAULT);
}

#define STR_MAX 4096

/* Text in user memory, or in the kernel's. A null pointer makes no item. */
__inline int put_text(u64 from, u32 to, bool of_kernel)
{
	ITEM_BEGIN(s, pos, from, to);
	long n;

	if (of_kernel)
		n = bpf_probe_read_kernel_str(&s->buf[pos + sizeof(struct item)], STR_MAX, (void *)from);
	else
		n = bpf_probe_read_user_str(&s->buf[pos + sizeof(struct item)], STR_MAX, (void *)from);
	if (n <= 0)
		item_end(s, pos, to, 0, ITEM_FAULT);
	else
		item_end(s, pos, to, n - 1, n == STR_MAX ? ITEM_CUT : 0);
	return 0;
}

__global int put_str(u64 from, u32 to)
{
	return put_text(from, to, 0);
}

__global int put_kernel_str(u64 from, u32 to)
{
	return put_text(from, to, 1);
}

/* `len` bytes of user memory, `max` at most; where the last page is not there, what lies before it. */
__global int put_bytes(u64 from, u64 len, u32 max, u32 to)
{
	ITEM_BEGIN(s, pos, from, to);
	u32 bits = 0, n;

	if (max > ITEM_MAX - 1)
		max = ITEM_MAX - 1;
	/* That a buffer is longer than what is kept of it is the setting, not an accident. */
	n = BOUNDED(len > max ? max : len, ITEM_MAX - 1);
	if (bpf_probe_read_user(&s->buf[pos + sizeof(struct item)], n, (void *)from)) {
		u32 page = 4096 - (from & 4095);
		bits = ITEM_FAULT;
		if (page < n) {
			n = BOUNDED(page, ITEM_MAX - 1);
			if (bpf_probe_read_user(&s->buf[pos + sizeof(struct item)], n, (void *)from))
				n = 0;
		} else {
			n = 0;
		}
	}
	item_end(s, pos, to, n, bits);
	return 0;
}

struct iovec64 {
	u64 base, len;
};
struct iovec32 {
	u32 base, len;
};

#define IOVECS 16

/* Length of a vector of buffers: an item of eight bytes. */
__global int put_iov_size(u64 iov, u64 vectors, u32 compat, u32 to)
{
	ITEM_BEGIN(s, pos, iov, to);
	u64 sum = 0;

	for (u32 i = 0; i < IOVECS; i++) {
		u64 len = 0;

		if (i >= vectors)
			break;
		if (compat)
			bpf_probe_read_user(&len, 4, (void *)(iov + i * 8 + 4));
		else
			bpf_probe_read_user(&len, 8, (void *)(iov + i * 16 + 8));
		sum += len;
	}
	*(u32 *)&s->buf[pos + 4] = sum;
	*(u32 *)&s->buf[pos + 8] = sum >> 32;
	item_end(s, pos, to, sizeof(sum), vectors > IOVECS ? ITEM_CUT : 0);
	return 0;
}

/* The first bytes of a vector of buffers that holds `total` bytes, and its length. */
__global int put_iov(u64 iov, u64 vectors, u64 total, u32 compat, u32 to)
{
	struct scratch *s = scratch_of(to);
	u64 left = config.snaplen;
	u32 bits = 0;
	s32 start;

	if (!s || !iov)
		return 0;
	put_iov_size(iov, vectors, compat, TO(ITEM_SIZE, to & ITEM_PLACE));
	if (!left)
		return 0;
	start = item_begin(s);
	if (start < 0)
		return 0;
	if (left > total)
		left = total;
	if (left > ITEM_MAX - 1)
		left = ITEM_MAX - 1;
	s->pos = start + sizeof(struct item);
	for (u32 i = 0; i < IOVECS; i++) {
		struct iovec64 v = {};
		u32 pos = s->pos, n;

		if (i >= vectors || !left)
			break;
		if (compat) {
			struct iovec32 small = {};
			bpf_probe_read_user(&small, sizeof(small), (void *)(iov + i * sizeof(small)));
			v.base = small.base;
			v.len = small.len;
		} else {
			bpf_probe_read_user(&v, sizeof(v), (void *)(iov + i * sizeof(v)));
		}
		/* One item of at most ITEM_MAX - 1 bytes that began below ROOM. */
		if (pos > ROOM + ITEM_MAX / 2)
			break;
		n = BOUNDED(v.len > left ? left : v.len, ITEM_MAX / 2 - 1);
		if (bpf_probe_read_user(&s->buf[pos], n, (void *)v.base)) {
			bits = ITEM_FAULT;
			break;
		}
		s->pos = pos + n;
		left -= n;
	}
	item_end(s, start, to, s->pos - start - sizeof(struct item), bits);
	return 0;
}

struct msghdr64 {
	u64 name;
	u32 namelen, pad;
	u64 iov, iovlen, control, controllen;
	u32 flags, pad2;
};
struct msghdr32 {
	u32 name, namelen, iov, iovlen, control, controllen, flags;
};

#define ADDR_MAX 128
#define CONTROL_MAX 512

/* Address, data and control messages of a struct msghdr. */
__global int put_msg(u64 msg, u64 total, u32 compat, u32 to)
{
	struct msghdr64 m = {};

	if (!msg)
		return 0;
	if (compat) {
		struct msghdr32 small = {};
		bpf_probe_read_user(&small, sizeof(small), (void *)msg);
		m.name = small.name;
		m.namelen = small.namelen;
		m.iov = small.iov;
		m.iovlen = small.iovlen;
		m.control = small.control;
		m.controllen = small.controllen;
	} else if (bpf_probe_read_user(&m, sizeof(m), (void *)msg)) {
		count(COUNT_FAULT);
		return 0;
	}
	if (m.name && m.namelen)
		put_bytes(m.name, m.namelen, ADDR_MAX, TO(ITEM_ADDR, to & ITEM_PLACE));
	put_iov(m.iov, m.iovlen, total, compat, TO(ITEM_DATA, to & ITEM_PLACE));
	if (m.control && m.controllen)
		put_bytes(m.control, m.controllen, CONTROL_MAX, TO(ITEM_CONTROL, to & ITEM_PLACE));
	return 0;
}

#define ARGVS 128

/* Texts that an array of pointers in user memory refers to, each with its NUL. */
__global int put_argv(u64 argv, u32 compat, u32 to)
{
	ITEM_BEGIN(s, start, argv, to);
	u32 bits = 0;

	s->pos = start + sizeof(struct item);
	for (u32 i = 0; i < ARGVS; i++) {
		u32 pos = s->pos;
		u64 text = 0;
		long n;

		if (bpf_probe_read_user(&text, compat ? 4 : 8, (void *)(argv + (u64)i * (compat ? 4 : 8)))) {
			bits = ITEM_FAULT;
			break;
		}
		if (!text)
			break;
		if (pos - start > STR_MAX || pos > ROOM + STR_MAX || i == ARGVS - 1) {
			bits = ITEM_CUT;
			break;
		}
		n = bpf_probe_read_user_str(&s->buf[pos], STR_MAX / 2, (void *)text);
		if (n <= 0) {
			bits = ITEM_FAULT;
			break;
		}
		s->pos = pos + n;
	}
	item_end(s, start, to, s->pos - start - sizeof(struct item), bits);
	return 0;
}

#define COMPONENTS 64
#define NAME_ROOM 256

/* One name of a path. False where there is no room (the path stays cut) or no reading it. */
__inline bool put_name(struct scratch *s, const void *name, u32 *bits)
{
	u32 pos = s->pos;
	long n;

	if (pos > ROOM + STR_MAX)
		return 0;
	n = bpf_probe_read_kernel_str(&s->buf[pos], NAME_ROOM, name);
	if (n <= 0) {
		*bits = ITEM_FAULT;
		return 0;
	}
	s->pos = pos + n;
	return 1;
}

/* A path up to the root of its mount namespace: component names, leaf first. */
__global int put_path(u64 dentry, u64 vfsmount, u32 to)
{
	ITEM_BEGIN(s, start, dentry && vfsmount, to);
	struct dentry *d = (void *)dentry, *root;
	struct mount *m = (void *)(vfsmount - FIELD_OFFSET(struct mount, mnt));
	u32 bits = ITEM_CUT;

	s->pos = start + sizeof(struct item);
	root = GET(m, mnt.mnt_root);
	for (u32 i = 0; i < COMPONENTS; i++) {
		struct dentry *parent;

		if (d == root) {
			struct mount *above = GET(m, mnt_parent);
			if (above == m || !above) {
				bits = 0;
				break;
			}
			d = GET(m, mnt_mountpoint);
			m = above;
			root = GET(m, mnt.mnt_root);
			continue;
		}
		parent = GET(d, d_parent);
		/* Without a parent and no root: a thing of its own, such as a memfd, whose only name is its own. */
		if (!put_name(s, GET(d, d_name.name), &bits))
			break;
		if (parent == d || !parent) {
			bits = 0;
			break;
		}
		d = parent;
	}
	item_end(s, start, to, s->pos - start - sizeof(struct item), bits);
	return 0;
}

__inline struct kernfs_node *parent_of(struct kernfs_node *node)
{
	if (FIELD_EXISTS(struct kernfs_node, __parent))
		return GET(node, __parent);
	return GET((struct kernfs_node___plain *)node, parent);
}

/* Path of a cgroup: names, leaf first. */
__global int put_cgroup(u64 node, u32 to)
{
	ITEM_BEGIN(s, start, node, to);
	struct kernfs_node *kn = (void *)node;
	u32 bits = ITEM_CUT;

	s->pos = start + sizeof(struct item);
	for (u32 i = 0; i < 32; i++) {
		struct kernfs_node *parent = parent_of(kn);

		/* The root has no name worth telling. */
		if (!parent) {
			bits = 0;
			break;
		}
		if (!put_name(s, GET(kn, name), &bits))
			break;
		kn = parent;
	}
	item_end(s, start, to, s->pos - start - sizeof(struct item), bits);
	return 0;
}

#endif
