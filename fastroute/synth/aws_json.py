"""The account as `aws ... describe-... --output json` prints it: one list of plain dicts a file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from fastroute.synth import aws_gateways as gateways
from fastroute.synth.account import Account
from fastroute.synth.aws_interfaces import GROUP, Json, network_interface, reservation, tags
from fastroute.synth.clock import CREATED_AT, aws_time
from fastroute.synth.machine_types import MACHINE_TYPES
from fastroute.synth.network import ACCOUNT_ID, CLUSTER_NAME, REGION
from fastroute.synth.nouns import Route, RouteTable, Subnet, Vpc


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
        "Tags": tags(Name=vpc.name),
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
        "Tags": tags(Name=subnet.name),
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
        "Tags": tags(Name=table.name),
        "VpcId": table.vpc.id,
    }


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
    yield "nat-gateways", "NatGateways", gateways.nat_gateways(account)
    yield "addresses", "Addresses", gateways.addresses(account)
    yield "vpc-endpoints", "VpcEndpoints", gateways.endpoints(account)
    yield "vpc-peering-connections", "VpcPeeringConnections", map(gateways.peering_connection, network.peerings)
    yield from gateways.transit_lists(account)
    yield "managed-prefix-lists", "PrefixLists", gateways.managed_prefix_lists(account)
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
    yield "load-balancers", "LoadBalancers", gateways.load_balancers(account)
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
