"""Who opened a recorded connection, in plain Python: MODEL.md section 2."""

from __future__ import annotations

from fastroute.datapath.flows import Flow
from fastroute.datapath.owners import End
from fastroute.datapath.ports import KUBELET_PORT, PROTOCOLS
from fastroute.topology import Container, Topology
from fastroute.vocab import EPHEMERAL_PORT_MIN, TCP, TCP_ACK, TCP_SYN, Kind, Opener


def pod_ports(containers: tuple[Container, ...]) -> set[tuple[int, int]]:
    """(protocol number, port) of every declared container port."""
    return {(PROTOCOLS[port.protocol], port.number) for container in containers for port in container.ports if port.protocol in PROTOCOLS}


def declares(end: End, protocol: int, port: int, topology: Topology, host_ports: set[tuple[int, int]]) -> bool:
    """Whether the end serves the port by its own declaration."""
    asked = (protocol, port)
    if end.kind is Kind.POD and end.pod is not None:
        return asked in pod_ports(end.pod.containers)
    if end.kind in {Kind.NODE, Kind.HOST_POD}:
        node_ports = {
            (PROTOCOLS[p.protocol], p.node_port)
            for s in topology.services.values()
            for p in s.ports
            if p.node_port and p.protocol in PROTOCOLS
        }
        return asked in node_ports | host_ports | {(TCP, KUBELET_PORT)}
    if end.kind is Kind.SERVICE and end.service is not None:
        return asked in {(PROTOCOLS[p.protocol], p.number) for p in end.service.ports if p.protocol in PROTOCOLS}
    return False


def opener_of(
    src: End,
    dst: End,
    flow: Flow,
    topology: Topology,
    would_snat: bool,
    src_host_ports: set[tuple[int, int]],
    dst_host_ports: set[tuple[int, int]],
) -> Opener:
    """Apply the five rules in order; `would_snat`: the source's node translates connections that it opens towards the destination."""
    if flow.protocol == TCP and flow.tcp_flags >= 0 and flow.tcp_flags & TCP_SYN:
        return Opener.DST if flow.tcp_flags & TCP_ACK else Opener.SRC
    if src.kind is Kind.POD and src.eni is not None and src.unmodelled is None and would_snat:
        return Opener.DST
    if flow.protocol in PROTOCOLS.values():
        serving = (
            declares(src, flow.protocol, flow.src_port, topology, src_host_ports),
            declares(dst, flow.protocol, flow.dst_port, topology, dst_host_ports),
        )
        if serving[0] != serving[1]:
            return Opener.SRC if serving[1] else Opener.DST
        if min(flow.src_port, flow.dst_port) >= 0:
            low = flow.src_port < EPHEMERAL_PORT_MIN, flow.dst_port < EPHEMERAL_PORT_MIN
            if low[0] != low[1]:
                return Opener.SRC if low[1] else Opener.DST
    return Opener.UNKNOWN
