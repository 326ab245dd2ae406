"""Sums by group: records, bytes and packets by any output or input columns, without writing enriched rows."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from fastroute.datapath import Answers, Compiled, texts
from fastroute.errors import InputError
from fastroute.flows.account import NUM_MEASURES
from fastroute.flows.columns import distinct_column, gathered, int_column, is_text, one_array, texts_of
from fastroute.flows.encode import EXCLUDED_END
from fastroute.flows.kernels import assign_groups, insert_groups, tally
from fastroute.flows.outputs import SOURCES
from fastroute.flows.router import Routed, Table

I32 = NDArray[np.int32]
I64 = NDArray[np.int64]

MEASURES = ("records", "bytes", "packets")
"""Columns of every sum."""
_FIRST_SLOTS = 1 << 12


class Groups(NamedTuple):
    """Distinct keys (k, n) int32 with their sums (n, 3) int64."""

    keys: I32
    sums: I64


def group(keys: I32, num_bytes: I64, packets: I64, counts: I64 | None = None) -> Groups:
    """Sum by key.

    Parameters
    ----------
    keys : (k, n) int32
    num_bytes, packets : (n,) int64, -1 where absent; or (0,)
    counts : (n, 3) int64, optional
        Sums to add up instead, one row a key.
    """
    n = keys.shape[1]
    slots, known = np.full(_FIRST_SLOTS, -1, np.int32), np.empty((len(keys), _FIRST_SLOTS), np.int32)
    group_of = np.empty(n, np.int32)
    at, num_groups = assign_groups(keys, 0, slots, known, 0, group_of)
    while at < n:
        slots = np.full(2 * len(slots), -1, np.int32)
        known = np.concatenate((known, np.empty_like(known)), axis=1)
        insert_groups(known, num_groups, slots)
        at, num_groups = assign_groups(keys, at, slots, known, num_groups, group_of)
    sums = np.zeros((num_groups, NUM_MEASURES), np.int64)
    if counts is None:
        tally(group_of, 0, num_bytes, packets, sums)
    else:
        np.add.at(sums, group_of, counts)
    return Groups(np.ascontiguousarray(known[:, :num_groups]), sums)


class Interner:
    """Numbers values in order of appearance; shared between threads."""

    def __init__(self) -> None:
        self._code: dict[Any, int] = {}
        self._lock = threading.Lock()

    def codes(self, values: Sequence[Any]) -> I32:
        """A code for each value; -1 for None."""
        with self._lock:
            return np.array([-1 if value is None else self._code.setdefault(value, len(self._code)) for value in values], np.int32)

    @property
    def values(self) -> list[Any]:
        """The values, at their codes."""
        return list(self._code)


class Aggregation:
    """Groups of a run, taken together batch by batch; safe to share between threads.

    Parameters
    ----------
    by : names of output columns, or of columns of the input
    input_columns : names of the input's columns

    Raises
    ------
    InputError
        A name that is neither.
    """

    def __init__(self, compiled: Compiled, by: Sequence[str], input_columns: Sequence[str]) -> None:
        self.compiled = compiled
        self.by = tuple(by)
        if not self.by:
            raise InputError("name at least one column to group by")
        for name in self.by:
            if name not in SOURCES and name not in input_columns:
                raise InputError(f"no column {name!r} to group by, in the output or in the input; the input has {', '.join(input_columns)}")
        self._interners = {name: Interner() for name in self.by if not _has_names(name)}
        self._lock = threading.Lock()
        self._parts: list[Groups] = []

    @property
    def input_columns(self) -> tuple[str, ...]:
        """The columns of the input that are grouped by."""
        return tuple(name for name in self.by if name not in SOURCES)

    def groups(self, table: Table, routed: Routed) -> Groups:
        """Group a routed batch, its excluded records left out."""
        keys = np.stack([self._codes(name, table, routed.answers) for name in self.by])
        num_bytes, packets = routed.num_bytes, routed.packets
        counted = routed.answers.src_row != EXCLUDED_END
        if not counted.all():
            keys = np.ascontiguousarray(keys[:, counted])
            num_bytes, packets = (column[counted] if column.size else column for column in (num_bytes, packets))
        return group(keys, num_bytes, packets)

    def add(self, part: Groups) -> None:
        """Take a batch's groups into the run's."""
        with self._lock:
            self._parts.append(part)
            if sum(len(held.sums) for held in self._parts[1:]) > len(self._parts[0].sums):
                self._parts = [_joined(self._parts)]

    def table(self, measures: Sequence[str], top: int | None) -> pa.Table:
        """The groups with the most of the first measure first; equal ones in the order of their names.

        Parameters
        ----------
        measures : of `records`, `bytes`, `packets`
        top : how many groups; all by default
        """
        joined = (
            _joined(self._parts) if self._parts else Groups(np.empty((len(self.by), 0), np.int32), np.empty((0, NUM_MEASURES), np.int64))
        )
        names = [self._decoded(name, keys) for name, keys in zip(self.by, joined.keys, strict=True)]
        weights = joined.sums[:, MEASURES.index(measures[0])].tolist()
        order = sorted(range(len(weights)), key=lambda i: (-weights[i], *((column[i] is None, column[i]) for column in names)))[:top]
        columns = {name: pa.array([column[i] for i in order], _type_of(column)) for name, column in zip(self.by, names, strict=True)}
        sums = joined.sums[np.array(order, np.int64)]
        return pa.table(columns | {name: pa.array(sums[:, MEASURES.index(name)]) for name in measures})

    def _codes(self, name: str, table: Table, answers: Answers) -> I32:
        if name not in SOURCES:
            return self._input_codes(name, table)
        source = SOURCES[name]
        if source.side:
            # An end without a row, -1, takes the last entry.
            codes = np.append(getattr(self.compiled.rows, source.column), source.unknown).astype(np.int32)
            found: I32 = codes[np.maximum(getattr(answers, f"{source.side}_row"), -1)]
            return found
        if not source.column:
            return np.full(len(answers.src_row), -1, np.int32)
        values = getattr(answers, source.column)
        return self._number_codes(name, values) if name in self._interners else values.astype(np.int32)

    def _number_codes(self, name: str, numbers: NDArray[Any]) -> I32:
        values, at = np.unique(numbers, return_inverse=True)
        codes: I32 = self._interners[name].codes([None if value == -1 else value for value in values.tolist()])[at]
        return codes

    def _input_codes(self, name: str, table: Table) -> I32:
        array = one_array(table[name])
        if is_text(array.type):
            column = distinct_column(array, name)
            assert column.codes is not None
            return gathered(column.codes, self._interners[name].codes(texts_of(column.texts)), -1)
        return self._number_codes(name, int_column(array, name, np.int64))

    def _decoded(self, name: str, keys: I32) -> list[Any]:
        if name in self._interners:
            values = self._interners[name].values
        else:
            source = SOURCES[name]
            values = [member.name for member in source.members] if source.members is not None else texts(self.compiled.names[source.names])
        return [values[key] if key >= 0 else None for key in keys.tolist()]


def _has_names(name: str) -> bool:
    """Whether the codes of a column are known beforehand; numbers and input columns are numbered as they come."""
    return name in SOURCES and (SOURCES[name].members is not None or SOURCES[name].names != "")


def _joined(parts: Sequence[Groups]) -> Groups:
    none = np.empty(0, np.int64)
    return group(
        np.ascontiguousarray(np.concatenate([part.keys for part in parts], axis=1)),
        none,
        none,
        np.concatenate([part.sums for part in parts]),
    )


def _type_of(values: Sequence[Any]) -> pa.DataType:
    return pa.int64() if any(isinstance(value, int) for value in values) else pa.string()
