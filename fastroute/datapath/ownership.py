"""Rows by space and prefix: what `rows` and `node_rows` fill, and `compile` lays out as arrays."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING

from fastroute.cni import NodePlan, Unmodelled
from fastroute.datapath.ports import PortSets
from fastroute.datapath.ranges import GLOBAL6
from fastroute.datapath.state import Reason, RowFlag, Source
from fastroute.topology import Eni, EniRole, Pod, TopologyIndex
from fastroute.topology.tenure import Tenure
from fastroute.vocab import Attribution, Kind

if TYPE_CHECKING:
    from fastroute.datapath.histories import AddressHistory

Prefix = tuple[int, int, int]
"""(family, first address, length)."""
Place = tuple[int, Prefix]
"""Space and prefix."""


@dataclass(slots=True)
class Row:
    """One owner of addresses; see `state.Rows` for the meaning of the columns. Names are texts here."""

    kind: Kind
    source: Source = Source.OUTSIDE
    attribution: Attribution = Attribution.EXACT
    reason: Reason = Reason.NONE
    row_flags: int = 0
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
    blocks: list[tuple[Prefix, ...]]
    """By space: the VPC's own blocks, and its subnets outside of them."""
    port_sets: PortSets = field(default_factory=PortSets)
    histories: dict[Place, AddressHistory] = field(default_factory=dict)
    host_tenures: dict[str, Tenure] = field(default_factory=dict)
    """By pod: how long each host-network pod has been there."""
    once_had_pods: frozenset[str] = frozenset()
    """Nodes on which there has been a pod with an address of its own, whether or not one is there now."""

    def claim(self, space: int, prefix: Prefix, row: Row) -> None:
        self.prefixes[space].setdefault(prefix, row)

    def holder_around(self, place: Place) -> Row:
        """Who has the most specific range around an address."""
        space, (family, base, length) = place
        width = _BITS[family]
        wider = ((family, base >> (width - n) << (width - n), n) for n in range(length - 1, -1, -1))
        return next(self.prefixes[space][each] for each in wider if each in self.prefixes[space])

    def is_inside(self, space: int, prefix: Prefix) -> bool:
        """Whether all of a prefix is in the VPC's own ranges, where no neighbour or public address is meant."""
        return any(covers(block, prefix) for block in self.blocks[space])


_BITS = {4: 32, 6: 128}


def covers(outer: Prefix, inner: Prefix) -> bool:
    """Whether `outer` holds all of `inner`."""
    if outer[0] != inner[0] or outer[2] > inner[2]:
        return False
    shift = _BITS[outer[0]] - outer[2]
    return outer[1] >> shift == inner[1] >> shift


def host_prefix(addr: str) -> Prefix:
    """Text address -> its host prefix."""
    parsed = ip_address(addr)
    return parsed.version, int(parsed), parsed.max_prefixlen


def network_prefix(cidr: str) -> Prefix:
    """Text prefix -> (family, first address, length)."""
    network = ip_network(cidr)
    return network.version, int(network.network_address), network.prefixlen


def with_interface(row: Row, index: TopologyIndex, eni: Eni | None) -> Row:
    """Give a row the identity that comes with an interface, if there is one."""
    if eni is not None:
        subnet = index.topology.subnets.get(eni.subnet_id)
        row.eni, row.subnet, row.vpc = eni.id, eni.subnet_id or None, eni.vpc_id or None
        row.az = (subnet.az_id if subnet is not None else "") or None
    return row


def public_flag(eni: Eni, text: str) -> int:
    """HAS_PUBLIC for an address of the interface that the Internet knows: a public one is associated, or it is global IPv6. Else 0.

    `text` may be a delegated IPv6 prefix as well.
    """
    if ":" in text:
        is_public = covers(network_prefix(GLOBAL6), network_prefix(text))
    else:
        is_public = any(held.addr == text and held.public_addr for held in eni.addresses)
    return RowFlag.HAS_PUBLIC if is_public else 0


def bare_row(index: TopologyIndex, eni: Eni, space: int, flags: int) -> Row:
    """An address of an interface that is no node's."""
    if eni.role is EniRole.VPC_ENDPOINT:
        flags |= RowFlag.ENDPOINT
    return with_interface(Row(Kind.ENI, Source.BARE, row_flags=flags, space=space), index, eni)


def claim_public(owners: Ownership, index: TopologyIndex, eni: Eni, primary: Row) -> None:
    """Public addresses mean their interface, seen from everywhere; that of the primary address has the identity of `primary`."""
    for held in eni.addresses:
        if held.public_addr:
            prefix = host_prefix(held.public_addr)
            identity = primary if held is eni.addresses[0] else bare_row(index, eni, primary.space, 0)
            public = replace(identity, source=Source.OUTSIDE, reason=Reason.NONE, row_flags=RowFlag.PUBLIC, host_pods=())
            for other in owners.spaces.values():
                if not owners.is_inside(other, prefix):
                    owners.claim(other, prefix, public)
