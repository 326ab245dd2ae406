"""Which route of a VPC table a destination takes, and where each target leads: cases of the VPC guide, answers by hand."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from fastroute.topology import (
    InternetGateway,
    NatGateway,
    Peering,
    PeeringEnd,
    PrefixList,
    RouteTable,
    TargetKind,
    Topology,
    TransitGatewayAttachment,
    Vpc,
    VpcEndpoint,
    VpcRoute,
    VpnGateway,
)
from fastroute.vocab import Disposition, PathClass
from fastroute.vpc import Next, Step, attached_vpcs, best_route, effective_routes, step
from tests.zoo import REGION, Builder, local

BLOCKS = ("10.0.0.0/16", "100.64.0.0/16")
NAT, IGW, TGW = (
    (TargetKind.NAT_GATEWAY, "nat-1"),
    (TargetKind.INTERNET_GATEWAY, "igw-1"),
    (TargetKind.TRANSIT_GATEWAY, "tgw-1"),
)
VGW, PCX, S3 = (TargetKind.VPN_GATEWAY, "vgw-1"), (TargetKind.PEERING, "pcx-1"), (TargetKind.GATEWAY_ENDPOINT, "vpce-s3")


def table(*routes: VpcRoute, blocks: tuple[str, ...] = BLOCKS) -> RouteTable:
    return RouteTable("rtb-1", "vpc-a", REGION, True, (), (), (*local(*blocks), *routes))


def taken(dst: str, *routes: VpcRoute, lists: tuple[PrefixList, ...] = ()) -> str | None:
    """Target of the route that a destination takes."""
    topology = Topology(prefix_lists={each.id: each for each in lists})
    found = best_route(effective_routes(topology, table(*routes)), ip_address(dst))
    return found.route.target if found is not None else None


# --- selection


@pytest.mark.parametrize(
    ("dst", "target"),
    [
        ("8.8.8.8", "nat-1"),
        ("10.0.200.1", "local"),
        ("100.64.255.255", "local"),
        ("172.16.0.1", "tgw-1"),
        ("172.16.5.9", "pcx-1"),
        ("172.16.5.77", "igw-1"),
        ("172.16.6.0", "tgw-1"),
        ("2001:db8::1", None),
    ],
)
def test_the_longest_prefix_wins(dst: str, target: str | None) -> None:
    routes = (
        VpcRoute("0.0.0.0/0", *NAT),
        VpcRoute("172.16.0.0/12", *TGW),
        VpcRoute("172.16.5.0/24", *PCX),
        VpcRoute("172.16.5.77/32", *IGW),
    )
    assert taken(dst, *routes) == target
    assert taken(dst, *reversed(routes)) == target


def test_without_a_default_there_is_no_route() -> None:
    assert taken("8.8.8.8") is None


def test_a_static_route_goes_before_a_propagated_one_of_the_same_prefix() -> None:
    static, propagated = VpcRoute("172.31.0.0/24", *IGW), VpcRoute("172.31.0.0/24", *VGW, is_propagated=True)
    assert taken("172.31.0.5", static, propagated) == taken("172.31.0.5", propagated, static) == "igw-1"


def test_a_longer_propagated_route_goes_before_a_shorter_static_one() -> None:
    assert taken("172.31.0.5", VpcRoute("172.31.0.0/16", *IGW), VpcRoute("172.31.0.0/24", *VGW, is_propagated=True)) == "vgw-1"


def test_a_propagated_route_never_beats_local() -> None:
    """Neither of the same prefix nor a more specific one; a static one that is more specific does (a middlebox)."""
    for prefix in ("10.0.0.0/16", "10.0.7.0/24", "10.0.7.7/32"):
        assert taken("10.0.7.7", VpcRoute(prefix, *VGW, is_propagated=True)) == "local"
    assert taken("10.0.7.7", VpcRoute("10.0.7.0/24", TargetKind.INTERFACE, "eni-fw")) == "eni-fw"


def test_a_propagated_route_that_holds_the_vpc_serves_the_rest_of_its_range() -> None:
    wide = VpcRoute("10.0.0.0/8", *VGW, is_propagated=True)
    assert (taken("10.0.0.1", wide), taken("10.1.0.1", wide)) == ("local", "vgw-1")


def test_a_static_route_goes_before_a_prefix_list_and_that_before_a_propagated_one() -> None:
    corp = PrefixList("pl-corp", "corp", ("172.31.0.0/24", "172.31.8.0/24"))
    by_list, static = VpcRoute("pl-corp", *TGW), VpcRoute("172.31.0.0/24", *PCX)
    propagated = tuple(VpcRoute(prefix, *VGW, is_propagated=True) for prefix in ("172.31.0.0/24", "172.31.8.0/24", "172.31.9.0/24"))
    routes = (*propagated, by_list, static)
    for order in (routes, tuple(reversed(routes))):
        assert taken("172.31.0.1", *order, lists=(corp,)) == "pcx-1"
        assert taken("172.31.8.1", *order, lists=(corp,)) == "tgw-1"
        assert taken("172.31.9.1", *order, lists=(corp,)) == "vgw-1"


def test_a_prefix_list_counts_as_its_entries() -> None:
    s3 = PrefixList("pl-s3", "s3", ("52.216.0.0/15", "3.5.0.0/19"))
    routes = (VpcRoute("0.0.0.0/0", *NAT), VpcRoute("pl-s3", *S3), VpcRoute("52.217.1.0/24", *IGW))
    answers = {dst: taken(dst, *routes, lists=(s3,)) for dst in ("52.216.0.0", "52.217.255.255", "52.218.0.0", "3.5.31.255", "52.217.1.9")}
    assert answers == {
        "52.216.0.0": "vpce-s3",
        "52.217.255.255": "vpce-s3",
        "52.218.0.0": "nat-1",
        "3.5.31.255": "vpce-s3",
        "52.217.1.9": "igw-1",
    }


def test_a_list_without_entries_routes_nothing() -> None:
    routes = (VpcRoute("0.0.0.0/0", *NAT), VpcRoute("pl-s3", *S3))
    for lists in ((), (PrefixList("pl-s3", "s3", None),), (PrefixList("pl-s3", "s3", ()),)):
        assert taken("52.216.0.1", *routes, lists=lists) == "nat-1"


def test_a_blackhole_is_still_the_route() -> None:
    dead = VpcRoute("198.51.100.0/24", TargetKind.NAT_GATEWAY, "nat-gone", is_blackhole=True)
    assert taken("198.51.100.7", VpcRoute("0.0.0.0/0", *NAT), dead) == "nat-gone"


def test_ipv6_routes_are_their_own() -> None:
    routes = (VpcRoute("0.0.0.0/0", *NAT), VpcRoute("::/0", TargetKind.EGRESS_ONLY_GATEWAY, "eigw-1"), VpcRoute("2001:db8::/32", *TGW))
    assert [taken(dst, *routes) for dst in ("2600::1", "2001:db8::1", "8.8.8.8")] == ["eigw-1", "tgw-1", "nat-1"]


# --- where a target leads


def account() -> Topology:
    b = Builder()
    ends = PeeringEnd("vpc-a", REGION, "1", BLOCKS), PeeringEnd("vpc-b", REGION, "1", ("10.1.0.0/16",))
    far = PeeringEnd("vpc-z", "eu-west-1", "2", ("10.9.0.0/16",))
    b.add(
        Vpc("vpc-a", REGION, "1", BLOCKS),
        Vpc("vpc-b", REGION, "1", ("10.1.0.0/16",)),
        InternetGateway("igw-1", ("vpc-a",)),
        InternetGateway("igw-b", ("vpc-b",)),
        NatGateway("nat-1", "vpc-a", "subnet-pub", "available", True, ()),
        NatGateway("nat-failed", "vpc-a", "subnet-pub", "failed", True, ()),
        NatGateway("nat-regional", "vpc-a", "", "available", True, ()),
        Peering("pcx-1", "active", *ends),
        Peering("pcx-back", "active", *reversed(ends)),
        Peering("pcx-expired", "expired", *ends),
        Peering("pcx-far", "active", ends[0], far),
        TransitGatewayAttachment("tgw-attach-a", "tgw-1", "vpc", "vpc-a", "available"),
        TransitGatewayAttachment("tgw-attach-b", "tgw-1", "vpc", "vpc-b", "available"),
        TransitGatewayAttachment("tgw-attach-vpn", "tgw-1", "vpn", "vpn-1", "available"),
        TransitGatewayAttachment("tgw-attach-far", "tgw-1", "vpc", "vpc-far", "available"),
        TransitGatewayAttachment("tgw-attach-only-b", "tgw-b", "vpc", "vpc-b", "available"),
        TransitGatewayAttachment("tgw-attach-going", "tgw-going", "vpc", "vpc-a", "deleting"),
        VpcEndpoint("vpce-s3", "vpc-a", "Gateway", "s3", (), (), ()),
        VpcEndpoint("vpce-fw", "vpc-a", "GatewayLoadBalancer", "fw", (), (), ()),
    )
    b.t.vpn_gateways["vgw-1"] = VpnGateway("vgw-1", ("vpc-a",))
    b.t.vpn_gateways["vgw-b"] = VpnGateway("vgw-b", ("vpc-b",))
    return b.t


def led(kind: TargetKind, target: str, **more: bool) -> Step:
    return step(account(), table(), VpcRoute("192.0.2.0/24", kind, target, **more))


@pytest.mark.parametrize(
    ("kind", "target", "follows", "path_class", "where"),
    [
        (TargetKind.LOCAL, "local", Next.LOCAL, None, ""),
        (TargetKind.INTERNET_GATEWAY, "igw-1", Next.INTERNET, PathClass.INTERNET_GATEWAY, ""),
        (TargetKind.INTERNET_GATEWAY, "igw-not-collected", Next.INTERNET, PathClass.INTERNET_GATEWAY, ""),
        (TargetKind.NAT_GATEWAY, "nat-1", Next.NAT, PathClass.NAT_GATEWAY, "subnet-pub"),
        (TargetKind.TRANSIT_GATEWAY, "tgw-1", Next.TRANSIT, PathClass.ON_PREM, ""),
        (TargetKind.TRANSIT_GATEWAY, "tgw-unattached", Next.TRANSIT, PathClass.ON_PREM, ""),
        (TargetKind.PEERING, "pcx-1", Next.OTHER_VPC, PathClass.INTER_VPC, "vpc-b"),
        (TargetKind.PEERING, "pcx-back", Next.OTHER_VPC, PathClass.INTER_VPC, "vpc-b"),
    ],
)
def test_on_to(kind: TargetKind, target: str, follows: Next, path_class: PathClass | None, where: str) -> None:
    found = led(kind, target)
    assert (found.next, found.path_class, found.vpc_id or found.subnet_id) == (follows, path_class, where)


@pytest.mark.parametrize(
    ("kind", "target", "path_class"),
    [
        (TargetKind.EGRESS_ONLY_GATEWAY, "eigw-1", PathClass.INTERNET_GATEWAY),
        (TargetKind.NAT_GATEWAY, "nat-regional", PathClass.NAT_GATEWAY),
        (TargetKind.VPN_GATEWAY, "vgw-1", PathClass.ON_PREM),
        (TargetKind.VPN_GATEWAY, "vgw-not-collected", PathClass.ON_PREM),
        (TargetKind.PEERING, "pcx-far", PathClass.INTER_REGION),
        (TargetKind.GATEWAY_ENDPOINT, "vpce-s3", PathClass.VPC_ENDPOINT),
    ],
)
def test_out(kind: TargetKind, target: str, path_class: PathClass) -> None:
    found = led(kind, target)
    assert (found.next, found.disposition, found.path_class) == (Next.OUT, Disposition.EXITS_NETWORK, path_class)


@pytest.mark.parametrize(
    ("kind", "target", "disposition", "reason"),
    [
        (TargetKind.INTERNET_GATEWAY, "igw-b", Disposition.BLACKHOLE, "igw-b is not attached to vpc-a"),
        (TargetKind.NAT_GATEWAY, "nat-failed", Disposition.BLACKHOLE, "nat-failed is failed"),
        (TargetKind.NAT_GATEWAY, "nat-gone", Disposition.UNDECIDED, "describe-nat-gateways is missing"),
        (TargetKind.TRANSIT_GATEWAY, "tgw-b", Disposition.NO_ATTACHMENT, "vpc-a has no available attachment to tgw-b"),
        (TargetKind.TRANSIT_GATEWAY, "tgw-going", Disposition.NO_ATTACHMENT, "no available attachment"),
        (TargetKind.VPN_GATEWAY, "vgw-b", Disposition.NO_ATTACHMENT, "vgw-b is not attached to vpc-a"),
        (TargetKind.PEERING, "pcx-expired", Disposition.BLACKHOLE, "pcx-expired is expired"),
        (TargetKind.PEERING, "pcx-gone", Disposition.UNDECIDED, "describe-vpc-peering-connections is missing"),
        (TargetKind.GATEWAY_ENDPOINT, "vpce-fw", Disposition.UNDECIDED, "appliance"),
        (TargetKind.INTERFACE, "eni-fw", Disposition.UNDECIDED, "network interface eni-fw"),
        (TargetKind.INSTANCE, "i-fw", Disposition.UNDECIDED, "instance i-fw"),
        (TargetKind.OTHER, "lgw-1", Disposition.UNDECIDED, "lgw-1"),
    ],
)
def test_nowhere(kind: TargetKind, target: str, disposition: Disposition, reason: str) -> None:
    found = led(kind, target)
    assert (found.next, found.disposition) == (Next.END, disposition)
    assert reason in found.reason


@pytest.mark.parametrize(("kind", "target"), [NAT, IGW, TGW, PCX, S3, (TargetKind.INTERFACE, "eni-gone")])
def test_a_blackhole_leads_nowhere_whatever_its_target(kind: TargetKind, target: str) -> None:
    found = led(kind, target, is_blackhole=True)
    assert (found.next, found.disposition) == (Next.END, Disposition.BLACKHOLE)
    assert target in found.reason


def test_attached_vpcs_are_those_of_the_snapshot() -> None:
    topology = account()
    assert [attached_vpcs(topology, each) for each in ("tgw-1", "tgw-b", "tgw-going", "tgw-none")] == [
        ("vpc-a", "vpc-b"),
        ("vpc-b",),
        (),
        (),
    ]
