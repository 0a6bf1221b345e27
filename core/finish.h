/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * core/finish.h - which instruction set the scan of core/finish.c uses; the scan
 * itself is offered to policies by core/policy.h. For tests and benchmarks.
 */
#ifndef KM_CORE_FINISH_H
#define KM_CORE_FINISH_H

#include "core/policy.h"

/**
 * km_finish_use() - scan with @name from now on: "avx512", "avx2" or "portable".
 * @name: NULL = the widest that this host has, which is the default.
 *
 * Answers are the same with each. Context: no decision runs.
 * Return: false when this host or this build does not have it; nothing changed then.
 */
bool km_finish_use(const char *name);

/** km_finish_path() - Return: the name of what is used now; static. */
const char *km_finish_path(void);

#endif
