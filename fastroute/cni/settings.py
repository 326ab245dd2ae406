"""The plugin's settings that decide paths, from the environment of the aws-node DaemonSet.

Source: amazon-vpc-cni-k8s v1.23.1 README.md and pkg/networkutils/network.go (names, defaults).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_network

from fastroute.topology import Finding

# Variables that change rules, routes, marks or SNAT, each with the field that carries it.
_BOOLS = {
    "AWS_VPC_K8S_CNI_EXTERNALSNAT": "external_snat",
    "AWS_VPC_CNI_NODE_PORT_SUPPORT": "node_port_support",
    "AWS_VPC_K8S_CNI_CUSTOM_NETWORK_CFG": "custom_networking",
    "ENABLE_PREFIX_DELEGATION": "prefix_delegation",
    "ENABLE_POD_ENI": "pod_eni",
    "MANAGE_UNTAGGED_ENI": "manage_untagged_eni",
    "ENABLE_MULTI_NIC": "multi_nic",
    "ENABLE_IPv6": "ipv6",
}
_CIDR_LISTS = {
    "AWS_VPC_K8S_CNI_EXCLUDE_SNAT_CIDRS": "exclude_snat_cidrs",
    "AWS_EXTERNAL_SERVICE_CIDRS": "external_service_cidrs",
}
DEFAULT_CONNMARK = 0x80
DEFAULT_VETH_PREFIX = "eni"


@dataclass(frozen=True, slots=True)
class CniSettings:
    """Defaults are those of the plugin's own manifest."""

    external_snat: bool = False
    node_port_support: bool = True
    custom_networking: bool = False
    prefix_delegation: bool = False
    pod_eni: bool = False
    is_strict: bool = True
    manage_untagged_eni: bool = True
    multi_nic: bool = False
    ipv6: bool = False
    exclude_snat_cidrs: tuple[str, ...] = ()
    external_service_cidrs: tuple[str, ...] = ()
    connmark: int = DEFAULT_CONNMARK
    veth_prefix: str = DEFAULT_VETH_PREFIX

    @property
    def marks_connections(self) -> bool:
        """Whether the rule that sends marked packets to main is there (priority 1024)."""
        return self.node_port_support or not self.external_snat

    @property
    def has_strict_branches(self) -> bool:
        """Whether branch interfaces come in strict mode: then table local is asked after their rules, branch pods or not."""
        return self.pod_eni and self.is_strict


def read_settings(env: Mapping[str, str]) -> tuple[CniSettings, tuple[Finding, ...]]:
    """Read the settings; a value that the plugin would refuse becomes a finding and its default stands."""
    values: dict[str, object] = {}
    findings = []

    def refuse(name: str, what: str) -> None:
        findings.append(Finding("bad-cni-setting", name, f"{name}={env[name]!r} is not {what}; the default is used"))

    for name, field in _BOOLS.items():
        if name in env:
            # Go's strconv.ParseBool
            if env[name] in {"1", "t", "T", "true", "TRUE", "True"}:
                values[field] = True
            elif env[name] in {"0", "f", "F", "false", "FALSE", "False"}:
                values[field] = False
            elif env[name]:
                refuse(name, "true or false")
    for name, field in _CIDR_LISTS.items():
        cidrs = []
        for item in env.get(name, "").split(","):
            text = item.strip()
            if not text:
                continue
            try:
                network = ip_network(text, strict=False)
            except ValueError:
                refuse(name, "a list of prefixes such as 10.1.0.0/16,10.2.0.0/16")
                continue
            if network.version == 4:
                cidrs.append(str(network))
            else:
                refuse(name, "a list of IPv4 prefixes")
        values[field] = tuple(cidrs)
    if env.get("AWS_VPC_K8S_CNI_CONNMARK"):
        try:
            mark = int(env["AWS_VPC_K8S_CNI_CONNMARK"], 0)
            if not 0 < mark < 2**32:
                raise ValueError
            values["connmark"] = mark
        except ValueError:
            refuse("AWS_VPC_K8S_CNI_CONNMARK", "a 32-bit number above zero")
    if env.get("AWS_VPC_K8S_CNI_VETHPREFIX"):
        prefix = env["AWS_VPC_K8S_CNI_VETHPREFIX"]
        if len(prefix) > 4 or prefix in {"eth", "vlan", "lo"}:
            refuse("AWS_VPC_K8S_CNI_VETHPREFIX", "a prefix of at most 4 letters other than eth, vlan, lo")
        else:
            values["veth_prefix"] = prefix
    mode = env.get("POD_SECURITY_GROUP_ENFORCING_MODE", "")
    if mode not in {"", "strict", "standard"}:
        refuse("POD_SECURITY_GROUP_ENFORCING_MODE", "strict or standard")
    values["is_strict"] = mode != "standard"
    return CniSettings(**values), tuple(findings)  # type: ignore[arg-type]
