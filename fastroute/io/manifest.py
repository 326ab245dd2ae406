"""What a run was: versions, settings, inputs and their hashes, counts, account."""

from __future__ import annotations

import hashlib
import os
import platform
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple, overload

import msgspec

from fastroute.errors import InputError

FORMAT = 3


@dataclass(frozen=True, slots=True)
class FileEntry:
    """One input file and its output; `account` as plain data."""

    source: str
    source_bytes: int
    source_modified_ns: int
    """Its time of last change, ns since 1970 UTC."""
    sha256: str
    output: str
    output_bytes: int
    write: str
    """How it was written: `splice` or `encode`."""
    records: int
    account: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Skipped:
    """An input file that the run went on without, and why."""

    source: str
    reason: str
    bytes: int | None
    records: int | None
    """As far as they are known; of a text log an estimate."""


_ENTRY: msgspec.json.Decoder[FileEntry] = msgspec.json.Decoder(FileEntry)


class _Output(msgspec.Struct):
    output: str


_OUTPUT: msgspec.json.Decoder[_Output] = msgspec.json.Decoder(_Output)


def encoded_entry(entry: FileEntry) -> bytes:
    """An entry in JSON, without a line break."""
    return msgspec.json.encode(entry)


def decoded_entry(entry: bytes) -> FileEntry:
    """The entry that `encoded_entry` wrote."""
    return _ENTRY.decode(entry)


def output_of(entry: bytes) -> str:
    """The place of the output of an encoded entry.

    Raises
    ------
    msgspec.DecodeError
        It is none.
    """
    return _OUTPUT.decode(entry).output


class Entries(Sequence[FileEntry]):
    """The files of a run, sorted by the place of their outputs. They are held in JSON: as objects, those of 100,000 files take 0.5 GB."""

    def __init__(self, encoded: Mapping[str, bytes]) -> None:
        self._encoded = [encoded[place] for place in sorted(encoded, key=lambda place: place.split("/"))]

    def __len__(self) -> int:
        return len(self._encoded)

    @overload
    def __getitem__(self, index: int) -> FileEntry: ...

    @overload
    def __getitem__(self, index: slice) -> list[FileEntry]: ...

    def __getitem__(self, index: int | slice) -> FileEntry | list[FileEntry]:
        if isinstance(index, slice):
            return [_ENTRY.decode(entry) for entry in self._encoded[index]]
        return _ENTRY.decode(self._encoded[index])

    @property
    def encoded(self) -> Sequence[bytes]:
        """Each in JSON."""
        return self._encoded


@dataclass(frozen=True, slots=True)
class Manifest:
    """A finished run. `run` holds what differs between runs: times, rate, threads, what was kept of an earlier one; all else follows from
    input, snapshot and settings."""

    settings: dict[str, Any]
    snapshot: dict[str, Any]
    files: Entries
    skipped: Sequence[Skipped]
    ignored: Sequence[str]
    account: dict[str, Any]
    run: dict[str, Any]

    @property
    def records(self) -> int:
        """Records read and written, over all files that the folder holds."""
        return int(self.account["input"]["records"])

    @property
    def is_incomplete(self) -> bool:
        """Whether input was dropped, or less of it attributed than was asked for."""
        return bool(self.skipped) or bool(self.run.get("is_below_min_attributed"))

    def to_dict(self) -> dict[str, Any]:
        """Plain data, as it is written."""
        return {**self._head(), "files": [msgspec.json.decode(entry) for entry in self.files.encoded]}

    def to_json(self) -> Iterator[bytes]:
        """The text that is written, in parts: a file of the run is one line, as there may be many."""
        head = msgspec.json.format(msgspec.json.encode(self._head()), indent=2)
        yield head.removesuffix(b"\n}") + b',\n  "files": ['
        for i, entry in enumerate(self.files.encoded):
            yield (b"," if i else b"") + b"\n    " + entry
        yield b"\n  ]\n}\n"

    def _head(self) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "versions": versions(),
            "settings": self.settings,
            "snapshot": self.snapshot,
            "account": self.account,
            "skipped": [msgspec.to_builtins(each) for each in self.skipped],
            "ignored": list(self.ignored),
            "run": self.run,
        }


def versions() -> dict[str, str]:
    """Versions of fastroute and of what its answers and files depend on."""
    return {"python": platform.python_version(), **{name: metadata.version(name) for name in ("fastroute", "numba", "numpy", "pyarrow")}}


_JUDGED_LATER = frozenset({"min_attributed", "on_error"})
"""Settings that change no output."""


def difference(earlier: Mapping[str, Any], run: Mapping[str, Any]) -> str:
    """What two runs differ in such that their outputs would; empty where they do not.

    Parameters
    ----------
    earlier, run : dicts with `versions`, `settings` and `snapshot`, as a manifest has them
    """
    for what in ("fastroute", "pyarrow"):
        old, new = earlier["versions"].get(what), run["versions"].get(what)
        if old != new:
            return f"by {what} {old}, this is {new}"
    for what in sorted({*earlier["settings"], *run["settings"]} - _JUDGED_LATER):
        old, new = earlier["settings"].get(what), run["settings"].get(what)
        if old != new:
            return f"{what} {_shown(old)}, not {_shown(new)}"
    if earlier["snapshot"].get("sha256") != run["snapshot"].get("sha256"):
        return "from another snapshot"
    return ""


def _shown(value: object) -> str:
    text = ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
    return text if len(text) <= 100 else f"{text[:100]}..."


class Content(NamedTuple):
    """What a file held when it was read."""

    bytes: int
    modified_ns: int
    sha256: str


def content_of(path: Path) -> Content:
    """Size, time of last change, and SHA-256 of a file's content; it takes 1 to 2 % of the time of routing it.

    Raises
    ------
    InputError
        It cannot be read any more.
    """
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            return Content(status.st_size, status.st_mtime_ns, hashlib.file_digest(file, "sha256").hexdigest())
    except OSError as error:
        raise InputError(f"{path}: cannot be read any more: {error.strerror}; was it moved or removed meanwhile?") from error
