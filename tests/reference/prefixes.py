"""Random prefix tables that nest, touch and sit at the ends of the address space."""

import numpy as np
from hypothesis import strategies as st

ENDS4 = (0, 0xFFFFFFFF, 0x0A000000, 0x0A00FFFF, 0x0A0100FF, 0xC0A80001)
ENDS6 = (0, (1 << 128) - 1, 0x2001_0DB8 << 96, (0x2001_0DB8_0001_0002 << 64) | 0xFFFF, (0xFE80 << 112) | 1)


@st.composite
def prefix_tables(draw, num_bits, max_size=40):
    """A list of (address, length, value), every prefix once."""
    near = ENDS4 if num_bits == 32 else ENDS6
    point = st.one_of(st.sampled_from(near), st.integers(0, (1 << num_bits) - 1))
    rows = draw(st.lists(st.tuples(point, st.integers(0, num_bits), st.integers(0, 2**31 - 2)), max_size=max_size))
    table = {}
    for addr, length, value in rows:
        shift = num_bits - length
        table[(addr >> shift << shift, length)] = value
    return [(base, length, value) for (base, length), value in table.items()]


def columns4(prefixes):
    """(prefix, length, value) arrays."""
    return (
        np.array([p[0] for p in prefixes], np.uint32),
        np.array([p[1] for p in prefixes], np.uint8),
        np.array([p[2] for p in prefixes], np.int32),
    )


def halves(numbers):
    """Python integers -> (n, 2) uint64."""
    return np.array([(n >> 64, n & (1 << 64) - 1) for n in numbers], np.uint64).reshape(-1, 2)


def columns6(prefixes):
    """(prefix, length, value) arrays."""
    return halves([p[0] for p in prefixes]), np.array([p[1] for p in prefixes], np.uint8), np.array([p[2] for p in prefixes], np.int32)
