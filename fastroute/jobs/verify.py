"""The rule walk against the running kernel, on random nodes, until the count is full or they differ."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from fastroute.referee.kernel import why_not
from fastroute.referee.verify import Finding, verify


@dataclass(frozen=True, slots=True)
class Verification:
    """How many nodes and questions, and where walk and kernel differ. `skipped` says why nothing could be asked here."""

    nodes: int
    questions: int
    findings: tuple[Finding, ...]
    skipped: str = ""


def verify_kernel(seed: int, nodes: int, questions: int, progress: Callable[[str, int, int], None] | None = None) -> Verification:
    """Ask the kernel and the walk the same questions on random nodes in namespaces of their own.

    Parameters
    ----------
    seed : int
        The same seed gives the same nodes and questions.
    nodes : int
    questions : int
        Of each family, to each node.
    """
    reason = why_not()
    if reason:
        return Verification(0, 0, (), reason)
    asked, findings = verify(seed, nodes, questions, on_node=None if progress is None else lambda done: progress("nodes", done, nodes))
    return Verification(nodes, asked, tuple(findings))
