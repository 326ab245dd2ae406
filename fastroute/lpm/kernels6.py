"""IPv6 look-up kernels, plain and with gathers."""
# mypy: ignore-errors

import numpy as np
from numba import njit

from fastroute.lpm.lanes import NUM_LANES, STRETCH, choose, gather32, load_halves, nonzero_bits, note_rows, store_lanes
from fastroute.lpm.layout6 import FOLLOW
from fastroute.lpm.rank import line_lanes, line_one, rank_lanes, rank_one


@njit(cache=True, nogil=True)
def deep_one(lpm, number, hi, lo):
    """Bisection in one deep list."""
    low = lpm.deep_ends[number]
    size = lpm.deep_ends[number + 1] - low
    while size > 1:
        half = size >> 1
        start_hi, start_lo = lpm.deep_starts[low + half, 0], lpm.deep_starts[low + half, 1]
        if start_hi < hi or (start_hi == hi and start_lo <= lo):
            low += half
        size -= half
    return lpm.deep_values[low]


@njit(cache=True, nogil=True, forceinline=True)
def lookup6_one(lpm, hi, lo):
    """(hi, lo) uint64 -> int32 value of the longest match, or -1."""
    code = np.int64(lpm.codes[rank_one(lpm.root, lpm.words, hi >> np.uint64(32))])
    if code >= FOLLOW:
        code = line_one(lpm.lines, lpm.codes, code - FOLLOW, np.int64((hi >> np.uint64(24)) & np.uint64(255)))
        if code >= FOLLOW:
            code = line_one(lpm.lines, lpm.codes, code - FOLLOW, np.int64((hi >> np.uint64(16)) & np.uint64(255)))
            if code >= FOLLOW:
                return deep_one(lpm, code - FOLLOW, hi, lo)
    return np.int32(code - 1)


@njit(cache=True, nogil=True)
def plain6(lpm, addrs, out):
    """addrs (n, 2) uint64 -> out (n,) int32, one after the other, on any CPU."""
    for i in range(addrs.shape[0]):
        out[i] = lookup6_one(lpm, addrs[i, 0], addrs[i, 1])


@njit(cache=True, nogil=True)
def _follow(lpm, code, octet):
    """One octet on in the lanes whose code says so; the others read line 0 and stay as they are."""
    divided = code >> 31
    line = choose(divided, code & 0x7FFFFFFF, 0)
    return choose(divided, line_lanes(lpm.lines, lpm.codes, line, octet), code)


@njit(cache=True, nogil=True)
def gather6(lpm, addrs, out):
    """As `plain6`, 64 addresses at a time; needs AVX-512. Precondition: at least one line, used or not.

    All levels are walked without a branch, and deep rows wait until a stretch is done. A branch or a call here makes LLVM keep lanes on the
    stack, and with them it took up to twice the time; perhaps gathers wait for such stores where addresses agree in the low 12 bits (not
    counted: the machine at hand has no counters).
    """
    waiting = np.empty(STRETCH, np.int64)
    num_rows = addrs.shape[0]
    for begin in range(0, num_rows, STRETCH):
        end = min(begin + STRETCH, num_rows)
        whole = begin + (end - begin) // NUM_LANES * NUM_LANES
        num_waiting = 0
        for at in range(begin, whole, NUM_LANES):
            high, low = load_halves(addrs, at)
            code = gather32(lpm.codes, rank_lanes(lpm.root, lpm.words, high) - 1)
            code = _follow(lpm, code, low >> 24)
            code = _follow(lpm, code, (low >> 16) & 255)
            store_lanes(out, at, code - 1)
            num_waiting = note_rows(waiting, num_waiting, at, nonzero_bits(code >> 31))
        for k in range(num_waiting):
            i = np.uint64(waiting[k])
            out[i] = lookup6_one(lpm, addrs[i, 0], addrs[i, 1])
        for i in range(whole, end):
            out[i] = lookup6_one(lpm, addrs[i, 0], addrs[i, 1])
