"""Which column means what."""

import pytest

from fastroute.errors import InputError
from fastroute.flows import choose_columns, find_fields
from fastroute.vocab import DEFAULT_COLUMNS, FLOW_LOG_FIELDS, OUTPUT_COLUMNS


def test_hyphens_underscores_and_case_are_one() -> None:
    hyphens, underscores = (find_fields(names) for names in ([f.text_name for f in FLOW_LOG_FIELDS], [f.name for f in FLOW_LOG_FIELDS]))
    assert hyphens == underscores
    assert not hyphens.is_simulated
    assert FLOW_LOG_FIELDS[hyphens.at["pkt_srcaddr"]].name == "pkt_srcaddr"
    assert find_fields(["DstAddr", "Bytes"]).at == {"dstaddr": 0, "bytes": 1}


def test_log_or_questions() -> None:
    assert find_fields(["src", "dst", "bytes"]).is_simulated
    assert not find_fields(["src", "dst", "srcaddr", "dstaddr"]).is_simulated
    assert find_fields(["src", "dst", "srcaddr"], simulated=True).at == {"src": 0, "dst": 1}
    with pytest.raises(InputError, match=r"no columns 'src' and 'dst', which questions have; its columns are srcaddr"):
        find_fields(["srcaddr"], simulated=True)
    with pytest.raises(InputError, match=r"no address column: .* its columns are src, dst"):
        find_fields(["src", "dst"], simulated=False)


@pytest.mark.parametrize("names", [[], ["src"], ["bytes", "packets"], [f"c{i}" for i in range(20)]])
def test_no_address_column(names: list[str]) -> None:
    with pytest.raises(InputError, match="no address column"):
        find_fields(names)


def test_two_columns_of_one_meaning() -> None:
    with pytest.raises(InputError, match=r"columns 'pkt-srcaddr' and 'pkt_srcaddr' mean the same; drop one"):
        find_fields(["pkt-srcaddr", "pkt_srcaddr", "dstaddr"])
    assert find_fields(["srcaddr", "note", "Note"]).at == {"srcaddr": 0}


def test_columns_that_would_be_added_twice() -> None:
    with pytest.raises(InputError, match=r"already has a column 'form'"):
        find_fields(["srcaddr", "form"], ["form", "src_kind"])
    assert find_fields(["srcaddr", "form"], ["src_kind"]).at == {"srcaddr": 0}


def test_choice_of_columns() -> None:
    assert choose_columns(None) == DEFAULT_COLUMNS
    assert choose_columns(["all"]) == tuple(column.name for column in OUTPUT_COLUMNS)
    assert choose_columns(["form", "src_kind", "form"]) == ("src_kind", "form")
    assert choose_columns([]) == ()
    with pytest.raises(InputError, match=r"no output column 'dst_pod'; did you mean .*dst_k8s_pod"):
        choose_columns(["dst_pod"])
    with pytest.raises(InputError, match=r"no output column 'zzz'; the columns are src_kind, "):
        choose_columns(["zzz"])


def test_transit_gateways_write_the_packets_own_addresses() -> None:
    names = ["resource-type", "tgw-src-vpc-id", "tgw-dst-vpc-id", "srcaddr", "dstaddr", "bytes", "tgw-id"]
    found = find_fields(names)
    assert found.is_transit_gateway
    assert found.at == {
        "pkt_srcaddr": 3, "pkt_dstaddr": 4, "bytes": 5, "vpc_id": 1,
        "tgw_dst_vpc_id": 2, "tgw_id": 6, "resource_type": 0
    }  # fmt: skip
    # read again from the columns that were found, it is the same log
    assert len(set(found.at.values())) == len(found.at)
    read = [names[at] for at in sorted(found.at.values())]
    assert {name: read[at] for name, at in find_fields(read).at.items()} == {name: names[at] for name, at in found.at.items()}
    assert not find_fields(["srcaddr", "dstaddr"]).is_transit_gateway
    assert find_fields(["srcaddr", "dstaddr"]).at == {"srcaddr": 0, "dstaddr": 1}
