"""The account of a run from those of its files, which may have been routed by an earlier run: plain data, as manifests hold it."""

from __future__ import annotations

from typing import Any

from fastroute.flows import Account
from fastroute.flows.account import MOST_REUSED
from fastroute.flows.legs import Leg

_PARTS = ("attributed", "ambiguous", "unknown", "excluded")
_MEASURES = ("records", "bytes", "packets")


class Totals:
    """Sums of accounts; the same in whatever order they come.

    Of reused addresses each file's account names those with the most bytes, and the total those with the most among these.
    """

    def __init__(self) -> None:
        self._total: dict[str, Any] = Account().to_dict()
        self._reused: dict[tuple[str, ...], dict[str, int]] = {}

    def add(self, account: dict[str, Any]) -> None:
        """Add the account of a file."""
        _add(self._total, account)
        for each in account["ambiguous"]["reused"]:
            _add(self._reused.setdefault(tuple(each["candidates"]), {}), {measure: each[measure] for measure in _MEASURES})

    @property
    def attributed_share(self) -> float:
        """EXACT and INFERRED records among those that are not excluded; 1 where there are none."""
        asked = self._total["input"]["records"] - self._total["excluded"]["records"]
        found: int = self._total["attributed"]["records"]
        return found / asked if asked else 1.0

    def to_dict(self) -> dict[str, Any]:
        """The account of all, its parts held to the whole.

        Raises
        ------
        AssertionError
            They do not add up: a defect of fastroute.
        """
        total = self._total
        for measure in _MEASURES:
            whole, parts = total["input"][measure], sum(total[part][measure] for part in _PARTS)
            if parts != whole:
                raise AssertionError(f"the account of the run holds {parts} {measure}; read were {whole}")
        ambiguous = {**total["ambiguous"], "by_doubt": _largest_first(total["ambiguous"]["by_doubt"]), "reused": self._most_reused()}
        legs = {"legs": {leg.name: total["legs"][leg.name] for leg in Leg if leg.name in total["legs"]}} if "legs" in total else {}
        sorted_ones = {name: _largest_first(total[name]) for name in ("path_classes", "dispositions")}
        return {**total, "ambiguous": ambiguous, **legs, **sorted_ones, "attributed_share": self.attributed_share}

    def _most_reused(self) -> list[dict[str, Any]]:
        most = sorted(self._reused.items(), key=lambda item: (-item[1]["bytes"], -item[1]["records"], item[0]))[:MOST_REUSED]
        return [{"candidates": list(candidates), **measures} for candidates, measures in most]


def _largest_first(sums: dict[str, dict[str, int]]) -> dict[str, dict[str, int]]:
    return dict(sorted(sums.items(), key=lambda item: (-item[1]["bytes"], -item[1]["records"], item[0])))


def _add(total: dict[str, Any], part: dict[str, Any]) -> None:
    for name, value in part.items():
        if isinstance(value, dict):
            _add(total.setdefault(name, {}), value)
        elif isinstance(value, int):
            total[name] = total.get(name, 0) + value
