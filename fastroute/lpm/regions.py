"""The dense part of a small table: one aligned block of addresses, its region, whose intervals are found by rank words.

A node's route table is host routes of its pods in one subnet and a few routes far and wide. The region holds the former, `pool_kernels`'
tree of lines the rest. A region of 2**k addresses has a word (see `rank`, without its MIXED bit) for 32 slots of 2**shift addresses;
counts run on through all tables, so that the rank is the position in the pool's `values`. A table's head is one uint64::

    bits 0..4     shift          bits 5..9     k - 10, at least 0
    bits 10..31   high bits of the region's first address      bits 32..63   the region's first word
"""
# mypy: ignore-errors

import numpy as np
from numba import njit

from fastroute.lpm.lanes import choose, gather32, gather64, popcount
from fastroute.lpm.rank import interval_of

MIN_BITS = 10
BASE = 0xFFFFFC00
_LINE_WORDS, _SLOTS = 8, 32
_OUTSIDE_BYTES = 64  # what taking in one more start may cost: outside, it makes the tree grow, which is slower


@njit(cache=True, nogil=True)
def _words_of(starts, first, last, k):
    """starts[first:last] lie in one block of 2**k addresses -> (coarsest shift that tells them apart, words at that shift)."""
    bits = np.int64(1) << (k - 1)
    for i in range(first, last):
        bits |= np.int64(starts[i]) & ((np.int64(1) << k) - 1)
    shift = 0
    while bits & 1 == 0:
        bits >>= 1
        shift += 1
    return shift, max((np.int64(1) << (k - shift)) // _SLOTS, 1)


@njit(cache=True, nogil=True)
def region_of(starts, first, last):
    """The cheapest region of the table starts[first:last] -> (k, shift, words, first and last start in its block).

    Of every size the block with most starts is tried; of equal cost the largest.
    """
    found, cheapest = (0, 0, 0, 0, 0), np.int64(1) << 62
    for k in range(MIN_BITS, 33):
        best_first, best_last, i = first, first, first
        while i < last:
            j = i
            while j < last and np.int64(starts[j]) >> k == np.int64(starts[i]) >> k:
                j += 1
            if j - i > best_last - best_first:
                best_first, best_last = i, j
            i = j
        shift, num_words = _words_of(starts, best_first, best_last, k)
        cost = 8 * max(num_words, _LINE_WORDS) + _OUTSIDE_BYTES * (last - first - (best_last - best_first))
        if cost <= cheapest:
            cheapest, found = cost, (k, shift, num_words, best_first, best_last)
    return found


@njit(cache=True, nogil=True)
def count_words(firsts, counts, starts):
    """Words of all regions."""
    total = 0
    for t in range(firsts.shape[0]):
        total += region_of(starts, firsts[t], firsts[t] + counts[t])[2]
    return total


@njit(cache=True, nogil=True)
def split_tables(firsts, counts, starts, values, heads, words, inside, outer_firsts, outer_counts, outer_starts, outer_values):
    """Encode every table's region into `heads`, `words` and `inside`, and copy its intervals outside to the `outer` arrays.

    Precondition: room for n + num_tables intervals in either. Returns the number of (inside, outer) intervals.
    """
    num_words, num_inside, num_outer = 0, 0, 0
    for t in range(firsts.shape[0]):
        first, last = firsts[t], firsts[t] + counts[t]
        k, shift, size, dense_first, dense_last = region_of(starts, first, last)
        base = (np.int64(starts[dense_first]) >> k) << k
        end = base + (np.int64(1) << k)
        heads[t] = np.uint64(num_words) << np.uint64(32) | np.uint64(base | (k - MIN_BITS) << 5 | shift)

        i = dense_first + 1 if np.int64(starts[dense_first]) == base else dense_first
        inside[num_inside] = values[i - 1]  # reaches into the region, or begins with it
        num_inside += 1
        for w in range(size):
            before, bits = num_inside, np.uint64(0)
            if w == 0:
                before, bits = num_inside - 1, np.uint64(1)
            while i < dense_last and ((np.int64(starts[i]) - base) >> shift) // _SLOTS == w:
                bits |= np.uint64(1) << np.uint64(((np.int64(starts[i]) - base) >> shift) % _SLOTS)
                inside[num_inside] = values[i]
                num_inside += 1
                i += 1
            words[num_words] = np.uint64(before) << np.uint64(32) | bits
            num_words += 1

        outer_firsts[t] = num_outer
        for i in range(first, last):
            if dense_first <= i < dense_last and np.int64(starts[i]) > base:
                continue
            if i == dense_last and np.int64(starts[i]) > end:  # the region's last interval goes on behind it
                outer_starts[num_outer], outer_values[num_outer] = end, values[i - 1]
                num_outer += 1
            outer_starts[num_outer], outer_values[num_outer] = starts[i], values[i]
            num_outer += 1
        if dense_last == last and end < np.int64(1) << 32:
            outer_starts[num_outer], outer_values[num_outer] = end, values[last - 1]
            num_outer += 1
        outer_counts[t] = num_outer - outer_firsts[t]
    return num_inside, num_outer


@njit(cache=True, nogil=True, forceinline=True)
def offset_and_outside(head, addr):
    """(offset in the region, 0 if it is inside) of an address, or of 64, under one head's low half, or 64 of them."""
    offset = addr ^ (head & BASE)
    return offset, (offset >> ((head >> 5) & 31)) >> MIN_BITS


@njit(cache=True, nogil=True, forceinline=True)
def region_words(head):
    """Number of words of a region, by its head's low half."""
    slots = ((head >> 5) & 31) + MIN_BITS - (head & 31)
    return np.int64(1) << max(slots - 5, 0)


@njit(cache=True, nogil=True, forceinline=True)
def value_inside(pool, head, offset):
    """uint64 head, offset inside its region -> value."""
    slot = offset >> np.int64(head & np.uint64(31))
    word = pool.words[(head >> np.uint64(32)) + np.uint64(slot >> 5)]
    return pool.values[np.uint64(interval_of(word, slot & 31))]


@njit(cache=True, nogil=True, forceinline=True)
def lanes_inside(pool, head, first_word, offset, outside):
    """Values of 64 addresses; those outside get another one of their table. Head and first word are scalars where the table is one."""
    slot = choose(outside, 0, offset >> (head & 31))
    starts, count = gather64(pool.words, first_word + (slot >> 5))
    return gather32(pool.values, count + popcount(starts & ((2 << (slot & 31)) - 1)) - 1)
