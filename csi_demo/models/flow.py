"""A conditional normalising flow over CSI's latents: a posterior q(z | x * m, m) that may have several modes.

Half-hidden glasses are glasses or none; one normal distribution draws something in between. The flow is fitted to
latents of whole faces once encoder and decoder are fixed, as Posterior Matching (Strauss and Oliva 2022) does it, with
affine coupling layers (RealNVP, Dinh et al. 2017, section 3) that see the encoder's features of the context.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

BOUND = 2.0  # of a layer's logarithm of scale


class Coupling(nn.Module):
    """One half of the values scales and shifts the other half."""

    def __init__(self, dims: int, condition: int, hidden: int):
        super().__init__()
        self.kept = dims // 2
        last = nn.Linear(hidden, 2 * (dims - self.kept))
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        first, second = nn.Linear(self.kept + condition, hidden), nn.Linear(hidden, hidden)
        self.net = nn.Sequential(first, nn.ELU(), second, nn.ELU(), last)

    def _scale_and_shift(self, kept: Tensor, condition: Tensor) -> tuple[Tensor, Tensor]:
        scale, shift = self.net(torch.cat((kept, condition), 1)).chunk(2, 1)
        return BOUND * torch.tanh(scale / BOUND), shift

    def forward(self, u: Tensor, condition: Tensor) -> tuple[Tensor, Tensor]:
        """u (B, D) one step towards noise, and the logarithm of the determinant (B,)."""
        kept, moved = u[:, : self.kept], u[:, self.kept :]
        scale, shift = self._scale_and_shift(kept, condition)
        return torch.cat((kept, (moved - shift) * torch.exp(-scale)), 1), -scale.sum(1)

    def inverse(self, u: Tensor, condition: Tensor) -> Tensor:
        """u (B, D) one step from noise towards latents."""
        kept, moved = u[:, : self.kept], u[:, self.kept :]
        scale, shift = self._scale_and_shift(kept, condition)
        return torch.cat((kept, moved * torch.exp(scale) + shift), 1)


class LatentFlow(nn.Module):
    """Latents as deviations from the encoder's mean, in its standard deviations, to standard normal noise and back."""

    orders: Tensor  # (layers, D), which value goes where before each layer

    def __init__(self, dims: int, features: int, layers: int, hidden: int = 192, condition: int = 128):
        super().__init__()
        self.dims = dims
        self.enter = nn.Sequential(
            nn.Linear(features + 4 * dims, 2 * condition), nn.ELU(), nn.Linear(2 * condition, condition), nn.ELU()
        )
        self.layers = nn.ModuleList(Coupling(dims, condition, hidden) for _ in range(layers))
        generator = torch.Generator().manual_seed(0)
        orders = [torch.randperm(dims, generator=generator) for _ in range(layers)]
        self.register_buffer("orders", torch.stack(orders), persistent=False)

    def condition(self, features: Tensor, mean: Tensor, sigma: Tensor, given: Tensor, flags: Tensor) -> Tensor:
        """What every layer sees: the encoder's features (B, F), mean and standard deviation (B, D), and the values of
        those latents that are given (B, D), where flags (B, D) are 1."""
        return self.enter(torch.cat((features, mean, sigma.log(), given * flags, flags), 1))

    def log_prob(self, u: Tensor, condition: Tensor) -> Tensor:
        """Natural logarithm of the density at deviations u (B, D), up to a constant: (B,)."""
        total = u.new_zeros(len(u))
        for layer, order in zip(self.layers, self.orders, strict=True):
            u, determinant = layer(u[:, order], condition)
            total = total + determinant
        return total - 0.5 * u.square().sum(1)

    def draw(self, noise: Tensor, condition: Tensor) -> Tensor:
        """Deviations (B, D) for standard normal noise (B, D)."""
        u = noise
        layers = cast("list[Coupling]", list(self.layers))
        for layer, order in zip(layers[::-1], self.orders.flip(0), strict=True):
            u = layer.inverse(u, condition)[:, order.argsort()]
        return u
