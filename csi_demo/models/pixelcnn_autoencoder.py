"""PixelCNN autoencoder (van den Oord et al. 2016, section 2.4) beside one whose decoder minimises the squared error.

Both have the same encoder, which leaves m numbers of a picture. The usual decoder can only answer with the mean of all
pictures that share a code; the PixelCNN, conditioned on the code, draws one of them, so its code may hold other things.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from .gated_pixelcnn import GatedPixelCNN, GatedPixelCNNConfig

DECODERS = ("pixelcnn", "mse")


@dataclass(frozen=True)
class AutoencoderConfig:
    """Everything needed to rebuild the module; stored as config.json beside its weights."""

    image_size: int = 32
    bottleneck: int = 10  # m
    decoder: str = "pixelcnn"  # or "mse"
    channels: tuple[int, ...] = (48, 96, 128)  # of the encoder, at 16, 8 and 4 pixels' width
    filters: int = 64
    layers: int = 10
    head: str = "softmax"
    embedding: int = 128  # values in h, made of the code
    context_channels: tuple[int, ...] = (32, 64, 96, 128)  # of the network that draws s from h
    map_channels: int = 64  # of s

    def __post_init__(self) -> None:
        object.__setattr__(self, "channels", tuple(self.channels))
        object.__setattr__(self, "context_channels", tuple(self.context_channels))
        assert self.decoder in DECODERS, f"decoder {self.decoder!r}, known: {DECODERS}"
        assert self.image_size == 4 * 2 ** len(self.channels), f"image_size {self.image_size}, encoder ends in 4"

    def to_dict(self) -> dict[str, Any]:
        return asdict(self) | {"channels": list(self.channels), "context_channels": list(self.context_channels)}

    @property
    def pixelcnn(self) -> GatedPixelCNNConfig:
        """Of the decoder: conditioned on the code, no context."""
        return GatedPixelCNNConfig(
            image_size=self.image_size,
            filters=self.filters,
            layers=self.layers,
            head=self.head,
            condition="embedding",
            condition_dim=self.bottleneck,
            embedding=self.embedding,
            context_channels=self.context_channels,
            map_channels=self.map_channels,
        )


class PictureDecoder(nn.Module):
    """From a code (B, m) to a picture (B, 3, H, W) in [-1, 1], by enlarging and convolving."""

    def __init__(self, bottleneck: int, channels: tuple[int, ...]):
        super().__init__()
        self.width = channels[-1]
        self.first = nn.Linear(bottleneck, 16 * channels[-1])
        sizes = (*reversed(channels), channels[0])
        self.levels = nn.ModuleList(
            nn.Sequential(nn.Upsample(scale_factor=2), nn.Conv2d(a, b, 3, padding=1), nn.BatchNorm2d(b), nn.ELU())
            for a, b in pairwise(sizes)
        )
        self.last = nn.Conv2d(channels[0], 3, 3, padding=1)

    def forward(self, code: Tensor) -> Tensor:
        h = self.first(code).unflatten(1, (self.width, 4, 4))
        for level in self.levels:
            h = level(h)
        return torch.tanh(self.last(h))


class PixelCNNAutoencoder(nn.Module):
    """The encoder, and the decoder that the config asks for."""

    def __init__(self, config: AutoencoderConfig):
        super().__init__()
        self.config = config
        self.encoder = nn.Sequential(
            *(
                nn.Sequential(nn.Conv2d(a, b, 4, 2, 1, bias=False), nn.BatchNorm2d(b), nn.ELU())
                for a, b in pairwise((3, *config.channels))
            ),
            nn.Flatten(),
            nn.Linear(16 * config.channels[-1], config.bottleneck),
        )
        if config.decoder == "pixelcnn":
            self.decoder: nn.Module = GatedPixelCNN(config.pixelcnn)
        else:
            self.decoder = PictureDecoder(config.bottleneck, config.channels)

    def encode(self, x: Tensor) -> Tensor:
        """The code (B, m) of pictures (B, 3, H, W) in [-1, 1]."""
        return self.encoder(x)
