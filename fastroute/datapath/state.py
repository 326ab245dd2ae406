"""The compiled form of a snapshot: flat arrays that the kernels read, and the names that decode their answers."""

from __future__ import annotations

from enum import IntEnum
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastroute.cni import Unmodelled
from fastroute.lpm import Pool4, Pool6

I32 = NDArray[np.int32]
I64 = NDArray[np.int64]
U8 = NDArray[np.uint8]


class Source(IntEnum):
    """How a packet from this address begins its way."""

    OUTSIDE = 0
    """Not in the snapshot: it comes in by a gateway."""
    POD = 1
    """Behind a veth of a node with known state."""
    HOST = 2
    """A node's own address."""
    BARE = 3
    """An interface without rules: it leaves by itself."""
    NOBODY = 4
    """In a subnet, held by nobody."""
    UNDECIDED = 5
    """Its node's state is not modelled: `rows.reason`."""


class RowFlag(IntEnum):
    """What else is known of an address; bits of `rows.row_flags`."""

    POD_ROUTE = 1
    """Its node has a rule 512 and a route to its veth."""
    NODE_LOCAL = 2
    """In its node's table `local`."""
    WARM = 4
    """On a node's interface, held by no pod now."""
    PUBLIC = 8
    """The public address of an interface in the snapshot."""
    HAS_PUBLIC = 16
    """A private address with a public one associated."""
    LOOPBACK = 32
    SHARED_PRIMARY = 64
    """Primary address of an interface that holds others: without packet addresses it may stand for any of them."""
    SNAT_ADDR = 128
    """Stands for the node's pods behind source NAT as well."""
    ENDPOINT = 256
    """An interface endpoint's interface."""
    RESOLVER = 512
    AGENT = 1024
    """A link-local address that an agent on the node may hold."""
    REUSED = 2048
    """Stands for several pods that held the address one after the other."""


class Reason(IntEnum):
    """Why an answer is UNDECIDED; `REASON_TEXTS` says it in words."""

    NONE = 0
    NO_INSTANCE = 1
    NO_PRIMARY_ENI = 2
    NO_SUBNET = 3
    NO_VPC = 4
    FARGATE = 5
    AUTO_MODE = 6
    BRANCH_PODS = 7
    IPV6 = 8
    NOT_HELD = 9
    UNMANAGED = 10
    SERVICE = 11
    NOBODY = 12
    BOTH_OUTSIDE = 13
    UNKNOWN_END = 14
    AGENT = 15
    NO_TABLE = 16
    CLIENT_ADDRESS = 17
    OPENER = 18
    TWO_FAMILIES = 19
    REUSED = 20


REASON_TEXTS: dict[Reason, str] = {
    Reason.NONE: "",
    **{Reason[reason.name]: reason.value for reason in Unmodelled},
    Reason.NOT_HELD: "no interface of the pod's node holds its address",
    Reason.UNMANAGED: "the plugin does not manage this interface; what the operating system set up is not known without a dump of the node",
    Reason.SERVICE: "the translation of Service addresses is not modelled yet",
    Reason.NOBODY: "nobody in the snapshot holds the source address",
    Reason.BOTH_OUTSIDE: "neither end is in the snapshot",
    Reason.UNKNOWN_END: "an end is UNKNOWN: nothing in the snapshot says whose address it is",
    Reason.AGENT: "whether an agent on the node holds this link-local address is not known without a dump of the node",
    Reason.NO_TABLE: "the route table of the interface's subnet is not in the snapshot",
    Reason.CLIENT_ADDRESS: "it has no public address: only a load balancer that keeps client addresses leads there, not modelled yet",
    Reason.TWO_FAMILIES: "one end is an IPv4 address, the other an IPv6 address: no packet has both",
    Reason.REUSED: "several pods, each on its own interface, may have held the address at the time of the record",
    Reason.OPENER: "the way depends on who opened the connection, and the record does not show it",
}


class Names(NamedTuple):
    """A table of texts: UTF-8 bytes one after another; text i is data[offsets[i] : offsets[i + 1]]."""

    data: U8
    offsets: I32


class Rows(NamedTuple):
    """One row an address interval of a space, most specific wins; then identity-only rows (HOST_POD). Codes into names; -1 is null."""

    kind: U8
    attribution: U8
    source: U8
    reason: U8
    row_flags: NDArray[np.uint16]
    namespace: I32
    pod: I32
    owner_kind: I32
    owner: I32
    node: I32
    eni: I32
    subnet: I32
    az: I32
    vpc: I32
    service: I32
    space: I32
    """Space whose own address it is; -1 outside of every VPC."""
    link_space: I32
    """Space to look the address up in instead, or -1."""
    dst_class: I32
    """Row of the decision matrices."""
    profile: I32
    """Routing tables of a POD or HOST source: column of `fib`; -1 elsewhere."""
    rule: I32
    """Priority of the rule that sends it to its own table: 1536, 32765 or 32766."""
    table: I32
    """Code of that table."""
    route_table: I32
    """VPC route table of its interface's subnet; -1 unknown."""
    ports: I32
    """Set of declared ports; -1 none."""
    source_leg: I32
    """Number of its first source leg; -1 where none begins here."""
    destination_leg: I32
    """Number of its first destination leg."""


class Enis(NamedTuple):
    """(num_enis,) each."""

    az: I32
    space: I32
    route_table: I32
    checks_source: U8


class Nodes(NamedTuple):
    """(num_nodes,) each."""

    primary_eni: I32
    main_profile: I32
    ranges: I32
    """Column of `ranges`."""
    local_rule: I32
    """Priority of the rule that asks table local: 0, or 20 behind the rules of branch interfaces; -1 unknown."""
    snat_has_public: U8
    snat_row: I32
    """Row of the address that source NAT writes: whom the other end of a translated connection sees."""


class Decisions(NamedTuple):
    """Every routing decision by destination class: the most specific of all prefixes that any table or setting names."""

    fib: U8
    """(num_profiles, num_classes): FibExit."""
    ranges: U8
    """(num_ranges, num_classes): RangeFlag."""
    vpc: I32
    """(num_route_tables, num_classes): VPC leg, row of VpcLegs."""
    internet_gateway: I32
    """(num_spaces,): VPC leg in by the VPC's Internet gateway; -1 without one."""
    has_load_balancer: U8
    """(num_spaces,)."""


class FibExit(IntEnum):
    """What a node's table does with a class, the node's own pods aside (rule 512 answers those)."""

    GATEWAY = 0
    ON_LINK = 1
    BROADCAST = 2


class RangeFlag(IntEnum):
    """What the CNI settings say of a class; bits of `decisions.ranges`."""

    SNAT = 1
    """Connections that are opened towards it get the node's address."""
    EXTERNAL_SERVICE = 2


class LegNext(IntEnum):
    """What follows a VPC leg."""

    DELIVER = 0
    """To the interface that holds the destination in `space`."""
    INTERNET = 1
    """Out by an Internet gateway; the source needs a public address."""
    INTERNET_NAT = 2
    """The same behind a NAT gateway, which has one."""
    OUT = 3
    END = 4


class VpcLegs(NamedTuple):
    """(num_vpc_legs,) each; row 0 is none."""

    next: U8
    path_class: NDArray[np.int8]
    """PathClass, or -1: the zones decide."""
    disposition: U8
    space: I32
    lets_in: U8
    """Whether traffic from outside comes in by it: 0 no, 1 any, 2 only answers to what the inside opened (NAT)."""


class Ports(NamedTuple):
    """Sets of declared ports and, per node, the host-network pod that declares one. Keys are protocol << 16 | port, sorted inside a set."""

    offsets: I32
    keys: I32
    node_ports: I32
    """Keys that every node declares: kubelet and node ports of Services."""
    host_offsets: I32
    """(num_rows + 1,): host-network pods by NODE row."""
    host_keys: I32
    host_rows: I32
    """HOST_POD row, or -1 where several pods declare the port."""


def records_of(columns: NamedTuple, fields: tuple[str, ...] | None = None) -> np.recarray[Any, Any]:
    """Pack columns of one length into records: what the walk needs of one row then lies on one or two cache lines.

    Parameters
    ----------
    columns : a NamedTuple of (n,) arrays
    fields : names to keep, all by default

    Returns
    -------
    (n,) recarray, aligned
    """
    chosen = {name: getattr(columns, name) for name in fields or columns._fields}
    wide_first = sorted(chosen, key=lambda name: -chosen[name].dtype.itemsize)
    n = len(next(iter(chosen.values())))
    records = np.zeros(n, np.dtype([(name, chosen[name].dtype) for name in wide_first], align=True))
    for name, column in chosen.items():
        records[name] = column
    return records.view(np.recarray)


WALKED_ROW_FIELDS = (
    *("kind", "attribution", "source", "reason", "row_flags", "namespace", "pod", "node", "eni", "space"),
    *("dst_class", "profile", "rule", "table", "route_table", "ports", "source_leg", "destination_leg"),
)
"""Columns of Rows that the kernels read; the others are for decoding."""


class Tables(NamedTuple):
    """What the kernels read; `rows`, `enis`, `nodes` and `vpc_legs` as records of the columns of the same names.

    `table_local` and `table_main` are the codes of those table names; destination classes from `first_class6` on are those of IPv6.
    """

    rows: np.recarray[Any, Any]
    enis: np.recarray[Any, Any]
    nodes: np.recarray[Any, Any]
    decisions: Decisions
    vpc_legs: np.recarray[Any, Any]
    ports: Ports
    table_local: int
    table_main: int
    first_class6: int


class History(NamedTuple):
    """Who held which address when: tenures in order of `first`, histories one after another. Seconds since 1970, both ends included.

    A record is about the stretch of time in which its packets can have been seen. The tenures of a history that meet it lie side by side.
    """

    settled: I64
    """(num_rows,): a stretch that begins here or later has the row's owner; BEGINNING for rows without a history."""
    of_row: I32
    """(num_rows,): history of the row's address, or -1."""
    offsets: I32
    """(num_histories + 1,) into the columns of tenures."""
    first: I64
    """(num_tenures,): possibly from here on."""
    since: I64
    """Surely from here on."""
    until: I64
    """Surely up to here."""
    last: I64
    """Possibly up to here."""
    row: I32
    pair: I32
    """Row of this tenure and the next together; -1 for the last of a history."""
    whole: I32
    """(num_histories,): row of three or more together."""
    background: I32
    """(num_histories,): row of nobody."""
    background_attribution: U8
    """(num_histories,): Attribution at best, where nobody is known to have held the address."""


class RowPrefixes(NamedTuple):
    """(num_legged_rows,) each: the addresses of a row, less those of more specific rows. IPv4 sits in `lo`.

    Rows that the look-up gives come first, then those of histories; host-network pods have none of their own.
    """

    family: U8
    hi: NDArray[np.uint64]
    lo: NDArray[np.uint64]
    length: U8
    space: I32


class Compiled(NamedTuple):
    """A snapshot, ready to route: what the kernels read, the look-up from addresses to rows, and the names that decode answers."""

    rows: Rows
    tables: Tables
    pool4: Pool4
    pool6: Pool6
    names: dict[str, Names]
    spaces: dict[str, int]
    space_of_eni: dict[str, int]
    prefixes: RowPrefixes
    leg_texts: dict[str, Names]
    """Hops of the VPC legs, for decoding."""
    history: History
    device_texts: dict[str, Names]
    """By interface: `device` and `gateway` (its subnet's router), `subnet` (its subnet's prefix). By row: `veth`, empty but for pods."""

    @property
    def only_space(self) -> int:
        """The snapshot's only VPC, or -1."""
        return 0 if len(self.spaces) == 1 else -1


# path_id: source leg (22 bits) | VPC leg (19 bits) | destination leg (22 bits); 0 in a field: no such leg.
VPC_LEG_BITS, DESTINATION_LEG_BITS, SOURCE_LEG_BITS = 19, 22, 22
VPC_LEG_SHIFT = DESTINATION_LEG_BITS
SOURCE_LEG_SHIFT = DESTINATION_LEG_BITS + VPC_LEG_BITS


class SourceLeg(IntEnum):
    """The ways out of a source, counted from `rows.source_leg`. Each but the first two comes twice: by the gateway, and on link."""

    LOCAL = 0
    TO_POD = 1
    BROADCAST = 2
    OWN = 3
    MARKED = 5
    EXTERNAL_SERVICE = 7
    OWN_SNAT = 9


NUM_SOURCE_LEGS = 11


class DestinationLeg(IntEnum):
    """The ways into a destination, counted from `rows.destination_leg`."""

    FROM_VPC = 0
    FROM_HOST = 1
    LOOPBACK = 2


NUM_DESTINATION_LEGS = 3


class VpcLegWay(IntEnum):
    """Variants of one VPC leg: number = VpcLegs row * 4 + way."""

    OUT = 0
    NO_PUBLIC_ADDRESS = 1
    IN = 2


NUM_VPC_LEG_WAYS = 4
