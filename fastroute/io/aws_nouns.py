"""One entry of AWS CLI output to one noun."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from fastroute.io import aws_shapes as shapes
from fastroute.io.json_input import Place
from fastroute.io.nouns import Texts
from fastroute.topology import (
    Eni,
    EniAddress,
    EniRole,
    Instance,
    InternetGateway,
    NatGateway,
    Peering,
    PeeringEnd,
    RouteTable,
    Subnet,
    TargetKind,
    TransitGateway,
    TransitGatewayAttachment,
    Vpc,
    VpcEndpoint,
    VpcRoute,
    VpnGateway,
)

# us-east-1, us-gov-west-1, eusc-de-east-1
_REGION = re.compile(r"([a-z]{2}|eusc)(-[a-z]+)?-(north|south|east|west|central|northeast|northwest|southeast|southwest)-\d+")
_ATTACHED = frozenset({"", "attached", "attaching", "available", "associated", "associating"})

# By InterfaceType. Source: EC2 API reference, NetworkInterface; outputs say `nat_gateway` where the reference says `natGateway`.
_ROLE_OF_TYPE = {
    "nat_gateway": EniRole.NAT_GATEWAY,
    "natGateway": EniRole.NAT_GATEWAY,
    "load_balancer": EniRole.LOAD_BALANCER,
    "network_load_balancer": EniRole.LOAD_BALANCER,
    "gateway_load_balancer": EniRole.LOAD_BALANCER,
    "vpc_endpoint": EniRole.VPC_ENDPOINT,
    "gateway_load_balancer_endpoint": EniRole.VPC_ENDPOINT,
    "transit_gateway": EniRole.TRANSIT_GATEWAY,
    "trunk": EniRole.TRUNK,
    "branch": EniRole.BRANCH,
}
# By description, for types that say only `interface`. Source: reference page vpc-cni-datapath, section 9.
_ROLE_OF_DESCRIPTION = {
    "Interface for NAT Gateway ": EniRole.NAT_GATEWAY,
    "ELB ": EniRole.LOAD_BALANCER,
    "VPC Endpoint Interface ": EniRole.VPC_ENDPOINT,
    "Network Interface for Transit Gateway Attachment ": EniRole.TRANSIT_GATEWAY,
    "Amazon EKS ": EniRole.CONTROL_PLANE,
}
# A route names its target in one of these. Source: EC2 API reference, Route.
_TARGETS = {
    "nat_gateway_id": TargetKind.NAT_GATEWAY,
    "transit_gateway_id": TargetKind.TRANSIT_GATEWAY,
    "vpc_peering_connection_id": TargetKind.PEERING,
    "egress_only_internet_gateway_id": TargetKind.EGRESS_ONLY_GATEWAY,
    # a route to an instance names the instance and its interface
    "network_interface_id": TargetKind.INTERFACE,
    "instance_id": TargetKind.INSTANCE,
    "carrier_gateway_id": TargetKind.OTHER,
    "local_gateway_id": TargetKind.OTHER,
    "core_network_arn": TargetKind.OTHER,
}
_GATEWAY_IDS = {
    "local": TargetKind.LOCAL,
    "igw": TargetKind.INTERNET_GATEWAY,
    "vgw": TargetKind.VPN_GATEWAY,
    "eigw": TargetKind.EGRESS_ONLY_GATEWAY,
}


class Home(NamedTuple):
    """Where an entry comes from: what the folders say, "" where they do not."""

    region: str
    account_id: str


def region_in(text: str) -> str:
    """The region at the start of a zone name, "" where there is none. Local zones: us-west-2-lax-1a is in us-west-2."""
    found = _REGION.match(text)
    return found[0] if found else ""


def is_region(text: str) -> bool:
    return _REGION.fullmatch(text) is not None


def region_of_arn(arn: str) -> str:
    parts = arn.split(":")
    return parts[3] if len(parts) > 3 and is_region(parts[3]) else ""


def tags_of(tags: Iterable[shapes.Tag]) -> dict[str, str]:
    return {tag.key: tag.value for tag in tags}


def _name(tags: Iterable[shapes.Tag]) -> str:
    return tags_of(tags).get("Name", "")


def vpc_of(entry: shapes.Vpc, home: Home, place: Place, texts: Texts) -> Vpc:
    associated = [each.cidr_block for each in entry.cidr_block_association_set if each.cidr_block_state.state in _ATTACHED]
    cidrs = associated if entry.cidr_block_association_set else [entry.cidr_block]
    cidrs6 = [each.ipv6_cidr_block for each in entry.ipv6_cidr_block_association_set if each.ipv6_cidr_block_state.state in _ATTACHED]
    return Vpc(
        id=entry.vpc_id,
        region=home.region,
        account_id=entry.owner_id or home.account_id,
        cidrs=texts.prefixes(cidrs, place, "CidrBlockAssociationSet", family=4, each="CidrBlock"),
        cidrs6=texts.prefixes(cidrs6, place, "Ipv6CidrBlockAssociationSet", family=6, each="Ipv6CidrBlock"),
        name=_name(entry.tags),
    )


def subnet_of(entry: shapes.Subnet, home: Home, place: Place, texts: Texts, zone_ids: Mapping[str, str]) -> Subnet:
    cidrs6 = [each.ipv6_cidr_block for each in entry.ipv6_cidr_block_association_set if each.ipv6_cidr_block_state.state in _ATTACHED]
    return Subnet(
        id=entry.subnet_id,
        vpc_id=entry.vpc_id,
        region=home.region or region_in(entry.availability_zone) or region_of_arn(entry.subnet_arn),
        az=entry.availability_zone,
        az_id=entry.availability_zone_id or zone_ids.get(entry.availability_zone, ""),
        cidr=texts.prefix(entry.cidr_block, place, "CidrBlock", family=4) or "",
        cidrs6=texts.prefixes(cidrs6, place, "Ipv6CidrBlockAssociationSet", family=6, each="Ipv6CidrBlock"),
        name=_name(entry.tags),
    )


def route_table_of(entry: shapes.RouteTable, home: Home, place: Place, texts: Texts, endpoint_types: Mapping[str, str]) -> RouteTable:
    associations = [each for each in entry.associations if each.association_state.state in _ATTACHED]
    routes = (_route_of(route, (*place, "Routes", i), texts, endpoint_types) for i, route in enumerate(entry.routes))
    return RouteTable(
        id=entry.route_table_id,
        vpc_id=entry.vpc_id,
        region=home.region,
        is_main=any(each.main for each in associations),
        subnet_ids=tuple(each.subnet_id for each in associations if each.subnet_id),
        gateway_ids=tuple(each.gateway_id for each in associations if each.gateway_id),
        routes=tuple(route for route in routes if route is not None),
    )


def _route_of(entry: shapes.Route, place: Place, texts: Texts, endpoint_types: Mapping[str, str]) -> VpcRoute | None:
    if entry.destination_prefix_list_id:
        destination: str | None = entry.destination_prefix_list_id
    elif entry.destination_ipv6_cidr_block:
        destination = texts.prefix(entry.destination_ipv6_cidr_block, place, "DestinationIpv6CidrBlock", family=6)
    else:
        destination = texts.prefix(entry.destination_cidr_block, place, "DestinationCidrBlock", family=4)
    if destination is None:
        return None
    kind, target = _target_of(entry, endpoint_types)
    return VpcRoute(destination, kind, target, entry.state == "blackhole", entry.origin == "EnableVgwRoutePropagation")


def _target_of(entry: shapes.Route, endpoint_types: Mapping[str, str]) -> tuple[TargetKind, str]:
    gateway = entry.gateway_id
    if gateway.startswith("vpce-"):
        # only gateway endpoints take their destination from a prefix list of a service
        by_default = "Gateway" if entry.destination_prefix_list_id else "GatewayLoadBalancer"
        is_gateway = endpoint_types.get(gateway, by_default) == "Gateway"
        return (TargetKind.GATEWAY_ENDPOINT if is_gateway else TargetKind.OTHER), gateway
    if gateway:
        return _GATEWAY_IDS.get(gateway.partition("-")[0], TargetKind.OTHER), gateway
    for name, kind in _TARGETS.items():
        if target := getattr(entry, name):
            return kind, target
    return TargetKind.OTHER, ""


def role_of(entry: shapes.NetworkInterface) -> EniRole:
    """Whose interface it is. What AWS made for itself never names an instance of ours, whatever its description says."""
    if entry.interface_type in _ROLE_OF_TYPE:
        return _ROLE_OF_TYPE[entry.interface_type]
    if entry.attachment is not None and entry.attachment.instance_id:
        return EniRole.INSTANCE
    for start, role in _ROLE_OF_DESCRIPTION.items():
        if entry.description.startswith(start):
            return role
    return EniRole.OTHER


def eni_of(entry: shapes.NetworkInterface, home: Home, place: Place, texts: Texts) -> Eni:
    attachment = entry.attachment
    on_instance = attachment is not None and attachment.instance_id and attachment.status in _ATTACHED
    return Eni(
        id=entry.network_interface_id,
        vpc_id=entry.vpc_id,
        subnet_id=entry.subnet_id,
        region=home.region or region_in(entry.availability_zone),
        az=entry.availability_zone,
        role=role_of(entry),
        interface_type=entry.interface_type,
        description=entry.description,
        addresses=_addresses_of(entry, place, texts),
        prefixes=texts.prefixes((p.ipv4_prefix for p in entry.ipv4_prefixes), place, "Ipv4Prefixes", family=4, each="Ipv4Prefix"),
        addresses6=tuple(
            addr
            for i, each in enumerate(entry.ipv6_addresses)
            if (addr := texts.addr(each.ipv6_address, place, "Ipv6Addresses", i, "Ipv6Address", family=6))
        ),
        prefixes6=texts.prefixes((p.ipv6_prefix for p in entry.ipv6_prefixes), place, "Ipv6Prefixes", family=6, each="Ipv6Prefix"),
        instance_id=attachment.instance_id if attachment is not None and on_instance else None,
        device_number=attachment.device_index if attachment is not None and on_instance else -1,
        network_card=attachment.network_card_index if attachment is not None and on_instance else 0,
        source_dest_check=entry.source_dest_check,
        mac=entry.mac_address,
        requester_id=entry.requester_id,
        account_id=entry.owner_id or home.account_id,
        tags=tags_of(entry.tag_set),
    )


def _addresses_of(entry: shapes.NetworkInterface, place: Place, texts: Texts) -> tuple[EniAddress, ...]:
    """The primary first."""
    found = []
    for i, each in enumerate(entry.private_ip_addresses):
        where = (*place, "PrivateIpAddresses", i)
        addr = texts.addr(each.private_ip_address, where, "PrivateIpAddress", family=4)
        if addr is not None:
            found.append(EniAddress(addr, each.primary, _public_of(each.association, where, texts)))
    if not entry.private_ip_addresses and (addr := texts.addr(entry.private_ip_address, place, "PrivateIpAddress", family=4)):
        found.append(EniAddress(addr, True, _public_of(entry.association, place, texts)))
    return tuple(sorted(found, key=lambda each: not each.is_primary))


def _public_of(association: shapes.Association | None, place: Place, texts: Texts) -> str | None:
    return texts.addr(association.public_ip, place, "Association.PublicIp", family=4) if association is not None else None


def instance_of(entry: shapes.Instance, home: Home) -> Instance:
    az = entry.placement.availability_zone
    return Instance(
        id=entry.instance_id,
        region=home.region or region_in(az),
        instance_type=entry.instance_type,
        state=entry.state.name,
        vpc_id=entry.vpc_id,
        subnet_id=entry.subnet_id,
        az=az,
        name=_name(entry.tags),
    )


def _attached_vpcs(attachments: Iterable[shapes.GatewayAttachment]) -> tuple[str, ...]:
    return tuple(each.vpc_id for each in attachments if each.vpc_id and each.state in _ATTACHED)


def internet_gateway_of(entry: shapes.InternetGateway) -> InternetGateway:
    return InternetGateway(entry.internet_gateway_id, _attached_vpcs(entry.attachments))


def egress_only_gateway_of(entry: shapes.EgressOnlyInternetGateway) -> InternetGateway:
    return InternetGateway(entry.egress_only_internet_gateway_id, _attached_vpcs(entry.attachments), is_egress_only=True)


def vpn_gateway_of(entry: shapes.VpnGateway) -> VpnGateway:
    return VpnGateway(entry.vpn_gateway_id, _attached_vpcs(entry.vpc_attachments))


def nat_gateway_of(entry: shapes.NatGateway, place: Place, texts: Texts) -> NatGateway:
    addresses = [((*place, "NatGatewayAddresses", i), each) for i, each in enumerate(entry.nat_gateway_addresses)]
    private = (texts.addr(each.private_ip, where, "PrivateIp", family=4) for where, each in addresses)
    public = (texts.addr(each.public_ip, where, "PublicIp", family=4) for where, each in addresses)
    return NatGateway(
        id=entry.nat_gateway_id,
        vpc_id=entry.vpc_id,
        subnet_id=entry.subnet_id,
        state=entry.state,
        is_public=entry.connectivity_type == "public",
        eni_ids=tuple(each.network_interface_id for _, each in addresses if each.network_interface_id),
        addrs=tuple(addr for addr in private if addr),
        public_addrs=tuple(addr for addr in public if addr),
    )


def peering_of(entry: shapes.VpcPeeringConnection, place: Place, texts: Texts) -> Peering:
    return Peering(
        id=entry.vpc_peering_connection_id,
        status=entry.status.code,
        requester=_peering_end_of(entry.requester_vpc_info, (*place, "RequesterVpcInfo"), texts),
        accepter=_peering_end_of(entry.accepter_vpc_info, (*place, "AccepterVpcInfo"), texts),
    )


def _peering_end_of(entry: shapes.PeeringVpc, place: Place, texts: Texts) -> PeeringEnd:
    cidrs = [each.cidr_block for each in entry.cidr_block_set] or [entry.cidr_block]
    cidrs6 = [each.ipv6_cidr_block for each in entry.ipv6_cidr_block_set]
    return PeeringEnd(
        vpc_id=entry.vpc_id,
        region=entry.region,
        account_id=entry.owner_id,
        cidrs=texts.prefixes(cidrs, place, "CidrBlockSet", family=4, each="CidrBlock"),
        cidrs6=texts.prefixes(cidrs6, place, "Ipv6CidrBlockSet", family=6, each="Ipv6CidrBlock"),
    )


def transit_gateway_of(entry: shapes.TransitGateway, home: Home) -> TransitGateway:
    region = home.region or region_of_arn(entry.transit_gateway_arn)
    return TransitGateway(entry.transit_gateway_id, region, entry.owner_id or home.account_id)


def attachment_of(entry: shapes.TransitGatewayAttachment) -> TransitGatewayAttachment:
    return TransitGatewayAttachment(
        entry.transit_gateway_attachment_id, entry.transit_gateway_id, entry.resource_type, entry.resource_id, entry.state
    )


def vpc_attachment_of(entry: shapes.TransitGatewayVpcAttachment) -> TransitGatewayAttachment:
    return TransitGatewayAttachment(
        entry.transit_gateway_attachment_id, entry.transit_gateway_id, "vpc", entry.vpc_id, entry.state, entry.subnet_ids
    )


def endpoint_of(entry: shapes.VpcEndpoint) -> VpcEndpoint:
    # outputs from before interface endpoints name no type
    by_default = "Interface" if entry.network_interface_ids else "Gateway"
    return VpcEndpoint(
        id=entry.vpc_endpoint_id,
        vpc_id=entry.vpc_id,
        endpoint_type=entry.vpc_endpoint_type or by_default,
        service_name=entry.service_name,
        route_table_ids=entry.route_table_ids,
        subnet_ids=entry.subnet_ids,
        eni_ids=entry.network_interface_ids,
    )
