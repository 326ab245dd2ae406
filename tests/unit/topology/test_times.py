"""Moments as tools and people write them."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from fastroute.errors import InputError
from fastroute.topology.times import parse_moment, rfc3339, seconds_of


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2026-08-20T10:00:00Z", 1787220000),
        ("2026-08-20T12:00:00+02:00", 1787220000),
        ("2026-08-20T10:00:00.999999999Z", 1787220000),
        ("2026-08-20T10:00:00", None),
        ("0001-01-01T00:00:00Z", None),
        ("yesterday", None),
        ("", None),
        (None, None),
    ],
)
def test_times_of_tools(text: str | None, seconds: int | None) -> None:
    assert seconds_of(text) == seconds


@pytest.mark.parametrize(
    "moment",
    [
        "2026-08-20T10:00:00Z",
        " 2026-08-20 12:00:00+02:00",
        "1787220000",
        1787220000,
        1787220000.9,
        datetime(2026, 8, 20, 10, tzinfo=UTC),
        datetime(2026, 8, 20, 5, tzinfo=timezone(timedelta(hours=-5))),
    ],
)
def test_times_of_people(moment: int | float | str | datetime) -> None:
    assert parse_moment(moment) == 1787220000
    assert rfc3339(1787220000) == "2026-08-20T10:00:00Z"


def test_time_without_zone_is_refused_with_what_would_do() -> None:
    with pytest.raises(InputError, match=r"names no time zone; write 2026-08-20T10:00:00Z if it is UTC"):
        parse_moment("2026-08-20T10:00:00")
    with pytest.raises(InputError, match=r"write 2026-08-20T00:00:00Z"):
        parse_moment("2026-08-20")
    with pytest.raises(InputError, match="no time zone"):
        parse_moment(datetime(2026, 8, 20))


def test_milliseconds_and_nonsense_are_refused() -> None:
    with pytest.raises(InputError, match=r"milliseconds meant\? Write 1787220000"):
        parse_moment("1787220000000")
    with pytest.raises(InputError, match="is no time"):
        parse_moment("noon")
