"""The flow over latents: what it draws, it finds likely, and it can hold several modes."""

from __future__ import annotations

import torch
from torch import Tensor

from csi_demo.models.flow import LatentFlow


def flow_and_condition(count: int) -> tuple[LatentFlow, Tensor]:
    torch.manual_seed(0)
    flow = LatentFlow(6, 5, 4, hidden=16, condition=8)
    for layer in flow.layers:
        torch.nn.init.normal_(layer.net[-1].weight, std=0.3)
    none = torch.zeros(count, 6)
    return flow, flow.condition(torch.randn(count, 5), none, none + 1.0, none, none)


def test_untrained_it_only_changes_the_order():
    flow = LatentFlow(6, 5, 4)
    none, noise = torch.zeros(3, 6), torch.randn(3, 6)
    condition = flow.condition(torch.randn(3, 5), none, none + 1.0, none, none)
    assert torch.equal(flow.draw(noise, condition).sort(1)[0], noise.sort(1)[0])


def test_density_and_draws_belong_together():
    flow, condition = flow_and_condition(3)
    noise = torch.randn(3, 6)
    jacobian = torch.autograd.functional.jacobian(lambda u: flow.draw(u, condition), noise)
    volumes = torch.stack([jacobian[row, :, row].slogdet()[1] for row in range(3)])
    assert torch.allclose(
        flow.log_prob(flow.draw(noise, condition), condition), -0.5 * noise.square().sum(1) - volumes, atol=1e-4
    )


def test_it_learns_two_modes():
    torch.manual_seed(0)
    flow = LatentFlow(2, 1, 6, hidden=32, condition=8)
    optimiser, none = torch.optim.Adam(flow.parameters(), 5e-3), torch.zeros(256, 2)
    condition = (torch.zeros(256, 1), none, none + 1.0, none, none)
    for _ in range(250):
        sign = torch.randint(0, 2, (256, 1)) * 2.0 - 1.0
        data = 1.5 * sign + 0.2 * torch.randn(256, 2)
        loss = -flow.log_prob(data, flow.condition(*condition)).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    drawn = flow.draw(torch.randn(256, 2), flow.condition(*condition)).detach()
    assert 0.25 < (drawn.mean(1) > 0).float().mean() < 0.75
    assert (drawn.mean(1).abs() > 0.8).float().mean() > 0.8  # hardly anything in between


def test_a_latent_that_is_given_changes_the_rest():
    flow, _ = flow_and_condition(2)
    none, features, flags = torch.zeros(2, 6), torch.zeros(2, 5), torch.zeros(2, 6)
    flags[:, 0] = 1.0
    given = torch.tensor([[-2.0], [2.0]]).expand(2, 6)
    told = flow.draw(none, flow.condition(features, none, none + 1.0, given, flags))
    untold = flow.draw(none, flow.condition(features, none, none + 1.0, given, 0.0 * flags))
    assert not torch.allclose(told[0], told[1])
    assert torch.allclose(untold[0], untold[1], atol=1e-6)
