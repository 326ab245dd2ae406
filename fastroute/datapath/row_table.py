"""Rows in their final order, numbered: those that the look-up gives, those of histories, those of host-network pods."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields

import numpy as np

from fastroute.arrays import NONE
from fastroute.datapath.classes import DestinationClasses, nearest_enclosing
from fastroute.datapath.histories import AddressHistory
from fastroute.datapath.ownership import Ownership, Place, Prefix, Row
from fastroute.datapath.state import History, RowFlag, Source
from fastroute.topology.tenure import Tenure
from fastroute.topology.times import BEGINNING, END
from fastroute.vocab import Attribution, Kind

_COLUMNS = tuple(field.name for field in fields(Row))


class RowTable:
    """Rows by space, family and address; then those of histories, by address; then the identity-only ones, which walk by their base."""

    def __init__(self, owners: Ownership, classes: DestinationClasses) -> None:
        self.rows: list[Row] = []
        self.classes: list[int] = []
        self.prefixes: list[Place] = []
        number_of_place: dict[Place, int] = {}
        for space, claims in enumerate(owners.prefixes):
            for prefix, row, destination_class in _cut(claims, classes):
                number_of_place[space, prefix] = len(self.rows)
                self._add(row, destination_class, (space, prefix))
        self.num_addressed = len(self.rows)
        self.histories = self._number_histories(owners, number_of_place)
        self.num_legged = len(self.rows)
        self.base_of_host_pod: list[int] = []
        self.tenure_of_host_pod: list[Tenure | None] = []
        self.host_rows: list[list[tuple[int, int]]] = [[] for _ in self.rows]
        for base in range(self.num_addressed):
            self._add_host_pods(base, owners.host_tenures)

    def _add(self, row: Row, destination_class: int, place: Place) -> int:
        self.rows.append(row)
        self.classes.append(destination_class)
        self.prefixes.append(place)
        return len(self.rows) - 1

    def _number_histories(self, owners: Ownership, number_of_place: dict[Place, int]) -> list[NumberedHistory]:
        """Rows that say the same are one: what an interface's free addresses have in common is not repeated for each."""
        known: dict[tuple[object, ...], int] = {}
        numbered = []
        for place in sorted(owners.histories):
            history = owners.histories[place]
            addressed = number_of_place[place]
            destination_class = self.classes[addressed]

            def number_of(row: Row, place: Place = place, destination_class: int = destination_class) -> int:
                is_placeless = row.row_flags & RowFlag.WARM or row.source is Source.NOBODY
                key = (*(getattr(row, name) for name in _COLUMNS), destination_class, None if is_placeless else place)
                if key not in known:
                    known[key] = self._add(row, destination_class, place)
                return known[key]

            current = self.rows[addressed]
            rows = [addressed if row == current else number_of(row) for row in history.rows]
            pairs = [rows[i] if pair == history.rows[i] else number_of(pair) for i, pair in enumerate(history.pairs)]
            whole = rows[0] if history.whole == history.rows[0] else number_of(history.whole)
            numbered.append(NumberedHistory(addressed, history, rows, pairs, whole, number_of(history.background)))
        return numbered

    def _add_host_pods(self, base: int, tenures: dict[str, Tenure]) -> None:
        """A row for each host-network pod that an address and port may mean."""
        node_row = self.rows[base]
        keys: dict[int, int] = {}
        for host in node_row.host_pods:
            number = len(self.rows)
            copied = {name: getattr(node_row, name) for name in _COLUMNS}
            identity = {"namespace": host.pod.namespace, "pod": host.pod.name, "owner_kind": host.pod.owner_kind, "owner": host.pod.owner}
            self.rows.append(Row(**{**copied, **identity, "kind": Kind.HOST_POD, "host_pods": ()}))
            self.classes.append(self.classes[base])
            self.base_of_host_pod.append(base)
            self.tenure_of_host_pod.append(tenures.get(host.pod.key))
            for key in set(host.keys):
                keys[key] = NONE if key in keys else number
        self.host_rows[base] = sorted(keys.items())


class NumberedHistory:
    """An address's history with the numbers of its rows; `addressed` is the one that the look-up gives."""

    def __init__(self, addressed: int, history: AddressHistory, rows: list[int], pairs: list[int], whole: int, background: int) -> None:
        self.addressed = addressed
        self.tenures = history.tenures
        self.rows = rows
        self.pairs = [*pairs, NONE]
        self.whole = whole
        self.background = background

    @property
    def settled(self) -> int:
        """From when on the row that the look-up gives is the answer."""
        *earlier, newest = self.tenures
        if self.rows[-1] != self.addressed or newest.until != END:
            return END
        return max([newest.since, *(tenure.last + 1 for tenure in earlier)])


def history_arrays(table: RowTable, owners: Ownership) -> History:
    """Lay out the histories: those of addresses, then those of host-network pods, which have one tenure each."""
    settled = np.full(len(table.rows), BEGINNING, np.int64)
    of_row = np.full(len(table.rows), NONE, np.int32)
    tenures: list[Tenure] = []
    rows: list[int] = []
    pairs: list[int] = []
    offsets = [0]
    whole: list[int] = []
    background: list[int] = []
    best: list[int] = []

    def add(row: int, settled_from: int, columns: tuple[tuple[Tenure, ...], list[int], list[int]], others: tuple[int, int, int]) -> None:
        settled[row] = settled_from
        of_row[row] = len(whole)
        tenures.extend(columns[0])
        rows.extend(columns[1])
        pairs.extend(columns[2])
        offsets.append(len(rows))
        for column, value in zip((whole, background, best), others, strict=True):
            column.append(value)

    for each in table.histories:
        add(
            each.addressed,
            each.settled,
            (each.tenures, each.rows, each.pairs),
            (each.whole, each.background, int(Attribution.INFERRED)),
        )
    for i, (base, tenure) in enumerate(zip(table.base_of_host_pod, table.tenure_of_host_pod, strict=True)):
        if tenure is not None and not tenure.is_endless:
            number = table.num_legged + i
            settled_from = tenure.since if tenure.until == END else END
            # Without the pod the port is the node's, and that is sure.
            add(number, settled_from, ((tenure,), [number], [NONE]), (NONE, base, int(Attribution.EXACT)))
    bounds = {name: np.array([getattr(tenure, name) for tenure in tenures], np.int64) for name in ("first", "since", "until", "last")}
    return History(
        settled=settled,
        of_row=of_row,
        offsets=np.array(offsets, np.int32),
        **bounds,
        row=np.array(rows, np.int32),
        pair=np.array(pairs, np.int32),
        whole=np.array(whole, np.int32),
        background=np.array(background, np.int32),
        background_attribution=np.array(best, np.uint8),
    )


def _cut(claims: dict[Prefix, Row], classes: DestinationClasses) -> Iterator[tuple[Prefix, Row, int]]:
    """Cut owners at the prefixes that decide, so that each piece has one owner and one class."""
    merged = sorted(claims.keys() | classes.number.keys())
    owners = nearest_enclosing((prefix, prefix in claims) for prefix in merged)
    deciders = nearest_enclosing((prefix, prefix in classes.number) for prefix in merged)
    for (prefix, owner), (_, decider) in zip(owners, deciders, strict=True):
        assert owner is not None
        assert decider is not None
        yield prefix, claims[owner], classes.number[decider]
