"""The earliest time of a chunk's packets, where the file says it without being read."""

from __future__ import annotations

from typing import Any

import pyarrow.parquet as pq

from fastroute.flows.fields import field_name
from fastroute.flows.time_kernels import TRAIL
from fastroute.io.flowlogs import Chunk, FlowFile, ParquetFlows

FIRST_MILLISECONDS = 10**11
"""As seconds beyond the year 5000: such times are milliseconds, which the router refuses."""


class Earliest:
    """Reads the statistics of the columns `start` and `end`, seconds since 1970, from a Parquet file's footer."""

    def __init__(self, source: FlowFile) -> None:
        self._earliest: list[int | None] = []
        if isinstance(source, ParquetFlows):
            metadata: Any = pq.read_metadata(source.file.path)
            names = [field_name(metadata.schema.column(i).path) for i in range(metadata.num_columns)]
            if names.count("start") == names.count("end") == 1:
                columns = names.index("start"), names.index("end")
                self._earliest = [_minimum(metadata.row_group(i), columns) for i in range(metadata.num_row_groups)]

    def of(self, chunk: Chunk) -> int | None:
        """The earliest second at which a packet of the chunk can have been seen; None where the footer does not say."""
        found = [self._earliest[i] if i < len(self._earliest) else None for i in chunk.row_groups]
        known = [second for second in found if second is not None]
        return min(known) - TRAIL if known and len(known) == len(found) else None


def _minimum(row_group: Any, columns: tuple[int, int]) -> int | None:
    """The earliest start, or end where a clock was set back; None where a time is absent or no number of seconds."""
    found = []
    for at in columns:
        statistics = row_group.column(at).statistics
        if statistics is None or not statistics.has_min_max or not isinstance(statistics.min, int) or statistics.null_count:
            return None
        if statistics.max >= FIRST_MILLISECONDS:
            return None
        found.append(int(statistics.min))
    return min(found)
