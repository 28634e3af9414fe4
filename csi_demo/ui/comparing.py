"""Methods side by side: each fill in large, and a table of figures that can be compared, since the photo is known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from html import escape

from ..complete import Finish, Request, Subject
from ..pixels import mask_to_tensor, to_tensor
from .data_url import view_url
from .fills import Sample

LARGE_SIDE = 320  # pixels of a fill in large
COLUMNS = (  # figure, heading, whether more of it is closer
    ("psnr", "PSNR, dB", True),
    ("ssim", "SSIM", True),
    ("l1", "L1", False),
    ("features", "Face features", False),
    ("seconds", "Seconds", False),
)
DIGITS = {"psnr": 1, "seconds": 2}
NOTE = """Measured in the hole, on the 64x64 square, against what the photo has there. The closer a fill is, the higher
are PSNR and SSIM, the lower L1 (mean difference, of a range of 2) and the distance in a face network's features.
Closeness is not beauty: a hole can be filled well and otherwise than it was."""
MEANINGS = {
    "bits per dim": "bits per dim: how surprising this method's own model finds the fill, lower is likelier",
    "loss": "loss: what is left of what DCGAN's search makes small",
    "last change": "last change: how much the picture still moved in the last round",
}


def judged(sample: Sample, request: Request, refine: bool) -> Sample:
    """A complete sample with what a comparison says of it; its large picture is made ready."""
    from ..closeness import closeness

    subject = request.subject
    image, mask = to_tensor(subject.frame), mask_to_tensor(subject.frame_mask)
    large(subject, sample, refine)
    settings = {**request.controls, **request.options}
    return replace(sample, closeness=closeness(image, mask, to_tensor(sample.picture)), settings=settings)


def large(subject: Subject, sample: Sample, refine: bool) -> str:
    """The square of the finished photo as a data URL, made once."""
    if refine not in sample.large:
        finished = subject.finished(sample.picture, Finish(refine=refine))
        sample.large[refine] = view_url(subject.placement.frame(finished, LARGE_SIDE))
    return sample.large[refine]


def measured(sample: Sample) -> dict[str, float]:
    """The figures of a row of the table that there are."""
    seconds = {} if sample.seconds is None else {"seconds": sample.seconds}
    return {**sample.closeness, **seconds}


def table(samples: Sequence[Sample]) -> str:
    """The figures as a table, the best of each in bold, and apart from it what methods say of their own fills."""
    best = _best(list(map(measured, samples)))
    rows = "".join(
        f'<tr><th scope="row">{escape(sample.method)}</th>{_cells(measured(sample), best)}</tr>' for sample in samples
    )
    heads = "".join(
        f'<th scope="col">{heading}{"" if figure == "seconds" else " ↑" if more else " ↓"}</th>'
        for figure, heading, more in COLUMNS
    )
    said = {
        sample.method: "; ".join(f"{name} {value:.3g}" for name, value in sample.figures.items()) for sample in samples
    }
    own = "".join(f"<li>{escape(method)}: {escape(figures)}</li>" for method, figures in said.items() if figures)
    names = {name for sample in samples for name in sample.figures}
    meanings = "; ".join(meaning for name, meaning in MEANINGS.items() if name in names)
    apart = (
        f'<details class="csi-figures"><summary>What each method says of its own fill</summary><p>Not to be compared '
        f"between methods: {escape(meanings)}.</p><ul>{own}</ul></details>"
    )
    return (
        '<div class="csi-table" tabindex="0" role="region" aria-label="Figures of the comparison"><table><caption>How '
        f'close each fill is to the photo</caption><thead><tr><th scope="col">Method</th>{heads}</tr></thead>'
        f"<tbody>{rows}</tbody></table></div><p>{NOTE}</p>{apart if own else ''}"
    )


def _best(found: Sequence[Mapping[str, float]]) -> dict[str, float]:
    values = {figure: [row[figure] for row in found if figure in row] for figure, _, _ in COLUMNS}
    return {figure: (max if more else min)(values[figure]) for figure, _, more in COLUMNS if len(values[figure]) > 1}


def _cells(row: Mapping[str, float], best: Mapping[str, float]) -> str:
    cells = ""
    for figure, _, _ in COLUMNS:
        text = f"{row[figure]:.{DIGITS.get(figure, 3)}f}" if figure in row else "-"
        cells += f"<td>{f'<b>{text}</b>' if figure in row and row[figure] == best.get(figure) else text}</td>"
    return cells
