"""The variational autoencoders: their loss, their training, and completion with the shipped weights."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from csi_demo import masks
from csi_demo.errors import CompletionError, ControlError
from csi_demo.methods import load_method
from csi_demo.methods.fitting import calmed
from csi_demo.pixels import masks_to_tensor
from csi_demo.research.training.loop import train
from csi_demo.research.training.losses import DeepFeatures, normal_kl
from csi_demo.research.training.vae import OneShotRecipe, VAERecipe, VAESettings

TINY = {"latent_dim": 4, "channels": (4, 4, 4, 4)}
MASK = masks_to_tensor([masks.family("mouth")])
METHODS = ("vae", "vae-oneshot")


def picture() -> torch.Tensor:
    return load_method("vae").sample(1, seed=1).mul(127.5).round().div(127.5)


def steps_of(method: str, seeds=(0,), image=None, mask=MASK, **options):
    image = picture() if image is None else image
    return list(load_method(method).complete(image, mask, seeds, options={"iterations": 3} | options))


@pytest.mark.parametrize("method", METHODS)
def test_softening_is_an_option_and_leaves_observed_pixels(method: str):
    soft, plain = (steps_of(method, soften=on)[-1].images for on in (1, 0))
    observed = (MASK > 0.5).expand_as(soft)
    assert torch.equal(soft[observed], picture()[observed])
    assert not torch.equal(soft, plain)


def test_normal_kl_is_torchs():
    mean, log_variance = torch.randn(3, 4), torch.randn(3, 4)
    posterior = torch.distributions.Normal(mean, torch.exp(0.5 * log_variance))
    expected = torch.distributions.kl_divergence(posterior, torch.distributions.Normal(0.0, 1.0)).sum(1)
    assert torch.allclose(normal_kl(mean, log_variance), expected, atol=1e-5)


def test_deep_features_tell_pictures_apart_and_stay_as_they_are():
    features = DeepFeatures("faces")
    x = torch.rand(2, 3, 64, 64) * 2 - 1
    levels = features(x)
    assert [level.shape[-1] for level in levels] == [32, 16, 8]
    assert features.distance(x, levels) == 0
    assert features.distance(x.flip(3), levels) > 0.01
    assert not features.train().network.training
    with pytest.raises(ValueError, match="neither faces nor vgg16"):
        DeepFeatures("vgg19")


@pytest.mark.parametrize("recipe", [VAERecipe, OneShotRecipe])
def test_training_lowers_the_loss_and_exports(recipe, made_up: Path, tmp_path: Path):
    tiny = {"pictures": (240,), "batch": 8, "warmup": 8, "bf16": False, "val_pictures": 6, "learning_rate": (3e-3,)}
    trainer = recipe(VAESettings(**tiny, sheet_minutes=0), TINY)
    frames, _ = trainer.read(made_up)
    batch = trainer.around(frames[:6], torch.Generator().manual_seed(0))
    torch.manual_seed(0)
    with torch.no_grad():
        before = float(trainer.loss(trainer.build())(**batch)["loss"])
    train(trainer, made_up, tmp_path / "out", device="cpu")
    model = trainer.build()
    model.load_state_dict(torch.load(tmp_path / "out" / "state.pt", weights_only=True)["model"])
    with torch.no_grad():
        assert float(trainer.loss(model)(**batch)["loss"]) < 0.8 * before
    assert (tmp_path / "out" / trainer.name / f"{trainer.name}.safetensors").is_file()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("family", ["left", "random:3", "full"])
def test_observed_pixels_stay_and_the_hole_is_filled(method: str, family: str):
    image, mask = picture(), masks_to_tensor([masks.family(family)])
    last = steps_of(method, image=image, mask=mask)[-1]
    observed = (mask > 0.5).expand_as(image)
    assert torch.equal(last.images[observed], image[observed])
    assert (last.images[~observed] != image[~observed]).float().mean() > 0.5


@pytest.mark.parametrize("method", METHODS)
def test_a_sample_depends_on_its_seed_alone(method: str):
    both = steps_of(method, seeds=(4, 5))[-1]
    assert torch.equal(both.images[1:], steps_of(method, seeds=(5,))[-1].images)
    assert not torch.equal(both.images[0], both.images[1])


@pytest.mark.parametrize("method", METHODS)
def test_without_temperature_chance_has_no_say(method: str):
    cold = steps_of(method, seeds=(4, 5), temperature=0)[-1]
    assert torch.equal(cold.images[0], cold.images[1])


@pytest.mark.parametrize("method", METHODS)
def test_the_iterates_are_streamed(method: str):
    steps = steps_of(method, blend=0, soften=0)
    assert [step.progress for step in steps] == pytest.approx([0, 1 / 3, 2 / 3, 1])
    hole = (MASK < 0.5).expand_as(steps[-1].images)
    assert torch.equal(steps[-1].images[hole], steps[-1].views["Reconstruction"][hole])
    assert len(steps[-1].info["change_trace"]) == 3


@pytest.mark.parametrize("method", METHODS)
def test_calm_colours_can_be_switched_off(method: str):
    calm, plain = (steps_of(method, calm=value)[-1] for value in (1, 0))
    assert torch.equal(calm.views["Reconstruction"], plain.views["Reconstruction"])
    assert torch.equal(calm.images, calmed(picture(), MASK, plain.images))
    assert not torch.equal(calm.images, plain.images)


def test_the_two_encoders_differ():
    masked, complete = (steps_of("vae", masked_encoder=value)[-1].images for value in (1, 0))
    assert not torch.equal(masked, complete)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("options", [{"iterations": 0}, {"temperature": -1}, {"iterations": 1.5}])
def test_options_out_of_range_are_refused(method: str, options):
    with pytest.raises(ControlError, match=next(iter(options))):
        load_method(method).complete(picture(), MASK, (0,), options=options)


def test_the_one_shot_model_draws_nothing_from_its_prior():
    with pytest.raises(CompletionError, match="from its prior"):
        load_method("vae-oneshot").sample(2)
