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

from ...models.critic import MaskedCritic, judge, masked_gradient_penalty
from ...models.csi import CSI, CSIConfig
from ...pixels import to_float
from . import losses
from .batches import any_of, generator
from .critic import Scores, jitter, missed, shown_table
from .csi import WHOLE_SIGMA
from .faces import FacePool, hole_pool

EXTREME = 2.4  # of a named latent that is set
SPREAD = 0.7, 1.0  # of draws, uniform
MIXED, FARTHEST = 0.25, 0.8  # share of draws that move towards another face's, and how far at most
WEIGHTS: Mapping[str, float] = {
    "rebuilt": 3.0,
    "visible": 1.5,
    "hidden": 0.1,
    "deep": 1.0,
    "filled_deep": 0.15,
    "obeyed": 0.25,
    "kept": 1.0,
    "change": 0.2,
}
CRITIC_WEIGHTS: Mapping[str, float] = {"matched": 1.0, "fooled": 1.0}  # in full after the ramp
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
        "mixed": FARTHEST * torch.rand((count, 1), generator=draw) * (torch.rand((count, 1), generator=draw) < MIXED),
        "moved": moved[:, 0],
        "value": (torch.rand(count, generator=draw) * 2.0 - 1.0) * EXTREME,
        "shown": shows.gather(1, moved)[:, 0],
        "shift": torch.tensor(int(rng.integers(9))),
        "penalised": torch.tensor(bool(rng.random() < PENALISED)),
        "ramp": torch.tensor(ramp),
    }


def ramp_after(pictures: int, warmup: int) -> float:
    """How far the critics count after so many pictures: 0 until the warm-up ends, 1 after as many again."""
    return min(max(pictures / max(warmup, 1) - 1.0, 0.0), 1.0)


class ContextStep(nn.Module):
    """The losses of both players on one batch, each reaching its own parameters only; one step moves both."""

    def __init__(self, model: CSI, critic: MaskedCritic, faces: Tensor):
        """faces: uint8 (N, 3, 64, 64), that scores are standardised on."""
        super().__init__()
        self.model, self.critic = model, critic
        model.requires_grad_(False)
        for player in (model.context, critic):
            player.requires_grad_(True)
        device = next(model.parameters()).device
        self.scores = Scores(model.config.named, faces[:SCORED], device).requires_grad_(False)

    def train(self, mode: bool = True) -> ContextStep:
        super().train(mode)
        self.model.eval()  # batch statistics stay as they are
        return self

    def forward(
        self,
        frames: Tensor,
        mask: Tensor,
        noise: Tensor,
        eps: Tensor,
        spread: Tensor,
        mixed: Tensor,
        moved: Tensor,
        value: Tensor,
        shown: Tensor,
        shift: Tensor,
        penalised: Tensor,
        ramp: Tensor,
    ) -> dict[str, Tensor]:
        """frames: uint8 (B, 3, H, W); mask (B, 1, H, W); noise (B, 3, H, W), in the encoder's hole; eps (B, z), the
        latents' noise, spread (B, 1), its scale where they are drawn, and mixed (B, 1), how far they move towards
        another face's, so that latents and photo do not always agree; moved (B,), the named latent that is set to
        value (B,), and shown (B,), 1 where the hole hides where it shows; shift (), penalised (), as `CriticStep` has
        them; ramp (), 0 to 1."""
        model, terms, count = self.model, dict[str, Tensor](), len(frames)
        half = count // 2  # the first half takes the whole face's latents
        again = slice(half, half + (count - half) // 2)  # the half of the second that is drawn twice
        x = to_float(frames).contiguous(memory_format=torch.channels_last)
        with torch.no_grad():
            whole = model.encode(x[:half], torch.ones_like(mask[:half]), noise[:half])
            drawn = model.draw(model.encode(x[half:], mask[half:], noise[half:]), spread[half:] * eps[half:])
            drawn = drawn.lerp(drawn.roll(1, 0), mixed[half:])
            set_so = drawn[: again.stop - half].scatter(1, moved[again, None], value[again, None].to(drawn))
            z = torch.cat((whole.mean + WHOLE_SIGMA * eps[:half], drawn, set_so))
            maps, trunk = model.decoder.trunk(z)
            reached = self.scores.network.activations(x)
        seen = [torch.cat((level, level[again])) for level in model.context.see(x, mask)]
        pictures = model.picture(maps + model.context(trunk, seen))  # (B + quarter, 3, H, W)
        target, masks = torch.cat((x, x[again])), torch.cat((mask, mask[again]))
        pasted = masks * target + (1.0 - masks) * pictures

        error = (pictures - target).abs().mean(1, keepdim=True)
        terms["rebuilt"] = mean_where(error[:half], 1.0 - mask[:half])
        terms["hidden"] = mean_where(error[half:count], 1.0 - mask[half:])
        terms["visible"] = mean_where(error, masks)
        found = self.scores.network.activations(pasted)
        for name, part in (("deep", slice(half)), ("filled_deep", slice(half, count))):
            mine, theirs = ([level[part] for level in levels[:-1]] for levels in (found, reached))
            terms[name] = losses.relative_distance(mine, theirs)

        named = len(model.config.named)
        before, after = self.scores(jitter(torch.cat((pasted[again], pasted[count:])), shift))[0].chunk(2)
        low, high = self.scores.low[moved[again]], self.scores.high[moved[again]]
        asked = torch.minimum(torch.maximum(value[again], low), high)
        chosen = F.one_hot(moved[again], named).to(after)
        terms["obeyed"] = (missed((after * chosen).sum(1), asked) * shown[again]).mean()
        terms["kept"] = (((after - before.detach()).square() * (1.0 - chosen)).sum(1) / (named - 1)).mean()
        change = (pictures[count:] - pictures[again]).abs().mean(1, keepdim=True)
        terms["change"] = mean_where(change, 1.0 - mask[again])

        real, real_patches, wanted = self.critic(x, mask)
        fake, fake_patches, _ = self.critic(pasted.detach(), masks)
        verdict, patches, matching = judge(self.critic, pasted, masks)
        terms["critic"] = (
            verdict_loss(real, True)
            + verdict_loss(fake, False)
            + verdict_loss(real_patches, True)
            + verdict_loss(fake_patches, False, masks)
        )
        terms["fooled"] = verdict_loss(verdict, True) + verdict_loss(patches, True, masks)
        terms["matched"] = losses.relative_distance(
            [level[:half] for level in matching], [level[:half].detach() for level in wanted]
        )

        loss = sum(weight * terms[name] for name, weight in WEIGHTS.items())
        loss = loss + terms["critic"]
        loss = loss + ramp * sum(weight * terms[name] for name, weight in CRITIC_WEIGHTS.items())
        if penalised:
            loss = loss + masked_gradient_penalty(self.critic, x, mask) / PENALISED
        return {"loss": loss} | terms | {"real": real.mean(), "fake": fake.mean()}


def mean_where(values: Tensor, where: Tensor) -> Tensor:
    """Mean of values where a map of the same shape is 1; 0 where it is nowhere."""
    return (values * where).sum() / where.sum().clamp(min=1.0)


def verdict_loss(logits: Tensor, real: bool, mask: Tensor | None = None) -> Tensor:
    """Cross-entropy of logits, above 0 for real, where all pictures are real or none is: a scalar.

    mask: (B, 1, H, W), 1 = observed: only logits (B, h, w) of places with a part of the hole count.
    """
    values = F.softplus(-logits if real else logits)
    if mask is None:
        return values.mean()
    return mean_where(values, F.adaptive_max_pool2d(1.0 - mask, values.shape[1:])[:, 0])
