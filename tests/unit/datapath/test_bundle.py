"""A compiled snapshot read back from its file is the one that was written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from fastroute import datapath
from fastroute.arrays import read_bundle, write_bundle
from tests import zoo


def differences(path: str, a: Any, b: Any) -> list[str]:
    if isinstance(a, np.ndarray):
        same = a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
        return [] if same else [path]
    if hasattr(a, "_fields"):
        return [d for name in a._fields for d in differences(f"{path}.{name}", getattr(a, name), getattr(b, name))]
    if isinstance(a, dict):
        return [d for key in {*a, *b} for d in differences(f"{path}[{key}]", a.get(key), b.get(key))]
    return [] if a == b and type(a) is type(b) else [path]


def test_round_trip(tmp_path: Path) -> None:
    compiled = datapath.compile_topology(zoo.everything())
    arrays, meta = datapath.to_arrays(compiled)
    write_bundle(tmp_path / "file", arrays, meta)
    assert differences("", compiled, datapath.from_arrays(*read_bundle(tmp_path / "file"))) == []


def test_compiling_twice_gives_the_same_numbers() -> None:
    assert differences("", *(datapath.compile_topology(zoo.everything()) for _ in range(2))) == []
