"""One run a folder: a lock that the system lets go of when its holder dies."""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path

from fastroute.errors import OutputError

LOCK = "_lock"


class FolderLock:
    """Held from its making until `release`; the file that a dead process left is taken over.

    Raises
    ------
    OutputError
        Another run holds it.
    OSError
        The folder cannot be written to, or its file system knows no locks.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / LOCK
        self._descriptor = _locked(self._path)

    def release(self) -> None:
        """Let others in. The file goes first: whoever opened it meanwhile sees that it is not the folder's any more."""
        if self._descriptor >= 0:
            with contextlib.suppress(OSError):
                self._path.unlink()
            os.close(self._descriptor)
            self._descriptor = -1


def _locked(path: Path) -> int:
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(descriptor, 64, 0).decode(errors="replace").strip()
            os.close(descriptor)
            raise OutputError(
                f"{path.parent}: another run writes into it{f' (process {holder})' if holder else ''}; wait for it, or name another folder"
            ) from None
        except OSError:
            os.close(descriptor)
            raise
        if _is_still(path, descriptor):
            with contextlib.suppress(OSError):  # a full disk; it is for people only
                os.truncate(descriptor, 0)
                os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
            return descriptor
        os.close(descriptor)


def _is_still(path: Path, descriptor: int) -> bool:
    """Whether the path leads to the file that was locked: its last holder may have removed it in between."""
    try:
        return os.path.samestat(os.stat(path), os.fstat(descriptor))
    except FileNotFoundError:
        return False
