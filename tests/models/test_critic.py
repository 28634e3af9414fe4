"""The critic: what its gradients reach, and its penalty."""

from __future__ import annotations

import torch

from csi_demo.models.critic import FILLED, REAL, Critic, CriticConfig, critic_loss, gradient_penalty, judge

from ..conftest import random_images


def small() -> Critic:
    torch.manual_seed(0)
    return Critic(CriticConfig(width=4, scores=3))


def test_shapes():
    logits, scores, seen = small()(random_images(2, size=64).float())
    assert logits.shape == (2, 3)
    assert scores.shape == (2, 3)
    assert [level.shape[1:] for level in seen] == [(4, 32, 32), (8, 16, 16), (16, 8, 8), (32, 4, 4)]


def test_judging_reaches_the_picture_and_not_the_critic():
    critic, x = small(), random_images(2, size=64).float().requires_grad_()
    logits, _, _ = judge(critic, x)
    assert torch.equal(logits, critic(x)[0])
    critic_loss(logits, REAL).sum().backward()
    assert x.grad is not None
    assert x.grad.abs().sum() > 0
    assert all(parameter.grad is None for parameter in critic.parameters())


def test_what_is_told_is_a_cross_entropy():
    logits = torch.tensor([[4.0, 0.0, -4.0]])
    chances = torch.softmax(logits, 1)[0]
    assert torch.allclose(critic_loss(logits, FILLED), -chances[FILLED].log())
    assert critic_loss(logits, REAL) < critic_loss(logits, FILLED)


def test_the_penalty_is_the_squared_slope_of_the_margin():
    critic, x = small().double(), random_images(1, size=64)

    def margin(picture: torch.Tensor) -> torch.Tensor:
        logits = critic(picture)[0]
        return logits[0, REAL] - torch.logsumexp(logits[0, 1:], 0)

    x.requires_grad_()
    (slope,) = torch.autograd.grad(margin(x), x)
    step = 0.02 * slope / slope.norm()
    change = (margin(x + step) - margin(x - step)).double()
    assert torch.allclose(change, 2.0 * (slope * step).sum(), rtol=0.02)
    expected = 0.5 * slope.square().sum()
    assert torch.allclose(gradient_penalty(critic.float(), x.detach().float()), expected.float(), rtol=1e-3)
