"""Introspective Adversarial Network (Brock et al., 2017): encoder and critic in one network, and a generator.

The inference head reads the critic's features, and the critic's layers are trained to judge pictures only: what tells
faces from fakes is found to be what describes them. Images are (B, 3, H, W) in [-1, 1], H = W = `image_size`; latents
(B, z), standard normal under the prior.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

SLOPE = 0.2  # of the leaky rectifiers
REAL, RECONSTRUCTION, SAMPLE = range(3)  # the ternary critic's classes
SCALES: dict[int, tuple[int, ...]] = {8: (0, 2), 16: (0, 2, 3), 32: (0, 2, 3)}  # of MD blocks at a level's width
COARSEST = 4  # pixels' width at which generator and critic meet
HEAD_LEVELS = 3  # of the critic that the inference head reads, from the coarsest
PROBES = 1024  # of `measure_metric`, many more than latents
LOG_DEVIATION = (-5.0, 2.0)  # bounds of log sigma


@dataclass(frozen=True)
class IANConfig:
    """Everything needed to rebuild the modules; stored as config.json beside their weights."""

    image_size: int = 64
    latent_dim: int = 100
    generator_channels: tuple[int, ...] = (448, 224, 144, 72, 48)  # at 4, 8, 16, 32 and 64 pixels' width
    critic_channels: tuple[int, ...] = (64, 128, 256, 448)  # at half the width, and so on down to 4 pixels
    head_channels: tuple[int, ...] = (64, 128, 128)  # of the inference head at 16, 8 and 4 pixels' width
    head_hidden: int = 384
    mdc: bool = True  # multiscale dilated convolutions in the generator; else plain ones in their place
    ternary: bool = True  # the critic tells real, reconstruction and sample apart; else real from the rest

    def __post_init__(self) -> None:
        for name in ("generator_channels", "critic_channels", "head_channels"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        halvings = len(self.critic_channels)
        if self.image_size != COARSEST * 2**halvings or len(self.generator_channels) != halvings + 1:
            raise ValueError(
                f"image_size {self.image_size} needs one more of generator_channels than of critic_channels, and "
                f"{COARSEST} pixels after halving once a critic's channel"
            )
        if len(self.head_channels) != HEAD_LEVELS or halvings < HEAD_LEVELS:
            raise ValueError(f"head_channels and critic_channels need {HEAD_LEVELS} numbers, or more of the latter")

    def to_dict(self) -> dict[str, Any]:
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}


class MultiscaleDilatedConv(nn.Module):
    """One bank of 3x3 filters used at several dilations, the results added (Brock et al., section "MDC").

    Scale 0 is a 1x1 filter, the bank's spatial mean. Every filter has a coefficient at every scale, learned. Without
    scales it is a plain convolution. No bias.
    """

    def __init__(self, channels: int, scales: Sequence[int]):
        super().__init__()
        self.scales = tuple(scales)
        self.weight = nn.Parameter(torch.empty(channels, channels, 3, 3))
        self.coefficients = nn.Parameter(torch.full((1 + len(self.scales), channels), 1.0 / (1 + len(self.scales))))

    def kernel(self) -> Tensor:
        """The same convolution as one sparsely filled bank: (channels, channels, K, K), K = 2 * widest scale + 1."""
        reach = max((1, *self.scales))
        found = self.weight.new_zeros(*self.weight.shape[:2], 2 * reach + 1, 2 * reach + 1)
        for scale, bank in self.banks():
            found[:, :, reach - scale : reach + scale + 1 : scale, reach - scale : reach + scale + 1 : scale] += bank
        return found

    def forward(self, h: Tensor) -> Tensor:
        # A sum of convolutions takes a third to a half less time than one with `kernel()`, most of which is zeros.
        first, *rest = (F.conv2d(h, bank, padding=scale, dilation=scale) for scale, bank in self.banks())
        return sum(rest, first)

    def banks(self) -> list[tuple[int, Tensor]]:
        """Dilations and 3x3 filters whose convolutions add up to this one: first the bank undilated, with the 1x1
        filter in its middle."""
        near = self._scaled(self.weight, 0)
        if 0 in self.scales:
            mean = self._scaled(self.weight.mean((2, 3), keepdim=True), 1 + self.scales.index(0))
            near = near + F.pad(mean, [1] * 4)
        far = [(scale, self._scaled(self.weight, index)) for index, scale in enumerate(self.scales, 1) if scale]
        return [(1, near), *far]

    def _scaled(self, bank: Tensor, index: int) -> Tensor:
        return bank * self.coefficients[index, :, None, None, None]


def _normalised(channels: int) -> list[nn.Module]:
    return [nn.BatchNorm2d(channels), nn.LeakyReLU(SLOPE)]


class MDBlock(nn.Module):
    """Two multiscale dilated convolutions with a residual connection."""

    def __init__(self, channels: int, scales: Sequence[int]):
        super().__init__()
        self.layers = nn.Sequential(
            *_normalised(channels),
            MultiscaleDilatedConv(channels, scales),
            *_normalised(channels),
            MultiscaleDilatedConv(channels, scales),
        )
        self.after = nn.Sequential(*_normalised(channels))

    def forward(self, h: Tensor) -> Tensor:
        return self.after(h + self.layers(h))


class Generator(nn.Module):
    """G(z): from 4 pixels' width by nearest-neighbour enlarging and convolutions, with MD blocks between."""

    def __init__(self, config: IANConfig):
        super().__init__()
        channels = config.generator_channels
        self.dense = nn.Linear(config.latent_dim, COARSEST**2 * channels[0])
        layers: list[nn.Module] = [*_normalised(channels[0])]
        width = COARSEST
        for inputs, outputs in pairwise(channels):
            width *= 2
            layers += [nn.UpsamplingNearest2d(scale_factor=2), nn.Conv2d(inputs, outputs, 3, 1, 1, bias=False)]
            if width in SCALES:
                layers.append(MDBlock(outputs, SCALES[width] if config.mdc else ()))
            else:
                layers += _normalised(outputs)
        self.layers = nn.Sequential(*layers)
        self.rgb = nn.Sequential(
            nn.Conv2d(channels[-1], channels[-1], 3, 1, 1, bias=False),
            *_normalised(channels[-1]),
            nn.Conv2d(channels[-1], 3, 3, 1, 1),
            nn.Tanh(),
        )

    def forward(self, z: Tensor) -> Tensor:
        h = self.dense(z).unflatten(1, (-1, COARSEST, COARSEST))
        return self.rgb(self.layers(h.contiguous(memory_format=torch.channels_last)))  # (B, 3, H, W)


class Critic(nn.Module):
    """Logits of a picture's classes, from strided convolutions whose features the encoder reads.

    Where Brock et al. normalise batches, training penalises the gradient instead (R1, Mescheder et al., 2018): it
    converges without swinging, and neither the verdict on a picture nor its latents depend on its batch.
    """

    def __init__(self, config: IANConfig):
        super().__init__()
        self.levels = nn.ModuleList(
            nn.Conv2d(inputs, outputs, 4, 2, 1) for inputs, outputs in pairwise((3, *config.critic_channels))
        )
        self.head = nn.Conv2d(config.critic_channels[-1], 3 if config.ternary else 1, COARSEST)

    def forward(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        """(B, 3, H, W) to the classes' logits, (B, 3) as REAL, RECONSTRUCTION, SAMPLE or (B, 1) for real, and to the
        activations of every level, the finest first: (B, C_l, H / 2, W / 2) ... (B, C_l, 4, 4)."""
        found = []
        for level in self.levels:
            x = F.leaky_relu(level(x), SLOPE)
            found.append(x)
        return self.head(x).flatten(1), found


def real_logit(logits: Tensor) -> Tensor:
    """The log odds that a picture is real: (B, 3) or (B, 1) to (B,)."""
    if logits.shape[1] == 1:
        return logits[:, 0]
    return logits[:, REAL] - logits[:, 1:].logsumexp(1)


class InferenceHead(nn.Module):
    """Latents by the critic's features at 16, 8 and 4 pixels' width: mean and log standard deviation."""

    def __init__(self, config: IANConfig):
        super().__init__()
        inputs, outputs = config.critic_channels[-HEAD_LEVELS:], config.head_channels
        self.merge = nn.ModuleList(
            (
                nn.Conv2d(inputs[0], outputs[0], 3, 2, 1),
                nn.Conv2d(inputs[1] + outputs[0], outputs[1], 3, 2, 1),
                nn.Conv2d(inputs[2] + outputs[1], outputs[2], 1),
            )
        )
        self.hidden = nn.Linear(COARSEST**2 * outputs[2], config.head_hidden)
        self.mean = nn.Linear(config.head_hidden, config.latent_dim)
        self.log_deviation = nn.Linear(config.head_hidden, config.latent_dim)

    def forward(self, features: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """The critic's features of all levels to mean (B, z) and log standard deviation (B, z) of q(z | x)."""
        h: Tensor | None = None
        for level, merge in zip(features[-HEAD_LEVELS:], self.merge, strict=True):
            size = level.float().square().mean((1, 2, 3), keepdim=True).add(1e-6).sqrt()  # it drifts with the critic
            normal = level / size
            h = F.elu(merge(normal if h is None else torch.cat((normal, h.float()), 1)))
        assert h is not None
        h = F.elu(self.hidden(h.flatten(1)))
        return self.mean(h), self.log_deviation(h).clamp(*LOG_DEVIATION)


class IAN(nn.Module):
    """Critic, inference head and generator."""

    precision = torch.float32  # in which the photo editor draws, see `StillGenerator`

    def __init__(self, config: IANConfig):
        super().__init__()
        self.config = config
        self.critic = Critic(config)
        self.inference = InferenceHead(config)
        self.generator = Generator(config)
        self.register_buffer("metric", torch.eye(config.latent_dim))
        for module in self.generator.modules():
            if isinstance(module, (nn.Conv2d, nn.Linear, MultiscaleDilatedConv)):
                nn.init.orthogonal_(module.weight)
        for module in self.critic.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, SLOPE)
        nn.init.constant_(self.inference.log_deviation.bias, -1.5)

    def encode(self, x: Tensor) -> Tensor:
        """The latents of pictures: the mean of q(z | x). (B, 3, H, W) in [-1, 1] to (B, z)."""
        mean, _ = self._posterior(x)
        return mean

    metric: Tensor  # (z, z): how much a picture changes with its latents, see `measure_metric`

    def measure_metric(self, probes: int = PROBES, seed: int = 0) -> None:
        """Sets `metric` to the mean of J J^T over the prior, J (z, pixels) the slope of G(z); its mean diagonal is 1.

        A step d of the latents changes pictures by d metric d^T in the mean square, but for a factor. For a random sign
        s at every pixel E[(J s)(J s)^T] = J J^T, so that every probe costs one gradient.
        """
        device, draw = self.metric.device, torch.Generator().manual_seed(seed)
        total = torch.zeros_like(self.metric)
        z = torch.randn((probes, len(total)), generator=draw)
        for part in z.split(64):
            leaf = part.to(device).requires_grad_()
            picture = self.generator(leaf)
            signs = torch.randint(0, 2, picture.shape, generator=draw).to(device) * 2.0 - 1.0
            (slopes,) = torch.autograd.grad((picture.float() * signs).sum(), leaf)
            total += slopes.T @ slopes
        self.metric.copy_(total / total.diagonal().mean())

    @torch.no_grad()
    def rebase(self, x: Tensor) -> None:
        """Takes other coordinates for the latents, in which those of the pictures (N, 3, H, W), N > z, have zero mean
        and no correlations, as the prior has. What pictures become is the same as before.

        With z = m + S z', S the symmetric root of the latents' covariance, it changes layers next to the latents only.
        The posterior's deviations keep their mean over the pictures.
        """
        mean, log_deviation = (torch.cat(parts) for parts in zip(*map(self._posterior, x.split(100)), strict=True))
        spread = (2.0 * log_deviation).exp().mean(0)
        values, vectors = torch.linalg.eigh(torch.cov(mean.T, correction=min(1, len(mean) - 1)) + spread.diag())
        root, back = (vectors * values.sqrt()) @ vectors.T, (vectors / values.sqrt()) @ vectors.T
        middle, dense, heads = mean.mean(0), self.generator.dense, self.inference
        dense.bias.add_(dense.weight @ middle)
        dense.weight.copy_(dense.weight @ root)
        heads.mean.bias.copy_(back @ (heads.mean.bias - middle))
        heads.mean.weight.copy_(back @ heads.mean.weight)
        heads.log_deviation.weight.zero_()
        heads.log_deviation.bias.copy_(0.5 * (back.square() @ spread).log())

    def _posterior(self, x: Tensor) -> tuple[Tensor, Tensor]:
        _, features = self.critic(x)
        return self.inference(features)

    def reconstruct(self, x: Tensor) -> Tensor:
        """G(E(x)): (B, 3, H, W) to the same."""
        return self.generator(self.encode(x))


def orthogonality(weights: Sequence[Tensor]) -> Tensor:
    """Orthogonal regularisation (Brock et al., section "Orthogonal Regularization"): sum |W W^T - I|.

    weights: banks of filters (N, ...), W their matrix with the fewer of N and the filter's size as rows, which can all
    be orthogonal. Returns a scalar.
    """
    total = torch.zeros((), device=weights[0].device)
    for bank in weights:
        matrix = bank.flatten(1)
        if matrix.shape[0] > matrix.shape[1]:
            matrix = matrix.T
        identity = torch.eye(matrix.shape[0], device=matrix.device)
        total = total + (matrix @ matrix.T - identity).abs().sum()
    return total
