"""Where a head turns, learned from mirrored pairs.

What the face network sees in a picture minus what it sees in its mirror image is odd under mirroring by construction;
the first principal component of these differences is how faces differ from their mirror images most.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .features import face_network


def odd_features(images: Tensor) -> Tensor:
    """The last but one level's activations of pictures (n, 3, H, W) minus those of their mirror images: (n, C h w)."""
    network = face_network()
    return (network.activations(images)[-2] - network.activations(images.flip(3))[-2]).flatten(1)


@torch.no_grad()
def turning_axis(frames: Tensor) -> Tensor:
    """The axis (C h w,) of `odd_features` along which faces (N, 3, 64, 64) differ most from their mirror images. What
    lies along it has a standard deviation of 1 over these faces."""
    odd = torch.cat([odd_features(part) for part in frames.split(100)])
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(0)  # of the randomised decomposition
        _, _, axes = torch.pca_lowrank(odd, min(2, len(odd)), center=False, niter=6)
    along = odd @ axes[:, 0]
    spread = float(along.std() if len(along) > 1 else along.abs()[0])
    return axes[:, 0] / (spread or 1.0)  # 0: of one face that is its own mirror image
