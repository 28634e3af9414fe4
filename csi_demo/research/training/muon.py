"""Muon (Jordan et al. 2024): steps along the momentum's nearest orthogonal matrix, so that no direction is left behind.

torch.optim.Muon takes matrices only; here a convolution's filters are a matrix of a row each, as Jordan has them, and
what is no matrix is Adam's.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)  # coefficients that bring singular values near 1 in five steps (Jordan)
NEWTON_SCHULZ_STEPS = 5
AS_ADAM = 0.2  # root mean square of a step of Adam's, by its learning rate (Liu et al. 2025, section 2.2)


class Muon(torch.optim.Adam):
    """Adam, but in groups with "orthogonal" set, whose tensors have two axes or more, Muon with Nesterov's momentum.

    Both take the same learning rate: Muon's steps are made as long as Adam's are.
    """

    def __init__(self, groups, momentum: float = 0.95, **adam):
        super().__init__(groups, **adam)
        self.momentum = momentum

    @torch.no_grad()
    def step(self, closure=None):
        """One step; afterwards the gradients of orthogonal groups are None."""
        loss = closure() if closure is not None else None
        for group in self.param_groups:
            if group.get("orthogonal"):
                for parameter in group["params"]:
                    if parameter.grad is not None:
                        self._orthogonal_step(parameter, group["lr"])
                        parameter.grad = None  # Adam passes by what has no gradient
        super().step()
        return loss

    def _orthogonal_step(self, parameter: Tensor, rate: float) -> None:
        state, gradient = self.state[parameter], parameter.grad
        assert gradient is not None
        if not state:
            state["step"], state["momentum"] = torch.zeros((), device=gradient.device), torch.zeros_like(gradient)
        state["step"] += 1
        state["momentum"].lerp_(gradient, 1.0 - self.momentum)
        matrix = gradient.lerp(state["momentum"], self.momentum).flatten(1)
        size = AS_ADAM * math.sqrt(max(matrix.shape))
        parameter.sub_(orthogonal(matrix).view(gradient.shape), alpha=rate * size)


def orthogonal(matrix: Tensor) -> Tensor:
    """About U V^T of a matrix U S V^T (n, m): its singular values lie between 0.7 and 1.2, where it was not 0."""
    a, b, c = NEWTON_SCHULZ
    x = matrix.bfloat16()
    wide = x.shape[0] <= x.shape[1]
    x = x if wide else x.T
    x = x / (x.norm() + 1e-7)
    for _ in range(NEWTON_SCHULZ_STEPS):
        square = x @ x.T
        x = a * x + (b * square + c * square @ square) @ x
    return (x if wide else x.T).to(matrix.dtype)
