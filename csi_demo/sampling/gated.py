"""Drawing a hole's pixels from a Gated PixelCNN: the plain reference, and a path that reuses activations.

Both take the same frozen numbers and give the same pixels. A row of the vertical stack depends on finished rows only,
so it is computed at once; the horizontal stack has no memory of other rows, so within a row only its new column is
computed for every pixel. Levels are drawn by inverting the cumulative distribution: a slider that changes the
distribution a little moves a level a little. Everything runs in the dtype of the model.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import cast

import torch
from torch import Tensor
from torch.nn import functional as F

from ..models.gated_pixelcnn import GatedLayer, GatedPixelCNN, gate
from ..models.level_heads import LEVELS, intensity_features, intensity_width, levels_of

Window = tuple[slice, slice]  # rows and columns of a frame
WHOLE: Window = (slice(None), slice(None))


@dataclass(frozen=True)
class Conditions:
    """What holes are drawn under, in a part of the frame.

    whole: s of the whole frame, (k m, M, H, W), and h: (k m, embedding), of m pictures, m = n, the samples, or 1, which
    they share; k = 2 where they are followed by those of the same pictures with nothing known of the face, against
    which guidance sharpens. prediction: the context's prediction, of the head's `prediction`, (k m, H, W, ...).
    """

    model: GatedPixelCNN
    whole: Tensor
    h: Tensor
    prediction: Tensor
    samples: int
    part: Window
    versions: int  # k n

    @classmethod
    def of(
        cls,
        model: GatedPixelCNN,
        x: Tensor,
        mask: Tensor,
        y: Tensor,
        known: Tensor,
        guided: bool,
        part: Window = WHOLE,
        samples: int | None = None,
    ) -> Conditions:
        """Of masked pictures (m, 3, H, W), (m, 1, H, W) and what is known of the faces, (m, A) each. samples: of m = 1
        picture, in place of one of each. Every picture is taken alone, so that it does not depend on its batch."""
        versions = [known, torch.zeros_like(known)] if guided else [known]
        found = [
            model.conditions(*(tensor[k : k + 1] for tensor in (x, mask, y, flags)))
            for flags in versions
            for k in range(len(x))
        ]
        count = samples or len(x)
        maps, h = (torch.cat(parts) for parts in zip(*found, strict=True))
        places = maps.permute(0, 2, 3, 1).to(model.skip.weight.dtype)
        prediction = torch.cat([model.head.prediction(part) for part in places.split(1)])
        return cls(model, maps, h, prediction, count, part, len(versions) * count)

    @property
    def own(self) -> list[int]:
        """Which of the pictures' conditions each version, (k n), is drawn under."""
        return [k * len(self.h) // self.versions for k in range(self.versions)]

    @property
    def part_prediction(self) -> Tensor:
        """The context's prediction in the part, of the m pictures: (k m, H, W, ...)."""
        return self.prediction[:, self.part[0], self.part[1]]

    @cached_property
    def maps(self) -> Tensor:
        """s of every version, (k n, M, H, W) of the part, in the dtype of the stacks."""
        return self.whole[:, :, self.part[0], self.part[1]][self.own].to(self.model.skip.weight.dtype)

    @cached_property
    def biases(self) -> tuple[Tensor, ...]:
        """V * s + V h of every layer and version: (k n, 4 p, H, W), in the dtype of the stacks."""
        maps = self.whole[:, :, self.part[0], self.part[1]]
        found = [self.model.biases(maps[k : k + 1], self.h[k : k + 1]) for k in range(len(maps))]
        dtype = self.model.skip.weight.dtype
        return tuple(torch.cat(layer)[self.own].to(dtype) for layer in zip(*found, strict=True))


def window(model: GatedPixelCNN, hole: Tensor) -> Window:
    """Rows and columns around a hole (H, W), true = hole, beyond which nothing counts for its pixels."""
    where = hole.nonzero()
    (top, left), (bottom, right) = where.amin(0).tolist(), where.amax(0).tolist()
    reach = model.reach
    return slice(max(0, top - reach), bottom + 1), slice(max(0, left - reach), right + reach + 1)


def to_precision(model: GatedPixelCNN, dtype: torch.dtype) -> GatedPixelCNN:
    """Moves the stacks and the head to a dtype, in place; the context network, which no draw repeats, stays."""
    for name in ("vertical_input", "horizontal_input", "layers", "skip", "head"):
        getattr(model, name).to(dtype)
    return model


@dataclass(frozen=True)
class SamplingOptions:
    """How distributions are sharpened before they are drawn from; likelihoods are those of the model as it is."""

    temperature: float = 1.0  # logits are divided by it
    guidance: float = 1.0  # l = u + guidance * (c - u), log-probabilities with and without what is known of the face
    context: float = 0.0  # weight of the logits of the context's prediction, which are added
    support: float = math.inf  # nats that a level may be less likely than the likeliest, before guidance, to be drawn

    def sharpened(self, log_probs: Tensor, samples: int) -> Tensor:
        """(k n, 256) to (n, 256)."""
        drawn = log_probs[:samples]
        unlikely = drawn < drawn.amax(-1, keepdim=True) - self.support
        if len(log_probs) > samples:
            drawn = log_probs[samples:] + self.guidance * (drawn - log_probs[samples:])
        return (drawn / self.temperature).masked_fill(unlikely, -math.inf)


def frozen_uniforms(seeds: Sequence[int], height: int, width: int) -> Tensor:
    """Numbers in (0, 1), (n, H, W, 3), row k from seeds[k] alone."""
    rows = []
    for seed in seeds:
        generator = torch.Generator().manual_seed(seed)
        rows.append(torch.rand((height, width, 3), generator=generator, dtype=torch.float64))
    return torch.stack(rows)


def invert(logits: Tensor, uniform: Tensor) -> Tensor:
    """Intensities in [-1, 1] (...), whose levels the logits (..., 256) describe, for numbers (...) in (0, 1)."""
    cumulative = torch.softmax(logits.double(), -1).cumsum(-1)
    level = (cumulative < uniform[..., None]).sum(-1).clamp(max=LEVELS - 1)
    return level.to(logits.dtype) / 127.5 - 1.0


def draw(
    model: GatedPixelCNN,
    features: Tensor,
    context: Tensor,
    prediction: Tensor,
    uniform: Tensor,
    samples: int,
    sampling: SamplingOptions,
) -> tuple[Tensor, Tensor]:
    """One pixel of every sample: intensities (n, 3) and -log p (n,) in nats, by the model as it is.

    features: (k n, F); context, prediction: of the head's `from_maps` and `prediction`, (k n, ...); uniform: (n, 3).
    """
    hidden, nll = model.head.from_features(features), features.new_zeros(samples)
    pixel = features.new_zeros(samples, 0)
    for channel in range(3):
        before = pixel.repeat(len(features) // samples, 1)
        log_probs = model.head.log_probs(hidden, context, before)
        liked = log_probs
        if sampling.context:
            liked = liked + sampling.context * model.head.pictured(prediction, before)
        value = invert(sampling.sharpened(liked, samples), uniform[:, channel])
        nll = nll - log_probs[:samples].gather(1, levels_of(value)[:, None])[:, 0]
        pixel = torch.cat((pixel, value[:, None]), 1)
    return pixel, nll


def sample_reference(
    model: GatedPixelCNN, x: Tensor, mask: Tensor, conditions: Conditions, uniforms: Tensor, sampling: SamplingOptions
) -> Iterator[tuple[Tensor, Tensor, float]]:
    """Runs both stacks over the whole picture once for every hole pixel. Arguments and result as `sample_rows`."""
    n, hole = conditions.samples, mask[0, 0] < 0.5
    x, nll = (x * mask).clone(), x.new_zeros(n, *hole.shape)
    pixels, prediction = hole.nonzero().tolist(), conditions.part_prediction[conditions.own]
    times = len(conditions.maps) // n
    for done, (row, column) in enumerate(pixels, 1):
        features = model.features(x.repeat(times, 1, 1, 1), conditions.biases)[:, :, row, column]
        said = model.head.from_maps(conditions.maps[:, :, row, column]), prediction[:, row, column]
        drawn, nll[:, row, column] = draw(model, features, *said, uniforms[:, row, column], n, sampling)
        x[:, :, row, column] = drawn
        if done == len(pixels) or pixels[done][0] != row:
            yield x, nll, done / len(pixels)


def sample_rows(
    model: GatedPixelCNN, x: Tensor, mask: Tensor, conditions: Conditions, uniforms: Tensor, sampling: SamplingOptions
) -> Iterator[tuple[Tensor, Tensor, float]]:
    """Draws the hole's pixels, all samples at once, reusing activations.

    x: (n, 3, H, W), hole pixels ignored; mask: (1 or n, 1, H, W), the same hole for all; uniforms: (n, H, W, 3). Yields
    pictures so far (n, 3, H, W), -log p (n, H, W) of the pixels drawn, in nats and 0 elsewhere, and the share of the
    pixels drawn, after every row with hole pixels; the tensors yielded are those being filled.
    """
    n, hole = conditions.samples, mask[0, 0] < 0.5
    nll, total, done = x.new_zeros(n, *hole.shape), int(hole.sum()), 0
    rows = _Rows(model, x * mask, conditions)
    context = model.head.from_maps(conditions.maps[:, :, hole].mT)  # (k n, P, ...)
    prediction = conditions.part_prediction[conditions.own][:, hole]
    first, last = hole.any(1).nonzero().flatten()[[0, -1]].tolist()
    for row in range(max(0, first - model.config.layers * (model.config.kernel // 2)), last + 1):
        rows.begin(row)
        columns = hole[row].nonzero().flatten().tolist()
        if not columns:
            continue
        rows.begin_columns(row, columns[0])
        for column in range(columns[0], columns[-1] + 1):
            features = rows.column(row, column)
            if hole[row, column]:
                said = context[:, done], prediction[:, done]
                drawn, nll[:, row, column] = draw(model, features, *said, uniforms[:, row, column], n, sampling)
                rows.write(row, column, drawn)
                done += 1
        yield rows.pixels[:n], nll, done / total


class _Rows:
    """Both stacks of one batch, row by row. A row is (k n, p, 1, W); a column (k n, p)."""

    def __init__(self, model: GatedPixelCNN, x: Tensor, conditions: Conditions):
        self.model, config = model, model.config
        self.times = len(conditions.maps) // conditions.samples
        self.layers = cast(list[GatedLayer], list(model.layers))
        self.biases = conditions.biases
        self.reach, self.first = config.kernel // 2, config.first_kernel // 2
        seen = torch.cat((intensity_features(x), torch.ones_like(x[:, :1])), 1).repeat(self.times, 1, 1, 1)
        self.seen = F.pad(seen, (self.first, self.first, self.first, 0))  # zeros beyond the border
        self.pixels = x.clone()
        blank = seen.new_zeros(len(seen), config.filters, 1, x.shape[3])
        self.above = [[blank] * self.reach for _ in self.layers]  # the vertical stack's inputs, one row up and more
        self.column_weights = [self._column_weight(layer) for layer in self.layers]
        self.residual_weights = [layer.residual.weight[:, :, 0, 0].T.contiguous() for layer in self.layers]
        self.skip_weight = model.skip.weight[:, :, 0, 0].T.contiguous()
        self.input_weight = model.horizontal_input.weight[:, :, 0].permute(2, 1, 0).flatten(0, 1).contiguous()

    @staticmethod
    def _column_weight(layer: GatedLayer) -> Tensor:
        """((reach + 1) p, 2 p), columns from left to right."""
        return layer.horizontal.weight[:, :, 0].permute(2, 1, 0).flatten(0, 1).contiguous()

    def begin(self, row: int) -> None:
        """The next row of the vertical stack, and what it gives to every layer of the horizontal one."""
        entrance = self.model.vertical_input
        v = self.start = F.conv2d(self.seen[:, :, row : row + self.first], entrance.weight, entrance.bias)
        self.given = []
        for index, layer in enumerate(self.layers):
            for_v, for_h = self.biases[index][:, :, row : row + 1].chunk(2, 1)
            window = F.pad(torch.cat((*self.above[index], v), 2), (self.reach, self.reach))
            raised = F.conv2d(window, layer.vertical.weight, layer.vertical.bias) + for_v
            self.above[index] = [*self.above[index], v][1:]
            self.given.append(layer.across(raised) + for_h)
            above = gate(raised)
            v = v + above if layer.vertical_residual else above

    def begin_columns(self, row: int, column: int) -> None:
        """The horizontal stack of this row up to a column, which prepares `column` calls from there on."""
        entrance = self.model.horizontal_input
        here = self.seen[:, :, row + self.first : row + self.first + 1]
        h = self.start + F.conv2d(here[..., : -self.first - 1], entrance.weight, entrance.bias)
        self.left, self.shares = [], []
        for layer, given in zip(self.layers, self.given, strict=True):
            padded = F.pad(h, (self.reach, 0))
            self.left.append([padded[:, :, 0, column + back] for back in range(self.reach)])
            self.shares.append((given[:, :, 0] + cast(Tensor, layer.horizontal.bias)[:, None]).mT.contiguous())
            gated = gate(F.conv2d(padded, layer.horizontal.weight, layer.horizontal.bias) + given)
            h = h + layer.residual(gated)

    def column(self, row: int, column: int) -> Tensor:
        """What the stacks say of one pixel: (k n, head_filters), given all before it."""
        entrance = self.model.horizontal_input
        before = self.seen[:, :, row + self.first, column : column + self.first].mT.flatten(1)
        h = self.start[:, :, 0, column] + torch.addmm(cast(Tensor, entrance.bias), before, self.input_weight)
        every = []
        for index, layer in enumerate(self.layers):
            inputs = torch.cat((*self.left[index], h), 1)
            gated = gate(torch.addmm(self.shares[index][:, column], inputs, self.column_weights[index]))
            self.left[index] = [*self.left[index], h][1:]
            h = h + torch.addmm(cast(Tensor, layer.residual.bias), gated, self.residual_weights[index])
            every.append(gated)
        return torch.addmm(cast(Tensor, self.model.skip.bias), torch.cat(every, 1), self.skip_weight)

    def write(self, row: int, column: int, pixel: Tensor) -> None:
        """Puts drawn pixels (n, 3) where all that follows sees them."""
        self.pixels[:, :, row, column] = pixel
        described = intensity_features(pixel).repeat(self.times, 1)
        self.seen[:, : 3 * intensity_width(), row + self.first, column + self.first] = described


def bits_per_dim(nll: Tensor, hole: Tensor) -> Tensor:
    """Mean bits (n,) a hole pixel and channel, of -log p (n, H, W) in nats; hole: (H, W)."""
    return nll[:, hole].mean(1) / (3.0 * math.log(2.0))
