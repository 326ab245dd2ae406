"""The text form of `ip rule`, `ip route`, `ip addr`, `ip link`. A line is known by its shape, not by the command that made it."""

from __future__ import annotations

import re
from dataclasses import replace
from ipaddress import ip_interface

from fastroute.io.dumps import CutError, LineError, LineKind, Note, Report, Words, echoed_command
from fastroute.io.ifconfig import addr_of
from fastroute.io.iproute2_words import (
    ADDR_FLAGS,
    ERROR_TYPES,
    FAMILY_OF_WORD,
    HOP_FLAGS,
    ROUTE_DETAILS,
    ROUTE_FLAGS,
    ROUTE_WORDS,
    RULE_WORDS,
    SCOPES,
    Tables,
    parse_addr,
    parse_hop,
    parse_int,
    parse_prefix,
    parse_via,
)
from fastroute.netns.model import ANY, TABLE_MAIN, Addr, Link, NextHop, Route, RouteType, Rule, RuleAction, Scope

_LINK = re.compile(r"^\s*(\d+):\s+([^\s:@]\S*?)(?:@(\S+?))?:\s+<([^>]*)>?(.*)$")
_ONE_LINE_ADDR = re.compile(r"^\s*(\d+):\s+(\S+?)(?:@\S+)?\s+(inet6?\s.*)$")
_BRIEF = re.compile(r"^([^\s:@/]+)(?:@\S+)?\s+(UP|DOWN|UNKNOWN|LOWERLAYERDOWN|DORMANT|TESTING|NOTPRESENT)(?:\s+(.*)|\s*)$")
_MAC = re.compile(r"(?:[0-9a-f]{2}:){5}[0-9a-f]{2}")
_NEXTHOP_OBJECT = re.compile(r"^id \d+ ")
_RULE = re.compile(r"^\s*(\d+):(?:\s+(.*))?$")
_COMMAND_TABLE = re.compile(r"\btable\s+(\S+)")


class Reader:
    """Reads one text line by line; holds what a line may refer back to."""

    def __init__(self, family: int, table_id: int | None, tables: Tables) -> None:
        self.family = family
        self.table_id = table_id
        self.tables = tables
        self.rules: list[Rule] = []
        self.routes: list[Route] = []
        self.links: list[Link] = []
        self.addrs: list[Addr] = []
        self.reports: list[Report] = []
        self.notes: list[Note] = []
        self.interface: str | None = None
        self.is_route_open = False

    def read_line(self, number: int, line: str) -> None:
        """Read one line, or report it."""
        if not line.strip():
            self.report(number, LineKind.BLANK, line)
            return
        try:
            self.dispatch(number, line)
        except CutError as error:
            self.report(number, LineKind.CUT, f"{error}: {line.strip()}")
        except LineError as error:
            self.report(number, LineKind.UNREADABLE, f"{error}: {line.strip()}")

    def report(self, number: int, kind: LineKind, text: str) -> None:
        """Put a line on the list of those without a row."""
        self.reports.append(Report(number, kind, text[:200]))

    def dispatch(self, number: int, line: str) -> None:
        """Recognise a line by its shape."""
        link = _LINK.match(line)
        one_line_addr = _ONE_LINE_ADDR.match(line)
        brief = _BRIEF.match(line)
        if link:
            self.is_route_open = False
            self.links.append(parse_link(number, link))
            self.interface = self.links[-1].name
        elif one_line_addr:
            self.interface = one_line_addr.group(2)
            self.addrs.append(self.parse_addr_line(number, Words(one_line_addr.group(3))))
        elif brief:
            self.is_route_open = False
            self.add_brief(number, brief)
        elif _NEXTHOP_OBJECT.match(line):
            self.report(number, LineKind.DETAIL, line)  # routes show the hops of their objects themselves
        elif _RULE.match(line):
            self.is_route_open = False
            self.add_rule(number, line)
        elif line[0] in " \t" and self.continue_line(number, Words(line)):
            pass
        else:
            command = echoed_command(line)
            if command is not None:
                self.follow_command(command)
                self.report(number, LineKind.ECHO, line)
            else:
                self.add_route(number, Words(line))

    def add_brief(self, number: int, match: re.Match[str]) -> None:
        """Read `ens5 UP 10.0.0.10/19 fe80::1/64` (`ip -br addr`) or `ens5 UP 0a:1b:… <BROADCAST,UP>` (`ip -br link`)."""
        name, state, rest = match.group(1), match.group(2), match.group(3) or ""
        words = rest.split()
        mac = next((word for word in words if _MAC.fullmatch(word)), "")
        self.links.append(Link(name, is_up=state != "DOWN" or "UP" in rest.strip("<>").split(","), mac=mac, source_line=number))
        self.interface = name
        for word in words:
            text, slash, length = word.partition("/")
            if slash:
                try:
                    self.addrs.append(addr_of(name, text, length, number))
                except ValueError as error:
                    raise LineError(str(error)) from error

    def follow_command(self, command: str) -> None:
        """Take family and table from an echoed command."""
        self.is_route_open = False
        self.interface = None
        words = command.split()
        if "-6" in words or "ip6tables-save" in words:
            self.family = 6
        elif "ip" in words:
            self.family = 4
        table = _COMMAND_TABLE.search(command)
        if "route" in words or "r" in words:
            self.table_id = None if table is None or table.group(1) == "all" else self.tables.number(table.group(1))

    def continue_line(self, number: int, words: Words) -> bool:
        """Read an indented line that belongs to the one before; False where it does not (a row with leading blanks)."""
        first = words.peek() or ""
        if first == "nexthop":
            if not self.is_route_open:
                raise LineError("next hop without a route")
            words.next()
            self.routes[-1] = self.add_hop(self.routes[-1], words)
        elif first in ("inet", "inet6") and self.interface is not None:
            self.addrs.append(self.parse_addr_line(number, words))
        elif first.startswith("link/") and self.links and self.interface is not None:
            self.links[-1] = replace(self.links[-1], mac=(words.next(), words.next())[1] or "")
        elif first in ("cache", "valid_lft", "altname", "alias", "veth", "vlan", "bridge", "bond", "tun", "dummy", "RX:", "TX:") or (
            self.interface is not None and not self.is_route_open
        ):
            self.report(number, LineKind.DETAIL, " ".join(iter(words.next, None)))
        else:
            return False
        return True

    def add_rule(self, number: int, line: str) -> None:
        """Read a rule; a priority that falls starts the listing of the other family."""
        match = _RULE.match(line)
        if match is None:
            raise LineError("no rule")
        rule, family = self.parse_rule(number, parse_int(match.group(1), "priority"), Words(match.group(2) or ""))
        if family is None:
            if self.rules and self.rules[-1].priority > rule.priority and self.rules[-1].family == self.family:
                self.family = 6
            family = self.family
        elif family != self.family:
            self.family = family
            start = self.start_of_listing(rule.priority)
            self.rules[start:] = [replace(r, family=family) if not mentions_addr(r) else r for r in self.rules[start:]]
        self.rules.append(replace(rule, family=family))

    def start_of_listing(self, priority: int) -> int:
        """Return the index where the present run of non-falling priorities began: rules without addresses there are of the same family."""
        start = len(self.rules)
        while start and self.rules[start - 1].priority <= priority and not mentions_addr(self.rules[start - 1]):
            start -= 1
            priority = self.rules[start].priority
        return start

    def parse_rule(self, number: int, priority: int, words: Words) -> tuple[Rule, int | None]:
        """Return (rule, family or None where nothing tells it)."""
        rule = Rule(priority, source_line=number)
        family: int | None = None
        has_action = False
        strange: list[str] = []
        while (word := words.next()) is not None:
            if word == "not":
                rule = replace(rule, inverted=True)
            elif word in ("from", "to"):
                found, prefix = parse_prefix(words.value(word), family)
                family = family or found
                rule = replace(rule, src_prefix=prefix) if word == "from" else replace(rule, dst_prefix=prefix)
            elif word in ("lookup", "table"):
                text = words.value(word)
                has_action = True
                is_vrf = text == "[l3mdev-table]"
                rule = replace(rule, unsupported="l3mdev") if is_vrf else replace(rule, table_id=self.tables.number(text))
            elif word in ("iif", "oif", "dev"):
                name = words.value(word)
                rule = replace(rule, out_interface=name) if word == "oif" else replace(rule, in_interface=name)
            elif word in ("[detached]", "detached"):
                rule = (
                    replace(rule, oif_detached=True) if rule.out_interface and not rule.oif_detached else replace(rule, iif_detached=True)
                )
            elif word == "goto":
                has_action = True
                target = words.value(word)
                rule = replace(rule, action=RuleAction.GOTO, goto_priority=None if target == "none" else parse_int(target, "goto"))
            elif word in ("blackhole", "unreachable", "prohibit", "nop"):
                has_action = True
                rule = replace(rule, action=RuleAction(word))
            elif word in ("[unresolved]", "unresolved"):
                continue
            elif word in RULE_WORDS:
                rule = RULE_WORDS[word](rule, words.value(word))
            else:
                strange.append(word)
        if strange:
            self.notes.append(Note(number, f"rule {priority}: not understood: {' '.join(strange)}"))
            rule = replace(rule, unsupported=rule.unsupported or strange[0])
        if not has_action:
            raise CutError("rule without an action")
        return rule, family

    def add_route(self, number: int, words: Words) -> None:
        """Read a route."""
        self.interface = None
        self.is_route_open = False
        self.routes.append(self.parse_route(number, words))
        self.is_route_open = True

    def parse_route(self, number: int, words: Words) -> Route:
        """Read the first line of a route."""
        first = words.value("the beginning")
        kind = RouteType.UNICAST
        if first in RouteType.__members__.values():
            kind = RouteType(first)
            first = words.value(first)
        family, prefix = parse_prefix(first)
        route = Route(TABLE_MAIN if self.table_id is None else self.table_id, 0, prefix, kind, source_line=number)
        hop = NextHop()
        strange: list[str] = []
        hops: list[NextHop] = []
        hint = 0
        while (word := words.next()) is not None:
            if word == "nexthop":
                found, hop = parse_hop(words)
                family = family or found
                hops.append(hop)
                hop = NextHop()
            elif word == "via":
                found, gateway_family, gateway = parse_via(words)
                family = family or found
                hop = hop._replace(gateway=gateway, gateway_family=gateway_family)
            elif word in HOP_FLAGS:
                hop = HOP_FLAGS[word](hop)
            elif word == "dev":
                hop = hop._replace(out_interface=words.value(word))
            elif word in FAMILY_OF_WORD:
                hint = max(hint, FAMILY_OF_WORD[word])
                route = ROUTE_WORDS[word](route, words.value(word), self.tables)
            elif word in ROUTE_WORDS:
                route = ROUTE_WORDS[word](route, words.value(word), self.tables)
            elif word in ("from", "src"):
                found, source = parse_prefix(words.value(word), family)
                family = family or found
                route = replace(route, src_prefix=source) if word == "from" else replace(route, prefsrc=source.addr)
            elif word in ROUTE_DETAILS:
                words.value(word)
            elif word not in ROUTE_FLAGS:
                strange.append(word)
        if strange:
            self.notes.append(Note(number, f"route {first}: not understood: {' '.join(strange)}"))
        if hop.out_interface is not None or hop.gateway is not None:
            hops.insert(0, hop)
        if family is None:
            family = hint or (self.routes[-1].family if self.routes else self.family)
        return replace(route, family=family, next_hops=() if kind in ERROR_TYPES else tuple(hops))

    def add_hop(self, route: Route, words: Words) -> Route:
        """Add a next hop of a line of its own; the first one may tell the family of a default route."""
        family, hop = parse_hop(words)
        if family is None or route.prefix != ANY or route.next_hops:
            family = route.family
        return replace(route, family=family, next_hops=(*route.next_hops, hop))

    def parse_addr_line(self, number: int, words: Words) -> Addr:
        """Read `inet 10.0.0.10/19 brd 10.0.31.255 scope global ens5`."""
        interface = self.interface or ""
        words.next()
        text = words.value("inet")
        try:
            own = ip_interface(text.partition("%")[0])
        except ValueError as error:
            raise LineError(f"'{text}' is not an address") from error
        addr = Addr(interface, own.version, int(own.ip), own.network.prefixlen, source_line=number)
        while (word := words.next()) is not None:
            if word == "peer":
                _, peer = parse_prefix(words.value(word))
                addr = replace(addr, peer=peer.addr, prefix_len=peer.prefix_len)
            elif word == "brd":
                addr = replace(addr, broadcast=parse_addr(words.value(word))[1])
            elif word == "scope":
                addr = replace(addr, scope=SCOPES.get(words.value(word), Scope.GLOBAL))
            elif word == "secondary":
                addr = replace(addr, is_secondary=True)
            elif word in ("any", "metric", "proto", "valid_lft", "preferred_lft"):
                words.value(word)
            elif word not in ADDR_FLAGS and words.peek() is not None and not word.startswith(interface):
                self.notes.append(Note(number, f"address {text}: not understood: {word}"))
        return addr


def parse_link(number: int, match: re.Match[str]) -> Link:
    """Read `2: ens5: <BROADCAST,UP,LOWER_UP> mtu 9001 …`."""
    index, name, _, flags, rest = match.groups()
    words = Words(rest)
    mtu, master = -1, ""
    while (word := words.next()) is not None:
        if word == "mtu":
            mtu = parse_int(words.value(word), "mtu")
        elif word == "master":
            master = words.value(word)
    up = flags.split(",")
    return Link(name, parse_int(index, "index"), "UP" in up, mtu=mtu, master=master, has_carrier="NO-CARRIER" not in up, source_line=number)


def mentions_addr(rule: Rule) -> bool:
    """Say whether a rule's own text tells its family."""
    return rule.src_prefix != ANY or rule.dst_prefix != ANY
