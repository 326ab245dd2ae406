"""Simulated flows between two sets of ends: every pair, in batches of bounded size."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from fastroute.addr import text_buffers
from fastroute.datapath import Compiled
from fastroute.flows import NameIndex, Router
from fastroute.flows.columns import TextColumn
from fastroute.flows.ends import locate_end
from fastroute.flows.kernels import NOT_RECORDED, EndSets, pair_ends
from fastroute.flows.questions import NamedEnds, resolve_ends
from fastroute.io.parquet import text_array

I32 = NDArray[np.int32]


class Conversation(NamedTuple):
    """What the pairs speak; -1 where absent."""

    protocol: int
    src_port: int
    dst_port: int


class Batch(NamedTuple):
    """Pairs `first` to `first + num_rows` of all, sources outermost."""

    first: int
    num_rows: int


class Pairs:
    """All pairs of some sources and some destinations; each end is resolved and located once in each address space."""

    def __init__(
        self, compiled: Compiled, names: NameIndex, sources: Sequence[str], destinations: Sequence[str], spoken: Conversation
    ) -> None:
        self.spoken = spoken
        self.texts = (text_array(sources), text_array(destinations))
        src, dst = (
            resolve_ends(compiled, TextColumn(text_buffers(list(ends)), np.arange(len(ends), dtype=np.int32)), name, names)
            for ends, name in ((sources, "sources"), (destinations, "destinations"))
        )
        spaces = np.unique(np.concatenate((src.spaces, dst.spaces)))
        self._spaces = spaces[spaces != NOT_RECORDED]
        self._ends = EndSets(self._rows(compiled, src), self._rows(compiled, dst), self._slots(src), self._slots(dst))

    def __len__(self) -> int:
        return len(self._ends.src_slots) * len(self._ends.dst_slots)

    def batches(self, rows: int) -> Iterator[Batch]:
        """All pairs, `rows` at a time."""
        for first in range(0, len(self), rows):
            yield Batch(first, min(rows, len(self) - first))

    def route(self, batch: Batch, router: Router) -> list[pa.Array]:
        """The columns src and dst, and the output columns, of a batch."""
        n = batch.num_rows
        src, dst, src_row, dst_row = (np.empty(n, np.int32) for _ in range(4))
        pair_ends(self._ends, batch.first, src, dst, src_row, dst_row)
        protocol, src_port, dst_port = (np.full(n, value, np.int32) for value in self.spoken)
        answers = router.walk_simulated(src_row, dst_row, protocol, src_port, dst_port)
        ends = [pa.DictionaryArray.from_arrays(_indices(codes), texts) for codes, texts in zip((src, dst), self.texts, strict=True)]
        return [*ends, *router.encoder.encode(answers)]

    def _rows(self, compiled: Compiled, named: NamedEnds) -> I32:
        """(number of spaces + 1, number of ends) rows; the last slot has none."""
        n = named.ends.num_rows
        rows = [locate_end(compiled, named.ends, np.full(n, space, np.int32)) for space in self._spaces.tolist()]
        return np.stack([*rows, np.full(n, -1, np.int32)])

    def _slots(self, named: NamedEnds) -> I32:
        """Slot of the space that each end tells, -1 for none."""
        return np.where(named.spaces == NOT_RECORDED, -1, np.searchsorted(self._spaces, named.spaces)).astype(np.int32)


def _indices(codes: I32) -> pa.Array:
    return pa.Array.from_buffers(pa.int32(), len(codes), [None, pa.py_buffer(codes)])
