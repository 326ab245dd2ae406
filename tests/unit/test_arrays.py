"""The array bundle: what goes in comes out, whole or not at all."""

import json
import os
import zlib

import numpy as np
import pytest

from fastroute.arrays import ALIGNMENT, read_bundle, write_bundle
from fastroute.errors import InputError, OutputError

ARRAYS = {
    "words": np.arange(5, dtype=np.uint64),
    "pairs": np.arange(6, dtype=np.int32).reshape(3, 2),
    "none": np.empty((0, 2), np.uint64),
    "one": np.array(7, np.int64),
    "flags": np.array([True, False]),
    "strided": np.arange(10, dtype=np.float64)[::3],
    "big endian": np.array([1, 2], ">u4"),
}


def test_everything_comes_back(tmp_path):
    path = tmp_path / "bundle"
    write_bundle(path, ARRAYS, {"name": "é", "list": [1, None]})
    arrays, meta = read_bundle(path)
    assert meta == {"name": "é", "list": [1, None]}
    assert list(arrays) == list(ARRAYS)
    for name, array in arrays.items():
        assert np.array_equal(array, ARRAYS[name])
        assert array.shape == ARRAYS[name].shape
        assert array.dtype == ARRAYS[name].dtype.newbyteorder("=")
        assert type(array) is np.ndarray
        assert not array.flags.writeable
        assert array.size == 0 or array.ctypes.data % ALIGNMENT == 0
    assert os.listdir(tmp_path) == ["bundle"]


def test_an_empty_bundle(tmp_path):
    write_bundle(tmp_path / "bundle", {}, {})
    assert read_bundle(tmp_path / "bundle") == ({}, {})


def test_a_reader_keeps_the_file_that_was_replaced(tmp_path):
    path = tmp_path / "bundle"
    write_bundle(path, {"a": np.arange(3)}, {})
    before = read_bundle(path)[0]["a"]
    write_bundle(path, {"a": np.arange(3) + 10}, {})
    assert before.tolist() == [0, 1, 2]
    assert read_bundle(path)[0]["a"].tolist() == [10, 11, 12]


@pytest.mark.parametrize("cut", [0, 5, 20, 40, -1])
def test_a_truncated_file_is_refused(tmp_path, cut):
    path = tmp_path / "bundle"
    write_bundle(path, ARRAYS, {})
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(InputError, match=str(path)):
        read_bundle(path)


def test_foreign_files_are_refused(tmp_path):
    path = tmp_path / "bundle"
    path.write_bytes(b"PAR1" + bytes(100))
    with pytest.raises(InputError, match="not an array bundle"):
        read_bundle(path)
    write_bundle(path, ARRAYS, {})
    path.write_bytes(b"FRBUNDL9" + path.read_bytes()[8:])
    with pytest.raises(InputError, match="version b'9'"):
        read_bundle(path)
    with pytest.raises(InputError, match="cannot be read"):
        read_bundle(tmp_path / "absent")


def test_a_directory_that_points_outside_is_refused(tmp_path):
    path = tmp_path / "bundle"
    write_bundle(path, {"a": np.arange(3)}, {})
    content = path.read_bytes()
    shape = json.dumps([3]).encode()
    assert content.count(shape) == 1
    path.write_bytes(content.replace(shape, b"[9]"))
    with pytest.raises(InputError, match=r"damaged directory .*checksum"):
        read_bundle(path)
    end = 32 + int.from_bytes(content[16:24], "little")
    directory = content[32:end].replace(shape, b"[9]")
    path.write_bytes(content[:24] + zlib.crc32(directory).to_bytes(8, "little") + directory + content[end:])
    with pytest.raises(InputError, match=r"damaged directory .*ends at byte"):
        read_bundle(path)


def test_what_cannot_be_written_leaves_nothing(tmp_path):
    with pytest.raises(OutputError, match="array 'names'"):
        write_bundle(tmp_path / "bundle", {"names": np.array(["a"])}, {})
    with pytest.raises(OutputError, match="cannot be written"):
        write_bundle(tmp_path / "absent" / "bundle", {}, {})
    with pytest.raises(TypeError):
        write_bundle(tmp_path / "bundle", {}, {"set": {1}})
    assert os.listdir(tmp_path) == []
