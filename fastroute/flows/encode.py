"""Answers as Arrow columns: names as dictionaries that hold just what the batch uses, in the snapshot's order; numbers as they are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from fastroute.datapath import Answers, Compiled, Names
from fastroute.errors import InputError
from fastroute.flows.kernels import encode, mark, take_texts, validity
from fastroute.vocab import ENUM_COLUMNS, OUTPUT_COLUMNS, Kind

I32 = NDArray[np.int32]

DICTIONARY = pa.dictionary(pa.int32(), pa.string())
_TYPES = {"name": DICTIONARY, "enum": DICTIONARY, "int32": pa.int32(), "int64": pa.int64()}
_FORMS = {column.name: column.form for column in OUTPUT_COLUMNS}

# Columns of an end -> columns of rows and keys of names.
_END_KEYS = {
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
# Columns of a path -> keys of names.
_PATH_KEYS = {"out_eni": "eni", "in_eni": "eni", "table": "table", "wire_src": "addr", "wire_dst": "addr"}
_NOT_COMPUTED = frozenset({"dst_endpoint"})
"""Null until the translation of Service addresses is modelled."""

EXCLUDED_END = -2
"""Row of an end without any columns; -1 is an end of kind UNKNOWN."""
_END_SHIFT = 2
_CODE_SHIFT = 1


def choose_columns(columns: Sequence[str] | None) -> tuple[str, ...]:
    """Names of output columns in their order: the default ones, `all`, or the given ones.

    Raises
    ------
    InputError
        No such column; names the nearest.
    """
    import difflib

    if columns is None:
        return tuple(column.name for column in OUTPUT_COLUMNS if column.is_default)
    if list(columns) == ["all"]:
        return tuple(_FORMS)
    for name in columns:
        if name not in _FORMS:
            close = difflib.get_close_matches(name, _FORMS, 3)
            hint = f"did you mean {', '.join(close)}?" if close else f"the columns are {', '.join(_FORMS)}"
            raise InputError(f"no output column {name!r}; {hint}")
    return tuple(name for name in _FORMS if name in set(columns))


def output_fields(columns: Sequence[str]) -> list[pa.Field]:
    """The Arrow fields of output columns."""
    return [pa.field(name, _TYPES[_FORMS[name]]) for name in columns]


def enum_names(name: str) -> Names:
    """The member names of an enum column, at their values."""
    encoded = [member.name.encode() for member in ENUM_COLUMNS[name]]
    offsets = np.zeros(len(encoded) + 1, np.int32)
    np.cumsum([len(text) for text in encoded], out=offsets[1:])
    return Names(np.frombuffer(b"".join(encoded), np.uint8), offsets)


class Encoder:
    """Makes output columns from answers; safe to share between threads."""

    def __init__(self, compiled: Compiled, columns: Sequence[str]) -> None:
        self.compiled = compiled
        self.columns = tuple(columns)
        self.fields = output_fields(self.columns)
        self._enum_names = {name: enum_names(name) for name in ENUM_COLUMNS}

    def encode(self, answers: Answers) -> list[pa.Array]:
        """Make the chosen columns, in their order."""
        ends = {side: EndEncoder(self.compiled, rows) for side, rows in (("src", answers.src_row), ("dst", answers.dst_row))}
        return [self._column(name, answers, ends) for name in self.columns]

    def _column(self, name: str, answers: Answers, ends: dict[str, EndEncoder]) -> pa.Array:
        side, _, rest = name.partition("_")
        if name in _NOT_COMPUTED:
            return dictionary_array(np.full(len(answers.src_row), -1, np.int8), self._enum_names["opener"])
        if name in ("src_kind", "dst_kind"):
            return ends[side].kind(self._enum_names[name])
        if side in ends and rest in _END_KEYS:
            return ends[side].name(_END_KEYS[rest])
        values = getattr(answers, name)
        if name in _PATH_KEYS:
            return dictionary_array(values, self.compiled.names[_PATH_KEYS[name]])
        if name in self._enum_names:
            return dictionary_array(values, self._enum_names[name])
        return number_array(values, _TYPES[_FORMS[name]])


class EndEncoder:
    """The columns of one end: the rows that the batch uses are found once, each column is then a small table and one gather."""

    def __init__(self, compiled: Compiled, rows: I32) -> None:
        self.compiled = compiled
        self.rows = rows
        self.num_slots = len(compiled.rows.kind) + _END_SHIFT
        marks = np.zeros(self.num_slots, np.uint8)
        mark(rows, _END_SHIFT, marks)
        slots = np.flatnonzero(marks)
        self.slots = slots[slots >= _END_SHIFT]
        self.has_unknown = bool(marks[_END_SHIFT - 1])

    def name(self, key: str) -> pa.Array:
        """A name column of the rows."""
        codes = getattr(self.compiled.rows, key)[self.slots - _END_SHIFT]
        return self._array(codes, -1, self.compiled.names[key])

    def kind(self, names: Names) -> pa.Array:
        """The kind; UNKNOWN for an end without a row."""
        return self._array(self.compiled.rows.kind[self.slots - _END_SHIFT].astype(np.int32), int(Kind.UNKNOWN), names)

    def _array(self, codes: I32, unknown: int, names: Names) -> pa.Array:
        """codes of the used rows, code of an end without a row -> the column of all records."""
        used = codes[codes >= 0]
        if self.has_unknown and unknown >= 0:
            used = np.append(used, np.int32(unknown))
        chosen, index_of = compacted(used, 0, len(names.offsets) - 1)
        table = np.full(self.num_slots, -1, np.int32)
        named = codes >= 0
        table[self.slots[named]] = index_of[codes[named]]
        table[_END_SHIFT - 1] = index_of[unknown] if unknown >= 0 else -1
        return indexed_array(self.rows, _END_SHIFT, table, take_names(names, chosen))


def compacted(codes: NDArray[Any], shift: int, num_codes: int) -> tuple[NDArray[np.int64], I32]:
    """The distinct codes that occur, ascending, and a table from code + shift to the position among them; -1 for the others."""
    marks = np.zeros(num_codes + shift, np.uint8)
    mark(codes, shift, marks)
    marks[:shift] = 0
    chosen = np.flatnonzero(marks)
    index_of = np.full(num_codes + shift, -1, np.int32)
    index_of[chosen] = np.arange(len(chosen), dtype=np.int32)
    return chosen - shift, index_of


def dictionary_array(codes: NDArray[Any], names: Names) -> pa.Array:
    """codes (n,) of any width, -1 for null -> a dictionary array of the names that occur."""
    chosen, table = compacted(codes, _CODE_SHIFT, len(names.offsets) - 1)
    return indexed_array(codes, _CODE_SHIFT, table, take_names(names, chosen))


def indexed_array(codes: NDArray[Any], shift: int, table: I32, dictionary: pa.Array) -> pa.Array:
    """A dictionary array with the indices table[codes + shift]."""
    n = len(codes)
    indices, valid = np.empty(n, np.int32), np.empty((n + 7) // 8, np.uint8)
    nulls = encode(codes, shift, table, indices, valid)
    buffers = [pa.py_buffer(valid) if nulls else None, pa.py_buffer(indices)]
    return pa.DictionaryArray.from_arrays(pa.Array.from_buffers(pa.int32(), n, buffers, nulls), dictionary)


def number_array(values: NDArray[Any], kind: pa.DataType) -> pa.Array:
    """values (n,), -1 for null -> a number array over the same memory."""
    valid = np.empty((len(values) + 7) // 8, np.uint8)
    nulls = validity(values, valid)
    return pa.Array.from_buffers(kind, len(values), [pa.py_buffer(valid) if nulls else None, pa.py_buffer(values)], nulls)


def take_names(names: Names, chosen: NDArray[np.int64]) -> pa.Array:
    """Some of the names as an Arrow array."""
    lengths = names.offsets[chosen + 1] - names.offsets[chosen]
    data, offsets = np.empty(int(lengths.sum()), np.uint8), np.empty(len(chosen) + 1, np.int32)
    take_texts(names.data, names.offsets, chosen, data, offsets)
    return pa.Array.from_buffers(pa.string(), len(chosen), [None, pa.py_buffer(offsets), pa.py_buffer(data)])
