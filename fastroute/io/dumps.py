"""The account of a dump's lines: every line is parsed, or reported with its kind; what was not understood inside a parsed line is noted."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class LineKind(StrEnum):
    """Why a line gave no row."""

    BLANK = "blank"
    ECHO = "command echo"
    DETAIL = "detail that decides no path"
    UNREADABLE = "not understood"
    CUT = "cut"


@dataclass(frozen=True, slots=True)
class Report:
    """One line without a row. Lines count from 1."""

    line: int
    kind: LineKind
    text: str


@dataclass(frozen=True, slots=True)
class Note:
    """Something inside a parsed line that was not understood, or a doubt about it."""

    line: int
    text: str


@dataclass(frozen=True, slots=True)
class Account:
    """The lines of one dump: `num_parsed + len(reports) == num_lines`."""

    num_lines: int = 0
    num_parsed: int = 0
    reports: tuple[Report, ...] = ()
    notes: tuple[Note, ...] = ()

    @property
    def problems(self) -> tuple[Report, ...]:
        """Reports of lines that should have given a row."""
        return tuple(report for report in self.reports if report.kind in (LineKind.UNREADABLE, LineKind.CUT))

    @property
    def is_cut(self) -> bool:
        """The dump ends before its end, or has a hole."""
        return any(report.kind is LineKind.CUT for report in self.reports)


NO_LINES = Account()


class LineError(ValueError):
    """A line that cannot be read; says what in it."""


class CutError(LineError):
    """A line that ends in the middle of a statement."""


class Words:
    """The words of a line, taken one by one."""

    def __init__(self, line: str) -> None:
        self._words = [word for word in line.split() if word != "\\"]
        self._at = 0

    def peek(self) -> str | None:
        """Look at the next word; None at the end."""
        return self._words[self._at] if self._at < len(self._words) else None

    def next(self) -> str | None:
        """Take the next word; None at the end."""
        word = self.peek()
        self._at += word is not None
        return word

    def value(self, keyword: str) -> str:
        """Take the value that belongs to a keyword."""
        word = self.next()
        if word is None:
            raise CutError(f"ends after {keyword}")
        return word


# `$ ip rule`, `[root@node ~]# ip addr`, `bash-5.1$ ip route`, `+ ip rule`, `sh-4.2# cat …`, `=== ip rule ===`, `ip rule show`
_ECHO = re.compile(
    r"^\s*(?:(?:\S*[$#>+%]|\[[^\]]*\]\s*[$#]|[=*-]{2,})\s+)?(?:sudo\s+)?(?:/\S*/)?"
    r"(?:ip|ip6?tables-save|nft|sysctl|ifconfig|nsenter)\s[^:|]*(?:[|].*)?$"
)
_PROMPT = re.compile(r"^\s*(?:\[[^\]]*\]\s*|\S+@\S+\s*|bash-\S*|sh-\S*)[$#]\s*(?P<rest>.*)$|^\s*[$#]\s*(?P<bare>.*)$|^[=*-]{3,}.*$")


def echoed_command(line: str) -> str | None:
    """Return the command that a line echoes (after a prompt, or alone); "" for an empty prompt or a ruler; None for output."""
    match = _ECHO.match(line)
    if match:
        return line.strip().strip("=*- ")
    match = _PROMPT.match(line)
    if match:
        return match.group("rest") or match.group("bare") or ""
    return None


def account(num_lines: int, reports: Iterable[Report], notes: Iterable[Note]) -> Account:
    """Close the account: every line without a report is parsed."""
    by_line = {report.line: report for report in reports}
    kept = tuple(by_line[line] for line in sorted(by_line))
    return Account(num_lines, num_lines - len(kept), kept, tuple(notes))
