"""DCGAN (Radford et al., 2016) at 64x64: generator, discriminator, and an encoder that guesses where to start.

Images are (B, 3, 64, 64) in [-1, 1]; latents (B, z) in [-1, 1], uniform under the prior.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval

from ..pixels import LUMA

BINOMIAL = (1.0, 4.0, 6.0, 4.0, 1.0)  # of the filter that smooths colours


@dataclass(frozen=True)
class DCGANConfig:
    """Everything needed to rebuild the modules; stored as config.json beside their weights."""

    latent_dim: int = 100
    generator_width: int = 64  # channels at 32 pixels' width; doubled at each halving
    discriminator_width: int = 48
    encoder_channels: tuple[int, ...] = (32, 64, 128, 192)

    def __post_init__(self) -> None:
        object.__setattr__(self, "encoder_channels", tuple(self.encoder_channels))

    def to_dict(self) -> dict[str, Any]:
        return asdict(self) | {"encoder_channels": list(self.encoder_channels)}


class SmoothColour(nn.Module):
    """Colour without detail, brightness as it is. What leaves fractionally strided convolutions is free to differ
    from pixel to pixel in colour, while a photo's colours are stored at half its resolution (JPEG's 4:2:0)."""

    filters: Tensor  # (3, 3, 5, 5)

    def __init__(self) -> None:
        super().__init__()
        line = torch.tensor(BINOMIAL) / sum(BINOMIAL)
        sharp = torch.zeros(5, 5)
        sharp[2, 2] = 1.0
        brightness = torch.tensor(LUMA).expand(3, 3)  # of every channel (rows) by the channels (columns)
        colour = torch.eye(3) - brightness
        filters = brightness[:, :, None, None] * sharp + colour[:, :, None, None] * torch.outer(line, line)
        self.register_buffer("filters", filters, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(F.pad(x, (2, 2, 2, 2), mode="replicate"), self.filters)  # (B, 3, H, W) -> (B, 3, H, W)


class Generator(nn.Module):
    """G(z): fractionally strided convolutions with batch normalisation and ReLU, smooth colours, tanh at the end."""

    def __init__(self, latent_dim: int, width: int):
        super().__init__()
        layers: list[nn.Module] = [nn.ConvTranspose2d(latent_dim, 8 * width, 4, bias=False)]
        for inputs, outputs in pairwise((8 * width, 4 * width, 2 * width, width)):
            layers += [nn.BatchNorm2d(inputs), nn.ReLU(), nn.ConvTranspose2d(inputs, outputs, 4, 2, 1, bias=False)]
        layers += [nn.BatchNorm2d(width), nn.ReLU(), nn.ConvTranspose2d(width, 3, 4, 2, 1)]
        self.layers = nn.Sequential(*layers, SmoothColour(), nn.Tanh())

    def forward(self, z: Tensor) -> Tensor:
        return self.layers(z[:, :, None, None])  # (B, z) -> (B, 3, 64, 64)


class StillGenerator(nn.Module):
    """The same pictures as a generator's that is no longer trained, sooner. Normalisation is part of the convolutions,
    and the first, which sees one pixel, is a matrix product."""

    def __init__(self, generator: Generator):
        super().__init__()
        convolutions = [layer for layer in generator.layers if isinstance(layer, nn.ConvTranspose2d)]
        norms = [layer for layer in generator.layers if isinstance(layer, nn.BatchNorm2d)]
        first, *fused = (fuse_conv_bn_eval(*pair, transpose=True) for pair in zip(convolutions, norms, strict=False))
        weight, bias = first.weight.flatten(1).T, cast(Tensor, first.bias).repeat_interleave(16)
        self.first = nn.Linear(weight.shape[1], weight.shape[0])
        self.first.load_state_dict({"weight": weight, "bias": bias})
        later: list[nn.Module] = []
        for layer in (*fused, convolutions[-1]):
            later += [nn.ReLU(), layer]
        self.later = nn.Sequential(*later, SmoothColour(), nn.Tanh())
        self.requires_grad_(False)

    def forward(self, z: Tensor) -> Tensor:
        h = torch.cat([self.first(one) for one in z.split(1)])  # one by one: a picture never depends on its batch
        return self.later(h.unflatten(1, (-1, 4, 4)))  # (B, z) -> (B, 3, 64, 64)


class Discriminator(nn.Module):
    """The logit of D(x): strided convolutions with leaky ReLU.

    Where Radford et al. normalise batches, training penalises the gradient instead (R1, Mescheder et al., 2018): it
    converges without swinging, and the verdict on a picture does not depend on its batch.
    """

    def __init__(self, width: int):
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(3, width, 4, 2, 1), nn.LeakyReLU(0.2)]
        for inputs, outputs in pairwise((width, 2 * width, 4 * width, 8 * width)):
            layers += [nn.Conv2d(inputs, outputs, 4, 2, 1), nn.LeakyReLU(0.2)]
        self.layers = nn.Sequential(*layers, nn.Conv2d(8 * width, 1, 4))

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x).flatten()  # (B, 3, 64, 64) -> (B,)


class StartEncoder(nn.Module):
    """Latents from which to start a completion: from the masked picture and the mask, in one pass."""

    def __init__(self, latent_dim: int, channels: Sequence[int]):
        super().__init__()
        layers: list[nn.Module] = []
        for inputs, outputs in pairwise((4, *channels)):
            layers += [nn.Conv2d(inputs, outputs, 4, 2, 1, bias=False), nn.BatchNorm2d(outputs), nn.LeakyReLU(0.2)]
        self.layers = nn.Sequential(*layers)
        self.head = nn.Linear(16 * channels[-1], latent_dim)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """x: (B, 3, 64, 64); mask: (B, 1, 64, 64), 1 = observed. Returns (B, z) in [-1, 1]."""
        h = self.layers(torch.cat((x * mask, mask * 2.0 - 1.0), 1))  # (B, C, 4, 4)
        return torch.tanh(self.head(h.flatten(1)))


class DCGAN(nn.Module):
    """Generator, discriminator and start encoder."""

    def __init__(self, config: DCGANConfig):
        super().__init__()
        self.config = config
        self.generator: Generator | StillGenerator = Generator(config.latent_dim, config.generator_width)
        self.discriminator = Discriminator(config.discriminator_width)
        self.encoder = StartEncoder(config.latent_dim, config.encoder_channels)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, 0.2)
            elif isinstance(module, nn.ConvTranspose2d):
                nn.init.normal_(module.weight, 0.0, 0.02)
            elif isinstance(module, nn.BatchNorm2d):
                nn.init.normal_(module.weight, 1.0, 0.02)

    def hold_still(self) -> None:
        """Exchanges the generator for one that draws the same pictures sooner and can't be trained."""
        if isinstance(self.generator, Generator):
            self.generator = StillGenerator(self.generator.eval())


def contextual_weights(mask: Tensor, window: int = 7) -> Tensor:
    """How much each observed pixel counts (Yeh et al. 2017, equation 5): the share of hole pixels around it.

    mask: (B, 1, H, W), 1 = observed. window: side of the neighbourhood, odd. Returns (B, 1, H, W); 0 in the hole.
    """
    assert window % 2 == 1, f"window {window} has no middle"
    near = F.avg_pool2d(1.0 - mask, window, 1, window // 2)
    return near * mask


def contextual_loss(fake: Tensor, image: Tensor, weights: Tensor) -> Tensor:
    """Sum of weights * |G(z) - image|: (B, 3, H, W), (B or 1, 3, H, W), (B or 1, 1, H, W) to (B,)."""
    return (weights * (fake - image).abs()).sum((1, 2, 3))


def completion_loss(
    model: DCGAN, fake: Tensor, image: Tensor, weights: Tensor, perceptual_weight: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Total, contextual and perceptual loss of pictures G(z), each (B,).

    contextual: sum of weights * |G(z) - image| (weights: the mask itself, or `contextual_weights`); perceptual:
    log(1 - D(G(z))); total = contextual + perceptual_weight * perceptual.
    """
    contextual = contextual_loss(fake, image, weights)
    perceptual = -F.softplus(model.discriminator(fake))  # log(1 - sigmoid(logit))
    return contextual + perceptual_weight * perceptual, contextual, perceptual
