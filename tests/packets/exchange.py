"""One question and its answer, as UDP datagrams or as the first two segments of a TCP connection."""

from __future__ import annotations

import itertools
import random
import socket
import struct
from collections.abc import Callable, Sequence
from typing import NamedTuple

from tests.packets.lab import Crossing, Lab

SERVER_PORT = 7000
QUIET_SECONDS = 0.1
"""How long a packet is waited for that should be dropped; one hop takes some 10 microseconds."""
ARRIVAL_SECONDS = 10.0
"""How long for one that should arrive: a busy machine may be late."""
SYN, SYN_ACK = 0x02, 0x12


class Place(NamedTuple):
    """Somewhere to send from and to."""

    namespace: str
    addr: str


class Outcome(NamedTuple):
    """Whether question and answer arrived, and what they crossed."""

    arrived: bool
    returned: bool
    question: list[Crossing]
    answer: list[Crossing]


class Udp:
    """A datagram, answered to whom the server saw."""

    protocol = socket.IPPROTO_UDP
    _tokens = itertools.count(random.SystemRandom().getrandbits(60))

    def __init__(self, lab: Lab, places: Sequence[Place]) -> None:
        self._lab = lab
        self._servers = {place: opened(lab, place, SERVER_PORT, socket.SOCK_DGRAM) for place in places}

    def run(self, source: Place, target: Place, *, arrives: bool, returns: bool) -> Outcome:
        """Send a question; `arrives` and `returns` say how long to wait."""
        token = struct.pack("!Q", next(self._tokens))
        answer, server = token + b"answer", self._servers[target]
        with opened(self._lab, source, 0, socket.SOCK_DGRAM) as client:
            client.sendto(token, (target.addr, SERVER_PORT))
            received = waited(lambda: server.recvfrom(100), server, arrives)
            came_back = None
            if received is not None:
                assert received[0] == token
                server.sendto(answer, received[1])
                came_back = waited(lambda: client.recvfrom(100), client, returns)
                assert came_back in (None, (answer, (target.addr, SERVER_PORT)))
        seen = [(packet, crossing) for packet, crossing in self._lab.seen() if packet[9] == self.protocol]
        questions = [crossing for packet, crossing in seen if packet.endswith(token)]
        return Outcome(received is not None, came_back is not None, questions, [c for packet, c in seen if packet.endswith(answer)])

    def close(self) -> None:
        for server in self._servers.values():
            server.close()


class Tcp:
    """A connection: SYN, and SYN with ACK. The kernel answers; nothing is sent over it."""

    protocol = socket.IPPROTO_TCP

    def __init__(self, lab: Lab, places: Sequence[Place]) -> None:
        self._lab = lab
        self._servers = {place: opened(lab, place, SERVER_PORT, socket.SOCK_STREAM) for place in places}
        for server in self._servers.values():
            server.listen()

    def run(self, source: Place, target: Place, *, arrives: bool, returns: bool) -> Outcome:
        """Open a connection; `arrives` and `returns` say how long to wait."""
        with opened(self._lab, source, 0, socket.SOCK_STREAM) as client:
            connected = waited(lambda: client.connect((target.addr, SERVER_PORT)) or True, client, arrives and returns)
            if connected:
                self._servers[target].accept()[0].close()
        seen = [(flags_of(packet), crossing) for packet, crossing in self._lab.seen() if packet[9] == self.protocol]
        question = [crossing for flags, crossing in seen if flags == SYN]
        answer = [crossing for flags, crossing in seen if flags == SYN_ACK]
        return Outcome(any(crossing.namespace == target.namespace for crossing in question), connected is not None, question, answer)

    def close(self) -> None:
        for server in self._servers.values():
            server.close()


def opened(lab: Lab, place: Place, port: int, kind: int) -> socket.socket:
    """A socket of a namespace, bound."""

    def open_socket() -> socket.socket:
        made = socket.socket(socket.AF_INET, kind)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((place.addr, port))
        return made

    return lab.inside(place.namespace, open_socket)


def waited(receive: Callable[[], object], via: socket.socket, is_expected: bool) -> object:
    """What is received in time, else None."""
    via.settimeout(ARRIVAL_SECONDS if is_expected else QUIET_SECONDS)
    try:
        return receive()
    except TimeoutError:
        return None


def flags_of(packet: bytes) -> int:
    """SYN and ACK of a TCP segment."""
    return packet[(packet[0] & 15) * 4 + 13] & SYN_ACK
