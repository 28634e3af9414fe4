"""Training the aligner: crops of whole CelebA pictures that are off the frame by a known similarity.

What lies around a picture, and where the picture ends, is random: otherwise its border would give the frame away.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .. import weights
from ..data import read_split
from ..errors import DataError
from ..models.aligner import Aligner, AlignerConfig
from ..photo.celeba import FACE, PICTURE, background
from ..photo.placement import Placement, pixel_matrix
from ..pixels import FRAME, to_bytes, to_float
from .loop import Recipe, Settings

HELD_OUT = 256  # rows at the end of the training pack, for validation
# Both eyes, the corners of the mouth, the chin: points of the frame that a correction should bring into place.
POINTS = ((22.25, 33.25), (41.5, 33.25), (25.0, 49.0), (39.0, 49.0), (32.0, 59.0))


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
    faceless: float = 0.2  # share of crops with no face within reach


class AlignerRecipe(Recipe):
    """The aligner as the training loop sees it; `overrides` are fields of AlignerConfig."""

    name = "aligner"
    unit = "frame pixels"
    settings_type, config_type = AlignerSettings, AlignerConfig

    def __init__(self, settings: AlignerSettings, overrides: Mapping[str, Any]):
        self.settings: AlignerSettings = settings
        self.config = AlignerConfig(**overrides)

    def read(self, data: Path) -> tuple[Tensor, Tensor]:
        frames = read_split(data, "train", PICTURE)
        if len(frames) <= HELD_OUT:
            raise DataError(f"{data} has {len(frames)} training pictures: more than {HELD_OUT} are needed")
        return frames[:-HELD_OUT], frames[-HELD_OUT:]

    def build(self) -> Aligner:
        return Aligner(self.config)

    def step(self, model: Aligner, stage: int, dataset_size: int) -> AlignerStep:
        return AlignerStep(model)

    def batch(self, model: Aligner, stage: int, frames: Tensor, count: int, rng: np.random.Generator) -> dict:
        return make_batch(frames, count, rng, self.settings)

    @torch.no_grad()
    def validate(self, model: Aligner, stage: int, frames: Tensor, dataset_size: int, device) -> dict[str, float]:
        step, rng, totals = AlignerStep(model).eval(), np.random.default_rng(0), dict[str, float]()
        for _ in range(4):
            batch = make_batch(frames, 256, rng, self.settings)
            for name, value in step(**{key: tensor.to(device) for key, tensor in batch.items()}).items():
                totals[name] = totals.get(name, 0.0) + float(value) / 4
        return totals

    def export(self, model: Aligner, metrics: Mapping[str, Any], folder: Path) -> None:
        weights.save_model(folder, self.config.to_dict(), model.state_dict(), metrics, {"aligner": ("",)})


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


def make_batch(frames: Tensor, count: int, rng: np.random.Generator, settings: AlignerSettings) -> dict[str, Tensor]:
    """Draws what `AlignerStep.forward` takes, from whole pictures: uint8 (N, 3, 218, 178)."""
    crops = np.empty((count, FRAME, FRAME, 3), dtype=np.uint8)
    target, face = np.zeros((count, 4), dtype=np.float32), np.ones(count, dtype=np.float32)
    for index, row in enumerate(rng.integers(0, len(frames), count)):
        picture = np.ascontiguousarray(frames[row].permute(1, 2, 0).numpy())
        if rng.random() < 0.5:
            picture = np.ascontiguousarray(picture[:, ::-1])
        if rng.random() < settings.faceless:
            face[index] = 0.0
            off = _far_off(rng)
        else:
            width = rng.choice(settings.widths)
            dx, dy = settings.shift * width * rng.uniform(-1, 1, 2)
            scale = np.log(settings.scale) * width * rng.uniform(-1, 1)
            angle = np.radians(settings.angle) * width * rng.uniform(-1, 1)
            target[index] = dx, dy, scale, angle
            off = crop_before(dx, dy, scale, angle)
        other = frames[int(rng.integers(len(frames)))].permute(1, 2, 0).numpy()
        crops[index] = _disturb(_crop(picture, off, background(other, rng), rng), rng)
    return {
        "crops": torch.from_numpy(crops).permute(0, 3, 1, 2),
        "target": torch.from_numpy(target),
        "face": torch.from_numpy(face),
    }


def crop_before(dx: float, dy: float, scale: float, angle: float) -> Placement:
    """The crop that this correction would turn into the picture's frame."""
    size, turn = FACE.size / np.exp(scale), -np.degrees(angle)
    upright = Placement(0.0, 0.0, size, turn)
    x, y = upright.to_photo(np.array([FRAME * (0.5 + dx), FRAME * (0.5 + dy)]))
    return Placement(FACE.x - float(x), FACE.y - float(y), size, turn)


def _far_off(rng: np.random.Generator) -> Placement:
    """A crop whose correction would be far beyond any trained for."""
    kind = rng.integers(4)
    x, y, size = FACE.x + rng.uniform(-15, 15), FACE.y + rng.uniform(-15, 15), FACE.size * rng.uniform(0.6, 1.6)
    angle = rng.uniform(-45, 45)
    if kind == 0:  # beside it
        way = rng.uniform(0, 2 * np.pi)
        far = size * rng.uniform(0.6, 1.2)
        x, y = x + far * np.cos(way), y + far * np.sin(way)
    elif kind == 1:  # a part of it
        size = FACE.size * rng.uniform(0.12, 0.38)
        x, y = x + rng.uniform(-50, 50), y + rng.uniform(-60, 60)
    elif kind == 2:
        size = FACE.size * rng.uniform(2.6, 5.0)
    else:
        angle = rng.uniform(90, 270)
    return Placement(x, y, size, angle)


def _crop(picture: np.ndarray, off: Placement, background: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The placement's 64x64 crop of a picture cut down at random around the face, over or continued beyond it."""
    height, width = picture.shape[:2]
    left, right = (int(rng.integers(0, 34)) for _ in range(2))
    top, bottom = (int(rng.integers(0, 48)) for _ in range(2))
    piece = np.ascontiguousarray(picture[top : height - bottom, left : width - right])
    matrix = pixel_matrix(off.matrix, 2)
    matrix[:, 2] -= left, top
    how = rng.choice((cv2.BORDER_TRANSPARENT, cv2.BORDER_REPLICATE, cv2.BORDER_REFLECT_101), p=(0.55, 0.35, 0.1))
    warped = cv2.warpAffine(
        piece,
        matrix,
        (2 * FRAME, 2 * FRAME),
        dst=background.copy(),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=int(how),
    )
    return cv2.resize(warped, (FRAME, FRAME), interpolation=cv2.INTER_AREA)


def _disturb(crop: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Other light, colours, sharpness and grain, now and then something in front."""
    x: np.ndarray = crop.astype(np.float32)
    if rng.random() < 0.2:
        x[:] = x.mean(2, keepdims=True)
    if rng.random() < 0.2:
        soft = float(rng.uniform(0.4, 1.5))
        x = cv2.GaussianBlur(x, (0, 0), soft)
    if rng.random() < 0.15:
        w, h = rng.integers(6, 28, 2)
        x0, y0 = rng.integers(0, FRAME - w), rng.integers(0, FRAME - h)
        x[y0 : y0 + h, x0 : x0 + w] = rng.integers(0, 256, 3)
    x = 255.0 * np.clip(x / 255.0, 0.0, 1.0) ** np.float32(np.exp(rng.normal(0, 0.3)))
    x = x * (rng.uniform(0.6, 1.3) + rng.normal(0, 0.06, 3)).astype(np.float32) + np.float32(rng.normal(0, 12))
    if rng.random() < 0.5:
        x += rng.standard_normal(x.shape, dtype=np.float32) * np.float32(rng.uniform(0, 10))
    return to_bytes(x)
