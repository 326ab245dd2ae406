"""Records routed each by the snapshot of its time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from fastroute.datapath import Answers, empty_answers
from fastroute.datapath.united import United
from fastroute.errors import InputError
from fastroute.flows.account import Account
from fastroute.flows.fields import Fields
from fastroute.flows.questions import NameIndex
from fastroute.flows.router import Routed, Router, Table
from fastroute.flows.times import read_seconds

I64 = NDArray[np.int64]


class TimelineRouter(Router):
    """Routes tables through several compiled snapshots; safe to share between threads.

    Parameters
    ----------
    united : United
        The snapshots, in the order of their times.
    valid_from : (k - 1,) int64
        From when on, seconds since 1970, the second and further ones are those that count.
    columns, names : as of a Router
    """

    has_one_topology = False

    def __init__(self, united: United, valid_from: I64, columns: Sequence[str], names: NameIndex) -> None:
        super().__init__(united.compiled, columns, names)
        self.depends_on_time = True
        self._valid_from = valid_from
        self._parts = united.parts
        self._routers = [Router(part.compiled, (), names) for part in united.parts]

    def route(self, table: Table, fields: Fields, first_row: int = 0) -> Routed:
        """Route every record of a table, by the snapshot that counts at its start; questions, and records without a time, by the newest."""
        if fields.is_simulated or "start" not in fields:
            return self._routed(len(self._parts) - 1, table, fields, first_row)
        start = read_seconds(table[fields.at["start"]], "start")
        numbers = np.searchsorted(self._valid_from, start, side="right")
        numbers[start < 0] = len(self._parts) - 1
        present = np.flatnonzero(np.bincount(numbers, minlength=len(self._parts))).tolist()
        if len(present) < 2:
            return self._routed(present[0] if present else len(self._parts) - 1, table, fields, first_row)
        answers, account, stand_ins = empty_answers(table.num_rows), Account(), 0
        measures: list[I64] = [np.empty(0, np.int64), np.empty(0, np.int64)]
        for number in present:
            records = np.flatnonzero(numbers == number)
            try:
                routed = self._routed(number, table.take(pa.array(records)), fields, first_row)
            except InputError:
                self._routed(number, table, fields, first_row)  # the same error, with the record's own number
                raise
            _scatter(routed.answers, records, answers)
            for i, part in enumerate((routed.num_bytes, routed.packets)):
                if len(part):
                    measures[i] = measures[i] if len(measures[i]) else np.empty(table.num_rows, np.int64)
                    measures[i][records] = part
            account.add(routed.account)
            stand_ins += routed.without_packet_addresses
        return Routed(answers, measures[0], measures[1], account, stand_ins)

    def _routed(self, number: int, table: Table, fields: Fields, first_row: int) -> Routed:
        routed = self._routers[number].route(table, fields, first_row)
        return routed._replace(answers=self._parts[number].in_common(routed.answers))


def _scatter(part: Answers, records: NDArray[np.intp], answers: Answers) -> None:
    for name, values in part._asdict().items():
        getattr(answers, name)[records] = values
