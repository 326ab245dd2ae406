"""Inputs that a snapshot does not have, each with the answers that go with it."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import NamedTuple

from fastroute.topology.model import Missing, TargetKind, Topology


def _routes_to(*kinds: TargetKind) -> Callable[[Topology], bool]:
    return lambda topology: any(route.target_kind in kinds for table in topology.route_tables.values() for route in table.routes)


def _always(topology: Topology) -> bool:
    return True


class _Input(NamedTuple):
    """An input is there when a file holds one of `kinds`, even an empty list; it is missed where `is_needed`."""

    kinds: tuple[str, ...]
    what: str
    loses: str
    is_needed: Callable[[Topology], bool] = _always


_INPUTS = (
    _Input(("Vpcs",), "VPCs (aws ec2 describe-vpcs)", "which addresses are inside a VPC; every path between interfaces"),
    _Input(("Subnets",), "subnets (aws ec2 describe-subnets)", "zones, and the route table that an interface uses"),
    _Input(("RouteTables",), "route tables (aws ec2 describe-route-tables)", "every path that leaves an interface: UNDECIDED"),
    _Input(
        ("NetworkInterfaces",),
        "network interfaces (aws ec2 describe-network-interfaces)",
        "interfaces on no instance (NAT gateways, load balancers, endpoints, control plane); interface types and tags",
    ),
    _Input(("Reservations",), "instances (aws ec2 describe-instances)", "names and types of instances"),
    _Input(
        ("InternetGateways",),
        "Internet gateways (aws ec2 describe-internet-gateways)",
        "whether the Internet gateways that routes lead to are attached",
        _routes_to(TargetKind.INTERNET_GATEWAY),
    ),
    _Input(
        ("EgressOnlyInternetGateways",),
        "egress-only gateways (aws ec2 describe-egress-only-internet-gateways)",
        "whether the egress-only gateways that routes lead to are attached",
        _routes_to(TargetKind.EGRESS_ONLY_GATEWAY),
    ),
    _Input(
        ("NatGateways",),
        "NAT gateways (aws ec2 describe-nat-gateways)",
        "the way behind the NAT gateways that routes lead to: UNDECIDED",
        _routes_to(TargetKind.NAT_GATEWAY),
    ),
    _Input(
        ("VpnGateways",),
        "virtual private gateways (aws ec2 describe-vpn-gateways)",
        "whether the private gateways that routes lead to are attached",
        _routes_to(TargetKind.VPN_GATEWAY),
    ),
    _Input(
        ("VpcPeeringConnections",),
        "peerings (aws ec2 describe-vpc-peering-connections)",
        "the other VPC and its ranges behind the peerings that routes lead to",
        _routes_to(TargetKind.PEERING),
    ),
    _Input(
        ("TransitGatewayAttachments", "TransitGatewayVpcAttachments"),
        "transit gateway attachments (aws ec2 describe-transit-gateway-attachments)",
        "whether a VPC is attached to the transit gateways that its routes lead to, and the VPCs behind them",
        _routes_to(TargetKind.TRANSIT_GATEWAY),
    ),
    _Input(
        ("VpcEndpoints",),
        "VPC endpoints (aws ec2 describe-vpc-endpoints)",
        "the services behind the endpoints that routes lead to",
        _routes_to(TargetKind.GATEWAY_ENDPOINT),
    ),
    _Input(("Node",), "nodes (kubectl get nodes)", "which instances are nodes: paths from and to pods, and the names of nodes"),
    _Input(("Pod",), "pods (kubectl get pods -A)", "which pod has an address: pods' addresses are read as warm addresses of interfaces"),
    _Input(("Service",), "services (kubectl get services -A)", "which ports are servers' ports, and cluster addresses: read as outside"),
    _Input(("EndpointSlice",), "endpoint slices (kubectl get endpointslices -A)", "the pods behind a Service"),
    _Input(("DaemonSet",), "DaemonSets (kubectl get daemonsets -A)", "the VPC CNI's settings: its defaults are assumed"),
)


def missing_inputs(topology: Topology, kinds_read: Collection[str]) -> tuple[Missing, ...]:
    """The inputs that are absent and matter to this snapshot.

    Parameters
    ----------
    kinds_read : collection of str
        Top-level keys and Kubernetes kinds that the files held, empty lists included.
    """
    absent = [each for each in _INPUTS if not any(kind in kinds_read for kind in each.kinds) and each.is_needed(topology)]
    return (*(Missing(each.what, each.loses) for each in absent), *_missing_parts(topology, kinds_read))


def _missing_parts(topology: Topology, kinds_read: Collection[str]) -> list[Missing]:
    """What an input that is there does not say."""
    missing = []
    if "DaemonSet" in kinds_read and not topology.cni_env:
        missing.append(Missing("the DaemonSet aws-node", "the VPC CNI's settings: its defaults are assumed"))
    if any(not subnet.az_id for subnet in topology.subnets.values()):
        loses = "INTER_AZ and INTRA_AZ where a subnet's zone id is not known"
        missing.append(Missing("zone ids (aws ec2 describe-subnets or describe-availability-zones of today's AWS CLI)", loses))
    named = {route.destination for table in topology.route_tables.values() for route in table.routes if route.destination.startswith("pl-")}
    for list_id in sorted(named):
        known = topology.prefix_lists.get(list_id)
        if known is None or known.prefixes is None:
            what = f"entries of prefix list {list_id} (aws ec2 get-managed-prefix-list-entries > PrefixListEntries/{list_id}.json)"
            missing.append(Missing(what, "which addresses the routes for this list take"))
    return missing
