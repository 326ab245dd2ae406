"""Where pods land, which interfaces their nodes have, and who gets which address."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, field

from fastroute.errors import InputError
from fastroute.synth.addresses import AddressPool, Block, text
from fastroute.synth.ids import Ids
from fastroute.synth.machine_types import ADDRESSES_PER_DELEGATED, WARM_ENI_TARGET, WARM_PREFIX_TARGET, MachineType
from fastroute.synth.network import Demand, Network, NetworkMaker
from fastroute.synth.nouns import Eni, Instance, Node, Pod, Subnet, Workload

MAX_PUBLIC_ADDRS = 600
"""Addresses that nodes may take of one public /22, which gateways and load balancers share."""


@dataclass(slots=True)
class NodePlan:
    """A node before it has addresses: pods by workload and replica number, device numbers, addresses or /28 blocks of each interface."""

    zone_index: int
    machine: MachineType
    replicas: list[tuple[Workload, int]] = field(default_factory=list)
    host_replicas: list[tuple[Workload, int]] = field(default_factory=list)
    device_numbers: list[int] = field(default_factory=list)
    addrs_each: list[int] = field(default_factory=list)
    blocks_each: list[int] = field(default_factory=list)
    is_public: bool = False

    @property
    def single_on_node_subnet(self) -> int:
        """Single addresses of the node's subnets that it takes (all of them in secondary mode)."""
        return len(self.device_numbers) + sum(self.addrs_each)


def place(
    machines: list[MachineType], num_zones: int, workloads: list[Workload], hosts: list[Workload], rng: random.Random, mode: str
) -> list[NodePlan]:
    """Spread replicas over nodes: daemons on each, the rest wherever there is room.

    Raises
    ------
    InputError
        More replicas than the nodes can hold.
    """
    plans = [NodePlan(i % num_zones, machine) for i, machine in enumerate(machines)]
    for workload in hosts:
        chosen = plans if workload.kind == "DaemonSet" else rng.sample(plans, workload.replicas)
        for replica, plan in enumerate(chosen):
            plan.host_replicas.append((workload, replica))
    for workload in (each for each in workloads if each.kind == "DaemonSet"):
        for replica, plan in enumerate(plans):
            plan.replicas.append((workload, replica))
    room = [plan for plan in plans if len(plan.replicas) < plan.machine.pod_capacity(mode)]
    for workload in (each for each in workloads if each.kind != "DaemonSet"):
        for replica in range(workload.replicas):
            if not room:
                raise InputError("the nodes are full; ask for more nodes or fewer pods")
            at = rng.randrange(len(room))
            plan = room[at]
            plan.replicas.append((workload, replica))
            if len(plan.replicas) >= plan.machine.pod_capacity(mode):
                room[at] = room[-1]
                room.pop()
    return plans


def plan_interfaces(plan: NodePlan, rng: random.Random, mode: str) -> None:
    """Attach as many interfaces as ipamd would: those that the pods need and the warm target on top.

    Source: amazon-vpc-cni-k8s v1.23.1 pkg/ipamd/ipamd.go (pool checks), default WARM_ENI_TARGET=1 and WARM_PREFIX_TARGET=1.
    """
    num_pods, machine = len(plan.replicas), plan.machine
    per_eni = machine.addrs_per_eni - 1
    if mode == "prefix":
        num_blocks = math.ceil(num_pods / ADDRESSES_PER_DELEGATED) + WARM_PREFIX_TARGET
        # blocks sit on the primary until it is full; a second interface appears on nodes whose subnet once had no free /28
        num_enis = max(math.ceil(num_blocks / per_eni), 1 + (num_blocks > 1 and rng.random() < 0.5))
        plan.blocks_each = [num_blocks // num_enis + (i < num_blocks % num_enis) for i in range(num_enis)]
        plan.addrs_each = [0] * num_enis
    else:
        skip = 1 if mode == "custom" else 0
        giving = min(machine.max_enis - skip, math.ceil(num_pods / per_eni) + WARM_ENI_TARGET)
        num_enis = giving + skip
        plan.addrs_each = [0] * skip + [per_eni] * giving
        plan.blocks_each = [0] * num_enis
    further = list(range(1, num_enis))
    if 1 < num_enis < machine.max_enis and rng.random() < 0.15:
        # an interface that was detached left its number free
        further = sorted(rng.sample(range(1, machine.max_enis), num_enis - 1))
    plan.device_numbers = [0, *further]


def choose_public(plans: list[NodePlan], num_zones: int, mode: str) -> None:
    """Put a few nodes into public subnets, where their primary interfaces have public addresses."""
    if mode == "prefix" or len(plans) < 8:
        return
    left = [MAX_PUBLIC_ADDRS] * num_zones
    for plan in plans[:: max(8, len(plans) // 12)]:
        if plan.single_on_node_subnet <= left[plan.zone_index]:
            left[plan.zone_index] -= plan.single_on_node_subnet
            plan.is_public = True


def demand_of(plans: list[NodePlan], num_zones: int, mode: str) -> list[Demand]:
    """Addresses that each zone's subnets must give."""
    demand = [Demand() for _ in range(num_zones)]
    for plan in plans:
        of_zone = demand[plan.zone_index]
        of_zone.delegated += sum(plan.blocks_each)
        if mode == "custom":
            of_zone.single += 1
            of_zone.pod_single += plan.single_on_node_subnet - 1
        elif not plan.is_public:
            of_zone.single += plan.single_on_node_subnet
    return demand


class NodeMaker:
    """Turns plans into nodes: interfaces, addresses, pods."""

    def __init__(self, ids: Ids, rng: random.Random, mode: str, network: Network, network_maker: NetworkMaker) -> None:
        self._ids = ids
        self._rng = rng
        self._mode = mode
        self._network = network
        self._network_maker = network_maker

    def make(self, plan: NodePlan) -> Node:
        """The node of a plan, with its running pods."""
        network, rng = self._network, self._rng
        subnets = [network.public[plan.zone_index]] if plan.is_public else network.node_subnets[plan.zone_index]
        home = self._roomy(rng.sample(subnets, len(subnets)), plan.single_on_node_subnet, sum(plan.blocks_each))
        instance = Instance(self._ids.aws("i"), "", plan.machine.name)
        public = self._network_maker.public_address() if plan.is_public else None
        for index, device_number in enumerate(plan.device_numbers):
            subnet = home
            if index:
                subnet = self._further_subnet(plan, index, home)
            eni = self._network_maker.eni(
                subnet,
                device_number=device_number,
                description=f"aws-K8S-{instance.id}" if index else "",
                public=None if index else public,
                instance=instance,
            )
            instance.enis.append(eni)
            pool = network.pools[subnet.id]
            eni.secondary = [pool.take() for _ in range(plan.addrs_each[index])]
            eni.prefixes = [pool.take_block() for _ in range(plan.blocks_each[index])]
            for addr in eni.secondary:
                network.vpc.holders[addr] = eni
            for delegated in eni.prefixes:
                network.vpc.holders.update(dict.fromkeys(range(delegated.base, delegated.base + delegated.size), eni))
        name = f"ip-{text(instance.enis[0].primary).replace('.', '-')}.ec2.internal"
        instance.name = name
        node = Node(name, instance, network.zones[plan.zone_index], plan.machine.pod_capacity(self._mode) + 2)
        instance.node = node
        self._give_addresses(node, [self._pod(node, *each) for each in plan.replicas])
        for workload, replica in plan.host_replicas:
            pod = self._pod(node, workload, replica)
            pod.addr = node.address
            node.pods.append(pod)
        return node

    def _further_subnet(self, plan: NodePlan, index: int, home: Subnet) -> Subnet:
        """Subnet of a further interface: the pod subnet in custom mode; else mostly the node's own, at times another of the zone."""
        num_single, num_blocks = plan.addrs_each[index] + 1, plan.blocks_each[index]
        if self._mode == "custom":
            subnets = self._network.pod_subnets[plan.zone_index]
            return self._roomy(self._rng.sample(subnets, len(subnets)), num_single, num_blocks)
        if not plan.is_public and self._rng.random() < 0.2:
            subnets = self._network.node_subnets[plan.zone_index]
            return self._roomy([self._rng.choice(subnets), home, *subnets], num_single, num_blocks)
        return self._roomy([home, *self._network.node_subnets[plan.zone_index]], num_single, num_blocks)

    def _roomy(self, subnets: list[Subnet], num_single: int, num_blocks: int) -> Subnet:
        for subnet in subnets:
            pool: AddressPool = self._network.pools[subnet.id]
            if pool.num_single >= num_single and pool.num_delegated >= num_blocks:
                return subnet
        raise InputError(f"no subnet of {subnets[0].zone.name} has {num_single} addresses left; ask for fewer nodes or pods")

    def _pod(self, node: Node, workload: Workload, replica: int) -> Pod:
        pod = Pod(
            workload.namespace,
            pod_name(workload, replica, self._ids),
            self._ids.uid(),
            workload.containers,
            workload,
            node,
            host_network=workload.host_network,
        )
        workload.pods.append(pod)
        return pod

    def _give_addresses(self, node: Node, pods: list[Pod]) -> None:
        """Random interface first, then any of its addresses, or the lowest free one of any of its /28 blocks.

        Source: amazon-vpc-cni-k8s v1.23.1 pkg/ipamd/datastore/data_store.go AssignPodIPv4Address (Go map order is random).
        """
        rng = self._rng
        free: list[tuple[Eni, list[list[int]]]] = []
        for eni in node.instance.enis:
            groups = [[addr] for addr in eni.secondary] + [_descending(each) for each in eni.prefixes]
            if groups:
                free.append((eni, groups))
        for pod in pods:
            at = rng.randrange(len(free))
            eni, groups = free[at]
            group_at = rng.randrange(len(groups))
            pod.addr, pod.eni = groups[group_at].pop(), eni
            node.pods.append(pod)
            if not groups[group_at]:
                groups[group_at] = groups[-1]
                groups.pop()
            if not groups:
                free.pop(at)
        node.warm = [(addr, eni) for eni, groups in free for group in groups for addr in reversed(group)]


def _descending(delegated: Block) -> list[int]:
    """Addresses of a block so that `pop` gives the lowest; all sixteen are usable."""
    return list(range(delegated.base + delegated.size - 1, delegated.base - 1, -1))


def pod_name(workload: Workload, replica: int, ids: Ids) -> str:
    """The name that the workload's controller gives to a replica."""
    if workload.kind == "Deployment":
        return f"{workload.name}-{workload.template_hash}-{ids.suffix()}"
    if workload.kind == "StatefulSet":
        return f"{workload.name}-{replica}"
    if workload.kind == "Pod":
        return workload.name
    return f"{workload.name}-{ids.suffix()}"
