"""Loops of `history`: which records ask for their time, and who had their address then."""

from __future__ import annotations

import numpy as np
from numba import njit

from fastroute.vocab import Attribution


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
