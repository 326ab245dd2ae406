"""Who held an address at the time of a record, for many records at once."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from fastroute.datapath.state import Compiled, History
from fastroute.vocab import Attribution

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


@njit(cache=True, nogil=True)
def find_unsettled(settled, is_unsettled, rows, begin, end, records):
    """Positions of records whose stretch begins before their address had settled, into `records`. Returns their number.

    `is_unsettled` (num_rows,) uint8 marks the rows that can be so at all: one byte a row, where nearly every record ends.
    """
    k = 0
    for i in range(rows.shape[0]):
        row = rows[i]
        if row >= 0 and is_unsettled[row] != 0 and settled[row] > begin[i] and begin[i] <= end[i]:
            records[k] = i
            k += 1
    return k


@njit(cache=True, nogil=True)
def first_at_least(values, low, high, bound):
    """First position in values[low:high], which do not decrease, that holds `bound` or more; `high` where none does."""
    while low < high:
        middle = (low + high) >> 1
        if values[middle] < bound:
            low = middle + 1
        else:
            high = middle
    return low


@njit(cache=True, nogil=True)
def look_up_records(history, rows, begin, end, found):
    """Fill every column of `found` but its records."""
    exact, inferred, ambiguous = Attribution.EXACT.value, Attribution.INFERRED.value, Attribution.AMBIGUOUS.value
    for k in range(found.records.shape[0]):
        i = found.records[k]
        h = history.of_row[rows[i]]
        low, high = np.int64(history.offsets[h]), np.int64(history.offsets[h + 1])
        # The tenures that meet the stretch: they end at its beginning or later, and begin at its end or earlier.
        a = first_at_least(history.last, low, high, begin[i])
        b = first_at_least(history.first, a, high, end[i] + 1)
        found.candidate[k], found.num_candidates[k] = a, b - a
        if a == b:
            found.rows[k], found.attribution[k] = history.background[h], history.background_attribution[h]
        elif b - a == 1:
            found.rows[k] = history.row[a]
            found.attribution[k] = exact if history.since[a] <= begin[i] and end[i] <= history.until[a] else inferred
        else:
            row = history.pair[a] if b - a == 2 else history.whole[h]
            found.rows[k] = row
            # Pods that read alike in every column, as a StatefulSet's do, leave nothing open but the gap between them.
            found.attribution[k] = inferred if row == history.row[a] else ambiguous


@njit(cache=True, nogil=True)
def put_rows(rows, found):
    """rows[record] = the row of each record whose time matters."""
    for k in range(found.records.shape[0]):
        rows[found.records[k]] = found.rows[k]


@njit(cache=True, nogil=True)
def at_best(found, attribution, overall):
    """Lower the attribution of an end, and of the record, to what the time allows; UNKNOWN (highest) stays."""
    for k in range(found.records.shape[0]):
        i = found.records[k]
        attribution[i] = max(attribution[i], found.attribution[k])
        overall[i] = max(overall[i], found.attribution[k])


__all__ = ["History", "Timed", "at_best", "at_time", "has_history", "put_rows"]
