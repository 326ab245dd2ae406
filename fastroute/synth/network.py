"""The VPC side of an account: ranges, subnets, route tables, gateways, endpoints, load balancers, peers, machines outside the cluster."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, field

from fastroute.errors import InputError
from fastroute.synth.addresses import AddressPool, Block, BlockPool, block
from fastroute.synth.ids import Ids
from fastroute.synth.nouns import (
    Endpoint,
    Eni,
    Instance,
    LoadBalancer,
    NatGateway,
    Peering,
    PrefixList,
    Route,
    RouteTable,
    Subnet,
    TransitGateway,
    Vpc,
    Zone,
)

REGION = "us-east-1"
PEER_REGION = "us-west-2"
ACCOUNT_ID = "111122223333"
PEER_ACCOUNT_ID = "444455556666"
CLUSTER_NAME = "synth"
# zone names are shuffled per account in older regions, so the letter says nothing about the number
ZONES = (("us-east-1a", "use1-az4"), ("us-east-1b", "use1-az6"), ("us-east-1c", "use1-az1"))

S3_BLOCKS = ("52.216.0.0/15", "54.231.0.0/16", "3.5.0.0/19", "16.182.0.0/16")
ON_PREM_BLOCKS = ("172.16.0.0/12", "192.168.0.0/16")
SERVICE_BLOCK = "172.20.0.0/16"
PEER_BLOCK, FAR_PEER_BLOCK, GONE_PEER_BLOCK = "10.200.0.0/16", "10.201.0.0/16", "10.250.0.0/16"
MAX_VPC_BLOCKS = 50
NODE_SUBNET_LEN, POD_SUBNET_LEN = 20, 18
HEADROOM = 1.2
DELEGATED_SHARE = 0.75


@dataclass(slots=True)
class Demand:
    """What the nodes of one zone need: single addresses and /28 blocks in node subnets, single addresses in pod subnets."""

    single: int = 0
    delegated: int = 0
    pod_single: int = 0


@dataclass(slots=True, repr=False)
class Network:
    """Everything that does not belong to a node. Lists by zone follow the order of `zones`."""

    zones: list[Zone]
    vpc: Vpc
    internet_gateway: str
    public: list[Subnet]
    intra: list[Subnet]
    node_subnets: list[list[Subnet]]
    pod_subnets: list[list[Subnet]]
    pools: dict[str, AddressPool]
    nat_gateways: list[NatGateway] = field(default_factory=list)
    peerings: list[Peering] = field(default_factory=list)
    endpoints: list[Endpoint] = field(default_factory=list)
    load_balancers: list[LoadBalancer] = field(default_factory=list)
    control_plane: list[Eni] = field(default_factory=list)
    databases: list[Eni] = field(default_factory=list)
    instances: list[Instance] = field(default_factory=list)
    peer_instances: list[Instance] = field(default_factory=list)
    transit_gateway: TransitGateway | None = None
    enis: list[Eni] = field(default_factory=list)


class NetworkMaker:
    """Makes a network that is large enough for a demand by zone."""

    def __init__(self, ids: Ids, rng: random.Random, mode: str) -> None:
        self._ids = ids
        self._rng = rng
        self._mode = mode
        self._public_taken: set[int] = set()
        self._pools: dict[str, AddressPool] = {}
        self._enis: list[Eni] = []

    def make(self, demand: list[Demand]) -> Network:
        """The network; raises InputError when the demand needs more CIDR blocks than a VPC can have."""
        zones = [Zone(*each) for each in ZONES]
        per_zone = max(2, *(self._num_node_subnets(each) for each in demand))
        num_blocks = max(2, math.ceil((1 + len(zones) * per_zone) / 16))
        num_pod = max(1, *(math.ceil(each.pod_single * HEADROOM / ((1 << 32 - POD_SUBNET_LEN) - 5)) for each in demand))
        num_pod_blocks = math.ceil(len(zones) * num_pod / 4) if self._mode == "custom" else 0
        if num_blocks + num_pod_blocks > MAX_VPC_BLOCKS:
            raise InputError(
                f"{num_blocks + num_pod_blocks} CIDR blocks would be needed, a VPC has at most {MAX_VPC_BLOCKS}; ask for fewer nodes"
            )
        node_blocks = [block(f"10.{i}.0.0/16") for i in range(num_blocks)]
        pod_blocks = [block(f"100.{64 + i}.0.0/16") for i in range(num_pod_blocks)]
        vpc = Vpc(self._ids.aws("vpc"), CLUSTER_NAME, REGION, [*node_blocks, *pod_blocks])

        pool = BlockPool(node_blocks)
        public = [self._subnet(vpc, f"public-{zone.name}", zone, pool.take(22), is_public=True) for zone in zones]
        small = BlockPool([pool.take(22)])
        intra = [self._subnet(vpc, f"intra-{zone.name}", zone, small.take(24)) for zone in zones]
        share = DELEGATED_SHARE if self._mode == "prefix" else 0.0
        node_subnets: list[list[Subnet]] = [[] for _ in zones]
        for i in range(per_zone):
            for subnets, zone in zip(node_subnets, zones, strict=True):
                subnets.append(self._subnet(vpc, f"node-{zone.name}-{i}", zone, pool.take(NODE_SUBNET_LEN, i), share=share))
        pod_pool = BlockPool(pod_blocks)
        pod_subnets: list[list[Subnet]] = [[] for _ in zones]
        for i in range(num_pod if pod_blocks else 0):
            for subnets, zone in zip(pod_subnets, zones, strict=True):
                subnets.append(self._subnet(vpc, f"pod-{zone.name}-{i}", zone, pod_pool.take(POD_SUBNET_LEN)))

        network = Network(zones, vpc, self._ids.aws("igw"), public, intra, node_subnets, pod_subnets, self._pools, enis=self._enis)
        self._gateways(network)
        self._tables(network)
        self._residents(network)
        return network

    def eni(self, subnet: Subnet, **attributes: object) -> Eni:
        """An interface with a free address of the subnet, registered with its VPC."""
        made = Eni(self._ids.aws("eni"), subnet, self._pools[subnet.id].take(), self._ids.mac(), **attributes)  # type: ignore[arg-type]
        subnet.vpc.holders[made.primary] = made
        self._enis.append(made)
        return made

    def public_address(self) -> int:
        """An address of Amazon's public ranges that nobody else in the account has."""
        ranges = (block("18.204.0.0/14"), block("44.192.0.0/11"))
        while True:
            chosen = self._rng.choice(ranges)
            addr = chosen.base + self._rng.randrange(chosen.size)
            if addr not in self._public_taken:
                self._public_taken.add(addr)
                return addr

    def _num_node_subnets(self, demand: Demand) -> int:
        share = DELEGATED_SHARE if self._mode == "prefix" else 0.0
        single = demand.single * HEADROOM / (4091 * (1 - share))
        delegated = demand.delegated * HEADROOM / (255 * share) if share else 0.0
        return math.ceil(max(single, delegated))

    def _subnet(self, vpc: Vpc, name: str, zone: Zone, cut: Block, *, is_public: bool = False, share: float = 0.0) -> Subnet:
        subnet = Subnet(self._ids.aws("subnet"), name, vpc, zone, cut, None, is_public)
        vpc.subnets.append(subnet)
        self._pools[subnet.id] = AddressPool(cut, self._rng, delegated_share=share)
        return subnet

    def _table(self, vpc: Vpc, name: str, routes: list[Route], subnets: list[Subnet], *, is_main: bool = False) -> RouteTable:
        local = [Route(each, "local") for each in vpc.blocks]
        table = RouteTable(self._ids.aws("rtb"), name, vpc, local + routes, is_main)
        vpc.route_tables.append(table)
        for subnet in subnets:
            subnet.table = table
        return table

    def _gateways(self, network: Network) -> None:
        ids = self._ids
        for subnet in network.public:
            nat_id = ids.aws("nat")
            eni = self.eni(
                subnet,
                interface_type="nat_gateway",
                description=f"Interface for NAT Gateway {nat_id}",
                public=self.public_address(),
                source_dest_check=False,
                requester=ACCOUNT_ID,
            )
            network.nat_gateways.append(NatGateway(nat_id, eni, ids.aws("eipalloc")))
        attachment = ids.aws("tgw-attach")
        description = f"Network Interface for Transit Gateway Attachment {attachment}"
        tgw_enis = [
            self.eni(subnet, interface_type="transit_gateway", description=description, requester=ACCOUNT_ID, source_dest_check=False)
            for subnet in network.intra
        ]
        network.transit_gateway = TransitGateway(ids.aws("tgw"), attachment, tgw_enis, [block(each) for each in ON_PREM_BLOCKS])
        s3 = PrefixList("pl-63a5400a", f"com.amazonaws.{REGION}.s3", [block(each) for each in S3_BLOCKS])
        network.endpoints.append(Endpoint(ids.aws("vpce"), s3.name, network.vpc, prefix_list=s3))
        interface_endpoint = Endpoint(ids.aws("vpce"), f"com.amazonaws.{REGION}.sts", network.vpc)
        interface_endpoint.enis = [
            self.eni(
                subnet,
                interface_type="vpc_endpoint",
                description=f"VPC Endpoint Interface {interface_endpoint.id}",
                requester="727180483921",
            )
            for subnet in network.intra[:2]
        ]
        network.endpoints.append(interface_endpoint)

        peer = Vpc(ids.aws("vpc"), "shared-services", REGION, [block(PEER_BLOCK)])
        peer_pool = BlockPool(peer.blocks)
        for zone in network.zones[:2]:
            self._subnet(peer, f"shared-{zone.name}", zone, peer_pool.take(24))
        network.peerings += [
            Peering(ids.aws("pcx"), network.vpc, peer.id, ACCOUNT_ID, REGION, peer.blocks, peer),
            Peering(ids.aws("pcx"), network.vpc, ids.aws("vpc"), PEER_ACCOUNT_ID, PEER_REGION, [block(FAR_PEER_BLOCK)]),
        ]

    def _tables(self, network: Network) -> None:
        gateway, transit = network.endpoints[0], network.transit_gateway
        assert transit is not None
        to_s3 = Route(None, gateway.id, prefix_list=gateway.prefix_list)
        to_peers = [Route(each, peering.id) for peering in network.peerings for each in peering.peer_blocks]
        to_on_prem = [Route(each, transit.id) for each in transit.on_prem]
        gone = Route(block(GONE_PEER_BLOCK), self._ids.aws("pcx"), state="blackhole")
        everywhere = block("0.0.0.0/0")

        vpc = network.vpc
        self._table(vpc, "main", [*to_on_prem, to_peers[0]], [], is_main=True)
        public = [Route(everywhere, network.internet_gateway), to_s3, *to_on_prem, *to_peers]
        tables = [self._table(vpc, "public", public, network.public)]
        for i, (zone, nat) in enumerate(zip(network.zones, network.nat_gateways, strict=True)):
            private = [Route(everywhere, nat.id), to_s3, *to_on_prem, *to_peers, gone]
            tables.append(self._table(vpc, f"private-{zone.name}", private, network.node_subnets[i]))
            if network.pod_subnets[i]:
                tables.append(self._table(vpc, f"pod-{zone.name}", private, network.pod_subnets[i]))
        gateway.route_tables = tables

        near = network.peerings[0]
        assert near.peer is not None
        back = [Route(each, near.id) for each in vpc.blocks]
        self._table(near.peer, "shared-main", back, [], is_main=True)

    def _residents(self, network: Network) -> None:
        for name, kind, facing, subnets in (
            ("edge", "network", True, network.public),
            ("internal", "application", False, network.intra),
        ):
            short = "net" if kind == "network" else "app"
            tail = f"{name}/{self._rng.getrandbits(64):016x}"
            balancer = LoadBalancer(
                f"arn:aws:elasticloadbalancing:{REGION}:{ACCOUNT_ID}:loadbalancer/{short}/{tail}", name, kind, facing, []
            )
            for subnet in subnets:
                balancer.enis.append(
                    self.eni(
                        subnet,
                        interface_type="network_load_balancer" if kind == "network" else "interface",
                        description=f"ELB {short}/{tail}",
                        requester="amazon-elb",
                        public=self.public_address() if facing else None,
                        source_dest_check=kind != "network",
                    )
                )
            network.load_balancers.append(balancer)
        network.control_plane = [
            self.eni(subnet, description=f"Amazon EKS {CLUSTER_NAME}", requester="218971063371") for subnet in network.intra[:2]
        ]
        network.databases = [self.eni(network.intra[2], description="RDSNetworkInterface", requester="amazon-rds")]
        network.instances = [
            self.machine("bastion", "t3.micro", network.public[0], public=self.public_address()),
            self.machine("mail-relay", "t3.small", network.public[1], public=self.public_address()),
            self.machine("legacy-app", "m5.large", network.intra[1]),
        ]
        peer = network.peerings[0].peer
        assert peer is not None
        network.peer_instances = [self.machine(f"shared-{i}", "t3.large", peer.subnets[i % 2]) for i in range(3)]

    def machine(self, name: str, type_name: str, subnet: Subnet, *, public: int | None = None) -> Instance:
        """An instance with its primary interface."""
        instance = Instance(self._ids.aws("i"), name, type_name)
        instance.enis.append(self.eni(subnet, device_number=0, description="", public=public, instance=instance))
        return instance
