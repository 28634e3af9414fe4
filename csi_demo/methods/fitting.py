"""Fitting what a model drew to the photo around the hole: by Poisson's equation, as Yeh et al. (2017) finish theirs, or
by softening what it draws without knowing."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ..photo.blending import poisson
from .base import keep_observed, toggle

BLEND = toggle("blend", "Poisson blending", True, "Fit the fill's colours to the observed pixels around the hole.")
SOFTEN = toggle(
    "soften", "Soft surroundings", True, "Soften what is drawn around the face, where the model knows too little."
)
FACE, RADII = (36.0, 32.0), (29.0, 20.0)  # of the ellipse that a face fills, rows and columns of the frame
RIM = (0.85, 1.1)  # in radii: from where on pictures are softened, and from where wholly
SOFTNESS = 1.2  # standard deviation of the filter, pixels: most of a weave of four or five is gone then


def softened(drawn: Tensor) -> Tensor:
    """Pictures (n, 3, 64, 64) with what lies around the face smoothed.

    Trained on deep features, a decoder draws a weave in hair and background, which excites their network as much as
    detail that it cannot foretell; a mean picture holds none there.
    """
    steps = torch.arange(-4.0, 5.0, device=drawn.device)
    taps = torch.exp(-steps.square() / (2.0 * SOFTNESS**2))
    across = (taps / taps.sum()).to(drawn)[None, None, None]
    single = F.pad(drawn.flatten(0, 1)[:, None], (4, 4, 4, 4), mode="replicate")
    smooth = F.conv2d(F.conv2d(single, across), across.mT)[:, 0].unflatten(0, drawn.shape[:2])
    rows, columns = (
        ((torch.arange(size, device=drawn.device) - middle) / radius).square()
        for size, middle, radius in zip(drawn.shape[2:], FACE, RADII, strict=True)
    )
    distance = (rows[:, None] + columns).sqrt()  # (H, W), 1: at the rim
    far = ((distance - RIM[0]) / (RIM[1] - RIM[0])).clamp(0.0, 1.0)
    return torch.lerp(drawn, smooth, far.to(drawn))


def blended(image: Tensor, mask: Tensor, drawn: Tensor) -> Tensor:
    """Pictures (n, 3, H, W) with the fill's gradients inside the hole and the image's own pixels around it.

    image: (1, 3, H, W), mask: (1, 1, H, W), drawn: (n, 3, H, W), on the CPU.
    """
    photo, hole = image[0].permute(1, 2, 0).numpy(), mask[0, 0].numpy() < 0.5
    fills = [torch.from_numpy(poisson(photo, hole, picture.permute(1, 2, 0).numpy())) for picture in drawn]
    return keep_observed(image, mask, torch.stack(fills).permute(0, 3, 1, 2).clamp(-1.0, 1.0))
