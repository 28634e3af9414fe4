"""What each stream may see, by gradients, and the switches of the model."""

from __future__ import annotations

import pytest
import torch

from csi_demo.models.csi import CSI, Posterior
from csi_demo.models.pixelcnn import PixelCNNStream

from ..conftest import random_images, random_masks, random_model, tiny_config

SIZE = 16


def seen_by(output: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """Which pixels of x (1, C, H, W) the scalar depends on: (H, W)."""
    (gradient,) = torch.autograd.grad(output, x, retain_graph=True)
    return gradient[0].abs().sum(0) > 0


def before(row: int, column: int) -> torch.Tensor:
    order = torch.arange(SIZE * SIZE).view(SIZE, SIZE)
    return order < order[row, column]


@pytest.mark.parametrize(("row", "column"), [(0, 0), (0, 7), (5, 0), (9, 8), (15, 15), (7, 15)])
def test_forward_stream_sees_only_earlier_pixels(row, column):
    model = random_model()
    x = random_images(1).requires_grad_()
    seen = seen_by(model.logits(x, None)[0, :, row, column].abs().sum(), x)
    assert not (seen & ~before(row, column)).any()


def test_forward_stream_has_no_blind_spot():
    torch.manual_seed(0)
    stream = PixelCNNStream(3, 8, 2).double()
    x = random_images(1).requires_grad_()
    above, left = stream.reach
    for row, column in ((9, 8), (12, 3), (15, 15), (3, 12)):
        seen = seen_by(stream(x)[0, :, row, column].abs().sum(), x)
        rows, columns = torch.meshgrid(torch.arange(SIZE), torch.arange(SIZE), indexing="ij")
        near = (rows >= row - above) & ((columns - column).abs() <= left - 1)
        assert torch.equal(seen & near, before(row, column) & near), f"blind spot at {row}, {column}"


def test_reverse_stream_sees_only_later_context():
    model = random_model()
    mask = random_masks(1, seed=3)
    x = random_images(1).requires_grad_()
    for row, column in ((0, 0), (4, 9), (8, 8), (15, 15)):
        seen = seen_by(model.context_features(x, mask)[0, :, row, column].abs().sum(), x)
        allowed = ~before(row, column) & (mask[0, 0] > 0.5)
        allowed[row, column] = False
        assert not (seen & ~allowed).any()
        assert seen.any() == allowed.any()


def test_hole_pixels_reach_a_prediction_through_the_forward_stream_only():
    model = random_model()
    mask = random_masks(1, seed=4)
    hole = mask[0, 0] < 0.5
    x = random_images(1).requires_grad_()
    nll = model.pixel_nll(x, model.decode(torch.zeros(1, 4).double()), mask)[0]
    for row, column in hole.nonzero()[::17].tolist():
        seen = seen_by(nll[row, column], x)
        later = ~before(row, column)
        later[row, column] = False
        assert not (seen & hole & later).any(), "a prediction saw hole pixels that are drawn after it"
        assert (seen & ~hole & later).any() or not (~hole & later).any(), "a prediction sees no context after it"


def test_encoder_ignores_what_is_in_the_hole():
    model, mask = random_model(), random_masks(1, seed=5)
    noise = random_images(1, seed=9)
    a, b = random_images(1, seed=1), random_images(1, seed=2)
    b = torch.where(mask > 0.5, a, b)
    assert torch.equal(model.encode(a, mask, noise)[0], model.encode(b, mask, noise)[0])


def test_latents_condition_every_pixel():
    model = random_model()
    z = torch.zeros(1, 4, dtype=torch.float64, requires_grad=True)
    logits = model.logits(random_images(1), model.biases(model.decode(z), None, None))
    for row, column in ((0, 0), (8, 3), (15, 15)):
        assert torch.autograd.grad(logits[0, :, row, column].sum(), z, retain_graph=True)[0].abs().min() > 0


def test_reverse_stream_starts_as_the_forward_stream_turned_round():
    model = random_model()
    model.start_reverse_stream()
    for weight in (model.reverse_stream.vertical_input.weight, model.reverse_stream.horizontal_input.weight):
        weight[:, 3] = 0  # the mask's own filters
    x, everything = random_images(2), torch.ones(2, 1, SIZE, SIZE, dtype=torch.float64)
    forward = model.forward_stream(x.flip(2, 3)).flip(2, 3)
    assert torch.allclose(model.context_features(x, everything), forward)


def test_switches():
    mask, x = random_masks(2), random_images(2)
    without_latents = random_model(latent_dim=0)
    assert not hasattr(without_latents, "encoder")
    assert without_latents.pixel_nll(x, None, mask).shape == (2, SIZE, SIZE)
    forward_only = random_model(reverse_stream=False)
    assert not hasattr(forward_only, "reverse_stream")
    maps = forward_only.decode(torch.zeros(2, 4).double())
    assert torch.equal(forward_only.pixel_nll(x, maps, mask), forward_only.pixel_nll(x, maps, None))
    with pytest.raises(AssertionError, match="objective"):
        tiny_config(objective="gan")
    with pytest.raises(AssertionError, match="image_size"):
        tiny_config(image_size=32)


def test_stages_train_disjoint_parts():
    model = CSI(tiny_config())
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    first, second = ({names[id(p)].split(".")[0] for p in model.stage_parameters(stage)} for stage in (1, 2))
    assert first == {"forward_stream", "head", "encoder", "decoder", "from_maps", "rgb_head"}
    assert second == {"forward_stream", "head", "from_maps", "reverse_stream", "from_context"}


def test_the_posterior_is_a_normal_distribution_of_low_rank():
    torch.manual_seed(0)
    posterior = Posterior(torch.randn(3, 6), torch.randn(3, 6), torch.randn(3, 6, 2), torch.zeros(3, 1))
    known = torch.distributions.LowRankMultivariateNormal(
        posterior.mean, posterior.factor, posterior.log_variance.exp()
    )
    z = torch.randn(3, 6)
    assert torch.allclose(posterior.log_prob(z), known.log_prob(z), atol=1e-4)
    assert torch.allclose(posterior.sigma, known.stddev, atol=1e-5)
    many = Posterior(*(part[:1].expand(20_000, *part.shape[1:]) for part in posterior))
    drawn = many.draw(torch.randn(20_000, posterior.noise_dim))
    assert torch.allclose(drawn.mT.cov(), known.covariance_matrix[0], atol=0.25)
    assert torch.equal(posterior.draw(torch.zeros(3, posterior.noise_dim)), posterior.mean)
