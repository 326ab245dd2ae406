"""Blocks of whole lines in, Arrow columns out: numbers as they are, texts as dictionaries, null where a line reads `-`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from fastroute.io.text_kernels import empty_table, encode_texts, enlarged, find_borders, parse_ints, table_texts

_SPACE, _NEWLINE = 32, 10
_SHOWN = 60


def count_lines(text: bytes) -> int:
    """How many line breaks there are; three times as fast as `bytes.count` where they are as near to each other as in logs."""
    return int(np.count_nonzero(np.frombuffer(text, np.uint8) == _NEWLINE))


class BadLine(Exception):
    """A line that is no record: `line` is its number in the block that was added, from 0; the text says what is wrong with it."""

    def __init__(self, line: int, text: str) -> None:
        super().__init__(text)
        self.line = line


class _Block:
    """Lines, cut into fields. Buffers are used again for the next."""

    def __init__(self) -> None:
        self.words = np.zeros(0, np.uint64)
        self.borders = np.empty(0, np.int32)
        self.num_rows = 0
        self.num_fields = 0

    @property
    def text(self) -> NDArray[np.uint8]:
        return self.words.view(np.uint8)

    def cut(self, lines: bytes, num_fields: int) -> bool:
        """Find the fields of lines; False where one of them has more or fewer, or an empty one."""
        size = len(lines)
        if len(self.words) < size // 8 + 2:
            self.words = np.zeros(size // 8 + 2, np.uint64)
            self.borders = np.empty(size + 2, np.int32)
        text = self.text[:size]
        text[:] = np.frombuffer(lines, np.uint8)
        count = find_borders(text, self.borders)
        self.num_fields, self.num_rows = num_fields, count // num_fields
        borders = self.borders[: count + 1]
        num_lines = int(np.count_nonzero(text == _NEWLINE))
        return (
            num_lines * num_fields == count
            and num_lines + int(np.count_nonzero(text == _SPACE)) == count
            and bool(np.all(text[borders[num_fields::num_fields]] == _NEWLINE))
            and bool(np.all(np.diff(borders) > 1))
        )

    def may_hold(self, line: bytes) -> bool:
        """Whether one of the lines begins like this one."""
        starts = self.borders[: self.num_rows * self.num_fields : self.num_fields] + 1
        for i, byte in enumerate(line[:3]):
            starts = starts[self.text[starts + i] == byte]
        return bool(line) and len(starts) > 0

    def field(self, row: int, at: int) -> str:
        """The text of a field."""
        begin, end = self.borders[row * self.num_fields + at : row * self.num_fields + at + 2].tolist()
        return self.text[begin + 1 : end].tobytes().decode(errors="backslashreplace")


class _Column(Protocol):
    def add(self, block: _Block) -> None: ...

    def array(self) -> pa.Array: ...


class _Ints:
    """A column of numbers."""

    def __init__(self, field: pa.Field, at: int) -> None:
        self._field = field
        self._at = at
        self._dtype: Any = field.type.to_pandas_dtype()
        self._values: list[NDArray[Any]] = []
        self._valid: list[NDArray[np.uint8]] = []

    def add(self, block: _Block) -> None:
        """Read the field of each line."""
        values, valid = np.empty(block.num_rows, self._dtype), np.empty(block.num_rows, np.uint8)
        bad = parse_ints(block.text, block.borders, block.num_fields, self._at, np.uint64(np.iinfo(self._dtype).max), values, valid)
        if bad >= 0:
            raise BadLine(bad, f"{self._field.name} {_shown(block.field(bad, self._at))} is no number of {self._field.type}")
        self._values.append(values)
        self._valid.append(valid)

    def array(self) -> pa.Array:
        """What was added."""
        values, valid = _joined(self._values, self._dtype), _joined(self._valid, np.uint8)
        return pa.Array.from_buffers(self._field.type, len(values), [_bitmap(valid), pa.py_buffer(values)])


class _Texts:
    """A column of texts."""

    def __init__(self, field: pa.Field, at: int) -> None:
        self._field = field
        self._at = at
        self._codes: list[NDArray[np.int32]] = []
        self._table = empty_table()

    def add(self, block: _Block) -> None:
        """Number the field of each line."""
        codes = np.empty(block.num_rows, np.int32)
        row, known = 0, self._table.used.tolist()
        while True:
            row = encode_texts(block.words, block.borders, block.num_fields, self._at, row, self._table, codes)
            if row == block.num_rows:
                break
            begin, end = block.borders[row * block.num_fields + self._at : row * block.num_fields + self._at + 2].tolist()
            self._table = enlarged(self._table, end - begin)
        self._check(block, codes, *known)
        self._codes.append(codes)

    def _check(self, block: _Block, codes: NDArray[np.int32], num_known: int, num_words: int) -> None:
        """Hold new texts to UTF-8, as Arrow wants it."""
        added = self._table.words[num_words : self._table.used[1]].view(np.uint8)
        if not np.any(added >= 0x80):
            return
        for code in range(num_known, int(self._table.used[0])):
            begin = 8 * int(self._table.begins[code])
            try:
                self._table.words.view(np.uint8)[begin : begin + int(self._table.lengths[code])].tobytes().decode()
            except UnicodeDecodeError:
                row = int(np.flatnonzero(codes == code)[0])
                raise BadLine(row, f"{self._field.name} {_shown(block.field(row, self._at))} is no UTF-8") from None

    def array(self) -> pa.Array:
        """What was added, with the distinct texts in the order in which they were met."""
        codes = _joined(self._codes, np.int32)
        offsets, texts = table_texts(self._table)
        dictionary = pa.Array.from_buffers(pa.string(), len(offsets) - 1, [None, pa.py_buffer(offsets), pa.py_buffer(texts)])
        indices = pa.Array.from_buffers(pa.int32(), len(codes), [_bitmap(codes >= 0), pa.py_buffer(codes)])
        return pa.DictionaryArray.from_arrays(indices, dictionary)


class LineColumns:
    """Some fields of many lines as columns.

    Parameters
    ----------
    schema : the fields of a line, in order
    wanted : positions of those to read
    header : a line that is passed over wherever it stands, as files that were put together have it in their midst; empty for none
    """

    def __init__(self, schema: pa.Schema, wanted: Sequence[int], header: bytes) -> None:
        self._schema = schema
        self._header = header
        self._block = _Block()
        self._fields = [schema.field(at) for at in wanted]
        self._num_rows = 0
        self._columns: list[_Column] = [
            _Ints(schema.field(at), at) if pa.types.is_integer(schema.field(at).type) else _Texts(schema.field(at), at) for at in wanted
        ]

    def add(self, lines: bytes) -> int:
        """Take a block of lines; each ends with a line break, LF or CRLF.

        Returns
        -------
        int
            How many lines there were.

        Raises
        ------
        BadLine
            A line that has more or fewer fields, an empty one, or text where a number should be.
        """
        lines = lines.replace(b"\r\n", b"\n") if b"\r" in lines else lines
        places: list[int] | None = None
        if not self._block.cut(lines, len(self._schema)) or self._block.may_hold(self._header):
            records, places = self._kept(lines)
            if not self._block.cut(records, len(self._schema)):
                raise AssertionError("lines of the right fields that cannot be cut")
        try:
            for column in self._columns:
                column.add(self._block)
        except BadLine as bad:
            raise bad if places is None else BadLine(places[bad.line], str(bad)) from None
        self._num_rows += self._block.num_rows
        return self._block.num_rows if places is None else count_lines(lines)

    def table(self) -> pa.Table:
        """All that was added. Text columns are dictionaries."""
        arrays = [column.array() for column in self._columns]
        fields = [pa.field(field.name, array.type) for field, array in zip(self._fields, arrays, strict=True)]
        if not fields:
            return pa.table({"": pa.nulls(self._num_rows)}).select([])
        return pa.Table.from_arrays(arrays, schema=pa.schema(fields))

    def _kept(self, lines: bytes) -> tuple[bytes, list[int]]:
        """The records among lines, and which lines they are, without blank ones and repeated headers."""
        kept, places = [], []
        for number, line in enumerate(lines.split(b"\n")[:-1]):
            if not line or line == self._header:
                continue
            self._check(number, line)
            kept.append(line + b"\n")
            places.append(number)
        return b"".join(kept), places

    def _check(self, number: int, line: bytes) -> None:
        fields = line.split(b" ")
        expected = len(self._schema)
        if len(fields) != expected:
            names = f"{self._schema.names[0]} to {self._schema.names[-1]}"
            raise BadLine(
                number,
                f"{len(fields)} fields instead of {expected}, {names} ({_shown(_readable(line))}); was it cut, or is it of another format?",
            )
        if any(byte < _SPACE for byte in line):
            raise BadLine(number, f"a tab or control character ({_shown(_readable(line))}); one space separates fields")
        if b"" in fields:
            name = self._schema.names[fields.index(b"")]
            raise BadLine(number, f"{name} is empty ({_shown(_readable(line))}); `-` stands for no value, and one space separates fields")


def _joined(parts: list[NDArray[Any]], dtype: Any) -> NDArray[Any]:
    """The parts as one array; they are let go of, so that no more than one column is held twice."""
    joined = np.concatenate(parts) if parts else np.empty(0, dtype)
    parts.clear()
    return joined


def _bitmap(valid: NDArray[Any]) -> pa.Buffer | None:
    return None if valid.all() else pa.py_buffer(np.packbits(valid, bitorder="little"))


def _readable(line: bytes) -> str:
    return line.decode(errors="backslashreplace")


def _shown(text: str) -> str:
    return repr(text if len(text) <= _SHOWN else text[:_SHOWN] + "...")
