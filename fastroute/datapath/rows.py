"""Who owns which address interval of which VPC: the rows of a compiled snapshot, before they become arrays.

A space is the address space of one VPC. MODEL.md section 1 is the order of precedence; longest prefix does the rest.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from ipaddress import ip_network

from fastroute.cni import CniSettings, plan_node
from fastroute.datapath.histories import claim_histories
from fastroute.datapath.node_rows import PodRows, claim_nodes, claim_nodes_without_interfaces, claim_pods
from fastroute.datapath.ownership import (
    Ownership,
    Prefix,
    Row,
    bare_row,
    claim_public,
    covers,
    host_prefix,
    network_prefix,
    public_flag,
)
from fastroute.datapath.ranges import AGENTS, GLOBAL6, LINK_LOCAL, LOOPBACK, NEVER_UNICAST, PRIVATE
from fastroute.datapath.state import Reason, RowFlag, Source
from fastroute.topology import Eni, PeeringEnd, TargetKind, Topology, TopologyIndex, Vpc, VpcRoute
from fastroute.topology.tenure import Tenure
from fastroute.vocab import Attribution, Kind
from fastroute.vpc import attached_vpcs, effective_routes, has_unlisted_routes


def build_ownership(index: TopologyIndex, settings: CniSettings, tenures: Sequence[Tenure] = (), unsure: Collection[str] = ()) -> Ownership:
    """Give every address of every VPC its owner. Without any VPC in the snapshot there is one nameless space, of pods and nodes alone.

    `tenures` tell who held it before; without them whoever holds it in the snapshot always did.
    """
    topology = index.topology
    spaces = {vpc_id: i for i, vpc_id in enumerate(topology.vpcs)} or {"": 0}
    plans = {node.name: plan_node(index, node, settings) for node in topology.nodes.values()}
    owners = Ownership(spaces, [{} for _ in spaces], plans, [_blocks_of(topology, vpc_id) for vpc_id in spaces])
    ordinary = (tenure.pod for tenure in tenures if not tenure.pod.is_host_network and tenure.pod.branch_eni is None)
    owners.once_had_pods = frozenset(pod.node for pod in ordinary if pod.node is not None)
    claim_nodes(owners, index)
    for eni in topology.enis.values():
        _claim_eni(owners, index, eni)
    claim_nodes_without_interfaces(owners, index)
    _claim_services(owners, index)
    for vpc in topology.vpcs.values():
        _claim_vpc(owners, index, vpc)
    _claim_special(owners, topology)
    if unsure:
        _doubt(owners, unsure)
    # Pods come last, as what they take the place of is what their address was before them.
    pod_rows = PodRows(owners, index)
    background = claim_pods(owners, index, pod_rows)
    claim_histories(owners, pod_rows, tenures, background)
    return owners


def _doubt(owners: Ownership, unsure: Collection[str]) -> None:
    """Interfaces and nodes, by their id and name, that may not have been there all the time."""
    for row in (row for claims in owners.prefixes for row in claims.values()):
        if (row.eni if row.eni is not None else row.node) in unsure:
            row.attribution = max(row.attribution, Attribution.INFERRED)


def _claim_eni(owners: Ownership, index: TopologyIndex, eni: Eni) -> None:
    """An interface that is no node's; a node's have been claimed before."""
    space = owners.spaces.get(eni.vpc_id, -1)
    if space < 0 or (eni.instance_id is not None and eni.instance_id in index.node_of_instance):
        return
    shared = RowFlag.SHARED_PRIMARY if len(eni.addresses) > 1 or eni.prefixes else 0
    for held in eni.addresses:
        flags = (shared if held.is_primary else 0) | public_flag(eni, held.addr)
        owners.claim(space, host_prefix(held.addr), bare_row(index, eni, space, flags))
    claim_public(owners, index, eni, bare_row(index, eni, space, 0))
    for cidr in eni.prefixes:
        owners.claim(space, network_prefix(cidr), bare_row(index, eni, space, 0))
    for text in (*eni.addresses6, *eni.prefixes6):
        owners.claim(space, network_prefix(text), bare_row(index, eni, space, public_flag(eni, text)))


def _claim_services(owners: Ownership, index: TopologyIndex) -> None:
    """Cluster addresses exist in every space: only the node that translates them knows them."""
    for service in index.topology.services.values():
        row = Row(
            Kind.SERVICE,
            Source.UNDECIDED,
            reason=Reason.SERVICE,
            namespace=service.namespace,
            service=service.name,
            ports=owners.port_sets.add(owners.port_sets.keys_of_service(service)),
        )
        for addr in service.cluster_addrs:
            for vpc_id, space in owners.spaces.items():
                if index.eni_holding(vpc_id, addr) is None:
                    owners.claim(space, host_prefix(addr), row)


def _blocks_of(topology: Topology, vpc_id: str) -> tuple[Prefix, ...]:
    vpc = topology.vpcs.get(vpc_id)
    blocks = [network_prefix(cidr) for cidr in (*vpc.cidrs, *vpc.cidrs6)] if vpc is not None else []
    for subnet in topology.subnets.values():
        for cidr in (subnet.cidr, *subnet.cidrs6) if subnet.vpc_id == vpc_id else ():
            if cidr and not any(covers(block, network_prefix(cidr)) for block in blocks):
                blocks.append(network_prefix(cidr))
    return tuple(blocks)


def _claim_vpc(owners: Ownership, index: TopologyIndex, vpc: Vpc) -> None:
    topology = index.topology
    space = owners.spaces[vpc.id]
    for cidr in vpc.cidrs:
        family, base, length = network_prefix(cidr)
        resolver = Row(Kind.AWS_SERVICE, row_flags=RowFlag.RESOLVER, vpc=vpc.id, space=space)
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
                    _claim_for_neighbour(owners, space, network_prefix(prefix), Row(Kind.AWS_SERVICE))


def _claim_for_neighbour(owners: Ownership, space: int, prefix: Prefix, row: Row) -> None:
    """What is inside the VPC's own ranges, or link-local, is no neighbour's."""
    if not owners.is_inside(space, prefix) and not any(covers(reserved, prefix) for reserved in _RESERVED):
        owners.claim(space, prefix, row)


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
        _claim_for_neighbour(owners, space, prefix, row)
    for found in routes:
        if found.route.target_kind in {TargetKind.TRANSIT_GATEWAY, TargetKind.VPN_GATEWAY} and found.network.prefixlen > 0:
            prefix = (found.network.version, int(found.network.network_address), found.network.prefixlen)
            _claim_for_neighbour(owners, space, prefix, Row(Kind.ON_PREM))


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


_RESERVED = tuple(map(network_prefix, (*LOOPBACK, *LINK_LOCAL, *NEVER_UNICAST)))


def _claim_special(owners: Ownership, topology: Topology) -> None:
    """What AWS and the protocols keep for themselves, what nobody claimed, and the rest of the world."""
    unknown = Row(Kind.UNKNOWN, attribution=Attribution.UNKNOWN)
    reserved = (
        *((addr, Row(Kind.LINK_LOCAL, row_flags=RowFlag.AGENT)) for addr in AGENTS),
        *((cidr, Row(Kind.UNKNOWN, row_flags=RowFlag.LOOPBACK)) for cidr in LOOPBACK),
        *((cidr, Row(Kind.LINK_LOCAL)) for cidr in LINK_LOCAL),
        *((cidr, unknown) for cidr in NEVER_UNICAST),
    )
    for vpc_id, space in owners.spaces.items():
        # An AWS service behind a prefix list that was not collected looks like any address of the Internet.
        sure = Attribution.INFERRED if has_unlisted_routes(topology, vpc_id) else Attribution.EXACT
        internet = Row(Kind.INTERNET, attribution=sure)
        left = (*((cidr, unknown) for cidr in PRIVATE), ("::/0", unknown), (GLOBAL6, internet), ("0.0.0.0/0", internet))
        claimed = dict(owners.prefixes[space])
        for cidr, row in reserved:
            owners.claim(space, network_prefix(cidr), row)
        for cidr, row in left:
            owners.claim(space, network_prefix(cidr), _enclosing(claimed, network_prefix(cidr)) or row)


def _enclosing(claimed: Mapping[Prefix, Row], prefix: Prefix) -> Row | None:
    """Who claims a wider range all around this one: the most specific claim."""
    family, base, length = prefix
    width = 32 if family == 4 else 128
    wider = ((family, base >> (width - n) << (width - n), n) for n in range(length - 1, -1, -1))
    return next((claimed[each] for each in wider if each in claimed), None)
