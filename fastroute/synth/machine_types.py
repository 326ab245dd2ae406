"""EC2 instance types and what they hold.

Source: amazon-vpc-cni-k8s v1.23.1 pkg/vpc/vpc_ip_resource_limit.go (default network card); prefix delegation caps: EKS max-pods guidance.
"""

from __future__ import annotations

from typing import NamedTuple

from fastroute.errors import InputError

ADDRESSES_PER_DELEGATED = 16
WARM_ENI_TARGET = 1
WARM_PREFIX_TARGET = 1


class MachineType(NamedTuple):
    """Limits of an instance type: interfaces, IPv4 addresses of each (the primary one included), vCPUs."""

    name: str
    max_enis: int
    addrs_per_eni: int
    vcpus: int

    def pod_capacity(self, mode: str) -> int:
        """How many pods can have an address of their own."""
        per_eni = self.addrs_per_eni - 1
        if mode == "custom":  # the primary interface gives none
            return (self.max_enis - 1) * per_eni
        if mode == "prefix":
            cap = 110 if self.vcpus < 30 else 250
            return min(self.max_enis * per_eni * ADDRESSES_PER_DELEGATED, cap - 4)
        return self.max_enis * per_eni


MACHINE_TYPES = (
    MachineType("t3.medium", 3, 6, 2),
    MachineType("m5.large", 3, 10, 2),
    MachineType("c5.large", 3, 10, 2),
    MachineType("m7g.large", 3, 10, 2),
    MachineType("t3.large", 3, 12, 2),
    MachineType("m5.xlarge", 4, 15, 4),
    MachineType("m6i.xlarge", 4, 15, 4),
    MachineType("r6i.2xlarge", 4, 15, 8),
    MachineType("m5.4xlarge", 8, 30, 16),
    MachineType("c5.9xlarge", 8, 30, 36),
    MachineType("m6i.8xlarge", 8, 30, 32),
    MachineType("m5.16xlarge", 15, 50, 64),
    MachineType("m7i.48xlarge", 15, 50, 192),
)


def types_for(pods_per_node: float, mode: str) -> list[MachineType]:
    """The smallest few types on which that many pods a node fit with some room to spare."""
    wanted = pods_per_node * 1.25 + 2
    fitting = sorted((each for each in MACHINE_TYPES if each.pod_capacity(mode) >= wanted), key=lambda each: each.pod_capacity(mode))
    if not fitting:
        largest = max(each.pod_capacity(mode) for each in MACHINE_TYPES)
        raise InputError(
            f"{pods_per_node:.0f} pods a node do not fit: the largest type holds {largest} in mode {mode!r}; ask for more nodes"
        )
    return fitting[:4]
