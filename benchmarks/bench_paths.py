"""The walk, many flows a call: from rows to all path columns, on clusters of growing size.

Peer: a copy of the answers' bytes (the floor of any walk that writes all columns). 100 million flows is `test_hundred_million`.
"""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from fastroute import datapath
from fastroute.datapath import Answers, Compiled, Questions, Source
from fastroute.io.snapshot import read_snapshot
from fastroute.synth import generate

BATCH = 1_000_000
SIZES = {"20 nodes, 500 pods": (20, 500), "300 nodes, 10,000 pods": (300, 10_000)}


@cache
def cluster(nodes: int, pods: int) -> Compiled:
    with tempfile.TemporaryDirectory() as folder:
        made = generate(Path(folder) / "account", nodes=nodes, pods=pods, records=1000)
        return datapath.compile_topology(read_snapshot(made.snapshot).topology)


def questions(compiled: Compiled, n: int, zipf: bool) -> Questions:
    """Flows between addresses that something holds, and one in eight to the rest of the world."""
    rng = np.random.default_rng(1)
    addressed = len(compiled.prefixes.family)
    held = np.flatnonzero(np.isin(compiled.rows.source[:addressed], (Source.POD, Source.HOST, Source.BARE))).astype(np.int32)
    rng.shuffle(held)

    def pick() -> np.ndarray:
        if zipf:
            return held[np.minimum(rng.zipf(1.2, n) - 1, len(held) - 1)]
        return held[rng.integers(0, len(held), n)]

    src, dst = pick(), pick()
    anywhere = rng.random(n) < 0.125
    dst[anywhere] = rng.integers(0, addressed, int(anywhere.sum()))
    ports = rng.choice(np.array([53, 443, 8080, 32768, 40000, 50000], np.int32), (2, n))
    return Questions(src, dst, np.full(n, 6, np.int32), ports[0], ports[1], np.full(n, -1, np.int32))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("traffic", ["uniform", "zipf"])
@pytest.mark.benchmark(group="walk, one million flows")
def test_walk(benchmark: BenchmarkFixture, size: str, traffic: str) -> None:
    compiled = cluster(*SIZES[size])
    asked = questions(compiled, BATCH, traffic == "zipf")
    out = datapath.empty_answers(BATCH)
    datapath.walk(compiled, asked, recorded=True, out=out)
    benchmark.extra_info["flows"] = BATCH
    benchmark.pedantic(datapath.walk, (compiled, asked), {"recorded": True, "out": out}, rounds=5)


@pytest.mark.benchmark(group="walk, one million flows")
def test_copy_of_the_answers(benchmark: BenchmarkFixture) -> None:
    out = datapath.empty_answers(BATCH)
    for column in out:
        column[:] = 1
    target = datapath.empty_answers(BATCH)

    def copy(source: Answers, into: Answers) -> None:
        for a, b in zip(source, into, strict=True):
            np.copyto(b, a)

    benchmark.extra_info["flows"] = BATCH
    benchmark.pedantic(copy, (out, target), rounds=5)


@pytest.mark.benchmark(group="walk, one hundred million flows")
def test_hundred_million(benchmark: BenchmarkFixture) -> None:
    compiled = cluster(300, 10_000)
    asked = questions(compiled, BATCH, False)
    out = datapath.empty_answers(BATCH)
    datapath.walk(compiled, asked, recorded=False, out=out)

    def hundred() -> None:
        for _ in range(100):
            datapath.walk(compiled, asked, recorded=False, out=out)

    benchmark.extra_info["flows"] = 100 * BATCH
    benchmark.pedantic(hundred, rounds=1)
