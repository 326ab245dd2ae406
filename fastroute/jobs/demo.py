"""The demonstration: one flow of each form, found in a snapshot."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_network

from fastroute.api.trace import Question
from fastroute.topology import EniRole, Pod, TargetKind, Topology, TopologyIndex

INTERNET_HOST = "8.8.8.8"


@dataclass(frozen=True, slots=True)
class Example:
    """A flow worth tracing, and in a word why."""

    form: str
    question: Question


def examples(topology: Topology) -> Iterator[Example]:
    """One flow of each form that the snapshot can show: within a pod, on one host, between hosts, in, out."""
    index = TopologyIndex(topology)
    pods = [pod for pod in topology.pods.values() if pod.holds_address and not pod.is_host_network and pod.addrs and pod.containers]
    serving = [pod for pod in pods if _port(pod) > 0]
    if not serving:
        return
    server = serving[0]
    yield Example("within a pod", Question(server.key, f"localhost:{_port(server)}"))
    neighbour = next((pod for pod in pods if pod.node == server.node and pod is not server), None)
    if neighbour is not None:
        yield Example("between pods of one host", Question(neighbour.key, f"{server.key}:{_port(server)}"))
    other = next((pod for pod in pods if _az(index, pod) != _az(index, server) and pod.node != server.node), None)
    if other is not None:
        yield Example("between hosts", Question(other.key, f"{server.key}:{_port(server)}"))
    outside = _outside_address(topology, index, server)
    if outside is not None:
        yield Example("into the cluster", Question(outside, f"{server.key}:{_port(server)}"))
    yield Example("out of the cluster", Question((other or server).key, f"{INTERNET_HOST}:443"))


def _port(pod: Pod) -> int:
    return next((port.number for container in pod.containers for port in container.ports if port.protocol == "TCP"), -1)


def _az(index: TopologyIndex, pod: Pod) -> str:
    node = index.topology.nodes.get(pod.node or "")
    primary = index.primary_eni_of_node(node) if node is not None else None
    subnet = index.topology.subnets.get(primary.subnet_id) if primary is not None else None
    return subnet.az_id if subnet is not None else ""


def _outside_address(topology: Topology, index: TopologyIndex, server: Pod) -> str | None:
    """Someone who can reach the pod: a host behind a transit or private gateway, else a load balancer of its VPC."""
    node = topology.nodes.get(server.node or "")
    primary = index.primary_eni_of_node(node) if node is not None else None
    table = index.route_table_of_subnet.get(primary.subnet_id) if primary is not None else None
    for route in table.routes if table is not None else ():
        if route.target_kind in {TargetKind.TRANSIT_GATEWAY, TargetKind.VPN_GATEWAY} and "." in route.destination:
            network = ip_network(route.destination)
            if network.prefixlen > 0:
                return str(network[network.num_addresses // 3])
    balancers = (eni for eni in topology.enis.values() if eni.role is EniRole.LOAD_BALANCER and eni.addresses)
    return next((eni.addresses[0].addr for eni in balancers if primary is None or eni.vpc_id == primary.vpc_id), None)
