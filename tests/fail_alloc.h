/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tests/fail_alloc.h - make the n-th calloc() of the code under test fail.
 *
 * Include in one file of a test program. It replaces calloc() of the whole
 * program; malloc() stays, so that a sanitizer still sees every block.
 */
#ifndef KM_TESTS_FAIL_ALLOC_H
#define KM_TESTS_FAIL_ALLOC_H

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* Counts down to the call that fails; 0 = none does. Set it around the call under test. */
static _Thread_local unsigned int fail_alloc_at;

/* volatile: else the compiler turns malloc and memset back into calloc */
static void *(*const volatile fail_alloc_fill)(void *, int, size_t) = memset;

void *calloc(size_t nr, size_t bytes)
{
	void *ptr;

	if (fail_alloc_at && !--fail_alloc_at)
		return NULL;
	if (bytes && nr > SIZE_MAX / bytes)
		return NULL;
	ptr = malloc(nr * bytes);
	return ptr ? fail_alloc_fill(ptr, 0, nr * bytes) : NULL;
}

#endif
