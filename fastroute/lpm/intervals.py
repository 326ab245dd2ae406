"""Disjoint intervals: nested prefixes become sorted starts, each with the value of the longest prefix that covers it.

Every look-up structure of this package is built from them. Many tables at once: they are sorted by table first.
"""

# mypy: ignore-errors

import numpy as np
from numba import njit

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
def sweep4(ends, base, length, value, offsets, starts, values):
    """Prefixes -> intervals, one table after the other.

    Rows stand in the order of (table, base, length); table t ends before row `ends[t]`. starts and values hold 2 * n + num_tables
    entries. Fills `offsets` (num_tables + 1,); every table begins at address 0. Returns the number of intervals, or -1 - row
    where a table holds the prefix of row - 1 once more.
    """
    stack_end = np.empty(33, np.uint64)
    stack_value = np.empty(33, np.int32)
    stack_len = np.empty(33, np.uint8)
    count, i = 0, 0
    for t in range(ends.shape[0]):
        offsets[t] = first = count
        depth = 0
        count = emit4(starts, values, count, first, np.uint64(0), np.int32(NONE))
        while i < ends[t]:
            begin = np.uint64(base[i])
            while depth > 0 and stack_end[depth - 1] < begin:
                depth -= 1
                outer = stack_value[depth - 1] if depth > 0 else np.int32(NONE)
                count = emit4(starts, values, count, first, stack_end[depth] + np.uint64(1), outer)
            last = last_of4(base[i], length[i])
            if depth > 0 and stack_len[depth - 1] == length[i]:
                return -1 - i
            count = emit4(starts, values, count, first, begin, value[i])
            stack_end[depth] = last
            stack_len[depth] = length[i]
            stack_value[depth] = value[i]
            depth += 1
            i += 1
        while depth > 0:
            depth -= 1
            outer = stack_value[depth - 1] if depth > 0 else np.int32(NONE)
            if stack_end[depth] < np.uint64(0xFFFFFFFF):
                count = emit4(starts, values, count, first, stack_end[depth] + np.uint64(1), outer)
    offsets[ends.shape[0]] = count
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
def sweep6(ends, base, length, value, offsets, starts, values):
    """As `sweep4`; base (n, 2) uint64 as (hi, lo), starts likewise."""
    stack_end = np.empty((129, 2), np.uint64)
    stack_value = np.empty(129, np.int32)
    stack_len = np.empty(129, np.uint8)
    count, i = 0, 0
    for t in range(ends.shape[0]):
        offsets[t] = first = count
        depth = 0
        count = emit6(starts, values, count, first, np.uint64(0), np.uint64(0), np.int32(NONE))
        while i < ends[t]:
            hi, lo = base[i, 0], base[i, 1]
            while depth > 0 and (stack_end[depth - 1, 0] < hi or (stack_end[depth - 1, 0] == hi and stack_end[depth - 1, 1] < lo)):
                depth -= 1
                outer = stack_value[depth - 1] if depth > 0 else np.int32(NONE)
                count = emit_after6(starts, values, count, first, stack_end[depth, 0], stack_end[depth, 1], outer)
            last_hi, last_lo = last_of6(hi, lo, length[i])
            if depth > 0 and stack_len[depth - 1] == length[i]:
                return -1 - i
            count = emit6(starts, values, count, first, hi, lo, value[i])
            stack_end[depth, 0], stack_end[depth, 1] = last_hi, last_lo
            stack_len[depth] = length[i]
            stack_value[depth] = value[i]
            depth += 1
            i += 1
        while depth > 0:
            depth -= 1
            outer = stack_value[depth - 1] if depth > 0 else np.int32(NONE)
            count = emit_after6(starts, values, count, first, stack_end[depth, 0], stack_end[depth, 1], outer)
    offsets[ends.shape[0]] = count
    return count
