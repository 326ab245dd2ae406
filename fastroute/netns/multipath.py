"""Which next hop of a multipath route a flow takes: a documented choice, as the kernel's own is a hash with a secret seed."""

from __future__ import annotations

from collections.abc import Callable

from fastroute.netns.decision import Packet
from fastroute.netns.model import NextHop

MASK64 = 2**64 - 1
SOURCE_MULTIPLIER = 0x9E3779B97F4A7C15
MIX_1 = 0xBF58476D1CE4E5B9
MIX_2 = 0x94D049BB133111EB
HASH_BITS = 31

Chooser = Callable[[tuple[NextHop, ...], Packet], int]
"""The position of the next hop that a packet takes, among the usable ones of the matching route."""


def flow_hash(src: int, dst: int) -> int:
    """Hash a flow's addresses to 0..2**31-1.

    Source and destination only, as with the kernel's default `fib_multipath_hash_policy=0`; IPv6 halves are folded by xor.
    Source: the finaliser of splitmix64 (Steele, Lea, Flood 2014).
    """
    x = (fold(src) * SOURCE_MULTIPLIER + fold(dst)) & MASK64
    x = ((x ^ (x >> 30)) * MIX_1) & MASK64
    x = ((x ^ (x >> 27)) * MIX_2) & MASK64
    return (x ^ (x >> 31)) >> (64 - HASH_BITS)


def fold(addr: int) -> int:
    """Fold an address to 64 bits."""
    return (addr ^ (addr >> 64)) & MASK64


def choose_by_hash(hops: tuple[NextHop, ...], packet: Packet) -> int:
    """Choose a next hop: the hash space is shared out by weight, in the order of the dump."""
    point = (flow_hash(packet.src, packet.dst) * sum(hop.weight for hop in hops)) >> HASH_BITS
    for position, hop in enumerate(hops):
        point -= hop.weight
        if point < 0:
            return position
    return 0
