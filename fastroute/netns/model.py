"""The rows of one routing domain: what `ip link`, `ip addr`, `ip rule`, `ip route` and `sysctl` say, typed and immutable.

An address is an int beside its family (4 or 6); text exists at the edges only. A row keeps the line of the dump that it came from, so that
an answer can point at it. A namespace may be incomplete: `Known` says which dumps it was made from, and a walk that needs another one
answers UNDECIDED and names it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import cached_property
from ipaddress import IPv4Address, IPv6Address
from typing import NamedTuple

FAMILIES = (4, 6)
ADDR_BITS = {4: 32, 6: 128}

TABLE_DEFAULT = 253
TABLE_MAIN = 254
TABLE_LOCAL = 255
TABLE_NAMES = {TABLE_DEFAULT: "default", TABLE_MAIN: "main", TABLE_LOCAL: "local"}
"""Source: linux include/uapi/linux/rtnetlink.h rt_class_t."""

LOOPBACK = "lo"
HOST_ROUTE_PRIORITY = 0
MAIN_RULE_PRIORITY = 32766
DEFAULT_RULE_PRIORITY = 32767
UID_MAX = 2**32 - 1


def table_text(table_id: int) -> str:
    """Return a table as operators write it: main, local, default, or its number."""
    return TABLE_NAMES.get(table_id, str(table_id))


def addr_text(family: int, addr: int) -> str:
    """Format an address int of the given family."""
    return str(IPv4Address(addr) if family == 4 else IPv6Address(addr))


class Prefix(NamedTuple):
    """A network of the family of the row that holds it: host bits are zero."""

    addr: int
    prefix_len: int

    def covers(self, addr: int, bits: int) -> bool:
        """Say whether an address of `bits` bits (32 or 128) lies in the prefix."""
        return (addr ^ self.addr) >> (bits - self.prefix_len) == 0

    def text(self, family: int) -> str:
        """Format as `10.0.0.0/16`."""
        return f"{addr_text(family, self.addr)}/{self.prefix_len}"


ANY = Prefix(0, 0)


class RuleAction(StrEnum):
    """What a matching rule does."""

    LOOKUP = "lookup"
    GOTO = "goto"
    NOP = "nop"
    BLACKHOLE = "blackhole"
    UNREACHABLE = "unreachable"
    PROHIBIT = "prohibit"


class RouteType(StrEnum):
    """The type of a route; the names of iproute2."""

    UNICAST = "unicast"
    LOCAL = "local"
    BROADCAST = "broadcast"
    ANYCAST = "anycast"
    MULTICAST = "multicast"
    BLACKHOLE = "blackhole"
    UNREACHABLE = "unreachable"
    PROHIBIT = "prohibit"
    THROW = "throw"


class Scope(StrEnum):
    """How far an address or a route reaches, widest first."""

    GLOBAL = "global"
    SITE = "site"
    LINK = "link"
    HOST = "host"
    NOWHERE = "nowhere"


@dataclass(frozen=True, slots=True)
class Link:
    """One interface. `index` is -1 where the dump does not tell it."""

    name: str
    index: int = -1
    is_up: bool = True
    mac: str = ""
    mtu: int = -1
    master: str = ""
    kind: str = ""
    has_carrier: bool = True
    source_line: int = -1


@dataclass(frozen=True, slots=True)
class Addr:
    """One address on an interface; `peer` is the other end of a point-to-point one, whose network the prefix length is then of."""

    interface: str
    family: int
    addr: int
    prefix_len: int
    scope: Scope = Scope.GLOBAL
    is_secondary: bool = False
    broadcast: int | None = None
    peer: int | None = None
    source_line: int = -1


@dataclass(frozen=True, slots=True)
class Rule:
    """One policy rule. A selector left at its default selects everything.

    `unsupported` names a selector that is not modelled (`l3mdev`, `tun_id`): where the others match, the walk stops as UNDECIDED.
    A detached interface is one that the rule names and the machine does not have: it matches no packet.
    """

    priority: int
    family: int = 4
    src_prefix: Prefix = ANY
    dst_prefix: Prefix = ANY
    in_interface: str | None = None
    out_interface: str | None = None
    fwmark: int = 0
    fwmask: int = 0
    ipproto: int = 0
    sport: tuple[int, int] | None = None
    dport: tuple[int, int] | None = None
    tos: int = 0
    uid_range: tuple[int, int] | None = None
    inverted: bool = False
    action: RuleAction = RuleAction.LOOKUP
    table_id: int = TABLE_MAIN
    goto_priority: int | None = None
    suppress_prefix_len: int = -1
    iif_detached: bool = False
    oif_detached: bool = False
    unsupported: str = ""
    protocol: str = ""
    source_line: int = -1


class NextHop(NamedTuple):
    """Where a match leads. A gateway of the other family (`via inet6`) has its own `gateway_family`; 0 means no gateway, on link."""

    out_interface: str | None = None
    gateway: int | None = None
    gateway_family: int = 0
    weight: int = 1
    is_dead: bool = False
    is_linkdown: bool = False
    is_onlink: bool = False


@dataclass(frozen=True, slots=True)
class Route:
    """One route as configured. `src_prefix` belongs to IPv6 source-specific routes only."""

    table_id: int
    family: int
    prefix: Prefix
    type: RouteType = RouteType.UNICAST
    next_hops: tuple[NextHop, ...] = ()
    prefsrc: int | None = None
    src_prefix: Prefix = ANY
    scope: Scope = Scope.GLOBAL
    metric: int = 0
    tos: int = 0
    protocol: str = ""
    nexthop_id: int | None = None
    pref: str = "medium"
    source_line: int = -1

    @property
    def is_multipath(self) -> bool:
        """More than one next hop: the kernel chooses by hash."""
        return len(self.next_hops) > 1


@dataclass(frozen=True, slots=True)
class InterfaceSysctls:
    """`net.ipv4.conf.<interface>.*`; None where the dump does not tell."""

    rp_filter: int | None = None
    forwarding: bool | None = None
    accept_local: bool | None = None
    route_localnet: bool | None = None
    src_valid_mark: bool | None = None
    send_redirects: bool | None = None
    ignore_routes_with_linkdown: bool | None = None


UNKNOWN_SYSCTLS = InterfaceSysctls()


@dataclass(frozen=True, slots=True)
class Sysctls:
    """Switches that decide paths. `interfaces` is keyed by name, with `all` and `default` among them.

    Forwarding that is not known is taken as on (a question with an input interface is one about forwarding); an rp_filter that is not
    known makes an answer UNDECIDED where its value matters; the others are off, as the kernel has them, but send_redirects, which is on.
    """

    ip_forward: bool | None = None
    ipv6_forwarding: bool | None = None
    interfaces: Mapping[str, InterfaceSysctls] = field(default_factory=dict)

    def _of(self, interface: str) -> InterfaceSysctls:
        return self.interfaces.get(interface) or self.interfaces.get("default") or UNKNOWN_SYSCTLS

    def forwards(self, interface: str) -> bool:
        """Say whether IPv4 packets that arrive on the interface are forwarded."""
        own = self.interfaces.get(interface, UNKNOWN_SYSCTLS).forwarding
        return own if own is not None else self.ip_forward is not False

    def rp_filter(self, interface: str) -> int | None:
        """Return the effective reverse path filter, max(all, interface); None where it is not known."""
        everywhere = self.interfaces.get("all", UNKNOWN_SYSCTLS).rp_filter
        own = self._of(interface).rp_filter
        if everywhere is None or own is None:
            return None
        return max(everywhere, own)

    def either(self, switch: str, interface: str, *, unknown: bool = False) -> bool:
        """Return a switch that holds when `all` or the interface has it."""
        values = (getattr(self.interfaces.get("all", UNKNOWN_SYSCTLS), switch), getattr(self._of(interface), switch))
        return any(unknown if value is None else bool(value) for value in values)


@dataclass(frozen=True, slots=True)
class Known:
    """Which dumps the namespace was made from. `tables` of a family: the tables that are complete, or None where all are."""

    links: bool = True
    addrs: bool = True
    rules: frozenset[int] = frozenset(FAMILIES)
    tables: Mapping[int, frozenset[int] | None] = field(default_factory=lambda: {4: None, 6: None})

    def has_table(self, family: int, table_id: int) -> bool:
        """Say whether the table's routes are all known (a table that is not there at all is known, and empty)."""
        tables = self.tables.get(family, frozenset())
        return tables is None or table_id in tables


COMPLETE = Known()


def default_rules(family: int) -> tuple[Rule, ...]:
    """Return the rules that every namespace is born with (IPv6 has no `default` table)."""
    rules = (
        Rule(HOST_ROUTE_PRIORITY, family, table_id=TABLE_LOCAL, protocol="kernel"),
        Rule(MAIN_RULE_PRIORITY, family, table_id=TABLE_MAIN, protocol="kernel"),
        Rule(DEFAULT_RULE_PRIORITY, family, table_id=TABLE_DEFAULT, protocol="kernel"),
    )
    return rules if family == 4 else rules[:2]


@dataclass(frozen=True)
class Namespace:
    """One routing domain. Rows stand in the order of the dump: of equal rules and of equal routes the earlier one decides.

    `table_names` are those of tables that are known by name.
    """

    links: tuple[Link, ...] = ()
    addrs: tuple[Addr, ...] = ()
    rules: tuple[Rule, ...] = default_rules(4) + default_rules(6)
    routes: tuple[Route, ...] = ()
    sysctls: Sysctls = Sysctls()
    known: Known = COMPLETE
    table_names: Mapping[int, str] = field(default_factory=dict)

    def table_text(self, table_id: int) -> str:
        """Return a table as the machine's operators write it, by name where the dumps gave one."""
        return self.table_names.get(table_id) or table_text(table_id)

    @cached_property
    def rules_by_family(self) -> dict[int, tuple[Rule, ...]]:
        """Rules in the order they are tried."""
        return {family: tuple(sorted((r for r in self.rules if r.family == family), key=lambda r: r.priority)) for family in FAMILIES}

    @cached_property
    def tables(self) -> dict[tuple[int, int], tuple[Route, ...]]:
        """Routes by (family, table), in the order in which they would be preferred: longest first, then source, tos and metric."""
        tables: dict[tuple[int, int], list[Route]] = {}
        for route in self.routes:
            tables.setdefault((route.family, route.table_id), []).append(route)
        return {key: tuple(sorted(routes, key=preference)) for key, routes in tables.items()}

    @cached_property
    def kernel_local_routes(self) -> tuple[Route, ...]:
        """The IPv4 entries that the kernel itself put into the local table: they tell the addresses where no `ip addr` is at hand."""
        rows = self.tables.get((4, TABLE_LOCAL), ())
        return tuple(r for r in rows if r.type is RouteType.LOCAL and r.protocol == "kernel" and r.next_hops)

    @cached_property
    def local_addrs(self) -> frozenset[int]:
        """IPv4 addresses that are this machine's own."""
        listed = frozenset(a.addr for a in self.addrs if a.family == 4)
        return listed.union(r.prefix.addr for r in self.kernel_local_routes if r.prefix.prefix_len == 32)

    @cached_property
    def links_by_name(self) -> dict[str, Link]:
        """Links keyed by name."""
        return {link.name: link for link in self.links}

    @cached_property
    def interfaces_with_ipv4(self) -> frozenset[str]:
        """Interfaces that have an IPv4 address: rp_filter is strict on the others, whatever it says."""
        listed = frozenset(a.interface for a in self.addrs if a.family == 4)
        return listed.union(r.next_hops[0].out_interface or "" for r in self.kernel_local_routes)

    @property
    def knows_addrs(self) -> bool:
        """Addresses are listed, or can be told from the local table."""
        return self.known.addrs or self.known.has_table(4, TABLE_LOCAL)

    def has_custom_rules(self, family: int) -> bool:
        """Say whether the rules differ from those a namespace is born with."""
        return self._effective_rules[family][1]

    def effective_rules(self, family: int) -> tuple[Rule, ...]:
        """Return the rules that the kernel goes by.

        IPv6 does not look at its rules until one is added: where some of the first ones were only taken away, they still count.
        Source: linux net/ipv6/fib6_rules.c fib6_rule_lookup.
        """
        return self._effective_rules[family][0]

    @cached_property
    def _effective_rules(self) -> dict[int, tuple[tuple[Rule, ...], bool]]:
        effective = {}
        for family in FAMILIES:
            rules = self.rules_by_family[family]
            born_with = default_rules(family)
            essences = [essence(rule) for rule in rules]
            is_custom = essences != [essence(rule) for rule in born_with]
            only_deleted = family == 6 and all(rule in {essence(r) for r in born_with} for rule in essences)
            effective[family] = (born_with if only_deleted and is_custom else rules, is_custom)
        return effective

    @cached_property
    def looks_at_ports(self) -> bool:
        """Say whether arriving IPv4 packets are dissected for rules: only where one that is not `iif lo` selects by protocol or port.

        Else such packets have protocol 0 and ports 0 for every rule. Source: linux include/net/fib_rules.h fib_rule_requires_fldissect.
        """
        return any((r.ipproto or r.sport or r.dport) and r.in_interface != LOOPBACK for r in self.rules_by_family[4])

    @cached_property
    def has_custom_local_routes(self) -> bool:
        """An IPv4 route of type local that is not the kernel's own: source validation then looks at tables, not at addresses only."""
        return any(r.family == 4 and r.type is RouteType.LOCAL and r.protocol != "kernel" for r in self.routes)


def preference(route: Route) -> tuple[int, int, int, int]:
    """Order routes of one table: longer prefix, longer source prefix, larger tos, lower metric; equal ones as in the dump."""
    return (-route.prefix.prefix_len, -route.src_prefix.prefix_len, -route.tos, route.metric)


def essence(rule: Rule) -> Rule:
    """Return the rule without what decides nothing: its protocol and its line."""
    return replace(rule, protocol="", source_line=-1)
