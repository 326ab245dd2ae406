"""The nouns of a snapshot, as AWS and Kubernetes name them. Addresses and prefixes are canonical text; cross-references are ids.

Everything here is immutable and readable; `datapath.compile` turns it into arrays. A reference may point to something that the snapshot
does not hold: `check` lists those as findings, and whoever follows a reference uses `.get`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum


class TargetKind(Enum):
    """Where a VPC route leads."""

    LOCAL = "local"
    INTERNET_GATEWAY = "internet gateway"
    EGRESS_ONLY_GATEWAY = "egress-only internet gateway"
    NAT_GATEWAY = "NAT gateway"
    TRANSIT_GATEWAY = "transit gateway"
    VPN_GATEWAY = "virtual private gateway"
    PEERING = "VPC peering connection"
    GATEWAY_ENDPOINT = "gateway endpoint"
    INTERFACE = "network interface"
    INSTANCE = "instance"
    OTHER = "other target"


class EniRole(Enum):
    """Whose interface it is, by its type, requester and description."""

    INSTANCE = "instance"
    NAT_GATEWAY = "NAT gateway"
    LOAD_BALANCER = "load balancer"
    VPC_ENDPOINT = "VPC endpoint"
    CONTROL_PLANE = "EKS control plane"
    TRANSIT_GATEWAY = "transit gateway attachment"
    TRUNK = "trunk"
    BRANCH = "branch"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Vpc:
    id: str
    region: str
    account_id: str
    cidrs: tuple[str, ...]
    cidrs6: tuple[str, ...] = ()
    name: str = ""


@dataclass(frozen=True, slots=True)
class Subnet:
    id: str
    vpc_id: str
    region: str
    az: str
    az_id: str
    cidr: str
    cidrs6: tuple[str, ...] = ()
    name: str = ""


@dataclass(frozen=True, slots=True)
class VpcRoute:
    """One route of a VPC route table. `destination` is a prefix, or the id of a prefix list (`pl-...`)."""

    destination: str
    target_kind: TargetKind
    target: str
    is_blackhole: bool = False
    is_propagated: bool = False


@dataclass(frozen=True, slots=True)
class RouteTable:
    """`subnet_ids` and `gateway_ids` are its explicit associations; the main table serves the VPC's other subnets."""

    id: str
    vpc_id: str
    region: str
    is_main: bool
    subnet_ids: tuple[str, ...]
    gateway_ids: tuple[str, ...]
    routes: tuple[VpcRoute, ...]


@dataclass(frozen=True, slots=True)
class EniAddress:
    addr: str
    is_primary: bool = False
    public_addr: str | None = None


@dataclass(frozen=True, slots=True)
class Eni:
    """`addresses` are IPv4, the primary first; `prefixes` delegated /28s; `addresses6`, `prefixes6` likewise."""

    id: str
    vpc_id: str
    subnet_id: str
    region: str
    az: str
    role: EniRole
    interface_type: str
    description: str
    addresses: tuple[EniAddress, ...]
    prefixes: tuple[str, ...] = ()
    addresses6: tuple[str, ...] = ()
    prefixes6: tuple[str, ...] = ()
    instance_id: str | None = None
    device_number: int = -1
    network_card: int = 0
    source_dest_check: bool = True
    mac: str = ""
    requester_id: str = ""
    account_id: str = ""
    tags: dict[str, str] = field(default_factory=dict)

    @property
    def is_primary(self) -> bool:
        """The instance's first interface: card 0, device 0."""
        return self.instance_id is not None and self.device_number == 0 and self.network_card == 0


@dataclass(frozen=True, slots=True)
class Instance:
    id: str
    region: str
    instance_type: str
    state: str
    vpc_id: str = ""
    subnet_id: str = ""
    az: str = ""
    name: str = ""


@dataclass(frozen=True, slots=True)
class InternetGateway:
    id: str
    vpc_ids: tuple[str, ...]
    is_egress_only: bool = False


@dataclass(frozen=True, slots=True)
class NatGateway:
    """`subnet_id` is empty for a regional one."""

    id: str
    vpc_id: str
    subnet_id: str
    state: str
    is_public: bool
    eni_ids: tuple[str, ...]
    addrs: tuple[str, ...] = ()
    public_addrs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class VpnGateway:
    id: str
    vpc_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PeeringEnd:
    vpc_id: str
    region: str
    account_id: str
    cidrs: tuple[str, ...]
    cidrs6: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Peering:
    id: str
    status: str
    requester: PeeringEnd
    accepter: PeeringEnd

    def other(self, vpc_id: str) -> PeeringEnd:
        """The end that is not `vpc_id`."""
        return self.accepter if self.requester.vpc_id == vpc_id else self.requester


@dataclass(frozen=True, slots=True)
class TransitGateway:
    id: str
    region: str
    account_id: str


@dataclass(frozen=True, slots=True)
class TransitGatewayAttachment:
    """`resource_type` as AWS writes it: vpc, vpn, direct-connect-gateway, peering, ..."""

    id: str
    transit_gateway_id: str
    resource_type: str
    resource_id: str
    state: str
    subnet_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class VpcEndpoint:
    """`endpoint_type` is Gateway, Interface, GatewayLoadBalancer."""

    id: str
    vpc_id: str
    endpoint_type: str
    service_name: str
    route_table_ids: tuple[str, ...]
    subnet_ids: tuple[str, ...]
    eni_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PrefixList:
    """`prefixes` is None where the entries were not collected."""

    id: str
    name: str
    prefixes: tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class Node:
    """A Kubernetes node. `instance_id` comes from its provider id; `env` overrides nothing yet."""

    name: str
    instance_id: str | None
    addrs: tuple[str, ...]
    az: str = ""
    az_id: str = ""
    instance_type: str = ""
    labels: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Port:
    """A declared container port; `protocol` is TCP, UDP or SCTP."""

    number: int
    protocol: str = "TCP"
    host_port: int = 0
    name: str = ""


@dataclass(frozen=True, slots=True)
class Container:
    name: str
    ports: tuple[Port, ...] = ()
    is_init: bool = False


@dataclass(frozen=True, slots=True)
class Pod:
    """`owner_kind`/`owner`: the workload; a ReplicaSet made by a Deployment is named by its Deployment."""

    namespace: str
    name: str
    node: str | None
    addrs: tuple[str, ...]
    is_host_network: bool
    phase: str
    owner_kind: str | None
    owner: str | None
    containers: tuple[Container, ...]
    start_time: str | None = None
    branch_eni: str | None = None
    """Annotation vpc.amazonaws.com/pod-eni: the id of the branch interface."""
    uid: str = ""
    finish_time: str | None = None
    """When the last of its containers ended; None while one runs, or where that is not told."""
    deletion_time: str | None = None
    """By when it should be gone, where its deletion was asked for."""

    @property
    def key(self) -> str:
        return f"{self.namespace}/{self.name}"

    @property
    def holds_address(self) -> bool:
        """Completed and failed pods keep their last address in the object, but do not own it."""
        return self.phase not in {"Succeeded", "Failed"}


@dataclass(frozen=True, slots=True)
class Assignment:
    """What ipamd says of an address: the pod (`namespace/name`) that has had it since `assigned`, or, empty, that nobody has.

    Seconds since 1970, None where not told. `released`: when a pod last gave it back, whoever that was.
    """

    addr: str
    node: str
    pod: str = ""
    assigned: int | None = None
    released: int | None = None


@dataclass(frozen=True, slots=True)
class ServicePort:
    number: int
    protocol: str
    name: str = ""
    node_port: int = 0
    target: str = ""


@dataclass(frozen=True, slots=True)
class Service:
    namespace: str
    name: str
    service_type: str
    cluster_addrs: tuple[str, ...]
    ports: tuple[ServicePort, ...]
    external_traffic_policy: str = "Cluster"
    internal_traffic_policy: str = "Cluster"

    @property
    def key(self) -> str:
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class SliceEndpoint:
    addrs: tuple[str, ...]
    is_ready: bool
    node: str | None = None
    pod: str | None = None
    az: str | None = None


@dataclass(frozen=True, slots=True)
class EndpointSlice:
    namespace: str
    name: str
    service: str
    ports: tuple[Port, ...]
    endpoints: tuple[SliceEndpoint, ...]


@dataclass(frozen=True, slots=True)
class Finding:
    """Something in the inputs that does not fit together. `kind` is a short slug, `subject` a name, `text` one sentence.

    `is_fault` is false where nothing is wrong and the fact is only worth knowing.
    """

    kind: str
    subject: str
    text: str
    is_fault: bool = True


@dataclass(frozen=True, slots=True)
class Missing:
    """An input that the snapshot does not have, and what answers go with it."""

    what: str
    loses: str


@dataclass(frozen=True)
class Topology:
    """A snapshot, read and cross-referenced. Dictionaries are by id (nodes by name, pods and services by namespace/name)."""

    vpcs: dict[str, Vpc] = field(default_factory=dict)
    subnets: dict[str, Subnet] = field(default_factory=dict)
    route_tables: dict[str, RouteTable] = field(default_factory=dict)
    enis: dict[str, Eni] = field(default_factory=dict)
    instances: dict[str, Instance] = field(default_factory=dict)
    internet_gateways: dict[str, InternetGateway] = field(default_factory=dict)
    nat_gateways: dict[str, NatGateway] = field(default_factory=dict)
    vpn_gateways: dict[str, VpnGateway] = field(default_factory=dict)
    peerings: dict[str, Peering] = field(default_factory=dict)
    transit_gateways: dict[str, TransitGateway] = field(default_factory=dict)
    attachments: dict[str, TransitGatewayAttachment] = field(default_factory=dict)
    vpc_endpoints: dict[str, VpcEndpoint] = field(default_factory=dict)
    prefix_lists: dict[str, PrefixList] = field(default_factory=dict)
    nodes: dict[str, Node] = field(default_factory=dict)
    pods: dict[str, Pod] = field(default_factory=dict)
    services: dict[str, Service] = field(default_factory=dict)
    endpoint_slices: tuple[EndpointSlice, ...] = ()
    cni_env: dict[str, str] = field(default_factory=dict)
    """Environment of the aws-node DaemonSet's containers; empty where the DaemonSet was not collected."""
    captured_at: str | None = None
    assignments: tuple[Assignment, ...] = ()
    findings: tuple[Finding, ...] = ()
    missing: tuple[Missing, ...] = ()
