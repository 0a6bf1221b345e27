/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tests/fuzz/fuzz.h - the driver of a fuzz program without libFuzzer: damaged
 * inputs for SECS seconds; SEED= to choose them, ITER= to repeat one and write
 * it out. Included once by each program.
 */
#ifndef KM_TESTS_FUZZ_H
#define KM_TESTS_FUZZ_H

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t nr);

#define REQUIRE(cond)                                                              \
	do {                                                                       \
		if (!(cond)) {                                                     \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #cond); \
			abort();                                                   \
		}                                                                  \
	} while (0)

#ifndef KM_LIBFUZZER

#define INPUT_MAX 65536

struct input {
	uint8_t bytes[INPUT_MAX];
	size_t nr;
};

static uint64_t fuzz_seed, fuzz_iter;

static void tell_iter(void)
{
	fprintf(stderr, "repeat with: SEED=%" PRIu64 " ITER=%" PRIu64 " (writes fuzz-input)\n",
		fuzz_seed, fuzz_iter);
}

/* Of the sanitizers, when the build has them. */
extern void __sanitizer_set_death_callback(void (*fn)(void)) __attribute__((weak));

static uint64_t env_number(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);

	return text ? strtoull(text, NULL, 0) : otherwise;
}

static void write_input(const struct input *in)
{
	FILE *file = fopen("fuzz-input", "wb");

	REQUIRE(file && fwrite(in->bytes, 1, in->nr, file) == in->nr && !fclose(file));
}

/* @make_input fills the input of one seed, the same each time. */
static int fuzz_main(const char *name, void (*make_input)(struct input *in, uint64_t seed))
{
	static struct input in;
	uint64_t secs = env_number("SECS", 10), end = (uint64_t)time(NULL) + secs;
	bool once = getenv("ITER");

	fuzz_seed = env_number("SEED", (uint64_t)time(NULL));
	fuzz_iter = env_number("ITER", 0);
	printf("%s: SEED=%" PRIu64 " SECS=%" PRIu64 "\n", name, fuzz_seed, secs);
	fflush(stdout);
	if (__sanitizer_set_death_callback)
		__sanitizer_set_death_callback(tell_iter);
	do {
		make_input(&in, fuzz_seed + fuzz_iter);
		if (once)
			write_input(&in);
		LLVMFuzzerTestOneInput(in.bytes, in.nr);
		fuzz_iter++;
	} while (!once && (fuzz_iter & 15 || (uint64_t)time(NULL) < end));
	printf("%s: %" PRIu64 " inputs\n", name, fuzz_iter);
	return 0;
}

#endif
#endif
