"""Many questions to one namespace at once: compiled where it can be, the plain walk where it cannot, the same answers either way."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastroute.errors import EndpointError
from fastroute.lpm import lookup4, lookup6
from fastroute.netns import kernels
from fastroute.netns.atoms import Atoms, atoms_of
from fastroute.netns.cells import ASK_PLAIN, Cells
from fastroute.netns.decision import Decision, Packet, Verdict
from fastroute.netns.kernels import REASONS, VERDICTS, Compiled, Rows
from fastroute.netns.model import LOOPBACK, TABLE_LOCAL, TABLE_MAIN, Namespace, NextHop, Prefix, RouteType
from fastroute.netns.source import rp_filter_command, source_of_hop4
from fastroute.netns.walk import decide

SPECIAL4 = (Prefix(0, 32), Prefix(127 << 24, 8), Prefix(0xE << 28, 4), Prefix(2**32 - 1, 32))
SPECIAL6 = (Prefix(1, 128), Prefix(0x3FA << 118, 10), Prefix(0xFF << 120, 8))
"""What the plain walk has cases of its own for. IPv6: destinations that are bound to a link."""

CHUNK = 1 << 15
"""Rows at a time: their atoms stay in the core's own cache between look-up and decision."""


class Questions(NamedTuple):
    """n questions of one family. Interfaces are codes of `Walker.interfaces`, 0 for none.

    The last five columns may be None (0, and UDP); rows where an output interface is given take the plain walk.
    """

    dst: NDArray[Any]  # (n,) uint32, or (n, 2) uint64 as (hi, lo)
    src: NDArray[Any]
    in_interface: NDArray[np.int32]
    fwmark: NDArray[np.uint32]
    out_interface: NDArray[np.int32] | None = None
    ipproto: NDArray[np.uint8] | None = None
    sport: NDArray[np.uint16] | None = None
    dport: NDArray[np.uint16] | None = None
    tos: NDArray[np.uint8] | None = None


@dataclass(frozen=True)
class Answers:
    """(n,) columns. `plain` holds the decisions of the rows that took the plain walk, by row."""

    walker: Walker
    questions: Questions
    rows: Rows
    plain: dict[int, Decision]

    @property
    def verdict(self) -> NDArray[np.int8]:
        """Positions in `VERDICTS`."""
        return self.rows.verdict

    @property
    def reason(self) -> NDArray[np.int8]:
        """Positions in `REASONS`."""
        return self.rows.reason

    @cached_property
    def _described(self) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int32], NDArray[np.int32]]:
        """Kind, route, hop and device of each row."""
        n = len(self.rows.verdict)
        kind, route, hop, device = (np.empty(n, np.int32) for _ in range(4))
        kernels.describe(self.walker.compiled, self.rows, self.questions.in_interface, self.walker.family == 6, kind, route, hop, device)
        for row, decision in self.plain.items():
            kind[row] = hop[row] = -1
            route[row] = -1 if decision.route is None else self.walker.number_of_route[decision.route]
            device[row] = -1 if decision.device is None else self.walker.code(decision.device)
        return kind, route, hop, device

    @property
    def kind(self) -> NDArray[np.int32]:
        """Positions in `walker.cells.kinds` of the deciding rules' kinds; -1 for none, and for rows that took the plain walk."""
        return self._described[0]

    @property
    def route(self) -> NDArray[np.int32]:
        """Positions in `walker.routes` of the deciding routes, -1 for none."""
        return self._described[1]

    @property
    def hop(self) -> NDArray[np.int32]:
        """Positions in `walker.hops` of the hops that packets take; -1 where they stay, are refused, or took the plain walk."""
        return self._described[2]

    @property
    def device(self) -> NDArray[np.int32]:
        """Interface codes of where packets leave; `lo` where they stay, -1 where they do neither."""
        return self._described[3]

    @cached_property
    def rule_priority(self) -> NDArray[np.int64]:
        """Priorities of the deciding rules, -1 for none."""
        priorities = np.array([kind.priority for kind in self.walker.cells.kinds] + [-1], np.int64)[self.kind]
        for row, decision in self.plain.items():
            priorities[row] = -1 if decision.rule is None else decision.rule.priority
        return priorities

    @cached_property
    def table_id(self) -> NDArray[np.int64]:
        """Tables of the deciding look-ups, -1 for none."""
        tables = np.array([kind.table_id if kind.looks_up else -1 for kind in self.walker.cells.kinds] + [-1], np.int64)[self.kind]
        for row, decision in self.plain.items():
            tables[row] = -1 if decision.table_id is None else decision.table_id
        return tables

    def next_hop(self, row: int) -> NextHop | None:
        """Return the next hop of one row."""
        if row in self.plain:
            return self.plain[row].next_hop
        is_next = VERDICTS[self.rows.verdict[row]] in (Verdict.FORWARD, Verdict.OUTPUT)
        return self.walker.hops[self.hop[row]] if is_next and self.hop[row] >= 0 else None

    def prefsrc(self, row: int) -> int | None:
        """Return the source that an unbound packet made here is given; None for other packets."""
        if row in self.plain:
            return self.plain[row].prefsrc
        packet = self.walker.packet(self.questions, row)
        if packet.in_interface is not None or packet.src or self.route[row] < 0 or VERDICTS[self.rows.verdict[row]] is Verdict.ERROR:
            return None
        route = self.walker.routes[self.route[row]]
        if packet.family == 4 and route.type is RouteType.LOCAL:
            return packet.dst if route.prefsrc is None else route.prefsrc
        hop = int(self.hop[row])
        return self.walker.source_of_hop[hop] if hop >= 0 else route.prefsrc

    def missing(self, row: int) -> str:
        """Return what an undecided row lacks; empty for others."""
        if row in self.plain:
            return self.plain[row].missing
        if VERDICTS[self.rows.verdict[row]] is Verdict.UNDECIDED:
            return self.walker.missing_of(int(self.questions.in_interface[row]))
        return ""


class Walker:
    """One family of one namespace, compiled. Classes are built as questions ask for them; the first batch pays, the next do not.

    `interfaces` are names that questions will use beside those that the namespace holds: a dump need not know them all.
    """

    def __init__(self, namespace: Namespace, family: int, interfaces: Iterable[str] = ()) -> None:
        self.namespace = namespace
        self.family = family
        self.interfaces = tuple(dict.fromkeys((*interface_names(namespace), *interfaces)))
        self._codes = {name: code for code, name in enumerate(self.interfaces)}
        self.routes = tuple(route for route in namespace.routes if route.family == family)
        self.number_of_route = {route: number for number, route in reversed(list(enumerate(self.routes)))}
        self.atoms = atoms_of(namespace, family, SPECIAL4 if family == 4 else SPECIAL6)
        self.cells = Cells(namespace, self.atoms, self.interfaces, self.routes)
        self._atoms_of = atom_look_up(self.atoms)
        self.hops = tuple(hop for route in self.routes for hop in route.next_hops)
        self.compiled = self._compile()
        self._is_all_plain = not self.cells.can_compile or family not in namespace.known.rules or not self._knows_addrs()

    def code(self, name: str | None) -> int:
        """Return the code of an interface, 0 for None.

        Raises
        ------
        EndpointError
            A name that neither the namespace holds nor `interfaces` gave.
        """
        if name is not None and name not in self._codes:
            raise EndpointError(f"interface '{name}': unknown here; give it in `interfaces`")
        return self._codes[name or ""]

    def missing_of(self, code: int) -> str:
        """What compiled answers lack where they are undecided: the rp_filter of the interface of arrival."""
        return rp_filter_command(self.interfaces[code])

    @cached_property
    def source_of_hop(self) -> tuple[int | None, ...]:
        """The source that an unbound packet gets, by hop."""
        pairs = [(route, hop) for route in self.routes for hop in route.next_hops]
        if self.family == 6:
            return tuple(route.prefsrc for route, _ in pairs)
        return tuple(source_of_hop4(self.namespace, route, hop) for route, hop in pairs)

    def _knows_addrs(self) -> bool:
        return self.family == 6 or (self.namespace.knows_addrs and self.namespace.known.has_table(4, TABLE_LOCAL))

    def _compile(self) -> Compiled:
        cells = self.cells
        counts = [len(route.next_hops) for route in self.routes]
        return Compiled(
            atom_word=(cells.source_class << kernels.ATOM_BITS) | self._atom_flags(),
            interface_word=np.array([self._interface_word(code) for code in range(len(self.interfaces))], np.int32),
            mark_values=np.array([value for value, _ in cells.marks], np.uint32),
            mark_masks=np.array([mask for _, mask in cells.marks], np.uint32),
            class_of=cells.class_of,
            cells=cells.cells,
            num_inputs=cells.num_inputs,
            route_bits=cells.route_bits,
            validates_always=self.namespace.has_custom_local_routes or self.namespace.has_custom_rules(4),
            zero_atom=self.atoms.index(Prefix(0, 32)) if self.family == 4 else 0,
            hop_offsets=np.concatenate([[0], np.cumsum(counts)]).astype(np.int32),
            hop_interface=np.array([self._codes.get(hop.out_interface or "", 0) for hop in self.hops], np.int32),
            hop_weight=np.array([hop.weight for hop in self.hops], np.int64),
        )

    def _interface_word(self, code: int) -> int:
        """Encode what an interface's switches say."""
        name, namespace, sysctls = self.interfaces[code], self.namespace, self.namespace.sysctls
        rp_filter = sysctls.rp_filter(name)
        is_unlisted = namespace.known.links and name not in namespace.links_by_name
        has_own_case = sysctls.either("accept_local", name) or sysctls.either("route_localnet", name)
        return (
            kernels.FORWARDS * sysctls.forwards(name)
            | kernels.HAS_ADDR * (name in namespace.interfaces_with_ipv4)
            | kernels.KEEPS_MARK * sysctls.either("src_valid_mark", name)
            | kernels.REDIRECTS * sysctls.either("send_redirects", name, unknown=True)
            | kernels.IS_PLAIN * (code > 0 and (is_unlisted or has_own_case))
            | (kernels.RP_UNKNOWN if rp_filter is None else min(rp_filter, 2)) << kernels.RP_SHIFT
            | int(self.cells.input_class[code]) << kernels.INPUT_SHIFT
        )

    def _atom_flags(self) -> NDArray[np.int32]:
        """Flag the atoms that are special, local, or an interface's own."""
        flags = np.zeros(len(self.atoms), np.int32)
        for prefix in SPECIAL4 if self.family == 4 else SPECIAL6:
            flags[self.atoms.run(prefix)] |= kernels.ATOM_SPECIAL
        if self.family == 4:
            tables = (TABLE_LOCAL,) if self.namespace.has_custom_rules(4) else (TABLE_LOCAL, TABLE_MAIN)
            local = self.cells.best_of(tables)
            is_local = np.array([route.type is RouteType.LOCAL for route in self.routes] or [False])
            flags[(local >= 0) & is_local[np.maximum(local, 0)]] |= kernels.ATOM_LOCAL
            flags[local == ASK_PLAIN] |= kernels.ATOM_SPECIAL
            for addr in self.namespace.local_addrs:
                flags[self.atoms.index(Prefix(addr, 32))] |= kernels.ATOM_OWN | kernels.ATOM_LOCAL
        return flags

    def walk(self, questions: Questions) -> Answers:
        """Answer n questions.

        Returns
        -------
        Answers
            Equal to what `decide` says to each, row by row.
        """
        n = len(questions.dst)
        rows = Rows(np.empty(n, np.int8), np.zeros(n, np.int8), np.full(n, kernels.CELL_NO_ROUTE), np.full(n, -1, np.int32))
        if self._is_all_plain:
            rows.verdict[:] = kernels.PLAIN
        else:
            self._walk_compiled(questions, rows)
        if questions.out_interface is not None:
            rows.verdict[questions.out_interface != 0] = kernels.PLAIN
        plain: dict[int, Decision] = {}
        for row in np.flatnonzero(rows.verdict == kernels.PLAIN):
            decision = plain[int(row)] = decide(self.namespace, self.packet(questions, int(row)))
            rows.verdict[row], rows.reason[row] = VERDICTS.index(decision.verdict), REASONS.index(decision.reason)
            rows.cell[row], rows.hop[row] = kernels.CELL_NO_ROUTE, -1
        return Answers(self, questions, rows, plain)

    def _walk_compiled(self, questions: Questions, rows: Rows) -> None:
        needed = np.zeros(len(self.cells.class_of), np.uint8)
        columns = (questions.src, questions.dst, questions.fwmark, questions.in_interface)
        for start in range(0, len(questions.dst), CHUNK):
            part = slice(start, start + CHUNK)
            self._run(needed, rows_at(rows, part), *(column[part] for column in columns))
        while needed.any():
            self.cells.build(np.flatnonzero(needed))
            self.compiled = self.compiled._replace(cells=self.cells.cells)
            needed[:] = 0
            waiting = np.flatnonzero(rows.verdict == kernels.PENDING)
            again = rows_at(rows, waiting)
            self._run(needed, again, *(column[waiting] for column in columns))
            rows.verdict[waiting], rows.reason[waiting] = again.verdict, again.reason
            rows.cell[waiting], rows.hop[waiting] = again.cell, again.hop

    def _run(self, needed: NDArray[np.uint8], rows: Rows, src: Any, dst: Any, fwmark: Any, in_interface: Any) -> None:
        kernel = kernels.decide4 if self.family == 4 else kernels.decide6
        kernel(self.compiled, needed, rows, self._atoms_of(src), self._atoms_of(dst), src, dst, fwmark, in_interface)

    def packet(self, questions: Questions, row: int) -> Packet:
        """Return one question as the plain walk takes it."""

        def number(column: NDArray[Any] | None, default: int) -> int:
            return default if column is None else int(column[row])

        def addr(column: NDArray[Any]) -> int:
            return int(column[row]) if self.family == 4 else int(column[row, 0]) << 64 | int(column[row, 1])

        return Packet(
            self.family,
            addr(questions.dst),
            addr(questions.src),
            self.interfaces[questions.in_interface[row]] or None,
            self.interfaces[number(questions.out_interface, 0)] or None,
            int(questions.fwmark[row]),
            number(questions.ipproto, 17),
            number(questions.sport, 0),
            number(questions.dport, 0),
            number(questions.tos, 0),
        )


def atom_look_up(atoms: Atoms) -> Callable[[NDArray[Any]], NDArray[np.int32]]:
    """Return the function from addresses to atoms."""
    if atoms.family == 4:
        table4 = atoms.table4()
        return lambda addrs: lookup4(table4, addrs)
    table6 = atoms.table6()
    return lambda addrs: lookup6(table6, addrs)


def rows_at(rows: Rows, part: slice | NDArray[np.intp]) -> Rows:
    """Return a part of the answers: a view for a slice, a copy for positions."""
    return Rows(rows.verdict[part], rows.reason[part], rows.cell[part], rows.hop[part])


def interface_names(namespace: Namespace) -> tuple[str, ...]:
    """Return every interface that the namespace names, by code: none, `lo`, then links, rules' and routes' in order."""
    names = dict.fromkeys(("", LOOPBACK))
    names |= dict.fromkeys(link.name for link in namespace.links)
    for rule in namespace.rules:
        names |= dict.fromkeys(name for name in (rule.in_interface, rule.out_interface) if name)
    for route in namespace.routes:
        names |= dict.fromkeys(hop.out_interface for hop in route.next_hops if hop.out_interface)
    names |= dict.fromkeys(addr.interface for addr in namespace.addrs)
    return tuple(names)


def code_column(walker: Walker, names: Sequence[str | None]) -> NDArray[np.int32]:
    """Return the codes of interface names, None for packets made here."""
    return np.array([walker.code(name) for name in names], np.int32)
