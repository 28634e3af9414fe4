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
