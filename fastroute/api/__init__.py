"""The public objects: text, Arrow and files meet the engine's arrays."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fastroute.api.engine import Engine as Engine
    from fastroute.api.namespace import Namespace as Namespace
    from fastroute.api.prefix_table import PrefixTable as PrefixTable
    from fastroute.api.snapshot import Snapshot as Snapshot
    from fastroute.api.snapshot import load as load
    from fastroute.api.timeline import Timeline as Timeline

# Imported on first use: who routes flows needs none of the readers of node dumps.
_HOMES = {
    "Engine": "fastroute.api.engine",
    "Namespace": "fastroute.api.namespace",
    "PrefixTable": "fastroute.api.prefix_table",
    "Snapshot": "fastroute.api.snapshot",
    "Timeline": "fastroute.api.timeline",
    "load": "fastroute.api.snapshot",
}

__all__ = ["Engine", "Namespace", "PrefixTable", "Snapshot", "Timeline", "load"]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'fastroute.api' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value
