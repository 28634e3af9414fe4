"""Figures of the photo editor and its network: reconstructions, samples, what strokes bring, the time of transfer."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from tqdm import tqdm

from ...data import read_pack
from ...editing import Editor, transfer
from ...editing.brush import BOUND, as_array
from ...editing.network import load_network
from ...editing.strokes import Stroke, draw
from ...methods import load_method
from ...models.attributes import AttributeNet
from ...photo import sheets
from ...photo.placement import Placement
from ...pixels import FRAME, png, to_float, to_pictures, to_tensor
from ...weights import write_atomically
from ..metrics.features import face_features, face_network, features, judge_network
from ..metrics.frechet import frechet_distance

BATCH = 50
BEYOND = 0.05  # of the mask, below which a pixel is beyond it
CLEAR = 1.0  # of a logit, that a clear rise is
PAIRS, BETWEEN = 8, 8  # interpolations on a sheet, and the pictures of each
LARGE = (4000, 3000)  # of the photo whose transfer is timed
REPEATS = 15
KEPT_ROWS, REACH = 20, 6  # of that frame: rows without an edit, and those that the mask's smoothing reaches into


@dataclass(frozen=True)
class Trial:
    """A stroke in frame pixels, and attributes that it is to raise or, with a minus, to lower."""

    stroke: Stroke
    wanted: tuple[str, ...]


TRIALS: Mapping[str, Trial] = {
    "dark forehead": Trial(
        Stroke(((26.0, 16.0), (32.0, 16.0), (38.0, 16.0)), 13.0, "#1a0f08", 6),
        ("Bangs", "Black_Hair", "-Receding_Hairline"),
    ),
    "white mouth": Trial(  # between the lips: there, in rows 53 to 57, smiling faces are lighter than others
        Stroke(((29.0, 55.0), (32.0, 55.0), (35.0, 55.0)), 3.0, "#ffffff", 8), ("Smiling", "Mouth_Slightly_Open")
    ),
}


def evaluate_reconstructions(data: str | Path, *, limit: int | None, seed: int, sheet: Path | None) -> dict[str, Any]:
    """What the network makes of test faces, and what it draws, beside DCGAN's drawings in the same run.

    Returns l1 (of a range of 2) and attribute_error (mean difference of the face network's probabilities) of
    reconstructions; frechet and frechet_judge of as many samples as faces to the faces, by each network's features;
    dcgan's likewise; floor, one half of the faces against the other; n. sheet: FILE.png, where FILE-reconstructions,
    -samples and -interpolations are written.
    """
    network, faces = load_network(), to_float(read_pack(data, limit))
    latents, drawn = [], []
    with torch.inference_mode():
        for part in tqdm(faces.split(BATCH), desc="reconstructions", disable=None):
            latents.append(network.encode(part))
            drawn.append(network.generator(latents[-1]))
        z = torch.randn((len(faces), latents[0].shape[1]), generator=torch.Generator().manual_seed(seed))
        sampled = torch.cat([network.generator(part) for part in z.clamp(-BOUND, BOUND).split(BATCH)])
    rebuilt, places = torch.cat(drawn), torch.cat(latents)
    if sheet is not None:
        _sheets(sheet, faces, rebuilt, sampled, places)
    apart = (_probabilities(face_network(), rebuilt) - _probabilities(face_network(), faces)).abs()
    others = load_method("dcgan").sample(len(faces), seed)
    real, judged = face_features(faces), features(judge_network(), faces)
    return {
        "n": len(faces),
        "l1": round(float((rebuilt - faces).abs().mean()), 4),
        "attribute_error": round(float(apart.mean()), 4),
        **_distances("", sampled, real, judged),
        **_distances("dcgan_", others, real, judged),
        "floor": round(frechet_distance(real[::2], real[1::2]), 3),
        "floor_judge": round(frechet_distance(judged[::2], judged[1::2]), 3),
    }


def evaluate_strokes(data: str | Path, *, limit: int, sheet: Path | None) -> dict[str, Any]:
    """What TRIALS bring on test faces. Name of the trial -> figures.

    raised: share of faces on which the face network sees any wanted attribute rise; clear: by at least CLEAR logits;
    judge, judge_clear: the same by the second network; without: of how many faces the face network saw no wanted
    attribute before, raised_without: raised among those; probabilities: of each wanted attribute, mean before, after;
    beyond: mean change, in levels, of pixels beyond the mask; beyond_share: how many those are; n.
    """
    frames = read_pack(data, limit)
    before = to_float(frames)
    found: dict[str, Any] = {"n": len(frames)}
    for name, trial in TRIALS.items():
        pictures, masks = [], []
        for frame in tqdm(to_pictures(before), desc=name, disable=None):
            editor = Editor(frame, Placement.centred(frame.size))
            draw(editor, [trial.stroke])
            pictures.append(to_tensor(editor.photo))
            masks.append(np.asarray(editor.views["mask"]) / 255.0)
        after = torch.cat(pictures)
        if sheet is not None:
            _save(sheet, name.replace(" ", "-"), _side_by_side(before, after))
        found[name] = _brought(trial.wanted, before, after, np.stack(masks))
    return found


def evaluate_transfer(size: tuple[int, int] = LARGE) -> dict[str, Any]:
    """How long an edit's transfer to a photo of this (width, height) takes. The face is half as high; it also says
    whether the photo is its own bit for bit where the mask is 0.

    Returns milliseconds, the fastest of n times, since other work on the machine only adds; megapixels; untouched;
    changed_share of the photo's pixels.
    """
    rng = np.random.default_rng(0)
    grain = rng.integers(0, 256, (size[1] // 8, size[0] // 8, 3), dtype=np.uint8)
    pixels = np.asarray(Image.fromarray(grain).resize(size, Image.Resampling.BICUBIC))
    placement = Placement(size[0] / 2, size[1] / 2, size[1] / 2, 7.0)
    network = load_network()
    with torch.inference_mode():
        z = torch.randn((1, network.config.latent_dim), generator=torch.Generator().manual_seed(0))
        drawn = network.generator(torch.cat((z, z + 0.3)))
    edited, first = as_array(drawn[1:]), as_array(drawn[:1])
    edited[:KEPT_ROWS] = first[:KEPT_ROWS]
    seconds = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        result = transfer.edit_photo(pixels, placement, first, edited, first, 2.0)
        seconds.append(time.perf_counter() - began)
    rows, columns = np.indices(pixels.shape[:2])
    at = placement.to_frame(np.stack((columns + 0.5, rows + 0.5), -1).reshape(-1, 2)).reshape(*pixels.shape[:2], 2)
    outside = (at[..., 1] < KEPT_ROWS - REACH) | (at < -0.5).any(-1) | (at > FRAME + 0.5).any(-1)
    return {
        "n": REPEATS,
        "megapixels": round(size[0] * size[1] / 1e6, 1),
        "milliseconds": round(1000 * min(seconds), 1),
        "untouched": bool((result == pixels)[outside].all()),
        "changed_share": round(float((result != pixels).any(-1).mean()), 4),
    }


def _brought(wanted: Sequence[str], before: Tensor, after: Tensor, masks: np.ndarray) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for network, names in ((face_network(), ("raised", "clear")), (judge_network(), ("judge", "judge_clear"))):
        signs = torch.tensor([-1.0 if name.startswith("-") else 1.0 for name in wanted])
        columns = [network.config.names.index(name.lstrip("-")) for name in wanted]
        first, last = (_logits(network, pictures)[:, columns] for pictures in (before, after))
        rise = ((last - first) * signs).amax(1)
        found |= {names[0]: _share(rise > 0.0), names[1]: _share(rise >= CLEAR)}
        if names[0] == "raised":
            without = (first * signs < 0.0).all(1)
            found["without"] = int(without.sum())
            if found["without"]:
                found["raised_without"] = _share(rise[without] > 0.0)
            means = zip(first.sigmoid().mean(0).tolist(), last.sigmoid().mean(0).tolist(), strict=True)
            pairs = [[round(value, 3) for value in pair] for pair in means]
            found["probabilities"] = dict(zip((name.lstrip("-") for name in wanted), pairs, strict=True))
    change = 127.5 * (after - before).abs().mean(1).numpy()
    beyond = masks < BEYOND
    return found | {"beyond": round(float(change[beyond].mean()), 3), "beyond_share": round(float(beyond.mean()), 3)}


def _share(found: Tensor) -> float:
    return round(float(found.float().mean()), 4)


@torch.inference_mode()
def _logits(network: AttributeNet, pictures: Tensor) -> Tensor:
    return torch.cat([network(part) for part in pictures.split(BATCH)])


def _probabilities(network: AttributeNet, pictures: Tensor) -> Tensor:
    return _logits(network, pictures).sigmoid()


def _distances(prefix: str, drawn: Tensor, real: np.ndarray, judged: np.ndarray) -> dict[str, float]:
    return {
        f"{prefix}frechet": round(frechet_distance(face_features(drawn), real), 3),
        f"{prefix}frechet_judge": round(frechet_distance(features(judge_network(), drawn), judged), 3),
    }


@torch.inference_mode()
def _sheets(sheet: Path, faces: Tensor, rebuilt: Tensor, sampled: Tensor, places: Tensor) -> None:
    _save(sheet, "reconstructions", _side_by_side(faces, rebuilt))
    _save(sheet, "samples", sampled[: min(64, len(sampled) // 8 * 8)].unflatten(0, (-1, 8)))
    steps = torch.linspace(0.0, 1.0, BETWEEN)[:, None]
    first, last = places[: 2 * PAIRS : 2], places[1 : 2 * PAIRS : 2]
    rows = [load_network().generator(a + steps * (b - a)) for a, b in zip(first, last, strict=False)]
    _save(sheet, "interpolations", torch.stack(rows))


def _side_by_side(first: Tensor, second: Tensor) -> Tensor:
    """The first 32 of both (N, 3, H, W) in turn, eight pairs a row."""
    pairs = torch.stack((first[:32], second[:32]), 1).flatten(0, 1)
    return pairs.unflatten(0, (-1, 16 if len(pairs) % 16 == 0 else 2))


def _save(sheet: Path, name: str, rows: Tensor) -> None:
    write_atomically(sheet.with_stem(f"{sheet.stem}-{name}"), png(sheets.contact_sheet(rows)))
