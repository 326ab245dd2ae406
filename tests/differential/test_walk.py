"""The kernels and `explain` answer alike on every flow: kinds, opener, form, every path column, and the hops that path_id decodes to."""

from __future__ import annotations

import itertools
import random
from ipaddress import ip_address

import numpy as np
import pytest

from fastroute import datapath
from fastroute.datapath import Explainer, Explanation, Flow, PathDecoder, Questions
from fastroute.topology import Topology
from fastroute.vocab import ICMP, TCP, UDP, Attribution, Disposition, Form, Kind, Opener, PathClass
from tests import zoo

ENVIRONMENTS = {
    "default": {},
    "external-snat": {"AWS_VPC_K8S_CNI_EXTERNALSNAT": "true"},
    "external-snat, no node ports": {"AWS_VPC_K8S_CNI_EXTERNALSNAT": "true", "AWS_VPC_CNI_NODE_PORT_SUPPORT": "false"},
    "excluded": {"AWS_VPC_K8S_CNI_EXCLUDE_SNAT_CIDRS": "172.16.0.0/12,10.1.0.0/16"},
    "external services": {"AWS_EXTERNAL_SERVICE_CIDRS": "10.9.0.0/16,10.0.64.0/20"},
    "own mark": {"AWS_VPC_K8S_CNI_CONNMARK": "0x400", "AWS_VPC_K8S_CNI_VETHPREFIX": "foo"},
    "ipv6": {"ENABLE_IPv6": "true"},
}
VPCS = ("vpc-a", "vpc-b", "vpc-c")


def flows_of(topology: Topology, rng: random.Random, n: int) -> list[Flow]:
    addresses = zoo.interesting_addresses(topology)
    ports = (-1, 53, 443, 8080, 9100, 9200, 10250, 31000, 32768, 40000)
    pairs = list(itertools.product(addresses, repeat=2))
    rng.shuffle(pairs)
    held = {addr for pod in topology.pods.values() for addr in pod.addrs} | {eni.addresses[0].addr for eni in topology.enis.values()}
    return [
        Flow(
            src,
            dst,
            rng.choice((TCP, TCP, UDP, ICMP)),
            rng.choice(ports),
            rng.choice(ports),
            rng.choice((-1, 0, 2, 3, 18, 19, 16)),
            rng.random() < 0.7,
        )
        for src, dst in pairs[:n]
        # A warm address that sends to itself is a pod for one end and nobody for the other: no such packet exists.
        if src != dst or src in held
    ]


def answer(compiled: datapath.Compiled, flows: list[Flow], vpc_id: str) -> list[dict[str, object]]:
    """The kernels' answers, decoded."""
    n = len(flows)
    spaces = np.full(n, compiled.spaces[vpc_id], np.int32)
    zeros = np.zeros(n, np.uint64)

    def rows(texts: list[str]) -> np.ndarray:
        return datapath.locate(
            compiled, spaces, np.full(n, 4, np.uint8), np.array([int(ip_address(t)) for t in texts], np.uint32), zeros, zeros
        )

    def column(name: str) -> np.ndarray:
        return np.array([getattr(flow, name) for flow in flows], np.int32)

    questions = Questions(
        rows([f.src for f in flows]),
        rows([f.dst for f in flows]),
        column("protocol"),
        column("src_port"),
        column("dst_port"),
        column("tcp_flags"),
    )
    recorded = datapath.walk(compiled, questions, recorded=True)
    simulated = datapath.walk(compiled, questions, recorded=False)
    decoder = PathDecoder(compiled)
    names = {key: datapath.texts(value) for key, value in compiled.names.items()}

    def name(key: str, code: int) -> str | None:
        return names[key][code] if code >= 0 else None

    found = []
    for i, flow in enumerate(flows):
        a = recorded if flow.is_recorded else simulated
        out: dict[str, object] = {
            "opener": Opener(a.opener[i]),
            "form": Form(a.form[i]) if a.form[i] >= 0 else None,
            "path_class": PathClass(a.path_class[i]),
            "disposition": Disposition(a.disposition[i]),
            "out_eni": name("eni", a.out_eni[i]),
            "in_eni": name("eni", a.in_eni[i]),
            "rule_priority": int(a.rule_priority[i]) if a.rule_priority[i] >= 0 else None,
            "table": name("table", a.table[i]),
            "wire_src": name("addr", a.wire_src[i]),
            "src_attribution": Attribution(a.src_attribution[i]),
            "dst_attribution": Attribution(a.dst_attribution[i]),
        }
        if a.path_id[i] >= 0:
            out["hops"] = decoder.hops(int(a.path_id[i]))
        for side, row in (("src", a.src_row[i]), ("dst", a.dst_row[i])):
            rows_ = compiled.rows
            out[f"{side}_kind"] = Kind(rows_.kind[row])
            for key in ("namespace", "pod", "owner", "node", "eni", "subnet", "az", "vpc", "service"):
                out[f"{side}_{key}"] = name(key, getattr(rows_, key)[row])
        found.append(out)
    return found


def expected(topology: Topology, e: Explanation) -> dict[str, object]:
    """The same, from the plain walk."""
    out: dict[str, object] = {
        "opener": e.opener,
        "form": e.form,
        "src_attribution": e.src_attribution,
        "dst_attribution": e.dst_attribution,
        **{k: getattr(e.path, k) for k in ("path_class", "disposition", "out_eni", "in_eni", "rule_priority", "table", "wire_src")},
        "hops": e.path.hops,
    }
    for side, end in (("src", e.src), ("dst", e.dst)):
        out[f"{side}_kind"] = end.kind
        is_service = end.service is not None
        out[f"{side}_namespace"] = end.pod.namespace if end.pod else end.service.namespace if end.service else None
        out[f"{side}_pod"] = end.pod.name if end.pod else None
        out[f"{side}_owner"] = end.pod.owner if end.pod else None
        out[f"{side}_node"] = end.node.name if end.node else None
        out[f"{side}_eni"] = end.eni.id if end.eni else None
        out[f"{side}_subnet"] = end.subnet.id if end.subnet else None
        out[f"{side}_az"] = end.subnet.az_id if end.subnet else None
        out[f"{side}_vpc"] = None if is_service else (end.eni.vpc_id if end.eni else end.vpc_id)
        out[f"{side}_service"] = end.service.name if end.service else None
    return out


def compare(topology: Topology, flows: list[Flow], vpc_id: str) -> None:
    compiled, explainer = datapath.compile_topology(topology), Explainer(topology)
    for flow, got in zip(flows, answer(compiled, flows, vpc_id), strict=True):
        want = expected(topology, explainer.explain(flow, vpc_id))
        differing = {key: (value, want[key]) for key, value in got.items() if value != want[key]}
        assert not differing, f"{vpc_id} {flow}: (kernel, explain) differ in {differing}"


@pytest.mark.parametrize("environment", ENVIRONMENTS)
@pytest.mark.parametrize("vpc_id", VPCS)
def test_kernels_agree_with_explain(environment: str, vpc_id: str) -> None:
    topology = zoo.everything(ENVIRONMENTS[environment])
    compare(topology, flows_of(topology, random.Random(f"{environment} {vpc_id}"), 1000), vpc_id)
