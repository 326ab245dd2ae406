"""Flow logs or questions in, one Arrow IPC stream out: the form of `route` for pipes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import BinaryIO, NamedTuple

import pyarrow as pa

from fastroute.api import Engine, Snapshot
from fastroute.api.ahead import map_ahead, num_threads
from fastroute.errors import FastrouteError, InputError, OutputError
from fastroute.flows import Account, choose_columns, output_fields
from fastroute.io.flowlogs import Chunk, InputFile, discover
from fastroute.jobs.chunks import route_chunk
from fastroute.jobs.pipeline import Progress, Reporter
from fastroute.jobs.route import Paths, listed
from fastroute.jobs.run import Opened, Settings, open_file


class _Part(NamedTuple):
    """A chunk to be routed."""

    opened: Opened
    chunk: Chunk


class _Routed(NamedTuple):
    batches: list[pa.RecordBatch]
    account: Account


def route_stream(
    paths: Paths,
    snapshot: Snapshot | Engine,
    sink: BinaryIO,
    *,
    columns: Sequence[str] | None = None,
    threads: int | None = None,
    simulated: bool | None = None,
    static: bool = False,
    log_format: Sequence[str] | None = None,
    progress: Progress | None = None,
) -> Account:
    """Route every record of flow logs, or of tables of questions, into an Arrow IPC stream.

    Parameters
    ----------
    paths, snapshot, columns, threads, simulated, static, log_format, progress : as for `route_files`
    sink : a binary file to write to
        It gets the input's columns and the added ones, every record, file after file; text that the input holds as dictionaries is plain.

    Returns
    -------
    Account

    Raises
    ------
    InputError
        As for `route_files`; the files' columns differ. What was written before is a valid stream without its end.
    OutputError
        It cannot be written.
    """
    settings = Settings(choose_columns(columns), "encode", simulated, "stop", None, log_format=_as_tuple(log_format))
    found = discover(listed(paths), log_format)
    engine = snapshot.compile(static=static) if isinstance(snapshot, Snapshot) else snapshot
    router = engine.router(settings.columns)
    first = open_file(found.files[0], settings)
    schema = pa.schema([*first.source.schema.remove_metadata(), *output_fields(settings.columns)])
    reporter = Reporter(progress, "route", first.source.num_rows if len(found.files) == 1 else 0)
    account = Account()

    def routed_part(part: _Part) -> _Routed:
        table, routed = route_chunk(part.opened.source, part.chunk, router, part.opened.fields, reads_all=True)
        arrays = zip([*table.columns, *router.columns(routed)], schema, strict=True)
        plain = [array if array.type == field.type else array.cast(field.type) for array, field in arrays]
        return _Routed(pa.Table.from_arrays(plain, schema=schema).to_batches(), routed.account)

    try:
        with pa.ipc.new_stream(sink, schema) as writer:
            for routed in map_ahead(routed_part, _parts(found.files, first, settings), num_threads(threads)):
                for batch in routed.batches:
                    writer.write_batch(batch)
                account.add(routed.account)
                reporter.add(routed.account.records)
    except (FastrouteError, BrokenPipeError):
        raise
    except OSError as error:
        raise OutputError(f"the stream cannot be written: {error.strerror or error}") from error
    account.check()
    return account


def _as_tuple(names: Sequence[str] | None) -> tuple[str, ...] | None:
    return None if names is None else tuple(names)


def _parts(files: Sequence[InputFile], first: Opened, settings: Settings) -> Iterator[_Part]:
    """The chunks of all files in order, each file opened when its turn comes and closed when the next one is."""
    for number, file in enumerate(files):
        opened = first if number == 0 else open_file(file, settings)
        if not opened.source.schema.remove_metadata().equals(first.source.schema.remove_metadata()):
            raise InputError(
                f"{file.path}: its columns differ from those of {files[0].path}, and a stream has the same throughout; route into a folder"
            )
        yield from (_Part(opened, chunk) for chunk in opened.source.chunks)
