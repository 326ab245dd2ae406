"""Seeded inputs of the look-up benchmarks: tables and the addresses that are asked of them."""

import gzip
import os
from pathlib import Path
from typing import NamedTuple

import numpy as np

from fastroute.addr import masks4, masks6, parse_prefixes

SEED = 20260
LENGTHS4 = {16: 14, 17: 9, 18: 15, 19: 28, 20: 47, 21: 56, 22: 120, 23: 107, 24: 597, 32: 1}
"""Share of prefix lengths in the Internet's IPv4 table, per thousand or so; `internet4` without the real table."""

LENGTHS6 = {29: 28, 32: 143, 36: 38, 40: 85, 44: 91, 48: 478, 64: 1}
NUM_INTERNET4, NUM_INTERNET6 = 902_000, 160_000


class Table(NamedTuple):
    prefix: np.ndarray  # (n,) uint32 or (n, 2) uint64
    length: np.ndarray  # (n,) uint8
    value: np.ndarray  # (n,) int32, below 2**24: rte_lpm holds no more
    is_real: bool = False


def shared_data():
    """Folder of the data that is not part of the project, or None."""
    folder = Path(os.environ.get("FASTROUTE_SHARED_DATA", Path(__file__).parents[2] / "shared" / "data"))
    return folder if folder.is_dir() else None


def internet():
    """The Internet's IPv4 and IPv6 tables in random order: the real ones where they are, else seeded ones of the same shape."""
    rng = np.random.default_rng(SEED)
    folder = shared_data()
    path = folder / "bgp" / "prefixes.txt.gz" if folder else None
    if path and path.exists():
        with gzip.open(path, "rt") as file:
            rows = parse_prefixes(file.read().split())
        is4 = rows.family == 4
        tables = (rows.v4[is4], rows.prefix_len[is4]), (np.column_stack((rows.hi, rows.lo))[~is4], rows.prefix_len[~is4])
        return tuple(_shuffled(rng, prefix, length, True) for prefix, length in tables)
    return _seeded4(rng), _seeded6(rng)


def _seeded4(rng):
    length = rng.choice(list(LENGTHS4), NUM_INTERNET4 * 5 // 4, p=_shares(LENGTHS4)).astype(np.uint8)
    prefix = rng.integers(1 << 24, 224 << 24, length.shape[0]).astype(np.uint32) & masks4(length)
    rows = np.unique(prefix.astype(np.uint64) << np.uint64(8) | length)[:NUM_INTERNET4]
    return _shuffled(rng, (rows >> np.uint64(8)).astype(np.uint32), (rows & np.uint64(255)).astype(np.uint8), False)


def _seeded6(rng):
    length = rng.choice(list(LENGTHS6), NUM_INTERNET6, p=_shares(LENGTHS6)).astype(np.uint8)
    blocks = rng.integers(0x2A00 << 16, 0x2A10 << 16, 20_000).astype(np.uint64) << np.uint64(32)
    hi = (rng.choice(blocks, length.shape[0]) | rng.integers(0, 1 << 32, length.shape[0]).astype(np.uint64)) & masks6(length)[0]
    rows, first = np.unique(hi | length.astype(np.uint64) * np.uint64(0), return_index=True)
    return _shuffled(rng, np.column_stack((rows, np.zeros_like(rows))), length[first], False)


def _shares(lengths):
    weights = np.array(list(lengths.values()), float)
    return weights / weights.sum()


def _shuffled(rng, prefix, length, is_real):
    order = rng.permutation(length.shape[0])
    return Table(prefix[order], length[order], rng.integers(0, 2000, order.shape[0]).astype(np.int32), is_real)


def cluster(num_pods=100_000, num_subnets=200, num_vpcs=20):
    """Pod /32s in subnet /20s in VPC /16s."""
    rng = np.random.default_rng(SEED)
    vpcs = (10 << 24) + (np.arange(num_vpcs) << 16)
    subnets = (vpcs[:, None] + (np.arange(num_subnets // num_vpcs) << 12)).ravel()
    each = num_pods // num_subnets
    pods = np.concatenate([subnet + rng.choice(4096, each, replace=False) for subnet in subnets])
    prefix = np.concatenate((vpcs, subnets, pods)).astype(np.uint32)
    length = np.repeat([16, 20, 32], [num_vpcs, num_subnets, pods.shape[0]]).astype(np.uint8)
    order = rng.permutation(prefix.shape[0])
    return Table(prefix[order], length[order], rng.integers(0, 1 << 24, order.shape[0]).astype(np.int32))


def small_tables(num_tables=10_000, num_routes=63):
    """A route table a node: default, VPC, and host routes of its pods in one /20. Returns (table of each row, Table)."""
    rng = np.random.default_rng(SEED)
    num_hosts = num_routes - 2
    node_block = (10 << 24) + (rng.integers(0, 1 << 12, num_tables) << 12)
    hosts = node_block[:, None] + rng.permuted(np.tile(np.arange(4096), (num_tables, 1)), axis=1)[:, :num_hosts]
    prefix = np.hstack((np.zeros((num_tables, 1), np.int64), np.full((num_tables, 1), 10 << 24), hosts))
    length = np.tile(np.array([0, 8] + [32] * num_hosts, np.uint8), num_tables)
    value = rng.integers(0, 1 << 15, length.shape[0]).astype(np.int32)
    return np.repeat(np.arange(num_tables, dtype=np.int32), num_routes), Table(prefix.ravel().astype(np.uint32), length, value)


def uniform4(n):
    return np.random.default_rng(SEED + 1).integers(0, 1 << 32, n, dtype=np.uint32)


def in_prefixes4(table, n):
    """A random prefix, then a random host in it."""
    rng = np.random.default_rng(SEED + 2)
    row = rng.integers(0, table.length.shape[0], n)
    return table.prefix[row] | (rng.integers(0, 1 << 32, n, dtype=np.uint32) & ~masks4(table.length[row]))


def in_prefixes6(table, n):
    rng = np.random.default_rng(SEED + 3)
    row = rng.integers(0, table.length.shape[0], n)
    masks = np.column_stack(masks6(table.length[row]))
    return table.prefix[row] | (rng.integers(0, 1 << 64, (n, 2), dtype=np.uint64) & ~masks)


def zipf(addrs, n, num_distinct=100_000, exponent=1.1):
    """n draws from the first distinct addresses, the k-th with weight k**-exponent."""
    rng = np.random.default_rng(SEED + 4)
    weights = np.arange(1, num_distinct + 1) ** -exponent
    drawn = np.searchsorted(np.cumsum(weights) / weights.sum(), rng.random(n))
    return np.ascontiguousarray(addrs[:num_distinct][np.minimum(drawn, num_distinct - 1)])


def flow_ends(inside, n, share=0.1):
    """Ends of flows as a cluster's logs hold them: mostly pods, and in random places addresses of the Internet.

    The share is an assumption, not a measurement of traffic. It matters: one such address in ten makes rte_lpm and rte_fib three to four
    times slower than pods alone, in random places, and leaves a table of a megabyte as it is.
    """
    rng = np.random.default_rng(SEED + 6)
    return np.where(rng.random(n) < share, uniform4(n), inside)


def bytes_of6(halves):
    """(n, 2) uint64 -> (n, 16) uint8 in network order."""
    return halves.astype(">u8").view(np.uint8).reshape(-1, 16)
