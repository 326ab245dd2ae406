"""Who held an address at the time of a record: against every second looked at, and against the snapshot as it was at a moment."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from fastroute import datapath
from fastroute.datapath import Compiled, Explainer, RowFlag
from fastroute.datapath.history import at_time, has_history
from fastroute.topology import Pod, Topology
from fastroute.topology.tenure import Tenure, in_order, tenures_of, topology_at
from fastroute.topology.times import BEGINNING, END, rfc3339
from fastroute.vocab import Attribution, Kind
from tests import zoo
from tests.reference.tenures import Hold, holders

ADDR = "10.0.5.6"  # of eni-a0, warm


def pod(name: str, addr: str = ADDR, node: str = "node-a", **more: object) -> Pod:
    return Pod("jobs", name, node, (addr,), False, "Running", "Job", name, (), **more)  # type: ignore[arg-type]


def ask(compiled: Compiled, addr: str, stretches: list[tuple[int, int]]) -> list[tuple[int, Attribution, int]]:
    """(row, attribution at best, number of candidates) for each stretch of time."""
    n, number = len(stretches), int(ip_address(addr))
    rows = datapath.locate(
        compiled,
        np.full(n, compiled.spaces["vpc-a"], np.int32),
        np.full(n, 4, np.uint8),
        np.full(n, number, np.uint32),
        np.zeros(n, np.uint64),
        np.full(n, number, np.uint64),
    )
    begin, end = (np.array(column, np.int64) for column in zip(*stretches, strict=True))
    found = at_time(compiled, rows, begin, end, int(begin.min()))
    answers = {int(row): (int(rows[row]), Attribution.EXACT, 1) for row in range(n)}
    for record, row, attribution, number in zip(found.records, found.rows, found.attribution, found.num_candidates, strict=True):
        answers[int(record)] = (int(row), Attribution(attribution), int(number))
    return [answers[i] for i in range(n)]


def name_of(compiled: Compiled, row: int) -> str | None:
    code = compiled.rows.pod[row]
    return datapath.texts(compiled.names["pod"])[code] if code >= 0 else None


@st.composite
def lives(draw: st.DrawFn) -> list[Tenure]:
    """Up to five pods on one address, bounds from 0 to 40, some without an end; some of them at once, as no input is trusted."""
    found = []
    for i in range(draw(st.integers(1, 5))):
        bounds = sorted(draw(st.lists(st.integers(0, 40), min_size=4, max_size=4)))
        if draw(st.booleans()):
            bounds[0] = bounds[1]
        if draw(st.booleans()):
            bounds[3] = bounds[2]
        if draw(st.integers(0, 3)) == 0:
            bounds[2:] = [END, END]
        if draw(st.integers(0, 5)) == 0:
            bounds[0] = BEGINNING
        found.append(Tenure(pod(f"job-{i}"), ADDR, *bounds))
    return found


@settings(max_examples=30, deadline=None)
@given(lives(), st.lists(st.tuples(st.integers(-3, 45), st.integers(0, 12)), min_size=1, max_size=20))
def test_intervals_agree_with_every_second(tenures: list[Tenure], asked: list[tuple[int, int]]) -> None:
    compiled = datapath.compile_topology(zoo.everything(), tenures)
    holds = [Hold(t.pod.name, t.first, t.since, t.until, t.last) for t in in_order(tenures)]
    stretches = [(begin, begin + width) for begin, width in asked]
    for (begin, end), (row, attribution, number) in zip(stretches, ask(compiled, ADDR, stretches), strict=True):
        names, sure = holders(holds, begin, end)
        assert (number, attribution.name) == (len(names), sure)
        if len(names) == 1:
            assert name_of(compiled, row) == names[0]
        elif len(names) > 1:
            assert name_of(compiled, row) is None
            assert compiled.rows.row_flags[row] & RowFlag.REUSED
            assert compiled.rows.attribution[row] == Attribution.AMBIGUOUS
        else:
            assert compiled.rows.kind[row] == Kind.ENI


@settings(max_examples=30, deadline=None)
@given(lives())
def test_order_keeps_what_is_sure_and_lets_those_that_meet_lie_side_by_side(tenures: list[Tenure]) -> None:
    ordered = in_order(tenures)
    assert sorted((t.pod.name, t.since, t.until) for t in ordered) == sorted((t.pod.name, t.since, t.until) for t in tenures)
    assert all(t.first <= t.since <= t.until <= t.last for t in ordered)
    assert [t.first for t in ordered] == sorted(t.first for t in ordered)
    assert [t.last for t in ordered] == sorted(t.last for t in ordered)


def test_each_moment_agrees_with_the_snapshot_as_it_was() -> None:
    """Jobs one after the other on three addresses of two nodes, one address without gaps; at each second with one sure holder the row is
    what the plain finder says of the snapshot at that second."""
    topology = zoo.everything()
    for i, (addr, node, start, end) in enumerate(
        [
            (ADDR, "node-a", 100, 145),
            (ADDR, "node-a", 175, 220),
            (ADDR, "node-a", 250, None),
            ("10.0.6.7", "node-a", 100, 145),
            ("10.0.6.7", "node-a", 145, 190),
            ("10.0.40.5", "node-b", 130, 160),
        ]
    ):
        phase = "Running" if end is None else "Succeeded"
        made = pod(f"job-{i}", addr, node, start_time=rfc3339(start), finish_time=rfc3339(end) if end is not None else None)
        topology.pods[made.key] = replace(made, phase=phase)
    topology = replace(topology, captured_at=rfc3339(300))
    tenures = tenures_of([topology])
    compiled = datapath.compile_topology(topology, tenures)
    pods = datapath.texts(compiled.names["pod"])
    enis, nodes = datapath.texts(compiled.names["eni"]), datapath.texts(compiled.names["node"])
    compared = 0
    for moment in range(95, 260, 5):
        then = Explainer(topology_at(topology, tenures, moment))
        for addr in (ADDR, "10.0.6.7", "10.0.40.5", "10.0.5.5"):
            ((row, attribution, number),) = ask(compiled, addr, [(moment, moment)])
            if number > 1:
                continue
            end = then.owners.find("vpc-a", ip_address(addr))
            rows = compiled.rows
            assert Kind(rows.kind[row]) is end.kind, (moment, addr)
            assert (pods[rows.pod[row]] if rows.pod[row] >= 0 else None) == (end.pod.name if end.pod else None), (moment, addr)
            assert enis[rows.eni[row]] == (end.eni.id if end.eni else None)
            assert nodes[rows.node[row]] == (end.node.name if end.node else None)
            assert max(Attribution(rows.attribution[row]), attribution) is end.attribution
            compared += 1
    assert compared > 120


def test_without_tenures_nothing_depends_on_time() -> None:
    topology = zoo.everything()
    assert not has_history(datapath.compile_topology(topology))
    assert not has_history(datapath.compile_topology(topology, tenures_of([topology])))  # the zoo tells no start


def test_free_addresses_of_an_interface_share_their_row() -> None:
    """A snapshot in which every pod has a start does not double."""
    topology = zoo.everything()
    for key, each in topology.pods.items():
        topology.pods[key] = replace(each, start_time=rfc3339(1000))
    for i in range(8):
        each = pod(f"more-{i}", f"10.0.40.{6 + i}", "node-b", start_time=rfc3339(1000))
        topology.pods[each.key] = each
    plain, timed = datapath.compile_topology(topology), datapath.compile_topology(topology, tenures_of([topology]))
    assert has_history(timed)
    # one for each of eni-a0, eni-a1, eni-a2, eni-b0, eni-b1, eni-c0; and subnet-b's for two pods whose address no interface holds
    assert len(timed.rows.kind) - len(plain.rows.kind) == 7


def test_owners_on_different_interfaces_leave_the_way_open() -> None:
    """Both claim the address; only the first one's node holds it."""
    tenures = [Tenure(pod("job-1"), ADDR, 0, 0, 50, 50), Tenure(pod("job-2", node="node-b"), ADDR, 60, 60, END, END)]
    compiled = datapath.compile_topology(zoo.everything(), tenures)
    ((row, attribution, number),) = ask(compiled, ADDR, [(40, 70)])
    assert (attribution, number) == (Attribution.AMBIGUOUS, 2)
    assert compiled.rows.source[row] == datapath.Source.UNDECIDED
    assert compiled.rows.reason[row] == datapath.Reason.REUSED
    assert compiled.rows.node[row] == -1


def test_node_that_once_had_a_pod_may_have_stood_for_it() -> None:
    """Behind source NAT, towards the Internet; a node that never had one stands for itself."""
    topology = zoo.everything()
    for key in [key for key, each in topology.pods.items() if each.node == "node-c"]:
        del topology.pods[key]
    ended = [Tenure(pod("job-1", "10.0.96.31", "node-c"), "10.0.96.31", 100, 100, 145, 145)]
    for tenures, stands in ((ended, True), ([], False)):
        compiled = datapath.compile_topology(topology, tenures)
        ((row, _, _),) = ask(compiled, "10.0.96.30", [(200, 260)])
        assert bool(compiled.rows.row_flags[row] & RowFlag.SNAT_ADDR) is stands


def test_topology_that_is_empty() -> None:
    assert tenures_of([Topology()]) == ()
