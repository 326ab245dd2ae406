"""Flow logs or questions in, the same records with their paths out: one file a file, and the account of the run."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from fastroute.api import Engine, Snapshot
from fastroute.api.ahead import num_threads
from fastroute.datapath import path_tables
from fastroute.errors import FastrouteError, InputError, OutputError
from fastroute.flows import Account, Fields, Router, choose_columns, find_fields, output_fields, total_of
from fastroute.io.flowlogs import PARQUET_SUFFIXES, FlowFile, Found, InputFile, discover, open_flows
from fastroute.io.manifest import FileEntry, Manifest, hash_of
from fastroute.io.outputs import PATHS, OutputFolder
from fastroute.io.parquet import COMPRESSION, write_legs
from fastroute.io.writers import choose_writer
from fastroute.jobs.chunks import route_chunk
from fastroute.jobs.pipeline import Progress, Reporter, run_all

Paths = str | os.PathLike[str] | Iterable[str | os.PathLike[str]]


class _Part(NamedTuple):
    """A chunk, ready to be written."""

    encoded: Any
    account: Account


def route_files(
    paths: Paths,
    snapshot: Snapshot | Engine,
    out: str | os.PathLike[str],
    *,
    columns: Sequence[str] | None = None,
    threads: int | None = None,
    overwrite: bool = False,
    min_attributed: float | None = None,
    simulated: bool | None = None,
    write: str = "auto",
    progress: Progress | None = None,
) -> Manifest:
    """Route every record of flow logs, or of tables of questions, into a folder.

    Parameters
    ----------
    paths : path, or several
        Files, folders or patterns; see `fastroute.io.flowlogs.discover`.
    snapshot : Snapshot or Engine
    out : path
        A new or empty folder. Each input file has its output at the same place in it, questions in CSV or Arrow with `.parquet` appended;
        beside them `_manifest.json`, and `_paths/`, which decodes `path_id`.
    columns : names of the columns to add
        The default ones, or `["all"]`.
    threads : int, optional
        One for each processor by default. The files are the same for any number.
    overwrite : bool
        Replace an earlier output of fastroute in the folder; other files are never touched.
    min_attributed : float, optional
        Share of records, 0 to 1, that must be EXACT or INFERRED; the manifest says whether they are.
    simulated : bool, optional
        Whether the tables ask questions; by default their columns tell.
    write : `auto`, `splice` or `encode`
        Whether the columns of the input are copied as bytes, or decoded and encoded again; by default the former where that can be.
    progress : callable, optional
        Called with ("route", records written, records in all).

    Returns
    -------
    Manifest

    Raises
    ------
    InputError
        A file that is not what it should be, or holds an address that is none; nothing is left behind.
    OutputError
        The folder holds other files, or cannot be written; nothing is left behind.
    """
    began = time.perf_counter()
    started_at = datetime.now(UTC)
    chosen = choose_columns(columns)
    folder = Path(out)
    found = discover(listed(paths))
    _check_apart(found, folder)
    engine = snapshot.compile() if isinstance(snapshot, Snapshot) else snapshot
    opened = [_opened(file, chosen, simulated) for file in found.files]
    outputs = OutputFolder(folder, [output_place(flows.file.relative) for flows, _ in opened], overwrite=overwrite)
    works: list[_FileWork] = []
    try:
        reporter = Reporter(progress, "route", sum(flows.num_rows for flows, _ in opened))
        router = engine.router(chosen)
        works += [_FileWork(flows, fields, router, outputs, reporter, write) for flows, fields in opened]
        run_all(works, num_threads(threads))
        account = total_of(work.account for work in works)
        account.check()
        _write_paths(outputs, engine)
        seconds = time.perf_counter() - began
        manifest = Manifest(
            settings={"columns": list(chosen), "compression": COMPRESSION, "write": write, "min_attributed": min_attributed},
            snapshot=engine.describe(),
            files=[work.entry for work in works if work.entry is not None],
            ignored=[str(path) for path in found.ignored],
            account={**account.to_dict(), "attributed_share": account.attributed_share},
            run={
                "started_at": started_at.isoformat(timespec="seconds"),
                "seconds": round(seconds, 3),
                "records_per_second": round(account.records / seconds),
                "threads": num_threads(threads),
                "is_below_min_attributed": min_attributed is not None and account.attributed_share < min_attributed,
            },
        )
        outputs.finish(manifest.to_dict())
    except BaseException as error:
        for work in works:
            work.abandon()
        outputs.abandon()
        if isinstance(error, OSError) and not isinstance(error, FastrouteError):
            raise outputs.failure(folder, error) from error
        raise
    return manifest


def listed(paths: Paths) -> list[str | os.PathLike[str]]:
    """One path or several, as a list."""
    return [paths] if isinstance(paths, str | os.PathLike) else list(paths)


def _check_apart(found: Found, out: Path) -> None:
    """Hold the output apart from the input: else the next run would read what this one wrote."""
    for folder in found.folders:
        if out.resolve().is_relative_to(folder.resolve()):
            raise OutputError(f"{out}: lies inside the logs ({folder}); name a folder elsewhere")


def _opened(file: InputFile, columns: Sequence[str], simulated: bool | None) -> tuple[FlowFile, Fields]:
    flows = open_flows(file)
    try:
        return flows, find_fields(flows.schema.names, columns, simulated)
    except InputError as error:
        raise InputError(f"{file.path}: {error}") from None


def output_place(relative: PurePosixPath) -> PurePosixPath:
    """Where the output of an input file lies."""
    return relative if relative.name.endswith(PARQUET_SUFFIXES) else relative.with_name(relative.name + PARQUET_SUFFIXES[0])


class _FileWork:
    """One file on its way through the pipeline."""

    def __init__(self, source: FlowFile, fields: Fields, router: Router, outputs: OutputFolder, reporter: Reporter, write: str) -> None:
        self.source = source
        self.num_chunks = len(source.chunks)
        self.account = Account()
        self.entry: FileEntry | None = None
        self._fields = fields
        self._router = router
        self._outputs = outputs
        self._reporter = reporter
        self._output = output_place(source.file.relative)
        self._writer = choose_writer(source, output_fields(router.encoder.columns), write)
        self._is_begun = False

    def compute(self, number: int) -> _Part:
        """Read and route a chunk."""
        chunk = self.source.chunks[number]
        table, routed = route_chunk(self.source, chunk, self._router, self._fields, reads_all=self._writer.reads_all)
        encoder = self._router.encoder
        added = encoder.encode(routed.answers) if self._writer.reads_all else encoder.coded(routed.answers)
        return _Part(self._writer.encode(chunk, table, added), routed.account)

    def write(self, part: _Part) -> None:
        """Write a chunk."""
        self._begin()
        self._writer.write(part.encoded)
        self.account.add(part.account)
        self._reporter.add(part.account.records)

    def finish(self) -> None:
        """Close the file, give it its name, and note what it was."""
        self._begin()
        self._writer.close()
        self.source.close()
        if self.account.records != self.source.num_rows:
            raise AssertionError(f"{self.source.file.path}: {self.source.num_rows} records read, {self.account.records} accounted for")
        self.account.check()
        target = self._outputs.publish(self._output)
        source = self.source.file.path
        num_bytes, sha256 = hash_of(source)
        records, account = self.account.records, self.account.to_dict()
        self.entry = FileEntry(str(source), num_bytes, sha256, str(self._output), target.stat().st_size, records, account)

    def abandon(self) -> None:
        """Let go of a file that is half written."""
        self._writer.abandon()

    def _begin(self) -> None:
        if not self._is_begun:
            self._writer.begin(self._outputs.begin(self._output))
            self._is_begun = True


def _write_paths(outputs: OutputFolder, engine: Engine) -> None:
    for name, legs in path_tables(engine.compiled)._asdict().items():
        relative = PurePosixPath(PATHS, f"{name}.parquet")
        write_legs(outputs.begin(relative), legs)
        outputs.publish(relative)
