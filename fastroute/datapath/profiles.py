"""What the tables of derived nodes do with destinations beyond the node, shared by all nodes that do the same."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from ipaddress import ip_network

import numpy as np
from numpy.typing import NDArray

from fastroute.cni import NodePlan, snat_exempt_cidrs
from fastroute.datapath.classes import ROOTS, DestinationClasses
from fastroute.datapath.ownership import Prefix, network_prefix
from fastroute.datapath.state import FibExit, RangeFlag
from fastroute.topology import Eni, Topology

Fib = tuple[tuple[Prefix, int], ...]


class NodeProfiles:
    """Distinct tables and distinct ranges, numbered in order of appearance."""

    def __init__(self, topology: Topology, plans: Iterable[NodePlan]) -> None:
        self.topology = topology
        self._fibs: dict[Fib, int] = {}
        self._ranges: dict[tuple[frozenset[Prefix], frozenset[Prefix]], int] = {}
        self.of_eni: dict[str, int] = {}
        self.ranges_of_node: dict[str, int] = {}
        for plan in plans:
            self._add(plan)

    def _add(self, plan: NodePlan) -> None:
        broadcasts = {self._broadcast(eni) for eni in (plan.primary, *plan.managed)}
        local = tuple((prefix, int(FibExit.BROADCAST)) for prefix in sorted(broadcasts))
        for eni in (plan.primary, *plan.managed):
            family, base, length = network_prefix(self.topology.subnets[eni.subnet_id].cidr)
            on_link = (family, base, length) if eni is plan.primary else (family, base + 1, 32)
            fib = (*local, (on_link, int(FibExit.ON_LINK)), (ROOTS[0], int(FibExit.GATEWAY)))
            self.of_eni[eni.id] = self._fibs.setdefault(fib, len(self._fibs))
        exempt = frozenset(map(network_prefix, snat_exempt_cidrs(plan.vpc, plan.settings)))
        external = frozenset(map(network_prefix, plan.settings.external_service_cidrs))
        self.ranges_of_node[plan.node.name] = self._ranges.setdefault((exempt, external), len(self._ranges))

    def _broadcast(self, eni: Eni) -> Prefix:
        return 4, int(ip_network(self.topology.subnets[eni.subnet_id].cidr).broadcast_address), 32

    def prefixes(self) -> set[Prefix]:
        """Every prefix that decides between exits or ranges."""
        in_fibs = {prefix for fib in self._fibs for prefix, _ in fib}
        return in_fibs | {prefix for exempt, external in self._ranges for prefix in exempt | external}

    def fib_matrix(self, classes: DestinationClasses) -> NDArray[np.uint8]:
        """(num_profiles, num_classes) FibExit. An earlier entry of one prefix stands, as table `local` comes first."""
        tables: list[Mapping[Prefix, int]] = [dict(reversed(fib)) for fib in self._fibs]
        return classes.matrix(tables, int(FibExit.GATEWAY), np.uint8)

    def range_matrix(self, classes: DestinationClasses) -> NDArray[np.uint8]:
        """(num_ranges, num_classes) RangeFlag. IPv6 is never translated."""
        snat = classes.matrix([{ROOTS[0]: 1} | dict.fromkeys(exempt, 0) for exempt, _ in self._ranges], 0, np.uint8)
        external = classes.matrix([dict.fromkeys(cidrs, 1) for _, cidrs in self._ranges], 0, np.uint8)
        return snat * np.uint8(RangeFlag.SNAT) | external * np.uint8(RangeFlag.EXTERNAL_SERVICE)
