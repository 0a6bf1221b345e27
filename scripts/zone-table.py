#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Print the table of Documentation/zone.md: the sample beside the built-in zone.

    KAMINO_DATA=DIR KAMINO=build/kamino scripts/zone-table.py

Imports the sample at each level, generates a zone of the same size, and sets what
"kamino trace stat" says of both side by side. Standard library only.
"""
import json
import os
import subprocess
import sys
import tempfile

# 9,900 servers at 0.807 are the 7,992 that the sample's first VMs fill to the brim.
SYNTH = ['--servers', '9900', '--fill', '0.807', '--requests', '428121']
ROWS = [
    ('creates', lambda r: '%d' % r['creates']),
    ('deletes', lambda r: '%d' % r['deletes']),
    ('VMs at the start', lambda r: '%d' % r['initial']),
    ('hours', lambda r: '%.0f' % (r['span_s'] / 3600)),
    ('types', lambda r: '%d' % r['types']),
    ('tenants', lambda r: '%d' % r['tenants']),
    ('batches', lambda r: '%d' % r['batches']),
    ('batches of one type, %', lambda r: '%.2f' % (100 * r['batches_one_type_share'])),
    ('creates in batches of 2 and more, %', lambda r: '%.1f' % (100 * r['in_batches_of_2_share'])),
    ('creates in batches of 10 and more, %', lambda r: '%.1f' % (100 * r['in_batches_of_10_share'])),
    ('lifetime p25, s', lambda r: '%.0f' % r['lifetime_s']['p25']),
    ('lifetime p50, s', lambda r: '%.0f' % r['lifetime_s']['p50']),
    ('lifetime p75, s', lambda r: '%.0f' % r['lifetime_s']['p75']),
    ('lifetime p90, s', lambda r: '%.0f' % r['lifetime_s']['p90']),
    ('lifetime p99, s', lambda r: '%.0f' % r['lifetime_s']['p99']),
    ('not deleted, %', lambda r: '%.1f' % (100 * r['not_deleted_share'])),
    ('largest type, %', lambda r: '%.2f' % (100 * r['top_types'][0]['share'])),
    ('50-type LRU, one cache, hits %', lambda r: '%.1f' % (100 * r['lru_50_hit_rate']['one'])),
    ('50-type LRU, 8 caches in turn', lambda r: '%.1f' % (100 * r['lru_50_hit_rate']['turn_8'])),
    ('50-type LRU, 8 caches by home', lambda r: '%.1f' % (100 * r['lru_50_hit_rate']['home_8'])),
]


def kamino(*args):
    return subprocess.run([os.environ.get('KAMINO', 'build/kamino'), 'trace', *args],
                          check=True, capture_output=True, text=True).stdout


def main():
    data = os.environ.get('KAMINO_DATA')
    if not data:
        sys.exit('zone-table.py: KAMINO_DATA is not set; see Documentation/zone.md')
    columns = []
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, 'trace.csv')
        for level in ('shape', 'batch', 'vmtype'):
            for make in (['import', '--azure', os.path.join(data, 'azure-packing-2020'), '--seed', '20'],
                         ['synth', '--seed', '1', *SYNTH]):
                kamino(*make, '--level', level, '--out', path)
                columns.append((level, make[0], json.loads(kamino('stat', path, '--json'))['results']))
    print('| | %s |' % ' | '.join('%s, %s' % (level, 'sample' if verb == 'import' else 'zone')
                                  for level, verb, _ in columns))
    print('|---|%s' % ('---|' * len(columns)))
    for name, text in ROWS:
        print('| %s | %s |' % (name, ' | '.join(text(r) for _, _, r in columns)))


if __name__ == '__main__':
    main()
