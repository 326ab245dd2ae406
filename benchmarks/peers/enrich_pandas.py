"""pandas with pytricia, each distinct address found once; without pytricia an index on the address text."""

import numpy as np
import pandas as pd

from benchmarks.peers.enrich import ADDED, CLASSES, NAMES, READ

HAS_THREADS = False

try:
    import pytricia
except ImportError:
    pytricia = None


def finder(table):
    """(addresses) -> rows of the table, -1 where it has none."""
    if pytricia is None:
        return table.set_index("addr").index.get_indexer
    trees = {width: pytricia.PyTricia(width) for width in (32, 128)}
    for row, address in enumerate(table["addr"]):
        trees[128 if ":" in address else 32][address] = row

    def one(address):
        if not isinstance(address, str) or address in ("", "-"):
            return -1
        return trees[128 if ":" in address else 32].get(address, -1)

    return lambda addresses: np.array([one(address) for address in addresses], np.int64)


def prepare(names, _threads):
    table = names.to_pandas()
    find = finder(table)
    columns = [pd.Categorical(table[name]) for name in NAMES]
    codes = [np.append(column.codes, -1) for column in columns]

    def enrich(source, target):
        frame = pd.read_parquet(source, columns=READ, partitioning=None, use_threads=False)
        found = []
        for address in ("pkt_srcaddr", "pkt_dstaddr"):
            places, distinct = pd.factorize(frame[address])
            rows = np.append(find(distinct), -1)[places]
            found.append([column[rows] for column in codes])
        (pod, node, zone), (other_pod, other_node, other_zone) = found
        conditions = [
            (zone < 0) | (other_zone < 0),
            (pod == other_pod) & (pod >= 0),
            (node == other_node) & (node >= 0),
            zone == other_zone,
        ]
        kind = np.select(conditions, [-1, 0, 1, 2], 3)
        added = [pd.Categorical.from_codes(part, dtype=column.dtype) for end in found for part, column in zip(end, columns, strict=True)]
        for name, column in zip(ADDED, [*added, pd.Categorical.from_codes(kind, CLASSES)], strict=True):
            frame[name] = column
        frame.to_parquet(target, index=False, row_group_size=1 << 20, write_statistics=False)

    return enrich
