"""Spark, for what one machine does not finish in time: files, not rows, are its unit.

Each file of flow logs is one row of a DataFrame; the Python worker that gets it runs the ordinary function from path to path, so that no
flow record crosses into the JVM. The compiled snapshot goes to every machine as one file, which each worker process maps into memory once.
`route_frame` is for rows that are in a DataFrame already.

Needs Spark 3.5 or newer (the extra `fastroute[spark]`), a classic session, and fastroute on every machine.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache, partial
from itertools import chain
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from fastroute.api import Engine, Snapshot
from fastroute.errors import InputError
from fastroute.flows import choose_columns, find_fields, output_fields
from fastroute.io.flowlogs import InputFile
from fastroute.io.manifest import FileEntry, Manifest, decoded_entry, encoded_entry
from fastroute.jobs.route import Paths, fingerprint, route_file
from fastroute.jobs.route import route_files as route_files_here
from fastroute.jobs.run import Settings

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession
    from pyspark.sql.types import StructType

MAX_TASKS = 10_000
"""More files than this share tasks: Spark's driver spends milliseconds on each."""
_ENTRIES = pa.schema([pa.field("output", pa.string()), pa.field("entry", pa.binary())])


def route_files(
    spark: SparkSession,
    paths: Paths,
    snapshot: Snapshot | str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    static: bool = False,
    threads: int = 1,
    **options: Any,
) -> Manifest:
    """Route every record of flow logs, a file a task.

    Outputs, manifest and errors are those of `fastroute.route_files`. A file that cannot be read is tried once more by the driver, which
    then does what `on_error` says. A task that fails or dies is retried by Spark (`spark.task.maxFailures`; in local mode that is 1 unless
    the master says otherwise, as `local[8, 4]` does); a file that was made twice is the same file.

    Parameters
    ----------
    spark : SparkSession
    paths, out
        As for `fastroute.route_files`; under the same names on the driver and on all workers.
    snapshot : Snapshot, or path of a snapshot folder or compiled file
        On the driver alone; Spark takes it to the workers.
    static : bool
        As for `Snapshot.compile`.
    threads : int
        Of one task; `spark.task.cpus` should be as many.
    options
        All others of `fastroute.route_files`: `columns`, `resume`, `on_error`, ...

    Returns
    -------
    Manifest
        Also written beside the outputs; `files` has an entry for each file: source, output, records, account.

    Raises
    ------
    InputError, OutputError
        As for `fastroute.route_files`.
    pyspark.errors.PySparkException
        A task failed too often; nothing is left behind, or, with `resume`, what was finished.
    """
    snapshot = _loaded(snapshot)
    shipped = _ship(spark, snapshot)
    return route_files_here(
        paths, snapshot.compile(static=static), out, elsewhere=partial(_on_workers, spark, shipped, static, threads), **options
    )


def route_frame(
    frame: DataFrame,
    snapshot: Snapshot | str | os.PathLike[str],
    *,
    columns: Sequence[str] | None = None,
    simulated: bool | None = None,
    static: bool = False,
) -> DataFrame:
    """Add the output columns to a DataFrame of flow records, or of questions.

    Every row crosses from the JVM to Python and back, which costs more than the routing; where the records are files, `route_files` is
    some ten times faster.

    Parameters
    ----------
    frame : DataFrame
        With the columns of a flow log (`pkt_srcaddr`, ...) or of questions (`src`, `dst`).
    snapshot : Snapshot, or path of a snapshot folder or compiled file
    columns : names of the columns to add
        The default ones, or `["all"]`.
    simulated : bool, optional
        Whether the rows ask questions; by default their columns tell.
    static : bool
        As for `Snapshot.compile`.

    Raises
    ------
    InputError
        No address column, or no such output column. While it is computed, what is wrong with a row comes as an exception of Spark's.
    """
    chosen = choose_columns(columns)
    find_fields(frame.columns, chosen, simulated)
    shipped = _ship(frame.sparkSession, _loaded(snapshot))
    return frame.mapInArrow(partial(_routed_batches, shipped, static, chosen, simulated), _schema_with(frame.schema, chosen))


def _loaded(snapshot: Snapshot | str | os.PathLike[str]) -> Snapshot:
    return snapshot if isinstance(snapshot, Snapshot) else Snapshot.load(snapshot)


def _ship(spark: SparkSession, snapshot: Snapshot) -> str:
    """Give the compiled snapshot to Spark, which takes it to each machine that needs it; answers its name there."""
    path = _shipping_folder() / f"fastroute-{fingerprint(snapshot.compile())}.snapshot"
    if not path.exists():
        snapshot.save(path)
    spark.sparkContext.addFile(str(path))
    return path.name


@cache
def _shipping_folder() -> Path:
    """Machines fetch the file from the driver when their first task begins: it stays as long as the driver's process."""
    folder = tempfile.mkdtemp(prefix="fastroute-spark-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


def _on_workers(
    spark: SparkSession, shipped: str, static: bool, threads: int, files: Sequence[InputFile], settings: Settings, folder: Path
) -> Iterator[FileEntry]:
    """Have each file routed by a Python worker of Spark's; yields the entries of those that could be read."""
    if not files:
        return
    # Large files first: the last tasks are then short ones.
    by_size = sorted(files, key=lambda file: -file.path.stat().st_size if file.path.exists() else 0)
    rows = [(number, str(file.path), str(file.relative)) for number, file in enumerate(by_size)]
    frame = spark.createDataFrame(rows, "number int, path string, relative string")
    tasks = frame.repartitionByRange(min(len(rows), MAX_TASKS), "number")
    routed = tasks.mapInArrow(
        partial(_route_paths, shipped, static, threads, settings, str(folder.absolute())), "output string, entry binary"
    )
    for row in routed.collect():
        yield decoded_entry(bytes(row.entry))


# --- what runs in the Python workers


def _route_paths(
    shipped: str, static: bool, threads: int, settings: Settings, folder: str, batches: Iterable[pa.RecordBatch]
) -> Iterator[pa.RecordBatch]:
    """Route the files of some rows, one after the other."""
    engine = None
    for batch in batches:
        for row in batch.to_pylist():
            engine = engine or _engine(shipped, static)
            file = InputFile(Path(row["path"]), PurePosixPath(row["relative"]))
            try:
                entry = route_file(file, engine, settings, Path(folder), threads=threads)
            except InputError:
                continue  # the driver reads it again, and says what is wrong with it
            yield pa.RecordBatch.from_pydict({"output": [entry.output], "entry": [encoded_entry(entry)]}, schema=_ENTRIES)


def _routed_batches(
    shipped: str, static: bool, columns: Sequence[str], simulated: bool | None, batches: Iterable[pa.RecordBatch]
) -> Iterator[pa.RecordBatch]:
    """Route the rows of one partition."""
    rest = iter(batches)
    first = next(rest, None)
    if first is None:
        return
    stream = pa.RecordBatchReader.from_batches(first.schema, chain([first], rest))
    for batch in _engine(shipped, static).route(stream, columns=columns, simulated=simulated, threads=1):
        yield _plain(batch)


def _plain(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The batch without dictionaries, which Spark does not take."""
    arrays = [array.dictionary_decode() if pa.types.is_dictionary(array.type) else array for array in batch.columns]
    return pa.RecordBatch.from_arrays(arrays, batch.schema.names)


@cache
def _engine(shipped: str, static: bool) -> Engine:
    """The engine of a worker process: the file is mapped into memory once."""
    from pyspark import SparkFiles

    return Snapshot.load(SparkFiles.get(shipped)).compile(static=static)


def _schema_with(schema: StructType, columns: Sequence[str]) -> StructType:
    """Spark's schema of the rows with the added columns."""
    from pyspark.sql import types

    kinds: dict[pa.DataType, Callable[[], Any]] = {pa.int32(): types.IntegerType, pa.int64(): types.LongType}
    added = [types.StructField(field.name, kinds.get(field.type, types.StringType)()) for field in output_fields(columns)]
    return types.StructType([*schema.fields, *added])
