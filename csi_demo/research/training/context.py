"""The decoder learns to see the photo, against a critic of pasted pictures; encoder and trunk stay as they are.

The U-Net beside the trunk (`models/context_unet.py`) learns on two roads, as Pluralistic (Zheng et al. 2019) does:

- latents of the whole face: a reconstruction, by pixels, deep features and the critic's features, since the latents
  alone know what the hole held;
- latents drawn from q(z | x * m, m), half of them drawn again with a named latent set: there is no true picture, so the
  critic says what looks right, and the face network that the latent is obeyed and the others are kept.

Every picture is judged pasted into its photo, and the critic is told the mask.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...models.critic import MaskedCritic, masked_gradient_penalty
from ...models.csi import CSI, CSIConfig
from ...pixels import to_float
from . import losses
from .batches import any_of, generator
from .critic import Scores, jitter, missed, shown_table
from .csi import WHOLE_SIGMA
from .faces import FacePool, hole_pool

EXTREME = 2.4  # of a named latent that is set
SPREAD = 0.5, 1.0  # of draws, uniform
WEIGHTS: Mapping[str, float] = {
    "rebuilt": 3.0,
    "visible": 1.5,
    "hidden": 1.0,
    "deep": 1.0,
    "filled_deep": 0.5,
    "obeyed": 0.25,
    "kept": 1.0,
    "change": 0.2,
}
CRITIC_WEIGHTS: Mapping[str, float] = {"matched": 1.0, "fooled": 0.5}  # counted in full after the ramp
WARM, RAMP = 8_000, 10_000  # pictures before the critic counts, and until it counts in full
PENALISED = 1.0 / 12.0  # share of the steps with a gradient penalty, weighted up accordingly
SCORED = 2048  # faces that the face network's scores are standardised on


def draw_batch(pool: FacePool, count: int, rng: np.random.Generator, config: CSIConfig, ramp: float) -> dict:
    """What `ContextStep.forward` takes; everything random comes from `rng`. ramp: how far the critic counts."""
    draw = generator(rng, torch.device("cpu"))
    hidden, kinds = hole_pool()
    rows = torch.randint(len(kinds), (count,), generator=draw)
    shows = shown_table(config.named, torch.device("cpu"))[kinds[rows]]  # (B, names)
    moved = any_of(shows + 1e-6, draw)
    low, high = SPREAD
    spread = low + (high - low) * torch.rand((count, 1), generator=draw)
    return {
        "frames": pool.draw(count, rng),
        "mask": hidden[rows].float(),
        "noise": torch.rand((count, 3, *hidden.shape[2:]), generator=draw) * 2.0 - 1.0,
        "eps": torch.randn((count, config.latent_dim), generator=draw),
        "spread": spread,
        "moved": moved[:, 0],
        "value": (torch.rand(count, generator=draw) * 2.0 - 1.0) * EXTREME,
        "shown": shows.gather(1, moved)[:, 0],
        "shift": torch.tensor(int(rng.integers(9))),
        "penalised": torch.tensor(bool(rng.random() < PENALISED)),
        "ramp": torch.tensor(ramp),
    }


def ramp_after(pictures: int) -> float:
    """How far the critic counts after so many pictures: 0 to 1."""
    return min(max((pictures - WARM) / RAMP, 0.0), 1.0)


class ContextStep(nn.Module):
    """The losses of both players on one batch, each reaching its own parameters only; one step moves both."""

    def __init__(self, model: CSI, critic: MaskedCritic, faces: Tensor):
        """faces: uint8 (N, 3, 64, 64), that scores are standardised on."""
        super().__init__()
        self.model, self.critic = model, critic
        model.requires_grad_(False)
        model.context.requires_grad_(True)
        critic.requires_grad_(True)
        device = next(model.parameters()).device
        self.scores = Scores(model.config.named, faces[:SCORED], device).requires_grad_(False)
        self.features = losses.DeepFeatures()

    def train(self, mode: bool = True) -> ContextStep:
        super().train(mode)
        self.model.encoder.eval()  # fixed: batch statistics stay as they are
        self.model.decoder.eval()
        return self

    def forward(
        self,
        frames: Tensor,
        mask: Tensor,
        noise: Tensor,
        eps: Tensor,
        spread: Tensor,
        moved: Tensor,
        value: Tensor,
        shown: Tensor,
        shift: Tensor,
        penalised: Tensor,
        ramp: Tensor,
    ) -> dict[str, Tensor]:
        """frames: uint8 (B, 3, H, W); mask (B, 1, H, W); noise (B, 3, H, W), in the encoder's hole; eps (B, z), the
        latents' noise, and spread (B, 1), its scale where they are drawn; moved (B,), the named latent that is set to
        value (B,), and shown (B,), 1 where the hole hides where it shows; shift (), penalised (), as `CriticStep` has
        them; ramp (), 0 to 1."""
        model, terms, count = self.model, dict[str, Tensor](), len(frames)
        half = count // 2  # the first half takes the whole face's latents
        again = slice(half, half + (count - half) // 2)  # the half of the second that is drawn twice
        x = to_float(frames).contiguous(memory_format=torch.channels_last)
        with torch.no_grad():
            whole = model.encode(x[:half], torch.ones_like(mask[:half]), noise[:half])
            drawn = model.draw(model.encode(x[half:], mask[half:], noise[half:]), spread[half:] * eps[half:])
            set_so = drawn[: again.stop - half].scatter(1, moved[again, None], value[again, None].to(drawn))
            z = torch.cat((whole.mean + WHOLE_SIGMA * eps[:half], drawn, set_so))
            maps, trunk = model.decoder.trunk(z)
            reached = self.features(x)
        seen = [torch.cat((level, level[again])) for level in model.context.see(x, mask)]
        pictures = model.picture(maps + model.context(trunk, seen))  # (B + quarter, 3, H, W)
        target, masks = torch.cat((x, x[again])), torch.cat((mask, mask[again]))
        pasted = masks * target + (1.0 - masks) * pictures

        error = (pictures - target).abs().mean(1, keepdim=True)
        terms["rebuilt"] = mean_where(error[:half], 1.0 - mask[:half])
        terms["hidden"] = mean_where(error[half:count], 1.0 - mask[half:])
        terms["visible"] = mean_where(error, masks)
        terms["deep"] = self.features.distance(pasted[:half], [level[:half] for level in reached])
        terms["filled_deep"] = self.features.distance(pasted[half:count], [level[half:] for level in reached])

        named = len(model.config.named)
        before, after = self.scores(jitter(torch.cat((pasted[again], pasted[count:])), shift))[0].chunk(2)
        low, high = self.scores.low[moved[again]], self.scores.high[moved[again]]
        asked = torch.minimum(torch.maximum(value[again], low), high)
        chosen = F.one_hot(moved[again], named).to(after)
        terms["obeyed"] = (missed((after * chosen).sum(1), asked) * shown[again]).mean()
        terms["kept"] = (((after - before.detach()).square() * (1.0 - chosen)).sum(1) / (named - 1)).mean()
        change = (pictures[count:] - pictures[again]).abs().mean(1, keepdim=True)
        terms["change"] = mean_where(change, 1.0 - mask[again])

        touched = F.max_pool2d(1.0 - masks, 8)[:, 0]  # (n, 8, 8): patches with a part of the hole
        real, real_patches, theirs = self.critic(x, mask)
        fake, fake_patches, _ = self.critic(pasted.detach(), masks)
        terms["critic"] = (
            F.softplus(-real).mean()
            + F.softplus(fake).mean()
            + F.softplus(-real_patches).mean()
            + mean_where(F.softplus(fake_patches), touched)
        )
        verdict, patches, mine = self.critic.judge(pasted, masks)
        terms["fooled"] = F.softplus(-verdict).mean() + mean_where(F.softplus(-patches), touched)
        terms["matched"] = losses.relative_distance(
            [level[:half] for level in mine], [level[:half].detach() for level in theirs]
        )

        loss = sum(weight * terms[name] for name, weight in WEIGHTS.items()) + terms["critic"]
        loss = loss + ramp * sum(weight * terms[name] for name, weight in CRITIC_WEIGHTS.items())
        if penalised:
            loss = loss + masked_gradient_penalty(self.critic, x, mask) / PENALISED
        return {"loss": loss} | terms | {"real": real.mean(), "fake": fake.mean()}


def mean_where(values: Tensor, where: Tensor) -> Tensor:
    """Mean of values where a map of the same shape is 1; 0 where it is nowhere."""
    return (values * where).sum() / where.sum().clamp(min=1.0)
