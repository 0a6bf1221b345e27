/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tests/fail_alloc.h - make the n-th calloc() of the code under test fail.
 *
 * Include in one file of a test program that is linked with
 * -Wl,--wrap=calloc; calls from shared libraries are not touched.
 */
#ifndef KM_TESTS_FAIL_ALLOC_H
#define KM_TESTS_FAIL_ALLOC_H

#include <stddef.h>

/* Counts down to the call that fails; 0 = none does. Set it around the call under test. */
static _Thread_local unsigned int fail_alloc_at;

void *__real_calloc(size_t nr, size_t bytes);
void *__wrap_calloc(size_t nr, size_t bytes);

void *__wrap_calloc(size_t nr, size_t bytes)
{
	if (fail_alloc_at && !--fail_alloc_at)
		return NULL;
	return __real_calloc(nr, bytes);
}

#endif
