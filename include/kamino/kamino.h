/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * include/kamino/kamino.h - all of libkamino that a program needs: the runtime,
 * the topology it is planned on, and VM placement as its first workload.
 *
 * Installed beside the headers of each layer; "pkg-config --cflags kamino"
 * names the folder.
 */
#ifndef KAMINO_H
#define KAMINO_H

#include "core/runtime.h"
#include "numa/topo.h"
#include "place/place.h"
#include "place/store.h"
#include "place/zone.h"

#endif
