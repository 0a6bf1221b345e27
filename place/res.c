/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "place/res.h"

const char *const km_res_name[KM_RES_NR] = {
	[KM_RES_CPU] = "cpu", [KM_RES_MEMORY] = "memory", [KM_RES_SSD] = "ssd",
	[KM_RES_NIC] = "nic", [KM_RES_GPU] = "gpu",
};
