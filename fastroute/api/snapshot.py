"""A snapshot of a cluster and its account, read and compiled."""

from __future__ import annotations

import os
from functools import cached_property
from pathlib import Path

from fastroute.api.engine import Engine
from fastroute.api.names import TopologyNames
from fastroute.api.trace import Question, trace
from fastroute.api.whois import Whois, whois
from fastroute.datapath import Explainer, Explanation, compile_topology
from fastroute.io.parse_report import ParseReport
from fastroute.io.snapshot import read_snapshot
from fastroute.topology import Topology


class Snapshot:
    """What was collected at one time: everything that decides the ways of packets.

    Attributes
    ----------
    topology : Topology
        Every noun, readable, with what does not fit together (`findings`) and what was not collected (`missing`).
    report : ParseReport or None
        What was understood of which file; None for a topology made in Python.
    """

    def __init__(self, topology: Topology, report: ParseReport | None = None, path: Path | None = None) -> None:
        self.topology = topology
        self.report = report
        self.path = path

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Snapshot:
        """Read a snapshot folder.

        Raises
        ------
        InputError
            Not a folder, nothing in it that fastroute knows, or a broken file.
        """
        read = read_snapshot(Path(path))
        return cls(read.topology, read.report, Path(path))

    def compile(self) -> Engine:
        """Compile for routing; done once, then kept.

        Raises
        ------
        SnapshotError
            More endpoints or legs than can be numbered.
        """
        return self._engine

    def trace(self, src: str, dst: str, *, protocol: str = "tcp", vpc_id: str | None = None) -> Explanation:
        """Walk one flow that `src` opens, and keep every hop with what decided it.

        Parameters
        ----------
        src, dst : str
            `namespace/pod`, a node, an interface or instance id, `namespace/service`, `localhost`, or an address; a port may follow the
            destination: `default/web-0:80`.
        protocol : tcp, udp, sctp or icmp
        vpc_id : str, optional
            VPC in whose address space the addresses are meant, where they do not tell.

        Raises
        ------
        EndpointError
            The snapshot does not hold an end, or it does not tell in which VPC the addresses are meant.
        """
        return trace(self._explainer, Question(src, dst, protocol, vpc_id))

    def whois(self, name: str, *, vpc_id: str | None = None) -> Whois:
        """Say who an address, pod, node, interface or instance is.

        Raises
        ------
        EndpointError
            The snapshot holds nothing of that name, or several VPCs could be meant.
        """
        return whois(self._explainer, name, vpc_id)

    @cached_property
    def _explainer(self) -> Explainer:
        return Explainer(self.topology)

    @cached_property
    def _engine(self) -> Engine:
        about = {
            "path": str(self.path) if self.path is not None else None,
            "captured_at": self.topology.captured_at,
            "nodes": len(self.topology.nodes),
            "pods": len(self.topology.pods),
            "enis": len(self.topology.enis),
            "vpcs": len(self.topology.vpcs),
        }
        return Engine(compile_topology(self.topology), TopologyNames(self.topology), about, self._explainer)


def load(path: str | os.PathLike[str]) -> Snapshot:
    """Read a snapshot folder; see `Snapshot.load`."""
    return Snapshot.load(path)
