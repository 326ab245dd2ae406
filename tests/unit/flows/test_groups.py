"""Sums in which the time of a record decides: by pairs of rows where its addresses had settled, else through the router."""

from __future__ import annotations

from collections.abc import Collection

import pyarrow as pa
import pytest

from fastroute.datapath import compile_topology
from fastroute.errors import InputError
from fastroute.flows import Aggregation, Router, find_fields
from fastroute.flows.numbering import PairNumbering
from fastroute.topology.tenure import tenures_of
from tests import zoo
from tests.unit.flows.test_times import ADDR, ALL, Nobody, reused

BY = ("src_k8s_pod", "dst_k8s_pod", "attribution", "path_class")
MEASURES = ("bytes", "records")


@pytest.fixture(scope="module")
def router() -> Router:
    topology = reused()
    return Router(compile_topology(topology, tenures_of([topology])), ALL, Nobody())


def log(starts: list[int]) -> pa.Table:
    n = len(starts)
    others = ["10.0.6.6", "10.0.5.5", "8.8.8.8", "10.0.0.10"]
    return pa.table(
        {
            "pkt_srcaddr": [[ADDR, "10.0.6.6"][i % 2] for i in range(n)],
            "pkt_dstaddr": [others[i % 4] for i in range(n)],
            "vpc_id": ["vpc-a"] * n,
            "bytes": [7 * i + 1 for i in range(n)],
            "srcport": [40_000] * n,
            "dstport": [[9100, 443, 53][i % 3] for i in range(n)],
            "protocol": [6] * n,
            "start": starts,
            "end": [start + 30 for start in starts],
        }
    )


Found = tuple[pa.Table, dict[str, object], list[set[str]]]


def sums(router: Router, table: pa.Table, settled_by: int | None, by: tuple[str, ...] = BY) -> Found:
    """The sums, their account, and the names that were read, time after time."""
    aggregation = Aggregation(router, by, table.column_names, MEASURES, full_account=True)
    asked: list[set[str]] = []

    def read(names: Collection[str]) -> pa.Table:
        asked.append(set(names) & set(table.column_names))
        return table.select([name for name in table.column_names if name in names])

    account = aggregation.add(read, find_fields(table.column_names), settled_by=settled_by)
    return aggregation.table(None), account.to_dict(), asked


@pytest.mark.parametrize("starts", [[900, 1010, 1080, 1130, 1160, 1300] * 8, [5000 + i for i in range(48)], [2030 + i for i in range(48)]])
@pytest.mark.parametrize("is_known", [True, False])
def test_time_decides_as_in_the_router(router: Router, monkeypatch: pytest.MonkeyPatch, starts: list[int], is_known: bool) -> None:
    table = log(starts)
    by_pairs = sums(router, table, min(starts) - 60 if is_known else None)
    monkeypatch.setattr(PairNumbering, "can_hold", staticmethod(lambda _num_rows: False))
    by_records = sums(router, table, None)
    assert by_pairs[0].equals(by_records[0])
    assert by_pairs[1] == by_records[1]


def test_columns_are_read_where_they_decide(router: Router) -> None:
    late = log([50_000 + i for i in range(40)])
    asked = sums(router, late.slice(0, 1), 49_940)[2]
    assert asked[0] == {"pkt_srcaddr", "pkt_dstaddr", "vpc_id", "bytes"}
    assert all("start" not in names for names in asked)
    asked = sums(router, log([1080] * 40), 1020)[2]
    assert "start" in asked[-1]


def test_an_error_names_the_record(router: Router) -> None:
    table = log([1080] * 40)
    at = table.column_names.index("protocol")
    table = table.set_column(at, "protocol", pa.array([6] * 20 + [1 << 40] + [6] * 19))
    with pytest.raises(InputError, match=r"row 20: protocol 1099511627776 is beyond 32 bits"):
        sums(router, table, 1020)
    table = log([1080] * 40).set_column(0, "pkt_srcaddr", pa.array(["10.0.6.6"] * 13 + ["here"] + ["10.0.6.6"] * 26))
    with pytest.raises(InputError, match=r"row 13 \(from 0\): pkt_srcaddr 'here' is not an IPv4 or IPv6 address"):
        sums(router, table, 1020)


@pytest.mark.parametrize("by", [("src_k8s_pod",), ("dst_k8s_pod",), ("src_kind", "dst_k8s_pod")])
@pytest.mark.parametrize("ends", [("127.0.0.1", "10.0.0.10"), ("10.0.0.10", "127.0.0.1")])
def test_a_port_by_loopback_may_mean_a_host_network_pod_at_either_end(
    monkeypatch: pytest.MonkeyPatch, by: tuple[str, ...], ends: tuple[str, str]
) -> None:
    """Loopback means the node itself, so the port of its own end decides as well."""
    router = Router(compile_topology(zoo.everything()), ALL, Nobody())
    ports = [(40_000, 9100), (9100, 40_000), (40_000, 443), (9100, 9100)]
    table = pa.table(
        {
            "pkt_srcaddr": [ends[0]] * 8,
            "pkt_dstaddr": [ends[1]] * 8,
            "vpc_id": ["vpc-a"] * 8,
            "bytes": [1 << i for i in range(8)],
            "srcport": [src for src, _ in ports] * 2,
            "dstport": [dst for _, dst in ports] * 2,
            "protocol": [6] * 8,
        }
    )
    by_pairs = sums(router, table, None, by)[0]
    monkeypatch.setattr(PairNumbering, "can_hold", staticmethod(lambda _num_rows: False))
    by_records = sums(router, table, None, by)[0]
    assert by_pairs.equals(by_records)
    assert "agent-a" in {name for column in by_records.columns[: len(by)] for name in column.to_pylist()}
