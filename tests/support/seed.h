/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tests/support/seed.h - what a randomised test draws from, and how to repeat it.
 */
#ifndef KM_TESTS_SEED_H
#define KM_TESTS_SEED_H

#include <errno.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/** km_test_seed() - SEED of the environment, else @otherwise; printed as a TAP comment. */
static inline uint64_t km_test_seed(uint64_t otherwise)
{
	const char *text = getenv("SEED");
	const uint64_t seed = text ? strtoull(text, NULL, 0) : otherwise;

	printf("# seed %" PRIu64 "; repeat: SEED=%" PRIu64 " %s\n", seed, seed,
	       program_invocation_short_name);
	fflush(stdout); /* before a crash */
	return seed;
}

#endif
