"""Training the CSI that is shipped: its stages, faces and losses."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from csi_demo.methods.csi.places import REGIONS, TURN
from csi_demo.models.csi import CSI
from csi_demo.research.training import context, posterior
from csi_demo.research.training.faces import FacePool, favoured, hole_pool
from csi_demo.research.training.loop import train
from csi_demo.research.training.seeing import SeeingCSI, SeeingRecipe, SeeingSettings

from .test_training import TINY_MODEL, TINY_TRAINING

FOUR = TINY_TRAINING | {"pictures": (8, 8, 8, 8), "learning_rate": (1e-3,) * 4, "batch": 8, "critic_width": 4}
MODEL = TINY_MODEL | {"named": ("Smiling", "Eyeglasses", TURN), "context_channels": (4, 4, 6, 6, 8), "flow_layers": 2}


@pytest.fixture
def recipe(made_up: Path) -> tuple[SeeingRecipe, SeeingCSI]:
    recipe = SeeingRecipe(SeeingSettings(**FOUR), MODEL)
    recipe.read(made_up)
    model = recipe.build()
    assert isinstance(model, SeeingCSI)
    return recipe, model


def learned(model: CSI, before: dict[str, torch.Tensor]) -> set[str]:
    now = model.state_dict()
    return {name.partition(".")[0] for name, tensor in before.items() if not torch.equal(tensor, now[name])}


def test_four_stages_one_after_the_other_and_on_from_their_weights(made_up: Path, tmp_path: Path):
    metrics = train(SeeingRecipe(SeeingSettings(**FOUR), MODEL), made_up, tmp_path, device="cpu")
    assert metrics["training"]["pictures_per_stage"] == {"1": 8, "2": 8, "3": 8, "4": 8}
    rows = {row["stage"]: row for row in metrics["training"]["curve"]}
    assert np.isfinite([rows[2]["val_nats"], rows[3]["val_l1"], rows[4]["val_bits"]]).all()
    assert {file.stem for file in (tmp_path / "csi").glob("*.safetensors")} == {
        "encoder",
        "decoder",
        "context",
        "flow",
        "pixelcnn",
    }
    later = SeeingRecipe(SeeingSettings(**(FOUR | {"pictures": (0, 0, 8, 0)}), start=str(tmp_path)), MODEL)
    assert train(later, made_up, tmp_path / "on", device="cpu")["training"]["pictures_per_stage"]["3"] == 8


@pytest.mark.parametrize(("stage", "own"), [(2, {"flow", "encoder"}), (3, {"context", "masked_critic"})])
def test_a_stage_moves_only_what_it_trains(recipe: tuple[SeeingRecipe, SeeingCSI], stage: int, own: set[str]):
    training, model = recipe
    step = training.step(model, stage, 8).train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    optimiser = torch.optim.Adam(training.groups(model, stage), 1e-2)
    training.seen = 10**6
    for number in range(2):
        terms = step(**training.batch(model, stage, training.frames, 8, np.random.default_rng(number)))
        terms["loss"].backward()
        optimiser.step()
        optimiser.zero_grad()
    assert learned(model, before) == own


def test_the_critic_s_verdict_reaches_the_decoder_after_the_ramp(recipe: tuple[SeeingRecipe, SeeingCSI]):
    training, model = recipe
    step = training.step(model, 3, 8).train()
    assert training.pool is not None
    batch = context.draw_batch(training.pool, 8, np.random.default_rng(0), model.config, 1.0)
    terms = step(**(batch | {"penalised": torch.tensor(False)}))
    (slope,) = torch.autograd.grad(terms["fooled"], [model.context.out.weight], retain_graph=True)
    assert slope.abs().sum() > 0
    own = torch.autograd.grad(terms["critic"], [model.context.out.weight], allow_unused=True)
    assert own == (None,)
    assert [context.ramp_after(pictures, 100) for pictures in (0, 100, 150, 200, 10**6)] == [0.0, 0.0, 0.5, 1.0, 1.0]
    assert context.ramp_after(0, 0) == 0.0
    assert context.ramp_after(16, 0) == 1.0


def test_latents_that_are_given_cost_nothing(recipe: tuple[SeeingRecipe, SeeingCSI]):
    training, model = recipe
    assert training.pool is not None
    step = training.step(model, 2, 8).eval()
    batch = posterior.draw_batch(training.pool, 8, np.random.default_rng(0), model.config)
    batch["given"].fill_(1.0)
    again = batch | {"frames": batch["frames"].flip(0)}
    with torch.no_grad():
        first, second = (float(step(**values)["nats"]) for values in (batch, again))
    assert first == pytest.approx(float(0.5 * batch["eps"][1].square().mean()), rel=1e-4)
    assert second == pytest.approx(first, rel=1e-4)


def test_latents_of_whole_faces_stay_what_they_are_as_the_encoder_learns(recipe: tuple[SeeingRecipe, SeeingCSI]):
    training, model = recipe
    step = training.step(model, 2, 8).train()
    batch = training.batch(model, 2, training.frames, 8, np.random.default_rng(0))
    assert len(batch["frames"]) * posterior.HOLES == len(batch["mask"]) == 8
    assert step(**batch)["kept"].item() < 1e-12  # it starts where its copy stands
    with torch.no_grad():
        model.encoder.heads.bias.add_(0.5)
    kept = step(**batch)["kept"]
    assert kept.item() == pytest.approx(0.25, rel=1e-4)
    (slope,) = torch.autograd.grad(kept, [model.encoder.heads.bias])
    assert (slope[: model.config.latent_dim] > 0).all()  # back to where it was


def test_rare_kinds_get_their_share():
    rare = np.arange(100) < 5
    odds = favoured([(rare, 0.2)], 100)
    assert odds[rare].sum() / odds.sum() == pytest.approx(0.2)
    assert np.array_equal(favoured([(~rare, 0.2)], 100), np.ones(100))


def test_faces_are_drawn_by_their_odds(made_up: Path):
    pool = FacePool(made_up)
    assert len(pool.odds) == pool.ends[-1]
    faces = pool.draw(4, np.random.default_rng(0))
    assert faces.shape == (4, 3, 64, 64)
    assert torch.equal(faces, pool.draw(4, np.random.default_rng(0)))


def test_holes_hide_regions_halves_and_anything():
    masks, kinds = hole_pool()
    assert masks.dtype == torch.bool
    assert not masks.flatten(1).all(1).any()
    assert set(kinds.tolist()) == set(range(len(REGIONS) + 1))
