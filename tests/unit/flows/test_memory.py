"""Recorded flows by pairs of rows against the plain walk of every record: rows, columns of the output, account."""

import random
import threading

import numpy as np
import pyarrow as pa
import pytest

from fastroute.datapath import Compiled, Questions, compile_topology, walk
from fastroute.flows import Router, find_fields, memory
from fastroute.flows.memory import PairMemory
from fastroute.flows.outputs import SOURCES, choose_columns
from fastroute.flows.pairs import PairWalker
from fastroute.topology.tenure import tenures_of
from tests.unit.flows.test_times import ADDR, reused
from tests.walk_compare import flows_of, questions_of
from tests.zoo import everything, interesting_addresses

TOPOLOGY = everything()
CHOICES = [
    choose_columns(None),
    choose_columns(["all"]),
    ("src_k8s_pod", "src_node", "src_az_id", "dst_k8s_pod", "dst_node", "dst_az_id", "path_class"),
    ("src_az_id", "dst_az_id"),
    ("opener",),
    ("rule_priority", "table", "wire_src"),
    ("form", "dst_attribution"),
    (),
]


class Nobody:
    def address_of(self, name: str) -> tuple[str, str | None]:
        raise AssertionError(name)


@pytest.fixture(scope="module")
def compiled() -> Compiled:
    return compile_topology(TOPOLOGY)


def flows(compiled: Compiled, seed: int, n: int) -> Questions:
    """Recorded flows, so few pairs that each comes often; some ends without a row."""
    rng = random.Random(seed)
    chosen = flows_of(TOPOLOGY, rng, n // 12, 4) + flows_of(TOPOLOGY, rng, n // 24, 6)
    once = questions_of(compiled, chosen, "vpc-a")
    at = np.array([rng.randrange(len(chosen)) for _ in range(n)])
    loopback = questions_of(compiled, flows_of(TOPOLOGY, rng, n, 4), "vpc-a")
    columns = [*(column[at] for column in once[:2]), *loopback[2:]]
    for rows in columns[:2]:
        rows[[rng.random() < 0.02 for _ in range(n)]] = -1
    return Questions(*columns)


def copied(questions: Questions) -> Questions:
    return Questions(*(column.copy() for column in questions))


def table_of(seed: int, n: int) -> pa.Table:
    rng = random.Random(seed)
    addresses = [*interesting_addresses(TOPOLOGY, 4), *interesting_addresses(TOPOLOGY, 6)]
    pairs: list[tuple[str | None, str]] = [(rng.choice(addresses), rng.choice(addresses)) for _ in range(n // 8)]
    pairs = [*pairs, ("127.0.0.1", "10.0.0.10"), ("10.0.0.10", "127.0.0.1"), ("10.0.0.10", "10.0.0.10"), (None, "10.0.5.5")]
    some = [rng.choice(pairs) for _ in range(n)]
    traffic = flows_of(TOPOLOGY, rng, n)
    return pa.table(
        {
            "pkt_srcaddr": [src for src, _ in some],
            "pkt_dstaddr": [dst for _, dst in some],
            "srcaddr": ["10.0.0.77"] * n,
            "dstaddr": ["10.0.40.3"] * n,
            "vpc_id": [rng.choice(["vpc-a", "vpc-a", "vpc-b", "-"]) for _ in range(n)],
            "protocol": [flow.protocol for flow in traffic],
            "srcport": [flow.src_port for flow in traffic],
            "dstport": [flow.dst_port for flow in traffic],
            "tcp_flags": [flow.tcp_flags for flow in traffic],
            "bytes": [rng.randrange(10_000) for _ in range(n)],
            "packets": [rng.randrange(10) for _ in range(n)],
            "action": [rng.choice(["ACCEPT", "REJECT"]) for _ in range(n)],
            "log_status": [rng.choice(["OK", "OK", "OK", "NODATA"]) for _ in range(n)],
        }
    )


@pytest.mark.parametrize("columns", CHOICES)
def test_answers_are_those_of_the_walk(compiled: Compiled, columns: tuple[str, ...]) -> None:
    remembered = PairMemory(compiled, columns)
    for seed in (1, 2, 3):
        questions = flows(compiled, seed, 6000)
        want, got = walk(compiled, questions, recorded=True), remembered.walk(copied(questions))
        assert set(want.opener.tolist()) == {0, 1, 2}
        needed = {SOURCES[name].column for name in columns if not SOURCES[name].side} - {""}
        needed = needed if columns else set(want._fields)
        for name in {*needed, "src_row", "dst_row", "src_attribution", "attribution", "path_class", "disposition"}:
            differing = np.flatnonzero(getattr(got, name) != getattr(want, name))
            assert len(getattr(got, name)) == 6000
            assert not len(differing), f"{name}: {[int(column[differing[0]]) for column in questions]}"


@pytest.mark.parametrize("columns", CHOICES)
def test_routed_tables_are_those_of_the_walk(compiled: Compiled, monkeypatch: pytest.MonkeyPatch, columns: tuple[str, ...]) -> None:
    by_pairs = Router(compiled, columns, Nobody())
    monkeypatch.setattr(PairMemory, "can_hold", staticmethod(lambda _compiled: False))
    by_records = Router(compiled, columns, Nobody())
    for seed in (4, 5):
        table = table_of(seed, 6000)
        got, want = (router.route(table, find_fields(table.column_names)) for router in (by_pairs, by_records))
        assert got.account.to_dict() == want.account.to_dict()
        assert got.without_packet_addresses == want.without_packet_addresses > 0
        for name, a, b in zip(columns, by_pairs.columns(got), by_records.columns(want), strict=True):
            assert a.equals(b), name


@pytest.mark.parametrize("starts", [(900, 1010, 1080, 1130, 1160, 1300), (2030, 2040), (5000, 50_000)])
def test_time_decides_of_some_records(monkeypatch: pytest.MonkeyPatch, starts: tuple[int, ...]) -> None:
    """An address of one pod, then of another, in a third of the records, beside others that never changed hands."""
    topology = reused()
    compiled = compile_topology(topology, tenures_of([topology]))
    by_pairs = Router(compiled, choose_columns(["all"]), Nobody())
    monkeypatch.setattr(PairMemory, "can_hold", staticmethod(lambda _compiled: False))
    by_records = Router(compiled, choose_columns(["all"]), Nobody())
    rng = random.Random(6)
    n, others = 3000, ["10.0.6.6", "10.0.5.5", "8.8.8.8", "10.0.0.10", "10.0.40.3"]
    begin = [rng.choice(starts) for _ in range(n)]
    table = pa.table(
        {
            "pkt_srcaddr": [rng.choice([ADDR, *others]) for _ in range(n)],
            "pkt_dstaddr": [rng.choice([ADDR, *others]) for _ in range(n)],
            "vpc_id": ["vpc-a"] * n,
            "bytes": [rng.randrange(1000) for _ in range(n)],
            "srcport": [rng.choice([40_000, 9100, 443]) for _ in range(n)],
            "dstport": [rng.choice([9100, 443, 53, 40_000]) for _ in range(n)],
            "protocol": [rng.choice([6, 17]) for _ in range(n)],
            "start": begin,
            "end": [start + 30 for start in begin],
        }
    )
    got, want = (router.route(table, find_fields(table.column_names)) for router in (by_pairs, by_records))
    assert got.account.to_dict() == want.account.to_dict()
    for name, a, b in zip(SOURCES, by_pairs.columns(got), by_records.columns(want), strict=True):
        assert a.equals(b), name


def test_pairs_that_come_once_are_walked_by_record(compiled: Compiled, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object) -> None:
        raise AssertionError("walked pairs")

    monkeypatch.setattr(PairWalker, "walk", never)
    n = len(compiled.rows.kind)
    rows = np.arange(n, dtype=np.int32)
    absent = np.full(n, -1, np.int32)
    questions = Questions(rows, rows[::-1].copy(), absent, absent, absent, absent)
    got = PairMemory(compiled, ("path_id",)).walk(copied(questions))
    assert got.path_id.tolist() == walk(compiled, questions, recorded=True).path_id.tolist()


def test_threads_share_it_and_large_memories_go(compiled: Compiled, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "MOST_PAIRS", 300)
    remembered = PairMemory(compiled, ("path_id",))
    found: dict[int, bool] = {}

    def run(seed: int) -> None:
        questions = flows(compiled, seed, 3000)
        want = walk(compiled, questions, recorded=True)
        found[seed] = all(np.array_equal(remembered.walk(copied(questions)).path_id, want.path_id) for _ in range(4))

    threads = [threading.Thread(target=run, args=(seed,)) for seed in (11, 12, 13)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {11: True, 12: True, 13: True}
