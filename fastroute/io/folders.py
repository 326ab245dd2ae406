"""What is in a snapshot folder, and whether it holds several: known without reading any of it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from fastroute.errors import InputError
from fastroute.io.json_input import read_bytes
from fastroute.topology.times import seconds_of

TIME_FILE = "captured_at"
Progress = Callable[[int, int], None]
"""Called now and then with the bytes done and the bytes to do."""


def walk_files(root: Path) -> Iterator[Path]:
    """Every file below a folder, sorted, through links to folders but through none twice; hidden ones are left out."""

    def refuse(error: OSError) -> None:
        raise InputError(f"{error.filename}: {error.strerror}; check its permissions") from None

    seen: set[Path] = set()
    for folder, folders, names in os.walk(root, onerror=refuse, followlinks=True):
        real = Path(folder).resolve()
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(folder, name) for name in sorted(names) if not name.startswith("."))


def timeline_folders(path: Path) -> list[Path]:
    """The snapshots of a folder that holds several, by name; empty for any other path.

    Raises
    ------
    InputError
        One of its sub-folders does not tell its time.
    """
    if not path.is_dir() or (path / TIME_FILE).is_file():
        return []
    folders = sorted(each for each in path.iterdir() if each.is_dir() and not each.name.startswith("."))
    if not any((folder / TIME_FILE).is_file() for folder in folders):
        return []
    for folder in folders:
        text = read_bytes(folder / TIME_FILE).decode(errors="replace").strip() if (folder / TIME_FILE).is_file() else ""
        if seconds_of(text) is None:
            found = f"{text[:40]!r} is no time with a zone" if text else "no such file"
            raise InputError(
                f"{folder / TIME_FILE}: {found}; on a time line each snapshot has its own, such as 2026-01-31T12:00:00Z; "
                "move what is no snapshot elsewhere"
            )
    return folders
