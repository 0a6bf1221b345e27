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
	KM_COMMIT_NO_MEMORY, /* the journal or a counter table could not grow; nothing changed */
};

/* Most VMs of one commit() or load(): what the journal can reserve at once. */
#define KM_COMMIT_VMS_MAX KM_BCAST_RESERVE_MAX

/* One entry of the journal: the newest state of one server. 32 bytes. */
struct km_journal_entry {
	uint32_t server;
	int32_t free[KM_RES_NR];
	uint32_t vm_nr;
	uint32_t healthy;
};

/**
 * km_spread_domain() - the number of the server, rack or cluster that @server is of.
 * @server: below inv->server_nr.
 */
static inline uint32_t km_spread_domain(const struct km_inventory *inv, enum km_spread_over over,
					uint32_t server)
{
	if (over == KM_OVER_RACK)
		return inv->rack[server];
	return over == KM_OVER_CLUSTER ? inv->cluster[server] : server;
}

struct km_store_cfg {
	const struct km_inventory *inv; /* kept by the caller */
	const struct km_ruleset *rules; /* its SPREAD rules; kept by the caller */
	uint32_t vm_cap;
	bool keep_journal; /* retain all of it, for the audit */
};

struct km_store;

struct km_store_stats {
	uint64_t commits, vms_placed, deletes, deletes_unknown;
	uint64_t over, affinity, duplicate, bad, no_memory;
	uint32_t vm_nr; /* alive */
};

/**
 * struct km_store_ops - a backend. All but open() and close() may be called by
 * any started thread (lib/snap.h), at any time.
 *
 * @open: Return: 0; -EINVAL with the reason; -ENOMEM.
 * @close: no other thread is in the store any more; NULL is allowed.
 * @load: bulk initial state before any agent runs; all or nothing, at most
 *	KM_COMMIT_VMS_MAX VMs a call.
 * @commit: check and merge, all or nothing. Several VMs may stand on one server:
 *	they are summed. Refused only if a server's free would become negative, a
 *	SPREAD rule's count would exceed its max, a VM exists, or a number is bad;
 *	a stale decision that still fits is taken. @at (may be NULL): index of the
 *	VM that was refused. Both journal one entry per touched server, in order of
 *	first touch, with its newest state.
 * @delete: free a VM's room and journal its server. false: unknown VM (also
 *	when the journal could not grow, counted in stats.no_memory: the VM stays).
 * @group_count: how many VMs of @group (of SPREAD rule @spread, counted over the
 *	SPREAD rules in file order) stand in @domain (km_spread_domain()) now.
 * @watch: the journal to follow; entries are struct km_journal_entry.
 * @copy_state: the whole state, [server_nr] of each array, and the journal
 *	revision it is of: for a follower that starts or was overrun.
 * @stats: counters since open.
 * @find: where @vm stands: its placement copied to @out, or false. For the audit.
 */
struct km_store_ops {
	const char *name;
	int (*open)(struct km_store **out, const struct km_store_cfg *cfg, struct km_diag *diag);
	void (*close)(struct km_store *store);
	enum km_commit (*load)(struct km_store *store, const struct km_store_vm *vm,
			       uint64_t vm_nr);
	enum km_commit (*commit)(struct km_store *store, const struct km_store_vm *vm,
				 uint32_t vm_nr, uint32_t *at);
	bool (*delete)(struct km_store *store, uint32_t vm);
	uint32_t (*group_count)(struct km_store *store, uint32_t spread, uint32_t group,
				uint32_t domain);
	struct km_bcast *(*watch)(struct km_store *store);
	uint64_t (*copy_state)(struct km_store *store, int32_t *const free[KM_RES_NR],
			       uint32_t *vm_nr, uint8_t *healthy);
	struct km_store_stats (*stats)(struct km_store *store);
	bool (*find)(struct km_store *store, uint32_t vm, struct km_store_vm *out);
};

extern const struct km_store_ops km_store_memory;

#endif
