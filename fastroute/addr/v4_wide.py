"""Dotted quads sixteen bytes at a time.

Reading: the dots of 16 bytes as a bit mask, cut at the string's length and closed by a bit there, name one of 81 layouts: 1 to 3
digits an octet. The layout's shuffle moves the digits of octet i to bytes 4 i + 1 to 4 i + 3, zeros in front; two multiply-adds make
four numbers.
Writing: an octet with its dot is at most four bytes: a look-up and one store of 32 bits put it down, the next one overwrites the rest.
"""
# mypy: ignore-errors

import functools
import itertools
from typing import NamedTuple

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic, overload
from numpy.typing import NDArray

from fastroute.addr.buffers import frozen
from fastroute.addr.v4 import ABSENT, MALFORMED, is_absent, is_present, parse4_one

_WIDE = 16
_I1, _I8, _I16, _I32, _I64 = (ir.IntType(bits) for bits in (1, 8, 16, 32, 64))
_BYTES, _WORDS, _DOUBLES = ir.VectorType(_I8, 16), ir.VectorType(_I16, 8), ir.VectorType(_I32, 4)


class QuadLayouts(NamedTuple):
    """How the digits lie, by dot mask; layout 0 is no dotted quad."""

    number: NDArray[np.uint8]  # (65536,) by dots and closing bit
    shuffle: NDArray[np.uint8]  # (82 * 16,) source byte of each byte, 128 for zero
    leading: NDArray[np.uint16]  # (82,) bytes that must not be 0: first digits of longer octets


@functools.cache
def quad_layouts() -> QuadLayouts:
    """The 81 layouts."""
    number, shuffle, leading = np.zeros(1 << 16, np.uint8), np.full((82, 16), 128, np.uint8), np.zeros(82, np.uint16)
    for layout, lengths in enumerate(itertools.product((1, 2, 3), repeat=4), start=1):
        mask, at = 0, 0
        for octet, length in enumerate(lengths):
            first = 4 * octet + 4 - length
            shuffle[layout, first : 4 * octet + 4] = range(at, at + length)
            leading[layout] |= (length > 1) << first
            at += length
            mask |= 1 << at  # the dot, or behind the last octet the end
            at += 1
        number[mask] = layout
    return QuadLayouts(frozen(number), frozen(shuffle.ravel()), frozen(leading))


def _splat(kind, number):
    return ir.Constant(kind, [number] * kind.count)


@intrinsic
def parse_quad(typing_context, data, begin, length, layouts):
    """The quad of 7 to 15 bytes at `begin`, or -1; reads 16 bytes. x86 only (SSSE3)."""

    def generate(context, builder, signature, arguments):
        def pointer(array_type, array, at, kind):
            base = context.make_array(array_type)(context, builder, array).data
            return builder.bitcast(builder.gep(base, [at]), kind.as_pointer())

        def call(name, result, *given):
            kind = ir.FunctionType(result, [g.type for g in given])
            return builder.call(cgutils.get_or_insert_function(builder.module, kind, name), given)

        tables = cgutils.unpack_tuple(builder, arguments[3], 3)
        number, shuffle, leading = zip(signature.args[3].types, tables, strict=True)
        text = builder.load(pointer(signature.args[0], arguments[0], arguments[1], _BYTES), align=1)
        dots = builder.zext(builder.bitcast(builder.icmp_unsigned("==", text, _splat(_BYTES, 46)), _I16), _I64)
        closing = builder.shl(ir.Constant(_I64, 1), arguments[2])
        mask = builder.or_(builder.and_(dots, builder.sub(closing, ir.Constant(_I64, 1))), closing)
        layout = builder.zext(builder.load(pointer(*number, mask, _I8)), _I64)
        control = builder.load(pointer(*shuffle, builder.mul(layout, ir.Constant(_I64, _WIDE)), _BYTES), align=1)
        first_digits = builder.load(pointer(*leading, layout, _I16))
        digits = call("llvm.x86.ssse3.pshuf.b.128", _BYTES, builder.sub(text, _splat(_BYTES, 48)), control)
        pairs = call("llvm.x86.ssse3.pmadd.ub.sw.128", _WORDS, digits, ir.Constant(_BYTES, [0, 100, 10, 1] * 4))
        octets = call("llvm.x86.sse2.pmadd.wd", _DOUBLES, pairs, _splat(_WORDS, 1))
        no_digit = builder.bitcast(builder.icmp_unsigned(">", digits, _splat(_BYTES, 9)), _I16)
        zeros = builder.bitcast(builder.icmp_unsigned("==", digits, _splat(_BYTES, 0)), _I16)
        too_large = builder.bitcast(builder.icmp_unsigned(">", octets, _splat(_DOUBLES, 255)), ir.IntType(4))
        wrong = builder.or_(builder.or_(no_digit, builder.and_(zeros, first_digits)), builder.zext(too_large, _I16))
        bad = builder.or_(builder.icmp_unsigned("!=", wrong, _I16(0)), builder.icmp_unsigned("==", layout, _I64(0)))
        addr = call("llvm.bswap.i32", _I32, builder.bitcast(builder.trunc(octets, ir.VectorType(_I8, 4)), _I32))
        return builder.select(bad, _I64(-1), builder.zext(addr, _I64))

    return types.int64(data, types.int64, types.int64, layouts), generate


@njit(cache=True, nogil=True)
def parse4_wide_into(data, offsets, valid, first_bit, layouts, addrs, family):
    """As `parse4_into`; strings of other lengths, or within 16 bytes of the buffer's end, take the byte loop."""
    num_others = 0
    last_wide = data.shape[0] - _WIDE
    begin = np.int64(offsets[0]) if offsets.shape[0] > 0 else 0
    for i in range(addrs.shape[0]):
        end = np.int64(offsets[i + 1])
        length = end - begin
        if 7 <= length <= 15 and begin <= last_wide and is_present(valid, first_bit + i):
            addr = parse_quad(data, begin, length, layouts)
        elif is_absent(data, offsets, valid, first_bit, i):
            addr = np.int64(-2)
        else:
            addr = parse4_one(data, begin, end)
        if addr >= 0:
            addrs[i], family[i] = np.uint32(addr), np.uint8(4)
        else:
            addrs[i], family[i] = np.uint32(0), np.uint8(ABSENT if addr == -2 else MALFORMED)
            num_others += addr == -1
        begin = end
    return num_others


@functools.cache
def octet_words() -> NDArray[np.uint64]:
    """(256,) text of an octet and a dot in the low 32 bits, first byte lowest; its length above."""
    texts = [f"{octet}.".encode() for octet in range(256)]
    return frozen([int.from_bytes(text, "little") | len(text) << 32 for text in texts], np.uint64)


def put_word(out, at, word):
    """Store the low 32 bits of a word as four bytes, lowest first."""
    out[at : at + 4] = [word >> np.uint64(8 * k) & np.uint64(255) for k in range(4)]


@intrinsic
def _put_word(typing_context, out, at, word):
    def generate(context, builder, signature, arguments):
        base = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        place = builder.bitcast(builder.gep(base, [arguments[1]]), _I32.as_pointer())
        builder.store(builder.trunc(arguments[2], _I32), place, align=1)
        return context.get_dummy_value()

    return types.void(out, types.int64, types.uint64), generate


@overload(put_word)
def _put_word_compiled(out, at, word):
    return lambda out, at, word: _put_word(out, at, word)  # noqa: PLW0108 - numba wants a function


@njit(cache=True, nogil=True)
def format4_into(addrs, words, out, offsets):
    """Write n quads one behind the other. `out` holds 16 n bytes, `offsets` n + 1 numbers; returns the bytes written."""
    at = np.int64(0)
    for i in range(addrs.shape[0]):
        offsets[i] = at
        addr = np.int64(addrs[i])
        for shift in (24, 16, 8, 0):
            word = words[(addr >> shift) & 255]
            put_word(out, at, word)
            at += np.int64(word >> np.uint64(32))
        at -= 1  # the next row begins on the last dot
    offsets[addrs.shape[0]] = at
    return at
