"""`Namespace`: one routing domain of dumps or a support bundle, asked as `ip route get` is, one question or ten million."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from fastroute import addr
from fastroute.api.get_columns import SCHEMA, GetColumns
from fastroute.errors import AddressError, InputError
from fastroute.flows.columns import TextColumn, distinct_column, gathered, int_column, is_text, one_array, text_column, texts_of
from fastroute.io.bundle import read_bundle
from fastroute.io.dumps import Account
from fastroute.io.iproute2_words import PROTOCOLS
from fastroute.io.nodedump import NodeDump, node_from_dumps, read_node_folder
from fastroute.netns.batch import Questions, Walker
from fastroute.netns.decision import Decision, Packet
from fastroute.netns.model import FAMILIES
from fastroute.netns.walk import decide

Column = Any
"""A scalar, which holds for every question, or one value a question: a sequence, a NumPy or an Arrow array."""

Codes = NDArray[np.int32]
Rows = slice | NDArray[np.intp]

CHUNK = 1 << 16
"""Rows at a time: the columns of an answer are written while their codes are in cache."""


@dataclass(frozen=True)
class Namespace:
    """One routing domain, as read."""

    dump: NodeDump

    @classmethod
    def load(cls, path: str | PathLike[str]) -> Namespace:
        """Read a folder of dumps (`ip-rule.txt`, `ip-route.json`, …) or a support bundle (`eks_….tar.gz`).

        Raises
        ------
        InputError
            Neither of them, or nothing in it.
        """
        source = Path(path)
        if source.is_file():
            return cls(read_bundle(source))
        return cls(read_node_folder(source))

    @classmethod
    def from_dumps(
        cls,
        *,
        rule: str | None = None,
        rule6: str | None = None,
        route: str | Mapping[int | str, str] | None = None,
        route6: str | Mapping[int | str, str] | None = None,
        addr: str | None = None,
        link: str | None = None,
        iptables: str | None = None,
        nft: str | None = None,
        sysctl: str | None = None,
    ) -> Namespace:
        """Take the texts themselves; `route` is one text of all tables, or a text a table (`{"main": …, 2: …}`)."""
        texts = {"rule": rule, "rule6": rule6, "addr": addr, "link": link, "iptables": iptables, "nft": nft, "sysctl": sysctl}
        if route is None and route6 is None and all(text is None for text in texts.values()):
            raise InputError("no dump given: at least rule= and route= are wanted")
        return cls(node_from_dumps(**texts, route=route, route6=route6))

    @property
    def accounts(self) -> Mapping[str, Account]:
        """The lines of each dump: parsed, and reported."""
        return self.dump.accounts

    @property
    def missing(self) -> tuple[str, ...]:
        """What absent dumps take away."""
        return self.dump.missing

    @cached_property
    def _walkers(self) -> dict[tuple[int, frozenset[str]], tuple[Walker, GetColumns]]:
        return {}

    def route_get(
        self,
        dst: Column,
        src: Column = None,
        iif: Column = None,
        mark: Column = 0,
        *,
        oif: Column = None,
        ipproto: Column = 17,
        sport: Column = 0,
        dport: Column = 0,
        tos: Column = 0,
    ) -> pa.Table:
        """Answer `ip route get dst from src iif iif mark mark …` for every question.

        Parameters
        ----------
        dst, src : text, or n of them
            Addresses of either family; src None (or "") is an unbound local socket.
        iif, oif : text, or n of them
            Interfaces; iif None is a packet made on this machine.
        mark, ipproto, sport, dport, tos : int, or n of them
            Without a protocol the kernel asks as UDP. ipproto also as a name.

        Returns
        -------
        pyarrow.Table
            Of `SCHEMA`, n rows; one for scalars.

        Raises
        ------
        AddressError
            Text that is no address, or a source of the other family than its destination.
        InputError
            Columns of different lengths.
        """
        given = {
            "dst": dst,
            "src": src,
            "iif": iif,
            "oif": oif,
            "mark": mark,
            "ipproto": ipproto,
            "sport": sport,
            "dport": dport,
            "tos": tos,
        }
        columns = as_arrays(given)
        n = common_length(columns)
        destinations, sources = parse_addresses(columns["dst"], "dst"), parse_addresses(columns["src"], "src")
        check_families(destinations, sources)
        if not n:
            return SCHEMA.empty_table()
        lowest, highest = int(destinations.family.min()), int(destinations.family.max())
        if lowest == highest:
            return self._answer(lowest, slice(None), n, destinations, sources, columns)
        rows_of = [np.flatnonzero(np.broadcast_to(destinations.family == family, n)) for family in FAMILIES]
        tables = [
            self._answer(family, rows, len(rows), destinations, sources, columns) for family, rows in zip(FAMILIES, rows_of, strict=True)
        ]
        order = np.argsort(np.concatenate(rows_of), kind="stable")
        return pa.concat_tables(tables).unify_dictionaries().take(pa.array(order)).combine_chunks()

    def explain(self, dst: str, src: str | None = None, iif: str | None = None, mark: int = 0, **more: Any) -> Decision:
        """Answer one question by the plain walk: `tried` lists each rule that it came to, and why it did or did not match."""
        destination, source = addr.parse([dst]), addr.parse([src or ""])
        check_families(destination, source)
        family = int(destination.family[0])
        oif, protocol = more.pop("oif", None), protocol_number(more.pop("ipproto", 17))
        packet = Packet(family, number_of(destination, 0), number_of(source, 0), iif, oif, mark, protocol, **more)
        return decide(self.dump.namespace, packet)

    def _answer(
        self, family: int, rows: Rows, n: int, destinations: addr.Addresses, sources: addr.Addresses, columns: Mapping[str, pa.Array]
    ) -> pa.Table:
        """Answer n questions of one family, a chunk at a time."""
        inputs, outputs = distinct_column(columns["iif"], "iif"), distinct_column(columns["oif"], "oif")
        names = frozenset(name for column in (inputs, outputs) for name in texts_of(column.texts) if name)
        walker, answer_columns = self._walker(family, names)
        found = {
            "dst": addresses_of(destinations, family),
            "src": addresses_of(sources, family),
            "in_interface": coded(inputs, walker.code),
            "fwmark": integers(columns["mark"], "mark", np.uint32),
            "out_interface": coded(outputs, walker.code),
            "ipproto": protocols(columns["ipproto"]),
            "sport": integers(columns["sport"], "sport", np.uint16),
            "dport": integers(columns["dport"], "dport", np.uint16),
            "tos": integers(columns["tos"], "tos", np.uint8),
        }
        chosen = {name: values if len(values) == 1 else values[rows] for name, values in found.items()}
        if len(chosen["out_interface"]) == 1 and not chosen["out_interface"][0]:
            del chosen["out_interface"]
        parts = [Questions(**spread(chosen, start, min(CHUNK, n - start))) for start in range(0, n, CHUNK)]
        return pa.concat_tables([answer_columns.table(walker.walk(part)) for part in parts])

    def _walker(self, family: int, names: frozenset[str]) -> tuple[Walker, GetColumns]:
        """The family's walker that knows some interfaces; kept."""
        found = self._walkers.get((family, names))
        if found is None:
            walker = Walker(self.dump.namespace, family, sorted(names))
            found = self._walkers[family, names] = walker, GetColumns(walker)
        return found


def as_arrays(given: Mapping[str, Column]) -> dict[str, pa.Array]:
    """Return every column as an Arrow array, a scalar as one of length 1.

    Raises
    ------
    InputError
        Values that are no column.
    """
    columns: dict[str, pa.Array] = {}
    for name, column in given.items():
        if not is_scalar(column):
            try:
                columns[name] = one_array(column) if isinstance(column, pa.Array | pa.ChunkedArray) else pa.array(column)
            except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
                raise InputError(f"{name}: not a column: {error}") from error
    for name, column in given.items():
        if isinstance(column, str) or column is None:
            columns[name] = pa.array([column], pa.string())
        elif is_scalar(column):
            columns[name] = pa.array([int(column)])
    return columns


def common_length(columns: Mapping[str, pa.Array]) -> int:
    """Return the number of questions: columns of one value hold for all of them.

    Raises
    ------
    InputError
        The others differ in length.
    """
    lengths = {name: len(column) for name, column in columns.items() if len(column) != 1}
    if len(set(lengths.values())) > 1:
        raise InputError("columns of different lengths: " + ", ".join(f"{name} {length}" for name, length in lengths.items()))
    return next(iter(lengths.values()), 1)


def spread(columns: Mapping[str, NDArray[Any]], start: int, length: int) -> dict[str, NDArray[Any]]:
    """Return a chunk of each column; one value alone is repeated."""
    return {
        name: np.repeat(values, length, axis=0) if len(values) == 1 else values[start : start + length] for name, values in columns.items()
    }


def is_scalar(column: Column) -> bool:
    """Say whether a value holds for every question."""
    return column is None or isinstance(column, str | int | np.integer)


def parse_addresses(column: pa.Array, name: str) -> addr.Addresses:
    """Parse a column of addresses: text, or IPv4 as uint32; each text of a dictionary once."""
    if pa.types.is_uint32(column.type) and not column.null_count:
        v4 = column.to_numpy()
        nothing = np.zeros(len(v4), np.uint64)
        return addr.Addresses(np.full(len(v4), 4, np.uint8), v4, nothing, nothing)
    texts = text_column(column, name)
    if texts.codes is None:
        try:
            return addr.parse(texts.texts)
        except AddressError as error:
            raise AddressError(f"{name}: {error}") from error
    # A dictionary may hold texts that no row uses.
    family, v4, hi, lo = (gathered(texts.codes, values, 0) for values in addr.try_parse(texts.texts))
    malformed = np.flatnonzero(family == addr.MALFORMED)
    if malformed.size:
        text = texts.texts.row(int(texts.codes[malformed[0]]))
        raise AddressError(f"{name}[{malformed[0]}]: {text!r} is not an IPv4 or IPv6 address ({malformed.size} rows are none)")
    return addr.Addresses(family, v4, hi, lo)


def check_families(destinations: addr.Addresses, sources: addr.Addresses) -> None:
    """Raise AddressError for an absent destination, or a source of another family."""
    absent = np.flatnonzero(destinations.family == 0)
    if len(absent):
        raise AddressError(f"dst[{absent[0]}]: no address")
    mixed = np.flatnonzero((sources.family != 0) & (sources.family != destinations.family))
    if len(mixed):
        raise AddressError(f"src[{mixed[0]}]: of another family than dst[{mixed[0]}]")


def number_of(addresses: addr.Addresses, row: int) -> int:
    """Return one address as an int; 0 for absent."""
    return int(addresses.v4[row]) or int(addresses.hi[row]) << 64 | int(addresses.lo[row])


def addresses_of(addresses: addr.Addresses, family: int) -> NDArray[Any]:
    """Return addresses as `Questions` takes them."""
    if family == 4:
        return addresses.v4
    return np.stack([addresses.hi, addresses.lo], axis=1)


def coded(column: TextColumn, code: Callable[[str | None], int]) -> Codes:
    """Return a column of names as codes; each distinct name is asked for once."""
    table = np.array([code(text or None) for text in texts_of(column.texts)], np.int32)
    assert column.codes is not None
    return np.asarray(gathered(column.codes, table, code(None)), np.int32)


def integers(column: pa.Array, name: str, dtype: type[np.unsignedinteger[Any]]) -> NDArray[Any]:
    """Return a column of numbers in a type; null is 0.

    Raises
    ------
    InputError
        No numbers, or one that does not fit.
    """
    if column.type == pa.from_numpy_dtype(dtype) and not column.null_count:
        return np.asarray(column)
    values = np.maximum(int_column(column, name, np.int64), 0)
    most = np.iinfo(dtype).max
    if len(values) and values.max() > most:
        raise InputError(f"{name}[{int(values.argmax())}]: {values.max()} is larger than {most}")
    return np.asarray(values, dtype)


def protocols(column: pa.Array) -> NDArray[np.uint8]:
    """Return protocols by number or name; null is UDP, as which the kernel asks."""
    if not is_text(column.type):
        return integers(column, "ipproto", np.uint8)
    return coded(distinct_column(column, "ipproto"), protocol_number).astype(np.uint8)


def protocol_number(value: Any) -> int:
    """Return a protocol's number, by name or number."""
    if isinstance(value, str) and value in PROTOCOLS:
        return PROTOCOLS[value]
    try:
        number = int(17 if value is None else value)
    except ValueError as error:
        raise InputError(f"ipproto '{value}': neither a number nor one of {', '.join(PROTOCOLS)}") from error
    if not 0 <= number <= 255:
        raise InputError(f"ipproto {number}: not within 0..255")
    return number
