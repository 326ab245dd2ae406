"""Addresses and prefixes as text: what RFC 5952 and AWS take, against `ipaddress` as the slow truth."""

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastroute.topology.canonical import addr_number, canonical_addr, canonical_prefix, prefix_key

CHARACTERS = "0123456789abcdefABCDEF:./"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("10.0.1.3", "10.0.1.3"),
        ("255.255.255.255", "255.255.255.255"),
        ("10.0.1.300", None),
        ("10.0.1", None),
        ("010.0.0.1", None),
        (" 10.0.0.1", None),
        ("10.0.0.1\x00", None),
        ("١٠.0.0.1", None),
        ("2001:DB8:0:0:0:0:0:1", "2001:db8::1"),
        ("2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"),  # RFC 5952 section 4.2.2: one group of zeros stays
        ("fe80::1%eth0", None),
        ("::ffff:10.0.0.1", "::ffff:10.0.0.1"),
        ("", None),
    ],
)
def test_addresses(text: str, expected: str | None) -> None:
    assert canonical_addr(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0.0.0.0/0", "0.0.0.0/0"),
        ("10.0.0.16/28", "10.0.0.16/28"),
        ("10.0.0.17/28", None),  # host bits
        ("10.0.0.1/32", "10.0.0.1/32"),
        ("10.0.0.0/33", None),
        ("10.0.0.0/08", "10.0.0.0/8"),
        ("10.0.0.0/", None),
        ("10.0.0.0", None),
        ("10.0.0.0/-1", None),
        ("10.0.0.0/²", None),
        ("::/0", "::/0"),
        ("2600:1F13:00aa::/56", "2600:1f13:aa::/56"),
    ],
)
def test_prefixes(text: str, expected: str | None) -> None:
    assert canonical_prefix(text) == expected


@given(st.ip_addresses())
def test_every_address_is_canonical_as_ipaddress_writes_it(addr) -> None:
    expected = str(addr)
    found = canonical_addr(addr.exploded)
    assert found is not None
    assert ip_address(found) == addr
    if addr.version == 4 or addr.ipv4_mapped is None:
        assert addr_number(found) == int(addr)
        assert canonical_addr(expected) == found


@given(st.text(CHARACTERS, max_size=20))
def test_what_ipaddress_refuses_is_refused(text: str) -> None:
    try:
        expected = ip_address(text)
    except ValueError:
        assert canonical_addr(text) is None
    else:
        found = canonical_addr(text)
        assert found is not None
        assert ip_address(found) == expected


@given(st.ip_addresses(), st.data())
def test_prefix_key_is_the_network(addr, data) -> None:
    width = addr.max_prefixlen
    length = data.draw(st.integers(0, width))
    network = ip_network((addr, length), strict=False)
    text = canonical_prefix(f"{network.network_address}/{length}")
    assert text is not None
    assert prefix_key(text) == (length, width, int(network.network_address) >> (width - length))
