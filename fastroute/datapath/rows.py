"""Who owns which address interval of which VPC: the rows of a compiled snapshot, before they become arrays.

A space is the address space of one VPC. MODEL.md section 1 is the order of precedence; longest prefix does the rest.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from ipaddress import ip_address, ip_network

from fastroute.cni import CniSettings, NodePlan, PodAttachment, Unmodelled, plan_node
from fastroute.cni.naming import RULE_FROM_ENI, RULE_FROM_POD, RULE_MAIN, table_of_eni
from fastroute.datapath.ports import PortSets
from fastroute.datapath.state import Reason, RowFlag, Source
from fastroute.netns.model import TABLE_MAIN, table_text
from fastroute.topology import Eni, EniRole, Node, PeeringEnd, Pod, TargetKind, Topology, TopologyIndex, Vpc, VpcRoute
from fastroute.vocab import Attribution, Kind
from fastroute.vpc import attached_vpcs, effective_routes

Prefix = tuple[int, int, int]
"""(family, first address, length)."""


@dataclass(slots=True)
class Row:
    """One owner of addresses; see `state.Rows` for the meaning of the columns. Names are texts here."""

    kind: Kind
    source: Source = Source.OUTSIDE
    attribution: Attribution = Attribution.EXACT
    reason: Reason = Reason.NONE
    flags: int = 0
    namespace: str | None = None
    pod: str | None = None
    owner_kind: str | None = None
    owner: str | None = None
    node: str | None = None
    eni: str | None = None
    subnet: str | None = None
    az: str | None = None
    vpc: str | None = None
    service: str | None = None
    space: int = -1
    link_space: int = -1
    profile_eni: str | None = None
    """Interface whose table the source uses (with its own rule); the node's primary stands for main."""
    rule: int = -1
    table: str | None = None
    ports: int = -1
    host_pods: tuple[HostPod, ...] = ()
    veth: str = ""


@dataclass(frozen=True, slots=True)
class HostPod:
    """A host-network pod of a node and the ports that it declares."""

    pod: Pod
    keys: tuple[int, ...]


@dataclass
class Ownership:
    """Rows by space and prefix; earlier claims of one prefix stand."""

    spaces: dict[str, int]
    prefixes: list[dict[Prefix, Row]]
    plans: dict[str, NodePlan | Unmodelled]
    port_sets: PortSets = field(default_factory=PortSets)

    def claim(self, space: int, prefix: Prefix, row: Row) -> None:
        self.prefixes[space].setdefault(prefix, row)


def host_prefix(addr: str) -> Prefix:
    """Text address -> its host prefix."""
    parsed = ip_address(addr)
    return parsed.version, int(parsed), parsed.max_prefixlen


def network_prefix(cidr: str) -> Prefix:
    """Text prefix -> (family, first address, length)."""
    network = ip_network(cidr)
    return network.version, int(network.network_address), network.prefixlen


def build_ownership(index: TopologyIndex, settings: CniSettings) -> Ownership:
    """Give every address of every VPC its owner. Without any VPC in the snapshot there is one nameless space, of pods and nodes alone."""
    topology = index.topology
    spaces = {vpc_id: i for i, vpc_id in enumerate(topology.vpcs)} or {"": 0}
    plans = {node.name: plan_node(index, node, settings) for node in topology.nodes.values()}
    owners = Ownership(spaces, [{} for _ in spaces], plans)
    for node in topology.nodes.values():
        _claim_node(owners, index, node, settings)
    _claim_pods_without_node(owners, index)
    for eni in topology.enis.values():
        _claim_eni(owners, index, eni)
    _claim_services(owners, topology)
    for vpc in topology.vpcs.values():
        _claim_vpc(owners, index, vpc)
    _claim_special(owners)
    return owners


# --- nodes and pods ---------------------------------------------------------------------------------------------------------------


def _at(row: Row, index: TopologyIndex, eni: Eni | None) -> Row:
    """Give a row the identity that comes with an interface, if there is one."""
    if eni is not None:
        subnet = index.topology.subnets.get(eni.subnet_id)
        row.eni, row.subnet, row.vpc = eni.id, eni.subnet_id or None, eni.vpc_id or None
        row.az = (subnet.az_id if subnet is not None else "") or None
    return row


def _named(row: Row, pod: Pod) -> Row:
    """Give a row the identity of a pod."""
    row.namespace, row.pod, row.owner_kind, row.owner = pod.namespace, pod.name, pod.owner_kind, pod.owner
    return row


def _public(eni: Eni, addr: str) -> int:
    has_public = any(held.addr == addr and held.public_addr for held in eni.addresses)
    return RowFlag.HAS_PUBLIC if has_public else 0


def _claim_node(owners: Ownership, index: TopologyIndex, node: Node, settings: CniSettings) -> None:
    plan = owners.plans[node.name]
    pods = index.pods_of_node.get(node.name, [])
    host_pods = tuple(
        HostPod(pod, keys) for pod in pods if pod.is_host_network and (keys := owners.port_sets.keys_of_containers(pod.containers))
    )
    node_ports = owners.port_sets.add(key for host in host_pods for key in host.keys)
    if isinstance(plan, Unmodelled):
        _claim_unmodelled_node(owners, index, node, plan, pods, host_pods, node_ports)
        return
    space = owners.spaces[plan.vpc.id]
    for attached in plan.pods:
        _claim_attached_pod(owners, index, plan, space, attached)
    for pod in pods:
        if pod.branch_eni is not None:
            _claim_undecided_pod(owners, index, space, pod, node.name, Reason.BRANCH_PODS)
    shares_by_snat = bool(plan.pods) and not settings.external_snat
    for eni in plan.enis:
        managed = eni is plan.primary or eni in plan.managed
        addr = eni.addresses[0].addr
        flags = (RowFlag.NODE_LOCAL if managed else 0) | _public(eni, addr)
        if len(eni.addresses) > 1 or eni.prefixes:
            flags |= RowFlag.SHARED_PRIMARY
        if eni is plan.primary and shares_by_snat:
            flags |= RowFlag.SNAT_ADDR
        row = Row(
            Kind.NODE,
            Source.HOST if managed else Source.UNDECIDED,
            reason=Reason.NONE if managed else Reason.UNMANAGED,
            flags=flags,
            node=node.name,
            space=space,
            profile_eni=eni.id,
            rule=RULE_MAIN if eni is plan.primary else RULE_FROM_ENI,
            table=table_text(table_of_eni(eni)),
            ports=node_ports,
            host_pods=host_pods,
        )
        owners.claim(space, host_prefix(addr), _at(row, index, eni))
        _claim_warm(owners, index, plan, space, eni, managed)
        _claim_public(owners, index, eni, space, row)


def _claim_attached_pod(owners: Ownership, index: TopologyIndex, plan: NodePlan, space: int, attached: PodAttachment) -> None:
    pod, addr, eni = attached.pod, attached.addr, attached.eni
    held = eni is not None
    table = attached.table_id
    row = Row(
        Kind.POD,
        Source.POD if held else Source.UNDECIDED,
        Attribution.EXACT if held else Attribution.INFERRED,
        Reason.NONE if held else Reason.NOT_HELD,
        RowFlag.POD_ROUTE | (_public(eni, addr) if eni is not None else 0),
        node=plan.node.name,
        space=space,
        profile_eni=eni.id if eni is not None else None,
        rule=RULE_MAIN if table == TABLE_MAIN else RULE_FROM_POD,
        table=table_text(table),
        ports=owners.port_sets.add(owners.port_sets.keys_of_containers(pod.containers)),
        veth=attached.veth,
        vpc=plan.vpc.id,
    )
    owners.claim(space, host_prefix(addr), _at(_named(row, pod), index, eni))


def _claim_warm(owners: Ownership, index: TopologyIndex, plan: NodePlan, space: int, eni: Eni, managed: bool) -> None:
    """Every further address of a node's interface: a pod may have held it, none does now."""
    table = table_of_eni(eni)
    row = Row(
        Kind.ENI,
        Source.POD if managed else Source.UNDECIDED,
        Attribution.INFERRED,
        Reason.NONE if managed else Reason.UNMANAGED,
        RowFlag.WARM,
        node=plan.node.name,
        space=space,
        profile_eni=eni.id,
        rule=RULE_MAIN if table == TABLE_MAIN else RULE_FROM_POD,
        table=table_text(table),
    )
    _at(row, index, eni)
    for held in eni.addresses[1:]:
        flags = _public(eni, held.addr)
        owners.claim(space, host_prefix(held.addr), replace(row, flags=row.flags | flags) if flags else row)
    for prefix in eni.prefixes:
        owners.claim(space, network_prefix(prefix), row)
    _claim_v6_of_node(owners, space, eni, replace(row, source=Source.UNDECIDED, reason=Reason.IPV6))


def _claim_v6_of_node(owners: Ownership, space: int, eni: Eni, row: Row) -> None:
    for addr in eni.addresses6:
        owners.claim(space, host_prefix(addr), replace(row, kind=Kind.NODE, attribution=Attribution.EXACT, flags=0))
    for prefix in eni.prefixes6:
        owners.claim(space, network_prefix(prefix), row)


def _claim_unmodelled_node(
    owners: Ownership,
    index: TopologyIndex,
    node: Node,
    why: Unmodelled,
    pods: list[Pod],
    host_pods: tuple[HostPod, ...],
    node_ports: int,
) -> None:
    """A node whose rules are not known: who owns which address is, the way is not."""
    reason = Reason[why.name]
    for pod in pods:
        for addr in () if pod.is_host_network else pod.addrs:
            space = _space_of_addr(owners, index, addr)
            _claim_undecided_pod(owners, index, space, replace(pod, addrs=(addr,)), node.name, reason)
    enis = index.enis_of_node(node)
    for eni in enis:
        row = Row(
            Kind.NODE,
            Source.UNDECIDED,
            reason=reason,
            node=node.name,
            space=owners.spaces.get(eni.vpc_id, -1),
            ports=node_ports,
            host_pods=host_pods,
        )
        if row.space < 0:
            continue
        _at(row, index, eni)
        warm = replace(row, kind=Kind.ENI, attribution=Attribution.INFERRED, flags=RowFlag.WARM, ports=-1, host_pods=())
        _claim_public(owners, index, eni, row.space, row)
        for held in eni.addresses:
            held_by = row if held.is_primary else warm
            owners.claim(row.space, host_prefix(held.addr), replace(held_by, flags=held_by.flags | _public(eni, held.addr)))
        for prefix in (*eni.prefixes, *eni.prefixes6):
            owners.claim(row.space, network_prefix(prefix), warm)
        for addr in eni.addresses6:
            owners.claim(row.space, host_prefix(addr), row)
    if not enis:
        for addr in node.addrs:
            space = _space_of_addr(owners, index, addr)
            row = Row(
                Kind.NODE,
                Source.UNDECIDED,
                Attribution.INFERRED,
                reason,
                node=node.name,
                az=node.az_id or None,
                space=space,
                ports=node_ports,
                host_pods=host_pods,
            )
            if space >= 0:
                owners.claim(space, host_prefix(addr), row)


def _claim_undecided_pod(owners: Ownership, index: TopologyIndex, space: int, pod: Pod, node: str | None, reason: Reason) -> None:
    """A pod of its own address whose way cannot be computed."""
    if space < 0:
        return
    vpc_id = next(vpc_id for vpc_id, number in owners.spaces.items() if number == space)
    for addr in pod.addrs:
        eni = index.eni_holding(vpc_id, addr)
        row = Row(
            Kind.POD,
            Source.UNDECIDED,
            Attribution.EXACT if eni is not None else Attribution.INFERRED,
            reason,
            node=node,
            space=space,
            ports=owners.port_sets.add(owners.port_sets.keys_of_containers(pod.containers)),
            vpc=vpc_id or None,
        )
        owners.claim(space, host_prefix(addr), _at(_named(row, pod), index, eni))


def _claim_pods_without_node(owners: Ownership, index: TopologyIndex) -> None:
    for pod in index.topology.pods.values():
        if pod.holds_address and not pod.is_host_network and pod.node not in index.topology.nodes:
            for addr in pod.addrs:
                space = _space_of_addr(owners, index, addr)
                _claim_undecided_pod(owners, index, space, replace(pod, addrs=(addr,)), None, Reason.NO_INSTANCE)


def _space_of_addr(owners: Ownership, index: TopologyIndex, addr: str) -> int:
    """Space of an address whose interface is not known: the only VPC, or the only one whose blocks hold it; -1 otherwise."""
    if len(owners.spaces) == 1:
        return 0
    parsed = ip_address(addr)
    holding = [
        owners.spaces[vpc.id]
        for vpc in index.topology.vpcs.values()
        if any(parsed in ip_network(cidr) for cidr in (vpc.cidrs if parsed.version == 4 else vpc.cidrs6))
    ]
    return holding[0] if len(holding) == 1 else -1


# --- everything else --------------------------------------------------------------------------------------------------------------


def _bare_row(index: TopologyIndex, eni: Eni, space: int, flags: int) -> Row:
    if eni.role is EniRole.VPC_ENDPOINT:
        flags |= RowFlag.ENDPOINT
    return _at(Row(Kind.ENI, Source.BARE, flags=flags, space=space), index, eni)


def _claim_public(owners: Ownership, index: TopologyIndex, eni: Eni, space: int, primary: Row) -> None:
    """Public addresses mean their interface, seen from everywhere; that of the primary address has the identity of `primary`."""
    for held in eni.addresses:
        if held.public_addr:
            identity = primary if held is eni.addresses[0] else _bare_row(index, eni, space, 0)
            public = replace(identity, source=Source.OUTSIDE, reason=Reason.NONE, flags=RowFlag.PUBLIC)
            for other in owners.spaces.values():
                owners.claim(other, host_prefix(held.public_addr), public)


def _claim_eni(owners: Ownership, index: TopologyIndex, eni: Eni) -> None:
    """An interface that is no node's; a node's have been claimed before."""
    space = owners.spaces.get(eni.vpc_id, -1)
    if space < 0 or (eni.instance_id is not None and eni.instance_id in index.node_of_instance):
        return
    shared = RowFlag.SHARED_PRIMARY if len(eni.addresses) > 1 or eni.prefixes else 0
    for held in eni.addresses:
        flags = (shared if held.is_primary else 0) | _public(eni, held.addr)
        owners.claim(space, host_prefix(held.addr), _bare_row(index, eni, space, flags))
    _claim_public(owners, index, eni, space, _bare_row(index, eni, space, 0))
    for prefix in (*eni.prefixes, *eni.prefixes6):
        owners.claim(space, network_prefix(prefix), _bare_row(index, eni, space, 0))
    for addr in eni.addresses6:
        owners.claim(space, host_prefix(addr), _bare_row(index, eni, space, RowFlag.HAS_PUBLIC))


def _claim_services(owners: Ownership, topology: Topology) -> None:
    """Cluster addresses exist in every space: only the node that translates them knows them."""
    for service in topology.services.values():
        row = Row(
            Kind.SERVICE,
            Source.UNDECIDED,
            reason=Reason.SERVICE,
            namespace=service.namespace,
            service=service.name,
            ports=owners.port_sets.add(owners.port_sets.keys_of_service(service)),
        )
        for addr in service.cluster_addrs:
            for space in owners.spaces.values():
                owners.claim(space, host_prefix(addr), row)


def _claim_vpc(owners: Ownership, index: TopologyIndex, vpc: Vpc) -> None:
    topology = index.topology
    space = owners.spaces[vpc.id]
    for cidr in vpc.cidrs:
        family, base, length = network_prefix(cidr)
        resolver = Row(Kind.AWS_SERVICE, flags=RowFlag.RESOLVER, vpc=vpc.id, space=space)
        owners.claim(space, (family, base + 2, 32), resolver)
        owners.claim(space, (family, base, length), Row(Kind.SUBNET, Source.NOBODY, vpc=vpc.id, space=space))
    for cidr in vpc.cidrs6:
        owners.claim(space, network_prefix(cidr), Row(Kind.SUBNET, Source.NOBODY, vpc=vpc.id, space=space))
    for subnet in topology.subnets.values():
        if subnet.vpc_id == vpc.id:
            row = Row(Kind.SUBNET, Source.NOBODY, subnet=subnet.id, az=subnet.az_id or None, vpc=vpc.id, space=space)
            for cidr in (subnet.cidr, *subnet.cidrs6):
                if cidr:
                    owners.prefixes[space][network_prefix(cidr)] = row
    _claim_neighbours(owners, topology, vpc, space)
    for endpoint in topology.vpc_endpoints.values():
        if endpoint.vpc_id == vpc.id and endpoint.endpoint_type == "Gateway":
            _claim_endpoint_prefixes(owners, topology, space, endpoint.id)


def _claim_endpoint_prefixes(owners: Ownership, topology: Topology, space: int, endpoint_id: str) -> None:
    """The entries of the prefix lists that some table routes to a gateway endpoint."""
    for table in topology.route_tables.values():
        for route in table.routes:
            prefix_list = topology.prefix_lists.get(route.destination)
            if route.target == endpoint_id and prefix_list is not None:
                for prefix in prefix_list.prefixes or ():
                    owners.claim(space, network_prefix(prefix), Row(Kind.AWS_SERVICE))


def _claim_neighbours(owners: Ownership, topology: Topology, vpc: Vpc, space: int) -> None:
    """Peered and attached VPCs, and what lies behind transit and private gateways.

    Neighbours may share a block: where a route leads into one of them, that one is meant; else nobody can tell.
    """
    peered: dict[Prefix, set[str]] = {}
    routed: dict[Prefix, set[str]] = {}
    for peering in topology.peerings.values():
        if vpc.id in {peering.requester.vpc_id, peering.accepter.vpc_id}:
            for other_id, cidr in _blocks(topology, peering.other(vpc.id)):
                peered.setdefault(network_prefix(cidr), set()).add(other_id)
    tables = [table for table in topology.route_tables.values() if table.vpc_id == vpc.id]
    routes = [found for table in tables for found in effective_routes(topology, table)]
    for found in routes:
        for other_id, cidr in _behind(topology, vpc, found.route):
            block = ip_network(cidr)
            narrower, wider = (block, found.network) if block.prefixlen > found.network.prefixlen else (found.network, block)
            if narrower.version == wider.version and narrower.network_address in wider:
                routed.setdefault(network_prefix(str(narrower)), set()).add(other_id)
    for prefix, vpc_ids in {**peered, **routed}.items():
        if len(vpc_ids) > 1:
            row = Row(Kind.PEER_VPC, attribution=Attribution.AMBIGUOUS)
        else:
            other_id = next(iter(vpc_ids))
            row = Row(Kind.PEER_VPC, vpc=other_id, link_space=owners.spaces.get(other_id, -1))
        owners.claim(space, prefix, row)
    for found in routes:
        if found.route.target_kind in {TargetKind.TRANSIT_GATEWAY, TargetKind.VPN_GATEWAY} and found.network.prefixlen > 0:
            prefix = (found.network.version, int(found.network.network_address), found.network.prefixlen)
            owners.claim(space, prefix, Row(Kind.ON_PREM))


def _blocks(topology: Topology, end: PeeringEnd) -> Iterator[tuple[str, str]]:
    """(VPC, block) of a peering's end, as the VPC itself says where it is in the snapshot."""
    known = topology.vpcs.get(end.vpc_id, end)
    yield from ((end.vpc_id, cidr) for cidr in (*known.cidrs, *known.cidrs6))


def _behind(topology: Topology, vpc: Vpc, route: VpcRoute) -> Iterator[tuple[str, str]]:
    """(VPC, block) of the neighbours that a route can lead to."""
    if route.target_kind is TargetKind.PEERING and route.target in topology.peerings:
        yield from _blocks(topology, topology.peerings[route.target].other(vpc.id))
    if route.target_kind is TargetKind.TRANSIT_GATEWAY:
        for other_id in attached_vpcs(topology, route.target):
            if other_id != vpc.id:
                yield from ((other_id, cidr) for cidr in topology.vpcs[other_id].cidrs)


# What nobody may claim, what AWS keeps for itself, and the rest of the world.
_UNKNOWN_RANGES = (
    *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "172.16.0.0/12", "192.168.0.0/16", "224.0.0.0/3"),
    *("::/0", "fc00::/7", "ff00::/8"),
)
_LINK_LOCAL_RANGES = ("169.254.0.0/16", "fe80::/10", "fd00:ec2::/32")
# NodeLocal DNSCache and the EKS Pod Identity agent, which sit on the node itself where they run.
_AGENT_ADDRS = ("169.254.20.10", "169.254.170.23", "fd00:ec2::23")


def _claim_special(owners: Ownership) -> None:
    for space in owners.spaces.values():
        for cidr in _UNKNOWN_RANGES:
            owners.claim(space, network_prefix(cidr), Row(Kind.UNKNOWN, attribution=Attribution.UNKNOWN))
        for cidr in ("127.0.0.0/8", "::1/128"):
            owners.claim(space, network_prefix(cidr), Row(Kind.UNKNOWN, flags=RowFlag.LOOPBACK))
        for cidr in _LINK_LOCAL_RANGES:
            owners.claim(space, network_prefix(cidr), Row(Kind.LINK_LOCAL))
        for addr in _AGENT_ADDRS:
            owners.claim(space, host_prefix(addr), Row(Kind.LINK_LOCAL, flags=RowFlag.AGENT))
        for cidr in ("0.0.0.0/0", "2000::/3"):
            owners.claim(space, network_prefix(cidr), Row(Kind.INTERNET))
