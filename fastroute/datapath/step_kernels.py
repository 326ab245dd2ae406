"""The first hop, many flows at once: from two addresses to the rows of both ends and the exit that the source's node chooses.

An end is a place: for IPv4 the number of its interval in address order, which a rank word gives (see `lpm.rank`; `root` holds 2**16
entries a space), for IPv6 its row. The last place is nobody's. Ends that differ in nothing that routes share a group; a flow's answer is::

    source class, destination class -> `choices` -> exit    and, before it, what makes one of four `Override`s

so that what is far in memory is read once an end, and all else stays near::

    places         bits 0..31   row + 1           bits 32..63   group
    sources        bits 0..30   node + 1          bit 31        the end is rare: a link, or loopback      bits 32..63  first choice
    interfaces     two for each group: its own + 1, its node's primary one + 1
    destinations   bits 0..31   node + 1          bits 32..55   destination class       bits 56..63  End flags
    choices        for each source class: an exit for each Override, then one for each destination class; bit 15: a broadcast address
    exits          bits 0..14   rule priority + 1      bits 15..29   table + 1      bits 30..31   0 no interface, 1 its own, 2 the primary
"""
# mypy: ignore-errors

from enum import IntEnum

import numpy as np
from numba import njit

from fastroute.lpm.lanes import (
    NUM_LANES,
    choose,
    gather16,
    gather32,
    gather64,
    less,
    load_lanes,
    nonzero_bits,
    note_rows,
    popcount,
    store_lanes,
)
from fastroute.lpm.rank import interval_of

RARE = 1 << 31
IS_BROADCAST = 1 << 15
NO_IDENTITY = 0xFFFFFFFF
STAGE = NUM_LANES
"""Flows that go through a stage together. Loops of one block, yet loops: between them what comes next lies in the first-level cache. In one
piece the same lanes were spilled all over and took a fifth longer; more flows a stage were no faster, and asking for lines ahead slower."""


class Override(IntEnum):
    """What goes before a class's exit."""

    LOCAL = 0
    TO_POD = 1
    AGENT = 2
    NOTHING = 3


NUM_OVERRIDES = 4


class End(IntEnum):
    """Flags of a destination."""

    NODE_LOCAL = 1
    POD_ROUTE = 2
    AGENT = 4
    NOTHING = 8
    """No way leads to such an end, or none is modelled."""
    LOOPBACK = 16
    NETNS = 32
    """A process sits behind it, with a loopback of its own."""


@njit(cache=True, nogil=True)
def largest_space(spaces):
    """Largest number + 1 as unsigned, where -1 is 0 and what is below it is large: one pass for both ends of a range."""
    largest = np.uint32(0)
    for i in range(spaces.shape[0]):
        largest = max(largest, np.uint32(np.int64(spaces[i]) + 1 & 0xFFFFFFFF))
    return largest


@njit(cache=True, nogil=True)
def places4(step, spaces, addrs, rows, found):
    """Place of the address of each of `rows`, of all where there are none; behind its link if it is one."""
    root, words, places, links = step.root, step.words, step.ends4.places, step.links
    nobody = places.shape[0] - 1
    for k in range(found.shape[0]):
        i = rows[k] if rows.shape[0] else np.int64(k)
        space, addr, place = np.int64(spaces[i]), np.int64(addrs[i]), np.int64(nobody)
        for _ in range(2):
            if space < 0:
                break
            entry = np.int64(root[(space << 16) + (addr >> 16)])
            slot = (addr & 0xFFFF) >> (entry & 31)
            place = interval_of(words[(entry >> 5) + (slot >> 5)], slot & 31)
            space = np.int64(links[places[place] & np.uint64(0xFFFFFFFF)])
        found[k] = place


@njit(cache=True, nogil=True, forceinline=True)
def override_of(is_near, is_same_pod, flags, is_broadcast):
    """What goes before the exit of the destination's class, -1 for nothing; in the order in which a node tries its rules."""
    if flags & End.NOTHING.value or is_same_pod:  # a pod's own traffic does not leave it
        return np.int64(Override.NOTHING.value)
    if is_near and flags & End.NODE_LOCAL.value:
        return np.int64(Override.LOCAL.value)
    if is_broadcast:
        return np.int64(-1)
    if is_near and flags & End.POD_ROUTE.value:
        return np.int64(Override.TO_POD.value)
    if flags & End.AGENT.value:
        return np.int64(Override.AGENT.value)
    return np.int64(-1)


@njit(cache=True, nogil=True)
def plain_hops(step, ends, src_places, dst_places, rows, out):
    """Answers of flows between places into `rows` of `out`, into all where there are none. Look-ups are made in this one loop: numba
    counts the references of arrays that are passed on, which took 60 times as long."""
    places, identities = ends.places, ends.identities
    sources, interfaces, destinations, choices, exits = step.sources, step.interfaces, step.destinations, step.choices, step.exits
    src_row, dst_row, rule_priority, table, out_eni = out.src_row, out.dst_row, out.rule_priority, out.table, out.out_eni
    low = np.uint64(0xFFFFFFFF)
    for k in range(src_places.shape[0]):
        i = rows[k] if rows.shape[0] else np.int64(k)
        src_word, dst_word = places[src_places[k]], places[dst_places[k]]
        src_group, dst_group = src_word >> np.uint64(32), dst_word >> np.uint64(32)
        src_flags, flags = np.int64(destinations[src_group] >> np.uint64(56)), np.int64(destinations[dst_group] >> np.uint64(56))
        source, destination = sources[src_group], destinations[dst_group]
        node, first = np.int64(source & np.uint64(RARE - 1)), np.int64(source >> np.uint64(32))
        choice = np.int64(choices[first + NUM_OVERRIDES + np.int64((destination >> np.uint64(32)) & np.uint64(0xFFFFFF))])
        is_near = node != 0 and node == np.int64(destination & np.uint64(RARE - 1))
        identity = identities[src_places[k]]
        is_same_pod = is_near and identity != NO_IDENTITY and identity == identities[dst_places[k]]
        override = override_of(is_near, is_same_pod, flags, choice & IS_BROADCAST != 0)
        if src_flags & End.LOOPBACK.value and flags & End.NETNS.value:  # loopback means the other end
            src_word, override = dst_word, np.int64(Override.NOTHING.value)
        elif flags & End.LOOPBACK.value and src_flags & End.NETNS.value:
            dst_word, override = src_word, np.int64(Override.NOTHING.value)
        if override >= 0:
            choice = np.int64(choices[first + override])
        found = np.int64(exits[choice & (IS_BROADCAST - 1)])
        which = found >> 30
        src_row[i] = np.int64(src_word & low) - 1
        dst_row[i] = np.int64(dst_word & low) - 1
        rule_priority[i] = (found & 0x7FFF) - 1
        table[i] = ((found >> 15) & 0x7FFF) - 1
        out_eni[i] = (np.int64(interfaces[2 * np.int64(src_group) + which - 1]) if which else np.int64(0)) - 1


@njit(cache=True, nogil=True)
def gather_hops4(step, spaces, src, dst, out, rare):  # noqa: PLR0915 - one loop, so that no array is passed on
    """`places4` and `plain_hops` in one, 64 flows at a time; needs AVX-512. Returns how many flows it has left, noted in `rare`."""
    root, words, places, identities = step.root, step.words, step.ends4.places, step.ends4.identities
    sources, interfaces, destinations, choices, exits = step.sources, step.interfaces, step.destinations, step.choices, step.exits
    src_row, dst_row, rule_priority, table, out_eni = out.src_row, out.dst_row, out.rule_priority, out.table, out.out_eni
    num_spaces, nobody, num_rare = root.shape[0] >> 16, places.shape[0] - 1, 0
    scratch = np.empty((4, STAGE), np.uint32)  # in the first-level cache
    src_places, dst_places, src_groups, dst_groups = scratch[0], scratch[1], scratch[2], scratch[3]
    whole = src.shape[0] // NUM_LANES * NUM_LANES
    for begin in range(0, whole, STAGE):
        end = min(begin + STAGE, whole)
        for at in range(begin, end, NUM_LANES):
            space = load_lanes(spaces, at)
            is_known = less(space, num_spaces)
            base = choose(is_known, space << 16, 0)
            addr = load_lanes(src, at)
            entry = gather32(root, base + (addr >> 16))
            slot = (addr & 0xFFFF) >> (entry & 31)
            starts, count = gather64(words, (entry >> 5) + (slot >> 5))
            place = choose(is_known, count + popcount(starts & ((2 << (slot & 31)) - 1)) - 1, nobody)
            store_lanes(src_places, at - begin, place)
            addr = load_lanes(dst, at)
            entry = gather32(root, base + (addr >> 16))
            slot = (addr & 0xFFFF) >> (entry & 31)
            starts, count = gather64(words, (entry >> 5) + (slot >> 5))
            place = choose(is_known, count + popcount(starts & ((2 << (slot & 31)) - 1)) - 1, nobody)
            store_lanes(dst_places, at - begin, place)
        for at in range(begin, end, NUM_LANES):
            row, group = gather64(places, load_lanes(src_places, at - begin))
            store_lanes(src_row, at, row - 1)
            store_lanes(src_groups, at - begin, group)
            row, group = gather64(places, load_lanes(dst_places, at - begin))
            store_lanes(dst_row, at, row - 1)
            store_lanes(dst_groups, at - begin, group)
        for at in range(begin, end, NUM_LANES):
            src_group = load_lanes(src_groups, at - begin)
            node, first = gather64(sources, src_group)
            dst_node, about = gather64(destinations, load_lanes(dst_groups, at - begin))
            flags = about >> 24
            choice = gather16(choices, first + (about & 0xFFFFFF) + NUM_OVERRIDES) & 0xFFFF
            near = choose(node ^ dst_node, 0, node)
            # numbers of `override_of` + 1, the last that holds goes first
            override = choose(flags & End.AGENT.value, Override.AGENT.value + 1, 0)
            override = choose(choose(near, flags & End.POD_ROUTE.value, 0), Override.TO_POD.value + 1, override)
            override = choose(choice & IS_BROADCAST, 0, override)
            override = choose(choose(near, flags & End.NODE_LOCAL.value, 0), Override.LOCAL.value + 1, override)
            if nonzero_bits(override) != 0:
                choice = choose(override, gather16(choices, first + choose(override, override - 1, 0)) & 0xFFFF, choice)
            ends_here = flags & End.NOTHING.value
            if nonzero_bits(near) != 0:
                src_place, dst_place = load_lanes(src_places, at - begin), load_lanes(dst_places, at - begin)
                identity = gather32(identities, src_place)
                is_same_pod = choose(identity ^ gather32(identities, dst_place), 0, less(identity, NO_IDENTITY))
                ends_here = choose(near, ends_here | is_same_pod, ends_here)
            found = gather32(exits, choose(ends_here, 0, choice & (IS_BROADCAST - 1)))
            which = found >> 30
            store_lanes(rule_priority, at, (found & 0x7FFF) - 1)
            store_lanes(table, at, ((found >> 15) & 0x7FFF) - 1)
            interface = gather32(interfaces, (src_group << 1) + (which >> 1))
            store_lanes(out_eni, at, choose(which, interface, 0) - 1)
            num_rare = note_rows(rare, num_rare, at, nonzero_bits((node | dst_node) & RARE))
    for i in range(whole, src.shape[0]):
        rare[num_rare] = i
        num_rare += 1
    return num_rare
