"""Batch `get` on an EKS node of 250 pods, beside the kernel answering the same questions on the same node (where root is).

The first answers of both are compared before anything is timed. `questions` in extra_info gives the rate.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import pyarrow as pa
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from fastroute.addr import format4
from fastroute.api import Namespace
from fastroute.cni import CniSettings, NodePlan, derive_namespace, plan_node
from fastroute.io.nodedump import NodeDump
from fastroute.netns.batch import Questions, Walker
from fastroute.netns.kernels import VERDICTS
from fastroute.netns.model import Namespace as NamespaceState
from fastroute.referee.compare import differences
from fastroute.referee.kernel import KernelNode, why_not
from fastroute.referee.verify import plan_of
from fastroute.topology import Eni, EniAddress, EniRole, Instance, Node, Pod, Subnet, Topology, TopologyIndex, Vpc

NUM_PODS, NUM_ENIS, ADDRESSES_PER_ENI = 250, 6, 49
BATCH, KERNEL_BATCH = 1_000_000, 20_000


@cache
def eks_node() -> NamespaceState:
    """A node with 250 pods spread over six interfaces, as the VPC CNI plugin programs it."""
    addrs = [[f"10.0.{eni}.{host}" for host in range(10, 10 + ADDRESSES_PER_ENI)] for eni in range(NUM_ENIS)]
    topology = Topology()
    topology.vpcs["vpc-1"] = Vpc("vpc-1", "us-east-1", "1", ("10.0.0.0/16",))
    topology.subnets["subnet-1"] = Subnet("subnet-1", "vpc-1", "us-east-1", "us-east-1a", "use1-az1", "10.0.0.0/19")
    topology.instances["i-1"] = Instance("i-1", "us-east-1", "m5.4xlarge", "running")
    topology.nodes["node"] = Node("node", "i-1", (addrs[0][0],))
    for device, held in enumerate(addrs):
        addresses = tuple(EniAddress(addr, i == 0) for i, addr in enumerate(held))
        topology.enis[f"eni-{device}"] = Eni(
            f"eni-{device}", "vpc-1", "subnet-1", "us-east-1", "us-east-1a", EniRole.INSTANCE, "interface", "", addresses,
            instance_id="i-1", device_number=device,
        )  # fmt: skip
    free = [addr for held in addrs for addr in held[1:]]
    for number, addr in enumerate(free[:NUM_PODS]):
        pod = Pod("default", f"pod-{number}", "node", (addr,), False, "Running", None, None, ())
        topology.pods[pod.key] = pod
    plan = plan_node(TopologyIndex(topology), topology.nodes["node"], CniSettings())
    assert isinstance(plan, NodePlan)
    return derive_namespace(topology, plan)


def questions(walker: Walker, n: int) -> Questions:
    """Packets of pods to pods, to other nodes' pods and to the Internet, some of them marked."""
    rng = np.random.default_rng(1)
    namespace = walker.namespace
    veths = [link.name for link in namespace.links if link.kind == "veth"]
    to_pods = [route for route in namespace.routes if route.next_hops and route.prefix.prefix_len == 32]
    of_veth = {route.next_hops[0].out_interface: route.prefix.addr for route in to_pods}
    addr = np.array([of_veth[veth] for veth in veths], np.uint32)
    code = np.array([walker.code(veth) for veth in veths], np.int32)
    pick = rng.integers(0, len(veths), n)
    dst = np.where(rng.random(n) < 0.3, addr[rng.integers(0, len(veths), n)], rng.integers(0x0A000000, 0x0A00FFFF, n).astype(np.uint32))
    dst = np.where(rng.random(n) < 0.3, rng.integers(0x08000000, 0x09000000, n), dst).astype(np.uint32)
    mark = np.where(rng.random(n) < 0.3, 0x80, 0).astype(np.uint32)
    return Questions(dst=dst, src=addr[pick], in_interface=code[pick], fwmark=mark)


@pytest.mark.benchmark(group="get, EKS node of 250 pods")
def test_batch(benchmark: BenchmarkFixture) -> None:
    walker = Walker(eks_node(), 4)
    asked = questions(walker, BATCH)
    walker.walk(asked)
    benchmark.extra_info["questions"] = BATCH
    benchmark.pedantic(walker.walk, (asked,), rounds=9, warmup_rounds=3)


@pytest.mark.benchmark(group="get, EKS node of 250 pods")
@pytest.mark.parametrize("form", ["numbers", "text"])
def test_route_get(benchmark: BenchmarkFixture, form: str) -> None:
    """The public call: Arrow columns in, the answer's ten columns out."""
    walker = Walker(eks_node(), 4)
    asked = questions(walker, BATCH)
    dst, src, mark = (pa.array(column) for column in (asked.dst, asked.src, asked.fwmark))
    iif = pa.DictionaryArray.from_arrays(pa.array(asked.in_interface), pa.array([name or "" for name in walker.interfaces]))
    if form == "text":
        dst, src = pa.array(format4(asked.dst)), pa.array(format4(asked.src))
    node = Namespace(NodeDump(eks_node()))
    found = node.route_get(dst, src, iif, mark)
    answers = walker.walk(asked)
    assert found["verdict"].to_pylist() == [VERDICTS[code].value for code in answers.verdict]
    assert found["device"].to_pylist() == [walker.interfaces[code] if code >= 0 else None for code in answers.device]
    benchmark.extra_info["questions"] = BATCH
    benchmark.pedantic(node.route_get, (dst, src, iif, mark), rounds=9, warmup_rounds=3)


@pytest.mark.benchmark(group="get, EKS node of 250 pods")
def test_kernel(benchmark: BenchmarkFixture) -> None:
    reason = why_not()
    if reason:
        pytest.skip(f"the kernel cannot be asked here: {reason}")
    with KernelNode(plan_of(eks_node())) as node:
        walker = Walker(node.state(), 4)
        asked = questions(Walker(eks_node(), 4), KERNEL_BATCH)
        # The kernel's own interface codes: the same names, in the order in which the kernel lists them.
        names = Walker(eks_node(), 4)
        codes = np.array([walker.code(name) for name in names.interfaces if name is not None], np.int32)
        packets = [walker.packet(asked._replace(in_interface=codes[asked.in_interface]), row) for row in range(KERNEL_BATCH)]
        found, _ = differences(node, lambda _: packets[:2000])
        assert found == []
        benchmark.extra_info["questions"] = KERNEL_BATCH
        benchmark.pedantic(node.ask, (packets,), {"fib_match": False}, rounds=3)
