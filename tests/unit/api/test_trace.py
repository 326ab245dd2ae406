"""trace: names to places, and answers on small networks whose route tables can be read by eye."""

from __future__ import annotations

from pathlib import Path

import pytest

from fastroute.api import Snapshot
from fastroute.api.trace import to_dict
from fastroute.datapath import Explanation
from fastroute.errors import EndpointError
from fastroute.topology import TopologyIndex
from fastroute.topology.endpoints import Place, resolve, split_port
from fastroute.vocab import Disposition, Form, PathClass
from tests import zoo


def asked(src: str, dst: str, **more: str) -> Explanation:
    return Snapshot(zoo.everything()).trace(src, dst, **more)


@pytest.mark.parametrize("dst", ["default/web-a", "localhost", "127.0.0.1:8080"])
def test_a_pod_to_itself_never_leaves_it(dst: str) -> None:
    found = asked("default/web-a", dst)
    assert (found.form, found.path.path_class, found.path.disposition) == (Form.INTRA_POD, PathClass.INTRA_POD, Disposition.DELIVERED)
    assert [hop.device for hop in found.path.hops] == ["lo"]


@pytest.mark.parametrize(
    ("src", "dst", "form", "path_class", "disposition", "rule", "table", "out_eni"),
    [
        ("default/web-b", "default/web-a", "INTRA_HOST", "SAME_NODE", "DELIVERED", 512, "main", None),
        ("default/web-b", "node-a", "INTRA_HOST", "SAME_NODE", "DELIVERED", 0, "local", None),
        ("default/web-b", "default/db-a", "INTER_HOST", "INTER_AZ", "DELIVERED", 1536, "2", "eni-a1"),
        ("default/web-a", "default/db-a", "INTER_HOST", "INTER_AZ", "DELIVERED", 32766, "main", "eni-a0"),
        ("default/web-b", "8.8.8.8:443", "EGRESS", "NAT_GATEWAY", "EXITS_NETWORK", 1024, "main", "eni-a0"),
        ("default/web-b", "52.216.0.1:443", "EGRESS", "VPC_ENDPOINT", "EXITS_NETWORK", 1024, "main", "eni-a0"),
        ("default/web-b", "eni-vpce:443", "EGRESS", "VPC_ENDPOINT", "DELIVERED", 1536, "2", "eni-a1"),
        ("default/web-b", "eni-x", "EGRESS", "INTER_VPC", "DELIVERED", 1024, "main", "eni-a0"),
        ("default/web-b", "10.9.0.4", "EGRESS", "INTER_REGION", "EXITS_NETWORK", 1024, "main", "eni-a0"),
        ("default/web-b", "172.16.3.4", "EGRESS", "ON_PREM", "EXITS_NETWORK", 1024, "main", "eni-a0"),
        ("172.16.3.4", "default/web-b", "INGRESS", "ON_PREM", "DELIVERED", None, None, None),
        ("8.8.8.8", "node-c", "INGRESS", "INTERNET_GATEWAY", "DELIVERED", None, None, None),
        ("default/web-b", "198.51.101.9", "EGRESS", "UNCLASSIFIED", "BLACKHOLE", 1024, "main", "eni-a0"),
        ("default/web-b", "10.0.6.7", "EGRESS", "INTRA_AZ", "LOOP", 1536, "2", "eni-a1"),
        ("default/web-b", "169.254.169.254:80", "EGRESS", "LINK_LOCAL", "EXITS_NETWORK", 1024, "main", "eni-a0"),
        ("10.0.0.77", "8.8.8.8", "EGRESS", "UNCLASSIFIED", "SOURCE_CHECK", 32765, "2", "eni-a1"),
        ("default/web-b", "default/web", "INTER_HOST", "UNCLASSIFIED", "UNDECIDED", None, None, None),
    ],
)
def test_decisions_of_the_model(
    src: str, dst: str, form: str, path_class: str, disposition: str, rule: int | None, table: str | None, out_eni: str | None
) -> None:
    found = to_dict(asked(src, dst))
    columns = ("form", "path_class", "disposition", "rule_priority", "table", "out_eni")
    assert {name: found[name] for name in columns} == dict(zip(columns, (form, path_class, disposition, rule, table, out_eni), strict=True))


def test_source_nat_is_shown() -> None:
    assert asked("default/web-b", "8.8.8.8").path.wire_src == "10.0.0.10"
    assert asked("default/web-b", "default/db-a").path.wire_src is None


# --- names


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("default/db-a", Place("10.0.40.3", "vpc-a")),
        ("default/agent-a", Place("10.0.0.10", "vpc-a")),
        ("node-b", Place("10.0.32.10", "vpc-a")),
        ("i-c", Place("10.0.96.30", "vpc-a")),
        ("eni-x", Place("10.1.0.9", "vpc-b")),
        ("default/web", Place("172.20.0.10", None)),
        ("8.8.8.8", Place("8.8.8.8", None)),
        ("10.7.1.9", Place("10.7.1.9", None)),
    ],
)
def test_names_resolve(name: str, place: Place) -> None:
    assert resolve(TopologyIndex(zoo.everything()), name) == place


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("default/web-a:80", ("default/web-a", 80)),
        ("10.0.0.1", ("10.0.0.1", -1)),
        ("10.0.0.1:443", ("10.0.0.1", 443)),
        ("2001:db8::1", ("2001:db8::1", -1)),
        ("[2001:db8::1]:443", ("2001:db8::1", 443)),
    ],
)
def test_ports_follow_names(text: str, parts: tuple[str, int]) -> None:
    assert split_port(text) == parts


@pytest.mark.parametrize(
    ("src", "dst", "says"),
    [
        ("default/web-aa", "8.8.8.8", "did you mean default/web-a"),
        ("10.0.1.300", "8.8.8.8", "is no address"),
        ("default/web-a", "8.8.8.8:70000", "is not a port"),
        ("8.8.8.8", "9.9.9.9", "--vpc"),
    ],
)
def test_unknown_names_say_what_would_do(src: str, dst: str, says: str) -> None:
    with pytest.raises(EndpointError, match=says):
        asked(src, dst)


def test_neighbours_that_share_a_block_are_told_apart_by_the_routes() -> None:
    for address, eni in (("10.7.1.9", "eni-twin1"), ("10.7.1.201", "eni-twin2")):
        found = asked("default/web-a", address, vpc_id="vpc-a")
        assert (found.path.in_eni, found.path.disposition) == (eni, Disposition.DELIVERED)


def test_whois_shows_a_nodes_interfaces_and_a_pods_ports() -> None:
    node = Snapshot(zoo.everything()).whois("node-b").node
    assert node is not None
    assert [(each.id, each.num_used, each.num_warm) for each in node.interfaces] == [("eni-b0", 1, 15), ("eni-b1", 1, 15)]
    pod = Snapshot(zoo.everything()).whois("default/web-b")
    assert pod.containers == ("web: 8080/TCP, 53/UDP",)
    assert pod.rules == ("512:\tfrom all to 10.0.6.6 lookup main", "1536:\tfrom 10.0.6.6 lookup 2")


# --- small real networks: what their route tables say


@pytest.mark.parametrize(
    ("network", "src", "dst", "disposition", "path_class", "hops"),
    [
        (
            "test-vpc-peering",
            "i-06ba034d88c84ef07",
            "i-04a292ff83b3aa833",
            "DELIVERED",
            "INTER_VPC",
            [("192.168.2.0/24", "pcx-0d5b836985ac8ca8c")],
        ),
        (
            "test-vpc-peering",
            "i-0b14080af811fda3d",
            "i-06ba034d88c84ef07",
            "DELIVERED",
            "INTER_VPC",
            [("10.10.0.0/16", "pcx-0b89b559e3319d6cf")],
        ),
        # Both have 192.168.0.0/16: the local route wins, and nobody there holds the other's address.
        ("test-vpc-peering", "i-0b14080af811fda3d", "192.168.2.229", "NO_SUCH_ADDRESS", "UNCLASSIFIED", [("192.168.0.0/16", "local")]),
        ("test-vpc-peering", "i-0b14080af811fda3d", "8.8.8.8", "BLACKHOLE", "UNCLASSIFIED", [("0.0.0.0/0", "igw-0a2c9ae201b441bff")]),
        (
            "test-nat-gateway",
            "i-0a128d26e59be60f3",
            "8.8.8.8",
            "EXITS_NETWORK",
            "NAT_GATEWAY",
            [("0.0.0.0/0", "nat-07ab4846da51f4612"), ("0.0.0.0/0", "igw-071753b9c23d8a9b2")],
        ),
        (
            "test-nat-gateway",
            "i-0b31b509174d7f5de",
            "8.8.8.8",
            "EXITS_NETWORK",
            "INTERNET_GATEWAY",
            [("0.0.0.0/0", "igw-071753b9c23d8a9b2")],
        ),
        ("test-nat-gateway", "i-0a73a1a6021c03ddb", "8.8.8.8", "NO_ROUTE", "UNCLASSIFIED", [("", "")]),
        ("test-nat-gateway", "i-0a128d26e59be60f3", "i-0a73a1a6021c03ddb", "DELIVERED", "INTRA_AZ", [("10.1.0.0/16", "local")]),
        (
            "test-public-private-subnet",
            "i-099cf38911942421c",
            "8.8.8.8",
            "EXITS_NETWORK",
            "ON_PREM",
            [("0.0.0.0/0", "vgw-070087240d6fa2989")],
        ),
        (
            "test-public-private-subnet",
            "i-094a9e5b545a4fde4",
            "8.8.8.8",
            "EXITS_NETWORK",
            "INTERNET_GATEWAY",
            [("0.0.0.0/0", "igw-0eac198308206c358")],
        ),
        ("test-public-private-subnet", "8.8.8.8", "13.58.55.60", "DELIVERED", "INTERNET_GATEWAY", [("", "igw-0eac198308206c358")]),
    ],
)
def test_real_networks(
    shared_data: Path, network: str, src: str, dst: str, disposition: str, path_class: str, hops: list[tuple[str, str]]
) -> None:
    found = Snapshot.load(shared_data / "aws" / network).trace(src, dst)
    assert (found.path.disposition.name, found.path.path_class.name) == (disposition, path_class)
    assert [(hop.prefix, hop.gateway) for hop in found.path.hops if hop.domain.startswith("vpc-")] == hops
