"""Training the aligner: crops of whole CelebA pictures that are off the frame by a known similarity.

What lies around a picture, and where the picture ends, is random: otherwise its border would give the frame away.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...data import read_split
from ...errors import DataError
from ...models.aligner import Aligner, AlignerConfig
from ...photo.celeba import FACE, PICTURE
from ...pixels import FRAME, to_float
from .batches import generator
from .loop import Recipe, Settings

HELD_OUT = 256  # rows at the end of the training pack, for validation
# Both eyes, the corners of the mouth, the chin: points of the frame that a correction should bring into place.
EYES = ((69.0, 111.0), (108.0, 111.0))  # in the pictures
POINTS = ((22.25, 33.25), (41.5, 33.25), (25.0, 49.0), (39.0, 49.0), (32.0, 59.0))


CELLS = (1, 2, 4, 8, 32, 0, 0)  # beyond a picture's end lies noise of so many cells a side; 0: another picture's corner
CORNER = 50  # pixels of that


@dataclass(frozen=True)
class AlignerSettings(Settings):
    """How the aligner is trained. A crop is off by up to shift * width, in crop sides, and so on for each width."""

    pictures: tuple[int, ...] = (300_000,)
    learning_rate: tuple[float, ...] = (3e-3,)
    ema: float = 0.998
    val_pictures: int = HELD_OUT
    shift: float = 0.28
    scale: float = 1.55
    angle: float = 42.0  # degrees
    widths: tuple[float, ...] = (1.0, 0.4, 0.12)  # of a first, second and third pass
    start: str = ""  # a safetensors file of an aligner to start from
    faceless: float = 0.2  # share of crops with no face within reach
    proportions: float = 0.1  # how much faces are stretched above, below and beside the eyes


class AlignerRecipe(Recipe[AlignerSettings, AlignerConfig]):
    """The aligner as the training loop sees it."""

    name = "aligner"
    unit = "frame pixels"
    settings_type, config_type = AlignerSettings, AlignerConfig
    model_type = Aligner

    def read(self, data: Path) -> tuple[Tensor, Tensor]:
        frames = read_split(data, "train", PICTURE)
        if len(frames) <= HELD_OUT:
            raise DataError(f"{data} has {len(frames)} training pictures: more than {HELD_OUT} are needed")
        return frames[:-HELD_OUT], frames[-HELD_OUT:]

    def step(self, model: Aligner, stage: int, dataset_size: int) -> AlignerStep:
        return AlignerStep(model)

    def batch(self, model: Aligner, stage: int, frames: Tensor, count: int, rng: np.random.Generator) -> dict:
        return make_batch(frames, count, generator(rng, frames.device), self.settings)

    @torch.no_grad()
    def validate(self, model: Aligner, stage: int, frames: Tensor, dataset_size: int, device) -> dict[str, float]:
        step, draw, totals = AlignerStep(model).eval(), torch.Generator(device).manual_seed(0), dict[str, float]()
        for _ in range(4):
            for name, value in step(**make_batch(frames.to(device), 256, draw, self.settings)).items():
                totals[name] = totals.get(name, 0.0) + float(value) / 4
        return totals


class AlignerStep(nn.Module):
    """The loss on one batch; the module that is wrapped for distributed training."""

    def __init__(self, model: Aligner):
        super().__init__()
        self.model = model

    def forward(self, crops: Tensor, target: Tensor, face: Tensor) -> dict[str, Tensor]:
        """crops: uint8 (B, 3, 64, 64); target (B, 4), see `Aligner.forward`; face (B,): 1 where there is one.

        Returns scalars; "loss" is the one to minimise, "points" the mean distance in frame pixels.
        """
        correction, logit = self.model(to_float(crops).contiguous(memory_format=torch.channels_last))
        apart = (place(correction.float()) - place(target)).norm(dim=2).mean(1) / torch.exp(target[:, 2])  # (B,)
        points = (apart * face).sum() / face.sum().clamp(min=1.0)
        known = F.binary_cross_entropy_with_logits(logit.float(), face)
        right = ((logit > 0) == (face > 0.5)).float().mean()
        return {"loss": points + 2.0 * known, "points": points, "face": known, "face_right": right}


def place(correction: Tensor) -> Tensor:
    """Where the points of the frame come to lie in the crop: (B, 4) to (B, 5, 2), in pixels from the crop's centre."""
    points = torch.tensor(POINTS, device=correction.device) - FRAME / 2
    shift, scale, angle = FRAME * correction[:, None, :2], torch.exp(correction[:, 2]), correction[:, 3]
    cosine, sine = scale * torch.cos(angle), scale * torch.sin(angle)
    turned = torch.stack(
        (
            cosine[:, None] * points[:, 0] - sine[:, None] * points[:, 1],
            sine[:, None] * points[:, 0] + cosine[:, None] * points[:, 1],
        ),
        2,
    )
    return turned + shift


def make_batch(frames: Tensor, count: int, draw: torch.Generator, settings: AlignerSettings) -> dict[str, Tensor]:
    """Draws what `AlignerStep.forward` takes, from whole pictures: uint8 (N, 3, 218, 178), on their device."""
    chance = Chance(count, draw)
    rows, others = (chance.whole(len(frames)) for _ in range(2))
    pictures = to_float(frames[rows])
    pictures = torch.where(chance.uniform(1, 1, 1) < 0.5, pictures.flip(3), pictures)
    face = chance.uniform() >= settings.faceless
    width = torch.tensor(settings.widths, device=frames.device)[chance.whole(len(settings.widths))][:, None]
    reach = torch.tensor(
        (settings.shift, settings.shift, math.log(settings.scale), math.radians(settings.angle)), device=frames.device
    )
    target = reach * width * (2.0 * chance.uniform(4) - 1.0)
    off = torch.where(face[:, None], crops_before(target), _far_off(chance))
    crops = _disturb(_crop(pictures, off, to_float(frames[others]), chance, settings.proportions), chance)
    return {"crops": crops, "target": target * face[:, None], "face": face.float()}


class Chance:
    """Random numbers for so many pictures, from one generator and on its device."""

    def __init__(self, count: int, draw: torch.Generator):
        self.count, self.draw, self.device = count, draw, draw.device

    def uniform(self, *shape: int) -> Tensor:
        """(count, *shape) in 0 ... 1."""
        return torch.rand(self.count, *shape, generator=self.draw, device=self.device)

    def between(self, low: float, high: float, *shape: int) -> Tensor:
        """(count, *shape) in low ... high."""
        return low + (high - low) * self.uniform(*shape)

    def normal(self, *shape: int) -> Tensor:
        """(count, *shape), standard normal."""
        return torch.randn(self.count, *shape, generator=self.draw, device=self.device)

    def whole(self, kinds: int) -> Tensor:
        """(count,) of 0 ... kinds - 1."""
        return torch.randint(kinds, (self.count,), generator=self.draw, device=self.device)


def crops_before(target: Tensor) -> Tensor:
    """The crops that these corrections (B, 4) would turn into the picture's frame: x, y, side, angle in radians."""
    dx, dy, scale, angle = target.unbind(1)
    size = FACE.size * torch.exp(-scale)
    cosine, sine = torch.cos(angle), torch.sin(angle)  # the crop is turned by minus that
    return torch.stack(
        (FACE.x - size * (cosine * dx + sine * dy), FACE.y - size * (cosine * dy - sine * dx), size, -angle), 1
    )


def _far_off(chance: Chance) -> Tensor:
    """Crops (B, 4), as `crops_before` has them, whose correction would be far beyond any trained for."""
    x, y = FACE.x + chance.between(-15, 15), FACE.y + chance.between(-15, 15)
    size, angle = FACE.size * chance.between(0.6, 1.6), chance.between(-0.8, 0.8)
    way, far = chance.between(0, 2 * math.pi), size * chance.between(0.6, 1.2)
    beside = (x + far * torch.cos(way), y + far * torch.sin(way), size, angle)
    part = (x + chance.between(-35, 35), y + chance.between(-45, 45), FACE.size * chance.between(0.12, 0.38), angle)
    distant = (x, y, FACE.size * chance.between(2.6, 5.0), angle)
    upside_down = (x, y, size, chance.between(0.5 * math.pi, 1.5 * math.pi))
    kinds = torch.stack([torch.stack(kind, 1) for kind in (beside, part, distant, upside_down)])  # (4, B, 4)
    return kinds[chance.whole(4), torch.arange(chance.count, device=chance.device)]


def _crop(pictures: Tensor, off: Tensor, others: Tensor, chance: Chance, proportions: float) -> Tensor:
    """The crops `off` (B, 4) of pictures (B, 3, 218, 178), which end at random around the face: (B, 3, 64, 64).

    Beyond their end something else begins, or they go on. What lies around the eyes' line and beside the eyes is
    stretched by random factors, of standard deviation `proportions`: where the frame is depends on the eyes alone.
    """
    side, device = 2 * FRAME, pictures.device
    steps = (torch.arange(side, device=device) + 0.5) / side - 0.5
    x, y, size, angle = (column[:, None, None] for column in off.unbind(1))
    cosine, sine = size * torch.cos(angle), size * torch.sin(angle)
    across = x + cosine * steps - sine * steps[:, None]  # (B, side, side), picture pixels
    down = y + sine * steps + cosine * steps[:, None]

    factors = torch.exp(proportions * chance.normal(3))[:, :, None, None]
    (left_eye, eyes), (right_eye, _) = ((px, py) for px, py in EYES)
    middle, apart = 0.5 * (left_eye + right_eye), 0.5 * (right_eye - left_eye)
    down = eyes + (down - eyes) * torch.where(down < eyes, factors[:, 0], factors[:, 1])
    aside = (across - middle).abs()
    across = middle + torch.sign(across - middle) * (aside + (factors[:, 2] - 1.0) * (aside - apart).clamp(min=0.0))

    left, right = chance.between(0, 34, 1, 1), PICTURE[0] - chance.between(0, 34, 1, 1)
    top, bottom = chance.between(0, 48, 1, 1), PICTURE[1] - chance.between(0, 48, 1, 1)
    inside = (across >= left) & (across <= right) & (down >= top) & (down <= bottom)
    how = chance.uniform(1, 1)
    kept_x = torch.maximum(torch.minimum(across, right), left)
    kept_y = torch.maximum(torch.minimum(down, bottom), top)
    mirrored_x, mirrored_y = 2.0 * kept_x - across, 2.0 * kept_y - down
    seen_x = torch.where(how < 0.1, mirrored_x, kept_x)
    seen_y = torch.where(how < 0.1, mirrored_y, kept_y)
    grid = torch.stack((2.0 * seen_x / PICTURE[0] - 1.0, 2.0 * seen_y / PICTURE[1] - 1.0), 3)
    drawn = F.grid_sample(pictures, grid, mode="bilinear", padding_mode="border", align_corners=False)
    around = (~inside & (how > 0.45))[:, None]
    return F.avg_pool2d(torch.where(around, _surroundings(others, chance), drawn), 2)


def _surroundings(others: Tensor, chance: Chance) -> Tensor:
    """What lies beyond a picture's end: noise, a gradient, or a corner of another picture: (B, 3, 128, 128)."""
    kinds: list[Tensor] = []
    for rows in torch.arange(chance.count).split(-(-chance.count // len(CELLS))):
        cells = CELLS[len(kinds)]
        if cells:
            grid = 2.0 * torch.rand(len(rows), 3, cells, cells, generator=chance.draw, device=chance.device) - 1.0
        else:
            grid = others[rows[0] : rows[-1] + 1, :, :CORNER, :CORNER]
        kinds.append(F.interpolate(grid, size=(2 * FRAME, 2 * FRAME), mode="bilinear", align_corners=True))
    return torch.cat(kinds)


def _disturb(crops: Tensor, chance: Chance) -> Tensor:
    """Other light, colours, sharpness and grain, now and then something in front: uint8 (B, 3, 64, 64)."""
    x = 0.5 * crops + 0.5
    x = torch.where(chance.uniform(1, 1, 1) < 0.2, x.mean(1, keepdim=True), x)
    soft = F.avg_pool2d(F.pad(x, (1, 1, 1, 1), mode="replicate"), 3, 1)
    softer = F.interpolate(F.avg_pool2d(x, 2), scale_factor=2.0, mode="bilinear", align_corners=False)
    x = torch.lerp(x, torch.where(chance.uniform(1, 1, 1) < 0.5, soft, softer), _seldom(chance, 0.3))
    left, top = chance.between(0, FRAME - 6, 1, 1), chance.between(0, FRAME - 6, 1, 1)
    steps = torch.arange(FRAME, device=chance.device)
    across, down = steps[None, None] - left, steps[None, :, None] - top
    covered = (
        (across >= 0) & (across < chance.between(6, 28, 1, 1)) & (down >= 0) & (down < chance.between(6, 28, 1, 1))
    )
    covered = covered & (chance.uniform(1, 1) < 0.15)
    x = torch.where(covered[:, None], chance.uniform(3, 1, 1), x)
    x = x.clamp(min=1e-3, max=1.0) ** torch.exp(0.3 * chance.normal(1, 1, 1))
    x = x * (chance.between(0.6, 1.3, 1, 1, 1) + 0.06 * chance.normal(3, 1, 1)) + 0.047 * chance.normal(1, 1, 1)
    x = x + chance.between(0.0, 0.04, 1, 1, 1) * (chance.uniform(1, 1, 1) < 0.5) * chance.normal(3, FRAME, FRAME)
    return (255.0 * x).round().clamp(0, 255).byte()


def _seldom(chance: Chance, share: float) -> Tensor:
    """Weights (B, 1, 1, 1) in 0 ... 1 for a share of the pictures, 0 for the rest."""
    return chance.uniform(1, 1, 1) * (chance.uniform(1, 1, 1) < share)
