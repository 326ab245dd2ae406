"""The slow truth of prefix matching: look at every prefix, keep the longest that covers the address."""

from collections.abc import Iterable, Sequence


def longest_match(prefixes: Iterable[tuple[int, int, int]], addr: int, num_bits: int) -> int:
    """Value of the longest of (address, length, value) that covers `addr`, or -1."""
    best_len, best_value = -1, -1
    for base, length, value in prefixes:
        if base >> (num_bits - length) == addr >> (num_bits - length) and length > best_len:
            best_len, best_value = length, value
    return best_value


def border_addresses(prefixes: Sequence[tuple[int, int, int]], num_bits: int) -> list[int]:
    """Where answers can change: both ends of every prefix, their neighbours, and the ends of the address space."""
    last = (1 << num_bits) - 1
    borders = {0, 1, last - 1, last, 1 << (num_bits - 1)}
    for base, length, _ in prefixes:
        end = base | (last >> length)
        borders |= {base, end, max(base - 1, 0), min(end + 1, last)}
        # behind an octet, or a layout's block, that the prefix's end divides
        borders |= {min((end >> k << k) + (1 << k), last) for k in (8, 14, *range(16, num_bits, 8))}
    return sorted(borders)
