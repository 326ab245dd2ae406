"""A compiled snapshot read back from its file is the one that was written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fastroute import datapath
from fastroute.arrays import write_bundle
from fastroute.errors import InputError
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
    datapath.save(compiled, tmp_path / "snapshot.fastroute")
    assert differences("", compiled, datapath.load(tmp_path / "snapshot.fastroute")) == []


def test_compiling_twice_gives_the_same_numbers() -> None:
    assert differences("", *(datapath.compile_topology(zoo.everything()) for _ in range(2))) == []


def test_a_file_of_another_version_is_refused(tmp_path: Path) -> None:
    write_bundle(tmp_path / "old", {"a": np.zeros(1)}, {"format": "fastroute compiled snapshot 0"})
    with pytest.raises(InputError, match="compile it again"):
        datapath.load(tmp_path / "old")
