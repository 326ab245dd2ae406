"""The layout of IPv6: a rank table on bits 0 to 31, a line (see `rank`) for bits 32 to 39, another for 40 to 47, bisection below.

All levels lead into one array of codes::

    0              no match
    value + 1      the answer
    2**31 | k      line k on the next octet; behind the second line: k-th deep list, sorted starts inside one /48
"""
# mypy: ignore-errors

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from fastroute.lpm.rank import append_line

FOLLOW = 0x80000000


class Parts(NamedTuple):
    """What `build_parts` fills; n is the number of intervals."""

    keys: NDArray[np.uint32]  # (2 n,) starts of the rank table
    key_codes: NDArray[np.uint32]  # (2 n,)
    lines: NDArray[np.uint64]  # (8 * 2 n,)
    codes: NDArray[np.uint32]  # (6 n,) codes of the lines
    deep_ends: NDArray[np.int64]  # (n + 1,) where each deep list ends; [0] = 0
    deep_starts: NDArray[np.uint64]  # (2 n, 2)
    deep_values: NDArray[np.int32]  # (2 n,)
    counts: NDArray[np.int64]  # [lines, codes, deep lists, deep starts]


@njit(cache=True, nogil=True)
def append_deep(starts, values, begin, end, parts):
    """A deep list of starts[begin:end] and the interval before them, whose start may lie far before; returns its code."""
    number, at = parts.counts[2], parts.counts[3]
    for i in range(begin - 1, end):
        parts.deep_starts[at, 0], parts.deep_starts[at, 1] = starts[i, 0], starts[i, 1]
        parts.deep_values[at] = values[i]
        at += 1
    parts.counts[2], parts.counts[3] = number + 1, at
    parts.deep_ends[number + 1] = at
    return np.uint32(FOLLOW | number)


@njit(cache=True, nogil=True)
def append_level(slot_codes, parts):
    """Encode 256 slots as a line; returns its code."""
    line = parts.counts[0]
    parts.counts[1] = append_line(slot_codes, parts.lines, line, parts.codes, parts.counts[1])
    parts.counts[0] = line + 1
    return np.uint32(FOLLOW | line)


@njit(cache=True, nogil=True, forceinline=True)
def code48(starts, values, begin, end, parts):
    """Code of a /48 in which starts[begin:end] lie, none of them at its first address."""
    return append_deep(starts, values, begin, end, parts) if end > begin else np.uint32(values[begin - 1] + 1)


@njit(cache=True, nogil=True, forceinline=True)
def inside_and_behind(starts, i, end, shift, slot):
    """starts[i] lies in the slot of 2**shift: (first start that is not the slot's first address, first start behind the slot)."""
    j = i
    while j < end and np.int64(starts[j, 0] >> np.uint64(shift)) & 255 == slot:
        j += 1
    low = starts[i, 0] & ((np.uint64(1) << np.uint64(shift)) - np.uint64(1))
    return i + 1 if low == 0 and starts[i, 1] == 0 else i, j


@njit(cache=True, nogil=True)
def code40(starts, values, begin, end, parts):
    """Code of a /40 in which starts[begin:end] lie, none of them at its first address."""
    if end == begin:
        return np.uint32(values[begin - 1] + 1)
    slot_codes = np.empty(256, np.uint32)
    i, slot = begin, 0
    while slot < 256:  # from start to start: most slots have none, and calls with many arrays are not free
        following = np.int64(starts[i, 0] >> np.uint64(16)) & 255 if i < end else 256
        while slot < following:
            slot_codes[slot] = np.uint32(values[i - 1] + 1)
            slot += 1
        if i < end:
            inside, j = inside_and_behind(starts, i, end, 16, slot)
            slot_codes[slot] = code48(starts, values, inside, j, parts)
            i = j
            slot += 1
    return append_level(slot_codes, parts)


@njit(cache=True, nogil=True)
def code32(starts, values, begin, end, parts):
    """Code of a /32 in which starts[begin:end] lie, none of them at its first address."""
    if end == begin:
        return np.uint32(values[begin - 1] + 1)
    slot_codes = np.empty(256, np.uint32)
    i, slot = begin, 0
    while slot < 256:  # from start to start: most slots have none, and calls with many arrays are not free
        following = np.int64(starts[i, 0] >> np.uint64(24)) & 255 if i < end else 256
        while slot < following:
            slot_codes[slot] = np.uint32(values[i - 1] + 1)
            slot += 1
        if i < end:
            inside, j = inside_and_behind(starts, i, end, 24, slot)
            slot_codes[slot] = code40(starts, values, inside, j, parts)
            i = j
            slot += 1
    return append_level(slot_codes, parts)


@njit(cache=True, nogil=True)
def build_parts(starts, values, parts):
    """Encode all intervals; returns the number of keys of the rank table."""
    num_keys, i, n = 0, 0, starts.shape[0]
    while i < n:
        key = np.int64(starts[i, 0] >> np.uint64(32))
        at_border = starts[i, 0] & np.uint64(0xFFFFFFFF) == 0 and starts[i, 1] == 0
        begin = i + 1 if at_border else i
        j = begin
        while j < n and np.int64(starts[j, 0] >> np.uint64(32)) == key:
            j += 1
        parts.keys[num_keys] = key
        parts.key_codes[num_keys] = code32(starts, values, begin, j, parts)
        num_keys += 1
        if j > begin and key < 0xFFFFFFFF and (j == n or np.int64(starts[j, 0] >> np.uint64(32)) != key + 1):
            # the last interval goes on behind this divided /32
            parts.keys[num_keys] = key + 1
            parts.key_codes[num_keys] = np.uint32(values[j - 1] + 1)
            num_keys += 1
        i = j
    return num_keys
