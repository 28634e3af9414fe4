"""Muon's steps, and that what is not its own is left to Adam."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from csi_demo.research.training.muon import AS_ADAM, Muon, orthogonal


def lines(count: int, length: int, seed: int = 0) -> Tensor:
    return torch.randn(count, length, generator=torch.Generator().manual_seed(seed))


def test_steps_stretch_no_direction():
    for shape in ((24, 90), (90, 24), (32, 32)):
        matrix = lines(*shape) @ torch.diag(torch.logspace(0, -1.5, shape[1]))
        u, _, v = torch.linalg.svd(matrix, full_matrices=False)
        found = orthogonal(matrix)
        stretched = torch.linalg.svdvals(found)
        assert stretched.min() > 0.5, f"{shape}: {stretched}"
        assert stretched.max() < 1.3, f"{shape}: {stretched}"
        assert torch.nn.functional.cosine_similarity(found.flatten(), (u @ v).flatten(), 0) > 0.95


def test_filters_of_a_convolution_are_rows_of_a_matrix():
    layer = nn.Conv2d(8, 16, 3).to(memory_format=torch.channels_last)
    before = layer.weight.detach().clone()
    optimiser = Muon([{"params": [layer.weight], "orthogonal": True}], lr=0.01)
    layer.weight.grad = gradient = lines(16, 72).view(16, 8, 3, 3)
    optimiser.step()
    change = (layer.weight.detach() - before).flatten(1)
    expected = -0.01 * AS_ADAM * 72**0.5 * orthogonal(gradient.flatten(1))
    torch.testing.assert_close(change, expected, atol=2e-4, rtol=0.05)  # bfloat16 of a scaled gradient
    assert layer.weight.grad is None


def test_other_groups_are_adams_and_all_resume():
    torch.manual_seed(0)
    layer = nn.Linear(12, 6)
    alone, inputs = copy.deepcopy(layer), lines(5, 12)
    both = Muon([{"params": [layer.weight], "orthogonal": True}, {"params": [layer.bias]}], lr=0.01)
    adam = torch.optim.Adam([alone.bias], lr=0.01)

    def step(moved: nn.Linear, optimiser: torch.optim.Optimizer) -> None:
        optimiser.zero_grad()
        moved(inputs).sum().backward()  # the bias's gradient depends on no weight
        optimiser.step()

    for _ in range(3):
        step(layer, both)
        step(alone, adam)
    torch.testing.assert_close(layer.bias, alone.bias)
    twin = copy.deepcopy(layer)
    resumed = Muon([{"params": [twin.weight], "orthogonal": True}, {"params": [twin.bias]}], lr=0.01)
    resumed.load_state_dict(copy.deepcopy(both.state_dict()))
    for moved, optimiser in ((layer, both), (twin, resumed)):
        step(moved, optimiser)
    assert torch.equal(layer.weight, twin.weight)
    assert torch.equal(layer.bias, twin.bias)
