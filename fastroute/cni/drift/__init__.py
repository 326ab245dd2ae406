"""What a node's rules, tables and marks should be, beside what they are: every difference, whom it hurts, and what could not be judged."""

from __future__ import annotations

from dataclasses import dataclass

from fastroute.cni.drift.facts import Exclusion, KnownEni, KnownPod, MarkState, NodeFacts, facts_of_node, prefix_of, veth_hashes
from fastroute.cni.drift.findings import KINDS, Finding, Severity, Source, Unjudged, found
from fastroute.cni.drift.marks import check_marks
from fastroute.cni.drift.node import check_account, check_foreign_rules, check_main, check_standing_rules, check_switches
from fastroute.cni.drift.pods import check_old_layouts, check_pods
from fastroute.cni.drift.scene import Scene
from fastroute.cni.drift.tables import check_addresses, check_branches, check_tables
from fastroute.netns.model import Namespace

__all__ = [
    "KINDS",
    "Drift",
    "Exclusion",
    "Finding",
    "KnownEni",
    "KnownPod",
    "MarkState",
    "NodeFacts",
    "Severity",
    "Source",
    "Unjudged",
    "compare",
    "facts_of_node",
    "found",
    "prefix_of",
    "veth_hashes",
]

CHECKS = (
    check_pods,
    check_tables,
    check_branches,
    check_addresses,
    check_standing_rules,
    check_foreign_rules,
    check_main,
    check_switches,
    check_marks,
    check_account,
    check_old_layouts,
)
_ORDER = {severity: i for i, severity in enumerate(Severity)}


@dataclass(frozen=True, slots=True)
class Drift:
    """The differences of one node, the worst first, and what could not be judged."""

    findings: tuple[Finding, ...]
    unjudged: tuple[Unjudged, ...]


def compare(facts: NodeFacts, namespace: Namespace, marks: MarkState | None = None, *, early_demux: bool | None = None) -> Drift:
    """Compare a node's dumps with what the plugin would have programmed.

    Parameters
    ----------
    facts : NodeFacts
        What is known besides the dumps; fields that are None are judged by what the rules alone prove.
    namespace : Namespace
        As dumped; where it is incomplete, absence is never a finding.
    marks : MarkState, optional
        The plugin's netfilter rules; None where none were dumped.
    early_demux : bool, optional
        net.ipv4.tcp_early_demux.

    Returns
    -------
    Drift
    """
    scene = Scene(facts, namespace, marks, early_demux)
    results = [result for check in CHECKS for result in check(scene)]
    findings = dict.fromkeys(each for each in results if isinstance(each, Finding))
    unjudged = dict.fromkeys(each for each in results if isinstance(each, Unjudged))
    return Drift(tuple(sorted(findings, key=lambda each: _ORDER[each.severity])), tuple(unjudged))
