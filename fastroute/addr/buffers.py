"""Strings as Arrow lays them out: bytes, offsets, validity bits. The form in which text enters and leaves this room."""

import math
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from fastroute.errors import AddressError

Texts: TypeAlias = "TextBuffers | Sequence[str | None] | NDArray[Any]"


class TextBuffers(NamedTuple):
    """n strings: row i is `data[offsets[i]:offsets[i + 1]]`, absent where bit `first_bit + i` of `valid` is 0."""

    data: NDArray[np.uint8]  # (num_bytes,)
    offsets: NDArray[Any]  # (n + 1,) int32 or int64
    valid: NDArray[np.uint8] = np.empty(0, np.uint8)  # bits, lowest first; empty: every row is there
    first_bit: int = 0

    @property
    def num_rows(self) -> int:
        return max(int(self.offsets.shape[0]) - 1, 0)

    def row(self, index: int) -> str:
        """One string, for messages; bytes that are not UTF-8 are shown escaped."""
        return bytes(self.data[self.offsets[index] : self.offsets[index + 1]]).decode(errors="backslashreplace")


def frozen(array: NDArray[Any], dtype: Any = None) -> NDArray[Any]:
    """C-ordered, read-only, of `dtype`: the one mix of flags that kernels are compiled for. Copies only if it must."""
    view = np.ascontiguousarray(array, dtype).view(np.ndarray)[:]
    view.flags.writeable = False
    return view


def text_buffers(texts: Texts) -> TextBuffers:
    """Strings of any form as buffers.

    Parameters
    ----------
    texts : (n,) TextBuffers, or a sequence of str and None, or a NumPy array of str, bytes or objects
        TextBuffers pass with their arrays frozen and uncopied; offsets that are not int32 become int64.

    Raises
    ------
    AddressError
        A row that is neither text nor None.
    """
    if isinstance(texts, TextBuffers):
        offsets = frozen(texts.offsets, None if texts.offsets.dtype == np.int32 else np.int64)
        return TextBuffers(frozen(texts.data, np.uint8), offsets, frozen(texts.valid, np.uint8), texts.first_bit)
    if isinstance(texts, np.ndarray):
        if texts.ndim != 1:
            raise AddressError(f"texts of shape {texts.shape}: pass one dimension")
        if texts.dtype.kind in "SU":
            return _fixed_width_buffers(texts)
        texts = texts.tolist()
    if isinstance(texts, str):
        raise AddressError(f"{texts!r} is one string: pass a list of them")
    return _sequence_buffers(texts)


def _fixed_width_buffers(texts: NDArray[Any]) -> TextBuffers:
    """NumPy pads fixed-width strings with zero bytes: drop them."""
    encoded = np.char.encode(texts, "utf-8") if texts.dtype.kind == "U" else texts
    width = max(encoded.dtype.itemsize, 1)
    lengths = np.strings.str_len(encoded) if encoded.size else np.empty(0, np.int64)
    cells = np.ascontiguousarray(encoded).view(np.uint8).reshape(encoded.size, width)
    data = cells[np.arange(width) < lengths[:, None]]
    return TextBuffers(frozen(data), frozen(offsets_of(lengths)))


def _sequence_buffers(texts: Iterable[object]) -> TextBuffers:
    rows: list[bytes] = []
    absent: list[int] = []
    for i, text in enumerate(texts):
        if isinstance(text, str):
            rows.append(text.encode(errors="surrogatepass"))
        elif isinstance(text, bytes):
            rows.append(text)
        elif text is None or (isinstance(text, float) and math.isnan(text)):  # pandas writes absent text as NaN
            rows.append(b"")
            absent.append(i)
        else:
            raise AddressError(f"row {i}: {text!r} is a {type(text).__name__}, not text")
    lengths = np.fromiter(map(len, rows), np.int64, len(rows))
    valid = np.empty(0, np.uint8)
    if absent:
        bits = np.ones(len(rows), np.uint8)
        bits[absent] = 0
        valid = np.packbits(bits, bitorder="little")
    return TextBuffers(frozen(np.frombuffer(b"".join(rows), np.uint8)), frozen(offsets_of(lengths)), frozen(valid))


def offsets_of(lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """(n,) lengths -> (n + 1,) offsets."""
    offsets = np.zeros(lengths.shape[0] + 1, np.int64)
    np.cumsum(lengths, out=offsets[1:])
    return offsets
