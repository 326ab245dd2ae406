"""An output that another process makes for a run: it may be tried several times, on several machines at once, and any of them may die."""

from __future__ import annotations

import contextlib
import os
import uuid
from pathlib import Path, PurePosixPath

from fastroute.io.manifest import FileEntry

ATTEMPTS = "_attempts"
"""Folder in that of the run for files that are being written; the run removes it, and with it what dead attempts left."""


class Attempt:
    """One try to make one file of an output folder: written under a name of its own, and moved to its place when it is whole.

    Parameters
    ----------
    folder : that of the run, which has made the file's own folder
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._temporary = folder / ATTEMPTS / f"{os.getpid()}-{uuid.uuid4().hex}.partial"

    def begin(self, relative: PurePosixPath) -> Path:
        """A name that no other attempt has."""
        return self._temporary

    def publish(self, relative: PurePosixPath) -> Path:
        """Give the finished file its name; an equal one of another attempt is replaced."""
        target = self._folder / relative
        os.replace(self._temporary, target)
        return target

    def note(self, entry: FileEntry) -> None:
        """The entry is the answer of the attempt; the run notes it."""

    def discard(self, relative: PurePosixPath) -> None:
        """Remove what was begun."""
        with contextlib.suppress(OSError):
            self._temporary.unlink()
