"""Pages of a column as they lie in a file: their headers, dictionaries, levels, indices and numbers.

Nothing is trusted: each function returns a negative number where the bytes are not what they should be, or are of a kind that is not read
here, and reads and writes within its arrays only. Source: apache/parquet-format, parquet.thrift and Encodings.md; Thrift's compact form.
"""

from __future__ import annotations

import numpy as np
from numba import njit

BAD = -1

HEADER_FIELDS = 6
TYPE, PLAIN_SIZE, SIZE, NUM_VALUES, ENCODING, BEGIN = range(HEADER_FIELDS)
_MAX_DEPTH = 8
_MAX_RUN = 1 << 33
"""A page has at most 2**31 values."""


@njit(cache=True, nogil=True)
def get_varint(data, at, end):
    """(value, next position); the position is BAD where it does not end."""
    value = np.uint64(0)
    shift = np.uint64(0)
    while at < end and shift < 64:
        byte = np.uint64(data[at])
        at += 1
        value |= (byte & np.uint64(127)) << shift
        if byte < 128:
            return np.int64(value), at
        shift += np.uint64(7)
    return np.int64(0), BAD


@njit(cache=True, nogil=True)
def read_header(data, at, end, header):
    """The header of a page at a position: fields of PageHeader and of the structure in it, by their numbers. Returns where its bytes begin.

    header (HEADER_FIELDS,) int64. Data pages of version 2 keep their type, and are not read further here.
    """
    header[:] = -1
    last = np.zeros(_MAX_DEPTH, np.int64)
    depth = 0
    while at < end:
        byte = np.int64(data[at])
        at += 1
        if byte == 0:
            if depth == 0:
                header[BEGIN] = at
                return at
            depth -= 1
            continue
        kind, delta = byte & 15, byte >> 4
        if delta == 0:
            number, at = get_varint(data, at, end)
            if at < 0:
                return BAD
            last[depth] = (number >> 1) ^ -(number & 1)
        else:
            last[depth] += delta
        if kind <= 2:  # a boolean is in its type
            continue
        if kind == 3:
            at += 1
        elif kind <= 6:
            number, at = get_varint(data, at, end)
            if at < 0:
                return BAD
            number = (number >> 1) ^ -(number & 1)
            if depth == 0 and 1 <= last[0] <= 3:
                header[TYPE + last[0] - 1] = number
            elif depth == 1 and last[0] in (5, 7) and 1 <= last[1] <= 2:
                header[NUM_VALUES + last[1] - 1] = number
        elif kind == 7:
            at += 8
        elif kind == 8:
            number, at = get_varint(data, at, end)
            if at < 0 or number < 0 or number > end - at:
                return BAD
            at += number
        elif kind == 12 and depth + 1 < _MAX_DEPTH:
            depth += 1
            last[depth] = 0
        else:
            return BAD
    return BAD


@njit(cache=True, nogil=True)
def read_headers(data, begin, end, headers):
    """Headers of the pages that lie side by side from begin to end. Returns how many, or BAD; headers (k, HEADER_FIELDS) int64."""
    count = 0
    while begin < end:
        if count == headers.shape[0]:
            return BAD
        header = headers[count]
        at = read_header(data, begin, end, header)
        if at < 0 or header[SIZE] < 0 or header[PLAIN_SIZE] < 0 or header[SIZE] > end - at:
            return BAD
        begin = at + header[SIZE]
        count += 1
    return count


@njit(cache=True, nogil=True)
def get_hybrid(data, at, end, width, count, out):
    """`count` values of `width` bits, in runs and packed groups, from a position: out[:count]. Returns the greatest of them, or BAD."""
    if width > 31:
        return BAD
    greatest = 0
    mask = np.uint64((1 << width) - 1)
    i = 0
    while i < count:
        header, at = get_varint(data, at, end)
        if at < 0 or header <= 1 or header > _MAX_RUN:
            return BAD
        if header & 1:
            last = min(count, i + (header >> 1) * 8)
            # The last group may be cut short at the end of a page.
            num_bytes = min((header >> 1) * width, end - at)
            if num_bytes * 8 < (last - i) * width:
                return BAD
            stop = at + num_bytes
            bits = np.uint64(0)
            held = 0
            # Unsigned positions are not looked at for being counted from the end: four loads become one.
            here, stop_here = np.uint64(at), np.uint64(stop)
            for k in range(np.uint64(i), np.uint64(last)):
                if held < width:
                    if here + np.uint64(4) <= stop_here:
                        four = np.uint64(data[here]) | np.uint64(data[here + np.uint64(1)]) << np.uint64(8)
                        four |= np.uint64(data[here + np.uint64(2)]) << np.uint64(16)
                        four |= np.uint64(data[here + np.uint64(3)]) << np.uint64(24)
                        bits |= four << np.uint64(held)
                        here += np.uint64(4)
                        held += 32
                    else:
                        while held < width:
                            bits |= np.uint64(data[here]) << np.uint64(held)
                            here += np.uint64(1)
                            held += 8
                value = np.int64(bits & mask)
                greatest = max(greatest, value)
                out[k] = value
                bits >>= np.uint64(width)
                held -= width
            i = max(i, last)
            at = stop
        else:
            num_bytes = (width + 7) >> 3
            if num_bytes > end - at:
                return BAD
            value = 0
            for k in range(num_bytes):
                value |= np.int64(data[at + k]) << (8 * k)
            if value > np.int64(mask):
                return BAD
            at += num_bytes
            greatest = max(greatest, value)
            last = min(count, i + (header >> 1))
            while i < last:
                out[i] = value
                i += 1
    return greatest


@njit(cache=True, nogil=True)
def get_levels(data, at, count, levels):
    """Definition levels of a page, 0 or 1: levels (count,) uint8. Returns where the values begin, or BAD; whether all are 1."""
    if data.shape[0] - at < 4:
        return BAD, False
    length = np.int64(data[at]) | np.int64(data[at + 1]) << 8 | np.int64(data[at + 2]) << 16 | np.int64(data[at + 3]) << 24
    at += 4
    end = at + length
    if end > data.shape[0]:
        return BAD, False
    header, then = get_varint(data, at, end)
    if then > 0 and then < end and header == count << 1 and data[then] == 1:
        return end, True
    if get_hybrid(data, at, end, 1, count, levels) < 0:
        return BAD, False
    return end, False


@njit(cache=True, nogil=True)
def spread(levels, values, out):
    """out[i] = the next of the values where levels[i] is 1, else -1. Without a branch: nulls come in no order."""
    at = 0
    last = values.shape[0] - 1
    if last < 0:
        out[:] = -1
        return
    for i in range(levels.shape[0]):
        level = np.int64(levels[i])
        out[i] = values[np.uint64(min(at, last))] * level + (level - 1)
        at += level


@njit(cache=True, nogil=True)
def decode_indices(data, is_optional, first_code, num_codes, out, levels, scratch):
    """A data page of dictionary indices: out (n,) int32 gets them plus first_code, -1 where null. Returns the number of nulls, or BAD."""
    n = out.shape[0]
    at, is_full = 0, True
    if is_optional:
        at, is_full = get_levels(data, 0, n, levels)
        if at < 0:
            return BAD
    count = n if is_full else np.int64(np.count_nonzero(levels))
    if count == 0:
        out[:] = -1
        return n
    if at >= data.shape[0]:
        return BAD
    width = np.int64(data[at])
    found = out if is_full else scratch
    greatest = get_hybrid(data, at + 1, data.shape[0], width, count, found)
    if greatest < 0 or greatest >= num_codes:
        return BAD
    if first_code != 0:
        for i in range(count):
            found[i] += first_code
    if not is_full:
        spread(levels, scratch[:count], out)
    return n - count


@njit(cache=True, nogil=True)
def count_present(data, is_optional, n, levels):
    """Where the values of a page of numbers begin, or BAD; how many there are."""
    if not is_optional:
        return 0, n
    at, is_full = get_levels(data, 0, n, levels)
    if at < 0 or is_full:
        return at, n
    return at, np.int64(np.count_nonzero(levels))


@njit(cache=True, nogil=True)
def split_texts(data, count, offsets, out):
    """A page of plain texts: offsets (count + 1,) int32 from offsets[0] on, their bytes in `out` from there. Returns BAD or 0."""
    at = 0
    end = np.int64(offsets[0])
    for i in range(count):
        if data.shape[0] - at < 4:
            return BAD
        length = np.int64(data[at]) | np.int64(data[at + 1]) << 8 | np.int64(data[at + 2]) << 16 | np.int64(data[at + 3]) << 24
        at += 4
        if length > data.shape[0] - at or length > out.shape[0] - end:
            return BAD
        for k in range(length):
            out[end + k] = data[at + k]
        at += length
        end += length
        offsets[i + 1] = end
    return 0
