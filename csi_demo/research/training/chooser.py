"""Training the chooser: what tells the fills that CSI draws for a context from the face that was there?

A draw stands against the true picture, and against the fill that the same decoder draws from the latents of the whole
face, lifted to the hole's edge alike: there the decoder's own hand tells nothing, and what is left to learn is what
suits the face.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ... import masks, weights
from ...data import read_split
from ...methods.base import keep_observed
from ...methods.csi.method import DEFAULT_SPREAD
from ...methods.fitting import lifted
from ...models.chooser import Chooser, ChooserConfig
from ...models.csi import CSI, Posterior
from ...pixels import masks_to_tensor, to_float
from .batches import draw_frames, generator
from .critic import region_masks
from .loop import Recipe, Settings

NOISE = 0.03  # standard deviation of what is added to both, so that no pixel gives a picture away
FAMILIES = ("mouth", "eyes", "center", "left")  # holes of the validation pictures, in turn


@dataclass(frozen=True)
class ChooserSettings(Settings):
    """How the chooser is trained."""

    pictures: tuple[int, ...] = (300_000,)
    batch: int = 32
    learning_rate: tuple[float, ...] = (4e-4,)
    betas: tuple[float, float] = (0.5, 0.99)
    clip: float = 10.0
    val_pictures: int = 384
    spread: float = DEFAULT_SPREAD  # of the draws, as CSI's option has it


class ChooserRecipe(Recipe[ChooserSettings, ChooserConfig]):
    """The chooser as the training loop sees it."""

    name = "chooser"
    unit = "cross-entropy"
    settings_type, config_type = ChooserSettings, ChooserConfig

    def __init__(self, settings: ChooserSettings, overrides: Mapping[str, Any]):
        super().__init__(settings, overrides)
        self.csi: CSI = weights.load_network("csi").to(memory_format=torch.channels_last)

    def read(self, data: Path) -> tuple[Tensor, Tensor]:
        return read_split(data, "train"), read_split(data, "val")

    def build(self) -> Chooser:
        return Chooser(self.config)

    def step(self, model: Chooser, stage: int, dataset_size: int) -> nn.Module:
        return ChooserStep(model)

    def batch(self, model: Any, stage: int, frames: Tensor, count: int, rng: np.random.Generator) -> dict[str, Tensor]:
        draw = generator(rng, frames.device)
        hidden, _ = region_masks(frames.device)
        rows = torch.randint(len(hidden), (count,), generator=draw, device=frames.device)
        mask = hidden[rows].float()
        x = to_float(draw_frames(frames, count, rng))
        pictures = torch.stack((x, *self.fills(x, mask, draw)))
        pictures = pictures + torch.randn(pictures.shape, generator=draw, device=frames.device) * NOISE
        return {"pictures": pictures, "mask": mask}

    @torch.no_grad()
    def fills(self, x: Tensor, mask: Tensor, draw: torch.Generator) -> tuple[Tensor, Tensor]:
        """Faces x (B, 3, 64, 64) with the hole of their mask (B, 1, 64, 64) filled twice: from the latents of the whole
        face, and from latents drawn from the posterior of what the mask leaves."""
        device = x.device
        self.csi = self.csi.to(device)
        noise = torch.rand(x.shape, generator=draw, device=device) * 2.0 - 1.0
        with torch.autocast(device.type, torch.bfloat16, enabled=self.settings.bf16):
            both = torch.cat((torch.ones_like(mask), mask))
            posterior = self.csi.encode(torch.cat((x, x)), both, torch.cat((noise, noise)))
            whole, seen = (Posterior._make(parts) for parts in zip(*(part.chunk(2) for part in posterior), strict=True))
            eps = torch.randn((len(x), seen.factor.shape[2]), generator=draw, device=device)
            z = torch.cat((whole.mean, seen.draw_together(self.settings.spread * eps)))
            pictures = self.csi.picture(self.csi.decode(z)).cpu()
        photos, holes = torch.cat((x, x)).cpu(), torch.cat((mask, mask)).cpu()
        filled = torch.cat([pasted(*one) for one in zip(photos, holes, pictures, strict=True)]).to(device)
        rebuilt, drawn = filled.chunk(2)
        return rebuilt, drawn

    @torch.no_grad()
    def validate(self, model: Any, stage: int, frames: Tensor, dataset_size: int, device) -> dict[str, float]:
        """Cross-entropy, and how often each kind is preferred to the draw, hole by hole."""
        draw = torch.Generator(device).manual_seed(0)
        found = []
        for first in range(0, len(frames), 64):
            x = to_float(frames[first : first + 64].to(device))
            names = [FAMILIES[row % len(FAMILIES)] for row in range(len(x))]
            mask = masks_to_tensor([masks.family(name) for name in names]).to(device)
            found.append(torch.stack([model(picture, mask) for picture in (x, *self.fills(x, mask, draw))]))
        logits = torch.cat(found, 1)  # (3, N, 2)
        right = preferred(logits)
        figures: dict[str, float] = {}
        for index, name in enumerate(FAMILIES):
            true, whole = right[index :: len(FAMILIES)].mean(0).tolist()
            figures |= {f"true_{name}": true, f"whole_{name}": whole}
        return {"loss": float(cross_entropy(logits).mean())} | figures

    def export(self, model: Chooser, metrics: Mapping[str, Any], folder: Path) -> None:
        weights.save_model(folder, self.config.to_dict(), model.state_dict(), metrics, {"chooser": ("",)})


class ChooserStep(nn.Module):
    """The loss of one batch."""

    def __init__(self, model: Chooser):
        super().__init__()
        self.model = model

    def forward(self, pictures: Tensor, mask: Tensor) -> dict[str, Tensor]:
        """pictures: (3, B, 3, H, W), true, drawn from the whole face and drawn from the context; mask: (B, 1, H, W)."""
        logits = self.model(pictures.flatten(0, 1), mask.repeat(3, 1, 1, 1)).unflatten(0, (3, -1))
        true, whole = preferred(logits).mean(0)
        return {"loss": cross_entropy(logits).mean(), "true": true, "whole": whole}


def cross_entropy(logits: Tensor) -> Tensor:
    """Of the logits (3, B, 2) of true pictures, those of the whole face and draws: (B,), 4 log 2 for no idea at all."""
    mine = torch.stack((logits[0, :, 0], logits[1, :, 1]), 1)
    return (F.softplus(-mine) + F.softplus(logits[2])).sum(1)


def preferred(logits: Tensor) -> Tensor:
    """1 where the true picture, and where that of the whole face, has a higher logit than the draw: (B, 2)."""
    return (torch.stack((logits[0, :, 0], logits[1, :, 1]), 1) > logits[2]).float()


def pasted(photo: Tensor, mask: Tensor, picture: Tensor) -> Tensor:
    """A picture (3, H, W) lifted to the hole's edge and put into its photo (3, H, W): (1, 3, H, W)."""
    photo, mask = photo[None], mask[None]
    return keep_observed(photo, mask, lifted(photo, mask, picture[None]))
