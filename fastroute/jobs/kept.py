"""What of an earlier run's output still holds, and which inputs are to be routed."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from fastroute.errors import InputError
from fastroute.io.flowlogs import PARQUET_SUFFIXES, InputFile
from fastroute.io.manifest import FileEntry, Skipped, content_of, decoded_entry, encoded_entry
from fastroute.io.outputs import OutputFolder


class Plan(NamedTuple):
    """What a run has to do."""

    todo: list[InputFile]
    kept: dict[str, bytes]
    """Encoded entries of outputs that hold, by place."""
    changed: list[str]
    """Inputs whose outputs are made anew."""
    vanished: list[str]
    """Inputs that are not there any more; their outputs are kept."""
    lost: list[Skipped]


def output_place(relative: PurePosixPath) -> PurePosixPath:
    """Where the output of an input file lies."""
    return relative if relative.name.endswith(PARQUET_SUFFIXES) else relative.with_name(relative.name + PARQUET_SUFFIXES[0])


def make_plan(files: Sequence[InputFile], outputs: OutputFolder, *, keeps_vanished: bool) -> Plan:
    """Compare the inputs that there are with those that an earlier run noted.

    An input is unchanged if it has the size and the time of last change that were noted, or that size and the same SHA-256. An output
    holds if its size is what was noted.

    Parameters
    ----------
    files : the inputs of this run
    outputs : OutputFolder
    keeps_vanished : whether the outputs of inputs that are not there any more stay; else they are removed
    """
    earlier = dict(outputs.earlier)
    plan = Plan([], {}, [], [], [])
    places = set()
    for file in files:
        place = str(output_place(file.relative))
        places.add(place)
        encoded = earlier.pop(place, None)
        if encoded is None:
            plan.todo.append(file)
            continue
        entry = decoded_entry(encoded)
        held = _held(entry, file.path)
        if held is not None and _is_there(outputs, entry):
            plan.kept[place] = encoded if held is entry else encoded_entry(held)
        else:
            plan.todo.append(file)
            if held is None:
                plan.changed.append(str(file.path))
    for place, encoded in earlier.items():
        entry = decoded_entry(encoded)
        if keeps_vanished and _is_there(outputs, entry):
            plan.kept[place] = encoded
            plan.vanished.append(entry.source)
        else:
            outputs.remove(place)
    for place in sorted(outputs.begun - places):
        if keeps_vanished and not place.startswith("_"):
            plan.lost.append(Skipped(place, "its log vanished before its output was finished", None, None))
        outputs.remove(place)
    return plan


def _held(entry: FileEntry, path: Path) -> FileEntry | None:
    """The entry of an unchanged input, with its present name and time; None for a changed one."""
    try:
        status = path.stat()
        if status.st_size != entry.source_bytes:
            return None
        if status.st_mtime_ns != entry.source_modified_ns and content_of(path).sha256 != entry.sha256:
            return None
    except (OSError, InputError):
        return None
    if (str(path), status.st_mtime_ns) == (entry.source, entry.source_modified_ns):
        return entry
    return dataclasses.replace(entry, source=str(path), source_modified_ns=status.st_mtime_ns)


def _is_there(outputs: OutputFolder, entry: FileEntry) -> bool:
    try:
        return (outputs.folder / entry.output).stat().st_size == entry.output_bytes
    except OSError:
        return False
