"""Encoder and flow learn q(z | x * m, m) from latents of whole faces; the decoder stays as it is.

What latents mean stays, too: those of whole faces are a frozen copy's of the encoder, which the encoder keeps to where
it sees all. No picture is drawn for it (Posterior Matching, Strauss and Oliva 2022). Some named latents are given at
times, so that the flow also says how the rest follows a slider.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn

from ...models.csi import CSI, CSIConfig, Encoder
from ...pixels import to_float
from .batches import generator
from .csi import WHOLE_SIGMA
from .faces import FacePool, hole_pool

GIVEN, FEW = 0.5, 0.3  # share of holes for which named latents are given, and how many of these at most, of all named
HOLES = 2  # of each face
NORMAL, KEPT = 0.1, 5.0  # weights of the encoder's own posterior, and of the latents of faces that it sees whole
SHARE = 4  # every so many faces are seen whole again, to keep their latents


def draw_batch(pool: FacePool, count: int, rng: np.random.Generator, config: CSIConfig) -> dict[str, Tensor]:
    """What `PosteriorStep.forward` takes, of so many holes; everything random comes from `rng`."""
    draw = generator(rng, torch.device("cpu"))
    hidden, _ = hole_pool()

    def uniform(*shape: int) -> Tensor:
        return torch.rand(shape, generator=draw)

    given = torch.zeros(count, config.latent_dim)
    some = uniform(count, len(config.named)) < FEW * uniform(count, 1)
    given[:, : len(config.named)] = (some & (uniform(count, 1) < GIVEN)).float()
    return {
        "frames": pool.draw(count // HOLES, rng),
        "mask": hidden[torch.randint(len(hidden), (count,), generator=draw)].float(),
        "noise": uniform(count, 3, *hidden.shape[2:]) * 2.0 - 1.0,
        "eps": torch.randn((2, count, config.latent_dim), generator=draw),
        "given": given,
    }


class PosteriorStep(nn.Module):
    """The negative log-likelihood of whole faces' latents, in nats a latent."""

    def __init__(self, model: CSI, whole: Encoder):
        """whole: the frozen encoder that says what the latents of a whole face are."""
        super().__init__()
        self.model, self.whole = model, whole
        for part, learns in ((model, False), (model.flow, True), (model.encoder, True), (whole, False)):
            part.requires_grad_(learns)

    def train(self, mode: bool = True) -> PosteriorStep:
        super().train(mode)
        self.model.encoder.eval()  # batch statistics stay as they are
        self.whole.eval()
        return self

    def forward(self, frames: Tensor, mask: Tensor, noise: Tensor, eps: Tensor, given: Tensor) -> dict[str, Tensor]:
        """The loss of a batch, by its parts. frames: uint8 (B / holes, 3, H, W); mask (B, 1, H, W), the holes of a face
        lying B / holes apart; noise (B, 3, H, W); eps (2, B, z); given (B, z), 1 where a latent is told to the flow, of
        which it then has to say nothing."""
        model, x = self.model, to_float(frames).contiguous(memory_format=torch.channels_last)
        count, repeated = len(frames), len(mask) // len(frames)
        with torch.no_grad():
            mean = self.whole(x, torch.ones_like(mask[:count]), noise[:count]).mean
            z = mean.repeat(repeated, 1) + WHOLE_SIGMA * eps[0]
        posterior = model.encode(x.repeat(repeated, 1, 1, 1), mask, noise)
        few = max(count // SHARE, 1)
        again = model.encode(x[:few], torch.ones_like(mask[:few]), noise[:few]).mean
        kept = (again - mean[:few]).square().mean()
        with torch.autocast(x.device.type, enabled=False):
            sigma = posterior.sigma
            deviation = torch.where(given > 0.5, eps[1], (z - posterior.mean) / sigma)
            condition = model.flow.condition(posterior.features, posterior.mean, sigma, z, given)
            log_prob = model.flow.log_prob(deviation, condition) - (sigma.log() * (1.0 - given)).sum(1)
            normal = posterior.log_prob(z) + 0.5 * z.shape[1] * math.log(2.0 * math.pi)  # without the same constant
        nats, normal_nats = (-part.mean() / z.shape[1] for part in (log_prob, normal))
        loss = nats + NORMAL * normal_nats + KEPT * kept
        return {"loss": loss, "nats": nats, "normal_nats": normal_nats, "kept": kept}


@torch.no_grad()
def validate(model: CSI, whole: Encoder, frames: Tensor) -> dict[str, float]:
    """Mean figures on validation faces uint8 (N, 3, 64, 64), each with a hole of its own and nothing given; whole: as
    `PosteriorStep` has it."""
    step, draw, count = PosteriorStep(model, whole).eval(), torch.Generator().manual_seed(0), len(frames)
    hidden, _ = hole_pool()
    batch = {
        "frames": frames,
        "mask": hidden[:count].float(),
        "noise": torch.rand(frames.shape, generator=draw) * 2.0 - 1.0,
        "eps": torch.randn((2, count, model.config.latent_dim), generator=draw),
        "given": torch.zeros(count, model.config.latent_dim),
    }
    device = next(model.parameters()).device
    return {
        name: float(value) for name, value in step(**{key: value.to(device) for key, value in batch.items()}).items()
    }
