"""The compiled rules and tables of one family: for a class of packets and an atom of destinations, the route that decides.

Sources, marks and input interfaces that lead to the same ordered list of tables form a class; equal lists are stored once, as a row of
cells with one cell an atom. A class is built when the first packet asks for it. What cannot be compiled (goto, ports, users, tos, tables
that are not known) is a cell that says so: such packets take the plain walk.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from fastroute.netns import kernels
from fastroute.netns.atoms import Atoms
from fastroute.netns.lookup import ROUTE_ERRORS, RULE_ERRORS
from fastroute.netns.model import (
    ANY,
    LOOPBACK,
    TABLE_DEFAULT,
    TABLE_LOCAL,
    TABLE_MAIN,
    Namespace,
    NextHop,
    Prefix,
    Route,
    RouteType,
    Rule,
    RuleAction,
    preference,
)
from fastroute.netns.source import source_of_hop4

NO_ROUTE = -1
ASK_PLAIN = -2
"""Instead of a route's number: there is none; the packet itself must be asked."""

NOT_BUILT = -1
MOST_MARKS = 8
MOST_COMBINATIONS = 1 << 22

BITS_OF_DEVICE = 16

Effect = tuple[int, Prefix, bool, int, bool]
"""What a matching rule does: kind, destinations, whether those are left out instead, suppressed length, whether to ask the plain walk."""


@dataclass(frozen=True, slots=True)
class Kind:
    """What of a rule is told in an answer. Rules of one kind are one to a class."""

    priority: int
    action: RuleAction
    table_id: int

    @property
    def looks_up(self) -> bool:
        """Whether it leads to a table, rather than refusing by itself."""
        return self.action is RuleAction.LOOKUP


class Cells:
    """Rows of cells by class, one cell an atom; the encoding is in `kernels`. Its low half is `kind << route_bits | route + 1`, route 0
    standing for a rule that refuses by itself."""

    def __init__(self, namespace: Namespace, atoms: Atoms, interfaces: tuple[str, ...], routes: tuple[Route, ...]) -> None:
        self.namespace = namespace
        self.atoms = atoms
        self.family = atoms.family
        self.routes = routes
        self.route_bits = max(len(routes).bit_length(), 1)
        self.rules = namespace.effective_rules(self.family)
        self.is_merged = self.family == 4 and not namespace.has_custom_rules(4)
        self.kinds: list[Kind] = []
        self.rule_of_kind: list[Rule] = []
        self._kind_of_rule = [self._number_kind(rule) for rule in self.rules]
        self._tables: dict[int, NDArray[np.int32]] = {}
        self._row_of_effects: dict[tuple[Effect, ...], int] = {}
        self._route_number = {id(route): number for number, route in enumerate(routes)}
        self._lengths = np.array([route.prefix.prefix_len for route in routes] or [0], np.int32)
        self._refuses = np.array([route.type in ROUTE_ERRORS for route in routes] or [False])
        self.marks = sorted({(rule.fwmark & rule.fwmask, rule.fwmask) for rule in self.rules if rule.fwmask})
        named = sorted({rule.in_interface for rule in self.rules if rule.in_interface is not None})
        self._inputs = [None, *named]
        inputs = {name: number for number, name in enumerate(self._inputs)}
        # a packet made here matches as `iif lo` does
        self.input_class = np.array([inputs.get(name or LOOPBACK, 0) for name in interfaces], np.int32)
        self.num_inputs = len(self._inputs)
        self.source_class, self._sources = self._classify_sources()
        self.cells = np.empty((4, len(atoms)), np.int64)
        self._meanings = self._meanings_of_routes(interfaces)
        self.num_rows = 0
        self.num_combinations = (self._sources.shape[1] << len(self.marks)) * self.num_inputs
        self.can_compile = (
            len(self.marks) <= MOST_MARKS and self.num_combinations <= MOST_COMBINATIONS and len(interfaces) < 1 << BITS_OF_DEVICE
        )
        self.class_of = np.full(self.num_combinations if self.can_compile else 0, NOT_BUILT, np.int32)

    def _number_kind(self, rule: Rule) -> int:
        kind = Kind(rule.priority, rule.action, rule.table_id)
        if kind not in self.kinds:
            self.kinds.append(kind)
            self.rule_of_kind.append(rule)
        return self.kinds.index(kind)

    def _classify_sources(self) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
        """Return (class of each atom as a source, and for each rule and class whether the rule's source prefix covers it)."""
        covered = np.zeros((len(self.rules), len(self.atoms)), bool)
        for row, rule in enumerate(self.rules):
            covered[row, self.atoms.run(rule.src_prefix)] = True
        packed = np.packbits(covered, axis=0)
        classes: dict[bytes, int] = {}
        numbers = np.array([classes.setdefault(packed[:, atom].tobytes(), len(classes)) for atom in range(len(self.atoms))], np.int32)
        _, first = np.unique(numbers, return_index=True)
        return numbers, covered[:, first]

    def build(self, combinations: NDArray[np.int64]) -> None:
        """Build the classes of combinations `(source class << marks | mark bits) * input classes + input class`."""
        for combination in combinations:
            rest, input_class = divmod(int(combination), self.num_inputs)
            source, bits = rest >> len(self.marks), rest & ((1 << len(self.marks)) - 1)
            self.class_of[combination] = self._row(source, bits, self._inputs[input_class])

    def _row(self, source: int, bits: int, in_interface: str | None) -> int:
        """Return the row of cells of one combination, built unless an equal one is there."""
        found = (self._effect(position, source, bits, in_interface) for position in range(len(self.rules)))
        effects = tuple(dict.fromkeys(effect for effect in found if effect is not None))
        if effects not in self._row_of_effects:
            if self.num_rows == len(self.cells):
                self.cells = np.concatenate([self.cells, np.empty_like(self.cells)])
            self.cells[self.num_rows] = self._encode(self._fill_merged() if self.is_merged else self._fill(effects))
            self._row_of_effects[effects] = self.num_rows
            self.num_rows += 1
        return self._row_of_effects[effects]

    def _meanings_of_routes(self, interfaces: tuple[str, ...]) -> NDArray[np.int64]:
        """Return the upper half of a cell for each route, [0] being empty."""
        codes = {name: code for code, name in enumerate(interfaces)}
        meanings = [0]
        for route in self.routes:
            if route.type in ROUTE_ERRORS:
                reason = kernels.REASONS.index(ROUTE_ERRORS[route.type])
                meanings.append(kernels.T_NOTHING << kernels.TYPE_SHIFT | reason << kernels.REASON_SHIFT)
                continue
            device = codes.get(route.next_hops[0].out_interface or "", 0) if route.next_hops else 0
            is_martian = self.family == 4 and any(leaves_as_loopback(self.namespace, route, hop) for hop in route.next_hops)
            meanings.append(
                kernels.TYPES.index(route.type) << kernels.TYPE_SHIFT
                | route.is_multipath << kernels.MULTIPATH_SHIFT
                | is_martian << kernels.MARTIAN_SHIFT
                | device << kernels.DEVICE_SHIFT
            )
        return np.array(meanings, np.int64)

    def _encode(self, row: NDArray[np.int32]) -> NDArray[np.int64]:
        """Turn a row of numbers into cells."""
        refusing = [kernels.REASONS.index(RULE_ERRORS[kind.action]) if kind.action in RULE_ERRORS else 0 for kind in self.kinds]
        reasons = np.array([*refusing, 0], np.int64)
        route = row & ((1 << self.route_bits) - 1)
        refusals = kernels.T_NOTHING << kernels.TYPE_SHIFT | reasons[row >> self.route_bits] << kernels.REASON_SHIFT
        cells = np.where(route > 0, self._meanings[np.where(row >= 0, route, 0)], refusals) | row
        cells = np.where(row == NO_ROUTE, kernels.CELL_NO_ROUTE, cells)
        return np.where(row == ASK_PLAIN, kernels.CELL_PLAIN, cells)

    def _effect(self, position: int, source: int, bits: int, in_interface: str | None) -> Effect | None:
        """Return what a rule does to the destinations of a combination; None for nothing."""
        rule = self.rules[position]
        matches = bool(self._sources[position, source]) and rule.out_interface is None
        if matches and rule.fwmask:
            matches = bool(bits >> self.marks.index((rule.fwmark & rule.fwmask, rule.fwmask)) & 1)
        if matches and rule.in_interface is not None:
            matches = not rule.iif_detached and rule.in_interface == in_interface
        if rule.action is RuleAction.NOP:
            return None
        kind = self._kind_of_rule[position]
        if not matches:
            return (kind, ANY, False, rule.suppress_prefix_len, rule.action is RuleAction.GOTO) if rule.inverted else None
        if rule.unsupported or rule.ipproto or rule.sport or rule.dport or rule.tos or rule.uid_range:
            return kind, ANY if rule.inverted else rule.dst_prefix, False, -1, True
        if rule.inverted and rule.dst_prefix == ANY:
            return None
        return kind, rule.dst_prefix, rule.inverted, rule.suppress_prefix_len, rule.action is RuleAction.GOTO

    def _fill(self, effects: tuple[Effect, ...]) -> NDArray[np.int32]:
        """Fill a row of cells: the last rule first, so that the first one has the last word."""
        row = np.full(len(self.atoms), NO_ROUTE, np.int32)
        for kind, prefix, is_left_out, suppressed, asks_plain in reversed(effects):
            chosen = np.zeros(len(self.atoms), bool)
            chosen[self.atoms.run(prefix)] = True
            if is_left_out:
                chosen = ~chosen
            action = self.kinds[kind].action
            table_id = self.kinds[kind].table_id
            if asks_plain or (action is RuleAction.LOOKUP and not self.namespace.known.has_table(self.family, table_id)):
                row[chosen] = ASK_PLAIN
            elif action is not RuleAction.LOOKUP:
                row[chosen] = kind << self.route_bits
            else:
                table = self._table(table_id)
                accepted = (table >= 0) & ((self._lengths[np.maximum(table, 0)] > suppressed) | self._refuses[np.maximum(table, 0)])
                row[chosen & accepted] = (kind << self.route_bits) + table[chosen & accepted] + 1
                row[chosen & (table == ASK_PLAIN)] = ASK_PLAIN
        return row

    def _fill_merged(self) -> NDArray[np.int32]:
        """Fill the one row of a family whose rules nobody has changed: local and main as one table, then default."""
        if not all(self.namespace.known.has_table(4, table_id) for table_id in (TABLE_LOCAL, TABLE_MAIN, TABLE_DEFAULT)):
            return np.full(len(self.atoms), ASK_PLAIN, np.int32)
        merged = self.best_of((TABLE_LOCAL, TABLE_MAIN))
        last = self._table(TABLE_DEFAULT)
        is_local = np.array([route.table_id == TABLE_LOCAL for route in self.routes] or [False])
        row = np.where(last >= 0, (2 << self.route_bits) + last + 1, last)
        kind = np.where(is_local[np.maximum(merged, 0)], 0, 1)
        row = np.where(merged >= 0, (kind << self.route_bits) + merged + 1, row)
        return np.where(merged == ASK_PLAIN, ASK_PLAIN, row).astype(np.int32)

    def best_of(self, table_ids: tuple[int, ...]) -> NDArray[np.int32]:
        """Return the deciding route of each atom in several tables as one; of equal prefixes the higher table's first."""
        routes = [route for table_id in table_ids for route in self.namespace.tables.get((self.family, table_id), ())]
        return self._best(sorted(routes, key=lambda r: (-r.prefix.prefix_len, -r.table_id, *preference(r))))

    def _table(self, table_id: int) -> NDArray[np.int32]:
        """Return the deciding route of each atom in one table: its number, NO_ROUTE, or ASK_PLAIN."""
        if table_id not in self._tables:
            self._tables[table_id] = self._best(self.namespace.tables.get((self.family, table_id), ()))
        return self._tables[table_id]

    def _best(self, routes: tuple[Route, ...] | list[Route]) -> NDArray[np.int32]:
        """Write the routes from the least preferred to the most: what stands at the end decides."""
        best = np.full(len(self.atoms), NO_ROUTE, np.int32)
        for _, group in groupby(reversed(routes), key=lambda r: (r.prefix, preference(r))):
            equals = list(group)
            run = self.atoms.run(equals[0].prefix)
            for route in equals:
                needs_packet = bool(route.tos) or route.src_prefix != ANY or (self.family == 6 and len(equals) > 1)
                alive = [hop for hop in route.next_hops if not hop.is_dead]
                if needs_packet or (alive and len(alive) < len(route.next_hops)):
                    best[run] = ASK_PLAIN
                elif route.type is RouteType.THROW:
                    best[run] = NO_ROUTE
                elif route.type in ROUTE_ERRORS or alive:
                    best[run] = self._route_number[id(route)]
        return best


def leaves_as_loopback(namespace: Namespace, route: Route, hop: NextHop) -> bool:
    """Say whether an unbound packet would leave the machine with a loopback source, which the plain walk refuses."""
    source = source_of_hop4(namespace, route, hop)
    return source is not None and source >> 24 == 127 and hop.out_interface != LOOPBACK
