"""Addresses and prefixes as arrays: text <-> uint32 / 2 x uint64, canonical prefixes, special ranges."""

from fastroute.addr.buffers import TextBuffers, Texts, text_buffers
from fastroute.addr.prefix_kernels import contains4, contains6, mask4, mask6
from fastroute.addr.prefixes import (
    Prefixes,
    format_prefixes,
    masks4,
    masks6,
    parse_prefixes,
    try_parse_prefixes,
    without_host_bits,
)
from fastroute.addr.settings import kernels, set_kernels
from fastroute.addr.special import (
    is_limited_broadcast4,
    is_link_local4,
    is_link_local6,
    is_loopback4,
    is_loopback6,
    is_multicast4,
    is_multicast6,
    is_private4,
    is_unique_local6,
)
from fastroute.addr.text import (
    Addresses,
    check_none_malformed,
    format4,
    format4_buffers,
    format6,
    format6_buffers,
    format_addrs,
    parse,
    parse4,
    try_parse,
)
from fastroute.addr.v4 import ABSENT, HOST_BITS, MALFORMED

__all__ = [
    "ABSENT",
    "HOST_BITS",
    "MALFORMED",
    "Addresses",
    "Prefixes",
    "TextBuffers",
    "Texts",
    "check_none_malformed",
    "contains4",
    "contains6",
    "format4",
    "format4_buffers",
    "format6",
    "format6_buffers",
    "format_addrs",
    "format_prefixes",
    "is_limited_broadcast4",
    "is_link_local4",
    "is_link_local6",
    "is_loopback4",
    "is_loopback6",
    "is_multicast4",
    "is_multicast6",
    "is_private4",
    "is_unique_local6",
    "kernels",
    "mask4",
    "mask6",
    "masks4",
    "masks6",
    "parse",
    "parse4",
    "parse_prefixes",
    "set_kernels",
    "text_buffers",
    "try_parse",
    "try_parse_prefixes",
    "without_host_bits",
]
