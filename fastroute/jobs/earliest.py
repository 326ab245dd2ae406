"""The earliest time of a chunk's packets, where the file says it without being read."""

from __future__ import annotations

from typing import Any

import pyarrow.parquet as pq

from fastroute.flows.fields import field_name
from fastroute.flows.times import TRAIL
from fastroute.io.flowlogs import Chunk, FlowFile, ParquetFlows


class Earliest:
    """Reads the statistics of the column `start`, seconds since 1970, from a Parquet file's footer."""

    def __init__(self, source: FlowFile) -> None:
        self._starts: list[int | None] = []
        if isinstance(source, ParquetFlows):
            metadata: Any = pq.read_metadata(source.file.path)
            names = [field_name(metadata.schema.column(i).path) for i in range(metadata.num_columns)]
            if names.count("start") == 1 and metadata.schema.column(names.index("start")).physical_type in {"INT32", "INT64"}:
                at = names.index("start")
                self._starts = [_minimum(metadata.row_group(i).column(at).statistics) for i in range(metadata.num_row_groups)]

    def of(self, chunk: Chunk) -> int | None:
        """The earliest second at which a packet of the chunk can have been seen; None where the footer does not say."""
        starts = [self._starts[i] if i < len(self._starts) else None for i in chunk.row_groups]
        known = [start for start in starts if start is not None]
        return min(known) - TRAIL if known and len(known) == len(starts) else None


def _minimum(statistics: Any) -> int | None:
    if statistics is None or not statistics.has_min_max or not isinstance(statistics.min, int) or statistics.null_count:
        return None
    return int(statistics.min)
