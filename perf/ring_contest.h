/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * perf/ring_contest.h - what each contestant of "bench ring" is, and the loops around it.
 *
 * A contestant offers two functions, which send and take some messages by its own
 * means; RING_CONTEST() builds the loops from them, inlined, the same for all. Read by
 * C and C++.
 *
 * Message number n is made of words that follow from n, none of them 0, and each
 * word is checked by the side that takes it, so nothing can be left out.
 */
#ifndef KM_PERF_RING_CONTEST_H
#define KM_PERF_RING_CONTEST_H

#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#ifdef __cplusplus
extern "C" {
#endif

#define RING_BURST 32u /* messages at once, where a contestant can */
#define RING_WORDS(bytes) ((bytes) / 8u)
#define RING_YIELD_LOOKS 65536u /* then the core is given away once */
#define RING_GIVE_UP_S 10 /* a message that does not come by then is lost */

struct ring_ops {
	void *(*create)(uint32_t slots); /* NULL: no memory */
	void (*destroy)(void *ring);
	/* Messages 0..nr-1. Return: how many were wrong or missing. */
	uint64_t (*send)(void *ring, uint64_t nr);
	uint64_t (*take)(void *ring, uint64_t nr);
	/* Send one there and wait for one from back, nr times; and the other side of it. */
	uint64_t (*ping)(void *there, void *back, uint64_t nr);
	uint64_t (*pong)(void *there, void *back, uint64_t nr);
};

/* What can take part; ops is NULL where the package was not there when this was built. */
struct ring_contestant {
	const char *name, *package;
	uint32_t bytes;
	bool burst;
	const struct ring_ops *ops;
};

/* All that there are; ends with a NULL name. */
extern const struct ring_contestant km_ring_contestants[];

#ifdef __cplusplus
}
#endif

#define RING_INLINE static inline __attribute__((always_inline))

/* Return: how many of messages [first, first + nr) fitted, or came. */
typedef uint32_t ring_send_fn(void *ring, uint64_t first, uint32_t nr);
typedef uint32_t ring_take_fn(void *ring, uint64_t first, uint32_t nr, uint64_t *bad);

RING_INLINE uint64_t ring_word(uint64_t msg, uint32_t word)
{
	return (msg + 1) ^ ((uint64_t)word << 56);
}

/*
 * Two words at once, for all the same. Left to the compiler, eight words became
 * vectors and the seven of a message whose first word goes by itself a loop: a
 * side that is slow for such a reason decides what the ring gets.
 */
typedef uint64_t ring_pair __attribute__((vector_size(16), aligned(8), may_alias));

#ifdef __clang__
#define RING_UNROLL
#else
#define RING_UNROLL _Pragma("GCC unroll 4")
#endif

RING_INLINE ring_pair ring_two_words(uint64_t msg, uint32_t word)
{
	const ring_pair mark = { (uint64_t)word << 56, (uint64_t)(word + 1) << 56 };

	return mark ^ (msg + 1);
}

/* Words [from, word_nr) of a message. */
RING_INLINE void ring_fill_from(uint64_t *words, uint32_t from, uint32_t word_nr, uint64_t msg)
{
	const uint32_t nr = word_nr - from;
	uint32_t i = 0;

	if (nr % 2)
		words[i++] = ring_word(msg, from);
	RING_UNROLL
	for (; i < nr; i += 2)
		*(ring_pair *)(words + i) = ring_two_words(msg, from + i);
}

RING_INLINE bool ring_is_bad_from(const uint64_t *words, uint32_t from, uint32_t word_nr,
				  uint64_t msg)
{
	const uint32_t nr = word_nr - from;
	ring_pair wrong = { 0, 0 };
	uint32_t i = 0;

	if (nr % 2)
		wrong[0] = words[i++] ^ ring_word(msg, from);
	RING_UNROLL
	for (; i < nr; i += 2)
		wrong |= *(const ring_pair *)(words + i) ^ ring_two_words(msg, from + i);
	return (wrong[0] | wrong[1]) != 0;
}

RING_INLINE void ring_fill(uint64_t *words, uint32_t word_nr, uint64_t msg)
{
	ring_fill_from(words, 0, word_nr, msg);
}

RING_INLINE bool ring_is_bad(const uint64_t *words, uint32_t word_nr, uint64_t msg)
{
	return ring_is_bad_from(words, 0, word_nr, msg);
}

/* Waiting for the other side: a pause each look, at times the core, never for ever. */
struct ring_wait {
	uint64_t looks;
	time_t since;
};

/* Return: whether it is time to give up. */
RING_INLINE bool ring_wait(struct ring_wait *wait, bool pause)
{
	struct timespec now;

	if (++wait->looks % RING_YIELD_LOOKS) {
#if defined(__x86_64__) || defined(__i386__)
		if (pause)
			__builtin_ia32_pause();
#else
		(void)pause;
#endif
		return false;
	}
	sched_yield();
	clock_gettime(CLOCK_MONOTONIC, &now);
	if (!wait->since)
		wait->since = now.tv_sec;
	return now.tv_sec - wait->since > RING_GIVE_UP_S;
}

RING_INLINE uint64_t ring_send_all(ring_send_fn *send, uint32_t burst, void *ring, uint64_t nr)
{
	struct ring_wait wait = { 0, 0 };
	uint64_t done = 0;
	uint32_t sent;

	while (done < nr) {
		sent = send(ring, done, nr - done < burst ? (uint32_t)(nr - done) : burst);
		if (!sent && ring_wait(&wait, true))
			return nr - done;
		done += sent;
	}
	return 0;
}

RING_INLINE uint64_t ring_take_all(ring_take_fn *take, uint32_t burst, void *ring, uint64_t nr)
{
	struct ring_wait wait = { 0, 0 };
	uint64_t done = 0, bad = 0;
	uint32_t taken;

	while (done < nr) {
		taken = take(ring, done, nr - done < burst ? (uint32_t)(nr - done) : burst, &bad);
		if (!taken && ring_wait(&wait, true))
			return bad + nr - done;
		done += taken;
	}
	return bad;
}

/* One message: a round trip is waited for without a pause. Return: whether it went wrong. */
RING_INLINE bool ring_send_one(ring_send_fn *send, void *ring, uint64_t msg)
{
	struct ring_wait wait = { 0, 0 };

	while (!send(ring, msg, 1))
		if (ring_wait(&wait, false))
			return true;
	return false;
}

/* @burst: what it asks for at once, as it cannot know that only one comes. */
RING_INLINE bool ring_take_one(ring_take_fn *take, uint32_t burst, void *ring, uint64_t msg)
{
	struct ring_wait wait = { 0, 0 };
	uint64_t bad = 0;

	while (!take(ring, msg, burst, &bad))
		if (ring_wait(&wait, false))
			return true;
	return bad != 0;
}

RING_INLINE uint64_t ring_ping(ring_send_fn *send, ring_take_fn *take, uint32_t burst, void *there,
			       void *back, uint64_t nr)
{
	uint64_t i;

	for (i = 0; i < nr; i++)
		if (ring_send_one(send, there, i) || ring_take_one(take, burst, back, i))
			return nr - i;
	return 0;
}

RING_INLINE uint64_t ring_pong(ring_send_fn *send, ring_take_fn *take, uint32_t burst, void *there,
			       void *back, uint64_t nr)
{
	uint64_t i;

	for (i = 0; i < nr; i++)
		if (ring_take_one(take, burst, there, i) || ring_send_one(send, back, i))
			return nr - i;
	return 0;
}

/* Defines struct ring_ops @ops; the four names are functions. */
#define RING_CONTEST(ops, create, destroy, send_some, take_some, burst)         \
	static uint64_t ops##_send(void *ring, uint64_t nr)                     \
	{                                                                       \
		return ring_send_all(send_some, burst, ring, nr);               \
	}                                                                       \
	static uint64_t ops##_take(void *ring, uint64_t nr)                     \
	{                                                                       \
		return ring_take_all(take_some, burst, ring, nr);               \
	}                                                                       \
	static uint64_t ops##_ping(void *there, void *back, uint64_t nr)        \
	{                                                                       \
		return ring_ping(send_some, take_some, burst, there, back, nr); \
	}                                                                       \
	static uint64_t ops##_pong(void *there, void *back, uint64_t nr)        \
	{                                                                       \
		return ring_pong(send_some, take_some, burst, there, back, nr); \
	}                                                                       \
	const struct ring_ops ops = { create,	  destroy,    ops##_send,       \
				      ops##_take, ops##_ping, ops##_pong }

#ifdef __cplusplus
extern "C" {
#endif

extern const struct ring_ops ring_kamino_8, ring_kamino_8_burst, ring_kamino_64,
	ring_kamino_64_burst, ring_pool_64, ring_pool_64_burst;
extern const struct ring_ops ring_cached_8, ring_cached_8_burst, ring_cached_64,
	ring_cached_64_burst;
extern const struct ring_ops ring_touch_8, ring_touch_8_burst, ring_touch_64, ring_touch_64_burst;
/* Weak: their address is NULL where the package was missing. */
#define RING_OPTIONAL __attribute__((weak))
extern const struct ring_ops ring_ck_8 RING_OPTIONAL, ring_ck_64 RING_OPTIONAL;
extern const struct ring_ops ring_boost_8 RING_OPTIONAL, ring_boost_8_burst RING_OPTIONAL,
	ring_boost_64 RING_OPTIONAL, ring_boost_64_burst RING_OPTIONAL;
extern const struct ring_ops ring_dpdk_8 RING_OPTIONAL, ring_dpdk_8_burst RING_OPTIONAL,
	ring_dpdk_64 RING_OPTIONAL, ring_dpdk_64_burst RING_OPTIONAL;

#ifdef __cplusplus
}
#endif

#endif
