"""What both readers need while they make nouns: canonical text, and tables that notice an id read twice."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields, is_dataclass
from typing import Generic, TypeVar

from fastroute.io.json_input import Place, json_path
from fastroute.topology import Finding
from fastroute.topology.canonical import canonical_addr, canonical_prefix

N = TypeVar("N")


class Texts:
    """Canonical addresses and prefixes; what is none becomes a finding, and the noun stays without it.

    `family` 0 takes both.
    """

    def __init__(self, findings: list[Finding]) -> None:
        self.findings = findings

    def addr(self, text: str, place: Place, *more: str | int, family: int = 0) -> str | None:
        """None for an empty text, without a finding."""
        canonical = canonical_addr(text)
        if canonical is not None and (family == 0 or (":" in canonical) == (family == 6)):
            return canonical
        if text:
            self._refuse("bad-address", text, f"an {_ip(family)} address", (*place, *more))
        return None

    def prefix(self, text: str, place: Place, *more: str | int, family: int = 0) -> str | None:
        """None for an empty text, without a finding."""
        canonical = canonical_prefix(text)
        if canonical is not None and (family == 0 or (":" in canonical) == (family == 6)):
            return canonical
        if text:
            self._refuse("bad-prefix", text, f"an {_ip(family)} prefix", (*place, *more))
        return None

    def prefixes(self, texts: Iterable[str], place: Place, *more: str, family: int = 0, each: str = "") -> tuple[str, ...]:
        """Those of a list that are prefixes; `each` is the field of its entries."""
        more_each = (each,) if each else ()
        found = (self.prefix(text, place, *more, i, *more_each, family=family) for i, text in enumerate(texts))
        return tuple(prefix for prefix in found if prefix is not None)

    def _refuse(self, kind: str, text: str, what: str, place: Place) -> None:
        file, *inside = place
        where = f"{file}: {json_path(*inside)}"
        self.findings.append(Finding(kind, where, f"{text!r} is not {what}; the object is read without it"))


def _ip(family: int) -> str:
    return f"IPv{family}" if family else "IPv4 or IPv6"


class NounTable(Generic[N]):
    """Nouns by id. An id read twice with the same content is one noun; with other content the first stands, and a finding says so."""

    def __init__(self, findings: list[Finding]) -> None:
        self.by_id: dict[str, N] = {}
        self.findings = findings

    def put(self, key: str, noun: N, place: Place) -> None:
        known = self.by_id.setdefault(key, noun)
        if known is noun or known == noun:
            return
        file, *inside = place
        text = f"read twice with different {_differences(known, noun)}; the first stands, not {json_path(*inside)} of {file}"
        self.findings.append(Finding("conflicting-object", key, text))


def _differences(one: object, other: object) -> str:
    if not is_dataclass(one):
        return "content"
    names = [each.name for each in fields(one) if getattr(one, each.name) != getattr(other, each.name)]
    return ", ".join(names)
