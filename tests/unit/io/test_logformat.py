"""Which fields a line holds."""

import pyarrow as pa
import pytest

from fastroute.errors import InputError
from fastroute.io.logformat import find_format, parse_format, type_of
from fastroute.vocab import DEFAULT_LOG_FIELDS, FLOW_LOG_FIELDS, LOG_FIELDS

RECORD = "2 111122223333 eni-0abc0000000000001 10.0.0.10 10.0.1.20 443 40000 6 10 840 1755684000 1755684060 ACCEPT OK"


def test_the_default_format_is_version_2_in_the_order_of_the_guide() -> None:
    assert " ".join(DEFAULT_LOG_FIELDS) == (
        "version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end action log-status"
    )
    found = find_format(RECORD)
    assert found is not None
    assert (found.names, found.origin) == (DEFAULT_LOG_FIELDS, "default")


def test_format_as_pasted() -> None:
    expected = ("version", "account-id", "pkt-srcaddr")
    for text in (
        "${version} ${account-id} ${pkt-srcaddr}",
        "'${version} ${account-id} ${pkt-srcaddr}'\n",
        '"${version}  ${account-id}\t${pkt-srcaddr}"',
        "${version} \\\n  ${account-id} \\\n  ${pkt-srcaddr}",
        "version account-id pkt-srcaddr",
    ):
        assert parse_format(text) == expected
    every = " ".join(f"${{{field.text_name}}}" for field in LOG_FIELDS.values())
    assert parse_format(every) == tuple(field.text_name for field in LOG_FIELDS.values())
    assert parse_format("${pkt_srcaddr}") == ("pkt_srcaddr",)


def test_fields_to_come_are_text_and_slips_are_refused() -> None:
    assert parse_format("${version} ${quantum-state} ${instance-tag-3}") == ("version", "quantum-state", "instance-tag-3")
    assert type_of("quantum-state") == pa.string()
    for text, message in {
        "${pkt-srcadr}": "unknown field 'pkt-srcadr'; did you mean pkt-srcaddr?",
        "${traffic-pth}": "unknown field 'traffic-pth'; did you mean traffic-path?",
        "$version": r"'\$version' is no field; write it as \$\{version\}",
        "${version},${bytes}": r"is no field; write it as .* with spaces between",
        "${bytes} ${bytes}": "field 'bytes' stands there twice",
        "${az-id} ${az_id}": "field 'az_id' stands there twice",
        "  ": "it names no field",
    }.items():
        with pytest.raises(InputError, match=f"^log format: .*{message}"):
            parse_format(text)


def test_types_of_the_field_table() -> None:
    assert [type_of(name) for name in ("dstport", "traffic-path", "bytes", "start", "az-id")] == [
        pa.int32(), pa.int32(), pa.int64(), pa.int64(), pa.string()
    ]  # fmt: skip
    assert type_of("packets-lost-blackhole") == pa.int64()


def test_header_or_record() -> None:
    names = [field.text_name for field in FLOW_LOG_FIELDS]
    found = find_format(" ".join(reversed(names)))
    assert found is not None
    assert (list(found.names), found.origin) == (names[::-1], "header")
    assert find_format("srcaddr dstaddr quantum-state") is not None
    assert find_format("pkt_srcaddr pkt_dstaddr") is not None
    # a tag that reads like a field makes no header of a record
    assert find_format("5 start bytes eni-1 10.0.0.1", ["version", "asg-tag", "instance-tag", "interface-id", "srcaddr"]) is not None
    assert find_format("srcaddr dstaddr", ["bytes", "packets"]).origin == "header"  # type: ignore[union-attr]
    with pytest.raises(InputError, match="header: field 'bytes' stands there twice"):
        find_format("srcaddr bytes bytes")


def test_a_record_of_another_format_is_not_guessed_at() -> None:
    for line in (
        "",
        "hello",
        RECORD + " vpc-1",
        RECORD.replace("OK", "FINE"),
        RECORD.replace("2 ", "5 ", 1),
        '{"Records": []}',
        "bytes are counted",
    ):
        assert find_format(line) is None
    assert find_format("a b c", ["srcaddr", "dstaddr"]) is None


def test_cloudwatch_exports_have_the_time_in_front() -> None:
    found = find_format(f"2026-08-20T10:00:00.000Z {RECORD}")
    assert found is not None
    assert (found.names, found.origin) == (("timestamp", *DEFAULT_LOG_FIELDS), "default")
    told = find_format("2026-08-20T10:00:00Z 10.0.0.1 10.0.0.2", ["srcaddr", "dstaddr"])
    assert told is not None
    assert told.names == ("timestamp", "srcaddr", "dstaddr")
    assert find_format("2026-08-20T10:00:00Z 10.0.0.1", ["timestamp", "srcaddr"]).names == ("timestamp", "srcaddr")  # type: ignore[union-attr]
