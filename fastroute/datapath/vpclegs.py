"""VPC legs: every way from a route table to where its packets end up, numbered, with its hops in words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fastroute.datapath.classes import DestinationClasses
from fastroute.datapath.hops import Hop
from fastroute.datapath.ownership import Prefix, network_prefix
from fastroute.datapath.state import LegNext
from fastroute.topology import RouteTable, TargetKind, TopologyIndex
from fastroute.vocab import Disposition, PathClass
from fastroute.vpc import EffectiveRoute, Next, Step, attached_vpcs, effective_routes, step

ZONES_DECIDE = -1


@dataclass(frozen=True, slots=True)
class Leg:
    """What a class does in a route table, after all gateways on the way. `lets_in`: 1 by its gateway traffic from outside comes in, 2 only
    what the inside opened."""

    next: LegNext
    path_class: int
    disposition: Disposition
    space: int
    lets_in: int
    reason: str
    hops: tuple[Hop, ...]


NO_LEG = Leg(LegNext.END, ZONES_DECIDE, Disposition.UNDECIDED, -1, 0, "", ())
LINK_LOCAL_LEG = Leg(
    LegNext.OUT,
    PathClass.LINK_LOCAL,
    Disposition.EXITS_NETWORK,
    -1,
    1,
    "",
    (Hop("", "", None, "", "169.254.0.0/16", "hypervisor", "link-local service"),),
)


class VpcLegTable:
    """Numbers legs in the order of route tables and classes; equal legs share a number. 0 is none, 1 is link-local."""

    def __init__(self, index: TopologyIndex, spaces: Mapping[str, int]) -> None:
        topology = index.topology
        self.topology = topology
        self.spaces = spaces
        self.legs: list[Leg] = [NO_LEG, LINK_LOCAL_LEG]
        self._number: dict[Leg, int] = {}
        self.tables = list(topology.route_tables.values())
        self.table_number = {table.id: i for i, table in enumerate(self.tables)}
        self.routes = [effective_routes(topology, table) for table in self.tables]
        self._subnet_table = {subnet_id: self.table_number[table.id] for subnet_id, table in index.route_table_of_subnet.items()}
        self._transit = {
            route.target: {
                network_prefix(cidr): spaces[vpc_id]
                for vpc_id in attached_vpcs(topology, route.target)
                for cidr in topology.vpcs[vpc_id].cidrs
            }
            for table in self.tables
            for route in table.routes
            if route.target_kind is TargetKind.TRANSIT_GATEWAY
        }

    def table_of_subnet(self, subnet_id: str | None) -> int:
        """Number of the route table of a subnet; -1 where none is known."""
        return self._subnet_table.get(subnet_id or "", -1)

    def prefixes(self) -> set[Prefix]:
        """Every prefix that decides between legs."""
        routes = {_prefix(route) for routes in self.routes for route in routes}
        return routes | {prefix for cidrs in self._transit.values() for prefix in cidrs}

    def number(self, leg: Leg) -> int:
        """Number of a leg, new or known."""
        if leg not in self._number:
            self._number[leg] = len(self.legs)
            self.legs.append(leg)
        return self._number[leg]

    def internet_gateways(self) -> NDArray[np.int32]:
        """The leg in by each VPC's Internet gateway, -1 where it has none -> (num_spaces,) int32."""
        found = np.full(len(self.spaces), -1, np.int32)
        for gateway in self.topology.internet_gateways.values():
            for vpc_id in () if gateway.is_egress_only else gateway.vpc_ids:
                if vpc_id in self.spaces:
                    hop = Hop(vpc_id, "", None, "", "", gateway.id, vpc_id)
                    leg = Leg(LegNext.DELIVER, PathClass.INTERNET_GATEWAY, Disposition.DELIVERED, self.spaces[vpc_id], 1, "", (hop,))
                    found[self.spaces[vpc_id]] = self.number(leg)
        return found

    def matrix(self, classes: DestinationClasses) -> NDArray[np.int32]:
        """Leg of every class in every route table -> (num_route_tables, num_classes) int32."""
        entry = classes.matrix([{_prefix(route): i for i, route in enumerate(routes)} for routes in self.routes], -1)
        transits = sorted(self._transit)
        transit_number = {gateway_id: i for i, gateway_id in enumerate(transits)}
        into = classes.matrix([self._transit[gateway_id] for gateway_id in transits], -1)
        out = np.zeros_like(entry)
        for t in range(len(self.tables)):
            memo: dict[tuple[int, ...], int] = {}
            for c in range(len(classes)):
                key = self._key(t, int(entry[t, c]), c, entry, into, transit_number)
                if key not in memo:
                    memo[key] = self.number(self._leg(t, key))
                out[t, c] = memo[key]
        return out

    def _step(self, t: int, e: int) -> Step:
        return step(self.topology, self.tables[t], self.routes[t][e].route)

    def _key(
        self, t: int, e: int, c: int, entry: NDArray[np.int32], into: NDArray[np.int32], transit_number: Mapping[str, int]
    ) -> tuple[int, ...]:
        """What a leg depends on: the entry; behind a NAT gateway the entry of its table; behind a transit gateway the VPC."""
        if e < 0:
            return (e,)
        route = self.routes[t][e].route
        if route.target_kind is TargetKind.TRANSIT_GATEWAY:
            return e, int(into[transit_number[route.target], c])
        if route.target_kind is TargetKind.NAT_GATEWAY:
            follow = self._step(t, e)
            nat_table = self.table_of_subnet(follow.subnet_id) if follow.next is Next.NAT else -1
            if nat_table >= 0:
                return e, nat_table, *self._key_behind_nat(nat_table, int(entry[nat_table, c]), c, into, transit_number)
        return (e,)

    def _key_behind_nat(self, t: int, e: int, c: int, into: NDArray[np.int32], transit_number: Mapping[str, int]) -> tuple[int, ...]:
        if e >= 0 and self.routes[t][e].route.target_kind is TargetKind.TRANSIT_GATEWAY:
            return e, int(into[transit_number[self.routes[t][e].route.target], c])
        return (e,)

    def _leg(self, t: int, key: tuple[int, ...]) -> Leg:
        table = self.tables[t]
        if key[0] < 0:
            return _end(table, (), Disposition.NO_ROUTE, f"{table.id} has no route to it")
        route = self.routes[t][key[0]]
        follow = self._step(t, key[0])
        if follow.next is not Next.NAT:
            return self._plain_leg(table, route, follow, key[1:])
        first = vpc_hop(table, str(route.network), follow.gateway, follow.subnet_id)
        if len(key) == 1:
            reason = f"the route table of {follow.subnet_id}, the subnet of {follow.gateway}, is not in the snapshot"
            return Leg(LegNext.END, PathClass.NAT_GATEWAY, Disposition.UNDECIDED, -1, 0, reason, (first,))
        return self._leg_behind_nat(first, follow, key[1], key[2:])

    def _leg_behind_nat(self, first: Hop, nat: Step, t: int, key: tuple[int, ...]) -> Leg:
        table = self.tables[t]
        gateway = self.topology.nat_gateways[nat.gateway]
        if key[0] < 0:
            return _end(table, (first,), Disposition.NO_ROUTE, f"{table.id} has no route to it", PathClass.NAT_GATEWAY)
        route = self.routes[t][key[0]]
        follow = self._step(t, key[0])
        if follow.next is Next.NAT:
            hops = (first, vpc_hop(table, str(route.network), follow.gateway, follow.subnet_id))
            return Leg(LegNext.END, PathClass.NAT_GATEWAY, Disposition.LOOP, -1, 0, f"{table.id} leads back to a NAT gateway", hops)
        leg = self._plain_leg(table, route, follow, key[1:])
        leg_next, disposition, reason = leg.next, leg.disposition, leg.reason
        if leg.next is LegNext.INTERNET:
            leg_next = LegNext.INTERNET_NAT
            if not gateway.is_public:
                leg_next, disposition = LegNext.END, Disposition.NO_PUBLIC_ADDRESS
                reason = f"{nat.gateway} is private: it has no public address for the Internet gateway"
        path_class = leg.path_class if leg.path_class == PathClass.VPC_ENDPOINT else PathClass.NAT_GATEWAY
        lets_in = 0 if leg_next is LegNext.END else 2
        return Leg(leg_next, path_class, disposition, leg.space, lets_in, reason, (first, *leg.hops))

    def _plain_leg(self, table: RouteTable, route: EffectiveRoute, follow: Step, key: tuple[int, ...]) -> Leg:
        own_space = self.spaces.get(table.vpc_id, -1)
        path_class = ZONES_DECIDE if follow.path_class is None else int(follow.path_class)

        def leg(leg_next: LegNext, disposition: Disposition, space: int, domain: str, lets_in: int = 1, cls: int = path_class) -> Leg:
            hop = vpc_hop(table, str(route.network), follow.gateway, domain)
            return Leg(leg_next, cls, disposition, space, lets_in, follow.reason, (hop,))

        match follow.next:
            case Next.LOCAL:
                return leg(LegNext.DELIVER, Disposition.DELIVERED, own_space, table.vpc_id, 0)
            case Next.OTHER_VPC:
                return leg(LegNext.DELIVER, Disposition.DELIVERED, self.spaces[follow.vpc_id], follow.vpc_id)
            case Next.TRANSIT:
                space = key[0] if key else -1
                if space >= 0:
                    domain = next(vpc_id for vpc_id, number in self.spaces.items() if number == space)
                    return leg(LegNext.DELIVER, Disposition.DELIVERED, space, domain, cls=int(PathClass.INTER_VPC))
                return leg(LegNext.OUT, Disposition.EXITS_NETWORK, -1, "beyond the transit gateway")
            case Next.INTERNET:
                return leg(LegNext.INTERNET, Disposition.EXITS_NETWORK, -1, "Internet")
            case Next.OUT:
                return leg(LegNext.OUT, follow.disposition, -1, follow.vpc_id or "outside", 2 if path_class == PathClass.NAT_GATEWAY else 1)
            case Next.END:
                return leg(LegNext.END, follow.disposition, -1, "", 0)
            case Next.NAT:
                raise AssertionError("a NAT gateway is followed by its caller")


def vpc_hop(table: RouteTable, prefix: str, target: str, next_domain: str) -> Hop:
    """One look-up in a VPC route table."""
    return Hop(table.vpc_id, "", None, table.id, prefix, target, next_domain)


def _prefix(route: EffectiveRoute) -> Prefix:
    return route.network.version, int(route.network.network_address), route.network.prefixlen


def _end(table: RouteTable, before: tuple[Hop, ...], disposition: Disposition, reason: str, path_class: int = ZONES_DECIDE) -> Leg:
    return Leg(LegNext.END, path_class, disposition, -1, 0, reason, (*before, vpc_hop(table, "", "", "")))
