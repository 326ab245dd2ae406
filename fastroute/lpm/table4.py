"""One IPv4 table: the layout by size, and the look-up."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastroute.addr.buffers import frozen
from fastroute.addr.settings import kernels
from fastroute.lpm.batch import output_of, rows4, run_batch
from fastroute.lpm.busy import build_busy
from fastroute.lpm.kernels4 import RANK_IDS, RANK_VALUES, RECORD_NARROW, RECORD_WIDE, gathering4, plain4
from fastroute.lpm.layout4 import NUM_BLOCKS, SHARED, build_records, build_runs
from fastroute.lpm.prepare import Intervals, intervals4
from fastroute.lpm.rank import LINE_WORDS, ROOT_SIZE, build_rank

MAX_RANK_BYTES = 3 << 20
"""Rank tables up to this size stay near the core's own cache; above it, a record costs fewer far misses."""

_MAX_MIXED = 1 / 16
"""Share of words that mix match and no match up to which ranks serve as answers: each mixed look-up is done over."""

_NO_LINES, _NO_NUMBERS = np.empty(0, np.uint64), np.empty(0, np.uint32)


class Lpm4(NamedTuple):
    """A compiled IPv4 table. Which arrays are in use depends on `kind`; the encodings stand in `rank` and `layout4`."""

    kind: int  # of kernels4
    root: NDArray[np.uint32]  # (2**16,) rank, (2**18,) record
    words: NDArray[np.uint64]  # rank words, or records
    busy: NDArray[np.uint32]  # rank: the root once more, for registers; empty where it has too many entries
    values: NDArray[np.int32]  # rank: (num_intervals,) answer of each, -1 for none
    lines: NDArray[np.uint64]  # record: (8 * num_lines,) divided /24s
    codes: NDArray[np.uint32]  # record: value + 1 of the lines' intervals


def build4(prefix: ArrayLike, length: ArrayLike, value: ArrayLike) -> Lpm4:
    """Compile a table.

    Parameters
    ----------
    prefix : (n,) uint32, no bits behind the length
    length : (n,) 0 to 32
    value : (n,) 0 to 2**31 - 2

    Raises
    ------
    TableError
        Numbers out of range, host bits, or a prefix that stands twice; names the rows.
    """
    found = intervals4(prefix, length, value)
    return _rank_table(found, RANK_VALUES, found.values) or _record_table(found)


def build4_ids(prefix: ArrayLike, length: ArrayLike) -> tuple[Lpm4, NDArray[np.int32]]:
    """Compile a table whose answers are dense ids of its own, numbered in address order: the fastest form.

    Returns
    -------
    (Lpm4, (num_ids,) int32)
        The table, and for each id the row of the prefix that it stands for. A prefix that others divide has several ids.
    """
    found = intervals4(prefix, length, None)
    is_match = found.values >= 0
    ids = np.where(is_match, np.arange(found.values.shape[0], dtype=np.int32), np.int32(-1))
    table = _rank_table(found, RANK_IDS, ids) or _record_table(found._replace(values=ids))
    return table, found.values.copy()


def _rank_table(found: Intervals, kind: int, answers: NDArray[np.int32]) -> Lpm4 | None:
    """None where it would grow beyond what stays near."""
    if 4 * answers.shape[0] > MAX_RANK_BYTES:
        return None
    root = np.empty(ROOT_SIZE, np.uint32)
    # with values, every word leads to one; only where ranks are the answers must a word know about no match
    is_match = answers >= 0 if kind == RANK_IDS else np.ones(answers.shape[0], np.bool_)
    num_words = build_rank(found.starts, found.values, is_match, root, np.empty(0, np.uint64))
    if 8 * num_words + 4 * answers.shape[0] > MAX_RANK_BYTES:
        return None
    words = np.zeros(num_words, np.uint64)
    build_rank(found.starts, found.values, is_match, root, words)
    if kind == RANK_IDS and np.count_nonzero(words >> np.uint64(63)) > _MAX_MIXED * num_words:
        return _rank_table(found, RANK_VALUES, answers)
    return _frozen(kind, root, words, answers, build_busy(root))


def _record_table(found: Intervals) -> Lpm4:
    n = found.starts.shape[0]
    room = 2 * n + NUM_BLOCKS
    run_block, run_slot, run_code = np.empty(room, np.int32), np.empty(room, np.uint8), np.empty(room, np.uint32)
    low = found.starts & np.uint32(255)
    num_inside = np.count_nonzero(low)
    lines = np.empty(LINE_WORDS * num_inside, np.uint64)
    codes = np.empty(3 * num_inside, np.uint32)
    num_runs, num_lines, num_codes = build_runs(found.starts, found.values, run_block, run_slot, run_code, lines, codes)
    runs = run_block[:num_runs], run_slot[:num_runs], run_code[:num_runs]
    is_wide = bool(num_lines > SHARED + 1 or found.values.max(initial=0) >= SHARED)
    root = np.empty(NUM_BLOCKS, np.uint32)
    words = np.zeros(build_records(*runs, is_wide, root, np.empty(0, np.uint64)), np.uint64)
    build_records(*runs, is_wide, root, words)
    kind = RECORD_WIDE if is_wide else RECORD_NARROW
    lines, codes = lines[: LINE_WORDS * num_lines].copy(), codes[:num_codes].copy()
    return _frozen(kind, root, words, np.empty(0, np.int32), _NO_NUMBERS, lines, codes)


def _frozen(
    kind: int,
    root: NDArray[np.uint32],
    words: NDArray[np.uint64],
    values: NDArray[np.int32],
    busy: NDArray[np.uint32],
    lines: NDArray[np.uint64] = _NO_LINES,
    codes: NDArray[np.uint32] = _NO_NUMBERS,
) -> Lpm4:
    return Lpm4(kind, frozen(root), frozen(words), frozen(busy), frozen(values), frozen(lines), frozen(codes))


def lookup4(lpm: Lpm4, addrs: ArrayLike, out: NDArray[np.int32] | None = None, parallel: bool = False) -> NDArray[np.int32]:
    """Longest match of many addresses.

    Parameters
    ----------
    addrs : (n,) uint32, host byte order
        Other integers are range-checked and converted; strided input is copied.
    out : (n,) int32, optional; filled and returned when given
    parallel : use every core that this process may run on

    Returns
    -------
    (n,) int32
        Value, or id, of the longest matching prefix; -1 where none covers the address.

    Raises
    ------
    AddressError
        A number outside 0 to 2**32 - 1, or an `out` that does not fit.
    """
    addrs = rows4(addrs)
    found = output_of(out, addrs.shape[0])
    run_batch(gathering4(lpm) if kernels() == "avx512" else plain4, lpm, addrs, found, parallel)
    return found
