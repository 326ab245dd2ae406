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
    leading: NDArray[np.uint16]  # (82,) bytes that must not be 0: first digits of longer octets; all of layout 0


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
    leading[0] = 0xFFFF
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
        bad = builder.icmp_unsigned("!=", wrong, _I16(0))
        addr = call("llvm.bswap.i32", _I32, builder.bitcast(builder.trunc(octets, ir.VectorType(_I8, 4)), _I32))
        return builder.select(bad, _I64(-1), builder.zext(addr, _I64))

    return types.int64(data, types.int64, types.int64, layouts), generate


@intrinsic
def parse_quads(typing_context, data, begins, lengths, layouts, addrs, at):
    """Four strings of 7 to 15 bytes at once into `addrs[at : at + 4]`; returns 0 if all are quads. Reads 16 bytes each. AVX-512 BW."""

    def generate(context, builder, signature, arguments):
        def pointer(array_type, array, at, kind):
            base = context.make_array(array_type)(context, builder, array).data
            return builder.bitcast(builder.gep(base, [at]), kind.as_pointer())

        def call(name, result, *given):
            kind = ir.FunctionType(result, [g.type for g in given])
            return builder.call(cgutils.get_or_insert_function(builder.module, kind, name), given)

        def joined(parts):
            while len(parts) > 1:
                both = ir.Constant(ir.VectorType(_I32, 2 * parts[0].type.count), list(range(2 * parts[0].type.count)))
                parts = [builder.shuffle_vector(a, b, both) for a, b in zip(parts[::2], parts[1::2], strict=True)]
            return parts[0]

        wide, doubles = ir.VectorType(_I8, 64), ir.VectorType(_I32, 16)
        tables = cgutils.unpack_tuple(builder, arguments[3], 3)
        number, shuffle, leading = zip(signature.args[3].types, tables, strict=True)
        starts, sizes = (cgutils.unpack_tuple(builder, arguments[k], 4) for k in (1, 2))
        text = joined([builder.load(pointer(signature.args[0], arguments[0], start, _BYTES), align=1) for start in starts])
        dots = builder.bitcast(builder.icmp_unsigned("==", text, _splat(wide, 46)), _I64)
        controls, first_digits = [], _I64(0)
        for k, size in enumerate(sizes):
            closing = builder.shl(_I64(1), size)
            inside = builder.and_(builder.lshr(dots, _I64(16 * k)), builder.sub(closing, _I64(1)))
            layout = builder.zext(builder.load(pointer(*number, builder.or_(inside, closing), _I8)), _I64)
            controls.append(builder.load(pointer(*shuffle, builder.mul(layout, _I64(_WIDE)), _BYTES), align=1))
            firsts = builder.zext(builder.load(pointer(*leading, layout, _I16)), _I64)
            first_digits = builder.or_(first_digits, builder.shl(firsts, _I64(16 * k)))
        digits = call("llvm.x86.avx512.pshuf.b.512", wide, builder.sub(text, _splat(wide, 48)), joined(controls))
        pairs = call("llvm.x86.avx512.pmaddubs.w.512", ir.VectorType(_I16, 32), digits, ir.Constant(wide, [0, 100, 10, 1] * 16))
        octets = call("llvm.x86.avx512.pmaddw.d.512", doubles, pairs, _splat(ir.VectorType(_I16, 32), 1))
        no_digit = builder.bitcast(builder.icmp_unsigned(">", digits, _splat(wide, 9)), _I64)
        zeros = builder.bitcast(builder.icmp_unsigned("==", digits, _splat(wide, 0)), _I64)
        too_large = builder.bitcast(builder.icmp_unsigned(">", octets, _splat(doubles, 255)), _I16)
        quads = builder.bitcast(builder.trunc(octets, _BYTES), ir.VectorType(_I32, 4))
        builder.store(
            call("llvm.bswap.v4i32", quads.type, quads), pointer(signature.args[4], arguments[4], arguments[5], quads.type), align=4
        )
        return builder.or_(builder.or_(no_digit, builder.and_(zeros, first_digits)), builder.zext(too_large, _I64))

    return types.int64(data, begins, lengths, layouts, addrs, types.int64), generate


@njit(cache=True, nogil=True, forceinline=True)
def _is_wide(length):
    """7 to 15 in one comparison."""
    return np.uint64(length - 7) <= np.uint64(8)


@njit(cache=True, nogil=True)
def _parse_row(data, offsets, valid, first_bit, layouts, addrs, family, i):
    """One row of `parse4_wide_into`; returns 1 where it is neither absent nor a quad."""
    begin, end = np.int64(offsets[i]), np.int64(offsets[i + 1])
    length = end - begin
    if _is_wide(length) and begin + _WIDE <= data.shape[0] and is_present(valid, first_bit + i):
        addr = parse_quad(data, begin, length, layouts)
    elif is_absent(data, offsets, valid, first_bit, i):
        addr = np.int64(-2)
    else:
        addr = parse4_one(data, begin, end)
    if addr >= 0:
        addrs[i], family[i] = np.uint32(addr), np.uint8(4)
        return 0
    addrs[i], family[i] = np.uint32(0), np.uint8(ABSENT if addr == -2 else MALFORMED)
    return 1 if addr == -1 else 0


@njit(cache=True, nogil=True)
def parse4_wide_into(data, offsets, valid, first_bit, layouts, addrs, family):
    """As `parse4_into`, four rows at a time where all of them are quads, else one by one; rows of other lengths, or within 16 bytes of the
    buffer's end, take the byte loop."""
    num_others = 0
    num_rows = addrs.shape[0]
    i = 0
    while i + 4 <= num_rows:
        a, b, c, d, e = (
            np.int64(offsets[i]),
            np.int64(offsets[i + 1]),
            np.int64(offsets[i + 2]),
            np.int64(offsets[i + 3]),
            np.int64(offsets[i + 4]),
        )
        is_wide = _is_wide(b - a) and _is_wide(c - b) and _is_wide(d - c) and _is_wide(e - d) and d + _WIDE <= data.shape[0]
        if valid.shape[0] > 0:
            for k in range(4):
                is_wide = is_wide and is_present(valid, first_bit + i + k)
        if is_wide and parse_quads(data, (a, b, c, d), (b - a, c - b, d - c, e - d), layouts, addrs, i) == 0:
            family[i : i + 4] = np.uint8(4)
        else:
            for k in range(4):
                num_others += _parse_row(data, offsets, valid, first_bit, layouts, addrs, family, i + k)
        i += 4
    for k in range(i, num_rows):
        num_others += _parse_row(data, offsets, valid, first_bit, layouts, addrs, family, k)
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
