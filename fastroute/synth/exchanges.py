"""An exchange: who called whom, on which port; the records that it leaves at interfaces, and the truth about each of them."""

from __future__ import annotations

from dataclasses import dataclass

from fastroute.synth.account import Account
from fastroute.synth.addresses import text
from fastroute.synth.ends import END_COLUMNS, End, Ends
from fastroute.synth.nouns import Eni, Vpc
from fastroute.synth.ways import Way, Ways, form_of
from fastroute.vocab import EPHEMERAL_PORT_MIN, TCP, UDP, Disposition, Kind, Opener, PathClass

TRUTH_COLUMNS = (
    *(f"src_{name}" for name in END_COLUMNS),
    *(f"dst_{name}" for name in END_COLUMNS),
    *("opener", "form", "path_class", "disposition", "out_eni", "in_eni", "rule_priority", "table", "wire_src", "wire_dst"),
)
INT_TRUTH = frozenset({"rule_priority"})
CLIENT_PORT_MIN, CLIENT_PORT_MAX = EPHEMERAL_PORT_MIN, 49_999
"""Client ports, translated ones too. No declared port lies between, so the server's end never depends on the port that was drawn."""

TRAFFIC_SAME_VPC, TRAFFIC_PEERING, TRAFFIC_PEERING_FAR = 1, 4, 5
TRAFFIC_GATEWAY_ENDPOINT, TRAFFIC_INTERNET = 7, 8
_TRAFFIC_PATH = {
    PathClass.VPC_ENDPOINT: TRAFFIC_GATEWAY_ENDPOINT,
    PathClass.INTERNET_GATEWAY: TRAFFIC_INTERNET,
    PathClass.INTER_VPC: TRAFFIC_PEERING,
    PathClass.INTER_REGION: TRAFFIC_PEERING_FAR,
}

Truth = tuple[object, ...]


@dataclass(slots=True, frozen=True)
class Exchange:
    """A connection from `client` to `server`.

    `refused`: the receiver's security group rejects it. `needs_syn`: the ports alone would name the wrong opener, so every record shows the
    handshake. `seen_client`/`seen_server`: what the snapshot takes the address for, where that is another thing.
    """

    client: End
    server: End
    protocol: int
    port: int
    refused: bool = False
    needs_syn: bool = False
    seen_client: End | None = None
    seen_server: End | None = None


@dataclass(slots=True, frozen=True)
class Sighting:
    """One record that an interface would write: what its four address fields hold, and which of the two client ports it shows."""

    eni: Eni
    is_egress: bool
    src: int
    dst: int
    pkt_src: int
    pkt_dst: int
    is_reply: bool
    after_nat: bool
    is_rejected: bool
    traffic_path: int | None
    truth: Truth
    decidable: bool


class Observer:
    """Turns exchanges into the records of the logged VPCs' interfaces."""

    def __init__(self, account: Account, logged: list[Vpc], *, has_packet_addresses: bool) -> None:
        self._account = account
        self._ends = Ends(account)
        self._ways = Ways(account)
        self._logged = logged
        self._has_packet_addresses = has_packet_addresses

    def observe(self, exchange: Exchange) -> list[Sighting]:
        """All records of an exchange: none for one that stays on its node, up to six for one through a NAT gateway."""
        client, server = exchange.client, exchange.server
        there = self._ways.way(client, server, Opener.SRC)
        if there.path_class is PathClass.SAME_NODE:
            return []
        seen_client, seen_server = exchange.seen_client or client, exchange.seen_server or server
        if there.wire_src is not None and client.node is not None:
            seen_client = self._ends.host(client.node, exchange.protocol, CLIENT_PORT_MIN)
        sightings = self._direction(exchange, there, (client, server), (seen_client, seen_server), Opener.SRC)
        answers = not exchange.refused and there.disposition in (Disposition.DELIVERED, Disposition.EXITS_NETWORK)
        if answers:
            # an answer to a translated connection goes to the node's address, whoever is behind it
            target = seen_client if there.wire_src is not None else client
            back = self._ways.way(server, target, Opener.DST)
            sightings += self._direction(exchange, back, (server, client), (seen_server, seen_client), Opener.DST)
        return sightings

    def _direction(self, exchange: Exchange, way: Way, real: tuple[End, End], seen: tuple[End, End], opener: Opener) -> list[Sighting]:
        is_reply = opener is Opener.DST
        src, dst = seen[0].addr, seen[1].addr
        truth, decidable = self._judge(exchange, way, real, seen, opener)
        out: list[Sighting] = []

        def add(eni: Eni, is_egress: bool, fields: tuple[int, int, int, int], judged: tuple[Truth, bool], **more: bool) -> None:
            if eni.vpc in self._logged:
                out.append(
                    Sighting(
                        eni,
                        is_egress,
                        *fields,
                        is_reply=is_reply,
                        after_nat=more.get("after_nat", False),
                        is_rejected=more.get("is_rejected", False),
                        traffic_path=self._traffic_path(way, eni) if is_egress else None,
                        truth=judged[0],
                        decidable=judged[1] and self._is_legible(fields, eni),
                    )
                )

        if way.out_eni is not None:
            add(way.out_eni, True, (way.out_eni.primary, dst, src, dst), (truth, decidable))
        if way.nat is not None:
            gateway = self._ends.eni(way.nat.eni)
            own = gateway.addr
            if is_reply:
                inbound = self._judge_plain(exchange, seen[0], gateway, opener)
                add(way.nat.eni, False, (src, own, src, own), inbound, after_nat=True)
                inner = (truth, decidable) if self._has_packet_addresses else self._judge_plain(exchange, gateway, seen[1], opener)
                add(way.nat.eni, True, (own, dst, src, dst), inner)
            else:
                inner = (truth, decidable) if self._has_packet_addresses else self._judge_plain(exchange, seen[0], gateway, opener)
                add(way.nat.eni, False, (src, own, src, dst), inner)
                outbound = self._judge_plain(exchange, gateway, seen[1], opener)
                add(way.nat.eni, True, (own, dst, own, dst), outbound, after_nat=True)
        if way.in_eni is not None and way.disposition is Disposition.DELIVERED:
            add(way.in_eni, False, (src, way.in_eni.primary, src, dst), (truth, decidable), is_rejected=exchange.refused)
        return out

    def _judge_plain(self, exchange: Exchange, src: End, dst: End, opener: Opener) -> tuple[Truth, bool]:
        """Truth of a leg between ends that are what they seem."""
        return self._judge(exchange, self._ways.way(src, dst, opener), (src, dst), (src, dst), opener)

    def _judge(self, exchange: Exchange, way: Way, real: tuple[End, End], seen: tuple[End, End], opener: Opener) -> tuple[Truth, bool]:
        """The truth row, and whether record and snapshot determine it."""
        src, dst = real
        has_ports = exchange.protocol in (TCP, UDP)
        stated = opener
        if not has_ports:
            stated = Opener.DST if self._answers_untranslated(seen) else Opener.UNKNOWN
        decidable = (
            real == seen and not self._is_ambiguous(seen, stated) and not any(end.is_warm or end.kind is Kind.UNKNOWN for end in seen)
        )
        if stated is Opener.UNKNOWN and decidable:
            decidable = self._ways.way(src, dst, Opener.SRC) == self._ways.way(src, dst, Opener.DST)
        if has_ports and not (exchange.needs_syn and self._has_packet_addresses):
            # the default format has no flags either
            decidable = decidable and self._opener_by_ports(exchange, seen, opener) is opener
        return truth_row(src, dst, stated, way), decidable

    def _answers_untranslated(self, seen: tuple[End, End]) -> bool:
        """A pod's own address towards a range that would be translated: it can only be an answer."""
        return seen[0].kind is Kind.POD and self._account.is_snat_range(seen[1].addr)

    def _opener_by_ports(self, exchange: Exchange, seen: tuple[End, End], opener: Opener) -> Opener:
        """What MODEL.md section 2 makes of a record without handshake flags."""
        if self._answers_untranslated(seen):
            return Opener.DST
        client_port = CLIENT_PORT_MIN
        src_port, dst_port = (exchange.port, client_port) if opener is Opener.DST else (client_port, exchange.port)
        src_declares = self._ends.declares(seen[0], exchange.protocol, src_port)
        dst_declares = self._ends.declares(seen[1], exchange.protocol, dst_port)
        if src_declares != dst_declares:
            return Opener.DST if src_declares else Opener.SRC
        if (src_port < EPHEMERAL_PORT_MIN) != (dst_port < EPHEMERAL_PORT_MIN):
            return Opener.DST if src_port < EPHEMERAL_PORT_MIN else Opener.SRC
        return Opener.UNKNOWN

    def _is_ambiguous(self, seen: tuple[End, End], opener: Opener) -> bool:
        """Whether traffic of a node's own address may be that of a pod behind its SNAT. Source: MODEL.md section 1."""
        for side, other, outside_opened in ((seen[0], seen[1], Opener.DST), (seen[1], seen[0], Opener.SRC)):
            if side.kind is not Kind.NODE or side.node is None or side.addr != side.node.address:
                continue
            has_pods = any(pod.eni for pod in side.node.pods)
            if has_pods and self._account.is_snat_range(other.addr) and opener is not outside_opened:
                return True
        return False

    def _is_legible(self, fields: tuple[int, int, int, int], eni: Eni) -> bool:
        """Without packet addresses, the primary address of an interface with further ones may stand for any of them."""
        if self._has_packet_addresses:
            return True
        for addr in fields[:2]:
            holder = eni.vpc.holders.get(addr) or self._holder_elsewhere(addr)
            if holder is not None and holder.primary == addr and holder.has_further_addresses:
                return False
        return True

    def _holder_elsewhere(self, addr: int) -> Eni | None:
        for peering in self._account.network.peerings:
            for vpc in (peering.vpc, peering.peer):
                if vpc is not None and addr in vpc.holders:
                    return vpc.holders[addr]
        return None

    def _traffic_path(self, way: Way, eni: Eni) -> int:
        if way.nat is not None and eni is way.nat.eni:
            return TRAFFIC_INTERNET if way.out_eni is not None else TRAFFIC_SAME_VPC
        if way.path_class is PathClass.VPC_ENDPOINT and way.in_eni is not None:
            return TRAFFIC_SAME_VPC
        return _TRAFFIC_PATH.get(way.path_class, TRAFFIC_SAME_VPC)


def truth_row(src: End, dst: End, opener: Opener, way: Way) -> Truth:
    """Values of `TRUTH_COLUMNS`; of a flow with an unknown end, the kinds alone."""
    if Kind.UNKNOWN in (src.kind, dst.kind):
        by_name = {"src_kind": src.kind.name, "dst_kind": dst.kind.name}
        return tuple(by_name.get(name) for name in TRUTH_COLUMNS)
    form = form_of(src, dst)
    return (
        *src.columns,
        *dst.columns,
        opener.name,
        form.name if form is not None else None,
        way.path_class.name,
        way.disposition.name,
        way.out_eni.id if way.out_eni else None,
        way.in_eni.id if way.in_eni else None,
        None if way.rule_priority is None else int(way.rule_priority),
        way.table,
        None if way.wire_src is None else text(way.wire_src),
        None,
    )
