"""Tables and pools as plain arrays, for pickles, shared memory and array bundles; nothing is rebuilt on the way back."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastroute.addr.buffers import frozen
from fastroute.errors import InputError
from fastroute.lpm.pool import Pool4, Pool6
from fastroute.lpm.table4 import Lpm4
from fastroute.lpm.table6 import Lpm6

Table = Lpm4 | Lpm6 | Pool4 | Pool6
_LAYOUT = 3
"""Raised when an encoding changes; an older one is refused rather than misread."""

_KINDS: dict[str, Any] = {kind.__name__: kind for kind in (Lpm4, Lpm6, Pool4, Pool6)}


def pack(table: Table) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """The arrays of a table, uncopied, and a JSON-able rest."""
    fields = table._asdict()
    arrays = {name: field for name, field in fields.items() if isinstance(field, np.ndarray)}
    numbers = {name: int(field) for name, field in fields.items() if name not in arrays}
    return arrays, {"table": type(table).__name__, "layout": _LAYOUT, "numbers": numbers}


def unpack(arrays: Mapping[str, NDArray[Any]], meta: Mapping[str, Any]) -> Table:
    """The table that `pack` took apart, on the same memory.

    Raises
    ------
    InputError
        Not what `pack` gave, or the layout of another version.
    """
    kind = _KINDS.get(str(meta.get("table")))
    if kind is None or meta.get("layout") != _LAYOUT:
        raise InputError(f"no prefix table of layout {_LAYOUT}: {dict(meta)}; build it again")
    try:
        fields = {name: frozen(array) for name, array in arrays.items()}
        return kind(**fields, **meta["numbers"])  # type: ignore[no-any-return]
    except TypeError as error:
        raise InputError(f"a {meta['table']} with other arrays ({error}); build it again") from error


def num_bytes(table: Table) -> int:
    """Memory of a table's arrays."""
    return sum(array.nbytes for array in pack(table)[0].values())
