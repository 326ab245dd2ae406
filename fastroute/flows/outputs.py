"""What each output column is made from: a column of the ends' rows or of the answers, and the names of its codes."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from enum import IntEnum
from typing import NamedTuple

import pyarrow as pa

from fastroute.errors import InputError
from fastroute.vocab import ENUM_COLUMNS, OUTPUT_COLUMNS, Kind

DICTIONARY = pa.dictionary(pa.int32(), pa.string())
_TYPES = {"name": DICTIONARY, "enum": DICTIONARY, "int32": pa.int32(), "int64": pa.int64()}


class Source(NamedTuple):
    """Where the values of a column lie. Numbers have neither names nor members."""

    side: str
    """`src` or `dst`: `column` is one of the rows of that end; empty: one of the answers."""
    column: str
    """Empty: not computed yet, null throughout."""
    names: str = ""
    """Key of the compiled names that its codes are of."""
    members: type[IntEnum] | None = None
    """Enum that its codes are members of."""
    unknown: int = -1
    """Code of an end without a row."""


def _end_sources(side: str) -> dict[str, Source]:
    named = {
        "k8s_namespace": "namespace",
        "k8s_pod": "pod",
        "k8s_owner_kind": "owner_kind",
        "k8s_owner": "owner",
        "node": "node",
        "eni": "eni",
        "subnet_id": "subnet",
        "az_id": "az",
        "vpc_id": "vpc",
        "k8s_service": "service",
    }
    kind = Source(side, "kind", members=Kind, unknown=int(Kind.UNKNOWN))
    return {f"{side}_kind": kind} | {f"{side}_{column}": Source(side, key, names=key) for column, key in named.items()}


_PATH_NAMES = {"out_eni": "eni", "in_eni": "eni", "table": "table", "wire_src": "addr", "wire_dst": "addr"}
_ALL_SOURCES: dict[str, Source] = {
    # Until the translation of Service addresses is modelled.
    "dst_endpoint": Source("", "", names="addr"),
    **{name: Source("", name, names=key) for name, key in _PATH_NAMES.items()},
    **{name: Source("", name, members=members) for name, members in ENUM_COLUMNS.items()},
    **_end_sources("src"),
    **_end_sources("dst"),
    "rule_priority": Source("", "rule_priority"),
    "path_id": Source("", "path_id"),
}
SOURCES: dict[str, Source] = {column.name: _ALL_SOURCES[column.name] for column in OUTPUT_COLUMNS}
"""By output column, in their order."""


def choose_columns(columns: Sequence[str] | None) -> tuple[str, ...]:
    """Names of output columns in their order: the default ones, `all`, or the given ones.

    Raises
    ------
    InputError
        No such column; names the nearest.
    """
    if columns is None:
        return tuple(column.name for column in OUTPUT_COLUMNS if column.is_default)
    if list(columns) == ["all"]:
        return tuple(SOURCES)
    for name in columns:
        if name not in SOURCES:
            close = difflib.get_close_matches(name, SOURCES, 3)
            hint = f"did you mean {', '.join(close)}?" if close else f"the columns are {', '.join(SOURCES)}"
            raise InputError(f"no output column {name!r}; {hint}")
    return tuple(name for name in SOURCES if name in set(columns))


def output_fields(columns: Sequence[str]) -> list[pa.Field]:
    """The Arrow fields of output columns."""
    forms = {column.name: column.form for column in OUTPUT_COLUMNS}
    return [pa.field(name, _TYPES[forms[name]]) for name in columns]
