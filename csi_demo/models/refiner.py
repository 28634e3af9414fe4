"""The refiner: a U-Net that redraws an enlarged fill with the detail that 64x64 pixels cannot hold, and its critic.

Images are (B, 3, H, W) in [-1, 1]; masks (B, 1, H, W), 1 = observed, 0 = hole. The networks see crops of any even
size; what they have learned is the scale: 128 pixels for the side of the face's frame.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .critic import FeatureCritic

SLOPE = 0.2  # of the leaky ReLUs


@dataclass(frozen=True)
class RefinerConfig:
    """Everything needed to rebuild the modules; stored as config.json beside their weights."""

    channels: tuple[int, ...] = (48, 64, 96, 128)  # at 64, 32, 16 and 8 pixels' width of a frame of 128
    blocks: int = 2  # residual blocks a level, on the way down and up each
    critic_channels: tuple[int, ...] = (48, 96, 192)  # after each halving

    def __post_init__(self) -> None:
        for name in ("channels", "critic_channels"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        assert self.channels, "channels: at least one level is needed"
        assert self.blocks >= 1, f"blocks {self.blocks}: at least 1"

    def to_dict(self) -> dict[str, Any]:
        lists = {name: list(getattr(self, name)) for name in ("channels", "critic_channels")}
        return asdict(self) | lists

    @property
    def multiple(self) -> int:
        """What the sides of a picture must be a multiple of."""
        return 2 ** len(self.channels)


class Residual(nn.Module):
    """h + gain * conv(lrelu(conv(lrelu(h)))); with a gain of 0 the identity."""

    def __init__(self, channels: int, gain: float):
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, 1, 1)
        self.second = nn.Conv2d(channels, channels, 3, 1, 1)
        self.gain = nn.Parameter(torch.tensor([gain]))

    def forward(self, h: Tensor) -> Tensor:
        inner = F.leaky_relu(self.first(F.leaky_relu(h, SLOPE)), SLOPE)
        return h + self.gain.to(h.dtype) * self.second(inner)  # (B, C, H, W)


def _level(channels: int, blocks: int) -> nn.Sequential:
    return nn.Sequential(*(Residual(channels, 0.1 if block == 0 else 0.0) for block in range(blocks)))


class Refiner(nn.Module):
    """The photo's context, the mask and the enlarged fill to the fill as the photo would show it.

    It works on blocks of 2x2 pixels, so that its finest level is as large as the fill was; every level further down
    halves that. The fill passes by it: what the network draws is added.
    """

    def __init__(self, config: RefinerConfig):
        super().__init__()
        self.config = config
        widths = config.channels
        self.enter = nn.Conv2d(4 * 7, widths[0], 3, 1, 1)
        self.encoder = nn.ModuleList(_level(width, config.blocks) for width in widths)
        self.downs = nn.ModuleList(nn.Conv2d(a, b, 4, 2, 1) for a, b in pairwise(widths))
        self.middle = _level(widths[-1], config.blocks)
        rising = tuple(reversed(widths))
        self.ups = nn.ModuleList(nn.Conv2d(a, b, 3, 1, 1) for a, b in pairwise(rising))
        self.decoder = nn.ModuleList(_level(width, config.blocks) for width in rising[1:])
        self.leave = nn.Conv2d(widths[0], 4 * 3, 3, 1, 1)
        nn.init.zeros_(self.leave.weight)
        nn.init.zeros_(self.leave.bias)  # type: ignore[arg-type]

    def forward(self, photo: Tensor, mask: Tensor, coarse: Tensor) -> Tensor:
        """Redraws a fill at the photo's size.

        photo: (B, 3, H, W), of which the hole is not looked at; mask (B, 1, H, W); coarse: the fill enlarged to the
        photo's size (B, 3, H, W). H and W: multiples of `RefinerConfig.multiple`.

        Returns (B, 3, H, W), to be used in the hole; it is not clamped.
        """
        shown = torch.cat((photo * mask, mask * 2.0 - 1.0, coarse), 1)  # (B, 7, H, W)
        h = self.enter(F.pixel_unshuffle(shown, 2))  # (B, C, H / 2, W / 2)
        seen = []
        for index, level in enumerate(self.encoder):
            if index:
                h = self.downs[index - 1](F.leaky_relu(h, SLOPE))
            h = level(h)
            seen.append(h)
        h = self.middle(h)
        for up, level, before in zip(self.ups, self.decoder, reversed(seen[:-1]), strict=True):
            h = level(up(F.interpolate(h, scale_factor=2.0, mode="nearest")) + before)
        return coarse + F.pixel_shuffle(self.leave(F.leaky_relu(h, SLOPE)), 2)


class PatchCritic(nn.Module):
    """Judges every patch of a picture: logits above 0 mean that it looks real there, given where the hole is."""

    def __init__(self, channels: Sequence[int]):
        super().__init__()
        self.levels = nn.ModuleList(nn.Conv2d(a, b, 4, 2, 1) for a, b in pairwise((4, *channels)))
        self.wider = nn.Conv2d(channels[-1], channels[-1] // 2, 3, 1, 1)
        self.head = nn.Conv2d(channels[-1] // 2, 1, 3, 1, 1)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, SLOPE)
                nn.init.zeros_(module.bias)  # type: ignore[arg-type]

    def forward(self, picture: Tensor, mask: Tensor) -> tuple[Tensor, list[Tensor]]:
        """picture: (B, 3, H, W), pasted: its observed pixels are the photo's; mask (B, 1, H, W).

        Returns logits (B, 1, H / 8, W / 8) and the features of every layer before them.
        """
        h, found = torch.cat((picture, mask * 2.0 - 1.0), 1), []
        for layer in (*self.levels, self.wider):
            h = F.leaky_relu(layer(h), SLOPE)
            found.append(h)
        return self.head(h), found


class RefinerTraining(nn.Module):
    """The refiner and what it is trained against: a critic of patches, and one of the whole face."""

    def __init__(self, config: RefinerConfig):
        super().__init__()
        self.config = config
        self.refiner = Refiner(config)
        self.critic = PatchCritic(config.critic_channels)
        self.face_critic = FeatureCritic()


def enlarge(picture: Tensor, size: int | tuple[int, int]) -> Tensor:
    """A fill (B, 3, h, w) bicubically at another size, within [-1, 1]: what the refiner takes as `coarse`."""
    return F.interpolate(picture, size=size, mode="bicubic", align_corners=False).clamp(-1.0, 1.0)
