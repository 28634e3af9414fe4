"""Training the harmoniser: a small refiner at the frame's own size, for holes that take much of a face.

What 64 latents hold of a face is not its hair, hat or background. The harmoniser takes the decoder's picture for what
it says about the face, and makes it go on from the photo: it is shown what is seen there, as it lies and in a mirror.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from .. import masks, weights
from ..data import read_split
from ..methods.csi.drawing import STRAY, frontal, mirrored, turns_of
from ..methods.csi.method import DEFAULT_SPREAD
from ..metrics.features import face_network
from ..metrics.frechet import distance_to_faces
from ..metrics.sharpness import roughness
from ..models.csi import CSI, Posterior
from ..models.refiner import RefinerTraining
from ..pixels import FRAME, masks_to_tensor, to_float
from .batches import MaskPool, draw_frames, generator
from .coarse import continued, near
from .refiner import PatchRecipe, PatchSettings, RefinerStep, paste

FAMILIES = ("left", "top", "bottom", "center")  # holes of the validation pictures, each of all of them
# How often a training hole is of a kind; the rest are holes of any kind.
SHARES: Mapping[str, float] = {
    "left": 0.22,
    "right": 0.22,
    "top": 0.12,
    "bottom": 0.1,
    "center": 0.1,
    "mouth": 0.04,
    "eyes": 0.05,
}
JITTER = 4  # pixels that an edge of theirs is off, at most
TILTED, TILT, SCALE, SHIFT = 0.6, 0.06, 0.06, 1.5  # share of frames cut otherwise: radians, logarithm, pixels (normal)
WHOLE, SPREAD = 0.5, 1.25  # share of fills from the whole face's latents; of the posterior's noise for others, at most
FAITH = 0.3  # of fills drawn from a context
TURNS = 2  # of settling at most, see `Drawing.settle`: each takes a run of encoder and decoder


@dataclass(frozen=True)
class HarmoniserSettings(PatchSettings):
    """How the harmoniser is trained."""

    pictures: tuple[int, ...] = (15_000, 185_000)  # without, then with the critic's word
    batch: int = 16
    val_pictures: int = 96
    follow_weight: float = 0.5
    critic_weight: float = 0.5
    deep_weight: float = 1.0  # of the distance in the face network's features
    seen_weight: float = 0.1  # of what the face network says of the decoder's picture and of the harmonised one


class HarmoniserRecipe(PatchRecipe[HarmoniserSettings]):
    """The harmoniser as the training loop sees it."""

    name = "harmoniser"
    settings_type = HarmoniserSettings

    def __init__(self, settings: HarmoniserSettings, overrides: Mapping[str, Any]):
        small = {"channels": (24, 32, 40, 48), "blocks": 1, "mirrored": True, "critic_channels": (32, 64, 128)}
        super().__init__(settings, small | dict(overrides))
        self.csi: CSI = weights.load_network("csi").to(memory_format=torch.channels_last)
        self.holes = MaskPool(hole, 4096)

    def read(self, data: Path) -> tuple[Tensor, Tensor]:
        return read_split(data, "train"), read_split(data, "val")

    def step(self, model: RefinerTraining, stage: int, dataset_size: int) -> RefinerStep:
        return HarmoniserStep(model, self.settings, adversarial=stage == 2)

    def batch(self, model: Any, stage: int, frames: Tensor, count: int, rng: np.random.Generator) -> dict[str, Tensor]:
        draw = generator(rng, frames.device)
        truth = recut(to_float(draw_frames(frames, count, rng)), draw)
        mask = self.holes.draw(count, draw)
        coarse, faith = self.coarse(truth, mask, draw, round(WHOLE * count))
        return {"truth": truth, "mask": mask, "coarse": coarse, "faith": faith}

    @torch.no_grad()
    def coarse(self, truth: Tensor, mask: Tensor, draw: torch.Generator, whole: int) -> tuple[Tensor, Tensor]:
        """The decoder's pictures (B, 3, 64, 64) for faces and holes, the first so many from the whole face's latents,
        and how far each is the truth, (B,)."""
        device, count = truth.device, len(truth)
        self.csi = self.csi.to(device)
        noise = torch.rand(truth.shape, generator=draw, device=device) * 2.0 - 1.0
        spread = SPREAD * DEFAULT_SPREAD * torch.rand((count, 1), generator=draw, device=device)
        settles = [row for row in range(whole, count) if turns_of(mask[row : row + 1])]
        shown = mask.clone()
        shown[:whole] = 1.0
        with torch.autocast(device.type, torch.bfloat16, enabled=self.settings.bf16):
            posterior = self.csi.encode(truth, shown, noise)
            eps = torch.randn((count, posterior.factor.shape[2]), generator=draw, device=device)
            drawn = posterior.draw_together(spread * eps)
            z = torch.where(torch.arange(count, device=device)[:, None] < whole, posterior.mean, drawn)
            likeliest, whole_face = posterior.mean[settles], torch.ones_like(mask[settles])
            ahead, deviation = frontal(self.csi, mask[settles], likeliest), drawn[settles] - likeliest
            for turn in range(TURNS if settles else 0):
                pictures = self.csi.picture(self.csi.decode(z[settles])).float()
                fill, share = lifted(truth[settles], mask[settles], pictures), torch.zeros_like(deviation[:, :1])
                if turn == 0:
                    fill, share = mirrored(truth[settles], mask[settles], fill, ahead)
                filled = paste(truth[settles], mask[settles], fill)
                found = Posterior._make(self.csi.encode(filled, whole_face, noise[settles])).mean
                z[settles] = (found + STRAY * share * deviation).to(z.dtype)
            pictures = self.csi.picture(self.csi.decode(z))
        faith = torch.full((count,), FAITH, device=device)
        faith[:whole] = 1.0
        return pictures.float().clamp(-1.0, 1.0), faith

    @torch.no_grad()
    def validate(self, model: Any, stage: int, frames: Tensor, dataset_size: int, device) -> dict[str, float]:
        """Fréchet distance, L1 and sharpness of pasted pictures drawn from contexts, hole by hole, and their means."""
        x = to_float(frames.to(device))
        figures: dict[str, float] = {}
        for name in FAMILIES:
            seen = masks.family(name)
            draw, drawn = torch.Generator(device).manual_seed(0), []
            for part in x.split(32):
                mask = masks_to_tensor([seen]).to(device).expand(len(part), -1, -1, -1)
                coarse, _ = self.coarse(part, mask, draw, 0)
                drawn.append(paste(part, mask, model.refiner(part, mask, coarse).float()).clamp(-1.0, 1.0))
            filled, inside = torch.cat(drawn), torch.from_numpy(~seen).to(device)
            own = {"l1": float((filled - x)[:, :, inside].abs().mean())}
            own["sharpness"] = roughness(filled, inside) / roughness(x, inside)
            if (distance := distance_to_faces(filled, x)) is not None:
                own["frechet"] = distance
            figures |= {f"{key}_{name}": value for key, value in own.items()}
            for key, value in own.items():
                figures[key] = figures.get(key, 0.0) + value / len(FAMILIES)
        return figures


class HarmoniserStep(RefinerStep):
    """Both players' losses on one batch; what a face network sees counts, too."""

    settings: HarmoniserSettings

    def __init__(self, model: RefinerTraining, settings: HarmoniserSettings, adversarial: bool):
        super().__init__(model, settings, adversarial)
        self.network = face_network().requires_grad_(False)

    def train(self, mode: bool = True) -> HarmoniserStep:
        super().train(mode)
        self.network.eval()  # fixed: batch statistics stay as they are
        return self

    def beyond(
        self, terms: dict[str, Tensor], truth: Tensor, mask: Tensor, coarse: Tensor, pasted: Tensor, faith: Tensor
    ) -> dict[str, Tensor]:
        """A fill of the whole face's latents should have the truth's features; one of a context's should have the
        attributes that the decoder's picture, lifted to the photo, has."""
        with torch.no_grad():
            own = paste(truth, mask, lifted(truth, mask, coarse))
            wanted = self.network.activations(torch.cat((truth, own)))
        found = self.network.activations(pasted)
        apart = [
            (mine - both[: len(truth)]).float().square().mean((1, 2, 3)) / both[: len(truth)].float().square().mean()
            for mine, both in zip(found[:3], wanted[:3], strict=True)
        ]
        deep = (faith * torch.stack(apart).mean(0)).mean()
        said, meant = (self.network.head(seen[-1].mean((2, 3))).float() for seen in (found, wanted))
        missed = F.smooth_l1_loss(said, meant[len(truth) :], reduction="none").mean(1)
        seen = ((1.0 - faith) * missed).mean()
        terms["loss"] = terms["loss"] + self.settings.deep_weight * deep + self.settings.seen_weight * seen
        return terms | {"deep": deep, "seen": seen}


def hole(rng: np.random.Generator) -> np.ndarray:
    """A hole to train on: boolean (64, 64), False = hole."""
    names = [*SHARES, ""]
    name = str(rng.choice(names, p=[*SHARES.values(), 1.0 - sum(SHARES.values())]))
    if not name:
        return masks.training_mask(rng)
    edges = np.array(masks.BOXES[name])
    inner = (edges > 0) & (edges < FRAME)  # what lies at the frame's border stays there
    x0, y0, x1, y1 = np.clip(edges + inner * rng.integers(-JITTER, JITTER + 1, 4), 0, FRAME).tolist()
    return masks.box(x0, y0, x1, y1)


def lifted(truth: Tensor, mask: Tensor, pictures: Tensor) -> Tensor:
    """Pictures (B, 3, 64, 64), lifted to meet the truth's colours at the hole's edge, roughly."""
    return (pictures + continued(truth - pictures, near(mask) * mask)).clamp(-1.0, 1.0)


def recut(pictures: Tensor, draw: torch.Generator) -> Tensor:
    """Frames (B, 3, 64, 64), some of them tilted, scaled and shifted a little, as where a face was found in a photo."""
    count, device = len(pictures), pictures.device
    chance = torch.rand(count, generator=draw, device=device) < TILTED
    normal = torch.randn((4, count), generator=draw, device=device) * chance
    angle, scale = TILT * normal[0], torch.exp(SCALE * normal[1])
    shift = normal[2:] * SHIFT * 2.0 / FRAME
    cos, sin = scale * torch.cos(angle), scale * torch.sin(angle)
    theta = torch.stack((cos, -sin, shift[0], sin, cos, shift[1]), 1).view(count, 2, 3)
    grid = F.affine_grid(theta, list(pictures.shape), align_corners=False)
    return F.grid_sample(pictures, grid, "bicubic", "reflection", align_corners=False).clamp(-1.0, 1.0)
