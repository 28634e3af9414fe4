"""Fitting what a model drew to the photo around the hole: by Poisson's equation, as Yeh et al. (2017) finish theirs, or
by softening what it draws without knowing."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import cv2
import numpy as np
import torch
from torch import Tensor

from ..photo.blending import poisson
from ..pixels import LUMA
from .base import keep_observed, toggle

BLEND = toggle("blend", "Poisson blending", True, "Fit the fill's colours to the observed pixels around the hole.")
SOFTEN = toggle(
    "soften", "Soft surroundings", True, "Soften what is drawn around the face, where the model knows too little."
)
CALM = toggle(
    "calm", "Calm colours", True, "Hold back colours that the fill adds to those around the hole, once fitted to them."
)
FITTING = (BLEND, CALM, SOFTEN)
FACE, RADII = (36.0, 32.0), (29.0, 20.0)  # of the ellipse that a face fills, rows and columns of the frame
RIM = (0.85, 1.1)  # in radii: from where on pictures are softened, and from where wholly
SOFTNESS = 1.2  # standard deviation of the filter, pixels: most of a weave of four or five is gone then
SEEN = (0.2, 0.4)  # of the face's ellipse: from where on colours are calmed, and from where wholly


def softened(drawn: Tensor) -> Tensor:
    """Pictures (n, 3, 64, 64), on the CPU, with what lies around the face smoothed.

    Trained on deep features, a decoder draws a weave in hair and background, which excites their network as much as
    detail that it cannot foretell; a mean picture holds none there.
    """
    far = ((_from_face(drawn) - RIM[0]) / (RIM[1] - RIM[0])).clamp(0.0, 1.0)
    return torch.lerp(drawn, smooth(drawn, SOFTNESS), far.to(drawn))


def _from_face(pictures: Tensor) -> Tensor:
    """How far pixels are from the middle of the face: (H, W), 1 at the rim of its ellipse."""
    rows, columns = (
        ((torch.arange(size) - middle) / radius).square()
        for size, middle, radius in zip(pictures.shape[2:], FACE, RADII, strict=True)
    )
    return (rows[:, None] + columns).sqrt()


def smooth(pictures: Tensor, deviation: float) -> Tensor:
    """Pictures (n, 3, H, W) under a Gaussian filter of this standard deviation in pixels, borders repeated."""
    side = 2 * math.ceil(3.0 * deviation) + 1
    return each(
        pictures, lambda drawn: cv2.GaussianBlur(drawn, (side, side), deviation, borderType=cv2.BORDER_REPLICATE)
    )


def each(pictures: Tensor, work: Callable[[np.ndarray], np.ndarray]) -> Tensor:
    """Pictures (n, 3, H, W), on the CPU, after some work on every one alone, as an array (H, W, 3)."""
    done = [torch.from_numpy(work(picture.permute(1, 2, 0).contiguous().numpy())) for picture in pictures]
    return torch.stack(done).permute(0, 3, 1, 2)


def lifted(image: Tensor, mask: Tensor, drawn: Tensor) -> Tensor:
    """Pictures (n, 3, H, W) with their own gradients and the image's colours at the hole's edge, in [-1, 1].

    image: (1, 3, H, W), mask: (1, 1, H, W), drawn: (n, 3, H, W), on the CPU.
    """
    photo, hole = image[0].permute(1, 2, 0).numpy(), mask[0, 0].numpy() < 0.5
    return each(drawn, lambda picture: poisson(photo, hole, picture)).clamp(-1.0, 1.0)


def blended(image: Tensor, mask: Tensor, drawn: Tensor) -> Tensor:
    """The image with pictures (n, 3, H, W) in its hole, `lifted`."""
    return keep_observed(image, mask, lifted(image, mask, drawn))


def fit(image: Tensor, mask: Tensor, drawn: Tensor, options: Mapping[str, float], **restraint: float) -> Tensor:
    """The image with pictures (n, 3, H, W) in its hole, as the switches `BLEND` and `CALM` have it.

    restraint: softness and limit of `calmed`, where not its own.
    """
    if not options["blend"]:
        return keep_observed(image, mask, drawn)
    fills = blended(image, mask, drawn)
    return calmed(image, mask, fills, **restraint) if options["calm"] else fills


def calmed(image: Tensor, mask: Tensor, fills: Tensor, *, softness: float = 1.0, limit: float = 0.4) -> Tensor:
    """Fills (n, 3, H, W), `blended`, that add little to the colours that continue those around the hole.

    A generator's brightness says what is there; its colours err sooner, in flecks and patches of a hue that the photo
    does not have. The photo's are those between grey and the colours around the hole, continued harmonically; what of
    the fill's, smoothed, lies beyond, c, becomes c / (1 + |c| / limit). All that only as far as the face is
    seen: a background tells nothing of skin.
    softness: standard deviation of the filter, in pixels. limit: what strong foreign colours tend to, in the pictures'
    units.
    """
    seen = float(mask[..., _from_face(mask) < 1.0].mean())
    share = min(max((seen - SEEN[0]) / (SEEN[1] - SEEN[0]), 0.0), 1.0)
    if not share:
        return fills
    grey = _luma(fills)
    around = blended(image, mask, torch.zeros_like(image))
    around = around - _luma(around)
    own = around + smooth(fills - grey - around, softness)
    reach = (own * around).sum(1, keepdim=True) / around.square().sum(1, keepdim=True).clamp_min(1e-6)
    native = reach.clamp(0.0, 1.0) * around
    beyond = own - native
    beyond = beyond / (1.0 + beyond.norm(dim=1, keepdim=True) / limit)
    calm = (grey + native + beyond).clamp(-1.0, 1.0)
    return keep_observed(image, mask, fills + share * (calm - fills))


def _luma(pictures: Tensor) -> Tensor:
    """Brightness (n, 1, H, W) of pictures (n, 3, H, W), in their range."""
    return (torch.tensor(LUMA)[:, None, None] * pictures).sum(1, keepdim=True)
