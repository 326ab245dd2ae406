"""Whose address space, which address, what of it is excluded: batches against flows made by hand on the zoo of tests."""

import numpy as np
import pyarrow as pa
import pytest

from fastroute.addr import format_addrs, parse
from fastroute.datapath import Compiled, Explainer, Flow, compile_topology
from fastroute.errors import InputError
from fastroute.flows import Account, Router, find_fields, total_of
from fastroute.flows.columns import text_column
from fastroute.flows.ends import locate_end, parse_end
from fastroute.vocab import OUTPUT_COLUMNS
from tests.zoo import everything, interesting_addresses

ALL = [column.name for column in OUTPUT_COLUMNS]
TOPOLOGY = everything()


@pytest.fixture(scope="module")
def compiled() -> Compiled:
    return compile_topology(TOPOLOGY)


@pytest.fixture(scope="module")
def router(compiled: Compiled) -> Router:
    class Nobody:
        def address_of(self, name: str) -> tuple[str, str | None]:
            raise AssertionError(name)

    return Router(compiled, ALL, Nobody())


def rows_of(router: Router, **columns: object) -> list[dict[str, object]]:
    table = pa.table(columns)
    arrays = router.columns(router.route(table, find_fields(table.column_names)))
    return pa.Table.from_arrays(arrays, ALL).to_pylist()


def account_of(router: Router, **columns: object) -> Account:
    table = pa.table(columns)
    return router.route(table, find_fields(table.column_names)).account


# --- whose address space ----------------------------------------------------------------------------------------------------------


def test_space_is_that_of_the_vpc_else_of_the_interface(router: Router) -> None:
    """10.1.0.9 is eni-x of vpc-b; from vpc-a it is seen through the peering, from vpc-c it is nobody's."""
    rows = rows_of(
        router,
        srcaddr=["10.1.0.9"] * 6,
        dstaddr=["10.1.0.9"] * 6,
        vpc_id=["vpc-b", "vpc-c", "vpc-elsewhere", "-", "-", None],
        interface_id=["eni-y", "-", "eni-x", "eni-y", "eni-x", "eni-unheard-of"],
    )
    assert [row["src_eni"] for row in rows] == ["eni-x", None, None, None, "eni-x", None]
    assert [row["attribution"] for row in rows] == ["EXACT", "UNKNOWN", "UNKNOWN", "UNKNOWN", "EXACT", "UNKNOWN"]


def test_space_without_record_is_the_only_vpc_that_holds_an_end(router: Router) -> None:
    rows = rows_of(router, srcaddr=["10.0.5.5", "10.9.0.1", "8.8.8.8", "10.0.5.5"], dstaddr=["8.8.8.8", "10.0.5.5", "1.1.1.1", "10.1.0.9"])
    assert [row["src_k8s_pod"] for row in rows] == ["web-a", None, None, None]
    # the last has an end in each of two VPCs: which one's record it is cannot be told
    assert [row["src_kind"] for row in rows] == ["POD", "PEER_VPC", "UNKNOWN", "UNKNOWN"]


def test_many_spaces_in_one_batch_are_located_each_in_its_own(compiled: Compiled) -> None:
    addresses = interesting_addresses(TOPOLOGY)
    vpcs = list(compiled.spaces)
    texts = [text for text in addresses for _ in vpcs]
    spaces = np.array([compiled.spaces[vpc] for _ in addresses for vpc in vpcs], np.int32)
    coded = parse_end(text_column(pa.array(texts).dictionary_encode(), "x"), "x")
    plain = parse_end(text_column(pa.array(texts), "x"), "x")
    assert coded.codes is not None
    assert plain.codes is None
    got = locate_end(compiled, coded, spaces)
    assert got.tolist() == locate_end(compiled, plain, spaces).tolist()
    alone = [
        locate_end(compiled, parse_end(text_column(pa.array([t]), "x"), "x"), np.array([s], np.int32))[0]
        for t, s in zip(texts[:90], spaces[:90], strict=True)
    ]
    assert got[:90].tolist() == [int(row) for row in alone]


def test_addresses_of_some_records() -> None:
    texts = ["10.0.0.1", None, "fe80::1", "10.0.0.1", "-"]
    for array in (pa.array(texts), pa.array(texts).dictionary_encode()):
        end = parse_end(text_column(array, "x"), "x")
        assert format_addrs(end.of_records(np.array([4, 2, 0, 1]))) == [None, "fe80::1", "10.0.0.1", None]
    assert parse(texts).num_rows == end.num_rows


# --- which address ----------------------------------------------------------------------------------------------------------------


def test_packet_addresses_identify_and_interface_addresses_stand_in(router: Router) -> None:
    """10.0.0.77 is the primary address of an interface that holds pods too: alone it may stand for any of them."""
    logged = {"srcaddr": ["10.0.0.77"] * 2, "dstaddr": ["10.0.40.3"] * 2, "vpc_id": ["vpc-a"] * 2}
    with_packets = rows_of(router, **logged, pkt_srcaddr=["10.0.6.6", "10.0.6.7"], pkt_dstaddr=["10.0.40.3"] * 2)
    assert [(row["src_k8s_pod"], row["src_kind"]) for row in with_packets] == [("web-b", "POD"), (None, "ENI")]
    without = rows_of(router, **logged)
    assert [(row["src_kind"], row["src_attribution"]) for row in without] == [("NODE", "AMBIGUOUS")] * 2


def test_records_whose_packet_addresses_are_absent_fall_back_one_by_one(router: Router) -> None:
    rows = rows_of(
        router,
        pkt_srcaddr=["10.0.6.6", None, "-", "10.0.6.6", "-"],
        pkt_dstaddr=["10.0.40.3", "-", "10.0.40.3", "10.0.40.3", "-"],
        srcaddr=["10.0.0.77"] * 5,
        dstaddr=["10.0.40.3"] * 5,
        vpc_id=["vpc-a", "vpc-a", "-", "vpc-a", "vpc-a"],
        log_status=["OK", "OK", "OK", "OK", "NODATA"],
    )
    assert [row["src_k8s_pod"] for row in rows] == ["web-b", None, None, "web-b", None]
    assert [row["src_attribution"] for row in rows] == ["EXACT", "AMBIGUOUS", "AMBIGUOUS", "EXACT", None]
    assert [row["dst_k8s_pod"] for row in rows] == ["db-a"] * 4 + [None]


def test_log_with_one_address_column(router: Router) -> None:
    rows = rows_of(router, dstaddr=["10.0.40.3"], vpc_id=["vpc-a"])
    assert (rows[0]["dst_k8s_pod"], rows[0]["src_kind"], rows[0]["attribution"], rows[0]["form"]) == ("db-a", "UNKNOWN", "UNKNOWN", None)


def test_malformed_address_counts_only_where_a_record_uses_it(router: Router) -> None:
    coded = pa.DictionaryArray.from_arrays(pa.array([0, 0]), pa.array(["10.0.5.5", "no address"]))
    assert rows_of(router, srcaddr=coded, dstaddr=coded)[0]["src_k8s_pod"] == "web-a"
    used = pa.DictionaryArray.from_arrays(pa.array([0, 1]), coded.dictionary)
    table = pa.table({"srcaddr": used, "dstaddr": coded})
    with pytest.raises(InputError, match=r"row 101 \(from 0\): srcaddr 'no address' is not an IPv4 or IPv6 address"):
        router.route(table, find_fields(table.column_names), first_row=100)


# --- the walk ---------------------------------------------------------------------------------------------------------------------


def test_rows_agree_with_the_explanation_of_each_flow(router: Router) -> None:
    """Every pair of the zoo's addresses, through the batch and one by one in plain Python over the uncompiled snapshot."""
    explainer = Explainer(TOPOLOGY)
    addresses = interesting_addresses(TOPOLOGY)[::3]
    pairs = [(a, b) for a in addresses for b in addresses if a != b]
    table = {"src": [a for a, _ in pairs], "dst": [b for _, b in pairs], "vpc_id": ["vpc-a"] * len(pairs)}
    n = len(pairs)
    rows = rows_of(router, **table, protocol=[6] * n, src_port=[40000] * n, dst_port=[80] * n)
    for (src, dst), row in zip(pairs, rows, strict=True):
        told = explainer.explain(Flow(src, dst, 6, 40000, 80), "vpc-a")
        assert (row["path_class"], row["disposition"]) == (told.path.path_class.name, told.path.disposition.name), (src, dst)
        assert (row["src_kind"], row["dst_kind"]) == (told.src.kind.name, told.dst.kind.name), (src, dst)
        assert (row["out_eni"], row["in_eni"], row["table"]) == (told.path.out_eni, told.path.in_eni, told.path.table), (src, dst)


# --- the account ------------------------------------------------------------------------------------------------------------------

LOG = {
    "srcaddr": ["10.0.5.5", "10.0.5.5", "203.0.113.99", "-", "10.200.0.1"],
    "dstaddr": ["10.0.40.3", "10.0.40.3", "10.0.5.5", "-", "10.0.5.5"],
    "bytes": [100, 20, 3, None, 4],
    "packets": [5, 4, 3, None, 1],
    "action": ["ACCEPT", "REJECT", "ACCEPT", "-", "ACCEPT"],
    "log_status": ["OK", "OK", "OK", "SKIPDATA", "OK"],
    "vpc_id": ["vpc-a"] * 5,
}


def test_account(router: Router) -> None:
    found = account_of(router, **LOG).to_dict()
    assert found["input"] == {"records": 5, "bytes": 127, "packets": 13}
    assert found["attributed"]["records"] + found["ambiguous"]["records"] == 3
    assert found["unknown"] == {"records": 1, "bytes": 4, "packets": 1}
    assert found["excluded"] == {"records": 1, "bytes": 0, "packets": 0}
    assert found["rejected"] == {"records": 1, "bytes": 20, "packets": 4}
    assert next(iter(found["path_classes"].items())) == ("INTER_AZ", {"records": 2, "bytes": 120, "packets": 9})


def test_account_without_measures_counts_records(router: Router) -> None:
    found = account_of(router, srcaddr=["10.0.5.5"], dstaddr=["10.0.40.3"]).to_dict()
    assert found["input"] == {"records": 1, "bytes": 0, "packets": 0}
    assert found["attributed"]["exact"]["records"] == 1


def test_accounts_add_up_and_notice_what_does_not(router: Router) -> None:
    one = account_of(router, **LOG)
    total = total_of([one, one])
    assert (total.records, total.bytes, total.excluded) == (10, 254, 2)
    assert total.attributed_share == one.attributed_share == pytest.approx(3 / 4)
    total.check()
    total.by_attribution[0, 1] += 1
    with pytest.raises(AssertionError, match="the account of attribution"):
        total.check()


def test_share_of_nothing() -> None:
    assert Account().attributed_share == 1.0
