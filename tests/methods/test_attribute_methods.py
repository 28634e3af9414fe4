"""Methods with sliders for attributes, with the shipped weights; the training of their models and of the PixelCNN
autoencoder on made-up pictures."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from csi_demo import masks
from csi_demo.errors import ControlError
from csi_demo.methods import load_method
from csi_demo.methods.attributes import SLIDERS, AttributeMethod, AttributeSliders
from csi_demo.pixels import masks_to_tensor
from csi_demo.research.training.attribute_vae import AttributeVAERecipe, AttributeVAESettings
from csi_demo.research.training.gated_pixelcnn import CONTEXT, GatedPixelCNNRecipe, GatedPixelCNNSettings
from csi_demo.research.training.loop import train
from csi_demo.research.training.pixelcnn_autoencoder import AutoencoderRecipe, AutoencoderSettings

METHODS = ("vae-attributes", "pixelcnn")
SMALL = masks_to_tensor([masks.box(24, 46, 40, 56)])  # around the lips
NAMES = ("Smiling", "No_Beard", "Bangs", "Male")
TINY = {"batch": 8, "warmup": 8, "bf16": False, "val_pictures": 6, "pictures": (48,), "learning_rate": (3e-3,)}
TINY["sheet_minutes"] = 0


def picture() -> torch.Tensor:
    return load_method("vae").sample(1, seed=1).mul(127.5).round().div(127.5)


def fill(name: str, seeds=(0,), controls=None, **options) -> torch.Tensor:
    *_, last = load_method(name).complete(picture(), SMALL, seeds, controls, options)
    return last.images


def relevance(family: str) -> dict[str, float]:
    sliders = AttributeSliders("vae-attributes", SLIDERS, everything=True)
    return sliders.relevance(masks_to_tensor([masks.family(family)]))


def test_what_a_hole_does_not_show_is_not_offered():
    mouth, eyes = relevance("mouth"), relevance("eyes")
    assert mouth["smile"] > 0 > mouth["glasses"]
    assert eyes["glasses"] > 0 > eyes["smile"]
    assert mouth["fringe"] < 0 < relevance("top")["fringe"]
    whole = relevance("full")
    assert min(whole.values()) > 0
    assert whole["smile"] > whole["masculine"] > 0  # what is at home in a small region comes first


def test_a_slider_means_what_its_label_says():
    sliders = AttributeSliders("vae-attributes", NAMES, everything=True)
    y, known = sliders.held({"beard": 1.0, "smile": -0.5})
    assert y.tolist() == [[-0.5, -1.0, 0.0, 0.0]]  # a beard is No_Beard, turned round
    assert known.tolist() == [[1.0, 1.0, 0.0, 0.0]]
    assert sliders.values(y) == {"smile": -0.5, "beard": 1.0, "fringe": 0.0, "masculine": 0.0}


@pytest.mark.parametrize("name", METHODS)
def test_a_slider_changes_the_hole_and_nothing_else(name: str):
    method = load_method(name)
    control = method.controls[0].name
    low, high = (fill(name, controls={control: value}) for value in (-1.0, 1.0))
    observed = (SMALL > 0.5).expand_as(low)
    assert torch.equal(low[observed], picture()[observed])
    assert torch.equal(high[observed], picture()[observed])
    assert not torch.equal(low, high)
    starts = method.start_values(picture(), SMALL)
    assert starts.keys() == {each.name for each in method.controls}
    assert all(-1.0 <= value <= 1.0 for value in starts.values())


@pytest.mark.parametrize("name", METHODS)
def test_a_sample_depends_on_its_seed_alone(name: str):
    both = fill(name, seeds=(4, 5))
    assert torch.equal(both[1:], fill(name, seeds=(5,)))
    assert not torch.equal(both[0], both[1])


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("controls", [{"smile": 1.5}, {"smile": math.nan}, {"wings": 1.0}])
def test_bad_attributes_are_refused(name: str, controls: dict[str, float]):
    method = load_method(name)
    assert isinstance(method, AttributeMethod)
    with pytest.raises(ControlError):
        method.complete(picture(), SMALL, (0,), controls)


def test_a_surprise_moves_sliders_that_show_and_is_drawn_with_its_seed():
    method = load_method("vae-attributes")
    start, first, again, other = (
        method.start_values(picture(), SMALL),
        *(method.surprise(picture(), SMALL, seed) for seed in (1, 1, 2)),
    )
    assert first == again != other
    ranks = method.relevance(SMALL)
    moved = [name for name, value in first.items() if value != start[name]]
    assert moved
    assert all(ranks[name] > 0 and 0.5 <= abs(first[name]) <= 1.0 for name in moved)


def test_held_where_it_stands_a_slider_changes_nothing():
    start = load_method("vae-attributes").start_values(picture(), SMALL)
    held, free = fill("vae-attributes", controls=start), fill("vae-attributes")
    assert torch.allclose(held, free, atol=1e-3)


def test_a_gated_pixelcnn_says_how_likely_its_fill_is():
    method = load_method("pixelcnn")
    *_, last = method.complete(picture(), SMALL, (0,), options={"temperature": 1.0})
    assert last.info["bits_per_dim"][0] == pytest.approx(method.true_bits(last.images, SMALL), abs=1e-4)
    assert 0.0 < last.info["bits_per_dim"][0] < 8.0


@pytest.mark.parametrize("places", ["none", "both"])
def test_the_attribute_vae_learns(places: str, made_up: Path, tmp_path: Path):
    settings = AttributeVAESettings(**TINY, start="", attributes=",".join(NAMES))
    shape = {"latent_dim": 4, "channels": (4, 4, 4, 4), "attributes_to": places, "embedding": 8}
    metrics = train(AttributeVAERecipe(settings, shape), made_up, tmp_path / "out", device="cpu")
    assert learned(metrics)
    assert ("train_disobeyed" in metrics["training"]["curve"][0]) == (places != "none")


@pytest.mark.parametrize(
    ("shape", "muon"),
    [
        ({"head": "softmax"}, True),
        ({"head": "mixture", "mixtures": 2}, False),
        ({"condition": "embedding", "context": False}, False),
    ],
)
def test_the_gated_pixelcnn_learns(shape: dict, muon: bool, made_up: Path, tmp_path: Path):
    settings = GatedPixelCNNSettings(**TINY, crop=12, picked=40, muon=muon)
    sizes = {"image_size": 16, "filters": 6, "layers": 2, "head_filters": 8, "map_channels": 6, "embedding": 8}
    recipe = GatedPixelCNNRecipe(settings, sizes | {"context_channels": (8, 8)} | shape)
    metrics = train(recipe, made_up, tmp_path / "out", device="cpu")
    assert learned(metrics)
    assert (tmp_path / "out" / "pixelcnn" / "pixelcnn.safetensors").is_file()


def test_the_context_network_learns_alone_and_is_looked_at(made_up: Path, tmp_path: Path):
    sizes = {"filters": 6, "layers": 2, "head_filters": 8, "map_channels": 6, "embedding": 8, "context_channels": (8,)}
    start, out = tmp_path / "start", tmp_path / "out"
    train(GatedPixelCNNRecipe(GatedPixelCNNSettings(**TINY, crop=12, picked=40), sizes), made_up, start, device="cpu")
    looked_at = {"feature_weight": 1.0, "obey_weight": 0.5, "critic_weight": 0.5, "stacks": False}
    looked_at["start"] = str(start / "pixelcnn")
    metrics = train(GatedPixelCNNRecipe(GatedPixelCNNSettings(**TINY, **looked_at), sizes), made_up, out, device="cpu")
    assert learned(metrics)
    row = metrics["training"]["curve"][-1]
    assert all(math.isfinite(row[f"val_{name}"]) for name in ("sketch_bits", "deep", "disobeyed", "critic", "fooled"))
    assert "val_bits" not in row
    before, after = (load_file(folder / "pixelcnn" / "pixelcnn.safetensors") for folder in (start, out))
    assert before.keys() == after.keys()  # the critic stays behind
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert moved
    assert all(name.startswith(CONTEXT) for name in moved)
    again = GatedPixelCNNRecipe(GatedPixelCNNSettings(critic_weight=0.5, start=str(out / "pixelcnn")), sizes).build()
    critic = load_file(out / "critic" / "critic.safetensors")
    assert torch.equal(
        again.state_dict()["discriminator.layers.0.weight"].half(), critic["discriminator.layers.0.weight"]
    )


def test_faces_are_singled_out_for_one_attribute_as_often_to_either_side():
    recipe = GatedPixelCNNRecipe(GatedPixelCNNSettings(single=1.0), {})
    values = torch.full((40, recipe.config.condition_dim), -1.0)
    values[:4] = 1.0
    rows, known = torch.zeros(200, dtype=torch.long), torch.ones(200, recipe.config.condition_dim)
    rows, known = recipe._singled_out(values, rows, known, torch.Generator().manual_seed(0))
    assert torch.equal(known.sum(1), torch.ones(200))
    assert {recipe.config.names[index] for index in known.argmax(1).tolist()} == SLIDERS.keys() & {*recipe.config.names}
    assert 0.35 < (rows < 4).float().mean() < 0.65


@pytest.mark.parametrize("shape", [{"head": "mixture"}, {"image_size": 32}])
def test_only_sketches_of_whole_frames_are_looked_at(shape: dict):
    with pytest.raises(ValueError, match="need image_size=64 and head=softmax"):
        GatedPixelCNNRecipe(GatedPixelCNNSettings(feature_weight=1.0), shape)


@pytest.mark.parametrize("decoder", ["pixelcnn", "mse"])
def test_the_autoencoder_learns(decoder: str, made_up: Path, tmp_path: Path):
    settings = AutoencoderSettings(**TINY, picked=40)
    shape = {"image_size": 16, "channels": (8, 8), "filters": 6, "layers": 2, "bottleneck": 4, "decoder": decoder}
    recipe = AutoencoderRecipe(settings, shape)
    assert learned(train(recipe, made_up, tmp_path / "out", device="cpu"))


def learned(metrics: dict) -> bool:
    """Whether all pictures were seen and the last figures are finite."""
    training = metrics["training"]
    row = training["curve"][-1]
    return training["pictures_per_stage"] == {"1": 48} and math.isfinite(row["val_loss"])


def test_unknown_attributes_are_refused():
    with pytest.raises(ValueError, match="unknown Wings"):
        AttributeVAERecipe(AttributeVAESettings(attributes="Smiling,Wings"), {})
