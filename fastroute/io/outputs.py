"""An output folder: files appear in it whole or not at all, one run at a time writes into it, and a run may go on where one was killed."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, Literal

import msgspec

from fastroute.errors import OutputError
from fastroute.io.attempt import ATTEMPTS
from fastroute.io.journal import Journal, Record, read_journal
from fastroute.io.lock import LOCK, FolderLock
from fastroute.io.manifest import FileEntry, difference, output_of

MANIFEST = "_manifest.json"
UNFINISHED = "_unfinished.jsonl"
"""The journal of a run; taken away when it ends, so that it tells of a run that did not."""
PATHS = "_paths"
Mode = Literal["new", "overwrite", "resume", "incremental"]
"""What an earlier output is: in the way; replaced; continued if its run did not finish; added to."""


class OutputFolder:
    """The folder of one run.

    Parameters
    ----------
    folder : Path
    run : what an earlier run must have been made with for its files to be kept; see `difference`
    mode : Mode

    Raises
    ------
    OutputError
        It holds other files, or an earlier output that the mode does not allow; another run writes into it; it cannot be made.

    Attributes
    ----------
    earlier : dict
        Encoded entries of the earlier run's outputs, by place.
    begun : set of str
        Places where the earlier run may have left anything, or nothing.
    """

    def __init__(self, folder: Path, run: Mapping[str, Any], mode: Mode = "new") -> None:
        self.folder = folder
        self.earlier: dict[str, bytes] = {}
        self.begun: set[str] = set()
        self._mode = mode
        self._folders: set[Path] = set()
        self._files: set[Path] = set()
        self._temporaries: set[Path] = set()
        self._lent: set[Path] = set()
        self._lock: FolderLock | None = None
        self._journal: Journal | None = None
        self._has_journal = False
        try:
            if folder.exists():
                _check_ours(folder)
            self._make_folder(folder)
            self._lock = FolderLock(folder)
            self._take_over(run)
            self._has_journal = (folder / UNFINISHED).exists()
            adds = mode == "incremental" and (folder / MANIFEST).exists()
            self._journal = Journal(folder / UNFINISHED, {**run, "adds": adds})
        except OSError as error:
            is_ours = isinstance(error, OutputError)
            failure = error if is_ours else self.failure(folder, error)
            if not is_ours and self._lock is not None and not self._has_journal:
                with contextlib.suppress(OSError):
                    (folder / UNFINISHED).unlink()
            self._let_go()
            self._remove_folders()
            raise failure from (None if is_ours else error)

    def begin(self, relative: PurePosixPath) -> Path:
        """A temporary name for a file, in its own folder."""
        assert self._journal is not None
        self._journal.begin(str(relative))
        target = self.folder / relative
        self._make_folder(target.parent)
        temporary = _temporary(target)
        self._temporaries.add(temporary)
        return temporary

    def publish(self, relative: PurePosixPath) -> Path:
        """Give a finished file its name."""
        target = self.folder / relative
        temporary = _temporary(target)
        os.replace(temporary, target)
        self._temporaries.discard(temporary)
        self._files.add(target)
        return target

    def lend(self, relative: PurePosixPath) -> None:
        """Let other processes make a file and put it in its place; see `io.attempt`."""
        assert self._journal is not None
        self._journal.begin(str(relative))
        target = self.folder / relative
        for folder in (target.parent, self.folder / ATTEMPTS):
            self._make_folder(folder)
        self._lent.add(target)

    def take_back(self, relative: PurePosixPath) -> None:
        """A file that was lent is in its place."""
        target = self.folder / relative
        self._lent.discard(target)
        self._files.add(target)

    def note(self, entry: FileEntry) -> None:
        """Note what a published file is: a run that goes on may keep it."""
        assert self._journal is not None
        self._journal.done(entry)

    def discard(self, relative: PurePosixPath) -> None:
        """Remove what was begun of a file."""
        temporary = _temporary(self.folder / relative)
        with contextlib.suppress(OSError):
            temporary.unlink()
        self._temporaries.discard(temporary)

    def remove(self, place: str) -> None:
        """Remove an earlier output, whole or begun."""
        assert self._journal is not None
        self._journal.begin(place)
        target = self.folder / place
        for path in (target, _temporary(target)):
            path.unlink(missing_ok=True)
        _remove_empty(target.parent, self.folder)

    def finish(self, manifest: Iterable[bytes]) -> None:
        """Write the manifest, given in parts: the run is complete."""
        target = self.folder / MANIFEST
        temporary = _temporary(target)
        self._temporaries.add(temporary)
        shutil.rmtree(self.folder / ATTEMPTS, ignore_errors=True)
        try:
            with temporary.open("wb") as file:
                file.writelines(manifest)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, target)
            self._temporaries.discard(temporary)
            self._files.add(target)
            (self.folder / UNFINISHED).unlink()
        except OSError as error:
            raise self.failure(target, error) from error
        self._let_go()

    def abandon(self) -> None:
        """Leave the folder as a run that does not finish leaves it: as it was before, or such that a run can go on with it."""
        shutil.rmtree(self.folder / ATTEMPTS, ignore_errors=True)
        for path in (*self._temporaries, *self._lent):
            with contextlib.suppress(OSError):
                path.unlink()
        if self.can_go_on:
            self._keep()
        else:
            for path in (*self._files, self.folder / UNFINISHED):
                with contextlib.suppress(OSError):
                    path.unlink()
        self._let_go()
        self._remove_folders()

    @property
    def can_go_on(self) -> bool:
        """Whether a run that fails now leaves finished files for the next to keep."""
        return self._mode in {"resume", "incremental"} and (bool(self._files) or self._has_journal)

    def failure(self, path: Path, error: OSError) -> OutputError:
        """The error of this family for one of the system."""
        left = f"what was finished is kept, and --{self._mode} goes on from there" if self.can_go_on else "nothing was left behind"
        return OutputError(f"{path}: cannot be written: {error.strerror or error}; {left}. Free some space, or name another folder")

    def _take_over(self, run: Mapping[str, Any]) -> None:
        """See to what an earlier run left."""
        shutil.rmtree(self.folder / ATTEMPTS, ignore_errors=True)
        manifest, journal = self.folder / MANIFEST, self.folder / UNFINISHED
        if not manifest.exists() and not journal.exists():
            if any(path.name != LOCK for path in self.folder.iterdir()):
                raise OutputError(f"{self.folder}: holds other files; name a new or empty folder")
            return
        record = read_journal(journal) if journal.exists() else None
        if self._mode == "overwrite":
            _remove_earlier(self.folder, record)
        elif self._mode == "new" or (self._mode == "resume" and record is None):
            if record is not None:
                raise OutputError(
                    f"{self.folder}: holds an output of fastroute that was not finished; go on with it (--resume), overwrite it "
                    "(--overwrite), or name a new folder"
                )
            raise OutputError(
                f"{self.folder}: holds an earlier output of fastroute; name a new folder, add new files (--incremental), or overwrite it "
                "(--overwrite)"
            )
        else:
            self._go_on(run, record)

    def _go_on(self, run: Mapping[str, Any], record: Record | None) -> None:
        manifest = self.folder / MANIFEST
        if self._mode == "incremental" and manifest.exists():
            found = _read_manifest(manifest)
            self._check_same(run, found.run)
            self.earlier = {output_of(bytes(entry)): bytes(entry) for entry in found.files}
            _check_inside(self.folder, self.earlier)
        elif manifest.exists() and record is not None and record.run.get("adds"):
            raise OutputError(f"{self.folder}: holds a finished output, and files that were being added to it; go on with --incremental")
        if record is not None:
            if record.run:
                self._check_same(run, record.run)
            self.begun = record.begun
            self.earlier = {place: entry for place, entry in self.earlier.items() if place not in record.begun} | record.done
            _check_inside(self.folder, {*record.begun, *record.done})
            for place in record.begun:
                _temporary(self.folder / place).unlink(missing_ok=True)
        _temporary(manifest).unlink(missing_ok=True)

    def _check_same(self, run: Mapping[str, Any], earlier: Mapping[str, Any]) -> None:
        what = difference(earlier, run)
        if what:
            raise OutputError(f"{self.folder}: was made otherwise ({what}); name a new folder, or overwrite it (--overwrite)")

    def _keep(self) -> None:
        """Bring the finished files to the disk, and say so."""
        assert self._journal is not None
        with contextlib.suppress(OSError):
            for path in self._files:
                descriptor = os.open(path, os.O_RDONLY)
                try:
                    os.fsync(descriptor)
                finally:
                    os.close(descriptor)
            self._journal.keep()

    def _let_go(self) -> None:
        if self._journal is not None:
            self._journal.close()
        if self._lock is not None:
            self._lock.release()

    def _make_folder(self, folder: Path) -> None:
        missing = []
        while not folder.is_dir():
            missing.append(folder)
            folder = folder.parent
        for path in reversed(missing):
            with contextlib.suppress(FileExistsError):
                path.mkdir()
                self._folders.add(path)

    def _remove_folders(self) -> None:
        # By depth, not by time: threads make the folders of their files side by side.
        for path in sorted(self._folders, key=lambda folder: -len(folder.parts)):
            with contextlib.suppress(OSError):
                path.rmdir()


def _temporary(target: Path) -> Path:
    return target.with_name(f".{target.name}.partial")


def _check_ours(folder: Path) -> None:
    """Hold an existing folder to be empty, or to be an output of ours."""
    if not folder.is_dir():
        raise OutputError(f"{folder}: is a file; name a folder")
    if any(folder.iterdir()) and not any((folder / name).is_file() for name in (MANIFEST, UNFINISHED, LOCK)):
        raise OutputError(f"{folder}: holds other files; name a new or empty folder")


class _Manifest(msgspec.Struct):
    files: list[msgspec.Raw]
    versions: dict[str, str]
    settings: dict[str, Any]
    snapshot: dict[str, Any]

    @property
    def run(self) -> dict[str, Any]:
        return {"versions": self.versions, "settings": self.settings, "snapshot": self.snapshot}


def _read_manifest(path: Path) -> _Manifest:
    try:
        return msgspec.json.decode(path.read_bytes(), type=_Manifest)
    except msgspec.DecodeError as error:
        raise OutputError(f"{path}: does not tell what the earlier run was ({error}); empty the folder by hand") from error


class _Files(msgspec.Struct):
    files: list[msgspec.Raw]


def _remove_earlier(folder: Path, record: Record | None) -> None:
    """Remove what the earlier run wrote, and nothing else."""
    manifest = folder / MANIFEST
    places = {*record.begun, *record.done} if record is not None else set()
    if manifest.exists():
        try:
            places |= {output_of(bytes(entry)) for entry in msgspec.json.decode(manifest.read_bytes(), type=_Files).files}
        except msgspec.DecodeError as error:
            raise OutputError(f"{manifest}: does not list what the earlier run wrote; empty the folder by hand") from error
    _check_inside(folder, places)
    for place in places:
        target = folder / place
        for path in (target, _temporary(target)):
            path.unlink(missing_ok=True)
    for parent in {(folder / place).parent for place in places}:
        _remove_empty(parent, folder)
    shutil.rmtree(folder / PATHS, ignore_errors=True)
    for path in (_temporary(manifest), manifest, folder / UNFINISHED):
        path.unlink(missing_ok=True)
    left = next((path for path in folder.iterdir() if path.name != LOCK), None)
    if left is not None:
        raise OutputError(f"{folder}: holds other files beside the earlier output (the first is {left.name}); name a new folder")


def _check_inside(folder: Path, places: Iterable[str]) -> None:
    for place in map(PurePosixPath, places):
        if ".." in place.parts or place.is_absolute():
            raise OutputError(f"{folder}: the earlier run's list names {place}, outside of the folder; empty the folder by hand")


def _remove_empty(folder: Path, top: Path) -> None:
    """Remove a folder and those around it, as far as they are empty."""
    while folder != top:
        try:
            folder.rmdir()
        except OSError:
            return
        folder = folder.parent
