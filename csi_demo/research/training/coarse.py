"""Fills as the methods draw them, made without running a method: what the refiner learns to start from.

The truth shrunk to the frame of 64 pixels, or that redrawn by the methods' own networks from the whole face or from
the context alone; then softened, shifted in colour, lifted to the hole's edge, with a little noise. Everything happens
on the device of the pictures, and everything random comes from one generator.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ... import weights
from ...models.refiner import enlarge

LATENTS = 128  # noise that is drawn a picture; a network takes as much of it as it has latents
SPREAD = 1.5  # the noise of the posterior, which is as wide as its errors, is scaled by up to this
MOVED, MOVE = 0.5, 1.5  # share of pictures with one latent moved as a slider moves it, and how far (normal)
SOFTEST = 1.0  # of the truth; what networks drew is softened by up to a third of that
SHIFT = 0.08  # standard deviation of a shift of colour, constant or varying over the hole
NOISE = 0.05  # standard deviation, at most
Redraw = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]  # x, mask, uniform noise (B, 3, 64, 64), eps (B, LATENTS)


@dataclass(frozen=True)
class Source:
    """Where a fill comes from. share: of the batch; faith: how far its content is the truth's, 0 to 1."""

    redraw: Redraw | None  # None: the truth itself
    share: float
    faith: float
    whole: bool = False  # whether the network sees the whole face, not the context alone


class CoarseFills(nn.Module):
    """Draws fills (B, 3, 128, 128) for pictures and holes, with the networks of the configured weights.

    csi: a folder of weights to take CSI's from instead; "": from those too. Raises WeightsError.
    """

    def __init__(self, csi: str = ""):
        super().__init__()
        source = Path(csi) if csi else None
        self.csi = weights.load_network("csi", source)
        self.vae = weights.load_network("vae")
        self.one_shot = weights.load_network("vae-oneshot")
        self.dcgan = weights.load_network("dcgan")
        self.eval().requires_grad_(False)
        self.sources = (
            Source(None, 0.3, 1.0),
            Source(self._csi, 0.2, 0.6, whole=True),
            Source(self._csi, 0.3, 0.15),
            Source(self._vae, 0.07, 0.15),
            Source(self._one_shot, 0.07, 0.15),
            Source(self._dcgan, 0.06, 0.15),
        )

    @torch.no_grad()
    def forward(self, truth: Tensor, mask: Tensor, generator: torch.Generator, offset: float) -> tuple[Tensor, Tensor]:
        """truth: (B, 3, 128, 128); mask (B, 1, 128, 128), 1 = observed; offset: 0 to 1, rounds the sources' shares.

        Returns the frame with its fill, enlarged, (B, 3, 128, 128), and how far each follows the truth, (B,).
        """
        count, device = len(truth), truth.device

        def uniform(*shape: int) -> Tensor:
            return torch.rand(count, *shape, generator=generator, device=device)

        def normal(*shape: int) -> Tensor:
            return torch.randn(count, *shape, generator=generator, device=device)

        x = F.avg_pool2d(truth, 2)  # (B, 3, 64, 64)
        context = 1.0 - F.max_pool2d(1.0 - mask, 2)  # a frame pixel is hole where any of it is hole
        noise, eps = uniform(*x.shape[1:]) * 2.0 - 1.0, normal(LATENTS) * SPREAD * uniform(1)
        aim = torch.randint(LATENTS, (count,), generator=generator, device=device)
        moved = normal(1) * MOVE * (uniform(1) < MOVED)
        eps = torch.cat((eps, F.one_hot(aim, LATENTS) * moved), 1)  # (B, 2 LATENTS): noise, then a slider's move
        parts, faith, softest = [], [], []
        edges = np.floor(np.cumsum([0.0, *(source.share for source in self.sources)]) * count + offset).astype(int)
        edges[0], edges[-1] = 0, count
        for source, first, last in zip(self.sources, edges, edges[1:], strict=False):
            rows = slice(int(first), int(last))
            if first == last:
                continue
            drawn = x[rows]
            if source.redraw is not None:
                seen = torch.ones_like(context[rows]) if source.whole else context[rows]
                drawn = source.redraw(drawn, seen, noise[rows], eps[rows]).float()
            parts.append(drawn)
            faith += [source.faith] * len(drawn)
            softest += [SOFTEST if source.redraw is None else SOFTEST / 3.0] * len(drawn)
        fill = torch.cat(parts)
        shift = SHIFT * (normal(3, 1, 1) * (uniform(1, 1, 1) < 0.4) + enlarge_smooth(normal(3, 3, 3)))
        fill = fill + shift * (uniform(1, 1, 1) < 0.6)
        lifted = fill + continued(x - fill, near(context) * context)
        fill = torch.where(uniform(1, 1, 1) < 0.7, lifted, fill)
        soft = _blur(_blur(fill))
        limits = torch.tensor(softest, device=device)[:, None, None, None]
        fill = fill + limits * uniform(1, 1, 1) * (soft - fill)
        fill = fill + NOISE * uniform(1, 1, 1) * (uniform(1, 1, 1) < 0.5) * normal(3, *x.shape[2:])
        frame = context * x + (1.0 - context) * fill.clamp(-1.0, 1.0)
        return enlarge(frame, truth.shape[-1]), torch.tensor(faith, device=device)

    def _csi(self, x: Tensor, mask: Tensor, noise: Tensor, eps: Tensor) -> Tensor:
        posterior = self.csi.encode(x, mask, noise)
        z = posterior.draw(eps[:, : posterior.noise_dim])
        return self.csi.picture(self.csi.decode(z + eps[:, LATENTS : LATENTS + z.shape[1]]))

    def _vae(self, x: Tensor, mask: Tensor, noise: Tensor, eps: Tensor) -> Tensor:
        mean, log_variance = self.vae.encode(x * mask, masked=True)
        return self.vae.decode(mean + torch.exp(0.5 * log_variance) * eps[:, : mean.shape[1]] / SPREAD)

    def _one_shot(self, x: Tensor, mask: Tensor, noise: Tensor, eps: Tensor) -> Tensor:
        return self.one_shot(x * mask, mask, eps[:, : self.one_shot.config.latent_dim] / SPREAD)[0]

    def _dcgan(self, x: Tensor, mask: Tensor, noise: Tensor, eps: Tensor) -> Tensor:
        z = self.dcgan.encoder(x, mask) + 0.05 * eps[:, : self.dcgan.config.latent_dim]
        return self.dcgan.generator(z.clamp(-1.0, 1.0))


def near(mask: Tensor) -> Tensor:
    """1 in the hole and on the observed pixels next to it: (B, 1, H, W) to the same."""
    return F.max_pool2d(1.0 - mask, 3, 1, 1)


def enlarge_smooth(grid: Tensor, size: int = 64) -> Tensor:
    """A few values (B, C, h, w) as a smooth surface (B, C, size, size)."""
    return F.interpolate(grid, size=size, mode="bicubic", align_corners=True)


def _blur(x: Tensor) -> Tensor:
    """A binomial blur of 3x3, standard deviation 0.7 pixels: (B, C, H, W) to the same."""
    for axis in (2, 3):
        before, after = _beside(x, axis)
        x = 0.5 * x + 0.25 * (before + after)
    return x


def _beside(x: Tensor, axis: int) -> tuple[Tensor, Tensor]:
    """Every pixel's neighbours along an axis; the border's is the pixel itself."""
    size = x.shape[axis]
    first, last = x.narrow(axis, 0, 1), x.narrow(axis, size - 1, 1)
    rest, start = x.narrow(axis, 1, size - 1), x.narrow(axis, 0, size - 1)
    return torch.cat((first, start), axis), torch.cat((rest, last), axis)


def continued(values: Tensor, known: Tensor, sweeps: int = 4) -> Tensor:
    """The harmonic continuation of values (B, C, H, W) from where known (B, 1, H, W) is 1, roughly, coarse to fine.

    0 where nothing is known. `blending.membrane` does the same, exactly, for one picture.
    """
    values = values * known
    if values.shape[-1] <= 4:
        mean = values.sum((2, 3), keepdim=True) / known.sum((2, 3), keepdim=True).clamp(min=1e-6)
        result = mean.expand_as(values)
    else:
        weight = F.avg_pool2d(known, 2)
        coarse = F.avg_pool2d(values, 2) / weight.clamp(min=1e-6)
        result = continued(coarse, (weight > 0).to(values.dtype), sweeps)
        result = F.interpolate(result, scale_factor=2.0, mode="bilinear", align_corners=False)
    for _ in range(sweeps):
        result = torch.where(known > 0, values, result)
        result = 0.25 * sum((near for axis in (2, 3) for near in _beside(result, axis)), torch.zeros_like(result))
    return torch.where(known > 0, values, result)
