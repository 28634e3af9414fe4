"""What the decoder sees of the photo: a U-Net over the masked picture that meets the decoder's trunk at every size.

Without it a decoder knows of the photo what its latents hold: not where a jaw ends, nor the other half of a pair of
glasses. Generators that fill holes see the context (co-modulated GANs, Zhao et al. 2021; Pluralistic, Zheng et al.
2019); here the latents' trunk stays as the CSI paper has it, and the U-Net adds to its maps.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

SLOPE = 0.2
ATTENTION = 64  # channels of keys and values
INPUTS = 8  # photo * mask and mask, and both mirrored left to right


class Attention(nn.Module):
    """Copies features from observed places to those in the hole, by likeness (as TFill, Zheng et al. 2022)."""

    def __init__(self, queries: int, keys: int):
        super().__init__()
        self.query = nn.Conv2d(queries, ATTENTION, 1)
        self.key_value = nn.Conv2d(keys, 2 * ATTENTION, 1)
        self.out = nn.Conv2d(ATTENTION, queries, 1)

    def forward(self, h: Tensor, context: Tensor) -> Tensor:
        """h (B, C, H, W) asks, context (B, K, H, W) answers. Returns h with what was copied added."""
        query = self.query(h).flatten(2).mT  # (B, H W, A)
        key, value = self.key_value(context).flatten(2).mT.chunk(2, 2)
        found = F.scaled_dot_product_attention(query, key, value)  # (B, H W, A)
        return h + self.out(found.mT.unflatten(2, h.shape[2:]))


class ContextUNet(nn.Module):
    """From a masked picture and the trunk's features to what is added to the decoder's maps."""

    def __init__(self, channels: Sequence[int], trunk: Sequence[int], maps: int):
        """channels: of the context, from the picture's own size down, each at half the width of the one before; trunk:
        of the decoder's features, from 4 pixels' width to the picture's own size, of which as many of the last are met;
        maps: of the decoder."""
        super().__init__()
        self.stem = nn.Conv2d(INPUTS, channels[0], 3, 1, 1)
        self.down = nn.ModuleList(nn.Conv2d(a, b, 4, 2, 1) for a, b in pairwise(channels))
        upwards = tuple(reversed(channels))  # from the coarsest
        self.join, self.refine = nn.ModuleList(), nn.ModuleList()
        below = 0
        for context, semantic in zip(upwards, trunk[-len(upwards) :], strict=True):
            self.join.append(nn.Conv2d(below + context + semantic, context, 3, 1, 1))
            self.refine.append(nn.Conv2d(context, context, 3, 1, 1))
            below = context
        self.level = len(upwards) - 3  # at a quarter of the picture's width
        self.attend = Attention(channels[2], channels[2]) if self.level >= 0 else None
        self.out = nn.Conv2d(below, maps, 3, 1, 1)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, SLOPE)
                nn.init.zeros_(module.bias)  # type: ignore[arg-type]
        self.close()

    @torch.no_grad()
    def close(self) -> None:
        """Sets to zero what it adds, so that training begins with the decoder as it was."""
        self.out.weight.zero_()
        if self.attend is not None:
            self.attend.out.weight.zero_()
        for layer in self.refine:
            layer.weight.mul_(0.3)  # type: ignore[operator]

    def see(self, x: Tensor, mask: Tensor) -> list[Tensor]:
        """Features of the observed pixels, the coarsest first.

        x: (B, 3, H, W) in [-1, 1]; mask: (B, 1, H, W), 1 = observed.
        """
        seen = torch.cat((x * mask, mask), 1)
        h = F.leaky_relu(self.stem(torch.cat((seen, seen.flip(3)), 1)), SLOPE)
        found = [h]
        for layer in self.down:
            h = F.leaky_relu(layer(h), SLOPE)
            found.append(h)
        return found[::-1]

    def forward(self, trunk: Sequence[Tensor], context: Sequence[Tensor]) -> Tensor:
        """What is added to the maps: (B, maps, H, W).

        trunk: the decoder's features, the coarsest first; context: of `see`, for B pictures or for one.
        """
        h = None
        for level, (semantic, seen, join, refine) in enumerate(
            zip(trunk[-len(context) :], context, self.join, self.refine, strict=True)
        ):
            if len(seen) != len(semantic):
                seen = seen.expand(len(semantic), -1, -1, -1)
            parts = [seen, semantic] if h is None else [F.interpolate(h, scale_factor=2.0), seen, semantic]
            h = F.leaky_relu(join(torch.cat(parts, 1)), SLOPE)
            if level == self.level and self.attend is not None:
                h = self.attend(h, seen)
            h = h + F.leaky_relu(refine(h), SLOPE)
        return self.out(h)
