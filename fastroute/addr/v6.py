"""IPv6 text: every form of RFC 4291 section 2.2 to two uint64, and back in the one form of RFC 5952. Zone ids are refused."""
# mypy: ignore-errors

import numpy as np
from numba import njit

from fastroute.addr.v4 import MALFORMED, parse4_one, put_quad

_COLON, _DOT = 58, 46
_MAPPED = np.uint64(0xFFFF)
"""::ffff:0:0/96, whose low 32 bits RFC 5952 section 5 writes as a dotted quad."""


@njit(cache=True, nogil=True)
def shift_left_128(hi, lo, num_bits):
    """(hi, lo) shifted by 0 <= num_bits <= 128; machine shifts by 64 or more are undefined, hence the cases."""
    if num_bits >= 128:
        return np.uint64(0), np.uint64(0)
    if num_bits >= 64:
        return np.uint64(lo << np.uint64(num_bits - 64)), np.uint64(0)
    if num_bits == 0:
        return hi, lo
    carried = np.uint64(lo >> np.uint64(64 - num_bits))
    return np.uint64((hi << np.uint64(num_bits)) | carried), np.uint64(lo << np.uint64(num_bits))


@njit(cache=True, nogil=True)
def hex_digit(byte):
    """0 to 15, or -1."""
    if 48 <= byte <= 57:
        return byte - 48
    lower = byte | 32
    if 97 <= lower <= 102:
        return lower - 87
    return -1


@njit(cache=True, nogil=True)
def parse6_one(data, begin, end):
    """Bytes `begin` to `end` of `data` -> (is_address, hi, lo)."""
    refused = (False, np.uint64(0), np.uint64(0))
    if end - begin < 2 or end - begin > 45:
        return refused
    hi, lo = np.uint64(0), np.uint64(0)  # groups shifted in since the start, or since "::"
    head_hi, head_lo = np.uint64(0), np.uint64(0)  # groups before "::"
    num_groups, num_head, gap = 0, 0, False
    i = begin
    if data[i] == _COLON and data[i + 1] != _COLON:
        return refused
    while i < end:
        if data[i] == _COLON and i + 1 < end and data[i + 1] == _COLON:
            if gap:
                return refused
            gap = True
            head_hi, head_lo, num_head = hi, lo, num_groups
            hi, lo, num_groups = np.uint64(0), np.uint64(0), 0
            i += 2
            continue
        if num_groups > 0:  # a group before this one and no "::" between: one colon
            if data[i] != _COLON:
                return refused
            i += 1
        group, num_digits, first = np.int64(0), 0, i
        while i < end and num_digits < 5:
            digit = hex_digit(np.int64(data[i]))
            if digit < 0:
                break
            group = group * 16 + digit
            num_digits += 1
            i += 1
        if i < end and data[i] == _DOT:
            quad = parse4_one(data, first, end)
            if quad < 0:
                return refused
            hi, lo = shift_left_128(hi, lo, 32)
            lo |= np.uint64(quad)
            num_groups += 2
            i = end
        else:
            if num_digits == 0 or num_digits > 4:
                return refused
            hi, lo = shift_left_128(hi, lo, 16)
            lo |= np.uint64(group)
            num_groups += 1
        if num_groups + num_head > 8:
            return refused
    if gap:
        if num_head + num_groups > 7:
            return refused
        head_hi, head_lo = shift_left_128(head_hi, head_lo, 16 * (8 - num_head))
        return True, np.uint64(hi | head_hi), np.uint64(lo | head_lo)
    return num_groups == 8, hi, lo


@njit(cache=True, nogil=True)
def parse6_into(data, offsets, family, hi, lo):
    """Try every row whose family is 255: 6 and its halves where it is IPv6. Returns the number of rows still refused."""
    num_malformed = 0
    for i in range(family.shape[0]):
        if family[i] != MALFORMED:
            continue
        ok, row_hi, row_lo = parse6_one(data, np.int64(offsets[i]), np.int64(offsets[i + 1]))
        if ok:
            family[i], hi[i], lo[i] = np.uint8(6), row_hi, row_lo
        else:
            num_malformed += 1
    return num_malformed


@njit(cache=True, nogil=True)
def group_of(hi, lo, index):
    """16-bit group 0 (leftmost) to 7."""
    half = hi if index < 4 else lo
    return np.int64((half >> np.uint64(48 - 16 * (index & 3))) & np.uint64(0xFFFF))


@njit(cache=True, nogil=True)
def longest_zero_run(hi, lo):
    """(first group, number of groups) of the run that "::" replaces: the first of the longest, at least two; else (8, 0)."""
    best, best_len, first, length = 8, 1, 0, 0
    for i in range(8):
        if group_of(hi, lo, i) != 0:
            length = 0
            continue
        if length == 0:
            first = i
        length += 1
        if length > best_len:
            best, best_len = first, length
    return (best, best_len) if best_len > 1 else (8, 0)


@njit(cache=True, nogil=True)
def put_group(out, at, group):
    """Write 16 bits in lower-case hex without leading zeros; returns the position behind them."""
    started = False
    for shift in (12, 8, 4, 0):
        digit = (group >> shift) & 15
        if digit != 0 or started or shift == 0:
            out[at] = digit + (48 if digit < 10 else 87)
            at += 1
            started = True
    return at


@njit(cache=True, nogil=True)
def put6(out, at, hi, lo):
    """Write one address, at most 39 bytes; returns the position behind it."""
    mapped = hi == np.uint64(0) and (lo >> np.uint64(32)) == _MAPPED
    run, run_len = longest_zero_run(hi, lo)
    num_groups = 6 if mapped else 8
    i = 0
    while i < num_groups:
        if i == run:
            out[at], out[at + 1] = _COLON, _COLON
            at += 2
            i += run_len
            continue
        if i > 0 and i != run + run_len:
            out[at] = _COLON
            at += 1
        at = put_group(out, at, group_of(hi, lo, i))
        i += 1
    if mapped:
        out[at] = _COLON
        at = put_quad(out, at + 1, np.int64(lo & np.uint64(0xFFFFFFFF)))
    return at


@njit(cache=True, nogil=True)
def format6_into(hi, lo, out, offsets):
    """Write n addresses one behind the other. `out` holds 39 n bytes, `offsets` n + 1 numbers; returns the bytes written."""
    at = 0
    for i in range(hi.shape[0]):
        offsets[i] = at
        at = put6(out, at, hi[i], lo[i])
    offsets[hi.shape[0]] = at
    return at
