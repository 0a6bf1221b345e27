/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The evaluation loops for each instruction set, chosen at run time.
 *
 * The same source is compiled several times with target attributes instead of
 * target_clones: no ifunc resolver, which sanitizers cannot run before their
 * own start, and the variants can be compared in a test. gcc 12 vectorises at
 * -O2 only what it is sure of, hence the two options below.
 */
#include "place/rule_eval.h"

#include <string.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("tree-vectorize", "vect-cost-model=unlimited")
#endif

#if defined(__x86_64__)
#define KERNEL(name) name##_avx512
#define KERNEL_NAME "avx512"
#define KERNEL_ISA 512
#define TARGET __attribute__((target("avx2,avx512f,avx512bw,avx512dq,avx512vl")))
static bool supported_avx512(void)
{
	return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
	       __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}
#include "place/kernels.inc"
#undef KERNEL
#undef KERNEL_NAME
#undef KERNEL_ISA
#undef TARGET

#define KERNEL(name) name##_avx2
#define KERNEL_NAME "avx2"
#define KERNEL_ISA 256
#define TARGET __attribute__((target("avx2")))
static bool supported_avx2(void)
{
	return __builtin_cpu_supports("avx2");
}
#include "place/kernels.inc"
#undef KERNEL
#undef KERNEL_NAME
#undef KERNEL_ISA
#undef TARGET
#endif

#define KERNEL(name) name##_portable
#define KERNEL_NAME "portable"
#define KERNEL_ISA 0
#define TARGET
static bool supported_portable(void)
{
	return true;
}
#include "place/kernels.inc"

const struct km_kernels *const km_kernels_all[] = {
#if defined(__x86_64__)
	&kernels_avx512,
	&kernels_avx2,
#endif
	&kernels_portable,
	NULL,
};

const struct km_kernels *km_kernels_best(void)
{
	uint32_t i = 0;

	while (!km_kernels_all[i]->supported())
		i++;
	return km_kernels_all[i];
}
