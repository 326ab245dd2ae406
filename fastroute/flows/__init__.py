"""Flow records as Arrow batches: whose the two ends are, the walk, output columns, sums and their account."""

from fastroute.flows.account import Account, total_of
from fastroute.flows.fields import Fields, find_fields
from fastroute.flows.groups import MEASURES, Aggregation
from fastroute.flows.outputs import choose_columns, output_fields
from fastroute.flows.questions import NameIndex
from fastroute.flows.router import Routed, Router

__all__ = [
    "MEASURES",
    "Account",
    "Aggregation",
    "Fields",
    "NameIndex",
    "Routed",
    "Router",
    "choose_columns",
    "find_fields",
    "output_fields",
    "total_of",
]
