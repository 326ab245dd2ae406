"""The walk over compiled cells, for many packets at once: an atom for each address, a class, a cell; the same again for the source.

Every row ends with a verdict, or with PENDING (a class that is not built yet; it is marked in `needed`) or PLAIN (not compiled).
"""
# mypy: ignore-errors

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from fastroute.netns.decision import Reason, Verdict
from fastroute.netns.model import RouteType

VERDICTS = tuple(Verdict)
REASONS = tuple(Reason)
TYPES = tuple(RouteType)

FORWARD, OUTPUT, LOCAL, BROADCAST = (VERDICTS.index(v) for v in (Verdict.FORWARD, Verdict.OUTPUT, Verdict.LOCAL, Verdict.BROADCAST))
MULTICAST, ERROR, UNDECIDED = (VERDICTS.index(v) for v in (Verdict.MULTICAST, Verdict.ERROR, Verdict.UNDECIDED))
PENDING, PLAIN = len(VERDICTS), len(VERDICTS) + 1

NONE, NO_ROUTE, MARTIAN_SOURCE = (REASONS.index(r) for r in (Reason.NONE, Reason.NO_ROUTE, Reason.MARTIAN_SOURCE))
MARTIAN_DESTINATION, RP_FILTER = (REASONS.index(r) for r in (Reason.MARTIAN_DESTINATION, Reason.RP_FILTER))
FORWARDING_OFF, SOURCE_NOT_LOCAL = (REASONS.index(r) for r in (Reason.FORWARDING_OFF, Reason.SOURCE_NOT_LOCAL))
MISSING_SYSCTL = REASONS.index(Reason.MISSING_SYSCTL)

T_UNICAST, T_LOCAL, T_BROADCAST = (TYPES.index(t) for t in (RouteType.UNICAST, RouteType.LOCAL, RouteType.BROADCAST))
T_ANYCAST, T_MULTICAST = (TYPES.index(t) for t in (RouteType.ANYCAST, RouteType.MULTICAST))

ATOM_SPECIAL, ATOM_LOCAL, ATOM_OWN, ATOM_BITS = 1, 2, 4, 3
"""Bits of an atom's word below its source class. Special: zero, loopback, multicast, limited broadcast (IPv6: bound to a link), which are
the plain walk's; local: by the local table or an interface; own: an interface's."""

FORWARDS, HAS_ADDR, KEEPS_MARK, REDIRECTS, IS_PLAIN = 1, 2, 4, 8, 16
RP_SHIFT, INPUT_SHIFT = 5, 7
"""An interface's word: five bits, rp_filter in two (3: not known), the input class above. IS_PLAIN: accept_local, localnet, no link."""

RP_UNKNOWN = 3
CODE_OUTPUT, CODE_LOOPBACK = 0, 1
"""Interface codes: none (a packet made here), `lo`; then the others."""

REASON_SHIFT, TYPE_SHIFT, MULTIPATH_SHIFT, MARTIAN_SHIFT, DEVICE_SHIFT = 32, 40, 44, 45, 46
LOW_32 = 0xFFFFFFFF
T_NOTHING, T_PLAIN, T_PENDING = 13, 14, 15
"""A cell: kind and route in the low 32 bits, the reason of a refusal in 8, the route's type in 4 (or one of these: refused or no route, ask
the plain walk, class not built), whether there is a choice of hops, whether an unbound packet would leave with a loopback source, and the
first hop's interface in 16."""

CELL_NO_ROUTE = (T_NOTHING << TYPE_SHIFT) | (NO_ROUTE << REASON_SHIFT) | LOW_32
CELL_PLAIN = (T_PLAIN << TYPE_SHIFT) | LOW_32
CELL_PENDING = (T_PENDING << TYPE_SHIFT) | LOW_32

OUTCOME_SHIFT = 4
"""An outcome is a verdict, with its reason above."""

SOURCE_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)
MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
MIX_2 = np.uint64(0x94D049BB133111EB)


class Compiled(NamedTuple):
    """What the kernels read of one family."""

    atom_word: NDArray[np.int32]  # (num_atoms,) source class and bits
    interface_word: NDArray[np.int32]  # (num_interfaces,) by code
    mark_values: NDArray[np.uint32]  # (num_marks,)
    mark_masks: NDArray[np.uint32]
    class_of: NDArray[np.int32]  # (num_combinations,) row of cells, negative where not built
    cells: NDArray[np.int64]  # (num_rows, num_atoms)
    num_inputs: int
    route_bits: int
    validates_always: bool
    zero_atom: int
    hop_offsets: NDArray[np.int32]  # (num_routes + 1,)
    hop_interface: NDArray[np.int32]  # (num_hops,)
    hop_weight: NDArray[np.int64]


class Rows(NamedTuple):
    """Where the answers go, (n,) each. `cell` is the deciding one, `hop` a position in the hop arrays, -1 where none is taken."""

    verdict: NDArray[np.int8]
    reason: NDArray[np.int8]
    cell: NDArray[np.int64]
    hop: NDArray[np.int32]


@njit(cache=True, nogil=True)
def mark_bits(values, masks, mark):
    """Bit i: the mark is what the i-th mark selector asks for."""
    bits = 0
    for i in range(values.shape[0]):
        if (mark & masks[i]) == values[i]:
            bits |= 1 << i
    return bits


@njit(cache=True, nogil=True)
def cell_at(class_of, cells, needed, combination, atom):
    """The deciding cell, or CELL_PENDING, the combination being marked as needed."""
    row = class_of[combination]
    if row < 0:
        needed[combination] = 1
        return np.int64(CELL_PENDING)
    return cells[row, atom]


@njit(cache=True, nogil=True)
def type_of(cell):
    """Route type of a cell, or one of T_NOTHING, T_PLAIN, T_PENDING."""
    return (cell >> TYPE_SHIFT) & 15


@njit(cache=True, nogil=True)
def reason_of(cell):
    """Why a cell leads nowhere."""
    return (cell >> REASON_SHIFT) & 0xFF


@njit(cache=True, nogil=True)
def device_of(cell):
    """Interface of a cell's first hop."""
    return (cell >> DEVICE_SHIFT) & 0xFFFF


@njit(cache=True, nogil=True)
def is_multipath(cell):
    """Whether a cell's route has several hops."""
    return (cell >> MULTIPATH_SHIFT) & 1


@njit(cache=True, nogil=True)
def is_martian(cell):
    """Whether an unbound packet would leave with a loopback source."""
    return (cell >> MARTIAN_SHIFT) & 1


@njit(cache=True, nogil=True)
def route_of(cell, route_bits):
    """Route number of a cell that has one."""
    return (cell & ((1 << route_bits) - 1)) - 1


@njit(cache=True, nogil=True)
def error(reason):
    """The outcome of a refusal."""
    return ERROR | (reason << OUTCOME_SHIFT)


@njit(cache=True, nogil=True)
def flow_hash(source, destination):
    """Of the two addresses folded to 64 bits: 0..2**31-1, as `multipath.flow_hash`."""
    x = np.uint64(source) * SOURCE_MULTIPLIER + np.uint64(destination)
    x = (x ^ (x >> np.uint64(30))) * MIX_1
    x = (x ^ (x >> np.uint64(27))) * MIX_2
    return np.int64((x ^ (x >> np.uint64(31))) >> np.uint64(33))


@njit(cache=True, nogil=True)
def hop_of(c, cell, source, destination):
    """Position of the hop that a flow takes; weights are shared out as in `multipath.choose_by_hash`."""
    route = route_of(cell, c.route_bits)
    first, end = c.hop_offsets[route], c.hop_offsets[route + 1]
    total = np.int64(0)
    for i in range(first, end):
        total += c.hop_weight[i]
    point = (flow_hash(source, destination) * total) >> 31
    for i in range(first, end):
        point -= c.hop_weight[i]
        if point < 0:
            return i
    return first


@njit(cache=True, nogil=True)
def any_leads_to(c, cell, code):
    """Whether any hop of a multipath cell leaves by an interface."""
    route = route_of(cell, c.route_bits)
    found = False
    for i in range(c.hop_offsets[route], c.hop_offsets[route + 1]):
        found |= c.hop_interface[i] == code
    return found


@njit(cache=True, nogil=True)
def validates(interface, leaves_as_it_came, source, always):
    """0: the source is accepted as it is, 1: it is looked up, 2: it is an own address, so a martian. As `source.refusal_of_source`."""
    rp = (interface >> RP_SHIFT) & 3
    if always or rp == 1 or rp == 2 or (leaves_as_it_came and interface & REDIRECTS):
        return 1
    if source & ATOM_OWN:
        return 2
    return 0 if rp == 0 else 1


@njit(cache=True, nogil=True)
def outcome_of_source(outcome, interface, kind, leads_back):
    """The outcome so far, unless the way back, of a route type, refuses the source that came by an interface."""
    rp = (interface >> RP_SHIFT) & 3
    strict_only = False
    if kind == T_PLAIN or kind == T_PENDING:
        return PLAIN if kind == T_PLAIN else PENDING
    if kind != T_NOTHING:
        if kind != T_UNICAST:
            return error(MARTIAN_SOURCE)
        if leads_back or rp == 0:
            return outcome
        strict_only = interface & HAS_ADDR != 0
    if rp == RP_UNKNOWN:
        return UNDECIDED | (MISSING_SYSCTL << OUTCOME_SHIFT)
    return error(RP_FILTER) if rp == 1 or (rp == 2 and not strict_only) else outcome


@njit(cache=True, nogil=True)
def outcome_of_output(cell):
    """What becomes of a packet that is made here."""
    kind = type_of(cell)
    if kind == T_PLAIN or kind == T_PENDING:
        return PLAIN if kind == T_PLAIN else PENDING
    if kind == T_NOTHING:
        return error(reason_of(cell))
    if kind == T_LOCAL:
        return LOCAL
    if kind == T_BROADCAST:
        return BROADCAST
    return MULTICAST if kind == T_MULTICAST else OUTPUT


@njit(cache=True, nogil=True)
def outcome_of_input(cell, interface):
    """What becomes of an IPv4 packet that arrives, its source not yet validated."""
    kind = type_of(cell)
    if kind == T_UNICAST:
        return FORWARD if interface & FORWARDS else error(FORWARDING_OFF)
    if kind == T_LOCAL:
        return LOCAL
    if kind == T_PLAIN or kind == T_PENDING:
        return PLAIN if kind == T_PLAIN else PENDING
    if kind == T_BROADCAST:
        return BROADCAST
    if not interface & FORWARDS:
        return error(FORWARDING_OFF)
    return error(reason_of(cell) if kind == T_NOTHING else MARTIAN_DESTINATION)


@njit(cache=True, nogil=True)
def decide4(c, needed, rows, source_atoms, atoms, src, dst, mark, code):
    """(n,) int32 atoms, (n,) uint32 addresses and marks, (n,) int32 interface codes -> rows.

    The arrays are taken out of their tuples once: a helper that is given the tuple counts references at every call, which costs more than
    the look-up. Addresses are read for what no atom tells: whether a source is there at all, and the choice of a next hop.
    """
    atom_word, interface_word, class_of, cells = c.atom_word, c.interface_word, c.class_of, c.cells
    values, masks, num_inputs, always = c.mark_values, c.mark_masks, c.num_inputs, c.validates_always
    verdicts, reasons, row_cells, hops = rows.verdict, rows.reason, rows.cell, rows.hop
    num_marks, zero = values.shape[0], atom_word[c.zero_atom]
    without_mark = mark_bits(values, masks, np.uint32(0))
    for i in range(atoms.shape[0]):
        source, destination, came_by = atom_word[source_atoms[i]], atom_word[atoms[i]], code[i]
        interface = interface_word[came_by]
        is_output = came_by == CODE_OUTPUT
        unbound = is_output and src[i] == 0
        hop, cell = np.int32(-1), np.int64(CELL_PLAIN)
        if (destination | (0 if unbound else source)) & ATOM_SPECIAL or interface & IS_PLAIN:
            outcome = PLAIN
        elif is_output and not unbound and not source & ATOM_LOCAL:
            outcome, cell = error(SOURCE_NOT_LOCAL), np.int64(CELL_NO_ROUTE)
        else:
            bits = mark_bits(values, masks, mark[i])
            combination = (((source >> ATOM_BITS) << num_marks) | bits) * num_inputs + (interface >> INPUT_SHIFT)
            cell = cell_at(class_of, cells, needed, combination, atoms[i])
            outcome = outcome_of_output(cell) if is_output else outcome_of_input(cell, interface)
            device = device_of(cell)
            if unbound and is_martian(cell):
                outcome = PLAIN
            if is_multipath(cell):
                hop = hop_of(c, cell, src[i], dst[i])
                device = np.int64(c.hop_interface[hop])
            if not is_output and (outcome == FORWARD or outcome == LOCAL or outcome == BROADCAST):
                device = device if outcome == FORWARD else np.int64(CODE_OUTPUT)
                how = validates(interface, device == came_by, source, always)
                if how == 2:
                    outcome = error(MARTIAN_SOURCE)
                elif how == 1:
                    answered_from = zero if outcome == BROADCAST else destination
                    bits = bits if interface & KEEPS_MARK else without_mark
                    combination = (((answered_from >> ATOM_BITS) << num_marks) | bits) * num_inputs + (
                        interface_word[device] >> INPUT_SHIFT
                    )
                    back = cell_at(class_of, cells, needed, combination, source_atoms[i])
                    leads_back = any_leads_to(c, back, came_by) if is_multipath(back) else device_of(back) == came_by
                    outcome = outcome_of_source(outcome, interface, type_of(back), leads_back)
                    if outcome & 15 == UNDECIDED:
                        hop, cell = np.int32(-1), np.int64(CELL_NO_ROUTE)
        verdicts[i], reasons[i], row_cells[i], hops[i] = outcome & 15, outcome >> OUTCOME_SHIFT, cell, hop


@njit(cache=True, nogil=True)
def decide6(c, needed, rows, source_atoms, atoms, src, dst, mark, code):
    """The same for (n, 2) uint64 addresses as (hi, lo): one look-up, no validation of the source."""
    atom_word, interface_word, class_of, cells = c.atom_word, c.interface_word, c.class_of, c.cells
    values, masks, num_inputs = c.mark_values, c.mark_masks, c.num_inputs
    verdicts, reasons, row_cells, hops = rows.verdict, rows.reason, rows.cell, rows.hop
    for i in range(atoms.shape[0]):
        source, destination, came_by = atom_word[source_atoms[i]], atom_word[atoms[i]], code[i]
        interface = interface_word[came_by]
        hop, cell = np.int32(-1), np.int64(CELL_PLAIN)
        outcome = PLAIN
        if not destination & ATOM_SPECIAL and not interface & IS_PLAIN:
            bits = mark_bits(values, masks, mark[i])
            combination = (((source >> ATOM_BITS) << values.shape[0]) | bits) * num_inputs + (interface >> INPUT_SHIFT)
            cell = cell_at(class_of, cells, needed, combination, atoms[i])
            outcome = outcome_of_output(cell)
            if type_of(cell) == T_ANYCAST:
                outcome = LOCAL
            elif outcome == OUTPUT and came_by != CODE_OUTPUT:
                outcome = FORWARD
            if is_multipath(cell):
                hop = hop_of(c, cell, src[i, 0] ^ src[i, 1], dst[i, 0] ^ dst[i, 1])
        verdicts[i], reasons[i], row_cells[i], hops[i] = outcome & 15, outcome >> OUTCOME_SHIFT, cell, hop


@njit(cache=True, nogil=True)
def describe(c, rows, code, multicasts_forward, kinds, routes, taken, devices):
    """What decided each row: (n,) int32 kinds, routes, hops that packets take and interface codes, -1 for none.

    A broadcast leaves by a hop where it was made here, or in IPv6 (`multicasts_forward`); what stays here has the loopback's code. Rows of
    the plain walk get -1 throughout: their cell holds nothing.
    """
    offsets, hop_interface, route_bits = c.hop_offsets, c.hop_interface, c.route_bits
    verdicts, row_cells, hops = rows.verdict, rows.cell, rows.hop
    for i in range(verdicts.shape[0]):
        low, verdict = row_cells[i] & LOW_32, verdicts[i]
        kind, route, hop, device = np.int64(-1), np.int64(-1), np.int32(-1), np.int32(-1)
        if low != LOW_32:
            kind, route = low >> route_bits, (low & ((1 << route_bits) - 1)) - 1
        leaves = verdict == FORWARD or verdict == OUTPUT or verdict == MULTICAST
        leaves |= verdict == BROADCAST and (code[i] == CODE_OUTPUT or multicasts_forward)
        if leaves:
            hop = hops[i]
            if hop < 0 and route >= 0:
                hop = offsets[route]
        if hop >= 0:
            device = hop_interface[hop]
        elif verdict == LOCAL or verdict == BROADCAST:
            device = np.int32(CODE_LOOPBACK)
        kinds[i], routes[i], taken[i], devices[i] = kind, route, hop, device
