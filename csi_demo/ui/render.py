"""Pictures and lines of text as the page shows them: Pillow in, HTML out."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from .photo import Photo

SIDE = 384  # six screen pixels a frame pixel
RESULT_SIDE = 1024  # of a finished photo as it is shown
STRIPE = 12
HOLE_COLOURS = ((228, 228, 231), (199, 199, 207))
RESULTS_JS = (Path(__file__).parent / "results.js").read_text(encoding="utf-8")
EXAMPLES_JS = """element.addEventListener("click", (event) => {
  const button = event.target.closest("[data-example]");
  if (button) trigger("select", { index: Number(button.dataset.example) });
});"""


@dataclass(frozen=True)
class Result:
    """What a fill has brought so far: one 64x64 picture a seed; the rest once it is complete.

    photo, mask: what was filled, the mask boolean in pixels of the photo's view; before, views: data URLs of the view
    before and after, one a seed.
    """

    photo: Photo
    mask: np.ndarray
    pictures: tuple[Image.Image, ...]
    seeds: tuple[int, ...]
    progress: float
    bits: tuple[float, ...] = ()
    before: str = ""
    views: tuple[str, ...] = ()
    chosen: int = 0

    @property
    def cost(self) -> int:
        """Bytes in memory, the photo's aside."""
        return self.mask.size + len(self.before) + sum(map(len, self.views)) + 3 * 64 * 64 * len(self.pictures)

    def full(self) -> Image.Image:
        """The chosen sample in the photo, at the photo's own size; every pixel outside the hole is the photo's own."""
        mask = self.photo.full_mask(self.mask)
        return self.photo.place.paste(self.photo.full(), mask, self.pictures[self.chosen])


def enlarge(picture: Image.Image, crisp: bool) -> Image.Image:
    """The picture at 384x384: every pixel a square when crisp, bicubic otherwise."""
    return picture.resize((SIDE, SIDE), Image.Resampling.NEAREST if crisp else Image.Resampling.BICUBIC)


def masked_picture(frame: Image.Image, mask: np.ndarray, crisp: bool) -> Image.Image:
    """The enlarged frame with stripes over the hole; mask: boolean (64, 64), True = observed."""
    scale = SIDE // mask.shape[0]
    hole = ~mask.repeat(scale, 0).repeat(scale, 1)
    rows, columns = np.indices(hole.shape)
    stripes = np.array(HOLE_COLOURS, dtype=np.uint8)[(rows + columns) // STRIPE % 2]
    return Image.fromarray(np.where(hole[..., None], stripes, np.asarray(enlarge(frame, crisp))))


def png(picture: Image.Image) -> bytes:
    """The picture as a PNG file without metadata."""
    buffer = BytesIO()
    picture.save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def png_url(picture: Image.Image) -> str:
    """The picture as a data URL, exact."""
    return f"data:image/png;base64,{base64.b64encode(png(picture)).decode()}"


def view_url(picture: Image.Image, side: int | None = None) -> str:
    """The picture as a data URL to look at, at most `side` pixels long; small ones stay exact."""
    if max(picture.size) <= 256:
        return png_url(picture)
    small = picture.copy()
    if side:
        small.thumbnail((side, side), Image.Resampling.BICUBIC, reducing_gap=2.0)
    buffer = BytesIO()
    small.save(buffer, "JPEG", quality=90)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def masked_view(frame: Image.Image, mask: np.ndarray, crisp: bool) -> str:
    """The masked input as a tile."""
    what = "The square with the hole striped out" if not mask.all() else "The square, without a hole yet"
    image = f'<img src="{png_url(masked_picture(frame, mask, crisp))}" alt="{what}" width="{SIDE}" height="{SIDE}">'
    return f'<figure class="csi-tile">{image}<figcaption>What the model sees: 64x64</figcaption></figure>'


def example_strip(examples: Iterable[tuple[Image.Image, str]]) -> str:
    """A button for every example: its thumbnail and title."""
    buttons = "".join(
        f'<button type="button" data-example="{index}" title="Open this example: {escape(title)}">'
        f'<img src="{view_url(picture)}" alt="" width="48" height="48"><span>{escape(title)}</span></button>'
        for index, (picture, title) in enumerate(examples)
    )
    return f'<div class="csi-examples" role="group" aria-label="Examples">{buttons}</div>'


def empty_view() -> str:
    """What stands where the results will be."""
    return '<div class="csi-empty"><p>Your fills appear here.</p><p>Press <b>Fill the hole</b>.</p></div>'


def running_view(result: Result, crisp: bool) -> str:
    """The samples as far as they are drawn, small on the wire and enlarged by the browser."""
    figures = "".join(
        f'<figure class="csi-tile">{_square(png_url(picture), f"Sample {number}, seed {seed}")}'
        f"<figcaption>Seed {seed}</figcaption></figure>"
        for number, (picture, seed) in enumerate(zip(result.pictures, result.seeds, strict=True), start=1)
    )
    return f'<div class="csi-tiles{_look(crisp)}">{figures}</div>'


def result_view(result: Result | None, in_photo: bool, crisp: bool) -> str:
    """The chosen sample, with a wipe between before and after, above a strip of all; photos or 64x64 squares."""
    if result is None:
        return empty_view()
    if not result.views:
        return running_view(result, crisp)
    if in_photo:
        before, sources = result.before, list(result.views)
    else:
        before = png_url(enlarge(result.photo.frame, crisp))
        sources = [png_url(enlarge(picture, crisp)) for picture in result.pictures]
    seed = result.seeds[result.chosen]
    wipe = (
        f'<figure class="csi-big"><div class="csi-wipe" style="--cut: 0%"><img src="{before}" alt="Before">'
        f'<img class="csi-after" src="{sources[result.chosen]}" alt="After"><i></i>'
        '<input type="range" min="0" max="100" value="0" step="any" aria-label="Before and after" '
        "oninput=\"this.parentNode.style.setProperty('--cut', this.value + '%')\"></div>"
        f'<figcaption><b class="csi-seed">Seed {seed}</b><span>Slide across the picture: before, after</span>'
        "</figcaption></figure>"
    )
    strip = "".join(
        f'<button type="button" data-sample="{index}" data-seed="{seed}" title="Show this sample" '
        f'aria-pressed="{"true" if index == result.chosen else "false"}">'
        f'<img src="{source}" alt="Sample {index + 1}, seed {seed}"><span>Seed {seed}</span></button>'
        for index, (source, seed) in enumerate(zip(sources, result.seeds, strict=True))
    )
    strip = f'<div class="csi-strip" role="group" aria-label="Samples">{strip}</div>' if len(sources) > 1 else ""
    return f'<div class="csi-result{_look(crisp)}{"" if in_photo else " csi-frames"}">{wipe}{strip}</div>'


def _square(source: str, alt: str) -> str:
    return f'<img src="{source}" alt="{escape(alt)}" width="{SIDE}" height="{SIDE}" decoding="sync">'


def _look(crisp: bool) -> str:
    return " csi-crisp" if crisp else ""


def progress_line(text: str, progress: float) -> str:
    """A progress bar under a line of text; progress from 0 to 1."""
    percent = round(100 * progress)
    return (
        f'<div class="csi-status"><span>{escape(text)}</span><span>{percent} %</span></div>'
        f'<div class="csi-bar" role="progressbar" aria-label="Progress" aria-valuemin="0" aria-valuemax="100" '
        f'aria-valuenow="{percent}"><i style="width:{percent}%"></i></div>'
    )


def plain_line(text: str) -> str:
    """A line of text."""
    return f'<div class="csi-status" role="status"><span>{escape(text)}</span></div>'


def trouble(message: str) -> str:
    """A message that something has to be changed."""
    return f'<div class="csi-trouble" role="alert">{escape(message)}</div>'


def finished_line(count: int, seconds: float, bits: Sequence[float], note: str = "") -> str:
    """The closing line of a fill."""
    text = f"Filled {count} {'sample' if count == 1 else 'samples'} in {seconds:.1f} s."
    if bits:
        text += f" Bits per dim: {', '.join(f'{value:.2f}' for value in bits)}."
    return plain_line(f"{text} {note}".strip())
