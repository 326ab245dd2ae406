"""Which files of flow logs or questions there are: folders of any layout, patterns, single files, and what comes from a pipe."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from fastroute.errors import InputError
from fastroute.io.content import Content, Head
from fastroute.io.spool import STDIN, spooled_pipe, spooled_stdin

PARQUET_SUFFIXES = (".parquet", ".parq", ".pq")
ARROW_SUFFIXES = (".arrow", ".arrows", ".feather", ".ipc")
CSV_SUFFIXES = (".csv", ".csv.gz")
TEXT_SUFFIXES = (".log", ".log.gz", ".log.zst")
_TELLING = (*PARQUET_SUFFIXES, *ARROW_SUFFIXES, *CSV_SUFFIXES, *TEXT_SUFFIXES)
"""Names that are believed; any other file is looked into."""


@dataclass(frozen=True, slots=True)
class InputFile:
    """A file to read, and its place below the folder that was named: its output has the same place."""

    path: Path
    relative: PurePosixPath


@dataclass(frozen=True, slots=True)
class Found:
    """What there is to read, sorted by place; and what lies beside it and is not read."""

    files: tuple[InputFile, ...]
    ignored: tuple[Path, ...]
    folders: tuple[Path, ...]
    """The folders that were named."""


def discover(paths: Iterable[str | os.PathLike[str]], log_format: Sequence[str] | None = None) -> Found:
    """Find the files of flow logs or questions.

    Parameters
    ----------
    paths
        Files, folders (read with all folders below, hive-partitioned or flat), patterns with `*`, `?` and `**`, or `-` for stdin, which is
        copied to a temporary file first, as are named pipes. Names that begin with `.` or `_` are not looked at.
    log_format : field names, optional
        As of `parse_format`, by which text logs without a header and a telling name are known.

    Raises
    ------
    InputError
        No such path; nothing to read in it; two files of the same place.
    """
    files: list[InputFile] = []
    ignored: list[Path] = []
    folders: list[Path] = []
    for given in paths:
        text = os.fspath(given)
        path = Path(text)
        if text == STDIN:
            below = [InputFile(spooled_stdin(), PurePosixPath("stdin"))]
        elif path.is_dir():
            folders.append(path)
            below = _below(path, ignored, log_format)
        elif path.is_fifo():
            below = [InputFile(spooled_pipe(path), PurePosixPath(path.name))]
        elif path.exists():
            below = [InputFile(path, PurePosixPath(path.name))]
        elif glob.has_magic(text):
            below = _matching(text)
        else:
            raise InputError(f"{path}: no such file or folder; check the path")
        if not below:
            raise InputError(f"{path}: {_nothing(ignored)}")
        files += below
    _check_places(files)
    return Found(tuple(sorted(files, key=lambda file: file.relative.parts)), tuple(sorted(ignored)), tuple(folders))


def _nothing(ignored: Sequence[Path]) -> str:
    if not ignored:
        return "the folder is empty; name one that holds flow logs"
    what = "Parquet, Arrow, CSV or a text log with a header or the default fields"
    return (
        f"none of its {len(ignored)} files is {what} (the first is {ignored[0].name}); --format tells the fields of a log without a header"
    )


def _holds_flows(path: Path, log_format: Sequence[str] | None) -> bool:
    """Whether a file whose name says nothing is to be read; one that cannot be is, so that nothing is passed over in silence."""
    try:
        return Head(path).content(log_format) not in {Content.OTHER, Content.EMPTY}
    except InputError:
        return True


def _below(folder: Path, ignored: list[Path], log_format: Sequence[str] | None) -> list[InputFile]:
    found = []
    seen = {os.path.realpath(folder)}
    for parent, folders, names in os.walk(folder, onerror=_cannot_list, followlinks=True):
        folders[:] = [name for name in sorted(folders) if not name.startswith((".", "_")) and _is_new(os.path.join(parent, name), seen)]
        for name in sorted(names):
            if name.startswith((".", "_")):
                continue
            path = Path(parent, name)
            if name.lower().endswith(_TELLING) or _holds_flows(path, log_format):
                found.append(InputFile(path, PurePosixPath(path.relative_to(folder).as_posix())))
            else:
                ignored.append(path)
    return found


def _is_new(folder: str, seen: set[str]) -> bool:
    """Whether a folder was not met before: links may lead in circles."""
    real = os.path.realpath(folder)
    is_new = real not in seen
    seen.add(real)
    return is_new


def _cannot_list(error: OSError) -> None:
    raise InputError(f"{error.filename}: cannot be listed: {error.strerror}") from error


def _matching(pattern: str) -> list[InputFile]:
    """Files of a pattern; their place is that below its last folder without a wildcard."""
    fixed = Path(*_fixed_parts(Path(pattern).parts))
    matched = sorted(Path(match) for match in glob.glob(pattern, recursive=True))
    files = [path for path in matched if path.is_file()]
    if not files:
        raise InputError(f"{pattern}: no file matches")
    return [InputFile(path, PurePosixPath(path.relative_to(fixed).as_posix())) for path in files]


def _fixed_parts(parts: Sequence[str]) -> Iterator[str]:
    for part in parts[:-1]:
        if glob.has_magic(part):
            return
        yield part


def _check_places(files: Iterable[InputFile]) -> None:
    seen: dict[PurePosixPath, Path] = {}
    for file in files:
        other = seen.setdefault(file.relative, file.path)
        if other is not file.path:
            raise InputError(f"{other} and {file.path} would both be written to {file.relative}; route them into two folders")
