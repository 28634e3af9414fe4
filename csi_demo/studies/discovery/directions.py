"""Directions in CSI's latent space that move one attribute of a face and leave the others where they are.

How the attributes answer to the latents is measured on the model's own fills: the hole is filled with all latents moved
at random at once, and each attribute's logit is regressed on how they were moved. Every fill so informs about every
latent, and what is learned is what the latents do in that hole, not what goes along with them in the training faces. A
direction is then the one that moves its attribute while it is penalised for every other attribute that has one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from ...methods.csi import CSIMethod
from ...metrics.features import face_network

# Holes (x0, y0, x1, y1) in which directions are sought, the smallest first.
HOLES: dict[str, tuple[int, int, int, int]] = {
    "mouth": (12, 36, 52, 62),
    "eyes": (8, 20, 56, 42),
    "hair": (0, 0, 64, 28),
    "face": (8, 16, 56, 62),
    "head": (4, 4, 60, 60),
}
# Where an attribute is to be seen, smallest hole first; others are of the whole face. A hole that does not hide the
# place may still move the attribute's logit, by what goes along with it in faces, but not show what its name says.
# Those with no place are a judgement, a fault, part of a smile, or did not show in the fills when these were looked at.
_MOUTH, _EYES, _HAIR = (("mouth", "face", "head"), ("eyes", "face", "head"), ("hair", "head"))
PLACES: Mapping[str, tuple[str, ...]] = (
    dict.fromkeys(("Big_Lips", "Smiling", "Wearing_Lipstick"), _MOUTH)
    | dict.fromkeys(("5_o_Clock_Shadow", "Double_Chin", "Mustache", "No_Beard"), _MOUTH)
    | {"Eyeglasses": _EYES}
    | dict.fromkeys(("Bald", "Bangs", "Black_Hair", "Blond_Hair", "Brown_Hair", "Gray_Hair"), _HAIR)
    | dict.fromkeys(("Straight_Hair", "Wavy_Hair"), _HAIR)
    | dict.fromkeys(("Wearing_Earrings", "Wearing_Necklace", "Wearing_Necktie"), ("head",))
    | dict.fromkeys(("Attractive", "Blurry", "Mouth_Slightly_Open", "Arched_Eyebrows", "Bushy_Eyebrows"), ())
    | dict.fromkeys(("Bags_Under_Eyes", "Goatee", "Heavy_Makeup", "Narrow_Eyes", "Pointy_Nose"), ())
    | dict.fromkeys(("Receding_Hairline", "Rosy_Cheeks", "Sideburns", "Wearing_Hat"), ())
)
WHOLE = ("face", "head")
REACH = 4.0  # units of a direction from the middle to either end
MOST = 6  # directions
WANTED = 0.25  # change of the attribute's mean probability from end to end, at least
UNWANTED = 1 / 3  # of that: what any other direction's attribute may move, at most
SMALLER = 0.6  # of the best hole's merit, at which a smaller hole is preferred
PENALTY = 1.5  # what a unit of the unwanted costs in a plan
RIDGES = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2)  # from strict about the others to lenient
SHRINKAGE = 10.0  # of the regression, in fills


@dataclass(frozen=True)
class Response:
    """How attributes answer to latents in one hole. slopes: (z, A), logits per unit of a latent; base: (N, A), logits
    of N faces with their latents about where they were inferred."""

    slopes: np.ndarray
    base: np.ndarray

    def moved(self, direction: np.ndarray) -> np.ndarray:
        """Change of every attribute's mean probability from one end of a unit direction (z,) to the other: (A,)."""
        step = REACH * (direction @ self.slopes)
        return (_sigmoid(self.base + step) - _sigmoid(self.base - step)).mean(0)


@dataclass(frozen=True)
class Direction:
    """A unit direction (z,) that moves one attribute (its index) in a hole; wanted and unwanted: changes of mean
    probability, its own and the largest of the other planned attributes, as the regression foresees them."""

    attribute: int
    hole: str
    vector: np.ndarray
    wanted: float
    unwanted: float

    @property
    def merit(self) -> float:
        return self.wanted - PENALTY * self.unwanted


def measure_response(method: CSIMethod, frames: Tensor, mask: Tensor, draws: int, what: str) -> Response:
    """Fills the hole (1, 1, H, W) of each face (N, 3, H, W) so many times, latents drawn around the posterior mean with
    the prior's spread, and regresses the attributes' logits on the moves. what: said on the progress bar."""
    generator = torch.Generator().manual_seed(0)
    moves, logits = [], []
    for number, image in enumerate(tqdm(frames.split(1), desc=what, disable=None)):
        mean, _ = method.infer(image, mask)
        move = torch.randn((draws, mean.shape[1]), generator=generator)
        *_, (images, _, _) = method.fill(image, mask, mean + move, (number,) * draws)
        with torch.inference_mode():
            logits.append(face_network()(images).double().numpy())
        moves.append(move.double().numpy())
    return regress(np.stack(moves), np.stack(logits))


def regress(moves: np.ndarray, logits: np.ndarray) -> Response:
    """Ridge regression of logits (N, draws, A) on moves (N, draws, z), each face with a level of its own."""
    x = (moves - moves.mean(1, keepdims=True)).reshape(-1, moves.shape[2])
    y = (logits - logits.mean(1, keepdims=True)).reshape(-1, logits.shape[2])
    slopes = np.linalg.solve(x.T @ x + SHRINKAGE * np.eye(x.shape[1]), x.T @ y)
    return Response(slopes, logits.mean(1))


def plan(responses: Mapping[str, Response], places: Mapping[int, Sequence[str]]) -> list[Direction]:
    """At most `MOST` directions for some of the attributes, that best keep out of each other's way.

    Attributes are added one at a time, whichever brings the most merit in sum, as long as every direction moves its own
    by `WANTED` and those of the others by no more than `UNWANTED` of that; one that breaks this is out.
    responses: hole -> response; places: attribute -> holes it may be planned in, the smallest first. Returns the
    directions in the order in which they were added.
    """
    open_to = [one for one, holes in places.items() if any(_alone(responses[hole], one) >= WANTED for hole in holes)]
    planned: list[Direction] = []
    while len(planned) < MOST:
        chosen = [direction.attribute for direction in planned]
        plans = {one: [_best(responses, places[own], own, [*chosen, one]) for own in (*chosen, one)] for one in open_to}
        open_to = [one for one in open_to if all(_holds(direction) for direction in plans[one])]
        if not open_to:
            break
        added = max(open_to, key=lambda one: sum(direction.merit for direction in plans[one]))
        planned = plans[added]
        open_to.remove(added)
    return planned


def _holds(direction: Direction) -> bool:
    return direction.wanted >= WANTED and direction.unwanted <= UNWANTED * direction.wanted


def _alone(response: Response, attribute: int) -> float:
    """How far an attribute can be moved with no regard to the others."""
    slope = response.slopes[:, attribute]
    return float(response.moved(slope / np.linalg.norm(slope).clip(1e-9))[attribute])


def _best(
    responses: Mapping[str, Response], holes: Sequence[str], attribute: int, together: Sequence[int]
) -> Direction:
    """The best direction for an attribute: of the smallest hole that is nearly as good as the best."""
    found = [_in_hole(hole, responses[hole], attribute, together) for hole in holes]
    best = max(direction.merit for direction in found)
    return next(direction for direction in found if direction.merit >= min(best, max(SMALLER * best, 0.0)))


def _in_hole(hole: str, response: Response, attribute: int, together: Sequence[int]) -> Direction:
    """The direction d that maximises w.d - |d|^2 r / 2 - sum (v.d)^2 / 2, w and v the slopes of this and of the other
    attributes' probabilities, with the r among `RIDGES` that serves best."""
    others = [one for one in together if one != attribute]
    likely = _sigmoid(response.base)
    steepness = (likely * (1.0 - likely)).mean(0) + 0.03  # an attribute that is far from showing may yet come near
    slopes = response.slopes * steepness
    crossed = slopes[:, others] @ slopes[:, others].T
    found = []
    for ridge in RIDGES:
        vector = np.linalg.solve(ridge * np.eye(len(slopes)) + crossed, slopes[:, attribute])
        vector /= np.linalg.norm(vector).clip(1e-9)
        moved = response.moved(vector)
        unwanted = float(np.abs(moved[others]).max(initial=0.0))
        found.append(Direction(attribute, hole, vector, float(moved[attribute]), unwanted))
    return max(found, key=lambda direction: direction.merit)


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return 1.0 / (1.0 + np.exp(-x))
