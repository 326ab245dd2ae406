"""fastroute: which way did every flow of an EKS cluster go, and why."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fastroute.api import Engine as Engine
    from fastroute.api import Namespace as Namespace
    from fastroute.api import PrefixTable as PrefixTable
    from fastroute.api import Snapshot as Snapshot
    from fastroute.api import Timeline as Timeline
    from fastroute.api import load as load
    from fastroute.jobs.route import route_files as route_files

# Public names and where they live: imported on first use, so that `import fastroute` costs nothing.
_HOMES = {
    "Engine": "fastroute.api",
    "Namespace": "fastroute.api",
    "PrefixTable": "fastroute.api",
    "Snapshot": "fastroute.api",
    "Timeline": "fastroute.api",
    "load": "fastroute.api",
    "route_files": "fastroute.jobs.route",
}

__all__ = ["Engine", "Namespace", "PrefixTable", "Snapshot", "Timeline", "load", "route_files"]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'fastroute' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
