"""Named small topologies, built by hand from the nouns: every awkward thing that a snapshot can hold, in few lines."""

from __future__ import annotations

from ipaddress import ip_network

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
    TransitGateway,
    TransitGatewayAttachment,
    Vpc,
    VpcEndpoint,
    VpcRoute,
)

REGION = "us-east-1"
NOWHERE = (
    *(
        "8.8.8.8",
        "169.254.169.254",
        "169.254.169.253",
        "169.254.20.10",
        "127.0.0.1",
        "10.200.0.1",
        "224.0.0.1",
        "255.255.255.255",
        "0.0.0.0",
    ),
    *("2001:4860:4860::8888", "fd00:ec2::254", "fd00:ec2::23", "fe80::1", "::1", "::", "fd12:3456:789a::a", "ff02::1", "64:ff9b::808:808"),
)
"""Addresses that no snapshot holds."""
WEB = (Container("web", (Port(8080), Port(53, "UDP"))),)


class Builder:
    """Collects nouns; `topology()` freezes them. The example VPC is 10.0.0.0/16 with a second block 100.64.0.0/16."""

    def __init__(self) -> None:
        self.t = Topology()

    def add(self, *nouns: object) -> None:
        stores = {
            Vpc: self.t.vpcs,
            Subnet: self.t.subnets,
            RouteTable: self.t.route_tables,
            Eni: self.t.enis,
            Instance: self.t.instances,
            InternetGateway: self.t.internet_gateways,
            NatGateway: self.t.nat_gateways,
            Peering: self.t.peerings,
            TransitGateway: self.t.transit_gateways,
            TransitGatewayAttachment: self.t.attachments,
            VpcEndpoint: self.t.vpc_endpoints,
            PrefixList: self.t.prefix_lists,
        }
        for noun in nouns:
            if isinstance(noun, Node):
                self.t.nodes[noun.name] = noun
            elif isinstance(noun, Pod):
                self.t.pods[noun.key] = noun
            elif isinstance(noun, Service):
                self.t.services[noun.key] = noun
            else:
                stores[type(noun)][noun.id] = noun  # type: ignore[index,attr-defined]

    def eni(
        self,
        eni_id: str,
        subnet_id: str,
        addrs: tuple[str, ...],
        *,
        instance: str | None = None,
        device: int = -1,
        public: str | None = None,
        prefixes: tuple[str, ...] = (),
        role: EniRole = EniRole.INSTANCE,
        check: bool = True,
        tags: dict[str, str] | None = None,
    ) -> Eni:
        subnet = self.t.subnets[subnet_id]
        addresses = tuple(EniAddress(addr, i == 0, public if i == 0 else None) for i, addr in enumerate(addrs))
        eni = Eni(
            eni_id,
            subnet.vpc_id,
            subnet_id,
            REGION,
            subnet.az,
            role,
            "interface",
            "",
            addresses,
            prefixes,
            instance_id=instance,
            device_number=device,
            source_dest_check=check,
            tags=tags or {},
        )
        self.add(eni)
        return eni

    def node(self, name: str, instance: str, az_id: str) -> Node:
        node = Node(name, instance, (), az_id=az_id)
        self.add(node, Instance(instance, REGION, "m5.large", "running"))
        return node

    def pod(self, name: str, node: str, addr: str, *, host: bool = False, containers: tuple[Container, ...] = WEB, **more: object) -> Pod:
        pod = Pod("default", name, node, (addr,), host, "Running", "Deployment", name.rsplit("-", 1)[0], containers, **more)  # type: ignore[arg-type]
        self.add(pod)
        return pod


def subnet(subnet_id: str, cidr: str, zone: int, vpc: str = "vpc-a") -> Subnet:
    return Subnet(subnet_id, vpc, REGION, f"{REGION}{'abc'[zone]}", f"use1-az{zone + 1}", cidr)


def local(*cidrs: str) -> tuple[VpcRoute, ...]:
    return tuple(VpcRoute(cidr, TargetKind.LOCAL, "local") for cidr in cidrs)


def everything(env: dict[str, str] | None = None) -> Topology:
    """One VPC with four nodes in two zones and every kind of neighbour, gateway and end that the model knows.

    node-a: primary and one further interface in private subnet a; pods on both; a host-network pod; node-b in zone b, delegated prefixes;
    node-c in a public subnet with a public address; node-d is known to Kubernetes only.
    """
    b = Builder()
    blocks = ("10.0.0.0/16", "100.64.0.0/16")
    b.add(
        Vpc("vpc-a", REGION, "1", blocks),
        Vpc("vpc-b", REGION, "1", ("10.1.0.0/16",)),
        Vpc("vpc-c", REGION, "1", ("10.2.0.0/16",)),
        Vpc("vpc-twin1", REGION, "1", ("10.7.0.0/16",)),
        Vpc("vpc-twin2", REGION, "1", ("10.7.0.0/16",)),
        subnet("subnet-a", "10.0.0.0/19", 0),
        subnet("subnet-b", "10.0.32.0/19", 1),
        subnet("subnet-pub", "10.0.96.0/20", 0),
        subnet("subnet-cg", "100.64.0.0/19", 0),
        subnet("subnet-lost", "10.0.200.0/24", 1),
        subnet("subnet-x", "10.1.0.0/24", 1, "vpc-b"),
        subnet("subnet-y", "10.2.0.0/24", 0, "vpc-c"),
        subnet("subnet-twin1", "10.7.1.0/24", 0, "vpc-twin1"),
        subnet("subnet-twin2", "10.7.1.0/24", 0, "vpc-twin2"),
    )
    private = (
        *local(*blocks),
        VpcRoute("0.0.0.0/0", TargetKind.NAT_GATEWAY, "nat-a"),
        VpcRoute("pl-s3", TargetKind.GATEWAY_ENDPOINT, "vpce-s3"),
        VpcRoute("10.1.0.0/16", TargetKind.PEERING, "pcx-b"),
        VpcRoute("10.7.1.0/25", TargetKind.PEERING, "pcx-twin1"),
        VpcRoute("10.7.1.128/25", TargetKind.PEERING, "pcx-twin2"),
        VpcRoute("10.9.0.0/16", TargetKind.PEERING, "pcx-far"),
        VpcRoute("10.8.0.0/16", TargetKind.PEERING, "pcx-dead"),
        VpcRoute("10.2.0.0/15", TargetKind.TRANSIT_GATEWAY, "tgw-1"),
        VpcRoute("172.16.0.0/12", TargetKind.TRANSIT_GATEWAY, "tgw-1"),
        VpcRoute("192.168.0.0/16", TargetKind.VPN_GATEWAY, "vgw-1", is_propagated=True),
        VpcRoute("10.0.64.0/20", TargetKind.VPN_GATEWAY, "vgw-1", is_propagated=True),
        VpcRoute("198.51.100.0/24", TargetKind.INTERFACE, "eni-fw"),
        VpcRoute("198.51.101.0/24", TargetKind.NAT_GATEWAY, "nat-gone", is_blackhole=True),
    )
    public = (
        *local(*blocks),
        VpcRoute("0.0.0.0/0", TargetKind.INTERNET_GATEWAY, "igw-a"),
        VpcRoute("10.1.0.0/16", TargetKind.PEERING, "pcx-b"),
    )
    b.add(
        RouteTable("rtb-main", "vpc-a", REGION, True, (), (), local(*blocks)),
        RouteTable("rtb-priv", "vpc-a", REGION, False, ("subnet-a", "subnet-b", "subnet-cg"), (), private),
        RouteTable("rtb-pub", "vpc-a", REGION, False, ("subnet-pub",), (), public),
        RouteTable("rtb-x", "vpc-b", REGION, True, (), (), (*local("10.1.0.0/16"), VpcRoute("10.0.0.0/16", TargetKind.PEERING, "pcx-b"))),
        RouteTable(
            "rtb-y", "vpc-c", REGION, True, (), (), (*local("10.2.0.0/16"), VpcRoute("0.0.0.0/0", TargetKind.TRANSIT_GATEWAY, "tgw-1"))
        ),
        InternetGateway("igw-a", ("vpc-a",)),
        NatGateway("nat-a", "vpc-a", "subnet-pub", "available", True, ("eni-nat",)),
        PrefixList("pl-s3", "com.amazonaws.us-east-1.s3", ("52.216.0.0/15", "3.5.0.0/19")),
        VpcEndpoint("vpce-s3", "vpc-a", "Gateway", "com.amazonaws.us-east-1.s3", ("rtb-priv",), (), ()),
        VpcEndpoint("vpce-ecr", "vpc-a", "Interface", "com.amazonaws.us-east-1.ecr.api", (), ("subnet-a",), ("eni-vpce",)),
        Peering("pcx-b", "active", PeeringEnd("vpc-a", REGION, "1", blocks), PeeringEnd("vpc-b", REGION, "1", ("10.1.0.0/16",))),
        Peering("pcx-far", "active", PeeringEnd("vpc-a", REGION, "1", blocks), PeeringEnd("vpc-z", "eu-west-1", "2", ("10.9.0.0/16",))),
        Peering("pcx-dead", "expired", PeeringEnd("vpc-a", REGION, "1", blocks), PeeringEnd("vpc-q", REGION, "2", ("10.8.0.0/16",))),
        Peering("pcx-twin1", "active", PeeringEnd("vpc-a", REGION, "1", blocks), PeeringEnd("vpc-twin1", REGION, "1", ("10.7.0.0/16",))),
        Peering("pcx-twin2", "active", PeeringEnd("vpc-a", REGION, "1", blocks), PeeringEnd("vpc-twin2", REGION, "1", ("10.7.0.0/16",))),
        TransitGateway("tgw-1", REGION, "1"),
        TransitGatewayAttachment("tgw-attach-a", "tgw-1", "vpc", "vpc-a", "available"),
        TransitGatewayAttachment("tgw-attach-c", "tgw-1", "vpc", "vpc-c", "available"),
    )
    b.node("node-a", "i-a", "use1-az1")
    b.eni("eni-a0", "subnet-a", ("10.0.0.10", "10.0.5.5", "10.0.5.6"), instance="i-a", device=0)
    b.eni("eni-a1", "subnet-a", ("10.0.0.77", "10.0.6.6", "10.0.6.7"), instance="i-a", device=1)
    b.eni("eni-a2", "subnet-cg", ("100.64.0.77", "100.64.5.5"), instance="i-a", device=2)
    b.eni("eni-a3", "subnet-a", ("10.0.0.88", "10.0.7.1"), instance="i-a", device=3, tags={"node.k8s.amazonaws.com/no_manage": "true"})
    b.pod("web-a", "node-a", "10.0.5.5")
    b.pod("web-b", "node-a", "10.0.6.6")
    b.pod("web-c", "node-a", "100.64.5.5")
    b.pod("agent-a", "node-a", "10.0.0.10", host=True, containers=(Container("agent", (Port(9100),)),))
    b.node("node-b", "i-b", "use1-az2")
    b.eni("eni-b0", "subnet-b", ("10.0.32.10",), instance="i-b", device=0, prefixes=("10.0.40.0/28",))
    b.eni("eni-b1", "subnet-b", ("10.0.32.11",), instance="i-b", device=1, prefixes=("10.0.40.16/28",))
    b.pod("db-a", "node-b", "10.0.40.3")
    b.pod("db-b", "node-b", "10.0.40.17")
    b.pod("db-lost", "node-b", "10.0.45.45")
    b.pod("agent-b", "node-b", "10.0.32.10", host=True, containers=(Container("agent", (Port(9100),)),))
    b.pod("agent-c", "node-b", "10.0.32.10", host=True, containers=(Container("agent", (Port(9100), Port(9200))),))
    b.node("node-c", "i-c", "use1-az1")
    b.eni("eni-c0", "subnet-pub", ("10.0.96.30", "10.0.96.31"), instance="i-c", device=0, public="203.0.113.30")
    b.pod("edge-a", "node-c", "10.0.96.31")
    b.node("node-d", "i-d", "use1-az2")
    b.pod("dark-a", "node-d", "10.0.60.1")
    b.eni("eni-nat", "subnet-pub", ("10.0.96.20",), role=EniRole.NAT_GATEWAY, public="203.0.113.20", check=False)
    b.eni("eni-fw", "subnet-pub", ("10.0.96.40",), check=False)
    b.eni("eni-lb", "subnet-pub", ("10.0.96.50",), role=EniRole.LOAD_BALANCER, public="203.0.113.50")
    b.eni("eni-vpce", "subnet-a", ("10.0.3.3",), role=EniRole.VPC_ENDPOINT)
    b.eni("eni-lost", "subnet-lost", ("10.0.200.9",))
    b.eni("eni-x", "subnet-x", ("10.1.0.9",))
    b.eni("eni-y", "subnet-y", ("10.2.0.9",))
    b.eni("eni-twin1", "subnet-twin1", ("10.7.1.9", "10.7.1.200"))
    b.eni("eni-twin2", "subnet-twin2", ("10.7.1.10", "10.7.1.201"))
    b.add(Service("default", "web", "NodePort", ("172.20.0.10",), (ServicePort(80, "TCP", node_port=31000),)))
    b.t.cni_env.update(env or {})
    return b.t


def interesting_addresses(topology: Topology, family: int = 4) -> list[str]:
    """Every address that something holds, the edges of every range, and some that nobody holds."""
    enis, vpcs, subnets = topology.enis.values(), topology.vpcs.values(), topology.subnets.values()
    found = {held.addr for eni in enis for held in eni.addresses} | {addr for eni in enis for addr in eni.addresses6}
    found |= {held.public_addr for eni in enis for held in eni.addresses if held.public_addr}
    found |= {addr for pod in topology.pods.values() for addr in pod.addrs}
    found |= {addr for node in topology.nodes.values() for addr in node.addrs}
    found |= {addr for service in topology.services.values() for addr in service.cluster_addrs}
    ranges = [prefix for eni in enis for prefix in (*eni.prefixes, *eni.prefixes6)]
    ranges += [cidr for each in subnets for cidr in (each.cidr, *each.cidrs6) if cidr] + [c for v in vpcs for c in (*v.cidrs, *v.cidrs6)]
    ranges += [r.destination for t in topology.route_tables.values() for r in t.routes if not r.destination.startswith("pl-")]
    ranges += [p for lst in topology.prefix_lists.values() for p in lst.prefixes or ()]
    for prefix in ranges:
        network = ip_network(prefix)
        for i in {0, 1, 2, 3, network.num_addresses // 2, network.num_addresses - 1}:
            if i < network.num_addresses:
                found.add(str(network[i]))
    found |= set(NOWHERE)
    return sorted(addr for addr in found if (":" in addr) == (family == 6))
