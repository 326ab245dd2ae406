"""Disjoint intervals: nested prefixes become sorted starts, each with the value of the longest prefix that covers it.

Every look-up structure of this package is built from them. Many tables at once: they are sorted by table first.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from fastroute.arrays import NONE


@njit(cache=True, nogil=True)
def last_of4(base, length):
    """Last address of an IPv4 prefix, as uint64."""
    return np.uint64(base) + ((np.uint64(1) << np.uint64(32 - length)) - np.uint64(1))


@njit(cache=True, nogil=True)
def emit4(starts, values, count, first, start, value):
    """Append an interval; one that begins where the last began replaces it, one of equal value is merged. Returns the new count."""
    if count > first and starts[count - 1] == start:
        values[count - 1] = value
        if count - 1 > first and values[count - 2] == value:
            return count - 1
        return count
    if count > first and values[count - 1] == value:
        return count
    starts[count] = start
    values[count] = value
    return count + 1


@njit(cache=True, nogil=True)
def sweep4(table, base, length, value, num_tables, offsets, starts, values):
    """Sorted prefixes -> intervals, one table after the other.

    Preconditions: sorted by (table, base, length), no prefix twice in a table; starts and values hold 2 * n + num_tables entries.
    `offsets` (num_tables + 1,) is filled; every table begins at address 0. Returns the number of intervals.
    """
    stack_end = np.empty(33, np.uint64)
    stack_value = np.empty(33, np.int32)
    count, i, n = 0, 0, len(base)
    for t in range(num_tables):
        offsets[t] = first = count
        depth = 0
        count = emit4(starts, values, count, first, np.uint64(0), np.int32(NONE))
        while i < n and table[i] == t:
            begin = np.uint64(base[i])
            while depth > 0 and stack_end[depth - 1] < begin:
                depth -= 1
                outer = stack_value[depth - 1] if depth > 0 else np.int32(NONE)
                count = emit4(starts, values, count, first, stack_end[depth] + np.uint64(1), outer)
            count = emit4(starts, values, count, first, begin, value[i])
            stack_end[depth] = last_of4(base[i], length[i])
            stack_value[depth] = value[i]
            depth += 1
            i += 1
        while depth > 0:
            depth -= 1
            outer = stack_value[depth - 1] if depth > 0 else np.int32(NONE)
            if stack_end[depth] < np.uint64(0xFFFFFFFF):
                count = emit4(starts, values, count, first, stack_end[depth] + np.uint64(1), outer)
    offsets[num_tables] = count
    return count


@njit(cache=True, nogil=True)
def last_of6(hi, lo, length):
    """Last address of an IPv6 prefix, as (hi, lo)."""
    ones = np.uint64(0xFFFFFFFFFFFFFFFF)
    if length == 0:
        return ones, ones
    if length <= 64:
        rest = ones >> np.uint64(length) if length < 64 else np.uint64(0)
        return hi | rest, ones
    rest = ones >> np.uint64(length - 64) if length < 128 else np.uint64(0)
    return hi, lo | rest


@njit(cache=True, nogil=True)
def emit6(starts, values, count, first, hi, lo, value):
    """As `emit4`, for starts (n, 2)."""
    if count > first and starts[count - 1, 0] == hi and starts[count - 1, 1] == lo:
        values[count - 1] = value
        if count - 1 > first and values[count - 2] == value:
            return count - 1
        return count
    if count > first and values[count - 1] == value:
        return count
    starts[count, 0] = hi
    starts[count, 1] = lo
    values[count] = value
    return count + 1


@njit(cache=True, nogil=True)
def emit_after6(starts, values, count, first, hi, lo, value):
    """Append the interval that begins behind (hi, lo); none behind the last address."""
    ones = np.uint64(0xFFFFFFFFFFFFFFFF)
    if lo != ones:
        return emit6(starts, values, count, first, hi, lo + np.uint64(1), value)
    if hi != ones:
        return emit6(starts, values, count, first, hi + np.uint64(1), np.uint64(0), value)
    return count


@njit(cache=True, nogil=True)
def sweep6(table, base, length, value, num_tables, offsets, starts, values):
    """As `sweep4`; base (n, 2) uint64 as (hi, lo)."""
    stack_end = np.empty((129, 2), np.uint64)
    stack_value = np.empty(129, np.int32)
    count, i, n = 0, 0, len(length)
    for t in range(num_tables):
        offsets[t] = first = count
        depth = 0
        count = emit6(starts, values, count, first, np.uint64(0), np.uint64(0), np.int32(NONE))
        while i < n and table[i] == t:
            hi, lo = base[i, 0], base[i, 1]
            while depth > 0 and (stack_end[depth - 1, 0] < hi or (stack_end[depth - 1, 0] == hi and stack_end[depth - 1, 1] < lo)):
                depth -= 1
                outer = stack_value[depth - 1] if depth > 0 else np.int32(NONE)
                count = emit_after6(starts, values, count, first, stack_end[depth, 0], stack_end[depth, 1], outer)
            count = emit6(starts, values, count, first, hi, lo, value[i])
            stack_end[depth, 0], stack_end[depth, 1] = last_of6(hi, lo, length[i])
            stack_value[depth] = value[i]
            depth += 1
            i += 1
        while depth > 0:
            depth -= 1
            outer = stack_value[depth - 1] if depth > 0 else np.int32(NONE)
            count = emit_after6(starts, values, count, first, stack_end[depth, 0], stack_end[depth, 1], outer)
    offsets[num_tables] = count
    return count


def order4(table: NDArray[np.int32], base: NDArray[np.uint32], length: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Order of prefixes by (table, base, length)."""
    return np.lexsort((length, base, table))


def order6(table: NDArray[np.int32], base: NDArray[np.uint64], length: NDArray[np.uint8]) -> NDArray[np.int64]:
    """The same for (n, 2) bases."""
    return np.lexsort((length, base[:, 1], base[:, 0], table))
