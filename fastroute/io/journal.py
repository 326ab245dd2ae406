"""The record of a run under way: which outputs are begun and which are done, a line of JSON each, appended as the run goes.

{"run": ..., "boot": ...}   first; again with each run that goes on with the folder
{"begin": PLACE}            before a file is touched: until it is done, nothing is known of it
{"done": ENTRY}             the file has its name; ENTRY is its `FileEntry`
{"kept": true}              all that is done so far is on the disk
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from fastroute.errors import OutputError
from fastroute.io.manifest import FileEntry, encoded_entry, output_of

SYNC_SECONDS = 1.0
"""Lines reach the disk at most this late. A killed process loses none: they are the system's once they are written."""
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@dataclass(slots=True)
class Record:
    """What a journal tells."""

    run: dict[str, Any] = field(default_factory=dict)
    """What the first run wrote of itself; empty where it did not come so far."""
    begun: set[str] = field(default_factory=set)
    """Outputs of which nothing is known: they may be there, or not, or be those of an earlier run."""
    done: dict[str, bytes] = field(default_factory=dict)
    """Finished outputs by place, each a `FileEntry` in JSON."""


class Journal:
    """Appends to the record of a run, from any thread.

    Raises
    ------
    OSError
        It cannot be written.
    """

    def __init__(self, path: Path, run: Mapping[str, Any]) -> None:
        self.path = path
        _drop_torn_line(path)
        self._descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
        self._synced_at = 0.0
        self._turn = threading.Lock()
        self._append(msgspec.json.encode({"run": run, "boot": boot_id()}))

    def begin(self, place: str) -> None:
        """A file is about to be written, or removed."""
        self._append(msgspec.json.encode({"begin": place}), is_urgent=False)

    def done(self, entry: FileEntry) -> None:
        """A file is finished and has its name."""
        self._append(b'{"done":' + encoded_entry(entry) + b"}", is_urgent=False)

    def keep(self) -> None:
        """The outputs that are done have reached the disk."""
        self._append(b'{"kept":true}')

    def close(self) -> None:
        """Let go of the file."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _append(self, line: bytes, *, is_urgent: bool = True) -> None:
        with self._turn:
            rest = memoryview(line + b"\n")
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]
            now = time.monotonic()
            if is_urgent or now - self._synced_at >= SYNC_SECONDS:
                os.fsync(self._descriptor)
                self._synced_at = now


def read_journal(path: Path) -> Record:
    """Read what an unfinished run left; a last line that was cut off counts as not written.

    What was done before the machine was started anew, and is not marked as kept, counts as begun: the files' names may have outlived
    what was in them.

    Raises
    ------
    OutputError
        Another line is damaged.
    """
    record = Record()
    unsure: set[str] = set()
    decoder = msgspec.json.Decoder(dict[str, msgspec.Raw])
    boot = ""
    lines = path.read_bytes().split(b"\n")
    for number, line in enumerate(lines[:-1], 1):
        try:
            told = decoder.decode(line)
            if "run" in told:
                boot = msgspec.json.decode(told["boot"], type=str)
                record.run = record.run or msgspec.json.decode(told["run"])
            elif "begin" in told:
                place = msgspec.json.decode(told["begin"], type=str)
                record.begun.add(place)
                record.done.pop(place, None)
            elif "done" in told:
                entry = bytes(told["done"])
                place = output_of(entry)
                record.done[place] = entry
                record.begun.discard(place)
                if boot != boot_id():
                    unsure.add(place)
                else:
                    unsure.discard(place)
            else:
                unsure.clear()
        except (msgspec.DecodeError, KeyError) as error:
            raise OutputError(f"{path}: line {number} is damaged ({error}); empty the folder by hand") from error
    for place in unsure & record.done.keys():
        del record.done[place]
        record.begun.add(place)
    return record


def boot_id() -> str:
    """Tells one start of this machine from the next; empty where the system does not say."""
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:
        return ""


def _drop_torn_line(path: Path) -> None:
    if path.exists():
        content = path.read_bytes()
        os.truncate(path, content.rfind(b"\n") + 1)
