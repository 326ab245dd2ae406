"""Snapshots on a time line: each is valid until the next, and an address is whose it was."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from fastroute.api.engine import Engine
from fastroute.api.moments import Epoch, Moments
from fastroute.api.names import TopologyNames
from fastroute.api.snapshot import Snapshot
from fastroute.datapath import Compiled, compile_topology, to_arrays
from fastroute.datapath.paths import PathTables
from fastroute.datapath.united import United, unite
from fastroute.errors import InputError, SnapshotError
from fastroute.flows import Router
from fastroute.flows.timeline import TimelineRouter
from fastroute.io.parse_report import ParseReport
from fastroute.topology import Missing, Topology
from fastroute.topology.epoch import epoch_topology
from fastroute.topology.tenure import Tenure
from fastroute.topology.times import END, seconds_of

MARGIN = 3600
"""Seconds by which a record may reach beyond its snapshot's time; flow logs aggregate over ten minutes at most."""


class Timeline(Snapshot):
    """Snapshots of one account, one after the other; asked like one snapshot.

    Questions without a time (`topology`, `trace`, `whois`, pairs, simulated flows) are about the newest.

    Parameters
    ----------
    snapshots : any order; their times must differ
    path : folder that they came from

    Raises
    ------
    InputError
        No snapshots, one whose time is not known, or two of one time.
    """

    def __init__(self, snapshots: Sequence[Snapshot], path: Path | None = None) -> None:
        timed = sorted(((_time_of(each), each) for each in snapshots), key=lambda pair: pair[0])
        if not timed:
            raise InputError("a time line needs a snapshot")
        for (time, earlier), (later_time, later) in pairwise(timed):
            if time == later_time:
                raise InputError(f"{later.path}: was captured when {earlier.path} was ({later.about['captured_at']}); leave one out")
        self.snapshots = tuple(each for _, each in timed)
        self.path = path
        self._times = [time for time, _ in timed]

    @property
    def topology(self) -> Topology:
        """The newest snapshot's."""
        return self.snapshots[-1].topology

    @property
    def report(self) -> ParseReport | None:
        """The newest snapshot's."""
        return self.snapshots[-1].report

    @property
    def missing(self) -> tuple[Missing, ...]:
        """The newest snapshot's."""
        return self.snapshots[-1].missing

    @property
    def about(self) -> dict[str, Any]:
        """Counts of the newest snapshot, and every snapshot's time."""
        times = [each.about["captured_at"] for each in self.snapshots]
        return {**self.snapshots[-1].about, "snapshots": times}

    def save(self, path: str | os.PathLike[str]) -> None:
        """Refuse.

        Raises
        ------
        SnapshotError
            Always.
        """
        raise SnapshotError(
            f"{path}: several snapshots are not compiled into one file; compile each, or name their folder where it is asked for"
        )

    @cached_property
    def _moments(self) -> Moments:
        return Moments([Epoch(time, lambda each=each: each.topology) for time, each in zip(self._times, self.snapshots, strict=True)])  # type: ignore[misc]

    @cached_property
    def _engine(self) -> Engine:
        return self._engine_of(self._moments.tenures)

    @cached_property
    def _static_engine(self) -> Engine:
        return self._engine_of(())

    def _engine_of(self, tenures: Sequence[Tenure]) -> Engine:
        compiled = [self._compiled(i, tenures) for i in range(len(self.snapshots))]
        about = {"path": str(self.path) if self.path is not None else None, **self.about, "content": _digest_of(compiled)}
        if not tenures:
            about["static"] = True
        return TimelineEngine(unite(compiled), self._times, self._names, about, self._moments)

    def _compiled(self, i: int, tenures: Sequence[Tenure]) -> Compiled:
        """The i-th snapshot with everyone who may have held an address while it counts, or shortly before and after."""
        is_newest = i + 1 == len(self.snapshots)
        begin, end = (self._times[i] if i else -END), (END if is_newest else self._times[i + 1])
        joined = epoch_topology(self.snapshots[i].topology, None if is_newest else self.snapshots[i + 1].topology)
        near = [tenure for tenure in tenures if tenure.last >= begin - MARGIN and tenure.first <= end + MARGIN]
        return compile_topology(joined.topology, near, joined.unsure)


class TimelineEngine(Engine):
    """The compiled snapshots of a time line, ready to route."""

    def __init__(self, united: United, times: Sequence[int], names: TopologyNames, about: dict[str, Any], moments: Moments) -> None:
        super().__init__(united.compiled, names, about, moments)
        self._united = united
        self._valid_from = np.array(times[1:], np.int64)

    def router(self, columns: Sequence[str]) -> Router:
        """The router that adds the given columns."""
        return TimelineRouter(self._united, self._valid_from, columns, self._names)

    def path_tables(self) -> PathTables:
        """What decodes `path_id`: the legs of all snapshots, each numbered once."""
        return self._united.path_tables()


def _digest_of(compiled: Sequence[Compiled]) -> str:
    """What tells these snapshots from others of the same times; of all of them, where `Engine.compiled` walks by the newest alone."""
    digest = hashlib.blake2b(digest_size=16)
    for each in compiled:
        for name, array in to_arrays(each)[0].items():
            digest.update(f"{name} {array.dtype.str} {array.shape} ".encode())
            digest.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def _time_of(snapshot: Snapshot) -> int:
    time = seconds_of(snapshot.about["captured_at"])
    if time is None:
        raise InputError(f"{snapshot.path}: its time is not known; write it into {snapshot.path}/captured_at, such as 2026-01-31T12:00:00Z")
    return time
