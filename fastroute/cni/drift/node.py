"""What the node has once: its standing rules, table main, foreign policy routing, and the switches of the kernel."""

from __future__ import annotations

from collections.abc import Iterator

from fastroute.cni import naming
from fastroute.cni.drift.facts import prefix_of
from fastroute.cni.drift.findings import Finding, Severity, Source, Unjudged, found
from fastroute.cni.drift.pods import is_before_marks
from fastroute.cni.drift.scene import Scene, covered, is_veth, overlap
from fastroute.cni.drift.tables import expected_gateway
from fastroute.netns.model import (
    ANY,
    LOOPBACK,
    TABLE_DEFAULT,
    TABLE_LOCAL,
    TABLE_MAIN,
    Prefix,
    Route,
    RouteType,
    Rule,
    RuleAction,
    essence,
)
from fastroute.netns.text import rule_text

PLUGIN_PRIORITIES = {
    naming.RULE_LOCAL,
    naming.RULE_BRANCH_INTERFACE,
    naming.RULE_LOCAL_STRICT,
    naming.RULE_TO_POD,
    naming.RULE_MARKED,
    naming.RULE_EXTERNAL_SERVICE,
    naming.RULE_FROM_POD,
    naming.RULE_FROM_ENI,
    naming.RULE_MAIN,
}
NM_CLOUD_SETUP = range(30200, 30600)
"""Priorities and tables of NetworkManager's nm-cloud-setup: 30200 and up, 30400 and up. Source: its manual page."""
EC2_NET_UTILS = range(10001, 10000 + naming.CARD_TABLE_STRIDE)
"""Tables of amazon-ec2-net-utils on the first network card; the plugin's own begin a hundred later."""
STRICT = 1


def check_standing_rules(scene: Scene) -> Iterator[Finding | Unjudged]:
    """Check the rules that every node has once: local, main, marked connections, external services."""
    if not scene.knows_all_rules:
        return
    yield from _check_local_rule(scene)
    mains = [r for r in scene.rules if r.table_id == TABLE_MAIN and r.action is RuleAction.LOOKUP and _selects_all(r)]
    if not mains:
        yield found("missing-main-rule", "rule 32766", "no rule that looks up table main for every packet")
    for mark in _repeats(scene.rules_at(naming.RULE_MARKED)):
        yield found("duplicate-rule", "marked connections", f"rule {mark.priority} is there twice", mark)
    yield from _check_mark_rule(scene)
    yield from _check_external_services(scene)


def _repeats(rules: tuple[Rule, ...]) -> list[Rule]:
    return [rule for i, rule in enumerate(rules) if any(essence(rule) == essence(r) for r in rules[:i])]


def _selects_all(rule: Rule) -> bool:
    return essence(rule) == Rule(rule.priority, rule.family, table_id=rule.table_id)


def _check_local_rule(scene: Scene) -> Iterator[Finding]:
    settings = scene.facts.settings
    local = [r for r in scene.rules if r.table_id == TABLE_LOCAL and r.action is RuleAction.LOOKUP and _selects_all(r)]
    if not local:
        yield found("missing-local-rule", "rule 0", "no rule that looks up table local for every packet")
        return
    strict_rules = scene.rules_at(naming.RULE_BRANCH_INTERFACE)
    is_strict = settings is not None and scene.facts.knows_pod_eni and settings.pod_eni and settings.is_strict
    if len(local) > 1 and strict_rules and local[0].priority < naming.RULE_BRANCH_INTERFACE:
        text = f"table local is looked up at {local[0].priority} and at {local[-1].priority}: the first precedes the branch pods' rules"
        yield found("extra-local-rule", "rule 0", text, local[0])
    elif local[0].priority < naming.RULE_BRANCH_INTERFACE and (is_strict or strict_rules):
        text = f"table local is looked up at {local[0].priority}; in strict mode the plugin moves that rule to {naming.RULE_LOCAL_STRICT}"
        yield found("local-rule-not-moved", "rule 0", text, local[0])
    elif settings is not None and scene.facts.knows_pod_eni and not is_strict and local[0].priority == naming.RULE_LOCAL_STRICT:
        text = "table local is looked up at 20, as strict mode left it; the plugin does not move it back, a reboot does"
        yield found("mixed-settings", "rule 20", text, local[0])


def _check_mark_rule(scene: Scene) -> Iterator[Finding | Unjudged]:
    settings, marks = scene.facts.settings, scene.marks
    rules = [r for r in scene.rules_at(naming.RULE_MARKED) if r.fwmark and r.table_id == TABLE_MAIN]
    mark = settings.connmark if settings is not None else marks.mark if marks is not None else 0
    sets_marks = marks is not None and bool(marks.outbound or marks.node_port_interface)
    is_wanted = settings.marks_connections if settings is not None else sets_marks
    if not rules:
        if is_wanted and not is_before_marks(scene):
            why = "" if settings is not None else ", though connections are marked"
            yield found(
                "missing-mark-rule", "rule 1024", f"no rule {naming.RULE_MARKED}: from all fwmark {mark:#x}/{mark:#x} lookup main{why}"
            )
        elif settings is None and marks is None:
            yield Unjudged("whether rule 1024 is wanted", "the plugin's settings, or iptables-save")
        return
    if mark and not any(r.fwmark == mark and r.fwmask & mark == mark for r in rules):
        yield found("wrong-mark", "rule 1024", f"the rule's mark is {rules[0].fwmark:#x}; connections are marked {mark:#x}", rules[0])


def _check_external_services(scene: Scene) -> Iterator[Finding]:
    settings = scene.facts.settings
    if settings is None or scene.family != 4:
        return
    rules = {rule.dst_prefix: rule for rule in scene.rules_at(naming.RULE_EXTERNAL_SERVICE) if rule.table_id == TABLE_MAIN}
    wanted = {prefix_of(text) for text in settings.external_service_cidrs}
    for prefix in sorted(wanted - set(rules)):
        text = f"no rule {naming.RULE_EXTERNAL_SERVICE}: from all to {prefix.text(4)} lookup main"
        yield found("missing-external-service-rule", prefix.text(4), text)
    for prefix in sorted(set(rules) - wanted):
        text = f"rule {naming.RULE_EXTERNAL_SERVICE}, though AWS_EXTERNAL_SERVICE_CIDRS does not list the range"
        yield found("extra-external-service-rule", prefix.text(4), text, rules[prefix])


def check_foreign_rules(scene: Scene) -> Iterator[Finding]:
    """Find policy routing that is neither the plugin's nor the kernel's and can decide packets of pods or of the node's interfaces."""
    cloud = [r for r in scene.rules if r.priority in NM_CLOUD_SETUP or r.table_id in NM_CLOUD_SETUP]
    if cloud:
        text = f"{len(cloud)} rules at priorities 30200 to 30599, the first: {cloud[0].priority}: {rule_text(cloud[0])}"
        yield found("foreign-rules-nm-cloud-setup", "nm-cloud-setup", text, cloud[0])
    utils = [r for r in scene.rules if r.table_id in EC2_NET_UTILS and r not in cloud]
    if utils:
        is_first = any(r.priority < naming.RULE_FROM_POD for r in utils)
        text = f"{len(utils)} rules to tables {utils[0].table_id} and up, the first: {utils[0].priority}: {rule_text(utils[0])}"
        severity = Severity.ERROR if is_first else None
        yield found("foreign-rules-ec2-net-utils", "ec2-net-utils", text, utils[0], severity)
    for rule in scene.rules:
        if rule not in cloud and rule not in utils and rule.priority not in PLUGIN_PRIORITIES and _interferes(scene, rule):
            yield found("foreign-rule", f"rule {rule.priority}", rule_text(rule), rule)


def _interferes(scene: Scene, rule: Rule) -> bool:
    """Whether a foreign rule stands before the plugin's last one, can match its packets, and its table has routes for them."""
    if rule.priority > naming.RULE_FROM_ENI or rule.table_id in (TABLE_MAIN, TABLE_LOCAL, TABLE_DEFAULT):
        return rule.priority < naming.RULE_FROM_POD and rule.table_id == TABLE_MAIN and _matches_secondary_pods(scene, rule)
    if rule.action in (RuleAction.GOTO, RuleAction.NOP) or rule.iif_detached or rule.oif_detached or rule.out_interface is not None:
        return False
    if rule.in_interface is not None and not is_veth(rule.in_interface):
        return False
    if not _can_match(scene, rule):
        return False
    if rule.action is not RuleAction.LOOKUP:
        return True
    ranges = [prefix for prefix, _ in scene.facts.neighbours] + list(scene.facts.vpc_prefixes or ())
    return any(
        route.prefix.prefix_len > rule.suppress_prefix_len
        and (route.prefix == ANY or not ranges or any(overlap(route.prefix, prefix, scene.bits) for prefix in ranges))
        for route in scene.table(rule.table_id)
    )


def _can_match(scene: Scene, rule: Rule) -> bool:
    """Whether a packet of a pod or an interface of this node can match: its mark and its source."""
    known = naming_mark(scene)
    if rule.fwmark and not rule.inverted and rule.fwmark & rule.fwmask & ~known:
        return False
    if (rule.ipproto or rule.sport or rule.dport or rule.uid_range or rule.tos) and not rule.inverted:
        return False
    own = (*scene.pod_addrs, *(eni.addr for eni in scene.facts.enis or () if eni.addr is not None), *scene.device_of_addr)
    return rule.inverted or rule.src_prefix == ANY or any(rule.src_prefix.covers(addr, scene.bits) for addr in own if addr >> 24 != 127)


def naming_mark(scene: Scene) -> int:
    """The plugin's mark, the only one that it sets."""
    return scene.facts.settings.connmark if scene.facts.settings is not None else 0x80


def _matches_secondary_pods(scene: Scene, rule: Rule) -> bool:
    """Whether a rule to main precedes 1536 and takes packets of pods on secondary interfaces away from it, other than towards pods here."""
    if rule.action is not RuleAction.LOOKUP or rule.suppress_prefix_len >= 0 or not scene.from_pod or not _can_match(scene, rule):
        return False
    if rule.inverted or rule.in_interface is not None or rule.out_interface is not None:
        return False
    ranges = scene.facts.vpc_prefixes or ()
    return rule.dst_prefix == ANY or any(overlap(rule.dst_prefix, prefix, scene.bits) for prefix in ranges)


def check_main(scene: Scene) -> Iterator[Finding | Unjudged]:
    """Check table main: one default route by the primary interface, and nothing more specific that swallows ranges of VPCs."""
    if not scene.table(TABLE_MAIN):
        return
    device = scene.primary_device
    defaults = scene.main_defaults
    if not defaults and scene.knows_table(TABLE_MAIN):
        yield found("missing-default", "main", "table main has no default route")
    own = [route for route in defaults if any(hop.out_interface == device for hop in route.next_hops)]
    for position, route in enumerate(defaults):
        if route in own or device is None:
            continue
        name = route.next_hops[0].out_interface if route.next_hops else str(route.type)
        is_first = position == 0 or (defaults[0] not in own and not own)
        if not is_first and name in scene.unmanaged_devices:
            continue
        text = (
            f"default route by {name} beside the primary ENI's ({device})"
            if own
            else f"default route by {name}; the primary ENI is {device}"
        )
        text += f", metric {route.metric}" if route.metric else ""
        severity = None if is_first else Severity.WARNING
        yield found("extra-default", name or "", text + ("" if is_first else ": not preferred now"), route, severity)
    yield from _check_main_gateway(scene, own)
    yield from _check_subnet_routes(scene)
    yield from _check_swallowed(scene)


def _check_main_gateway(scene: Scene, own: list[Route]) -> Iterator[Finding]:
    if not own or scene.primary_device is None or not own[0].next_hops:
        return
    gateway = expected_gateway(scene, scene.primary, scene.primary_device)
    hop = own[0].next_hops[0]
    if gateway is not None and hop.gateway != gateway:
        seen = "no gateway" if hop.gateway is None else f"gateway {scene.text(hop.gateway)}"
        text = f"the default route of main has {seen}; the subnet's router is {scene.text(gateway)}"
        yield found("wrong-gateway", "main", text, own[0])


def _check_subnet_routes(scene: Scene) -> Iterator[Finding]:
    """Find subnet routes by secondary interfaces, which the plugin deletes: they compete with the primary's."""
    primary = scene.primary_device
    for route in scene.table(TABLE_MAIN):
        device = route.next_hops[0].out_interface if route.next_hops else None
        if device is None or device == primary or device not in scene.secondary_devices:
            continue
        if route.type is not RouteType.UNICAST or route.next_hops[0].gateway is not None or not 0 < route.prefix.prefix_len < scene.bits:
            continue
        same = [r for r in scene.table(TABLE_MAIN) if r.prefix == route.prefix]
        is_preferred = same[0] is route
        if device in scene.unmanaged_devices and (not is_preferred or len(same) == 1):
            continue
        text = f"subnet route {route.prefix.text(scene.family)} by {device}" + ("" if is_preferred else ": not preferred now")
        yield found("extra-subnet-route", route.prefix.text(scene.family), text, route, None if is_preferred else Severity.WARNING)


def _check_swallowed(scene: Scene) -> Iterator[Finding]:
    if scene.primary_device is None:
        return
    ranges = [(prefix, "the VPC") for prefix in scene.facts.vpc_prefixes or ()] + list(scene.facts.neighbours)
    for route in scene.table(TABLE_MAIN):
        device = route.next_hops[0].out_interface if route.next_hops else None
        if route.prefix == ANY or route.type is RouteType.THROW or _is_ordinary(scene, route, device):
            continue
        hit = next(((prefix, what) for prefix, what in ranges if overlap(route.prefix, prefix, scene.bits)), None)
        if hit is not None:
            how = f"by {device}" if device is not None else f"of type {route.type}"
            subject = route.prefix.text(scene.family)
            text = f"route {subject} {how} in main covers addresses of {hit[1]} ({hit[0].text(scene.family)})"
            yield found("swallowed-range", subject, text, route)


def _is_ordinary(scene: Scene, route: Route, device: str | None) -> bool:
    """Routes by the node's own interfaces, to pods, and of the kernel."""
    if device is not None and (device == LOOPBACK or device in scene.secondary_devices or device == scene.primary_device):
        return True
    is_host = route.prefix.prefix_len == scene.bits
    return is_host and (route.prefix.addr in scene.pod_addrs or scene.leads_to_veth(route) or covered(route.prefix.addr, LINK_LOCAL4, 32))


LINK_LOCAL4 = (Prefix(0xA9FE0000, 16),)


def check_switches(scene: Scene) -> Iterator[Finding | Unjudged]:
    """Check forwarding, and the reverse path filter of the primary interface."""
    sysctls, device = scene.namespace.sysctls, scene.primary_device
    forwards = sysctls.ip_forward if scene.family == 4 else sysctls.ipv6_forwarding
    name = "net.ipv4.ip_forward" if scene.family == 4 else "net.ipv6.conf.all.forwarding"
    if forwards is None:
        yield Unjudged("forwarding and rp_filter", "`sysctl -a`")
        return
    if not forwards:
        yield found("forwarding-off", name, f"{name} = 0", Source("sysctl"))
    elif scene.family == 4:
        for each in sorted({device, *scene.secondary_devices} - {None}, key=str):
            if each is not None and not sysctls.forwards(each):
                yield found("forwarding-off", each, f"net.ipv4.conf.{each}.forwarding = 0", Source("sysctl"))
    if scene.family != 4:
        return
    rp_filter = sysctls.rp_filter(device) if device is not None else None
    if rp_filter is None:
        yield Unjudged("rp_filter of the primary ENI", "`sysctl -a` with its device, and the device's name")
    elif rp_filter == STRICT:
        yield found("rp-filter-strict", device or "", f"rp_filter of {device} is 1 (strict); the plugin sets 2 (loose)", Source("sysctl"))
    has_strict = bool(scene.rules_at(naming.RULE_BRANCH_INTERFACE))
    if has_strict and scene.early_demux:
        yield found("early-demux-on", "net.ipv4.tcp_early_demux", "net.ipv4.tcp_early_demux = 1 with branch pods", Source("sysctl"))


def check_account(scene: Scene) -> Iterator[Finding]:
    """What the account around the node does to its pods: an Internet gateway behind external SNAT, endpoints outside the VPC."""
    settings, vpc = scene.facts.settings, scene.facts.vpc_prefixes
    if settings is None or scene.family != 4:
        return
    if settings.external_snat:
        with_pods = {pod.eni.id: pod.eni for pod in scene.pods if pod.eni is not None}
        for eni in with_pods.values():
            if eni.behind_internet_gateway:
                text = f"the route table of its subnet leads to an Internet gateway, and pod addresses of {eni.name} have no public ones"
                yield found("pods-behind-internet-gateway", eni.name, text)
    elif vpc is not None and any(pod.eni is not None and not pod.eni.is_primary for pod in scene.pods):
        fine = (*vpc, *(prefix_of(text) for text in (*settings.exclude_snat_cidrs, *settings.external_service_cidrs)))
        outside = {service: addr for service, addr in scene.facts.external_endpoints if not covered(addr, fine, 32)}
        for service, addr in outside.items():
            yield found(
                "external-endpoint", service, f"its endpoint {scene.text(addr)} is outside the VPC and in no AWS_EXTERNAL_SERVICE_CIDRS"
            )
