"""One look-up: rules in order, tables by longest prefix, until something decides. Plain Python over the rows as they are.

The order of tests and their effects follow linux net/core/fib_rules.c, net/ipv4/fib_trie.c, fib_rules.c and net/ipv6/route.c, fib6_rules.c.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from fastroute.netns.decision import Packet, Reason, Tried
from fastroute.netns.model import (
    ADDR_BITS,
    ANY,
    LOOPBACK,
    TABLE_DEFAULT,
    TABLE_LOCAL,
    TABLE_MAIN,
    Namespace,
    NextHop,
    Route,
    RouteType,
    Rule,
    RuleAction,
    preference,
    table_text,
)

LEGACY_TOS_MASK = 0x1C
"""IPv4 compares these bits of a packet's tos only. Source: linux include/uapi/linux/ip.h, include/net/inet_dscp.h."""

ROUTE_ERRORS = {
    RouteType.BLACKHOLE: Reason.BLACKHOLE_ROUTE,
    RouteType.UNREACHABLE: Reason.UNREACHABLE_ROUTE,
    RouteType.PROHIBIT: Reason.PROHIBIT_ROUTE,
}
RULE_ERRORS = {
    RuleAction.BLACKHOLE: Reason.BLACKHOLE_RULE,
    RuleAction.UNREACHABLE: Reason.UNREACHABLE_RULE,
    RuleAction.PROHIBIT: Reason.PROHIBIT_RULE,
}
ROUTER_PREFERENCE = {"low": 1, "medium": 2, "high": 3}


class UndecidedError(Exception):
    """The namespace lacks what this answer needs. Caught by the walk, which answers UNDECIDED."""

    def __init__(self, reason: Reason, missing: str) -> None:
        super().__init__(missing)
        self.reason = reason
        self.missing = missing


@dataclass(frozen=True, slots=True)
class Match:
    """Where a look-up ended: at a route, or at an error. `hops` are the next hops among which the choice is."""

    route: Route | None = None
    hops: tuple[NextHop, ...] = ()
    rule: Rule | None = None
    table_id: int | None = None
    reason: Reason = Reason.NONE


NO_ROUTE = Match(reason=Reason.NO_ROUTE)


def look_up(namespace: Namespace, packet: Packet, tried: list[Tried], *, is_reverse: bool = False) -> Match:
    """Walk the rules for one packet.

    Parameters
    ----------
    packet : Packet
        `in_interface` None stands for `lo`, as in the kernel.
    tried : list of Tried
        Every rule that was come to is appended, with its outcome.

    Returns
    -------
    Match
        With a route, or with the reason why there is none to take.

    Raises
    ------
    UndecidedError
        The rules or a table that the walk came to are not in the dumps.
    """
    if packet.family not in namespace.known.rules:
        raise UndecidedError(Reason.MISSING_RULES, "ip rule" if packet.family == 4 else "ip -6 rule")
    if packet.family == 4 and not namespace.has_custom_rules(4):
        return look_up_merged(namespace, packet, tried, is_reverse)
    rules = namespace.effective_rules(packet.family)
    position = 0
    while position < len(rules):
        rule = rules[position]
        position += 1
        mismatch = mismatch_of(rule, packet)
        if mismatch:
            tried.append(Tried(rule, mismatch, is_reverse))
            continue
        if rule.action is RuleAction.GOTO:
            # the kernel takes no rule that jumps back; a damaged dump may hold one
            target = next((i for i in range(position, len(rules)) if rules[i].priority == rule.goto_priority != rule.priority), None)
            tried.append(Tried(rule, "jumps" if target is not None else "goes to a rule that is not there", is_reverse))
            position = position if target is None else target
        elif rule.action is RuleAction.NOP:
            tried.append(Tried(rule, "does nothing", is_reverse))
        elif rule.action is RuleAction.LOOKUP:
            match = look_up_table(namespace, rule.table_id, packet)
            if match is None:
                tried.append(Tried(rule, f"no route in table {table_text(rule.table_id)}", is_reverse))
            elif not match.reason and match.route is not None and match.route.prefix.prefix_len <= rule.suppress_prefix_len:
                tried.append(Tried(rule, f"match /{match.route.prefix.prefix_len} is suppressed", is_reverse))
            else:
                tried.append(Tried(rule, "decides", is_reverse))
                return Match(match.route, match.hops, rule, rule.table_id, match.reason)
        else:
            tried.append(Tried(rule, "decides", is_reverse))
            return Match(rule=rule, reason=RULE_ERRORS[rule.action])
    return NO_ROUTE


def look_up_merged(namespace: Namespace, packet: Packet, tried: list[Tried], is_reverse: bool) -> Match:
    """Look up as IPv4 does while nobody has changed the rules: local and main are one table, then default.

    So a route of main that is more specific than a local one wins, which it would not do by the rules. Source: linux include/net/ip_fib.h
    fib_lookup, net/ipv4/fib_frontend.c fib_new_table.
    """
    local_rule, main_rule, default_rule = namespace.rules_by_family[4]
    for table_id in (TABLE_LOCAL, TABLE_MAIN):
        require_table(namespace, 4, table_id)
    found = first_usable4(merged_tables4(namespace, (TABLE_LOCAL, TABLE_MAIN)), packet)
    if found is not None and found.route is not None:
        rule = local_rule if found.route.table_id == TABLE_LOCAL else main_rule
    else:
        tried.extend(Tried(passed, f"no route in table {table_text(passed.table_id)}", is_reverse) for passed in (local_rule, main_rule))
        rule = default_rule
        found = look_up_table(namespace, TABLE_DEFAULT, packet)
    if found is None:
        tried.append(Tried(rule, "no route in table default", is_reverse))
        return NO_ROUTE
    tried.append(Tried(rule, "decides", is_reverse))
    return Match(found.route, found.hops, rule, rule.table_id, found.reason)


def merged_tables4(namespace: Namespace, table_ids: Iterable[int]) -> list[Route]:
    """Return the routes of several IPv4 tables as one: longest first, of equal prefixes the higher table first, as local before main."""
    routes = (route for table_id in table_ids for route in namespace.tables.get((4, table_id), ()))
    return sorted(routes, key=lambda r: (-r.prefix.prefix_len, -r.table_id, *preference(r)))


def mismatch_of(rule: Rule, packet: Packet) -> str:
    """Return why the rule does not select the packet; empty where it does.

    Raises
    ------
    UndecidedError
        The rule carries a selector that is not modelled, all others match, and it would do something.
    """
    mismatch = selector_mismatch(rule, packet)
    if rule.unsupported and not mismatch and rule.action is not RuleAction.NOP:
        raise UndecidedError(Reason.UNSUPPORTED_RULE, f"rule {rule.priority} selects by {rule.unsupported}")
    if rule.inverted:
        return "" if mismatch else "inverted, and all its selectors match"
    return mismatch


def selector_mismatch(rule: Rule, packet: Packet) -> str:
    """Return the first selector that differs, before inversion."""
    bits = ADDR_BITS[rule.family]
    if rule.in_interface is not None and (rule.iif_detached or rule.in_interface != (packet.in_interface or LOOPBACK)):
        return "input interface differs"
    if rule.out_interface is not None and (rule.oif_detached or rule.out_interface != packet.out_interface):
        return "output interface differs"
    if (rule.fwmark ^ packet.fwmark) & rule.fwmask:
        return "mark differs"
    if rule.uid_range is not None and not rule.uid_range[0] <= packet.uid <= rule.uid_range[1]:
        return "user differs"
    if rule.src_prefix != ANY and not rule.src_prefix.covers(packet.src, bits):
        return "source differs"
    if rule.dst_prefix != ANY and not rule.dst_prefix.covers(packet.dst, bits):
        return "destination differs"
    if rule.tos and rule.tos != (packet.tos & LEGACY_TOS_MASK if rule.family == 4 else packet.tos):
        return "tos differs"
    if rule.ipproto and rule.ipproto != packet.ipproto:
        return "protocol differs"
    if rule.sport is not None and not rule.sport[0] <= packet.sport <= rule.sport[1]:
        return "source port differs"
    if rule.dport is not None and not rule.dport[0] <= packet.dport <= rule.dport[1]:
        return "destination port differs"
    return ""


def require_table(namespace: Namespace, family: int, table_id: int) -> None:
    """Raise UndecidedError unless all routes of the table are known."""
    if not namespace.known.has_table(family, table_id):
        raise UndecidedError(Reason.MISSING_TABLE, f"ip {'' if family == 4 else '-6 '}route show table {table_text(table_id)}")


def look_up_table(namespace: Namespace, table_id: int, packet: Packet) -> Match | None:
    """Find the deciding route of one table; None where there is none, or a throw route says to go on."""
    require_table(namespace, packet.family, table_id)
    routes = namespace.tables.get((packet.family, table_id), ())
    return first_usable4(routes, packet) if packet.family == 4 else first_usable6(namespace, routes, packet)


def covering(routes: Iterable[Route], addr: int, bits: int) -> Iterator[Route]:
    """Yield the routes that cover an address, preferred ones first."""
    return (route for route in routes if route.prefix.covers(addr, bits))


def first_usable4(routes: Iterable[Route], packet: Packet) -> Match | None:
    """Return the first covering route with a usable next hop, or the error of the first that refuses."""
    for route in covering(routes, packet.dst, 32):
        if route.tos and route.tos != packet.tos & LEGACY_TOS_MASK:
            continue
        if route.type is RouteType.THROW:
            return None
        if route.type in ROUTE_ERRORS:
            return Match(route, reason=ROUTE_ERRORS[route.type])
        usable = tuple(hop for hop in route.next_hops if not hop.is_dead and packet.out_interface in (None, hop.out_interface))
        if usable:
            return Match(route, usable if packet.out_interface is None else usable[:1])
    return None


def first_usable6(namespace: Namespace, routes: Sequence[Route], packet: Packet) -> Match | None:
    """Return the deciding IPv6 route: among equals of one prefix and metric, the one on the interface asked for, then by router preference.

    The interface is the output interface of a local packet, else the one that the packet came in by (there only a preference, but for
    link-local and multicast destinations, which never leave their link).
    """
    wanted = packet.out_interface if packet.in_interface is None else packet.in_interface
    must = wanted is not None and (is_bound_to_link(packet.dst) or (packet.in_interface is None and packet.src == 0))
    for _, equals in groupby(fitting_source(covering(routes, packet.dst, 128), packet.src), key=preference):
        best: tuple[int, Route, tuple[NextHop, ...]] | None = None
        for route in equals:
            alive = tuple(hop for hop in route.next_hops or (NextHop(LOOPBACK),) if not hop.is_dead)
            wanted_hops = alive if wanted is None else tuple(hop for hop in alive if hop.out_interface == wanted)
            usable = wanted_hops if must else alive
            score = 2 * bool(wanted_hops) + 4 * ROUTER_PREFERENCE.get(route.pref, 2)
            if usable and (best is None or score > best[0]):
                best = (score, route, usable)
        if best is None:
            continue
        _, route, hops = best
        if route.type is RouteType.THROW:
            return None
        if route.type in ROUTE_ERRORS:
            return Match(route, reason=ROUTE_ERRORS[route.type])
        return Match(route, hops)
    return None


def fitting_source(routes: Iterable[Route], src: int) -> Iterator[Route]:
    """Yield the covering routes that the source may use: those for its own sources first, then those for all.

    A quirk of the kernel: where a destination has routes for some sources only, and none of them fits, its routes for all sources are
    passed over too, but only until a first route was found (and never for ::/0).
    Source: linux net/ipv6/ip6_fib.c fib6_node_lookup_1, fib6_backtrack.
    """
    has_begun = False
    for prefix, group in groupby(routes, key=lambda r: r.prefix):
        same_destination = list(group)
        own = [r for r in same_destination if r.src_prefix != ANY and r.src_prefix.covers(src, 128)]
        everyones = [r for r in same_destination if r.src_prefix == ANY]
        if not own and len(everyones) < len(same_destination) and not has_begun and prefix.prefix_len:
            continue
        has_begun = has_begun or bool(own or everyones)
        yield from own
        yield from everyones


def is_bound_to_link(addr: int) -> bool:
    """Say whether an IPv6 destination is looked up on the given link only: multicast, link-local, loopback."""
    return is_multicast6(addr) or is_link_local6(addr) or addr == 1


def is_multicast6(addr: int) -> bool:
    """ff00::/8."""
    return addr >> 120 == 0xFF


def is_link_local6(addr: int) -> bool:
    """fe80::/10."""
    return addr >> 118 == 0x3FA
