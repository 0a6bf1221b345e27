/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * lib/host.h - how much of the machine this process may still take.
 *
 * Read from /proc and from control groups of both versions, of which every level
 * counts: a limit may stand at the group itself or at any above it.
 */
#ifndef KM_LIB_HOST_H
#define KM_LIB_HOST_H

#include <stdint.h>

/**
 * km_host_memory() - bytes: what the kernel calls available, and what the groups leave.
 * @root: stands before every path, for tests; "" = this machine.
 *
 * Of a group's page cache only the part not in use counts as available. Whatever else
 * runs may take of it before the caller does.
 *
 * Return: UINT64_MAX where nothing says.
 */
uint64_t km_host_memory(const char *root);

/**
 * km_host_threads() - how many more threads may be started.
 * @limit: set to what bounds them, as one would look for it; static.
 *
 * Not counted: threads of the user's other processes against RLIMIT_NPROC.
 * Return: UINT64_MAX where nothing says; *@limit is "" then.
 */
uint64_t km_host_threads(const char *root, const char **limit);

#endif
