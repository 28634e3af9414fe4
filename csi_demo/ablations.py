"""The paper's claims, tested: trains small variants alike, measures them on test faces, makes tables and figures."""

from __future__ import annotations

import io
import math
import time
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from . import masks, weights
from .complete import to_pictures
from .evaluation import edge_step, table
from .models import logistic_mixture
from .models.csi import CSI
from .sheets import sheet
from .training import loop
from .training.csi import LN2, CSIRecipe, CSISettings
from .training.data import masks_to_tensor, read_pack, shrink, to_float
from .training.losses import kl_decomposition, mmd
from .variants import (
    BLOCKS_1,
    BLOCKS_5,
    FORWARD_ONLY,
    NO_LATENTS,
    OBJECTIVES,
    ONE_STAGE,
    SHOWN,
    SIZE,
    TWO_STAGE,
    VARIANTS,
    Variant,
    biases,
    config_of,
    draw,
    infer,
    load,
    model_name,
    normal,
)

PICTURES = (60_000, 60_000)  # that every variant sees in each stage, unless told otherwise
BATCH = 100  # pictures that are measured at once
REDRAWS = 4  # of every picture, for how much draws differ
ROUGH = 4  # side of the corner of the hole, in pixels
SHEET = 6  # pictures or draws in a row of a sheet
HOLE = "center"
PRIOR_SEED = 2**40  # beyond the seeds of the pixel noise

CLAIMS: tuple[tuple[str, str, str, tuple[Variant, ...], tuple[str, ...]], ...] = (
    (
        "objectives",
        "Training objectives (section 5.3, appendix B)",
        "With a heavy penalty on the total correlation (β-TCVAE) draws of one picture differ as if the latents were "
        "ignored; without the mutual information (Info-β-TCVAE) the aggregate posterior shrinks below the prior; "
        "InfoVAE-MMD has neither fault.",
        OBJECTIVES,
        (
            "variant",
            "bits_per_dim",
            "redraw",
            "mutual_information",
            "total_correlation",
            "dimension_kl",
            "spread",
            "mean_spread",
            "sigma",
            "mmd",
        ),
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
        ("variant", "seam", "seam_error", "bits_per_dim", "bits_error", "gain", "gain_error", "diversity"),
    ),
    (
        "receptive-field",
        "Receptive field (section 3)",
        "With a small one details cannot be modelled far, so that more is left to the latents.",
        (BLOCKS_1, TWO_STAGE, BLOCKS_5),
        ("variant", "reach", "bits_per_dim", "bits_error", "seam", "seam_error", "control", "diversity"),
    ),
)
COLUMNS = {
    "redraw": "mean L1 between draws of one picture over that between draws of different ones (1: latents ignored)",
    "mutual_information": "nats a picture, with the two next parts of the KL of equation 2, by equation 5 without its "
    "factor 1/N: the aggregate posterior is that of the test pictures, so that it is at most log n",
    "spread": "standard deviation of the aggregate posterior (prior: 1), mean over the latents",
    "mean_spread": "of the posteriors' means alone",
    "sigma": "mean standard deviation of a picture's posterior",
    "mmd": "squared maximum mean discrepancy to the prior",
    "diversity": "mean L1 (of 2) between fills with latents drawn from the prior, pixel noise fresh",
    "control": "the same with the pixel noise kept: what the latents alone change",
    "corner": f"roughness of such fills in the hole's last {ROUGH}x{ROUGH} pixels over that of the true ones",
    "elsewhere": "the same in the rest of the hole",
    "corner_inferred": "as corner, with latents from the posterior",
    "seam": "step across the hole's lower and right edges over the true one (1: no seam), latents from the posterior",
    "bits_per_dim": "-log2 p a channel: of the hole's true pixels given the context; for objectives, of whole pictures "
    "given their own latents",
    "gain": "bits/dim less than without the reverse stream, picture by picture",
    "reach": "pixels that a pixel sees above it and to its left",
}


class VariantRecipe(CSIRecipe):
    """A variant as the training loop sees it; it is stored beside its checkpoint."""

    name = "."

    def __init__(self, variant: Variant, pictures: tuple[int, int], folder: Path):
        budget = (0, sum(pictures)) if variant.scratch else pictures
        base = CSISettings(pictures=budget, crop=(24, 24), rgb_weight=0.0, feature_weight=0.0)
        if variant.scratch:  # nothing is carried over that a smaller rate would have to spare
            base = base.replace(learning_rate=base.learning_rate[:1] * 2, context_rate=1.0)
        settings = base.replace(one_stage=variant.one_stage)
        super().__init__(settings, config_of(variant).to_dict())
        self.variant, self.folder = variant, folder

    def stages(self) -> tuple[int, ...]:
        return self.variant.stages

    def read(self, data: Path) -> tuple[Tensor, Tensor]:
        return _pictures(data)

    def build(self) -> CSI:
        model = CSI(self.config)
        if self.variant.start:
            carried = weights.load_state(self.variant.start, self.folder)
            left = set(model.state_dict()) - set(carried)
            model.load_state_dict(model.state_dict() | carried)
            assert all(name.startswith(("reverse_stream.", "from_context.")) for name in left), left
            self.begin(model, 2)
        return model


@lru_cache(1)
def _pictures(data: Path) -> tuple[Tensor, Tensor]:
    """Training and validation pictures, read once for all variants."""
    return CSIRecipe(CSISettings(), {"image_size": SIZE, "latent_dim": 0}).read(data)


def train_missing(
    data: Path,
    folder: Path,
    *,
    pictures: tuple[int, int] = PICTURES,
    minutes: float | None = None,
    device: str = "auto",
) -> list[str]:
    """Trains every variant that is not finished, one after another, each until it has seen its pictures.

    pictures: in stage 1 and 2; a variant with one stage alone gets both. minutes: of all together; the same call goes
    on. Returns the names of those that are left. Raises as `loop.train`, and TrainingError for variants that were begun
    with other numbers of pictures.
    """
    end = time.monotonic() + 60.0 * minutes if minutes is not None else math.inf
    recipes = [VariantRecipe(variant, pictures, folder) for variant in VARIANTS]
    left = [recipe for recipe in recipes if not _finished(recipe)]
    for recipe in list(left):
        remaining = (end - time.monotonic()) / 60.0
        if remaining <= 0.0:
            break
        print(f"{recipe.variant.name}: {' + '.join(f'{recipe.settings.pictures[s - 1]:,}' for s in recipe.stages())}")
        loop.train(
            recipe,
            data,
            folder / recipe.variant.name,
            resume=True,
            minutes=remaining if minutes is not None else None,
            device=device,
        )
        if not _finished(recipe):
            break
        left.remove(recipe)
    return [recipe.variant.name for recipe in left]


def _finished(recipe: VariantRecipe) -> bool:
    name = recipe.variant.name
    if not weights.available(name, recipe.folder):
        return False
    training = weights.read_metrics(name, recipe.folder)["training"]
    if tuple(training["settings"]["pictures"]) != recipe.settings.pictures:
        raise loop.TrainingError(
            f"{recipe.folder / name} was begun with pictures={training['settings']['pictures']}: use another --weights"
        )
    last = recipe.stages()[-1]
    return training["pictures_per_stage"].get(str(last), 0) >= recipe.settings.pictures[last - 1]


def report(test: Path, folder: Path | None, *, limit: int | None = None, seed: int = 0) -> dict[str, Any]:
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
        for name, its in bits.items():
            found[name] |= _mean("gain", bits[FORWARD_ONLY.name] - its)
    rows = {
        key: [{"variant": one.label} | found[one.name] for one in variants if one.name in found]
        for key, _, _, variants, _ in CLAIMS
    }
    return {"n": len(images), "hole": HOLE, "seed": seed} | rows


def _present(folder: Path | None) -> list[Variant]:
    present = [variant for variant in VARIANTS if weights.available(model_name(variant.name, folder), folder)]
    if not present:
        raise weights.WeightsError(f"no trained variants in {folder or weights.weights_folder()}: use --train")
    return present


def markdown(figures: Mapping[str, Any]) -> str:
    """A table for each claim that there are rows for, with what the paper says and what the columns mean."""
    parts = []
    for key, title, claim, _, columns in CLAIMS:
        if figures[key]:
            meanings = "; ".join(f"{name}: {COLUMNS[name]}" for name in columns if name in COLUMNS)
            parts.append(
                f"## {title}\n\nThe paper: {claim}\n\n{table(figures[key], (*columns, 'pictures'))}\n\n{meanings}.\n"
            )
    return "\n".join(parts)


def measure_latents(model: CSI, images: Tensor, seed: int) -> dict[str, float]:
    """Figures of a model of stage 1 on pictures (N, 3, 32, 32), all of them visible to the encoder; see `COLUMNS`."""
    mean, sigma = _infer(model, images, torch.ones_like(images[:1, :1]))
    z = mean + sigma * normal(range(seed, seed + len(images)), mean.shape[1])
    hidden = torch.zeros_like(images[:1, :1])  # to the PixelCNN
    draws = reconstructions(model, images[:BATCH], REDRAWS, seed)
    others = (draws[0] - draws[0].roll(1, 0)).abs().mean()
    parts = kl_decomposition(z, mean, 2.0 * sigma.log(), 1)
    spreads = {"spread": z.std(0).mean(), "mean_spread": mean.std(0).mean(), "sigma": sigma.mean()}
    prior = normal(range(PRIOR_SEED, PRIOR_SEED + len(z)), z.shape[1])
    values = {"redraw": _apart(draws) / others} | parts | spreads | {"mmd": mmd(z, prior)}
    bits = _true_bits(model, images, hidden, z).mean()
    return {name: round(float(value), 4) for name, value in ({"bits_per_dim": bits} | values).items()}


def reconstructions(model: CSI, images: Tensor, count: int, seed: int) -> Tensor:
    """Whole pictures drawn from latents of their originals (n, 3, H, W): (count, n, 3, H, W), all noise fresh."""
    mean, sigma = infer(model, images, torch.ones_like(images[:, :1]))
    hidden = torch.zeros_like(images[:, :1])
    return torch.stack(
        [
            draw(model, images, hidden, mean + sigma * normal(seeds, mean.shape[1]), seeds)
            for seeds in _seeds(seed, count, len(images))
        ]
    )


def measure_fills(model: CSI, images: Tensor, seed: int) -> tuple[dict[str, float], Tensor]:
    """Figures of a finished model's fills of the hole of pictures (N, 3, 32, 32), see `COLUMNS`, and each picture's
    bits per dim (N,)."""
    mask = _hole()
    mean, sigma = _infer(model, images, mask)
    z = mean + sigma * normal(range(seed, seed + len(images)), mean.shape[1])
    bits = _true_bits(model, images, mask, z)
    inferred = _draw(model, images, mask, z, range(seed, seed + len(images)))
    steps, true_steps = (
        np.array([edge_step(mask, one) for one in some.split(1)], dtype=float) for some in (inferred, images)
    )
    seam = steps.mean() / true_steps.mean()
    error = (steps - seam * true_steps).std(ddof=1) / true_steps.mean() / len(images) ** 0.5
    fresh = prior_fills(model, images, REDRAWS, seed, keep_noise=False)
    figures = _mean("bits_per_dim", bits, "bits_error") | {"seam": seam, "seam_error": error}
    hole = mask[0, 0] < 0.5
    figures["diversity"] = _apart(fresh[..., hole])
    if model.config.latent_dim:
        figures["control"] = _apart(prior_fills(model, images, REDRAWS, seed, keep_noise=True)[..., hole])
    for name, fills in (("corner", fresh.flatten(0, 1)), ("corner_inferred", inferred)):
        figures[name] = roughness(fills, corner(mask)) / roughness(images, corner(mask))
    rest = hole & ~corner(mask)
    figures["elsewhere"] = roughness(fresh.flatten(0, 1), rest) / roughness(images, rest)
    reach = {"reach": model.forward_stream.reach[0]}
    return reach | {name: round(float(value), 4) for name, value in figures.items()}, bits


def prior_fills(model: CSI, images: Tensor, count: int, seed: int, *, keep_noise: bool) -> Tensor:
    """The hole of each picture (n, 3, H, W) filled with latents drawn from the prior: (count, n, 3, H, W).

    keep_noise: all draws of a picture share its pixel noise.
    """
    every = _seeds(seed, count, len(images))
    latents = model.config.latent_dim
    return torch.stack(
        [
            _draw(
                model,
                images,
                _hole(),
                normal([PRIOR_SEED + one for one in seeds], latents),
                every[0] if keep_noise else seeds,
            )
            for seeds in every
        ]
    )


def corner(mask: Tensor) -> Tensor:
    """The hole's last `ROUGH` rows and columns: mask (1, 1, H, W) of a rectangular hole to boolean (H, W)."""
    hole = mask[0, 0] < 0.5
    row, column = (int(places.max()) + 1 for places in hole.nonzero(as_tuple=True))
    found = torch.zeros_like(hole)
    found[row - ROUGH : row, column - ROUGH : column] = True
    return found


def roughness(images: Tensor, where: Tensor) -> float:
    """Mean absolute second difference, across and down, of pictures (n, 3, H, W) at the pixels (H, W)."""
    padded = torch.nn.functional.pad(images, (1, 1, 1, 1), mode="replicate")
    across = padded[:, :, 1:-1, :-2] + padded[:, :, 1:-1, 2:] - 2.0 * images
    down = padded[:, :, :-2, 1:-1] + padded[:, :, 2:, 1:-1] - 2.0 * images
    return float((across.abs() + down.abs())[:, :, where].mean() / 2.0)


def _hole() -> Tensor:
    return masks_to_tensor([masks.family(HOLE, SIZE)])


def _seeds(seed: int, count: int, pictures: int) -> list[range]:
    """Seeds of so many draws of every picture, no two alike."""
    return [range(seed + index * pictures, seed + (index + 1) * pictures) for index in range(count)]


def _infer(model: CSI, images: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """`infer` in batches; mask: (1, 1, H, W)."""
    parts = [infer(model, some, mask.expand(len(some), -1, -1, -1)) for some in images.split(BATCH)]
    mean, sigma = (torch.cat(some) for some in zip(*parts, strict=True))
    return mean, sigma


def _draw(model: CSI, images: Tensor, mask: Tensor, z: Tensor, seeds: Sequence[int]) -> Tensor:
    """`draw` in batches; mask: (1, 1, H, W)."""
    fills = [
        draw(model, some, mask.expand(len(some), -1, -1, -1), its, seeds[start : start + len(some)])
        for start, some, its in zip(range(0, len(images), BATCH), images.split(BATCH), z.split(BATCH), strict=True)
    ]
    return torch.cat(fills)


@torch.inference_mode()
def _true_bits(model: CSI, images: Tensor, mask: Tensor, z: Tensor) -> Tensor:
    """-log2 p a channel of the true pixels of the hole (1, 1, H, W), picture by picture: (N,)."""
    found = []
    for some, its in zip(images.split(BATCH), z.split(BATCH), strict=True):
        params = model.logits(some, biases(model, some, mask.expand(len(some), -1, -1, -1), its))
        log_prob = logistic_mixture.log_prob(some.permute(0, 2, 3, 1), params.permute(0, 2, 3, 1))
        found.append(-log_prob[:, mask[0, 0] < 0.5].mean(1) / (3.0 * LN2))
    return torch.cat(found)


def _apart(draws: Tensor) -> float:
    """Mean L1 between two draws of a picture; draws: (draws, pictures, ...)."""
    pairs = [(draws[a] - draws[b]).abs().mean() for a in range(len(draws)) for b in range(a)]
    return float(torch.stack(pairs).mean())


def _mean(name: str, values: Tensor, error: str = "") -> dict[str, float]:
    """The mean of a figure of every picture, and its standard error."""
    spread = float(values.std()) / len(values) ** 0.5
    return {name: round(float(values.mean()), 4), error or f"{name}_error": round(spread, 4)}


def write_figures(test: Path, folder: Path | None, out: Path, *, seed: int = 0) -> list[Path]:
    """Contact sheets of the first test pictures, one for each claim whose variants the folder has, and a plot of the
    aggregate posteriors; all as PNG. Returns the files."""
    images = to_float(shrink(read_pack(test, 500), SIZE))
    present = {variant.name: load(variant.name, folder) for variant in _present(folder)}
    one, several = images[:1], images[:SHEET]
    files = []
    for key, title, _, variants, _ in CLAIMS:
        shown = [(variant, present[variant.name]) for variant in variants if variant.name in present]
        if not shown:
            continue
        if key == "objectives":
            head: list[tuple[str, Tensor]] = [("true", one.expand(SHEET, -1, -1, -1))]
            rows = [(its.label, reconstructions(model, one, SHEET, seed)[:, 0]) for its, model in shown]
            files.append(_plot_posteriors({its.label: model for its, model in shown}, images, out))
        elif key == "stages":
            head = [("true, masked", torch.cat((one, one * _hole())).repeat(SHEET // 2, 1, 1, 1))]
            rows = [(its.label, prior_fills(model, one, SHEET, seed, keep_noise=False)[:, 0]) for its, model in shown]
        else:
            head = [("true", several), ("masked", several * _hole())]
            rows = []
            for its, model in shown:
                mean, sigma = _infer(model, several, _hole())
                seeds = range(seed, seed + len(several))
                z = mean + sigma * normal(seeds, mean.shape[1])
                rows.append((its.label, _draw(model, several, _hole(), z, seeds)))
        labels, pictures = zip(*head, *rows, strict=True)
        made = [to_pictures(logistic_mixture.quantise(some)) for some in pictures]
        files.append(out / f"{key}.png")
        weights.write_atomically(files[-1], png(sheet(made, labels, [[""] * len(row) for row in made], title)))
    return files


def _plot_posteriors(models: Mapping[str, CSI], images: Tensor, out: Path) -> Path:
    """How often which value of a latent occurs, all latents together, beside the prior (figure 5c)."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axis = pyplot.subplots(figsize=(6, 4))
    for label, model in models.items():
        mean, sigma = _infer(model, images, torch.ones_like(images[:1, :1]))
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


def png(picture: Image.Image) -> bytes:
    """A picture as the content of a PNG file."""
    stored = io.BytesIO()
    picture.save(stored, format="PNG")
    return stored.getvalue()


def keep(folder: Path, figures: Mapping[str, Any], command: str) -> None:
    """Copies the variants that the page shows, with their figures, into the weights. Raises WeightsError where one is
    missing."""
    rows = {row["variant"]: row for key, *_ in CLAIMS for row in figures[key]}
    for variant in SHOWN:
        test = {"n": figures["n"], "hole": figures["hole"]} | rows.get(variant.label, {}) | {"command": command}
        metrics = weights.read_metrics(variant.name, folder) | {"test": {"ablations": test}}
        weights.copy_model(variant.name, folder, model_name(variant.name, None), metrics)
