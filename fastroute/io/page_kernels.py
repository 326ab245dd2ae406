"""Values of a Parquet page: definition levels, dictionary indices in runs and packed bits, plain texts.

The hybrid of runs and packed bits: a header h as a varint, then h >> 1 groups of 8 values of `width` bits each, lowest bits first, where h
is odd; where it is even one value of (width + 7) // 8 bytes that stands h >> 1 times. Source: apache/parquet-format, Encodings.md (RLE).
"""

from __future__ import annotations

import numpy as np
from numba import njit

BLOCK = 4096
"""Values that are gathered before they are packed: 16 KiB, which stay in the first cache."""
MIN_RUN = 16
"""Equal values from a border of 8 on that are worth a run of their own."""


@njit(cache=True, nogil=True)
def put_varint(value, out, at):
    while value >= 128:
        out[at] = np.uint8((value & 127) | 128)
        value >>= 7
        at += 1
    out[at] = np.uint8(value)
    return at + 1


@njit(cache=True, nogil=True)
def put_packed(values, first, num_groups, width, out, at):
    """num_groups * 8 values from `first` on, `width` bits each, behind their header. Returns the next position."""
    at = put_varint((num_groups << 1) | 1, out, at)
    bits = np.uint64(0)
    used = 0
    to = np.uint64(at)  # unsigned positions are not looked at for being counted from the end
    for i in range(np.uint64(first), np.uint64(first + 8 * num_groups)):
        bits |= np.uint64(values[i]) << np.uint64(used)
        used += width
        if used >= 32:
            out[to] = np.uint8(bits & np.uint64(0xFF))
            out[to + np.uint64(1)] = np.uint8((bits >> np.uint64(8)) & np.uint64(0xFF))
            out[to + np.uint64(2)] = np.uint8((bits >> np.uint64(16)) & np.uint64(0xFF))
            out[to + np.uint64(3)] = np.uint8((bits >> np.uint64(24)) & np.uint64(0xFF))
            to += np.uint64(4)
            bits >>= np.uint64(32)
            used -= 32
    while used > 0:  # 8 values end on a whole byte
        out[to] = np.uint8(bits & np.uint64(0xFF))
        bits >>= np.uint64(8)
        used -= 8
        to += np.uint64(1)
    return np.int64(to)


@njit(cache=True, nogil=True)
def put_run(value, count, width, out, at):
    """One value `count` times. Returns the next position."""
    at = put_varint(count << 1, out, at)
    for _ in range((width + 7) // 8):
        out[at] = np.uint8(value & 0xFF)
        value >>= 8
        at += 1
    return at


@njit(cache=True, nogil=True)
def run_length(values, first, end):
    """How many values from `first` on are equal."""
    i = first + 1
    while i < end and values[i] == values[first]:
        i += 1
    return i - first


@njit(cache=True, nogil=True)
def put_hybrid(values, n, width, out, at):
    """Values 0 .. n as runs and packed groups. The last group may be short: `values` holds up to 7 more, which readers pass over."""
    first = i = 0
    while i + MIN_RUN <= n:
        # Most groups differ in their first values, and are left after one comparison.
        length = run_length(values, i, n) if values[i] == values[i + 1] else 1
        if length < MIN_RUN:
            i += 8
            continue
        if length != n - i:
            length &= ~7
        if i > first:
            at = put_packed(values, first, (i - first) >> 3, width, out, at)
        at = put_run(values[i], length, width, out, at)
        i += length
        first = i
    if n > first:
        at = put_packed(values, first, (n - first + 7) >> 3, width, out, at)
    return at


@njit(cache=True, nogil=True)
def gather_group(codes, first, count, shift, table, block, held):
    """Indices of up to 8 codes: those that are not -1 go to the block. Returns which are, lowest bit first, and how many it then holds."""
    bits = np.uint8(0)
    for j in range(count):
        index = table[np.uint64(np.int64(codes[np.uint64(first + j)]) + shift)]
        block[np.uint64(held)] = index
        bits |= np.uint8(np.uint8(index >= 0) << np.uint8(j))
        held += np.int64(index >= 0)
    return bits, held


@njit(cache=True, nogil=True)
def pack_indices(codes, shift, table, width, out, at, levels):
    """Dictionary indices of one page.

    codes (n,) of any signed width; table maps codes[i] + shift to an index of `width` bits, -1 for null. Indices that are not null go to
    `out` from `at` on; levels ((n + 7) // 8,) uint8 gets a bit for each value, lowest first, 0 where null. `out` needs `packed_bound`
    bytes. Returns the next position and the number of nulls. 1 ns a value; Arrow's writer takes 7 to 15.
    """
    n = codes.shape[0]
    block = np.zeros(BLOCK + 16, np.int32)
    held = packed = np.int64(0)
    for first in range(0, n - 7, 8):
        levels[first >> 3], held = gather_group(codes, first, 8, shift, table, block, held)
        if held >= BLOCK:
            # Groups of 8 only: a short one may stand nowhere but at the end of a page.
            whole = held & ~7
            at = put_hybrid(block, whole, width, out, at)
            packed += whole
            for k in range(held - whole):
                block[k] = block[whole + k]
            held -= whole
    if n & 7:
        levels[n >> 3], held = gather_group(codes, n & ~7, n & 7, shift, table, block, held)
    block[held : held + 8] = 0
    return put_hybrid(block, held, width, out, at), n - packed - held


@njit(cache=True, nogil=True)
def pack_numbers(values, out, levels):
    """Integers of one page, -1 for null: the others go to `out`; levels as in `pack_indices`.

    Returns how many, the least and the greatest of them.
    """
    n = values.shape[0]
    kept = 0
    least = np.iinfo(np.int64).max
    greatest = np.iinfo(np.int64).min
    for first in range(0, n, 8):
        bits = np.uint8(0)
        for j in range(min(8, n - first)):
            value = values[first + j]
            if value != -1:
                out[kept] = value
                kept += 1
                least = min(least, np.int64(value))
                greatest = max(greatest, np.int64(value))
                bits |= np.uint8(np.uint8(1) << np.uint8(j))
        levels[first >> 3] = bits
    return kept, least, greatest


@njit(cache=True, nogil=True)
def mark_codes(codes, shift, marks):
    """marks[codes[i] + shift] = 1."""
    for i in range(codes.shape[0]):
        marks[codes[i] + shift] = 1


@njit(cache=True, nogil=True)
def put_texts(data, offsets, chosen, out):
    """The chosen texts in plain encoding: a length of four bytes, then the bytes. Returns how many bytes `out` then holds."""
    at = 0
    for i in range(chosen.shape[0]):
        begin, end = np.int64(offsets[chosen[i]]), np.int64(offsets[chosen[i] + 1])
        length = end - begin
        for k in range(4):
            out[at + k] = np.uint8((length >> (8 * k)) & 0xFF)
        at += 4
        for j in range(length):
            out[at + j] = data[begin + j]
        at += length
    return at
