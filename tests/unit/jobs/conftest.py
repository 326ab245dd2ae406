from pathlib import Path

import pytest

from fastroute.api import Snapshot
from fastroute.synth import SynthResult, generate


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> SynthResult:
    """A small account with its logs and their truth."""
    return generate(tmp_path_factory.mktemp("account") / "made", nodes=6, pods=60, records=12_000, seed=3)


@pytest.fixture(scope="session")
def snapshot(made: SynthResult) -> Snapshot:
    return Snapshot.load(made.snapshot)


@pytest.fixture(scope="session")
def routed(made: SynthResult, snapshot: Snapshot, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The account's logs, routed with all columns by one thread."""
    from fastroute.jobs.route import route_files

    out = tmp_path_factory.mktemp("routed") / "out"
    route_files([made.logs], snapshot, out, columns=["all"], threads=1)
    return out
