"""Flow logs or questions in, sums by group out: the aggregate form of `route`, which writes no rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import pyarrow as pa

from fastroute.api import Engine, Snapshot
from fastroute.api.ahead import num_threads
from fastroute.errors import InputError
from fastroute.flows import MEASURES, Account, Aggregation, Fields, Router, find_fields, total_of
from fastroute.flows.groups import Groups
from fastroute.io.flowlogs import FlowFile, discover, open_flows
from fastroute.jobs.pipeline import Progress, Reporter, run_all
from fastroute.jobs.route import Paths, listed


class Aggregate(NamedTuple):
    """Sums by group, and the account of all that was read; excluded records are in the account only."""

    table: pa.Table
    account: Account


def aggregate_files(
    paths: Paths,
    snapshot: Snapshot | Engine,
    by: Sequence[str],
    *,
    top: int | None = None,
    measures: Sequence[str] = ("bytes", "records"),
    threads: int | None = None,
    simulated: bool | None = None,
    progress: Progress | None = None,
) -> Aggregate:
    """Route flow logs, or tables of questions, and sum them up.

    Parameters
    ----------
    paths : path, or several; see `fastroute.io.flowlogs.discover`
    by : names of output columns, or of columns of the input
    top : int, optional
        How many groups: those with the most of the first measure; all by default.
    measures : of `records`, `bytes`, `packets`
    threads, simulated, progress : as for `route_files`

    Returns
    -------
    Aggregate
        `table` has the columns of `by` and the measures, the largest group first.

    Raises
    ------
    InputError
        As for `route_files`; no such column or measure.
    """
    for measure in measures:
        if measure not in MEASURES:
            raise InputError(f"no measure {measure!r}; the measures are {', '.join(MEASURES)}")
    if not measures:
        raise InputError(f"name at least one measure of {', '.join(MEASURES)}")
    engine = snapshot.compile() if isinstance(snapshot, Snapshot) else snapshot
    files = [open_flows(file) for file in discover(listed(paths)).files]
    aggregation = Aggregation(engine.compiled, by, files[0].schema.names)
    router = engine.router(())
    rows = sum(file.num_rows for file in files)
    reporter = Reporter(progress, "route", rows)
    works = [_FileSums(file, aggregation, router, simulated, reporter) for file in files]

    run_all(works, num_threads(threads))
    total = total_of(work.account for work in works)
    total.check()
    if total.records != rows:
        raise AssertionError(f"{rows} records read, {total.records} accounted for")
    return Aggregate(aggregation.table(measures, top), total)


class _Part(NamedTuple):
    groups: Groups
    account: Account


class _FileSums:
    """One file on its way through the pipeline: only the columns that decide are read."""

    def __init__(self, source: FlowFile, aggregation: Aggregation, router: Router, simulated: bool | None, reporter: Reporter) -> None:
        self.source = source
        self.num_chunks = len(source.chunks)
        self.account = Account()
        self._aggregation = aggregation
        self._router = router
        self._reporter = reporter
        names = source.schema.names
        try:
            self._fields = find_fields(names, simulated=simulated)
            for name in aggregation.input_columns:
                if name not in names:
                    raise InputError(f"no column {name!r} to group by; its columns are {', '.join(names)}")
        except InputError as error:
            raise InputError(f"{source.file.path}: {error}") from None

    def compute(self, number: int) -> _Part:
        """Read, route and sum up a chunk."""
        chunk = self.source.chunks[number]
        has_packet_addresses = "pkt_srcaddr" in self._fields and "pkt_dstaddr" in self._fields
        unneeded = {"srcaddr", "dstaddr"} if has_packet_addresses else set()
        try:
            table, fields = self._read(number, unneeded)
            routed = self._router.route(table, fields, chunk.first_row)
            if routed.without_packet_addresses and unneeded & set(self._fields.names):
                table, fields = self._read(number, set())
                routed = self._router.route(table, fields, chunk.first_row)
        except InputError as error:
            path = str(self.source.file.path)
            raise error if path in str(error) else InputError(f"{path}: {error}") from None
        return _Part(self._aggregation.groups(table, routed), routed.account)

    def write(self, part: _Part) -> None:
        """Take a chunk's sums."""
        self._aggregation.add(part.groups)
        self.account.add(part.account)
        self._reporter.add(part.account.records)

    def finish(self) -> None:
        """Hold the file's account to its records."""
        self.source.close()
        self.account.check()

    def _read(self, number: int, unneeded: set[str]) -> tuple[pa.Table, Fields]:
        names = self.source.schema.names
        needed = {at for field, at in self._fields.at.items() if field not in unneeded}
        needed |= {names.index(name) for name in self._aggregation.input_columns}
        table = self.source.read(self.source.chunks[number], sorted(needed))
        return table, find_fields(table.column_names, simulated=self._fields.is_simulated)
