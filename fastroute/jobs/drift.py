"""Drift of many nodes: read each node's dumps, put beside them what is known of it, compare, and count by kind."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import msgspec

from fastroute.api import Snapshot
from fastroute.cni.drift import Drift, Finding, NodeFacts, Severity, Source, Unjudged, compare, facts_of_node
from fastroute.cni.node import Unmodelled
from fastroute.cni.settings import CniSettings, read_settings
from fastroute.errors import EndpointError, InputError
from fastroute.io.bundle import KINDS, read_bundle
from fastroute.io.nodedump import NodeDump, kind_of_file, read_node_folder, table_number
from fastroute.jobs.drift_facts import facts_of_dump, joined, marks_of_dump
from fastroute.topology import Node, Topology, TopologyIndex

BUNDLE_NAME = re.compile(r"eks_(?P<instance>i-[0-9a-f]+)?.*\.(?:tar\.gz|tgz|tar)")
NODES_FOLDER = "nodes"
NODE_FILES = frozenset({"rule", "rule6", "route", "route6", "addr", "link", "iptables", "nft", "sysctl"})


@dataclass(frozen=True, slots=True)
class NodeDrift:
    """One node: its findings, what could not be judged, and where its dumps are. `problem` says why it was not read at all."""

    name: str
    path: str
    findings: tuple[Finding, ...] = ()
    unjudged: tuple[Unjudged, ...] = ()
    files: dict[str, str] | None = None
    problem: str = ""

    def place(self, finding: Finding) -> str:
        """The file and line that show a finding, as `ip-rule.txt:12`; empty where it is about something that is not there."""
        if finding.source is None:
            return ""
        file = file_of(finding.source, self.files or {})
        return f"{file}:{finding.source.line}" if finding.source.line > 0 else file


@dataclass(frozen=True)
class DriftReport:
    """All nodes of a run."""

    path: str
    snapshot: str
    nodes: tuple[NodeDrift, ...]

    @cached_property
    def num_faults(self) -> int:
        """Findings of severity error and warning."""
        return sum(finding.is_fault for node in self.nodes for finding in node.findings)

    @property
    def is_complete(self) -> bool:
        """Every node was read, and every check made."""
        return not any(node.problem or node.unjudged for node in self.nodes)

    def summary(self) -> list[dict[str, object]]:
        """Findings by kind, errors first, with the number of nodes that have them."""
        findings = [(finding, node.name) for node in self.nodes for finding in node.findings]
        counts = Counter((finding.severity, finding.kind) for finding, _ in findings)
        order = {severity: i for i, severity in enumerate(Severity)}
        return [
            {
                "severity": severity.value,
                "kind": kind,
                "findings": number,
                "nodes": len({name for finding, name in findings if (finding.severity, finding.kind) == (severity, kind)}),
            }
            for (severity, kind), number in sorted(counts.items(), key=lambda item: (order[item[0][0]], -item[1], item[0][1]))
        ]

    def to_dict(self) -> dict[str, Any]:
        """As JSON values: every finding with its node, file and line."""
        content = {
            "path": self.path,
            "snapshot": self.snapshot or None,
            "summary": self.summary(),
            "nodes": [
                {
                    "node": node.name,
                    "path": node.path,
                    "problem": node.problem or None,
                    "findings": [_finding_dict(node, finding) for finding in node.findings],
                    "unjudged": node.unjudged,
                }
                for node in self.nodes
            ],
        }
        plain: dict[str, Any] = msgspec.to_builtins(content)
        return plain


def _finding_dict(node: NodeDrift, finding: Finding) -> dict[str, object]:
    source = finding.source
    return {
        "node": node.name,
        "kind": finding.kind,
        "severity": finding.severity.value,
        "subject": finding.subject,
        "text": finding.text,
        "traffic": finding.traffic,
        "fix": finding.fix,
        "file": file_of(source, node.files or {}) if source is not None else None,
        "line": source.line if source is not None and source.line > 0 else None,
    }


def file_of(source: Source, files: dict[str, str]) -> str:
    """The file that a source is in; of routes, the file of their table where tables have files of their own."""
    own = [
        name
        for kind, name in files.items()
        if kind.startswith(f"{source.dump}:") and source.table_id is not None and table_number(kind.partition(":")[2]) == source.table_id
    ]
    # `ip route show table all` prints both families, `ip addr` the links as well, and a bundle has ifconfig alone
    others = {"route6": ("route",), "link": ("addr", "ifconfig"), "addr": ("ifconfig",)}
    kinds = (source.dump, *others.get(source.dump, ()))
    return next((name for name in (*own, *(files.get(kind, "") for kind in kinds)) if name), "")


def drift(
    path: Path | str,
    *,
    snapshot: Path | str | None = None,
    nodes: Collection[str] = (),
    progress: Callable[[int, int], None] | None = None,
) -> DriftReport:
    """Compare every node found under a path with what the plugin would have programmed.

    Parameters
    ----------
    path : Path
        A snapshot with `nodes/<name>/`, a folder of one node's dumps, a folder of such folders or of support bundles, or one bundle.
    snapshot : Path, optional
        Whose interfaces, pods and settings are expected; without it that of `path`, where it is one, else what the dumps tell themselves.
    nodes : names, optional
        Only these.
    progress : callable, optional
        Called with the nodes done and the nodes to do.

    Raises
    ------
    InputError
        Nothing to read under the path, or the snapshot is not one.
    EndpointError
        A name in `nodes` that no dump has.
    """
    root = Path(path)
    sources = dict(find_dumps(root))
    if not sources:
        raise InputError(f"{root}: holds no node's dumps (nodes/<name>/ip-rule.txt …) and no support bundle (eks_….tar.gz)")
    topology, where = _topology(root, snapshot)
    known = Known(topology) if topology is not None else None
    names = {name: known.name_of(name) if known is not None else name for name in sources}
    unknown = sorted(set(nodes) - set(names) - set(names.values()))
    if unknown:
        raise EndpointError(f"{root}: no dumps of node {', '.join(unknown)}; there are {', '.join(sorted(names.values())[:5])}")
    wanted = [name for name in sources if not nodes or name in nodes or names[name] in nodes]
    found = []
    for done, name in enumerate(wanted):
        if progress is not None:
            progress(done, len(wanted))
        found.append(_judge(names[name], sources[name], known))
    if len(found) == 1 and found[0].problem:
        raise InputError(found[0].problem)
    return DriftReport(str(root), where, tuple(found))


def find_dumps(root: Path) -> Iterator[tuple[str, Path]]:
    """Yield each node's name and its folder or bundle."""
    if root.is_file():
        yield _bundle_name(root), root
        return
    if not root.is_dir():
        raise InputError(f"{root}: no such folder or bundle")
    if _has_dumps(root):
        yield root.resolve().name, root
        return
    base = root / NODES_FOLDER if (root / NODES_FOLDER).is_dir() else root
    for each in sorted(base.iterdir()):
        if each.is_file() and BUNDLE_NAME.fullmatch(each.name):
            yield _bundle_name(each), each
        elif each.is_dir() and _has_dumps(each):
            yield each.name, each
        elif each.is_dir():
            bundle = next((file for file in sorted(each.iterdir()) if BUNDLE_NAME.fullmatch(file.name)), None)
            if bundle is not None:
                yield each.name, bundle
    if base is not root:
        for each in sorted(root.iterdir()):
            if each.is_file() and BUNDLE_NAME.fullmatch(each.name):
                yield _bundle_name(each), each


def _has_dumps(folder: Path) -> bool:
    return any(kind_of_file(file.name).partition(":")[0] in NODE_FILES for file in folder.iterdir() if file.is_file())


def _bundle_name(path: Path) -> str:
    match = BUNDLE_NAME.fullmatch(path.name)
    return (match.group("instance") if match is not None else None) or path.name


def _topology(root: Path, snapshot: Path | str | None) -> tuple[Topology | None, str]:
    """The snapshot that is named, else the path's own where it has anything beside its nodes."""
    if snapshot is None:
        if not root.is_dir() or _has_dumps(root):
            return None, ""
        beside = [each for each in root.rglob("*.json*") if each.relative_to(root).parts[0] != NODES_FOLDER and each.is_file()]
        if not (root / NODES_FOLDER).is_dir() or not beside:
            return None, ""
        snapshot = root
    return Snapshot.load(snapshot).topology, str(snapshot)


class Known:
    """A snapshot's nodes, to find those that dumps are of."""

    def __init__(self, topology: Topology) -> None:
        self.index = TopologyIndex(topology)
        self.settings: CniSettings | None = read_settings(topology.cni_env)[0] if topology.cni_env else None

    def node(self, name: str) -> Node | None:
        """The node of a name, or of an instance id."""
        return self.index.topology.nodes.get(name) or self.index.node_of_instance.get(name)

    def name_of(self, name: str) -> str:
        """A node's name in the cluster; the given one where the snapshot does not have it."""
        node = self.node(name)
        return node.name if node is not None else name

    def node_of(self, name: str, dump: NodeDump) -> Node | None:
        """The node by name or instance id, else the one whose address the dump's machine has."""
        node = self.node(name)
        if node is not None:
            return node
        own = {str(addr) for addr in map(_v4, dump.namespace.local_addrs)}
        holders = [node for node in self.index.topology.nodes.values() if own.intersection(node.addrs)]
        return holders[0] if len(holders) == 1 else None


def _v4(addr: int) -> str:
    return ".".join(str(octet) for octet in addr.to_bytes(4, "big"))


def _judge(name: str, source: Path, known: Known | None) -> NodeDrift:
    try:
        dump = read_bundle(source) if source.is_file() else read_node_folder(source)
        files = _files_of(source)
    except (InputError, OSError) as error:
        return NodeDrift(name, str(source), problem=str(error))
    facts, unjudged = facts_of_dump(dump), list(_gaps(dump, files))
    if known is not None:
        node = known.node_of(name, dump)
        told: NodeFacts | Unmodelled | None = facts_of_node(known.index, node, known.settings) if node is not None else None
        if isinstance(told, NodeFacts):
            facts = joined(told, facts)
        else:
            why = told.value if told is not None else "the snapshot has no node of this name, instance or address"
            unjudged.append(Unjudged("what the snapshot says of the node", why))
        name = node.name if node is not None else name
    result: Drift = compare(facts, dump.namespace, marks_of_dump(dump), early_demux=dump.early_demux)
    return NodeDrift(name, str(source), result.findings, (*unjudged, *result.unjudged), files)


def _files_of(source: Path) -> dict[str, str]:
    """Files by kind, as they are named in the folder or the bundle."""
    if source.is_file():
        return {kind: file for file, kind in KINDS.items()}
    return {kind: file.name for file in sorted(source.iterdir()) if (kind := kind_of_file(file.name))}


def _gaps(dump: NodeDump, files: dict[str, str]) -> Iterator[Unjudged]:
    """Lines that could not be read, and files that are broken: what they would have said is not judged."""
    for kind, account in dump.accounts.items():
        for report in account.problems[:3]:
            yield Unjudged(f"{files.get(kind, kind)}:{report.line}", f"{report.kind.value}: {report.text[:100]}")
        if len(account.problems) > 3:
            yield Unjudged(files.get(kind, kind), f"{len(account.problems) - 3} more lines that could not be read")
    for problem in dump.problems:
        yield Unjudged(problem.partition(":")[0], problem)
