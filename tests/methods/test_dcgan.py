"""DCGAN: its losses, its training, and completion with the shipped weights."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch.nn import functional as F

from csi_demo import masks, weights
from csi_demo.errors import CompletionError, ControlError
from csi_demo.methods import load_method
from csi_demo.methods.dcgan import RESTRAINT, DCGANMethod, _Descent
from csi_demo.methods.fitting import blended, calmed
from csi_demo.models.dcgan import DCGAN, DCGANConfig, SmoothColour, completion_loss, contextual_weights
from csi_demo.pixels import LUMA, masks_to_tensor
from csi_demo.research.training.dcgan import AdversarialStep, DCGANRecipe, DCGANSettings
from csi_demo.research.training.loop import train

TINY = {"latent_dim": 6, "generator_width": 4, "discriminator_width": 4, "encoder_channels": (4, 4, 4, 4)}
MASK = masks_to_tensor([masks.family("mouth")])
QUICK = {"steps": 6, "restarts": 2}


def picture() -> torch.Tensor:
    """Something like a face: drawn by the generator itself."""
    return load_method("dcgan").sample(1, seed=3).mul(127.5).round().div(127.5)


def last_step(seeds=(0,), image=None, mask=MASK, **options):
    image = picture() if image is None else image
    *_, last = load_method("dcgan").complete(image, mask, seeds, options=QUICK | options)
    return last


def test_contextual_weights_are_the_share_of_hole_around_an_observed_pixel():
    mask = masks_to_tensor([masks.box(10, 20, 30, 40)])
    found = contextual_weights(mask, window=7)[0, 0]
    assert found[mask[0, 0] < 0.5].abs().max() == 0
    assert found[25, 9] == pytest.approx(21 / 49)  # three of seven columns are hole
    assert found[25, 6] == 0
    assert found[19, 9] == pytest.approx(9 / 49)


def test_completion_loss_is_the_sum_of_its_parts():
    torch.manual_seed(0)
    model = DCGAN(DCGANConfig(**TINY)).eval()
    fake, image = torch.rand(2, 3, 64, 64), torch.rand(2, 3, 64, 64)
    total, contextual, perceptual = completion_loss(model, fake, image, MASK, 0.1)
    assert contextual[1] == pytest.approx(float((MASK * (fake - image).abs())[1].sum()), rel=1e-5)
    expected = torch.log(1.0 - torch.sigmoid(model.discriminator(fake)))
    assert torch.allclose(perceptual, expected, atol=1e-5)
    assert torch.allclose(total, contextual + 0.1 * perceptual)


def detail(x: torch.Tensor) -> tuple[float, float]:
    """Root mean square of what a mean of 3 x 3 pixels takes from brightness, and from colour."""
    brightness = (x * torch.tensor(LUMA).view(3, 1, 1)).sum(1, keepdim=True)
    parts = (brightness, x - brightness)
    return tuple(float((part - F.avg_pool2d(part, 3, 1, 1))[..., 1:-1, 1:-1].square().mean().sqrt()) for part in parts)


def test_colours_are_made_smooth_and_brightness_stays():
    noise = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    weights_of = torch.tensor(LUMA).view(3, 1, 1)
    smooth = SmoothColour()(noise)
    torch.testing.assert_close((smooth * weights_of).sum(1), (noise * weights_of).sum(1))
    assert detail(smooth)[1] < 0.2 * detail(noise)[1]
    grey = noise[:, :1].expand(-1, 3, -1, -1)
    torch.testing.assert_close(SmoothColour()(grey), grey)


def test_samples_have_no_coloured_specks():
    brightness, colour = detail(load_method("dcgan").sample(64, seed=5))
    assert colour < 0.3 * brightness  # 0.1 in photos, 0.6 before colours were smooth


def test_each_player_learns_from_its_own_loss():
    torch.manual_seed(0)
    step = AdversarialStep(DCGAN(DCGANConfig(**TINY)), 4.0)
    frames, z = torch.randint(0, 256, (4, 3, 64, 64), dtype=torch.uint8), torch.rand(4, 6) * 2 - 1
    step(frames, z, torch.tensor(False))["loss"].backward()
    found = [parameter.grad.clone() for parameter in step.discriminator.parameters()]
    step.zero_grad()
    x, fake = frames.float() / 127.5 - 1.0, step.generator(z).detach()
    (F.softplus(-step.discriminator(x)).mean() + F.softplus(step.discriminator(fake)).mean()).backward()
    for mine, expected in zip(found, (parameter.grad for parameter in step.discriminator.parameters()), strict=True):
        assert torch.allclose(mine, expected, atol=1e-6)


def test_the_penalty_is_half_the_squared_slope_at_real_pictures():
    torch.manual_seed(0)
    step = AdversarialStep(DCGAN(DCGANConfig(**TINY)).double(), 4.0)
    step.generator.eval()  # the same fakes twice
    frames, z = torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8), torch.rand(2, 6).double() * 2 - 1
    frames_of = step.discriminator.forward
    step.discriminator.forward = lambda x: frames_of(x.double())
    plain, penalised = (step(frames, z, torch.tensor(value))["loss"].item() for value in (False, True))
    x, nudge = frames.double() / 127.5 - 1.0, 1e-6
    slopes = []
    for index in range(2):
        one = x[index : index + 1].requires_grad_()
        (slope,) = torch.autograd.grad(step.discriminator(one).sum(), one)
        along = slope / slope.norm()
        rise = (step.discriminator(one + nudge * along) - step.discriminator(one - nudge * along)) / (2 * nudge)
        slopes.append(float(rise.detach()) ** 2)
    assert penalised - plain == pytest.approx(0.5 * 4.0 * sum(slopes) / 2, rel=1e-3)


def test_training_goes_through_both_stages_and_exports_what_it_trained(made_up: Path, tmp_path: Path):
    tiny = {"pictures": (16, 16), "batch": 8, "warmup": 8, "bf16": False, "val_pictures": 6}
    settings = DCGANSettings(**tiny)
    recipe = DCGANRecipe(settings, TINY)
    train(recipe, made_up, tmp_path / "out", device="cpu")
    state = torch.load(tmp_path / "out" / "state.pt", weights_only=True)
    assert (state["stage"], state["pictures"]) == (2, 16)
    trained = recipe.build()
    trained.load_state_dict(state["average"])
    stored = DCGAN(DCGANConfig(**TINY))
    folder = tmp_path / "out" / "dcgan"
    tensors = {name: value.float() for file in folder.glob("*.safetensors") for name, value in load_file(file).items()}
    stored.load_state_dict(tensors)
    x = torch.rand(3, 3, 64, 64) * 2 - 1
    with torch.no_grad():
        assert torch.allclose(stored.eval().discriminator(x), trained.eval().discriminator(x), atol=1e-2)


@pytest.mark.parametrize("family", ["mouth", "left", "random:3", "full"])
def test_observed_pixels_stay_and_the_hole_is_filled(family: str):
    image, mask = picture(), masks_to_tensor([masks.family(family)])
    last = last_step(image=image, mask=mask)
    observed = (mask > 0.5).expand_as(image)
    assert torch.equal(last.images[observed], image[observed])
    assert (last.images[~observed] != image[~observed]).float().mean() > 0.5
    assert torch.isfinite(last.images).all()


def test_a_sample_depends_on_its_seed_alone():
    both = last_step(seeds=(4, 5))
    assert torch.equal(both.images[1:], last_step(seeds=(5,)).images)
    assert not torch.equal(both.images[0], both.images[1])


@pytest.mark.parametrize("optimiser", [0, 1, 2])
def test_the_search_lowers_the_loss_and_reports_it(optimiser: int):
    method = load_method("dcgan")
    options = {"steps": 60, "learned_start": 0, "optimiser": optimiser, "restarts": 2}
    steps = list(method.complete(picture(), MASK, (0,), options=options))
    info = steps[-1].info
    losses = [loss for _, loss in info["loss_trace"][0]]
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < 0.6 * losses[0]
    assert info["figures"][0]["loss"] == pytest.approx(losses[-1], abs=1e-3)
    assert info["iterations"] == info["loss_trace"][0][-1][0]
    assert 60 <= info["iterations"] < 90  # a line search ends what it began
    assert [step.progress for step in steps] == sorted(step.progress for step in steps)
    assert {"G(z)", "Not blended"} <= set(steps[-1].views)
    z = torch.tensor(info["latents"])
    assert z.abs().max() <= 1
    fake = method.generate(z)
    assert torch.allclose(fake, steps[-1].views["G(z)"], atol=1e-5)
    loss, _, _ = completion_loss(method.model, fake, picture(), contextual_weights(MASK), 0.1)
    assert float(loss) == pytest.approx(losses[-1], abs=0.01)


def test_a_still_generator_draws_the_same_pictures():
    trained = weights.load_network("dcgan")
    z = 2.0 * torch.rand(5, 100, generator=torch.Generator().manual_seed(0)) - 1.0
    with torch.no_grad():
        expected = trained.generator(z)
        trained.hold_still()
        trained.hold_still()
        assert torch.allclose(trained.generator(z), expected, atol=1e-5)
        assert torch.equal(trained.generator(z[2:3])[0], trained.generator(z)[2])
    assert not any(parameter.requires_grad for parameter in trained.generator.parameters())


def test_samples_of_one_photo_begin_around_what_is_found_together():
    near, far = (last_step(seeds=(0, 1), steps=60, learned_start=value) for value in (1, 0))
    apart = [torch.tensor(step.info["latents"]).diff(dim=0).norm() for step in (near, far)]
    assert 0.0 < apart[0] < 0.7 * apart[1]
    assert all(trace[0][0] >= 0.4 * 60 for trace in near.info["loss_trace"])
    assert all(trace[0][0] < 0.4 * 60 for trace in far.info["loss_trace"])


@pytest.mark.parametrize("steps", [1, 2, 3, 40, 300])
def test_progress_never_goes_back(steps: int):
    method = load_method("dcgan")
    shares = [step.progress for step in method.complete(picture(), MASK, (0,), options={"steps": steps})]
    assert shares == sorted(shares)
    assert shares.count(1.0) == 1
    assert shares[-1] == 1.0


def test_the_learned_start_is_ahead():
    center = masks_to_tensor([masks.family("center")])
    learned, random = (
        last_step(mask=center, steps=1, learned_start=value).info["loss_trace"][0][0][1] for value in (1, 0)
    )
    assert learned < 0.8 * random


def test_the_search_stops_when_its_loss_is_flat():
    method, z = load_method("dcgan"), torch.zeros(1, 100)
    options = method.check_options(None)
    for trace, done in (
        ([(0, 100.0), (10, 50.0), (20, 49.9), (31, 49.8)], True),
        ([(0, 100.0), (10, 50.0), (20, 49.0), (31, 48.0)], False),
        ([(0, 100.0), (10, 99.9)], False),  # too early to tell
        ([(0, 100.0), (109, 50.0), (110, 10.0)], True),  # all steps are used up
    ):
        descent = _Descent(z, z, torch.ones(1), steps=trace[-1][0], trace=trace)
        assert method._done(descent, options) == done
        assert method._done(descent, options | {"early_stop": 0}) == (trace[-1][0] >= options["steps"])


def test_blending_meets_the_photo_at_the_edge():
    fitted = last_step()
    plain = last_step(blend=0)
    assert torch.equal(plain.images, fitted.views["Not blended"])
    image, row = picture(), masks.BOXES["mouth"][1]
    left, right = masks.BOXES["mouth"][0], masks.BOXES["mouth"][2]
    step = [
        (one.images[0, :, row, left:right] - image[0, :, row - 1, left:right]).abs().mean() for one in (fitted, plain)
    ]
    assert step[0] < step[1]


def test_calm_colours_can_be_switched_off():
    calm, plain = last_step(), last_step(calm=0)
    assert torch.equal(calm.views["G(z)"], plain.views["G(z)"])
    image = picture()
    assert torch.equal(plain.images, blended(image, MASK, plain.views["G(z)"]))
    assert torch.equal(calm.images, calmed(image, MASK, plain.images, **RESTRAINT))


@pytest.mark.parametrize(
    "options",
    [
        {"steps": 0},
        {"perceptual": -0.1},
        {"restarts": 10**6},
        {"steps": 2.5},
        {"optimiser": 3},
        {"steps": float("nan")},
    ],
)
def test_options_out_of_range_are_refused(options):
    with pytest.raises(ControlError, match=next(iter(options))):
        load_method("dcgan").complete(picture(), MASK, (0,), options=options)


def test_a_search_that_diverges_says_so():
    method = DCGANMethod()  # its own, since its weights are about to be broken
    image = picture()
    steps = method.complete(image, MASK, (0,), options=QUICK)
    first = next(steps)
    with torch.no_grad():
        method.model.generator.first.weight.fill_(float("nan"))
    with pytest.raises(CompletionError, match="diverged"):
        list(steps)
    assert torch.isfinite(first.images).all()
