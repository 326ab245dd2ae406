"""The first hop of flows of a 2,000-node cluster: our one step beside the same answers composed of DPDK's look-ups."""

import tempfile
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmarks import data
from fastroute import datapath
from fastroute.addr import masks4
from fastroute.datapath.step_kernels import NUM_OVERRIDES, RARE
from fastroute.io.snapshot import read_snapshot
from fastroute.synth import generate

NUM_NODES, NUM_PODS = 2_000, 60_000
SHARE_ANYWHERE = 0.125


class Flows(NamedTuple):
    spaces: np.ndarray
    src: np.ndarray
    dst: np.ndarray


def cluster():
    with tempfile.TemporaryDirectory() as folder:
        made = generate(Path(folder) / "account", nodes=NUM_NODES, pods=NUM_PODS, records=1000)
        return datapath.compile_topology(read_snapshot(made.snapshot).topology)


def flows(compiled, tables, n):
    """Flows of one VPC between addresses that something holds; one in eight goes to any range that the VPC tells apart.

    Ranges of other VPCs and loopback are left out: the composition has no look-up for them, ours has one in reserve.
    """
    rng = np.random.default_rng(data.SEED + 7)
    prefixes, groups = compiled.prefixes, tables.step.ends6.places[:-1] >> np.uint64(32)
    common = tables.step.sources[groups] & np.uint64(RARE) == 0
    in_vpc = np.flatnonzero((prefixes.family == 4) & (prefixes.space == 0) & common)
    held = in_vpc[np.isin(compiled.rows.source[in_vpc], (datapath.Source.POD, datapath.Source.HOST, datapath.Source.BARE))]
    src, dst = rng.choice(held, n), rng.choice(held, n)
    anywhere = rng.random(n) < SHARE_ANYWHERE
    dst[anywhere] = rng.choice(in_vpc, int(anywhere.sum()))
    hosts = rng.integers(0, 1 << 32, n, dtype=np.uint32) & ~masks4(prefixes.length[dst])
    first = prefixes.lo.astype(np.uint32)
    return _in_common(compiled, common, Flows(np.zeros(n, np.int32), first[src], first[dst] | hosts))


def _in_common(compiled, common, asked):
    """A host of a range may be in a more specific one that is left out: ask for the flow before it instead."""
    n = len(asked.src)
    none = np.zeros(n, np.uint64)
    rows = datapath.locate(compiled, asked.spaces, np.full(n, 4, np.uint8), asked.dst, none, none)
    is_own = (compiled.rows.space[rows] <= 0) & common[rows]
    taken = np.maximum.accumulate(np.where(is_own, np.arange(n), 0))
    return asked._replace(dst=asked.dst[taken])


def walk(compiled, asked):
    """The same answers by the walk, which answers more."""
    n = len(asked.src)
    family, none, absent = np.full(n, 4, np.uint8), np.zeros(n, np.uint64), np.full(n, -1, np.int32)
    ends = (datapath.locate(compiled, asked.spaces, family, addrs, none, none) for addrs in (asked.src, asked.dst))
    answers = datapath.walk(compiled, datapath.Questions(*ends, absent, absent, absent, absent), recorded=False)
    return datapath.FirstHops(*(getattr(answers, name) for name in datapath.FirstHops._fields))


def peer_tables(compiled, tables):
    """What the composition needs -> (fib of rows, fib6 of (routing table, destination) -> choice, arrays of the snapshot)."""
    step, prefixes = tables.step, compiled.prefixes
    rows = np.flatnonzero((prefixes.family == 4) & (prefixes.space == 0))
    num_classes = compiled.tables.decisions.fib.shape[1]
    lines = step.choices[:-2].reshape(-1, NUM_OVERRIDES + num_classes)
    ends = np.empty((len(step.sources), 5), np.uint32)
    ends[:, 0] = step.sources & np.uint64(RARE - 1)
    ends[:, 1] = (step.sources >> np.uint64(32)) // np.uint64(lines.shape[1])
    ends[:, 2:4] = step.interfaces.reshape(-1, 2)
    ends[:, 4] = step.destinations >> np.uint64(56)
    groups = (step.ends6.places[:-1] >> np.uint64(32)).astype(np.uint32)
    pods = step.ends6.identities[:-1].view(np.int32)
    snapshot = groups, ends, pods, np.ascontiguousarray(lines[:, :NUM_OVERRIDES]), step.exits
    fib = prefixes.lo[rows].astype(np.uint32), prefixes.length[rows], rows.astype(np.int32)
    return fib, _routes(*_class_prefixes(compiled, rows), lines[:, NUM_OVERRIDES:]), snapshot


def _class_prefixes(compiled, rows):
    """The smallest prefix around all addresses of each destination class; the longest of them that covers an address is its class."""
    first = compiled.prefixes.lo[rows].astype(np.uint32)
    last = first | ~masks4(compiled.prefixes.length[rows])
    classes, where = np.unique(compiled.rows.dst_class[rows], return_inverse=True)
    low, high = np.full(len(classes), 0xFFFFFFFF, np.uint32), np.zeros(len(classes), np.uint32)
    np.minimum.at(low, where, first)
    np.maximum.at(high, where, last)
    length = np.array([32 - int(a ^ b).bit_length() for a, b in zip(low.tolist(), high.tolist(), strict=True)], np.uint8)
    return low & masks4(length), length, classes


def _routes(prefix, length, classes, lines):
    """Routes of all tables as fib6 takes them: a table's number before the destination; those that repeat the next shorter one left out."""
    order = np.lexsort((length, prefix))
    keys, lengths, values, parents = [], [], [], {}
    open_ = []
    for i in order.tolist():
        while open_ and (prefix[i] & masks4(length[open_[-1] : open_[-1] + 1])[0]) != prefix[open_[-1]]:
            open_.pop()
        parents[i] = open_[-1] if open_ else None
        open_.append(i)
    for i, parent in parents.items():
        by_table = lines[:, classes[i]]
        needed = np.arange(len(lines)) if parent is None else np.flatnonzero(by_table != lines[:, classes[parent]])
        keys.append(needed.astype(np.uint64) << np.uint64(32) | np.uint64(prefix[i]))
        lengths.append(np.full(len(needed), 32 + int(length[i]), np.uint8))
        values.append(by_table[needed].astype(np.int32))
    every = np.concatenate(keys)
    return data.bytes_of6(np.column_stack((every, np.zeros_like(every)))), np.concatenate(lengths), np.concatenate(values)
