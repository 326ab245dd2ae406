"""What `ip rule`, `ip route`, `ip addr` and `ip link` print, as model rows: text and JSON, both families, pastes of several."""

from __future__ import annotations

from dataclasses import dataclass

from fastroute.io.dumps import NO_LINES, Account, Note, account, echoed_command
from fastroute.io.iproute2_json import read_json
from fastroute.io.iproute2_text import Reader
from fastroute.io.iproute2_words import Tables
from fastroute.netns.model import Addr, Link, Route, Rule


@dataclass(frozen=True, slots=True)
class IpDump:
    """Everything found in one text, and the account of its lines. `table_names` are those that got numbers of their own here."""

    rules: tuple[Rule, ...] = ()
    routes: tuple[Route, ...] = ()
    links: tuple[Link, ...] = ()
    addrs: tuple[Addr, ...] = ()
    account: Account = NO_LINES
    table_names: tuple[tuple[int, str], ...] = ()


def read_ip(text: str, *, family: int = 4, table_id: int | None = None, table_names: dict[str, int] | None = None) -> IpDump:
    """Read what any of the `ip` commands printed, or a paste of several.

    Parameters
    ----------
    text : str
        Text or JSON (`-j`, `-p`), or both, with prompts and echoes among them.
    family : {4, 6}
        Of rows that do not tell theirs (`0: from all lookup local`), until an echoed command says otherwise.
    table_id : int, optional
        The table that was asked for; rows of one table do not name it. None: main, as `ip route` prints, unless the row names one.
    table_names : dict of str to int, optional
        The machine's rt_tables beyond the four that every one has.

    Returns
    -------
    IpDump
        Rows in the order of the text; nothing is raised for what cannot be read: `account` lists it.
    """
    lines = text.splitlines()
    reader = Reader(family, table_id, Tables(table_names))
    number = 0
    while number < len(lines):
        if lines[number].lstrip()[:1] in ("[", "{") and echoed_command(lines[number]) is None:
            number = read_json(reader, lines, number)
        else:
            reader.read_line(number + 1, lines[number])
            number += 1
    if text and not text.endswith("\n"):
        reader.notes.append(Note(len(lines), "the last line has no end: it may be cut"))
    return IpDump(
        tuple(reader.rules),
        tuple(reader.routes),
        tuple(reader.links),
        tuple(reader.addrs),
        account(len(lines), reader.reports, reader.notes),
        tuple(sorted(reader.tables.invented.items())),
    )
