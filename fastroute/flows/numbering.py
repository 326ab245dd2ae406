"""Numbers for distinct keys, in order of appearance, kept from batch to batch."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastroute.flows.kernels import MAX_PAIRS, NO_ENTRY, ROW_BITS, assign_groups, insert_groups, insert_pairs, number_pairs

I32 = NDArray[np.int32]

_FIRST_SLOTS = 1 << 12


class Interner:
    """Numbers values of any kind; shared between threads."""

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


class Numbering:
    """Numbers keys of k codes. Not to be shared between threads."""

    def __init__(self, num_codes: int) -> None:
        self._slots = np.full(_FIRST_SLOTS, -1, np.int32)
        self._known = np.empty((num_codes, _FIRST_SLOTS), np.int32)
        self.size = 0

    def numbers(self, keys: I32) -> I32:
        """keys (k, n) int32 -> (n,) int32, new keys numbered."""
        group_of = np.empty(keys.shape[1], np.int32)
        at, self.size = assign_groups(keys, 0, self._slots, self._known, self.size, group_of)
        while at < keys.shape[1]:
            self._slots = np.full(2 * len(self._slots), -1, np.int32)
            self._known = np.concatenate((self._known, np.empty_like(self._known)), axis=1)
            insert_groups(self._known, self.size, self._slots)
            at, self.size = assign_groups(keys, at, self._slots, self._known, self.size, group_of)
        return group_of

    @property
    def keys(self) -> I32:
        """(k, size) int32, at their numbers."""
        return self._known[:, : self.size]


class PairNumbering:
    """Numbers pairs of rows; one 64-bit word a pair, half of the words empty. Not to be shared between threads."""

    def __init__(self) -> None:
        self._entries = np.full(2 * _FIRST_SLOTS, NO_ENTRY, np.uint64)
        self._src, self._dst = np.empty(_FIRST_SLOTS, np.int32), np.empty(_FIRST_SLOTS, np.int32)
        self.size = 0

    @staticmethod
    def can_hold(num_rows: int) -> bool:
        """Whether the rows of a snapshot fit into a pair's key."""
        return num_rows + 1 < 1 << ROW_BITS

    def has_room(self, num_pairs: int) -> bool:
        """Whether so many new pairs fit."""
        return self.size + num_pairs <= MAX_PAIRS

    def numbers(self, src_row: I32, dst_row: I32) -> I32:
        """Rows of either end (n,) -> (n,) int32, new pairs numbered; records without a row of theirs keep the lower one's sign."""
        pair_of = np.empty(len(src_row), np.int32)
        at, self.size = number_pairs(src_row, dst_row, 0, self._entries, self._src, self._dst, self.size, pair_of)
        while at < len(src_row):
            self._entries = np.full(2 * len(self._entries), NO_ENTRY, np.uint64)
            self._src, self._dst = (np.concatenate((column, np.empty_like(column))) for column in (self._src, self._dst))
            insert_pairs(self._src, self._dst, self.size, self._entries)
            at, self.size = number_pairs(src_row, dst_row, at, self._entries, self._src, self._dst, self.size, pair_of)
        return pair_of

    def since(self, first: int) -> tuple[I32, I32]:
        """The rows of the pairs from number `first` on."""
        return self._src[first : self.size], self._dst[first : self.size]


def appended(column: NDArray[Any], values: NDArray[Any], size: int) -> NDArray[Any]:
    """The column, of which `size` are in use, with the values behind them; it grows twofold."""
    if size + len(values) > len(column):
        column = np.concatenate((column[:size], np.empty(max(size, len(values)), column.dtype)))
    column[size : size + len(values)] = values
    return column
