"""Sources: the one the kernel gives to an unbound local packet, and whether the one of an arriving packet is acceptable (IPv4)."""

from __future__ import annotations

from dataclasses import replace

from fastroute.netns.decision import Packet, Reason, Tried
from fastroute.netns.lookup import Match, UndecidedError, first_usable4, look_up, merged_tables4, require_table
from fastroute.netns.model import LOOPBACK, TABLE_LOCAL, TABLE_MAIN, Addr, Namespace, NextHop, Route, RouteType, Scope

SCOPE_RANK = {Scope.GLOBAL: 0, Scope.SITE: 200, Scope.LINK: 253, Scope.HOST: 254, Scope.NOWHERE: 255}
"""Source: linux include/uapi/linux/rtnetlink.h rt_scope_t."""


def is_local_addr(namespace: Namespace, addr: int) -> bool:
    """Say whether an IPv4 address is this machine's: one of an interface, or of type local in the local table."""
    return addr in namespace.local_addrs or local_entry4(namespace, addr) is not None


def local_entry4(namespace: Namespace, addr: int) -> Route | None:
    """Return the entry of type local that decides for an address in the local table itself, whatever the rules say."""
    require_table(namespace, 4, TABLE_LOCAL)
    tables = (TABLE_LOCAL,) if namespace.has_custom_rules(4) else (TABLE_LOCAL, TABLE_MAIN)
    match = first_usable4(merged_tables4(namespace, tables), Packet(4, addr))
    return match.route if match is not None and match.route is not None and match.route.type is RouteType.LOCAL else None


def select_source4(namespace: Namespace, interface: str, gateway: int | None, scope: Scope) -> int | None:
    """Return the source for a route without `src`: one of the output interface in the gateway's network, else its first, else another's.

    None where the addresses are not known, or there is none. Secondary addresses are never chosen, nor are those of a narrower scope
    than the route's. Source: linux net/ipv4/devinet.c inet_select_addr.
    """
    reach = SCOPE_RANK[scope]
    candidates = [a for a in namespace.addrs if a.family == 4 and not a.is_secondary]
    own = [a for a in candidates if a.interface == interface and min(SCOPE_RANK[a.scope], SCOPE_RANK[Scope.HOST]) <= reach]
    for addr in own:
        if gateway is None or on_network(addr, gateway):
            return addr.addr
    if own:
        return own[0].addr
    return next((a.addr for a in candidates if a.scope is not Scope.LINK and SCOPE_RANK[a.scope] <= reach), None)


def source_of_hop4(namespace: Namespace, route: Route, hop: NextHop) -> int | None:
    """Return the source that an unbound packet gets which takes a hop: the route's own, else the interface's."""
    if route.prefsrc:
        return route.prefsrc
    return select_source4(namespace, hop.out_interface or "", hop.gateway if hop.gateway_family == 4 else None, route.scope)


def on_network(addr: Addr, other: int) -> bool:
    """Say whether another address lies in the network of an interface's address."""
    peer = addr.addr if addr.peer is None else addr.peer
    return (peer ^ other) >> (32 - addr.prefix_len) == 0


def refusal_of_source(namespace: Namespace, packet: Packet, out_interface: str | None, tried: list[Tried]) -> Reason | None:
    """Validate the source of an arriving IPv4 packet.

    Parameters
    ----------
    packet : Packet
        As it arrived; a broadcast is validated with destination 0.
    out_interface : str or None
        Where it would leave; None where it stays. The reverse look-up runs as if the answer came from there.

    Returns
    -------
    Reason or None
        MARTIAN_SOURCE, RP_FILTER, or None where the source is accepted.

    Raises
    ------
    UndecidedError
        The interface's rp_filter decides and is not known, or a dump is missing.

    Notes
    -----
    Source: linux net/ipv4/fib_frontend.c fib_validate_source, __fib_validate_source.
    """
    interface = packet.in_interface or ""
    sysctls = namespace.sysctls
    rp_filter = sysctls.rp_filter(interface)
    leaves_as_it_came = interface == out_interface and sysctls.either("send_redirects", interface, unknown=True)
    if not rp_filter and not leaves_as_it_came:
        if sysctls.either("accept_local", interface):
            return None if rp_filter is not None else refusal_by_reverse(namespace, packet, out_interface, rp_filter, tried)
        if not namespace.has_custom_local_routes and not namespace.has_custom_rules(4):
            if not namespace.knows_addrs:
                raise UndecidedError(Reason.MISSING_ADDRS, "ip addr")
            if packet.src in namespace.local_addrs:
                return Reason.MARTIAN_SOURCE
            return None if rp_filter is not None else refusal_by_reverse(namespace, packet, out_interface, rp_filter, tried)
    return refusal_by_reverse(namespace, packet, out_interface, rp_filter, tried)


def refusal_by_reverse(
    namespace: Namespace, packet: Packet, out_interface: str | None, rp_filter: int | None, tried: list[Tried]
) -> Reason | None:
    """Look the source up as a destination, and judge where that leads."""
    interface = packet.in_interface or ""
    sysctls = namespace.sysctls
    reverse = replace(
        packet,
        dst=packet.src,
        src=packet.dst,
        in_interface=out_interface,
        out_interface=None,
        fwmark=packet.fwmark if sysctls.either("src_valid_mark", interface) else 0,
        sport=packet.dport,
        dport=packet.sport,
        uid=0,
    )
    match = look_up(namespace, reverse, tried, is_reverse=True)
    if match.reason or match.route is None:
        return refusal_if_filtered(interface, (1, 2), rp_filter)
    kind = match.route.type
    if kind is not RouteType.UNICAST and not (kind is RouteType.LOCAL and sysctls.either("accept_local", interface)):
        return Reason.MARTIAN_SOURCE
    if leads_to(match, interface) or (kind is RouteType.LOCAL and interface == LOOPBACK):
        return None
    if rp_filter == 0:
        return None
    if not namespace.knows_addrs:
        raise UndecidedError(Reason.MISSING_ADDRS, "ip addr")
    return refusal_if_filtered(interface, (1,) if interface in namespace.interfaces_with_ipv4 else (1, 2), rp_filter)


def leads_to(match: Match, interface: str) -> bool:
    """Say whether any next hop of the match leaves by the interface."""
    return match.route is not None and any(hop.out_interface == interface for hop in match.route.next_hops)


def refusal_if_filtered(interface: str, refusing: tuple[int, ...], rp_filter: int | None) -> Reason | None:
    """Refuse if rp_filter has one of the values that refuse here; undecided where it is not known."""
    if rp_filter is None:
        raise UndecidedError(Reason.MISSING_SYSCTL, rp_filter_command(interface))
    return Reason.RP_FILTER if rp_filter in refusing else None


def rp_filter_command(interface: str) -> str:
    """The command that prints an interface's rp_filter."""
    return f"sysctl net.ipv4.conf.{interface}.rp_filter"
