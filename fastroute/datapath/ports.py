"""Declared ports: who is the server of a connection, and which host-network pod an address and port mean."""

from __future__ import annotations

from collections.abc import Iterable

from fastroute.topology import Container, Service
from fastroute.vocab import SCTP, TCP, UDP

PROTOCOLS = {"TCP": TCP, "UDP": UDP, "SCTP": SCTP}
KUBELET_PORT = 10250


def port_key(protocol: int, port: int) -> int:
    """Pack a protocol number and a port: protocol << 16 | port."""
    return protocol << 16 | port


class PortSets:
    """Distinct sets of port keys, numbered in order of appearance. Replicas of one workload share theirs."""

    def __init__(self) -> None:
        self._number: dict[tuple[int, ...], int] = {}

    def add(self, keys: Iterable[int]) -> int:
        """Return the number of a set; -1 for the empty one."""
        wanted = tuple(sorted(set(keys)))
        if not wanted:
            return -1
        return self._number.setdefault(wanted, len(self._number))

    @property
    def sets(self) -> list[tuple[int, ...]]:
        """Sets by number, each sorted."""
        return list(self._number)

    @staticmethod
    def keys_of_containers(containers: Iterable[Container]) -> tuple[int, ...]:
        """Keys of the declared container ports."""
        return tuple(
            port_key(PROTOCOLS[port.protocol], port.number)
            for container in containers
            for port in container.ports
            if port.protocol in PROTOCOLS
        )

    @staticmethod
    def keys_of_service(service: Service) -> tuple[int, ...]:
        """Keys of a Service's own ports."""
        return tuple(port_key(PROTOCOLS[port.protocol], port.number) for port in service.ports if port.protocol in PROTOCOLS)


def node_port_keys(services: Iterable[Service]) -> tuple[int, ...]:
    """Keys that every node answers: the kubelet's, and the node ports of all Services. Sorted."""
    keys = {port_key(TCP, KUBELET_PORT)}
    for service in services:
        keys |= {
            port_key(PROTOCOLS[port.protocol], port.node_port) for port in service.ports if port.node_port and port.protocol in PROTOCOLS
        }
    return tuple(sorted(keys))
