"""kubectl output to nouns. Expected values are those written into the fixture, or Kubernetes' documented meaning of a field."""

from pathlib import Path
from typing import Any

import pytest

from fastroute.errors import InputError
from fastroute.io.parse_report import Use
from fastroute.io.snapshot import SnapshotRead, read_snapshot
from fastroute.topology import Container, Port, ServicePort, SliceEndpoint
from tests.unit.io.snapshots import EKS, kubectl_list, pod, write_snapshot

NODE_1, NODE_2 = "ip-10-0-0-10.ec2.internal", "ip-10-0-32-10.ec2.internal"


@pytest.fixture(scope="module")
def eks() -> SnapshotRead:
    return read_snapshot(EKS)


def read_one(folder: Path, content: Any) -> SnapshotRead:
    return read_snapshot(write_snapshot(folder, {"objects.json": content}))


def test_pod_of_a_deployment(eks: SnapshotRead) -> None:
    web = eks.topology.pods["default/web-7c5d9f8b6-abcde"]
    assert (web.node, web.addrs, web.phase, web.is_host_network) == (NODE_1, ("10.0.5.5",), "Running", False)
    assert (web.owner_kind, web.owner) == ("Deployment", "web")
    assert web.containers == (
        Container("proxy", (Port(15001),), is_init=True),
        Container("web", (Port(8080, name="http"), Port(9090, name="metrics"))),
    )
    assert web.start_time == "2026-01-10T09:00:00Z"


def test_other_owners(eks: SnapshotRead) -> None:
    owners = {pod.name: (pod.owner_kind, pod.owner) for pod in eks.topology.pods.values()}
    assert owners["db-0"] == ("StatefulSet", "db")
    assert owners["kube-proxy-abcde"] == ("DaemonSet", "kube-proxy")
    assert owners["report-29-xyz12"] == ("Job", "report-29")
    assert owners["sample-pod"] == (None, None)


@pytest.mark.parametrize(
    ("labels", "replica_set", "expected"),
    [
        ({"pod-template-hash": "7c5d9f8b6"}, "web-7c5d9f8b6", ("Deployment", "web")),
        ({"pod-template-hash": "7c5d9f8b6"}, "a-7c5d9f8b6-7c5d9f8b6", ("Deployment", "a-7c5d9f8b6")),
        ({}, "web-7c5d9f8b6", ("ReplicaSet", "web-7c5d9f8b6")),
        ({"pod-template-hash": "other"}, "web-7c5d9f8b6", ("ReplicaSet", "web-7c5d9f8b6")),
    ],
)
def test_a_replica_set_stands_for_its_deployment(
    tmp_path: Path, labels: dict[str, str], replica_set: str, expected: tuple[str, str]
) -> None:
    owners = [{"kind": "Other", "name": "x"}, {"kind": "ReplicaSet", "name": replica_set, "controller": True}]
    (found,) = read_one(tmp_path, kubectl_list(pod(labels=labels, owners=owners))).topology.pods.values()
    assert (found.owner_kind, found.owner) == expected


def test_ended_and_waiting_pods(eks: SnapshotRead) -> None:
    report, waiting = eks.topology.pods["batch/report-29-xyz12"], eks.topology.pods["default/waiting"]
    assert not report.holds_address
    assert report.addrs == ("10.0.5.5",)
    assert (waiting.node, waiting.addrs) == (None, ())


def test_host_network_pod(eks: SnapshotRead) -> None:
    proxy = eks.topology.pods["kube-system/kube-proxy-abcde"]
    assert proxy.is_host_network
    assert proxy.containers[0].ports == (Port(10249, host_port=10249, name="metrics"),)


def test_branch_interface_of_the_annotation(eks: SnapshotRead) -> None:
    assert eks.topology.pods["default/branch-0"].branch_eni == "eni-0a1b2c3d4e5f60005"
    assert eks.topology.pods["default/db-0"].branch_eni is None


def test_an_annotation_that_is_no_list_is_a_finding(tmp_path: Path) -> None:
    read = read_one(tmp_path, kubectl_list(pod(annotations={"vpc.amazonaws.com/pod-eni": "eni-1"})))
    assert read.topology.pods["default/web"].branch_eni is None
    assert [(finding.kind, finding.subject) for finding in read.topology.findings] == [("bad-annotation", "default/web")]


def test_a_multi_nic_pod_is_counted(tmp_path: Path) -> None:
    read = read_one(tmp_path, kubectl_list(pod(annotations={"k8s.amazonaws.com/nicConfig": "multi-nic-attachment"})))
    assert [each.path for each in read.report.fields] == ["Pod.metadata.annotations[k8s.amazonaws.com/nicConfig]"]


def test_node(eks: SnapshotRead) -> None:
    node = eks.topology.nodes[NODE_1]
    assert (node.instance_id, node.addrs) == ("i-0a1b2c3d4e5f60001", ("10.0.0.10",))
    assert (node.az, node.az_id, node.instance_type) == ("us-east-1a", "use1-az1", "m5.large")


@pytest.mark.parametrize(
    ("provider_id", "expected"),
    [
        ("aws:///us-east-1a/i-0a1b2c3d4e5f60001", "i-0a1b2c3d4e5f60001"),
        ("aws:///us-east-1a/i-0a1b2c3d", "i-0a1b2c3d"),
        ("aws:///us-east-1a/6b25ef9a2f-4a6b/fargate-ip-10-0-1-7.ec2.internal", None),
        ("eks-hybrid:///us-east-1/prod/mi-0a1b2c3d4e5f60001", None),
        ("", None),
    ],
)
def test_provider_ids(tmp_path: Path, provider_id: str, expected: str | None) -> None:
    node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n"}, "spec": {"providerID": provider_id}}
    assert read_one(tmp_path, kubectl_list(node)).topology.nodes["n"].instance_id == expected


def test_services(eks: SnapshotRead) -> None:
    web, db = eks.topology.services["default/web"], eks.topology.services["default/db"]
    assert (web.service_type, web.cluster_addrs, web.external_traffic_policy) == ("NodePort", ("172.20.15.7",), "Local")
    assert web.ports == (ServicePort(80, "TCP", "http", 31080, "http"),)
    assert db.cluster_addrs == ()  # headless
    assert db.ports == (ServicePort(5432, "TCP", "pg", 0, "5432"),)


def test_endpoint_slices(eks: SnapshotRead) -> None:
    web, db = eks.topology.endpoint_slices
    assert (web.service, web.ports) == ("web", (Port(8080, name="http"),))
    assert web.endpoints == (
        SliceEndpoint(("10.0.5.5",), True, NODE_1, "default/web-7c5d9f8b6-abcde", "us-east-1a"),
        SliceEndpoint(("10.0.5.6",), False),
    )
    assert (db.service, db.ports, db.endpoints) == ("db", (), ())


def test_settings_of_the_plugin(eks: SnapshotRead) -> None:
    assert eks.topology.cni_env == {"AWS_VPC_K8S_CNI_EXTERNALSNAT": "false", "AWS_VPC_K8S_CNI_VETHPREFIX": "eni", "ENABLE_POD_ENI": "true"}
    fields = [each.path for each in eks.report.fields if each.path.startswith("DaemonSet")]
    assert fields == ["DaemonSet aws-node: containers[aws-node].env[WARM_ENI_TARGET].valueFrom"]


def test_malformed_addresses_are_named_and_left_out(tmp_path: Path) -> None:
    bad = pod("bad", podIP="10.0.1.300", podIPs=[{"ip": "10.0.1.300"}, {"ip": "FD00:0::1"}])
    read = read_one(tmp_path, kubectl_list(pod("good"), bad, pod("worse", podIP="localhost", podIPs=None)))
    assert read.topology.pods["default/bad"].addrs == ("fd00::1",)
    assert read.topology.pods["default/worse"].addrs == ()
    assert {finding.subject for finding in read.topology.findings if finding.kind == "bad-address"} == {
        "objects.json: items[1].status.podIPs[0].ip",
        "objects.json: items[2].status.podIP",
    }


def test_a_typed_list_and_a_single_object(tmp_path: Path) -> None:
    """As `kubectl get --raw /api/v1/pods` prints them: its items name no kind."""
    bare = {key: value for key, value in pod("a").items() if key not in {"kind", "apiVersion"}}
    read = read_snapshot(
        write_snapshot(tmp_path, {"l.json": {"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": [bare]}, "o.json": pod("b")})
    )
    assert set(read.topology.pods) == {"default/a", "default/b"}


def test_a_typed_list_without_items_says_that_there_are_none(tmp_path: Path) -> None:
    read = read_one(tmp_path, {"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": []})
    assert not any(missing.what.startswith("pods") for missing in read.topology.missing)


def test_a_part_of_a_list_is_a_finding(tmp_path: Path) -> None:
    read = read_one(tmp_path, kubectl_list(pod()) | {"metadata": {"continue": "abc"}})
    assert [finding.kind for finding in read.topology.findings] == ["partial-output"]


def test_another_group_of_the_same_kind_is_no_service(tmp_path: Path) -> None:
    knative = {"apiVersion": "serving.knative.dev/v1", "kind": "Service", "metadata": {"name": "fn", "namespace": "default"}}
    read = read_one(tmp_path, kubectl_list(knative, pod()))
    assert read.topology.services == {}
    assert [(kind.kind, kind.use) for kind in read.report.totals()] == [("Service.serving.knative.dev", Use.UNKNOWN), ("Pod", Use.READ)]


def test_an_unknown_field_of_a_pod_is_counted_once_a_pod(tmp_path: Path) -> None:
    pods = [pod(str(i)) for i in range(3)]
    for each in pods:
        each["spec"]["secondNetwork"] = {"name": "x"}
        each["spec"]["containers"][0]["ports"] = [{"containerPort": 80, "tunnel": True}]
    read = read_one(tmp_path, kubectl_list(*pods))
    counts = {each.path: each.count for each in read.report.fields}
    assert counts == {"Pod.spec.secondNetwork": 3, "Pod.spec.containers[].ports[].tunnel": 3}


@pytest.mark.parametrize(
    ("content", "place"),
    [
        (kubectl_list(pod("a"), pod("b") | {"spec": {"hostNetwork": "yes"}}), "items[1].spec.hostNetwork: Expected `bool`, got `str`"),
        (kubectl_list(pod("a"), {"kind": "Pod", "apiVersion": "v1"}), "items[1]: Object missing required field `metadata`"),
        ({"kind": "List", "items": {"a": 1}}, "items: Expected `array | null`, got `object`"),
        ({"kind": "PodList", "apiVersion": "v1"}, "a PodList without items"),
        ({"kind": 5, "items": []}, "kind: Expected `str`, got `int`"),
    ],
)
def test_another_shape_is_one_line_with_its_place(tmp_path: Path, content: Any, place: str) -> None:
    with pytest.raises(InputError) as caught:
        read_one(tmp_path, content)
    assert str(caught.value).startswith(f"{tmp_path / 'objects.json'}: {place}")
