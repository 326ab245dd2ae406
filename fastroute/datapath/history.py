"""Who held an address at the time of a record, for many records at once."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastroute.datapath.history_kernels import at_best, find_unsettled, look_up_records, put_rows
from fastroute.datapath.state import Compiled, History
from fastroute.topology.times import BEGINNING

I32 = NDArray[np.int32]
I64 = NDArray[np.int64]


class Timed(NamedTuple):
    """What the time of some records says of one end, (k,) each."""

    records: I32
    """Positions of the records whose time matters, ascending."""
    rows: I32
    """Whose address it was."""
    attribution: NDArray[np.int8]
    """Attribution at best."""
    candidate: I32
    """First of the tenures that meet the record's stretch of time."""
    num_candidates: I32


def has_history(compiled: Compiled) -> bool:
    """Whether anything in the snapshot depends on the time of a record."""
    return len(compiled.history.offsets) > 1


def without_history(compiled: Compiled) -> Compiled:
    """The same snapshot, holding for all time."""
    history = compiled.history
    nothing = {name: column[:0] for name, column in history._asdict().items()}
    settled, of_row = np.full_like(history.settled, BEGINNING), np.full_like(history.of_row, -1)
    empty = History(**nothing)._replace(settled=settled, of_row=of_row, offsets=np.zeros(1, np.int32))
    return compiled._replace(history=empty)


def at_time(compiled: Compiled, rows: I32, begin: I64, end: I64, earliest: int, first_row: int = 0) -> Timed:
    """Find whose addresses they were, where that depends on the time.

    Parameters
    ----------
    rows : (n,) int32
        Rows as `locate` gives them, or as the walk refined them; -1 for none.
    begin, end : (n,) int64
        Stretch of time of each record, seconds since 1970, both ends included; nothing is asked for a record that ends before it begins.
    earliest : int
        No record begins before.
    first_row : int
        Rows below are left as they are.

    Returns
    -------
    Timed
        Of the records whose address had not settled by then.
    """
    history = compiled.history
    is_unsettled = (history.settled > earliest).view(np.uint8)
    is_unsettled[:first_row] = 0
    records = np.empty(len(rows), np.int32)
    records = records[: find_unsettled(history.settled, is_unsettled, rows, begin, end, records)].copy()
    k = len(records)
    found = Timed(records, np.empty(k, np.int32), np.empty(k, np.int8), np.empty(k, np.int32), np.empty(k, np.int32))
    look_up_records(history, rows, begin, end, found)
    return found


__all__ = ["Timed", "at_best", "at_time", "has_history", "put_rows", "without_history"]
