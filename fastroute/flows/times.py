"""When the packets of a record can have been seen, and what that says of its ends."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from fastroute.datapath import Answers, Compiled, Questions, walk
from fastroute.datapath.history import Timed, at_best, at_time, put_rows
from fastroute.errors import InputError
from fastroute.flows.columns import int_column, one_array
from fastroute.flows.fields import Fields
from fastroute.flows.time_kernels import TRAIL, bounds, fill_stretches

I64 = NDArray[np.int64]

_FIRST_MILLISECONDS = 10**11


class Stretches(NamedTuple):
    """The time of each record, (n,) int64: from `begin` to `end`, both included; begin > end where it records none."""

    begin: I64
    end: I64
    earliest: int

    def of_records(self, records: NDArray[np.intp]) -> Stretches:
        """Those of some records."""
        return Stretches(self.begin[records], self.end[records], self.earliest)


def read_stretches(compiled: Compiled, table: pa.Table | pa.RecordBatch, fields: Fields) -> Stretches | None:
    """Read the times of a batch; None where they decide nothing: not recorded, or every address had settled before.

    Raises
    ------
    InputError
        Times that are no seconds since 1970, or without a zone.
    """
    if "start" not in fields or "end" not in fields:
        return None
    start = read_seconds(table[fields.at["start"]], "start")
    earliest, latest = bounds(start)
    if latest >= _FIRST_MILLISECONDS:
        raise InputError(f"start holds {latest}, beyond the year 5000 as seconds since 1970; if it is milliseconds, divide it by 1000")
    earliest -= TRAIL
    if not (compiled.history.settled > earliest).any():
        return None
    end = read_seconds(table[fields.at["end"]], "end")
    begin, until = np.empty(len(start), np.int64), np.empty(len(start), np.int64)
    return Stretches(begin, until, fill_stretches(start, end, begin, until))


def walk_at_time(
    compiled: Compiled, questions: Questions, stretches: Stretches | None, *, packet_addresses: bool
) -> tuple[Answers, list[Timed]]:
    """Walk recorded flows, each between those who had its addresses at its time.

    Returns
    -------
    Answers
    list of Timed
        What the time said of sources and destinations.
    """
    if stretches is None:
        return walk(compiled, questions, recorded=True, packet_addresses=packet_addresses), []
    begin, end, earliest = stretches
    found = [at_time(compiled, rows, begin, end, earliest) for rows in (questions.src_row, questions.dst_row)]
    for rows, timed in zip((questions.src_row, questions.dst_row), found, strict=True):
        put_rows(rows, timed)
    answers = walk(compiled, questions, recorded=True, packet_addresses=packet_addresses)
    for attribution, timed in zip((answers.src_attribution, answers.dst_attribution), found, strict=True):
        at_best(timed, attribution, answers.attribution)
    # Which host-network pod a port means is known after the walk; its way is its node's.
    first_host_pod = len(compiled.prefixes.family)
    if (compiled.history.settled[first_host_pod:] > earliest).any():
        for rows, attribution in ((answers.src_row, answers.src_attribution), (answers.dst_row, answers.dst_attribution)):
            timed = at_time(compiled, rows, begin, end, earliest, first_host_pod)
            put_rows(rows, timed)
            at_best(timed, attribution, answers.attribution)
    return answers, found


def read_seconds(column: pa.ChunkedArray | pa.Array, name: str) -> I64:
    """A time column as seconds since 1970, -1 where absent."""
    kind = column.type
    if not pa.types.is_timestamp(kind):
        return int_column(column, name, np.int64)
    if kind.tz is None:
        raise InputError(f"{name} holds times without a zone; cast it to timestamp('s', 'UTC') if they are UTC, or to seconds since 1970")
    # A cast brings pyarrow.compute along, 0.1 s: paid for timestamps only, which flow logs do not have.
    seconds = one_array(column).cast(pa.timestamp("s", kind.tz), safe=False)
    return int_column(seconds.cast(pa.int64()), name, np.int64)
