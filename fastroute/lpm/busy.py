"""The root of a rank table in registers: a cluster's tables are busy in a few sixteenths of the address space and quiet elsewhere.

Sixteenths that do not lead where address 0 leads are busy. Up to 64 of them get a place each by a hash without collisions::

    [0..63]      high half of the addresses of the busy sixteenth in this place, _NOBODY where there is none
    [64..127]    its root entry
    [128]        multiplier: the place of a high half is the top 6 bits of their 32-bit product
    [129]        root entry of all others

A look-up then compares and permutes registers where it would load from the root, and its only loads are words. Empty: no such root.
"""
# mypy: ignore-errors

import numpy as np
from numba import njit
from numpy.typing import NDArray

from fastroute.lpm.lanes import choose, fetch64, load_lanes, permute, popcount

PLACES = 64
MULTIPLIER, QUIET = 128, 129
_PLACE_SHIFT = 26
_NOBODY = 0xFFFFFFFF
_FIRST_BIT = 0xFFFFFFE0
_MAX_TRIES = 20_000  # a millisecond; random multipliers place 32 sixteenths in 13,000 tries, 64 neighbours need none


@njit(cache=True, nogil=True)
def _multiplier_of(busy):
    """A multiplier that gives each high half a place of its own, or 0. The first one gives neighbours neighbouring places."""
    multiplier = np.uint64(1 << _PLACE_SHIFT)
    for _ in range(_MAX_TRIES):
        taken, is_found = np.uint64(0), True
        for high in busy:
            place = np.uint64(1) << (((np.uint64(high) * multiplier) & np.uint64(0xFFFFFFFF)) >> np.uint64(_PLACE_SHIFT))
            if taken & place != 0:
                is_found = False
                break
            taken |= place
        if is_found:
            return multiplier
        multiplier = (multiplier * np.uint64(747796405) + np.uint64(2891336453)) & np.uint64(0xFFFFFFFF)
    return np.uint64(0)


def build_busy(root: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """(2**16,) root of a rank table -> its form for registers, (130,) uint32 or (0,)."""
    busy = np.flatnonzero(root != root[0])
    multiplier = int(_multiplier_of(busy)) if busy.size <= PLACES else 0
    if multiplier == 0:
        return np.empty(0, np.uint32)
    places = (busy * multiplier & 0xFFFFFFFF) >> _PLACE_SHIFT
    found = np.full(QUIET + 1, _NOBODY, np.uint32)
    found[places] = busy
    found[PLACES + places] = root[busy]
    found[MULTIPLIER], found[QUIET] = multiplier, root[0]
    return found


@njit(cache=True, nogil=True, forceinline=True)
def load_busy(busy):
    """(high halves, entries, multiplier, quiet entry): once a kernel, so that its loop loads none of them.

    The loop stores lanes on the stack, and loads from the heap that agree with such a store in the low 12 bits of the address are slow:
    words that all do so took 1.5 against 0.65 ns. Of a table that is read block after block it depended on the process whether they did.
    """
    return load_lanes(busy, 0), load_lanes(busy, PLACES), busy[MULTIPLIER], busy[QUIET]


@njit(cache=True, nogil=True, forceinline=True)
def busy_bits(loaded, key):
    """64 keys -> their bits' positions, 32 a word, from registers alone."""
    highs, entries, multiplier, quiet = loaded
    high = key >> 16
    place = (high * multiplier) >> _PLACE_SHIFT
    entry = choose(permute(highs, place) ^ high, quiet, permute(entries, place))
    return (entry & _FIRST_BIT) + ((key & 0xFFFF) >> (entry & 31))


@njit(cache=True, nogil=True, forceinline=True)
def busy_rank(words, bits):
    """What `rank_lanes` gives, for positions that are there already."""
    starts, count = fetch64(words, bits >> 5)
    return count + popcount(starts & ((2 << (bits & 31)) - 1))
