"""The paper's claims, tested on small variants of CSI: tables and figures."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .... import weights
from ....data import read_pack, shrink
from ....methods.small_csi import SHOWN, SIZE, load, model_name, normal
from ....models import logistic_mixture
from ....models.csi import CSI
from ....pixels import to_float, to_pictures
from ..tables import meanings, table
from .measures import (
    HOLE,
    ROUGH,
    draw_all,
    hole_mask,
    infer_all,
    last_edges,
    mean_and_error,
    measure_fills,
    measure_latents,
    prior_fills,
    reconstructions,
)
from .shared import SHEET, present, write_sheet
from .variants import BLOCKS_1, BLOCKS_5, FORWARD_ONLY, NO_LATENTS, OBJECTIVES, ONE_STAGE, TWO_STAGE, VARIANTS, Variant

CLAIMS: tuple[tuple[str, str, str, tuple[Variant, ...], tuple[str, ...]], ...] = (
    (
        "objectives",
        "Training objectives (section 5.3, appendix B)",
        "With a heavy penalty on the total correlation (β-TCVAE) draws of one picture differ as if the latents were "
        "ignored; without the mutual information (Info-β-TCVAE) the aggregate posterior shrinks below the prior; "
        "InfoVAE-MMD has neither fault.",
        OBJECTIVES,
        ("variant", "bits_per_dim", "redraw", "mutual_information", "total_correlation", "spread", "sigma"),
    ),
    (
        "stages",
        "Two stages against one (section 5.3, appendix C.3)",
        "Trained in one stage, latents drawn from the prior change fills less, and there is noise near the lower right "
        "corner of the hole, unless the latents are inferred.",
        (TWO_STAGE, ONE_STAGE),
        ("variant", "diversity", "control", "corner", "elsewhere", "corner_inferred", "bits_per_dim", "seam"),
    ),
    (
        "streams",
        "The reverse stream (section 5.3)",
        "Without it a line shows at the lower and right edges of the hole; without latents the bidirectional PixelCNN "
        "still inpaints.",
        (TWO_STAGE, FORWARD_ONLY, NO_LATENTS),
        ("variant", "seam", "bits_per_dim", "gain", "edge_gain"),
    ),
    (
        "receptive-field",
        "Receptive field (section 3)",
        "With a small one details cannot be modelled far, so that more is left to the latents.",
        (BLOCKS_1, TWO_STAGE, BLOCKS_5),
        ("variant", "reach", "bits_per_dim", "seam", "control"),
    ),
)
COLUMNS = {
    "redraw": "mean L1 between draws of one picture over that between draws of different ones (1: latents ignored)",
    "mutual_information": "nats a picture (equation 5); the total correlation is the next part of equation 2",
    "spread": "standard deviation of the aggregate posterior (prior: 1), mean over the latents",
    "sigma": "mean standard deviation of a picture's posterior",
    "diversity": "mean L1 (of 2) between fills with latents drawn from the prior, pixel noise fresh",
    "control": "the same with the pixel noise kept: what the latents alone change",
    "corner": f"roughness of such fills in the hole's last {ROUGH}x{ROUGH} pixels over that of the true ones",
    "elsewhere": "the same in the rest of the hole",
    "corner_inferred": "as corner, with latents from the posterior",
    "seam": "step across the hole's lower and right edges over the true one (1: no seam), latents from the posterior",
    "bits_per_dim": "-log2 p a channel: of the hole's true pixels given the context; for objectives, of whole pictures "
    "given their own latents",
    "gain": "bits/dim less than without the reverse stream, picture by picture",
    "edge_gain": "the same in the hole's last row and column",
    "reach": "pixels that a pixel sees above it and to its left",
}


def measure_variants(test: Path, folder: Path | None, *, limit: int | None = None, seed: int = 0) -> dict[str, Any]:
    """Every claim's rows for the variants that a folder has, measured on a pack of test pictures averaged 2x2.

    folder: None for the variants among the weights. Returns n, hole, and for every claim a list of rows; see `COLUMNS`.
    Raises WeightsError where there are none.
    """
    images = to_float(shrink(read_pack(test, limit), SIZE))
    found: dict[str, dict[str, Any]] = {}
    bits: dict[str, Tensor] = {}
    for variant in _present(folder):
        model = load(variant.name, folder)
        trained = weights.read_metrics(model_name(variant.name, folder), folder)["training"]["pictures_per_stage"]
        if variant in OBJECTIVES:
            found[variant.name] = measure_latents(model, images, seed)
        else:
            found[variant.name], bits[variant.name] = measure_fills(model, images, seed)
        found[variant.name] |= {"pictures": ", ".join(f"{trained[one]} in stage {one}" for one in sorted(trained))}
    if FORWARD_ONLY.name in bits:
        edges = last_edges(hole_mask())
        for name, its in bits.items():
            gain = bits[FORWARD_ONLY.name] - its
            found[name] |= mean_and_error("gain", gain.mean(1)) | mean_and_error("edge_gain", gain[:, edges].mean(1))
    rows = {
        key: [{"variant": one.label} | found[one.name] for one in variants if one.name in found]
        for key, _, _, variants, _ in CLAIMS
    }
    return {"n": len(images), "hole": HOLE, "seed": seed} | rows


def _present(folder: Path | None) -> list[Variant]:
    return present(VARIANTS, folder, lambda variant: model_name(variant.name, folder))


def markdown(figures: Mapping[str, Any]) -> str:
    """A table for each claim that there are rows for, with what the paper says and what the columns mean."""
    parts, names = [], []
    for key, title, claim, _, columns in CLAIMS:
        if figures[key]:
            names += [name for name in columns if name in COLUMNS and name not in names]
            parts.append(f"### {title}\n\nThe paper: {claim}\n\n{table(figures[key], columns)}\n")
    listed = meanings({name: COLUMNS[name] for name in names})
    return "\n".join([*parts, f"### What the columns mean\n\n{listed}\n"])


def write_figures(test: Path, folder: Path | None, out: Path, *, seed: int = 0) -> list[Path]:
    """Contact sheets of the first test pictures, one for each claim whose variants the folder has, and a plot of the
    aggregate posteriors, as PNG. Returns the files."""
    images = to_float(shrink(read_pack(test, 500), SIZE))
    models = {variant.name: load(variant.name, folder) for variant in _present(folder)}
    one, several = images[:1], images[:SHEET]
    files = []
    for key, title, _, variants, _ in CLAIMS:
        shown = [(variant, models[variant.name]) for variant in variants if variant.name in models]
        if not shown:
            continue
        if key == "objectives":
            head: list[tuple[str, Tensor]] = [("true", one.expand(SHEET, -1, -1, -1))]
            rows = [(its.label, reconstructions(model, one, SHEET, seed)[:, 0]) for its, model in shown]
            files.append(_plot_posteriors({its.label: model for its, model in shown}, images, out))
        elif key == "stages":
            head = [("true, masked", torch.cat((one, one * hole_mask())).repeat(SHEET // 2, 1, 1, 1))]
            rows = [(its.label, prior_fills(model, one, SHEET, seed, keep_noise=False)[:, 0]) for its, model in shown]
        else:
            head = [("true", several), ("masked", several * hole_mask())]
            rows = []
            for its, model in shown:
                mean, sigma = infer_all(model, several, hole_mask())
                seeds = range(seed, seed + len(several))
                z = mean + sigma * normal(seeds, mean.shape[1])
                rows.append((its.label, draw_all(model, several, hole_mask(), z, seeds)))
        made = {label: to_pictures(logistic_mixture.quantise(own)) for label, own in (*head, *rows)}
        files.append(write_sheet(made, title, out / f"{key}.png"))
    return files


def _plot_posteriors(models: Mapping[str, CSI], images: Tensor, out: Path) -> Path:
    """How often which value of a latent occurs, all latents together, beside the prior (figure 5c)."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axis = pyplot.subplots(figsize=(6, 4))
    for label, model in models.items():
        mean, sigma = infer_all(model, images, torch.ones_like(images[:1, :1]))
        z = mean + sigma * normal(range(len(images)), mean.shape[1])
        axis.hist(z.flatten().numpy(), np.linspace(-4.0, 4.0, 81).tolist(), density=True, histtype="step", label=label)
    grid = np.linspace(-4.0, 4.0, 201)
    axis.plot(grid, np.exp(-0.5 * grid**2) / np.sqrt(2.0 * np.pi), "k:", label="prior")
    axis.set(xlabel="value of a latent", ylabel="density", title="aggregate posterior")
    axis.legend()
    stored = io.BytesIO()
    figure.savefig(stored, format="png", dpi=100)
    pyplot.close(figure)
    file = out / "posteriors.png"
    weights.write_atomically(file, stored.getvalue())
    return file


def keep(folder: Path, figures: Mapping[str, Any], command: str) -> None:
    """Copies the variants that the page shows, with their figures, into the weights. Raises WeightsError where one is
    missing."""
    rows = {row["variant"]: row for key, *_ in CLAIMS for row in figures[key]}
    for variant in SHOWN:
        test = {"n": figures["n"], "hole": figures["hole"]} | rows.get(variant.label, {}) | {"command": command}
        metrics = weights.read_metrics(variant.name, folder) | {"test": {"ablations": test}}
        weights.copy_model(variant.name, folder, model_name(variant.name, None), metrics)
