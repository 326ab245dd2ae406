"""What flow logs are: form, fields, time, completeness, what can be answered from them, and what looks wrong."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from fastroute.errors import InputError
from fastroute.flows.columns import distinct_column, int_column, lookup_texts
from fastroute.flows.fields import Fields, field_name, find_fields
from fastroute.io.discover import Found, InputFile, discover
from fastroute.io.flowlogs import FlowFile, ParquetFlows, open_flows
from fastroute.io.tables import ArrowFlows, TableFile
from fastroute.io.textlogs import TextLog
from fastroute.jobs.log_answers import Answer, answers_of
from fastroute.jobs.pipeline import Progress
from fastroute.vocab import LOG_FIELDS

NUM_OPENED = 1000
"""Of more files than that, so many are opened, evenly chosen."""
NUM_READ = 4_000_000
"""Records that are read at most, whole chunks, the first of evenly chosen files."""
_FIRST_MILLISECONDS = 10**11
_STATUSES = {"OK": 1, "NODATA": 2, "SKIPDATA": 3}
_STATUS_NAMES = ("absent", "OK", "NODATA", "SKIPDATA", "other")
_READ_FIELDS = ("log_status", "action", "start", "end", "pkt_srcaddr", "pkt_dstaddr", "tcp_flags", "bytes")
_NUMBERS = {"string": "text", "int32": "an integer", "int64": "an integer"}
_TRANSIT_GATEWAY = "Transit Gateway flow logs"


@dataclass(slots=True)
class Form:
    """The files of one form: what they are, how they lie, and which fields they have."""

    kind: str
    """Parquet, Arrow, CSV, text, text (gzip), text (zstd)."""
    fields_told_by: str
    """`schema`, `header`, `format` or `default`."""
    layout: str
    """`hive`, `dated folders`, or `files`."""
    columns: tuple[str, ...]
    files: int = 0
    num_bytes: int = 0


@dataclass(slots=True)
class Seen:
    """What was found in the records that were read."""

    records: int = 0
    statuses: Counter[str] = field(default_factory=Counter)
    rejected: int = 0
    without_packet_addresses: int = 0
    with_flags: int = 0
    backwards: int = 0
    milliseconds: int = 0
    first_start: int | None = None
    last_end: int | None = None
    longest_window: int = 0
    num_bytes: int = 0


@dataclass(frozen=True, slots=True)
class LogFinding:
    """Something that looks wrong; a fault is what `route` would stop at."""

    subject: str
    text: str
    is_fault: bool


@dataclass(slots=True)
class LogInspection:
    """Pure data, for a terminal, a notebook or JSON."""

    files: int
    num_bytes: int
    records: int
    is_counted: bool
    """Whether `records` is exact."""
    opened: int
    kind: str
    """`VPC flow logs`, `Transit Gateway flow logs`, or `questions`."""
    version: int | None
    """The highest version among the fields of VPC flow logs."""
    unknown_columns: tuple[str, ...]
    forms: tuple[Form, ...]
    seen: Seen
    answers: tuple[Answer, ...]
    findings: tuple[LogFinding, ...]
    ignored: tuple[str, ...]

    @property
    def is_sampled(self) -> bool:
        """Whether some records were not read: then shares and times are those of the others."""
        return not self.is_counted or self.seen.records < self.records

    @property
    def num_faults(self) -> int:
        return sum(finding.is_fault for finding in self.findings)

    def share(self, status: str) -> float:
        """Share, 0 to 1, of the records read that have a log status."""
        return self.seen.statuses[status] / self.seen.records if self.seen.records else 0.0

    def to_dict(self) -> dict[str, Any]:
        """As JSON values; times also in words."""
        plain: dict[str, Any] = msgspec.to_builtins(self)
        plain["is_sampled"] = self.is_sampled
        plain["seen"]["statuses"] = dict(self.seen.statuses)
        plain["answers"] = [answer._asdict() for answer in self.answers]
        plain["from"], plain["until"] = time_text(self.seen.first_start), time_text(self.seen.last_end)
        return plain


def inspect_logs(
    paths: Sequence[str | os.PathLike[str]],
    *,
    log_format: Sequence[str] | None = None,
    whole: bool = False,
    progress: Progress | None = None,
) -> LogInspection:
    """Say what flow logs, or tables of questions, are.

    Parameters
    ----------
    paths : files, folders, patterns, or `-`; see `fastroute.io.discover.discover`
    log_format : field names of text logs without a header, of `parse_format`
    whole : bool
        Open every file and read every record; by default up to NUM_OPENED files and NUM_READ records.
    progress : callable, optional
        Called with ("inspecting", files done, files in all).

    Raises
    ------
    InputError
        Nothing to read; or none of the files can be read, as the first of them says.
    """
    found = discover(paths, log_format)
    chosen = _evenly(found.files, len(found.files) if whole else NUM_OPENED)
    work = _Inspector(len(chosen), NUM_READ if not whole else None, log_format)
    for number, file in enumerate(chosen):
        work.look_at(file)
        if progress is not None:
            progress("inspecting", number + 1, len(chosen))
    return work.result(found)


def time_text(seconds: int | None) -> str | None:
    """Seconds since 1970 as `2026-08-20T10:00:00Z`; None where they are none, or beyond the year 9999."""
    if seconds is None or not 0 <= seconds < 253_402_300_800:
        return None
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class _Inspector:
    """Goes through files."""

    def __init__(self, num_files: int, limit: int | None, log_format: Sequence[str] | None) -> None:
        self.seen = Seen()
        self.findings: list[LogFinding] = []
        self.forms: dict[tuple[str, ...], Form] = {}
        self.records = 0
        self.num_bytes = 0
        self.is_counted = True
        self.opened = 0
        self.kinds: set[str] = set()
        self._limit = limit
        self._num_files = num_files
        self._log_format = log_format
        self._empty: list[Path] = []
        self._num_good = 0

    def look_at(self, file: InputFile) -> None:
        """Open a file, and read of it what is its share; what cannot be read is a fault."""
        self.opened += 1
        try:
            flows = open_flows(file, self._log_format)
            fields = find_fields(flows.schema.names)
            self._note_form(flows)
            self._read(flows, fields)
            self._num_good += 1
        except InputError as error:
            text = str(error).removeprefix(f"{file.path}: ")
            self.findings.append(LogFinding(str(file.path), text, True))

    def _note_form(self, flows: FlowFile) -> None:
        size = flows.file.path.stat().st_size
        kind, told_by = _form_of(flows)
        key = (kind, told_by, _layout_of(flows.file), *flows.schema.names)
        form = self.forms.setdefault(key, Form(kind, told_by, key[2], tuple(flows.schema.names)))
        form.files += 1
        form.num_bytes += size
        self.num_bytes += size
        for name, kind_of in zip(flows.schema.names, flows.schema.types, strict=True):
            wrong = _wrong_type(name, kind_of)
            if wrong is not None and not any(finding.text == wrong for finding in self.findings):
                self.findings.append(LogFinding(str(flows.file.path), wrong, False))

    def _read(self, flows: FlowFile, fields: Fields) -> None:
        self.kinds.add("questions" if fields.is_simulated else _TRANSIT_GATEWAY if fields.is_transit_gateway else "VPC flow logs")
        places = {name: flows.schema.names.index(column) for column in flows.schema.names if (name := field_name(column)) in _READ_FIELDS}
        columns = sorted(places.values())
        num_read = 0
        for chunk in flows.chunks:
            # Each file has its share of what may be read; what a whole chunk takes beyond it, later files do without.
            if self._limit is not None and self.seen.records >= self._limit * self.opened // self._num_files:
                break
            table = flows.read(chunk, columns)
            num_read += table.num_rows
            self._take(table, {name: columns.index(at) for name, at in places.items()}, fields)
        if isinstance(flows, ParquetFlows) and num_read < flows.num_rows:
            self._take_span(*_span_of(flows))
        self.is_counted &= num_read == flows.num_rows or not isinstance(flows, TextLog)
        self.records += flows.num_rows
        if flows.num_rows == 0:
            self._empty.append(flows.file.path)
        flows.close()

    def _take(self, table: pa.Table, at: dict[str, int], fields: Fields) -> None:
        """Count what is in some records."""
        seen, n = self.seen, table.num_rows
        seen.records += n
        if fields.is_simulated:
            return
        status = np.ones(n, np.int32)
        if "log_status" in at:
            column = distinct_column(table.column(at["log_status"]), "log_status")
            status = lookup_texts(column, _STATUSES, unknown=len(_STATUS_NAMES) - 1, absent=0)
            for name, count in zip(_STATUS_NAMES, np.bincount(status, minlength=len(_STATUS_NAMES)).tolist(), strict=True):
                seen.statuses[name] += count
        is_ok = status <= 1
        if "action" in at:
            refused = lookup_texts(distinct_column(table.column(at["action"]), "action"), {"REJECT": 1}, unknown=0, absent=0)
            seen.rejected += int(np.count_nonzero(is_ok & (refused == 1)))
        if "pkt_srcaddr" in at and "pkt_dstaddr" in at:
            absent = np.zeros(n, bool)
            for name in ("pkt_srcaddr", "pkt_dstaddr"):
                absent |= lookup_texts(distinct_column(table.column(at[name]), name), {}, unknown=0, absent=1) == 1
            seen.without_packet_addresses += int(np.count_nonzero(is_ok & absent))
        if "tcp_flags" in at:
            seen.with_flags += int(np.count_nonzero(int_column(table.column(at["tcp_flags"]), "tcp_flags") > 0))
        if "bytes" in at:
            volume = int_column(table.column(at["bytes"]), "bytes", np.int64)
            seen.num_bytes += int(volume[volume > 0].sum())
        self._take_times(table, at)

    def _take_times(self, table: pa.Table, at: dict[str, int]) -> None:
        seen = self.seen
        if "start" not in at or "end" not in at:
            return
        start, end = (int_column(_in_seconds(table.column(at[name])), name, np.int64) for name in ("start", "end"))
        told = (start >= 0) & (end >= 0)
        seen.milliseconds += int(np.count_nonzero(told & (start >= _FIRST_MILLISECONDS)))
        told &= start < _FIRST_MILLISECONDS
        start, end = start[told], end[told]
        if not len(start):
            return
        seen.backwards += int(np.count_nonzero(end < start))
        seen.longest_window = max(seen.longest_window, int((end - start).max()))
        self._take_span(int(start.min()), int(end.max()))

    def _take_span(self, first: int | None, last: int | None) -> None:
        seen = self.seen
        if first is not None:
            seen.first_start = first if seen.first_start is None else min(seen.first_start, first)
        if last is not None:
            seen.last_end = last if seen.last_end is None else max(seen.last_end, last)

    def result(self, found: Found) -> LogInspection:
        """What all that was."""
        if not self._num_good:
            first = next(finding for finding in self.findings if finding.is_fault)
            raise InputError(f"{first.subject}: {first.text}")
        forms = tuple(sorted(self.forms.values(), key=lambda form: (-form.num_bytes, form.columns)))
        schemas = [frozenset(map(field_name, form.columns)) for form in forms]
        kind = self.kinds.pop() if len(self.kinds) == 1 else " and ".join(sorted(self.kinds))
        num_bytes, records, is_counted = self.num_bytes, self.records, self.is_counted
        if self.opened < len(found.files):
            num_bytes = sum(file.path.stat().st_size for file in found.files)
            records, is_counted = round(records * num_bytes / max(self.num_bytes, 1)), False
        names = set().union(*schemas)
        columns = {name: column for form in forms for column in form.columns if (name := field_name(column)) not in LOG_FIELDS}
        is_log = "questions" not in kind
        return LogInspection(
            files=len(found.files),
            num_bytes=num_bytes,
            records=records,
            is_counted=is_counted,
            opened=self.opened,
            kind=kind,
            version=max((LOG_FIELDS[name].version for name in names if name in LOG_FIELDS), default=0) or None if is_log else None,
            unknown_columns=tuple(sorted(columns.values())) if is_log else (),
            forms=forms,
            seen=self.seen,
            answers=answers_of(schemas, is_transit_gateway=kind == _TRANSIT_GATEWAY) if is_log else (),
            findings=(*self.findings, *self._more_findings(forms)) if is_log else tuple(self.findings),
            ignored=tuple(map(str, found.ignored)),
        )

    def _more_findings(self, forms: Sequence[Form]) -> list[LogFinding]:
        seen, found = self.seen, []
        read = f"of {seen.records:,} records read"

        def add(subject: str, text: str, *, is_fault: bool = False) -> None:
            found.append(LogFinding(subject, text, is_fault))

        counted = sum(seen.statuses[name] for name in ("OK", "absent")) if seen.statuses else seen.records
        skipped = seen.statuses["SKIPDATA"]
        if skipped:
            add("log-status", f"{skipped:,} {read} are SKIPDATA: AWS lost records in these windows, so sums are too small")
        if seen.statuses["other"]:
            add("log-status", f"{seen.statuses['other']:,} {read} have another status than OK, NODATA and SKIPDATA; they are left out")
        if seen.without_packet_addresses:
            what = "no packet address; srcaddr and dstaddr stand in, and pods read as AMBIGUOUS"
            add("pkt-srcaddr", f"{seen.without_packet_addresses:,} {read} have {what}")
        if counted and not seen.with_flags and any("tcp_flags" in map(field_name, form.columns) for form in forms):
            add("tcp-flags", f"none {read} has any flag: they say nothing of who opened a connection")
        if seen.milliseconds:
            add("start", f"{seen.milliseconds:,} {read} have milliseconds where seconds belong; divide them by 1000", is_fault=True)
        if seen.backwards:
            add("end", f"{seen.backwards:,} {read} end before they start; a clock was set back")
        if seen.rejected and seen.rejected == counted:
            add("action", "every record is a REJECT: the flow log may be one of refused traffic only")
        if self._empty:
            add(str(self._empty[0]), f"{len(self._empty):,} files have no records")
        schemas = {frozenset(map(field_name, form.columns)) for form in forms}
        if len(schemas) > 1:
            add("fields", f"files have {len(schemas)} different sets of fields; each is read by its own")
        if len(self.kinds) > 1:
            add("kind", f"{' and '.join(sorted(self.kinds))} lie together; route them apart")
        return found


def _evenly(files: Sequence[InputFile], count: int) -> list[InputFile]:
    """So many of the files, or all, evenly chosen."""
    if len(files) <= count:
        return list(files)
    return [files[number * len(files) // count] for number in range(count)]


def _form_of(flows: FlowFile) -> tuple[str, str]:
    if isinstance(flows, TextLog):
        return f"text ({flows.codec})" if flows.codec else "text", flows.format.origin
    kinds: dict[type, str] = {ParquetFlows: "Parquet", ArrowFlows: "Arrow", TableFile: "CSV"}
    return kinds[type(flows)], "schema" if not isinstance(flows, TableFile) else "header"


def _in_seconds(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Timestamps as whole seconds since 1970; other columns as they are."""
    if not pa.types.is_timestamp(column.type):
        return column
    return column.cast(pa.timestamp("s", column.type.tz), safe=False).cast(pa.int64())


def _span_of(flows: ParquetFlows) -> tuple[int | None, int | None]:
    """The first start and the last end that a file's footer tells, in seconds since 1970."""
    metadata: Any = pq.read_metadata(flows.file.path)
    told: dict[str, list[int]] = {"start": [], "end": []}
    for at in range(metadata.num_columns):
        name = field_name(metadata.schema.column(at).path)
        if name in told:
            statistics = [metadata.row_group(number).column(at).statistics for number in range(metadata.num_row_groups)]
            known = [each for each in statistics if each is not None and each.has_min_max and isinstance(each.min, int)]
            told[name] = [each.min if name == "start" else each.max for each in known]
    seconds = {name: [value for value in values if 0 <= value < _FIRST_MILLISECONDS] for name, values in told.items()}
    return min(seconds["start"], default=None), max(seconds["end"], default=None)


def _layout_of(file: InputFile) -> str:
    folders = file.path.parent.parts
    if any("=" in part for part in folders):
        return "hive"
    is_dated = any(year.isdecimal() and len(year) == 4 and month.isdecimal() for year, month in pairwise(folders))
    return "dated folders" if "AWSLogs" in folders or is_dated else "files"


def _wrong_type(column: str, kind: pa.DataType) -> str | None:
    """What is unusual about the type of a column; AWS's own definitions differ in the width of integers, so any will do."""
    known = LOG_FIELDS.get(field_name(column))
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if known is None or pa.types.is_null(kind):
        return None
    is_text = pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
    is_right = is_text if known.parquet_type == "string" else pa.types.is_integer(kind) or pa.types.is_timestamp(kind)
    return None if is_right else f"column {column!r} is of type {kind}; AWS writes {_NUMBERS[known.parquet_type]}"
