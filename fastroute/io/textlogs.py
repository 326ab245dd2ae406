"""Text logs, plain or compressed, as files of flows: whole lines are cut into blocks, and blocks into Arrow columns."""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import pyarrow as pa

from fastroute.errors import InputError
from fastroute.io.content import BYTE_ORDER_MARK, Head, open_stream, read_some
from fastroute.io.discover import InputFile
from fastroute.io.flowlogs import Chunk
from fastroute.io.inorder import InOrder
from fastroute.io.logformat import LogFormat, find_format
from fastroute.io.textlines import BadLine, LineColumns, count_lines
from fastroute.vocab import DEFAULT_LOG_FIELDS

CHUNK_BYTES = 1 << 26
"""Text of a chunk: 260,000 records of 29 fields, 600,000 of the default 14. Two threads hold some five of them."""
BLOCK_BYTES = 1 << 20
"""Text that is cut into fields at a time: with its borders it stays in the second level of cache."""
SAMPLE_BYTES = 1 << 20
"""Text from which the length of lines and the share of compression are estimated; of files up to SMALL_BYTES, which are one chunk, less."""
SMALL_SAMPLE_BYTES = 1 << 16
SMALL_BYTES = 1 << 22
TYPICAL_COMPRESSION = 5.5
"""Bytes of text in a byte of gzip, in logs of 29 fields."""
NUM_KEPT = (os.cpu_count() or 1) + 1
"""Chunks whose text is kept after some of its columns were read: as many as are worked at."""
MAX_LINE_BYTES = 1 << 20
_SHOWN = 60


class _Text(NamedTuple):
    """The lines of a chunk."""

    first_line: int
    """Lines of the file before them, the header included."""
    blocks: list[bytes]


class TextLog:
    """A text log. Numbers of records are estimates until they have been read: nothing is read twice to count them.

    Parameters
    ----------
    file : InputFile
    head : its beginning
    told : field names of a log without a header

    Raises
    ------
    InputError
        It begins with neither a header nor a record of the format that was told, or of the default one.
    """

    def __init__(self, file: InputFile, head: Head, told: Sequence[str] | None = None) -> None:
        self.file = file
        self.codec = head.codec
        line = head.first_line()
        found = find_format(line, told) if line is not None else None
        if found is None:
            raise InputError(f"{file.path}: {_no_format(line, told)}")
        self.format: LogFormat = found
        self.schema: pa.Schema = found.schema
        self.num_bytes = file.path.stat().st_size
        self._texts: InOrder[_Text] = InOrder()
        self._recent: dict[int, _Text] = {}
        self._lock = threading.Lock()
        self._ends, self.num_rows = self._plan()
        borders = [self.num_rows * part // len(self._ends) for part in range(len(self._ends) + 1)]
        self.chunks: Sequence[Chunk] = [
            Chunk(begin, end - begin, (), part) for part, (begin, end) in enumerate(itertools.pairwise(borders))
        ]

    def read(self, chunk: Chunk, columns: Sequence[int] | None = None) -> pa.Table:
        """Read the records of a chunk, and correct its numbers; lines are taken from the file in order, and cut into columns in any.

        Raises
        ------
        InputError
            A line that is no record, a damaged or truncated file: names the line.
        """
        text = self._text(chunk.part, is_kept=columns is not None)
        blocks = _consumed(text.blocks) if columns is None else text.blocks
        table = self._parsed(text.first_line, blocks, range(len(self.schema)) if columns is None else columns)
        with self._lock:
            chunk.first_row = text.first_line - (self.format.origin == "header")
            chunk.num_rows = table.num_rows
            self.num_rows = sum(each.num_rows for each in self.chunks)
        return table

    def close(self) -> None:
        """Let go of the file."""
        self._texts.close()
        with self._lock:
            self._recent.clear()

    def _text(self, part: int, *, is_kept: bool) -> _Text:
        """The lines of a chunk; who reads some columns may come back for others."""
        with self._lock:
            text = self._recent.get(part)
            if text is not None and not is_kept:  # whoever reads it still has the list itself
                return self._recent.pop(part)._replace(blocks=list(text.blocks))
        if text is None:
            text = self._texts.part(part, self._read_forwards)
        if text is None:
            raise InputError(f"{self.file.path}: chunk {part} of {len(self.chunks)} cannot be read after an earlier failure")
        if is_kept:
            with self._lock:
                self._recent[part] = text
                self._recent.pop(part - NUM_KEPT, None)
        return text

    @property
    def _header(self) -> bytes:
        return " ".join(self.format.names).encode() if self.format.origin == "header" else b""

    def _parsed(self, line: int, blocks: Iterable[bytes], columns: Sequence[int]) -> pa.Table:
        lines = LineColumns(self.schema, columns, self._header)
        try:
            for block in blocks:
                line += lines.add(block)
        except BadLine as bad:
            raise InputError(f"{self.file.path}: line {line + bad.line + 1}: {bad}") from None
        return lines.table()

    def _plan(self) -> tuple[list[int], int]:
        """Where in the file, in bytes as it lies, chunks end; and about how many records it has."""
        is_small = self.num_bytes <= SMALL_BYTES
        with open_stream(self.file.path, self.codec) as (raw, stream):
            sample = read_some(self.file.path, stream, SMALL_SAMPLE_BYTES if is_small else SAMPLE_BYTES)
            taken = max(raw.tell(), 1)
        lines = max(sample.count(b"\n") + (not sample.endswith(b"\n")) - (self.format.origin == "header"), 0)
        if len(sample) < SMALL_SAMPLE_BYTES:
            return [self.num_bytes], lines
        # A compressed file is read in pieces of 64 KiB: of a small sample nobody knows how many of them it took.
        per_byte = len(sample) / taken if self.codec is None or not is_small else TYPICAL_COMPRESSION
        rows = round(self.num_bytes * per_byte * lines / len(sample))
        step = self.num_bytes if is_small else max(int(CHUNK_BYTES / per_byte), 1)
        return [*range(step, self.num_bytes, step), self.num_bytes], rows

    def _read_forwards(self) -> Iterator[_Text]:
        """The lines of one chunk after another. A chunk owns the lines that end in its stretch of the file."""
        path = self.file.path
        line, rest, is_begin = 0, b"", True
        with open_stream(path, self.codec) as (raw, stream):
            for part, end in enumerate(self._ends):
                is_last = part == len(self._ends) - 1
                blocks = []
                while (is_last or raw.tell() < end) and (data := read_some(path, stream, BLOCK_BYTES)):
                    if is_begin:
                        data, is_begin = data.removeprefix(BYTE_ORDER_MARK), False
                        if self.format.origin == "header":
                            data, line = data[len(data.split(b"\n", 1)[0]) + 1 :], 1
                    cut = data.rfind(b"\n") + 1
                    if cut:
                        blocks.append(b"".join((rest, memoryview(data)[:cut])))
                        rest = b""
                    rest += data[cut:]
                    if len(rest) > MAX_LINE_BYTES:
                        raise InputError(f"{path}: a line of more than {MAX_LINE_BYTES} bytes; is it a flow log?")
                if is_last and rest:
                    blocks.append(rest + b"\n")
                num_lines = sum(map(count_lines, blocks))
                yield _Text(line, blocks)
                line += num_lines


def _consumed(blocks: list[bytes]) -> Iterator[bytes]:
    """The blocks of a list that nobody else wants: each is let go of when the next is taken."""
    blocks.reverse()
    while blocks:
        yield blocks.pop()


def _no_format(line: str | None, told: Sequence[str] | None) -> str:
    """Why the first line tells no format."""
    if line is None:
        return "neither Parquet, Arrow nor text"
    shown = line if len(line) <= _SHOWN else line[:_SHOWN] + "..."
    if told is not None:
        return f"line 1 has {len(line.split(' '))} fields, the format {len(told)} ({shown!r}); is it the format of this log?"
    return (
        f"not a flow log: line 1 is neither a header nor a record of the default {len(DEFAULT_LOG_FIELDS)} fields ({shown!r}); "
        "for other fields without a header say which, with --format '${version} ...'"
    )
