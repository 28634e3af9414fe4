"""Training faces as people have them: turned, in glasses, bearded, old, lit somehow, and framed as a finder errs."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ... import masks
from ...data import read_packs
from ...methods.csi.places import REGIONS
from ...pixels import FRAME, to_float
from ..metrics.features import face_network
from ..metrics.turn import turning_axis
from .critic import near_region

# How often a hole is of each kind: a region's, a side's half, or any.
REGION_SHARES = {"mouth": 0.19, "eyes": 0.19, "nose": 0.03, "hair": 0.07, "face": 0.14, "head": 0.03}
HALF, ANY = 0.26, 0.09
POOL = 16_000  # holes
ERRORS = 0.04, 1.5, 4.0  # of a found frame, standard deviations: logarithm of its scale, frame pixels, degrees
WHOLE = (178, 218)  # width and height of CelebA's aligned pictures
CENTRE, SIDE = (89.0, 121.0), 128.0  # of the frame in them
LIGHT = 0.12, 0.12, 0.06  # standard deviations: logarithm of contrast, brightness, each channel's own gain
RELIT, GREY = 0.6, 0.03  # shares of faces in another light, and without colour
# Shares that rare faces are given at least; turns in standard deviations, the others as logits of the face network.
TURNED, FAR_TURNED = (1.0, 0.36), (1.8, 0.16)
RARE = {"Eyeglasses": (0.0, 0.16), "No_Beard": (-0.7, 0.16), "Gray_Hair": (1.0, 0.08)}  # bearded: below its limit


class FacePool:
    """Frames of 64x64 packs as they are, and frames cut from whole pictures; rare kinds come more often than in life.

    data: a folder of 64x64 packs; whole: folders of 178x218 packs, perhaps none. Raises DataError.
    """

    def __init__(self, data: Path, whole: Sequence[Path] = ()):
        self.frames = read_packs(data, "train")
        self.pictures = [pack for folder in whole for pack in read_packs(folder, "train", WHOLE)]
        self.ends = np.cumsum([len(pack) for pack in (*self.frames, *self.pictures)])
        self.odds = self._odds()
        self.cumulative = np.cumsum(self.odds) / self.odds.sum()

    @torch.no_grad()
    def _odds(self) -> np.ndarray:
        """How often each face is to be drawn, up to a factor: (N,)."""
        network = face_network()
        axis = turning_axis(to_float(self.frames[0][:1000]))
        columns = [network.config.names.index(name) for name in RARE]
        turns, marks = [], []
        for part in (part for pack in (*self.frames, *self.pictures) for part in pack.split(32)):
            if part.shape[-1] != FRAME:
                left, top = (int(middle - SIDE / 2) for middle in CENTRE)
                part = F.avg_pool2d(part[:, :, top : top + 128, left : left + 128].float(), 2).round().byte()
            x = to_float(part).contiguous(memory_format=torch.channels_last)
            with torch.autocast("cpu", dtype=torch.bfloat16):
                seen, other = network.activations(x), network.activations(x.flip(3))
            turns.append((seen[-2] - other[-2]).float().flatten(1) @ axis)
            marks.append(network.head(seen[-1].float().mean((2, 3)))[:, columns])
        turn, mark = torch.cat(turns).abs().numpy(), torch.cat(marks).numpy()
        kinds = [(turn > limit, share) for limit, share in (TURNED, FAR_TURNED)]
        for column, (name, (limit, share)) in enumerate(RARE.items()):
            kinds.append((mark[:, column] < limit if name.startswith("No_") else mark[:, column] > limit, share))
        return favoured(kinds, len(turn))

    def draw(self, count: int, rng: np.random.Generator) -> Tensor:
        """Faces uint8 (count, 3, 64, 64), half of them mirrored."""
        found = []
        for row in np.searchsorted(self.cumulative, rng.random(count)):
            pack = int(np.searchsorted(self.ends, row, side="right"))
            inside = int(row - (self.ends[pack - 1] if pack else 0))
            if pack < len(self.frames):
                face = self.frames[pack][inside].numpy().transpose(1, 2, 0)
            else:
                face = cut(self.pictures[pack - len(self.frames)][inside].numpy().transpose(1, 2, 0), rng)
            found.append(relit(face[:, ::-1] if rng.random() < 0.5 else face, rng))
        return torch.from_numpy(np.ascontiguousarray(np.stack(found).transpose(0, 3, 1, 2)))


def favoured(kinds: Sequence[tuple[np.ndarray, float]], count: int) -> np.ndarray:
    """Odds (N,) by which each kind, boolean (N,), has at least its share, kind after kind."""
    odds = np.ones(count)
    for chosen, share in kinds:
        present = odds[chosen].sum() / odds.sum()
        if 0.0 < present < share:
            odds[chosen] *= share / (1.0 - share) * (1.0 - present) / present
    return odds


def cut(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A frame (64, 64, 3) of a whole picture (218, 178, 3), placed as a finder errs."""
    step = 0.5 * SIDE / FRAME * np.exp(rng.normal(0.0, ERRORS[0]))  # twice as fine first, then means of four
    angle = np.deg2rad(rng.normal(0.0, ERRORS[2]))
    x, y = np.array(CENTRE) + SIDE / FRAME * rng.normal(0.0, ERRORS[1], 2)
    a, b, middle = step * np.cos(angle), step * np.sin(angle), FRAME - 0.5
    matrix = np.array([[a, -b, x - 0.5 - middle * (a - b)], [b, a, y - 0.5 - middle * (a + b)]])
    fine = cv2.warpAffine(
        np.ascontiguousarray(picture),
        matrix,
        (2 * FRAME, 2 * FRAME),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return cv2.resize(fine, (FRAME, FRAME), interpolation=cv2.INTER_AREA)


def relit(face: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A face (64, 64, 3), uint8, in another light, or as it is."""
    if rng.random() > RELIT:
        return face
    if rng.random() < GREY / RELIT:
        face = np.repeat(face.mean(2, keepdims=True), 3, 2)
    gain, lift, own = np.exp(rng.normal(0, LIGHT[0])), 127.5 * rng.normal(0, LIGHT[1]), rng.normal(0, LIGHT[2], 3)
    bright = (face.astype(np.float32) - 127.5) * gain * np.exp(own) + 127.5 + lift
    return np.clip(np.rint(bright), 0, 255).astype(np.uint8)


@cache
def hole_pool() -> tuple[Tensor, Tensor]:
    """Many holes, boolean (N, 1, 64, 64), true = observed, and the number of the region that each hides, (N,). The
    number after the last region is for other holes."""
    rng, names = np.random.default_rng(1), list(REGIONS)
    kinds = rng.choice(len(names) + 2, POOL, p=[*(REGION_SHARES[name] for name in names), HALF, ANY])
    pictures = [_hole(names, int(kind), rng) for kind in kinds]
    return torch.from_numpy(np.stack(pictures))[:, None], torch.from_numpy(np.minimum(kinds, len(names)))


def _hole(names: Sequence[str], kind: int, rng: np.random.Generator) -> np.ndarray:
    if kind > len(names):
        return masks.training_mask(rng)
    if kind == len(names):
        mask = np.ones((FRAME, FRAME), bool)
        mask[:, : int(rng.integers(24, 41))] = False
        return np.ascontiguousarray(np.rot90(mask, int(rng.choice(4, p=(0.35, 0.15, 0.35, 0.15)))))
    if names[kind] in masks.SHAPES and rng.random() < 0.5:
        return np.roll(masks.family(names[kind]), tuple(rng.integers(-2, 3, 2)), (0, 1))
    return near_region(names[kind], rng)
