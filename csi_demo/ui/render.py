"""Pictures and lines of text as the page shows them: Pillow in, HTML out."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from io import BytesIO

import numpy as np
from PIL import Image

SIDE = 384  # six screen pixels a frame pixel
STRIPE = 12
HOLE_COLOURS = ((228, 228, 231), (199, 199, 207))


@dataclass(frozen=True)
class Result:
    """What a fill has brought so far: one 64x64 picture a seed; bits per dim once it is complete."""

    pictures: tuple[Image.Image, ...]
    seeds: tuple[int, ...]
    progress: float
    bits: tuple[float, ...] = ()


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


def png_url(picture: Image.Image) -> str:
    """The picture as a data URL."""
    buffer = BytesIO()
    picture.save(buffer, "PNG", compress_level=1)
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _image(picture: Image.Image, alt: str) -> str:
    return f'<img src="{png_url(picture)}" alt="{escape(alt)}" width="{SIDE}" height="{SIDE}" decoding="sync">'


def masked_view(frame: Image.Image, mask: np.ndarray, crisp: bool) -> str:
    """The masked input as a tile."""
    image = _image(masked_picture(frame, mask, crisp), "Your picture with the hole striped out")
    return f'<figure class="csi-tile">{image}<figcaption>What the model sees</figcaption></figure>'


def empty_view() -> str:
    """What stands where the results will be."""
    return '<div class="csi-empty"><p>Your fills appear here.</p><p>Press <b>Fill the hole</b>.</p></div>'


def running_view(result: Result, crisp: bool) -> str:
    """The samples as far as they are drawn, small on the wire and enlarged by the browser."""
    return _tiles(result, list(result.pictures), crisp, [""] * len(result.seeds))


def result_view(result: Result | None, crisp: bool) -> str:
    """The samples enlarged, with links that save each one as it is (64x64) and as it is shown."""
    if result is None:
        return empty_view()
    links = [
        f'<span class="csi-save">Save <a download="csi-seed-{seed}.png" href="{png_url(picture)}">64 px</a> '
        f'<a download="csi-seed-{seed}-large.png" href="#" '
        f"onclick=\"this.href=this.closest('figure').querySelector('img').src\">{SIDE} px</a></span>"
        for seed, picture in zip(result.seeds, result.pictures, strict=True)
    ]
    return _tiles(result, [enlarge(picture, crisp) for picture in result.pictures], crisp, links)


def _tiles(result: Result, pictures: Sequence[Image.Image], crisp: bool, links: Sequence[str]) -> str:
    tiles = [
        f'<figure class="csi-tile">{_image(picture, f"Sample {number}, seed {seed}")}'
        f"<figcaption><span>Seed {seed}</span>{link}</figcaption></figure>"
        for number, (picture, seed, link) in enumerate(zip(pictures, result.seeds, links, strict=True), start=1)
    ]
    return f'<div class="csi-tiles{" csi-crisp" if crisp else ""}">{"".join(tiles)}</div>'


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


def finished_line(count: int, seconds: float, bits: Sequence[float]) -> str:
    """The closing line of a fill."""
    text = f"Filled {count} {'sample' if count == 1 else 'samples'} in {seconds:.1f} s."
    if bits:
        text += f" Bits per dim: {', '.join(f'{value:.2f}' for value in bits)}."
    return plain_line(text)
