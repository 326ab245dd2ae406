"""Destination classes: the one idea that makes the walk a few gathers.

Take every prefix that any route table, node table or setting names, of the whole snapshot. The most specific of them that covers an
address decides every look-up of that address in every table, since each table holds a subset of them. So an address needs one class, found
once at compile time for each row, and each table becomes a row of a matrix indexed by class. No look-up is left for the walk.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastroute.datapath.ownership import Prefix, covers

ROOTS: tuple[Prefix, Prefix] = ((4, 0, 0), (6, 0, 0))


def nearest_enclosing(prefixes: Iterable[tuple[Prefix, bool]]) -> Iterator[tuple[Prefix, Prefix | None]]:
    """Sweep sorted prefixes; yield each with the most specific *marked* one before it that covers it (itself, if marked).

    Sorted means by (family, first address, length), marked before unmarked where equal.
    """
    stack: list[Prefix] = []
    for prefix, is_marked in prefixes:
        while stack and not covers(stack[-1], prefix):
            stack.pop()
        if is_marked:
            stack.append(prefix)
        yield prefix, stack[-1] if stack else None


class DestinationClasses:
    """The prefixes in order, each with its parent; a class is a position in this order."""

    def __init__(self, prefixes: Iterable[Prefix]) -> None:
        self.prefixes: list[Prefix] = sorted({*ROOTS, *prefixes})
        self.number: dict[Prefix, int] = {prefix: i for i, prefix in enumerate(self.prefixes)}
        self.parents: list[int] = self._parents()

    def __len__(self) -> int:
        return len(self.prefixes)

    def _parents(self) -> list[int]:
        """Class of the next less specific prefix; the roots are their own."""
        parents = []
        stack: list[int] = []
        for i, prefix in enumerate(self.prefixes):
            while stack and not covers(self.prefixes[stack[-1]], prefix):
                stack.pop()
            parents.append(stack[-1] if stack else i)
            stack.append(i)
        return parents

    def matrix(self, tables: list[Mapping[Prefix, int]], missing: int, dtype: Any = np.int32) -> NDArray[Any]:
        """Longest match of every class in every table -> (num_tables, num_classes).

        Parameters
        ----------
        tables : list of {prefix: value >= 0}
            Their prefixes are all among the classes.
        missing : int
            What a class without any match gets.
        """
        entries = np.full((len(self), len(tables)), -1, np.int64)
        for t, table in enumerate(tables):
            for prefix, value in table.items():
                entries[self.number[prefix], t] = value
        for i, parent in enumerate(self.parents):
            own = entries[i]
            inherited = entries[parent] if parent != i else np.int64(missing)
            entries[i] = np.where(own >= 0, own, inherited)
        return np.ascontiguousarray(entries.T.astype(dtype))
