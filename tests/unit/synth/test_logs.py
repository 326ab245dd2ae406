"""The log files: names, columns and types as AWS writes them, and what one conversation leaves in them."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fastroute.synth import SynthResult, generate

DEFAULT_FORMAT = [
    *("version", "account_id", "interface_id", "srcaddr", "dstaddr", "srcport", "dstport", "protocol"),
    *("packets", "bytes", "start", "end", "action", "log_status"),
]
MORE = [
    *("vpc_id", "subnet_id", "instance_id", "tcp_flags", "type", "pkt_srcaddr", "pkt_dstaddr"),
    *("region", "az_id", "sublocation_type", "sublocation_id"),
    *("pkt_src_aws_service", "pkt_dst_aws_service", "flow_direction", "traffic_path"),
]
LONGS = {"packets", "bytes", "start", "end"}
INTS = {"version", "srcport", "dstport", "protocol", "tcp_flags", "traffic_path"}
NAME = re.compile(r"111122223333_vpcflowlogs_us-east-1_fl-0[0-9a-f]{16}_\d{8}T\d{4}Z_[0-9a-f]{8}\.log\.parquet")


def logs_of(made: SynthResult) -> list[Path]:
    return sorted(made.logs.rglob("*.parquet"))


@pytest.fixture(scope="module")
def rows(made: SynthResult) -> list[dict[str, Any]]:
    return [row for path in logs_of(made) for row in pq.ParquetFile(path).read().to_pylist()]


def test_names_and_folders_are_those_of_aws(made: SynthResult) -> None:
    for path in logs_of(made):
        parts = path.relative_to(made.logs).parts
        assert parts[:4] == ("AWSLogs", "aws-account-id=111122223333", "aws-service=vpcflowlogs", "aws-region=us-east-1")
        assert re.fullmatch(r"year=2026/month=08/day=20/hour=\d\d", "/".join(parts[4:-1]))
        assert NAME.fullmatch(parts[-1])
        assert parts[-1].split("_")[4][9:11] == parts[-2].removeprefix("hour=")
    assert len(logs_of(made)) >= 2


def test_columns_and_types_are_those_of_aws(made: SynthResult) -> None:
    names = DEFAULT_FORMAT if made.folder.name == "default-format" else DEFAULT_FORMAT + MORE
    for path in logs_of(made):
        file = pq.ParquetFile(path)
        assert file.schema_arrow.names == names
        for field in file.schema_arrow:
            expected = pa.int64() if field.name in LONGS else pa.int32() if field.name in INTS else pa.string()
            assert field.type == expected, field
        assert {file.metadata.row_group(0).column(i).compression for i in range(len(names))} == {"GZIP"}
        assert b"ARROW:schema" not in (file.metadata.metadata or {})


def test_quiet_rows_name_only_interface_and_window(made: SynthResult, rows: list[dict[str, Any]]) -> None:
    quiet = [row for row in rows if row["log_status"] != "OK"]
    assert quiet
    for row in quiet:
        filled = {"version", "account_id", "interface_id", "start", "end", "log_status"}
        assert all(row[name] in (None, "-") for name in row if name not in filled), row
        assert all(row[name] is None for name in row if name in (LONGS | INTS) - filled)
        assert row["end"] - row["start"] == 60
        assert row["interface_id"].startswith("eni-")


def test_truth_of_quiet_rows_is_empty_and_certain(made: SynthResult) -> None:
    for path in logs_of(made):
        truth = pq.ParquetFile(made.truth / path.relative_to(made.logs).with_name(path.name + ".truth.parquet")).read().to_pylist()
        status = pq.ParquetFile(path).read(["log_status"])["log_status"].to_pylist()
        for known, word in zip(truth, status, strict=True):
            if word != "OK":
                assert known.pop("decidable") is True
                assert set(known.values()) == {None}


def test_windows_lie_in_the_files_hour(made: SynthResult) -> None:
    for path in logs_of(made):
        table = pq.ParquetFile(path).read(["start", "end"])
        starts, ends = table["start"].to_pylist(), table["end"].to_pylist()
        hour = int(path.parent.name.removeprefix("hour="))
        midnight = 1787184000  # 2026-08-20T00:00:00Z
        assert min(starts) >= midnight + 3600 * hour
        assert max(ends) < midnight + 3600 * (hour + 1)
        assert all(0 < end - start <= 60 for start, end in zip(starts, ends, strict=True))


def test_a_record_is_of_its_interface(made: SynthResult, rows: list[dict[str, Any]]) -> None:
    enis = {eni.id: eni for eni in made.account.enis}
    for row in rows:
        if row["log_status"] == "OK" and "vpc_id" in row:
            eni = enis[row["interface_id"]]
            instance = eni.instance.id if eni.instance else "-"
            expected = (eni.vpc.id, eni.subnet.id, eni.subnet.zone.az_id, instance)
            assert (row["vpc_id"], row["subnet_id"], row["az_id"], row["instance_id"]) == expected
            assert (row["traffic_path"] is None) == (row["flow_direction"] == "ingress")


def test_conversations_have_both_directions_and_both_interfaces(made: SynthResult, rows: list[dict[str, Any]]) -> None:
    if made.folder.name == "default-format":
        pytest.skip("without packet addresses the two records of a packet cannot be joined")
    pods = {pod.addr: pod for pod in made.account.pods if pod.eni}
    by_text = {".".join(str(addr >> shift & 255) for shift in (24, 16, 8, 0)): pod for addr, pod in pods.items()}
    conversations: dict[tuple[Any, ...], Counter[tuple[str, str]]] = defaultdict(Counter)
    for row in rows:
        ends = (row["pkt_srcaddr"], row["srcport"]), (row["pkt_dstaddr"], row["dstport"])
        if row["protocol"] == 6 and row["pkt_srcaddr"] in by_text and row["pkt_dstaddr"] in by_text:
            assert by_text[row["pkt_srcaddr"]].node is not by_text[row["pkt_dstaddr"]].node
            conversations[tuple(sorted(ends))][row["interface_id"], row["flow_direction"]] += 1
    whole = [counts for counts in conversations.values() if len(counts) == 4]
    cut = [counts for counts in conversations.values() if len(counts) not in (2, 4)]
    assert len(whole) > 300
    # at most the last conversation of each file is cut; a refused one has two records
    assert len(cut) <= len(logs_of(made))


def test_the_two_records_of_a_packet_agree(made: SynthResult, rows: list[dict[str, Any]]) -> None:
    if made.folder.name == "default-format":
        pytest.skip("without packet addresses the two records of a packet cannot be joined")
    seen: dict[tuple[Any, ...], list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        if row["log_status"] == "OK" and row["protocol"] != 1:
            seen[row["pkt_srcaddr"], row["pkt_dstaddr"], row["srcport"], row["dstport"], row["protocol"]].append(row)
    # two conversations may by chance have the same ports; then one interface writes twice
    pairs = [pair for pair in seen.values() if len(pair) == 2 and len({row["interface_id"] for row in pair}) == 2]
    assert len(pairs) > 1000
    for one, other in pairs:
        assert (one["packets"], one["bytes"], one["tcp_flags"]) == (other["packets"], other["bytes"], other["tcp_flags"])
        assert abs(one["start"] - other["start"]) < 4
        assert {one["flow_direction"], other["flow_direction"]} == {"ingress", "egress"}


def test_what_aws_does_not_log_is_absent(made: SynthResult, rows: list[dict[str, Any]]) -> None:
    fields = [name for name in ("srcaddr", "dstaddr", "pkt_srcaddr", "pkt_dstaddr") if name in rows[0]]
    addresses = {row[name] for row in rows for name in fields}
    assert not any(addr.startswith(("169.254.", "127.", "172.20.")) for addr in addresses)
    resolvers = {".".join(str(each.base + 2 >> shift & 255) for shift in (24, 16, 8, 0)) for each in made.account.network.vpc.blocks}
    assert not addresses & resolvers


def test_refusals_are_few_and_show_one_syn(made: SynthResult, rows: list[dict[str, Any]]) -> None:
    refused = [row for row in rows if row["action"] == "REJECT"]
    assert 0 < len(refused) < len(rows) / 20
    for row in refused:
        assert row.get("tcp_flags", 2) == 2
        assert (row["packets"], row["bytes"]) == (1, 60)
        assert row.get("flow_direction", "ingress") == "ingress"


def test_traffic_is_skewed_and_mixed(made: SynthResult, rows: list[dict[str, Any]]) -> None:
    ok = [row for row in rows if row["log_status"] == "OK"]
    assert {row["protocol"] for row in ok} == {1, 6, 17}
    pairs = Counter(frozenset((row["srcaddr"], row["dstaddr"])) for row in ok)
    busiest = sum(count for _, count in pairs.most_common(len(pairs) // 10))
    assert busiest > len(ok) / 4


def test_the_peered_vpc_has_files_of_its_own(made: SynthResult) -> None:
    if made.folder.name == "default-format":
        pytest.skip("the default format names no VPC")
    vpcs = [{row["vpc_id"] for row in pq.ParquetFile(path).read(["vpc_id"]).to_pylist()} - {"-"} for path in logs_of(made)]
    assert all(len(each) == 1 for each in vpcs)
    assert set().union(*vpcs) == {vpc.id for vpc in made.account.logged_vpcs}


def test_many_files_step_by_five_minutes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fastroute.synth.traffic.RECORDS_PER_FILE", 100)
    made = generate(tmp_path / "out", nodes=2, pods=20, records=3000)
    stamps = sorted({path.name.split("_")[4] for path in logs_of(made)})
    assert stamps[:3] == ["20260820T0000Z", "20260820T0005Z", "20260820T0010Z"]
    assert len(stamps) == 30
    lengths = sum(pq.ParquetFile(path).metadata.num_rows for path in logs_of(made))
    assert lengths == 3000


def test_traffic_of_reused_addresses_comes_only_when_asked(tmp_path: Path) -> None:
    plain = generate(tmp_path / "plain", nodes=6, pods=90, records=4000)
    reused = generate(tmp_path / "reused", nodes=6, pods=90, records=4000, reused_addresses=True)

    def former(made: SynthResult) -> set[str]:
        taken = {pod.addr for pod in made.account.pods}
        names = {pod.name for pod in made.account.ended if pod.addr in taken}
        tables = [pq.ParquetFile(path).read(["src_k8s_pod", "decidable"]).to_pylist() for path in made.truth.rglob("*.parquet")]
        found = [row for rows in tables for row in rows if row["src_k8s_pod"] in names]
        assert not any(row["decidable"] for row in found)
        return {row["src_k8s_pod"] for row in found}

    assert former(plain) == set()
    assert former(reused)
