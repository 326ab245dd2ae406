"""`ifconfig`: a support bundle's only word on interfaces, their MACs and addresses. It lists what is up, and one address of each."""

from __future__ import annotations

import re
from dataclasses import replace
from ipaddress import ip_address, ip_network

from fastroute.io.dumps import Account, LineKind, Report, account, echoed_command
from fastroute.netns.model import Addr, Link, Scope

_HEAD = re.compile(
    r"^(?P<name>\S+?):?\s+(?:flags=\d+<(?P<flags>[^>]*)>\s+mtu\s+(?P<mtu>\d+)|Link encap:\S+(?:\s+HWaddr\s+(?P<mac>[0-9A-Fa-f:]{17}))?)"
)
_INET = re.compile(r"\binet (?:addr:)?(?P<addr>[\d.]+)(?:.*?(?:netmask |Mask:)(?P<mask>[\d.]+))?")
_INET6 = re.compile(r"\binet6 (?:addr: ?)?(?P<addr>[0-9A-Fa-f:]+)(?:/(?P<len>\d+))?(?:\s+prefixlen (?P<prefix_len>\d+))?")
_ETHER = re.compile(r"\bether (?P<mac>[0-9A-Fa-f:]{17})")


def read_ifconfig(text: str) -> tuple[tuple[Link, ...], tuple[Addr, ...], Account]:
    """Read net-tools' ifconfig, old form and new.

    Returns
    -------
    links, addrs, account
    """
    links: list[Link] = []
    addrs: list[Addr] = []
    reports: list[Report] = []
    lines = text.splitlines()
    for number, line in enumerate(lines, start=1):
        head = _HEAD.match(line)
        inet, inet6, ether = _INET.search(line), _INET6.search(line), _ETHER.search(line)
        try:
            if head:
                links.append(link_of(head, number))
            elif inet and links:
                addrs.append(addr_of(links[-1].name, inet.group("addr"), inet.group("mask") or "255.255.255.255", number))
            elif inet6 and links:
                length = inet6.group("prefix_len") or inet6.group("len") or "128"
                addrs.append(addr_of(links[-1].name, inet6.group("addr"), length, number))
            elif ether and links:
                links[-1] = replace(links[-1], mac=ether.group("mac").lower())
            elif not line.strip():
                reports.append(Report(number, LineKind.BLANK, line))
            elif line[0] in " \t" and links:
                reports.append(Report(number, LineKind.DETAIL, line[:200]))
            else:
                kind = LineKind.UNREADABLE if echoed_command(line) is None else LineKind.ECHO
                reports.append(Report(number, kind, line[:200]))
        except ValueError as error:
            reports.append(Report(number, LineKind.UNREADABLE, f"{error}: {line}"[:200]))
    return tuple(links), tuple(addrs), account(len(lines), reports, ())


def link_of(match: re.Match[str], line: int) -> Link:
    """Make a link of its head line; a label (`eth0:1`) is the interface before the colon."""
    flags = (match.group("flags") or "UP").split(",")
    mtu = int(match.group("mtu") or -1)
    return Link(match.group("name").partition(":")[0], -1, "UP" in flags, (match.group("mac") or "").lower(), mtu, source_line=line)


def addr_of(interface: str, text: str, length: str, line: int) -> Addr:
    """Make an address; `length` is a prefix length or a netmask."""
    addr = ip_address(text)
    prefix_len = ip_network(f"{'0.0.0.0' if addr.version == 4 else '::'}/{length}").prefixlen
    scope = Scope.HOST if addr.is_loopback else Scope.LINK if addr.is_link_local and addr.version == 6 else Scope.GLOBAL
    return Addr(interface, addr.version, int(addr), prefix_len, scope, source_line=line)
