"""Small variants of the Gated PixelCNN, and of autoencoders that have one, for 32x32 pictures: what they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .....methods.small_csi import SIZE
from .....models.pixelcnn_autoencoder import AutoencoderConfig

CROP = 24  # side of what the stacks see in training, as of the variants of CSI
# As many pixels above and to the left as the variants of CSI, about as many weights, and as many logistics.
SMALL: dict[str, Any] = {
    "image_size": SIZE,
    "filters": 20,
    "layers": 6,
    "first_kernel": 5,
    "head": "mixture",
    "mixtures": 5,
    "head_filters": 40,
    "condition": "none",
    "embedding": 16,
    "context_channels": (16, 16, 24, 32),
    "map_channels": 16,
}
# Of those that draw whole faces, which take longer and are compared with one another alone.
WIDE: dict[str, Any] = {
    "filters": 32,
    "layers": 7,
    "head": "mixture",
    "embedding": 64,
    "context_channels": (24, 32, 48, 64),
    "map_channels": 32,
}
CHANNELS = (32, 64, 96)  # of an autoencoder's encoder


@dataclass(frozen=True)
class PixelCNNVariant:
    """settings: what differs from `SMALL`, or, for what draws whole faces, from `WIDE`; bottleneck: of an autoencoder,
    0 for what is none, and its decoder."""

    name: str
    label: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    whole: bool = False
    bottleneck: int = 0
    decoder: str = "pixelcnn"

    def overrides(self) -> dict[str, Any]:
        """Fields of a Gated PixelCNN's config; what a condition is made of the training finds out."""
        fields = SMALL | (WIDE if self.whole else {}) | dict(self.settings)
        return fields | {"condition_dim": 1} if fields["condition"] == "none" else fields

    def autoencoder(self) -> AutoencoderConfig:
        return AutoencoderConfig(
            image_size=SIZE, bottleneck=self.bottleneck, decoder=self.decoder, channels=CHANNELS, **WIDE
        )


FORWARD = PixelCNNVariant("forward", "Gated PixelCNN, forward only", {"context": False})
CONTEXT = PixelCNNVariant("context", "Gated PixelCNN, given the context")
SOFTMAX = PixelCNNVariant("softmax", "the same with 256 levels a channel", {"head": "softmax"})
ATTRIBUTES = PixelCNNVariant(
    "attributes", "given attributes", {"condition": "attributes", "context": False}, whole=True
)
PORTRAITS = PixelCNNVariant(
    "portraits", "given a face's embedding", {"condition": "embedding", "context": False}, whole=True
)
AUTOENCODERS = tuple(
    PixelCNNVariant(f"{decoder}-{width}", f"{label}, {width} numbers", bottleneck=width, decoder=decoder)
    for width in (10, 100)
    for decoder, label in (("mse", "squared error"), ("pixelcnn", "PixelCNN"))
)
COMPLETIONS = (FORWARD, CONTEXT, SOFTMAX)
CONDITIONED = (ATTRIBUTES, PORTRAITS)
VARIANTS = (*COMPLETIONS, *CONDITIONED, *AUTOENCODERS)
