"""What is kept of photos and their holes: for a while, and without the photo."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from csi_demo.methods import recent


def test_what_was_not_used_lately_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[Tensor] = []

    def work(image: Tensor, mask: Tensor) -> int:
        calls.append(mask)
        return len(calls)

    kept = recent.Recent(work)
    image, mask = torch.zeros(1, 3, 8, 8), torch.ones(1, 1, 8, 8)
    assert [kept(image, mask), kept(image, mask), kept(image + 1.0, mask)] == [1, 1, 2]
    kept.forget(1000.0)
    assert kept(image, mask) == 1
    monkeypatch.setattr(recent, "SECONDS_KEPT", 0.0)
    recent.sweep()
    assert kept(image, mask) == 3
    for number in range(recent.KEPT + 4):
        kept(image + float(number), mask)
    assert len(kept._kept) == recent.KEPT
    assert all(len(key) == 32 for key in kept._kept)  # a digest, not the photo
