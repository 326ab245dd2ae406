"""Two nodes made by hand; the records and truths that MODEL.md gives them, written out."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from fastroute.synth.account import Account
from fastroute.synth.addresses import block, number, text
from fastroute.synth.ends import End, Ends
from fastroute.synth.exchanges import TRUTH_COLUMNS, Exchange, Observer, Sighting, truth_row
from fastroute.synth.network import Network
from fastroute.synth.nouns import (
    Container,
    Endpoint,
    Eni,
    Instance,
    NatGateway,
    Node,
    Peering,
    Pod,
    Port,
    PrefixList,
    Route,
    RouteTable,
    Subnet,
    TransitGateway,
    Vpc,
    Workload,
    Zone,
)
from fastroute.synth.ways import Ways
from fastroute.vocab import ICMP, TCP, Kind, Opener

WEB = Container("web", "web:1", (Port(8080),))
EXPORTER = Container("node-exporter", "node-exporter:1", (Port(9100),))


@dataclass
class Town:
    """Node 1 in zone az4: pod a on the primary interface, pod b on the secondary. Node 2 in zone az6: pod c, and the exporter."""

    account: Account
    a: Pod
    b: Pod
    c: Pod
    node1: Node
    node2: Node

    @property
    def ends(self) -> Ends:
        return Ends(self.account)

    def observe(self, exchange: Exchange, *, packet_addresses: bool = True) -> list[Sighting]:
        vpcs = [self.account.network.vpc]
        return Observer(self.account, vpcs, has_packet_addresses=packet_addresses).observe(exchange)

    def internet(self) -> End:
        return self.ends.outside(Kind.INTERNET, number("151.101.1.5"))

    def on_prem(self) -> End:
        return self.ends.outside(Kind.ON_PREM, number("192.168.3.4"))


def _town(*, external_snat: bool = False, exclude: tuple[str, ...] = ()) -> Town:
    az4, az6 = Zone("us-east-1a", "use1-az4"), Zone("us-east-1b", "use1-az6")
    vpc = Vpc("vpc-1", "main", "us-east-1", [block("10.0.0.0/16")])
    public = Subnet("subnet-pub", "public", vpc, az4, block("10.0.0.0/24"), None, True)
    first = Subnet("subnet-1", "node-1", vpc, az4, block("10.0.16.0/20"), None)
    second = Subnet("subnet-2", "node-2", vpc, az6, block("10.0.32.0/20"), None)
    vpc.subnets = [public, first, second]

    def eni(name: str, subnet: Subnet, primary: str, *secondary: str, **more: object) -> Eni:
        made = Eni(name, subnet, number(primary), "02:00:00:00:00:01", secondary=[number(each) for each in secondary], **more)  # type: ignore[arg-type]
        vpc.holders.update(dict.fromkeys([made.primary, *made.secondary], made))
        return made

    s3 = PrefixList("pl-1", "s3", [block("52.216.0.0/15")])
    nat = NatGateway("nat-1", eni("eni-nat", public, "10.0.0.9", interface_type="nat_gateway", public=number("18.204.1.1")), "eipalloc-1")
    endpoint_eni = eni("eni-sts", second, "10.0.40.1", interface_type="vpc_endpoint")
    gateway = Endpoint("vpce-1", "s3", vpc, prefix_list=s3)
    interface_endpoint = Endpoint("vpce-2", "sts", vpc, enis=[endpoint_eni])
    peering = Peering("pcx-1", vpc, "vpc-far", "444455556666", "us-west-2", [block("10.201.0.0/16")])
    transit = TransitGateway("tgw-1", "tgw-attach-1", [], [block("192.168.0.0/16")])
    local = Route(block("10.0.0.0/16"), "local")
    away = [Route(None, "vpce-1", prefix_list=s3), Route(block("192.168.0.0/16"), "tgw-1"), Route(block("10.201.0.0/16"), "pcx-1")]
    public.table = RouteTable("rtb-pub", "public", vpc, [local, Route(block("0.0.0.0/0"), "igw-1")])
    first.table = second.table = RouteTable("rtb-priv", "private", vpc, [local, Route(block("0.0.0.0/0"), "nat-1"), *away])
    vpc.route_tables = [RouteTable("rtb-main", "main", vpc, [local], is_main=True), public.table, first.table]

    def node(name: str, zone: Zone, *enis: Eni) -> Node:
        instance = Instance(f"i-{name}", name, "m5.large", list(enis))
        made = Node(name, instance, zone, 29)
        instance.node = made
        for device_number, each in enumerate(enis):
            each.instance, each.device_number = instance, device_number
        return made

    node1 = node(
        "node1",
        az4,
        eni("eni-p1", first, "10.0.16.10", "10.0.16.11"),
        eni("eni-s1", first, "10.0.16.77", "10.0.16.78", "10.0.16.79"),
    )
    node2 = node("node2", az6, eni("eni-p2", second, "10.0.32.10", "10.0.32.11"))
    web = Workload("Deployment", "shop", "web", (WEB,), 3, "uid-1")
    exporter = Workload("DaemonSet", "monitoring", "node-exporter", (EXPORTER,), 1, "uid-2", host_network=True)

    def pod(name: str, on: Node, addr: str, at: Eni) -> Pod:
        made = Pod("shop", name, f"uid-{name}", (WEB,), web, on, addr=number(addr), eni=at)
        on.pods.append(made)
        return made

    a = pod("web-a", node1, "10.0.16.11", node1.instance.enis[0])
    b = pod("web-b", node1, "10.0.16.78", node1.instance.enis[1])
    c = pod("web-c", node2, "10.0.32.11", node2.instance.enis[0])
    node2.pods.append(
        Pod("monitoring", "node-exporter-x", "uid-x", (EXPORTER,), exporter, node2, host_network=True, addr=number("10.0.32.10"))
    )
    node1.warm = [(number("10.0.16.79"), node1.instance.enis[1])]
    network = Network([az4, az6], vpc, "igw-1", [public], [], [[first], [second]], [[], []], {}, [nat], [peering])
    network.endpoints, network.transit_gateway = [gateway, interface_endpoint], transit
    excluded = [block(each) for each in exclude]
    account = Account(1, "secondary", external_snat, excluded, network, [node1, node2], [web, exporter], [], [], [], [], ("fl-1", "fl-2"))
    return Town(account, a, b, c, node1, node2)


@pytest.fixture
def town() -> Town:
    return _town()


def _fields(sightings: list[Sighting]) -> list[tuple[str, str, str, str, str, str]]:
    return [
        (each.eni.id, "egress" if each.is_egress else "ingress", text(each.src), text(each.dst), text(each.pkt_src), text(each.pkt_dst))
        for each in sightings
    ]


def _truth(sighting: Sighting) -> dict[str, object]:
    return dict(zip(TRUTH_COLUMNS, sighting.truth, strict=True))


def _path(truth: dict[str, object]) -> tuple[object, ...]:
    names = ("opener", "form", "path_class", "disposition", "out_eni", "in_eni", "rule_priority", "table", "wire_src")
    return tuple(truth[name] for name in names)


def test_pods_of_two_nodes_leave_four_records(town: Town) -> None:
    sightings = town.observe(Exchange(town.ends.pod(town.b), town.ends.pod(town.c), TCP, 8080))
    assert _fields(sightings) == [
        ("eni-s1", "egress", "10.0.16.77", "10.0.32.11", "10.0.16.78", "10.0.32.11"),
        ("eni-p2", "ingress", "10.0.16.78", "10.0.32.10", "10.0.16.78", "10.0.32.11"),
        ("eni-p2", "egress", "10.0.32.10", "10.0.16.78", "10.0.32.11", "10.0.16.78"),
        ("eni-s1", "ingress", "10.0.32.11", "10.0.16.77", "10.0.32.11", "10.0.16.78"),
    ]
    assert all(each.decidable for each in sightings)
    there = {
        "src_kind": "POD",
        "src_k8s_namespace": "shop",
        "src_k8s_pod": "web-b",
        "src_k8s_owner_kind": "Deployment",
        "src_k8s_owner": "web",
        "src_node": "node1",
        "src_eni": "eni-s1",
        "src_subnet_id": "subnet-1",
        "src_az_id": "use1-az4",
        "src_vpc_id": "vpc-1",
        "dst_kind": "POD",
        "dst_k8s_namespace": "shop",
        "dst_k8s_pod": "web-c",
        "dst_k8s_owner_kind": "Deployment",
        "dst_k8s_owner": "web",
        "dst_node": "node2",
        "dst_eni": "eni-p2",
        "dst_subnet_id": "subnet-2",
        "dst_az_id": "use1-az6",
        "dst_vpc_id": "vpc-1",
        "opener": "SRC",
        "form": "INTER_HOST",
        "path_class": "INTER_AZ",
        "disposition": "DELIVERED",
        "out_eni": "eni-s1",
        "in_eni": "eni-p2",
        "rule_priority": 1536,
        "table": "2",
        "wire_src": None,
        "wire_dst": None,
    }
    assert _truth(sightings[0]) == _truth(sightings[1]) == there
    back = ("DST", "INTER_HOST", "INTER_AZ", "DELIVERED", "eni-p2", "eni-s1", 32766, "main", None)
    assert _path(_truth(sightings[2])) == _path(_truth(sightings[3])) == back


def test_pods_of_one_node_leave_none(town: Town) -> None:
    assert town.observe(Exchange(town.ends.pod(town.a), town.ends.pod(town.b), TCP, 8080)) == []
    assert town.observe(Exchange(town.ends.pod(town.a), town.ends.host(town.node1, TCP, 10250), TCP, 10250)) == []


def test_a_translated_connection_shows_the_node_and_cannot_be_decided(town: Town) -> None:
    sightings = town.observe(Exchange(town.ends.pod(town.b), town.internet(), TCP, 443))
    assert _fields(sightings) == [
        ("eni-p1", "egress", "10.0.16.10", "151.101.1.5", "10.0.16.10", "151.101.1.5"),
        ("eni-nat", "ingress", "10.0.16.10", "10.0.0.9", "10.0.16.10", "151.101.1.5"),
        ("eni-nat", "egress", "10.0.0.9", "151.101.1.5", "10.0.0.9", "151.101.1.5"),
        ("eni-nat", "ingress", "151.101.1.5", "10.0.0.9", "151.101.1.5", "10.0.0.9"),
        ("eni-nat", "egress", "10.0.0.9", "10.0.16.10", "151.101.1.5", "10.0.16.10"),
        ("eni-p1", "ingress", "151.101.1.5", "10.0.16.10", "151.101.1.5", "10.0.16.10"),
    ]
    assert [each.decidable for each in sightings] == [False, False, True, True, False, False]
    assert [each.after_nat for each in sightings] == [False, False, True, True, False, False]
    assert [each.traffic_path for each in sightings] == [1, None, 8, None, 1, None]
    way = _truth(sightings[0])
    assert (way["src_k8s_pod"], way["src_eni"]) == ("web-b", "eni-s1")
    assert _path(way) == ("SRC", "EGRESS", "NAT_GATEWAY", "EXITS_NETWORK", "eni-p1", None, 1024, "main", "10.0.16.10")
    gateway = _truth(sightings[2])
    assert (gateway["src_kind"], gateway["dst_kind"]) == ("ENI", "INTERNET")
    assert _path(gateway) == ("SRC", "EXTERNAL", "INTERNET_GATEWAY", "EXITS_NETWORK", "eni-nat", None, None, None, None)
    back = ("DST", "EXTERNAL", "INTERNET_GATEWAY", "DELIVERED", None, "eni-nat", None, None, None)
    assert _path(_truth(sightings[3])) == back
    home = _truth(sightings[5])
    assert home["dst_k8s_pod"] == "web-b"
    assert _path(home) == ("DST", "INGRESS", "NAT_GATEWAY", "DELIVERED", None, "eni-p1", None, None, None)


def test_with_external_snat_the_pod_shows_itself() -> None:
    town = _town(external_snat=True)
    sightings = town.observe(Exchange(town.ends.pod(town.b), town.internet(), TCP, 443))
    assert _fields(sightings)[0] == ("eni-s1", "egress", "10.0.16.77", "151.101.1.5", "10.0.16.78", "151.101.1.5")
    assert all(each.decidable for each in sightings)
    assert _path(_truth(sightings[0])) == ("SRC", "EGRESS", "NAT_GATEWAY", "EXITS_NETWORK", "eni-s1", None, 1536, "2", None)


def test_an_answer_to_on_prem_keeps_the_pods_address(town: Town) -> None:
    there, back = town.observe(Exchange(town.on_prem(), town.ends.pod(town.b), TCP, 8080))
    assert _path(_truth(there)) == ("SRC", "INGRESS", "ON_PREM", "DELIVERED", None, "eni-s1", None, None, None)
    assert _path(_truth(back)) == ("DST", "EGRESS", "ON_PREM", "EXITS_NETWORK", "eni-s1", None, 1536, "2", None)
    assert there.decidable
    assert back.decidable


def test_an_excluded_range_is_not_translated() -> None:
    town = _town(exclude=("192.168.0.0/16",))
    there, back = town.observe(Exchange(town.ends.pod(town.a), town.on_prem(), TCP, 1433))
    assert _path(_truth(there)) == ("SRC", "EGRESS", "ON_PREM", "EXITS_NETWORK", "eni-p1", None, 32766, "main", None)
    assert _path(_truth(back)) == ("DST", "INGRESS", "ON_PREM", "DELIVERED", None, "eni-p1", None, None, None)
    assert there.decidable
    assert back.decidable


def test_the_nodes_own_call_is_not_told_from_a_pods(town: Town) -> None:
    there, *_ = town.observe(Exchange(town.ends.host(town.node1, TCP, 0), town.internet(), TCP, 443))
    assert _truth(there)["src_kind"] == "NODE"
    assert _path(_truth(there)) == ("SRC", "EGRESS", "NAT_GATEWAY", "EXITS_NETWORK", "eni-p1", None, 32766, "main", None)
    assert not there.decidable


def test_on_a_node_without_pods_it_is(town: Town) -> None:
    town.node1.pods = []
    there, *_ = town.observe(Exchange(town.ends.host(town.node1, TCP, 0), town.internet(), TCP, 443))
    assert there.decidable


def test_a_call_to_the_node_from_outside_is_the_nodes(town: Town) -> None:
    there, back = town.observe(Exchange(town.on_prem(), town.ends.host(town.node1, TCP, 22), TCP, 22))
    assert there.decidable
    assert back.decidable
    assert _path(_truth(back)) == ("DST", "EGRESS", "ON_PREM", "EXITS_NETWORK", "eni-p1", None, 32766, "main", None)


def test_a_declared_port_names_the_host_pod(town: Town) -> None:
    there, *_ = town.observe(Exchange(town.ends.pod(town.a), town.ends.host(town.node2, TCP, 9100), TCP, 9100))
    truth = _truth(there)
    assert (truth["dst_kind"], truth["dst_k8s_pod"], truth["dst_k8s_owner_kind"]) == ("HOST_POD", "node-exporter-x", "DaemonSet")
    assert there.decidable


def test_s3_goes_by_the_gateway_endpoint(town: Town) -> None:
    there, back = town.observe(Exchange(town.ends.pod(town.a), town.ends.outside(Kind.AWS_SERVICE, number("52.216.3.3")), TCP, 443))
    assert _path(_truth(there)) == ("SRC", "EGRESS", "VPC_ENDPOINT", "EXITS_NETWORK", "eni-p1", None, 1024, "main", "10.0.16.10")
    assert _path(_truth(back)) == ("DST", "INGRESS", "VPC_ENDPOINT", "DELIVERED", None, "eni-p1", None, None, None)
    assert there.traffic_path == 7


def test_an_interface_endpoint_is_inside_the_vpc(town: Town) -> None:
    endpoint = town.account.network.endpoints[1].enis[0]
    sightings = town.observe(Exchange(town.ends.pod(town.b), town.ends.eni(endpoint), TCP, 443))
    assert [each.eni.id for each in sightings] == ["eni-s1", "eni-sts", "eni-sts", "eni-s1"]
    assert _path(_truth(sightings[0])) == ("SRC", "EGRESS", "VPC_ENDPOINT", "DELIVERED", "eni-s1", "eni-sts", 1536, "2", None)
    assert _path(_truth(sightings[2])) == ("DST", "INGRESS", "VPC_ENDPOINT", "DELIVERED", "eni-sts", "eni-s1", None, None, None)


def test_a_peer_of_another_region(town: Town) -> None:
    peer = town.ends.outside(Kind.PEER_VPC, number("10.201.4.4"), "vpc-far")
    there, back = town.observe(Exchange(peer, town.ends.pod(town.c), TCP, 8080))
    assert _truth(there)["src_vpc_id"] == "vpc-far"
    assert _path(_truth(there)) == ("SRC", "INGRESS", "INTER_REGION", "DELIVERED", None, "eni-p2", None, None, None)
    assert _path(_truth(back)) == ("DST", "EGRESS", "INTER_REGION", "EXITS_NETWORK", "eni-p2", None, 32766, "main", None)


def test_a_refused_connection_is_seen_twice_and_not_answered(town: Town) -> None:
    sightings = town.observe(Exchange(town.ends.pod(town.a), town.ends.pod(town.c), TCP, 8080, refused=True))
    assert [(each.eni.id, each.is_rejected) for each in sightings] == [("eni-p1", False), ("eni-p2", True)]


def test_nobodys_address_is_seen_only_where_the_packet_leaves(town: Town) -> None:
    subnet = town.node2.primary_eni.subnet
    (sighting,) = town.observe(Exchange(town.ends.pod(town.b), town.ends.unowned(number("10.0.40.40"), subnet), TCP, 8080))
    assert _truth(sighting)["dst_az_id"] == "use1-az6"
    assert _path(_truth(sighting)) == ("SRC", "EGRESS", "UNCLASSIFIED", "NO_SUCH_ADDRESS", "eni-s1", None, 1536, "2", None)


def test_a_warm_address_loops_and_is_not_certain(town: Town) -> None:
    (sighting,) = town.observe(Exchange(town.ends.pod(town.c), town.ends.warm(town.node1, *town.node1.warm[0]), TCP, 8080))
    truth = _truth(sighting)
    assert (truth["dst_kind"], truth["dst_node"], truth["disposition"]) == ("ENI", "node1", "LOOP")
    assert not sighting.decidable


def test_ports_above_both_limits_need_the_handshake(town: Town) -> None:
    plain = Exchange(town.ends.pod(town.a), town.ends.pod(town.c), TCP, 47_001)
    shown = Exchange(town.ends.pod(town.a), town.ends.pod(town.c), TCP, 47_001, needs_syn=True)
    assert not any(each.decidable for each in town.observe(plain))
    assert all(each.decidable for each in town.observe(shown))


def test_ping_has_no_opener_but_one_way(town: Town) -> None:
    there, _, back, _ = town.observe(Exchange(town.ends.pod(town.a), town.ends.pod(town.c), ICMP, 0))
    assert _truth(there)["opener"] == _truth(back)["opener"] == "UNKNOWN"
    assert there.decidable
    assert back.decidable
    ping, pong = town.observe(Exchange(town.on_prem(), town.ends.pod(town.a), ICMP, 0))
    assert (_truth(ping)["opener"], _truth(pong)["opener"]) == ("UNKNOWN", "DST")


def test_without_packet_addresses_an_interface_hides_its_pods(town: Town) -> None:
    pods = town.observe(Exchange(town.ends.pod(town.b), town.ends.pod(town.c), TCP, 8080), packet_addresses=False)
    assert not any(each.decidable for each in pods)
    town.account.external_snat = True
    egress = town.observe(Exchange(town.ends.pod(town.b), town.internet(), TCP, 443), packet_addresses=False)
    at_gateway = [each for each in egress if each.eni.id == "eni-nat"]
    assert all(each.decidable for each in at_gateway)
    inside = _truth(at_gateway[0])
    assert (inside["src_k8s_pod"], inside["dst_eni"], inside["path_class"]) == ("web-b", "eni-nat", "INTRA_AZ")


def test_ways_that_no_log_shows(town: Town) -> None:
    ways, ends = Ways(town.account), town.ends
    pod, metadata = ends.pod(town.b), ends.outside(Kind.LINK_LOCAL, number("169.254.169.254"))
    asked = dict(zip(TRUTH_COLUMNS, truth_row(pod, metadata, Opener.SRC, ways.way(pod, metadata, Opener.SRC)), strict=True))
    assert _path(asked) == ("SRC", "EGRESS", "LINK_LOCAL", "EXITS_NETWORK", "eni-p1", None, 1024, "main", "10.0.16.10")
    itself = dict(zip(TRUTH_COLUMNS, truth_row(pod, pod, Opener.SRC, ways.way(pod, pod, Opener.SRC)), strict=True))
    assert _path(itself) == ("SRC", "INTRA_POD", "INTRA_POD", "DELIVERED", None, None, None, None, None)
    neighbour = ends.pod(town.a)
    near = dict(zip(TRUTH_COLUMNS, truth_row(pod, neighbour, Opener.SRC, ways.way(pod, neighbour, Opener.SRC)), strict=True))
    assert _path(near) == ("SRC", "INTRA_HOST", "SAME_NODE", "DELIVERED", None, None, 512, "main", None)
    own = ends.host(town.node1, TCP, 10250, town.node1.instance.enis[1])
    town.node2.primary_eni.public = number("18.204.9.9")
    public = ends.public(town.node2.primary_eni)
    around = dict(zip(TRUTH_COLUMNS, truth_row(pod, public, Opener.SRC, ways.way(pod, public, Opener.SRC)), strict=True))
    assert _path(around) == ("SRC", "EGRESS", "NAT_GATEWAY", "DELIVERED", "eni-p1", "eni-p2", 1024, "main", "10.0.16.10")
    local = dict(zip(TRUTH_COLUMNS, truth_row(pod, own, Opener.SRC, ways.way(pod, own, Opener.SRC)), strict=True))
    assert _path(local) == ("SRC", "INTRA_HOST", "SAME_NODE", "DELIVERED", None, None, 0, "local", None)
