"""What is in a snapshot: counts, each node's interfaces with their used and warm addresses, what was understood, what does not fit."""

from __future__ import annotations

import difflib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from fastroute.api import Snapshot
from fastroute.arrays import is_bundle
from fastroute.errors import EndpointError
from fastroute.io.folders import Progress
from fastroute.io.parse_report import ParseReport
from fastroute.topology import Finding, Missing, Pod, Topology, TopologyIndex
from fastroute.topology.views import NodeView, node_view

_FOLDERS = ("aws", "kubernetes", "nodes", "accounts", "aws_configs", "captured_at")


@dataclass(frozen=True, slots=True)
class SnapshotInspection:
    """Pure data, for a terminal, a notebook or JSON."""

    path: str
    topology: Topology
    report: ParseReport
    counts: dict[str, int]
    nodes: tuple[NodeView, ...]

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Faults, and facts worth knowing (`is_fault` false)."""
        return self.topology.findings

    @property
    def missing(self) -> tuple[Missing, ...]:
        return self.topology.missing

    @property
    def num_faults(self) -> int:
        return sum(finding.is_fault for finding in self.findings)

    def pod(self, key: str) -> Pod:
        """A pod with its containers and ports, by namespace/name.

        Raises
        ------
        EndpointError
            The snapshot has no such pod; names the nearest.
        """
        try:
            return self.topology.pods[key]
        except KeyError:
            near = difflib.get_close_matches(key, self.topology.pods, n=1)
            hint = f"; did you mean {near[0]}?" if near else "; give it as namespace/name"
            raise EndpointError(f"{self.path}: no pod {key}{hint}") from None

    def to_dict(self, *, pods: bool = False) -> dict[str, Any]:
        """As JSON values; with `pods`, also every pod with its containers and ports."""
        content: dict[str, Any] = {
            "path": self.path,
            "captured_at": self.topology.captured_at,
            "counts": self.counts,
            "cni_env": self.topology.cni_env,
            "nodes": self.nodes,
            "findings": self.findings,
            "missing": self.missing,
            "report": self.report.to_dict(),
        }
        if pods:
            content["pods"] = tuple(self.topology.pods.values())
        plain: dict[str, Any] = msgspec.to_builtins(content)
        return plain


def inspect_snapshot(path: Path | str, progress: Progress | None = None, *, cache: bool = True) -> SnapshotInspection:
    """Read a snapshot and lay out what is in it.

    Parameters
    ----------
    path : folder or compiled file
    progress : callable, optional
        Called with the bytes read and the bytes to read.
    cache : bool
        As for `Snapshot.load`.

    Raises
    ------
    InputError
        As `Snapshot.load`.
    """
    read = Snapshot.load(path, cache=cache, progress=progress)
    report = read.report if read.report is not None else ParseReport()
    index = TopologyIndex(read.topology)
    nodes = tuple(node_view(index, node) for node in sorted(read.topology.nodes.values(), key=lambda node: node.name))
    return SnapshotInspection(str(path), read.topology, report, _counts(read.topology), nodes)


def is_snapshot(path: Path | str) -> bool:
    """Whether a path is to be inspected as a snapshot: a folder with a snapshot's names, or whose first files are JSON or bundles; or a
    compiled file."""
    root = Path(path)
    if is_bundle(root) or any((root / name).exists() for name in _FOLDERS):
        return True
    for _, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith((".", "_")))
        shown = [name for name in names if not name.startswith((".", "_"))]
        if shown:
            return any(name.endswith((".json", ".tar.gz")) for name in shown)
    return False


def _counts(topology: Topology) -> dict[str, int]:
    pods = topology.pods.values()
    return {
        "vpcs": len(topology.vpcs),
        "subnets": len(topology.subnets),
        "route_tables": len(topology.route_tables),
        "routes": sum(len(table.routes) for table in topology.route_tables.values()),
        "interfaces": len(topology.enis),
        "interface_addresses": sum(len(eni.addresses) + len(eni.addresses6) for eni in topology.enis.values()),
        "interface_prefixes": sum(len(eni.prefixes) + len(eni.prefixes6) for eni in topology.enis.values()),
        "instances": len(topology.instances),
        "internet_gateways": len(topology.internet_gateways),
        "nat_gateways": len(topology.nat_gateways),
        "vpn_gateways": len(topology.vpn_gateways),
        "peerings": len(topology.peerings),
        "transit_gateways": len(topology.transit_gateways),
        "transit_gateway_attachments": len(topology.attachments),
        "vpc_endpoints": len(topology.vpc_endpoints),
        "prefix_lists": len(topology.prefix_lists),
        "nodes": len(topology.nodes),
        "pods": len(pods),
        "pods_of_host_network": sum(pod.is_host_network for pod in pods),
        "pods_ended": sum(not pod.holds_address for pod in pods),
        "services": len(topology.services),
        "endpoint_slices": len(topology.endpoint_slices),
    }
