"""From a caller's arrays to disjoint intervals: checks, order, sweep. The one door into every table of this package."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastroute.addr import masks4, masks6
from fastroute.errors import TableError
from fastroute.lpm.intervals import sweep4, sweep6

MAX_VALUE = 2**31 - 2
"""Tables store value + 1 in 31 bits: 0 is no match, and the highest bit says that more levels follow."""

_ROW_BITS4 = 26  # prefix 32 + length 6 + row 26 = one uint64, which NumPy sorts with AVX-512
_MAX_PACKED_TABLES = 1 << 26  # table 26 + prefix 32 + length 6


class Intervals(NamedTuple):
    """Tables as functions: table t is rows offsets[t] to offsets[t + 1], the first at address 0, each up to the next one's start."""

    offsets: NDArray[np.int64]  # (num_tables + 1,)
    starts: NDArray[Any]  # (n,) uint32 or (n, 2) uint64
    values: NDArray[np.int32]  # (n,) -1 where nothing matches


def intervals4(
    prefix: ArrayLike, length: ArrayLike, value: ArrayLike | None, table: ArrayLike | None = None, num_tables: int = 1
) -> Intervals:
    """IPv4 prefixes -> disjoint intervals.

    Parameters
    ----------
    prefix : (n,) uint32; length : (n,) 0 to 32; value : (n,) 0 to 2**31 - 2, or None for the row number; table : (n,) 0 to num_tables - 1

    Raises
    ------
    TableError
        Unequal shapes, numbers out of range, host bits, or one prefix twice in a table; names the rows.
    """
    base = _integers("prefix", prefix, np.uint32, 2**32 - 1)
    lengths = _integers("length", length, np.uint8, 32)
    values, tables = _values(value, base.shape[0]), _tables(table, base.shape[0], num_tables)
    _check_shapes(base.shape[0], lengths, values, tables)
    _refuse(base & ~masks4(lengths) != 0, "has bits set behind its length; clear them")
    n = base.shape[0]
    if tables is None and n < 1 << _ROW_BITS4:
        key = base.astype(np.uint64)
        key <<= np.uint64(32)
        key |= lengths.astype(np.uint64) << np.uint64(_ROW_BITS4)
        key |= np.arange(n, dtype=np.uint64)
        key.sort()
        order = (key & np.uint64((1 << _ROW_BITS4) - 1)).view(np.int64)
        key >>= np.uint64(_ROW_BITS4)  # what the rows hold is in the key: to fetch them in random order took longer than all the rest
        lengths, base = (key & np.uint64(63)).astype(np.uint8), (key >> np.uint64(6)).astype(np.uint32)
    else:
        if tables is None or num_tables <= _MAX_PACKED_TABLES:
            high = np.zeros(n, np.uint64) if tables is None else tables.astype(np.uint64) << np.uint64(38)
            order = np.argsort(high | base.astype(np.uint64) << np.uint64(6) | lengths)
        else:
            order = np.lexsort((lengths, base, tables))
        lengths, base = lengths[order], base[order]
    found = Intervals(np.empty(num_tables + 1, np.int64), np.empty(2 * n + num_tables, np.uint32), np.empty(2 * n + num_tables, np.int32))
    return _trimmed(found, sweep4(_ends(tables, n, num_tables), base, lengths, values.take(order), *found), order)


def intervals6(
    prefix: ArrayLike, length: ArrayLike, value: ArrayLike | None, table: ArrayLike | None = None, num_tables: int = 1
) -> Intervals:
    """IPv6 prefixes -> disjoint intervals; prefix (n, 2) uint64 as (hi, lo), length 0 to 128, else as `intervals4`."""
    base = np.ascontiguousarray(prefix, np.uint64).reshape(-1, 2)
    lengths = _integers("length", length, np.uint8, 128)
    values, tables = _values(value, base.shape[0]), _tables(table, base.shape[0], num_tables)
    _check_shapes(base.shape[0], lengths, values, tables)
    mask_hi, mask_lo = masks6(lengths)
    _refuse((base[:, 0] & ~mask_hi != 0) | (base[:, 1] & ~mask_lo != 0), "has bits set behind its length; clear them")
    n = base.shape[0]
    order = _order6(base, lengths, tables)
    found = Intervals(
        np.empty(num_tables + 1, np.int64), np.empty((2 * n + num_tables, 2), np.uint64), np.empty(2 * n + num_tables, np.int32)
    )
    return _trimmed(found, sweep6(_ends(tables, n, num_tables), base[order], lengths[order], values.take(order), *found), order)


def _order6(base: NDArray[np.uint64], lengths: NDArray[np.uint8], tables: NDArray[np.int32] | None) -> NDArray[np.int64]:
    """Most tables end at /64 and need one sort: the low 7 bits of hi are free where no prefix is longer than /57."""
    if tables is None and lengths.size and int(lengths.max()) <= 57:
        return np.argsort(base[:, 0] | lengths)
    keys: list[NDArray[Any]] = [lengths, base[:, 1], base[:, 0]]
    if tables is not None:
        keys.append(tables)
    order: NDArray[np.int64] = np.lexsort(keys)
    return order


def _ends(tables: NDArray[np.int32] | None, n: int, num_tables: int) -> NDArray[np.int64]:
    if tables is None:
        return np.array([n], np.int64)
    return np.cumsum(np.bincount(tables, minlength=num_tables), dtype=np.int64)


def _trimmed(found: Intervals, count: int, order: NDArray[np.int64]) -> Intervals:
    if count < 0:
        rows = sorted(int(order[-1 - count - k]) for k in (0, 1))
        raise TableError(f"rows {rows[0]} and {rows[1]} are the same prefix of one table; keep one of them")
    return Intervals(found.offsets, found.starts[:count], found.values[:count])


def _integers(name: str, numbers: ArrayLike, dtype: Any, largest: int) -> NDArray[Any]:
    array = np.asarray(numbers)
    if array.ndim != 1:
        raise TableError(f"{name}: shape {array.shape}; pass one dimension")
    if array.dtype == dtype and largest == np.iinfo(dtype).max:
        return np.ascontiguousarray(array)
    if array.size == 0:
        return np.empty(0, dtype)
    if array.dtype.kind not in "iu":
        raise TableError(f"{name}: dtype {array.dtype}; pass integers")
    bad = np.flatnonzero((array < 0) | (array > largest))
    if bad.size:
        raise TableError(f"{name}[{bad[0]}]: {array[bad[0]]} is not in 0 to {largest}")
    return np.ascontiguousarray(array, dtype)


def _values(value: ArrayLike | None, n: int) -> NDArray[np.int32]:
    return np.arange(n, dtype=np.int32) if value is None else _integers("value", value, np.int32, MAX_VALUE)


def _tables(table: ArrayLike | None, n: int, num_tables: int) -> NDArray[np.int32] | None:
    return None if table is None else _integers("table", table, np.int32, num_tables - 1)


def _check_shapes(n: int, *columns: NDArray[Any] | None) -> None:
    lengths = [n] + [column.shape[0] for column in columns if column is not None]
    if len(set(lengths)) > 1:
        raise TableError(f"prefix, length, value and table have {lengths} rows; they must be equal")


def _refuse(bad: NDArray[np.bool_], complaint: str) -> None:
    if bad.any():
        raise TableError(f"prefix[{int(np.flatnonzero(bad)[0])}] {complaint}")
