"""The words of iproute2: names of tables, scopes, protocols and tos values, and how their values are read."""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable
from dataclasses import replace
from ipaddress import ip_address, ip_interface

from fastroute.io.dumps import LineError, Words
from fastroute.netns.model import ANY, TABLE_DEFAULT, TABLE_LOCAL, TABLE_MAIN, NextHop, Prefix, Route, RouteType, Rule, Scope

TABLE_IDS = {"unspec": 0, "default": TABLE_DEFAULT, "main": TABLE_MAIN, "local": TABLE_LOCAL}
NAMED_TABLES_FROM = 2**32
"""Tables known by name only (another machine's /etc/iproute2/rt_tables) get numbers above all real ones, equal for equal names."""

SCOPES = {"global": Scope.GLOBAL, "site": Scope.SITE, "link": Scope.LINK, "host": Scope.HOST, "nowhere": Scope.NOWHERE}
SCOPES |= {"0": Scope.GLOBAL, "200": Scope.SITE, "253": Scope.LINK, "254": Scope.HOST, "255": Scope.NOWHERE}
PROTOCOLS = {
    "icmp": 1,
    "igmp": 2,
    "tcp": 6,
    "udp": 17,
    "gre": 47,
    "esp": 50,
    "ah": 51,
    "ipv6-icmp": 58,
    "icmpv6": 58,
    "sctp": 132,
    "udplite": 136,
}
ROUTE_FLAGS = frozenset(
    {"pervasive", "offload", "trap", "notify", "unresolved", "rt_offload", "rt_trap", "rt_offload_failed", "cache", "redirected", "lock"}
)
ROUTE_DETAILS = frozenset(
    {
        "mtu",
        "advmss",
        "window",
        "rtt",
        "rttvar",
        "rto_min",
        "ssthresh",
        "cwnd",
        "initcwnd",
        "initrwnd",
        "hoplimit",
        "reordering",
        "features",
        "quickack",
        "congctl",
        "cc_algo",
        "fastopen_no_cookie",
        "realm",
        "realms",
        "expires",
        "error",
        "users",
        "used",
        "age",
        "ipid",
        "ts",
        "tsage",
        "iif",
        "encap",
        "uid",
        "mark",
        "weight",
    }
)
HOP_FLAGS: dict[str, Callable[[NextHop], NextHop]] = {
    "onlink": lambda hop: hop._replace(is_onlink=True),
    "dead": lambda hop: hop._replace(is_dead=True),
    "linkdown": lambda hop: hop._replace(is_linkdown=True),
}
ERROR_TYPES = (RouteType.BLACKHOLE, RouteType.UNREACHABLE, RouteType.PROHIBIT, RouteType.THROW)
FAMILY_OF_WORD = {"scope": 4, "tos": 4, "dsfield": 4, "pref": 6}
"""Words that rows of one family carry; with `-d` IPv6 rows show a scope too, so the larger one counts."""
DSFIELDS = {"default": 0, "lowdelay": 0x10, "throughput": 0x08, "reliability": 0x04, "CS0": 0, "EF": 0xB8, "LE": 0x04}
DSFIELDS |= {f"CS{n}": n << 5 for n in range(1, 8)} | {f"AF{c}{d}": c << 5 | d << 3 for c in range(1, 5) for d in range(1, 4)}
"""Source: iproute2 etc/iproute2/rt_dsfield; the class selectors of RFC 2474 and RFC 2597."""
ADDR_FLAGS = frozenset(
    {
        "dynamic",
        "temporary",
        "deprecated",
        "tentative",
        "dadfailed",
        "permanent",
        "nodad",
        "home",
        "mngtmpaddr",
        "noprefixroute",
        "autojoin",
        "optimistic",
        "stable-privacy",
    }
)


def parse_addr(text: str) -> tuple[int, int]:
    """Return (family, address); a zone (`fe80::1%eth0`) is left out."""
    try:
        parsed = ip_address(text.partition("%")[0])
    except ValueError as error:
        raise LineError(f"'{text}' is not an address") from error
    return parsed.version, int(parsed)


def parse_prefix(text: str, family: int | None = None) -> tuple[int | None, Prefix]:
    """Return (family or None where the text leaves it open, prefix); a short IPv4 form (`10/8`, `0/24`) is filled up."""
    if text in ("default", "all", "any"):
        return family, ANY
    addr, slash, length = text.partition("/")
    if slash and addr.isdigit() and addr.count(".") == 0 and family != 6:
        addr += ".0.0.0"
    elif slash and addr == "0" and family == 6:
        addr = "::"
    try:
        parsed = ip_interface(f"{addr}/{length}" if slash else addr)
    except ValueError as error:
        raise LineError(f"'{text}' is not a prefix") from error
    return parsed.version, Prefix(int(parsed.network.network_address), parsed.network.prefixlen)


def parse_int(text: str, what: str, *, most: int = 2**32 - 1) -> int:
    """Parse a decimal or 0x number within 0..most."""
    try:
        value = int(text, 0) if text.lower().startswith("0x") else int(text)
    except ValueError as error:
        raise LineError(f"{what} '{text}' is not a number") from error
    if not 0 <= value <= most:
        raise LineError(f"{what} '{text}' is out of range")
    return value


def parse_range(text: str, what: str, most: int) -> tuple[int, int]:
    """Parse `80` or `80-90`."""
    low, dash, high = text.partition("-")
    first = parse_int(low, what, most=most)
    return first, parse_int(high, what, most=most) if dash else first


class Tables:
    """Table names to numbers, as read so far."""

    def __init__(self, names: dict[str, int] | None = None) -> None:
        self._ids = {**TABLE_IDS, **(names or {})}
        self.invented: dict[int, str] = {}

    def number(self, text: str) -> int:
        """Return the number of a table; a name that nobody has explained gets one of its own."""
        if text in self._ids:
            return self._ids[text]
        if text.isdigit() and text.isascii():
            return parse_int(text, "table")
        if not re.fullmatch(r"[A-Za-z_][\w.-]*", text):
            raise LineError(f"'{text}' is not a table")
        number = NAMED_TABLES_FROM + zlib.crc32(text.encode())
        self.invented[number] = text
        return number


def parse_via(words: Words) -> tuple[int, int, int]:
    """Read what follows `via`: return (family of the row that this tells, family of the gateway, gateway)."""
    text = words.value("via")
    other = {"inet6": 6, "inet": 4}.get(text)
    family, gateway = parse_addr(words.value(text) if other else text)
    return (10 - family if other else family), family, gateway


def parse_hop(words: Words) -> tuple[int | None, NextHop]:
    """Read a next hop after its keyword: return (family of the row, or None, and the hop)."""
    hop = NextHop()
    family: int | None = None
    while (word := words.peek()) is not None and word != "nexthop":
        words.next()
        if word == "via":
            family, gateway_family, gateway = parse_via(words)
            hop = hop._replace(gateway=gateway, gateway_family=gateway_family)
        elif word == "dev":
            hop = hop._replace(out_interface=words.value(word))
        elif word == "weight":
            hop = hop._replace(weight=parse_int(words.value(word), "weight", most=2**16))
        elif word in HOP_FLAGS:
            hop = HOP_FLAGS[word](hop)
    return family, hop


def parse_scope(text: str) -> Scope:
    """Parse a scope by name or number."""
    if text not in SCOPES:
        raise LineError(f"'{text}' is not a scope")
    return SCOPES[text]


def parse_tos(text: str) -> int:
    """Parse a tos by name or as 0x number; iproute2 prints it in hexadecimal, with or without 0x."""
    if text in DSFIELDS:
        return DSFIELDS[text]
    return parse_int(text if text.startswith("0x") else f"0x{text}", "tos", most=255)


def parse_mark(rule: Rule, text: str) -> Rule:
    """Read `0x80/0xff`, or a mark alone, which is compared in all its bits."""
    mark, slash, mask = text.partition("/")
    return replace(rule, fwmark=parse_int(mark, "mark"), fwmask=parse_int(mask, "mask") if slash else 2**32 - 1)


def parse_protocol(text: str) -> int:
    """Parse an IP protocol by name or number."""
    return PROTOCOLS[text] if text in PROTOCOLS else parse_int(text.removeprefix("ipproto-"), "ipproto", most=255)


RULE_WORDS: dict[str, Callable[[Rule, str], Rule]] = {
    "fwmark": parse_mark,
    "tos": lambda rule, text: replace(rule, tos=parse_tos(text)),
    "dsfield": lambda rule, text: replace(rule, tos=parse_tos(text)),
    "ipproto": lambda rule, text: replace(rule, ipproto=parse_protocol(text)),
    "sport": lambda rule, text: replace(rule, sport=parse_range(text, "sport", 65535)),
    "dport": lambda rule, text: replace(rule, dport=parse_range(text, "dport", 65535)),
    "uidrange": lambda rule, text: replace(rule, uid_range=parse_range(text, "uidrange", 2**32 - 1)),
    "suppress_prefixlength": lambda rule, text: replace(rule, suppress_prefix_len=parse_int(text, "suppress_prefixlength", most=128)),
    "suppress_prefixlen": lambda rule, text: replace(rule, suppress_prefix_len=parse_int(text, "suppress_prefixlength", most=128)),
    "proto": lambda rule, text: replace(rule, protocol=text),
    "protocol": lambda rule, text: replace(rule, protocol=text),
}
ROUTE_WORDS: dict[str, Callable[[Route, str, Tables], Route]] = {
    "scope": lambda route, text, _: replace(route, scope=parse_scope(text)),
    "tos": lambda route, text, _: replace(route, tos=parse_tos(text)),
    "dsfield": lambda route, text, _: replace(route, tos=parse_tos(text)),
    "pref": lambda route, text, _: replace(route, pref=text),
    "table": lambda route, text, tables: replace(route, table_id=tables.number(text)),
    "metric": lambda route, text, _: replace(route, metric=parse_int(text, "metric")),
    "proto": lambda route, text, _: replace(route, protocol=text),
    "nhid": lambda route, text, _: replace(route, nexthop_id=parse_int(text, "nhid")),
}
