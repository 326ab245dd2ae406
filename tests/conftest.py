"""What all tests share."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from pathlib import Path

import pytest

if "PYTEST_XDIST_WORKER" in os.environ:
    # Each worker of a parallel run compiles into a folder of its own, made afresh: the on-disk cache of kernels does not see edits in other
    # files, and several processes that write one cache at once can crash.
    KERNELS = tempfile.mkdtemp(prefix="fastroute-kernels-")
    os.environ["NUMBA_CACHE_DIR"] = KERNELS
    atexit.register(shutil.rmtree, KERNELS, ignore_errors=True)

# Nor is the user's own cache of compiled snapshots read or filled.
SNAPSHOTS = tempfile.mkdtemp(prefix="fastroute-snapshots-")
os.environ["FASTROUTE_CACHE_DIR"] = SNAPSHOTS
atexit.register(shutil.rmtree, SNAPSHOTS, ignore_errors=True)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real routing tables and AWS outputs that are not part of the project; tests that read it are skipped where it is absent."""
    folder = Path(os.environ.get("FASTROUTE_SHARED_DATA") or Path(__file__).parent.parent.parent / "shared" / "data")
    if not folder.is_dir():
        pytest.skip(f"real data are not here: {folder} (FASTROUTE_SHARED_DATA names another folder)")
    return folder
