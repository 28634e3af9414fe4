"""Training the harmoniser: the pictures that it starts from, and what it learns."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from csi_demo import masks, weights
from csi_demo.models.refiner import Refiner, RefinerConfig, RefinerTraining
from csi_demo.pixels import masks_to_tensor, to_float
from csi_demo.training.harmoniser import (
    FAITH,
    JITTER,
    SHARES,
    HarmoniserRecipe,
    HarmoniserSettings,
    HarmoniserStep,
    hole,
    lifted,
    recut,
)
from csi_demo.training.loop import train
from csi_demo.training.refiner import paste

TINY = {"channels": (4, 4), "critic_channels": (4, 4, 4)}
SETTINGS = HarmoniserSettings(pictures=(8, 8), batch=4, warmup=4, val_pictures=4, bf16=False)


def test_it_trains_and_is_exported(made_up: Path, tmp_path: Path):
    recipe = HarmoniserRecipe(SETTINGS, TINY)
    metrics = train(recipe, made_up, tmp_path / "out", device="cpu")
    assert metrics["training"]["pictures_per_stage"] == {"1": 8, "2": 8}
    last = metrics["training"]["curve"][-1]
    named = ["train_loss", "train_deep", "train_seen", *(f"val_l1_{name}" for name in ("left", "top", "bottom"))]
    assert np.isfinite([last[name] for name in named]).all()
    assert 0.0 < last["val_sharpness"] < 2.0
    back = weights.load_into("harmoniser", Refiner(recipe.config), tmp_path / "out")
    assert back.config.mirrored


def test_pictures_of_the_whole_face_are_nearer_to_it_than_those_of_its_context(made_up: Path):
    recipe = HarmoniserRecipe(SETTINGS, TINY)
    frames, _ = recipe.read(made_up)
    truth = to_float(frames[:4])
    mask = masks_to_tensor([masks.family("left")] * len(truth))
    drawn, faith = {}, {}
    for whole in (0, len(truth)):
        drawn[whole], faith[whole] = recipe.coarse(truth, mask, torch.Generator().manual_seed(0), whole)
        assert drawn[whole].shape == truth.shape
        assert drawn[whole].abs().max() <= 1.0
    assert torch.equal(faith[0], torch.full((len(truth),), FAITH))
    assert torch.equal(faith[len(truth)], torch.ones(len(truth)))
    apart = {whole: float(((picture - truth) * (1.0 - mask)).abs().mean()) for whole, picture in drawn.items()}
    assert apart[len(truth)] < apart[0]
    again, _ = recipe.coarse(truth, mask, torch.Generator().manual_seed(0), 0)
    assert torch.equal(drawn[0], again)


def test_holes_are_mostly_large_and_reach_the_border_where_they_should():
    rng = np.random.default_rng(0)
    holes = [~hole(rng) for _ in range(400)]
    wide = [int(one.any(0).sum()) for one in holes if one.any(0).sum() == one.all(0).sum()]  # from top to bottom
    halves = [width for width in wide if abs(width - masks.FRAME // 2) <= JITTER]
    assert abs(len(halves) / len(holes) - SHARES["left"] - SHARES["right"]) < 0.1
    assert len(set(halves)) > JITTER
    assert np.mean([one.mean() for one in holes]) > 0.25
    assert all(one.any() for one in holes)


def test_pictures_meet_the_photo_at_the_edge():
    truth = torch.zeros(1, 3, 64, 64)
    mask = masks_to_tensor([masks.family("left")])
    met = lifted(truth, mask, truth + 0.5)
    assert met[..., :32].abs().max() < 0.05  # of another colour all over: that is all taken off


def test_frames_are_cut_otherwise_by_little_and_some_stay():
    x = torch.linspace(-1.0, 1.0, 64).expand(64, 3, 64, 64)
    cut = recut(x, torch.Generator().manual_seed(0))
    apart = (cut - x).abs().amax((1, 2, 3))
    assert 0.1 < float((apart < 1e-3).float().mean()) < 0.7
    assert float((cut - x)[:, :, 24:40, 24:40].abs().mean()) < 0.15


def test_it_learns_to_go_on_from_the_mirrored_half():
    """What lies under the hole is the mirror image of what is seen; the picture to start from says nothing."""
    torch.manual_seed(0)
    config = RefinerConfig(channels=(8, 8), blocks=1, mirrored=True, critic_channels=(4, 4, 4))
    model = RefinerTraining(config)
    step = HarmoniserStep(model, SETTINGS, adversarial=False)
    optimiser = torch.optim.Adam(model.refiner.parameters(), 3e-3)
    mask = masks_to_tensor([masks.family("left")] * 4)
    draw = torch.Generator().manual_seed(0)

    def scene() -> torch.Tensor:
        colour = torch.rand(4, 3, 4, 4, generator=draw) * 2.0 - 1.0
        half = torch.nn.functional.interpolate(colour, size=(64, 32))
        return torch.cat((half.flip(3), half), 3)

    def apart(truth: torch.Tensor) -> float:
        with torch.no_grad():
            filled = paste(truth, mask, model.refiner(truth, mask, torch.zeros_like(truth)))
        return float((filled - truth).abs().mean())

    first = apart(scene())
    for _ in range(60):
        truth = scene()
        loss = step(truth, mask, torch.zeros_like(truth), torch.ones(4))["loss"]
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert apart(scene()) < 0.4 * first
