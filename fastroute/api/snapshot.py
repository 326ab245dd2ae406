"""A snapshot of a cluster and its account, read and compiled."""

from __future__ import annotations

import os
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from fastroute.api.engine import Engine
from fastroute.api.moments import Epoch, Moments
from fastroute.api.names import TopologyNames
from fastroute.api.trace import Question, trace
from fastroute.api.whois import Whois, whois
from fastroute.datapath import Compiled, Explanation, compile_topology
from fastroute.datapath.history import without_history
from fastroute.io.cache import CacheEntry, SnapshotCache
from fastroute.io.compiled import SnapshotFile, open_snapshot_file, write_snapshot_file
from fastroute.io.folders import Progress, timeline_folders
from fastroute.io.parse_report import ParseReport
from fastroute.topology import Missing, Topology
from fastroute.topology.times import BEGINNING, Moment


class _Read(NamedTuple):
    """A snapshot in memory, beside `SnapshotFile`, which is one in a file."""

    topology: Topology
    report: ParseReport | None
    compiled: Compiled | None = None

    @property
    def missing(self) -> tuple[Missing, ...]:
        return self.topology.missing

    @property
    def about(self) -> dict[str, Any]:
        return {
            "captured_at": self.topology.captured_at,
            "nodes": len(self.topology.nodes),
            "pods": len(self.topology.pods),
            "enis": len(self.topology.enis),
            "vpcs": len(self.topology.vpcs),
        }


class Snapshot:
    """What was collected at one time: everything that decides the ways of packets.

    Attributes
    ----------
    path : Path or None
        Folder or file that it was loaded from.
    """

    def __init__(self, topology: Topology, report: ParseReport | None = None, path: Path | None = None) -> None:
        self._source: _Read | SnapshotFile = _Read(topology, report)
        self._entry: CacheEntry | None = None
        self.path = path

    @classmethod
    def load(cls, path: str | os.PathLike[str], *, cache: bool = True, progress: Progress | None = None) -> Snapshot:
        """Read a snapshot folder, or map a file that `fastroute compile` made.

        Parameters
        ----------
        path : folder or file
            A folder whose sub-folders are snapshots, each with its time in a file `captured_at`, is a time line: each snapshot is valid
            until the next.
        cache : bool
            Whether what was read of a folder, and its compiled form, are kept in the user's cache folder and taken from there where the
            folder has not changed.
        progress : callable, optional
            Called with the bytes of a folder that are read, and the bytes to read.

        Raises
        ------
        InputError
            No such path, nothing in the folder that fastroute knows, a broken file, a compiled file of another version.
        """
        path = Path(path)
        if folders := timeline_folders(path):
            from fastroute.api.timeline import Timeline

            return Timeline([cls.load(folder, cache=cache, progress=progress) for folder in folders], path)
        if path.is_file():
            return cls._of(open_snapshot_file(path), path)
        store = SnapshotCache.of_user() if cache and path.is_dir() else None
        entry = store.entry(path) if store is not None else None
        if entry is not None and entry.found is not None:
            return cls._of(entry.found, path, entry)
        from fastroute.io.snapshot import read_snapshot  # the readers of every input: not needed where the cache answers

        found = read_snapshot(path, progress)
        read = _Read(found.topology, found.report)
        if entry is not None:
            entry.keep(*read, read.about)
        return cls._of(read, path, entry)

    @classmethod
    def _of(cls, source: _Read | SnapshotFile, path: Path, entry: CacheEntry | None = None) -> Snapshot:
        snapshot = cls.__new__(cls)
        snapshot._source, snapshot._entry, snapshot.path = source, entry, path
        return snapshot

    @property
    def topology(self) -> Topology:
        """Every noun, readable, with what does not fit together (`findings`) and what was not collected (`missing`)."""
        return self._source.topology

    @property
    def report(self) -> ParseReport | None:
        """What was understood of which file; None for a topology made in Python."""
        return self._source.report

    @property
    def missing(self) -> tuple[Missing, ...]:
        """What was not collected, and the answers that go with it; at hand without decoding the topology."""
        return self._source.missing

    @property
    def about(self) -> dict[str, Any]:
        """Counts and times, for manifests."""
        return self._source.about

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the snapshot, compiled, as one file that `load` maps into memory; it appears whole or not at all.

        Raises
        ------
        OutputError
            It cannot be written.
        SnapshotError
            As for `compile`.
        """
        write_snapshot_file(path, self.topology, self.report, self._engine.compiled, self._source.about)

    def compile(self, *, static: bool = False) -> Engine:
        """Compile for routing; done once, then kept.

        Parameters
        ----------
        static : bool
            Whether the snapshot holds for all time: whoever has an address in it always had. Else each pod has its addresses from its
            start on, and records are attributed by the owners of their time.

        Raises
        ------
        SnapshotError
            More endpoints or legs than can be numbered.
        """
        return self._static_engine if static else self._engine

    def trace(self, src: str, dst: str, *, protocol: str = "tcp", vpc_id: str | None = None, at: Moment | None = None) -> Explanation:
        """Walk one flow that `src` opens, and keep every hop with what decided it.

        Parameters
        ----------
        src, dst : str
            `namespace/pod`, a node, an interface or instance id, `namespace/service`, `localhost`, or an address; a port may follow the
            destination: `default/web-0:80`.
        protocol : tcp, udp, sctp or icmp
        vpc_id : str, optional
            VPC in whose address space the addresses are meant, where they do not tell.
        at : RFC 3339 text, seconds since 1970 or datetime, optional
            The pods are those that held their addresses at that moment; without it, those of the snapshot.

        Raises
        ------
        EndpointError
            The snapshot does not hold an end, or it does not tell in which VPC the addresses are meant.
        InputError
            `at` is no time, or has no zone.
        """
        return trace(self._moments.explainer_at(at), Question(src, dst, protocol, vpc_id))

    def whois(self, name: str, *, vpc_id: str | None = None, at: Moment | None = None) -> Whois:
        """Say who an address, pod, node, interface or instance is, or was at a moment, and who held the address before and after.

        Raises
        ------
        EndpointError
            The snapshot holds nothing of that name, or several VPCs could be meant.
        InputError
            `at` is no time, or has no zone.
        """
        return whois(self._moments, name, vpc_id, at)

    @cached_property
    def _moments(self) -> Moments:
        return Moments([Epoch(BEGINNING, lambda: self.topology)])

    @property
    def _names(self) -> TopologyNames:
        return TopologyNames(lambda: self._moments.explainer.index)

    @cached_property
    def _engine(self) -> Engine:
        compiled = self._source.compiled
        if compiled is None:
            compiled = compile_topology(self.topology, self._moments.tenures)
            if self._entry is not None:
                self._entry.keep(self.topology, self.report, compiled, self._source.about)
        about = {"path": str(self.path) if self.path is not None else None, **self._source.about}
        return Engine(compiled, self._names, about, self._moments)

    @cached_property
    def _static_engine(self) -> Engine:
        engine = self._engine
        return Engine(without_history(engine.compiled), self._names, {**engine.describe(), "static": True}, self._moments)


def load(path: str | os.PathLike[str], *, cache: bool = True) -> Snapshot:
    """Read a snapshot folder or a compiled file; see `Snapshot.load`."""
    return Snapshot.load(path, cache=cache)
