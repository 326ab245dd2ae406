"""IPv4 look-up kernels, plain and with gathers, for the four kinds of `Lpm4`."""
# mypy: ignore-errors

import numpy as np
from numba import njit

from fastroute.lpm.busy import busy_bits, busy_rank, load_busy
from fastroute.lpm.lanes import (
    NUM_LANES,
    STRETCH,
    choose,
    computed,
    gather16,
    gather32,
    gather64,
    load_lanes,
    lowest_bit,
    nonzero_bits,
    note_rows,
    popcount,
    prefetch64,
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


@njit(cache=True, nogil=True, forceinline=True)
def _whole_blocks(addrs):
    """Addresses in blocks of 64; the rest is looked up one by one."""
    return addrs.shape[0] - addrs.shape[0] % NUM_LANES


@njit(cache=True, nogil=True)
def _rest(lpm, addrs, out, whole):
    for i in range(whole, addrs.shape[0]):
        out[i] = lookup4_one(lpm, addrs[i])


@njit(cache=True, nogil=True, forceinline=True)
def _put_ids(lpm, addrs, at, behind, out):
    """`behind` is interval + 1, with MIXED in bit 31."""
    store_lanes(out, at, behind - 1)
    mixed = nonzero_bits(behind >> 31)
    while mixed != 0:
        i = at + lowest_bit(mixed)
        out[i] = _rank_ids_one(lpm, addrs[i])
        mixed &= mixed - np.uint64(1)


@njit(cache=True, nogil=True, forceinline=True)
def _codes_lanes(lpm, addr, record, is_wide):
    """64 codes out of their records."""
    low, high = gather64(lpm.words, record)
    below = (2 << ((addr >> 8) & 31)) - 1
    is_high = addr & (32 << 8)
    k = popcount(low & choose(is_high, 0xFFFFFFFF, below)) + popcount(high & choose(is_high, below, 0))
    if is_wide:  # the 32 bits at a 32-bit position of the words
        return gather16(lpm.words, (record << 2) + (k << 1) + 2)
    return gather16(lpm.words, (record << 2) + k + 3) & 0xFFFF


@njit(cache=True, nogil=True, forceinline=True)
def _put_codes(lpm, addr, record, out, at, is_wide):
    """Answers of 64 records -> bits of the rows whose /24 is divided."""
    code = _codes_lanes(lpm, addr, record, is_wide)
    store_lanes(out, at, code - 1)
    return nonzero_bits(code >> (31 if is_wide else 15))


@njit(cache=True, nogil=True, forceinline=True)
def _records(lpm, addrs, out, is_wide):
    """While a block's records are on their way, those of the block before are read; rows of divided /24s wait for the stretch's end."""
    waiting = np.empty(STRETCH, np.int64)
    whole = _whole_blocks(addrs)
    for begin in range(0, whole, STRETCH):
        end, num_waiting = min(begin + STRETCH, whole), 0
        addr = load_lanes(addrs, begin)
        record = gather32(lpm.root, addr >> 14)
        for at in range(begin + NUM_LANES, end, NUM_LANES):
            next_addr = load_lanes(addrs, at)
            next_record = computed(gather32(lpm.root, next_addr >> 14))
            prefetch64(lpm.words, next_record)
            divided = _put_codes(lpm, addr, record, out, at - NUM_LANES, is_wide)
            num_waiting = note_rows(waiting, num_waiting, at - NUM_LANES, divided)
            addr, record = next_addr, next_record
        divided = _put_codes(lpm, addr, record, out, end - NUM_LANES, is_wide)
        num_waiting = note_rows(waiting, num_waiting, end - NUM_LANES, divided)
        for k in range(num_waiting):
            i = np.uint64(waiting[k])
            out[i] = lookup4_one(lpm, addrs[i])
    _rest(lpm, addrs, out, whole)


@njit(cache=True, nogil=True)
def _narrow_records(lpm, addrs, out):
    _records(lpm, addrs, out, False)


@njit(cache=True, nogil=True)
def _wide_records(lpm, addrs, out):
    _records(lpm, addrs, out, True)


@njit(cache=True, nogil=True)
def _rank_ids(lpm, addrs, out):
    whole = _whole_blocks(addrs)
    for at in range(0, whole, NUM_LANES):
        _put_ids(lpm, addrs, at, rank_lanes(lpm.root, lpm.words, load_lanes(addrs, at)), out)
    _rest(lpm, addrs, out, whole)


@njit(cache=True, nogil=True)
def _rank_values(lpm, addrs, out):
    whole = _whole_blocks(addrs)
    for at in range(0, whole, NUM_LANES):
        behind = rank_lanes(lpm.root, lpm.words, load_lanes(addrs, at))
        store_lanes(out, at, gather32(lpm.values, behind - 1))
    _rest(lpm, addrs, out, whole)


@njit(cache=True, nogil=True)
def _busy_ids(lpm, addrs, out):
    """A block's words are fetched behind the next block's bits."""
    whole = _whole_blocks(addrs)
    if whole > 0:
        loaded = load_busy(lpm.busy)
        bits = busy_bits(loaded, load_lanes(addrs, 0))
        for at in range(NUM_LANES, whole, NUM_LANES):
            next_bits = busy_bits(loaded, load_lanes(addrs, at))
            _put_ids(lpm, addrs, at - NUM_LANES, busy_rank(lpm.words, bits), out)
            bits = next_bits
        _put_ids(lpm, addrs, whole - NUM_LANES, busy_rank(lpm.words, bits), out)
    _rest(lpm, addrs, out, whole)


@njit(cache=True, nogil=True)
def _busy_values(lpm, addrs, out):
    """As `_busy_ids`, and a block's values are gathered behind the next block's words."""
    whole = _whole_blocks(addrs)
    if whole > 0:
        loaded = load_busy(lpm.busy)
        next_interval = busy_rank(lpm.words, busy_bits(loaded, load_lanes(addrs, 0))) - 1
        next_bits = busy_bits(loaded, load_lanes(addrs, min(NUM_LANES, whole - NUM_LANES)))
        for at in range(0, whole, NUM_LANES):
            interval, bits = next_interval, next_bits
            next_bits = computed(busy_bits(loaded, load_lanes(addrs, min(at + 2 * NUM_LANES, whole - NUM_LANES))))
            next_interval = busy_rank(lpm.words, bits) - 1
            store_lanes(out, at, gather32(lpm.values, interval))
    _rest(lpm, addrs, out, whole)


_GATHERING = {RANK_IDS: _rank_ids, RANK_VALUES: _rank_values, RECORD_NARROW: _narrow_records, RECORD_WIDE: _wide_records}
_GATHERING_BUSY = {RANK_IDS: _busy_ids, RANK_VALUES: _busy_values}


def gathering4(lpm):
    """The kernel that answers as `plain4` from this table, 64 addresses at a time; needs AVX-512.

    One function a kind: only what is used is compiled.
    """
    return (_GATHERING_BUSY if lpm.busy.size else _GATHERING)[lpm.kind]
