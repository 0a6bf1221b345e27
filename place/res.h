/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * place/res.h - the five resources of a server or VM.
 *
 * Quantities are whole thousandths of the inventory's unit: "1.5" is 1500.
 */
#ifndef KM_PLACE_RES_H
#define KM_PLACE_RES_H

#include <stdint.h>

enum km_res {
	KM_RES_CPU,
	KM_RES_MEMORY,
	KM_RES_SSD,
	KM_RES_NIC,
	KM_RES_GPU,
	KM_RES_NR,
};

#define KM_RES_SCALE 1000
#define KM_RES_MAX 2000000000 /* of one server or VM: 2 million units */

extern const char *const km_res_name[KM_RES_NR]; /* "cpu", "memory", "ssd", "nic", "gpu" */

#endif
