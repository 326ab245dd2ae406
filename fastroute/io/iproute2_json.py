"""The JSON form (`ip -j`, `ip -j -p`): every object is turned into the words that the text form prints, and read as those."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from fastroute.io.dumps import LineError, LineKind, Note, Words
from fastroute.io.iproute2_text import Reader
from fastroute.io.iproute2_words import ROUTE_DETAILS, parse_int
from fastroute.netns.model import Link

Json = dict[str, Any]

RULE_KEYS = {"table": "lookup", "goto": "goto", "fwmark": "fwmark", "tos": "tos", "ipproto": "ipproto", "protocol": "proto", "dscp": "dscp"}
ROUTE_KEYS = {
    "dev": "dev",
    "table": "table",
    "protocol": "proto",
    "scope": "scope",
    "prefsrc": "src",
    "metric": "metric",
    "tos": "tos",
    "nhid": "nhid",
    "pref": "pref",
}
IGNORED_ROUTE_KEYS = ROUTE_DETAILS | {"metrics", "cache", "uncache", "realm_from", "realm_to", "nh_info", "cacheinfo"}


def read_json(reader: Reader, lines: list[str], first: int) -> int:
    """Read the JSON that begins on a line; return the first line after it.

    A cut text gives the objects that are whole; the line of the cut is reported, with all that follow.
    """
    text = "\n".join(lines[first:])
    try:
        value, end = json.JSONDecoder().raw_decode(text)
    except (ValueError, RecursionError):
        return read_cut_json(reader, lines, first)
    last = first + text.count("\n", 0, end)
    if text[end:].partition("\n")[0].strip():
        reader.report(last + 1, LineKind.UNREADABLE, text[end : end + 200])
    objects = value if isinstance(value, list) else [value]
    if first == last:
        for item in objects:
            read_object(reader, first + 1, item)
        return last + 1
    for item, line in zip(objects, lines_of_objects(text, first) if isinstance(value, list) else iter([first + 1]), strict=False):
        read_object(reader, line, item)
    return last + 1


def read_cut_json(reader: Reader, lines: list[str], first: int) -> int:
    """Read the whole objects before a cut; report the line of the cut, and all after it."""
    text = "\n".join(lines[first:])
    decoder = json.JSONDecoder()
    position = text.find("{")
    while position >= 0:
        try:
            item, end = decoder.raw_decode(text, position)
        except (ValueError, RecursionError):
            break
        read_object(reader, first + text.count("\n", 0, position) + 1, item)
        following = text.find("{", end)
        if following < 0 or text[end:following].strip() != ",":
            position = end
            break
        position = following
    cut = first + text.count("\n", 0, max(position, 0))
    for number in range(cut, len(lines)):
        reader.report(number + 1, LineKind.CUT, f"JSON ends or breaks: {lines[number].strip()}")
    return len(lines)


def lines_of_objects(text: str, first: int) -> Iterator[int]:
    """Yield the line on which each object of the outer list begins."""
    decoder = json.JSONDecoder()
    position = text.find("{")
    while position >= 0:
        yield first + text.count("\n", 0, position) + 1
        _, end = decoder.raw_decode(text, position)
        position = text.find("{", end)


def read_object(reader: Reader, line: int, item: object) -> None:
    """Read one object by its keys; an empty one (iproute2 prints them for what it filtered out) is nothing."""
    if item == {}:
        return
    try:
        if not isinstance(item, dict):
            raise LineError("not an object")
        if "ifname" in item or "addr_info" in item:
            read_link(reader, line, item)
        elif "priority" in item and "src" in item:
            words = Words(" ".join(rule_words(item)))
            reader.add_rule(line, f"{item['priority']}: " + " ".join(iter(words.next, None)))
        elif "id" in item and "dst" not in item:
            reader.notes.append(Note(line, f"next hop object {item['id']}: routes show its hops themselves"))
        elif "dst" in item:
            reader.add_route(line, Words(" ".join(route_words(item))))
        else:
            raise LineError("neither rule, route, link nor address")
    except LineError as error:
        reader.report(line, LineKind.UNREADABLE, f"{error}: {item}")


def word(value: object) -> str:
    """Return a JSON scalar as a word; anything else does not belong where one is."""
    if isinstance(value, bool) or not isinstance(value, str | int) or value == "" or len(str(value).split()) != 1:
        raise LineError(f"{value!r} is not a word")
    return str(value)


def prefix_words(item: Json, key: str) -> str:
    """Join `src` and `srclen`."""
    text = word(item[key])
    length = item.get(f"{key}len")
    return text if length is None else f"{text}/{word(length)}"


def rule_words(item: Json) -> Iterator[str]:
    """Yield a rule in the words of the text form."""
    if "not" in item:
        yield "not"
    yield from ("from", prefix_words(item, "src"))
    if "dst" in item:
        yield from ("to", prefix_words(item, "dst"))
    for key, value in item.items():
        if key == "fwmark":
            yield from ("fwmark", word(value) + (f"/{word(item['fwmask'])}" if "fwmask" in item else ""))
        elif key in ("iif", "oif"):
            yield from (key, word(value))
            if f"{key}_detached" in item:
                yield "[detached]"
        elif key in RULE_KEYS:
            yield from (RULE_KEYS[key], word(value))
        elif key == "l3mdev":
            yield from ("lookup", "[l3mdev-table]")
        elif key in ("suppress_prefixlen", "suppress_prefixlength"):
            yield from ("suppress_prefixlength", word(value))
        elif key in ("sport", "dport"):
            yield from (key, word(value))
        elif key in ("sport_start", "dport_start", "uid_start"):
            kind = key.removesuffix("_start")
            yield from ({"uid": "uidrange"}.get(kind, kind), f"{word(value)}-{word(item.get(f'{kind}_end', value))}")
        elif key in ("action", "nop", "unresolved", "to_tbl"):
            yield word(value) if key == "action" else key
        elif key not in RULE_KEYS_READ_ELSEWHERE:
            yield key


RULE_KEYS_READ_ELSEWHERE = frozenset(
    {"priority", "src", "srclen", "dst", "dstlen", "not", "fwmask", "iif_detached", "oif_detached", "sport_end", "dport_end", "uid_end"}
)


def route_words(item: Json) -> Iterator[str]:
    """Yield a route in the words of the text form."""
    if "type" in item:
        yield word(item["type"])
    yield word(item["dst"])
    if "from" in item or "src" in item:
        yield from ("from", word(item.get("from", item.get("src"))))
    yield from hop_words(item)
    for key, value in item.items():
        if key in ROUTE_KEYS and key != "dev":
            yield from (ROUTE_KEYS[key], word(value))
        elif key == "nexthops":
            if not isinstance(value, list):
                raise LineError("nexthops is not a list")
            for hop in value:
                if not isinstance(hop, dict):
                    raise LineError("next hop is not an object")
                yield "nexthop"
                yield from hop_words(hop)
        elif key not in ("type", "dst", "from", "src", "gateway", "via", "dev", "flags", "weight") and key not in IGNORED_ROUTE_KEYS:
            yield key


def hop_words(item: Json) -> Iterator[str]:
    """Yield gateway, device, weight and flags of a route or of one of its next hops."""
    via = item.get("via")
    if isinstance(via, dict):
        yield from ("via", word(via.get("family", "inet")), word(via.get("host")))
    elif "gateway" in item:
        yield from ("via", word(item["gateway"]))
    if "dev" in item:
        yield from ("dev", word(item["dev"]))
    if "weight" in item:
        yield from ("weight", word(item["weight"]))
    flags = item.get("flags", [])
    if not isinstance(flags, list):
        raise LineError("flags is not a list")
    yield from (word(flag) for flag in flags)


def read_link(reader: Reader, line: int, item: Json) -> None:
    """Read an interface of `ip -j link` or `ip -j addr`, with its addresses."""
    name = word(item.get("ifname"))
    flags = item.get("flags", [])
    if not isinstance(flags, list):
        raise LineError("flags is not a list")
    reader.interface = name
    if "flags" in item or "mtu" in item:
        index = parse_int(word(item["ifindex"]), "index") if "ifindex" in item else -1
        mtu = parse_int(word(item["mtu"]), "mtu") if "mtu" in item else -1
        mac = str(item.get("address", ""))
        master = str(item.get("master", ""))
        reader.links.append(Link(name, index, "UP" in flags, mac, mtu, master, has_carrier="NO-CARRIER" not in flags, source_line=line))
    addresses = item.get("addr_info", [])
    if not isinstance(addresses, list):
        raise LineError("addr_info is not a list")
    for info in addresses:
        if info == {}:
            continue
        if not isinstance(info, dict):
            raise LineError("an address is not an object")
        reader.addrs.append(reader.parse_addr_line(line, Words(" ".join(addr_words(info)))))


def addr_words(info: Json) -> Iterator[str]:
    """Yield an address in the words of the text form."""
    length = word(info.get("prefixlen"))
    yield word(info.get("family"))
    if "address" in info:
        yield from (word(info.get("local")), "peer", f"{word(info['address'])}/{length}")
    else:
        yield f"{word(info.get('local'))}/{length}"
    if "broadcast" in info:
        yield from ("brd", word(info["broadcast"]))
    if "scope" in info:
        yield from ("scope", word(info["scope"]))
    if info.get("secondary"):
        yield "secondary"
