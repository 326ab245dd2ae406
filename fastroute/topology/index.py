"""Questions about a topology that need more than one look-up by id: whose address, which table, which interfaces."""

from __future__ import annotations

from collections import defaultdict
from functools import cached_property
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from fastroute.topology.model import Eni, Node, Pod, RouteTable, Topology, Vpc

DELEGATED_V4_LEN = 28
DELEGATED_V6_LEN = 80


def _delegation_key(vpc_id: str, addr: IPv4Address | IPv6Address) -> tuple[str, int, int]:
    host_bits = 32 - DELEGATED_V4_LEN if addr.version == 4 else 128 - DELEGATED_V6_LEN
    return vpc_id, addr.version, int(addr) >> host_bits


class TopologyIndex:
    """Reverse references of one topology; each is built on first use and kept."""

    def __init__(self, topology: Topology) -> None:
        self.topology = topology

    @cached_property
    def enis_of_instance(self) -> dict[str, list[Eni]]:
        """By instance id, ordered by network card and device number."""
        found: defaultdict[str, list[Eni]] = defaultdict(list)
        for eni in self.topology.enis.values():
            if eni.instance_id is not None:
                found[eni.instance_id].append(eni)
        for enis in found.values():
            enis.sort(key=lambda eni: (eni.network_card, eni.device_number, eni.id))
        return dict(found)

    @cached_property
    def node_of_instance(self) -> dict[str, Node]:
        return {node.instance_id: node for node in self.topology.nodes.values() if node.instance_id is not None}

    @cached_property
    def pods_of_node(self) -> dict[str, list[Pod]]:
        """By node name: the pods that are there now, host-network ones included."""
        found: defaultdict[str, list[Pod]] = defaultdict(list)
        for pod in self.topology.pods.values():
            if pod.node is not None and pod.holds_address:
                found[pod.node].append(pod)
        return dict(found)

    @cached_property
    def route_table_of_subnet(self) -> dict[str, RouteTable]:
        """By subnet id: the explicitly associated table, else the main table of the subnet's VPC."""
        main = {table.vpc_id: table for table in self.topology.route_tables.values() if table.is_main}
        explicit = {subnet_id: table for table in self.topology.route_tables.values() for subnet_id in table.subnet_ids}
        found = {}
        for subnet in self.topology.subnets.values():
            table = explicit.get(subnet.id) or main.get(subnet.vpc_id)
            if table is not None:
                found[subnet.id] = table
        return found

    @cached_property
    def _eni_of_address(self) -> dict[tuple[str, str], Eni]:
        found: dict[tuple[str, str], Eni] = {}
        for eni in self.topology.enis.values():
            for held in eni.addresses:
                found.setdefault((eni.vpc_id, held.addr), eni)
            for addr in eni.addresses6:
                found.setdefault((eni.vpc_id, addr), eni)
        return found

    @cached_property
    def _eni_of_delegation(self) -> dict[tuple[str, int, int], Eni]:
        return {
            _delegation_key(eni.vpc_id, ip_network(prefix).network_address): eni
            for eni in self.topology.enis.values()
            for prefix in (*eni.prefixes, *eni.prefixes6)
        }

    def eni_holding(self, vpc_id: str, addr: str) -> Eni | None:
        """The interface of the VPC that holds the address, itself or in a delegated prefix."""
        eni = self._eni_of_address.get((vpc_id, addr))
        if eni is None and self._eni_of_delegation:
            eni = self._eni_of_delegation.get(_delegation_key(vpc_id, ip_address(addr)))
        return eni

    @cached_property
    def eni_of_public_address(self) -> dict[str, Eni]:
        """By public IPv4 address (Elastic IP or assigned)."""
        return {held.public_addr: eni for eni in self.topology.enis.values() for held in eni.addresses if held.public_addr is not None}

    def enis_of_node(self, node: Node) -> list[Eni]:
        """Ordered by card and device number; empty where the instance or its interfaces are not in the snapshot."""
        return self.enis_of_instance.get(node.instance_id or "", [])

    def primary_eni_of_node(self, node: Node) -> Eni | None:
        return next((eni for eni in self.enis_of_node(node) if eni.is_primary), None)

    def vpc_of_node(self, node: Node) -> Vpc | None:
        primary = self.primary_eni_of_node(node)
        return self.topology.vpcs.get(primary.vpc_id) if primary is not None else None
