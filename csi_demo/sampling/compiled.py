"""The compiled way of drawing a hole's pixels: what `kernel` needs, laid out once, and one fill at a time.

In float32 a sample is the same, bit for bit, in any batch. `code.ready`: numba may be missing, or still compiling.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..models import logistic_mixture
from ..models.logistic_mixture import Guide
from ..models.pixelcnn import PixelCNNStream
from .base import StreamModel, mixtures_of
from .machine_code import LANES, MachineCode, blank, to_numpy, up


def regions(blocks: int, hole: np.ndarray) -> np.ndarray:
    """Where each block's activations matter to the hole (H, W), true = hole: (blocks, 6, 3).

    A region is first row, first column, column after the last, all rows down to the hole's last; the six are those of
    `kernel`: input, middle and output of the block's vertical stack, then of its horizontal one. Every convolution
    widens what it reads by a row above, the horizontal ones by a column to the left, the vertical ones by one to each
    side; the vertical output feeds the horizontal middle.
    """
    rows, columns = np.flatnonzero(hole.any(1)), np.flatnonzero(hole.any(0))
    table = np.empty((blocks, 6, 3), np.int64)
    for block in range(blocks):
        later = 2 * (blocks - 1 - block)
        grown = [(later + more, later + more - 1) for more in (3, 2, 1)] + [(later + more, 0) for more in (2, 1, 0)]
        for kind, (before, right) in enumerate(grown):
            table[block, kind] = (
                max(0, rows[0] - before),
                max(0, columns[0] - before),
                min(hole.shape[1], columns[-1] + 1 + right),
            )
    return table


@dataclass(frozen=True)
class Box:
    """The part of a picture in which anything has to be computed."""

    top: int
    left: int
    rows: int
    columns: int

    @classmethod
    def around(cls, blocks: int, hole: np.ndarray) -> Box:
        """Of a hole (H, W), true = hole."""
        top, left, end = regions(blocks, hole)[0, 0].tolist()
        return cls(top, left, int(np.flatnonzero(hole.any(1))[-1]) + 1 - top, end - left)

    def cut(self, tensor: Tensor) -> Tensor:
        """(..., H, W) to (..., rows, columns)."""
        return tensor[..., self.top : self.top + self.rows, self.left : self.left + self.columns]


class Stream:
    """A model's forward stream and its conditioning with the weights laid out for the kernel, in one dtype."""

    @torch.no_grad()
    def __init__(self, model: StreamModel, dtype: torch.dtype = torch.float32):
        self.mixtures, self.dtype, stream = mixtures_of(model), dtype, model.forward_stream
        self.blocks, self.filters = stream.blocks, stream.filters
        self.padded = up(self.filters)
        vertical: list[Any] = list(stream.vertical)
        horizontal: list[Any] = list(stream.horizontal)
        across: list[Any] = list(stream.across)
        self.weights = (
            self._flat([stream.vertical_input.weight], pad_inputs=False),
            self._flat([block.first.weight for block in vertical]),
            self._flat([block.second.weight for block in vertical]),
            self._flat([layer.weight for layer in across]),
            self._flat([stream.horizontal_input.weight], pad_inputs=False),
            self._flat([block.first.weight for block in horizontal]),
            self._flat([block.second.weight for block in horizontal]),
            self._flat([model.head.weight], head=True),
        )
        head_bias = model.head.bias
        assert head_bias is not None
        self.offsets = (
            self._flat_biases([cast(Tensor, stream.vertical_input.bias)]),
            self._flat_biases([block.second.bias for block in vertical]),
            self._flat_biases([cast(Tensor, stream.horizontal_input.bias)]),
            self._flat_biases([block.second.bias for block in horizontal]),
            to_numpy(F.pad(head_bias, (0, up(len(head_bias)) - len(head_bias))), dtype),
        )
        own = [
            bias
            for index in range(self.blocks)
            for bias in (vertical[index].first.bias, horizontal[index].first.bias + across[index].bias)
        ]
        self.own = self._pad(torch.cat(own)).to(dtype)  # (2 * blocks * F padded)
        self.map_weight, self.map_bias = self._conditioning(model, "from_maps")
        self.context_weight, self.context_bias = self._conditioning(model, "from_context")
        self.levels = to_numpy(torch.arange(256, dtype=dtype) / 127.5 - 1.0, dtype)

    def _pad(self, tensor: Tensor) -> Tensor:
        """(..., parts * F) to (..., parts * padded)."""
        parts = tensor.unflatten(-1, (-1, self.filters))
        return F.pad(parts, (0, self.padded - self.filters)).flatten(-2)

    def _flat(self, weights: list[Tensor], pad_inputs: bool = True, head: bool = False) -> np.ndarray:
        """Convolutions' weights (outputs, inputs, rows, columns) as (convolution, row, column, input, output), flat."""
        parts = []
        for weight in weights:
            matrix = weight.permute(2, 3, 1, 0)
            outputs = matrix.shape[-1]
            matrix = F.pad(matrix, (0, up(outputs) - outputs)) if head else self._pad(matrix)
            if pad_inputs:
                matrix = F.pad(matrix, (0, 0, 0, self.padded - self.filters))
            parts.append(matrix.flatten())
        return to_numpy(torch.cat(parts), self.dtype)

    def _flat_biases(self, biases: list[Tensor]) -> np.ndarray:
        return to_numpy(torch.cat([self._pad(bias) for bias in biases]), self.dtype)

    def _conditioning(self, model: StreamModel, name: str) -> tuple[Tensor | None, Tensor | None]:
        """A 1x1 convolution as a matrix (inputs, 2 * blocks * F padded) and its bias; None where there is none."""
        if not hasattr(model, name):
            return None, None
        layer = getattr(model, name)
        weight = self._pad(layer.weight[:, :, 0, 0].T).contiguous()
        return weight.to(self.dtype), self._pad(layer.bias).to(self.dtype)

    def constant(self, mask: Tensor, context: Tensor | None, box: Box) -> Tensor:
        """What every latent shares: biases (rows * columns, 2 * blocks * F padded) of the mask and the reverse stream.

        mask: (1, 1, H, W); context: (1, F, H, W), the reverse stream's features, or None.
        """
        total = self.own.expand(box.rows * box.columns, -1)
        if self.map_bias is not None:
            total = total + self.map_bias
        if context is not None and self.context_weight is not None and self.context_bias is not None:
            features = box.cut(torch.cat((F.elu(context), mask.to(context.dtype)), 1))[0].flatten(1).T.to(self.dtype)
            total = total + self.context_bias + features @ self.context_weight
        return total.contiguous()

    def biases_of_maps(self, constant: Tensor, maps: Tensor | None, count: int, box: Box) -> Tensor:
        """Biases (n, rows, columns, 2 * blocks * F padded) of the decoder's maps (n, M, H, W), or of none.

        Every sample has a matrix product of its own, so that it does not depend on the batch.
        """
        result = constant.new_empty(count, *constant.shape)
        for index in range(count):
            if maps is None or self.map_weight is None:
                result[index] = constant
            else:
                features = box.cut(maps[index]).flatten(1).T.to(self.dtype)
                torch.addmm(constant, features, self.map_weight, out=result[index])
        return result.unflatten(1, (box.rows, box.columns))

    def biases_of(self, biases: Tensor | None, count: int, box: Box) -> Tensor:
        """Biases as `biases_of_maps` gives them, from those that the model takes, (n, 2 * blocks * F, H, W) or None."""
        if biases is None:
            return self.own.expand(count, box.rows, box.columns, -1).contiguous()
        return (self._pad(box.cut(biases).permute(0, 2, 3, 1).to(self.dtype)) + self.own).contiguous()


class Fill:
    """One fill: pixels and what the kernel works in. Iterate, once, to draw; then `params` is complete.

    x: (n, 3, H, W), hole pixels ignored unless they are given; mask: (n, 1, H, W), 1 = observed, may differ between
    samples; biases: as of `Stream.biases_of_maps`; noise: (n, H, W, K + 3), or None: the hole's pixels are given in x,
    and only predicted. `params` are the model's own, before a guide changes them.
    """

    def __init__(
        self, stream: Stream, x: Tensor, mask: Tensor, biases: Tensor, noise: Tensor | None, guide: Guide | None = None
    ):
        count, _, height, width = x.shape
        self.stream, self.drawing = stream, noise is not None
        self.hole = to_numpy(mask[:, 0] < 0.5, torch.bool)
        self.union = np.ascontiguousarray(self.hole.any(0))
        self.regions = regions(stream.blocks, self.union)
        box = Box.around(stream.blocks, self.union)
        self.box = (box.top, box.left, box.rows, box.columns)
        assert biases.shape[:3] == (count, box.rows, box.columns), "biases of another hole"
        self.biases = to_numpy(biases.flatten(), stream.dtype)
        components = stream.mixtures
        self.noise = (
            np.zeros((count, height, width, components + 3)) if noise is None else to_numpy(noise, torch.float64)
        )
        self.guide = np.zeros((count, 1, 1, 3)), 0.0
        if guide is not None:
            self.guide = to_numpy(guide.towards.permute(0, 2, 3, 1), torch.float64), guide.deviation**2
        seen = x * mask.to(x.dtype) if self.drawing else x
        pixels = F.pad(torch.cat((seen, torch.ones_like(x[:, :1])), 1), (2, 1, 2, 0)).to(stream.dtype)
        self._pixels = pixels.permute(0, 2, 3, 1).contiguous()
        self.pixels = self._pixels[:, 2:, 2:-1, :3].permute(0, 3, 1, 2)  # (n, 3, H, W), a view
        self.total = int(self.union.sum())
        self._params = torch.zeros(self.total, count, len(stream.offsets[-1]), dtype=stream.dtype)
        channels = logistic_mixture.channels(components)
        self.params = self._params[:, :, :channels].transpose(0, 1)  # (n, pixels of the union in raster order, 10 K)
        padded, blocks = stream.padded, stream.blocks
        kind = self._pixels.numpy().dtype
        ring = (count, blocks, 2, width + 2, padded)  # two rows of a block's activations, a column of zeros each side
        self._rings = tuple(np.zeros(ring, kind).ravel() for _ in range(4))
        sizes = (
            width * padded,
            width * padded,
            width * 2 * padded,
            count * width * padded,
            count * blocks * width * padded,
            count * blocks * width * 2 * padded,
            count * padded,
            channels,
        )
        self._work = tuple(np.zeros(size, kind) for size in sizes)

    def __iter__(self) -> Iterator[tuple[Tensor, float]]:
        """Yields (pictures so far (n, 3, H, W), share of the pixels drawn) after every row with hole pixels."""
        from . import kernel

        stream, done = self.stream, 0
        pixels, params = self._pixels.numpy().reshape(-1), self._params.numpy().reshape(-1)
        weights, fill = (
            (stream.weights, stream.offsets),
            (pixels, self.biases, self.noise, self.guide, stream.levels, params),
        )
        where = self.hole, self.union, self.regions, stream.padded, self.box
        for row in range(self.box[0], self.box[0] + self.box[2]):
            done = kernel.fill_row(row, done, self.drawing, *where, weights, fill, self._rings, self._work)
            if self.union[row].any():
                yield self.pixels, done / self.total


class SharedFill:
    """A fill whose samples are shared out among threads; what comes out is the same. As `Fill`, but with the mask of
    all samples, (1, 1, H, W), and x likewise (1, 3, H, W)."""

    def __init__(
        self,
        stream: Stream,
        x: Tensor,
        mask: Tensor,
        biases: Tensor,
        noise: Tensor,
        threads: int,
        guide: Guide | None = None,
    ):
        shares = min(threads, len(biases))
        guides = [None] * shares if guide is None else guide.split(shares)
        self._parts = [
            Fill(
                stream, x.expand(len(some), -1, -1, -1), mask.expand(len(some), -1, -1, -1), some, its_noise, its_guide
            )
            for some, its_noise, its_guide in zip(
                biases.tensor_split(shares), noise.tensor_split(shares), guides, strict=True
            )
        ]

    @property
    def params(self) -> Tensor:
        return torch.cat([part.params for part in self._parts])

    def __iter__(self) -> Iterator[tuple[Tensor, float]]:
        steps = [iter(part) for part in self._parts]
        while True:
            later = [_threads().submit(next, step, None) for step in steps[1:]]
            done = [next(steps[0], None), *(task.result() for task in later)]
            found = [step for step in done if step is not None]
            if len(found) < len(steps):
                return
            yield torch.cat([pixels for pixels, _ in found]), found[0][1]


@cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(os.cpu_count() or 1, "fill")


def sample_compiled(
    stream: Stream, x: Tensor, mask: Tensor, biases: Tensor | None, noise: Tensor, guide: Guide | None = None
) -> Iterator[tuple[Tensor, float]]:
    """Draws the hole's pixels. Arguments and result as `sampling.sample_pixels`, with a stream in the model's place."""
    box = Box.around(stream.blocks, np.asarray(to_numpy(mask[:, 0] < 0.5, torch.bool).any(0)))
    yield from Fill(stream, x, mask, stream.biases_of(biases, len(x), box), noise, guide)


def entropy(x: Tensor, params: Tensor) -> Tensor:
    """Bits of uncertainty (...) about pixels (..., 3); as `logistic_mixture.entropy`, in float32, on all threads."""
    from . import kernel

    edges = (2.0 * torch.arange(256, dtype=torch.float32) + 1.0) / 255.0 - 1.0
    flat, result = to_numpy(params.flatten(0, -2), torch.float32), np.empty(x[..., 0].numel())
    parts = min(torch.get_num_threads(), max(1, len(result)))
    arrays = flat, to_numpy(x.reshape(-1, 3), torch.float64), result
    first, *others = zip(*(np.array_split(array, parts) for array in arrays), strict=True)

    def measure(one: np.ndarray, levels: np.ndarray, bits: np.ndarray) -> None:
        kernel.entropy(one, levels, edges.numpy(), bits)

    later = [_threads().submit(measure, *share) for share in others]
    measure(*first)
    for task in later:
        task.result()
    return torch.from_numpy(result).view(x.shape[:-1])


class _Smallest(nn.Module):
    """As little as the kernel can be run on."""

    def __init__(self) -> None:
        super().__init__()
        self.forward_stream = PixelCNNStream(3, LANES, 1)
        self.head = nn.Conv2d(LANES, logistic_mixture.channels(1), 1)

    def logits(self, x: Tensor, biases: Tensor | None) -> Tensor:
        return self.head(F.elu(self.forward_stream(x, biases)))


def _run(dtype: torch.dtype) -> None:
    """A fill of as little as the kernel can be run on."""
    stream = Stream(blank(_Smallest), dtype)
    x, mask = torch.zeros(1, 3, 4, 4), torch.ones(1, 1, 4, 4)
    mask[..., 2, 2] = 0.0
    list(sample_compiled(stream, x, mask, None, torch.zeros(1, 4, 4, 4, dtype=torch.float64)))
    entropy(torch.zeros(1, 3), torch.zeros(1, 10))


code = MachineCode("the kernel", "kernel", _run)


def after_fork() -> None:
    """In the child of a fork: threads of its own."""
    _threads.cache_clear()
