"""Between whom AMBIGUOUS records are open."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from fastroute.datapath import Answers, Compiled
from fastroute.datapath.history import Timed
from fastroute.flows.account import Account
from fastroute.flows.kernels import tally
from fastroute.flows.time_kernels import fill_doubts
from fastroute.vocab import Attribution

I64 = NDArray[np.int64]


def doubts_of(compiled: Compiled, answers: Answers, *, packet_addresses: bool) -> NDArray[np.int8] | None:
    """The Doubt of each AMBIGUOUS record, that of its source if both ends are open; -1 for the others. None where there are none."""
    doubts = np.empty(len(answers.attribution), np.int8)
    rows = compiled.rows
    ends = answers.src_row, answers.dst_row, answers.src_attribution
    found = fill_doubts(answers.attribution, *ends, rows.kind, rows.row_flags, packet_addresses, doubts)
    return doubts if found else None


def note_candidates(account: Account, compiled: Compiled, found: Iterable[Timed], answers: Answers, num_bytes: I64, packets: I64) -> None:
    """Sum up the records that are open between pods which held one address, by those pods."""
    for timed in found:
        is_open = (timed.attribution == Attribution.AMBIGUOUS) & (answers.attribution[timed.records] == Attribution.AMBIGUOUS)
        chosen = np.flatnonzero(is_open)
        if not len(chosen):
            continue
        sets = np.stack((timed.candidate[chosen], timed.num_candidates[chosen]), axis=1)
        distinct, codes = np.unique(sets, axis=0, return_inverse=True)
        sums = np.zeros((len(distinct), 3), np.int64)
        records = timed.records[chosen]
        some_bytes, some_packets = (values[records] if len(values) else values for values in (num_bytes, packets))
        tally(codes.reshape(-1).astype(np.int32), 0, some_bytes, some_packets, sums)
        for (first, number), row in zip(distinct.tolist(), sums, strict=True):
            account.add_reused(_pods_of(compiled, compiled.history.row[first : first + number].tolist()), row)


def _pods_of(compiled: Compiled, rows: list[int]) -> tuple[str, ...]:
    names = []
    for row in rows:
        parts = []
        for key in ("namespace", "pod"):
            code, (data, offsets) = int(getattr(compiled.rows, key)[row]), compiled.names[key]
            parts.append(data[offsets[code] : offsets[code + 1]].tobytes().decode())
        names.append("/".join(parts))
    return tuple(dict.fromkeys(names))
