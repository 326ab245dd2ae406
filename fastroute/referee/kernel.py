"""A node built in a network namespace of its own, by `ip -batch`, and its answers."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import TypeVar

from fastroute.netns.decision import Packet
from fastroute.netns.model import InterfaceSysctls, Known, Namespace, Sysctls
from fastroute.referee.netlink import Answer, Netlink, question

CLONE_NEWNET = 0x40000000
NETNS_FOLDER = Path("/run/netns")
SWITCHES = ("rp_filter", "forwarding", "accept_local", "route_localnet", "src_valid_mark", "send_redirects")

_numbers = count()
T = TypeVar("T")


@dataclass(frozen=True)
class Plan:
    """What a node is built of: lines for `ip -batch`, and values for /proc/sys/net. A line that the kernel refuses is left out."""

    links: tuple[str, ...] = ()
    lines4: tuple[str, ...] = ()
    lines6: tuple[str, ...] = ()
    sysctls: dict[str, int] = field(default_factory=dict)


def why_not() -> str:
    """Return why namespaces cannot be made here; empty where they can."""
    if shutil.which("ip") is None:
        return "iproute2 is not installed"
    name = f"fastroute-probe-{os.getpid()}"
    made = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True, check=False)
    if made.returncode:
        return made.stderr.strip() or "ip netns add failed"
    subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)
    return ""


class KernelNode:
    """A context manager: the namespace lives within the `with` block."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.name = f"fastroute-{os.getpid()}-{next(_numbers)}"
        self.netlink: Netlink | None = None
        self.indexes: dict[str, int] = {}

    def __enter__(self) -> KernelNode:
        subprocess.run(["ip", "netns", "add", self.name], check=True, capture_output=True)
        try:
            self._batch("-4", self.plan.links)
            self.netlink = self._inside(self._open)
            self._batch("-4", self.plan.lines4)
            self._batch("-6", self.plan.lines6)
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self.netlink is not None:
            self.netlink.close()
        subprocess.run(["ip", "netns", "del", self.name], capture_output=True, check=False)

    def _batch(self, family: str, lines: Iterable[str]) -> None:
        text = "\n".join(lines)
        if text:
            command = ["ip", "-n", self.name, family, "-force", "-batch", "-"]
            subprocess.run(command, input=text, text=True, capture_output=True, check=False)

    def _inside(self, work: Callable[[], T]) -> T:
        """Run in a thread that has moved into the namespace: sockets opened there belong to it, and so does its /proc/sys/net."""
        results: list[T] = []
        errors: list[BaseException] = []

        def run() -> None:
            try:
                libc = ctypes.CDLL(None, use_errno=True)
                descriptor = os.open(NETNS_FOLDER / self.name, os.O_RDONLY)
                try:
                    if libc.setns(descriptor, CLONE_NEWNET):
                        code = ctypes.get_errno()
                        raise OSError(code, os.strerror(code))
                finally:
                    os.close(descriptor)
                results.append(work())
            except BaseException as error:
                errors.append(error)

        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
        if errors:
            raise errors[0]
        return results[0]

    def _open(self) -> Netlink:
        for key, value in self.plan.sysctls.items():
            path = Path("/proc/sys/net", key)
            if path.exists():
                path.write_text(str(value))
        return Netlink()

    def _read_sysctls(self) -> Sysctls:
        root = Path("/proc/sys/net")
        interfaces = {}
        for folder in (root / "ipv4/conf").iterdir():
            values = {name: int((folder / name).read_text()) for name in SWITCHES}
            rp_filter = values.pop("rp_filter")
            interfaces[folder.name] = InterfaceSysctls(rp_filter=rp_filter, **{name: bool(value) for name, value in values.items()})
        forward = bool(int((root / "ipv4/ip_forward").read_text()))
        forward6 = bool(int((root / "ipv6/conf/all/forwarding").read_text()))
        return Sysctls(forward, forward6, interfaces)

    def state(self) -> Namespace:
        """Read the node back as the kernel has it."""
        netlink = self._netlink()
        links = netlink.links()
        self.indexes = {link.name: index for index, link in links.items()}
        rules = tuple(netlink.rules(4) + netlink.rules(6))
        routes = tuple(netlink.routes(4, links) + netlink.routes(6, links))
        return Namespace(tuple(links.values()), tuple(netlink.addrs(links)), rules, routes, self._inside(self._read_sysctls), Known())

    def ask(self, packets: Sequence[Packet], *, fib_match: bool) -> list[Answer]:
        """Ask the kernel, 256 questions a send."""
        return self._netlink().ask([question(packet, self.indexes, fib_match=fib_match) for packet in packets])

    def _netlink(self) -> Netlink:
        if self.netlink is None:
            raise RuntimeError("the node is not entered: use it in a with statement")
        return self.netlink
