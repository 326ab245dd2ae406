"""A snapshot in one file: its topology, what was understood of the folder, and the compiled arrays.

The file is an array bundle. The arrays of the compiled form are mapped into memory when they are asked for; the topology and the parse
report are MessagePack, decoded when they are asked for. Checksums are held to when the file is opened (7 GB/s).
"""

from __future__ import annotations

import dataclasses
import gc
import os
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache, cached_property
from pathlib import Path
from typing import Any, TypeVar, get_args, get_type_hints

import msgspec
import numpy as np
from numpy.typing import NDArray

from fastroute.arrays import is_bundle, read_bundle, write_bundle
from fastroute.datapath import FORMAT, Compiled, from_arrays, to_arrays
from fastroute.errors import InputError
from fastroute.io.parse_report import ParseReport
from fastroute.topology import Missing, Topology

KIND = "compiled snapshot"
_TOPOLOGY, _REPORT, _COMPILED = "topology", "report", "compiled"
Arrays = Mapping[str, NDArray[Any]]
T = TypeVar("T")


class SnapshotFile:
    """A snapshot file that is mapped into memory; its parts are decoded on first use.

    Attributes
    ----------
    path : Path
    about : dict
        Counts and times, for manifests.
    missing : tuple of Missing
        Inputs that the snapshot does not have.
    has_compiled : bool
        Whether the compiled form is in it.
    """

    def __init__(self, path: Path, arrays: Arrays, meta: Mapping[str, Any]) -> None:
        self.path = path
        self.about: dict[str, Any] = dict(meta["about"])
        self.missing = tuple(Missing(**each) for each in meta["missing"])
        self.has_compiled: bool = _COMPILED in meta["checksums"]
        self._arrays = arrays
        self._meta = meta

    @cached_property
    def topology(self) -> Topology:
        """Every noun."""
        return self._decoded(_TOPOLOGY, Topology)

    @cached_property
    def report(self) -> ParseReport | None:
        """What was understood of which file; None for a topology made in Python."""
        return self._decoded(_REPORT, ParseReport) if _REPORT in self._meta["checksums"] else None

    @cached_property
    def compiled(self) -> Compiled | None:
        """The compiled form, on the file's own pages; None where it is not in the file."""
        if not self.has_compiled:
            return None
        return from_arrays(_part(self._arrays, _COMPILED), self._meta["layout"])

    def _decoded(self, name: str, kind: type[T]) -> T:
        try:
            with _paused_collector():
                return msgspec.msgpack.decode(self._arrays[name].data, type=kind, dec_hook=_rebuilt)
        except msgspec.DecodeError as error:
            raise _damaged(self.path) from error


def write_snapshot_file(
    path: str | os.PathLike[str], topology: Topology, report: ParseReport | None, compiled: Compiled | None, about: Mapping[str, Any]
) -> None:
    """Write a snapshot file, which appears whole or not at all.

    Raises
    ------
    OutputError
        It cannot be written.
    """
    parts: dict[str, dict[str, NDArray[Any]]] = {_TOPOLOGY: _packed(_TOPOLOGY, topology)}
    layout: dict[str, Any] = {}
    if report is not None:
        parts[_REPORT] = _packed(_REPORT, report)
    if compiled is not None:
        arrays, layout = to_arrays(compiled)
        parts[_COMPILED] = {_COMPILED + name: array for name, array in arrays.items()}
    meta = {
        "kind": KIND,
        "format": format_name(),
        "about": dict(about),
        "missing": [{"what": missing.what, "loses": missing.loses} for missing in topology.missing],
        "layout": layout,
        "checksums": {name: _checksum(part) for name, part in parts.items()},
    }
    write_bundle(path, {name: array for part in parts.values() for name, array in part.items()}, meta)


def open_snapshot_file(path: str | os.PathLike[str]) -> SnapshotFile:
    """Map a snapshot file into memory.

    Raises
    ------
    InputError
        It is no compiled snapshot, is cut short or damaged, or was made by another version of fastroute.
    """
    path = Path(path)
    if path.is_file() and not is_bundle(path):
        raise InputError(
            f"{path}: neither a snapshot folder nor a compiled snapshot; name a folder of command outputs, or a file that "
            "`fastroute compile FOLDER --out FILE` made"
        )
    arrays, meta = read_bundle(path)
    if meta.get("kind") != KIND:
        raise InputError(f"{path}: a file of fastroute, but no compiled snapshot; make one with `fastroute compile FOLDER --out FILE`")
    if meta.get("format") != format_name():
        raise InputError(
            f"{path}: compiled by another version of fastroute ({meta.get('format')}, this one is {format_name()}); compile it again"
        )
    if any(_checksum(_part(arrays, name)) != checksum for name, checksum in meta["checksums"].items()):
        raise _damaged(path)
    return SnapshotFile(path, arrays, meta)


@cache
def format_name() -> str:
    """What a file must have been made by: the number of the format, and a digest of the names and types that are in it."""
    lines: set[str] = set()
    for kind in (Compiled, Topology, ParseReport):
        _describe(kind, lines)
    digest = zlib.crc32("\n".join(sorted(lines)).encode())
    return f"{FORMAT}-{digest:08x}"


def _describe(kind: Any, lines: set[str]) -> None:
    """Collect a line for each field of a NamedTuple or dataclass, and of those that it holds."""
    is_struct = isinstance(kind, type) and (dataclasses.is_dataclass(kind) or hasattr(kind, "_fields"))
    if is_struct and not any(line.startswith(f"{kind.__qualname__}.") for line in lines):
        for name, hint in get_type_hints(kind).items():
            lines.add(f"{kind.__qualname__}.{name}: {hint}")
            _describe(hint, lines)
    for inner in get_args(kind):
        _describe(inner, lines)


def _packed(name: str, value: object) -> dict[str, NDArray[Any]]:
    return {name: np.frombuffer(msgspec.msgpack.encode(value), np.uint8)}


def _part(arrays: Arrays, name: str) -> dict[str, NDArray[Any]]:
    """The arrays of one part; those of the compiled form without their prefix."""
    if name != _COMPILED:
        return {name: arrays[name]}
    return {key.removeprefix(_COMPILED): array for key, array in arrays.items() if key.startswith(_COMPILED)}


def _checksum(arrays: Arrays) -> int:
    """CRC-32 over the bytes of all arrays."""
    value = 0
    for array in arrays.values():
        value = zlib.crc32(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data, value)
    return value


def _rebuilt(kind: type, value: Any) -> Any:
    if kind is Counter or getattr(kind, "__origin__", None) is Counter:
        return Counter(value)
    # What msgspec asks of this hook for a type that it does not know: no field of the noun classes is of another one.
    raise NotImplementedError(kind)


@contextmanager
def _paused_collector() -> Iterator[None]:
    """A million new objects and no garbage: the collector would look at them again and again (2.8 s instead of 0.4 for 100,000 pods)."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _damaged(path: Path) -> InputError:
    return InputError(f"{path}: the compiled snapshot is damaged; compile it again")
