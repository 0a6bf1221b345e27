/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * place/audit.h - after a run: does the store hold what its clients were told?
 *
 * Everything is recomputed from the table of VMs, the inventory and the
 * journal; nothing that the store keeps as a sum is believed:
 *
 *  U1 no server is over-committed, and its free and VM count are what its VMs leave;
 *  U2 a VM stands where the client was told, as large as it asked for, and no other VM does;
 *  U3 no SPREAD rule's max is exceeded, and the store's counts are the true ones;
 *  U4 the journal, replayed over the empty zone, gives the store's state;
 *  U5 the store's totals agree with each other and with the ledger.
 */
#ifndef KM_PLACE_AUDIT_H
#define KM_PLACE_AUDIT_H

#include "place/store.h"

enum km_ledger_state {
	KM_LEDGER_NONE, /* never asked for */
	KM_LEDGER_PLACED, /* told: it stands on server[vm] */
	KM_LEDGER_DELETED, /* was placed, then deleted with success */
	KM_LEDGER_REFUSED, /* told: it has no place */
};

/* What a client knows; arrays by dense VM number. */
struct km_ledger {
	uint32_t vm_nr;
	uint8_t *state; /* [vm_nr] enum km_ledger_state */
	uint32_t *server; /* [vm_nr] where PLACED */
	int32_t (*res)[KM_RES_NR]; /* [vm_nr] what was asked for; NULL = not compared */
};

/** km_ledger_init() - @vm_nr VMs, none asked for. @with_res: have res, zeroed. Return: 0; -ENOMEM. */
int km_ledger_init(struct km_ledger *ledger, uint32_t vm_nr, bool with_res) KM_MUST_CHECK;
/** km_ledger_fini() - free the arrays. */
void km_ledger_fini(struct km_ledger *ledger);

struct km_audit_cfg {
	const struct km_store_ops *ops;
	struct km_store *store;
	const struct km_inventory *inv;
	const struct km_ruleset *rules; /* as the store's */
	uint32_t vm_cap; /* as the store's */
	const struct km_ledger *ledger; /* NULL = U2 and the ledger's part of U5 are left out */
	bool whole_journal; /* the store was opened with keep_journal */
};

#define KM_AUDIT_REASONS_MAX 16

struct km_audit {
	uint64_t failures; /* all of them; 0 = clean */
	uint32_t reason_nr;
	struct km_diag reason[KM_AUDIT_REASONS_MAX]; /* the first ones */
	uint64_t vms, servers, journal_entries, groups; /* how much was looked at */
};

/**
 * km_audit_run() - check U1 to U5; U4 only with cfg->whole_journal.
 * Context: a started thread (lib/snap.h) outside a section; nobody writes to the
 * store meanwhile. Allocates. Return: 0, also when failures were found; -ENOMEM.
 */
int km_audit_run(const struct km_audit_cfg *cfg, struct km_audit *audit) KM_MUST_CHECK;

#endif
