"""Who held which address when: what pods, ipamd and consecutive snapshots tell, as intervals."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from fastroute.topology.model import Pod, Topology
from fastroute.topology.times import BEGINNING, END, rfc3339, seconds_of

_SOON = 90
"""Seconds within which the kubelet takes down the sandbox of a pod whose containers have ended: a grace period of 30, and retries."""


@dataclass(frozen=True, slots=True)
class Tenure:
    """A pod's hold on an address: surely from `since` to `until`, possibly from `first` to `last`.

    Seconds since 1970, both ends included; first <= since <= until <= last. A host-network pod holds no address: `addr` is empty.
    """

    pod: Pod
    addr: str
    first: int
    since: int
    until: int
    last: int

    @property
    def is_endless(self) -> bool:
        """Nothing limits it."""
        return self.since == BEGINNING and self.until == END

    def meets(self, begin: int, end: int) -> bool:
        """Whether the pod may have held the address at a moment from `begin` to `end`."""
        return self.first <= end and self.last >= begin

    def covers(self, begin: int, end: int) -> bool:
        """Whether it surely did all the time."""
        return self.since <= begin and end <= self.until

    def to_dict(self) -> dict[str, str | None]:
        """Plain data; a bound that is not known is None."""
        bounds = {"first": self.first, "since": self.since, "until": self.until, "last": self.last}
        return {"pod": self.pod.key, "node": self.pod.node, **{name: rfc3339(bound) or None for name, bound in bounds.items()}}


@dataclass(frozen=True, slots=True)
class _Sighting:
    """One pod object in one snapshot; `at` is the snapshot's time, `number` its place in their order."""

    number: int
    at: int
    pod: Pod


_Identity = tuple[str, str]
"""A pod's identity and an address."""


def tenures_of(snapshots: Sequence[Topology], of: Callable[[Pod], bool] | None = None) -> tuple[Tenure, ...]:
    """Find every hold on an address that snapshots tell of.

    A pod holds its addresses from its start on; until it ended, or for good. One that is missing in the next snapshot may have held them
    up to that one's time; one without a start may have held them since the snapshot before, and always where there is none.

    Parameters
    ----------
    snapshots : sequence of Topology
        In the order of their times.
    of : callable, optional
        Only of the pods for which it is true: of a few it takes a hundredth of the time.

    Returns
    -------
    tuple of Tenure
        In the order in which the pods were seen first.
    """
    times = [seconds_of(each.captured_at) or 0 for each in snapshots]
    seen: dict[_Identity, list[_Sighting]] = {}
    for number, (topology, at) in enumerate(zip(snapshots, times, strict=True)):
        for pod in topology.pods.values() if of is None else filter(of, topology.pods.values()):
            identity = pod.uid or f"{pod.key} {pod.start_time} {pod.node}"
            for addr in ("",) if pod.is_host_network else pod.addrs:
                seen.setdefault((identity, addr), []).append(_Sighting(number, at, pod))
    assigned, released = _assignments(snapshots)
    found = [_tenure(addr, sightings, times) for (_, addr), sightings in seen.items()]
    return tuple(_refined(tenure, assigned, released) for tenure in found)


def _tenure(addr: str, sightings: list[_Sighting], times: list[int]) -> Tenure:
    opening, closing = sightings[0], sightings[-1]
    holding = [sighting for sighting in sightings if sighting.pod.holds_address]
    start = seconds_of(closing.pod.start_time)
    before = times[opening.number - 1] if opening.number else BEGINNING
    if start is not None:
        first = since = start
    else:
        first = before
        since = (holding[0].at if holding else closing.at) if opening.number else BEGINNING
    finish = seconds_of(closing.pod.finish_time)
    deletion = seconds_of(closing.pod.deletion_time)
    last_seen = max([since, *(sighting.at for sighting in holding)])
    if not closing.pod.holds_address:
        ended = next(sighting.at for sighting in sightings if not sighting.pod.holds_address)
        until, last = (finish, finish) if finish is not None else (last_seen, ended if deletion is None else min(ended, deletion))
    elif closing.number + 1 < len(times):
        until, last = last_seen, times[closing.number + 1]
    elif deletion is not None:
        until, last = last_seen, END
    else:
        until = last = END
    # Clocks of nodes differ: an end before the start is none.
    until = max(until, since)
    return Tenure(closing.pod, addr, min(first, since), since, until, max(until, last))


def _assignments(snapshots: Sequence[Topology]) -> tuple[dict[tuple[str, str], int], dict[tuple[str, str], list[int]]]:
    """ipamd's times: since when a (pod, address) is assigned; when a (node, address) was given back."""
    assigned: dict[tuple[str, str], int] = {}
    released: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
    for each in (each for topology in snapshots for each in topology.assignments):
        if each.pod and each.assigned is not None:
            assigned[each.pod, each.addr] = each.assigned
        if each.released is not None:
            released[each.node, each.addr].append(each.released)
    return assigned, dict(released)


def _refined(tenure: Tenure, assigned: dict[tuple[str, str], int], released: dict[tuple[str, str], list[int]]) -> Tenure:
    """ipamd knows to the second what Kubernetes tells roughly: it assigns after the pod's start, and is given back after its end."""
    since = assigned.get((tenure.pod.key, tenure.addr))
    if since is not None and tenure.since <= since <= tenure.until:
        tenure = replace(tenure, first=since, since=since)
    if not tenure.pod.holds_address:
        # the first time that the address was given back after the pod's end, if soon enough to be this pod's doing
        given_back = [at for at in released.get((tenure.pod.node or "", tenure.addr), ()) if tenure.until <= at <= tenure.until + _SOON]
        if given_back:
            tenure = replace(tenure, until=min(given_back), last=min(given_back))
    return tenure


def in_order(tenures: Iterable[Tenure]) -> list[Tenure]:
    """Put the tenures of one address in order, and let known ends bound unknown ones: two pods never hold it at once.

    Returns
    -------
    list of Tenure
        By `first`, and `last` does not decrease: those that meet a stretch of time lie side by side.
    """
    ordered = sorted(tenures, key=lambda tenure: (tenure.since, tenure.until, tenure.pod.holds_address, tenure.pod.key))
    for i in range(len(ordered) - 1):
        a, b = ordered[i], ordered[i + 1]
        if a.last > a.until:
            a = replace(a, last=max(a.until, min(a.last, b.since)))
        if b.first < b.since:
            b = replace(b, first=min(b.since, max(b.first, a.until)))
        ordered[i], ordered[i + 1] = a, b
    # What still lies inside of another contradicts it: both are possible wherever either is.
    for i in range(len(ordered) - 2, -1, -1):
        if ordered[i].first > ordered[i + 1].first:
            ordered[i] = replace(ordered[i], first=ordered[i + 1].first)
    for i in range(1, len(ordered)):
        if ordered[i].last < ordered[i - 1].last:
            ordered[i] = replace(ordered[i], last=ordered[i - 1].last)
    return ordered


def topology_at(topology: Topology, tenures: Iterable[Tenure], moment: int) -> Topology:
    """The snapshot as it was at a moment: the pods that may have held their address then, and those of which no time is known."""
    dated = set()
    holding: dict[str, Pod] = {}
    for tenure in _in_order_by_address(tenures):
        dated.add(tenure.pod.key)
        if tenure.meets(moment, moment):
            holding[tenure.pod.key] = replace(tenure.pod, phase="Running")
    pods = {key: pod for key, pod in topology.pods.items() if key not in dated}
    return replace(topology, pods={**pods, **holding})


def _in_order_by_address(tenures: Iterable[Tenure]) -> Iterator[Tenure]:
    """All tenures, in order within each address."""
    by_addr: defaultdict[str, list[Tenure]] = defaultdict(list)
    for tenure in tenures:
        by_addr[tenure.addr].append(tenure)
    for addr, held in by_addr.items():
        yield from in_order(held) if addr else held
