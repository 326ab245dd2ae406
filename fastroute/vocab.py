"""The words that every room shares: what an end is, what a way is, how it ends, and the columns that say so. Pure data."""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple


class Kind(IntEnum):
    """What an address belongs to, by the recorded address, before any DNAT of ours."""

    UNKNOWN = 0
    POD = 1
    HOST_POD = 2
    NODE = 3
    SERVICE = 4
    ENI = 5
    SUBNET = 6
    PEER_VPC = 7
    ON_PREM = 8
    AWS_SERVICE = 9
    LINK_LOCAL = 10
    INTERNET = 11


IN_CLUSTER = frozenset({Kind.POD, Kind.HOST_POD, Kind.NODE, Kind.SERVICE})
"""The kinds that count as inside the cluster for `Form`."""


class Form(IntEnum):
    """About the ends of a flow."""

    INTRA_POD = 0
    INTRA_HOST = 1
    INTER_HOST = 2
    INGRESS = 3
    EGRESS = 4
    EXTERNAL = 5


class PathClass(IntEnum):
    """About the way a flow takes; the first that holds, in this order."""

    INTRA_POD = 0
    LINK_LOCAL = 1
    SAME_NODE = 2
    VPC_ENDPOINT = 3
    NAT_GATEWAY = 4
    INTERNET_GATEWAY = 5
    ON_PREM = 6
    INTER_REGION = 7
    INTER_VPC = 8
    INTER_AZ = 9
    INTRA_AZ = 10
    UNCLASSIFIED = 11


class Disposition(IntEnum):
    """How a path ends."""

    DELIVERED = 0
    EXITS_NETWORK = 1
    NO_ROUTE = 2
    BLACKHOLE = 3
    UNREACHABLE = 4
    PROHIBITED = 5
    LOOP = 6
    SOURCE_CHECK = 7
    MARTIAN = 8
    RP_FILTER = 9
    FORWARDING_OFF = 10
    FILTERED = 11
    NO_SUCH_ADDRESS = 12
    NO_PUBLIC_ADDRESS = 13
    NO_ATTACHMENT = 14
    NO_ENDPOINT = 15
    UNDECIDED = 16


ARRIVES = frozenset({Disposition.DELIVERED, Disposition.EXITS_NETWORK})
"""The dispositions of a packet that gets where it was sent, as far as the snapshot reaches."""


class Attribution(IntEnum):
    """How surely an address was given its owner; larger is worse."""

    EXACT = 0
    INFERRED = 1
    AMBIGUOUS = 2
    UNKNOWN = 3


class Doubt(IntEnum):
    """Between whom an AMBIGUOUS record is open."""

    SNAT = 0
    """A node's own address: the node, or any of its pods behind source NAT."""
    HOST_NETWORK = 1
    """The same where the port is that of a host-network pod: that pod, or any behind source NAT."""
    REUSED = 2
    """Several pods held the address within the record's stretch of time."""
    INTERFACE_ADDRESS = 3
    """The primary address of an interface where no packet addresses are recorded: any address of the interface."""
    NEIGHBOURS = 4
    """Neighbouring VPCs share the range."""


class Opener(IntEnum):
    """Who opened the connection; the way out of a node depends on it."""

    SRC = 0
    DST = 1
    UNKNOWN = 2


class Field(NamedTuple):
    """One field of flow logs. `parquet_type` is string, int32 or int64, as AWS writes it; `version` 0 is not known."""

    name: str
    parquet_type: str
    version: int

    @property
    def text_name(self) -> str:
        """The name in text logs and format strings: hyphens instead of underscores."""
        return self.name.replace("_", "-")


def field_name(column: str) -> str:
    """`pkt-srcaddr` and `Pkt_SrcAddr` are one field: pkt_srcaddr."""
    return column.strip().lower().replace("-", "_")


def _fields(version: int, parquet_type: str, names: str) -> list[Field]:
    return [Field(name, parquet_type, version) for name in names.split()]


# Amazon VPC User Guide, "Flow log records"; order inside a version is that of the guide. There is no version 6.
FLOW_LOG_FIELDS: tuple[Field, ...] = (
    *_fields(2, "int32", "version"),
    *_fields(2, "string", "account_id interface_id srcaddr dstaddr"),
    *_fields(2, "int32", "srcport dstport protocol"),
    *_fields(2, "int64", "packets bytes start end"),
    *_fields(2, "string", "action log_status"),
    *_fields(3, "string", "vpc_id subnet_id instance_id"),
    *_fields(3, "int32", "tcp_flags"),
    *_fields(3, "string", "type pkt_srcaddr pkt_dstaddr"),
    *_fields(4, "string", "region az_id sublocation_type sublocation_id"),
    *_fields(5, "string", "pkt_src_aws_service pkt_dst_aws_service flow_direction"),
    *_fields(5, "int32", "traffic_path"),
    *_fields(7, "string", "ecs_cluster_arn ecs_cluster_name ecs_container_instance_arn ecs_container_instance_id ecs_container_id"),
    *_fields(7, "string", "ecs_second_container_id ecs_service_name ecs_task_definition_arn ecs_task_arn ecs_task_id"),
    *_fields(8, "string", "reject_reason"),
    *_fields(9, "string", "resource_id"),
    *_fields(10, "int32", "encryption_status"),
    *_fields(11, "string", "instance_tag instance_tag_2 interface_tag interface_tag_2 asg_tag asg_tag_2 interface_type"),
    *_fields(11, "string", "next_hop_interface_id next_hop_subnet_id next_hop_az_id next_hop_vpc_id next_hop_interface_type"),
)

# What Transit Gateway flow logs have beside fields of the above; names and types as in public Athena definitions, which name no versions.
TRANSIT_GATEWAY_FIELDS: tuple[Field, ...] = (
    *_fields(0, "string", "resource_type tgw_id tgw_attachment_id tgw_src_vpc_account_id tgw_dst_vpc_account_id tgw_src_vpc_id"),
    *_fields(0, "string", "tgw_dst_vpc_id tgw_src_subnet_id tgw_dst_subnet_id tgw_src_eni tgw_dst_eni tgw_src_az_id tgw_dst_az_id"),
    *_fields(0, "string", "tgw_pair_attachment_id"),
    *_fields(0, "int64", "packets_lost_no_route packets_lost_blackhole packets_lost_mtu_exceeded packets_lost_ttl_expired"),
)

LOG_FIELDS: dict[str, Field] = {field.name: field for field in (*FLOW_LOG_FIELDS, *TRANSIT_GATEWAY_FIELDS)}
"""Every field of flow logs, by its name with underscores."""

DEFAULT_LOG_FIELDS: tuple[str, ...] = tuple(field.text_name for field in FLOW_LOG_FIELDS if field.version == 2)
"""What a text log without a header holds: the fields of version 2, in this order."""


class Column(NamedTuple):
    """One column that `route` adds. `form` is name (dictionary of strings), enum (dictionary of an enum's names), int32 or int64."""

    name: str
    form: str
    is_default: bool
    meaning: str


def _end_columns(side: str, word: str) -> list[Column]:
    return [
        Column(f"{side}_kind", "enum", True, f"what the {word} address belongs to"),
        Column(f"{side}_k8s_namespace", "name", True, f"Kubernetes namespace of the {word} pod or service"),
        Column(f"{side}_k8s_pod", "name", True, f"{word} pod"),
        Column(f"{side}_k8s_owner_kind", "name", False, f"kind of the workload that owns the {word} pod"),
        Column(f"{side}_k8s_owner", "name", False, f"workload that owns the {word} pod"),
        Column(f"{side}_node", "name", True, f"Kubernetes node of the {word}"),
        Column(f"{side}_eni", "name", False, f"interface that holds the {word} address"),
        Column(f"{side}_subnet_id", "name", False, f"subnet of the {word} address"),
        Column(f"{side}_az_id", "name", True, f"zone id of the {word} address"),
        Column(f"{side}_vpc_id", "name", False, f"VPC of the {word} address"),
    ]


OUTPUT_COLUMNS: tuple[Column, ...] = (
    *_end_columns("src", "source"),
    *_end_columns("dst", "destination"),
    Column("dst_k8s_service", "name", False, "service that the destination address or endpoint belongs to"),
    Column("dst_endpoint", "name", False, "endpoint address that a service address was translated to"),
    Column("opener", "enum", False, "which end opened the connection"),
    Column("form", "enum", True, "about the ends: in one pod, on one host, between hosts, in, out, outside"),
    Column("path_class", "enum", True, "about the way: zone, gateway or endpoint crossed"),
    Column("disposition", "enum", True, "how the path ends"),
    Column("out_eni", "name", True, "interface by which the packet leaves the source's node or owner"),
    Column("in_eni", "name", True, "interface by which it enters the destination's node or owner"),
    Column("rule_priority", "int32", False, "priority of the deciding rule on the source node"),
    Column("table", "name", False, "routing table of the deciding look-up on the source node"),
    Column("wire_src", "name", False, "source address on the wire where SNAT changed it"),
    Column("wire_dst", "name", False, "destination address on the wire where DNAT changed it"),
    Column("path_id", "int64", True, "packed numbers of source, VPC and destination leg; decoded by _paths/"),
    Column("src_attribution", "enum", False, "how surely the source was identified"),
    Column("dst_attribution", "enum", False, "how surely the destination was identified"),
    Column("attribution", "enum", True, "the worse of the two"),
)

DEFAULT_COLUMNS: tuple[str, ...] = tuple(column.name for column in OUTPUT_COLUMNS if column.is_default)
ENUM_COLUMNS: dict[str, type[IntEnum]] = {
    "src_kind": Kind,
    "dst_kind": Kind,
    "opener": Opener,
    "form": Form,
    "path_class": PathClass,
    "disposition": Disposition,
    "src_attribution": Attribution,
    "dst_attribution": Attribution,
    "attribution": Attribution,
}

# Ports from here up are taken for the client's when nothing better is known: the low end of Linux's ephemeral range.
# Source: Linux net.ipv4.ip_local_port_range default 32768-60999.
EPHEMERAL_PORT_MIN = 32768

TCP, UDP, SCTP, ICMP, ICMPV6 = 6, 17, 132, 1, 58
TCP_SYN, TCP_ACK = 0x02, 0x10
