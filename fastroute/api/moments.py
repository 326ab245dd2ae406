"""A snapshot, or several on a time line, as they were at a moment: what `trace` and `whois` ask."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import NamedTuple

from fastroute.datapath import Explainer
from fastroute.topology import Pod, Topology
from fastroute.topology.tenure import Tenure, in_order, tenures_of, topology_at
from fastroute.topology.times import BEGINNING, Moment, parse_moment


class Epoch(NamedTuple):
    """A topology and the moment, seconds since 1970, from which it is the one that counts."""

    valid_from: int
    topology: Callable[[], Topology]


class Moments:
    """Answers for any moment. The snapshot itself, where none is named.

    Parameters
    ----------
    epochs : in the order of their times
    """

    def __init__(self, epochs: Sequence[Epoch]) -> None:
        self._epochs = epochs

    @cached_property
    def explainer(self) -> Explainer:
        """Explains by the newest topology."""
        return Explainer(self._epochs[-1].topology())

    @cached_property
    def tenures(self) -> tuple[Tenure, ...]:
        """Who held which address when."""
        return self._tenures_of(None)

    def _tenures_of(self, of: Callable[[Pod], bool] | None) -> tuple[Tenure, ...]:
        return tenures_of([epoch.topology() for epoch in self._epochs], of)

    def explainer_at(self, at: Moment | None) -> Explainer:
        """Explains by the topology of a moment, with the pods that held their addresses then.

        Raises
        ------
        InputError
            No time, or one without a zone.
        """
        if at is None:
            return self.explainer
        moment = parse_moment(at)
        place = max(bisect_right([BEGINNING, *(epoch.valid_from for epoch in self._epochs[1:])], moment) - 1, 0)
        return Explainer(topology_at(self._epochs[place].topology(), self.tenures, moment))

    def history_of(self, addr: str) -> tuple[Tenure, ...]:
        """Who held an address, in order."""
        holding = self._tenures_of(lambda pod: addr in pod.addrs)
        return tuple(in_order(tenure for tenure in holding if tenure.addr == addr))

    def history_of_pod(self, key: str) -> tuple[Tenure, ...]:
        """What a pod `namespace/name`, or several of that name one after the other, held."""
        return tuple(sorted(self._tenures_of(lambda pod: pod.key == key), key=lambda tenure: tenure.since))
