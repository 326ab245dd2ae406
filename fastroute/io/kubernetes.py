"""`kubectl -o json` output to nouns, one object at a time: a list of half a gigabyte is never held as Python objects."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from fastroute.errors import InputError
from fastroute.io import kubernetes_shapes as shapes
from fastroute.io.json_input import ITEMS, Object, Place, decode
from fastroute.io.nouns import NounTable, Texts
from fastroute.io.parse_report import FileRead, ParseReport, Use, decode_counting
from fastroute.topology import Container, EndpointSlice, Finding, Node, Pod, Port, Service, ServicePort, SliceEndpoint

_INSTANCE_ID = re.compile(r"i-[0-9a-f]{8,}")
_NO_CLUSTER_ADDR = frozenset({"", "None"})
_PROGRESS_EVERY = 1024  # objects
_ENDED_PHASES = frozenset({"Succeeded", "Failed"})

# By API group and kind.
_STRUCTS: dict[tuple[str, str], type[msgspec.Struct]] = {
    ("", "Pod"): shapes.Pod,
    ("", "Node"): shapes.Node,
    ("", "Service"): shapes.Service,
    ("discovery.k8s.io", "EndpointSlice"): shapes.EndpointSlice,
    ("apps", "DaemonSet"): shapes.DaemonSet,
}
_DECODERS: dict[tuple[str, str], msgspec.json.Decoder[Any]] = {key: msgspec.json.Decoder(struct) for key, struct in _STRUCTS.items()}
_NOT_MODELLED = {
    ("", "ConfigMap"): "kube-proxy's and the plugin's further settings",
    ("", "Endpoints"): "EndpointSlices say the same",
    ("crd.k8s.amazonaws.com", "ENIConfig"): "the interfaces that it led to are read from AWS",
    ("vpcresources.k8s.aws", "CNINode"): "the interfaces that it led to are read from AWS",
    ("vpcresources.k8s.aws", "SecurityGroupPolicy"): "packet filters",
    ("networking.k8s.io", "NetworkPolicy"): "packet filters",
    ("networking.k8s.io", "Ingress"): "the way through load balancers",
    ("elbv2.k8s.aws", "TargetGroupBinding"): "the way through load balancers",
}
_NO_BEARING = {
    ("apps", "ReplicaSet"): "pods name their Deployment by their template's hash",
    ("apps", "Deployment"): "pods name it",
    ("apps", "StatefulSet"): "pods name it",
    ("batch", "Job"): "pods name it",
    ("batch", "CronJob"): "",
    ("", "Namespace"): "",
    ("", "ServiceAccount"): "",
    ("", "Event"): "",
    ("", "PersistentVolumeClaim"): "",
    ("", "PersistentVolume"): "",
}
_HEAD: msgspec.json.Decoder[shapes.Head] = msgspec.json.Decoder(shapes.Head)
_POD_ENI: msgspec.json.Decoder[tuple[shapes.BranchEni, ...]] = msgspec.json.Decoder(tuple[shapes.BranchEni, ...])


class KubernetesReader:
    """Takes lists and single objects in any order. The tables are by name (nodes) and namespace/name."""

    def __init__(self, report: ParseReport, findings: list[Finding]) -> None:
        self.report = report
        self.findings = findings
        self.texts = Texts(findings)
        self.pods: NounTable[Pod] = NounTable(findings)
        self.nodes: NounTable[Node] = NounTable(findings)
        self.services: NounTable[Service] = NounTable(findings)
        self.endpoint_slices: NounTable[EndpointSlice] = NounTable(findings)
        self.cni_env: dict[str, str] = {}
        # pods of one workload declare the same containers: keep one of each
        self._containers: dict[Container, Container] = {}
        self._take: dict[str, Callable[[Any, Place], None]] = {
            "Pod": self._take_pod,
            "Node": self._take_node,
            "Service": self._take_service,
            "EndpointSlice": self._take_endpoint_slice,
            "DaemonSet": self._take_daemon_set,
        }

    def take(self, file: FileRead, path: Path, content: Object, progress: Callable[[int], None] | None = None) -> None:
        """Take what one file holds: a `List`, a typed list (`PodList`) or one object.

        Parameters
        ----------
        progress : callable, optional
            Called now and then with the number of bytes that were taken since the last call.

        Raises
        ------
        InputError
            An object that is not what Kubernetes prints.
        """
        start = {key: content[key] for key in ("kind", "apiVersion", "metadata") if key in content}
        head = decode(_HEAD, msgspec.json.encode(start), path)
        if "items" not in content:
            if head.kind.endswith("List"):
                raise InputError(f"{path}: a {head.kind} without items; save the whole output of kubectl get ... -o json")
            self._take_object(file, path, head, msgspec.Raw(msgspec.json.encode(content)))
            return
        if head.metadata.continue_:
            text = "metadata.continue says that there is more than this file holds; repeat the request without a limit"
            self.findings.append(Finding("partial-output", file.path, text))
        # the items of a PodList name no kind of their own
        of_list = shapes.Head(head.kind.removesuffix("List"), head.api_version)
        items = decode(ITEMS, content["items"], path, "items") or []
        if not items:
            self._note(file, of_list, 0)
        num_bytes = 0
        for i, item in enumerate(items):
            own = decode(_HEAD, item, path, "items", i)
            self._take_object(file, path, own if own.kind else of_list, item, "items", i)
            num_bytes += memoryview(item).nbytes
            if progress is not None and i % _PROGRESS_EVERY == 0:
                progress(num_bytes)
                num_bytes = 0

    def _take_object(self, file: FileRead, path: Path, head: shapes.Head, raw: msgspec.Raw, *place: str | int) -> None:
        self._note(file, head, 1)
        decoder = _DECODERS.get(_group_and_kind(head))
        if decoder is not None:
            at = (file.path, *place)
            self._take[head.kind](decode_counting(decoder, raw, head.kind, path, at, self.report), at)

    def _note(self, file: FileRead, head: shapes.Head, num_objects: int) -> None:
        key = _group_and_kind(head)
        if key in _STRUCTS:
            file.note(head.kind, num_objects, Use.READ)
        elif key in _NOT_MODELLED:
            file.note(head.kind, num_objects, Use.NOT_MODELLED, _NOT_MODELLED[key])
        elif key in _NO_BEARING:
            file.note(head.kind, num_objects, Use.NO_BEARING, _NO_BEARING[key])
        else:
            file.note(".".join(part for part in reversed(key) if part), num_objects, Use.UNKNOWN, "no kind that fastroute knows")

    def _take_pod(self, entry: shapes.Pod, place: Place) -> None:
        metadata, spec, status = entry.metadata, entry.spec, entry.status
        if status.pod_ips:
            found = [self.texts.addr(each.ip, place, "status", "podIPs", i, "ip") for i, each in enumerate(status.pod_ips)]
        else:
            found = [self.texts.addr(status.pod_ip, place, "status", "podIP")]
        owner_kind, owner = _workload_of(metadata)
        branch_eni = None
        if metadata.annotations is not None:
            branch_eni = self._branch_eni(metadata, metadata.annotations.pod_eni)
            if metadata.annotations.nic_config:
                self.report.add_field("Pod.metadata.annotations[k8s.amazonaws.com/nicConfig]", str(place[0]))
        pod = Pod(
            namespace=metadata.namespace,
            name=metadata.name,
            node=spec.node_name or None,
            addrs=tuple(addr for addr in found if addr is not None),
            is_host_network=spec.host_network,
            phase=status.phase,
            owner_kind=owner_kind,
            owner=owner,
            containers=(*self._containers_of(spec.init_containers, is_init=True), *self._containers_of(spec.containers, is_init=False)),
            start_time=status.start_time,
            branch_eni=branch_eni,
            uid=metadata.uid,
            finish_time=_finish_time(status) if status.phase in _ENDED_PHASES else None,
            deletion_time=metadata.deletion_timestamp,
        )
        self.pods.put(pod.key, pod, place)

    def _containers_of(self, entries: tuple[shapes.Container, ...] | None, *, is_init: bool) -> Iterator[Container]:
        for entry in entries or ():
            ports = tuple(Port(each.container_port, each.protocol, each.host_port, each.name) for each in entry.ports or ())
            container = Container(entry.name, ports, is_init)
            yield self._containers.setdefault(container, container)

    def _branch_eni(self, metadata: shapes.PodMetadata, annotation: str) -> str | None:
        """The branch interface that the annotation names; None without annotation."""
        if not annotation:
            return None
        try:
            branches = _POD_ENI.decode(annotation)
        except msgspec.DecodeError as error:
            pod = f"{metadata.namespace}/{metadata.name}"
            text = (
                f"its annotation vpc.amazonaws.com/pod-eni is not the list that the controller writes ({error}); the pod counts as ordinary"
            )
            self.findings.append(Finding("bad-annotation", pod, text))
            return None
        return branches[0].eni_id or None if branches else None

    def _take_node(self, entry: shapes.Node, place: Place) -> None:
        labels = entry.metadata.labels or {}
        # AWS: aws:///<zone>/<instance id>; Fargate and hybrid nodes have other ids there
        last = entry.spec.provider_id.rpartition("/")[2]
        internal = [
            self.texts.addr(each.address, place, "status", "addresses", i, "address")
            for i, each in enumerate(entry.status.addresses or ())
            if each.type == "InternalIP"
        ]
        node = Node(
            name=entry.metadata.name,
            instance_id=last if _INSTANCE_ID.fullmatch(last) else None,
            addrs=tuple(addr for addr in internal if addr is not None),
            az=labels.get("topology.kubernetes.io/zone", labels.get("failure-domain.beta.kubernetes.io/zone", "")),
            az_id=labels.get("topology.k8s.aws/zone-id", ""),
            instance_type=labels.get("node.kubernetes.io/instance-type", labels.get("beta.kubernetes.io/instance-type", "")),
            labels=labels,
        )
        self.nodes.put(node.name, node, place)

    def _take_service(self, entry: shapes.Service, place: Place) -> None:
        spec = entry.spec
        addrs = enumerate(spec.cluster_ips or (spec.cluster_ip,))
        found = [self.texts.addr(addr, place, "spec", "clusterIPs", i) for i, addr in addrs if addr not in _NO_CLUSTER_ADDR]
        service = Service(
            namespace=entry.metadata.namespace,
            name=entry.metadata.name,
            service_type=spec.type,
            cluster_addrs=tuple(addr for addr in found if addr is not None),
            ports=tuple(
                ServicePort(each.port, each.protocol, each.name, each.node_port, str(each.target_port)) for each in spec.ports or ()
            ),
            external_traffic_policy=spec.external_traffic_policy,
            internal_traffic_policy=spec.internal_traffic_policy or "Cluster",
        )
        self.services.put(service.key, service, place)

    def _take_endpoint_slice(self, entry: shapes.EndpointSlice, place: Place) -> None:
        metadata = entry.metadata
        endpoint_slice = EndpointSlice(
            namespace=metadata.namespace,
            name=metadata.name,
            service=metadata.labels.service if metadata.labels is not None else "",
            # a slice without a port number stands for all ports
            ports=tuple(Port(each.port or 0, each.protocol or "TCP", name=each.name or "") for each in entry.ports or ()),
            endpoints=tuple(self._endpoint_of(each, (*place, "endpoints", i)) for i, each in enumerate(entry.endpoints or ())),
        )
        self.endpoint_slices.put(f"{metadata.namespace}/{metadata.name}", endpoint_slice, place)

    def _endpoint_of(self, entry: shapes.Endpoint, place: Place) -> SliceEndpoint:
        target = entry.target_ref
        found = [self.texts.addr(addr, place, "addresses", i) for i, addr in enumerate(entry.addresses or ())]
        return SliceEndpoint(
            addrs=tuple(addr for addr in found if addr is not None),
            # Kubernetes: unknown readiness counts as ready
            is_ready=entry.conditions is None or entry.conditions.ready is not False,
            node=entry.node_name or None,
            pod=f"{target.namespace}/{target.name}" if target is not None and target.kind == "Pod" else None,
            az=entry.zone,
        )

    def _take_daemon_set(self, entry: shapes.DaemonSet, place: Place) -> None:
        """The plugin's settings: the environment of aws-node's containers. Other DaemonSets say nothing about paths."""
        if entry.metadata.name != "aws-node":
            return
        for container in entry.spec.template.spec.containers or ():
            where = f"DaemonSet aws-node: containers[{container.name}]"
            for variable in container.env or ():
                if variable.value_from:
                    if "fieldRef" not in variable.value_from:  # a pod's own field, such as its node's name, is no setting
                        self.report.add_field(f"{where}.env[{variable.name}].valueFrom", str(place[0]))
                elif container.name == "aws-node" or variable.name not in self.cni_env:
                    self.cni_env[variable.name] = variable.value
            if container.env_from:
                self.report.add_field(f"{where}.envFrom", str(place[0]))


def _group_and_kind(head: shapes.Head) -> tuple[str, str]:
    """API group ("" for the core) and kind: Knative's Service is not the core's."""
    return head.api_version.rpartition("/")[0], head.kind


def _finish_time(status: shapes.PodStatus) -> str | None:
    """When the last container ended; None where one does not tell. Kubernetes writes all times in one form and zone: they sort as text."""
    told = [
        each.state.terminated.finished_at if each.state is not None and each.state.terminated is not None else None
        for each in (*(status.init_container_statuses or ()), *(status.container_statuses or ()))
    ]
    return max((time for time in told if time is not None), default=None) if None not in told else None


def _workload_of(metadata: shapes.PodMetadata) -> tuple[str | None, str | None]:
    """Kind and name of the pod's workload; a ReplicaSet `<deployment>-<pod-template-hash>` stands for its Deployment."""
    owners = metadata.owner_references or ()
    owner = next((each for each in owners if each.controller), owners[0] if owners else None)
    if owner is None:
        return None, None
    template_hash = metadata.labels.template_hash if metadata.labels is not None else ""
    suffix = f"-{template_hash}"
    if owner.kind == "ReplicaSet" and template_hash and owner.name.endswith(suffix):
        return "Deployment", owner.name.removesuffix(suffix)
    return owner.kind, owner.name
