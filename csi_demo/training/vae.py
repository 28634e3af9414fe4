"""Training the variational autoencoders of Ham et al. (2018): pixel loss and deep-feature loss (equation 2)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from .. import masks, weights
from ..data import read_split
from ..metrics.frechet import distance_to_faces
from ..models.vae import VAE, OneShotVAE, VAEConfig
from ..pixels import masks_to_tensor, to_float
from .batches import draw_frames
from .loop import Recipe, Settings
from .losses import DeepFeatures, normal_kl

AGGREGATED = 5000  # training pictures that the aggregate posterior is fitted to


@dataclass(frozen=True)
class VAESettings(Settings):
    """How a VAE is trained; the loss is in nats per pixel and channel."""

    pictures: tuple[int, ...] = (160_000,)
    learning_rate: tuple[float, ...] = (2e-3,)
    val_pictures: int = 1000
    features: str = "faces"  # of the deep-feature loss: "faces", our own network, or "vgg16" (needs torchvision)
    feature_weight: float = 0.5  # of the deep-feature loss, against the pixel loss
    pixel_sigma: float = 0.5  # standard deviation of p(x | z): larger gives the prior more say
    iterations: int = 2  # of the one-shot model, in training


class VAERecipe(Recipe):
    """The VAE with two encoders as the training loop sees it; `overrides` are fields of VAEConfig."""

    name = "vae"
    unit = "nats per dim"
    settings_type, config_type = VAESettings, VAEConfig

    def __init__(self, settings: VAESettings, overrides: Mapping[str, Any]):
        self.settings: VAESettings = settings
        self.config = VAEConfig(**overrides)

    def read(self, data: Path) -> tuple[Tensor, Tensor]:
        self.frames = read_split(data, "train")
        return self.frames, read_split(data, "val")

    def build(self) -> nn.Module:
        return VAE(self.config)

    def fit(self, model: Any) -> None:
        """Finishes a model that is to be validated or exported: its aggregate posterior, from training pictures."""
        device = model.aggregate_mean.device
        model.fit_aggregate(to_float(part.to(device)) for part in self.frames[:AGGREGATED].split(100))

    def step(self, model: Any, stage: int, dataset_size: int) -> nn.Module:
        step = self.loss(model)
        if self.settings.compile:
            step.compile()
        return step

    def loss(self, model: Any) -> nn.Module:
        """The module that takes a batch to its losses."""
        return VAEStep(model, self.settings)

    def batch(self, model: Any, stage: int, frames: Tensor, count: int, rng: np.random.Generator) -> dict[str, Tensor]:
        return make_batch(draw_frames(frames, count, rng), self.config.latent_dim, rng)

    @torch.no_grad()
    def validate(self, model: Any, stage: int, frames: Tensor, dataset_size: int, device) -> dict[str, float]:
        step, rng, totals = self.loss(model).eval(), np.random.default_rng(0), dict[str, float]()
        for part in frames[:256].split(64):
            batch = make_batch(part, self.config.latent_dim, rng)
            for name, value in step(**{key: tensor.to(device) for key, tensor in batch.items()}).items():
                totals[name] = totals.get(name, 0.0) + float(value) * len(part) / len(frames[:256])
        return totals | self.samples(model, frames, device)

    def samples(self, model: VAE, frames: Tensor, device) -> dict[str, float]:
        """Fréchet distance of samples to these pictures; nothing where they are too few."""
        self.fit(model)
        noise = torch.randn(len(frames), self.config.latent_dim, generator=torch.Generator().manual_seed(0))
        drawn = torch.cat([model.sample(part.to(device)).float() for part in noise.split(100)])
        distance = distance_to_faces(drawn, to_float(frames.to(device)))
        return {} if distance is None else {"frechet": distance}

    def export(self, model: Any, metrics: Mapping[str, Any], folder: Path) -> None:
        self.fit(model)
        weights.save_model(folder, self.config.to_dict(), model.state_dict(), metrics, {self.name: ("",)})


class OneShotRecipe(VAERecipe):
    """The one-shot model as the training loop sees it."""

    name = "vae-oneshot"

    def build(self) -> nn.Module:
        return OneShotVAE(self.config)

    def fit(self, model: Any) -> None:
        pass  # it completes pictures; nothing is drawn from its prior alone

    def loss(self, model: Any) -> nn.Module:
        return OneShotStep(model, self.settings)

    def samples(self, model: Any, frames: Tensor, device) -> dict[str, float]:
        return {}


def make_batch(frames: Tensor, latent_dim: int, rng: np.random.Generator) -> dict[str, Tensor]:
    """Masks and noise for pictures uint8 (B, 3, H, W): what the steps' `forward` takes."""
    eps = rng.standard_normal((2, len(frames), latent_dim), dtype=np.float32)
    hidden = masks_to_tensor(masks.training_mask(rng, frames.shape[-1]) for _ in range(len(frames)))
    return {"frames": frames, "mask": hidden, "eps": torch.from_numpy(eps)}


class _Loss(nn.Module):
    """Pixel loss, deep-feature loss and KL, in nats per pixel and channel."""

    def __init__(self, settings: VAESettings):
        super().__init__()
        self.settings, self.features = settings, DeepFeatures(settings.features)

    def terms(self, drawn: Tensor, x: Tensor, kl: Tensor, reached: list[Tensor]) -> dict[str, Tensor]:
        """drawn: (k B, 3, H, W), k versions of x (B, 3, H, W), whose deep features are `reached`; kl: (k B,) nats."""
        times = len(drawn) // len(x)
        scale = 1.0 / (2.0 * self.settings.pixel_sigma**2)
        pixel = scale * (drawn.float() - x.repeat(times, 1, 1, 1)).square().mean()
        deep = scale * self.features.distance(drawn, [level.repeat(times, 1, 1, 1) for level in reached])
        loss = pixel + self.settings.feature_weight * deep + kl.mean() / x[0].numel()
        return {"loss": loss, "pixel": pixel, "deep": deep, "kl": kl.mean()}


class VAEStep(_Loss):
    """Both encoders, half of the batch each: both have to explain whole pictures through the one decoder."""

    def __init__(self, model: VAE, settings: VAESettings):
        super().__init__(settings)
        self.model = model

    def forward(self, frames: Tensor, mask: Tensor, eps: Tensor) -> dict[str, Tensor]:
        """frames: uint8 (B, 3, H, W), B even; mask (B, 1, H, W); eps (2, B, z), of which the first half is used."""
        x = to_float(frames).contiguous(memory_format=torch.channels_last)
        half = len(x) // 2
        found = [self.model.encode(x[:half], masked=False), self.model.encode((x * mask)[half:], masked=True)]
        mean, log_variance = (torch.cat(parts) for parts in zip(*found, strict=True))
        z = mean + eps[0] * torch.exp(0.5 * log_variance)
        return self.terms(self.model.decode(z), x, normal_kl(mean, log_variance), self.features(x))


class OneShotStep(_Loss):
    """The one-shot model, fed its own completions: the iteration of the paper takes place in training."""

    def __init__(self, model: OneShotVAE, settings: VAESettings):
        super().__init__(settings)
        self.model = model

    def forward(self, frames: Tensor, mask: Tensor, eps: Tensor) -> dict[str, Tensor]:
        """frames: uint8 (B, 3, H, W); mask (B, 1, H, W); eps (2, B, z)."""
        x = to_float(frames).contiguous(memory_format=torch.channels_last)
        guess, drawn, kl = torch.zeros_like(x), [], []
        for turn in range(self.settings.iterations):
            picture, mean, log_variance = self.model(torch.where(mask > 0.5, x, guess), mask, eps[turn % len(eps)])
            drawn.append(picture)
            kl.append(normal_kl(mean, log_variance))
            guess = picture.float()
        return self.terms(torch.cat(drawn), x, torch.cat(kl), self.features(x))
