"""Many small tables: a region each (see `regions`), and around it a tree in one array of 64-byte lines. Its encoding, builder, look-ups.

A tree of intervals is a search tree whose nodes are lines of 16 uint32, and one compare of a whole line finds the way::

    inner line   [0..14] last address of children 0 to 14      [15] line of child 0; the others follow it
    leaf line    [0..6] last address of intervals 0 to 6       [7..14] value + 1 of intervals 0 to 7       [15] unused

The position in a line is the number of ends below the address. Unused ends are 255.255.255.255, which is below nothing. A value
lies in the line of its interval, so a look-up touches one far line a level. Root word of a table: line << 3 | number of inner levels.
"""
# mypy: ignore-errors

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic, overload

from fastroute.lpm.lanes import NUM_LANES, STRETCH, choose, gather32, gather64, less, load_lanes, nonzero_bits, note_rows, store_lanes
from fastroute.lpm.rank import popcount_one
from fastroute.lpm.regions import lanes_inside, offset_and_outside, value_inside

LINE = 16
_FEW = 16
"""Rows of 64 outside their regions up to which one after the other costs less than all 64 in lanes."""
LEAF_INTERVALS, INNER_CHILDREN = 8, 16
LEAF_ENDS, INNER_ENDS = 0x7F, 0x7FFF
_UNUSED = 0xFFFFFFFF


def count_below(lines, line, ends, addr):
    """How many of the words that the bit mask `ends` picks from a line are below the address."""
    return sum(1 for k in range(LINE) if ends >> k & 1 and lines[line * LINE + k] < addr)


@intrinsic
def _count_below(typing_context, lines, line, ends, addr):
    def generate(context, builder, signature, arguments):
        array = context.make_array(signature.args[0])(context, builder, arguments[0])
        vector, i16 = ir.VectorType(ir.IntType(32), LINE), ir.IntType(16)
        at = builder.mul(arguments[1], ir.Constant(arguments[1].type, LINE))
        words = builder.load(builder.bitcast(builder.gep(array.data, [at]), vector.as_pointer()), align=4)
        zero = ir.Constant(ir.IntType(32), 0)
        first = builder.insert_element(ir.Constant(vector, ir.Undefined), arguments[3], zero)
        every = builder.shuffle_vector(first, first, ir.Constant(ir.VectorType(ir.IntType(32), LINE), [0] * LINE))
        below = builder.bitcast(builder.icmp_unsigned("<", words, every), i16)
        counted = builder.and_(below, builder.trunc(arguments[2], i16))
        popcount = cgutils.get_or_insert_function(builder.module, ir.FunctionType(i16, [i16]), "llvm.ctpop.i16")
        return builder.zext(builder.call(popcount, [counted]), ir.IntType(64))

    return types.int64(lines, types.int64, types.int64, types.uint32), generate


@overload(count_below)
def _count_below_compiled(lines, line, ends, addr):
    return lambda lines, line, ends, addr: _count_below(lines, line, ends, addr)  # noqa: PLW0108 - numba wants a function


@njit(cache=True, nogil=True)
def num_lines(num_intervals):
    """Lines of a table of so many intervals."""
    level = (num_intervals + LEAF_INTERVALS - 1) // LEAF_INTERVALS
    total = level
    while level > 1:
        level = (level + INNER_CHILDREN - 1) // INNER_CHILDREN
        total += level
    return total


@njit(cache=True, nogil=True)
def build_lines(firsts, counts, starts, values, lines, roots):
    """Encode tables `starts[firsts[t] : firsts[t] + counts[t]]` one behind the other into `lines` (zeroed) and `roots`."""
    at = 0
    for t in range(roots.shape[0]):
        first, count = firsts[t], counts[t]
        width, level_first, level_len, depth = 1, at, 0, 0
        while width == 1 or level_len > 1:  # leaves, then levels above them until one line is left
            below_first, below_len = level_first, level_len
            level_first = at
            fan, num_ends = (LEAF_INTERVALS, 7) if width == 1 else (INNER_CHILDREN, 15)
            num_children = count if width == 1 else below_len
            level_len = (num_children + fan - 1) // fan
            for node in range(level_len):
                for k in range(num_ends):
                    following = (node * fan + k + 1) * width  # interval that begins behind child k
                    lines[at * LINE + k] = starts[first + following] - np.uint32(1) if following < count else np.uint32(_UNUSED)
                if width == 1:
                    for k in range(min(fan, count - node * fan)):
                        lines[at * LINE + 7 + k] = np.uint32(values[first + node * fan + k] + 1)
                else:
                    lines[at * LINE + 15] = np.uint32(below_first + node * fan)
                at += 1
            depth += width > 1
            width *= fan
        roots[t] = np.uint32(level_first << 3 | depth)
    return at


@njit(cache=True, nogil=True, forceinline=True)
def leaf_of(pool, table, addr):
    """The leaf line that holds the address. Indices are unsigned, or numba would look for negative ones, which count from the end."""
    root = np.int64(pool.roots[np.uint64(table)])
    line = root >> 3
    for _ in range(root & 7):
        line = np.int64(pool.lines[np.uint64(line * LINE + 15)]) + count_below(pool.lines, line, INNER_ENDS, addr)
    return line


@njit(cache=True, nogil=True, forceinline=True)
def value_in_leaf(pool, line, addr):
    """The value in that leaf line, -1 where nothing matches."""
    at = line * LINE + 7 + count_below(pool.lines, line, LEAF_ENDS, addr)
    return np.int32(np.int64(pool.lines[np.uint64(at)]) - 1)


@njit(cache=True, nogil=True, forceinline=True)
def tree_one(pool, table, addr):
    """Value of an address outside the table's region."""
    return value_in_leaf(pool, leaf_of(pool, table, addr), addr)


@njit(cache=True, nogil=True, forceinline=True)
def pool4_one(pool, table, addr):
    """Value of the longest match of one uint32 address in one table, or -1. Precondition: 0 <= table < num_tables."""
    head = pool.heads[np.uint64(table)]
    offset, outside = offset_and_outside(np.int64(head & np.uint64(0xFFFFFFFF)), np.int64(addr))
    if outside != 0:
        return tree_one(pool, table, addr)
    return value_inside(pool, head, offset)


@njit(cache=True, nogil=True)
def plain_batch4(pool, tables, addrs, out):
    for i in range(addrs.shape[0]):
        out[i] = pool4_one(pool, tables[i], addrs[i])


@njit(cache=True, nogil=True, forceinline=True)
def _leaf_lanes(lines, line, addr):
    """Values of 64 addresses in 64 leaf lines: bisection in seven ends."""
    at = line << 4
    below = less(gather32(lines, at + 3), addr) << 2
    below = below + (less(gather32(lines, at + below + 1), addr) << 1)
    below = below + less(gather32(lines, at + below), addr)
    return gather32(lines, at + below + 7) - 1


@njit(cache=True, nogil=True, forceinline=True)
def _mixed_64(pool, tables, addr, out, at):
    """64 rows of several tables -> bits of the rows that are still to be done: outside and few, or in a tree of several levels."""
    table = load_lanes(tables, at)
    head, first_word = gather64(pool.heads, table)
    offset, outside = offset_and_outside(head, addr)
    found = lanes_inside(pool, head, first_word, offset, outside)
    left = nonzero_bits(outside)
    if popcount_one(left) <= _FEW:
        store_lanes(out, at, found)
        return left
    root = choose(outside, gather32(pool.roots, table), 0)
    store_lanes(out, at, choose(outside, _leaf_lanes(pool.lines, choose(root & 7, 0, root >> 3), addr), found))
    return nonzero_bits(root & 7)


@njit(cache=True, nogil=True, forceinline=True)
def _grouped_64(pool, table, addr, out, at):
    """64 rows of one table -> as `_mixed_64`."""
    head = np.int64(pool.heads[table])
    offset, outside = offset_and_outside(head & 0xFFFFFFFF, addr)
    found = lanes_inside(pool, head & 0xFFFFFFFF, (head >> 32) & 0xFFFFFFFF, offset, outside)
    left = nonzero_bits(outside)
    if popcount_one(left) <= _FEW:
        store_lanes(out, at, found)
        return left
    root = np.int64(pool.roots[table])
    first = (root >> 3) * LINE
    below = less(pool.lines[np.uint64(first)], addr)
    for k in range(1, 7):
        below = below + less(pool.lines[np.uint64(first + k)], addr)
    store_lanes(out, at, choose(outside, gather32(pool.lines, below + (first + 7)) - 1, found))
    return left if root & 7 != 0 else np.uint64(0)


@njit(cache=True, nogil=True)
def gather_batch4(pool, tables, addrs, out):
    """As `plain_batch4`, 64 rows at a time; needs AVX-512. Rows that are left wait until a stretch is done: in a loop of their own they
    overlap, between blocks of 64 they doubled the time."""
    waiting = np.empty(STRETCH, np.int64)
    num_rows = addrs.shape[0]
    for begin in range(0, num_rows, STRETCH):
        end = min(begin + STRETCH, num_rows)
        whole = begin + (end - begin) // NUM_LANES * NUM_LANES
        num_waiting = 0
        for at in range(begin, whole, NUM_LANES):
            addr = load_lanes(addrs, at)
            if nonzero_bits(load_lanes(tables, at) ^ tables[at]) == 0:
                left = _grouped_64(pool, np.uint64(tables[at]), addr, out, at)
            else:
                left = _mixed_64(pool, tables, addr, out, at)
            num_waiting = note_rows(waiting, num_waiting, at, left)
        for k in range(num_waiting):
            i = np.uint64(waiting[k])
            out[i] = tree_one(pool, tables[i], addrs[i])
        for i in range(whole, end):
            out[i] = pool4_one(pool, tables[i], addrs[i])


@njit(cache=True, nogil=True)
def pool6_one(pool, table, hi, lo):
    """Value of the longest match of one IPv6 address in one table, or -1: bisection in the table's starts."""
    low = pool.firsts[table]
    size = pool.counts[table]
    while size > 1:
        half = size >> 1
        start_hi, start_lo = pool.starts[low + half, 0], pool.starts[low + half, 1]
        if start_hi < hi or (start_hi == hi and start_lo <= lo):
            low += half
        size -= half
    return pool.values[low]


@njit(cache=True, nogil=True)
def batch6(pool, tables, addrs, out):
    for i in range(addrs.shape[0]):
        out[i] = pool6_one(pool, tables[i], addrs[i, 0], addrs[i, 1])
