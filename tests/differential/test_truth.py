"""The engine against the examiner: logs and questions of generated accounts, in every mode, at a size for each run of the tests."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from fastroute.api import Snapshot
from fastroute.synth import answers, generate, questions
from tests.truth_compare import Comparison, compare_logs, compare_tables

MODES = ("secondary", "prefix", "custom", "external-snat")


@pytest.mark.parametrize("mode", MODES)
def test_every_decidable_record_agrees(tmp_path: Path, mode: str) -> None:
    excluded = ("172.16.0.0/12",) if mode == "custom" else ()
    made = generate(tmp_path / "account", nodes=12, pods=260, records=40_000, seed=11, mode=mode, exclude_snat_cidrs=excluded)
    found = compare_logs(made)
    assert found.verdict == ({}, {}, 0)
    assert found.decidable > 20_000


@pytest.mark.parametrize("mode", MODES)
def test_every_decidable_question_agrees(tmp_path: Path, mode: str) -> None:
    """Questions reach what flow logs never show: one node, one pod, link-local services, our own public addresses."""
    made = generate(tmp_path / "account", nodes=12, pods=260, records=1000, seed=12, mode=mode)
    asked = questions(made.account, 10_000, seed=3)
    routed = Snapshot.load(made.snapshot).compile().route(asked, columns=["all"]).read_all()
    found = Comparison()
    compare_tables(routed, answers(made.account, 10_000, seed=3), pa.array([True] * asked.num_rows), found)
    assert (found.differing, found.examples) == ({}, {})
    assert found.decidable > 9000


def test_logs_without_packet_addresses_never_claim_a_pod(tmp_path: Path) -> None:
    made = generate(tmp_path / "account", nodes=8, pods=160, records=20_000, seed=13, default_format=True)
    found = compare_logs(made)
    assert found.verdict == ({}, {}, 0)
