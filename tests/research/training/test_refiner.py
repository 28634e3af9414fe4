"""Training the refiner: the fills it learns from, both players' losses, the recipe."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor

from csi_demo import masks, weights
from csi_demo.errors import DataError, WeightsError
from csi_demo.models.refiner import PatchCritic, Refiner, RefinerConfig, RefinerTraining, enlarge
from csi_demo.photo.blending import poisson
from csi_demo.research.training import coarse, refiner
from csi_demo.research.training.loop import train
from csi_demo.research.training.starting import start_from

TINY = {"channels": (8, 8), "blocks": 1, "critic_channels": (8, 8, 8)}
SETTINGS = refiner.RefinerSettings(
    pictures=(8, 8), batch=4, warmup=8, crops=(64,), val_pictures=4, bf16=False, learning_rate=(1e-3, 1e-3)
)


def batch(count: int = 2, side: int = 64, seed: int = 0) -> dict[str, Tensor]:
    """What a step takes: smooth pictures with a hole in their middle."""
    draw = torch.Generator().manual_seed(seed)
    truth = enlarge(torch.rand(count, 3, 8, 8, generator=draw) * 2.0 - 1.0, side)
    mask = torch.ones(count, 1, side, side)
    mask[..., 16:48, 16:48] = 0.0
    blurred = enlarge(torch.nn.functional.avg_pool2d(truth, 4), side)
    return {"truth": truth, "mask": mask, "coarse": blurred, "faith": torch.tensor([1.0, 0.2]).repeat(count // 2)}


def write_people(file: Path, people: list[int], size: tuple[int, int]) -> None:
    rng, cells = np.random.default_rng(0), []
    for _ in people:
        small, stored = Image.fromarray(rng.integers(0, 256, (6, 6, 3), dtype=np.uint8)), io.BytesIO()
        small.resize(size, Image.Resampling.BICUBIC).save(stored, format="PNG")
        cells.append({"bytes": stored.getvalue(), "path": ""})
    pq.write_table(pa.table({"image": cells, "identity": pa.array(people, pa.int32())}), file)


@pytest.fixture
def pack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Nine pictures of six people, the last three held out; somebody is on both sides."""
    monkeypatch.setenv("CSI_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(refiner, "HELD_OUT", 3)
    folder = tmp_path / "pack"
    folder.mkdir()
    write_people(folder / "train.parquet", [1, 2, 3, 1, 4, 5, 6, 3, 6], (190, 230))
    return folder


def test_a_fresh_refiner_leaves_the_fill_as_it_is():
    given, model = batch(), Refiner(RefinerConfig(**TINY))
    assert torch.equal(model(given["truth"], given["mask"], given["coarse"]), given["coarse"])


def test_the_refiner_does_not_look_into_the_hole():
    given, model = batch(), Refiner(RefinerConfig(**TINY))
    torch.nn.init.normal_(model.leave.weight)
    first, second = (
        model(given["truth"] + (1.0 - given["mask"]) * shift, given["mask"], given["coarse"]) for shift in (0.0, 0.7)
    )
    assert torch.equal(first, second)
    assert not torch.equal(first, given["coarse"])


@pytest.mark.parametrize("size", [(64, 64), (128, 96), (256, 256)])
def test_both_networks_take_any_size_that_is_a_multiple(size: tuple[int, int]):
    config = RefinerConfig(**TINY)
    picture, mask = torch.zeros(1, 3, *size), torch.ones(1, 1, *size)
    assert Refiner(config)(picture, mask, picture).shape == picture.shape
    logits, features = PatchCritic(config.critic_channels)(picture, mask)
    assert logits.shape == (1, 1, size[0] // 8, size[1] // 8)
    assert len(features) == 4


@pytest.mark.parametrize("adversarial", [False, True])
def test_each_loss_reaches_its_own_player_only(adversarial: bool):
    torch.manual_seed(0)
    model, given = RefinerTraining(RefinerConfig(**TINY)), batch()
    step = refiner.RefinerStep(model, SETTINGS, adversarial)
    terms = step(**given)
    names = ("critic", "slope")
    critics = sum(terms[name] for name in names)
    assert torch.autograd.grad(critics, list(model.refiner.parameters()), retain_graph=True, allow_unused=True) == (
        None,
    ) * len(list(model.refiner.parameters()))
    refiners = terms["follow"] + (terms["fooled"] + terms["features"] if adversarial else 0.0)
    moved = torch.autograd.grad(refiners, list(model.critic.parameters()), retain_graph=True, allow_unused=True)
    assert moved == (None,) * len(moved)
    terms["loss"].backward()
    assert all(parameter.grad is not None for parameter in model.critic.parameters())
    assert model.refiner.leave.weight.grad.abs().sum() > 0


def test_whole_faces_have_a_critic_of_their_own():
    torch.manual_seed(0)
    model = RefinerTraining(RefinerConfig(**TINY))
    step, given = refiner.RefinerStep(model, SETTINGS, adversarial=True), batch(2, refiner.WINDOW)
    terms = step(**given)
    for name, own, other in (
        ("face_critic", model.face_critic, model.refiner),
        ("fooled_faces", model.refiner, model.face_critic),
        ("meaning", model.refiner, model.face_critic),
    ):
        mine, theirs = (list(player.parameters()) for player in (own, other))
        assert any(
            slope is not None and slope.any()
            for slope in torch.autograd.grad(terms[name], mine, retain_graph=True, allow_unused=True)
        ), name
        assert torch.autograd.grad(terms[name], theirs, retain_graph=True, allow_unused=True) == (None,) * len(theirs)
    assert "face_critic" not in step(**batch())


def test_an_octave_holds_the_truth_at_half_its_size(pack: Path):
    recipe = refiner.RefinerRecipe(SETTINGS, TINY)
    frames, _ = recipe.read(pack)
    truth, mask, fill, faith = recipe.octave(frames[:2], torch.Generator().manual_seed(0), 96)
    assert truth.shape == fill.shape == (2, 3, 132, 132)
    assert torch.equal(fill * mask, truth * mask)
    assert (faith == refiner.OCTAVE_FAITH).all()
    half = torch.nn.functional.avg_pool2d((fill - truth) * (1.0 - mask), 4)
    assert half.abs().mean() < 0.1


def test_a_fill_that_is_not_the_truths_is_followed_rather_than_corrected():
    torch.manual_seed(0)
    model, given = RefinerTraining(RefinerConfig(**TINY)), batch()
    step = refiner.RefinerStep(model, SETTINGS, adversarial=False)
    torch.nn.init.normal_(model.refiner.leave.weight, std=0.3)
    believed, doubted = (step(**(given | {"faith": torch.full((2,), faith)})) for faith in (1.0, 0.0))
    assert believed["follow"] == 0.0
    assert doubted["follow"] > 0.0
    assert (believed["loss"] - believed["critic"]).item() == pytest.approx(2.0 * believed["l1"].item(), rel=0.05)
    assert (doubted["loss"] - doubted["critic"]).item() == pytest.approx(3.0 * doubted["follow"].item(), rel=0.05)


def test_the_penalty_is_the_squared_slope_of_the_mean_logit():
    torch.manual_seed(0)
    model, given = RefinerTraining(RefinerConfig(**TINY)), batch(8)
    step = refiner.RefinerStep(model, SETTINGS, adversarial=False)
    x = given["truth"][:1].clone().requires_grad_()
    patches = torch.nn.functional.max_pool2d(1.0 - given["mask"][:1], 24, 8, 8)
    logits, _ = model.critic(x, given["mask"][:1])
    mean = (logits * patches).sum() / patches.sum()
    (slope,) = torch.autograd.grad(mean, x)
    assert step(**given)["slope"].item() == pytest.approx(0.5 * float(slope.square().sum()), rel=1e-4)


def test_the_rough_lift_is_near_the_exact_one():
    rng = np.random.default_rng(0)
    small = Image.fromarray(rng.integers(60, 200, (5, 5, 3), dtype=np.uint8)).resize((64, 64), Image.Resampling.BICUBIC)
    photo = np.asarray(small).astype(np.float32)
    mask, fill = masks.family("center"), np.full((64, 64, 3), 90.0, dtype=np.float32)
    wanted = poisson(photo, ~mask, fill)
    x, drawn = (torch.from_numpy(picture).permute(2, 0, 1)[None] for picture in (photo, fill))
    known = torch.from_numpy(mask).float()[None, None]
    lifted = drawn + coarse.continued(x - drawn, coarse.near(known) * known)
    apart = (lifted[0].permute(1, 2, 0).numpy() - wanted)[~mask]
    assert np.abs(apart).mean() < 0.15 * np.abs(wanted - fill)[~mask].mean()


def test_fills_keep_what_is_observed_and_repeat_with_their_seed():
    fills, truth = coarse.CoarseFills(), batch(6, 128)["truth"]
    mask = refiner.whole_frame_pixels(torch.from_numpy(masks.family("center", 128)).float()[None, None]).expand(
        6, -1, -1, -1
    )
    first, again = (fills(truth, mask, torch.Generator().manual_seed(3), 0.5) for _ in range(2))
    other, _ = fills(truth, mask, torch.Generator().manual_seed(4), 0.5)
    assert torch.equal(first[0], again[0])
    assert not torch.equal(first[0], other)
    plain = enlarge(torch.nn.functional.avg_pool2d(truth, 2), 128)
    inner = torch.nn.functional.max_pool2d(1.0 - mask, 7, 1, 3) == 0.0  # bicubic enlarging reaches two frame pixels
    assert (first[0] - plain).abs()[inner.expand_as(plain)].max() < 1e-5
    assert {round(value, 4) for value in first[1].tolist()} <= {source.faith for source in fills.sources}


def test_holes_grow_to_whole_frame_pixels():
    mask = torch.ones(1, 1, 8, 8)
    mask[..., 3, 4] = 0.0
    grown = refiner.whole_frame_pixels(mask)
    assert (1.0 - grown).sum() == 4.0
    assert not grown[..., 2:4, 4:6].any()


def test_it_trains_goes_on_and_is_exported(pack: Path, tmp_path: Path):
    recipe = refiner.RefinerRecipe(SETTINGS.replace(crops=(64, refiner.WINDOW)), TINY)
    metrics = train(recipe, pack, tmp_path / "out", device="cpu")
    assert metrics["training"]["pictures_per_stage"] == {"1": 8, "2": 8}
    last = metrics["training"]["curve"][-1]
    assert all(np.isfinite(last[name]) for name in ("train_loss", "val_l1", "val_sharpness"))
    loaded = weights.load_into("refiner", Refiner(recipe.config), tmp_path / "out")
    assert isinstance(loaded, Refiner)


def test_nobody_who_is_held_out_is_trained_on(pack: Path, monkeypatch: pytest.MonkeyPatch):
    recipe = refiner.RefinerRecipe(SETTINGS, TINY)
    frames, held_out = recipe.read(pack)
    assert frames.shape == (5, 3, 184, 184)  # those of 1, 2, 1, 4 and 5; 3 and 6 are held out
    assert held_out.shape == (3, 3, 184, 184)


def test_packs_that_do_not_do_are_refused(pack: Path, monkeypatch: pytest.MonkeyPatch):
    recipe = refiner.RefinerRecipe(SETTINGS, TINY)
    monkeypatch.setattr(refiner, "HELD_OUT", 9)
    with pytest.raises(DataError, match="9 training pictures: more than 9 are needed"):
        recipe.read(pack)
    write_people(pack / "train.parquet", [1], (150, 200))
    with pytest.raises(DataError, match="pictures of 150x200: at least 176x176 are needed"):
        recipe.read(pack)


@pytest.mark.parametrize(
    ("changes", "said"), [({"crops": (72,)}, "crops of 72"), ({"refiner_rate": (1.0,)}, "needs two numbers")]
)
def test_settings_that_do_not_do_are_refused(changes: dict, said: str):
    with pytest.raises(ValueError, match=said):
        refiner.RefinerRecipe(SETTINGS.replace(**changes), {})


def test_it_starts_from_a_file(tmp_path: Path):
    model, fresh = (Refiner(RefinerConfig(**TINY)) for _ in range(2))
    some = {name: tensor for name, tensor in model.state_dict().items() if not name.startswith("middle")}
    save_file(some | {"elsewhere": torch.zeros(1)}, tmp_path / "refiner.safetensors")
    kept = fresh.state_dict()["middle.0.first.weight"].clone()
    start_from(fresh, str(tmp_path / "refiner.safetensors"))
    assert torch.equal(fresh.enter.weight, model.enter.weight)
    assert torch.equal(fresh.middle[0].first.weight, kept)
    save_file({"elsewhere": torch.zeros(1)}, tmp_path / "other.safetensors")
    for file, said in (("other.safetensors", "none of its tensors fits"), ("none.safetensors", "not readable")):
        with pytest.raises(WeightsError, match=said):
            start_from(fresh, str(tmp_path / file))
