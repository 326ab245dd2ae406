"""Atoms: every address falls to the most specific of all prefixes that rules and routes name; what those say of it they say of that prefix.

So an address is looked up once, however many rules and tables there are; everything else is a property of its atom.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fastroute.lpm import Lpm4, Lpm6, build4, build6
from fastroute.netns.model import ADDR_BITS, ANY, Namespace, Prefix

MASK64 = 2**64 - 1


@dataclass(frozen=True)
class Atoms:
    """The prefixes of one family, sorted: what a prefix covers is a run that begins with itself."""

    family: int
    prefixes: tuple[Prefix, ...]

    def __len__(self) -> int:
        return len(self.prefixes)

    def run(self, prefix: Prefix) -> slice:
        """Return the run of atoms that a prefix (one of them) covers."""
        last = prefix.addr | (2 ** (ADDR_BITS[self.family] - prefix.prefix_len) - 1)
        return slice(self.index(prefix), bisect_left(self.prefixes, Prefix(last + 1, 0)))

    def index(self, prefix: Prefix) -> int:
        """Return the position of a prefix that is one of them."""
        return bisect_left(self.prefixes, prefix)

    def table4(self) -> Lpm4:
        """Return the table address -> atom, IPv4."""
        base = np.array([p.addr for p in self.prefixes], np.uint32)
        return build4(base, self._lengths(), np.arange(len(self)))

    def table6(self) -> Lpm6:
        """Return the table address -> atom, IPv6."""
        base = np.array([(p.addr >> 64, p.addr & MASK64) for p in self.prefixes], np.uint64)
        return build6(base, self._lengths(), np.arange(len(self)))

    def _lengths(self) -> NDArray[np.uint8]:
        return np.array([p.prefix_len for p in self.prefixes], np.uint8)


def atoms_of(namespace: Namespace, family: int, special: Iterable[Prefix]) -> Atoms:
    """Collect the prefixes of a family: of rules, of routes, of the machine's addresses, and `special` ones."""
    prefixes = {ANY, *special}
    for rule in namespace.effective_rules(family):
        prefixes |= {rule.src_prefix, rule.dst_prefix}
    prefixes |= {route.prefix for route in namespace.routes if route.family == family}
    if family == 4:
        prefixes |= {Prefix(addr, 32) for addr in namespace.local_addrs}
    return Atoms(family, tuple(sorted(prefixes)))
