"""What is in a snapshot: counts, each node's interfaces with their used and warm addresses, what was understood, what does not fit."""

from __future__ import annotations

import difflib
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from fastroute.errors import EndpointError
from fastroute.io.parse_report import ParseReport
from fastroute.io.snapshot import Progress, read_snapshot
from fastroute.topology import Eni, Finding, Missing, Node, Pod, Topology, TopologyIndex
from fastroute.topology.canonical import addr_number, prefix_key


@dataclass(frozen=True, slots=True)
class HeldAddress:
    """A secondary address of an interface; `pod` is its namespace/name, None where the address is warm."""

    addr: str
    pod: str | None


@dataclass(frozen=True, slots=True)
class HeldPrefix:
    """A delegated prefix: the pods' addresses in it, by address, and how many are left."""

    prefix: str
    pods: dict[str, str]
    num_warm: int


@dataclass(frozen=True, slots=True)
class InterfaceView:
    """An interface of a node. `addr` is its primary address."""

    id: str
    role: str
    network_card: int
    device_number: int
    subnet_id: str
    az_id: str
    addr: str | None
    public_addr: str | None
    secondary: tuple[HeldAddress, ...]
    prefixes: tuple[HeldPrefix, ...]

    @property
    def num_used(self) -> int:
        """Addresses that a pod holds now."""
        return sum(each.pod is not None for each in self.secondary) + sum(len(each.pods) for each in self.prefixes)

    @property
    def num_warm(self) -> int:
        """Addresses that no pod holds now."""
        return sum(each.pod is None for each in self.secondary) + sum(each.num_warm for each in self.prefixes)


@dataclass(frozen=True, slots=True)
class NodeView:
    """A node, its interfaces by card and device, and the names of its pods, those of the host's network apart."""

    name: str
    instance_id: str | None
    instance_type: str
    az_id: str
    addrs: tuple[str, ...]
    interfaces: tuple[InterfaceView, ...]
    pods: tuple[str, ...]
    host_pods: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SnapshotInspection:
    """Pure data, for a terminal, a notebook or JSON."""

    path: str
    topology: Topology
    report: ParseReport
    counts: dict[str, int]
    nodes: tuple[NodeView, ...]

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Faults, and facts worth knowing (`is_fault` false)."""
        return self.topology.findings

    @property
    def missing(self) -> tuple[Missing, ...]:
        return self.topology.missing

    @property
    def num_faults(self) -> int:
        return sum(finding.is_fault for finding in self.findings)

    def pod(self, key: str) -> Pod:
        """A pod with its containers and ports, by namespace/name.

        Raises
        ------
        EndpointError
            The snapshot has no such pod; names the nearest.
        """
        try:
            return self.topology.pods[key]
        except KeyError:
            near = difflib.get_close_matches(key, self.topology.pods, n=1)
            hint = f"; did you mean {near[0]}?" if near else "; give it as namespace/name"
            raise EndpointError(f"{self.path}: no pod {key}{hint}") from None

    def to_dict(self, *, pods: bool = False) -> dict[str, Any]:
        """As JSON values; with `pods`, also every pod with its containers and ports."""
        content: dict[str, Any] = {
            "path": self.path,
            "captured_at": self.topology.captured_at,
            "counts": self.counts,
            "cni_env": self.topology.cni_env,
            "nodes": self.nodes,
            "findings": self.findings,
            "missing": self.missing,
            "report": self.report.to_dict(),
        }
        if pods:
            content["pods"] = tuple(self.topology.pods.values())
        plain: dict[str, Any] = msgspec.to_builtins(content)
        return plain


def inspect_snapshot(path: Path | str, progress: Progress | None = None) -> SnapshotInspection:
    """Read a snapshot folder and lay out what is in it.

    Parameters
    ----------
    progress : callable, optional
        Called with the bytes read and the bytes to read.

    Raises
    ------
    InputError
        As `read_snapshot`.
    """
    read = read_snapshot(path, progress)
    index = TopologyIndex(read.topology)
    nodes = tuple(node_view(index, node) for node in sorted(read.topology.nodes.values(), key=lambda node: node.name))
    return SnapshotInspection(str(path), read.topology, read.report, _counts(read.topology), nodes)


def _counts(topology: Topology) -> dict[str, int]:
    pods = topology.pods.values()
    return {
        "vpcs": len(topology.vpcs),
        "subnets": len(topology.subnets),
        "route_tables": len(topology.route_tables),
        "routes": sum(len(table.routes) for table in topology.route_tables.values()),
        "interfaces": len(topology.enis),
        "interface_addresses": sum(len(eni.addresses) + len(eni.addresses6) for eni in topology.enis.values()),
        "interface_prefixes": sum(len(eni.prefixes) + len(eni.prefixes6) for eni in topology.enis.values()),
        "instances": len(topology.instances),
        "internet_gateways": len(topology.internet_gateways),
        "nat_gateways": len(topology.nat_gateways),
        "vpn_gateways": len(topology.vpn_gateways),
        "peerings": len(topology.peerings),
        "transit_gateways": len(topology.transit_gateways),
        "transit_gateway_attachments": len(topology.attachments),
        "vpc_endpoints": len(topology.vpc_endpoints),
        "prefix_lists": len(topology.prefix_lists),
        "nodes": len(topology.nodes),
        "pods": len(pods),
        "pods_of_host_network": sum(pod.is_host_network for pod in pods),
        "pods_ended": sum(not pod.holds_address for pod in pods),
        "services": len(topology.services),
        "endpoint_slices": len(topology.endpoint_slices),
    }


def node_view(index: TopologyIndex, node: Node) -> NodeView:
    pods = index.pods_of_node.get(node.name, [])
    pod_of_addr = {addr: pod.key for pod in pods if not pod.is_host_network for addr in pod.addrs}
    pods_of_prefix: defaultdict[tuple[int, int, int], dict[str, str]] = defaultdict(dict)
    enis = index.enis_of_node(node)
    sizes = {prefix_key(prefix)[:2] for eni in enis for prefix in (*eni.prefixes, *eni.prefixes6)}
    for addr, key in pod_of_addr.items():
        width = 128 if ":" in addr else 32
        for length, prefix_width in sizes:
            if prefix_width == width:
                pods_of_prefix[length, width, addr_number(addr) >> (width - length)][addr] = key
    return NodeView(
        name=node.name,
        instance_id=node.instance_id,
        instance_type=node.instance_type,
        az_id=node.az_id,
        addrs=node.addrs,
        interfaces=tuple(_interface_view(index.topology, eni, pod_of_addr, pods_of_prefix) for eni in enis),
        pods=tuple(sorted(pod.key for pod in pods if not pod.is_host_network)),
        host_pods=tuple(sorted(pod.key for pod in pods if pod.is_host_network)),
    )


def _interface_view(
    topology: Topology, eni: Eni, pod_of_addr: Mapping[str, str], pods_of_prefix: Mapping[tuple[int, int, int], dict[str, str]]
) -> InterfaceView:
    primary = next((each for each in eni.addresses if each.is_primary), None)
    secondary = [*(each.addr for each in eni.addresses if not each.is_primary), *eni.addresses6]
    subnet = topology.subnets.get(eni.subnet_id)
    return InterfaceView(
        id=eni.id,
        role=eni.role.value,
        network_card=eni.network_card,
        device_number=eni.device_number,
        subnet_id=eni.subnet_id,
        az_id=subnet.az_id if subnet is not None else "",
        addr=primary.addr if primary is not None else None,
        public_addr=primary.public_addr if primary is not None else None,
        secondary=tuple(HeldAddress(addr, pod_of_addr.get(addr)) for addr in secondary),
        prefixes=tuple(_held_prefix(prefix, pods_of_prefix) for prefix in (*eni.prefixes, *eni.prefixes6)),
    )


def _held_prefix(prefix: str, pods_of_prefix: Mapping[tuple[int, int, int], dict[str, str]]) -> HeldPrefix:
    length, width, number = prefix_key(prefix)
    pods = pods_of_prefix.get((length, width, number), {})
    return HeldPrefix(prefix, pods, 2 ** (width - length) - len(pods))
