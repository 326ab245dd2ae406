"""One pool of many small tables, as node and VPC route tables are. Equal tables are stored once."""

from __future__ import annotations

import hashlib
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastroute.addr.buffers import frozen
from fastroute.addr.settings import kernels
from fastroute.errors import AddressError
from fastroute.lpm.batch import output_of, rows4, rows6
from fastroute.lpm.pool6_kernels import batch6, build_lines6, num_lines6, split_halves
from fastroute.lpm.pool_kernels import LINE, build_lines, gather_batch4, num_lines, plain_batch4
from fastroute.lpm.prepare import Intervals, intervals4, intervals6
from fastroute.lpm.regions import count_words, split_tables


class Pool4(NamedTuple):
    """IPv4 tables as regions and trees of 64-byte lines; the encodings stand in `regions` and `pool_kernels`."""

    heads: NDArray[np.uint64]  # (num_tables,)
    words: NDArray[np.uint64]  # of the regions
    values: NDArray[np.int32]  # of the regions' intervals
    roots: NDArray[np.uint32]  # (num_tables,) line << 3 | inner levels
    lines: NDArray[np.uint32]  # (num_lines * 16,)


class Pool6(NamedTuple):
    """IPv6 tables as trees of 64-byte lines by the left half of the address, then the right; the encodings stand in `pool6_kernels`."""

    roots: NDArray[np.uint32]  # (num_tables,) line << 4 | inner levels
    right_roots: NDArray[np.uint32]  # the same of the trees by the right half
    lines: NDArray[np.uint64]  # (num_lines * 8,)


def build_pool4(table: ArrayLike, prefix: ArrayLike, length: ArrayLike, value: ArrayLike, num_tables: int) -> Pool4:
    """Build a pool of IPv4 tables.

    Parameters
    ----------
    table : (n,) 0 to num_tables - 1, the table of each prefix, in any order
    prefix : (n,) uint32, no bits behind the length
    length : (n,) 0 to 32
    value : (n,) 0 to 2**31 - 2

    Raises
    ------
    TableError
        Numbers out of range, host bits, or a prefix that stands twice in a table; names the rows.

    Notes
    -----
    60 host routes in a /20 take 1 KB of words and 0.5 KB of values; an interval outside the region about 8.5 bytes.
    """
    firsts, counts, which, found = _distinct(intervals4(prefix, length, value, table, num_tables))
    room = found.values.shape[0] + 2 * firsts.shape[0]
    heads, words = np.empty(firsts.shape[0], np.uint64), np.empty(count_words(firsts, counts, found.starts), np.uint64)
    inside, outer_firsts, outer_counts = np.empty(room, np.int32), np.empty_like(firsts), np.empty_like(counts)
    outer = np.empty(room, np.uint32), np.empty(room, np.int32)
    num_inside, _ = split_tables(firsts, counts, found.starts, found.values, heads, words, inside, outer_firsts, outer_counts, *outer)
    lines = _aligned_zeros(sum(num_lines(int(count)) for count in outer_counts) * LINE)
    roots = np.empty(firsts.shape[0], np.uint32)
    build_lines(outer_firsts, outer_counts, *outer, lines, roots)
    return Pool4(frozen(heads[which]), frozen(words), frozen(inside[:num_inside].copy()), frozen(roots[which]), frozen(lines))


def build_pool6(table: ArrayLike, prefix: ArrayLike, length: ArrayLike, value: ArrayLike, num_tables: int) -> Pool6:
    """Build a pool of IPv6 tables; prefix (n, 2) uint64 as (hi, lo), length 0 to 128, else as `build_pool4`."""
    firsts, counts, which, found = _distinct(intervals6(prefix, length, value, table, num_tables))
    num_intervals, num_distinct = found.values.shape[0], firsts.shape[0]
    left, right = (_Functions.empty(2 * num_intervals + num_distinct, most) for most in (num_distinct, num_intervals))
    num_right = split_halves(firsts, counts, found.starts, found.values, left, right)
    lines = _aligned_zeros((num_lines6(left.counts) + num_lines6(right.counts[:num_right])) * 16).view(np.uint64)
    roots, right_roots = np.empty(num_distinct, np.uint32), np.empty(num_right, np.uint32)
    build_lines6(*right, lines, build_lines6(*left, lines, 0, roots), right_roots)
    return Pool6(frozen(roots[which]), frozen(right_roots), frozen(lines))


class _Functions(NamedTuple):
    """Step functions of 64-bit keys: function t is rows firsts[t] to firsts[t] + counts[t] of keys and codes."""

    keys: NDArray[np.uint64]
    codes: NDArray[np.uint32]
    firsts: NDArray[np.int64]
    counts: NDArray[np.int64]

    @classmethod
    def empty(cls, num_keys: int, num_functions: int) -> _Functions:
        columns = np.empty(num_keys, np.uint64), np.empty(num_keys, np.uint32)
        return cls(*columns, np.empty(num_functions, np.int64), np.empty(num_functions, np.int64))


def _distinct(found: Intervals) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], Intervals]:
    """(first interval, number of intervals) of every distinct table, which of them each table is, and the intervals."""
    seen: dict[bytes, int] = {}
    firsts: list[int] = []
    counts: list[int] = []
    which = np.empty(found.offsets.shape[0] - 1, np.int64)
    ends = found.offsets.tolist()
    for t in range(which.shape[0]):
        here = slice(ends[t], ends[t + 1])
        content = hashlib.blake2b(found.starts[here].data, digest_size=16)
        content.update(found.values[here].data)
        which[t] = seen.setdefault(content.digest(), len(firsts))
        if which[t] == len(firsts):
            firsts.append(ends[t])
            counts.append(ends[t + 1] - ends[t])
    return np.array(firsts, np.int64), np.array(counts, np.int64), which, found


def _aligned_zeros(size: int) -> NDArray[np.uint32]:
    """Zeros on a cache-line border: a line that straddles two costs a second miss."""
    room = np.zeros(size + LINE, np.uint32)
    skip = -room.ctypes.data % (4 * LINE) // 4
    return room[skip : skip + size]


def pool4_lookup(pool: Pool4, tables: ArrayLike, addrs: ArrayLike, out: NDArray[np.int32] | None = None) -> NDArray[np.int32]:
    """Look each address up in its own table.

    Parameters
    ----------
    tables : (n,) int32, 0 to num_tables - 1
    addrs : (n,) uint32
    out : (n,) int32, optional; filled and returned when given

    Returns
    -------
    (n,) int32
        Values, -1 where nothing matches.

    Raises
    ------
    AddressError
        A table that the pool does not hold, or unequal lengths.
    """
    addrs, tables = rows4(addrs), _table_rows(tables, pool.roots.shape[0])
    found = output_of(out, addrs.shape[0], tables.shape[0])
    if (gather_batch4 if kernels() == "avx512" else plain_batch4)(pool, tables, addrs, found) < addrs.shape[0]:
        _check_tables(tables, pool.roots.shape[0])
    return found


def pool6_lookup(pool: Pool6, tables: ArrayLike, addrs: ArrayLike, out: NDArray[np.int32] | None = None) -> NDArray[np.int32]:
    """As `pool4_lookup` for (n, 2) uint64 addresses as (hi, lo)."""
    addrs, tables = rows6(addrs), _table_rows(tables, pool.roots.shape[0])
    found = output_of(out, addrs.shape[0], tables.shape[0])
    if batch6(pool, tables, addrs, found) < addrs.shape[0]:
        _check_tables(tables, pool.roots.shape[0])
    return found


def _table_rows(tables: ArrayLike, num_tables: int) -> NDArray[np.int32]:
    """As int32, whose numbers the kernels check; wider ones are checked before they are cut."""
    given = np.asarray(tables)
    if given.dtype != np.int32:
        _check_tables(given, num_tables)
    return frozen(given, np.int32)


def _check_tables(tables: NDArray[Any], num_tables: int) -> None:
    bad = np.flatnonzero((tables < 0) | (tables >= num_tables))
    if bad.size:
        raise AddressError(f"tables[{bad[0]}]: {tables[bad[0]]} is not one of the pool's {num_tables} tables")
