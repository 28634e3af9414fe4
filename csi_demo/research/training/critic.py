"""Stage 1 of CSI with a critic on the decoder's own picture, and latents with names.

Three pictures are decoded for every face x with a hole m:

- A, from the latents of the whole face: what the decoder can draw. It learns by pixels, deep features, the critic's
  features and the critic's verdict;
- B, from latents drawn from q(z | x * m, m), pasted into the photo: what visitors see. The critic teaches it colour,
  symmetry and fit; the visible pixels say what must agree. The posterior itself learns by its likelihood of the whole
  face's latents, so that it is as wide as its errors;
- C, like B with one named latent set to a chosen value, pasted too: two networks must see the attribute that was asked
  for, and the others where they were.

The paper's own loss, the PixelCNN's likelihood (equation 1) and MMD, stays beside these.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ... import masks
from ...methods.csi.places import REGIONS, SHOWN, TURN
from ...models.critic import FILLED, REAL, RECONSTRUCTED, critic_loss, gradient_penalty, judge
from ...models.csi import CSIConfig, Posterior
from ...photo.blending import poisson
from ...pixels import masks_to_tensor, to_float
from ..metrics.features import face_network
from ..metrics.frechet import distance_to_faces
from ..metrics.sharpness import roughness
from ..metrics.turn import odd_features, turning_axis
from . import losses
from .batches import any_of, draw_frames
from .csi import LN2, WHOLE_SIGMA, CriticisedCSI, CSISettings, crop_each

# How often a training hole hides each region; the rest are holes of any kind.
SHARES: Mapping[str, float] = {"mouth": 0.18, "eyes": 0.15, "nose": 0.06, "hair": 0.12, "face": 0.15, "head": 0.10}
NAMED = tuple(SHOWN)
JITTER = 4  # pixels that an edge of a region's hole moves, at most
EXTREME = 2.6  # of a named latent, in training
CLOSE = 0.25  # of the wanted score: near enough, so that nothing is pushed further
FEW = 4096  # training faces that scores are standardised on
PENALISED = 0.125  # share of the steps with a gradient penalty, weighted up accordingly
WEIGHTS: Mapping[str, float] = {
    "bits": 1.0,
    "pixels": 5.0,
    "deep": 1.0,
    "matched": 1.0,
    "visible": 2.5,
    "hidden": 0.5,
    "filled_deep": 0.25,
    "posterior": 0.5,
    "read": 0.3,
    "obeyed": 0.25,
    "seen": 0.1,
    "kept": 2.0,
    "change": 0.3,
}


class Scores(nn.Module):
    """Standardised scores of pictures: the face network's logits of attributes, and the turn of the head."""

    mean: Tensor
    deviation: Tensor
    low: Tensor
    high: Tensor
    turning: Tensor

    def __init__(self, names: tuple[str, ...], frames: Tensor, device: torch.device):
        """frames: uint8 faces (N, 3, 64, 64) to standardise on."""
        super().__init__()
        self.network = face_network().to(device)
        known = self.network.config.names
        self.attributes = [known.index(name) for name in names if name != TURN]
        self.turns = TURN in names
        assert not self.turns or names[-1] == TURN, f"{TURN} comes last in {names}"
        few = to_float(frames[:FEW].to(device))
        self.register_buffer("turning", turning_axis(few[:1000]))
        for name, start in (("mean", 0.0), ("deviation", 1.0)):
            self.register_buffer(name, torch.full((len(names),), start, device=device))
        with torch.no_grad():
            raw = torch.cat([self(part)[0] for part in few.split(128)])
        self.mean, self.deviation = raw.mean(0), raw.std(0)
        standard = (raw - self.mean) / self.deviation
        self.register_buffer("low", standard.quantile(0.02, 0))
        self.register_buffer("high", standard.quantile(0.98, 0))

    def train(self, mode: bool = True) -> Scores:
        return super().train(False)  # fixed: batch statistics stay as they are

    def forward(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        """x: (B, 3, 64, 64). Returns scores (B, names) and the face network's activations, level by level."""
        seen = self.network.activations(x)
        scores = self.network.head(seen[-1].mean((2, 3))).float()[:, self.attributes]
        if self.turns:
            scores = torch.cat((scores, (odd_features(x).float() @ self.turning)[:, None]), 1)
        return (scores - self.mean) / self.deviation, seen


class CriticStep(nn.Module):
    """The losses of both players on one batch, each reaching its own parameters only; one step moves both."""

    def __init__(self, model: CriticisedCSI, settings: CSISettings, frames: Tensor):
        super().__init__()
        self.model, self.settings = model, settings
        device = next(model.parameters()).device
        model.requires_grad_(True)
        for unused in ("reverse_stream", "from_context"):
            if hasattr(model, unused):
                getattr(model, unused).requires_grad_(False)
        self.scores = Scores(model.config.named, frames, device).requires_grad_(False)
        self.features = losses.DeepFeatures(settings.features)
        self.nll = torch.compile(model.pixel_nll) if settings.compile else model.pixel_nll

    def forward(
        self,
        frames: Tensor,
        mask: Tensor,
        noise: Tensor,
        eps: Tensor,
        prior: Tensor,
        crop: Tensor,
        moved: Tensor,
        value: Tensor,
        shown: Tensor,
        shift: Tensor,
        penalised: Tensor,
    ) -> dict[str, Tensor]:
        """frames: uint8 (B, 3, H, W); mask (B, 1, H, W); noise (B, 3, H, W); eps (2, B, z + rank); prior (256, z);
        crop (B, 2); moved (B,), the named latent that is set to value (B,), and shown (B,), 1 where the hole hides
        where it shows; shift (), -1 to 1 pixels for the networks that judge; penalised (), whether R1 is taken now."""
        model, terms = self.model, dict[str, Tensor]()
        latents = model.config.latent_dim
        x = to_float(frames).contiguous(memory_format=torch.channels_last)
        with torch.no_grad():
            wanted, reached = self.scores(x)
            wanted = wanted.clamp(-2.5, 2.5)

        posterior = model.encode(torch.cat((x, x)), torch.cat((torch.ones_like(mask), mask)), torch.cat((noise, noise)))
        whole, inferred = (Posterior._make(parts) for parts in zip(*(part.chunk(2) for part in posterior), strict=True))
        z_whole = whole.mean + WHOLE_SIGMA * eps[0, :, :latents]
        z_hole = inferred.draw(eps[1])
        z_moved = z_hole.scatter(1, moved[:, None], value[:, None].to(z_hole))
        maps = model.decode(torch.cat((z_whole, z_hole, z_moved)))
        whole_picture, hole_picture, moved_picture = model.picture(maps).chunk(3)
        filled, refilled = (mask * x + (1.0 - mask) * drawn for drawn in (hole_picture, moved_picture))

        # The paper's own loss, equation 1.
        x_crop, maps_crop = (crop_each(part, crop, self.settings.crop[0]) for part in (x, maps.chunk(3)[1]))
        terms["bits"] = self.nll(x_crop, maps_crop, None).mean() / (3.0 * LN2)
        terms["mmd"] = 0.5 * (losses.mmd(z_whole, prior) + losses.mmd(z_hole, prior))

        # What the decoder draws of a whole face.
        terms["pixels"] = (whole_picture - x).abs().mean()
        terms["deep"] = self.features.distance(whole_picture, reached[:3])
        # What it draws in a hole.
        error = (hole_picture - x).abs().mean(1, keepdim=True)
        terms["visible"] = (error * mask).sum() / mask.sum().clamp(min=1.0)
        terms["hidden"] = (error * (1.0 - mask)).sum() / (1.0 - mask).sum()
        terms["filled_deep"] = self.features.distance(filled, reached[:3])
        target = (whole.mean + WHOLE_SIGMA * torch.randn_like(whole.mean)).detach()
        terms["posterior"] = -inferred.log_prob(target).mean() / latents

        # Named latents: read off the face, and obeyed.
        names = wanted.shape[1]
        terms["read"] = (whole.mean[:, :names] - wanted).square().mean()
        judged = jitter(torch.cat((filled, refilled)), shift)
        before, after = self.scores(judged)[0].chunk(2)
        asked = torch.minimum(torch.maximum(value, self.scores.low[moved]), self.scores.high[moved])
        chosen = F.one_hot(moved, names).to(after)
        terms["obeyed"] = (missed((after * chosen).sum(1), asked) * shown).mean()
        terms["kept"] = (((after - before.detach()).square() * (1.0 - chosen)).sum(1) / (names - 1)).mean()
        terms["change"] = ((moved_picture - hole_picture).abs() * (1.0 - mask)).sum() / (3.0 * (1.0 - mask).sum())

        # The critic.
        critic = model.critic
        drawn = torch.cat((whole_picture, filled, refilled))
        logits, scores, seen = critic(torch.cat((x, drawn.detach())))
        real, rebuilt, *pasted = logits.chunk(4)
        terms["critic"] = (
            critic_loss(real, REAL).mean()
            + critic_loss(rebuilt, RECONSTRUCTED).mean()
            + 0.5 * sum(critic_loss(part, FILLED).mean() for part in pasted)
        )
        attributes = scores.shape[1]
        terms["scored"] = (scores.chunk(4)[0] - wanted[:, :attributes]).square().mean()
        logits, scores, features = judge(critic, drawn)
        rebuilt, *pasted = (critic_loss(part, REAL).mean() for part in logits.chunk(3))
        terms["fooled"] = rebuilt + 0.5 * sum(pasted)
        count = len(x)
        terms["matched"] = losses.relative_distance(
            [mine[:count] for mine in features], [theirs[:count].detach() for theirs in seen]
        )
        again = (scores.chunk(3)[2] * chosen[:, :attributes]).sum(1)
        terms["seen"] = (missed(again, asked) * shown * (moved < attributes)).mean()

        loss = sum(weight * terms[name] for name, weight in WEIGHTS.items())
        loss = loss + model.config.regulariser_weight * terms["mmd"] + self.settings.critic_weight * terms["fooled"]
        loss = loss + terms["critic"] + 0.1 * terms["scored"]
        if penalised:
            loss = loss + gradient_penalty(critic, x) / PENALISED
        terms["posterior_sigma"] = inferred.sigma.mean()
        terms["mean_spread"] = whole.mean.std(0).mean()
        return {"loss": loss} | terms


def missed(score: Tensor, asked: Tensor) -> Tensor:
    """How far scores (B,) are from those asked for, beyond `CLOSE`: squared where near, linear where far: (B,)."""
    far = F.relu((score - asked).abs() - CLOSE)
    return torch.where(far < 2.0, far.square(), 4.0 * far - 4.0)


def jitter(x: Tensor, shift: Tensor) -> Tensor:
    """Pictures (B, 3, H, W) moved by a pixel at most, and a little noisy, so that no network is fooled by a pattern."""
    moved = torch.roll(x, (int(shift) // 3 - 1, int(shift) % 3 - 1), (2, 3))
    return moved + 0.03 * torch.randn_like(moved)


@cache
def region_masks(device: torch.device) -> tuple[Tensor, Tensor]:
    """Holes that hide each region in turn, their edges moved at random, and of any kind: boolean (N, 1, 64, 64), true =
    observed; and the region's number of each, that of REGIONS or the one after: (N,)."""
    rng = np.random.default_rng(0)
    names, shares = list(REGIONS), list(SHARES.values())
    kinds = rng.choice(len(names) + 1, 12_000, p=[*shares, 1.0 - sum(shares)])
    pictures = [masks.training_mask(rng) if kind == len(names) else near_region(names[kind], rng) for kind in kinds]
    return torch.from_numpy(np.stack(pictures))[:, None].to(device), torch.from_numpy(kinds).to(device)


CENTRES = np.arange(64) + 0.5


def near_region(region: str, rng: np.random.Generator) -> np.ndarray:
    """A mask (64, 64) that hides about a region: a box, or as often one with round corners."""
    x0, y0, x1, y1 = np.clip(np.array(REGIONS[region]) + rng.integers(-JITTER, JITTER + 1, 4), 0, 64).tolist()
    mask = masks.box(x0, y0, x1, y1)
    if rng.random() < 0.5:
        across, down = (2 * CENTRES - x0 - x1) / (x1 - x0), (2 * CENTRES[:, None] - y0 - y1) / (y1 - y0)
        mask |= across**4 + down**4 > 1.0
    return mask


@cache
def shown_table(named: tuple[str, ...], device: torch.device) -> Tensor:
    """(regions + 1, names): 1 where a hole of that kind hides where a name shows."""
    table = [[float(region in SHOWN[name]) for name in named] for region in REGIONS]
    return torch.tensor([*table, [0.0] * len(named)], device=device)


def draw_batch(
    frames: Tensor,
    count: int,
    draw: torch.Generator,
    rng: np.random.Generator,
    config: CSIConfig,
    settings: CSISettings,
) -> dict[str, Tensor]:
    """Draws what `CriticStep.forward` takes, on the frames' device."""
    device, size = frames.device, frames.shape[-1]
    hidden, kinds = region_masks(device)
    rows = torch.randint(len(kinds), (count,), generator=draw, device=device)
    shows = shown_table(config.named, device)[kinds[rows]]  # (B, names)
    moved = any_of(shows + 1e-6, draw)
    room = size - settings.crop[0]
    noise_dim = config.latent_dim + config.posterior_rank
    uniform = torch.rand(count, generator=draw, device=device)
    return {
        "frames": draw_frames(frames, count, rng),
        "mask": hidden[rows].float(),
        "noise": torch.rand((count, 3, size, size), generator=draw, device=device) * 2.0 - 1.0,
        "eps": torch.randn((2, count, noise_dim), generator=draw, device=device),
        "prior": torch.randn((losses.PRIOR_SAMPLES, config.latent_dim), generator=draw, device=device),
        "crop": torch.randint(0, room + 1, (count, 2), generator=draw, device=device),
        "moved": moved[:, 0],
        "value": (uniform * 2.0 - 1.0) * EXTREME,
        "shown": shows.gather(1, moved)[:, 0],
        "shift": torch.tensor(int(rng.integers(9))),
        "penalised": torch.tensor(bool(rng.random() < PENALISED)),
    }


@torch.no_grad()
def validate_fills(model: Any, frames: Tensor, device: torch.device) -> dict[str, float]:
    """Fills of validation faces by the decoder's own picture, lifted to the hole's edge: Fréchet distance in the face
    network's features, L1, sharpness and diversity of two draws, means over centre, eyes, mouth and left."""
    x = to_float(frames.to(device))
    noise = torch.rand(x.shape, generator=torch.Generator().manual_seed(0)).to(device) * 2.0 - 1.0
    totals: dict[str, float] = {}
    for name in ("center", "mouth", "eyes", "left"):
        seen = masks.family(name)
        mask = masks_to_tensor([seen]).to(device)
        draws = []
        for _ in range(2):
            pictures = []
            for part, own in zip(x.split(64), noise.split(64), strict=True):
                posterior = model.encode(part, mask.expand(len(part), -1, -1, -1), own)
                eps = torch.randn((len(part), posterior.noise_dim), device=device)
                context = model.see(part, mask.expand(len(part), -1, -1, -1))
                pictures.append(model.picture(model.decode(posterior.draw(eps), context)))
            draws.append(torch.cat(pictures))
        lifted = []
        for photo, picture in zip(x.cpu(), draws[0].cpu(), strict=True):
            fill = poisson(photo.permute(1, 2, 0).numpy(), ~seen, picture.permute(1, 2, 0).contiguous().numpy())
            lifted.append(torch.from_numpy(fill).permute(2, 0, 1))
        filled = torch.where(mask > 0.5, x, torch.stack(lifted).to(device).clamp(-1.0, 1.0))
        hole = mask[0, 0] < 0.5
        figures = {
            "l1": float((filled - x)[:, :, hole].abs().mean()),
            "diversity": float((draws[0] - draws[1])[:, :, hole].abs().mean()),
        }
        figures["sharpness"] = roughness(filled, hole) / roughness(x, hole)
        if (distance := distance_to_faces(filled, x)) is not None:
            figures["frechet"] = distance
        for key, value in figures.items():
            totals[f"{key}_{name}"] = value
            totals[key] = totals.get(key, 0.0) + value / 4
    return totals
