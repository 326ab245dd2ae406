"""The things of a made account: network, machines, workloads.

They know each other directly, so the truth needs no look-up by text; and none prints its fields, as that would print the whole account.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from fastroute.synth.addresses import Block

TCP_NAME, UDP_NAME = "TCP", "UDP"


@dataclass(slots=True, eq=False, repr=False)
class Zone:
    """An availability zone: the name is per account, the id is the physical place."""

    name: str
    az_id: str


@dataclass(slots=True, eq=False, repr=False)
class Route:
    """One row of a route table. `target` is a gateway id or `local`; `prefix_list` replaces the destination where set."""

    destination: Block | None
    target: str
    state: str = "active"
    prefix_list: PrefixList | None = None


@dataclass(slots=True, eq=False, repr=False)
class RouteTable:
    """Routes of the subnets that are associated with it, and of all others when it is the main one."""

    id: str
    name: str
    vpc: Vpc
    routes: list[Route]
    is_main: bool = False


@dataclass(slots=True, eq=False, repr=False)
class Vpc:
    """A VPC with one or more CIDR blocks; `holders` says which interface holds an address."""

    id: str
    name: str
    region: str
    blocks: list[Block]
    subnets: list[Subnet] = field(default_factory=list)
    route_tables: list[RouteTable] = field(default_factory=list)
    holders: dict[int, Eni] = field(default_factory=dict)

    @property
    def main_table(self) -> RouteTable:
        """The table of every subnet without an association of its own."""
        return next(table for table in self.route_tables if table.is_main)

    def holds(self, addr: int) -> bool:
        """Whether one of the CIDR blocks covers the address."""
        return any(addr in block for block in self.blocks)


@dataclass(slots=True, eq=False, repr=False)
class Subnet:
    """A range of one zone. `table` is None where no table is associated."""

    id: str
    name: str
    vpc: Vpc
    zone: Zone
    block: Block
    table: RouteTable | None
    is_public: bool = False

    @property
    def routes(self) -> list[Route]:
        """The routes that hold here."""
        return (self.table or self.vpc.main_table).routes


@dataclass(slots=True, eq=False, repr=False)
class Eni:
    """A network interface. `secondary` are single addresses, `prefixes` delegated /28 blocks."""

    id: str
    subnet: Subnet
    primary: int
    mac: str
    interface_type: str = "interface"
    description: str = ""
    device_number: int | None = None
    secondary: list[int] = field(default_factory=list)
    prefixes: list[Block] = field(default_factory=list)
    public: int | None = None
    source_dest_check: bool = True
    requester: str | None = None
    instance: Instance | None = None

    @property
    def vpc(self) -> Vpc:
        """The VPC of its subnet."""
        return self.subnet.vpc

    @property
    def has_further_addresses(self) -> bool:
        """Whether it holds more than its primary address."""
        return bool(self.secondary or self.prefixes)


@dataclass(slots=True, eq=False, repr=False)
class Instance:
    """An EC2 instance; interfaces in attachment order, the first is the primary."""

    id: str
    name: str
    instance_type: str
    enis: list[Eni] = field(default_factory=list)
    node: Node | None = None


@dataclass(slots=True, eq=False, repr=False)
class Node:
    """A Kubernetes node: an instance, the pods on it, and the addresses that no pod holds."""

    name: str
    instance: Instance
    zone: Zone
    max_pods: int
    pods: list[Pod] = field(default_factory=list)
    warm: list[tuple[int, Eni]] = field(default_factory=list)

    @property
    def primary_eni(self) -> Eni:
        """The interface at device number 0."""
        return self.instance.enis[0]

    @property
    def address(self) -> int:
        """The node's address: the primary one of the primary interface."""
        return self.primary_eni.primary


@dataclass(slots=True, frozen=True)
class Port:
    """A port that a container or a service declares."""

    number: int
    protocol: str = TCP_NAME
    name: str = "http"


@dataclass(slots=True, frozen=True)
class Container:
    """One container of a pod template."""

    name: str
    image: str
    ports: tuple[Port, ...] = ()


@dataclass(slots=True, eq=False, repr=False)
class Workload:
    """What makes pods. `template_hash` is set for a Deployment, whose pods belong to its ReplicaSet."""

    kind: str
    namespace: str
    name: str
    containers: tuple[Container, ...]
    replicas: int
    uid: str
    host_network: bool = False
    template_hash: str = ""
    replica_set_uid: str = ""
    pods: list[Pod] = field(default_factory=list)

    @property
    def ports(self) -> list[Port]:
        """The ports of all containers."""
        return [port for container in self.containers for port in container.ports]


@dataclass(slots=True, eq=False, repr=False)
class Pod:
    """A pod. `eni` is None for host-network pods; a pod that ended keeps the address it once had in its status."""

    namespace: str
    name: str
    uid: str
    containers: tuple[Container, ...]
    workload: Workload | None
    node: Node
    phase: str = "Running"
    host_network: bool = False
    addr: int = 0
    eni: Eni | None = None
    started: datetime | None = None
    """When the kubelet took it on; None: with the cluster."""
    finished: datetime | None = None
    """When its last container ended, where the API says so."""


@dataclass(slots=True, eq=False, repr=False)
class Service:
    """A Service in front of one workload. `cluster_ip` is None when headless; node ports by position where it has them."""

    namespace: str
    name: str
    service_type: str
    cluster_ip: int | None
    ports: tuple[Port, ...]
    workload: Workload | None
    node_ports: tuple[int, ...] = ()


@dataclass(slots=True, eq=False, repr=False)
class PrefixList:
    """A managed prefix list of AWS, such as that of S3 in a region."""

    id: str
    name: str
    blocks: list[Block]


@dataclass(slots=True, eq=False, repr=False)
class NatGateway:
    """A public NAT gateway: one zone, one interface, one Elastic IP."""

    id: str
    eni: Eni
    allocation_id: str


@dataclass(slots=True, eq=False, repr=False)
class Peering:
    """A peering connection from `vpc` to another, which the snapshot may not hold."""

    id: str
    vpc: Vpc
    peer_id: str
    peer_owner: str
    peer_region: str
    peer_blocks: list[Block]
    peer: Vpc | None = None


@dataclass(slots=True, eq=False, repr=False)
class Endpoint:
    """A VPC endpoint: a gateway with a prefix list, or an interface endpoint with its ENIs."""

    id: str
    service_name: str
    vpc: Vpc
    prefix_list: PrefixList | None = None
    route_tables: list[RouteTable] = field(default_factory=list)
    enis: list[Eni] = field(default_factory=list)


@dataclass(slots=True, eq=False, repr=False)
class LoadBalancer:
    """A network or application load balancer: one ENI a zone."""

    arn: str
    name: str
    kind: str
    is_internet_facing: bool
    enis: list[Eni]


@dataclass(slots=True, eq=False, repr=False)
class TransitGateway:
    """A transit gateway, its attachment of the VPC, and the ranges behind it."""

    id: str
    attachment_id: str
    enis: list[Eni]
    on_prem: list[Block]
