/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * lib/base.h - the few macros every file may use.
 */
#ifndef KM_LIB_BASE_H
#define KM_LIB_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KM_MUST_CHECK __attribute__((warn_unused_result))
#define KM_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))

#define km_likely(x) __builtin_expect(!!(x), 1)
#define km_unlikely(x) __builtin_expect(!!(x), 0)

#define KM_ARRAY_NR(a) (sizeof(a) / sizeof((a)[0]))
#define KM_DIV_UP(n, d) (((n) + (d)-1) / (d))

#define km_container_of(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

/* Drops an error on purpose; the reason is written beside the call. */
#define km_ignore(expr)            \
	do {                       \
		if ((expr) != 0) { \
		}                  \
	} while (0)

/**
 * km_bug() - print where an invariant of ours broke, then abort.
 * @file: source file.
 * @line: line in it.
 * @what: the condition that held and must not.
 */
void km_bug(const char *file, int line, const char *what) __attribute__((noreturn, cold));

/* For mistakes of ours; input from outside never reaches it. */
#define KM_BUG_ON(cond)                                    \
	do {                                               \
		if (km_unlikely(cond))                     \
			km_bug(__FILE__, __LINE__, #cond); \
	} while (0)

/*
 * Fetch the line at @p, to be read or to be written. Not the bare builtin: gcc takes a
 * function that does nothing else for one without effect and drops its calls.
 */
static inline void km_prefetch(const void *p)
{
	__builtin_prefetch(p);
	__asm__ volatile("");
}

static inline void km_prefetch_write(const void *p)
{
	__builtin_prefetch(p, 1);
	__asm__ volatile("");
}

static inline uint64_t km_min_u64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static inline uint64_t km_max_u64(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/* Smallest power of two that is at least @n; @n is 1..2^63. */
static inline uint64_t km_pow2_up(uint64_t n)
{
	return n <= 1 ? 1 : UINT64_C(1) << (64 - __builtin_clzll(n - 1));
}

#endif
