"""What `benchmarks.run` times: each of our calls beside its peers, on the same input, answers compared first."""

import os
import subprocess
import sys
import tempfile
from functools import cache
from typing import NamedTuple

import numpy as np

from benchmarks import data, first_hop
from benchmarks.peers import pyarrow_parse, pytricia_lookup, searchsorted_lookup, text_column
from fastroute import addr, datapath, lpm


class Peer(NamedTuple):
    call: object  # () -> None
    num_items: int


class Row(NamedTuple):
    work: str
    goal: float
    ours: object  # () -> None, or () -> seconds where a child process is what takes the time
    peers: dict  # name -> Peer
    num_items: int
    memory: int = 0
    is_wall: bool = False  # threads and child processes; else CPU time of this thread


def rows(n, peer, only):
    """Build, compare, and hand over what is to be timed, one table at a time: DPDK keeps one table of a kind."""
    table4, table6 = data.internet()
    real4, real6 = ("" if table.is_real else " (seeded)" for table in (table4, table6))
    parts = {
        "start": _start,
        "cluster": lambda: _table4("cluster", data.cluster(), n, peer),
        "IPv4": lambda: _table4(f"internet IPv4{real4}", table4, n, peer),
        "IPv6": lambda: _table6(f"internet IPv6{real6}", table6, n, peer),
        "growth": lambda: _growth(table4, table6, n),
        "tables": lambda: _pool(n, peer),
        "step": lambda: _first_hop(n, peer),
        "text": lambda: _text(n, peer),
    }
    for name, part in parts.items():
        if only in {"", name}:
            yield from part()


GOALS = {
    # of two cores; more of them are for the reader to judge
    **dict.fromkeys(("cluster, every core", "internet IPv4, every core"), 1.8 if len(os.sched_getaffinity(0)) == 2 else 0),
    "cluster, id, pods": 6,
    "cluster, id, flow ends": 6,
    "cluster, value, pods": 5,
    "cluster, value, flow ends": 5,
    "cluster, id, Zipf": 3.5,
    "internet IPv4, value, uniform": 3.5,
    "internet IPv4, value, in prefixes": 2,
    "internet IPv4, value, Zipf": 1.2,
    "internet IPv6, value, in prefixes": 3,
    "internet IPv6, value, Zipf": 1.5,
    "10,000 tables, random": 5.5,
    "10,000 tables, grouped": 6,
    "first hop in one step": 5,
    "parse dotted quads": 12,
    "format dotted quads": 110,
}


def _row(work, ours, peers, n, memory=0, is_wall=False):
    peers = {name: call if isinstance(call, Peer) else Peer(call, n) for name, call in peers.items()}
    return Row(work, GOALS.get(work.replace(" (seeded)", ""), 0), ours, peers, n, memory, is_wall)


_FIRST_CALL = """
import time
import numpy as np
from fastroute import lpm
begin = time.perf_counter()
for _ in range(2):
    table = lpm.build4(np.array([10 << 24], np.uint32), np.array([8], np.uint8), np.array([0], np.int32))
    lpm.lookup4(table, np.arange(1000, dtype=np.uint32))
    print(time.perf_counter() - begin)
    begin = time.perf_counter()
"""


def _start():
    """The first build and look-up of a process, kernels to be compiled or in numba's cache."""
    with tempfile.TemporaryDirectory() as folder:

        def first_call(is_cold):
            cache = tempfile.mkdtemp(dir=folder) if is_cold else folder
            given = os.environ | {"NUMBA_CACHE_DIR": cache}
            child = subprocess.run([sys.executable, "-c", _FIRST_CALL], env=given, capture_output=True, text=True, check=True)
            return float(child.stdout.split()[0])

        yield _row("IPv4: first call, compiling", lambda: first_call(True), {}, 1, is_wall=True)
        yield _row("IPv4: first call, kernels cached", lambda: first_call(False), {}, 1, is_wall=True)


def _growth(table4, table6, n):
    """Costs by number of prefixes: the first ones of the Internet's tables, which are in random order."""
    n = min(n, 2_000_000)
    for family, table, build, lookup, draw in (
        (4, table4, lpm.build4, lpm.lookup4, data.in_prefixes4),
        (6, table6, lpm.build6, lpm.lookup6, data.in_prefixes6),
    ):
        for most in (10**3, 10**4, 10**5, 10**6):
            part = data.Table(*(column[:most] for column in table[:3]))
            size = part.length.shape[0]
            compiled, addrs, out = build(*part[:3]), draw(part, n), np.empty(n, np.int32)
            yield _row(
                f"IPv{family}, {size:,} prefixes", lambda c=compiled, a=addrs, o=out, f=lookup: f(c, a, o), {}, n, lpm.num_bytes(compiled)
            )
            yield _row(f"IPv{family}, {size:,} prefixes, build", lambda p=part, f=build: f(*p[:3]), {}, size)


def _table4(name, table, n, peer):
    prefix, length, value, _ = table
    kinds = []
    if peer:
        peer.build("lpm", prefix, length, value, 1 << 14)
        peer.build("fib", prefix, length, value, 1 << 14)
        kinds = ["lpm", "fib"]
    by_value = lpm.build4(prefix, length, value)
    by_id, row_of = lpm.build4_ids(prefix, length)
    inside = data.in_prefixes4(table, n)
    if name == "cluster":
        ends = data.flow_ends(inside, n)
        loads = {"pods": inside, "flow ends": ends, "Zipf": data.zipf(inside, n), "half outside": data.flow_ends(inside, n, 0.5)}
    else:
        loads = {"uniform": data.uniform4(n), "in prefixes": inside, "Zipf": data.zipf(inside, n)}
    out, theirs = np.empty(n, np.int32), np.empty(n, np.int32)
    for load, addrs in loads.items():
        found = lpm.lookup4(by_value, addrs)
        ids = lpm.lookup4(by_id, addrs)
        _compare(f"{name}, {load}: ids", np.where(ids < 0, -1, value[row_of[ids]]), found)
        for kind in kinds:
            peer.lookup(kind, addrs, theirs)
            _compare(f"{name}, {load}: {kind}", theirs, found)
        peers = {f"rte_{kind}": lambda kind=kind, addrs=addrs: peer.lookup(kind, addrs, theirs) for kind in kinds}
        if load == "pods":
            for other, lookup in {"numpy searchsorted": searchsorted_lookup, "pytricia": pytricia_lookup}.items():
                some = addrs[: n // (10 if lookup is searchsorted_lookup else 100)]
                ask = lookup(prefix, length, value)
                if ask:
                    _compare(f"{name}: {other}", ask(some), found[: some.shape[0]])
                    peers[other] = Peer(lambda ask=ask, some=some: ask(some), some.shape[0])
        if name == "cluster":
            yield _row(f"{name}, id, {load}", lambda addrs=addrs: lpm.lookup4(by_id, addrs, out), peers, n, lpm.num_bytes(by_id))
        yield _row(f"{name}, value, {load}", lambda addrs=addrs: lpm.lookup4(by_value, addrs, out), peers, n, lpm.num_bytes(by_value))
    one = {"one thread": lambda: lpm.lookup4(by_value, inside, out)}
    yield _row(f"{name}, every core", lambda: lpm.lookup4(by_value, inside, out, parallel=True), one, n, is_wall=True)
    fresh = {"one thread": lambda: lpm.lookup4(by_value, inside)}
    yield _row(f"{name}, every core, no out=", lambda: lpm.lookup4(by_value, inside, parallel=True), fresh, n, is_wall=True)
    build = {"rte_fib": lambda: peer.build("fib", prefix, length, value, 1 << 14)} if peer else {}
    yield _row(f"{name}, build", lambda: lpm.build4(prefix, length, value), build, len(length))


def _table6(name, table, n, peer):
    prefix, length, value, _ = table
    ours = lpm.build6(prefix, length, value)
    inside = data.in_prefixes6(table, n)
    out, theirs = np.empty(n, np.int32), np.empty(n, np.int32)
    if peer:
        peer.build("fib6", data.bytes_of6(prefix), length, value, 1 << 18)
    for load, addrs in {"in prefixes": inside, "Zipf": data.zipf(inside, n)}.items():
        peers = {}
        if peer:
            octets = data.bytes_of6(addrs)
            peer.lookup("fib6", octets, theirs)
            _compare(f"{name}, {load}: fib6", theirs, lpm.lookup6(ours, addrs))
            peers["rte_fib6"] = lambda octets=octets: peer.lookup("fib6", octets, theirs)
        yield _row(f"{name}, value, {load}", lambda addrs=addrs: lpm.lookup6(ours, addrs, out), peers, n, lpm.num_bytes(ours))
    yield _row(f"{name}, build", lambda: lpm.build6(prefix, length, value), {}, len(length))


def _pool(n, peer):
    """The peer is rte_fib6 with the table's number in front of the address."""
    of, (prefix, length, value, _) = data.small_tables()
    ours = lpm.build_pool4(of, prefix, length, value, 10_000)
    rng = np.random.default_rng(data.SEED + 5)
    row = rng.integers(0, length.shape[0], n)
    is_host = length[row] == 32
    addrs = np.where(is_host, prefix[row], rng.integers(10 << 24, 11 << 24, n)).astype(np.uint32)
    out, theirs = np.empty(n, np.int32), np.empty(n, np.int32)
    if peer:
        peer.build("fib6", _keys(of, prefix), length + 32, value, 1 << 21)  # it reserves three levels for every host route
    for load, order in {"random": np.arange(n), "grouped": np.argsort(of[row], kind="stable")}.items():
        tables, asked = np.ascontiguousarray(of[row][order]), np.ascontiguousarray(addrs[order])
        peers = {}
        if peer:
            keys = _keys(tables, asked)
            peer.lookup("fib6", keys, theirs)
            _compare(f"pool, {load}: fib6", theirs, lpm.pool4_lookup(ours, tables, asked))
            peers["rte_fib6"] = lambda keys=keys: peer.lookup("fib6", keys, theirs)
        work = f"10,000 tables, {load}"
        yield _row(work, lambda t=tables, a=asked: lpm.pool4_lookup(ours, t, a, out), peers, n, lpm.num_bytes(ours))


def _keys(tables, addrs):
    high = tables.astype(np.uint64) << np.uint64(32) | addrs
    return data.bytes_of6(np.column_stack((high, np.zeros_like(high))))


@cache
def _first_hop_cluster():
    return first_hop.cluster()


def _first_hop(n, peer):
    """Both ends, their attributes and the look-up in the source's node; the peer is the same composed of rte_fib, gathers and rte_fib6."""
    compiled = _first_hop_cluster()
    ours = datapath.build_step(compiled)
    asked = first_hop.flows(compiled, ours, n)
    out, theirs = datapath.empty_first_hops(n), datapath.empty_first_hops(n)
    datapath.first_hops(ours, *asked, out)
    some = first_hop.Flows(*(column[: n // 10] for column in asked))
    walked = first_hop.walk(compiled, some)
    for name, column in walked._asdict().items():
        _compare(f"first hop: walk, {name}", column, getattr(out, name)[: n // 10])
    peers = {"locate + walk": Peer(lambda: first_hop.walk(compiled, some), n // 10)}
    if peer:
        fib, fib6, snapshot = first_hop.peer_tables(compiled, ours)
        peer.build("fib", *fib, 1 << 14)
        peer.build("fib6", *fib6, 1 << 21)
        peer.first_hops(asked.src, asked.dst, snapshot, theirs)
        for name, column in theirs._asdict().items():
            _compare(f"first hop: DPDK, {name}", column, getattr(out, name))
        peers["rte_fib, rte_fib, gathers, rte_fib6"] = lambda: peer.first_hops(asked.src, asked.dst, snapshot, theirs)
    memory = sum(part.nbytes for part in (*ours.step[:2], *ours.step.ends4, *ours.step[4:]))
    yield _row("first hop in one step", lambda: datapath.first_hops(ours, *asked, out), peers, n, memory)
    yield _row("first hop, build", lambda: datapath.build_step(compiled), {}, len(compiled.rows.kind))


def _text(n, peer):
    addrs = data.uniform4(n)
    buffers = addr.format4_buffers(addrs)
    _compare("text: back and forth", addr.parse4(buffers)[0], addrs)
    parsed, written = (np.empty(n, np.uint32), np.empty(n, np.uint8)), np.empty(16 * n, np.uint8)
    read, write = {}, {}
    if peer:
        padded, back = np.zeros(n, "S16"), np.empty(n, np.uint32)
        peer.format(addrs, padded)
        if peer.parse(padded, back):
            raise SystemExit("inet_pton refused what inet_ntop wrote")
        _compare("text: inet_pton", back, addrs)
        read["inet_pton"], write["inet_ntop"] = lambda: peer.parse(padded, back), lambda: peer.format(addrs, padded)
    some = text_column(buffers)[: n // 10]
    _compare("text: pyarrow", pyarrow_parse(some), addrs[: len(some)])
    read["pyarrow split + cast"] = Peer(lambda: pyarrow_parse(some), len(some))
    yield _row("parse dotted quads", lambda: addr.parse4(buffers, out=parsed), read, n)
    yield _row("format dotted quads", lambda: addr.format4_buffers(addrs, out=written), write, n)


def _compare(what, theirs, ours):
    bad = np.flatnonzero(theirs != ours)
    if bad.size:
        raise SystemExit(f"{what}: {bad.size} answers differ, first at row {bad[0]}: {theirs[bad[0]]} against {ours[bad[0]]}")
