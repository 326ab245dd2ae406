"""A node's dumps, put together: one namespace, the netfilter rules, what ipamd says, and what is missing or could not be read."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from fastroute.errors import InputError
from fastroute.io.cni_env import read_conflist, read_env_settings
from fastroute.io.dumps import Account, LineKind
from fastroute.io.ifconfig import read_ifconfig
from fastroute.io.ipamd import Allocation, IpamdEni, read_enis, read_ipam
from fastroute.io.iproute2 import IpDump, read_ip
from fastroute.io.iproute2_words import TABLE_IDS
from fastroute.io.netfilter import Netfilter, read_iptables, read_nft
from fastroute.io.sysctl import read_early_demux, read_sysctls
from fastroute.netns.model import (
    ADDR_BITS,
    FAMILIES,
    LOOPBACK,
    TABLE_LOCAL,
    TABLE_MAIN,
    Addr,
    Known,
    Link,
    Namespace,
    NextHop,
    Prefix,
    Route,
    RouteType,
    Rule,
    Scope,
    Sysctls,
)

MOST_BYTES = 64 * 2**20
"""Of one file; the longest real dump (iptables-save of a large cluster) is about a tenth of it."""

FILE_KINDS = {
    "ip-rule": "rule",
    "ip6-rule": "rule6",
    "ip-route": "route",
    "ip6-route": "route6",
    "ip-addr": "addr",
    "ip-link": "link",
    "iptables-save": "iptables",
    "nft": "nft",
    "sysctl": "sysctl",
    "ifconfig": "ifconfig",
    "enis": "enis",
    "ipam": "ipam",
    "networkutils-env-settings": "env",
    "ipamd-env-settings": "env-ipamd",
    "10-aws": "conflist",
}
WHAT_IT_TAKES_AWAY = {
    "rule": "every IPv4 answer",
    "rule6": "every IPv6 answer",
    "route": "every answer past the local table",
    "sysctl": "answers where rp_filter decides",
    "iptables": "marks and SNAT",
}
_ROUTE_FILE = re.compile(r"^ip(?P<six>6?)-route-(?:table-)?(?P<table>[\w.-]+)$")


@dataclass(frozen=True)
class NodeDump:
    """All that a node's files say. `accounts` is keyed by file; `missing` says what an absent file takes away.

    `cni_env` are the plugin's settings as the node tells them; None where it does not. `early_demux` is net.ipv4.tcp_early_demux.
    """

    namespace: Namespace
    iptables: Netfilter | None = None
    nft: Netfilter | None = None
    enis: tuple[IpamdEni, ...] = ()
    allocations: tuple[Allocation, ...] = ()
    cni_env: Mapping[str, str] | None = None
    early_demux: bool | None = None
    accounts: Mapping[str, Account] = field(default_factory=dict)
    missing: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()


def kind_of_file(name: str) -> str:
    """Return what a file holds, by its name: `ip-rule.txt` is `rule`, `ip-route-table-2.json` is `route:2`; empty for other files."""
    stem = re.sub(r"\.(?:txt|json|log|out|conflist)$", "", name)
    match = _ROUTE_FILE.match(stem)
    if match:
        return f"route{match.group('six')}:{match.group('table')}"
    return FILE_KINDS.get(stem, "")


def read_node_folder(folder: Path) -> NodeDump:
    """Read a folder of dumps.

    Raises
    ------
    InputError
        It is no folder, or holds none of the files.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder of dumps")
    texts: dict[str, str] = {}
    for path in sorted(folder.iterdir()):
        kind = kind_of_file(path.name)
        if not kind or not path.is_file():
            continue
        if kind in texts:
            raise InputError(f"{path}: a second file of the same kind ({kind}); keep one of them")
        with path.open("rb") as file:
            texts[kind] = file.read(MOST_BYTES).decode("utf-8-sig", "replace")
    if not texts:
        raise InputError(f"{folder}: holds none of ip-rule, ip-route, ip-addr, … (.txt or .json)")
    return node_from_texts(texts)


def node_from_dumps(
    *,
    rule: str | None = None,
    rule6: str | None = None,
    route: str | Mapping[int | str, str] | None = None,
    route6: str | Mapping[int | str, str] | None = None,
    addr: str | None = None,
    link: str | None = None,
    iptables: str | None = None,
    nft: str | None = None,
    sysctl: str | None = None,
) -> NodeDump:
    """Put a node together from the texts themselves; `route` is one text of all tables, or one by table."""
    texts: dict[str, str] = {}
    plain = {"rule": rule, "rule6": rule6, "addr": addr, "link": link, "iptables": iptables, "nft": nft, "sysctl": sysctl}
    texts |= {kind: text for kind, text in plain.items() if text is not None}
    for kind, tables in (("route", route), ("route6", route6)):
        if isinstance(tables, str):
            texts[kind] = tables
        elif tables is not None:
            texts |= {f"{kind}:{table}": text for table, text in tables.items()}
    return node_from_texts(texts)


def node_from_texts(texts: Mapping[str, str]) -> NodeDump:
    """Put a node together from texts keyed by kind (`kind_of_file`)."""
    dumps: dict[str, IpDump] = {}
    for kind, text in texts.items():
        base, _, table = kind.partition(":")
        if base in ("rule", "rule6", "route", "route6", "addr", "link"):
            dumps[kind] = read_ip(text, family=6 if base.endswith("6") else 4, table_id=table_number(table))
    links = unique_links([link for dump in dumps.values() for link in dump.links])
    addrs = tuple(dict.fromkeys(addr for dump in dumps.values() for addr in dump.addrs))
    accounts = {kind: dump.account for kind, dump in dumps.items()}
    knows_links = bool(links) and not any(dump.account.is_cut for dump in dumps.values() if dump.links)
    knows_addrs = bool(addrs) and not any(dump.account.is_cut for dump in dumps.values() if dump.addrs)
    if "ifconfig" in texts and not links:
        links, addrs, accounts["ifconfig"] = read_ifconfig(texts["ifconfig"])
    sysctls = Sysctls()
    if "sysctl" in texts:
        sysctls, accounts["sysctl"] = read_sysctls(texts["sysctl"])
    iptables = read_iptables(texts["iptables"]) if "iptables" in texts else None
    nft = read_nft(texts["nft"]) if "nft" in texts else None
    accounts |= {kind: found.account for kind, found in (("iptables", iptables), ("nft", nft)) if found is not None}
    enis, enis_problems = read_enis(texts["enis"]) if "enis" in texts else ((), ())
    allocations, ipam_problems = read_ipam(texts["ipam"]) if "ipam" in texts else ((), ())

    cni_env, env_problems = cni_env_of(texts)

    rules = tuple(rule for dump in dumps.values() for rule in rules_with_gaps(dump))
    routes = tuple(route for dump in dumps.values() for route in dump.routes)
    known = Known(
        links=knows_links,
        addrs=knows_addrs,
        rules=frozenset(rule.family for rule in rules),
        tables={family: known_tables(family, dumps, rules) for family in FAMILIES},
    )
    if knows_addrs and not known.has_table(4, TABLE_LOCAL):
        routes += local_routes4(addrs, links)
        tables = known.tables[4] or frozenset()
        known = replace(known, tables={**known.tables, 4: tables | {TABLE_LOCAL}})
    names = dict(pair for dump in dumps.values() for pair in dump.table_names)
    namespace = Namespace(links, addrs, rules, routes, sysctls, known, names)
    present = {kind.partition(":")[0] for kind in texts}
    missing = tuple(
        f"{kind}: without it, no {what.removeprefix('every ')}" for kind, what in WHAT_IT_TAKES_AWAY.items() if kind not in present
    )
    problems = tuple(f"enis: {text}" for text in enis_problems) + tuple(f"ipam: {text}" for text in ipam_problems) + env_problems
    return NodeDump(
        namespace,
        iptables,
        nft,
        enis,
        allocations,
        cni_env,
        read_early_demux(texts.get("sysctl", "")),
        accounts,
        missing,
        problems,
    )


def cni_env_of(texts: Mapping[str, str]) -> tuple[dict[str, str] | None, tuple[str, ...]]:
    """Read the plugin's settings; None where the file that says most of them is absent or broken."""
    env: dict[str, str] = {}
    problems: tuple[str, ...] = ()
    for kind, read in (("conflist", read_conflist), ("env-ipamd", read_env_settings), ("env", read_env_settings)):
        if kind in texts:
            found, broken = read(texts[kind])
            env |= found
            problems += tuple(f"{kind}: {text}" for text in broken)
    is_told = "AWS_VPC_K8S_CNI_EXTERNALSNAT" in env
    return (env if is_told else None), problems


def table_number(text: str) -> int | None:
    """Return the number of a table in a file's name; None for none."""
    if not text or text == "all":
        return None
    return TABLE_IDS[text] if text in TABLE_IDS else int(text) if text.isascii() and text.isdecimal() else None


def unique_links(links: list[Link]) -> tuple[Link, ...]:
    """Keep one row of a link that both `ip addr` and `ip link` show."""
    return tuple({link.name: link for link in reversed(links)}.values())[::-1]


def rules_with_gaps(dump: IpDump) -> list[Rule]:
    """Return the rules of a dump, with one that nobody can evaluate at the place of each line that could not be read.

    So packets that an earlier rule decides have their answer, and the others are told which line stands in the way.
    """
    if not dump.rules:
        return []
    rules = list(dump.rules)
    lines = [rule.source_line for rule in dump.rules]
    for problem in dump.account.problems:
        position = bisect_right(lines, problem.line)
        neighbour = dump.rules[position - 1] if position else replace(dump.rules[0], priority=0)
        what = "what is cut off" if problem.kind is LineKind.CUT else "what cannot be read"
        rules.append(Rule(neighbour.priority, neighbour.family, unsupported=f"{what} in line {problem.line}", source_line=problem.line))
    return sorted(rules, key=lambda rule: (rule.family, rule.priority, rule.source_line))


def known_tables(family: int, dumps: Mapping[str, IpDump], rules: tuple[Rule, ...]) -> frozenset[int] | None:
    """Return the tables whose routes are all there; None where every table is."""
    known: set[int] = set()
    has_all = False
    suspects: set[int] = set()
    is_cut = False
    for kind, dump in dumps.items():
        base, _, table = kind.partition(":")
        rows = [route for route in dump.routes if route.family == family]
        asked = table_number(table)
        if base == ("route6" if family == 6 else "route") and asked is not None:
            known.add(asked)
        elif rows:
            has_all = has_all or any(row.table_id != TABLE_MAIN for row in rows)
            known |= {row.table_id for row in rows} | {TABLE_MAIN}
        lines = [route.source_line for route in dump.routes]
        for problem in dump.account.problems if dump.routes else ():
            position = bisect_right(lines, problem.line)
            neighbours = dump.routes[max(position - 1, 0) : position + 1]
            suspects |= {row.table_id for row in neighbours if row.family == family} or {TABLE_MAIN}
            is_cut = is_cut or position == len(lines)
    if not suspects:
        return None if has_all else frozenset(known)
    if has_all and not is_cut:
        known |= {rule.table_id for rule in rules if rule.family == family}
    return frozenset(known - suspects)


def local_routes4(addrs: tuple[Addr, ...], links: tuple[Link, ...]) -> tuple[Route, ...]:
    """Return the IPv4 entries that the kernel keeps in the local table for these addresses.

    Source: linux net/ipv4/fib_frontend.c fib_add_ifaddr.
    """
    down = {link.name for link in links if not link.is_up}
    routes: dict[tuple[Prefix, RouteType, str], Route] = {}

    def add(prefix: Prefix, kind: RouteType, addr: Addr) -> None:
        scope = Scope.HOST if kind is RouteType.LOCAL else Scope.LINK
        row = Route(
            TABLE_LOCAL,
            4,
            prefix,
            kind,
            (NextHop(addr.interface),),
            addr.addr,
            scope=scope,
            protocol="kernel",
            source_line=addr.source_line,
        )
        routes.setdefault((prefix, kind, addr.interface), row)

    for addr in addrs:
        if addr.family != 4 or addr.interface in down:
            continue
        add(Prefix(addr.addr, 32), RouteType.LOCAL, addr)
        host_bits = ADDR_BITS[4] - addr.prefix_len
        network = (addr.addr if addr.peer is None else addr.peer) >> host_bits << host_bits
        if addr.broadcast is not None:
            add(Prefix(addr.broadcast, 32), RouteType.BROADCAST, addr)
        if addr.interface == LOOPBACK and addr.prefix_len < 32:
            add(Prefix(network, addr.prefix_len), RouteType.LOCAL, addr)
        if addr.prefix_len < 31 and not addr.is_secondary and network:
            add(Prefix(network | (2**host_bits - 1), 32), RouteType.BROADCAST, addr)
    return tuple(routes.values())
