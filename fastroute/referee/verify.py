"""Many random nodes against the kernel: count, shrink the first difference, say what it takes to see it again."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from random import Random

from fastroute.netns.decision import Packet
from fastroute.netns.model import FAMILIES, TABLE_LOCAL, Namespace, Rule, RuleAction, Scope, addr_text
from fastroute.netns.text import route_text, rule_text
from fastroute.referee.compare import Difference, differences
from fastroute.referee.kernel import KernelNode, Plan
from fastroute.referee.random_nodes import QuestionMaker, random_plan

PRIVATE_TABLES = 1_000_000
"""First number of the private table copies, far from any that a node uses."""
PRIVATE_EVERY = 8


@dataclass(frozen=True, slots=True)
class Finding:
    """A node and a question on which walk and kernel differ, as small as it could be made."""

    seed: int
    plan: Plan
    difference: Difference

    def text(self) -> str:
        """Describe it so that it can be typed in again."""
        found = self.difference
        packet = found.packet
        lines = [f"seed {self.seed}: {found.what}, the walk says {found.decision.verdict} {found.decision.reason}"]
        lines += [f"  sysctl {key} = {value}" for key, value in self.plan.sysctls.items()]
        lines += [f"  ip {line}" for line in self.plan.links + self.plan.lines4]
        lines += [f"  ip -6 {line}" for line in self.plan.lines6]
        lines.append(f"  ip route get {question_text(packet)}")
        return "\n".join(lines)


def question_text(packet: Packet) -> str:
    """Write a question as `ip route get` takes it."""
    words = [addr_text(packet.family, packet.dst)]
    if packet.src:
        words += ["from", addr_text(packet.family, packet.src)]
    for word, value in (("iif", packet.in_interface), ("oif", packet.out_interface)):
        words += [word, value] if value is not None else []
    words += ["mark", f"{packet.fwmark:#x}"] if packet.fwmark else []
    words += ["tos", f"{packet.tos:#x}"] if packet.tos else []
    words += ["ipproto", str(packet.ipproto), "sport", str(packet.sport), "dport", str(packet.dport), "uid", str(packet.uid)]
    return " ".join(words)


def verify_random_nodes(seed: int, questions: int, families: Sequence[int] = FAMILIES) -> Iterator[tuple[int, int, Finding | None]]:
    """Yield (node's seed, questions asked, first difference or None) for node after node, without end.

    Parameters
    ----------
    seed : int
        Of the first node; the following ones have the following numbers. Every eighth node is one whose rules have private table copies, so
        that agreement in the table is agreement in the rule.
    questions : int
        To each node and family.
    """
    number = seed
    while True:
        plan = random_plan(Random(number))
        if number % PRIVATE_EVERY == 0:
            with KernelNode(plan) as node:
                plan = with_private_tables(node.state())

        def packets_of(namespace: Namespace, number: int = number) -> list[Packet]:
            maker = QuestionMaker(Random(number), namespace)
            return [maker.packet(family) for family in families for _ in range(questions)]

        with KernelNode(plan) as node:
            found, asked = differences(node, packets_of)
        yield number, asked, Finding(number, *shrink(plan, found[0])) if found else None
        number += 1


def shrink(plan: Plan, difference: Difference) -> tuple[Plan, Difference]:
    """Leave out lines and switches, one by one, as long as the same question still shows a difference."""

    def try_plan(smaller: Plan) -> Difference | None:
        with KernelNode(smaller) as node:
            found, _ = differences(node, lambda _: [difference.packet])
        return found[0] if found else None

    changed = True
    while changed:
        changed = False
        for smaller in smaller_plans(plan):
            try:
                still = try_plan(smaller)
            except KeyError:
                continue  # an interface of the question is gone
            if still is not None:
                plan, difference, changed = smaller, still, True
                break
    return plan, difference


def smaller_plans(plan: Plan) -> Iterator[Plan]:
    """Yield the plan without one half of a list, a quarter, … one line; then without one switch."""
    for name in ("lines4", "lines6", "links"):
        lines = getattr(plan, name)
        size = max(len(lines) // 2, 1)
        while lines and size:
            for start in range(0, len(lines), size):
                yield replace(plan, **{name: lines[:start] + lines[start + size :]})
            size //= 2
    for key in plan.sysctls:
        yield replace(plan, sysctls={other: value for other, value in plan.sysctls.items() if other != key})


def plan_of(namespace: Namespace) -> Plan:
    """Return the plan of a node with the namespace's links, addresses, rules and routes; the kernel makes its local entries itself.

    Every link becomes a veth of that name: rules and routes see names only.
    """
    names = [link.name for link in namespace.links if link.name != "lo"]
    links = ["link set lo up"]
    for number, name in enumerate(names):
        links += [f"link add {name} type veth peer name fr-peer{number}", f"link set {name} addrgenmode none"]
        links += [f"link set fr-peer{number} addrgenmode none", f"link set fr-peer{number} up"]
        links += [f"link set {name} up"] if namespace.links_by_name[name].is_up else []
    lines = {}
    for family in FAMILIES:
        addrs = [a for a in namespace.addrs if a.family == family and a.interface != "lo"]
        lines[family] = [
            f"addr add {addr_text(family, a.addr)}/{a.prefix_len} dev {a.interface} noprefixroute{' nodad' if family == 6 else ''}"
            for a in addrs
        ]
        rows = [r for r in namespace.routes if r.family == family and r.protocol != "kernel"]
        rows += [r for r in namespace.routes if r.family == family and r.protocol == "kernel" and r.table_id != TABLE_LOCAL]
        for row in sorted(rows, key=lambda r: r.scope is Scope.GLOBAL):  # gateways are reachable once the on-link routes are there
            lines[family].append("route append " + route_text(replace(row, protocol="static" if row.protocol == "kernel" else "")))
        lines[family] += ["rule flush", "rule del pref 0"]  # flush spares the first one
        lines[family] += [rule_line(rule) for rule in namespace.rules_by_family[family]]
    return Plan(tuple(links), tuple(lines[4]), tuple(lines[6]), sysctls_of(namespace))


def rule_line(rule: Rule) -> str:
    """Write a rule for `ip -batch`."""
    return f"rule add pref {rule.priority} {rule_text(rule)}"


def sysctls_of(namespace: Namespace) -> dict[str, int]:
    """Return the switches for /proc/sys/net, `all` first, as writing it writes the others."""
    values = {} if namespace.sysctls.ip_forward is None else {"ipv4/ip_forward": int(namespace.sysctls.ip_forward)}
    if namespace.sysctls.ipv6_forwarding is not None:
        values["ipv6/conf/all/forwarding"] = int(namespace.sysctls.ipv6_forwarding)
    for name in sorted(namespace.sysctls.interfaces, key=lambda n: (n != "all", n)):
        row = namespace.sysctls.interfaces[name]
        for switch in ("rp_filter", "accept_local", "route_localnet", "src_valid_mark", "send_redirects"):
            value = getattr(row, switch)
            if value is not None:
                values[f"ipv4/conf/{name}/{switch}"] = int(value)
    return values


def with_private_tables(namespace: Namespace) -> Plan:
    """Return a plan of the same node in which every rule has a copy of its table to itself.

    The kernel tells the table of an answer, never the rule: here the table is the rule.
    """
    routes = list(namespace.routes)
    rules = []
    for position, rule in enumerate(namespace.rules):
        if rule.action is RuleAction.LOOKUP:
            table_id = PRIVATE_TABLES + position
            routes += [replace(route, table_id=table_id, protocol="") for route in namespace.tables.get((rule.family, rule.table_id), ())]
            rules.append(replace(rule, table_id=table_id))
        else:
            rules.append(rule)
    return plan_of(replace(namespace, rules=tuple(rules), routes=tuple(routes)))


def verify(
    seed: int, nodes: int, questions: int, families: Sequence[int] = FAMILIES, on_node: Callable[[int], None] | None = None
) -> tuple[int, list[Finding]]:
    """Ask `questions` of each family to each of `nodes` random nodes; return (questions asked, differences found).

    `on_node` is called with the number of nodes done.
    """
    asked = 0
    findings = []
    for done, (_, count, finding) in enumerate(islice(verify_random_nodes(seed, questions, families), nodes), 1):
        asked += count
        if finding is not None:
            findings.append(finding)
        if on_node is not None:
            on_node(done)
    return asked, findings
