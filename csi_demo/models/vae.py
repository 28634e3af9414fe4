"""Variational autoencoders of Ham et al. (2018): two encoders over one decoder, and the one-shot model.

Images are (B, 3, 64, 64) in [-1, 1]; masks (B, 1, 64, 64), 1 = observed; latents (B, z), standard normal under the
prior. p(x|z) is normal around the decoder's picture.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class VAEConfig:
    """Everything needed to rebuild the modules; stored as config.json beside their weights."""

    latent_dim: int = 64
    channels: tuple[int, ...] = (32, 64, 128, 192)  # at 32, 16, 8 and 4 pixels' width
    enlarged: int = 4  # last steps of the decoder that enlarge and convolve: transposed convolutions leave dots

    def __post_init__(self) -> None:
        object.__setattr__(self, "channels", tuple(self.channels))

    def to_dict(self) -> dict[str, Any]:
        return asdict(self) | {"channels": list(self.channels)}


class Encoder(nn.Module):
    """q(z | picture): mean and log-variance, and what each level saw."""

    def __init__(self, inputs: int, latent_dim: int, channels: Sequence[int]):
        super().__init__()
        self.levels = nn.ModuleList(
            nn.Sequential(nn.Conv2d(a, b, 4, 2, 1, bias=False), nn.BatchNorm2d(b), nn.ELU())
            for a, b in pairwise((inputs, *channels))
        )
        self.heads = nn.Linear(16 * channels[-1], 2 * latent_dim)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, list[Tensor]]:
        """x: (B, C, 64, 64). Returns mean and log-variance, both (B, z), and features of 32, 16, 8, 4 pixels' width."""
        seen = []
        for level in self.levels:
            x = level(x)
            seen.append(x)
        mean, log_variance = self.heads(x.flatten(1)).float().chunk(2, 1)
        return mean, log_variance.clamp(-12.0, 4.0), seen


def _twice_as_wide(inputs: int, outputs: int, enlarged: bool) -> nn.Module:
    """(B, inputs, H, W) to (B, outputs, 2 H, 2 W): by a transposed convolution, or by enlarging and convolving."""
    if not enlarged:
        return nn.ConvTranspose2d(inputs, outputs, 4, 2, 1, bias=False)
    return nn.Sequential(nn.Upsample(scale_factor=2), nn.Conv2d(inputs, outputs, 3, padding=1, bias=False))


class Decoder(nn.Module):
    """The mean of p(x | z), or of p(x | z, what the encoder saw) when it is built with `skips`."""

    def __init__(self, latent_dim: int, channels: Sequence[int], skips: bool = False, enlarged: int = 0):
        super().__init__()
        self.skips, twice = skips, 2 if skips else 1
        self.first = nn.Sequential(
            nn.ConvTranspose2d(latent_dim, channels[-1], 4, bias=False), nn.BatchNorm2d(channels[-1]), nn.ELU()
        )
        sizes = (*reversed(channels), channels[0])
        plain = len(channels) - enlarged
        self.levels = nn.ModuleList(
            nn.Sequential(_twice_as_wide(twice * a, b, index >= plain), nn.BatchNorm2d(b), nn.ELU())
            for index, (a, b) in enumerate(pairwise(sizes))
        )
        self.last = nn.Conv2d(channels[0] + (4 if skips else 0), 3, 3, padding=1)

    def forward(self, z: Tensor, seen: Sequence[Tensor] = (), picture: Tensor | None = None) -> Tensor:
        """z: (B, z); with skips, the encoder's features and its input (B, 4, 64, 64) too. Returns (B, 3, 64, 64)."""
        h = self.first(z[:, :, None, None])  # (B, C, 4, 4)
        for index, level in enumerate(self.levels, 1):
            if self.skips:
                h = torch.cat((h, seen[-index]), 1)
            h = level(h)
        if picture is not None:
            h = torch.cat((h, picture), 1)
        return torch.tanh(self.last(h))


class VAE(nn.Module):
    """One decoder p(x | z) and two encoders: of complete pictures, q(z | x), and of masked ones, q(z | x * m)."""

    aggregate_mean: Tensor  # (z)
    aggregate_factor: Tensor  # (z, z), Cholesky factor of the covariance

    def __init__(self, config: VAEConfig):
        super().__init__()
        self.config = config
        self.complete_encoder = Encoder(3, config.latent_dim, config.channels)
        self.masked_encoder = Encoder(3, config.latent_dim, config.channels)
        self.decoder = Decoder(config.latent_dim, config.channels, enlarged=config.enlarged)
        self.register_buffer("aggregate_mean", torch.zeros(config.latent_dim))
        self.register_buffer("aggregate_factor", torch.eye(config.latent_dim))

    @torch.no_grad()
    def fit_aggregate(self, pictures: Iterable[Tensor]) -> None:
        """Fits a normal distribution to the aggregate posterior, q(z) = mean of q(z | x) over pictures (B, 3, 64, 64).

        `sample` draws from it: the encoder does not quite meet the prior, and decodes badly what it never produces
        (ex-post density estimation, Ghosh et al. 2020, "From Variational to Deterministic Autoencoders", section 4).
        """
        found = [self.encode(batch, masked=False) for batch in pictures]
        mean, log_variance = (torch.cat(parts).double() for parts in zip(*found, strict=True))
        covariance = torch.cov(mean.T, correction=min(1, len(mean) - 1)) + torch.diag(log_variance.exp().mean(0))
        self.aggregate_mean.copy_(mean.mean(0))
        self.aggregate_factor.copy_(torch.linalg.cholesky(covariance))

    def sample(self, noise: Tensor) -> Tensor:
        """Mean pictures (B, 3, 64, 64) for standard normal noise (B, z), from the fitted aggregate posterior."""
        return self.decode(self.aggregate_mean + noise @ self.aggregate_factor.T)

    def encode(self, x: Tensor, masked: bool) -> tuple[Tensor, Tensor]:
        """Mean and log-variance (B, z) of a picture (B, 3, 64, 64), by the encoder of masked or of complete ones."""
        mean, log_variance, _ = (self.masked_encoder if masked else self.complete_encoder)(x)
        return mean, log_variance

    def decode(self, z: Tensor) -> Tensor:
        """The mean picture (B, 3, 64, 64) of latents (B, z)."""
        return self.decoder(z)


class OneShotVAE(nn.Module):
    """Completion in one pass: encoder and decoder both see the masked picture and the mask."""

    def __init__(self, config: VAEConfig):
        super().__init__()
        self.config = config
        self.encoder = Encoder(4, config.latent_dim, config.channels)
        self.decoder = Decoder(config.latent_dim, config.channels, skips=True, enlarged=config.enlarged)

    def forward(self, x: Tensor, mask: Tensor, eps: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """x: (B, 3, 64, 64), the hole filled with a guess or 0; mask (B, 1, 64, 64); eps (B, z), standard normal.

        Returns the completed picture (B, 3, 64, 64) and the mean and log-variance of its latents.
        """
        picture = torch.cat((x, mask * 2.0 - 1.0), 1)
        mean, log_variance, seen = self.encoder(picture)
        z = mean + eps * torch.exp(0.5 * log_variance)
        return self.decoder(z, seen, picture), mean, log_variance
