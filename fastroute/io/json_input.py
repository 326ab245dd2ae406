"""JSON files as bytes, and what is wrong with them in one line: path, place, way out."""

from __future__ import annotations

import gzip
import re
import zlib
from pathlib import Path
from typing import TypeVar

import msgspec

from fastroute.errors import InputError

T = TypeVar("T")

Place = tuple[str | int, ...]
"""A file's path in the snapshot, then the way to a value in it, e.g. `("pods.json", "items", 3, "status", "podIP")`."""
Object = dict[str, msgspec.Raw]
OBJECT: msgspec.json.Decoder[Object] = msgspec.json.Decoder(Object)
ITEMS: msgspec.json.Decoder[list[msgspec.Raw] | None] = msgspec.json.Decoder(list[msgspec.Raw] | None)

_BYTE = re.compile(r" \(byte (\d+)\)$")
_PLACE = re.compile(r" - at `(?:key in )?\$(.*)`$")
_GZIP_MAGIC = b"\x1f\x8b"
_UTF8_BOM = b"\xef\xbb\xbf"
# Windows PowerShell writes redirected output as UTF-16
_UTF16_BOMS = (b"\xff\xfe", b"\xfe\xff")


def read_bytes(path: Path) -> bytes:
    """The file as UTF-8, decompressed, without byte order mark.

    Raises
    ------
    InputError
        A file that cannot be opened, a broken gzip stream, bytes that are no text.
    """
    try:
        data = path.read_bytes()
        if data.startswith(_GZIP_MAGIC):
            data = gzip.decompress(data)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise InputError(f"{path}: not a whole gzip file ({error}); copy it again") from None
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}; check the path and its permissions") from None
    try:
        if data.startswith(_UTF16_BOMS):
            return data.decode("utf-16").encode()
        if not data.isascii():  # msgspec checks the strings that it makes, not those that it skips
            data.decode()
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: byte {error.start}: no {error.encoding.upper()} text ({error.reason}); save the output again") from None
    return data.removeprefix(_UTF8_BOM)


def read_object(path: Path) -> tuple[Object, int]:
    """The top-level keys of a file with their undecoded values, and the number of bytes of its text.

    Raises
    ------
    InputError
        Not JSON, cut short, or not an object.
    """
    data = read_bytes(path)
    try:
        return OBJECT.decode(data), len(data)
    except msgspec.ValidationError:
        raise InputError(
            f"{path}: JSON, but no object with a key that names its content (Vpcs, Reservations, kind: List, ...); "
            "save the command's whole output, without --query or jq"
        ) from None
    except (msgspec.DecodeError, RecursionError) as error:
        raise InputError(_malformed(path, data, error)) from None


def decode(decoder: msgspec.json.Decoder[T], raw: msgspec.Raw | bytes, path: Path, *place: object) -> T:
    """Decode a part of a file.

    Parameters
    ----------
    place : str or int
        Where the part is, as `json_path` takes it; written only into the error.

    Raises
    ------
    InputError
        A value of another type than the command prints, with its path in the file.
    """
    try:
        return decoder.decode(raw)
    except (msgspec.DecodeError, RecursionError) as error:
        text = str(error)
        inner = _PLACE.search(text)
        where = (json_path(*place) + (inner[1] if inner else "")).lstrip(".")
        what = _BYTE.sub("", _PLACE.sub("", text))
        raise InputError(f"{path}: {where}: {what}; save the command's output again, untouched") from None


def json_path(*place: object) -> str:
    """`("items", 3, "status", "podIP")` as `items[3].status.podIP`."""
    out = ""
    for part in place:
        if isinstance(part, int):
            out += f"[{part}]"
        else:
            out += f".{part}" if out else str(part)
    return out


def _malformed(path: Path, data: bytes, error: Exception) -> str:
    if not data.strip():
        return f"{path}: empty; save the command's output again"
    if not data.lstrip().startswith((b"{", b"[")):
        return f"{path}: text, not JSON; save it with `-o json` (kubectl) or `--output json` (aws)"
    text = str(error)
    at = _BYTE.search(text)
    byte = int(at[1]) if at else len(data)
    line = data.count(b"\n", 0, byte) + 1
    column = byte - data.rfind(b"\n", 0, byte)
    what = "the JSON ends here before it is complete" if "truncated" in text else _BYTE.sub("", text)
    return f"{path}: line {line}, column {column} (byte {byte}): {what}; save the command's output again"
