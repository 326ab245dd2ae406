"""Which column of a table means what: flow logs and questions, by name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fastroute.errors import InputError
from fastroute.vocab import field_name

__all__ = ["Fields", "field_name", "find_fields"]

LOG_ADDRESS_FIELDS = ("pkt_srcaddr", "pkt_dstaddr", "srcaddr", "dstaddr")
LOG_TEXT_FIELDS = (*LOG_ADDRESS_FIELDS, "vpc_id", "interface_id", "log_status", "action")
TRANSIT_GATEWAY_MARKS = ("tgw_src_vpc_id", "tgw_dst_vpc_id", "tgw_id", "tgw_attachment_id", "resource_type")
"""Fields by which a Transit Gateway's flow log is known; the first two say in whose address spaces its ends are meant."""
LOG_NUMBER_FIELDS = ("protocol", "srcport", "dstport", "tcp_flags", "bytes", "packets", "start", "end")
QUESTION_TEXT_FIELDS = ("src", "dst", "vpc_id")
QUESTION_NUMBER_FIELDS = ("protocol", "src_port", "dst_port", "bytes", "packets")


@dataclass(frozen=True, slots=True)
class Fields:
    """Positions of the columns that routing reads, by field name."""

    is_simulated: bool
    at: dict[str, int]
    is_transit_gateway: bool = False
    """A transit gateway's records: `srcaddr`, `dstaddr` and `tgw_src_vpc_id` stand in `at` as `pkt_srcaddr`, `pkt_dstaddr` and `vpc_id`."""

    def __contains__(self, name: str) -> bool:
        return name in self.at

    @property
    def names(self) -> tuple[str, ...]:
        """The fields that are there."""
        return tuple(self.at)


def find_fields(columns: Sequence[str], added: Sequence[str] = (), simulated: bool | None = None) -> Fields:
    """Find the columns of a flow log, or of a table of questions.

    Parameters
    ----------
    columns : names of the table's columns
    added : names of the columns that routing will add
    simulated : bool, optional
        Whether the table asks questions (`src`, `dst`) instead of holding records; by default its columns tell.

    Raises
    ------
    InputError
        No address column; two columns of one meaning; a column that would be added is there already.
    """
    named: dict[str, list[int]] = {}
    for i, column in enumerate(columns):
        named.setdefault(field_name(column), []).append(i)
    clash = [column for column in columns if column in set(added)]
    if clash:
        raise InputError(
            f"already has a column {clash[0]!r}, which routing adds: was it routed before? Pass the original, or rename the column"
        )
    is_log, is_question = any(name in named for name in LOG_ADDRESS_FIELDS), "src" in named and "dst" in named
    if simulated is None:
        simulated = is_question and not is_log
    if simulated and not is_question:
        raise InputError(f"no columns 'src' and 'dst', which questions have; its columns are {_shown(columns)}")
    if not simulated and not is_log:
        raise InputError(
            "no address column: flow logs have pkt_srcaddr and pkt_dstaddr or srcaddr and dstaddr, questions have src and dst; "
            f"its columns are {_shown(columns)}"
        )
    wanted = (*QUESTION_TEXT_FIELDS, *QUESTION_NUMBER_FIELDS) if simulated else (*LOG_TEXT_FIELDS, *LOG_NUMBER_FIELDS)
    for name in wanted:
        if len(named.get(name, ())) > 1:
            both = " and ".join(repr(columns[i]) for i in named[name])
            raise InputError(f"columns {both} mean the same; drop one")
    at = {name: named[name][0] for name in wanted if name in named}
    marks = {name: named[name][0] for name in TRANSIT_GATEWAY_MARKS if name in named}
    if simulated or not marks or "pkt_srcaddr" in at or "pkt_dstaddr" in at:
        return Fields(simulated, at)
    # No interface writes its own address into it, and the source's VPC says what a destination's address means there.
    meant = {"srcaddr": "pkt_srcaddr", "dstaddr": "pkt_dstaddr", "tgw_src_vpc_id": "vpc_id"}
    return Fields(simulated, {meant.get(name, name): place for name, place in (marks | at).items()}, True)


def _shown(columns: Sequence[str]) -> str:
    return ", ".join(columns[:8]) + (f" and {len(columns) - 8} more" if len(columns) > 8 else "") if columns else "none"
