"""What batches are made of."""

from __future__ import annotations

import torch

from csi_demo.research.training.batches import some_unknown

SHAPE = (4000, 40)


def flags(*shares: float) -> torch.Tensor:
    return some_unknown(SHAPE, *shares[:2], torch.Generator().manual_seed(0), *shares[2:])


def test_attributes_are_unknown_as_often_as_asked_for():
    known = flags(0.2, 0.1)
    assert set(known.unique().tolist()) == {0.0, 1.0}
    shares = known.mean(1)
    assert abs((shares == 0.0).float().mean() - 0.2) < 0.03
    assert abs(shares[shares > 0.0].mean() - 0.9) < 0.01


def test_of_some_faces_only_a_few_are_known():
    shares = flags(0.0, 0.0, 0.4).mean(1)
    seldom = shares < 1.0
    assert abs(seldom.float().mean() - 0.4) < 0.03
    assert abs(shares[seldom].mean() - 0.05) < 0.01
