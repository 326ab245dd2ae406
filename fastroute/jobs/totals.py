"""The account of a run from those of its files, which may have been routed by an earlier run: plain data, as manifests hold it."""

from __future__ import annotations

from typing import Any

from fastroute.flows import Account

_SORTED = ("path_classes", "dispositions")
_PARTS = ("attributed", "ambiguous", "unknown", "excluded")
_MEASURES = ("records", "bytes", "packets")


class Totals:
    """Sums of accounts."""

    def __init__(self) -> None:
        self._total: dict[str, Any] = Account().to_dict()

    def add(self, account: dict[str, Any]) -> None:
        """Add the account of a file."""
        _add(self._total, account)

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
        ordered = {name: dict(sorted(total[name].items(), key=_largest_first)) for name in _SORTED}
        return {**total, **ordered, "attributed_share": self.attributed_share}


def _largest_first(item: tuple[str, dict[str, int]]) -> tuple[int, int, str]:
    name, measures = item
    return -measures["bytes"], -measures["records"], name


def _add(total: dict[str, Any], part: dict[str, Any]) -> None:
    for name, value in part.items():
        if isinstance(value, dict):
            _add(total.setdefault(name, {}), value)
        else:
            total[name] = total.get(name, 0) + value
