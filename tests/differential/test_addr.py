"""Address text against Python's `ipaddress`, in both kernel forms."""

import ipaddress

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fastroute import addr
from fastroute.addr.settings import has_avx512

FORMS = ["plain", "avx512"] if has_avx512() else ["plain"]
MANY = settings(max_examples=200, deadline=None)
ADDRS4 = st.integers(0, 2**32 - 1).map(lambda n: str(ipaddress.IPv4Address(n)))
ADDRS6 = st.integers(0, 2**128 - 1).map(ipaddress.IPv6Address)
GROUPS = st.sampled_from(["0", "00", "0001", "ffff", "FFFF", "abcd", "12345", "g", "", "1.2.3.4", "1.2.3", "%1"])
NEAR6 = st.lists(GROUPS, min_size=1, max_size=10).flatmap(
    lambda groups: st.integers(0, len(groups)).map(lambda k: ":".join(groups[:k]) + "::" + ":".join(groups[k:]) if k else ":".join(groups))
)
NEAR4 = st.lists(
    st.sampled_from(["0", "1", "9", "10", "99", "199", "255", "256", "300", "999", "00", "01", "010", "", "a", "1 "]), max_size=6
).map(".".join)
LEAST = st.text("0123456789.:abfF/-% ", max_size=18)
TEXTS = st.one_of(ADDRS4, ADDRS6.map(str), ADDRS6.map(lambda a: a.exploded.upper()), NEAR4, NEAR6, LEAST, st.none())


@pytest.fixture(params=FORMS, scope="module", autouse=True)
def kernel_form(request):
    addr.set_kernels(request.param)
    yield request.param
    addr.set_kernels("auto")


def truth(text):
    """(family, number)."""
    if text in {None, "", "-"}:
        return 0, 0
    if "%" in text:
        return 255, 0
    try:
        known = ipaddress.ip_address(text)
    except ValueError:
        return 255, 0
    return known.version, int(known)


@MANY
@given(st.lists(ADDRS4, min_size=4, max_size=20), st.one_of(NEAR4, LEAST, st.none()), st.integers(0, 20))
def test_one_odd_row_among_quads(rows, odd, position):
    """Quads are read four at a time: what is wrong with one row must neither spread nor vanish."""
    rows.insert(position % (len(rows) + 1), odd)
    expected = [truth(text) for text in rows]
    addrs, family = addr.parse4(rows)
    assert family.tolist() == [255 if version == 6 else version for version, _ in expected]
    assert addrs.tolist() == [number if version == 4 else 0 for version, number in expected]


@MANY
@given(st.lists(TEXTS, max_size=40))
@example(
    ["0.0.0.0", "255.255.255.255", "1.1.1.1", "1.2.3.256", "1.2.3.04", "1.2.3.4.", ".1.2.3.4", "1..2.3", "1.2.3", "/.1.1.1", ":.1.1.1"]
)
@example(
    [
        "::",
        "::1",
        "1::",
        ":::",
        "1:2:3:4:5:6:7::",
        "::2:3:4:5:6:7:8",
        "1:2:3:4:5:6:7:8::",
        "1:2:3:4:5:6:1.2.3.4",
        "::1.2.3.4:5",
        "1:2:3:4:5:6:7:1.2.3.4",
    ]
)
def test_parses_as_ipaddress(texts):
    found = addr.try_parse(texts)
    numbers = [int(v4) if family == 4 else int(hi) << 64 | int(lo) for family, v4, hi, lo in zip(*found, strict=True)]
    assert list(zip(found.family.tolist(), numbers, strict=True)) == [truth(text) for text in texts]


@MANY
@given(st.lists(ADDRS4, max_size=40))
def test_quads_come_back_as_text(texts):
    addrs, family = addr.parse4(texts)
    assert (family == 4).all()
    assert addr.format4(addrs) == texts


@MANY
@given(st.lists(st.one_of(ADDRS6, st.integers(0, 2**32 - 1).map(lambda n: ipaddress.IPv6Address(n << 96 | n & 0xFF))), max_size=20))
def test_ipv6_is_written_in_canonical_form(known):
    halves = np.array([(int(a) >> 64, int(a) & (1 << 64) - 1) for a in known], np.uint64).reshape(-1, 2)
    assert addr.format6(halves[:, 0], halves[:, 1]) == [a.compressed for a in known]


@MANY
@given(
    st.lists(
        st.tuples(
            st.one_of(ADDRS4, ADDRS6.map(str), NEAR4), st.one_of(st.integers(0, 130).map(str), st.sampled_from(["", "-1", "08", "+8"]))
        ),
        max_size=20,
    )
)
def test_prefixes_as_ipaddress(pairs):
    texts = [f"{text}/{length}" for text, length in pairs]
    found = addr.try_parse_prefixes(texts)
    for row, (text, length) in enumerate(pairs):
        try:
            known = ipaddress.ip_interface(f"{text}/{length}")
        except ValueError:
            assert found.family[row] == 255
            continue
        if length != str(known.network.prefixlen):
            assert found.family[row] == 255  # "08", and the netmasks that ipaddress reads as well
            continue
        assert found.family[row] == (known.version if known.ip == known.network.network_address else 254)
        assert found.prefix_len[row] == known.network.prefixlen
