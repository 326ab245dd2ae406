"""A compiled snapshot as arrays with names, for a file that whoever loads it maps into memory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args, get_origin, get_type_hints

import numpy as np
from numpy.typing import NDArray

from fastroute.datapath.state import Compiled, Names

FORMAT = 6
"""Changes with every change of the arrays' meaning: an older file is compiled anew, never misread. Their names and types need no such
care: a file holds a digest of those."""


def to_arrays(compiled: Compiled) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """Take a compiled snapshot apart: arrays by name, and what `from_arrays` needs beside them, which JSON can hold."""
    arrays: dict[str, NDArray[Any]] = {}
    scalars: dict[str, Any] = {}
    records: dict[str, Any] = {}
    _flatten("", compiled, arrays, scalars, records)
    return arrays, {"scalars": scalars, "records": records}


def from_arrays(arrays: Mapping[str, NDArray[Any]], meta: Mapping[str, Any]) -> Compiled:
    """Put a compiled snapshot together from its arrays, which stay where they are."""
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


def _rebuild(prefix: str, kind: Any, arrays: Mapping[str, NDArray[Any]], scalars: dict[str, Any], records: dict[str, Any]) -> Any:
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
