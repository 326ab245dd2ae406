"""What the VPC CNI plugin puts into a node's iptables, written down from the facts; nothing here is taken from the engine.

Source: amazon-vpc-cni-k8s v1.23.1 pkg/networkutils/network.go, iptables_connmark.go (chains, order, conditions).
"""

from __future__ import annotations

import subprocess

from fastroute.cni import NodePlan
from fastroute.cni.naming import device_name


def program(namespace: str, plan: NodePlan) -> None:
    """Load the tables into a namespace."""
    text = "\n".join((*_mangle(plan), *_nat(plan), ""))
    done = subprocess.run(["ip", "netns", "exec", namespace, "iptables-restore"], input=text, text=True, capture_output=True, check=False)
    if done.returncode:
        raise AssertionError(f"{done.stderr}\n{text}")


def _mangle(plan: NodePlan) -> list[str]:
    settings, mark = plan.settings, f"{plan.settings.connmark:#x}"
    primary, veths = device_name(plan.primary), f"{settings.veth_prefix}+"
    lines = ["*mangle"]
    if settings.node_port_support:
        lines.append(f"-A PREROUTING -i {primary} -m addrtype --dst-type LOCAL --limit-iface-in -j CONNMARK --set-xmark {mark}/{mark}")
    if settings.node_port_support or not settings.external_snat:
        lines.append(f"-A PREROUTING -i {veths} -j CONNMARK --restore-mark --nfmask {mark} --ctmask {mark}")
    if settings.node_port_support:
        lines.append(f"-A PREROUTING -i vlan+ -j CONNMARK --restore-mark --nfmask {mark} --ctmask {mark}")
    return [*lines, "COMMIT"]


def _nat(plan: NodePlan) -> list[str]:
    settings, mark = plan.settings, f"{plan.settings.connmark:#x}"
    if settings.external_snat:
        return ["*nat", "COMMIT"]
    exempt = (*plan.vpc.cidrs, *settings.exclude_snat_cidrs)
    lines = ["*nat", ":AWS-CONNMARK-CHAIN-0 - [0:0]", ":AWS-SNAT-CHAIN-0 - [0:0]"]
    lines.append(f"-A PREROUTING -i {settings.veth_prefix}+ -j AWS-CONNMARK-CHAIN-0")
    lines.append(f"-A PREROUTING -j CONNMARK --restore-mark --nfmask {mark} --ctmask {mark}")
    lines += [f"-A AWS-CONNMARK-CHAIN-0 -d {cidr} -j RETURN" for cidr in exempt]
    lines.append(f"-A AWS-CONNMARK-CHAIN-0 -j CONNMARK --set-xmark {mark}/{mark}")
    lines.append("-A POSTROUTING -j AWS-SNAT-CHAIN-0")
    lines += [f"-A AWS-SNAT-CHAIN-0 -d {cidr} -j RETURN" for cidr in exempt]
    source = plan.primary.addresses[0].addr
    lines.append(f"-A AWS-SNAT-CHAIN-0 ! -o vlan+ -m addrtype ! --dst-type LOCAL -j SNAT --to-source {source} --random-fully")
    return [*lines, "COMMIT"]
