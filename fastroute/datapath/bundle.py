"""A compiled snapshot as one file of arrays, mapped into memory by whoever loads it."""

from __future__ import annotations

import os
from typing import Any, get_args, get_origin, get_type_hints

import numpy as np
from numpy.typing import NDArray

from fastroute.arrays import read_bundle, write_bundle
from fastroute.datapath.state import Compiled, Names
from fastroute.errors import InputError

FORMAT = "fastroute compiled snapshot 4"
"""Changes with every change of the arrays' meaning: an older file is compiled anew, never misread."""


def save(compiled: Compiled, path: str | os.PathLike[str]) -> None:
    """Write a compiled snapshot; the file appears whole or not at all."""
    arrays: dict[str, NDArray[Any]] = {}
    scalars: dict[str, Any] = {}
    records: dict[str, Any] = {}
    _flatten("", compiled, arrays, scalars, records)
    write_bundle(path, arrays, {"format": FORMAT, "scalars": scalars, "records": records})


def load(path: str | os.PathLike[str]) -> Compiled:
    """Map a compiled snapshot.

    Raises
    ------
    InputError
        The file is no compiled snapshot, or one of another version.
    """
    arrays, meta = read_bundle(path)
    if meta.get("format") != FORMAT:
        raise InputError(
            f"{path}: made by another version of fastroute ({meta.get('format', 'not a compiled snapshot')}); compile it again"
        )
    return _rebuild("", Compiled, arrays, meta["scalars"], meta["records"])  # type: ignore[no-any-return]


def _flatten(prefix: str, value: Any, arrays: dict[str, NDArray[Any]], scalars: dict[str, Any], records: dict[str, Any]) -> None:
    if isinstance(value, np.recarray):
        records[prefix] = {"names": list(value.dtype.names or ()), "formats": [value.dtype[name].str for name in value.dtype.names or ()]}
        arrays[prefix] = np.frombuffer(value.tobytes(), np.uint8)
    elif isinstance(value, np.ndarray):
        arrays[prefix] = value
    elif hasattr(value, "_fields"):
        for name in value._fields:
            _flatten(f"{prefix}.{name}", getattr(value, name), arrays, scalars, records)
    elif isinstance(value, dict) and all(isinstance(item, Names) for item in value.values()):
        scalars[prefix] = list(value)
        for name, item in value.items():
            _flatten(f"{prefix}.{name}", item, arrays, scalars, records)
    else:
        scalars[prefix] = value


def _rebuild(prefix: str, kind: Any, arrays: dict[str, NDArray[Any]], scalars: dict[str, Any], records: dict[str, Any]) -> Any:
    if prefix in records:
        dtype = np.dtype([*zip(records[prefix]["names"], records[prefix]["formats"], strict=True)], align=True)
        return arrays[prefix].view(dtype).view(np.recarray)
    if prefix in arrays:
        return arrays[prefix]
    if hasattr(kind, "_fields"):
        hints = get_type_hints(kind)
        return kind(**{name: _rebuild(f"{prefix}.{name}", hints[name], arrays, scalars, records) for name in kind._fields})
    if get_origin(kind) is dict and get_args(kind)[1] is Names:
        return {name: _rebuild(f"{prefix}.{name}", Names, arrays, scalars, records) for name in scalars[prefix]}
    return scalars[prefix]
