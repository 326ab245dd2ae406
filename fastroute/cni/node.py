"""What the plugin knows of one node: the interfaces that it manages, the pods with their interface and table."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from fastroute.cni.naming import RULE_LOCAL, RULE_LOCAL_STRICT, table_of_eni, veth_name
from fastroute.cni.settings import CniSettings
from fastroute.netns.model import TABLE_MAIN
from fastroute.topology import Eni, Node, Pod, TopologyIndex, Vpc
from fastroute.topology.endpoints import vpc_of_address

# Source: amazon-vpc-cni-k8s v1.23.1 pkg/awsutils/awsutils.go (eniNoManageTagKey, eniNodeTagKey)
TAG_NO_MANAGE = "node.k8s.amazonaws.com/no_manage"
TAG_INSTANCE = "node.k8s.amazonaws.com/instance_id"
AGENT_LABEL_FARGATE = "eks.amazonaws.com/compute-type"


class Unmodelled(Enum):
    """Why the state of a node cannot be derived."""

    NO_INSTANCE = "the node's instance is not in the snapshot"
    NO_PRIMARY_ENI = "the primary interface of the node is not in the snapshot"
    NO_SUBNET = "the IPv4 range of the subnet of one of the node's interfaces is not in the snapshot"
    NO_VPC = "the VPC of the node is not in the snapshot"
    FARGATE = "Fargate pods have an interface of their own and show no rules; not modelled yet"
    AUTO_MODE = "the rules of EKS Auto Mode nodes are not published; not modelled yet"
    BRANCH_PODS = "pods with security groups of their own (branch interfaces) are not modelled yet"
    IPV6 = "IPv6 clusters are not modelled yet"


@dataclass(frozen=True, slots=True)
class PodAttachment:
    """One address of a pod on its node. `eni` is None where no interface of the node holds the address."""

    pod: Pod
    addr: str
    eni: Eni | None
    veth: str

    @property
    def table_id(self) -> int:
        """Table of the pod's interface; main for an address that nobody owns, as no 1536 rule can be known."""
        return table_of_eni(self.eni) if self.eni is not None else TABLE_MAIN


@dataclass(frozen=True, slots=True)
class NodePlan:
    """Inputs of the derivation. `managed` are the interfaces with a table of their own, the primary not among them."""

    node: Node
    vpc: Vpc
    primary: Eni
    managed: tuple[Eni, ...]
    unmanaged: tuple[Eni, ...]
    pods: tuple[PodAttachment, ...]
    settings: CniSettings

    @property
    def enis(self) -> tuple[Eni, ...]:
        return (self.primary, *self.managed, *self.unmanaged)

    @property
    def local_rule(self) -> int:
        """Priority of the rule that asks table local."""
        return RULE_LOCAL_STRICT if self.settings.has_strict_branches else RULE_LOCAL

    @property
    def snat_addr(self) -> str:
        """The address that source NAT writes: the primary address of the primary interface."""
        return self.primary.addresses[0].addr


def is_managed(eni: Eni, settings: CniSettings) -> bool:
    """Whether ipamd sets up this interface (the primary always is).

    Source: pkg/ipamd/ipamd.go setUnmanagedENIs, markUnmanagedNetworkCards.
    """
    if eni.tags.get(TAG_NO_MANAGE) == "true" or eni.interface_type == "efa-only":
        return False
    if not settings.manage_untagged_eni and TAG_INSTANCE not in eni.tags:
        return False
    return eni.network_card == 0 or settings.multi_nic


def plan_node(index: TopologyIndex, node: Node, settings: CniSettings) -> NodePlan | Unmodelled:
    """Collect what decides a node's state, or say why it cannot be derived."""
    topology = index.topology
    if settings.ipv6:
        return Unmodelled.IPV6
    if node.labels.get(AGENT_LABEL_FARGATE) == "fargate":
        return Unmodelled.FARGATE
    if node.labels.get(AGENT_LABEL_FARGATE) == "auto":
        return Unmodelled.AUTO_MODE
    enis = index.enis_of_node(node)
    if not enis:
        return Unmodelled.NO_INSTANCE
    primary = next((eni for eni in enis if eni.is_primary and eni.addresses), None)
    if primary is None:
        return Unmodelled.NO_PRIMARY_ENI
    if any(eni.subnet_id not in topology.subnets or not topology.subnets[eni.subnet_id].cidr for eni in enis):
        return Unmodelled.NO_SUBNET
    vpc = topology.vpcs.get(primary.vpc_id)
    if vpc is None:
        return Unmodelled.NO_VPC
    others = [eni for eni in enis if eni is not primary and eni.addresses]
    # An interface in another VPC is the operator's affair: the plugin's addresses come from the VPC of the primary one.
    managed = tuple(eni for eni in others if is_managed(eni, settings) and eni.vpc_id == primary.vpc_id)
    return NodePlan(
        node=node,
        vpc=vpc,
        primary=primary,
        managed=managed,
        unmanaged=tuple(eni for eni in others if eni not in managed),
        pods=tuple(_attachments(index, node, primary, managed, settings)),
        settings=settings,
    )


def _attachments(
    index: TopologyIndex, node: Node, primary: Eni, managed: tuple[Eni, ...], settings: CniSettings
) -> Iterable[PodAttachment]:
    for pod in index.pods_of_node.get(node.name, []):
        if pod.is_host_network or pod.branch_eni is not None:
            continue
        for i, addr in enumerate(a for a in pod.addrs if ":" not in a):
            yield _attachment(index, (primary, *managed), settings, pod, addr, i)


def _attachment(index: TopologyIndex, enis: tuple[Eni, ...], settings: CniSettings, pod: Pod, addr: str, i: int) -> PodAttachment:
    """The i-th IPv4 address of a pod; `enis` are the primary interface of its node and the managed ones."""
    eni = index.eni_holding(enis[0].vpc_id, addr)
    held = eni if any(eni is each for each in enis) else None
    return PodAttachment(pod, addr, held, veth_name(pod.namespace, pod.name, settings.veth_prefix, i))


def attachment_of(index: TopologyIndex, plan: NodePlan, pod: Pod, addr: str) -> PodAttachment:
    """How an ordinary pod of the node is, or once was, attached with one of its IPv4 addresses."""
    i = [each for each in pod.addrs if ":" not in each].index(addr)
    return _attachment(index, (plan.primary, *plan.managed), plan.settings, pod, addr, i)


def vpc_of_pod(index: TopologyIndex, node: Node | None, addr: str) -> str | None:
    """The VPC in whose address space a pod's address is meant: that of its node's interfaces.

    Where none is known, the only VPC of the snapshot, or the only one whose blocks hold the address; None if there is no such VPC. A
    snapshot without any VPC has one nameless space, "".
    """
    vpcs = index.topology.vpcs
    if not vpcs:
        return ""
    enis = index.enis_of_node(node) if node is not None else []
    if enis:
        return enis[0].vpc_id if enis[0].vpc_id in vpcs else None
    return next(iter(vpcs)) if len(vpcs) == 1 else vpc_of_address(index, addr)


def snat_exempt_cidrs(vpc: Vpc, settings: CniSettings) -> tuple[str, ...]:
    """IPv4 ranges towards which connections keep the pod's address: with external SNAT all, else the VPC's and the excluded ones."""
    if settings.external_snat:
        return ("0.0.0.0/0",)
    return (*vpc.cidrs, *settings.exclude_snat_cidrs)
