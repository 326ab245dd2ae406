"""The kernels and `explain` answer alike on random accounts; and the kernels alike however they are run.

`FASTROUTE_WALK_EXAMPLES=5000 pytest tests/differential/test_walk_random.py` is a long campaign of the first.
"""

from __future__ import annotations

import hashlib
import os
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fastroute import datapath
from fastroute.io.compiled import open_snapshot_file, write_snapshot_file
from fastroute.topology import Topology
from tests import zoo
from tests.strategies import topologies
from tests.walk_compare import compare, flows_of, questions_of

EXAMPLES = int(os.environ.get("FASTROUTE_WALK_EXAMPLES", "80"))
RANDOM = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))


@given(topology=topologies(), seed=st.integers(0, 2**32 - 1))
@RANDOM
def test_kernels_agree_with_explain(topology: Topology, seed: int) -> None:
    rng = random.Random(seed)
    for vpc_id in topology.vpcs or ("",):
        flows = [flow for family, n in ((4, 60), (6, 20)) for flow in flows_of(topology, rng, n, family)]
        compare(topology, flows, vpc_id)


def digest(compiled: datapath.Compiled | None = None) -> str:
    """The answers for some fixed flows, byte by byte."""
    compiled = datapath.compile_topology(zoo.everything()) if compiled is None else compiled
    found = hashlib.sha256()
    for vpc_id in ("vpc-a", "vpc-b", "vpc-twin1"):
        flows = flows_of(zoo.everything(), random.Random(vpc_id), 150)
        for recorded in (True, False):
            for column in datapath.walk(compiled, questions_of(compiled, flows, vpc_id), recorded=recorded):
                found.update(column.tobytes())
    return found.hexdigest()


def test_without_compiling_the_answers_are_the_same() -> None:
    code = "from tests.differential.test_walk_random import digest; print(digest())"
    environment = {**os.environ, "NUMBA_DISABLE_JIT": "1", "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.strip() == digest()


def test_a_loaded_snapshot_answers_like_the_compiled_one(tmp_path: Path) -> None:
    compiled = datapath.compile_topology(zoo.everything())
    write_snapshot_file(tmp_path / "snapshot.fastroute", zoo.everything(), None, compiled, {})
    assert digest(open_snapshot_file(tmp_path / "snapshot.fastroute").compiled) == digest(compiled)


def test_flows_are_answered_one_by_one_as_together() -> None:
    """Once more, in parts, and into arrays that hold something else: no flow depends on another."""
    compiled = datapath.compile_topology(zoo.everything())
    questions = questions_of(compiled, flows_of(zoo.everything(), random.Random(7), 300), "vpc-a")
    whole = datapath.walk(compiled, questions, recorded=True)
    used = datapath.Answers(*(np.full_like(column, 77) for column in whole))
    assert datapath.walk(compiled, questions, recorded=True, out=used) is used
    n = len(questions.src_row)
    parts = [datapath.walk(compiled, datapath.Questions(*(column[i : i + 1] for column in questions)), recorded=True) for i in range(n)]
    for name, column in whole._asdict().items():
        np.testing.assert_array_equal(getattr(used, name), column, name)
        np.testing.assert_array_equal(np.concatenate([getattr(part, name) for part in parts]), column, name)
