"""Random lives of pods on one address, random snapshots of them: EXACT is never wrong, and what was possible is never left out.

The lives are the truth; the snapshots tell of them what Kubernetes would: running pods, ended ones now and then, starts for most.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from fastroute.api import Snapshot
from fastroute.api.timeline import Timeline
from fastroute.topology import Pod
from fastroute.topology.times import rfc3339
from tests.zoo import everything

ADDR = "10.0.5.6"
TRAIL = 60


@dataclass(frozen=True)
class Life:
    """A pod that had the address from `begin` to `end`; `is_listed`: the API keeps it when it has ended; `tells`: its start."""

    name: str
    begin: int
    end: int
    is_listed: bool
    tells: bool


@st.composite
def lives(draw: st.DrawFn) -> list[Life]:
    """One after the other, from second 1000 on, with gaps from none to a thousand."""
    found, at = [], 1000
    for i in range(draw(st.integers(1, 4))):
        begin = at + draw(st.sampled_from((1, 30, 200, 1000)))
        at = begin + draw(st.sampled_from((5, 50, 100, 700, 3000)))
        found.append(Life(f"job-{i}", begin, at, draw(st.booleans()), draw(st.integers(0, 3)) > 0))
    return found


def seen(life: Life, at: int) -> Pod | None:
    """What a snapshot tells of it."""
    start = rfc3339(life.begin) if life.tells else None
    pod = Pod("jobs", life.name, "node-a", (ADDR,), False, "Running", "Job", life.name, (), start, uid=life.name)
    if life.begin <= at <= life.end:
        return pod
    if life.end < at and life.is_listed:
        return replace(pod, phase="Succeeded", finish_time=rfc3339(life.end))
    return None


@settings(max_examples=40, deadline=None)
@given(
    lives(),
    st.lists(st.integers(900, 9000), min_size=1, max_size=4, unique=True),
    st.lists(st.tuples(st.integers(1000, 9000), st.integers(0, 300)), min_size=1, max_size=25),
)
def test_exact_is_never_wrong(told: list[Life], times: list[int], stretches: list[tuple[int, int]]) -> None:
    snapshots = []
    for at in times:
        topology = everything()
        for life in told:
            pod = seen(life, at)
            if pod is not None:
                topology.pods[pod.key] = pod
        snapshots.append(Snapshot(replace(topology, captured_at=rfc3339(at))))
    # Who is in no snapshot is nobody's to know.
    known = {pod.name for snapshot in snapshots for pod in snapshot.topology.pods.values()}
    # Of a pod without a start nothing tells that it was not there from the beginning: an honest cluster tells it.
    dateless = {life.name for life in told if not life.tells}
    begins, ends = [begin for begin, _ in stretches], [begin + width for begin, width in stretches]
    n = len(stretches)
    log = {"pkt_srcaddr": [ADDR] * n, "pkt_dstaddr": ["10.0.6.6"] * n, "vpc_id": ["vpc-a"] * n}
    table = pa.table(
        {
            **log,
            "start": [begin + TRAIL for begin in begins],
            "end": [max(end, begin + TRAIL) for begin, end in zip(begins, ends, strict=True)],
        }
    )
    rows = Timeline(snapshots).compile().route(table, columns=["all"]).read_all().to_pylist()
    for begin, row in zip(begins, rows, strict=True):
        end = row["end"]
        holders = {life.name for life in told if life.begin <= end and life.end >= begin}
        # The newest snapshot holds from then on, come what may.
        if row["attribution"] == "EXACT" and not dateless & known and end <= max(times):
            (life,) = (each for each in told if each.name == row["src_k8s_pod"])
            assert holders == {life.name}
            assert life.begin <= begin
            assert end <= life.end
        if len(holders & known) > 1:
            assert row["attribution"] == "AMBIGUOUS", (holders, row)
