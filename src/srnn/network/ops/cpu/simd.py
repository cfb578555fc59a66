# SPDX-License-Identifier: MPL-2.0
"""Vectors of float32 for numba kernels.

LLVM vectorises a plain loop only if it can prove that the arrays do not overlap, which often fails
for loops over rows of several arrays. Here a vector is a value: `load` reads it, ``+ - *`` and the
functions below compute with it, `store` writes it. LLVM maps it to the registers of the machine.

Three widths occur: `LANES` floats for the arithmetic of neurons, `STRIP` and `BLOCK` for sums of
rows of weights or gradients in registers. A tile is the part of a matrix product that stays in
registers: `TILE_ROWS` rows of `LANES` columns.
An address is an array and an offset in elements. Bounds are not checked.
"""

import operator
from collections.abc import Callable
from typing import Any

import llvmlite.binding
from llvmlite import ir
from numba import njit
from numba.core import cgutils, types
from numba.core.datamodel import models
from numba.extending import intrinsic, overload, register_model

_HAS_AVX512 = bool(llvmlite.binding.get_host_cpu_features().get("avx512f", False))

SQUARE = _REGISTER = 16 if _HAS_AVX512 else 8
LANES = 2 * _REGISTER  # two independent registers hide latency
STRIP = 4 * _REGISTER
BLOCK = 8 * _REGISTER
# A tile takes 16 of the 32 registers of AVX-512, 8 of the 16 of older machines.
TILE_ROWS = 8 if _HAS_AVX512 else 4

_FLOAT = ir.FloatType()
_INT = ir.IntType(32)


class Lanes(types.Type):
    """The numba type of a vector of ``width`` float32."""

    def __init__(self, width: int) -> None:
        self.width = width
        super().__init__(name=f"Lanes({width})")


@register_model(Lanes)
class _LanesModel(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Lanes) -> None:
        super().__init__(manager, kind, ir.VectorType(_FLOAT, kind.width))


def _vector(width: int) -> ir.VectorType:
    return ir.VectorType(_FLOAT, width)


def _constant(width: int, value: float) -> ir.Constant:
    return ir.Constant(_vector(width), [value] * width)


def _address(context: Any, builder: Any, kind: Any, array: Any, offset: Any, width: int) -> Any:
    data = context.make_array(kind)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [offset]), _vector(width).as_pointer())


def _element(context: Any, builder: Any, kind: Any, array: Any, offset: Any) -> Any:
    data = context.make_array(kind)(context, builder, array).data
    return builder.load(builder.gep(data, [offset]))


def _splat(builder: Any, value: Any, width: int) -> Any:
    single = builder.insert_element(ir.Constant(_vector(width), ir.Undefined), value, _INT(0))
    order = ir.Constant(ir.VectorType(_INT, width), [0] * width)
    return builder.shuffle_vector(single, single, order)


def _call_llvm(builder: Any, name: str, args: Any) -> Any:
    """Call LLVM's vector intrinsic of this name, such as fma."""
    kind = args[0].type
    function = cgutils.get_or_insert_function(
        builder.module,
        ir.FunctionType(kind, [kind] * len(args)),
        f"llvm.{name}.v{kind.count}f32",
    )
    return builder.call(function, args)


def _loader(width: int) -> Any:
    @intrinsic
    def load(typing: Any, array: Any, offset: Any) -> Any:
        """Return the ``width`` elements of a contiguous array from ``offset`` on."""

        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            array, offset = args
            address = _address(context, builder, signature.args[0], array, offset, width)
            return builder.load(address, align=4)

        return Lanes(width)(array, types.intp), generate

    return load


@intrinsic
def full(typing: Any, value: Any) -> Any:
    """Return a vector of equal elements."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _splat(builder, args[0], LANES)

    return Lanes(LANES)(types.float32), generate


@intrinsic
def element(typing: Any, array: Any, offset: Any) -> Any:
    """Return an element of a contiguous array.

    Numba's ``array[offset]`` looks whether a negative offset counts from the end; in a sum of rows
    that takes as long as the sum.
    """

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _element(context, builder, signature.args[0], *args)

    return array.dtype(array, types.intp), generate


@intrinsic
def add_to_element(typing: Any, array: Any, offset: Any, value: Any) -> Any:
    """Add a value to an element of a contiguous array."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        array, offset, value = args
        data = context.make_array(signature.args[0])(context, builder, array).data
        address = builder.gep(data, [offset])
        builder.store(builder.fadd(builder.load(address), value), address)
        return context.get_dummy_value()

    return types.void(array, types.intp, array.dtype), generate


def _repeater(width: int) -> Any:
    @intrinsic
    def repeat(typing: Any, array: Any, offset: Any) -> Any:
        """Return a vector of copies of one element of a contiguous array."""

        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            array, offset = args
            element = _element(context, builder, signature.args[0], array, offset)
            return _splat(builder, element, width)

        return Lanes(width)(array, types.intp), generate

    return repeat


load, load_strip, load_block = map(_loader, (LANES, STRIP, BLOCK))
repeat, repeat_strip, repeat_block = map(_repeater, (LANES, STRIP, BLOCK))


@intrinsic
def store(typing: Any, array: Any, offset: Any, vector: Any) -> Any:
    """Write a vector into a contiguous array from ``offset`` on."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        array, offset, value = args
        width = signature.args[2].width
        address = _address(context, builder, signature.args[0], array, offset, width)
        builder.store(value, address, align=4)
        return context.get_dummy_value()

    return types.void(array, types.intp, vector), generate


@intrinsic
def _load_first(typing: Any, array: Any, offset: Any, count: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        array, offset, count = args
        kind, mask = _vector(LANES), _first(builder, count)
        address = _address(context, builder, signature.args[0], array, offset, LANES)
        function = cgutils.get_or_insert_function(
            builder.module,
            ir.FunctionType(kind, [address.type, _INT, mask.type, kind]),
            f"llvm.masked.load.v{LANES}f32.p0v{LANES}f32",
        )
        return builder.call(function, [address, _INT(4), mask, _constant(LANES, 0.0)])

    return Lanes(LANES)(array, types.intp, types.intp), generate


@intrinsic
def _store_first(typing: Any, array: Any, offset: Any, vector: Any, count: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        array, offset, value, count = args
        mask = _first(builder, count)
        address = _address(context, builder, signature.args[0], array, offset, LANES)
        function = cgutils.get_or_insert_function(
            builder.module,
            ir.FunctionType(ir.VoidType(), [value.type, address.type, _INT, mask.type]),
            f"llvm.masked.store.v{LANES}f32.p0v{LANES}f32",
        )
        builder.call(function, [value, address, _INT(4), mask])
        return context.get_dummy_value()

    return types.void(array, types.intp, vector, types.intp), generate


def _first(builder: Any, count: Any) -> Any:
    """Return a mask of the first ``count`` lanes."""
    kind = ir.VectorType(_INT, LANES)
    single = builder.insert_element(
        ir.Constant(kind, ir.Undefined), builder.trunc(count, _INT), _INT(0)
    )
    counts = builder.shuffle_vector(single, single, ir.Constant(kind, [0] * LANES))
    return builder.icmp_signed("<", ir.Constant(kind, list(range(LANES))), counts)


@njit
def load_some(array: Any, offset: int, count: int) -> Any:
    """Return the ``count`` elements from ``offset`` on, at most `LANES`, and zeros after them."""
    if count >= LANES:
        return load(array, offset)
    return _load_first(array, offset, count)


@njit
def store_some(array: Any, offset: int, vector: Any, count: int) -> None:
    """Write the first ``count`` elements of a vector, at most `LANES`."""
    if count >= LANES:
        store(array, offset, vector)
    else:
        _store_first(array, offset, vector, count)


@intrinsic
def prefetch(typing: Any, array: Any, offset: Any) -> Any:
    """Prefetch `LANES` elements."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        array, offset = args
        pointer = ir.IntType(8).as_pointer()
        function = cgutils.get_or_insert_function(
            builder.module,
            ir.FunctionType(ir.VoidType(), [pointer, _INT, _INT, _INT]),
            "llvm.prefetch.p0i8",
        )
        for line in range(0, LANES, 16):
            place = builder.add(offset, ir.Constant(offset.type, line))
            address = _address(context, builder, signature.args[0], array, place, 1)
            builder.call(function, [builder.bitcast(address, pointer), _INT(0), _INT(3), _INT(1)])
        return context.get_dummy_value()

    return types.void(array, types.intp), generate


@intrinsic
def fma(typing: Any, a: Any, b: Any, c: Any) -> Any:
    """Return a * b + c, rounded once."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _call_llvm(builder, "fma", args)

    return c(c, c, c), generate


def _arithmetic(instruction: str) -> Any:
    @intrinsic
    def operate(typing: Any, a: Any, b: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return getattr(builder, instruction)(*args)

        return a(a, b), generate

    return operate


_add, _sub, _mul = map(_arithmetic, ("fadd", "fsub", "fmul"))


def _same(a: Any, b: Any) -> bool:
    return isinstance(a, Lanes) and a == b


@overload(operator.add, strict=False)
def _overload_add(a: Any, b: Any) -> Callable[..., Any] | None:
    return (lambda a, b: _add(a, b)) if _same(a, b) else None


@overload(operator.sub, strict=False)
def _overload_sub(a: Any, b: Any) -> Callable[..., Any] | None:
    return (lambda a, b: _sub(a, b)) if _same(a, b) else None


@overload(operator.mul, strict=False)
def _overload_mul(a: Any, b: Any) -> Callable[..., Any] | None:
    return (lambda a, b: _mul(a, b)) if _same(a, b) else None


@intrinsic
def heaviside(typing: Any, x: Any) -> Any:
    """Return 1 where x > 0, else 0."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        width = signature.args[0].width
        above = builder.fcmp_ordered(">", args[0], _constant(width, 0.0))
        return builder.select(above, _constant(width, 1.0), _constant(width, 0.0))

    return x(x), generate


@intrinsic
def clamp_min(typing: Any, x: Any, limit: Any) -> Any:
    """Return max(x, limit); NaN stays NaN."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        x, limit = args
        return builder.select(builder.fcmp_ordered("<", x, limit), limit, x)

    return x(x, x), generate


@intrinsic
def zero_below(typing: Any, limit: Any, x: Any, value: Any) -> Any:
    """Return the value, or 0 where x is below the limit."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        limit, x, value = args
        below = builder.fcmp_ordered("<", x, limit)
        return builder.select(below, _constant(signature.args[2].width, 0.0), value)

    return value(value, value, value), generate


@intrinsic
def clamp_max(typing: Any, x: Any, limit: Any) -> Any:
    """Return min(x, limit); NaN stays NaN."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        x, limit = args
        return builder.select(builder.fcmp_ordered(">", x, limit), limit, x)

    return x(x, x), generate


@intrinsic
def absolute(typing: Any, x: Any) -> Any:
    """Return |x|."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _call_llvm(builder, "fabs", args)

    return x(x), generate


@intrinsic
def sum_lanes(typing: Any, x: Any) -> Any:
    """Return the sum of all elements, a float64, in a fixed order."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        total = ir.Constant(ir.DoubleType(), 0.0)
        for lane in range(signature.args[0].width):
            element = builder.extract_element(args[0], _INT(lane))
            total = builder.fadd(total, builder.fpext(element, ir.DoubleType()))
        return total

    return types.float64(x), generate


@intrinsic
def nonzero(typing: Any, x: Any) -> Any:
    """Return an integer with a bit set for each element that is not zero, the first lowest."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        width = signature.args[0].width
        bits = builder.fcmp_unordered("!=", args[0], _constant(width, 0.0))
        mask = builder.bitcast(bits, ir.IntType(width))
        return builder.zext(mask, ir.IntType(64))

    return types.int64(x), generate


@intrinsic
def lowest_bit(typing: Any, bits: Any) -> Any:
    """Return the index of the lowest set bit; ``bits`` must not be 0."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.cttz(args[0], cgutils.true_bit)

    return types.int64(types.int64), generate


@intrinsic
def power_of_two(typing: Any, exponent: Any) -> Any:
    """Return 2**exponent for integer exponents from -126 to 127."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        width = signature.args[0].width
        integers = ir.VectorType(_INT, width)
        biased = builder.add(
            builder.fptosi(args[0], integers), ir.Constant(integers, [127] * width)
        )
        bits = builder.shl(biased, ir.Constant(integers, [23] * width))
        return builder.bitcast(bits, _vector(width))

    return exponent(exponent), generate


_TILE = types.containers.UniTuple(Lanes(LANES), TILE_ROWS)


def _row(builder: Any, begin: Any, distance: Any, row: int) -> Any:
    return builder.add(begin, builder.mul(distance, ir.Constant(distance.type, row)))


@intrinsic
def zero_tile(typing: Any) -> Any:
    """Return a tile of zeros: a tuple of vectors, its rows."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return context.make_tuple(builder, _TILE, [_constant(LANES, 0.0)] * TILE_ROWS)

    return _TILE(), generate


@intrinsic
def load_tile(typing: Any, array: Any, offset: Any, stride: Any) -> Any:
    """Return a tile whose rows begin at ``offset`` with ``stride``."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        array, offset, stride = args
        rows = []
        for row in range(TILE_ROWS):
            place = _row(builder, offset, stride, row)
            address = _address(context, builder, signature.args[0], array, place, LANES)
            rows.append(builder.load(address, align=4))
        return context.make_tuple(builder, _TILE, rows)

    return _TILE(array, types.intp, types.intp), generate


@intrinsic
def store_tile(typing: Any, array: Any, offset: Any, stride: Any, tile: Any) -> Any:
    """Write the rows of a tile from ``offset`` on, with ``stride``."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        array, offset, stride, tile = args
        for row in range(TILE_ROWS):
            place = _row(builder, offset, stride, row)
            address = _address(context, builder, signature.args[0], array, place, LANES)
            builder.store(builder.extract_value(tile, row), address, align=4)
        return context.get_dummy_value()

    return types.void(array, types.intp, types.intp, tile), generate


@intrinsic
def fma_tile(typing: Any, array: Any, offset: Any, stride: Any, weights: Any, tile: Any) -> Any:
    """Return a tile to whose rows ``weights`` (LANES) times one element each have been added.

    The elements begin at ``offset`` with ``stride``.
    """

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        array, offset, stride, weights, tile = args
        rows = []
        for row in range(TILE_ROWS):
            place = _row(builder, offset, stride, row)
            element = _element(context, builder, signature.args[0], array, place)
            factors = _splat(builder, element, LANES)
            rows.append(
                _call_llvm(builder, "fma", [factors, weights, builder.extract_value(tile, row)])
            )
        return context.make_tuple(builder, _TILE, rows)

    return _TILE(array, types.intp, types.intp, weights, tile), generate


@intrinsic
def transpose_square(
    typing: Any, source: Any, at: Any, stride: Any, target: Any, to: Any, step: Any
) -> Any:
    """Write SQUARE x SQUARE elements transposed.

    The rows begin at ``at`` with ``stride``, those of the result at ``to`` with ``step``.
    """

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        source, at, stride, target, to, step = args

        def address(kind: Any, array: Any, begin: Any, distance: Any, row: int) -> Any:
            place = builder.add(begin, builder.mul(distance, ir.Constant(distance.type, row)))
            return _address(context, builder, kind, array, place, SQUARE)

        rows = [
            builder.load(address(signature.args[0], source, at, stride, row), align=4)
            for row in range(SQUARE)
        ]
        distance = 1
        while distance < SQUARE:
            # Swap the upper right with the lower left corner of each square of 2 x distance.
            upper = [
                lane if not lane & distance else SQUARE + lane - distance for lane in range(SQUARE)
            ]
            lower = [place + distance for place in upper]
            for row in range(SQUARE):
                if not row & distance:
                    pair = rows[row], rows[row + distance]
                    for place, order in ((row, upper), (row + distance, lower)):
                        mask = ir.Constant(ir.VectorType(_INT, SQUARE), order)
                        rows[place] = builder.shuffle_vector(*pair, mask)
            distance *= 2
        for row, values in enumerate(rows):
            builder.store(values, address(signature.args[3], target, to, step, row), align=4)
        return context.get_dummy_value()

    return types.void(source, types.intp, types.intp, target, types.intp, types.intp), generate
