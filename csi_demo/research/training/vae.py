"""Training the variational autoencoders of Ham et al. (2018): pixel loss and deep-feature loss (equation 2)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ... import masks
from ...data import read_split
from ...models.vae import VAE, OneShotVAE, VAEConfig
from ...pixels import to_float
from ..metrics.frechet import distance_to_faces
from .batches import MaskPool, draw_rows, generator
from .loop import Recipe, Settings
from .losses import FaceFeatures, colours, normal_kl, random_views

AGGREGATED = 5000  # training pictures that the aggregate posterior is fitted to
TURNS = 2  # of the iteration that masked pictures have been through, at most
GLANCE = 500  # of them in validation, where it is fitted every minute


@dataclass(frozen=True)
class VAESettings(Settings):
    """How a VAE is trained; the loss is in nats per pixel and channel."""

    pictures: tuple[int, ...] = (160_000,)
    learning_rate: tuple[float, ...] = (2e-3,)
    val_pictures: int = 1000
    features: str = "faces"  # of the deep-feature loss: "faces", our own network, or "vgg16" (needs torchvision)
    feature_weight: float = 1.0  # of the deep-feature loss, against the pixel loss
    colour_weight: float = 4.0  # of the loss on colours alone, averaged over some pixels, against the pixel loss
    pixel_sigma: float = 0.5  # standard deviation of p(x | z): larger gives the prior more say
    iterations: int = 2  # of the one-shot model, in training
    own_fills: float = 0.5  # share of masked pictures whose hole holds the model's own fill, as it does when iterating
    start: str = ""  # a model or a folder of weights to go on from


class VAERecipe(Recipe[VAESettings, VAEConfig]):
    """The VAE with two encoders as the training loop sees it."""

    name = "vae"
    unit = "nats per dim"
    settings_type, config_type = VAESettings, VAEConfig
    model_type: type[nn.Module] = VAE

    def __init__(self, settings: VAESettings, overrides: Mapping[str, Any]):
        super().__init__(settings, overrides)
        self.pool = MaskPool(masks.training_mask)

    def read(self, data: Path) -> tuple[Tensor, Tensor]:
        self.frames = read_split(data, "train")
        return self.frames, read_split(data, "val")

    def fit(self, model: Any, pictures: int = AGGREGATED) -> None:
        """Finishes a model that is to be validated or exported: its aggregate posterior, from training pictures."""
        device = model.aggregate_mean.device
        model.fit_aggregate(to_float(part.to(device)) for part in self.frames[:pictures].split(100))

    def step(self, model: Any, stage: int, dataset_size: int) -> nn.Module:
        step = self.loss(model)
        if self.settings.compile:
            step.compile()
        return step

    def loss(self, model: Any) -> nn.Module:
        """The module that takes a batch to its losses."""
        return VAEStep(model, self.settings)

    def batch(self, model: Any, stage: int, frames: Tensor, count: int, rng: np.random.Generator) -> dict[str, Tensor]:
        draw = generator(rng, frames.device)
        picked, _ = draw_rows(frames, count, draw)
        return self.around(picked, draw)

    def around(self, frames: Tensor, draw: torch.Generator) -> dict[str, Tensor]:
        """Masks and noise for pictures uint8 (B, 3, H, W): what the steps' `forward` takes."""
        eps = torch.randn(2, len(frames), self.config.latent_dim, generator=draw, device=draw.device)
        chance = torch.rand(len(frames), 1, 1, 1, generator=draw, device=draw.device)
        turns = (TURNS * chance / max(self.settings.own_fills, 1e-6)).floor()
        turns = torch.where(turns < TURNS, turns + 1.0, 0.0)
        mask, views = self.pool.draw(len(frames), draw), random_views(len(frames), draw)
        return {"frames": frames, "mask": mask, "eps": eps, "turns": turns, "views": views}

    @torch.no_grad()
    def validate(self, model: Any, stage: int, frames: Tensor, dataset_size: int, device) -> dict[str, float]:
        step, totals, few = self.loss(model).eval(), dict[str, float](), frames[:256].to(device)
        draw = generator(np.random.default_rng(0), few.device)
        for part in few.split(64):
            for name, value in step(**self.around(part, draw)).items():
                totals[name] = totals.get(name, 0.0) + float(value) * len(part) / len(few)
        return totals | self.samples(model, frames, device)

    def samples(self, model: VAE, frames: Tensor, device) -> dict[str, float]:
        """Fréchet distance of samples to these pictures; nothing where they are too few."""
        self.fit(model, GLANCE)
        noise = torch.randn(len(frames), self.config.latent_dim, generator=torch.Generator().manual_seed(0))
        drawn = torch.cat([model.sample(part.to(device)).float() for part in noise.split(100)])
        distance = distance_to_faces(drawn, to_float(frames.to(device)))
        return {} if distance is None else {"frechet": distance}

    def export(self, model: Any, metrics: Mapping[str, Any], folder: Path) -> None:
        self.fit(model)
        super().export(model, metrics, folder)


class OneShotRecipe(VAERecipe):
    """The one-shot model as the training loop sees it."""

    name = "vae-oneshot"
    model_type = OneShotVAE

    def fit(self, model: Any, pictures: int = 0) -> None:
        pass  # it completes pictures; nothing is drawn from its prior alone

    def loss(self, model: Any) -> nn.Module:
        return OneShotStep(model, self.settings)

    def samples(self, model: Any, frames: Tensor, device) -> dict[str, float]:
        return {}


class PictureLoss(nn.Module):
    """Pixel loss, loss of colours, deep-feature loss and KL, in nats per pixel and channel. Deep features do not mind
    colours, which so have a loss of their own."""

    def __init__(self, settings: VAESettings):
        super().__init__()
        self.settings, self.features = settings, FaceFeatures(settings.features)

    def terms(self, drawn: Tensor, x: Tensor, kl: Tensor, views: Tensor) -> dict[str, Tensor]:
        """drawn: (k B, 3, H, W), k versions of x (B, 3, H, W); kl: (k B,) nats; views (B, 2, 3)."""
        settings, times = self.settings, len(drawn) // len(x)
        scale, drawn = 1.0 / (2.0 * settings.pixel_sigma**2), drawn.float()
        deep = scale * self.features(drawn, x, views)
        x = x.repeat(times, 1, 1, 1)
        pixel = scale * (drawn - x).square().mean()
        colour = scale * (colours(drawn) - colours(x)).square().mean()
        kl = kl.mean()
        loss = pixel + settings.colour_weight * colour + settings.feature_weight * deep + kl / x[0].numel()
        return {"loss": loss, "pixel": pixel, "colour": colour, "deep": deep, "kl": kl}


class VAEStep(PictureLoss):
    """Both encoders, half of the batch each: both have to explain whole pictures through the one decoder."""

    def __init__(self, model: VAE, settings: VAESettings):
        super().__init__(settings)
        self.model = model

    def forward(self, frames: Tensor, mask: Tensor, eps: Tensor, turns: Tensor, views: Tensor) -> dict[str, Tensor]:
        """The losses of a batch, by name.

        frames: uint8 (B, 3, H, W), B even; mask (B, 1, H, W); eps (2, B, z); turns (B, 1, 1, 1), how
        often the hole of a masked picture has been filled by the model itself; views (B, 2, 3)."""
        x = to_float(frames).contiguous(memory_format=torch.channels_last)
        half = len(x) // 2
        hidden = own_fills(lambda seen: self.draw(seen, eps[1, half:]), (x * mask)[half:], mask[half:], turns[half:])
        found = [self.model.encode(x[:half], masked=False), self.model.encode(hidden, masked=True)]
        mean, log_variance = (torch.cat(parts) for parts in zip(*found, strict=True))
        z = mean + eps[0] * torch.exp(0.5 * log_variance)
        return self.terms(self.model.decode(z), x, normal_kl(mean, log_variance), views)

    def draw(self, seen: Tensor, eps: Tensor) -> Tensor:
        """What the masked encoder and the decoder make of pictures (B, 3, H, W), with noise (B, z)."""
        mean, log_variance = self.model.encode(seen, masked=True)
        return self.model.decode(mean + eps * torch.exp(0.5 * log_variance))


@torch.no_grad()
def own_fills(draw: Callable[[Tensor], Tensor], hidden: Tensor, mask: Tensor, turns: Tensor) -> Tensor:
    """Masked pictures (B, 3, H, W), 0 in the hole, after so many turns (B, 1, 1, 1) of the completion's iteration.

    Completion encodes its own fills over and over. An encoder that has only seen empty holes takes the fill for a part
    of the photo, and its mistakes, of colour above all, grow from turn to turn.
    """
    for turn in range(1, TURNS + 1):
        hidden = torch.where((turns >= turn) & (mask < 0.5), draw(hidden).float(), hidden)
    return hidden


class OneShotStep(PictureLoss):
    """The one-shot model, fed its own completions: the iteration of the paper takes place in training."""

    def __init__(self, model: OneShotVAE, settings: VAESettings):
        super().__init__(settings)
        self.model = model

    def forward(self, frames: Tensor, mask: Tensor, eps: Tensor, turns: Tensor, views: Tensor) -> dict[str, Tensor]:
        """The losses of a batch, by name.

        frames: uint8 (B, 3, H, W); mask (B, 1, H, W); eps (2, B, z); turns: not used, it always goes
        through the iteration; views (B, 2, 3)."""
        x = to_float(frames).contiguous(memory_format=torch.channels_last)
        guess, drawn, kl = torch.zeros_like(x), [], []
        for turn in range(self.settings.iterations):
            picture, mean, log_variance = self.model(torch.where(mask > 0.5, x, guess), mask, eps[turn % len(eps)])
            drawn.append(picture)
            kl.append(normal_kl(mean, log_variance))
            guess = picture.float()
        return self.terms(torch.cat(drawn), x, torch.cat(kl), views)
