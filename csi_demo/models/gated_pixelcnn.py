"""Gated PixelCNN (van den Oord et al. 2016, "Conditional Image Generation with PixelCNN Decoders").

Two stacks without a blind spot: the vertical one sees all rows above a pixel, the horizontal one also the pixels to its
left. Every layer is gated, y = tanh(W_f * x + V_f h) . sigmoid(W_g * x + V_g h), and conditioned twice: everywhere on
h, an embedding of attributes or of a face, and per location on s, the maps of an unmasked network that sees the
context, the mask and h (section 2.3). A pixel's channels are drawn in the order red, green, blue.

Images are (B, 3, H, W) in [-1, 1] on 256 levels; masks (B, 1, H, W), 1 = observed (context), 0 = hole.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .level_heads import HEADS, MixtureHead, SoftmaxHead, intensity_features, intensity_width
from .pixelcnn import ShiftedConv2d

GROUPS = 8  # of channels that are normalised together in the context network


@dataclass(frozen=True)
class GatedPixelCNNConfig:
    """Everything needed to rebuild the module; stored as config.json beside its weights."""

    image_size: int = 64
    filters: int = 64  # p, of both stacks
    layers: int = 12
    kernel: int = 3  # side n of a layer's field, odd
    first_kernel: int = 7
    vertical_residual: bool = True  # not in the paper: the vertical stack learns faster with it
    head: str = "softmax"  # 256 levels a channel, or "mixture" of discretised logistics
    mixtures: int = 10  # of the mixture head
    anchors: int = 3  # bumps that the softmax head's free logits are added to
    head_filters: int = 96
    condition: str = "attributes"  # what h is made of: "attributes", "embedding", or "none"
    names: tuple[str, ...] = ()  # of the attributes, in order
    condition_dim: int = 40  # values in y, attributes or embedding
    embedding: int = 128  # values in h
    context_channels: tuple[int, ...] = (32, 64, 96, 128, 128)  # at 64, 32, 16, 8 and 4 pixels' width
    map_channels: int = 64  # of s
    context: bool = True  # whether s sees the context; if not, it knows h and the place, and the stacks go forward only

    def __post_init__(self) -> None:
        object.__setattr__(self, "names", tuple(self.names))
        object.__setattr__(self, "context_channels", tuple(self.context_channels))
        assert self.kernel % 2 == 1, f"kernel {self.kernel} has no middle"
        assert self.first_kernel % 2 == 1, f"first_kernel {self.first_kernel} has no middle"
        assert self.head in HEADS, f"head {self.head!r}, known: {HEADS}"
        assert self.condition in ("attributes", "embedding", "none"), f"unknown condition {self.condition!r}"
        halvings = 2 ** (len(self.context_channels) - 1)
        assert self.image_size % halvings == 0, f"image_size {self.image_size} is no multiple of {halvings}"

    def to_dict(self) -> dict[str, Any]:
        return asdict(self) | {"names": list(self.names), "context_channels": list(self.context_channels)}


class GatedLayer(nn.Module):
    """One layer of both stacks; see the module's text. `condition`: (B, 4 p, H, W), two halves for either stack.

    The vertical input is shifted down by a row once, at the entrance of the model, so that v at row i knows rows above
    i only and may enter the horizontal stack as it is.
    """

    def __init__(self, filters: int, kernel: int, vertical_residual: bool):
        super().__init__()
        reach = kernel // 2
        self.vertical = ShiftedConv2d(filters, 2 * filters, (reach + 1, kernel), (reach, reach, reach, 0))
        self.horizontal = ShiftedConv2d(filters, 2 * filters, (1, reach + 1), (reach, 0, 0, 0))
        self.across = nn.Conv2d(2 * filters, 2 * filters, 1)
        self.residual = nn.Conv2d(filters, filters, 1)
        self.vertical_residual = vertical_residual

    def forward(self, v: Tensor, h: Tensor, condition: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """v, h: (B, p, H, W). Returns the next v and h, and the gated values that go to the skip connection."""
        for_v, for_h = condition.chunk(2, 1)
        raised = self.vertical(v) + for_v  # (B, 2 p, H, W)
        gated = gate(self.horizontal(h) + self.across(raised) + for_h)  # (B, p, H, W)
        above = gate(raised)
        return v + above if self.vertical_residual else above, h + self.residual(gated), gated


def gate(x: Tensor) -> Tensor:
    """tanh of the first half of the channels times the sigmoid of the second."""
    signal, opening = x.chunk(2, 1)
    return torch.tanh(signal) * torch.sigmoid(opening)


class ConditionEmbedding(nn.Module):
    """h of what is known about a face: values y and a flag for each that says whether it is known."""

    def __init__(self, values: int, width: int):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(2 * values, width), nn.ELU(), nn.Linear(width, width), nn.ELU())

    def forward(self, y: Tensor, known: Tensor) -> Tensor:
        """y, known: (B, A), known 0 or 1. Returns (B, embedding)."""
        return self.layers(torch.cat((y * known, known), 1))


class _Refine(nn.Module):
    """x + convolutions of x, scaled and shifted by h."""

    def __init__(self, channels: int, embedding: int):
        super().__init__()
        self.norm = nn.GroupNorm(GROUPS, channels)
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)
        self.modulation = nn.Linear(embedding, 2 * channels)

    def forward(self, x: Tensor, h: Tensor) -> Tensor:
        scale, shift = self.modulation(h)[:, :, None, None].chunk(2, 1)
        inner = F.elu(self.norm(x) * (1.0 + scale) + shift)
        return x + self.second(F.elu(self.first(inner)))


class ContextNet(nn.Module):
    """s = m(context, mask, h), (B, M, H, W): a U-Net, unmasked, which may look everywhere but into the hole."""

    def __init__(self, channels: Sequence[int], embedding: int, outputs: int):
        super().__init__()
        self.stem = nn.Conv2d(6, channels[0], 3, padding=1)  # red, green, blue, mask, and where the pixel is
        self.down = nn.ModuleList(nn.Conv2d(a, b, 4, 2, 1) for a, b in pairwise(channels))
        self.seen = nn.ModuleList(_Refine(width, embedding) for width in channels)
        self.up = nn.ModuleList(nn.Conv2d(b, a, 3, padding=1) for a, b in pairwise(channels))
        self.drawn = nn.ModuleList(_Refine(width, embedding) for width in channels[:-1])
        self.last = nn.Conv2d(channels[0], outputs, 1)

    def forward(self, x: Tensor, mask: Tensor, h: Tensor) -> Tensor:
        """x: (B, 3, H, W), the hole ignored; mask: (B, 1, H, W); h: (B, embedding)."""
        height, width = x.shape[2:]
        down = torch.linspace(-1.0, 1.0, height, device=x.device, dtype=x.dtype)[:, None].expand(height, width)
        across = torch.linspace(-1.0, 1.0, width, device=x.device, dtype=x.dtype)[None].expand(height, width)
        place = torch.stack((down, across))[None].expand(len(x), -1, -1, -1)
        level = self.seen[0](self.stem(torch.cat((x * mask, mask, place), 1)), h)
        levels = [level]
        for halve, refine in zip(self.down, list(self.seen)[1:], strict=True):
            level = refine(halve(level), h)
            levels.append(level)
        for index in reversed(range(len(self.up))):
            wide = F.interpolate(level, scale_factor=2.0, mode="nearest")
            level = self.drawn[index](self.up[index](wide) + levels[index], h)
        return self.last(F.elu(level))


class GatedPixelCNN(nn.Module):
    """p(hole | context, y) = product over the hole's pixels and channels in raster and R, G, B order."""

    condition_mean: Tensor  # (A), of the training set
    condition_scale: Tensor  # (A)

    def __init__(self, config: GatedPixelCNNConfig):
        super().__init__()
        self.config, filters, first = config, config.filters, config.first_kernel // 2
        inputs = 3 * intensity_width() + 1
        self.vertical_input = ShiftedConv2d(
            inputs, filters, (first, config.first_kernel), (first, first, first, -1)
        )  # rows i - first to i - 1
        self.horizontal_input = ShiftedConv2d(inputs, filters, (1, first), (first, -1, 0, 0))  # mask A
        self.layers = nn.ModuleList(
            GatedLayer(filters, config.kernel, config.vertical_residual) for _ in range(config.layers)
        )
        self.skip = nn.Conv2d(config.layers * filters, config.head_filters, 1)
        self.embed = ConditionEmbedding(config.condition_dim, config.embedding)
        self.context = ContextNet(config.context_channels, config.embedding, config.map_channels)
        self.from_maps = nn.Conv2d(config.map_channels, config.layers * 4 * filters, 1)
        self.from_embedding = nn.Linear(config.embedding, config.layers * 4 * filters)
        kind = SoftmaxHead if config.head == "softmax" else MixtureHead
        self.head = kind(config.head_filters, config.map_channels, config.anchors, config.mixtures)
        self.register_buffer("condition_mean", torch.zeros(config.condition_dim))
        self.register_buffer("condition_scale", torch.ones(config.condition_dim))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Xavier's; what enters a gate starts larger, since gates damp, and what is added to a path smaller."""
        for name, module in self.named_modules():
            if isinstance(module, (nn.Conv2d, nn.Linear)) and not name.startswith("head."):
                gain = 1.5 if ".vertical" in name or ".horizontal" in name else 0.5 if "residual" in name else 1.0
                nn.init.xavier_uniform_(module.weight, gain)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        for module in self.modules():
            if isinstance(module, _Refine):
                module.second.weight.data.mul_(0.3)
                module.modulation.weight.data.mul_(0.3)
        self.from_maps.weight.data.mul_(math.sqrt(self.config.layers) * 0.5)
        self.from_embedding.weight.data.mul_(0.5)

    @property
    def reach(self) -> int:
        """Rows above, and columns to the left, that a pixel's distribution depends on through the stacks."""
        return self.config.first_kernel // 2 + self.config.layers * (self.config.kernel // 2)

    def conditions(self, x: Tensor, mask: Tensor, y: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
        """What pixels are drawn under: s (B, M, H, W) and h (B, embedding). Of a masked picture and of y (B, A), as far
        as it is known (B, A)."""
        h = self.embed((y - self.condition_mean) / self.condition_scale, known)
        return self.context(x, mask if self.config.context else torch.zeros_like(mask), h), h

    def biases(self, maps: Tensor, h: Tensor) -> tuple[Tensor, ...]:
        """V * s + V h of every layer, (B, 4 p, H, W) each, of maps (B, M, H, W) and h (B, embedding)."""
        count, width = self.config.layers, 4 * self.config.filters
        everywhere = self.from_embedding(h).unflatten(1, (count, width, 1, 1))
        weights, biases = self.from_maps.weight.chunk(count), self.from_maps.bias.chunk(count)  # type: ignore[union-attr]
        maps = F.elu(maps)
        return tuple(F.conv2d(maps, weights[k], biases[k]) + everywhere[:, k] for k in range(count))

    def features(self, x: Tensor, biases: Sequence[Tensor]) -> Tensor:
        """What the stacks say of each pixel: (B, head_filters, H, W), causal in raster order."""
        seen = torch.cat((intensity_features(x), torch.ones_like(x[:, :1])), 1)  # ones tell black from the border
        v = self.vertical_input(seen)
        h = v + self.horizontal_input(seen)
        gated = []
        for layer, condition in zip(self.layers, biases, strict=True):
            v, h, skipped = layer(v, h, condition)
            gated.append(skipped)
        return self.skip(torch.cat(gated, 1))

    def pixel_nll(self, x: Tensor, mask: Tensor, y: Tensor, known: Tensor) -> Tensor:
        """-log p of each pixel (B, H, W) in nats given the pixels before it, the context and y; teacher-forced."""
        maps, h = self.conditions(x, mask, y, known)
        features = self.features(x, self.biases(maps, h))
        last = [tensor.permute(0, 2, 3, 1) for tensor in (x, features, maps)]
        return self.head.nll(*last)[0]
