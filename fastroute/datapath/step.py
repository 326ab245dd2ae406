"""The first hop of many flows in one step: whose addresses they are, and by which rule, table and interface the source's node sends them.

What `locate` and `walk` answer for simulated flows, as far as the source's node decides: for callers that have addresses and want no path.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastroute.addr import kernels
from fastroute.addr.buffers import frozen
from fastroute.cni.naming import RULE_EXTERNAL_SERVICE, RULE_MAIN, RULE_MARKED, RULE_TO_POD
from fastroute.datapath.state import I32, Compiled, FibExit, RangeFlag, RowFlag, Source
from fastroute.datapath.step_kernels import (
    IS_BROADCAST,
    NO_IDENTITY,
    NUM_OVERRIDES,
    RARE,
    End,
    Override,
    gather_hops4,
    largest_space,
    places4,
    plain_hops,
)
from fastroute.errors import AddressError, SnapshotError
from fastroute.lpm import Pool6, pool6_lookup
from fastroute.lpm.batch import rows4, rows6
from fastroute.lpm.prepare import intervals4
from fastroute.lpm.rank import ROOT_SIZE, build_rank
from fastroute.vocab import IN_CLUSTER, Kind

U32 = NDArray[np.uint32]
U64 = NDArray[np.uint64]

_EVERY = np.empty(0, np.int64)


class Ends(NamedTuple):
    """(num_places,) each; the encodings stand in `step_kernels`. The last place is nobody's."""

    places: U64
    identities: U32
    """Number of the pod, NO_IDENTITY for ends that are none."""


class Step(NamedTuple):
    """A compiled snapshot in the form of `first_hops`."""

    root: U32
    words: U64
    ends4: Ends
    ends6: Ends
    links: I32
    """(num_rows + 1,) by row + 1: space to look the address up in instead, or -1."""
    sources: U64
    interfaces: U32
    destinations: U64
    choices: NDArray[np.uint16]
    exits: U32


class StepTables(NamedTuple):
    """What `first_hops` reads: the step and, for IPv6, the snapshot's own look-up."""

    step: Step
    pool6: Pool6
    num_spaces: int


class FirstHops(NamedTuple):
    """(n,) int32 each, -1 is null: rows of `compiled.rows`, and what the source's node does, in the codes of `walk`'s answers."""

    src_row: I32
    dst_row: I32
    rule_priority: I32
    table: I32
    out_eni: I32


def first_hops(tables: StepTables, spaces: ArrayLike, src: ArrayLike, dst: ArrayLike, out: FirstHops | None = None) -> FirstHops:
    """Find the first hop of each flow: both ends, and the rule, table and interface by which the source's node sends it.

    Parameters
    ----------
    tables : StepTables
        What `build_step` made of a compiled snapshot.
    spaces : (n,) integers
        Address space of the flow (`compiled.spaces`), -1 where it is not known.
    src, dst : (n,) uint32 in host byte order, or (n, 2) uint64 as (hi, lo); both of one family
    out : FirstHops, optional
        (n,) contiguous int32 each; filled and returned when given.

    Returns
    -------
    FirstHops
        As `locate` and then `walk(recorded=False)` answer for flows without ports: `rule_priority` and `table` are those of the deciding
        look-up, also for flows that stay on the node; `out_eni` is -1 where no interface is crossed.

    Raises
    ------
    AddressError
        A space that the snapshot does not have, unequal lengths, two families, or an `out` that does not fit.

    Notes
    -----
    Two dependent loads find an IPv4 end, one more its attributes; all else fits the second-level cache. Of several owners that an address
    had, it answers for the one that `locate` gives, whatever the time of the flow.
    """
    known = _known_spaces(spaces, tables.num_spaces)
    is_wide = np.asarray(src).ndim == 2
    rows = rows6 if is_wide else rows4
    src, dst = rows(src), rows(dst)
    n = known.shape[0]
    if src.shape[0] != n or dst.shape[0] != n:
        raise AddressError(f"{n} spaces, {src.shape[0]} sources and {dst.shape[0]} destinations; the lengths must be equal")
    hops = _output(out, n)
    step = tables.step
    if is_wide:
        plain_hops(step, step.ends6, _places6(tables, known, src), _places6(tables, known, dst), _EVERY, hops)
        return hops
    left, num_left = _EVERY, n
    if kernels() == "avx512":
        rare = np.empty(n, np.int64)
        num_left = gather_hops4(step, known, src, dst, hops, rare)
        left = rare[:num_left]
    if num_left:
        src_places, dst_places = np.empty(num_left, np.int64), np.empty(num_left, np.int64)
        places4(step, known, src, left, src_places)
        places4(step, known, dst, left, dst_places)
        plain_hops(step, step.ends4, src_places, dst_places, left, hops)
    return hops


def _places6(tables: StepTables, spaces: I32, addrs: NDArray[Any]) -> NDArray[np.int64]:
    """Rows of IPv6 addresses, behind a link the row that it leads to; nobody's place for none."""
    rows = np.full(len(spaces), -1, np.int32)
    asked, space = np.flatnonzero(spaces >= 0), spaces
    while len(asked):
        rows[asked] = pool6_lookup(tables.pool6, space[asked], addrs[asked])
        if space is not spaces:  # a link leads to an owner
            break
        space = tables.step.links[rows + 1]
        asked = np.flatnonzero(space >= 0)
    return np.where(rows >= 0, rows, len(tables.step.ends6.places) - 1).astype(np.int64)


def empty_first_hops(n: int) -> FirstHops:
    """Room for the answers of n flows, to be used again: each column begins on a cache line, which makes the step a twelfth faster."""
    line = 16
    width = -(-n // line) * line
    room = np.empty(len(FirstHops._fields) * width + line, np.int32)
    first = -room.ctypes.data % (4 * line) // 4
    return FirstHops(*(room[first + k * width : first + k * width + n] for k in range(len(FirstHops._fields))))


def _known_spaces(spaces: ArrayLike, num_spaces: int) -> I32:
    given = np.asarray(spaces)
    if given.ndim != 1 or (given.size and given.dtype.kind not in "iu"):
        raise AddressError(f"spaces of shape {given.shape} and dtype {given.dtype}: pass (n,) integers")
    known: I32 = frozen(given, np.int32)
    if given.dtype != np.int32 or largest_space(known) > num_spaces:
        bad = np.flatnonzero((given < -1) | (given >= num_spaces))
        if bad.size:
            raise AddressError(f"spaces[{bad[0]}]: {given[bad[0]]} is not one of the snapshot's {num_spaces} spaces, nor -1")
    return known


def _output(out: FirstHops | None, n: int) -> FirstHops:
    if out is None:
        return empty_first_hops(n)
    for name, column in out._asdict().items():
        if column.shape != (n,) or column.dtype != np.int32 or not column.flags.c_contiguous or not column.flags.writeable:
            raise AddressError(f"out.{name}: pass a writable contiguous int32 array of {n} rows, not {column.dtype} {column.shape}")
    return out


# --- building -----------------------------------------------------------------------------------------------------------------------


def build_step(compiled: Compiled) -> StepTables:
    """Bring a compiled snapshot into the form of `first_hops`.

    Raises
    ------
    SnapshotError
        More destination classes, tables or exits than its words can number; `locate` and `walk` take such a snapshot.

    Notes
    -----
    About 12 bytes an address interval and 256 KB a space; a snapshot of 140,000 addresses takes 0.3 s.
    """
    num_spaces = max(len(compiled.spaces), 1)
    root, words, values = _ranks(compiled, num_spaces)
    group_of_row, sources, interfaces, destinations, choices, exits = _groups(compiled)
    identities = _identities(compiled)
    num_addressed = len(compiled.prefixes.family)
    step = Step(
        frozen(root),
        frozen(words),
        _ends(values, group_of_row, identities),
        _ends(np.arange(num_addressed, dtype=np.int32), group_of_row, identities),
        frozen(np.concatenate(([-1], compiled.rows.link_space)), np.int32),
        frozen(sources),
        frozen(interfaces),
        frozen(destinations),
        frozen(choices),
        frozen(exits),
    )
    return StepTables(step, compiled.pool6, len(compiled.spaces))


def _ranks(compiled: Compiled, num_spaces: int) -> tuple[U32, U64, I32]:
    """Rank tables of all spaces behind each other -> (root, words, row of every interval)."""
    family, _, lo, length, space = compiled.prefixes
    # Of the rows of one address the look-up gives the first; the others are told by time.
    keys = space.astype(np.uint64) << np.uint64(38) | lo << np.uint64(6) | length
    rows = np.flatnonzero(family == 4)
    rows = rows[np.unique(keys[rows], return_index=True)[1]]
    found = intervals4(lo[rows].astype(np.uint32), length[rows], rows.astype(np.int32), space[rows], num_spaces)
    root = np.empty((num_spaces, ROOT_SIZE), np.uint32)
    parts: list[U64] = []
    num_words = 0
    for s in range(num_spaces):
        here = slice(int(found.offsets[s]), int(found.offsets[s + 1]))
        starts, values = found.starts[here], found.values[here]
        every = np.ones(len(starts), np.bool_)  # the row of an interval without a match is -1, and as good as any
        part = np.empty(build_rank(starts, values, every, root[s], np.empty(0, np.uint64)), np.uint64)
        build_rank(starts, values, every, root[s], part)
        parts.append(part + (np.uint64(here.start) << np.uint64(32)))
        root[s] += np.uint32(num_words << 5)
        num_words += len(part)
    if num_words >= 1 << 27:
        raise SnapshotError(
            f"the snapshot's IPv4 spaces take {num_words:,} rank words, a root entry can number {1 << 27:,}; split it by VPC"
        )
    return root.ravel(), np.concatenate(parts), found.values


def _ends(rows: I32, group_of_row: U32, identities: U32) -> Ends:
    every = np.append(rows, np.int32(-1)).astype(np.int64)
    places = (every + 1).astype(np.uint64) | group_of_row[every + 1].astype(np.uint64) << np.uint64(32)
    return Ends(frozen(places), frozen(identities[every + 1]))


def _identities(compiled: Compiled) -> U32:
    """(num_rows + 1,) by row + 1: which pod it is."""
    rows = compiled.rows
    is_pod = (rows.pod >= 0) & np.isin(rows.kind, [int(kind) for kind in IN_CLUSTER])
    found = np.full(len(rows.kind) + 1, NO_IDENTITY, np.uint32)
    keys = np.column_stack((rows.kind, rows.namespace, rows.pod)).astype(np.int64)[is_pod]
    if len(keys):
        found[1:][is_pod] = np.unique(keys, axis=0, return_inverse=True)[1].ravel().astype(np.uint32)
    return found


def _groups(compiled: Compiled) -> tuple[U32, U64, U32, U64, NDArray[np.uint16], U32]:
    """Group of every row, by row + 1; then sources, interfaces and destinations by group; choices and exits."""
    rows, tables = compiled.rows, compiled.tables
    num_classes = tables.decisions.fib.shape[1]
    if num_classes >= 1 << 24:
        raise SnapshotError(f"the snapshot has {num_classes:,} destination classes, a first hop can tell {1 << 24:,}; split it by VPC")
    primary, source_class, choices, exits = _choices(compiled)
    is_rare = (rows.link_space >= 0) | (rows.row_flags & RowFlag.LOOPBACK != 0)
    low = (rows.node + 1).astype(np.int64) | np.where(is_rare, RARE, 0)
    first = source_class * (NUM_OVERRIDES + num_classes)
    if len(first) and int(first.max()) >= 1 << 30:
        raise SnapshotError(
            f"the snapshot has {int(source_class.max()):,} kinds of sources, more than a first hop can tell; split it by VPC"
        )
    columns = np.column_stack(
        (
            low | first << 32,
            (rows.eni + 1).astype(np.int64) | (primary + 1).astype(np.int64) << 32,
            low | (rows.dst_class.astype(np.int64) | _end_flags(compiled) << 24) << 32,
        )
    )
    nobody = np.array([[0, 0, int(End.NOTHING) << 56]], np.int64)
    distinct, group = np.unique(np.concatenate((nobody, columns)), axis=0, return_inverse=True)
    sources, interfaces, destinations = np.ascontiguousarray(distinct.T).view(np.uint64)
    # little endian: the low half is the first of two
    return group.ravel().astype(np.uint32), sources, interfaces.astype("<u8").view(np.uint32), destinations, choices, exits


def _end_flags(compiled: Compiled) -> NDArray[np.int64]:
    """(num_rows,) End flags."""
    rows = compiled.rows
    found = np.zeros(len(rows.kind), np.int64)
    for row_flag, flag in (
        (RowFlag.NODE_LOCAL, End.NODE_LOCAL),
        (RowFlag.POD_ROUTE, End.POD_ROUTE),
        (RowFlag.AGENT, End.AGENT),
        (RowFlag.LOOPBACK, End.LOOPBACK),
    ):
        found[rows.row_flags & row_flag != 0] |= flag
    found[np.isin(rows.kind, (Kind.UNKNOWN, Kind.SERVICE))] |= End.NOTHING
    found[np.isin(rows.kind, (Kind.POD, Kind.HOST_POD, Kind.NODE))] |= End.NETNS
    return found


def _choices(compiled: Compiled) -> tuple[I32, NDArray[np.int64], NDArray[np.uint16], U32]:
    """(primary interface of each row's node, source class of each row, choices, exits).

    Rows whose node decides alike are one source class. The rules and their order are those of `walk.exit_of_node`.
    """
    rows, tables = compiled.rows, compiled.tables
    nodes, decisions = tables.nodes, tables.decisions
    num_classes = decisions.fib.shape[1]
    is_sent = np.isin(rows.source, (Source.POD, Source.HOST)) & ~np.isin(rows.kind, (Kind.UNKNOWN, Kind.SERVICE))
    is_bare = (rows.source == Source.BARE) & ~np.isin(rows.kind, (Kind.UNKNOWN, Kind.SERVICE))
    node = np.where(rows.node >= 0, rows.node, 0)

    def of_node(column: NDArray[np.int32]) -> I32:
        found: I32 = np.where(rows.node >= 0, column[node] if len(column) else 0, -1).astype(np.int32)
        return found

    primary = of_node(nodes.primary_eni)
    about = np.column_stack(
        (rows.source, of_node(nodes.main_profile), of_node(nodes.ranges), of_node(nodes.local_rule), rows.rule, rows.table)
    ).astype(np.int64)
    about[is_bare, 1:] = 0
    about[~is_sent & ~is_bare] = -1
    nothing = np.full((1, about.shape[1]), -1, np.int64)
    kinds, source_class = np.unique(np.concatenate((nothing, about)), axis=0, return_inverse=True)
    numbers: dict[int, int] = {0: 0}

    def exit_of(rule: int, table: int, which: int) -> int:
        if rule + 1 >= 1 << 15 or table + 1 >= 1 << 15 or len(numbers) >= IS_BROADCAST:
            raise SnapshotError("the snapshot has more routing tables than a first hop can tell; split it by VPC")
        return numbers.setdefault((rule + 1) | (table + 1) << 15 | which << 30, len(numbers))

    choices = np.zeros((len(kinds), NUM_OVERRIDES + num_classes), np.uint16)
    for (source, main, ranges, local_rule, rule, table), line in zip(kinds.tolist(), choices, strict=True):
        if source == Source.BARE:
            line[:] = exit_of(-1, -1, 1)
        elif source >= 0:
            local = exit_of(local_rule, tables.table_local, 0)
            line[Override.LOCAL], line[Override.TO_POD] = local, exit_of(RULE_TO_POD, tables.table_main, 0)
            flags = decisions.ranges[ranges] if ranges >= 0 else np.zeros(num_classes, np.uint8)
            by_class = line[NUM_OVERRIDES:]
            by_class[:] = exit_of(rule, table, 2 if rule == RULE_MAIN else 1)
            by_class[flags & RangeFlag.EXTERNAL_SERVICE != 0] = exit_of(RULE_EXTERNAL_SERVICE, tables.table_main, 2)
            if source == Source.POD:
                by_class[flags & RangeFlag.SNAT != 0] = exit_of(RULE_MARKED, tables.table_main, 2)
            by_class[decisions.fib[main] == FibExit.BROADCAST] = local | IS_BROADCAST
        line[Override.NOTHING] = 0
    lines, alike = np.unique(choices.view(np.dtype((np.void, choices.strides[0]))).ravel(), return_inverse=True)
    padded = np.append(lines.view(np.uint16), np.zeros(2, np.uint16))  # a gather reads 32 bits
    return primary, alike[source_class.ravel()[1:]].astype(np.int64), padded, np.fromiter(numbers, np.uint32, len(numbers))
