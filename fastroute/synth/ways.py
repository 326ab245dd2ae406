"""Which way a packet of the account really goes. Object by object; no compiled table, no line shared with the engine.

Each step follows MODEL.md section 4; rule priorities and table numbers are those of amazon-vpc-cni-k8s v1.23.1.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import IntEnum

from fastroute.synth.account import Account
from fastroute.synth.ends import HOST_KINDS, End
from fastroute.synth.node_dump import MAIN_TABLE, table_of
from fastroute.synth.nouns import Eni, NatGateway, Peering, Route
from fastroute.vocab import IN_CLUSTER, Disposition, Form, Kind, Opener, PathClass


class RulePriority(IntEnum):
    """The rules that can decide on a node with ordinary pods."""

    LOCAL = 0
    TO_POD = 512
    MARKED = 1024
    FROM_POD = 1536
    FROM_ENI = 32765
    MAIN = 32766


@dataclass(slots=True, frozen=True)
class Way:
    """The path columns of a direction. `nat` is the gateway that translates on the way, for the records that it leaves."""

    path_class: PathClass
    disposition: Disposition
    out_eni: Eni | None = None
    in_eni: Eni | None = None
    rule_priority: int | None = None
    table: str | None = None
    wire_src: int | None = None
    nat: NatGateway | None = None


class Ways:
    """Walks packets of one account."""

    def __init__(self, account: Account) -> None:
        self._account = account
        network = account.network
        self._nats = {each.id: each for each in network.nat_gateways}
        self._peerings = {each.id: each for each in network.peerings}
        self._gateway_endpoints = {each.id for each in network.endpoints if each.prefix_list}
        self._has_balancer = bool(network.load_balancers)

    def way(self, src: End, dst: End, opener: Opener) -> Way:
        """The way from src to dst. `opener` is SRC or DST, relative to this direction."""
        if src.node is not None:
            return self._from_node(src, dst, opener)
        if src.eni is not None:
            return self._through_vpc(Way(PathClass.UNCLASSIFIED, Disposition.UNDECIDED, out_eni=src.eni), src, src.addr, dst)
        return self._from_outside(src, dst, opener)

    def _from_node(self, src: End, dst: End, opener: Opener) -> Way:
        node, eni = src.node, src.eni
        assert node is not None
        assert eni is not None
        if src.pod is not None and src.pod is dst.pod:
            # decided inside the pod: the node is never asked
            return Way(PathClass.INTRA_POD, Disposition.DELIVERED)
        if any(dst.addr == each.primary for each in node.instance.enis):
            return Way(PathClass.SAME_NODE, Disposition.DELIVERED, rule_priority=RulePriority.LOCAL, table="local")
        if dst.kind is Kind.POD and dst.node is node:
            return Way(PathClass.SAME_NODE, Disposition.DELIVERED, rule_priority=RulePriority.TO_POD, table=MAIN_TABLE)
        undecided = Way(PathClass.UNCLASSIFIED, Disposition.UNDECIDED)
        is_host = src.kind in HOST_KINDS
        if not is_host and opener is Opener.SRC and self._account.is_snat_range(dst.addr):
            start = replace(
                undecided,
                out_eni=node.primary_eni,
                rule_priority=RulePriority.MARKED,
                table=MAIN_TABLE,
                wire_src=node.address,
            )
            return self._through_vpc(start, src, node.address, dst)
        if eni is node.primary_eni:
            start = replace(undecided, out_eni=eni, rule_priority=RulePriority.MAIN, table=MAIN_TABLE)
        else:
            priority = RulePriority.FROM_ENI if is_host else RulePriority.FROM_POD
            start = replace(undecided, out_eni=eni, rule_priority=priority, table=table_of(eni))
        return self._through_vpc(start, src, src.addr, dst)

    def _through_vpc(self, start: Way, src: End, wire_src: int, dst: End) -> Way:
        """From the out interface on: the route table of its subnet decides."""
        out = start.out_eni
        assert out is not None
        if dst.kind is Kind.LINK_LOCAL:
            return replace(start, path_class=PathClass.LINK_LOCAL, disposition=Disposition.EXITS_NETWORK)
        route = best_route(out.subnet.routes, dst.addr)
        if route is None:
            return replace(start, disposition=Disposition.NO_ROUTE)
        if route.state != "active":
            return replace(start, disposition=Disposition.BLACKHOLE)
        target = route.target
        if target == "local":
            return self._enter(start, src, dst, out.vpc.holders.get(dst.addr))
        if target == self._account.network.internet_gateway:
            is_public = out.public is not None and wire_src == out.primary
            crossed = replace(start, path_class=PathClass.INTERNET_GATEWAY)
            return _out_and_back(crossed, dst) if is_public else replace(crossed, disposition=Disposition.NO_PUBLIC_ADDRESS)
        if target in self._nats:
            return _out_and_back(replace(start, path_class=PathClass.NAT_GATEWAY, nat=self._nats[target]), dst)
        if target in self._gateway_endpoints:
            return replace(start, path_class=PathClass.VPC_ENDPOINT, disposition=Disposition.EXITS_NETWORK)
        if target in self._peerings:
            peering = self._peerings[target]
            other = peering.peer if out.vpc is peering.vpc else peering.vpc
            crossed = replace(start, path_class=_class_of(peering))
            if other is None:
                return replace(crossed, disposition=Disposition.EXITS_NETWORK)
            holder = other.holders.get(dst.addr)
            if holder is None:
                return replace(crossed, disposition=Disposition.NO_SUCH_ADDRESS)
            return replace(crossed, disposition=_arrival(dst), in_eni=holder)
        return replace(start, path_class=PathClass.ON_PREM, disposition=Disposition.EXITS_NETWORK)

    def _enter(self, start: Way, src: End, dst: End, holder: Eni | None) -> Way:
        """By `local`: the interface that holds the address, in any zone."""
        if holder is None:
            return replace(start, disposition=Disposition.NO_SUCH_ADDRESS)
        out = start.out_eni
        assert out is not None
        path_class = PathClass.INTRA_AZ if out.subnet.zone is holder.subnet.zone else PathClass.INTER_AZ
        if _is_interface_endpoint(src.eni) or _is_interface_endpoint(holder):
            path_class = PathClass.VPC_ENDPOINT
        return replace(start, path_class=path_class, disposition=_arrival(dst), in_eni=holder)

    def _from_outside(self, src: End, dst: End, opener: Opener) -> Way:
        """No source leg: by the gateway that the destination's subnet uses towards the source."""
        entry = dst.eni
        assert entry is not None
        delivered = Way(PathClass.UNCLASSIFIED, Disposition.DELIVERED, in_eni=entry)
        if src.kind is Kind.INTERNET and opener is Opener.SRC:
            if entry.public is not None and dst.addr == entry.primary:
                return replace(delivered, path_class=PathClass.INTERNET_GATEWAY)
            end = Disposition.UNDECIDED if self._has_balancer else Disposition.NO_PUBLIC_ADDRESS
            return Way(PathClass.INTERNET_GATEWAY, end)
        route = best_route(entry.subnet.routes, src.addr)
        if route is None:
            return Way(PathClass.UNCLASSIFIED, Disposition.NO_ROUTE)
        target = route.target
        if target in self._nats:
            return replace(delivered, path_class=PathClass.NAT_GATEWAY, nat=self._nats[target])
        if target == self._account.network.internet_gateway:
            return replace(delivered, path_class=PathClass.INTERNET_GATEWAY)
        if target in self._gateway_endpoints:
            return replace(delivered, path_class=PathClass.VPC_ENDPOINT)
        if target in self._peerings:
            return replace(delivered, path_class=_class_of(self._peerings[target]))
        return replace(delivered, path_class=PathClass.ON_PREM)


def best_route(routes: list[Route], addr: int) -> Route | None:
    """The route with the longest prefix that covers the address; a prefix list counts as its entries."""
    best, best_len = None, -1
    for route in routes:
        blocks = route.prefix_list.blocks if route.prefix_list else (route.destination,)
        for each in blocks:
            if each is not None and each.length > best_len and addr in each:
                best, best_len = route, each.length
    return best


def form_of(src: End, dst: End) -> Form | None:
    """How the ends lie to each other. Source: MODEL.md section 3."""
    if Kind.UNKNOWN in (src.kind, dst.kind):
        return None
    if src.kind in IN_CLUSTER and dst.kind in IN_CLUSTER:
        if src.pod is not None and src.pod is dst.pod:
            return Form.INTRA_POD
        return Form.INTRA_HOST if src.node is dst.node else Form.INTER_HOST
    if dst.kind in IN_CLUSTER:
        return Form.INGRESS
    return Form.EGRESS if src.kind in IN_CLUSTER else Form.EXTERNAL


def _out_and_back(crossed: Way, dst: End) -> Way:
    """Behind an Internet gateway; a public address of the account's own comes back in."""
    if dst.eni is not None and dst.addr == dst.eni.public:
        return replace(crossed, disposition=Disposition.DELIVERED, in_eni=dst.eni)
    return replace(crossed, disposition=Disposition.EXITS_NETWORK)


def _class_of(peering: Peering) -> PathClass:
    return PathClass.INTER_VPC if peering.peer_region == peering.vpc.region else PathClass.INTER_REGION


def _arrival(dst: End) -> Disposition:
    """A warm address has no route on its node but the default: the packet comes back until its TTL ends."""
    return Disposition.LOOP if dst.is_warm else Disposition.DELIVERED


def _is_interface_endpoint(eni: Eni | None) -> bool:
    return eni is not None and eni.interface_type == "vpc_endpoint"
