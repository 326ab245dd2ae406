"""Compiled snapshots of folders, kept in the user's cache folder by what the snapshot folder holds.

An entry `<content>.snapshot` is a snapshot file (`io.compiled`). Its name is a digest of every file's name and content, and of the code
that read and compiled them. So that a large folder need not be read to know its content, `<look>.seen` holds the content's digest by what
the file system says of the files (names, sizes, times, inodes): where none of it changed, the content did not. A file that was changed in
the last seconds might change again without its time telling; such a look is not kept.

Entries appear whole or not at all, so processes may share the folder. Whatever is wrong with one, the snapshot is read as if it were not
there.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import fastroute
from fastroute.datapath import Compiled
from fastroute.errors import InputError, OutputError
from fastroute.io.compiled import SnapshotFile, format_name, open_snapshot_file, write_snapshot_file
from fastroute.io.folders import TIME_FILE, walk_files
from fastroute.io.parse_report import ParseReport
from fastroute.topology import Topology

log = logging.getLogger("fastroute.cache")

FOLDER_VARIABLE = "FASTROUTE_CACHE_DIR"
MAX_BYTES = 4 << 30
"""Of all entries; a snapshot of 5,000 nodes and 100,000 pods takes 0.12 GB."""
MAX_IDLE_SECONDS = 30 * 86_400
_MAX_WRITING_SECONDS = 86_400
_SETTLED_NS = 2_000_000_000
"""Older than the coarsest clock of a file system (FAT: 2 s)."""
_ENTRY, _SEEN = ".snapshot", ".seen"
_COMPLAINTS: set[Path] = set()


@dataclass(frozen=True, slots=True)
class _Look:
    """What the file system says of a folder's files."""

    files: tuple[tuple[str, Path, os.stat_result], ...]
    digest: str
    is_settled: bool


class CacheEntry:
    """The place of one folder's compiled form; `found` where it is there already."""

    def __init__(self, cache: SnapshotCache, root: Path, look: _Look, content: str) -> None:
        self.path = cache.folder / (content + _ENTRY)
        self.found: SnapshotFile | None = None
        self._cache = cache
        self._root = root
        self._look = look
        self._is_current: bool | None = None

    def keep(self, topology: Topology, report: ParseReport | None, compiled: Compiled | None, about: Mapping[str, Any]) -> None:
        """Write the entry, unless the folder has changed since its content was looked at; a failure is only logged."""
        if self._is_current is None:
            with contextlib.suppress(InputError, OSError):
                self._is_current = _look_at(self._root).digest == self._look.digest
        if not self._is_current:
            return
        try:
            write_snapshot_file(self.path, topology, report, compiled, about)
            self._cache.prune()
        except (OutputError, OSError) as error:
            self._cache.complain(error)


class SnapshotCache:
    """A folder of compiled snapshots.

    Parameters
    ----------
    folder : made on first use
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @classmethod
    def of_user(cls) -> SnapshotCache | None:
        """The cache in FASTROUTE_CACHE_DIR, else in the user's cache folder; None where there is no such folder."""
        folder = cache_folder()
        return cls(folder) if folder is not None else None

    def entry(self, root: Path) -> CacheEntry | None:
        """Find the entry of a snapshot folder; None where the cache cannot be used.

        Raises
        ------
        InputError
            A file or folder in the snapshot cannot be read.
        """
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            self.complain(error)
            return None
        look = _look_at(root)
        content = self._recalled(look)
        if content is None:
            content = _content_of(look)
            self._remember(look, content)
        entry = CacheEntry(self, root, look, content)
        entry.found = self._opened(entry.path)
        return entry

    def _remember(self, look: _Look, content: str) -> None:
        """Note the content that goes with a look, where it can be relied on."""
        path = self.folder / (look.digest + _SEEN)
        if not look.is_settled:
            return
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            temporary.write_text(content)
            os.replace(temporary, path)
        except OSError as error:
            self.complain(error)
            with contextlib.suppress(OSError):
                temporary.unlink()

    def prune(self) -> None:
        """Remove what was not used for long, then the longest unused, until the rest fits; and what killed processes left."""
        now = time.time()
        kept: list[tuple[float, int, Path]] = []
        for path in self.folder.iterdir():
            is_ours = path.suffix in {_ENTRY, _SEEN}
            if not (is_ours or path.name.startswith(".")):
                continue
            with contextlib.suppress(OSError):
                status = path.stat()
                idle = now - status.st_mtime
                if idle > (MAX_IDLE_SECONDS if is_ours else _MAX_WRITING_SECONDS):
                    path.unlink()
                elif path.suffix == _ENTRY:
                    kept.append((idle, status.st_size, path))
        total = 0
        for _, size, path in sorted(kept):
            total += size
            if total > MAX_BYTES:
                with contextlib.suppress(OSError):
                    path.unlink()

    def complain(self, error: OSError) -> None:
        """Log once in a process that the cache is not used."""
        if self.folder not in _COMPLAINTS:
            _COMPLAINTS.add(self.folder)
            log.info("%s: compiled snapshots are not kept: %s", self.folder, error)

    def _recalled(self, look: _Look) -> str | None:
        path = self.folder / (look.digest + _SEEN)
        try:
            content = path.read_text()
            os.utime(path)
        except (OSError, UnicodeDecodeError):
            return None
        is_digest = len(content) == len(look.digest) and not set(content) - set("0123456789abcdef")
        return content if is_digest else None

    def _opened(self, path: Path) -> SnapshotFile | None:
        if not path.exists():
            return None
        try:
            found = open_snapshot_file(path)
            os.utime(path)
        except InputError as error:
            log.info("%s; it is made anew", error)
            return None
        except OSError:
            return None
        return found


def cache_folder() -> Path | None:
    """Where compiled snapshots are kept: FASTROUTE_CACHE_DIR, else `fastroute` in the platform's folder for caches."""
    named = os.environ.get(FOLDER_VARIABLE)
    if named:
        return Path(named)
    try:
        home = Path.home()
    except RuntimeError:
        return None
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = home / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache")
    return base / "fastroute"


def _look_at(root: Path) -> _Look:
    now = time.time_ns()
    digest = hashlib.sha256(f"{root.resolve()}\0{_maker()}".encode())
    files = []
    newest = 0
    for path in walk_files(root):
        try:
            status = path.stat()
        except OSError as error:
            raise InputError(f"{path}: {error.strerror}; check the link") from None
        name = path.relative_to(root).as_posix()
        files.append((name, path, status))
        times = status.st_mtime_ns, status.st_ctime_ns
        newest = max(newest, *times)
        digest.update(_line(name, status.st_size, *times, status.st_ino, status.st_dev))
    return _Look(tuple(files), digest.hexdigest(), newest < now - _SETTLED_NS)


def _content_of(look: _Look) -> str:
    digest = hashlib.sha256(_maker().encode())
    if all(name != TIME_FILE for name, _, _ in look.files):
        # Without that file the newest file's time is the snapshot's: a part of the content then.
        digest.update(_line("", int(max((status.st_mtime for _, _, status in look.files), default=0))))
    for name, path, _ in look.files:
        try:
            with path.open("rb") as file:
                content = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise InputError(f"{path}: cannot be read: {error.strerror}; check its permissions") from None
        digest.update(_line(name, content))
    return digest.hexdigest()


def _line(name: str, *values: object) -> bytes:
    """Unambiguous whatever the name holds: its length goes first."""
    encoded = os.fsencode(name)
    return b"%d:%s %s\n" % (len(encoded), encoded, " ".join(map(str, values)).encode())


@cache
def _maker() -> str:
    """What read and compiled a snapshot: version, format, and the package's own files, so that a working copy's edits count."""
    stamp = hashlib.sha256()
    for name, status in _source_files(Path(fastroute.__file__).parent):
        stamp.update(_line(name, status.st_size, status.st_mtime_ns))
    return f"{metadata.version('fastroute')} {format_name()} {stamp.hexdigest()}"


def _source_files(folder: Path, inside: str = "") -> list[tuple[str, os.stat_result]]:
    found = []
    with os.scandir(folder) as entries:
        for each in sorted(entries, key=lambda each: each.name):
            if each.name.endswith(".py"):
                found.append((inside + each.name, each.stat()))
            elif each.is_dir() and not each.name.startswith("__"):
                found += _source_files(Path(each.path), f"{inside}{each.name}/")
    return found
