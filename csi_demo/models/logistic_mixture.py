"""Discretised logistic mixture over 8-bit RGB pixels (Salimans et al. 2017, PixelCNN++, section 2.1-2.2).

A pixel's distribution is described by ``10 * K`` numbers for K components, along the channel axis:
K mixture logits, then means, log-scales and channel coefficients as three groups of (3, K).
Values are in [-1, 1], on the 256 levels ``2 k / 255 - 1``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

HALF_STEP = 1.0 / 255.0
MIN_LOG_SCALE = -7.0
LOGISTIC_VARIANCE = math.pi**2 / 3.0  # of scale 1
STEEPEST = 1.0 - 1e-7  # coefficient of a channel on another, where it is turned back into a parameter
PAPER_TRUNCATION = 1.0  # scales that a drawn channel strays from its mean, at most (CSI, appendix A.2)


def channels(components: int) -> int:
    """Number of parameters a pixel needs: K logits and K x 3 means, log-scales and coefficients."""
    return 10 * components


def components(channels: int) -> int:
    """The inverse of `channels`."""
    return channels // 10


def unpack(params: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Splits (..., 10 K) into logits (..., K), means, log-scales and coefficients (..., 3, K).

    Coefficients are squashed to (-1, 1): [0] of red on green, [1] of red on blue, [2] of green on blue.
    """
    count = components(params.shape[-1])
    logits, rest = params.split((count, 9 * count), dim=-1)
    means, log_scales, coefficients = rest.unflatten(-1, (3, 3, count)).unbind(-3)
    return logits, means, log_scales.clamp(min=MIN_LOG_SCALE), torch.tanh(coefficients)


def log_prob(x: Tensor, params: Tensor) -> Tensor:
    """Natural logarithm of the probability of 8-bit pixels.

    x: (..., 3) on the 256 levels in [-1, 1]; params: (..., 10 K). Returns (...), in nats, summed over the channels.

    A level's probability is sigma(a) - sigma(b) with a, b the standardised upper and lower bin edges. It is
    evaluated as sigma(a) * sigma(-b) * (1 - exp(b - a)), exact in floating point at every distance from the mean;
    the lowest and the highest level take the open tails.
    """
    logits, _, _, log_level = _components(x, params)
    return torch.logsumexp(log_level.sum(-2) + F.log_softmax(logits, -1), -1)


def _components(x: Tensor, params: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """What each component gives for pixels (..., 3). These are logits (..., K), and (..., 3, K) means given the
    channels before, inverse scales, and log-probabilities of the channels' levels."""
    logits, means, log_scales, coefficients = unpack(params)
    x = x.unsqueeze(-1)
    red, green = x[..., 0, :], x[..., 1, :]
    means = torch.stack(
        (
            means[..., 0, :],
            means[..., 1, :] + coefficients[..., 0, :] * red,
            means[..., 2, :] + coefficients[..., 1, :] * red + coefficients[..., 2, :] * green,
        ),
        dim=-2,
    )
    inverse_scale = torch.exp(-log_scales)
    centred = x - means
    upper = inverse_scale * (centred + HALF_STEP)
    lower = inverse_scale * (centred - HALF_STEP)
    lowest, highest = x < -1.0 + HALF_STEP, x > 1.0 - HALF_STEP
    width = torch.log(-torch.expm1(-2.0 * HALF_STEP * inverse_scale))
    log_level = (
        torch.where(highest, 0.0, F.logsigmoid(upper))
        + torch.where(lowest, 0.0, F.logsigmoid(-lower))
        + torch.where(lowest | highest, 0.0, width)
    )
    return logits, means, inverse_scale, log_level


def level_log_probs(params: Tensor, before: Tensor) -> Tensor:
    """Log-probabilities (..., 256) of the next channel's levels, given the channels before it (..., C). params: (...,
    10 K); C: 0, 1 or 2. It is the mixture of every component's levels, weighted by how well it explains those channels.
    """
    channel = before.shape[-1]
    x = F.pad(before, (0, 3 - channel))  # what comes later does not enter
    logits, means, inverse_scale, log_level = _components(x, params)
    weights = F.log_softmax(logits + log_level[..., :channel, :].sum(-2), -1)
    edges = (2.0 * torch.arange(255, dtype=params.dtype, device=params.device) + 1.0) / 255.0 - 1.0
    standard = (edges[:, None] - means[..., channel, None, :]) * inverse_scale[..., channel, None, :]  # (..., 255, K)
    upper = F.pad(F.logsigmoid(standard), (0, 0, 0, 1))  # log of the share below a level's upper edge
    lower = F.pad(F.logsigmoid(-standard), (0, 0, 1, 0))  # log of the share above its lower edge
    width = torch.log(-torch.expm1(-2.0 * HALF_STEP * inverse_scale[..., channel, None, :]))
    inside = torch.ones(256, 1, dtype=torch.bool, device=params.device)
    inside[0] = inside[-1] = False
    return torch.logsumexp(weights[..., None, :] + upper + lower + torch.where(inside, width, 0.0), -1)


def entropy(x: Tensor, params: Tensor) -> Tensor:
    """Uncertainty (...) in bits about pixels (..., 3) described by params (..., 10 K), at most 24.

    The sum over the channels of the exact entropy of a channel's 256 levels given the channels of x before it. For x
    drawn from the distribution itself its expectation is the entropy of the whole pixel (chain rule).
    """
    logits, means, inverse_scale, log_level = _components(x, params)
    weights = F.log_softmax(logits, -1)
    edges = (2.0 * torch.arange(255, dtype=params.dtype, device=params.device) + 1.0) / 255.0 - 1.0
    total = torch.zeros_like(weights[..., 0])
    for channel in range(3):
        centred = edges[:, None] - means[..., channel, :].unsqueeze(-2)  # (..., 255, K)
        below = torch.sigmoid(centred * inverse_scale[..., channel, :].unsqueeze(-2))
        share = torch.softmax(weights, -1).unsqueeze(-1)  # of the components, given the channels before
        cumulative = F.pad((below @ share).squeeze(-1), (1, 0))
        cumulative = F.pad(cumulative, (0, 1), value=1.0)
        levels = cumulative.diff(dim=-1).clamp(min=0.0)  # (..., 256)
        total = total - torch.xlogy(levels, levels).sum(-1)
        weights = weights + log_level[..., channel, :]
    return total / math.log(2.0)


def noise(
    generator: torch.Generator, height: int, width: int, components: int, truncation: float = PAPER_TRUNCATION
) -> Tensor:
    """The frozen noise of one sample: (H, W, K + 3), K Gumbel variates for the component and 3 truncated logistic ones.

    Logistic variates are ``logit(u)`` with u uniform in [t, 1 - t], t = 1 / (1 + exp(truncation)), hence within
    +-truncation.
    """
    u = torch.rand((height, width, components + 3), generator=generator, dtype=torch.float64)
    u = u.clamp(1e-12, 1.0 - 1e-12)
    gumbel = -torch.log(-torch.log(u[..., :components]))
    tail = 1.0 / (1.0 + math.exp(truncation))
    logistic = torch.logit(tail + (1.0 - 2.0 * tail) * u[..., components:])
    return torch.cat((gumbel, logistic), -1)


@dataclass(frozen=True)
class Guide:
    """Normal distributions that every pixel's own distribution is multiplied with when it is drawn; see `guided`."""

    towards: Tensor  # (n, 3, H, W), their means
    deviation: float  # their standard deviation, of a range of 2

    def split(self, parts: int) -> list[Guide]:
        """The samples in so many parts, as `torch.tensor_split` has them."""
        return [Guide(some, self.deviation) for some in self.towards.tensor_split(parts)]


def guided(params: Tensor, towards: Tensor, deviation: float) -> Tensor:
    """Mixtures (..., 10 K) multiplied with normal distributions around pixels (..., 3), as mixtures (..., 10 K).

    A component counts as a normal distribution of its own mean m and variance v, so that the product is one of variance
    1 / (1 / v + 1 / deviation^2) between m and `towards`, its weight multiplied by the integral of the product. For
    that weight the channels before are taken to be as wanted.
    """
    logits, means, log_scales, coefficients = unpack(params)
    wanted, variance = towards.unsqueeze(-1), deviation**2
    own = LOGISTIC_VARIANCE * torch.exp(2.0 * log_scales)  # (..., 3, K)
    share = variance / (own + variance)
    _, conditional, _, _ = _components(towards, params)
    evidence = torch.log(share) - (conditional - wanted) ** 2 / (own + variance)
    slopes = coefficients * share[..., (1, 2, 2), :]
    parts = (
        share * means + (1.0 - share) * wanted,
        log_scales + 0.5 * torch.log(share),
        torch.atanh(slopes.clamp(-STEEPEST, STEEPEST)),
    )
    return torch.cat((logits + 0.5 * evidence.sum(-2), *(part.flatten(-2) for part in parts)), -1)


def quantise(x: Tensor) -> Tensor:
    """Nearest of the 256 levels 2 k / 255 - 1."""
    return torch.round((x.clamp(-1.0, 1.0) + 1.0) * 127.5) / 127.5 - 1.0


def sample(params: Tensor, pixel_noise: Tensor) -> Tensor:
    """Draws pixels: params (..., 10 K), pixel_noise (..., K + 3) from `noise`. Returns (..., 3) on the 256 levels.

    The component is the arg-max of logits plus Gumbel noise; each channel is its mean plus scale times truncated
    logistic noise, quantised before the next channel's mean is shifted by it.
    """
    logits, means, log_scales, coefficients = unpack(params)
    components = logits.shape[-1]
    chosen = torch.argmax(logits + pixel_noise[..., :components], -1)
    index = chosen[..., None, None].expand(*chosen.shape, 3, 1)
    mean = means.gather(-1, index).squeeze(-1)
    scale = torch.exp(log_scales.gather(-1, index).squeeze(-1))
    coefficient = coefficients.gather(-1, index).squeeze(-1)
    step = scale * pixel_noise[..., components:]
    red = quantise(mean[..., 0] + step[..., 0])
    green = quantise(mean[..., 1] + coefficient[..., 0] * red + step[..., 1])
    blue = quantise(mean[..., 2] + coefficient[..., 1] * red + coefficient[..., 2] * green + step[..., 2])
    return torch.stack((red, green, blue), -1)
