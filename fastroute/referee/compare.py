"""The walk's answer beside the kernel's."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from fastroute.netns.decision import Decision, Packet, Verdict
from fastroute.netns.model import TABLE_LOCAL, TABLE_MAIN, Namespace, NextHop, RouteType
from fastroute.netns.walk import decide
from fastroute.referee.kernel import KernelNode
from fastroute.referee.netlink import Answer

VERDICT_TYPES = {
    Verdict.FORWARD: RouteType.UNICAST,
    Verdict.OUTPUT: RouteType.UNICAST,
    Verdict.LOCAL: RouteType.LOCAL,
    Verdict.BROADCAST: RouteType.BROADCAST,
    Verdict.MULTICAST: RouteType.MULTICAST,
}


@dataclass(frozen=True, slots=True)
class Difference:
    """One question on which the two do not agree."""

    packet: Packet
    decision: Decision
    taken: Answer
    matched: Answer
    what: str


def decisions_of(namespace: Namespace, packet: Packet) -> Iterator[Decision]:
    """Yield the walk's answer; for a multipath route one for each next hop, as the kernel's own choice cannot be known."""
    seen: list[int] = []

    def choose(hops: tuple[NextHop, ...], _: Packet) -> int:
        seen.append(len(hops))
        return wanted

    wanted = 0
    yield decide(namespace, packet, choose)
    for wanted in range(1, seen[0] if seen else 1):  # noqa: B007  (read by choose)
        yield decide(namespace, packet, choose)


def disagreement(namespace: Namespace, decision: Decision, taken: Answer, matched: Answer) -> str:
    """Say in what a decision differs from the kernel's answers; empty where it does not.

    Parameters
    ----------
    taken : Answer
        The route as taken: verdict, device, gateway, source, or errno.
    matched : Answer
        The entry that matched: table, prefix and next hops; an error where none was used (limited broadcast, multicast).
    """
    if decision.verdict is Verdict.UNDECIDED:
        return f"undecided: {decision.missing}"
    if decision.verdict is Verdict.ERROR:
        return "" if taken.errno == getattr(errno, decision.error) else f"error is {errno.errorcode.get(taken.errno, 'none')}"
    if taken.errno:
        return f"error is {errno.errorcode[taken.errno]}"
    indexes = {link.name: link.index for link in namespace.links}
    kind = taken.type
    if kind is RouteType.ANYCAST:
        kind = RouteType.LOCAL if decision.verdict is Verdict.LOCAL else RouteType.UNICAST
    if kind is not VERDICT_TYPES[decision.verdict]:
        return f"type is {taken.type}"
    if decision.route is not None and not matched.errno:
        if matched.table_id != reported_table(namespace, decision):
            return f"table is {matched.table_id}"
        if matched.prefix_len != decision.route.prefix.prefix_len:
            return f"prefix length is {matched.prefix_len}"
        hops = frozenset((indexes.get(hop.out_interface or "", 0), hop.gateway) for hop in decision.route.next_hops)
        if hops != matched.hops:
            return f"next hops are {set(matched.hops)}"
    if decision.verdict in (Verdict.FORWARD, Verdict.OUTPUT):
        if taken.oif != indexes[decision.device or ""]:
            return f"device is {taken.oif}"
        if decision.gateway is not None and taken.gateway != decision.gateway:
            return f"gateway is {taken.gateway}"
    return ""


def reported_table(namespace: Namespace, decision: Decision) -> int | None:
    """Return the table as the kernel reports it: while nobody has changed the IPv4 rules, local and main are one table, called main."""
    merged = (
        decision.table_id == TABLE_LOCAL and decision.route is not None and decision.route.family == 4 and not namespace.has_custom_rules(4)
    )
    return TABLE_MAIN if merged else decision.table_id


def differences(node: KernelNode, packets_of: Callable[[Namespace], Sequence[Packet]]) -> tuple[list[Difference], int]:
    """Ask both about every packet.

    Parameters
    ----------
    packets_of : callable
        Makes the questions to a node's state.

    Returns
    -------
    list of Difference, number of questions

    Notes
    -----
    The kernel goes on adding IPv6 entries for a moment after an address is there: the answers count once the state before is that after.
    """
    namespace = node.state()
    while True:
        packets = packets_of(namespace)
        taken = node.ask(packets, fib_match=False)
        matched = node.ask(packets, fib_match=True)
        after = node.state()
        if after == namespace:
            break
        namespace = after
    found = []
    for packet, one, other in zip(packets, taken, matched, strict=True):
        difference = first_difference(namespace, packet, one, other, decisions_of(namespace, packet))
        if difference is not None:
            found.append(difference)
    return found, len(packets)


def first_difference(
    namespace: Namespace, packet: Packet, taken: Answer, matched: Answer, decisions: Iterable[Decision]
) -> Difference | None:
    """Return the difference from the first decision, unless one of them agrees."""
    first: Difference | None = None
    for decision in decisions:
        what = disagreement(namespace, decision, taken, matched)
        if not what:
            return None
        first = first or Difference(packet, decision, taken, matched, what)
    return first
