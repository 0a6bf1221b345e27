/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * perf/ring_contestants.c - the table of those that take part in "bench ring".
 */
#include <stddef.h>

#include "perf/ring_contest.h"

const struct ring_contestant km_ring_contestants[] = {
	{ "kamino", NULL, 8, false, &ring_kamino_8 },
	{ "kamino", NULL, 8, true, &ring_kamino_8_burst },
	{ "kamino", NULL, 64, false, &ring_kamino_64 },
	{ "kamino", NULL, 64, true, &ring_kamino_64_burst },
	{ "kamino-pool", NULL, 64, false, &ring_pool_64 },
	{ "kamino-pool", NULL, 64, true, &ring_pool_64_burst },
	{ "cached", NULL, 8, false, &ring_cached_8 },
	{ "cached", NULL, 8, true, &ring_cached_8_burst },
	{ "cached", NULL, 64, false, &ring_cached_64 },
	{ "cached", NULL, 64, true, &ring_cached_64_burst },
	{ "cached-touch", NULL, 8, false, &ring_touch_8 },
	{ "cached-touch", NULL, 8, true, &ring_touch_8_burst },
	{ "cached-touch", NULL, 64, false, &ring_touch_64 },
	{ "cached-touch", NULL, 64, true, &ring_touch_64_burst },
	{ "ck", "libck-dev", 8, false, &ring_ck_8 }, /* has no bursts */
	{ "ck", "libck-dev", 64, false, &ring_ck_64 },
	{ "boost", "libboost-dev and g++", 8, false, &ring_boost_8 },
	{ "boost", "libboost-dev and g++", 8, true, &ring_boost_8_burst },
	{ "boost", "libboost-dev and g++", 64, false, &ring_boost_64 },
	{ "boost", "libboost-dev and g++", 64, true, &ring_boost_64_burst },
	{ "dpdk", "libdpdk-dev", 8, false, &ring_dpdk_8 },
	{ "dpdk", "libdpdk-dev", 8, true, &ring_dpdk_8_burst },
	{ "dpdk", "libdpdk-dev", 64, false, &ring_dpdk_64 },
	{ "dpdk", "libdpdk-dev", 64, true, &ring_dpdk_64_burst },
	{ NULL, NULL, 0, false, NULL },
};
