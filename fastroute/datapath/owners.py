"""Whose address is it: the slow truth of `rows`, by asking one question after the other in the order of MODEL.md section 1."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from ipaddress import ip_address, ip_network

from fastroute.cni import CniSettings, NodePlan, Unmodelled, plan_node, vpc_of_pod
from fastroute.datapath.ranges import GLOBAL6, LINK_LOCAL, LOOPBACK, NEVER_UNICAST, PRIVATE
from fastroute.topology import Eni, EniRole, Node, PeeringEnd, Pod, Service, Subnet, TargetKind, TopologyIndex
from fastroute.vocab import Attribution, Kind
from fastroute.vpc import Address, attached_vpcs, effective_routes, has_unlisted_routes


@dataclass(frozen=True, slots=True)
class End:
    """One end of a flow: its address and what the snapshot knows of it. `vpc_id` is the VPC whose own address it is."""

    addr: Address
    kind: Kind
    attribution: Attribution = Attribution.EXACT
    vpc_id: str | None = None
    pod: Pod | None = None
    node: Node | None = None
    eni: Eni | None = None
    subnet: Subnet | None = None
    service: Service | None = None
    is_warm: bool = False
    is_public: bool = False
    is_loopback: bool = False
    is_resolver: bool = False
    unmodelled: Unmodelled | None = None

    @property
    def is_outside(self) -> bool:
        """It has no interface in the snapshot, or is the outer address of one."""
        return self.is_public or self.kind in {Kind.INTERNET, Kind.ON_PREM, Kind.PEER_VPC, Kind.AWS_SERVICE, Kind.LINK_LOCAL}


def _within(addr: Address, prefixes: tuple[str, ...]) -> bool:
    return any(addr in ip_network(prefix) for prefix in prefixes)


class OwnerFinder:
    """Answers one address at a time from the topology itself."""

    def __init__(self, index: TopologyIndex, settings: CniSettings) -> None:
        self.index = index
        self.settings = settings
        self.topology = index.topology
        self._plans: dict[str, NodePlan | Unmodelled] = {}

    def plan(self, node: Node) -> NodePlan | Unmodelled:
        """The node's plan, made on first use."""
        if node.name not in self._plans:
            self._plans[node.name] = plan_node(self.index, node, self.settings)
        return self._plans[node.name]

    @cached_property
    def _pod_of_addr(self) -> dict[str, list[Pod]]:
        found: dict[str, list[Pod]] = {}
        for pod in self.topology.pods.values():
            for addr in () if pod.is_host_network or not pod.holds_address else pod.addrs:
                found.setdefault(addr, []).append(pod)
        return found

    @cached_property
    def _service_of_addr(self) -> dict[str, Service]:
        return {addr: service for service in reversed(self.topology.services.values()) for addr in service.cluster_addrs}

    def find(self, vpc_id: str, addr: Address) -> End:
        """Say what an address is in the address space of a VPC."""
        for question in (
            self._pod,
            self._interface,
            self._service,
            self._subnet,
            self._reserved,
            self._public,
            self._neighbour,
            self._special,
        ):
            end = question(vpc_id, addr)
            if end is not None:
                return end
        unlisted = has_unlisted_routes(self.topology, vpc_id)
        return End(addr, Kind.INTERNET, Attribution.INFERRED if unlisted else Attribution.EXACT)

    def _pod(self, vpc_id: str, addr: Address) -> End | None:
        """Of several pods with the address, one whose node's interface holds it; then one whose node's rules are known; then the first."""
        pods = self._pod_of_addr.get(str(addr), [])
        found = [end for pod in pods if (end := self._end_of_pod(pod, vpc_id, addr)) is not None]
        return min(found, key=lambda end: (end.eni is None, end.unmodelled is not None), default=None)

    def _end_of_pod(self, pod: Pod, vpc_id: str, addr: Address) -> End | None:
        node = self.topology.nodes.get(pod.node or "")
        if vpc_of_pod(self.index, node, str(addr)) != vpc_id:
            return None
        plan = self.plan(node) if node is not None else Unmodelled.NO_INSTANCE
        eni = self.index.eni_holding(vpc_id, str(addr))
        unmodelled = plan if isinstance(plan, Unmodelled) else None
        if pod.branch_eni is not None:
            unmodelled = Unmodelled.BRANCH_PODS
            eni = eni if eni is not None and eni.id == pod.branch_eni else None
        if unmodelled is None and isinstance(plan, NodePlan):
            eni = eni if eni in (plan.primary, *plan.managed) else None
            unmodelled = Unmodelled.IPV6 if addr.version == 6 else None
        attribution = Attribution.EXACT if eni is not None else Attribution.INFERRED
        subnet = self.topology.subnets.get(eni.subnet_id) if eni is not None else None
        return End(addr, Kind.POD, attribution, vpc_id, pod, node, eni, subnet, unmodelled=unmodelled)

    def _interface(self, vpc_id: str, addr: Address) -> End | None:
        eni = self.index.eni_holding(vpc_id, str(addr))
        if eni is None:
            return self._node_without_interface(vpc_id, addr)
        end = End(addr, Kind.ENI, vpc_id=vpc_id, eni=eni, subnet=self.topology.subnets.get(eni.subnet_id))
        node = self.index.node_of_instance.get(eni.instance_id or "")
        if node is None:
            return end
        plan = self.plan(node)
        end = replace(end, node=node, unmodelled=plan if isinstance(plan, Unmodelled) else None)
        if addr.version == 6:
            is_own = str(addr) in eni.addresses6
            end = replace(end, unmodelled=end.unmodelled or Unmodelled.IPV6)
        else:
            is_own = bool(eni.addresses) and eni.addresses[0].addr == str(addr)
        if is_own:
            return replace(end, kind=Kind.NODE)
        return replace(end, is_warm=True, attribution=Attribution.INFERRED)

    def _node_without_interface(self, vpc_id: str, addr: Address) -> End | None:
        for node in self.topology.nodes.values():
            if str(addr) in node.addrs and not self.index.enis_of_node(node) and vpc_of_pod(self.index, node, str(addr)) == vpc_id:
                return End(addr, Kind.NODE, Attribution.INFERRED, vpc_id, node=node, unmodelled=self.plan(node))  # type: ignore[arg-type]
        return None

    def _service(self, vpc_id: str, addr: Address) -> End | None:
        service = self._service_of_addr.get(str(addr))
        return End(addr, Kind.SERVICE, service=service) if service is not None else None

    def _in_vpc(self, vpc_id: str, addr: Address) -> bool:
        vpc = self.topology.vpcs.get(vpc_id)
        return vpc is not None and _within(addr, vpc.cidrs if addr.version == 4 else vpc.cidrs6)

    def _subnet(self, vpc_id: str, addr: Address) -> End | None:
        vpc = self.topology.vpcs.get(vpc_id)
        if vpc is not None and addr.version == 4 and any(ip_network(cidr).network_address + 2 == addr for cidr in vpc.cidrs):
            return End(addr, Kind.AWS_SERVICE, vpc_id=vpc_id, is_resolver=True)
        held = [
            subnet
            for subnet in self.topology.subnets.values()
            if subnet.vpc_id == vpc_id and _within(addr, tuple(cidr for cidr in (subnet.cidr, *subnet.cidrs6) if cidr))
        ]
        is_inside = held or self._in_vpc(vpc_id, addr)
        return End(addr, Kind.SUBNET, vpc_id=vpc_id, subnet=held[0] if held else None) if is_inside else None

    def _public(self, vpc_id: str, addr: Address) -> End | None:
        eni = self.index.eni_of_public_address.get(str(addr))
        if eni is None or eni.vpc_id not in self.topology.vpcs:
            return None
        inner = next(held.addr for held in eni.addresses if held.public_addr == str(addr))
        end = self._interface(eni.vpc_id, ip_address(inner))
        assert end is not None
        if end.is_warm:
            end = replace(end, node=None, is_warm=False, attribution=Attribution.EXACT)
        return replace(end, addr=addr, is_public=True, unmodelled=None)

    def _neighbour(self, vpc_id: str, addr: Address) -> End | None:
        """The most specific claim of a neighbour: a peered or attached VPC, a range behind a gateway, a gateway endpoint's list."""
        claims = list(self._claims(vpc_id, addr))
        if not claims:
            return None
        _, rank, kind, _ = min(claims, key=lambda claim: (-claim[0], claim[1]))
        longest = max(claim[0] for claim in claims)
        if kind is not Kind.PEER_VPC:
            return End(addr, kind)
        vpcs = {claim[3] for claim in claims if claim[:3] == (longest, rank, kind)}
        if len(vpcs) > 1:
            return End(addr, kind, Attribution.AMBIGUOUS)
        other = next(iter(vpcs))
        return self.find(other, addr) if other in self.topology.vpcs else End(addr, kind, vpc_id=other)

    def _claims(self, vpc_id: str, addr: Address) -> Iterator[tuple[int, int, Kind, str]]:
        """(prefix length, rank among equals, kind, VPC) of every neighbour's range that holds the address.

        A range that a route leads into (rank 0) goes before one that is merely peered.
        """
        topology = self.topology

        def lengths(prefixes: Iterable[str]) -> Iterator[int]:
            return (ip_network(prefix).prefixlen for prefix in prefixes if addr in ip_network(prefix))

        def blocks(other_id: str, fallback: PeeringEnd | None = None) -> tuple[str, ...]:
            known = topology.vpcs.get(other_id, fallback)
            return (*known.cidrs, *known.cidrs6) if known is not None else ()

        for peering in topology.peerings.values():
            if vpc_id in {peering.requester.vpc_id, peering.accepter.vpc_id}:
                other = peering.other(vpc_id)
                yield from ((length, 1, Kind.PEER_VPC, other.vpc_id) for length in lengths(blocks(other.vpc_id, other)))
        tables = [table for table in topology.route_tables.values() if table.vpc_id == vpc_id]
        for found in (found for table in tables for found in effective_routes(topology, table)):
            if addr not in found.network:
                continue
            route, length = found.route, found.network.prefixlen
            if route.target_kind is TargetKind.PEERING and route.target in topology.peerings:
                other = topology.peerings[route.target].other(vpc_id)
                held = lengths(blocks(other.vpc_id, other))
                yield from ((max(length, block), 0, Kind.PEER_VPC, other.vpc_id) for block in held)
            if route.target_kind is TargetKind.TRANSIT_GATEWAY:
                for other_id in attached_vpcs(topology, route.target):
                    if other_id != vpc_id:
                        held = lengths(topology.vpcs[other_id].cidrs)
                        yield from ((max(length, block), 0, Kind.PEER_VPC, other_id) for block in held)
            if route.target_kind in {TargetKind.TRANSIT_GATEWAY, TargetKind.VPN_GATEWAY} and length > 0:
                yield length, 2, Kind.ON_PREM, ""
        for endpoint in topology.vpc_endpoints.values():
            if endpoint.vpc_id == vpc_id and endpoint.endpoint_type == "Gateway":
                lists = {r.destination for t in topology.route_tables.values() for r in t.routes if r.target == endpoint.id}
                for list_id in lists & topology.prefix_lists.keys():
                    yield from ((length, 3, Kind.AWS_SERVICE, "") for length in lengths(topology.prefix_lists[list_id].prefixes or ()))

    def _reserved(self, vpc_id: str, addr: Address) -> End | None:
        if _within(addr, LOOPBACK):
            return End(addr, Kind.UNKNOWN, is_loopback=True)
        if _within(addr, NEVER_UNICAST):
            return End(addr, Kind.UNKNOWN, Attribution.UNKNOWN)
        return End(addr, Kind.LINK_LOCAL) if _within(addr, LINK_LOCAL) else None

    def _special(self, vpc_id: str, addr: Address) -> End | None:
        if _within(addr, PRIVATE) or (addr.version == 6 and not _within(addr, (GLOBAL6,))):
            return End(addr, Kind.UNKNOWN, Attribution.UNKNOWN)
        return None


def eni_role_is_endpoint(end: End) -> bool:
    """Whether the end is an interface endpoint's interface, by its private address."""
    return end.eni is not None and end.eni.role is EniRole.VPC_ENDPOINT and end.node is None and not end.is_public
