"""Named cases of both walks, small enough to answer by hand: gateways behind gateways, and addresses that several could own."""

from __future__ import annotations

from typing import Any

import pytest

from fastroute import datapath
from fastroute.datapath import Explainer, Flow
from fastroute.topology import (
    Eni,
    EniAddress,
    EniRole,
    InternetGateway,
    NatGateway,
    Node,
    Peering,
    PeeringEnd,
    Pod,
    RouteTable,
    Subnet,
    TargetKind,
    Topology,
    TransitGatewayAttachment,
    Vpc,
    VpcRoute,
)
from fastroute.vocab import Attribution, Disposition, Kind, PathClass
from tests.walk_compare import answer, compare, questions_of
from tests.zoo import REGION, WEB, Builder, local, subnet

BLOCK, BLOCK6 = "10.0.0.0/16", "2600:1f13:0:a00::/56"
DEFAULT = "0.0.0.0/0"


def account(*routes: VpcRoute, behind: tuple[VpcRoute, ...] = (), blocks: tuple[str, ...] = (BLOCK,)) -> Builder:
    """One VPC: a node with a pod on its only interface in subnet-a, routed by `routes`; subnet-nat, routed by `behind`."""
    b = Builder()
    b.add(
        Vpc("vpc-a", REGION, "1", blocks, (BLOCK6,)),
        subnet("subnet-a", "10.0.0.0/24", 0),
        subnet("subnet-nat", "10.0.1.0/24", 0),
        RouteTable("rtb-a", "vpc-a", REGION, True, (), (), (*local(*blocks), *routes)),
        RouteTable("rtb-nat", "vpc-a", REGION, False, ("subnet-nat",), (), (*local(*blocks), *behind)),
        InternetGateway("igw-a", ("vpc-a",)),
        NatGateway("nat-public", "vpc-a", "subnet-nat", "available", True, ()),
        NatGateway("nat-private", "vpc-a", "subnet-nat", "available", False, ()),
    )
    b.node("node-a", "i-a", "use1-az1")
    b.eni("eni-a", "subnet-a", ("10.0.0.10", "10.0.0.20", "10.0.0.30"), instance="i-a", device=0)
    b.pod("web", "node-a", "10.0.0.20")
    return b


def asked(topology: Topology, src: str, dst: str, vpc_id: str = "vpc-a", **more: Any) -> dict[str, Any]:
    """The answer of both walks, in which they agree."""
    flow = Flow(src, dst, **more)
    compare(topology, [flow], vpc_id)
    return answer(datapath.compile_topology(topology), [flow], vpc_id)[0]


def way(topology: Topology, src: str, dst: str, **more: Any) -> tuple[Disposition, PathClass]:
    found = asked(topology, src, dst, **more)
    return found["disposition"], found["path_class"]


def who(topology: Topology, addr: str, vpc_id: str = "vpc-a", **more: Any) -> dict[str, Any]:
    found = asked(topology, "8.8.8.8", addr, vpc_id, **more)
    return {key.removeprefix("dst_"): value for key, value in found.items() if key.startswith("dst_")}


# --- gateways behind gateways


@pytest.mark.parametrize(
    ("nat", "behind", "disposition", "path_class"),
    [
        ("nat-public", (VpcRoute(DEFAULT, TargetKind.INTERNET_GATEWAY, "igw-a"),), Disposition.EXITS_NETWORK, PathClass.NAT_GATEWAY),
        ("nat-private", (VpcRoute(DEFAULT, TargetKind.INTERNET_GATEWAY, "igw-a"),), Disposition.NO_PUBLIC_ADDRESS, PathClass.NAT_GATEWAY),
        ("nat-private", (VpcRoute(DEFAULT, TargetKind.TRANSIT_GATEWAY, "tgw-1"),), Disposition.EXITS_NETWORK, PathClass.NAT_GATEWAY),
        ("nat-public", (VpcRoute(DEFAULT, TargetKind.NAT_GATEWAY, "nat-private"),), Disposition.LOOP, PathClass.NAT_GATEWAY),
        ("nat-public", (VpcRoute(DEFAULT, TargetKind.NAT_GATEWAY, "nat-gone"),), Disposition.UNDECIDED, PathClass.NAT_GATEWAY),
        ("nat-public", (VpcRoute(DEFAULT, TargetKind.INTERNET_GATEWAY, "igw-a", True),), Disposition.BLACKHOLE, PathClass.NAT_GATEWAY),
        ("nat-public", (), Disposition.NO_ROUTE, PathClass.NAT_GATEWAY),
        ("nat-gone", (), Disposition.UNDECIDED, PathClass.NAT_GATEWAY),
    ],
)
def test_behind_a_nat_gateway(nat: str, behind: tuple[VpcRoute, ...], disposition: Disposition, path_class: PathClass) -> None:
    topology = account(VpcRoute(DEFAULT, TargetKind.NAT_GATEWAY, nat), behind=behind).t
    assert way(topology, "10.0.0.20", "8.8.8.8") == (disposition, path_class)


def test_a_nat_gateway_lets_answers_in_and_nothing_else() -> None:
    topology = account(
        VpcRoute("172.16.0.0/12", TargetKind.NAT_GATEWAY, "nat-private"),
        VpcRoute("172.31.0.0/16", TargetKind.TRANSIT_GATEWAY, "tgw-1"),
        behind=(VpcRoute("172.16.0.0/12", TargetKind.TRANSIT_GATEWAY, "tgw-1"),),
    ).t
    answers = {"is_recorded": True, "src_port": 443, "dst_port": 40000}
    assert way(topology, "172.31.0.9", "10.0.0.20") == (Disposition.DELIVERED, PathClass.ON_PREM)
    assert way(topology, "172.20.0.9", "10.0.0.20", **answers) == (Disposition.DELIVERED, PathClass.NAT_GATEWAY)
    assert way(topology, "172.20.0.9", "10.0.0.20") == (Disposition.NO_ROUTE, PathClass.UNCLASSIFIED)


def test_a_transit_gateway_leads_into_the_attached_vpc_that_holds_the_destination() -> None:
    b = account(VpcRoute(DEFAULT, TargetKind.TRANSIT_GATEWAY, "tgw-1"), VpcRoute("10.0.0.0/8", TargetKind.TRANSIT_GATEWAY, "tgw-1"))
    b.add(
        Vpc("vpc-b", REGION, "1", ("10.1.0.0/16",)),
        subnet("subnet-b", "10.1.0.0/24", 1, "vpc-b"),
        TransitGatewayAttachment("tgw-attach-a", "tgw-1", "vpc", "vpc-a", "available"),
        TransitGatewayAttachment("tgw-attach-b", "tgw-1", "vpc", "vpc-b", "available"),
    )
    b.eni("eni-b", "subnet-b", ("10.1.0.9",))
    assert way(b.t, "10.0.0.10", "10.1.0.9") == (Disposition.DELIVERED, PathClass.INTER_VPC)
    assert way(b.t, "10.0.0.10", "10.1.0.10") == (Disposition.NO_SUCH_ADDRESS, PathClass.INTER_VPC)
    assert way(b.t, "10.0.0.10", "10.2.0.9") == (Disposition.EXITS_NETWORK, PathClass.ON_PREM)
    b.add(TransitGatewayAttachment("tgw-attach-a", "tgw-1", "vpc", "vpc-a", "deleting"))
    assert way(b.t, "10.0.0.10", "10.1.0.9") == (Disposition.NO_ATTACHMENT, PathClass.UNCLASSIFIED)


def test_a_peering_that_is_not_known_lets_nothing_in() -> None:
    """The return route leads to it, and nobody knows where it goes."""
    topology = account(
        VpcRoute("172.16.0.0/12", TargetKind.TRANSIT_GATEWAY, "tgw-1"), VpcRoute("172.16.5.0/24", TargetKind.PEERING, "pcx-gone")
    ).t
    assert way(topology, "172.16.5.9", "10.0.0.20") == (Disposition.UNDECIDED, PathClass.UNCLASSIFIED)
    assert way(topology, "172.16.6.9", "10.0.0.20") == (Disposition.DELIVERED, PathClass.ON_PREM)


def test_the_source_check_holds_the_primary_interface_to_its_own_addresses() -> None:
    """Pod of a secondary interface, destination in an external service range inside the VPC: rule 1535 sends it out by the primary one."""
    b = account()
    b.eni("eni-a1", "subnet-a", ("10.0.0.11", "10.0.0.40"), instance="i-a", device=1)
    b.pod("db", "node-a", "10.0.0.40")
    b.eni("eni-x", "subnet-nat", ("10.0.1.9",))
    b.t.cni_env["AWS_EXTERNAL_SERVICE_CIDRS"] = "10.0.1.0/24"
    found = asked(b.t, "10.0.0.40", "10.0.1.9")
    assert (found["rule_priority"], found["table"], found["out_eni"]) == (1535, "main", "eni-a")
    assert found["disposition"] is Disposition.SOURCE_CHECK


def test_a_warm_address_in_an_external_service_range_goes_back_by_its_rule() -> None:
    topology = account().t
    topology.cni_env["AWS_EXTERNAL_SERVICE_CIDRS"] = "10.0.0.0/24"
    found = asked(topology, "10.0.1.0", "10.0.0.30") | asked(topology, "10.0.0.10", "10.0.0.30")
    assert found["disposition"] is Disposition.LOOP
    assert [hop.rule_priority for hop in found["hops"]] == [1535, None, 1535]


# --- who owns an address


def test_a_wide_route_claims_private_ranges_and_the_internet_but_not_what_is_never_routed() -> None:
    topology = account(VpcRoute("0.0.0.0/1", TargetKind.VPN_GATEWAY, "vgw-1"), VpcRoute("128.0.0.0/1", TargetKind.VPN_GATEWAY, "vgw-1")).t
    kinds = {
        addr: who(topology, addr)["kind"] for addr in ("10.200.0.1", "192.168.1.1", "9.9.9.9", "169.254.169.254", "224.0.0.5", "0.0.0.9")
    }
    assert kinds == {
        "10.200.0.1": Kind.ON_PREM,
        "192.168.1.1": Kind.ON_PREM,
        "9.9.9.9": Kind.ON_PREM,
        "169.254.169.254": Kind.LINK_LOCAL,
        "224.0.0.5": Kind.UNKNOWN,
        "0.0.0.9": Kind.UNKNOWN,
    }
    assert asked(topology, "127.0.0.1", "10.0.0.20")["path_class"] is PathClass.INTRA_POD


def test_the_vpcs_own_ranges_are_no_neighbours() -> None:
    """An attached VPC has a block inside this one's: the route to it loses to `local`, and so does its claim."""
    b = account(VpcRoute("10.0.0.0/8", TargetKind.TRANSIT_GATEWAY, "tgw-1"))
    b.add(
        Vpc("vpc-b", REGION, "1", ("10.0.128.0/24", "10.3.0.0/24")),
        TransitGatewayAttachment("tgw-attach-a", "tgw-1", "vpc", "vpc-a", "available"),
        TransitGatewayAttachment("tgw-attach-b", "tgw-1", "vpc", "vpc-b", "available"),
    )
    inside, outside = who(b.t, "10.0.128.7"), who(b.t, "10.3.0.7")
    assert (inside["kind"], inside["vpc"]) == (Kind.SUBNET, "vpc-a")
    assert (outside["kind"], outside["vpc"]) == (Kind.SUBNET, "vpc-b")


def test_a_public_address_inside_the_vpcs_own_block_is_the_vpcs() -> None:
    b = account(blocks=(BLOCK, "203.0.113.0/24"))
    b.eni("eni-x", "subnet-nat", ("10.0.1.9",), public="203.0.113.9")
    assert who(b.t, "203.0.113.9")["kind"] is Kind.SUBNET


def test_of_two_pods_with_one_address_that_whose_node_holds_it_counts() -> None:
    """A list of pods that is older than the list of interfaces."""
    b = account()
    stale = Pod("default", "stale", "node-b", ("10.0.0.20",), False, "Running", None, None, WEB)
    b.t.pods.clear()
    b.node("node-b", "i-b", "use1-az1")
    b.eni("eni-b", "subnet-a", ("10.0.0.11",), instance="i-b", device=0)
    b.add(stale)
    b.pod("web", "node-a", "10.0.0.20")
    found = who(b.t, "10.0.0.20")
    assert (found["pod"], found["node"], found["attribution"]) == ("web", "node-a", Attribution.EXACT)


def test_a_branch_pod_is_held_by_its_branch_interface_alone() -> None:
    """Its old address has gone to an ordinary pod since."""
    b = account()
    b.t.pods.clear()
    b.pod("branch", "node-a", "10.0.0.20", branch_eni="eni-branch")
    b.pod("web", "node-a", "10.0.0.20")
    assert (who(b.t, "10.0.0.20")["pod"], way(b.t, "10.0.0.10", "10.0.0.20")[0]) == ("web", Disposition.DELIVERED)
    b.eni("eni-branch", "subnet-a", ("10.0.0.70",), role=EniRole.BRANCH)
    b.pod("branch", "node-a", "10.0.0.70", branch_eni="eni-branch")
    found = who(b.t, "10.0.0.70")
    assert (found["pod"], found["eni"], found["attribution"]) == ("branch", "eni-branch", Attribution.EXACT)
    assert way(b.t, "10.0.0.10", "10.0.0.70")[0] is Disposition.UNDECIDED


def test_a_pod_whose_node_is_known_is_in_its_nodes_vpc() -> None:
    """Two VPCs share a block; the node's state is not derived (Auto Mode), its interface says where the pod is."""
    b = account()
    b.add(Vpc("vpc-b", REGION, "1", (BLOCK,)), subnet("subnet-b", "10.0.0.0/24", 0, "vpc-b"))
    b.add(Node("node-b", "i-b", ("10.0.0.50",), labels={"eks.amazonaws.com/compute-type": "auto"}))
    b.eni("eni-b", "subnet-b", ("10.0.0.50", "10.0.0.60"), instance="i-b", device=0)
    b.pod("other", "node-b", "10.0.0.60")
    assert who(b.t, "10.0.0.60", "vpc-b")["pod"] == "other"
    assert who(b.t, "10.0.0.60", "vpc-a")["kind"] is Kind.SUBNET


def test_ipv6_addresses_belong_to_their_pods_and_nodes() -> None:
    """The way of IPv6 is not modelled; whose an address is, is known."""
    b = account()
    b.add(Subnet("subnet-6", "vpc-a", REGION, "us-east-1a", "use1-az1", "", ("2600:1f13:0:a06::/64",)))
    node_eni = b.t.enis["eni-a"]
    fields = {name: getattr(node_eni, name) for name in node_eni.__slots__}
    six = {"addresses6": ("2600:1f13:0:a00::10",), "prefixes6": ("2600:1f13:0:a00:1::/80",)}
    b.add(Eni(**{**fields, **six}))
    b.add(
        Eni(
            **{**fields, "id": "eni-6", "subnet_id": "subnet-6", "addresses": (), "addresses6": ("2600:1f13:0:a06::9",), "device_number": 1}
        )
    )
    b.pod("web", "node-a", "10.0.0.20")
    b.add(Pod("default", "six", "node-a", ("2600:1f13:0:a00:1::5",), False, "Running", None, None, WEB))
    v6 = Flow("2600:1f13::1", "2600:1f13:0:a00:1::5")
    compare(b.t, [v6, Flow(v6.dst, v6.src), Flow(v6.src, "2600:1f13:0:a06::9"), Flow(v6.src, "2600:1f13:0:a00:1::6")], "vpc-a")
    explainer = Explainer(b.t)
    ends = [explainer.explain(Flow(v6.src, dst), "vpc-a").dst for dst in (v6.dst, "2600:1f13:0:a06::9", "2600:1f13:0:a00:1::6")]
    assert [(end.kind, end.eni.id if end.eni else None) for end in ends] == [
        (Kind.POD, "eni-a"),
        (Kind.NODE, "eni-6"),
        (Kind.ENI, "eni-a"),
    ]


def test_no_packet_has_two_families() -> None:
    """A question may: IPv4 routes would not answer it, and IPv6 routes would answer for an address that cannot ask."""
    topology = account(VpcRoute("::/0", TargetKind.INTERNET_GATEWAY, "igw-a")).t
    for src, dst in (("10.0.0.20", "2001:4860:4860::8888"), ("10.0.0.10", "fe80::1"), ("2001:4860:4860::8888", "10.0.0.10")):
        found = asked(topology, src, dst)
        assert (found["disposition"], found["path_class"], found["out_eni"]) == (Disposition.UNDECIDED, PathClass.UNCLASSIFIED, None)
        assert "IPv4" in found["reason"]


def test_a_global_ipv6_address_is_public_by_itself() -> None:
    b = account(VpcRoute("::/0", TargetKind.INTERNET_GATEWAY, "igw-a"))
    bare = Eni("eni-x", "vpc-a", "subnet-a", REGION, "", EniRole.OTHER, "interface", "", (EniAddress("10.0.0.99", True),))
    b.add(Eni(**{**{name: getattr(bare, name) for name in bare.__slots__}, "addresses6": ("2600:1f13:0:a00::99",)}))
    assert way(b.t, "2600:1f13:0:a00::99", "2001:4860:4860::8888") == (Disposition.EXITS_NETWORK, PathClass.INTERNET_GATEWAY)
    assert way(b.t, "2001:4860:4860::8888", "2600:1f13:0:a00::99") == (Disposition.DELIVERED, PathClass.INTERNET_GATEWAY)
    assert way(b.t, "10.0.0.99", "8.8.8.8") == (Disposition.NO_ROUTE, PathClass.UNCLASSIFIED)


def test_the_public_address_of_a_node_is_the_nodes_whatever_pods_share_its_ports() -> None:
    b = account(VpcRoute(DEFAULT, TargetKind.INTERNET_GATEWAY, "igw-a"))
    b.node("node-b", "i-b", "use1-az1")
    b.eni("eni-b", "subnet-a", ("10.0.0.11",), instance="i-b", device=0, public="203.0.113.11")
    b.pod("proxy", "node-b", "10.0.0.11", host=True)
    assert who(b.t, "203.0.113.11", dst_port=8080)["kind"] is Kind.NODE
    assert who(b.t, "10.0.0.11", dst_port=8080)["kind"] is Kind.HOST_POD


def test_an_interface_in_another_vpc_is_not_the_plugins() -> None:
    b = account()
    b.add(Vpc("vpc-b", REGION, "1", ("10.1.0.0/16",)), subnet("subnet-b", "10.1.0.0/24", 0, "vpc-b"))
    b.add(Peering("pcx-1", "active", PeeringEnd("vpc-a", REGION, "1", (BLOCK,)), PeeringEnd("vpc-b", REGION, "1", ("10.1.0.0/16",))))
    b.eni("eni-far", "subnet-b", ("10.1.0.9",), instance="i-a", device=1)
    found = who(b.t, "10.1.0.9", "vpc-b")
    assert (found["kind"], found["node"], found["vpc"]) == (Kind.NODE, "node-a", "vpc-b")
    assert way(b.t, "10.1.0.9", "8.8.8.8", vpc_id="vpc-b") == (Disposition.UNDECIDED, PathClass.UNCLASSIFIED)


def test_a_shared_primary_address_is_ambiguous_without_packet_addresses() -> None:
    """Also where the node's way is not known: the log writes the primary address for all of an interface's addresses."""
    b = account()
    b.add(Node("node-b", "i-b", (), labels={"eks.amazonaws.com/compute-type": "auto"}))
    b.eni("eni-b", "subnet-a", ("10.0.0.50", "10.0.0.60"), instance="i-b", device=0)
    b.eni("eni-alone", "subnet-nat", ("10.0.1.9",))
    compiled = datapath.compile_topology(b.t)
    flows = [Flow("10.0.1.9", addr) for addr in ("10.0.0.10", "10.0.0.50", "10.0.0.60")]
    asked_rows = questions_of(compiled, flows, "vpc-a")
    seen = {
        known: [Attribution(a) for a in datapath.walk(compiled, asked_rows, recorded=True, packet_addresses=known).dst_attribution]
        for known in (True, False)
    }
    assert seen[True] == [Attribution.EXACT, Attribution.EXACT, Attribution.INFERRED]
    assert seen[False] == [Attribution.AMBIGUOUS, Attribution.AMBIGUOUS, Attribution.INFERRED]


def test_branch_interfaces_in_strict_mode_move_the_rule_of_table_local() -> None:
    topology = account().t
    assert asked(topology, "10.0.0.20", "10.0.0.10")["rule_priority"] == 0
    topology.cni_env["ENABLE_POD_ENI"] = "true"
    assert asked(topology, "10.0.0.20", "10.0.0.10")["rule_priority"] == 20


def test_a_trunk_sends_its_own_traffic_by_the_primary_interface() -> None:
    b = account()
    b.eni("eni-trunk", "subnet-a", ("10.0.0.11", "10.0.0.40"), instance="i-a", device=1, role=EniRole.TRUNK)
    b.eni("eni-x", "subnet-nat", ("10.0.1.9",))
    b.pod("db", "node-a", "10.0.0.40")
    own, pod = asked(b.t, "10.0.0.11", "10.0.1.9"), asked(b.t, "10.0.0.40", "10.0.1.9")
    assert (own["rule_priority"], own["out_eni"], own["disposition"]) == (32766, "eni-a", Disposition.SOURCE_CHECK)
    assert (pod["rule_priority"], pod["table"], pod["out_eni"], pod["disposition"]) == (1536, "2", "eni-trunk", Disposition.DELIVERED)
