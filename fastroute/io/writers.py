"""How a routed file comes about: its source's columns copied as they lie, or every column encoded anew."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa

from fastroute.errors import InputError
from fastroute.io.flowlogs import Chunk, FlowFile, ParquetFlows
from fastroute.io.parquet import EncodeWriter
from fastroute.io.splice import CannotSplice, SpliceWriter

WRITE_MODES = ("auto", "splice", "encode")
"""`splice` copies the source's bytes and is refused where that cannot be; `auto` then encodes."""


class RoutedWriter(Protocol):
    """Writes the output of one input file."""

    mode: str
    """`splice` or `encode`."""
    reads_all: bool
    """Whether `encode` needs all columns of the source, and the added ones as Arrow arrays; else it looks at none, and takes codes."""

    def begin(self, path: Path) -> None:
        """Create the file."""
        ...

    def encode(self, chunk: Chunk, table: pa.Table, added: Sequence[Any]) -> Any:
        """Prepare a chunk for writing; from any thread, several at once."""
        ...

    def write(self, part: Any) -> None:
        """Append what `encode` made; in order, one at a time."""
        ...

    def close(self) -> None:
        """Complete the file."""
        ...

    def abandon(self) -> None:
        """Let go of the file, which stays incomplete."""
        ...


def choose_writer(source: FlowFile, added: Sequence[pa.Field], write: str = "auto") -> RoutedWriter:
    """Choose how the output of a file is written.

    Parameters
    ----------
    source : FlowFile
    added : fields of the added columns
    write : one of WRITE_MODES

    Raises
    ------
    InputError
        `write` is none of them, or asks to splice what cannot be spliced; says why.
    """
    if write not in WRITE_MODES:
        raise InputError(f"no way to write is called {write!r}; there are {', '.join(WRITE_MODES)}")
    if write == "encode":
        return EncodeWriter(source.schema, added)
    try:
        if not isinstance(source, ParquetFlows):
            raise CannotSplice("it is not Parquet")
        return SpliceWriter(source.file.path, source.schema, added)
    except CannotSplice as why:
        if write == "splice":
            raise InputError(f"{source.file.path}: cannot be spliced: {why}; pass --write auto or encode") from why
        return EncodeWriter(source.schema, added)
