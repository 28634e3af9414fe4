"""What a trained CSI's latents do, measured on faces by filling the same hole with them moved.

Traversal is that of CSI, appendix C.1: one latent at a time, the others at their inferred values, the pixel noise
frozen; here the hole is filled with the reverse stream, as a visitor's would be.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from tqdm import tqdm

from ....methods.csi import CSIMethod
from ....methods.csi.controls import GRID
from ....models.logistic_mixture import PAPER_TRUNCATION
from .measures import Measures

EXTREME = 2.5  # a latent's effect is what changes from -2.5 to +2.5
VALUES = (-EXTREME, -EXTREME / 2, 0.0, EXTREME / 2, EXTREME)
ACTIVE = 0.05  # mean change of a hole pixel, of a range of 2, above which a latent counts as used
HOLE = (4, 4, 60, 60)  # the large hole latents are measured in; whole cells of the effect maps' grid

# Parts of the frame that an effect can be said to act in, as boxes (x0, y0, x1, y1).
REGIONS: dict[str, tuple[tuple[int, int, int, int], ...]] = {
    "hair": ((12, 0, 52, 12),),
    "forehead": ((20, 14, 44, 26),),
    "eyes": ((12, 26, 52, 40),),
    "nose": ((25, 34, 39, 46),),
    "cheeks": ((10, 40, 22, 54), (42, 40, 54, 54)),
    "mouth": ((20, 46, 44, 56),),
    "chin": ((20, 56, 44, 64),),
    "background": ((0, 0, 8, 64), (56, 0, 64, 64)),
}
EVERYWHERE = "whole frame"
STANDS_OUT = 1.25  # how much stronger than over the whole frame an effect is where it stands out


@dataclass(frozen=True)
class Effects:
    """What C controls change from their first to their last value, over N faces.

    strength: (C,), mean absolute change of a hole pixel (range of pixels: 2); maps: (C, GRID, GRID), the same by cell
    of the frame, 0 outside the hole; change, error: (C, M), mean change of every
    measure and its standard error.
    """

    strength: np.ndarray
    maps: np.ndarray
    change: np.ndarray
    error: np.ndarray


def traverse(
    method: CSIMethod, image: Tensor, mask: Tensor, latents: Sequence[int], values: Sequence[float], seed: int = 0
) -> Tensor:
    """Fills the hole with each latent set to each value, all else equal: (latents, values, 3, H, W).

    The other latents stay at the posterior mean and every fill has the same noise, truncated as in the paper, so that
    the latent alone differs.
    """
    mean, _ = method.infer(image, mask)
    z = mean.repeat(len(latents) * len(values), 1)
    for row, (latent, value) in enumerate((latent, value) for latent in latents for value in values):
        z[row, latent] = value
    return _filled(method, image, mask, z, seed).unflatten(0, (len(latents), len(values)))


def _filled(method: CSIMethod, image: Tensor, mask: Tensor, z: Tensor, seed: int) -> Tensor:
    *_, (images, _, _) = method.fill(image, mask, z, (seed,) * len(z), PAPER_TRUNCATION)
    return images


def effects(
    draw: Callable[[Tensor, int], Tensor], frames: Tensor, mask: Tensor, measures: Measures, what: str
) -> Effects:
    """Measures controls on faces (N, 3, H, W), N > 1, with a hole (1, 1, H, W).

    draw(image (1, 3, H, W), its number): the hole filled with every control at its low and its high end, (C, 2, 3, H,
    W). what: said on the progress bar.
    """
    hole = mask[0, 0] < 0.5
    maps, changes = [], []
    for number, image in enumerate(tqdm(frames.split(1), desc=what, disable=None)):
        low, high = draw(image, number).unbind(1)
        maps.append((high - low).abs().mean(1))
        before, after = measures.of(torch.cat((low, high)), hole).chunk(2)
        changes.append(after - before)
    change = torch.stack(changes).numpy()  # (N, C, M)
    pixels = torch.stack(maps).mean(0)
    return Effects(
        pixels[:, hole].mean(1).numpy(),
        _cells(pixels, hole),
        change.mean(0),
        change.std(0, ddof=1) / np.sqrt(len(change)),
    )


def monotonic(images: Tensor) -> Tensor:
    """Share of a control's steps that go the way of its whole change: pictures (C, V, 3, H, W), V > 2, to (C,)."""
    whole = (images[:, -1] - images[:, 0]).flatten(1)  # (C, 3 H W)
    steps = images.diff(dim=1).flatten(2)  # (C, V - 1, 3 H W)
    return ((steps @ whole[:, :, None])[..., 0] > 0).float().mean(1)


def _cells(maps: Tensor, hole: Tensor) -> np.ndarray:
    """Maps (C, H, W) as means over the hole's (H, W) share of each cell: (C, GRID, GRID)."""
    side = hole.shape[-1] // GRID
    return (F.avg_pool2d(maps * hole, side) / F.avg_pool2d(hole[None].float(), side).clamp(min=1e-6)).numpy()


def spread_outwards(maps: np.ndarray) -> np.ndarray:
    """Maps (C, GRID, GRID) of the large hole, with the cells around it like those at its edge."""
    side = 64 // GRID
    x0, y0, x1, y1 = (edge // side for edge in HOLE)
    return np.pad(maps[:, y0:y1, x0:x1], ((0, 0), (y0, GRID - y1), (x0, GRID - x1)), mode="edge")


def main_region(cells: np.ndarray, typical: np.ndarray) -> str:
    """The region in which an effect map (GRID, GRID) stands out most from a typical one, or `EVERYWHERE`."""
    side = 64 // GRID
    pixels = np.kron(cells / typical, np.ones((side, side)))
    means = {}
    for name, boxes in REGIONS.items():
        parts = [pixels[y0:y1, x0:x1].ravel() for x0, y0, x1, y1 in boxes]
        means[name] = np.concatenate(parts).mean()
    name = max(means, key=lambda region: means[region])
    return name if means[name] >= STANDS_OUT * pixels.mean() else EVERYWHERE
