"""`Namespace.route_get`: columns as `ip route get` has them; batches, scalars, both families, and the plain walk agree."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from fastroute.api.namespace import SCHEMA, Namespace
from fastroute.errors import AddressError, InputError
from fastroute.netns.model import addr_text

GOLDEN = Path("tests/golden/node-worked-example")
VETH_B = "eni0d7763386da"


@pytest.fixture(scope="module")
def node() -> Namespace:
    return Namespace.load(GOLDEN)


def test_a_scalar_is_one_row(node):
    table = node.route_get("8.8.8.8", src="10.0.6.6", iif=VETH_B, mark=0x80)
    assert table.schema == SCHEMA
    assert table.to_pylist() == [
        {
            "verdict": "forward",
            "error": None,
            "reason": None,
            "rule_priority": 1024,
            "table": "main",
            "prefix": "0.0.0.0/0",
            "gateway": "10.0.0.1",
            "device": "ens5",
            "prefsrc": None,
            "missing": None,
        }
    ]


def test_columns_of_every_form_and_both_families(node):
    dst = ["8.8.8.8", "10.0.0.10", "::1", "10.0.31.255", "10.0.5.5", "9.9.9.9"]
    src = ["10.0.6.6", None, "", None, "10.0.6.6", "7.7.7.7"]
    iif = [VETH_B, None, None, None, VETH_B, None]
    tables = [
        node.route_get(dst, src, iif),
        node.route_get(pa.array(dst), pa.array(src), pa.array(iif)),
        node.route_get(
            pa.chunked_array([dst[:2], dst[2:]]), pa.array(src).dictionary_encode(), np.array(iif, object), mark=np.zeros(6, int)
        ),
    ]
    assert tables[0].to_pylist() == tables[1].to_pylist() == tables[2].to_pylist()
    found = {name: tables[0][name].to_pylist() for name in ("verdict", "error", "device", "prefsrc", "table", "missing")}
    assert found["verdict"] == ["forward", "local", "undecided", "broadcast", "forward", "error"]
    assert found["error"] == [None] * 5 + ["ENETUNREACH"]
    assert found["device"] == ["ens6", "lo", None, "ens5", "enicc21c2d7785", None]
    assert found["prefsrc"] == [None, "10.0.0.10", None, "10.0.0.10", None, None]
    assert found["missing"] == [None, None, "ip -6 rule", None, None, None]
    assert found["table"] == ["2", "local", None, "local", "main", None]


def test_numbers_as_addresses_and_more_rows_than_a_chunk(node):
    dst = np.random.default_rng(3).integers(1, 2**32 - 1, 300_000, dtype=np.uint32)
    table = node.route_get(dst, "10.0.6.6", VETH_B, mark=np.resize([0, 0x80], len(dst)))
    assert table.num_rows == len(dst)
    for row in range(0, len(dst), 9973):
        decision = node.explain(addr_text(4, int(dst[row])), "10.0.6.6", VETH_B, mark=(row % 2) * 0x80)
        got = table.slice(row, 1).to_pylist()[0]
        assert (got["verdict"], got["error"] or "", got["rule_priority"], got["device"]) == (
            decision.verdict,
            decision.error,
            decision.rule_priority,
            decision.device,
        )


def test_explain_names_every_rule(node):
    decision = node.explain("8.8.8.8", "10.0.6.6", VETH_B)
    tried = [(t.rule.priority, t.rule.source_line, t.outcome) for t in decision.tried if not t.is_reverse]
    assert tried[-1] == (1536, 5, "decides")
    assert tried[:2] == [(0, 1, "no route in table local"), (512, 2, "destination differs")]


def test_dumps_as_texts():
    node = Namespace.from_dumps(
        rule="0:\tfrom all lookup local\n100:\tfrom all lookup 7\n",
        route={"local": "local 10.0.0.1 dev eth0 table local proto kernel scope host src 10.0.0.1\n", 7: "default via 10.0.0.2 dev eth0\n"},
    )
    assert node.route_get("8.8.8.8").to_pylist()[0]["table"] == "7"
    assert node.route_get("10.0.0.1").to_pylist()[0]["verdict"] == "local"
    assert node.route_get([]).num_rows == 0


def test_refusals_say_where(node):
    with pytest.raises(AddressError, match="dst: row 1: 'x'"):
        node.route_get(["1.1.1.1", "x"])
    with pytest.raises(AddressError, match=r"src\[0\]: of another family"):
        node.route_get("1.1.1.1", "::1")
    with pytest.raises(AddressError, match=r"dst\[0\]: no address"):
        node.route_get(None)
    with pytest.raises(InputError, match="different lengths: dst 2, src 3"):
        node.route_get(["1.1.1.1"] * 2, ["1.1.1.1"] * 3)
    with pytest.raises(InputError, match=r"sport\[0\]: 70000"):
        node.route_get("1.1.1.1", sport=70000)
    with pytest.raises(InputError, match="ipproto 'x'"):
        node.route_get("1.1.1.1", ipproto="x")
    with pytest.raises(InputError, match="no dump given"):
        Namespace.from_dumps()


def test_an_interface_that_the_node_does_not_name(node):
    """The dumps list no links, and sysctl's default has no rp_filter: it is an interface like any other."""
    assert node.route_get("8.8.8.8", "10.0.5.5", "eni-other").to_pylist()[0]["verdict"] == "forward"


def test_texts_of_a_dictionary_that_no_row_uses_do_not_matter(node):
    texts = pa.array(["8.8.8.8", "no address"])
    assert node.route_get(pa.DictionaryArray.from_arrays(pa.array([0, 0]), texts)).num_rows == 2
    with pytest.raises(AddressError, match=r"dst\[1\]: 'no address' is not an IPv4 or IPv6 address"):
        node.route_get(pa.DictionaryArray.from_arrays(pa.array([0, 1]), texts))
