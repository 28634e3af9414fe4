"""Stage 1 of CSI with a critic and named latents."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from csi_demo.methods.csi.places import REGIONS, SHOWN, TURN
from csi_demo.models.csi import CSIConfig
from csi_demo.research.training.critic import NAMED, Scores, draw_batch, missed, region_masks, shown_table
from csi_demo.research.training.csi import CriticisedCSI, CSIRecipe, CSISettings
from csi_demo.research.training.loop import train

from .test_training import TINY_MODEL, TINY_TRAINING

CPU = torch.device("cpu")
NAMES = ("Smiling", "Eyeglasses", TURN)
CRITICISED = TINY_TRAINING | {"pictures": (16, 8), "critic_weight": 0.3, "critic_width": 4}


def test_a_critic_trains_beside_the_model_and_is_kept_for_later(made_up: Path, tmp_path: Path):
    settings, model = CSISettings(**CRITICISED), TINY_MODEL | {"named": NAMES}
    metrics = train(CSIRecipe(settings, model), made_up, tmp_path / "out", device="cpu")
    assert metrics["training"]["pictures_per_stage"] == {"1": 16, "2": 8}
    row = metrics["training"]["curve"][0]
    assert np.isfinite([row[f"val_{figure}"] for figure in ("l1", "sharpness", "diversity")]).all()
    csi = load_file(tmp_path / "out" / "csi" / "decoder.safetensors")
    critic = load_file(tmp_path / "out" / "critics" / "critic" / "critic.safetensors")
    assert not any(name.startswith("critic.") for name in csi)
    assert critic["levels.0.weight"].shape == (4, 3, 4, 4)
    again = CSIRecipe(settings.replace(start=str(tmp_path / "out")), model).build()
    assert isinstance(again, CriticisedCSI)
    assert torch.equal(again.critic.levels[0].weight.half(), critic["levels.0.weight"])
    assert torch.equal(again.state_dict()["rgb_head.weight"].half(), csi["rgb_head.weight"])


def test_each_player_learns_from_its_own_losses(made_up: Path):
    settings = CSISettings(**CRITICISED)
    recipe = CSIRecipe(settings, TINY_MODEL | {"named": NAMES})
    frames, _ = recipe.read(made_up)
    model = recipe.build()
    step = recipe.step(model, 1, len(frames))
    batch = recipe.batch(model, 1, frames, 4, np.random.default_rng(0))
    terms = step(**(batch | {"penalised": torch.tensor(False)}))
    own = {name: p for name, p in model.named_parameters() if p.requires_grad}

    def reached(*names: str) -> set[str]:
        gradients = torch.autograd.grad(
            sum(terms[name] for name in names), list(own.values()), retain_graph=True, allow_unused=True
        )
        return {
            name.partition(".")[0]
            for name, gradient in zip(own, gradients, strict=True)
            if gradient is not None and gradient.abs().sum() > 0
        }

    assert reached("critic", "scored") == {"critic"}
    taught = reached("fooled", "matched", "seen", "obeyed", "kept", "pixels", "visible")
    assert taught >= {"encoder", "decoder", "rgb_head"}
    assert "critic" not in taught
    assert reached("posterior") == {"encoder"}


def test_scores_are_standardised_and_the_turn_is_odd(packs: Path):
    from csi_demo.data import read_pack
    from csi_demo.pixels import to_float

    frames = read_pack(packs / "val.parquet", 80)
    scores = Scores(("Smiling", "Male", TURN), frames, CPU)
    found, _ = scores(to_float(frames))
    assert found.mean(0).tolist() == pytest.approx([0.0] * 3, abs=0.02)
    assert found.std(0).tolist() == pytest.approx([1.0] * 3, abs=0.02)
    mirrored, _ = scores(to_float(frames).flip(3))
    raw, raw_mirrored = (part[:, 2] * scores.deviation[2] + scores.mean[2] for part in (found, mirrored))
    assert raw.tolist() == pytest.approx((-raw_mirrored).tolist(), abs=1e-3)
    assert (scores.low < 0).all()
    assert (scores.high > 0).all()


def test_what_is_near_enough_is_not_pushed_further():
    score = torch.tensor([1.0, 1.2, 2.0, 9.0], requires_grad=True)
    loss = missed(score, torch.ones(4))
    assert loss[:2].tolist() == [0.0, 0.0]
    loss.sum().backward()
    assert score.grad is not None
    assert score.grad[:2].tolist() == [0.0, 0.0]
    assert 0 < score.grad[2] < score.grad[3] <= 4.0


def test_only_what_a_hole_shows_is_moved(made_up: Path):
    config = CSIConfig(named=NAMED)
    frames = CSIRecipe(CSISettings(), {}).read(made_up)[0]
    batch = draw_batch(frames, 64, torch.Generator().manual_seed(0), np.random.default_rng(0), config, CSISettings())
    assert batch["value"].abs().max() <= 2.6
    masks, kinds = region_masks(CPU)
    table = shown_table(NAMED, CPU)
    for region, (name, (x0, y0, x1, y1)) in enumerate(REGIONS.items()):
        hidden = ~masks[kinds == region, 0]
        middle = hidden[:, (y0 + y1) // 2, (x0 + x1) // 2]
        assert middle.all(), f"a hole for the {name} shows its middle"
        assert table[region].tolist() == [float(name in SHOWN[attribute]) for attribute in NAMED]
    assert table[-1].sum() == 0
    shown = batch["shown"] > 0
    assert shown.any()
    assert not shown.all()
