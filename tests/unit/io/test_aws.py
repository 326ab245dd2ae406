"""AWS output to nouns. Expected values are those written into the fixture, or AWS's documented meaning of a field."""

from pathlib import Path
from typing import Any

import pytest

from fastroute.errors import InputError
from fastroute.io.parse_report import Use
from fastroute.io.snapshot import SnapshotRead, read_snapshot
from fastroute.topology import EniAddress, EniRole, PrefixList, TargetKind, VpcRoute
from tests.unit.io.snapshots import EKS, SHARED_AWS, interface, subnet, vpc, write_snapshot

NODE_1, NODE_2 = "i-0a1b2c3d4e5f60001", "i-0a1b2c3d4e5f60002"


@pytest.fixture(scope="module")
def eks() -> SnapshotRead:
    return read_snapshot(EKS)


def read_aws(folder: Path, **files: Any) -> SnapshotRead:
    """Read one file for each keyword: the key is AWS's top-level key."""
    return read_snapshot(write_snapshot(folder, {f"{key}.json": {key: value} for key, value in files.items()}))


def test_vpc_has_the_ranges_that_are_associated(eks: SnapshotRead) -> None:
    (found,) = eks.topology.vpcs.values()
    assert (found.cidrs, found.cidrs6) == (("10.0.0.0/16", "100.64.0.0/16"), ("2600:1f13:aa:100::/56",))
    assert (found.name, found.region, found.account_id) == ("prod", "us-east-1", "111122223333")


def test_subnet(eks: SnapshotRead) -> None:
    found = eks.topology.subnets["subnet-0a1b2c3d4e5f6000a"]
    assert (found.cidr, found.cidrs6) == ("10.0.0.0/19", ("2600:1f13:aa:101::/64",))
    assert (found.az, found.az_id, found.region) == ("us-east-1a", "use1-az1", "us-east-1")


def test_route_table_associations(eks: SnapshotRead) -> None:
    main, explicit = (eks.topology.route_tables[f"rtb-0a1b2c3d4e5f6000{i}"] for i in (1, 2))
    assert main.is_main
    assert not main.subnet_ids
    assert not explicit.is_main
    assert explicit.subnet_ids == ("subnet-0a1b2c3d4e5f6000a",)  # the other association is disassociated
    assert explicit.gateway_ids == ("vgw-0a1b2c3d4e5f60001",)


def test_every_target_of_a_route(eks: SnapshotRead) -> None:
    routes = {route.destination: route for route in eks.topology.route_tables["rtb-0a1b2c3d4e5f60002"].routes}
    targets = {destination: (route.target_kind, route.target) for destination, route in routes.items()}
    assert targets == {
        "10.0.0.0/16": (TargetKind.LOCAL, "local"),
        "0.0.0.0/0": (TargetKind.NAT_GATEWAY, "nat-0a1b2c3d4e5f60001"),
        "10.50.0.0/16": (TargetKind.TRANSIT_GATEWAY, "tgw-0a1b2c3d4e5f60001"),
        "10.60.0.0/16": (TargetKind.PEERING, "pcx-0a1b2c3d4e5f60001"),
        "172.16.0.0/12": (TargetKind.VPN_GATEWAY, "vgw-0a1b2c3d4e5f60001"),
        "pl-63a5400a": (TargetKind.GATEWAY_ENDPOINT, "vpce-0a1b2c3d4e5f60001"),
        "10.70.0.0/16": (TargetKind.OTHER, "vpce-0a1b2c3d4e5f60009"),  # a Gateway Load Balancer endpoint
        "::/0": (TargetKind.EGRESS_ONLY_GATEWAY, "eigw-0a1b2c3d4e5f60001"),
        "10.80.0.0/16": (TargetKind.INTERFACE, "eni-0a1b2c3d4e5f60001"),
        "10.81.0.0/16": (TargetKind.NAT_GATEWAY, "nat-0a1b2c3d4e5f60dead"),
        "10.82.0.0/16": (TargetKind.OTHER, "cagw-0a1b2c3d4e5f60001"),
        "10.83.0.0/16": (TargetKind.OTHER, "lgw-0a1b2c3d4e5f60001"),
        "10.84.0.0/16": (TargetKind.OTHER, "arn:aws:networkmanager::111122223333:core-network/core-network-0a1b2c3d"),
        "10.85.0.0/16": (TargetKind.OTHER, ""),  # a target that no reader knows
    }
    assert [destination for destination, route in routes.items() if route.is_blackhole] == ["10.81.0.0/16"]
    assert [destination for destination, route in routes.items() if route.is_propagated] == ["172.16.0.0/12"]


def test_a_field_that_could_matter_is_counted_with_its_path(eks: SnapshotRead) -> None:
    fields = {each.path: (each.count, each.first_file) for each in eks.report.fields}
    assert fields["RouteTables[].Routes[].OdbNetworkArn"] == (1, "aws/us-east-1/route-tables.json")
    assert fields["TransitGatewayVpcAttachments[].Options.ApplianceModeSupport"][0] == 1


def test_the_role_of_every_interface(eks: SnapshotRead) -> None:
    roles = {eni.id[-4:]: eni.role for eni in eks.topology.enis.values()}
    assert roles == {
        "0001": EniRole.INSTANCE,
        "0002": EniRole.INSTANCE,
        "0003": EniRole.INSTANCE,
        "0004": EniRole.TRUNK,
        "0005": EniRole.BRANCH,
        "0006": EniRole.NAT_GATEWAY,
        "0007": EniRole.LOAD_BALANCER,
        "0008": EniRole.LOAD_BALANCER,
        "0009": EniRole.VPC_ENDPOINT,
        "000a": EniRole.CONTROL_PLANE,
        "000b": EniRole.TRANSIT_GATEWAY,
        "000c": EniRole.OTHER,
    }


def test_interface_of_a_node(eks: SnapshotRead) -> None:
    primary, secondary, third = (eks.topology.enis[f"eni-0a1b2c3d4e5f6000{i}"] for i in (1, 2, 3))
    assert primary.addresses == (EniAddress("10.0.0.10", True, "198.51.100.10"), EniAddress("10.0.5.5"), EniAddress("10.0.5.6"))
    assert primary.is_primary
    assert primary.instance_id == NODE_1
    assert (secondary.device_number, secondary.is_primary, secondary.prefixes) == (1, False, ("10.0.6.0/28",))
    assert secondary.tags == {"node.k8s.amazonaws.com/instance_id": NODE_1}
    assert (third.addresses6, third.prefixes6) == (("2600:1f13:aa:101::5",), ("2600:1f13:aa:101:5::/80",))


def test_interface_of_nobodys_instance(eks: SnapshotRead) -> None:
    nat = eks.topology.enis["eni-0a1b2c3d4e5f60006"]
    assert (nat.instance_id, nat.device_number, nat.source_dest_check) == (None, -1, False)
    assert nat.addresses == (EniAddress("10.0.0.20", True, "198.51.100.20"),)


def test_gateways(eks: SnapshotRead) -> None:
    topology = eks.topology
    vpc_id = "vpc-0a1b2c3d4e5f60001"
    assert {gateway.id[:4]: (gateway.vpc_ids, gateway.is_egress_only) for gateway in topology.internet_gateways.values()} == {
        "igw-": ((vpc_id,), False),
        "eigw": ((vpc_id,), True),
    }
    (nat,) = topology.nat_gateways.values()
    assert (nat.eni_ids, nat.addrs, nat.public_addrs) == (("eni-0a1b2c3d4e5f60006",), ("10.0.0.20",), ("198.51.100.20",))
    assert nat.is_public
    assert nat.state == "available"
    assert topology.vpn_gateways["vgw-0a1b2c3d4e5f60001"].vpc_ids == (vpc_id,)
    assert topology.transit_gateways["tgw-0a1b2c3d4e5f60001"].region == "us-east-1"
    assert {each.id[-1]: (each.resource_type, each.subnet_ids) for each in topology.attachments.values()} == {
        "1": ("vpc", ("subnet-0a1b2c3d4e5f6000a",)),
        "2": ("vpn", ()),
    }


def test_peering(eks: SnapshotRead) -> None:
    (peering,) = eks.topology.peerings.values()
    assert peering.status == "active"
    other = peering.other("vpc-0a1b2c3d4e5f60001")
    assert (other.cidrs, other.cidrs6, other.region) == (("10.60.0.0/16",), ("2600:1f14:bb::/56",), "us-west-2")


def test_endpoints_and_prefix_lists(eks: SnapshotRead) -> None:
    endpoints = eks.topology.vpc_endpoints
    assert endpoints["vpce-0a1b2c3d4e5f60001"].route_table_ids == ("rtb-0a1b2c3d4e5f60002",)
    assert endpoints["vpce-0a1b2c3d4e5f60002"].eni_ids == ("eni-0a1b2c3d4e5f60009",)
    entries = ("52.216.0.0/15", "16.15.176.0/20")
    assert eks.topology.prefix_lists == {"pl-63a5400a": PrefixList("pl-63a5400a", "com.amazonaws.us-east-1.s3", entries)}


def test_what_is_known_but_not_modelled_is_said(eks: SnapshotRead) -> None:
    uses = {kind.kind: kind.use for kind in eks.report.totals()}
    assert uses["NetworkAcls"] is Use.NOT_MODELLED
    assert uses["Routes"] is Use.NOT_MODELLED
    assert Use.UNKNOWN not in uses.values()


def test_interfaces_nested_in_instances_stand_in(tmp_path: Path) -> None:
    nested = interface("eni-1", "10.0.0.10", "10.0.0.11", Attachment={"DeviceIndex": 0, "Status": "attached"})
    instance = {"InstanceId": "i-1", "Placement": {"AvailabilityZone": "us-east-1a"}, "NetworkInterfaces": [nested]}
    read = read_aws(tmp_path, Vpcs=[vpc()], Reservations=[{"Instances": [instance]}])
    eni = read.topology.enis["eni-1"]
    assert (eni.instance_id, eni.device_number, eni.az, eni.role) == ("i-1", 0, "us-east-1a", EniRole.INSTANCE)
    assert any("network interfaces" in missing.what for missing in read.topology.missing)


def test_an_interface_that_only_the_instance_lists_is_a_finding(tmp_path: Path) -> None:
    instance = {"InstanceId": "i-1", "NetworkInterfaces": [interface("eni-9")]}
    read = read_aws(tmp_path, NetworkInterfaces=[interface("eni-1")], Reservations=[{"Instances": [instance]}])
    assert set(read.topology.enis) == {"eni-1"}
    assert ("unlisted-interface", "eni-9") in {(finding.kind, finding.subject) for finding in read.topology.findings}


def test_malformed_values_are_named_and_left_out(tmp_path: Path) -> None:
    bad = interface("eni-1", "10.0.0.10", "10.0.1.300", Ipv4Prefixes=[{"Ipv4Prefix": "10.0.0.17/28"}])
    table = {"RouteTableId": "rtb-1", "VpcId": "vpc-1", "Routes": [{"DestinationCidrBlock": "10.0.0/16", "GatewayId": "local"}]}
    read = read_aws(tmp_path, Vpcs=[vpc()], Subnets=[subnet()], NetworkInterfaces=[interface("eni-0"), bad], RouteTables=[table])
    eni = read.topology.enis["eni-1"]
    assert eni.addresses == (EniAddress("10.0.0.10", True),)
    assert eni.prefixes == ()
    assert read.topology.route_tables["rtb-1"].routes == ()
    findings = {finding.subject: finding.text for finding in read.topology.findings if finding.kind.startswith("bad-")}
    assert set(findings) == {
        "NetworkInterfaces.json: NetworkInterfaces[1].PrivateIpAddresses[1].PrivateIpAddress",
        "NetworkInterfaces.json: NetworkInterfaces[1].Ipv4Prefixes[0].Ipv4Prefix",
        "RouteTables.json: RouteTables[0].Routes[0].DestinationCidrBlock",
    }
    assert (
        "'10.0.1.300' is not an IPv4 address"
        in findings["NetworkInterfaces.json: NetworkInterfaces[1].PrivateIpAddresses[1].PrivateIpAddress"]
    )


def test_an_ipv6_address_in_an_ipv4_field_is_refused(tmp_path: Path) -> None:
    read = read_aws(tmp_path, NetworkInterfaces=[interface("eni-1", "fd00::1")])
    assert read.topology.enis["eni-1"].addresses == ()
    assert [finding.kind for finding in read.topology.findings if finding.kind == "bad-address"] == ["bad-address"]


def test_prefix_lists_of_the_older_command_hold_their_entries(tmp_path: Path) -> None:
    read = read_aws(
        tmp_path, PrefixLists=[{"PrefixListId": "pl-1", "PrefixListName": "com.amazonaws.us-east-1.s3", "Cidrs": ["52.216.0.0/15"]}]
    )
    assert read.topology.prefix_lists["pl-1"].prefixes == ("52.216.0.0/15",)


@pytest.mark.parametrize("order", [("a", "b"), ("b", "a")])
def test_both_outputs_of_prefix_lists_complete_each_other(tmp_path: Path, order: tuple[str, str]) -> None:
    managed = {"PrefixLists": [{"PrefixListId": "pl-1", "PrefixListName": "s3"}]}
    older = {"PrefixLists": [{"PrefixListId": "pl-1", "PrefixListName": "s3", "Cidrs": ["52.216.0.0/15"]}]}
    files = dict(zip((f"{name}.json" for name in order), (managed, older), strict=True))
    read = read_snapshot(write_snapshot(tmp_path, files))
    assert read.topology.prefix_lists == {"pl-1": PrefixList("pl-1", "s3", ("52.216.0.0/15",))}
    assert read.topology.findings == ()


def test_entries_of_no_named_list_are_a_finding(tmp_path: Path) -> None:
    read = read_aws(tmp_path, Vpcs=[vpc()], Entries=[{"Cidr": "52.216.0.0/15"}, {"Cidr": "52.218.0.0/16"}])
    assert [finding.kind for finding in read.topology.findings] == ["entries-of-no-list"]


@pytest.mark.parametrize("key", ["NextToken", "AdditionalRoutesAvailable"])
def test_a_part_of_an_answer_is_a_finding(tmp_path: Path, key: str) -> None:
    value = "abc" if key == "NextToken" else True
    read = read_snapshot(write_snapshot(tmp_path, {"v.json": {"Vpcs": [vpc()], key: value}}))
    assert [(finding.kind, finding.subject) for finding in read.topology.findings] == [("partial-output", "v.json")]


def test_blocked_public_access_is_counted(tmp_path: Path) -> None:
    blocked = vpc() | {"BlockPublicAccessStates": {"InternetGatewayBlockMode": "block-bidirectional"}}
    read = read_aws(tmp_path, Vpcs=[blocked])
    assert [each.path for each in read.report.fields] == ["Vpcs[].BlockPublicAccessStates.InternetGatewayBlockMode"]


def test_empty_values_of_unknown_fields_are_not_counted(tmp_path: Path) -> None:
    read = read_aws(tmp_path, Vpcs=[vpc() | {"New": "", "Newer": [], "Newest": None, "Really": {"New": 1}}])
    assert [each.path for each in read.report.fields] == ["Vpcs[].Really"]


@pytest.mark.parametrize(
    ("files", "place"),
    [
        ({"Vpcs": 3}, "Vpcs: Expected `array | null`, got `int`"),
        ({"Vpcs": [1]}, "Vpcs[0]: Expected `object`, got `int`"),
        ({"Vpcs": [{"VpcId": 7}]}, "Vpcs[0].VpcId: Expected `str`, got `int`"),
        ({"Subnets": [subnet(), {"SubnetId": "subnet-2"}]}, "Subnets[1]: Object missing required field `VpcId`"),
    ],
)
def test_another_shape_is_one_line_with_its_place(tmp_path: Path, files: dict[str, Any], place: str) -> None:
    write_snapshot(tmp_path, {"x.json": files})
    with pytest.raises(InputError) as caught:
        read_snapshot(tmp_path)
    text = str(caught.value)
    assert text.startswith(f"{tmp_path / 'x.json'}: {place}")
    assert "\n" not in text


class TestBatfish:
    """Outputs of small real networks."""

    @pytest.fixture(autouse=True)
    def _is_there(self) -> None:
        if not SHARED_AWS.is_dir():
            pytest.skip(f"{SHARED_AWS} is absent: set FASTROUTE_SHARED_DATA to a folder with aws/ from Batfish's test resources")

    @pytest.mark.parametrize("name", ["hybrid-cloud-aws", "test-nat-gateway", "test-public-private-subnet", "test-vpc-peering"])
    def test_nothing_is_dropped_in_silence(self, name: str) -> None:
        read = read_snapshot(SHARED_AWS / name)
        assert all(kind.use is not Use.UNKNOWN for kind in read.report.totals())
        assert read.report.fields == []
        assert [finding for finding in read.topology.findings if finding.is_fault] == []
        assert any(missing.what.startswith("nodes") for missing in read.topology.missing)

    def test_region_of_the_objects(self) -> None:
        topology = read_snapshot(SHARED_AWS / "test-vpc-peering").topology
        assert {each.region for each in (*topology.vpcs.values(), *topology.enis.values(), *topology.route_tables.values())} == {
            "us-east-2"
        }

    def test_peering(self) -> None:
        topology = read_snapshot(SHARED_AWS / "test-vpc-peering").topology
        assert topology.peerings["pcx-0d5b836985ac8ca8c"].other("vpc-0404e08ceddf7f650").cidrs == ("192.168.0.0/16",)

    def test_propagated_routes(self) -> None:
        topology = read_snapshot(SHARED_AWS / "hybrid-cloud-aws").topology
        assert VpcRoute("10.1.1.0/24", TargetKind.VPN_GATEWAY, "vgw-81fd279f", False, True) in topology.route_tables["rtb-296bf350"].routes
