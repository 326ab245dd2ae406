"""What is known of a node besides its dumps: interfaces, pods, settings, ranges; and its netfilter rules in short. None is "not known"."""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network

from fastroute.cni.naming import VETH_HASH_LEN, table_of_eni, veth_name
from fastroute.cni.node import Unmodelled, is_managed
from fastroute.cni.settings import CniSettings
from fastroute.netns.model import Prefix
from fastroute.topology import Eni, EniRole, Node, TargetKind, TopologyIndex

MOST_CARDS = 32
"""Of any instance type; a pod has at most one interface a card."""


@dataclass(frozen=True, slots=True)
class KnownEni:
    """One interface of the node. `addr` is its own primary address; `subnet` as AWS says."""

    id: str
    table_id: int
    is_primary: bool = False
    is_trunk: bool = False
    is_managed: bool = True
    network_card: int = 0
    addr: int | None = None
    subnet: Prefix | None = None
    mac: str = ""
    behind_internet_gateway: bool = False

    @property
    def name(self) -> str:
        """As a person would call it."""
        return self.id or f"the ENI of table {self.table_id}"


@dataclass(frozen=True, slots=True)
class KnownPod:
    """One address of a pod. `eni` is None where the holder is not known, or is nobody (`is_lost`); `hashes` end its veth's name."""

    key: str
    addr: int
    eni: KnownEni | None = None
    is_lost: bool = False
    is_branch: bool = False
    hashes: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class NodeFacts:
    """`family` is the cluster's; `neighbours` are ranges outside the VPC that its route tables lead to, each with the target.

    `knows_pod_eni`: the settings tell whether pods may have branch interfaces. `since_1_20`: the plugin is known to be that new.
    """

    family: int = 4
    enis: tuple[KnownEni, ...] | None = None
    pods: tuple[KnownPod, ...] | None = None
    settings: CniSettings | None = None
    knows_pod_eni: bool = False
    since_1_20: bool = False
    vpc_prefixes: tuple[Prefix, ...] | None = None
    neighbours: tuple[tuple[Prefix, str], ...] = ()
    external_endpoints: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Exclusion:
    """A range that source NAT or the mark leaves out, and its line."""

    prefix: Prefix
    line: int = -1
    is_vpc: bool = True


@dataclass(frozen=True, slots=True)
class MarkState:
    """What the plugin's netfilter rules amount to. `outbound` is the back end of the mark: iptables, nftables, or none (empty).

    `complete` are the iptables tables that were dumped whole: only there absence is proved. `knows_nft`: the nft ruleset was dumped whole.
    """

    complete: frozenset[str] = frozenset()
    knows_nft: bool = False
    outbound: str = ""
    outbound_interfaces: str = ""
    outbound_exclusions: tuple[Exclusion, ...] = ()
    outbound_line: int = -1
    restores_first: bool = False
    mark: int = 0
    restores_from: frozenset[str] = frozenset()
    node_port_interface: str = ""
    node_port_line: int = -1
    snat_addr: int | None = None
    snat_line: int = -1
    snat_exclusions: tuple[Exclusion, ...] = ()
    num_snat_jumps: int = 0
    num_snat_rules: int = 0
    old_chains: tuple[str, ...] = ()
    drops_forward: bool = False
    egress_sources: tuple[tuple[Prefix, int], ...] = field(default=())
    mixed_line: int = -1


def veth_hashes(pod_key: str) -> frozenset[str]:
    """Hashes that end the names of the pod's veths, one for each interface that it may have."""
    namespace, _, name = pod_key.partition("/")
    return frozenset(veth_name(namespace, name, "", i)[-VETH_HASH_LEN:] for i in range(MOST_CARDS))


def prefix_of(text: str) -> Prefix:
    """`10.0.0.0/16` as a prefix."""
    network = ip_network(text, strict=False)
    return Prefix(int(network.network_address), network.prefixlen)


def facts_of_node(index: TopologyIndex, node: Node, settings: CniSettings | None) -> NodeFacts | Unmodelled:
    """Collect from a snapshot what decides a node's state, or say why it cannot be told.

    Parameters
    ----------
    settings : CniSettings or None
        None where the snapshot has no aws-node DaemonSet.
    """
    topology, set_to = index.topology, settings or CniSettings()
    if node.labels.get("eks.amazonaws.com/compute-type") == "fargate":
        return Unmodelled.FARGATE
    if node.labels.get("eks.amazonaws.com/compute-type") == "auto":
        return Unmodelled.AUTO_MODE
    enis = [eni for eni in index.enis_of_node(node) if eni.role is not EniRole.BRANCH]
    if not enis:
        return Unmodelled.NO_INSTANCE
    primary = next((eni for eni in enis if eni.is_primary and eni.addresses), None)
    if primary is None:
        return Unmodelled.NO_PRIMARY_ENI
    known = {eni.id: _known_eni(index, eni, primary, set_to) for eni in enis if eni.interface_type != "efa-only"}
    vpc = topology.vpcs.get(primary.vpc_id)
    family = 6 if set_to.ipv6 else 4
    texts = (vpc.cidrs6 if family == 6 else vpc.cidrs) if vpc is not None else None
    return NodeFacts(
        family=family,
        enis=tuple(known.values()),
        pods=tuple(_known_pods(index, node, primary.vpc_id, known, family)),
        settings=settings,
        knows_pod_eni=settings is not None,
        vpc_prefixes=tuple(prefix_of(text) for text in texts) if texts is not None else None,
        neighbours=tuple(_neighbours(index, primary.vpc_id, family)),
        external_endpoints=tuple(_external_endpoints(index)),
    )


def _known_eni(index: TopologyIndex, eni: Eni, primary: Eni, settings: CniSettings) -> KnownEni:
    subnet = index.topology.subnets.get(eni.subnet_id)
    table = index.route_table_of_subnet.get(eni.subnet_id)
    default = next((r for r in table.routes if r.destination == "0.0.0.0/0"), None) if table is not None else None
    return KnownEni(
        id=eni.id,
        table_id=table_of_eni(eni),
        is_primary=eni.is_primary,
        is_trunk=eni.role is EniRole.TRUNK,
        is_managed=eni.is_primary or (is_managed(eni, settings) and eni.vpc_id == primary.vpc_id),
        network_card=eni.network_card,
        addr=int(ip_address(eni.addresses[0].addr)) if eni.addresses else None,
        subnet=prefix_of(subnet.cidr) if subnet is not None and subnet.cidr else None,
        mac=eni.mac.lower(),
        behind_internet_gateway=default is not None and default.target_kind is TargetKind.INTERNET_GATEWAY,
    )


def _known_pods(index: TopologyIndex, node: Node, vpc_id: str, known: dict[str, KnownEni], family: int) -> list[KnownPod]:
    pods = []
    for pod in index.pods_of_node.get(node.name, []):
        if pod.is_host_network:
            continue
        for addr in (ip_address(text) for text in pod.addrs):
            if addr.version != family:
                continue
            holder = index.eni_holding(vpc_id, str(addr))
            eni = known.get(holder.id) if holder is not None else None
            is_branch = pod.branch_eni is not None
            eni = eni if eni is not None and eni.is_managed else None
            is_lost = eni is None and not is_branch
            pods.append(KnownPod(pod.key, int(addr), eni, is_lost, is_branch, veth_hashes(pod.key)))
    return pods


def _neighbours(index: TopologyIndex, vpc_id: str, family: int) -> list[tuple[Prefix, str]]:
    """Ranges more specific than the default that the VPC's tables lead to peers, transit and private gateways."""
    ways = {TargetKind.PEERING, TargetKind.TRANSIT_GATEWAY, TargetKind.VPN_GATEWAY}
    found: dict[Prefix, str] = {}
    for table in index.topology.route_tables.values():
        for route in table.routes if table.vpc_id == vpc_id else ():
            if route.target_kind in ways and "/" in route.destination and (":" in route.destination) == (family == 6):
                prefix = prefix_of(route.destination)
                if prefix.prefix_len:
                    found.setdefault(prefix, f"{route.target_kind.value} {route.target}")
    return list(found.items())


def _external_endpoints(index: TopologyIndex) -> list[tuple[str, int]]:
    """Addresses of endpoints that are no pod's, by service: candidates for being outside of the VPC."""
    return [
        (f"{each.namespace}/{each.service}", int(ip_address(text)))
        for each in index.topology.endpoint_slices
        for endpoint in each.endpoints
        if endpoint.pod is None
        for text in endpoint.addrs
        if ":" not in text and text.replace(".", "").isdecimal()
    ]
