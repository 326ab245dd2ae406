"""A table of flows in, output columns and their account out: what every way of routing (files, streams, pairs) goes through."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from fastroute.datapath import Answers, Compiled, Questions, walk
from fastroute.datapath.history import Timed, has_history
from fastroute.flows.account import Account, make_account
from fastroute.flows.batches import late_rows
from fastroute.flows.columns import distinct_column, gathered, int_column, lookup_texts, text_column
from fastroute.flows.doubts import doubts_of, note_candidates
from fastroute.flows.encode import EXCLUDED_END, Encoder
from fastroute.flows.ends import EndColumn, fill_spaces, locate_end, parse_end, recorded_spaces
from fastroute.flows.fields import Fields
from fastroute.flows.kernels import blank, prefer
from fastroute.flows.memory import PairMemory, put_records
from fastroute.flows.questions import NameIndex, resolve_ends
from fastroute.flows.times import Stretches, read_stretches, walk_at_time

I32 = NDArray[np.int32]
I64 = NDArray[np.int64]
Table: TypeAlias = "pa.Table | pa.RecordBatch"

_NO_MEASURE = np.empty(0, np.int64)
_LOG_STATUS = {"OK": 0}


class Routed(NamedTuple):
    """One batch, routed."""

    answers: Answers
    """Columns that neither the router's output columns nor the account need may be (0,)."""
    num_bytes: I64  # (n,), or (0,) where not recorded
    packets: I64
    account: Account
    without_packet_addresses: int
    """Records that needed the interface addresses, as their packet addresses are absent."""


class _Traffic(NamedTuple):
    """What a record says beside its addresses."""

    protocol: I32
    src_port: I32
    dst_port: I32
    tcp_flags: I32

    def questions(self, src_row: I32, dst_row: I32) -> Questions:
        return Questions(src_row, dst_row, *self)

    def of_records(self, records: NDArray[np.intp]) -> _Traffic:
        return _Traffic(*(column[records] for column in self))


class Router:
    """Routes tables through one compiled snapshot; safe to share between threads.

    Parameters
    ----------
    compiled : Compiled
    columns : names of the output columns; without any, the answers are whole
    names : resolves the names in questions
    """

    has_one_topology = True
    """Whether a row means one thing at all times."""

    def __init__(self, compiled: Compiled, columns: Sequence[str], names: NameIndex) -> None:
        self.compiled = compiled
        self.encoder = Encoder(compiled, columns)
        self.names = names
        self.depends_on_time = has_history(compiled)
        self._memory = PairMemory(compiled, columns) if PairMemory.can_hold(compiled) else None

    def route(self, table: Table, fields: Fields, first_row: int = 0) -> Routed:
        """Route every record of a table.

        Parameters
        ----------
        fields : where the table has what
        first_row : number of its first record in its file, for messages

        Raises
        ------
        InputError
            An address that is none, a name that the snapshot does not hold, a column of another type.
        """
        num_bytes, packets = (
            int_column(table[fields.at[name]], name, np.int64) if name in fields else _NO_MEASURE for name in ("bytes", "packets")
        )
        if fields.is_simulated:
            answers, excluded, stand_ins, timed = self._ask(table, fields, first_row), None, 0, list[Timed]()
        else:
            excluded = _excluded(table, fields)
            answers, stand_ins, timed = self._read(table, fields, excluded, first_row)
        if excluded is not None:
            _blank(answers, excluded)
        rejected = _rejected(table, fields, excluded)
        has_packet_addresses = fields.is_simulated or "pkt_srcaddr" in fields
        doubts = doubts_of(self.compiled, answers, packet_addresses=has_packet_addresses)
        account = make_account(answers.attribution, answers.path_class, answers.disposition, rejected, num_bytes, packets, doubts)
        note_candidates(account, self.compiled, timed, answers, num_bytes, packets)
        return Routed(answers, num_bytes, packets, account, stand_ins)

    def columns(self, routed: Routed) -> list[pa.Array]:
        """The output columns of a routed batch."""
        return self.encoder.encode(routed.answers)

    # --- recorded flows

    def _read(self, table: Table, fields: Fields, excluded: NDArray[np.uint8] | None, first_row: int) -> tuple[Answers, int, list[Timed]]:
        n = table.num_rows
        traffic = _traffic(table, fields, ("srcport", "dstport"))
        vpc_ids, interface_ids = (
            distinct_column(table[fields.at[name]], name) if name in fields else None for name in ("vpc_id", "interface_id")
        )
        spaces, num_missing = recorded_spaces(self.compiled, vpc_ids, interface_ids, n)
        has_packet_addresses = "pkt_srcaddr" in fields and "pkt_dstaddr" in fields
        names = ("pkt_srcaddr", "pkt_dstaddr") if has_packet_addresses else ("srcaddr", "dstaddr")
        src, dst = (self._end(table, fields, name, first_row) for name in names)
        if num_missing:
            fill_spaces(self.compiled, spaces, src, dst)
        questions = traffic.questions(locate_end(self.compiled, src, spaces), locate_end(self.compiled, dst, spaces))
        if excluded is not None:
            for rows in (questions.src_row, questions.dst_row):
                blank(excluded, rows, -1)
        stretches = read_stretches(self.compiled, table, fields) if self.depends_on_time else None
        if has_packet_addresses and self._memory is not None:
            answers, timed = self._walk_pairs(self._memory, questions, stretches)
        else:
            answers, timed = walk_at_time(self.compiled, questions, stretches, packet_addresses=has_packet_addresses)
        if not has_packet_addresses:
            return answers, 0, timed
        lacking = _absent(src) | _absent(dst)
        if excluded is not None:
            lacking &= excluded == 0
        records = np.flatnonzero(lacking)
        if len(records) and "srcaddr" in fields and "dstaddr" in fields:
            src, dst = (_part(self._end(table, fields, name, first_row), records) for name in ("srcaddr", "dstaddr"))
            spaces = spaces[records]
            if num_missing:
                fill_spaces(self.compiled, spaces, src, dst)
            questions = traffic.of_records(records).questions(
                locate_end(self.compiled, src, spaces), locate_end(self.compiled, dst, spaces)
            )
            at = stretches.of_records(records) if stretches is not None else None
            found, more = walk_at_time(self.compiled, questions, at, packet_addresses=False)
            put_records(answers, records, found)
            timed += [each._replace(records=records[each.records].astype(np.int32)) for each in more]
        return answers, len(records), timed

    def _walk_pairs(self, memory: PairMemory, questions: Questions, stretches: Stretches | None) -> tuple[Answers, list[Timed]]:
        """As `walk_at_time` with packet addresses: by pairs of rows, but for records of which the time may decide."""
        if stretches is None:
            return memory.walk(questions), []
        every = np.ones(len(self.compiled.rows.kind), bool)
        late = np.append(late_rows(self.compiled, every, stretches.earliest), False)
        records = np.flatnonzero(late[questions.src_row] | late[questions.dst_row])
        if 2 * len(records) > len(questions.src_row):
            return walk_at_time(self.compiled, questions, stretches, packet_addresses=True)
        some = Questions(*(column[records] for column in questions))
        found, timed = walk_at_time(self.compiled, some, stretches.of_records(records), packet_addresses=True)
        answers = memory.walk(questions)
        put_records(answers, records, found)
        return answers, [each._replace(records=records[each.records].astype(np.int32)) for each in timed]

    def _end(self, table: Table, fields: Fields, name: str, first_row: int) -> EndColumn:
        """An address column; all absent where the log has none."""
        column = table[fields.at[name]] if name in fields else pa.nulls(table.num_rows)
        return parse_end(text_column(column, name), name, first_row)

    # --- simulated flows

    def _ask(self, table: Table, fields: Fields, first_row: int) -> Answers:
        traffic = _traffic(table, fields, ("src_port", "dst_port"))
        src, dst = (
            resolve_ends(self.compiled, distinct_column(table[fields.at[name]], name), name, self.names, first_row)
            for name in ("src", "dst")
        )
        vpc_ids = distinct_column(table[fields.at["vpc_id"]], "vpc_id") if "vpc_id" in fields else None
        spaces, _ = recorded_spaces(self.compiled, vpc_ids, None, table.num_rows)
        for told in (src.spaces, dst.spaces):
            prefer(spaces, told, spaces)
        fill_spaces(self.compiled, spaces, src.ends, dst.ends)
        return self.walk_simulated(locate_end(self.compiled, src.ends, spaces), locate_end(self.compiled, dst.ends, spaces), *traffic[:3])

    def walk_simulated(self, src_row: I32, dst_row: I32, protocol: I32, src_port: I32, dst_port: I32) -> Answers:
        """Walk flows that their sources open."""
        return walk(self.compiled, Questions(src_row, dst_row, protocol, src_port, dst_port, _absent_numbers(len(src_row))), recorded=False)


def _traffic(table: Table, fields: Fields, ports: tuple[str, str]) -> _Traffic:
    names = ("protocol", *ports, "tcp_flags")
    return _Traffic(*(int_column(table[fields.at[name]], name) if name in fields else _absent_numbers(table.num_rows) for name in names))


def _absent_numbers(n: int) -> I32:
    return np.full(n, -1, np.int32)


def _absent(end: EndColumn) -> NDArray[np.bool_]:
    is_absent = end.addresses.family == 0
    return is_absent if end.codes is None else gathered(end.codes, is_absent, True)


def _part(end: EndColumn, records: NDArray[np.intp]) -> EndColumn:
    if end.codes is None:
        return EndColumn(end.of_records(records), None)
    return EndColumn(end.addresses, end.codes[records])


def _excluded(table: Table, fields: Fields) -> NDArray[np.uint8] | None:
    """Records whose log status is neither OK nor absent; None where there are none."""
    if "log_status" not in fields:
        return None
    status = lookup_texts(distinct_column(table[fields.at["log_status"]], "log_status"), _LOG_STATUS, unknown=1, absent=0)
    return status.astype(np.uint8) if status.any() else None


def _rejected(table: Table, fields: Fields, excluded: NDArray[np.uint8] | None) -> NDArray[np.uint8] | None:
    if "action" not in fields:
        return None
    rejected = lookup_texts(distinct_column(table[fields.at["action"]], "action"), {"REJECT": 1}, unknown=0, absent=0).astype(np.uint8)
    if excluded is not None:
        rejected &= excluded ^ 1
    return rejected


def _blank(answers: Answers, excluded: NDArray[np.uint8]) -> None:
    """Take every column from excluded records."""
    for name, column in answers._asdict().items():
        blank(excluded, column, EXCLUDED_END if name in ("src_row", "dst_row") else -1)
