"""What a file holds, by its first bytes, and compressed files as streams of what is in them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import Any

import pyarrow as pa

from fastroute.errors import InputError
from fastroute.io.logformat import find_format, is_header

BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_HEAD_BYTES = 1 << 14
"""Enough for a header, or a record, of every field."""
_CODECS = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}


class Content(Enum):
    """What can be read as flows or questions, and the rest."""

    PARQUET = "Parquet"
    ARROW_FILE = "Arrow file"
    ARROW_STREAM = "Arrow stream"
    TEXT = "text"
    CSV = "CSV"
    OTHER = "no flow log"
    EMPTY = "empty"


_MAGICS = {b"PAR1": Content.PARQUET, b"ARROW1": Content.ARROW_FILE, b"\xff\xff\xff\xff": Content.ARROW_STREAM}


class Head:
    """The beginning of a file.

    Parameters
    ----------
    path : Path

    Raises
    ------
    InputError
        The file cannot be read, or not decompressed.
    """

    def __init__(self, path: Path) -> None:
        try:
            with path.open("rb") as stream:
                self.raw = stream.read(8)
        except OSError as error:
            raise InputError(f"{path}: cannot be read: {error.strerror}") from error
        self.path = path
        self.codec = next((codec for magic, codec in _CODECS.items() if self.raw.startswith(magic)), None)

    def first_line(self) -> str | None:
        """The first line, decompressed, without a byte order mark and its end; None where it is no text."""
        with open_stream(self.path, self.codec) as (_, stream):
            return line_of(read_some(self.path, stream, _HEAD_BYTES))

    def content(self, log_format: Sequence[str] | None = None) -> Content:
        """What the file holds; `log_format` tells text logs without a header."""
        if not self.raw:
            return Content.EMPTY
        for magic, content in _MAGICS.items():
            if self.raw.startswith(magic):
                return content
        line = self.first_line()
        if line is None:
            return Content.OTHER
        if find_format(line, log_format) is not None:
            return Content.TEXT
        names = {name.strip('"') for name in line.split(",")}
        return Content.CSV if {"src", "dst"} <= names or (len(names) > 1 and is_header(list(names))) else Content.OTHER


def line_of(text: bytes) -> str | None:
    """The first line of a text, without its end and a byte order mark; None where it is no UTF-8."""
    line = text.removeprefix(BYTE_ORDER_MARK).split(b"\n", 1)[0].removesuffix(b"\r")
    try:
        return None if b"\0" in line else line.decode()
    except UnicodeDecodeError:
        return None


@contextmanager
def open_stream(path: Path, codec: str | None) -> Iterator[tuple[Any, Any]]:
    """Open a file for what is in it: the file itself, whose `tell` says how much of it was read, and the stream of its decompressed bytes.

    Raises
    ------
    InputError
        The file cannot be read.
    """
    try:
        raw = pa.OSFile(str(path), "rb")
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from error
    with raw:
        if codec is None:
            yield raw, raw
        else:
            with pa.CompressedInputStream(raw, codec) as stream:
                yield raw, stream


def read_some(path: Path, stream: Any, num_bytes: int) -> bytes:
    """Read up to so many bytes, decompressed; fewer at the end of the file only.

    Raises
    ------
    InputError
        The file is truncated or damaged.
    """
    try:
        data: bytes = stream.read(num_bytes)
        while 0 < len(data) < num_bytes and (more := stream.read(num_bytes - len(data))):
            data += more
    except OSError as error:
        text = str(error).splitlines()[0]
        what = "ends in the middle of its compressed data" if "Truncated" in text else f"cannot be decompressed ({text})"
        raise InputError(f"{path}: {what}; copy it again") from error
    return data
