"""`trial`: which of the two is the photo? A page of pairs to judge, and the rate of right answers."""

from __future__ import annotations

import argparse
import base64
import json
import math
import sys
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ..complete import Request, Subject
from ..errors import UsageError
from ..methods import available_methods, load_method
from ..photo.finding import find_faces
from ..photo.placement import Placement
from ..photo.reading import open_photo
from ..pixels import jpeg
from .common import FAMILIES, positive, write_file, write_json

PAGE, KEY, ANSWERS = "trial.html", "key.json", "answers.json"
SIDES = ("left", "right")
TILE, AROUND = 384, 1.5  # largest side of a picture on the page, and how many sides of the frame it shows
NORMAL = 1.959964  # of a 95 % interval
HTML = Path(__file__).with_name("trial.html")


def add_to(commands: argparse._SubParsersAction) -> None:
    """Adds the command to the parser."""
    trial = commands.add_parser("trial", help="which is the photo? pairs of photos and fills as a page to judge")
    trial.add_argument("photos", type=Path, nargs="?", help="a folder of photos, or a pack of whole pictures")
    trial.add_argument("--out", type=Path, help=f"a folder for {PAGE} and, kept apart, {KEY}")
    trial.add_argument("--mask", nargs="+", default=["mouth", "eyes", "center"], help=f"holes in turn: {FAMILIES}")
    trial.add_argument("--method", nargs="+", default=["csi"], help=f"in turn: {', '.join(available_methods())}")
    trial.add_argument("--limit", type=int)
    trial.add_argument("--seed", type=int, default=0, help="of fills, order and sides")
    trial.add_argument("--answers", type=Path, metavar="FILE", help="instead: what the page saved; says how many hit")
    trial.add_argument("--key", type=Path, metavar="FILE", help=f"of the answers; default: {KEY} beside them")
    trial.add_argument("--json", type=Path, help="the rates, too, as JSON")
    trial.set_defaults(run=_trial)


def _trial(options: argparse.Namespace) -> None:
    if (options.photos is None) == (options.answers is None):
        raise UsageError("need photos and --out to make a trial, or --answers to judge one")
    if options.answers is not None:
        rows = judged(_read(options.answers), _read(options.key or options.answers.with_name(KEY)))
        for row in rows:
            print("{method} {mask}: {right} of {n} right, {rate:.0%} ({low:.0%} to {high:.0%})".format(**row))
        if options.json:
            write_json({"rows": rows, "command": options.line}, options.json)
        return
    if options.out is None:
        raise UsageError("--out is needed: a folder for the page and its key")
    positive(options.limit)
    for name in options.method:
        load_method(name)
    pairs = _pairs(options)
    if not pairs:
        raise UsageError(f"no face was found in any photo of {options.photos}")
    trial = base64.urlsafe_b64encode(np.random.default_rng(options.seed).bytes(6)).decode()
    pictures = [[_url(picture) for picture in pair.pop("pictures")] for pair in pairs]
    content = json.dumps({"trial": trial, "file": ANSWERS, "pairs": pictures}).replace("</", "<\\/")
    write_file(HTML.read_text(encoding="utf-8").replace("{{content}}", content), options.out / PAGE)
    write_json({"trial": trial, "pairs": pairs, "command": options.line}, options.out / KEY)
    print(f"{len(pairs)} pairs: open {options.out / PAGE}; then trial --answers {ANSWERS} --key {options.out / KEY}")


def _pairs(options: argparse.Namespace) -> list[dict[str, Any]]:
    """A pair for every photo with a face, in random order: its two pictures, left first, and what the key says."""
    from ..data import read_encoded

    rng, pairs = np.random.default_rng(options.seed), []
    kinds = [(method, mask) for mask in options.mask for method in options.method]
    for index, (name, file) in enumerate(read_encoded(options.photos, options.limit).items()):
        photo = open_photo(file, name)
        faces = find_faces(photo)
        if not faces:
            print(f"csi_demo: {name}: no face found, left out", file=sys.stderr)
            continue
        method, mask = kinds[index % len(kinds)]
        request = Request(Subject.of(photo, mask, placement=faces[0]), load_method(method), (options.seed + index,))
        filled = request.finished(request.last_step().pictures[0])
        pictures = [_tile(picture, faces[0]) for picture in (photo, filled)]
        side = int(rng.integers(2))
        pairs.append(
            {"method": method, "mask": mask, "row": index, "photo": SIDES[side], "pictures": pictures[:: 1 - 2 * side]}
        )
    return [pairs[place] for place in rng.permutation(len(pairs))]


def _tile(photo: Image.Image, place: Placement) -> Image.Image:
    """The face and some of what is around it, no larger than it is in the photo."""
    side = min(TILE, round(AROUND * place.size))
    return Placement(place.x, place.y, AROUND * place.size, place.angle).frame(photo, side)


def _url(picture: Image.Image) -> str:
    """Both pictures of a pair go through the same JPEG, so that its traces tell nothing."""
    return f"data:image/jpeg;base64,{base64.b64encode(jpeg(picture)).decode()}"


def _read(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"cannot read {file}: {error.strerror}") from None
    except ValueError:
        raise UsageError(f"{file} is no JSON") from None
    if not isinstance(content, dict) or "trial" not in content or not {"pairs", "answers"} & content.keys():
        raise UsageError(f"{file} is neither a trial's answers nor its key")
    return content


def judged(answers: dict[str, Any], key: dict[str, Any]) -> list[dict[str, Any]]:
    """Rows of method, mask, n, right, rate and its 95 % interval, low and high (Wilson); the last is of all pairs.

    answers: {"trial", "answers": {number of the pair, from "1": "left" or "right", where the photo is taken to be}};
    pairs without an answer do not count. Raises UsageError for answers of another trial, or for none.
    """
    given = answers.get("answers")
    if not isinstance(given, dict) or answers["trial"] != key["trial"] or "pairs" not in key:
        raise UsageError("the answers are not of this trial: --key names another one")
    hits: dict[tuple[str, str], list[bool]] = {}
    for number, pair in enumerate(key["pairs"], 1):
        if (answer := given.get(str(number))) in SIDES:
            for kind in ((pair["method"], pair["mask"]), ("all", "holes")):
                hits.setdefault(kind, []).append(answer == pair["photo"])
    if not hits:
        raise UsageError("no pair has an answer yet")
    order = sorted(hits, key=lambda kind: (kind == ("all", "holes"), kind))
    rows = []
    for method, mask in order:
        right, count = sum(hits[method, mask]), len(hits[method, mask])
        low, high = wilson(right, count)
        rows.append(
            {"method": method, "mask": mask, "n": count, "right": right}
            | {"rate": round(right / count, 4), "low": round(low, 4), "high": round(high, 4)}
        )
    return rows


def wilson(right: int, count: int) -> tuple[float, float]:
    """The 95 % interval of a rate (Wilson, 1927), of `right` out of `count` > 0."""
    share, weight = right / count, NORMAL**2 / count
    middle = (share + weight / 2) / (1 + weight)
    reach = NORMAL * math.sqrt(share * (1 - share) / count + weight / (4 * count)) / (1 + weight)
    return max(0.0, middle - reach), min(1.0, middle + reach)
