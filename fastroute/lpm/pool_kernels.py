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

from fastroute.lpm.lanes import NUM_LANES, choose, gather32, gather64, less, load_lanes, nonzero_bits, note_rows, popcount, store_lanes
from fastroute.lpm.rank import popcount_one
from fastroute.lpm.regions import lanes_inside, offset_and_outside, region_words, value_inside

LINE = 16
POOL_STRETCH = 256
"""Rows that go through a stage together: more of them overlap more misses, until their scratch leaves L1."""
_FEW = 16
"""Rows of 64 outside their regions up to which one after the other costs less than all 64 in lanes."""
_FAR, _NEAR, _MOST_FETCHED = 512, 256, 512
"""Rows ahead of which the words and the values of the next table are asked for; elements of either that are asked for at most."""
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


def prefetch(array, index):
    """Ask for the cache line of `array[index]` and go on; any index is allowed."""


@intrinsic
def _prefetch(typing_context, array, index):
    def generate(context, builder, signature, arguments):
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        i32, pointer = ir.IntType(32), ir.IntType(8).as_pointer()
        kind = ir.FunctionType(ir.VoidType(), [pointer, i32, i32, i32])
        call = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
        at = builder.bitcast(builder.gep(data, [arguments[1]]), pointer)
        builder.call(call, [at, *(ir.Constant(i32, number) for number in (0, 3, 1))])  # to read, into every cache, data
        return context.get_dummy_value()

    return types.void(array, index), generate


@overload(prefetch)
def _prefetch_compiled(array, index):
    return lambda array, index: _prefetch(array, index)  # noqa: PLW0108 - numba wants a function


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


@njit(cache=True, nogil=True, forceinline=True)
def _are_tables(tables, begin, end, num_tables):
    """Whether all are numbers of tables: as unsigned, negative numbers are large ones. Checked where they are about to be read anyway,
    as a pass of its own took a tenth of a grouped look-up."""
    largest = np.uint32(0)
    for i in range(begin, end):
        largest = max(largest, np.uint32(tables[np.uint64(i)]))
    return begin == end or largest < num_tables


@njit(cache=True, nogil=True)
def plain_batch4(pool, tables, addrs, out):
    """Returns how many rows it answered: all, or those before a stretch with a table that is not there."""
    num_rows = addrs.shape[0]
    for begin in range(0, num_rows, POOL_STRETCH):
        end = min(begin + POOL_STRETCH, num_rows)
        if not _are_tables(tables, begin, end, pool.roots.shape[0]):
            return begin
        for i in range(begin, end):
            out[i] = pool4_one(pool, tables[i], addrs[i])
    return num_rows


@njit(cache=True, nogil=True, forceinline=True)
def _leaf_lanes(lines, line, addr):
    """Values of 64 addresses in 64 leaf lines: bisection in seven ends."""
    at = line << 4
    below = less(gather32(lines, at + 3), addr) << 2
    below = below + (less(gather32(lines, at + below + 1), addr) << 1)
    below = below + less(gather32(lines, at + below), addr)
    return gather32(lines, at + below + 7) - 1


@njit(cache=True, nogil=True, forceinline=True)
def _mixed_rows(pool, tables, addrs, out, begin, end, scratch, waiting):
    """Rows `begin` to `end` of several tables, a stage at a time for all of them: what a stage has to wait for, it waits for once. Scratch
    stays in L1. Returns the number of rows that are left in `waiting`: outside and few, or in a tree of several levels."""
    num_waiting = 0
    for at in range(begin, end, NUM_LANES):
        here = at - begin
        head, first_word = gather64(pool.heads, load_lanes(tables, at))
        offset, outside = offset_and_outside(head, load_lanes(addrs, at))
        slot = choose(outside, 0, offset >> (head & 31))
        store_lanes(scratch[0], here, first_word + (slot >> 5))
        store_lanes(scratch[1], here, slot & 31)
        store_lanes(scratch[2], here, outside)
        left = nonzero_bits(outside)
        if popcount_one(left) <= _FEW:
            num_waiting = note_rows(waiting, num_waiting, at, left)
    for k in range(num_waiting):
        prefetch(pool.lines, np.int64(pool.roots[np.uint64(tables[np.uint64(waiting[k])])] >> np.uint32(3)) * LINE)
    for here in range(0, end - begin, NUM_LANES):
        starts, count = gather64(pool.words, load_lanes(scratch[0], here))
        store_lanes(scratch[0], here, count + popcount(starts & ((2 << load_lanes(scratch[1], here)) - 1)) - 1)
    for at in range(begin, end, NUM_LANES):
        found, outside = gather32(pool.values, load_lanes(scratch[0], at - begin)), load_lanes(scratch[2], at - begin)
        if popcount_one(nonzero_bits(outside)) > _FEW:
            root = choose(outside, gather32(pool.roots, load_lanes(tables, at)), 0)
            leaf = choose(root & 7, 0, root >> 3)
            found = choose(outside, _leaf_lanes(pool.lines, leaf, load_lanes(addrs, at)), found)
            num_waiting = note_rows(waiting, num_waiting, at, nonzero_bits(root & 7))
        store_lanes(out, at, found)
    return num_waiting


@njit(cache=True, nogil=True, forceinline=True)
def _grouped_64(pool, table, addr, out, at):
    """64 rows of one table -> bits of the rows that are still to be done."""
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


@njit(cache=True, nogil=True, forceinline=True)
def _fetch_region(pool, table):
    """Ask for the words of a table's region and for its tree's top line."""
    head, root = pool.heads[table], pool.roots[table]
    first, num_words = np.int64(head >> np.uint64(32)), region_words(np.int64(head & np.uint64(0xFFFFFFFF)))
    for at in range(first, first + min(num_words, _MOST_FETCHED), 8):
        prefetch(pool.words, at)
    prefetch(pool.words, first + num_words - 1)
    prefetch(pool.lines, np.int64(root >> np.uint32(3)) * LINE)


@njit(cache=True, nogil=True, forceinline=True)
def _fetch_values(pool, table):
    """Ask for the values of a table's region, whose words have come."""
    head = pool.heads[table]
    first, num_words = head >> np.uint64(32), region_words(np.int64(head & np.uint64(0xFFFFFFFF)))
    begin = np.int64(pool.words[first] >> np.uint64(32))
    end = np.int64(pool.words[first + np.uint64(num_words - 1)] >> np.uint64(32)) + 32
    for at in range(begin, min(end, begin + _MOST_FETCHED), LINE):
        prefetch(pool.values, at)


@njit(cache=True, nogil=True, forceinline=True)
def _fetch_ahead(pool, tables, begin, end):
    """Where rows come grouped by table: bring in what the tables of later stretches need. A loop of its own: inside the look-ups' it
    took their registers and doubled the time."""
    last, num_tables = tables.shape[0] - NUM_LANES, pool.roots.shape[0]
    for at in range(begin, min(end, last - _FAR), NUM_LANES):
        far, near = at + _FAR, at + _NEAR
        table = tables[far]
        if table != tables[far - NUM_LANES] and table == tables[far + NUM_LANES - 1] and 0 <= table < num_tables:
            _fetch_region(pool, np.uint64(table))
        table = tables[near]
        if table != tables[near - NUM_LANES] and table == tables[near + NUM_LANES - 1] and 0 <= table < num_tables:
            _fetch_values(pool, np.uint64(table))


@njit(cache=True, nogil=True, forceinline=True)
def _is_grouped(tables, begin, end):
    """Whether most blocks of 64 rows begin and end in one table: a guess, which each block then checks."""
    same = 0
    for at in range(begin, end, NUM_LANES):
        same += NUM_LANES if tables[at] == tables[at + NUM_LANES - 1] else 0
    return 2 * same > end - begin


@njit(cache=True, nogil=True)
def gather_batch4(pool, tables, addrs, out):
    """As `plain_batch4`, 64 rows at a time; needs AVX-512. Every stretch takes the grouped or the mixed form, as its tables lie. Rows that
    are left wait until the stretch is done: in a loop of their own they overlap, between blocks of 64 they doubled the time."""
    waiting = np.empty(POOL_STRETCH, np.int64)
    scratch = np.empty(POOL_STRETCH, np.uint32), np.empty(POOL_STRETCH, np.uint32), np.empty(POOL_STRETCH, np.uint32)
    num_rows = addrs.shape[0]
    for begin in range(0, num_rows, POOL_STRETCH):
        end = min(begin + POOL_STRETCH, num_rows)
        whole = begin + (end - begin) // NUM_LANES * NUM_LANES
        num_waiting = 0
        if not _are_tables(tables, begin, end, pool.roots.shape[0]):
            return begin
        if _is_grouped(tables, begin, whole):
            _fetch_ahead(pool, tables, begin, whole)
            for at in range(begin, whole, NUM_LANES):
                if nonzero_bits(load_lanes(tables, at) ^ tables[at]) == 0:
                    left = _grouped_64(pool, np.uint64(tables[at]), load_lanes(addrs, at), out, at)
                    num_waiting = note_rows(waiting, num_waiting, at, left)
                else:
                    for i in range(at, at + NUM_LANES):
                        out[i] = pool4_one(pool, tables[i], addrs[i])
        else:
            num_waiting = _mixed_rows(pool, tables, addrs, out, begin, whole, scratch, waiting)
        for k in range(num_waiting):
            i = np.uint64(waiting[k])
            out[i] = tree_one(pool, tables[i], addrs[i])
        for i in range(whole, end):
            out[i] = pool4_one(pool, tables[i], addrs[i])
    return num_rows
