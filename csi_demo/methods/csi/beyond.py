"""What CSI has here beside its paper: a guide to what the decoder itself would draw, and colour hints."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import torch
from torch import Tensor

from ...models.csi import CSI, Posterior
from ...models.logistic_mixture import Guide
from ..base import keep_observed
from ..fitting import each, lifted, smooth

CRISPER = 0.5  # what a picture gains of its own detail: the product with the stream takes some away
HINT_STEPS, HINT_STEP = 3, 1.0  # down the gradient; the first one's length, in the posterior's standard deviations
FARTHEST = 2.0  # likewise, of any latent that a hint moves
TINTED, TINT_SOFTNESS = 0.8, 1.2  # share of a hint's colour that latents do not reach and paint adds; frame pixels


@torch.inference_mode()
def guidance(
    model: CSI, image: Tensor, mask: Tensor, maps: Tensor, strength: float, hints: Tensor | None = None
) -> Guide:
    """Normal distributions around the decoder's own picture, which every pixel's distribution is multiplied with.

    The stream has learned from true pixels, which tell it so much that it hardly asks the latents; of what it draws
    itself, it should ask more. strength: 1 / the standard deviation. The picture is fitted to the hole's edge first,
    and tinted as hints (1, 4, H, W) say. maps: (n, M, H, W), every row drawn alone.
    """
    pictures = crispened(torch.cat([model.picture(own[None]) for own in maps]))
    fills = lifted(image, mask, pictures)
    if hints is not None:
        fills = tinted(fills, hints)
    return Guide(keep_observed(image, mask, fills), 1.0 / strength)


def crispened(pictures: Tensor) -> Tensor:
    """Pictures (n, 3, H, W), on the CPU, with more of their own detail."""
    return each(pictures, lambda drawn: drawn + CRISPER * (drawn - cv2.GaussianBlur(drawn, (3, 3), 0.7)))


def tinted(pictures: Tensor, hints: Tensor) -> Tensor:
    """Pictures (n, 3, H, W) whose colours go most of the way to those of hints (1, 4, H, W), and keep their detail."""
    colours, share = hints[:, :3], hints[:, 3:]
    around = smooth(share.expand(-1, 3, -1, -1), TINT_SOFTNESS)
    lack = smooth(share * (colours - pictures), TINT_SOFTNESS) / around.clamp(min=1e-3)
    return (pictures + TINTED * around.clamp(max=1.0) * lack).clamp(-1.0, 1.0)


def obeying(
    model: CSI, posterior: Posterior, seen: Sequence[Tensor] | None, z: Tensor, hints: Tensor, held: Sequence[int] = ()
) -> Tensor:
    """Latents (n, z) moved so that the decoder's picture comes near hints (1, 4, H, W) where they are painted.

    Steps down the gradient of the mean squared difference there, in units of the posterior's standard deviation, which
    tells how far a latent may go in this photo, as the Neural Photo Editor's brush does for its model (Brock et al.
    2017). held: latents that stay.
    """
    rows = []
    with torch.inference_mode(False), torch.enable_grad():
        colours, share = hints[:, :3], hints[:, 3:]
        sigma, context = posterior.sigma.clone(), None if seen is None else [level.clone() for level in seen]
        sigma[:, list(held)] = 0.0
        for start in z.clone().split(1):
            moved = torch.zeros_like(start)
            for step in range(HINT_STEPS):
                at = moved.requires_grad_()
                picture = model.picture(model.decode(start + sigma * at, context))
                (slope,) = torch.autograd.grad((share * (picture - colours).square()).sum(), at)
                length = HINT_STEP * (1.0 - step / HINT_STEPS) * len(slope[0]) ** 0.5
                moved = moved.detach() - length * slope / slope.norm().clamp(min=1e-9)
                moved = moved.clamp(-FARTHEST, FARTHEST)
            rows.append(start + sigma * moved)
    return torch.cat(rows).detach()
