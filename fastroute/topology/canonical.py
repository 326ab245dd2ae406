"""Addresses and prefixes as canonical text. One at a time: `inet_pton` takes less time than laying text out for a batch parser."""

from __future__ import annotations

from socket import AF_INET, AF_INET6, inet_ntop, inet_pton


def canonical_addr(text: str) -> str | None:
    """The address in canonical form (dotted quad, RFC 5952); None where it is none."""
    try:
        if ":" in text:
            return inet_ntop(AF_INET6, inet_pton(AF_INET6, text))
        inet_pton(AF_INET, text)  # takes dotted quads without leading zeros only: already canonical
    except (OSError, ValueError):  # ValueError: zero bytes and characters outside ASCII
        return None
    return text


def addr_number(text: str) -> int:
    """A canonical address as an integer."""
    return int.from_bytes(inet_pton(AF_INET6 if ":" in text else AF_INET, text), "big")


def canonical_prefix(text: str) -> str | None:
    """The prefix in canonical form; None where it is none or has host bits set."""
    network, slash, length_text = text.partition("/")
    addr = canonical_addr(network)
    if addr is None or not slash or not (length_text.isascii() and length_text.isdigit()):
        return None
    width = 128 if ":" in addr else 32
    length = int(length_text)
    if length > width or addr_number(addr) & ((1 << (width - length)) - 1):
        return None
    return f"{addr}/{length}"


def prefix_key(prefix: str) -> tuple[int, int, int]:
    """A canonical prefix as (length, width, network number shifted to its length)."""
    network, _, length_text = prefix.partition("/")
    width, length = 128 if ":" in network else 32, int(length_text)
    return length, width, addr_number(network) >> (width - length)
