"""The files of a run: each opened in its turn, routed chunk by chunk, given its name when it is whole, and taken into account."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from fastroute.api import Engine
from fastroute.errors import InputError
from fastroute.flows import Account, Fields, find_fields, output_fields
from fastroute.flows.counting import COUNT_FIELDS, COUNTED_FIELDS, NO_INTERFACES, FlowCounter
from fastroute.io.attempt import Attempt
from fastroute.io.flowlogs import FlowFile, InputFile, open_flows
from fastroute.io.manifest import FileEntry, Skipped, content_of, decoded_entry, encoded_entry
from fastroute.io.outputs import OutputFolder
from fastroute.io.parquet import COMPRESSION
from fastroute.io.writers import choose_writer
from fastroute.jobs.chunks import route_chunk
from fastroute.jobs.kept import Plan, output_place
from fastroute.jobs.pipeline import Progress, Reporter, run_all
from fastroute.jobs.totals import Totals

EARLY_FILES = 1000
"""So many are opened before anything is written: most runs that must fail do so at once. Of more, each is opened in its turn."""


class Settings(NamedTuple):
    """What a run was asked for; it goes into the manifest."""

    columns: tuple[str, ...]
    write: str
    simulated: bool | None
    on_error: str
    min_attributed: float | None
    static: bool = False
    log_format: tuple[str, ...] | None = None
    counts: str = "records"
    logged: str | None = None
    """Where flows are counted: digest of the interfaces that are taken for logged, as another set counts other records."""

    @property
    def added(self) -> tuple[str, ...]:
        """Names of all columns that an output has more than its input."""
        return (*self.columns, *(field.name for field in COUNT_FIELDS)) if self.counts == "flows" else self.columns

    def to_dict(self) -> dict[str, Any]:
        """As the manifest has it."""
        told = {name: value for name, value in self._asdict().items() if name not in {"logged", "log_format"} or value is not None}
        lists = {name: list(value) for name, value in told.items() if isinstance(value, tuple)}  # as JSON gives them back
        return {**told, **lists, "compression": COMPRESSION}


Elsewhere = Callable[[Sequence[InputFile], Settings, Path], Iterable[FileEntry]]
"""Has files routed by other processes, each by `route_file` into the given folder of a run, and yields the entries of those that are done;
the run routes the others itself."""


class Opened(NamedTuple):
    """A file that can be routed."""

    source: FlowFile
    fields: Fields
    status: os.stat_result
    """Before it was opened."""


class _Part(NamedTuple):
    """A chunk, ready to be written."""

    encoded: Any
    account: Account


class Run:
    """What the files of a run share."""

    def __init__(self, engine: Engine, settings: Settings, counter: FlowCounter | None = None) -> None:
        self.settings = settings
        self.counter = counter
        self.router = engine.router(settings.columns)
        self.totals = Totals()
        self.entries: dict[str, bytes] = {}
        self.skipped: list[Skipped] = []
        self.routed_records = 0
        self.outputs: OutputFolder | Attempt
        self.reporter: Reporter
        self.at_work: set[FileWork] = set()
        self._early: deque[Opened] = deque()
        self._num_early = 0
        self._turn = threading.Lock()

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
        """Take a finished file into account."""
        with self._turn:
            self.outputs.note(entry)
            self.entries[entry.output] = encoded_entry(entry)
            self.totals.add(entry.account)
            self.routed_records += entry.records

    def abandon(self) -> None:
        """Let go of all files that are half written."""
        for work in self.at_work:
            work.abandon()

    def _works(self, rest: Sequence[InputFile]) -> Iterator[FileWork]:
        while self._early:
            yield from self._work(self._early.popleft())
        for opened in self._opened(rest):
            yield from self._work(opened)

    def _work(self, opened: Opened) -> Iterator[FileWork]:
        try:
            work = FileWork(self, opened)
        except InputError as error:
            self._skip(opened.source.file, error, opened.source.num_rows)
            return
        self.at_work.add(work)
        yield work

    def _opened(self, files: Iterable[InputFile]) -> Iterator[Opened]:
        for file in files:
            try:
                yield open_file(file, self.settings)
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

    def _go_on(self, work: FileWork, error: Exception) -> bool:
        if self.settings.on_error != "skip" or not isinstance(error, InputError):
            return False
        work.abandon()
        self.at_work.discard(work)
        self.outputs.discard(work.output)
        self._skip(work.source.file, error, work.source.num_rows)
        return True


def open_file(file: InputFile, settings: Settings) -> Opened:
    """Open a file, if it can be routed.

    Raises
    ------
    InputError
        It cannot.
    """
    try:
        str(file.path).encode()
        status = file.path.stat()
    except UnicodeEncodeError:
        raise InputError(f"{os.fsencode(file.path)!r}: its name is not UTF-8, which the manifest is written in; rename it") from None
    except OSError as error:
        raise InputError(f"{file.path}: cannot be read: {error.strerror}") from error
    source = open_flows(file, settings.log_format)
    try:
        fields = find_fields(source.schema.names, settings.added, settings.simulated)
        if settings.counts == "flows" and fields.is_simulated:
            raise InputError("asks questions, each a flow of its own; count records")
        if settings.counts == "flows" and "interface_id" not in fields:
            raise InputError(NO_INTERFACES)
        return Opened(source, fields, status)
    except InputError as error:
        raise InputError(f"{file.path}: {error}") from None


class FileWork:
    """One file on its way through the pipeline."""

    def __init__(self, run: Run, opened: Opened) -> None:
        self.source = opened.source
        self.num_chunks = len(opened.source.chunks)
        self.output = output_place(opened.source.file.relative)
        self._run = run
        self._fields = opened.fields
        self._status = opened.status
        self._account = Account()
        fields = output_fields(run.router.encoder.columns)
        counted = COUNT_FIELDS if run.counter is not None else ()
        self._writer = choose_writer(opened.source, [*fields, *counted], run.settings.write)
        self._is_begun = False

    def compute(self, number: int) -> _Part:
        """Read and route a chunk."""
        chunk = self.source.chunks[number]
        reads_all, also = self._writer.reads_all, COUNTED_FIELDS if self._run.counter is not None else ()
        table, routed = route_chunk(self.source, chunk, self._run.router, self._fields, reads_all=reads_all, also=also)
        encoder = self._run.router.encoder
        added: list[Any] = encoder.encode(routed.answers) if reads_all else encoder.coded(routed.answers)
        if self._run.counter is not None:
            counted = self._run.counter.count(table, routed.answers.src_row, routed.answers.dst_row)
            counted.enter(routed.account, routed.num_bytes, routed.packets)
            added += counted.columns() if reads_all else counted.coded()
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
            write=self._writer.mode,
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
