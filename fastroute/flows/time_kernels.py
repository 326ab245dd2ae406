"""Loops over the times of records, and over those whose ends stay open."""

from __future__ import annotations

import numpy as np
from numba import njit

from fastroute.datapath.state import RowFlag
from fastroute.vocab import Attribution, Doubt, Kind

TRAIL = 60
"""Seconds by which the times of a record may trail its packets. Source: VPC User Guide, flow log records, fields start and end."""
_NEVER = 1 << 62


@njit(cache=True, nogil=True)
def bounds(start):
    """Earliest and latest of start (n,) int64, records without one (-1) aside; (_NEVER, -1) where there is none."""
    earliest, latest = np.int64(_NEVER), np.int64(-1)
    for i in range(start.shape[0]):
        if start[i] >= 0:
            earliest = min(earliest, start[i])
            latest = max(latest, start[i])
    return earliest, latest


@njit(cache=True, nogil=True)
def fill_stretches(start, end, begin, until):
    """start, end (n,) int64, -1 where absent -> the stretch of each record. Returns the earliest begin.

    Clocks that were set back write an end before the start: the stretch is from the earlier to the later.
    """
    earliest = np.int64(_NEVER)
    for i in range(start.shape[0]):
        if start[i] < 0 or end[i] < 0:
            begin[i], until[i] = _NEVER, -1
        else:
            begin[i], until[i] = min(start[i], end[i]) - TRAIL, max(start[i], end[i])
            earliest = min(earliest, begin[i])
    return earliest


@njit(cache=True, nogil=True)
def doubt_of(kind, row_flags, packet_addresses):
    """What leaves an AMBIGUOUS end open."""
    if row_flags & RowFlag.REUSED.value != 0:
        return Doubt.REUSED.value
    if kind == Kind.PEER_VPC.value:
        return Doubt.NEIGHBOURS.value
    if row_flags & RowFlag.SNAT_ADDR.value != 0 and (packet_addresses or row_flags & RowFlag.SHARED_PRIMARY.value == 0):
        return Doubt.HOST_NETWORK.value if kind == Kind.HOST_POD.value else Doubt.SNAT.value
    return Doubt.INTERFACE_ADDRESS.value


@njit(cache=True, nogil=True)
def fill_doubts(attribution, src_row, dst_row, src_attribution, kind, row_flags, packet_addresses, doubts):
    """Fill doubts (n,) int8. Returns the number of AMBIGUOUS records."""
    ambiguous = Attribution.AMBIGUOUS.value
    found = 0
    for i in range(attribution.shape[0]):
        doubts[i] = -1
        if attribution[i] == ambiguous:
            row = src_row[i] if src_attribution[i] == ambiguous else dst_row[i]
            doubts[i] = doubt_of(kind[row], np.int64(row_flags[row]), packet_addresses)
            found += 1
    return found
