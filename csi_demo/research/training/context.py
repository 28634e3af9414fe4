"""CSI's second stage: the decoder learns to see the photo, against a critic of pasted pictures.

Encoder and trunk stay as the first stage left them, so latents keep their meaning; the U-Net beside the trunk
(`models/context_unet.py`) learns on two roads, as Pluralistic (Zheng et al. 2019) trains its decoder:

- latents of the whole face, in the hole as outside it: a reconstruction, by pixels, deep features and the critic's
  features, since only the latents know what the hole held;
- latents drawn from q(z | x * m, m), of which half are drawn a second time with one named latent set: there is no true
  picture of them, so the critic says what looks right, the face network that the named latent is obeyed and the others
  are kept.

Every picture is judged pasted into its photo, and the critic is told the mask.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from ... import masks, weights
from ...data import read_pack, read_split
from ..metrics.features import face_network
from ..metrics.turn import odd_features, turning_axis
from ...models.csi import CSI, CSIConfig
from ...pixels import to_float
from . import losses
from .batches import generator
from .critic import REGIONS, Scores, _near, jitter, missed, shown_table, validate_fills
from .csi import WHOLE_SIGMA, CSIRecipe, CSISettings, any_of

# How often a hole is of each kind: a region's, a side's half, or any.
SHARES = {"mouth": 0.19, "eyes": 0.19, "nose": 0.03, "hair": 0.07, "face": 0.14, "head": 0.03}
HALF, ANY = 0.2, 0.15
EXTREME = 2.4  # of a named latent that is set
SPREAD = 0.3, 1.3  # of draws, drawn uniformly
WEIGHTS = {
    "rebuilt": 3.0,
    "visible": 0.7,
    "hidden": 0.5,
    "deep": 1.0,
    "filled_deep": 0.3,
    "matched": 1.0,
    "obeyed": 0.25,
    "kept": 1.0,
    "change": 0.2,
}
ADVERSARIAL = 0.5
PENALISED = 1 / 12  # share of the steps with R1, weighted up accordingly
R1 = 1.0
WARM, RAMP = 8_000, 10_000  # pictures before the critic counts, and until it counts in full
ERRORS = 0.04, 1.5, 4.0  # of a found frame, standard deviations: logarithm of its scale, frame pixels, degrees
WHOLE = (178, 218)  # CelebA's aligned pictures
CENTRE, SIDE = (89.0, 121.0), 128.0  # of the frame in them
LIGHT = 0.12, 0.12, 0.06  # standard deviations: logarithm of contrast, brightness, each channel's own


class MaskedCritic(nn.Module):
    """Real or filled: logits for the whole picture, and for patches of 22 pixels' width, from picture and mask."""

    def __init__(self, width: int = 48):
        super().__init__()
        channels = (4, width, 2 * width, 4 * width, 8 * width)
        self.levels = nn.ModuleList(nn.Conv2d(a, b, 4, 2, 1) for a, b in pairwise(channels))
        self.patch = nn.Conv2d(channels[3], 1, 1)
        self.whole = nn.Conv2d(channels[4], 1, 4)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, 0.2)
                nn.init.zeros_(module.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, list[Tensor]]:
        """x: (B, 3, 64, 64) in [-1, 1]; mask: (B, 1, 64, 64). Returns logits (B,) and (B, 8, 8), above 0 for real, and
        the features of each level."""
        h, seen = torch.cat((x, mask * 2.0 - 1.0), 1), []
        for level in self.levels:
            h = F.leaky_relu(level(h), 0.2)
            seen.append(h)
        return self.whole(h).flatten().float(), self.patch(seen[2])[:, 0].float(), seen

    def start_from_discriminator(self) -> None:
        """Takes over DCGAN's discriminator, which knows faces."""
        state = weights.load_state("dcgan")
        with torch.no_grad():
            for index, level in enumerate(self.levels):
                weight = state[f"discriminator.layers.{2 * index}.weight"].float()
                if weight.shape[0] == level.weight.shape[0]:
                    level.weight.zero_()
                    level.weight[:, : weight.shape[1]] = weight
                    level.bias.copy_(state[f"discriminator.layers.{2 * index}.bias"].float())


class SeeingCSI(CSI):
    """CSI and the critic that its second stage is trained against."""

    def __init__(self, config: CSIConfig):
        super().__init__(config)
        self.critic = MaskedCritic()


@dataclass(frozen=True)
class ContextSettings(CSISettings):
    pictures: tuple[int, ...] = (300_000,)
    learning_rate: tuple[float, ...] = (4e-4,)
    batch: int = 16
    betas: tuple[float, float] = (0.5, 0.99)
    ema: float = 0.999
    clip: float = 2.0
    warmup: int = 2_000
    final_rate: float = 0.1
    whole: str = ""  # folders of 178x218 packs, with commas between them
    start: str = "weights"


class ContextRecipe(CSIRecipe):
    name = "csi"
    unit = "critic"
    settings_type, config_type = ContextSettings, CSIConfig

    def __init__(self, settings, overrides):
        config = weights.load_json("csi", "config.json", Path(settings.start)) if False else None
        import json

        config = json.loads((Path(settings.start) / "csi" / "config.json").read_text())
        self.settings = settings
        self.config = CSIConfig(**(config | {"sees": True} | dict(overrides)))

    def stages(self):
        return (1,)

    def read(self, data: Path):
        self.pool = FacePool(data, [Path(folder) for folder in self.settings.whole.split("+") if folder])
        val = read_split(data, "val")
        return torch.zeros(1, 3, 64, 64, dtype=torch.uint8), val

    def build(self):
        model = SeeingCSI(self.config)
        carried = weights.load_state("csi", Path(self.settings.start))
        own = model.state_dict()
        model.load_state_dict(own | {k: v for k, v in carried.items() if k in own and own[k].shape == v.shape})
        model.critic.start_from_discriminator()
        critic = Path(self.settings.start) / "critics" / "context.pt"
        if critic.is_file():
            model.critic.load_state_dict(torch.load(critic))
        return model

    def begin(self, model, stage):
        pass

    def groups(self, model, stage):
        return [
            {"params": list(model.context.parameters()), "scale": 1.0},
            {"params": list(model.critic.parameters()), "scale": 0.75},
        ]

    def step(self, model, stage, dataset_size):
        return ContextStep(model, self.pool)

    def batch(self, model, stage, frames, count, rng):
        self.seen = getattr(self, "seen", 0)
        batch = draw_batch(self.pool, count, rng, self.config)
        return batch

    def validate(self, model, stage, frames, dataset_size, device):
        import time

        now = time.monotonic()
        if now - getattr(self, "validated", -1e9) > 600.0:
            self.validated, self.found = now, validate_fills(model, frames, device)
        return self.found

    def export(self, model, metrics, folder):
        state = {k: v for k, v in model.state_dict().items() if not k.startswith("critic.")}
        files = {
            "encoder": ("encoder.",),
            "decoder": ("decoder.", "rgb_head."),
            "context": ("context.",),
            "pixelcnn": ("",),
        }
        weights.save_model(folder, self.config.to_dict(), state, metrics, files)


class FacePool:
    """Training faces as people have them: frames of 64x64 packs, and frames cut from whole pictures as a finder errs;
    turned faces, glasses and beards are drawn more often than they occur."""

    def __init__(self, data: Path, whole: list[Path]):
        self.packs = [read_pack(file) for file in sorted(data.glob("train-*.parquet"))]
        self.large = [
            read_pack(file, size=WHOLE) for folder in whole for file in sorted(folder.glob("train*.parquet"))
        ]
        cached = data_cache(data, whole)
        if cached.is_file():
            found = np.load(cached)
            self.odds = found["odds"]
        else:
            self.odds = self._odds()
            np.savez(cached, odds=self.odds)
        self.cumulative = np.cumsum(self.odds) / self.odds.sum()
        self.ends = np.cumsum([len(pack) for pack in (*self.packs, *self.large)])

    def few(self, count: int) -> Tensor:
        return self.packs[0][:count]

    @torch.no_grad()
    def _odds(self) -> np.ndarray:
        network = face_network()
        axis = turning_axis(to_float(self.packs[0][:1000]))
        names = network.config.names
        columns = [names.index(n) for n in ("Eyeglasses", "No_Beard", "Gray_Hair", "Wearing_Hat")]
        turns, marks = [], []
        for pack in (*self.packs, *self.large):
            for part in pack.split(32):
                if part.shape[-1] != 64:
                    left, top = int(CENTRE[0] - SIDE / 2), int(CENTRE[1] - SIDE / 2)
                    part = F.avg_pool2d(
                        part[:, :, top : top + 128, left : left + 128].float(), 2
                    ).round().byte()
                x = to_float(part).contiguous(memory_format=torch.channels_last)
                with torch.autocast("cpu", dtype=torch.bfloat16):
                    seen, other = network.activations(x), network.activations(x.flip(3))
                seen, other = ([level.float() for level in levels] for levels in (seen, other))
                odd = (seen[-2] - other[-2]).flatten(1)
                turns.append((odd @ axis).numpy())
                marks.append(network.head(seen[-1].mean((2, 3)))[:, columns].numpy())
        turn, mark = np.abs(np.concatenate(turns)), np.concatenate(marks)
        turned, glasses, beard, grey = turn > 1.0, mark[:, 0] > 0, mark[:, 1] < -0.7, mark[:, 2] > 1.0
        strongly = turn > 1.8
        print("turned", turned.mean(), strongly.mean(), "glasses", glasses.mean(), "beard", beard.mean(), "grey", grey.mean(), flush=True)
        odds = np.ones(len(turn))
        for chosen, share in ((turned, 0.36), (strongly, 0.16), (glasses, 0.16), (beard, 0.16), (grey, 0.08)):
            present = odds[chosen].sum() / odds.sum()
            if 0 < present < share:
                odds[chosen] *= share / (1 - share) * (1 - present) / present
        return odds

    def draw(self, count: int, rng: np.random.Generator) -> Tensor:
        """uint8 (count, 3, 64, 64)."""
        rows = np.searchsorted(self.cumulative, rng.random(count))
        found = []
        for row in rows:
            pack = int(np.searchsorted(self.ends, row, side="right"))
            inside = int(row - (self.ends[pack - 1] if pack else 0))
            if pack < len(self.packs):
                picture = self.packs[pack][inside].numpy().transpose(1, 2, 0)
                matrix = frame_errors(rng, 0.5) if rng.random() < 0.3 else None
                if matrix is not None:
                    picture = cv2.warpAffine(
                        picture, matrix, (64, 64), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101
                    )
            else:
                large = self.large[pack - len(self.packs)][inside].numpy().transpose(1, 2, 0)
                picture = cut(large, rng)
            if rng.random() < 0.5:
                picture = picture[:, ::-1]
            found.append(relit(picture, rng))
        return torch.from_numpy(np.ascontiguousarray(np.stack(found).transpose(0, 3, 1, 2)))


def data_cache(data: Path, whole: list[Path]) -> Path:
    from ...data import cache_folder

    return cache_folder() / f"odds-{len(whole)}.npz"


def frame_errors(rng: np.random.Generator, share: float) -> np.ndarray:
    scale, shift, degrees = np.exp(share * rng.normal(0, ERRORS[0])), share * rng.normal(0, ERRORS[1], 2), share * rng.normal(0, ERRORS[2])
    matrix = cv2.getRotationMatrix2D((31.5, 31.5), degrees, scale)
    matrix[:, 2] += shift
    return matrix


def cut(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A frame (64, 64, 3) of a whole picture (218, 178, 3), placed as a finder errs."""
    step = SIDE / 64 * np.exp(rng.normal(0.0, ERRORS[0]))
    angle = np.deg2rad(rng.normal(0.0, ERRORS[2]))
    x, y = np.array(CENTRE) + 2.0 * rng.normal(0.0, ERRORS[1], 2)
    # Twice the frame's size first, then means of four: as a photo's pixels are averaged.
    a, b = 0.5 * step * np.cos(angle), 0.5 * step * np.sin(angle)
    matrix = np.array([[a, -b, x - 0.5 - 63.5 * a + 63.5 * b], [b, a, y - 0.5 - 63.5 * b - 63.5 * a]])
    large = cv2.warpAffine(
        np.ascontiguousarray(picture),
        matrix,
        (128, 128),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return cv2.resize(large, (64, 64), interpolation=cv2.INTER_AREA)


def relit(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    if rng.random() < 0.4:
        return picture
    gain, lift = np.exp(rng.normal(0, LIGHT[0])), 127.5 * rng.normal(0, LIGHT[1])
    own = np.exp(rng.normal(0, LIGHT[2], 3))
    if rng.random() < 0.05:
        picture = np.repeat(picture.mean(2, keepdims=True), 3, 2)
    bright = (picture.astype(np.float32) - 127.5) * gain * own + 127.5 + lift
    return np.clip(np.rint(bright), 0, 255).astype(np.uint8)


@cache
def hole_pool() -> tuple[Tensor, Tensor]:
    rng = np.random.default_rng(1)
    names = list(REGIONS)
    kinds = rng.choice(len(names) + 2, 16_000, p=[*(SHARES[name] for name in names), HALF, ANY])
    pictures = []
    for kind in kinds:
        if kind == len(names) + 1:
            mask = masks.training_mask(rng)
        elif kind == len(names):
            depth = int(rng.integers(24, 41))
            mask = np.ones((64, 64), bool)
            mask[:, :depth] = False
            mask = np.ascontiguousarray(np.rot90(mask, int(rng.choice(4, p=(0.35, 0.15, 0.35, 0.15)))))
        elif names[kind] in masks.SHAPES and rng.random() < 0.5:
            mask = np.roll(masks.family(names[kind]), tuple(rng.integers(-2, 3, 2)), (0, 1))
        else:
            mask = _near(names[kind], rng)
        pictures.append(mask)
    return torch.from_numpy(np.stack(pictures))[:, None], torch.from_numpy(np.minimum(kinds, len(names)))


def draw_batch(pool: FacePool, count: int, rng: np.random.Generator, config: CSIConfig) -> dict[str, Tensor]:
    draw = generator(rng, torch.device("cpu"))
    hidden, kinds = hole_pool()
    rows = torch.randint(len(kinds), (count,), generator=draw)
    shows = shown_table(config.named, torch.device("cpu"))[kinds[rows]]
    moved = any_of(shows + 1e-6, draw)
    low, high = SPREAD
    spread = low + (high - low) * torch.rand((count, 1), generator=draw)
    return {
        "frames": pool.draw(count, rng),
        "mask": hidden[rows].float(),
        "noise": torch.rand((count, 3, 64, 64), generator=draw) * 2.0 - 1.0,
        "eps": torch.randn((count, config.latent_dim), generator=draw),
        "shared": spread * torch.randn((count, config.posterior_rank), generator=draw),
        "moved": moved[:, 0],
        "value": (torch.rand(count, generator=draw) * 2.0 - 1.0) * EXTREME,
        "shown": shows.gather(1, moved)[:, 0],
        "shift": torch.tensor(int(rng.integers(9))),
        "penalised": torch.tensor(bool(rng.random() < PENALISED)),
    }


class ContextStep(nn.Module):
    """The losses of both players on one batch, each reaching its own parameters only."""

    def __init__(self, model: SeeingCSI, pool: FacePool):
        super().__init__()
        self.model = model
        self.register_buffer("pictures_seen", torch.zeros(()))
        model.requires_grad_(False)
        model.context.requires_grad_(True)
        model.critic.requires_grad_(True)
        self.scores = Scores(model.config.named, pool.few(2048), torch.device("cpu")).requires_grad_(False)
        self.features = losses.DeepFeatures("faces")
        self.start = int(START)

    def train(self, mode: bool = True):
        super().train(mode)
        self.model.encoder.eval()
        self.model.decoder.eval()
        return self

    def forward(self, frames, mask, noise, eps, shared, moved, value, shown, shift, penalised):
        model, terms, count = self.model, dict[str, Tensor](), len(frames)
        half = count // 2  # the first half takes the whole face's latents
        quarter = (count - half) // 2  # of the second half, so many are drawn again with a latent set
        names = len(model.config.named)
        x = to_float(frames).contiguous(memory_format=torch.channels_last)
        with torch.no_grad():
            seen_whole = model.encode(x[:half], torch.ones_like(mask[:half]), noise[:half])
            z_whole = seen_whole.mean + WHOLE_SIGMA * eps[:half]
            inferred = model.encode(x[half:], mask[half:], noise[half:])
            z_hole = inferred.draw_together(shared[half:])
            again = slice(half, half + quarter)
            z_moved = z_hole[:quarter]
            z_moved = z_moved.scatter(1, moved[again, None], value[again, None].to(z_moved))
            z = torch.cat((z_whole, z_hole, z_moved))
            maps, trunk = model.decoder.trunk(z)
            reached = self.features(x)
        context = model.context.see(x, mask)
        context = [torch.cat((level, level[again])) for level in context]
        pictures = model.picture(maps + model.context(trunk, context))
        target, holes = torch.cat((x, x[again])), torch.cat((mask, mask[again]))
        pasted = holes * target + (1.0 - holes) * pictures
        error = (pictures - target).abs().mean(1, keepdim=True)

        def inside(values, hole):
            return (values * hole).sum() / hole.sum().clamp(min=1.0)

        terms["rebuilt"] = inside(error[:half], 1.0 - mask[:half])
        terms["hidden"] = inside(error[half:count], 1.0 - mask[half:])
        terms["visible"] = inside(error, holes)
        terms["deep"] = self.features.distance(pasted[:half], [level[:half] for level in reached])
        terms["filled_deep"] = self.features.distance(pasted[half:count], [level[half:] for level in reached])

        judged = jitter(torch.cat((pasted[again], pasted[count:])), shift)
        before, after = self.scores(judged)[0].chunk(2)
        asked = torch.minimum(torch.maximum(value[again], self.scores.low[moved[again]]), self.scores.high[moved[again]])
        chosen = F.one_hot(moved[again], names).to(after)
        terms["obeyed"] = (missed((after * chosen).sum(1), asked) * shown[again]).mean()
        terms["kept"] = (((after - before.detach()).square() * (1.0 - chosen)).sum(1) / (names - 1)).mean()
        hole = 1.0 - mask[again]
        terms["change"] = ((pictures[count:] - pictures[again]).abs() * hole).sum() / (3.0 * hole.sum())

        critic = model.critic
        touched = F.max_pool2d(1.0 - holes, 8)[:, 0]  # (n, 8, 8), patches with a part of the hole
        real, real_patch, theirs = critic(x, mask)
        fake, fake_patch, _ = critic(pasted.detach(), holes)
        share = touched.sum().clamp(min=1.0)
        terms["critic"] = (
            F.softplus(-real).mean()
            + F.softplus(fake).mean()
            + F.softplus(-real_patch).mean()
            + (F.softplus(fake_patch) * touched).sum() / share
        )
        fixed = {name: parameter.detach() for name, parameter in critic.named_parameters()}
        verdict, patches, mine = functional_call(critic, fixed, (pasted, holes))
        terms["fooled"] = F.softplus(-verdict).mean() + (F.softplus(-patches) * touched).sum() / share
        terms["matched"] = torch.stack(
            [
                (level[:half] - wanted[:half].detach()).float().square().mean()
                / wanted[:half].detach().float().square().mean()
                for level, wanted in zip(mine, theirs, strict=True)
            ]
        ).mean()
        if self.training:
            self.pictures_seen += count
        ramp = min(max((float(self.pictures_seen) + self.start - WARM) / RAMP, 0.0), 1.0)
        loss = sum(
            weight * (ramp if name == "matched" else 1.0) * terms[name] for name, weight in WEIGHTS.items()
        )
        loss = loss + ramp * ADVERSARIAL * terms["fooled"] + terms["critic"]
        if penalised:
            loss = loss + R1 * penalty(critic, x, mask) / PENALISED
        terms["real"], terms["fake"] = real.mean(), fake.mean()
        return {"loss": loss} | terms


def penalty(critic: MaskedCritic, x: Tensor, mask: Tensor) -> Tensor:
    with torch.autocast("cpu", enabled=False):
        x = x.float().requires_grad_()
        whole, patches, _ = critic(x, mask)
        (slope,) = torch.autograd.grad(whole.sum() + patches.mean((1, 2)).sum(), x, create_graph=True)
    return 0.5 * slope.square().sum((1, 2, 3)).mean()


START = 0
