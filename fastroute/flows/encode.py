"""Answers as Arrow columns: names as dictionaries that hold just what the batch uses, in the snapshot's order; numbers as they are."""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from fastroute.arrays import CodedColumn, Column
from fastroute.datapath import Answers, Compiled, Names
from fastroute.flows.kernels import encode, mark, take_texts, validity
from fastroute.flows.outputs import SOURCES, Source, output_fields

I32 = NDArray[np.int32]

EXCLUDED_END = -2
"""Row of an end without any columns; -1 is an end of kind UNKNOWN."""
_END_SHIFT = 2
_CODE_SHIFT = 1


class Encoder:
    """Makes output columns from answers; safe to share between threads."""

    def __init__(self, compiled: Compiled, columns: Sequence[str]) -> None:
        self.compiled = compiled
        self.columns = tuple(columns)
        self.fields = output_fields(self.columns)
        members = {source.members for source in SOURCES.values()} - {None}
        self._member_names = {kind: member_names(kind) for kind in members if kind is not None}

    def encode(self, answers: Answers) -> list[pa.Array]:
        """Make the chosen columns as Arrow arrays, in their order."""
        return [_arrow(column) for column in self.coded(answers)]

    def coded(self, answers: Answers) -> list[Column]:
        """Make the chosen columns as codes over the answers themselves: nothing as long as the batch is computed but what has no codes."""
        ends = {side: EndEncoder(self.compiled, rows) for side, rows in (("src", answers.src_row), ("dst", answers.dst_row))}
        return [self._column(SOURCES[name], answers, ends) for name in self.columns]

    def _column(self, source: Source, answers: Answers, ends: dict[str, EndEncoder]) -> Column:
        if source.members is not None:
            names = self._member_names[source.members]
        elif source.names:
            names = self.compiled.names[source.names]
        else:
            values: NDArray[Any] = getattr(answers, source.column)
            return values if values.dtype == np.int64 else values.astype(np.int32, copy=False)
        if source.side:
            return ends[source.side].column(source, names)
        values = getattr(answers, source.column) if source.column else np.full(len(answers.src_row), -1, np.int8)
        return coded_column(values, names)


class EndEncoder:
    """The columns of one end: the rows that the batch uses are found once, each column is then a small table."""

    def __init__(self, compiled: Compiled, rows: I32) -> None:
        self.compiled = compiled
        self.rows = rows
        self.num_slots = len(compiled.rows.kind) + _END_SHIFT
        marks = np.zeros(self.num_slots, np.uint8)
        mark(rows, _END_SHIFT, marks)
        slots = np.flatnonzero(marks)
        self.slots = slots[slots >= _END_SHIFT]
        self.has_unknown = bool(marks[_END_SHIFT - 1])

    def column(self, source: Source, names: Names) -> CodedColumn:
        """A column of the rows; an end without a row has the source's `unknown`."""
        codes = getattr(self.compiled.rows, source.column)[self.slots - _END_SHIFT].astype(np.int32)
        has_unknown = self.has_unknown and source.unknown >= 0
        used = np.append(codes[codes >= 0], np.full(int(has_unknown), source.unknown, np.int32))
        chosen, index_of = compacted(used, 0, len(names.offsets) - 1)
        table = np.full(self.num_slots, -1, np.int32)
        present = codes >= 0
        table[self.slots[present]] = index_of[codes[present]]
        if has_unknown:
            table[_END_SHIFT - 1] = index_of[source.unknown]
        return CodedColumn(self.rows, _END_SHIFT, table, chosen, *names)


def _arrow(column: Column) -> pa.Array:
    if isinstance(column, CodedColumn):
        return indexed_array(column)
    return number_array(column, pa.int64() if column.dtype == np.int64 else pa.int32())


def member_names(kind: type[IntEnum]) -> Names:
    """The names of an enum's members, at their values."""
    encoded = [member.name.encode() for member in kind]
    offsets = np.zeros(len(encoded) + 1, np.int32)
    np.cumsum([len(text) for text in encoded], out=offsets[1:])
    return Names(np.frombuffer(b"".join(encoded), np.uint8), offsets)


def compacted(codes: NDArray[Any], shift: int, num_codes: int) -> tuple[NDArray[np.int64], I32]:
    """The distinct codes that occur, ascending, and a table from code + shift to the position among them; -1 for the others."""
    marks = np.zeros(num_codes + shift, np.uint8)
    mark(codes, shift, marks)
    marks[:shift] = 0
    chosen = np.flatnonzero(marks)
    index_of = np.full(num_codes + shift, -1, np.int32)
    index_of[chosen] = np.arange(len(chosen), dtype=np.int32)
    return chosen - shift, index_of


def coded_column(codes: NDArray[Any], names: Names) -> CodedColumn:
    """codes (n,) of any width, -1 for null -> a column of the names that occur."""
    chosen, table = compacted(codes, _CODE_SHIFT, len(names.offsets) - 1)
    return CodedColumn(codes, _CODE_SHIFT, table, chosen, *names)


def dictionary_array(codes: NDArray[Any], names: Names) -> pa.Array:
    """codes (n,) of any width, -1 for null -> a dictionary array of the names that occur."""
    return indexed_array(coded_column(codes, names))


def indexed_array(column: CodedColumn) -> pa.Array:
    """A dictionary array with the indices table[codes + shift]."""
    n = len(column.codes)
    indices, valid = np.empty(n, np.int32), np.empty((n + 7) // 8, np.uint8)
    nulls = encode(column.codes, column.shift, column.table, indices, valid)
    buffers = [pa.py_buffer(valid) if nulls else None, pa.py_buffer(indices)]
    dictionary = take_names(Names(column.data, column.offsets), column.chosen)
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
