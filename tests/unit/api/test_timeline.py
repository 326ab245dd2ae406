"""Snapshots on a time line: each record by the topology of its time, and each address whose it was between two of them."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest

import fastroute
from fastroute.api import Engine, Snapshot
from fastroute.api.timeline import Timeline
from fastroute.datapath import PathDecoder
from fastroute.errors import InputError, SnapshotError
from fastroute.synth import generate
from fastroute.topology import Pod, TargetKind, Topology, VpcRoute
from fastroute.topology.times import rfc3339
from tests.zoo import WEB, everything

ADDR = "10.0.5.6"


def job(name: str, start: int | None, addr: str = ADDR, node: str = "node-a", phase: str = "Running", finish: int | None = None) -> Pod:
    times = (rfc3339(each) if each is not None else None for each in (start, finish))
    start_time, finish_time = times
    return Pod("jobs", name, node, (addr,), False, phase, "Job", name, WEB, start_time, uid=name, finish_time=finish_time)


def at(time: int, *pods: Pod, without: tuple[str, ...] = ()) -> Topology:
    topology = everything()
    for pod in pods:
        topology.pods[pod.key] = pod
    for name in without:
        del topology.enis[name]
    return replace(topology, captured_at=rfc3339(time))


def timeline(*topologies: Topology) -> Timeline:
    return Timeline([Snapshot(each) for each in topologies])


def routed(engine: Engine, starts: list[int | None], src: str = ADDR, dst: str = "10.0.6.6", **columns: object) -> list[dict[str, object]]:
    n = len(starts)
    ends = [None if start is None else start + 20 for start in starts]
    base = {"pkt_srcaddr": [src] * n, "pkt_dstaddr": [dst] * n, "vpc_id": ["vpc-a"] * n, "start": starts, "end": ends}
    found: list[dict[str, object]] = engine.route(pa.table({**base, **columns}), columns=["all"]).read_all().to_pylist()
    return found


def owners(engine: Engine, starts: list[int | None], **more: str) -> list[tuple[object, object]]:
    return [(row["src_k8s_pod"], row["attribution"]) for row in routed(engine, starts, **more)]


def test_owner_of_two_consecutive_snapshots_is_the_owner_between_them() -> None:
    engine = timeline(at(1000, job("a", None)), at(5000, job("a", None)), at(9000)).compile()
    assert owners(engine, [500, 3000, 4990, 5070]) == [("a", "EXACT"), ("a", "EXACT"), ("a", "INFERRED"), ("a", "INFERRED")]


def test_owner_seen_in_one_snapshot_is_inferred_between_them() -> None:
    engine = timeline(at(1000, job("a", 400)), at(5000, job("b", 3000)), at(9000)).compile()
    assert owners(engine, [500, 1100, 2900, 2990, 3050, 3100, 4970, 7000, 9100]) == [
        ("a", "EXACT"),
        ("a", "INFERRED"),
        ("a", "INFERRED"),
        (None, "AMBIGUOUS"),
        (None, "AMBIGUOUS"),
        ("b", "EXACT"),
        ("b", "EXACT"),
        ("b", "INFERRED"),
        (None, "INFERRED"),
    ]


def test_interface_seen_in_one_snapshot_is_inferred_between_them() -> None:
    """eni-nat came between the first and the second, eni-fw went between the second and the third."""
    engine = timeline(at(1000, without=("eni-nat",)), at(5000), at(9000, without=("eni-fw",))).compile()
    rows = [routed(engine, [3000, 6000, 9500], src=addr, dst="10.0.6.6") for addr in ("10.0.96.20", "10.0.96.40", "10.0.96.50")]
    assert [[(row["src_eni"], row["attribution"]) for row in found] for found in rows] == [
        [("eni-nat", "INFERRED"), ("eni-nat", "EXACT"), ("eni-nat", "EXACT")],
        [("eni-fw", "EXACT"), ("eni-fw", "INFERRED"), (None, "EXACT")],
        [("eni-lb", "EXACT")] * 3,
    ]


def test_each_record_goes_by_the_topology_of_its_time() -> None:
    """From 5000 on the private table's route to the peer is dead; a record without a time goes by the newest."""
    before, after = at(1000), at(5000)
    table = after.route_tables["rtb-priv"]
    routes = tuple(route for route in table.routes if route.target != "pcx-b")
    after.route_tables["rtb-priv"] = replace(
        table, routes=(*routes, VpcRoute("10.1.0.0/16", TargetKind.PEERING, "pcx-b", is_blackhole=True))
    )
    engine = timeline(before, after).compile()
    # an older snapshot's routes tell the line from another one of the same times, so that no run goes on with the wrong one
    contents = {
        timeline(*each).compile().describe()["content"]
        for each in ((before, after), (before, after), (replace(after, captured_at=before.captured_at), after))
    }
    assert len(contents) == 2
    rows = routed(engine, [4000, 6000, 4999, 5000, None, 200], src="10.0.5.5", dst="10.1.0.9")
    assert [row["disposition"] for row in rows] == [
        "DELIVERED",
        "BLACKHOLE",
        "DELIVERED",
        "BLACKHOLE",
        "BLACKHOLE",
        "DELIVERED",
    ]
    assert [row["dst_eni"] for row in rows] == ["eni-x"] * 6
    # the numbers of paths are different ones, and one set of tables decodes them
    assert rows[0]["path_id"] != rows[1]["path_id"]
    decoder = PathDecoder(engine.path_tables())
    decoded = [decoder.hops(row["path_id"]) for row in rows]
    alone = [PathDecoder(Snapshot(each).compile(static=True).compiled) for each in (before, after)]
    for number, (row, hops) in zip([0, 1, 0, 1, 1, 0], zip(rows, decoded, strict=True), strict=True):
        one = Snapshot((before, after)[number]).compile(static=True)
        (same,) = routed(one, [None], src="10.0.5.5", dst="10.1.0.9")
        assert hops == alone[number].hops(same["path_id"])
        assert {key: row[key] for key in same if key not in ("start", "end", "path_id")} == {
            key: same[key] for key in same if key not in ("start", "end", "path_id")
        }


def test_batches_of_several_times_are_their_records_one_by_one() -> None:
    engine = timeline(at(1000, job("a", 400)), at(5000, job("b", 3000), job("c", 4000, "10.0.6.7")), at(9000, job("d", 5500))).compile()
    starts = [9500, 500, None, 5030, 4999, 7000, 1000, 3050]
    together = routed(engine, starts, bytes=list(range(8)))
    assert together == [routed(engine, [start], bytes=[i])[0] for i, start in enumerate(starts)]


def test_questions_are_about_the_newest() -> None:
    engine = timeline(at(1000, job("a", 400)), at(5000, job("b", 3000))).compile()
    found = engine.pairs([ADDR, "jobs/b"], ["10.0.6.6"]).read_all().to_pylist()
    assert [row["src_k8s_pod"] for row in found] == ["b", "b"]
    static = timeline(at(1000, job("a", 400)), at(5000, job("b", 3000))).compile(static=True)
    assert owners(static, [100, 4990, 5000]) == [("a", "EXACT"), ("a", "EXACT"), ("b", "EXACT")]


def test_times_that_cannot_be_a_line_are_refused() -> None:
    with pytest.raises(InputError, match="leave one out"):
        timeline(at(1000), at(1000))
    with pytest.raises(InputError, match="a time line needs a snapshot"):
        Timeline([])
    with pytest.raises(InputError, match="its time is not known"):
        Timeline([Snapshot(everything())])
    with pytest.raises(SnapshotError, match="compile each"):
        timeline(at(1000), at(2000)).save("out")


def test_whois_and_trace_at_a_moment() -> None:
    line = timeline(at(1000, job("a", 400)), at(5000, job("b", 3000)), at(9000))
    found = {moment: line.whois(ADDR, at=moment) for moment in (500, 2000, 4000, "1970-01-01T02:30:00Z", 9500)}
    assert [each.found["k8s_pod"] for each in found.values()] == ["a", "a", "b", "b", None]
    assert [each.note for each in found.values()] == [
        "",
        "jobs/a was not seen at that time, but before or after",
        "",
        "jobs/b was not seen at that time, but before or after",
        "held by an interface of the node, by no pod now",
    ]
    assert [(each["pod"], each["since"], each["last"]) for each in found[500].history] == [
        ("jobs/a", rfc3339(400), rfc3339(3000)),
        ("jobs/b", rfc3339(3000), rfc3339(9000)),
    ]
    assert line.whois(ADDR).found["k8s_pod"] is None
    assert line.compile().trace("jobs/b", "default/web-b:8080", at=4000).src.pod == line.snapshots[1].topology.pods["jobs/b"]
    with pytest.raises(InputError, match="names no time zone"):
        line.whois(ADDR, at="2026-08-20T10:00:00")


def test_folder_of_snapshots_is_a_time_line(tmp_path: Path) -> None:
    made = generate(tmp_path / "made", nodes=3, pods=30, records=200)
    days = tmp_path / "days"
    for name, time in (("tuesday", "2026-08-21T06:00:00Z"), ("monday", "2026-08-20T06:00:00+02:00")):
        shutil.copytree(made.snapshot, days / name)
        (days / name / "captured_at").write_text(time)
    loaded = fastroute.load(days, cache=False)
    assert isinstance(loaded, Timeline)
    assert [each.path.name for each in loaded.snapshots if each.path] == ["monday", "tuesday"]
    assert loaded.compile().describe()["snapshots"] == ["2026-08-20T06:00:00+02:00", "2026-08-21T06:00:00Z"]
    manifest = fastroute.route_files(made.logs, loaded, tmp_path / "out")
    lone = fastroute.route_files(made.logs, Snapshot.load(made.snapshot, cache=False), tmp_path / "lone")
    assert manifest.account == lone.account
    (days / "monday" / "captured_at").write_text("2026-08-20T06:00:00")
    with pytest.raises(InputError, match=r"monday/captured_at: '2026-08-20T06:00:00' is no time with a zone"):
        fastroute.load(days)
    (days / "monday" / "captured_at").unlink()
    with pytest.raises(InputError, match=r"no such file; on a time line each snapshot has its own"):
        fastroute.load(days)
