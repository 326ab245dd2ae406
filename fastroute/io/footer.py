"""The footer of a Parquet file as objects that can be changed and written again, and the headers of its pages.

The structures are those of Parquet's Thrift definition. Texts are bytes throughout: files hold what their writers put there. A field that
is not named here would be lost on the way; `read_footer` therefore writes again what it has read, and holds both to be the same bytes.
Source: apache/parquet-format, parquet.thrift.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from thrift.protocol.TBase import TBase
from thrift.protocol.TCompactProtocol import TCompactProtocolAcceleratedFactory
from thrift.Thrift import TType
from thrift.transport.TTransport import TMemoryBuffer

from fastroute.errors import InputError

MAGIC = b"PAR1"
BOOLEAN, INT32, INT64, BYTE_ARRAY = 0, 1, 2, 6
"""Physical types."""
PLAIN, RLE, RLE_DICTIONARY = 0, 3, 8
"""Encodings."""
UNCOMPRESSED, SNAPPY = 0, 1
"""Codecs."""
DATA_PAGE, DICTIONARY_PAGE = 0, 2
OPTIONAL, REPEATED = 1, 2
UTF8 = 0
"""Converted type of text, for readers that know no logical types."""

_PROTOCOL = TCompactProtocolAcceleratedFactory()
_TAIL = 8
_READ_AHEAD = 1 << 16

_B, _I8, _I16, _I32, _I64 = TType.BOOL, TType.BYTE, TType.I16, TType.I32, TType.I64
_TEXT = object()


class UnknownFooter(InputError):
    """The footer holds something that would not survive being written again; the text says what is known of it."""


class Struct(TBase):  # type: ignore[misc]
    """A Thrift structure; absent fields are None."""

    thrift_spec: tuple[Any, ...]

    def __init__(self, **fields: Any) -> None:
        self.__dict__.update(fields)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self.__dict__.items() if value is not None)})"

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and dumps(self) == dumps(other)

    __hash__ = None  # type: ignore[assignment]


def _struct(name: str, fields: dict[int, tuple[str, Any]]) -> Any:
    """A structure of {field id: (name, type)}; a type in a list is a list's, a class a structure's."""
    spec: list[Any] = [None] * (max(fields, default=0) + 1)
    for number, (field, kind) in fields.items():
        ttype, arguments = _type(kind)
        spec[number] = (number, ttype, field, arguments, None)
    names = {field: None for field, _ in fields.values()}
    return type(name, (Struct,), {**names, "thrift_spec": tuple(spec)})


def _type(kind: Any) -> tuple[int, Any]:
    if kind is _TEXT:
        return TType.STRING, "BINARY"
    if isinstance(kind, list):
        ttype, arguments = _type(kind[0])
        return TType.LIST, (ttype, arguments, False)
    if isinstance(kind, type):
        return TType.STRUCT, [kind, kind.thrift_spec]  # type: ignore[attr-defined]
    return kind, None


Empty = _struct("Empty", {})
_TimeUnit = _struct("TimeUnit", {1: ("MILLIS", Empty), 2: ("MICROS", Empty), 3: ("NANOS", Empty)})
_TimeType = _struct("TimeType", {1: ("is_adjusted_to_utc", _B), 2: ("unit", _TimeUnit)})
_DecimalType = _struct("DecimalType", {1: ("scale", _I32), 2: ("precision", _I32)})
_IntType = _struct("IntType", {1: ("bit_width", _I8), 2: ("is_signed", _B)})
LogicalType = _struct(
    "LogicalType",
    {
        1: ("STRING", Empty),
        2: ("MAP", Empty),
        3: ("LIST", Empty),
        4: ("ENUM", Empty),
        5: ("DECIMAL", _DecimalType),
        6: ("DATE", Empty),
        7: ("TIME", _TimeType),
        8: ("TIMESTAMP", _TimeType),
        10: ("INTEGER", _IntType),
        11: ("UNKNOWN", Empty),
        12: ("JSON", Empty),
        13: ("BSON", Empty),
        14: ("UUID", Empty),
        15: ("FLOAT16", Empty),
    },
)
SchemaElement = _struct(
    "SchemaElement",
    {
        1: ("type", _I32),
        2: ("type_length", _I32),
        3: ("repetition_type", _I32),
        4: ("name", _TEXT),
        5: ("num_children", _I32),
        6: ("converted_type", _I32),
        7: ("scale", _I32),
        8: ("precision", _I32),
        9: ("field_id", _I32),
        10: ("logical_type", LogicalType),
    },
)
Statistics = _struct(
    "Statistics",
    {
        1: ("max", _TEXT),
        2: ("min", _TEXT),
        3: ("null_count", _I64),
        4: ("distinct_count", _I64),
        5: ("max_value", _TEXT),
        6: ("min_value", _TEXT),
        7: ("is_max_value_exact", _B),
        8: ("is_min_value_exact", _B),
        9: ("nan_count", _I64),
    },
)
KeyValue = _struct("KeyValue", {1: ("key", _TEXT), 2: ("value", _TEXT)})
PageEncodingStats = _struct("PageEncodingStats", {1: ("page_type", _I32), 2: ("encoding", _I32), 3: ("count", _I32)})
SizeStatistics = _struct(
    "SizeStatistics",
    {
        1: ("unencoded_byte_array_data_bytes", _I64),
        2: ("repetition_level_histogram", [_I64]),
        3: ("definition_level_histogram", [_I64]),
    },
)
ColumnMetaData = _struct(
    "ColumnMetaData",
    {
        1: ("type", _I32),
        2: ("encodings", [_I32]),
        3: ("path_in_schema", [_TEXT]),
        4: ("codec", _I32),
        5: ("num_values", _I64),
        6: ("total_uncompressed_size", _I64),
        7: ("total_compressed_size", _I64),
        8: ("key_value_metadata", [KeyValue]),
        9: ("data_page_offset", _I64),
        10: ("index_page_offset", _I64),
        11: ("dictionary_page_offset", _I64),
        12: ("statistics", Statistics),
        13: ("encoding_stats", [PageEncodingStats]),
        14: ("bloom_filter_offset", _I64),
        15: ("bloom_filter_length", _I32),
        16: ("size_statistics", SizeStatistics),
    },
)
_EncryptionWithKey = _struct("EncryptionWithColumnKey", {1: ("path_in_schema", [_TEXT]), 2: ("key_metadata", _TEXT)})
_CryptoMetaData = _struct("ColumnCryptoMetaData", {1: ("with_footer_key", Empty), 2: ("with_column_key", _EncryptionWithKey)})
ColumnChunk = _struct(
    "ColumnChunk",
    {
        1: ("file_path", _TEXT),
        2: ("file_offset", _I64),
        3: ("meta_data", ColumnMetaData),
        4: ("offset_index_offset", _I64),
        5: ("offset_index_length", _I32),
        6: ("column_index_offset", _I64),
        7: ("column_index_length", _I32),
        8: ("crypto_metadata", _CryptoMetaData),
        9: ("encrypted_column_metadata", _TEXT),
    },
)
SortingColumn = _struct("SortingColumn", {1: ("column_idx", _I32), 2: ("descending", _B), 3: ("nulls_first", _B)})
RowGroup = _struct(
    "RowGroup",
    {
        1: ("columns", [ColumnChunk]),
        2: ("total_byte_size", _I64),
        3: ("num_rows", _I64),
        4: ("sorting_columns", [SortingColumn]),
        5: ("file_offset", _I64),
        6: ("total_compressed_size", _I64),
        7: ("ordinal", _I16),
    },
)
ColumnOrder = _struct("ColumnOrder", {1: ("TYPE_ORDER", Empty), 2: ("IEEE_754_TOTAL_ORDER", Empty)})
_AesGcm = _struct("AesGcm", {1: ("aad_prefix", _TEXT), 2: ("aad_file_unique", _TEXT), 3: ("supply_aad_prefix", _B)})
_EncryptionAlgorithm = _struct("EncryptionAlgorithm", {1: ("AES_GCM_V1", _AesGcm), 2: ("AES_GCM_CTR_V1", _AesGcm)})
FileMetaData = _struct(
    "FileMetaData",
    {
        1: ("version", _I32),
        2: ("schema", [SchemaElement]),
        3: ("num_rows", _I64),
        4: ("row_groups", [RowGroup]),
        5: ("key_value_metadata", [KeyValue]),
        6: ("created_by", _TEXT),
        7: ("column_orders", [ColumnOrder]),
        8: ("encryption_algorithm", _EncryptionAlgorithm),
        9: ("footer_signing_key_metadata", _TEXT),
    },
)
DataPageHeader = _struct(
    "DataPageHeader",
    {
        1: ("num_values", _I32),
        2: ("encoding", _I32),
        3: ("definition_level_encoding", _I32),
        4: ("repetition_level_encoding", _I32),
        5: ("statistics", Statistics),
    },
)
DictionaryPageHeader = _struct("DictionaryPageHeader", {1: ("num_values", _I32), 2: ("encoding", _I32), 3: ("is_sorted", _B)})
PageHeader = _struct(
    "PageHeader",
    {
        1: ("type", _I32),
        2: ("uncompressed_page_size", _I32),
        3: ("compressed_page_size", _I32),
        4: ("crc", _I32),
        5: ("data_page_header", DataPageHeader),
        7: ("dictionary_page_header", DictionaryPageHeader),
    },
)


def dumps(structure: Any) -> bytes:
    """A structure in Thrift's compact form."""
    buffer = TMemoryBuffer()
    structure.write(_PROTOCOL.getProtocol(buffer))
    return bytes(buffer.getvalue())


def loads(kind: Any, data: bytes) -> Any:
    """A structure out of its compact form; fields that are not known are passed over."""
    structure = kind()
    structure.read(_PROTOCOL.getProtocol(TMemoryBuffer(data)))
    return structure


def read_footer(path: Path) -> tuple[Any, int]:
    """Read the footer of a file.

    Returns
    -------
    FileMetaData
    int
        Where it begins: the end of the pages.

    Raises
    ------
    UnknownFooter
        It holds fields of a later format, or is not written as Thrift's own libraries write it.
    OSError
    """
    with path.open("rb") as file:
        size = file.seek(0, 2)
        ahead = min(size, _READ_AHEAD)
        file.seek(size - ahead)
        tail = file.read(ahead)
        if len(tail) < _TAIL or tail[-4:] != MAGIC:
            raise UnknownFooter("it does not end as a Parquet file in clear text")
        length = int.from_bytes(tail[-8:-4], "little")
        if length + _TAIL > size:
            raise UnknownFooter("its footer is longer than the file")
        if length + _TAIL > ahead:
            file.seek(size - _TAIL - length)
            data = file.read(length)
        else:
            data = tail[-_TAIL - length : -_TAIL]
    try:
        metadata = loads(FileMetaData, data)
        again = dumps(metadata)
    except Exception as error:
        raise UnknownFooter(f"its footer cannot be read ({error or type(error).__name__})") from error
    if again != data:
        raise UnknownFooter("its footer holds fields that would be lost")
    return metadata, size - _TAIL - length


def footer_bytes(metadata: Any) -> bytes:
    """The end of a file: footer, its length, the magic number."""
    data = dumps(metadata)
    return data + len(data).to_bytes(4, "little") + MAGIC
