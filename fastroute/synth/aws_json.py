"""The account as `aws ... describe-... --output json` prints it: one list of plain dicts a file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from fastroute.synth.account import Account
from fastroute.synth.addresses import Block, text
from fastroute.synth.clock import CREATED_AT, aws_time
from fastroute.synth.machine_types import MACHINE_TYPES
from fastroute.synth.network import ACCOUNT_ID, CLUSTER_NAME, REGION
from fastroute.synth.nouns import Eni, Instance, Peering, PrefixList, Route, RouteTable, Subnet, Vpc

Json = dict[str, Any]
GROUP = {"GroupId": "sg-0f00ba5eba11ca5e5", "GroupName": f"eks-cluster-sg-{CLUSTER_NAME}"}
_NOT_EMBEDDED = frozenset({"Attachment", "AvailabilityZone", "RequesterId", "RequesterManaged", "TagSet"})
"""Keys of an interface that describe-instances leaves out."""
TGW_TABLE_ID = "tgw-rtb-0a1b2c3d4e5f60718"
VPN_ATTACHMENT_ID = "tgw-attach-0b0b1e5c0ffee1234"


def _tags(**tags: str) -> list[Json]:
    return [{"Key": key.replace("__", "/"), "Value": value} for key, value in tags.items()]


def _dns(addr: int) -> str:
    return f"ip-{text(addr).replace('.', '-')}.ec2.internal"


def network_interface(eni: Eni) -> Json:
    """One entry of `NetworkInterfaces`."""
    addresses: list[Json] = [{"Primary": True, "PrivateDnsName": _dns(eni.primary), "PrivateIpAddress": text(eni.primary)}]
    addresses += [{"Primary": False, "PrivateDnsName": _dns(addr), "PrivateIpAddress": text(addr)} for addr in eni.secondary]
    out: Json = {}
    if eni.public is not None:
        association = {"IpOwnerId": "amazon", "PublicDnsName": "", "PublicIp": text(eni.public)}
        if eni.interface_type == "nat_gateway":
            association["IpOwnerId"] = ACCOUNT_ID
        addresses[0] = {"Association": association, **addresses[0]}
        out["Association"] = association
    if eni.instance is not None:
        out["Attachment"] = _attachment(eni) | {"InstanceId": eni.instance.id, "InstanceOwnerId": ACCOUNT_ID}
    else:
        out["Attachment"] = {
            "AttachmentId": eni.id.replace("eni-", "ela-attach-"),
            "DeleteOnTermination": False,
            "DeviceIndex": 1,
            "InstanceOwnerId": eni.requester or "amazon-aws",
            "Status": "attached",
        }
    out |= {
        "AvailabilityZone": eni.subnet.zone.name,
        "Description": eni.description,
        "Groups": [GROUP],
        "InterfaceType": eni.interface_type,
        "Ipv6Addresses": [],
        "MacAddress": eni.mac,
        "NetworkInterfaceId": eni.id,
        "OwnerId": ACCOUNT_ID,
        "PrivateDnsName": _dns(eni.primary),
        "PrivateIpAddress": text(eni.primary),
        "PrivateIpAddresses": addresses,
    }
    if eni.prefixes:
        out["Ipv4Prefixes"] = [{"Ipv4Prefix": str(each)} for each in eni.prefixes]
    if eni.requester:
        out["RequesterId"] = eni.requester
    out |= {
        "RequesterManaged": eni.requester is not None,
        "SourceDestCheck": eni.source_dest_check,
        "Status": "in-use",
        "SubnetId": eni.subnet.id,
        "TagSet": _eni_tags(eni),
        "VpcId": eni.vpc.id,
    }
    return out


def _attachment(eni: Eni) -> Json:
    return {
        "AttachTime": aws_time(CREATED_AT),
        "AttachmentId": eni.id.replace("eni-", "eni-attach-"),
        "DeleteOnTermination": True,
        "DeviceIndex": eni.device_number,
        "NetworkCardIndex": 0,
        "Status": "attached",
    }


def _eni_tags(eni: Eni) -> list[Json]:
    if eni.instance is None or eni.instance.node is None:
        return []
    if eni.device_number == 0:
        return _tags(**{"eks:cluster-name": CLUSTER_NAME})
    return _tags(**{"cluster.k8s.amazonaws.com__name": CLUSTER_NAME, "node.k8s.amazonaws.com__instance_id": eni.instance.id})


def reservation(instance: Instance) -> Json:
    """One entry of `Reservations`, with its single instance."""
    primary = instance.enis[0]
    interfaces = []
    for eni in instance.enis:
        embedded = {key: value for key, value in network_interface(eni).items() if key not in _NOT_EMBEDDED}
        interfaces.append({"Attachment": _attachment(eni)} | embedded)
    tags = {"Name": instance.name}
    if instance.node is not None:
        tags = {"Name": f"{CLUSTER_NAME}-node", f"kubernetes.io/cluster/{CLUSTER_NAME}": "owned", "eks:cluster-name": CLUSTER_NAME}
    body: Json = {
        "AmiLaunchIndex": 0,
        "Architecture": "arm64" if instance.instance_type.startswith("m7g") else "x86_64",
        "ImageId": "ami-0c1d2e3f405162738",
        "InstanceId": instance.id,
        "InstanceType": instance.instance_type,
        "LaunchTime": aws_time(CREATED_AT),
        "MetadataOptions": {"HttpPutResponseHopLimit": 2, "HttpTokens": "required", "State": "applied"},
        "NetworkInterfaces": interfaces,
        "Placement": {"AvailabilityZone": primary.subnet.zone.name, "GroupName": "", "Tenancy": "default"},
        "PrivateDnsName": _dns(primary.primary),
        "PrivateIpAddress": text(primary.primary),
        "PublicDnsName": "",
        "SecurityGroups": [GROUP],
        "SourceDestCheck": primary.source_dest_check,
        "State": {"Code": 16, "Name": "running"},
        "SubnetId": primary.subnet.id,
        "Tags": [{"Key": key, "Value": value} for key, value in tags.items()],
        "VpcId": primary.vpc.id,
    }
    if primary.public is not None:
        body["PublicIpAddress"] = text(primary.public)
    return {"Groups": [], "Instances": [body], "OwnerId": ACCOUNT_ID, "ReservationId": instance.id.replace("i-", "r-")}


def _vpc(vpc: Vpc) -> Json:
    blocks = [
        {
            "AssociationId": vpc.id.replace("vpc-", f"vpc-cidr-assoc-{i}"),
            "CidrBlock": str(each),
            "CidrBlockState": {"State": "associated"},
        }
        for i, each in enumerate(vpc.blocks)
    ]
    return {
        "CidrBlock": str(vpc.blocks[0]),
        "CidrBlockAssociationSet": blocks,
        "DhcpOptionsId": "dopt-0d15c0de",
        "InstanceTenancy": "default",
        "IsDefault": False,
        "OwnerId": ACCOUNT_ID,
        "State": "available",
        "Tags": _tags(Name=vpc.name),
        "VpcId": vpc.id,
    }


def _subnet(subnet: Subnet) -> Json:
    return {
        "AssignIpv6AddressOnCreation": False,
        "AvailabilityZone": subnet.zone.name,
        "AvailabilityZoneId": subnet.zone.az_id,
        "AvailableIpAddressCount": subnet.block.size // 2,
        "CidrBlock": str(subnet.block),
        "DefaultForAz": False,
        "Ipv6CidrBlockAssociationSet": [],
        "MapPublicIpOnLaunch": subnet.is_public,
        "OwnerId": ACCOUNT_ID,
        "State": "available",
        "SubnetArn": f"arn:aws:ec2:{REGION}:{ACCOUNT_ID}:subnet/{subnet.id}",
        "SubnetId": subnet.id,
        "Tags": _tags(Name=subnet.name),
        "VpcId": subnet.vpc.id,
    }


def _route(route: Route) -> Json:
    out: Json = {}
    if route.prefix_list is not None:
        out["DestinationPrefixListId"] = route.prefix_list.id
    else:
        out["DestinationCidrBlock"] = str(route.destination)
    kind = route.target.split("-")[0]
    keys = {"nat": "NatGatewayId", "tgw": "TransitGatewayId", "pcx": "VpcPeeringConnectionId"}
    out[keys.get(kind, "GatewayId")] = route.target
    out["Origin"] = "CreateRouteTable" if route.target == "local" else "CreateRoute"
    out["State"] = route.state
    return out


def _route_table(table: RouteTable) -> Json:
    def association(subnet: Subnet | None) -> Json:
        source = subnet.id if subnet else table.id
        out: Json = {
            "AssociationState": {"State": "associated"},
            "Main": subnet is None,
            "RouteTableAssociationId": f"rtbassoc-{source.split('-')[1]}",
            "RouteTableId": table.id,
        }
        return out | ({"SubnetId": subnet.id} if subnet else {})

    associations = [association(None)] if table.is_main else []
    associations += [association(subnet) for subnet in table.vpc.subnets if subnet.table is table]
    return {
        "Associations": associations,
        "OwnerId": ACCOUNT_ID,
        "PropagatingVgws": [],
        "RouteTableId": table.id,
        "Routes": [_route(each) for each in table.routes],
        "Tags": _tags(Name=table.name),
        "VpcId": table.vpc.id,
    }


def _peering(peering: Peering) -> Json:
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


def _addresses(account: Account) -> list[Json]:
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


def _nat_gateways(account: Account) -> list[Json]:
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
            "Tags": _tags(Name=f"nat-{nat.eni.subnet.zone.name}"),
            "VpcId": nat.eni.vpc.id,
        }
        for nat in account.network.nat_gateways
    ]


def _endpoints(account: Account) -> list[Json]:
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


def _load_balancers(account: Account) -> list[Json]:
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


def _transit(account: Account) -> Iterator[tuple[str, str, list[Json]]]:
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


def cluster(account: Account) -> Json:
    """`aws eks describe-cluster`."""
    network = account.network
    return {
        "arn": f"arn:aws:eks:{REGION}:{ACCOUNT_ID}:cluster/{CLUSTER_NAME}",
        "createdAt": aws_time(CREATED_AT),
        "kubernetesNetworkConfig": {"ipFamily": "ipv4", "serviceIpv4Cidr": str(account.service_block)},
        "name": CLUSTER_NAME,
        "platformVersion": "eks.9",
        "resourcesVpcConfig": {
            "clusterSecurityGroupId": GROUP["GroupId"],
            "endpointPrivateAccess": True,
            "endpointPublicAccess": True,
            "publicAccessCidrs": ["0.0.0.0/0"],
            "securityGroupIds": [],
            "subnetIds": [subnet.id for subnet in network.intra],
            "vpcId": network.vpc.id,
        },
        "status": "ACTIVE",
        "version": "1.34",
    }


def lists(account: Account, log_format: str) -> Iterator[tuple[str, str, Iterable[Json]]]:
    """File name, top-level key and entries of every list."""
    network = account.network
    vpcs = account.logged_vpcs
    machines = [*(node.instance for node in account.nodes), *network.instances, *network.peer_instances]
    yield "vpcs", "Vpcs", map(_vpc, vpcs)
    yield "subnets", "Subnets", (_subnet(each) for vpc in vpcs for each in vpc.subnets)
    yield "route-tables", "RouteTables", (_route_table(each) for vpc in vpcs for each in vpc.route_tables)
    yield "network-interfaces", "NetworkInterfaces", map(network_interface, account.enis)
    yield "instances", "Reservations", map(reservation, machines)
    yield (
        "internet-gateways",
        "InternetGateways",
        [
            {
                "Attachments": [{"State": "available", "VpcId": network.vpc.id}],
                "InternetGatewayId": network.internet_gateway,
                "OwnerId": ACCOUNT_ID,
                "Tags": [],
            }
        ],
    )
    yield "nat-gateways", "NatGateways", _nat_gateways(account)
    yield "addresses", "Addresses", _addresses(account)
    yield "vpc-endpoints", "VpcEndpoints", _endpoints(account)
    yield "vpc-peering-connections", "VpcPeeringConnections", map(_peering, network.peerings)
    yield from _transit(account)
    yield (
        "managed-prefix-lists",
        "PrefixLists",
        [
            {
                "AddressFamily": "IPv4",
                "OwnerId": "AWS",
                "PrefixListArn": f"arn:aws:ec2:{REGION}:aws:prefix-list/{each.id}",
                "PrefixListId": each.id,
                "PrefixListName": each.name,
                "State": "create-complete",
            }
            for each in prefix_lists(account)
        ],
    )
    yield (
        "availability-zones",
        "AvailabilityZones",
        [
            {
                "GroupName": REGION,
                "Messages": [],
                "NetworkBorderGroup": REGION,
                "OptInStatus": "opt-in-not-required",
                "RegionName": REGION,
                "State": "available",
                "ZoneId": zone.az_id,
                "ZoneName": zone.name,
                "ZoneType": "availability-zone",
            }
            for zone in network.zones
        ],
    )
    yield "load-balancers", "LoadBalancers", _load_balancers(account)
    yield (
        "flow-logs",
        "FlowLogs",
        [
            {
                "CreationTime": aws_time(CREATED_AT),
                "DeliverLogsStatus": "SUCCESS",
                "DestinationOptions": {"FileFormat": "parquet", "HiveCompatiblePartitions": True, "PerHourPartition": True},
                "FlowLogId": flow_log_id,
                "FlowLogStatus": "ACTIVE",
                "LogDestination": "arn:aws:s3:::synth-flow-logs",
                "LogDestinationType": "s3",
                "LogFormat": log_format,
                "MaxAggregationInterval": 60,
                "ResourceId": vpc.id,
                "Tags": [],
                "TrafficType": "ALL",
            }
            for flow_log_id, vpc in zip(account.flow_log_ids, account.logged_vpcs, strict=True)
        ],
    )
    used = {machine.instance_type for machine in machines}
    yield (
        "instance-types",
        "InstanceTypes",
        [
            {
                "InstanceType": each.name,
                "NetworkInfo": {
                    "Ipv4AddressesPerInterface": each.addrs_per_eni,
                    "MaximumNetworkCards": 1,
                    "MaximumNetworkInterfaces": each.max_enis,
                },
                "VCpuInfo": {"DefaultVCpus": each.vcpus},
            }
            for each in MACHINE_TYPES
            if each.name in used
        ],
    )
