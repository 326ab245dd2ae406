"""Flow logs and questions on disk: which files there are, what each holds, and its records in chunks of bounded size."""

from __future__ import annotations

import glob
import os
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from fastroute.errors import InputError

CHUNK_ROWS = 1 << 19
"""Row groups of the output hold at least this many records where the input has them: each carries its own dictionaries."""
MAX_CHUNK_ROWS = 1 << 20
"""A larger row group is read in parts of CHUNK_ROWS."""
BATCH_ROWS = 1 << 17
"""Records that are decoded at a time within a part: the reader holds three times what it yields."""
MAX_CODED_BYTES = 6.0
"""Bytes a value, uncompressed, up to which a text column is taken for dictionary-encoded throughout. Indices need up to 2.5, and each row
group repeats its dictionary; a column that overflowed its dictionary holds whole texts, 11 bytes and more for addresses. The list of
encodings in the metadata does not tell: writers of format 2 name PLAIN for the dictionary itself."""

PARQUET_SUFFIXES = (".parquet", ".parq", ".pq")
ARROW_SUFFIXES = (".arrow", ".arrows", ".feather", ".ipc")
CSV_SUFFIXES = (".csv", ".csv.gz")
TEXT_LOG_SUFFIXES = (".log", ".log.gz", ".gz", ".zst", ".txt")
_PARQUET_MAGIC = b"PAR1"
_ARROW_MAGIC = b"ARROW1"


@dataclass(frozen=True, slots=True)
class InputFile:
    """A file to read, and its place below the folder that was named: its output has the same place."""

    path: Path
    relative: PurePosixPath


@dataclass(frozen=True, slots=True)
class Found:
    """What there is to read, sorted by place; and what lies beside it and is not read."""

    files: tuple[InputFile, ...]
    ignored: tuple[Path, ...]
    folders: tuple[Path, ...]
    """The folders that were named."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """Consecutive records of a file: whole row groups, or part `part` of one."""

    first_row: int
    num_rows: int
    row_groups: tuple[int, ...]
    part: int = -1


class FlowFile(Protocol):
    """An opened file of flows."""

    file: InputFile
    schema: pa.Schema
    num_rows: int
    chunks: Sequence[Chunk]

    def read(self, chunk: Chunk, columns: Sequence[int] | None = None) -> pa.Table:
        """Read the records of a chunk, from any thread; some columns of them by position."""
        ...

    def close(self) -> None:
        """Let go of what reading holds; the file may be read again."""
        ...


# --- finding --------------------------------------------------------------------------------------------------------------------------


def discover(paths: Iterable[str | os.PathLike[str]]) -> Found:
    """Find the files of flow logs or questions.

    Parameters
    ----------
    paths
        Files, folders (read with all folders below, hive-partitioned or flat), or patterns with `*`, `?` and `**`. Names that begin with
        `.` or `_` are not looked at.

    Raises
    ------
    InputError
        No such path; nothing to read in it; text logs among the files; two files of the same place.
    """
    files: list[InputFile] = []
    ignored: list[Path] = []
    folders: list[Path] = []
    for given in paths:
        text = os.fspath(given)
        path = Path(text)
        if path.is_dir():
            folders.append(path)
            below = _below(path, ignored)
        elif path.exists():
            below = [InputFile(path, PurePosixPath(path.name))]
        elif glob.has_magic(text):
            below = _matching(text)
        else:
            raise InputError(f"{path}: no such file or folder; check the path")
        if not below:
            raise InputError(f"{path}: {_nothing(ignored)}")
        files += below
    _check_places(files)
    return Found(tuple(sorted(files, key=lambda file: file.relative.parts)), tuple(sorted(ignored)), tuple(folders))


def _nothing(ignored: Sequence[Path]) -> str:
    if not ignored:
        return "the folder is empty; name one that holds flow logs in Parquet"
    return f"none of its {len(ignored)} files is Parquet, Arrow or CSV (the first is {ignored[0].name}); deliver the flow logs as Parquet"


def _below(folder: Path, ignored: list[Path]) -> list[InputFile]:
    found = []
    seen = {os.path.realpath(folder)}
    for parent, folders, names in os.walk(folder, onerror=_cannot_list, followlinks=True):
        folders[:] = [name for name in sorted(folders) if not name.startswith((".", "_")) and _is_new(os.path.join(parent, name), seen)]
        for name in sorted(names):
            if name.startswith((".", "_")):
                continue
            path = Path(parent, name)
            if name.endswith((*PARQUET_SUFFIXES, *ARROW_SUFFIXES, *CSV_SUFFIXES)):
                found.append(InputFile(path, PurePosixPath(path.relative_to(folder).as_posix())))
            else:
                ignored.append(path)
    texts = [path for path in ignored if path.name.endswith(TEXT_LOG_SUFFIXES)]
    if texts and found:
        raise InputError(
            f"{folder}: {len(texts)} text files lie among the Parquet ones (the first is {texts[0].relative_to(folder)}) and would be "
            "left out; move them away, or name the Parquet files with a pattern"
        )
    return found


def _is_new(folder: str, seen: set[str]) -> bool:
    """Whether a folder was not met before: links may lead in circles."""
    real = os.path.realpath(folder)
    is_new = real not in seen
    seen.add(real)
    return is_new


def _cannot_list(error: OSError) -> None:
    raise InputError(f"{error.filename}: cannot be listed: {error.strerror}") from error


def _matching(pattern: str) -> list[InputFile]:
    """Files of a pattern; their place is that below its last folder without a wildcard."""
    fixed = Path(*_fixed_parts(Path(pattern).parts))
    matched = sorted(Path(match) for match in glob.glob(pattern, recursive=True))
    files = [path for path in matched if path.is_file()]
    if not files:
        raise InputError(f"{pattern}: no file matches")
    return [InputFile(path, PurePosixPath(path.relative_to(fixed).as_posix())) for path in files]


def _fixed_parts(parts: Sequence[str]) -> Iterator[str]:
    for part in parts[:-1]:
        if glob.has_magic(part):
            return
        yield part


def _check_places(files: Iterable[InputFile]) -> None:
    seen: dict[PurePosixPath, Path] = {}
    for file in files:
        other = seen.setdefault(file.relative, file.path)
        if other is not file.path:
            raise InputError(f"{other} and {file.path} would both be written to {file.relative}; route them into two folders")


# --- opening --------------------------------------------------------------------------------------------------------------------------


def open_flows(file: InputFile) -> FlowFile:
    """Open a file by what it holds: Parquet, Arrow IPC (file or stream), else CSV by its name.

    Raises
    ------
    InputError
        It cannot be read as any of them.
    """
    from fastroute.io.tables import TableFile, read_arrow, read_csv

    try:
        with file.path.open("rb") as stream:
            head = stream.read(len(_ARROW_MAGIC))
    except OSError as error:
        raise InputError(f"{file.path}: cannot be read: {error.strerror}") from error
    if not head:
        raise InputError(f"{file.path}: the file is empty; copy it again, or leave it out")
    name = file.path.name.lower()
    if head.startswith(_PARQUET_MAGIC):
        return ParquetFlows(file)
    if head == _ARROW_MAGIC or name.endswith(ARROW_SUFFIXES):
        return TableFile(file, read_arrow(file.path))
    if name.endswith(CSV_SUFFIXES):
        return TableFile(file, read_csv(file.path))
    raise InputError(f"{file.path}: not a Parquet file (it begins with {head!r}); is it a text log, or was it cut at its beginning?")


@dataclass(slots=True)
class _Stream:
    """A large row group, read part after part, whichever threads ask."""

    turn: threading.Condition = field(default_factory=threading.Condition)
    next_part: int = 0
    batches: Iterator[pa.RecordBatch] | None = None


class ParquetFlows:
    """A Parquet file of flows: text columns are read as dictionaries where the file holds them so."""

    def __init__(self, file: InputFile) -> None:
        self.file = file
        try:
            with pq.ParquetFile(file.path) as opened:
                metadata: pq.FileMetaData = opened.metadata
                self.schema: pa.Schema = opened.schema_arrow
        except (pa.ArrowInvalid, pa.ArrowException, OSError) as error:
            raise InputError(f"{file.path}: {_reason(error)}") from error
        self.num_rows: int = metadata.num_rows
        self.chunks: Sequence[Chunk] = plan_chunks([metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)])
        self._coded = coded_columns(metadata, self.schema)
        # Held from the first read to the last: the metadata of 100,000 files would be gigabytes.
        self._metadata: pq.FileMetaData | None = None
        self._streams = {chunk.row_groups[0]: _Stream() for chunk in self.chunks if chunk.part >= 0}

    def read(self, chunk: Chunk, columns: Sequence[int] | None = None) -> pa.Table:
        """Read the records of a chunk; parts of one row group are waited for in their order."""
        names = None if columns is None else [self.schema.names[i] for i in columns]
        try:
            if chunk.part < 0:
                with self._open() as opened:
                    table = opened.read_row_groups(list(chunk.row_groups), columns=names, use_threads=False)
            else:
                table = self._read_part(chunk, names)
        except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
            where = f"{self.file.path}: rows {chunk.first_row} to {chunk.first_row + chunk.num_rows - 1}"
            raise InputError(f"{where}: {_reason(error)}") from error
        if table.num_rows != chunk.num_rows:
            counted = f"row groups {chunk.row_groups} hold {table.num_rows} rows, the footer says {chunk.num_rows}"
            raise InputError(f"{self.file.path}: {counted}; copy it again")
        # Row groups have dictionaries of their own; joined, they are written as one.
        return table.combine_chunks() if any(column.num_chunks > 1 for column in table.columns) else table

    def close(self) -> None:
        """Let go of the file's metadata."""
        self._metadata = None
        for stream in self._streams.values():
            stream.batches = None

    def _open(self) -> pq.ParquetFile:
        opened = pq.ParquetFile(self.file.path, metadata=self._metadata, read_dictionary=self._coded)
        self._metadata = opened.metadata
        return opened

    def _read_part(self, chunk: Chunk, names: list[str] | None) -> pa.Table:
        stream = self._streams[chunk.row_groups[0]]
        with stream.turn:
            stream.turn.wait_for(lambda: stream.next_part >= chunk.part)
            if stream.next_part > chunk.part:  # asked for once more
                batches = self._batches(chunk, names)
                for _ in range(chunk.part):
                    _take(batches, CHUNK_ROWS)
                return pa.Table.from_batches(_take(batches, chunk.num_rows))
            try:
                if stream.batches is None:
                    stream.batches = self._batches(chunk, names)
                return pa.Table.from_batches(_take(stream.batches, chunk.num_rows))
            finally:
                stream.next_part = chunk.part + 1
                stream.turn.notify_all()

    def _batches(self, chunk: Chunk, names: list[str] | None) -> Iterator[pa.RecordBatch]:
        batches: Iterator[pa.RecordBatch] = self._open().iter_batches(
            min(BATCH_ROWS, CHUNK_ROWS), row_groups=list(chunk.row_groups), columns=names, use_threads=False
        )
        return batches


def _take(batches: Iterator[pa.RecordBatch], num_rows: int) -> list[pa.RecordBatch]:
    """The next batches, of num_rows in all; parts are multiples of the batches' size, so that none crosses their border."""
    taken: list[pa.RecordBatch] = []
    while sum(batch.num_rows for batch in taken) < num_rows and (batch := next(batches, None)) is not None:
        taken.append(batch)
    return taken


def coded_columns(metadata: pq.FileMetaData, schema: pa.Schema) -> list[str]:
    """The flat text columns that the file holds as dictionaries throughout: reading those as dictionaries copies indices only."""
    coded = []
    places = {metadata.schema.column(i).path: i for i in range(metadata.num_columns)}
    for column in schema:
        at = places.get(column.name)
        if at is None or not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
            continue
        chunks = [metadata.row_group(i).column(at) for i in range(metadata.num_row_groups)]
        num_values = sum(chunk.num_values for chunk in chunks)
        num_bytes = sum(chunk.total_uncompressed_size for chunk in chunks)
        if all(chunk.has_dictionary_page for chunk in chunks) and num_bytes <= MAX_CODED_BYTES * num_values:
            coded.append(column.name)
    return coded


def plan_chunks(row_counts: Sequence[int]) -> list[Chunk]:
    """Join small row groups to chunks of CHUNK_ROWS and more; cut those beyond MAX_CHUNK_ROWS."""
    chunks: list[Chunk] = []
    pending: list[int] = []
    first = rows = 0

    def flush() -> None:
        nonlocal first, rows
        if pending:
            chunks.append(Chunk(first, rows, tuple(pending)))
            first, rows = first + rows, 0
            pending.clear()

    for i, count in enumerate(row_counts):
        if count > MAX_CHUNK_ROWS:
            flush()
            for part, begin in enumerate(range(0, count, CHUNK_ROWS)):
                chunks.append(Chunk(first + begin, min(CHUNK_ROWS, count - begin), (i,), part))
            first += count
            continue
        if rows + count > MAX_CHUNK_ROWS:
            flush()
        pending.append(i)
        rows += count
        if rows >= CHUNK_ROWS:
            flush()
    flush()
    return chunks


def _reason(error: BaseException) -> str:
    """What is wrong with a Parquet file, in words."""
    text = str(error).splitlines()[0] if str(error) else type(error).__name__
    if isinstance(error, FileNotFoundError):
        return "no such file"
    if isinstance(error, PermissionError):
        return "cannot be read: permission denied"
    if "magic bytes not found" in text or "footer" in text.lower() or "smaller than the minimum" in text:
        return f"a truncated Parquet file ({text}); copy it again"
    return f"cannot be read as Parquet ({text}); copy it again"
