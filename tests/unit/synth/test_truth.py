"""The truth against a second reasoning that sees only the files."""

from __future__ import annotations

from typing import Any

import pytest

from fastroute.synth import SynthResult

from .reading import Owner, Reading, records_with_truth

END = ("kind", "k8s_namespace", "k8s_pod", "k8s_owner_kind", "k8s_owner", "node", "eni", "subnet_id", "az_id", "vpc_id")
INSIDE = ("POD", "HOST_POD", "NODE", "SERVICE")


@pytest.fixture(scope="module")
def reading(made: SynthResult) -> Reading:
    return Reading(made.snapshot)


@pytest.fixture(scope="module")
def records(made: SynthResult) -> list[dict[str, Any]]:
    return records_with_truth(made.folder)


def _ends(reading: Reading, record: dict[str, Any]) -> tuple[Owner, Owner]:
    return (
        reading.owner(record["src"], record["protocol"], record["srcport"]),
        reading.owner(record["dst"], record["protocol"], record["dstport"]),
    )


def test_decidable_ends_are_those_that_the_snapshot_names(reading: Reading, records: list[dict[str, Any]]) -> None:
    for record in records:
        if record["decidable"]:
            src, dst = _ends(reading, record)
            assert tuple(record[f"src_{name}"] for name in END) == tuple(src), record
            assert tuple(record[f"dst_{name}"] for name in END) == tuple(dst), record


def _leaves_the_way_open(reading: Reading, src: Owner, dst: Owner, opener: str) -> bool:
    """An echo reply from the Internet and an echo request look alike, but only the reply comes by the NAT gateway."""
    is_public = dst.eni is not None and "Association" in reading.enis[dst.eni]
    return opener == "UNKNOWN" and src.kind == "INTERNET" and not is_public


def test_a_record_is_decidable_exactly_where_ends_and_way_are_certain(reading: Reading, records: list[dict[str, Any]]) -> None:
    for record in records:
        src, dst = _ends(reading, record)
        opener = reading.opener(record, src, dst)
        certain = reading.is_exact(record, src, dst, opener) and not _leaves_the_way_open(reading, src, dst, opener)
        if "pkt_srcaddr" not in record:
            certain = certain and reading.is_legible(record["srcaddr"]) and reading.is_legible(record["dstaddr"])
        assert record["decidable"] == certain, record


def test_decidable_openers_follow_from_flags_and_ports(reading: Reading, records: list[dict[str, Any]]) -> None:
    for record in records:
        if record["decidable"]:
            assert record["opener"] == reading.opener(record, *_ends(reading, record)), record


def test_form_follows_from_the_kinds_and_nodes(records: list[dict[str, Any]]) -> None:
    for record in records:
        src, dst = record["src_kind"], record["dst_kind"]
        if "UNKNOWN" in (src, dst):
            expected = None
        elif src in INSIDE and dst in INSIDE:
            expected = "INTER_HOST"  # what stays on a node is never logged
            assert record["src_node"] != record["dst_node"]
        else:
            expected = "EGRESS" if src in INSIDE else "INGRESS" if dst in INSIDE else "EXTERNAL"
        assert record["form"] == expected, record


def test_the_way_out_is_that_of_the_nodes_rules(reading: Reading, records: list[dict[str, Any]]) -> None:
    checked = set()
    for record in records:
        if not record["src_node"] or record["rule_priority"] is None:
            continue
        is_pod = record["src_kind"] == "POD"
        if is_pod and record["src_k8s_namespace"] + "/" + record["src_k8s_pod"] not in reading.declared:
            continue  # the dump of today has no rule for a pod of yesterday
        marked = is_pod and record["opener"] != "DST" and reading.would_snat(record["dst"])
        held = reading.owners[reading.main_vpc]
        src = next(addr for addr, owner in held.items() if owner.pod == record["src_k8s_pod"] and is_pod) if is_pod else record["src"]
        expected = reading.way_out(record["src_node"], src, record["dst"], is_marked=marked)
        assert (record["rule_priority"], record["table"], record["out_eni"]) == expected, record
        node_address = reading.enis[reading.device[record["src_node"], 0]]["PrivateIpAddress"]
        assert record["wire_src"] == (node_address if marked else None)
        checked.add(record["rule_priority"])
    assert {1536, 32766} <= checked


def test_the_zone_class_follows_from_the_interfaces(reading: Reading, records: list[dict[str, Any]]) -> None:
    zones = {owner.eni: owner.az for held in reading.owners.values() for owner in held.values()}
    seen = set()
    for record in records:
        if record["path_class"] in ("INTRA_AZ", "INTER_AZ"):
            same = zones[record["out_eni"]] == zones[record["in_eni"]]
            assert (record["path_class"] == "INTRA_AZ") == same, record
            seen.add(record["path_class"])
    assert seen == {"INTRA_AZ", "INTER_AZ"}


def test_the_class_of_a_gateway_follows_from_the_outer_end(reading: Reading, records: list[dict[str, Any]]) -> None:
    by_outer = {"ON_PREM": {"ON_PREM"}, "PEER_VPC": {"INTER_REGION"}, "AWS_SERVICE": {"VPC_ENDPOINT"}}
    by_outer["INTERNET"] = {"NAT_GATEWAY", "INTERNET_GATEWAY"}
    seen = set()
    for record in records:
        for outer in (record["src_kind"], record["dst_kind"]):
            if outer in by_outer and "UNKNOWN" not in (record["src_kind"], record["dst_kind"]):
                assert record["path_class"] in by_outer[outer], record
                seen.add(record["path_class"])
        types = {reading.enis[eni]["InterfaceType"] for eni in (record["src_eni"], record["dst_eni"]) if eni}
        if "vpc_endpoint" in types:
            assert record["path_class"] == "VPC_ENDPOINT"
        if "nat_gateway" in types and "INTERNET" in (record["src_kind"], record["dst_kind"]):
            assert record["path_class"] == "INTERNET_GATEWAY"
    assert seen == set().union(*by_outer.values())
