"""Training the refiner: L1 first, then against a critic that judges the pasted picture patch by patch.

Whole 178x218 CelebA pictures, or square crops of their middle: what is used is the 128x128 square that the 64x64 frame
is made of, at twice its size. `coarse` makes the fills.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from ... import masks, weights
from ...data import picture_size, read_identities, read_split
from ...errors import DataError
from ...models.refiner import RefinerConfig, RefinerTraining
from ...pixels import to_float
from ..metrics.frechet import distance_to_faces
from .batches import MaskPool, generator
from .coarse import CoarseFills
from .loop import Recipe, Settings

SIDE = 128  # of the frame's square at twice the frame's size
ROOM = 4  # pixels that the square may be off, either way, where the pictures are larger
HELD_OUT = 400  # rows at the end of the training pack, for validation; whoever they show is not trained on
NAMED = 0.4  # share of the holes that are where a visitor's are: a feature, a half
JITTER = 8  # pixels that their edges are off, at most
GREY, OTHER_LIGHT = 0.08, 0.2  # shares of pictures that are made grey, and lit by another light
LIGHT = 0.1  # standard deviation of that light's channels, of their logarithm
PATCH = 8  # pixels a side that one of the critic's logits stands for


@dataclass(frozen=True)
class RefinerSettings(Settings):
    """How the refiner is trained."""

    pictures: tuple[int, ...] = (40_000, 400_000)  # with L1 alone, then against the critic
    batch: int = 16
    learning_rate: tuple[float, ...] = (4e-4, 4e-4)
    final_rate: float = 0.1
    warmup: int = 5_000
    betas: tuple[float, float] = (0.0, 0.99)
    clip: float = 10.0
    val_pictures: int = 48
    refiner_rate: tuple[float, ...] = (1.0, 1.0)  # per stage, relative to the critic's; 0: it stands still
    crops: tuple[int, ...] = (64, 96, 128)  # sides of what both players see, one of them a step
    start: str = ""  # a safetensors file of a refiner to start from
    csi: str = ""  # whose networks redraw faces, see `CoarseFills`
    l1_weight: float = 2.0
    follow_weight: float = 3.0  # of coarse structure that is to stay the fill's
    feature_weight: float = 1.0  # of the distance in the critic's features
    critic_weight: float = 0.3
    penalty: float = 1.0  # of half the squared gradient of the critic's mean logit at real pictures
    penalised: float = 0.125  # share of the batch that it is taken on


class RefinerRecipe(Recipe[RefinerSettings, RefinerConfig]):
    """The refiner as the training loop sees it."""

    name = "refiner"
    unit = "loss"
    settings_type, config_type = RefinerSettings, RefinerConfig

    def __init__(self, settings: RefinerSettings, overrides: Mapping[str, Any]):
        super().__init__(settings, overrides)
        if len(settings.refiner_rate) < 2:
            raise ValueError(f"refiner_rate={settings.refiner_rate} needs two numbers, one per stage")
        for side in settings.crops:
            if side > SIDE or side % max(self.config.multiple, PATCH):
                raise ValueError(f"crops of {side}: at most {SIDE}, a multiple of {max(self.config.multiple, PATCH)}")
        self.coarse = CoarseFills(settings.csi)
        self.holes = MaskPool(hole, 4096)

    def read(self, data: Path) -> tuple[Tensor, Tensor]:
        width, height = picture_size(data, "train")
        side = min(width, height, SIDE + 2 * ROOM)
        if side < SIDE:
            raise DataError(f"{data} has pictures of {width}x{height}: at least {SIDE}x{SIDE} are needed")
        left, top = (width - side) // 2, (height - side) // 2
        frames = read_split(data, "train", (width, height))[:, :, top : top + side, left : left + side]
        if len(frames) <= HELD_OUT:
            raise DataError(f"{data} has {len(frames)} training pictures: more than {HELD_OUT} are needed")
        people = read_identities(data, "train")
        others = ~torch.isin(people, people[-HELD_OUT:])
        return frames[others], frames[-HELD_OUT:]

    def build(self) -> RefinerTraining:
        model = RefinerTraining(self.config)
        if self.settings.start:
            weights.start_from(model.refiner, Path(self.settings.start))
        return model

    def stages(self) -> tuple[int, ...]:
        return (1, 2)

    def groups(self, model: RefinerTraining, stage: int) -> list[dict[str, Any]]:
        return [
            {"params": list(model.refiner.parameters()), "scale": self.settings.refiner_rate[stage - 1]},
            {"params": list(model.critic.parameters()), "scale": 1.0},
        ]

    def step(self, model: RefinerTraining, stage: int, dataset_size: int) -> RefinerStep:
        return RefinerStep(model, self.settings, adversarial=stage == 2)

    def batch(self, model: Any, stage: int, frames: Tensor, count: int, rng: np.random.Generator) -> dict[str, Tensor]:
        draw = generator(rng, frames.device)
        rows = torch.randint(len(frames), (count,), generator=draw, device=frames.device)
        truth, mask, coarse, faith = self.scenes(frames[rows], draw, float(rng.random()))
        side = int(rng.choice(self.settings.crops))
        if side < SIDE:
            truth, mask, coarse = crop_at_holes((truth, mask, coarse), mask, side, draw)
        return {"truth": truth, "mask": mask, "coarse": coarse, "faith": faith}

    def scenes(
        self, frames: Tensor, draw: torch.Generator, offset: float, holes: Tensor | None = None, still: bool = False
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Pictures (B, 3, 128, 128), masks, fills and their faith, from frames: uint8 (B, 3, side, side).

        holes: masks (B, 1, 128, 128) to take; otherwise they are drawn. They grow to whole pixels of the 64x64 frame.
        still: neither mirrored nor shifted.
        """
        device, room = frames.device, frames.shape[-1] - SIDE
        start, turned = torch.full((len(frames), 2), room // 2, device=device), torch.zeros(len(frames), device=device)
        if not still:
            start = torch.randint(room + 1, (len(frames), 2), generator=draw, device=device)
            turned = torch.rand(len(frames), generator=draw, device=device)
        truth = cut(frames, start, SIDE)
        truth = to_float(torch.where(turned[:, None, None, None] > 0.5, truth.flip(3), truth))
        if not still:
            truth = toned(truth, draw)
        mask = whole_frame_pixels(self.holes.draw(len(frames), draw) if holes is None else holes)
        if next(self.coarse.parameters()).device != device:
            self.coarse = self.coarse.to(device)
        with torch.autocast(device.type, torch.bfloat16, enabled=self.settings.bf16):
            coarse, faith = self.coarse(truth, mask, draw, offset)
        return truth, mask, coarse.float(), faith

    @torch.no_grad()
    def validate(self, model: Any, stage: int, frames: Tensor, dataset_size: int, device) -> dict[str, float]:
        names = ("mouth", "eyes", "center", "left")
        draw = torch.Generator(device).manual_seed(0)
        drawn, real, l1, steps = [], [], [], torch.zeros(2, device=device)
        for part in frames.split(16):
            chosen = np.stack([masks.family(names[row % len(names)], SIDE) for row in range(len(part))])
            holes = torch.from_numpy(chosen).float()[:, None].to(device)
            truth, mask, coarse, _ = self.scenes(part.to(device), draw, 0.5, holes, still=True)
            pasted = paste(truth, mask, model.refiner(truth, mask, coarse).float()).clamp(-1.0, 1.0)
            l1.append(hole_mean((pasted - truth).abs(), 1.0 - mask))
            steps += torch.stack([unevenness(picture, 1.0 - mask) for picture in (pasted, truth)])
            drawn.append(pasted)
            real.append(truth)
        figures = {"l1": float(torch.cat(l1).mean()), "sharpness": float(steps[0] / steps[1])}
        distance = distance_to_faces(torch.cat(drawn), torch.cat(real))
        return figures if distance is None else figures | {"frechet": distance}

    def export(self, model: Any, metrics: Mapping[str, Any], folder: Path) -> None:
        weights.save_model(folder, self.config.to_dict(), model.refiner.state_dict(), metrics, {"refiner": ("",)})


class RefinerStep(nn.Module):
    """Both players' losses on one batch, each reaching its own player's parameters only; one step moves both."""

    def __init__(self, model: RefinerTraining, settings: RefinerSettings, adversarial: bool):
        super().__init__()
        self.refiner, self.critic = model.refiner, model.critic
        self.settings, self.adversarial = settings, adversarial

    def forward(self, truth: Tensor, mask: Tensor, coarse: Tensor, faith: Tensor) -> dict[str, Tensor]:
        """truth, coarse: (B, 3, H, W) in [-1, 1]; mask (B, 1, H, W); faith (B,): how far the fill is the truth's.

        A fill that is not the truth's is to be followed, not corrected: there the truth counts little, and what the
        fill and its refinement show at a quarter of the size should agree.
        """
        settings, hole = self.settings, 1.0 - mask
        truth, coarse = (x.contiguous(memory_format=torch.channels_last) for x in (truth, coarse))
        refined = self.refiner(truth, mask, coarse).float()
        pasted = paste(truth, mask, refined)
        apart = hole_mean((refined - truth).abs(), hole)  # (B,)
        l1 = (faith * apart).mean()
        strayed = F.avg_pool2d((refined - coarse) * hole, 4).abs()
        follow = ((1.0 - faith) * hole_mean(strayed, F.avg_pool2d(hole, 4))).mean()

        patches = F.max_pool2d(hole, 3 * PATCH, PATCH, PATCH)  # (B, 1, H / 8, W / 8), 1: touches the hole
        logits, found = self.critic(torch.cat((truth, pasted.detach())), torch.cat((mask, mask)))
        real, fake = logits.float().chunk(2)
        critic = (hole_mean(F.softplus(-real), patches) + hole_mean(F.softplus(fake), patches)).mean()
        penalty = 0.5 * self._slope(truth, mask, patches).mean()
        right = 0.5 * (hole_mean((real > 0).float(), patches) + hole_mean((fake < 0).float(), patches)).mean()
        loss = critic + settings.penalty * penalty + settings.l1_weight * l1 + settings.follow_weight * follow
        terms = {"critic": critic, "critic_right": right, "slope": penalty, "l1": apart.mean(), "follow": follow}
        if self.adversarial:
            fixed = {name: parameter.detach() for name, parameter in self.critic.named_parameters()}
            judged, mine = functional_call(self.critic, fixed, (pasted, mask))
            fooled = hole_mean(F.softplus(-judged.float()), patches).mean()
            share = hole.mean((1, 2, 3)).clamp(min=0.05)
            features = torch.stack(
                [
                    (faith * (own - wanted).abs().mean((1, 2, 3)) / share).mean() / wanted.abs().mean()
                    for own, wanted in (
                        (own.float(), both.float()[: len(truth)].detach())
                        for own, both in zip(mine, found, strict=True)
                    )
                ]
            ).mean()
            loss = loss + settings.critic_weight * fooled + settings.feature_weight * features
            terms |= {"fooled": fooled, "features": features}
        return {"loss": loss} | terms

    def _slope(self, truth: Tensor, mask: Tensor, patches: Tensor) -> Tensor:
        """Squared gradient (b,) of the mean logit at some of the real pictures, in float32 (R1, Mescheder et al.)."""
        count = max(1, round(self.settings.penalised * len(truth)))
        with torch.autocast(truth.device.type, enabled=False), torch.enable_grad():
            x = truth[:count].detach().float().requires_grad_()
            logits, _ = self.critic(x, mask[:count])
            (slope,) = torch.autograd.grad(hole_mean(logits, patches[:count]).sum(), x, create_graph=True)
        return slope.square().sum((1, 2, 3))


def hole(rng: np.random.Generator) -> np.ndarray:
    """A hole to train on: boolean (128, 128), False = hole; a feature or a half of the face, or any other."""
    if rng.random() >= NAMED:
        return masks.training_mask(rng, SIDE)
    edges = np.array(masks.BOXES[str(rng.choice([name for name in masks.BOXES if name != "full"]))]) * (
        SIDE / masks.FRAME
    )
    x0, y0, x1, y1 = np.clip(np.rint(edges + rng.uniform(-JITTER, JITTER, 4)), 0, SIDE).astype(int).tolist()
    if rng.random() < 0.5:
        return masks.box(x0, y0, x1, y1, SIDE)
    picture = Image.new("1", (SIDE, SIDE), 1)
    ImageDraw.Draw(picture).ellipse((x0, y0, x1 - 1, y1 - 1), fill=0)
    return np.array(picture)


def whole_frame_pixels(mask: Tensor) -> Tensor:
    """Masks (B, 1, H, W) whose holes are made of whole pixels of the frame of half the size."""
    return 1.0 - F.interpolate(F.max_pool2d(1.0 - mask, 2), scale_factor=2.0, mode="nearest")


def toned(pictures: Tensor, draw: torch.Generator) -> Tensor:
    """Pictures (B, 3, H, W) as photos come: some in other light, some grey, of which half are toned."""
    shape, device = (len(pictures), 1, 1, 1), pictures.device
    chance = torch.rand((2, *shape), generator=draw, device=device)
    light = torch.randn(len(pictures), 3, 1, 1, generator=draw, device=device)
    grey = pictures.mean(1, keepdim=True).expand_as(pictures)
    pictures = torch.where(chance[0] < GREY, grey, pictures)
    gains = torch.exp(LIGHT * light)
    lit = ((pictures + 1.0) * gains).clamp(0.0, 2.0) - 1.0
    return torch.where((chance[1] < OTHER_LIGHT) | (chance[0] < GREY / 2), lit, pictures)


def cut(frames: Tensor, start: Tensor, side: int) -> Tensor:
    """Squares (B, C, side, side) of (B, C, H, W), the upper left corner of each at `start` (B, 2), row and column."""
    steps = torch.arange(side, device=frames.device)
    index = torch.arange(len(frames), device=frames.device)[:, None, None, None]
    channels = torch.arange(frames.shape[1], device=frames.device)[:, None, None]
    rows, columns = (start[:, axis, None] + steps for axis in (0, 1))
    return frames[index, channels, rows[:, None, :, None], columns[:, None, None, :]]


def crop_at_holes(pictures: tuple[Tensor, ...], mask: Tensor, side: int, draw: torch.Generator) -> tuple[Tensor, ...]:
    """The same square of each of the pictures (B, C, H, W), anywhere around any pixel of the hole."""
    chance = torch.rand(mask.shape, generator=draw, device=mask.device) * (1.0 - mask)
    pixel = chance.flatten(1).argmax(1)  # (B,), uniform over the hole
    width = mask.shape[-1]
    centre = torch.stack((pixel // width, pixel % width), 1)
    off = torch.randint(side, centre.shape, generator=draw, device=mask.device)
    start = (centre - off).clamp(0, width - side)
    return tuple(cut(picture, start, side) for picture in pictures)


def paste(truth: Tensor, mask: Tensor, fill: Tensor) -> Tensor:
    """The picture with the fill in its hole, all (B, 3, H, W), mask (B, 1, H, W)."""
    return mask * truth + (1.0 - mask) * fill


def hole_mean(values: Tensor, weight: Tensor) -> Tensor:
    """Mean over channels and places of each picture's values (B, C, H, W), weighted by (B, 1, H, W): (B,)."""
    total = (values * weight).sum((1, 2, 3))
    return total / (values.shape[1] * weight.sum((1, 2, 3))).clamp(min=1.0)


def unevenness(pictures: Tensor, hole: Tensor) -> Tensor:
    """Sum of the absolute differences of neighbouring pixels that both lie in the hole (B, 1, H, W): a scalar."""
    across = (pictures.diff(dim=3).abs() * hole[..., 1:] * hole[..., :-1]).sum()
    return across + (pictures.diff(dim=2).abs() * hole[..., 1:, :] * hole[..., :-1, :]).sum()
