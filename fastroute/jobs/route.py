"""Flow logs or questions in, the same records with their paths out: one file a file, and the account of the run."""

from __future__ import annotations

import hashlib
import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import msgspec
import numpy as np

from fastroute.api import Engine, Snapshot
from fastroute.api.ahead import num_threads
from fastroute.datapath import path_tables, to_arrays
from fastroute.errors import FastrouteError, InputError, OutputError
from fastroute.flows import Account, Fields, choose_columns, find_fields, output_fields
from fastroute.io.attempt import Attempt
from fastroute.io.flowlogs import FlowFile, Found, InputFile, discover, open_flows
from fastroute.io.manifest import Entries, FileEntry, Manifest, Skipped, content_of, decoded_entry, encoded_entry, versions
from fastroute.io.outputs import PATHS, Mode, OutputFolder
from fastroute.io.parquet import COMPRESSION, write_legs
from fastroute.io.writers import WRITE_MODES, choose_writer
from fastroute.jobs.chunks import route_chunk
from fastroute.jobs.kept import Plan, make_plan, output_place
from fastroute.jobs.pipeline import Progress, Reporter, run_all
from fastroute.jobs.totals import Totals

Paths = str | os.PathLike[str] | Iterable[str | os.PathLike[str]]
ON_ERROR = ("stop", "skip")
"""What a file that cannot be read does: ends the run, or is named and left out."""
EARLY_FILES = 1000
"""So many are opened before anything is written: most runs that must fail do so at once. Of more, each is opened in its turn."""


class Settings(NamedTuple):
    """What a run was asked for; it goes into the manifest."""

    columns: tuple[str, ...]
    write: str
    simulated: bool | None
    on_error: str
    min_attributed: float | None

    def to_dict(self) -> dict[str, Any]:
        """As the manifest has it."""
        return {**self._asdict(), "columns": list(self.columns), "compression": COMPRESSION}


Elsewhere = Callable[[Sequence[InputFile], Settings, Path], Iterable[FileEntry]]
"""Has files routed by other processes, each by `route_file` into the given folder of a run, and yields the entries of those that are done;
the run routes the others itself."""


def route_files(
    paths: Paths,
    snapshot: Snapshot | Engine,
    out: str | os.PathLike[str],
    *,
    columns: Sequence[str] | None = None,
    threads: int | None = None,
    overwrite: bool = False,
    resume: bool = False,
    incremental: bool = False,
    on_error: str = "stop",
    min_attributed: float | None = None,
    simulated: bool | None = None,
    write: str = "auto",
    progress: Progress | None = None,
    elsewhere: Elsewhere | None = None,
) -> Manifest:
    """Route every record of flow logs, or of tables of questions, into a folder.

    Parameters
    ----------
    paths : path, or several
        Files, folders or patterns; see `fastroute.io.flowlogs.discover`.
    snapshot : Snapshot or Engine
    out : path
        A new or empty folder. Each input file has its output at the same place in it, questions in CSV or Arrow with `.parquet` appended;
        beside them `_manifest.json`, and `_paths/`, which decodes `path_id`. One run at a time writes into a folder.
    columns : names of the columns to add
        The default ones, or `["all"]`.
    threads : int, optional
        One for each processor by default. The files are the same for any number.
    overwrite : bool
        Replace an earlier output of fastroute in the folder; other files are never touched.
    resume : bool
        Go on with a run that did not finish: outputs whose input, settings, snapshot and version are the same are kept; then every file is
        as an undisturbed run would have made it. If this run fails, it leaves what is finished for the next.
    incremental : bool
        The same, and also add to a finished output: new inputs are routed, changed ones anew, outputs of vanished ones stay and are named
        in `run`.
    on_error : `stop` or `skip`
        Whether an input file that cannot be read ends the run, or is named in the manifest (`skipped`) and has no output.
    min_attributed : float, optional
        Share of records, 0 to 1, that must be EXACT or INFERRED; the manifest says whether they are.
    simulated : bool, optional
        Whether the tables ask questions; by default their columns tell.
    write : `auto`, `splice` or `encode`
        Whether the columns of the input are copied as bytes, or decoded and encoded again; by default the former where that can be.
    progress : callable, optional
        Called with ("route", records written, records in all; 0 while that is not known).
    elsewhere : callable, optional
        Has the files routed by other processes or machines, as `fastroute.spark` does.

    Returns
    -------
    Manifest

    Raises
    ------
    InputError
        A file that is not what it should be, or holds an address that is none; nothing is left behind.
    OutputError
        The folder holds other files, is being written to, or cannot be written; nothing is left behind.
    """
    began = time.perf_counter()
    started_at = datetime.now(UTC)
    mode = _mode_of(overwrite=overwrite, resume=resume, incremental=incremental)
    if on_error not in ON_ERROR:
        raise InputError(f"on_error is {' or '.join(ON_ERROR)}, not {on_error!r}")
    if write not in WRITE_MODES:
        raise InputError(f"no way to write is called {write!r}; there are {', '.join(WRITE_MODES)}")
    settings = Settings(choose_columns(columns), write, simulated, on_error, min_attributed)
    folder = Path(out)
    found = discover(listed(paths))
    _check_apart(found, folder)
    engine = snapshot.compile() if isinstance(snapshot, Snapshot) else snapshot
    made_with = {"versions": versions(), "settings": settings.to_dict(), "snapshot": {**engine.describe(), "sha256": fingerprint(engine)}}
    run = _Run(engine, settings)
    if mode in {"new", "overwrite"} and elsewhere is None:
        # Before the folder is touched: an earlier output is not given up for a run that cannot begin.
        run.open_early(found.files)
    outputs = OutputFolder(folder, made_with, mode)
    try:
        plan = make_plan(found.files, outputs, keeps_vanished=incremental)
        if elsewhere is not None:
            plan = run.send(plan, outputs, elsewhere)
        if mode not in {"new", "overwrite"} or elsewhere is not None:
            run.open_early(plan.todo)
        run.go(plan, outputs, num_threads(threads), progress)
        _write_paths(outputs, engine)
        seconds = time.perf_counter() - began
        share = run.totals.attributed_share
        manifest = Manifest(
            settings=settings.to_dict(),
            snapshot=made_with["snapshot"],
            files=Entries(run.entries),
            skipped=sorted(run.skipped, key=lambda skipped: skipped.source),
            ignored=[str(path) for path in found.ignored],
            account=run.totals.to_dict(),
            run={
                "started_at": started_at.isoformat(timespec="seconds"),
                "seconds": round(seconds, 3),
                "records_per_second": round(run.routed_records / seconds),
                "threads": num_threads(threads),
                "is_below_min_attributed": min_attributed is not None and share < min_attributed,
                "files_kept": len(plan.kept),
                "changed": plan.changed,
                "vanished": plan.vanished,
            },
        )
        outputs.finish(manifest.to_json())
    except BaseException as error:
        run.abandon()
        outputs.abandon()
        if isinstance(error, OSError) and not isinstance(error, FastrouteError):
            raise outputs.failure(folder, error) from error
        raise
    return manifest


def route_file(file: InputFile, engine: Engine, settings: Settings, folder: Path, *, threads: int = 1) -> FileEntry:
    """Route one file into the folder of a run that another process leads; may be done again, and by several processes at once.

    Raises
    ------
    InputError
        The file is not what it should be.
    OSError
        The output cannot be written.
    """
    run = _Run(engine, settings._replace(on_error="stop"))
    try:
        run.go(Plan([file], {}, [], [], []), Attempt(folder), threads, None)
    except BaseException:
        run.abandon()
        run.outputs.discard(output_place(file.relative))
        raise
    return decoded_entry(run.entries[str(output_place(file.relative))])


def listed(paths: Paths) -> list[str | os.PathLike[str]]:
    """One path or several, as a list."""
    return [paths] if isinstance(paths, str | os.PathLike) else list(paths)


def fingerprint(engine: Engine) -> str:
    """SHA-256 of a compiled snapshot's content: the same for the same answers, wherever it was read from."""
    arrays, rest = to_arrays(engine.compiled)
    digest = hashlib.sha256(msgspec.json.encode(rest))
    for name, array in arrays.items():
        digest.update(f"{name} {array.dtype.str} {array.shape} ".encode())
        digest.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def _mode_of(*, overwrite: bool, resume: bool, incremental: bool) -> Mode:
    asked: list[Mode] = []
    asked += ["overwrite"] if overwrite else []
    asked += ["resume"] if resume else []
    asked += ["incremental"] if incremental else []
    if len(asked) > 1:
        raise InputError(f"{' and '.join(asked)}: one of them; incremental goes on with an unfinished run too")
    return asked[0] if asked else "new"


def _check_apart(found: Found, out: Path) -> None:
    """Hold the output apart from the input: else the next run would read what this one wrote."""
    real = out.resolve()
    for folder in found.folders:
        if real.is_relative_to(folder.resolve()):
            raise OutputError(f"{out}: lies inside the logs ({folder}); name a folder elsewhere")
    for parent in sorted({file.path.parent for file in found.files}):
        if parent.resolve().is_relative_to(real):
            raise OutputError(f"{out}: logs lie inside of it ({parent}); name a folder elsewhere")


class _Opened(NamedTuple):
    """A file that can be routed."""

    source: FlowFile
    fields: Fields
    status: os.stat_result
    """Before it was opened."""


class _Part(NamedTuple):
    """A chunk, ready to be written."""

    encoded: Any
    account: Account


class _Run:
    """What the files of a run share."""

    def __init__(self, engine: Engine, settings: Settings) -> None:
        self.settings = settings
        self.router = engine.router(settings.columns)
        self.totals = Totals()
        self.entries: dict[str, bytes] = {}
        self.skipped: list[Skipped] = []
        self.routed_records = 0
        self.outputs: OutputFolder | Attempt
        self.reporter: Reporter
        self.at_work: set[_FileWork] = set()
        self._early: deque[_Opened] = deque()
        self._num_early = 0

    def open_early(self, files: Sequence[InputFile]) -> None:
        """Open the first files."""
        self._num_early = min(len(files), EARLY_FILES)
        self._early.extend(self._opened(files[: self._num_early]))

    def go(self, plan: Plan, outputs: OutputFolder | Attempt, threads: int, progress: Progress | None) -> None:
        """Route what is to be routed, and count what is kept."""
        self.outputs = outputs
        self.skipped += plan.lost
        self.entries |= plan.kept
        for entry in plan.kept.values():
            self.totals.add(decoded_entry(entry).account)
        is_all_known = self._num_early == len(plan.todo)
        self.reporter = Reporter(progress, "route", sum(opened.source.num_rows for opened in self._early) if is_all_known else 0)
        run_all(self._works(plan.todo[self._num_early :]), threads, self._go_on)

    def send(self, plan: Plan, outputs: OutputFolder, elsewhere: Elsewhere) -> Plan:
        """Have files routed by others; what is left to do comes back."""
        self.outputs = outputs
        for file in plan.todo:
            outputs.lend(output_place(file.relative))
        for entry in elsewhere(plan.todo, self.settings, outputs.folder):
            outputs.take_back(PurePosixPath(entry.output))
            self.done(entry)
        return plan._replace(todo=[file for file in plan.todo if str(output_place(file.relative)) not in self.entries])

    def done(self, entry: FileEntry) -> None:
        """Take a finished file into account; one at a time."""
        self.outputs.note(entry)
        self.entries[entry.output] = encoded_entry(entry)
        self.totals.add(entry.account)
        self.routed_records += entry.records

    def abandon(self) -> None:
        """Let go of all files that are half written."""
        for work in self.at_work:
            work.abandon()

    def _works(self, rest: Sequence[InputFile]) -> Iterator[_FileWork]:
        while self._early:
            yield from self._work(self._early.popleft())
        for opened in self._opened(rest):
            yield from self._work(opened)

    def _work(self, opened: _Opened) -> Iterator[_FileWork]:
        try:
            work = _FileWork(self, opened)
        except InputError as error:
            self._skip(opened.source.file, error, opened.source.num_rows)
            return
        self.at_work.add(work)
        yield work

    def _opened(self, files: Iterable[InputFile]) -> Iterator[_Opened]:
        for file in files:
            try:
                yield _open(file, self.settings)
            except InputError as error:
                self._skip(file, error, None)

    def _skip(self, file: InputFile, error: InputError, records: int | None) -> None:
        """Note that the run goes on without a file; else raise."""
        if self.settings.on_error != "skip":
            raise error
        try:
            num_bytes = file.path.stat().st_size
        except OSError:
            num_bytes = None
        self.skipped.append(Skipped(str(file.path), str(error), num_bytes, records))

    def _go_on(self, work: _FileWork, error: Exception) -> bool:
        if self.settings.on_error != "skip" or not isinstance(error, InputError):
            return False
        work.abandon()
        self.at_work.discard(work)
        self.outputs.discard(work.output)
        self._skip(work.source.file, error, work.source.num_rows)
        return True


def _open(file: InputFile, settings: Settings) -> _Opened:
    try:
        str(file.path).encode()
        status = file.path.stat()
    except UnicodeEncodeError:
        raise InputError(f"{os.fsencode(file.path)!r}: its name is not UTF-8, which the manifest is written in; rename it") from None
    except OSError as error:
        raise InputError(f"{file.path}: cannot be read: {error.strerror}") from error
    source = open_flows(file)
    try:
        return _Opened(source, find_fields(source.schema.names, settings.columns, settings.simulated), status)
    except InputError as error:
        raise InputError(f"{file.path}: {error}") from None


class _FileWork:
    """One file on its way through the pipeline."""

    def __init__(self, run: _Run, opened: _Opened) -> None:
        self.source = opened.source
        self.num_chunks = len(opened.source.chunks)
        self.output = output_place(opened.source.file.relative)
        self._run = run
        self._fields = opened.fields
        self._status = opened.status
        self._account = Account()
        self._writer = choose_writer(opened.source, output_fields(run.router.encoder.columns), run.settings.write)
        self._is_begun = False

    def compute(self, number: int) -> _Part:
        """Read and route a chunk."""
        chunk = self.source.chunks[number]
        table, routed = route_chunk(self.source, chunk, self._run.router, self._fields, reads_all=self._writer.reads_all)
        encoder = self._run.router.encoder
        added = encoder.encode(routed.answers) if self._writer.reads_all else encoder.coded(routed.answers)
        return _Part(self._writer.encode(chunk, table, added), routed.account)

    def write(self, part: _Part) -> None:
        """Write a chunk."""
        self._begin()
        self._writer.write(part.encoded)
        self._account.add(part.account)
        self._run.reporter.add(part.account.records)

    def finish(self) -> None:
        """Close the file, give it its name, and note what it was."""
        self._begin()
        self._writer.close()
        self.source.close()
        account, path = self._account, self.source.file.path
        if account.records != self.source.num_rows:
            raise AssertionError(f"{path}: {self.source.num_rows} records read, {account.records} accounted for")
        account.check()
        content = content_of(path)
        if (content.bytes, content.modified_ns) != (self._status.st_size, self._status.st_mtime_ns):
            raise InputError(f"{path}: changed while it was read; route it again when it is complete")
        target = self._run.outputs.publish(self.output)
        noted = FileEntry(
            source=str(path),
            source_bytes=content.bytes,
            source_modified_ns=content.modified_ns,
            sha256=content.sha256,
            output=str(self.output),
            output_bytes=target.stat().st_size,
            records=account.records,
            account=account.to_dict(),
        )
        self._run.done(noted)
        self._run.at_work.discard(self)

    def abandon(self) -> None:
        """Let go of a file that is half written."""
        self._writer.abandon()
        self.source.close()

    def _begin(self) -> None:
        if not self._is_begun:
            self._writer.begin(self._run.outputs.begin(self.output))
            self._is_begun = True


def _write_paths(outputs: OutputFolder, engine: Engine) -> None:
    for name, legs in path_tables(engine.compiled)._asdict().items():
        relative = PurePosixPath(PATHS, f"{name}.parquet")
        write_legs(outputs.begin(relative), legs)
        outputs.publish(relative)
