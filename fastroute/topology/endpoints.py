"""Names that people type for an end of a flow, resolved to an address and the VPC whose address it is."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import ip_address, ip_network

from fastroute.errors import EndpointError
from fastroute.topology.index import TopologyIndex

LOCALHOST = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Place:
    """An address and the VPC in whose address space it is meant; None where the text alone does not tell."""

    addr: str
    vpc_id: str | None


def is_address(text: str) -> bool:
    """Whether a text is an IPv4 or IPv6 address."""
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def split_port(text: str) -> tuple[str, int]:
    """`web:80`, `10.0.0.1:80`, `[2001:db8::1]:80` -> (name, port); port -1 where there is none.

    Raises
    ------
    EndpointError
        The port is not a number from 0 to 65535.
    """
    if is_address(text):
        return text, -1
    if text.startswith("["):
        name, _, rest = text[1:].partition("]")
        port_text = rest.removeprefix(":")
    else:
        name, colon, port_text = text.rpartition(":")
        if not colon:
            return text, -1
    if not port_text:
        return name, -1
    if not port_text.isdecimal() or int(port_text) > 65535:
        raise EndpointError(f"{text!r}: {port_text!r} is not a port; ports are numbers from 0 to 65535")
    return name, int(port_text)


def resolve(index: TopologyIndex, text: str) -> Place:
    """Find the address that a name means: `namespace/pod`, `namespace/service`, a node, an ENI or instance id, an address, `localhost`.

    Raises
    ------
    EndpointError
        Nothing of that name is in the snapshot, or it holds no address; names the nearest ones.
    """
    topology = index.topology
    if text == "localhost":
        return Place(LOCALHOST, None)
    if is_address(text):
        return Place(str(ip_address(text)), vpc_of_address(index, text))
    if text in topology.pods:
        return _place_of_pod(index, text)
    if text in topology.services:
        service = topology.services[text]
        if not service.cluster_addrs:
            raise EndpointError(f"{text}: a headless Service has no address of its own; ask for one of its pods")
        return Place(service.cluster_addrs[0], None)
    if text in topology.nodes:
        node = topology.nodes[text]
        primary = index.primary_eni_of_node(node)
        if primary is not None and primary.addresses:
            return Place(primary.addresses[0].addr, primary.vpc_id)
        if node.addrs:
            return Place(node.addrs[0], vpc_of_address(index, node.addrs[0]))
        raise EndpointError(f"{text}: the snapshot holds no address of this node")
    instance_enis = index.enis_of_instance.get(text, [])
    eni = topology.enis.get(text) or (instance_enis[0] if instance_enis else None)
    if eni is not None:
        if not eni.addresses:
            raise EndpointError(f"{text}: the interface {eni.id} has no IPv4 address")
        return Place(eni.addresses[0].addr, eni.vpc_id)
    raise EndpointError(f"{text!r} is no address, and no namespace/pod, node, interface or instance of the snapshot{_hint(index, text)}")


def _place_of_pod(index: TopologyIndex, key: str) -> Place:
    pod = index.topology.pods[key]
    if not pod.holds_address:
        raise EndpointError(f"{key} is {pod.phase}: it holds no address any more; `--at TIME` asks about a time when it ran")
    node = index.topology.nodes.get(pod.node or "")
    vpc = index.vpc_of_node(node) if node is not None else None
    if pod.is_host_network and node is not None:
        return resolve(index, node.name)
    if not pod.addrs:
        raise EndpointError(f"{key} has no address yet (phase {pod.phase})")
    return Place(pod.addrs[0], vpc.id if vpc is not None else vpc_of_address(index, pod.addrs[0]))


def vpc_of_address(index: TopologyIndex, text: str) -> str | None:
    """The only VPC whose blocks hold an address, or whose interface has it as public address; None where none or several do."""
    addr = ip_address(text)
    holding = {
        vpc.id
        for vpc in index.topology.vpcs.values()
        if any(addr in ip_network(cidr) for cidr in (vpc.cidrs if addr.version == 4 else vpc.cidrs6))
    }
    return next(iter(holding)) if len(holding) == 1 else None


def _hint(index: TopologyIndex, text: str) -> str:
    topology = index.topology
    known: Iterable[str] = (*topology.pods, *topology.services, *topology.nodes, *topology.enis, *topology.instances)
    close = difflib.get_close_matches(text, known, 3, 0.5)
    return f"; did you mean {', '.join(close)}?" if close else "; `fastroute inspect SNAPSHOT` lists what it holds"
