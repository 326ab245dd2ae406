"""Names that AWS and Kubernetes would invent, from a seed."""

from __future__ import annotations

import random

_SAFE = "bcdfghjklmnpqrstvwxz2456789"
"""The letters that Kubernetes uses in generated names. Source: k8s.io/apimachinery/pkg/util/rand."""


class Ids:
    """Seeded inventor of identifiers."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._suffixes: set[str] = set()

    def aws(self, kind: str) -> str:
        """A resource id such as `eni-0a1b...` with seventeen hex digits, as AWS makes them now."""
        return f"{kind}-0{self._rng.getrandbits(64):016x}"

    def mac(self) -> str:
        """A locally administered MAC address."""
        return "02:" + ":".join(f"{each:02x}" for each in self._rng.randbytes(5))

    def uid(self) -> str:
        """A version 4 UUID."""
        text = f"{self._rng.getrandbits(128):032x}"
        return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-a{text[17:20]}-{text[20:]}"

    def suffix(self, length: int = 5) -> str:
        """The random end of a generated pod name; none comes twice, as no two pods of one workload share a name."""
        while (text := "".join(self._rng.choices(_SAFE, k=length))) in self._suffixes:
            continue
        self._suffixes.add(text)
        return text
