"""References that lead nowhere, and addresses that two hold: everything that does not fit together in a snapshot, in one run.

A kind of object of which the snapshot has none is not looked up in: `fastroute.topology.inputs` names it as missing, once.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Container, Iterator
from typing import NamedTuple

from fastroute.topology.canonical import addr_number, prefix_key
from fastroute.topology.index import TopologyIndex
from fastroute.topology.model import Eni, Finding, Node, Pod, RouteTable, TargetKind, Topology, VpcRoute

_COMPUTE_TYPE = "eks.amazonaws.com/compute-type"
_NOT_ON_EC2 = frozenset({"fargate", "hybrid"})
_GONE = frozenset({"deleted", "deleting", "failed"})
_GONE_PEERINGS = frozenset({"deleted", "expired", "failed", "rejected"})


def check(topology: Topology) -> tuple[Finding, ...]:
    """What does not fit together, each with the names of both ends.

    Returns
    -------
    tuple of Finding
        Faults, and facts worth knowing (`is_fault` false), by kind of object.
    """
    index = TopologyIndex(topology)
    return (
        *_check_subnets(index),
        *_check_route_tables(topology),
        *_check_gateways(topology),
        *_check_interfaces(topology),
        *_check_addresses_of_interfaces(topology),
        *_check_nodes(index),
        *_check_pods(index),
        *_check_endpoint_slices(topology),
    )


def _is_lost(reference: str, among: Container[str]) -> bool:
    """Whether a reference leads nowhere. Empty references and empty tables tell nothing."""
    return bool(reference) and bool(among) and reference not in among


def _check_subnets(index: TopologyIndex) -> Iterator[Finding]:
    topology = index.topology
    for subnet in topology.subnets.values():
        if _is_lost(subnet.vpc_id, topology.vpcs):
            yield Finding("subnet-in-unknown-vpc", subnet.id, f"it is in {subnet.vpc_id}, which the snapshot does not hold")
        if topology.route_tables and subnet.id not in index.route_table_of_subnet:
            text = f"no route table is associated with it and {subnet.vpc_id} has no main table in the snapshot"
            yield Finding("subnet-without-route-table", subnet.id, text)


def _check_route_tables(topology: Topology) -> Iterator[Finding]:
    tables_of_subnet: defaultdict[str, list[str]] = defaultdict(list)
    for table in topology.route_tables.values():
        if _is_lost(table.vpc_id, topology.vpcs):
            yield Finding("route-table-in-unknown-vpc", table.id, f"it is in {table.vpc_id}, which the snapshot does not hold")
        for subnet_id in table.subnet_ids:
            tables_of_subnet[subnet_id].append(table.id)
            if _is_lost(subnet_id, topology.subnets):
                text = f"it is associated with {subnet_id}, which the snapshot does not hold"
                yield Finding("route-table-of-unknown-subnet", table.id, text)
        yield from _check_routes(topology, table)
    for subnet_id, table_ids in tables_of_subnet.items():
        if len(table_ids) > 1:
            yield Finding("subnet-with-two-route-tables", subnet_id, f"{' and '.join(table_ids)} are associated with it")


def _check_routes(topology: Topology, table: RouteTable) -> Iterator[Finding]:
    targets: dict[TargetKind, Container[str]] = {
        TargetKind.INTERNET_GATEWAY: topology.internet_gateways,
        TargetKind.EGRESS_ONLY_GATEWAY: topology.internet_gateways,
        TargetKind.NAT_GATEWAY: topology.nat_gateways,
        TargetKind.TRANSIT_GATEWAY: topology.transit_gateways,
        TargetKind.VPN_GATEWAY: topology.vpn_gateways,
        TargetKind.PEERING: topology.peerings,
        TargetKind.GATEWAY_ENDPOINT: topology.vpc_endpoints,
        TargetKind.INTERFACE: topology.enis,
        TargetKind.INSTANCE: topology.instances,
    }
    for route in table.routes:
        # the target of a black hole is gone by definition
        if not route.is_blackhole and _is_lost(route.target, targets.get(route.target_kind, ())):
            text = f"its route {route.destination} leads to {route.target_kind.value} {route.target}, which the snapshot does not hold"
            yield Finding("route-to-unknown-target", table.id, text)
        if _is_lost_prefix_list(topology, route):
            text = f"its route to {route.target} is for prefix list {route.destination}, which the snapshot does not hold"
            yield Finding("route-for-unknown-prefix-list", table.id, text)


def _is_lost_prefix_list(topology: Topology, route: VpcRoute) -> bool:
    return route.destination.startswith("pl-") and _is_lost(route.destination, topology.prefix_lists)


def _check_gateways(topology: Topology) -> Iterator[Finding]:
    for nat in topology.nat_gateways.values():
        if nat.state in _GONE:
            continue
        if _is_lost(nat.subnet_id, topology.subnets):
            yield Finding("nat-gateway-in-unknown-subnet", nat.id, f"it is in {nat.subnet_id}, which the snapshot does not hold")
        for eni_id in nat.eni_ids:
            if _is_lost(eni_id, topology.enis):
                yield Finding("nat-gateway-without-interface", nat.id, f"its interface {eni_id} is not in the snapshot")
    for peering in topology.peerings.values():
        if peering.status in _GONE_PEERINGS:
            continue
        for end in (peering.requester, peering.accepter):
            if _is_lost(end.vpc_id, topology.vpcs):
                text = f"{end.vpc_id} of account {end.account_id} in {end.region} is not in the snapshot: paths end at the peering"
                yield Finding("peering-leaves-snapshot", peering.id, text, is_fault=False)
    for endpoint in topology.vpc_endpoints.values():
        for table_id in endpoint.route_table_ids:
            if _is_lost(table_id, topology.route_tables):
                yield Finding("endpoint-of-unknown-route-table", endpoint.id, f"{table_id} is not in the snapshot")
    for attachment in topology.attachments.values():
        if attachment.state not in _GONE and _is_lost(attachment.transit_gateway_id, topology.transit_gateways):
            text = f"its transit gateway {attachment.transit_gateway_id} is not in the snapshot"
            yield Finding("attachment-of-unknown-transit-gateway", attachment.id, text)


def _check_interfaces(topology: Topology) -> Iterator[Finding]:
    for eni in topology.enis.values():
        if _is_lost(eni.vpc_id, topology.vpcs):
            yield Finding("interface-in-unknown-vpc", eni.id, f"it is in {eni.vpc_id}, which the snapshot does not hold")
        if _is_lost(eni.subnet_id, topology.subnets):
            yield Finding("interface-in-unknown-subnet", eni.id, f"it is in {eni.subnet_id}, which the snapshot does not hold")
        if _is_lost(eni.instance_id or "", topology.instances):
            yield Finding("interface-of-unknown-instance", eni.id, f"it is attached to {eni.instance_id}, which the snapshot does not hold")


def _check_addresses_of_interfaces(topology: Topology) -> Iterator[Finding]:
    holders: dict[tuple[str, str], Eni] = {}
    for eni in topology.enis.values():
        held = (*(each.addr for each in eni.addresses), *eni.addresses6, *eni.prefixes, *eni.prefixes6)
        for text in held:
            first = holders.setdefault((eni.vpc_id, text), eni)
            if first is not eni:
                yield Finding(
                    "address-held-twice", text, f"interfaces {first.id} and {eni.id} of {eni.vpc_id} both hold it; the first counts"
                )


def _compute_type(node: Node) -> str:
    return node.labels.get(_COMPUTE_TYPE, "")


def _check_nodes(index: TopologyIndex) -> Iterator[Finding]:
    topology = index.topology
    first_on: dict[str, Node] = {}
    for node in topology.nodes.values():
        if _compute_type(node) in _NOT_ON_EC2:
            continue
        if node.instance_id is None:
            yield Finding("node-without-instance", node.name, "its providerID names no EC2 instance: paths from and to it are not known")
            continue
        first = first_on.setdefault(node.instance_id, node)
        if first is not node:
            yield Finding("instance-of-two-nodes", node.instance_id, f"nodes {first.name} and {node.name} both name it")
        if _is_lost(node.instance_id, topology.instances):
            yield Finding("node-on-unknown-instance", node.name, f"its instance {node.instance_id} is not in the snapshot")
        enis = index.enis_of_node(node)
        if topology.enis and not enis:
            text = f"no interface of its instance {node.instance_id} is in the snapshot: its pods' paths are not known"
            yield Finding("node-without-interfaces", node.name, text)
        for addr in node.addrs:
            if enis and not _Held.by(enis).holds(addr):
                text = f"its address {addr} is on no interface of its instance {node.instance_id}"
                yield Finding("node-address-not-on-instance", node.name, text)


class _Held(NamedTuple):
    """The addresses of some interfaces, alone and in delegated prefixes."""

    addrs: set[str]
    networks: set[tuple[int, int, int]]
    lengths: set[tuple[int, int]]

    @classmethod
    def by(cls, enis: list[Eni]) -> _Held:
        addrs = {each.addr for eni in enis for each in eni.addresses} | {addr for eni in enis for addr in eni.addresses6}
        networks = {prefix_key(prefix) for eni in enis for prefix in (*eni.prefixes, *eni.prefixes6)}
        return cls(addrs, networks, {(length, width) for length, width, _ in networks})

    def holds(self, addr: str) -> bool:
        if addr in self.addrs:
            return True
        width = 128 if ":" in addr else 32
        return any((length, width, addr_number(addr) >> (width - length)) in self.networks for length, w in self.lengths if w == width)


def _check_pods(index: TopologyIndex) -> Iterator[Finding]:
    topology = index.topology
    held_by_node: dict[str, _Held] = {}
    all_held = _Held.by(list(topology.enis.values()))
    for name, node in topology.nodes.items():
        if enis := index.enis_of_node(node):
            held_by_node[name] = _Held.by(enis)
        elif _compute_type(node) == "fargate" and topology.enis:
            held_by_node[name] = all_held  # a Fargate pod's interface is attached to no instance of ours
    vpc_of_node = {name: enis[0].vpc_id for name, node in topology.nodes.items() if (enis := index.enis_of_node(node))}
    first_with: dict[tuple[str, str], Pod] = {}
    for pod in topology.pods.values():
        if not pod.holds_address:
            continue
        if pod.node is None:
            if pod.addrs:
                yield Finding("pod-on-no-node", pod.key, f"it has the address {pod.addrs[0]} but names no node")
            continue
        if _is_lost(pod.node, topology.nodes):
            yield Finding("pod-on-unknown-node", pod.key, f"its node {pod.node} is not in the snapshot")
        if pod.is_host_network:
            continue
        for addr in pod.addrs:
            first = first_with.setdefault((vpc_of_node.get(pod.node, ""), addr), pod)
            if first is not pod:
                yield Finding("address-of-two-pods", addr, f"pods {first.key} on {first.node} and {pod.key} on {pod.node} both have it")
        yield from _check_holder(topology, pod, held_by_node.get(pod.node))


def _check_holder(topology: Topology, pod: Pod, held: _Held | None) -> Iterator[Finding]:
    """Whether an interface of the node, or the pod's own branch interface, holds the pod's addresses."""
    where = f"no interface of its node {pod.node} holds"
    if pod.branch_eni is not None and topology.enis:
        branch = topology.enis.get(pod.branch_eni)
        if branch is None:
            yield Finding("pod-on-unknown-branch", pod.key, f"its branch interface {pod.branch_eni} is not in the snapshot")
            return
        held, where = _Held.by([branch]), f"its branch interface {branch.id} does not hold"
    for addr in pod.addrs:
        if held is not None and not held.holds(addr):
            yield Finding("pod-address-on-no-interface", pod.key, f"{where} its address {addr}")


def _check_endpoint_slices(topology: Topology) -> Iterator[Finding]:
    for each in topology.endpoint_slices:
        if _is_lost(f"{each.namespace}/{each.service}" if each.service else "", topology.services):
            text = f"its Service {each.service} is not in the snapshot"
            yield Finding("slice-of-unknown-service", f"{each.namespace}/{each.name}", text)
        for endpoint in each.endpoints:
            if _is_lost(endpoint.pod or "", topology.pods):
                text = f"its endpoint {', '.join(endpoint.addrs)} is pod {endpoint.pod}, which is not in the snapshot"
                yield Finding("endpoint-of-unknown-pod", f"{each.namespace}/{each.name}", text)
