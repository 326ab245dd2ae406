"""Records by the owners of their time, through the router: attribution, columns, account, and the traps of clocks and zones."""

from __future__ import annotations

from dataclasses import replace

import pyarrow as pa
import pytest

from fastroute.datapath import compile_topology
from fastroute.errors import InputError
from fastroute.flows import Account, Router, find_fields
from fastroute.topology import Pod, Topology
from fastroute.topology.tenure import tenures_of
from fastroute.topology.times import rfc3339
from fastroute.vocab import OUTPUT_COLUMNS, Disposition
from tests.zoo import WEB, everything

ALL = [column.name for column in OUTPUT_COLUMNS]
ADDR = "10.0.5.6"


class Nobody:
    def address_of(self, name: str) -> tuple[str, str | None]:
        raise AssertionError(name)


def job(name: str, start: int, end: int | None, **more: object) -> Pod:
    phase, finish = ("Running", None) if end is None else ("Succeeded", rfc3339(end))
    pod = Pod("jobs", name, "node-a", (ADDR,), False, phase, "Job", name, WEB, rfc3339(start), uid=name, finish_time=finish)
    return replace(pod, **more)  # type: ignore[arg-type]


def reused() -> Topology:
    """report-1 held 10.0.5.6 from 1000 to 1045, report-2 from 1075 to 1120, report-3 has it since 1150; web-b always."""
    topology = everything()
    for pod in (job("report-1", 1000, 1045), job("report-2", 1075, 1120), job("report-3", 1150, None)):
        topology.pods[pod.key] = pod
    agent = topology.pods["default/agent-a"]
    topology.pods["default/agent-a"] = replace(agent, start_time=rfc3339(2000), uid="agent-a")
    return replace(topology, captured_at=rfc3339(3000))


@pytest.fixture(scope="module")
def router() -> Router:
    topology = reused()
    return Router(compile_topology(topology, tenures_of([topology])), ALL, Nobody())


def log(starts: list[object], ends: list[object], **columns: object) -> pa.Table:
    n = len(starts)
    base = {"pkt_srcaddr": [ADDR] * n, "pkt_dstaddr": ["10.0.6.6"] * n, "vpc_id": ["vpc-a"] * n, "bytes": [10] * n}
    return pa.table({**base, "start": starts, "end": ends, **columns})


def rows_of(router: Router, table: pa.Table) -> list[dict[str, object]]:
    routed = router.route(table, find_fields(table.column_names))
    return pa.Table.from_arrays(router.columns(routed), ALL).to_pylist()


def account_of(router: Router, table: pa.Table) -> Account:
    return router.route(table, find_fields(table.column_names)).account


def test_one_owner_for_all_of_the_stretch_is_exact_for_part_of_it_inferred_several_are_ambiguous(router: Router) -> None:
    """The stretch of a record is from its start less 60 seconds to its end, both included."""
    times = [(1210, 1250), (1209, 1250), (1181, 1250), (1180, 1250), (1060, 1149), (1180, 1190), (1050, 1150), (900, 930), (1135, 1136)]
    found = rows_of(router, log(*map(list, zip(*times, strict=True))))
    assert [(row["src_k8s_pod"], row["attribution"]) for row in found] == [
        ("report-3", "EXACT"),
        ("report-3", "INFERRED"),
        ("report-3", "INFERRED"),
        (None, "AMBIGUOUS"),
        (None, "AMBIGUOUS"),
        (None, "AMBIGUOUS"),
        (None, "AMBIGUOUS"),
        (None, "INFERRED"),
        ("report-2", "INFERRED"),
    ]
    assert found[7]["src_kind"] == "ENI"
    # what the candidates share is told: where, and by which way
    assert {found[3][name] for name in ("src_kind", "src_k8s_namespace", "src_node", "src_eni", "path_class")} == {
        "POD",
        "jobs",
        "node-a",
        "eni-a0",
        "SAME_NODE",
    }
    assert found[3]["src_k8s_owner"] is None


def test_candidates_and_their_bytes_are_in_the_account_and_doubts_are_told_apart(router: Router) -> None:
    account = account_of(router, log([1180, 1060, 1100, 1300], [1250, 1120, 1200, 1400]))
    two, three = ("jobs/report-2", "jobs/report-3"), ("jobs/report-1", "jobs/report-2", "jobs/report-3")
    assert {pods: sums.tolist() for pods, sums in account.reused.items()} == {
        two: [1, 10, 0],
        ("jobs/report-1", "jobs/report-2"): [1, 10, 0],
        three: [1, 10, 0],
    }
    told = account.to_dict()["ambiguous"]
    assert told["by_doubt"] == {"REUSED": {"records": 3, "bytes": 30, "packets": 0}}
    assert told["reused"][0]["bytes"] == 10
    # a node's address towards the Internet: the node, or a pod behind source NAT; with the port of a host-network pod, that pod
    doubts = account_of(
        router,
        log(
            [5000, 5000],
            [5010, 5010],
            pkt_srcaddr=["10.0.0.10"] * 2,
            pkt_dstaddr=["8.8.8.8"] * 2,
            protocol=[6, 6],
            srcport=[50000, 9100],
            dstport=[443, 443],
            tcp_flags=[2, 2],
        ),
    )
    assert {doubt: sums["records"] for doubt, sums in doubts.to_dict()["ambiguous"]["by_doubt"].items()} == {"SNAT": 1, "HOST_NETWORK": 1}


def test_host_network_pod_is_its_nodes_address_before_its_start(router: Router) -> None:
    n = 3
    table = log(
        [1900, 2030, 2060],
        [1950, 2050, 2070],
        pkt_srcaddr=["10.0.32.10"] * n,
        pkt_dstaddr=["10.0.0.10"] * n,
        protocol=[6] * n,
        srcport=[40000] * n,
        dstport=[9100] * n,
    )
    found = rows_of(router, table)
    assert [(row["dst_kind"], row["dst_k8s_pod"], row["attribution"]) for row in found] == [
        ("NODE", None, "EXACT"),
        ("HOST_POD", "agent-a", "INFERRED"),
        ("HOST_POD", "agent-a", "EXACT"),
    ]


def test_record_without_times_has_the_owner_of_the_snapshot(router: Router) -> None:
    found = rows_of(router, log(pa.array([None, 1100], pa.int64()), pa.array([None, None], pa.int64())))
    assert [(row["src_k8s_pod"], row["attribution"]) for row in found] == [("report-3", "EXACT")] * 2
    bare = log([1100], [1110]).drop_columns(["start"])
    assert rows_of(router, bare)[0]["src_k8s_pod"] == "report-3"


def test_static_snapshot_holds_for_all_time() -> None:
    static = Router(compile_topology(reused()), ALL, Nobody())
    (found,) = rows_of(static, log([100], [110]))
    assert (found["src_k8s_pod"], found["attribution"]) == ("report-3", "EXACT")


def test_interface_addresses_that_stand_in_have_times_too(router: Router) -> None:
    """Of two records the second has no packet addresses."""
    table = log([1210, 1180], [1250, 1250], pkt_srcaddr=[ADDR, None], pkt_dstaddr=["10.0.6.6", None])
    table = table.append_column("srcaddr", pa.array([ADDR, ADDR])).append_column("dstaddr", pa.array(["10.0.6.6"] * 2))
    routed = router.route(table, find_fields(table.column_names))
    assert routed.answers.attribution.tolist() == [0, 2]
    assert list(routed.account.reused) == [("jobs/report-2", "jobs/report-3")]


def test_excluded_records_have_no_owner(router: Router) -> None:
    account = account_of(router, log([1180, 1180], [1250, 1250], log_status=["NODATA", "OK"]))
    assert account.excluded == 1
    assert sum(int(sums[0]) for sums in account.reused.values()) == 1


def test_clock_that_was_set_back_widens_the_stretch(router: Router) -> None:
    """From 1145, five seconds before the pod came, and not from 1190."""
    (found,) = rows_of(router, log([1250], [1205]))
    assert found["attribution"] == "INFERRED"


def test_times_in_other_forms(router: Router) -> None:
    (exact, partly) = rows_of(router, log(pa.array([1210, 1209], pa.timestamp("s", "UTC")), [1250, 1250]))
    assert (exact["attribution"], partly["attribution"]) == ("EXACT", "INFERRED")
    (shifted,) = rows_of(router, log(pa.array([1210_500], pa.timestamp("ms", "America/New_York")), ["1250"]))
    assert shifted["attribution"] == "EXACT"
    with pytest.raises(InputError, match=r"start holds times without a zone; cast it to timestamp\('s', 'UTC'\)"):
        rows_of(router, log(pa.array([1210], pa.timestamp("s")), [1250]))
    with pytest.raises(InputError, match="if it is milliseconds, divide it by 1000"):
        rows_of(router, log([1787220000000], [1787220060000]))


def test_settled_addresses_ask_no_times(router: Router) -> None:
    """After the last change the time columns are not even read: ends that are none are nobody's concern."""
    (found,) = rows_of(router, log([2100], ["soon"]))
    assert (found["src_k8s_pod"], found["attribution"]) == ("report-3", "EXACT")
    assert found["disposition"] == Disposition.DELIVERED.name
