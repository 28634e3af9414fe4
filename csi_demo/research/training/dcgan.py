"""Training DCGAN: stage 1 generator against discriminator, stage 2 the encoder that guesses where completion starts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from ... import masks
from ...data import read_split
from ...models.dcgan import DCGAN, DCGANConfig, completion_loss, contextual_weights
from ...pixels import masks_to_tensor, to_float
from ..metrics.frechet import distance_to_faces
from .batches import draw_frames
from .loop import Recipe, Settings

WEIGHT_FILES = {"generator": ("generator.",), "discriminator": ("discriminator.",), "encoder": ("encoder.",)}


@dataclass(frozen=True)
class DCGANSettings(Settings):
    """How DCGAN is trained."""

    pictures: tuple[int, ...] = (500_000, 90_000)
    learning_rate: tuple[float, ...] = (2e-4, 1e-3)
    betas: tuple[float, float] = (0.0, 0.99)
    final_rate: float = 0.1
    clip: float = 1e3  # adversarial gradients are left as they are
    val_pictures: int = 1000
    discriminator_rate: float = 1.0  # relative to the generator's
    penalty: float = 1.0  # weight of half the squared gradient of D's logit at real pictures
    penalty_share: float = 0.25  # of the steps that have it, weighted up accordingly
    perceptual_weight: float = 0.1
    start: str = ""  # a model or a folder of weights to go on from


class DCGANRecipe(Recipe[DCGANSettings, DCGANConfig]):
    """DCGAN as the training loop sees it."""

    name = "dcgan"
    unit = "loss"
    settings_type, config_type = DCGANSettings, DCGANConfig
    model_type, files = DCGAN, WEIGHT_FILES

    def read(self, data: Path) -> tuple[Tensor, Tensor]:
        return read_split(data, "train"), read_split(data, "val")

    def stages(self) -> tuple[int, ...]:
        return (1, 2)

    def groups(self, model: DCGAN, stage: int) -> list[dict[str, Any]]:
        if stage == 2:
            return [{"params": list(model.encoder.parameters()), "scale": 1.0}]
        return [
            {"params": list(model.generator.parameters()), "scale": 1.0},
            {"params": list(model.discriminator.parameters()), "scale": self.settings.discriminator_rate},
        ]

    def step(self, model: DCGAN, stage: int, dataset_size: int) -> nn.Module:
        if stage == 1:
            return AdversarialStep(model, self.settings.penalty / self.settings.penalty_share)
        model.requires_grad_(False)
        model.encoder.requires_grad_(True)
        return EncoderStep(model, self.settings.perceptual_weight)

    def batch(self, model: DCGAN, stage: int, frames: Tensor, count: int, rng: np.random.Generator) -> dict:
        picked = draw_frames(frames, count, rng)
        if stage == 2:
            return {"frames": picked, "mask": masks_to_tensor(masks.training_mask(rng) for _ in range(count))}
        z = rng.uniform(-1.0, 1.0, (count, self.config.latent_dim)).astype(np.float32)
        penalised = torch.tensor(rng.random() < self.settings.penalty_share)
        return {"frames": picked, "z": torch.from_numpy(z), "penalised": penalised}

    @torch.no_grad()
    def validate(self, model: DCGAN, stage: int, frames: Tensor, dataset_size: int, device) -> dict[str, float]:
        if stage == 1:
            generator = torch.Generator().manual_seed(0)
            z = torch.rand(len(frames), self.config.latent_dim, generator=generator) * 2.0 - 1.0
            fake = torch.cat([model.generator(part.to(device)).float() for part in z.split(100)])
            distance = distance_to_faces(fake, to_float(frames.to(device)))
            return {} if distance is None else {"frechet": distance}
        rng, step, few = (
            np.random.default_rng(0),
            EncoderStep(model, self.settings.perceptual_weight).eval(),
            frames[:256],
        )
        mask = masks_to_tensor(masks.training_mask(rng) for _ in range(len(few)))
        return {name: float(value) for name, value in step(few.to(device), mask.to(device)).items()}


class AdversarialStep(nn.Module):
    """Both players' losses on one batch, each reaching its own player's parameters only; one step moves both."""

    def __init__(self, model: DCGAN, penalty: float):
        super().__init__()
        self.generator, self.discriminator, self.penalty = model.generator, model.discriminator, penalty

    def forward(self, frames: Tensor, z: Tensor, penalised: Tensor) -> dict[str, Tensor]:
        """frames: uint8 (B, 3, 64, 64); z: (B, z) in [-1, 1]; penalised: (), whether D's gradient is penalised now.

        The generator's loss is -log D(G(z)), non-saturating; the penalty is R1 (Mescheder et al., 2018, equation 9).
        """
        x = to_float(frames).contiguous(memory_format=torch.channels_last).requires_grad_(bool(penalised))
        fake = self.generator(z)
        real_logit, fake_logit = self.discriminator(x).float(), self.discriminator(fake.detach()).float()
        discriminator = F.softplus(-real_logit).mean() + F.softplus(fake_logit).mean()
        fixed = {name: parameter.detach() for name, parameter in self.discriminator.named_parameters()}
        generator = F.softplus(-functional_call(self.discriminator, fixed, (fake,)).float()).mean()
        loss = discriminator + generator
        if penalised:
            (slope,) = torch.autograd.grad(real_logit.sum(), x, create_graph=True)
            loss = loss + 0.5 * self.penalty * slope.square().sum((1, 2, 3)).mean()
        right = 0.5 * ((real_logit > 0).float().mean() + (fake_logit < 0).float().mean())
        return {"loss": loss, "discriminator": discriminator, "generator": generator, "discriminator_right": right}


class EncoderStep(nn.Module):
    """The completion's own loss at the encoder's guess, generator and discriminator fixed."""

    def __init__(self, model: DCGAN, perceptual_weight: float):
        super().__init__()
        self.model, self.perceptual_weight = model, perceptual_weight

    def train(self, mode: bool = True) -> EncoderStep:
        super().train(mode)
        self.model.generator.eval()
        self.model.discriminator.eval()
        return self

    def forward(self, frames: Tensor, mask: Tensor) -> dict[str, Tensor]:
        """frames: uint8 (B, 3, 64, 64); mask: (B, 1, 64, 64). A tenth of the weight goes to all observed pixels."""
        x = to_float(frames).contiguous(memory_format=torch.channels_last)
        fake = self.model.generator(self.model.encoder(x, mask)).float()
        count = contextual_weights(mask) + 0.1 * mask
        total, _, perceptual = completion_loss(self.model, fake, x, count, self.perceptual_weight)
        return {
            "loss": total.mean(),
            "perceptual": perceptual.mean(),
            "l1": (mask * (fake - x).abs()).sum() / (3 * mask.sum()),
        }
