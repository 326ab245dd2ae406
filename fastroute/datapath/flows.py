"""What the walk is asked and what it answers: one flow in words, many in columns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastroute.vocab import TCP


@dataclass(frozen=True, slots=True)
class Flow:
    """One question. Addresses as text; ports, flags -1 where absent."""

    src: str
    dst: str
    protocol: int = TCP
    src_port: int = -1
    dst_port: int = -1
    tcp_flags: int = -1
    is_recorded: bool = False


class Questions(NamedTuple):
    """(n,) int32 each; -1 where a value is absent."""

    src_row: NDArray[np.int32]
    dst_row: NDArray[np.int32]
    protocol: NDArray[np.int32]
    src_port: NDArray[np.int32]
    dst_port: NDArray[np.int32]
    tcp_flags: NDArray[np.int32]


class Answers(NamedTuple):
    """(n,) each; enum values, codes into names, or numbers; -1 is null."""

    src_row: NDArray[np.int32]
    dst_row: NDArray[np.int32]
    opener: NDArray[np.int8]
    form: NDArray[np.int8]
    path_class: NDArray[np.int8]
    disposition: NDArray[np.int8]
    reason: NDArray[np.int8]
    out_eni: NDArray[np.int32]
    in_eni: NDArray[np.int32]
    rule_priority: NDArray[np.int32]
    table: NDArray[np.int32]
    wire_src: NDArray[np.int32]
    wire_dst: NDArray[np.int32]
    path_id: NDArray[np.int64]
    src_attribution: NDArray[np.int8]
    dst_attribution: NDArray[np.int8]
    attribution: NDArray[np.int8]


def empty_answers(n: int) -> Answers:
    """Answers for n flows, not yet filled."""
    wide = {"src_row", "dst_row", "out_eni", "in_eni", "rule_priority", "table", "wire_src", "wire_dst"}
    dtypes: dict[str, Any] = dict.fromkeys(Answers._fields, np.int8) | dict.fromkeys(wide, np.int32) | {"path_id": np.int64}
    return Answers(**{name: np.empty(n, dtype) for name, dtype in dtypes.items()})
