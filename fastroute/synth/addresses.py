"""IPv4 addresses as integers, blocks of them, and the handing out of a subnet's addresses."""

from __future__ import annotations

import random
from typing import NamedTuple

from fastroute.errors import AddressError, InputError

DELEGATED_LEN = 28
RESERVED_LOW = 4
"""Network address, router, resolver and one more: AWS keeps the first four of a subnet, and its last."""


class Block(NamedTuple):
    """A canonical IPv4 prefix."""

    base: int
    length: int

    @property
    def size(self) -> int:
        """How many addresses it covers."""
        return 1 << (32 - self.length)

    def __contains__(self, addr: object) -> bool:
        return isinstance(addr, int) and self.base <= addr < self.base + self.size

    def __str__(self) -> str:
        return f"{text(self.base)}/{self.length}"


def text(addr: int) -> str:
    """Dotted quad of an address."""
    return f"{addr >> 24}.{addr >> 16 & 255}.{addr >> 8 & 255}.{addr & 255}"


def number(dotted: str) -> int:
    """Address of a dotted quad."""
    parts = dotted.split(".")
    if len(parts) != 4 or not all(part.isdigit() and int(part) < 256 for part in parts):
        raise AddressError(f"{dotted!r} is not an IPv4 address")
    a, b, c, d = map(int, parts)
    return a << 24 | b << 16 | c << 8 | d


def block(prefix: str) -> Block:
    """Block of `address/length`; refuses host bits."""
    base_text, slash, length_text = prefix.partition("/")
    if not slash or not length_text.isdigit() or int(length_text) > 32:
        raise AddressError(f"{prefix!r} is not an IPv4 prefix; write address/length")
    base, length = number(base_text), int(length_text)
    if base & ((1 << (32 - length)) - 1):
        raise AddressError(f"host bits set in {prefix!r}")
    return Block(base, length)


def covers(blocks: list[Block], addr: int) -> bool:
    """Whether any of the blocks covers the address."""
    return any(addr in each for each in blocks)


class BlockPool:
    """Cuts subnets out of larger blocks, in order and aligned; goes on to the next large block when one is full."""

    def __init__(self, blocks: list[Block]) -> None:
        self._blocks = blocks
        self._next = [each.base for each in blocks]

    def take(self, length: int, start: int = 0) -> Block:
        """The next free block of this length: of the large block at `start` (modulo their number), else of those after it."""
        size = 1 << (32 - length)
        for step in range(len(self._blocks)):
            index = (start + step) % len(self._blocks)
            whole = self._blocks[index]
            base = (self._next[index] + size - 1) // size * size
            if base + size <= whole.base + whole.size:
                self._next[index] = base + size
                return Block(base, length)
        raise InputError(f"no /{length} left in the VPC's ranges {', '.join(map(str, self._blocks))}; ask for fewer nodes or pods")


class AddressPool:
    """Hands out a subnet's addresses in random order, and whole /28 blocks from the other end when prefixes are delegated.

    AWS gives a new interface any free address of the subnet; order would be a regularity that real accounts do not have.
    """

    def __init__(self, subnet: Block, rng: random.Random, *, delegated_share: float) -> None:
        num_blocks = subnet.size >> (32 - DELEGATED_LEN)
        num_delegated = int(num_blocks * delegated_share)
        first_delegated = subnet.base + subnet.size - num_delegated * 16
        end = first_delegated if num_delegated else subnet.base + subnet.size - 1
        self._subnet = subnet
        self._single = list(range(subnet.base + RESERVED_LOW, end))
        # the last /28 holds the subnet's reserved last address
        self._delegated = [Block(first_delegated + 16 * i, DELEGATED_LEN) for i in range(num_delegated - 1)]
        rng.shuffle(self._single)
        rng.shuffle(self._delegated)

    @property
    def num_single(self) -> int:
        """Single addresses left."""
        return len(self._single)

    @property
    def num_delegated(self) -> int:
        """Delegated blocks left."""
        return len(self._delegated)

    def take(self) -> int:
        """One free address."""
        if not self._single:
            raise InputError(f"subnet {self._subnet} has no address left; ask for fewer nodes or pods")
        return self._single.pop()

    def take_block(self) -> Block:
        """One free /28."""
        if not self._delegated:
            raise InputError(f"subnet {self._subnet} has no /28 left; ask for fewer nodes or pods")
        return self._delegated.pop()
