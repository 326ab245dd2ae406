"""What drift is called: every kind of finding with its severity, the traffic that it hurts and in which direction, and the way out."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from fastroute.netns.model import Addr, Link, Route, Rule


class Severity(StrEnum):
    """ERROR: traffic is lost or goes the wrong way now. WARNING: it will, or some of it does. INFO: worth knowing, nothing is wrong."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


class Source(NamedTuple):
    """Where a dump shows it. `dump`: rule, rule6, route, route6, addr, link, iptables, nft, sysctl; `line` counts from 1, -1 is none."""

    dump: str
    line: int = -1
    table_id: int | None = None


@dataclass(frozen=True, slots=True)
class Kind:
    """`traffic` and `fix` may name the {subject}."""

    severity: Severity
    traffic: str
    fix: str


@dataclass(frozen=True, slots=True)
class Finding:
    """One difference. `subject` is what it is about: an address, a pod, a table, a device; `text` says what is seen and what was wanted."""

    kind: str
    severity: Severity
    subject: str
    text: str
    traffic: str
    fix: str
    source: Source | None = None

    @property
    def is_fault(self) -> bool:
        """Whether something is wrong; information is not."""
        return self.severity is not Severity.INFO


@dataclass(frozen=True, slots=True)
class Unjudged:
    """A check that was not made, and the input that it needs."""

    what: str
    needs: str


_E, _W, _I = Severity.ERROR, Severity.WARNING, Severity.INFO
_RESTART = "restart the node's aws-node pod; pods that lost their rules have to be recreated"
_RECREATE = (
    "recreate the pod; keep systemd-networkd off foreign rules and routes (ManageForeignRoutingPolicyRules=no, ManageForeignRoutes=no)"
)
_DHCP = "keep DHCP off secondary interfaces (systemd-networkd: Unmanaged=yes; NetworkManager: unmanaged-devices), then delete the route"
_DELETE = "ip rule del it; a restart of aws-node cleans rules of pods that are gone"

KINDS = {
    # rules of pods
    "missing-to-pod-rule": Kind(
        _E,
        "same-node traffic from pods on secondary ENIs to {subject} loops between node and VPC; from other nodes, from the host and "
        "from pods on the primary ENI it arrives",
        _RECREATE,
    ),
    "missing-from-pod-rule": Kind(
        _E,
        "traffic from {subject} into the VPC leaves by the primary ENI, which does not hold that source, and is dropped; same-node and "
        "source-NATed traffic works",
        _RECREATE,
    ),
    "missing-pod-route": Kind(
        _E, "traffic to {subject}, from this node and from others, leaves by the primary ENI and loops until its TTL ends", _RECREATE
    ),
    "extra-from-pod-rule": Kind(
        _E, "traffic from {subject} into the VPC leaves by an ENI that does not hold that source, and is dropped", _DELETE
    ),
    "wrong-table": Kind(_E, "traffic from {subject} leaves by an ENI that does not hold that source, and is dropped", _DELETE),
    "wrong-device": Kind(_E, "traffic for {subject} goes to another device and is lost", _RESTART),
    "duplicate-rule": Kind(_W, "none now; when the pod goes, one of them stays and misleads the next owner of {subject}", _DELETE),
    "shadowed-rule": Kind(_W, "none while the earlier rule stands; without it traffic from {subject} changes its ENI", _DELETE),
    "stale-from-pod-rule": Kind(
        _W, "none now; the next pod with the address {subject} sends by the wrong ENI if its own is another", _DELETE
    ),
    "stale-to-pod-rule": Kind(_I, "none: an address without a pod is unreachable with the rule and without it", _DELETE),
    "unknown-pod": Kind(
        _I, "none: the node has it in order, the list of pods does not have it", "collect the pods and the dumps at one time"
    ),
    "pod-on-no-eni": Kind(
        _W, "whether traffic from {subject} leaves by the right ENI cannot be told: no ENI of the node holds it", _RECREATE
    ),
    # rules of the node
    "missing-local-rule": Kind(_E, "traffic to the node's own addresses is not delivered", "ip rule add pref 0 lookup local"),
    "local-rule-not-moved": Kind(
        _W, "branch pods reach their own node without passing their security groups; answers of the node to them are dropped", _RESTART
    ),
    "extra-local-rule": Kind(_W, "branch pods reach their own node without passing their security groups", "ip rule del pref 0"),
    "missing-main-rule": Kind(
        _E, "traffic of the node and of pods on the primary ENI to anywhere else finds no route", "ip rule add pref 32766 lookup main"
    ),
    "missing-mark-rule": Kind(
        _E,
        "Internet traffic from pods on secondary ENIs leaves by their ENI with the node's source and is dropped, as are their answers to "
        "NodePort clients; pods on the primary ENI work",
        _RESTART,
    ),
    "wrong-mark": Kind(
        _E,
        "Internet traffic and NodePort answers of pods on secondary ENIs leave by their ENI with the node's source and are dropped",
        _RESTART,
    ),
    "missing-external-service-rule": Kind(
        _E, "traffic from pods on secondary ENIs to Services whose endpoints are in {subject} is dropped", _RESTART
    ),
    "extra-external-service-rule": Kind(_W, "traffic from pods on secondary ENIs to {subject} leaves by the primary ENI", _RESTART),
    "missing-eni-rule": Kind(_W, "answers from the ENI's own address {subject} leave by the primary ENI and are dropped", _RESTART),
    "stale-eni-rule": Kind(_W, "none now; the next owner of the address {subject} is sent to a table that is not its own", _DELETE),
    # branch pods
    "missing-branch-rule": Kind(_E, "traffic of branch pod {subject} is not sent by its VLAN, or does not come in by it", _RECREATE),
    "stale-branch-rule": Kind(_W, "none now; a later branch pod with the same VLAN id may meet it", _DELETE),
    # tables
    "empty-table": Kind(
        _E, "traffic of the pods of table {subject} falls through to main and leaves by the primary ENI with a foreign source", _RESTART
    ),
    "missing-table-default": Kind(
        _E, "traffic of the pods of table {subject} falls through to main and leaves by the primary ENI with a foreign source", _RESTART
    ),
    "missing-gateway-route": Kind(_W, "none while the default route stands; it cannot be set again without its gateway's route", _RESTART),
    "wrong-gateway": Kind(_E, "traffic that leaves by {subject} goes to an address that is not the VPC's router", _RESTART),
    "foreign-table-route": Kind(_W, "traffic of the pods of table {subject} to that range leaves by another device", "delete the route"),
    "eni-down": Kind(
        _E, "traffic from and to the pods of {subject} is lost", "ip link set it up, then restart aws-node: its routes are gone"
    ),
    "eni-without-device": Kind(_E, "traffic from and to the pods of {subject} is lost", "look at the ENI's attachment, restart aws-node"),
    "eni-without-address": Kind(_W, "traffic to and from the ENI's own address {subject} is lost", _DHCP),
    # main
    "missing-default": Kind(
        _E, "traffic of the node and of pods on the primary ENI beyond the subnet finds no route", "restore DHCP on the primary"
    ),
    "extra-default": Kind(
        _E,
        "traffic of the node and of pods on the primary ENI leaves by another device with the primary ENI's source and is dropped",
        _DHCP,
    ),
    "extra-subnet-route": Kind(
        _E,
        "traffic of the node and of pods on the primary ENI to {subject} leaves by another ENI with a foreign source and is dropped",
        _DHCP,
    ),
    "swallowed-range": Kind(
        _E,
        "traffic of the node and of pods on the primary ENI, and source-NATed traffic, to {subject} never leaves the node",
        "move the bridge",
    ),
    "missing-egress-route": Kind(_E, "IPv4 answers to the pod behind {subject} do not come back to it", _RECREATE),
    # foreign policy routing
    "foreign-rules-nm-cloud-setup": Kind(
        _E,
        "traffic of pods is sent by NetworkManager's tables; it deletes the plugin's rules at times",
        "disable nm-cloud-setup.service and its timer",
    ),
    "foreign-rules-ec2-net-utils": Kind(
        _W,
        "traffic from the addresses of secondary ENIs is decided twice: by the system's rules and by the plugin's",
        "disable ec2-net-utils' policy routing",
    ),
    "foreign-rule": Kind(_W, "traffic that the plugin's rules should decide goes by {subject}", "delete the rule, or move it behind 32765"),
    # switches
    "rp-filter-strict": Kind(
        _E, "NodePort and load balancer traffic that enters by {subject} for pods on secondary ENIs is dropped", "sysctl rp_filter=2 on it"
    ),
    "forwarding-off": Kind(_E, "traffic of all pods, in both directions, stops at the node", "sysctl net.ipv4.ip_forward=1"),
    "forward-policy-drop": Kind(_E, "traffic of all pods, in both directions, stops at the node", "iptables -P FORWARD ACCEPT"),
    "early-demux-on": Kind(_W, "kubelet's TCP probes of branch pods fail", "DISABLE_TCP_EARLY_DEMUX=true on the init container"),
    # marks and source NAT
    "missing-outbound-mark": Kind(
        _E,
        "Internet traffic from pods on secondary ENIs leaves by their ENI with the node's source and is dropped; primary ENI pods work",
        _RESTART,
    ),
    "extra-outbound-mark": Kind(
        _E, "Internet traffic from pods on secondary ENIs leaves by the primary ENI with a foreign source, dropped", _RESTART
    ),
    "veth-not-marked": Kind(
        _E,
        "Internet traffic from {subject} leaves by its own ENI with the node's source and is dropped",
        "recreate the pod, or restore the veth prefix",
    ),
    "missing-mark-restore": Kind(
        _E,
        "later packets of connections from pods on secondary ENIs to the Internet, and to NodePort clients, leave by the wrong ENI",
        _RESTART,
    ),
    "missing-node-port-mark": Kind(
        _E, "answers of pods on secondary ENIs to NodePort clients leave by their own ENI and are dropped", _RESTART
    ),
    "missing-snat": Kind(
        _E, "traffic from pods to the Internet and to peers leaves with pod addresses, to which nothing comes back", _RESTART
    ),
    "extra-snat": Kind(
        _E, "traffic from pods on secondary ENIs to the Internet leaves with the node's source by their ENI and is dropped", _RESTART
    ),
    "duplicate-snat": Kind(_W, "none now; one of them stays when the settings change", "remove one; one iptables back end only"),
    "wrong-snat-address": Kind(_E, "traffic from pods to the Internet leaves with a source that the primary ENI does not hold", _RESTART),
    "missing-snat-exclusion": Kind(
        _E, "hosts in {subject} see pods with the node's address; security groups and policies by pod fail", _RESTART
    ),
    "extra-snat-exclusion": Kind(
        _W, "hosts in {subject} see pod addresses, and need a route back to them", "AWS_VPC_K8S_CNI_EXCLUDE_SNAT_CIDRS"
    ),
    "missing-mark-exclusion": Kind(
        _E, "traffic from pods on secondary ENIs to {subject} leaves by the primary ENI and is dropped", _RESTART
    ),
    "extra-mark-exclusion": Kind(
        _E, "traffic from pods on secondary ENIs to {subject} leaves by their ENI with the node's source, dropped", _RESTART
    ),
    "mixed-iptables": Kind(
        _W, "rules of one iptables back end are invisible in the other; source NAT may be done twice", "one iptables back end only"
    ),
    # layouts
    "old-rule-layout": Kind(_I, "none: an older plugin's way", "upgrade the plugin"),
    "mixed-settings": Kind(_I, "none: pods keep the state that they were born with", "recreate the pods when convenient"),
    # the account's side, where a snapshot tells it
    "pods-behind-internet-gateway": Kind(
        _E,
        "Internet traffic from pods of {subject} is dropped: external SNAT, and their subnet leads to an Internet gateway",
        "a NAT gateway",
    ),
    "external-endpoint": Kind(
        _W, "traffic from pods on secondary ENIs to {subject} by its cluster address is dropped", "AWS_EXTERNAL_SERVICE_CIDRS"
    ),
}


def found(
    kind: str, subject: str, text: str, row: Rule | Route | Addr | Link | Source | None = None, severity: Severity | None = None
) -> Finding:
    """Make a finding of a kind; `row` is what the dump shows, `severity` where it differs from the kind's."""
    about = KINDS[kind]
    return Finding(kind, severity or about.severity, subject, text, about.traffic.replace("{subject}", subject), about.fix, _source(row))


def _source(row: Rule | Route | Addr | Link | Source | None) -> Source | None:
    if row is None or isinstance(row, Source):
        return row
    if isinstance(row, Rule):
        return Source("rule6" if row.family == 6 else "rule", row.source_line)
    if isinstance(row, Route):
        return Source("route6" if row.family == 6 else "route", row.source_line, row.table_id)
    return Source("addr" if isinstance(row, Addr) else "link", row.source_line)
