"""A snapshot folder to a topology: which files there are, what each is, and what is missing."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any

from fastroute.errors import InputError
from fastroute.io.aws import AwsReader
from fastroute.io.aws_nouns import Home, is_region
from fastroute.io.folders import TIME_FILE, Progress, walk_files
from fastroute.io.ipamd import assignments_of, read_enis, read_ipam
from fastroute.io.json_input import read_bytes, read_object
from fastroute.io.kubernetes import KubernetesReader
from fastroute.io.parse_report import FileRead, ParseReport, Use
from fastroute.topology import Assignment, Finding, Topology
from fastroute.topology.check import check
from fastroute.topology.inputs import missing_inputs

_JSON_SUFFIXES = (".json", ".json.gz")
_ACCOUNT_ID = re.compile(r"\d{12}")
_BUNDLE = re.compile(r"eks_.*\.tar\.gz")
_NODES_FOLDER = "nodes"


@dataclass(frozen=True, slots=True)
class SnapshotRead:
    """A topology with its findings and missing inputs, and what was understood of its files."""

    topology: Topology
    report: ParseReport


@dataclass(slots=True)
class _Layout:
    """The files of a snapshot folder, sorted by path."""

    json_files: list[Path] = field(default_factory=list)
    others: list[Path] = field(default_factory=list)
    bundles: list[Path] = field(default_factory=list)
    node_folders: dict[str, None] = field(default_factory=dict)  # names, in order


def read_snapshot(path: Path | str, progress: Progress | None = None) -> SnapshotRead:
    """Read a snapshot folder in any of its layouts.

    A file is recognised by its top-level key, not by its name or folder. Region and account are those of the folders
    (`aws/<region>/`, `accounts/<id>/<region>/`) where they name one, else those of the objects.

    Parameters
    ----------
    progress : callable, optional
        Called with the bytes done and the bytes to do.

    Returns
    -------
    SnapshotRead
        The topology, with malformed values, conflicts and broken references among its findings; and the parse report.

    Raises
    ------
    InputError
        No such folder, no file in it that fastroute knows, or a JSON file that is broken or holds values of another type than AWS and
        Kubernetes print.
    """
    root = Path(path)
    if not root.is_dir():
        what = "a file; a snapshot is a folder of command outputs" if root.exists() else "no such folder; check the path"
        raise InputError(f"{root}: {what}")
    layout = _layout_of(root)
    report = ParseReport(
        other_files=[_name(root, other) for other in layout.others],
        node_folders=list(layout.node_folders),
        bundles=[_name(root, bundle) for bundle in layout.bundles],
    )
    findings: list[Finding] = []
    aws, kubernetes = AwsReader(report, findings), KubernetesReader(report, findings)
    _read_files(root, layout.json_files, report, aws, kubernetes, progress)
    if not any(kind.use is not Use.UNKNOWN for file in report.files for kind in file.kinds):
        raise InputError(
            f"{root}: none of its {len(layout.json_files)} JSON files is an output of `aws ec2 describe-...` or `kubectl get ... -o json`; "
            "collect at least aws/<region>/*.json (vpcs, subnets, route-tables, network-interfaces, instances)"
        )
    aws.finish()
    captured_at = _captured_at(root, layout.json_files, findings)
    assignments = _assignments(root, layout.node_folders, findings)
    topology = replace(_topology(aws, kubernetes, captured_at), assignments=assignments)
    missing = missing_inputs(topology, report.kinds_read())
    return SnapshotRead(replace(topology, findings=(*findings, *check(topology)), missing=missing), report)


def _topology(aws: AwsReader, kubernetes: KubernetesReader, captured_at: str | None) -> Topology:
    return Topology(
        vpcs=aws.vpcs.by_id,
        subnets=aws.subnets.by_id,
        route_tables=aws.route_tables.by_id,
        enis=aws.enis.by_id,
        instances=aws.instances.by_id,
        internet_gateways=aws.internet_gateways.by_id,
        nat_gateways=aws.nat_gateways.by_id,
        vpn_gateways=aws.vpn_gateways.by_id,
        peerings=aws.peerings.by_id,
        transit_gateways=aws.transit_gateways.by_id,
        attachments=aws.attachments.by_id,
        vpc_endpoints=aws.vpc_endpoints.by_id,
        prefix_lists=aws.prefix_lists.by_id,
        nodes=kubernetes.nodes.by_id,
        pods=kubernetes.pods.by_id,
        services=kubernetes.services.by_id,
        endpoint_slices=tuple(kubernetes.endpoint_slices.by_id.values()),
        cni_env=kubernetes.cni_env,
        captured_at=captured_at,
    )


def _assignments(root: Path, nodes: Iterable[str], findings: list[Finding]) -> tuple[Assignment, ...]:
    """When ipamd gave out addresses and took them back, where a node's `enis.json` or `ipam.json` was collected."""
    found: list[Assignment] = []
    for node in nodes:
        read: dict[str, tuple[Any, ...]] = {}
        for name, reader in (("enis.json", read_enis), ("ipam.json", read_ipam)):
            path = root / _NODES_FOLDER / node / name
            if path.is_file():
                read[name], problems = reader(read_bytes(path).decode(errors="replace"))
                findings.extend(Finding("bad-ipamd", _name(root, path), problem) for problem in problems)
        found += assignments_of(node, read.get("enis.json", ()), read.get("ipam.json", ()))
    return tuple(found)


def _read_files(
    root: Path, paths: list[Path], report: ParseReport, aws: AwsReader, kubernetes: KubernetesReader, progress: Progress | None
) -> None:
    sizes = [_size(path) for path in paths]
    total, done = sum(sizes), 0
    for path, size in zip(paths, sizes, strict=True):
        content, num_bytes = read_object(path)
        file = FileRead(_name(root, path), num_bytes)
        report.files.append(file)
        if "kind" in content:
            within = _within_file(progress, done, total, size / max(num_bytes, 1)) if progress is not None else None
            kubernetes.take(file, path, content, within)
        else:
            aws.take(file, path, _home_of(PurePosixPath(file.path)), content)
        done += size
        if progress is not None:
            progress(done, total)


def _within_file(progress: Progress, done: int, total: int, scale: float) -> Callable[[int], None]:
    """Progress inside a large list. `scale`: bytes of the file for a byte of its text, below 1 where it is compressed."""
    taken = 0.0

    def advance(num_bytes: int) -> None:
        nonlocal taken
        taken += num_bytes * scale
        progress(done + int(taken), total)

    return advance


def _layout_of(root: Path) -> _Layout:
    layout = _Layout()
    for path in walk_files(root):
        inside = path.relative_to(root).parts
        name = inside[-1].lower()
        if _BUNDLE.fullmatch(name):
            layout.bundles.append(path)
        elif inside[0] == _NODES_FOLDER and len(inside) > 2:
            layout.node_folders[inside[1]] = None
        elif name.endswith(_JSON_SUFFIXES) or _is_bare_json(path):
            layout.json_files.append(path)
        elif inside != (TIME_FILE,):
            layout.others.append(path)
    return layout


def _is_bare_json(path: Path) -> bool:
    """Whether a file without suffix (`kubectl get pods -o json > pods`) holds an object."""
    if path.suffix or not path.is_file():
        return False
    try:
        with path.open("rb") as file:
            return file.read(64).lstrip().startswith(b"{")
    except OSError:
        return True  # reading it says what is wrong


def _home_of(name: PurePosixPath) -> Home:
    """Region and account of the nearest folder that looks like one."""
    folders = name.parts[:-1][::-1]
    region = next((folder for folder in folders if is_region(folder)), "")
    account_id = next((folder for folder in folders if _ACCOUNT_ID.fullmatch(folder)), "")
    return Home(region, account_id)


def _captured_at(root: Path, paths: list[Path], findings: list[Finding]) -> str:
    """The time in the file `captured_at`, else the newest file time; RFC 3339."""
    time_file = root / TIME_FILE
    if time_file.is_file():
        text = read_bytes(time_file).decode(errors="replace").strip()
        try:
            if datetime.fromisoformat(text).tzinfo is not None:
                return text
        except ValueError:
            pass
        what = f"{text[:40]!r} is not an RFC 3339 time such as 2026-01-31T12:00:00Z; the newest file's time stands in"
        findings.append(Finding("bad-time", TIME_FILE, what))
    newest = datetime.fromtimestamp(int(max(path.stat().st_mtime for path in paths)), UTC)
    return newest.isoformat().replace("+00:00", "Z")


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}; check the link") from None


def _name(root: Path, path: Path) -> str:
    return path.relative_to(root).as_posix()
