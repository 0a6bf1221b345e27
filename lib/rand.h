/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * lib/rand.h - seeded random numbers, the same on every machine.
 *
 * Source: Blackman and Vigna, "Scrambled linear pseudorandom number
 * generators", TOMS 47(4), 2021 (xoshiro256**), seeded with splitmix64.
 */
#ifndef KM_LIB_RAND_H
#define KM_LIB_RAND_H

#include <stdint.h>

struct km_rand {
	uint64_t s[4];
};

static inline uint64_t km_splitmix64(uint64_t *state)
{
	uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

static inline void km_rand_init(struct km_rand *rand, uint64_t seed)
{
	int i;

	for (i = 0; i < 4; i++)
		rand->s[i] = km_splitmix64(&seed);
}

static inline uint64_t km_rand_rotl(uint64_t x, int k)
{
	return (x << k) | (x >> (64 - k));
}

/* Uniform over all 64-bit values. */
static inline uint64_t km_rand_u64(struct km_rand *rand)
{
	uint64_t *s = rand->s;
	uint64_t result = km_rand_rotl(s[1] * 5, 7) * 9, t = s[1] << 17;

	s[2] ^= s[0];
	s[3] ^= s[1];
	s[1] ^= s[2];
	s[0] ^= s[3];
	s[2] ^= t;
	s[3] = km_rand_rotl(s[3], 45);
	return result;
}

/* Uniform in 0..n-1; n > 0. Bias below n / 2^64 (multiply and shift). */
static inline uint64_t km_rand_below(struct km_rand *rand, uint64_t n)
{
	return (uint64_t)(((unsigned __int128)km_rand_u64(rand) * n) >> 64);
}

/* Uniform in [0, 1), 53 bits. */
static inline double km_rand_unit(struct km_rand *rand)
{
	return (double)(km_rand_u64(rand) >> 11) * 0x1.0p-53;
}

#endif
