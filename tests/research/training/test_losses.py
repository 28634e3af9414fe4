from __future__ import annotations

import math

import pytest
import torch

from csi_demo.research.training import losses

PRIOR = torch.randn((256, 32), generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def normal(count: int, seed: int) -> torch.Tensor:
    return torch.randn((count, 32), generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_mmd_is_near_zero_for_prior_samples_and_large_for_others():
    prior, count = normal(1000, 1), 1000
    of_prior = losses.mmd(normal(count, 2), prior)
    assert 0 <= of_prior < 2e-4
    collapsed = torch.zeros(count, 32, dtype=torch.float64)
    for other in (collapsed, normal(count, 3) + 1.0, normal(count, 4) * 2.0):
        assert losses.mmd(other, prior) > 5 * of_prior
    assert losses.mmd(prior, prior).abs() < 1e-12


def test_mmd_equals_its_definition():
    a, b = normal(5, 1)[:, :3], normal(7, 2)[:, :3]

    def mean_kernel(p, q):
        return sum(math.exp(-float(((x - y) ** 2).mean()) / 3) for x in p for y in q) / (len(p) * len(q))

    plain = mean_kernel(a, a) + mean_kernel(b, b) - 2 * mean_kernel(a, b)
    assert float(losses.mmd(a, b)) == pytest.approx(plain, abs=1e-12)


def test_kl_decomposition_adds_up_to_the_kl():
    generator = torch.Generator().manual_seed(0)
    mean = torch.randn((400, 6), generator=generator, dtype=torch.float64)
    log_variance = torch.full_like(mean, -2.0)
    z = mean + torch.exp(0.5 * log_variance) * torch.randn(mean.shape, generator=generator, dtype=torch.float64)
    parts = losses.kl_decomposition(z, mean, log_variance, dataset_size=10_000)
    kl = 0.5 * (mean.square() + log_variance.exp() - 1.0 - log_variance).sum(1).mean()
    assert float(sum(parts.values())) == pytest.approx(float(kl), rel=0.03)


def test_total_correlation_is_found_where_it_is():
    generator = torch.Generator().manual_seed(0)
    free = torch.randn((500, 2), generator=generator, dtype=torch.float64)
    tied = free[:, :1].expand(-1, 2).contiguous()
    log_variance = torch.full_like(free, -3.0)
    noise = 0.2 * torch.randn(free.shape, generator=generator, dtype=torch.float64)
    independent, dependent = (
        losses.kl_decomposition(mean + noise, mean, log_variance, dataset_size=500)["total_correlation"]
        for mean in (free, tied)
    )
    assert dependent > independent + 1.0


def objective(name: str, **changes) -> float:
    mean = normal(64, 1)
    log_variance = torch.full_like(mean, -1.0)
    z = mean + torch.exp(0.5 * log_variance) * normal(64, 2)
    values = {"weight": 900.0, "tc_beta": 6.0, "dataset_size": 1000, "dims": 12288} | changes
    return float(losses.regulariser(name, z, mean, log_variance, PRIOR, **values))


def test_objectives_relate_as_equation_two_says():
    assert objective("beta-tcvae", tc_beta=1.0) == pytest.approx(objective("vae"))
    assert objective("mmd", weight=450.0) == pytest.approx(objective("mmd") / 2)
    mean = normal(64, 1)
    log_variance = torch.full_like(mean, -1.0)
    z = mean + torch.exp(0.5 * log_variance) * normal(64, 2)
    parts = losses.kl_decomposition(z, mean, log_variance, 1000)
    bits = 12288 * math.log(2)
    gap = objective("beta-tcvae") - objective("info-beta-tcvae")
    assert gap == pytest.approx(float(parts["mutual_information"]) / bits)
    gap = objective("beta-tcvae") - objective("vae")
    assert gap == pytest.approx(5 * float(parts["total_correlation"]) / bits)


def test_views_move_what_is_seen_by_a_pixel_or_two():
    views = losses.random_views(200, torch.Generator().manual_seed(0))
    assert torch.equal(views, losses.random_views(200, torch.Generator().manual_seed(0)))
    middle = torch.zeros(200, 1, 63, 63)
    middle[:, :, 31, 31] = 1.0
    seen = losses.seen_from(middle, views).flatten(1)
    rows, columns = seen.argmax(1) // 63, seen.argmax(1) % 63
    for place in (rows, columns):
        assert {int(at) for at in place} == {30, 31, 32}
    still = torch.eye(2, 3)[None]
    picture = torch.rand(1, 3, 64, 64)
    assert torch.allclose(losses.seen_from(picture, still), picture, atol=1e-4)


def test_colours_are_blind_to_brightness():
    picture = torch.rand(2, 3, 16, 16)
    assert losses.colours(picture).shape == (2, 3, 4, 4)
    assert torch.allclose(losses.colours(picture + torch.rand(2, 1, 16, 16)), losses.colours(picture), atol=1e-5)
    tinted = picture + torch.tensor([0.0, 0.3, 0.0])[:, None, None]
    assert (losses.colours(tinted) - losses.colours(picture)).abs().max() > 0.15
