"""What CSI has here beside its paper: a guide to what the decoder itself would draw."""

from __future__ import annotations

import cv2
import torch
from torch import Tensor

from ...models.csi import CSI
from ...models.logistic_mixture import Guide
from ..base import keep_observed
from ..fitting import each, lifted

CRISPER = 0.5  # what a picture gains of its own detail: the product with the stream takes some away


@torch.inference_mode()
def guidance(model: CSI, image: Tensor, mask: Tensor, maps: Tensor, strength: float, lift: bool = True) -> Guide:
    """Normal distributions around the decoder's own picture, which every pixel's distribution is multiplied with.

    The stream has learned from true pixels, which tell it so much that it hardly asks the latents; of what it draws
    itself, it should ask more. strength: 1 / the standard deviation; lift: fitted to the hole's edge first. maps:
    (n, M, H, W), every row drawn alone.
    """
    pictures = crispened(torch.cat([model.picture(own[None]) for own in maps]))
    fills = lifted(image, mask, pictures) if lift else pictures.clamp(-1.0, 1.0)
    return Guide(keep_observed(image, mask, fills), 1.0 / strength)


def crispened(pictures: Tensor) -> Tensor:
    """Pictures (n, 3, H, W), on the CPU, with more of their own detail."""
    return each(pictures, lambda drawn: drawn + CRISPER * (drawn - cv2.GaussianBlur(drawn, (3, 3), 0.7)))
