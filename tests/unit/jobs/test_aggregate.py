"""Sums by group against the same sums over the rows that `route` writes."""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fastroute.api import Snapshot
from fastroute.errors import InputError
from fastroute.io import flowlogs
from fastroute.jobs.aggregate import aggregate_files
from fastroute.synth import SynthResult


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
    from fastroute.jobs.route import route_files

    source = pq.read_table(next(made.logs.glob("**/*.parquet")))
    half = source.num_rows // 2
    for name in ("pkt_srcaddr", "pkt_dstaddr"):
        at = source.column_names.index(name)
        mixed = pa.chunked_array([pa.nulls(half, pa.string()), source[name].slice(half).combine_chunks()])
        source = source.set_column(at, name, mixed)
    pq.write_table(source, tmp_path / "mixed.parquet")
    manifest = route_files(tmp_path / "mixed.parquet", snapshot, tmp_path / "out")
    found = aggregate_files(tmp_path / "mixed.parquet", snapshot, ["attribution"])
    for name in ("ambiguous", "unknown", "attributed"):
        assert found.account.to_dict()[name]["bytes"] == manifest.account[name]["bytes"]
    assert manifest.account["ambiguous"]["records"] > 0


def test_what_cannot_be_grouped(made: SynthResult, snapshot: Snapshot) -> None:
    with pytest.raises(InputError, match=r"no column 'src_pod' to group by, in the output or in the input; the input has version, "):
        aggregate_files([made.logs], snapshot, ["src_pod"])
    with pytest.raises(InputError, match=r"no measure 'octets'; the measures are records, bytes, packets"):
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
