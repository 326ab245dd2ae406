"""From the numbers in `path_id` back to hops: the tables of all legs that a snapshot has, and the decoding of one path by them."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from ipaddress import IPv4Address, IPv6Address
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastroute.arrays import NONE
from fastroute.cni.naming import RULE_EXTERNAL_SERVICE, RULE_LOCAL, RULE_MAIN, RULE_MARKED, RULE_TO_POD
from fastroute.datapath.compile import LEG_TEXT_COLUMNS, texts
from fastroute.datapath.hops import Hop
from fastroute.datapath.state import (
    DESTINATION_LEG_BITS,
    NUM_VPC_LEG_WAYS,
    SOURCE_LEG_SHIFT,
    VPC_LEG_BITS,
    VPC_LEG_SHIFT,
    Compiled,
    DestinationLeg,
    FibExit,
    RangeFlag,
    RowFlag,
    Rows,
    Source,
    SourceLeg,
    VpcLegWay,
)
from fastroute.vocab import Kind

I32 = NDArray[np.int32]
POD_GATEWAY = "169.254.1.1"
EVERYTHING4, EVERYTHING6 = "0.0.0.0/0", "::/0"


class LegTable(NamedTuple):
    """One row a hop, sorted by (leg, hop). Texts are codes into `texts`, whose first is the empty one; a rule priority of -1 is none."""

    leg: I32
    hop: I32
    domain: I32
    device: I32
    rule_priority: I32
    table: I32
    prefix: I32
    gateway: I32
    next_domain: I32
    reason: I32
    """Why the packet ends here, where it does; the same on each hop of the leg."""
    texts: list[str]


class PathTables(NamedTuple):
    """All legs of a snapshot. path_id = source leg << 41 | VPC leg << 22 | destination leg; 0 in a field means that there is none."""

    source_legs: LegTable
    vpc_legs: LegTable
    destination_legs: LegTable


def path_tables(compiled: Compiled) -> PathTables:
    """Spell out every leg: what lies in `_paths/` beside a routed log."""
    maker = _Maker(compiled)
    return PathTables(maker.source_legs(), maker.vpc_legs(), maker.destination_legs())


class PathDecoder:
    """Decodes the paths of one compiled snapshot, or of whatever its leg tables are from."""

    def __init__(self, legs: Compiled | PathTables) -> None:
        self.tables = legs if isinstance(legs, PathTables) else path_tables(legs)

    def hops(self, path_id: int) -> list[Hop]:
        """Decode one path; empty for -1. A way in from outside reads the hops of its VPC leg backwards."""
        if path_id < 0:
            return []
        source = path_id >> SOURCE_LEG_SHIFT
        vpc = path_id >> VPC_LEG_SHIFT & ((1 << VPC_LEG_BITS) - 1)
        destination = path_id & ((1 << DESTINATION_LEG_BITS) - 1)
        numbers = zip(self.tables, (source, vpc, destination), strict=True)
        return [hop for table, leg in numbers for hop in _hops_of(table, leg)]


def _hops_of(table: LegTable, leg: int) -> list[Hop]:
    begin, end = np.searchsorted(table.leg, (leg, leg + 1))
    found = []
    for i in range(int(begin), int(end)):
        words = {name: table.texts[getattr(table, name)[i]] for name in Hop._fields if name != "rule_priority"}
        priority = int(table.rule_priority[i])
        found.append(Hop(rule_priority=priority if priority >= 0 else None, **words))
    return found


class _Texts:
    """Texts of one table, numbered in order of appearance."""

    def __init__(self) -> None:
        self._number: dict[str, int] = {"": 0}

    def code(self, text: str) -> int:
        return self._number.setdefault(text, len(self._number))

    def codes(self, texts: Iterable[str]) -> I32:
        return np.array([self.code(text) for text in texts], np.int32)

    @property
    def all(self) -> list[str]:
        return list(self._number)


class _Hops:
    """Hops of one table in the making: each call of `add` gives columns, scalars standing for whole columns."""

    def __init__(self, texts_: _Texts) -> None:
        self.texts = texts_
        self._parts: list[dict[str, I32]] = []

    def add(self, leg: I32, hop: int, **columns: I32 | int | str) -> None:
        part = {"leg": leg, "hop": np.full(len(leg), hop, np.int32)}
        for name in (*Hop._fields, "reason"):
            value = columns.get(name, NONE if name == "rule_priority" else 0)
            if isinstance(value, str):
                value = self.texts.code(value)
            part[name] = np.broadcast_to(np.asarray(value, np.int32), len(leg))
        self._parts.append(part)

    def table(self) -> LegTable:
        if not self._parts:
            self.add(np.empty(0, np.int32), 0)
        columns = {name: np.concatenate([part[name] for part in self._parts]) for name in ("leg", "hop", *Hop._fields, "reason")}
        order = np.lexsort((columns["hop"], columns["leg"]))
        return LegTable(**{name: column[order] for name, column in columns.items()}, texts=self.texts.all)


class _Maker:
    """Makes the tables; every step is over all rows at once."""

    def __init__(self, compiled: Compiled) -> None:
        self.compiled = compiled
        self.num_addressed = len(compiled.prefixes.family)
        # Rows behind these are host-network pods, which walk by their node's legs.
        self.rows = Rows(**{name: column[: self.num_addressed] for name, column in compiled.rows._asdict().items()})
        self.names = {key: texts(names) for key, names in compiled.names.items()}
        self.devices = {key: texts(names) for key, names in compiled.device_texts.items()}

    @cached_property
    def domains(self) -> list[str]:
        """By row: the pod, the node, or the interface that it belongs to; empty for the rest."""
        rows, names = self.rows, self.names
        found = []
        columns = zip(rows.kind.tolist(), rows.namespace.tolist(), rows.pod.tolist(), rows.node.tolist(), rows.eni.tolist(), strict=True)
        for kind, namespace, pod, node, eni in columns:
            if kind == Kind.POD and pod < 0:
                found.append("one of several pods")
            elif kind == Kind.POD:
                found.append(f"pod {names['namespace'][namespace]}/{names['pod'][pod]}")
            elif node >= 0:
                found.append(f"node {names['node'][node]}")
            else:
                found.append(names["eni"][eni] if eni >= 0 else "")
        return found

    @cached_property
    def subnet_of_eni(self) -> list[str]:
        """By interface: its subnet's id."""
        found = [""] * len(self.names["eni"])
        held = np.flatnonzero((self.rows.eni >= 0) & (self.rows.subnet >= 0))
        for eni, subnet in zip(self.rows.eni[held].tolist(), self.rows.subnet[held].tolist(), strict=True):
            found[eni] = self.names["subnet"][subnet]
        return found

    def prefix_texts(self, rows: NDArray[np.int64]) -> list[str]:
        """The addresses of rows, as prefixes."""
        prefixes = self.compiled.prefixes
        columns = zip(
            prefixes.family[rows].tolist(),
            prefixes.hi[rows].tolist(),
            prefixes.lo[rows].tolist(),
            prefixes.length[rows].tolist(),
            strict=True,
        )
        return [f"{IPv4Address(lo) if family == 4 else IPv6Address(hi << 64 | lo)}/{length}" for family, hi, lo, length in columns]

    def node_codes(self, texts_: _Texts, rows: NDArray[np.int64]) -> I32:
        """Codes of the nodes' domains, by row."""
        by_node = texts_.codes(f"node {name}" for name in self.names["node"])
        return by_node[self.rows.node[rows]]

    def local_rules(self, rows: NDArray[np.int64]) -> I32:
        """Priority at which table local is asked, by row: that of the node for the node's own addresses and its pods' way out."""
        node = self.rows.node[rows]
        known = np.where(node >= 0, self.compiled.tables.nodes.local_rule[node], NONE) if len(self.compiled.tables.nodes) else NONE
        return np.where(known >= 0, known, RULE_LOCAL).astype(np.int32)

    # --- out of a source

    def source_legs(self) -> LegTable:
        """Out of the pod, through its node, up to the subnet; every leg that some destination can make a packet take."""
        hops = _Hops(_Texts())
        self._add_bare(hops)
        domains = hops.texts.codes(self.domains)
        for source in (Source.POD, Source.HOST):
            rows = np.flatnonzero(self.rows.source == source)
            node_codes = self.node_codes(hops.texts, rows)
            for way, on in self._ways(source, rows).items():
                chosen, leg, at_node = rows[on], self.rows.source_leg[rows[on]] + np.int32(way), node_codes[on]
                if source is Source.POD:
                    pod_hop: dict[str, Any] = {"device": "eth0", "table": "main", "prefix": EVERYTHING4, "gateway": POD_GATEWAY}
                    hops.add(leg, 0, domain=domains[chosen], next_domain=at_node, **pod_hop)
                if way == SourceLeg.BROADCAST:
                    hops.add(leg, 1, domain=at_node, rule_priority=self.local_rules(chosen), table="local")
                elif way > SourceLeg.BROADCAST:
                    hops.add(leg, 1, domain=at_node, **self._exit(hops.texts, chosen, way))
        return hops.table()

    def _add_bare(self, hops: _Hops) -> None:
        rows = np.flatnonzero(self.rows.source == Source.BARE)
        everything = np.where(self.compiled.prefixes.family[rows] == 4, hops.texts.code(EVERYTHING4), hops.texts.code(EVERYTHING6)).astype(
            np.int32
        )
        domain = hops.texts.codes(self.names["eni"])[self.rows.eni[rows]] if len(rows) else np.empty(0, np.int32)
        subnet = hops.texts.codes(self.subnet_of_eni)[self.rows.eni[rows]] if len(rows) else np.empty(0, np.int32)
        hops.add(self.rows.source_leg[rows], 0, domain=domain, prefix=everything, next_domain=subnet)

    def _ways(self, source: Source, rows: NDArray[np.int64]) -> dict[int, NDArray[np.bool_]]:
        """Source legs that exist, each with the rows that have it."""
        all_rows = np.ones(len(rows), bool)
        ways = dict.fromkeys((SourceLeg.LOCAL, SourceLeg.TO_POD, SourceLeg.BROADCAST, SourceLeg.OWN, SourceLeg.OWN + 1), all_rows)
        decisions, nodes = self.compiled.tables.decisions, self.compiled.tables.nodes
        by_range = np.bitwise_or.reduce(decisions.ranges, axis=1) if decisions.ranges.size else np.empty(0, np.uint8)
        flags = by_range[nodes.ranges[self.rows.node[rows]]] if len(rows) else np.empty(0, np.uint8)
        translated = SourceLeg.MARKED if source is Source.POD else SourceLeg.OWN_SNAT
        for way, flag in ((translated, RangeFlag.SNAT), (SourceLeg.EXTERNAL_SERVICE, RangeFlag.EXTERNAL_SERVICE)):
            has_flag = flags & np.uint8(flag) != 0
            ways |= {way: has_flag, way + 1: has_flag}
        return {int(way): on for way, on in ways.items()}

    def _exit(self, texts_: _Texts, rows: NDArray[np.int64], way: int) -> dict[str, I32 | int | str]:
        """The node's hop for one way: by the row's own table, or by main and the primary interface."""
        is_on_link = (way - SourceLeg.OWN) % 2 == FibExit.ON_LINK
        is_own = way >= SourceLeg.OWN_SNAT or way < SourceLeg.MARKED
        rule: I32 | int = RULE_MARKED if way < SourceLeg.EXTERNAL_SERVICE else RULE_EXTERNAL_SERVICE
        eni = self.compiled.tables.nodes.primary_eni[self.rows.node[rows]]
        table: I32 | str = "main"
        is_main = np.ones(len(rows), bool)
        if is_own:
            rule = self.rows.rule[rows]
            eni = np.where(rule == RULE_MAIN, eni, self.rows.eni[rows])
            table = texts_.codes(self.names["table"])[self.rows.table[rows]]
            is_main = self.rows.table[rows] == self.compiled.tables.table_main
        return {
            "rule_priority": rule,
            "table": table,
            **self._through(texts_, eni, is_on_link=np.full(len(rows), is_on_link), is_main=is_main),
        }

    def _through(
        self, texts_: _Texts, eni: I32, *, is_on_link: NDArray[np.bool_], is_main: NDArray[np.bool_]
    ) -> dict[str, I32 | int | str]:
        """Device, matched prefix, gateway and subnet of an exit by an interface: by its default, or on link."""
        gateways = self.devices["gateway"]
        host_prefixes = [f"{gateway}/32" if gateway else "" for gateway in gateways]
        on_link = np.where(is_main, texts_.codes(self.devices["subnet"])[eni], texts_.codes(host_prefixes)[eni])
        return {
            "device": texts_.codes(self.devices["device"])[eni],
            "prefix": np.where(is_on_link, on_link, texts_.code(EVERYTHING4)).astype(np.int32),
            "gateway": np.where(is_on_link, 0, texts_.codes(gateways)[eni]).astype(np.int32),
            "next_domain": texts_.codes(self.subnet_of_eni)[eni],
        }

    # --- between the interfaces

    def vpc_legs(self) -> LegTable:
        """Every VPC leg, each way; hops in the direction of the way out."""
        hops = _Hops(_Texts())
        columns = {name: texts(self.compiled.leg_texts[name]) for name in LEG_TEXT_COLUMNS}
        legs = np.array([int(leg) for leg in columns["leg"]], np.int32)
        position = np.arange(len(legs)) - np.searchsorted(legs, legs)
        codes = {name: hops.texts.codes(columns[name]) for name in (*Hop._fields, "reason") if name != "rule_priority"}
        for at in range(int(position.max(initial=-1)) + 1):
            on = position == at
            for way in VpcLegWay:
                hops.add(legs[on] * NUM_VPC_LEG_WAYS + np.int32(way), at, **{name: code[on] for name, code in codes.items()})
        return hops.table()

    # --- into a destination

    def destination_legs(self) -> LegTable:
        """From the interface, or the node itself, to the pod; and within a pod or node by its loopback."""
        hops = _Hops(_Texts())
        rows = self.rows
        held = np.flatnonzero((rows.eni >= 0) | np.isin(rows.kind, (int(Kind.POD), int(Kind.NODE))))
        domains = hops.texts.codes(self.domains)
        prefixes = np.zeros(self.num_addressed, np.int32)
        prefixes[held] = hops.texts.codes(self.prefix_texts(held))
        inside = held[np.isin(rows.kind[held], (int(Kind.POD), int(Kind.NODE)))]
        looped: dict[str, Any] = {"device": "lo", "table": "local"}
        own_netns = rows.kind[inside] == Kind.POD
        rule = np.where(own_netns, RULE_LOCAL, self.local_rules(inside)).astype(np.int32)
        leg = rows.destination_leg[inside] + np.int32(DestinationLeg.LOOPBACK)
        hops.add(leg, 0, domain=domains[inside], rule_priority=rule, prefix=prefixes[inside], next_domain=domains[inside], **looped)
        # A pod whose address no interface holds is still reached from its own node.
        arriving = held[(rows.eni[held] >= 0) | (rows.row_flags[held] & np.uint16(RowFlag.POD_ROUTE) != 0)]
        flags = rows.row_flags[arriving]
        is_pod = flags & np.uint16(RowFlag.POD_ROUTE) != 0
        is_local = ~is_pod & (flags & np.uint16(RowFlag.NODE_LOCAL) != 0)
        is_warm = ~is_pod & ~is_local & (flags & np.uint16(RowFlag.WARM) != 0) & (rows.source[arriving] == Source.POD)
        is_bare = ~(is_pod | is_local | is_warm)
        pods, local, warm, bare = (arriving[on] for on in (is_pod, is_local, is_warm, is_bare))
        veths = hops.texts.codes(self.devices["veth"][row] for row in pods.tolist())
        enis = hops.texts.codes(self.names["eni"])
        for way in (DestinationLeg.FROM_VPC, DestinationLeg.FROM_HOST):
            number = rows.destination_leg + np.int32(way)
            at_pod: dict[str, Any] = {"rule_priority": RULE_TO_POD, "table": "main", "prefix": prefixes[pods], "next_domain": domains[pods]}
            hops.add(number[pods], 0, domain=self.node_codes(hops.texts, pods), device=veths, **at_pod)
            at_local: dict[str, Any] = {"prefix": prefixes[local], "next_domain": domains[local], **looped}
            hops.add(number[local], 0, domain=domains[local], rule_priority=self.local_rules(local), **at_local)
            hops.add(number[warm], 0, domain=self.node_codes(hops.texts, warm), **self._warm_exit(hops.texts, warm))
            hops.add(number[bare], 0, domain=enis[rows.eni[bare]], next_domain=domains[bare])
        return hops.table()

    def _warm_exit(self, texts_: _Texts, rows: NDArray[np.int64]) -> dict[str, I32 | int | str]:
        """Nobody on the node holds the address: back out by table main."""
        if not len(rows):
            return {}
        nodes, decisions = self.compiled.tables.nodes, self.compiled.tables.decisions
        of_row, dst_class = self.rows.node[rows], self.rows.dst_class[rows]
        is_on_link = decisions.fib[nodes.main_profile[of_row], dst_class] == FibExit.ON_LINK
        is_external = decisions.ranges[nodes.ranges[of_row], dst_class] & np.uint8(RangeFlag.EXTERNAL_SERVICE) != 0
        through = self._through(texts_, nodes.primary_eni[of_row], is_on_link=is_on_link, is_main=np.ones(len(rows), bool))
        return {"rule_priority": np.where(is_external, RULE_EXTERNAL_SERVICE, RULE_MAIN).astype(np.int32), "table": "main", **through}
