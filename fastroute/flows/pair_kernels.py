"""Loops over records whose pair of rows was walked before: who opened the connection, and what was found for that opener."""

from __future__ import annotations

import numpy as np
from numba import njit

from fastroute.datapath.walk import opener_by_ports, serves
from fastroute.flows.kernels import is_marked
from fastroute.vocab import SCTP, TCP, TCP_ACK, TCP_SYN, UDP, Opener

ONE_WAY, BY_OPENER, BY_RECORD = 0, 1, 2
"""What decides of a pair's records: nothing further; who opened the connection; what only a walk of each record knows."""
NUM_WAYS = 3
"""Entries of a BY_OPENER pair: opened by the source, by the destination, and as it is without flags or ports."""


@njit(cache=True, nogil=True)
def answer_records(pair_of, pairs, entries, rows, ports, questions, host_ports, answers, walked):  # noqa: PLR0915 - one pass that writes every column
    """Fill the answers of records from the entries of their pairs, columns of length 0 left out; rows are not touched.

    pairs: (num_pairs,) records of `first` entry, `decided_by` and `has_host_ports`. Fills walked (n,) with the records that need a walk of
    their own. Returns how many.
    """
    node_ports, port_offsets, port_keys = ports.node_ports, ports.offsets, ports.keys
    src_rows, dst_rows, protocols = questions.src_row, questions.dst_row, questions.protocol
    src_ports, dst_ports, all_tcp_flags = questions.src_port, questions.dst_port, questions.tcp_flags
    a_opener, a_form, a_reason = answers.opener, answers.form, answers.reason
    a_path_class, a_disposition, a_attribution = answers.path_class, answers.disposition, answers.attribution
    a_out_eni, a_in_eni, a_rule, a_table = answers.out_eni, answers.in_eni, answers.rule_priority, answers.table
    a_wire_src, a_wire_dst, a_path_id = answers.wire_src, answers.wire_dst, answers.path_id
    a_src_attribution, a_dst_attribution = answers.src_attribution, answers.dst_attribution
    m = 0
    for i in range(pair_of.shape[0]):
        pair = pairs[pair_of[i]]
        at, decided_by = np.int64(pair.first), pair.decided_by
        if decided_by != ONE_WAY or pair.has_host_ports != 0:
            src_port, dst_port = src_ports[i], dst_ports[i]
            if decided_by == BY_RECORD or (
                pair.has_host_ports != 0 and (is_marked(src_port, host_ports) or is_marked(dst_port, host_ports))
            ):
                walked[m] = i
                m += 1
                continue
            if decided_by == BY_OPENER:
                protocol, tcp_flags = protocols[i], all_tcp_flags[i]
                opener = np.int64(Opener.UNKNOWN.value)
                if protocol == TCP and tcp_flags >= 0 and (tcp_flags & TCP_SYN) != 0:
                    opener = np.int64(Opener.DST.value if (tcp_flags & TCP_ACK) != 0 else Opener.SRC.value)
                elif entries[at + Opener.UNKNOWN.value].opener == Opener.UNKNOWN and (
                    protocol == TCP or protocol == UDP or protocol == SCTP
                ):
                    s, d = rows[src_rows[i]], rows[dst_rows[i]]
                    src_key, dst_key = (protocol << 16) | src_port, (protocol << 16) | dst_port
                    src_serves = src_port >= 0 and serves(node_ports, port_offsets, port_keys, s.kind, s.ports, src_key)
                    dst_serves = dst_port >= 0 and serves(node_ports, port_offsets, port_keys, d.kind, d.ports, dst_key)
                    opener = opener_by_ports(src_serves, dst_serves, src_port, dst_port)
                at += opener
        entry = entries[at]
        a_path_class[i], a_disposition[i], a_attribution[i] = entry.path_class, entry.disposition, entry.attribution
        a_src_attribution[i] = entry.src_attribution
        if a_opener.shape[0] != 0:
            a_opener[i] = entry.opener
        if a_form.shape[0] != 0:
            a_form[i] = entry.form
        if a_reason.shape[0] != 0:
            a_reason[i] = entry.reason
        if a_out_eni.shape[0] != 0:
            a_out_eni[i] = entry.out_eni
        if a_in_eni.shape[0] != 0:
            a_in_eni[i] = entry.in_eni
        if a_rule.shape[0] != 0:
            a_rule[i] = entry.rule_priority
        if a_table.shape[0] != 0:
            a_table[i] = entry.table
        if a_wire_src.shape[0] != 0:
            a_wire_src[i] = entry.wire_src
        if a_wire_dst.shape[0] != 0:
            a_wire_dst[i] = entry.wire_dst
        if a_path_id.shape[0] != 0:
            a_path_id[i] = entry.path_id
        if a_dst_attribution.shape[0] != 0:
            a_dst_attribution[i] = entry.dst_attribution
    return m
