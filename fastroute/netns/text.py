"""Rules and routes as iproute2 writes them, for people, and for `ip -batch`."""

from __future__ import annotations

from fastroute.netns.model import ADDR_BITS, ANY, TABLE_MAIN, Prefix, Route, Rule, RuleAction, Scope, addr_text, table_text


def prefix_text(family: int, prefix: Prefix, *, everything: str = "default") -> str:
    """Format a prefix; a host as its address alone, everything as the given word."""
    if prefix == ANY:
        return everything
    return addr_text(family, prefix.addr) if prefix.prefix_len == ADDR_BITS[family] else prefix.text(family)


def range_text(ports: tuple[int, int]) -> str:
    """Format a range of ports or users; one number alone."""
    return str(ports[0]) if ports[0] == ports[1] else f"{ports[0]}-{ports[1]}"


def rule_text(rule: Rule) -> str:
    """Format a rule without its priority, as `from all to 10.0.5.5 lookup main`."""
    words = ["not"] if rule.inverted else []
    words += ["from", prefix_text(rule.family, rule.src_prefix, everything="all")]
    if rule.dst_prefix != ANY:
        words += ["to", prefix_text(rule.family, rule.dst_prefix)]
    if rule.tos:
        words += ["tos", f"{rule.tos:#x}"]
    if rule.fwmask:
        words += ["fwmark", f"{rule.fwmark:#x}" + ("" if rule.fwmask == 2**32 - 1 else f"/{rule.fwmask:#x}")]
    if rule.in_interface is not None:
        words += ["iif", rule.in_interface]
    if rule.out_interface is not None:
        words += ["oif", rule.out_interface]
    if rule.uid_range is not None:
        words += ["uidrange", f"{rule.uid_range[0]}-{rule.uid_range[1]}"]
    if rule.ipproto:
        words += ["ipproto", str(rule.ipproto)]
    if rule.sport is not None:
        words += ["sport", range_text(rule.sport)]
    if rule.dport is not None:
        words += ["dport", range_text(rule.dport)]
    words.append(action_text(rule))
    if rule.suppress_prefix_len >= 0:
        words += ["suppress_prefixlength", str(rule.suppress_prefix_len)]
    return " ".join(words)


def action_text(rule: Rule) -> str:
    """Format what a rule does."""
    if rule.action is RuleAction.LOOKUP:
        return f"lookup {table_text(rule.table_id)}"
    if rule.action is RuleAction.GOTO:
        return f"goto {rule.goto_priority}"
    return rule.action.value


def route_text(route: Route) -> str:
    """Format a route, as `10.0.5.5 dev eni1 scope link`."""
    words = [] if route.type.value == "unicast" else [route.type.value]
    words.append(prefix_text(route.family, route.prefix))
    if route.src_prefix != ANY:
        words += ["from", prefix_text(route.family, route.src_prefix)]
    if route.tos:
        words += ["tos", f"{route.tos:#x}"]
    if len(route.next_hops) == 1:
        words += hop_words(route, 0)
    if route.table_id != TABLE_MAIN:
        words += ["table", table_text(route.table_id)]
    if route.protocol:
        words += ["proto", route.protocol]
    if route.scope is not Scope.GLOBAL:
        words += ["scope", route.scope.value]
    if route.prefsrc is not None:
        words += ["src", addr_text(route.family, route.prefsrc)]
    if route.metric:
        words += ["metric", str(route.metric)]
    if route.is_multipath:
        for position, hop in enumerate(route.next_hops):
            words += ["nexthop", *hop_words(route, position), "weight", str(hop.weight)]
    return " ".join(words)


def hop_words(route: Route, position: int) -> list[str]:
    """Format one next hop of a route."""
    hop = route.next_hops[position]
    words = []
    if hop.gateway is not None:
        other = hop.gateway_family != route.family
        words += ["via", *(["inet6" if hop.gateway_family == 6 else "inet"] if other else []), addr_text(hop.gateway_family, hop.gateway)]
    if hop.out_interface is not None:
        words += ["dev", hop.out_interface]
    if hop.is_onlink:
        words.append("onlink")
    return words
