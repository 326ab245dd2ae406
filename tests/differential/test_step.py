"""The first hop in one step is what `locate` and `walk` answer for simulated flows without ports."""

from __future__ import annotations

import hashlib
import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fastroute import datapath
from fastroute.addr import set_kernels
from fastroute.addr.settings import has_avx512
from fastroute.datapath import Compiled, Explainer, FirstHops, Flow, Questions, StepTables
from fastroute.errors import AddressError
from fastroute.topology import Topology
from tests import zoo
from tests.differential.test_walk import ENVIRONMENTS
from tests.strategies import topologies

EXAMPLES = int(os.environ.get("FASTROUTE_WALK_EXAMPLES", "25"))
RANDOM = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
FORMS = ["plain", "avx512"] if has_avx512() else ["plain"]


@pytest.fixture(params=FORMS, scope="module", autouse=True)
def kernel_form(request: pytest.FixtureRequest) -> Iterator[None]:
    set_kernels(request.param)
    yield
    set_kernels("auto")


def numbers(texts: list[str], family: int) -> np.ndarray:
    """Addresses as `first_hops` takes them."""
    values = [int(ip_address(text)) for text in texts]
    if family == 4:
        return np.array(values, np.uint32)
    return np.array([(value >> 64, value & (1 << 64) - 1) for value in values], np.uint64).reshape(-1, 2)


def walked(compiled: Compiled, spaces: np.ndarray, src: np.ndarray, dst: np.ndarray) -> FirstHops:
    """The same by `locate` and `walk`."""
    n = len(spaces)
    family, none4, none6 = np.full(n, 4 if src.ndim == 1 else 6, np.uint8), np.zeros(n, np.uint32), np.zeros(n, np.uint64)
    ends = []
    for addrs in (src, dst):
        columns = (addrs, none6, none6) if src.ndim == 1 else (none4, addrs[:, 0].copy(), addrs[:, 1].copy())
        ends.append(datapath.locate(compiled, spaces, family, *columns))
    absent = np.full(n, -1, np.int32)
    answers = datapath.walk(compiled, Questions(*ends, absent, absent, absent, absent), recorded=False)
    return FirstHops(*(getattr(answers, name) for name in FirstHops._fields))


def pairs_of(topology: Topology, rng: random.Random, n: int, family: int) -> tuple[np.ndarray, np.ndarray]:
    addrs = zoo.interesting_addresses(topology, family) or zoo.NOWHERE[: 1 if family == 4 else 0]
    src, dst = rng.choices(addrs, k=n), rng.choices(addrs, k=n)
    dst = [one if rng.random() < 0.05 else other for one, other in zip(src, dst, strict=True)]  # to itself
    return numbers(src, family), numbers(dst, family)


def check(topology: Topology, rng: random.Random, n: int) -> None:
    """Both families, all spaces in turns and one at a time, whole blocks of 64 and a rest."""
    compiled = datapath.compile_topology(topology)
    tables = datapath.build_step(compiled)
    num_spaces = len(compiled.spaces)
    for family in (4, 6):
        src, dst = pairs_of(topology, rng, n, family)
        for spaces in (np.array(rng.choices(range(-1, num_spaces), k=n), np.int32), np.full(n, rng.randrange(-1, num_spaces), np.int32)):
            found, want = datapath.first_hops(tables, spaces, src, dst), walked(compiled, spaces, src, dst)
            for name in FirstHops._fields:
                np.testing.assert_array_equal(getattr(found, name), getattr(want, name), f"IPv{family} {name}")


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_as_the_walk_on_the_zoo(environment: str) -> None:
    check(zoo.everything(ENVIRONMENTS[environment]), random.Random(environment), 3000)


@given(topology=topologies(), seed=st.integers(0, 2**32 - 1))
@RANDOM
def test_as_the_walk_on_random_accounts(topology: Topology, seed: int) -> None:
    if topology.vpcs:
        check(topology, random.Random(seed), 150)


def test_as_explain_on_the_zoo() -> None:
    """Without the walk between: names of the interface and table, and the rule's priority, of 400 simulated flows."""
    topology, rng = zoo.everything(), random.Random(3)
    compiled, explainer = datapath.compile_topology(topology), Explainer(topology)
    tables, names = datapath.build_step(compiled), {key: datapath.texts(value) for key, value in compiled.names.items()}
    addrs = zoo.interesting_addresses(topology, 4)
    src, dst = rng.choices(addrs, k=400), rng.choices(addrs, k=400)
    spaces = np.full(400, compiled.spaces["vpc-a"], np.int32)
    found = datapath.first_hops(tables, spaces, numbers(src, 4), numbers(dst, 4))
    seen = set()
    for i, (one, other) in enumerate(zip(src, dst, strict=True)):
        path = explainer.explain(Flow(one, other), "vpc-a").path
        table, out_eni, rule = int(found.table[i]), int(found.out_eni[i]), int(found.rule_priority[i])
        got = (rule if rule >= 0 else None, names["table"][table] if table >= 0 else None, names["eni"][out_eni] if out_eni >= 0 else None)
        assert got == (path.rule_priority, path.table, path.out_eni), f"{one} -> {other}"
        seen.add(rule)
    assert seen >= {-1, 0, 512, 1024, 1536, 32765, 32766}


def digest(placed: Callable[[StepTables], StepTables] = lambda tables: tables) -> str:
    """The answers for some fixed flows, byte by byte; `placed` may move the tables in memory."""
    topology, found = zoo.everything(), hashlib.sha256()
    compiled = datapath.compile_topology(topology)
    tables = placed(datapath.build_step(compiled))
    for family in (4, 6):
        src, dst = pairs_of(topology, random.Random(family), 300, family)
        for column in datapath.first_hops(tables, np.arange(300) % (len(compiled.spaces) + 1) - 1, src, dst):
            found.update(column.tobytes())
    return found.hexdigest()


def test_without_compiling_the_answers_are_the_same() -> None:
    code = "from tests.differential.test_step import digest; print(digest())"
    environment = {**os.environ, "NUMBA_DISABLE_JIT": "1", "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.strip() == digest()


def test_out_is_filled_and_returned() -> None:
    topology = zoo.everything()
    tables = datapath.build_step(datapath.compile_topology(topology))
    src, dst = pairs_of(topology, random.Random(1), 70, 4)
    spaces = np.zeros(70, np.int64)
    out = datapath.empty_first_hops(70)
    for column in out:
        assert column.ctypes.data % 64 == 0
        column[:] = 77
    assert datapath.first_hops(tables, spaces, src, dst, out) is out
    for name, column in datapath.first_hops(tables, spaces, src, dst)._asdict().items():
        np.testing.assert_array_equal(getattr(out, name), column)
    assert [len(column) for column in datapath.first_hops(tables, [], [], [])] == [0] * 5


def test_what_is_refused() -> None:
    topology = zoo.everything()
    compiled = datapath.compile_topology(topology)
    tables, n = datapath.build_step(compiled), len(compiled.spaces)
    one, both = np.zeros(1, np.uint32), np.zeros((1, 2), np.uint64)
    for bad in (-2, n):
        with pytest.raises(AddressError, match=rf"spaces\[0\]: {bad} is not one of the snapshot's {n} spaces, nor -1"):
            datapath.first_hops(tables, [bad], one, one)
    with pytest.raises(AddressError, match="1 spaces, 2 sources and 1 destinations; the lengths must be equal"):
        datapath.first_hops(tables, [0], np.zeros(2, np.uint32), one)
    for src, dst in ((one, both), (both, one)):
        with pytest.raises(AddressError):
            datapath.first_hops(tables, [0], src, dst)
    out = FirstHops(*(np.empty(2, np.int32) for _ in FirstHops._fields))
    with pytest.raises(AddressError, match=r"out.src_row: pass a writable contiguous int32 array of 1 rows"):
        datapath.first_hops(tables, [0], one, one, out)


def fenced_digest() -> str:
    """`digest` over tables that end at unreadable pages: bounds checking does not see gathers."""
    from tests.unit.lpm.unreadable import fenced

    def fence(value: Any) -> Any:
        return type(value)(*map(fence, value)) if hasattr(value, "_fields") else fenced(value)

    return digest(lambda tables: tables._replace(step=fence(tables.step)))


@pytest.mark.skipif(not has_avx512(), reason="only gathers read what nobody checks")
def test_nothing_behind_the_tables_is_read() -> None:
    code = "from tests.differential.test_step import fenced_digest; print(fenced_digest())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2])
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.strip() == digest()
