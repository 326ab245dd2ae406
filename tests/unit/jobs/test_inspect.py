"""`inspect SNAPSHOT` on the hand-made snapshot: counts, used and warm addresses, and JSON."""

import json
from pathlib import Path

import pytest

from fastroute.errors import EndpointError, InputError
from fastroute.jobs.inspect import SnapshotInspection, inspect_snapshot
from fastroute.topology import Port
from fastroute.topology.views import HeldAddress, HeldPrefix
from tests.unit.io.snapshots import EKS, kubectl_list, pod, write_snapshot


@pytest.fixture(scope="module")
def eks() -> SnapshotInspection:
    return inspect_snapshot(EKS)


def test_counts(eks: SnapshotInspection) -> None:
    assert {name: eks.counts[name] for name in ("vpcs", "routes", "interfaces", "nodes", "pods", "pods_of_host_network", "pods_ended")} == {
        "vpcs": 1,
        "routes": 16,
        "interfaces": 12,
        "nodes": 2,
        "pods": 7,
        "pods_of_host_network": 1,
        "pods_ended": 1,
    }


def test_used_and_warm_addresses(eks: SnapshotInspection) -> None:
    first, _ = eks.nodes
    primary, secondary = first.interfaces
    assert (primary.addr, primary.public_addr, primary.az_id) == ("10.0.0.10", "198.51.100.10", "use1-az1")
    # the ended pod names 10.0.5.5 as well, but does not hold it
    assert primary.secondary == (HeldAddress("10.0.5.5", "default/web-7c5d9f8b6-abcde"), HeldAddress("10.0.5.6", None))
    assert (primary.num_used, primary.num_warm) == (1, 1)
    assert secondary.prefixes == (HeldPrefix("10.0.6.0/28", {"10.0.6.6": "default/db-0"}, 15),)
    assert (secondary.num_used, secondary.num_warm) == (1, 15)


def test_pods_of_a_node(eks: SnapshotInspection) -> None:
    first, second = eks.nodes
    assert first.pods == ("default/db-0", "default/web-7c5d9f8b6-abcde")
    assert first.host_pods == ("kube-system/kube-proxy-abcde",)
    assert second.pods == ("default/branch-0", "default/sample-pod")
    assert [each.role for each in second.interfaces] == ["instance", "trunk"]


def test_containers_and_ports_of_a_pod(eks: SnapshotInspection) -> None:
    containers = eks.pod("default/web-7c5d9f8b6-abcde").containers
    assert {each.name: each.ports for each in containers} == {
        "proxy": (Port(15001),),
        "web": (Port(8080, name="http"), Port(9090, name="metrics")),
    }


def test_an_unknown_pod_is_refused_with_the_nearest(eks: SnapshotInspection) -> None:
    with pytest.raises(EndpointError, match="no pod default/db-1; did you mean default/db-0\\?"):
        eks.pod("default/db-1")


def test_faults_are_counted_apart_from_facts(eks: SnapshotInspection, tmp_path: Path) -> None:
    assert [finding.kind for finding in eks.findings] == ["peering-leaves-snapshot"]
    assert eks.num_faults == 0
    broken = inspect_snapshot(write_snapshot(tmp_path, {"pods.json": kubectl_list(pod("x", podIP="10.0.1.300"))}))
    assert broken.num_faults == 1


def test_everything_is_json(eks: SnapshotInspection) -> None:
    content = json.loads(json.dumps(eks.to_dict(pods=True)))
    assert content["captured_at"] == "2026-01-10T09:30:00Z"
    assert content["nodes"][0]["interfaces"][0]["secondary"][0] == {"addr": "10.0.5.5", "pod": "default/web-7c5d9f8b6-abcde"}
    assert content["findings"][0]["is_fault"] is False
    assert len(content["pods"]) == 7
    acls = {"kind": "NetworkAcls", "num_objects": 1, "use": "known, not modelled yet", "note": "packet filters"}
    assert acls in content["report"]["kinds"]
    assert {each["path"] for each in content["report"]["fields_not_understood"]} == {each.path for each in eks.report.fields}
    assert "pods" not in eks.to_dict()


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such folder"):
        inspect_snapshot(tmp_path / "absent")
