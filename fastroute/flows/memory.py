"""Answers of recorded flows by pairs of rows: each pair is walked once for every opener that matters, its records take what was found."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastroute.datapath import Answers, Compiled, Questions, walk
from fastroute.datapath.flows import empty_answers
from fastroute.flows.numbering import PairNumbering, appended
from fastroute.flows.outputs import SOURCES
from fastroute.flows.pair_kernels import BY_OPENER, BY_RECORD, NUM_WAYS, ONE_WAY, answer_records
from fastroute.flows.pairs import PairWalker

I32 = NDArray[np.int32]

MOST_PAIRS = 1 << 18
"""Pairs that are kept; a batch may bring its own beyond. An entry is 48 bytes, a pair has one or three."""
_ALWAYS = frozenset({"src_row", "dst_row", "src_attribution", "path_class", "disposition", "attribution"})
"""Answers that the account needs."""
_EMPTY = empty_answers(1)
_ENTRY = np.dtype(
    [
        (name, column.dtype)
        for name, column in sorted(_EMPTY._asdict().items(), key=lambda item: -item[1].itemsize)
        if name not in ("src_row", "dst_row")
    ],
    align=True,
)
_PAIR = np.dtype([("first", np.int32), ("decided_by", np.int8), ("has_host_ports", np.int8)], align=True)


class _Known:
    """Pairs and what was found for them. Not to be shared between threads."""

    def __init__(self) -> None:
        self.numbering = PairNumbering()
        self.pairs = np.empty(0, _PAIR)
        self.entries = np.empty(0, _ENTRY)
        self.num_walked, self.num_entries = 0, 0


class PairMemory:
    """Walks recorded flows by their packet addresses, at no particular time; safe to share between threads.

    Parameters
    ----------
    compiled : Compiled
    columns : names of the output columns that the answers are for; without any, for whatever is to be made of them
    """

    def __init__(self, compiled: Compiled, columns: Sequence[str]) -> None:
        self.compiled = compiled
        self._walker = PairWalker(compiled, columns or tuple(SOURCES), has_classes=True)
        of_columns = {SOURCES[name].column for name in columns if not SOURCES[name].side}
        self._needed = _ALWAYS | of_columns if columns else frozenset(Answers._fields)
        self._lock = threading.Lock()
        self._idle: list[_Known] = []

    @staticmethod
    def can_hold(compiled: Compiled) -> bool:
        """Whether a snapshot's rows fit into a pair's key."""
        return PairNumbering.can_hold(len(compiled.rows.kind))

    def walk(self, questions: Questions) -> Answers:
        """Walk (n,) flows: as `datapath.walk` of recorded ones.

        Returns
        -------
        Answers
            Columns that neither the output nor an account needs may be (0,). Takes the rows of the questions, and changes them.
        """
        with self._known() as known:
            n = len(questions.src_row)
            first = known.numbering.size
            pair_of = known.numbering.numbers(questions.src_row, questions.dst_row)
            if 2 * (known.numbering.size - first) > n:
                # Pairs that hardly come twice are not worth the walks for either opener.
                return walk(self.compiled, questions, recorded=True)
            self._walk_new(known)
            empty = empty_answers(0)._asdict()
            answers = Answers(**{name: np.empty(n, empty[name].dtype) if name in self._needed else empty[name] for name in empty})
            answers = answers._replace(src_row=questions.src_row, dst_row=questions.dst_row)
            tables, walked = self.compiled.tables, np.empty(n, np.int32)
            about = tables.rows, tables.ports, questions, self._walker.host_ports
            m = answer_records(pair_of, known.pairs.view(np.recarray), known.entries.view(np.recarray), *about, answers, walked)
        if m:
            records = walked[:m]
            found = walk(self.compiled, Questions(*(column[records] for column in questions)), recorded=True)
            put_records(answers, records, found)
        return answers

    def _walk_new(self, known: _Known) -> None:
        """Walk the pairs that have no entries yet."""
        src_row, dst_row = known.numbering.since(known.num_walked)
        if not len(src_row):
            return
        found = self._walker.walk(src_row, dst_row)
        pairs = np.zeros(len(src_row), _PAIR)
        pairs["has_host_ports"] = self._walker.has_host_ports(src_row) | self._walker.has_host_ports(dst_row)
        is_open = found.is_open_without_ports & (src_row >= 0) & (dst_row >= 0)
        pairs["decided_by"] = np.where(is_open, BY_OPENER, ONE_WAY)
        # Loopback stands for the other end: the rows themselves change.
        changed = (found.answers.src_row != src_row) | (found.answers.dst_row != dst_row)
        pairs["decided_by"][changed] = BY_RECORD
        ends = np.cumsum(np.where(is_open, NUM_WAYS, 1))
        pairs["first"] = known.num_entries + np.append(0, ends[:-1])
        entries = np.empty(int(ends[-1]), _ENTRY)
        starts = pairs["first"] - known.num_entries
        _put(entries, starts, found.answers)
        opened = np.flatnonzero(is_open)
        if len(opened):
            _put(entries, starts[opened] + 1, found.opened_by_dst, opened)
            absent = np.full(len(opened), -1, np.int32)
            untold = walk(self.compiled, Questions(src_row[opened], dst_row[opened], absent, absent, absent, absent), recorded=True)
            _put(entries, starts[opened] + 2, untold)
        known.pairs = appended(known.pairs, pairs, known.num_walked)
        known.entries = appended(known.entries, entries, known.num_entries)
        known.num_walked += len(pairs)
        known.num_entries += len(entries)

    @contextmanager
    def _known(self) -> Iterator[_Known]:
        """Pairs that no other thread uses now."""
        with self._lock:
            known = self._idle.pop() if self._idle else _Known()
        try:
            yield known
        finally:
            # One that has grown large is left to go.
            if known.numbering.size <= MOST_PAIRS:
                with self._lock:
                    self._idle.append(known)


def put_records(answers: Answers, records: NDArray[np.integer[Any]], found: Answers) -> None:
    """Put what was found for some records in its place; columns of length 0 stay."""
    for column, part in zip(answers._asdict().values(), found._asdict().values(), strict=True):
        if len(column):
            column[records] = part


def _put(entries: NDArray[Any], at: NDArray[np.integer[Any]], answers: Answers, chosen: NDArray[np.intp] | slice = slice(None)) -> None:
    for name in _ENTRY.names or ():
        entries[name][at] = getattr(answers, name)[chosen]
