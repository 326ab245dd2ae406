"""A small EKS node, as `ip` shows it: the worked example of amazon-vpc-cni-k8s with one secondary ENI, written out by hand."""

from ipaddress import ip_address, ip_network

from fastroute.netns.model import (
    ANY,
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

POD_A, POD_B, NODE, ENI_2 = (int(ip_address(a)) for a in ("10.0.5.5", "10.0.6.6", "10.0.0.10", "10.0.0.77"))
GATEWAY = int(ip_address("10.0.0.1"))
VETH_A, VETH_B = "enicc21c2d7785", "eni0d7763386da"


def addr(text: str) -> int:
    return int(ip_address(text))


def prefix(text: str) -> Prefix:
    if text == "default":
        return ANY
    network = ip_network(text)
    return Prefix(int(network.network_address), network.prefixlen)


def route(text: str, device: str, *, table_id: int = TABLE_MAIN, via: int | None = None, **more: object) -> Route:
    hop = NextHop(device, via, 4 if via is not None else 0)
    return Route(table_id, 4, prefix(text), next_hops=(hop,), **more)  # type: ignore[arg-type]


def local(text: str, device: str, kind: RouteType = RouteType.LOCAL) -> Route:
    return route(
        text, device, table_id=TABLE_LOCAL, type=kind, protocol="kernel", scope=Scope.HOST if kind is RouteType.LOCAL else Scope.LINK
    )


RULES = (
    *default_rules(4),
    Rule(512, dst_prefix=Prefix(POD_A, 32)),
    Rule(512, dst_prefix=Prefix(POD_B, 32)),
    Rule(1024, fwmark=0x80, fwmask=0x80),
    Rule(1536, src_prefix=Prefix(POD_B, 32), table_id=2),
    Rule(32765, src_prefix=Prefix(ENI_2, 32), table_id=2),
    *default_rules(6),
)
ROUTES = (
    route("default", "ens6", table_id=2, via=GATEWAY),
    route("10.0.0.1/32", "ens6", table_id=2, scope=Scope.LINK),
    route("default", "ens5", via=GATEWAY, protocol="dhcp", prefsrc=NODE, metric=512),
    route("10.0.0.0/19", "ens5", protocol="kernel", scope=Scope.LINK, prefsrc=NODE),
    route("10.0.5.5/32", VETH_A, scope=Scope.LINK),
    route("10.0.6.6/32", VETH_B, scope=Scope.LINK),
    local("10.0.0.10/32", "ens5"),
    local("10.0.0.77/32", "ens6"),
    local("10.0.31.255/32", "ens5", RouteType.BROADCAST),
    local("127.0.0.0/8", "lo"),
)
LINKS = tuple(Link(name, index) for index, name in enumerate(("lo", "ens5", "ens6", VETH_A, VETH_B), start=1))
ADDRS = (
    Addr("lo", 4, addr("127.0.0.1"), 8, Scope.HOST),
    Addr("ens5", 4, NODE, 19),
    Addr("ens6", 4, ENI_2, 19),
)
SYSCTLS = Sysctls(
    ip_forward=True,
    interfaces={
        "all": InterfaceSysctls(rp_filter=0),
        "default": InterfaceSysctls(rp_filter=0),
        "ens5": InterfaceSysctls(rp_filter=2),
    },
)
EKS_NODE = Namespace(LINKS, ADDRS, RULES, ROUTES, SYSCTLS)
