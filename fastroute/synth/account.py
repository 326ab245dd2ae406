"""A whole made account: one region, a VPC with an EKS cluster in it, and what surrounds it."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass, field

from fastroute.errors import InputError
from fastroute.synth.addresses import Block, block, covers
from fastroute.synth.ids import Ids
from fastroute.synth.machine_types import types_for
from fastroute.synth.network import ACCOUNT_ID, REGION, SERVICE_BLOCK, Network, NetworkMaker
from fastroute.synth.nodes import NodeMaker, choose_public, demand_of, place, plan_interfaces, pod_name
from fastroute.synth.nouns import Eni, Node, Pod, Service, Subnet, Vpc, Workload
from fastroute.synth.workloads import WorkloadMaker, make_services

MODES = ("secondary", "prefix", "custom", "external-snat")
HOST_DAEMONS = 3
MIN_ORDINARY = 6
NUM_UNOWNED = 64
ENDED_SHARE = 0.04


@dataclass(slots=True, repr=False)
class Account:
    """What exists, as objects that know each other.

    `ended` are pods that the API still lists as Succeeded or Failed; `ghosts` ended before the snapshot and are listed nowhere. Both
    had an address that nobody holds now, except those of `ended` that share it with a running pod. `flow_log_ids` are those of the
    cluster's VPC and of the peered one.
    """

    seed: int
    mode: str
    external_snat: bool
    exclude_snat: list[Block]
    network: Network
    nodes: list[Node]
    workloads: list[Workload]
    services: list[Service]
    ended: list[Pod]
    ghosts: list[Pod]
    unowned: list[tuple[int, Subnet]]
    flow_log_ids: tuple[str, ...]
    account_id: str = ACCOUNT_ID
    region: str = REGION
    service_block: Block = field(default_factory=lambda: block(SERVICE_BLOCK))

    @property
    def pods(self) -> list[Pod]:
        """All running pods, node by node."""
        return [pod for node in self.nodes for pod in node.pods]

    @property
    def logged_vpcs(self) -> list[Vpc]:
        """The VPCs that have flow logs, in the order of `flow_log_ids`."""
        return [self.network.vpc, *(each.peer for each in self.network.peerings if each.peer)]

    @property
    def enis(self) -> list[Eni]:
        """All interfaces of all VPCs."""
        return self.network.enis

    def is_snat_range(self, addr: int) -> bool:
        """Whether a node would translate a connection that one of its pods opens to this address."""
        if self.external_snat:
            return False
        return not self.network.vpc.holds(addr) and not covers(self.exclude_snat, addr)


def make_account(
    *,
    nodes: int,
    pods: int,
    seed: int = 1,
    mode: str = "secondary",
    external_snat: bool = False,
    exclude_snat_cidrs: Iterable[str] = (),
) -> Account:
    """Make an account from a seed.

    Parameters
    ----------
    nodes, pods : int
        Kubernetes nodes, and running pods in all (three host-network daemons a node included).
    seed : int
        Same seed and arguments, same account.
    mode : str
        How pods get addresses: `secondary` addresses, `prefix` delegation, `custom` networking in 100.64.0.0/10; `external-snat` is
        `secondary` with `external_snat`.
    external_snat, exclude_snat_cidrs
        AWS_VPC_K8S_CNI_EXTERNALSNAT and AWS_VPC_K8S_CNI_EXCLUDE_SNAT_CIDRS.

    Raises
    ------
    InputError
        Numbers that no account can have, an unknown mode.
    AddressError
        A range that is not a prefix.
    """
    if mode not in MODES:
        raise InputError(f"mode {mode!r} is not known; one of {', '.join(MODES)}")
    if mode == "external-snat":
        mode, external_snat = "secondary", True
    num_hosts = HOST_DAEMONS * nodes + (2 if nodes >= 4 else 0)
    num_ordinary = pods - num_hosts
    if nodes < 1 or num_ordinary < MIN_ORDINARY:
        raise InputError(
            f"{pods} pods on {nodes} nodes are too few; at least 1 node and {max(num_hosts, HOST_DAEMONS) + MIN_ORDINARY} pods"
        )
    rng = random.Random(f"account {seed} {nodes} {pods} {mode}")
    ids = Ids(rng)
    fitting = types_for(num_ordinary / nodes, mode)

    maker = WorkloadMaker(ids, rng)
    hosts = maker.host_daemons(nodes)
    if nodes >= 4:
        hosts.append(maker.host_ingress())
    ordinary = maker.ordinary(num_ordinary, nodes)
    network_maker = NetworkMaker(ids, rng, mode)
    plans = place([rng.choice(fitting) for _ in range(nodes)], 3, ordinary, hosts, rng, mode)
    for plan in plans:
        plan_interfaces(plan, rng, mode)
    choose_public(plans, 3, mode)
    network = network_maker.make(demand_of(plans, 3, mode))
    node_maker = NodeMaker(ids, rng, mode, network, network_maker)
    made_nodes = [node_maker.make(plan) for plan in plans]

    workloads = hosts + ordinary
    service_block = block(SERVICE_BLOCK)
    services = make_services(workloads, service_block.base, rng, len(workloads))
    ended, ghosts = _former_pods(made_nodes, ordinary, ids, rng)
    subnets = [subnet for subnets in network.node_subnets for subnet in subnets]
    unowned = [(network.pools[subnet.id].take(), subnet) for subnet in (rng.choice(subnets) for _ in range(NUM_UNOWNED))]
    return Account(
        seed,
        mode,
        external_snat,
        [block(each) for each in exclude_snat_cidrs],
        network,
        made_nodes,
        workloads,
        services,
        ended,
        ghosts,
        unowned,
        (ids.aws("fl"), ids.aws("fl")),
    )


def _former_pods(nodes: list[Node], workloads: list[Workload], ids: Ids, rng: random.Random) -> tuple[list[Pod], list[Pod]]:
    """Pods that ended: listed ones with a warm or a reused address, and unlisted ones with a warm address."""
    jobs = [each for each in workloads if each.kind == "Job"] or [each for each in workloads if each.kind == "Deployment"]
    deployments = [each for each in workloads if each.kind == "Deployment"]
    running = [pod for node in nodes for pod in node.pods if pod.eni]
    count = max(2, int(len(running) * ENDED_SHARE))
    warm = [(node, addr, eni) for node in nodes for addr, eni in node.warm]
    chosen = rng.sample(warm, min(len(warm), 2 * count))

    def former(workload: Workload, node: Node, addr: int, eni: Eni, phase: str) -> Pod:
        name = pod_name(workload, rng.randrange(10_000), ids)
        return Pod(workload.namespace, name, ids.uid(), workload.containers, workload, node, phase, addr=addr, eni=eni)

    phases = ("Succeeded", "Succeeded", "Failed")
    ended = [former(rng.choice(jobs), *each, rng.choice(phases)) for each in chosen[: len(chosen) // 2]]
    ghosts = [former(rng.choice(deployments), *each, "Gone") for each in chosen[len(chosen) // 2 :]]
    for holder in rng.sample(running, min(len(running), count // 2)):
        assert holder.eni is not None
        ended.append(former(rng.choice(jobs), holder.node, holder.addr, holder.eni, rng.choice(phases)))
    return ended, ghosts
