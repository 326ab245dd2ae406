"""What the VPC CNI plugin programs on a node: settings, table numbers, rules, routes, marks and SNAT."""

from fastroute.cni.derive import derive_namespace
from fastroute.cni.node import NodePlan, PodAttachment, Unmodelled, attachment_of, plan_node, snat_exempt_cidrs, vpc_of_pod
from fastroute.cni.settings import CniSettings, read_settings

__all__ = [
    "CniSettings",
    "NodePlan",
    "PodAttachment",
    "Unmodelled",
    "attachment_of",
    "derive_namespace",
    "plan_node",
    "read_settings",
    "snat_exempt_cidrs",
    "vpc_of_pod",
]
