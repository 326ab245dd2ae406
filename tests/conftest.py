"""What all tests share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real routing tables and AWS outputs that are not part of the project; tests that read it are skipped where it is absent."""
    folder = Path(os.environ.get("FASTROUTE_SHARED_DATA") or Path(__file__).parent.parent.parent / "shared" / "data")
    if not folder.is_dir():
        pytest.skip(f"real data are not here: {folder} (FASTROUTE_SHARED_DATA names another folder)")
    return folder
