"""What a run was: versions, settings, inputs and their hashes, counts, account."""

from __future__ import annotations

import hashlib
import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from fastroute.errors import InputError

FORMAT = 1


@dataclass(frozen=True, slots=True)
class FileEntry:
    """One input file and its output; `account` as plain data."""

    source: str
    source_bytes: int
    sha256: str
    output: str
    output_bytes: int
    records: int
    account: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Manifest:
    """A finished run. `run` holds what differs between runs: times, rate, threads; all else follows from input, snapshot and settings."""

    settings: dict[str, Any]
    snapshot: dict[str, Any]
    files: Sequence[FileEntry]
    ignored: Sequence[str]
    account: dict[str, Any]
    run: dict[str, Any]

    @property
    def records(self) -> int:
        """Records read and written."""
        return int(self.account["input"]["records"])

    def to_dict(self) -> dict[str, Any]:
        """Plain data, as it is written."""
        return {
            "format": FORMAT,
            "versions": versions(),
            "settings": self.settings,
            "snapshot": self.snapshot,
            "account": self.account,
            "files": [{name: getattr(entry, name) for name in FileEntry.__slots__} for entry in self.files],
            "ignored": list(self.ignored),
            "run": self.run,
        }


def versions() -> dict[str, str]:
    """Versions of fastroute and of what its answers and files depend on."""
    return {"python": platform.python_version(), **{name: metadata.version(name) for name in ("fastroute", "numba", "numpy", "pyarrow")}}


def hash_of(path: Path) -> tuple[int, str]:
    """Size in bytes and SHA-256 of a file's content; it takes 1 to 2 % of the time of routing it.

    Raises
    ------
    InputError
        It cannot be read any more.
    """
    try:
        with path.open("rb") as file:
            return os.fstat(file.fileno()).st_size, hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InputError(f"{path}: cannot be read any more: {error.strerror}; was it moved or removed meanwhile?") from error
