"""The two ends of a batch's records as rows, from its addresses alone: what most sums need to know of a record."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import NamedTuple, TypeAlias

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from fastroute.datapath import Compiled, locate
from fastroute.flows.columns import ABSENT_TEXTS, TextColumn, distinct_column, gathered, int_column, lookup_texts, text_column, texts_of
from fastroute.flows.ends import EndColumn, parse_end
from fastroute.flows.fields import Fields
from fastroute.flows.kernels import NO_SPACE, NOT_RECORDED, OPEN_END, rows_of_codes
from fastroute.topology.times import BEGINNING

I32 = NDArray[np.int32]
I64 = NDArray[np.int64]
Table: TypeAlias = "pa.Table | pa.RecordBatch"

MAX_SPACES = 8
"""Address spaces of one batch in which each distinct address is located; records of further ones are left open."""
_NO_CODES = np.empty(0, np.int32)


class EndRows(NamedTuple):
    """(n,) int32 each; rows of either end, NOT_RECORDED for excluded records, OPEN_END where more than the addresses is needed."""

    src: I32
    dst: I32


def end_rows(compiled: Compiled, table: Table, fields: Fields, late: NDArray[np.bool_] | None, first_row: int) -> EndRows:
    """Find the rows of a batch's packet addresses.

    Parameters
    ----------
    table : with the packet addresses, and `vpc_id`, `interface_id` and `log_status` if the log has them
    fields : where the table has what
    late : (num_rows,) rows whose owner depends on the time of a record, which are left open; or None
    first_row : number of the first record in its file, for messages

    Raises
    ------
    InputError
        A record holds something that is no address.
    """
    n = table.num_rows
    excluded = excluded_records(table, fields)
    slots, spaces = _slots(compiled, table, fields)
    found = []
    for name in ("pkt_srcaddr", "pkt_dstaddr"):
        end = parse_end(text_column(table[fields.at[name]], name), name, first_row)
        rows = np.full(n, OPEN_END, np.int32)
        if len(spaces) and (end.codes is not None or len(spaces) == 1):
            codes = end.codes if end.codes is not None else _NO_CODES
            rows_of_codes(codes, slots, _row_table(compiled, end, spaces, late), excluded, rows)
        elif len(excluded):
            rows[excluded != 0] = NOT_RECORDED
        found.append(rows)
    return EndRows(*found)


def excluded_records(table: Table, fields: Fields) -> I32:
    """(n,) 1 for records whose log status is neither OK nor absent; (0,) where there are none."""
    if "log_status" not in fields:
        return _NO_CODES
    status = distinct_column(table[fields.at["log_status"]], "log_status")
    excluded = lookup_texts(status, {"OK": 0}, unknown=1, absent=0)
    return excluded if excluded.any() else _NO_CODES


def rejected_records(table: Table, fields: Fields) -> I32:
    """(n,) 1 for records of action REJECT; (0,) where there are none."""
    if "action" not in fields:
        return _NO_CODES
    rejected = lookup_texts(distinct_column(table[fields.at["action"]], "action"), {"REJECT": 1}, unknown=0, absent=0)
    return rejected if rejected.any() else _NO_CODES


def names_all(column: pa.ChunkedArray | pa.Array, name: str, records: NDArray[np.intp]) -> bool:
    """Whether a text column is recorded in all of some records."""
    texts = distinct_column(column, name)
    assert texts.codes is not None
    is_absent = np.array([*(text is None or text in ABSENT_TEXTS for text in texts_of(texts.texts)), True])
    return not is_absent[texts.codes[records]].any()


def measures_of(table: Table, fields: Fields) -> tuple[I64, I64]:
    """Bytes and packets, (n,) int64 with -1 for absent; (0,) where the table has no such column."""
    found = [
        int_column(table[fields.at[name]], name, np.int64) if name in fields else np.empty(0, np.int64) for name in ("bytes", "packets")
    ]
    return found[0], found[1]


def _slots(compiled: Compiled, table: Table, fields: Fields) -> tuple[I32, list[int]]:
    """Slot of each record's space, -1 where it names none that is known, (0,) where all are in the first; and the space of each slot."""
    named: tuple[TextColumn, Mapping[str, int]] | None = None
    if "vpc_id" in fields:
        named = distinct_column(table[fields.at["vpc_id"]], "vpc_id"), compiled.spaces
    elif "interface_id" in fields:
        named = distinct_column(table[fields.at["interface_id"]], "interface_id"), compiled.space_of_eni
    if named is None:
        only = compiled.only_space
        return _NO_CODES, [only] if only >= 0 else []
    column, space_of = named
    assert column.codes is not None
    spaces = [space_of.get(text or "", NO_SPACE) for text in texts_of(column.texts)]
    known = sorted(set(spaces) - {NO_SPACE})[:MAX_SPACES]
    slots = np.array([known.index(space) if space in known else -1 for space in spaces], np.int32)
    return gathered(column.codes, slots, -1), known


def _row_table(compiled: Compiled, end: EndColumn, spaces: list[int], late: NDArray[np.bool_] | None) -> I32:
    """(spaces, addresses) row of each address in each space."""
    rows = np.stack([locate(compiled, np.full(end.addresses.num_rows, space, np.int32), *end.addresses) for space in spaces])
    if late is not None:
        rows[np.append(late, False)[rows]] = OPEN_END
    rows[:, end.addresses.family == 0] = OPEN_END
    return rows


def timed_rows(compiled: Compiled, columns: Collection[str]) -> NDArray[np.bool_]:
    """Rows of addresses that were held by several, of whom some differ in these columns of rows."""
    history = compiled.history
    owners = np.repeat(np.arange(len(history.whole)), np.diff(history.offsets))
    every = np.arange(len(history.whole))
    differs = np.zeros(len(history.whole), bool)
    for name in columns:
        values = getattr(compiled.rows, name)
        for rows, of in ((history.row, owners), (history.pair, owners), (history.whole, every)):
            other = values[rows] != values[history.background[of]]
            differs[of[(rows >= 0) & (other | (history.background[of] < 0))]] = True
    found: NDArray[np.bool_] = (history.of_row >= 0) & np.append(differs, False)[history.of_row]
    return found


def late_rows(compiled: Compiled, timed: NDArray[np.bool_], settled_by: int | None) -> NDArray[np.bool_]:
    """Those of the timed rows that had not settled, (num_rows,); those of nodes by their host-network pods too."""
    ports = compiled.tables.ports
    late: NDArray[np.bool_] = timed & (compiled.history.settled > (BEGINNING if settled_by is None else settled_by))
    node_of_key = np.repeat(np.arange(len(ports.host_offsets) - 1), np.diff(ports.host_offsets))
    found = late.copy()
    found[node_of_key[(ports.host_rows >= 0) & late[ports.host_rows]]] = True
    return found
