"""Numbers and names that the plugin computes: rule priorities, table ids, veth names, gateways."""

from __future__ import annotations

import hashlib
from ipaddress import IPv4Network, ip_network

from fastroute.netns.model import TABLE_MAIN
from fastroute.topology import Eni

# Rule priorities, in the order in which they are tried. The gaps belong to the administrator.
# Source: amazon-vpc-cni-k8s v1.23.1 pkg/networkutils/network.go
RULE_LOCAL = 0
RULE_BRANCH_INTERFACE = 10
RULE_LOCAL_STRICT = 20
RULE_TO_POD = 512
RULE_MARKED = 1024
RULE_EXTERNAL_SERVICE = 1535
RULE_FROM_POD = 1536
RULE_FROM_ENI = 32765
RULE_MAIN = 32766

# Source: pkg/networkutils/helper.go BaseNumber, CalculateRouteTableId; cmd/routed-eni-cni-plugin/driver/driver.go (branch)
CARD_TABLE_BASE = 10000
CARD_TABLE_STRIDE = 100
BRANCH_TABLE_BASE = 100

VETH_HASH_LEN = 11


def table_of_eni(eni: Eni) -> int:
    """Table id of an instance's interface: main for the primary, device + 1 on the first card, 10000 + 100 * card + device on others."""
    if eni.network_card > 0:
        return CARD_TABLE_BASE + CARD_TABLE_STRIDE * eni.network_card + eni.device_number
    return TABLE_MAIN if eni.device_number == 0 else eni.device_number + 1


def veth_name(namespace: str, pod: str, prefix: str, interface_index: int = 0) -> str:
    """Name of the pod's host veth; depends on the names alone, so a StatefulSet's pod that comes back has the same.

    Source: pkg/networkutils/names.go GeneratePodHostVethName.
    """
    name = pod if interface_index == 0 else f"{pod}.{interface_index}"
    digest = hashlib.sha1(f"{namespace}.{name}".encode(), usedforsecurity=False).hexdigest()
    return prefix + digest[:VETH_HASH_LEN]


def device_name(eni: Eni) -> str:
    """A name for the interface's device where no dump tells it; the plugin itself finds devices by MAC only.

    Predictable names count from ens5 on AL2023, one per device of the first card; further cards are named after the interface id.
    """
    return f"ens{5 + eni.device_number}" if eni.network_card == 0 else f"card{eni.network_card}dev{eni.device_number}"


def subnet_gateway(cidr: str) -> int:
    """IPv4 address of the VPC router in a subnet: its base + 1."""
    network = ip_network(cidr)
    if not isinstance(network, IPv4Network):
        raise TypeError(cidr)
    return int(network.network_address) + 1
