"""`sysctl -a`: the switches that decide paths."""

from __future__ import annotations

import json
import re

from fastroute.io.dumps import Account, LineKind, Note, Report, account, echoed_command
from fastroute.netns.model import InterfaceSysctls, Sysctls

SWITCHES = frozenset(InterfaceSysctls.__slots__)

_LINE = re.compile(r"^\s*(?P<key>[\w./@:*-]+)\s*[=:]\s*(?P<value>.*?)\s*$")
_CONF = re.compile(r"^net[./]ipv4[./]conf[./](?P<interface>.+)[./](?P<switch>\w+)$")


def read_sysctls(text: str) -> tuple[Sysctls, Account]:
    """Read `key = value` lines (or one JSON object of them).

    Returns
    -------
    Sysctls
        An interface whose name has dots is printed with slashes (`conf.vlan/eth/3.rp_filter`), or with the dots; both are understood.
    Account
        Keys that decide no path are details.
    """
    lines = text.splitlines()
    reports: list[Report] = []
    notes: list[Note] = []
    pairs: list[tuple[int, str, str]] = []
    if text.lstrip().startswith("{"):
        pairs, reports = json_pairs(text, len(lines))
    else:
        for number, line in enumerate(lines, start=1):
            match = _LINE.match(line)
            if not line.strip():
                reports.append(Report(number, LineKind.BLANK, line))
            elif match and "net" in match.group("key"):
                pairs.append((number, match.group("key"), match.group("value")))
            elif match and not line.lstrip().startswith("sysctl:"):
                reports.append(Report(number, LineKind.DETAIL, line[:200]))
            else:
                kind = LineKind.UNREADABLE if echoed_command(line) is None else LineKind.ECHO
                reports.append(Report(number, kind, line[:200]))
    machine: dict[str, int] = {}
    interfaces: dict[str, dict[str, int]] = {}
    for number, key, value in pairs:
        match = _CONF.match(key)
        field = decides(key, match)
        text_of_pair = f"{key} = {value}"[:200]
        if not field:
            reports += [Report(number, LineKind.DETAIL, text_of_pair)] if number else []
        elif not re.fullmatch(r"[0-9]{1,3}", value):
            if number:
                reports.append(Report(number, LineKind.UNREADABLE if value else LineKind.CUT, text_of_pair))
            else:
                notes.append(Note(1, f"not a number: {text_of_pair}"))
        elif match:
            interfaces.setdefault(match.group("interface").replace("/", "."), {})[field] = int(value)
        else:
            machine[field] = int(value)
    rows = {name: interface_sysctls(values) for name, values in interfaces.items()}
    return Sysctls(flag(machine, "ip_forward"), flag(machine, "ipv6_forwarding"), rows), account(len(lines), reports, notes)


_EARLY_DEMUX = re.compile(r"^\s*\"?net[./]ipv4[./]tcp_early_demux\"?\s*[=:]\s*\"?(?P<value>[01])\b", re.MULTILINE)


def read_early_demux(text: str) -> bool | None:
    """Return net.ipv4.tcp_early_demux, which decides no look-up but breaks probes of branch pods; None where it is not listed."""
    match = _EARLY_DEMUX.search(text)
    return None if match is None else match.group("value") == "1"


def flag(values: dict[str, int], name: str) -> bool | None:
    """Return a switch; None where it was not listed."""
    return bool(values[name]) if name in values else None


def interface_sysctls(values: dict[str, int]) -> InterfaceSysctls:
    """Make the row of one interface."""
    return InterfaceSysctls(
        values.get("rp_filter"),
        flag(values, "forwarding"),
        flag(values, "accept_local"),
        flag(values, "route_localnet"),
        flag(values, "src_valid_mark"),
        flag(values, "send_redirects"),
        flag(values, "ignore_routes_with_linkdown"),
    )


def decides(key: str, match: re.Match[str] | None) -> str:
    """Return the field that a key sets; empty for keys that decide no path."""
    plain = key.replace("/", ".")
    if plain == "net.ipv4.ip_forward":
        return "ip_forward"
    if plain == "net.ipv6.conf.all.forwarding":
        return "ipv6_forwarding"
    if match and match.group("switch") in SWITCHES:
        return match.group("switch")
    return ""


def json_pairs(text: str, num_lines: int) -> tuple[list[tuple[int, str, str]], list[Report]]:
    """Read one JSON object; its keys have no lines of their own: 0."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        return [], [Report(line, LineKind.CUT, f"JSON breaks: {error}") for line in range(1, num_lines + 1)]
    if not isinstance(value, dict):
        return [], [Report(line, LineKind.UNREADABLE, "not an object") for line in range(1, num_lines + 1)]
    return [(0, str(key), str(item)) for key, item in value.items()], []
