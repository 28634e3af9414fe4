"""What compiled code is made of: matrix products, elementary functions and copies.

Arrays are flat, channels last, channels padded with zeros to a multiple of `LANES`. A sum always runs over its inputs
in the same order, one fused multiply-add at a time, so that what a sample comes to does not depend on how many others
are drawn with it. Needs numba; `machine_code` says where what it makes is kept.
"""

from __future__ import annotations

import math

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic, overload

from .machine_code import LANES

# Machine code from the disk where it has been compiled before; other threads run meanwhile.
compiled = njit(cache=True, nogil=True, error_model="numpy")


def _tile(positions: int, vectors: int):
    """An operation on out[p, o] for `positions` rows p and `vectors * LANES` columns o, all kept in registers."""

    @intrinsic
    def tile(typing, out, out_at, out_step, x, x_at, x_step, weight, weight_at, weight_step, depth):
        """out[p, o] += x[p, i] * weight[i, o], i from 0 to depth - 1."""
        number = out.dtype
        whole = types.intp
        signature = types.void(out, whole, whole, x, whole, whole, weight, whole, whole, whole)

        def generate(context, builder, signature, arguments):
            scalar = context.get_value_type(number)
            vector = ir.VectorType(scalar, LANES)
            align = number.bitwidth // 8
            bases = [
                context.make_array(signature.args[index])(context, builder, arguments[index]).data
                for index in (0, 3, 6)
            ]
            out_base, x_base, weight_base = bases
            _, out_start, out_stride, _, x_start, x_stride, _, weight_start, weight_stride, count = arguments
            integer = out_start.type
            name = f"llvm.fma.v{LANES}f{number.bitwidth}"
            fma = cgutils.get_or_insert_function(builder.module, ir.FunctionType(vector, [vector] * 3), name)

            def at(base, index, kind):
                return builder.bitcast(builder.gep(base, [index], source_etype=scalar), kind.as_pointer())

            def constant(value):
                return ir.Constant(integer, value)

            def out_index(p, v):
                row = builder.add(out_start, builder.mul(out_stride, constant(p)))
                return builder.add(row, constant(v * LANES))

            cells = [(p, v) for p in range(positions) for v in range(vectors)]
            sums = {cell: cgutils.alloca_once(builder, vector) for cell in cells}
            for cell in cells:
                here = at(out_base, out_index(*cell), vector)
                builder.store(builder.load(here, align=align, typ=vector), sums[cell])
            with cgutils.for_range(builder, count) as loop:
                row = builder.add(weight_start, builder.mul(weight_stride, loop.index))
                weights = [
                    builder.load(
                        at(weight_base, builder.add(row, constant(v * LANES)), vector), align=align, typ=vector
                    )
                    for v in range(vectors)
                ]
                for p in range(positions):
                    index = builder.add(builder.add(x_start, builder.mul(x_stride, constant(p))), loop.index)
                    value = builder.load(at(x_base, index, scalar), align=align, typ=scalar)
                    single = builder.insert_element(
                        ir.Constant(vector, ir.Undefined), value, ir.Constant(ir.IntType(32), 0)
                    )
                    everywhere = builder.shuffle_vector(
                        single,
                        ir.Constant(vector, ir.Undefined),
                        ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES),
                    )
                    for v in range(vectors):
                        total = builder.load(sums[p, v], typ=vector)
                        builder.store(builder.call(fma, [everywhere, weights[v], total]), sums[p, v])
            for cell in cells:
                here = at(out_base, out_index(*cell), vector)
                builder.store(builder.load(sums[cell], typ=vector), here, align=align)
            return context.get_dummy_value()

        return signature, generate

    return tile


def _panel(vectors: int, most: int):
    """`dot` for `vectors * LANES` columns: rows in tiles of `most`, then of 4, 2 and 1.

    Weights come from the second cache, so that a tile has as many rows as there are registers for.
    """
    large, four, two, single = (_tile(rows, vectors) for rows in (most, 4, 2, 1))

    @njit(nogil=True, error_model="numpy")
    def panel(out, out_at, out_step, x, x_at, x_step, weight, weight_at, width, depth, count):
        p = 0
        while p + most <= count:
            large(out, out_at + p * out_step, out_step, x, x_at + p * x_step, x_step, weight, weight_at, width, depth)
            p += most
        while p + 4 <= count:
            four(out, out_at + p * out_step, out_step, x, x_at + p * x_step, x_step, weight, weight_at, width, depth)
            p += 4
        if p + 2 <= count:
            two(out, out_at + p * out_step, out_step, x, x_at + p * x_step, x_step, weight, weight_at, width, depth)
            p += 2
        if p < count:
            single(out, out_at + p * out_step, out_step, x, x_at + p * x_step, x_step, weight, weight_at, width, depth)

    return panel


_four_vectors, _two_vectors, _one_vector = _panel(4, 6), _panel(2, 12), _panel(1, 12)


@compiled
def dot(out, out_at, out_step, x, x_at, x_step, weight, weight_at, width, depth, count):
    """out[p, :width] += x[p, :depth] @ weight[:depth, :width] for `count` rows p; width is a multiple of `LANES`."""
    o = 0
    while o < width:
        target, source = out_at + o, weight_at + o
        if o + 4 * LANES <= width:
            _four_vectors(out, target, out_step, x, x_at, x_step, weight, source, width, depth, count)
            o += 4 * LANES
        elif o + 2 * LANES <= width:
            _two_vectors(out, target, out_step, x, x_at, x_step, weight, source, width, depth, count)
            o += 2 * LANES
        else:
            _one_vector(out, target, out_step, x, x_at, x_step, weight, source, width, depth, count)
            o += LANES


@intrinsic
def _as_float(typing, bits):
    """The float32 with these 32 bits."""

    def generate(context, builder, signature, arguments):
        return builder.bitcast(arguments[0], ir.FloatType())

    return types.float32(types.int32), generate


@intrinsic
def _as_bits(typing, number):
    """The 32 bits of a float32."""

    def generate(context, builder, signature, arguments):
        return builder.bitcast(arguments[0], ir.IntType(32))

    return types.int32(types.float32), generate


_LOWEST, _HIGHEST = np.float32(-87.0), np.float32(88.0)
_LOG2_E, _LN2_HIGH, _LN2_LOW = np.float32(1.44269504), np.float32(0.693359375), np.float32(-2.12194440e-4)
_ZERO, _HALF, _ONE = np.float32(0.0), np.float32(0.5), np.float32(1.0)
_C0, _C1, _C2 = np.float32(1.9875691500e-4), np.float32(1.3981999507e-3), np.float32(8.3334519073e-3)
_C3, _C4, _C5 = np.float32(4.1665795894e-2), np.float32(1.6666665459e-1), np.float32(5.0000001201e-1)


@compiled
def _exp(x):
    """e^x in float32: Cephes' polynomial, some units in the last place off, which the compiler can vectorise."""
    x = min(max(x, _LOWEST), _HIGHEST)
    power = np.floor(x * _LOG2_E + _HALF)
    r = x - power * _LN2_HIGH - power * _LN2_LOW
    series = ((((_C0 * r + _C1) * r + _C2) * r + _C3) * r + _C4) * r + _C5
    return (series * r * r + r + _ONE) * _as_float(np.int32((np.int32(power) + 127) << 23))  # type: ignore[call-arg]


_HALF_ROOT = np.float32(0.70710678)
_L0, _L1, _L2 = np.float32(7.0376836292e-2), np.float32(-1.1514610310e-1), np.float32(1.1676998740e-1)
_L3, _L4, _L5 = np.float32(-1.2420140846e-1), np.float32(1.4249322787e-1), np.float32(-1.6668057665e-1)
_L6, _L7, _L8 = np.float32(2.0000714765e-1), np.float32(-2.4999993993e-1), np.float32(3.3333331174e-1)


@compiled
def _log(x):
    """ln x in float32 of a normal number above 0: Cephes' polynomial, likewise."""
    bits = _as_bits(x)  # type: ignore[call-arg, var-annotated]
    power = np.float32(np.int32(bits >> 23) - np.int32(126))
    part = _as_float(np.int32((bits & 0x7FFFFF) | 0x3F000000))
    small = part < _HALF_ROOT
    power = power - (_ONE if small else _ZERO)
    r = part + (part if small else _ZERO) - _ONE
    series = ((((_L0 * r + _L1) * r + _L2) * r + _L3) * r + _L4) * r + _L5
    series = ((series * r + _L6) * r + _L7) * r + _L8
    square = r * r
    return r + (series * r * square + _LN2_LOW * power - _HALF * square) + _LN2_HIGH * power


def exp_of(x):
    raise NotImplementedError("for compiled code only")


@overload(exp_of)
def _typed_exp(x):
    return (lambda x: _exp(x)) if x == types.float32 else (lambda x: math.exp(x))


def log_of(x):
    raise NotImplementedError("for compiled code only")


@overload(log_of)
def _typed_log(x):
    return (lambda x: _log(x)) if x == types.float32 else (lambda x: math.log(x))


def tanh_of(x):
    raise NotImplementedError("for compiled code only")


@overload(tanh_of)
def _typed_tanh(x):
    if x == types.float32:
        return lambda x: _ONE - (_ONE + _ONE) / (_ONE + _exp(x + x))
    return lambda x: math.tanh(x)


def relu_of(x):
    raise NotImplementedError("for compiled code only")


@overload(relu_of)
def _typed_relu(x):
    return (lambda x: x if x > _ZERO else _ZERO) if x == types.float32 else (lambda x: max(x, 0.0))


def elu_of(x):
    raise NotImplementedError("for compiled code only")


@overload(elu_of)
def _typed_elu(x):
    if x == types.float32:
        return lambda x: x if x > _ZERO else _exp(min(x, _ZERO)) - _ONE
    return lambda x: x if x > 0.0 else math.expm1(x)


def sigmoid_of(x):
    raise NotImplementedError("for compiled code only")


@overload(sigmoid_of)
def _typed_sigmoid(x):
    if x == types.float32:
        return lambda x: _ONE / (_ONE + _exp(-x))
    return lambda x: 1.0 / (1.0 + math.exp(-x))


# Numbers are reached through slices from here on: an index that starts at 0 is known not to be negative, and the loop
# over it can be vectorised.


@compiled
def elu(source, source_at, target, target_at, count):
    """target = ELU(source), `count` numbers from each start on."""
    x, y = source[source_at : source_at + count], target[target_at : target_at + count]
    for i in range(count):
        y[i] = elu_of(x[i])


@compiled
def copy(source, source_at, source_step, target, target_at, width, count):
    """target[p] = source[p], `count` rows of `width` numbers; a source_step of 0 repeats one row."""
    for p in range(count):
        x = source[source_at + p * source_step : source_at + p * source_step + width]
        y = target[target_at + p * width : target_at + (p + 1) * width]
        for i in range(width):
            y[i] = x[i]
