from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from csi_demo.models.ian import IAN, IANConfig

TINY = {"generator_channels": (12, 8, 8, 6, 6), "critic_channels": (6, 8, 8, 8), "head_channels": (6, 6, 6)}


@pytest.fixture(scope="session")
def network() -> IAN:
    """A small IAN with random weights, whose pictures answer to their latents."""
    torch.manual_seed(0)
    model = IAN(IANConfig(latent_dim=8, head_hidden=12, **TINY))
    with torch.no_grad():
        model.generator.train()(torch.randn(64, 8))  # running statistics of its batch normalisation
    model.eval().requires_grad_(False).measure_metric(probes=64)
    return model


@pytest.fixture(scope="session")
def picture() -> Image.Image:
    """A made-up photo of 300x200 pixels with fine detail."""
    rng = np.random.default_rng(1)
    coarse = Image.fromarray(rng.integers(60, 200, (8, 12, 3), dtype=np.uint8)).resize(
        (300, 200), Image.Resampling.BICUBIC
    )
    return Image.fromarray(
        (np.asarray(coarse).astype(int) + rng.integers(-9, 10, (200, 300, 3))).clip(0, 255).astype(np.uint8)
    )
