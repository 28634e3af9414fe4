"""Named latents of the photo editor: directions in IAN's latents that change one thing in a face, and what they do.

IAN's latents have no names of their own. How the face network's attributes answer to them is measured on faces whose
latents are moved at random; an attribute's direction is then where it rises most, with as much of
the other attributes' directions as takes out what those do. A name is kept where what shows in the photo, after edit
transfer, is seen by the face network and by a second one that no training used.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from .... import weights
from ....editing import transfer
from ....editing.brush import BOUND, as_array
from ....editing.editor import STRENGTH
from ....editing.network import MODEL, load_network
from ....models.ian import IAN
from ...metrics.features import judge_network
from .latents import Effects, effects
from .measures import COLOURS, TURN, WORDS, Measures
from .naming import NOTICEABLE, SURE, Found, describe, figures, machine_name
from .response import Response, compensated, regress

REACH = 4.0  # from the middle of a slider to either end, along a direction of length 1
DRAWS = 16  # random moves of all latents, for every face
STEP = 0.7  # standard deviation of a move
LEARNING_FACES = 1000  # of which the measures' spread is taken, at most
OWN = 0.5  # of the largest effect, in standard deviations over faces, that the attribute's own must have
SEEN = 0.6  # standard deviations over faces that an effect must reach for a slider
JUDGED = 0.5  # of what makes an effect noticeable to the face network, that the other must see
UNNAMED = frozenset({"Blurry", *COLOURS, TURN})
# Attributes whose directions did not show what they are called when looked at: most changed the skin's colour.
UNSEEN = frozenset({"Wearing_Earrings", "Big_Lips", "Pointy_Nose", "High_Cheekbones", "Wavy_Hair"})
RESPONSE_FACES = 128  # on which latents are moved at random, at most


def discover_editor(frames: Tensor, limit: int) -> dict[str, Any]:
    """What latents.json of the editor's network holds, but for the command, measured on the first `limit` faces.

    frames: (N, 3, 64, 64) in [-1, 1]; limit > 1. The strongest come first.
    """
    network, faces = load_network(), frames[:limit]
    measures = Measures.learn(frames[:LEARNING_FACES])
    response = measure_response(network, frames[:RESPONSE_FACES], measures)
    offered = [name for name in measures.names if name in WORDS and name not in UNNAMED | UNSEEN]
    directions = find_directions(response, measures, offered)
    found = [_entry(network, faces, measures, name, directions[name]) for name in offered]
    kept = sorted((entry for entry in found if entry.pop("confirmed")), key=lambda entry: -entry["seen"])
    return {
        "weights": weights.fingerprint(MODEL),
        "faces": len(faces),
        "measures": measures.names,
        "tried": len(offered),
        "named": kept,
    }


@torch.inference_mode()
def measure_response(network: IAN, faces: Tensor, measures: Measures) -> Response:
    """How the measures of what the generator draws answer to its latents, moved at random around those of each face
    (N, 3, 64, 64)."""
    generator, everywhere = torch.Generator().manual_seed(0), torch.ones(faces.shape[2:], dtype=torch.bool)
    moves, found = [], []
    for z in network.encode(faces).split(1):
        move = STEP * torch.randn((DRAWS, z.shape[1]), generator=generator)
        found.append(measures.of(network.generator(z + move), everywhere).double().numpy())
        moves.append(move.double().numpy())
    return Response(*regress(np.stack(moves), np.stack(found)))


def find_directions(response: Response, measures: Measures, offered: list[str]) -> dict[str, np.ndarray]:
    """A direction (z,) of length 1 for every offered attribute: `compensated`, in the space that their slopes span."""
    places = [measures.names.index(name) for name in offered]
    uphill = response.slopes[:, places] / np.linalg.norm(response.slopes[:, places], axis=0)  # (z, n)
    spanned = Response(uphill.T @ response.slopes, response.base)
    found = {}
    for index, name in enumerate(offered):
        vector = uphill @ compensated(spanned, index, places[index], places)
        found[name] = vector / np.linalg.norm(vector)
    return found


def _entry(network: IAN, faces: Tensor, measures: Measures, attribute: str, direction: np.ndarray) -> dict[str, Any]:
    own = measures.names.index(attribute)
    sign = -1.0 if WORDS[attribute][0].startswith("less ") else 1.0  # named after what one can see more of
    label, vector = WORDS[attribute][0 if sign > 0 else 1], torch.from_numpy(sign * direction).float()[None]
    judged: list[Tensor] = []

    @torch.inference_mode()
    def draw(image: Tensor, number: int) -> Tensor:
        shown = moved(network, image, vector * torch.tensor([[-REACH], [REACH]]))
        judged.append(judge_network()(shown)[:, judge_network().config.names.index(attribute)])
        return shown[None]

    everywhere = torch.zeros((1, 1, *faces.shape[2:]))
    measured = effects(draw, faces, everywhere, measures, label)
    low, high = torch.stack(judged).unbind(1)
    by_judge, spread = float((high - low).mean()), float(torch.cat((low, high)).std())
    sizes = np.abs(measured.change[0] / measures.spread)
    return {
        "name": machine_name(label),
        "label": label,
        "evidence": describe(measures, Found(label, (own,)), measured, 0, (-REACH, REACH), "in the photo"),
        "attribute": attribute,
        "range": REACH,
        "vector": [round(float(value), 4) for value in vector[0]],
        "seen": round(float(sizes[own]), 3),
        "largest": round(float(sizes.max()), 3),
        "judge": round(sign * by_judge / spread, 3),
        "confirmed": confirmed(measured, measures, own, sign, sign * by_judge / spread),
    } | {name: value for name, value in figures(measured, 0, measured.maps[0]).items() if name == "strength"}


def confirmed(measured: Effects, measures: Measures, own: int, sign: float, by_judge: float) -> bool:
    """Whether what shows is what the name says: surely, noticeably, mainly, and to the second network as well.

    own: the attribute's place among the measures; by_judge: its change as the second network sees it, in standard
    deviations of its logit over the pictures.
    """
    change, error = measured.change[0], measured.error[0]
    sizes = np.abs(change / measures.spread)
    attributes = [index for index, name in enumerate(measures.names) if name in WORDS and name not in UNNAMED]
    sure = sign * change[own] > SURE * error[own] and sizes[own] >= SEEN
    return bool(sure and sizes[own] >= OWN * sizes[attributes].max() and by_judge >= JUDGED * NOTICEABLE)


def moved(network: IAN, image: Tensor, moves: Tensor) -> Tensor:
    """A face (1, 3, 64, 64) with its latents moved (n, z), the edits transferred to it: (n, 3, 64, 64)."""
    z = network.encode(image)
    reconstruction, *edited = network.generator(torch.cat((z, (z + moves).clamp(-BOUND, BOUND)))).split(1)
    frame, first = as_array(image), as_array(reconstruction)
    shown = [transfer.edit_frame(frame, as_array(picture), first, STRENGTH) for picture in edited]
    return torch.from_numpy(np.stack(shown)).permute(0, 3, 1, 2).clamp(-1.0, 1.0).contiguous()
