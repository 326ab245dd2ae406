"""The same examination at 300 nodes, 10,000 pods and 3 million records: `make truth`."""

from __future__ import annotations

from pathlib import Path

import pytest

from fastroute.synth import generate
from tests.truth_compare import compare_logs


@pytest.mark.slow
def test_three_million_records(tmp_path: Path) -> None:
    made = generate(tmp_path / "account", nodes=300, pods=10_000, records=3_000_000)
    found = compare_logs(made)
    print(f"{found.records:,} records, {found.decidable:,} decidable, all of them agree; none of the others claims to be exact")
    assert found.verdict == ({}, {}, 0)
