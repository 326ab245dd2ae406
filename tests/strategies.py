"""Hypothesis strategies of whole topologies: small accounts in which everything that AWS or Kubernetes allows, or forgets, can happen.

Blocks, zones and routes come from short lists, so that VPCs overlap, prefixes nest and references meet or miss each other often.
"""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_network
from typing import TypeVar

from hypothesis import strategies as st

from fastroute.topology import (
    Container,
    Eni,
    EniAddress,
    EniRole,
    Instance,
    InternetGateway,
    NatGateway,
    Node,
    Peering,
    PeeringEnd,
    Pod,
    Port,
    PrefixList,
    RouteTable,
    Service,
    ServicePort,
    Subnet,
    TargetKind,
    Topology,
    TransitGatewayAttachment,
    Vpc,
    VpcEndpoint,
    VpcRoute,
    VpnGateway,
)
from tests.zoo import REGION, Builder

T = TypeVar("T")

BLOCKS = ("10.0.0.0/24", "10.0.1.0/24", "10.0.0.0/22", "10.1.0.0/24", "100.64.0.0/24", "198.18.0.0/24", "203.0.113.0/24")
BLOCKS6 = ("2600:1f13:0:a00::/56", "2600:1f13:0:b00::/56")
ZONES = ("use1-az1", "use1-az2", "")
LISTS = {"pl-s3": ("52.216.0.0/15", "3.5.0.0/19"), "pl-corp": ("172.16.0.0/12", "10.0.0.0/8", "52.216.0.0/16"), "pl-dark": None}
DESTINATIONS = (
    *("0.0.0.0/0", "0.0.0.0/1", "128.0.0.0/1", "10.0.0.0/8", "10.0.0.0/15", "172.16.0.0/12", "172.0.0.0/8", "192.168.0.0/16"),
    *("52.216.0.0/16", "8.8.8.8/32", "8.8.8.0/24", "203.0.113.0/24", "10.0.1.128/25", "10.0.0.16/28", "10.0.0.20/32", "::/0"),
    *("2600:1f13::/32", "2001:db8::/32", "fd00::/8"),
    *(*LISTS, "pl-gone"),
)
ENVIRONMENT = {
    "AWS_VPC_K8S_CNI_EXTERNALSNAT": ("true", "false"),
    "AWS_VPC_CNI_NODE_PORT_SUPPORT": ("false", "true"),
    "AWS_VPC_K8S_CNI_EXCLUDE_SNAT_CIDRS": ("10.0.0.0/8", "172.16.0.0/12,10.1.0.0/25", "0.0.0.0/0"),
    "AWS_EXTERNAL_SERVICE_CIDRS": ("10.1.0.0/24", "8.8.8.0/24,10.0.0.0/28", "10.0.0.0/22"),
    "AWS_VPC_K8S_CNI_CONNMARK": ("0x400",),
    "AWS_VPC_K8S_CNI_VETHPREFIX": ("foo",),
    "MANAGE_UNTAGGED_ENI": ("false",),
    "ENABLE_MULTI_NIC": ("true",),
    "ENABLE_PREFIX_DELEGATION": ("true",),
    "ENABLE_POD_ENI": ("true",),
    "POD_SECURITY_GROUP_ENFORCING_MODE": ("standard", "strict"),
    "AWS_VPC_K8S_CNI_CUSTOM_NETWORK_CFG": ("true",),
}
CONTAINERS = (
    (),
    (Container("web", (Port(8080), Port(53, "UDP"))),),
    (Container("agent", (Port(9100), Port(40000))), Container("setup", (Port(9200, "SCTP"),), is_init=True)),
)
SECONDARY_ADDRS, NODE_ENIS, PODS = 3, 3, 4


class _Account:
    """A topology in the making: `draw` decides everything."""

    def __init__(self, draw: st.DrawFn) -> None:
        self.draw = draw
        self.b = Builder()
        self.free: dict[str, list[str]] = {}
        self.on_transit: list[str] = []
        self.num_public = 0
        self.num_enis = 0

    def one(self, choices: Sequence[T]) -> T:
        return self.draw(st.sampled_from(choices))

    def some(self, choices: Sequence[T], at_most: int, at_least: int = 0) -> list[T]:
        return self.draw(st.lists(st.sampled_from(choices), min_size=at_least, max_size=min(at_most, len(choices)), unique=True))

    def number(self, low: int, high: int) -> int:
        return self.draw(st.integers(low, high))

    def rarely(self, one_in: int = 6) -> bool:
        """False is what shrinking tends to."""
        return self.number(0, one_in - 1) == one_in - 1

    # --- the network

    def vpc(self, name: str) -> None:
        blocks: list[str] = []
        for block in self.some(BLOCKS, 3, 0 if self.rarely(12) else 1):
            if not any(ip_network(block).overlaps(ip_network(other)) for other in blocks):
                blocks.append(block)
        blocks6 = self.some(BLOCKS6, 1)
        region = "eu-west-1" if self.rarely() else REGION
        vpc_id = f"vpc-{name}"
        if not self.rarely(12):
            self.b.add(Vpc(vpc_id, region, "1", tuple(blocks), tuple(blocks6)))
        for i in range(self.number(1, 3)):
            self.subnet(f"subnet-{name}{i}", vpc_id, blocks, blocks6, i)

    def subnet(self, subnet_id: str, vpc_id: str, blocks: list[str], blocks6: list[str], i: int) -> None:
        """A quarter of a block: subnets of one VPC do not overlap."""
        cidr, cidrs6, addrs = "", (), []
        if blocks and not self.rarely(8):
            quarter = list(ip_network(self.one(blocks)).subnets(2))[i]
            cidr, addrs = str(quarter), [str(quarter[host]) for host in range(4, min(64, quarter.num_addresses - 1))]
        if blocks6 and self.rarely(2):
            half = list(ip_network(blocks6[0]).subnets(new_prefix=64))[i]
            cidrs6 = (str(half),)
        zone = self.one(ZONES)
        self.b.add(Subnet(subnet_id, vpc_id, REGION, zone, zone, cidr, cidrs6))
        self.free[subnet_id] = addrs

    def gateways(self, vpc_ids: list[str]) -> None:
        b, subnets = self.b, list(self.free)
        for i in range(self.number(0, 2)):
            b.add(InternetGateway(f"igw-{i}", tuple(self.some(vpc_ids, 1)), is_egress_only=False))
        for i in range(self.number(0, 1)):
            b.add(InternetGateway(f"eigw-{i}", tuple(self.some(vpc_ids, 1)), is_egress_only=True))
        for i in range(self.number(0, 2)):
            subnet_id = self.one((*subnets, "", "subnet-gone"))
            state = "failed" if self.rarely() else "available"
            vpc_id = b.t.subnets[subnet_id].vpc_id if subnet_id in b.t.subnets else vpc_ids[0]
            b.add(NatGateway(f"nat-{i}", vpc_id, subnet_id, state, not self.rarely(4), ()))
        for vpc_id in self.some(vpc_ids, 2):
            b.t.vpn_gateways[f"vgw-{vpc_id}"] = VpnGateway(f"vgw-{vpc_id}", () if self.rarely() else (vpc_id,))
        for i in range(self.number(0, 2)):
            pair = self.some((*vpc_ids, "vpc-far"), 2, 2)
            if not self.overlap(*pair):
                b.add(Peering(f"pcx-{i}", "expired" if self.rarely() else "active", *(self.peering_end(vpc_id) for vpc_id in pair)))
        for vpc_id in vpc_ids:
            if not any(self.overlap(vpc_id, other) for other in self.on_transit):
                self.on_transit.append(vpc_id)
        for i in range(self.number(0, 3) if self.on_transit else 0):
            kind = "vpn" if self.rarely() else "vpc"
            resource = self.one((*self.on_transit, "vpc-far")) if kind == "vpc" else "vpn-1"
            state = "deleted" if self.rarely() else "available"
            b.add(TransitGatewayAttachment(f"tgw-attach-{i}", self.one(("tgw-0", "tgw-0", "tgw-1")), kind, resource, state))
        for list_id in self.some(tuple(LISTS), 3):
            b.add(PrefixList(list_id, list_id, LISTS[list_id]))
        if self.rarely(2):
            kind = "GatewayLoadBalancer" if self.rarely() else "Gateway"
            b.add(VpcEndpoint("vpce-0", self.one(vpc_ids), kind, "s3", (), (), ()))

    def overlap(self, one: str, other: str) -> bool:
        """Whether two VPCs share addresses: AWS lets them not be peered, and a transit gateway cannot route between them."""
        blocks, others = ([ip_network(cidr) for cidr in self.blocks_of(vpc_id)] for vpc_id in (one, other))
        return any(a.version == b.version and a.overlaps(b) for a in blocks for b in others)

    def blocks_of(self, vpc_id: str) -> tuple[str, ...]:
        vpc = self.b.t.vpcs.get(vpc_id)
        return (*vpc.cidrs, *vpc.cidrs6) if vpc is not None else ()

    def peering_end(self, vpc_id: str) -> PeeringEnd:
        known = self.b.t.vpcs.get(vpc_id)
        if known is None:
            return PeeringEnd(vpc_id, "eu-west-1", "2", ("10.9.0.0/24",) if self.rarely(2) else ())
        return PeeringEnd(vpc_id, known.region, "1", known.cidrs, known.cidrs6)

    def tables(self, vpc_id: str) -> None:
        subnets = [subnet.id for subnet in self.b.t.subnets.values() if subnet.vpc_id == vpc_id]
        local = tuple(VpcRoute(cidr, TargetKind.LOCAL, "local") for cidr in self.blocks_of(vpc_id))
        left = list(subnets)
        for i in range(self.number(1, 2)):
            mine = self.some(left, len(left)) if left else []
            left = [subnet for subnet in left if subnet not in mine]
            is_main = i == 0 and not self.rarely()
            destinations = dict.fromkeys((*self.some(DESTINATIONS, 6), *(("0.0.0.0/0", "::/0") if self.rarely(2) else ())))
            routes = tuple(self.route(vpc_id, destination) for destination in destinations)
            more = tuple(self.propagated(vpc_id, destination) for destination in self.some(DESTINATIONS[:16], 2))
            self.b.add(RouteTable(f"rtb-{vpc_id}-{i}", vpc_id, REGION, is_main, tuple(mine), (), (*local, *routes, *more)))

    def route(self, vpc_id: str, destination: str) -> VpcRoute:
        t = self.b.t
        is_dead = self.rarely(10)
        if destination.startswith("pl-") and self.rarely(2):
            return VpcRoute(destination, TargetKind.GATEWAY_ENDPOINT, "vpce-0", is_dead)
        mine = [peering.id for peering in t.peerings.values() if vpc_id in {peering.requester.vpc_id, peering.accepter.vpc_id}]
        targets = [
            *((TargetKind.INTERNET_GATEWAY, name) for name in ("igw-0", "igw-1")),
            *((TargetKind.NAT_GATEWAY, nat.id) for nat in t.nat_gateways.values() if nat.vpc_id == vpc_id),
            (TargetKind.NAT_GATEWAY, "nat-gone"),
            *((TargetKind.TRANSIT_GATEWAY, name) for name in (("tgw-0", "tgw-1") if vpc_id in self.on_transit else ("tgw-2",))),
            *((TargetKind.PEERING, name) for name in (*mine, "pcx-gone")),
            (TargetKind.VPN_GATEWAY, f"vgw-{vpc_id}"),
            *((kind, kind.name) for kind in (TargetKind.INTERFACE, TargetKind.INSTANCE, TargetKind.OTHER)),
        ]
        if ":" in destination:
            targets.insert(0, (TargetKind.EGRESS_ONLY_GATEWAY, "eigw-0"))
        kind, target = self.one(targets)
        return VpcRoute(destination, kind, target, is_dead)

    def propagated(self, vpc_id: str, destination: str) -> VpcRoute:
        return VpcRoute(destination, TargetKind.VPN_GATEWAY, f"vgw-{vpc_id}", is_propagated=True)

    # --- interfaces, nodes, pods

    def take(self, subnet_id: str) -> str | None:
        """A free address of a subnet."""
        free = self.free.get(subnet_id)
        return free.pop(self.number(0, len(free) - 1)) if free else None

    def public(self) -> str | None:
        if not self.rarely(5):
            return None
        self.num_public += 1
        return f"203.0.113.{self.num_public}"

    def prefix(self, subnet_id: str) -> tuple[str, ...]:
        """A delegated /28 whose addresses are all free; they stay takeable by pods only."""
        cidr = self.b.t.subnets[subnet_id].cidr
        free = self.free[subnet_id]
        if not cidr or not self.rarely(3):
            return ()
        whole = [each for each in ip_network(cidr).subnets(new_prefix=28) if all(str(addr) in free for addr in each)]
        if not whole:
            return ()
        chosen = self.one(whole[:3])
        self.free[subnet_id] = [addr for addr in free if addr not in {str(each) for each in chosen}]
        return (str(chosen),)

    def eni(self, subnet_id: str, **fields: object) -> Eni:
        subnet = self.b.t.subnets[subnet_id]
        self.num_enis += 1
        num_addrs = 0 if self.rarely(12) else self.number(1, SECONDARY_ADDRS)
        taken = [addr for addr in (self.take(subnet_id) for _ in range(num_addrs)) if addr is not None]
        addresses = tuple(EniAddress(addr, i == 0, self.public()) for i, addr in enumerate(taken))
        addresses6, prefixes6 = (), ()
        if subnet.cidrs6 and self.rarely(2):
            network = ip_network(subnet.cidrs6[0])
            addresses6 = (str(network[self.num_enis]),)
            if self.rarely(3):
                prefixes6 = (str(list(network.subnets(new_prefix=72))[self.num_enis].network_address) + "/80",)
        eni = Eni(
            f"eni-{self.num_enis}",
            subnet.vpc_id,
            "subnet-gone" if self.rarely(20) else subnet_id,
            REGION,
            subnet.az,
            interface_type="interface",
            description="",
            addresses=addresses,
            prefixes=self.prefix(subnet_id) if taken else (),
            addresses6=addresses6,
            prefixes6=prefixes6,
            source_dest_check=not self.rarely(5),
            **{"role": EniRole.INSTANCE, **fields},  # type: ignore[arg-type]
        )
        self.b.add(eni)
        return eni

    def node(self, i: int) -> None:
        name, subnets = f"node-{i}", list(self.free)
        instance = None if self.rarely(10) else f"i-{i}"
        enis: list[Eni] = []
        home = self.one(subnets)
        neighbours = [s for s in subnets if self.b.t.subnets[s].vpc_id == self.b.t.subnets[home].vpc_id or self.rarely(20)]
        first = 1 if self.rarely(12) else 0
        for device in range(0 if self.rarely(10) else self.number(1, NODE_ENIS)):
            tags = {"node.k8s.amazonaws.com/no_manage": "true"} if self.rarely(8) else {}
            if self.rarely(3):
                tags["node.k8s.amazonaws.com/instance_id"] = instance or ""
            enis.append(
                self.eni(
                    home if device == 0 else self.one(neighbours),
                    instance_id=instance,
                    device_number=first + device,
                    network_card=1 if device > 0 and self.rarely(8) else 0,
                    tags=tags,
                    role=EniRole.TRUNK if device > 0 and self.rarely(8) else EniRole.INSTANCE,
                )
            )
        labels = {"eks.amazonaws.com/compute-type": self.one(("fargate", "auto"))} if self.rarely(12) else {}
        own = tuple(eni.addresses[0].addr for eni in enis[:1] if eni.addresses) or tuple(a for a in (self.take(home),) if a)
        self.b.add(Node(name, instance, own, az_id=self.b.t.subnets[home].az_id, labels=labels))
        if instance is not None and not self.rarely(8):
            self.b.add(Instance(instance, REGION, "m5.large", "running"))
        self.pods(name, home, enis, own)

    def pods(self, node: str, home: str, enis: list[Eni], own: tuple[str, ...]) -> None:
        enis = [eni for eni in enis if eni.vpc_id == enis[0].vpc_id]
        held = [addr.addr for eni in enis for addr in eni.addresses[1:]]
        held += [str(ip_network(prefix)[host]) for eni in enis for prefix in eni.prefixes for host in (0, 7, 15)]
        held6 = [addr for eni in enis for addr in eni.addresses6] + [p.partition("/")[0] + "5" for e in enis for p in e.prefixes6]
        for i in range(self.number(0, PODS)):
            is_host = self.rarely(4)
            addrs = list(own) if is_host else self.some(held, 2 if self.rarely(6) else 1) if held else []
            if not is_host and self.rarely(8):
                addrs = [addr for addr in (self.take(home),) if addr is not None]
            if held6 and self.rarely(5):
                addrs.append(self.one(held6))
            if not self.rarely(12):
                held = [addr for addr in held if addr not in addrs]
            self.b.add(
                Pod(
                    self.one(("default", "web")),
                    f"{node}-pod-{i}",
                    self.one(("node-gone", None)) if self.rarely(15) else node,
                    tuple(addrs),
                    is_host,
                    "Succeeded" if self.rarely(12) else "Running",
                    "Deployment",
                    "web",
                    self.one(CONTAINERS),
                    branch_eni="eni-1" if self.rarely(15) else None,
                )
            )

    def bare_interfaces(self) -> None:
        roles = (EniRole.OTHER, EniRole.LOAD_BALANCER, EniRole.VPC_ENDPOINT, EniRole.NAT_GATEWAY, EniRole.CONTROL_PLANE)
        for _ in range(self.number(0, 3)):
            self.eni(self.one(list(self.free)), role=self.one(roles))

    def services(self) -> None:
        for i in range(self.number(0, 2)):
            addrs = () if self.rarely(4) else (f"10.1.0.{10 + i}" if self.rarely(4) else f"172.20.0.{10 + i}",)
            node_port = 31000 if self.rarely(2) else 0
            self.b.add(Service("default", f"svc-{i}", "NodePort", addrs, (ServicePort(80, self.one(("TCP", "UDP")), node_port=node_port),)))


@st.composite
def topologies(draw: st.DrawFn) -> Topology:
    """One account. References may miss; ids are unique, and so are addresses within a VPC but for what pods claim."""
    account = _Account(draw)
    names = "abcd"[: account.number(1, 4)]
    for name in names:
        account.vpc(name)
    vpc_ids = [f"vpc-{name}" for name in names]
    account.gateways(vpc_ids)
    for vpc_id in vpc_ids:
        account.tables(vpc_id)
    for i in range(account.number(1, 3)):
        account.node(i)
    account.bare_interfaces()
    account.services()
    for variable in account.some(tuple(ENVIRONMENT), 3):
        account.b.t.cni_env[variable] = account.one(ENVIRONMENT[variable])
    if account.rarely(10):
        account.b.t.cni_env["ENABLE_IPv6"] = "true"
    return account.b.t
