"""The public objects: text, Arrow and files meet the engine's arrays."""

from fastroute.api.engine import Engine
from fastroute.api.namespace import Namespace
from fastroute.api.prefix_table import PrefixTable
from fastroute.api.snapshot import Snapshot, load

__all__ = ["Engine", "Namespace", "PrefixTable", "Snapshot", "load"]
