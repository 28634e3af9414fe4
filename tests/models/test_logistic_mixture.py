from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from csi_demo.models import logistic_mixture as lm

LEVELS = torch.arange(256, dtype=torch.float64) * 2 / 255 - 1


def params(count: int, components: int = 4, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    values = torch.randn((count, 10 * components), generator=generator, dtype=torch.float64)
    values[:, 4 * components : 7 * components] = (
        torch.rand((count, 3 * components), generator=generator, dtype=torch.float64) * 7 - 6
    )  # log-scales from -6 to 1
    return values


def test_probabilities_of_all_levels_sum_to_one():
    for row in params(6):
        total = 0.0
        # Summed over green and blue, the joint must leave the plain p(red); summed over red too, 1.
        for red in (0, 77, 255):
            pixels = torch.stack(torch.meshgrid(LEVELS, LEVELS, indexing="ij"), -1)  # green, blue
            pixels = torch.cat((LEVELS[red].expand(256, 256, 1), pixels), -1)
            joint = lm.log_prob(pixels, row.expand(256, 256, -1)).exp().sum()
            logits, means, log_scales, _ = lm.unpack(row)
            weights = torch.softmax(logits, 0)
            scales = log_scales[0].exp()
            red_of = list(zip(weights, means[0], scales, strict=True))
            plain = sum(w * bin_probability(LEVELS[red], m, s) for w, m, s in red_of)
            assert math.isclose(float(joint), float(plain), rel_tol=1e-9)
        for level in LEVELS:
            total += sum(w * bin_probability(level, m, s) for w, m, s in red_of)
        assert math.isclose(float(total), 1.0, rel_tol=1e-9)


def sigmoid(value: float) -> float:
    return 1 / (1 + math.exp(-value)) if value >= 0 else math.exp(value) / (1 + math.exp(value))


def bin_probability(value: float, mean: float, scale: float) -> float:
    """Plain probability of a level: difference of logistic distribution functions at the bin's edges."""
    value, mean, scale = float(value), float(mean), float(scale)
    upper = math.inf if value > 1 - 1 / 255 else (value + 1 / 255 - mean) / scale
    lower = -math.inf if value < -1 + 1 / 255 else (value - 1 / 255 - mean) / scale
    if lower > 0:  # by symmetry, so that no digits cancel in the upper tail
        upper, lower = -lower, -upper
    return sigmoid(upper) - sigmoid(lower)


def test_log_prob_equals_a_plain_computation():
    p, rng = params(30, seed=1), np.random.default_rng(0)
    pixels = LEVELS[torch.from_numpy(rng.integers(0, 256, (30, 3)))]
    pixels[0], pixels[1] = -1.0, 1.0  # the open tails
    for row, pixel, value in zip(p, pixels, lm.log_prob(pixels, p), strict=True):
        logits, means, log_scales, coefficients = lm.unpack(row)
        plain = 0.0
        for k, weight in enumerate(torch.softmax(logits, 0)):
            shifted = (
                means[0, k],
                means[1, k] + coefficients[0, k] * pixel[0],
                means[2, k] + coefficients[1, k] * pixel[0] + coefficients[2, k] * pixel[1],
            )
            product = 1.0
            for channel in range(3):
                product *= bin_probability(pixel[channel], shifted[channel], log_scales[channel, k].exp())
            plain += float(weight) * product
        assert math.isclose(float(value), math.log(plain), rel_tol=1e-6, abs_tol=1e-6)


def test_log_prob_stays_finite_far_from_the_mean_and_its_gradient_too():
    p = torch.zeros(1, 10, requires_grad=True)
    far = p + torch.tensor([0.0, 1, 1, 1, -7, -7, -7, 0, 0, 0])
    value = lm.log_prob(torch.full((1, 3), -0.5), far)
    value.sum().backward()
    assert torch.isfinite(value).all()
    assert torch.isfinite(p.grad).all()


def test_samples_are_levels_and_stay_within_one_scale_of_their_mean():
    p = torch.zeros(1, 10, dtype=torch.float64)
    p[0, 1:4], p[0, 4:7] = torch.tensor([0.1, -0.2, 0.3]), math.log(0.2)
    noise = lm.noise(torch.Generator().manual_seed(3), 64, 64, 1)
    assert noise[..., 1:].abs().max() <= 1.0
    assert noise[..., 1:].abs().max() > 0.99
    drawn = lm.sample(p[None].expand(64, 64, -1), noise)
    levels = (drawn + 1) * 127.5
    assert torch.allclose(levels, levels.round(), atol=1e-9)
    assert ((drawn - p[0, 1:4]).abs() <= 0.2 + 1 / 255 + 1e-9).all()
    assert drawn.amax((0, 1)).sub(p[0, 1:4]).gt(0.19).all()  # and the range is used


def test_samples_follow_the_mixture_weights_and_the_channel_coefficients():
    p = torch.zeros(1, 20, dtype=torch.float64)
    p[0, :2] = torch.tensor([math.log(0.8), math.log(0.2)])
    means, log_scales, coefficients = p[0, 2:8], p[0, 8:14], p[0, 14:20]
    means[:2] = torch.tensor([0.5, -0.5])  # red of both components
    log_scales[:] = -7
    coefficients[:2] = 10.0  # green follows red
    noise = lm.noise(torch.Generator().manual_seed(0), 64, 64, 2)
    drawn = lm.sample(p[None].expand(64, 64, -1), noise)
    assert abs((drawn[..., 0] > 0).double().mean() - 0.8) < 0.03
    assert (drawn[..., 1] - drawn[..., 0]).abs().max() < 0.02


@pytest.mark.parametrize("truncation", [0.5, 1.0, 3.0])
def test_logistic_noise_is_truncated_where_it_is_told(truncation: float):
    noise = lm.noise(torch.Generator().manual_seed(0), 64, 64, 1, truncation)[..., 1:]
    assert noise.abs().max() <= truncation + 1e-9
    assert noise.abs().max() > 0.98 * truncation
    assert noise.mean().abs() < 0.05 * truncation


def test_noise_of_a_seed_does_not_depend_on_what_else_is_drawn():
    first = lm.noise(torch.Generator().manual_seed(5), 8, 8, 3)
    torch.rand(100)
    assert torch.equal(first, lm.noise(torch.Generator().manual_seed(5), 8, 8, 3))
    assert not torch.equal(first, lm.noise(torch.Generator().manual_seed(6), 8, 8, 3))


def normal(value: torch.Tensor, mean: torch.Tensor, variance: torch.Tensor | float) -> torch.Tensor:
    return torch.exp(-((value - mean) ** 2) / (2 * variance)) / (2 * math.pi * torch.as_tensor(variance)) ** 0.5


def test_guided_mixtures_are_the_product_with_a_normal_distribution():
    """Against the product on a fine grid, of components that are normal distributions, for red alone."""
    p, deviation = params(5, seed=4), 0.3
    towards = torch.linspace(-0.8, 0.7, 15, dtype=torch.float64).view(5, 3)
    p[:, 28:40] = 0.0  # no channel on another: then the weights are exact
    p[:, 20:28] = 30.0  # green and blue: anything, so that the product leaves the weights to red
    grid = torch.linspace(-12, 12, 200_001, dtype=torch.float64)

    def density(mixture):
        logits, means, log_scales, _ = lm.unpack(mixture)
        weights, variances = torch.softmax(logits, -1), lm.LOGISTIC_VARIANCE * torch.exp(2 * log_scales[0])
        parts = zip(weights, means[0], variances, strict=True)
        return sum((w * normal(grid, m, v) for w, m, v in parts), torch.zeros_like(grid))

    for row, wanted, result in zip(p, towards, lm.guided(p, towards, deviation), strict=True):
        product = density(row) * normal(grid, wanted[0], deviation**2)
        product /= torch.trapezoid(product, grid)
        assert float((density(result) - product).abs().max() / product.max()) < 1e-4


def test_guided_means_follow_the_channels_before():
    """A component's mean of green given red is the average of its own and the wanted one, weighted by precision."""
    p, towards, deviation = params(1, components=1, seed=6)[0], torch.tensor([0.1, -0.2, 0.3]).double(), 0.2
    _, means, log_scales, slopes = lm.unpack(p)
    _, guided, scales, its_slopes = lm.unpack(lm.guided(p, towards, deviation))
    for red in (-0.9, 0.0, 0.6):
        own, variance = means[1] + slopes[0] * red, lm.LOGISTIC_VARIANCE * torch.exp(2 * log_scales[1])
        precision = 1 / variance + 1 / deviation**2
        assert float(guided[1] + its_slopes[0] * red) == pytest.approx(
            float((own / variance + towards[1] / deviation**2) / precision)
        )
        assert float(lm.LOGISTIC_VARIANCE * torch.exp(2 * scales[1])) == pytest.approx(float(1 / precision))


def test_a_weak_guide_changes_nothing_and_a_strong_one_everything():
    p, towards = params(20, seed=7), torch.rand(20, 3, generator=torch.Generator().manual_seed(1)).double() * 2 - 1
    noise = lm.noise(torch.Generator().manual_seed(2), 20, 1, 4)[:, 0]
    assert torch.equal(lm.sample(lm.guided(p, towards, 1e6), noise), lm.sample(p, noise))
    strong = lm.sample(lm.guided(p, towards, 1e-5), noise)
    assert float((strong - towards).abs().max()) < 2 / 255
