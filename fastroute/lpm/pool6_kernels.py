"""Many small IPv6 tables as search trees of 64-byte lines, by the left half of the address and, where routes are that long, by the right.

A line is 8 uint64, compared in one instruction; the position in it is the number of ends below the half that is looked for::

    inner line   [0..6] last half of children 0 to 6       [7] line of child 0; the others follow it
    leaf line    [0..4] last half of intervals 0 to 4      [5..7] six codes of 32 bits, low half first

Unused ends are all ones, which are below nothing. A code is value + 1, 0 for no match; with bit 31 set it is the number of a tree by the
right half instead. Root word of a tree: line << 4 | number of inner levels.
"""
# mypy: ignore-errors

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic, overload

from fastroute.lpm.pool_kernels import prefetch

LINE6 = 8
TOGETHER = 64
"""Rows that walk side by side."""
LEAF_INTERVALS, INNER_CHILDREN = 6, 8
LEAF_ENDS, INNER_ENDS = 0x1F, 0x7F
_UNUSED = 0xFFFFFFFFFFFFFFFF
_BY_RIGHT_HALF = 1 << 31


def count_below6(lines, line, ends, half):
    """How many of the words that the bit mask `ends` picks from a line are below the half of an address."""
    return sum(1 for k in range(LINE6) if ends >> k & 1 and lines[line * LINE6 + k] < half)


@intrinsic
def _count_below6(typing_context, lines, line, ends, half):
    def generate(context, builder, signature, arguments):
        array = context.make_array(signature.args[0])(context, builder, arguments[0])
        vector, i8, i64 = ir.VectorType(ir.IntType(64), LINE6), ir.IntType(8), ir.IntType(64)
        at = builder.mul(arguments[1], ir.Constant(i64, LINE6))
        words = builder.load(builder.bitcast(builder.gep(array.data, [at]), vector.as_pointer()), align=8)
        first = builder.insert_element(ir.Constant(vector, ir.Undefined), arguments[3], ir.Constant(ir.IntType(32), 0))
        every = builder.shuffle_vector(first, first, ir.Constant(ir.VectorType(ir.IntType(32), LINE6), [0] * LINE6))
        below = builder.bitcast(builder.icmp_unsigned("<", words, every), i8)
        counted = builder.and_(below, builder.trunc(arguments[2], i8))
        popcount = cgutils.get_or_insert_function(builder.module, ir.FunctionType(i8, [i8]), "llvm.ctpop.i8")
        return builder.zext(builder.call(popcount, [counted]), i64)

    return types.int64(lines, types.int64, types.int64, types.uint64), generate


@overload(count_below6)
def _count_below6_compiled(lines, line, ends, half):
    return lambda lines, line, ends, half: _count_below6(lines, line, ends, half)  # noqa: PLW0108 - numba wants a function


@njit(cache=True, nogil=True)
def split_halves(firsts, counts, starts, values, left, right):
    """Turn tables `starts[firsts[t] : firsts[t] + counts[t]]` into functions of the left half, and those of the right half they lead to.

    `left` and `right` are (keys, codes, first key of each function, number of its keys); every function begins at key 0. Preconditions:
    room for 2 n + num_tables keys in either, and n functions in `right`. Returns the number of functions in `right`.
    """
    left_keys, left_codes, left_firsts, left_counts = left
    right_keys, right_codes, right_firsts, right_counts = right
    num_left, num_right, num_functions = 0, 0, 0
    for t in range(firsts.shape[0]):
        left_firsts[t] = num_left
        i, last = firsts[t], firsts[t] + counts[t]
        while i < last:
            hi, j = starts[i, 0], i + 1
            while j < last and starts[j, 0] == hi:
                j += 1
            left_keys[num_left] = hi
            if j == i + 1 and starts[i, 1] == 0:
                left_codes[num_left] = values[i] + 1
                num_left += 1
                i = j
                continue
            left_codes[num_left] = np.uint32(_BY_RIGHT_HALF | num_functions)
            num_left += 1
            right_firsts[num_functions] = num_right
            if starts[i, 1] != 0:  # what comes from the left reaches into this half
                right_keys[num_right], right_codes[num_right] = np.uint64(0), values[i - 1] + 1
                num_right += 1
            for k in range(i, j):
                right_keys[num_right], right_codes[num_right] = starts[k, 1], values[k] + 1
                num_right += 1
            right_counts[num_functions] = num_right - right_firsts[num_functions]
            num_functions += 1
            if hi != np.uint64(_UNUSED) and (j == last or starts[j, 0] != hi + np.uint64(1)):
                left_keys[num_left], left_codes[num_left] = hi + np.uint64(1), values[j - 1] + 1
                num_left += 1
            i = j
        left_counts[t] = num_left - left_firsts[t]
    return num_functions


@njit(cache=True, nogil=True)
def num_lines6(counts):
    """Lines of all trees of so many keys each."""
    total = 0
    for count in counts:
        level = (count + LEAF_INTERVALS - 1) // LEAF_INTERVALS
        total += level
        while level > 1:
            level = (level + INNER_CHILDREN - 1) // INNER_CHILDREN
            total += level
    return total


@njit(cache=True, nogil=True)
def build_lines6(keys, codes, firsts, counts, lines, at, roots):
    """Encode functions as trees one behind the other, from line `at` of `lines` (zeroed) on; returns the next line."""
    for t in range(roots.shape[0]):
        first, count = firsts[t], counts[t]
        width, level_first, level_len, depth = 1, at, 0, 0
        while width == 1 or level_len > 1:  # leaves, then levels above them until one line is left
            below_first, below_len = level_first, level_len
            level_first = at
            fan, num_ends = (LEAF_INTERVALS, 5) if width == 1 else (INNER_CHILDREN, 7)
            level_len = ((count if width == 1 else below_len) + fan - 1) // fan
            for node in range(level_len):
                for k in range(num_ends):
                    following = (node * fan + k + 1) * width  # key that begins behind child k
                    lines[at * LINE6 + k] = keys[first + following] - np.uint64(1) if following < count else np.uint64(_UNUSED)
                if width == 1:
                    for k in range(min(fan, count - node * fan)):
                        lines[at * LINE6 + 5 + (k >> 1)] |= np.uint64(codes[first + node * fan + k]) << np.uint64(32 * (k & 1))
                else:
                    lines[at * LINE6 + 7] = np.uint64(below_first + node * fan)
                at += 1
            depth += width > 1
            width *= fan
        roots[t] = np.uint32(level_first << 4 | depth)
    return at


@njit(cache=True, nogil=True, forceinline=True)
def leaf_code(lines, line, half):
    """Code of the interval of a leaf line that holds the half of an address."""
    at = count_below6(lines, line, LEAF_ENDS, half)
    return np.int64((lines[np.uint64(line * LINE6 + 5 + (at >> 1))] >> np.uint64(32 * (at & 1))) & np.uint64(0xFFFFFFFF))


@njit(cache=True, nogil=True, forceinline=True)
def _code_of(lines, root, half):
    line = np.int64(root) >> 4
    for _ in range(np.int64(root) & 15):
        line = np.int64(lines[np.uint64(line * LINE6 + 7)]) + count_below6(lines, line, INNER_ENDS, half)
    return leaf_code(lines, line, half)


@njit(cache=True, nogil=True, forceinline=True)
def pool6_one(pool, table, hi, lo):
    """Value of the longest match of one IPv6 address in one table, or -1. Precondition: 0 <= table < num_tables."""
    lines = pool.lines
    code = _code_of(lines, pool.roots[np.uint64(table)], hi)
    if code & _BY_RIGHT_HALF != 0:
        code = _code_of(lines, pool.right_roots[np.uint64(code & (_BY_RIGHT_HALF - 1))], lo)
    return np.int32(code - 1)


@njit(cache=True, nogil=True)
def batch6(pool, tables, addrs, out):
    """Returns how many rows it answered: all, or those before some with a table that is not there.

    Rows walk side by side, a level at a time, and each asks for its next line while the others take their step: 10,000 tables of 63 routes
    took 20 ns in random order and 14 grouped by table, beside 95 and 40 one row after the other, and 94 and 37 by bisection.
    """
    roots, right_roots, lines = pool.roots, pool.right_roots, pool.lines
    num_rows, num_tables = addrs.shape[0], np.uint32(pool.roots.shape[0])
    walking, line, depth = np.empty(TOGETHER, np.int64), np.empty(TOGETHER, np.int64), np.empty(TOGETHER, np.int64)
    is_right = np.empty(TOGETHER, np.int64)
    for begin in range(0, num_rows, TOGETHER):
        end = min(begin + TOGETHER, num_rows)
        for i in range(begin, end):
            if np.uint32(tables[i]) >= num_tables:
                return begin
        num_walking = end - begin
        for k in range(num_walking):
            root = np.int64(roots[tables[begin + k]])
            walking[k], line[k], depth[k], is_right[k] = k, root >> 4, root & 15, 0
            prefetch(lines, (root >> 4) * LINE6)
        while num_walking:
            left = 0
            for w in range(num_walking):
                k = walking[w]
                at, half = line[k], addrs[begin + k, is_right[k]]
                if depth[k] > 0:
                    depth[k] -= 1
                    line[k] = np.int64(lines[at * LINE6 + 7]) + count_below6(lines, at, INNER_ENDS, half)
                else:
                    code = leaf_code(lines, at, half)
                    if code & _BY_RIGHT_HALF == 0:
                        out[begin + k] = code - 1
                        continue
                    root = np.int64(right_roots[code & (_BY_RIGHT_HALF - 1)])
                    line[k], depth[k], is_right[k] = root >> 4, root & 15, 1
                prefetch(lines, line[k] * LINE6)
                walking[left] = k
                left += 1
            num_walking = left
    return num_rows
