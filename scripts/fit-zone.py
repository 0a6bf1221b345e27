#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Fit the built-in zone to the sample of the Azure Trace for Packing 2020.

    KAMINO_DATA=DIR scripts/fit-zone.py > place/zone_data.c

DIR is the folder that contains azure-packing-2020. Nothing of the data is
copied: what comes out are counts, quantiles and sizes. What each table is, and
how well it reproduces the sample: Documentation/zone.md. Standard library only.
"""
import collections
import csv
import gzip
import json
import math
import os
import re
import sys

DAY_S = 86400
WINDOW_S = 14 * DAY_S
NEVER = 0xffffffff
# Kinds in the order in which a VM type's size is read off (the first that hosts it).
KINDS = [12, 4, 2, 11, 1, 21, 31, 8, 10, 16, 23, 0, 33, 3, 13, 34, 25, 27, 22, 9, 24, 30, 6,
         26, 29, 14, 7, 5, 15, 28]
FLEET = KINDS[:9]
GENERATION = {2: 1, 4: 1, 10: 1, 12: 2, 21: 2, 31: 2, 8: 2, 11: 3, 1: 3}
# Kind 4 shares no VM type with another: the scale of its units is free. With these
# its shapes have the ratios of 8 and 14 GB a core of the others.
OWN_SCALE = {4}
QUANTILES = 64
FOLLOWS = 64     # batches back
FOLLOW_SHARE = 0.5  # of the autoregression: as it takes slow drift of the mix for imitation, it
                 # overshoots; with half, the hit rates of caches of 50 types lie on both
                 # sides of the sample's at levels batch and vmtype (Documentation/zone.md)
CLASSES = 9      # sizes 1, 2-3, 4-7, ... 256-511
SSD_BASE = (11, 5760.0)   # kind 11 has 5,760: the unit in which two pairs of VM types
NIC_BASE = (11, 50.0)     # differ by whole gigabytes; and 50 (Gbit/s) likewise
SSD_OWN, NIC_OWN = 6144.0, 20.0   # of kind 4, whose scale is free


def size_class(size):
    """Initial "batches" of several hundred VMs, alive for months, count as the last class."""
    return min(size.bit_length() - 1, CLASSES - 1)


def read_vms(folder):
    """(start, tenant, cores, ram, priority, end or None), by start."""
    with gzip.open(os.path.join(folder, 'vm-batched-union.csv.gz'), 'rt') as file:
        return [(int(r['start_s']), int(r['tenantId']), int(r['cores']), int(r['ram']),
                 int(r['priority']), float(r['end_s']) if r['end_s'] else None)
                for r in csv.DictReader(file)]


def read_types(folder):
    """Sizes of the VM types, and the fraction each takes of a machine kind."""
    cores, ram, part = {}, {}, {}
    with open(os.path.join(folder, 'server_vm_cores_ram.json')) as file:
        for table in json.load(file):
            for name, value in table.items():
                what, idx = re.fullmatch(r'(\w+)\[(\d+)\]', name).groups()
                if what == 'vm_cores':
                    cores[int(idx)] = round(value)
                elif what == 'vm_ram':
                    ram[int(idx)] = round(value)
    with open(os.path.join(folder, 'vmType.csv')) as file:
        for r in csv.DictReader(file):
            part[int(r['vmTypeId']), int(r['machineId'])] = {
                c: float(r[c]) if r[c] else 0.0 for c in ('core', 'memory', 'ssd', 'nic')}
    return {i: (cores[i], ram[i]) for i in cores}, part


def most_common(values):
    return collections.Counter(values).most_common(1)[0][0]


def kind_sizes(sizes, part):
    """What a machine of each kind has, in the sample's units."""
    out = {}
    for kind in KINDS:
        ids = [i for i in sizes if (i, kind) in part]
        out[kind] = tuple(most_common(round(sizes[i][d] / part[i, kind][name]) for i in ids)
                          for d, name in enumerate(('core', 'memory')))
    return out


def spread_scale(part, column, base, own):
    """Sizes of the other kinds in @column, from VM types that two kinds share."""
    size, todo = {base[0]: base[1], 4: own}, [base[0]]
    while todo:
        known = todo.pop(0)
        for kind in KINDS:
            if kind in size:
                continue
            ratio = sorted(part[i, known][column] / part[i, kind][column]
                           for (i, k) in part if k == kind and (i, known) in part
                           and part[i, kind][column] > 0 and part[i, known][column] > 0)
            if ratio:
                size[kind] = size[known] * ratio[len(ratio) // 2]
                todo.append(kind)
    return size


def fit_vmtypes(sizes, part, kinds, ssd, nic):
    """Rows (cores, ram, id, ssd, nic, kinds), by shape; checked against the kinds' sizes."""
    rows = []
    known = set(i for i, _ in part)
    for i in sorted(known):
        hosts = [k for k in KINDS if (i, k) in part]
        if not hosts:
            continue
        first = part[i, hosts[0]]
        shape = (round(first['core'] * kinds[hosts[0]][0]),
                 round(first['memory'] * kinds[hosts[0]][1]))
        if i in sizes:
            assert shape == sizes[i], (i, shape, sizes[i])
        else:
            continue  # left out of the sample, and its size is no whole number
        mask = sum(1 << KINDS.index(k) for k in hosts)
        row = (*shape, i, round(first['ssd'] * ssd[hosts[0]] * 1000),
               round(first['nic'] * nic[hosts[0]] * 1000), mask)
        for k in hosts:
            if k in FLEET:
                assert shape[0] <= kinds[k][0] and shape[1] <= kinds[k][1], row
                assert row[3] <= round(ssd[k] * 1000) + 1 and row[4] <= round(nic[k] * 1000) + 1, (row, k)
        rows.append(row)
    return sorted(rows)


def fleet_shares(vms, vmtypes, kinds, when):
    """Servers of each fleet kind that the VMs alive at @when need, each VM split evenly
    over the kinds that may host it; the larger of what cpu and memory ask for."""
    by_shape = collections.defaultdict(list)
    for cores, ram, _, _, _, mask in vmtypes:
        by_shape[cores, ram].append([k for b, k in enumerate(KINDS) if mask >> b & 1 and k in FLEET])
    need = {k: [0.0, 0.0] for k in FLEET}
    for start, _, cores, ram, _, end in vms:
        if start <= when and (end is None or end > when):
            sets = by_shape[cores, ram]
            for hosts in sets:
                assert hosts, (cores, ram)
                for k in hosts:
                    need[k][0] += cores / kinds[k][0] / len(hosts) / len(sets)
                    need[k][1] += ram / kinds[k][1] / len(hosts) / len(sets)
    servers = {k: max(need[k]) for k in FLEET}
    return {k: max(1, round(10000 * servers[k] / sum(servers.values()))) for k in FLEET}, \
        sum(servers.values())


def quantiles(values):
    """QUANTILES + 1 values at even ranks; the last at 99.9 %, as the maximum is one VM's."""
    v = sorted(values)
    at = [i / QUANTILES for i in range(QUANTILES)] + [0.999]
    return [v[min(len(v) - 1, int(q * len(v)))] for q in at]


def cpu_class(cores):
    return 0 if cores <= 100 else 1 if cores <= 400 else 2


def batch_group(size):
    return 0 if size == 1 else 1 if size < 8 else 2


def fit(folder):
    vms = read_vms(folder)
    sizes, part = read_types(folder)
    kinds = kind_sizes(sizes, part)
    ssd = spread_scale(part, 'ssd', SSD_BASE, SSD_OWN)
    nic = spread_scale(part, 'nic', NIC_BASE, NIC_OWN)
    vmtypes = fit_vmtypes(sizes, part, kinds, ssd, nic)
    batch = collections.Counter((r[0], r[1]) for r in vms)
    out = {'kinds': kinds, 'ssd': ssd, 'nic': nic, 'vmtypes': vmtypes}
    out['shares'], out['servers'] = fleet_shares(vms, vmtypes, kinds, 0)

    # Batches by the type of their first VM and size class; new and initial ones.
    first = {}
    for r in vms:
        first.setdefault((r[0], r[1]), r)
    types = collections.defaultdict(lambda: [0] * (2 * CLASSES))
    for key, r in first.items():
        types[r[2:5]][(CLASSES if r[0] < 0 else 0) + size_class(batch[key])] += 1
    # A type that never comes first in a batch still exists: one batch of its own.
    for r in vms:
        slot = (CLASSES if r[0] < 0 else 0) + size_class(batch[r[0], r[1]])
        types[r[2:5]][slot] = max(1, types[r[2:5]][slot])
    out['types'] = sorted(types.items())
    out['sizes'] = sorted(collections.Counter(
        n for (start, _), n in batch.items() if start >= 0).items())

    life, rest = collections.defaultdict(list), collections.defaultdict(list)
    for start, tenant, cores, _, priority, end in vms:
        if start >= 0:
            life[priority, cpu_class(cores), batch_group(batch[start, tenant])].append(
                NEVER if end is None else max(1, round(end - start)))
        else:
            rest[priority, cpu_class(cores)].append(NEVER if end is None else max(1, round(end)))
    out['life'] = [quantiles(life[p, c, b]) for p in (0, 1) for c in (0, 1, 2) for b in (0, 1, 2)]
    out['rest'] = [quantiles(rest[p, c]) for p in (0, 1) for c in (0, 1, 2)]

    order = sorted(k for k in batch if k[0] >= 0)
    order.sort(key=lambda k: k[0])
    out['hours'] = [0] * 24
    for start, _ in order:
        out['hours'][start // 3600 % 24] += 1
    out['batch_nr'] = len(order)

    # A tenant that comes again: how often, how many batches later, how alike.
    last, lag, same_class = {}, [], 0
    for i, (start, tenant) in enumerate(order):
        r = first[start, tenant]
        if tenant in last:
            j = last[tenant]
            lag.append(i - j)
            same_class += size_class(batch[order[j]]) == size_class(batch[order[i]])
        last[tenant] = i
    out['repeat'] = round(65536 * len(lag) / len(order))
    out['repeat_same_class'] = round(65536 * same_class / len(lag))
    out['repeat_lag'] = quantiles(lag)
    out['follow'] = fit_follow(order, first, batch)

    shared = total = 0
    for key, n in batch.items():
        if key[0] >= 0 and n >= 2:
            total += n
    ends = collections.defaultdict(collections.Counter)
    for r in vms:
        if r[0] >= 0 and batch[r[0], r[1]] >= 2:
            ends[r[0], r[1]][None if r[5] is None else round(r[5] / 60)] += 1
    for count in ends.values():
        shared += count.most_common(1)[0][1]
    out['common_end'] = round(65536 * shared / total)
    out['exp'] = exponential()
    return out


def fit_follow(order, first, batch):
    """A discrete autoregression (Jacobs and Lewis, "Discrete time series generated by mixtures",
    1978) of (type, class) over batches of other tenants: with probability phi[d] a batch takes
    over that of d batches ago. Its correlations obey the Yule-Walker equations."""
    keys = [(first[k][2:5], size_class(batch[k])) for k in order]
    tenants = [k[1] for k in order]
    chance = sum((c / len(keys)) ** 2 for c in collections.Counter(keys).values())
    rho = [1.0]
    for lag in range(1, FOLLOWS + 1):
        pairs = [a == b for a, b, s, t in zip(keys, keys[lag:], tenants, tenants[lag:]) if s != t]
        rho.append((sum(pairs) / len(pairs) - chance) / (1 - chance))
    phi = [0.0] * (FOLLOWS + 1)
    left = 1.0
    for n in range(1, FOLLOWS + 1):     # Levinson
        k = (rho[n] - sum(phi[d] * rho[n - d] for d in range(1, n))) / left
        phi[:n + 1] = [0.0] + [phi[d] - k * phi[n - d] for d in range(1, n)] + [k]
        left *= 1 - k * k
    return [max(0, round(65536 * FOLLOW_SHARE * p)) for p in phi[1:]]


def exponential():
    """Quantiles of the unit exponential, scaled to mean 1 when read linearly; 1/65536."""
    q = [-math.log(1 - i / 256) for i in range(256)] + [math.log(256) + 1]
    mean = sum((a + b) / 2 for a, b in zip(q, q[1:])) / 256
    return [round(65536 * v / mean) for v in q]


def table(out, head, items, per_line=12):
    out.append('%s = {' % head)
    for i in range(0, len(items), per_line):
        out.append('\t' + ', '.join(items[i:i + per_line]) + ',')
    out.append('};\n')


def render(f):
    thousandths = lambda v: '%d' % round(1000 * v)
    out = ['''/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * place/zone_data.c - the fitted numbers of the built-in zone.
 *
 * Written by: KAMINO_DATA=DIR scripts/fit-zone.py > place/zone_data.c
 * Source: the "Azure Trace for Packing 2020" (Hadary et al., "Protean: VM
 * Allocation Service at Scale", OSDI '20; Microsoft Azure Public Dataset,
 * CC BY 4.0), in the samples with concrete sizes of Iqbal et al., "CoSpot: A
 * Cooperative VM Allocation Framework for Increased Revenue from Spot
 * Instances", SoCC '22 (github.com/DCResourceManage/cospot-socc2022, CC BY
 * 4.0), united without duplicates: 497,632 VMs of 14 days. Changed: only
 * counts, quantiles and sizes derived from it are here; Documentation/zone.md
 * says how.
 */
/* clang-format off */
#include "place/zone_internal.h"
''']
    kind_rows = []
    for k in KINDS:
        own = k in OWN_SCALE
        kind_rows.append('{ "%d", %d, %d, %s, %s, %d, %d, %d, %d }' % (
            k, f['kinds'][k][0], f['kinds'][k][1], thousandths(f['ssd'].get(k, 0)),
            thousandths(f['nic'].get(k, 0)), 2000 if own else 10, 4000 if own else 125,
            f['shares'].get(k, 0), GENERATION.get(k, 0)))
    table(out, 'const struct zone_kind zone_kind[ZONE_KIND_NR]', kind_rows, 1)
    table(out, 'const struct zone_vmtype zone_vmtype[]',
          ['{ %d, %d, %d, %d, %d, 0x%x }' % v for v in f['vmtypes']], 3)
    out.append('const uint32_t zone_vmtype_nr = %d;\n' % len(f['vmtypes']))
    table(out, 'const struct zone_type zone_type[]',
          ['{ %d, %d, %d, { %s }, { %s } }' % (*key, ', '.join(map(str, c[:CLASSES])),
                                             ', '.join(map(str, c[CLASSES:])))
           for key, c in f['types']], 1)
    out.append('const uint32_t zone_type_nr = %d;\n' % len(f['types']))
    table(out, 'const struct zone_size zone_size[]', ['{ %d, %d }' % s for s in f['sizes']], 8)
    out.append('const uint32_t zone_size_nr = %d;\n' % len(f['sizes']))
    for name, head in (('life', 'zone_life[ZONE_LIFE_NR]'), ('rest', 'zone_rest[ZONE_REST_NR]')):
        table(out, 'const uint32_t %s[ZONE_QUANTILE_NR + 1]' % head,
              ['{ %s }' % ', '.join('ZONE_NEVER' if v == NEVER else str(v) for v in row)
               for row in f[name]], 1)
    table(out, 'const uint32_t zone_hour[24]', [str(v) for v in f['hours']])
    table(out, 'const uint32_t zone_repeat_lag[ZONE_QUANTILE_NR + 1]',
          [str(v) for v in f['repeat_lag']], 16)
    table(out, 'const uint32_t zone_follow[ZONE_FOLLOW_NR]', [str(v) for v in f['follow']], 16)
    table(out, 'const uint32_t zone_exp[257]', [str(v) for v in f['exp']])
    out.append('const struct zone_params zone_params = {')
    for name, value in (('batch_nr', f['batch_nr']), ('repeat', f['repeat']),
                        ('repeat_same_class', f['repeat_same_class']),
                        ('follow', sum(f['follow'])),
                        ('common_end', f['common_end']), ('window_s', WINDOW_S),
                        ('server_nr', round(f['servers']))):
        out.append('\t.%s = %d,' % (name, value))
    out.append('};')
    return '\n'.join(out)


def main():
    data = os.environ.get('KAMINO_DATA')
    if not data:
        sys.exit('fit-zone.py: KAMINO_DATA is not set; see Documentation/zone.md')
    print(render(fit(os.path.join(data, 'azure-packing-2020'))))


if __name__ == '__main__':
    main()
