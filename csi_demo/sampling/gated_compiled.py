"""The compiled way of drawing from a Gated PixelCNN: what `gated_kernel` needs, laid out once, and one fill at a time.

In float32 a sample is the same, bit for bit, in any batch. `code.ready`: numba may be missing, or still compiling.
"""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..models.gated_pixelcnn import GatedLayer, GatedPixelCNN, GatedPixelCNNConfig
from ..models.level_heads import LEVELS, SoftmaxHead, intensity_features, intensity_width
from .gated import Conditions, SamplingOptions
from .machine_code import LANES, MachineCode, blank, to_numpy, up


def can_compile(config: GatedPixelCNNConfig) -> bool:
    """Whether the kernel draws from such a model: a softmax head, and channels that fill its vectors."""
    return config.head == "softmax" and config.filters % LANES == 0 and config.head_filters % LANES == 0


class Layout:
    """A model's stacks and head with the weights laid out for the kernel, in one dtype. See `can_compile`."""

    @torch.no_grad()
    def __init__(self, model: GatedPixelCNN, dtype: torch.dtype = torch.float32):
        self.config, self.dtype, head = model.config, dtype, cast(SoftmaxHead, deepcopy(model.head).to(dtype))
        self._head = head
        layers = cast(list[GatedLayer], list(model.layers))
        self.weights = (
            self._flat(model.vertical_input.weight),
            self._flat(model.horizontal_input.weight),
            self._flat(*(layer.vertical.weight for layer in layers)),
            self._flat(*(layer.across.weight for layer in layers)),
            self._flat(*(layer.horizontal.weight for layer in layers)),
            self._flat(*(layer.residual.weight for layer in layers)),
        )
        self.offsets = (
            self._flat(model.vertical_input.bias),
            self._flat(model.horizontal_input.bias),
            self._flat(*(layer.vertical.bias for layer in layers)),
            self._flat(*(cast(Tensor, layer.horizontal.bias) + cast(Tensor, layer.across.bias) for layer in layers)),
            self._flat(*(layer.residual.bias for layer in layers)),
        )
        self.outs = up(5 * head.anchors + LEVELS)
        lasts = [(layer, self.outs - layer.out_features) for layer in cast(list[nn.Linear], list(head.out))]
        self.head = (
            self._flat(model.skip.weight),
            self._flat(model.skip.bias),
            self._flat(head.trunk.weight),
            self._flat(head.trunk.bias),
            self._flat(*(layer.weight for layer in head.before)),
            self._flat(*(layer.bias for layer in head.before)),
            self._flat(*(F.pad(layer.weight, (0, 0, 0, more)) for layer, more in lasts)),
            self._flat(*(F.pad(layer.bias, (0, more)) for layer, more in lasts)),
            head.anchors,
        )
        grid = torch.arange(LEVELS, dtype=dtype) / 127.5 - 1.0
        self.table = self._flat(torch.cat((intensity_features(grid[:, None], -1).flatten(), grid)))

    def context(self, conditions: Conditions, hole: Tensor) -> Tensor:
        """Logits (m, P, 3, 256) of the context alone at the pixels of a hole (H, W) of the conditions' part."""
        rows, columns = conditions.part
        return self._head.from_maps(conditions.whole[:, :, rows, columns][:, :, hole].mT.to(self.dtype))

    def biases(self, conditions: Conditions) -> Tensor:
        """(m, H, W, layers * 4 p): `GatedPixelCNN.biases` of the conditions' part.

        Every picture has a matrix product of its own, so that it does not depend on its batch.
        """
        (rows, columns), model = conditions.part, conditions.model
        maps = F.elu(conditions.whole[:, :, rows, columns]).permute(0, 2, 3, 1).to(self.dtype)
        weight = model.from_maps.weight[:, :, 0, 0].to(self.dtype)
        everywhere = model.from_embedding(conditions.h) + model.from_maps.bias
        result = maps.new_empty(*maps.shape[:3], len(weight))
        for picture, own, out in zip(maps, everywhere.to(self.dtype), result, strict=True):
            torch.addmm(own, picture.flatten(0, 1), weight.T, out=out.flatten(0, 1))
        return result

    def _flat(self, *weights: Any) -> np.ndarray:
        """Weights (outputs, inputs, rows, columns) as (weight, row, column, input, output), flat; matrices likewise."""
        orders = {4: (2, 3, 1, 0), 2: (1, 0), 1: (0,)}
        return to_numpy(torch.cat([weight.permute(orders[weight.dim()]).flatten() for weight in weights]), self.dtype)


class GatedFill:
    """One fill: pixels and what the kernel works in. Takes and yields what `gated.sample_rows` does, with a layout in
    the model's place. Iterate once."""

    def __init__(
        self,
        layout: Layout,
        x: Tensor,
        mask: Tensor,
        conditions: Conditions,
        uniforms: Tensor,
        sampling: SamplingOptions,
    ):
        config, dtype, hole = layout.config, layout.dtype, mask[0, 0] < 0.5
        (samples, _, height, width), versions = x.shape, conditions.versions
        layers, p, reach, first = config.layers, config.filters, config.kernel // 2, config.first_kernel // 2
        self.layout, self.hole, self.total = layout, to_numpy(hole, torch.bool), int(hole.sum())
        rows, columns = (hole.any(1 - axis).nonzero().flatten().tolist() for axis in (0, 1))
        self.rows = range(max(0, rows[0] - layers * reach), rows[-1] + 1)
        self.span = rows[0], columns[0], columns[-1] + 1
        self.pictures = (x * mask).to(dtype)
        described = torch.cat((intensity_features(self.pictures), torch.ones_like(self.pictures[:, :1])), 1)
        self.seen = _flat(F.pad(described, (first, first, first, 0)).permute(0, 2, 3, 1), dtype)
        self.sizes = samples, versions, layers, p, reach, first, described.shape[1], config.vertical_residual
        self.own = np.array(conditions.own)
        self.biases = _flat(layout.biases(conditions), dtype)
        self.context = _flat(layout.context(conditions, hole), dtype)
        self.prediction = _flat(conditions.part_prediction[:, hole], dtype)
        self.uniforms = to_numpy(uniforms, torch.float64)
        self.sampling = np.array(
            [sampling.temperature, sampling.guidance, sampling.context, sampling.support], self.seen.dtype
        )
        self.levels, self.nll = np.zeros((samples, height, width, 3), np.int64), np.zeros((samples, height, width))
        kind, wide = self.seen.dtype, config.head_filters
        self._ring = np.zeros(versions * layers * (reach + 1) * (width + 2 * reach) * p, kind)
        sizes: tuple[int | tuple[int, int], ...] = (
            width * p,
            width * 2 * p,
            versions * layers * (width + reach) * p,
            versions * layers * width * 2 * p,
            versions * width * layers * p,
            versions * wide,
            versions * 3 * wide,
            versions * wide,
            versions * layout.outs,
            2 * intensity_width(),
            3,
            (3, LEVELS),
            LEVELS,
        )
        self._work = tuple(np.zeros(size, kind) for size in sizes)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor, float]]:
        from . import gated_kernel

        done, kept = 0, self.layout
        levels, nll = torch.from_numpy(self.levels), torch.from_numpy(self.nll)
        layout = kept.table, kept.weights, kept.offsets, kept.head
        given = self.seen, self.own, self.biases, self.uniforms, self.context, self.prediction, self.sampling
        fill = *given, self._ring, self.levels, self.nll
        for row in self.rows:
            done = gated_kernel.fill_row(
                row, done, self.total, self.hole, self.span, self.sizes, layout, fill, self._work
            )
            if self.hole[row].any():
                drawn = levels[:, row].to(kept.dtype) / 127.5 - 1.0
                where = torch.from_numpy(self.hole[row])
                self.pictures[:, :, row, where] = drawn[:, where].mT
                yield self.pictures, nll, done / self.total


def _run(dtype: torch.dtype) -> None:
    """A fill of as little as the kernel can be run on."""
    config = GatedPixelCNNConfig(
        image_size=4,
        filters=LANES,
        layers=1,
        kernel=3,
        first_kernel=3,
        head_filters=LANES,
        condition_dim=1,
        embedding=1,
        context_channels=(8,),
        map_channels=1,
    )
    model, known = blank(lambda: GatedPixelCNN(config)), torch.zeros(1, 1)
    x, mask = torch.zeros(1, 3, 4, 4), torch.ones(1, 1, 4, 4)
    mask[..., 2, 2] = 0.0
    conditions = Conditions.of(model, x, mask, known, known, False)
    list(GatedFill(Layout(model, dtype), x, mask, conditions, torch.full((1, 4, 4, 3), 0.5), SamplingOptions()))


code = MachineCode("the gated kernel", "gated_kernel", _run)


def _flat(tensor: Tensor, dtype: torch.dtype) -> np.ndarray:
    return to_numpy(tensor, dtype).reshape(-1)
