"""Just enough rtnetlink: dumps of one namespace as model rows, and route questions by the hundred.

Source: linux include/uapi/linux/{rtnetlink,fib_rules,if_addr,if_link}.h.
"""

from __future__ import annotations

import ctypes
import os
import socket
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from fastroute.netns.decision import Packet
from fastroute.netns.model import ANY, Addr, Link, NextHop, Prefix, Route, RouteType, Rule, RuleAction, Scope

NLMSG_ERROR, NLMSG_DONE = 2, 3
NLM_F_REQUEST, NLM_F_DUMP = 1, 0x300
RTM_GETLINK, RTM_GETADDR, RTM_GETROUTE, RTM_GETRULE = 18, 22, 26, 34
RTM_F_CLONED, RTM_F_LOOKUP_TABLE, RTM_F_FIB_MATCH = 0x200, 0x1000, 0x2000
RTA_DST, RTA_SRC, RTA_IIF, RTA_OIF, RTA_GATEWAY, RTA_PRIORITY, RTA_PREFSRC, RTA_MULTIPATH, RTA_TABLE, RTA_MARK, RTA_VIA = (
    1,
    2,
    3,
    4,
    5,
    6,
    7,
    9,
    15,
    16,
    18,
)
RTA_PREF, RTA_UID, RTA_IP_PROTO, RTA_SPORT, RTA_DPORT, RTA_NH_ID = 20, 25, 27, 28, 29, 30
RTNH_F_DEAD, RTNH_F_ONLINK, RTNH_F_LINKDOWN = 1, 4, 16
FRA_DST, FRA_SRC, FRA_IIFNAME, FRA_GOTO, FRA_PRIORITY, FRA_FWMARK, FRA_SUPPRESS_PREFIXLEN, FRA_TABLE, FRA_FWMASK, FRA_OIFNAME = (
    1,
    2,
    3,
    4,
    6,
    10,
    14,
    15,
    16,
    17,
)
FRA_UID_RANGE, FRA_IP_PROTO, FRA_SPORT_RANGE, FRA_DPORT_RANGE = 20, 22, 23, 24
FIB_RULE_INVERT, FIB_RULE_IIF_DETACHED, FIB_RULE_OIF_DETACHED = 2, 8, 16
IFA_ADDRESS, IFA_LOCAL, IFA_BROADCAST, IFA_FLAGS = 1, 2, 4, 8
IFA_F_SECONDARY = 1
IFF_UP, IFF_LOWER_UP = 1, 1 << 16
IFLA_ADDRESS, IFLA_IFNAME, IFLA_MTU = 1, 3, 4

ROUTE_TYPES = dict(
    enumerate(
        (
            RouteType.UNICAST,
            RouteType.LOCAL,
            RouteType.BROADCAST,
            RouteType.ANYCAST,
            RouteType.MULTICAST,
            RouteType.BLACKHOLE,
            RouteType.UNREACHABLE,
            RouteType.PROHIBIT,
            RouteType.THROW,
        ),
        start=1,
    )
)
ERROR_TYPES = (RouteType.BLACKHOLE, RouteType.UNREACHABLE, RouteType.PROHIBIT, RouteType.THROW)
RULE_ACTIONS = {
    1: RuleAction.LOOKUP,
    2: RuleAction.GOTO,
    3: RuleAction.NOP,
    6: RuleAction.BLACKHOLE,
    7: RuleAction.UNREACHABLE,
    8: RuleAction.PROHIBIT,
}
SCOPES = {0: Scope.GLOBAL, 200: Scope.SITE, 253: Scope.LINK, 254: Scope.HOST, 255: Scope.NOWHERE}
PREFERENCES = {0: "medium", 1: "high", 3: "low"}
PROTOCOL_KERNEL = 2

BATCH = 256
REPLY_BYTES = 2048
FAMILY_CODES = {4: socket.AF_INET, 6: socket.AF_INET6}
FAMILIES_BY_CODE = {socket.AF_INET: 4, socket.AF_INET6: 6}

Attrs = dict[int, bytes]


@dataclass(frozen=True, slots=True)
class Answer:
    """What the kernel says to one question: an errno, or a route. Interfaces are indexes; `hops` are (index, gateway) of all next hops."""

    errno: int = 0
    type: RouteType | None = None
    table_id: int = 0
    prefix_len: int = -1
    oif: int = 0
    gateway: int | None = None
    prefsrc: int | None = None
    hops: frozenset[tuple[int, int | None]] = frozenset()


def attr(kind: int, payload: bytes) -> bytes:
    """Encode one attribute, padded to four bytes."""
    return struct.pack("=HH", len(payload) + 4, kind) + payload + b"\0" * (-len(payload) % 4)


def parse_attrs(data: bytes) -> Attrs:
    """Decode attributes; of repeated ones the last remains."""
    attrs: Attrs = {}
    position = 0
    while position + 4 <= len(data):
        length, kind = struct.unpack_from("=HH", data, position)
        if length < 4:
            break
        attrs[kind & 0x3FFF] = data[position + 4 : position + length]
        position += (length + 3) & ~3
    return attrs


def u32(attrs: Attrs, kind: int, default: int = 0) -> int:
    """Return an attribute of four bytes, host order."""
    return struct.unpack("=I", attrs[kind][:4])[0] if kind in attrs else default


def number(payload: bytes) -> int:
    """Decode an address."""
    return int.from_bytes(payload, "big")


class _IoVec(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


class _MsgHdr(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_void_p),
        ("name_length", ctypes.c_uint32),
        ("iov", ctypes.POINTER(_IoVec)),
        ("iov_length", ctypes.c_size_t),
        ("control", ctypes.c_void_p),
        ("control_length", ctypes.c_size_t),
        ("flags", ctypes.c_int),
    )


class _MMsgHdr(ctypes.Structure):
    _fields_ = (("header", _MsgHdr), ("length", ctypes.c_uint))


class Netlink:
    """One rtnetlink socket, in the network namespace of the thread that opens it."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        self._socket.bind((0, 0))
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._buffer = ctypes.create_string_buffer(BATCH * REPLY_BYTES)
        self._iovecs = (_IoVec * BATCH)()
        self._messages = (_MMsgHdr * BATCH)()
        base = ctypes.addressof(self._buffer)
        for i in range(BATCH):
            self._iovecs[i] = _IoVec(base + i * REPLY_BYTES, REPLY_BYTES)
            self._messages[i].header.iov = ctypes.pointer(self._iovecs[i])
            self._messages[i].header.iov_length = 1

    def close(self) -> None:
        """Close the socket; the namespace can then go."""
        self._socket.close()

    def dump(self, kind: int, header: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Ask for all objects of a kind; yield (fixed header, attributes) of the given header's length."""
        self._socket.send(struct.pack("=IHHII", 16 + len(header), kind, NLM_F_REQUEST | NLM_F_DUMP, 1, 0) + header)
        while True:
            data = self._socket.recv(1 << 18)
            position = 0
            while position + 16 <= len(data):
                length, message = struct.unpack_from("=IH", data, position)
                if message == NLMSG_DONE:
                    return
                if message == NLMSG_ERROR:
                    code = -struct.unpack_from("=i", data, position + 16)[0]
                    raise OSError(code, os.strerror(code))
                body = data[position + 16 : position + length]
                yield body[: len(header)], body[len(header) :]
                position += (length + 3) & ~3

    def links(self) -> dict[int, Link]:
        """List the links by index."""
        links = {}
        for header, data in self.dump(RTM_GETLINK, struct.pack("=BxHiII", 0, 0, 0, 0, 0)):
            _, _, index, flags, _ = struct.unpack("=BxHiII", header)
            attrs = parse_attrs(data)
            mac = ":".join(f"{octet:02x}" for octet in attrs.get(IFLA_ADDRESS, b""))
            name = attrs[IFLA_IFNAME].rstrip(b"\0").decode()
            links[index] = Link(
                name, index, bool(flags & IFF_UP), mac, u32(attrs, IFLA_MTU), has_carrier=bool(flags & IFF_LOWER_UP) or not flags & IFF_UP
            )
        return links

    def addrs(self, links: dict[int, Link]) -> list[Addr]:
        """List the addresses of both families."""
        rows = []
        for header, data in self.dump(RTM_GETADDR, struct.pack("=BBBBI", 0, 0, 0, 0, 0)):
            code, prefix_len, flags, scope, index = struct.unpack("=BBBBI", header)
            attrs = parse_attrs(data)
            own = number(attrs.get(IFA_LOCAL, attrs[IFA_ADDRESS]))
            peer = number(attrs[IFA_ADDRESS])
            broadcast = number(attrs[IFA_BROADCAST]) if IFA_BROADCAST in attrs else None
            secondary = bool(u32(attrs, IFA_FLAGS, flags) & IFA_F_SECONDARY)
            rows.append(
                Addr(
                    links[index].name,
                    FAMILIES_BY_CODE[socket.AddressFamily(code)],
                    own,
                    prefix_len,
                    SCOPES[scope],
                    secondary,
                    broadcast,
                    None if peer == own else peer,
                )
            )
        return rows

    def rules(self, family: int) -> list[Rule]:
        """List the rules of a family in the order they are tried."""
        header = struct.pack("=BBBBBBBBI", FAMILY_CODES[family], 0, 0, 0, 0, 0, 0, 0, 0)
        return [parse_rule(family, head, parse_attrs(data)) for head, data in self.dump(RTM_GETRULE, header)]

    def routes(self, family: int, links: dict[int, Link]) -> list[Route]:
        """List the routes of all tables of a family, in the order of the dump."""
        header = struct.pack("=BBBBBBBBI", FAMILY_CODES[family], 0, 0, 0, 0, 0, 0, 0, 0)
        rows = []
        for head, data in self.dump(RTM_GETROUTE, header):
            if not struct.unpack_from("=I", head, 8)[0] & RTM_F_CLONED:
                rows.append(parse_route(family, head, parse_attrs(data), links))
        return rows

    def ask(self, requests: Sequence[bytes]) -> list[Answer]:
        """Ask route questions, `BATCH` per send, and return the answers in order.

        Parameters
        ----------
        requests : sequence of bytes
            As `question` encodes them; one socket answers in order.
        """
        answers: list[Answer] = []
        for start in range(0, len(requests), BATCH):
            part = requests[start : start + BATCH]
            self._socket.send(b"".join(part))
            got = 0
            while got < len(part):
                count = self._libc.recvmmsg(self._socket.fileno(), self._messages, len(part) - got, 0x10000, None)  # MSG_WAITFORONE
                if count < 0:
                    code = ctypes.get_errno()
                    raise OSError(code, os.strerror(code))
                replies = memoryview(self._buffer)
                for i in range(count):
                    begin = i * REPLY_BYTES
                    answers.append(parse_answer(bytes(replies[begin : begin + self._messages[i].length])))
                got += count
        return answers


def parse_rule(family: int, header: bytes, attrs: Attrs) -> Rule:
    """Decode one rule."""
    _, dst_len, src_len, tos, table, _, _, action, flags = struct.unpack("=BBBBBBBBI", header)
    fwmark = u32(attrs, FRA_FWMARK)
    fwmask = u32(attrs, FRA_FWMASK, 2**32 - 1 if fwmark else 0)

    def name(kind: int) -> str | None:
        return attrs[kind].rstrip(b"\0").decode() if kind in attrs else None

    def pair(kind: int, form: str) -> tuple[int, int] | None:
        if kind not in attrs:
            return None
        low, high = struct.unpack(form, attrs[kind])
        return low, high

    suppress = u32(attrs, FRA_SUPPRESS_PREFIXLEN, 2**32 - 1)
    return Rule(
        priority=u32(attrs, FRA_PRIORITY),
        family=family,
        src_prefix=Prefix(number(attrs[FRA_SRC]), src_len) if src_len else ANY,
        dst_prefix=Prefix(number(attrs[FRA_DST]), dst_len) if dst_len else ANY,
        in_interface=name(FRA_IIFNAME),
        out_interface=name(FRA_OIFNAME),
        fwmark=fwmark,
        fwmask=fwmask,
        ipproto=attrs[FRA_IP_PROTO][0] if FRA_IP_PROTO in attrs else 0,
        sport=pair(FRA_SPORT_RANGE, "=HH"),
        dport=pair(FRA_DPORT_RANGE, "=HH"),
        tos=tos,
        uid_range=pair(FRA_UID_RANGE, "=II"),
        inverted=bool(flags & FIB_RULE_INVERT),
        action=RULE_ACTIONS[action],
        table_id=u32(attrs, FRA_TABLE, table),
        goto_priority=u32(attrs, FRA_GOTO) if FRA_GOTO in attrs else None,
        suppress_prefix_len=-1 if suppress == 2**32 - 1 else suppress,
        iif_detached=bool(flags & FIB_RULE_IIF_DETACHED),
        oif_detached=bool(flags & FIB_RULE_OIF_DETACHED),
    )


def parse_route(family: int, header: bytes, attrs: Attrs, links: dict[int, Link]) -> Route:
    """Decode one route of a dump."""
    _, dst_len, src_len, tos, table, protocol, scope, kind, flags = struct.unpack("=BBBBBBBBI", header)
    route_type = ROUTE_TYPES[kind]
    hops = [
        NextHop(
            links[index].name if index in links else None,
            gateway,
            gateway_family,
            weight,
            bool(f & RTNH_F_DEAD),
            bool(f & RTNH_F_LINKDOWN),
            bool(f & RTNH_F_ONLINK),
        )
        for index, gateway, gateway_family, weight, f in parse_hops(family, attrs, flags)
    ]
    return Route(
        table_id=u32(attrs, RTA_TABLE, table),
        family=family,
        prefix=Prefix(number(attrs[RTA_DST]), dst_len) if RTA_DST in attrs else Prefix(0, dst_len),
        type=route_type,
        next_hops=() if route_type in ERROR_TYPES else tuple(hops),
        prefsrc=number(attrs[RTA_PREFSRC]) if RTA_PREFSRC in attrs else None,
        src_prefix=Prefix(number(attrs[RTA_SRC]), src_len) if src_len else ANY,
        scope=SCOPES[scope],
        metric=u32(attrs, RTA_PRIORITY),
        tos=tos,
        protocol="kernel" if protocol == PROTOCOL_KERNEL else str(protocol),
        nexthop_id=u32(attrs, RTA_NH_ID) if RTA_NH_ID in attrs else None,
        pref=PREFERENCES[attrs[RTA_PREF][0]] if RTA_PREF in attrs else "medium",
    )


def parse_gateway(family: int, attrs: Attrs) -> tuple[int | None, int]:
    """Return (gateway, its family); (None, 0) on link."""
    if RTA_GATEWAY in attrs:
        return number(attrs[RTA_GATEWAY]), family
    if RTA_VIA in attrs:
        return number(attrs[RTA_VIA][2:]), FAMILIES_BY_CODE[socket.AddressFamily(struct.unpack_from("=H", attrs[RTA_VIA])[0])]
    return None, 0


def parse_hops(family: int, attrs: Attrs, flags: int) -> Iterator[tuple[int, int | None, int, int, int]]:
    """Yield (interface index, gateway, gateway family, weight, flags) of each next hop."""
    data = attrs.get(RTA_MULTIPATH, b"")
    if not data and RTA_OIF in attrs:
        yield u32(attrs, RTA_OIF), *parse_gateway(family, attrs), 1, flags
    while len(data) >= 8:
        length, hop_flags, weight, index = struct.unpack_from("=HBBi", data)
        yield index, *parse_gateway(family, parse_attrs(data[8:length])), weight + 1, hop_flags
        data = data[(length + 3) & ~3 :]


def parse_answer(data: bytes) -> Answer:
    """Decode the reply to one question."""
    length, message = struct.unpack_from("=IH", data)
    if message == NLMSG_ERROR:
        return Answer(errno=-struct.unpack_from("=i", data, 16)[0])
    code, dst_len, _, _, table, _, _, kind, flags = struct.unpack_from("=BBBBBBBBI", data, 16)
    family = 4 if code == socket.AF_INET else 6
    attrs = parse_attrs(data[28:length])
    hops = [(index, gateway) for index, gateway, *_ in parse_hops(family, attrs, flags)]
    return Answer(
        0,
        ROUTE_TYPES[kind],
        u32(attrs, RTA_TABLE, table),
        dst_len,
        hops[0][0] if hops else 0,
        hops[0][1] if hops else None,
        number(attrs[RTA_PREFSRC]) if RTA_PREFSRC in attrs else None,
        frozenset(hops),
    )


def question(packet: Packet, indexes: dict[str, int], *, fib_match: bool) -> bytes:
    """Encode `ip route get` for a packet: the route as taken, or (fib_match) the entry that matched."""
    size = 4 if packet.family == 4 else 16
    attrs = attr(RTA_DST, packet.dst.to_bytes(size, "big"))
    if packet.src:
        attrs += attr(RTA_SRC, packet.src.to_bytes(size, "big"))
    if packet.in_interface is not None:
        attrs += attr(RTA_IIF, struct.pack("=I", indexes[packet.in_interface]))
    if packet.out_interface is not None:
        attrs += attr(RTA_OIF, struct.pack("=I", indexes[packet.out_interface]))
    if packet.fwmark:
        attrs += attr(RTA_MARK, struct.pack("=I", packet.fwmark))
    attrs += attr(RTA_UID, struct.pack("=I", packet.uid)) + attr(RTA_IP_PROTO, bytes([packet.ipproto]))
    if packet.sport:
        attrs += attr(RTA_SPORT, struct.pack(">H", packet.sport))
    if packet.dport:
        attrs += attr(RTA_DPORT, struct.pack(">H", packet.dport))
    flags = RTM_F_LOOKUP_TABLE | (RTM_F_FIB_MATCH if fib_match else 0)
    header = struct.pack("=BBBBBBBBI", FAMILY_CODES[packet.family], size * 8, size * 8 if packet.src else 0, packet.tos, 0, 0, 0, 0, flags)
    return struct.pack("=IHHII", 16 + len(header) + len(attrs), RTM_GETROUTE, NLM_F_REQUEST, 0, 0) + header + attrs
