"""Address text at its edges: buffers as Arrow slices them, what is absent, what is refused and how."""

import numpy as np
import pytest

from fastroute import addr
from fastroute.addr import TextBuffers
from fastroute.errors import AddressError


def test_absent_is_not_malformed():
    found = addr.parse(["10.0.0.1", None, "", "-", "2001:db8::1"])
    assert found.family.tolist() == [4, 0, 0, 0, 6]
    assert found.v4.tolist() == [0x0A000001, 0, 0, 0, 0]
    assert (found.hi[4], found.lo[4]) == (0x20010DB800000000, 1)


def test_refusal_names_rows_and_the_first_five():
    with pytest.raises(AddressError, match="row 1: 'x' is not an IPv4 or IPv6 address"):
        addr.parse(["10.0.0.1", "x"])
    with pytest.raises(AddressError, match=r"7 rows are not .*: row 0: 'a0'; .*; row 4: 'a4' and 2 more") as caught:
        addr.parse([f"a{i}" for i in range(7)])
    assert "a5" not in str(caught.value)


def test_prefix_refusal_says_what_was_meant():
    with pytest.raises(AddressError, match=r"row 0: host bits set in '10\.0\.1\.7/24'; did you mean '10\.0\.1\.0/24'\?; row 2: 'y' is not"):
        addr.parse_prefixes(["10.0.1.7/24", "10.0.0.0/8", "y"])
    with pytest.raises(AddressError, match="did you mean '2001:db8::/64'"):
        addr.parse_prefixes(["2001:db8::1/64"])


def test_interface_addresses_keep_their_host_bits():
    kept = addr.parse_prefixes(["10.0.1.7/24", "2001:db8::1/64"], keep_host_bits=True)
    assert addr.format_prefixes(kept) == ["10.0.1.7/24", "2001:db8::1/64"]
    assert addr.format_prefixes(addr.without_host_bits(kept)) == ["10.0.1.0/24", "2001:db8::/64"]


@pytest.mark.parametrize("dtype", [np.int32, np.int64])
def test_a_slice_of_an_arrow_array(dtype):
    """Offsets that do not begin at 0, a bitmap that begins inside a byte, text that ends at the buffer's end."""
    text = b"junk10.0.0.1255.255.255.2551.2.3.4"
    offsets = np.array([4, 12, 27, 34], dtype)
    valid = np.packbits([0, 0, 0, 1, 0, 1, 1, 1], bitorder="little")
    found = addr.parse(TextBuffers(np.frombuffer(text, np.uint8), offsets, valid, first_bit=3))
    assert found.family.tolist() == [4, 0, 4]
    assert found.v4.tolist() == [0x0A000001, 0, 0x01020304]


def test_every_form_of_texts_reads_alike():
    rows = ["10.0.0.1", "::1", "-"]
    expected = addr.parse(rows)
    for form in (np.array(rows), np.array(rows, "S"), np.array(rows, object), addr.text_buffers(rows), tuple(rows)):
        for ours, theirs in zip(addr.parse(form), expected, strict=True):
            assert ours.tolist() == theirs.tolist()


@pytest.mark.parametrize("rows", [[], ["10.0.0.1"]])
def test_empty_and_one(rows):
    assert addr.format_addrs(addr.parse(rows)) == rows
    assert addr.parse_prefixes(rows).num_rows == len(rows)


def test_what_is_no_text_is_refused():
    with pytest.raises(AddressError, match="row 1: 7 is a int, not text"):
        addr.parse(["10.0.0.1", 7])
    with pytest.raises(AddressError, match="is one string"):
        addr.parse("10.0.0.1")


# RFC 5952 sections 4 and 5
@pytest.mark.parametrize(
    ("given", "canonical"),
    [
        ("2001:0DB8::0001", "2001:db8::1"),
        ("2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"),
        ("2001:0:0:1:0:0:0:1", "2001:0:0:1::1"),
        ("2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"),
        ("::FFFF:192.0.2.1", "::ffff:192.0.2.1"),
        ("0:0:0:0:0:0:0:0", "::"),
    ],
)
def test_canonical_ipv6(given, canonical):
    assert addr.format_addrs(addr.parse([given])) == [canonical]


def test_output_buffers_are_checked_and_used():
    out = np.empty(1, np.uint32), np.empty(1, np.uint8)
    assert addr.parse4(["1.2.3.4"], out=out)[0] is out[0]
    with pytest.raises(AddressError, match="uint32 and uint8 arrays of 2 rows"):
        addr.parse4(["1.2.3.4"] * 2, out=out)
    with pytest.raises(AddressError, match="at least 16 bytes"):
        addr.format4_buffers(np.zeros(1, np.uint32), out=np.empty(15, np.uint8))


def test_masks_and_containment():
    assert [addr.mask4(n) for n in (0, 1, 24, 32)] == [0, 0x80000000, 0xFFFFFF00, 0xFFFFFFFF]
    ones = 2**64 - 1
    assert [addr.mask6(n) for n in (0, 64, 65, 128)] == [(0, 0), (ones, 0), (ones, 1 << 63), (ones, ones)]
    assert addr.contains4(np.uint32(0x0A000000), 8, np.uint32(0x0AFFFFFF))
    assert not addr.contains4(np.uint32(0x0A000000), 8, np.uint32(0x0B000000))


SPECIAL4 = [
    (addr.is_loopback4, ["127.0.0.0", "127.255.255.255"], ["126.255.255.255", "128.0.0.0"]),
    (addr.is_link_local4, ["169.254.0.0", "169.254.255.255"], ["169.253.255.255", "169.255.0.0"]),
    (addr.is_private4, ["10.0.0.0", "10.255.255.255", "172.16.0.0", "172.31.255.255", "192.168.0.0", "100.64.0.0", "100.127.255.255"],
     ["9.255.255.255", "11.0.0.0", "172.15.255.255", "172.32.0.0", "192.169.0.0", "100.63.255.255", "100.128.0.0"]),
    (addr.is_multicast4, ["224.0.0.0", "239.255.255.255"], ["223.255.255.255", "240.0.0.0"]),
    (addr.is_limited_broadcast4, ["255.255.255.255"], ["255.255.255.254"]),
]  # fmt: skip


@pytest.mark.parametrize(("predicate", "inside", "outside"), SPECIAL4)
def test_special_ranges(predicate, inside, outside):
    assert predicate(addr.parse(inside).v4).all()
    assert not predicate(addr.parse(outside).v4).any()


SPECIAL6 = [
    (addr.is_loopback6, ["::1"], ["::", "::2"]),
    (addr.is_link_local6, ["fe80::", "febf:ffff::1"], ["fe7f::", "fec0::"]),
    (addr.is_unique_local6, ["fc00::", "fdff::1"], ["fbff::", "fe00::"]),
    (addr.is_multicast6, ["ff02::1"], ["feff::"]),
]


@pytest.mark.parametrize(("predicate", "inside", "outside"), SPECIAL6)
def test_special_ranges6(predicate, inside, outside):
    yes, no = addr.parse(inside), addr.parse(outside)
    assert predicate(yes.hi, yes.lo).all()
    assert not predicate(no.hi, no.lo).any()
