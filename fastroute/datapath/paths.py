"""From the numbers in `path_id` back to hops: one path, or the tables of all legs that a snapshot has."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from ipaddress import IPv4Address, IPv6Address

import numpy as np

from fastroute.cni.naming import RULE_EXTERNAL_SERVICE, RULE_LOCAL, RULE_MAIN, RULE_MARKED, RULE_TO_POD
from fastroute.datapath.compile import LEG_TEXT_COLUMNS, texts
from fastroute.datapath.hops import Hop
from fastroute.datapath.state import (
    DESTINATION_LEG_BITS,
    NUM_DESTINATION_LEGS,
    NUM_SOURCE_LEGS,
    NUM_VPC_LEG_WAYS,
    SOURCE_LEG_SHIFT,
    VPC_LEG_BITS,
    VPC_LEG_SHIFT,
    Compiled,
    DestinationLeg,
    FibExit,
    RangeFlag,
    RowFlag,
    Source,
    SourceLeg,
    VpcLegWay,
)
from fastroute.vocab import Kind

POD_GATEWAY = "169.254.1.1"


@dataclass(frozen=True, slots=True)
class _Exit:
    """One way out of a node: by which rule, table and interface, and what that table matches."""

    rule: int
    table: str
    eni: int
    is_on_link: bool


class PathDecoder:
    """Decodes the paths of one compiled snapshot."""

    def __init__(self, compiled: Compiled) -> None:
        self.compiled = compiled
        self.rows = compiled.rows

    @cached_property
    def _names(self) -> dict[str, list[str]]:
        return {key: texts(names) for key, names in self.compiled.names.items()}

    @cached_property
    def _devices(self) -> dict[str, list[str]]:
        return {key: texts(names) for key, names in self.compiled.device_texts.items()}

    @cached_property
    def _vpc_legs(self) -> dict[int, list[Hop]]:
        found: dict[int, list[Hop]] = {}
        for leg, _, *rest in zip(*(texts(self.compiled.leg_texts[name]) for name in LEG_TEXT_COLUMNS), strict=True):
            domain, device, table, prefix, gateway, next_domain = rest
            found.setdefault(int(leg), []).append(Hop(domain, device, None, table, prefix, gateway, next_domain))
        return found

    @cached_property
    def _row_of_source_leg(self) -> dict[int, int]:
        begins = np.flatnonzero(self.rows.source_leg[: self.num_addressed] >= 0)
        return dict(zip(self.rows.source_leg[begins].tolist(), begins.tolist(), strict=True))

    @property
    def num_addressed(self) -> int:
        """Rows with addresses; those behind them are host-network pods, which walk by their node's legs."""
        return len(self.compiled.prefixes.family)

    def hops(self, path_id: int) -> list[Hop]:
        """Decode one path; empty for -1."""
        if path_id < 0:
            return []
        source = path_id >> SOURCE_LEG_SHIFT
        vpc = path_id >> VPC_LEG_SHIFT & ((1 << VPC_LEG_BITS) - 1)
        destination = path_id & ((1 << DESTINATION_LEG_BITS) - 1)
        return [*self.source_hops(source), *self.vpc_hops(vpc), *self.destination_hops(destination)]

    def vpc_hops(self, leg: int) -> list[Hop]:
        """Hops of a VPC leg, in the direction of the way out; a way in reads them backwards."""
        return self._vpc_legs.get(leg // NUM_VPC_LEG_WAYS, [])

    def source_hops(self, leg: int) -> list[Hop]:
        """Hops of a source leg: out of the pod, through its node, up to the subnet."""
        if leg == 0:
            return []
        way = (leg - 1) % NUM_SOURCE_LEGS
        return self._source_hops(self._row_of_source_leg[leg - way], way)

    def _source_hops(self, row: int, way: int) -> list[Hop]:
        source = self.rows.source[row]
        if source == Source.BARE:
            eni = int(self.rows.eni[row])
            everything = "0.0.0.0/0" if self.compiled.prefixes.family[row] == 4 else "::/0"
            return [Hop(self._names["eni"][eni], "", None, "", everything, "", self._names["subnet"][self.rows.subnet[row]])]
        at_node = f"node {self._names['node'][self.rows.node[row]]}"
        hops = []
        if source == Source.POD:
            hops.append(Hop(self.domain(row), "eth0", None, "main", "0.0.0.0/0", POD_GATEWAY, at_node))
        if way == SourceLeg.BROADCAST:
            hops.append(Hop(at_node, "", RULE_LOCAL, "local", "", "", ""))
        elif way > SourceLeg.BROADCAST:
            hops.append(self._exit_hop(at_node, self._exit(row, way)))
        return hops

    def _exit(self, row: int, way: int) -> _Exit:
        primary = int(self.compiled.tables.nodes.primary_eni[self.rows.node[row]])
        is_on_link = (way - SourceLeg.OWN) % 2 == FibExit.ON_LINK
        if way >= SourceLeg.OWN_SNAT or way < SourceLeg.MARKED:
            return _Exit(int(self.rows.rule[row]), self._names["table"][self.rows.table[row]], int(self.rows.eni[row]), is_on_link)
        rule = RULE_MARKED if way < SourceLeg.EXTERNAL_SERVICE else RULE_EXTERNAL_SERVICE
        return _Exit(rule, "main", primary, is_on_link)

    def _exit_hop(self, at_node: str, exit_: _Exit) -> Hop:
        device, gateway = self._devices["device"][exit_.eni], self._devices["gateway"][exit_.eni]
        subnet_id = self._subnet_of_eni[exit_.eni]
        if not exit_.is_on_link:
            return Hop(at_node, device, exit_.rule, exit_.table, "0.0.0.0/0", gateway, subnet_id)
        prefix = self._devices["subnet"][exit_.eni] if exit_.table == "main" else f"{gateway}/32"
        return Hop(at_node, device, exit_.rule, exit_.table, prefix, "", subnet_id)

    @cached_property
    def _subnet_of_eni(self) -> dict[int, str]:
        found = np.flatnonzero((self.rows.eni >= 0) & (self.rows.subnet >= 0))
        names = self._names["subnet"]
        return {int(eni): names[subnet] for eni, subnet in zip(self.rows.eni[found], self.rows.subnet[found], strict=True)}

    def destination_hops(self, leg: int) -> list[Hop]:
        """Hops of a destination leg: from the interface or the node itself to the pod."""
        if leg == 0:
            return []
        row, way = divmod(leg - 1, NUM_DESTINATION_LEGS)
        return [self._destination_hop(row, way)]

    def _destination_hop(self, row: int, way: int) -> Hop:
        domain = self.domain(row)
        if way == DestinationLeg.LOOPBACK:
            return Hop(domain, "lo", RULE_LOCAL, "local", self.prefix(row), "", domain)
        flags = int(self.rows.flags[row])
        at_node = f"node {self._names['node'][self.rows.node[row]]}"
        if flags & RowFlag.POD_ROUTE:
            return Hop(at_node, self._devices["veth"][row], RULE_TO_POD, "main", self.prefix(row), "", domain)
        if flags & RowFlag.NODE_LOCAL:
            return Hop(at_node, "lo", RULE_LOCAL, "local", self.prefix(row), "", at_node)
        if flags & RowFlag.WARM and self.rows.source[row] == Source.POD:
            node = self.rows.node[row]
            nodes = self.compiled.tables.nodes
            fib = self.compiled.tables.decisions.fib[nodes.main_profile[node], self.rows.dst_class[row]]
            return self._exit_hop(at_node, _Exit(RULE_MAIN, "main", int(nodes.primary_eni[node]), fib == FibExit.ON_LINK))
        return Hop(self._names["eni"][self.rows.eni[row]], "", None, "", "", "", domain)

    def domain(self, row: int) -> str:
        """The domain that an address belongs to, in words."""
        rows, names = self.rows, self._names
        if rows.kind[row] == Kind.POD:
            return f"pod {names['namespace'][rows.namespace[row]]}/{names['pod'][rows.pod[row]]}"
        if rows.node[row] >= 0:
            return f"node {names['node'][rows.node[row]]}"
        return names["eni"][int(rows.eni[row])]

    def prefix(self, row: int) -> str:
        """The row's own prefix as text."""
        prefixes = self.compiled.prefixes
        number = int(prefixes.hi[row]) << 64 | int(prefixes.lo[row])
        addr = IPv4Address(number) if prefixes.family[row] == 4 else IPv6Address(number)
        return f"{addr}/{prefixes.length[row]}"

    # --- all legs

    def source_legs(self) -> Iterator[tuple[int, list[Hop]]]:
        """Every source leg that some destination can make a packet take."""
        ranges = self.compiled.tables.decisions.ranges
        for first, row in self._row_of_source_leg.items():
            source, node = self.rows.source[row], self.rows.node[row]
            if source == Source.BARE:
                yield first, self._source_hops(row, 0)
                continue
            flags = int(np.bitwise_or.reduce(ranges[self.compiled.tables.nodes.ranges[node]]))
            ways = [int(SourceLeg.LOCAL), int(SourceLeg.TO_POD), int(SourceLeg.BROADCAST), SourceLeg.OWN, SourceLeg.OWN + 1]
            if flags & RangeFlag.SNAT:
                translated = SourceLeg.MARKED if source == Source.POD else SourceLeg.OWN_SNAT
                ways += [translated, translated + 1]
            if flags & RangeFlag.EXTERNAL_SERVICE:
                ways += [SourceLeg.EXTERNAL_SERVICE, SourceLeg.EXTERNAL_SERVICE + 1]
            for way in ways:
                yield first + way, self._source_hops(row, way)

    def vpc_legs(self) -> Iterator[tuple[int, list[Hop]]]:
        """Every VPC leg, each way."""
        for leg, hops in self._vpc_legs.items():
            for way in VpcLegWay:
                yield leg * NUM_VPC_LEG_WAYS + way, hops

    def destination_legs(self) -> Iterator[tuple[int, list[Hop]]]:
        """Every destination leg."""
        for row in np.flatnonzero((self.rows.eni[: self.num_addressed] >= 0) | (self.rows.pod[: self.num_addressed] >= 0)).tolist():
            if self.rows.kind[row] == Kind.SERVICE:
                continue
            if self.rows.eni[row] >= 0:
                for way in (DestinationLeg.FROM_VPC, DestinationLeg.FROM_HOST):
                    yield 1 + NUM_DESTINATION_LEGS * row + way, [self._destination_hop(row, way)]
            yield 1 + NUM_DESTINATION_LEGS * row + DestinationLeg.LOOPBACK, [self._destination_hop(row, DestinationLeg.LOOPBACK)]


def path_tables(compiled: Compiled) -> dict[str, dict[str, list[object]]]:
    """All legs of a snapshot as columns: what lies in `_paths/` beside a routed log.

    Returns
    -------
    dict
        `source_legs`, `vpc_legs`, `destination_legs`: each with `leg`, `hop` (from 0) and the fields of a Hop, one row a hop.
        path_id = source leg << 41 | VPC leg << 22 | destination leg; 0 in a field means that there is none.
    """
    decoder = PathDecoder(compiled)
    legs = {"source_legs": decoder.source_legs(), "vpc_legs": decoder.vpc_legs(), "destination_legs": decoder.destination_legs()}
    tables: dict[str, dict[str, list[object]]] = {}
    for name, numbered in legs.items():
        rows = [(leg, i, *hop) for leg, hops in numbered for i, hop in enumerate(hops)]
        columns = zip(*rows, strict=True) if rows else ((),) * (2 + len(Hop._fields))
        tables[name] = {column: list(values) for column, values in zip(("leg", "hop", *Hop._fields), columns, strict=True)}
    return tables
