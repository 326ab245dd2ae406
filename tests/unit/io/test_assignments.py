"""ipamd's times, from its two files to the snapshot."""

from __future__ import annotations

import json
from pathlib import Path

from fastroute.io.ipamd import assignments_of, read_enis, read_ipam
from fastroute.io.snapshot import read_snapshot
from fastroute.topology import Assignment

KEY = {"networkName": "aws-cni", "containerID": "", "ifName": ""}
NEVER = "0001-01-01T00:00:00Z"


def address(assigned: str, released: str, pod: str = "") -> dict[str, object]:
    metadata = {"k8sPodNamespace": "jobs", "k8sPodName": pod} if pod else {}
    return {"IPAMKey": KEY if pod else {}, "IPAMMetadata": metadata, "AssignedTime": assigned, "UnassignedTime": released}


ENIS = {
    "0": {
        "ENIs": {
            "eni-1": {
                "ID": "eni-1",
                "DeviceNumber": 0,
                "AvailableIPv4Cidrs": {
                    "10.0.0.16/28": {
                        "Cidr": {"IP": "10.0.0.16", "Mask": "////8A=="},
                        "IPAddresses": {
                            "10.0.0.17": address("2026-08-20T10:02:44.123456789Z", "2026-08-20T10:02:31Z", "report-2"),
                            "10.0.0.18": address("2026-08-20T10:00:00Z", "2026-08-20T10:00:51Z"),
                            "10.0.0.19": address(NEVER, NEVER),
                        },
                    }
                },
            }
        }
    }
}
IPAM = {
    "version": "vpc-cni-ipam/1",
    "allocations": [
        {
            "networkName": "aws-cni",
            "ipv4": "10.0.0.17",
            "allocationTimestamp": 1787220164000000000,
            "metadata": {"k8sPodNamespace": "jobs", "k8sPodName": "report-2"},
        },
        {"networkName": "aws-cni", "ipv4": "10.0.0.20", "metadata": {"k8sPodNamespace": "jobs", "k8sPodName": "report-9"}},
    ],
}


def test_times_of_both_files() -> None:
    enis, problems = read_enis(json.dumps(ENIS))
    allocations, more = read_ipam(json.dumps(IPAM))
    assert (problems, more) == ((), ())
    assert assignments_of("node-a", enis, allocations) == (
        Assignment("10.0.0.17", "node-a", "jobs/report-2", 1787220164, 1787220151),
        # given back: whose it was is not told
        Assignment("10.0.0.18", "node-a", "", None, 1787220051),
    )
    assert assignments_of("node-a", enis, ()) == (
        Assignment("10.0.0.17", "node-a", "jobs/report-2", 1787220164, 1787220151),
        Assignment("10.0.0.18", "node-a", "", None, 1787220051),
    )
    assert assignments_of("node-a", (), allocations) == (Assignment("10.0.0.17", "node-a", "jobs/report-2", 1787220164),)


def test_snapshot_reads_them_and_names_what_is_broken(tmp_path: Path) -> None:
    (tmp_path / "aws").mkdir()
    (tmp_path / "aws" / "vpcs.json").write_text('{"Vpcs": []}')
    for node, content in (("node-a", json.dumps(ENIS)), ("node-b", "{")):
        (tmp_path / "nodes" / node).mkdir(parents=True)
        (tmp_path / "nodes" / node / "enis.json").write_text(content)
    (tmp_path / "nodes" / "node-a" / "ipam.json").write_text(json.dumps(IPAM))
    topology = read_snapshot(tmp_path).topology
    assert [each.addr for each in topology.assignments] == ["10.0.0.17", "10.0.0.18"]
    assert [(each.kind, each.subject) for each in topology.findings] == [("bad-ipamd", "nodes/node-b/enis.json")]
