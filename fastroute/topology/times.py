"""Moments as seconds since 1970, from the forms in which tools and people write them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TypeAlias

from fastroute.errors import InputError

BEGINNING, END = -(1 << 62), 1 << 62
"""Before and after every moment, seconds."""
_FIRST_MILLISECONDS = 10**11
"""As seconds this is the year 5138: a number from here up was meant as milliseconds or finer."""

Moment: TypeAlias = "int | float | str | datetime"


def seconds_of(text: str | None) -> int | None:
    """Read a time that Kubernetes, ipamd or the file `captured_at` wrote; None where there is none, or none that can be read.

    A fraction of a second is dropped. Go's zero time (year 1) means that there is none.
    """
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    if moment.tzinfo is None or moment.year <= 1:
        return None
    return int(moment.timestamp() // 1)


def parse_moment(moment: Moment) -> int:
    """Read a time that a person gave: RFC 3339, seconds since 1970, or a datetime with a zone.

    Raises
    ------
    InputError
        No time, or one without a zone: whose noon is meant decides the answer.
    """
    if isinstance(moment, int | float):
        return _in_range(int(moment // 1), str(moment))
    if isinstance(moment, str):
        text = moment.strip()
        if text.removeprefix("-").isdecimal():
            return _in_range(int(text), text)
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            raise InputError(f"{text!r} is no time; write it as 2026-01-31T12:00:00Z, or as seconds since 1970") from None
    else:
        text = moment.isoformat()
    if moment.tzinfo is None:
        utc = moment.replace(tzinfo=UTC).isoformat().replace("+00:00", "Z")
        raise InputError(f"{text!r} names no time zone; write {utc} if it is UTC, else its offset, such as {moment.isoformat()}+02:00")
    return int(moment.timestamp() // 1)


def rfc3339(seconds: int) -> str:
    """Write a moment; empty for BEGINNING and END."""
    if not -(1 << 36) < seconds < 1 << 36:
        return ""
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")


def _in_range(seconds: int, text: str) -> int:
    if abs(seconds) >= _FIRST_MILLISECONDS:
        raise InputError(f"{text} as seconds since 1970 is beyond the year 5000; were milliseconds meant? Write {seconds // 1000}")
    return seconds
