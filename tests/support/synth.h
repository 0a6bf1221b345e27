/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tests/support/synth.h - a workload without meaning, for tests of core.
 *
 * A rule object is a word: a hash of the rule and of its trait values. A
 * consolidated result is the sum of its rule objects. serve() checks that the
 * slots it was given hold just that, so a slot that was mixed up, reused too
 * early or never built is found.
 */
#ifndef KM_TESTS_SUPPORT_SYNTH_H
#define KM_TESTS_SUPPORT_SYNTH_H

#include <stdatomic.h>

#include "core/workload.h"

struct synth {
	struct km_workload workload;
	struct km_rule_desc rule[KM_RULES_MAX];
	uint64_t class_bytes[2]; /* rule object, consolidated result */
	char name[KM_RULES_MAX][16];
	uint32_t conflict_every; /* every n-th serve() conflicts; 0 = never */
	_Atomic uint64_t rev; /* the pretended inventory; grows with every served request */
	_Atomic uint64_t wrong; /* slots that did not hold what they must */
	_Atomic uint64_t served;
};

/**
 * synth_init() - rule r uses traits r % trait_nr and (r + 1) % trait_nr.
 */
void synth_init(struct synth *synth, uint32_t trait_nr, uint32_t rule_nr, uint64_t slot_bytes);

#endif
