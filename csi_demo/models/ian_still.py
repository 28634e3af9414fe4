"""A trained generator of IAN with its weights folded together: the same pictures, and gradients to latents, sooner.

Batch normalisation that follows a convolution becomes part of it, banks of filters are scaled once and not for every
picture, and nearest-neighbour enlarging with a 3x3 convolution after it becomes one transposed convolution, which needs
four ninths of the products. Where the processor multiplies matrices of bfloat16, it takes half the time once more in
that precision; pictures are then within some levels of the others (0.3 in the mean).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .ian import COARSEST, SLOPE, Generator, MDBlock

LEAST = 8  # pixels' width from which on a transposed convolution is faster


class StillGenerator(nn.Module):
    """G(z) of a generator in eval mode whose weights stay as they are: (B, z) to (B, 3, H, W), float32.

    precision: of all convolutions but the last.
    """

    def __init__(self, generator: Generator, precision: torch.dtype = torch.float32):
        super().__init__()
        dense = generator.dense
        layers: Iterator[Any] = iter(generator.layers)
        scale, shift = _affine(next(layers))
        each = COARSEST**2
        self.dense = nn.Linear(dense.in_features, dense.out_features)
        self.dense.weight.data = dense.weight * scale.repeat_interleave(each)[:, None]
        self.dense.bias.data = dense.bias * scale.repeat_interleave(each) + shift.repeat_interleave(each)
        next(layers)
        steps: list[nn.Module] = []
        width = COARSEST
        for _ in layers:  # enlarging
            convolution, after = next(layers), next(layers)
            if isinstance(after, MDBlock):
                steps += [_Enlarging(convolution.weight, None, width), _StillBlock(after)]
            else:
                scale, shift = _affine(after)
                next(layers)
                steps += [_Enlarging(_scaled(convolution.weight, scale), shift, width), nn.LeakyReLU(SLOPE)]
            width *= 2
        ends: Iterable[Any] = generator.rgb
        first, normal, _, last, squash = ends
        scale, shift = _affine(normal)
        steps += [_Sum([(1, _scaled(first.weight, scale))], shift), nn.LeakyReLU(SLOPE)]
        self.precision = precision
        self.layers = nn.Sequential(*steps).to(precision)
        self.rgb = nn.Sequential(last, squash)
        self.eval().requires_grad_(False)

    def forward(self, z: Tensor) -> Tensor:
        h = F.leaky_relu(self.dense(z), SLOPE).unflatten(1, (-1, COARSEST, COARSEST))
        h = self.layers(h.to(self.precision, memory_format=torch.channels_last))
        return self.rgb(h.float())


class _Enlarging(nn.Module):
    """Twice the size by nearest neighbours, then a 3x3 convolution."""

    def __init__(self, weight: Tensor, bias: Tensor | None, width: int):
        super().__init__()
        self.transposed = width >= LEAST
        if self.transposed:
            weight = _spread(_spread(weight, 2), 3).transpose(0, 1)
        self.register_buffer("weight", _laid_out(weight))
        self.register_buffer("bias", bias)

    weight: Tensor
    bias: Tensor | None

    def forward(self, h: Tensor) -> Tensor:
        if self.transposed:
            return F.conv_transpose2d(h, self.weight, self.bias, stride=2, padding=1)
        return F.conv2d(F.interpolate(h, scale_factor=2), self.weight, self.bias, padding=1)


class _Sum(nn.Module):
    """The sum of 3x3 convolutions at some dilations."""

    def __init__(self, banks: Iterable[tuple[int, Tensor]], bias: Tensor | None):
        super().__init__()
        self.dilations = []
        for dilation, bank in banks:
            self.dilations.append(dilation)
            self.register_buffer(f"bank{dilation}", _laid_out(bank))
        self.register_buffer("bias", bias)

    bias: Tensor | None

    def forward(self, h: Tensor) -> Tensor:
        first, *rest = (
            F.conv2d(h, getattr(self, f"bank{by}"), None if at else self.bias, padding=by, dilation=by)
            for at, by in enumerate(self.dilations)
        )
        return sum(rest, first)


class _StillBlock(nn.Module):
    """`MDBlock` likewise."""

    def __init__(self, block: MDBlock):
        super().__init__()
        layers: Iterable[Any] = block.layers
        before, _, first, between, _, second = layers
        scale, shift = _affine(between)
        self.layers = nn.Sequential(
            _Affine(before),
            nn.LeakyReLU(SLOPE),
            _Sum([(by, _scaled(bank, scale)) for by, bank in first.banks()], shift),
            nn.LeakyReLU(SLOPE),
            _Sum(second.banks(), None),
        )
        self.after = nn.Sequential(_Affine(block.after[0]), nn.LeakyReLU(SLOPE))

    def forward(self, h: Tensor) -> Tensor:
        return self.after(h + self.layers(h))


class _Affine(nn.Module):
    """Batch normalisation that nothing comes before."""

    def __init__(self, normal: nn.Module):
        super().__init__()
        scale, shift = _affine(normal)
        self.register_buffer("scale", scale[:, None, None])
        self.register_buffer("shift", shift[:, None, None])

    scale: Tensor
    shift: Tensor

    def forward(self, h: Tensor) -> Tensor:
        return torch.addcmul(self.shift, h, self.scale)


def _affine(normal: nn.Module) -> tuple[Tensor, Tensor]:
    """What batch normalisation multiplies by and adds, (C,) each."""
    assert isinstance(normal, nn.BatchNorm2d)
    assert normal.running_var is not None
    assert normal.running_mean is not None
    scale = normal.weight / (normal.running_var + normal.eps).sqrt()
    return scale, normal.bias - normal.running_mean * scale


def _scaled(weight: Tensor, scale: Tensor) -> Tensor:
    return weight * scale[:, None, None, None]


def _spread(weight: Tensor, axis: int) -> Tensor:
    """A filter's three taps on an enlarged picture as four taps of a transposed convolution, along one axis."""
    a, b, c = weight.unbind(axis)
    return torch.stack((c, b + c, a + b, a), axis)


def _laid_out(weight: Tensor) -> Tensor:
    return weight.detach().contiguous(memory_format=torch.channels_last)
