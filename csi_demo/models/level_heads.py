"""From features of a pixel to the distribution of its three channels: a 256-way softmax each, or a mixture.

Both heads add what the context network says alone to what the stacks say, and can tell how likely a pixel is under the
context alone, so that a loss of its own keeps the context from being ignored (Dahl et al. 2017, "Pixel Recursive Super
Resolution", section 3.3). Everything is along the last axis: features (..., F), maps (..., M), pixels (..., 3).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from . import logistic_mixture

HEADS = ("softmax", "mixture")
LEVELS = 256
OCTAVES = 4  # of sines and cosines that describe an intensity
WIDEST, NARROWEST = 0.0, -6.0  # logarithms of the scales that bumps may have, of a range of 2
TINY = 1e-30  # density far from all bumps, where theirs is no number any more
FOLLOWS = 0.88  # how far a channel strays from the context's prediction where the one before does so by 1
APART = 0.4  # how far it strays beyond that, where it would by 1; both as validation faces do


def intensity_width() -> int:
    """How many features describe one channel's intensity."""
    return 1 + 2 * OCTAVES


def intensity_features(x: Tensor, dim: int = 1) -> Tensor:
    """Intensities in [-1, 1], C of them along an axis, as C * 9 features: the value, and sines and cosines of it.

    They tell levels apart that lie close together, as an embedding of each level would, and neighbours stay neighbours.
    """
    waves = [x]
    for octave in range(OCTAVES):
        angle = x * (math.pi * 2.0**octave)
        waves += [torch.sin(angle), torch.cos(angle)]
    return torch.cat(waves, dim)


def levels_of(x: Tensor) -> Tensor:
    """Index 0 to 255 of intensities in [-1, 1]."""
    return torch.round((x + 1.0) * 127.5).long()


class SoftmaxHead(nn.Module):
    """256 logits for red, for green given red, and for blue given red and green.

    Logits are free, one for each level, and added to the logarithm of a few logistic bumps: with free logits alone a
    network has to learn from examples that 100 and 101 are alike, which takes more pictures than we have.
    """

    def __init__(self, features: int, maps: int, anchors: int, mixtures: int):
        super().__init__()
        self.anchors, width = anchors, features
        self.trunk = nn.Linear(features, 3 * width)
        self.before = nn.ModuleList(nn.Linear(channel * intensity_width(), width) for channel in (1, 2))
        # A bump's weight, mean and scale, and how its mean follows the channels before; then the free logits.
        outs = [nn.Linear(width, (3 + channel) * anchors + LEVELS) for channel in range(3)]
        self.out = nn.ModuleList(outs)
        self.from_context = nn.Linear(maps, 3 * (3 + LEVELS))  # one bump
        with torch.no_grad():
            for channel, layer in enumerate(outs):
                self._start(layer, anchors, channel)
            self.from_context.weight.mul_(0.3)
            for channel in range(3):
                start = channel * (3 + LEVELS)
                self.from_context.bias[start : start + 3] = torch.tensor([0.0, 0.0, -1.0])
                self.from_context.weight[start + 3 : start + 3 + LEVELS] = 0.0
                self.from_context.bias[start + 3 : start + 3 + LEVELS] = 0.0

    @staticmethod
    def _start(layer: nn.Linear, anchors: int, channel: int) -> None:
        layer.weight.mul_(0.3)
        layer.bias.zero_()
        layer.bias[anchors : 2 * anchors] = torch.linspace(-0.3, 0.3, anchors)
        layer.bias[2 * anchors : 3 * anchors] = torch.linspace(-2.5, -1.0, anchors)
        layer.bias[3 * anchors : 4 * anchors] = 1.0 if channel else 0.0  # green follows red, blue follows red
        layer.weight[-LEVELS:] = 0.0
        layer.bias[-LEVELS:] = 0.0

    def from_features(self, features: Tensor) -> Tensor:
        """What the channels' logits start from, (..., 3, width), before they know of other channels."""
        return self.trunk(F.relu(features)).unflatten(-1, (3, -1))

    def from_maps(self, maps: Tensor) -> Tensor:
        """Logits (..., 3, 256) of the channels by the context alone, which knows of no other channel."""
        parts = self.from_context(F.elu(maps)).unflatten(-1, (3, 3 + LEVELS)).to(_exact(maps))
        return _levels(parts[..., :3], None, 1) + parts[..., 3:]

    def prediction(self, maps: Tensor) -> Tensor:
        """Means and log-scales (..., 3, 2) of the context's prediction. Its bumps alone count, in which
        levels that are often seen anywhere, as black and white, are not."""
        return torch.stack(self.sketch(maps), -1)

    def sketch(self, maps: Tensor) -> tuple[Tensor, Tensor]:
        """Means and log-scales (..., 3) of the context's own bumps: its prediction, and how sure."""
        weight, bias = (
            tensor.unflatten(0, (3, 3 + LEVELS))[:, 1:3].flatten(0, 1)
            for tensor in (self.from_context.weight, self.from_context.bias)
        )
        means, scales = F.linear(F.elu(maps), weight, bias).to(_exact(maps)).unflatten(-1, (3, 2)).unbind(-1)
        return means, scales.clamp(NARROWEST, WIDEST)

    def sketch_nll(self, x: Tensor, maps: Tensor) -> Tensor:
        """-log of the bumps' density at pixels x (..., 3), in nats a level, (...): cheap enough for all pixels."""
        means, scales = self.sketch(maps)
        far = ((x - means) * torch.exp(-scales)).abs()
        return (far + 2.0 * F.softplus(-far) + scales + math.log(127.5)).sum(-1)

    def log_probs(self, hidden: Tensor, context: Tensor, before: Tensor) -> Tensor:
        """Log-probabilities (..., 256), adding up to 1, of the next channel's levels.

        hidden: as of `from_features`; context: as of `from_maps`; before: (..., C), the channels before, C = 0, 1, 2.
        """
        channel = before.shape[-1]
        own = hidden[..., channel, :]
        if channel:
            own = own + self.before[channel - 1](intensity_features(before, -1))
        out = self.out[channel](F.relu(own)).to(_exact(own))
        logits = _levels(out[..., :-LEVELS], before.to(out.dtype), self.anchors) + out[..., -LEVELS:]
        return F.log_softmax(logits + context[..., channel, :], -1)

    def pictured(self, prediction: Tensor, before: Tensor) -> Tensor:
        """Logits (..., 256) of the next channel's levels in the context's prediction, of `prediction`.

        A pixel may be lighter or darker than that, and then is so in all channels: its colour stays.
        """
        channel = before.shape[-1]
        mean, scale = prediction[..., channel, 0], prediction[..., channel, 1]
        if channel:
            mean = mean + FOLLOWS * (before[..., -1] - prediction[..., channel - 1, 0])
            scale = scale + math.log(APART)
        far = ((_grid(prediction) - mean[..., None]) * torch.exp(-scale)[..., None]).abs()
        return -far - 2.0 * F.softplus(-far)

    def nll(self, x: Tensor, features: Tensor, maps: Tensor) -> tuple[Tensor, Tensor]:
        """-log p of pixels x (..., 3), in nats, (...): given all there is, and given the context alone."""
        hidden, context, target = self.from_features(features), self.from_maps(maps), levels_of(x)[..., None]
        whole = [
            -self.log_probs(hidden, context, x[..., :channel]).gather(-1, target[..., channel, :])[..., 0]
            for channel in range(3)
        ]
        alone = -F.log_softmax(context, -1).gather(-1, target)[..., 0]
        return torch.stack(whole).sum(0), alone.sum(-1)


def _exact(x: Tensor) -> torch.dtype:
    """What levels are computed in: at least float32."""
    return torch.promote_types(x.dtype, torch.float32)


def _grid(like: Tensor) -> Tensor:
    """The levels' intensities (256)."""
    return torch.linspace(-1.0, 1.0, LEVELS, device=like.device, dtype=like.dtype)


def _levels(parameters: Tensor, before: Tensor | None, bumps: int) -> Tensor:
    """Logarithm (..., 256), up to a constant, of a sum of logistic densities at the levels.

    parameters: (..., (3 + C) * bumps): weights, means, log-scales, and for each channel before (..., C) how far the
    mean follows it.
    """
    weights, means, scales, *slopes = parameters.split(bumps, -1)
    if before is not None:
        for channel, slope in enumerate(slopes):
            means = means + slope * before[..., channel, None]
    scales = scales.clamp(NARROWEST, WIDEST)
    grid = _grid(parameters)
    heights, narrowness = torch.exp(F.log_softmax(weights, -1) - scales), torch.exp(-scales)
    total: Tensor | float = TINY
    for index in range(bumps):
        slope_down = torch.exp(-((grid - means[..., index, None]) * narrowness[..., index, None]).abs())
        total = total + heights[..., index, None] * slope_down / (1.0 + slope_down).square()
    return torch.log(total)  # type: ignore[arg-type]


class MixtureHead(nn.Module):
    """Mixtures of discretised logistics as in PixelCNN++, whose parameters by stacks and by context are added."""

    def __init__(self, features: int, maps: int, anchors: int, mixtures: int):
        super().__init__()
        outputs = logistic_mixture.channels(mixtures)
        self.trunk = nn.Linear(features, features)
        self.out = nn.Linear(features, outputs)
        self.from_context = nn.Linear(maps, outputs)
        with torch.no_grad():
            for layer in (self.out, self.from_context):
                layer.weight.mul_(0.3)
                layer.bias.zero_()
            self.from_context.bias[4 * mixtures : 7 * mixtures] = -1.0  # log-scales

    def from_features(self, features: Tensor) -> Tensor:
        """What the stacks add to the mixture's parameters: (..., 10 K)."""
        return self.out(F.relu(self.trunk(F.relu(features)))).to(_exact(features))

    def from_maps(self, maps: Tensor) -> Tensor:
        """Mixture parameters (..., 10 K) by the context alone."""
        return self.from_context(F.elu(maps)).to(_exact(maps))

    def sketch_nll(self, x: Tensor, maps: Tensor) -> Tensor:
        """-log p of pixels x (..., 3) given the context alone, in nats, (...)."""
        return -logistic_mixture.log_prob(x, self.from_maps(maps))

    def log_probs(self, hidden: Tensor, context: Tensor, before: Tensor) -> Tensor:
        """Log-probabilities (..., 256), adding up to 1, of the next channel's levels; see `SoftmaxHead.log_probs`."""
        return logistic_mixture.level_log_probs(hidden + context, before)

    def prediction(self, maps: Tensor) -> Tensor:
        """The context's prediction: all of it."""
        return self.from_maps(maps)

    def pictured(self, prediction: Tensor, before: Tensor) -> Tensor:
        """Logits (..., 256) of the next channel's levels in the context's prediction, of `prediction`."""
        return logistic_mixture.level_log_probs(prediction, before)

    def nll(self, x: Tensor, features: Tensor, maps: Tensor) -> tuple[Tensor, Tensor]:
        """-log p of pixels x (..., 3), in nats, (...): given all there is, and given the context alone."""
        context = self.from_maps(maps)
        whole = self.from_features(features) + context
        return -logistic_mixture.log_prob(x, whole), -logistic_mixture.log_prob(x, context)
