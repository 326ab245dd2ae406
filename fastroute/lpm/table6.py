"""One IPv6 table: build and look-up."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastroute.addr.buffers import frozen
from fastroute.addr.settings import kernels
from fastroute.lpm.batch import output_of, rows6, run_batch
from fastroute.lpm.kernels6 import gather6, plain6
from fastroute.lpm.layout6 import Parts, build_parts
from fastroute.lpm.prepare import Intervals, intervals6
from fastroute.lpm.rank import LINE_WORDS, ROOT_SIZE, append_line, build_rank


class Lpm6(NamedTuple):
    """A compiled IPv6 table; the encoding stands in `layout6`."""

    root: NDArray[np.uint32]  # (2**16,) rank table on bits 0 to 31
    words: NDArray[np.uint64]
    codes: NDArray[np.uint32]  # of the rank table's intervals, then of the lines
    lines: NDArray[np.uint64]  # (8 * num_lines,)
    deep_ends: NDArray[np.int64]  # (num_deep + 1,)
    deep_starts: NDArray[np.uint64]  # (num_deep_starts, 2)
    deep_values: NDArray[np.int32]


def build6(prefix: ArrayLike, length: ArrayLike, value: ArrayLike) -> Lpm6:
    """Compile a table: prefix (n, 2) uint64 as (hi, lo), length 0 to 128, value 0 to 2**31 - 2.

    Raises
    ------
    TableError
        Numbers out of range, host bits, or a prefix that stands twice; names the rows.
    """
    return _table(intervals6(prefix, length, value))


def build6_ids(prefix: ArrayLike, length: ArrayLike) -> tuple[Lpm6, NDArray[np.int32]]:
    """Compile a table whose answers are dense ids in address order; (table, row of the prefix behind each id)."""
    found = intervals6(prefix, length, None)
    ids = np.where(found.values >= 0, np.arange(found.values.shape[0], dtype=np.int32), np.int32(-1))
    return _table(found._replace(values=ids)), found.values.copy()


def _table(found: Intervals) -> Lpm6:
    n = found.values.shape[0]
    parts = Parts(
        np.empty(2 * n, np.uint32),
        np.empty(2 * n, np.uint32),
        np.empty((2 * n + 1) * LINE_WORDS, np.uint64),
        np.empty(6 * n + 256, np.uint32),
        np.zeros(n + 1, np.int64),
        np.empty((2 * n, 2), np.uint64),
        np.empty(2 * n, np.int32),
        np.zeros(4, np.int64),
    )
    num_keys = build_parts(found.starts, found.values, parts)
    num_lines, num_codes, num_deep, num_deep_starts = parts.counts.tolist()
    if num_lines == 0:  # lanes that need no line read line 0
        num_lines, num_codes = 1, append_line(np.zeros(256, np.uint32), parts.lines, 0, parts.codes, 0)
    lines = parts.lines[: num_lines * LINE_WORDS]
    lines += np.uint64(num_keys << 32)  # the rank table's codes come first
    keys, root = parts.keys[:num_keys], np.empty(ROOT_SIZE, np.uint32)
    leads_on = np.ones(num_keys, np.bool_)
    codes = parts.key_codes[:num_keys]
    words = np.zeros(build_rank(keys, codes, leads_on, root, np.empty(0, np.uint64)), np.uint64)
    build_rank(keys, codes, leads_on, root, words)
    return Lpm6(
        frozen(root),
        frozen(words),
        frozen(np.concatenate((codes, parts.codes[:num_codes]))),
        frozen(lines.copy()),
        frozen(parts.deep_ends[: num_deep + 1].copy()),
        frozen(parts.deep_starts[:num_deep_starts].copy()),
        frozen(parts.deep_values[:num_deep_starts].copy()),
    )


def lookup6(lpm: Lpm6, addrs: ArrayLike, out: NDArray[np.int32] | None = None, parallel: bool = False) -> NDArray[np.int32]:
    """As `lookup4`, for (n, 2) uint64 addresses as (hi, lo)."""
    addrs = rows6(addrs)
    found = output_of(out, addrs.shape[0])
    run_batch(gather6 if kernels() == "avx512" else plain6, lpm, addrs, found, parallel)
    return found
