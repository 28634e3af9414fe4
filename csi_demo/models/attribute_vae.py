"""The variational autoencoder with attributes (Ham et al. 2018, section 3.2): y to the encoders, the decoder, or both.

y (B, A) is in [-1, 1], -1 = surely not, 1 = surely; `known` (B, A) is 0 where an attribute is left open. Apart from
what is built on y the model is that of `vae`, so that its weights can be gone on from: at first y changes nothing.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from .vae import VAE, VAEConfig

PLACES = ("none", "encoder", "decoder", "both")


@dataclass(frozen=True)
class AttributeVAEConfig(VAEConfig):
    """Everything needed to rebuild the module; stored as config.json beside its weights."""

    names: tuple[str, ...] = ()  # of the attributes, in order
    attributes_to: str = "both"  # "none", "encoder", "decoder" or "both": the table's columns E, D and E + D
    embedding: int = 128

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "names", tuple(self.names))
        assert self.attributes_to in PLACES, f"attributes_to {self.attributes_to!r}, known: {PLACES}"

    def to_dict(self) -> dict[str, Any]:
        return asdict(self) | {"channels": list(self.channels), "names": list(self.names)}

    @property
    def to_encoder(self) -> bool:
        return self.attributes_to in ("encoder", "both")

    @property
    def to_decoder(self) -> bool:
        return self.attributes_to in ("decoder", "both")


class _Embedding(nn.Module):
    """What is known of a face's attributes as a vector."""

    def __init__(self, attributes: int, width: int):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(2 * attributes, width), nn.ELU(), nn.Linear(width, width), nn.ELU())

    def forward(self, y: Tensor, known: Tensor) -> Tensor:
        return self.layers(torch.cat((y * known, known), 1))


class _Posterior(nn.Module):
    """How y moves mean and log-variance (B, 2 z), in view of what the encoder's last level saw."""

    def __init__(self, seen: int, embedding: int, latent_dim: int):
        super().__init__()
        last = nn.Linear(256, 2 * latent_dim)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        self.layers = nn.Sequential(nn.Linear(seen + embedding, 256), nn.ELU(), last)

    def forward(self, seen: Tensor, embedded: Tensor) -> tuple[Tensor, Tensor]:
        """seen: (B, C, 4, 4)."""
        mean, log_variance = self.layers(torch.cat((seen.mean((2, 3)), embedded), 1)).float().chunk(2, 1)
        return mean, log_variance


class AttributeVAE(VAE):
    """q(z | x, y) and p(x | z, y); with y at either place, at both or at none."""

    config: AttributeVAEConfig

    def __init__(self, config: AttributeVAEConfig):
        super().__init__(config)
        attributes, width = len(config.names), config.embedding
        if config.to_encoder:
            self.encoder_embedding = _Embedding(attributes, width)
            self.complete_posterior = _Posterior(config.channels[-1], width, config.latent_dim)
            self.masked_posterior = _Posterior(config.channels[-1], width, config.latent_dim)
        if config.to_decoder:
            self.decoder_embedding = _Embedding(attributes, width)
            widths = (config.channels[-1], *reversed(config.channels[:-1]), config.channels[0])
            self.first_shift = nn.Linear(width, 16 * widths[0])  # where in the face, too
            self.modulations = nn.ModuleList(nn.Linear(width, 2 * channels) for channels in widths)
            for module in (self.first_shift, self.modulations):
                for parameter in module.parameters():
                    nn.init.zeros_(parameter)

    def encode_with(self, x: Tensor, masked: bool, y: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log-variance (B, z) of q(z | x, y), by the encoder of masked or of complete pictures."""
        mean, log_variance, seen = (self.masked_encoder if masked else self.complete_encoder)(x)
        if self.config.to_encoder:
            posterior = self.masked_posterior if masked else self.complete_posterior
            moved, wider = posterior(seen[-1], self.encoder_embedding(y, known))
            mean, log_variance = mean + moved, (log_variance + wider).clamp(-12.0, 4.0)
        return mean, log_variance

    def decode_with(self, z: Tensor, y: Tensor, known: Tensor) -> Tensor:
        """The mean picture (B, 3, 64, 64) of p(x | z, y), z (B, z)."""
        if not self.config.to_decoder:
            return self.decode(z)
        embedded = self.decoder_embedding(y, known)
        h = self.decoder.first(z[:, :, None, None])
        h = h + self.first_shift(embedded).unflatten(1, h.shape[1:])
        h = _modulate(h, self.modulations[0](embedded))
        for level, modulation in zip(self.decoder.levels, list(self.modulations)[1:], strict=True):
            h = _modulate(level(h), modulation(embedded))
        return torch.tanh(self.decoder.last(h))


def _modulate(h: Tensor, by: Tensor) -> Tensor:
    """h (B, C, H, W) scaled and shifted by (B, 2 C)."""
    scale, shift = by[:, :, None, None].chunk(2, 1)
    return h * (1.0 + scale) + shift
