"""An account whose logs lie in several files, and their routed form."""

from __future__ import annotations

from pathlib import Path

import pytest

from fastroute.api import Snapshot
from fastroute.jobs.route import route_files
from fastroute.synth import SynthResult, generate


@pytest.fixture(name="made", scope="session")
def _made(tmp_path_factory: pytest.TempPathFactory) -> SynthResult:
    return generate(tmp_path_factory.mktemp("ecosystem") / "account", nodes=5, pods=60, records=40_000, seed=11)


@pytest.fixture(name="snapshot", scope="session")
def _snapshot(made: SynthResult) -> Snapshot:
    return Snapshot.load(made.snapshot)


@pytest.fixture(name="routed", scope="session")
def _routed(made: SynthResult, snapshot: Snapshot, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("routed") / "out"
    route_files(made.logs, snapshot, out, columns=["all"], threads=1)
    return out


@pytest.fixture(name="outputs", scope="session")
def _outputs(routed: Path) -> list[Path]:
    """The routed logs, without what decodes their paths."""
    return sorted(path for path in routed.rglob("*.parquet") if "_paths" not in path.parts)
