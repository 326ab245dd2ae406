"""The tables of secondary interfaces and of VLANs: two routes each, by the right device and gateway, and the rules that lead there."""

from __future__ import annotations

from collections.abc import Iterator

from fastroute.cni import naming
from fastroute.cni.drift.facts import KnownEni
from fastroute.cni.drift.findings import Finding, Severity, Unjudged, found
from fastroute.cni.drift.scene import Scene, is_branch_table, is_plugin_table
from fastroute.netns.model import ANY, LOOPBACK, TABLE_LOCAL, Prefix, Route, RouteType, Rule, essence, table_text


def check_tables(scene: Scene) -> Iterator[Finding | Unjudged]:
    """Check each interface with a table of its own, its 32765 rule, and tables that only rules name."""
    if scene.facts.enis is None:
        yield Unjudged("which ENI each pod and table belongs to", "the node's ENIs: network-interfaces.json of a snapshot, or enis.json")
    in_use = {rule.table_id for rules in scene.from_pod.values() for rule in rules}
    for table_id, eni in scene.secondary_tables.items():
        if is_branch_table(table_id):
            continue
        if eni is not None and (lost := _lost_device(scene, eni)) is not None:
            yield lost
            continue
        yield from _check_table(scene, table_id, eni, is_in_use=table_id in in_use)
    yield from _check_eni_rules(scene)


def _lost_device(scene: Scene, eni: KnownEni) -> Finding | None:
    """The interface's device is absent or down: its routes are gone with it, and need no finding of their own."""
    device = scene.device_of(eni)
    link = scene.namespace.links_by_name.get(device or "")
    if link is not None and not link.is_up:
        return found("eni-down", eni.name, f"its device {link.name} is down", link)
    if device is None and eni.mac and scene.namespace.known.links and scene.device_of_mac:
        return found("eni-without-device", eni.name, f"no device has its MAC {eni.mac}")
    return None


def _check_table(scene: Scene, table_id: int, eni: KnownEni | None, *, is_in_use: bool) -> Iterator[Finding | Unjudged]:
    subject = table_text(table_id)
    if not scene.knows_table(table_id):
        yield Unjudged(f"table {subject}", f"`ip route show table {subject}`, whole")
        return
    routes = scene.table(table_id)
    severity = None if is_in_use else Severity.WARNING
    if not routes:
        if eni is None and not is_in_use and not _is_own_address(scene, table_id):
            return  # left of an interface that is gone: its rule is the finding
        name = f" ({eni.name})" if eni is not None else ""
        yield found("empty-table", subject, f"table {subject}{name} has no routes", severity=severity)
        return
    defaults = [route for route in routes if route.prefix == ANY]
    if not defaults:
        yield found("missing-table-default", subject, f"table {subject} has no default route", routes[0], severity)
        return
    yield from _check_default(scene, table_id, eni, defaults[0])
    hop = defaults[0].next_hops[0] if defaults[0].next_hops else None
    device = hop.out_interface if hop is not None else None
    if hop is not None and hop.gateway is not None and not any(r.prefix == Prefix(hop.gateway, scene.bits) for r in routes):
        text = f"table {subject} has no route {scene.text(hop.gateway)} dev {device} scope link"
        yield found("missing-gateway-route", subject, text, defaults[0])
    for route in routes:
        others = [hop.out_interface for hop in route.next_hops if hop.out_interface != device]
        if route not in defaults[:1] and (others or route.type is not RouteType.UNICAST) and not is_branch_table(table_id):
            what = f"by {others[0]}" if others else f"of type {route.type}"
            yield found("foreign-table-route", subject, f"route {route.prefix.text(scene.family)} {what} in table {subject}", route)


def _is_own_address(scene: Scene, table_id: int) -> bool:
    """Whether a rule from an address that this node still has leads to the table."""
    return any(rule.table_id == table_id and addr in scene.device_of_addr for addr, rules in scene.from_eni.items() for rule in rules)


def _check_default(scene: Scene, table_id: int, eni: KnownEni | None, default: Route) -> Iterator[Finding]:
    subject = table_text(table_id)
    if default.type is not RouteType.UNICAST or not default.next_hops:
        yield found("wrong-gateway", f"table {subject}", f"its default route is of type {default.type}", default)
        return
    hop = default.next_hops[0]
    expected = expected_device(scene, table_id, eni)
    if expected is not None and hop.out_interface != expected:
        text = f"the default route of table {subject} leaves by {hop.out_interface}; its ENI is {expected}"
        yield found("wrong-device", f"table {subject}", text, default)
        return
    gateway = expected_gateway(scene, eni, hop.out_interface)
    if gateway is not None and hop.gateway != gateway:
        seen = "no gateway" if hop.gateway is None else f"gateway {scene.text(hop.gateway)}"
        text = f"the default route of table {subject} has {seen}; the subnet's router is {scene.text(gateway)}"
        yield found("wrong-gateway", f"table {subject}", text, default)


def expected_device(scene: Scene, table_id: int, eni: KnownEni | None) -> str | None:
    """The device of a table's interface; of an unknown one, the device of the address whose 32765 rule leads there."""
    return scene.device_of(eni) if eni is not None else scene.owner_of_table(table_id)


def expected_gateway(scene: Scene, eni: KnownEni | None, device: str | None) -> int | None:
    """The VPC's router in the interface's subnet: its base + 1. IPv4 only; of IPv6 the router is known by more than one address."""
    if scene.family != 4:
        return None
    subnet = eni.subnet if eni is not None and eni.subnet is not None else scene.subnet_on(device or "")
    return subnet.addr + 1 if subnet is not None else None


def _check_eni_rules(scene: Scene) -> Iterator[Finding]:
    """Check `32765: from <the interface's own address>`, there since plugin 1.20."""
    expected = dict(_eni_rules_expected(scene))
    severity = None if scene.facts.since_1_20 or scene.from_eni else Severity.INFO
    for addr, table_id in expected.items():
        source = Prefix(addr, scene.bits)
        rules = [rule for rule in scene.rules if rule.src_prefix == source and rule.priority != naming.RULE_FROM_POD]
        if not rules and scene.knows_all_rules:
            text = f"no rule {naming.RULE_FROM_ENI}: from {scene.text(addr)} lookup {table_text(table_id)}"
            yield found(
                "missing-eni-rule", scene.text(addr), text + (" (plugins before 1.20 make none)" if severity else ""), None, severity
            )
        elif rules and rules[0].table_id != table_id:
            text = f"rule {rules[0].priority} looks up table {table_text(rules[0].table_id)}; the ENI's is {table_text(table_id)}"
            yield found("wrong-table", scene.text(addr), text, rules[0])
    for addr, rules in scene.from_eni.items():
        for i, rule in enumerate(rules):
            if i and essence(rule) == essence(rules[i - 1]):
                yield found("duplicate-rule", scene.text(addr), f"rule {rule.priority} is there twice", rule)
        if _is_stale(scene, addr, rules[0]) and addr not in expected:
            text = f"rule {rules[0].priority} to table {table_text(rules[0].table_id)}; no secondary ENI of the node has this address"
            yield found("stale-eni-rule", scene.text(addr), text, rules[0])


def _is_stale(scene: Scene, addr: int, rule: Rule) -> bool:
    """Whether a 32765 rule's address is that of no interface; only the plugin's own tables are looked at."""
    if not is_plugin_table(rule.table_id) or scene.family != 4:
        return False
    enis = scene.facts.enis
    if enis is not None and all(eni.addr is not None for eni in enis):
        return not any(eni.addr == addr for eni in enis)
    return scene.namespace.known.has_table(4, TABLE_LOCAL) and addr not in scene.device_of_addr


def _eni_rules_expected(scene: Scene) -> Iterator[tuple[int, int]]:
    """Own addresses of secondary interfaces with their tables; where AWS was not asked, that of the device that the table leads to."""
    if scene.family != 4:
        return
    for table_id, eni in scene.secondary_tables.items():
        if is_branch_table(table_id) or (eni is not None and eni.is_trunk):
            continue
        if eni is not None and eni.addr is not None:
            yield eni.addr, table_id
            continue
        device = _device_of_table(scene, table_id)
        own = [addr for addr, name in scene.device_of_addr.items() if name == device and name != LOOPBACK]
        is_only_one = [_device_of_table(scene, other) for other in scene.secondary_tables].count(device) == 1
        if len(own) == 1 and device not in (None, scene.primary_device) and is_only_one:
            yield own[0], table_id


def _device_of_table(scene: Scene, table_id: int) -> str | None:
    """Where a table's default route leaves."""
    default = next((route for route in scene.table(table_id) if route.prefix == ANY and route.next_hops), None)
    return default.next_hops[0].out_interface if default is not None else None


def check_addresses(scene: Scene) -> Iterator[Finding]:
    """Check that each managed interface still has its own address (DHCP clients and NetworkManager take it away)."""
    namespace = scene.namespace
    if scene.family != 4 or not (namespace.known.addrs or scene.knows_table(TABLE_LOCAL)):
        return
    for eni in scene.facts.enis or ():
        if eni.addr is None or not eni.is_managed or eni.addr in scene.device_of_addr or _lost_device(scene, eni) is not None:
            continue
        yield found("eni-without-address", scene.text(eni.addr), f"no device has the own address of {eni.name}")


def check_branches(scene: Scene) -> Iterator[Finding | Unjudged]:
    """Check VLANs and veths of pods with security groups of their own, strict and standard mode.

    Source: amazon-vpc-cni-k8s v1.23.1 cmd/routed-eni-cni-plugin/driver/driver.go setupIIFBasedContainerRouteRules, setupVlan.
    """
    rules = [rule for rule in scene.rules_at(naming.RULE_BRANCH_INTERFACE) if rule.in_interface and is_branch_table(rule.table_id)]
    by_table: dict[int, dict[str, Rule]] = {}
    for rule in rules:
        names = by_table.setdefault(rule.table_id, {})
        name = rule.in_interface or ""
        if name in names:
            yield found("duplicate-rule", name, f"rule {rule.priority} is there twice", rule)
        names[name] = rule
    yield from _check_branch_pods(scene, rules)
    for table_id, names in sorted(by_table.items()):
        yield from _check_strict_table(scene, table_id, names)
    standard = {r.table_id for rules in scene.from_pod.values() for r in rules if is_branch_table(r.table_id)} - set(by_table)
    for table_id in sorted(standard):
        yield from _check_table(scene, table_id, None, is_in_use=True)


def _check_branch_pods(scene: Scene, rules: list[Rule]) -> Iterator[Finding]:
    for pod in scene.pods:
        if not pod.is_branch or not scene.knows_all_rules:
            continue
        is_strict = any((rule.in_interface or "")[-naming.VETH_HASH_LEN :] in pod.hashes for rule in rules)
        is_standard = pod.addr in scene.to_pod or pod.addr in scene.from_pod
        if not is_strict and not is_standard:
            text = f"neither a rule {naming.RULE_BRANCH_INTERFACE} of its veth (strict mode) nor rules 512 and 1536 (standard mode)"
            yield found("missing-branch-rule", scene.subject(pod), text)
        elif not is_strict and pod.addr not in scene.to_pod:
            yield found("missing-to-pod-rule", scene.subject(pod), f"no rule {naming.RULE_TO_POD} of a branch pod in standard mode")
        elif not is_strict and pod.addr not in scene.from_pod:
            yield found("missing-from-pod-rule", scene.subject(pod), f"no rule {naming.RULE_FROM_POD} of a branch pod in standard mode")


def _check_strict_table(scene: Scene, table_id: int, names: dict[str, Rule]) -> Iterator[Finding | Unjudged]:
    vlan = f"vlan.eth.{table_id - naming.BRANCH_TABLE_BASE}"
    first = next(iter(names.values()))
    if any(rule.iif_detached for rule in names.values()):
        gone = next(rule for rule in names.values() if rule.iif_detached)
        yield found("stale-branch-rule", gone.in_interface or "", "the rule's interface does not exist any more", gone)
        return
    veths = [name for name in names if name != vlan]
    if vlan not in names and scene.knows_all_rules:
        text = f"no rule {naming.RULE_BRANCH_INTERFACE}: iif {vlan} lookup {table_id}"
        yield found("missing-branch-rule", veths[0], text, first)
    elif not veths and scene.knows_all_rules:
        text = f"no rule {naming.RULE_BRANCH_INTERFACE} of the veth behind {vlan}"
        yield found("missing-branch-rule", vlan, text, first)
    yield from _check_table(scene, table_id, None, is_in_use=True)
    routes = scene.table(table_id)
    default = next((route for route in routes if route.prefix == ANY and route.next_hops), None)
    if default is not None and default.next_hops[0].out_interface != vlan:
        text = f"the default route of table {table_id} leaves by {default.next_hops[0].out_interface}; its VLAN is {vlan}"
        yield found("wrong-device", f"table {table_id}", text, default)
    for veth in veths:
        if default is not None and not any(hop.out_interface == veth for route in routes for hop in route.next_hops):
            yield found("missing-pod-route", veth, f"table {table_id} has no route to the pod behind {veth}", names[veth])
