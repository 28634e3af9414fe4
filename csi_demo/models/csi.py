"""Controllable Semantic Inpainting (CSI): masked-image encoder, decoder to feature maps, bidirectional PixelCNN.

Images are (B, 3, H, W) in [-1, 1]; masks are (B, 1, H, W), 1 = observed (context), 0 = hole (target).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from . import logistic_mixture
from .context_unet import ContextUNet
from .flow import LatentFlow
from .pixelcnn import PixelCNNStream

OBJECTIVES = ("mmd", "vae", "beta-tcvae", "info-beta-tcvae")


@dataclass(frozen=True)
class CSIConfig:
    """Everything needed to rebuild the module; stored as config.json beside its weights."""

    image_size: int = 64
    latent_dim: int = 64  # 0: no encoder and no decoder, a bidirectional PixelCNN alone
    named: tuple[str, ...] = ()  # what the first latents were trained to mean; the others are free
    posterior_rank: int = 16  # of the posterior's covariance beside its diagonal
    encoder_channels: tuple[int, ...] = (64, 128, 192, 256)
    decoder_channels: tuple[int, ...] = (256, 192, 128, 64, 48)  # at 4, 8, 16, 32 and 64 pixels' width; (): mirrored
    sees: bool = False  # whether the decoder sees the photo, too (see `ContextUNet`); the paper's does not
    context_channels: tuple[int, ...] = (32, 64, 112, 128)  # of what it sees, at 64, 32, 16 and 8 pixels' width
    resized_steps: int = 2  # of the decoder's last steps: enlarged, then convolved, where others convolve transposed
    bottleneck: int = 512
    flow_layers: int = 0  # of a posterior with several modes (see `LatentFlow`); 0: the encoder's normal one
    map_channels: int = 32
    filters: int = 64
    blocks: int = 5
    mixtures: int = 10
    reverse_stream: bool = True
    dropout: float = 0.0
    objective: str = "mmd"
    regulariser_weight: float = 900.0  # against a loss in bits per dim
    tc_beta: float = 6.0  # scales the total correlation in the two tcvae objectives

    def __post_init__(self) -> None:
        for name in ("encoder_channels", "decoder_channels", "context_channels", "named"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        side = 4 * 2 ** len(self.encoder_channels)
        assert self.image_size == side or not self.latent_dim, f"image_size {self.image_size}, encoder ends in {side}"
        assert self.objective in OBJECTIVES, f"objective {self.objective!r}, known: {OBJECTIVES}"
        steps, widths = len(self.encoder_channels), len(self.decoder_channels)
        assert widths in (0, steps + 1) or not self.latent_dim, f"{widths} decoder_channels, wanted {steps + 1}"
        assert len(self.named) <= self.latent_dim, f"{len(self.named)} named latents of {self.latent_dim}"

    def to_dict(self) -> dict[str, Any]:
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}


class Posterior(NamedTuple):
    """q(z | x * m, m): normal, with covariance diag(exp(log_variance)) + factor factor^T."""

    mean: Tensor  # (B, z)
    log_variance: Tensor  # (B, z)
    factor: Tensor  # (B, z, rank)
    features: Tensor  # (B, bottleneck), of the encoder's last layer

    @property
    def noise_dim(self) -> int:
        """How many standard normal numbers a draw takes."""
        return self.factor.shape[1] + self.factor.shape[2]

    @property
    def sigma(self) -> Tensor:
        """Standard deviation of every latent: (B, z)."""
        return (self.log_variance.exp() + self.factor.square().sum(2)).sqrt()

    def draw(self, eps: Tensor) -> Tensor:
        """Latents (B, z) for standard normal noise (B, noise_dim)."""
        own, shared = eps.split(self.factor.shape[1:], 1)
        together = (self.factor @ shared.unsqueeze(2)).squeeze(2)
        return self.mean + together + own * torch.exp(0.5 * self.log_variance)

    def log_prob(self, z: Tensor) -> Tensor:
        """Natural logarithm of the density at latents (B, z): (B,); by the matrix determinant and inversion lemmas."""
        precision = torch.exp(-self.log_variance)  # (B, z)
        apart = z - self.mean
        weighted = self.factor * precision.unsqueeze(2)  # (B, z, rank)
        with torch.autocast(z.device.type, enabled=False):
            inner = torch.eye(self.factor.shape[2], device=z.device) + weighted.mT @ self.factor
            root, _ = torch.linalg.cholesky_ex(inner)  # positive definite by construction
            along = torch.linalg.solve_triangular(root, weighted.mT @ apart.unsqueeze(2), upper=False)
        distance = (apart.square() * precision).sum(1) - along.square().sum((1, 2))
        determinant = self.log_variance.sum(1) + 2.0 * root.diagonal(dim1=1, dim2=2).log().sum(1)
        return -0.5 * (distance + determinant + z.shape[1] * math.log(2.0 * math.pi))


class Encoder(nn.Module):
    """q(z | x * m, m): from the masked picture, its hole filled with uniform noise, and the mask."""

    def __init__(self, config: CSIConfig):
        super().__init__()
        layers: list[nn.Module] = []
        inputs = 4
        for outputs in config.encoder_channels:
            layers += [nn.Conv2d(inputs, outputs, 4, 2, 1, bias=False), nn.BatchNorm2d(outputs), nn.ELU()]
            inputs = outputs
        layers += [nn.Conv2d(inputs, config.bottleneck, 4, bias=False), nn.BatchNorm2d(config.bottleneck), nn.ELU()]
        self.layers = nn.Sequential(*layers)
        self.heads = nn.Linear(config.bottleneck, 2 * config.latent_dim)
        self.factor_shape = (config.latent_dim, config.posterior_rank)
        if config.posterior_rank:
            self.factor = nn.Linear(config.bottleneck, config.latent_dim * config.posterior_rank)

    def forward(self, x: Tensor, mask: Tensor, noise: Tensor) -> Posterior:
        filled = torch.where(mask > 0.5, x, noise)  # (B, 3, H, W)
        features = self.layers(torch.cat((filled, mask * 2.0 - 1.0), 1)).flatten(1)  # (B, bottleneck)
        mean, log_variance = self.heads(features).float().chunk(2, 1)  # 2 x (B, z)
        factor = self.factor(features).float() if self.factor_shape[1] else mean.new_zeros(len(mean), 0)
        return Posterior(mean, log_variance.clamp(-12.0, 4.0), factor.unflatten(1, self.factor_shape), features.float())


class Decoder(nn.Module):
    """Latents to feature maps at full resolution, which carry the semantics into the PixelCNN (not an RGB picture)."""

    def __init__(self, config: CSIConfig):
        super().__init__()
        mirrored = (*reversed(config.encoder_channels), config.map_channels)
        sizes = (config.bottleneck, *(config.decoder_channels or mirrored))
        layers: list[nn.Module] = [
            nn.ConvTranspose2d(config.latent_dim, config.bottleneck, 1, bias=False),
            nn.BatchNorm2d(config.bottleneck),
            nn.ELU(),
            nn.ConvTranspose2d(sizes[0], sizes[1], 4, bias=False),
            nn.BatchNorm2d(sizes[1]),
            nn.ELU(),
        ]
        steps = len(sizes) - 2
        for step, (inputs, outputs) in enumerate(pairwise(sizes[1:]), 1):
            last = step == steps and not config.decoder_channels
            if step > steps - config.resized_steps:
                layers += [nn.Upsample(scale_factor=2), nn.Conv2d(inputs, outputs, 3, 1, 1, bias=last)]
            else:
                layers += [nn.ConvTranspose2d(inputs, outputs, 4, 2, 1, bias=last)]
            layers += [nn.ELU()] if last else [nn.BatchNorm2d(outputs), nn.ELU()]
        if config.decoder_channels:
            layers += [nn.Conv2d(sizes[-1], config.map_channels, 3, 1, 1), nn.ELU()]
        self.layers = nn.Sequential(*layers)
        self.channels = sizes[1:]  # of what `trunk` returns

    def trunk(self, z: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Latents (B, z) to maps (B, M, H, W), and what comes before them: (B, C_l, 4, 4) ... (B, C_l, H, W)."""
        h, features = z[:, :, None, None], []
        for layer in self.layers:
            h = layer(h)
            if isinstance(layer, nn.ELU):
                features.append(h)
        return h, features[1 : 1 + len(self.channels)]

    def forward(self, z: Tensor) -> Tensor:
        return self.layers(z[:, :, None, None])  # (B, z) -> (B, M, H, W)


class CSI(nn.Module):
    """The whole model; ``latent_dim=0`` and ``reverse_stream=False`` switch its two halves off."""

    def __init__(self, config: CSIConfig):
        super().__init__()
        self.config = config
        biases = 2 * config.blocks * config.filters
        self.forward_stream = PixelCNNStream(3, config.filters, config.blocks, config.dropout)
        self.head = nn.Conv2d(config.filters, logistic_mixture.channels(config.mixtures), 1)
        if config.latent_dim:
            self.encoder = Encoder(config)
            self.decoder = Decoder(config)
            self.from_maps = nn.Conv2d(config.map_channels, biases, 1)  # V_l of equation 3, all blocks
            self.rgb_head = nn.Conv2d(config.map_channels, 3, 1)  # the decoder's own picture, which a critic judges
        if config.reverse_stream:
            self.reverse_stream = PixelCNNStream(4, config.filters, config.blocks, config.dropout)
            self.from_context = nn.Conv2d(config.filters + 1, biases, 1)  # U_l of equation 3, all blocks
        self.reset_parameters()
        if config.latent_dim and config.flow_layers:
            self.flow = LatentFlow(config.latent_dim, config.bottleneck, config.flow_layers)
        if config.latent_dim and config.sees:
            self.context = ContextUNet(config.context_channels, self.decoder.channels, config.map_channels)

    def reset_parameters(self) -> None:
        """Xavier initialisation (appendix A.2); gates and the context's share of the biases start small."""
        for module in self.modules():
            if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)):
                nn.init.xavier_uniform_(module.weight)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        for name, parameter in self.named_parameters():
            if name.endswith("second.weight"):
                parameter.data.mul_(0.3)
        if self.config.reverse_stream:
            self.from_context.weight.data.mul_(0.5)
        if self.config.latent_dim and self.config.posterior_rank:
            self.encoder.factor.weight.data.mul_(0.1)

    @torch.no_grad()
    def start_reverse_stream(self) -> None:
        """Starts the reverse stream from the forward one's filters: what predicts a pixel from above, turned round,
        predicts it from below. The mask's filters stay as they are."""
        for (name, target), source in zip(
            self.reverse_stream.named_parameters(), self.forward_stream.parameters(), strict=True
        ):
            if name.endswith("_input.weight"):  # red, green, blue, [mask,] ones
                target[:, :3], target[:, 4:] = source[:, :3], source[:, 3:]
            else:
                target.copy_(source)

    def stage_parameters(self, stage: int, alone: bool = False) -> list[nn.Parameter]:
        """What a stage trains: 1 = all but the reverse stream; 2 = the PixelCNNs, with encoder and decoder frozen, or,
        where it is the only stage (alone), with them."""
        frozen = () if alone else ("encoder.", "decoder.")
        left_out = ("reverse_stream.", "from_context.") if stage == 1 else (*frozen, "rgb_head.")
        return [parameter for name, parameter in self.named_parameters() if not name.startswith(left_out)]

    def encode(self, x: Tensor, mask: Tensor, noise: Tensor) -> Posterior:
        """q(z | x * m, m); noise: (B, 3, H, W), uniform in [-1, 1]."""
        return self.encoder(x, mask, noise)

    def see(self, x: Tensor, mask: Tensor) -> list[Tensor] | None:
        """What the decoder sees of pictures (B, 3, H, W) under masks (B, 1, H, W): see `ContextUNet.see`; None for the
        paper's decoder, which sees nothing."""
        return self.context.see(x, mask) if self.config.sees else None

    def draw(
        self, posterior: Posterior, noise: Tensor, given: Tensor | None = None, flags: Tensor | None = None
    ) -> Tensor:
        """Latents (B, z) for standard normal noise (B, z): through the flow, where there is one, which may have several
        modes; else from the normal posterior, each latent for itself.

        given, flags: (B, z), values that latents have where flags are 1, to which the flow draws the others."""
        mean, sigma = (part.expand(len(noise), -1) for part in (posterior.mean, posterior.sigma))
        if not self.config.flow_layers:
            return mean + sigma * noise
        features = posterior.features.expand(len(noise), -1)
        given, flags = (torch.zeros_like(mean) if part is None else part for part in (given, flags))
        with torch.autocast(noise.device.type, enabled=False):
            return mean + sigma * self.flow.draw(noise, self.flow.condition(features, mean, sigma, given, flags))

    def follow(
        self, posterior: Posterior, noise: Tensor, latents: Sequence[int], before: Tensor, after: Tensor
    ) -> Tensor:
        """How far all latents (B, z), drawn with noise (B, z), move as some go from values before to after (B, n): 0
        where these are the same, and without a flow."""
        if not self.config.flow_layers:
            return torch.zeros_like(noise)
        flags, chosen = torch.zeros_like(noise), list(latents)
        flags[:, chosen] = 1.0
        ends = []
        for values in (before, after):
            given = torch.zeros_like(noise)
            given[:, chosen] = values
            ends.append(self.draw(posterior, noise, given, flags))
        return ends[1] - ends[0]

    def decode(self, z: Tensor, seen: Sequence[Tensor] | None = None) -> Tensor:
        """Feature maps (B, M, H, W) of latents (B, z) and of what is seen, of B pictures or of one; without that, the
        trunk's own."""
        if seen is None:
            return self.decoder(z)
        maps, features = self.decoder.trunk(z)
        return maps + self.context(features, seen)

    def picture(self, maps: Tensor) -> Tensor:
        """The decoder's own picture (B, 3, H, W), float32, about in [-1, 1], of its maps."""
        return self.rgb_head(maps).float()

    def context_features(self, x: Tensor, mask: Tensor) -> Tensor:
        """Reverse stream (B, F, H, W): at a pixel, what the context strictly after it in raster order says."""
        context = torch.cat((x * mask, mask), 1).flip(2, 3)  # (B, 4, H, W)
        return self.reverse_stream(context).flip(2, 3)

    def biases(self, maps: Tensor | None, mask: Tensor | None, context: Tensor | None) -> Tensor | None:
        """U_l * r + V_l * s for all blocks: (B, 2 * blocks * F, H, W), or None where neither is given."""
        terms = []
        if maps is not None:
            terms.append(self.from_maps(maps))
        if context is not None and mask is not None:
            terms.append(self.from_context(torch.cat((F.elu(context), mask), 1)))
        return sum(terms[1:], terms[0]) if terms else None

    def logits(self, x: Tensor, biases: Tensor | None) -> Tensor:
        """Mixture parameters (B, 10 K, H, W) of every pixel given the pixels before it."""
        return self.head(F.elu(self.forward_stream(x, biases)))

    def pixel_nll(self, x: Tensor, maps: Tensor | None, mask: Tensor | None) -> Tensor:
        """-log p of each pixel (B, H, W) in nats, teacher-forced; with a mask, given the context too (equation 4)."""
        context = self.context_features(x, mask) if mask is not None and self.config.reverse_stream else None
        params = self.logits(x, self.biases(maps, mask, context))
        return -logistic_mixture.log_prob(x.permute(0, 2, 3, 1).float(), params.permute(0, 2, 3, 1).float())
