"""The tables and figures in README.md and docs/, written from metrics.json and the JSON beside the documents."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from .. import weights
from ..errors import UsageError
from ..research.studies.ablations import introspective
from ..research.studies.ablations import report as ablations
from ..research.studies.ablations.autoregressive import report as autoregressive
from ..research.studies.tables import table
from . import benchmark, soaking

PLACE = re.compile(r"(<!-- table: (.+?) -->\n).*?(<!-- end -->)", re.DOTALL)
METHODS = ("csi", "dcgan", "vae", "vae-oneshot", "vae-attributes", "pixelcnn")
MASKS = ("mouth", "eyes", "center", "left")
FILLS = ("hole", "method", "l1", "bits_per_dim", "seam", "sharpness", "diversity", "frechet_judge")
CONTROLS = ("control", "wanted", "right_way", "unwanted", "unwanted_of")
GUIDANCE = ("model", "score", "distance_judge", "ssim", "agrees_judge", "paper_distance", "paper_ssim")


def rewrite(root: Path, check: bool = False) -> list[Path]:
    """Writes every table anew where a document has a place for it: between `<!-- table: NAME -->` and `<!-- end -->`.

    root: the checkout. check: writes nothing. Returns the files that were, or would be, changed. Raises UsageError for
    an unknown table, WeightsError for figures that are missing.
    """
    changed = []
    for file in (root / "README.md", *sorted((root / "docs").glob("*.md"))):
        text = file.read_text(encoding="utf-8")
        new = PLACE.sub(lambda found: f"{found[1]}\n{_content(found[2], root / 'docs')}\n\n{found[3]}", text)
        if new != text:
            changed.append(file)
            if not check:
                weights.write_atomically(file, new)
    return changed


def _content(name: str, docs: Path) -> str:
    if name in WEIGHTS:
        return WEIGHTS[name]()
    if name in REPORTS:
        file, text = REPORTS[name]
        figures = json.loads((docs / file).read_text(encoding="utf-8"))
        return f"```sh\n{figures['command']}\n```\n\n{text(figures).strip()}"
    raise UsageError(f"no table {name!r}: there are {', '.join((*WEIGHTS, *REPORTS))}")


def _found(method: str, name: str) -> dict[str, Any] | None:
    return weights.read_metrics(method).get("test", {}).get(name)


def _short(value: Any) -> Any:
    return float(f"{value:.3g}") if isinstance(value, float) else value


def _table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> str:
    return table([{name: _short(value) for name, value in row.items()} for row in rows], columns)


def _fills() -> str:
    rows = [
        {"hole": mask, "method": method} | figures
        for mask in MASKS
        for method in METHODS
        if method != "vae-attributes" and (figures := _found(method, mask))
    ]
    return _table(rows, FILLS)


def _short_fills() -> str:
    methods = ("csi", "vae", "vae-oneshot")
    rows = []
    for mask in MASKS:
        measured = {method: _found(method, mask) for method in methods}
        rows.append({"hole": mask} | {method: f"{row['frechet_judge']:.1f}" for method, row in measured.items() if row})
    return _table(rows, ("hole", *methods))


def _photos() -> str:
    rows = []
    for mask in MASKS:
        for method in METHODS:
            drawn, refined = (_found(method, f"photos {mask} {how}") for how in ("as drawn", "refined"))
            if drawn and refined:
                figures = {
                    f"{name}, {how}": row[name]
                    for name in ("sharpness", "frechet_judge")
                    for how, row in (("drawn", drawn), ("refined", refined))
                }
                rows.append({"hole": mask, "method": method} | figures)
    return _table(rows, tuple(rows[0]))


def _variety() -> str:
    rows = [{"method": method} | row for method in METHODS if (row := _found(method, "variety mouth"))]
    return _table(rows, ("method", "varied", "varied_judge", "diversity", "n"))


def _controls(method: str) -> Callable[[], str]:
    def rows() -> str:
        figures = _found(method, "controls") or {"controls": []}
        return _table([row for row in figures["controls"] if row["judge"] == "judge"], CONTROLS)

    return rows


def _guidance() -> str:
    figures = _found("vae-attributes", "guidance center") or {"rows": []}
    return _table([row for row in figures["rows"] if not row["model"].endswith("reconstruction")], GUIDANCE)


def _others() -> str:
    """One figure a row, of what has no table of its own."""
    rows = []
    for what, model, name, key in OTHERS:
        if (figures := _found(model, name)) is not None:
            value: Any = figures
            for part in key.split("/"):
                value = value[part]
            rows.append({"figure": what, "value": value, "n": figures["n"]})
    return _table(rows, ("figure", "value", "n"))


OTHERS = (
    ("attributes seen by the face network, balanced accuracy", "attributes", "attributes", "balanced_accuracy"),
    ("faces found in turned, scaled and pasted pictures", "aligner", "alignment", "found"),
    ("eyes off, median, pixels of the frame", "aligner", "alignment", "eye_error_median"),
    ("eyes off, 95th percentile", "aligner", "alignment", "eye_error_p95"),
    ("samples of DCGAN, Fréchet distance", "dcgan", "samples", "frechet"),
    ("samples of the VAE", "vae", "samples", "frechet"),
    ("samples of the editor's IAN", "ian", "reconstructions", "frechet"),
    ("one half of the test faces from the other", "ian", "reconstructions", "floor"),
    ("reconstructions of the IAN, L1", "ian", "reconstructions", "l1"),
    ("DCGAN's search, final loss by the faithful one's", "dcgan", "descent center", "loss_ratio"),
    ("its time by the faithful one's", "dcgan", "descent center", "time_ratio"),
    ("a dark stroke brings the wanted attribute, share of faces", "ian", "strokes", "dark forehead/raised"),
    ("a white stroke in the mouth", "ian", "strokes", "white mouth/raised"),
    ("a stroke's last picture, milliseconds after its last move", "ian", "latency", "milliseconds"),
    ("the same, 95th percentile", "ian", "latency", "milliseconds_95"),
    ("an edit carried over to 12 megapixels, milliseconds", "ian", "transfer", "milliseconds"),
)
WEIGHTS: Mapping[str, Callable[[], str]] = {
    "fills": _fills,
    "fills in short": _short_fills,
    "photos": _photos,
    "variety": _variety,
    "controls of csi": _controls("csi"),
    "controls of vae-attributes": _controls("vae-attributes"),
    "controls of pixelcnn": _controls("pixelcnn"),
    "guidance": _guidance,
    "other figures": _others,
}
REPORTS: Mapping[str, tuple[str, Callable[[dict[str, Any]], str]]] = {
    "claims": ("ablations.json", ablations.markdown),
    "claims of the editor": ("ablations-ian.json", introspective.markdown),
    "claims of the Gated PixelCNN": ("ablations-pixelcnn.json", autoregressive.markdown),
    "speed": ("bench.json", benchmark.markdown),
    "soak": ("soak.json", lambda figures: f"```\n{soaking.markdown(figures)}\n```"),
}
