"""How attributes answer to latents that are moved at random at once, and the move that takes one attribute alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

REACH = 2.0  # that a response is foreseen at, either way
RIDGES = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)  # from strict about the others to lenient
SHRINKAGE = 10.0  # of the regression, in fills
MOST = 0.7  # that another latent may move for a unit of one
PENALTY = 2.0  # what a unit of the unwanted costs, against one of the wanted


@dataclass(frozen=True)
class Response:
    """slopes: (n, A), how attributes' logits answer to n latents; base: (N, A), logits of N faces."""

    slopes: np.ndarray
    base: np.ndarray

    def moved(self, vector: np.ndarray) -> np.ndarray:
        """Change of every attribute's mean probability from -`REACH` to `REACH` along a vector (n,): (A,)."""
        step = REACH * (vector @ self.slopes)
        return (_sigmoid(self.base + step) - _sigmoid(self.base - step)).mean(0)


def regress(moves: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Ridge regression of values (N, draws, A) on moves (N, draws, n), each face with a level of its own: slopes (n, A)
    and the faces' mean values (N, A)."""
    x = (moves - moves.mean(1, keepdims=True)).reshape(-1, moves.shape[2])
    y = (values - values.mean(1, keepdims=True)).reshape(-1, values.shape[2])
    return np.linalg.solve(x.T @ x + SHRINKAGE * np.eye(x.shape[1]), x.T @ y), values.mean(1)


def compensated(
    response: Response, latent: int, attribute: int, others: Sequence[int], allowed: float = 0.0
) -> np.ndarray:
    """The vector (n,), 1 at the latent, that moves an attribute and least of the others (indices among the measures).

    It minimises the sum of the squared changes of the others' probabilities, (S_o^T v)^2, plus a ridge on what goes
    along; of several ridges the one whose foreseen changes are best, where so much change of another's probability as
    is allowed costs nothing.
    """
    rest = [index for index in range(len(response.slopes)) if index != latent]
    likely = _sigmoid(response.base)
    steepness = (likely * (1.0 - likely)).mean(0) + 0.03  # what is far from showing may yet come near
    others = [index for index in others if index != attribute]
    slopes = (response.slopes * steepness)[:, others]
    best, most = np.zeros(0), -np.inf
    for ridge in RIDGES:
        along = np.linalg.solve(
            slopes[rest] @ slopes[rest].T + ridge * np.eye(len(rest)), slopes[rest] @ slopes[latent]
        )
        vector = np.zeros(len(response.slopes))
        vector[rest], vector[latent] = np.clip(-along, -MOST, MOST), 1.0
        moved = response.moved(vector)
        unwanted = np.abs(moved[others]).max(initial=0.0)
        merit = abs(moved[attribute]) - PENALTY * max(0.0, unwanted - allowed)
        if merit > most:
            best, most = vector, merit
    return best


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return 1.0 / (1.0 + np.exp(-x))
