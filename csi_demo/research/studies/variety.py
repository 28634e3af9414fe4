"""How much the samples of one hole differ in what they mean."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from ... import masks
from ...data import read_pack
from ...methods import load_method
from ...pixels import masks_to_tensor, to_float
from ..metrics.features import face_network, judge_network
from ..metrics.inside import measure

SAMPLES = 8  # drawn for every picture
EXPRESSION = ("Smiling", "Mouth_Slightly_Open")
APART = 0.3  # in the probability of either, from where on two samples differ
COLUMNS = ("method", "varied", "varied_judge", "diversity", "n")


def evaluate_variety(
    method_name: str, data: str | Path, mask_name: str, *, limit: int | None = None, seed: int = 0
) -> dict[str, Any]:
    """On how many faces two of a method's 8 samples of one hole differ in expression.

    Returns varied and varied_judge (share of the faces on which the probability of smiling or of an open mouth of two
    samples lies 0.3 or more apart, by the face network and by the judge, which no training saw), diversity (mean L1 in
    the hole between the samples of a face, range of pixels: 2) and n. Picture k takes the seeds seed + 8 k ... seed +
    8 k + 7, and for mask families with fresh masks the k-th mask. Raises as `fills.evaluate`.
    """
    method = load_method(method_name)
    networks = {"varied": face_network(), "varied_judge": judge_network()}
    rng, draw = np.random.default_rng(seed), masks.sampler(mask_name)
    rows = []
    for index, frame in enumerate(read_pack(data, limit)):
        image, mask = to_float(frame)[None], masks_to_tensor([draw(rng)])
        *_, last = method.complete(image, mask, range(seed + SAMPLES * index, seed + SAMPLES * (index + 1)))
        row = {"diversity": measure(image, mask, last.images)["diversity"]}
        for name, network in networks.items():
            columns = [network.config.names.index(attribute) for attribute in EXPRESSION]
            with torch.inference_mode():
                likely = network.probabilities(last.images)[:, columns]  # (8, 2)
            row[name] = float(((likely.amax(0) - likely.amin(0)) >= APART).any())
        rows.append(row)
    means = {key: round(float(np.mean([row[key] for row in rows])), 4) for key in COLUMNS if key in rows[0]}
    return {"n": len(rows)} | means
