"""What comes from a pipe, as a file: it is read more than once, from any place, and hashed."""

from __future__ import annotations

import atexit
import shutil
import sys
import tempfile
from pathlib import Path
from typing import BinaryIO

from fastroute.errors import InputError

STDIN = "-"
_COPY_BYTES = 1 << 20


def spooled_stdin() -> Path:
    """Copy stdin to a temporary file, which goes when the process ends; memory holds a megabyte of it at a time.

    Raises
    ------
    InputError
        Stdin is a terminal, or the disk of temporary files is full.
    """
    if sys.stdin.isatty():
        raise InputError("-: stdin is a terminal; pipe a flow log into it")
    return _copied(sys.stdin.buffer, "stdin")


def spooled_pipe(path: Path) -> Path:
    """Copy a named pipe, or what a shell puts in the place of `<(command)`, likewise.

    Raises
    ------
    InputError
        It cannot be opened, or the disk of temporary files is full.
    """
    try:
        with path.open("rb") as pipe:
            return _copied(pipe, path.name)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error


def _copied(pipe: BinaryIO, name: str) -> Path:
    folder = Path(tempfile.mkdtemp(prefix="fastroute-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    path = folder / name
    try:
        with path.open("wb") as copy:
            shutil.copyfileobj(pipe, copy, _COPY_BYTES)
    except OSError as error:
        raise InputError(f"{name}: cannot be copied to {path} ({error.strerror}); TMPDIR names another folder for it") from error
    return path
