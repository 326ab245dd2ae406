"""A node as `kubectl` and the EC2 console never show it: its interfaces, and which of their addresses pods use."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from fastroute.topology.canonical import addr_number, prefix_key
from fastroute.topology.index import TopologyIndex
from fastroute.topology.model import Eni, Node, Topology


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
