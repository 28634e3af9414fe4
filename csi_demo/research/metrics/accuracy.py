"""How well attributes are recognised."""

from __future__ import annotations

import torch
from torch import Tensor


def balanced_accuracy(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean of the shares of present and of absent attributes that are recognised: (N, A), (N, A) to (A,).

    An attribute that all or none of the faces have counts by the one share that there is.
    """
    right = ((logits > 0) == (labels > 0.5)).float()
    shares = torch.stack([(right * of).sum(0) / of.sum(0) for of in (labels, 1.0 - labels)])
    return shares.nanmean(0)
