"""The slow truth of who held an address: look at every second of a stretch of time, and at everyone."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple


class Hold(NamedTuple):
    """Possibly from `first` to `last`, surely from `since` to `until`; both ends included."""

    name: str
    first: int
    since: int
    until: int
    last: int


def holders(holds: Sequence[Hold], begin: int, end: int) -> tuple[list[str], str]:
    """Who may have held it at some second from `begin` to `end`, and how sure that is: EXACT, INFERRED or AMBIGUOUS."""
    seconds = range(begin, end + 1)
    possible = [hold for hold in holds if any(hold.first <= second <= hold.last for second in seconds)]
    names = [hold.name for hold in possible]
    if len(set(names)) > 1:
        return names, "AMBIGUOUS"
    is_sure = len(possible) == 1 and all(possible[0].since <= second <= possible[0].until for second in seconds)
    return names, "EXACT" if is_sure else "INFERRED"


def is_possible(holds: Iterable[Hold], second: int) -> set[str]:
    """Everyone who may have held it then."""
    return {hold.name for hold in holds if hold.first <= second <= hold.last}
