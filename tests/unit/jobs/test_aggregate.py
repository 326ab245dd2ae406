"""Sums by group against the same sums over the rows that `route` writes."""

import shutil
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fastroute.api import Snapshot
from fastroute.errors import InputError
from fastroute.flows.legs import Leg
from fastroute.flows.numbering import PairNumbering
from fastroute.io import flowlogs
from fastroute.jobs.aggregate import aggregate_files
from fastroute.jobs.route import route_files
from fastroute.synth import SynthResult
from fastroute.topology import EniRole
from tests.reference.counting import BALANCER, FORWARDER, NAT, Record, is_counted, leg_of


def summed(routed: Path, by: Sequence[str]) -> dict[tuple[object, ...], list[int]]:
    """Records, bytes and packets by key, from the written rows; excluded records left out."""
    sums: dict[tuple[object, ...], list[int]] = defaultdict(lambda: [0, 0, 0])
    for path in routed.glob("AWSLogs/**/*.parquet"):
        for row in pq.read_table(path).to_pylist():
            if row["log_status"] == "OK":
                total = sums[tuple(row[name] for name in by)]
                for i, value in enumerate((1, row["bytes"], row["packets"])):
                    total[i] += value
    return dict(sums)


@pytest.mark.parametrize(
    "by",
    [
        ("src_k8s_namespace", "dst_k8s_namespace", "path_class"),
        ("src_kind", "dst_kind", "form"),
        ("src_k8s_pod", "dst_k8s_pod", "dst_node", "out_eni", "table"),
        ("action", "flow_direction", "protocol"),
        ("path_id",),
        ("rule_priority", "wire_src", "attribution"),
        ("dst_endpoint", "traffic_path"),
    ],
)
def test_sums_are_those_of_the_rows(made: SynthResult, snapshot: Snapshot, routed: Path, by: tuple[str, ...]) -> None:
    found = aggregate_files([made.logs], snapshot, by, measures=("bytes", "records", "packets"), threads=2)
    rows = found.table.to_pylist()
    assert {tuple(row[name] for name in by): [row["records"], row["bytes"], row["packets"]] for row in rows} == summed(routed, by)
    assert [row["bytes"] for row in rows] == sorted((row["bytes"] for row in rows), reverse=True)
    assert found.account.records - found.account.excluded == sum(row["records"] for row in rows)


def test_any_number_of_threads_and_any_chunks_give_the_same_table(
    made: SynthResult, snapshot: Snapshot, monkeypatch: pytest.MonkeyPatch
) -> None:
    by = ("src_k8s_pod", "dstport", "interface_id")
    want = aggregate_files([made.logs], snapshot, by, threads=1).table
    monkeypatch.setattr(flowlogs, "CHUNK_ROWS", 500)
    monkeypatch.setattr(flowlogs, "MAX_CHUNK_ROWS", 900)
    assert aggregate_files([made.logs], snapshot, by, threads=3).table.equals(want)
    assert want.num_rows > 1000


def test_top_and_measures(made: SynthResult, snapshot: Snapshot) -> None:
    everything = aggregate_files([made.logs], snapshot, ["dst_node"], measures=["packets"]).table
    assert everything.column_names == ["dst_node", "packets"]
    assert aggregate_files([made.logs], snapshot, ["dst_node"], measures=["packets"], top=2).table.equals(everything.slice(0, 2))


def test_records_without_packet_addresses_are_read_again(made: SynthResult, snapshot: Snapshot, tmp_path: Path) -> None:
    """The interface addresses are not read unless a record needs them."""
    source = pq.read_table(next(made.logs.glob("**/*.parquet")))
    half = source.num_rows // 2
    for name in ("pkt_srcaddr", "pkt_dstaddr"):
        at = source.column_names.index(name)
        mixed = pa.chunked_array([pa.nulls(half, pa.string()), source[name].slice(half).combine_chunks()])
        source = source.set_column(at, name, mixed)
    pq.write_table(source, tmp_path / "mixed.parquet")
    manifest = route_files(tmp_path / "mixed.parquet", snapshot, tmp_path / "out")
    found = aggregate_files(tmp_path / "mixed.parquet", snapshot, ["attribution"], full_account=True)
    for name in ("ambiguous", "unknown", "attributed"):
        assert found.account.to_dict()[name]["bytes"] == manifest.account[name]["bytes"]
    assert manifest.account["ambiguous"]["records"] > 0


def test_what_cannot_be_grouped(made: SynthResult, snapshot: Snapshot) -> None:
    with pytest.raises(InputError, match=r"no column 'src_pod' to group by, in the output or in the input; the input has version, "):
        aggregate_files([made.logs], snapshot, ["src_pod"])
    with pytest.raises(InputError, match=r"no measure 'octets'; the measures are records, bytes, packets, flows"):
        aggregate_files([made.logs], snapshot, ["src_node"], measures=["octets"])
    with pytest.raises(InputError, match=r"name at least one column"):
        aggregate_files([made.logs], snapshot, [])
    with pytest.raises(InputError, match=r"name at least one measure"):
        aggregate_files([made.logs], snapshot, ["src_node"], measures=[])


def test_questions_are_summed_too(snapshot: Snapshot, tmp_path: Path) -> None:
    pods = [pod.key for pod in snapshot.topology.pods.values() if pod.holds_address][:20]
    pq.write_table(pa.table({"src": pods, "dst": ["8.8.8.8"] * 20, "bytes": range(20)}), tmp_path / "asked.parquet")
    found = aggregate_files(tmp_path / "asked.parquet", snapshot, ["src", "form"])
    assert found.account.bytes == sum(range(20))
    assert set(found.table["src"].to_pylist()) == set(pods)


NAMES_AND_CLASS = ("src_k8s_namespace", "dst_k8s_namespace", "path_class")
EVERY_MEASURE = ("bytes", "records", "packets")


def test_the_account_is_that_of_routing(made: SynthResult, snapshot: Snapshot, tmp_path: Path) -> None:
    manifest = route_files(made.logs, snapshot, tmp_path / "out")
    found = aggregate_files(made.logs, snapshot, NAMES_AND_CLASS, measures=EVERY_MEASURE, full_account=True)
    assert found.account.to_dict() | {"attributed_share": found.account.attributed_share} == manifest.account
    in_bytes = aggregate_files(made.logs, snapshot, ["src_node"], measures=["bytes"], full_account=True).account.to_dict()
    assert in_bytes["unknown"] == manifest.account["unknown"] | {"packets": 0}
    assert aggregate_files(made.logs, snapshot, ["src_node"], measures=EVERY_MEASURE).account.to_dict() == {
        name: manifest.account[name] for name in ("input", "excluded")
    }


@pytest.mark.parametrize(
    "kind", ["as written", "plain texts", "no vpc_id", "two VPCs", "no flags", "some without VPC", "no status", "views"]
)
@pytest.mark.parametrize("full_account", [True, False])
def test_pairs_give_the_sums_of_the_router(
    made: SynthResult, snapshot: Snapshot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, full_account: bool
) -> None:
    """All ways to read a log, by pairs of rows and record by record."""
    tables = [pq.read_table(path, partitioning=None) for path in sorted(made.logs.glob("**/*.parquet"))]
    table = pa.concat_tables(tables) if kind in {"two VPCs", "no vpc_id"} else tables[0]
    if kind == "no vpc_id":
        table = table.drop_columns(["vpc_id"])
    elif kind == "no flags":
        table = table.drop_columns(["tcp_flags", "srcport"])
    elif kind == "some without VPC":
        at = table.column_names.index("vpc_id")
        half = table.num_rows // 2
        table = table.set_column(
            at, "vpc_id", pa.chunked_array([table["vpc_id"].slice(0, half).combine_chunks(), ["-"] * (table.num_rows - half)])
        )
    elif kind == "no status":
        table = table.filter(pa.compute.field("log_status") == "OK").drop_columns(["log_status", "action"])
    path = tmp_path / "log.parquet"
    if kind == "views":
        path = tmp_path / "log.arrow"
        with pa.ipc.new_file(path, table.schema) as sink:
            sink.write_table(table)
    else:
        pq.write_table(table, path, use_dictionary=kind != "plain texts", row_group_size=2_000)
    questions = [
        NAMES_AND_CLASS,
        ("src_k8s_pod", "dst_kind", "opener", "dstport"),
        ("src_az_id", "path_id", "interface_id"),
        ("src_vpc_id",),
        ("form", "disposition"),
        ("out_eni", "wire_src", "table"),
        ("src_attribution", "path_class"),
    ]

    def answers() -> list[object]:
        found = [aggregate_files(path, snapshot, by, measures=EVERY_MEASURE, full_account=full_account, threads=2) for by in questions]
        return [(each.table.to_pylist(), each.account.to_dict()) for each in found]

    by_pairs = answers()
    monkeypatch.setattr(PairNumbering, "can_hold", staticmethod(lambda _num_rows: False))
    assert answers() == by_pairs


def test_pairs_are_forgotten_when_there_is_no_room(made: SynthResult, snapshot: Snapshot, monkeypatch: pytest.MonkeyPatch) -> None:
    want = aggregate_files(made.logs, snapshot, NAMES_AND_CLASS, threads=1).table
    monkeypatch.setattr(flowlogs, "CHUNK_ROWS", 500)
    monkeypatch.setattr(flowlogs, "MAX_CHUNK_ROWS", 900)
    monkeypatch.setattr(PairNumbering, "has_room", lambda self, num_pairs: self.size < 300)
    assert aggregate_files(made.logs, snapshot, NAMES_AND_CLASS, threads=1).table.equals(want)


def test_flows_are_summed_by_their_one_record(made: SynthResult, snapshot: Snapshot, routed: Path) -> None:
    """Against the rule in plain Python over the rows that `route` writes."""
    role_of = {
        EniRole.NAT_GATEWAY: NAT,
        EniRole.LOAD_BALANCER: BALANCER,
        EniRole.VPC_ENDPOINT: FORWARDER,
        EniRole.TRANSIT_GATEWAY: FORWARDER,
    }
    enis = snapshot.topology.enis
    roles = {eni.id: role_of[eni.role] for eni in enis.values() if eni.role in role_of}
    logged = {eni.id for eni in enis.values() if eni.vpc_id in {vpc.id for vpc in made.account.logged_vpcs}}
    want: dict[tuple[object, ...], list[int]] = defaultdict(lambda: [0, 0])
    for path in routed.glob("AWSLogs/**/*.parquet"):
        for row in pq.read_table(path).to_pylist():
            ends = row["interface_id"], row["flow_direction"], row["src_eni"], row["dst_eni"]
            record = Record(*ends, is_rejected=row["action"] == "REJECT", has_packet_addresses=True)
            if row["log_status"] == "OK" and is_counted(record, roles, logged):
                total = want[row["src_k8s_namespace"], leg_of(record, roles), row["action"]]
                total[0] += row["bytes"]
                total[1] += 1
    found = aggregate_files(made.logs, snapshot, ["src_k8s_namespace", "leg", "action"], measures=["bytes", "flows"], count="flows")
    assert {tuple(row.values())[:3]: list(row.values())[3:] for row in found.table.to_pylist()} == dict(want)
    assert {row["leg"] for row in found.table.to_pylist()} <= {leg.name for leg in Leg}
    parts = found.account.to_dict()
    for measure in ("records", "bytes"):
        assert parts["counted"][measure] + parts["duplicates"][measure] + parts["excluded"][measure] == parts["input"][measure]
    assert 0 < parts["duplicates"]["records"] < parts["counted"]["records"]


def test_what_cannot_be_counted(made: SynthResult, snapshot: Snapshot, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="count 'packets'; it is records or flows"):
        aggregate_files(made.logs, snapshot, ["src_node"], count="packets")
    with pytest.raises(InputError, match="the measure 'flows' is that of counting flows"):
        aggregate_files(made.logs, snapshot, ["src_node"], measures=["flows"])
    with pytest.raises(InputError, match="needs the snapshot itself"):
        aggregate_files(made.logs, snapshot.compile(), ["src_node"], count="flows")
    with pytest.raises(InputError, match="no column 'leg'"):
        aggregate_files(made.logs, snapshot, ["leg"])
    pq.write_table(pa.table({"srcaddr": ["10.0.0.1"], "dstaddr": ["10.0.0.2"]}), tmp_path / "bare.parquet")
    with pytest.raises(InputError, match=r"bare\.parquet: no column interface_id"):
        aggregate_files(tmp_path / "bare.parquet", snapshot, ["src_node"], count="flows")


def test_compiled_files_and_time_lines_count_flows_too(made: SynthResult, snapshot: Snapshot, tmp_path: Path) -> None:
    """The newest snapshot's flow logs say what is logged; a compiled file holds none, and the log says it."""
    by = ["src_k8s_namespace", "leg"]

    def counted(chosen: Snapshot, *, static: bool = True) -> pa.Table:
        return aggregate_files(made.logs, chosen, by, measures=["bytes", "flows"], count="flows", static=static).table

    want = counted(snapshot)
    snapshot.save(tmp_path / "snapshot.fastroute")
    assert counted(Snapshot.load(tmp_path / "snapshot.fastroute")).equals(want)
    for name, time in (("earlier", "2020-01-01T00:00:00Z"), ("later", "2020-01-02T00:00:00Z")):
        shutil.copytree(made.snapshot, tmp_path / "line" / name)
        (tmp_path / "line" / name / "captured_at").write_text(time)
    assert counted(Snapshot.load(tmp_path / "line", cache=False)).equals(want)
