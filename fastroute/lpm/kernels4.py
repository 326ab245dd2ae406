"""IPv4 look-up kernels, plain and with gathers, for the four kinds of `Lpm4`."""
# mypy: ignore-errors

import numpy as np
from numba import njit

from fastroute.lpm.busy import busy_lanes
from fastroute.lpm.lanes import (
    NUM_LANES,
    choose,
    gather16,
    gather32,
    gather64,
    load_lanes,
    lowest_bit,
    nonzero_bits,
    popcount,
    store_lanes,
)
from fastroute.lpm.rank import MIXED, interval_of, line_one, popcount_one, rank_lanes, rank_word

RANK_IDS, RANK_VALUES, RECORD_NARROW, RECORD_WIDE = 0, 1, 2, 3
"""Answers are ranks; ranks lead to `values`; records with codes of 16 bits; of 32 bits."""


@njit(cache=True, nogil=True, forceinline=True)
def _rank_ids_one(lpm, addr):
    word, slot = rank_word(lpm.root, lpm.words, addr)
    interval = interval_of(word, slot)
    if word & np.uint64(MIXED) != 0:
        return lpm.values[interval]
    return np.int32(interval)


@njit(cache=True, nogil=True, forceinline=True)
def _rank_values_one(lpm, addr):
    word, slot = rank_word(lpm.root, lpm.words, addr)
    return lpm.values[np.uint64(interval_of(word, slot))]


@njit(cache=True, nogil=True, forceinline=True)
def _code_position(lpm, addr):
    """(first word of the record's codes, which of them is this /24's)."""
    record = np.int64(lpm.root[np.uint64(np.int64(addr) >> 14)])
    slot = (np.int64(addr) >> 8) & 63
    starts = lpm.words[np.uint64(record)] & (np.uint64(0xFFFFFFFFFFFFFFFF) >> np.uint64(63 - slot))
    return record + 1, popcount_one(starts) - 1


@njit(cache=True, nogil=True)
def _value_in_line(lpm, line, addr):
    return np.int32(line_one(lpm.lines, lpm.codes, line, np.int64(addr) & 255) - 1)


@njit(cache=True, nogil=True, forceinline=True)
def _record_narrow_one(lpm, addr):
    first, k = _code_position(lpm, addr)
    code = np.int64(lpm.words[np.uint64(first + (k >> 2))] >> np.uint64(16 * (k & 3))) & 0xFFFF
    if code >= 0x8000:
        return _value_in_line(lpm, code & 0x7FFF, addr)
    return np.int32(code - 1)


@njit(cache=True, nogil=True, forceinline=True)
def _record_wide_one(lpm, addr):
    first, k = _code_position(lpm, addr)
    code = np.int64(lpm.words[np.uint64(first + (k >> 1))] >> np.uint64(32 * (k & 1))) & 0xFFFFFFFF
    if code >= 0x80000000:
        return _value_in_line(lpm, code & 0x7FFFFFFF, addr)
    return np.int32(code - 1)


@njit(cache=True, nogil=True, forceinline=True)
def lookup4_one(lpm, addr):
    """uint32 -> int32 value of the longest match, or -1."""
    if lpm.kind == RANK_IDS:
        return _rank_ids_one(lpm, addr)
    if lpm.kind == RANK_VALUES:
        return _rank_values_one(lpm, addr)
    if lpm.kind == RECORD_NARROW:
        return _record_narrow_one(lpm, addr)
    return _record_wide_one(lpm, addr)


@njit(cache=True, nogil=True)
def plain4(lpm, addrs, out):
    """addrs (n,) uint32 -> out (n,) int32, one after the other, on any CPU."""
    # one loop a kind: a branch on the kind inside the loop made it four times slower
    if lpm.kind == RANK_IDS:
        for i in range(addrs.shape[0]):
            out[i] = _rank_ids_one(lpm, addrs[i])
    elif lpm.kind == RANK_VALUES:
        for i in range(addrs.shape[0]):
            out[i] = _rank_values_one(lpm, addrs[i])
    elif lpm.kind == RECORD_NARROW:
        for i in range(addrs.shape[0]):
            out[i] = _record_narrow_one(lpm, addrs[i])
    else:
        for i in range(addrs.shape[0]):
            out[i] = _record_wide_one(lpm, addrs[i])


@njit(cache=True, nogil=True)
def _rank_ids_64(lpm, addrs, at, out):
    _put_ids(lpm, addrs, at, rank_lanes(lpm.root, lpm.words, load_lanes(addrs, at)), out)


@njit(cache=True, nogil=True, forceinline=True)
def _put_ids(lpm, addrs, at, behind, out):
    """`behind` is interval + 1, with MIXED in bit 31."""
    store_lanes(out, at, behind - 1)
    mixed = nonzero_bits(behind >> 31)
    while mixed != 0:
        i = at + lowest_bit(mixed)
        out[i] = _rank_ids_one(lpm, addrs[i])
        mixed &= mixed - np.uint64(1)


@njit(cache=True, nogil=True)
def _rank_values_64(lpm, addrs, at, out):
    behind = rank_lanes(lpm.root, lpm.words, load_lanes(addrs, at))
    store_lanes(out, at, gather32(lpm.values, behind - 1))


@njit(cache=True, nogil=True)
def _record_64(lpm, addrs, at, out, is_wide):
    addr = load_lanes(addrs, at)
    record = gather32(lpm.root, addr >> 14)
    low, high = gather64(lpm.words, record)
    below = (2 << ((addr >> 8) & 31)) - 1
    is_high = addr & (32 << 8)
    k = popcount(low & choose(is_high, 0xFFFFFFFF, below)) + popcount(high & choose(is_high, below, 0))
    if is_wide:
        code = gather32_of_words(lpm.words, (record << 1) + k + 1)
        divided = nonzero_bits(code >> 31)
    else:
        code = gather16(lpm.words, (record << 2) + k + 3) & 0xFFFF
        divided = nonzero_bits(code >> 15)
    store_lanes(out, at, code - 1)
    while divided != 0:
        i = at + lowest_bit(divided)
        out[i] = _value_in_line(lpm, np.int64(out[i] + 1) & (0x7FFFFFFF if is_wide else 0x7FFF), addrs[i])
        divided &= divided - np.uint64(1)


@njit(cache=True, nogil=True)
def gather32_of_words(words, index):
    """32 bits at 32-bit position `index` of an array of 64-bit words."""
    return gather16(words, index << 1)


@njit(cache=True, nogil=True)
def _busy_ids(lpm, addrs, out, whole):
    for at in range(0, whole, NUM_LANES):
        _put_ids(lpm, addrs, at, busy_lanes(lpm.busy, lpm.words, load_lanes(addrs, at)), out)


@njit(cache=True, nogil=True)
def _busy_values(lpm, addrs, out, whole):
    """A block's values are gathered behind the next block's words, which do not wait for them."""
    if whole == 0:
        return
    interval = busy_lanes(lpm.busy, lpm.words, load_lanes(addrs, 0)) - 1
    for at in range(NUM_LANES, whole, NUM_LANES):
        following = busy_lanes(lpm.busy, lpm.words, load_lanes(addrs, at)) - 1
        store_lanes(out, at - NUM_LANES, gather32(lpm.values, interval))
        interval = following
    store_lanes(out, whole - NUM_LANES, gather32(lpm.values, interval))


@njit(cache=True, nogil=True)
def gather4(lpm, addrs, out):
    """As `plain4`, 64 addresses at a time; needs AVX-512."""
    whole = addrs.shape[0] - addrs.shape[0] % NUM_LANES
    if lpm.busy.shape[0] > 0:
        if lpm.kind == RANK_IDS:
            _busy_ids(lpm, addrs, out, whole)
        else:
            _busy_values(lpm, addrs, out, whole)
    elif lpm.kind == RANK_IDS:
        for at in range(0, whole, NUM_LANES):
            _rank_ids_64(lpm, addrs, at, out)
    elif lpm.kind == RANK_VALUES:
        for at in range(0, whole, NUM_LANES):
            _rank_values_64(lpm, addrs, at, out)
    elif lpm.kind == RECORD_NARROW:
        for at in range(0, whole, NUM_LANES):
            _record_64(lpm, addrs, at, out, False)
    else:
        for at in range(0, whole, NUM_LANES):
            _record_64(lpm, addrs, at, out, True)
    for i in range(whole, addrs.shape[0]):
        out[i] = lookup4_one(lpm, addrs[i])
