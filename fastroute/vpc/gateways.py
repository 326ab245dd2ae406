"""What follows when a VPC route leads somewhere: on to an interface, into another VPC, out, or an end."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from fastroute.topology import RouteTable, TargetKind, Topology, VpcRoute
from fastroute.vocab import Disposition, PathClass


class Next(Enum):
    """What becomes of the packet behind a VPC route."""

    LOCAL = "to the interface that holds the destination in this VPC"
    OTHER_VPC = "into the VPC named by `vpc_id`"
    TRANSIT = "through a transit gateway: into an attached VPC that holds the destination, else out"
    INTERNET = "out by an Internet gateway; needs a public address"
    NAT = "through a NAT gateway in the subnet named by `subnet_id`, then by that subnet's table"
    OUT = "out of what the snapshot knows"
    END = "nowhere: `disposition`"


@dataclass(frozen=True, slots=True)
class Step:
    """One gateway crossed. `path_class` is None where the zones decide; `reason` explains an END."""

    next: Next
    gateway: str
    path_class: PathClass | None = None
    vpc_id: str = ""
    subnet_id: str = ""
    disposition: Disposition = Disposition.DELIVERED
    reason: str = ""


def step(topology: Topology, table: RouteTable, route: VpcRoute) -> Step:
    """Follow one route of a table to its target."""
    if route.is_blackhole:
        return _end(route, Disposition.BLACKHOLE, f"the route's target {route.target} is gone (state blackhole)")
    return _FOLLOW[route.target_kind](topology, table, route)


def _end(route: VpcRoute, disposition: Disposition, reason: str, path_class: PathClass | None = None) -> Step:
    return Step(Next.END, route.target, path_class, disposition=disposition, reason=reason)


def _local(topology: Topology, table: RouteTable, route: VpcRoute) -> Step:
    return Step(Next.LOCAL, "local")


def _internet_gateway(topology: Topology, table: RouteTable, route: VpcRoute) -> Step:
    gateway = topology.internet_gateways.get(route.target)
    if gateway is not None and table.vpc_id not in gateway.vpc_ids:
        return _end(route, Disposition.BLACKHOLE, f"{route.target} is not attached to {table.vpc_id}")
    return Step(Next.INTERNET, route.target, PathClass.INTERNET_GATEWAY)


def _egress_only(topology: Topology, table: RouteTable, route: VpcRoute) -> Step:
    return Step(Next.OUT, route.target, PathClass.INTERNET_GATEWAY, disposition=Disposition.EXITS_NETWORK)


def _nat(topology: Topology, table: RouteTable, route: VpcRoute) -> Step:
    gateway = topology.nat_gateways.get(route.target)
    if gateway is None:
        return _end(
            route, Disposition.UNDECIDED, f"{route.target} is not in the snapshot: describe-nat-gateways is missing", PathClass.NAT_GATEWAY
        )
    if gateway.state != "available":
        return _end(route, Disposition.BLACKHOLE, f"{route.target} is {gateway.state}")
    if not gateway.subnet_id:
        # A regional NAT gateway has no subnet of its own and its own route table; it reaches the Internet itself.
        return Step(Next.OUT, route.target, PathClass.NAT_GATEWAY, disposition=Disposition.EXITS_NETWORK)
    return Step(Next.NAT, route.target, PathClass.NAT_GATEWAY, subnet_id=gateway.subnet_id)


def _transit(topology: Topology, table: RouteTable, route: VpcRoute) -> Step:
    attachments = [a for a in topology.attachments.values() if a.transit_gateway_id == route.target]
    mine = [a for a in attachments if a.resource_id == table.vpc_id and a.state == "available"]
    if attachments and not mine:
        return _end(route, Disposition.NO_ATTACHMENT, f"{table.vpc_id} has no available attachment to {route.target}")
    return Step(Next.TRANSIT, route.target, PathClass.ON_PREM)


def _vpn(topology: Topology, table: RouteTable, route: VpcRoute) -> Step:
    gateway = topology.vpn_gateways.get(route.target)
    if gateway is not None and table.vpc_id not in gateway.vpc_ids:
        return _end(route, Disposition.NO_ATTACHMENT, f"{route.target} is not attached to {table.vpc_id}")
    return Step(Next.OUT, route.target, PathClass.ON_PREM, disposition=Disposition.EXITS_NETWORK)


def _peering(topology: Topology, table: RouteTable, route: VpcRoute) -> Step:
    peering = topology.peerings.get(route.target)
    if peering is None:
        return _end(
            route,
            Disposition.UNDECIDED,
            f"{route.target} is not in the snapshot: describe-vpc-peering-connections is missing",
            PathClass.INTER_VPC,
        )
    if peering.status != "active":
        return _end(route, Disposition.BLACKHOLE, f"{route.target} is {peering.status}")
    other = peering.other(table.vpc_id)
    path_class = PathClass.INTER_VPC if other.region in {"", table.region} else PathClass.INTER_REGION
    if other.vpc_id in topology.vpcs:
        return Step(Next.OTHER_VPC, route.target, path_class, vpc_id=other.vpc_id)
    return Step(Next.OUT, route.target, path_class, vpc_id=other.vpc_id, disposition=Disposition.EXITS_NETWORK)


def _gateway_endpoint(topology: Topology, table: RouteTable, route: VpcRoute) -> Step:
    endpoint = topology.vpc_endpoints.get(route.target)
    if endpoint is not None and endpoint.endpoint_type == "GatewayLoadBalancer":
        return _end(route, Disposition.UNDECIDED, f"{route.target} leads to an appliance, which is not modelled yet")
    return Step(Next.OUT, route.target, PathClass.VPC_ENDPOINT, disposition=Disposition.EXITS_NETWORK)


def _not_modelled(topology: Topology, table: RouteTable, route: VpcRoute) -> Step:
    return _end(route, Disposition.UNDECIDED, f"routes to {route.target_kind.value} {route.target} are not modelled yet")


_FOLLOW = {
    TargetKind.LOCAL: _local,
    TargetKind.INTERNET_GATEWAY: _internet_gateway,
    TargetKind.EGRESS_ONLY_GATEWAY: _egress_only,
    TargetKind.NAT_GATEWAY: _nat,
    TargetKind.TRANSIT_GATEWAY: _transit,
    TargetKind.VPN_GATEWAY: _vpn,
    TargetKind.PEERING: _peering,
    TargetKind.GATEWAY_ENDPOINT: _gateway_endpoint,
    TargetKind.INTERFACE: _not_modelled,
    TargetKind.INSTANCE: _not_modelled,
    TargetKind.OTHER: _not_modelled,
}


def attached_vpcs(topology: Topology, transit_gateway_id: str) -> tuple[str, ...]:
    """VPCs of the snapshot with an available attachment to a transit gateway."""
    return tuple(
        a.resource_id
        for a in topology.attachments.values()
        if a.transit_gateway_id == transit_gateway_id
        and a.resource_type == "vpc"
        and a.state == "available"
        and a.resource_id in topology.vpcs
    )
