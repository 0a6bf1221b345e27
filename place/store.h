/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * place/store.h - the placement store: the one truth of what runs where.
 *
 * A backend is an ops table; all pass tests/unit/store_test.c's conformance
 * cases. Commits are optimistic: an agent decides on its own, maybe stale view,
 * and a commit is refused only if it would over-commit a server or break
 * anti-affinity. What was committed is told to all by the journal, a
 * single-writer broadcast log (ring/bcast.h) of the newest state per server.
 */
#ifndef KM_PLACE_STORE_H
#define KM_PLACE_STORE_H

#include "lib/diag.h"
#include "place/inventory.h"
#include "place/res.h"
#include "place/rules.h"
#include "ring/bcast.h"

#define KM_GROUP_NONE UINT32_MAX

/* One VM to place; the anti-affinity group of each SPREAD rule of the set. */
#define KM_SPREADS_MAX 4

struct km_store_vm {
	uint32_t vm; /* dense number, below cfg.vm_cap */
	uint32_t server;
	int32_t res[KM_RES_NR];
	uint32_t group[KM_SPREADS_MAX]; /* KM_GROUP_NONE = the rule does not apply */
};

enum km_commit {
	KM_COMMIT_DONE,
	KM_COMMIT_OVER, /* a server would be over-committed */
	KM_COMMIT_AFFINITY, /* anti-affinity would break */
	KM_COMMIT_DUPLICATE, /* a VM of that number exists */
	KM_COMMIT_BAD, /* a number is out of bounds or a resource negative */
};

/* One entry of the journal: the newest state of one server. 32 bytes. */
struct km_journal_entry {
	uint32_t server;
	int32_t free[KM_RES_NR];
	uint32_t vm_nr;
	uint32_t healthy;
};

struct km_store_cfg {
	const struct km_inventory *inv; /* kept by the caller */
	const struct km_ruleset *rules; /* its SPREAD rules; kept by the caller */
	uint32_t vm_cap;
	bool keep_journal; /* retain all of it, for the audit */
};

struct km_store;

struct km_store_stats {
	uint64_t commits, vms_placed, deletes, deletes_unknown;
	uint64_t over, affinity, duplicate, bad;
	uint32_t vm_nr; /* alive */
};

struct km_store_ops {
	const char *name;
	int (*open)(struct km_store **out, const struct km_store_cfg *cfg, struct km_diag *diag);
	void (*close)(struct km_store *store);
	/* Bulk initial state before any agent runs; journalled as one entry per touched server. */
	enum km_commit (*load)(struct km_store *store, const struct km_store_vm *vm, uint64_t vm_nr);
	/* All or nothing. @at: index of the VM that was refused. Any started thread (lib/snap.h). */
	enum km_commit (*commit)(struct km_store *store, const struct km_store_vm *vm, uint32_t vm_nr,
				 uint32_t *at);
	bool (*delete)(struct km_store *store, uint32_t vm); /* false: unknown VM */
	/* How many VMs of @group (of spread rule @spread) stand in @domain now. */
	uint32_t (*group_count)(struct km_store *store, uint32_t spread, uint32_t group, uint32_t domain);
	/* The journal to follow. */
	struct km_bcast *(*watch)(struct km_store *store);
	/* Copy the whole state and the revision it is of: for a follower that starts or was overrun. */
	uint64_t (*copy_state)(struct km_store *store, int32_t *const free[KM_RES_NR], uint32_t *vm_nr,
			       uint8_t *healthy);
	struct km_store_stats (*stats)(struct km_store *store);
	/* Where @vm stands: its placement copied to @out, or false. For the audit. */
	bool (*find)(struct km_store *store, uint32_t vm, struct km_store_vm *out);
};

extern const struct km_store_ops km_store_memory;

#endif
