"""The kinds of records that AWS documents, each with its meaning, on the snapshot with two nodes."""

from pathlib import Path, PurePosixPath
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fastroute.api import Snapshot
from fastroute.flows.fields import field_name
from fastroute.io.discover import InputFile
from fastroute.io.flowlogs import open_flows
from fastroute.io.manifest import Manifest
from fastroute.jobs.inspect_logs import inspect_logs
from fastroute.jobs.route import route_files
from tests.unit.io.snapshots import EKS

LOGS = EKS.parent.parent / "flow-logs"
FIRST_NODE, SECOND_NODE = "ip-10-0-0-10.ec2.internal", "ip-10-0-32-10.ec2.internal"
NAT_ENI = "eni-0a1b2c3d4e5f60006"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Manifest, Path]:
    out = tmp_path_factory.mktemp("kinds") / "out"
    return route_files([LOGS], Snapshot.load(EKS), out, columns=["all"], threads=1), out


def records(run: tuple[Manifest, Path], kind: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pq.read_table(run[1] / f"{kind}.log.parquet").to_pylist()
    return rows


def account(run: tuple[Manifest, Path], kind: str) -> dict[str, Any]:
    (entry,) = (entry for entry in run[0].files if entry.output == f"{kind}.log.parquet")
    return entry.account


def ends(row: dict[str, Any]) -> tuple[str, str]:
    return row["src_kind"], row["dst_kind"]


def test_only_the_read_me_is_left_out(run: tuple[Manifest, Path]) -> None:
    assert [Path(path).name for path in run[0].ignored] == ["README.md"]
    assert len(run[0].files) == 8


def test_accept_and_reject(run: tuple[Manifest, Path]) -> None:
    """A connection that a security group lets in, and one that it refuses: both have a path, the refused one is counted apart."""
    accepted, rejected = records(run, "accept-reject")
    assert (accepted["action"], rejected["action"]) == ("ACCEPT", "REJECT")
    for row in (accepted, rejected):
        assert ends(row) == ("INTERNET", "NODE")
        assert (row["dst_node"], row["form"]) == (FIRST_NODE, "INGRESS")
    told = account(run, "accept-reject")
    assert (told["input"]["records"], told["rejected"]) == (2, {"records": 1, "bytes": 40, "packets": 1})


def test_nodata_and_skipdata(run: tuple[Manifest, Path]) -> None:
    """No traffic in the window, and records that AWS lost: neither is a flow; the columns stay null, the account counts them."""
    nodata, skipdata, flow = records(run, "nodata-skipdata")
    for row, status in ((nodata, "NODATA"), (skipdata, "SKIPDATA")):
        assert row["log-status"] == status
        assert (row["srcaddr"], row["srcport"], row["bytes"], row["action"]) == (None, None, None, None)
        assert (row["start"], row["end"]) == (1768041000, 1768041060)
        assert {row[name] for name in ("src_kind", "form", "path_class", "disposition", "attribution", "path_id")} == {None}
    assert flow["dst_k8s_pod"] == "sample-pod"
    told = account(run, "nodata-skipdata")
    assert (told["input"]["records"], told["excluded"]["records"], told["input"]["bytes"]) == (3, 2, 420)
    seen = inspect_logs([LOGS / "nodata-skipdata.log"])
    assert dict(seen.seen.statuses) == {"absent": 0, "OK": 1, "NODATA": 1, "SKIPDATA": 1, "other": 0}
    assert seen.forms[0].fields_told_by == "default"


def test_icmp(run: tuple[Manifest, Path]) -> None:
    """A ping that is let in, its answer refused by a stateless network list: no ports, so nothing tells who opened."""
    request, answer = records(run, "icmp")
    assert (request["protocol"], request["srcport"], request["dstport"]) == (1, 0, 0)
    assert (ends(request), ends(answer)) == (("INTERNET", "NODE"), ("NODE", "INTERNET"))
    assert (request["opener"], answer["opener"]) == ("UNKNOWN", "UNKNOWN")
    assert (answer["action"], account(run, "icmp")["rejected"]["records"]) == ("REJECT", 1)


def test_ipv6(run: tuple[Manifest, Path]) -> None:
    """An address of the subnet's IPv6 block that nobody in the snapshot has, towards the Internet."""
    (row,) = records(run, "ipv6")
    assert row["type"] == "IPv6"
    assert ends(row) == ("SUBNET", "INTERNET")
    assert row["src_subnet_id"] == "subnet-0a1b2c3d4e5f6000a"


def test_tcp_flags(run: tuple[Manifest, Path]) -> None:
    """Flags are those of a window, ORed: SYN opens, SYN-ACK answers, plain data show 0 and FIN closes; in a short connection all at once.

    So whoever sent 2 or 3 opened, whoever sent 18 or 19 was opened to; for 0 and 1 the declared port, here 5432 of a Service, says it.
    """
    rows = records(run, "tcp-flags")
    assert [row["tcp-flags"] for row in rows] == [2, 18, 0, 1, 3, 19]
    assert [row["opener"] for row in rows] == ["SRC", "DST", "SRC", "SRC", "SRC", "DST"]
    assert {row["attribution"] for row in rows} == {"EXACT"}
    assert {(row["src_k8s_pod"], row["dst_k8s_pod"]) for row in rows} == {("sample-pod", "db-0"), ("db-0", "sample-pod")}


def test_nat_gateway(run: tuple[Manifest, Path]) -> None:
    """Four records of a NAT gateway's interface for one connection: the packet addresses name the ends that the interface's do not.

    Towards the gateway the packet is the node's, from there on the gateway's own; back the other way about.
    """
    there, onwards, back, home = records(run, "nat-gateway")
    assert (there["dstaddr"], there["pkt-dstaddr"]) == ("10.0.0.20", "203.0.113.5")
    assert (home["srcaddr"], home["pkt-srcaddr"]) == ("10.0.0.20", "203.0.113.5")
    assert [ends(row) for row in (there, onwards, back, home)] == [
        ("NODE", "INTERNET"),
        ("ENI", "INTERNET"),
        ("INTERNET", "ENI"),
        ("INTERNET", "NODE"),
    ]
    assert (there["src_node"], home["dst_node"]) == (SECOND_NODE, SECOND_NODE)
    assert (onwards["src_eni"], back["dst_eni"]) == (NAT_ENI, NAT_ENI)
    assert {row["instance-id"] for row in (there, onwards, back, home)} == {None}


def test_service_name_traffic_path_and_direction(run: tuple[Manifest, Path]) -> None:
    """One flow is recorded where it leaves (with its path: 1, inside the VPC) and where it enters (without); S3 has its service's name."""
    leaves, enters, s3 = records(run, "traffic-path")
    for row in (leaves, enters):
        assert (row["src_k8s_pod"], row["dst_k8s_pod"], row["path_class"]) == ("db-0", "sample-pod", "INTER_AZ")
        assert (row["out_eni"], row["in_eni"]) == ("eni-0a1b2c3d4e5f60002", "eni-0a1b2c3d4e5f60003")
    assert [row["flow-direction"] for row in (leaves, enters, s3)] == ["egress", "ingress", "egress"]
    assert [row["traffic-path"] for row in (leaves, enters, s3)] == [1, None, 8]
    # Where the log says 8 (Internet gateway), the snapshot's route table has a gateway endpoint for S3: the column is computed, not copied.
    assert (s3["pkt-dst-aws-service"], s3["dst_kind"], s3["path_class"]) == ("S3", "AWS_SERVICE", "VPC_ENDPOINT")


def test_transit_gateway(run: tuple[Manifest, Path]) -> None:
    """A transit gateway writes the packet's own addresses, so pods are known by them; it has no action, and counts the packets it lost."""
    out, back, idle = records(run, "transit-gateway")
    assert (ends(out), ends(back)) == (("POD", "ON_PREM"), ("ON_PREM", "NODE"))
    assert (out["src_k8s_pod"], out["attribution"], out["opener"]) == ("db-0", "EXACT", "DST")
    assert (back["dst_node"], back["opener"], back["packets-lost-mtu-exceeded"]) == (SECOND_NODE, "SRC", 4)
    assert (idle["log-status"], idle["src_kind"]) == ("NODATA", None)
    told = account(run, "transit-gateway")
    assert (told["excluded"]["records"], told["rejected"]["records"]) == (1, 0)
    assert inspect_logs([LOGS / "transit-gateway.log"]).kind == "Transit Gateway flow logs"


def test_the_same_records_in_parquet(run: tuple[Manifest, Path], tmp_path: Path) -> None:
    """As AWS writes them to Parquet: names with underscores. The answers are those of the text, whichever way they are written."""
    (tmp_path / "logs").mkdir()
    for path in LOGS.glob("*.log"):
        flows = open_flows(InputFile(path, PurePosixPath(path.name)))
        table = pa.concat_tables([flows.read(chunk) for chunk in flows.chunks]).cast(flows.schema)
        pq.write_table(table.rename_columns([field_name(name) for name in table.column_names]), tmp_path / "logs" / f"{path.stem}.parquet")
    manifest = route_files([tmp_path / "logs"], Snapshot.load(EKS), tmp_path / "out", columns=["all"], threads=1)
    assert manifest.account == run[0].account
    for path in LOGS.glob("*.log"):
        text, parquet = pq.read_table(run[1] / f"{path.name}.parquet"), pq.read_table(tmp_path / "out" / f"{path.stem}.parquet")
        assert text.rename_columns(parquet.column_names).equals(parquet)
