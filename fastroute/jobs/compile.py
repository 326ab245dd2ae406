"""A snapshot folder in, one compiled file out."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastroute.api import Snapshot
from fastroute.arrays import is_bundle
from fastroute.errors import OutputError
from fastroute.io.folders import Progress


@dataclass(frozen=True, slots=True)
class CompiledFile:
    """A file that `Snapshot.load` maps into memory; `about` counts what is in it."""

    path: Path
    num_bytes: int
    about: dict[str, Any]


def compile_snapshot(
    path: str | os.PathLike[str], out: str | os.PathLike[str], *, cache: bool = True, progress: Progress | None = None
) -> CompiledFile:
    """Compile a snapshot into one file.

    Parameters
    ----------
    path : snapshot folder, or a compiled file
    out : path of the file
        It appears whole or not at all. An earlier compiled file is replaced, any other file is not.
    cache, progress : as for `Snapshot.load`

    Raises
    ------
    InputError, SnapshotError
        As for `Snapshot.load` and `Snapshot.compile`.
    OutputError
        The file cannot be written, is of another kind, or lies in the snapshot.
    """
    source, target = Path(path), Path(out)
    if target.is_dir():
        raise OutputError(f"{target}: is a folder; name a file, such as {target / 'snapshot.fastroute'}")
    if target.exists() and not is_bundle(target):
        raise OutputError(f"{target}: exists, and is no file of fastroute; name another")
    if target.resolve().is_relative_to(source.resolve()) and source.is_dir():
        raise OutputError(f"{target}: lies inside the snapshot ({source}); name a file elsewhere")
    snapshot = Snapshot.load(source, cache=cache, progress=progress)
    snapshot.save(target)
    return CompiledFile(target, target.stat().st_size, snapshot.compile().describe())
