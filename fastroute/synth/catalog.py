"""Every record that can occur, once: the logs are draws from it. Columns of small integers that point into small lists of text."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from fastroute.arrays import NONE
from fastroute.synth.account import Account
from fastroute.synth.addresses import block, covers, text
from fastroute.synth.exchanges import INT_TRUTH, TRUTH_COLUMNS, Exchange, Observer, Sighting
from fastroute.synth.network import S3_BLOCKS
from fastroute.synth.nouns import Eni

Ints = NDArray[np.int32]
HYPHEN = "-"


@dataclass(slots=True, frozen=True)
class Text:
    """A column of texts: positions into `words`, NONE for null; `missing` is the position for rows that have no such field."""

    positions: Ints
    words: pa.Array
    missing: int = NONE

    def take(self, rows: NDArray[np.intp], overrides: Ints | None = None) -> pa.DictionaryArray:
        """The column at these rows (negative: missing, or what `overrides` names), with a dictionary of only the words in use."""
        chosen = np.where(rows >= 0, self.positions[rows], self.missing if overrides is None else overrides)
        # NONE lands on the spare last place
        present = np.zeros(len(self.words) + 1, bool)
        present[chosen] = True
        used = np.flatnonzero(present[:-1])
        renumber = np.full(len(self.words) + 1, NONE, np.int32)
        renumber[used] = np.arange(used.size, dtype=np.int32)
        indices = renumber[chosen]
        mask = indices == NONE
        index_array = pa.array(indices, mask=mask) if mask.any() else pa.array(indices)
        return pa.DictionaryArray.from_arrays(index_array, self.words.take(pa.array(used)))


@dataclass(slots=True, frozen=True)
class Catalog:
    """Columns by name, one row a possible record. `first` and `count` (per exchange) say which rows an exchange has."""

    first: NDArray[np.intp]
    count: NDArray[np.intp]
    is_reply: NDArray[np.bool_]
    after_nat: NDArray[np.bool_]
    is_rejected: NDArray[np.bool_]
    decidable: NDArray[np.bool_]
    is_egress: NDArray[np.bool_]
    log_index: Ints
    protocol: Ints
    port: Ints
    traffic_path: Ints
    is_answered: NDArray[np.bool_]
    needs_syn: NDArray[np.bool_]
    text: dict[str, Text]
    truth_text: dict[str, Text]
    truth_int: dict[str, Ints]

    @property
    def mean_count(self) -> float:
        """Records that an exchange leaves on average."""
        return float(self.count.mean())


def build_catalog(account: Account, exchanges: Iterable[Exchange], observer: Observer) -> Catalog:
    """Observe every exchange once; those that no interface sees are left out."""
    rows: list[Sighting] = []
    owners: list[Exchange] = []
    counts: list[int] = []
    answered: list[bool] = []
    for exchange in exchanges:
        sightings = observer.observe(exchange)
        if sightings:
            rows += sightings
            owners += [exchange] * len(sightings)
            counts.append(len(sightings))
            answered += [any(each.is_reply for each in sightings)] * len(sightings)
    count = np.array(counts, np.intp)
    truth = dict(zip(TRUTH_COLUMNS, zip(*(row.truth for row in rows), strict=True), strict=True))
    vpc_numbers = {vpc: number for number, vpc in enumerate(account.logged_vpcs)}
    return Catalog(
        first=np.concatenate([[0], np.cumsum(count)[:-1]]).astype(np.intp),
        count=count,
        is_reply=np.array([each.is_reply for each in rows]),
        after_nat=np.array([each.after_nat for each in rows]),
        is_rejected=np.array([each.is_rejected for each in rows]),
        decidable=np.array([each.decidable for each in rows]),
        is_egress=np.array([each.is_egress for each in rows]),
        log_index=np.array([vpc_numbers[each.eni.vpc] for each in rows], np.int32),
        protocol=np.array([each.protocol for each in owners], np.int32),
        port=np.array([each.port for each in owners], np.int32),
        traffic_path=np.array([NONE if each.traffic_path is None else each.traffic_path for each in rows], np.int32),
        is_answered=np.array(answered),
        needs_syn=np.array([each.needs_syn for each in owners]),
        text=_record_text(account, rows),
        truth_text={name: _text(of_rows) for name, of_rows in truth.items() if name not in INT_TRUTH},
        truth_int={name: np.array([NONE if each is None else each for each in truth[name]], np.int32) for name in INT_TRUTH},
    )


def _text(values: Iterable[str | None]) -> Text:
    """A truth column: missing is null."""
    coded = pa.array(list(values), pa.string()).dictionary_encode()
    return Text(coded.indices.fill_null(NONE).to_numpy(zero_copy_only=False), coded.dictionary)


def _log_text(values: Iterable[str], more: Iterable[str] = ()) -> Text:
    """A record's column: missing is a hyphen. `more` are words at positions 1, 2, ... whether used or not."""
    first = [HYPHEN, *more]
    coded = pa.array([*first, *values], pa.string()).dictionary_encode()
    return Text(coded.indices.to_numpy()[len(first) :], coded.dictionary, missing=0)


def _record_text(account: Account, rows: list[Sighting]) -> dict[str, Text]:
    def of_eni(eni: Eni) -> tuple[str, str, str, str]:
        instance = eni.instance.id if eni.instance else HYPHEN
        return eni.vpc.id, eni.subnet.id, instance, eni.subnet.zone.az_id

    known = {row.eni: of_eni(row.eni) for row in rows}
    columns = {"interface_id": _log_text((row.eni.id for row in rows), (eni.id for eni in account.enis))}
    for i, name in enumerate(("vpc_id", "subnet_id", "instance_id", "az_id")):
        columns[name] = _log_text(known[row.eni][i] for row in rows)
    written: dict[int, str] = {}
    service: dict[int, str] = {}
    s3 = [block(each) for each in S3_BLOCKS]
    for row in rows:
        for addr in (row.src, row.dst, row.pkt_src, row.pkt_dst):
            if addr not in written:
                written[addr] = text(addr)
                service[addr] = "S3" if covers(s3, addr) else HYPHEN
    columns |= {
        "srcaddr": _log_text(written[row.src] for row in rows),
        "dstaddr": _log_text(written[row.dst] for row in rows),
        "pkt_srcaddr": _log_text(written[row.pkt_src] for row in rows),
        "pkt_dstaddr": _log_text(written[row.pkt_dst] for row in rows),
        "pkt_src_aws_service": _log_text(service[row.pkt_src] for row in rows),
        "pkt_dst_aws_service": _log_text(service[row.pkt_dst] for row in rows),
        "flow_direction": _log_text("egress" if row.is_egress else "ingress" for row in rows),
        "action": _log_text("REJECT" if row.is_rejected else "ACCEPT" for row in rows),
    }
    return columns
