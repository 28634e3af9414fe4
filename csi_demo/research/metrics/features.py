"""What the trained face networks see in pictures."""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
from torch import Tensor

from ... import weights
from ...methods.attributes import face_network
from ...models.attributes import AttributeNet


@cache
def judge_network() -> AttributeNet:
    """The second face network, of other people and another shape, that no training saw, loaded once. Raises
    WeightsError."""
    return weights.load_network("judge")


@torch.inference_mode()
def features(network: AttributeNet, images: Tensor) -> np.ndarray:
    """What a network sees in pictures (N, 3, 64, 64) in [-1, 1]: (N, C), float64."""
    network = network.to(images.device)
    return torch.cat([network.features(part).float().cpu() for part in images.split(100)]).double().numpy()


def face_features(images: Tensor) -> np.ndarray:
    """What the face network sees, as `features` has it."""
    return features(face_network(), images)
