/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * perf/ring_boost.cc - a contestant of "bench ring": boost::lockfree::spsc_queue, single
 * and by its calls for arrays.
 *
 * Memory comes from malloc by an allocator of our own, so that the C++ library
 * need not be linked.
 */
#include <cstdlib>
#include <new>

#include <boost/lockfree/spsc_queue.hpp>

#include "perf/ring_contest.h"

namespace
{

struct msg {
	uint64_t words[8];
};

template <typename T> struct line_alloc {
	typedef T value_type;

	line_alloc() {}
	template <typename U> line_alloc(const line_alloc<U> &) {}
	template <typename U> struct rebind {
		typedef line_alloc<U> other;
	};
	T *allocate(std::size_t nr)
	{
		void *at = aligned_alloc(128, (nr * sizeof(T) + 127) / 128 * 128);

		if (!at)
			abort(); /* the queue has no other way to say so */
		return static_cast<T *>(at);
	}
	void deallocate(T *at, std::size_t)
	{
		free(at);
	}
};

template <typename T> using queue =
	boost::lockfree::spsc_queue<T, boost::lockfree::allocator<line_alloc<T>>>;

template <typename T> void *create(uint32_t slots)
{
	void *at = aligned_alloc(128, (sizeof(queue<T>) + 127) / 128 * 128);

	return at ? new (at) queue<T>(slots) : nullptr;
}

template <typename T> void destroy(void *ring)
{
	if (!ring)
		return;
	static_cast<queue<T> *>(ring)->~queue<T>();
	free(ring);
}

RING_INLINE uint32_t send_8(void *ring, uint64_t first, uint32_t)
{
	return static_cast<queue<uint64_t> *>(ring)->push(ring_word(first, 0));
}

RING_INLINE uint32_t take_8(void *ring, uint64_t first, uint32_t, uint64_t *bad)
{
	uint64_t word;

	if (!static_cast<queue<uint64_t> *>(ring)->pop(word))
		return 0;
	*bad += word != ring_word(first, 0);
	return 1;
}

RING_INLINE uint32_t send_8_burst(void *ring, uint64_t first, uint32_t nr)
{
	uint64_t words[RING_BURST];

	for (uint32_t i = 0; i < nr; i++)
		words[i] = ring_word(first + i, 0);
	return static_cast<queue<uint64_t> *>(ring)->push(words, nr);
}

RING_INLINE uint32_t take_8_burst(void *ring, uint64_t first, uint32_t nr, uint64_t *bad)
{
	uint64_t words[RING_BURST];

	nr = static_cast<queue<uint64_t> *>(ring)->pop(words, nr);
	for (uint32_t i = 0; i < nr; i++)
		*bad += words[i] != ring_word(first + i, 0);
	return nr;
}

RING_INLINE uint32_t send_64(void *ring, uint64_t first, uint32_t)
{
	msg one;

	ring_fill(one.words, 8, first);
	return static_cast<queue<msg> *>(ring)->push(one);
}

RING_INLINE uint32_t take_64(void *ring, uint64_t first, uint32_t, uint64_t *bad)
{
	msg one;

	if (!static_cast<queue<msg> *>(ring)->pop(one))
		return 0;
	*bad += ring_is_bad(one.words, 8, first);
	return 1;
}

RING_INLINE uint32_t send_64_burst(void *ring, uint64_t first, uint32_t nr)
{
	msg some[RING_BURST];

	for (uint32_t i = 0; i < nr; i++)
		ring_fill(some[i].words, 8, first + i);
	return static_cast<queue<msg> *>(ring)->push(some, nr);
}

RING_INLINE uint32_t take_64_burst(void *ring, uint64_t first, uint32_t nr, uint64_t *bad)
{
	msg some[RING_BURST];

	nr = static_cast<queue<msg> *>(ring)->pop(some, nr);
	for (uint32_t i = 0; i < nr; i++)
		*bad += ring_is_bad(some[i].words, 8, first + i);
	return nr;
}

} // namespace

RING_CONTEST(ring_boost_8, create<uint64_t>, destroy<uint64_t>, send_8, take_8, 1);
RING_CONTEST(ring_boost_8_burst, create<uint64_t>, destroy<uint64_t>, send_8_burst, take_8_burst,
	     RING_BURST);
RING_CONTEST(ring_boost_64, create<msg>, destroy<msg>, send_64, take_64, 1);
RING_CONTEST(ring_boost_64_burst, create<msg>, destroy<msg>, send_64_burst, take_64_burst,
	     RING_BURST);
