"""The rules, tables, routes and addresses that the plugin and the operating system program on a node, as one routing domain.

IPv4, for secondary addresses, delegated prefixes and custom networking alike. Source: amazon-vpc-cni-k8s v1.23.1
pkg/networkutils/network.go (SetupHostNetwork, setupENINetwork), cmd/routed-eni-cni-plugin/driver/driver.go (SetupPodNetwork).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from ipaddress import IPv4Network, ip_address, ip_network

from fastroute.cni import naming
from fastroute.cni.node import NodePlan
from fastroute.netns.model import (
    TABLE_LOCAL,
    TABLE_MAIN,
    Addr,
    InterfaceSysctls,
    Link,
    Namespace,
    NextHop,
    Prefix,
    Route,
    RouteType,
    Rule,
    Scope,
    Sysctls,
    default_rules,
)
from fastroute.topology import Eni, EniRole, Topology

# systemd-networkd's metric of routes from DHCP. Source: Amazon Linux 2023 network configuration.
DHCP_METRIC = 512
LOOSE_RP_FILTER = 2


def derive_namespace(topology: Topology, plan: NodePlan) -> Namespace:
    """Derive the node's network namespace as the plugin would leave it with the pods that are there now."""
    return Namespace(
        links=tuple(_links(plan)),
        addrs=tuple(_addrs(topology, plan)),
        rules=(*_rules(plan), *_kernel_rules(plan), *default_rules(6)),
        routes=tuple(_routes(topology, plan)),
        sysctls=Sysctls(
            ip_forward=True,
            interfaces={
                "all": InterfaceSysctls(rp_filter=0),
                "default": InterfaceSysctls(rp_filter=0),
                naming.device_name(plan.primary): InterfaceSysctls(rp_filter=LOOSE_RP_FILTER),
            },
        ),
    )


def _subnet(topology: Topology, eni: Eni) -> IPv4Network:
    network = ip_network(topology.subnets[eni.subnet_id].cidr)
    assert isinstance(network, IPv4Network)
    return network


def _v4(addr: str) -> int:
    return int(ip_address(addr))


def _host(addr: str) -> Prefix:
    return Prefix(_v4(addr), 32)


def _links(plan: NodePlan) -> Iterator[Link]:
    yield Link("lo", 1)
    for eni in plan.enis:
        yield Link(naming.device_name(eni), mac=eni.mac, mtu=9001)
    for attached in plan.pods:
        yield Link(attached.veth, kind="veth")


def _addrs(topology: Topology, plan: NodePlan) -> Iterator[Addr]:
    """Only the primary address of each interface is configured on its device; secondary ones belong to pods."""
    yield Addr("lo", 4, _v4("127.0.0.1"), 8, Scope.HOST)
    for eni in (plan.primary, *plan.managed):
        network = _subnet(topology, eni)
        yield Addr(naming.device_name(eni), 4, _v4(eni.addresses[0].addr), network.prefixlen, broadcast=int(network.broadcast_address))


def _rules(plan: NodePlan) -> Iterator[Rule]:
    settings = plan.settings
    for attached in plan.pods:
        yield Rule(naming.RULE_TO_POD, dst_prefix=_host(attached.addr), table_id=TABLE_MAIN)
    if settings.marks_connections:
        yield Rule(naming.RULE_MARKED, fwmark=settings.connmark, fwmask=settings.connmark, table_id=TABLE_MAIN)
    for cidr in settings.external_service_cidrs:
        network = ip_network(cidr)
        prefix = Prefix(int(network.network_address), network.prefixlen)
        yield Rule(naming.RULE_EXTERNAL_SERVICE, dst_prefix=prefix, table_id=TABLE_MAIN)
    for attached in plan.pods:
        if attached.table_id != TABLE_MAIN:
            yield Rule(naming.RULE_FROM_POD, src_prefix=_host(attached.addr), table_id=attached.table_id)
    for eni in plan.managed:
        if eni.role is not EniRole.TRUNK:
            yield Rule(naming.RULE_FROM_ENI, src_prefix=_host(eni.addresses[0].addr), table_id=naming.table_of_eni(eni))


def _kernel_rules(plan: NodePlan) -> Iterator[Rule]:
    """The rules that every namespace is born with; the plugin moves that of table local behind those of branch interfaces."""
    for rule in default_rules(4):
        yield replace(rule, priority=plan.local_rule, protocol="") if rule.table_id == TABLE_LOCAL and plan.local_rule else rule


def _routes(topology: Topology, plan: NodePlan) -> Iterator[Route]:
    primary = naming.device_name(plan.primary)
    node_addr = _v4(plan.snat_addr)
    network = _subnet(topology, plan.primary)
    gateway = int(network.network_address) + 1
    yield Route(
        TABLE_MAIN, 4, Prefix(0, 0), next_hops=(NextHop(primary, gateway, 4),), prefsrc=node_addr, metric=DHCP_METRIC, protocol="dhcp"
    )
    subnet_prefix = Prefix(int(network.network_address), network.prefixlen)
    yield Route(TABLE_MAIN, 4, subnet_prefix, next_hops=(NextHop(primary),), prefsrc=node_addr, scope=Scope.LINK, protocol="kernel")
    for attached in plan.pods:
        yield Route(TABLE_MAIN, 4, _host(attached.addr), next_hops=(NextHop(attached.veth),), scope=Scope.LINK)
    for eni in plan.managed:
        device, table_id = naming.device_name(eni), naming.table_of_eni(eni)
        gateway = int(_subnet(topology, eni).network_address) + 1
        yield Route(table_id, 4, Prefix(0, 0), next_hops=(NextHop(device, gateway, 4),))
        yield Route(table_id, 4, Prefix(gateway, 32), next_hops=(NextHop(device),), scope=Scope.LINK)
    yield from _local_routes(topology, plan)


def _local_routes(topology: Topology, plan: NodePlan) -> Iterator[Route]:
    """What the kernel adds to table local for each address on a device."""

    def local(device: str, prefix: Prefix, prefsrc: int, kind: RouteType, scope: Scope) -> Route:
        return Route(TABLE_LOCAL, 4, prefix, kind, (NextHop(device),), prefsrc=prefsrc, scope=scope, protocol="kernel")

    loopback = _v4("127.0.0.1")
    yield local("lo", Prefix(_v4("127.0.0.0"), 8), loopback, RouteType.LOCAL, Scope.HOST)
    yield local("lo", Prefix(loopback, 32), loopback, RouteType.LOCAL, Scope.HOST)
    yield local("lo", _host("127.255.255.255"), loopback, RouteType.BROADCAST, Scope.LINK)
    for eni in (plan.primary, *plan.managed):
        device, addr = naming.device_name(eni), _v4(eni.addresses[0].addr)
        broadcast = int(_subnet(topology, eni).broadcast_address)
        yield local(device, Prefix(addr, 32), addr, RouteType.LOCAL, Scope.HOST)
        yield local(device, Prefix(broadcast, 32), addr, RouteType.BROADCAST, Scope.LINK)
