"""Integer widths, the one value for absent, and the array bundle: many arrays in one memory-mapped file.

The bundle holds what is built once and read by every worker: compiled snapshots and prefix tables. Its layout::

    byte 0    magic "FRBUNDL2" (8 bytes; the last digit is the version)
    byte 8    uint64 little endian: length of the whole file
    byte 16   uint64 little endian: length of the directory
    byte 24   uint64 little endian: CRC-32 of the directory
    byte 32   directory: JSON {"meta": {...}, "arrays": {name: [dtype, shape, first byte]}}
    ...       the arrays, C order, little endian, each on a 64-byte border
"""

import contextlib
import json
import os
import tempfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastroute.errors import InputError, OutputError

NONE = -1
"""Absent: no row, no match. Unreachable is a Disposition, impossible is an exception."""

ALIGNMENT = 64
"""Bytes; a cache line, and what the widest vector load likes."""


class CodedColumn(NamedTuple):
    """n texts by code: record i has text `chosen[table[codes[i] + shift]]` of the names, and is null where the table says -1."""

    codes: NDArray[Any]  # (n,) signed, any width
    shift: int
    table: NDArray[np.int32]  # code + shift -> position in `chosen`
    chosen: NDArray[np.int64]  # names that occur
    data: NDArray[np.uint8]  # UTF-8 bytes of all names
    offsets: NDArray[Any]  # name i is data[offsets[i] : offsets[i + 1]]


Column = CodedColumn | NDArray[Any]
"""A column to write: texts by code; integers of 32 or 64 bits; booleans as int8. -1 is null."""

_MAGIC = b"FRBUNDL2"
_HEADER_BYTES = 32


def _aligned(position: int) -> int:
    return -(-position // ALIGNMENT) * ALIGNMENT


def write_bundle(path: str | os.PathLike[str], arrays: Mapping[str, NDArray[Any]], meta: Mapping[str, Any]) -> None:
    """Write arrays and a JSON-able `meta` as one file, which appears whole or not at all.

    Parameters
    ----------
    path : path of the file; replaced if it exists
    arrays : name -> array of any shape and a fixed-width numeric or boolean dtype
    meta : whatever `json` writes; comes back equal from `read_bundle`

    Raises
    ------
    OutputError
        The file cannot be written, or an array holds Python objects or text.
    """
    path = Path(path)
    directory: dict[str, list[Any]] = {}
    contiguous: list[tuple[int, NDArray[Any]]] = []
    position = 0
    for name, given in arrays.items():
        array = np.ascontiguousarray(given).reshape(given.shape)
        if array.dtype.kind not in "biuf":
            raise OutputError(f"{path}: array {name!r} of dtype {array.dtype} has no place in a bundle; pass numbers or booleans")
        array = array.astype(array.dtype.newbyteorder("<"), copy=False)
        directory[name] = [array.dtype.str, list(array.shape), position]
        contiguous.append((position, array))
        position = _aligned(position + array.nbytes)
    text = json.dumps({"meta": dict(meta), "arrays": directory}, separators=(",", ":")).encode()
    first = _aligned(_HEADER_BYTES + len(text))
    header = _MAGIC + b"".join(number.to_bytes(8, "little") for number in (first + position, len(text), zlib.crc32(text)))
    try:
        handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(header + text)
                for begin, array in contiguous:
                    file.seek(first + begin)
                    file.write(array.data if array.size else b"")
                file.truncate(first + position)
            umask = os.umask(0)
            os.umask(umask)
            os.chmod(temporary, 0o666 & ~umask)
            os.replace(temporary, path)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(temporary)
            raise
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror or error}") from error


def is_bundle(path: str | os.PathLike[str]) -> bool:
    """Whether a path is a file that begins as bundles of any version do."""
    try:
        with open(path, "rb") as file:
            return file.read(len(_MAGIC))[:-1] == _MAGIC[:-1]
    except OSError:
        return False


def read_bundle(path: str | os.PathLike[str]) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """Map a bundle into memory: name -> read-only array on the file's own pages, and `meta`.

    Raises
    ------
    InputError
        No such file, not a bundle, written by another version, cut short, or with a damaged directory.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            header = file.read(_HEADER_BYTES)
            size = os.fstat(file.fileno()).st_size
            if header[:7] != _MAGIC[:7]:
                raise InputError(f"{path}: not an array bundle (it starts with {header[:8]!r}); write it with fastroute first")
            if header[:8] != _MAGIC:
                raise InputError(f"{path}: array bundle of version {header[7:8]!r}, this fastroute reads {_MAGIC[7:]!r}; write it again")
            length = int.from_bytes(header[8:16], "little")
            if len(header) < _HEADER_BYTES or size != length:
                raise InputError(f"{path}: array bundle of {length} bytes has {size} on disk; copy or write it again")
            text = file.read(min(int.from_bytes(header[16:24], "little"), size))
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from error
    first = _aligned(_HEADER_BYTES + len(text))
    try:
        if zlib.crc32(text) != int.from_bytes(header[24:32], "little"):
            raise ValueError("its checksum is another")
        directory = json.loads(text)
        pages = np.memmap(path, dtype=np.uint8, mode="r")
        arrays = {name: _array_at(pages, dtype, shape, first + begin) for name, (dtype, shape, begin) in directory["arrays"].items()}
        return arrays, directory["meta"]
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: array bundle with a damaged directory ({error}); write it again") from error


def _array_at(pages: NDArray[np.uint8], dtype: str, shape: list[int], begin: int) -> NDArray[Any]:
    """A read-only view of the mapped pages; a plain ndarray, so that every kernel sees one type."""
    kind = np.dtype(dtype)
    num_bytes = kind.itemsize * int(np.prod(shape, dtype=np.int64))
    if begin + num_bytes > pages.size:
        raise ValueError(f"an array ends at byte {begin + num_bytes} of {pages.size}")
    return np.asarray(pages[begin : begin + num_bytes]).view(np.ndarray).view(kind).reshape(shape)
