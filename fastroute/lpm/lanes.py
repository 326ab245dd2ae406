"""64 addresses side by side: a numba type for 64 unsigned 32-bit lanes, and gathers, which LLVM never chooses by itself.

LLVM splits a 64-lane operation into four AVX-512 registers, so a kernel written once on lanes is four look-ups of 16 addresses
interleaved stage by stage: their cache misses overlap. Two registers were slower, eight no faster.
Source of the gather: the LLVM intrinsics behind `_mm512_i32gather_epi32` and `_mm512_i32gather_epi64`.
"""
# mypy: ignore-errors

import operator

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic, models, overload, register_model

NUM_LANES = 64
STRETCH = 1024
"""Rows after which a kernel turns to those that lanes could not answer."""

_REGISTER_LANES = 16
_BIT, _I32, _I64 = ir.IntType(1), ir.IntType(32), ir.IntType(64)
_VECTOR = ir.VectorType(_I32, NUM_LANES)


class Lanes(types.Type):
    """64 x uint32."""

    def __init__(self):
        super().__init__("lanes(64 x uint32)")


LANES = Lanes()


@register_model(Lanes)
class _LanesModel(models.PrimitiveModel):
    def __init__(self, manager, numba_type):
        super().__init__(manager, numba_type, _VECTOR)


def _indices(numbers):
    return ir.Constant(ir.VectorType(_I32, len(numbers)), numbers)


def _splat(builder, number):
    """A scalar of any width into every lane."""
    width = number.type.width
    if width > 32:
        number = builder.trunc(number, _I32)
    elif width < 32:
        number = builder.zext(number, _I32)
    first = builder.insert_element(ir.Constant(_VECTOR, ir.Undefined), number, ir.Constant(_I32, 0))
    return builder.shuffle_vector(first, first, _indices([0] * NUM_LANES))


def _lanes_of(builder, numba_type, number):
    return number if isinstance(numba_type, Lanes) else _splat(builder, number)


def _call(builder, name, result, arguments):
    function = cgutils.get_or_insert_function(builder.module, ir.FunctionType(result, [a.type for a in arguments]), name)
    return builder.call(function, arguments)


def _data(context, builder, array_type, array):
    return context.make_array(array_type)(context, builder, array).data


def _is_lanes(*operands):
    return any(isinstance(o, Lanes) for o in operands) and all(isinstance(o, (Lanes, types.Integer)) for o in operands)


def _define_operator(python_operator, instruction):
    @intrinsic
    def operation(typing_context, left, right):
        def generate(context, builder, signature, arguments):
            both = [_lanes_of(builder, t, a) for t, a in zip(signature.args, arguments, strict=True)]
            return getattr(builder, instruction)(*both)

        return LANES(left, right), generate

    @overload(python_operator)
    def lanes_operator(left, right):
        if _is_lanes(left, right):
            return lambda left, right: operation(left, right)  # noqa: PLW0108 - numba wants a function
        return None


for _operator, _instruction in (
    (operator.add, "add"),
    (operator.sub, "sub"),
    (operator.mul, "mul"),
    (operator.and_, "and_"),
    (operator.or_, "or_"),
    (operator.xor, "xor"),
    (operator.lshift, "shl"),  # by less than 32: LLVM leaves more undefined
    (operator.rshift, "lshr"),
):
    _define_operator(_operator, _instruction)


@intrinsic
def load_lanes(typing_context, array, at):
    """`array[at:at + 64]` of uint32."""

    def generate(context, builder, signature, arguments):
        data = builder.gep(_data(context, builder, signature.args[0], arguments[0]), [arguments[1]])
        return builder.load(builder.bitcast(data, _VECTOR.as_pointer()), align=4)

    return LANES(array, at), generate


@intrinsic
def load_halves(typing_context, array, at):
    """`array[at:at + 64, 0]` of a C-ordered (n, 2) uint64 -> (high 32 bits, low 32 bits): the left half of 64 IPv6 addresses."""
    pair = types.UniTuple(LANES, 2)

    def generate(context, builder, signature, arguments):
        words = ir.VectorType(_I32, NUM_LANES * 4)
        row = builder.mul(arguments[1], ir.Constant(arguments[1].type, 2))
        data = builder.gep(_data(context, builder, signature.args[0], arguments[0]), [row])
        loaded = builder.load(builder.bitcast(data, words.as_pointer()), align=8)
        halves = [builder.shuffle_vector(loaded, loaded, _indices([4 * i + k for i in range(NUM_LANES)])) for k in (1, 0)]
        return context.make_tuple(builder, pair, halves)

    return pair(array, at), generate


@intrinsic
def store_lanes(typing_context, array, at, lanes):
    """`array[at:at + 64] = lanes`, for an array of 32-bit integers."""

    def generate(context, builder, signature, arguments):
        data = builder.gep(_data(context, builder, signature.args[0], arguments[0]), [arguments[1]])
        builder.store(arguments[2], builder.bitcast(data, _VECTOR.as_pointer()), align=4)
        return context.get_dummy_value()

    return types.void(array, at, lanes), generate


def _gather(builder, data, index, element, scale):
    """Four or eight hardware gathers, as one vector of 64 elements."""
    width = 512 // element.width
    name = "llvm.x86.avx512.mask.gather.dpi.512" if element.width == 32 else "llvm.x86.avx512.mask.gather.dpq.512"
    result = ir.VectorType(element, width)
    everywhere = ir.Constant(ir.VectorType(_BIT, width), [1] * width)
    base = builder.bitcast(data, ir.IntType(8).as_pointer())
    parts = []
    for first in range(0, NUM_LANES, width):
        some = builder.shuffle_vector(index, index, _indices(list(range(first, first + width))))
        nothing = ir.Constant(result, [0] * width)
        parts.append(_call(builder, name, result, [nothing, base, some, everywhere, ir.Constant(_I32, scale)]))
    return _joined(builder, parts)


def _joined(builder, parts):
    """Registers as one vector; as many as a power of two."""
    while len(parts) > 1:
        size = parts[0].type.count
        both = _indices(list(range(2 * size)))
        parts = [builder.shuffle_vector(a, b, both) for a, b in zip(parts[::2], parts[1::2], strict=True)]
    return parts[0]


@intrinsic
def gather32(typing_context, array, index):
    """`array[index]` for 64 indices below 2**31 into 32-bit elements."""

    def generate(context, builder, signature, arguments):
        return _gather(builder, _data(context, builder, signature.args[0], arguments[0]), arguments[1], _I32, 4)

    return LANES(array, index), generate


@intrinsic
def gather16(typing_context, array, index):
    """32 bits from position `index` of an array of any width, counted in 16-bit units; they may begin inside an element."""

    def generate(context, builder, signature, arguments):
        return _gather(builder, _data(context, builder, signature.args[0], arguments[0]), arguments[1], _I32, 2)

    return LANES(array, index), generate


@intrinsic
def gather64(typing_context, array, index):
    """`array[index]` for 64-bit elements -> (low halves, high halves)."""
    pair = types.UniTuple(LANES, 2)

    def generate(context, builder, signature, arguments):
        words = _gather(builder, _data(context, builder, signature.args[0], arguments[0]), arguments[1], _I64, 8)
        return context.make_tuple(builder, pair, _halves(builder, words))

    return pair(array, index), generate


def _halves(builder, words):
    """64 x uint64 -> [low, high] halves."""
    halves = builder.bitcast(words, ir.VectorType(_I32, 2 * NUM_LANES))
    return [builder.shuffle_vector(halves, halves, _indices([2 * i + k for i in range(NUM_LANES)])) for k in (0, 1)]


@intrinsic
def permute(typing_context, table, index):
    """`table[index]` for 64 indices below 64 into 64 lanes: nothing is loaded."""

    def generate(context, builder, signature, arguments):
        register = ir.VectorType(_I32, _REGISTER_LANES)
        a, b, c, d = _registers(builder, arguments[0])
        name, parts = "llvm.x86.avx512.vpermi2var.d.512", []
        for some in _registers(builder, arguments[1]):
            low, high = (_call(builder, name, register, [left, some, right]) for left, right in ((a, b), (c, d)))
            is_low = builder.icmp_unsigned("<", some, _indices([NUM_LANES // 2] * _REGISTER_LANES))
            parts.append(builder.select(is_low, low, high))
        return _joined(builder, parts)

    return LANES(table, index), generate


def _registers(builder, lanes):
    """64 lanes as four registers."""
    return [
        builder.shuffle_vector(lanes, lanes, _indices(list(range(at, at + _REGISTER_LANES)))) for at in range(0, NUM_LANES, _REGISTER_LANES)
    ]


def _spilled(builder, lanes):
    """Where 64 lanes lie in memory, as i32*. Hidden from LLVM, which would move lanes through shuffles, or gather after all."""
    with builder.goto_entry_block():
        scratch = builder.alloca(_VECTOR)
    scratch.align = 64
    builder.store(lanes, scratch, align=64)
    words = builder.bitcast(scratch, _I32.as_pointer())
    builder.asm(ir.FunctionType(ir.VoidType(), [words.type]), "", "r,~{memory}", [words], True)
    return words


@intrinsic
def fetch64(typing_context, array, index):
    """As `gather64`, by 64 plain loads: half the time where the words lie in L2, if the indices are a block's old when they are asked for.

    For one step only: with a second one beside it, and where most words are farther than L2, it took up to twice the time of gathers.
    """
    pair = types.UniTuple(LANES, 2)

    def generate(context, builder, signature, arguments):
        data = _data(context, builder, signature.args[0], arguments[0])
        indices = builder.bitcast(_spilled(builder, arguments[1]), _I64.as_pointer())
        words = ir.Constant(ir.VectorType(_I64, NUM_LANES), ir.Undefined)
        for k in range(NUM_LANES // 2):
            both = builder.load(builder.gep(indices, [_I64(k)]))
            for i, one in enumerate((builder.and_(both, _I64(0xFFFFFFFF)), builder.lshr(both, _I64(32)))):
                words = builder.insert_element(words, builder.load(builder.gep(data, [one])), _I32(2 * k + i))
        return context.make_tuple(builder, pair, _halves(builder, words))

    return pair(array, index), generate


@intrinsic
def prefetch64(typing_context, array, index):
    """Ask for the lines of `array[index]`, 64-bit elements, ahead of a gather: worth its loads where they are mostly far."""

    def generate(context, builder, signature, arguments):
        byte = ir.IntType(8).as_pointer()
        data = _data(context, builder, signature.args[0], arguments[0])
        indices = _spilled(builder, arguments[1])
        how = [_I32(number) for number in (0, 3, 1)]  # to read, into every level, data
        for k in range(NUM_LANES):
            one = builder.zext(builder.load(builder.gep(indices, [_I64(k)])), _I64)
            at = builder.bitcast(builder.gep(data, [one]), byte)
            _call(builder, "llvm.prefetch.p0", ir.VoidType(), [at, *how])
        return context.get_dummy_value()

    return types.void(array, index), generate


@intrinsic
def computed(typing_context, lanes):
    """The same lanes, computed here: LLVM moves work to where its result is used, and with it undoes what a kernel does ahead."""

    def generate(context, builder, signature, arguments):
        kind = ir.FunctionType(ir.VectorType(_I32, _REGISTER_LANES), [ir.VectorType(_I32, _REGISTER_LANES)])
        return _joined(builder, [builder.asm(kind, "", "=v,0", [part], True) for part in _registers(builder, arguments[0])])

    return LANES(lanes), generate


@intrinsic
def popcount(typing_context, lanes):
    """Set bits of every lane."""

    def generate(context, builder, signature, arguments):
        return _call(builder, f"llvm.ctpop.v{NUM_LANES}i32", _VECTOR, arguments)

    return LANES(lanes), generate


@intrinsic
def choose(typing_context, condition, yes, no):
    """Lane by lane `yes` where the condition is not 0, else `no`; `yes` and `no` may be scalars."""

    def generate(context, builder, signature, arguments):
        is_set = builder.icmp_unsigned("!=", arguments[0], ir.Constant(_VECTOR, [0] * NUM_LANES))
        both = [_lanes_of(builder, t, a) for t, a in zip(signature.args[1:], arguments[1:], strict=True)]
        return builder.select(is_set, *both)

    return LANES(condition, yes, no), generate


@intrinsic
def less(typing_context, left, right):
    """1 where left < right as unsigned, else 0; one of them may be a scalar."""

    def generate(context, builder, signature, arguments):
        both = [_lanes_of(builder, t, a) for t, a in zip(signature.args, arguments, strict=True)]
        return builder.zext(builder.icmp_unsigned("<", *both), _VECTOR)

    return LANES(left, right), generate


@intrinsic
def nonzero_bits(typing_context, lanes):
    """uint64: bit i is set where lane i is not 0."""

    def generate(context, builder, signature, arguments):
        is_set = builder.icmp_unsigned("!=", arguments[0], ir.Constant(_VECTOR, [0] * NUM_LANES))
        return builder.bitcast(is_set, _I64)

    return types.uint64(lanes), generate


@intrinsic
def lowest_bit(typing_context, bits):
    """Number of the lowest set bit of a uint64 that is not 0."""

    def generate(context, builder, signature, arguments):
        return _call(builder, "llvm.cttz.i64", _I64, [arguments[0], ir.Constant(_BIT, 1)])

    return types.int64(types.uint64), generate


@njit(cache=True, nogil=True, forceinline=True)
def note_rows(rows, num_rows, at, bits):
    """Append row `at` + i for every set bit i; returns the new number of rows."""
    while bits != 0:
        rows[num_rows] = at + lowest_bit(bits)
        num_rows += 1
        bits &= bits - np.uint64(1)
    return num_rows
