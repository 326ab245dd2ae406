"""Longest-prefix match for people: text, NumPy and Arrow in, NumPy out."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
from numpy.typing import ArrayLike, NDArray

from fastroute.addr import (
    ABSENT,
    HOST_BITS,
    MALFORMED,
    Addresses,
    Prefixes,
    TextBuffers,
    Texts,
    format_prefixes,
    masks4,
    masks6,
    parse,
    parse_prefixes,
    text_buffers,
    try_parse,
    try_parse_prefixes,
)
from fastroute.arrays import NONE, read_bundle, write_bundle
from fastroute.errors import AddressError, InputError, TableError
from fastroute.flows.columns import gathered, one_array, text_column, texts_of
from fastroute.lpm import Lpm4, Lpm6, build4, build4_ids, build6, build6_ids, lookup4, lookup6, pack, unpack

I32 = NDArray[np.int32]
AnyTexts: TypeAlias = "Texts | pa.Array | pa.ChunkedArray"

MAX_VALUE = 2**31 - 2
_FORMAT = "fastroute prefix table 1"


class PrefixTable:
    """A table of prefixes of either family, or of both. It never changes; `replace` makes another.

    Parameters
    ----------
    prefixes : (n,) text, or a pair of arrays
        Text as a list, a NumPy or an Arrow array, or whatever hands itself over as Arrow (a Polars series): "10.0.0.0/8",
        "2001:db8::/32"; a bare address stands for itself. Or arrays: (n,) uint32 or (n, 2) uint64 (hi, lo), and (n,) lengths.
    values : (n,) 0 to 2**31 - 2, optional
        What `lookup` answers. Without values it answers dense ids of the table's own, which `prefix_of` decodes: the fastest form.

    Raises
    ------
    AddressError
        Text that is no prefix, or has bits behind its length.
    TableError
        A prefix that stands twice, or a value out of range.
    """

    def __init__(self, prefixes: AnyTexts | tuple[ArrayLike, ArrayLike], values: ArrayLike | None = None) -> None:
        self._prefixes = _prefixes_of(prefixes)
        self._values = None if values is None else _checked_values(values, self._prefixes.num_rows)
        self._build()

    def _build(self) -> None:
        rows4 = np.flatnonzero(self._prefixes.family == 4)
        rows6 = np.flatnonzero(self._prefixes.family == 6)
        _, v4, hi, lo, length = self._prefixes
        halves = np.column_stack((hi[rows6], lo[rows6]))
        self._lpm4: Lpm4
        self._lpm6: Lpm6
        if self._values is not None:
            self._lpm4 = build4(v4[rows4], length[rows4], self._values[rows4])
            self._lpm6 = build6(halves, length[rows6], self._values[rows6])
            self._row_of_id: I32 = np.empty(0, np.int32)
            self._num_ids4 = 0
            return
        self._lpm4, of4 = build4_ids(v4[rows4], length[rows4])
        self._lpm6, of6 = build6_ids(halves, length[rows6])
        # IPv6 ids follow those of IPv4.
        self._num_ids4 = len(of4)
        self._row_of_id = np.concatenate((_rows_of(rows4, of4), _rows_of(rows6, of6)))

    def __len__(self) -> int:
        return self._prefixes.num_rows

    def __repr__(self) -> str:
        return f"PrefixTable({len(self)} prefixes, {'ids' if self._values is None else 'values'})"

    def lookup(self, addresses: AnyTexts | NDArray[Any], *, out: I32 | None = None, parallel: bool = False) -> I32:
        """Find the longest matching prefix of each address.

        Parameters
        ----------
        addresses : (n,) text in the forms of the constructor, (n,) uint32, or (n, 2) uint64 (hi, lo), host byte order
            Null, "" and "-" have no match. Each distinct text of a dictionary is parsed and looked up once.
        out : (n,) int32, optional
            Filled and returned when given.
        parallel : bool
            Use every core.

        Returns
        -------
        (n,) int32
            Values, or ids; -1 where nothing matches.

        Raises
        ------
        AddressError
            Text that is no address: how many rows, and the first five.
        """
        if isinstance(addresses, np.ndarray) and addresses.dtype.kind in "iu":
            if addresses.ndim == 2:
                return self._shifted(lookup6(self._lpm6, addresses, out, parallel))
            return lookup4(self._lpm4, addresses, out, parallel)
        texts, codes = _texts_of(addresses)
        if codes is None:
            found = self._lookup_parsed(parse(texts), parallel)
        else:
            parsed = try_parse(texts)
            if (gathered(codes, parsed.family, ABSENT) == MALFORMED).any():
                parse(_row_texts(texts, codes))  # says which rows
            found = gathered(codes, self._lookup_parsed(parsed, parallel), NONE)
        if out is None:
            return found
        if out.shape != found.shape or out.dtype != np.int32:
            raise AddressError(f"out: pass an int32 array of {len(found)} rows, not {out.dtype} {out.shape}")
        out[...] = found
        return out

    def _lookup_parsed(self, addresses: Addresses, parallel: bool) -> I32:
        is4, is6 = addresses.family == 4, addresses.family == 6
        if is4.all():
            return lookup4(self._lpm4, addresses.v4, None, parallel)
        found = np.full(addresses.num_rows, NONE, np.int32)
        found[is4] = lookup4(self._lpm4, addresses.v4[is4], None, parallel)
        found[is6] = self._shifted(lookup6(self._lpm6, np.column_stack((addresses.hi[is6], addresses.lo[is6])), None, parallel))
        return found

    def _shifted(self, found: I32) -> I32:
        """IPv6 ids behind those of IPv4, in place."""
        if self._num_ids4:
            found[found >= 0] += np.int32(self._num_ids4)
        return found

    def prefix_of(self, ids: ArrayLike) -> list[str | None]:
        """Decode ids that `lookup` gave; None for -1.

        Raises
        ------
        TableError
            A table with values has no ids; or a number that is none of its ids.
        """
        if self._values is not None:
            raise TableError("a table with values answers those, not ids; build it without values to decode its answers")
        asked = np.atleast_1d(np.asarray(ids, np.int64))
        bad = asked[(asked < NONE) | (asked >= len(self._row_of_id))]
        if bad.size:
            raise TableError(f"{bad[0]} is no id of this table; its ids are 0 to {len(self._row_of_id) - 1}")
        texts: list[str | None] = [*format_prefixes(self._prefixes), None]
        return [texts[row] for row in np.append(self._row_of_id, NONE)[asked].tolist()]

    def replace(self, changes: Mapping[str, int | None]) -> PrefixTable:
        """Make a table with some prefixes changed.

        Parameters
        ----------
        changes : prefix -> value, or None to drop it
            New prefixes are added. In a table without values any number stands for "present".

        Raises
        ------
        TableError
            A prefix to drop that is not there.
        """
        changed = parse_prefixes(list(changes))
        rows = {key: i for i, key in enumerate(_keys(self._prefixes))}
        keep = np.ones(len(self), bool)
        values = self._values.copy() if self._values is not None else np.zeros(len(self), np.int32)
        added: list[int] = []
        for i, (key, (text, value)) in enumerate(zip(_keys(changed), changes.items(), strict=True)):
            row = rows.get(key)
            if value is None:
                if row is None:
                    raise TableError(f"{text} is not in the table and cannot be dropped")
                keep[row] = False
            elif row is None:
                added.append(i)
            else:
                values[row] = _checked_values([value], 1)[0]
        new_values = [value for value in changes.values() if value is not None]
        _checked_values(new_values, len(new_values))
        table = object.__new__(PrefixTable)
        table._prefixes = _joined(self._prefixes, keep, changed, added)
        every = list(changes.values())
        joined = np.concatenate((values[keep], np.array([every[i] for i in added], np.int32)))
        table._values = joined if self._values is not None else None
        table._build()
        return table

    # --- files

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the compiled table as one file, to be mapped by `load`.

        Raises
        ------
        OutputError
            It cannot be written.
        """
        arrays: dict[str, NDArray[Any]] = {f"prefixes.{name}": column for name, column in self._prefixes._asdict().items()}
        arrays["row_of_id"] = self._row_of_id
        if self._values is not None:
            arrays["values"] = self._values
        metas = {}
        for name, lpm in (("lpm4", self._lpm4), ("lpm6", self._lpm6)):
            parts, metas[name] = pack(lpm)
            arrays |= {f"{name}.{part}": array for part, array in parts.items()}
        write_bundle(path, arrays, {"format": _FORMAT, "num_ids4": self._num_ids4, **metas})

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> PrefixTable:
        """Map a table that `save` wrote; nothing is rebuilt.

        Raises
        ------
        InputError
            Not such a file, or one of another version.
        """
        arrays, meta = read_bundle(path)
        if meta.get("format") != _FORMAT:
            raise InputError(f"{path}: not a prefix table of this version of fastroute ({meta.get('format')}); save it again")

        def part(prefix: str) -> dict[str, NDArray[Any]]:
            return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}

        table = object.__new__(cls)
        table._prefixes = Prefixes(**part("prefixes."))
        table._values = arrays.get("values")
        table._row_of_id, table._num_ids4 = arrays["row_of_id"], meta["num_ids4"]
        lpm4, lpm6 = unpack(part("lpm4."), meta["lpm4"]), unpack(part("lpm6."), meta["lpm6"])
        assert isinstance(lpm4, Lpm4)
        assert isinstance(lpm6, Lpm6)
        table._lpm4, table._lpm6 = lpm4, lpm6
        return table


def _texts_of(texts: Any) -> tuple[Texts, I32 | None]:
    """Texts in any form as the parser takes them, with codes where they are a dictionary."""
    if not isinstance(texts, pa.Array | pa.ChunkedArray) and not isinstance(texts, np.ndarray | TextBuffers):
        if hasattr(texts, "__arrow_c_stream__"):
            texts = pa.chunked_array(texts)
        elif hasattr(texts, "__arrow_c_array__"):
            texts = pa.array(texts)
    if isinstance(texts, pa.Array | pa.ChunkedArray):
        column = text_column(one_array(texts), "addresses")
        return column.texts, column.codes
    return texts, None


def _prefixes_of(prefixes: Any) -> Prefixes:
    if isinstance(prefixes, Prefixes):
        return prefixes
    if isinstance(prefixes, tuple) and len(prefixes) == 2 and isinstance(prefixes[0], np.ndarray):
        return _prefixes_of_arrays(prefixes[0], np.asarray(prefixes[1]))
    texts, codes = _texts_of(prefixes)
    if codes is None:
        return parse_prefixes(texts)
    if codes.size and codes.min() < 0:
        raise AddressError(f"row {int(np.argmin(codes))}: a prefix is missing")
    family, v4, hi, lo, length = try_parse_prefixes(texts)
    found = Prefixes(family[codes], v4[codes], hi[codes], lo[codes], length[codes])
    if (found.family >= HOST_BITS).any():
        return parse_prefixes(_row_texts(texts, codes))  # says which rows
    return found


def _row_texts(texts: Texts, codes: I32) -> list[str | None]:
    """The text of every row: a dictionary may hold texts that no row has, and its own rows mean nothing to the caller."""
    distinct = [*texts_of(text_buffers(texts)), None]
    return [distinct[code] for code in codes.tolist()]


def _prefixes_of_arrays(addrs: NDArray[Any], length: NDArray[Any]) -> Prefixes:
    n = len(addrs)
    if length.shape != (n,) or length.dtype.kind not in "iu":
        raise TableError(f"lengths of shape {length.shape} and dtype {length.dtype} beside {n} prefixes; pass (n,) integers")
    bits = 128 if addrs.ndim == 2 else 32
    if n and (length.min() < 0 or length.max() > bits):
        raise TableError(f"prefix lengths go from 0 to {bits}; row {int(np.argmax((length < 0) | (length > bits)))} has another")
    none, length = np.zeros(n, np.uint64), length.astype(np.uint8)
    if bits == 32:
        v4 = addrs.astype(np.uint32)
        if (v4 & ~masks4(length)).any() or not np.array_equal(v4, addrs):
            raise TableError("a prefix has bits behind its length, or is beyond 32 bits")
        return Prefixes(np.full(n, 4, np.uint8), v4, none, none, length)
    hi, lo = np.ascontiguousarray(addrs[:, 0], np.uint64), np.ascontiguousarray(addrs[:, 1], np.uint64)
    mask_hi, mask_lo = masks6(length)
    if ((hi & ~mask_hi) | (lo & ~mask_lo)).any():
        raise TableError("a prefix has bits behind its length")
    return Prefixes(np.full(n, 6, np.uint8), np.zeros(n, np.uint32), hi, lo, length)


def _checked_values(values: ArrayLike, n: int) -> I32:
    array = np.asarray(values)
    if array.shape != (n,) or (array.size and array.dtype.kind not in "iu"):
        raise TableError(f"values of shape {array.shape} and dtype {array.dtype} beside {n} prefixes; pass (n,) integers")
    bad = np.flatnonzero((array < 0) | (array > MAX_VALUE))
    if bad.size:
        raise TableError(f"values[{bad[0]}]: {array[bad[0]]} is not in 0 to {MAX_VALUE}")
    return array.astype(np.int32)


def _rows_of(rows: NDArray[np.intp], of_id: I32) -> I32:
    """Rows among the prefixes of one family -> rows among all; -1 stays."""
    found: I32 = np.append(rows, NONE)[of_id].astype(np.int32)
    return found


def _joined(old: Prefixes, keep: NDArray[np.bool_], new: Prefixes, added: list[int]) -> Prefixes:
    """Some of the old prefixes, then some of the new ones."""
    columns = [np.concatenate((getattr(old, name)[keep], getattr(new, name)[added])) for name in Prefixes._fields]
    return Prefixes(*columns)


def _keys(prefixes: Prefixes) -> Sequence[tuple[int, ...]]:
    return list(zip(*(column.tolist() for column in prefixes), strict=True))
