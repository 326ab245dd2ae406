"""A small cluster of network namespaces, and every interface that a packet crosses in it.

Nodes and pods are built from what `cni` derives. One namespace stands for the VPC: it hands a packet to the interface that holds its
destination, whatever the sender's neighbour tables say, and drops what an interface sends under an address that it does not hold. Another
one is everything outside. Packets are sent between these namespaces only.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import socket
import struct
import subprocess
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread
from types import TracebackType
from typing import NamedTuple, TypeVar

from fastroute.cni import NodePlan, derive_namespace, plan_node, read_settings
from fastroute.cni.naming import device_name
from fastroute.referee.verify import plan_of
from fastroute.topology import Eni, Topology, TopologyIndex
from tests.packets import netfilter

T = TypeVar("T")

CLONE_NEWNET = 0x40000000
ETH_P_ALL, ETH_P_IP, ETH_P_IPV6 = 3, 0x0800, 0x86DD
PACKET_OUTGOING = 4
SO_TIMESTAMPNS = 35
GATEWAY_OF_PODS = "169.254.1.1"
VPC, OUTSIDE = "vpc", "outside"
OUTSIDE_ADDR = "192.168.7.7"


class Crossing(NamedTuple):
    """A packet at an interface of a namespace, `out` or `in`, with the source that it carries there."""

    namespace: str
    device: str
    direction: str
    src: str


@dataclass
class Lab:
    """A context manager: the namespaces live within the `with` block."""

    topology: Topology
    names: dict[str, str] = field(default_factory=dict)
    taps: dict[str, socket.socket] = field(default_factory=dict)

    def __post_init__(self) -> None:
        settings, _ = read_settings(self.topology.cni_env)
        index = TopologyIndex(self.topology)
        plans = [plan_node(index, node, settings) for node in self.topology.nodes.values()]
        self.plans = [plan for plan in plans if isinstance(plan, NodePlan)]
        assert len(self.plans) == len(plans)
        self._undo = ExitStack()

    def __enter__(self) -> Lab:
        try:
            self._build()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._undo.close()

    # --- building

    def _build(self) -> None:
        self._namespace(VPC)
        self._namespace(OUTSIDE)
        for plan in self.plans:
            self._namespace(plan.node.name)
            for attached in plan.pods:
                self._namespace(attached.pod.name)
        self._outside()
        interfaces = [(plan, eni) for plan in self.plans for eni in plan.enis]
        for number, (plan, eni) in enumerate(interfaces):
            self._interface(f"v{number}", plan, eni)
        for plan in self.plans:
            self._node(plan)
            for attached in plan.pods:
                self._pod(plan, attached.pod.name, attached.addr, attached.veth)
        self._ip(VPC, ["rule add pref 200 unreachable"])
        self.taps = {name: self.inside(name, self._tap) for name in self.names}
        for tap in self.taps.values():
            self._undo.callback(tap.close)
        self._await_stamps()

    def _namespace(self, name: str) -> None:
        real = f"fr-packets-{os.getpid()}-{len(self.names)}"
        subprocess.run(["ip", "netns", "add", real], check=True, capture_output=True)
        self._undo.callback(subprocess.run, ["ip", "netns", "del", real], capture_output=True, check=False)
        self.names[name] = real
        self._ip(name, ["link set lo up"])

    def _ip(self, name: str, lines: Iterable[str], family: str = "-4") -> None:
        text = "\n".join(lines)
        done = subprocess.run(
            ["ip", "-n", self.names[name], family, "-batch", "-"], input=text, text=True, capture_output=True, check=False
        )
        if done.returncode:
            raise AssertionError(f"{name}: {done.stderr}\n{text}")

    def _sysctl(self, name: str, values: dict[str, int]) -> None:
        def write() -> None:
            for key, value in values.items():
                Path("/proc/sys/net", key).write_text(str(value))

        self.inside(name, write)

    def _mac(self, name: str, device: str) -> str:
        def read() -> str:
            with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as probe:
                probe.bind((device, 0))
                return ":".join(f"{byte:02x}" for byte in probe.getsockname()[4])

        return self.inside(name, read)

    def _outside(self) -> None:
        """Everything outside, behind one link of the VPC. Rule 100 lets it send under any address; nobody else may."""
        self._ip(VPC, [f"link add out type veth peer name eth0 netns {self.names[OUTSIDE]}", "link set out up"])
        self._ip(OUTSIDE, ["link set eth0 up", f"addr add {OUTSIDE_ADDR}/32 dev eth0", "route add default dev eth0"])
        self._sysctl(VPC, {"ipv4/ip_forward": 1, "ipv4/conf/all/rp_filter": 0, "ipv4/conf/all/send_redirects": 0})
        self._sysctl(VPC, {f"ipv4/conf/out/{name}": value for name, value in _ROUTER.items()})
        self._sysctl(VPC, {"ipv4/neigh/out/proxy_delay": 0})
        self._sysctl(OUTSIDE, {"ipv4/conf/all/rp_filter": 0, "ipv4/conf/eth0/rp_filter": 0})
        self._ip(VPC, ["rule del pref 0", "rule add pref 10 lookup local", "rule add pref 100 iif out lookup main"])
        self._ip(VPC, ["route add default dev out", f"neigh add {OUTSIDE_ADDR} dev out lladdr {self._mac(OUTSIDE, 'eth0')} nud permanent"])

    def _interface(self, router_device: str, plan: NodePlan, eni: Eni) -> None:
        device = device_name(eni)
        self._ip(
            VPC,
            [f"link add {router_device} type veth peer name {device} netns {self.names[plan.node.name]}", f"link set {router_device} up"],
        )
        self._ip(plan.node.name, [f"link set {device} up"])
        self._sysctl(VPC, {f"ipv4/conf/{router_device}/{name}": value for name, value in _ROUTER.items()})
        self._sysctl(VPC, {f"ipv4/neigh/{router_device}/proxy_delay": 0})
        mac = self._mac(plan.node.name, device)
        held = [each.addr for each in eni.addresses] + [a.addr for a in plan.pods if a.eni is eni]
        for addr in dict.fromkeys(held):
            self._ip(VPC, [f"route add {addr}/32 dev {router_device}", f"neigh add {addr} dev {router_device} lladdr {mac} nud permanent"])
            if eni.source_dest_check:
                self._ip(VPC, [f"rule add pref 100 iif {router_device} from {addr} lookup main"])
        if not eni.source_dest_check:
            self._ip(VPC, [f"rule add pref 100 iif {router_device} lookup main"])

    def _node(self, plan: NodePlan) -> None:
        name = plan.node.name
        for attached in plan.pods:
            real = self.names[attached.pod.name]
            self._ip(name, [f"link add {attached.veth} type veth peer name eth0 netns {real}", f"link set {attached.veth} up"])
        state = plan_of(derive_namespace(self.topology, plan))
        self._sysctl(name, dict.fromkeys((f"ipv4/conf/{device}/rp_filter" for device in ("all", "default")), 0))
        self._sysctl(name, {f"ipv4/conf/{attached.veth}/rp_filter": 0 for attached in plan.pods})
        self._sysctl(name, {f"ipv4/conf/{device_name(eni)}/rp_filter": 0 for eni in plan.enis})
        self._sysctl(name, state.sysctls)
        self._ip(name, state.lines4)
        netfilter.program(self.names[name], plan)

    def _pod(self, plan: NodePlan, pod: str, addr: str, veth: str) -> None:
        mac = self._mac(plan.node.name, veth)
        self._ip(
            pod,
            [
                "link set eth0 up",
                f"addr add {addr}/32 dev eth0",
                f"route add {GATEWAY_OF_PODS} dev eth0 scope link",
                f"route add default via {GATEWAY_OF_PODS} dev eth0",
                f"neigh add {GATEWAY_OF_PODS} dev eth0 lladdr {mac} nud permanent",
            ],
        )

    def _await_stamps(self) -> None:
        """The kernel begins to stamp packets some time after it was asked to; until then a stamp is the moment of reading, in no order."""
        tap, lonely = self.taps[VPC], self.inside(VPC, lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        lonely.bind(("127.0.0.1", 0))
        lonely.connect(lonely.getsockname())
        for _ in range(500):
            lonely.send(b"stamp")
            time.sleep(0.01)
            read_at = time.time_ns()
            stamps = []
            with contextlib.suppress(BlockingIOError):
                while True:
                    stamps.append(stamp_of(tap.recvmsg(64, 128)[1]))
            if stamps and max(stamps) < read_at - 5_000_000:
                break
        else:
            raise AssertionError("the kernel does not stamp packets")
        lonely.close()

    # --- sending and seeing

    def inside(self, name: str, work: Callable[[], T]) -> T:
        """Run in a thread that has moved into a namespace: sockets opened there belong to it, and so does its /proc/sys/net."""
        results: list[T] = []
        errors: list[BaseException] = []

        def run() -> None:
            try:
                descriptor = os.open(f"/run/netns/{self.names[name]}", os.O_RDONLY)
                try:
                    if ctypes.CDLL(None, use_errno=True).setns(descriptor, CLONE_NEWNET):
                        raise OSError(ctypes.get_errno(), "setns")
                finally:
                    os.close(descriptor)
                results.append(work())
            except BaseException as error:
                errors.append(error)

        thread = Thread(target=run)
        thread.start()
        thread.join()
        if errors:
            raise errors[0]
        return results[0]

    @staticmethod
    def _tap() -> socket.socket:
        tap = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_P_ALL))
        tap.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        tap.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        tap.setblocking(False)
        return tap

    def seen(self) -> list[tuple[bytes, Crossing]]:
        """Take what the taps hold of IPv4 packets, in order of time."""
        found: list[tuple[int, bytes, Crossing]] = []
        for name, tap in self.taps.items():
            with contextlib.suppress(BlockingIOError):
                while True:
                    packet, extra, _, (device, protocol, kind, *_) = tap.recvmsg(2048, 128)
                    if protocol == ETH_P_IP and device != "lo":
                        direction = "out" if kind == PACKET_OUTGOING else "in"
                        found.append((stamp_of(extra), packet, Crossing(name, device, direction, socket.inet_ntoa(packet[12:16]))))
        return [(packet, crossing) for _, packet, crossing in sorted(found, key=lambda item: item[0])]


_ROUTER = {"rp_filter": 0, "proxy_arp": 1, "send_redirects": 0, "forwarding": 1}


def stamp_of(extra: Sequence[tuple[int, int, bytes]]) -> int:
    """When a packet passed the tap, in nanoseconds."""
    stamp = next(data for level, what, data in extra if (level, what) == (socket.SOL_SOCKET, SO_TIMESTAMPNS))
    seconds, nanoseconds = struct.unpack("qq", stamp[:16])
    return int(seconds * 10**9 + nanoseconds)


def why_not() -> str:
    """Why the cluster cannot be built here; empty where it can."""
    for tool in ("ip", "iptables", "iptables-restore"):
        if shutil.which(tool) is None:
            return f"{tool} is not installed"
    probe = f"fr-probe-{os.getpid()}"
    made = subprocess.run(["ip", "netns", "add", probe], capture_output=True, text=True, check=False)
    if made.returncode:
        return made.stderr.strip() or "ip netns add failed"
    try:
        for command in (
            ["ip", "-n", probe, "link", "add", "probe0", "type", "veth"],
            ["ip", "netns", "exec", probe, "iptables", "-t", "nat", "-L"],
        ):
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                return done.stderr.strip()
    finally:
        subprocess.run(["ip", "netns", "del", probe], capture_output=True, check=False)
    return ""


def enis_of(plans: Sequence[NodePlan]) -> dict[str, tuple[str, str]]:
    """Interface id -> (node, device)."""
    return {eni.id: (plan.node.name, device_name(eni)) for plan in plans for eni in plan.enis}
