"""Training the refiner: L1 first, then against a critic of patches and one of the whole face.

Two kinds of step. Fills: the 128x128 square that the 64x64 frame is made of, in a window that shows what lies around
it, with a fill of 64x64 as the methods draw them (`coarse`). Octaves: the same pictures at smaller sizes, whose hole
holds the truth at half of that size, so that the refiner learns to add an octave to a face of any size, as sharp as
what lies around. Data: whole 178x218 CelebA pictures.
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
from torch.nn import functional as F

from ... import masks, weights
from ...data import picture_size, read_identities, read_packs
from ...errors import DataError
from ...models.critic import judge
from ...models.refiner import RefinerConfig, RefinerTraining, enlarge
from ...photo.refining import WINDOW
from ...pixels import to_float
from ..metrics.frechet import distance_to_faces
from . import losses
from .batches import MaskPool, generator
from .coarse import CoarseFills
from .context import verdict_loss
from .csi import CRITICS
from .loop import Recipe, Settings
from .starting import start_from

SIDE = 128  # of the frame's square at twice the frame's size
MARGIN = (WINDOW - SIDE) // 2  # of the window around it
CENTRE = (121, 89)  # of that square in whole pictures, row and column
ROOM = 4  # pixels that the square may be off, either way, where the pictures are larger
SIZES = (64, 80, 96, 112, 144, 176)  # of the square in steps that add an octave; the large ones are soft, and stay so
OCTAVE_FAITH = 0.7  # how far the truth counts there
HELD_OUT = 400  # rows at the end of the training pack, for validation; whoever they show is not trained on
NAMED = 0.4  # share of the holes that are where a visitor's are: a feature, a half
JITTER = 8  # pixels that their edges are off, at most
GREY, OTHER_LIGHT = 0.08, 0.2  # shares of pictures that are made grey, and lit by another light
LIGHT = 0.1  # standard deviation of that light's channels, of their logarithm
# What the critics start from, the first that the weights have.
PATCH_SOURCES, FACE_SOURCES = ("refiner_critic", "masked_critic"), ("refiner_face_critic",)
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
    crops: tuple[int, ...] = (64, 96, WINDOW)  # sides of what is seen, one of them a step; the largest: whole faces
    octaves: float = 0.4  # share of the steps that add an octave to smaller faces
    more: str = ""  # further folders of whole pictures, with commas between them
    start: str = ""  # a safetensors file of a refiner to start from
    csi: str = ""  # whose networks redraw faces, see `CoarseFills`
    l1_weight: float = 2.0
    follow_weight: float = 3.0  # of colours that are to stay the fill's, at an eighth of the size
    meaning_weight: float = 0.05  # of the face network's logits, which are to stay the fill's
    face_weight: float = 0.3  # of the critic of whole faces
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
            if side > WINDOW or side % max(self.config.multiple, PATCH):
                raise ValueError(f"crops of {side}: at most {WINDOW}, a multiple of {max(self.config.multiple, PATCH)}")
        self.coarse = CoarseFills(settings.csi)
        self.holes = MaskPool(hole, 4096)

    def read(self, data: Path) -> tuple[Tensor, Tensor]:
        frames, people = self._windows(data), read_identities(data, "train")
        if len(frames) <= HELD_OUT:
            raise DataError(f"{data} has {len(frames)} training pictures: more than {HELD_OUT} are needed")
        others = ~torch.isin(people, people[-HELD_OUT:])
        more = [self._windows(Path(folder)) for folder in self.settings.more.split(",") if folder]
        return torch.cat((frames[others], *more)), frames[-HELD_OUT:]

    def _windows(self, data: Path) -> Tensor:
        """The window around the frame of every training picture, and room to shift it: uint8 (N, 3, side, side)."""
        width, height = picture_size(data, "train")
        if min(width, height) < WINDOW:
            raise DataError(f"{data} has pictures of {width}x{height}: at least {WINDOW}x{WINDOW} are needed")
        side = min(width, height, WINDOW + 2 * ROOM)
        top, left = (
            min(max(middle - side // 2, 0), length - side)
            for middle, length in zip(CENTRE, (height, width), strict=True)
        )
        packs = read_packs(data, "train", (width, height))
        return torch.cat([pack[:, :, top : top + side, left : left + side] for pack in packs])

    def build(self) -> RefinerTraining:
        model = RefinerTraining(self.config)
        if self.settings.start:
            start_from(model.refiner, self.settings.start)
        for critic, sources in ((model.critic, PATCH_SOURCES), (model.face_critic, FACE_SOURCES)):
            for name in (f"{CRITICS}/{source}" for source in sources):
                if weights.available(name):
                    start_from(critic, name)
                    break
        return model

    def stages(self) -> tuple[int, ...]:
        return (1, 2)

    def groups(self, model: RefinerTraining, stage: int) -> list[dict[str, Any]]:
        return [
            {"params": list(model.refiner.parameters()), "scale": self.settings.refiner_rate[stage - 1]},
            {"params": [*model.critic.parameters(), *model.face_critic.parameters()], "scale": 1.0},
        ]

    def step(self, model: RefinerTraining, stage: int, dataset_size: int) -> RefinerStep:
        return RefinerStep(model, self.settings, adversarial=stage == 2)

    def batch(self, model: Any, stage: int, frames: Tensor, count: int, rng: np.random.Generator) -> dict[str, Tensor]:
        draw = generator(rng, frames.device)
        rows = torch.randint(len(frames), (count,), generator=draw, device=frames.device)
        side = int(rng.choice(self.settings.crops))
        if rng.random() < self.settings.octaves:
            truth, mask, coarse, faith = self.octave(frames[rows], draw, int(rng.choice(SIZES)))
            side = min(side, 64)
        else:
            truth, mask, coarse, faith = self.scenes(frames[rows], draw, float(rng.random()))
        if side < WINDOW:
            truth, mask, coarse = crop_at_holes((truth, mask, coarse), mask, side, draw)
        return {"truth": truth, "mask": mask, "coarse": coarse, "faith": faith}

    def pictures(self, frames: Tensor, draw: torch.Generator, still: bool = False) -> Tensor:
        """Windows (B, 3, 176, 176) of frames: uint8 (B, 3, side, side); still: neither mirrored, shifted nor toned."""
        device, room = frames.device, frames.shape[-1] - WINDOW
        start = torch.full((len(frames), 2), room // 2, device=device)
        if still:
            return to_float(cut(frames, start, WINDOW))
        start = torch.randint(room + 1, (len(frames), 2), generator=draw, device=device)
        turned = torch.rand((len(frames), 1, 1, 1), generator=draw, device=device)
        truth = cut(frames, start, WINDOW)
        return toned(to_float(torch.where(turned > 0.5, truth.flip(3), truth)), draw)

    def scenes(
        self, frames: Tensor, draw: torch.Generator, offset: float, holes: Tensor | None = None, still: bool = False
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Pictures (B, 3, 176, 176), masks, fills and their faith, from frames: uint8 (B, 3, side, side).

        holes: masks (B, 1, 128, 128) to take; otherwise they are drawn. They grow to whole pixels of the 64x64 frame.
        still: as of `pictures`.
        """
        device, truth = frames.device, self.pictures(frames, draw, still)
        mask = whole_frame_pixels(self.holes.draw(len(frames), draw) if holes is None else holes)
        if next(self.coarse.parameters()).device != device:
            self.coarse = self.coarse.to(device)
        with torch.autocast(device.type, torch.bfloat16, enabled=self.settings.bf16):
            fill, faith = self.coarse(in_frame(truth), mask, draw, offset)
        coarse = truth.clone()
        in_frame(coarse).copy_(fill)
        return truth, F.pad(mask, (MARGIN,) * 4, value=1.0), coarse, faith

    def octave(self, frames: Tensor, draw: torch.Generator, size: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """As `scenes`, with the frame's square at this size and holes that hold the truth at half of that."""
        truth = self.pictures(frames, draw)
        mask = F.pad(self.holes.draw(len(frames), draw), (MARGIN,) * 4, value=1.0)
        side = WINDOW * size // SIDE // self.config.multiple * self.config.multiple
        whole = round(WINDOW * size / SIDE)
        room = (whole - side) // 2
        mode = "area" if size < SIDE else "bicubic"
        sized = [F.interpolate(part, size=(whole, whole), mode=mode).clamp(-1.0, 1.0) for part in (truth, mask)]
        truth, mask = (part[..., room : room + side, room : room + side].contiguous() for part in sized)
        mask = whole_frame_pixels((mask > 0.99).float())
        coarse = torch.where(mask > 0.5, truth, enlarge(worn(F.avg_pool2d(truth, 2), draw), side))
        return truth, mask, coarse, torch.full((len(frames),), OCTAVE_FAITH, device=frames.device)

    @torch.no_grad()
    def validate(self, model: Any, stage: int, frames: Tensor, dataset_size: int, device) -> dict[str, float]:
        names = ("mouth", "eyes", "center", "left")
        draw = torch.Generator(device).manual_seed(0)
        drawn, real, l1, steps = [], [], [], torch.zeros(2, device=device)
        for part in frames.split(16):
            chosen = np.stack([masks.family(names[row % len(names)], SIDE) for row in range(len(part))])
            holes = torch.from_numpy(chosen).float()[:, None].to(device)
            truth, mask, coarse, _ = self.scenes(part.to(device), draw, 0.5, holes, still=True)
            refined = model.refiner(truth, mask, coarse).float()
            truth, mask, refined = (in_frame(picture) for picture in (truth, mask, refined))
            pasted = paste(truth, mask, refined).clamp(-1.0, 1.0)
            l1.append(hole_mean((pasted - truth).abs(), 1.0 - mask))
            steps += torch.stack([unevenness(picture, 1.0 - mask) for picture in (pasted, truth)])
            drawn.append(pasted)
            real.append(truth)
        figures = {"l1": float(torch.cat(l1).mean()), "sharpness": float(steps[0] / steps[1])}
        distance = distance_to_faces(torch.cat(drawn), torch.cat(real))
        return figures if distance is None else figures | {"frechet": distance}

    def export(self, model: Any, metrics: Mapping[str, Any], folder: Path) -> None:
        weights.save_model(folder, self.config.to_dict(), model.refiner.state_dict(), metrics, {"refiner": ("",)})
        critics = folder.with_name(CRITICS)  # needed to go on training only
        for name, critic in (("refiner_critic", model.critic), ("refiner_face_critic", model.face_critic)):
            weights.save_model(critics / name, {}, critic.state_dict(), metrics, {name: ("",)})


class RefinerStep(nn.Module):
    """All players' losses on one batch, each reaching its own player's parameters only; one step moves all."""

    def __init__(self, model: RefinerTraining, settings: RefinerSettings, adversarial: bool):
        super().__init__()
        self.refiner, self.critic, self.face_critic = model.refiner, model.critic, model.face_critic
        self.settings, self.adversarial = settings, adversarial
        self.features = losses.DeepFeatures()

    def forward(self, truth: Tensor, mask: Tensor, coarse: Tensor, faith: Tensor) -> dict[str, Tensor]:
        """truth, coarse: (B, 3, H, W) in [-1, 1]; mask (B, 1, H, W); faith (B,): how far the fill is the truth's.

        A fill that is not the truth's is to be followed, not corrected: there the truth counts little, and what the
        fill and its refinement show at an eighth of the size, and what the face network reads in both, should agree.
        """
        settings, hole = self.settings, 1.0 - mask
        truth, coarse = (x.contiguous(memory_format=torch.channels_last) for x in (truth, coarse))
        refined = self.refiner(truth, mask, coarse).float()
        pasted = paste(truth, mask, refined)
        apart = hole_mean((refined - truth).abs(), hole)  # (B,)
        l1 = (faith * apart).mean()
        strayed = F.avg_pool2d((refined - coarse) * hole, 8).abs()
        follow = ((1.0 - faith) * hole_mean(strayed, F.avg_pool2d(hole, 8))).mean()

        patches = F.max_pool2d(hole, 3 * PATCH, PATCH, PATCH)  # (B, 1, H / 8, W / 8), 1: touches the hole
        logits, found = self.critic(torch.cat((truth, pasted.detach())), torch.cat((mask, mask)))
        real, fake = logits.float().chunk(2)
        critic = (hole_mean(F.softplus(-real), patches) + hole_mean(F.softplus(fake), patches)).mean()
        penalty = 0.5 * self._slope(truth, mask, patches).mean()
        right = 0.5 * (hole_mean((real > 0).float(), patches) + hole_mean((fake < 0).float(), patches)).mean()
        loss = critic + settings.penalty * penalty + settings.l1_weight * l1 + settings.follow_weight * follow
        terms = {"critic": critic, "critic_right": right, "slope": penalty, "l1": apart.mean(), "follow": follow}
        if self.adversarial:
            judged, mine = judge(self.critic, pasted, mask)
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
        if truth.shape[-1] == WINDOW:
            told, meant = self._whole_faces(truth, mask, coarse, pasted, faith)
            loss = loss + told["face_critic"] + settings.meaning_weight * meant
            if self.adversarial:
                loss = loss + settings.face_weight * told["fooled_faces"]
            terms |= told | {"meaning": meant}
        return {"loss": loss} | terms

    def _whole_faces(
        self, truth: Tensor, mask: Tensor, coarse: Tensor, pasted: Tensor, faith: Tensor
    ) -> tuple[dict[str, Tensor], Tensor]:
        """What the critic of whole faces says of the frame, and how far its meaning has left the fill's: a scalar."""
        frames = [F.avg_pool2d(in_frame(picture), 2) for picture in (truth, pasted, coarse)]
        observed = 1.0 - F.max_pool2d(1.0 - in_frame(mask), 2)
        network: Any = self.features.network
        real, fake, before = (network.activations(frame) for frame in frames)
        called = self.face_critic([level.detach() for level in fake], observed)
        pairs = zip(self.face_critic([level.detach() for level in real], observed), called, strict=True)
        verdicts = judge(self.face_critic, fake, observed)
        told = {
            "face_critic": torch.stack(
                [verdict_loss(own, True) + verdict_loss(drawn, False, observed) for own, drawn in pairs]
            ).mean(),
            "fooled_faces": torch.stack([verdict_loss(level, True, observed) for level in verdicts]).mean(),
        }
        logits, wanted = (network.head(levels[-1].float().mean((2, 3))) for levels in (fake, before))
        return told, ((1.0 - faith) * (logits - wanted.detach()).square().mean(1)).mean()

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


def in_frame(pictures: Tensor) -> Tensor:
    """The frame's square (B, C, 128, 128) in windows (B, C, 176, 176), a view."""
    return pictures[..., MARGIN : MARGIN + SIDE, MARGIN : MARGIN + SIDE]


def worn(pictures: Tensor, draw: torch.Generator) -> Tensor:
    """Pictures (B, 3, H, W) as a pass of the refiner leaves them: a little softer, some with noise."""
    chance = torch.rand((3, len(pictures), 1, 1, 1), generator=draw, device=pictures.device)
    noise = torch.randn(pictures.shape, generator=draw, device=pictures.device)
    soft = F.avg_pool2d(F.pad(pictures, (1,) * 4, mode="replicate"), 3, 1)
    return pictures + 0.7 * chance[0] * (soft - pictures) + 0.04 * chance[1] * (chance[2] < 0.5) * noise


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
