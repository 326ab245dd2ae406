"""Every look-up beside its best peer: `python -m benchmarks.run [--rows N] [--rounds R] [--json PATH]`.

Answers are compared first. Then ours and the peers run alternately, and the ratio of a round is that of neighbours in time: absolute
times move with the machine, ratios hardly.
"""

import argparse
import json
import platform
import statistics
import time
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmarks import data
from benchmarks.peers import dpdk
from fastroute import addr, lpm


class Row(NamedTuple):
    work: str
    goal: float
    ours: object  # () -> None
    peers: dict  # name -> () -> None
    num_items: int
    memory: int = 0


def rows(n, peer, only):
    """Build, compare, and hand over what is to be timed, one table at a time: DPDK keeps one table of a kind."""
    table4, table6 = data.internet()
    real4, real6 = ("" if table.is_real else " (seeded)" for table in (table4, table6))
    parts = {
        "cluster": lambda: _table4("cluster", data.cluster(), n, peer),
        "IPv4": lambda: _table4(f"internet IPv4{real4}", table4, n, peer),
        "IPv6": lambda: _table6(f"internet IPv6{real6}", table6, n, peer),
        "tables": lambda: _pool(n, peer),
        "text": lambda: _text(n, peer),
    }
    for name, part in parts.items():
        if only in {"", name}:
            yield from part()


GOALS = {
    "cluster, id, in prefixes": 6,
    "cluster, value, in prefixes": 5,
    "cluster, id, Zipf": 3.5,
    "internet IPv4, value, uniform": 3.5,
    "internet IPv4, value, in prefixes": 2,
    "internet IPv4, value, Zipf": 1.2,
    "internet IPv6, value, in prefixes": 3,
    "internet IPv6, value, Zipf": 1.5,
    "10,000 tables, random": 5.5,
    "10,000 tables, grouped": 6,
    "parse dotted quads": 12,
    "format dotted quads": 110,
}


def _row(work, ours, peers, n, memory=0):
    return Row(work, GOALS.get(work.replace(" (seeded)", ""), 0), ours, peers, n, memory)


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
    loads = {"in prefixes": inside, "Zipf": data.zipf(inside, n)}
    if name == "cluster":
        loads["half outside"] = np.where(np.arange(n) % 2, inside, data.uniform4(n))
    else:
        loads["uniform"] = data.uniform4(n)
    out, theirs = np.empty(n, np.int32), np.empty(n, np.int32)
    for load, addrs in loads.items():
        found = lpm.lookup4(by_value, addrs)
        ids = lpm.lookup4(by_id, addrs)
        _compare(f"{name}, {load}: ids", np.where(ids < 0, -1, value[row_of[ids]]), found)
        for kind in kinds:
            peer.lookup(kind, addrs, theirs)
            _compare(f"{name}, {load}: {kind}", theirs, found)
        peers = {f"rte_{kind}": lambda kind=kind, addrs=addrs: peer.lookup(kind, addrs, theirs) for kind in kinds}
        if name == "cluster":
            yield _row(f"{name}, id, {load}", lambda addrs=addrs: lpm.lookup4(by_id, addrs, out), peers, n, lpm.num_bytes(by_id))
        yield _row(f"{name}, value, {load}", lambda addrs=addrs: lpm.lookup4(by_value, addrs, out), peers, n, lpm.num_bytes(by_value))
    one = {"one thread": lambda: lpm.lookup4(by_value, inside, out)}
    yield _row(f"{name}, two threads", lambda: lpm.lookup4(by_value, inside, out, parallel=True), one, n)
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
    yield _row("parse dotted quads", lambda: addr.parse4(buffers, out=parsed), read, n)
    yield _row("format dotted quads", lambda: addr.format4_buffers(addrs, out=written), write, n)


def _compare(what, theirs, ours):
    bad = np.flatnonzero(theirs != ours)
    if bad.size:
        raise SystemExit(f"{what}: {bad.size} answers differ, first at row {bad[0]}: {theirs[bad[0]]} against {ours[bad[0]]}")


def _seconds(call, clock=time.thread_time):
    """CPU time of this thread, so that waiting for a shared core does not count; wall time where threads are compared."""
    begin = clock()
    call()
    return clock() - begin


def measure(row, num_rounds):
    """Alternate; ratio of each round against the fastest peer of that round."""
    row.ours()
    clock = time.perf_counter if "one thread" in row.peers else time.thread_time
    ours, ratios, best = [], [], {}
    for _ in range(num_rounds):
        theirs = {name: _seconds(call, clock) for name, call in row.peers.items()}
        ours.append(_seconds(row.ours, clock))
        if theirs:
            name = min(theirs, key=theirs.get)
            best.setdefault(name, []).append(theirs[name])
            ratios.append(theirs[name] / ours[-1])
    peer = max(best, key=lambda name: len(best[name])) if best else ""
    middle = statistics.median(ours)
    return {
        "work": row.work,
        "ns": middle / row.num_items * 1e9,
        "millions_per_s": row.num_items / middle / 1e6,
        "ms": middle * 1e3,
        "spread": (max(ours) - min(ours)) / middle,
        "peer": peer,
        "peer_ns": statistics.median(best[peer]) / row.num_items * 1e9 if peer else None,
        "ratio": statistics.median(ratios) if ratios else None,
        "ratios": ratios,
        "goal": row.goal or None,
        "megabytes": row.memory / 1e6,
    }


def machine():
    names = [line.partition(":")[2].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    versions = {name: version(name) for name in ("numba", "llvmlite", "numpy")}
    return {"cpu": names[0] if names else platform.processor(), "kernels": lpm.kernels(), "python": platform.python_version(), **versions}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default="", help="a word: cluster, IPv4, IPv6, tables, text")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    peer, why = dpdk()
    if not peer:
        print(f"without DPDK: {why}")
    here = machine()
    print(" · ".join(f"{name} {value}" for name, value in here.items()))
    print(f"{'work':<38} {'ratio':>7} {'goal':>6} {'ns':>7} {'M/s':>7} {'spread':>7}  {'peer':<10} {'ns':>7} {'MB':>6}")
    results = []
    for row in rows(given.rows, peer, given.only):
        got = measure(row, given.rounds)
        results.append(got)
        ratio, goal = (f"{got[key]:.2f}" if got[key] else "" for key in ("ratio", "goal"))
        peer_ns = f"{got['peer_ns']:.2f}" if got["peer"] else ""
        line = f"{got['work']:<38} {ratio:>7} {goal:>6} {got['ns']:>7.2f} {got['millions_per_s']:>7.0f} {got['spread']:>7.0%}"
        print(f"{line}  {got['peer']:<10} {peer_ns:>7} {got['megabytes']:>6.1f}", flush=True)
    if given.json:
        given.json.write_text(json.dumps({"machine": here, "rows": given.rows, "rounds": given.rounds, "results": results}, indent=1))


if __name__ == "__main__":
    main()
