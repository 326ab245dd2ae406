"""The slow truth of the rule walk: first match over lists, with addresses as `ipaddress` objects. Shares only the rows with the engine.

It knows the look-up proper (rules, tables, throw, goto, suppress, inversion) for IPv4 with custom rules, and no kernel quirks.
"""

from ipaddress import ip_address, ip_network

from fastroute.netns.model import Namespace, Route, Rule

ENDS = {"blackhole": "EINVAL", "unreachable": "EHOSTUNREACH", "prohibit": "EACCES"}
RULE_ENDS = {"blackhole": "EINVAL", "unreachable": "ENETUNREACH", "prohibit": "EACCES"}


def network(prefix):
    return ip_network((prefix.addr, prefix.prefix_len))


def selects(rule: Rule, packet) -> bool:
    checks = [
        ip_address(packet.src) in network(rule.src_prefix),
        ip_address(packet.dst) in network(rule.dst_prefix),
        packet.fwmark & rule.fwmask == rule.fwmark & rule.fwmask,
        rule.in_interface is None or (not rule.iif_detached and rule.in_interface == (packet.in_interface or "lo")),
        rule.out_interface is None or (not rule.oif_detached and rule.out_interface == packet.out_interface),
        rule.uid_range is None or packet.uid in range(rule.uid_range[0], rule.uid_range[1] + 1),
        rule.ipproto in (0, packet.ipproto),
        rule.sport is None or packet.sport in range(rule.sport[0], rule.sport[1] + 1),
        rule.dport is None or packet.dport in range(rule.dport[0], rule.dport[1] + 1),
        rule.tos in (0, packet.tos & 0x1C),
    ]
    return all(checks) != rule.inverted


def best(routes, packet) -> Route | None:
    candidates = [
        (-route.prefix.prefix_len, -route.tos, route.metric, position)
        for position, route in enumerate(routes)
        if ip_address(packet.dst) in network(route.prefix)
        and route.tos in (0, packet.tos & 0x1C)
        and (
            route.type.value in (*ENDS, "throw")
            or any(not hop.is_dead and packet.out_interface in (None, hop.out_interface) for hop in route.next_hops)
        )
    ]
    return routes[min(candidates)[3]] if candidates else None


def look_up(namespace: Namespace, packet):
    """Return (rule, route, error); error is "" where the route is usable."""
    rules = sorted((r for r in namespace.rules if r.family == 4), key=lambda r: r.priority)
    waiting_for = None
    for rule in rules:
        if waiting_for is not None and rule.priority != waiting_for:
            continue
        waiting_for = None
        if not selects(rule, packet):
            continue
        action = rule.action.value
        if action == "goto":
            if rule.goto_priority > rule.priority and any(r.priority == rule.goto_priority for r in rules):
                waiting_for = rule.goto_priority
        elif action in RULE_ENDS:
            return rule, None, RULE_ENDS[action]
        elif action == "lookup":
            route = best([r for r in namespace.routes if r.family == 4 and r.table_id == rule.table_id], packet)
            if route is None or route.type.value == "throw":
                continue
            if route.type.value in ENDS:
                return rule, route, ENDS[route.type.value]
            if route.prefix.prefix_len > rule.suppress_prefix_len:
                return rule, route, ""
    return None, None, "ENETUNREACH"
