"""Classifier two-sample test (Lopez-Paz and Oquab 2017): how well a small network tells filled from real faces."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...models.logistic_mixture import quantise

FEWEST = 8  # pictures
MARGIN = 6  # pixels around a hole that are shown, too
STEPS, BATCH = 400, 64
RATE, DECAY = 2e-3, 0.05


class Detector(nn.Module):
    """Logit (B,) that a view (B, 7, h, w) of `views` is of a filled hole: a small convnet, trained from scratch."""

    CHANNELS = (24, 36, 54, 80)

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        inputs, stride = 7, 1
        for outputs in self.CHANNELS:
            layers += [nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()]
            inputs, stride = outputs, 2
        self.layers = nn.Sequential(*layers)
        self.dropout = nn.Dropout(0.3)
        self.head = nn.Linear(2 * inputs, 1)

    def forward(self, view: Tensor) -> Tensor:
        h = self.layers(view)
        pooled = torch.cat((h.mean((2, 3)), h.amax((2, 3))), 1)  # (B, 2 C)
        return self.head(self.dropout(pooled))[:, 0]


def c2st(images: Tensor, fills: Tensor, masks: Tensor, seed: int = 0) -> dict[str, float]:
    """Area under the ROC curve of a detector of fills, and its standard error.

    images: (N, 3, H, W) in [-1, 1]; fills: (N, k, 3, H, W), of the same pictures; masks: (N, 1, H, W), 1 = observed.
    The detector learns from a random half of the pictures, all their fills as often as the originals, and is scored on
    the first fill of each of the others against the originals. 0.5: it cannot tell; 1: it always can. The error is
    that of the scored pictures, not of training again. N is at least `FEWEST`.
    """
    rng = np.random.default_rng(seed)
    learned, scored = np.array_split(rng.permutation(len(images)), 2)
    near = F.max_pool2d(1.0 - masks, 2 * MARGIN + 1, 1, MARGIN)  # the holes and their margins
    rows, columns = (near.amax((0, 1, axis)).nonzero().flatten() for axis in (3, 2))
    window = (..., slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1))
    real = views(images, masks, near)[window]
    drawn = torch.stack([views(quantise(some), masks, near)[window] for some in fills.unbind(1)], 1)
    detector = _trained(real[learned], drawn[learned], rng)
    with torch.no_grad():
        return auc(detector(drawn[scored, 0]).numpy(), detector(real[scored]).numpy())


def views(images: Tensor, masks: Tensor, near: Tensor) -> Tensor:
    """What the detector sees (B, 7, H, W): colours and fine detail near the hole, and the mask."""
    detail = images - F.avg_pool2d(F.pad(images, (1, 1, 1, 1), mode="reflect"), 3, 1)
    return torch.cat((images * near, 4.0 * detail * near, 2.0 * masks - 1.0), 1)


def _trained(real: Tensor, drawn: Tensor, rng: np.random.Generator) -> Detector:
    """A detector in eval mode, of views of originals (n, 7, h, w) and of fills (n, k, 7, h, w)."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(rng.integers(2**62)))
        detector = Detector()
        optimiser = torch.optim.AdamW(detector.parameters(), RATE, weight_decay=DECAY)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, total_steps=STEPS)
        target = torch.cat((torch.zeros(BATCH // 2), torch.ones(BATCH // 2)))
        for _ in range(STEPS):
            one, other = rng.integers(0, len(real), (2, BATCH // 2))
            batch = torch.cat((real[one], drawn[other, rng.integers(0, drawn.shape[1], BATCH // 2)]))
            mirrored = torch.from_numpy(rng.random(BATCH) < 0.5)
            logit = detector(torch.where(mirrored[:, None, None, None], batch.flip(3), batch))
            optimiser.zero_grad()
            F.binary_cross_entropy_with_logits(logit, target).backward()
            optimiser.step()
            schedule.step()
    return detector.eval()


def auc(positive: np.ndarray, negative: np.ndarray) -> dict[str, float]:
    """Area under the ROC curve of scores (n,) and (n,), ties counting half, and its standard error.

    The k-th scores of both are of the same picture: the error is DeLong's for such pairs (Obuchowski 1997).
    """
    above = (positive[:, None] > negative).astype(float) + 0.5 * (positive[:, None] == negative)
    area = above.mean()
    parts = above.mean(1) + above.mean(0) - 2.0 * area  # what each picture adds, as fill and as original
    return {"c2st": float(area), "c2st_error": float(parts.std(ddof=1) / len(parts) ** 0.5)}
