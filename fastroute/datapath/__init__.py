"""Compile to flat arrays, the walk, legs, and explain."""

from fastroute.datapath.bundle import FORMAT, from_arrays, to_arrays
from fastroute.datapath.compile import compile_topology, texts
from fastroute.datapath.explain import Explainer, Explanation
from fastroute.datapath.flows import Answers, Flow, Questions, empty_answers
from fastroute.datapath.hops import Hop
from fastroute.datapath.locate import guess_spaces, locate
from fastroute.datapath.paths import PathDecoder, path_tables
from fastroute.datapath.reply import Replies, walk_replies
from fastroute.datapath.state import (
    DESTINATION_LEG_BITS,
    REASON_TEXTS,
    SOURCE_LEG_SHIFT,
    VPC_LEG_SHIFT,
    Compiled,
    Names,
    Reason,
    RowFlag,
    Rows,
    Source,
)
from fastroute.datapath.step import FirstHops, StepTables, build_step, empty_first_hops, first_hops
from fastroute.datapath.walk import is_compiled, walk

__all__ = [
    "DESTINATION_LEG_BITS",
    "FORMAT",
    "REASON_TEXTS",
    "SOURCE_LEG_SHIFT",
    "VPC_LEG_SHIFT",
    "Answers",
    "Compiled",
    "Explainer",
    "Explanation",
    "FirstHops",
    "Flow",
    "Hop",
    "Names",
    "PathDecoder",
    "Questions",
    "Reason",
    "Replies",
    "RowFlag",
    "Rows",
    "Source",
    "StepTables",
    "build_step",
    "compile_topology",
    "empty_answers",
    "empty_first_hops",
    "first_hops",
    "from_arrays",
    "guess_spaces",
    "is_compiled",
    "locate",
    "path_tables",
    "texts",
    "to_arrays",
    "walk",
    "walk_replies",
]
