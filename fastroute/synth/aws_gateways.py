"""Gateways, endpoints, peers and load balancers as the AWS CLI prints them."""

from __future__ import annotations

from collections.abc import Iterator

from fastroute.synth.account import Account
from fastroute.synth.addresses import Block, text
from fastroute.synth.aws_interfaces import Json, tags
from fastroute.synth.clock import CREATED_AT, aws_time
from fastroute.synth.network import ACCOUNT_ID, REGION
from fastroute.synth.nouns import Peering, PrefixList

TGW_TABLE_ID = "tgw-rtb-0a1b2c3d4e5f60718"
VPN_ATTACHMENT_ID = "tgw-attach-0b0b1e5c0ffee1234"


def peering_connection(peering: Peering) -> Json:
    """One entry of `VpcPeeringConnections`."""

    def side(vpc_id: str, owner: str, region: str, blocks: list[Block]) -> Json:
        return {
            "CidrBlock": str(blocks[0]),
            "CidrBlockSet": [{"CidrBlock": str(each)} for each in blocks],
            "OwnerId": owner,
            "Region": region,
            "VpcId": vpc_id,
        }

    return {
        "AccepterVpcInfo": side(peering.peer_id, peering.peer_owner, peering.peer_region, peering.peer_blocks),
        "RequesterVpcInfo": side(peering.vpc.id, ACCOUNT_ID, REGION, peering.vpc.blocks),
        "Status": {"Code": "active", "Message": "Active"},
        "Tags": [],
        "VpcPeeringConnectionId": peering.id,
    }


def addresses(account: Account) -> list[Json]:
    """`Addresses`: the Elastic IPs of NAT gateways."""
    return [
        {
            "AllocationId": nat.allocation_id,
            "AssociationId": nat.allocation_id.replace("eipalloc", "eipassoc"),
            "Domain": "vpc",
            "NetworkBorderGroup": REGION,
            "NetworkInterfaceId": nat.eni.id,
            "NetworkInterfaceOwnerId": ACCOUNT_ID,
            "PrivateIpAddress": text(nat.eni.primary),
            "PublicIp": text(nat.eni.public or 0),
            "PublicIpv4Pool": "amazon",
        }
        for nat in account.network.nat_gateways
    ]


def nat_gateways(account: Account) -> list[Json]:
    """`NatGateways`."""
    return [
        {
            "ConnectivityType": "public",
            "CreateTime": aws_time(CREATED_AT),
            "NatGatewayAddresses": [
                {
                    "AllocationId": nat.allocation_id,
                    "IsPrimary": True,
                    "NetworkInterfaceId": nat.eni.id,
                    "PrivateIp": text(nat.eni.primary),
                    "PublicIp": text(nat.eni.public or 0),
                    "Status": "succeeded",
                }
            ],
            "NatGatewayId": nat.id,
            "State": "available",
            "SubnetId": nat.eni.subnet.id,
            "Tags": tags(Name=f"nat-{nat.eni.subnet.zone.name}"),
            "VpcId": nat.eni.vpc.id,
        }
        for nat in account.network.nat_gateways
    ]


def endpoints(account: Account) -> list[Json]:
    """`VpcEndpoints`."""
    out = []
    for endpoint in account.network.endpoints:
        out.append(
            {
                "CreationTimestamp": aws_time(CREATED_AT),
                "NetworkInterfaceIds": [eni.id for eni in endpoint.enis],
                "OwnerId": ACCOUNT_ID,
                "PrivateDnsEnabled": bool(endpoint.enis),
                "RouteTableIds": [table.id for table in endpoint.route_tables],
                "ServiceName": endpoint.service_name,
                "State": "available",
                "SubnetIds": [eni.subnet.id for eni in endpoint.enis],
                "VpcEndpointId": endpoint.id,
                "VpcEndpointType": "Interface" if endpoint.enis else "Gateway",
                "VpcId": endpoint.vpc.id,
            }
        )
    return out


def load_balancers(account: Account) -> list[Json]:
    """`LoadBalancers` of elbv2."""
    return [
        {
            "AvailabilityZones": [{"SubnetId": eni.subnet.id, "ZoneName": eni.subnet.zone.name} for eni in balancer.enis],
            "DNSName": f"{balancer.name}-0123456789.elb.{REGION}.amazonaws.com",
            "IpAddressType": "ipv4",
            "LoadBalancerArn": balancer.arn,
            "LoadBalancerName": balancer.name,
            "Scheme": "internet-facing" if balancer.is_internet_facing else "internal",
            "State": {"Code": "active"},
            "Type": balancer.kind,
            "VpcId": account.network.vpc.id,
        }
        for balancer in account.network.load_balancers
    ]


def transit_lists(account: Account) -> Iterator[tuple[str, str, list[Json]]]:
    """File name, key and entries of the transit gateway's four lists."""
    transit = account.network.transit_gateway
    assert transit is not None
    yield (
        "transit-gateways",
        "TransitGateways",
        [
            {
                "Options": {"AssociationDefaultRouteTableId": TGW_TABLE_ID, "DefaultRouteTableAssociation": "enable"},
                "OwnerId": ACCOUNT_ID,
                "State": "available",
                "Tags": [],
                "TransitGatewayArn": f"arn:aws:ec2:{REGION}:{ACCOUNT_ID}:transit-gateway/{transit.id}",
                "TransitGatewayId": transit.id,
            }
        ],
    )
    vpc_attachment = {
        "State": "available",
        "Tags": [],
        "TransitGatewayAttachmentId": transit.attachment_id,
        "TransitGatewayId": transit.id,
    }
    yield (
        "transit-gateway-vpc-attachments",
        "TransitGatewayVpcAttachments",
        [
            vpc_attachment
            | {
                "SubnetIds": [eni.subnet.id for eni in transit.enis],
                "VpcId": account.network.vpc.id,
                "VpcOwnerId": ACCOUNT_ID,
            }
        ],
    )
    vpn = {"State": "available", "Tags": [], "TransitGatewayAttachmentId": VPN_ATTACHMENT_ID, "TransitGatewayId": transit.id}
    association = {"State": "associated", "TransitGatewayRouteTableId": TGW_TABLE_ID}
    yield (
        "transit-gateway-attachments",
        "TransitGatewayAttachments",
        [
            vpc_attachment
            | {"Association": association, "ResourceId": account.network.vpc.id, "ResourceOwnerId": ACCOUNT_ID, "ResourceType": "vpc"},
            vpn
            | {
                "Association": association,
                "ResourceId": "vpn-0c0ffee5eed5eed50",
                "ResourceOwnerId": ACCOUNT_ID,
                "ResourceType": "vpn",
            },
        ],
    )
    yield (
        "transit-gateway-route-tables",
        "TransitGatewayRouteTables",
        [
            {
                "DefaultAssociationRouteTable": True,
                "DefaultPropagationRouteTable": True,
                "State": "available",
                "Tags": [],
                "TransitGatewayId": transit.id,
                "TransitGatewayRouteTableId": TGW_TABLE_ID,
            }
        ],
    )


def transit_routes(account: Account) -> tuple[str, list[Json]]:
    """Id of the transit gateway's route table, and its `Routes`."""
    transit = account.network.transit_gateway
    assert transit is not None

    def route(destination: Block, attachment: str, resource: str, kind: str) -> Json:
        return {
            "DestinationCidrBlock": str(destination),
            "State": "active",
            "TransitGatewayAttachments": [{"ResourceId": resource, "ResourceType": kind, "TransitGatewayAttachmentId": attachment}],
            "Type": "propagated" if kind == "vpc" else "static",
        }

    inside = [route(each, transit.attachment_id, account.network.vpc.id, "vpc") for each in account.network.vpc.blocks]
    return TGW_TABLE_ID, inside + [route(each, VPN_ATTACHMENT_ID, "vpn-0c0ffee5eed5eed50", "vpn") for each in transit.on_prem]


def prefix_lists(account: Account) -> list[PrefixList]:
    """The managed prefix lists that route tables name."""
    return [each.prefix_list for each in account.network.endpoints if each.prefix_list]


def prefix_list_entries(prefix_list: PrefixList) -> list[Json]:
    """`Entries` of one prefix list."""
    return [{"Cidr": str(each), "Description": ""} for each in prefix_list.blocks]


def managed_prefix_lists(account: Account) -> list[Json]:
    """`PrefixLists` of describe-managed-prefix-lists, which holds no ranges."""
    return [
        {
            "AddressFamily": "IPv4",
            "OwnerId": "AWS",
            "PrefixListArn": f"arn:aws:ec2:{REGION}:aws:prefix-list/{each.id}",
            "PrefixListId": each.id,
            "PrefixListName": each.name,
            "State": "create-complete",
        }
        for each in prefix_lists(account)
    ]
