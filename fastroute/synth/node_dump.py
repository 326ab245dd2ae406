"""`ip rule` and `ip route show table all` of a made node, as the VPC CNI plugin leaves them.

Source: amazon-vpc-cni-k8s v1.23.1 pkg/networkutils/network.go (rules, tables), names.go (veth names); cmd/routed-eni-cni-plugin/driver.
"""

from __future__ import annotations

import hashlib

from fastroute.synth.account import Account
from fastroute.synth.addresses import text
from fastroute.synth.nouns import Eni, Node, Pod

MAIN_TABLE = "main"


def table_of(eni: Eni) -> str:
    """Routing table of an interface on network card 0: main for the primary, device number + 1 for others."""
    return MAIN_TABLE if eni.device_number == 0 else str((eni.device_number or 0) + 1)


def veth_of(pod: Pod) -> str:
    """Host side of a pod's veth pair."""
    return "eni" + hashlib.sha1(f"{pod.namespace}.{pod.name}".encode(), usedforsecurity=False).hexdigest()[:11]


def device_of(eni: Eni) -> str:
    """Interface name as Amazon Linux 2023 gives it."""
    return f"ens{5 + (eni.device_number or 0)}"


def rule_dump(account: Account, node: Node) -> str:
    """`ip rule`, priorities in order."""
    pods = [pod for pod in node.pods if pod.eni]
    lines = ["0:\tfrom all lookup local"]
    lines += [f"512:\tfrom all to {text(pod.addr)} lookup main" for pod in pods]
    lines.append("1024:\tfrom all fwmark 0x80/0x80 lookup main")
    lines += [f"1536:\tfrom {text(pod.addr)} lookup {table_of(pod.eni)}" for pod in pods if pod.eni and pod.eni.device_number]
    lines += [f"32765:\tfrom {text(eni.primary)} lookup {table_of(eni)}" for eni in node.instance.enis[1:]]
    lines += ["32766:\tfrom all lookup main", "32767:\tfrom all lookup default"]
    return "\n".join(lines) + "\n"


def route_dump(account: Account, node: Node) -> str:
    """`ip -4 route show table all`."""
    lines = []
    for eni in node.instance.enis[1:]:
        gateway, device, table = text(eni.subnet.block.base + 1), device_of(eni), table_of(eni)
        lines.append(f"default via {gateway} dev {device} table {table}")
        lines.append(f"{gateway} dev {device} table {table} scope link")
    primary = node.primary_eni
    device, own = device_of(primary), text(primary.primary)
    lines.append(f"default via {text(primary.subnet.block.base + 1)} dev {device} proto dhcp src {own} metric 512")
    lines.append(f"{primary.subnet.block} dev {device} proto kernel scope link src {own}")
    lines += [f"{text(pod.addr)} dev {veth_of(pod)} scope link" for pod in node.pods if pod.eni]
    for eni in node.instance.enis:
        device, own = device_of(eni), text(eni.primary)
        last = text(eni.subnet.block.base + eni.subnet.block.size - 1)
        lines.append(f"local {own} dev {device} table local proto kernel scope host src {own}")
        lines.append(f"broadcast {last} dev {device} table local proto kernel scope link src {own}")
    lines.append("local 127.0.0.0/8 dev lo table local proto kernel scope host src 127.0.0.1")
    lines.append("local 127.0.0.1 dev lo table local proto kernel scope host src 127.0.0.1")
    lines.append("broadcast 127.255.255.255 dev lo table local proto kernel scope link src 127.0.0.1")
    return "\n".join(lines) + "\n"
