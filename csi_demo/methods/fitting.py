"""Fitting what a model drew to the photo around the hole: by Poisson's equation, as Yeh et al. (2017) finish theirs, or
by softening what it draws without knowing."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from ..photo.blending import poisson
from ..pixels import LUMA
from .base import keep_observed, toggle

BLEND = toggle("blend", "Poisson blending", True, "Fit the fill's colours to the observed pixels around the hole.")
SOFTEN = toggle(
    "soften", "Soft surroundings", True, "Soften what is drawn around the face, where the model knows too little."
)
CALM = toggle(
    "calm", "Calm colours", True, "Hold back the colours that the fill adds to those around the hole (when blended)."
)
FACE, RADII = (36.0, 32.0), (29.0, 20.0)  # of the ellipse that a face fills, rows and columns of the frame
RIM = (0.85, 1.1)  # in radii: from where on pictures are softened, and from where wholly
SOFTNESS = 1.2  # standard deviation of the filter, pixels: most of a weave of four or five is gone then
COLOUR_SOFTNESS = 1.5  # standard deviation of the filter of added colours, pixels
COLOUR_SHARE, COLOUR_LIMIT = 0.8, 0.3  # of added colours: what is kept of faint ones, and what strong ones tend to


def softened(drawn: Tensor) -> Tensor:
    """Pictures (n, 3, 64, 64) with what lies around the face smoothed.

    Trained on deep features, a decoder draws a weave in hair and background, which excites their network as much as
    detail that it cannot foretell; a mean picture holds none there.
    """
    smooth = _smooth(drawn, SOFTNESS)
    rows, columns = (
        ((torch.arange(size, device=drawn.device) - middle) / radius).square()
        for size, middle, radius in zip(drawn.shape[2:], FACE, RADII, strict=True)
    )
    distance = (rows[:, None] + columns).sqrt()  # (H, W), 1: at the rim
    far = ((distance - RIM[0]) / (RIM[1] - RIM[0])).clamp(0.0, 1.0)
    return torch.lerp(drawn, smooth, far.to(drawn))


def _smooth(pictures: Tensor, deviation: float) -> Tensor:
    """Pictures (n, 3, H, W) under a Gaussian filter of this standard deviation in pixels, borders repeated."""
    reach = math.ceil(3.0 * deviation)
    steps = torch.arange(-float(reach), reach + 1.0, device=pictures.device)
    taps = torch.exp(-steps.square() / (2.0 * deviation**2))
    across = (taps / taps.sum()).to(pictures)[None, None, None]
    single = F.pad(pictures.flatten(0, 1)[:, None], (reach, reach, reach, reach), mode="replicate")
    return F.conv2d(F.conv2d(single, across), across.mT)[:, 0].unflatten(0, pictures.shape[:2])


def blended(image: Tensor, mask: Tensor, drawn: Tensor) -> Tensor:
    """Pictures (n, 3, H, W) with the fill's gradients inside the hole and the image's own pixels around it.

    image: (1, 3, H, W), mask: (1, 1, H, W), drawn: (n, 3, H, W), on the CPU.
    """
    photo, hole = image[0].permute(1, 2, 0).numpy(), mask[0, 0].numpy() < 0.5
    fills = [torch.from_numpy(poisson(photo, hole, picture.permute(1, 2, 0).numpy())) for picture in drawn]
    return keep_observed(image, mask, torch.stack(fills).permute(0, 3, 1, 2).clamp(-1.0, 1.0))


def calmly_blended(image: Tensor, mask: Tensor, drawn: Tensor) -> Tensor:
    """As `blended`, but of colours the fill adds little to those that are continued from around the hole.

    A generator's brightness says what is there; its colours err sooner, in patches of a hue that the photo does not
    have. Added colours c are smoothed and become s c / (1 + |s c| / l), s and l being COLOUR_SHARE and COLOUR_LIMIT.
    """
    weights = torch.tensor(LUMA, device=drawn.device)[:, None, None]
    grey = (weights * drawn).sum(1, keepdim=True).expand_as(drawn)
    plain, coloured = blended(image, mask, grey), blended(image, mask, drawn)
    added = COLOUR_SHARE * _smooth(coloured - plain, COLOUR_SOFTNESS)
    added = added / (1.0 + added.norm(dim=1, keepdim=True) / COLOUR_LIMIT)
    return keep_observed(image, mask, (plain + added).clamp(-1.0, 1.0))
