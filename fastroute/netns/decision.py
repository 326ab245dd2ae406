"""The answer to one question: where a packet goes, by which rule, table and route, or why it does not."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from fastroute.netns.model import NextHop, Prefix, Route, Rule


class Verdict(StrEnum):
    """What becomes of the packet."""

    FORWARD = "forward"
    OUTPUT = "output"
    LOCAL = "local"
    BROADCAST = "broadcast"
    MULTICAST = "multicast"
    ERROR = "error"
    UNDECIDED = "undecided"


class Reason(StrEnum):
    """Why a packet is refused, or why there is no answer; NONE where there is one."""

    NONE = ""
    NO_ROUTE = "no_route"
    BLACKHOLE_ROUTE = "blackhole_route"
    UNREACHABLE_ROUTE = "unreachable_route"
    PROHIBIT_ROUTE = "prohibit_route"
    BLACKHOLE_RULE = "blackhole_rule"
    UNREACHABLE_RULE = "unreachable_rule"
    PROHIBIT_RULE = "prohibit_rule"
    MARTIAN_SOURCE = "martian_source"
    MARTIAN_DESTINATION = "martian_destination"
    SOURCE_NOT_LOCAL = "source_not_local"
    RP_FILTER = "rp_filter"
    FORWARDING_OFF = "forwarding_off"
    NO_SUCH_INTERFACE = "no_such_interface"
    INTERFACE_DOWN = "interface_down"
    MULTICAST_NOT_JOINED = "multicast_not_joined"
    MISSING_RULES = "missing_rules"
    MISSING_TABLE = "missing_table"
    MISSING_ADDRS = "missing_addrs"
    MISSING_SYSCTL = "missing_sysctl"
    UNSUPPORTED_RULE = "unsupported_rule"


ERRORS = {
    Reason.NO_ROUTE: "ENETUNREACH",
    Reason.BLACKHOLE_ROUTE: "EINVAL",
    Reason.UNREACHABLE_ROUTE: "EHOSTUNREACH",
    Reason.PROHIBIT_ROUTE: "EACCES",
    Reason.BLACKHOLE_RULE: "EINVAL",
    Reason.UNREACHABLE_RULE: "ENETUNREACH",
    Reason.PROHIBIT_RULE: "EACCES",
    Reason.MARTIAN_SOURCE: "EINVAL",
    Reason.MARTIAN_DESTINATION: "EINVAL",
    Reason.SOURCE_NOT_LOCAL: "ENETUNREACH",
    Reason.RP_FILTER: "EINVAL",
    Reason.FORWARDING_OFF: "EHOSTUNREACH",
    Reason.NO_SUCH_INTERFACE: "ENODEV",
    Reason.INTERFACE_DOWN: "ENETUNREACH",
    Reason.MULTICAST_NOT_JOINED: "EINVAL",
}
"""What the kernel answers (Linux 6.18; older ones said EXDEV for rp_filter and EINVAL for a foreign source)."""


@dataclass(frozen=True, slots=True)
class Packet:
    """One question. `in_interface` None: made on this machine. Ports and protocol as `ip route get` sends them: UDP, port 0."""

    family: int
    dst: int
    src: int = 0
    in_interface: str | None = None
    out_interface: str | None = None
    fwmark: int = 0
    ipproto: int = 17
    sport: int = 0
    dport: int = 0
    tos: int = 0
    uid: int = 0


@dataclass(frozen=True, slots=True)
class Tried:
    """One rule that the walk came to: what became of it, in words. `is_reverse` in the second look-up, the validation of the source."""

    rule: Rule
    outcome: str
    is_reverse: bool = False


@dataclass(frozen=True, slots=True)
class Decision:
    """The answer.

    `rule`, `table_id`, `route` are the deciding look-up (None where none decided); `next_hop` the chosen one of the route's; `device`
    is `lo` where the packet stays; `prefsrc` the source that the kernel gives to an unbound local packet. `missing` names what a dump
    lacks for an answer.
    """

    verdict: Verdict
    reason: Reason = Reason.NONE
    rule: Rule | None = None
    table_id: int | None = None
    route: Route | None = None
    next_hop: NextHop | None = None
    device: str | None = None
    prefsrc: int | None = None
    missing: str = ""
    tried: tuple[Tried, ...] = ()

    @property
    def error(self) -> str:
        """The errno's name; empty unless the verdict is ERROR."""
        return ERRORS[self.reason] if self.verdict is Verdict.ERROR else ""

    @property
    def prefix(self) -> Prefix | None:
        """The prefix that matched."""
        return self.route.prefix if self.route else None

    @property
    def gateway(self) -> int | None:
        """The gateway of the chosen next hop; None on link."""
        return self.next_hop.gateway if self.next_hop else None

    @property
    def rule_priority(self) -> int | None:
        """The priority of the deciding rule."""
        return self.rule.priority if self.rule else None
