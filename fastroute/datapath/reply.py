"""The other direction of a connection: the way of the packets that answer, for many flows at once."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from fastroute.datapath.flows import Answers, Questions
from fastroute.datapath.state import Compiled
from fastroute.datapath.walk import walk
from fastroute.vocab import Disposition, Form, Opener, PathClass

I32 = NDArray[np.int32]


class Replies(NamedTuple):
    """(n,) each; -1 is null."""

    out_eni: I32
    """Code of the interface by which the answers leave the destination's node or owner."""
    symmetric: NDArray[np.int8]
    """Whether they leave by the interface by which the packets came in, and come in by that by which they left."""
    answers: Answers
    """The way of the answers; of no meaning where `symmetric` is null and no interface is told."""


def walk_replies(compiled: Compiled, questions: Questions, answers: Answers) -> Replies:
    """Walk the answers to flows that were walked: from the destination to whom it saw, so to the node where the source was translated.

    A flow that does not arrive, or is undecided, has no answer.
    """
    n = len(questions.src_row)
    seen_as, openers = np.empty(n, np.int32), np.empty(n, np.int8)
    turn_round(compiled.tables.nodes, answers.src_row, answers.wire_src, answers.opener, seen_as, openers)
    src_port = np.where(answers.wire_src >= 0, np.int32(-1), questions.src_port)
    back = Questions(answers.dst_row, seen_as, questions.protocol, questions.dst_port, src_port, np.full(n, -1, np.int32))
    found = walk(compiled, back, recorded=True, openers=openers)
    stay_at_home(answers, found)
    out_eni, symmetric = np.empty(n, np.int32), np.empty(n, np.int8)
    compare(answers.disposition, answers.out_eni, answers.in_eni, found.disposition, found.out_eni, found.in_eni, out_eni, symmetric)
    return Replies(out_eni, symmetric, found)


@njit(cache=True, nogil=True)
def turn_round(nodes, src_row, wire_src, opener, seen_as, openers):
    """Rows that the destinations see, (n,) int32; who opened each connection, seen from the other end, (n,) int8."""
    for i in range(src_row.shape[0]):
        seen_as[i] = nodes[wire_src[i]].snat_row if wire_src[i] >= 0 else src_row[i]
        openers[i] = Opener.DST.value if opener[i] == Opener.SRC else Opener.SRC.value if opener[i] == Opener.DST else opener[i]


@njit(cache=True, nogil=True)
def stay_at_home(there, back):
    """A flow by loopback, whose ends are one row, is answered by loopback: its address alone does not tell that."""
    forms, src_rows, dst_rows, paths_there = there.form, there.src_row, there.dst_row, there.path_id
    b_form, b_class, b_disposition, b_reason = back.form, back.path_class, back.disposition, back.reason
    b_out_eni, b_in_eni, b_path_id = back.out_eni, back.in_eni, back.path_id
    b_rule, b_table, b_wire_src = back.rule_priority, back.table, back.wire_src
    for i in range(forms.shape[0]):
        if forms[i] == Form.INTRA_POD and src_rows[i] == dst_rows[i]:
            b_form[i], b_class[i] = Form.INTRA_POD.value, PathClass.INTRA_POD.value
            b_disposition[i], b_reason[i], b_path_id[i] = Disposition.DELIVERED.value, 0, paths_there[i]
            b_out_eni[i], b_in_eni[i], b_rule[i], b_table[i], b_wire_src[i] = -1, -1, -1, -1, -1


@njit(cache=True, nogil=True)
def compare(there, out_eni, in_eni, back, back_out_eni, back_in_eni, reply_out_eni, symmetric):
    """Fill (n,) reply_out_eni and symmetric from dispositions and interfaces of both directions."""
    for i in range(there.shape[0]):
        reply_out_eni[i], symmetric[i] = -1, -1
        if there[i] == Disposition.DELIVERED or there[i] == Disposition.EXITS_NETWORK:
            reply_out_eni[i] = back_out_eni[i]
            if back[i] != Disposition.UNDECIDED:
                symmetric[i] = back_out_eni[i] == in_eni[i] and back_in_eni[i] == out_eni[i]
