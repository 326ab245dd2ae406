"""Hold the kernels against `explain`: kinds, opener, form, every path column, and the hops that path_id decodes to."""

from __future__ import annotations

import random
from ipaddress import ip_address

import numpy as np
from numpy.typing import NDArray

from fastroute import datapath
from fastroute.datapath import Explainer, Explanation, Flow, PathDecoder, Questions
from fastroute.topology import Topology
from fastroute.vocab import ICMP, TCP, UDP, Attribution, Disposition, Form, Kind, Opener, PathClass
from tests import zoo

PORTS = (-1, 53, 443, 8080, 9100, 9200, 10250, 31000, 32768, 40000)
TCP_FLAGS = (-1, 0, 2, 3, 18, 19, 16)


def flows_of(topology: Topology, rng: random.Random, n: int, family: int = 4) -> list[Flow]:
    """At most n flows between interesting addresses of a family, most of them of pods and interfaces, recorded and simulated."""
    addresses = zoo.interesting_addresses(topology, family)
    held = {addr for pod in topology.pods.values() for addr in pod.addrs}
    held |= {eni.addresses[0].addr for eni in topology.enis.values() if eni.addresses}
    likely = [addr for addr in addresses if addr in held] or addresses
    flows = []
    for _ in range(n):
        src, dst = (rng.choice(likely if rng.random() < 0.6 else addresses) for _ in range(2))
        if rng.random() < 0.02:
            dst = rng.choice(zoo.interesting_addresses(topology, 10 - family))
        protocol, flags, is_recorded = rng.choice((TCP, TCP, UDP, ICMP)), rng.choice(TCP_FLAGS), rng.random() < 0.7
        flows.append(Flow(src, dst, protocol, rng.choice(PORTS), rng.choice(PORTS), flags, is_recorded))
    return flows


def questions_of(compiled: datapath.Compiled, flows: list[Flow], vpc_id: str) -> Questions:
    """The flows as rows and numbers, addresses in the space of a VPC."""
    spaces = np.full(len(flows), compiled.spaces[vpc_id], np.int32)

    def rows(texts: list[str]) -> NDArray[np.int32]:
        addrs = [ip_address(text) for text in texts]
        numbers = [int(addr) for addr in addrs]
        return datapath.locate(
            compiled,
            spaces,
            np.array([addr.version for addr in addrs], np.uint8),
            np.array([number & 0xFFFFFFFF for number in numbers], np.uint32),
            np.array([number >> 64 for number in numbers], np.uint64),
            np.array([number & 0xFFFFFFFFFFFFFFFF for number in numbers], np.uint64),
        )

    def column(name: str) -> np.ndarray:
        return np.array([getattr(flow, name) for flow in flows], np.int32)

    return Questions(
        rows([f.src for f in flows]),
        rows([f.dst for f in flows]),
        column("protocol"),
        column("src_port"),
        column("dst_port"),
        column("tcp_flags"),
    )


def answer(compiled: datapath.Compiled, flows: list[Flow], vpc_id: str) -> list[dict[str, object]]:
    """The kernels' answers, decoded."""
    questions = questions_of(compiled, flows, vpc_id)
    recorded = datapath.walk(compiled, questions, recorded=True)
    simulated = datapath.walk(compiled, questions, recorded=False)
    replies = {True: datapath.walk_replies(compiled, questions, recorded), False: datapath.walk_replies(compiled, questions, simulated)}
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
        reply = replies[flow.is_recorded]
        out["reply_out_eni"] = name("eni", reply.out_eni[i])
        out["symmetric"] = bool(reply.symmetric[i]) if reply.symmetric[i] >= 0 else None
        if a.disposition[i] in {Disposition.DELIVERED, Disposition.EXITS_NETWORK}:
            out["reply_disposition"] = Disposition(reply.answers.disposition[i])
            if reply.answers.path_id[i] >= 0:
                out["reply_hops"] = decoder.hops(int(reply.answers.path_id[i]))
        if a.reason[i]:
            out["reason"] = datapath.REASON_TEXTS[datapath.Reason(a.reason[i])]
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
        **{
            k: getattr(e.path, k)
            for k in ("path_class", "disposition", "out_eni", "in_eni", "rule_priority", "table", "wire_src", "reason")
        },
        "hops": e.path.hops,
        "reply_out_eni": e.reply.out_eni if e.reply else None,
        "symmetric": e.is_symmetric,
        "reply_disposition": e.reply.disposition if e.reply else None,
        "reply_hops": e.reply.hops if e.reply else None,
    }
    for side, end in (("src", e.src), ("dst", e.dst)):
        out[f"{side}_kind"] = end.kind
        is_service = end.service is not None
        out[f"{side}_namespace"] = end.pod.namespace if end.pod else end.service.namespace if end.service else None
        out[f"{side}_pod"] = end.pod.name if end.pod else None
        out[f"{side}_owner"] = end.pod.owner if end.pod else None
        out[f"{side}_node"] = end.node.name if end.node else None
        out[f"{side}_eni"] = end.eni.id if end.eni else None
        out[f"{side}_subnet"] = (end.eni.subnet_id or None) if end.eni else end.subnet.id if end.subnet else None
        out[f"{side}_az"] = (end.subnet.az_id or None) if end.subnet else None
        out[f"{side}_vpc"] = None if is_service else (end.eni.vpc_id if end.eni else end.vpc_id) or None
        out[f"{side}_service"] = end.service.name if end.service else None
    return out


def compare(topology: Topology, flows: list[Flow], vpc_id: str) -> None:
    """Ask both; name the first flow on which they differ.

    Raises
    ------
    AssertionError
    """
    compiled, explainer = datapath.compile_topology(topology), Explainer(topology)
    for flow, got in zip(flows, answer(compiled, flows, vpc_id), strict=True):
        explanation = explainer.explain(flow, vpc_id)
        if flow.src == flow.dst and explanation.src.is_warm:
            # A warm address that sends to itself is a pod for one end and nobody for the other: no such packet exists.
            continue
        want = expected(topology, explanation)
        differing = {key: (value, want[key]) for key, value in got.items() if value != want[key]}
        assert not differing, f"{vpc_id} {flow}: (kernel, explain) differ in {differing}"
        assert explanation.path.reason or explanation.path.disposition is not Disposition.UNDECIDED, (
            f"{vpc_id} {flow}: UNDECIDED without why"
        )
