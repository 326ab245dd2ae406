"""What the checks look at: the node as observed beside what is known of it, with the look-ups that they share."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from fastroute.cni import naming
from fastroute.cni.drift.facts import KnownEni, KnownPod, MarkState, NodeFacts
from fastroute.netns.model import (
    ADDR_BITS,
    ANY,
    LOOPBACK,
    TABLE_LOCAL,
    TABLE_MAIN,
    Namespace,
    Prefix,
    Route,
    RouteType,
    Rule,
    RuleAction,
    addr_text,
)

VETH_NAME = re.compile(rf"(?P<prefix>.{{0,4}})(?P<hash>[0-9a-f]{{{naming.VETH_HASH_LEN}}})")
MOST_DEVICES = 20
"""Tables 2 to this are those of a first card's interfaces; the largest instance has 15."""


def is_branch_table(table_id: int) -> bool:
    """Tables 101 to 220: one a VLAN id. Source: amazon-vpc-resource-controller-k8s trunk.go (ids 1 to 120)."""
    return 100 < table_id <= 220


@dataclass(frozen=True)
class Scene:
    """`facts`: what is known. `namespace`: what is seen. `marks` is None without netfilter dumps; `rules_are_whole`: absence is proved."""

    facts: NodeFacts
    namespace: Namespace
    marks: MarkState | None = None
    early_demux: bool | None = None

    @property
    def family(self) -> int:
        """The cluster's address family."""
        return self.facts.family

    @property
    def bits(self) -> int:
        """Width of its addresses."""
        return ADDR_BITS[self.family]

    def text(self, addr: int) -> str:
        """Write an address of the cluster's family."""
        return addr_text(self.family, addr)

    # rules

    @cached_property
    def rules(self) -> tuple[Rule, ...]:
        """The family's rules that could be read, in the order they are tried."""
        return tuple(rule for rule in self.namespace.rules_by_family[self.family] if not rule.unsupported)

    @cached_property
    def knows_all_rules(self) -> bool:
        """Whether a rule that is not listed is not there: the dump has no gap, and its end."""
        everything = self.namespace.rules_by_family[self.family]
        has_gap = any(" in line " in rule.unsupported for rule in everything)
        return self.family in self.namespace.known.rules and not has_gap and any(r.priority >= naming.RULE_MAIN for r in everything)

    def rules_at(self, priority: int) -> tuple[Rule, ...]:
        """Rules of one priority."""
        return tuple(rule for rule in self.rules if rule.priority == priority)

    @cached_property
    def to_pod(self) -> dict[int, list[Rule]]:
        """The rules `512: from all to <address>` by address."""
        return self._by_host(naming.RULE_TO_POD, of_source=False)

    @cached_property
    def from_pod(self) -> dict[int, list[Rule]]:
        """The rules `1536: from <address>` by address, the per-range ones of plugins up to 1.7 included."""
        return self._by_host(naming.RULE_FROM_POD, of_source=True)

    @cached_property
    def from_eni(self) -> dict[int, list[Rule]]:
        """The rules `32765: from <address>` by address."""
        return self._by_host(naming.RULE_FROM_ENI, of_source=True)

    def _by_host(self, priority: int, *, of_source: bool) -> dict[int, list[Rule]]:
        found: dict[int, list[Rule]] = {}
        for rule in self.rules_at(priority):
            prefix = rule.src_prefix if of_source else rule.dst_prefix
            if prefix.prefix_len == self.bits and rule.in_interface is None and not rule.inverted:
                found.setdefault(prefix.addr, []).append(rule)
        return found

    # routes

    def knows_table(self, table_id: int) -> bool:
        """Whether a route that is not listed is not there. A dump of all tables ends with `local`: without it, it was cut before."""
        known = self.namespace.known
        if not known.has_table(self.family, table_id):
            return False
        if self.namespace.tables.get((self.family, TABLE_LOCAL)):
            return True
        return known.tables.get(self.family) is not None and (table_id != TABLE_MAIN or bool(self.table(TABLE_MAIN)))

    def table(self, table_id: int) -> tuple[Route, ...]:
        """Routes of a table, in the order of preference."""
        return self.namespace.tables.get((self.family, table_id), ())

    @cached_property
    def main_hosts(self) -> dict[int, list[Route]]:
        """Host routes of main by address, the deciding one first."""
        found: dict[int, list[Route]] = {}
        for route in self.table(TABLE_MAIN):
            if route.prefix.prefix_len == self.bits:
                found.setdefault(route.prefix.addr, []).append(route)
        return found

    @cached_property
    def main_defaults(self) -> tuple[Route, ...]:
        """Default routes of main, the deciding one first."""
        return tuple(route for route in self.table(TABLE_MAIN) if route.prefix == ANY)

    # devices

    @cached_property
    def device_of_addr(self) -> dict[int, str]:
        """Devices by the node's own IPv4 addresses."""
        found = {}
        for route in self.namespace.kernel_local_routes:
            if route.prefix.prefix_len == 32 and route.next_hops[0].out_interface:
                found[route.prefix.addr] = route.next_hops[0].out_interface
        return found | {addr.addr: addr.interface for addr in self.namespace.addrs if addr.family == 4}

    @cached_property
    def device_of_mac(self) -> dict[str, str]:
        """Devices by MAC; a VLAN on the trunk has its own."""
        return {link.mac.lower(): link.name for link in self.namespace.links if link.mac and not link.name.startswith("vlan")}

    def device_of(self, eni: KnownEni) -> str | None:
        """The interface's device: by its MAC, else by its address, which its 32765 rule may tell; None where the dumps do not."""
        if eni.mac and eni.mac in self.device_of_mac:
            return self.device_of_mac[eni.mac]
        if eni.addr is not None and eni.addr in self.device_of_addr:
            return self.device_of_addr[eni.addr]
        return self.owner_of_table(eni.table_id) if eni.addr is None and not eni.is_primary else None

    def owner_of_table(self, table_id: int) -> str | None:
        """The device of the one address whose 32765 rule leads to a table."""
        owners = {self.device_of_addr.get(addr) for addr, rules in self.from_eni.items() for rule in rules if rule.table_id == table_id}
        return owners.pop() if len(owners) == 1 else None

    @cached_property
    def secondary_tables(self) -> dict[int, KnownEni | None]:
        """Tables of secondary interfaces: those of known ones, else those that the plugin's rules name."""
        if self.facts.enis is not None:
            return {self.table_of(eni): eni for eni in self.facts.enis if eni.is_managed and not eni.is_primary}
        rules = (*self.rules_at(naming.RULE_FROM_POD), *self.rules_at(naming.RULE_FROM_ENI))
        ids = {r.table_id for r in rules if r.action is RuleAction.LOOKUP}
        return {table_id: None for table_id in sorted(ids) if is_plugin_table(table_id)}

    def table_of(self, eni: KnownEni) -> int:
        """The interface's table; on further cards the one that a rule from its own address names, as it may be the image's or an older one.

        Source: amazon-vpc-cni-k8s v1.23.1 pkg/networkutils/network.go getRouteTableNumberForENI.
        """
        if eni.network_card > 0 and eni.addr is not None:
            own = [rule for rule in self.rules if rule.src_prefix == Prefix(eni.addr, self.bits) and rule.action is RuleAction.LOOKUP]
            if own and all(rule.table_id != eni.table_id for rule in own):
                return own[0].table_id
        return eni.table_id

    @cached_property
    def secondary_devices(self) -> frozenset[str]:
        """Devices of interfaces that are not the primary one, managed or not."""
        if self.facts.enis is not None and any(eni.addr is not None for eni in self.facts.enis):
            return frozenset(filter(None, (self.device_of(eni) for eni in self.facts.enis if not eni.is_primary)))
        owners = (self.device_of_addr.get(addr) for addr in self.from_eni)
        return frozenset(filter(None, owners)) | frozenset(
            hop.out_interface
            for table_id in self.secondary_tables
            for route in self.table(table_id)
            if route.prefix == ANY
            for hop in route.next_hops
            if hop.out_interface
        )

    @cached_property
    def unmanaged_devices(self) -> frozenset[str]:
        """Devices that the plugin leaves alone: what the system did there is not its drift."""
        enis = self.facts.enis or ()
        return frozenset(filter(None, (self.device_of(eni) for eni in enis if not eni.is_managed)))

    @cached_property
    def primary(self) -> KnownEni | None:
        """The primary interface, where interfaces are known."""
        return next((eni for eni in self.facts.enis or () if eni.is_primary), None)

    @cached_property
    def primary_device(self) -> str | None:
        """The primary interface's device; without a known one, that of a default route of main which is no secondary's.

        Where there is none either, the one whose NodePort connections are marked.
        """
        if self.primary is not None:
            device = self.device_of(self.primary)
            if device is not None:
                return device
        for route in self.main_defaults:
            device = route.next_hops[0].out_interface if route.next_hops else None
            if device is not None and device not in self.secondary_devices:
                return device
        marked = self.marks.node_port_interface if self.marks is not None else ""
        return marked if marked in self.device_of_addr.values() else None

    @cached_property
    def primary_addr(self) -> int | None:
        """The node's IPv4 address."""
        if self.primary is not None and self.primary.addr is not None:
            return self.primary.addr
        own = [addr for addr, device in self.device_of_addr.items() if device == self.primary_device]
        preferred = next((route.prefsrc for route in self.main_defaults if route.prefsrc in own), None)
        return preferred if preferred is not None else own[0] if len(own) == 1 else None

    def subnet_on(self, device: str) -> Prefix | None:
        """The IPv4 subnet of a device, by its addresses."""
        for row in self.namespace.addrs:
            if row.family == 4 and row.interface == device and 8 <= row.prefix_len < 31:
                return Prefix(row.addr >> (32 - row.prefix_len) << (32 - row.prefix_len), row.prefix_len)
        return None

    # pods

    @cached_property
    def pods(self) -> tuple[KnownPod, ...]:
        """The pods: as known, else one for each host route of main to a veth, of which no interface is known."""
        if self.facts.pods is not None:
            return self.facts.pods
        return tuple(KnownPod("", addr) for addr, routes in self.main_hosts.items() if any(map(self.leads_to_veth, routes)))

    @cached_property
    def pod_addrs(self) -> frozenset[int]:
        """Their addresses."""
        return frozenset(pod.addr for pod in self.pods)

    def leads_to_veth(self, route: Route) -> bool:
        """Whether a route leads straight to what is named as a pod's veth (not to a device of a VLAN)."""
        if route.type is not RouteType.UNICAST or len(route.next_hops) != 1 or route.next_hops[0].gateway is not None:
            return False
        return is_veth(route.next_hops[0].out_interface or "")

    def subject(self, pod: KnownPod) -> str:
        """How a finding names a pod."""
        return f"{pod.key} ({self.text(pod.addr)})" if pod.key else self.text(pod.addr)

    def is_secondary(self, pod: KnownPod) -> bool | None:
        """Whether the pod's table is not main; None where its interface is not known: then its 1536 rule, if any, tells."""
        if pod.eni is not None:
            return not pod.eni.is_primary
        return True if self.from_pod.get(pod.addr) else None


def is_veth(device: str) -> bool:
    """Whether a device is named as the plugin names veths: a short prefix and eleven hexadecimal digits."""
    match = VETH_NAME.fullmatch(device)
    return match is not None and device != LOOPBACK


def is_plugin_table(table_id: int) -> bool:
    """Whether the plugin gives this number to an interface or a VLAN."""
    is_card = naming.CARD_TABLE_BASE + naming.CARD_TABLE_STRIDE <= table_id < naming.CARD_TABLE_BASE + 64 * naming.CARD_TABLE_STRIDE
    return 1 < table_id <= MOST_DEVICES or is_card or is_branch_table(table_id)


def covered(addr: int, prefixes: Iterable[Prefix], bits: int) -> bool:
    """Whether one of the prefixes covers the address."""
    return any(prefix.covers(addr, bits) for prefix in prefixes)


def overlap(first: Prefix, second: Prefix, bits: int) -> bool:
    """Whether two prefixes share addresses."""
    wide, narrow = sorted((first, second), key=lambda prefix: prefix.prefix_len)
    return wide.covers(narrow.addr, bits)
