"""Answers of a namespace as Arrow columns: names as dictionaries of the namespace's own, written once a walker."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from fastroute.flows.encode import number_array
from fastroute.flows.kernels import encode
from fastroute.netns.batch import Answers, Walker
from fastroute.netns.decision import ERRORS, Verdict
from fastroute.netns.kernels import REASONS, VERDICTS
from fastroute.netns.model import addr_text

TEXT_COLUMNS = ("verdict", "error", "reason", "table", "prefix", "gateway", "device", "prefsrc", "missing")
SCHEMA = pa.schema(
    [
        pa.field(name, pa.int64() if name == "rule_priority" else pa.dictionary(pa.int32(), pa.string()))
        for name in (*TEXT_COLUMNS[:3], "rule_priority", *TEXT_COLUMNS[3:])
    ]
)
"""The columns of an answer; null where there is nothing to say. `missing` names the command whose output an undecided answer lacks."""

_SHIFT = 1
"""Codes begin at -1, which is null."""
_LAST_LEAVING = VERDICTS.index(Verdict.OUTPUT)
"""Forward and output: the verdicts with a gateway."""

Patches = dict[int, str | None]
"""Rows whose text no code tells."""


class Texts(NamedTuple):
    """The distinct texts of a column, and the index of each code's: table[code + 1], -1 for null."""

    numbers: dict[str, int]
    table: NDArray[np.int32]
    dictionary: pa.Array

    @classmethod
    def of(cls, texts: Iterable[str | None]) -> Texts:
        """Of the texts of codes 0, 1, ...; None and "" are null."""
        listed = list(texts)
        numbers = {text: number for number, text in enumerate(dict.fromkeys(text for text in listed if text))}
        table = np.array([-1, *(numbers[text] if text else -1 for text in listed)], np.int32)
        return cls(numbers, table, pa.array(list(numbers), pa.string()))

    def column(self, codes: NDArray[Any] | int, patches: Patches | None = None) -> pa.DictionaryArray:
        """The column of codes (n,), some rows patched; of n nulls."""
        if isinstance(codes, int):
            if not patches:
                return pa.DictionaryArray.from_arrays(pa.nulls(codes, pa.int32()), self.dictionary)
            codes = np.full(codes, -1, np.int32)
        if not patches:
            return indexed(codes, self.table, self.dictionary)
        numbers, indices = dict(self.numbers), self.table[codes + np.int32(_SHIFT)]
        for row, text in patches.items():
            indices[row] = numbers.setdefault(text, len(numbers)) if text else -1
        identity = np.arange(-1, len(numbers), dtype=np.int32)
        return indexed(indices, identity, pa.array(list(numbers), pa.string()))


def indexed(codes: NDArray[Any], table: NDArray[np.int32], dictionary: pa.Array) -> pa.DictionaryArray:
    """A dictionary column of the indices table[codes + 1]; -1 for null."""
    n = len(codes)
    indices, valid = np.empty(n, np.int32), np.empty((n + 7) // 8, np.uint8)
    nulls = encode(codes, _SHIFT, table, indices, valid)
    buffers = [pa.py_buffer(valid) if nulls else None, pa.py_buffer(indices)]
    return pa.DictionaryArray.from_arrays(pa.Array.from_buffers(pa.int32(), n, buffers, nulls), dictionary, safe=False)


class GetColumns:
    """Makes tables of `SCHEMA` from the answers of one walker."""

    def __init__(self, walker: Walker) -> None:
        family, kinds, hops = walker.family, walker.cells.kinds, walker.hops
        self._walker = walker
        self._sources = [*walker.source_of_hop, *(route.prefsrc for route in walker.routes)]
        """Source that an unbound packet gets, by hop; then by route, where it stays."""
        self._echoes = np.array([source is None for source in self._sources], bool)
        """Whether a local route names no source: IPv4 answers from the address that was asked for."""
        self._priorities = np.array([-1, *(kind.priority for kind in kinds)], np.int64)
        self._texts: Mapping[str, Texts] = {
            "verdict": Texts.of(verdict.value for verdict in VERDICTS),
            "error": Texts.of(ERRORS.get(reason) for reason in REASONS),
            "reason": Texts.of(reason.value for reason in REASONS),
            "table": Texts.of(walker.namespace.table_text(kind.table_id) if kind.looks_up else None for kind in kinds),
            "prefix": Texts.of(route.prefix.text(family) for route in walker.routes),
            "gateway": Texts.of(None if hop.gateway is None else addr_text(hop.gateway_family, hop.gateway) for hop in hops),
            "device": Texts.of(walker.interfaces),
            "prefsrc": Texts.of(None if source is None else addr_text(family, source) for source in self._sources),
            "missing": Texts.of(walker.missing_of(code) for code in range(len(walker.interfaces))),
        }

    def table(self, answers: Answers) -> pa.Table:
        """Make the columns of some answers."""
        verdict = answers.verdict
        undecided = verdict == VERDICTS.index(Verdict.UNDECIDED)
        patches = self._plain(answers)
        sources, told = self._sources_of(answers)
        patches["prefsrc"] |= told
        codes: dict[str, NDArray[Any] | int] = {
            "verdict": verdict,
            "error": np.where(verdict == VERDICTS.index(Verdict.ERROR), answers.reason, np.int8(-1)),
            "reason": answers.reason,
            "table": answers.kind,
            "prefix": answers.route,
            "gateway": np.where(verdict <= _LAST_LEAVING, answers.hop, np.int32(-1)),
            "device": answers.device,
            "prefsrc": sources,
            "missing": np.where(undecided, answers.questions.in_interface, np.int32(-1)) if undecided.any() else len(verdict),
        }
        columns = {name: self._texts[name].column(codes[name], patches.get(name)) for name in TEXT_COLUMNS}
        columns["rule_priority"] = number_array(self._priority(answers), pa.int64())
        return pa.table([columns[name] for name in SCHEMA.names], schema=SCHEMA)

    def _priority(self, answers: Answers) -> NDArray[np.int64]:
        priorities: NDArray[np.int64] = self._priorities[answers.kind + np.int32(_SHIFT)]
        for row, decision in answers.plain.items():
            priorities[row] = -1 if decision.rule is None else decision.rule.priority
        return priorities

    def _plain(self, answers: Answers) -> dict[str, Patches]:
        """What the plain walk's decisions say, by column."""
        patches: dict[str, Patches] = {name: {} for name in ("table", "gateway", "prefsrc", "missing")}
        for row, decision in answers.plain.items():
            hop, table_id, source = decision.next_hop, decision.table_id, decision.prefsrc
            patches["table"][row] = None if table_id is None else self._walker.namespace.table_text(table_id)
            patches["gateway"][row] = None if hop is None or hop.gateway is None else addr_text(hop.gateway_family, hop.gateway)
            patches["prefsrc"][row] = None if source is None else addr_text(self._walker.family, source)
            patches["missing"][row] = decision.missing
        return patches

    def _sources_of(self, answers: Answers) -> tuple[NDArray[np.int32] | int, Patches]:
        """Codes of the sources that unbound packets made here are given: their hop's, a local route's; else patched, their destination."""
        questions, is_ipv4 = answers.questions, self._walker.family == 4
        none = len(answers.verdict)
        made_here = questions.in_interface == 0
        if not made_here.any():
            return none, {}
        src = questions.src if is_ipv4 else questions.src.any(axis=1)
        unbound = made_here & (src == 0) & (answers.route >= 0) & (answers.verdict != VERDICTS.index(Verdict.ERROR))
        unbound[list(answers.plain)] = False
        if not unbound.any():
            return none, {}
        is_local = answers.verdict == VERDICTS.index(Verdict.LOCAL)
        by_route = np.int32(len(self._walker.hops)) + answers.route
        codes = np.where(unbound, np.where(is_local, by_route, answers.hop), np.int32(-1))
        patches: Patches = {}
        if is_ipv4:
            echoed = np.flatnonzero(unbound & is_local & self._echoes[codes])
            addrs, number = np.unique(questions.dst[echoed], return_inverse=True)
            texts = [addr_text(4, addr) for addr in addrs.tolist()]
            patches = {row: texts[at] for row, at in zip(echoed.tolist(), number.tolist(), strict=True)}
        return codes, patches
