"""Which fields the lines of a text log hold: from its header, from a format as AWS takes it, or the default ones."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from typing import NamedTuple

import pyarrow as pa

from fastroute.errors import InputError
from fastroute.vocab import DEFAULT_LOG_FIELDS, LOG_FIELDS, field_name

TIMESTAMP = "timestamp"
"""Name of the time that CloudWatch Logs puts before each record when it exports to S3."""

_TYPES = {"string": pa.string(), "int32": pa.int32(), "int64": pa.int64()}
_TOKEN = re.compile(r"\$\{([A-Za-z0-9_-]+)\}|([A-Za-z0-9_-]+)")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
_STATUSES = frozenset({"OK", "NODATA", "SKIPDATA"})


class LogFormat(NamedTuple):
    """The fields of a line, in their order."""

    names: tuple[str, ...]
    """As the log writes them."""
    origin: str
    """`header`, `format` (told by the user), or `default`."""

    @property
    def schema(self) -> pa.Schema:
        """Types of the field table; text for fields that it does not have."""
        return pa.schema([pa.field(name, type_of(name)) for name in self.names])


def type_of(name: str) -> pa.DataType:
    """The Arrow type of a field."""
    field = LOG_FIELDS.get(field_name(name))
    return _TYPES[field.parquet_type] if field is not None else pa.string()


def parse_format(text: str) -> tuple[str, ...]:
    """Read a log format as it stands in AWS's console and command line.

    Parameters
    ----------
    text : str
        `${version} ${account-id} ...`; quotes around it and line breaks in it are passed over, and bare names are taken too. Fields that
        the field table does not have are columns of text, unless they look like a slip of the pen.

    Returns
    -------
    tuple of str
        Field names, as written.

    Raises
    ------
    InputError
        Something that is no field, a field twice, a name that is nearly one of AWS's, or nothing at all.
    """
    names = []
    for token in text.replace("\\\n", " ").strip().strip("'\"").split():
        matched = _TOKEN.fullmatch(token)
        if matched is None:
            raise InputError(f"log format: {token!r} is no field; write it as ${{version}} ${{account-id}} and so on, with spaces between")
        names.append(matched[1] or matched[2])
    if not names:
        raise InputError("log format: it names no field; paste the flow log's LogFormat, ${version} ${account-id} and so on")
    for name in names:
        _check_name(name)
    _check_distinct(names, "log format")
    return tuple(names)


def _check_name(name: str) -> None:
    known = field_name(name)
    if known in LOG_FIELDS or known == TIMESTAMP:
        return
    stems = {re.sub(r"_\d+$", "", each): each for each in LOG_FIELDS}
    if re.sub(r"_\d+$", "", known) in stems:  # a further instance-tag-3
        return
    near = difflib.get_close_matches(known, LOG_FIELDS, n=1, cutoff=0.8)
    if near:
        raise InputError(f"log format: unknown field {name!r}; did you mean {LOG_FIELDS[near[0]].text_name}?")


def _check_distinct(names: Sequence[str], where: str) -> None:
    seen: dict[str, str] = {}
    for name in names:
        if field_name(name) in seen:
            raise InputError(f"{where}: field {name!r} stands there twice; name each once")
        seen[field_name(name)] = name


def find_format(line: str, told: Sequence[str] | None = None) -> LogFormat | None:
    """Find the fields of a log by its first line.

    Parameters
    ----------
    line : the first line, without its end
    told : field names of `parse_format`, for logs without a header

    Returns
    -------
    LogFormat or None
        A header goes before what was told. None where the line is neither a header nor a record of the format that was told, or of the
        default one. A CloudWatch export has one column more in front, `timestamp`.

    Raises
    ------
    InputError
        A header that names a field twice.
    """
    tokens = line.split(" ")
    if is_header(tokens):
        _check_distinct(tokens, "header")
        return LogFormat(tuple(tokens), "header")
    names = tuple(told) if told is not None else DEFAULT_LOG_FIELDS
    origin = "format" if told is not None else "default"
    has_time = _TIME.fullmatch(tokens[0]) is not None and field_name(names[0]) != TIMESTAMP
    record = tokens[1:] if has_time else tokens
    if len(record) != len(names) or (told is None and not _is_default_record(record)):
        return None
    return LogFormat((TIMESTAMP, *names) if has_time else names, origin)


def is_header(tokens: Sequence[str]) -> bool:
    """Whether half of a line's words, or more, are names of fields; a record may hold such a word as a tag."""
    return 2 * sum(field_name(token) in LOG_FIELDS for token in tokens) >= max(len(tokens), 2)


def _is_default_record(tokens: Sequence[str]) -> bool:
    return tokens[0] == "2" and tokens[-1] in _STATUSES
