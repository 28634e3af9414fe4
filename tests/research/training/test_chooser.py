"""Training the chooser: the fills that it learns from, and what it learns."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from csi_demo import masks, weights
from csi_demo.models.chooser import Chooser, ChooserConfig
from csi_demo.pixels import masks_to_tensor, to_float
from csi_demo.research.training.chooser import ChooserRecipe, ChooserSettings, ChooserStep, cross_entropy, preferred
from csi_demo.research.training.loop import train

TINY = {"width": 4}
SETTINGS = ChooserSettings(pictures=(16,), batch=8, warmup=8, val_pictures=4, bf16=False)


def test_it_trains_and_is_exported(made_up: Path, tmp_path: Path):
    recipe = ChooserRecipe(SETTINGS, TINY)
    metrics = train(recipe, made_up, tmp_path / "out", device="cpu")
    assert metrics["training"]["pictures_per_stage"] == {"1": 16}
    last = metrics["training"]["curve"][-1]
    assert np.isfinite([last[name] for name in ("train_loss", "val_loss")]).all()
    kinds = [f"val_{kind}_{name}" for kind in ("true", "whole") for name in ("mouth", "eyes", "center", "left")]
    assert all(0.0 <= last[kind] <= 1.0 for kind in kinds)
    assert isinstance(weights.load_into("chooser", Chooser(recipe.config), tmp_path / "out"), Chooser)


def test_a_face_is_filled_from_all_of_it_and_from_its_context_and_nothing_else_changes(made_up: Path):
    recipe = ChooserRecipe(SETTINGS, TINY)
    frames, _ = recipe.read(made_up)
    x, mask = to_float(frames[:3]), masks_to_tensor([masks.family(name) for name in ("mouth", "left", "eyes")])
    rebuilt, drawn = recipe.fills(x, mask, torch.Generator().manual_seed(0))
    seen = (mask > 0.5).expand_as(x)
    for filled in (rebuilt, drawn):
        assert torch.equal(filled[seen], x[seen])
        assert filled.abs().max() <= 1.0
    apart = [(fill - x)[~seen].abs().mean() for fill in (rebuilt, drawn)]
    assert 0.0 < apart[0] < apart[1]  # who sees the whole face is nearer to it
    again = recipe.fills(x, mask, torch.Generator().manual_seed(0))
    assert torch.equal(rebuilt, again[0])
    assert torch.equal(drawn, again[1])


def test_it_learns_to_prefer_what_comes_from_the_face():
    torch.manual_seed(0)
    model = Chooser(ChooserConfig(**TINY))
    step, optimiser = ChooserStep(model), torch.optim.Adam(model.parameters(), 3e-3)
    mask = masks_to_tensor([masks.family("center")]).expand(16, -1, -1, -1)
    skin = torch.rand(16, 3, 1, 1).expand(-1, -1, 64, 64) * 2.0 - 1.0

    def pictures() -> torch.Tensor:  # true and redrawn skin goes on as around the hole; the draw's is another's
        drawn = torch.where(mask > 0.5, skin, skin.roll(1, 0))
        return torch.stack([fill + 0.03 * torch.randn_like(fill) for fill in (skin, skin, drawn)])

    first = step(pictures(), mask)
    for _ in range(60):
        loss = step(pictures(), mask)["loss"]
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    model.eval()
    last = step(pictures(), mask)
    assert min(last["true"], last["whole"]) > 0.9
    assert last["loss"] < 0.5 * first["loss"]


def test_it_has_no_idea_at_first_and_says_how_sure_it_is():
    assert float(cross_entropy(torch.zeros(3, 1, 2))) == pytest.approx(4.0 * np.log(2.0))
    sure = torch.tensor([9.0, 9.0, -9.0])[:, None, None].expand(3, 1, 2)
    assert float(cross_entropy(sure)) < 0.001
    assert preferred(sure).tolist() == [[1.0, 1.0]]
    assert preferred(-sure).tolist() == [[0.0, 0.0]]
