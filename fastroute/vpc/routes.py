"""Route tables of a VPC: which routes are in force, and which one a destination takes.

Source: Amazon VPC User Guide, "How route priority works"; Site-to-Site VPN User Guide, "Route tables and VPN route priority".
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network

from fastroute.topology import RouteTable, TargetKind, Topology, VpcRoute

# Among routes of equal prefix: what an operator wrote, then what a prefix list holds, then what a gateway announced.
_STATIC, _PREFIX_LIST, _PROPAGATED = 0, 1, 2
Network = IPv4Network | IPv6Network
Address = IPv4Address | IPv6Address


@dataclass(frozen=True, slots=True)
class EffectiveRoute:
    """One prefix of a table and the route that wins it."""

    network: Network
    route: VpcRoute


def effective_routes(topology: Topology, table: RouteTable) -> tuple[EffectiveRoute, ...]:
    """Resolve prefix lists and priorities: one route a prefix, most specific first.

    A propagated route inside a `local` one is dropped, as it never beats it. A prefix list whose entries are not known contributes nothing.
    """
    best: dict[Network, tuple[int, VpcRoute]] = {}
    local = [ip_network(route.destination) for route in table.routes if route.target_kind is TargetKind.LOCAL]
    for route in table.routes:
        for network, priority in _prefixes(topology, route):
            if priority == _PROPAGATED and any(network.version == own.version and network.subnet_of(own) for own in local):  # type: ignore[arg-type]
                continue
            if network not in best or priority < best[network][0]:
                best[network] = (priority, route)
    chosen = [EffectiveRoute(network, route) for network, (_, route) in best.items()]
    return tuple(sorted(chosen, key=lambda r: (r.network.version, -r.network.prefixlen, int(r.network.network_address))))


def _prefixes(topology: Topology, route: VpcRoute) -> Iterator[tuple[Network, int]]:
    if route.destination.startswith("pl-"):
        prefix_list = topology.prefix_lists.get(route.destination)
        if prefix_list is not None and prefix_list.prefixes is not None:
            yield from ((ip_network(prefix), _PREFIX_LIST) for prefix in prefix_list.prefixes)
    else:
        yield ip_network(route.destination), _PROPAGATED if route.is_propagated else _STATIC


def has_unlisted_routes(topology: Topology, vpc_id: str) -> bool:
    """Whether a table of the VPC routes a prefix list whose entries were not collected: some destinations may go another way."""
    return any(
        route.destination.startswith("pl-")
        and (route.destination not in topology.prefix_lists or topology.prefix_lists[route.destination].prefixes is None)
        for table in topology.route_tables.values()
        if table.vpc_id == vpc_id
        for route in table.routes
    )


def best_route(routes: tuple[EffectiveRoute, ...], dst: Address) -> EffectiveRoute | None:
    """The longest match, by scanning: routes are most specific first."""
    return next((route for route in routes if route.network.version == dst.version and dst in route.network), None)
