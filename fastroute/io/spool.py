"""What comes from a pipe, as a file: it is read more than once, from any place, and hashed."""

from __future__ import annotations

import atexit
import shutil
import sys
import tempfile
from pathlib import Path

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
    folder = Path(tempfile.mkdtemp(prefix="fastroute-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    path = folder / "stdin"
    try:
        with path.open("wb") as copy:
            shutil.copyfileobj(sys.stdin.buffer, copy, _COPY_BYTES)
    except OSError as error:
        raise InputError(f"-: stdin cannot be copied to {path} ({error.strerror}); TMPDIR names another folder for it") from error
    return path
