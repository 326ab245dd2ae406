"""One generated folder a mode, shared by the tests that only read it."""

from __future__ import annotations

from pathlib import Path

import pytest

from fastroute.synth import SynthResult, generate

VARIANTS: dict[str, dict[str, object]] = {
    "secondary": {},
    "prefix": {"mode": "prefix"},
    "custom": {"mode": "custom"},
    "external-snat": {"mode": "external-snat"},
    "excluded": {"exclude_snat_cidrs": ("172.16.0.0/12", "10.200.0.0/16")},
    "default-format": {"default_format": True},
}


@pytest.fixture(scope="session", params=VARIANTS)
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> SynthResult:
    """A small account with node dumps, in each variant."""
    folder: Path = tmp_path_factory.mktemp("synth") / request.param
    return generate(folder, nodes=12, pods=170, records=9000, seed=3, node_dumps=True, **VARIANTS[request.param])  # type: ignore[arg-type]
