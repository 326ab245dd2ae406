"""Ranges with a meaning of their own. Each predicate takes one number or an array, in Python and inside kernels."""
# mypy: ignore-errors

import numpy as np
from numba.extending import register_jitable


@register_jitable
def is_loopback4(addr):
    """127.0.0.0/8. Source: RFC 1122 section 3.2.1.3."""
    return (addr >> np.uint32(24)) == np.uint32(127)


@register_jitable
def is_link_local4(addr):
    """169.254.0.0/16. Source: RFC 3927."""
    return (addr >> np.uint32(16)) == np.uint32(0xA9FE)


@register_jitable
def is_private4(addr):
    """10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16 (RFC 1918) and 100.64.0.0/10 (RFC 6598): what a VPC may be made of."""
    return (
        ((addr >> np.uint32(24)) == np.uint32(10))
        | ((addr >> np.uint32(20)) == np.uint32(0xAC1))
        | ((addr >> np.uint32(16)) == np.uint32(0xC0A8))
        | ((addr >> np.uint32(22)) == np.uint32(0x191))
    )


@register_jitable
def is_multicast4(addr):
    """224.0.0.0/4. Source: RFC 5771."""
    return (addr >> np.uint32(28)) == np.uint32(0xE)


@register_jitable
def is_limited_broadcast4(addr):
    """255.255.255.255. Source: RFC 919 section 7."""
    return addr == np.uint32(0xFFFFFFFF)


@register_jitable
def is_loopback6(hi, lo):
    """::1. Source: RFC 4291 section 2.5.3."""
    return (hi == np.uint64(0)) & (lo == np.uint64(1))


@register_jitable
def is_link_local6(hi, lo):
    """fe80::/10. Source: RFC 4291 section 2.5.6."""
    return (hi >> np.uint64(54)) == np.uint64(0x3FA)


@register_jitable
def is_unique_local6(hi, lo):
    """fc00::/7. Source: RFC 4193."""
    return (hi >> np.uint64(57)) == np.uint64(0x7E)


@register_jitable
def is_multicast6(hi, lo):
    """ff00::/8. Source: RFC 4291 section 2.7."""
    return (hi >> np.uint64(56)) == np.uint64(0xFF)
