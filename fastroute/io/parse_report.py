"""What a reader understood of a snapshot, and what it did not: nothing is dropped in silence."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from enum import Enum
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, get_args

import msgspec

from fastroute.io.json_input import ITEMS, OBJECT, Place, decode

S = TypeVar("S", bound=msgspec.Struct)

# Values that say nothing: an unknown field that holds one of these is not worth a line.
_EMPTY = frozenset({b"null", b'""', b"[]", b"{}"})


class Use(Enum):
    """What became of the objects under one key or of one kind."""

    READ = "read"
    NOT_MODELLED = "known, not modelled yet"
    NO_BEARING = "no bearing on paths"
    UNKNOWN = "unknown"


@dataclass(slots=True)
class KindRead:
    """Objects of one kind in one file. `kind` is the top-level key (AWS) or the kind (Kubernetes); `note` says why they are not used."""

    kind: str
    num_objects: int
    use: Use
    note: str = ""


@dataclass(slots=True)
class FileRead:
    """One file, by its path in the snapshot."""

    path: str
    num_bytes: int
    kinds: list[KindRead] = field(default_factory=list)

    def note(self, kind: str, num_objects: int, use: Use, note: str = "") -> None:
        """Count objects of a kind, added to those of the same kind and use."""
        for known in self.kinds:
            if known.kind == kind and known.use is use:
                known.num_objects += num_objects
                return
        self.kinds.append(KindRead(kind, num_objects, use, note))


@dataclass(frozen=True, slots=True)
class FieldNotUnderstood:
    """A field that no noun takes and that could matter, e.g. `RouteTables[].Routes[].OdbNetworkArn`."""

    path: str
    count: int
    first_file: str


@dataclass(slots=True)
class ParseReport:
    """Filled while a snapshot is read; complete when `read_snapshot` returns."""

    files: list[FileRead] = field(default_factory=list)
    other_files: list[str] = field(default_factory=list)
    """Files that are neither JSON nor a part of the layout, by path in the snapshot."""
    node_folders: list[str] = field(default_factory=list)
    """Names below `nodes/`."""
    bundles: list[str] = field(default_factory=list)
    """Support bundles (`eks_*.tar.gz`), by path in the snapshot."""
    _counts: Counter[str] = field(default_factory=Counter)
    _first_file: dict[str, str] = field(default_factory=dict)

    def add_field(self, path: str, file: str, count: int = 1) -> None:
        """Count a field that is not understood."""
        self._counts[path] += count
        self._first_file.setdefault(path, file)

    @property
    def fields(self) -> list[FieldNotUnderstood]:
        """Fields that are not understood, by path."""
        return [FieldNotUnderstood(path, count, self._first_file[path]) for path, count in sorted(self._counts.items())]

    def kinds_read(self) -> set[str]:
        """Kinds that at least one file holds and that are used, empty lists included."""
        return {kind.kind for file in self.files for kind in file.kinds if kind.use is Use.READ}

    def to_dict(self) -> dict[str, Any]:
        """As JSON values."""
        content: dict[str, Any] = {
            "files": self.files,
            "kinds": self.totals(),
            "fields_not_understood": self.fields,
            "other_files": self.other_files,
            "node_folders": self.node_folders,
            "bundles": self.bundles,
        }
        plain: dict[str, Any] = msgspec.to_builtins(content)
        return plain

    def totals(self) -> list[KindRead]:
        """Objects by kind over all files, in the order of first appearance."""
        totals = FileRead("", 0)
        for file in self.files:
            for kind in file.kinds:
                totals.note(kind.kind, kind.num_objects, kind.use, kind.note)
        return totals.kinds


class Shape(msgspec.Struct, frozen=True):
    """The keys of one struct: taken or known to have no bearing, and those whose objects are looked into."""

    known: frozenset[str]
    inner: tuple[tuple[str, Shape, bool], ...]


@cache
def shape_of(struct: type[msgspec.Struct]) -> Shape | None:
    """The shape of a struct type; None for one without a list `no_bearing`, whose other fields never matter."""
    if not hasattr(struct, "no_bearing"):
        return None
    inner = []
    for each in msgspec.structs.fields(struct):
        for element, is_list in _structs_in(each.type):
            shape = shape_of(element)
            if shape is not None:
                inner.append((each.encode_name, shape, is_list))
    names = {each.encode_name for each in msgspec.structs.fields(struct)}
    return Shape(frozenset(names) | frozenset(struct.no_bearing.split()), tuple(inner))


def _structs_in(annotation: Any) -> list[tuple[type[msgspec.Struct], bool]]:
    """Struct types in `S`, `S | None`, `tuple[S, ...]`, `tuple[S, ...] | None`, each with whether it stands in a list."""
    if isinstance(annotation, type) and issubclass(annotation, msgspec.Struct):
        return [(annotation, False)]
    found = []
    for arg in get_args(annotation):
        found += [(struct, is_list or getattr(annotation, "__origin__", None) is tuple) for struct, is_list in _structs_in(arg)]
    return found


def decode_counting(decoder: msgspec.json.Decoder[S], raw: msgspec.Raw, kind: str, path: Path, place: Place, report: ParseReport) -> S:
    """Decode an object, and count its fields that the decoder's struct does not know.

    Parameters
    ----------
    kind : str
        What the paths of such fields begin with, e.g. `RouteTables[]`.
    place : Place
        The file's path in the snapshot, then the way to the object in it.

    Raises
    ------
    InputError
        As `decode`.
    """
    file, *inside = place
    value = decode(decoder, raw, path, *inside)
    shape = shape_of(decoder.type)
    if shape is not None:
        _count_unknown_fields(raw, shape, kind, str(file), report)
    return value


def _count_unknown_fields(raw: msgspec.Raw, shape: Shape, path: str, file: str, report: ParseReport) -> None:
    """Count the keys of an object that its shape does not know, and those of the objects in it. The object has been decoded before."""
    found = OBJECT.decode(raw)
    for key in found.keys() - shape.known:
        if bytes(found[key]) not in _EMPTY:
            report.add_field(f"{path}.{key}", file)
    for key, inner, is_list in shape.inner:
        value = found.get(key)
        if value is None:
            continue
        if is_list:
            for element in ITEMS.decode(value) or ():
                _count_unknown_fields(element, inner, f"{path}.{key}[]", file, report)
        elif bytes(value) != b"null":
            _count_unknown_fields(value, inner, f"{path}.{key}", file, report)
