/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* What a program may ask of the kernel: helper numbers (stable ABI, linux/bpf.h), map and section declarations,
 * and reads that are fitted to the running kernel's type information when the object is loaded (CO-RE).
 * Everything here exists since kernel 5.8. */
#ifndef CASEBOOK_HELPERS_H
#define CASEBOOK_HELPERS_H

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef int s32;
typedef long long s64;
typedef _Bool bool;

#define SEC(name) __attribute__((section(name), used))
#define __inline static inline __attribute__((always_inline))
/* A global function is verified once, on its own, whatever number of programs call it. */
#define __global __attribute__((noinline))

#define __uint(name, value) int (*name)[value]
#define __type(name, value) typeof(value) *name

enum map_type {
	MAP_HASH = 1,
	MAP_ARRAY = 2,
	MAP_PROG_ARRAY = 3,
	MAP_PERCPU_ARRAY = 6,
	MAP_LRU_HASH = 9,
	MAP_RINGBUF = 27,
};

#define RB_NO_WAKEUP 1ULL

static void *(*bpf_map_lookup_elem)(void *map, const void *key) = (void *)1;
static long (*bpf_map_update_elem)(void *map, const void *key, const void *value, u64 flags) = (void *)2;
static long (*bpf_map_delete_elem)(void *map, const void *key) = (void *)3;
static u32 (*bpf_get_smp_processor_id)(void) = (void *)8;
static long (*bpf_tail_call)(void *ctx, void *map, u32 index) = (void *)12;
static u64 (*bpf_get_current_pid_tgid)(void) = (void *)14;
static u64 (*bpf_get_current_uid_gid)(void) = (void *)15;
static long (*bpf_get_current_comm)(void *to, u32 size) = (void *)16;
static u64 (*bpf_get_current_task)(void) = (void *)35;
static u64 (*bpf_get_current_cgroup_id)(void) = (void *)80;
static long (*bpf_probe_read_user)(void *to, u32 size, const void *from) = (void *)112;
static long (*bpf_probe_read_kernel)(void *to, u32 size, const void *from) = (void *)113;
static long (*bpf_probe_read_user_str)(void *to, u32 size, const void *from) = (void *)114;
static long (*bpf_probe_read_kernel_str)(void *to, u32 size, const void *from) = (void *)115;
static u64 (*bpf_get_current_ancestor_cgroup_id)(int level) = (void *)123;
static u64 (*bpf_ktime_get_boot_ns)(void) = (void *)125;
/* Since 5.11; only behind a question whether the kernel has it. */
struct task_struct;
static struct task_struct *(*bpf_get_current_task_btf)(void) = (void *)158;
static long (*bpf_seq_write)(void *seq, const void *data, u32 len) = (void *)127;
static long (*bpf_ringbuf_output)(void *ring, void *data, u64 size, u64 flags) = (void *)130;

/* Value of a field that may not be readable; zero then. The struct carries preserve_access_index, so the offset is
 * that of the running kernel. */
#define GET(pointer, field)                                                                                            \
	({                                                                                                                 \
		typeof((pointer)->field) value_;                                                                               \
		__builtin_memset(&value_, 0, sizeof(value_));                                                                  \
		bpf_probe_read_kernel(&value_, sizeof(value_), &(pointer)->field);                                             \
		value_;                                                                                                        \
	})

/* A bound that the verifier sees where it is needed. The compiler knows that a value is in its bounds already and would
 * leave the mask out; verifiers up to 6.1 have forgotten by then. */
#define BOUNDED(value, mask)                                                                                           \
	({                                                                                                                 \
		u64 bounded_ = (value);                                                                                        \
		asm volatile("" : "+r"(bounded_));                                                                             \
		bounded_ & (mask);                                                                                             \
	})

/* Numbers of linux/bpf.h's enum bpf_core_relo_kind, as clang's builtins take them. */
#define FIELD_OFFSET(type, field) __builtin_preserve_field_info(((type *)0)->field, 0)
#define FIELD_SIZE(type, field) __builtin_preserve_field_info(((type *)0)->field, 1)
#define FIELD_EXISTS(type, field) __builtin_preserve_field_info(((type *)0)->field, 2)
#define FIELD_LSHIFT(type, field) __builtin_preserve_field_info(((type *)0)->field, 4)
#define FIELD_RSHIFT(type, field) __builtin_preserve_field_info(((type *)0)->field, 5)
#define TYPE_SIZE(type) __builtin_preserve_type_info(*(type *)0, 1)
#define ENUM_EXISTS(type, value) __builtin_preserve_enum_value(*(typeof(type) *)value, 0)
#define ENUM_VALUE(type, value) __builtin_preserve_enum_value(*(typeof(type) *)value, 1)

#endif
