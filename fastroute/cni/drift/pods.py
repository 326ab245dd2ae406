"""Rules and routes of each pod: 512 and its route in main, 1536 on a secondary interface; and rules of addresses that no pod has."""

from __future__ import annotations

from collections.abc import Iterator

from fastroute.cni import naming
from fastroute.cni.drift.facts import KnownPod
from fastroute.cni.drift.findings import Finding, Unjudged, found
from fastroute.cni.drift.scene import VETH_NAME, Scene
from fastroute.netns.model import ANY, TABLE_MAIN, RouteType, Rule, essence, table_text


def check_pods(scene: Scene) -> Iterator[Finding | Unjudged]:
    """Check every pod with an address of its own (branch pods apart), then the rules that belong to none."""
    if scene.facts.pods is None:
        yield Unjudged("pods that the node has lost altogether", "a list of pods: kubernetes/*.json of a snapshot, or ipam.json")
    if not scene.knows_all_rules:
        yield Unjudged("rules that are missing", "the whole `ip rule`" if scene.family == 4 else "the whole `ip -6 rule`")
    if not scene.knows_table(TABLE_MAIN):
        yield Unjudged("pods' routes that are missing", "the whole table main")
    for pod in scene.pods:
        if pod.is_branch:
            continue
        yield from _check_to_pod(scene, pod)
        yield from _check_pod_route(scene, pod)
        yield from _check_from_pod(scene, pod)
    yield from _check_other_addresses(scene)


def _check_to_pod(scene: Scene, pod: KnownPod) -> Iterator[Finding]:
    rules, subject = scene.to_pod.get(pod.addr, []), scene.subject(pod)
    if not rules:
        if scene.knows_all_rules:
            text = f"no rule {naming.RULE_TO_POD}: from all to {scene.text(pod.addr)} lookup main"
            yield found("missing-to-pod-rule", subject, text)
        return
    if rules[0].table_id != TABLE_MAIN:
        text = f"rule {naming.RULE_TO_POD} looks up table {table_text(rules[0].table_id)} instead of main"
        yield found("wrong-table", subject, text, rules[0])
    yield from _repeated(scene, subject, rules)


def _repeated(scene: Scene, subject: str, rules: list[Rule]) -> Iterator[Finding]:
    """Further rules with the selector of an earlier one: never reached."""
    for i, rule in enumerate(rules):
        earlier = next((r for r in rules[:i] if (r.src_prefix, r.dst_prefix) == (rule.src_prefix, rule.dst_prefix)), None)
        if earlier is None:
            continue
        if essence(earlier) == essence(rule):
            yield found("duplicate-rule", subject, f"rule {rule.priority} is there twice", rule)
        else:
            this, first = table_text(rule.table_id), table_text(earlier.table_id)
            text = f"rule {rule.priority} to table {this} stands behind an equal one to table {first}"
            yield found("shadowed-rule", subject, text, rule)


def _check_pod_route(scene: Scene, pod: KnownPod) -> Iterator[Finding]:
    routes, subject = scene.main_hosts.get(pod.addr, []), scene.subject(pod)
    if not routes:
        if scene.knows_table(TABLE_MAIN):
            yield found("missing-pod-route", subject, f"no route {scene.text(pod.addr)} dev {scene_veth(scene, pod)} in table main")
        return
    route = routes[0]
    device = route.next_hops[0].out_interface if route.next_hops else None
    if route.type is not RouteType.UNICAST or device is None:
        yield found("wrong-device", subject, f"the route in main is of type {route.type}, not one to the pod's veth", route)
        return
    name = VETH_NAME.fullmatch(device)
    if pod.hashes and (name is None or name.group("hash") not in pod.hashes):
        text = f"the route in main leads to {device}; the veth of {pod.key} is {scene_veth(scene, pod)}"
        yield found("wrong-device", subject, text, route)


def scene_veth(scene: Scene, pod: KnownPod) -> str:
    """Name of the pod's first veth, where the pod's name is known."""
    if not pod.key:
        return "its veth"
    prefix = scene.facts.settings.veth_prefix if scene.facts.settings is not None else "eni"
    namespace, _, name = pod.key.partition("/")
    return naming.veth_name(namespace, name, prefix)


def _check_from_pod(scene: Scene, pod: KnownPod) -> Iterator[Finding | Unjudged]:
    rules, subject, addr = scene.from_pod.get(pod.addr, []), scene.subject(pod), scene.text(pod.addr)
    if pod.eni is None:
        if pod.is_lost:
            yield found("pod-on-no-eni", subject, f"no ENI of the node holds {addr}", rules[0] if rules else None)
        yield from _repeated(scene, subject, rules)
        return
    expected = scene.table_of(pod.eni)
    if pod.eni.is_primary:
        for rule in rules:
            if rule.table_id != TABLE_MAIN:
                text = f"rule {rule.priority} to table {table_text(rule.table_id)}, but {addr} is on the primary ENI and has none"
                yield found("extra-from-pod-rule", subject, text, rule)
        return
    if not rules:
        if scene.knows_all_rules:
            text = f"no rule {naming.RULE_FROM_POD}: from {addr} lookup {expected}, though {addr} is on {pod.eni.name}"
            yield found("missing-from-pod-rule", subject, text)
        return
    if rules[0].table_id != expected:
        later = next((rule for rule in rules[1:] if rule.table_id == expected), None)
        hint = f"; the right rule comes after it (line {later.source_line})" if later is not None else ""
        text = f"rule {rules[0].priority} looks up table {table_text(rules[0].table_id)}; {pod.eni.name} has table {expected}{hint}"
        yield found("wrong-table", subject, text, rules[0])
        rules = [rule for rule in rules if rule is not later]
    yield from _repeated(scene, subject, rules)


def _check_other_addresses(scene: Scene) -> Iterator[Finding]:
    """Rules and routes of addresses that no pod has: left over, or of a pod that the list does not know."""
    for addr in sorted((set(scene.to_pod) | set(scene.from_pod) | _veth_hosts(scene)) - scene.pod_addrs):
        subject = scene.text(addr)
        to_pod, from_pod = scene.to_pod.get(addr, []), scene.from_pod.get(addr, [])
        routes = [route for route in scene.main_hosts.get(addr, []) if scene.leads_to_veth(route)]
        if routes:
            yield found("unknown-pod", subject, "rules and a route of a pod that the list of pods does not have", routes[0])
        elif not scene.knows_table(TABLE_MAIN):
            pass  # whether the address is in use cannot be told
        elif from_pod and to_pod and scene.facts.pods is None:
            yield found(
                "missing-pod-route", subject, f"rules {naming.RULE_TO_POD} and {naming.RULE_FROM_POD}, but no route in main", to_pod[0]
            )
        elif from_pod:
            text = (
                f"rule {naming.RULE_FROM_POD} to table {table_text(from_pod[0].table_id)}; no pod has the address, main has no route to it"
            )
            yield found("stale-from-pod-rule", subject, text, from_pod[0])
        else:
            yield found(
                "stale-to-pod-rule", subject, f"rule {naming.RULE_TO_POD}; no pod has the address, main has no route to it", to_pod[0]
            )
        yield from _repeated(scene, subject, to_pod)
        yield from _repeated(scene, subject, from_pod)


def _veth_hosts(scene: Scene) -> set[int]:
    return {addr for addr, routes in scene.main_hosts.items() if any(map(scene.leads_to_veth, routes))}


def check_old_layouts(scene: Scene) -> Iterator[Finding]:
    """Name the layouts of older plugins. Source: amazon-vpc-cni-k8s CHANGELOG.md, docs/cni-proposal.md."""
    per_range = next((rule for rule in scene.rules_at(naming.RULE_FROM_POD) if rule.dst_prefix != ANY), None)
    if per_range is not None:
        text = "rules 1536 by range (from a pod to a VPC range): plugin 1.7 or older; traffic off the VPC goes by main without a mark"
        yield found("old-rule-layout", "rules 1536", text, per_range)
    not_to_vpc = next((rule for rule in scene.rules if rule.inverted and rule.priority == 1025 and rule.table_id == TABLE_MAIN), None)
    if not_to_vpc is not None:
        text = f"rule 1025 (not to {not_to_vpc.dst_prefix.text(scene.family)} lookup main): the plugin's first design"
        yield found("old-rule-layout", "rule 1025", text, not_to_vpc)
    if scene.marks is not None and scene.marks.old_chains:
        text = f"chains {', '.join(scene.marks.old_chains)}: plugin before 1.16; their ranges are not judged"
        yield found("old-rule-layout", "netfilter chains", text)


def is_before_marks(scene: Scene) -> bool:
    """Whether the layout is one of those that needed no outbound mark (1.7 and before)."""
    return any(f.subject in ("rules 1536", "rule 1025") for f in check_old_layouts(scene))
