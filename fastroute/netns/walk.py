"""The plain walk: one packet through one namespace, in readable Python over the rows as they are. The compiled form is held to it.

Source: linux net/ipv4/route.c ip_route_input_slow, ip_route_output_key_hash_rcu, __mkroute_output; net/ipv6/route.c ip6_route_output_flags.
"""

from __future__ import annotations

from dataclasses import replace

from fastroute.netns.decision import Decision, Packet, Reason, Tried, Verdict
from fastroute.netns.lookup import NO_ROUTE, Match, UndecidedError, look_up
from fastroute.netns.model import LOOPBACK, Namespace, NextHop, RouteType, Scope
from fastroute.netns.multipath import Chooser, choose_by_hash
from fastroute.netns.source import is_local_addr, local_entry4, refusal_of_source, select_source4, source_of_hop4

LIMITED_BROADCAST4 = 0xFFFFFFFF
LOOPBACK_ADDR4 = 0x7F000001
ALL_HOSTS4 = 0xE0000001


def is_multicast4(addr: int) -> bool:
    """224.0.0.0/4."""
    return addr >> 28 == 0xE


def is_local_multicast4(addr: int) -> bool:
    """224.0.0.0/24, never forwarded."""
    return addr >> 8 == 0xE00000


def is_loopback4(addr: int) -> bool:
    """127.0.0.0/8."""
    return addr >> 24 == 127


def route(
    namespace: Namespace,
    dst: int,
    src: int = 0,
    *,
    family: int = 4,
    in_interface: str | None = None,
    out_interface: str | None = None,
    fwmark: int = 0,
    ipproto: int = 17,
    sport: int = 0,
    dport: int = 0,
    tos: int = 0,
    uid: int = 0,
) -> Decision:
    """Answer `ip route get dst from src iif in_interface oif out_interface mark fwmark …` as this namespace's kernel would.

    Parameters
    ----------
    dst, src : int
        Addresses of the family; src 0 is an unbound local socket.
    in_interface : str, optional
        Where the packet arrived; None for one made on this machine.

    Returns
    -------
    Decision
        Never raises for what a dump lacks: the verdict is then UNDECIDED and `missing` names the command whose output is wanted.
    """
    return decide(namespace, Packet(family, dst, src, in_interface, out_interface, fwmark, ipproto, sport, dport, tos, uid))


def decide(namespace: Namespace, packet: Packet, choose: Chooser = choose_by_hash) -> Decision:
    """Walk one packet; `choose` picks among the next hops of a multipath route."""
    tried: list[Tried] = []
    try:
        refused = refusal_of_interfaces(namespace, packet)
        if refused is not None:
            return refused
        if packet.family == 6:
            decision = decide6(namespace, packet, choose, tried)
        elif packet.in_interface is None:
            decision = decide_output4(namespace, packet, choose, tried)
        else:
            decision = decide_input4(namespace, packet, choose, tried)
    except UndecidedError as undecided:
        decision = Decision(Verdict.UNDECIDED, reason=undecided.reason, missing=undecided.missing)
    return replace(decision, tried=tuple(tried))


def refusal_of_interfaces(namespace: Namespace, packet: Packet) -> Decision | None:
    """Refuse interfaces that are not there, where the links are known."""
    if not namespace.known.links:
        return None
    for name in (packet.in_interface, packet.out_interface):
        if name is not None and name not in namespace.links_by_name:
            return refuse(Reason.NO_SUCH_INTERFACE)
    return None


def refuse(reason: Reason, match: Match = NO_ROUTE) -> Decision:
    """Make an error of a look-up, or of what comes before one."""
    return Decision(Verdict.ERROR, reason, match.rule, match.table_id, match.route)


def accept(verdict: Verdict, match: Match, device: str | None, *, next_hop: NextHop | None = None, prefsrc: int | None = None) -> Decision:
    """Make an answer of the look-up that decided it."""
    return Decision(verdict, rule=match.rule, table_id=match.table_id, route=match.route, next_hop=next_hop, device=device, prefsrc=prefsrc)


def chosen_hop(match: Match, packet: Packet, choose: Chooser) -> NextHop:
    """Return the next hop that the packet takes."""
    if not match.hops:
        return NextHop()
    return match.hops[choose(match.hops, packet) if len(match.hops) > 1 else 0]


def decide_input4(namespace: Namespace, packet: Packet, choose: Chooser, tried: list[Tried]) -> Decision:
    """Decide about an IPv4 packet that arrives on an interface."""
    interface = packet.in_interface or ""
    packet = replace(packet, out_interface=None, uid=0)
    if not namespace.looks_at_ports:
        packet = replace(packet, ipproto=0, sport=0, dport=0)
    if is_multicast4(packet.dst):
        return receive_multicast(namespace, packet, tried)
    if is_multicast4(packet.src) or packet.src == LIMITED_BROADCAST4:
        return refuse(Reason.MARTIAN_SOURCE)
    if packet.dst == LIMITED_BROADCAST4 or (packet.src == 0 and packet.dst == 0):
        return receive_broadcast(namespace, packet, Match(), tried)
    if packet.src == 0:
        return refuse(Reason.MARTIAN_SOURCE)
    if packet.dst == 0:
        return refuse(Reason.MARTIAN_DESTINATION)
    if not namespace.sysctls.either("route_localnet", interface):
        if is_loopback4(packet.dst):
            return refuse(Reason.MARTIAN_DESTINATION)
        if is_loopback4(packet.src):
            return refuse(Reason.MARTIAN_SOURCE)
    match = look_up(namespace, packet, tried)
    forwards = namespace.sysctls.forwards(interface)
    if match.route is None or match.reason:
        return refuse(match.reason, match) if forwards else refuse(Reason.FORWARDING_OFF, match)
    if match.route.type is RouteType.BROADCAST:
        return receive_broadcast(namespace, packet, match, tried)
    if match.route.type is RouteType.LOCAL:
        refused = refusal_of_source(namespace, packet, None, tried)
        return refuse(refused, match) if refused else accept(Verdict.LOCAL, match, LOOPBACK)
    if not forwards:
        return refuse(Reason.FORWARDING_OFF, match)
    if match.route.type is not RouteType.UNICAST:
        return refuse(Reason.MARTIAN_DESTINATION, match)
    hop = chosen_hop(match, packet, choose)
    refused = refusal_of_source(namespace, packet, hop.out_interface, tried)
    if refused:
        return refuse(refused, match)
    return accept(Verdict.FORWARD, match, hop.out_interface, next_hop=hop)


def receive_multicast(namespace: Namespace, packet: Packet, tried: list[Tried]) -> Decision:
    """Decide about a multicast that arrives: every interface that is up has joined all hosts; of other groups no dump tells."""
    interface = packet.in_interface or ""
    if packet.dst != ALL_HOSTS4:
        raise UndecidedError(Reason.MULTICAST_NOT_JOINED, "ip maddr")
    if namespace.known.links and not namespace.links_by_name[interface].is_up:
        return refuse(Reason.MULTICAST_NOT_JOINED)
    if is_multicast4(packet.src) or packet.src == LIMITED_BROADCAST4:
        return refuse(Reason.MARTIAN_SOURCE)
    if is_loopback4(packet.src) and not namespace.sysctls.either("route_localnet", interface):
        return refuse(Reason.MARTIAN_SOURCE)
    refused = refusal_of_source(namespace, replace(packet, dst=0), None, tried) if packet.src else None
    return refuse(refused) if refused else Decision(Verdict.MULTICAST, device=interface)


def receive_broadcast(namespace: Namespace, packet: Packet, match: Match, tried: list[Tried]) -> Decision:
    """Decide about a broadcast that arrives; a source of 0.0.0.0 (DHCP) is not validated."""
    refused = refusal_of_source(namespace, replace(packet, dst=0), None, tried) if packet.src else None
    return refuse(refused, match) if refused else accept(Verdict.BROADCAST, match, LOOPBACK)


def decide_output4(namespace: Namespace, packet: Packet, choose: Chooser, tried: list[Tried]) -> Decision:
    """Decide about an IPv4 packet that is made on this machine."""
    special = is_multicast4(packet.dst) or packet.dst == LIMITED_BROADCAST4
    if packet.src:
        if is_multicast4(packet.src) or packet.src == LIMITED_BROADCAST4:
            return refuse(Reason.MARTIAN_SOURCE)
        if packet.out_interface is None and special:
            device = interface_of_addr(namespace, packet.src)
            if device is None:
                return refuse(Reason.SOURCE_NOT_LOCAL)
            return finish_output4(namespace, packet, Match(), device, None)
        if not is_local_addr(namespace, packet.src):
            return refuse(Reason.SOURCE_NOT_LOCAL)
    if packet.out_interface is not None and namespace.known.links and not namespace.links_by_name[packet.out_interface].is_up:
        return refuse(Reason.INTERFACE_DOWN)
    if packet.out_interface is not None and (is_local_multicast4(packet.dst) or packet.dst == LIMITED_BROADCAST4):
        source = packet.src or select_source4(namespace, packet.out_interface, None, Scope.LINK)
        return finish_output4(namespace, packet, Match(), packet.out_interface, source)
    if packet.out_interface is not None and not packet.src and is_multicast4(packet.dst):
        packet = replace(packet, src=select_source4(namespace, packet.out_interface, None, Scope.GLOBAL) or 0)
    if packet.dst == 0:
        return Decision(Verdict.LOCAL, device=LOOPBACK, prefsrc=packet.src or LOOPBACK_ADDR4)
    match = look_up(namespace, packet, tried)
    if match.route is None or match.reason:
        if packet.out_interface is None:
            return refuse(match.reason, match)
        source = packet.src or select_source4(namespace, packet.out_interface, None, Scope.LINK)
        return finish_output4(namespace, packet, Match(), packet.out_interface, source)
    if match.route.type is RouteType.LOCAL:
        source = packet.src or (packet.dst if match.route.prefsrc is None else match.route.prefsrc)
        return finish_output4(namespace, packet, match, LOOPBACK, source)
    hop = chosen_hop(match, packet, choose)
    source = packet.src or source_of_hop4(namespace, match.route, hop)
    return finish_output4(namespace, packet, match, hop.out_interface, source, next_hop=hop)


def interface_of_addr(namespace: Namespace, addr: int) -> str | None:
    """Return the interface that carries an IPv4 address, else the one of the local route that covers it."""
    if not namespace.knows_addrs:
        raise UndecidedError(Reason.MISSING_ADDRS, "ip addr")
    for row in namespace.addrs:
        if row.family == 4 and row.addr == addr:
            return row.interface
    local = local_entry4(namespace, addr)
    return local.next_hops[0].out_interface if local is not None else None


def finish_output4(
    namespace: Namespace, packet: Packet, match: Match, device: str | None, source: int | None, *, next_hop: NextHop | None = None
) -> Decision:
    """Judge source and destination once the output device is known."""
    device = device or ""
    if source is not None and is_loopback4(source) and device != LOOPBACK and not namespace.sysctls.either("route_localnet", device):
        return refuse(Reason.MARTIAN_SOURCE, match)
    prefsrc = source if not packet.src else None
    if packet.dst == LIMITED_BROADCAST4:
        return accept(Verdict.BROADCAST, match, device, prefsrc=prefsrc)
    if is_multicast4(packet.dst):
        return accept(Verdict.MULTICAST, match, device, prefsrc=prefsrc)
    if match.route is not None and match.route.type in (RouteType.BROADCAST, RouteType.LOCAL, RouteType.MULTICAST):
        return accept(Verdict(match.route.type.value), match, device, prefsrc=prefsrc)
    return accept(Verdict.OUTPUT, match, device, next_hop=next_hop, prefsrc=prefsrc)


def decide6(namespace: Namespace, packet: Packet, choose: Chooser, tried: list[Tried]) -> Decision:
    """Decide about an IPv6 packet: one look-up, no validation of the source."""
    match = look_up(namespace, packet, tried)
    if match.route is None or match.reason:
        return refuse(match.reason, match)
    hop = chosen_hop(match, packet, choose)
    prefsrc = match.route.prefsrc if packet.in_interface is None and not packet.src else None
    if match.route.type in (RouteType.LOCAL, RouteType.ANYCAST):
        return accept(Verdict.LOCAL, match, LOOPBACK, prefsrc=prefsrc)
    if match.route.type in (RouteType.BROADCAST, RouteType.MULTICAST):
        return accept(Verdict(match.route.type.value), match, hop.out_interface, prefsrc=prefsrc)
    verdict = Verdict.OUTPUT if packet.in_interface is None else Verdict.FORWARD
    return accept(verdict, match, hop.out_interface, next_hop=hop, prefsrc=prefsrc)
