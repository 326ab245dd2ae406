"""An output folder: files appear in it whole or not at all, and a run that fails leaves nothing."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Any

import msgspec

from fastroute.errors import OutputError

MANIFEST = "_manifest.json"
UNFINISHED = "_unfinished.json"
"""Lists what a run is about to write; taken away when it ends, so that it tells of a run that was killed."""
PATHS = "_paths"


class OutputFolder:
    """The folder of one run.

    Raises
    ------
    OutputError
        It holds other files, or an earlier output and `overwrite` is not set; or it cannot be made.
    """

    def __init__(self, folder: Path, relatives: Iterable[PurePosixPath], *, overwrite: bool = False) -> None:
        self.folder = folder
        self._relatives = list(relatives)
        self._folders: set[Path] = set()
        self._files: set[Path] = set()
        self._temporaries: set[Path] = set()
        try:
            if folder.exists():
                _make_room(folder, overwrite)
            self._make_folder(folder)
            self._write_now(folder / UNFINISHED, msgspec.json.encode({"files": [str(relative) for relative in self._relatives]}))
        except OutputError:
            raise
        except OSError as error:
            self.abandon()
            raise self.failure(folder, error) from error

    def begin(self, relative: PurePosixPath) -> Path:
        """A temporary name for a file, in its own folder."""
        target = self.folder / relative
        self._make_folder(target.parent)
        temporary = target.with_name(f".{target.name}.partial")
        self._temporaries.add(temporary)
        return temporary

    def publish(self, relative: PurePosixPath) -> Path:
        """Give a finished file its name."""
        target = self.folder / relative
        temporary = target.with_name(f".{target.name}.partial")
        os.replace(temporary, target)
        self._temporaries.discard(temporary)
        self._files.add(target)
        return target

    def finish(self, manifest: dict[str, Any]) -> None:
        """Write the manifest: the run is complete."""
        try:
            self._write_now(self.folder / MANIFEST, msgspec.json.format(msgspec.json.encode(manifest), indent=2))
            (self.folder / UNFINISHED).unlink()
        except OSError as error:
            raise self.failure(self.folder / MANIFEST, error) from error

    def abandon(self) -> None:
        """Remove everything that this run has made, folders included."""
        for path in (*self._temporaries, *self._files):
            with contextlib.suppress(OSError):
                path.unlink()
        # By depth, not by time: threads make the folders of their files side by side.
        for path in sorted(self._folders, key=lambda folder: -len(folder.parts)):
            with contextlib.suppress(OSError):
                path.rmdir()

    def failure(self, path: Path, error: OSError) -> OutputError:
        """The error of this family for one of the system."""
        return OutputError(
            f"{path}: cannot be written: {error.strerror or error}; nothing was left behind. Free some space, or name another folder"
        )

    def _make_folder(self, folder: Path) -> None:
        missing = []
        while not folder.is_dir():
            missing.append(folder)
            folder = folder.parent
        for path in reversed(missing):
            with contextlib.suppress(FileExistsError):
                path.mkdir()
                self._folders.add(path)

    def _write_now(self, path: Path, content: bytes) -> None:
        temporary = path.with_name(f".{path.name}.partial")
        self._temporaries.add(temporary)
        temporary.write_bytes(content)
        os.replace(temporary, path)
        self._temporaries.discard(temporary)
        self._files.add(path)


def _make_room(folder: Path, overwrite: bool) -> None:
    """Hold an existing folder to be empty, or to be an earlier output that may go."""
    if not folder.is_dir():
        raise OutputError(f"{folder}: is a file; name a folder")
    if not any(folder.iterdir()):
        return
    for name, what in ((MANIFEST, "an earlier output of fastroute"), (UNFINISHED, "an output of fastroute that was not finished")):
        if (folder / name).is_file():
            if not overwrite:
                raise OutputError(f"{folder}: holds {what}; name a new folder, or overwrite it (--overwrite)")
            _remove_earlier(folder, name)
            return
    raise OutputError(f"{folder}: holds other files; name a new or empty folder")


def _remove_earlier(folder: Path, listing: str) -> None:
    """Remove what the earlier run wrote, and nothing else."""
    try:
        listed = msgspec.json.decode((folder / listing).read_bytes())["files"]
        relatives = [PurePosixPath(item["output"] if isinstance(item, dict) else item) for item in listed]
    except (msgspec.DecodeError, KeyError, TypeError) as error:
        raise OutputError(f"{folder / listing}: does not list what the earlier run wrote; empty the folder by hand") from error
    outside = next((relative for relative in relatives if ".." in relative.parts or relative.is_absolute()), None)
    if outside is not None:
        raise OutputError(f"{folder / listing}: names {outside}, outside of the folder; empty the folder by hand")
    parents: set[Path] = set()
    for relative in relatives:
        target = folder / relative
        for path in (target, target.with_name(f".{target.name}.partial")):
            path.unlink(missing_ok=True)
        parents.update(folder / parent for parent in relative.parents)
    shutil.rmtree(folder / PATHS, ignore_errors=True)
    for name in (MANIFEST, UNFINISHED):
        (folder / name).unlink(missing_ok=True)
    for parent in sorted(parents - {folder}, key=lambda path: -len(path.parts)):
        with contextlib.suppress(OSError):
            parent.rmdir()
    left = next(folder.iterdir(), None)
    if left is not None:
        raise OutputError(f"{folder}: holds other files beside the earlier output (the first is {left.name}); name a new folder")
