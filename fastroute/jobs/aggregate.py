"""Flow logs or questions in, sums by group out: the aggregate form of `route`, which writes no rows."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

import pyarrow as pa

from fastroute.api import Engine, Snapshot
from fastroute.api.ahead import num_threads
from fastroute.errors import InputError
from fastroute.flows import Account, Aggregation, find_fields, total_of
from fastroute.flows.counting import COUNTS, FlowCounter
from fastroute.flows.fields import field_name
from fastroute.io.flowlogs import Chunk, FlowFile, discover, open_flows
from fastroute.jobs.earliest import Earliest
from fastroute.jobs.logged import make_counter
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
    count: str = "records",
    full_account: bool = False,
    static: bool = False,
    log_format: Sequence[str] | None = None,
    threads: int | None = None,
    simulated: bool | None = None,
    progress: Progress | None = None,
) -> Aggregate:
    """Route flow logs, or tables of questions, and sum them up.

    Parameters
    ----------
    paths : path, or several; see `fastroute.io.flowlogs.discover`
    snapshot : Snapshot or Engine; the former where flows are counted
    by : names of output columns, or of columns of the input; `leg` where flows are counted
    top : int, optional
        How many groups: those with the most of the first measure; all by default.
    measures : of `records`, `bytes`, `packets`, `flows`
        Bytes and packets that are not asked for are not read, and 0 in the account. Flows are the records that count, once a flow.
    count : `records` or `flows`
        Whether every record counts, or of each flow the one record nearest its source; see `fastroute.jobs.logged.make_counter`.
    full_account : bool
        Whether the account also says how records were attributed, where they end and what was rejected, as the manifest of `route_files`
        does; ports and flags then decide of more records, and are read.
    static : bool
        Whether a Snapshot holds for all time; see `Snapshot.compile`.
    log_format, threads, simulated, progress : as for `route_files`

    Returns
    -------
    Aggregate
        `table` has the columns of `by` and the measures, the largest group first.

    Raises
    ------
    InputError
        As for `route_files`; no such column or measure; flows are to be counted in questions, or in a log without `interface_id`.
    """
    if count not in COUNTS:
        raise InputError(f"count {count!r}; it is {' or '.join(COUNTS)}")
    engine = snapshot.compile(static=static) if isinstance(snapshot, Snapshot) else snapshot
    files = [open_flows(file, log_format) for file in discover(listed(paths), log_format).files]
    counter = make_counter(snapshot, engine, files, num_threads(threads)) if count == "flows" else None
    aggregation = Aggregation(engine.router(()), by, files[0].schema.names, measures, counter, full_account=full_account)
    reporter = Reporter(progress, "route", sum(file.num_rows for file in files))
    works = [_FileSums(file, aggregation, counter, simulated, reporter) for file in files]

    run_all(works, num_threads(threads))
    total = total_of(work.account for work in works)
    total.check()
    rows = sum(file.num_rows for file in files)  # now known of text logs too
    if total.records != rows:
        raise AssertionError(f"{rows} records read, {total.records} accounted for")
    return Aggregate(aggregation.table(top), total)


class _FileSums:
    """One file on its way through the pipeline: only the columns that decide are read."""

    def __init__(
        self, source: FlowFile, aggregation: Aggregation, counter: FlowCounter | None, simulated: bool | None, reporter: Reporter
    ) -> None:
        self.source = source
        self.num_chunks = len(source.chunks)
        self.account = Account()
        self._aggregation = aggregation
        self._reporter = reporter
        self._earliest = Earliest(source) if aggregation.router.depends_on_time else None
        names = source.schema.names
        try:
            self._fields = find_fields(names, simulated=simulated)
            for name in aggregation.input_columns:
                if name not in names:
                    raise InputError(f"no column {name!r} to group by; its columns are {', '.join(names)}")
            if counter is not None and self._fields.is_simulated:
                raise InputError("asks questions, each a flow of its own; count records")
        except InputError as error:
            raise InputError(f"{source.file.path}: {error}") from None

    def compute(self, number: int) -> Account:
        """Read, route and sum up a chunk."""
        chunk = self.source.chunks[number]
        settled_by = self._earliest.of(chunk) if self._earliest is not None else None
        try:
            return self._aggregation.add(_Columns(self.source, chunk).read, self._fields, chunk.first_row, settled_by)
        except InputError as error:
            path = str(self.source.file.path)
            raise error if path in str(error) else InputError(f"{path}: {error}") from None

    def write(self, account: Account) -> None:
        """Take a chunk's account."""
        self.account.add(account)
        self._reporter.add(account.records)

    def finish(self) -> None:
        """Hold the file's account to its records."""
        self.source.close()
        self.account.check()
        if self.account.records != self.source.num_rows:
            raise AssertionError(f"{self.source.file.path}: {self.source.num_rows} records read, {self.account.records} accounted for")


class _Columns:
    """Columns of a chunk, each read once."""

    def __init__(self, source: FlowFile, chunk: Chunk) -> None:
        self._source = source
        self._chunk = chunk
        self._columns: dict[int, pa.ChunkedArray] = {}

    def read(self, names: Collection[str]) -> pa.Table:
        """The columns of these names, or fields of these names; those that the file does not have are left out."""
        schema = self._source.schema
        wanted = [i for i, name in enumerate(schema.names) if name in names or field_name(name) in names]
        missing = [i for i in wanted if i not in self._columns]
        if self._chunk.part >= 0 and not self._columns:
            # A part of a large row group is behind its reader once it was read: all that may be asked for is read at once.
            missing = list(range(len(schema.names)))
        if missing:
            table = self._source.read(self._chunk, missing)
            self._columns |= dict(zip(missing, table.columns, strict=True))
        return pa.Table.from_arrays([self._columns[i] for i in wanted], [schema.names[i] for i in wanted])
