"""One pool of many small tables: disjoint intervals of all tables in one pair of arrays, a slice a table, bisection inside it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from fastroute.errors import TableError
from fastroute.lpm.intervals import order4, order6, sweep4, sweep6


class Pool4(NamedTuple):
    """Table t is starts[offsets[t] : offsets[t + 1]], sorted, the first at address 0; values -1 where nothing matches."""

    offsets: NDArray[np.int32]
    starts: NDArray[np.uint32]
    values: NDArray[np.int32]


class Pool6(NamedTuple):
    """The same with starts (n, 2) as (hi, lo)."""

    offsets: NDArray[np.int32]
    starts: NDArray[np.uint64]
    values: NDArray[np.int32]


def build_pool4(
    table: NDArray[np.int32], base: NDArray[np.uint32], length: NDArray[np.uint8], value: NDArray[np.int32], num_tables: int
) -> Pool4:
    """Build a pool of IPv4 tables.

    Parameters
    ----------
    table : (n,) int32
        Table of each prefix, 0 to num_tables - 1.
    base : (n,) uint32
        First address; host bits are zero.
    length : (n,) uint8
        0 to 32.
    value : (n,) int32
        0 to 2**31 - 2.

    Raises
    ------
    TableError
        A prefix stands twice in a table; names table and position.
    """
    order = order4(table, base, length)
    table, base, length, value = table[order], base[order], length[order], value[order]
    _refuse_twice((table[1:] == table[:-1]) & (base[1:] == base[:-1]) & (length[1:] == length[:-1]), order)
    room = 2 * len(base) + num_tables
    offsets, starts, values = np.empty(num_tables + 1, np.int32), np.empty(room, np.uint32), np.empty(room, np.int32)
    count = sweep4(table, base, length, value, num_tables, offsets, starts, values)
    return Pool4(offsets, starts[:count].copy(), values[:count].copy())


def build_pool6(
    table: NDArray[np.int32], base: NDArray[np.uint64], length: NDArray[np.uint8], value: NDArray[np.int32], num_tables: int
) -> Pool6:
    """Build a pool of IPv6 tables; base (n, 2) uint64 as (hi, lo), length 0 to 128; else as `build_pool4`."""
    order = order6(table, base, length)
    table, base, length, value = table[order], base[order], length[order], value[order]
    _refuse_twice((table[1:] == table[:-1]) & (base[1:] == base[:-1]).all(axis=1) & (length[1:] == length[:-1]), order)
    room = 2 * len(length) + num_tables
    offsets, starts, values = np.empty(num_tables + 1, np.int32), np.empty((room, 2), np.uint64), np.empty(room, np.int32)
    count = sweep6(table, base, length, value, num_tables, offsets, starts, values)
    return Pool6(offsets, starts[:count].copy(), values[:count].copy())


def _refuse_twice(repeated: NDArray[np.bool_], order: NDArray[np.int64]) -> None:
    if repeated.any():
        at = int(np.flatnonzero(repeated)[0])
        raise TableError(f"prefixes {order[at]} and {order[at + 1]} are the same prefix of one table; keep one of them")


@njit(cache=True, nogil=True)
def pool4_one(pool, table, addr):
    """Value of the longest match of one address in one table, or -1. Precondition: 0 <= table < num_tables."""
    low, high = pool.offsets[table], pool.offsets[table + 1] - 1
    while low < high:
        middle = (low + high + 1) >> 1
        if pool.starts[middle] <= addr:
            low = middle
        else:
            high = middle - 1
    return pool.values[low]


@njit(cache=True, nogil=True)
def pool6_one(pool, table, hi, lo):
    """The same for one IPv6 address."""
    low, high = pool.offsets[table], pool.offsets[table + 1] - 1
    while low < high:
        middle = (low + high + 1) >> 1
        start_hi = pool.starts[middle, 0]
        if start_hi < hi or (start_hi == hi and pool.starts[middle, 1] <= lo):
            low = middle
        else:
            high = middle - 1
    return pool.values[low]


@njit(cache=True, nogil=True)
def _pool4_batch(pool, tables, addrs, out):
    for i in range(addrs.shape[0]):
        out[i] = pool4_one(pool, tables[i], addrs[i])


@njit(cache=True, nogil=True)
def _pool6_batch(pool, tables, addrs, out):
    for i in range(addrs.shape[0]):
        out[i] = pool6_one(pool, tables[i], addrs[i, 0], addrs[i, 1])


def pool4_lookup(
    pool: Pool4, tables: NDArray[np.int32], addrs: NDArray[np.uint32], out: NDArray[np.int32] | None = None
) -> NDArray[np.int32]:
    """Look many addresses up, each in its table: (n,) int32 tables, (n,) uint32 addrs -> (n,) int32 values, -1 where nothing matches."""
    found = np.empty(len(addrs), np.int32) if out is None else out
    _pool4_batch(pool, tables, addrs, found)
    return found


def pool6_lookup(
    pool: Pool6, tables: NDArray[np.int32], addrs: NDArray[np.uint64], out: NDArray[np.int32] | None = None
) -> NDArray[np.int32]:
    """The same for (n, 2) uint64 addresses as (hi, lo)."""
    found = np.empty(len(addrs), np.int32) if out is None else out
    _pool6_batch(pool, tables, addrs, found)
    return found
